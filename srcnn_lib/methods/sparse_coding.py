"""SC: sparse coding with coupled dictionaries (Yang et al.).

Each patch of 3 × 3 LR pixels is written as a sum of a few atoms of an LR
dictionary; the same sum of the HR dictionary's atoms is the HR patch.  An LR
patch is seen through first and second derivatives of the picture enlarged
twice.  Where HR patches overlap their mean is taken.

Source: Yang, Wright, Huang, Ma, Image super-resolution via sparse
representation, TIP 2010, and their CVPR 2008 paper and code.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from ..models import choose_device
from ..resize import bicubic, imresize
from .patches import PATCH, PatchMethod, examples, extract_patches, training_patches
from .sparse_codes import lasso, learn_dictionary

#: The features are taken from the picture enlarged so many times.
ZOOM = 2
FEATURES = 4 * (ZOOM * PATCH) ** 2
#: Weight of the codes' sum against the squared error: Yang's.
PENALTY = 0.1
#: With which pictures are coded in our dictionaries; see `learn_sc`.
OUR_PENALTY = 0.05
#: Shorter features, in luma 0…1, are not trained on.
LEAST_DETAIL = 0.3
#: The dictionaries that there are: ours, and Yang's own of 2008.
OFFICIAL = "official/yang"
MODELS = {None: (2, 3, 4), OFFICIAL: (3,)}


class Dictionaries(NamedTuple):
    """Coupled dictionaries, float32; rows of `lr` have unit length.

    lr : (atoms, 4·6·6), of features (4, 6, 6).
    hr : (atoms, (3·scale)²), of patches (3·scale, 3·scale) less their mean.
    penalty : of `lasso`, with which pictures are coded.
    """

    lr: torch.Tensor
    hr: torch.Tensor
    penalty: float = PENALTY

    @property
    def scale(self) -> int:
        return round(self.hr.shape[1] ** 0.5) // PATCH


class SparseCoding(PatchMethod):
    """SC as a method; call it with ``(lr_y, scale)``.

    Parameters
    ----------
    dictionaries : for the scale it will be called with.
    back_projections : rounds of `back_project` at the end.  The published
        numbers are without.
    device : auto, cpu or cuda.
    solve : finds the codes, called as `lasso` is.
    dtype : of all that is computed.
    """

    def __init__(
        self,
        dictionaries: Dictionaries,
        *,
        back_projections: int = 0,
        device: str = "auto",
        solve: Callable[..., torch.Tensor] = lasso,
        dtype: torch.dtype = torch.float32,
    ):
        device = choose_device(device)
        lr, hr = (d.to(device, dtype) for d in dictionaries[:2])
        self.back_projections = back_projections

        def see(wide):
            found, means = extract(wide)
            return torch.cat([found, means[:, None]], 1)

        def restore(seen):
            found, means = seen[:, :-1], seen[:, -1:]
            # Weak patches keep their length, so that the penalty rules them.
            norms = found.norm(dim=1, keepdim=True).clamp(min=1)
            codes = solve(found / norms, lr, dictionaries.penalty)
            return codes @ hr * norms + means

        super().__init__(see, restore, dictionaries.scale, device, ZOOM, dtype)

    def __call__(self, lr_y: np.ndarray, scale: int) -> np.ndarray:
        """(h, w) in 0…1 → (h·scale, w·scale), about 0…1."""
        return back_project(super().__call__(lr_y, scale), lr_y, self.back_projections)


def sc(dictionaries: Dictionaries, scale: int, device: str = "auto") -> SparseCoding:
    """SC as the published numbers have it."""
    return SparseCoding(dictionaries, device=device)


def derivatives() -> torch.Tensor:
    """Filters (4, 1, 5, 5) of the features, each along rows and columns."""
    first = torch.tensor([0.0, 1, 0, -1, 0])
    second = torch.tensor([1.0, 0, -2, 0, 1])
    kernels = torch.zeros(4, 1, 5, 5)
    kernels[0, 0, 2], kernels[1, 0, :, 2] = first, first
    kernels[2, 0, 2], kernels[3, 0, :, 2] = second, second
    return kernels


def extract(seen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What the dictionary sees of a picture (2·h, 2·w) enlarged by `ZOOM`.

    Returns
    -------
    Features (n, 4·6·6) and mean luma (n,) of the (h - 4)·(w - 4) patches, row
    by row, that are not at the border: first derivatives along rows and
    columns, then second ones.
    """
    size = ZOOM * PATCH
    maps = F.conv2d(seen[None, None], derivatives().to(seen))[0]  # loses 2
    inside = seen[None, ZOOM:-ZOOM, ZOOM:-ZOOM]
    means = extract_patches(inside, size, ZOOM).mean(1)
    return extract_patches(maps, size, ZOOM).contiguous(), means


def back_project(sr_y: np.ndarray, lr_y: np.ndarray, rounds: int) -> np.ndarray:
    """Correct a result (H, W) until it shrinks to `lr_y` (h, w).

    What its shrunk version lacks is enlarged and added, `rounds` times.

    Source: TIP 2010, global reconstruction constraint.
    """
    scale = sr_y.shape[0] // lr_y.shape[0]
    for _ in range(rounds):
        sr_y = sr_y + bicubic(lr_y - imresize(sr_y, 1 / scale), scale)
    return sr_y


def read_yang(path: Path) -> Dictionaries:
    """Yang's dictionaries Dl (144, atoms) and Dh (81, atoms), for x3.

    Each patch in them is column-major.  Nothing in the file is executed.
    """
    from scipy.io import loadmat

    mat = loadmat(path)
    lr = mat["Dl"].T.reshape(-1, 4, ZOOM * PATCH, ZOOM * PATCH)
    hr = mat["Dh"].T.reshape(len(lr), 1, 3 * PATCH, 3 * PATCH)
    rows = (d.swapaxes(2, 3).reshape(len(d), -1) for d in (lr, hr))
    return Dictionaries(*(torch.from_numpy(d).float() for d in rows))


def learn_sc(
    images: Iterable[np.ndarray],
    scale: int,
    *,
    atoms: int = 768,
    samples: int = 60_000,
    penalty: float = OUR_PENALTY,
    passes: int = 3,
    seed: int = 0,
    device: str = "cpu",
    progress: bool = True,
) -> Dictionaries:
    """Learn coupled dictionaries: one code for the LR and the HR patch.

    The features and the HR patch without its mean are joined to one vector,
    each divided by the square root of its length so that both count alike,
    and one dictionary is learnt for the joined vectors (TIP 2010, joint
    dictionary training).  At the end each pair of atoms is scaled so that the
    LR atom has unit length.

    The settings were compared on every tenth picture of T91, held out, at x3:
    pictures coded with a penalty of 0.1, 0.05, 0.03 give 29.88, 30.23, 30.32
    dB in 1, 1.8 and 3 times the time (bicubic 28.86); learning with 0.05 in
    place of `PENALTY` costs 0.12 dB; 768 atoms cost 0.05 dB against 1,024.

    Parameters
    ----------
    images : uint8, grey or RGB.
    samples : patches to draw from all pictures; those without detail, whose
        features are shorter than `LEAST_DETAIL`, are left out.
    penalty : with which pictures are to be coded; the dictionary is learnt
        with `PENALTY`.
    passes : of `learn_dictionary`.

    Raises
    ------
    ValueError : when the pictures are too few or too small.
    """
    generator = torch.Generator().manual_seed(seed)
    seen, hr_patches = training_patches(
        list(examples(images, scale, ZOOM)), lambda wide: extract(wide)[0], scale,
        count=samples, generator=generator,
    )  # fmt: skip
    strong = seen.norm(dim=1) > LEAST_DETAIL
    details = hr_patches - hr_patches.mean(1, keepdim=True)
    widths = FEATURES**0.5, details.shape[1] ** 0.5
    joined = torch.cat([seen / widths[0], details / widths[1]], 1)[strong]
    dictionary = learn_dictionary(
        F.normalize(joined).to(choose_device(device)), atoms, PENALTY,
        passes=passes, generator=generator, progress=progress,
    ).cpu()  # fmt: skip
    lr, hr = dictionary[:, :FEATURES] * widths[0], dictionary[:, FEATURES:] * widths[1]
    length = lr.norm(dim=1, keepdim=True).clamp(min=1e-6)
    return Dictionaries(lr / length, hr / length, penalty)
