"""Recorded results: write them, verify them, compare them with the paper's.

``data/results/*.json`` has a list of rows per model, one row per data set ×
scale × kind of luma, each with its pictures, protocol, command, date and
device.  ``data/printed.csv`` has the numbers that the papers print.
"""

import csv
import datetime
import functools
import hashlib
import json
import statistics
from collections import namedtuple
from collections.abc import Collection, Iterator
from pathlib import Path

from . import checkpoints, datasets, methods, protocol
from .methods import sparse_coding, trained

SET5 = ("baby", "bird", "butterfly", "head", "woman")
#: Weights without biases (TPAMI section 4.3.2).
WEIGHTS = {"9-1-5": 8_032, "9-3-5": 24_416, "9-5-5": 57_184}
_R, _Q = "recomputed", "quoted"
#: Set5 x3 of the paper's ablations (TPAMI sections 4.3 and 4.5): experiment →
#: variant → dB, and how it was checked; colour: what the paper calls RGB PSNR.
ABLATIONS = {
    "data": {"91": (32.39, _R), "ImageNet": (32.52, _R)},
    "width": {"128/64": (32.60, _Q), "64/32": (32.52, _R), "32/16": (32.26, _Q)},
    "filters": {"9-1-5": (32.52, _R), "9-3-5": (32.66, _R), "9-5-5": (32.75, _R),
                "11-1-7": (32.57, _Q)},
    "colour": {"bicubic": (34.57, _R), "luma": (36.37, _R), "RGB": (36.44, _Q)},
}  # fmt: skip
#: Seconds per picture of the widths above, in the authors' MATLAB.
WIDTH_SECONDS = {"128/64": 0.60, "64/32": 0.18, "32/16": 0.05}
#: Largest difference that is still the same number, on another machine.
TOLERANCE = {"psnr_db": 0.005, "ssim": 0.0001}

#: What tells one row from another.
KEYS = ("method", "model", "dataset", "scale", "luma")
#: A printed number: psnr_db or ssim of an image or, where that is None, the mean;
#: checked is "recomputed", "printed" or "quoted" (from later papers).
Printed = namedtuple("Printed", (*KEYS, "metric", "image", "value", "source", "page",
                                 "checked"))  # fmt: skip
#: What `verify` finds: the verdict is "equal", "differs" or "not here".
Check = namedtuple("Check", "row verdict detail")
#: A printed number beside ours.  made: "authors' weights", "trained here" or "run
#: here"; difference: ours, rounded as the paper rounds, minus the paper's; verdict:
#: "equal", "above", "below" or, where nothing is recorded and all is None, "not yet".
Compared = namedtuple("Compared", "printed made model ours row difference verdict")


@functools.cache
def printed_rows() -> tuple[Printed, ...]:
    """All printed numbers that one of the book's methods can be held to."""
    file = datasets.data_folder() / "printed.csv"
    with open(file, newline="", encoding="utf-8") as lines:
        _, *found = csv.reader(lines)
    found = [Printed(*(text or None for text in row)) for row in found]
    return tuple(p._replace(scale=int(p.scale), value=float(p.value)) for p in found)


def printed(
    method: str, dataset: str, scale: int, *, model: str | None = None,
    metric: str = "psnr_db", image: str | None = None, luma: str | None = None,
) -> Printed | None:  # fmt: skip
    """The printed number, or None where the papers have none.

    `luma` is the paper's own where not given: gray on BSD200, y elsewhere.
    """
    luma = luma or ("gray" if dataset == "BSD200" else "y")
    wanted = (method, model, dataset, scale, luma, metric, image)
    return next((row for row in printed_rows() if row[:7] == wanted), None)


def folder() -> Path:
    """Where the recorded results lie."""
    return datasets.data_folder() / "results"


def _read(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def rows() -> list[dict]:
    """All recorded rows."""
    return [row for path in sorted(folder().glob("*.json")) for row in _read(path)]


def recorded(
    method: str, dataset: str, scale: int, *, model: str | None = None,
    luma: str | None = None,
) -> dict | None:  # fmt: skip
    """The recorded row, or None; `luma` as in `printed`."""
    luma = luma or ("gray" if dataset == "BSD200" else "y")
    wanted = (method, model, dataset, scale, luma)
    return next((row for row in rows() if _key(row) == wanted), None)


def _key(row: dict) -> tuple:
    return tuple(row[key] for key in KEYS)


def _numbers(row: dict) -> dict[str | None, dict]:
    """Picture → its PSNR and SSIM; None → their means."""
    return {None: row["mean"]} | {image["name"]: image for image in row["images"]}


def measure(
    method: str, dataset: str, scale: int, *, model: str | None = None,
    luma: str = "y", device: str = "auto",
) -> dict:  # fmt: skip
    """Evaluate and return a row; nothing is written.  SRCNN is 9-1-5 by default."""
    if method == "srcnn":
        model = model or "9-1-5"
    made = _made_by(method, model, scale)  # first: it may fail
    call = methods.get(method, model=model, scale=scale, device=device)
    scores = protocol.evaluate(call, datasets.load(dataset), scale, kind=luma)
    psnr_db, ssim = protocol.mean(scores)
    command = f"srcnn evaluate --method {method} --scale {scale} --dataset {dataset}"
    command += f" --model {model}" if model else ""
    command += " --luma gray" if luma == "gray" else ""
    return dict(zip(KEYS, (method, model, dataset, scale, luma))) | {
        # Finer than the pictures' values, as a table rounds it once more.
        "mean": {"psnr_db": round(psnr_db, 6), "ssim": round(ssim, 8)},
        "protocol": protocol.PROTOCOL,
        "command": command,
        "date": datetime.date.today().isoformat(),
        "images": [
            {"name": s.name, "psnr_db": round(s.psnr_db, 4), "ssim": round(s.ssim, 6)}
            for s in scores
        ],
    } | made


def _made_by(method: str, model: str | None, scale: int) -> dict:
    """What the numbers rest on: all minutes of training, and the device."""
    card = {}
    if (model or "").startswith("official/"):
        pass
    elif method == "srcnn":
        path = checkpoints.locate(model.removesuffix("+"), scale)
        card = checkpoints.read_card(path) if path.suffix != ".mat" else {}
    elif method in trained.PARTS:
        card = checkpoints.read_card(trained.locate(method, scale, model))
    minutes = round(checkpoints.budget(card, "minutes"), 2)
    return {"minutes": minutes or None, "device": card.get("device")}


def record(new: list[dict]) -> list[Path]:
    """Write rows, each in the place of an older one of the same kind."""
    written = {}
    for row in new:
        name = "_".join(filter(None, (row["method"], row["model"])))
        path = folder() / f"{name.replace('/', '_')}.json"
        kept = {_key(row): row for row in (*_read(path), row)}
        ordered = sorted(kept.values(), key=lambda row: tuple(map(str, _key(row))))
        lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in ordered)
        checkpoints.write_atomically(path, f"[\n{lines}\n]\n".encode())
        written[path] = None
    return list(written)


def verify(device: str = "auto", names: Collection[str] = ()) -> Iterator[Check]:
    """Hold our weights to their cards, then recompute what this machine can.

    `names` are data sets, where not all are wanted; a ValueError names one on
    which nothing is recorded.
    """
    kept = [row for row in rows() if not names or row["dataset"] in names]
    if missing := set(names) - {row["dataset"] for row in kept}:
        raise ValueError(f"--dataset {missing.pop()}: nothing is recorded on it")
    for path in sorted(checkpoints.folder().glob("*.safetensors")):
        card = path.with_suffix(".json")
        if not card.is_file():
            yield Check(path.name, "differs", f"its card {card.name} is missing")
            continue
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        same = digest == json.loads(card.read_text("utf-8"))["sha256"]
        detail = "sha256 as in its card" if same else f"sha256 is {digest}"
        yield Check(path.name, "equal" if same else "differs", detail)
    for row in kept:
        label = f"{row['model'] or row['method']} x{row['scale']} {row['dataset']}"
        label += " (gray)" if row["luma"] == "gray" else ""
        try:
            now = measure(**{key: row[key] for key in KEYS}, device=device)
        except datasets.DataError as e:
            yield Check(label, "not here", str(e))
        except checkpoints.CheckpointError as e:  # no or damaged weights
            yield Check(label, "differs", str(e))
        else:
            yield Check(label, *_differ(row, now))


def _differ(row: dict, now: dict) -> tuple[str, str]:
    after = _numbers(now)
    for name, before in _numbers(row).items():
        for metric, limit in TOLERANCE.items():
            old, new = before[metric], after.get(name, {}).get(metric, "missing")
            if new == "missing" or not abs(old - new) <= limit:
                return "differs", f"{name or 'mean'}: {metric} was {old}, is {new}"
    return "equal", "{psnr_db:.2f} dB, SSIM {ssim:.4f}".format(**now["mean"])


def compare(means_only: bool = True) -> list[Compared]:
    """Every printed number beside what this book recorded for it.

    SRCNN, and SC at x3, appear twice: with the authors' own weights, which proves
    the protocol, and as trained here.
    """
    by_key = {_key(row): row for row in rows()}
    found = []
    for p in printed_rows():
        if means_only and p.image is not None:
            continue
        ours = p.model and p.model.removeprefix("official/").rpartition("-")[0]
        candidates = [("run here" if p.method == "bicubic" else "trained here", ours)]
        authors = sparse_coding.OFFICIAL if p.method == "sc" else p.model
        if authors:
            candidates.insert(0, ("authors' weights", authors))
        for made, model in candidates:
            row = by_key.get((p.method, model, p.dataset, p.scale, p.luma))
            value = difference = None
            verdict = "not yet"
            if row is not None:
                value = _numbers(row)[p.image][p.metric]
                digits = 2 if p.metric == "psnr_db" else 4
                difference = round(round(value, digits) - p.value, digits)
                verdict = "above" if difference > 0 else "below"
                verdict = verdict if difference else "equal"
            found.append(Compared(p, made, model, value, row, difference, verdict))
    return found


def study(name: str) -> list[dict]:
    """Rows of a recorded experiment, as its program in `benchmarks` wrote."""
    file = datasets.data_folder() / "studies" / f"{name}.json"
    return json.loads(file.read_text(encoding="utf-8"))


def ablation(name: str, preset: str = "quick") -> dict[str, list[dict]]:
    """Variant → its rows, one a seed, as `benchmarks/ablations.py` wrote.

    Their weights are not kept, so `verify` can't recompute them.  Rows without a
    preset belong to ``"quick"`` and ``"full"`` alike.
    """
    found = {}
    for row in _read(folder() / "ablations" / f"{name}.json"):
        if row.get("preset", preset) == preset:
            found.setdefault(row.get("name", row.get("arch")), []).append(row)
    return found


def _psnr_db(row: Printed | dict) -> float:
    return row["mean"]["psnr_db"] if isinstance(row, dict) else row.value


def glance() -> dict[str, str]:
    """For index.md: a table, and the seconds of training to the paper's average."""
    lines = ["| Set5, mean PSNR | x2 | x3 | x4 |", "|:--|--:|--:|--:|"]
    small, large = "official/9-1-5-91", "official/9-5-5-imagenet"
    for label, find, method, model in (
        ("Bicubic, paper", printed, "bicubic", None),
        ("Bicubic, this book", recorded, "bicubic", None),
        ("SRCNN 9-1-5 from 91 images, paper", printed, "srcnn", small),
        ("SRCNN 9-1-5, the authors' weights run here", recorded, "srcnn", small),
        ("SRCNN 9-1-5 from 91 images, trained here", recorded, "srcnn", "9-1-5"),
        ("SRCNN 9-5-5 from ImageNet, paper", printed, "srcnn", large),
        ("SRCNN 9-5-5 from 91 images, trained here", recorded, "srcnn", "9-5-5"),
    ):
        found = [find(method, "Set5", s, model=model) for s in protocol.SCALES]
        cells = [f"{_psnr_db(row):.2f} dB" if row else "not yet" for row in found]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    times = [r["to_level"] for r in study("time_to_paper") if r["who"] == "ours"]
    seconds = f"{statistics.median(times):.0f} seconds"
    return {"results": "\n".join(lines), "seconds": seconds}
