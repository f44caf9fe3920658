"""Pictures as patches: features, PCA, and the way back by overlap and add.

What K-SVD, neighbour embedding, ANR and A+ share.  The bicubic picture is cut
into windows of 3×3 LR pixels, one at each LR pixel; a window's features are
its gradients, shortened by PCA; a method turns them into what bicubic lacks
there, and where windows overlap their mean counts.

Source: R. Zeyde, M. Elad, M. Protter, "On single image scale-up using
sparse-representations", 2010; window, border and filters as in the programs
of R. Timofte et al., ICCV 2013.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch.nn import functional as F

from ..images import luma, modcrop
from ..resize import BandResizer, bicubic, imresize

#: Width of a patch, in LR pixels.
WINDOW = 3
#: LR pixels at the picture's edge that stay bicubic.
BORDER = 1
#: Patches worked on at a time: their correlations with 1,024 atoms are 17 MB.
CHUNK = {"cpu": 2**12, "cuda": 2**16}
#: Share of the features' energy that the PCA leaves out.
DROPPED_ENERGY = 1e-3

#: A bicubic picture or band (H, W) → the features of its patches, (n, d).
See = Callable[[torch.Tensor], torch.Tensor]
#: Features (n, d) → what bicubic lacks, (n, (3·scale)²).
Restore = Callable[[torch.Tensor], torch.Tensor]


def gradients(y: torch.Tensor, scale: int) -> torch.Tensor:
    """First and second differences of a bicubic picture.

    Parameters
    ----------
    y : (H, W), any range.

    Returns
    -------
    (4, H - 2·scale, W - 2·scale), the picture's unit: along the rows and the
    columns over a distance of one LR pixel, then both second differences.
    The edge, where a filter would reach beyond the picture, is left out.
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
    size = WINDOW * scale
    # A product with a patch at each position is a convolution.
    kernels = basis.view(-1, 4, size, size)
    maps = gradients(y, scale)[None]
    found = F.conv2d(maps, kernels, stride=stride * scale)[0]
    return found.flatten(1).T


def principal_axes(
    pictures: Iterable[torch.Tensor], scale: int, stride: int = 1
) -> torch.Tensor:
    """The directions in which the gradients of patches vary most.

    PCA without centring, as Zeyde et al. have it (section 3.2).

    Parameters
    ----------
    pictures : bicubic pictures (H, W).

    Returns
    -------
    (d, 4·(3·scale)²), orthonormal rows; d is the least with which all but
    `DROPPED_ENERGY` is kept.
    """
    covariance = 0
    for y in pictures:
        windows = windows_of(gradients(y, scale), scale, stride)
        covariance = covariance + (windows.T @ windows).double()
    return main_axes(covariance, DROPPED_ENERGY)


def main_axes(covariance: torch.Tensor, dropped: float) -> torch.Tensor:
    """The fewest axes, (d, n), with all but a share of the energy, float32."""
    energy, axes = torch.linalg.eigh(covariance)  # ascending
    left_out = energy.cumsum(0) / energy.sum() < dropped
    return axes[:, ~left_out].T.flip(0).contiguous().float()


def windows_of(
    maps: torch.Tensor, scale: int, stride: int = 1
) -> torch.Tensor:
    """All patches of pictures (c, H, W): (n, c·(3·scale)²), row by row."""
    step = stride * scale
    return F.unfold(maps[None], WINDOW * scale, stride=step)[0].T


def overlap_sum(patches: torch.Tensor, shape: tuple[int, int], scale: int):
    """Add patches up where they lie; the transpose of `windows_of`.

    Parameters
    ----------
    patches : (n, (3·scale)²), one at each LR pixel, row by row.
    shape : (H, W) of the result.
    """
    added = F.fold(patches.T[None], shape, WINDOW * scale, stride=scale)
    return added[0, 0]


def overlaps(size: int, scale: int) -> torch.Tensor:
    """How many patches cover each of `size` pixels in a row, (size,)."""
    cells = torch.arange(size // scale)
    count = torch.minimum(cells + 1, size // scale - cells)
    most = min(WINDOW, size // scale - WINDOW + 1)
    return count.clamp(max=most).repeat_interleave(scale)


def examples(
    images: Iterable[np.ndarray], scale: int, device="cpu"
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Training pairs: the bicubic picture and what it lacks.

    Parameters
    ----------
    images : pictures or luma, uint8; those too small for a patch are left
        out.

    Yields
    ------
    Both float32 (H, W), 0…1 and about -1…1; H and W multiples of `scale`.
    """
    for image in images:
        hr_y = modcrop(luma(image) / 255, scale)
        if min(hr_y.shape) < (WINDOW + 2 * BORDER) * scale:
            continue
        y = bicubic(imresize(hr_y, 1 / scale), scale)
        both = torch.from_numpy(np.stack([y, hr_y - y]))
        yield tuple(both.to(device, torch.float32))


def residual_patches(
    missing: torch.Tensor, scale: int, stride: int = 1
) -> torch.Tensor:
    """The patches of what bicubic lacks, (n, (3·scale)²), as `features`."""
    edge = BORDER * scale
    return windows_of(missing[None, edge:-edge, edge:-edge], scale, stride)


class PatchMethod:
    """A method that restores patch by patch; call it with ``(lr_y, scale)``.

    Parameters
    ----------
    see : the patches' features, from no further than one LR pixel around
        each.
    restore : what makes of features the patches that are added to the bicubic
        ones.
    scale : the only one that it can be called with.
    device : where `see` and `restore` work.
    """

    def __init__(
        self, see: See, restore: Restore, scale: int, device: torch.device
    ):
        self.see = see
        self.restore = restore
        self.scale = scale
        self.device = device

    @classmethod
    def of_gradients(
        cls,
        basis: torch.Tensor,
        restore: Restore,
        scale: int,
        device: torch.device,
    ) -> "PatchMethod":
        """One that sees `features` by `basis`, (d, 4·(3·scale)²)."""
        basis = basis.to(device)
        return cls(lambda y: features(y, scale, basis), restore, scale, device)

    def __call__(self, lr_y: np.ndarray, scale: int) -> np.ndarray:
        """(h, w) in 0…1 → (h·scale, w·scale), float32, about 0…1."""
        return np.concatenate(list(self.bands(lr_y, scale)))

    @torch.inference_mode()
    def bands(self, lr_y: np.ndarray, scale: int) -> Iterator[np.ndarray]:
        """The rows of ``self(lr_y, scale)`` from the top, some at a time.

        Memory is needed for a band and not for the picture: what its patches
        add to the rows of the next band is kept for that one.

        Raises
        ------
        ValueError : for another scale than the method was trained for.
        """
        if scale != self.scale:
            raise ValueError(
                f"the method was trained for x{self.scale}, not x{scale}"
            )
        height, width = lr_y.shape
        edge = BORDER * scale
        reach = WINDOW + 2 * BORDER  # LR rows that a row of patches sees
        if min(height, width) < reach:
            yield bicubic(lr_y, scale).astype(np.float32)
            return
        resize = BandResizer(lr_y.shape, scale)
        down = overlaps((height - 2 * BORDER) * scale, scale)
        across = overlaps((width - 2 * BORDER) * scale, scale)
        rows = max(1, CHUNK[self.device.type] // width)
        count = height - reach + 1  # rows of patches
        begun = 0  # sums in rows that the next band will finish
        for first in range(0, count, rows):
            last = min(first + rows, count)
            top, bottom = first * scale, (last + reach - 1) * scale
            y = resize(lambda a, b: lr_y[a:b], top, bottom).astype(np.float32)
            added = self._added(torch.from_numpy(y))
            added[: (WINDOW - 1) * scale] += begun
            begun = added[(last - first) * scale :].clone()
            weight = down[top : top + len(added), None] * across
            y[edge:-edge, edge:-edge] += (added / weight).numpy()
            # Finished are the rows above the next band's first patch.
            start = 0 if first == 0 else edge
            stop = len(y) if last == count else edge + (last - first) * scale
            yield y[start:stop]

    def _added(self, y: torch.Tensor) -> torch.Tensor:
        """The sum of the restored patches of a band, without its edge."""
        y = y.to(self.device)
        chunks = self.see(y).split(CHUNK[self.device.type])
        patches = torch.cat([self.restore(chunk) for chunk in chunks])
        edge = 2 * BORDER * self.scale
        shape = (y.shape[0] - edge, y.shape[1] - edge)
        return overlap_sum(patches, shape, self.scale).cpu()
