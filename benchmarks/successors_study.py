"""What came next, trained for as long as SRCNN: dB, operations, time.

    nice python benchmarks/successors_study.py [--seconds 20] [--seeds 3]

Equal budget: the same seconds of processor time, on one thread, whatever else the
machine does; so a network with more work in a step gets fewer steps.  All have the
same recipe, pictures and batches of 16 × 21 × 21 label pixels.  Only the learning rate
is chosen for each, on validation pictures, by short runs; if two rates are equally
good, the smaller.  Writes data/studies/successors.json; --time measures all networks
side by side again.
"""

import time
from functools import partial

import torch
from torch import nn

from benchmarks import rows as study
from benchmarks.rows import CARD, SCALE, Rows, facts, mean_db, options
from srcnn_lib import methods, models, training
from srcnn_lib.chapters import successors
from srcnn_lib.methods.srcnn import SRCNNMethod

LABEL = 21  # width of the sub-images' labels
#: Of the trials, and of the first look at how long a step takes.
RATES, TRIAL_SECONDS, TRIAL_SEED, LOOK_STEPS = (0.01, 0.03), 6, 100, 40
#: What is trained.  VDSR's has about the weights and operations of 9-5-5.
NETWORKS = {
    "SRCNN 9-1-5": lambda: models.initialise(models.SRCNN()),
    "SRCNN 9-5-5": lambda: models.initialise(models.SRCNN((9, 5, 5))),
    "VDSR, 8 layers of 32": lambda: successors.VDSR(8, 32),
    "FSRCNN": lambda: successors.FSRCNN(SCALE),
    "ESPCN": lambda: successors.ESPCN(SCALE),
}
LARGE = {"VDSR, 20 layers of 64": successors.VDSR}  # only counted and timed


def make(name: str, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return (NETWORKS | LARGE)[name]()


def train(name: str, steps: int, learning_rate: float, seed: int):
    """A trained network and its row; processor seconds are those of its steps."""
    network, begins = make(name, seed), []

    def look_at_the_clock(module, _):
        if module.training:  # not in validation
            begins.append(time.process_time())

    network.register_forward_pre_hook(look_at_the_clock)
    config = training.Config(
        scale=SCALE, steps=steps, size=LABEL + 2 * network.border, warmup=50, seed=seed,
        sampling="importance", learning_rate=learning_rate, ema_decay=0.99,
        validate_every=0)  # fmt: skip
    run = study.train(config, network=network)
    seconds = round((begins[-1] - begins[0]) * steps / (steps - 1), 2)
    row = {"name": name, "learning_rate": learning_rate, "processor_seconds": seconds}
    return run.model, row | {key: run.card[key] for key in CARD}


def steps_within(rows: Rows, name: str, seconds: float) -> int:
    """As many steps as fit into so many seconds of processor time, by a first look."""
    look = rows.find(kind="look", name=name) or rows.add(
        {"kind": "look"} | train(name, LOOK_STEPS, RATES[0], TRIAL_SEED)[1]
    )
    return max(100, round(seconds * LOOK_STEPS / look["processor_seconds"]))


def best_rate(rows: Rows, name: str) -> float:
    """The best on validation pictures after a short run; of equals, the smallest.

    A network that has runs already keeps their rate.
    """
    known = rows.find(kind="run", name=name)
    if known:
        return known["learning_rate"]
    trials = []
    for rate in RATES:
        row = rows.find(kind="trial", name=name, learning_rate=rate)
        if row is None:
            steps = steps_within(rows, name, TRIAL_SECONDS)
            row = {"kind": "trial"} | train(name, steps, rate, TRIAL_SEED)[1]
            rows.add(row)
        trials.append((row["validation_psnr_db"], -rate))
    return -max(trials)[1]


def run(rows: Rows, name: str, seconds: float, seed: int) -> None:
    """Train a network for its budget, unless there is a row of it."""
    wanted = {"kind": "run", "name": name, "budget_s": seconds, "seed": seed}
    if rows.find(**wanted):
        return
    rate, steps = best_rate(rows, name), steps_within(rows, name, seconds)
    network, row = train(name, steps, rate, seed)
    row = wanted | {"steps": steps} | row
    for dataset in ("Set5", "Set14"):
        row[f"{dataset}_db"] = mean_db(method_of(network), dataset)
    print({k: v for k, v in rows.add(row).items() if k not in CARD}, flush=True)


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
    args = options(__doc__, seconds=20.0, seeds=3, repeats=3, time=False)
    rows = Rows("successors")
    if args.time or not rows.find(kind="time"):
        new = timings(args.repeats)
        print(*new, sep="\n")
        rows.replace([row for row in rows if row["kind"] != "time"] + new)
    for seed in range(args.seeds):
        for name in NETWORKS:
            run(rows, name, args.seconds, seed)


if __name__ == "__main__":
    main()
