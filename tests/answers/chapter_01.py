import math

import numpy as np


def psnr(hr_255, sr_255, crop):
    height, width = hr_255.shape
    total = 0.0
    for r in range(crop, height - crop):
        for c in range(crop, width - crop):
            total += (hr_255[r, c] - sr_255[r, c]) ** 2
    mse = total / ((height - 2 * crop) * (width - 2 * crop))
    return 20 * math.log10(255 / math.sqrt(mse))


def mse(error):
    return (error**2).mean()


def by_mean(mean, peak=255, log=np.log10):
    """An answer from another mean of the cropped error."""
    return lambda h, s, c: 10 * log(peak**2 / mean((h - s)[c:-c, c:-c]))


def luma(rgb_255):
    red, green, blue = np.moveaxis(rgb_255 / 255, -1, 0)
    return 16 + 65.481 * red + 128.553 * green + 24.966 * blue


def mixed(rgb_255, of_red=65.738):
    red, green, blue = np.moveaxis(rgb_255, -1, 0)
    return of_red * red + 129.057 * green + 25.064 * blue


def weighed(*weights):
    return lambda rgb_255: sum(weights[k] * rgb_255[..., k] for k in range(3))


jpeg_luma = weighed(0.299, 0.587, 0.114)


def other_hr(first, second, P):
    return second + P @ (first - second) @ P.T


def modcrop(img, scale, count=math.floor):
    height, width = (count(n / scale) * scale for n in img.shape[:2])
    return img[:height, :width]


def filled_up(img, scale):
    after = [(0, -n % scale) for n in img.shape[:2]] + [(0, 0)]
    return np.pad(img, after[: img.ndim], mode="edge")


ANSWERS = {
    "1.1": (psnr, {
        "uncropped": lambda h, s, c: 10 * np.log10(255**2 / mse(h - s)),
        "two-sides": lambda h, s, c: 10 * np.log10(255**2 / mse((h - s)[c:, c:])),
        "rows-only": lambda h, s, c: 10 * np.log10(255**2 / mse((h - s)[c:-c])),
        "peak-1": lambda h, s, c: psnr(h, s, c) - 20 * math.log10(255),
        "brightest": lambda h, s, c: by_mean(mse, h.max())(h, s, c),
        "half": by_mean(lambda error: 255 * np.sqrt(mse(error))),
        "mean-first": by_mean(lambda error: error.mean() ** 2),
        "result-digits": lambda h, s, c: round(psnr(h, s, c), 2),
        "peak-root": by_mean(mse, 255**0.5),
        "sum": by_mean(lambda error: sum(error.ravel() ** 2)),
        "mse": lambda h, s, c: mse((h - s)[c:-c, c:-c]),
        "twice": lambda h, s, c: 2 * psnr(h, s, c),
        "upside-down": lambda h, s, c: -psnr(h, s, c),
        "natural": by_mean(mse, log=np.log),
        "absolute": by_mean(lambda error: np.abs(error).mean() ** 2),
        "variance": by_mean(lambda error: error.var()),
    }),
    "1.2": (luma, {
        "full-range": jpeg_luma, "hdtv": weighed(0.2126, 0.7152, 0.0722),
        "rgb2gray": weighed(0.2125, 0.7154, 0.0721),
        "white-271": lambda rgb: jpeg_luma(rgb) + 16,
        "offset": lambda rgb: luma(rgb) - 16, "bgr": lambda bgr: luma(bgr[..., ::-1]),
        "undivided": lambda rgb: luma(255 * rgb),
        "mean": lambda rgb: rgb.sum(axis=2) / 3,
        "digit": lambda rgb: 16 + mixed(rgb, 64.738) / 256,
        "weights-256": lambda rgb: 16 + mixed(rgb) / 255,
        "divided-256": lambda rgb: 16 + (luma(rgb) - 16) * 255 / 256,
        "rounded": lambda rgb: luma(rgb).round(),
        "cut-off": lambda rgb: luma(rgb).astype(np.uint8),
    }),
    "1.3": (other_hr, {
        "first": lambda first, second, P: first.copy(),
        "exchanged": lambda first, second, P: other_hr(second, first, P),
        "kept-twice": lambda first, second, P: second + P @ first @ P.T,
        "counted-twice": lambda f, s, P: f + (s - P @ s @ P.T),
        "one-side": lambda f, s, P: s + P @ (f - s),
        "detail-alone": lambda f, s, P: s - P @ s @ P.T,
        "part": lambda f, s, P: P @ f @ P.T + (s - P @ s) - (s - P @ s) @ P.T,
        "no-detail": lambda first, second, P: P @ (first @ P.T),
    }),
    "1.4": (6.02, {
        "amplitude": 3.01, "std": 12.04, "sign": -6.02, "factor": 4.0, "ratio": 2,
        "same": 0.0, "result-nearly": 6.065, "result-other": 8.0, "result-text": "6.02",
    }),
    "1.5": (modcrop, {
        "top-left": lambda img, s: img[len(img) % s :, img.shape[1] % s :],
        "rows-only": lambda img, s: img[: len(img) // s * s],
        "columns-only": lambda img, s: img[:, : img.shape[1] // s * s],
        "small": lambda i, s: i[: len(i) // s, : i.shape[1] // s],
        "every-nth": lambda img, s: img[::s, ::s],
        "middle": lambda i, s: modcrop(i[len(i) % s // 2:, i.shape[1] % s // 2:], s),
        "nearest": lambda img, s: modcrop(img, s, round),
        "whole-scale": lambda img, s: img[:-s, :-s], "filled": filled_up,
        "emptied": lambda i, s: i[: -(len(i) % s), : -(i.shape[1] % s)],
    }),
}  # fmt: skip
