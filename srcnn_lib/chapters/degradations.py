"""Other ways than the protocol's to make an LR picture.

The protocol shrinks by MATLAB's bicubic ``imresize`` and rounds nothing
(`protocol.degrade`).  A network has seen nothing else; here is what it may meet.  All
take luma (H, W) uint8 with sides that `scale` divides, and give LR luma, float, 0…1,
aligned with the HR picture.
"""

import io
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch.nn import functional as F

from ..images import to_uint8
from ..protocol import degrade
from ..resize import imresize

BLUR_SIGMA = 1.6  # of the camera's lens, in HR pixels, at x3


def matlab(hr_y: np.ndarray, scale: int) -> np.ndarray:
    """The protocol: bicubic with antialiasing, not rounded."""
    return degrade(hr_y, scale)[1]


def _rounded(lr_255: np.ndarray) -> np.ndarray:
    """Rounded as any file holds it: 0…255 → 0…1."""
    return to_uint8(lr_255) / 255.0


def rounded(hr_y: np.ndarray, scale: int) -> np.ndarray:
    """The protocol, 8 bits."""
    return _rounded(255 * matlab(hr_y, scale))


def pillow(hr_y: np.ndarray, scale: int) -> np.ndarray:
    """Pillow's bicubic: the same kernel, antialiased too, 8 bits."""
    width, height = (side // scale for side in hr_y.T.shape)
    hr_y = Image.fromarray(hr_y)
    return np.asarray(hr_y.resize((width, height), Image.Resampling.BICUBIC)) / 255.0


def not_antialiased(hr_y: np.ndarray, scale: int) -> np.ndarray:
    """Bicubic without antialiasing, as OpenCV's INTER_CUBIC; 8 bits.

    PyTorch has the same kernel (a = -0.75) and the same grid of pixels.  At x3 this
    grid falls on every third pixel and leaves out all the others.
    """
    small = [side // scale for side in hr_y.shape]
    hr_y = torch.from_numpy(hr_y.astype(np.float64))[None, None]
    resized = F.interpolate(hr_y, small, mode="bicubic", antialias=False)
    return _rounded(resized[0, 0].numpy())


def area(hr_y: np.ndarray, scale: int) -> np.ndarray:
    """The mean of each square of scale × scale pixels; 8 bits."""
    height, width = hr_y.shape
    squares = hr_y.reshape(height // scale, scale, width // scale, scale)
    return _rounded(squares.mean(axis=(1, 3)))


def camera(hr_y: np.ndarray, scale: int) -> np.ndarray:
    """A lens, which blurs, and a sensor, which takes samples; 8 bits.

    A Gaussian of σ = `BLUR_SIGMA` · scale / 3, read at the middle of each square of
    scale × scale pixels, between pixels where scale is even.
    """
    sigma = BLUR_SIGMA * scale / 3
    blurred = ndimage.gaussian_filter(hr_y.astype(float), sigma, mode="nearest")
    if scale % 2:
        middle = scale // 2
        return _rounded(blurred[middle::scale, middle::scale])
    return _rounded(imresize(blurred, 1 / scale, method="bilinear", antialias=False))


def noisy(sigma: float, seed: int = 0) -> Callable:
    """The protocol, and Gaussian noise of `sigma` out of 255; 8 bits."""

    def degrade(hr_y: np.ndarray, scale: int) -> np.ndarray:
        lr_255 = 255 * matlab(hr_y, scale)
        noise = np.random.default_rng(seed).normal(0, sigma, lr_255.shape)
        return _rounded(lr_255 + noise)

    return degrade


def jpeg(quality: int) -> Callable:
    """The protocol, stored as JPEG of this quality, 1…95."""

    def degrade(hr_y: np.ndarray, scale: int) -> np.ndarray:
        file = io.BytesIO()
        small = to_uint8(255 * matlab(hr_y, scale))
        Image.fromarray(small).save(file, "JPEG", quality=quality)
        return np.asarray(Image.open(file)) / 255.0

    return degrade


#: Name → ``degrade(hr_y, scale)``.
ALL: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "MATLAB bicubic (the protocol)": matlab,
    "the same in 8 bits": rounded,
    "Pillow bicubic": pillow,
    "mean of each square": area,
    "camera: blur, then samples": camera,
    "bicubic without antialiasing (OpenCV)": not_antialiased,
    "noise, σ = 2": noisy(2),
    "noise, σ = 5": noisy(5),
    "noise, σ = 10": noisy(10),
    "JPEG, quality 90": jpeg(90),
    "JPEG, quality 70": jpeg(70),
    "JPEG, quality 50": jpeg(50),
}
