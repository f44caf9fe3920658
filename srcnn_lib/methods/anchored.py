"""Anchored regression: GR, ANR and A+, a matrix per atom in place of a code.

Ridge regression from LR to HR atoms has a closed form, a matrix that maps features to
what bicubic lacks.  GR has one, from all atoms; ANR one per atom, from its neighbours
among the atoms; A+ one per atom, from its neighbours among millions of samples.  Each
patch takes the matrix of the atom it correlates with most.
Source: R. Timofte, V. De Smet, L. Van Gool, "Anchored neighborhood regression …", ICCV
2013, and "A+: Adjusted anchored neighborhood regression …", ACCV 2014.
"""

from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from ..images import luma
from ..resize import imresize
from . import patches
from .patches import PatchMethod
from .zeyde import Dictionary

GR_RIDGE, ANR_RIDGE, APLUS_RIDGE = 0.1, 0.01, 0.1
ANR_NEIGHBOURS, SAMPLES = 40, 5_000_000
#: Share of the projections' energy that a file leaves out, by scale; each costs less
#: than 0.005 dB on held-out pictures of T91 (data/studies/packing.json).
PACK_DROPPED_ENERGY = {2: 0.005, 3: 0.02, 4: 0.03}


class Anchors(NamedTuple):
    """What A+ needs: `basis` (d, 4·(3·scale)²), `lr` (k, d) of unit norm,
    `projections` (k, (3·scale)², d)."""

    basis: Tensor
    lr: Tensor
    projections: Tensor


def ridge_projection(lr: Tensor, hr: Tensor, ridge: float) -> Tensor:
    """The matrix P (…, m, d) of ICCV 2013, equation 6: where x is a sum of LR atoms or
    samples (…, k, d) with small weights, P·x is that of the HR ones (…, k, m)."""
    # The d×d form of the inverse: H'L (L'L + λ)⁻¹ = H' (LL' + λ)⁻¹ L.
    return patches.ridge_regression([(lr, hr)], ridge).mT.to(lr.dtype)


def neighbourhoods(
    pair: Dictionary, neighbours: int = ANR_NEIGHBOURS, ridge: float = ANR_RIDGE
) -> Tensor:
    """ANR's matrices, one per atom, (atoms, m, d)."""
    nearest = (pair.lr @ pair.lr.T).abs().topk(neighbours, dim=1).indices
    # The ridge makes results too small; the authors enlarge ANR's and GR's, not A+'s.
    return (1 + ridge) * ridge_projection(pair.lr[nearest], pair.hr[nearest], ridge)


def gr(pair: Dictionary, scale: int) -> PatchMethod:
    """Global regression as a method: one matrix for all patches."""
    projection = (1 + GR_RIDGE) * ridge_projection(pair.lr, pair.hr, GR_RIDGE)
    return PatchMethod.of_gradients(pair.basis, lambda x: x @ projection.T, scale)


def anr(pair: Dictionary, scale: int) -> PatchMethod:
    """Anchored neighbourhood regression as a method."""
    return aplus(Anchors(pair.basis, pair.lr, neighbourhoods(pair)), scale)


def aplus(anchors: Anchors, scale: int) -> PatchMethod:
    """A+ as a method: each patch takes the matrix of its nearest anchor."""
    basis, lr, projections = anchors

    def restore(seen):
        nearest = (seen @ lr.T).abs_().max(1).indices  # faster than argmax
        order = nearest.argsort()  # the patches of an anchor together
        counts = torch.bincount(nearest, minlength=len(lr)).tolist()
        groups = zip(seen[order].split(counts), projections)
        restored = seen.new_empty(len(seen), projections.shape[1])
        restored[order] = torch.cat([x @ p.T for x, p in groups if len(x)])
        return restored

    return PatchMethod.of_gradients(basis, restore, scale)


def learn_aplus(
    images: Iterable[np.ndarray], scale: int, pair: Dictionary, *,
    most: int = SAMPLES, neighbours: int = 2048,
) -> Anchors:  # fmt: skip
    """A+'s matrices for the atoms of a pair, from the first `most` samples of pictures,
    uint8, in twelve sizes, each 0.98 of the last.  Raises ValueError when there are
    fewer than `neighbours`."""
    parts, count, images = [], 0, [luma(image) for image in images]
    see = partial(patches.features, scale=scale, basis=pair.basis)
    for zoom in tqdm(range(12), desc="A+ samples", disable=None):
        smaller = (imresize(y, 0.98**zoom) for y in images)
        x, z = patches.training_patches(smaller, see, scale)
        x, z = x[: most - count], z[: most - count]
        norm = x.norm(dim=1, keepdim=True)
        # What is nearly flat stays faint; five million fit in memory in float16.
        z = (z / torch.where(norm < 0.1, 1, norm)).half()
        parts.append((x / norm.clamp(min=1e-12), z))
        count += len(x)
        if count == most:
            break
    seen, wanted = map(torch.cat, zip(*parts))
    patches.check_enough(seen, neighbours, "neighbours")
    projections = []
    for atoms in tqdm(pair.lr.split(8), desc="A+", disable=None):
        # Of unit vectors the nearest are those that correlate most.
        for i in (atoms @ seen.T).topk(neighbours, sorted=False).indices:
            projections.append(ridge_projection(seen[i], wanted[i], APLUS_RIDGE))
    return Anchors(pair.basis, pair.lr, torch.stack(projections))


def pack(anchors: Anchors, scale: int) -> dict[str, Tensor]:
    """A tenth of the space, for a file: the projections' patches in their first
    principal axes, with 8 bits and a step for each atom."""
    basis, lr, p = anchors
    axes = patches.principal_axes(p.mT.flatten(0, 1), PACK_DROPPED_ENERGY[scale])
    coefficients = axes @ p  # (k, r, d)
    steps = (coefficients.abs().amax((1, 2), keepdim=True) / 127).half()
    steps = steps.clamp(min=torch.finfo(torch.half).tiny)
    levels = (coefficients / steps.float()).round().clamp(-127, 127).to(torch.int8)
    return {"basis": basis, "lr": lr, "axes": axes, "steps": steps, "levels": levels}


def unpack(basis, lr, axes, steps, levels) -> Anchors:
    """The anchors of a file's tensors, float32, about as they were."""
    return Anchors(basis, lr, axes.T @ (levels * steps))
