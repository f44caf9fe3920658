"""What a run leaves on disk: a state to go on from, then weights and their card."""

import contextlib
import dataclasses
import datetime
import glob
import io
import os
import subprocess
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from . import checkpoints
from .files import write_atomically
from .models import SRCNN, Network, describe
from .subimages import TrainingError


class RunFiles:
    """NAME.state while a run trains, NAME.safetensors and NAME.json at its end.

    TrainingError for a folder that can't be written to or that another run uses, for a
    state unless `resume`, and for finished weights; `overwrite` replaces these two.
    """

    def __init__(self, folder: Path, name: str, resume: bool, overwrite: bool):
        self.weights = folder / f"{name}.safetensors"
        self.state, self.resume = folder / f"{name}.state", resume and not overwrite
        self.lock = FileLock(folder / f".{name}.lock")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.lock.acquire(timeout=0)
        except Timeout:
            raise TrainingError(
                f"{self.state}: another run is training here; give another --out"
            ) from None
        except OSError as error:
            raise TrainingError(f"{folder}: {error.strerror or error}") from None
        refused = None
        if self.state.exists() and not resume:
            refused = f"{self.state}: a run was stopped here; --resume continues it"
        elif self.weights.exists() and not self.state.exists():
            refused = f"{self.weights}: a finished run's weights; give another --out"
        if refused and not overwrite:
            self.close()
            raise TrainingError(f"{refused}; --overwrite begins anew")
        # What a killed run was writing; under the lock nobody else does.
        for left in folder.glob(f".{glob.escape(name[:50])}.*.tmp"):
            left.unlink(missing_ok=True)

    def close(self) -> None:
        """Let other runs in."""
        self.lock.release()
        with contextlib.suppress(OSError):
            Path(self.lock.lock_file).unlink()

    def write(self, content: dict) -> None:
        """Write a state, whole or not at all."""
        blob = io.BytesIO()
        torch.save(content, blob)
        write_atomically(self.state, blob.getbuffer())

    def read(self, recipe: dict) -> dict | None:
        """The state to go on from, or None; it must be of this `recipe`."""
        if not (self.resume and self.state.exists()):
            return None
        try:
            content = torch.load(self.state, weights_only=True, map_location="cpu")
            other = [key for key in recipe if content.pop(key) != recipe[key]]
        except Exception as error:  # torch raises many kinds
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise TrainingError(
                f"{self.state}: damaged; --overwrite begins again ({reason})"
            ) from None
        if other:
            raise TrainingError(
                f"{self.state}: is of another {' and '.join(other)}; give that, or "
                "--overwrite to begin again"
            )
        return content

    def finish(self, network: Network, card: dict) -> None:
        """Write weights and card; the state is no longer needed."""
        if isinstance(network, SRCNN):
            checkpoints.write(network, self.weights, card)
        else:
            checkpoints.write_tensors(network.state_dict(), self.weights, card)
        self.state.unlink(missing_ok=True)


def describe_run(state, data, name: str, device: torch.device) -> dict:
    """The card of a finished run, whose training pictures are called `name`."""
    c, began = state.config, state.began_with
    return {
        "scale": c.scale,
        "arch": c.arch,
        "training_images": f"{name} ({data.count})",
        "reading": "streamed" if data.large else "in memory",
        "skipped": data.skipped,
        "validation_images": data.validated_on,
        "validation_bicubic_db": round(data.measure.bicubic_db(), 3),
        "validation_psnr_db": round(state.history[-1]["psnr_db"], 3),
        "sub_images": c.steps * c.batch,
        "minutes": round(state.seconds / 60, 2),
        "device": describe(device),
        "processes": int(os.environ.get("WORLD_SIZE", 1)),
        "config": dataclasses.asdict(c),
        "history": state.history,
    } | circumstances() | ({"began_with": began} if began else {})  # fmt: skip


def circumstances() -> dict:
    """Version of PyTorch, commit of the code (None outside a checkout) and date."""
    commit = None
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = ["git", "-C", Path(__file__).parent, "rev-parse", "--short", "HEAD"]
        found = subprocess.run(command, timeout=5, capture_output=True, text=True)
        commit = found.stdout.strip() or None
    date = datetime.date.today().isoformat()
    return {"torch": torch.__version__, "commit": commit, "date": date}
