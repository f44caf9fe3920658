"""What the ablations need: residual networks, colour, losses; the programs that run
them and other studies, and what these recorded.  Degradations have their own tests."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from benchmarks import ablations
from benchmarks.rows import GRID, Rows, record, runs_of, search
from srcnn_lib import datasets, images, protocol, results, training
from srcnn_lib.models import SRCNN, initialise
from srcnn_lib.resize import bicubic
from srcnn_lib.subimages import SubImages, Validation

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = training.Config(
    arch="3-1-3_4-4", steps=12, batch=2, size=17, optimiser="adam",
    learning_rate=2e-3, warmup=0, ema_decay=0.9, validate_every=6,
)  # fmt: skip


@pytest.fixture
def pictures(embedded_only):
    """Crops of photographs in colour."""
    found = datasets.load("demo-train").items()
    colour = {k: image for k, image in found if image.ndim == 3}
    return {k: colour[k][80:200, 100:220, :3] for k in list(colour)[:4]}


@pytest.mark.parametrize("shape", [
    ((3, 1, 5), (6, 5), 1, True), ((3, 3, 1, 3), (6, 5, 4), 3, True),
])  # fmt: skip
def test_a_residual_network_adds_its_input_and_starts_as_it(shape):
    model, twin = SRCNN(*shape), SRCNN(*shape[:3])
    twin.load_state_dict(model.state_dict())
    y = torch.rand(2, shape[2], 20, 23)
    m = model.architecture.border
    with torch.no_grad():
        inside = y[..., m:-m, m:-m]
        assert torch.equal(model(y, "valid"), twin(y, "valid") + inside)
        assert torch.equal(model(y), twin(y) + y)
    initialise(model, "identity", torch.Generator().manual_seed(0))
    assert torch.equal(model(y), y)
    model(y).square().sum().backward()
    assert model.convs[-1].weight.grad.any()  # it can learn


def test_planes_of_colour_and_grey(pictures):
    rgb = next(iter(pictures.values()))
    y, grey, same = images.luma(rgb), rgb[..., 0], np.array_equal
    assert same(images.planes(rgb), y) and same(images.planes(rgb, "rgb"), rgb)
    assert same(images.planes(rgb, "ycbcr")[..., 0], y)
    assert same(images.planes(grey, "rgb"), np.dstack([grey] * 3))
    assert (images.planes(grey, "ycbcr")[..., 1:] == 128).all()
    with pytest.raises(ValueError, match="hsv"):
        images.planes(rgb, "hsv")


@pytest.mark.parametrize("colour", ["rgb", "ycbcr"])
def test_sub_images_of_three_channels_are_those_of_each(pictures, colour):
    both = SubImages(pictures.values(), 3, 17, 2, colour=colour)
    inputs, labels = both.cut(both.grid(), 5)
    assert inputs.shape[1:] == (3, 17, 17) and labels.shape[1:] == (3, 13, 13)
    for c in range(3):
        grey = [images.planes(p, colour)[..., c] for p in pictures.values()]
        expected = SubImages(grey, 3, 17, 2).cut(both.grid(), 5)
        assert torch.allclose(inputs[:, c], expected[0][:, 0], atol=1e-6)
        assert torch.equal(labels[:, c], expected[1][:, 0])


def test_validation_of_colour_takes_all_channels_together(pictures):
    expected = []
    for image in pictures.values():
        lr = protocol.imresize(image / 255.0, 1 / 3)
        sr = images.to_uint8(255 * bicubic(lr, 3).astype(np.float32))
        error = (sr.astype(float) - image)[3:-3, 3:-3]
        expected.append(10 * np.log10(255**2 / (error**2).mean()))
    judge = Validation(pictures.values(), 3, colour="rgb")
    assert judge.bicubic_db() == pytest.approx(np.mean(expected), abs=1e-3)
    config = dataclasses.replace(TINY, colour="rgb")
    run = training.train(config, pictures, device="cpu", progress=False)
    assert run.model.architecture.channels == 3
    assert abs(run.history[-1]["psnr_db"] - run.card["validation_bicubic_db"]) < 3


@pytest.mark.parametrize("loss, values", [
    ("l1", torch.abs), ("charbonnier", lambda error: (error**2 + 1e-6).sqrt()),
])  # fmt: skip
def test_losses_by_hand(loss, values):
    out, label = torch.rand(2, 3, 1, 4, 4, generator=torch.Generator())
    weight, each = torch.tensor([0.5, 2.0, 1.0]), values(out - label)
    got = training._loss(out, label, weight, dataclasses.replace(TINY, loss=loss))
    assert got == pytest.approx((weight * each.mean((1, 2, 3))).mean().item())


def test_records_are_recognised_by_the_fields_that_there_are():
    config = training.PRESETS["full"]
    recorded = dataclasses.asdict(config)
    for field in ("loss", "last_rate", "colour", "residual", "augment"):
        del recorded[field]  # it came later
    assert training.same(config, recorded)
    assert training.same(config, recorded | {"zoom": 0.6})  # no longer a field
    assert not training.same(config, recorded | {"seed": 7})
    assert not training.same(dataclasses.replace(config, loss="l1"), recorded)


# The programs ---------------------------------------------------------------


def test_rows_stay_beside_those_of_another_process(tmp_path):
    rows, others = Rows(tmp_path / "rows.json"), Rows(tmp_path / "rows.json")
    rows.add({"name": "é", "config": dataclasses.asdict(TINY)})
    others.add({"name": "b"})
    assert [row["name"] for row in Rows(tmp_path / "rows.json")] == ["é", "b"]
    often = dataclasses.replace(TINY, validate_every=1)
    assert rows.find(TINY, name="é") and not rows.find(TINY, name="b")
    assert rows.find(often) and not rows.find(dataclasses.replace(TINY, steps=1))


@pytest.mark.parametrize("best, start", [(0.002, 0.002), (0.5, 1e-3), (1e-5, 0.02)])
def test_a_search_ends_with_its_best_inside(best, start):
    tried = []

    def score(rate):
        tried.append(rate)
        return None if rate > 10 * best else 30 - abs(np.log(rate / best))

    assert search(score, start) == best and len(tried) == len(set(tried))
    at = GRID.index(best)
    assert {GRID[at - 1], GRID[at + 1]} <= set(tried)
    # Of equals the smaller.
    assert search(lambda rate: 26.774 if rate in (0.01, 0.02) else 26.5, 0.02) == 0.01


def test_the_trial_at_the_best_rate_is_the_run_of_seed_0(pictures, tmp_path):
    rows, about = Rows(tmp_path / "rows.json"), {"name": "tiny"}
    how = {"images": lambda seed: pictures, "measure": lambda network: {"more": 1}}
    rate = runs_of(rows, TINY, about, range(2), 0.002, **how)
    trials, runs = ([r for r in rows if r["kind"] == k] for k in ("trial", "run"))
    best = max(trials, key=lambda row: row["validation_psnr_db"])
    assert rate == best["config"]["learning_rate"]
    assert [row["seed"] for row in runs] == [0, 1]
    assert runs[0] == best | {"kind": "run"} and runs[1]["more"] == 1
    huge = dataclasses.replace(TINY, optimiser="sgd", learning_rate=1e30)
    row = record(rows, huge, about | {"kind": "run"}, **how)
    assert row["validation_psnr_db"] is None and row["error"]


STUDIES = ("what_mattered", "ladder", "networks", "ablations")


@pytest.mark.parametrize("study", STUDIES)
def test_recorded_searches_end_inside_and_all_seeds_have_their_rate(study):
    rows = Rows(study)
    searched, what = {}, ("ablation", "optimiser", "steps", "budget_s", "k", "group")
    for row in rows:
        kind, key = row["kind"], (row["name"], *(row.get(name) for name in what))
        if kind in ("trial", "run"):
            searched.setdefault(key, {"trial": [], "run": []})[kind].append(row)
    assert rows or study == "ablations"  # which takes days, on one thread
    for found in searched.values():
        if not (found["trial"] and found["run"]):
            continue  # nothing was searched, or the search goes on
        scores = {r["config"]["learning_rate"]: r["validation_psnr_db"] or 0
                  for r in found["trial"]}  # fmt: skip
        (rate,) = {row["config"]["learning_rate"] for row in found["run"]}
        at = GRID.index(rate)
        assert {GRID[at - 1], GRID[at + 1]} <= set(scores)
        assert scores[rate] == max(scores.values())


def test_training_sets_grow_and_hold_what_they_say():
    if not datasets.available("T91") or not datasets.available("BSDS500-train"):
        pytest.skip("needs T91 and BSDS500-train: srcnn data fetch")
    five, ten = (set(ablations.training_set(n, seed=1)) for n in (5, 10))
    assert five < ten and len(five) == 5 and len(ten) == 10
    assert five != set(ablations.training_set(5, seed=2))
    all91, more = (set(ablations.training_set(n, seed=0)) for n in (91, 191))
    assert len(all91) == 91 and len(more) == 191 and all91 < more


@pytest.fixture
def program(pictures, monkeypatch, tmp_path):
    """Runs an ablation, small, on embedded photographs, and gives its rows."""
    monkeypatch.setattr(ablations, "VARIANTS", {
        "width": {"8/4": {}, "4/4": {"arch": "3-1-3_4-4"}},
        "colour": {"luma": {}, "RGB": {"colour": "rgb"}},
    })  # fmt: skip
    base = dataclasses.replace(TINY, arch="3-1-3_8-4")
    monkeypatch.setattr(ablations, "BASE", base)
    monkeypatch.setitem(ablations.BUDGETS, "quick", {"steps": 4})
    monkeypatch.setattr(ablations, "training_set", lambda *_: pictures)
    monkeypatch.setattr(datasets, "load", lambda name, **_: pictures)

    def run(name):
        rows = Rows(tmp_path / "rows.json")
        ablations.train_all([name], "quick", 2, rows, "")
        return [row for row in rows if row["ablation"] == name]

    return run


def test_the_program_goes_on_where_it_was_stopped(program, tmp_path, monkeypatch):
    count, original = [], training.train

    def counted(*arguments, **more):
        count.append(arguments)
        if len(count) == 3:
            raise KeyboardInterrupt
        return original(*arguments, **more)

    monkeypatch.setattr(training, "train", counted)
    with pytest.raises(KeyboardInterrupt):
        program("width")
    first = json.loads((tmp_path / "rows.json").read_text())
    assert [(row["name"], row["seed"]) for row in first] == [("8/4", 0), ("8/4", 1)]
    program("width")
    rows = program("width")  # nothing is left to do
    assert rows[:2] == first and len(rows) == 4 and len(count) == 5
    assert len({(row["name"], row["seed"]) for row in rows}) == 4
    for row in rows:
        assert set(row["psnr_db"]) == set(ablations.OTHERS) and row["command"]
        assert row["config"]["seed"] == row["seed"]
    assert len(program("colour")) == 4 and len(count) == 7  # 9-1-5 as it is was known


def test_colour_is_measured_in_all_spaces(program):
    luma, _, rgb, _ = program("colour")
    assert set(luma["colour_db"]["Set5"]) == {"y", "ycbcr", "rgb"}
    # Of luma alone both ways measure the same, except for chroma's rounding.
    in_colour = luma["colour_db"]["Set5"]["y"]
    assert in_colour == pytest.approx(luma["psnr_db"]["Set5"], abs=0.01)
    assert rgb["colour_db"]["Set5"]["y"] == rgb["psnr_db"]["Set5"]


# What was recorded ----------------------------------------------------------


@pytest.mark.parametrize("ablation", ablations.VARIANTS)
def test_recorded_rows_are_of_the_programs_recipes(ablation):
    rows = Rows(results.results_folder() / "ablations" / f"{ablation}.json")
    assert len({(r["preset"], r["name"], r["seed"]) for r in rows}) == len(rows) > 0
    for row in rows:
        changes = ablations.VARIANTS[ablation][row["name"]]
        config = ablations.recipe(changes, row["preset"], row["seed"])
        ablations.recipe(changes, "full", row["seed"]).check()
        assert row["pictures"] == changes.get("pictures", 91)
        assert rows.find(config, pictures=row["pictures"]) == row
        assert row["validation_images"] == "BSDS500 val (100)"


def test_the_recorded_degradation_is_of_the_recorded_results():
    """New weights ask for new rows here, too."""
    rows = results.ablation("degradation")
    own = [f"x{scale} network on x{scale}" for scale in protocol.SCALES]
    for name in ("MATLAB bicubic (the protocol)", *own):
        (row,) = rows[name]
        for dataset, value in row["psnr_db"].items():
            result = results.recorded("srcnn", dataset, row["scale"], model="9-1-5")
            assert value == pytest.approx(result["mean"]["psnr_db"], abs=0.002)
