"""The paper's ablations, and the review's open question: chapter 10's rows.

    nice python benchmarks/ablations.py [--only width] [--preset quick] [--seeds 3]

Experiments on x3, each all variants by one recipe and one budget, with several seeds:
width, filters, depth, data, loss, colour; and two without training, degradation and
time.  The preset tuned has 10,000 steps and searches the learning rate of each family
of networks on validation pictures, which alone may choose anything; quick, of 1,000,
takes minutes on a CPU; full, as long as the book's weights, a GPU's work.

Rows, trials included, go to data/studies/ablations.json; those of degradation and time,
and older ones of quick, are in data/results/ablations.  --images DIR adds a variant to
data: all pictures of that folder, such as ImageNet's.
"""

import dataclasses
import itertools
from functools import partial
from pathlib import Path
from statistics import fmean

import numpy as np
import torch

from benchmarks import rows as study
from benchmarks.rows import SCALE, Rows, facts, mean_db, runs_of
from srcnn_lib import checkpoints, datasets, images, protocol, results, training
from srcnn_lib.chapters import degradations
from srcnn_lib.methods.srcnn import SRCNNMethod
from srcnn_lib.models import SRCNN, Architecture
from srcnn_lib.resize import bicubic, imresize

TESTS = ("Set5", "Set14")
OTHERS = (*TESTS, "demo-test")  # also photographs that nothing here is trained on
COMMAND = "python benchmarks/ablations.py --only "  # and one of NAMES
#: Preset → what the recipe has, whatever the variant.
BUDGETS = {
    "tuned": dict(steps=10_000, warmup=500, ema_decay=0.999, revive=500),
    "quick": dict(steps=1_000, warmup=100, ema_decay=0.99, revive=250),
    "full": dict(steps=60_000, warmup=500, ema_decay=0.999, revive=500),
}
BASE = training.Config(scale=SCALE, sampling="importance")

SGD = {"optimiser": "sgd", "learning_rate": 1e-4}
FOUR = "3-3-3-3-1-5"  # sees 13×13 pixels, as 9-1-5 does
#: Ablation → variant → changes to `BASE`; `pictures` is of `training_set`.
#: The first of each is 9-1-5 as it is.
VARIANTS: dict[str, dict[str, dict]] = {
    "width": {f"{n}/{n // 2}": {"arch": f"9-1-5_{n}-{n // 2}"}
              for n in (64, 32, 128, 16, 8, 256)},
    "filters": {arch: {"arch": arch} for arch in ("9-1-5", "9-3-5", "9-5-5", "11-1-7")},
    "depth": {
        "9-1-5": {}, "9-1-5, residual": {"residual": True},
        "9-1-1-5": {"arch": "9-1-1-5_64-32-16"},
        "9-1-1-5, residual": {"arch": "9-1-1-5_64-32-16", "residual": True},
        "four 3×3": {"arch": f"{FOUR}_16-16-16-16-24"},
        "four 3×3, residual": {"arch": f"{FOUR}_16-16-16-16-24", "residual": True},
        "four 3×3 of 64": {"arch": f"{FOUR}_64-64-64-64-32"},
        "four 3×3 of 64, residual":
            {"arch": f"{FOUR}_64-64-64-64-32", "residual": True},
        "9-5-5": {"arch": "9-5-5"},
        "9-5-5, residual": {"arch": "9-5-5", "residual": True},
    } | {arch: {"arch": f"{arch}_64-32-16"}
         for arch in ("9-3-1-5", "9-5-1-5", "9-3-3-5", "9-3-3-3")},
    "data": {str(n): {"pictures": n}
             for n in (91, 191, "191 shrunk", 291, 5, 10, 25, 50)},
    "loss": {
        "MSE, Muon": {}, "L1": {"loss": "l1"}, "Charbonnier": {"loss": "charbonnier"},
        "Adam": {"optimiser": "adam", "learning_rate": 0.002},
        "SGD": SGD, "SGD, one rate": SGD | {"last_rate": 1.0},
        "SGD, step × 10": SGD | {"learning_rate": 1e-3},
        "start: default": {"init": "default"}, "start: paper's": {"init": "paper"},
    },
    "colour": {"luma": {}, "YCbCr": {"colour": "ycbcr"}, "RGB": {"colour": "rgb"}},
}  # fmt: skip
NAMES = (*VARIANTS, "degradation", "time")


def recipe(changes: dict, preset: str, seed: int = 0) -> training.Config:
    changes = {k: v for k, v in changes.items() if k != "pictures"}
    arch = Architecture.parse(changes.get("arch", BASE.arch)).name
    rate = training.usual_learning_rate(changes.get("optimiser", BASE.optimiser), arch)
    budget = BUDGETS[preset] | {"seed": seed, "validate_every": 0}
    changes = budget | {"learning_rate": rate} | changes | {"arch": arch}
    return dataclasses.replace(BASE, **changes)


def training_set(pictures, seed: int):
    """`pictures` are 91: T91; fewer: so many of it, others for each seed;
    more: with the first of BSDS500 train, or "N shrunk": these at half the size, where
    JPEG's blocks are gone; or a folder: all in it."""
    number, _, shrunk = str(pictures).partition(" ")
    if not number.isdigit():
        return datasets.gather([pictures])
    found = dict(datasets.load("T91").items())
    if int(number) < len(found):
        order = np.random.default_rng(seed).permutation(sorted(found))
        return {name: found[name] for name in order[: int(number)]}
    more = datasets.load("BSDS500-train")
    for name in list(more)[: int(number) - len(found)]:
        image = more[name]
        small = images.to_uint8(imresize(image.astype(float), 0.5)) if shrunk else image
        found[f"BSDS500/{name}"] = small
    return found


def colour_db(network: SRCNN, colour: str) -> dict[str, dict[str, float]]:
    """Mean PSNR of luma, of Y, Cb and Cr together, and of R, G and B.

    Chroma that is not learnt is bicubic.  Here a grey picture counts as one in colour,
    with its luma in 16…235; Set14 has such, so that its luma is not the protocol's.
    """
    found = {}
    for name in TESTS:
        rows = [colour_scores(network, i, colour) for i in datasets.load(name).values()]
        found[name] = {k: round(fmean(row[k] for row in rows), 4) for k in rows[0]}
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
    rgb = sr if space == "rgb" else images.to_uint8(255 * images.ycbcr_to_rgb(sr))
    ycbcr = sr if space == "ycbcr" else images.planes(sr, "ycbcr")
    hr_rgb = images.modcrop(images.planes(image, "rgb"), SCALE)
    both = {"ycbcr": (images.planes(hr_rgb, "ycbcr"), ycbcr), "rgb": (hr_rgb, rgb)}
    both["y"] = [picture[..., 0] for picture in both["ycbcr"]]
    return {name: protocol.psnr(*pair, crop=SCALE) for name, pair in both.items()}


def measure(colour: str, network: SRCNN) -> dict:
    """What a row says of a trained network; nothing here chooses anything."""
    row = {"weights": network.count_weights(), "colour_db": colour_db(network, colour)}
    row["psnr_db"] = {name: db["y"] for name, db in row["colour_db"].items()}
    if colour == "y":
        method = SRCNNMethod(network, "cpu")
        row["psnr_db"] = {name: mean_db(method, name) for name in OTHERS}
    return row


def family(config: training.Config) -> tuple:
    """What a learning rate depends on most; networks that share one are tuned once."""
    f = config.architecture().f
    return config.optimiser, max(f[1:-1]) > 1, f[0], len(f) > 3, config.residual


def train_all(chosen, preset: str, seeds: int, rows: Rows, more: str) -> None:
    """Of a family the first variant's learning rate is searched."""
    rates = {}
    for ablation in chosen:
        variants = dict(VARIANTS[ablation])
        if more and ablation == "data":
            variants[Path(more).name] = {"pictures": str(more)}
        for name, changes in variants.items():
            config, pictures = recipe(changes, preset), changes.get("pictures", 91)
            kin, start = family(config), config.learning_rate
            config = dataclasses.replace(
                config, learning_rate=rates.get(kin, start), validate_every=1_000
            )
            about = {"ablation": ablation, "name": name, "preset": preset,
                     "pictures": pictures, "command": COMMAND + ablation}  # fmt: skip
            how = {"measure": partial(measure, config.colour), "name": str(pictures),
                   "images": partial(training_set, pictures)}  # fmt: skip
            start = start if preset == "tuned" and kin not in rates else None
            rate = runs_of(rows, config, about, range(seeds), start, **how)
            rates |= {kin: rate} if preset == "tuned" else {}


def record_times(rows: Rows, rounds: int = 7) -> None:
    """Seconds per picture of Set5 on one thread, all in one sitting: the least of
    several rounds, as anything else on the machine only adds."""
    changes = (change for variants in VARIANTS.values() for change in variants.values())
    shapes = sorted({recipe(change, "quick", 0).architecture() for change in changes})
    calls = {a: SRCNNMethod(SRCNN(*a), "cpu") for a in shapes if a.channels == 1}
    seconds = study.seconds_in_turn(calls, "Set5", rounds, of=min)
    rows.replace([{
        "arch": a.name, "residual": a.residual, "weights": SRCNN(*a).count_weights(),
        "seconds": seconds[a], "command": COMMAND + "time",
    } | facts() for a in calls])  # fmt: skip


def degraded_db(method, dataset: str, scale: int, degrade) -> float:
    """Mean PSNR where the LR pictures came about otherwise."""
    found = []
    for image in datasets.load(dataset).values():
        hr_y = images.modcrop(images.luma(image), scale)
        sr_y = images.to_uint8(255 * method(degrade(hr_y, scale), scale))
        found.append(protocol.psnr(hr_y, sr_y, crop=scale))
    return round(fmean(found), 4)


def record_degradations(rows: Rows) -> None:
    """The book's weights on pictures that came about otherwise."""
    cases = [(name, 3, 3, degrade) for name, degrade in degradations.ALL.items()]
    cases += [(f"x{n} network on x{scale}", n, scale, degradations.matlab)
              for n, scale in itertools.product(protocol.SCALES, repeat=2)]  # fmt: skip
    found = []
    for name, trained_for, *how in cases:
        method = SRCNNMethod(checkpoints.load("9-1-5", trained_for), "cpu")
        found.append({
            "ablation": "degradation", "name": name, "model": "9-1-5",
            "trained_for": trained_for, "scale": how[0],
            "bicubic_db": {d: degraded_db(bicubic, d, *how) for d in TESTS},
            "psnr_db": {d: degraded_db(method, d, *how) for d in TESTS},
            "command": COMMAND + "degradation",
        } | facts())  # fmt: skip
    rows.replace(found)


def main() -> None:
    usual = {"preset": tuple(BUDGETS), "images": "", "seeds": 3}
    args = study.options(__doc__, only=("", *NAMES), **usual)
    chosen = [args.only] if args.only else NAMES
    trained = [name for name in chosen if name in VARIANTS]
    train_all(trained, args.preset, args.seeds, Rows("ablations"), args.images)
    others = {"degradation": record_degradations, "time": record_times}
    for name in chosen[len(trained) :]:
        others[name](Rows(results.results_folder() / "ablations" / f"{name}.json"))


if __name__ == "__main__":
    main()
