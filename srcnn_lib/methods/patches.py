"""Pictures as patches: features, PCA, ridge regression, overlap and add.

All methods between bicubic and SRCNN share this.  The enlarged picture is cut into
patches of 3×3 LR pixels, one at each.  A method makes HR patches of their features, and
where these overlap their mean counts.  K-SVD, neighbour embedding, ANR and A+ see the
gradients of the bicubic picture, shortened by PCA, and restore what bicubic lacks.
Source: Zeyde et al., see `zeyde`; details as in the programs of `anchored`'s authors.
"""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..images import luma, modcrop
from ..resize import bicubic, imresize

# In LR pixels: a patch's width, the picture's edge that stays bicubic, and what
# restoring one patch takes.
PATCH, BORDER = 3, 1
REACH = PATCH + 2 * BORDER
#: Patches worked on at a time, about: 1,024 atoms' correlations are 17 MB.
CHUNK = {"cpu": 2**12, "cuda": 2**16}


def extract_patches(maps: Tensor, size: int, stride: int) -> Tensor:
    """All patches of maps (c, H, W), row by row: (n, c·size²)."""
    return F.unfold(maps[None], size, stride=stride)[0].T


def overlap_sum(patches: Tensor, shape: tuple[int, int], scale: int) -> Tensor:
    """Add patches (n, (3·scale)²), one at each LR pixel, up where they lie: `shape`."""
    return F.fold(patches.T[None], shape, PATCH * scale, stride=scale)[0, 0]


def gradients(y: Tensor, scale: int) -> Tensor:
    """First differences over one LR pixel of a bicubic picture (H, W), in its unit,
    along the rows and the columns, then second ones: (4, H - 2·scale, W - 2·scale).
    The edge, where a filter would reach beyond the picture, is left out."""
    s, half = scale, scale // 2

    def moved(step: int, axis: int) -> Tensor:
        return torch.roll(y, -step, axis)[s:-s, s:-s]

    # Where s is odd the middle lies between pixels; MATLAB's conv2 takes the later one.
    first = [moved(s - half, a) - moved(-half, a) for a in (1, 0)]
    second = [(moved(s, a) + moved(-s, a)) / 2 - moved(0, a) for a in (1, 0)]
    return torch.stack(first + second)


def features(y: Tensor, scale: int, basis: Tensor) -> Tensor:
    """The gradients of all patches of a bicubic picture (H, W), row by row, projected
    on a `basis` of `principal_axes`, (d, 4·(3·scale)²): (n, d)."""
    # A product with a patch at each position is a convolution.
    kernels = basis.view(-1, 4, PATCH * scale, PATCH * scale)
    return F.conv2d(gradients(y, scale)[None], kernels, stride=scale)[0].flatten(1).T


def principal_axes(samples: Tensor, dropped: float) -> Tensor:
    """PCA without centring (Zeyde et al., section 3.2) of samples (n, m): the fewest
    orthonormal axes (d, m) that keep all but the `dropped` share of the energy."""
    covariance = sum((part.T @ part).double() for part in samples.split(CHUNK["cuda"]))
    energy, axes = torch.linalg.eigh(covariance)  # ascending
    left_out = energy.cumsum(0) / energy.sum() < dropped
    return axes[:, ~left_out].T.flip(0).contiguous().float()


def ridge_regression(parts: Iterable[tuple[Tensor, Tensor]], ridge: float) -> Tensor:
    """The matrix W (…, d, m) of least |x·W - z|² + ridge·|W|², float64, for samples
    x (…, n, d) and z (…, n, m), some at a time."""
    inner = outer = 0
    for x, z in parts:
        x, z = x.double(), z.double()
        inner, outer = inner + x.mT @ x, outer + x.mT @ z
    inner.diagonal(dim1=-2, dim2=-1).add_(ridge)
    return torch.linalg.solve(inner, outer)


def check_enough(patches: Tensor, needed: int, of_what: str) -> None:
    """Raise ValueError where there are fewer patches than needed."""
    if len(patches) < needed:
        raise ValueError(f"{len(patches)} patches are too few for {needed} {of_what}; "
                         "give more or larger pictures")  # fmt: skip


def training_patches(
    images: Iterable[np.ndarray], see: Callable[[Tensor], Tensor], scale: int,
    zoom: int | None = None, *, stride: int = 1,
    count: int | None = None, random: Callable[[int], Tensor] = torch.rand,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Features (n, d) and the HR patches (n, (3·scale)²) to be restored, float32.

    `images` are pictures or luma, uint8; those too small for a patch are left out.
    `see` and `zoom` are those of `PatchMethod`; `stride` is `see`'s, in LR pixels.
    With `count`, at a stride of 1, about as many are drawn by `random`, which gives n
    numbers in 0…1.  Raises ValueError when no picture is large enough.
    """
    found, edge = [], BORDER * scale
    lumas = (modcrop(luma(image) / 255, scale) for image in images)
    lumas = [hr_y for hr_y in lumas if min(hr_y.shape) >= REACH * scale]
    total = sum(np.prod([n // scale - REACH + 1 for n in y.shape]) for y in lumas)
    for hr_y in lumas:
        wide = imresize(imresize(hr_y, 1 / scale), zoom or scale)
        target = torch.from_numpy(hr_y if zoom else hr_y - wide).float()
        target = target[None, edge:-edge, edge:-edge]
        x = see(torch.from_numpy(wide).float())
        z = extract_patches(target, PATCH * scale, stride * scale)
        drawn = slice(None) if count is None else random(len(x)) < count / total
        found.append((x[drawn], z[drawn]))
    if not found:
        raise ValueError("no picture is large enough to learn from: "
                         f"x{scale} needs {REACH * scale} pixels a side")  # fmt: skip
    return tuple(map(torch.cat, zip(*found)))


class PatchMethod:
    """A method that restores patch by patch; call it with ``(lr_y, scale)``.

    On `device`, `see` makes of an enlarged picture (H, W) the features (n, d) of its
    patches, row by row, from no further than one LR pixel around each, and `restore`
    makes of them HR patches (n, (3·scale)²).  With `zoom` the LR picture is enlarged
    so many times; else `see` gets the bicubic one, and the patches are added to it.
    """

    def __init__(
        self, see: Callable[[Tensor], Tensor], restore: Callable[[Tensor], Tensor],
        scale: int, device, zoom: int | None = None, dtype=torch.float32,
    ):  # fmt: skip
        self.see, self.restore, self.scale, self.zoom = see, restore, scale, zoom
        self.device, self.dtype = torch.device(device), dtype

    @classmethod
    def of_gradients(cls, basis: Tensor, restore, scale: int) -> "PatchMethod":
        """One that sees `features` by `basis`, on its device."""
        return cls(lambda y: features(y, scale, basis), restore, scale, basis.device)

    @torch.inference_mode()
    def __call__(self, lr_y: np.ndarray, scale: int) -> np.ndarray:
        """(h, w) in 0…1 → (h·scale, w·scale), about 0…1, some rows at a time.  Raises
        ValueError for another scale than the method was trained for."""
        if scale != self.scale:
            raise ValueError(f"the method was trained for x{self.scale}, not x{scale}")
        sr_y = torch.from_numpy(bicubic(lr_y, scale)).to(self.dtype)
        if min(lr_y.shape) < REACH:
            return sr_y.numpy()
        zoom, edge, end = self.zoom or scale, scale * BORDER, len(lr_y) - REACH + 1
        wide = torch.from_numpy(imresize(lr_y, zoom)).to(self.dtype)
        inside = sr_y[edge:-edge, edge:-edge]
        total, count = torch.zeros_like(inside), torch.zeros_like(inside)
        rows = max(1, CHUNK[self.device.type] // lr_y.shape[1])
        for first in range(0, end, rows):
            last = min(first + rows, end)
            seen = wide[first * zoom : (last + REACH - 1) * zoom].to(self.device)
            patches = self.restore(self.see(seen)).cpu()
            band = slice(first * scale, (last + PATCH - 1) * scale)
            for sums, parts in ((total, patches), (count, torch.ones_like(patches))):
                sums[band] += overlap_sum(parts, sums[band].shape, scale)
        inside.copy_(total / count if self.zoom else inside + total / count)
        return sr_y.numpy()
