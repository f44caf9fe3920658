"""What came next, trained for as long as SRCNN: dB, operations, time.

    nice python benchmarks/successors_study.py [--seconds 20] [--seeds 3]

Equal budget: the same seconds of processor time, on one thread, whatever else the
machine does; so a network with more work in a step gets fewer steps.  All have the
same recipe, pictures and batches of 16 × 21 × 21 label pixels.  Only the learning rate
is chosen for each, on validation pictures, by short runs; if two rates are equally
good, the smaller.  Writes data/studies/successors.json after every run; a second start
goes on where the first ended.  --time measures all networks side by side again.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from benchmarks.rows import CARD, Rows, facts, seconds_in_turn, today
from srcnn_lib import datasets, methods, models, protocol, training
from srcnn_lib.chapters import successors
from srcnn_lib.methods.srcnn import SRCNNMethod

SCALE, LABEL = 3, 21
#: The learning rates of the trials.
RATES = (0.01, 0.03)
#: Of the trials and of the first look at how long a step takes.
TRIAL_SECONDS, LOOK_STEPS = 6, 40


def srcnn(arch: str) -> models.SRCNN:
    architecture = models.Architecture.parse(arch)
    return models.initialise(models.SRCNN(*architecture), "identity")


#: What is trained.  VDSR's has about the weights and operations of 9-5-5.
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "SRCNN 9-1-5": lambda: srcnn("9-1-5"),
    "SRCNN 9-5-5": lambda: srcnn("9-5-5"),
    "VDSR, 8 layers of 32": lambda: successors.VDSR(8, 32),
    "FSRCNN": lambda: successors.FSRCNN(SCALE),
    "ESPCN": lambda: successors.ESPCN(SCALE),
}
#: What is only counted and timed.
LARGE = {"VDSR, 20 layers of 64": successors.VDSR}


def make(name: str, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return (NETWORKS | LARGE)[name]()


def train(name: str, steps: int, learning_rate: float, seed: int) -> training.Run:
    network = make(name, seed)
    config = training.Config(
        scale=SCALE, steps=steps, size=LABEL + 2 * network.border,
        sampling="importance", learning_rate=learning_rate, warmup=50,
        ema_decay=0.99, seed=seed, validate_every=0,
    )  # fmt: skip
    return training.train(config, datasets.load("T91"), network=network,
                          device="cpu", progress=False, name="T91")  # fmt: skip


def row_of(kind: str, name: str, run: training.Run, **more) -> dict:
    kept = {key: run.card[key] for key in (*CARD, "processor_seconds")}
    return {"kind": kind, "name": name} | more | kept | {"date": today()}


class Study:
    """The rows of the file, and what is still missing."""

    def __init__(self, rows: Rows):
        self.rows = rows

    def steps(self, name: str, seconds: float) -> int:
        """As many as fit into `seconds` of processor time."""
        if not self.rows.find(kind="look", name=name):
            self.rows.add(row_of("look", name, train(name, LOOK_STEPS, RATES[0], 100)))
        known = [
            row for row in self.rows
            if row["kind"] in ("look", "trial") and row["name"] == name
        ]  # fmt: skip
        done = sum(row["config"]["steps"] for row in known)
        return max(100, round(
            seconds * done / sum(row["processor_seconds"] for row in known)))

    def learning_rate(self, name: str) -> float:
        """The best on validation pictures after a short run; of equals, the smallest.

        Every trial keeps its row, and its place in the comparison.
        """
        trials = []
        for rate in RATES:
            row = self.rows.find(kind="trial", name=name, learning_rate=rate)
            if row is None:
                run = train(name, self.steps(name, TRIAL_SECONDS), rate, 100)
                row = self.rows.add(row_of("trial", name, run, learning_rate=rate))
            trials.append((row["validation_psnr_db"], -rate))
        return -max(trials)[1]

    def run(self, name: str, seconds: float, seed: int) -> None:
        if self.rows.find(kind="run", name=name, budget_s=seconds, seed=seed):
            return
        rate = self.learning_rate(name)  # its trials tell what a step takes
        steps = self.steps(name, seconds)
        run = train(name, steps, rate, seed)
        row = row_of("run", name, run, budget_s=seconds, seed=seed)
        row |= {"steps": steps, "learning_rate": rate}
        for dataset in ("Set5", "Set14"):
            images = datasets.load(dataset)
            scores = protocol.evaluate(method_of(run.model), images, SCALE)
            row[f"{dataset}_db"] = round(protocol.mean(scores)[0], 4)
        self.rows.add(row)
        print(f"{name:<24} seed {seed}: {steps} steps, {row['processor_seconds']} s, "
              f"{row['validation_psnr_db']} dB validation, {row['Set5_db']:.2f} dB Set5",
              flush=True)  # fmt: skip


class TransposedFSRCNN(successors.FSRCNN):
    """FSRCNN by PyTorch's transposed convolution."""

    def enlarge(self, features):
        first = (self.WIDTH - self.factor) // 2 + self.factor * self.reach
        height, width = (
            self.factor * (n - 2 * self.reach) for n in features.shape[2:]
        )
        y = self.convs[-1](features)
        return y[:, :, first : first + height, first : first + width]


def method_of(network: nn.Module) -> methods.Method:
    """The book's fastest way."""
    if isinstance(network, models.SRCNN):
        return SRCNNMethod(network, "cpu")
    return successors.NetworkMethod(network, "cpu")


def timings(repeats: int) -> list[dict]:
    """Set5, all networks in turn; processor time of one thread.

    `seconds_plain` is by PyTorch's convolutions of the whole picture; `seconds` is the
    book's fastest way, for SRCNN in tiles and for FSRCNN by sub-pixels.
    """
    images = datasets.load("Set5").values()
    small = [protocol.degrade(image, SCALE)[1] for image in images]
    calls = {}
    for name in NETWORKS | LARGE:
        network = plain = make(name, 0)
        if isinstance(network, successors.FSRCNN):
            plain = TransposedFSRCNN(SCALE)
        calls[name, "seconds_plain"] = successors.NetworkMethod(plain, "cpu")
        if plain is not network or isinstance(network, models.SRCNN):
            calls[name, "seconds"] = method_of(network)
    taken = seconds_in_turn(calls, small, SCALE, repeats, time.process_time)
    rows = []
    for name in NETWORKS | LARGE:
        network = make(name, 0)
        row = {
            "kind": "time",
            "name": name,
            "parameters": successors.parameters(network),
            "multiplications": round(successors.multiplications(network), 1),
        }
        for way in ("seconds", "seconds_plain"):
            found = taken.get((name, way), taken[name, "seconds_plain"])
            row[way] = round(statistics.mean(map(statistics.median, found)), 5)
        rows.append(row | {"dataset": "Set5", "scale": SCALE, "repeats": repeats})
    return [row | facts() for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--time", action="store_true", help="measure anew")
    args = parser.parse_args()
    rows = Rows("successors")
    if args.time or not rows.find(kind="time"):
        new = timings(args.repeats)
        rows[:] = [row for row in rows if row["kind"] != "time"] + new
        rows.write()
        for row in new:
            print(f"{row['name']:<24}{row['multiplications']:10,.0f} multiplications"
                  f"{row['seconds']:9.4f} s{row['seconds_plain']:9.4f} s plain")
    for seed in range(args.seeds):
        for name in NETWORKS:
            Study(rows).run(name, args.seconds, seed)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
