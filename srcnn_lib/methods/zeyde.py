"""K-SVD: sparse codes over a learnt pair of dictionaries (Zeyde et al. 2010).

A patch's features are written as a sum of three atoms of an LR dictionary;
the same sum of the HR dictionary's atoms is what bicubic lacks there.  The LR
dictionary is learnt by K-SVD; the HR one is then a least-squares problem.
Neighbour embedding and the anchored methods use the same pair.

Source: R. Zeyde, M. Elad, M. Protter, "On single image scale-up using
sparse-representations", 2010, sections 3 and 4; R. Rubinstein, M. Zibulevsky,
M. Elad, "Efficient implementation of the K-SVD algorithm using batch
orthogonal matching pursuit", 2008, and their program.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_array
from torch.nn import functional as F
from tqdm import tqdm

from ..models import choose_device
from . import patches
from .patches import PatchMethod
from .sparse_codes import solve_spd, weighted_sums

ATOMS = 1024
NONZEROS = 3
ITERATIONS = 20
#: LR pixels from one training patch to the next.
STRIDE = 2
#: An atom that fewer samples use is replaced.
LEAST_USES = 4


class Dictionary(NamedTuple):
    """A pair of dictionaries and the features they are for, float32.

    `basis` (d, 4·(3·scale)²); `lr` (atoms, d), unit norm; `hr` (atoms,
    (3·scale)²), what bicubic lacks.
    """

    basis: torch.Tensor
    lr: torch.Tensor
    hr: torch.Tensor

    def to(self, device) -> "Dictionary":
        return Dictionary(*(t.to(device) for t in self))


def omp(
    signals: torch.Tensor, atoms: torch.Tensor, nonzeros: int = NONZEROS
) -> tuple[torch.Tensor, torch.Tensor]:
    """Orthogonal matching pursuit, for many signals at once.

    Takes the atom that the rest correlates with most, fits all atoms taken so
    far by least squares, and goes on with what is left.

    Parameters
    ----------
    signals : (n, d), any range.
    atoms : (k, d), unit norm.

    Returns
    -------
    support : (n, nonzeros), the atoms taken, in order.
    weights : (n, nonzeros), about 0 for an atom that could add nothing.
    """
    gram = atoms @ atoms.T
    parts = [
        _omp(chunk, atoms, gram, nonzeros)
        for chunk in signals.split(patches.CHUNK[signals.device.type])
    ]
    return tuple(torch.cat(part) for part in zip(*parts, strict=True))


def _omp(signals, atoms, gram, nonzeros):
    correlation = rest = signals @ atoms.T  # (n, k)
    support = torch.empty(len(signals), 0, dtype=torch.long, device=signals.device)
    for _ in range(nonzeros):
        best = rest.abs().max(1, keepdim=True).indices
        support = torch.cat([support, best], 1)
        taken = atoms[support].double()  # (n, step, d)
        wanted = (taken @ signals.double()[..., None])[..., 0]
        weights = solve_spd(taken @ taken.mT, wanted).to(signals)
        rest = (signals - weighted_sums(support, weights, atoms)) @ atoms.T
        # An atom is taken once, whatever rounding leaves of it.
        rest.scatter_(1, support, 0)
    return support, weights


def ksvd(
    signals: torch.Tensor,
    *,
    atoms: int = ATOMS,
    nonzeros: int = NONZEROS,
    iterations: int = ITERATIONS,
    seed: int = 0,
    progress: bool = True,
) -> torch.Tensor:
    """Learn a dictionary in which every signal is a sum of few atoms.

    Each iteration codes all signals by `omp`, improves the atoms by
    `update_atoms`, and replaces those that fewer than `LEAST_USES` signals use by
    the signals that are coded worst.

    Parameters
    ----------
    signals : (n, d); n at least `atoms`.

    Returns
    -------
    (atoms, d), unit norm.

    Raises
    ------
    ValueError : when there are too few signals.
    """
    usable = signals[signals.norm(dim=1) > 1e-6]
    if len(usable) < atoms:
        raise ValueError(
            f"{len(usable)} patches with any detail are too few to learn "
            f"{atoms} atoms; give more or larger pictures"
        )
    order = np.random.default_rng(seed).permutation(len(usable))[:atoms]
    d = F.normalize(usable[torch.from_numpy(order)])
    for _ in tqdm(range(iterations), desc="K-SVD", leave=False, disable=not progress):
        support, weights = omp(signals, d, nonzeros)
        d, weights = update_atoms(signals, d, support, weights)
        uses = torch.bincount(support[weights != 0], minlength=atoms)
        rare = (uses < LEAST_USES).nonzero()[:, 0]
        error = (signals - weighted_sums(support, weights, d)).square().sum(1)
        d[rare] = F.normalize(signals[error.topk(len(rare)).indices])
    return d


def update_atoms(
    signals: torch.Tensor,
    atoms: torch.Tensor,
    support: torch.Tensor,
    weights: torch.Tensor,
    power_steps: int = 1,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Improve every atom and the weights it has, one after the other.

    Each is fitted to what the others leave, so the squared error never grows.

    Parameters
    ----------
    signals : (n, d).
    atoms : (k, d), unit norm.
    support, weights : (n, nonzeros), codes of `omp`.
    power_steps : of the power method in place of each SVD.  With many the
        update is K-SVD's own; one does as well over the iterations
        (Rubinstein et al., section 4).

    Returns
    -------
    atoms, weights : new ones.  An atom that no signal uses stays.
    """
    d, flat = atoms.clone(), weights.flatten().clone()
    rest = signals - weighted_sums(support, weights, d)
    # Which (signal, place) an atom is used at: sorted by atom, then split.
    places = flat.nonzero()[:, 0]
    owner = support.flatten()[places]
    counts = torch.bincount(owner, minlength=len(d)).tolist()
    for k, at in enumerate(places[owner.argsort(stable=True)].split(counts)):
        if not len(at):
            continue
        rows, w = at // support.shape[1], flat[at]
        wanted = rest[rows] + w[:, None] * d[k]
        for _ in range(power_steps):
            atom = F.normalize(w @ wanted, dim=0)
            w = wanted @ atom
        d[k], flat[at] = atom, w
        rest[rows] = wanted - w[:, None] * atom
    return d, flat.view_as(weights)


def fit_hr_atoms(
    codes: tuple[torch.Tensor, torch.Tensor], wanted: torch.Tensor, atoms: int
) -> torch.Tensor:
    """The HR atoms whose sums come nearest to `wanted`, by least squares.

    Parameters
    ----------
    codes : (support, weights) of `omp`.
    wanted : (n, m).

    Returns
    -------
    (atoms, m); 0 for an atom that no code uses.  Zeyde et al., equation 9.
    """
    support, weights = (t.numpy() for t in codes)
    starts = np.arange(support.size + 1, step=support.shape[1])
    codes = (weights.ravel().astype(float), support.ravel(), starts)
    codes = csr_array(codes, (len(support), atoms))
    gram = (codes.T @ codes).toarray()
    gram += 1e-9 * gram.trace() / atoms * np.eye(atoms)
    return torch.from_numpy(np.linalg.solve(gram, codes.T @ wanted.numpy())).float()


def learn_ksvd(
    images: Iterable[np.ndarray],
    scale: int,
    *,
    atoms: int = ATOMS,
    iterations: int = ITERATIONS,
    seed: int = 0,
    progress: bool = True,
) -> Dictionary:
    """Learn the pair of dictionaries from pictures, uint8, grey or RGB.

    Raises
    ------
    ValueError : when they hold too few patches.
    """
    pairs = list(patches.examples(images, scale))
    covariance = torch.zeros((), dtype=torch.float64)
    for y, _ in pairs:
        maps = patches.gradients(y, scale)
        x = patches.extract_patches(maps, patches.PATCH * scale, STRIDE * scale)
        covariance = covariance + (x.T @ x).double()
    basis = patches.principal_axes(covariance, patches.DROPPED_ENERGY)
    seen, wanted = patches.training_patches(
        pairs, lambda y: patches.features(y, scale, basis, STRIDE), scale, stride=STRIDE
    )
    lr = ksvd(seen, atoms=atoms, iterations=iterations, seed=seed, progress=progress)
    return Dictionary(basis, lr, fit_hr_atoms(omp(seen, lr), wanted, atoms))


def ksvd_method(
    dictionary: Dictionary, scale: int, device: str = "auto"
) -> PatchMethod:
    """K-SVD as a method."""
    device = choose_device(device)
    basis, lr, hr = dictionary.to(device)

    def restore(seen):
        return weighted_sums(*omp(seen, lr), hr)

    return PatchMethod.of_gradients(basis, restore, scale, device)
