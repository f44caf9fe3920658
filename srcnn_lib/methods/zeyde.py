"""K-SVD: sparse codes over a learnt pair of dictionaries (Zeyde et al. 2010).

A patch's features are written as a sum of three atoms of an LR dictionary; the same sum
of HR atoms is what bicubic lacks there.  The LR dictionary is learnt by K-SVD; the HR
one is then a least-squares problem.
Source: Zeyde, Elad, Protter, "On single image scale-up using sparse-representations",
2010; Rubinstein, Zibulevsky, Elad, "Efficient implementation of the K-SVD algorithm
using batch orthogonal matching pursuit", 2008.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from . import patches
from .patches import PATCH, PatchMethod
from .sparse_codes import solve_spd, weighted_sums

ATOMS, NONZEROS = 1024, 3
STRIDE = 2  # LR pixels from one training patch to the next
LEAST_USES = 4  # an atom that fewer samples use is replaced


class Dictionary(NamedTuple):
    """A pair of dictionaries, `lr` (atoms, d), unit norm, and `hr` (atoms, (3·scale)²),
    what bicubic lacks, and the `basis` (d, 4·(3·scale)²) of features, float32."""

    basis: Tensor
    lr: Tensor
    hr: Tensor


def omp(signals: Tensor, atoms: Tensor, nonzeros=NONZEROS) -> tuple[Tensor, Tensor]:
    """Orthogonal matching pursuit, for many signals (n, d) at once: takes the atom, of
    `atoms` (k, d) with unit norm, that the rest correlates with most, fits all atoms
    taken so far by least squares, and goes on with what is left.  Returns the atoms
    taken and their weights, (n, nonzeros) each, about 0 where an atom adds nothing."""
    codes = []
    for chunk in signals.split(patches.CHUNK[signals.device.type]):
        rest, support = chunk, chunk.new_empty(len(chunk), 0, dtype=torch.long)
        for _ in range(nonzeros):
            # An atom is taken once, whatever rounding leaves of it.
            likeness = (rest @ atoms.T).abs_().scatter_(1, support, -1)
            best = likeness.max(1, keepdim=True).indices
            support = torch.cat([support, best], 1)
            taken = atoms[support].double()  # (n, step, d)
            wanted = (taken @ chunk.double()[..., None])[..., 0]
            weights = solve_spd(taken @ taken.mT, wanted).to(chunk)
            rest = chunk - weighted_sums(support, weights, atoms)
        codes.append((support, weights))
    return tuple(map(torch.cat, zip(*codes)))


def ksvd(
    signals: Tensor, *, atoms=ATOMS, nonzeros=NONZEROS, iterations: int = 20, seed=0
) -> Tensor:
    """A dictionary (atoms, d), unit norm, for signals (n, d) as sums of few atoms, by
    `omp` and `update_atoms` in turn.  Raises ValueError for too few signals."""
    signals = signals[signals.norm(dim=1) > 1e-6]
    patches.check_enough(signals, atoms, "atoms")
    order = np.random.default_rng(seed).permutation(len(signals))[:atoms]
    d = F.normalize(signals[torch.from_numpy(order)])
    for _ in tqdm(range(iterations), desc="K-SVD", disable=None):
        support, weights = omp(signals, d, nonzeros)
        d, _ = update_atoms(signals, d, support, weights, least_uses=LEAST_USES)
    return d


def update_atoms(
    signals: Tensor, atoms: Tensor, support: Tensor, weights: Tensor, *,
    power_steps: int = 1, least_uses: int = 0,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Improve every atom and the weights it has in codes of `omp`, one by one.

    Each is fitted to what the others leave, so the squared error never grows.
    `power_steps` of the power method stand in for an SVD: with many the update is
    K-SVD's own, one does as well over the iterations (Rubinstein et al., section 4).
    An atom of fewer signals than `least_uses` becomes the signal that is coded worst,
    and its weights 0.  Returns new atoms (k, d) and weights.
    """
    d, flat = atoms.clone(), weights.flatten().clone()
    rest = signals - weighted_sums(support, weights, d)
    # Which (signal, place) an atom is used at: sorted by atom, then split.
    places = flat.nonzero()[:, 0]
    owner = support.flatten()[places]
    counts = torch.bincount(owner, minlength=len(d)).tolist()
    for k, at in enumerate(places[owner.argsort(stable=True)].split(counts)):
        if len(at) < least_uses:
            worst = rest.square().sum(1).argmax()
            d[k], flat[at] = F.normalize(signals[worst], dim=0), 0
            rest[worst] = 0  # so that the next one takes another
        elif len(at):
            rows, w = at // support.shape[1], flat[at]
            wanted = rest[rows] + w[:, None] * d[k]
            for _ in range(power_steps):
                atom = F.normalize(w @ wanted, dim=0)
                w = wanted @ atom
            d[k], flat[at] = atom, w
            rest[rows] = wanted - w[:, None] * atom
    return d, flat.view_as(weights)


def fit_hr_atoms(support: Tensor, weights: Tensor, wanted: Tensor, atoms: int):
    """The HR atoms (atoms, m) whose sums, by the codes of `omp`, come nearest to
    `wanted` (n, m); 0 for an atom that no code uses.  Zeyde et al., equation 9."""
    chunks = zip(*(t.split(2**12) for t in (support, weights, wanted)))
    dense = ((torch.zeros(len(s), atoms).scatter_(1, s, w), x) for s, w, x in chunks)
    little = 1e-9 * weights.double().square().sum() / atoms
    return patches.ridge_regression(dense, little).float()


def learn_ksvd(
    images: Iterable[np.ndarray], scale: int, *, atoms=ATOMS, **choices
) -> Dictionary:
    """The pair of dictionaries that pictures, uint8, teach; `choices` are of `ksvd`."""
    size, stride = PATCH * scale, STRIDE * scale

    def see(y):
        return patches.extract_patches(patches.gradients(y, scale), size, stride)

    seen, wanted = patches.training_patches(images, see, scale, stride=STRIDE)
    basis = patches.principal_axes(seen, 1e-3)
    lr = ksvd(seen := seen @ basis.T, atoms=atoms, **choices)
    return Dictionary(basis, lr, fit_hr_atoms(*omp(seen, lr), wanted, atoms))


def ksvd_method(pair: Dictionary, scale: int) -> PatchMethod:
    """K-SVD as a method."""

    def restore(seen):
        return weighted_sums(*omp(seen, pair.lr), pair.hr)

    return PatchMethod.of_gradients(pair.basis, restore, scale)
