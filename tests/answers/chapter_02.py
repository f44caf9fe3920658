import math

import numpy as np


def k(x, a=-0.5):
    x = abs(x)
    if x > 2:
        return 0.0
    if x > 1:
        return a * (x**3 - 5 * x**2 + 8 * x - 4)
    return (a + 2) * x**3 - (a + 3) * x**2 + 1


def clamped(j, n):
    return min(max(j, 0), n - 1)


def mirrored(j, n):
    while not 0 <= j < n:
        j = -1 - j if j < 0 else 2 * n - 1 - j
    return j


def mirrored_at_the_centre(j, n):
    while not 0 <= j < n:
        j = -j if j < 0 else 2 * n - 2 - j
    return j


def loops(n_in, n_out, where=mirrored, normal=True, stretch=None, a=-0.5):
    if stretch is None:
        stretch = n_out / n_in if n_out < n_in else 1
    out = np.zeros((n_out, n_in))
    for i in range(n_out):
        u = (i + 0.5) * n_in / n_out - 0.5
        total = 0
        for j in range(-3 * n_in, 4 * n_in):
            w = k(stretch * (u - j), a)
            total += w
            if where(j, n_in) is not None:
                out[i, where(j, n_in)] += w
        if normal:
            out[i] /= total
    return out


def shifted(n_in, n_out, half=0.0):
    out = np.zeros((n_out, n_in))
    for i in range(n_out):
        u = (i + half) * n_in / n_out
        for j in range(-2 * n_in, 3 * n_in):
            out[i, mirrored(j, n_in)] += k((u - j) * n_out / n_in)
    return out / out.sum(1)[:, None]


def left_out(n_in, n_out):
    out = np.array(
        [
            [k((i + 0.5) - (j + 0.5) * n_out / n_in) for j in range(n_in)]
            for i in range(n_out)
        ]
    )
    return out / out.sum(axis=1, keepdims=True)


def by_the_other_end(n_in, n_out):
    return loops(n_in, n_out, where=lambda j, n: j % n)


def times_scale(n_in, n_out):
    return loops(n_in, n_out, normal=False) * n_out / n_in


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
        columns = [mirrored(int(j), n_in) for j in taps[i]]
        out[i, columns] = weights[i]
    return out


def always_stretched(n_in, n_out):
    return loops(n_in, n_out, stretch=n_out / n_in)


def four_taps(n_in, n_out):
    """Weights of the wider kernel, for the usual four pixels."""
    R = np.zeros((n_out, n_in))
    for i in range(n_out):
        u = (i + 0.5) * n_in / n_out - 0.5
        for j in range(math.floor(u) - 1, math.floor(u) + 3):
            R[i, mirrored(j, n_in)] += k(min(1, n_out / n_in) * (u - j))
    return R / R.sum(axis=1, keepdims=True)


def upside_down(n_in, n_out):
    R = np.zeros((n_out, n_in))
    for i in range(n_out):
        u = (i + 0.5) * n_out / n_in - 0.5
        for j in range(-2 * n_in, 3 * n_in):
            R[i, mirrored(j, n_in)] += k((u - j) * n_out / n_in)
    return R / R.sum(axis=1, keepdims=True)


def linear(n_in, n_out):
    R = np.zeros((n_out, n_in))
    for i in range(n_out):
        for j in range(-2 * n_in, 3 * n_in):
            distance = abs((i + 0.5) - (j + 0.5) * n_out / n_in)
            R[i, mirrored(j, n_in)] += max(0, 1 - distance)
    return R / R.sum(axis=1, keepdims=True)


def only_shrinks(n_in, n_out):
    assert n_out < n_in
    return loops(n_in, n_out)


def uint8(x):
    return np.minimum(np.maximum(np.floor(x + 0.5), 0), 255).astype(np.uint8)


def matlab_loops(img, R, C):
    out = np.zeros((len(R), len(C)), np.uint8)
    tall = np.zeros((len(R), img.shape[1]))
    for i in range(len(R)):
        for j in range(img.shape[1]):
            value = sum(R[i, p] * int(img[p, j]) for p in range(len(img)))
            tall[i, j] = min(max(math.floor(value + 0.5), 0), 255)
    for i in range(len(R)):
        for j in range(len(C)):
            value = sum(C[j, q] * tall[i, q] for q in range(img.shape[1]))
            out[i, j] = min(max(math.floor(value + 0.5), 0), 255)
    return out


def even(img, R, C):
    tall = (R @ img).round().clip(0, 255)
    return (tall @ C.T).round().clip(0, 255)


def cut_off(img, R, C):
    tall = (R @ img).clip(0, 255).astype(np.uint8)
    return (tall @ C.T).clip(0, 255).astype(np.uint8)


def wrapped(img, R, C):
    tall = np.floor(R @ img + 0.5).astype(np.int64).astype(np.uint8)
    return np.floor(tall @ C.T + 0.5).astype(np.int64).astype(np.uint8)


def clipped_late(img, R, C):
    tall = np.floor(R @ img + 0.5)
    return np.floor(tall @ C.T + 0.5).clip(0, 255).astype(np.uint8)


def never_clipped(img, R, C):
    tall = np.floor(R @ img + 0.5)
    return np.floor(tall @ C.T + 0.5).astype(int)


ANSWERS = {
    "2.1": ((-0.074074, 0.777778, 0.333333, -0.037037), {
        "reversed": (-1 / 27, 9 / 27, 21 / 27, -2 / 27),
        "a-0.75": [k(d, -0.75) for d in (4 / 3, 1 / 3, 2 / 3, 5 / 3)],
        "a-1": [k(d, -1) for d in (4 / 3, 1 / 3, 2 / 3, 5 / 3)],
        "nearest": (0, 1, 0, 0), "result-only-2-3": (-0.1, 0.7778, 0.3333, -0.01),
        "result-none": (0.1, 0.4, 0.4, 0.1), "linear": (0, 2 / 3, 1 / 3, 0),
        "near-branch": tuple((1.5 * d ** 3 - 2.5 * d ** 2 + 1 for d in (4 / 3, 1 / 3, 2 / 3, 5 / 3))),
        "sign": (0.0741, 0.7778, 0.3333, 0.0370), "sum": (-2, 21, 9, -1),
    }),
    "2.2": (loops, {
        "centre": shifted, "half": lambda n, m: shifted(n, m, half=0.5),
        "four-taps": four_taps, "narrower": lambda n, m: loops(n, m, stretch=n / m),
        "inverse": upside_down, "linear": linear,
        "antialias": lambda n, m: loops(n, m, stretch=1),
        "sum": lambda n, m: loops(n, m, normal=False), "nearly": times_scale,
        "clamp": lambda n, m: loops(n, m, where=clamped),
        "reflect": lambda n, m: loops(n, m, where=mirrored_at_the_centre),
        "wrap": by_the_other_end, "drop": left_out, "overwritten": overwritten,
        "a-0.75": lambda n, m: loops(n, m, a=-0.75),
        "enlarging-narrower": always_stretched, "enlarging-raised": only_shrinks,
    }),
    "2.3": (matlab_loops, {
        "once": lambda img, R, C: uint8(R @ img @ C.T),
        "unrounded": lambda img, R, C: R @ img @ C.T,
        "clipped-only": lambda img, R, C: ((R @ img).clip(0, 255) @ C.T).clip(0, 255),
        "width-first": lambda img, R, C: uint8(R @ uint8(img @ C.T)), "even": even,
        "cut-off": cut_off, "wrapped": wrapped,
        "first-unrounded": lambda img, R, C: uint8((R @ img).clip(0, 255) @ C.T),
        "first-only": lambda img, R, C: uint8(R @ img) @ C.T,
        "first-unclipped": clipped_late, "unclipped": never_clipped,
    }),
}  # fmt: skip
