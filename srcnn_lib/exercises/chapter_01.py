"""Checks of chapter 1, on measuring super-resolution."""

import numpy as np

from srcnn_lib.exercises import Function


def _pictures(generator):
    shape = tuple(generator.integers(12, 24, size=2))
    hr_255 = generator.uniform(0, 255, shape)
    sr_255 = hr_255 + generator.normal(0, 9, shape)
    return hr_255, sr_255, int(generator.integers(2, 5))


def _psnr(hr_255, sr_255, crop, peak=255.0):
    inner = (slice(crop, -crop or None),) * 2
    mse = np.mean((hr_255[inner] - sr_255[inner]) ** 2)
    return 10 * np.log10(peak**2 / mse)


EXERCISES = {
    "1.1": Function(
        right=_psnr,
        arguments=_pictures,
        faults={
            "you forgot the border crop: your value equals the uncropped one.":
                lambda hr, sr, crop: _psnr(hr, sr, 0),
            "the peak is 255, as the grey levels here go from 0 to 255.":
                lambda hr, sr, crop: _psnr(hr, sr, crop, peak=1.0),
            "PSNR has the mean of the squares, not their root: 10 log₁₀, or 20 "
            "log₁₀ of the root.":
                lambda hr, sr, crop: 2 * _psnr(hr, sr, crop),
        },
    ),
}  # fmt: skip
