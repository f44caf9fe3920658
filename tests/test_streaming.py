"""Folders of any size: the index, the rounds, and the workers that read them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from srcnn_lib import cli, datasets, images, streaming, training
from srcnn_lib.streaming import (
    PER_PICTURE,
    Pictures,
    Rounds,
    StreamError,
    index_files,
    index_folder,
    pair,
)

ROOT = Path(__file__).parent.parent
#: Small ones, so that a round takes less than a second.
ROUND = 64


@pytest.fixture(autouse=True)
def small_rounds_and_own_cache(monkeypatch, tmp_path_factory):
    monkeypatch.setattr(streaming, "ROUND", ROUND)
    monkeypatch.setattr(streaming, "KEPT", 1)
    monkeypatch.setenv("SRCNN_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def photograph():
    """RGB (300, 451, 3)."""
    return datasets.load("demo-test")["chelsea"]


@pytest.fixture
def school(tmp_path, photograph):
    """A folder of 30 good pictures in three folders, and one of each fault."""
    here = tmp_path / "school"
    for k in range(30):
        folder = here / "abc"[k % 3]
        folder.mkdir(parents=True, exist_ok=True)
        crop = photograph[k : k + 100 + k, 2 * k : 2 * k + 220]
        images.write(folder / f"{k:02}.png", crop)
    small, grey = photograph[:40, :50], photograph[:40, :50, 0]
    images.write(here / "a" / "deep.png", grey.astype(np.uint16) * 257)
    images.write(here / "a" / "deep.tif", small.astype(np.uint16) * 257)
    Image.fromarray(small).convert("RGBA").save(here / "b" / "alpha.png")
    images.write(here / "b" / "tiny.bmp", small[:32])
    images.write(here / "c" / "cut.jpg", photograph)
    blob = (here / "c" / "cut.jpg").read_bytes()
    (here / "c" / "cut.jpg").write_bytes(blob[: len(blob) // 2])
    (here / "c" / "text.png").write_text("hello\n")
    (here / "c" / "empty.png").touch()
    (here / "c" / "gone.png").symlink_to(here / "nowhere.png")
    (here / "c" / "again").symlink_to(here)  # a loop
    (here / "c" / "notes.txt").write_text("not a picture")
    (here / "c" / ".hidden.png").write_text("not listed")
    Image.new("1", (8000, 8000)).save(here / "b" / "large.png")
    return here


BAD = {
    "a/deep.png": "8 bits",
    "a/deep.tif": "8 bits",
    "b/alpha.png": "transparency",
    "b/tiny.bmp": "smaller than 33×33 pixels",
    "b/large.png": "megapixels",
    "c/text.png": "not a picture",
    "c/empty.png": "not a picture",
    "c/gone.png": "broken link",
}


def opened(folder, size=33, scale=3):
    pictures = Pictures([index_folder(folder, progress=False)])
    pictures.leave_out_small(size, scale)
    return pictures


def listed(pictures, folder):
    return {os.path.relpath(p, folder): why for p, why in pictures.left_out()}


# The index -----------------------------------------------------------------


def test_the_index_has_every_picture_below_the_folder(school):
    pictures = opened(school)
    good = pictures.usable()
    assert len(good) == 31 and len(pictures) == 31 + len(BAD)
    for i in good:
        with Image.open(pictures.path(i)) as image:
            assert image.size == (pictures.width[i], pictures.height[i])
    found = listed(pictures, school)
    assert found.keys() == BAD.keys()
    for name, said in BAD.items():
        assert said in found[name]
    assert "cut.jpg" in {pictures.path(i).name for i in good}  # not yet known


def test_the_index_is_made_once(school, monkeypatch):
    asked = []
    original = streaming._header

    def counted(path):
        asked.append(str(path.relative_to(school)))
        return original(path)

    monkeypatch.setattr(streaming, "_header", counted)
    first = index_folder(school, progress=False)
    assert len(asked) == len(first) == 31 + len(BAD)
    asked.clear()
    again = index_folder(school, progress=False)
    assert asked == []
    for column in first.ARRAYS:
        assert np.array_equal(getattr(first, column), getattr(again, column))

    # One changed, one new, one gone: two headers are read.
    shutil.copy(school / "a" / "00.png", school / "a" / "03.png")
    shutil.copy(school / "b" / "01.png", school / "new.png")
    (school / "c" / "02.png").unlink()
    changed = index_folder(school, progress=False)
    assert sorted(asked) == ["a/03.png", "new.png"]
    asked.clear()
    (file,) = (datasets.cache() / "folders").iterdir()
    file.unlink()
    fresh = index_folder(school, progress=False)
    assert len(asked) == len(fresh)
    for column in fresh.ARRAYS:
        assert np.array_equal(getattr(fresh, column), getattr(changed, column))
    for damage in (b"", b"hello", file.read_bytes()[:-200]):
        asked.clear()
        file.write_bytes(damage)
        index_folder(school, progress=False)
        assert len(asked) == len(fresh)


def test_an_index_in_no_cache(school, monkeypatch, tmp_path):
    """A cache that can't be written costs time, nothing else."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("SRCNN_CACHE", str(tmp_path / "file"))
    assert len(index_folder(school, progress=False)) == 31 + len(BAD)


def test_unfit_folders(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.png").touch()
    for name, said in [
        ("none", "no such folder"),
        ("file.png", "not a folder"),
        ("empty", "holds no pictures"),
    ]:
        with pytest.raises(StreamError, match=said) as caught:
            index_folder(tmp_path / name)
        assert name in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(StreamError, match="file.png: not a picture") as caught:
        opened(tmp_path).usable()
    assert "none of the 1 pictures" in str(caught.value)


def test_files_keep_their_order_and_several_indexes_are_one(school, tmp_path):
    files = [school / "c" / "02.png", school / "a" / "00.png"]
    shutil.copytree(school / "b", tmp_path / "more")
    pictures = Pictures([index_files(files), index_folder(tmp_path / "more")])
    names = [pictures.path(i) for i in range(len(pictures))]
    assert names[:2] == files
    assert names[2:] == sorted((tmp_path / "more").iterdir())


def test_small_folders_fit_in_memory(school, monkeypatch):
    pictures = opened(school)
    good = pictures.usable()
    pixels = sum(int(pictures.height[i]) * int(pictures.width[i]) for i in good)
    monkeypatch.setattr(streaming, "MEMORY", 8 * pixels)
    assert pictures.fit_in_memory()
    monkeypatch.setattr(streaming, "MEMORY", 8 * pixels - 1)
    assert not pictures.fit_in_memory()
    read = dict(pictures.load(good))
    assert len(read) == 30
    path = str(school / "a" / "00.png")
    assert np.array_equal(read[path], images.read(path))
    assert "damaged" in listed(pictures, school)["c/cut.jpg"]


def test_at_most_a_hundred_are_held_out(school):
    pictures = opened(school)
    for count, held in [(1, 1), (10, 1), (11, 2), (1000, 100), (123_457, 100)]:
        training, validation = pictures.hold_out(np.arange(count))
        assert len(validation) == held
        both = np.concatenate([training, validation])
        assert np.array_equal(np.sort(both), np.arange(count))


def test_copies_are_known_by_content(school, tmp_path):
    pictures = opened(school)
    shutil.copy(school / "a" / "03.png", tmp_path / "copy.png")
    assert pictures.hold(tmp_path / "copy.png")
    blob = bytearray((tmp_path / "copy.png").read_bytes())
    blob[-20] ^= 1
    (tmp_path / "copy.png").write_bytes(blob)
    assert not pictures.hold(tmp_path / "copy.png")


def test_the_fingerprint_is_of_names_sizes_and_choice(school):
    def fingerprint(folder, less=0):
        pictures = opened(folder)
        return pictures.fingerprint(pictures.usable()[less:])

    first = fingerprint(school)
    moved = school.rename(school.with_name("moved"))
    assert fingerprint(moved) == first != fingerprint(moved, 1)
    (moved / "a" / "00.png").rename(moved / "a" / "0.png")
    renamed = fingerprint(moved)
    assert renamed != first
    shutil.copy(moved / "a" / "03.png", moved / "a" / "0.png")
    assert fingerprint(moved) not in (first, renamed)


# Rounds --------------------------------------------------------------------


def rounds(folder, **more):
    pictures = opened(folder)
    options = {"last": 9, "seed": 0, "workers": 2} | more
    return Rounds(pictures, pictures.usable(), 3, 33, **options)


def same(a, b):
    return len(a) == len(b) and all(
        np.array_equal(x, y) for p, q in zip(a, b) for x, y in zip(p, q)
    )


def test_a_round_is_crops_of_the_next_pictures(school, photograph):
    with rounds(school) as reading:
        first, second = reading.get(0), reading.get(1)
        tasks = reading.tasks(0), reading.tasks(1)
    # 31 pictures an epoch, of which one is damaged.
    both = [path for path, _ in tasks[0] + tasks[1]]
    epochs = [both[k : k + 31] for k in range(0, 2 * ROUND - 31, 31)]
    assert all(len(set(epoch)) == 31 for epoch in epochs)
    assert epochs[0] != epochs[1]
    damaged = sum(Path(path).name == "cut.jpg" for path in both)
    assert len(first) + len(second) == 2 * ROUND - damaged
    assert "damaged" in listed(reading.pictures, school)["c/cut.jpg"]

    good = [(p, s) for p, s in tasks[0] if not p.endswith("cut.jpg")]
    corners = set()
    for (path, _), (input_, label) in zip(good, first, strict=True):
        image = images.read(path)
        hr_y = images.luma(image) / np.float32(255)
        assert input_.shape == label.shape
        assert label.shape[1] == 192 and label.dtype == input_.dtype == np.float32
        windows = np.lib.stride_tricks.sliding_window_view(hr_y, label.shape)
        corner = windows[..., 0, 0] == label[0, 0]
        (place,) = (
            (i, j) for i, j in np.argwhere(corner) if (windows[i, j] == label).all()
        )
        corners.add(place)
        i, j = place
        expected = pair(image[i : i + 192, j : j + 192], 3)
        assert same([expected], [(input_, label)])
    assert 15 < len(corners) and corners <= {(0, j) for j in range(220 - 192 + 1)}


def test_rounds_depend_on_seed_and_number_alone(school):
    with rounds(school) as reading:
        first, second, third = (reading.get(k) for k in range(3))
    assert not same(first, second)
    with rounds(school, workers=1) as reading:
        assert same(reading.get(2), third)  # where a run was stopped
        assert same(reading.get(1), second)
    with rounds(school, workers=3, last=0) as reading:
        assert same(reading.get(0), first)
        assert reading.asked is None  # there is no next one to read
    with rounds(school, seed=1) as reading:
        assert not same(reading.get(0), first)


def test_pictures_are_also_shrunk(tmp_path):
    """Stripes 8 pixels wide are 4, 4.8, 5.6, … wide when shrunk."""
    stripes = np.kron(np.arange(60) % 2, np.ones((400, 8))).astype(np.uint8) * 255
    images.write(tmp_path / "a.png", stripes)
    with rounds(tmp_path, zoom=0.5, last=0) as reading:
        labels = [label for _, label in reading.get(0)]
    assert {label.shape for label in labels} == {(192, 192)}
    crossings = {int((np.diff(label[0] > 0.5) != 0).sum()) for label in labels}
    assert min(crossings) in (23, 24) and max(crossings) in (47, 48)
    assert len(crossings) > 5


def test_a_round_of_damaged_pictures_only(tmp_path, photograph):
    images.write(tmp_path / "a.png", photograph)
    blob = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(blob[:-5000])
    with (
        rounds(tmp_path) as reading,
        pytest.raises(StreamError, match="a.png: the picture is damaged") as caught,
    ):
        reading.get(0)
    assert "\n" not in str(caught.value)


def test_a_worker_that_ends_is_an_error_in_one_line(school):
    with rounds(school) as reading:
        reading.get(0)
        reading.workers[1].kill()
        with pytest.raises(OSError, match="process that reads pictures ended"):
            reading.get(1)
    assert reading.workers == []


CHILD = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may ignore it
from srcnn_lib.streaming import Pictures, Rounds, index_folder
pictures = Pictures([index_folder(sys.argv[1])])
pictures.leave_out_small(33, 3)
reading = Rounds(pictures, pictures.usable(), 3, 33, 0, last=9, workers=2)
reading.get(0)
print(*(worker.pid for worker in reading.workers), flush=True)
if sys.argv[2] == "wait":
    sys.stdin.read()
"""


def alive(pid):
    """Not even a zombie counts, which waits for init to note its end."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
@pytest.mark.parametrize("end", ["itself", signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_their_parent(school, end):
    """However it ends, and although Ctrl-C in a terminal is not for them."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, school, "go" if end == "itself" else "wait"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        start_new_session=True,
        text=True,
    )
    workers = [int(pid) for pid in child.stdout.readline().split()]
    assert len(workers) == 2
    if end != "itself":
        assert all(map(alive, workers))
        os.killpg(child.pid, end)
    child.wait(timeout=60)
    child.stdin.close()
    child.stdout.close()
    deadline = time.monotonic() + 30
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, workers))


def test_a_worker_starts_without_pytorch():
    """Which would take two seconds and 200 MB in each."""
    code = "import sys; from srcnn_lib import streaming; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout == "False\n"


def test_sub_images_of_a_round_are_spread_over_its_pictures():
    """So that reading keeps up with training, and no crop is worn out."""
    windows = (streaming.CROP // 33) ** 2
    assert windows < PER_PICTURE < 4 * windows


# Training ------------------------------------------------------------------

STEM = "3-1-3_4-4_x3"
RECIPE = ["--scale", "3", "--arch", "3-1-3_4-4", "--device", "cpu"]


def command(folder, out, *more):
    options = ["--images", folder, "--out", out, *more]
    return ["train", *RECIPE, *map(str, options)]


def same_weights(a, b):
    a, b = (load_file(folder / f"{STEM}.safetensors") for folder in (a, b))
    return all(torch.equal(a[k], b[k]) for k in a)


@pytest.fixture
def alone(monkeypatch):
    """No data beside it, and no network."""
    monkeypatch.delenv("SRCNN_DATA", raising=False)
    monkeypatch.setenv("SRCNN_OFFLINE", "1")


def stop_at(steps, monkeypatch):
    """Ctrl-C at each of these steps, in turn."""
    original, left = training._Loop._step, list(steps)

    def pressed(loop):
        if left and loop.state.step == left[0]:
            left.pop(0)
            raise KeyboardInterrupt
        return original(loop)

    monkeypatch.setattr(training._Loop, "_step", pressed)


@pytest.mark.usefixtures("alone", "one_thread")
@pytest.mark.parametrize("sampling", ["importance", "grid"])
def test_a_streamed_run_resumes_bit_for_bit(
    school, tmp_path, monkeypatch, capsys, sampling
):
    """28 pictures, 64 a round, 10 steps a round: each is over two epochs."""
    monkeypatch.setattr(streaming, "MEMORY", 0)
    monkeypatch.setattr(streaming, "PER_PICTURE", 5)
    whole, out = tmp_path / "whole", tmp_path / "out"
    options = ["--steps", 35, "--batch", 32, "--sampling", sampling, "--zoom", 0.8]
    assert cli.main(command(school, whole, *options)) == 0
    stop_at([4, 10, 27, 29], monkeypatch)  # within and between rounds
    for _ in range(4):
        assert cli.main(command(school, out, *options, "--resume")) == 130
    assert cli.main(command(school, out, *options, "--resume")) == 0
    assert same_weights(whole, out)
    assert "9 of 39 pictures were left out" in capsys.readouterr().err
    for folder in (whole, out):
        listed = (folder / f"{STEM}_skipped.txt").read_text().splitlines()
        assert len(listed) == len(BAD) + 1
        found = dict(line.split(": ", 1) for line in listed)
        for name, said in BAD.items():
            assert said in found[str(school / name)]
        assert "damaged" in found[str(school / "c" / "cut.jpg")]
        card = json.loads((folder / f"{STEM}.json").read_text("utf-8"))
        assert card["reading"] == "streamed, 64 pictures for 10 steps"
        assert card["training_images"] == f"{school} (27)"
        assert card["validation_images"] == "4 held-out training pictures"
        assert card["skipped"] == 9


@pytest.mark.usefixtures("alone", "one_thread")
def test_a_small_folder_is_trained_on_whole(school, tmp_path, capsys):
    assert cli.main(command(school, tmp_path / "out", "--steps", 2)) == 0
    assert "9 of 39 pictures were left out" in capsys.readouterr().err
    card = json.loads((tmp_path / "out" / f"{STEM}.json").read_text("utf-8"))
    assert card["reading"] == "in memory"
    assert card["training_images"] == f"{school} (27)"
    listed = (tmp_path / "out" / f"{STEM}_skipped.txt").read_text()
    assert listed.count("\n") == 9 and "cut.jpg: the picture is damaged" in listed


def memory_of_family(pid):
    """Bytes in use by a process and its children."""
    total = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                facts = (entry / "status").read_text()
            except OSError:
                continue
            fields = dict(x.split(":\t", 1) for x in facts.splitlines() if ":\t" in x)
            if entry.name == str(pid) or fields["PPid"].strip() == str(pid):
                total += int(fields.get("VmRSS", "0").split()[0]) * 1024
    return total


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
@pytest.mark.usefixtures("alone", "one_thread")
def test_twenty_thousand_pictures(tmp_path, photograph, monkeypatch):
    """Less than 2 GB of memory; 300 of them are no pictures."""
    here, kinds = tmp_path / "big", []
    for k in range(10):
        path = tmp_path / f"{k}.jpg"
        images.write(path, photograph[10 * k : 10 * k + 120, 20 * k : 20 * k + 160])
        kinds.append(path.read_bytes())
    for folder in range(100):
        (here / f"n{folder:03}").mkdir(parents=True)
        for k in range(200):
            blob = kinds[(folder + k) % 10]
            if k in (50, 150):  # no such thing, or cut in the middle
                blob = b"hello" if k == 50 else blob[: len(blob) // 2]
            (here / f"n{folder:03}" / f"{k}.jpg").write_bytes(blob)

    monkeypatch.setattr(streaming, "ROUND", 256)  # as in the child
    out, again = tmp_path / "out", tmp_path / "again"
    options = ["--steps", 150, "--batch", 256, "--optimiser", "sgd"]
    child = subprocess.Popen(
        [sys.executable, "-m", "srcnn_lib", *command(here, out, *options)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    most = 0
    while child.poll() is None:
        most = max(most, memory_of_family(child.pid))
        time.sleep(0.05)
    said = child.stdout.read().decode()
    child.stdout.close()
    assert child.returncode == 0, said
    assert 100e6 < most < 2e9, most
    listed = (out / f"{STEM}_skipped.txt").read_text().splitlines()
    unread = [line for line in listed if "50.jpg: not a picture" in line]
    cut = [line for line in listed if "150.jpg: the picture is damaged" in line]
    assert len(unread) == 100 and len(cut) > 0
    assert len(unread) + len(cut) == len(listed)
    assert f"{len(listed)} of 20000 pictures were left out" in said
    card = json.loads((out / f"{STEM}.json").read_text("utf-8"))
    assert card["reading"] == "streamed, 256 pictures for 64 steps"
    assert card["validation_images"] == "100 held-out training pictures"
    assert card["training_images"] == f"{here} (19800)"

    # The index is not made again, and a stop within a round changes nothing.
    monkeypatch.setattr(streaming, "_header", None)
    stop_at([100], monkeypatch)
    assert cli.main(command(here, again, *options)) == 130
    assert cli.main(command(here, again, *options, "--resume")) == 0
    assert same_weights(out, again)


@pytest.mark.parametrize(
    "worker, status",
    [
        ("import os, time; os.close(1); time.sleep(0.2); os._exit(3)", 3),
        ("import time; print('garbled', flush=True); time.sleep(300)", -9),
    ],
)
def test_a_worker_without_an_answer_is_ended_and_its_status_said(worker, status):
    process = subprocess.Popen([sys.executable, "-c", worker], stdout=subprocess.PIPE)
    with process.stdout, pytest.raises(OSError, match=rf"\(status {status}\)"):
        Rounds._answer(process)
    assert process.poll() == status
