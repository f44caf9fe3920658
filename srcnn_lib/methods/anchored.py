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

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from ..images import luma
from ..models import choose_device
from ..resize import imresize
from . import patches
from .patches import PatchMethod
from .zeyde import Dictionary

GR_RIDGE = 0.1
ANR_RIDGE = 0.01
ANR_NEIGHBOURS = 40
APLUS_RIDGE = 0.1
APLUS_NEIGHBOURS = 2048
#: A+ takes samples from the pictures in so many sizes, each so much smaller.
ZOOMS = 12
ZOOM = 0.98
SAMPLES = 5_000_000
#: Anchors whose neighbours are looked for at a time.
SEARCH_CHUNK = 8
#: Share of the projections' energy that a file leaves out, by scale; each
#: costs less than 0.005 dB on Set5.
PACK_DROPPED_ENERGY = {2: 0.005, 3: 0.02, 4: 0.03}


class Anchors(NamedTuple):
    """What A+ needs: `basis` (d, 4·(3·scale)²), `lr` (k, d) of unit norm,
    `projections` (k, (3·scale)², d)."""

    basis: torch.Tensor
    lr: torch.Tensor
    projections: torch.Tensor


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
    lr, hr = dictionary.lr[nearest], dictionary.hr[nearest]
    # The ridge makes results too small; the authors' program enlarges those
    # of ANR and GR so, though not those of A+.
    return (1 + ridge) * ridge_projection(lr, hr, ridge)


def gr(dictionary: Dictionary, scale: int, device: str = "auto") -> PatchMethod:
    """Global regression as a method: one matrix for all patches."""
    device = choose_device(device)
    projection = ridge_projection(dictionary.lr, dictionary.hr, GR_RIDGE)
    projection = (1 + GR_RIDGE) * projection.to(device)
    return PatchMethod.of_gradients(
        dictionary.basis, lambda seen: seen @ projection.T, scale, device
    )


def anr(dictionary: Dictionary, scale: int, device: str = "auto") -> PatchMethod:
    """Anchored neighbourhood regression as a method."""
    anchors = Anchors(dictionary.basis, dictionary.lr, neighbourhoods(dictionary))
    return aplus(anchors, scale, device)


def aplus(anchors: Anchors, scale: int, device: str = "auto") -> PatchMethod:
    """A+ as a method: each patch takes the matrix of its nearest anchor."""
    device = choose_device(device)
    basis, lr, projections = (t.to(device) for t in anchors)

    def restore(seen):
        # max gives the indices faster than argmax.
        nearest = (seen @ lr.T).abs_().max(1).indices
        order = nearest.argsort()  # the patches of an anchor together
        counts = torch.bincount(nearest, minlength=len(lr)).tolist()
        groups = zip(seen[order].split(counts), projections)
        restored = seen.new_empty(len(seen), projections.shape[1])
        restored[order] = torch.cat([x @ p.T for x, p in groups if len(x)])
        return restored

    return PatchMethod.of_gradients(basis, restore, scale, device)


def learn_aplus(
    images: Iterable[np.ndarray],
    scale: int,
    dictionary: Dictionary,
    *,
    most: int = SAMPLES,
    neighbours: int = APLUS_NEIGHBOURS,
    progress: bool = True,
) -> Anchors:
    """A+'s matrices, from samples of the pictures in many sizes.

    Parameters
    ----------
    images : uint8, grey or RGB.
    dictionary : its atoms are the anchors, and its features are used.
    most : samples; the first are taken, from large pictures to small.

    Raises
    ------
    ValueError : when there are fewer samples than `neighbours`.
    """
    images = [luma(image) for image in images]
    parts, count = [], 0
    bar = tqdm(total=most, desc="A+ samples", leave=False, disable=not progress)
    for x, z in _samples(images, scale, dictionary.basis):
        parts.append((x[: most - count], z[: most - count]))
        count += len(parts[-1][0])
        bar.update(len(parts[-1][0]))
        if count == most:
            break
    bar.close()
    if count < neighbours:
        raise ValueError(
            f"{count} patches are too few for {neighbours} neighbours; "
            "give more or larger pictures"
        )
    seen, wanted = map(torch.cat, zip(*parts))
    projections = []
    chunks = dictionary.lr.split(SEARCH_CHUNK)
    for atoms in tqdm(chunks, desc="A+", leave=False, disable=not progress):
        # Of unit vectors the nearest are those that correlate most.
        nearest = (atoms @ seen.T).topk(neighbours, sorted=False).indices
        projections += [ridge_projection(seen[i], wanted[i], APLUS_RIDGE) for i in nearest]
    return Anchors(dictionary.basis, dictionary.lr, torch.stack(projections))


def _samples(images, scale, basis) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Features of unit norm (n, d), and what bicubic lacks (n, m) in float16.

    The latter are divided by the same norm; half the digits are enough for
    numbers that are averaged over 2,048 samples, and 5 million fit in memory.
    """
    for zoom in range(ZOOMS):
        smaller = (imresize(y, ZOOM**zoom) for y in images)
        for y, missing in patches.examples(smaller, scale):
            x = patches.features(y, scale, basis)
            z = patches.target_patches(missing, scale)
            norm = x.norm(dim=1, keepdim=True)
            # What is nearly flat is left as faint as it is.
            z = z / torch.where(norm < 0.1, 1, norm)
            yield x / norm.clamp(min=1e-12), z.half()


def pack(anchors: Anchors, scale: int) -> dict[str, torch.Tensor]:
    """The same in a tenth of the space, for a file; `unpack` undoes it.

    The projections' patches are written in their principal axes, the last of
    which are left out, and with 8 bits and a step for each atom.
    """
    basis, lr, p = anchors
    flat = p.mT.reshape(-1, p.shape[1])  # (k·d, m)
    covariance = (flat.T @ flat).double()
    axes = patches.principal_axes(covariance, PACK_DROPPED_ENERGY[scale])
    coefficients = axes @ p  # (k, r, d)
    steps = (coefficients.abs().amax((1, 2), keepdim=True) / 127).half()
    steps = steps.clamp(min=torch.finfo(torch.half).tiny)
    levels = (coefficients / steps.float()).round().clamp(-127, 127).to(torch.int8)
    parts = {"basis": basis.half(), "lr": lr.half(), "axes": axes.half()}
    return parts | {"steps": steps, "levels": levels}


def unpack(tensors: dict[str, torch.Tensor]) -> Anchors:
    """The anchors of a file, float32, about as they were."""
    names = ("basis", "lr", "axes", "steps", "levels")
    basis, lr, axes, steps, levels = (tensors[name].float() for name in names)
    return Anchors(basis, lr, axes.T @ (levels * steps))
