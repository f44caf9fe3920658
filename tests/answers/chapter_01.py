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


ANSWERS = {
    "1.1": (
        psnr,
        {
            "you forgot the border crop": uncropped,
            "the peak is 255": lambda h, s, c: psnr(h, s, c) - 20 * math.log10(255),
            "mean of the squares": lambda h, s, c: 2 * psnr(h, s, c),
        },
    ),
}
