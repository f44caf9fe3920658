"""Neighbour embedding: weights that rebuild a patch from its neighbours.

The features of a patch are rebuilt from those of the most similar atoms, and the same
weights applied to the HR atoms.  NE+LLE wants weights that sum to one, NE+NNLS weights
that are not negative.  The atoms of a learnt dictionary serve better than raw samples.
Source: Chang et al., "Super-resolution through neighbor embedding", CVPR 2004;
Bevilacqua et al., "Low-complexity single-image super-resolution based on nonnegative
neighbor embedding", BMVC 2012; Timofte et al., ICCV 2013, section 2.2.
"""

import numpy as np
import torch
from scipy.optimize import nnls as nnls_of
from torch import Tensor

from .patches import PatchMethod
from .sparse_codes import weighted_sums
from .zeyde import Dictionary

LLE_NEIGHBOURS = 24
#: As in the authors' program, with those of the opposite sign: 31.72 dB on Set5 x3,
#: where the paper has 31.60; neighbours of the same sign alone would give 31.59.
NNLS_NEIGHBOURS = 24
LLE_RIDGE = 1e-4  # part of the trace that is added to the diagonal


def lle_weights(signals: Tensor, neighbours: Tensor) -> Tensor:
    """The weights (n, k), summing to one, that rebuild each signal (n, d) best from its
    neighbours (n, k, d).  Chang et al., equation 3, with `LLE_RIDGE`."""
    away = neighbours - signals[:, None]
    gram = away @ away.mT
    ridge = LLE_RIDGE * gram.diagonal(dim1=1, dim2=2).sum(1)
    # Where all neighbours equal the signal any weights are right.
    ridge = ridge.clamp(min=torch.finfo(gram.dtype).tiny * 1e6)
    gram.diagonal(dim1=1, dim2=2).add_(ridge[:, None])
    weights = torch.linalg.solve(gram, gram.new_ones(gram.shape[:2]))
    return weights / weights.sum(1, keepdim=True)


def nnls_weights(gram: Tensor, wanted: Tensor) -> Tensor:
    """The weights (n, k), none negative, that rebuild each signal best, from its
    neighbours' products with each other, `gram` (n, k, k), and with it, (n, k)."""
    # With L·Lᵀ = gram and L·b = wanted, |signal - weights·neighbours|² differs from
    # |b - Lᵀ·weights|² by a constant.
    gram, eye = gram.cpu().double(), torch.eye(gram.shape[1])
    lower, failed = torch.linalg.cholesky_ex(gram + 1e-9 * eye)
    at = failed > 0  # neighbours that depend on each other, and rounding
    lower[at] = torch.linalg.cholesky(gram[at] + 1e-6 * eye)
    b = wanted.cpu().double()[..., None]
    b = torch.linalg.solve_triangular(lower, b, upper=False)[..., 0]
    weights = [nnls_of(*p, maxiter=1000)[0] for p in zip(lower.mT.numpy(), b.numpy())]
    return torch.from_numpy(np.reshape(weights, wanted.shape)).to(wanted)


def lle(pair: Dictionary, scale: int) -> PatchMethod:
    """NE+LLE as a method."""
    return _ne(lambda x, at: lle_weights(x, pair.lr[at]), LLE_NEIGHBOURS, pair, scale)


def nnls(pair: Dictionary, scale: int) -> PatchMethod:
    """NE+NNLS as a method."""
    products = pair.lr @ pair.lr.T

    def weigh(seen, nearest):
        gram = products[nearest[:, :, None], nearest[:, None, :]]
        return nnls_weights(gram, (seen @ pair.lr.T).gather(1, nearest))

    return _ne(weigh, NNLS_NEIGHBOURS, pair, scale)


def _ne(weigh, neighbours, pair, scale):
    def restore(seen):
        likeness = (seen @ pair.lr.T).abs()
        nearest = likeness.topk(min(neighbours, len(pair.lr)), sorted=False).indices
        return weighted_sums(nearest, weigh(seen, nearest), pair.hr)

    return PatchMethod.of_gradients(pair.basis, restore, scale)
