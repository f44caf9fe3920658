"""Checks of chapter 8, on what filters learnt."""

import numpy as np
from scipy.optimize import linear_sum_assignment

from exercises import Function


def _bank(generator, least=4):
    n, f = int(generator.integers(least, 9)), int(generator.choice([3, 5]))
    return generator.normal(size=(n, f, f))


def _bank_and_patches(generator):
    w = _bank(generator)
    d = w.shape[1] ** 2
    mixed = generator.normal(size=(2 * d, d)) @ generator.normal(size=(d, d))
    return w, mixed.T @ mixed / len(mixed)


def _loudness(w, C):
    flat = w.reshape(len(w), -1)
    return np.sqrt(np.einsum("ni,ij,nj->n", flat, C, flat))


def _bank_and_templates(generator):
    w = _bank(generator)
    templates = generator.normal(size=(3, *w.shape[1:])) + 0.7
    return w, templates * generator.uniform(0.4, 2.5, size=(3, 1, 1))


def _flat(w):
    flat = w.reshape(len(w), -1)
    return flat / np.linalg.norm(flat, axis=1, keepdims=True)


def _share(w, templates):
    basis = np.linalg.qr(templates.reshape(len(templates), -1).T)[0]
    return ((_flat(w) @ basis) ** 2).sum(axis=1)


def _share_unscaled(w, templates):
    length = (w.reshape(len(w), -1) ** 2).sum(axis=1)
    return length * _share(w, templates)


def _layers(generator):
    n1, n2 = generator.choice([4, 5, 6, 7], size=2, replace=False)
    keep = generator.uniform(size=n1) < 0.6
    keep[:2] = True, False
    weight = generator.normal(size=(n2, n1))
    return weight, generator.normal(size=n2), generator.uniform(0.1, 1, size=n1), keep


def _without(weight, bias, levels, keep, sign=1):
    return weight[:, keep], bias + sign * weight[:, ~keep] @ levels[~keep]


def _two_banks(generator):
    """Where partners are contested, so that every wrong way of matching shows."""
    f = int(generator.choice([3, 5]))
    while True:
        a = generator.normal(size=(4, f, f)) + 0.5 * generator.normal(size=(f, f))
        b = a[generator.permutation(4)] + generator.normal(size=a.shape)
        b *= generator.choice([-1, 1], size=4)[:, None, None]
        right = _matched(a, b)
        wrong = [way(a, b) for way in (_in_turn, _sign_afterwards, _each_its_best)]
        if min(abs(right - each) for each in wrong) > 1e-3:
            return a, b


def _matched(a, b, magnitude=np.abs):
    cosine = magnitude(_flat(a) @ _flat(b).T)
    return cosine[linear_sum_assignment(cosine, maximize=True)].mean()


def _each_its_best(a, b):
    return np.abs(_flat(a) @ _flat(b).T).max(axis=1).mean()


def _in_turn(a, b):
    """Each takes the best partner that is left."""
    cosine = np.abs(_flat(a) @ _flat(b).T)
    left, total = list(range(len(b))), 0.0
    for row in cosine:
        best = max(left, key=lambda j: row[j])
        left.remove(best)
        total += row[best]
    return total / len(a)


def _sign_afterwards(a, b):
    cosine = _flat(a) @ _flat(b).T
    return np.abs(cosine[linear_sum_assignment(cosine, maximize=True)]).mean()


def _small_network(generator):
    n, f = int(generator.integers(5, 9)), int(generator.choice([3, 5]))
    window = generator.uniform(size=(f, f))
    w1, b1 = generator.normal(size=(n, f, f)), generator.normal(0, 0.8, size=n)
    answers = (w1 * window).sum(axis=(1, 2))
    b1[0] = -1.5 * answers[0]  # here the bias decides
    b1[1] = -answers[1] - 0.3  # and this one is closed
    return window, w1, b1, generator.normal(size=n), float(generator.normal())


def _path(window, w1, b1, w2, b2, *, gate="both", closed_biases=False):
    answers = (w1 * window).sum(axis=(1, 2))
    is_open = {
        "both": answers + b1 > 0, "window": answers > 0, "none": answers > -np.inf
    }[gate]  # fmt: skip
    one = ((is_open * w2)[:, None, None] * w1).sum(axis=0)
    heard = w2 if closed_biases else is_open * w2
    return one * window, (heard * b1).sum() + b2


def _path_as_filter(window, *layers):
    parts, rest = _path(window, *layers)
    return parts / window, rest


def _path_without_last_bias(window, w1, b1, w2, b2):
    parts, rest = _path(window, w1, b1, w2, b2)
    return parts, rest - b2


def _path_without_rest(window, w1, b1, w2, b2):
    return _path(window, w1, b1, w2, b2)[0], b2


EXERCISES = {}

EXERCISES["8.1"] = Function(_loudness, _bank_and_patches, faults={
    "squared": ("this is the variance of the answers: take the root.",
        lambda w, C: _loudness(w, C) ** 2),
    "weights-only": ("this is the length of the weights; it leaves the pictures out.",
        lambda w, C: _loudness(w, np.eye(len(C)))),
    "own-variance": ("this counts each pixel's own variance only; neighbours vary "
        "together, so take all of C.", lambda w, C: _loudness(w, np.diag(np.diag(C)))),
    "whole-c": ("this is the length of C·w; multiplied by the root of C it is the "
        "answer.", lambda w, C: _loudness(w, C @ C)),
    "unit": ("the filters were scaled to length one; the answers come from w as it is.",
        lambda w, C: _loudness(w / np.linalg.norm(w, axis=(1, 2), keepdims=True), C)),
})  # fmt: skip

EXERCISES["8.2"] = Function(_share, _bank_and_templates, faults={
    "overlapping": ("these templates are not orthogonal, so their shares overlap: make "
        "an orthonormal basis of them first.",
        lambda w, t: ((_flat(w) @ _flat(t).T) ** 2).sum(axis=1)),
    "unscaled": ("these templates are neither of length one nor orthogonal: make an "
        "orthonormal basis of them first.",
        lambda w, t: ((_flat(w) @ t.reshape(len(t), -1).T) ** 2).sum(axis=1)),
    "energy": ("this is the energy, not the share of it: scale each filter to length "
        "one.", _share_unscaled),
    "root": ("this is the length of the projection; energy is its square.",
        lambda w, t: np.sqrt(_share(w, t))),
    "single": ("this is the best single template; a family holds all its mixtures.",
        lambda w, t: ((_flat(w) @ _flat(t).T) ** 2).max(axis=1)),
    "rest": ("this is what the family does not hold.", lambda w, t: 1 - _share(w, t)),
})  # fmt: skip

EXERCISES["8.3"] = Function(_without, _layers, faults={
    "biases": ("the weights are right, but the biases still have to take over what the "
        "constant maps added.", lambda w, b, v, keep: (w[:, keep], b)),
    "keep": ("the filters are mixed up: `keep` is True for those that stay.",
        lambda w, b, v, keep: _without(w, b, v, ~keep)),
    "sign": ("the sign is wrong: what the constant maps added is added to the biases.",
        lambda *a: _without(*a, sign=-1)),
    "all-maps": ("the weights are right, but the biases take over the removed maps "
        "only; the maps that stay speak for themselves.",
        lambda w, b, v, keep: (w[:, keep], b + w @ v)),
    "stay": ("the weights are right; the biases take over the maps that go, not those "
        "that stay.", lambda w, b, v, keep: (w[:, keep], b + w[:, keep] @ v[keep])),
    "weights": ("the weights are right; a constant map arrives multiplied by its "
        "weights.", lambda w, b, v, keep: (w[:, keep], b + v[~keep].sum())),
    "levels": ("the weights are right; the level of each map counts too, not only its "
        "weights.", lambda w, b, v, keep: (w[:, keep], b + w[:, ~keep].sum(axis=1))),
})  # fmt: skip

EXERCISES["8.4"] = Function(_matched, _two_banks, faults={
    "signed": ("the sign still counts: take the magnitudes before you match.",
        lambda a, b: _matched(a, b, magnitude=lambda cosine: cosine)),
    "late-sign": ("the pairs were chosen with the sign and only then made positive.",
        _sign_afterwards),
    "twice": ("a filter is used twice: each has one partner.", _each_its_best),
    "twice-first": ("a filter of the first set is used twice: each has one partner.",
        lambda a, b: _each_its_best(b, a)),
    "greedy": ("each takes the best that is left; the sum over pairs is to be largest.",
        _in_turn),
    "sum": ("this is the sum over the pairs, not their mean.",
        lambda a, b: len(a) * _matched(a, b)),
    "in-place-order": ("the filters have no order: find partners, don't compare place "
        "by place.", lambda a, b: np.abs((_flat(a) * _flat(b)).sum(axis=1)).mean()),
})  # fmt: skip

EXERCISES["8.5"] = Function(_path, _small_network, faults={
    "open": ("no ReLU is closed here: a filter whose sum is not positive is stopped.",
        lambda *a: _path(*a, gate="none")),
    "window-only": ("a filter is open when w·x plus its bias is positive; this looks "
        "at w·x alone.", lambda *a: _path(*a, gate="window")),
    "equal": ("each open filter counts by its second weight; here they all count "
        "the same.",
        lambda window, w1, b1, w2, b2: _path(window, w1, b1, np.ones_like(w2), b2)),
    "closed-biases": ("the parts are right, but a closed filter's bias is stopped as "
        "well.", lambda *a: _path(*a, closed_biases=True)),
    "last-bias": ("the parts are right; the output's own bias belongs to the rest.",
        _path_without_last_bias),
    "first-biases": ("the parts are right; the first layer's biases belong to the "
        "rest, those of open filters times their second weights.", _path_without_rest),
    "filter": ("this is the filter that the network is here; multiply it by the "
        "pixels.", _path_as_filter),
})  # fmt: skip
