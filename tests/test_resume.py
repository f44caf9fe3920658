"""What a run survives: kills, damaged states, full disks, divergence.

Runs of the real command, small and on one thread; the embedded photographs.
"""

import errno
import hashlib
import io
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from srcnn_lib import checkpoints, cli, images, training

ROOT = Path(__file__).parent.parent
PROGRAM = [sys.executable, "-m", "srcnn_lib"]
STEM = "3-1-3_4-4_x3"
TRAIN = ["train", "--scale", "3", "--arch", "3-1-3_4-4", "--device", "cpu"]

pytestmark = pytest.mark.usefixtures("one_thread")




@pytest.fixture
def srcnn(capsys):
    """Run a command in this process: (status, stdout, stderr)."""

    def run(*argv):
        capsys.readouterr()
        status = cli.main([str(a) for a in argv])
        return status, *capsys.readouterr()

    return run


def command(school, out, *more):
    options = ["--images", school, "--out", out, "--steps", 200, *more]
    return [*TRAIN, *map(str, options)]


def same(a, b):
    a, b = (load_file(folder / f"{STEM}.safetensors") for folder in (a, b))
    return all(torch.equal(a[k], b[k]) for k in a)


def stopped(school, out, step, srcnn, monkeypatch, *more):
    """Ctrl-C at a step; the state's file."""
    original = training._Loop._step

    def pressed(loop):
        if loop.state.step == step:
            raise KeyboardInterrupt
        return original(loop)

    with monkeypatch.context() as patch:
        patch.setattr(training._Loop, "_step", pressed)
        assert srcnn(*command(school, out, *more, "--resume"))[0] == 130
    return out / f"{STEM}.state"


def one_line(result, *said):
    status, _, stderr = result
    last = stderr.splitlines()[-1]
    assert status == 2 and last.startswith("srcnn train: ")
    assert "Traceback" not in stderr and "Errno" not in last
    for text in said:
        assert str(text) in last, last


# Kills ---------------------------------------------------------------------

# The state is written every few milliseconds rather than every minute.
CHILD = """
import sys
import torch
from srcnn_lib import cli, training
torch.set_num_threads(1)
training.SAVE_EVERY_S = 0.005
sys.exit(cli.main(sys.argv[1:], ready=lambda: print("ready", flush=True)))
"""


def test_killed_at_random_moments_it_ends_with_the_same_weights(
    school, tmp_path, srcnn
):
    """Eight kills: two before a step is done, six while states are written."""
    whole, out = tmp_path / "whole", tmp_path / "out"
    state = out / f"{STEM}.state"
    steps = ["--steps", 3000]
    moments = random.Random(7)
    for kill in range(8):
        before = state.stat().st_mtime_ns if state.exists() else None
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, *command(school, out, *steps, "--resume")],
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert child.stdout.readline() == b"ready\n"
        if kill % 4:
            while before == (state.stat().st_mtime_ns if state.exists() else None):
                time.sleep(0.002)
        time.sleep(moments.uniform(0, 0.1))
        child.kill()
        _, stderr = child.communicate()
        assert child.returncode == -signal.SIGKILL and b"damaged" not in stderr
    status, _, stderr = srcnn(*command(school, out, *steps, "--resume"))
    assert status == 0 and "damaged" not in stderr and " 0/3000" not in stderr
    assert srcnn(*command(school, whole, *steps))[0] == 0
    assert same(whole, out)
    names = {f"{STEM}.json", f"{STEM}.safetensors"}
    assert {p.name for p in out.iterdir()} == names  # no state, nothing half


@pytest.mark.parametrize("call", ["first rename", "second rename"])
def test_killed_amid_the_write_of_a_state(
    school, tmp_path, srcnn, monkeypatch, call
):
    """Just before either of the renames that put a new state in place."""
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert srcnn(*command(school, whole))[0] == 0
    stopped(school, out, 50, srcnn, monkeypatch)
    replace, calls = os.replace, []

    class Killed(BaseException):
        """Nothing runs after a kill: clean-up is suppressed below."""

    def killed(source, target):
        calls.append(target)
        if len(calls) == (1 if call == "first rename" else 2):
            raise Killed
        replace(source, target)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(os, "replace", killed)
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        stopped(school, out, 120, srcnn, monkeypatch)
    left = {p.name for p in out.iterdir()}
    assert any(name.endswith(".tmp") for name in left)
    status, _, stderr = srcnn(*command(school, out, "--resume"))
    assert status == 0 and "50/200" in stderr and same(whole, out)
    assert len(list(out.iterdir())) == 2


# Damaged and foreign states -----------------------------------------------


@pytest.mark.parametrize("damage", ["empty", "half", "one bit"])
def test_a_damaged_state_gives_way_to_the_one_before(
    school, tmp_path, srcnn, monkeypatch, damage
):
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert srcnn(*command(school, whole))[0] == 0
    stopped(school, out, 50, srcnn, monkeypatch)
    state = stopped(school, out, 120, srcnn, monkeypatch)
    blob = bytearray(state.read_bytes())
    if damage == "one bit":
        blob[len(blob) // 2] ^= 1
    state.write_bytes(blob[: {"empty": 0, "half": len(blob) // 2}.get(damage)])
    status, _, stderr = srcnn(*command(school, out, "--resume"))
    assert status == 0 and same(whole, out)
    (line,) = (x for x in stderr.splitlines() if "damaged" in x)
    assert str(state) in line and "going on from the one before it" in line
    assert "50/200" in stderr


def test_two_damaged_states_are_refused(school, tmp_path, srcnn, monkeypatch):
    out = tmp_path / "out"
    stopped(school, out, 50, srcnn, monkeypatch)
    state = stopped(school, out, 120, srcnn, monkeypatch)
    for file in out.iterdir():
        file.write_bytes(file.read_bytes()[:1000])
    before = {p: p.read_bytes() for p in out.iterdir()}
    result = srcnn(*command(school, out, "--resume"))
    one_line(result, state, "damaged state", "delete it")
    assert {p: p.read_bytes() for p in out.iterdir()} == before


def test_a_state_of_other_pictures_is_refused(school, tmp_path, srcnn, monkeypatch):
    out = tmp_path / "out"
    state = stopped(school, out, 50, srcnn, monkeypatch)
    file = sorted(school.iterdir())[1]
    image = images.read(file)
    original = image.copy()
    image[3, 4] ^= 1
    images.write(file, image)
    result = srcnn(*command(school, out, "--resume"))
    one_line(result, state, "other training pictures")
    images.write(file, original)
    assert srcnn(*command(school, out, "--resume"))[0] == 0


# A full disk, and a drive with few abilities ---------------------------------


def test_a_full_disk_loses_nothing(school, tmp_path, srcnn, monkeypatch):
    """The bytes that fit are written, then comes ENOSPC."""
    out = tmp_path / "out"
    assert srcnn(*command(school, out, "--seed", 1))[0] == 0  # older weights
    stopped(school, out, 50, srcnn, monkeypatch)
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    assert len(before) == 3

    def full(file):
        file.truncate(100)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "_force_to_disk", full)
        patch.setattr(training, "SAVE_EVERY_S", 0)  # while it trains
        one_line(srcnn(*command(school, out, "--resume")), f"{STEM}.state", "No space")
        assert {p.name: p.read_bytes() for p in out.iterdir()} == before
        patch.setattr(training, "SAVE_EVERY_S", 60)  # at its end
        result = srcnn(*command(school, out, "--resume"))
        one_line(result, f"{STEM}.safetensors", "No space")
        assert {p.name: p.read_bytes() for p in out.iterdir()} == before
    whole = tmp_path / "whole"
    assert srcnn(*command(school, out, "--resume"))[0] == 0
    assert srcnn(*command(school, whole))[0] == 0 and same(whole, out)


LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (500, resource.RLIM_INFINITY))
from srcnn_lib import cli
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.skipif(os.name == "nt", reason="needs RLIMIT_FSIZE")
def test_a_write_that_the_system_refuses(school, tmp_path, srcnn, monkeypatch):
    """A real refusal: no file may be larger than 500 bytes."""
    out = tmp_path / "out"
    stopped(school, out, 190, srcnn, monkeypatch)
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *command(school, out, "--resume")],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    one_line((done.returncode, done.stdout, done.stderr), "can't be written")
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP])
def test_a_mounted_drive_without_fsync_or_links(
    school, tmp_path, srcnn, monkeypatch, code
):
    def refused(*_, **__):
        raise OSError(code, os.strerror(code))

    for name in ("fsync", "link", "symlink"):
        monkeypatch.setattr(os, name, refused)
    monkeypatch.setattr(training, "SAVE_EVERY_S", 0)
    assert srcnn(*command(school, tmp_path / "out"))[0] == 0


# Divergence ----------------------------------------------------------------


def test_divergence_names_the_step_and_the_last_good_state(
    school, tmp_path, srcnn, monkeypatch
):
    """Long before the next validation, and the state stays as it was."""
    out = tmp_path / "out"
    recipe = ["--steps", 9000, "--learning-rate", 1e30, "--preset", "full"]
    result = srcnn(*command(school, out, *recipe))
    one_line(result, "no longer finite", "smaller step size", "no state was written")
    assert list(out.iterdir()) == []

    state = stopped(school, out, 20, srcnn, monkeypatch)
    before = state.read_bytes()
    original = training._Loop._step

    def poisoned(loop):
        loss = original(loop)
        if loop.state.step >= 60:
            with torch.no_grad():
                loop.state.model.convs[0].weight[0, 0, 0, 0] = np.nan
        return loss

    monkeypatch.setattr(training._Loop, "_step", poisoned)
    result = srcnn(*command(school, out, "--resume"))
    one_line(result, "at step 100", f"last good state is {state}")
    assert state.read_bytes() == before
    monkeypatch.setattr(training, "SAVE_EVERY_S", 0)
    one_line(srcnn(*command(school, out, "--resume")), "at step 60", "of step 59")


# Nothing in a file is executed ---------------------------------------------


class Trap:
    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return Path.touch, (Path(self.marker),)


def test_a_state_executes_nothing(school, tmp_path, srcnn, monkeypatch):
    state = stopped(school, tmp_path / "out", 50, srcnn, monkeypatch)
    buffer = io.BytesIO()
    torch.save({"config": Trap(tmp_path / "sprung")}, buffer)
    digest = hashlib.sha256(buffer.getvalue()).hexdigest().encode()
    state.write_bytes(digest + b"\n" + buffer.getvalue())
    one_line(srcnn(*command(school, state.parent, "--resume")), state, "damaged")
    assert not (tmp_path / "sprung").exists()


# Ctrl-C before there is anything to stop -------------------------------------


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
@pytest.mark.parametrize(
    "library, more_s", [("_multiarray_umath", 0), ("libtorch_cpu", 0.1)]
)
def test_ctrl_c_while_libraries_are_imported(school, tmp_path, library, more_s):
    """NumPy comes first; PyTorch, which takes a second or two, last."""
    child = subprocess.Popen(
        [*PROGRAM, *command(school, tmp_path / "out", "--steps", 100_000)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Also where the tests run in the background, which ignores Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    maps = Path(f"/proc/{child.pid}/maps")
    while library not in maps.read_text():
        time.sleep(0.01)
    time.sleep(more_s)
    child.send_signal(signal.SIGINT)
    stdout, stderr = child.communicate(timeout=120)
    assert (child.returncode, stdout) == (130, "")
    line = "srcnn train: stopped; the same command with --resume goes on\n"
    assert stderr == line
    assert not (tmp_path / "out").exists()
