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

from . import checkpoints, datasets, evaluation, methods, paper
from .methods import sparse_coding, trained

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


def find(
    method: str, dataset: str, scale: int, *, model=None, luma=None
) -> dict | None:
    """The recorded row, or None; `luma` as in `paper.find`."""
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
    scores = evaluation.evaluate(call, datasets.load(dataset), scale, kind=luma)
    command = f"srcnn evaluate --method {method} --scale {scale} --dataset {dataset}"
    command += f" --model {model}" if model else ""
    command += " --luma gray" if luma == "gray" else ""
    psnr_db, ssim = evaluation.mean(scores)
    row = {
        "method": method,
        "model": model,
        "dataset": dataset,
        "scale": scale,
        "luma": luma,
        # Finer than the pictures' values, as a table rounds it once more.
        "mean": {"psnr_db": round(psnr_db, 6), "ssim": round(ssim, 8)},
        "protocol": evaluation.PROTOCOL,
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

    printed: paper.Printed
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
    recorded = {_key(row): row for row in rows()}
    found = []
    for p in paper.printed():
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
            row = recorded.get((p.method, model, p.dataset, p.scale, p.luma))
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
        for scale in evaluation.SCALES:
            if from_paper:
                value = paper.find(method, "Set5", scale, model=model).value
            else:
                row = find(method, "Set5", scale, model=model)
                value = row["mean"]["psnr_db"] if row else None
            cells.append("not yet" if value is None else f"{value:.2f} dB")
        lines.append(f"| {label} | {' | '.join(cells)} |")
    reached = [r["to_level"] for r in study("time_to_paper") if r["who"] == "ours"]
    return {
        "results": "\n".join(lines),
        "seconds": f"{statistics.median(reached):.0f} seconds",
    }
