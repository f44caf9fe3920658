"""Neighbour embedding: weights that rebuild a patch from its neighbours.

The features of a patch are rebuilt from those of the most alike atoms, and
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


def lle_weights(
    signals: torch.Tensor, neighbours: torch.Tensor
) -> torch.Tensor:
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
    ones = gram.new_ones(*gram.shape[:2], 1)
    weights = torch.linalg.solve(gram, ones)[..., 0]
    return weights / weights.sum(1, keepdim=True)


def nnls_weights(gram: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Least squares with weights of at least zero, for many at once.

    Block principal pivoting: guess which weights are positive, solve for
    them, and exchange all that turned out negative, or zero against their
    gradient, until none is left.  Where that goes round in circles the
    exchanges are made one at a time, which ends.

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
    out = torch.zeros_like(wanted)
    open_ = torch.arange(n, device=wanted.device)
    gram, wanted = gram.double(), wanted.double()
    scale = wanted.abs().amax(1, keepdim=True).clamp(min=1e-300)
    wanted = wanted / scale
    positive = torch.zeros(n, k, dtype=torch.bool, device=wanted.device)
    fewest = torch.full((n,), k + 1, device=wanted.device)
    tries = torch.full((n,), FULL_EXCHANGES, device=wanted.device)
    places = torch.arange(k, device=wanted.device)
    eye = torch.eye(k, dtype=gram.dtype, device=gram.device)
    gram = gram + 1e-9 * eye  # two neighbours may be the same
    for rounds in range(MOST_ROUNDS):
        both = positive[:, :, None] & positive[:, None, :]
        system = torch.where(both, gram, eye)
        x = torch.linalg.solve(system, wanted * positive)
        gradient = (gram @ x[..., None])[..., 0] - wanted
        unfit = torch.where(positive, x < -TOLERANCE, gradient < -TOLERANCE)
        count = unfit.sum(1)
        done = (count == 0) | (rounds == MOST_ROUNDS - 1)
        out[open_[done]] = (x * scale)[done].clamp(min=0).to(out.dtype)
        better = count < fewest
        fewest = torch.where(better, count, fewest)
        tries = torch.where(better, FULL_EXCHANGES, tries - 1)
        last = torch.where(unfit, places, -1).amax(1, keepdim=True)
        exchange = unfit & ((tries > 0)[:, None] | (places == last))
        positive = positive ^ exchange
        if done.all():
            break
        open_, gram, wanted, scale, positive, fewest, tries = (
            t[~done]
            for t in (open_, gram, wanted, scale, positive, fewest, tries)
        )
    return out


def _method(weigh, neighbours, dictionary, scale, device):
    device = choose_device(device)
    dictionary = dictionary.to(device)
    neighbours = min(neighbours, len(dictionary.lr))

    def restore(seen):
        likeness = (seen @ dictionary.lr.T).abs()
        nearest = likeness.topk(neighbours, sorted=False).indices
        weights = weigh(seen, nearest, dictionary.lr)
        codes = torch.zeros(len(seen), len(dictionary.lr), device=device)
        return codes.scatter_(1, nearest, weights) @ dictionary.hr

    return PatchMethod.of_gradients(dictionary.basis, restore, scale, device)


def lle(
    dictionary: Dictionary, scale: int, device: str = "auto"
) -> PatchMethod:
    """NE+LLE as a method."""

    def weigh(seen, nearest, atoms):
        return lle_weights(seen, atoms[nearest])

    return _method(weigh, LLE_NEIGHBOURS, dictionary, scale, device)


def nnls(
    dictionary: Dictionary, scale: int, device: str = "auto"
) -> PatchMethod:
    """NE+NNLS as a method."""
    all_products = dictionary.lr @ dictionary.lr.T
    all_products = all_products.to(choose_device(device))

    def weigh(seen, nearest, atoms):
        gram = all_products[nearest[:, :, None], nearest[:, None, :]]
        wanted = (seen @ atoms.T).gather(1, nearest)
        return nnls_weights(gram, wanted)

    return _method(weigh, NNLS_NEIGHBOURS, dictionary, scale, device)
