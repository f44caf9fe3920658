"""Several processes that train as one, started by the real torchrun."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from srcnn_lib import parallel

ROOT = Path(__file__).parent.parent
ALONE = [sys.executable, "-m", "srcnn_lib"]
STEM = "5-1-3_8-6_x3"
TRAIN = ["train", "--scale", "3", "--arch", "5-1-3_8-6", "--device", "cpu"]

pytestmark = pytest.mark.skipif(
    os.name == "nt" or not torch.distributed.is_available(),
    reason="needs torchrun's Gloo",
)


def several(count, *program):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return [*torchrun, f"--nproc_per_node={count}", *program]


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Start a command in a process group of its own; no data beside it."""
    monkeypatch.delenv("SRCNN_DATA", raising=False)
    more = {
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "SRCNN_CACHE": str(tmp_path / "cache"),
        "SRCNN_OFFLINE": "1",
    }

    def start(command):
        return subprocess.Popen(
            list(map(str, command)),
            env=os.environ | more,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    return start


@pytest.fixture
def run(start):
    """(exit status, standard output, standard error)."""

    def run(command):
        child = start(command)
        stdout, stderr = child.communicate(timeout=300)
        return child.returncode, stdout.decode(), stderr.decode()

    return run


def ours(stderr):
    """The lines that are not torchrun's."""
    return [x for x in stderr.splitlines() if x.startswith(("srcnn:", "srcnn train"))]


def furthest(a, b):
    a, b = (load_file(folder / f"{STEM}.safetensors") for folder in (a, b))
    return max((a[k] - b[k]).abs().max().item() for k in a)


@pytest.mark.parametrize(
    "count, recipe",
    [
        (2, ["--optimiser", "muon"]),
        (3, ["--preset", "paper", "--batch", "6"]),
    ],
)
def test_as_one_process_with_the_same_batch(tmp_path, run, count, recipe):
    command = [*TRAIN, "--steps", 20, *recipe]
    status, stdout, stderr = run(
        several(count, "-m", "srcnn_lib", *command, "--out", "several")
    )
    assert status == 0, stderr
    assert stdout.count("over bicubic") == stdout.count("\n") == 1
    assert len(ours(stderr)) == 1 and "demo-train" in ours(stderr)[0]
    assert run([*ALONE, *command, "--out", "alone"])[0] == 0
    assert furthest(tmp_path / "several", tmp_path / "alone") < 1e-5
    cards = [
        json.loads((tmp_path / f / f"{STEM}.json").read_text("utf-8"))
        for f in ("several", "alone")
    ]
    assert [card["processes"] for card in cards] == [count, 1]
    drawn = cards[0]["sub_images"]
    assert drawn == cards[1]["sub_images"] == 20 * cards[0]["config"]["batch"]


@pytest.mark.parametrize(
    "options, said",
    [
        (["--batch", "16"], "16 can't be shared by 3 processes; take --batch 15 or 18"),
        (["--batch", "15", "--images", "nowhere"], "nowhere: no such folder"),
    ],
)
def test_an_error_is_said_once(tmp_path, run, options, said):
    status, stdout, stderr = run(
        several(3, "-m", "srcnn_lib", *TRAIN, "--steps", 4, *options)
    )
    assert status != 0 and stdout == ""
    (line,) = ours(stderr)
    assert line.startswith("srcnn train: ") and said in line
    assert "exitcode  : 2" in stderr  # as torchrun reports ours


ONE_FAILS = """
import sys
from srcnn_lib import parallel
with parallel.join() as world:
    try:
        with world.together():
            if world.rank == 1:
                raise ValueError("no folder here")
    except ValueError as e:
        print("srcnn:", e, file=sys.stderr)
        sys.exit(2)
"""


def test_an_error_of_one_process_alone(tmp_path, run):
    (tmp_path / "fails.py").write_text(ONE_FAILS)
    status, _, stderr = run(several(2, "fails.py"))
    assert status != 0 and ours(stderr) == ["srcnn: process 1: no folder here"]


def test_stopped_and_resumed_by_another_number(tmp_path, start, run):
    """Ctrl-C reaches torchrun and all it started, as in a terminal."""
    # With SGD rounding hardly grows.
    command = [*TRAIN, "--steps", 600, "--optimiser", "sgd", "--out", "out"]
    child = start(several(2, "-m", "srcnn_lib", *command))
    shown = b""
    while b"validation" not in shown and (byte := child.stderr.read(1)):
        shown += byte
    os.killpg(child.pid, signal.SIGINT)
    stdout, rest = child.communicate(timeout=120)
    stderr = (shown + rest).decode()
    assert child.returncode != 0 and stdout == b""
    assert "KeyboardInterrupt" not in stderr
    line = ours(stderr)[-1]
    assert "stopped" in line and "--resume goes on" in line
    assert sum("stopped" in line for line in ours(stderr)) == 1
    out = tmp_path / "out"
    assert [p.name for p in out.iterdir()] == [f"{STEM}.state"]

    status, _, stderr = run([*ALONE, *command, "--resume"])
    assert status == 0 and " 0/600" not in stderr
    whole = [*command[:-1], "whole"]
    assert run([*ALONE, *whole])[0] == 0
    assert furthest(out, tmp_path / "whole") < 1e-5


def test_parts_of_a_batch():
    worlds = [parallel.World(rank, 4) for rank in range(4)]
    parts = [list(range(16))[world.part(16)] for world in worlds]
    assert sum(parts, []) == list(range(16)) and {len(p) for p in parts} == {4}
    with pytest.raises(ValueError, match="take --batch 4$"):
        worlds[0].part(3)
    assert parallel.World().part(7) == slice(0, 7)
