"""Checks of chapter 1, on measuring super-resolution."""

import numpy as np

from exercises import Function, Value


def _pictures(generator):
    shape = tuple(generator.integers(12, 24, size=2))
    hr_255 = generator.uniform(0, 255, shape)
    sr_255 = hr_255 + generator.normal(0, 9, shape) + 3
    return hr_255, sr_255, int(generator.integers(2, 5))


def _mse(error):
    return np.mean(error**2)


def _psnr(hr_255, sr_255, crop, peak=255.0, size=_mse):
    """`size` : of the error, as a square."""
    inner = (slice(crop, -crop or None),) * 2
    return 10 * np.log10(peak**2 / size((hr_255 - sr_255)[inner]))


def _rows_only(hr_255, sr_255, crop):
    return _psnr(hr_255[crop:-crop], sr_255[crop:-crop], 0)


def _one_side(hr_255, sr_255, crop):
    return _psnr(hr_255[crop:, crop:], sr_255[crop:, crop:], 0)


#: For division by 256, as programs in whole numbers have it.
STUDIO_256 = np.array([65.738, 129.057, 25.064])
STUDIO = np.array([65.481, 128.553, 24.966])
FULL = np.array([0.299, 0.587, 0.114])
HDTV = np.array([0.2126, 0.7152, 0.0722])
HDTV_SCIKIT = np.array([0.2125, 0.7154, 0.0721])


def _colours(generator):
    height, width = generator.integers(5, 9, size=2)
    return (generator.uniform(0, 255, (height, width + 3, 3)),)


def _luma(rgb_255, weights=STUDIO, offset=16):
    return rgb_255 @ weights / 255 + offset


def _patches(generator):
    size, small = int(generator.integers(8, 12)), int(generator.integers(3, 5))
    R = generator.normal(size=(small, size))
    P = np.linalg.pinv(R) @ R
    return generator.normal(size=(size, size)), generator.normal(size=(size, size)), P


def _seen(patch, P):
    return P @ patch @ P.T


def _both_sides(first, second, P):
    left = np.eye(len(P)) - P
    return _seen(first, P) + left @ second @ left.T


def _uneven(generator):
    """On one side as much is left over as can be, on the other more than half, so
    that each way of cutting shows, each time."""
    scale = int(generator.integers(3, 6))
    more = generator.integers(scale // 2 + 1, scale)
    rest = generator.permutation([scale - 1, more])
    height, width = scale * generator.integers(4, 7, size=2) + rest
    shape = (int(height), int(width) + 2 * scale, 3)
    return generator.uniform(0, 255, shape), scale


def _cut(img, scale):
    height, width = img.shape[:2]
    return img[: height - height % scale, : width - width % scale]


def _cut_around(img, scale):
    height, width = _cut(img, scale).shape[:2]
    top, left = (img.shape[0] - height) // 2, (img.shape[1] - width) // 2
    return img[top : top + height, left : left + width]


def _cut_nearest(img, scale):
    height, width = (round(size / scale) * scale for size in img.shape[:2])
    return img[:height, :width]


def _filled_up(img, scale):
    missing = [(0, -size % scale) for size in img.shape[:2]]
    return np.pad(img, [*missing, (0, 0)], mode="edge")


def _keeps_multiples(answer):
    img = np.ones((6, 9, 3))
    if np.shape(answer(img, 3)) != img.shape:
        return (
            "emptied",
            "an image whose sides can be divided must stay whole. `[:-0]` is "
            "empty.",
        )


EXERCISES = {}

EXERCISES["1.1"] = Function(_psnr, _pictures, faults={
    "uncropped": ("you forgot the border crop: your value equals the uncropped one.",
        lambda hr, sr, crop: _psnr(hr, sr, 0)),
    "two-sides": ("crop all four borders, not only the first rows and columns.",
        _one_side),
    "rows-only": ("crop the columns too, not only the rows.", _rows_only),
    "peak-1": ("the peak is 255, because grey levels go from 0 to 255.",
        lambda hr, sr, crop: _psnr(hr, sr, crop, peak=1.0)),
    "brightest": ("the peak is 255 for every image. Yours is the brightest pixel of "
        "this image.", lambda hr, sr, crop: _psnr(hr, sr, crop, peak=hr.max())),
    "half": ("10 log₁₀ takes the ratio of squares. Yours takes its root, so the "
        "result is half of what it should be.",
        lambda hr, sr, crop: _psnr(hr, sr, crop) / 2),
    "mean-first": ("square first, then take the mean: otherwise errors of opposite "
        "sign cancel.", lambda *a: _psnr(*a, size=lambda error: error.mean() ** 2)),
    "peak-root": ("the error is squared, so the peak must be squared too (255²).",
        lambda hr, sr, crop: _psnr(hr, sr, crop, peak=255**0.5)),
    "sum": ("PSNR uses the mean of the squares. Yours is their sum, which grows "
        "with the image.", lambda *a: _psnr(*a, size=lambda error: (error**2).sum())),
    "mse": ("that is the MSE. PSNR is 10 log₁₀ of 255² divided by the MSE.",
        lambda hr, sr, crop: _mse((hr - sr)[crop:-crop, crop:-crop])),
    "twice": ("use 10 log₁₀ for a ratio of squares, or 20 log₁₀ for its root. Yours "
        "uses 20 for the squares.", lambda hr, sr, crop: 2 * _psnr(hr, sr, crop)),
    "upside-down": ("PSNR rises when the error falls. Your ratio is upside down.",
        lambda hr, sr, crop: -_psnr(hr, sr, crop)),
    "natural": ("the logarithm has base 10. Yours is the natural logarithm.",
        lambda hr, sr, crop: _psnr(hr, sr, crop) * np.log(10)),
    "absolute": ("PSNR uses the mean of the squares. Yours is the mean of the "
        "absolute errors.",
        lambda *a: _psnr(*a, size=lambda error: np.abs(error).mean() ** 2)),
    "variance": ("you subtract the mean of the error, so an image that is too bright "
        "everywhere would lose nothing.", lambda *a: _psnr(*a, size=np.var)),
})  # fmt: skip

EXERCISES["1.2"] = Function(_luma, _colours, atol=1e-3, faults={
    "full-range": ("that is full range, 0…255, as in JPEG. The paper's luma is in "
        "studio range, 16…235.", lambda rgb: rgb @ FULL),
    "hdtv": ("those are the weights of HDTV (BT.709). The paper uses BT.601.",
        lambda rgb: rgb @ HDTV),
    "rgb2gray": ("those are the weights of scikit-image's rgb2gray, from HDTV. "
        "The paper uses BT.601.", lambda rgb: rgb @ HDTV_SCIKIT),
    "white-271": ("the offset is right, but white becomes 271. In studio range the "
        "weights are smaller and sum to 219.", lambda rgb: rgb @ FULL + 16),
    "offset": ("the offset is missing. Black is 16 in studio range.",
        lambda rgb: _luma(rgb, offset=0)),
    "bgr": ("your channels are in the order B, G, R, as OpenCV reads them.",
        lambda rgb: _luma(rgb[..., ::-1])),
    "undivided": ("the weights are for colours in 0…1, so divide by 255 first.",
        lambda rgb: rgb @ STUDIO + 16),
    "mean": ("the mean of three channels is not luma. Green counts most.",
        lambda rgb: rgb.mean(axis=-1)),
    "weights-256": ("the weights with 65.738 are for division by 256. For 255, use "
        "65.481.", lambda rgb: _luma(rgb, STUDIO_256)),
    "divided-256": ("the weights with 65.481 are for division by 255. Yours divides "
        "by 256.", lambda rgb: _luma(rgb, STUDIO * 255 / 256)),
    "rounded": ("don't round here. The protocol rounds once, at its end.",
        lambda rgb: np.floor(_luma(rgb) + 0.5)),
    "cut-off": ("that cuts the decimals off. Don't round here.",
        lambda rgb: np.floor(_luma(rgb))),
    "digit": ("one digit of a weight is wrong. Red has 65.481, which is 65.738 in "
        "units of 1/256.", lambda rgb: _luma(rgb, STUDIO - [255 / 256, 0, 0])),
})  # fmt: skip

EXERCISES["1.3"] = Function(
    lambda first, second, P: _seen(first, P) + second - _seen(second, P),
    _patches, faults={
    "first": ("that is the first patch. The detail has to come from the second.",
        lambda first, second, P: first),
    "exchanged": ("that has the LR patch of the second patch. Exchange the two.",
        lambda first, second, P: _seen(second, P) + first - _seen(first, P)),
    "kept-twice": ("you add the whole second patch. Subtract the part of it that "
        "shrinking sees.", lambda first, second, P: _seen(first, P) + second),
    "counted-twice": ("you keep the whole first patch, its detail too. Keep P first Pᵀ "
        "alone.",
        lambda first, second, P: first + second - _seen(second, P)),
    "one-side": ("shrinking works on rows and on columns. Multiply by P on the left "
        "and by its transpose on the right.",
        lambda first, second, P: P @ first + second - P @ second),
    "detail-alone": ("this is only the detail. Add the part P first Pᵀ of the first.",
        lambda first, second, P: second - _seen(second, P)),
    "part": ("some detail is missing. Take all of the second patch except P second "
        "Pᵀ.", _both_sides),
    "no-detail": ("this has no detail. Add the detail of the second patch.",
        lambda first, second, P: _seen(first, P)),
})  # fmt: skip

EXERCISES["1.4"] = Value(lambda: 10 * np.log10(4), atol=0.03, faults={
    "amplitude": ("the error falls to half and its square to a quarter. 10 log₁₀ "
        "takes the squares.", lambda: 10 * np.log10(2)),
    "std": ("the error falls to half, not to a quarter. Only the variance is "
        "divided by four.", lambda: 20 * np.log10(4)),
    "sign": ("PSNR rises when the noise gets weaker.", lambda: -10 * np.log10(4)),
    "factor": ("that is the factor. Give the answer in decibels.", 4),
    "ratio": ("that is the factor of the RMS error. Give the answer in decibels.",
        2),
    "same": ("the scene is the same, but the noise is not. Part of it cancels in "
        "the mean.", 0),
})  # fmt: skip

EXERCISES["1.5"] = Function(_cut, _uneven, property=_keeps_multiples, faults={
    "top-left": ("cut rows at the bottom and columns at the right. Yours are cut at "
        "the top and left, so the pixel grids don't line up.",
        lambda img, s: img[img.shape[0] % s :, img.shape[1] % s :]),
    "rows-only": ("cut the columns too, not only the rows.",
        lambda img, s: img[: img.shape[0] - img.shape[0] % s]),
    "columns-only": ("cut the rows too, not only the columns.",
        lambda img, s: img[:, : img.shape[1] - img.shape[1] % s]),
    "small": ("that is the size of the LR image. Cut, don't shrink.",
        lambda img, s: img[: img.shape[0] // s, : img.shape[1] // s]),
    "every-nth": ("that takes every third pixel or so. Cut, don't shrink.",
        lambda img, s: img[::s, ::s]),
    "middle": ("cut nothing at the top and left. Yours keeps the middle, so the "
        "pixel grids don't line up.", _cut_around),
    "nearest": ("round down. The nearest multiple may be larger than the image.",
        _cut_nearest),
    "whole-scale": ("you cut more than necessary. Cut the remainder of each side, not "
        "a whole scale.", lambda img, s: img[:-s, :-s]),
    "filled": ("cut the image. Yours is filled up to the next multiple.",
        _filled_up),
})  # fmt: skip
