import math

import numpy as np
import torch


def psnr_of(loss, size, channels):
    mse = 2 * loss / (size * size * channels)
    return -10 * math.log10(mse)


def cut(lr_wide, hr, size, stride, border):
    inputs, labels = [], []
    i = 0
    while i + size <= hr.shape[0]:
        j = 0
        while j + size <= hr.shape[1]:
            inputs.append(lr_wide[i : i + size, j : j + size])
            window = hr[i : i + size, j : j + size]
            labels.append(window[border:-border, border:-border])
            j += stride
        i += stride
    return torch.tensor(np.stack(inputs)), torch.tensor(np.stack(labels))


def cut_by(end=1, label=lambda window, border: window):
    """With another end of the rows and columns, and another part of a window."""

    def answer(lr_wide, hr, size, stride, border):
        inputs, labels = [], []
        for i in range(0, hr.shape[0] - size + end, stride):
            for j in range(0, hr.shape[1] - size + end, stride):
                inputs.append(lr_wide[i : i + size, j : j + size])
                labels.append(label(hr[i : i + size, j : j + size], border))
        return np.array(inputs), np.array(labels)

    return answer


def cut_columns(lr_wide, hr, size, stride, border):
    inputs, labels = cut(lr_wide.T, hr.T, size, stride, border)
    return inputs.transpose(1, 2), labels.transpose(1, 2)


def by_torch(w, grads, learning_rate, momentum, **options):
    weight = torch.nn.Parameter(torch.tensor(w))
    options = {"momentum": momentum} | options
    optimiser = torch.optim.SGD([weight], lr=learning_rate, **options)
    for g in grads:
        weight.grad = torch.tensor(g)
        optimiser.step()
    return weight


def damped(w, grads, learning_rate, momentum):
    mean = np.zeros(len(w))
    for g in grads:
        mean = momentum * mean + (1 - momentum) * g
        w = w - learning_rate * mean
    return w


def stale(w, grads, learning_rate, momentum):
    velocity = np.zeros(len(w))
    for g in grads:
        w = w + velocity
        velocity = momentum * velocity - learning_rate * g
    return w


def probabilities(errors, share):
    n = len(errors)
    return np.array([share * e / sum(errors) + (1 - share) / n for e in errors])


def important(errors, share):
    p = probabilities(errors, share)
    return p, np.array([1 / len(errors) / each for each in p])


def normalised(errors, share):
    weights = 1 / probabilities(errors, share)
    return probabilities(errors, share), weights / weights.sum()


ANSWERS = {
    "6.1": (psnr_of, {
        "half": lambda loss, s, c: -10 * math.log10(loss / (s * s * c)),
        "sum": lambda loss, s, c: -10 * math.log10(2 * loss),
        "channels": lambda loss, s, c: psnr_of(loss, s, 1),
        "peak": lambda loss, s, c: psnr_of(loss, s, c) + 20 * math.log10(255),
        "factor": lambda loss, s, c: 2 * psnr_of(loss, s, c),
        "sign": lambda loss, s, c: 10 * math.log10(2 * loss / (s * s * c)),
    }),
    "6.2": (cut, {
        "last": cut_by(end=0, label=lambda window, b: window[b:-b, b:-b]),
        "top-left": cut_by(label=lambda window, b: window[: -2 * b, : -2 * b]),
        "of-input": lambda y, x, s, t, b: cut(y, y, s, t, b), "full": cut_by(),
        "stride": lambda y, x, s, t, b: cut(y, x, s, 1, b), "columns": cut_columns,
    }),
    "6.3": (by_torch, {
        "plain": lambda w, g, s, m: by_torch(w, g, s, 0),
        "uphill": lambda w, g, s, m: by_torch(w, g, s, m, maximize=True),
        "damped": damped, "stale": stale,
        "nesterov": lambda w, g, s, m: by_torch(w, g, s, m, nesterov=True),
    }),
    "6.4": (important, {
        "multiplied": lambda e, s: (probabilities(e, s), len(e) * probabilities(e, s)),
        "no-n": lambda e, s: (probabilities(e, s), 1 / probabilities(e, s)),
        "normalised": normalised,
        "unweighted": lambda e, s: (probabilities(e, s), np.ones(len(e))),
        "errors-only": lambda e, s: important(e, 1),
        "swapped": lambda e, s: important(e, 1 - s),
        "even-part": lambda e, s: (
            p := s * e / sum(e) + 1 - s, 1 / len(e) / p),
    }),
    "6.5": ((12 / (6 + 6 / 4), 12 / 6), {
        "products": (2, 2), "whole": (4, math.inf), "rest": (1.6, math.inf),
        "inverse": (7.5 / 12, 0.5), "saved": (4.5 / 12, 0.5),
    }),
}  # fmt: skip
