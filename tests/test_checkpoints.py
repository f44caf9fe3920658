"""Weights in and out of files: ours, the authors', ONNX."""

import dataclasses
import hashlib
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from srcnn_lib import checkpoints, datasets, protocol, recipes, results
from srcnn_lib.checkpoints import CheckpointError
from srcnn_lib.methods.srcnn import SRCNNMethod
from srcnn_lib.models import SRCNN, initialise


def network(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return initialise(SRCNN(*shape), "default", generator)


def same_weights(a, b):
    pairs = zip(a.state_dict().items(), b.state_dict().items(), strict=True)
    return all(k == m and torch.equal(v, w) for (k, v), (m, w) in pairs)


@pytest.fixture
def saved(tmp_path):
    """Weights of a small network for x3, the only files of a folder."""
    card = {"scale": 3, "training_images": "none", "minutes": 1.5}
    path = tmp_path / "a" / "small_x3.safetensors"
    return checkpoints.write(network((5, 1, 3), (4, 3)), path, card)


def refused(path, *args):
    """The message of the CheckpointError: one line that names the file."""
    with pytest.raises(CheckpointError) as caught:
        checkpoints.load(str(path), *args)
    text = str(caught.value)
    assert "\n" not in text and str(path) in text
    return text


@pytest.mark.parametrize(
    "shape", [((9, 1, 5), (64, 32), 1), ((5, 3, 3, 1), (4, 3, 2), 3), ((3,), (), 1)]
)
def test_round_trip_is_bit_identical_and_the_card_lies_beside(tmp_path, shape):
    model = network(*shape)
    card = {"scale": 2, "minutes": 1.5}
    path = checkpoints.write(model, tmp_path / "m.safetensors", card)
    again = checkpoints.load(str(path), 2)
    assert again.architecture == model.architecture
    assert same_weights(again, model)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.json", "m.safetensors"]
    inside = checkpoints.read_card(path)
    assert card.items() <= inside.items() and len(inside["date"]) == len("2026-01-31")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    beside = json.loads(path.with_suffix(".json").read_text("utf-8"))
    assert beside == inside | {"sha256": digest}
    assert load_file(path)["convs.0.weight"].shape[2:] == (shape[0][0],) * 2


def test_damaged_weights_and_what_is_none(saved):
    cuts = [saved.read_bytes()[:end] for end in (0, 4, 60, 700, -1)]
    for content in (*cuts, b"hello\n", b"\2" + bytes(7) + b"[]", bytes(8)):
        saved.write_bytes(content)
        assert "not weights of this book, or damaged" in refused(saved, 3)
    sizes = [{"f": f} for f in (9, [5, 1, 5], [4, 1, 3])]
    for odd in (*sizes, {"n": [4, 4]}, {"channels": None}):  # cards that do not fit
        checkpoints.write(network((5, 1, 3), (4, 3)), saved, odd)
        assert "damaged" in refused(saved)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(tmp_path, value):
    model = network((3, 1, 3), (2, 2))
    model.convs[1].bias.data[1] = value
    path = checkpoints.write(model, tmp_path / "m.safetensors", {"scale": 3})
    assert "convs.1.bias is not finite" in refused(path, 3)
    write_mat(tmp_path / "m.mat", value * np.ones((25, 4)))
    assert "convs.0.weight is not finite" in refused(tmp_path / "m.mat", 3)


def test_names_scales_and_where_they_lie(saved, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "folder", lambda: saved.parent)
    known = checkpoints.names()
    assert (known["small"], known["official/9-5-5-imagenet"]) == ((3,), (2, 3, 4))
    assert checkpoints.locate("small", 3) == saved
    assert same_weights(checkpoints.load("small", 3), checkpoints.load(str(saved)))
    large, none = "official/9-5-5-imagenet", tmp_path / "none.safetensors"
    for name, scale, said in (
        ("small", 4, ["is for x3; not x4"]), (saved, 2, ["is for x3, not x2"]),
        (none, 3, ["no such file"]), ("9-9-9", 3, [large, ".safetensors"]),
        ("official/9-3-5-imagenet", 2, ["not x2"]), (large, None, ["--scale", "x2, "]),
    ):  # fmt: skip
        assert all(text in refused(name, scale) for text in said)


def test_every_network_comes_from_one_run_of_the_books_recipe():
    for name, scales in checkpoints.names().items():
        for scale in scales if name not in checkpoints.OFFICIAL else ():
            card = checkpoints.read_card(checkpoints.locate(name, scale))
            arch, _, seed = name.partition("-seed")
            recipe = {"arch": arch, "scale": scale, "seed": int(seed or 0)}
            recipe = dataclasses.replace(recipes.PRESETS["book"], **recipe)
            assert recipes.same(recipe, card["config"]) and "began_with" not in card
            assert card["sub_images"] == 1_280_000 and card["minutes"] > 0


@pytest.mark.skipif(
    not (datasets.available("srcnn-official") and datasets.available("Set5")),
    reason="needs srcnn-official and Set5: srcnn data fetch",
)
def test_the_authors_filters_lie_as_they_should():
    """Each filter is a column of MATLAB's: transposed or flipped, it loses."""
    image = datasets.load("Set5")["butterfly"]

    def psnr_db(change, layers):
        model = checkpoints.load("official/9-1-5-91", 3)
        for layer in layers:
            weight = model.convs[layer].weight
            weight.data = change(weight.data).contiguous()
        return protocol.score(SRCNNMethod(model, "cpu"), image, 3).psnr_db

    right = psnr_db(None, [])
    about = {"model": "official/9-1-5-91", "image": "butterfly"}
    assert round(right, 2) == results.printed("srcnn", "Set5", 3, **about).value
    for layer in (0, 2):
        assert psnr_db(lambda w: w.transpose(2, 3), [layer]) < right - 1
        assert psnr_db(lambda w: w.flip(2, 3), [layer]) < right - 1
    # All of them transposed is a network for transposed pictures: still good.
    assert psnr_db(lambda w: w.transpose(2, 3), [0, 2]) < right - 0.05


W1, W2, W3 = np.ones((25, 4)), np.ones((4, 9, 3)), np.ones((3, 25))


def write_mat(path, w1=W1, w2=W2, w3=W3, biases=(4, 3, 1)):
    from scipy.io import savemat

    content = {f"weights_conv{i}": w for i, w in enumerate((w1, w2, w3), 1)}
    content |= {f"biases_conv{i}": np.zeros((n, 1)) for i, n in enumerate(biases, 1)}
    savemat(path, content)


def test_mat_files(tmp_path):
    """What is not the authors' is refused; weights for another scale are warned of."""
    path = tmp_path / "x3.mat"
    write_mat(path)
    for scale in (None, 3):  # a warning would be an error
        model = checkpoints.load(str(path), scale)
    assert (model.architecture.f, model.architecture.n) == ((5, 3, 5), (4, 3))
    with pytest.warns(UserWarning, match=r"x3.mat: .* for x3, not x2"):
        checkpoints.load(str(path), 2)
    blob = path.read_bytes()
    for content in (b"", b"hello", blob[:200], blob[: len(blob) // 2]):
        path.write_bytes(content)
        assert "not the authors' weights" in refused(path)
    odd = (W1, W2[0]), (W1, W2, W3[:, :20]), (W1, W2[:3]), (W1, W2, W3, (4, 2, 1))
    for arrays in odd:
        write_mat(path, *arrays)
        assert "not the authors' weights" in refused(path)


def test_nothing_in_a_file_is_executed(tmp_path):
    sprung = tmp_path / "sprung"

    class Trap:
        def __reduce__(self):
            return Path.touch, (sprung,)

    for path in (tmp_path / "m.mat", tmp_path / "m.safetensors"):
        path.write_bytes(pickle.dumps(Trap()))
        refused(path)
        torch.save(Trap(), path)
        refused(path)
    assert not sprung.exists()


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("shape", [((9, 1, 5), (64, 32), 1), ((5, 3, 3), (4, 3), 3)])
def test_onnx_computes_the_same_at_any_size(tmp_path, shape, residual):
    onnx = pytest.importorskip("onnx", reason="needs the package onnx")
    from onnx.reference import ReferenceEvaluator

    model = network(*shape, residual)
    path = checkpoints.export_onnx(model, tmp_path / "m.onnx")
    onnx.checker.check_model(str(path), full_check=True)
    session = ReferenceEvaluator(str(path))
    assert session.input_names == ["y"] and session.output_names == ["sr_y"]
    for size in ((12, 17), (31, 8)):
        y = torch.rand(1, shape[2], *size)
        (ours,) = session.run(None, {"y": y.numpy()})
        with torch.no_grad():
            assert np.allclose(ours, model(y).numpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("layers", checkpoints.PORTS)
def test_weights_of_the_usual_ports(tmp_path, suffix, layers):
    """Read by shape; nothing in them is run, and other contents are one line."""
    model, path = SRCNN((9, 5, 5), (6, 4)), tmp_path / f"port{suffix}"
    state = {f"{layers[int(k[6])]}.{k[8:]}": v for k, v in model.state_dict().items()}

    def save(content):
        if suffix == ".pth":
            torch.save({"state_dict": content}, path)
        else:
            save_file(content, path)

    save(state)
    again = checkpoints.load(str(path), 3)
    assert again.architecture == model.architecture
    for key, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[key], tensor)
    for wrong in (state | {"more.weight": torch.ones(1)}, {"w": torch.ones(1)}):
        save(wrong)
        with pytest.raises(checkpoints.CheckpointError, match="port"):
            checkpoints.load(str(path), 3)
    save(state | {f"{layers[0]}.bias": torch.full((6,), torch.nan)})
    with pytest.raises(checkpoints.CheckpointError, match="not finite"):
        checkpoints.load(str(path), 3)


def test_a_malicious_pickle_does_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (tmp_path / "ran").touch, ()

    torch.save({"state_dict": Evil()}, path := tmp_path / "evil.pth")
    with pytest.raises(checkpoints.CheckpointError, match="evil"):
        checkpoints.load(str(path), 3)
    assert not (tmp_path / "ran").exists()
