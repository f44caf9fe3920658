"""What the studies share: rows in a file, options, training, and fair timing."""

import argparse
import contextlib
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import torch

from srcnn_lib import checkpoints, datasets, models, protocol, runs, training
from srcnn_lib.chapters.successors import super_resolve

SCALE = 3  # the magnification of all studies
#: The learning rates that all studies search.
GRID = [float(f"{digit}e{power}") for power in range(-8, 3) for digit in (1, 2, 5)]
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


def train(config: training.Config, images=None, **choices) -> training.Run:
    """Train on T91, on one thread of the CPU where `choices` don't say otherwise."""
    usual = {"device": "cpu", "threads": 1, "progress": False, "name": "T91"}
    images = datasets.load("T91") if images is None else images
    return training.train(config, images, **usual | choices)


def search(score, start: float) -> float:
    """The learning rate of `GRID` with the best score; of equals, the smaller.

    Begins at `start` and ends when both neighbours of the best have been tried: the
    best is then inside what was tried.  `score` is a rate's PSNR on validation
    pictures, or None if training diverged.
    """
    tried, best, before = {}, GRID.index(start), None
    while best != before:
        for k in (best, best - 1, best + 1):
            if k not in tried:
                tried[k] = score(GRID[k]) or 0.0
        before, best = best, max(tried, key=lambda k: (tried[k], -k))
    return GRID[best]


def record(rows: Rows, config: training.Config, about: dict, *, make=None,
           images=None, measure=None, name="T91") -> dict:  # fmt: skip
    """The row of this run, trained and added unless the file has it.

    `about` has its kind, name and what else tells it apart; an equal run of another
    kind or name is copied.  By seed, `make` gives a network to train, and `images` the
    pictures called `name`; by the network, `measure` gives more of the row.  A run that
    diverges has a row without a PSNR.
    """
    seed, network = config.seed, make and make(config.seed)
    if network is not None:
        config = dataclasses.replace(config, arch=network.name, init="given")
    about = about | {"seed": seed}
    if row := rows.find(config, **about):
        return row
    told = {k: about[k] for k in about.keys() & {"group", "pictures", "preset"}}
    row = rows.find(config, **told)
    if row is None:
        try:
            run = train(config, images and images(seed), network=network, name=name)
            row = {key: run.card[key] for key in CARD}
            row |= measure(run.model.cpu()) if measure else {}
        except training.TrainingError as error:
            row = {"validation_psnr_db": None, "error": str(error).split(";")[0]}
            row |= {"config": dataclasses.asdict(config)} | facts()
    print(*about.values(), config.learning_rate, row["validation_psnr_db"], flush=True)
    return rows.add(row | about)


def tune(run, seeds, rate: float, start: float | None = None) -> float:
    """``run(kind, seed, learning_rate)`` for each seed; gives the rate.

    If there is a `start`, the rate is searched first, with seed 0, and the trial at the
    best is the run of seed 0.
    """
    rate = search(partial(run, "trial", 0), start) if start else rate
    for seed in seeds:
        run("run", seed, rate)
    return rate


def runs_of(rows: Rows, config, about: dict, seeds, start=None, **how) -> float:
    """`tune` a recipe, by `record`."""

    def run(kind: str, seed: int, rate: float) -> float | None:
        recipe = dataclasses.replace(config, seed=seed, learning_rate=rate)
        found = record(rows, recipe, about | {"kind": kind}, **how)
        return found["validation_psnr_db"]

    return tune(run, seeds, config.learning_rate, start)


class Padded(torch.nn.Sequential):
    """9-1-5 as most public ports train it: PyTorch's start, zeros around each image."""

    name, factor, border = "9-1-5-padded", 1, 0
    convs = property(lambda self: self[::2])

    def __init__(self, seed: int):
        torch.manual_seed(seed)
        conv, relu = partial(torch.nn.Conv2d, padding="same"), torch.nn.ReLU()
        super().__init__(conv(1, 64, 9), relu, conv(64, 32, 1), relu, conv(32, 1, 5))

    def forward(self, y: torch.Tensor, padding: str = "same") -> torch.Tensor:
        """(B, 1, H, W) ↦ the same, whatever `padding`."""
        return super().forward(y)


def set5(network) -> dict:
    """For `record`: mean PSNR on Set5, which chooses nothing."""
    return {"set5_psnr_db": mean_db(partial(super_resolve, network), "Set5")}


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
