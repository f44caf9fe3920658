"""Weights in and out of files: ours, the authors', ONNX, JSON."""

import contextlib
import hashlib
import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from srcnn_lib import checkpoints, datasets, protocol, results
from srcnn_lib.checkpoints import CheckpointError
from srcnn_lib.methods.srcnn import SRCNNMethod
from srcnn_lib.models import SRCNN, initialise

needs_official = pytest.mark.skipif(
    not (datasets.available("srcnn-official") and datasets.available("Set5")),
    reason="needs srcnn-official and Set5: srcnn data fetch",
)


def network(*shape, seed=0, init="default"):
    generator = torch.Generator().manual_seed(seed)
    return initialise(SRCNN(*shape), init, generator)


def same_weights(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def only_files(folder):
    """Names in a folder, so that a test sees what was left behind."""
    return sorted(p.name for p in folder.iterdir())


@pytest.fixture
def saved(tmp_path):
    """Weights of a small network for x3, the only files of a folder."""
    model = network((5, 1, 3), (4, 3))
    card = {"scale": 3, "training_images": "none", "minutes": 1.5}
    return checkpoints.write(model, tmp_path / "a" / "small_x3.safetensors", card)


def refused(path, *args):
    """The message of the CheckpointError: one line that names the file."""
    with pytest.raises(CheckpointError) as caught:
        checkpoints.load(str(path), *args)
    text = str(caught.value)
    assert "\n" not in text and str(path) in text
    return text


# Ours ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape", [((9, 1, 5), (64, 32), 1), ((5, 3, 3, 1), (4, 3, 2), 3), ((3,), (), 1)]
)
def test_round_trip_is_bit_identical(tmp_path, shape):
    model = network(*shape)
    path = checkpoints.write(model, tmp_path / "m.safetensors", {"scale": 2})
    again = checkpoints.load(str(path), 2)
    assert again.architecture == model.architecture
    assert same_weights(again, model)
    assert same_weights(checkpoints.load(str(path)), model)
    assert only_files(tmp_path) == ["m.json", "m.safetensors"]


def test_card_inside_and_beside(saved):
    inside = checkpoints.read_card(saved)
    beside = json.loads(saved.with_suffix(".json").read_text("utf-8"))
    digest = hashlib.sha256(saved.read_bytes()).hexdigest()
    assert beside == inside | {"sha256": digest}
    assert (inside["f"], inside["n"], inside["channels"]) == ([5, 1, 3], [4, 3], 1)
    assert inside["scale"] == 3 and inside["minutes"] == 1.5
    assert len(inside["date"]) == len("2026-01-31")
    # Any program that reads the format can have the weights.
    assert load_file(saved)["convs.0.weight"].shape == (4, 1, 5, 5)


def test_writing_again_replaces_both(saved):
    other = network((3, 1, 3), (2, 2), seed=1)
    before = saved.read_bytes()
    with open(saved, "rb") as reader:  # who reads meanwhile has the old ones
        checkpoints.write(other, saved, {"scale": 4})
        assert reader.read() == before
    assert same_weights(checkpoints.load(str(saved), 4), other)
    beside = json.loads(saved.with_suffix(".json").read_text("utf-8"))
    assert beside["sha256"] == hashlib.sha256(saved.read_bytes()).hexdigest()
    assert only_files(saved.parent) == ["small_x3.json", "small_x3.safetensors"]


@pytest.mark.parametrize("keep", [0, 4, 60, 0.5, -1])
def test_truncated_weights(saved, keep):
    blob = saved.read_bytes()
    keep = int(keep * len(blob)) if isinstance(keep, float) else keep
    saved.write_bytes(blob[:keep])
    assert "damaged" in refused(saved, 3)


@pytest.mark.parametrize(
    "content",
    [
        b"hello\n",
        b"x" * 100_000,
        (2).to_bytes(8, "little") + b"[]",
        (2).to_bytes(8, "little") + b"{}",
        bytes(8),
    ],
)
def test_what_is_no_weights(saved, content):
    saved.write_bytes(content)
    assert "not weights of this book" in refused(saved, 3)


@pytest.mark.parametrize(
    "change",
    [
        {"n": [4, 4]},
        {"f": [5, 1, 5]},
        {"f": [4, 1, 3]},
        {"f": 9},
        {"n": [4]},
        {"channels": 2},
        {"channels": None},
    ],
)
def test_a_card_that_does_not_fit_the_weights(tmp_path, change):
    path = checkpoints.write(
        network((5, 1, 3), (4, 3)), tmp_path / "m.safetensors", change
    )
    assert "damaged" in refused(path)


def test_wrong_scale_missing_file_and_unknown_names(saved, tmp_path):
    assert "is for x3, not x2" in refused(saved, 2)
    assert "no such file" in refused(tmp_path / "none.safetensors", 3)
    text = refused("9-9-9", 3)
    assert "official/9-5-5-imagenet" in text and ".safetensors" in text
    text = refused("official/9-3-5-imagenet", 2)
    assert "x3" in text and "not x2" in text
    text = refused("official/9-5-5-imagenet")
    assert "--scale" in text and "x2, x3, x4" in text


def test_names_and_where_they_lie(saved, monkeypatch):
    monkeypatch.setattr(checkpoints, "folder", lambda: saved.parent)
    known = checkpoints.names()
    assert known["small"] == (3,)
    assert (
        known.items()
        >= {
            "official/9-1-5-91": (2, 3, 4),
            "official/9-1-5-imagenet": (3,),
            "official/9-3-5-imagenet": (3,),
            "official/9-5-5-imagenet": (2, 3, 4),
        }.items()
    )
    assert checkpoints.locate("small", 3) == saved
    assert same_weights(checkpoints.load("small", 3), checkpoints.load(str(saved)))
    assert "is for x3, not x4" in refused("small", 4)


# A write that fails --------------------------------------------------------


@contextlib.contextmanager
def full_disk():
    """No file may grow beyond 64 bytes: writing fails as on a full disk."""
    resource = pytest.importorskip("resource", reason="needs POSIX limits")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, before[1]))
    try:
        yield
    finally:  # before the tests' own report goes on, to a file perhaps
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("kind", ["safetensors", "onnx", "json"])
def test_a_failing_write_leaves_the_old_file(saved, kind):
    if kind == "onnx":
        pytest.importorskip("onnx", reason="needs the package onnx")
    write = {
        "safetensors": lambda m, path: checkpoints.write(m, path, {}),
        "onnx": checkpoints.export_onnx,
        "json": checkpoints.export_json,
    }[kind]
    target = saved.with_suffix(f".{kind}")
    if kind == "onnx":
        target.write_bytes(b"old")
    before = {p: p.read_bytes() for p in saved.parent.iterdir()}
    with full_disk(), pytest.raises(OSError) as caught:
        write(network((9, 1, 5), seed=2), target)
    assert {p: p.read_bytes() for p in saved.parent.iterdir()} == before
    text = str(caught.value)
    assert str(target) in text and "can't be written" in text
    assert ".tmp" not in text and "\n" not in text


def test_targets_that_cannot_be_written(tmp_path):
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "file").write_text("mine")
    for target, said in [
        (tmp_path / "folder.json", "can't be written"),
        (tmp_path / "file" / "m.json", "is not a folder"),
    ]:
        with pytest.raises(OSError, match=said) as caught:
            checkpoints.export_json(network((3, 1, 3), (2, 2)), target)
        assert str(target) in str(caught.value)
    assert only_files(tmp_path) == ["file", "folder.json"]
    assert (tmp_path / "file").read_text() == "mine"


# The authors' --------------------------------------------------------------


@needs_official
def test_the_authors_filters_lie_as_they_should():
    """Each filter is a column of MATLAB's: transposed or flipped, it loses."""
    image = datasets.load("Set5")["butterfly"]

    def psnr_db(model):
        return protocol.score(SRCNNMethod(model, "cpu"), image, 3).psnr_db

    def changed(change, layers):
        model = checkpoints.load("official/9-1-5-91", 3)
        for layer in layers:
            weight = model.convs[layer].weight
            weight.data = change(weight.data).contiguous()
        return psnr_db(model)

    right = psnr_db(checkpoints.load("official/9-1-5-91", 3))
    printed = results.printed(
        "srcnn", "Set5", 3, model="official/9-1-5-91", image="butterfly"
    )
    assert round(right, 2) == printed.value
    for layer in (0, 2):
        assert changed(lambda w: w.transpose(2, 3), [layer]) < right - 1
        assert changed(lambda w: w.flip(2, 3), [layer]) < right - 1
    # All of them transposed is a network for transposed pictures: still good.
    assert changed(lambda w: w.transpose(2, 3), [0, 2]) < right - 0.05


@needs_official
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_the_authors_weights_by_index(layer):
    """One number of each file's arrays, by the authors' own indexing."""
    from scipy.io import loadmat

    path = checkpoints.locate("official/9-5-5-imagenet", 3)
    weight = checkpoints.load(str(path)).convs[layer].weight.detach().numpy()
    mat = loadmat(path)[f"weights_conv{layer + 1}"]
    row, column, size = 3, 1, weight.shape[2]
    place = column * size + row  # column-major
    if layer == 0:
        assert weight[7, 0, row, column] == np.float32(mat[place, 7])
    elif layer == 1:
        assert weight[5, 7, row, column] == np.float32(mat[7, place, 5])
    else:
        assert weight[0, 5, row, column] == np.float32(mat[5, place])


def write_mat(path, w1, w2, w3, biases=(4, 3, 1)):
    from scipy.io import savemat

    content = {f"weights_conv{i}": w for i, w in enumerate((w1, w2, w3), 1)}
    content |= {f"biases_conv{i}": np.zeros((n, 1)) for i, n in enumerate(biases, 1)}
    savemat(path, content)


def test_mat_files_that_are_not_the_authors(tmp_path):
    path = tmp_path / "m.mat"
    w1, w2, w3 = np.ones((25, 4)), np.ones((4, 9, 3)), np.ones((3, 25))
    write_mat(path, w1, w2, w3)
    model = checkpoints.load(str(path))
    assert (model.architecture.f, model.architecture.n) == ((5, 3, 5), (4, 3))
    blob = path.read_bytes()
    for content in (b"", b"hello", blob[:200], blob[: len(blob) // 2]):
        path.write_bytes(content)
        assert "not the authors' weights" in refused(path)
    for arrays in [(w1, w2[0], w3), (w1, w2, w3[:, :20]), (w1, w2[:3], w3)]:
        write_mat(path, *arrays)
        assert "not the authors' weights" in refused(path)
    write_mat(path, w1, w2, w3, biases=(4, 2, 1))
    assert "not the authors' weights" in refused(path)


@pytest.mark.filterwarnings("ignore:Duplicate variable")
def test_nothing_in_a_file_is_executed(tmp_path):
    """A MATLAB function among the weights, and pickles under all names."""
    sprung = tmp_path / "sprung"

    class Trap:
        def __reduce__(self):
            return Path.touch, (sprung,)

    def element(kind, data):
        return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)

    def array(kind, shape, name, content):
        flags = element(6, struct.pack("<II", kind, 0))
        shape = element(5, struct.pack("<2i", *shape))
        return element(14, flags + shape + element(1, name) + content)

    path = tmp_path / "m.mat"
    w1, w2, w3 = np.ones((25, 4)), np.ones((4, 9, 3)), np.ones((3, 25))
    write_mat(path, w1, w2, w3)
    source = f"system('touch {sprung}')".encode()
    text = array(4, (1, len(source)), b"", element(16, source))
    function = array(16, (1, 1), b"weights_conv1", text)
    path.write_bytes(path.read_bytes() + function)  # the last one counts
    assert "not the authors' weights" in refused(path)
    for name in ("m.mat", "m.safetensors"):
        path = tmp_path / name
        path.write_bytes(pickle.dumps(Trap()))
        refused(path)
        torch.save(Trap(), path)
        refused(path)
    assert not sprung.exists()


# Exports -------------------------------------------------------------------


@pytest.mark.parametrize("shape", [((9, 1, 5),), ((9, 3, 5),), ((5, 1, 3), (4, 3), 3)])
def test_onnx_computes_the_same_at_any_size(tmp_path, shape):
    onnx = pytest.importorskip("onnx", reason="needs the package onnx")
    from onnx.reference import ReferenceEvaluator

    model = network(*shape)
    path = checkpoints.export_onnx(model, tmp_path / "m.onnx")
    assert only_files(tmp_path) == ["m.onnx"]
    onnx.checker.check_model(str(path), full_check=True)
    session = ReferenceEvaluator(str(path))
    assert session.input_names == ["y"] and session.output_names == ["sr_y"]
    for height, width in [(12, 17), (31, 8)]:
        y = torch.rand(1, model.architecture.channels, height, width)
        (ours,) = session.run(None, {"y": y.numpy()})
        with torch.no_grad():
            assert np.allclose(ours, model(y).numpy(), rtol=0, atol=1e-5)


def test_json_rebuilds_the_network(tmp_path):
    model = network((9, 1, 5))
    path = checkpoints.export_json(model, tmp_path / "m.json")
    content = json.loads(path.read_text("utf-8"))
    rebuilt = SRCNN(content["f"], content["n"], content["channels"])
    for conv, layer in zip(rebuilt.convs, content["layers"], strict=True):
        weight = np.array(layer["weight"]).reshape(layer["shape"])
        conv.weight.data = torch.from_numpy(weight).float()
        conv.bias.data = torch.tensor(layer["bias"])
    assert rebuilt.architecture == model.architecture
    y = torch.rand(1, 1, 20, 20)
    with torch.no_grad():
        assert torch.allclose(rebuilt(y), model(y), rtol=0, atol=1e-5)
    assert len(path.read_bytes()) < 130_000  # 8,129 numbers of 7 digits


# What the book carries ------------------------------------------------------


def test_our_weights_are_what_their_cards_say():
    files = sorted(checkpoints.folder().glob("*.safetensors"))
    assert files, "data/checkpoints has no weights"
    for path in files:
        card = json.loads(path.with_suffix(".json").read_text("utf-8"))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert card["sha256"] == digest, path.name
        name, _, scale = path.stem.rpartition("_x")
        if name in checkpoints.OTHER_METHODS:
            continue
        model = checkpoints.load(name, int(scale))
        assert model.architecture.name == name
        assert all(torch.isfinite(p).all() for p in model.parameters())
        for key in ("training_images", "validation_images", "config", "minutes"):
            assert card[key], (path.name, key)


def test_budget_counts_what_a_run_went_on_from():
    first = {"minutes": 3, "sub_images": 100}
    second = {"minutes": 2.5, "began_with": first}
    assert checkpoints.budget({"minutes": 1, "began_with": second}, "minutes") == 6.5
    assert checkpoints.budget(second, "sub_images") == 100
    assert checkpoints.budget({}, "minutes") == 0
