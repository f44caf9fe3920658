"""Pictures as patches: features, PCA, and the way back by overlap and add.

What all methods between bicubic and SRCNN share.  The enlarged picture is cut
into patches of 3×3 LR pixels, one at each LR pixel.  A method turns the features
of a patch into an HR patch, and where HR patches overlap their mean counts.
K-SVD, neighbour embedding, ANR and A+ take the gradients of the bicubic picture,
shortened by PCA, and restore what bicubic lacks.

Source: R. Zeyde, M. Elad, M. Protter, "On single image scale-up using
sparse-representations", 2010; patch, border and filters as in the programs
of R. Timofte et al., ICCV 2013.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch.nn import functional as F

from ..images import luma, modcrop
from ..resize import bicubic, imresize

#: Width of a patch, in LR pixels.
PATCH = 3
#: LR pixels at the picture's edge that stay bicubic.
BORDER = 1
#: LR pixels in a row that restoring one patch takes.
REACH = PATCH + 2 * BORDER
#: Patches worked on at a time: their correlations with 1,024 atoms are 17 MB.
CHUNK = {"cpu": 2**11, "cuda": 2**15}
#: Share of the features' energy that the PCA leaves out.
DROPPED_ENERGY = 1e-3

#: An enlarged picture (H, W) → the features (n, d) of its patches, row by row.
See = Callable[[torch.Tensor], torch.Tensor]
#: Features (n, d) → restored patches (n, (3·scale)²).
Restore = Callable[[torch.Tensor], torch.Tensor]


def extract_patches(maps: torch.Tensor, size: int, stride: int) -> torch.Tensor:
    """All patches of maps (c, H, W), row by row: (n, c·size²)."""
    return F.unfold(maps[None], size, stride=stride)[0].T


def overlap_sum(
    patches: torch.Tensor, shape: tuple[int, int], scale: int
) -> torch.Tensor:
    """Add patches up where they lie, the transpose of `extract_patches`.

    `patches` is (n, (3·scale)²), one at each LR pixel, row by row; the sum has
    `shape` (H, W).
    """
    return F.fold(patches.T[None], shape, PATCH * scale, stride=scale)[0, 0]


def overlaps(size: int, scale: int) -> torch.Tensor:
    """How many patches cover each of `size` pixels in a row, (size,)."""
    count = np.convolve(np.ones(size // scale - PATCH + 1), np.ones(PATCH))
    return torch.from_numpy(count.repeat(scale)).float()


def gradients(y: torch.Tensor, scale: int) -> torch.Tensor:
    """First and second differences of a bicubic picture (H, W), in its unit.

    Returns
    -------
    (4, H - 2·scale, W - 2·scale): along the rows and the columns over a distance
    of one LR pixel, then both second differences.  The edge, where a filter would
    reach beyond the picture, is left out.
    """
    s = scale
    inside = y[s:-s, s:-s]

    def moved(step: int, axis: int) -> torch.Tensor:
        return torch.roll(y, -step, axis)[s:-s, s:-s]

    # Where s is odd the middle lies between pixels; MATLAB's conv2 then
    # takes the later one.
    first = [moved(s - s // 2, a) - moved(-(s // 2), a) for a in (1, 0)]
    second = [(moved(s, a) + moved(-s, a)) / 2 - inside for a in (1, 0)]
    return torch.stack(first + second)


def features(
    y: torch.Tensor, scale: int, basis: torch.Tensor, stride: int = 1
) -> torch.Tensor:
    """The gradients of every patch, projected on `basis`.

    Parameters
    ----------
    y : (H, W), the bicubic picture; H and W are multiples of `scale`.
    basis : (d, 4·(3·scale)²), orthonormal rows; see `principal_axes`.
    stride : from patch to patch, in LR pixels.

    Returns
    -------
    (n, d), patches row by row.
    """
    # A product with a patch at each position is a convolution.
    kernels = basis.view(-1, 4, PATCH * scale, PATCH * scale)
    maps = gradients(y, scale)[None]
    return F.conv2d(maps, kernels, stride=stride * scale)[0].flatten(1).T


def principal_axes(covariance: torch.Tensor, dropped: float) -> torch.Tensor:
    """The fewest axes, (d, n), that keep all but a share of the energy, float32.

    PCA without centring: `covariance` (n, n) is the sum of x·xᵀ (Zeyde et al.,
    section 3.2).
    """
    energy, axes = torch.linalg.eigh(covariance)  # ascending
    left_out = energy.cumsum(0) / energy.sum() < dropped
    return axes[:, ~left_out].T.flip(0).contiguous().float()


def examples(
    images: Iterable[np.ndarray], scale: int, zoom: int | None = None
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Training pairs: an enlarged LR picture, and what is to be restored.

    Parameters
    ----------
    images : pictures or luma, uint8; those too small for a patch are left out.
    zoom : as of `PatchMethod`.

    Yields
    ------
    The LR picture enlarged by `zoom`, and the HR picture; without `zoom` the
    bicubic picture, and what it lacks.  float32, 0…1 or about -1…1.
    """
    for image in images:
        hr_y = modcrop(luma(image) / 255, scale)
        if min(hr_y.shape) >= REACH * scale:
            wide = imresize(imresize(hr_y, 1 / scale), zoom or scale)
            target = hr_y if zoom else hr_y - wide
            yield torch.from_numpy(wide).float(), torch.from_numpy(target).float()


def target_patches(target: torch.Tensor, scale: int, stride: int = 1) -> torch.Tensor:
    """The patches (n, (3·scale)²) of what is to be restored, as `features`."""
    edge = BORDER * scale
    inside = target[None, edge:-edge, edge:-edge]
    return extract_patches(inside, PATCH * scale, stride * scale)


def training_patches(
    pairs: list[tuple[torch.Tensor, torch.Tensor]],
    see: See,
    scale: int,
    *,
    stride: int = 1,
    count: int | None = None,
    generator: torch.Generator | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (n, d) and targets (n, (3·scale)²) of the patches of `examples`.

    All patches, or about `count` drawn from all pictures.

    Raises
    ------
    ValueError : when there is no pair.
    """
    if not pairs:
        raise ValueError(
            f"no picture is large enough to learn from: x{scale} needs at least "
            f"{REACH * scale} pixels on a side"
        )
    sides = [np.array(target.shape) // scale - REACH + 1 for _, target in pairs]
    share = 1 if count is None else count / sum(map(np.prod, sides))
    seen, wanted = [], []
    for wide, target in pairs:
        x, z = see(wide), target_patches(target, scale, stride)
        if count is not None:
            drawn = torch.rand(len(x), generator=generator) < share
            x, z = x[drawn], z[drawn]
        seen.append(x)
        wanted.append(z)
    return torch.cat(seen), torch.cat(wanted)


class PatchMethod:
    """A method that restores patch by patch; call it with ``(lr_y, scale)``.

    Parameters
    ----------
    see : the patches' features, from no further than one LR pixel around each.
    restore : makes HR patches of features.
    scale : the only one that it can be called with.
    device : where `see` and `restore` work.
    zoom : how many times the LR picture is enlarged for `see`.  Where not given
        `see` gets the bicubic picture, and the patches are added to it.
    dtype : of all that is computed, and of the result.
    """

    def __init__(
        self,
        see: See,
        restore: Restore,
        scale: int,
        device: torch.device,
        zoom: int | None = None,
        dtype: torch.dtype = torch.float32,
    ):
        self.see, self.restore = see, restore
        self.scale, self.zoom = scale, zoom
        self.device, self.dtype = device, dtype

    @classmethod
    def of_gradients(
        cls, basis: torch.Tensor, restore: Restore, scale: int, device: torch.device
    ) -> "PatchMethod":
        """One that sees `features` by `basis`, (d, 4·(3·scale)²)."""
        basis = basis.to(device)
        return cls(lambda y: features(y, scale, basis), restore, scale, device)

    @torch.inference_mode()
    def __call__(self, lr_y: np.ndarray, scale: int) -> np.ndarray:
        """(h, w) in 0…1 → (h·scale, w·scale), about 0…1.

        The features of a few rows of patches at a time are held in memory.

        Raises
        ------
        ValueError : for another scale than the method was trained for.
        """
        if scale != self.scale:
            raise ValueError(f"the method was trained for x{self.scale}, not x{scale}")
        sr_y = torch.from_numpy(bicubic(lr_y, scale)).to(self.dtype)
        height, width = lr_y.shape
        if min(height, width) < REACH:
            return sr_y.numpy()
        wide, zoom = sr_y, scale
        if self.zoom:
            wide, zoom = torch.from_numpy(imresize(lr_y, self.zoom)), self.zoom
        edge = BORDER * scale
        inside = sr_y[edge:-edge, edge:-edge]
        total = torch.zeros_like(inside)
        rows = max(1, CHUNK[self.device.type] // width)
        count = height - REACH + 1  # rows of patches
        for first in range(0, count, rows):
            last = min(first + rows, count)
            seen = wide[first * zoom : (last + REACH - 1) * zoom]
            chunks = self.see(seen.to(self.device, self.dtype))
            chunks = chunks.split(CHUNK[self.device.type])
            patches = torch.cat([self.restore(chunk) for chunk in chunks])
            band = total[first * scale : (last + PATCH - 1) * scale]
            band += overlap_sum(patches, band.shape, scale).cpu()
        down, across = (overlaps(n, scale) for n in inside.shape)
        total /= down[:, None] * across
        inside.copy_(total if self.zoom else inside + total)
        return sr_y.numpy()
