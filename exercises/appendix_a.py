"""Check of appendix A, on comparing recorded averages with printed ones."""

import numpy as np

from exercises import Function


def _entries(values, printed, digits):
    ours = np.round(values.mean(axis=0), digits)
    return ours, np.round(ours - printed, digits)


def _each_rounded(values, printed, digits):
    return _entries(np.round(values, digits), printed, digits)


def _cut(values, printed, digits):
    ours = np.floor(values.mean(axis=0) * 10**digits) / 10**digits
    return ours, np.round(ours - printed, digits)


def _difference_unrounded(values, printed, digits):
    means = values.mean(axis=0)
    return np.round(means, digits), means - printed


def _nothing_rounded(values, printed, digits):
    means = values.mean(axis=0)
    return means, means - printed


def _turned(values, printed, digits):
    ours, difference = _entries(values, printed, digits)
    return ours, -difference


def _two(values, printed, digits):
    return _entries(values, printed, 2)


def _median(values, printed, digits):
    return _entries(np.median(values, axis=0)[None], printed, digits)


def _column(generator, count, digits, shows):
    """One scale's values, with an average that `shows`, a mistake, gets wrong."""
    low, high = (24, 36) if digits == 1 else (0.7, 0.95)
    while True:
        values = generator.uniform(low, high, (count, 1))
        right = _entries(values, 0, digits)[0]
        half = abs(values.mean() * 10**digits % 1 - 0.5)
        # Near a half, two ways to sum may round apart.
        if half > 1e-5 and abs(shows(values, 0, digits)[0] - right) > 1e-9:
            return values


def _row(generator):
    digits = int(generator.choice([1, 3, 4]))  # not 2, or who always has 2 is right
    count = int(generator.choice([5, 7, 9, 11]))  # odd: rounded ones have no half
    mistakes = generator.permutation([_each_rounded, _cut, _two])
    columns = [_column(generator, count, digits, shows) for shows in mistakes]
    values = np.hstack(columns)
    away = generator.integers(1, 30, 3) * generator.choice([-1, 1], 3)
    printed = np.round(values.mean(axis=0) + away / 10**digits, digits)
    return values, printed, digits


EXERCISES = {}

EXERCISES["A.1"] = Function(_entries, _row, rtol=0, faults={
    "rounded-first": ("every picture is rounded before the mean is taken; round once, "
        "at the end.", _each_rounded),
    "cut-off": ("the digits beyond the last are cut off; the paper rounds.", _cut),
    "unrounded-difference": ("the averages are right, but the differences are those "
        "before rounding; the paper's number was rounded, too.", _difference_unrounded),
    "unrounded": ("nothing is rounded: give both with the digits that the paper "
        "prints.", _nothing_rounded),
    "sign": ("the sign is wrong: the difference is ours minus the paper's.", _turned),
    "two-digits": ("this has two digits, as PSNR is printed; round to as many as "
        "`digits` says.", _two),
    "median": ("these are medians; a table has means.", _median),
})  # fmt: skip
