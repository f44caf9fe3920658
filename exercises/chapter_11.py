"""Checks of chapter 11, on enlarging one's own pictures."""

from math import ceil

import numpy as np

from exercises import Function, Value


def _network(generator):
    more = generator.choice([3, 5, 7], size=int(generator.integers(4, 8)))
    filters = [9, *(int(f) for f in more)]
    scale = int(generator.integers(3, 5))
    while (_reach(filters) + 1) % scale:  # so that each way of rounding shows
        filters.append(3)
    return tuple(filters), scale


def _where_nothing_is_left(margin):
    if margin((9, 1, 5), 3) != 4:
        return (
            "always-up",
            "six large pixels are just two small ones at x3: round up only where "
            "something is left over.",
        )


def _reach(filters):
    return sum((f - 1) // 2 for f in filters)


def _picture(generator):
    rows, margin = (int(n) for n in generator.integers([5, 2], [9, 5]))
    height = rows * int(generator.integers(3, 6)) + int(generator.choice([1, 2]))
    return height, rows, margin


def _bands(height, rows, margin):
    tops = np.arange(0, height, rows)
    kept = np.minimum(rows, height - tops)
    first = np.maximum(0, tops - margin)
    last = np.minimum(height, tops + kept + margin)
    return np.stack([first, last, tops - first, kept], axis=1)


def _columns(plan, **changed):
    plan = plan.copy()
    for name, values in changed.items():
        plan[:, ("first", "last", "thrown", "kept").index(name)] = values
    return plan


def _thrown(height, rows, margin):
    return _columns(_bands(height, rows, margin), thrown=margin)


def _negative(height, rows, margin):
    tops = np.arange(0, height, rows)
    return _columns(_bands(height, rows, margin), first=tops - margin, thrown=margin)


def _beyond(height, rows, margin):
    plan = _bands(height, rows, margin)
    return _columns(plan, last=plan[:, 0] + plan[:, 2] + rows + margin)


def _equal(height, rows, margin):
    return _columns(_bands(height, rows, margin), kept=rows)


def _equal_beyond(height, rows, margin):
    return _columns(_beyond(height, rows, margin), kept=rows)


def _left_out(height, rows, margin):
    return _bands(height, rows, margin)[: height // rows]


def _below_only(height, rows, margin):
    plan = _bands(height, rows, margin)
    return _columns(plan, first=plan[:, 0] + plan[:, 2], thrown=0)


EXERCISES = {}

EXERCISES["11.1"] = Function(
    lambda filters, scale: ceil(_reach(filters) / scale) + 2, _network,
    property=_where_nothing_is_left, faults={
    "bicubic": ("bicubic interpolation reaches two small pixels more.",
        lambda f, s: ceil(_reach(f) / s)),
    "down": ("a part of a small pixel needs all of it: round up.",
        lambda f, s: _reach(f) // s + 2),
    "width": ("a filter reaches half its width to each side, (f - 1) / 2.",
        lambda f, s: ceil(2 * _reach(f) / s) + 2),
    "scale": ("the filters reach over large pixels; divide by the scale.",
        lambda f, s: _reach(f) + 2),
    "widest": ("the reaches of all layers add up; yours is that of the widest filter.",
        lambda f, s: ceil(max(f) // 2 / s) + 2),
    "fraction": ("the margin is a whole number of pixels: round up.",
        lambda f, s: _reach(f) / s + 2),
})  # fmt: skip

EXERCISES["11.2"] = Function(_bands, _picture, faults={
    "kept-beyond": ("the last band reads rows below the picture, and keeps them.",
        _equal_beyond),
    "beyond": ("a band reads rows below the picture: its margin ends where that does.",
        _beyond),
    "negative": ("the first band reads from a negative row, which counts from the end.",
        _negative),
    "thrown": ("at the top of the picture no margin was read, so none is thrown away.",
        _thrown),
    "equal": ("the last band may have fewer rows to keep.", _equal),
    "left-out": ("the rows that are left over need a band of their own.", _left_out),
    "below-only": ("a band needs neighbours above it too, as filters reach both ways.",
        _below_only),
})  # fmt: skip

EXERCISES["11.4"] = Value(59.4 / 2.54 * 300 / 4032, atol=0.006, rtol=1e-4, faults={
    "short-side": ("that fills the short side only; a strip of paper stays white.",
        42.0 / 2.54 * 300 / 3024),
    "inch": ("300 dots are on an inch, of 2.54 cm.", 59.4 * 300 / 4032),
    "inverse": ("that is the other way round: pixels needed, divided by those there "
        "are.", 4032 / (59.4 / 2.54 * 300)),
    "pixels": ("that is how many pixels are needed; the factor is asked for.",
        59.4 / 2.54 * 300),
})  # fmt: skip
