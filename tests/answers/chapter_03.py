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


def grow_keeping(x, D, taken):
    code = np.zeros(len(D))
    code[taken] = np.linalg.pinv(D[taken].T) @ x
    rest = x - code @ D
    k = abs(D @ rest).argmax()
    code[k] = D[k] @ rest
    return code


def grow_left(x, D, taken):
    products = abs(D @ x)
    products[taken] = -1
    return grow_by(lambda *_: products.argmax())(x, D, taken)


def grow_only_new(x, D, taken):
    rest = x - np.linalg.pinv(D[taken].T) @ x @ D[taken]
    k = abs(D @ rest).argmax()
    code = np.zeros(len(D))
    code[k] = D[k] @ rest
    return code


def grow_on_rest(x, D, taken):
    rest = x - np.linalg.pinv(D[taken].T) @ x @ D[taken]
    chosen = [*taken, abs(D @ rest).argmax()]
    code = np.zeros(len(D))
    code[chosen] = np.linalg.pinv(D[chosen].T) @ rest
    return code


def grow_by_products(x, D, taken):
    rest = x - np.linalg.pinv(D[taken].T) @ x @ D[taken]
    code = np.zeros(len(D))
    for k in [*taken, abs(D @ rest).argmax()]:
        code[k] = D[k] @ x
    return code


def grow_not(x, D, taken):
    code = np.zeros(len(D))
    code[taken] = np.linalg.pinv(D[taken].T) @ x
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


def step_uphill(c, x, D, penalty, step):
    z = torch.from_numpy(c + step * (c @ D - x) @ D.T)
    return F.softshrink(z, step * penalty)


def step_by_penalty(c, x, D, penalty, step):
    z = torch.from_numpy(c - step * (c @ D - x) @ D.T)
    return F.softshrink(z, penalty)


def step_relu(c, x, D, penalty, step):
    z = c - step * (c @ D - x) @ D.T - step * penalty
    z[z < 0] = 0
    return z


def step_hard(c, x, D, penalty, step):
    z = c - step * (c @ D - x) @ D.T
    z[abs(z) < step * penalty] = 0
    return z


def step_without_step(c, x, D, penalty, step):
    z = torch.from_numpy(c - (c @ D - x) @ D.T)
    return F.softshrink(z, step * penalty)


def step_from_zero(c, x, D, penalty, step):
    z = torch.from_numpy(c + step * D @ x)
    return F.softshrink(z, step * penalty)


def step_twice(c, x, D, penalty, step):
    z = torch.from_numpy(c - 2 * step * (c @ D - x) @ D.T)
    return F.softshrink(z, step * penalty)


def step_first_cut(c, x, D, penalty, step):
    slope = D @ (c @ D - x)
    return F.softshrink(torch.from_numpy(c), step * penalty).numpy() - step * slope


def step_past_zero(c, x, D, penalty, step):
    z = c - step * (c @ D - x) @ D.T
    z[z > 0] -= step * penalty
    z[c - step * (c @ D - x) @ D.T < 0] += step * penalty
    return z


def step_as_slope(c, x, D, penalty, step):
    slope = (c @ D - x) @ D.T + penalty * np.sign(c)
    return c - step * slope


def mod(X, C):
    D = np.linalg.solve(C.T @ C, C.T @ X)
    C = C.copy()
    for k in range(len(D)):
        length = np.sqrt((D[k] ** 2).sum())
        D[k] /= length
        C[:, k] *= length
    return D, C


def mod_divided_twice(X, C):
    D = np.linalg.pinv(C) @ X
    length = np.linalg.norm(D, axis=1)
    return D / length[:, None], C @ np.diag(1 / length)


def mod_columns(X, C):
    D = np.linalg.pinv(C) @ X
    for j in range(D.shape[1]):
        D[:, j] /= np.sqrt((D[:, j] ** 2).sum())
    return D, C


def mod_product(X, C):
    D = C.T @ X
    length = np.sqrt((D**2).sum(axis=1))
    return (D.T / length).T, C @ np.diag(length)


def mod_squares(X, C):
    D = np.linalg.pinv(C) @ X
    squares = (D * D).sum(axis=1)
    return (D.T / squares).T, C @ np.diag(squares)


def mod_recoded(X, C):
    D, _ = mod(X, C)
    return D, X @ np.linalg.pinv(D)


def mod_one_length(X, C):
    D = np.linalg.pinv(C) @ X
    return D / np.sqrt((D**2).sum()), C * np.sqrt((D**2).sum())


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
    for i in range(rows):
        for j in range(columns):
            for p in range(size):
                for q in range(size):
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
        "of-rest": grow_on_rest, "alone": grow_keeping,
        "correlations": grow_by_products, "same": grow_not,
    }),
    "3.3": (np.array([1.0, 2.0, 0.6]), {
        "one-sided": (2.0, 2.0, 0.6), "two-sided": (1, 1, 0.6), "unshrunk": (1, 2, 1.0),
        "half": (1, 2, 1 - 0.4 / 2), "by-penalty": (1, 2, 0.4),
        "negative": (1, -2, 0.6), "result-only-2-3": (1.6, 2, 0.6),
        "result-count": (1, 2),
    }),
    "3.4": (step_loops, {
        "uphill": step_uphill, "unscaled-threshold": step_by_penalty,
        "one-sided": step_relu, "hard": step_hard,
        "sign": lambda *a: abs(step_loops(*a)), "past-zero": step_past_zero,
        "subgradient": step_as_slope,
        "no-threshold": lambda c, x, D, penalty, step: step_loops(c, x, D, 0, step),
        "unscaled-slope": step_without_step, "from-zero": step_from_zero,
        "twice": step_twice,
        "threshold-first": lambda c, x, D, penalty, step: step_loops(F.softshrink(torch.from_numpy(c), step * penalty).numpy(), x, D, 0, step),
        "start": step_first_cut,
    }),
    "3.5": (mod, {
        "unscaled": lambda X, C: (mod(X, C)[0], C), "wrong-way": mod_divided_twice,
        "exchanged": lambda X, C: (mod(X, C)[1], mod(X, C)[0]), "squared": mod_squares,
        "recoded": mod_recoded, "result-count": lambda X, C: mod(X, C)[0],
        "long": lambda X, C: (np.linalg.pinv(C) @ X, C), "columns": mod_columns,
        "product": mod_product, "whole": mod_one_length,
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
