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

from .. import checkpoints, datasets
from ..checkpoints import CheckpointError
from ..images import luma
from ..models import describe
from . import LEARNT, anchored, kernel_regression, sparse_coding, zeyde
from .sparse_coding import MODELS, OFFICIAL

_LEARN = {
    "sc": sparse_coding.learn_sc,
    "ksvd": zeyde.learn_ksvd,
    "aplus": anchored.learn_aplus,
    "kk": kernel_regression.learn_kk,
}
#: Kind → what its file holds, where that is stored as it is.
_TYPES = {
    "sc": sparse_coding.Dictionaries,
    "ksvd": zeyde.Dictionary,
    "kk": kernel_regression.Bumps,
}


def locate(method: str, scale: int | None, file: str | None = None) -> Path:
    """The file that a method needs: the given one, or else the book's.

    Raises
    ------
    CheckpointError : when it isn't there, with the command that makes it.
    """
    if scale is None:
        raise CheckpointError(f"{method} needs a scale: 2, 3 or 4")
    if file is not None:
        if not Path(file).is_file():
            also = f" or {OFFICIAL}" if method == "sc" else ""
            raise CheckpointError(
                f"{file}: no such file; {method} takes a .safetensors file{also}"
            )
        return Path(file)
    kind = LEARNT[method]
    path = checkpoints.folder() / f"{kind}_x{scale}.safetensors"
    if not path.is_file():
        raise CheckpointError(
            f"{path} is missing; `srcnn train --method {kind} --scale {scale} "
            f"--out {path.parent}` makes it"
        )
    return path


def parts(method: str, scale: int | None, model: str | None = None):
    """What a method learnt, on the CPU, float32.

    Parameters
    ----------
    method : one that `methods.LEARNT` names.
    model : a .safetensors file in place of the book's own; for ``"sc"`` also
        ``"official/yang"``, the dictionaries of Yang et al., for x3 only.

    Returns
    -------
    `sparse_coding.Dictionaries`, `zeyde.Dictionary`, `anchored.Anchors` or
    `kernel_regression.Bumps`.

    Raises
    ------
    CheckpointError : for a file that is missing, damaged or for another
        method or scale.
    datasets.DataError : when Yang's can't be had.
    """
    if method == "sc" and model == OFFICIAL:
        if scale not in MODELS[OFFICIAL]:
            raise CheckpointError(f"model {OFFICIAL} is for x3, not x{scale}")
        path = datasets.path("scsr-official") / "CVPR08_x3_Dictionary.mat"
        try:
            return sparse_coding.read_yang(path)
        except Exception as e:  # scipy raises many kinds
            reason = " ".join(str(e).split())
            raise CheckpointError(
                f"{path}: not Yang's dictionaries, or damaged ({reason})"
            ) from None
    path, kind = locate(method, scale, model), LEARNT[method]
    tensors, card = checkpoints.read_tensors(path)
    if (card.get("method"), card.get("scale")) != (kind, scale):
        raise CheckpointError(
            f"{path}: is for {card.get('method', 'a network')} "
            f"x{card.get('scale')}, not {kind} x{scale}"
        )
    try:
        if kind == "aplus":
            return anchored.unpack(tensors)
        found = {name: tensor.float() for name, tensor in tensors.items()}
        if kind == "sc":
            found["penalty"] = float(card["penalty"])
        return _TYPES[kind](**found)
    except (KeyError, TypeError, ValueError) as e:
        raise CheckpointError(f"{path}: damaged weights ({e})") from None


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
    choices : those of `learn_sc`, `learn_ksvd`, `learn_aplus` or `learn_kk`.

    Returns
    -------
    The .safetensors file; in float16, which changes the mean on Set5 by less
    than 0.001 dB.

    Raises
    ------
    ValueError : for a picture of another type, or too few of them.
    """
    if kind not in _LEARN:
        raise ValueError(f"nothing is trained for {kind!r}")
    began = time.perf_counter()
    images = []
    for pictures in sets:
        for name in pictures:
            try:
                images.append(luma(pictures[name]))
            except ValueError as e:
                raise ValueError(f"{name}: {e}") from None
    if kind == "aplus":
        choices["dictionary"] = parts("ksvd", scale)
    else:
        choices["seed"] = seed
    learnt = _LEARN[kind](images, scale, progress=progress, **choices)
    named = ", ".join(f"{getattr(s, 'name', 'pictures')} ({len(s)})" for s in sets)
    card = {
        "method": kind,
        "scale": scale,
        "training_images": named,
        "seed": seed,
        "minutes": round((time.perf_counter() - began) / 60, 2),
        "device": describe(torch.device("cpu")),
        "torch": torch.__version__,
    }
    tensors = anchored.pack(learnt, scale) if kind == "aplus" else learnt._asdict()
    if kind == "sc":
        card["penalty"] = tensors.pop("penalty")
    tensors = {k: t.half() if t.is_floating_point() else t for k, t in tensors.items()}
    return checkpoints.write_tensors(
        tensors, Path(out) / f"{kind}_x{scale}.safetensors", card
    )
