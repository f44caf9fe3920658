"""What was learnt for the methods between bicubic and SRCNN: make and find.

One file per kind and scale, such as ``data/checkpoints/ksvd_x3.safetensors``, and its
card.  K-SVD, neighbour embedding, GR and ANR share a dictionary.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from .. import checkpoints, datasets
from ..checkpoints import CheckpointError
from ..images import luma
from ..models import choose_device, describe
from . import anchored, kernel_regression, sparse_coding, zeyde
from .sparse_coding import OFFICIAL

#: Method → the kind of file that holds what it learnt.
PARTS = {"sc": "sc", "ksvd": "ksvd", "ne-nnls": "ksvd", "ne-lle": "ksvd", "gr": "ksvd",
         "anr": "ksvd", "aplus": "aplus", "kk": "kk"}  # fmt: skip
#: Kind of file → what learns its parts, and what makes them of its tensors.
_KINDS = {
    "sc": (sparse_coding.learn_sc, sparse_coding.Dictionaries),
    "ksvd": (zeyde.learn_ksvd, zeyde.Dictionary),
    "aplus": (anchored.learn_aplus, anchored.unpack),
    "kk": (kernel_regression.learn_kk, kernel_regression.Bumps),
}


def learnt_file(method: str, scale: int | None, file: str | None = None) -> Path:
    """The file that a method needs: the given one, or else the book's.  Raises
    CheckpointError when it isn't there, with the command that makes it."""
    if scale is None:
        raise CheckpointError(f"{method} needs a scale: 2, 3 or 4")
    kind, official = PARTS[method], f" or {OFFICIAL}" * (method == "sc")
    path = Path(file or checkpoints.folder() / f"{kind}_x{scale}.safetensors")
    if path.is_file():
        return path
    why = f"no such file; {method} takes a .safetensors file{official}"
    if file is None:
        make = f"srcnn train --method {kind} --scale {scale} --out {path.parent}"
        why = f"is missing; `{make}` makes it"
    raise CheckpointError(f"{path}: {why}")


def parts(method: str, scale: int | None, model: str | None = None, device="cpu"):
    """What a method, one of `methods.PARTS`, learnt: float32, on that device.

    `model` is a .safetensors file in place of the book's own; for ``"sc"`` also
    ``"official/yang"``, the dictionaries of Yang et al., for x3 only.  Raises
    CheckpointError for a file that is missing, damaged or for another method or scale,
    DataError when Yang's can't be had.
    """
    device = choose_device(device)
    if method == "sc" and model == OFFICIAL:
        if scale != 3:
            raise CheckpointError(f"model {OFFICIAL} is for x3, not x{scale}")
        path = datasets.path("scsr-official") / "CVPR08_x3_Dictionary.mat"
        try:
            return sparse_coding.read_yang(path, device)
        except Exception as e:  # scipy raises many kinds
            raise CheckpointError(f"{path}: not Yang's or damaged ({e!r})") from None
    path, kind = learnt_file(method, scale, model), PARTS[method]
    tensors, card = checkpoints.read_tensors(path)
    if (card.get("method"), card.get("scale")) != (kind, scale):
        found = f"{card.get('method', 'a network')} x{card.get('scale')}"
        raise CheckpointError(f"{path}: is for {found}, not {kind} x{scale}")
    try:
        found = {name: t.to(device).float() for name, t in tensors.items()}
        if kind == "sc":
            found["penalty"] = float(card["penalty"])
        return _KINDS[kind][1](**found)
    except (KeyError, TypeError, ValueError) as e:
        raise CheckpointError(f"{path}: damaged weights ({e})") from None


def learn(
    kind: str, sets: Sequence[Mapping[str, np.ndarray]], scale: int, *,
    out: Path, seed: int = 0, **choices,
) -> Path:  # fmt: skip
    """Learn what a method needs and write it, with its card, as a .safetensors file.

    `kind` is "sc", "ksvd", "kk" or "aplus", which takes the book's dictionary, `sets`
    are pictures by name, uint8, and `choices` those of `learn_sc` and so on.  float16,
    in which files are, changes the mean on Set5 by less than 0.001 dB.  Raises
    ValueError for a picture of another type, or too few of them.
    """
    if kind not in _KINDS:
        raise ValueError(f"nothing is trained for {kind!r}")
    began = time.perf_counter()
    images = []
    for pictures, name in ((s, name) for s in sets for name in s):
        try:
            images.append(luma(pictures[name]))
        except ValueError as e:
            raise ValueError(f"{name}: {e}") from None
    choices |= {"pair": parts("ksvd", scale)} if kind == "aplus" else {"seed": seed}
    learnt = _KINDS[kind][0](images, scale, **choices)
    minutes = round((time.perf_counter() - began) / 60, 2)
    named = ", ".join(f"{getattr(s, 'name', 'pictures')} ({len(s)})" for s in sets)
    card = {"method": kind, "scale": scale, "training_images": named, "seed": seed,
            "minutes": minutes, "device": describe(torch.device("cpu")),
            "torch": torch.__version__}  # fmt: skip
    tensors = anchored.pack(learnt, scale) if kind == "aplus" else learnt._asdict()
    if kind == "sc":
        card["penalty"] = tensors.pop("penalty")
    tensors = {k: t.half() if t.is_floating_point() else t for k, t in tensors.items()}
    path = Path(out) / f"{kind}_x{scale}.safetensors"
    return checkpoints.write_tensors(tensors, path, card)
