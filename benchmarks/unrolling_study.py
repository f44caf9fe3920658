"""From sparse coding to SRCNN, one freedom at a time, at x3 from T91.

    python benchmarks/unrolling_study.py [--steps 1000] [--seeds 3]

A dictionary of 64 atoms, as many as SRCNN has filters, is learnt from T91 and
unrolled into k steps of ISTA: first untrained, then with one part after the
other let go and trained, all with the same windows in the same order; last,
SRCNN 9-1-5 from the dictionary and from random weights.  Step sizes are
chosen on validation pictures; Set5 chooses nothing.  Writes
data/studies/unrolling.json after every row; a second start goes on where the
first ended.
"""

import argparse
import copy
import datetime
import json
import subprocess
import time
from functools import partial
from pathlib import Path

import torch

from srcnn_lib import checkpoints, datasets, protocol, streaming, training
from srcnn_lib.chapters import unrolled
from srcnn_lib.chapters.unrolled import UnrolledMethod, UnrolledSC
from srcnn_lib.methods import sparse_coding
from srcnn_lib.methods.sparse_codes import lasso
from srcnn_lib.methods.srcnn import SRCNNMethod
from srcnn_lib.models import SRCNN, describe, initialise

SCALE, ATOMS = 3, 64
FILE = datasets.data_folder() / "studies" / "unrolling.json"
#: Steps of ISTA that are trained; the ladder stands on `TRUNK`.
TRAINED_STEPS, TRUNK = (1, 2, 5, 10), 3
FEW = (1, 2, 3, 5, 10, 20)
STEP_SIZES = (1e-3, 3e-3)
ALL = tuple(unrolled.FREEDOMS)
#: What SRCNN begins with.
STARTS = ("dictionary", "random", "identity")


class Bench:
    """Pictures, dictionaries and the rows so far."""

    def __init__(self):
        pictures = datasets.load("T91")
        fit, held_out, self.origin = training.split(pictures)
        self.judge = training.Validation(held_out.values(), SCALE)
        self.origin += f" ({len(held_out)})"
        self.test = datasets.load("Set5")
        self.windows = unrolled.training_windows(fit.values(), SCALE)
        self.pairs = [streaming.pair(image, SCALE) for image in fit.values()]
        self.dictionaries = {
            atoms: sparse_coding.train(
                fit, SCALE, atoms=atoms, device="cpu", progress=False
            )[0]
            for atoms in (ATOMS, ATOMS // 2)
        }
        text = FILE.read_text("utf-8") if FILE.exists() else "[]"
        self.rows = json.loads(text)
        self.commit = commit()
        self.begun: dict[int, SRCNN] = {}

    def srcnn_start(self, seed: int) -> SRCNN:
        """As sparse coding; made once for each seed."""
        if seed not in self.begun:
            self.begun[seed] = unrolled.start_srcnn(
                self.dictionaries[ATOMS], self.pairs, seed=seed
            )
        return copy.deepcopy(self.begun[seed])

    def record(self, config: dict, make) -> dict:
        """The row of this config; `make` gives model and minutes."""
        for row in self.rows:
            if row["config"] == config:
                return row
        model, minutes = make()
        row = {
            **config,
            "set5_psnr_db": self.on_set5(model),
            "validation_psnr_db": None,
            "validation_images": self.origin,
            "minutes": minutes,
            "device": describe(torch.device("cpu")),
            "torch": torch.__version__,
            "commit": self.commit,
            "date": datetime.date.today().isoformat(),
            "config": config,
        }
        if config.get("atoms") != 768 and config.get("k", 1) < 100:
            # The rest would take half an hour.
            row["validation_psnr_db"] = self.on_validation(model)
        if isinstance(model, torch.nn.Module):
            learnt = [p for p in model.parameters() if p.requires_grad]
            row["learnt"] = sum(p.numel() for p in learnt) if minutes else 0
        self.rows.append(row)
        text = json.dumps(self.rows, indent=1, ensure_ascii=False) + "\n"
        checkpoints.write_atomically(FILE, text.encode())
        print(
            f"{config}: Set5 {row['set5_psnr_db']}, validation "
            f"{row['validation_psnr_db']}, {minutes or 0} minutes",
            flush=True,
        )
        return row

    def on_set5(self, model) -> float:
        if isinstance(model, UnrolledSC):
            method = UnrolledMethod(model)
        elif isinstance(model, SRCNN):
            method = SRCNNMethod(model, "cpu")
        else:
            method = model
        return round(protocol.mean(
            protocol.evaluate(method, self.test, SCALE))[0], 4)  # fmt: skip

    def on_validation(self, model) -> float:
        call = model
        if isinstance(model, UnrolledSC):
            call = model.enhance
        elif not isinstance(model, SRCNN):
            call = partial(enhance_each, model)
        return round(self.judge.psnr_db(call), 4)

    def untrained(self, name: str, model, **config) -> dict:
        config = {"name": name, "group": "untrained", **config}
        return self.record(config, lambda: (model, None))

    def trained(self, group: str, name: str, make, **config) -> dict:
        """`make` gives the model at its start; `config` says what `fit` needs."""
        config = {"name": name, "group": group, **config}
        settings = {k: config[k] for k in ("steps", "learning_rate", "seed")}

        def run():
            model = make()
            began = time.process_time()  # of one thread: others may run
            unrolled.fine_tune(model, self.windows, **settings)
            return model, round((time.process_time() - began) / 60, 2)

        return self.record(config, run)


def enhance_each(method, y: torch.Tensor) -> torch.Tensor:
    """A method, as a network of bicubic pictures (B, 1, H, W)."""
    middle = slice(SCALE // 2, None, SCALE)
    out = [method(p[0, middle, middle].double().numpy(), SCALE) for p in y]
    return torch.stack([torch.from_numpy(p).to(y) for p in out])[:, None]


def commit() -> str | None:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=Path(__file__).parent, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout.strip() or None


def typical_contrast(bench: Bench) -> float:
    """Mean length of the training patches' features, at least 1 each."""
    model = UnrolledSC(bench.dictionaries[ATOMS], 1)
    seen = (torch.from_numpy(y)[None, None] for y, _ in bench.pairs)
    lengths = [
        model.contrast(unrolled.zoomed(y, SCALE)).flatten() for y in seen
    ]
    return torch.cat(lengths).mean().item()


def untrained(bench: Bench, typical: float) -> None:
    pair = bench.dictionaries[ATOMS]
    whole = partial(sparse_coding.SparseCoding, device="cpu")
    for exact in (True, False):
        method = whole(pair, solve=partial(lasso, exact=exact))
        name = "exact codes" if exact else "Yang's rule"
        bench.untrained(name, method, atoms=ATOMS)
    for k in (*range(1, 21), 50, 200, 1000):
        for two_sided in (False, True) if k in FEW or k > 20 else (False,):
            model = UnrolledSC(pair, k, two_sided=two_sided)
            name = "two-sided" if two_sided else "one-sided"
            bench.untrained(name, model, atoms=ATOMS, k=k)
    for k in (TRUNK, 20):
        model = UnrolledSC(pair, k).without_contrast(typical)
        bench.untrained("constant thresholds", model, atoms=ATOMS, k=k)
    for n2 in (48, 32, 24, 16, 8):
        model = UnrolledSC(pair, 20).narrow(n2)
        bench.untrained("narrow", model, atoms=ATOMS, k=20, n2=n2)
    for width in (3, 5, 7):  # of the patch's middle that counts
        model = UnrolledSC(pair, 20)
        edge = (sparse_coding.PATCH * SCALE - width) // 2
        with torch.no_grad():
            shares = model.log_share.fill_(-20)
            shares[..., edge:-edge, edge:-edge] = 0
        bench.untrained("middle", model, atoms=ATOMS, k=20, width=width)
    for k in FEW:
        model = UnrolledSC(sparse_coding.load(scale=SCALE), k)
        bench.untrained("768 atoms", model, atoms=768, k=k)


def step_up(bench, group, steps, name, make, free, k=TRUNK, **more):
    """Rows of a model some of whose parts are free, for each step size."""
    for size in STEP_SIZES:
        bench.trained(
            group, name, lambda: make().let_go(*free), steps=steps,
            learning_rate=size, seed=0, k=k, free=list(free), **more,
        )  # fmt: skip


def ladder(bench: Bench, steps: int, typical: float) -> None:
    pair, half = (bench.dictionaries[n] for n in (ATOMS, ATOMS // 2))
    rung = partial(step_up, bench, "ladder", steps)

    for count in range(1, len(ALL) + 1):
        name = f"{ALL[count - 1]} free"
        rung(name, lambda: UnrolledSC(pair, TRUNK), ALL[:count])
    for atoms, chosen in ((ATOMS, pair), (ATOMS // 2, half)):
        make = partial(UnrolledSC, chosen, TRUNK, two_sided=True)
        rung(f"two-sided, {atoms} atoms", make, ALL, atoms=atoms)
    rung(
        "constant thresholds",
        lambda: UnrolledSC(pair, TRUNK).without_contrast(typical), ALL,
    )  # fmt: skip
    rung("one step", lambda: UnrolledSC(pair, 1).without_contrast(typical),
         ALL, k=1)  # fmt: skip
    rung(
        "n2 = 32",
        lambda: UnrolledSC(pair, 1).without_contrast(typical).narrow(32), ALL,
        k=1,
    )  # fmt: skip


def by_steps(bench: Bench, steps: int) -> None:
    """How many steps of ISTA are worth training."""
    for k in TRAINED_STEPS:
        for name, free in (("thresholds", ALL[:1]), ("all", ALL)):
            make = partial(UnrolledSC, bench.dictionaries[ATOMS], k)
            step_up(bench, "steps", steps, name, make, free, k=k)


def starts(bench: Bench, steps: int, seeds: int, sizes: dict) -> None:
    """SRCNN from each start, with the step size that suits it.

    `sizes`: those known from a run before, by start; the others are found
    with the first seed, and added.
    """

    def make(how, seed):
        if how == "dictionary":
            return bench.srcnn_start(seed)
        init = "default" if how == "random" else how
        generator = torch.Generator().manual_seed(seed)
        return initialise(SRCNN(), init, generator)

    def run(how, seed, size):
        return bench.trained(
            "starts", f"SRCNN from {how}", partial(make, how, seed),
            network="SRCNN", start=how, steps=steps, learning_rate=size,
            seed=seed,
        )  # fmt: skip

    for how in STARTS:
        bench.untrained(f"SRCNN from {how}", make(how, 0))
        if how not in sizes:
            both = [run(how, 0, size) for size in STEP_SIZES]
            best = max(both, key=lambda row: row["validation_psnr_db"])
            sizes[how] = best["config"]["learning_rate"]
        for seed in range(seeds):
            run(how, seed, sizes[how])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1_000)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    bench = Bench()
    typical = typical_contrast(bench)
    ladder(bench, args.steps, typical)
    sizes = {}
    starts(bench, args.steps, args.seeds, sizes)
    by_steps(bench, args.steps)
    untrained(bench, typical)
    starts(bench, args.steps // 4, args.seeds, sizes)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
