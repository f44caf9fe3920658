"""Recorded results: written, found, verified, held to the paper.

Rows are measured on two small pictures; weights and results lie in temporary folders.
"""

import json
import math
import re
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from srcnn_lib import checkpoints, datasets, images, methods, protocol, results
from srcnn_lib.methods import trained
from srcnn_lib.models import SRCNN, initialise

SET5 = ("baby", "bird", "butterfly", "head", "woman")


@pytest.fixture
def world(tmp_path, monkeypatch, register):
    """A set "Small", a model "small" for x3; `measure(…)` and `checks()`."""
    data = tmp_path / "data" / "small"
    data.mkdir(parents=True)
    photographs = datasets.load("demo-test")
    for name in ("coffee", "monarch"):
        images.write(data / f"{name}.png", photographs[name][100:160, 200:270])
    register(data)
    monkeypatch.setenv("SRCNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SRCNN_OFFLINE", "1")
    rows, weights = tmp_path / "results", tmp_path / "checkpoints"
    monkeypatch.setattr(results, "results_folder", lambda: rows)
    monkeypatch.setattr(checkpoints, "folder", lambda: weights)
    generator = torch.Generator().manual_seed(0)
    model = initialise(SRCNN((3, 1, 3), (4, 4)), "default", generator)
    card = {"scale": 3, "minutes": 1.5, "device": "this machine"}
    path = checkpoints.write(model, weights / "small_x3.safetensors", card)

    def measured(**change):
        about = {"method": "bicubic", "dataset": "Small", "scale": 3} | change
        return results.measure(device="cpu", **about)

    def checks():
        return [(c.row, c.verdict) for c in results.verify("cpu")]

    about = {"data": data, "results": rows, "weights": path}
    return SimpleNamespace(**about, measure=measured, checks=checks)


def invented(method, dataset, scale, psnr_db, *, ssim=0.9, model=None, luma="y"):
    """A row with one picture."""
    mean = {"psnr_db": psnr_db, "ssim": ssim}
    about = dict(zip(results.KEYS, (method, model, dataset, scale, luma)))
    return about | {"mean": mean, "images": [{"name": "baby", **mean}]}


def test_a_row_says_what_was_measured_and_how(world):
    row = world.measure()
    scores = protocol.evaluate(methods.get("bicubic"), datasets.load("Small"), 3)
    psnr_db, ssim = protocol.mean(scores)
    assert row["mean"]["psnr_db"] == pytest.approx(psnr_db, abs=5e-7)
    assert row["mean"]["ssim"] == pytest.approx(ssim, abs=5e-9)
    for image, score in zip(row["images"], scores, strict=True):
        assert image["name"] == score.name
        assert image["psnr_db"] == pytest.approx(score.psnr_db, abs=5e-5)
        assert image["ssim"] == pytest.approx(score.ssim, abs=5e-7)
    assert row["command"] == "srcnn evaluate --method bicubic --scale 3 --dataset Small"
    assert row["protocol"] == protocol.PROTOCOL
    assert len(row["date"]) == len("2026-01-31")
    assert (row["minutes"], row["device"]) == (None, None)
    gray = world.measure(luma="gray")
    assert gray["command"].endswith("--luma gray")
    assert gray["mean"]["psnr_db"] < row["mean"]["psnr_db"] - 1
    network = world.measure(method="srcnn", model="small")
    assert (network["minutes"], network["device"]) == (1.5, "this machine")
    assert network["command"].endswith("--dataset Small --model small")
    assert network["mean"] != row["mean"]


def test_what_is_wrong_is_said_before_anything_is_measured(world, monkeypatch):
    """Without a model SRCNN is 9-1-5, which this world lacks."""
    monkeypatch.setattr(protocol, "evaluate", lambda *_, **__: pytest.fail("measured"))
    for model in (None, "9-9-9"):
        with pytest.raises(checkpoints.CheckpointError, match=model or "9-1-5"):
            world.measure(method="srcnn", model=model)


def test_recording_replaces_and_never_doubles(world):
    first, other = world.measure(), {"psnr_db": 1.0, "ssim": 0.5}
    path = results.record(first)
    text = path.read_text("utf-8")
    assert results.record(first) == world.results / "bicubic.json"
    assert path.read_text("utf-8") == text
    for change in ({"mean": other}, {"scale": 2}, {"luma": "gray"}):
        results.record(first | change)
    assert len(results.rows()) == 3
    assert results.recorded("bicubic", "Small", 3)["mean"] == other
    assert results.recorded("bicubic", "Small", 3, luma="gray")["mean"] == first["mean"]
    assert results.recorded("bicubic", "Small", 4) is None
    assert [p.name for p in world.results.iterdir()] == ["bicubic.json"]


def test_each_model_has_its_file_and_each_luma_its_row(world):
    for model in ("9-1-5", "official/9-1-5-91"):
        row = invented("srcnn", "Set5", 3, 32.5, model=model)
        assert results.record(row).name == f"srcnn_{model.replace('/', '_')}.json"
        assert results.recorded("srcnn", "Set5", 3, model=model) == row
    assert results.recorded("srcnn", "Set5", 3) is None
    for luma in ("gray", "y"):
        results.record(invented("bicubic", "BSD200", 3, 26, luma=luma))
    assert results.recorded("bicubic", "BSD200", 3)["luma"] == "gray"  # as the paper
    assert results.recorded("bicubic", "BSD200", 3, luma="y")["luma"] == "y"


@pytest.mark.parametrize("place", ["mean", "monarch"])
def test_a_number_that_differs_is_named(world, place):
    limits = {"psnr_db": (0.004, -0.006, math.nan), "ssim": (-0.00009, 0.00012)}
    for metric, (small, *large) in limits.items():
        for change in (small, *large):
            row = world.measure()
            numbers = row["mean"] if place == "mean" else row["images"][1]
            numbers[metric] += change
            results.record(row)
            _, check = results.verify("cpu")
            assert check.verdict == ("equal" if change == small else "differs")
            assert change == small or {metric, place + ":"} <= {*check.detail.split()}


def test_rows_are_verified_at_once_and_shown_in_order(world, monkeypatch):
    row, both = world.measure(), threading.Barrier(2)
    for scale in (4, 3, 2):
        results.record(row | {"scale": scale})

    def measure(*, scale, **_):
        if scale < 4:
            both.wait(timeout=20)  # until the other one is here
        return row

    monkeypatch.setattr(results, "measure", measure)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    shown = [row for row, _ in world.checks()[1:]]
    assert shown == [f"bicubic x{scale} Small" for scale in (2, 3, 4)]


def test_a_set_that_is_not_here_is_said_and_the_rest_verified(world):
    row = world.measure(method="srcnn", model="small")
    for name in ("Small", "Set5"):
        results.record(row | {"dataset": name})
    away, here = ("small x3 Set5", "not here"), ("small x3 Small", "equal")
    assert world.checks()[1:] == [away, here]
    (_, only) = results.verify("cpu", ["Small"])
    assert (only.row, only.verdict) == here
    with pytest.raises(ValueError, match="Set14"):
        list(results.verify("cpu", ["Small", "Set14"]))
    next(world.data.iterdir()).unlink()
    assert world.checks()[1:] == [away, ("small x3 Small", "not here")]


def test_changed_damaged_and_missing_weights_and_pictures_differ(world):
    for about in ({}, {"method": "srcnn", "model": "small"}):
        results.record(world.measure(**about))
    equal, differ = ("bicubic x3 Small", "equal"), ("small x3 Small", "differs")
    good = [("small_x3.safetensors", "equal"), equal, ("small x3 Small", "equal")]
    assert world.checks() == good
    blob = world.weights.read_bytes()
    changed = bytearray(blob)
    changed[-1] ^= 1  # a bit of a weight: still loads
    world.weights.write_bytes(changed)
    assert world.checks()[0] == ("small_x3.safetensors", "differs")
    world.weights.write_bytes(blob[:-9])
    assert world.checks() == [("small_x3.safetensors", "differs"), equal, differ]
    world.weights.unlink()
    assert world.checks() == [equal, differ]
    world.weights.write_bytes(blob)
    world.weights.with_suffix(".json").unlink()
    (first, *_) = results.verify("cpu")
    assert first.verdict == "differs" and "card" in first.detail
    row = results.recorded("bicubic", "Small", 3)
    row["images"].append(row["images"][0] | {"name": "sail"})
    results.record(row)
    (_, check, _) = results.verify("cpu")
    assert check.verdict == "differs" and "sail" in check.detail


def test_every_printed_number_appears_though_nothing_is_recorded(world):
    compared, printed = results.compare(means_only=False), results.printed_rows()
    rest = {p.method for p in printed} - {"bicubic"}
    kinds = ("run here", {"bicubic"}), ("authors' weights", {"srcnn", "sc"})
    for made, of_kind in (*kinds, ("trained here", rest)):
        expected = [p for p in printed if p.method in of_kind]
        assert [c.printed for c in compared if c.made == made] == expected
        assert len(expected) > 10
    assert {(c.verdict, c.difference) for c in compared} == {("not yet", None)}
    means = results.compare()
    assert [c for c in compared if c.printed.image is None] == means
    ours = {c.model for c in means if c.made == "trained here"}
    assert ours == {None, "9-1-5", "9-3-5", "9-5-5"}


def test_the_verdict_is_by_the_papers_digits(world):
    """Bicubic on Set5 at x3: 30.39 dB and 0.8682 are printed."""
    for psnr_db, ssim, *verdicts in (
        (30.3949, 0.86824, "equal", "equal"), (30.3851, 0.86816, "equal", "equal"),
        (30.3951, 0.86826, "above", "above"), (30.3849, 0.86814, "below", "below"),
    ):  # fmt: skip
        results.record(invented("bicubic", "Set5", 3, psnr_db, ssim=ssim))
        found = [c for c in results.compare() if c.ours is not None]
        assert [c.printed.metric for c in found] == ["psnr_db", "ssim"]
        assert [c.verdict for c in found] == verdicts
        assert [c.ours for c in found] == [psnr_db, ssim]
        assert found[0].difference == pytest.approx(round(psnr_db, 2) - 30.39)


def test_single_pictures_authors_weights_and_ours_stand_beside_their_number(world):
    row = invented("bicubic", "Set5", 3, 30.39)
    values = zip(SET5, (33.91, 32.58, 24.03, 32.88, 28.56), strict=True)
    row["images"] = [{"name": n, "psnr_db": v, "ssim": 0.9} for n, v in values]
    results.record(row)
    single = [c for c in results.compare(means_only=False) if c.row == row]
    found = {c.printed.image: c.verdict for c in single if c.printed.metric != "ssim"}
    equal = dict.fromkeys((*SET5, None), "equal")
    assert found == equal | {"butterfly": "below"}
    for psnr_db, model in ((32.39, "official/9-1-5-91"), (32.50, "9-1-5")):
        results.record(invented("srcnn", "Set5", 3, psnr_db, model=model))
    table = [(c.made, c.model, c.verdict, c.difference) for c in results.compare()
             if c.ours and c.printed.model == "official/9-1-5-91"]  # fmt: skip
    assert table == [
        ("authors' weights", "official/9-1-5-91", "equal", 0),
        ("trained here", "9-1-5", "above", pytest.approx(0.11)),
    ]


def test_printed_averages_agree_with_their_pictures_and_name_their_table():
    kinds = {(p.method, p.model, p.scale) for p in results.printed_rows() if p.image}
    for method, model, scale in kinds:
        values = [results.printed(method, "Set5", scale, model=model, image=image).value
                  for image in SET5]  # fmt: skip
        mean = results.printed(method, "Set5", scale, model=model).value
        assert abs(np.mean(values) - mean) <= 0.0051
    for p in results.printed_rows():
        assert re.match(r"(ECCV|TPAMI) (Table \d|section)", p.source)
        assert p.checked in ("recomputed", "printed", "quoted")


def test_every_recorded_row_is_whole_and_its_model_is_here():
    rows, known = results.rows(), checkpoints.names()
    assert rows, "data/results has no rows"
    keys = [tuple(row[key] for key in results.KEYS) for row in rows]
    assert len(keys) == len(set(keys))
    for path in results.results_folder().glob("*.json"):
        content = json.loads(path.read_text("utf-8"))
        (name,) = {(row["method"], row["model"]) for row in content}
        assert path.stem == "_".join(filter(None, name)).replace("/", "_")
    for row in rows:
        label, method = row["command"], row["method"]
        if method == "srcnn":
            model = row["model"].removesuffix("+")  # a self-ensemble
            assert row["scale"] in known[model], label
        elif method != "bicubic" and row["model"] is None:
            assert trained.learnt_file(method, row["scale"]).is_file(), label
        assert method in methods.NAMES and row["protocol"] == protocol.PROTOCOL, label
        files = datasets.registry()[row["dataset"]]["files"]
        assert len(row["images"]) == len(files), label
        for metric, digits in (("psnr_db", 2e-4), ("ssim", 2e-6)):
            mean = np.mean([image[metric] for image in row["images"]])
            assert row["mean"][metric] == pytest.approx(mean, abs=digits), label
