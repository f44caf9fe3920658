"""K-SVD: sparse codes over a learnt pair of dictionaries (Zeyde et al. 2010).

A patch's features are written as a sum of three atoms of an LR dictionary;
the same sum of the HR dictionary's atoms is what bicubic lacks there.  The LR
dictionary is learnt by K-SVD; the HR one is then a least-squares problem.
Neighbour embedding and the anchored methods use the same pair.

Source: R. Zeyde, M. Elad, M. Protter, "On single image scale-up using
sparse-representations", 2010, sections 3 and 4; R. Rubinstein, M. Zibulevsky,
M. Elad, "Efficient implementation of the K-SVD algorithm using batch
orthogonal matching pursuit", 2008.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from ..models import choose_device
from . import patches
from .patches import PatchMethod

ATOMS = 1024
NONZEROS = 3
ITERATIONS = 20
#: LR pixels from one training patch to the next.
STRIDE = 2
#: An atom that fewer samples use is replaced.
LEAST_USES = 4


class Dictionary(NamedTuple):
    """A pair of dictionaries and the features they are for.

    `basis` (d, 4·(3·scale)²); `lr` (atoms, d), unit norm; `hr` (atoms,
    (3·scale)²), what bicubic lacks.  float32.
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
    weights : (n, nonzeros); 0 for an atom that could add nothing.
    """
    chunk = patches.CHUNK[signals.device.type]
    gram = atoms @ atoms.T
    parts = [_omp(x, atoms, gram, nonzeros) for x in signals.split(chunk)]
    return tuple(torch.cat(part) for part in zip(*parts, strict=True))


def _omp(signals, atoms, gram, nonzeros):
    correlation = signals @ atoms.T  # (n, k)
    rest = correlation
    support = correlation.new_empty(len(signals), 0, dtype=torch.long)
    for step in range(nonzeros):
        best = rest.abs().max(1, keepdim=True).indices
        support = torch.cat([support, best], 1)
        system = gram[support[:, :, None], support[:, None, :]]
        wanted = correlation.gather(1, support)
        weights = _solve(system, wanted)
        if step < nonzeros - 1:
            rest = correlation.clone()
            for i in range(step + 1):
                rest.addcmul_(
                    gram[support[:, i]], weights[:, i : i + 1], value=-1
                )
            # An atom is taken once, whatever rounding leaves of it.
            rest.scatter_(1, support, 0)
    return support, weights


def _solve(system, wanted):
    """Least squares; an atom that depends on the others gets no weight."""
    lower = torch.zeros_like(system)
    size = system.shape[-1]
    inverse = []
    for j in range(size):  # Cholesky, for all signals at once
        row = lower[:, j, :j]
        pivot = system[:, j, j] - row.square().sum(1)
        sound = pivot > 1e-6
        lower[:, j, j] = torch.where(sound, pivot, 1).sqrt()
        inverse.append(sound / lower[:, j, j])
        known = (lower[:, j + 1 :, :j] @ row[..., None])[..., 0]
        below = system[:, j + 1 :, j] - known
        lower[:, j + 1 :, j] = below * inverse[j][:, None]
    y = torch.zeros_like(wanted)
    for j in range(size):
        known = (lower[:, j, :j] * y[:, :j]).sum(1)
        y[:, j] = (wanted[:, j] - known) * inverse[j]
    x = torch.zeros_like(wanted)
    for j in reversed(range(size)):
        known = (lower[:, j + 1 :, j] * x[:, j + 1 :]).sum(1)
        x[:, j] = (y[:, j] - known) * inverse[j]
    return x


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

    Each iteration codes all signals by `omp`, then fits each atom, and the
    weights it has, to what the others leave: one step of the power method in
    place of an SVD (Rubinstein et al., section 4).

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
    d = torch.nn.functional.normalize(usable[torch.from_numpy(order)])
    for _ in tqdm(
        range(iterations), desc="K-SVD", leave=False, disable=not progress
    ):
        support, weights = omp(signals, d, nonzeros)
        d, _ = update_atoms(signals, d, support, weights)
    return d


def update_atoms(
    signals: torch.Tensor,
    atoms: torch.Tensor,
    support: torch.Tensor,
    weights: torch.Tensor,
    power_steps: int = 1,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Improve every atom and the weights it has, one after the other.

    Parameters
    ----------
    signals : (n, d).
    atoms : (k, d), unit norm.
    support, weights : (n, nonzeros), codes of `omp`.
    power_steps : of the power method in place of each SVD.  With many the
        update is K-SVD's own; one does as well over the iterations.

    Returns
    -------
    atoms, weights : new ones.  An atom of fewer than `LEAST_USES` signals is
        replaced by the signal that is coded worst.
    """
    d, weights = atoms.clone(), weights.clone()
    rest = signals - (weights[..., None] * d[support]).sum(1)
    used = weights != 0
    # Which (signal, place) an atom is used at: sorted by atom, then split.
    places = torch.nonzero(used.flatten())[:, 0]
    owner = support.flatten()[places]
    order = torch.argsort(owner, stable=True)
    counts = torch.bincount(owner, minlength=len(d)).tolist()
    flat = weights.flatten()
    for k, at in enumerate(places[order].split(counts)):
        if len(at) < LEAST_USES:
            worst = rest.square().sum(1).argmax()
            d[k] = torch.nn.functional.normalize(signals[worst], dim=0)
            rest[worst] = 0  # so that the next one takes another
            continue
        rows = at // support.shape[1]
        w = flat[at]
        wanted = rest[rows] + w[:, None] * d[k]
        for _ in range(power_steps):
            atom = torch.nn.functional.normalize(w @ wanted, dim=0)
            w = wanted @ atom
        d[k], flat[at] = atom, w
        rest[rows] = wanted - w[:, None] * atom
    return d, flat.view_as(weights)


def fit_hr(
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
    support, weights = codes
    gram = torch.zeros(atoms, atoms, dtype=torch.float64)
    right = torch.zeros(atoms, wanted.shape[1], dtype=torch.float64)
    chunk = patches.CHUNK["cpu"]
    for s, w, x in zip(*(t.split(chunk) for t in (support, weights, wanted))):
        dense = torch.zeros(len(s), atoms).scatter_(1, s, w)
        gram += dense.T @ dense
        right += dense.T @ x
    gram += 1e-9 * gram.trace() / atoms * torch.eye(atoms)
    return torch.linalg.solve(gram, right).float()


def learn(
    images: Iterable[np.ndarray],
    scale: int,
    *,
    atoms: int = ATOMS,
    iterations: int = ITERATIONS,
    seed: int = 0,
    progress: bool = True,
) -> Dictionary:
    """Learn the pair of dictionaries from pictures.

    Parameters
    ----------
    images : uint8, grey or RGB.

    Raises
    ------
    ValueError : when they hold too few patches.
    """
    pairs = list(patches.examples(images, scale))
    if not pairs:
        raise ValueError("no picture is large enough to learn from")
    basis = patches.principal_axes((y for y, _ in pairs), scale, STRIDE)
    seen = torch.cat(
        [patches.features(y, scale, basis, STRIDE) for y, _ in pairs]
    )
    wanted = torch.cat(
        [patches.residual_patches(z, scale, STRIDE) for _, z in pairs]
    )
    lr = ksvd(
        seen, atoms=atoms, iterations=iterations, seed=seed, progress=progress
    )
    return Dictionary(basis, lr, fit_hr(omp(seen, lr), wanted, atoms))


def method(
    dictionary: Dictionary, scale: int, device: str = "auto"
) -> PatchMethod:
    """K-SVD as a method."""
    device = choose_device(device)
    dictionary = dictionary.to(device)

    def restore(seen):
        support, weights = omp(seen, dictionary.lr)
        codes = torch.zeros(len(seen), len(dictionary.lr), device=device)
        return codes.scatter_(1, support, weights) @ dictionary.hr

    return PatchMethod.of_gradients(dictionary.basis, restore, scale, device)
