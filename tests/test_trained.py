"""What was learnt for the methods before CNNs: files, cards, commands."""

import hashlib
import json

import numpy as np
import pytest
import torch

from srcnn_lib import checkpoints, cli, datasets, images, methods, protocol
from srcnn_lib.checkpoints import CheckpointError
from srcnn_lib.methods import trained, zeyde
from srcnn_lib.resize import bicubic

#: Kind → choices with which it is learnt in a moment.
SMALL = {
    "sc": {"atoms": 64, "samples": 3000, "passes": 1},
    "ksvd": {"atoms": 64, "iterations": 2},
    "aplus": {"most": 9000, "neighbours": 400},
    "kk": {"centres": 80, "samples": 3000},
}


@pytest.fixture(scope="module")
def pictures():
    found = datasets.load("demo-train")
    return {name: found[name][40:160, 60:200] for name in list(found)[:4]}


@pytest.fixture(scope="module")
def own(tmp_path_factory, pictures):
    """Files of our own for x3, by kind."""
    out = tmp_path_factory.mktemp("own")
    return {
        kind: trained.learn(kind, [pictures], 3, out=out, **choices)
        for kind, choices in SMALL.items()
    }


def gain_db(method, scale):
    """Over bicubic."""
    picture = datasets.load("demo-test")["coffee"][100:220, 200:350]
    before = protocol.score(bicubic, picture, scale).psnr_db
    return protocol.score(method, picture, scale).psnr_db - before


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("scale", protocol.SCALES)
def test_the_books_files_are_what_their_cards_say(kind, scale):
    path = trained.learnt_file(kind, scale)
    card = json.loads(path.with_suffix(".json").read_text("utf-8"))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert card.pop("sha256") == digest
    tensors, inside = checkpoints.read_tensors(path)
    assert (inside["method"], inside["scale"]) == (kind, scale)
    assert card.items() <= inside.items() and card["minutes"] > 0
    assert card["training_images"] == "T91 (91)"
    assert all(torch.isfinite(t.float()).all() for t in tensors.values())
    assert path.stat().st_size < 3e6 and f"{kind}_x3" not in checkpoints.names()


@pytest.mark.parametrize("name", trained.PARTS)
def test_methods_beat_bicubic_and_leaves_flat_pictures_flat(name):
    for scale in protocol.SCALES:
        method = methods.get(name, scale=scale, device="cpu")
        assert gain_db(method, scale) > 0.4
        error = np.abs(method(np.full((8, 9), 0.4), scale) - 0.4).max()
        assert error < (0.02 if name == "ne-lle" else 2e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_gpu_gives_the_same():
    lr_y = images.luma(datasets.load("demo-test")["coffee"][:60, :90]) / 255
    for name in trained.PARTS:
        on = {d: methods.get(name, scale=3, device=d)(lr_y, 3) for d in ("cpu", "cuda")}
        # Rounding may now and then favour another atom.
        assert np.mean(np.abs(on["cpu"] - on["cuda"]) > 1e-3) < 0.01, name


@pytest.mark.parametrize("name", ["sc", "ksvd", "anr", "aplus", "kk"])
def test_what_is_learnt_from_four_pictures_beats_bicubic(own, name):
    file = own[trained.PARTS[name]]
    assert gain_db(methods.get(name, scale=3, model=str(file), device="cpu"), 3) > 0.2
    assert checkpoints.read_card(file)["training_images"] == "pictures (4)"


@pytest.mark.parametrize("kind", ["sc", "ksvd", "kk"])
def test_what_was_written_is_what_the_seed_gives(own, pictures, kind):
    learnt = trained._KINDS[kind][0](pictures.values(), 3, **SMALL[kind], seed=0)
    for a, b in zip(learnt, trained.parts(kind, 3, str(own[kind])), strict=True):
        a, b = torch.as_tensor(a), torch.as_tensor(b)
        assert b.dtype == torch.float32 and torch.allclose(a, b, rtol=1e-3, atol=2e-3)


def test_unfit_files(own, tmp_path, monkeypatch):
    def refused(method, scale, file, said):
        with pytest.raises(CheckpointError) as error:
            methods.get(method, scale=scale, model=file and str(file))
        assert said in str(error.value) and "\n" not in str(error.value)

    refused("anr", 2, own["ksvd"], "is for ksvd x3, not ksvd x2")
    refused("kk", 3, own["ksvd"], "is for ksvd x3, not kk x3")
    refused("sc", 3, checkpoints.folder() / "9-1-5_x3.safetensors", "a network x3")
    refused("gr", 3, tmp_path / "none.safetensors", "no such file")
    refused("sc", 3, "9-5-5", "official/yang")
    refused("sc", 2, "official/yang", "is for x3, not x2")
    refused("gr", None, own["ksvd"], "needs a scale")
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(own["ksvd"].read_bytes()[:-100])
    refused("ksvd", 3, damaged, "damaged")
    for kind in SMALL:
        card = {"method": kind, "scale": 3}
        checkpoints.write_tensors({"lr": torch.zeros(2)}, damaged, card)
        refused(kind, 3, damaged, f"{damaged}: damaged weights")
    monkeypatch.setattr(datasets, "path", lambda name: tmp_path)
    (tmp_path / "CVPR08_x3_Dictionary.mat").write_bytes(b"hello")
    refused("sc", 3, "official/yang", "not Yang's or damaged")
    monkeypatch.setattr(checkpoints, "folder", lambda: tmp_path / "empty")
    refused("ne-lle", 4, None, "`srcnn train --method ksvd --scale 4")


@pytest.mark.parametrize("kind, height, said", [
    ("sc", 14, "no picture is large enough.* 15 pixels"),
    ("sc", 60, "0 patches .* 768 atoms"),
    ("ksvd", 60, "0 patches .* 1024 atoms"),
    ("aplus", 30, "patches .* 2048 neighbours"),
    ("kk", 30, "patches .* 1000 centres"),
    ("gr", 60, "nothing is trained for 'gr'"),
])  # fmt: skip
def test_pictures_that_can_not_teach(tmp_path, kind, height, said):
    flat = {"flat": np.zeros((height, 40), np.uint8)}
    with pytest.raises(ValueError, match=said):
        trained.learn(kind, [flat], 3, out=tmp_path)
    with pytest.raises(ValueError, match="deep|gr"):
        trained.learn(kind, [{"deep": np.zeros((40, 40), np.uint16)}], 3, out=tmp_path)


def test_a_students_method_is_evaluated_as_all_others(tmp_path, monkeypatch, capsys):
    for table in (methods.LABELS, methods._MAKERS):
        monkeypatch.setitem(table, "nearest", None)  # taken out again at the end

    @methods.register("nearest", label="Nearest neighbour")
    def make(scale, model=None, device="auto"):
        return lambda lr_y, scale: lr_y.repeat(scale, 0).repeat(scale, 1)

    assert methods.LABELS["nearest"] == "Nearest neighbour"
    images.write(tmp_path / "a.png", datasets.load("demo-test")["coffee"][:60, :60])
    command = ["evaluate", "--method", "nearest", "--scale", "2", "--json", "-"]
    assert cli.main([*command, "--images", str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["method"] == "nearest" and found["mean"]["psnr_db"] > 15


def test_train_evaluate_upscale(tmp_path, monkeypatch, capsys, pictures):
    monkeypatch.setitem(zeyde.learn_ksvd.__kwdefaults__, "atoms", 64)
    monkeypatch.setitem(zeyde.ksvd.__kwdefaults__, "iterations", 2)
    folder, out, big = tmp_path / "pictures", tmp_path / "out", tmp_path / "big.png"
    folder.mkdir()
    for name, picture in pictures.items():
        images.write(folder / f"{name}.png", picture)
    file = out / "ksvd_x2.safetensors"

    def run(command, *rest):
        assert cli.main([*command.split(), *map(str, rest)]) == 0
        return capsys.readouterr().out

    said = run("train --method ksvd --scale 2 --images", folder, "--out", out)
    assert str(file) in said and file.is_file()
    said = run("evaluate --method ne-nnls --scale 2 --json - --model", file,
               "--images", folder)  # fmt: skip
    assert json.loads(said)["method"] == "ne-nnls"
    run("upscale --method gr --scale 3 --device cpu", *[*folder.iterdir()][:1], big)
    assert images.read(big).shape == (360, 420, 3)
