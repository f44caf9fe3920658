"""What a run leaves on disk, and how it goes on after it was stopped."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from test_training import MUON, TINY, train, weights

from srcnn_lib import training
from srcnn_lib.training import TrainingError

ROOT = Path(__file__).parent.parent
NAME = "3-1-3_4-4_x3"

pytestmark = pytest.mark.usefixtures("one_thread", "embedded_only")


def press_ctrl_c():
    signal.raise_signal(signal.SIGINT)


@pytest.fixture
def ctrl_c_works():
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals reach the main thread only")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def same_end(run, other):
    a, b = ([(r["step"], r["psnr_db"]) for r in x.history] for x in (run, other))
    return a == b and torch.equal(weights(run.model), weights(other.model))


CHILD = """
import json, sys
import torch
from srcnn_lib import datasets, training
torch.set_num_threads(1)
photographs = datasets.load("demo-train")
pictures = {k: photographs[k][80:260, 100:300] for k in photographs}
training.train(
    training.Config(**json.loads(sys.argv[2])), pictures, device="cpu",
    out=sys.argv[1], resume=True, progress=False,
    on_validate=lambda row, _: print(row["step"], flush=True),
)
"""


def test_interrupted_and_killed_runs_go_on_bit_for_bit(
    pictures, tmp_path, ctrl_c_works
):
    config = dataclasses.replace(MUON, steps=400, validate_every=20)
    state = tmp_path / f"{NAME}.state"

    def press_soon(row, _):  # at no particular moment of a later step
        if row["step"] == 20:
            threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT)).start()

    with pytest.raises(KeyboardInterrupt):
        train(config, pictures, out=tmp_path, on_validate=press_soon)
    assert [p.name for p in tmp_path.iterdir()] == [state.name]
    stopped = state.read_bytes()

    recipe = json.dumps(dataclasses.asdict(config))
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, tmp_path, recipe],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    step = int(child.stdout.readline())
    child.kill()
    child.communicate(timeout=60)
    assert child.returncode == -signal.SIGKILL and 20 < step < 400
    assert state.read_bytes() == stopped  # whole, as it was written last
    others = tmp_path / ".other_x3.state.99.tmp"
    for left in (tmp_path / f".{state.name}.99.tmp", others):  # killed while writing
        left.write_bytes(b"half")

    resumed = train(config, pictures, out=tmp_path, resume=True)
    assert same_end(resumed, train(config, pictures))
    ours = {f"{NAME}.safetensors", f"{NAME}.json"}
    assert {p.name for p in tmp_path.iterdir()} == ours | {others.name}


@pytest.mark.parametrize("step", [10, 20])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_ctrl_c_during_a_validation(
    pictures, tmp_path, ctrl_c_works, monkeypatch, step, moment
):
    """The row comes once, also that of the last step."""
    original = training._Loop._validate

    def interrupted(loop, *arguments):
        for action in (press_ctrl_c, original)[:: 1 if moment == "before" else -1]:
            if action is original:
                original(loop, *arguments)
            elif loop.state.step == step:
                press_ctrl_c()

    with monkeypatch.context() as patch:
        patch.setattr(training._Loop, "_validate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(TINY, pictures, out=tmp_path)
    resumed = train(TINY, pictures, out=tmp_path, resume=True)
    assert same_end(resumed, train(TINY, pictures))


def test_ctrl_c_amid_a_step_waits_for_its_end(
    pictures, tmp_path, ctrl_c_works, monkeypatch
):
    """Between the update of the weights and that of their average."""
    original = training._Loop._revive

    def interrupted(loop):
        if loop.state.step == 7:
            press_ctrl_c()
        original(loop)

    with monkeypatch.context() as patch:
        patch.setattr(training._Loop, "_revive", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(MUON, pictures, out=tmp_path)
    resumed = train(MUON, pictures, out=tmp_path, resume=True)
    assert same_end(resumed, train(MUON, pictures))


def stop_at(step):
    return lambda row, _: row["step"] == step and press_ctrl_c()


@pytest.fixture
def stopped(pictures, tmp_path, ctrl_c_works):
    """A run that was stopped at step 10; gives its state's file."""
    with pytest.raises(KeyboardInterrupt):
        train(TINY, pictures, out=tmp_path, on_validate=stop_at(10))
    return tmp_path / f"{NAME}.state"


def refused(state, pictures, config=TINY, **how):
    """The message, one line that names the file; the file stays as it is."""
    before = state.read_bytes()
    with pytest.raises(TrainingError) as caught:
        train(config, pictures, out=state.parent, **how)
    assert state.read_bytes() == before
    said = str(caught.value)
    assert str(state) in said and "--overwrite" in said and "\n" not in said
    return said


@pytest.mark.parametrize("damage", ["empty", "half", "text", "no model", "a function"])
def test_a_damaged_state_is_refused_and_nothing_in_it_is_run(pictures, stopped, damage):
    content = torch.load(stopped, weights_only=True)
    blob = stopped.read_bytes()
    if damage == "no model":
        torch.save({k: content[k] for k in content if k != "recipe"}, stopped)
    elif damage == "a function":
        torch.save(content | {"step": os.getcwd}, stopped)
    else:
        kinds = {"empty": b"", "half": blob[: len(blob) // 2], "text": b"hello\n"}
        stopped.write_bytes(kinds[damage])
    assert "damaged" in refused(stopped, pictures, resume=True)


def test_a_state_of_another_run_is_refused(pictures, stopped):
    other = dataclasses.replace(TINY, seed=1)
    assert "recipe" in refused(stopped, pictures, other, resume=True)
    fewer = dict(list(pictures.items())[:5])
    assert "pictures" in refused(stopped, fewer, resume=True)
    assert "--resume" in refused(stopped, pictures)
    run = train(TINY, pictures, out=stopped.parent, overwrite=True)
    assert same_end(run, train(TINY, pictures))


def test_finished_weights_are_not_overwritten_unasked(pictures, tmp_path):
    """Neither by a new run nor by --resume, which finds nothing to go on from."""
    first = train(TINY, pictures, out=tmp_path, resume=True)  # no state: it begins
    assert same_end(first, train(TINY, pictures))
    path = tmp_path / f"{NAME}.safetensors"
    for resume in (False, True):
        refused(path, pictures, dataclasses.replace(TINY, seed=1), resume=resume)
    before = path.read_bytes()
    config = dataclasses.replace(TINY, seed=1)
    train(config, pictures, out=tmp_path, overwrite=True)
    assert path.read_bytes() != before


def test_a_folder_in_use_is_refused(pictures, tmp_path):
    """The second run deletes nothing of the first, which ends as it should."""

    def second(row, _):
        with pytest.raises(TrainingError, match="another run.*--out"):
            train(TINY, pictures, out=tmp_path, overwrite=True)

    run = train(TINY, pictures, out=tmp_path, on_validate=second)
    assert same_end(run, train(TINY, pictures))
    assert (tmp_path / f"{NAME}.safetensors").exists()


def test_a_full_disk_leaves_the_last_state(pictures, stopped, monkeypatch):
    before = stopped.read_bytes()
    full = Mock(side_effect=OSError(28, "No space left on device"))
    monkeypatch.setattr(os, "fsync", full)
    monkeypatch.setattr(training, "SAVE_EVERY_S", 0)
    with pytest.raises(OSError, match="No space left") as caught:
        train(TINY, pictures, out=stopped.parent, resume=True)
    assert str(stopped) in str(caught.value)
    assert stopped.read_bytes() == before
