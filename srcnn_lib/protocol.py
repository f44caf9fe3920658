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

    `image` is uint8 (H, W), (H, W, 3) or (H, W, 4).  Returns HR, uint8, with H and W
    cut to multiples of `scale`, and LR, float64, about 0…1.  Both have three planes
    where `colour` is "ycbcr" or "rgb", as in `images.planes`.  `kind` is that of
    `images.luma`, `border` that of `resize.resize_matrix`.  `lr_uint8` rounds LR to 8
    bits, which only the paper's bicubic row on BSD200 needs.  Raises ValueError for a
    scale other than 2, 3 or 4, or for an unfit picture.
    """
    if scale not in SCALES:
        raise ValueError(f"scale must be 2, 3 or 4, not {scale}")
    hr = modcrop(luma(image, kind) if colour == "y" else planes(image, colour), scale)
    if not hr.size:
        raise ValueError(f"a picture of {np.shape(image)} has no pixels at x{scale}")
    if lr_uint8:
        return hr, imresize(hr, 1 / scale, border=border) / 255.0
    return hr, imresize(hr / 255.0, 1 / scale, border=border)


def pair(image: np.ndarray, scale: int, colour="y") -> tuple[np.ndarray, np.ndarray]:
    """What SRCNN is given and what it should return, to train and validate: the bicubic
    and the HR image of `degrade`, both float32 (H, W) or (H, W, 3), about 0…1."""
    hr, lr = degrade(image, scale, colour=colour)
    return bicubic(lr, scale).astype(np.float32), (hr / 255.0).astype(np.float32)


def score(method: Method, image: np.ndarray, scale: int, name="", **choices) -> Score:
    """All steps for one picture; `choices` are kind, border, lr_uint8 of `degrade`.
    Raises ValueError when SSIM's window does not fit into the cropped picture."""
    hr_y, lr_y = degrade(image, scale, **choices)
    if min(hr_y.shape) < 11 + 2 * scale:
        size = "×".join(map(str, image.shape[:2]))
        raise ValueError(f"a picture of {size} pixels is too small to measure at "
                         f"x{scale}; {12 + 3 * scale} would do")  # fmt: skip
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
    """`score` a method on every picture, uint8 by name, such as a `datasets.Dataset`.
    `on_score` is called with each, to show progress.  Raises ValueError for a bad
    scale, or an unfit picture, which it names."""
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
    return tuple(np.mean([(s.psnr_db, s.ssim) for s in scores], axis=0).tolist())


def psnr(hr_img, sr_img, *, crop: int = 0, peak: float = 255.0) -> float:
    """Peak signal-to-noise ratio in dB, of pictures (H, W) or (H, W, C) in 0…`peak`;
    infinite where they are equal.  `crop` pixels are left out on each side (the paper:
    the scale).  Raises ValueError when shapes differ or nothing is left."""
    hr, sr = _cropped(hr_img, sr_img, crop)
    mse = np.mean((hr - sr) ** 2)
    with np.errstate(divide="ignore"):
        return float(10 * np.log10(peak**2 / mse))


def ssim(hr_img, sr_img, *, crop: int = 0, peak: float = 255.0) -> float:
    """Structural similarity, at most 1, of pictures (H, W); `crop` and `peak` as of
    `psnr`: the mean over all 11×11 Gaussian windows, σ = 1.5, that lie wholly inside,
    with population covariance.  Raises ValueError when shapes differ or fewer than
    11×11 pixels are left.  Source: Wang et al., IEEE TIP 13(4), 2004, section III-C."""
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
