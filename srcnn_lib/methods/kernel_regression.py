"""Kernel ridge regression after Kim & Kwon ("KK"): a stand-in.

From a patch of the bicubic picture's Laplacian to what bicubic lacks, by a sum of
Gaussian bumps around typical patches, fitted by ridge regression.

Kim & Kwon choose the bumps by kernel matching pursuit and refine them by gradient
descent; here they are the centres of k-means.  They combine several candidates for each
pixel by a learnt confidence; here overlapping patches are averaged.  Their prior, which
removes ringing at edges, is left out.  So this shows the idea and about reaches the
printed numbers; it is not their program.  Held-out pictures of T91 chose the settings.

Source: K. I. Kim, Y. Kwon, "Single-image super-resolution using sparse regression and
natural image prior", TPAMI 32(6), 2010.
"""

from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from scipy.cluster.vq import kmeans2
from torch import Tensor

from . import patches
from .patches import PATCH, PatchMethod

#: Norms below this one are taken for it: a flat patch stays flat.
LEAST_NORM = 0.1


class Bumps(NamedTuple):
    """What KK needs, float32: `basis` (d, f²), of the Laplacian's f × f patches;
    `centres` (k, d), unit norm or less; `weights` (k, (3·scale)²); `width`."""

    basis: Tensor
    centres: Tensor
    weights: Tensor
    width: Tensor


def laplacian_patches(y: Tensor, scale: int) -> Tensor:
    """The Laplacian in and around every patch of a bicubic picture (H, W), row by row,
    as far as one LR pixel reaches: (n, f²) with f = 5·scale - 2."""
    around = y[:-2, 1:-1] + y[2:, 1:-1] + y[1:-1, :-2] + y[1:-1, 2:]
    laplacian = around - 4 * y[1:-1, 1:-1]
    return patches.extract_patches(laplacian[None], (PATCH + 2) * scale - 2, scale)


def kernel(x: Tensor, centres: Tensor, width: Tensor) -> Tensor:
    """Gaussian bumps: exp(-‖x - c‖² / 2·width²), (n, d), (k, d) → (n, k)."""
    squares = x.square().sum(1, keepdim=True) + centres.square().sum(1)
    distance = (squares - 2 * x @ centres.T).clamp(min=0)
    return torch.exp(-distance / (2 * width**2))


def learn_kk(
    images: Iterable[np.ndarray], scale: int, *, centres: int = 1000,
    samples: int = 200_000, seed: int = 0,
) -> Bumps:  # fmt: skip
    """Fit the regression to pictures, uint8: the k-means of about `samples` patches are
    the `centres`, and bumps are half the median distance of two patches wide.  Raises
    ValueError for fewer patches than centres."""
    generator = np.random.default_rng(seed)
    see, drawing = partial(laplacian_patches, scale=scale), {"count": samples}
    drawing["random"] = lambda n: torch.from_numpy(generator.random(n))
    seen, wanted = patches.training_patches(images, see, scale, **drawing)
    patches.check_enough(seen, centres, "centres")
    basis = patches.principal_axes(seen, 5e-3)
    x = seen @ basis.T
    norm = x.norm(dim=1, keepdim=True).clamp(min=LEAST_NORM)
    x, wanted = x / norm, wanted / norm
    start = x.numpy()[generator.permutation(len(x))[:centres]]
    middles = torch.from_numpy(kmeans2(x.numpy(), start, 15, minit="matrix")[0])
    width = 0.5 * torch.pdist(x[generator.permutation(len(x))[:2000]]).median()
    bumps = (kernel(part, middles, width) for part in x.split(2**12))
    pairs = zip(bumps, wanted.split(2**12))
    weights = patches.ridge_regression(pairs, 1e-7 * len(x))
    return Bumps(basis, middles, weights.float(), width)


def kk(bumps: Bumps, scale: int) -> PatchMethod:
    """The regression as a method."""
    basis, centres, weights, width = bumps

    def restore(seen):
        norm = seen.norm(dim=1, keepdim=True).clamp(min=LEAST_NORM)
        return kernel(seen / norm, centres, width) @ weights * norm

    def see(y):
        return laplacian_patches(y, scale) @ basis.T

    return PatchMethod(see, restore, scale, basis.device)
