"""Recorded results: write them, verify them, hold them to the paper.

``data/results/*.json`` has a list of rows per model, one row per data set ×
scale × kind of luma, each with its pictures, protocol, command, date and
device.
"""

import datetime
import hashlib
import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from . import checkpoints, datasets, methods, protocol
from .methods import sparse_coding, trained

SET5 = ("baby", "bird", "butterfly", "head", "woman")

#: Weights without biases (TPAMI section 4.3.2).
WEIGHTS = {"9-1-5": 8_032, "9-3-5": 24_416, "9-5-5": 57_184}


class Printed(NamedTuple):
    """One printed number.

    `metric` is "psnr_db" or "ssim"; `image` is None for a mean over the data
    set.  `model` is the authors' network, for SRCNN.
    """

    method: str
    model: str | None
    dataset: str
    scale: int
    luma: str
    metric: str
    image: str | None
    value: float
    source: str
    checked: str


_CHECKED = {"✓": "recomputed", "·": "printed", "?": "quoted"}
_91, _915, _935, _955 = (
    "official/9-1-5-91",
    "official/9-1-5-imagenet",
    "official/9-3-5-imagenet",
    "official/9-5-5-imagenet",
)

# method, model, mark, and per scale the five pictures and their mean.
_ECCV_TABLE_1 = [
    ("bicubic", None, "✓", {
        2: (37.07, 36.81, 27.43, 34.86, 32.14, 33.66),
        3: (33.91, 32.58, 24.04, 32.88, 28.56, 30.39),
        4: (31.78, 30.18, 22.10, 31.59, 26.46, 28.42)}),
    ("sc", None, "·", {
        3: (34.29, 34.11, 25.58, 33.17, 29.94, 31.42)}),
    ("ksvd", None, "·", {
        2: (38.25, 39.93, 30.65, 35.59, 34.49, 35.78),
        3: (35.08, 34.57, 25.94, 33.56, 30.37, 31.90),
        4: (33.06, 31.71, 23.57, 32.21, 27.89, 29.69)}),
    ("ne-nnls", None, "·", {
        2: (38.00, 39.41, 30.03, 35.48, 34.24, 35.43),
        3: (34.77, 34.26, 25.61, 33.45, 29.89, 31.60),
        4: (32.81, 31.51, 23.30, 32.10, 27.61, 29.47)}),
    ("ne-lle", None, "·", {
        2: (38.33, 40.00, 30.38, 35.63, 34.52, 35.77),
        3: (35.06, 34.56, 25.75, 33.60, 30.22, 31.84),
        4: (32.99, 31.72, 23.38, 32.24, 27.72, 29.61)}),
    ("anr", None, "·", {
        2: (38.44, 40.04, 30.48, 35.66, 34.55, 35.83)}),
    ("anr", None, "✓", {
        3: (35.13, 34.60, 25.90, 33.63, 30.33, 31.92),
        4: (33.03, 31.82, 23.52, 32.27, 27.80, 29.69)}),
    ("srcnn", _91, "✓", {
        2: (38.30, 40.64, 32.20, 35.64, 34.94, 36.34),
        3: (35.01, 34.91, 27.58, 33.55, 30.92, 32.39),
        4: (32.98, 31.98, 25.07, 32.19, 28.21, 30.09)}),
]  # fmt: skip

# data set, metric, method, model, then (scale, value, mark)….
_AVERAGES = [
    ("Set5", "psnr_db", "kk", None,
     (2, 36.20, "?"), (3, 32.28, "?"), (4, 30.03, "?")),
    ("Set5", "psnr_db", "aplus", None,
     (2, 36.54, "?"), (3, 32.59, "?"), (4, 30.28, "✓")),
    ("Set5", "psnr_db", "srcnn", _955,
     (2, 36.66, "✓"), (3, 32.75, "✓"), (4, 30.49, "✓")),
    ("Set5", "ssim", "bicubic", None,
     (2, 0.9299, "✓"), (3, 0.8682, "✓"), (4, 0.8104, "✓")),
    ("Set5", "ssim", "sc", None, (3, 0.8821, "?")),
    ("Set5", "ssim", "ne-lle", None,
     (2, 0.9490, "?"), (3, 0.8956, "?"), (4, 0.8402, "?")),
    ("Set5", "ssim", "kk", None,
     (2, 0.9511, "?"), (3, 0.9033, "?"), (4, 0.8541, "?")),
    ("Set5", "ssim", "anr", None,
     (2, 0.9499, "?"), (3, 0.8968, "?"), (4, 0.8419, "?")),
    ("Set5", "ssim", "aplus", None,
     (2, 0.9544, "?"), (3, 0.9088, "?"), (4, 0.8603, "?")),
    ("Set5", "ssim", "srcnn", _955,
     (2, 0.9542, "✓"), (3, 0.9090, "✓"), (4, 0.8628, "✓")),
    ("Set14", "psnr_db", "bicubic", None,
     (2, 30.23, "✓"), (3, 27.54, "✓"), (4, 26.00, "✓")),
    ("Set14", "psnr_db", "sc", None, (3, 28.31, "?")),
    ("Set14", "psnr_db", "ne-lle", None,
     (2, 31.76, "?"), (3, 28.60, "?"), (4, 26.81, "?")),
    ("Set14", "psnr_db", "kk", None,
     (2, 32.11, "?"), (3, 28.94, "?"), (4, 27.14, "?")),
    ("Set14", "psnr_db", "anr", None,
     (2, 31.80, "?"), (3, 28.65, "✓"), (4, 26.85, "?")),
    ("Set14", "psnr_db", "aplus", None,
     (2, 32.28, "?"), (3, 29.13, "✓"), (4, 27.32, "?")),
    ("Set14", "psnr_db", "srcnn", _955,
     (2, 32.45, "✓"), (3, 29.30, "✓"), (4, 27.50, "✓")),
    ("Set14", "ssim", "bicubic", None,
     (2, 0.8687, "✓"), (3, 0.7736, "✓"), (4, 0.7019, "✓")),
    ("Set14", "ssim", "sc", None, (3, 0.7954, "?")),
    ("Set14", "ssim", "ne-lle", None,
     (2, 0.8993, "?"), (3, 0.8076, "?"), (4, 0.7331, "?")),
    ("Set14", "ssim", "kk", None,
     (2, 0.9026, "?"), (3, 0.8132, "?"), (4, 0.7419, "?")),
    ("Set14", "ssim", "anr", None,
     (2, 0.9004, "?"), (3, 0.8093, "?"), (4, 0.7352, "?")),
    ("Set14", "ssim", "aplus", None,
     (2, 0.9056, "?"), (3, 0.8188, "?"), (4, 0.7491, "?")),
    ("Set14", "ssim", "srcnn", _955,
     (2, 0.9067, "✓"), (3, 0.8215, "✓"), (4, 0.7513, "✓")),
    ("BSD200", "psnr_db", "bicubic", None,
     (2, 28.38, "✓"), (3, 25.94, "✓"), (4, 24.65, "✓")),
    ("BSD200", "psnr_db", "srcnn", _955,
     (2, 30.29, "✓"), (3, 27.18, "✓"), (4, 25.60, "✓")),
    ("BSD200", "ssim", "srcnn", _955,
     (2, 0.8977, "✓"), (3, 0.7971, "✓"), (4, 0.7184, "✓")),
]  # fmt: skip

# Set14 x3 where only the ECCV paper has the number.
_ECCV_TABLE_2 = [
    ("ksvd", None, 28.67, "?"),
    ("ne-nnls", None, 28.44, "?"),
    ("srcnn", _91, 29.00, "✓"),
]
# Set5 x3 (TPAMI section 4.3): training data and filter size.
_ABLATIONS = [(_915, 32.52, "✓"), (_935, 32.66, "✓")]

#: Set5 x3 of the paper's ablations (TPAMI sections 4.3 and 4.5): experiment →
#: variant → dB, and how far the number is sure.  Of colour it is what the
#: paper calls the PSNR of the RGB image.
ABLATIONS = {
    "data": {
        "91": (32.39, "recomputed"),
        "ImageNet": (32.52, "recomputed"),
    },
    "width": {
        "128/64": (32.60, "quoted"),
        "64/32": (32.52, "recomputed"),
        "32/16": (32.26, "quoted"),
    },
    "filters": {
        "9-1-5": (32.52, "recomputed"),
        "9-3-5": (32.66, "recomputed"),
        "9-5-5": (32.75, "recomputed"),
        "11-1-7": (32.57, "quoted"),
    },
    "colour": {
        "bicubic": (34.57, "recomputed"),
        "luma": (36.37, "recomputed"),
        "RGB": (36.44, "quoted"),
    },
}
#: Seconds per picture of the widths above, in the authors' MATLAB.
WIDTH_SECONDS = {"128/64": 0.60, "64/32": 0.18, "32/16": 0.05}

_TABLE = {
    "Set5": "TPAMI Table 2",
    "Set14": "TPAMI Table 3",
    "BSD200": "TPAMI Table 4",
}


def printed_rows() -> list[Printed]:
    """All printed numbers that one of the book's methods can be held to."""
    rows = []
    for method, model, mark, scales in _ECCV_TABLE_1:
        for scale, values in scales.items():
            for image, value in zip((*SET5, None), values):
                rows.append(
                    Printed(method, model, "Set5", scale, "y", "psnr_db",
                            image, value, "ECCV Table 1", _CHECKED[mark])
                )  # fmt: skip
    for dataset, metric, method, model, *values in _AVERAGES:
        kind = "gray" if dataset == "BSD200" else "y"
        for scale, value, mark in values:
            rows.append(
                Printed(method, model, dataset, scale, kind, metric,
                        None, value, _TABLE[dataset], _CHECKED[mark])
            )  # fmt: skip
    for method, model, value, mark in _ECCV_TABLE_2:
        rows.append(
            Printed(method, model, "Set14", 3, "y", "psnr_db",
                    None, value, "ECCV Table 2", _CHECKED[mark])
        )  # fmt: skip
    for model, value, mark in _ABLATIONS:
        rows.append(
            Printed("srcnn", model, "Set5", 3, "y", "psnr_db",
                    None, value, "TPAMI section 4.3", _CHECKED[mark])
        )  # fmt: skip
    return rows


def printed(
    method: str,
    dataset: str,
    scale: int,
    *,
    model: str | None = None,
    metric: str = "psnr_db",
    image: str | None = None,
    luma: str | None = None,
) -> Printed | None:
    """The printed number, or None where the papers have none.

    `luma` is the paper's own where not given: gray on BSD200, y elsewhere.
    """
    if luma is None:
        luma = "gray" if dataset == "BSD200" else "y"
    wanted = (method, model, dataset, scale, luma, metric, image)
    for row in printed_rows():
        if row[:7] == wanted:
            return row
    return None


#: Largest difference that is still the same number, on another machine.
TOLERANCE_DB = 0.005
TOLERANCE_SSIM = 0.0001

#: What stands for the paper's network among those trained here.
COUNTERPART = {
    "official/9-1-5-91": "9-1-5",
    "official/9-1-5-imagenet": "9-1-5",
    "official/9-3-5-imagenet": "9-3-5",
    "official/9-5-5-imagenet": "9-5-5",
}


def folder() -> Path:
    """Where the recorded results lie."""
    return datasets.data_folder() / "results"


def rows() -> list[dict]:
    """All recorded rows."""
    found = []
    for path in sorted(folder().glob("*.json")):
        found += json.loads(path.read_text(encoding="utf-8"))
    return found


def recorded(
    method: str, dataset: str, scale: int, *, model=None, luma=None
) -> dict | None:
    """The recorded row, or None; `luma` as in `printed`."""
    if luma is None:
        luma = "gray" if dataset == "BSD200" else "y"
    wanted = (method, model, dataset, scale, luma)
    for row in rows():
        if _key(row) == wanted:
            return row
    return None


def _key(row: dict) -> tuple:
    return tuple(row[k] for k in ("method", "model", "dataset", "scale", "luma"))


def measure(
    method: str, dataset: str, scale: int, *, model=None, luma="y", device="auto"
) -> dict:
    """Evaluate and return a row; nothing is written."""
    call = methods.get(method, model=model, scale=scale, device=device)
    scores = protocol.evaluate(call, datasets.load(dataset), scale, kind=luma)
    command = f"srcnn evaluate --method {method} --scale {scale} --dataset {dataset}"
    command += f" --model {model}" if model else ""
    command += " --luma gray" if luma == "gray" else ""
    psnr_db, ssim = protocol.mean(scores)
    row = {
        "method": method,
        "model": model,
        "dataset": dataset,
        "scale": scale,
        "luma": luma,
        # Finer than the pictures' values, as a table rounds it once more.
        "mean": {"psnr_db": round(psnr_db, 6), "ssim": round(ssim, 8)},
        "protocol": protocol.PROTOCOL,
        "command": command,
        "date": datetime.date.today().isoformat(),
        "images": [
            {
                "name": s.name,
                "psnr_db": round(s.psnr_db, 4),
                "ssim": round(s.ssim, 6),
            }
            for s in scores
        ],
    }
    return row | _made_by(method, model, scale)


def _made_by(method: str, model: str | None, scale: int) -> dict:
    """What the row's numbers rest on: all minutes of training, and the device."""
    if method == "bicubic" or (model or "").startswith("official/"):
        return {"minutes": None, "device": None}
    if method == "srcnn":
        path = checkpoints.locate(model.removesuffix("+"), scale)
    else:
        path = trained.locate(method, scale, model)
    card = checkpoints.read_card(path)
    minutes = round(checkpoints.budget(card, "minutes"), 2)
    return {"minutes": minutes or None, "device": card.get("device")}


def record(new: list[dict]) -> list[Path]:
    """Write rows, each in the place of an older one of the same kind."""
    written = []
    by_file: dict[str, list[dict]] = {}
    for row in new:
        by_file.setdefault(_file_name(row), []).append(row)
    for name, added in by_file.items():
        path = folder() / name
        old = json.loads(path.read_text("utf-8")) if path.exists() else []
        kept = {_key(row): row for row in old} | {_key(r): r for r in added}
        ordered = sorted(kept.values(), key=lambda r: tuple(map(str, _key(r))))
        lines = [json.dumps(row, ensure_ascii=False) for row in ordered]
        blob = ("[\n" + ",\n".join(lines) + "\n]\n").encode()
        checkpoints.write_atomically(path, blob)
        written.append(path)
    return written


def _file_name(row: dict) -> str:
    model = f"_{row['model']}".replace("/", "_") if row["model"] else ""
    return f"{row['method']}{model}.json"


class Check(NamedTuple):
    """What `verify` found: ``"equal"``, ``"differs"`` or ``"not here"``."""

    row: str
    verdict: str
    detail: str


def verify(device: str = "auto") -> Iterator[Check]:
    """Recompute every recorded number that this machine can, one by one.

    The sha256 of our weights is compared with their cards first.
    """
    for path in sorted(checkpoints.folder().glob("*.safetensors")):
        beside = path.with_suffix(".json")
        if not beside.is_file():
            yield Check(path.name, "differs", f"its card {beside.name} is missing")
            continue
        card = json.loads(beside.read_text("utf-8"))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        same = digest == card["sha256"]
        detail = "sha256 as in its card" if same else f"sha256 is {digest}"
        yield Check(path.name, "equal" if same else "differs", detail)
    for row in rows():
        label = f"{row['model'] or row['method']} x{row['scale']} {row['dataset']}"
        label += " (gray)" if row["luma"] == "gray" else ""
        try:
            now = measure(
                row["method"],
                row["dataset"],
                row["scale"],
                model=row["model"],
                luma=row["luma"],
                device=device,
            )
        except datasets.DataError as e:
            yield Check(label, "not here", str(e))
            continue
        except checkpoints.CheckpointError as e:  # no or damaged weights
            yield Check(label, "differs", str(e))
            continue
        yield Check(label, *_compare(row, now))


def _compare(row: dict, now: dict) -> tuple[str, str]:
    pairs = [("mean", row["mean"], now["mean"])]
    theirs = {image["name"]: image for image in now["images"]}
    for image in row["images"]:
        if image["name"] not in theirs:
            return "differs", f"{image['name']} is missing"
        pairs.append((image["name"], image, theirs[image["name"]]))
    for name, old, new in pairs:
        for metric, limit in (
            ("psnr_db", TOLERANCE_DB),
            ("ssim", TOLERANCE_SSIM),
        ):
            if not abs(old[metric] - new[metric]) <= limit:
                return "differs", (
                    f"{name}: {metric} recorded {old[metric]}, "
                    f"now {new[metric]}"
                )
    mean = now["mean"]
    return "equal", f"{mean['psnr_db']:.2f} dB, SSIM {mean['ssim']:.4f}"


class Compared(NamedTuple):
    """A printed number beside a recorded one.

    `made` is ``"authors' weights"``, ``"trained here"`` or ``"run here"``;
    `ours` and `row` are None where nothing is recorded yet.
    """

    printed: Printed
    made: str
    model: str | None
    ours: float | None
    row: dict | None

    @property
    def difference(self) -> float | None:
        """Ours minus the paper's, from ours rounded as the paper prints."""
        if self.ours is None:
            return None
        digits = 2 if self.printed.metric == "psnr_db" else 4
        return round(round(self.ours, digits) - self.printed.value, digits)

    @property
    def verdict(self) -> str:
        """``equal``, ``above``, ``below`` or ``not yet``."""
        if self.difference is None:
            return "not yet"
        if self.difference == 0:
            return "equal"
        return "above" if self.difference > 0 else "below"


def compare(means_only: bool = True) -> list[Compared]:
    """Every printed number beside what this book recorded for it.

    The paper's networks appear twice: with the authors' own weights, which
    proves the protocol, and as the network of that architecture trained here.
    So does SC at x3, with Yang's own dictionary and with ours.
    """
    by_key = {_key(row): row for row in rows()}
    found = []
    for p in printed_rows():
        if means_only and p.image is not None:
            continue
        if p.method == "bicubic":
            candidates = [("run here", None)]
        elif p.method == "srcnn":
            candidates = [
                ("authors' weights", p.model),
                ("trained here", COUNTERPART[p.model]),
            ]
        else:
            candidates = [("trained here", None)]
            if p.method == "sc":
                candidates.insert(0, ("authors' weights", sparse_coding.OFFICIAL))
        for made, model in candidates:
            row = by_key.get((p.method, model, p.dataset, p.scale, p.luma))
            ours = _value(row, p.metric, p.image) if row else None
            found.append(Compared(p, made, model, ours, row))
    return found


def _value(row: dict, metric: str, image: str | None) -> float:
    if image is None:
        return row["mean"][metric]
    return next(i[metric] for i in row["images"] if i["name"] == image)


def study(name: str) -> list[dict]:
    """Rows of a recorded experiment, as its program in `benchmarks` wrote."""
    file = datasets.data_folder() / "studies" / f"{name}.json"
    return json.loads(file.read_text(encoding="utf-8"))


def ablation(name: str, preset: str = "quick") -> dict[str, list[dict]]:
    """Variant → its rows, one a seed, as `benchmarks/ablations.py` wrote.

    They lie apart from the results, in ``data/results/ablations``: their
    weights are not kept, so that `verify` can't recompute them without
    training anew.  Rows without a seed, those of the degradation and of the
    times, are of every preset.

    Parameters
    ----------
    name : such as ``"width"``; a name without rows gives no variants.
    preset : the budget, ``"quick"`` or ``"full"``.
    """
    file = folder() / "ablations" / f"{name}.json"
    recorded = json.loads(file.read_text("utf-8")) if file.exists() else []
    found: dict[str, list[dict]] = {}
    for row in recorded:
        if row.get("preset", preset) == preset:
            found.setdefault(row.get("name", row.get("arch")), []).append(row)
    return found


def glance() -> dict[str, str]:
    """Substitutions for ``index.md``.

    ``results``: a table in Markdown; ``seconds``: of training until the paper's
    average.
    """
    lines = [
        "| Set5, mean PSNR | x2 | x3 | x4 |",
        "|:--|--:|--:|--:|",
    ]
    entries = [
        ("Bicubic, paper", "bicubic", None, True),
        ("Bicubic, this book", "bicubic", None, False),
        ("SRCNN 9-1-5 from 91 images, paper", "srcnn", "official/9-1-5-91", True),
        (
            "SRCNN 9-1-5, the authors' weights run here",
            "srcnn",
            "official/9-1-5-91",
            False,
        ),
        ("SRCNN 9-1-5 from 91 images, trained here", "srcnn", "9-1-5", False),
        (
            "SRCNN 9-5-5 from ImageNet, paper",
            "srcnn",
            "official/9-5-5-imagenet",
            True,
        ),
        ("SRCNN 9-5-5 from 91 images, trained here", "srcnn", "9-5-5", False),
    ]
    for label, method, model, from_paper in entries:
        cells = []
        for scale in protocol.SCALES:
            if from_paper:
                value = printed(method, "Set5", scale, model=model).value
            else:
                row = recorded(method, "Set5", scale, model=model)
                value = row["mean"]["psnr_db"] if row else None
            cells.append("not yet" if value is None else f"{value:.2f} dB")
        lines.append(f"| {label} | {' | '.join(cells)} |")
    reached = [r["to_level"] for r in study("time_to_paper") if r["who"] == "ours"]
    return {
        "results": "\n".join(lines),
        "seconds": f"{statistics.median(reached):.0f} seconds",
    }
