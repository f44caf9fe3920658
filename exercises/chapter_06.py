"""Checks of chapter 6, on training."""

import numpy as np

from exercises import Function, Value


def _losses(generator):
    loss = float(generator.uniform(0.05, 2))
    return loss, int(generator.integers(15, 30)), int(generator.choice([2, 3]))


def _psnr(loss, size, channels, *, half=True, peak=1.0, factor=10):
    pixels = size**2 * channels
    mse = (2 if half else 1) * loss / pixels
    return factor * np.log10(peak**2 / mse)


def _pictures(generator):
    size, border = int(generator.integers(7, 10)), int(generator.integers(1, 3))
    stride = int(generator.integers(2, 5))
    # The last window ends at the last row, so that a lost one shows.
    down, across = generator.choice([2, 3, 4], size=2, replace=False)
    shape = size + down * stride, size + across * stride + stride // 2
    lr_wide, hr = generator.uniform(size=(2, *shape))
    return lr_wide, hr, size, stride, border


def _cut(
    lr_wide, hr, size, stride, border, *,
    corner=None, end=1, by_columns=False, label=None, full=False,
):  # fmt: skip
    """`corner`: where a label begins in its window; `end`: 0 loses the last."""
    corner = border if corner is None else corner
    label = hr if label is None else label
    height, width = hr.shape
    answer = size - 2 * border
    rows = range(0, height - size + end, stride)
    columns = range(0, width - size + end, stride)
    places = [(i, j) for i in rows for j in columns]
    if by_columns:
        places = [(i, j) for j in columns for i in rows]
    inputs = np.array([lr_wide[i : i + size, j : j + size] for i, j in places])
    if full:
        return inputs, np.array([label[i : i + size, j : j + size] for i, j in places])
    places = [(i + corner, j + corner) for i, j in places]
    labels = np.array([label[i : i + answer, j : j + answer] for i, j in places])
    return inputs, labels


def _path(generator):
    n, steps = int(generator.integers(2, 5)), int(generator.integers(4, 8))
    start, grads = generator.normal(size=n), generator.normal(size=(steps, n))
    return start, grads, float(generator.uniform(0.05, 0.3)), 0.9


def _momentum(w, grads, learning_rate, momentum, *, keep=1.0, sign=-1, late=False):
    velocity = np.zeros_like(w)
    for grad in grads:
        before = velocity
        velocity = momentum * velocity + sign * keep * learning_rate * grad
        w = w + (before if late else velocity)
    return w


def _forgetful(w, grads, learning_rate, momentum):
    """The velocity is begun anew in every step."""
    return w - learning_rate * grads.sum(axis=0)


def _nesterov(w, grads, learning_rate, momentum):
    velocity = np.zeros_like(w)
    for grad in grads:
        velocity = momentum * velocity - learning_rate * grad
        w = w + momentum * velocity - learning_rate * grad
    return w


def _errors(generator):
    count = int(generator.integers(6, 12))
    return generator.uniform(0.01, 1, size=count), float(generator.uniform(0.3, 0.9))


def _important(errors, share):
    p = share * errors / errors.sum() + (1 - share) / len(errors)
    return p, 1 / (len(errors) * p)


def _wrong_weight(weigh):
    def answer(errors, share):
        p, _ = _important(errors, share)
        return p, weigh(p)

    return answer


def _only_errors(errors, share):
    p = errors / errors.sum()
    return p, 1 / (len(errors) * p)


def _swapped(errors, share):
    return _important(errors, 1 - share)


def _unshared(errors, share):
    p = share * errors / errors.sum() + (1 - share)
    return p, 1 / (len(errors) * p)


EXERCISES = {}

EXERCISES["6.1"] = Function(_psnr, _losses, faults={
    "half": ("the solver's loss has a half in front of the sum; take it out first.",
        lambda *a: _psnr(*a, half=False)),
    "sum": ("the solver's loss is a sum over the label: divide by its size · size · "
        "channels values.", lambda loss, s, c: _psnr(loss, 1, 1)),
    "channels": ("a label has size · size values in each of its channels.",
        lambda loss, s, c: _psnr(loss, s, 1)),
    "peak": ("the values go from 0 to 1, so the peak is 1, not 255.",
        lambda *a: _psnr(*a, peak=255.0)),
    "factor": ("10 log₁₀ of a squared error; 20 log₁₀ belongs to its root.",
        lambda *a: _psnr(*a, factor=20)),
    "sign": ("the sign is wrong: a small error is a high PSNR.", lambda *a: -_psnr(*a)),
})  # fmt: skip

EXERCISES["6.2"] = Function(_cut, _pictures, faults={
    "last": ("the last windows are lost: one may end at the very last row or column.",
        lambda *a: _cut(*a, end=0)),
    "top-left": ("the labels begin where the inputs do; without padding the answer is "
        "the middle of the window.", lambda *a: _cut(*a, corner=0)),
    "lower-right": ("the labels lie at the lower right of the windows, not in the "
        "middle.", lambda *a: _cut(*a, corner=2 * a[-1])),
    "of-input": ("the labels are cut from the input picture; they show the truth.",
        lambda *a: _cut(*a, label=a[0])),
    "full": ("the labels are as large as the inputs; the network loses `border` pixels "
        "on every side.", lambda *a: _cut(*a, full=True)),
    "stride": ("the stride is not used: windows begin `stride` pixels apart.",
        lambda y, x, size, stride, b: _cut(y, x, size, 1, b)),
    "columns": ("the windows are right, but go down the columns first; go along the "
        "rows.", lambda *a: _cut(*a, by_columns=True)),
})  # fmt: skip

EXERCISES["6.3"] = Function(_momentum, _path, faults={
    "plain": ("this is descent without momentum: each step forgets the one before.",
        _forgetful),
    "uphill": ("this walks uphill: the gradient is subtracted.",
        lambda *a: _momentum(*a, sign=1)),
    "damped": ("the new gradient is weighed by 1 − momentum, as in a mean (Muon and "
        "Adam do so); the paper's formula has the learning rate alone.",
        lambda *a: _momentum(*a, keep=1 - a[-1])),
    "stale": ("the weights move by the old velocity: renew the velocity first.",
        lambda *a: _momentum(*a, late=True)),
    "nesterov": ("this is Nesterov's momentum; the paper's is the plain one.",
        _nesterov),
})  # fmt: skip

EXERCISES["6.4"] = Function(_important, _errors, faults={
    "multiplied": ("the probabilities are right; a window drawn more often has to "
        "count less: divide by its probability, don't multiply.",
        _wrong_weight(lambda p: len(p) * p)),
    "no-n": ("the probabilities are right; the weights lack N: drawn evenly, each "
        "window would count 1.", _wrong_weight(lambda p: 1 / p)),
    "normalised": ("the probabilities are right; the weights are not to sum to one: in "
        "the mean over draws, Σ p · weight is 1.",
        _wrong_weight(lambda p: 1 / p / (1 / p).sum())),
    "unweighted": ("the probabilities are right, but without weights the loss is "
        "another one, that of the difficult windows.", _wrong_weight(np.ones_like)),
    "errors-only": ("the even part is missing: with probability 1 − share any window "
        "is drawn.", _only_errors),
    "swapped": ("share belongs to the errors, 1 − share to all windows equally.",
        _swapped),
    "even-part": ("the even part is divided among all N windows, so that the "
        "probabilities sum to one.", _unshared),
})  # fmt: skip

EXERCISES["6.5"] = Value((1.6, 2.0), atol=0.011, rtol=0, faults={
    "products": ("the second is right; in the first the products still take a quarter "
        "of their time.", (2.0, 2.0)),
    "whole": ("only the products become faster, not the whole step.", (4.0, np.inf)),
    "rest": ("the first is right; in the second all else still takes its time.",
        (1.6, np.inf)),
    "inverse": ("that is the new time over the old; how much faster is the old over "
        "the new.", (0.625, 0.5)),
    "saved": ("that is the share of time saved; how much faster is the old time over "
        "the new.", (0.375, 0.5)),
})  # fmt: skip
