import math
import statistics

import numpy as np


def by_scale(average):
    """An answer from the way to one scale's average."""

    def entries(values, printed, digits):
        ours = [average(list(column), digits) for column in values.T]
        gaps = [round(a - b, digits) for a, b in zip(ours, printed)]
        return ours, gaps

    return entries


right = by_scale(lambda v, digits: round(sum(v) / len(v), digits))


def averages(rounded, gaps):
    """Averages rounded or not, and the differences made by `gaps`."""

    def entries(values, printed, digits):
        means = np.mean(values, axis=0)
        return means.round(digits if rounded else 9), gaps(means, printed, digits)

    return entries


ANSWERS = {
    "A.1": (right, {
        "rounded-first": by_scale(
            lambda v, d: round(statistics.mean(round(each, d) for each in v), d)),
        "cut-off": by_scale(
            lambda v, d: math.floor(statistics.mean(v) * 10**d) / 10**d),
        "unrounded-difference": averages(True, lambda ours, p, d: ours - p),
        "unrounded": averages(False, lambda ours, p, d: ours - p),
        "sign": averages(True, lambda ours, p, d: (p - ours.round(d)).round(d)),
        "two-digits": lambda v, p, digits: right(v, p, 2),
        "median": by_scale(lambda v, digits: round(statistics.median(v), digits)),
    }),
}  # fmt: skip
