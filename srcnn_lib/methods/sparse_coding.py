"""SC: sparse coding with coupled dictionaries (Yang et al.).

Each patch of 3 × 3 LR pixels is written as a sum of a few atoms of an LR
dictionary; the same sum of the HR dictionary's atoms is the HR patch.  An LR
patch is seen through first and second derivatives of the picture enlarged
twice.  Where HR patches overlap their mean is taken.

Source: Yang, Wright, Huang, Ma, Image super-resolution via sparse
representation, TIP 2010, and their CVPR 2008 paper and code.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as F
from tqdm import tqdm

from .. import checkpoints, datasets
from ..checkpoints import CheckpointError
from ..images import luma, modcrop
from ..models import choose_device
from ..resize import BandResizer, bicubic, imresize
from .sparse_codes import lasso, learn_dictionary

#: LR pixels on a side of a patch.
PATCH = 3
#: The features are taken from the picture enlarged so many times.
ZOOM = 2
FEATURES = 4 * (ZOOM * PATCH) ** 2
#: Weight of the codes' sum against the squared error: Yang's.
PENALTY = 0.1
#: With which pictures are coded in our dictionaries; see `train`.
OUR_PENALTY = 0.05
#: Shorter features, in luma 0…1, are not trained on.
LEAST_DETAIL = 0.3
#: Patches coded at a time.
CHUNK = {"cpu": 2**11, "cuda": 2**14}
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


class SparseCoding:
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
        self.device = choose_device(device)
        self.solve, self.dtype = solve, dtype
        self.dictionaries = dictionaries._replace(
            lr=dictionaries.lr.to(self.device, dtype),
            hr=dictionaries.hr.to(self.device, dtype),
        )
        self.back_projections = back_projections

    def __call__(self, lr_y: np.ndarray, scale: int) -> np.ndarray:
        """(h, w) in 0…1 → (h·scale, w·scale), float64, about 0…1.

        Raises
        ------
        ValueError : for another scale than the dictionaries'.
        """
        return np.concatenate(list(self.bands(lr_y, scale)))

    def bands(self, lr_y: np.ndarray, scale: int) -> Iterator[np.ndarray]:
        """The rows of ``self(lr_y, scale)`` from the top, some at a time."""
        if scale != self.dictionaries.scale:
            raise ValueError(
                f"the dictionaries are for x{self.dictionaries.scale}, "
                f"not x{scale}"
            )
        bands = self._bands(lr_y, scale)
        if self.back_projections:  # each pixel then rests on many others
            sr_y = np.concatenate(list(bands))
            bands = [back_project(sr_y, lr_y, self.back_projections)]
        yield from bands

    @torch.inference_mode()
    def _bands(self, lr_y, scale) -> Iterator[np.ndarray]:
        """The outermost LR pixel on each side has no patch: bicubic there."""
        height, width = lr_y.shape
        rows, columns = (max(0, n - PATCH - 1) for n in lr_y.shape)
        if not rows * columns:
            yield bicubic(lr_y, scale)
            return
        enlarge = BandResizer(lr_y.shape, scale)
        zoom = BandResizer(lr_y.shape, ZOOM)

        def read(first, last):
            return lr_y[first:last]

        down, across = _cover(height, scale), _cover(width, scale)
        at_once = max(1, CHUNK[self.device.type] // columns)
        over = PATCH - 1  # rows of LR pixels that the next band covers too
        carried = torch.zeros(
            over * scale, (width - 2) * scale, dtype=self.dtype
        )
        top = 0  # of the rows that are not given yet
        for first in range(0, rows, at_once):
            last = min(first + at_once, rows)  # rows of patches
            seen = zoom(read, ZOOM * first, ZOOM * (last + PATCH + 1))
            seen = torch.from_numpy(seen).to(self.device, self.dtype)
            patches = self._patches(seen)
            total = F.fold(
                patches.T[None],
                ((last - first + over) * scale, (width - 2) * scale),
                PATCH * scale,
                stride=scale,
            )[0, 0].cpu()
            total[: over * scale] += carried
            carried = total[(last - first) * scale :]
            bottom = (last + 1 if last < rows else height) * scale
            band = enlarge(read, top, bottom)
            start, stop = max(top, scale), min(bottom, (height - 1) * scale)
            cover = down[start:stop, None] * across[scale:-scale]
            mean = total[: stop - start].numpy() / cover
            band[start - top : stop - top, scale:-scale] = mean
            yield band
            top = bottom

    def _patches(self, seen: torch.Tensor) -> torch.Tensor:
        """HR patches (n, (3·scale)²) of the picture enlarged by `ZOOM`.

        `seen` has rows for one LR pixel more above and below the patches'.
        """
        features, means = extract(seen)
        # Weak patches keep their length, so that the penalty rules them.
        norms = features.norm(dim=1, keepdim=True).clamp(min=1)
        lr, hr, penalty = self.dictionaries
        details = [
            self.solve(chunk, lr, penalty) @ hr
            for chunk in (features / norms).split(CHUNK[self.device.type])
        ]
        return torch.cat(details) * norms + means[:, None]


def derivatives() -> torch.Tensor:
    """Filters (4, 1, 5, 5) of the features, each along rows and columns."""
    first = torch.tensor([0.0, 1, 0, -1, 0])
    second = torch.tensor([1.0, 0, -2, 0, 1])
    kernels = torch.zeros(4, 1, 5, 5)
    kernels[0, 0, 2], kernels[1, 0, :, 2] = first, first
    kernels[2, 0, 2], kernels[3, 0, :, 2] = second, second
    return kernels


def extract(seen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What the dictionary sees of a picture enlarged by `ZOOM`.

    Parameters
    ----------
    seen : (2·h, 2·w), 0…1.

    Returns
    -------
    Features (n, 4·6·6) and mean luma (n,) of the (h - 4)·(w - 4) patches, row
    by row, that are not at the border: first derivatives along rows and
    columns, then second ones.
    """
    size, border = ZOOM * PATCH, ZOOM
    maps = F.conv2d(seen[None, None], derivatives().to(seen))  # loses 2
    features = F.unfold(maps, size, stride=ZOOM)[0].T.contiguous()
    inner = seen[None, None, border:-border, border:-border]
    means = F.avg_pool2d(inner, size, stride=ZOOM).flatten()
    return features, means


def _cover(n: int, scale: int) -> np.ndarray:
    """How many patches cover each HR pixel along an axis of n LR pixels."""
    cover = np.convolve(np.ones(n - PATCH - 1), np.ones(PATCH))
    return np.pad(cover, 1).repeat(scale).astype(np.float32)


def back_project(
    sr_y: np.ndarray, lr_y: np.ndarray, rounds: int
) -> np.ndarray:
    """Correct a result (H, W) until it shrinks to `lr_y` (h, w).

    What its shrunk version lacks is enlarged and added, `rounds` times.

    Source: TIP 2010, global reconstruction constraint.
    """
    scale = sr_y.shape[0] // lr_y.shape[0]
    for _ in range(rounds):
        sr_y = sr_y + bicubic(lr_y - imresize(sr_y, 1 / scale), scale)
    return sr_y


# Dictionaries in files ------------------------------------------------------


def load(model: str | None = None, scale: int | None = None) -> Dictionaries:
    """Dictionaries by name, on the CPU.

    Parameters
    ----------
    model : one of `MODELS`, None for ours; or a .safetensors file.
    scale : the magnification; not needed for a file.

    Raises
    ------
    CheckpointError : for unknown, unfit or damaged dictionaries.
    datasets.DataError : when Yang's can't be had.
    """
    if model in MODELS:
        name = model or "of method sc"
        there = ", ".join(f"x{s}" for s in MODELS[model])
        if scale is None:
            raise CheckpointError(f"model {name} needs --scale: {there}")
        if scale not in MODELS[model]:
            raise CheckpointError(f"model {name} is for {there}, not x{scale}")
        if model == OFFICIAL:
            folder = datasets.path("scsr-official")
            return _load_mat(folder / "CVPR08_x3_Dictionary.mat")
        path = checkpoints.folder() / f"sc_x{scale}.safetensors"
        if not path.is_file():
            raise CheckpointError(
                f"{path} is missing; `srcnn train --method sc --scale {scale} "
                f"--out {path.parent}` makes it"
            )
    elif model.endswith(".safetensors"):
        path = Path(model)
    else:
        raise CheckpointError(
            f"model {model!r} is not known to method sc; there is {OFFICIAL}, "
            "or give a .safetensors file, or leave it out"
        )
    tensors, card = checkpoints.read_tensors(path)
    try:
        lr, hr = tensors["lr"].float(), tensors["hr"].float()
        dictionaries = Dictionaries(lr, hr, float(card["penalty"]))
        side = PATCH * dictionaries.scale
        fits = lr.shape == (len(hr), FEATURES) and hr.shape[1] == side**2
    except (KeyError, IndexError, TypeError, ValueError):
        fits = False
    if not fits or card.get("method") != "sc":
        raise CheckpointError(f"{path}: holds no dictionaries of method sc")
    if scale not in (None, dictionaries.scale):
        raise CheckpointError(
            f"{path}: is for x{dictionaries.scale}, not x{scale}"
        )
    return dictionaries


def write(
    dictionaries: Dictionaries, path: str | os.PathLike, card: dict
) -> Path:
    """Write dictionaries and their card, see `checkpoints.write_tensors`.

    In float16, which changes the mean on Set5 by less than 0.001 dB.
    """
    lr, hr, penalty = dictionaries
    known = {"method": "sc", "scale": dictionaries.scale, "penalty": penalty}
    tensors = {"lr": lr.half(), "hr": hr.half()}
    return checkpoints.write_tensors(tensors, path, known | card)


def _load_mat(path: Path) -> Dictionaries:
    """Yang's dictionaries Dl (144, atoms) and Dh (81, atoms), for x3.

    Each patch in them is column-major.  Nothing in the file is executed.
    """
    from scipy.io import loadmat

    try:
        mat = loadmat(path)
        size = ZOOM * PATCH
        lr = mat["Dl"].T.reshape(-1, 4, size, size).swapaxes(2, 3)
        hr = mat["Dh"].T.reshape(len(lr), 3 * PATCH, 3 * PATCH).swapaxes(1, 2)
    except Exception as e:  # scipy raises many kinds
        reason = " ".join(str(e).split())
        raise CheckpointError(
            f"{path}: not Yang's dictionaries, or damaged ({reason})"
        ) from None
    return Dictionaries(
        *(torch.from_numpy(d.reshape(len(d), -1)).float() for d in (lr, hr))
    )


# Training -------------------------------------------------------------------


def train(
    images: Mapping[str, np.ndarray],
    scale: int,
    *,
    atoms: int = 768,
    samples: int = 60_000,
    penalty: float = OUR_PENALTY,
    passes: int = 3,
    seed: int = 0,
    device: str = "auto",
    progress: bool = True,
) -> tuple[Dictionaries, dict]:
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
    images : name → uint8 picture.
    samples : patches to draw from all pictures; those without detail, whose
        features are shorter than `LEAST_DETAIL`, are left out.
    penalty : with which pictures are to be coded; the dictionary is learnt
        with `PENALTY`.
    passes : of `learn_dictionary`.
    device : auto, cpu or cuda.

    Returns
    -------
    dictionaries : on the CPU.
    card : the settings and the minutes it took.

    Raises
    ------
    ValueError : when the pictures are too few or too small.
    """
    began = time.perf_counter()
    generator = torch.Generator().manual_seed(seed)
    features, details = _draw(images, scale, samples, generator, progress)
    widths = FEATURES**0.5, details.shape[1] ** 0.5
    joined = torch.cat([features / widths[0], details / widths[1]], dim=1)
    dictionary = learn_dictionary(
        F.normalize(joined).to(choose_device(device)),
        atoms,
        PENALTY,
        passes=passes,
        generator=generator,
        progress=progress,
    ).cpu()
    lr = dictionary[:, :FEATURES] * widths[0]
    hr = dictionary[:, FEATURES:] * widths[1]
    length = lr.norm(dim=1, keepdim=True).clamp(min=1e-6)
    card = {
        "atoms": atoms,
        "training_images": len(images),
        "samples": len(joined),
        "training_penalty": PENALTY,
        "passes": passes,
        "seed": seed,
        "minutes": round((time.perf_counter() - began) / 60, 2),
    }
    return Dictionaries(lr / length, hr / length, penalty), card


def _draw(images, scale, samples, generator, progress):
    """Features and HR patches without their mean, each (n, …), float32."""
    shapes = [np.array(image.shape[:2]) // scale for image in images.values()]
    total = sum(int((s - PATCH - 1).clip(min=0).prod()) for s in shapes)
    features, details = [], []
    bar = tqdm(images.values(), desc="patches", disable=not progress)
    for image in bar:
        if min(image.shape[:2]) < (PATCH + 2) * scale:
            continue
        hr_y = modcrop(luma(image), scale) / 255.0
        lr_y = imresize(hr_y, 1 / scale)
        seen = torch.from_numpy(imresize(lr_y, ZOOM).astype(np.float32))
        seen, _ = extract(seen)
        hr_y = hr_y[scale:-scale, scale:-scale].astype(np.float32)
        patches = F.unfold(
            torch.from_numpy(hr_y)[None, None], PATCH * scale, stride=scale
        )[0].T
        drawn = torch.rand(len(seen), generator=generator) < samples / total
        drawn &= seen.norm(dim=1) > LEAST_DETAIL
        features.append(seen[drawn])
        patches = patches[drawn]
        details.append(patches - patches.mean(dim=1, keepdim=True))
    if not features:
        raise ValueError(
            f"training at x{scale} needs pictures of at least "
            f"{(PATCH + 2) * scale} pixels on a side"
        )
    return torch.cat(features), torch.cat(details)
