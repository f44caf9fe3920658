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
from torch.nn import functional as F
from tqdm import tqdm

from ..models import choose_device
from . import patches
from .patches import WINDOW, PatchMethod

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


def margin(scale: int) -> int:
    """Pixels that the seen patch is wider than the restored, on each side."""
    return scale - 1


def laplacian(y: torch.Tensor) -> torch.Tensor:
    """Sum of the four neighbours less four times the pixel; (H-2, W-2)."""
    around = y[:-2, 1:-1] + y[2:, 1:-1] + y[1:-1, :-2] + y[1:-1, 2:]
    return around - 4 * y[1:-1, 1:-1]


def windows(y: torch.Tensor, scale: int) -> torch.Tensor:
    """The Laplacian around every patch, (n, f²), row by row.

    `y`: (H, W), the bicubic picture.  f = 5·scale - 2: the patch, and as far
    around it as the Laplacian of one LR pixel more reaches.
    """
    size = WINDOW * scale + 2 * margin(scale)
    maps = laplacian(y)[None, None]
    return F.unfold(maps, size, stride=scale)[0].T


def _contrast(seen: torch.Tensor) -> torch.Tensor:
    return seen.norm(dim=1, keepdim=True).clamp(min=LEAST_NORM)


def kernel(
    x: torch.Tensor, centres: torch.Tensor, width: torch.Tensor
) -> torch.Tensor:
    """Gaussian bumps: exp(-‖x - c‖² / 2·width²), (n, d), (k, d) → (n, k)."""
    squares = x.square().sum(1, keepdim=True) + centres.square().sum(1)
    distance = (squares - 2 * x @ centres.T).clamp(min=0)
    return torch.exp(-distance / (2 * width**2))


def k_means(
    x: torch.Tensor, k: int, rounds: int, generator: np.random.Generator
) -> torch.Tensor:
    """Centres (k, d) of samples (n, d), by Lloyd's rounds from k samples."""
    start = generator.permutation(len(x))[:k]
    centres = x[torch.from_numpy(start)]
    for _ in range(rounds):
        half = centres.square().sum(1) / 2
        nearest = torch.cat(
            [(part @ centres.T - half).argmax(1) for part in x.split(2**14)]
        )
        count = torch.bincount(nearest, minlength=k)[:, None]
        sums = torch.zeros_like(centres).index_add_(0, nearest, x)
        centres = torch.where(count > 0, sums / count.clamp(min=1), centres)
    return centres


def fit(
    x: torch.Tensor,
    wanted: torch.Tensor,
    centres: torch.Tensor,
    width: torch.Tensor,
    ridge: float,
    progress: bool = True,
) -> torch.Tensor:
    """The bumps' weights by ridge regression, (k, m).

    Parameters
    ----------
    x, wanted : samples, (n, d) and (n, m).
    ridge : per sample.
    """
    k = len(centres)
    gram = torch.zeros(k, k, dtype=torch.float64)
    right = torch.zeros(k, wanted.shape[1], dtype=torch.float64)
    bar = tqdm(
        list(zip(x.split(2**12), wanted.split(2**12))),
        desc="KK",
        leave=False,
        disable=not progress,
    )
    for part, targets in bar:
        bumps = kernel(part, centres, width).double()
        gram += bumps.T @ bumps
        right += bumps.T @ targets.double()
    gram.diagonal().add_(ridge * len(x))
    return torch.linalg.solve(gram, right).float()


def learn(
    images: Iterable[np.ndarray],
    scale: int,
    *,
    centres: int = CENTRES,
    samples: int = SAMPLES,
    seed: int = 0,
    progress: bool = True,
) -> Bumps:
    """Fit the regression to pictures.

    Parameters
    ----------
    images : uint8, grey or RGB.

    Raises
    ------
    ValueError : when they hold fewer patches than `centres`.
    """
    generator = np.random.default_rng(seed)
    pairs = list(patches.examples(images, scale))
    total = sum(len(windows(y, scale)) for y, _ in pairs)
    if total < centres:
        raise ValueError(
            f"{total} patches are too few for {centres} centres; give more or "
            "larger pictures"
        )
    seen, wanted = [], []
    for y, missing in pairs:
        x = windows(y, scale)
        chosen = np.flatnonzero(generator.random(len(x)) < samples / total)
        chosen = torch.from_numpy(chosen)
        seen.append(x[chosen])
        wanted.append(patches.residual_patches(missing, scale)[chosen])
    seen, wanted = torch.cat(seen), torch.cat(wanted)
    basis = patches.main_axes((seen.T @ seen).double(), DROPPED_ENERGY)
    x = seen @ basis.T
    norm = _contrast(x)
    x, wanted = x / norm, wanted / norm
    middles = k_means(x, centres, K_MEANS_ROUNDS, generator)
    some = torch.from_numpy(generator.permutation(len(x))[:2000])
    width = WIDTH * torch.pdist(x[some]).median()
    weights = fit(x, wanted, middles, width, RIDGE, progress=progress)
    return Bumps(basis, middles, weights, width)


def method(bumps: Bumps, scale: int, device: str = "auto") -> PatchMethod:
    """The regression as a method."""
    device = choose_device(device)
    basis, centres, weights, width = (t.to(device) for t in bumps)

    def restore(seen):
        norm = _contrast(seen)
        return kernel(seen / norm, centres, width) @ weights * norm

    return PatchMethod(
        lambda y: windows(y, scale) @ basis.T, restore, scale, device
    )
