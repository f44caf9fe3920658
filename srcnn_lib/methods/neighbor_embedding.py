"""Neighbour embedding: weights that rebuild a patch from its neighbours.

The features of a patch are rebuilt from those of the most similar atoms, and
the same weights applied to the HR atoms.  NE+LLE wants weights that sum to
one, NE+NNLS weights that are not negative.  Timofte et al. showed that the
atoms of a learnt dictionary serve better as neighbours than raw samples.

Source: H. Chang, D.-Y. Yeung, Y. Xiong, "Super-resolution through neighbor
embedding", CVPR 2004; M. Bevilacqua et al., "Low-complexity single-image
super-resolution based on nonnegative neighbor embedding", BMVC 2012; R.
Timofte et al., ICCV 2013, section 2.2.
"""

import torch

from ..models import choose_device
from .patches import PatchMethod
from .sparse_codes import weighted_sums
from .zeyde import Dictionary

LLE_NEIGHBOURS = 24
#: As in the authors' program, where those of the opposite sign stay as they are:
#: 31.72 dB on Set5 x3, where the paper has 31.60; neighbours of the same sign
#: alone would give 31.59.
NNLS_NEIGHBOURS = 24
#: LLE: part of the trace that is added to the diagonal.
LLE_RIDGE = 1e-4
#: NNLS: rounds of exchanging all unfit weights without gain, before one goes
#: at a time; and rounds after which the last answer is taken as it is.
FULL_EXCHANGES = 10
MOST_ROUNDS = 200
#: NNLS: a gradient or weight below this counts as zero.
TOLERANCE = 1e-9


def lle_weights(signals: torch.Tensor, neighbours: torch.Tensor) -> torch.Tensor:
    """The weights, summing to one, that rebuild each signal best.

    Parameters
    ----------
    signals : (n, d).
    neighbours : (n, k, d).

    Returns
    -------
    (n, k).  Chang et al., equation 3, with `LLE_RIDGE`.
    """
    away = neighbours - signals[:, None]
    gram = away @ away.mT
    ridge = LLE_RIDGE * gram.diagonal(dim1=1, dim2=2).sum(1)
    # Where all neighbours equal the signal any weights are right.
    ridge = ridge.clamp(min=torch.finfo(gram.dtype).tiny * 1e6)
    gram.diagonal(dim1=1, dim2=2).add_(ridge[:, None])
    weights = torch.linalg.solve(gram, gram.new_ones(gram.shape[:2]))
    return weights / weights.sum(1, keepdim=True)


def nnls_weights(gram: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Least squares with weights of at least zero, for many at once.

    Block principal pivoting: guess which weights are positive, solve for
    them, and exchange all that turned out negative, or zero against their
    gradient, until none is left.  Where that goes round in circles the
    exchanges are made one at a time, which ends.  (`scipy.optimize.nnls` does
    one problem at a time, and is far slower.)

    Parameters
    ----------
    gram : (n, k, k), the neighbours' products with each other.
    wanted : (n, k), their products with the signal.

    Returns
    -------
    (n, k), of least ‖signal - weights · neighbours‖ among those ≥ 0.
    Source: J. Kim, H. Park, SIAM J. Sci. Comput. 33(6), 2011, section 3.
    """
    n, k = wanted.shape
    dtype, device = wanted.dtype, wanted.device
    size = wanted.abs().amax(1, keepdim=True).double().clamp(min=1e-300)
    eye = torch.eye(k, dtype=torch.float64, device=device)
    gram = gram.double() + 1e-9 * eye  # two neighbours may be the same
    wanted = wanted / size
    places = torch.arange(k, device=device)
    weights = torch.zeros_like(wanted)
    # Of the problems that are not solved yet, `open_`:
    open_ = torch.arange(n, device=device)
    positive = torch.zeros(n, k, dtype=torch.bool, device=device)
    fewest = torch.full((n,), k + 1, device=device)
    tries = torch.full((n,), FULL_EXCHANGES, device=device)
    for _ in range(MOST_ROUNDS):
        g, b = gram[open_], wanted[open_]
        both = positive[:, :, None] & positive[:, None, :]
        x = torch.linalg.solve(torch.where(both, g, eye), b * positive)
        weights[open_] = x
        gradient = (g @ x[..., None])[..., 0] - b
        unfit = torch.where(positive, x < -TOLERANCE, gradient < -TOLERANCE)
        count = unfit.sum(1)
        tries = torch.where(count < fewest, FULL_EXCHANGES, tries - 1)
        fewest = torch.minimum(fewest, count)
        last = torch.where(unfit, places, -1).amax(1, keepdim=True)
        positive ^= unfit & ((tries > 0)[:, None] | (places == last))
        left = count > 0
        if not left.any():
            break
        open_, positive, fewest, tries = (
            t[left] for t in (open_, positive, fewest, tries)
        )
    return (weights * size).clamp(min=0).to(dtype)


def lle(dictionary: Dictionary, scale: int, device: str = "auto") -> PatchMethod:
    """NE+LLE as a method."""

    def weigh(seen, nearest, atoms):
        return lle_weights(seen, atoms[nearest])

    return _method(weigh, LLE_NEIGHBOURS, dictionary, scale, device)


def nnls(dictionary: Dictionary, scale: int, device: str = "auto") -> PatchMethod:
    """NE+NNLS as a method."""

    def weigh(seen, nearest, atoms):
        gram = (atoms @ atoms.T)[nearest[:, :, None], nearest[:, None, :]]
        return nnls_weights(gram, (seen @ atoms.T).gather(1, nearest))

    return _method(weigh, NNLS_NEIGHBOURS, dictionary, scale, device)


def _method(weigh, neighbours, dictionary, scale, device):
    device = choose_device(device)
    basis, lr, hr = dictionary.to(device)

    def restore(seen):
        likeness = (seen @ lr.T).abs()
        nearest = likeness.topk(min(neighbours, len(lr)), sorted=False).indices
        return weighted_sums(nearest, weigh(seen, nearest, lr), hr)

    return PatchMethod.of_gradients(basis, restore, scale, device)
