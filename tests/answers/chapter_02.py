import math

import numpy as np


def k(x, a=-0.5):
    x = abs(x)
    if x > 2:
        return 0.0
    if x > 1:
        return a * (x**3 - 5 * x**2 + 8 * x - 4)
    return (a + 2) * x**3 - (a + 3) * x**2 + 1


def mirrored(j, n, at=1):
    """`at`: twice the distance from the first pixel's centre to the mirror."""
    while not 0 <= j < n:
        j = -at - j if j < 0 else 2 * n - 2 + at - j
    return j


def centre(i, ratio):
    return (i + 0.5) * ratio - 0.5


def loops(n_in, n_out, where=mirrored, normal=True, stretch=None, kernel=k, at=centre):
    stretch = stretch or min(1, n_out / n_in)
    out = np.zeros((n_out, n_in))
    for i in range(n_out):
        for j in range(-3 * n_in, 4 * n_in):
            if where(j, n_in) is not None:
                weight = kernel(stretch * (at(i, n_in / n_out) - j))
                out[i, where(j, n_in)] += weight
    return out / out.sum(axis=1, keepdims=True) if normal else out


def overwritten(n_in, n_out):
    """The page's row_matrix without np.add.at."""
    stretch = n_out / n_in
    width = 4 / stretch
    u = (np.arange(n_out) + 0.5) * n_in / n_out - 0.5
    taps = np.floor(u - width / 2)[:, None] + np.arange(math.ceil(width) + 2)
    weights = np.vectorize(k)(stretch * (u[:, None] - taps))
    weights /= weights.sum(axis=1, keepdims=True)
    out = np.zeros((n_out, n_in))
    for i in range(n_out):
        out[i, [mirrored(int(j), n_in) for j in taps[i]]] = weights[i]
    return out


def four_taps(n_in, n_out):
    """Weights of the wider kernel, for the usual four pixels."""
    R = np.zeros((n_out, n_in))
    for i in range(n_out):
        u = centre(i, n_in / n_out)
        for j in range(math.floor(u) - 1, math.floor(u) + 3):
            R[i, mirrored(j, n_in)] += k(min(1, n_out / n_in) * (u - j))
    return R / R.sum(axis=1, keepdims=True)


def rows_by_loops(R, img):
    out = np.zeros((len(R), img.shape[1]), np.uint8)
    for i, j in np.ndindex(out.shape):
        value = sum(R[i, p] * int(img[p, j]) for p in range(len(img)))
        out[i, j] = min(max(math.floor(value + 0.5), 0), 255)
    return out


def matlab_loops(img, R, C):
    return rows_by_loops(C, rows_by_loops(R, img).T).T


def half_up(x):
    return np.floor(x + 0.5)


def limit(x):
    return np.minimum(np.maximum(x, 0), 255)


def uint8(x):
    return limit(half_up(x)).astype(np.uint8)


def each(first, last=None):
    """An answer from what is done after each pass."""
    return lambda img, R, C: (last or first)(first(R @ img) @ C.T)


THIRDS = (4 / 3, 1 / 3, 2 / 3, 5 / 3)
ANSWERS = {
    "2.1": ((-0.074074, 0.777778, 0.333333, -0.037037), {
        "reversed": (-1 / 27, 9 / 27, 21 / 27, -2 / 27),
        "a-0.75": [k(d, -0.75) for d in THIRDS], "a-1": [k(d, -1) for d in THIRDS],
        "nearest": (0, 1, 0, 0), "result-only-2-3": (-0.1, 0.7778, 0.3333, -0.01),
        "result-none": (0.1, 0.4, 0.4, 0.1), "linear": (0, 2 / 3, 1 / 3, 0),
        "near-branch": tuple(1.5 * d**3 - 2.5 * d**2 + 1 for d in THIRDS),
        "sign": (0.0741, 0.7778, 0.3333, 0.0370), "sum": (-2, 21, 9, -1),
    }),
    "2.2": (loops, {
        "centre": lambda n, m: loops(n, m, at=lambda i, ratio: i * ratio),
        "half": lambda n, m: loops(n, m, at=lambda i, ratio: (i + 0.5) * ratio),
        "four-taps": four_taps, "narrower": lambda n, m: loops(n, m, stretch=n / m),
        "inverse": lambda n, m: loops(n, m, at=lambda i, ratio: centre(i, 1 / ratio)),
        "linear": lambda n, m: loops(n, m, kernel=lambda x: max(0, 1 - abs(x))),
        "antialias": lambda n, m: loops(n, m, stretch=1),
        "sum": lambda n, m: loops(n, m, normal=False),
        "nearly": lambda n, m: loops(n, m, normal=False) * m / n,
        "clamp": lambda n, m: loops(n, m, where=lambda j, n: min(max(j, 0), n - 1)),
        "reflect": lambda n, m: loops(n, m, where=lambda j, n: mirrored(j, n, 0)),
        "wrap": lambda n, m: loops(n, m, where=lambda j, n: j % n),
        "drop": lambda n, m: loops(n, m, where=lambda j, n: j if 0 <= j < n else None),
        "overwritten": overwritten,
        "a-0.75": lambda n, m: loops(n, m, kernel=lambda x: k(x, -0.75)),
        "enlarging-narrower": lambda n, m: loops(n, m, stretch=m / n),
        "enlarging-raised": lambda n, m: loops(n, m) if m < n else 1 / 0,
    }),
    "2.3": (matlab_loops, {
        "once": lambda img, R, C: uint8(R @ img @ C.T),
        "unrounded": lambda img, R, C: R @ img @ C.T, "clipped-only": each(limit),
        "width-first": lambda img, R, C: uint8(R @ uint8(img @ C.T)),
        "even": each(lambda x: limit(x.round())),
        "cut-off": each(lambda x: limit(x).astype(np.uint8)),
        "wrapped": each(lambda x: half_up(x).astype(np.int64).astype(np.uint8)),
        "first-unrounded": each(limit, uint8),
        "first-only": lambda img, R, C: uint8(R @ img) @ C.T,
        "first-unclipped": each(half_up, uint8), "unclipped": each(half_up),
    }),
}  # fmt: skip
