"""What each part of the training brings, on validation pictures.

    python benchmarks/training_study.py [--steps 3000] [--seeds 3]

Trains 9-1-5 x3 on T91 by our recipe, by recipes that lack one part of it or
have one more, with several seeds, and then for longer: ours, the same with
Adam, and the paper's own.  Writes data/studies/training.json after every run; a
second start goes on where the first ended.
"""

import argparse
import dataclasses
import datetime
import json

import torch

from srcnn_lib import checkpoints, datasets, training

SCALE = 3
FILE = datasets.data_folder() / "studies" / "training.json"

AUTHORS = "the authors' weights"  # 9-1-5 from the same 91 images

#: Name → changes to our recipe.
VARIANTS = {
    "ours": {},
    "without importance sampling": {"sampling": "random"},
    "without shrunken copies": {"zoom": 1.0},
    "Adam for all weights": {"optimiser": "adam", "learning_rate": 0.002},
    "start at PyTorch's default": {"init": "default"},
    "without averaged weights": {"average": 0.0},
    "step size kept constant": {"schedule": "constant"},
    "a quarter of the batch": {"batch": 4},
    "balanced pictures, too": {"balance": 0.5},
    "varied copies, too": {"augment": 4},
    "the popular loop": {
        "sampling": "grid",
        "zoom": 1.0,
        "optimiser": "adam",
        "learning_rate": 1e-4,
        "init": "default",
        "average": 0.0,
        "schedule": "constant",
    },
}


def recipe(steps: int, **changes) -> training.Config:
    config = dataclasses.replace(
        training.PRESETS["full"], scale=SCALE, steps=steps, warmup=100
    )
    return dataclasses.replace(config, **changes)


def curves(steps: int) -> dict[str, training.Config]:
    paper = dataclasses.replace(
        training.PRESETS["paper"], scale=SCALE, steps=2 * steps // 8
    )  # batches are eight times as large
    runs = {
        "ours": recipe(steps),
        "ours with Adam": recipe(steps, **VARIANTS["Adam for all weights"]),
        "the paper's": paper,
    }
    return {
        name: dataclasses.replace(config, validate_every=config.steps // 20)
        for name, config in runs.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=3_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--long", type=int, default=30_000, help="steps")
    args = parser.parse_args()

    plan = [
        (name, seed, recipe(
            args.steps, seed=seed, validate_every=0, **changes))
        for seed in range(args.seeds)
        for name, changes in VARIANTS.items()
    ]  # fmt: skip
    plan += [
        (f"{name}, longer", 0, config)
        for name, config in curves(args.long).items()
    ]
    rows = json.loads(FILE.read_text()) if FILE.exists() else []
    done = [row["config"] for row in rows if "config" in row]
    pictures = datasets.load("T91")
    for name, seed, config in plan:
        if any(training.same(config, recorded) for recorded in done):
            continue
        run = training.train(
            config, pictures, device="cpu", progress=False, name="T91"
        )
        kept = ("validation_images", "validation_psnr_db", "sub_images",
                "minutes", "device", "torch", "commit", "config", "history")
        row = {"name": name, "seed": seed}
        row |= {key: run.card[key] for key in kept}
        row["date"] = datetime.date.today().isoformat()
        rows.append(row)
        write(rows)
        print(
            f"{name:<34} seed {seed}: {row['validation_psnr_db']:.3f} dB, "
            f"{row['minutes']:.1f} minutes",
            flush=True,
        )
    if not any(row["name"] == AUTHORS for row in rows):
        _, held_out, origin = training.split(pictures)
        network = checkpoints.load("official/9-1-5-91", SCALE)
        judge = training.Validation(held_out.values(), SCALE)
        rows.append({
            "name": AUTHORS,
            "validation_images": f"{origin} ({len(held_out)})",
            "validation_psnr_db": round(judge.psnr_db(network), 3),
        })  # fmt: skip
        write(rows)


def write(rows: list[dict]) -> None:
    text = json.dumps(rows, indent=1, ensure_ascii=False) + "\n"
    checkpoints.write_atomically(FILE, text.encode())


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
