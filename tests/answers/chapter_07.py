import math
import statistics

import numpy as np


def pooled(psnr_db, pixels):
    total = 0
    for db, count in zip(psnr_db, pixels):
        total += count * 255**2 / 10 ** (db / 10)
    return 10 * math.log10(255**2 / (total / sum(pixels)))


def mean_of_roots(psnr_db, pixels):
    roots = 255 / 10 ** (psnr_db / 20)
    return 20 * np.log10(255 / np.average(roots, weights=pixels))


def without_peak(psnr_db, pixels):
    errors = 255**2 * 10 ** (-psnr_db / 10)
    return -10 * np.log10(np.average(errors, weights=pixels))


def gain(ours_db, theirs_db):
    differences = [float(a - b) for a, b in zip(ours_db, theirs_db)]
    error = statistics.stdev(differences) / len(differences) ** 0.5
    return statistics.mean(differences), error


def unpaired(ours_db, theirs_db):
    n = len(ours_db)
    errors = statistics.variance(ours_db) / n + statistics.variance(theirs_db) / n
    return np.mean(ours_db) - np.mean(theirs_db), errors**0.5


def front(seconds, psnr_db):
    keep = []
    for i in range(len(seconds)):
        beaten = False
        for j in range(len(seconds)):
            if seconds[j] < seconds[i] and psnr_db[j] > psnr_db[i]:
                beaten = True
        keep.append(not beaten)
    return np.array(keep)


def out_when_beaten_in_one(seconds, psnr_db):
    both = zip(seconds, psnr_db)
    return [not any(seconds < s) and not any(psnr_db > db) for s, db in both]


def against_the_next(seconds, psnr_db):
    keep, best = np.zeros(len(seconds), bool), -np.inf
    for k in np.argsort(seconds):
        keep[k] = psnr_db[k] > best
        best = psnr_db[k]
    return keep


def against_slower(seconds, psnr_db):
    return front(-np.array(seconds), psnr_db)


def two_ends(seconds, psnr_db):
    keep = np.zeros(len(seconds), bool)
    keep[[np.argmin(seconds), np.argmax(psnr_db)]] = True
    return keep


ANSWERS = {
    "7.2": (pooled, {
        "mean": lambda db, pixels: statistics.mean(db),
        "weighed": lambda db, n: np.average(db, weights=n),
        "unweighed": lambda db, pixels: pooled(db, np.ones(len(db))),
        "peak": without_peak, "roots": mean_of_roots,
    }),
    "7.3": (gain, {
        "unpaired": unpaired,
        "deviation": lambda a, b: (np.mean(a - b), statistics.stdev(a - b)),
        "ddof": lambda a, b: (np.mean(a - b), np.std(a - b) / len(a) ** 0.5),
        "sign": lambda a, b: gain(b, a),
        "twice": lambda a, b: (gain(a, b)[0], statistics.stdev(a - b) / len(a)),
    }),
    "7.4": (front, {
        "beaten": lambda s, db: ~front(s, db), "neighbour": against_the_next,
        "ends": two_ends, "slower": against_slower, "either": out_when_beaten_in_one,
        "limit": lambda s, db: (s < np.median(s)) & (db > np.median(db)),
    }),
}  # fmt: skip
