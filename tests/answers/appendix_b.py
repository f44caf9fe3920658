import math

import numpy as np
import torch
from torch.nn import functional as F


def shrink(y_01, scale, widened=True):
    """Keys' cubic, widened by the scale, clamped, one axis after the other."""

    def keys(x):
        x = abs(x)
        if x <= 1:
            return 1.5 * x**3 - 2.5 * x**2 + 1
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0

    def rows(a):
        n = a.shape[0]
        out = np.zeros((n // scale, a.shape[1]))
        for i in range(n // scale):
            centre = (i + 0.5) * scale - 0.5
            at = range(int(centre) - 2 * scale - 1, int(centre) + 2 * scale + 3)
            wide = scale if widened else 1
            weights = [keys((k - centre) / wide) for k in at]
            for k, weight in zip(at, weights):
                out[i] += weight / sum(weights) * a[min(max(k, 0), n - 1)]
        return out

    return rows(rows(y_01).T).T


def shrink_torch(y_01, scale, mode="bicubic", **options):
    size = [n // scale for n in y_01.shape]
    y = torch.tensor(y_01)[None, None]
    return F.interpolate(y, size=size, mode=mode, **options)[0, 0]


def luma(rgb):
    r, g, b = rgb[:, :, 0] / 255, rgb[:, :, 1] / 255, rgb[:, :, 2] / 255
    return 65.481 * r + 128.553 * g + 24.966 * b + 16


def psnr(a, b, crop, peak=255):
    d = a - b
    if crop:
        d = d[crop:-crop, crop:-crop]
    return 20 * math.log10(peak / math.sqrt((d**2).mean()))


def grey(rgb):
    return 0.2989 * rgb[..., 0] + 0.5870 * rgb[..., 1] + 0.1140 * rgb[..., 2]


def clamp(y, half):
    h, w = y.shape
    out = np.empty((h + 2 * half, w + 2 * half))
    for r in range(h + 2 * half):
        for c in range(w + 2 * half):
            out[r, c] = y[min(max(r - half, 0), h - 1), min(max(c - half, 0), w - 1)]
    return out


def cut(hr, *f):
    for width in f:
        for _ in range(width // 2):
            hr = hr[1:-1, 1:-1]
    return hr


def centres(n_in, scale):
    return [i + (2 * j + 1 - scale) / (2 * scale)
            for i in range(n_in) for j in range(scale)]  # fmt: skip


def best(valid, test):
    chosen = max(range(len(valid)), key=lambda i: valid[i])
    return test[chosen]


ANSWERS = {
    "B.1": (shrink, {
        "antialias": lambda y, s: shrink(y, s, widened=False), "torch": shrink_torch,
        "every-nth": lambda y, s: y[::s, ::s],
        "mean": lambda y, s: shrink_torch(y, s, mode="area"),
        "border": lambda y, s: shrink_torch(y, s, antialias=True),
    }),
    "B.2": (luma, {
        "red": lambda rgb: rgb @ [64.738 / 256, 129.057 / 256, 25.064 / 256] + 16,
        "offset": lambda rgb: luma(rgb) - 16, "full-range": grey,
        "bgr": lambda rgb: luma(rgb[:, :, [2, 1, 0]]),
        "mixed": lambda rgb: (luma(rgb) - 16) * 255 / 256 + 16,
    }),
    "B.3": (lambda h, b, s, c: psnr(h, s, c) - psnr(h, b, c), {
        "bicubic": lambda h, b, s, c: psnr(b, s, c),
        "sign": lambda h, b, s, c: psnr(h, b, c) - psnr(h, s, c),
        "uncropped": lambda h, b, s, c: psnr(h, s, 0) - psnr(h, b, 0),
        "psnr": lambda h, b, s, c: psnr(h, s, c),
    }),
    "B.4": (lambda h, s, c: psnr(luma(h), luma(s), c), {
        "colours": psnr, "full-range": lambda h, s, c: psnr(grey(h), grey(s), c),
        "uncropped": lambda h, s, c: psnr(luma(h), luma(s), 0),
        "full-range/2": lambda h, s, c: psnr(luma(h), luma(s), c, peak=219),
        "peak-235": lambda h, s, c: psnr(luma(h), luma(s), c, peak=235),
    }),
    "B.5": (clamp, {
        "black": np.pad, "mirror": lambda y, n: np.pad(y, n, "reflect"),
        "mirror-edge": lambda y, n: np.pad(y, n, "symmetric"),
        "wrap": lambda y, n: np.pad(y, n, "wrap"),
        "twice": lambda y, n: clamp(y, 2 * n + 1),
    }),
    "B.6": (cut, {
        "top-left": lambda h, a, b, c: h[: 3 - a - b - c, : 3 - a - b - c],
        "all-before": lambda h, a, b, c: h[a + b + c - 3:, a + b + c - 3:],
        "twice": lambda h, a, b, c: cut(cut(h, a, b, c), a, b, c),
        "first-layer": lambda h, a, b, c: cut(h, a),
    }),
    "B.7": (centres, {
        "left-edges": lambda n, s: [k / s for k in range(n * s)],
        "corners": lambda n, s: [k * (n - 1) / (n * s - 1) for k in range(n * s)],
        "from-edge": lambda n, s: [(2 * k + 1) / (2 * s) for k in range(n * s)],
        "large": lambda n, s: list(range(n * s)),
    }),
    "B.8": (lambda network, y: 255 * network(y * (1 / 255)), {
        "undivided": lambda network, y: network(y),
        "unscaled": lambda network, y: network(y / 255.0),
        "divided": lambda network, y: network(y) / 255,
        "multiplied": lambda network, y: network(255 * y) / 255,
    }),
    "B.9": (lambda step, width: step * sum(0.5 for _ in range(width * width)), {
        "same": lambda step, width: step,
        "half": lambda step, width: step * width * width,
        "inverse": lambda step, width: 2 * step / width**2,
        "width": lambda step, width: step * 0.5 * width,
    }),
    "B.10": (best, {
        "test": lambda valid, test: max(test),
        "validation": lambda valid, test: max(valid),
        "last": lambda valid, test: test[-1],
        "index": lambda valid, test: int(np.argmax(valid)),
    }),
}  # fmt: skip
