"""The command line: what it writes, and one line for every mistake.

Most commands run in this process.  Where the exit status of a process, a
traceback or Ctrl-C matter, they run as ``python -m srcnn_lib``.
"""

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from srcnn_lib import checkpoints, cli, datasets, images, methods, protocol, results
from srcnn_lib.models import SRCNN, initialise
from srcnn_lib.recipes import Config

ROOT = Path(__file__).parent.parent
COMMANDS = ["upscale", "evaluate", "train", "results", "data", "export"]
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
    return subprocess.Popen(
        [sys.executable, "-m", "srcnn_lib", *map(str, argv)], cwd=cwd, text=True,
        env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


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


@pytest.fixture(scope="module")
def photograph():
    """RGB (40, 50, 3)."""
    return datasets.load("demo-test")["chelsea"][100:140, 150:200]


def one_line(result, *said):
    """Wrong input: exit status 2, one line on standard error that says so."""
    status, _, stderr = result
    assert status == 2
    assert stderr.endswith("\n") and stderr.count("\n") == 1, stderr
    assert stderr.startswith("srcnn") and "Errno" not in stderr
    for text in said:
        assert str(text) in stderr


# upscale -------------------------------------------------------------------


@pytest.mark.parametrize("method", ["bicubic", "srcnn"])
def test_upscale_every_kind_of_picture(tmp_path, photograph, model, srcnn, method):
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
    options, weights = ["--scale", 3, "--method", method], None
    if method == "srcnn":
        options, weights = [*options, "--model", model], str(model)
    call = methods.get(method, model=weights, scale=3, device="cpu")
    for name, (mode, suffix) in kinds.items():
        target = tmp_path / f"{name}_big{suffix}"
        command = ["upscale", tmp_path / name, target, *options, "--device", "cpu"]
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
    blob = (here / "in.png").read_bytes()
    (here / "cut.png").write_bytes(blob[: len(blob) // 2])
    # Pillow and tifffile log what is wrong with this one: not beside our one line.
    (here / "cut.tif").write_bytes((here / "deep.tif").read_bytes()[:60])
    (here / "folder.png").mkdir()
    return here


@pytest.mark.parametrize(
    "source, target, said",
    [
        ("cut.png", "old.png", ["cut.png", "damaged"]),
        ("text.png", "out.png", ["text.png", "not a picture"]),
        ("folder.png", "out.png", ["folder.png", "is a folder"]),
        (".", "out.png", ["is a folder", "out.png"]),
        (".", ".", ["is a folder"]),
        ("none.png", "out.png", ["none.png", "no such file"]),
        ("in.png", "none/out.png", ["none/out.png", "no folder"]),
        ("in.png", "folder.png", ["folder.png", "is a folder"]),
        ("in.png", "in.png", ["in.png: is the picture itself"]),
        ("in.png", "out.xyz --model 9-9-9", ["out.xyz", ".png"]),  # said first
        ("rgba.png", "old.bmp", ["old.bmp", "transparency"]),
        ("deep.tif", "out.png", ["out.png", ".tif"]),
        (".", "out --model 9-9-9", ["9-9-9"]),
    ],
)
def test_upscale_of_unfit_files(folder, model, srcnn, source, target, said):
    before = listing(folder.parent)
    target, *options = target.split()
    command = ["upscale", folder / source, folder / target, "--scale", 3]
    one_line(srcnn(*command, *(options or ["--model", model])), *said)
    assert listing(folder.parent) == before


def test_upscale_of_a_folder(folder, model, tmp_path, srcnn):
    """What is good is enlarged, each failure is a line, nothing is left over."""
    (folder / "notes.txt").write_text("hello")
    before, out = listing(folder), tmp_path / "new" / "large"
    command = ("upscale", folder, out, "--scale", 3, "--model", model)
    status, stdout, stderr = srcnn(*command)
    assert status == 2
    good, bad = ["deep.tif", "in.png", "old.png", "rgba.png"], ["cut.png", "cut.tif"]
    assert sorted(path.name for path in out.iterdir()) == good
    lines = stderr.splitlines()
    assert len(lines) == 3
    for name, line in zip([*bad, "text.png"], lines):
        assert line.startswith("srcnn upscale: ") and line.count(name) == 1
    assert f"4 of 7 pictures enlarged into {out}" in stdout
    assert "notes.txt" in stdout and "folder.png" not in stdout
    assert listing(folder) == before


# Options ---------------------------------------------------------------------


@pytest.mark.parametrize("scale", ["0", "1", "2.5", "9", "-1", "x", "", "nan"])
@pytest.mark.parametrize("command", ["upscale IN OUT", "evaluate --images IN", "train"])
def test_scales_that_are_not(srcnn, command, scale):
    one_line(srcnn(*command.split(), "--scale", scale), "--scale")


@pytest.mark.parametrize(
    "options, said",
    [
        (["--method", "bicubic"], ["--scale", "--help"]),
        (["--scale", "3", "--method", "magic"], ["magic", "bicubic", "srcnn"]),
        (["--scale", "3", "--model", "9-9-9"], ["9-9-9", "official/9-1-5-91"]),
        (["--scale", "2", "--model", "MODEL"], ["m.safetensors", "for x3, not x2"]),
        (["--scale", "3", "--model", "TEXT"], ["t.safetensors", "not weights"]),
        (["--scale", "3", "--model", "RGB"], ["3 channels"]),
        (["--scale", "3", "--model", "MODEL", "--method", "bicubic"], ["--model"]),
        (["--scale", "3", "--model", "MODEL", "--device", "tpu"], ["--device", "cuda"]),
        (["--scale", "3", "--modle", "MODEL"], ["--modle"]),
    ],
)
def test_unfit_options(folder, small_set, model, tmp_path, srcnn, options, said):
    (tmp_path / "t.safetensors").write_text("hello")
    names = {"MODEL": model, "TEXT": tmp_path / "t.safetensors"}
    names["RGB"] = write_model(tmp_path / "rgb.safetensors", channels=3)
    before = listing(folder)
    options = [names.get(option, option) for option in options]
    one_line(srcnn("upscale", folder / "in.png", folder / "o.png", *options), *said)
    one_line(srcnn("evaluate", "--images", small_set, *options), *said)
    assert listing(folder) == before


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(srcnn, command):
    status, stdout, stderr = srcnn(command, "--help")
    assert (status, stderr) == (0, "")
    assert f"Example: srcnn {command} " in " ".join(stdout.split())
    if command == "train":
        for field in dataclasses.fields(Config):
            assert "--" + field.name.replace("_", "-") + " " in stdout + " "
    else:
        one_line(srcnn(command), "--help")


# Devices and processes ---------------------------------------------------------


def test_a_driver_too_old_for_the_gpu_is_said(folder, model, srcnn, monkeypatch):
    """Else `auto` would take the CPU without a word; and `cuda` is refused."""

    def no_gpu():
        warnings.warn("CUDA initialization:\nthe driver is too old", stacklevel=1)
        return False

    monkeypatch.setattr(torch.cuda, "is_available", no_gpu)
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
        several = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}
        several |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        command = ["train", "--images", school, "--out", tmp_path / "runs"]
        status, _, stderr = end(begin(*command, "--device", "cpu", **several))
    assert status == 2 and "srcnn train: " in stderr and port in stderr


# evaluate ------------------------------------------------------------------


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
        assert list(row) == ["name", "psnr_db", "ssim", "seconds"]
        assert (*row.values(),)[:3] == score[:3] and row["seconds"] >= 0
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


@pytest.mark.parametrize(
    "options, said",
    [
        ([], ["--images"]),
        (["--images", "none"], ["none"]),
        (["--images", "cut"], ["cut.png", "damaged"]),
        (["--images", "tiny"], ["tiny", "too small"]),
        (["--images", "deep"], ["deep", "uint8"]),
        (["--images", "mine", "--luma", "v"], ["--luma", "gray"]),
        (["--images", "mine", "--json", "mine"], ["mine", "can't be written"]),
    ],
)
def test_unfit_things_to_evaluate(
    small_set, folder, srcnn, monkeypatch, photograph, options, said
):
    monkeypatch.chdir(small_set.parent)
    for name in ("cut", "tiny", "deep"):
        Path(name).mkdir()
    (folder / "cut.png").rename("cut/cut.png")
    (folder / "deep.tif").rename("deep/deep.tif")
    images.write("tiny/tiny.png", photograph[:12, :12])
    before = listing(small_set.parent)
    one_line(srcnn("evaluate", "--method", "bicubic", "--scale", 3, *options), *said)
    assert listing(small_set.parent) == before


# train ---------------------------------------------------------------------

TRAIN = ["train", "--arch", "3-1-3_4-4", "--device", "cpu", "--size", 21]
NAMES = ["3-1-3_4-4_x3.json", "3-1-3_4-4_x3.safetensors"]


def test_train_writes_weights_that_others_go_on_with(school, tmp_path, folder, srcnn):
    """Of subfolders; a bad picture is named; nothing is overwritten unasked."""
    files, out = sorted(school.iterdir()), tmp_path / "runs" / "first"
    for parent, part in (("a", files[:5]), ("b", files[5:])):
        (tmp_path / parent / "x" / "y").mkdir(parents=True)
        for k, file in enumerate(part):
            file.rename(tmp_path / parent / "x" / "y" / f"{k}.png")
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


@pytest.mark.parametrize(
    "options, said",
    [
        ("--arch 9-2-5", ["odd"]),
        ("--arch nine", ["9-1-5", "nine"]),
        ("--steps 0", ["steps", "at least 1"]),
        ("--batch 1.5", ["--batch", "1.5"]),
        ("--seed 99999999999", ["seed", "99999999999"]),
        ("--preset slow", ["--preset", "quick"]),
        ("--optimiser rmsprop", ["--optimiser", "muon", "sgd"]),
        ("--learning-rate -1", ["learning_rate", "above 0", "-1"]),
        ("--images none", ["none"]),
        ("--images Set5", ["srcnn data fetch Set5"]),
        ("--images cut", ["cut.png", "damaged"]),
        ("--out file", ["file"]),
        ("--method ksvd --steps 9", ["--steps", "ksvd"]),
        ("--method bicubic", ["bicubic"]),
    ],
)
def test_unfit_training(school, folder, srcnn, monkeypatch, options, said):
    monkeypatch.chdir(folder.parent)
    Path("cut").mkdir()
    (folder / "cut.png").rename("cut/cut.png")
    Path("file").write_text("mine")
    pictures = [] if "--images" in options else ["--images", school]
    one_line(srcnn("train", "--out", "runs", *pictures, *options.split()), *said)
    assert Path("file").read_text() == "mine" and not list(Path().glob("runs/*.*"))


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


# results, data, export -------------------------------------------------------


def test_results_record_and_verify(tmp_path, monkeypatch, small_set, register, srcnn):
    """Results and weights in a folder of their own, of a set of two pictures."""
    register(small_set)
    monkeypatch.setenv("SRCNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SRCNN_OFFLINE", "1")
    monkeypatch.setattr(results, "results_folder", lambda: tmp_path / "results")
    monkeypatch.setattr(checkpoints, "folder", lambda: tmp_path / "checkpoints")
    write_model(tmp_path / "checkpoints" / "small_x3.safetensors")
    options = ["--dataset", "Small", "--scale", 3]
    for more in (["--method", "bicubic"], ["--model", "small"]):
        assert srcnn("results", "record", *options, *more)[0] == 0
    one_line(srcnn("results", "record", *options, "--model", "9-9-9"), "9-9-9")

    def verified(*more):
        status, stdout, stderr = srcnn("results", "verify", "--device", "cpu", *more)
        assert stderr == ""
        return status, *stdout.splitlines()[::-1]

    assert verified()[:2] == (0, "3 equal, 0 differs, 0 not here")
    row = results.recorded("srcnn", "Small", 3, model="small")
    row["mean"]["psnr_db"] += 0.01
    results.record(row)
    status, last, line, *_ = verified("--dataset", "Small")
    assert (status, last) == (1, "2 equal, 1 differs, 0 not here")
    assert line.startswith("differs   small x3 Small") and "psnr_db" in line
    next(small_set.iterdir()).unlink()
    assert verified()[:2] == (0, "1 equal, 0 differs, 2 not here")
    one_line(srcnn("results", "verify", "--dataset", "Set9"), "Set9")


def test_data_status_shows_every_licence(srcnn):
    status, stdout, stderr = srcnn("data", "status")
    assert (status, stderr) == (0, "")
    lines = stdout.splitlines()
    for name, entry in datasets.registry().items():
        head, _, licence, *lines = lines
        assert head.split()[0] == name and f"/{len(entry['files'])} files" in head
        assert licence.strip() == f"licence: {entry['licence']}" != "licence: "
    assert lines == []
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
