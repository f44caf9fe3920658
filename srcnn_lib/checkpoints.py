"""Weights: ours, the authors', and exports to other programs.

Ours are ``NAME.safetensors`` beside a card ``NAME.json`` that says how they
were made.  Neither format can execute anything.
"""

import datetime
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from . import datasets
from .files import write_atomically
from .models import SRCNN, Architecture

#: The authors' models: name → folder in ``srcnn-official``, and its scales.
OFFICIAL = {
    "official/9-1-5-91": ("9-1-5(91 images)", (2, 3, 4)),
    "official/9-1-5-imagenet": ("9-1-5(ImageNet)", (3,)),
    "official/9-3-5-imagenet": ("9-3-5(ImageNet)", (3,)),
    "official/9-5-5-imagenet": ("9-5-5(ImageNet)", (2, 3, 4)),
}
#: Methods that are no networks; what was trained for them lies here too.
OTHER_METHODS = ("sc", "ksvd", "aplus", "kk")


class CheckpointError(ValueError):
    """Weights that can't be had; the message names them and the remedy."""


def folder() -> Path:
    """Where our own weights lie."""
    return datasets.data_folder() / "checkpoints"


def names() -> dict[str, tuple[int, ...]]:
    """Networks and the scales they exist for: ours, then the authors'."""
    ours: dict[str, list[int]] = {}
    for path in sorted(folder().glob("*_x[0-9].safetensors")):
        name, _, scale = path.stem.rpartition("_x")
        if name not in OTHER_METHODS:
            ours.setdefault(name, []).append(int(scale))
    official = {name: scales for name, (_, scales) in OFFICIAL.items()}
    return {name: tuple(scales) for name, scales in ours.items()} | official


def locate(name: str, scale: int | None = None) -> Path:
    """The file that a model name means.

    Raises
    ------
    CheckpointError : for an unknown name or a scale it does not exist for.
    datasets.DataError : when the authors' models can't be had.
    """
    given = Path(name)
    if given.suffix in (".safetensors", ".mat"):
        if not given.is_file():
            raise CheckpointError(f"{name}: no such file")
        return given
    known = names()
    if name not in known:
        raise CheckpointError(
            f"model {name!r} is not known; there are {', '.join(known)}, "
            "or give a .safetensors file"
        )
    there = ", ".join(f"x{s}" for s in known[name])
    if scale is None:
        raise CheckpointError(f"model {name} needs --scale; it is for {there}")
    if scale not in known[name]:
        raise CheckpointError(f"model {name} is for {there}, not x{scale}")
    if name in OFFICIAL:
        return datasets.path("srcnn-official") / OFFICIAL[name][0] / f"x{scale}.mat"
    return folder() / f"{name}_x{scale}.safetensors"


def load(name: str, scale: int | None = None) -> SRCNN:
    """Load a network by name (see `names`) or from a file, on the CPU.

    Parameters
    ----------
    name : such as ``"9-1-5"``, ``"official/9-5-5-imagenet"``, or a path that
        ends in .safetensors or .mat.
    scale : the magnification; a file that knows its own must agree.

    Raises
    ------
    CheckpointError : for unknown, unfit or damaged weights.
    """
    path = locate(name, scale)
    if path.suffix == ".mat":
        return _load_mat(path)
    card = read_card(path)
    trained_for = card.get("scale")
    if scale is not None and trained_for not in (None, scale):
        raise CheckpointError(f"{path}: is for x{trained_for}, not x{scale}")
    try:
        architecture = Architecture(
            tuple(card["f"]),
            tuple(card["n"]),
            card["channels"],
            card.get("residual", False),  # cards that are older lack it
        )
        model = SRCNN(*architecture)
        model.load_state_dict(load_file(path))
    except (
        SafetensorError, KeyError, RuntimeError, OSError, TypeError, ValueError
    ) as e:  # fmt: skip
        reason = str(e).splitlines()[0]
        raise CheckpointError(f"{path}: damaged weights ({reason})") from None
    return model


def read_card(path: Path) -> dict:
    """The card inside a .safetensors file: how the weights were made."""
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > 1_000_000:
                raise ValueError("its header is too long")
            header = json.loads(file.read(length))
        card = json.loads(header["__metadata__"]["card"])
        if not isinstance(card, dict):
            raise ValueError("its card is no card")
        return card
    except (OSError, KeyError, TypeError, ValueError) as e:
        raise CheckpointError(
            f"{path}: not weights of this book, or damaged ({e})"
        ) from None


def budget(card: dict, key: str) -> float:
    """Sum of `key`, ``"minutes"`` or ``"sub_images"``, over all training.

    That of the weights which a run went on from counts too, as far as cards
    tell.
    """
    total = 0
    while card:
        total += card.get(key) or 0
        card = card.get("began_with")
    return total


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict]:
    """The tensors of a .safetensors file, on the CPU, and its card.

    Raises
    ------
    CheckpointError : for a file that is missing, damaged or not of this book.
    """
    if not Path(path).is_file():
        raise CheckpointError(f"{path}: no such file")
    card = read_card(path)
    try:
        return load_file(path), card
    except (SafetensorError, OSError, ValueError) as e:
        reason = str(e).splitlines()[0]
        raise CheckpointError(f"{path}: damaged weights ({reason})") from None


def write(model: SRCNN, path: str | os.PathLike, card: dict) -> Path:
    """Write weights and their card, as `write_tensors` does.

    `card`: what is known of the training; the architecture is added.
    """
    a = model.architecture
    architecture = {"f": list(a.f), "n": list(a.n), "channels": a.channels}
    if a.residual:
        architecture["residual"] = True
    card = architecture | card
    return write_tensors(model.state_dict(), path, card)


def write_tensors(
    tensors: dict[str, torch.Tensor], path: str | os.PathLike, card: dict
) -> Path:
    """Write tensors and their card, each atomically.

    Parameters
    ----------
    path : ends in .safetensors; the card goes beside it, in .json, with the
        sha256 of the tensors' file.
    card : how they were made; the date is added.
    """
    path = Path(path)
    card = dict(card)
    card.setdefault("date", datetime.date.today().isoformat())
    tensors = {
        k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()
    }
    blob = save(tensors, metadata={"card": json.dumps(card)})
    write_atomically(path, blob)
    card["sha256"] = hashlib.sha256(blob).hexdigest()
    text = json.dumps(card, indent=1, ensure_ascii=False) + "\n"
    write_atomically(path.with_suffix(".json"), text.encode())
    return path


def _load_mat(path: Path) -> SRCNN:
    """The authors' MATLAB weights, for luma (their SRCNN.m, 2014).

    Each filter is a column-major vector of f × f weights:
    weights_conv1 (f1², n1), weights_conv2 (n1, f2², n2), weights_conv3
    (n2, f3²); biases (n, 1).  ``imfilter`` is correlation, as Conv2d is.

    Nothing in the file is executed: ``loadmat`` reads numbers and text, and
    gives functions and objects of MATLAB as such, without calling them.
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
        with torch.no_grad():
            for conv, stack, size, bias in zip(
                model.convs, stacks, sizes, biases
            ):
                filters = stack.reshape(*stack.shape[:2], size, size)
                filters = np.ascontiguousarray(filters.swapaxes(2, 3))
                conv.weight.copy_(torch.from_numpy(filters))
                conv.bias.copy_(torch.from_numpy(bias))
    except Exception as e:  # scipy raises many kinds
        reason = " ".join(str(e).split())
        raise CheckpointError(
            f"{path}: not the authors' weights, or damaged ({reason})"
        ) from None
    return model


def export_json(model: SRCNN, path: str | os.PathLike) -> Path:
    """Write the weights as JSON, for JavaScript and for reading by eye.

    ``{"f", "n", "channels", "layers": [{"shape": [out, in, f, f], "weight":
    […], "bias": […]}…]}``, row-major, rounded to 7 significant digits.

    Raises
    ------
    CheckpointError : for a residual network, for which there is no reader.
    """
    a = model.architecture
    if a.residual:
        raise CheckpointError(
            f"{path}: a residual network can't be written as JSON; take ONNX"
        )
    layers = []
    for conv in model.convs:
        weight = conv.weight.detach().cpu().flatten().tolist()
        bias = conv.bias.detach().cpu().tolist()
        layers.append(
            {
                "shape": list(conv.weight.shape),
                "weight": [float(f"{w:.7g}") for w in weight],
                "bias": [float(f"{b:.7g}") for b in bias],
            }
        )
    content = {"f": a.f, "n": a.n, "channels": a.channels, "layers": layers}
    path = Path(path)
    write_atomically(path, json.dumps(content).encode())
    return path


def export_onnx(model: SRCNN, path: str | os.PathLike) -> Path:
    """Write the network as ONNX: input ``y`` and output ``sr_y``, float32.

    Both are (1, channels, height, width) with any height and width; edges
    are repeated before each layer, as in ``padding="same"``.

    Raises
    ------
    CheckpointError : when the package ``onnx`` is not installed.
    """
    try:
        from onnx import TensorProto, checker, helper, numpy_helper
    except ImportError:
        raise CheckpointError(
            f"{path}: writing ONNX needs the package onnx: pip install onnx"
        ) from None
    nodes, constants, last = [], [], "y"
    for i, conv in enumerate(model.convs, start=1):
        final = i == len(model.convs)
        margin = conv.kernel_size[0] // 2
        if margin:
            pads = np.array([0, 0, margin, margin] * 2, dtype=np.int64)
            constants.append(numpy_helper.from_array(pads, f"pads{i}"))
            nodes.append(
                helper.make_node(
                    "Pad", [last, f"pads{i}"], [f"padded{i}"], mode="edge"
                )
            )
            last = f"padded{i}"
        for key, tensor in (("W", conv.weight), ("b", conv.bias)):
            array = tensor.detach().cpu().numpy()
            constants.append(numpy_helper.from_array(array, f"{key}{i}"))
        residual = model.architecture.residual
        out = "sr_y" if final and not residual else f"sum{i}"
        nodes.append(
            helper.make_node("Conv", [last, f"W{i}", f"b{i}"], [out])
        )
        last = out
        if not final:
            nodes.append(helper.make_node("Relu", [last], [f"maps{i}"]))
            last = f"maps{i}"
    if residual:
        nodes.append(helper.make_node("Add", [last, "y"], ["sr_y"]))
    channels = model.architecture.channels
    ports = [
        helper.make_tensor_value_info(
            name, TensorProto.FLOAT, [1, channels, "height", "width"]
        )
        for name in ("y", "sr_y")
    ]
    graph = helper.make_graph(
        nodes, "SRCNN", ports[:1], ports[1:], initializer=constants
    )
    opsets = [helper.make_opsetid("", 17)]
    onnx_model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    checker.check_model(onnx_model)
    path = Path(path)
    write_atomically(path, onnx_model.SerializeToString())
    return path
