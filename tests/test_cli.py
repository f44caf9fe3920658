"""The command line: what it writes, and one line for every mistake.

Most commands run in this process.  Where the exit status of a process, a
traceback or Ctrl-C matter, they run as ``python -m srcnn_lib``.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from safetensors.torch import load_file

from srcnn_lib import checkpoints, cli, datasets, images, methods, protocol, results
from srcnn_lib.models import SRCNN, initialise

ROOT = Path(__file__).parent.parent
PROGRAM = [sys.executable, "-m", "srcnn_lib"]

pytestmark = pytest.mark.usefixtures("one_thread")

needs_official = pytest.mark.skipif(
    not (datasets.available("srcnn-official") and datasets.available("Set5")),
    reason="needs srcnn-official and Set5: srcnn data fetch",
)


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


def environment():
    """Of a process: standard output is buffered, as usual."""
    more = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": ""}
    return os.environ | more


def process(*argv, cwd):
    """The same in a process of its own."""
    done = subprocess.run(
        [*PROGRAM, *map(str, argv)],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


def listing(folder):
    """Everything below a folder with its content."""
    return {
        p.relative_to(folder): p.read_bytes() if p.is_file() else None
        for p in folder.rglob("*")
    }


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


def saved_kinds(photograph, folder):
    """File name → (the picture saved so, the mode of the result)."""
    grey, deep = photograph[..., 1], photograph[..., 1].astype(np.uint16) * 257
    rgba = np.dstack([photograph, np.arange(2000).reshape(40, 50) % 256])
    rgba = rgba.astype(np.uint8)
    colour = Image.fromarray(photograph)
    colour.save(folder / "colour.jpg", quality=95)
    images.write(folder / "grey.png", grey)
    colour.quantize(32).save(folder / "palette.png")
    colour.quantize(32).save(folder / "clear.png", transparency=3)
    colour.convert("1").save(folder / "bilevel.png")
    images.write(folder / "deep.png", deep)
    images.write(folder / "deep.tif", np.dstack([deep] * 3) + np.uint16([0, 1, 2]))
    images.write(folder / "alpha.png", rgba)
    Image.fromarray(rgba).convert("LA").save(folder / "grey_alpha.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    colour.save(folder / "turned.jpg", exif=exif, quality=95)
    return {
        "colour.jpg": ("RGB", ".png"),
        "grey.png": ("L", ".png"),
        "palette.png": ("RGB", ".png"),
        "clear.png": ("RGBA", ".png"),
        "bilevel.png": ("L", ".bmp"),
        "deep.png": ("I;16", ".png"),
        "deep.tif": ("RGB", ".tif"),
        "alpha.png": ("RGBA", ".png"),
        "grey_alpha.png": ("RGBA", ".tif"),
        "turned.jpg": ("RGB", ".jpg"),
    }


@pytest.mark.parametrize("method", ["bicubic", "srcnn"])
def test_upscale_every_kind_of_picture(tmp_path, photograph, model, srcnn, method):
    kinds = saved_kinds(photograph, tmp_path)
    options = ["--scale", 3, "--device", "cpu", "--method", method]
    options += ["--model", model] if method == "srcnn" else []
    weights = str(model) if method == "srcnn" else None
    call = methods.get(method, model=weights, scale=3, device="cpu")
    for name, (mode, suffix) in kinds.items():
        target = tmp_path / f"{name}_big{suffix}"
        status, stdout, stderr = srcnn("upscale", tmp_path / name, target, *options)
        assert (status, stderr) == (0, ""), name
        upright = name == "turned.jpg"
        width, height = (120, 150) if upright else (150, 120)
        assert f"{width}×{height} pixels" in stdout and str(target) in stdout
        with Image.open(target) as opened:
            assert opened.size == (width, height)
            assert opened.mode == mode, name
            assert opened.getexif().get(0x0112, 1) == 1
        out = images.read(target)
        expected = methods.upscale(call, images.read(tmp_path / name), 3)
        assert out.dtype == expected.dtype and out.shape == expected.shape
        if suffix == ".jpg":
            assert np.abs(out.astype(int) - expected).mean() < 3
        else:
            assert np.array_equal(out, expected), name


def test_upscale_keeps_alpha(tmp_path, photograph, model, srcnn):
    """A disc on glass: the same disc, three times as large."""
    y, x = np.mgrid[:40, :50] - np.array([20, 25])[:, None, None]
    disc = (x**2 + y**2 < 15**2).astype(np.uint8) * 255
    images.write(tmp_path / "in.png", np.dstack([photograph, disc]))
    out = tmp_path / "out.png"
    assert (
        srcnn("upscale", tmp_path / "in.png", out, "--scale", 3, "--model", model)[0]
        == 0
    )
    alpha = images.read(out)[..., 3]
    large = np.kron(disc, np.ones((3, 3)))
    away = np.abs(np.hypot(*(np.mgrid[:120, :150] - [[[60]], [[75]]])) - 45) > 9
    assert np.array_equal(alpha[away], large[away])


def test_upscale_turns_a_rotated_photograph_upright(tmp_path, srcnn):
    """Orientation 6: stored with its top at the right."""
    stored = np.zeros((20, 30, 3), dtype=np.uint8)
    stored[:, :10] = 255  # is the bottom when upright: rows are left to right
    exif = Image.Exif()
    exif[0x0112] = 8
    Image.fromarray(stored).save(tmp_path / "in.png", exif=exif)
    out = tmp_path / "out.png"
    options = ("--scale", 2, "--method", "bicubic")
    assert srcnn("upscale", tmp_path / "in.png", out, *options)[0] == 0
    upright = images.read(out)
    assert upright.shape == (60, 40, 3)
    assert (upright[44:] == 255).all() and (upright[:36] == 0).all()


@pytest.mark.parametrize("shape", [(5, 4), (4, 5, 3), (1, 1), (1, 9, 4)])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_upscale_pictures_smaller_than_the_receptive_field(
    tmp_path, srcnn, shape, scale
):
    model = write_model(tmp_path / "m.safetensors", scale)
    images.write(tmp_path / "in.png", np.full(shape, 90, dtype=np.uint8))
    out = tmp_path / "out.png"
    command = ("upscale", tmp_path / "in.png", out, "--scale", scale, "--model", model)
    assert srcnn(*command)[0] == 0
    assert images.read(out).shape == (shape[0] * scale, shape[1] * scale, *shape[2:])


@pytest.fixture
def folder(tmp_path, photograph):
    """Pictures, what looks like pictures, and an older result."""
    here = tmp_path / "here"
    here.mkdir()
    images.write(here / "in.png", photograph)
    images.write(here / "rgba.png", np.dstack([photograph, photograph[..., 0]]))
    deep = photograph.astype(np.uint16) * 257
    images.write(here / "deep.tif", deep)
    images.write(here / "old.png", photograph)
    (here / "text.png").write_text("hello")
    (here / "empty.jpg").write_bytes(b"")
    blob = (here / "in.png").read_bytes()
    (here / "cut.png").write_bytes(blob[: len(blob) // 2])
    Image.fromarray(photograph).save(here / "whole.jpg")
    blob = (here / "whole.jpg").read_bytes()
    (here / "cut.jpg").write_bytes(blob[: len(blob) // 2])
    (here / "folder.png").mkdir()
    return here


@pytest.mark.parametrize(
    "source, target, said",
    [
        ("cut.png", "out.png", ["cut.png", "damaged"]),
        ("cut.jpg", "out.png", ["cut.jpg", "damaged"]),
        ("cut.png", "old.png", ["cut.png", "damaged"]),
        ("text.png", "out.png", ["text.png", "not a picture", ".jpg"]),
        ("empty.jpg", "out.png", ["empty.jpg", "not a picture"]),
        ("folder.png", "out.png", ["folder.png", "is a folder; give one picture"]),
        (".", "out.png", ["is a folder; give one picture"]),
        ("none.png", "out.png", ["none.png", "no such file"]),
        ("in.png", "none/out.png", ["none/out.png", "there is no folder"]),
        ("in.png", "in.png/out.png", ["in.png/out.png", "there is no folder"]),
        ("in.png", "folder.png", ["folder.png", "is a folder; give a file name"]),
        ("in.png", "in.png", ["in.png: is the picture itself; give another name"]),
        ("in.png", "out.xyz", ["out.xyz", "end it in .png"]),
        ("in.png", "out", ["out", "end it in .png"]),
        ("rgba.png", "out.jpg", ["out.jpg", "transparency", "give .png"]),
        ("rgba.png", "old.bmp", ["old.bmp", "transparency", "give .png"]),
        ("deep.tif", "out.png", ["out.png", "16-bit", ".tif"]),
        ("deep.tif", "out.jpg", ["out.jpg", "8 bits", ".tif"]),
    ],
)
def test_upscale_of_unfit_files(folder, model, srcnn, source, target, said):
    before = listing(folder)
    command = ["upscale", folder / source, folder / target]
    one_line(srcnn(*command, "--scale", 3, "--model", model), *said)
    assert listing(folder) == before


def test_the_target_is_looked_at_before_the_work(folder, srcnn):
    """What can't be written is said before a network is even looked for."""
    command = ["upscale", folder / "in.png", folder / "out.xyz", "--scale", 3]
    one_line(srcnn(*command, "--model", "9-9-9"), "out.xyz")


def test_upscale_says_that_it_replaces_a_file(folder, srcnn):
    command = ["upscale", folder / "in.png", folder / "new.png", "--scale", 2]
    results = [srcnn(*command, "--method", "bicubic") for _ in range(2)]
    assert [status for status, _, _ in results] == [0, 0]
    assert ["replaces" in stdout for _, stdout, _ in results] == [False, True]


def test_upscale_keeps_the_colour_profile(tmp_path, photograph, srcnn):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    images.write(tmp_path / "in.jpg", photograph, profile)
    command = ["upscale", tmp_path / "in.jpg", tmp_path / "out.png", "--scale", 2]
    assert srcnn(*command, "--method", "bicubic")[0] == 0
    with Image.open(tmp_path / "out.png") as opened:
        assert opened.info["icc_profile"] == profile


def test_upscale_of_a_folder(folder, model, tmp_path, srcnn):
    """What is good is enlarged, each failure is a line, nothing is left over."""
    (folder / "notes.txt").write_text("hello")
    before = listing(folder)
    out = tmp_path / "new" / "large"
    command = ("upscale", folder, out, "--scale", 3, "--model", model)
    status, stdout, stderr = srcnn(*command, "--device", "cpu")
    assert status == 2
    good = ["deep.tif", "in.png", "old.png", "rgba.png", "whole.jpg"]
    assert sorted(path.name for path in out.iterdir()) == good
    call = methods.get("srcnn", model=str(model), scale=3, device="cpu")
    for name in good[:4]:
        expected = methods.upscale(call, images.read(folder / name), 3)
        assert np.array_equal(images.read(out / name), expected)
    bad = ["cut.jpg", "cut.png", "empty.jpg", "text.png"]
    lines = stderr.splitlines()
    assert len(lines) == len(bad)
    for name, line in zip(bad, lines):
        assert line.startswith("srcnn upscale: ") and line.count(name) == 1
    assert f"5 of 9 pictures enlarged into {out}" in stdout
    assert "notes.txt" in stdout and "folder.png" not in stdout
    assert listing(folder) == before

    for name in bad:
        (folder / name).unlink()
    again = srcnn(*command)
    assert (again[0], again[2]) == (0, "")
    assert again[1].count("replaces an older file") == 5


@pytest.mark.parametrize(
    "source, target, said",
    [
        ("here", "here", ["here", "is the folder of the pictures itself"]),
        ("here", "here/.", ["is the folder of the pictures itself"]),
        ("here", "out.png", ["is a folder; give one picture, or a folder", "out.png"]),
        ("here", "here/in.png", ["is a folder; give one picture, or a folder"]),
        ("here", "here/in.png/out", ["out", "can't be made"]),
        ("empty", "out", ["empty", "holds no pictures"]),
        ("here", "out --model 9-9-9", ["9-9-9"]),
    ],
)
def test_unfit_folders(folder, tmp_path, srcnn, source, target, said):
    (tmp_path / "empty").mkdir()
    before = listing(tmp_path)
    target, *options = target.split()
    options = options or ["--method", "bicubic"]
    command = ["upscale", tmp_path / source, tmp_path / target, "--scale", 3]
    one_line(srcnn(*command, *options), *said)
    assert listing(tmp_path) == before


def test_upscale_into_a_read_only_folder(folder, srcnn):
    before = listing(folder)
    folder.chmod(0o500)
    command = ["upscale", folder / "in.png", folder / "out.png", "--scale", 3]
    try:
        if os.access(folder, os.W_OK):
            pytest.skip("root may write anywhere")
        one_line(srcnn(*command, "--method", "bicubic"), "out.png", "no permission")
    finally:
        folder.chmod(0o700)
    assert listing(folder) == before


@pytest.mark.parametrize("scale", ["0", "1", "2.5", "9", "-1", "x", "", "nan", "3.0"])
@pytest.mark.parametrize("command", ["upscale", "evaluate", "train", "export"])
def test_scales_that_are_not(folder, srcnn, command, scale):
    before = listing(folder)
    options = {
        "upscale": [folder / "in.png", folder / "out.png"],
        "evaluate": ["--images", folder],
        "train": ["--images", folder, "--out", folder / "runs"],
        "export": ["--model", "9-1-5", "--onnx", folder / "m.onnx"],
    }[command]
    result = srcnn(command, *options, "--scale", scale)
    one_line(result, "--scale", f"scale must be 2, 3 or 4, not {scale}")
    assert listing(folder) == before


@pytest.mark.parametrize(
    "options, said",
    [
        (["--method", "bicubic"], ["--scale", "--help"]),
        (["--scale", "3", "--method", "magic"], ["magic", "bicubic", "srcnn"]),
        (["--scale", "3", "--model", "9-9-9"], ["9-9-9", "official/9-1-5-91"]),
        (["--scale", "3", "--model", "no.safetensors"], ["no.safetensors: no such"]),
        (["--scale", "2", "--model", "MODEL"], ["m.safetensors", "for x3, not x2"]),
        (["--scale", "3", "--model", "TEXT"], ["t.safetensors", "not weights"]),
        (["--scale", "3", "--model", "RGB"], ["3 channels"]),
        (["--scale", "3", "--model", "MODEL", "--method", "bicubic"], ["--model"]),
        (["--scale", "3", "--model", "MODEL", "--device", "tpu"], ["--device", "cuda"]),
        (["--scale", "3", "--modle", "MODEL"], ["--modle"]),
    ],
)
def test_unfit_options(folder, model, tmp_path, srcnn, options, said):
    (tmp_path / "t.safetensors").write_text("hello")
    names = {"MODEL": model, "TEXT": tmp_path / "t.safetensors"}
    if "RGB" in options:
        names["RGB"] = write_model(tmp_path / "rgb.safetensors", channels=3)
    before = listing(folder)
    options = [names.get(option, option) for option in options]
    one_line(srcnn("upscale", folder / "in.png", folder / "o.png", *options), *said)
    one_line(srcnn("evaluate", "--images", folder, *options), *said)
    assert listing(folder) == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a CUDA GPU")
def test_cuda_without_a_gpu(folder, model, srcnn):
    command = ["upscale", folder / "in.png", folder / "o.png", "--scale", 3]
    result = srcnn(*command, "--model", model, "--device", "cuda")
    one_line(result, "no CUDA GPU", "--device cpu")


@pytest.mark.parametrize("argv", [[], ["enlarge"], ["results"], ["data"], ["upscale"]])
def test_half_a_command(srcnn, argv):
    one_line(srcnn(*argv), "--help")


@pytest.mark.parametrize(
    "command", ["upscale", "evaluate", "train", "results", "data", "export"]
)
def test_help_has_an_example(srcnn, command):
    status, stdout, stderr = srcnn(command, "--help")
    assert (status, stderr) == (0, "")
    assert f"Example: srcnn {command} " in " ".join(stdout.split())
    status, stdout, _ = srcnn("--help")
    assert status == 0 and command in stdout


def test_exit_status_of_processes(folder, model):
    """Success, a damaged picture, and a reader that goes away."""
    options = ["--scale", "3", "--model", str(model)]
    status, stdout, stderr = process(
        "upscale", "in.png", "out.png", *options, cwd=folder
    )
    assert (status, stderr) == (0, "") and "150×120" in stdout
    assert images.read(folder / "out.png").shape == (120, 150, 3)
    (folder / "out.png").unlink()
    # Pillow warns of this one: not beside our one line.
    (folder / "cut.tif").write_bytes((folder / "deep.tif").read_bytes()[:60])
    before = listing(folder)
    result = process("upscale", "cut.tif", "out.png", *options, cwd=folder)
    one_line(result, "cut.tif", "not a picture")
    assert result[1] == "" and listing(folder) == before
    with subprocess.Popen(
        [*PROGRAM, "data", "status"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        child.stdout.close()
        assert child.stderr.read() == b""
    assert child.returncode == 0


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


@pytest.mark.parametrize("luma", ["y", "gray"])
@pytest.mark.parametrize("method", ["bicubic", "srcnn"])
def test_evaluate_writes_the_numbers(small_set, tmp_path, model, srcnn, method, luma):
    weights = str(model) if method == "srcnn" else None
    command = ["evaluate", "--method", method, "--scale", 3, "--images", small_set]
    command += ["--luma", luma, "--device", "cpu"]
    command += ["--model", weights] if weights else []
    status, stdout, stderr = srcnn(*command, "--json", "-")
    assert (status, stderr) == (0, "")
    content = json.loads(stdout)  # nothing else is there
    assert list(content) == ["method", "model", "scale", "luma", "images", "mean"]
    assert content["method"] == method and content["model"] == weights
    assert content["scale"] == 3 and content["luma"] == luma
    call = methods.get(method, model=weights, scale=3, device="cpu")
    pictures = datasets.from_folder(small_set)
    scores = protocol.evaluate(call, pictures, 3, kind=luma)
    for row, score in zip(content["images"], scores, strict=True):
        assert list(row) == ["name", "psnr_db", "ssim", "seconds"]
        assert (row["name"], row["psnr_db"], row["ssim"]) == score[:3]
        assert row["seconds"] >= 0
    psnr_db, ssim = protocol.mean(scores)
    assert content["mean"] == {"psnr_db": psnr_db, "ssim": ssim}

    file = tmp_path / "numbers.json"
    status, stdout, stderr = srcnn(*command, "--json", file)
    assert (status, stderr) == (0, "")
    lines = stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["coffee", "monarch", "mean"]
    assert f"{psnr_db:.2f} dB" in lines[2] and f"{ssim:.4f}" in lines[2]
    written = json.loads(file.read_text("utf-8"))
    assert written["mean"] == content["mean"]
    assert [row["name"] for row in written["images"]] == ["coffee", "monarch"]
    assert srcnn(*command)[1].splitlines()[2] == lines[2]


@needs_official
def test_evaluate_the_authors_network_on_set5(srcnn):
    command = "evaluate --scale 3 --dataset Set5 --model official/9-1-5-91 --json -"
    status, stdout, _ = srcnn(*command.split())
    content = json.loads(stdout)
    assert status == 0 and abs(content["mean"]["psnr_db"] - 32.39) <= 0.005
    assert content["method"] == "srcnn" and content["model"] == "official/9-1-5-91"


@pytest.mark.parametrize(
    "options, said",
    [
        ([], ["--dataset", "--images"]),
        (["--images", "GOOD", "--dataset", "Set5"], ["--dataset", "--images"]),
        (["--dataset", "Set6"], ["Set6", "Set5", "Set14"]),
        (["--dataset", "srcnn-official"], ["srcnn-official", "no pictures"]),
        (["--images", "NONE"], ["none: no such folder"]),
        (["--images", "FILE"], ["file.png: not a folder"]),
        (["--images", "EMPTY"], ["empty"]),
        (["--images", "CUT"], ["cut.png", "damaged"]),
        (["--images", "TINY"], ["tiny", "too small"]),
        (["--images", "DEEP"], ["deep", "uint8"]),
        (["--images", "GOOD", "--luma", "v"], ["--luma", "gray"]),
        (["--images", "GOOD", "--json", "GOOD"], ["can't be written"]),
        (["--images", "GOOD", "--json", "FILE/a.json"], ["not a folder"]),
    ],
)
def test_unfit_things_to_evaluate(
    small_set, tmp_path, photograph, srcnn, options, said
):
    images.write(tmp_path / "file.png", photograph)
    for name in ("empty", "cut", "tiny", "deep"):
        (tmp_path / name).mkdir()
    blob = (tmp_path / "file.png").read_bytes()
    (tmp_path / "cut" / "cut.png").write_bytes(blob[: len(blob) // 2])
    images.write(tmp_path / "tiny" / "tiny.png", photograph[:12, :12])
    deep = photograph[..., 0].astype(np.uint16)
    images.write(tmp_path / "deep" / "deep.png", deep)
    names = {"GOOD": small_set, "FILE": tmp_path / "file.png"}
    names |= {n: tmp_path / n.lower() for n in ("NONE", "EMPTY", "CUT", "TINY", "DEEP")}
    names["FILE/a.json"] = tmp_path / "file.png" / "a.json"
    before = listing(tmp_path)
    options = [names.get(option, option) for option in options]
    one_line(srcnn("evaluate", "--method", "bicubic", "--scale", 3, *options), *said)
    assert listing(tmp_path) == before


def test_ctrl_c_in_any_command(small_set, srcnn, monkeypatch):
    def pressed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "evaluate", pressed)
    command = ["evaluate", "--method", "bicubic", "--scale", 3, "--images", small_set]
    assert srcnn(*command) == (130, "", "srcnn: stopped\n")


# train ---------------------------------------------------------------------


TRAIN = ["train", "--scale", 3, "--arch", "3-1-3_4-4", "--device", "cpu"]


def test_train_writes_weights_that_upscale_takes(school, tmp_path, folder, srcnn):
    out = tmp_path / "runs" / "first"
    command = [*TRAIN, "--images", school, "--steps", 20, "--out", out, "--seed", 5]
    status, stdout, stderr = srcnn(*command)
    assert status == 0 and "20/20" in stderr
    names = ["3-1-3_4-4_x3.json", "3-1-3_4-4_x3.safetensors"]
    assert sorted(p.name for p in out.iterdir()) == names
    weights = out / names[1]
    assert str(weights) in stdout and "over bicubic" in stdout
    card = json.loads((out / names[0]).read_text("utf-8"))
    assert card["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert card["config"]["steps"] == 20 and card["config"]["seed"] == 5
    assert card["scale"] == 3 and card["training_images"] == f"{school} (9)"
    upscale = ["upscale", folder / "in.png", folder / "out.png", "--scale", 3]
    assert srcnn(*upscale, "--model", weights)[0] == 0
    # With nothing to go on with, --resume begins: the same weights again.
    assert srcnn(*command, "--resume")[0] == 0
    again = load_file(weights)
    assert card["sha256"] and all(
        torch.equal(again[k], v)
        for k, v in checkpoints.load(str(weights)).state_dict().items()
    )


def test_train_on_folders_of_the_same_name(school, tmp_path, srcnn):
    """a/x and b/x are two folders; together they have all the pictures."""
    files = sorted(school.iterdir())
    for parent, part in (("a", files[:5]), ("b", files[5:])):
        (tmp_path / parent / "x").mkdir(parents=True)
        for k, file in enumerate(part):
            (tmp_path / parent / "x" / f"{k}.png").write_bytes(file.read_bytes())
    out = tmp_path / "runs"
    command = [*TRAIN, "--images", tmp_path / "a/x", tmp_path / "b/x", "--out", out]
    assert srcnn(*command, "--steps", 1)[0] == 0
    card = json.loads((out / "3-1-3_4-4_x3.json").read_text("utf-8"))
    assert card["training_images"].endswith("b/x (9)")  # and 2 held out


def test_train_without_t91_says_so_and_takes_the_demo(school, tmp_path, srcnn):
    out = tmp_path / "runs"
    status, _, stderr = srcnn(*TRAIN, "--steps", 1, "--out", out)
    assert status == 0 and "T91 is not here" in stderr and "demo-train" in stderr
    assert (out / "3-1-3_4-4_x3.safetensors").is_file()


@pytest.mark.parametrize(
    "options, said",
    [
        (["--arch", "9-2-5"], ["odd"]),
        (["--arch", "nine"], ["9-1-5", "nine"]),
        (["--arch", "99-1-5"], ["99-1-5", "wider"]),
        (["--steps", "0"], ["steps", "at least 1"]),
        (["--steps", "many"], ["--steps", "many"]),
        (["--seed", "-1"], ["seed", "-1"]),
        (["--seed", "99999999999"], ["seed", "99999999999"]),
        (["--preset", "slow"], ["--preset", "quick"]),
        (["--batch", "0"], ["batch", "at least 1"]),
        (["--batch", "1.5"], ["--batch", "1.5"]),
        (["--size", "9"], ["wider than 12 pixels, not 9"]),
        (["--optimiser", "rmsprop"], ["--optimiser", "muon", "sgd"]),
        (["--learning-rate", "-1"], ["step size", "above 0", "-1"]),
        (["--images", "NONE"], ["none: no such folder"]),
        (["--images", "Set5"], ["Set5 is not here", "srcnn data fetch Set5"]),
        (["--images", "ONE"], ["at least two pictures"]),
        (["--images", "TINY"], ["33×33"]),
        (["--images", "CUT"], ["cut.png", "damaged"]),
        (["--out", "FILE"], ["file: not a folder"]),
    ],
)
def test_unfit_training(school, tmp_path, photograph, srcnn, options, said):
    for name in ("one", "tiny", "cut"):
        (tmp_path / name).mkdir()
    images.write(tmp_path / "one" / "a.png", photograph)
    for k in range(3):
        images.write(tmp_path / "tiny" / f"{k}.png", photograph[:20])
    blob = (tmp_path / "one" / "a.png").read_bytes()
    (tmp_path / "cut" / "cut.png").write_bytes(blob[: len(blob) // 2])
    (tmp_path / "file").write_text("mine")
    out = tmp_path / "runs"
    names = {n: tmp_path / n.lower() for n in ("NONE", "ONE", "TINY", "CUT", "FILE")}
    options = [names.get(option, option) for option in options]
    before = listing(tmp_path)
    command = ["train", "--scale", 3, "--steps", 2, "--images", school, "--out", out]
    one_line(srcnn(*command, *options), *said)
    after = listing(tmp_path)
    for folder in ("runs", "cache"):  # made, but empty
        after.pop(Path(folder), None)
    after.pop(Path("cache/.lock"), None)
    assert after == before


@pytest.fixture
def ctrl_c_works():
    """Also where the tests run in the background, which ignores Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_says_how_to_go_on_and_resume_does(
    school, tmp_path, srcnn, ctrl_c_works
):
    whole, out = tmp_path / "whole", tmp_path / "stopped"
    command = [*map(str, TRAIN), "--images", str(school), "--steps", "400"]
    child = subprocess.Popen(
        [*PROGRAM, *command, "--out", str(out)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    shown = b""
    while b"0/400" not in shown and (byte := child.stderr.read(1)):
        shown += byte
    child.send_signal(signal.SIGINT)
    stdout, rest = child.communicate(timeout=60)
    stderr = (shown + rest).decode()
    assert child.returncode == 130
    assert "Traceback" not in stderr and stdout == b""
    last = stderr.splitlines()[-1]
    assert str(out) in last and "--resume" in last
    assert [p.name for p in out.iterdir()] == ["3-1-3_4-4_x3.state"]

    one_line(srcnn(*command, "--seed", 1, "--out", out, "--resume"), "another recipe")
    assert srcnn(*command, "--out", out, "--resume")[0] == 0
    assert srcnn(*command, "--out", whole)[0] == 0
    name = "3-1-3_4-4_x3.safetensors"
    resumed, uninterrupted = load_file(out / name), load_file(whole / name)
    assert all(torch.equal(resumed[k], uninterrupted[k]) for k in uninterrupted)
    assert sorted(p.name for p in out.iterdir()) == [f"{Path(name).stem}.json", name]


# results -------------------------------------------------------------------


@pytest.fixture
def recorded(tmp_path, monkeypatch, small_set, register):
    """Results and weights in a folder of their own, of a set of two pictures."""
    register(small_set)
    monkeypatch.setenv("SRCNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SRCNN_OFFLINE", "1")
    monkeypatch.setattr(results, "folder", lambda: tmp_path / "results")
    monkeypatch.setattr(checkpoints, "folder", lambda: tmp_path / "checkpoints")
    write_model(tmp_path / "checkpoints" / "small_x3.safetensors")
    results.record(
        [
            results.measure("bicubic", "Small", 3, device="cpu"),
            results.measure("srcnn", "Small", 3, model="small", device="cpu"),
        ]
    )
    return tmp_path


def test_results_verify_and_list(recorded, srcnn):
    status, stdout, stderr = srcnn("results", "verify", "--device", "cpu")
    assert (status, stderr) == (0, "")
    assert stdout.splitlines()[-1] == "3 equal, 0 differs, 0 not here"
    status, stdout, _ = srcnn("results", "list")
    assert status == 0 and len(stdout.splitlines()) == 2
    row = results.recorded("srcnn", "Small", 3, model="small")
    assert f"{row['mean']['psnr_db']:.2f} dB" in stdout and "small" in stdout

    row["mean"]["psnr_db"] += 0.01
    results.record([row])
    status, stdout, stderr = srcnn("results", "verify", "--device", "cpu")
    assert (status, stderr) == (1, "")
    assert stdout.splitlines()[-1] == "2 equal, 1 differs, 0 not here"
    (line,) = (x for x in stdout.splitlines() if x.startswith("differs"))
    assert "small x3 Small" in line and "psnr_db" in line

    next((recorded / "mine").iterdir()).unlink()
    status, stdout, _ = srcnn("results", "verify", "--device", "cpu")
    assert status == 0
    assert stdout.splitlines()[-1] == "1 equal, 0 differs, 2 not here"


def test_results_record_of_nothing_known(recorded, srcnn):
    before = listing(recorded)
    one_line(srcnn("results", "record", "--model", "9-9-9"), "9-9-9")
    result = srcnn("results", "record", "--method", "bicubic", "--model", "small")
    one_line(result, "bicubic", "--model")
    assert listing(recorded) == before


# data ----------------------------------------------------------------------


def test_data_status_shows_every_licence(srcnn):
    status, stdout, stderr = srcnn("data", "status")
    assert (status, stderr) == (0, "")
    lines = stdout.splitlines()
    assert len(lines) == 3 * len(datasets.registry())
    for (name, entry), place in zip(
        datasets.registry().items(), range(0, len(lines), 3), strict=True
    ):
        head, _, licence = lines[place : place + 3]
        assert head.split()[0] == name and f"/{len(entry['files'])} files" in head
        assert licence.strip() == f"licence: {entry['licence']}"
        assert entry["licence"].strip()
    status, stdout, _ = srcnn("data", "status", "T91", "demo-test")
    assert status == 0 and len(stdout.splitlines()) == 6


def test_data_paths(recorded, srcnn):
    assert srcnn("data", "path", "Small") == (0, f"{recorded / 'mine'}\n", "")
    one_line(srcnn("data", "path", "Set5"), "Set5 is not here", "srcnn data fetch Set5")
    one_line(srcnn("data", "path", "demo-test"), "demo-test")
    one_line(srcnn("data", "path", "Set6"), "Set6", "Set5")
    one_line(srcnn("data", "status", "Set6"), "Set6", "Set5")


# export --------------------------------------------------------------------


def test_export(model, tmp_path, srcnn):
    onnx = pytest.importorskip("onnx", reason="needs the package onnx")
    targets = tmp_path / "m.onnx", tmp_path / "m.json"
    command = ["export", "--model", model, "--onnx", targets[0], "--json", targets[1]]
    status, stdout, stderr = srcnn(*command)
    assert (status, stderr) == (0, "")
    assert stdout.splitlines() == [str(t) for t in targets]
    onnx.checker.check_model(str(targets[0]))
    content = json.loads(targets[1].read_text("utf-8"))
    assert content["f"] == [5, 1, 3] and len(content["layers"]) == 3
    assert srcnn(*command, "--scale", 3)[0] == 0


@pytest.mark.parametrize(
    "options, said",
    [
        ([], ["--model"]),
        (["--model", "MODEL"], ["--onnx FILE", "--json FILE"]),
        (["--model", "9-9-9", "--scale", "3", "--onnx", "OUT"], ["9-9-9"]),
        (["--model", "official/9-1-5-91", "--onnx", "OUT"], ["--scale", "x2, x3, x4"]),
        (["--model", "MODEL", "--scale", "2", "--onnx", "OUT"], ["for x3, not x2"]),
        (["--model", "MODEL", "--onnx", "FOLDER"], ["can't be written"]),
        (["--model", "MODEL", "--json", "FILE/m.json"], ["not a folder"]),
    ],
)
def test_unfit_exports(model, tmp_path, srcnn, options, said):
    pytest.importorskip("onnx", reason="needs the package onnx")
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    names = {
        "MODEL": model,
        "OUT": tmp_path / "m.onnx",
        "FOLDER": tmp_path / "folder",
        "FILE/m.json": tmp_path / "file" / "m.json",
    }
    before = listing(tmp_path)
    one_line(srcnn("export", *(names.get(o, o) for o in options)), *said)
    assert listing(tmp_path) == before
