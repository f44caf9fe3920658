import numpy as np
from scipy.optimize import linear_sum_assignment


def loudness(w, C):
    return np.array([np.sqrt(v.flatten() @ C @ v.flatten()) for v in w])


def share(w, templates):
    basis = []
    for t in templates.reshape(len(templates), -1):  # Gram–Schmidt
        for b in basis:
            t = t - (t @ b) * b
        basis.append(t / np.sqrt(t @ t))
    flat = w.reshape(len(w), -1)
    return [sum((v @ b) ** 2 for b in basis) / (v @ v) for v in flat]


def cosines(a, b):
    out = np.zeros((len(a), len(b)))
    for i, j in np.ndindex(out.shape):
        lengths = np.linalg.norm(a[i]) * np.linalg.norm(b[j])
        out[i, j] = (a[i] * b[j]).sum() / lengths
    return out


def without(weight, bias, levels, keep):
    new = bias.copy()
    for k in range(len(keep)):
        if not keep[k]:
            new += weight[:, k] * levels[k]
    return weight[:, keep], new


def matched(a, b, before=np.abs, after=np.abs):
    """`before` and `after` the pairs are chosen, the sign is left out or not."""
    cosine = cosines(a, b)
    return after(cosine[linear_sum_assignment(-before(cosine))]).mean()


def greedy(a, b):
    cosine, total = np.abs(cosines(a, b)), 0
    for i in range(len(a)):
        j = cosine[i].argmax()
        total += cosine[i, j]
        cosine[:, j] = -1
    return total / len(a)


def path(window, w1, b1, w2, b2, gate=lambda answer, bias: answer + bias > 0):
    parts, rest = np.zeros(window.shape), b2
    for k in range(len(w1)):
        if gate((w1[k] * window).sum(), b1[k]):
            parts += w2[k] * w1[k] * window
            rest += w2[k] * b1[k]
    return parts, rest


ANSWERS = {
    "8.1": (loudness, {
        "squared": lambda w, C: loudness(w, C) ** 2,
        "weights-only": lambda w, C: np.sqrt((w**2).sum(axis=(1, 2))),
        "own-variance": lambda w, C: loudness(w, np.diag(np.diag(C))),
        "whole-c": lambda w, C: np.linalg.norm(w.reshape(len(w), -1) @ C, axis=1),
        "unit": lambda w, C: loudness(w, C) / np.sqrt((w**2).sum((1, 2))),
    }),
    "8.2": (share, {
        "overlapping": lambda w, t: (cosines(w, t) ** 2).sum(axis=1),
        "unscaled": lambda w, t: cosines(w, t) ** 2 @ (t**2).sum((1, 2)),
        "energy": lambda w, t: np.array(share(w, t)) * (w**2).sum((1, 2)),
        "root": lambda w, t: np.sqrt(share(w, t)),
        "single": lambda w, t: (cosines(w, t) ** 2).max(axis=1),
        "rest": lambda w, t: [1 - s for s in share(w, t)],
    }),
    "8.3": (without, {
        "biases": lambda w, b, v, keep: (w[:, keep], b),
        "keep": lambda w, b, v, keep: without(w, b, v, np.logical_not(keep)),
        "sign": lambda w, b, v, keep: (w[:, keep], 2 * b - without(w, b, v, keep)[1]),
        "all-maps": lambda w, b, v, keep: (w[:, keep], w @ v + b),
        "stay": lambda w, b, v, keep: (w[:, keep], b + w @ np.where(keep, v, 0)),
        "weights": lambda w, b, v, keep: (w[:, keep], b + v[~keep].sum()),
        "levels": lambda w, b, v, keep: without(w, b, np.ones(len(v)), keep),
    }),
    "8.4": (matched, {
        "signed": lambda a, b: matched(a, b, np.asarray, np.asarray),
        "late-sign": lambda a, b: matched(a, b, before=np.asarray),
        "twice": lambda a, b: np.mean([max(abs(r)) for r in cosines(a, b)]),
        "greedy": greedy, "sum": lambda a, b: len(a) * matched(a, b),
        "in-place-order": lambda a, b: np.abs(np.diag(cosines(a, b))).mean(),
    }),
    "8.5": (path, {
        "open": lambda *a: path(*a, lambda answer, bias: True),
        "window-only": lambda *a: path(*a, lambda answer, bias: answer > 0),
        "equal": lambda x, w1, b1, w2, b2: path(x, w1, b1, np.ones(len(w2)), b2),
        "closed-biases": lambda x, w1, b1, w2, b2: (
            path(x, w1, b1, w2, b2)[0], w2 @ b1 + b2),
        "last-bias": lambda x, w1, b1, w2, b2: path(x, w1, b1, w2, 0.0),
        "first-biases": lambda x, w1, b1, w2, b2: (path(x, w1, b1, w2, b2)[0], b2),
        "filter": lambda x, *layers: (path(x, *layers)[0] / x, path(x, *layers)[1]),
    }),
}  # fmt: skip
