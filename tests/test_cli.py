"""The command line: what it writes, and one line for every mistake.

Where a process's exit status, a traceback or Ctrl-C matter, it runs in its own process.
"""

import dataclasses
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from srcnn_lib import checkpoints, cli, datasets, images, methods, protocol, results
from srcnn_lib.models import SRCNN, initialise
from srcnn_lib.recipes import Config

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def srcnn(capsys):
    """Run a command: (exit status, standard output, standard error)."""

    def run(*argv):
        capsys.readouterr()
        try:
            status = cli.main([str(a) for a in argv])
        except SystemExit as e:
            status = e.code
        return status, *capsys.readouterr()

    return run


def begin(*argv, cwd=None, **environment):
    """The same in a process of its own, with standard output buffered as usual."""
    environment |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "srcnn_lib", *map(str, argv)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=cwd, env=os.environ | environment, **pipes)


def end(child):
    stdout, stderr = child.communicate(timeout=120)
    return child.returncode, stdout, stderr


def listing(folder):
    """Everything below a folder with its content."""
    return {p: p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


def write_model(path, scale=3, channels=1):
    """Weights that change pictures."""
    model = SRCNN((5, 1, 3), (4, 3), channels)
    initialise(model, "default", torch.Generator().manual_seed(0))
    return checkpoints.write(model, path, {"scale": scale})


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "m.safetensors")


@pytest.fixture
def photograph():
    """RGB (40, 50, 3)."""
    return datasets.load("demo-test")["chelsea"][100:140, 150:200]


def one_line(result, *said):
    """Wrong input: exit status 2, one line on standard error that says so."""
    status, _, stderr = result
    assert (status, stderr.find("\n")) == (2, len(stderr) - 1), stderr
    assert stderr.startswith("srcnn") and "Errno" not in stderr
    assert all(str(text) in stderr for text in said), stderr


def test_upscale_every_kind_of_picture(tmp_path, photograph, model, srcnn):
    colour, deep = Image.fromarray(photograph), photograph.astype(np.uint16) * 257
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    colour.save(tmp_path / "turned.jpg", exif=exif, icc_profile=profile)
    colour.quantize(32).save(tmp_path / "clear.png", transparency=3)
    colour.convert("1").save(tmp_path / "bilevel.png")
    colour.convert("LA").save(tmp_path / "grey_alpha.png")
    images.write(tmp_path / "deep.tif", deep + np.uint16([0, 1, 2]))
    images.write(tmp_path / "grey.png", deep[..., 0])
    kinds = {"turned.jpg": ("RGB", ".png"), "clear.png": ("RGBA", ".png"),
             "bilevel.png": ("L", ".bmp"), "grey_alpha.png": ("RGBA", ".tif"),
             "deep.tif": ("RGB", ".tif"), "grey.png": ("I;16", ".png")}  # fmt: skip
    call = methods.get("srcnn", model=str(model), scale=3, device="cpu")
    options = ["--scale", 3, "--model", model, "--device", "cpu"]
    for name, (mode, suffix) in kinds.items():
        target = tmp_path / f"{name}_big{suffix}"
        command = ["upscale", tmp_path / name, target, *options]
        status, stdout, stderr = srcnn(*command)
        assert (status, stderr) == (0, ""), name
        width, height = (120, 150) if name == "turned.jpg" else (150, 120)
        assert f"{width}×{height} pixels" in stdout and str(target) in stdout
        with Image.open(target) as opened:
            assert (opened.size, opened.mode) == ((width, height), mode), name
            assert opened.getexif().get(0x0112, 1) == 1
            assert (opened.info.get("icc_profile") == profile) == ("jpg" in name)
        expected = methods.upscale(call, images.read(tmp_path / name), 3)
        assert np.array_equal(images.read(target), expected), name
    assert "replaces" not in stdout and "replaces" in srcnn(*command)[1]


@pytest.fixture
def folder(tmp_path, photograph):
    """Pictures, what looks like pictures, and an older result."""
    here = tmp_path / "here"
    here.mkdir()
    images.write(here / "in.png", photograph)
    images.write(here / "rgba.png", np.dstack([photograph, photograph[..., 0]]))
    images.write(here / "deep.tif", photograph.astype(np.uint16) * 257)
    images.write(here / "old.png", photograph)
    (here / "text.png").write_text("hello")
    (here / "cut.png").write_bytes((here / "in.png").read_bytes()[:900])
    # Pillow and tifffile log what is wrong with this one: not beside our one line.
    (here / "cut.tif").write_bytes((here / "deep.tif").read_bytes()[:60])
    (here / "folder.png").mkdir()
    return here


def test_upscale_of_a_folder(folder, model, tmp_path, srcnn):
    """What is good is enlarged, each failure is a line, nothing is left over."""
    (folder / "notes.txt").write_text("hello")
    before, out = listing(folder), tmp_path / "new" / "large"
    command = ("upscale", folder, out, "--scale", 3, "--model", model)
    status, stdout, stderr = srcnn(*command)
    assert status == 2
    good, bad = ["deep.tif", "in.png", "old.png", "rgba.png"], ["cut.png", "cut.tif"]
    assert sorted(path.name for path in out.iterdir()) == good
    for name, line in zip([*bad, "text.png"], stderr.splitlines(), strict=True):
        assert line.startswith("srcnn upscale: ") and line.count(name) == 1
    assert f"4 of 7 pictures enlarged into {out}" in stdout
    assert "notes.txt" in stdout and "folder.png" not in stdout
    assert listing(folder) == before


def test_upscale_keeps_subfolders_and_goes_on(tmp_path, photograph, srcnn):
    here, out = tmp_path / "in", tmp_path / "in" / "out"  # results inside are no input
    (here / "sub").mkdir(parents=True)
    for name in ("a.png", "sub/a.png", "sub/b.jpg"):
        images.write(here / name, photograph)
    command = ["upscale", here, out, "--scale", 2, "--method", "bicubic"]
    more = ["--format", "webp", "--suffix", "_x2", "--quality", 50]
    assert srcnn(*command, *more)[0] == 0
    names = ["a_x2.webp", "sub/a_x2.webp", "sub/b_x2.webp"]
    found = sorted(p.relative_to(out).as_posix() for p in out.rglob("*.*"))
    assert found == names
    (out / names[0]).unlink()
    before = (out / names[1]).stat().st_mtime_ns
    status, stdout, _ = srcnn(*command, *more, "--skip-existing")
    assert status == 0 and "2 of 3 were there already" in stdout
    assert (out / names[0]).exists() and (out / names[1]).stat().st_mtime_ns == before
    images.write(here / "sub" / "b.png", photograph)
    one_line(srcnn(*command, *more), "b.png", "b.jpg", "would both become")


def test_evaluate_goes_on_after_a_bad_picture(small_set, tmp_path, srcnn):
    (small_set / "bad.png").write_text("hello")
    images.write(small_set / "deep.png", np.zeros((60, 60), np.uint16))
    images.write(small_set / os.fsdecode(b"caf\xe9.png"), np.zeros((60, 60), np.uint8))
    file = tmp_path / "x.json"
    command = ["evaluate", "--method", "bicubic", "--scale", 3, "--images", small_set]
    status, stdout, stderr = srcnn(*command, "--json", file)
    assert status == 2 and "mean" in stdout
    assert "bad.png" in stderr and "deep" in stderr
    content = json.loads(file.read_text("utf-8"))
    names = [row["name"] for row in content["images"]]
    assert sorted(names) == sorted([os.fsdecode(b"caf\xe9"), "coffee", "monarch"])
    assert content["mean"]["ssim"] > 0


#: Commands, and what their one line on standard error says; * is any of `ANY`.
WRONG = """
upscale here/cut.png here/old.png --scale 3 → cut.png, damaged
upscale here/text.png out.png --scale 3 → text.png, not a picture
upscale here/folder.png out.png --scale 3 → folder.png, is a folder
upscale here out.png --scale 3 → is a folder, out.png
upscale here here --scale 3 → is a folder
upscale none.png out.png --scale 3 → none.png, no such file
upscale here/in.png none/out.png --scale 3 → none/out.png, no folder
upscale here/in.png here/folder.png --scale 3 → folder.png, is a folder
upscale here/in.png here/in.png --scale 3 → in.png: is the picture itself
upscale here/in.png out.xyz --scale 3 --model 9-9-9 → out.xyz, .png
upscale here/rgba.png here/old.bmp --scale 3 → old.bmp, transparency
upscale here/deep.tif out.png --scale 3 → out.png, .tif
upscale here out --scale 3 --model 9-9-9 → 9-9-9
* --method bicubic → --scale, --help
* --scale 3 --method magic → magic, bicubic, srcnn
* --scale 3 --model 9-9-9 → 9-9-9, official/9-1-5-91
* --scale 2 --model m.safetensors → m.safetensors, for x3, not x2
* --scale 3 --model t.safetensors → t.safetensors, not weights
* --scale 3 --model rgb.safetensors → 3 channels
* --scale 3 --model m.safetensors --method bicubic → --model
* --scale 3 --model m.safetensors --device tpu → --device, cuda
* --scale 3 --modle m.safetensors → --modle
evaluate --method bicubic --scale 3 → --images
evaluate --method bicubic --scale 3 --images none → none
evaluate --method bicubic --scale 3 --images cut → cut.png, damaged
evaluate --method bicubic --scale 3 --images tiny → tiny, too small
evaluate --method bicubic --scale 3 --images deep → deep, uint8
evaluate --method bicubic --scale 3 --images mine --luma v → --luma, gray
evaluate --method bicubic --scale 3 --images mine --json mine → mine, can't be written
train --images school --arch 9-2-5 → odd
train --images school --arch nine → 9-1-5, nine
train --images school --steps 0 → steps, at least 1
train --images school --batch 1.5 → --batch, 1.5
train --images school --seed 99999999999 → seed, 99999999999
train --images school --preset slow → --preset, quick
train --images school --optimiser rmsprop → --optimiser, muon, sgd
train --images school --learning-rate -1 → learning_rate, above 0, -1
train --images none → none
train --images Set5 → srcnn data fetch Set5
train --images cut --out here → cut.png, damaged
train --images school --out t.safetensors → t.safetensors
train --images school --method ksvd --steps 9 → --steps, ksvd
train --images school --method bicubic → bicubic
"""
ANY = ("upscale here/in.png o.png", "evaluate --images mine")


@pytest.mark.usefixtures("school", "folder", "small_set")
@pytest.mark.parametrize("line", WRONG.strip().splitlines())
def test_wrong_input_is_one_line_and_changes_nothing(
    tmp_path, photograph, srcnn, monkeypatch, line
):
    monkeypatch.chdir(tmp_path)
    write_model(Path("m.safetensors"))
    write_model(Path("rgb.safetensors"), channels=3)
    Path("t.safetensors").write_text("hello")
    images.write("here/tiny.png", photograph[:12, :12])
    for name in ("cut.png", "tiny.png", "deep.tif"):
        Path(name).with_suffix("").mkdir()
        shutil.copy(f"here/{name}", Path(name).with_suffix(""))
    before, (command, said) = listing(tmp_path), line.split(" → ")
    for start in ANY if "*" in command else ["*"]:
        words = command.replace("*", start).split()
        one_line(srcnn(*words), *said.split(", "))
    assert listing(tmp_path) == before


def test_every_command_has_help_with_an_example(srcnn):
    for command in ("upscale", "evaluate", "results", "data", "export", "train"):
        status, stdout, stderr = srcnn(command, "--help")
        assert (status, stderr) == (0, "")
        assert f"Example: srcnn {command} " in " ".join(stdout.split())
        if command != "train":
            one_line(srcnn(command), "--help")
    for field in dataclasses.fields(Config):
        assert "--" + field.name.replace("_", "-") in stdout


def test_a_driver_too_old_for_the_gpu_is_said(folder, model, srcnn, monkeypatch):
    """Else `auto` would take the CPU without a word; and `cuda` is refused."""

    told = "CUDA initialization:\nthe driver is too old"
    warn = partial(warnings.warn, told, stacklevel=2)  # returns None: there is no GPU
    monkeypatch.setattr(torch.cuda, "is_available", warn)
    command = ["upscale", folder / "in.png", folder / "o.png", "--scale", 3]
    status, _, stderr = srcnn(*command, "--model", model)
    assert (status, stderr.count("\n")) == (0, 1) and "driver is too old" in stderr
    status, _, stderr = srcnn(*command, "--model", model, "--device", "cuda")
    assert status == 2 and "--device cpu" in stderr


def test_processes(folder, model):
    """Success, a damaged picture, and a reader that goes away."""
    options = ["out.png", "--scale", "3", "--model", model]
    status, stdout, stderr = end(begin("upscale", "in.png", *options, cwd=folder))
    assert (status, stderr) == (0, "") and "150×120" in stdout
    one_line(end(begin("upscale", "cut.tif", *options, cwd=folder)), "cut.tif")
    with begin("data", "status") as child:
        child.stdout.close()
        assert child.stderr.read() == ""
    assert child.returncode == 0


def test_an_error_of_a_process_of_torchrun_is_shown(school, tmp_path):
    """Here the port is taken."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        several = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0",
                   "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}  # fmt: skip
        command = ["train", "--images", school, "--out", tmp_path / "runs"]
        status, _, stderr = end(begin(*command, "--device", "cpu", **several))
    assert status == 2 and "srcnn train: " in stderr and port in stderr


@pytest.fixture
def small_set(tmp_path):
    """A folder of two pictures of 60×70 pixels."""
    here = tmp_path / "mine"
    here.mkdir()
    photographs = datasets.load("demo-test")
    for name in ("coffee", "monarch"):
        images.write(here / f"{name}.png", photographs[name][100:160, 200:270])
    return here


@pytest.mark.parametrize("method, luma", [("bicubic", "gray"), ("srcnn", "y")])
def test_evaluate_writes_the_numbers(small_set, tmp_path, model, srcnn, method, luma):
    weights = str(model) if method == "srcnn" else None
    command = ["evaluate", "--method", method, "--scale", 3, "--images", small_set]
    command += ["--luma", luma] + (["--model", weights] if weights else [])
    status, stdout, stderr = srcnn(*command, "--json", "-")
    assert (status, stderr) == (0, "")
    content = json.loads(stdout)  # nothing else is there
    call = methods.get(method, model=weights, scale=3, device="cpu")
    pictures = datasets.from_folder(small_set)
    scores = protocol.evaluate(call, pictures, 3, kind=luma)
    for row, score in zip(content.pop("images"), scores, strict=True):
        assert row.pop("seconds") >= 0
        assert list(row.items()) == list(score._asdict().items())[:3]
    mean = dict(zip(("psnr_db", "ssim"), protocol.mean(scores)))
    about = {"method": method, "model": weights, "scale": 3, "luma": luma}
    assert content == about | {"mean": mean}
    file = tmp_path / "numbers.json"
    status, stdout, stderr = srcnn(*command, "--json", file)
    assert (status, stderr) == (0, "")
    lines = stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["coffee", "monarch", "mean"]
    assert f"{mean['psnr_db']:.2f} dB" in lines[2] and f"{mean['ssim']:.4f}" in lines[2]
    assert json.loads(file.read_text("utf-8"))["mean"] == mean


TRAIN = ["train", "--arch", "3-1-3_4-4", "--device", "cpu", "--size", 21]
NAMES = ["3-1-3_4-4_x3.json", "3-1-3_4-4_x3.safetensors"]


def test_train_writes_weights_that_others_go_on_with(school, tmp_path, folder, srcnn):
    """Of subfolders; a bad picture is named; nothing is overwritten unasked."""
    out = tmp_path / "runs" / "first"
    for k, file in enumerate(sorted(school.iterdir())):
        here = tmp_path / ("a" if k < 5 else "b") / "x" / "y"
        here.mkdir(parents=True, exist_ok=True)
        file.rename(here / f"{k % 5}.png")
    (folder / "rgba.png").rename(tmp_path / "a" / "x" / "rgba.png")
    command = [*TRAIN, "--images", tmp_path / "a/x", tmp_path / "b/x", "--steps", 20]
    status, stdout, stderr = srcnn(*command, "--seed", 5, "--out", out)
    assert status == 0 and "20/20" in stderr
    assert stderr.count("rgba: ") == 1 and "left out" in stderr
    assert sorted(p.name for p in out.iterdir()) == NAMES
    weights = out / NAMES[1]
    assert str(weights) in stdout and "over bicubic" in stdout
    card = json.loads((out / NAMES[0]).read_text("utf-8"))
    assert card["config"]["steps"] == 20 and card["config"]["seed"] == 5
    assert card["training_images"].endswith("(9)") and len(card["skipped"]) == 1
    upscale = ["upscale", folder / "in.png", folder / "out.png", "--scale", 3]
    assert srcnn(*upscale, "--model", weights)[0] == 0

    before = weights.read_bytes()
    for more in ([], ["--resume"]):
        one_line(srcnn(*command, "--out", out, *more), weights, "--overwrite")
    assert weights.read_bytes() == before
    assert srcnn(*command, "--out", out, "--overwrite")[0] == 0
    assert weights.read_bytes() != before  # another seed
    assert srcnn(*command, "--out", out / "b", "--init", weights)[0] == 0
    assert json.loads((out / "b" / NAMES[0]).read_text("utf-8"))["began_with"]


def test_train_without_t91_says_so_and_takes_the_demo(school, tmp_path, srcnn):
    status, _, stderr = srcnn(*TRAIN, "--steps", 1, "--out", tmp_path / "runs")
    assert status == 0 and "T91 is not here" in stderr and "demo-train" in stderr


def test_ctrl_c_says_how_to_go_on_and_resume_does(school, tmp_path, srcnn):
    command = [*TRAIN, "--images", school, "--steps", 400]
    out = tmp_path / "stopped"
    child, shown = begin(*command, "--out", out), ""
    while "0/400" not in shown and (character := child.stderr.read(1)):
        shown += character
    child.send_signal(signal.SIGINT)
    status, stdout, rest = end(child)
    assert (status, stdout) == (130, "") and "Traceback" not in rest
    assert "--resume" in rest.splitlines()[-1]
    assert [p.name for p in out.iterdir()] == ["3-1-3_4-4_x3.state"]
    one_line(srcnn(*command, "--seed", 1, "--out", out, "--resume"), "another recipe")
    assert srcnn(*command, "--out", out, "--resume")[0] == 0
    assert sorted(p.name for p in out.iterdir()) == NAMES


def test_results_record_and_verify(tmp_path, monkeypatch, small_set, register, srcnn):
    """Results and weights in a folder of their own, of a set of two pictures."""
    register(small_set)
    monkeypatch.setattr(results, "results_folder", lambda: tmp_path / "results")
    monkeypatch.setattr(checkpoints, "folder", lambda: tmp_path / "checkpoints")
    write_model(tmp_path / "checkpoints" / "small_x3.safetensors")
    record = ["results", "record", "--dataset", "Small", "--scale", 3]
    for more in (["--method", "bicubic"], ["--model", "small"]):
        assert srcnn(*record, *more)[0] == 0
    one_line(srcnn(*record, "--model", "9-9-9"), "9-9-9")
    verify = ["results", "verify", "--device", "cpu"]
    status, stdout, stderr = srcnn(*verify)
    assert (status, stderr) == (0, "")
    assert stdout.endswith("\n3 equal, 0 differs, 0 not here\n")
    row = results.recorded("srcnn", "Small", 3, model="small")
    row["mean"]["psnr_db"] += 0.01
    results.record(row)
    status, stdout, _ = srcnn(*verify, "--dataset", "Small")
    assert status == 1 and stdout.endswith("\n2 equal, 1 differs, 0 not here\n")
    assert "\ndiffers   small x3 Small: mean: psnr_db" in stdout
    one_line(srcnn(*verify, "--dataset", "Set9"), "Set9")


def test_data_status_shows_every_licence(srcnn):
    status, stdout, stderr = srcnn("data", "status")
    assert (status, stderr) == (0, "")
    lines, sets = stdout.splitlines(), datasets.registry().items()
    for (name, entry), head, licence in zip(sets, lines[::3], lines[2::3], strict=True):
        assert head.split()[0] == name and f"/{len(entry['files'])} files" in head
        assert licence.strip() == f"licence: {entry['licence']}" != "licence: "
    status, stdout, _ = srcnn("data", "status", "T91", "demo-test")
    assert status == 0 and len(stdout.splitlines()) == 6
    one_line(srcnn("data", "status", "Set6"), "Set6", "Set5")


def test_export(model, tmp_path, srcnn):
    onnx = pytest.importorskip("onnx", reason="needs the package onnx")
    target, command = tmp_path / "m.onnx", ["export", "--model", model, "--onnx"]
    assert srcnn(*command, target) == (0, f"{target}\n", "")
    onnx.checker.check_model(str(target))
    one_line(srcnn(*command, tmp_path), tmp_path, "can't be written")
    one_line(srcnn(*command, target, "--scale", 2), "for x3, not x2")


@pytest.mark.parametrize("method", ["bicubic", "srcnn"])
def test_pictures_of_the_readme_are_made_by_its_commands(srcnn, tmp_path, method):
    folder, made = ROOT / "book/_static/astronaut", tmp_path / "made.png"
    command = ("upscale", folder / "small.png", made, "--scale", 3, "--method", method)
    assert srcnn(*command, "--device", "cpu")[0] == 0
    assert np.ptp(images.read(made) / 1.0 - images.read(folder / f"{method}.png")) <= 2
