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


def uncropped(hr_255, sr_255, crop):
    return 10 * np.log10(255**2 / ((hr_255 - sr_255) ** 2).mean())


def half_cropped(hr_255, sr_255, crop):
    error = hr_255[crop:, crop:] - sr_255[crop:, crop:]
    return 10 * np.log10(255**2 / (error**2).mean())


def mean_absolute(hr_255, sr_255, crop):
    error = np.abs(hr_255 - sr_255)[crop:-crop, crop:-crop]
    return 10 * np.log10(255**2 / error.mean() ** 2)


def summed(hr_255, sr_255, crop):
    squares = (hr_255 - sr_255)[crop:-crop, crop:-crop] ** 2
    return 10 * np.log10(255**2 / sum(squares.ravel()))


def small_peak(hr_255, sr_255, crop):
    return 10 * np.log10(255 / mse(hr_255, sr_255, crop))


def mse(hr_255, sr_255, crop):
    return ((hr_255 - sr_255)[crop:-crop, crop:-crop] ** 2).mean()


def variance(hr_255, sr_255, crop):
    error = (hr_255 - sr_255)[crop:-crop, crop:-crop]
    return 10 * np.log10(255**2 / error.var())


def root_in_ten(hr_255, sr_255, crop):
    return 10 * np.log10(255 / np.sqrt(mse(hr_255, sr_255, crop)))


def brightest(hr_255, sr_255, crop):
    return 10 * np.log10(hr_255.max() ** 2 / mse(hr_255, sr_255, crop))


def mean_squared(hr_255, sr_255, crop):
    error = (hr_255 - sr_255)[crop:-crop, crop:-crop]
    return 10 * np.log10(255**2 / error.mean() ** 2)


def rows_cropped(hr_255, sr_255, crop):
    error = hr_255[crop:-crop] - sr_255[crop:-crop]
    return 10 * np.log10(255**2 / (error**2).mean())


def natural(hr_255, sr_255, crop):
    error = (hr_255 - sr_255)[crop:-crop, crop:-crop]
    return 10 * np.log(255**2 / (error**2).mean())


def luma(rgb_255):
    red, green, blue = np.moveaxis(rgb_255 / 255, -1, 0)
    return 16 + 65.481 * red + 128.553 * green + 24.966 * blue


def copied_luma(rgb_255):
    red, green, blue = np.moveaxis(rgb_255, -1, 0)
    return 16 + (64.738 * red + 129.057 * green + 25.064 * blue) / 256


def mixed_luma(rgb_255):
    red, green, blue = np.moveaxis(rgb_255 / 255, -1, 0)
    return 16 + 65.738 * red + 129.057 * green + 25.064 * blue


def bgr_luma(rgb_255):
    blue, green, red = np.moveaxis(rgb_255 / 255, -1, 0)
    return 16 + 65.481 * red + 128.553 * green + 24.966 * blue


def jpeg_luma(rgb_255):
    return 0.299 * rgb_255[..., 0] + 0.587 * rgb_255[..., 1] + 0.114 * rgb_255[..., 2]


def unscaled_luma(rgb_255):
    red, green, blue = np.moveaxis(rgb_255, -1, 0)
    return 16 + 65.481 * red + 128.553 * green + 24.966 * blue


def tv_luma(rgb_255, weights=(0.2126, 0.7152, 0.0722)):
    return sum(weights[k] * rgb_255[..., k] for k in range(3))


def unseen_twice(first, second, P):
    detail = second - P @ second
    return P @ first @ P.T + detail - detail @ P.T


def middle(img, scale):
    up, left = (img.shape[0] % scale) // 2, (img.shape[1] % scale) // 2
    out = img[up:, left:]
    return out[: img.shape[0] // scale * scale, : img.shape[1] // scale * scale]


def nearest(img, scale):
    height, width = (round(n / scale) * scale for n in img.shape[:2])
    return img[:height, :width]


def other_hr(first, second, P):
    difference = first - second
    return second + P @ difference @ P.T


def modcrop(img, scale):
    height = img.shape[0] // scale * scale
    width = img.shape[1] // scale * scale
    return img[:height, :width]


def from_the_start(img, scale):
    height = img.shape[0] // scale * scale
    width = img.shape[1] // scale * scale
    return img[-height:, -width:]


def filled_up(img, scale):
    height = math.ceil(img.shape[0] / scale) * scale
    width = math.ceil(img.shape[1] / scale) * scale
    rows = np.minimum(np.arange(height), img.shape[0] - 1)
    columns = np.minimum(np.arange(width), img.shape[1] - 1)
    return img[rows][:, columns]


ANSWERS = {
    "1.1": (psnr, {
        "uncropped": uncropped, "two-sides": half_cropped,
        "peak-1": lambda h, s, c: psnr(h, s, c) - 20 * math.log10(255),
        "rows-only": rows_cropped, "brightest": brightest, "half": root_in_ten,
        "mean-first": mean_squared,
        "result-digits": lambda h, s, c: round(psnr(h, s, c), 2),
        "peak-root": small_peak, "sum": summed, "mse": mse,
        "twice": lambda h, s, c: 2 * psnr(h, s, c),
        "upside-down": lambda h, s, c: -psnr(h, s, c), "natural": natural,
        "absolute": mean_absolute, "variance": variance,
    }),
    "1.2": (luma, {
        "full-range": jpeg_luma, "hdtv": tv_luma,
        "rgb2gray": lambda rgb: tv_luma(rgb, (0.2125, 0.7154, 0.0721)),
        "white-271": lambda rgb: jpeg_luma(rgb) + 16,
        "offset": lambda rgb: luma(rgb) - 16, "bgr": bgr_luma,
        "undivided": unscaled_luma, "mean": lambda rgb: rgb.sum(axis=2) / 3,
        "digit": copied_luma, "weights-256": mixed_luma,
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
        "detail-alone": lambda f, s, P: s - P @ s @ P.T, "part": unseen_twice,
        "no-detail": lambda first, second, P: P @ (first @ P.T),
    }),
    "1.4": (6.02, {
        "amplitude": 3.01, "std": 12.04, "sign": -6.02, "factor": 4.0, "ratio": 2,
        "same": 0.0, "result-nearly": 6.065, "result-other": 8.0, "result-text": "6.02",
    }),
    "1.5": (modcrop, {
        "top-left": from_the_start,
        "rows-only": lambda img, s: img[: len(img) // s * s],
        "columns-only": lambda img, s: img[:, : img.shape[1] // s * s],
        "small": lambda i, s: i[: len(i) // s, : i.shape[1] // s],
        "every-nth": lambda img, s: img[::s, ::s], "middle": middle, "nearest": nearest,
        "whole-scale": lambda img, s: img[:-s, :-s], "filled": filled_up,
        "emptied": lambda i, s: i[: -(len(i) % s), : -(i.shape[1] % s)],
    }),
}  # fmt: skip
