"""Checks of chapter 3, on sparse codes and dictionaries."""

import numpy as np

from exercises import Function, Value


def unit_rows(generator, shape):
    rows = generator.normal(size=shape)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _begun(generator):
    """A patch, a dictionary and the atoms taken; the next one anticorrelates."""
    while True:
        d, atoms = int(generator.integers(7, 11)), int(generator.integers(12, 20))
        D = unit_rows(generator, (atoms, d))
        taken = [int(k) for k in generator.permutation(atoms)[:2]]
        x = np.array([3.0, 2.0]) @ D[taken] + 0.5 * generator.normal(size=d)
        choices = {_chosen(x, D, taken), _chosen(x, D, taken, np.array)}
        choices.add(int(np.argmax(np.abs(D @ x))))
        apart = _chosen(x, D, taken) != _best_left(x, D, taken)
        if apart and len(choices) == 3 and not choices.intersection(taken[1:]):
            return x, D, taken


def _fit(x, D, taken):
    return np.linalg.lstsq(D[taken].T, x, rcond=None)[0]


def _chosen(x, D, taken, size=np.abs):
    rest = x - _fit(x, D, taken) @ D[taken]
    return int(np.argmax(size(D @ rest)))


def _best_left(x, D, taken):
    """Of the atoms not taken, the one most similar to the patch itself."""
    products = np.abs(D @ x)
    products[taken] = 0
    return int(np.argmax(products))


def _code(weights, taken, atoms):
    code = np.zeros(atoms)
    code[list(taken)] = weights
    return code


def _next_code(x, D, taken):
    taken = [*taken, _chosen(x, D, taken)]
    return _code(_fit(x, D, taken), taken, len(D))


def _next_signed(x, D, taken):
    taken = [*taken, _chosen(x, D, taken, np.array)]
    return _code(_fit(x, D, taken), taken, len(D))


def _next_of_patch(x, D, taken):
    taken = [*taken, int(np.argmax(np.abs(D @ x)))]
    return _code(_fit(x, D, taken), taken, len(D))


def _next_left(x, D, taken):
    taken = [*taken, _best_left(x, D, taken)]
    return _code(_fit(x, D, taken), taken, len(D))


def _next_only(x, D, taken):
    new = _chosen(x, D, taken)
    rest = x - _fit(x, D, taken) @ D[taken]
    return _code(D[new] @ rest, [new], len(D))


def _next_of_rest(x, D, taken):
    rest = x - _fit(x, D, taken) @ D[taken]
    taken = [*taken, _chosen(x, D, taken)]
    return _code(_fit(rest, D, taken), taken, len(D))


def _next_alone(x, D, taken):
    """Matching pursuit: the old weights stay."""
    code = _code(_fit(x, D, taken), taken, len(D))
    new = _chosen(x, D, taken)
    code[new] += D[new] @ (x - code @ D)
    return code


def _next_correlations(x, D, taken):
    taken = [*taken, _chosen(x, D, taken)]
    return _code(D[taken] @ x, taken, len(D))


def _lasso_step(generator):
    d, atoms = int(generator.integers(5, 8)), int(generator.integers(9, 14))
    D = unit_rows(generator, (atoms, d))
    code = generator.normal(size=atoms) * (generator.uniform(size=atoms) < 0.7)
    step, penalty = 1 / np.linalg.norm(D @ D.T, 2), generator.uniform(0.3, 0.8)
    # One weight lies within the threshold before the step, and one after it: they
    # show what is done to such.
    before, after = generator.permutation(atoms)[:2]
    small = generator.choice([-0.5, 0.5], 2) * step * penalty
    code[before] = small[0]
    x = 2 * generator.normal(size=d)
    x += (small[1] - _descended(code, x, D, step)[after]) / step * D[after]
    return code, x, D, penalty, step


def _soft(z, threshold):
    return np.sign(z) * np.maximum(np.abs(z) - threshold, 0)


def _descended(c, x, D, step):
    return c - step * (c @ D - x) @ D.T


def _ista_step(c, x, D, penalty, step):
    return _soft(_descended(c, x, D, step), step * penalty)


def _hard_step(c, x, D, penalty, step):
    z = _descended(c, x, D, step)
    return np.where(np.abs(z) > step * penalty, z, 0)


def _shrunk_only(c, x, D, penalty, step):
    """Too small weights pass zero in place of staying there."""
    z = _descended(c, x, D, step)
    return z - step * penalty * np.sign(z)


def _subgradient(c, x, D, penalty, step):
    return _descended(c, x, D, step) - step * penalty * np.sign(c)


def _codes(generator):
    n, atoms, d = int(generator.integers(20, 30)), 6, int(generator.integers(4, 10))
    C = generator.normal(size=(n, atoms)) * (generator.uniform(size=(n, atoms)) < 0.6)
    return generator.normal(size=(n, d)), C


def _least_squares(X, C):
    return np.linalg.lstsq(C, X, rcond=None)[0]


def _mod(X, C):
    D = _least_squares(X, C)
    length = np.linalg.norm(D, axis=1)
    return D / length[:, None], C * length


def _mod_without_rescaling(X, C):
    return _mod(X, C)[0], C


def _mod_divided_twice(X, C):
    D = _least_squares(X, C)
    length = np.linalg.norm(D, axis=1)
    return D / length[:, None], C / length


def _mod_long(X, C):
    return _least_squares(X, C), C


def _mod_columns(X, C):
    D = _least_squares(X, C)
    return D / np.linalg.norm(D, axis=0), C


def _mod_step(X, C):
    """A product in place of the solution, as if codes were orthogonal."""
    D = C.T @ X
    length = np.linalg.norm(D, axis=1)
    return D / length[:, None], C * length


def _mod_squared(X, C):
    D = _least_squares(X, C)
    length = np.square(D).sum(axis=1)
    return D / length[:, None], C * length


def _mod_recoded(X, C):
    D = _mod(X, C)[0]
    return D, np.linalg.lstsq(D.T, X.T, rcond=None)[0].T


def _mod_whole(X, C):
    D = _least_squares(X, C)
    return D / np.linalg.norm(D), C * np.linalg.norm(D)


def _overlapping(generator):
    step = int(generator.integers(2, 4))  # so that counts aren't the patch's size
    size = step + int(generator.integers(1, 4))
    rows, columns = generator.choice([3, 4, 5, 6], size=2, replace=False)
    return generator.normal(size=(rows, columns, size, size)), step


def _places(patches, step):
    rows, columns, size, _ = patches.shape
    shape = (rows - 1) * step + size, (columns - 1) * step + size
    return shape, [
        ((i, j), np.s_[i * step : i * step + size, j * step : j * step + size])
        for i in range(rows)
        for j in range(columns)
    ]


def _summed(patches, step):
    shape, places = _places(patches, step)
    total, count = np.zeros(shape), np.zeros(shape)
    for at, place in places:
        total[place] += patches[at]
        count[place] += 1
    return total, count


def _average(patches, step):
    total, count = _summed(patches, step)
    return total / count


def _average_by_most(patches, step):
    total, count = _summed(patches, step)
    return total / count.max()


def _last_wins(patches, step):
    shape, places = _places(patches, step)
    out = np.zeros(shape)
    for at, place in places:
        out[place] = patches[at]
    return out


def _first_wins(patches, step):
    shape, places = _places(patches, step)
    out = np.zeros(shape)
    for at, place in reversed(places):
        out[place] = patches[at]
    return out


def _halved(patches, step):
    """The mean of what is there and the next patch, again and again."""
    shape, places = _places(patches, step)
    out, seen = np.zeros(shape), np.zeros(shape, bool)
    for at, place in places:
        both = (out[place] + patches[at]) / 2
        out[place] = np.where(seen[place], both, patches[at])
        seen[place] = True
    return out


EXERCISES = {}

EXERCISES["3.2"] = Function(_next_code, _begun, faults={
    "signed": ("a large negative correlation counts too, because weights may be "
        "negative. Compare absolute values.", _next_signed),
    "of-patch": ("the next atom must correlate with the rest of the patch, not with "
        "the patch itself.", _next_of_patch),
    "others-of-patch": ("you leave out the atoms taken, but you still compare with "
        "the patch itself. Compare with the rest of the patch.", _next_left),
    "only-new": ("the atoms taken before have lost their weights.", _next_only),
    "of-rest": ("the atom is right, but you fitted the weights to the rest. Fit them "
        "to the patch.", _next_of_rest),
    "alone": ("the atom is right, but you fitted only its weight. Fit all atoms taken "
        "so far again; this is the O in OMP.", _next_alone),
    "correlations": ("the atom is right, but correlations are not weights. Atoms "
        "are not orthogonal, so solve least squares.", _next_correlations),
    "same": ("this is the code before the step. No atom was added.",
        lambda x, D, taken: _code(_fit(x, D, taken), taken, len(D))),
})  # fmt: skip

EXERCISES["3.3"] = Value((1, 2, 0.6), faults={
    "one-sided": ("for the first penalty no weight may be negative, so a negative "
        "product switches no atom on.", (2, 2, 0.6)),
    "two-sided": ("with weights of either sign a product of −2 switches its atom on.",
        (1, 1, 0.6)),
    "unshrunk": ("the penalties are right, but the penalty also makes the weight "
        "that is left smaller than least squares does.", (1, 2, 1)),
    "half": ("the penalties are right, but look at the derivative again. The ½ in "
        "front of the square cancels its 2, so α₁ falls by λ, not by λ/2.",
        (1, 2, 0.8)),
    "negative": ("a penalty is not negative, because the absolute product "
        "counts.", (1, -2, 0.6)),
    "by-penalty": ("the penalties are right. The weight falls by λ, so it is 1 − 0.4.",
        (1, 2, 0.4)),
})  # fmt: skip

EXERCISES["3.4"] = Function(_ista_step, _lasso_step, faults={
    "uphill": ("the step goes uphill. Subtract the gradient.",
        lambda c, x, D, penalty, step: _soft(
            _descended(c, x, D, -step), step * penalty)),
    "unscaled-threshold": ("multiply the threshold by the learning rate, like the "
        "gradient.",
        lambda c, x, D, penalty, step: _soft(_descended(c, x, D, step), penalty)),
    "one-sided": ("you cut off negative weights, but here they may have either sign.",
        lambda c, x, D, penalty, step: np.maximum(
            _descended(c, x, D, step) - step * penalty, 0)),
    "hard": ("this is a hard threshold. Weights that stay must shrink by the threshold "
        "too.", _hard_step),
    "sign": ("the sign is lost. A negative weight stays negative.",
        lambda c, x, D, penalty, step: np.abs(_ista_step(c, x, D, penalty, step))),
    "past-zero": ("weights smaller than the threshold change their sign. They must "
        "become zero.", _shrunk_only),
    "subgradient": ("you added the penalty to the gradient, so no weight becomes "
        "zero. Descend first, then apply the threshold.", _subgradient),
    "no-threshold": ("the threshold is missing, or is zero.",
        lambda c, x, D, penalty, step: _descended(c, x, D, step)),
    "unscaled-slope": ("the gradient is not multiplied by the learning rate.",
        lambda c, x, D, penalty, step: _soft(_descended(c, x, D, 1.0), step * penalty)),
    "twice": ("the ½ in front of the square cancels the 2 of its derivative, so the "
        "gradient has no factor 2.",
        lambda c, x, D, penalty, step: _soft(
            _descended(c, x, D, 2 * step), step * penalty)),
    "threshold-first": ("the threshold comes after the step down the gradient. Yours "
        "comes first.",
        lambda c, x, D, penalty, step: _descended(
            _soft(c, step * penalty), x, D, step)),
    "start": ("the gradient is right, but the step starts from the thresholded code.",
        lambda c, x, D, penalty, step: (
            _soft(c, step * penalty) - step * (c @ D - x) @ D.T)),
    "from-zero": ("this is the gradient at the code zero. Subtract x from code @ D.",
        lambda c, x, D, penalty, step: _soft(c + step * x @ D.T, step * penalty)),
})  # fmt: skip

EXERCISES["3.5"] = Function(_mod, _codes, faults={
    "unscaled": ("the atoms are right, but multiply the weights by their norms, so "
        "that codes @ D does not change.", _mod_without_rescaling),
    "wrong-way": ("the atoms are right, but the weights go the wrong way. If you "
        "divide an atom, multiply its column of the codes.", _mod_divided_twice),
    "exchanged": ("the dictionary comes first, then the codes. Yours are exchanged.",
        lambda X, C: _mod(X, C)[::-1]),
    "long": ("these atoms fit best, but their norms are not 1.", _mod_long),
    "squared": ("a norm is the root of the sum of squares. Yours is the sum.",
        _mod_squared),
    "recoded": ("the atoms are right, but you found new codes. Only multiply the old "
        "ones by the norms.", _mod_recoded),
    "columns": ("atoms are rows, but here the columns have norm 1.",
        _mod_columns),
    "product": ("codes.T @ patches is not yet the solution, because atoms are used "
        "together. Use np.linalg.lstsq.", _mod_step),
    "whole": ("each atom has its own norm, but here all are divided by one number.",
        _mod_whole),
})  # fmt: skip

EXERCISES["3.6"] = Function(_average, _overlapping, faults={
    "sum": ("this is the sum. Divide by the number of patches over each pixel.",
        lambda patches, step: _summed(patches, step)[0]),
    "most": ("near the border fewer patches overlap. Count them for each pixel.",
        _average_by_most),
    "pixels": ("divide by the number of patches over a pixel. You divide by the number "
        "of pixels in a patch.",
        lambda patches, step: _summed(patches, step)[0] / patches.shape[2] ** 2),
    "first": ("where patches overlap only the first one is left. Add them up.",
        _first_wins),
    "last": ("where patches overlap only the last one is left. Add them up.",
        _last_wins),
    "halved": ("a mean with each next patch gives the last one the most weight. "
        "Add all up, then divide once.", _halved),
    "transposed": ("each patch is transposed.",
        lambda patches, step: _average(patches.swapaxes(2, 3), step)),
})  # fmt: skip
