"""SC: sparse coding with coupled dictionaries (Yang et al.).

Each patch of 3 × 3 LR pixels, seen through first and second derivatives of the picture
enlarged twice, is written as a sum of a few atoms of an LR dictionary; the same sum of
the HR dictionary's atoms is the HR patch.
Source: Yang et al., Image super-resolution via sparse representation, TIP 2010, and
their CVPR 2008 paper and code.
"""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.io import loadmat
from torch import Tensor
from torch.nn import functional as F

from ..resize import bicubic, imresize
from .patches import PATCH, PatchMethod, extract_patches, training_patches
from .sparse_codes import lasso, learn_dictionary

ZOOM = 2  # the features are taken from the picture enlarged so many times
FEATURES = 4 * (ZOOM * PATCH) ** 2
#: Weight of the codes' sum against the squared error: Yang's, for learning (0.05 costs
#: 0.12 dB on held-out pictures of T91), and ours for pictures: 0.1, 0.05, 0.03 give
#: 29.88, 30.23, 30.32 dB in 1, 1.8 and 3 times the time (bicubic 28.86).
PENALTY, OUR_PENALTY = 0.1, 0.05
LEAST_DETAIL = 0.3  # shorter features, in luma 0…1, are not trained on
OFFICIAL = "official/yang"  # Yang's own dictionaries of 2008, for x3


class Dictionaries(NamedTuple):
    """Coupled dictionaries, float32: `lr` (atoms, 4·6·6), unit norm, of features; `hr`
    (atoms, (3·scale)²), of patches less their mean; and the `penalty` for pictures."""

    lr: Tensor
    hr: Tensor
    penalty: float = PENALTY

    @property
    def scale(self) -> int:
        return round(self.hr.shape[1] ** 0.5) // PATCH


class SparseCoding(PatchMethod):
    """SC as a method, on the dictionaries' or another `device`.  `solve`, called as
    `lasso` is, finds codes.  The published numbers are without `back_projections`."""

    def __init__(
        self, dictionaries: Dictionaries, *, back_projections: int = 0, device=None,
        solve: Callable[..., Tensor] = lasso, dtype: torch.dtype = torch.float32,
    ):  # fmt: skip
        lr, hr = (d.to(device, dtype) for d in dictionaries[:2])
        self.back_projections = back_projections

        def see(wide):
            return torch.column_stack(extract(wide))

        def restore(seen):
            seen, means = seen[:, :-1], seen[:, -1:]
            # Weak patches keep their length, so that the penalty rules them.
            norms = seen.norm(dim=1, keepdim=True).clamp(min=1)
            codes = solve(seen / norms, lr, dictionaries.penalty)
            return codes @ hr * norms + means

        super().__init__(see, restore, dictionaries.scale, lr.device, ZOOM, dtype)

    def __call__(self, lr_y: np.ndarray, scale: int) -> np.ndarray:
        """(h, w) in 0…1 → (h·scale, w·scale), about 0…1."""
        return back_project(super().__call__(lr_y, scale), lr_y, self.back_projections)


def derivatives() -> Tensor:
    """Filters (4, 1, 5, 5) of the features, each along rows and columns."""
    kernels = torch.zeros(4, 1, 5, 5)
    for i, along in enumerate([[0.0, 1, 0, -1, 0], [1.0, 0, -2, 0, 1]]):
        kernels[2 * i, 0, 2] = kernels[2 * i + 1, 0, :, 2] = torch.tensor(along)
    return kernels


def extract(seen: Tensor) -> tuple[Tensor, Tensor]:
    """Features (n, 4·6·6), first derivatives before second, and mean luma (n,) of the
    (h - 4)·(w - 4) patches of a picture (2·h, 2·w) that are not at the border."""
    maps = F.conv2d(seen[None, None], derivatives().to(seen))[0]  # loses 2
    inside = seen[None, ZOOM:-ZOOM, ZOOM:-ZOOM]
    found, y = (extract_patches(m, ZOOM * PATCH, ZOOM) for m in (maps, inside))
    return found.contiguous(), y.mean(1)


def back_project(sr_y: np.ndarray, lr_y: np.ndarray, rounds: int) -> np.ndarray:
    """Correct a result (H, W) so that it shrinks to `lr_y` (h, w): what its shrunk
    version lacks is enlarged and added (TIP 2010, global reconstruction constraint)."""
    scale = sr_y.shape[0] // lr_y.shape[0]
    for _ in range(rounds):
        sr_y = sr_y + bicubic(lr_y - imresize(sr_y, 1 / scale), scale)
    return sr_y


def read_yang(path: Path, device: torch.device) -> Dictionaries:
    """Yang's dictionaries Dl (144, atoms) and Dh (81, atoms), column-major, for x3."""
    mat = loadmat(path)
    lr, hr = mat["Dl"].T.reshape(-1, 4, 6, 6), mat["Dh"].T.reshape(-1, 1, 9, 9)
    rows = (d.swapaxes(2, 3).reshape(len(d), -1) for d in (lr, hr))
    return Dictionaries(*(torch.from_numpy(d).to(device, torch.float32) for d in rows))


def learn_sc(
    images: Iterable[np.ndarray], scale: int, *, atoms: int = 768,
    samples: int = 60_000, passes: int = 3, seed: int = 0,
) -> Dictionaries:  # fmt: skip
    """Coupled dictionaries of pictures, uint8: one code for the LR and the HR patch.

    One dictionary is learnt for vectors that join the features and the HR patch without
    its mean, each divided by the square root of its length so that both count alike
    (TIP 2010, joint dictionary training).  Of the `samples` patches drawn those shorter
    than `LEAST_DETAIL` are left out.  Raises ValueError for too few or small pictures.
    """
    generator = torch.Generator().manual_seed(seed)
    drawing = {"count": samples, "random": partial(torch.rand, generator=generator)}
    seen, hr = training_patches(images, lambda y: extract(y)[0], scale, ZOOM, **drawing)
    strong = seen.norm(dim=1) > LEAST_DETAIL
    seen, hr = seen[strong], (hr - hr.mean(1, keepdim=True))[strong]
    widths = FEATURES**0.5, hr.shape[1] ** 0.5
    joined = F.normalize(torch.cat([seen / widths[0], hr / widths[1]], 1))
    learnt = learn_dictionary(joined, atoms, PENALTY, generator, passes=passes)
    lr, hr = learnt[:, :FEATURES] * widths[0], learnt[:, FEATURES:] * widths[1]
    length = lr.norm(dim=1, keepdim=True).clamp(min=1e-6)
    return Dictionaries(lr / length, hr / length, OUR_PENALTY)
