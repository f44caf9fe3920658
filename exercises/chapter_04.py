"""Checks of chapter 4, on neighbours and anchors."""

import numpy as np

from exercises import Function, Value
from exercises.chapter_03 import unit_rows


def _window_and_atoms(generator):
    d, m = (int(n) for n in generator.choice([4, 5, 6, 7, 8], 2, replace=False))
    atoms = int(generator.integers(12, 20))
    lr, hr = unit_rows(generator, (atoms, d)), generator.normal(size=(atoms, m))
    while True:
        x = 2 * generator.normal(size=d)
        count = int(generator.integers(3, 7))
        products = (lr @ x)[_nearest(x, lr, count)]
        if products.min() < 0 < products.max():
            return x, lr, hr, count


def _nearest(x, lr, count):
    return np.argsort(-np.abs(lr @ x))[:count]


def _chosen(x, lr, hr, at, flip_lr=True, flip_hr=True):
    sign = np.sign(lr[at] @ x)[:, None]
    return (
        lr[at] * (sign if flip_lr else 1),
        hr[at] * (sign if flip_hr else 1),
    )


def _neighbours(x, lr, hr, count, **flips):
    return _chosen(x, lr, hr, _nearest(x, lr, count), **flips)


def _signed(x, lr, hr, count):
    at = np.argsort(-(lr @ x))[:count]
    return lr[at], hr[at]


def _least_similar(x, lr, hr, count):
    return _chosen(x, lr, hr, np.argsort(np.abs(lr @ x))[:count])


def _most_last(x, lr, hr, count):
    return _chosen(x, lr, hr, _nearest(x, lr, count)[::-1])


def _all_positive(x, lr, hr, count):
    at = _nearest(x, lr, count)
    return np.abs(lr[at]), np.abs(hr[at])


def _weighed(x, lr, hr, count):
    at = _nearest(x, lr, count)
    products = (lr[at] @ x)[:, None]
    return lr[at] * products, hr[at] * products


def _samples(generator):
    d, m = (int(n) for n in generator.choice([3, 4, 5, 6], 2, replace=False))
    k = int(generator.integers(9, 14))
    N, H = generator.normal(size=(k, d)), generator.normal(size=(k, m))
    return N, H, float(generator.uniform(0.5, 3))


def _projection(N, H, ridge):
    return np.linalg.solve(N.T @ N + ridge * np.eye(N.shape[1]), N.T @ H)


def _ridge_everywhere(N, H, ridge):
    return np.linalg.solve(N.T @ N + ridge, N.T @ H)


def _small_matrix(answer):
    """Without a ridge only the inverse of d×d exists; so one sees which it is."""
    generator = np.random.default_rng(4)
    N, H = generator.normal(size=(40, 3)), generator.normal(size=(40, 5))
    right = _projection(N, H, 0.0)
    try:
        got = answer(N.copy(), H.copy(), 0.0)
        got = np.asarray(got.detach().numpy() if hasattr(got, "detach") else got)
        close = np.allclose(got, right, rtol=1e-6)
    except Exception:
        close = False
    if close:
        return None
    return (
        "large-system",
        "the matrix is right, but it comes from a k×k system, which has no solution "
        "without a ridge and is slow for many samples; use the d×d form.",
    )


def _windows(generator):
    k, d, m = (int(n) for n in generator.choice([5, 6, 7, 8, 9], 3, replace=False))
    n = int(generator.integers(10, 16))
    anchors = unit_rows(generator, (k, d))
    return 3 * generator.normal(size=(n, d)), anchors, generator.normal(size=(k, d, m))


def _by_anchor(x, P, at):
    return np.einsum("nd,ndm->nm", x, P[at])


def _anchored(x, anchors, P):
    return _by_anchor(x, P, np.abs(x @ anchors.T).argmax(axis=1))


def _turned(x, anchors, P):
    products = x @ anchors.T
    at = np.abs(products).argmax(axis=1)
    sign = np.sign(products[np.arange(len(x)), at])
    return sign[:, None] * _by_anchor(x, P, at)


def _unit_windows(x, anchors, P):
    return _anchored(x / np.linalg.norm(x, axis=1, keepdims=True), anchors, P)


def _one_for_all(x, anchors, P):
    return x @ P[np.abs(x @ anchors.T).sum(axis=0).argmax()]


def _of_atom(x, anchors, P):
    at = np.abs(x @ anchors.T).argmax(axis=1)
    return _by_anchor(anchors[at], P, at)


def _known(generator):
    k, m = (int(n) for n in generator.choice([6, 7, 8, 9], 2, replace=False))
    d, n = int(generator.integers(2, 5)), int(generator.integers(10, 14))
    X, Y = generator.normal(size=(k, d)), generator.normal(size=(k, m))
    x = generator.normal(size=(n, d))
    return x, X, Y, float(generator.uniform(0.6, 1.4)), float(generator.uniform(0.1, 1))


def _apart(a, b):
    return np.square(a[:, None] - b).sum(axis=2)


def _bumps(a, b, sigma):
    return np.exp(-_apart(a, b) / (2 * sigma**2))


def _kernel(x, X, Y, sigma, ridge, bumps=_bumps):
    K = bumps(X, X, sigma) + ridge * np.eye(len(X))
    return bumps(x, X, sigma) @ np.linalg.solve(K, Y)


def _ridge_on_bumps(x, X, Y, sigma, ridge):
    return _bumps(x, X, sigma) @ np.linalg.solve(_bumps(X, X, sigma) + ridge, Y)


def _mean_of_known(x, X, Y, sigma, ridge):
    b = _bumps(x, X, sigma)
    return b / b.sum(axis=1, keepdims=True) @ Y


EXERCISES = {}

EXERCISES["4.1"] = Value((0.8, 0.2), faults={
    "sum": ("these weights solve G w = 1, but they don't sum to one yet: divide by "
        "their sum.", (0.5, 0.125)),
    "exact": ("these rebuild x exactly, as least squares does without the condition, "
        "but they don't sum to one.", (6 / 11, 1 / 11)),
    "exchanged": ("the nearer neighbour gets the larger weight; you have them the "
        "other way round.", (0.2, 0.8)),
    "half": ("G holds squared distances, so a neighbour twice as far gets a quarter of "
        "the weight, not a half.", (2 / 3, 1 / 3)),
    "nearest": ("with the nearer one alone x is rebuilt less well than with both.",
        (1, 0)),
    "equal": ("these two are not equally far from x: look at G.", (0.5, 0.5)),
})  # fmt: skip

EXERCISES["4.2"] = Function(_neighbours, _window_and_atoms, faults={
    "neither": ("the atoms are right, but those of negative correlation must be "
        "negated.", lambda *a: _neighbours(*a, flip_lr=False, flip_hr=False)),
    "features-only": ("the large patches must be negated with their features: they "
        "belong together.", lambda *a: _neighbours(*a, flip_hr=False)),
    "patches-only": ("the features must be negated with their large patches: they "
        "belong together.", lambda *a: _neighbours(*a, flip_lr=False)),
    "absolute": ("an atom is negated as a whole; you took the absolute value of each "
        "of its numbers.", _all_positive),
    "weighed": ("the sign of the correlation turns an atom; its size changes nothing.",
        _weighed),
    "signed": ("an atom that correlates negatively is similar too: compare absolute "
        "values.", _signed),
    "least": ("these are the atoms that are least similar: sort downwards.",
        _least_similar),
    "reversed": ("the atoms are right, but the most similar comes first.", _most_last),
})  # fmt: skip

EXERCISES["4.3"] = Function(_projection, _samples, property=_small_matrix, faults={
    "no-ridge": ("the ridge is missing.", lambda N, H, ridge: _projection(N, H, 0.0)),
    "everywhere": ("the ridge is added to all of the matrix; it belongs on the "
        "diagonal.", _ridge_everywhere),
    "minus": ("the ridge is subtracted; it is added.",
        lambda N, H, ridge: _projection(N, H, -ridge)),
    "count": ("the ridge was multiplied by the number of samples; it is λ as it is.",
        lambda N, H, ridge: _projection(N, H, len(N) * ridge)),
    "squared": ("the ridge is squared; it is the weight of the squared weights as it "
        "is.", lambda N, H, ridge: _projection(N, H, ridge**2)),
    "factor": ("this is the projection times 1 + λ; leave the factor to the caller.",
        lambda N, H, ridge: (1 + ridge) * _projection(N, H, ridge)),
    "transposed": ("the matrix is transposed: x comes from the left, x @ P.",
        lambda N, H, ridge: _projection(N, H, ridge).T),
})  # fmt: skip

EXERCISES["4.4"] = Function(_anchored, _windows, faults={
    "signed": ("an atom stands for its negative too: choose by the absolute "
        "correlation (the smallest distance is the largest signed one).",
        lambda x, anchors, P: _by_anchor(x, P, (x @ anchors.T).argmax(axis=1))),
    "turned": ("the anchor is right, but the window keeps its sign: a linear map turns "
        "−x into the negative result by itself.", _turned),
    "unit": ("the window was brought to length one; for the choice it doesn't matter, "
        "but its matrix gets the window as it is.", _unit_windows),
    "one-for-all": ("all windows take the same anchor; each has its own.",
        _one_for_all),
    "of-anchor": ("the matrix is applied to the anchor; it must be applied to the "
        "window.", _of_atom),
    "least": ("this anchor is the least similar one.",
        lambda x, anchors, P: _by_anchor(x, P, np.abs(x @ anchors.T).argmin(axis=1))),
    "mean": ("this is the mean over all anchors' matrices: each window takes one.",
        lambda x, anchors, P: x @ P.mean(axis=0)),
})  # fmt: skip

EXERCISES["4.5"] = Function(_kernel, _known, faults={
    "no-ridge": ("the ridge is missing.",
        lambda x, X, Y, sigma, ridge: _kernel(x, X, Y, sigma, 0.0)),
    "everywhere": ("the ridge is added to all of the matrix; it belongs on the "
        "diagonal.", _ridge_on_bumps),
    "grows": ("the bump grows with the distance: a minus is missing.",
        lambda *a: _kernel(*a, lambda a, b, s: np.exp(_apart(a, b) / (2 * s**2)))),
    "height": ("a bump is 1 in its middle: nothing stands before the exponential.",
        lambda *a: _kernel(
            *a, lambda a, b, s: _bumps(a, b, s) / (s * np.sqrt(2 * np.pi)))),
    "coefficients": ("these are the coefficients; now sum the bumps at the new "
        "windows.",
        lambda x, X, Y, sigma, ridge: np.linalg.solve(
            _bumps(X, X, sigma) + ridge * np.eye(len(X)), Y)),
    "halved-width": ("the bump has 2σ² below the squared distance.",
        lambda *a: _kernel(*a, lambda a, b, s: np.exp(-_apart(a, b) / s**2))),
    "sigma": ("σ is squared: the bump has 2σ² below the squared distance.",
        lambda *a: _kernel(*a, lambda a, b, s: np.exp(-_apart(a, b) / (2 * s)))),
    "distance": ("the bump falls with the squared distance, not the distance.",
        lambda *a: _kernel(
            *a, lambda a, b, s: np.exp(-np.sqrt(_apart(a, b)) / (2 * s**2)))),
    "weighed": ("these are the known answers weighed by the bumps; solve for the "
        "coefficients first, as bumps overlap.",
        lambda x, X, Y, sigma, ridge: _bumps(x, X, sigma) @ Y),
    "mean": ("this is a weighted mean of the known answers, not ridge regression: "
        "solve for the coefficients.", _mean_of_known),
})  # fmt: skip
