"""More from the same pictures: shrunk, sharpened, turned and stretched."""

from collections.abc import Iterable, Iterator

import numpy as np
from scipy.ndimage import gaussian_filter
from skimage.transform import AffineTransform, warp

from .resize import imresize
from .streaming import tenths

#: What varied copies are drawn from: by how much they are sharpened; their
#: width and their height, of the picture's; degrees they are turned and sheared.
SHARPER, SIZES, TURN, SHEAR = (0.1, 0.7), (0.6, 1.05), 45, 20


def copies(
    images: Iterable[np.ndarray], zoom: float = 1.0, vary: int = 0, seed: int = 0
) -> Iterator[np.ndarray]:
    """Each picture and its copies.

    Parameters
    ----------
    images : uint8, grey (H, W) or RGB (H, W, 3).
    zoom : copies are shrunk to 0.9, 0.8, … of their width, down to this.
    vary : so many copies of each are made `sharper`, and so many `warped`.
    seed : of what these are drawn from.
    """
    for number, image in enumerate(images):
        for tenth in tenths(zoom):
            yield imresize(image, tenth / 10) if tenth < 10 else image
        generator = np.random.default_rng([seed, number])
        for _ in range(vary):
            yield sharper(image, generator.uniform(*SHARPER))
            yield warped(image, generator)


def sharper(image: np.ndarray, amount: float) -> np.ndarray:
    """Unsharp masking: what a Gaussian of 1 pixel takes away, added.

    `image` is uint8, (H, W) or (H, W, 3), and so is the result; `amount` is
    the share that is added.
    """
    blurred = gaussian_filter(image.astype(float), (1, 1, 0)[: image.ndim])
    return _to_uint8(image + amount * (image - blurred))


def warped(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Turned, sheared, and stretched to another size; what then lies
    outside is filled with the picture in a mirror.

    `image` is uint8, (H, W) or (H, W, 3), and so is the result, of `SIZES`
    times the height and width.
    """
    height, width = image.shape[:2]
    across, down = generator.uniform(*SIZES, 2)
    turn, shear = np.deg2rad(generator.uniform(-1, 1, 2) * (TURN, SHEAR))
    shape = max(1, int(height * down)), max(1, int(width * across))
    onto = (
        AffineTransform(translation=(-width / 2, -height / 2))
        + AffineTransform(scale=(across, down), rotation=turn, shear=shear)
        + AffineTransform(translation=(shape[1] / 2, shape[0] / 2))
    )
    return _to_uint8(
        warp(
            image.astype(float),
            onto.inverse,
            output_shape=shape,
            order=3,
            mode="reflect",
        )
    )


def _to_uint8(image: np.ndarray) -> np.ndarray:
    return np.floor(np.clip(image, 0, 255) + 0.5).astype(np.uint8)
