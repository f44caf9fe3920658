"""What was learnt for the methods between bicubic and SRCNN: make and find.

One file per kind and scale, such as ``data/checkpoints/ksvd_x3.safetensors``,
with a card.  K-SVD, neighbour embedding, GR and ANR need the same dictionary;
what else they need follows from it in a moment.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from .. import checkpoints
from ..images import luma
from ..models import describe
from . import anchored, kernel_regression, neighbor_embedding, sparse_coding, zeyde
from .patches import PatchMethod
from .sparse_coding import SparseCoding

#: Method → kind of file that it needs.
PARTS = {
    "sc": "sc",
    "ksvd": "ksvd",
    "ne-nnls": "ksvd",
    "ne-lle": "ksvd",
    "gr": "ksvd",
    "anr": "ksvd",
    "aplus": "aplus",
    "kk": "kk",
}
_MAKE = {
    "ksvd": zeyde.method,
    "ne-nnls": neighbor_embedding.nnls,
    "ne-lle": neighbor_embedding.lle,
    "gr": anchored.gr,
    "anr": anchored.anr,
    "aplus": anchored.aplus,
    "kk": kernel_regression.method,
}


def locate(method: str, scale: int | None, file: str | None = None) -> Path:
    """The file that a method needs: the given one, or else the book's.

    Raises
    ------
    CheckpointError : when it isn't there, with the command that makes it.
    """
    if scale is None:
        raise checkpoints.CheckpointError(f"{method} needs a scale: 2, 3 or 4")
    if file is not None:
        if not Path(file).is_file():
            raise checkpoints.CheckpointError(f"{file}: no such file")
        return Path(file)
    kind = PARTS[method]
    path = checkpoints.folder() / f"{kind}_x{scale}.safetensors"
    if not path.is_file():
        raise checkpoints.CheckpointError(
            f"{path} is missing; `srcnn train --method {kind} --scale {scale} "
            f"--out {path.parent}` makes it"
        )
    return path


def load(
    method: str,
    scale: int | None,
    *,
    model: str | None = None,
    device: str = "auto",
) -> PatchMethod | SparseCoding:
    """The method of that name, one of `PARTS`.

    Parameters
    ----------
    model : a file in place of the book's; for ``"sc"`` see
        `sparse_coding.load`.

    Raises
    ------
    CheckpointError : for a file that is missing, damaged or for another
        method or scale.
    """
    if method == "sc":
        return SparseCoding(sparse_coding.load(model, scale), device=device)
    path = locate(method, scale, model)
    return _MAKE[method](_read(path, PARTS[method], scale), scale, device)


def dictionary(scale: int) -> zeyde.Dictionary:
    """The pair that K-SVD, NE, GR and ANR share.

    Raises
    ------
    CheckpointError : as `load`.
    """
    return _read(locate("ksvd", scale), "ksvd", scale)


def _read(path: Path, kind: str, scale: int):
    tensors, card = checkpoints.read_tensors(path)
    if (card.get("method"), card.get("scale")) != (kind, scale):
        raise checkpoints.CheckpointError(
            f"{path}: is for {card.get('method', 'a network')} "
            f"x{card.get('scale')}, not {kind} x{scale}"
        )
    try:
        if kind == "aplus":
            return anchored.unpack(tensors)
        type_ = zeyde.Dictionary if kind == "ksvd" else kernel_regression.Bumps
        return type_(*(tensors[name].float() for name in type_._fields))
    except KeyError as e:
        raise checkpoints.CheckpointError(
            f"{path}: damaged weights (no {e})"
        ) from None


def train(
    kind: str,
    sets: Sequence[Mapping[str, np.ndarray]],
    scale: int,
    *,
    out: Path,
    seed: int = 0,
    progress: bool = True,
    **choices,
) -> Path:
    """Learn what a method needs and write it, with its card.

    Parameters
    ----------
    kind : ``"sc"``, ``"ksvd"``, ``"aplus"`` (with the book's dictionary) or
        ``"kk"``.
    sets : pictures by name, uint8; such as `datasets.Dataset`.
    out : the folder to write to.
    choices : those of `sparse_coding.train`, `zeyde.learn`,
        `anchored.learn_aplus` or `kernel_regression.learn`.

    Returns
    -------
    The .safetensors file.

    Raises
    ------
    ValueError : for a picture of another type, or too few of them.
    """
    began = time.perf_counter()
    images = []
    for pictures in sets:
        for name in pictures:
            try:
                images.append(luma(pictures[name]))
            except ValueError as e:
                raise ValueError(f"{name}: {e}") from None
    choices["progress"] = progress
    if kind == "sc":
        learnt, settings = sparse_coding.train(
            dict(enumerate(images)), scale, seed=seed, **choices
        )
    elif kind == "ksvd":
        learnt = zeyde.learn(images, scale, seed=seed, **choices)
        tensors = halved(learnt._asdict())
    elif kind == "aplus":
        learnt = anchored.learn_aplus(
            images, scale, dictionary(scale), **choices
        )
        tensors = anchored.pack(learnt, scale)
    elif kind == "kk":
        learnt = kernel_regression.learn(images, scale, seed=seed, **choices)
        tensors = halved(learnt._asdict())
    else:
        raise ValueError(f"nothing is trained for {kind!r}")
    card = {
        "method": kind,
        "scale": scale,
        "training_images": ", ".join(
            f"{getattr(s, 'name', 'pictures')} ({len(s)})" for s in sets
        ),
        "seed": seed,
        "minutes": round((time.perf_counter() - began) / 60, 2),
        "device": describe(torch.device("cpu")),
        "torch": torch.__version__,
    }
    path = Path(out) / f"{kind}_x{scale}.safetensors"
    if kind == "sc":
        return sparse_coding.write(learnt, path, settings | card)
    return checkpoints.write_tensors(tensors, path, card)


def halved(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """With half the digits, float16, in half the space."""
    return {name: tensor.half() for name, tensor in tensors.items()}
