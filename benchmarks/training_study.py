"""What each part of the training brings, on validation pictures.

    python benchmarks/training_study.py [--steps 2000] [--seeds 3] [--longer 8000]

Trains 9-1-5 x3 on T91 by our recipe, by recipes that lack one part of it or have one
more, with several seeds, and then for longer: ours, the same with Adam, and the
paper's own.  Writes data/studies/training.json.

Two recorded variants brought nothing, so the library no longer has them: "without
shrunken copies" (the field `zoom` of the recorded recipes) and "balanced pictures, too"
(`balance`).
"""

import dataclasses

from benchmarks.rows import CARD, SCALE, Rows, options, train
from srcnn_lib import checkpoints, datasets, training

AUTHORS = "the authors' weights"  # 9-1-5 from the same 91 images
ADAM = {"optimiser": "adam", "learning_rate": 0.002}
#: Name → changes to our recipe.
VARIANTS = {
    "ours": {},
    "without importance sampling": {"sampling": "random"},
    "Adam for all weights": ADAM,
    "start at PyTorch's default": {"init": "default"},
    "without averaged weights": {"ema_decay": 0.0},
    "step size kept constant": {"schedule": "constant"},
    "a quarter of the batch": {"batch": 4},
    "varied copies, too": {"augment": 4},
    "the popular loop": {
        "sampling": "grid", "optimiser": "adam", "learning_rate": 1e-4,
        "init": "default", "ema_decay": 0.0, "schedule": "constant",
    },
}  # fmt: skip


def plan(steps: int, seeds: int, longer: int):
    """Name and recipe of each run."""
    full, paper = (dataclasses.replace(training.PRESETS[p], scale=SCALE, steps=steps)
                   for p in ("full", "paper"))  # fmt: skip
    full = dataclasses.replace(full, warmup=100, validate_every=0)
    for seed in range(seeds):
        for name, changes in VARIANTS.items():
            yield name, dataclasses.replace(full, seed=seed, **changes)
    ours = dataclasses.replace(full, steps=longer, validate_every=longer // 20)
    yield "ours, longer", ours
    yield "ours with Adam, longer", dataclasses.replace(ours, **ADAM)
    few = 2 * longer // 8  # of batches that are eight times as large
    paper = dataclasses.replace(paper, steps=few, validate_every=few // 20)
    yield "the paper's, longer", paper


def main() -> None:
    choices = options(__doc__, steps=2_000, seeds=3, longer=8_000)
    rows = Rows("training")
    for name, config in plan(**vars(choices)):
        if rows.find(config, name=name):
            continue
        run = train(config)
        row = {"name": name, "seed": config.seed} | {k: run.card[k] for k in CARD}
        rows.add(row)
        print(f"{name:<34} seed {config.seed}: {row['validation_psnr_db']:.3f} dB, "
              f"{row['minutes']:.1f} minutes", flush=True)  # fmt: skip
    if not rows.find(name=AUTHORS):
        _, held_out, origin = training.split(datasets.load("T91"))
        network = checkpoints.load("official/9-1-5-91", SCALE)
        judge = training.Validation(held_out.values(), SCALE)
        db, by = round(judge.psnr_db(network), 3), f"{origin} ({len(held_out)})"
        rows.add({"name": AUTHORS, "validation_images": by, "validation_psnr_db": db})


if __name__ == "__main__":
    main()
