"""What a run leaves on disk: a state to go on from, then weights and their card."""

import contextlib
import datetime
import os
import subprocess
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from . import checkpoints
from .models import SRCNN, Network
from .subimages import TrainingError


class RunFiles:
    """NAME.state while a run trains, NAME.safetensors and NAME.json at its end.

    TrainingError for a folder that can't be written to or that another run uses, for a
    state unless `resume`, and for finished weights; `overwrite` replaces these two.
    """

    def __init__(self, folder: Path, name: str, resume: bool, overwrite: bool):
        self.weights = folder / f"{name}.safetensors"
        self.state, self.resume = folder / f"{name}.state", resume and not overwrite
        self.left = folder / f".{name}.state.tmp"
        self.lock = FileLock(folder / f".{name}.lock")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.lock.acquire(timeout=0)
            self.left.unlink(missing_ok=True)
        except Timeout:
            raise TrainingError(
                f"{self.state}: another run is training here; give another --out"
            ) from None
        except OSError as error:
            raise TrainingError(f"{folder}: {error.strerror or error}") from None
        refused = None
        if self.state.exists():
            if not resume:
                refused = f"{self.state}: a run was stopped here; --resume continues it"
        elif self.weights.exists():
            refused = f"{self.weights}: a finished run's weights; give another --out"
        if refused and not overwrite:
            self.close()
            raise TrainingError(f"{refused}; --overwrite begins anew")

    def close(self) -> None:
        """Let other runs in."""
        self.lock.release()
        with contextlib.suppress(OSError):
            Path(self.lock.lock_file).unlink()

    def write(self, content: dict) -> None:
        """Write a state under a temporary name, then rename it into place."""
        try:
            with open(self.left, "wb") as file:
                torch.save(content, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(self.left, self.state)
        except (OSError, RuntimeError) as error:  # torch's own for a full disk
            raise OSError(f"{self.state}: can't be written ({error})") from None

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


def circumstances() -> dict:
    """Version of PyTorch, commit of the code (None outside a checkout) and date."""
    facts = {"torch": torch.__version__, "commit": None}
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = ["git", "-C", Path(__file__).parent, "rev-parse", "--short", "HEAD"]
        found = subprocess.run(command, timeout=5, capture_output=True, text=True)
        facts["commit"] = found.stdout.strip() or None
    return facts | {"date": datetime.date.today().isoformat()}
