"""Bicubic interpolation: the baseline, and the network's input."""

from collections.abc import Iterator

import numpy as np

from ..resize import BandResizer, bicubic

#: Pixels of the result in a band: 8 MB in float64.
BAND_PIXELS = 2**20


def bicubic_bands(
    lr_y: np.ndarray, scale: int, rows: int | None = None
) -> Iterator[np.ndarray]:
    """The rows of ``bicubic(lr_y, scale)`` from the top, `rows` at a time."""
    height, width = (n * scale for n in lr_y.shape)
    rows = rows or max(1, BAND_PIXELS // width)
    resize = BandResizer(lr_y.shape, scale)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        yield resize(lambda first, last: lr_y[first:last], top, bottom)


bicubic.bands = bicubic_bands
