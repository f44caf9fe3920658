"""What the studies share: rows in a file, facts about a run, and fair timing."""

import dataclasses
import datetime
import json
import subprocess
import time
from pathlib import Path

import torch

from srcnn_lib import checkpoints, datasets
from srcnn_lib.models import describe

#: What a study keeps of a training run's card.
CARD = (
    "validation_images", "validation_psnr_db", "sub_images", "minutes", "device",
    "torch", "commit", "config", "history",
)  # fmt: skip


class Rows(list):
    """The rows of a study, in a JSON file that is written after each new row.

    A study that was stopped so goes on where it ended: it looks with `find` for what
    its file already holds.

    path : the file, which need not exist yet; or a study's name, of data/studies.
    """

    def __init__(self, path: str | Path):
        if isinstance(path, str):
            path = datasets.data_folder() / "studies" / f"{path}.json"
        self.path = path
        super().__init__(self._read())

    def find(self, recipe=None, ignore: tuple[str, ...] = (), **wanted) -> dict | None:
        """The first row with these values; with a recipe, also `same_recipe`."""
        for row in self:
            if all(row.get(key) == value for key, value in wanted.items()):
                recorded = row.get("config") or {}
                if recipe is None or same_recipe(recipe, recorded, ignore):
                    return row
        return None

    def add(self, row: dict) -> dict:
        """Append a row to those in the file, which another process may have added."""
        self[:] = [*self._read(), row]
        self.write()
        return row

    def write(self) -> None:
        lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in self)
        checkpoints.write_atomically(self.path, f"[\n{lines}\n]\n".encode())

    def _read(self) -> list[dict]:
        return json.loads(self.path.read_text("utf-8")) if self.path.exists() else []


def same_recipe(recipe, recorded: dict, ignore: tuple[str, ...] = ()) -> bool:
    """Whether a recorded recipe is this `Config`, in all fields that it still has.

    A field that the record lacks came later and had its default.  A field that only
    the record has is gone from the library, and decides nothing.
    """
    fields = [f for f in dataclasses.fields(recipe) if f.name not in ignore]
    return bool(recorded) and all(
        recorded.get(f.name, f.default) == getattr(recipe, f.name) for f in fields
    )


def facts() -> dict:
    """On what machine, by which code and when something is measured, on the CPU."""
    command = ["git", "-C", Path(__file__).parent, "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True)
    return {
        "device": describe(torch.device("cpu")),
        "torch": torch.__version__,
        "commit": done.stdout.strip() or None,
        "date": today(),
    }


def today() -> str:
    return datetime.date.today().isoformat()


def seconds_in_turn(calls: dict, pictures, scale, rounds, clock=time.perf_counter):
    """How long each method takes for each LR picture: key → picture → seconds.

    The methods take turns, round after round, so that whatever else the machine does
    falls on all of them.  A first call on a small picture is not timed.
    """
    for call in calls.values():
        call(pictures[0][:40, :40], scale)
    taken = {key: [[] for _ in pictures] for key in calls}
    for _ in range(rounds):
        for key, call in calls.items():
            for lr_y, seconds in zip(pictures, taken[key]):
                began = clock()
                call(lr_y, scale)
                seconds.append(clock() - began)
    return taken
