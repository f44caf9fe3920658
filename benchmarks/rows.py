"""What the studies share: rows in a file, options, training, and fair timing."""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

from srcnn_lib import checkpoints, datasets, models, protocol, runs, training

SCALE = 3  # the magnification of all studies
#: What a study keeps of a training run's card.
CARD = (
    "validation_images", "validation_psnr_db", "sub_images", "minutes", "device",
    "torch", "commit", "date", "config", "history",
)  # fmt: skip


class Rows(list):
    """The rows of a study, in a JSON file that is written after each new row.

    A study that was stopped goes on where it ended, because it looks with `find` for
    what its file already holds.  `path` is the file, which need not exist yet, or a
    study's name, of data/studies.
    """

    def __init__(self, path: str | Path):
        if isinstance(path, str):
            path = datasets.data_folder() / "studies" / f"{path}.json"
        self.path = path
        super().__init__(self._read())

    def find(self, recipe=None, **wanted) -> dict | None:
        """The first row with these values and this recipe, however often validated."""
        for row in self:
            known = all(row.get(key) == value for key, value in wanted.items())
            if known and recipe is not None:
                often = {"validate_every": recipe.validate_every}
                known = "config" in row and training.same(recipe, row["config"] | often)
            if known:
                return row
        return None

    def add(self, row: dict) -> dict:
        """Append a row to those in the file, which another process may have added."""
        self.replace([*self._read(), row])
        return row

    def replace(self, rows: list[dict]) -> None:
        """Let these be all rows, and write them."""
        self[:] = rows
        lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in self)
        checkpoints.write_atomically(self.path, f"[\n{lines}\n]\n".encode())

    def _read(self) -> list[dict]:
        return json.loads(self.path.read_text("utf-8")) if self.path.exists() else []


def options(doc: str, **defaults):
    """What the command line says of these options; a tuple has all that is possible.

    PyTorch takes as many threads as `threads` says, or one.
    """
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=doc, formatter_class=form)
    for name, value in defaults.items():
        how = {"type": type(value), "default": value}
        if isinstance(value, tuple):
            how = {"choices": value, "default": value[0]}
        elif value is False:
            how = {"action": "store_true"}
        parser.add_argument(f"--{name}", **how)
    values = parser.parse_args()
    torch.set_num_threads(getattr(values, "threads", 1))
    return values


def facts() -> dict:
    """On what machine, by which code and when something is measured, on the CPU."""
    return {"device": models.describe(torch.device("cpu"))} | runs.circumstances()


def train(config: training.Config, **choices) -> training.Run:
    """Train on T91, on one thread of the CPU where `choices` don't say otherwise."""
    usual = {"device": "cpu", "threads": 1, "progress": False, "name": "T91"}
    return training.train(config, datasets.load("T91"), **usual | choices)


def mean_db(method, dataset: str, scale: int = SCALE) -> float:
    """Mean PSNR of a data set by the protocol, to four digits."""
    scores = protocol.evaluate(method, datasets.load(dataset), scale)
    return round(protocol.mean(scores)[0], 4)


def seconds_in_turn(calls: dict, dataset: str, rounds: int, clock=time.perf_counter,
                    of=statistics.median) -> dict:  # fmt: skip
    """Each method's seconds for a picture, in the mean of a data set.

    The methods take turns, round after round, so that whatever else the machine does
    falls on all of them; `of` these rounds a picture's time is the median.  A first
    call on a small picture is not timed.
    """
    lr = [protocol.degrade(i, SCALE)[1] for i in datasets.load(dataset).values()]
    for call in calls.values():
        call(lr[0][:40, :40], SCALE)
    taken = {key: [[] for _ in lr] for key in calls}
    for _ in range(rounds):
        for key, call in calls.items():
            for lr_y, seconds in zip(lr, taken[key]):
                began = clock()
                call(lr_y, SCALE)
                seconds.append(clock() - began)
    return {k: round(statistics.mean(map(of, each)), 5) for k, each in taken.items()}


@contextlib.contextmanager
def other_program(busy: bool):
    """Let another process keep a core busy, if `busy`; gives the load before."""
    load = round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None
    work = "import os\nos.sched_setaffinity(0, {max(os.sched_getaffinity(0))})\n"
    work = work * hasattr(os, "sched_setaffinity") + "while True: pass"
    process = subprocess.Popen([sys.executable, "-c", work]) if busy else None
    try:
        time.sleep(0.5 * busy)
        yield load
    finally:
        if process is not None:
            process.kill()
            process.wait()
