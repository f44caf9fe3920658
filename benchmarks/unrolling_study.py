"""From sparse coding to SRCNN, one freedom at a time, at x3 from T91.

    python benchmarks/unrolling_study.py [--steps 1000] [--seeds 3]

A dictionary of 64 atoms, as many as SRCNN has filters, is learnt from T91 and unrolled
into k steps of ISTA: first untrained, then with one part after the other let go and
trained, all with the same windows in the same order; last, SRCNN 9-1-5 from the
dictionary and from random weights.  Learning rates are chosen on validation pictures;
Set5 chooses nothing.  Writes data/studies/unrolling.json.
"""

import time
from functools import cache, cached_property, partial

import torch

from benchmarks.rows import SCALE, Rows, facts, mean_db, options
from srcnn_lib import datasets, protocol, training
from srcnn_lib.chapters import unrolled
from srcnn_lib.chapters.unrolled import UnrolledMethod, UnrolledSC
from srcnn_lib.methods import sparse_coding, trained
from srcnn_lib.methods.sparse_codes import lasso
from srcnn_lib.methods.srcnn import SRCNNMethod
from srcnn_lib.models import SRCNN, initialise

#: Atoms of the dictionary, and steps of ISTA that the ladder stands on.
ATOMS, TRUNK = 64, 3
FEW = (1, 2, 3, 5, 10, 20)
RATES = (1e-3, 3e-3)
ALL = list(unrolled.FREEDOMS)
#: What SRCNN begins with, and the name of that initialisation.
STARTS = {"dictionary": None, "random": "default", "identity": "identity"}
SOLVERS = {"exact codes": True, "Yang's rule": False}  # whether each is exact
#: Their thresholds don't depend on a patch's contrast.
CONSTANT = ("constant thresholds", "one step", "n2 = 32")


def untrained():
    """The configs of models as they are."""
    many = 50, 200, 1000
    rows = [(name, {}) for name in SOLVERS]
    rows += [("one-sided", {"k": k}) for k in (*range(1, 21), *many)]
    rows += [("two-sided", {"k": k}) for k in (*FEW, *many)]
    rows += [("constant thresholds", {"k": k}) for k in (TRUNK, 20)]
    rows += [("narrow", {"k": 20, "n2": n2}) for n2 in (48, 32, 24, 16, 8)]
    rows += [("middle", {"k": 20, "width": width}) for width in (3, 5, 7)]
    rows += [("768 atoms", {"k": k, "atoms": 768}) for k in FEW]
    for name, more in rows:
        yield {"name": name, "group": "untrained", "atoms": ATOMS} | more


def ladder(steps: int):
    """Configs of models some of whose parts are free, for each learning rate."""
    rows = [(f"{part} free", {"free": ALL[:n]}) for n, part in enumerate(ALL, 1)]
    rows += [(f"two-sided, {n} atoms", {"atoms": n}) for n in (ATOMS, ATOMS // 2)]
    rows += [(name, {"k": k}) for name, k in zip(CONSTANT, (TRUNK, 1, 1))]
    for k in (1, 2, 5, 10):  # how many steps of ISTA are worth training
        more = {"group": "steps", "k": k}
        rows += [("thresholds", more | {"free": ALL[:1]}), ("all", more)]
    usual = {"group": "ladder", "k": TRUNK, "free": ALL, "steps": steps, "seed": 0}
    for name, more in rows:
        for rate in RATES:
            yield {"name": name, "learning_rate": rate} | usual | more


class Bench:
    """Pictures, dictionaries and the rows so far."""

    def __init__(self):
        self.fit, held_out, origin = training.split(datasets.load("T91"))
        self.origin = f"{origin} ({len(held_out)})"
        self.judge = training.Validation(held_out.values(), SCALE)
        self.windows = unrolled.training_windows(self.fit.values(), SCALE)
        self.pairs = [protocol.pair(image, SCALE) for image in self.fit.values()]
        self.rows = Rows("unrolling")
        self.dictionary = cache(self._dictionary)

    def _dictionary(self, atoms: int):
        if atoms == 768:
            return trained.parts("sc", SCALE)
        return sparse_coding.learn_sc(self.fit.values(), SCALE, atoms=atoms)

    @cached_property
    def typical(self) -> float:
        """Mean norm of the training patches' features, at least 1 each."""
        model = UnrolledSC(self.dictionary(ATOMS), 1)
        wide = (torch.from_numpy(y)[None, None] for y, _ in self.pairs)
        norms = [model.contrast(unrolled.zoomed(y, SCALE)).flatten() for y in wide]
        return torch.cat(norms).mean().item()

    def build(self, name, *, k=TRUNK, atoms=ATOMS, n2=None, width=None, free=(),
              seed=0, **_):  # fmt: skip
        """The model that a config describes, before its training."""
        start = name.partition("SRCNN from ")[2]
        if start == "dictionary":
            return unrolled.start_srcnn(self.dictionary(ATOMS), self.pairs, seed=seed)
        if start:
            generator = torch.Generator().manual_seed(seed)
            return initialise(SRCNN(), STARTS[start], generator)
        dictionary = self.dictionary(atoms)
        if name in SOLVERS:
            solve = partial(lasso, exact=SOLVERS[name])
            return sparse_coding.SparseCoding(dictionary, solve=solve, device="cpu")
        model = UnrolledSC(dictionary, k, two_sided=name.startswith("two-sided"))
        if name in CONSTANT:
            model = model.without_contrast(self.typical)
        if n2 or name == "n2 = 32":
            model = model.narrow(n2 or 32)
        if width:  # only the middle of a patch counts
            edge = (sparse_coding.PATCH * SCALE - width) // 2
            model.log_share.data.fill_(-20)[..., edge:-edge, edge:-edge] = 0
        return model.let_go(*free) if free else model

    def record(self, config: dict) -> dict:
        """The row of this config; trained if it has `steps`."""
        if row := self.rows.find(config=config):
            return row
        model, minutes = self.build(**config), None
        if "steps" in config:
            began = time.process_time()  # of one thread: others may run
            settings = {k: config[k] for k in ("steps", "learning_rate", "seed")}
            unrolled.fine_tune(model, self.windows, **settings)
            minutes = round((time.process_time() - began) / 60, 2)
        method = as_method(model)
        row, db = config | {"set5_psnr_db": mean_db(method, "Set5")}, None
        if config.get("atoms") != 768 and config.get("k", 1) < 100:  # the rest is slow
            db = round(self.judge.psnr_db(partial(enhance_each, method)), 4)
        row |= {"validation_psnr_db": db, "validation_images": self.origin}
        row |= {"minutes": minutes, "config": config}
        if isinstance(model, torch.nn.Module):
            learnt = sum(p.numel() for p in model.parameters() if p.requires_grad)
            row["learnt"] = learnt if "steps" in config else 0
        print({k: v for k, v in row.items() if k != "config"}, flush=True)
        return self.rows.add(row | facts())


def as_method(model):
    if isinstance(model, SRCNN):
        return SRCNNMethod(model, "cpu")
    return UnrolledMethod(model) if isinstance(model, UnrolledSC) else model


def enhance_each(method, y: torch.Tensor) -> torch.Tensor:
    """A method, as a network of bicubic pictures (B, 1, H, W): these pass through the
    LR pixels, which are in the middle of their blocks."""
    middle = slice(SCALE // 2, None, SCALE)
    out = [method(p[0, middle, middle].double().numpy(), SCALE) for p in y]
    return torch.stack([torch.from_numpy(p).to(y) for p in out])[:, None]


def starts(bench: Bench, steps: int, seeds: int, rates: dict) -> None:
    """SRCNN from each start, with the learning rate that suits it.

    `rates`: those known, by start; the others are found with the first seed, and added.
    """

    def db(how, rate, seed):
        config = {"name": f"SRCNN from {how}", "group": "starts", "network": "SRCNN"}
        config |= {"start": how, "steps": steps, "learning_rate": rate, "seed": seed}
        return bench.record(config)["validation_psnr_db"]

    for how in STARTS:
        bench.record({"name": f"SRCNN from {how}", "group": "untrained"})
        if how not in rates:
            rates[how] = max(RATES, key=partial(db, how, seed=0))
        for seed in range(seeds):
            db(how, rates[how], seed)


def main() -> None:
    args = options(__doc__, steps=1_000, seeds=3)
    bench, rates = Bench(), {}
    starts(bench, args.steps, args.seeds, rates)
    for config in (*ladder(args.steps), *untrained()):
        bench.record(config)
    starts(bench, args.steps // 4, args.seeds, rates)


if __name__ == "__main__":
    main()
