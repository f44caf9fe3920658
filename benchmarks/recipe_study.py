"""The trials that fixed the recipe of the book's weights, the preset ``book``.

    python benchmarks/recipe_study.py [--arch 9-1-5] [--steps 20000]

Each trial changes one thing in the preset ``full``, at x3 and for the same number of
sub-images.  Only the 100 validation pictures of BSDS500 judge.  Writes
data/studies/recipe.json.
"""

import dataclasses

from benchmarks.rows import CARD, SCALE, Rows, options, train
from srcnn_lib import training

VARIED = {"augment": 4, "validate_every": 0}
#: Name → changes, with the learning rate as a factor of the usual one.
TRIALS = {
    "usual rate": {},
    "half the rate": {"rate": 0.5},
    "twice the rate": {"rate": 2.0},
    "no augmentation": {"augment": 0},
    "batch of 32": {"batch": 32},
    "batch of 32, twice the rate": {"batch": 32, "rate": 2.0},
    "cosine": {"schedule": "cosine"},
}


def recipe(arch: str, steps: int, changes: dict) -> training.Config:
    usual = training.usual_learning_rate("muon", arch)
    changes = VARIED | changes
    rate, batch = changes.pop("rate", 1.0) * usual, changes.get("batch", 16)
    return dataclasses.replace(
        training.PRESETS["full"], arch=arch, scale=SCALE, steps=steps * 16 // batch,
        learning_rate=rate, **changes,
    )  # fmt: skip


def main() -> None:
    choices = options(__doc__, arch="9-1-5", steps=20_000)
    rows = Rows("recipe")
    for name, changes in TRIALS.items():
        config = recipe(choices.arch, choices.steps, changes)
        if not rows.find(config):
            run = train(config)
            rows.add({"name": name} | {key: run.card[key] for key in CARD})
            print(f"{choices.arch} {name:<28}", rows[-1]["validation_psnr_db"])


if __name__ == "__main__":
    main()
