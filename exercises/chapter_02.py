"""Checks of chapter 2, on bicubic interpolation."""

import math

import numpy as np

from exercises import Function, Value


def _keys(x, a=-0.5):
    x = np.abs(x)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))


_DISTANCES = np.array([4, 1, 2, 5]) / 3
_FOUR = _keys(_DISTANCES)


def _near_branch_only():
    return 1.5 * _DISTANCES**3 - 2.5 * _DISTANCES**2 + 1


def _sizes(generator):
    """Never a whole ratio: there the sums would be the same in every row."""
    return int(generator.choice([11, 13, 17])), int(generator.integers(5, 8))


def _place(taps, n_in, border):
    """Input pixels for taps, some beyond the border; -1 where it has none."""
    if border == "clamp":
        return taps.clip(0, n_in - 1)
    if border == "drop":
        return np.where((taps >= 0) & (taps < n_in), taps, -1)
    if border == "wrap":
        return taps % n_in
    if border == "reflect":  # … c b | a b c: the edge pixel is not repeated
        taps = taps % (2 * n_in - 2)
        return np.minimum(taps, 2 * n_in - 2 - taps)
    taps = taps % (2 * n_in)
    return np.minimum(taps, 2 * n_in - 1 - taps)


def _matrix(
    n_in, n_out, *, a=-0.5, stretch=None, width=None, start=0.5, back=0.5,
    inverse=False, divide="sum", border="mirror", add=True, kernel=None,
):  # fmt: skip
    """The matrix of today's MATLAB, and with one thing wrong, its mistakes."""
    stretch = min(1.0, n_out / n_in) if stretch is None else stretch
    width = 4 / stretch if width is None else width
    u = (np.arange(n_out) + start) * n_in / n_out - back
    if inverse:
        u = (np.arange(n_out) + start) * n_out / n_in - back
    taps = np.floor(u - width / 2)[:, None] + np.arange(math.ceil(width) + 2)
    distances = u[:, None] - taps
    weights = kernel(stretch * distances) if kernel else _keys(stretch * distances, a)
    inside = (-width / 2 <= distances) & (distances < width / 2)
    weights = np.where(inside, weights, 0)
    columns = _place(taps.astype(int), n_in, border)
    weights = np.where(columns < 0, 0, weights)
    if divide == "sum":
        weights = weights / weights.sum(axis=1, keepdims=True)
    elif divide == "stretch":
        weights = weights * stretch
    matrix = np.zeros((n_out, n_in))
    for i in range(n_out):
        for j, weight in zip(columns[i], weights[i], strict=True):
            if j >= 0:
                matrix[i, j] = (matrix[i, j] if add else 0) + weight
    return matrix


def _linear(x):
    return np.maximum(1 - np.abs(x), 0)


def _when_enlarging(matrix_of):
    n_in, n_out = 6, 15
    try:
        got = np.asarray(matrix_of(n_in, n_out), dtype=float)
    except Exception as error:
        told = f"it shrinks right, but to enlarge 6 pixels to 15 it raised {error!r}."
        return "enlarging-raised", told
    if got.shape == (n_out, n_in):
        if np.allclose(got, _matrix(n_in, n_out)):
            return None
        if np.allclose(got, _matrix(n_in, n_out, stretch=n_out / n_in)):
            return (
                "enlarging-narrower",
                "it shrinks right, but it makes the kernel narrower when it enlarges. "
                "`widen` is never below 1.",
            )
    return "enlarging", "it shrinks right, but enlarging 6 pixels to 15 goes wrong."


def _rows_of_quarters(n_out, weights):
    """A matrix (n_out, 2 n_out + 2) with exact products, so that halves occur."""
    matrix = np.zeros((n_out, 2 * n_out + 2))
    for i in range(n_out):
        matrix[i, 2 * i : 2 * i + 4] = weights
    return matrix


def _integer_picture(generator):
    height, width = generator.integers(4, 7, size=2)
    R = _rows_of_quarters(int(height), (-0.25, 0.75, 0.75, -0.25))
    C = _rows_of_quarters(int(width) + 4, (-0.25, 1.0, 0.5, -0.25))
    shape = (R.shape[1], C.shape[1])
    img = generator.integers(0, 256, shape)
    extreme = generator.integers(0, 2, shape) * 255
    img = np.where(generator.uniform(size=shape) < 0.5, img, extreme)
    return img.astype(np.uint8), R, C


def _half_up(x):
    return np.floor(x + 0.5)


def _limit(x):
    return np.clip(x, 0, 255)


def _two_passes(img, R, C, first, last=None):
    """`first` on the result of the first pass, `last` on that of the second."""
    return (last or first)(first(R @ img.astype(float)) @ C.T)


def _matlab(x):
    return _limit(_half_up(x))


def _width_first(img, R, C):
    return _two_passes(img.T, C, R, _matlab).T


EXERCISES = {}

EXERCISES["2.1"] = Value(_FOUR, atol=6e-4, rtol=0, faults={
    "reversed": ("these are the right weights in the wrong order. The pixel lies "
        "nearest to the second of its four neighbours.", _FOUR[::-1]),
    "a-0.75": ("this is the kernel with a = −0.75, OpenCV's and PyTorch's.",
        _keys(_DISTANCES, a=-0.75)),
    "a-1": ("this is the kernel with a = −1; MATLAB's is −0.5.",
        _keys(_DISTANCES, a=-1.0)),
    "nearest": ("this is the nearest pixel alone, but the cubic reaches to distance 2.",
        (0, 1, 0, 0)),
    "linear": ("these are the weights of linear interpolation. The cubic reaches "
        "to distance 2.", (0, 2 / 3, 1 / 3, 0)),
    "near-branch": ("the outer two lie beyond distance 1, so use the second line of "
        "the formula there.", _near_branch_only),
    "sign": ("the outer two are negative.", np.abs(_FOUR)),
    "sum": ("right in 27ths, but the weights must sum to one.", 27 * _FOUR),
})  # fmt: skip

EXERCISES["2.2"] = Function(_matrix, _sizes, property=_when_enlarging, faults={
    "centre": ("everything is shifted: output pixel i has its centre at i + ½, not i.",
        lambda n, m: _matrix(n, m, start=0.0, back=0.0)),
    "half": ("everything is shifted by half an input pixel: input pixel j has its "
        "centre at j + ½, so subtract ½ again.", lambda n, m: _matrix(n, m, back=0.0)),
    "four-taps": ("you use only the four nearest pixels. When you shrink, the wider "
        "kernel reaches more of them.", lambda n, m: _matrix(n, m, width=4)),
    "narrower": ("the kernel becomes narrower, but when you shrink it must become "
        "wider.", lambda n, m: _matrix(n, m, stretch=n / m)),
    "inverse": ("an output pixel is n_in / n_out input pixels wide, but you have "
        "n_out / n_in.", lambda n, m: _matrix(n, m, inverse=True)),
    "linear": ("this is linear interpolation, but Keys' kernel is a cubic.",
        lambda n, m: _matrix(n, m, kernel=_linear)),
    "antialias": ("there is no antialiasing. When you shrink, the kernel must be "
        "wider.", lambda n, m: _matrix(n, m, stretch=1.0)),
    "sum": ("the rows do not sum to one. Divide each row by its sum.",
        lambda n, m: _matrix(n, m, divide="")),
    "nearly": ("the rows sum to one only nearly. Divide by the sum itself, not by n_in "
        "/ n_out.", lambda n, m: _matrix(n, m, divide="stretch")),
    "clamp": ("the border is clamped, as at the time of the paper. Mirror it.",
        lambda n, m: _matrix(n, m, border="clamp")),
    "reflect": ("the mirror is half a pixel off. It must repeat the edge pixel, so "
        "pixel −1 is pixel 0.", lambda n, m: _matrix(n, m, border="reflect")),
    "wrap": ("pixels left of pixel 0 come from the other end, because negative "
        "indices count from the end.", lambda n, m: _matrix(n, m, border="wrap")),
    "drop": ("weights beyond the border are left out. Give them to the pixels in the "
        "mirror.", lambda n, m: _matrix(n, m, border="drop")),
    "overwritten": ("several weights fall on one pixel near the border. Add them, "
        "because now the last one overwrites the others.",
        lambda n, m: _matrix(n, m, add=False)),
    "a-0.75": ("this is the kernel with a = −0.75; MATLAB's is −0.5.",
        lambda n, m: _matrix(n, m, a=-0.75)),
})  # fmt: skip

EXERCISES["2.3"] = Function(
    lambda img, R, C: _two_passes(img, R, C, _matlab), _integer_picture, faults={
    "once": ("it is rounded once, at the end, but MATLAB rounds after each pass.",
        lambda img, R, C: _two_passes(img, R, C, lambda x: x, _matlab)),
    "unrounded": ("nothing is rounded.",
        lambda img, R, C: _two_passes(img, R, C, lambda x: x)),
    "clipped-only": ("the result stays within 0 and 255, but is not rounded.",
        lambda img, R, C: _two_passes(img, R, C, _limit)),
    "width-first": ("the width comes first here, but MATLAB begins with the height.",
        _width_first),
    "even": ("np.round takes 2.5 to 2, the even neighbour. MATLAB rounds halves "
        "up.", lambda img, R, C: _two_passes(img, R, C, lambda x: _limit(np.round(x)))),
    "cut-off": ("the decimals are cut off, not rounded.",
        lambda img, R, C: _two_passes(img, R, C, lambda x: np.floor(_limit(x)))),
    "wrapped": ("values below 0 or above 255 wrap around. Clip them before they become "
        "uint8.",
        lambda img, R, C: _two_passes(img, R, C, lambda x: _half_up(x) % 256)),
    "first-unrounded": ("the first pass is clipped but not rounded.",
        lambda img, R, C: _two_passes(img, R, C, _limit, _matlab)),
    "first-only": ("only the first pass is rounded and clipped.",
        lambda img, R, C: _two_passes(img, R, C, _matlab, lambda x: x)),
    "first-unclipped": ("after the first pass the values are rounded but not clipped "
        "to 0…255, but a uint8 image cannot hold them.",
        lambda img, R, C: _two_passes(img, R, C, _half_up, _matlab)),
    "unclipped": ("the values are rounded but not clipped to 0…255.",
        lambda img, R, C: _two_passes(img, R, C, _half_up)),
})  # fmt: skip
