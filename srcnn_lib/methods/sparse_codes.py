"""Sparse codes of many vectors at once, and dictionaries learnt for them.

scikit-learn gives the same codes one vector at a time, in about 20 times the
time; hence our own.
"""

import torch
from torch.nn import functional as F
from tqdm import tqdm

#: Two atoms that fall at rates closer than this are taken for parallel.
PARALLEL = 1e-5
#: Steps after which a path is given up; pictures take about 40.
MOST_STEPS = 200


def weighted_sums(
    support: torch.Tensor, weights: torch.Tensor, rows: torch.Tensor
) -> torch.Tensor:
    """Σ weights[:, i] · rows[support[:, i]]: (n, s), (n, s), (k, m) → (n, m)."""
    return F.embedding_bag(support, rows, per_sample_weights=weights, mode="sum")


def solve_spd(gram: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """x with gram·x = wanted, for Gram matrices (n, k, k) and vectors (n, k).

    A little is added to the diagonal, so that atoms that depend on each other
    share a weight instead of ending in infinities.
    """
    little = 32 * torch.finfo(gram.dtype).eps * torch.eye(gram.shape[1]).to(gram)
    factor, _ = torch.linalg.cholesky_ex(gram + little)
    return torch.cholesky_solve(wanted[..., None], factor)[..., 0]


@torch.no_grad()
def lasso(
    vectors: torch.Tensor,
    dictionary: torch.Tensor,
    penalty: float,
    *,
    exact: bool = False,
) -> torch.Tensor:
    """Non-negative codes c that minimise |x - c·D|²/2 + penalty·sum(c).

    Least-angle regression follows each vector's solution downwards from the
    penalty at which its first atom comes in: the active atoms keep one common
    correlation with the residual, its level, until another atom's is as high
    or a weight reaches zero.  All vectors take their steps together.

    Parameters
    ----------
    vectors : (n, d), float.
    dictionary : (atoms, d), float, rows of about unit length.
    exact : stop at the penalty.  Otherwise stop as the solver does that Yang
        et al. used, SolveLasso of SparseLab: it looks at the level before a
        step, and so goes on to the end of the first step that begins below.

    Returns
    -------
    (n, atoms), 0 or more; all 0 where no correlation exceeds the penalty.

    Source: Efron et al., Annals of Statistics 32, 2004, section 3.
    """
    codes = vectors.new_zeros(len(vectors), len(dictionary))
    gram = dictionary @ dictionary.T
    correlation = vectors @ dictionary.T  # with the residual, (n, atoms)
    level, entering = correlation.max(dim=1)
    # Of the vectors still on their way, `rows`: the atoms that ever came in,
    # one column for each step, their weights, and whether they are active.
    rows = (level > penalty).nonzero()[:, 0]
    correlation, level = correlation[rows], level[rows]
    atoms = entering[rows, None]
    weights = torch.zeros_like(level)[:, None]
    active = torch.ones_like(weights, dtype=torch.bool)
    for _ in range(MOST_STEPS):
        if not len(rows):
            break
        change = _equiangular(gram, atoms, active)
        # How fast correlations fall; the active ones' by 1.
        fall = weighted_sums(atoms, change, dictionary) @ dictionary.T
        slack = 1 - fall
        until_level = (level[:, None] - correlation).clamp_(min=0) / slack
        until_level[slack < PARALLEL] = torch.inf
        out = torch.where(active, torch.inf, 0.0).to(weights)
        until_level.scatter_reduce_(1, atoms, out, "amax")
        until_level, entering = until_level.min(dim=1)
        until_zero = torch.where(change < 0, -weights / change, torch.inf)
        until_zero, leaving = until_zero.min(dim=1)
        step = torch.minimum(until_level, until_zero)
        step = torch.minimum(step, level - penalty if exact else level)

        weights = weights + step[:, None] * change
        done = (step >= level - penalty) if exact else (level <= penalty)
        done |= step >= level
        leaves = F.one_hot(leaving, atoms.shape[1]).bool()
        active = active & ~(leaves & (until_zero <= step)[:, None])
        weights = torch.where(active, weights, 0.0).clamp_(min=0)
        _store(codes, rows[done], atoms[done], weights[done])

        level = level - step
        correlation -= step[:, None] * fall
        go_on = ~done
        rows, level = rows[go_on], level[go_on]
        correlation = correlation[go_on]
        atoms = torch.cat([atoms, entering[:, None]], dim=1)[go_on]
        weights = F.pad(weights, (0, 1))[go_on]
        enters = (until_level <= step)[:, None]
        active = torch.cat([active, enters], dim=1)[go_on]
    _store(codes, rows, atoms, weights)
    return codes


def _equiangular(gram, atoms, active) -> torch.Tensor:
    """Rates of the weights at which all active correlations fall by 1."""
    inner = gram[atoms[:, :, None], atoms[:, None, :]]  # (n, k, k)
    inner = inner * (active[:, :, None] & active[:, None, :])
    inner.diagonal(dim1=1, dim2=2).add_(~active)  # ones for the atoms that left
    return solve_spd(inner, active.to(inner))


def _store(codes, rows, atoms, weights) -> None:
    """An atom that came in twice has two columns, one of which is 0."""
    codes.index_put_((rows[:, None], atoms), weights, accumulate=True)


@torch.no_grad()
def ista(
    vectors: torch.Tensor, dictionary: torch.Tensor, penalty: float, steps: int
) -> torch.Tensor:
    """Codes on their way to those of `lasso`, after so many steps from zero.

    A step goes down the slope of the squared error and then takes `penalty`
    times the step's length away, but not below zero.

    Parameters and result as of ``lasso(…, exact=True)``, to which the codes
    come ever nearer.

    Source: Daubechies et al., Communications on Pure and Applied Mathematics
    57, 2004; Beck and Teboulle, SIAM Journal on Imaging Sciences 2, 2009.
    """
    gram = dictionary @ dictionary.T
    size = safe_step(gram)
    heard = vectors @ dictionary.T
    codes = torch.zeros_like(heard)
    for _ in range(steps):
        ahead = codes - size * (codes @ gram - heard)
        codes = (ahead - size * penalty).clamp_(min=0)
    return codes


def safe_step(gram: torch.Tensor) -> float:
    """The longest step with which `ista` never goes up: 1 / curvature."""
    return 1 / torch.linalg.eigvalsh(gram)[-1].item()


def learn_dictionary(
    samples: torch.Tensor,
    atoms: int,
    penalty: float,
    *,
    passes: int = 5,
    batch: int = 2000,
    generator: torch.Generator | None = None,
    progress: bool = True,
) -> torch.Tensor:
    """A dictionary in which all samples have sparse non-negative codes.

    Online dictionary learning: code a batch, then move each atom to where it
    is best for the samples so far, of which only two sums of products are
    kept.  Older batches, coded with worse dictionaries, count less and less.

    Parameters
    ----------
    samples : (n, d), float, of about unit length.
    penalty : of `lasso`.
    passes : times that every sample is used.

    Returns
    -------
    (atoms, d), rows of unit length.

    Raises
    ------
    ValueError : for fewer samples than atoms.

    Source: Mairal et al., JMLR 11, 2010, algorithms 1 and 2.
    """
    if len(samples) < atoms:
        raise ValueError(
            f"{len(samples)} patches with any detail are too few to learn "
            f"{atoms} atoms; give more or larger pictures"
        )
    order = torch.randperm(len(samples), generator=generator)
    dictionary = F.normalize(samples[order[:atoms].to(samples.device)])
    codes_codes = samples.new_zeros(atoms, atoms)
    codes_samples = samples.new_zeros(atoms, samples.shape[1])
    batches = []
    for _ in range(passes):
        order = torch.randperm(len(samples), generator=generator)
        batches += order.to(samples.device).split(batch)
    bar = tqdm(batches, desc="dictionary", disable=not progress)
    for seen, part in enumerate(bar, start=1):
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
