"""From sparse coding to SRCNN, one freedom at a time, at x3 from T91.

    python benchmarks/unrolling_study.py [--steps 1000] [--seeds 3]

A dictionary of 64 atoms, as many as SRCNN has filters, is learnt from T91 and unrolled
into k steps of ISTA: first untrained, then with one part after the other let go and
trained, all with the same windows in the same order; last, SRCNN 9-1-5 from the
dictionary and from random weights.  Learning rates are chosen on validation pictures;
Set5 chooses nothing.  Writes data/studies/unrolling.json after every row; a second
start goes on where the first ended.
"""

import argparse
import copy
import time
from functools import cache, partial

import torch

from benchmarks.rows import Rows, facts
from srcnn_lib import datasets, protocol, training
from srcnn_lib.chapters import unrolled
from srcnn_lib.chapters.unrolled import UnrolledMethod, UnrolledSC
from srcnn_lib.methods import sparse_coding
from srcnn_lib.methods.sparse_codes import lasso
from srcnn_lib.methods.srcnn import SRCNNMethod
from srcnn_lib.models import SRCNN, initialise

SCALE, ATOMS = 3, 64
#: Steps of ISTA that are trained; the ladder stands on `TRUNK`.
TRAINED_STEPS, TRUNK = (1, 2, 5, 10), 3
FEW = (1, 2, 3, 5, 10, 20)
RATES = (1e-3, 3e-3)
ALL = tuple(unrolled.FREEDOMS)
#: What SRCNN begins with.
STARTS = ("dictionary", "random", "identity")


class Bench:
    """Pictures, dictionaries and the rows so far."""

    def __init__(self):
        fit, held_out, origin = training.split(datasets.load("T91"))
        self.origin = f"{origin} ({len(held_out)})"
        self.judge = training.Validation(held_out.values(), SCALE)
        self.windows = unrolled.windows(fit.values(), SCALE)
        self.pairs = [protocol.pair(image, SCALE) for image in fit.values()]
        learn = partial(sparse_coding.train, fit, SCALE, device="cpu", progress=False)
        self.dictionary, self.half = (learn(atoms=n)[0] for n in (ATOMS, ATOMS // 2))
        self.rows = Rows("unrolling")
        self.start = cache(partial(unrolled.start_srcnn, self.dictionary, self.pairs))

    def record(self, config: dict, make) -> dict:
        """The row of this config; `make` gives model and minutes."""
        row = self.rows.find(config=config)
        if row:
            return row
        model, minutes = make()
        row = config | {
            "set5_psnr_db": on_set5(model),
            "validation_psnr_db": None,
            "validation_images": self.origin,
            "minutes": minutes,
            "config": config,
        }
        if config.get("atoms") != 768 and config.get("k", 1) < 100:
            # The rest would take half an hour.
            row["validation_psnr_db"] = self.on_validation(model)
        if isinstance(model, torch.nn.Module):
            learnt = [p for p in model.parameters() if p.requires_grad]
            row["learnt"] = sum(p.numel() for p in learnt) if minutes else 0
        print(f"{config}: Set5 {row['set5_psnr_db']}, validation "
              f"{row['validation_psnr_db']}, {minutes or 0} minutes", flush=True)
        return self.rows.add(row | facts())

    def on_validation(self, model) -> float:
        call = getattr(model, "enhance", model)
        if not isinstance(model, torch.nn.Module):
            call = partial(enhance_each, model)
        return round(self.judge.psnr_db(call), 4)

    def untrained(self, name: str, model, **config) -> dict:
        config = {"name": name, "group": "untrained", **config}
        return self.record(config, lambda: (model, None))

    def trained(self, group: str, name: str, make, **config) -> dict:
        """`make` gives the model at its start; `config` says what `fit` needs."""
        settings = {k: config[k] for k in ("steps", "learning_rate", "seed")}

        def run():
            model = make()
            began = time.process_time()  # of one thread: others may run
            unrolled.fit(model, self.windows, **settings)
            return model, round((time.process_time() - began) / 60, 2)

        return self.record({"name": name, "group": group, **config}, run)


def on_set5(model) -> float:
    method = model
    if isinstance(model, UnrolledSC):
        method = UnrolledMethod(model)
    elif isinstance(model, SRCNN):
        method = SRCNNMethod(model, "cpu")
    scores = protocol.evaluate(method, datasets.load("Set5"), SCALE)
    return round(protocol.mean(scores)[0], 4)


def enhance_each(method, y: torch.Tensor) -> torch.Tensor:
    """A method, as a network of bicubic pictures (B, 1, H, W)."""
    middle = slice(SCALE // 2, None, SCALE)
    out = [method(p[0, middle, middle].double().numpy(), SCALE) for p in y]
    return torch.stack([torch.from_numpy(p).to(y) for p in out])[:, None]


def typical_contrast(bench: Bench) -> float:
    """Mean norm of the training patches' features, at least 1 each."""
    model = UnrolledSC(bench.dictionary, 1)
    seen = (unrolled.zoomed(torch.from_numpy(y)[None, None], SCALE)
            for y, _ in bench.pairs)  # fmt: skip
    return torch.cat([model.contrast(y).flatten() for y in seen]).mean().item()


def untrained(bench: Bench, typical: float) -> None:
    pair = bench.dictionary
    for exact, name in ((True, "exact codes"), (False, "Yang's rule")):
        solve = partial(lasso, exact=exact)
        method = sparse_coding.SparseCoding(pair, solve=solve, device="cpu")
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
            model.log_share.fill_(-20)[..., edge:-edge, edge:-edge] = 0
        bench.untrained("middle", model, atoms=ATOMS, k=20, width=width)
    for k in FEW:
        model = UnrolledSC(sparse_coding.load(scale=SCALE), k)
        bench.untrained("768 atoms", model, atoms=768, k=k)


def step_up(bench, group, steps, name, make, free=ALL, k=TRUNK, **more):
    """Rows of a model some of whose parts are free, for each learning rate."""
    for rate in RATES:
        bench.trained(
            group, name, lambda: make().let_go(*free), steps=steps,
            learning_rate=rate, seed=0, k=k, free=list(free), **more,
        )  # fmt: skip


def ladder(bench: Bench, steps: int, typical: float) -> None:
    pair = bench.dictionary
    rung = partial(step_up, bench, "ladder", steps)

    def one_step():
        return UnrolledSC(pair, 1).without_contrast(typical)

    for count, part in enumerate(ALL, 1):
        rung(f"{part} free", lambda: UnrolledSC(pair, TRUNK), ALL[:count])
    for atoms, chosen in ((ATOMS, pair), (ATOMS // 2, bench.half)):
        make = partial(UnrolledSC, chosen, TRUNK, two_sided=True)
        rung(f"two-sided, {atoms} atoms", make, atoms=atoms)
    rung("constant thresholds",
         lambda: UnrolledSC(pair, TRUNK).without_contrast(typical))  # fmt: skip
    rung("one step", one_step, k=1)
    rung("n2 = 32", lambda: one_step().narrow(32), k=1)


def by_steps(bench: Bench, steps: int) -> None:
    """How many steps of ISTA are worth training."""
    for k in TRAINED_STEPS:
        for name, free in (("thresholds", ALL[:1]), ("all", ALL)):
            make = partial(UnrolledSC, bench.dictionary, k)
            step_up(bench, "steps", steps, name, make, free, k=k)


def starts(bench: Bench, steps: int, seeds: int, rates: dict) -> None:
    """SRCNN from each start, with the learning rate that suits it.

    `rates`: those known from a run before, by start; the others are found with the
    first seed, and added.
    """

    def make(how, seed):
        if how == "dictionary":
            return copy.deepcopy(bench.start(seed=seed))
        init = "default" if how == "random" else how
        return initialise(SRCNN(), init, torch.Generator().manual_seed(seed))

    def run(how, seed, rate):
        return bench.trained(
            "starts", f"SRCNN from {how}", partial(make, how, seed),
            network="SRCNN", start=how, steps=steps, learning_rate=rate, seed=seed,
        )  # fmt: skip

    for how in STARTS:
        bench.untrained(f"SRCNN from {how}", make(how, 0))
        if how not in rates:
            both = [run(how, 0, rate) for rate in RATES]
            best = max(both, key=lambda row: row["validation_psnr_db"])
            rates[how] = best["config"]["learning_rate"]
        for seed in range(seeds):
            run(how, seed, rates[how])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1_000)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    bench = Bench()
    typical = typical_contrast(bench)
    ladder(bench, args.steps, typical)
    rates = {}
    starts(bench, args.steps, args.seeds, rates)
    by_steps(bench, args.steps)
    untrained(bench, typical)
    starts(bench, args.steps // 4, args.seeds, rates)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
