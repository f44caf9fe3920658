"""Anchored regression: GR, ANR and A+, a matrix per atom in place of a code.

Ridge regression from LR to HR atoms has a closed form, a matrix that maps
features to what bicubic lacks.  GR has one such matrix, from all atoms; ANR
one per atom, from its neighbours among the atoms; A+ one per atom, from its
neighbours among millions of training samples.  To enlarge, each patch takes
the matrix of the atom that it correlates with most.

Source: R. Timofte, V. De Smet, L. Van Gool, "Anchored neighborhood regression
for fast example-based super-resolution", ICCV 2013, and "A+: Adjusted anchored
neighborhood regression for fast super-resolution", ACCV 2014.
"""

import torch

from . import patches
from .patches import PatchMethod
from .zeyde import Dictionary

GR_RIDGE = 0.1
ANR_RIDGE = 0.01
ANR_NEIGHBOURS = 40


def ridge_projection(
    lr: torch.Tensor, hr: torch.Tensor, ridge: float
) -> torch.Tensor:
    """The matrix P with which P·x is the HR side of x's ridge regression.

    x is written as a sum of LR atoms with small weights; P·x is the same sum
    of HR atoms (ICCV 2013, equation 6).

    Parameters
    ----------
    lr, hr : (…, k, d) and (…, k, m), atoms or samples.
    ridge : weight of the squared weights; features² is its unit.

    Returns
    -------
    (…, m, d), of the type of `lr`.
    """
    # The d×d form of the inverse: H'L (L'L + λ)⁻¹ = H' (LL' + λ)⁻¹ L.
    wide = lr.double()
    inner = wide.mT @ wide
    inner.diagonal(dim1=-2, dim2=-1).add_(ridge)
    outer = wide.mT @ hr.double()  # (…, d, m)
    return torch.linalg.solve(inner, outer).mT.to(lr.dtype)


def neighbourhoods(
    dictionary: Dictionary,
    neighbours: int = ANR_NEIGHBOURS,
    ridge: float = ANR_RIDGE,
) -> torch.Tensor:
    """ANR's matrices, one per atom, (atoms, m, d)."""
    likeness = (dictionary.lr @ dictionary.lr.T).abs()
    nearest = likeness.topk(neighbours, dim=1).indices
    return ridge_projection(dictionary.lr[nearest], dictionary.hr[nearest], ridge)


def gr(dictionary: Dictionary, scale: int, device: str = "auto") -> PatchMethod:
    """Global regression as a method: one matrix for all patches."""
    device = patches.choose_device(device)
    projection = ridge_projection(dictionary.lr, dictionary.hr, GR_RIDGE)
    projection = projection.to(device)
    return PatchMethod(
        lambda seen: seen @ projection.T, dictionary.basis, scale, device
    )


def anchored(
    anchors: torch.Tensor,
    projections: torch.Tensor,
    basis: torch.Tensor,
    scale: int,
    device: str = "auto",
) -> PatchMethod:
    """A method that uses the matrix of the nearest anchor.

    Parameters
    ----------
    anchors : (k, d), unit norm.
    projections : (k, m, d).
    """
    device = patches.choose_device(device)
    anchors, projections = anchors.to(device), projections.to(device)

    def restore(seen):
        nearest = (seen @ anchors.T).abs().argmax(1)
        return _project(seen, nearest, projections)

    return PatchMethod(restore, basis, scale, device)


def _project(seen, nearest, projections):
    """``projections[nearest] @ seen``, the patches of an anchor together."""
    order = nearest.argsort()
    counts = torch.bincount(nearest, minlength=len(projections)).tolist()
    groups = seen[order].split(counts)
    parts = [x @ p.T for x, p in zip(groups, projections) if len(x)]
    out = seen.new_empty(len(seen), projections.shape[1])
    out[order] = torch.cat(parts)
    return out


def anr(dictionary: Dictionary, scale: int, device: str = "auto") -> PatchMethod:
    """Anchored neighbourhood regression as a method."""
    projections = neighbourhoods(dictionary)
    return anchored(
        dictionary.lr, projections, dictionary.basis, scale, device
    )
