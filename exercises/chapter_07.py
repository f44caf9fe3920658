"""Checks of chapter 7, on reading results."""

import numpy as np

from exercises import Function


def _measured(generator):
    count = int(generator.integers(4, 9))
    psnr_db = generator.uniform(22, 38, size=count)
    return psnr_db, generator.integers(20_000, 300_000, size=count)


def _mse(psnr_db):
    return 255.0**2 / 10 ** (psnr_db / 10)


def _db(mse):
    return 10 * np.log10(255.0**2 / mse)


def _pooled(psnr_db, pixels):
    return _db((_mse(psnr_db) * pixels).sum() / pixels.sum())


def _pairs(generator):
    count = int(generator.integers(5, 15))
    theirs = generator.uniform(22, 38, size=count)
    return theirs + generator.normal(0.2, 0.3, size=count), theirs


def _gain(ours_db, theirs_db, ddof=1, root=True):
    gains = ours_db - theirs_db
    count = len(gains)
    return gains.mean(), gains.std(ddof=ddof) / (np.sqrt(count) if root else 1)


def _unpaired(ours_db, theirs_db):
    gain, count = ours_db.mean() - theirs_db.mean(), len(ours_db)
    return gain, np.sqrt((ours_db.var(ddof=1) + theirs_db.var(ddof=1)) / count)


def _methods(generator):
    count = int(generator.integers(9, 15))
    seconds = np.exp(generator.uniform(-5, 2, size=count))
    # More time brings more, but not always.
    psnr_db = 29 + 0.3 * np.log(seconds) + generator.normal(0, 0.7, size=count)
    order = generator.permutation(count)
    return seconds[order], psnr_db[order]


def _front(seconds, psnr_db, longer=False):
    """True where no other method is faster and more accurate."""
    faster = seconds[None] < seconds[:, None]
    if longer:
        faster = seconds[None] > seconds[:, None]
    return ~(faster & (psnr_db[None] > psnr_db[:, None])).any(axis=1)


def _beaten(seconds, psnr_db):
    return ~_front(seconds, psnr_db)


def _either(seconds, psnr_db):
    faster = seconds[None] < seconds[:, None]
    return ~(faster | (psnr_db[None] > psnr_db[:, None])).any(axis=1)


def _by_neighbour(seconds, psnr_db):
    order = np.argsort(seconds)
    keep = np.ones(len(seconds), dtype=bool)
    keep[order[1:]] = psnr_db[order[1:]] > psnr_db[order[:-1]]
    return keep


def _best_of_all(seconds, psnr_db):
    return (seconds == seconds.min()) | (psnr_db == psnr_db.max())


def _above_the_middle(seconds, psnr_db):
    return (seconds < np.median(seconds)) & (psnr_db > np.median(psnr_db))


EXERCISES = {}

EXERCISES["7.2"] = Function(_pooled, _measured, faults={
    "mean": ("this is the mean of the PSNRs, as the tables have it: go back to errors "
        "first.", lambda db, pixels: db.mean()),
    "weighed": ("this weighs the PSNRs by pixels; it is the squared errors that add "
        "up.", lambda db, pixels: (db * pixels).sum() / pixels.sum()),
    "unweighed": ("each picture counts the same here; weigh its error by its pixels.",
        lambda db, pixels: _db(_mse(db).mean())),
    "peak": ("the peak is missing on the way back: 255, as the grey levels are 0…255.",
        lambda db, pixels: _pooled(db, pixels) - 20 * np.log10(255)),
    "roots": ("this averages root mean squared errors; squares add up, roots don't.",
        lambda db, pixels: _db(((_mse(db) ** 0.5 * pixels).sum() / pixels.sum()) ** 2)),
})  # fmt: skip

EXERCISES["7.3"] = Function(_gain, _pairs, faults={
    "unpaired": ("the gain is right, but its error is that of two unrelated samples: "
        "take the differences first, picture by picture.", _unpaired),
    "deviation": ("the gain is right, but this is the spread of one picture's gain; "
        "that of the mean is smaller by √N.", lambda a, b: _gain(a, b, root=False)),
    "ddof": ("the gain is right; for a spread around a mean taken from the same "
        "numbers divide by N − 1 (ddof=1).", lambda a, b: _gain(a, b, ddof=0)),
    "sign": ("the sign is wrong: a gain is ours minus theirs.",
        lambda a, b: _gain(b, a)),
    "twice": ("the gain is right, but √N divides twice: N belongs to the variance.",
        lambda a, b: (_gain(a, b)[0], _gain(a, b)[1] / np.sqrt(len(a)))),
})  # fmt: skip

EXERCISES["7.4"] = Function(_front, _methods, faults={
    "beaten": ("these are the methods to leave out: turn it round.", _beaten),
    "neighbour": ("compare with all faster methods, not only with the next faster one.",
        _by_neighbour),
    "ends": ("the fastest and the most accurate are on it, but so are those between "
        "that nothing beats in both.", _best_of_all),
    "slower": ("fewer seconds are better: this compares with the slower methods.",
        lambda s, db: _front(s, db, longer=True)),
    "either": ("a method is out only if one other beats it in both, not in one of "
        "them.", _either),
    "limit": ("a fixed limit is not asked for: compare each method with the others.",
        _above_the_middle),
})  # fmt: skip
