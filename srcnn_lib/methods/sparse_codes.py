"""Sparse codes of many vectors at once, in a twentieth of the time that scikit-learn
takes for one after the other, and dictionaries learnt for them."""

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from .patches import check_enough

PARALLEL = 1e-5  # atoms that fall at rates closer than this are taken for parallel
MOST_STEPS = 200  # after which a path is given up; pictures take about 40


def weighted_sums(support: Tensor, weights: Tensor, rows: Tensor) -> Tensor:
    """Σ weights[:, i] · rows[support[:, i]]: (n, s), (n, s), (k, m) → (n, m)."""
    return F.embedding_bag(support, rows, per_sample_weights=weights, mode="sum")


def solve_spd(gram: Tensor, wanted: Tensor) -> Tensor:
    """x with gram·x = wanted, for Gram matrices (n, k, k) and vectors (n, k)."""
    # With a little on the diagonal, atoms that depend on each other share a weight.
    little = 32 * torch.finfo(gram.dtype).eps * torch.eye(gram.shape[1]).to(gram)
    factor, _ = torch.linalg.cholesky_ex(gram + little)
    return torch.cholesky_solve(wanted[..., None], factor)[..., 0]


@torch.no_grad()
def lasso(vectors: Tensor, dictionary: Tensor, penalty: float, *, exact=False):
    """Non-negative codes c (n, atoms) that minimise |x - c·D|²/2 + penalty·sum(c), for
    vectors x (n, d) and a dictionary D (atoms, d) with rows of about unit length.

    Least-angle regression follows each vector's solution downwards from the penalty at
    which its first atom comes in: the active atoms keep one common correlation with the
    residual, its level, until another atom's is as high or a weight reaches zero.  With
    `exact` it stops at the penalty; otherwise, as SparseLab's SolveLasso that Yang et
    al. used, at the end of the first step that begins below.
    Source: Efron et al., Annals of Statistics 32, 2004, section 3.
    """
    codes = vectors.new_zeros(len(vectors), len(dictionary))
    gram = dictionary @ dictionary.T
    correlation = vectors @ dictionary.T  # with the residual, (n, atoms)
    level, entering = correlation.max(1)
    # Of the vectors still on their way, `rows`: the atoms that ever came in, one column
    # for each step, their weights, and whether they are active.
    rows = (level > penalty).nonzero()[:, 0]
    correlation, level, atoms = correlation[rows], level[rows], entering[rows, None]
    weights = torch.zeros_like(level)[:, None]
    active = torch.ones_like(weights, dtype=torch.bool)
    for _ in range(MOST_STEPS):
        if not len(rows):
            break
        change, fall = _direction(gram, dictionary, atoms, active)
        slack = 1 - fall
        until_level = (level[:, None] - correlation).clamp_(min=0) / slack
        until_level[slack < PARALLEL] = torch.inf
        out = torch.where(active, torch.inf, 0.0).to(weights)
        until_level.scatter_reduce_(1, atoms, out, "amax")
        until_level, entering = until_level.min(1)
        until_zero = torch.where(change < 0, -weights / change, torch.inf)
        until_zero, leaving = until_zero.min(1)
        until_end = level - penalty if exact else level
        step = torch.minimum(torch.minimum(until_level, until_zero), until_end)
        done = (step >= until_end) | (not exact and level <= penalty)
        leaves = F.one_hot(leaving, atoms.shape[1]) * (until_zero <= step)[:, None]
        active = active & ~leaves.bool()
        weights = torch.where(active, weights + step[:, None] * change, 0).clamp_(min=0)
        # An atom that came in twice has two columns, one of which is 0.
        codes.index_put_((rows[done, None], atoms[done]), weights[done], True)
        level, correlation = level - step, correlation - step[:, None] * fall
        atoms = torch.cat([atoms, entering[:, None]], 1)
        active = torch.cat([active, (until_level <= step)[:, None]], 1)
        going = rows, level, correlation, atoms, F.pad(weights, (0, 1)), active
        rows, level, correlation, atoms, weights, active = (t[~done] for t in going)
    return codes.index_put_((rows[:, None], atoms), weights, True)


def _direction(gram, dictionary, atoms, active) -> tuple[Tensor, Tensor]:
    """The weights' rates at which active correlations fall by 1, and how all fall."""
    inner = gram[atoms[:, :, None], atoms[:, None, :]]  # (n, k, k)
    inner = inner * (active[:, :, None] & active[:, None, :])
    inner.diagonal(dim1=1, dim2=2).add_(~active)  # ones for the atoms that left
    change = solve_spd(inner, active.to(inner))
    return change, weighted_sums(atoms, change, dictionary) @ dictionary.T


@torch.no_grad()
def ista(vectors: Tensor, dictionary: Tensor, penalty: float, steps: int) -> Tensor:
    """Codes on their way to those of ``lasso(…, exact=True)``, `steps` from zero: each
    goes down the squared error's slope and takes `penalty` times its length away, but
    not below zero.  Source: Daubechies et al., Comm. Pure Appl. Math. 57, 2004; Beck
    and Teboulle, SIAM J. Imaging Sci. 2, 2009."""
    gram = dictionary @ dictionary.T
    size = safe_step(gram)
    heard = vectors @ dictionary.T
    codes = torch.zeros_like(heard)
    for _ in range(steps):
        ahead = codes - size * (codes @ gram - heard)
        codes = (ahead - size * penalty).clamp_(min=0)
    return codes


def safe_step(gram: Tensor) -> float:
    """The longest step with which `ista` never goes up: 1 / curvature."""
    return 1 / torch.linalg.eigvalsh(gram)[-1].item()


def learn_dictionary(
    samples: Tensor, atoms: int, penalty: float, generator: torch.Generator, *,
    passes: int, batch: int = 2000,
) -> Tensor:  # fmt: skip
    """A dictionary (atoms, d) in which all samples have sparse non-negative codes.

    Online learning: code a batch by `lasso`, then move each atom to where it is best
    for the samples so far, of which only two sums of products are kept.  Older batches,
    coded with worse dictionaries, count less.  Samples (n, d) and atoms have unit norm.
    Raises ValueError for too few.  Source: Mairal et al., JMLR 11, 2010, algorithm 2.
    """
    check_enough(samples, atoms, "atoms")
    n = len(samples)
    start, *orders = (torch.randperm(n, generator=generator) for _ in range(1 + passes))
    dictionary = F.normalize(samples[start[:atoms]])
    codes_codes = samples.new_zeros(atoms, atoms)
    codes_samples = torch.zeros_like(dictionary)
    parts = [part for order in orders for part in order.split(batch)]
    for seen, part in enumerate(tqdm(parts, desc="dictionary", disable=None), start=1):
        codes = lasso(samples[part], dictionary, penalty, exact=True)
        keep = (1 - 1 / seen) ** 2
        codes_codes.mul_(keep).addmm_(codes.T, codes)
        codes_samples.mul_(keep).addmm_(codes.T, samples[part])
        # Each used atom in turn to its best place, the others fixed.
        for k in (codes_codes.diagonal() > 1e-6).nonzero()[:, 0].tolist():
            atom = codes_samples[k] - codes_codes[k] @ dictionary
            atom = atom / codes_codes[k, k] + dictionary[k]
            dictionary[k] = atom / atom.norm()
    return dictionary
