"""Checks of chapter 5, on the network and its convolutions."""

import numpy as np

from exercises import Function, Value


def _layer(generator):
    n, c = generator.choice([2, 3, 4], size=2, replace=False)
    f = int(generator.choice([3, 5]))
    height, width = generator.integers(6, 10, size=2)
    maps = generator.normal(size=(c, height, width + 3))
    return maps, generator.normal(size=(n, c, f, f)), generator.normal(size=n)


def _valid(maps, weight, bias):
    f = weight.shape[-1]
    windows = np.lib.stride_tricks.sliding_window_view(maps, (f, f), axis=(1, 2))
    return np.einsum("chwij,ncij->nhw", windows, weight) + bias[:, None, None]


def _same(maps, weight, bias, mode="edge"):
    half = weight.shape[-1] // 2
    wide = np.pad(maps, ((0, 0), (half, half), (half, half)), mode=mode)
    return _valid(wide, weight, bias)


def _cost(f, n, channels, height, width, *, squared=True, shrink=True, late=False):
    """Weights, and multiplications without padding."""
    ins, outs = (channels, *n), (*n, channels)
    weights = multiplications = 0
    for size, i, o in zip(f, ins, outs, strict=True):
        here = i * o * (size**2 if squared else size)
        if shrink and not late:
            height, width = height - size + 1, width - size + 1
        weights += here
        multiplications += here * height * width
        if shrink and late:
            height, width = height - size + 1, width - size + 1
    return weights, multiplications


def _networks(generator):
    f = tuple(int(x) for x in generator.choice([3, 5, 7, 9], size=3))
    n = tuple(int(x) for x in generator.integers(2, 40, size=2))
    size = generator.integers(25, 60, size=2)
    return f, n, int(generator.integers(2, 4)), int(size[0]), int(size[1]) + 40


def _with_biases(f, n, channels, height, width):
    weights, multiplications = _cost(f, n, channels, height, width)
    return weights + sum(n) + channels, multiplications


def _alone(f, n, channels, height, width):
    """As if each filter had one input map."""
    total = work = 0
    for size, out in zip(f, (*n, channels), strict=True):
        height, width = height - size + 1, width - size + 1
        total += out * size**2
        work += out * size**2 * height * width
    return total, work


def _pairs_of_layers(generator):
    n = int(generator.integers(2, 5))
    f1, f2 = (int(f) for f in generator.choice([2, 3, 4, 5], 2, replace=False))
    return generator.normal(size=(n, f1, f1)), generator.normal(size=(n, f2, f2))


def _one_filter(first, second):
    f1, f2 = first.shape[-1], second.shape[-1]
    out = np.zeros((f1 + f2 - 1, f1 + f2 - 1))
    for a, b in zip(first, second, strict=True):
        for i in range(f2):
            for j in range(f2):
                out[i : i + f1, j : j + f1] += b[i, j] * a
    return out


def _stored(generator):
    c, n = generator.choice([2, 3, 4, 5], size=2, replace=False)
    f = int(generator.choice([3, 5]))
    return (generator.normal(size=(c, f * f, n)),)


def _from_matlab(stored):
    c, ff, n = stored.shape
    f = round(ff**0.5)
    return stored.transpose(2, 0, 1).reshape(n, c, f, f).swapaxes(2, 3)


def _rows_first(stored):
    return _from_matlab(stored).swapaxes(2, 3)


def _reshaped(stored):
    c, ff, n = stored.shape
    f = round(ff**0.5)
    return stored.reshape(n, c, f, f)


EXERCISES = {}

EXERCISES["5.1"] = Value((11_360, 17), faults={
    "widths": ("the count is right; but each layer after the first adds its width less "
        "one to what a pixel sees, not its width.", (11_360, 19)),
    "shared": ("the count is right; but where two filters meet they share a pixel: 11 "
        "+ 7 is one too many.", (11_360, 18)),
    "one-side": ("the count is right; but that is how far to one side, and without the "
        "pixel itself.", (11_360, 8)),
    "deeper": ("the count is right; but a 1×1 layer looks no farther: it adds 0, and "
        "the last layer 6.", (11_360, 16)),
    "biases": ("the paper counts weights without the biases; the width is right.",
        (11_457, 17)),
    "9-1-5": ("those are the numbers of 9-1-5.", (8_032, 13)),
    "one-map": ("the width is right; but each filter of layer 2 has 64 input maps, and "
        "that of layer 3 has 32.", (64 * 121 + 32 + 49, 17)),
    "squares": ("the width is right; but a filter of width f has f² weights per input "
        "map.", (64 * 11 + 64 * 32 + 32 * 7, 17)),
})  # fmt: skip

EXERCISES["5.2"] = Function(_cost, _networks, faults={
    "biases": ("the biases are counted; the paper counts weights alone.", _with_biases),
    "one-map": ("each filter has a weight for every one of its input maps: layer k has "
        "n_in · n_out · f² weights.", _alone),
    "squares": ("a filter is f wide and f high: f² weights per input map.",
        lambda *a: _cost(*a, squared=False)),
    "exchanged": ("weights come first, then multiplications.",
        lambda *a: _cost(*a)[::-1]),
    "padded": ("the weights are right, but without padding each layer's output is "
        "smaller by f − 1 in height and width.", lambda *a: _cost(*a, shrink=False)),
    "input-size": ("the weights are right, but a layer computes only the pixels of its "
        "output: shrink first, then multiply.", lambda *a: _cost(*a, late=True)),
})  # fmt: skip

EXERCISES["5.3"] = Function(_same, _layer, faults={
    "no-bias": ("the bias is missing.", lambda m, w, b: _same(m, w, np.zeros_like(b))),
    "flipped": ("the filter is flipped: networks slide it as it is.",
        lambda m, w, b: _same(m, w[:, :, ::-1, ::-1], b)),
    "transposed": ("the filter is transposed: its rows meet the picture's columns.",
        lambda m, w, b: _same(m, w.swapaxes(2, 3), b)),
    "zeros": ("the border is padded with zeros; the authors' code repeats the edge "
        "pixels.", lambda m, w, b: _same(m, w, b, "constant")),
    "mirror": ("the border is a mirror image; the authors' code repeats the edge "
        "pixels.", lambda m, w, b: _same(m, w, b, "reflect")),
    "first-map": ("only the first input map is used: sum over all of them.",
        lambda m, w, b: _same(m[:1], w[:, :1], b)),
    "valid": ("the result is smaller than the input by f − 1: repeat the edge pixels "
        "first.", _valid),
})  # fmt: skip

EXERCISES["5.4"] = Function(_one_filter, _pairs_of_layers, faults={
    "flipped": ("this filter is upside down: the answer to a single bright pixel is "
        "the filter, flipped.", lambda a, b: _one_filter(a, b)[::-1, ::-1]),
    "one-flipped": ("one of each pair of filters is flipped; with correlations the "
        "offsets add up: out[i + k, j + l] gets first[i, j] · second[k, l].",
        lambda a, b: _one_filter(a, b[:, ::-1, ::-1])),
    "both-flipped": ("this is one of the two flipped, and the result too.",
        lambda a, b: _one_filter(a[:, ::-1, ::-1], b)),
    "first-map": ("only the first map is there: the second layer sums over all of "
        "them.", lambda a, b: _one_filter(a[:1], b[:1])),
    "mean": ("this is the mean over the maps; the second layer takes their sum.",
        lambda a, b: _one_filter(a, b) / len(a)),
    "mixed": ("the maps are mixed: map k goes with second[k] only.",
        lambda a, b: _one_filter(a.sum(0, keepdims=True), b.sum(0, keepdims=True))),
})  # fmt: skip

EXERCISES["5.5"] = Function(_from_matlab, _stored, faults={
    "transposed": ("each filter is transposed: MATLAB writes a matrix column by "
        "column.", _rows_first),
    "reshaped": ("reshape alone mixes up filters, maps and pixels: move the axes to "
        "(n, c, f²) first.", _reshaped),
    "flipped": ("each filter is turned upside down; neither side flips filters.",
        lambda s: _from_matlab(s)[:, :, ::-1, ::-1]),
    "exchanged": ("the order is (input maps, filters, …); Conv2d wants (filters, input "
        "maps, f, f).", lambda s: _from_matlab(s).swapaxes(0, 1)),
})  # fmt: skip
