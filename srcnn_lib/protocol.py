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
from collections import namedtuple
from collections.abc import Callable, Mapping

import numpy as np
from skimage.metrics import structural_similarity

from .images import luma, modcrop, planes, to_uint8
from .resize import bicubic, imresize

#: ``method(lr_y, scale)``: (h, w) in 0…1 → (h·scale, w·scale), about 0…1.
Method = Callable[[np.ndarray, int], np.ndarray]

SCALES = (2, 3, 4)
#: The protocol in one line, kept with every recorded number.
PROTOCOL = ("uint8 luma, mod-crop, float LR by MATLAB bicubic with antialiasing and "
            "clamped borders, uint8 output, crop = scale")  # fmt: skip
#: One picture: PSNR in dB, SSIM, and the seconds the method took.
Score = namedtuple("Score", "name psnr_db ssim seconds")


def degrade(
    image: np.ndarray, scale: int, *, kind: str = "y", colour: str = "y",
    border: str = "clamp", lr_uint8: bool = False,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Steps 1–3: the HR image that is to be restored, and its LR image.

    Parameters
    ----------
    image : uint8 (H, W), (H, W, 3) or (H, W, 4).
    scale : 2, 3 or 4; ValueError for another one, or for an unfit picture.
    kind : of luma, see `images.luma`.
    colour : ``"y"``; ``"ycbcr"`` or ``"rgb"`` for three planes, see `images.planes`.
    border : see `resize.resize_matrix`.
    lr_uint8 : round the LR image to 8 bits. The protocol does not; only the paper's
        bicubic row on BSD200 needs it.

    Returns
    -------
    hr : uint8 (H', W') or (H', W', 3); H' and W' are multiples of `scale`.
    lr : float64 (H'/scale, W'/scale) or with three planes, about 0…1.
    """
    if scale not in SCALES:
        raise ValueError(f"scale must be 2, 3 or 4, not {scale}")
    hr = luma(image, kind) if colour == "y" else planes(image, colour)
    hr = modcrop(hr, scale)
    if not hr.size:
        raise ValueError(f"a picture of {np.shape(image)} has no pixels at x{scale}")
    if lr_uint8:
        return hr, imresize(hr, 1 / scale, border=border) / 255.0
    return hr, imresize(hr / 255.0, 1 / scale, border=border)


def pair(image: np.ndarray, scale: int, colour="y") -> tuple[np.ndarray, np.ndarray]:
    """What SRCNN is given and what it should return, to train and validate.

    For the parameters see `degrade`.  Returns the bicubic image and the HR image, both
    float32 in about 0…1 and (H', W'), or (H', W', 3) for three planes.
    """
    hr, lr = degrade(image, scale, colour=colour)
    return bicubic(lr, scale).astype(np.float32), (hr / 255.0).astype(np.float32)


def score(
    method: Method, image: np.ndarray, scale: int, *, name: str = "", **choices
) -> Score:
    """All steps for one picture; `choices` are kind, border, lr_uint8 of `degrade`.

    Raises ValueError when SSIM's window does not fit into the cropped picture.
    """
    hr_y, lr_y = degrade(image, scale, **choices)
    if min(hr_y.shape) < 11 + 2 * scale:
        raise ValueError(
            f"a picture of {image.shape[0]}×{image.shape[1]} pixels is too "
            f"small to measure at x{scale}; {12 + 3 * scale} would do"
        )
    began = time.perf_counter()
    sr_y = method(lr_y, scale)
    seconds = time.perf_counter() - began
    sr_y = to_uint8(np.asarray(sr_y, dtype=float) * 255)
    measured = [measure(hr_y, sr_y, crop=scale) for measure in (psnr, ssim)]
    return Score(name, *measured, seconds)


def evaluate(
    method: Method, images: Mapping[str, np.ndarray], scale: int, *,
    on_score: Callable[[Score], None] = lambda score: None, **choices,
) -> list[Score]:  # fmt: skip
    """Score a method on every picture, uint8 by name, such as a `datasets.Dataset`.

    `on_score` is called with each `Score`, to show progress; `choices` are those of
    `score`.  Raises ValueError for a bad scale, or an unfit picture, which it names.
    """
    scores = []
    for name in images:
        try:
            scores.append(score(method, images[name], scale, name=name, **choices))
        except ValueError as e:
            raise ValueError(f"{name}: {e}") from None
        on_score(scores[-1])
    return scores


def mean(scores: list[Score]) -> tuple[float, float]:
    """Mean PSNR in dB and mean SSIM."""
    psnr_db, ssim_ = np.mean([(s.psnr_db, s.ssim) for s in scores], axis=0)
    return float(psnr_db), float(ssim_)


def psnr(hr_img, sr_img, *, crop: int = 0, peak: float = 255.0) -> float:
    """Peak signal-to-noise ratio in dB; infinite for equal pictures.

    Raises ValueError when shapes differ or nothing is left.

    Parameters
    ----------
    hr_img, sr_img : arrays (H, W) or (H, W, C), in the range 0…`peak`.
    crop : pixels left out on each side (the paper: the scale).
    """
    hr, sr = _cropped(hr_img, sr_img, crop)
    mse = np.mean((hr - sr) ** 2)
    with np.errstate(divide="ignore"):
        return float(10 * np.log10(peak**2 / mse))


def ssim(hr_img, sr_img, *, crop: int = 0, peak: float = 255.0) -> float:
    """Structural similarity, at most 1: 11×11 Gaussian window, σ = 1.5.

    The parameters are those of `psnr`, but of pictures (H, W).  Raises ValueError when
    shapes differ or fewer than 11×11 pixels are left after the crop.

    Source: Wang et al., IEEE TIP 13(4), 2004, section III-C; means over the windows
    that lie wholly inside, population covariance.
    """
    hr, sr = _cropped(hr_img, sr_img, crop)
    if min(hr.shape) < 11:
        raise ValueError(f"SSIM needs 11×11 pixels, not {hr.shape}")
    choices = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return float(structural_similarity(hr, sr, data_range=peak, **choices))


def _cropped(hr_img, sr_img, crop: int) -> list[np.ndarray]:
    """Both pictures as float64, without `crop` pixels on each side."""
    shape = np.shape(hr_img)
    if shape != np.shape(sr_img):
        raise ValueError(f"shapes differ: {shape} and {np.shape(sr_img)}")
    if 2 * crop >= min(shape[:2]):
        raise ValueError(f"a border of {crop} pixels leaves nothing of {shape}")
    inner = [slice(crop, n - crop) for n in shape[:2]]
    return [np.asarray(image)[*inner].astype(float) for image in (hr_img, sr_img)]
