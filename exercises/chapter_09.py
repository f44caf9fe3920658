"""Checks of chapter 9, on SRCNN as sparse coding."""

import numpy as np

from exercises import Function, Value


def _search(generator):
    n, h, w = (int(size) for size in generator.integers(3, 7, size=3))
    atoms = generator.normal(size=(n, n + 2))
    gram = atoms @ atoms.T
    step = 1 / np.linalg.eigvalsh(gram)[-1]
    codes, heard = generator.normal(size=(2, n, h, w + 7))
    contrast = generator.uniform(1, 3, (h, w + 7))
    return codes, heard, gram, float(step), 0.7, contrast


def _threshold(ahead, theta):
    return np.sign(ahead) * np.maximum(np.abs(ahead) - theta, 0)


def _ahead(codes, heard, gram, step):
    return codes - step * (np.tensordot(gram, codes, 1) - heard)


def _step(codes, heard, gram, step, penalty, contrast):
    return _threshold(_ahead(codes, heard, gram, step), step * penalty * contrast)


def _one_sided(codes, heard, gram, step, penalty, contrast):
    return np.maximum(_ahead(codes, heard, gram, step) - step * penalty * contrast, 0)


def _hard(codes, heard, gram, step, penalty, contrast):
    ahead = _ahead(codes, heard, gram, step)
    return ahead * (np.abs(ahead) > step * penalty * contrast)


def _sum_of_relus(codes, heard, gram, step, penalty, contrast):
    return np.abs(_step(codes, heard, gram, step, penalty, contrast))


def _unscaled(codes, heard, gram, step, penalty, contrast):
    return _threshold(_ahead(codes, heard, gram, step), penalty * contrast)


def _uphill(codes, heard, gram, step, penalty, contrast):
    ahead = _ahead(codes, heard, gram, -step)
    return _threshold(ahead, step * penalty * contrast)


def _dictionary(generator):
    f = int(generator.choice([3, 5, 7]))
    return generator.normal(size=(int(generator.integers(4, 9)), f * f)), f


def _atoms(dictionary, f):
    return dictionary.reshape(1, -1, f, f)


EXERCISES = {}

EXERCISES["9.1"] = Function(_step, _search, faults={
    "one-sided": ("codes of either sign need two ReLUs; yours are never negative, as "
        "with one.", _one_sided),
    "added": ("the second ReLU is subtracted, so that its codes are negative; you "
        "added it.", _sum_of_relus),
    "hard": ("that is a hard threshold: what passes has to come closer to zero by the "
        "threshold too.", _hard),
    "unscaled-threshold": ("the threshold has to be multiplied by the step, as the "
        "gradient is.", _unscaled),
    "uphill": ("the step goes uphill: look at the sign before the gradient G c - b.",
        _uphill),
    "unscaled-slope": ("the step length is missing before the gradient.",
        lambda c, b, g, s, p, m: _threshold(_ahead(c, b, g, 1.0), s * p * m)),
    "contrast": ("the contrast of each place has to multiply its threshold.",
        lambda c, b, g, s, p, m: _step(c, b, g, s, p, np.ones_like(m))),
    "unmixed": ("the codes are not mixed by the Gram matrix: this is the first step, "
        "from zero.", lambda c, b, g, s, p, m: _step(0 * c, b, g, s, p, m)),
})  # fmt: skip

EXERCISES["9.2"] = Function(
    lambda d, f: _atoms(d, f)[..., ::-1, ::-1] / f**2, _dictionary, faults={
    "unturned": ("the atoms have to be turned by 180°: a convolution gathers what "
        "patches scatter.", lambda d, f: _atoms(d, f) / f**2),
    "sum": ("the mean is missing: f·f patches overlap at each pixel.",
        lambda d, f: _atoms(d, f)[..., ::-1, ::-1]),
    "f": ("f·f patches overlap at each pixel, not f.",
        lambda d, f: _atoms(d, f)[..., ::-1, ::-1] / f),
    "transposed": ("the atoms are transposed; they have to be turned by 180°.",
        lambda d, f: _atoms(d, f).swapaxes(2, 3) / f**2),
    "one-axis": ("the atoms are flipped along one axis only; turn them by 180°.",
        lambda d, f: _atoms(d, f)[..., ::-1] / f**2),
    "shape": ("the shape should be (1, n, f, f): one output, and n maps in.",
        lambda d, f: _atoms(d, f)[..., ::-1, ::-1].swapaxes(0, 1) / f**2),
    "times": ("it was multiplied by f·f; going from dictionary to weights divides.",
        lambda d, f: _atoms(d, f)[..., ::-1, ::-1] * f**2),
})  # fmt: skip

EXERCISES["9.6"] = Value((154, 17), faults={
    "rounded-up": ("with one map more than the limit there are more weights, not "
        "fewer: round down.", (155, 18)),
    "pointwise": ("the 1×1 convolution has weights too: 192·r and 64·r.", (191, 63)),
    "equal": ("the 1×1 convolution has weights too, and 192 and 64 would be equal, not "
        "fewer.", (192, 64)),
    "filter-1": ("a filter of 5×5 has 25 weights for each pair of maps.", (27, 0)),
    "filter-5": ("that counts 5 weights for a filter of 5×5; there are 25.", (87, 4)),
    "exchanged": ("the two numbers are the other way round: GoogLeNet first.",
        (17, 154)),
})  # fmt: skip
