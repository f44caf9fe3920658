"""The paper's protocol, in its order of steps; nothing else knows it.

1. Luma: uint8 (H, W), rounded (`images.luma`).
2. Mod-crop to a multiple of the scale.
3. Y/255 as float, shrunk by ``imresize``; the result stays in float.
4. The method makes (H, W) of it, about 0…1.
5. Clip, times 255, round to uint8.
6. Leave out `scale` pixels on each side; PSNR with peak 255, and SSIM.
7. The mean over the pictures.

Source: the authors' test code (SRCNN_v1, demo_SR.m) and TPAMI section 4.
"""

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from skimage.metrics import structural_similarity

from .images import luma, modcrop, planes, to_uint8
from .resize import bicubic, imresize

Method = Callable
SCALES = (2, 3, 4)
#: The protocol in one line, kept with every recorded number.
PROTOCOL = (
    "uint8 luma, mod-crop, float LR by MATLAB bicubic with antialiasing and "
    "clamped borders, uint8 output, crop = scale"
)


class Score(NamedTuple):
    """One picture: PSNR in dB, SSIM, and the seconds the method took."""

    name: str
    psnr_db: float
    ssim: float
    seconds: float


def degrade(
    image: np.ndarray,
    scale: int,
    *,
    kind: str = "y",
    border: str = "clamp",
    lr_uint8: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Steps 1–3: what is to be restored, and what the method is given.

    Parameters
    ----------
    image : uint8 (H, W), (H, W, 3) or (H, W, 4).
    kind : of luma, see `images.luma`.
    border : see `resize.resize_matrix`.
    lr_uint8 : round the shrunk picture to 8 bits. The protocol doesn't; the
        paper's bicubic row on BSD200, alone, comes out only so.

    Returns
    -------
    hr_y : uint8 (H', W'), multiples of `scale`.
    lr_y : float64 (H'/scale, W'/scale), about 0…1.

    Raises
    ------
    ValueError : when `scale` is not 2, 3 or 4, or the picture too small.
    """
    check_scale(scale)
    hr_y = modcrop(luma(image, kind), scale)
    if min(hr_y.shape) < 11 + 2 * scale:
        raise ValueError(
            f"a picture of {image.shape[0]}×{image.shape[1]} pixels is too "
            f"small to measure at x{scale}; {12 + 3 * scale} would do"
        )
    if lr_uint8:
        return hr_y, imresize(hr_y, 1 / scale, border=border) / 255.0
    return hr_y, imresize(hr_y / 255.0, 1 / scale, border=border)


def score(
    method: Method,
    image: np.ndarray,
    scale: int,
    *,
    name: str = "",
    **choices,
) -> Score:
    """All steps for one picture; `choices` are those of `degrade`."""
    hr_y, lr_y = degrade(image, scale, **choices)
    began = time.perf_counter()
    sr_y = method(lr_y, scale)
    seconds = time.perf_counter() - began
    sr_y = to_uint8(np.asarray(sr_y, dtype=float) * 255)
    return Score(
        name,
        psnr(hr_y, sr_y, crop=scale),
        ssim(hr_y, sr_y, crop=scale),
        seconds,
    )


def evaluate(
    method: Method,
    images: Mapping[str, np.ndarray],
    scale: int,
    *,
    on_score: Callable[[Score], None] | None = None,
    **choices,
) -> list[Score]:
    """Score a method on every picture.

    Parameters
    ----------
    images : name → uint8 picture, such as a `datasets.Dataset`.
    on_score : called with each `Score`, to show progress.
    choices : those of `degrade`: kind, border, lr_uint8.

    Raises
    ------
    ValueError : for a bad scale, or a picture that is too small; the message
        names it.
    """
    check_scale(scale)
    scores = []
    for name in images:
        try:
            row = score(method, images[name], scale, name=name, **choices)
        except ValueError as e:
            raise ValueError(f"{name}: {e}") from None
        scores.append(row)
        if on_score is not None:
            on_score(row)
    return scores


def mean(scores: list[Score]) -> tuple[float, float]:
    """Mean PSNR in dB and mean SSIM."""
    return (
        float(np.mean([s.psnr_db for s in scores])),
        float(np.mean([s.ssim for s in scores])),
    )


def check_scale(scale) -> None:
    """Raise ValueError, in one line, for a scale the paper doesn't have."""
    if scale not in SCALES:
        raise ValueError(f"scale must be 2, 3 or 4, not {scale}")


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


def pair(image: np.ndarray, scale: int, colour: str = "y"):
    hr = modcrop(planes(image, colour), scale) / 255.0
    wide = bicubic(imresize(hr, 1 / scale), scale)
    return wide.astype(np.float32), hr.astype(np.float32)
