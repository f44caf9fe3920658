import numpy as np


def relu(z):
    return z if z > 0 else 0.0


def step_with(finish, sign=-1, scaled=True, by_contrast=True, by_step=True):
    """One step, pixel by pixel and atom by atom; `finish` is the threshold."""

    def ista_step(codes, heard, gram, step, penalty, contrast):
        n, h, w = codes.shape
        new = np.zeros((n, h, w))
        for m, i, j in np.ndindex(n, h, w):
            theta = penalty * (contrast[i, j] if by_contrast else 1)
            theta = theta * step if scaled else theta
            mixed = sum(gram[m, k] * codes[k, i, j] for k in range(n))
            length = step if by_step else 1
            z = codes[m, i, j] + sign * length * (mixed - heard[m, i, j])
            new[m, i, j] = finish(z, theta)
        return new

    return ista_step


def soft(z, theta):
    return relu(z - theta) - relu(-z - theta)


def turned(dictionary, f):
    weights = np.zeros((1, len(dictionary), f, f))
    for n, i, j in np.ndindex(len(dictionary), f, f):
        weights[0, n, f - 1 - i, f - 1 - j] = dictionary[n][f * i + j] / (f * f)
    return weights


def as_they_are(dictionary, f):
    return np.stack([atom.reshape(f, f) for atom in dictionary])[None] / f**2


def sums(dictionary, f):
    return np.stack([atom[::-1].reshape(f, f) for atom in dictionary])[None]


ANSWERS = {
    "9.1": (step_with(soft), {
        "one-sided": step_with(lambda z, t: relu(z - t)),
        "added": step_with(lambda z, t: relu(z - t) + relu(-z - t)),
        "hard": step_with(lambda z, t: z if abs(z) > t else 0),
        "unscaled-threshold": step_with(soft, scaled=False),
        "uphill": step_with(soft, sign=1),
        "unscaled-slope": step_with(soft, by_step=False),
        "contrast": step_with(soft, by_contrast=False),
    }),
    "9.2": (turned, {
        "unturned": as_they_are, "sum": sums, "f": lambda d, f: sums(d, f) / f,
        "transposed": lambda d, f: as_they_are(d, f).swapaxes(2, 3),
        "one-axis": lambda d, f: as_they_are(d, f)[:, :, :, ::-1],
        "shape": lambda d, f: turned(d, f)[0][:, None],
    }),
    "9.6": ([154, 17], {
        "rounded-up": (155, 18), "pointwise": (191, 63), "filter-1": (27, 0),
        "exchanged": (17, 154),
    }),
}  # fmt: skip
