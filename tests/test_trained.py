"""What was learnt for the methods before CNNs: files, cards, commands."""

import hashlib
import json

import numpy as np
import pytest
import torch

from srcnn_lib import checkpoints, cli, datasets, images, methods, protocol, results
from srcnn_lib.checkpoints import CheckpointError
from srcnn_lib.methods import trained, zeyde
from srcnn_lib.resize import bicubic

KINDS = ("ksvd", "aplus", "kk")
SMALL = {"atoms": 64, "iterations": 2, "progress": False}


@pytest.fixture(scope="module")
def school():
    """Pictures to learn from, two."""
    found = datasets.load("demo-train")
    return {name: found[name][40:160, 60:200] for name in list(found)[:2]}


@pytest.fixture(scope="module")
def own(tmp_path_factory, school):
    """A small dictionary for x3."""
    out = tmp_path_factory.mktemp("own")
    return trained.train("ksvd", [school], 3, out=out, **SMALL)


def test_the_books_files_are_what_their_cards_say():
    size = 0
    for kind in KINDS:
        for scale in protocol.SCALES:
            path = trained.locate(kind, scale)
            card = json.loads(path.with_suffix(".json").read_text("utf-8"))
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            assert card.pop("sha256") == digest, path.name
            tensors, inside = checkpoints.read_tensors(path)
            assert (inside["method"], inside["scale"]) == (kind, scale)
            assert card.items() <= inside.items() and card["minutes"] > 0
            assert card["training_images"] == "T91 (91)"
            assert all(torch.isfinite(t.float()).all() for t in tensors.values())
            size += path.stat().st_size
    assert size < 7e6


@pytest.mark.parametrize("scale", protocol.SCALES)
def test_every_method_beats_bicubic(scale):
    picture = datasets.load("demo-test")["coffee"][100:220, 200:350]
    before = protocol.score(bicubic, picture, scale).psnr_db
    for name in trained.PARTS:
        method = methods.get(name, scale=scale, device="cpu")
        after = protocol.score(method, picture, scale).psnr_db
        assert after > before + 0.4, (name, after - before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("name", trained.PARTS)
def test_a_gpu_gives_the_same(name):
    lr_y = images.luma(datasets.load("demo-test")["coffee"][:60, :90]) / 255
    both = [
        methods.get(name, scale=3, device=device)(lr_y, 3)
        for device in ("cpu", "cuda")
    ]
    # Rounding may now and then favour another atom.
    assert np.mean(np.abs(both[0] - both[1]) > 1e-3) < 0.01


def test_these_files_are_no_networks():
    assert not set(checkpoints.names()) & set(checkpoints.OTHER_METHODS)
    with pytest.raises(CheckpointError, match="not known"):
        checkpoints.load("ksvd", 3)


def test_what_was_written_is_read_back(own, school):
    learnt = zeyde.learn(school.values(), 3, **SMALL)
    again = trained._read(own, "ksvd", 3)
    for a, b in zip(learnt, again):
        assert b.dtype == torch.float32 and torch.allclose(a, b, atol=2e-3)
    card = json.loads(own.with_suffix(".json").read_text("utf-8"))
    assert card["training_images"] == "pictures (2)"


def test_a_file_of_ones_own(own):
    lr_y = np.random.default_rng(0).random((9, 8))
    ours = methods.get("anr", scale=3, device="cpu")(lr_y, 3)
    theirs = methods.get("anr", scale=3, model=str(own), device="cpu")(lr_y, 3)
    assert theirs.shape == (27, 24) and np.abs(ours - theirs).max() > 1e-4


def test_unfit_files(own, tmp_path, monkeypatch):
    def refused(method, scale, file):
        with pytest.raises(CheckpointError) as error:
            methods.get(method, scale=scale, model=file and str(file))
        assert "\n" not in str(error.value)
        return str(error.value)

    assert "is for ksvd x3, not ksvd x2" in refused("anr", 2, own)
    assert "is for ksvd x3, not kk x3" in refused("kk", 3, own)
    network = checkpoints.folder() / "9-1-5_x3.safetensors"
    assert "is for a network x3" in refused("gr", 3, network)
    assert "no such file" in refused("gr", 3, tmp_path / "none.safetensors")
    assert "needs a scale" in refused("gr", None, own)
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(own.read_bytes()[:-100])
    assert f"{damaged}: damaged weights" in refused("ksvd", 3, damaged)
    part = tmp_path / "part.safetensors"
    card = {"method": "ksvd", "scale": 3}
    checkpoints.write_tensors({"lr": torch.zeros(2)}, part, card)
    assert f"{part}: damaged weights" in refused("ksvd", 3, part)
    monkeypatch.setattr(checkpoints, "folder", lambda: tmp_path / "empty")
    said = refused("ne-lle", 4, None)
    assert str(tmp_path / "empty" / "ksvd_x4.safetensors") in said
    assert "srcnn train --method ksvd --scale 4" in said


@pytest.mark.parametrize("kind", ["aplus", "kk"])
def test_train_and_use_the_others(tmp_path, school, kind):
    small = {
        "aplus": {"most": 2000, "neighbours": 100},
        "kk": {"centres": 40, "samples": 1000},
    }[kind]
    path = trained.train(
        kind, [school], 3, out=tmp_path, progress=False, **small
    )
    assert path.name == f"{kind}_x3.safetensors"
    method = methods.get(kind, scale=3, model=str(path), device="cpu")
    assert np.isfinite(method(np.random.default_rng(0).random((8, 9)), 3)).all()


def test_a_picture_of_another_kind_is_named(tmp_path):
    deep = {"deep": np.zeros((40, 40), np.uint16)}
    with pytest.raises(ValueError, match="deep: .*uint8"):
        trained.train("kk", [deep], 3, out=tmp_path)
    with pytest.raises(ValueError, match="nothing is trained for 'gr'"):
        trained.train("gr", [], 3, out=tmp_path)


def test_a_recorded_row_knows_the_training():
    made = results._made_by("anr", None, 3)
    assert made["minutes"] > 0 and "CPU" in made["device"]


# The commands ---------------------------------------------------------------


def run(capsys, *argv):
    status = cli.main([str(a) for a in argv])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_train_evaluate_upscale(tmp_path, monkeypatch, capsys, school):
    for name in ("atoms", "iterations"):
        monkeypatch.setitem(zeyde.learn.__kwdefaults__, name, SMALL[name])
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, picture in school.items():
        images.write(folder / f"{name}.png", picture)
    out = tmp_path / "out"
    status, said, _ = run(
        capsys, "train", "--method", "ksvd", "--scale", 2,
        "--images", folder, "--out", out,
    )  # fmt: skip
    file = out / "ksvd_x2.safetensors"
    assert status == 0 and str(file) in said and file.is_file()
    status, said, _ = run(
        capsys, "evaluate", "--method", "ne-nnls", "--scale", 2,
        "--images", folder, "--model", file, "--json", "-",
    )  # fmt: skip
    content = json.loads(said)
    assert status == 0 and content["method"] == "ne-nnls"
    big = tmp_path / "big.png"
    first = next(iter(folder.iterdir()))
    status, *_ = run(
        capsys, "upscale", first, big, "--method", "gr", "--scale", 3, "--device", "cpu"
    )
    assert status == 0 and images.read(big).shape == (360, 420, 3)


def test_wrong_usage_in_one_line(tmp_path, capsys):
    flat = tmp_path / "flat"
    flat.mkdir()
    images.write(flat / "flat.png", np.zeros((60, 60), np.uint8))
    kk = ("train", "--method", "kk", "--scale", 3)
    for argv, text in [
        ((*kk, "--steps", 5), "--steps is for networks, not kk"),
        ((*kk, "--learning-rate", 5), "--learning-rate is for networks"),
        ((*kk, "--resume"), "--resume is for networks"),
        ((*kk, "--arch", "9-5-5"), "--arch is for networks"),
        ((*kk, "--device", "cuda"), "trains on the CPU"),
        ((*kk, "--images", tmp_path / "none"), "no such folder"),
        ((*kk, "--images", flat), "too few"),
        (("train", "--method", "ksvd", "--scale", 3, "--images", flat), "too few"),
        (
            ("evaluate", "--method", "anr", "--scale", 3, "--images", flat,
             "--model", "x.safetensors"),
            "x.safetensors: no such file",
        ),
    ]:  # fmt: skip
        status, _, err = run(capsys, *argv)
        assert status == 2 and err.count("\n") == 1, err
        assert text in err
