"""Training on folders that don't fit in memory, and by several processes."""

import dataclasses
import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from test_training import TINY, train, weights

from srcnn_lib import datasets, streams, training
from srcnn_lib.protocol import pair
from srcnn_lib.streams import Crops, Stream, TrainingError

ROOT = Path(__file__).parent.parent
NAME = "3-1-3_4-4_x3"

pytestmark = pytest.mark.usefixtures("one_thread", "embedded_only")


@pytest.fixture(scope="module")
def photograph():
    """RGB (300, 451, 3)."""
    return datasets.load("demo-test")["chelsea"]


@pytest.fixture
def school(tmp_path, photograph):
    """A folder of 20 good pictures in subfolders, and some that can't be used."""
    here = tmp_path / "school"
    for k in range(20):
        folder = here / "ab"[k % 2]
        folder.mkdir(parents=True, exist_ok=True)
        crop = photograph[k : k + 100 + k, 2 * k : 2 * k + 220]
        Image.fromarray(crop).save(folder / f"{k:02}.png")
    small = photograph[:40, :50]
    Image.fromarray(small[..., 0].astype(np.uint16) * 257).save(here / "a" / "deep.png")
    clear = np.dstack([small, small[..., 0]])
    Image.fromarray(clear).save(here / "b" / "clear.png")
    Image.fromarray(small[:16]).save(here / "b" / "tiny.png")
    (here / "b" / "cut.png").write_bytes((here / "b" / "01.png").read_bytes()[:5000])
    (here / "a" / "text.png").write_text("hello\n")
    return here


BAD = {
    "a/deep": "8 bits",
    "a/text": "not a picture",
    "b/clear": "transparency",
    "b/cut": "damaged",
    "b/tiny": "smaller than",
}


@pytest.fixture
def streamed(monkeypatch):
    """Every folder is large; slots are renewed often."""
    monkeypatch.setattr(streams, "MEMORY", 0)
    monkeypatch.setattr(streams, "POOL", 8)
    monkeypatch.setattr(streams, "PER_CROP", 4)


def stream(folder, first=0, part=slice(None), *, count=4, steps=30):
    crops = Crops(datasets.from_folder(folder, subfolders=True), 33, 3, seed=0)
    more = {"count": count, "steps": steps, "first": first, "part": part}
    return Stream(crops, 6, 14, "cpu", **more, skipped={})


@pytest.mark.parametrize("sampling", ["random", "importance", "grid"])
def test_mini_batches_depend_on_seed_and_step_alone(school, streamed, sampling):
    """Not on the step with which a run begins, nor on the number of processes."""

    def batches(first, part):
        reader = stream(school, first, part)
        return [reader.batch(k, 4, sampling, 0, part) for k in range(first, 30)]

    whole = batches(0, slice(None))
    later = batches(17, slice(None))
    halves = [batches(0, part) for part in (slice(0, 2), slice(2, 4))]
    for k, batch in enumerate(whole):
        for position, tensor in enumerate(batch):
            joined = torch.cat([half[k][position] for half in halves])
            assert torch.equal(tensor, joined)
            if k >= 17:
                assert torch.equal(tensor, later[k - 17][position])
    assert len({batch[0].numpy().tobytes() for batch in whole}) == 30


def test_sub_images_are_windows_of_crops(school, streamed):
    """Inputs and labels from one place, and weights whose mean is one."""
    reader = stream(school, count=500, steps=2)
    inputs, labels, weights = reader.batch(0, 500, "importance", 0)
    assert psutil.Process().num_fds() < 100  # none for each crop, to share it
    reader.close()
    assert inputs.shape == (500, 1, 33, 33) and labels.shape == (500, 1, 21, 21)
    inner = inputs[..., 6:-6, 6:-6]
    close, other = ((inner - z).square().mean() for z in (labels, labels.roll(1, 0)))
    assert close < 0.1 * other
    assert weights.mean() == pytest.approx(1, abs=0.15) and weights.std() > 0.1


def test_a_crop_is_a_pair_of_the_protocol(school):
    pictures = datasets.from_folder(school, subfolders=True)
    crops = Crops(pictures, 33, 3, seed=5)
    seen = set()
    for n in range(40):
        (wide, hr), skipped = crops[n]
        assert wide.shape == hr.shape and min(hr.shape) >= 33
        seen.add(hr.tobytes())
        assert set(skipped) <= set(BAD)
    assert len(seen) > 35
    whole = pictures["a/00"][:, :192]  # as large as a crop
    (wide, hr), _ = Crops({"a/00": whole}, 33, 3, seed=0)[0]
    assert np.array_equal([wide, hr], pair(whole, 3))


def test_a_folder_of_damaged_pictures_is_refused(school, streamed):
    for good in school.rglob("[012]*.png"):
        good.write_text("hello\n")
    config = dataclasses.replace(TINY, size=33)
    with pytest.raises(TrainingError, match="png|a/|b/") as caught:
        train(config, datasets.from_folder(school, subfolders=True))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("large", [True, False])
def test_a_run_names_what_it_left_out_and_resumes_bit_for_bit(
    school, tmp_path, large, monkeypatch, request
):
    if large:
        request.getfixturevalue("streamed")
    config = dataclasses.replace(TINY, size=33, steps=40, sampling="importance")
    images = datasets.from_folder(school, subfolders=True)
    whole = train(config, images)

    def stop(row, _):
        if row["step"] in (10, 30):
            raise KeyboardInterrupt

    monkeypatch.setattr(training, "SAVE_EVERY_S", 0)
    for resume in (False, True):
        with pytest.raises(KeyboardInterrupt):
            train(config, images, out=tmp_path / "out", resume=resume, on_validate=stop)
    run = train(config, images, out=tmp_path / "out", resume=True)
    assert torch.equal(weights(run.model), weights(whole.model))
    assert set(whole.card["skipped"]) == set(BAD)
    assert all(BAD[name] in reason for name, reason in whole.card["skipped"].items())
    assert whole.card["reading"] == ("streamed" if large else "in memory")
    assert not multiprocessing.active_children()


def test_what_needs_pictures_in_memory_is_refused(school, streamed):
    config = dataclasses.replace(TINY, size=33, augment=1)
    with pytest.raises(TrainingError, match="augmentation"):
        train(config, datasets.from_folder(school, subfolders=True))


def test_the_memory_estimate_counts_planes_and_copies(school, monkeypatch):
    images = datasets.from_folder(school, subfolders=True)
    pixels = sum(images[k].shape[0] * images[k].shape[1] for k in {*images} - {*BAD})
    monkeypatch.setattr(streams, "MEMORY", 8 * pixels * 2)
    assert not streams.is_large(images)
    assert streams.is_large(images, planes=3)
    assert streams.is_large(images, augment=1)


# Several processes --------------------------------------------------------------

PROGRAM = """
import json, sys
import torch
from srcnn_lib import datasets, streams, training
torch.set_num_threads(1)
out, folder, recipe, large = sys.argv[1:]
streams.MEMORY, streams.POOL = (0, 8) if large == "True" else (10**9, 8)
images = datasets.from_folder(folder, subfolders=True)
config = training.Config(**json.loads(recipe))
training.train(config, images, device="cpu", out=out, progress=False)
"""


def start(processes, tmp_path, school, recipe, out, large=False):
    (tmp_path / "program.py").write_text(PROGRAM)
    several = ["-m", "torch.distributed.run", "--standalone"]
    command = [sys.executable, *several * (processes > 1)]
    command += [f"--nproc_per_node={processes}"] * (processes > 1)
    command += [tmp_path / "program.py", out, school, json.dumps(recipe), str(large)]
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    how = {"capture_output": True, "text": True, "timeout": 300}
    return subprocess.run(command, env=env, **how)


@pytest.mark.slow
@pytest.mark.parametrize("large", [False, True])
def test_two_processes_train_as_one(school, tmp_path, large):
    """The same mini-batches; only sums are rounded otherwise."""
    config = dataclasses.replace(TINY, size=33, sampling="importance", batch=4)
    recipe, kept = dataclasses.asdict(config), []
    for count in (1, 2):
        out = tmp_path / str(count)
        done = start(count, tmp_path, school, recipe, out, large)
        assert done.returncode == 0, done.stderr
        kept.append(training.checkpoints.load(str(out / f"{NAME}.safetensors")))
        card = json.loads((out / f"{NAME}.json").read_text("utf-8"))
        assert card["processes"] == count
        assert card["skipped"] and set(card["skipped"]) <= set(BAD)
    assert torch.allclose(*map(weights, kept), atol=1e-5)


# Twenty thousand files ------------------------------------------------------------


@pytest.mark.slow
def test_twenty_thousand_pictures_in_a_hundred_folders(tmp_path, photograph):
    """Some of them no pictures; only crops of them are ever in memory."""
    here, kinds = tmp_path / "big", []
    for k in range(10):
        path = tmp_path / f"{k}.jpg"
        crop = photograph[10 * k : 10 * k + 120, 20 * k : 20 * k + 160]
        Image.fromarray(crop).save(path)
        kinds.append(path.read_bytes())
    for folder in range(100):
        (here / f"n{folder:03}").mkdir(parents=True)
        for k in range(200):
            blob = b"hello" if k == 50 else kinds[(folder + k) % 10]
            (here / f"n{folder:03}" / f"{k}.jpg").write_bytes(blob)
    images = datasets.from_folder(here, subfolders=True)
    assert len(images) == 20_000
    config = dataclasses.replace(TINY, size=33, steps=200, batch=16, validate_every=0)
    run = train(config, images)
    assert run.card["reading"] == "streamed"
    assert all("not a picture" in why for why in run.card["skipped"].values())
