"""Kernel ridge regression after Kim & Kwon ("KK"): a stand-in.

From a patch of the bicubic picture's Laplacian to what bicubic lacks, by a
sum of Gaussian bumps around typical patches, fitted by ridge regression.

What of Kim & Kwon is left out: they choose the bumps by kernel matching
pursuit and refine them by gradient descent, here they are the centres of
k-means; they learn several candidates for each pixel and combine them by
their learnt confidence, here overlapping patches are averaged; and they end
with a natural-image prior that removes ringing at edges, here nothing follows.
So this shows the idea and about reaches the printed numbers; it is not their
program.  The settings were chosen on pictures held out of T91.

Source: K. I. Kim, Y. Kwon, "Single-image super-resolution using sparse
regression and natural image prior", TPAMI 32(6), 2010.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from scipy.cluster.vq import kmeans2
from tqdm import tqdm

from ..models import choose_device
from .patches import (
    PATCH,
    PatchMethod,
    examples,
    extract_patches,
    principal_axes,
    training_patches,
)

CENTRES = 1000
SAMPLES = 200_000
#: Width of a bump, in median distances between samples.
WIDTH = 0.5
#: Weight of the squared weights, per sample.
RIDGE = 1e-7
#: Energy that the PCA leaves out.
DROPPED_ENERGY = 5e-3
#: Norms below this one are taken for it: a flat patch stays flat.
LEAST_NORM = 0.1
K_MEANS_ROUNDS = 15


class Bumps(NamedTuple):
    """What KK needs, float32.

    `basis` (d, f²), of patches f pixels wide of the Laplacian; `centres`
    (k, d), of unit norm or less; `weights` (k, (3·scale)²); `width`, ().
    """

    basis: torch.Tensor
    centres: torch.Tensor
    weights: torch.Tensor
    width: torch.Tensor


def laplacian_patches(y: torch.Tensor, scale: int) -> torch.Tensor:
    """The Laplacian around every patch of a bicubic picture (H, W), row by row.

    (n, f²) with f = 5·scale - 2: the patch, and as far around it as the Laplacian
    of one LR pixel more reaches.  The Laplacian is the sum of the four neighbours
    less four times the pixel.
    """
    around = y[:-2, 1:-1] + y[2:, 1:-1] + y[1:-1, :-2] + y[1:-1, 2:]
    laplacian = around - 4 * y[1:-1, 1:-1]
    return extract_patches(laplacian[None], (PATCH + 2) * scale - 2, scale)


def _contrast(seen: torch.Tensor) -> torch.Tensor:
    return seen.norm(dim=1, keepdim=True).clamp(min=LEAST_NORM)


def kernel(
    x: torch.Tensor, centres: torch.Tensor, width: torch.Tensor
) -> torch.Tensor:
    """Gaussian bumps: exp(-‖x - c‖² / 2·width²), (n, d), (k, d) → (n, k)."""
    squares = x.square().sum(1, keepdim=True) + centres.square().sum(1)
    distance = (squares - 2 * x @ centres.T).clamp(min=0)
    return torch.exp(-distance / (2 * width**2))


def fit_bumps(
    x: torch.Tensor,
    wanted: torch.Tensor,
    centres: torch.Tensor,
    width: torch.Tensor,
    ridge: float,
    progress: bool = True,
) -> torch.Tensor:
    """The bumps' weights (k, m) by ridge regression, with `ridge` per sample.

    From samples `x` (n, d) to `wanted` (n, m).
    """
    k = len(centres)
    gram = ridge * len(x) * torch.eye(k, dtype=torch.float64)
    right = torch.zeros(k, wanted.shape[1], dtype=torch.float64)
    chunks = list(zip(x.split(2**12), wanted.split(2**12)))
    for part, targets in tqdm(chunks, desc="KK", leave=False, disable=not progress):
        bumps = kernel(part, centres, width).double()
        gram += bumps.T @ bumps
        right += bumps.T @ targets.double()
    return torch.linalg.solve(gram, right).float()


def learn_kk(
    images: Iterable[np.ndarray],
    scale: int,
    *,
    centres: int = CENTRES,
    samples: int = SAMPLES,
    seed: int = 0,
    progress: bool = True,
) -> Bumps:
    """Fit the regression to pictures, uint8, grey or RGB.

    Raises
    ------
    ValueError : when they hold fewer patches than `centres`.
    """
    generator = torch.Generator().manual_seed(seed)
    seen, wanted = training_patches(
        list(examples(images, scale)), lambda y: laplacian_patches(y, scale), scale,
        count=samples, generator=generator,
    )  # fmt: skip
    if len(seen) < centres:
        raise ValueError(
            f"{len(seen)} patches are too few for {centres} centres; give more or "
            "larger pictures"
        )
    basis = principal_axes((seen.T @ seen).double(), DROPPED_ENERGY)
    x = seen @ basis.T
    norm = _contrast(x)
    x, wanted = x / norm, wanted / norm
    order = torch.randperm(len(x), generator=generator)
    start = x[order[:centres]].numpy()
    middles, _ = kmeans2(x.numpy(), start, iter=K_MEANS_ROUNDS, minit="matrix")
    middles = torch.from_numpy(middles)
    width = WIDTH * torch.pdist(x[order[-2000:]]).median()
    weights = fit_bumps(x, wanted, middles, width, RIDGE, progress)
    return Bumps(basis, middles, weights, width)


def kk(bumps: Bumps, scale: int, device: str = "auto") -> PatchMethod:
    """The regression as a method."""
    device = choose_device(device)
    basis, centres, weights, width = (t.to(device) for t in bumps)

    def restore(seen):
        norm = _contrast(seen)
        return kernel(seen / norm, centres, width) @ weights * norm

    return PatchMethod(
        lambda y: laplacian_patches(y, scale) @ basis.T, restore, scale, device
    )
