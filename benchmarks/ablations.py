"""The paper's ablations, and the review's open question: chapter 10's rows.

    python benchmarks/ablations.py [--only width] [--preset quick] [--seeds 3]

Seven experiments on x3, each all variants by one recipe and one budget, with
several seeds: data, width, filters, depth, loss, colour, degradation.  Reports
the mean PSNR on validation pictures, which alone may choose anything, and on
Set5 and Set14.  The preset quick takes minutes on a CPU; without it a variant
takes as long as the book's weights: a GPU's work.

Every row goes to data/results/ablations/NAME.json as soon as it is measured;
a second start goes on where the first ended.  --images DIR adds a variant to
data: all pictures of that folder, such as ImageNet's.
"""

import argparse
import dataclasses
import datetime
import json
import time
from pathlib import Path

import numpy as np
import torch

from srcnn_lib import (
    checkpoints,
    datasets,
    images,
    protocol,
    results,
    streaming,
    training,
)
from srcnn_lib.chapters import degradations
from srcnn_lib.methods.srcnn import SRCNNMethod
from srcnn_lib.models import SRCNN, describe
from srcnn_lib.resize import bicubic, imresize

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
    learning_rate = training.usual_learning_rate(
        changes.get("optimiser", BASE.optimiser), arch
    )
    defaults = BUDGETS[preset] | {"seed": seed, "learning_rate": learning_rate}
    return dataclasses.replace(BASE, **defaults | changes | {"arch": arch})


def training_set(pictures, seed: int):
    """`pictures` are 91: T91; fewer: so many of it, others for each seed;
    more: with the first of BSDS500 train; or a folder: all in it."""
    if isinstance(pictures, str):
        return streaming.Pictures([streaming.index_folder(pictures)])
    found = dict(datasets.load("T91").items())
    if pictures < len(found):
        order = np.random.default_rng(seed).permutation(sorted(found))
        return {name: found[name] for name in order[:pictures]}
    more = datasets.load("BSDS500-train")
    names = list(more)[: pictures - len(found)]
    return found | {f"BSDS500/{name}": more[name] for name in names}


# Measuring -----------------------------------------------------------------


class Tests:
    """The test pictures, shrunk and enlarged once for all networks."""

    def __init__(self):
        self.sets = {
            name: [self._triple(image) for image in datasets.load(name).values()]
            for name in TESTS
        }

    @staticmethod
    def _triple(image):
        hr_y, lr_y = protocol.degrade(image, SCALE)
        return image, hr_y, bicubic(lr_y, SCALE)

    def luma_db(self, network: SRCNN) -> dict[str, float]:
        """Mean PSNR by the protocol."""
        method = SRCNNMethod(network, "cpu")
        return {
            name: float(np.mean([
                protocol.psnr(hr, images.to_uint8(255 * method.enhance(wide)),
                             crop=SCALE)
                for _, hr, wide in self.sets[name]
            ]))
            for name in TESTS
        }  # fmt: skip

    def colour_db(self, network: SRCNN, colour: str) -> dict:
        """Mean PSNR of luma, of Y, Cb and Cr together, and of R, G and B.

        Chroma that is not learnt is bicubic.  Here a grey picture counts as
        one in colour, with its luma in 16…235; Set14 has such, so that its
        luma is not that of `luma_db`.
        """
        return {
            name: {
                key: round(float(np.mean([row[key] for row in rows])), 4)
                for key in rows[0]
            }
            for name in TESTS
            for rows in [[
                colour_scores(network, image, colour)
                for image, _, _ in self.sets[name]
            ]]
        }  # fmt: skip


@torch.inference_mode()
def enlarge(network: SRCNN, image, colour: str) -> np.ndarray:
    """Shrink and enlarge a picture; uint8 YCbCr or RGB, (H, W, 3)."""
    space = "rgb" if colour == "rgb" else "ycbcr"
    hr = images.modcrop(images.planes(image, space), SCALE)
    wide = bicubic(imresize(hr / 255.0, 1 / SCALE), SCALE)
    learnt = wide[..., :1] if colour == "y" else wide
    y = torch.from_numpy(learnt.astype(np.float32)).permute(2, 0, 1)
    sr = network(y[None])[0].permute(1, 2, 0).numpy()
    wide[..., : sr.shape[2]] = sr
    return images.to_uint8(255 * wide)


def colour_scores(network, image, colour: str) -> dict[str, float]:
    sr = enlarge(network, image, colour)
    if colour == "rgb":
        sr_rgb, sr_ycbcr = sr, images.planes(sr, "ycbcr")
    else:
        sr_rgb = images.to_uint8(255 * images.ycbcr_to_rgb(sr))
        sr_ycbcr = sr
    hr_rgb = images.modcrop(images.planes(image, "rgb"), SCALE)
    hr_ycbcr = images.planes(hr_rgb, "ycbcr")
    return {
        "y": protocol.psnr(hr_ycbcr[..., 0], sr_ycbcr[..., 0], crop=SCALE),
        "ycbcr": protocol.psnr(hr_ycbcr, sr_ycbcr, crop=SCALE),
        "rgb": protocol.psnr(hr_rgb, sr_rgb, crop=SCALE),
    }


# Rows ----------------------------------------------------------------------


def path(folder: Path, ablation: str) -> Path:
    return folder / f"{ablation}.json"


def read(folder: Path, ablation: str) -> list[dict]:
    file = path(folder, ablation)
    return json.loads(file.read_text("utf-8")) if file.exists() else []


def add(folder: Path, ablation: str, row: dict) -> None:
    rows = read(folder, ablation) + [row]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    blob = ("[\n" + ",\n".join(lines) + "\n]\n").encode()
    checkpoints.write_atomically(path(folder, ablation), blob)


def find(
    rows: list[dict], config: training.Config, pictures
) -> dict | None:
    """The row of this recipe and these pictures, however often validated."""
    for row in rows:
        recorded = row["config"] | {"validate_every": config.validate_every}
        if row["pictures"] == pictures and training.same(config, recorded):
            return row
    return None


def train(config, pictures, tests: Tests, colour_too: bool) -> dict:
    """Train one variant; its row, less its name."""
    began = time.process_time()
    try:
        run = training.train(
            config,
            training_set(pictures, config.seed),
            device="auto",
            progress=False,
            name=str(pictures),
        )
    except training.TrainingError as error:  # it diverged: a result too
        return {"psnr_db": None, "error": str(error).split(";")[0],
                "config": dataclasses.asdict(config)}  # fmt: skip
    network = run.model.cpu()
    if config.colour == "y":
        psnr_db = {k: round(v, 4) for k, v in tests.luma_db(network).items()}
    else:
        scores = tests.colour_db(network, config.colour)
        psnr_db = {name: scores[name]["y"] for name in TESTS}
    row = {"psnr_db": psnr_db, "weights": network.count_weights()}
    if colour_too:
        row["colour_db"] = tests.colour_db(network, config.colour)
    kept = ("validation_images", "validation_psnr_db", "sub_images",
            "minutes", "device", "torch", "commit", "config", "history")
    row |= {key: run.card[key] for key in kept}
    row["cpu_minutes"] = round((time.process_time() - began) / 60, 2)
    return row


def train_all(chosen, preset: str, seeds: int, folder: Path, more) -> None:
    variants = {ablation: dict(VARIANTS[ablation]) for ablation in chosen}
    if more and "data" in chosen:
        variants["data"][Path(more).name] = {"pictures": str(more)}
    # First 9-1-5 as it is, whose spread over seeds is the measure of all
    # others; then all of a seed before the next, the ablations in turn.
    plan = [
        (turn > 0, seed, name in LAST, turn, ablation, name)
        for seed in range(seeds)
        for ablation in chosen
        for turn, name in enumerate(variants[ablation])
    ]
    plan.sort(key=lambda entry: entry[:4])
    tests = None
    for _, seed, _, _, ablation, name in plan:
        changes = variants[ablation][name]
        config = recipe(changes, preset, seed)
        if ablation == "data" and seed == 0:  # for the curves
            every = config.steps // 5
            config = dataclasses.replace(config, validate_every=every)
        else:
            config = dataclasses.replace(config, validate_every=0)
        pictures = changes.get("pictures", 91)
        if find(read(folder, ablation), config, pictures):
            continue
        tests = tests or Tests()
        command = f"python benchmarks/ablations.py --only {ablation}"
        command += " --preset quick" if preset == "quick" else ""
        if isinstance(pictures, str):
            command += f" --images {pictures}"
        # 9-1-5 on T91 is in every ablation, and trained for one.
        known = [row for other in VARIANTS for row in read(folder, other)]
        row = find(known, config, pictures) or {}
        if not row or ablation == "colour" and "colour_db" not in row:
            mine = {"config": dataclasses.asdict(config), "pictures": pictures}
            # 9-1-5 as it is will be asked for its colours later.
            plain = find([mine], recipe({}, preset, seed), 91)
            colour_too = bool(plain) or ablation == "colour"
            row = train(config, pictures, tests, colour_too)
        named = {"ablation": ablation, "name": name, "preset": preset,
                 "seed": seed, "pictures": pictures}  # fmt: skip
        dated = {"command": command,
                 "date": datetime.date.today().isoformat()}  # fmt: skip
        add(folder, ablation, row | named | dated)
        db = row["psnr_db"] or {}
        print(
            f"{ablation:<8}{name:<22} seed {seed}: "
            f"{row.get('validation_psnr_db', row.get('error'))}"
            f" {' '.join(f'{k} {v:.2f}' for k, v in db.items())}",
            flush=True,
        )


def time_all(folder: Path, rounds: int = 7) -> None:
    """Seconds per picture of Set5 on one thread, all in one sitting.

    The least of several rounds, as anything else on the machine only adds.
    """
    architectures = {
        recipe(changes, "quick", 0).architecture()
        for variants in VARIANTS.values()
        for changes in variants.values()
    }
    methods = {
        a: SRCNNMethod(SRCNN(*a), "cpu") for a in sorted(architectures)
        if a.channels == 1
    }  # fmt: skip
    small = [protocol.degrade(image, SCALE)[1]
             for image in datasets.load("Set5").values()]  # fmt: skip
    least: dict = {}
    for _ in range(rounds):
        for a, method in methods.items():
            for i, lr_y in enumerate(small):
                began = time.perf_counter()
                method(lr_y, SCALE)
                seconds = time.perf_counter() - began
                least[a, i] = min(seconds, least.get((a, i), np.inf))
    path(folder, "time").unlink(missing_ok=True)
    for a in methods:
        mean = np.mean([least[a, i] for i in range(len(small))])
        add(folder, "time", {
            "arch": a.name,
            "residual": a.residual,
            "weights": SRCNN(*a).count_weights(),
            "seconds": round(float(mean), 5),
            "device": describe(torch.device("cpu")),
            "date": datetime.date.today().isoformat(),
            "command": "python benchmarks/ablations.py --only time",
        })  # fmt: skip


# What the degradation hides -------------------------------------------------


def gain(method, dataset: str, degrade, scale: int) -> tuple[float, float]:
    """Mean PSNR of bicubic interpolation and of the method."""
    rows = []
    for image in datasets.load(dataset).values():
        hr_y = images.modcrop(images.luma(image), scale)
        lr_y = degrade(hr_y, scale)
        rows.append([
            protocol.psnr(hr_y, images.to_uint8(255 * call(lr_y, scale)),
                         crop=scale)
            for call in (bicubic, method)
        ])  # fmt: skip
    return tuple(float(x) for x in np.mean(rows, axis=0))


def degrade_all(folder: Path) -> None:
    """The book's weights on pictures that came about otherwise."""
    network = SRCNNMethod(checkpoints.load("9-1-5", SCALE), "cpu")
    cases = [(name, 3, 3, network, degrade)
             for name, degrade in degradations.ALL.items()]  # fmt: skip
    for trained_for in protocol.SCALES:
        network = SRCNNMethod(checkpoints.load("9-1-5", trained_for), "cpu")
        cases += [
            (f"x{trained_for} network on x{scale}", trained_for, scale,
             network, degradations.matlab)
            for scale in protocol.SCALES
        ]  # fmt: skip
    path(folder, "degradation").unlink(missing_ok=True)
    for name, trained_for, scale, network, degrade in cases:
        both = {d: gain(network, d, degrade, scale) for d in TESTS}
        add(folder, "degradation", {
            "ablation": "degradation",
            "name": name,
            "model": "9-1-5",
            "trained_for": trained_for,
            "scale": scale,
            "bicubic_db": {d: round(v[0], 4) for d, v in both.items()},
            "psnr_db": {d: round(v[1], 4) for d, v in both.items()},
            "date": datetime.date.today().isoformat(),
            "command": "python benchmarks/ablations.py --only degradation",
        })  # fmt: skip


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
        degrade_all(args.out)
    if "time" in chosen:
        time_all(args.out)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
