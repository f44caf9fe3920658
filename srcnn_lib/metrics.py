"""PSNR and SSIM as the paper measures them.

Both compare two uint8 luma pictures and leave out a border of `crop` pixels
on each side, where the methods have too little context.
"""

import numpy as np
from skimage.metrics import structural_similarity


def _inner(image: np.ndarray, crop: int) -> np.ndarray:
    height, width = image.shape[:2]
    if 2 * crop >= min(height, width):
        raise ValueError(
            f"a border of {crop} leaves nothing of {height}×{width} pixels"
        )
    return image[crop : height - crop, crop : width - crop].astype(float)


def _pair(hr_img, sr_img, crop: int) -> tuple[np.ndarray, np.ndarray]:
    hr_img, sr_img = np.asarray(hr_img), np.asarray(sr_img)
    if hr_img.shape != sr_img.shape:
        raise ValueError(f"shapes differ: {hr_img.shape} and {sr_img.shape}")
    return _inner(hr_img, crop), _inner(sr_img, crop)


def psnr(hr_img, sr_img, *, crop: int = 0, peak: float = 255.0) -> float:
    """Peak signal-to-noise ratio in dB; infinite for equal pictures.

    Parameters
    ----------
    hr_img, sr_img : arrays (H, W) or (H, W, C), in the range 0…`peak`.
    crop : pixels left out on each side (the paper: the scale).

    Raises
    ------
    ValueError : when shapes differ or nothing is left.
    """
    hr, sr = _pair(hr_img, sr_img, crop)
    mse = np.mean((hr - sr) ** 2)
    with np.errstate(divide="ignore"):
        return float(10 * np.log10(peak**2 / mse))


def ssim(hr_img, sr_img, *, crop: int = 0, peak: float = 255.0) -> float:
    """Structural similarity, at most 1: 11×11 Gaussian window, σ = 1.5.

    Parameters
    ----------
    hr_img, sr_img : arrays (H, W), in the range 0…`peak`; at least 11×11
        pixels after the crop.
    crop : pixels left out on each side (the paper: the scale).

    Raises
    ------
    ValueError : when shapes differ or fewer than 11×11 pixels are left.

    Source: Wang et al., IEEE TIP 13(4), 2004, section III-C; means over the
    windows that lie wholly inside, population covariance.
    """
    hr, sr = _pair(hr_img, sr_img, crop)
    if min(hr.shape) < 11:
        raise ValueError(f"SSIM needs 11×11 pixels, not {hr.shape}")
    return float(
        structural_similarity(
            hr,
            sr,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=peak,
        )
    )
