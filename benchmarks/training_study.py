"""What each part of the training brings, on validation pictures.

    nice python benchmarks/training_study.py [--steps 2000] [--seeds 3] [--longer 8000]

Trains 9-1-5 x3 on T91 by our recipe and by recipes that differ in one thing, with
several seeds; then for longer.  Where the learning rate may depend on the change it is
searched, on the same grid for all and on validation pictures only.  Beside them the
loop that most public ports share, at its usual learning rate and at its best, without
padding as all here and with it.  Writes data/studies/what_mattered.json; a row's kind
is trial or run.
"""

import dataclasses

from benchmarks.rows import SCALE, Padded, Rows, options, runs_of, set5
from srcnn_lib import checkpoints, datasets, training

AUTHORS = "the authors' weights"  # 9-1-5 from the same 91 images
ADAM = {"optimiser": "adam", "learning_rate": 0.002}
POPULAR = {
    "sampling": "grid", "optimiser": "adam", "learning_rate": 1e-4, "init": "default",
    "ema_decay": 0.0, "schedule": "constant", "warmup": 0, "revive": 0,
}  # fmt: skip
#: Name → changes to our recipe, and where a search of the learning rate begins.
VARIANTS = {
    "ours": ({}, None),
    "without revival": ({"revive": 0}, None),
    "Adam for all weights, best rate": (ADAM, 0.002),
    "the popular loop": (POPULAR, None),
    "the popular loop, best rate": (POPULAR, 0.001),
    "the popular loop, padded": (POPULAR, None),
    "the popular loop, padded, best rate": (POPULAR, 0.001),
    "a quarter of the batch": ({"batch": 4}, None),
    "ours, best rate": ({}, 0.02),
    "without importance sampling": ({"sampling": "random"}, None),
    "start at PyTorch's default": ({"init": "default"}, None),
    "without averaged weights": ({"ema_decay": 0.0}, None),
    "step size kept constant": ({"schedule": "constant"}, None),
    "varied copies, too": ({"augment": 4}, None),
    "a quarter of the batch, best rate": ({"batch": 4}, 0.01),
}


def plan(steps: int):
    """Name, recipe and start of the search, or None, of each variant."""
    usual = {"scale": SCALE, "warmup": 100, "validate_every": 0}
    full = dataclasses.replace(training.PRESETS["full"], steps=steps, **usual)
    for name, (changes, start) in VARIANTS.items():
        if few := changes.get("batch"):  # as many sub-images, in more steps
            more = full.batch // few
            times = ("steps", "warmup", "revive")
            changes = changes | {key: more * getattr(full, key) for key in times}
        yield name, dataclasses.replace(full, **changes), start


def longer_plan(steps: int, adams: float):
    """Name and recipe of the long runs; `adams` is Adam's learning rate."""
    usual = {"scale": SCALE, "warmup": 100, "validate_every": steps // 20}
    full = dataclasses.replace(training.PRESETS["full"], steps=steps, **usual)
    yield "ours, longer", full
    adam = dataclasses.replace(full, optimiser="adam", learning_rate=adams)
    yield "ours with Adam, longer", adam
    few = 2 * steps // 8  # of batches that are eight times as large
    few = {"steps": few, "validate_every": few // 20, "scale": SCALE}
    yield "the paper's, longer", dataclasses.replace(training.PRESETS["paper"], **few)


def main() -> None:
    args = options(__doc__, steps=2_000, seeds=3, longer=8_000)
    rows, rates, seeds = Rows("what_mattered"), {}, range(args.seeds)
    for name, config, start in plan(args.steps):
        how = {"measure": set5, "make": Padded if "padded" in name else None}
        rates[name] = runs_of(rows, config, {"name": name}, seeds, start, **how)
    for name, config in longer_plan(args.longer, rates[[*VARIANTS][2]]):
        runs_of(rows, config, {"name": name}, [0])
    if not rows.find(name=AUTHORS):
        _, held_out, origin = training.split(datasets.load("T91"))
        network = checkpoints.load("official/9-1-5-91", SCALE)
        judge = training.Validation(held_out.values(), SCALE)
        db, by = round(judge.psnr_db(network), 3), f"{origin} ({len(held_out)})"
        about = {"name": AUTHORS, "kind": "authors", "validation_images": by}
        rows.add(about | {"validation_psnr_db": db})


if __name__ == "__main__":
    main()
