"""What came next, trained for as long as SRCNN: dB, operations, time.

    nice python benchmarks/successors_study.py [--seconds 20] [--seeds 3]
    nice python benchmarks/successors_study.py --long 100000 --out DIR

Equal budget: the same seconds of processor time, on one thread; so a network with more
work in a step gets fewer steps, by a first look at how long one takes.  All have the
same pictures and batches of 16 × 21 × 21 label pixels.  For each network and each
optimiser, the paper's among them, the learning rate is searched on validation pictures.
Writes data/studies/networks.json; a row's kind is look, trial, run, long or time.
--time measures all networks side by side again; --long trains each of `SMALL` once, as
was best after the short runs, and keeps the weights in DIR.
"""

import time
from functools import partial
from pathlib import Path

import torch
from torch import nn

from benchmarks import rows as study
from benchmarks.rows import SCALE, Rows, facts, mean_db, options, record, runs_of
from srcnn_lib import checkpoints, methods, models, training
from srcnn_lib.chapters import successors
from srcnn_lib.methods.srcnn import SRCNNMethod

LABEL, LOOK_STEPS = 21, 40  # width of the sub-images' labels
#: Optimiser → where the search of its learning rate begins.
STARTS = {"muon": 0.02, "adam": 0.002, "sgd": 1e-4}
#: What is trained.  VDSR's has about the weights and operations of 9-5-5.
NETWORKS = {
    "SRCNN 9-1-5": lambda: models.initialise(models.SRCNN()),
    "SRCNN 9-5-5": lambda: models.initialise(models.SRCNN((9, 5, 5))),
    "VDSR, 8 layers of 32": lambda: successors.VDSR(8, 32),
    "FSRCNN": lambda: successors.FSRCNN(SCALE),
    "ESPCN": lambda: successors.ESPCN(SCALE),
}
LARGE = {"VDSR, 20 layers of 64": successors.VDSR}  # only counted and timed
#: The optimiser of each network's paper, and what is trained for long.
OWN = dict.fromkeys(NETWORKS, "sgd") | {"ESPCN": "adam"}
SMALL = ("FSRCNN", "ESPCN", "VDSR, 8 layers of 32")


def make(name: str, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return (NETWORKS | LARGE)[name]()


def recipe(name: str, optimiser: str, steps: int) -> training.Config:
    """Ours, but for the learning rate and the optimiser."""
    return training.Config(
        scale=SCALE, steps=steps, size=LABEL + 2 * make(name, 0).border, warmup=50,
        sampling="importance", optimiser=optimiser, learning_rate=STARTS[optimiser],
        ema_decay=0.99, validate_every=0)  # fmt: skip


def steps_within(rows: Rows, name: str, optimiser: str, seconds: float) -> int:
    """As many steps as fit into so many seconds of processor time, by a first look."""
    about = {"kind": "look", "name": name, "optimiser": optimiser}
    if not (row := rows.find(**about)):
        network, begins = make(name, 0), []

        def look_at_the_clock(module, _):
            if module.training:  # not in validation
                begins.append(time.process_time())

        network.register_forward_pre_hook(look_at_the_clock)
        study.train(recipe(name, optimiser, LOOK_STEPS), network=network)
        each = (begins[-1] - begins[0]) / (LOOK_STEPS - 1)
        row = rows.add(about | {"seconds_a_step": round(each, 5)} | facts())
    return max(100, round(seconds / row["seconds_a_step"]))


def tests(network: nn.Module) -> dict:
    return {f"{d}_db": mean_db(method_of(network), d) for d in ("Set5", "Set14")}


def run_all(rows: Rows, seconds: float, seeds: int) -> None:
    for name in NETWORKS:
        for optimiser, start in STARTS.items():
            steps = steps_within(rows, name, optimiser, seconds)
            about = {"name": name, "optimiser": optimiser, "budget_s": seconds}
            how = {"make": partial(make, name), "measure": tests}
            config = recipe(name, optimiser, steps)
            runs_of(rows, config, about, range(seeds), start, **how)


def run_long(rows: Rows, steps: int, out: str) -> None:
    """As the best run of a network, but for this many steps; the weights are kept."""
    for name in SMALL:
        short = [row for row in rows if (row["kind"], row["name"]) == ("run", name)]
        best = max(short, key=lambda row: row["validation_psnr_db"] or 0)
        config = training.Config(**best["config"] | {
            "steps": steps, "warmup": 500, "ema_decay": 0.999, "seed": 0,
            "validate_every": max(1, steps // 20)})  # fmt: skip

        def keep(network, name=name):
            path = Path(out) / f"{network.name}_x{SCALE}.safetensors"
            checkpoints.write_tensors(network.state_dict(), path, {"name": name})
            return tests(network)

        about = {"kind": "long", "name": name, "optimiser": config.optimiser}
        record(rows, config, about, make=partial(make, name), measure=keep)


class TransposedFSRCNN(successors.FSRCNN):
    """FSRCNN by PyTorch's transposed convolution."""

    def enlarge(self, features):
        first = (self.WIDTH - self.factor) // 2 + self.factor * self.reach
        height, width = (self.factor * (n - 2 * self.reach) for n in features.shape[2:])
        return self.convs[-1](features)[..., first:, first:][..., :height, :width]


def method_of(network: nn.Module) -> methods.Method:
    """The book's fastest way."""
    if isinstance(network, models.SRCNN):
        return SRCNNMethod(network, "cpu")
    return partial(successors.super_resolve, network)


def timings(repeats: int) -> list[dict]:
    """Set5, all networks in turn; processor time of one thread.

    `seconds_plain` is by PyTorch's convolutions of the whole picture; `seconds` is the
    book's fastest way, for SRCNN in tiles and for FSRCNN by sub-pixels.
    """
    networks = {name: make(name, 0) for name in NETWORKS | LARGE}
    calls = {}
    for name, network in networks.items():
        is_fsrcnn = isinstance(network, successors.FSRCNN)
        plain = TransposedFSRCNN(SCALE) if is_fsrcnn else network
        calls[name, "seconds_plain"] = partial(successors.super_resolve, plain)
        if is_fsrcnn or isinstance(network, models.SRCNN):
            calls[name, "seconds"] = method_of(network)
    taken = study.seconds_in_turn(calls, "Set5", repeats, time.process_time)
    common = {"dataset": "Set5", "scale": SCALE, "repeats": repeats} | facts()
    return [{
        "kind": "time", "name": name, "parameters": successors.parameters(network),
        "multiplications": round(successors.multiplications(network), 1),
        "seconds": taken.get((name, "seconds"), taken[name, "seconds_plain"]),
        "seconds_plain": taken[name, "seconds_plain"],
    } | common for name, network in networks.items()]  # fmt: skip


def main() -> None:
    usual = {"seconds": 20.0, "seeds": 3, "repeats": 3, "long": 0, "out": "runs/long"}
    args, rows = options(__doc__, **usual, time=False), Rows("networks")
    if args.time or not rows.find(kind="time"):
        new = timings(args.repeats)
        print(*new, sep="\n")
        rows.replace([row for row in rows if row["kind"] != "time"] + new)
    run_all(rows, args.seconds, args.seeds)
    if args.long:
        run_long(rows, args.long, args.out)


if __name__ == "__main__":
    main()
