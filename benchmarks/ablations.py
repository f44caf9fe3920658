"""The paper's ablations, and the review's open question: chapter 10's rows.

    python benchmarks/ablations.py [--only width] [--preset quick] [--seeds 3]

Seven experiments on x3, each all variants by one recipe and one budget, with several
seeds: data, width, filters, depth, loss, colour, degradation.  Reports the mean PSNR
on validation pictures, which alone may choose anything, and on Set5 and Set14.  The
preset quick takes minutes on a CPU; without it a variant takes as long as the book's
weights: a GPU's work.

Every row goes to data/results/ablations/NAME.json as soon as it is measured; a second
start goes on where the first ended.  --images DIR adds a variant to data: all pictures
of that folder, such as ImageNet's.
"""

import argparse
import dataclasses
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.rows import CARD, Rows, facts, same_recipe, seconds_in_turn, today
from srcnn_lib import checkpoints, datasets, images, protocol, results, training
from srcnn_lib.chapters import degradations
from srcnn_lib.methods.srcnn import SRCNNMethod
from srcnn_lib.models import SRCNN
from srcnn_lib.resize import bicubic

SCALE = 3
TESTS = ("Set5", "Set14")

#: Preset → what the recipe has, whatever the variant.
BUDGETS = {
    "quick": dict(steps=1_000, warmup=100, ema_decay=0.99, revive=250),
    "full": dict(steps=60_000, warmup=500, ema_decay=0.999, revive=500),
}
BASE = training.Config(scale=SCALE, sampling="importance")

SGD = {"optimiser": "sgd", "learning_rate": 1e-4}
FOUR = "3-3-3-3-1-5"  # sees 13×13 pixels, as 9-1-5 does
#: Ablation → variant → changes to `BASE`; `pictures` is of `training_set`.
#: The first of each is 9-1-5 as it is.
VARIANTS: dict[str, dict[str, dict]] = {
    "data": {
        str(count): {"pictures": count}
        for count in (91, 5, 10, 291, 25, 50, 191)
    },
    "width": {
        f"{n1}/{n1 // 2}": {"arch": f"9-1-5_{n1}-{n1 // 2}"}
        for n1 in (64, 8, 16, 32, 128, 256)
    },
    "filters": {arch: {"arch": arch} for arch in
                ("9-1-5", "9-3-5", "9-5-5", "11-1-7")},
    "depth": {
        "9-1-5": {},
        "9-1-5, residual": {"residual": True},
        "9-1-1-5": {"arch": "9-1-1-5_64-32-16"},
        "9-1-1-5, residual": {"arch": "9-1-1-5_64-32-16", "residual": True},
        "four 3×3": {"arch": f"{FOUR}_16-16-16-16-24"},
        "four 3×3, residual":
            {"arch": f"{FOUR}_16-16-16-16-24", "residual": True},
        "four 3×3 of 64": {"arch": f"{FOUR}_64-64-64-64-32"},
    },
    "loss": {
        "MSE, Muon": {},
        "L1": {"loss": "l1"},
        "Charbonnier": {"loss": "charbonnier"},
        "Adam": {"optimiser": "adam", "learning_rate": 0.002},
        "SGD": SGD,
        "SGD, one rate": SGD | {"last_rate": 1.0},
        "SGD, step × 10": SGD | {"learning_rate": 1e-3},
        "start: default": {"init": "default"},
        "start: paper's": {"init": "paper"},
    },
    "colour": {
        "luma": {},
        "YCbCr": {"colour": "ycbcr"},
        "RGB": {"colour": "rgb"},
    },
}  # fmt: skip
#: Measured after all others of their seed, as they take longest.
LAST = ("four 3×3 of 64", "256/128")
NAMES = (*VARIANTS, "degradation", "time")


def recipe(changes: dict, preset: str, seed: int) -> training.Config:
    changes = {k: v for k, v in changes.items() if k != "pictures"}
    arch = training.Architecture.parse(changes.get("arch", BASE.arch)).name
    optimiser = changes.get("optimiser", BASE.optimiser)
    usual = {"learning_rate": training.usual_learning_rate(optimiser, arch)}
    budget = BUDGETS[preset] | {"seed": seed}
    return dataclasses.replace(BASE, **budget | usual | changes | {"arch": arch})


def training_set(pictures, seed: int):
    """`pictures` are 91: T91; fewer: so many of it, others for each seed;
    more: with the first of BSDS500 train; or a folder: all in it."""
    if isinstance(pictures, str):
        return datasets.gather([pictures])
    found = dict(datasets.load("T91").items())
    if pictures < len(found):
        order = np.random.default_rng(seed).permutation(sorted(found))
        return {name: found[name] for name in order[:pictures]}
    more = datasets.load("BSDS500-train")
    names = list(more)[: pictures - len(found)]
    return found | {f"BSDS500/{name}": more[name] for name in names}


# Measuring -----------------------------------------------------------------


def luma_db(network: SRCNN) -> dict[str, float]:
    """Mean PSNR by the protocol."""
    method = SRCNNMethod(network, "cpu")
    scores = {d: protocol.evaluate(method, datasets.load(d), SCALE) for d in TESTS}
    return {d: round(protocol.mean(found)[0], 4) for d, found in scores.items()}


def colour_db(network: SRCNN, colour: str) -> dict[str, dict[str, float]]:
    """Mean PSNR of luma, of Y, Cb and Cr together, and of R, G and B.

    Chroma that is not learnt is bicubic.  Here a grey picture counts as one in colour,
    with its luma in 16…235; Set14 has such, so that its luma is not that of `luma_db`.
    """
    found = {}
    for name in TESTS:
        rows = [colour_scores(network, i, colour) for i in datasets.load(name).values()]
        means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
        found[name] = {key: round(mean, 4) for key, mean in means.items()}
    return found


@torch.inference_mode()
def colour_scores(network: SRCNN, image, colour: str) -> dict[str, float]:
    """One picture's PSNR; `colour` is what the network works on."""
    space = "rgb" if colour == "rgb" else "ycbcr"
    wide, _ = protocol.pair(image, SCALE, space)  # (H, W, 3), 0…1
    learnt = wide[..., :1] if colour == "y" else wide
    sr = network(torch.from_numpy(learnt).permute(2, 0, 1)[None])[0]
    sr = sr.permute(1, 2, 0).numpy()
    sr = images.to_uint8(255 * np.dstack([sr, wide[..., sr.shape[2] :]]))
    hr_rgb = images.modcrop(images.planes(image, "rgb"), SCALE)
    hr_ycbcr = images.planes(hr_rgb, "ycbcr")
    sr_ycbcr = images.planes(sr, "ycbcr") if space == "rgb" else sr
    sr_rgb = sr if space == "rgb" else images.to_uint8(255 * images.ycbcr_to_rgb(sr))
    return {
        "y": protocol.psnr(hr_ycbcr[..., 0], sr_ycbcr[..., 0], crop=SCALE),
        "ycbcr": protocol.psnr(hr_ycbcr, sr_ycbcr, crop=SCALE),
        "rgb": protocol.psnr(hr_rgb, sr_rgb, crop=SCALE),
    }


# Rows ----------------------------------------------------------------------


def open_rows(folder: Path, ablation: str) -> Rows:
    return Rows(folder / f"{ablation}.json")


def find(rows: Rows, config: training.Config, pictures) -> dict | None:
    """The row of this recipe and these pictures, however often validated."""
    return rows.find(config, ("validate_every",), pictures=pictures)


def train(config: training.Config, pictures, colour_too: bool) -> dict:
    """Train one variant; its row, without its name."""
    began = time.process_time()
    try:
        run = training.train(config, training_set(pictures, config.seed),
                             device="auto", progress=False, name=str(pictures))
    except training.TrainingError as error:  # it diverged: a result too
        return {"psnr_db": None, "error": str(error).split(";")[0],
                "config": dataclasses.asdict(config)}  # fmt: skip
    network = run.model.cpu()
    row = {"weights": network.count_weights()}
    if colour_too:
        row["colour_db"] = colour_db(network, config.colour)
    if config.colour == "y":
        row["psnr_db"] = luma_db(network)
    else:
        row["psnr_db"] = {name: row["colour_db"][name]["y"] for name in TESTS}
    row |= {key: run.card[key] for key in CARD}
    row["cpu_minutes"] = round((time.process_time() - began) / 60, 2)
    return row


def plan(chosen, preset: str, seeds: int, more: str | None):
    """Ablation, name, recipe and pictures of each run, in their order.

    First 9-1-5 as it is, whose spread over seeds is the measure of all others; then
    all of a seed before the next, the ablations in turn.
    """
    runs = []
    for ablation in chosen:
        variants = dict(VARIANTS[ablation])
        if more and ablation == "data":
            variants[Path(more).name] = {"pictures": str(more)}
        for turn, (name, changes) in enumerate(variants.items()):
            for seed in range(seeds):
                config = recipe(changes, preset, seed)
                curve = ablation == "data" and seed == 0
                every = config.steps // 5 if curve else 0
                config = dataclasses.replace(config, validate_every=every)
                run = ablation, name, config, changes.get("pictures", 91)
                runs.append(((turn > 0, seed, name in LAST, turn), run))
    return [run for _, run in sorted(runs, key=lambda entry: entry[0])]


def train_all(chosen, preset: str, seeds: int, folder: Path, more: str | None) -> None:
    rows = {name: open_rows(folder, name) for name in VARIANTS}
    for ablation, name, config, pictures in plan(chosen, preset, seeds, more):
        if find(rows[ablation], config, pictures):
            continue
        # The same run may stand in another ablation's file.
        found = (find(rows[other], config, pictures) for other in VARIANTS)
        row = next((row for row in found if row), None)
        if row is None or ablation == "colour" and "colour_db" not in row:
            # 9-1-5 as it is will be asked for its colours later.
            plain = same_recipe(recipe({}, preset, config.seed),
                                dataclasses.asdict(config), ("validate_every",))
            colour_too = ablation == "colour" or plain and pictures == 91
            row = train(config, pictures, colour_too)
        command = f"python benchmarks/ablations.py --only {ablation}"
        command += " --preset quick" if preset == "quick" else ""
        command += f" --images {pictures}" if isinstance(pictures, str) else ""
        rows[ablation].add(row | {
            "ablation": ablation, "name": name, "preset": preset, "seed": config.seed,
            "pictures": pictures, "command": command, "date": today(),
        })  # fmt: skip
        print(f"{ablation:<8}{name:<22} seed {config.seed}:",
              row.get("validation_psnr_db", row.get("error")),
              *(f"{k} {v:.2f}" for k, v in (row["psnr_db"] or {}).items()),
              flush=True)  # fmt: skip


def record_times(folder: Path, rounds: int = 7) -> None:
    """Seconds per picture of Set5 on one thread, all in one sitting.

    The least of several rounds, as anything else on the machine only adds.
    """
    changes = [change for variants in VARIANTS.values() for change in variants.values()]
    shapes = {recipe(change, "quick", 0).architecture() for change in changes}
    calls = {a: SRCNNMethod(SRCNN(*a), "cpu") for a in sorted(shapes) if a.channels == 1}
    pictures = datasets.load("Set5").values()
    small = [protocol.degrade(image, SCALE)[1] for image in pictures]
    taken = seconds_in_turn(calls, small, SCALE, rounds)
    rows = open_rows(folder, "time")
    rows[:] = [{
        "arch": a.name,
        "residual": a.residual,
        "weights": SRCNN(*a).count_weights(),
        "seconds": round(float(np.mean([min(each) for each in taken[a]])), 5),
        "command": "python benchmarks/ablations.py --only time",
    } | facts() for a in calls]  # fmt: skip
    rows.write()


# What the degradation hides -------------------------------------------------


def gain(method, dataset: str, degrade, scale: int) -> np.ndarray:
    """Mean PSNR of bicubic interpolation and of the method."""
    both = []
    for image in datasets.load(dataset).values():
        hr_y = images.modcrop(images.luma(image), scale)
        lr_y = degrade(hr_y, scale)
        sr = [images.to_uint8(255 * call(lr_y, scale)) for call in (bicubic, method)]
        both.append([protocol.psnr(hr_y, sr_y, crop=scale) for sr_y in sr])
    return np.mean(both, axis=0)


def record_degradations(folder: Path) -> None:
    """The book's weights on pictures that came about otherwise."""
    networks = {
        scale: SRCNNMethod(checkpoints.load("9-1-5", scale), "cpu")
        for scale in protocol.SCALES
    }
    cases = [(name, 3, 3, degrade) for name, degrade in degradations.ALL.items()]
    cases += [
        (f"x{trained} network on x{scale}", trained, scale, degradations.matlab)
        for trained in protocol.SCALES
        for scale in protocol.SCALES
    ]
    rows = open_rows(folder, "degradation")
    rows.clear()
    for name, trained_for, scale, degrade in cases:
        both = {d: gain(networks[trained_for], d, degrade, scale) for d in TESTS}
        rows.append({
            "ablation": "degradation",
            "name": name,
            "model": "9-1-5",
            "trained_for": trained_for,
            "scale": scale,
            "bicubic_db": {d: round(float(v[0]), 4) for d, v in both.items()},
            "psnr_db": {d: round(float(v[1]), 4) for d, v in both.items()},
            "date": today(),
            "command": "python benchmarks/ablations.py --only degradation",
        })  # fmt: skip
    rows.write()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=NAMES, help="all where not given")
    parser.add_argument("--preset", choices=tuple(BUDGETS), default="full")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", metavar="DIR", help="of more pictures")
    parser.add_argument(
        "--out", metavar="DIR", type=Path, default=results.folder() / "ablations"
    )
    args = parser.parse_args()
    chosen = [args.only] if args.only else NAMES
    trained = [name for name in chosen if name in VARIANTS]
    train_all(trained, args.preset, args.seeds, args.out, args.images)
    if "degradation" in chosen:
        record_degradations(args.out)
    if "time" in chosen:
        record_times(args.out)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
