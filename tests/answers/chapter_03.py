import numpy as np
import torch
from torch.nn import functional as F


def grow(x, D, taken):
    """By the normal equations."""

    def solve(chosen):
        A = D[chosen]
        return np.linalg.solve(A @ A.T, A @ x)

    rest = x - solve(taken) @ D[taken]
    best, most = None, 0.0
    for k in range(len(D)):
        if abs(D[k] @ rest) > most:
            best, most = k, abs(D[k] @ rest)
    chosen = list(taken) + [best]
    code = np.zeros(len(D))
    for k, w in zip(chosen, solve(chosen)):
        code[k] = w
    return code


def grow_by(choose):
    """With another rule for the next atom."""

    def answer(x, D, taken):
        w = np.linalg.pinv(D[taken].T) @ x
        chosen = list(taken) + [int(choose(D, x, x - w @ D[taken]))]
        code = np.zeros(len(D))
        code[chosen] = np.linalg.lstsq(D[chosen].T, x, rcond=None)[0]
        return code

    return answer


def grow_to(weights, first=False):
    """With other weights; `first` : also for the atoms taken before."""

    def answer(x, D, taken):
        code = np.zeros(len(D))
        code[taken] = np.linalg.pinv(D[taken].T) @ x
        rest = x - code @ D
        k = abs(D @ rest).argmax()
        at = [*taken, k] if first else k
        code[at] = weights(D[at], x, rest)
        return code

    return answer


def grow_left(x, D, taken):
    products = abs(D @ x)
    products[taken] = -1
    return grow_by(lambda *_: products.argmax())(x, D, taken)


def grow_only_new(x, D, taken):
    code = grow_to(lambda atom, x, rest: atom @ rest)(x, D, taken)
    code[taken] = 0
    return code


def step_loops(c, x, D, penalty, step):
    out = np.zeros(len(c))
    rest = x - sum(c[k] * D[k] for k in range(len(c)))
    for k in range(len(c)):
        z = c[k] + step * (D[k] * rest).sum()
        if z > step * penalty:
            out[k] = z - step * penalty
        elif z < -step * penalty:
            out[k] = z + step * penalty
    return out


def ahead(c, x, D, step):
    return c - step * (c @ D - x) @ D.T


def soft(z, threshold):
    return F.softshrink(torch.from_numpy(z), threshold).numpy()


def step_past_zero(c, x, D, penalty, step):
    z = ahead(c, x, D, step)
    z[z > 0] -= step * penalty
    z[ahead(c, x, D, step) < 0] += step * penalty
    return z


def mod(X, C):
    D = np.linalg.solve(C.T @ C, C.T @ X)
    C = C.copy()
    for k in range(len(D)):
        length = np.sqrt((D[k] ** 2).sum())
        D[k] /= length
        C[:, k] *= length
    return D, C


def mod_by(length, rescale=np.multiply):
    """With another length of the atoms."""

    def answer(X, C):
        D = np.linalg.pinv(C) @ X
        return (D.T / length(D)).T, rescale(C, length(D))

    return answer


def mod_columns(X, C):
    D = np.linalg.pinv(C) @ X
    return D / np.linalg.norm(D, axis=0), C


def mod_product(X, C):
    D = C.T @ X
    length = np.sqrt((D**2).sum(axis=1))
    return (D.T / length).T, C @ np.diag(length)


def fold(patches, step, weigh=True):
    rows, columns, size, _ = patches.shape
    shape = ((rows - 1) * step + size, (columns - 1) * step + size)
    flat = torch.from_numpy(patches).reshape(rows * columns, -1).T[None]
    total = F.fold(flat, shape, size, stride=step)[0, 0]
    count = F.fold(torch.ones_like(flat), shape, size, stride=step)[0, 0]
    return total / count if weigh else total


def paste(patches, step, blend):
    rows, columns, size, _ = patches.shape
    out = np.full(((rows - 1) * step + size, (columns - 1) * step + size), np.nan)
    for i, j, p, q in np.ndindex(patches.shape):
        r, c = i * step + p, j * step + q
        old, new = out[r, c], patches[i, j, p, q]
        out[r, c] = new if np.isnan(old) else blend(old, new)
    return out


def fold_by_most(patches, step):
    total = fold(patches, step, weigh=False)
    return total / (fold(patches, step, False) / fold(patches, step)).max()


ANSWERS = {
    "3.2": (grow, {
        "signed": grow_by(lambda D, x, rest: (D @ rest).argmax()),
        "of-patch": grow_by(lambda D, x, r: abs(D @ x).argmax()),
        "others-of-patch": grow_left, "only-new": grow_only_new,
        "of-rest": grow_to(lambda D, x, rest: np.linalg.pinv(D.T) @ rest, first=True),
        "alone": grow_to(lambda atom, x, rest: atom @ rest),
        "correlations": grow_to(lambda D, x, rest: D @ x, first=True),
        "same": grow_to(lambda *_: 0.0),
    }),
    "3.3": (np.array([1.0, 2.0, 0.6]), {
        "one-sided": (2.0, 2.0, 0.6), "two-sided": (1, 1, 0.6), "unshrunk": (1, 2, 1.0),
        "half": (1, 2, 1 - 0.4 / 2), "by-penalty": (1, 2, 0.4),
        "negative": (1, -2, 0.6), "result-only-2-3": (1.6, 2, 0.6),
        "result-count": (1, 2),
    }),
    "3.4": (step_loops, {
        "uphill": lambda c, x, D, p, s: soft(ahead(c, x, D, -s), s * p),
        "unscaled-threshold": lambda c, x, D, p, s: soft(ahead(c, x, D, s), p),
        "one-sided": lambda c, x, D, p, s: np.maximum(ahead(c, x, D, s) - s * p, 0),
        "hard": lambda *a: ahead(*a[:3], a[4]) * (step_loops(*a) != 0),
        "sign": lambda *a: abs(step_loops(*a)), "past-zero": step_past_zero,
        "subgradient": lambda c, x, D, p, s: ahead(c, x, D, s) - s * p * np.sign(c),
        "no-threshold": lambda c, x, D, p, s: step_loops(c, x, D, 0, s),
        "unscaled-slope": lambda c, x, D, p, s: soft(ahead(c, x, D, 1), s * p),
        "from-zero": lambda c, x, D, p, s: soft(c + s * D @ x, s * p),
        "twice": lambda c, x, D, p, s: soft(ahead(c, x, D, 2 * s), s * p),
        "threshold-first": lambda c, x, D, p, s: ahead(soft(c, s * p), x, D, s),
        "start": lambda c, x, D, p, s: soft(c, s * p) - s * D @ (c @ D - x),
    }),
    "3.5": (mod, {
        "unscaled": lambda X, C: (mod(X, C)[0], C),
        "wrong-way": mod_by(lambda D: np.linalg.norm(D, axis=1), np.divide),
        "exchanged": lambda X, C: (mod(X, C)[1], mod(X, C)[0]),
        "squared": mod_by(lambda D: (D * D).sum(axis=1)),
        "recoded": lambda X, C: (mod(X, C)[0], X @ np.linalg.pinv(mod(X, C)[0])),
        "result-count": lambda X, C: mod(X, C)[0],
        "long": lambda X, C: (np.linalg.pinv(C) @ X, C), "columns": mod_columns,
        "product": mod_product, "whole": mod_by(lambda D: np.sqrt((D**2).sum())),
    }),
    "3.6": (fold, {
        "sum": lambda p, step: fold(p, step, weigh=False), "most": fold_by_most,
        "pixels": lambda p, step: fold(p, step, weigh=False) / p[0, 0].size,
        "first": lambda p, step: paste(p, step, lambda old, new: old),
        "last": lambda p, step: paste(p, step, lambda old, new: new),
        "halved": lambda p, step: paste(p, step, lambda old, new: (old + new) / 2),
        "transposed": lambda p, step: fold(p.transpose(0, 1, 3, 2).copy(), step),
    }),
}  # fmt: skip
