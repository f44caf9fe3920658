"""From sparse coding to SRCNN, one freedom at a time, at x3 from T91.

    nice python benchmarks/unrolling_study.py [--steps 1000] [--seeds 3]

A dictionary of 64 atoms, as many as SRCNN has filters, is learnt from T91 and unrolled
into k steps of ISTA: first untrained, then with one part after the other let go and
trained; then what lies between the last of these and SRCNN 9-1-5, and SRCNN from the
dictionary and from other weights.  All see the same windows in the same order, which
the seed decides.  Each learning rate is searched on validation pictures; Set5 chooses
nothing.  Writes data/studies/ladder.json; a row's kind is untrained, trial or run.
"""

import math
import time
from functools import cache, cached_property, partial

import torch
from torch.nn import functional as F

from benchmarks.rows import SCALE, Rows, facts, mean_db, options, tune
from srcnn_lib import datasets, protocol, training
from srcnn_lib.chapters import unrolled
from srcnn_lib.chapters.successors import super_resolve
from srcnn_lib.chapters.unrolled import UnrolledMethod, UnrolledSC
from srcnn_lib.methods import sparse_coding, trained
from srcnn_lib.methods.sparse_codes import lasso
from srcnn_lib.methods.srcnn import SRCNNMethod
from srcnn_lib.models import SRCNN, initialise

#: Atoms of the dictionary, and steps of ISTA that the ladder stands on.
ATOMS, TRUNK = 64, 3
FEW = (1, 2, 3, 5, 10, 20)
START = 0.002  # of the searches
ALL = list(unrolled.FREEDOMS)
#: What SRCNN begins with, and the name of that initialisation.
STARTS = {k: k for k in ("dictionary", "identity", "paper")} | {"random": "default"}
SOLVERS = {"exact codes": True, "Yang's rule": False}  # whether each is exact
#: Their thresholds don't depend on a patch's contrast.
CONSTANT = ("constant thresholds", "one step", "n2 = 32")
#: From the last of these to SRCNN; the fifth change, a patch at every pixel, is it.
CHANGES = ("on the bicubic picture", "second ReLU", "mean not apart", "middle 5×5")


class Between(SRCNN):
    """Begins as the dictionary's `srcnn`, with the first `changes` of `CHANGES` only:
    a patch at every LR pixel, `hr` (63, 81) its atoms.  A mean that is apart is one
    more map, and no filter's business."""

    def __init__(self, srcnn: SRCNN, hr: torch.Tensor, changes: int):
        super().__init__()
        self.convs, self.relu, self.apart = srcnn.convs, changes > 1, changes < 3
        first, second, last = self.convs
        patches = 25 * last.weight[0].detach().flip(1, 2).flatten(1)  # (32, 25)
        if changes < 4:
            u = second.weight[1:16, 1:, 0, 0].detach()  # (15, 63), to whole patches
            small = (u @ hr.to(u)).view(15, 9, 9)[:, 2:-2, 2:-2]
            # Without their ReLU the two maps of a pair say the same twice.
            whole = u @ hr.to(u) * patches[1:16].norm() / small.norm() / (2 - self.relu)
            patches = torch.cat([torch.ones(1, 81), whole, -whole, torch.zeros(1, 81)])
        self.side = round(patches.shape[1] ** 0.5)
        last.weight = torch.nn.Parameter(patches.view(-1, 1, self.side, self.side))
        first.weight.data[:1] *= not self.apart

    def forward(self, y: torch.Tensor, padding: str = "same") -> torch.Tensor:
        """As `SRCNN`; height and width are multiples of 3."""
        y = F.pad(y, (6,) * 4, mode="replicate") if padding == "same" else y
        (first, second, last), crop = self.convs, self.side // 2 + 2
        maps = second(F.relu(F.conv2d(y, first.weight, first.bias, stride=SCALE)))
        maps, filters = F.relu(maps) if self.relu else maps, last.weight
        if self.apart:
            maps = torch.cat([maps, F.avg_pool2d(y, self.side, SCALE)], 1)
            filters = torch.cat([filters, torch.ones_like(filters[:1])])
        both = (maps, filters), (torch.ones_like(maps[:, :1]), filters[:1] * 0 + 1)
        out, count = (F.conv_transpose2d(*pair, stride=SCALE) for pair in both)
        return (out / count + last.bias)[..., crop:-crop, crop:-crop]


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
    rows += [(f"SRCNN from {how}", {}) for how in STARTS]
    rows += [(name, {}) for name in CHANGES]
    for name, more in rows:
        yield {"name": name, "group": "untrained", "atoms": ATOMS} | more


def ladder(steps: int):
    """Configs of models some of whose parts are free, without rate and seed."""
    rows = [(f"{part} free", {"free": ALL[:n]}) for n, part in enumerate(ALL, 1)]
    rows += [(f"two-sided, {n} atoms", {"atoms": n}) for n in (ATOMS, ATOMS // 2)]
    rows += [(name, {"k": k}) for name, k in zip(CONSTANT, (TRUNK, 1, 1))]
    for k in (1, 2, 5, 10):  # how many steps of ISTA are worth training
        more = {"group": "steps", "k": k}
        rows += [("thresholds", more | {"free": ALL[:1]}), ("all", more)]
    usual = {"group": "ladder", "k": TRUNK, "free": ALL, "steps": steps}
    for name, more in rows:
        yield {"name": name} | usual | more
    for name in CHANGES:
        yield {"name": name, "group": "between", "steps": steps}
    for often in (steps, steps // 4):
        for how in STARTS:
            yield {"name": f"SRCNN from {how}", "group": "starts", "network": "SRCNN",
                   "start": how, "steps": often}  # fmt: skip


class Bench:
    """Pictures, dictionaries and the rows so far."""

    def __init__(self):
        self.fit, held_out, origin = training.split(datasets.load("T91"))
        self.origin = f"{origin} ({len(held_out)})"
        self.judge = training.Validation(held_out.values(), SCALE)
        self.windows = unrolled.training_windows(self.fit.values(), SCALE)
        self.pairs = [protocol.pair(image, SCALE) for image in self.fit.values()]
        self.rows = Rows("ladder")
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
        if start == "dictionary" or name in CHANGES:
            pair = self.dictionary(ATOMS)
            srcnn = unrolled.start_srcnn(pair, self.pairs, seed=seed)
            if start:
                return srcnn
            return Between(srcnn, pair.hr[:63], CHANGES.index(name) + 1)
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

    def run(self, config: dict, kind: str, seed: int, rate: float) -> float | None:
        config = config | {"learning_rate": rate, "seed": seed}
        return self.record(config, kind)["validation_psnr_db"]

    def record(self, config: dict, kind: str = "untrained") -> dict:
        """The row of this config; trained if it has `steps`."""
        if row := self.rows.find(config=config, kind=kind):
            return row
        if row := self.rows.find(config=config):
            return self.rows.add(row | {"kind": kind})
        model, minutes = self.build(**config), None
        if "steps" in config:
            began = time.process_time()  # of one thread: others may run
            settings = {k: config[k] for k in ("steps", "learning_rate", "seed")}
            unrolled.fine_tune(model, self.windows, **settings)
            minutes = round((time.process_time() - began) / 60, 2)
        method = as_method(model)
        row, db = config | {"kind": kind, "set5_psnr_db": mean_db(method, "Set5")}, None
        if config.get("atoms") != 768 and config.get("k", 1) < 100:  # the rest is slow
            db = round(self.judge.psnr_db(partial(enhance_each, method)), 4)
            db = db if math.isfinite(db) else None  # it diverged
        row |= {"validation_psnr_db": db, "validation_images": self.origin}
        row |= {"minutes": minutes, "config": config}
        if isinstance(model, torch.nn.Module):
            learnt = sum(p.numel() for p in model.parameters() if p.requires_grad)
            row["learnt"] = learnt if "steps" in config else 0
        print({k: v for k, v in row.items() if k != "config"}, flush=True)
        return self.rows.add(row | facts())


def as_method(model):
    if isinstance(model, Between):
        return partial(super_resolve, model)
    if isinstance(model, SRCNN):
        return SRCNNMethod(model, "cpu")
    return UnrolledMethod(model) if isinstance(model, UnrolledSC) else model


def enhance_each(method, y: torch.Tensor) -> torch.Tensor:
    """A method, as a network of bicubic pictures (B, 1, H, W): these pass through the
    LR pixels, which are in the middle of their blocks."""
    middle = slice(SCALE // 2, None, SCALE)
    out = [method(p[0, middle, middle].double().numpy(), SCALE) for p in y]
    return torch.stack([torch.from_numpy(p).to(y) for p in out])[:, None]


def main() -> None:
    args, bench = options(__doc__, steps=1_000, seeds=3), Bench()
    for config in ladder(args.steps):
        seeds = range(1 if config["group"] == "steps" else args.seeds)
        tune(partial(bench.run, config), seeds, START, START)
    for config in untrained():
        bench.record(config)


if __name__ == "__main__":
    main()
