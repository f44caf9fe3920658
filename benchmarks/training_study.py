"""What each part of the training brings, on validation pictures.

    python benchmarks/training_study.py [--steps 3000] [--seeds 3]

Trains 9-1-5 x3 on T91 by our recipe, by recipes that lack one part of it or have one
more, with several seeds, and then for longer: ours, the same with Adam, and the
paper's own.  Writes data/studies/training.json after every run; a second start goes
on where the first ended.

Two variants there can't be run any more, because they brought nothing and the library
no longer has them: "without shrunken copies" (the recorded recipes have the field
`zoom`) and "balanced pictures, too" (the field `balance`).
"""

import argparse
import dataclasses

import torch

from benchmarks.rows import CARD, Rows, today
from srcnn_lib import checkpoints, datasets, training

SCALE = 3
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


def recipe(steps: int, preset: str = "full", **changes) -> training.Config:
    base = training.PRESETS[preset]
    return dataclasses.replace(base, scale=SCALE, steps=steps, **changes)


def plan(steps: int, seeds: int, longer: int):
    """Name, seed and recipe of each run."""
    ours = {"warmup": 100}
    for seed in range(seeds):
        for name, changes in VARIANTS.items():
            changes = ours | {"seed": seed, "validate_every": 0} | changes
            yield name, seed, recipe(steps, **changes)
    ours["validate_every"] = longer // 20
    yield "ours, longer", 0, recipe(longer, **ours)
    yield "ours with Adam, longer", 0, recipe(longer, **ours, **ADAM)
    few = 2 * longer // 8  # of batches that are eight times as large
    yield "the paper's, longer", 0, recipe(few, "paper", validate_every=few // 20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=3_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--long", type=int, default=30_000, help="steps")
    args = parser.parse_args()
    rows, pictures = Rows("training"), datasets.load("T91")
    for name, seed, config in plan(args.steps, args.seeds, args.long):
        if rows.find(config, name=name, seed=seed):
            continue
        run = training.train(config, pictures, device="cpu", progress=False, name="T91")
        row = {"name": name, "seed": seed} | {key: run.card[key] for key in CARD}
        rows.add(row | {"date": today()})
        print(f"{name:<34} seed {seed}: {row['validation_psnr_db']:.3f} dB, "
              f"{row['minutes']:.1f} minutes", flush=True)  # fmt: skip
    if not rows.find(name=AUTHORS):
        _, held_out, origin = training.split(pictures)
        network = checkpoints.load("official/9-1-5-91", SCALE)
        judge = training.Validation(held_out.values(), SCALE)
        rows.add({
            "name": AUTHORS,
            "validation_images": f"{origin} ({len(held_out)})",
            "validation_psnr_db": round(judge.psnr_db(network), 3),
        })  # fmt: skip


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
