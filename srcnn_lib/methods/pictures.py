"""Whole pictures through a method: colour, alpha, 16 bits; the self-ensemble."""

from collections.abc import Callable, Iterator

import numpy as np

from ..images import BLACK, WHITE, rgb_to_ycbcr, ycbcr_to_rgb
from ..resize import BandResizer
from .bands import BAND_PIXELS

Method = Callable[[np.ndarray, int], np.ndarray]


class SelfEnsemble:
    """Another method, as the mean over the eight symmetries of the square.

    The input is turned and flipped, each result turned and flipped back: eight
    times the work, and other numbers than the method's own.
    """

    def __init__(self, method: Method):
        self.method = method

    def __call__(self, lr_y: np.ndarray, scale: int) -> np.ndarray:
        results = []
        for turns in range(4):
            for flip in (1, -1):
                seen = np.rot90(lr_y, turns)[:, ::flip]
                result = self.method(np.ascontiguousarray(seen), scale)
                results.append(np.rot90(result[:, ::flip], -turns))
        return np.mean(results, axis=0)


def upscale(method: Method, image: np.ndarray, scale: int) -> np.ndarray:
    """Enlarge a whole picture: luma by `method`, the rest by bicubic.

    The paper does so with colour pictures, as the eye sees fine detail in
    luma only (TPAMI section 4.5).  Grey is brought into luma's range, 16…235:
    what is darker or brighter, networks have not seen in training.

    Works in bands of rows: beside the two pictures only the small one's luma
    is held whole, and the large one's where `method` has no `bands`.

    Parameters
    ----------
    image : uint8 or uint16, grey (H, W), RGB (H, W, 3) or RGBA (H, W, 4).

    Returns
    -------
    The same type and kind, (H·scale, W·scale, …); alpha is enlarged too.

    Raises
    ------
    ValueError : when the result doesn't fit in memory.
    """
    height, width = image.shape[:2]
    shape = (height * scale, width * scale, *image.shape[2:])
    try:
        out = np.empty(shape, image.dtype)
        lr_y = np.empty((height, width))
    except MemoryError:
        raise ValueError(
            f"{shape[1]}×{shape[0]} pixels don't fit in this machine's memory"
        ) from None
    peak = np.iinfo(image.dtype).max
    is_grey = image.ndim == 2
    for rows in _slices(height, width):
        image_01 = image[rows] / peak
        lr_y[rows] = _of_grey(image_01) if is_grey else _y_01(image_01)

    def others(first, last):  # Cb, Cr and alpha, (last - first, W, 2 or 3)
        image_01 = image[first:last] / peak
        chroma = rgb_to_ycbcr(image_01[..., :3])[..., 1:]
        return np.dstack([chroma, image_01[..., 3:]])

    enlarged = BandResizer((height, width), scale)
    top = 0
    for sr in _bands(method, lr_y, scale):
        bottom = top + len(sr)
        sr = np.asarray(sr, dtype=float) * 255
        if is_grey:
            sr = (sr - BLACK) / (WHITE - BLACK)
        else:
            rest = enlarged(others, top, bottom)
            rgb = ycbcr_to_rgb(np.dstack([sr, rest[..., :2]]))
            sr = np.dstack([rgb, rest[..., 2:]])
        out[top:bottom] = np.floor(np.clip(sr, 0, 1) * peak + 0.5)
        top = bottom
    return out


def _of_grey(grey_01: np.ndarray) -> np.ndarray:
    """Luma in its range, as of the same picture in RGB."""
    return (BLACK + (WHITE - BLACK) * grey_01) / 255


def _y_01(rgb_01: np.ndarray) -> np.ndarray:
    return rgb_to_ycbcr(rgb_01[..., :3])[..., 0] / 255


def _bands(
    method: Method, lr_y: np.ndarray, scale: int
) -> Iterator[np.ndarray]:
    """The rows of ``method(lr_y, scale)`` from the top, some at a time."""
    if hasattr(method, "bands"):
        yield from method.bands(lr_y, scale)
    else:
        sr_y = method(lr_y, scale)
        for rows in _slices(*sr_y.shape):
            yield sr_y[rows]


def _slices(height: int, width: int) -> Iterator[slice]:
    """Bands of rows of about `BAND_PIXELS`, from the top."""
    rows = max(1, BAND_PIXELS // width)
    for top in range(0, height, rows):
        yield slice(top, min(top + rows, height))
