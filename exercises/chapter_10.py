"""Checks of chapter 10, on ablations."""

import numpy as np

from exercises import Function, Value


def _runs(generator):
    n = int(generator.integers(3, 9))
    luck = generator.normal(27, 0.3, n)
    a, b = luck + generator.normal(0, 0.05, (2, n))
    return a, b + generator.uniform(0.05, 0.3)


def _difference(a, b, ddof=1):
    gains = b - a
    return gains.mean(), gains.std(ddof=ddof) / np.sqrt(len(gains))


def _backwards(a, b):
    mean, error = _difference(a, b)
    return -mean, error


def _deviation(a, b):
    return (b - a).mean(), (b - a).std(ddof=1)


def _by_n(a, b):
    return (b - a).mean(), (b - a).std(ddof=1) / len(a)


def _unpaired(a, b):
    return (b - a).mean(), np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / len(a))


def _of_one(a, b):
    return (b - a).mean(), b.std(ddof=1) / np.sqrt(len(b))


def _network(generator):
    layers = int(generator.integers(3, 6))
    f = tuple(int(k) for k in generator.choice([3, 5, 7, 9], size=layers))
    n = tuple(int(k) for k in generator.choice([8, 12, 16, 24], size=layers - 1))
    return f, n


def _weights(f, n, power=2):
    maps = (1, *n, 1)
    return sum(maps[k] * maps[k + 1] * f[k] ** power for k in range(len(f)))


def _window(f):
    return sum(f) - len(f) + 1


EXERCISES = {}

EXERCISES["10.1"] = Function(_difference, _runs, faults={
    "sign": ("the difference is b minus a.", _backwards),
    "deviation": ("that is the standard deviation; the mean of n has an error smaller "
        "by the root of n.", _deviation),
    "by-n": ("the standard deviation is divided by the root of n, not by n.", _by_n),
    "ddof": ("a few runs spread by n - 1: ddof=1.",
        lambda a, b: _difference(a, b, ddof=0)),
    "unpaired": ("the runs come in pairs: take the spread of the differences, not of a "
        "and b.", _unpaired),
    "of-one": ("that is the error of b alone; take the spread of the differences.",
        _of_one),
})  # fmt: skip

EXERCISES["10.2"] = Function(
    lambda f, n: (_weights(f, n), _window(f)), _network, faults={
    "biases": ("biases are counted; only weights are asked for.",
        lambda f, n: (_weights(f, n) + sum(n) + 1, _window(f))),
    "squares": ("a filter of f×f has f² weights for each pair of maps.",
        lambda f, n: (_weights(f, n, power=1), _window(f))),
    "widths": ("each layer adds f - 1 pixels to the window, not f.",
        lambda f, n: (_weights(f, n), sum(f))),
    "own-pixel": ("the window has its own pixel too: one more than the layers add.",
        lambda f, n: (_weights(f, n), _window(f) - 1)),
    "widest": ("all layers together see more than the widest filter does.",
        lambda f, n: (_weights(f, n), max(f))),
    "last-layer": ("the last layer, to one picture, is missing in the weights.",
        lambda f, n: (_weights(f, n) - n[-1] * f[-1] ** 2, _window(f))),
    "one-map": ("each filter of a layer reaches over all maps of the layer before.",
        lambda f, n: (sum(b * k**2 for b, k in zip((*n, 1), f)), _window(f))),
})  # fmt: skip

EXERCISES["10.3"] = Value(8, faults={
    "one-mean": ("the second mean has an error too: the difference has the root of two "
        "times that of one.", 4),
    "once": ("that makes the difference once its error; it should be twice.", 2),
    "both": ("that is the number of runs of both variants together.", 16),
    "square": ("the error falls with the root of n: twice as good needs four times as "
        "many seeds, and two means double that.", 3),
})  # fmt: skip
