"""Bicubic interpolation: the baseline, and the network's input."""

import numpy as np

from ..resize import imresize


def bicubic(lr_y: np.ndarray, scale: int) -> np.ndarray:
    """Enlarge a luma picture (h, w) to (h·scale, w·scale), any float range.

    Source: MATLAB's ``imresize(…, 'bicubic')``, borders clamped.
    """
    return imresize(lr_y, scale)
