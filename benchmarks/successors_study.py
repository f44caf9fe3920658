"""What came next, trained for as long as SRCNN: dB, operations, time.

    nice python benchmarks/successors.py [--seconds 20] [--seeds 3]

Equal budget: the same seconds of processor time, on one thread, whatever else
the machine does; so a network with more work in a step gets fewer steps.  All
have the same recipe, pictures and batches of 16 × 21 × 21 label pixels; the
step size alone is chosen for each, on validation pictures, by short runs.
Writes data/studies/successors.json after every run; a second start goes on
where the first ended.  --time measures all networks side by side again.
"""

import argparse
import datetime
import json
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from srcnn_lib import checkpoints, datasets, methods, models, protocol, training
from srcnn_lib.chapters import successors
from srcnn_lib.methods.srcnn import SRCNNMethod

SCALE, LABEL = 3, 21
FILE = datasets.data_folder() / "studies" / "successors.json"
STEP_SIZES = (0.01, 0.03)
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


def recipe(network, steps: int, learning_rate: float, seed: int):
    return training.Config(
        scale=SCALE,
        steps=steps,
        size=LABEL + 2 * network.border,
        sampling="importance",
        learning_rate=learning_rate,
        warmup=50,
        ema_decay=0.99,
        seed=seed,
        validate_every=0,
    )


def train(name: str, steps: int, learning_rate: float, seed: int):
    network = make(name, seed)
    return training.train(
        recipe(network, steps, learning_rate, seed),
        datasets.load("T91"),
        network=network,
        device="cpu",
        progress=False,
        name="T91",
    )


def row_of(kind: str, name: str, run, **more) -> dict:
    kept = ("validation_images", "validation_psnr_db", "minutes",
            "processor_seconds", "device", "torch", "commit", "config")
    row = {"kind": kind, "name": name} | more
    row |= {key: run.card[key] for key in kept}
    return row | {"date": datetime.date.today().isoformat()}


class Study:
    """The rows of the file, and what is still missing."""

    def __init__(self):
        self.rows = json.loads(FILE.read_text()) if FILE.exists() else []

    def find(self, **wanted) -> dict | None:
        for row in self.rows:
            if all(row.get(k) == v for k, v in wanted.items()):
                return row
        return None

    def add(self, row: dict) -> dict:
        self.rows.append(row)
        text = json.dumps(self.rows, indent=1, ensure_ascii=False) + "\n"
        checkpoints.write_atomically(FILE, text.encode())
        return row

    def steps(self, name: str, seconds: float) -> int:
        """As many as fit into `seconds` of processor time."""
        row = self.find(kind="look", name=name)
        if row is None:
            run = train(name, LOOK_STEPS, STEP_SIZES[0], 100)
            row = self.add(row_of("look", name, run))
        known = [
            (row["processor_seconds"], row["config"]["steps"])
            for row in self.rows
            if row["kind"] in ("look", "trial") and row["name"] == name
        ]
        worked, done = map(sum, zip(*known))
        return max(100, round(seconds * done / worked))

    def learning_rate(self, name: str) -> float:
        """The better one on validation pictures after a short run."""
        trials = {}
        for size in STEP_SIZES:
            row = self.find(kind="trial", name=name, learning_rate=size)
            if row is None:
                run = train(name, self.steps(name, TRIAL_SECONDS), size, 100)
                row = self.add(row_of("trial", name, run, learning_rate=size))
            trials[row["validation_psnr_db"]] = size
        return trials[max(trials)]

    def run(self, name: str, seconds: float, seed: int) -> None:
        wanted = {"kind": "run", "name": name, "budget_s": seconds, "seed": seed}
        if self.find(**wanted):
            return
        size = self.learning_rate(name)  # its trials tell what a step takes
        steps = self.steps(name, seconds)
        run = train(name, steps, size, seed)
        row = row_of("run", name, run, budget_s=seconds, seed=seed)
        row |= {"steps": steps, "learning_rate": size}
        for dataset in ("Set5", "Set14"):
            method = method_of(run.model)
            scores = protocol.evaluate(method, datasets.load(dataset), SCALE)
            row[f"{dataset}_db"] = round(protocol.mean(scores)[0], 4)
        self.add(row)
        print(
            f"{name:<24} seed {seed}: {steps} steps, "
            f"{row['processor_seconds']} s, "
            f"{row['validation_psnr_db']} dB validation, "
            f"{row['Set5_db']:.2f} dB Set5",
            flush=True,
        )


class Deconvolving(successors.FSRCNN):
    """FSRCNN by PyTorch's deconvolution."""

    def enlarge(self, features):
        first = (self.WIDTH - self.factor) // 2 + self.factor * self.reach
        height, width = (
            self.factor * (n - 2 * self.reach) for n in features.shape[2:]
        )
        y = self.convs[-1](features)
        return y[:, :, first : first + height, first : first + width]


def method_of(network: nn.Module) -> methods.Method:
    """The book's fastest way: for SRCNN, in bands that fit in the cache."""
    if isinstance(network, models.SRCNN):
        return SRCNNMethod(network, "cpu")
    return partial(successors.super_resolve, network)


def timings(repeats: int) -> list[dict]:
    """Set5, all networks in turn; processor time of one thread.

    `seconds_plain` is by PyTorch's convolutions and deconvolution of the whole
    picture; `seconds` is the book's fastest way, for SRCNN in bands and for
    FSRCNN by sub-pixels.
    """
    pictures = [
        protocol.degrade(image, SCALE)[1]
        for image in datasets.load("Set5").values()
    ]
    calls = {}
    for name in NETWORKS | LARGE:
        network = plain = make(name, 0)
        if isinstance(network, successors.FSRCNN):
            plain = Deconvolving(SCALE)
        calls[name, "seconds_plain"] = partial(successors.super_resolve, plain)
        if plain is not network or isinstance(network, models.SRCNN):
            calls[name, "seconds"] = method_of(network)
    for call in calls.values():
        call(pictures[0][:40, :40], SCALE)
    taken = {key: [[] for _ in pictures] for key in calls}
    for _ in range(repeats):
        for key, call in calls.items():
            for k, lr_y in enumerate(pictures):
                began = time.process_time()
                call(lr_y, SCALE)
                taken[key][k].append(time.process_time() - began)
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
            medians = [statistics.median(s) for s in found]
            row[way] = round(statistics.mean(medians), 5)
        rows.append(row | {
            "dataset": "Set5",
            "scale": SCALE,
            "repeats": repeats,
            "device": models.describe(torch.device("cpu")),
            "torch": torch.__version__,
            "date": datetime.date.today().isoformat(),
        })  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--time", action="store_true", help="measure anew")
    args = parser.parse_args()
    study = Study()
    if args.time or not study.find(kind="time"):
        study.rows = [row for row in study.rows if row["kind"] != "time"]
        for row in timings(args.repeats):
            study.add(row)
            print(f"{row['name']:<24}{row['multiplications']:10,.0f} "
                  f"multiplications{row['seconds']:9.4f} s"
                  f"{row['seconds_plain']:9.4f} s plain", flush=True)  # fmt: skip
    for seed in range(args.seeds):
        for name in NETWORKS:
            study.run(name, args.seconds, seed)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
