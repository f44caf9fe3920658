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


def mean(column, digits):
    return round(sum(column) / len(column), digits)


def rounded_first(column, digits):
    return round(statistics.mean(round(value, digits) for value in column), digits)


def cut_off(column, digits):
    return math.floor(statistics.mean(column) * 10**digits) / 10**digits


def median(column, digits):
    return round(statistics.median(column), digits)


def unrounded(values, printed, digits):
    means = np.mean(values, axis=0)
    return means, means - printed


def unrounded_difference(values, printed, digits):
    means = np.mean(values, axis=0)
    return means.round(digits), means - printed


def paper_minus_ours(values, printed, digits):
    ours = np.mean(values, axis=0).round(digits)
    return ours, (printed - ours).round(digits)


ANSWERS = {
    "A.1": (by_scale(mean), {
        "rounded-first": by_scale(rounded_first), "cut-off": by_scale(cut_off),
        "unrounded-difference": unrounded_difference, "unrounded": unrounded,
        "sign": paper_minus_ours,
        "two-digits": lambda v, p, digits: by_scale(mean)(v, p, 2),
        "median": by_scale(median),
    }),
}  # fmt: skip
