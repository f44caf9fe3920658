"""Whole images through a method: colour, alpha, 16 bits; the self-ensemble."""

from itertools import product

import numpy as np
from scipy.ndimage import distance_transform_edt

from ..images import BLACK, WHITE, rgb_to_ycbcr, ycbcr_to_rgb
from ..protocol import Method
from ..resize import imresize, resize_matrix

#: Pixels of the result that are converted at a time.
PIXELS = 2**18
#: Below this alpha a colour can't be seen.
UNSEEN = 4 / 255


class SelfEnsemble:
    """Another method, as the mean over the eight symmetries of the square: the input
    is turned and flipped, and each result back, in eight times the time."""

    def __init__(self, method: Method):
        self.method = method

    def __call__(self, lr_y: np.ndarray, scale: int) -> np.ndarray:
        """(h, w) in 0…1 → (h·scale, w·scale), about 0…1."""
        results = []
        for turns, flip in product(range(4), (1, -1)):
            seen = np.ascontiguousarray(np.rot90(lr_y, turns)[:, ::flip])
            results.append(np.rot90(self.method(seen, scale)[:, ::flip], -turns))
        return np.mean(results, axis=0)


def upscale(method: Method, image: np.ndarray, scale: int) -> np.ndarray:
    """Enlarge a whole image: luma by `method`, colour and alpha by bicubic
    interpolation, because the eye sees fine detail in luma only (TPAMI section 4.5).

    `image` is uint8 or uint16, grey (H, W), RGB (H, W, 3) or RGBA (H, W, 4), and so is
    the result, (H·scale, W·scale, …).  Grey is brought into luma's range, 16…235,
    because networks have seen nothing darker or brighter in training.  Raises
    ValueError when the result doesn't fit in memory.
    """
    try:
        return _upscale(method, image, scale)
    except MemoryError:
        size = "×".join(str(n * scale) for n in image.shape[1::-1])
        raise ValueError(f"{size} pixels don't fit in this machine's memory") from None


def _upscale(method: Method, image: np.ndarray, scale: int) -> np.ndarray:
    height, width, *others = image.shape
    out = np.empty((height * scale, width * scale, *others), image.dtype)
    lr_y, rest = _planes(image)
    sr_y = method(lr_y, scale)
    matrix = resize_matrix(height, height * scale, scale)
    step = max(1, PIXELS // out.shape[1])
    for top in range(0, len(out), step):
        rows = slice(top, top + step)
        sr = np.asarray(sr_y[rows], dtype=float) * 255
        if image.ndim == 2:
            sr = (sr - BLACK) / (WHITE - BLACK)
        else:
            large = (matrix[rows] @ rest).reshape(len(sr), width, -1)
            large = imresize(large, shape=sr.shape)  # Cb, Cr, alpha
            rgb = ycbcr_to_rgb(np.dstack([sr, large[..., :2]]))
            sr = np.dstack([rgb, large[..., 2:]])
        out[rows] = np.floor(np.clip(sr, 0, 1) * np.iinfo(image.dtype).max + 0.5)
    return out


def _planes(image: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Luma (H, W), 0…1; and Cb, Cr and alpha as a matrix (H, W·2) or (H, W·3)."""
    image_01 = image / np.iinfo(image.dtype).max
    if image.ndim == 2:
        return (BLACK + (WHITE - BLACK) * image_01) / 255, None
    rgb = image_01[..., :3]
    unseen = (image_01[..., 3:] < UNSEEN).any(2)
    if unseen.any() and not unseen.all():  # else it would show as a ring round shapes
        near = distance_transform_edt(
            unseen, return_distances=False, return_indices=True
        )
        rgb = rgb[*near]  # colours spread outwards
    ycbcr = rgb_to_ycbcr(rgb)
    rest = np.dstack([ycbcr[..., 1:], image_01[..., 3:]])
    return ycbcr[..., 0] / 255, rest.reshape(len(image), -1)
