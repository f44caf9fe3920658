"""Weights: ours, the authors', and their export as ONNX.

Ours are ``NAME.safetensors`` beside a card ``NAME.json`` that says how they were made.
Neither this format nor the authors' .mat files can execute anything.
"""

import datetime
import hashlib
import json
import os
import re
import warnings
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save

from . import datasets
from .files import write_atomically
from .models import SRCNN

#: The authors' models: name → folder in ``srcnn-official``, and its scales.
OFFICIAL = {
    "official/9-1-5-91": ("9-1-5(91 images)", (2, 3, 4)),
    "official/9-1-5-imagenet": ("9-1-5(ImageNet)", (3,)),
    "official/9-3-5-imagenet": ("9-3-5(ImageNet)", (3,)),
    "official/9-5-5-imagenet": ("9-5-5(ImageNet)", (2, 3, 4)),
}
#: What the usual ports call the layers.
PORTS = (("conv1", "conv2", "conv3"), ("features.0", "map.0", "reconstruction"))
#: Methods that are no networks; what was trained for them lies here too.
OTHER_METHODS = ("sc", "ksvd", "aplus", "kk")


class CheckpointError(ValueError):
    """Weights that can't be had; the message names them and the remedy."""


def folder() -> Path:
    """Where our own weights lie."""
    return datasets.data_folder() / "checkpoints"


def names() -> dict[str, tuple[int, ...]]:
    """Networks and the scales they exist for: ours, then the authors'."""
    ours: dict[str, tuple[int, ...]] = {}
    for path in sorted(folder().glob("*_x[0-9].safetensors")):
        name, _, scale = path.stem.rpartition("_x")
        if name not in OTHER_METHODS:
            ours[name] = (*ours.get(name, ()), int(scale))
    return ours | {name: scales for name, (_, scales) in OFFICIAL.items()}


def locate(name: str, scale: int | None = None) -> Path:
    """The file that a model name means, else CheckpointError; for the authors' models,
    which may have to be downloaded, also `datasets.DataError`."""
    path, known = Path(name), names()
    if path.suffix in (".safetensors", ".mat", ".pth", ".pt"):
        if path.is_file():
            return path
        raise CheckpointError(f"{name}: no such file")
    if name not in known:
        there = f"{', '.join(known)}, or give a .safetensors file"
        raise CheckpointError(f"model {name!r} is not known; there are {there}")
    if scale not in known[name]:
        there = ", ".join(f"x{s}" for s in known[name])
        but = f"not x{scale}" if scale else "give --scale"
        raise CheckpointError(f"model {name} is for {there}; {but}")
    if name in OFFICIAL:
        return datasets.path("srcnn-official") / OFFICIAL[name][0] / f"x{scale}.mat"
    return folder() / f"{name}_x{scale}.safetensors"


def load(name: str, scale: int | None = None) -> SRCNN:
    """Load a network, on the CPU; CheckpointError for unknown or damaged weights.

    `name` is such as ``"9-1-5"``, ``"official/9-5-5-imagenet"``, or a path that ends in
    .safetensors, .mat or .pth.  A card for another scale is an error; a file name for
    another one, such as x3.mat, which has no card, is a warning.
    """
    path = locate(name, scale)
    if path.suffix == ".mat":
        told = re.search(r"x([234])$", path.stem)
        if scale and told and int(told[1]) != scale:
            warnings.warn(f"{path}: made for x{told[1]}, not x{scale}", stacklevel=2)
        return _load_mat(path)
    if (ported := _load_port(path)) is not None:
        return ported
    tensors, card = read_tensors(path)
    if scale and card.get("scale") not in (None, scale):
        raise CheckpointError(f"{path}: is for x{card['scale']}, not x{scale}")
    try:
        sizes = card["f"], card["n"], card["channels"], card.get("residual", False)
        model = SRCNN(*sizes)
        model.load_state_dict(tensors)
        return model
    except (KeyError, RuntimeError, TypeError, ValueError) as e:
        raise _damaged(path, e) from None


def _load_port(path: Path) -> SRCNN | None:
    """A state dict of the usual ports: yjn870's ``conv1.weight`` … and Lornatang's
    ``features.0.weight`` …, also under "state_dict"; None for a file of this book's."""
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                if "card" in (file.metadata() or {}):
                    return None
            found = load_file(path)
        else:
            found = torch.load(path, "cpu", weights_only=True)
            found = found.get("state_dict", found)
        found = {k.removeprefix("module.").removeprefix("_orig_mod."): v.float()
                 for k, v in found.items()}  # fmt: skip
        layers = next(p for p in PORTS if {f"{k}.weight" for k in p} <= set(found))
        shapes = [found[f"{k}.weight"].shape for k in layers]
        model = SRCNN([s[2] for s in shapes], [s[0] for s in shapes[:-1]], shapes[0][1])
        model.load_state_dict({f"convs.{i}.{part}": found.pop(f"{k}.{part}")
            for i, k in enumerate(layers) for part in ("weight", "bias")})  # fmt: skip
        if found:
            raise ValueError(f"has {min(found)}, too")
    except Exception as e:  # torch's unpickler raises many kinds
        raise _damaged(path, e) from None
    _check_finite(model.state_dict(), path)
    return model


def _damaged(path, why: Exception, whose="weights of this book") -> CheckpointError:
    reason = " ".join(str(why).split())[:200]
    return CheckpointError(f"{path}: not {whose}, or damaged ({reason})")


def read_card(path: str | os.PathLike) -> dict:
    """The card in a .safetensors file: how the weights were made."""
    try:
        with safe_open(path, "pt") as file:
            return dict(json.loads(file.metadata()["card"]))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as e:
        raise _damaged(path, e) from None


def read_tensors(path: str | os.PathLike) -> tuple[dict[str, torch.Tensor], dict]:
    """The tensors of a .safetensors file, all finite, on the CPU, and its card."""
    card, tensors = read_card(path), load_file(path)  # the first checks the file, too
    _check_finite(tensors, path)
    return tensors, card


def _check_finite(tensors: dict[str, torch.Tensor], path) -> None:
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise CheckpointError(f"{path}: {name} is not finite; take other weights")


def write(model: SRCNN, path: str | os.PathLike, card: dict) -> Path:
    """Write weights and their card, to which the architecture is added."""
    architecture = model.architecture._asdict()
    given = {name: v for name, v in architecture.items() if v is not False}
    return write_tensors(model.state_dict(), path, given | card)


def write_tensors(tensors: dict, path: str | os.PathLike, card: dict) -> Path:
    """Write tensors into a .safetensors file, and their card, with a date, into it and,
    with the sha256 of the file, beside it."""
    path, card = Path(path), {"date": datetime.date.today().isoformat()} | card
    tensors = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    blob = save(tensors, metadata={"card": json.dumps(card)})
    card |= {"sha256": hashlib.sha256(blob).hexdigest()}
    text = json.dumps(card, indent=1, ensure_ascii=False) + "\n"
    write_atomically(path, blob)
    write_atomically(path.with_suffix(".json"), text.encode(errors="backslashreplace"))
    return path


def _load_mat(path: Path) -> SRCNN:
    """The authors' MATLAB weights, for luma (their SRCNN.m, 2014).

    Each filter is a column-major vector of f × f weights: weights_conv1 (f1², n1),
    weights_conv2 (n1, f2², n2), weights_conv3 (n2, f3²); biases (n, 1).  ``imfilter``
    is correlation, as Conv2d is.  ``loadmat`` executes nothing that it reads.
    """
    from scipy.io import loadmat

    try:
        mat = loadmat(path)
        w1, w2, w3 = (mat[f"weights_conv{i}"] for i in (1, 2, 3))
        biases = [mat[f"biases_conv{i}"].ravel() for i in (1, 2, 3)]
        # → (filters out, channels in, f², column-major)
        stacks = [w1.T[:, None], w2.transpose(2, 0, 1), w3[None]]
        sizes = [round(stack.shape[-1] ** 0.5) for stack in stacks]
        model = SRCNN(sizes, (w1.shape[1], w3.shape[0]))
        for conv, stack, size, bias in zip(model.convs, stacks, sizes, biases):
            filters = stack.reshape(*stack.shape[:2], size, size).swapaxes(2, 3)
            conv.weight.data.copy_(torch.tensor(filters))
            conv.bias.data.copy_(torch.tensor(bias))
    except Exception as e:  # scipy raises many kinds
        raise _damaged(path, e, "the authors' weights") from None
    _check_finite(model.state_dict(), path)
    return model


def export_onnx(model: SRCNN, path: str | os.PathLike) -> Path:
    """Write the network as ONNX: input ``y`` and output ``sr_y``, both float32 and
    (batch, channels, height, width) for any size; edges are repeated before each layer.
    Raises CheckpointError without the package ``onnx``."""
    try:
        from onnx import checker, numpy_helper, parser
    except ImportError:
        raise CheckpointError(f"{path}: ONNX needs `pip install onnx`") from None
    constants, lines, last = {}, [], "y"
    for i, conv in enumerate(model.convs, start=1):
        margin = conv.kernel_size[0] // 2
        constants[f"pads{i}"] = np.int64([0, 0, margin, margin] * 2)
        constants[f"W{i}"] = conv.weight.numpy(force=True)
        constants[f"b{i}"] = conv.bias.numpy(force=True)
        lines += [f'padded{i} = Pad <mode = "edge"> ({last}, pads{i})',
                  f"sum{i} = Conv (padded{i}, W{i}, b{i})",
                  f"maps{i} = Relu (sum{i})"]  # fmt: skip
        last = f"maps{i}"
    last = f"Add (sum{i}, y)" if model.architecture.residual else f"Identity (sum{i})"
    lines[-1] = f"sr_y = {last}"  # no ReLU
    port = f"float[batch, {model.architecture.channels}, height, width]"
    head = f'<ir_version: 8, opset_import: ["": 17]> SRCNN ({port} y) => ({port} sr_y) '
    whole = parser.parse_model(head + "{" + "\n".join(lines) + "}")
    for name, array in constants.items():
        whole.graph.initializer.append(numpy_helper.from_array(array, name))
    checker.check_model(whole)
    write_atomically(Path(path), whole.SerializeToString())
    return Path(path)
