"""Recorded results, ``data/results/*.json``, and the papers', ``data/printed.csv``: how
they are written, verified and compared."""

import csv
import datetime
import functools
import hashlib
import itertools
import json
import operator
from collections import namedtuple
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from . import checkpoints, datasets, methods, protocol
from .files import write_atomically
from .methods import sparse_coding, trained
from .models import choose_device
from .threads import spread

#: Weights without biases (TPAMI section 4.3.2).
WEIGHTS = {"9-1-5": 8_032, "9-3-5": 24_416, "9-5-5": 57_184}
_R, _Q = "recomputed", "quoted"
#: Set5 x3 of the paper's ablations (TPAMI sections 4.3 and 4.5): experiment → variant →
#: dB, and how it was checked.  colour: what the paper calls RGB PSNR.
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
_key = operator.itemgetter(*KEYS)
#: A printed number: psnr_db or ssim of an image or, where that is None, the mean;
#: checked is "recomputed", "printed" or "quoted" (from later papers).
_VALUE = ("metric", "image", "value", "source", "checked")
Printed = namedtuple("Printed", KEYS + _VALUE)
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
    _, *lines = csv.reader(file.read_text(encoding="utf-8").splitlines())
    found = [Printed(*(text or None for text in line)) for line in lines]
    return tuple(p._replace(scale=int(p.scale), value=float(p.value)) for p in found)


def printed(
    method: str, dataset: str, scale: int, *, model: str | None = None,
    metric: str = "psnr_db", image: str | None = None, luma: str | None = None,
) -> Printed | None:  # fmt: skip
    """The printed number, or None; `luma` is the paper's own where it is not given:
    gray on BSD200, y elsewhere."""
    luma = luma or ("gray" if dataset == "BSD200" else "y")
    wanted = (method, model, dataset, scale, luma, metric, image)
    return next((row for row in printed_rows() if row[:7] == wanted), None)


def results_folder() -> Path:
    """Where the recorded results lie."""
    return datasets.data_folder() / "results"


def _read(path: Path):
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def rows() -> list[dict]:
    """All recorded rows."""
    return [r for path in sorted(results_folder().glob("*.json")) for r in _read(path)]


def recorded(
    method: str, dataset: str, scale: int, *, model: str | None = None,
    luma: str | None = None,
) -> dict | None:  # fmt: skip
    """The recorded row, or None; `luma` as in `printed`."""
    luma = luma or ("gray" if dataset == "BSD200" else "y")
    wanted = (method, model, dataset, scale, luma)
    return next((row for row in rows() if _key(row) == wanted), None)


def _numbers(row: dict) -> dict[str, dict]:
    """Picture → its PSNR and SSIM; ``"mean"`` → their means."""
    return {"mean": row["mean"]} | {image["name"]: image for image in row["images"]}


def measure(
    method: str, dataset: str, scale: int, *, model: str | None = None,
    luma: str = "y", device: str = "auto",
) -> dict:  # fmt: skip
    """Evaluate and return a row; nothing is written.  SRCNN is 9-1-5 by default."""
    if method == "srcnn":
        model = model or "9-1-5"
    made = _made_by(method, model, scale)  # first, as measuring takes long
    call = methods.get(method, model=model, scale=scale, device=device)
    scores = protocol.evaluate(call, datasets.load(dataset), scale, kind=luma)
    psnr_db, ssim = protocol.mean(scores)
    command = f"srcnn evaluate --method {method} --scale {scale} --dataset {dataset}"
    command += f" --model {model}" if model else ""
    return dict(zip(KEYS, (method, model, dataset, scale, luma))) | {
        # Finer than the pictures' values, as a table rounds it once more.
        "mean": {"psnr_db": round(psnr_db, 6), "ssim": round(ssim, 8)},
        "protocol": protocol.PROTOCOL,
        "command": command + (" --luma gray" if luma == "gray" else ""),
        "date": datetime.date.today().isoformat(),
        "images": [{"name": s.name, "psnr_db": round(s.psnr_db, 4),
                    "ssim": round(s.ssim, 6)} for s in scores],
    } | made  # fmt: skip


def _made_by(method: str, model: str | None, scale: int) -> dict:
    """What the numbers rest on: minutes of training, and the device."""
    path = Path()
    if method == "srcnn":
        path = checkpoints.locate(model.removesuffix("+"), scale)
    elif method in trained.PARTS and model != sparse_coding.OFFICIAL:
        path = trained.learnt_file(method, scale, model)
    card = checkpoints.read_card(path) if path.suffix == ".safetensors" else {}
    return {"minutes": card.get("minutes"), "device": card.get("device")}


def record(row: dict) -> Path:
    """Write a row, in the place of an older one of the same kind; returns its file."""
    name = "_".join(filter(None, (row["method"], row["model"])))
    path = results_folder() / f"{name.replace('/', '_')}.json"
    kept = {str(_key(r)): r for r in (*_read(path), row)}
    lines = ",\n".join(json.dumps(kept[k], ensure_ascii=False) for k in sorted(kept))
    write_atomically(path, f"[\n{lines}\n]\n".encode())
    return path


def verify(device: str = "auto", names: Collection[str] = ()) -> Iterator[Check]:
    """Hold our weights to their cards, then recompute what this machine can; `names`
    are the data sets, all if empty, and ValueError: nothing is recorded on one."""
    kept = [row for row in rows() if not names or row["dataset"] in names]
    if missing := set(names) - {row["dataset"] for row in kept}:
        raise ValueError(f"--dataset {min(missing)}: nothing is recorded on it")
    for path in sorted(checkpoints.folder().glob("*.safetensors")):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        card = _read(path.with_suffix(".json")) or {"sha256": "missing"}
        verdict = "equal" if digest == card["sha256"] else "differs"
        yield Check(path.name, verdict, f"sha256 {digest}, the card's {card['sha256']}")
    for name in {row["dataset"] for row in kept}:  # downloaded, before threads ask
        datasets.load(name, fallback="demo-test")
    at_a_time = spread if choose_device(device).type == "cpu" else map
    yield from at_a_time(functools.partial(_recompute, device=device), kept)


def _recompute(row: dict, device: str) -> Check:
    """Measure again what a row says, and compare."""
    label = f"{row['model'] or row['method']} x{row['scale']} {row['dataset']}"
    label += " (gray)" if row["luma"] == "gray" else ""
    try:
        now = measure(**{key: row[key] for key in KEYS}, device=device)
    except (datasets.DataError, checkpoints.CheckpointError) as e:
        is_away = isinstance(e, datasets.DataError)  # else: no or damaged weights
        return Check(label, "not here" if is_away else "differs", str(e))
    before, after = _numbers(row), _numbers(now)
    for name, metric in itertools.product(before, TOLERANCE):
        old, new = before[name][metric], after.get(name, {}).get(metric, np.nan)
        if not abs(old - new) <= TOLERANCE[metric]:
            return Check(label, "differs", f"{name}: {metric} was {old}, is {new}")
    detail = "{psnr_db:.2f} dB, SSIM {ssim:.4f}".format(**now["mean"])
    return Check(label, "equal", detail)


def compare(means_only: bool = True) -> list[Compared]:
    """Every printed number beside what this book recorded for it; SRCNN, and SC at x3,
    twice: with the authors' weights, and as trained here."""
    by_key, found = {_key(row): row for row in rows()}, []
    for p in (row for row in printed_rows() if not (means_only and row.image)):
        ours = p.model and p.model.removeprefix("official/").rpartition("-")[0]
        candidates = {"run here" if p.method == "bicubic" else "trained here": ours}
        if authors := sparse_coding.OFFICIAL if p.method == "sc" else p.model:
            candidates = {"authors' weights": authors} | candidates
        for made, model in candidates.items():
            row = by_key.get((p.method, model, p.dataset, p.scale, p.luma))
            value, difference, verdict = None, None, "not yet"
            if row is not None:
                value = _numbers(row)[p.image or "mean"][p.metric]
                digits = 2 if p.metric == "psnr_db" else 4
                difference = round(round(value, digits) - p.value, digits)
                verdict = ("equal", "above", "below")[int(np.sign(difference))]
            found.append(Compared(p, made, model, value, row, difference, verdict))
    return found


def study(name: str) -> list[dict]:
    """Rows of a recorded experiment, as its program in `benchmarks` wrote."""
    path = datasets.data_folder() / "studies" / f"{name}.json"
    return json.loads(path.read_text("utf-8"))


def ablation(name: str, preset: str = "quick") -> dict[str, list[dict]]:
    """Variant → its rows, one a seed, as `benchmarks/ablations.py` wrote; those without
    a preset count for all.  No weights are kept, so `verify` leaves them out."""
    found = {}
    for row in _read(results_folder() / "ablations" / f"{name}.json"):
        if row.get("preset", preset) == preset:
            found.setdefault(row.get("name", row.get("arch")), []).append(row)
    return found
