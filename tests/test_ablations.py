"""What the ablations need: losses, colour, residual learning, degradations;
and the program that runs them, and what it recorded."""

import dataclasses
import io
import json

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from benchmarks import ablations
from srcnn_lib import (
    checkpoints,
    datasets,
    images,
    plots,
    products,
    protocol,
    results,
    subimages,
    training,
)
from srcnn_lib.chapters import degradations
from srcnn_lib.methods import srcnn
from srcnn_lib.methods.srcnn import SRCNNMethod
from srcnn_lib.models import SRCNN, Architecture, initialise
from srcnn_lib.resize import bicubic

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = training.Config(
    arch="3-1-3_4-4",
    steps=12,
    batch=2,
    size=17,
    optimiser="adam",
    learning_rate=2e-3,
    warmup=0,
    ema_decay=0.9,
    validate_every=6,
)


@pytest.fixture
def pictures(monkeypatch, tmp_path):
    """Crops of embedded photographs, and no other data to be found."""
    monkeypatch.delenv("SRCNN_DATA", raising=False)
    monkeypatch.setenv("SRCNN_CACHE", str(tmp_path / "no cache"))
    monkeypatch.setenv("SRCNN_OFFLINE", "1")
    found = datasets.load("demo-train").items()
    colour = {k: image for k, image in found if image.ndim == 3}
    return {k: colour[k][80:200, 100:220, :3] for k in list(colour)[:4]}


def train(config, pictures, **more):
    return training.train(config, pictures, device="cpu", progress=False, **more)


def network(*shape, seed=0):
    torch.manual_seed(seed)
    return SRCNN(*shape)


def plain_twin(residual):
    """The same layers, without the sum at the end."""
    a = residual.architecture
    twin = SRCNN(a.f, a.n, a.channels)
    twin.load_state_dict(residual.state_dict())
    return twin


# Residual networks and networks of three colours ----------------------------

SHAPES = [
    ((3, 1, 5), (6, 5), 1, True),
    ((3, 1, 5), (6, 5), 3, False),
    ((3, 3, 1, 3), (6, 5, 4), 3, True),
]


@pytest.mark.parametrize("shape", SHAPES[::2])
def test_a_residual_network_adds_its_input(shape):
    model = network(*shape)
    twin = plain_twin(model)
    y = torch.rand(2, shape[2], 20, 23)
    m = model.architecture.border
    with torch.no_grad():
        inside = y[..., m:-m, m:-m]
        assert torch.equal(model(y, "valid"), twin(y, "valid") + inside)
        assert torch.equal(model(y), twin(y) + y)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_residual_network_starts_as_its_input(channels):
    model = SRCNN((3, 1, 3), (2, 2), channels, True)  # too few to pass three
    initialise(model, "identity", torch.Generator().manual_seed(0))
    y = torch.rand(1, channels, 9, 9)
    with torch.no_grad():
        assert torch.equal(model(y), y)
    assert all(conv.weight.any() for conv in model.convs[:-1])
    model(y).square().sum().backward()
    assert model.convs[-1].weight.grad.any()  # it can learn


@pytest.mark.parametrize("shape", SHAPES)
def test_the_products_are_these_networks_too(shape):
    model = network(*shape).double()
    y = torch.rand(2, shape[2], 15, 16, dtype=torch.float64)
    out = products.forward(model, y)
    expected = model(y, "valid")
    assert torch.allclose(out, expected, rtol=0, atol=1e-12)
    given = torch.rand_like(out)
    ours = torch.autograd.grad((out * given).sum(), list(model.parameters()))
    theirs = torch.autograd.grad(
        (expected * given).sum(), list(model.parameters())
    )
    for a, b in zip(ours, theirs):
        assert torch.allclose(a, b, rtol=0, atol=1e-10)


@pytest.mark.parametrize("size", [(3, 5), (40, 300), (70, 30)])
def test_a_residual_network_as_a_method_in_bands(size, monkeypatch):
    """Bands and stripes fall anywhere; the sum takes the right rows."""
    monkeypatch.setitem(srcnn.TILE_PIXELS, "cpu", 999)
    model = network((5, 1, 3), (6, 5), 1, True)
    lr_y = np.random.default_rng(0).random(size)
    y = torch.from_numpy(bicubic(lr_y, 3).astype(np.float32))
    with torch.no_grad():
        expected = model(y[None, None])[0, 0].numpy()
    method = SRCNNMethod(model, "cpu")
    assert np.allclose(method(lr_y, 3), expected, atol=1e-5)
    assert np.allclose(method.enhance(y.numpy()), expected, atol=1e-5)


def test_weights_of_a_residual_network_come_back_as_such(tmp_path):
    model = network((3, 1, 3), (4, 4), 1, True)
    path = checkpoints.write(model, tmp_path / "r.safetensors", {"scale": 3})
    again = checkpoints.load(str(path), 3)
    assert again.architecture == model.architecture
    y = torch.rand(1, 1, 9, 9)
    with torch.no_grad():
        assert torch.equal(again(y), model(y))
    plain = checkpoints.write(plain_twin(model), tmp_path / "p.safetensors", {})
    assert not checkpoints.load(str(plain)).architecture.residual
    assert "residual" not in checkpoints.read_card(plain)
    with pytest.raises(checkpoints.CheckpointError, match="take ONNX"):
        checkpoints.export_json(model, tmp_path / "r.json")


def test_onnx_of_a_residual_network_adds_the_input(tmp_path):
    pytest.importorskip("onnx", reason="needs the package onnx")
    from onnx.reference import ReferenceEvaluator

    model = network((3, 1, 3), (4, 4), 1, True)
    path = checkpoints.export_onnx(model, tmp_path / "r.onnx")
    y = torch.rand(1, 1, 8, 11)
    (ours,) = ReferenceEvaluator(str(path)).run(None, {"y": y.numpy()})
    with torch.no_grad():
        assert np.allclose(ours, model(y).numpy(), rtol=0, atol=1e-5)


# Colour ---------------------------------------------------------------------


def test_planes_of_colour_and_grey(pictures):
    rgb = next(iter(pictures.values()))
    assert np.array_equal(images.planes(rgb), images.luma(rgb))
    assert np.array_equal(images.planes(rgb, "rgb"), rgb)
    assert np.array_equal(images.planes(rgb, "ycbcr")[..., 0], images.luma(rgb))
    grey = rgb[..., 0]
    assert np.array_equal(images.planes(grey, "rgb"), np.dstack([grey] * 3))
    chroma = images.planes(grey, "ycbcr")[..., 1:]
    assert (chroma == 128).all()
    with pytest.raises(ValueError, match="y, ycbcr or rgb, not 'hsv'"):
        images.planes(rgb, "hsv")
    with pytest.raises(ValueError, match="must be grey or RGB"):
        images.planes(np.zeros((4, 4, 2), np.uint8), "rgb")


@pytest.mark.parametrize("colour", ["rgb", "ycbcr"])
def test_sub_images_of_three_channels_are_those_of_each(pictures, colour):
    both = subimages.SubImages(pictures.values(), 3, 17, 2, colour=colour)
    starts, widths = both.grid()
    inputs, labels = both.cut(starts, widths, torch.full_like(starts, 5))
    assert inputs.shape[1:] == (3, 17, 17) and labels.shape[1:] == (3, 13, 13)
    for c in range(3):
        grey = [images.planes(p, colour)[..., c] for p in pictures.values()]
        one = subimages.SubImages(grey, 3, 17, 2)
        expected = one.cut(starts, widths, torch.full_like(starts, 5))
        assert torch.allclose(inputs[:, c], expected[0][:, 0], atol=1e-6)
        assert torch.equal(labels[:, c], expected[1][:, 0])


def test_importance_of_equal_planes_is_that_of_one(pictures):
    grey = [p[..., 0] for p in pictures.values()]
    one = subimages.SubImages(grey, 3, 17, 2)
    three = subimages.SubImages(grey, 3, 17, 2, colour="rgb")
    draws = [
        s.draw_important(50, torch.Generator().manual_seed(3))
        for s in (one, three)
    ]
    assert torch.allclose(draws[0][2], draws[1][2], rtol=1e-4)
    assert torch.allclose(draws[0][0], draws[1][0][:, :1], atol=1e-6)


def test_validation_of_colour_takes_all_channels_together(pictures):
    judge = subimages.Validation(pictures.values(), 3, colour="rgb")
    expected = []
    for image in pictures.values():
        lr = protocol.imresize(image / 255.0, 1 / 3)
        sr = images.to_uint8(255 * bicubic(lr, 3).astype(np.float32))
        error = (sr.astype(float) - image)[3:-3, 3:-3]
        expected.append(10 * np.log10(255**2 / (error**2).mean()))
    assert judge.bicubic_db() == pytest.approx(np.mean(expected), abs=1e-3)


@pytest.mark.parametrize("colour", ["ycbcr", "rgb"])
def test_training_in_colour(pictures, colour):
    config = dataclasses.replace(TINY, colour=colour)
    run = train(config, pictures)
    assert run.model.architecture.channels == 3
    before = run.card["validation_bicubic_db"]
    assert abs(run.history[-1]["psnr_db"] - before) < 3  # began as bicubic


def test_colour_is_not_streamed(pictures, tmp_path, monkeypatch):
    for name, image in pictures.items():
        images.write(tmp_path / f"{name}.png", image)
    monkeypatch.setattr("srcnn_lib.streaming.MEMORY", 1)
    found = training.Pictures([training.streaming.index_folder(tmp_path)])
    config = dataclasses.replace(TINY, colour="rgb")
    with pytest.raises(training.TrainingError, match="rgb needs .* fit in memory"):
        train(config, found)


# Losses, rates, recipes -----------------------------------------------------


@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_losses_by_hand(optimiser):
    out, label = torch.rand(2, 3, 1, 4, 4, generator=torch.Generator())
    weight = torch.tensor([0.5, 2.0, 1.0])
    error = out - label
    each = {
        "mse": error**2,
        "l1": error.abs(),
        "charbonnier": (error**2 + 1e-6).sqrt(),
    }
    for name, values in each.items():
        config = dataclasses.replace(TINY, loss=name, optimiser=optimiser)
        per_image = values.sum((1, 2, 3)) / 2
        if optimiser == "adam":
            per_image = values.mean((1, 2, 3))
        got = training._loss(out, label, weight, config)
        assert got == pytest.approx(float((weight * per_image).mean()), rel=1e-5)
    if optimiser == "adam":
        got = training._loss(out, label, None, TINY)
        assert got == pytest.approx(float(F.mse_loss(out, label)), rel=1e-5)


def test_one_rate_for_all_layers(pictures):
    """Only the last layer's step changes, and tenfold."""
    config = dataclasses.replace(
        TINY, optimiser="sgd", learning_rate=1e-4, steps=1, ema_decay=0.0,
        schedule="constant",
    )  # fmt: skip
    start = training._begin(config, torch.device("cpu"), None).model
    steps = []
    for rate in (0.1, 1.0):
        run = train(dataclasses.replace(config, last_rate=rate), pictures)
        pairs = zip(run.model.convs, start.convs)
        steps.append([(a.weight - b.weight).detach() for a, b in pairs])
    for slow, fast in zip(steps[0][:-1], steps[1][:-1]):
        assert torch.equal(slow, fast)
    assert torch.allclose(10 * steps[0][-1], steps[1][-1], rtol=1e-2, atol=1e-7)


@pytest.mark.parametrize(
    "change, said",
    [
        ({"loss": "l2"}, "loss must be mse or l1 or charbonnier"),
        ({"colour": "hsv"}, "colour must be y or ycbcr or rgb"),
        ({"last_rate": 0.0}, "last rate must be above 0"),
    ],
)
def test_impossible_recipes(change, said):
    with pytest.raises(ValueError, match=said):
        dataclasses.replace(TINY, **change).check()


NEW = ("loss", "last_rate", "colour", "residual")


def test_a_record_without_the_new_fields_is_the_same_recipe():
    config = training.PRESETS["full"]
    recorded = dataclasses.asdict(config)
    for field in NEW:
        del recorded[field]
    assert training.same(config, recorded)
    assert not training.same(config, recorded | {"seed": 7})
    assert not training.same(dataclasses.replace(config, loss="l1"), recorded)
    assert not training.same(config, recorded | {"unknown": 1})


def test_a_state_without_the_new_fields_goes_on(pictures, tmp_path, monkeypatch):
    """As one written before they were there."""
    whole = train(TINY, pictures)

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(TINY, pictures, out=tmp_path, on_validate=stop)
    paths = training._Paths(tmp_path, TINY)
    content = torch.load(io.BytesIO(paths.read()), weights_only=True)
    for field in NEW:
        del content["config"][field]
    buffer = io.BytesIO()
    torch.save(content, buffer)
    paths.write(buffer.getvalue())
    resumed = train(TINY, pictures, out=tmp_path, resume=True)
    for a, b in zip(resumed.model.parameters(), whole.model.parameters()):
        assert torch.equal(a, b)


def test_all_rows_of_the_training_study_are_still_recognised():
    rows = [row for row in results.study("training") if "config" in row]
    assert rows
    for row in rows:
        again = training.Config(**row["config"])
        assert training.same(again, row["config"])


# Degradations ---------------------------------------------------------------


@pytest.fixture(scope="module")
def hr_y():
    photographs = datasets.load("demo-test")
    return images.luma(next(iter(photographs.values())))[:120, 24:156]


@pytest.mark.parametrize("name", degradations.ALL)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_degradations_give_small_aligned_pictures(name, scale, hr_y):
    degrade = degradations.ALL[name]
    lr_y = degrade(hr_y, scale)
    assert lr_y.shape == (120 // scale, 132 // scale)
    assert np.array_equal(lr_y, degrade(hr_y, scale))  # noise too
    if not name.startswith(("noise", "JPEG")):
        turned = degrade(np.ascontiguousarray(hr_y[::-1, ::-1]), scale)
        assert np.abs(turned[::-1, ::-1] - lr_y).max() < 1.5 / 255
    levels = 255 * lr_y
    is_rounded = np.allclose(levels, np.round(levels), atol=1e-6)
    assert is_rounded == ("protocol" not in name)


def test_degradations_are_what_they_say(hr_y):
    smooth = degradations.matlab(hr_y, 3)
    assert np.array_equal(smooth, protocol.degrade(hr_y, 3)[1])
    samples = degradations.not_antialiased(hr_y, 3)
    assert np.array_equal(samples, hr_y[1::3, 1::3] / 255)
    close = np.abs(degradations.pillow(hr_y, 3) - degradations.rounded(hr_y, 3))
    assert close[2:-2, 2:-2].max() <= 1.001 / 255  # edges: it repeats nothing
    noise = degradations.noisy(5)(np.full((300, 300), 128, np.uint8), 3)
    assert noise.std() * 255 == pytest.approx(5, rel=0.03)
    flat = degradations.camera(np.full((30, 30), 77, np.uint8), 2)
    assert (flat == 77 / 255).all()
    errors = [
        np.abs(degradations.jpeg(q)(hr_y, 3) - smooth).mean() for q in (90, 50)
    ]
    assert 0 < errors[0] < errors[1]


# The program ----------------------------------------------------------------


def test_every_variant_is_a_recipe_that_can_run():
    for preset in ablations.BUDGETS:
        for variants in ablations.VARIANTS.values():
            for changes in variants.values():
                config = ablations.recipe(changes, preset, seed=2)
                config.check()
                assert config.steps == ablations.BUDGETS[preset]["steps"]


def test_four_small_filters_see_and_cost_as_much_as_the_large_one():
    variants = ablations.VARIANTS["depth"]
    nine = Architecture.parse("9-1-5")
    equal = Architecture.parse(variants["four 3×3"]["arch"])
    wide = Architecture.parse(variants["four 3×3 of 64"]["arch"])
    assert nine.receptive_field == equal.receptive_field == wide.receptive_field
    weights = [SRCNN(*a).count_weights() for a in (nine, equal, wide)]
    assert weights[0] == results.WEIGHTS["9-1-5"]
    assert abs(weights[1] / weights[0] - 1) < 0.01
    assert weights[2] > 10 * weights[0]


def test_training_sets_grow_and_hold_what_they_say():
    if not datasets.available("T91") or not datasets.available("BSDS500-train"):
        pytest.skip("needs T91 and BSDS500-train: srcnn data fetch")
    five, ten = (set(ablations.training_set(n, seed=1)) for n in (5, 10))
    assert five < ten and len(five) == 5 and len(ten) == 10
    assert five != set(ablations.training_set(5, seed=2))
    assert len(ablations.training_set(91, 0)) == 91
    assert len(ablations.training_set(191, 0)) == 191
    assert set(ablations.training_set(91, 0)) < set(ablations.training_set(191, 0))


@pytest.fixture
def small_program(pictures, monkeypatch):
    """Two ablations of two variants, on embedded photographs."""
    monkeypatch.setattr(ablations, "VARIANTS", {
        "width": {"8/4": {}, "4/4": {"arch": "3-1-3_4-4"}},
        "colour": {"luma": {}, "RGB": {"colour": "rgb"}},
    })  # fmt: skip
    base = dataclasses.replace(TINY, arch="3-1-3_8-4")
    monkeypatch.setattr(ablations, "BASE", base)
    monkeypatch.setitem(ablations.BUDGETS, "quick", {"steps": 4})
    monkeypatch.setattr(ablations, "training_set", lambda *_: pictures)
    load = datasets.load
    monkeypatch.setattr(
        datasets, "load",
        lambda name, **_: pictures if name in ablations.TESTS else load(name),
    )  # fmt: skip


def test_the_program_goes_on_where_it_was_stopped(
    small_program, tmp_path, monkeypatch
):
    count = []
    original = training.train

    def counted(*arguments, **more):
        count.append(arguments)
        if len(count) == 3:
            raise KeyboardInterrupt
        return original(*arguments, **more)

    monkeypatch.setattr(training, "train", counted)

    def run(name):
        ablations.train_all([name], "quick", 2, tmp_path, None)

    with pytest.raises(KeyboardInterrupt):
        run("width")
    first = json.loads((tmp_path / "width.json").read_text())
    assert [(row["name"], row["seed"]) for row in first] == [("8/4", 0), ("8/4", 1)]
    run("width")
    run("width")  # nothing is left to do
    rows = json.loads((tmp_path / "width.json").read_text())
    assert rows[:2] == first and len(rows) == 4 and len(count) == 5
    assert {(r["name"], r["seed"]) for r in rows} == {
        (name, seed) for name in ("8/4", "4/4") for seed in (0, 1)
    }
    for row in rows:
        assert set(row["psnr_db"]) == {"Set5", "Set14"} and row["command"]
        assert row["config"]["seed"] == row["seed"]


def test_colour_is_measured_in_all_spaces(small_program, tmp_path):
    ablations.train_all(["colour"], "quick", 1, tmp_path, None)
    rows = json.loads((tmp_path / "colour.json").read_text())
    luma, rgb = (row["colour_db"]["Set5"] for row in rows)
    assert set(luma) == set(rgb) == {"y", "ycbcr", "rgb"}
    # Of luma alone both ways measure the same, but for chroma's rounding.
    assert luma["y"] == pytest.approx(rows[0]["psnr_db"]["Set5"], abs=0.01)
    assert rgb["y"] == rows[1]["psnr_db"]["Set5"]


def test_a_run_that_diverges_is_a_row(small_program, tmp_path, monkeypatch):
    variants = {"too large": {"optimiser": "sgd", "learning_rate": 1e30}}
    monkeypatch.setattr(ablations, "VARIANTS", {"loss": variants})
    ablations.train_all(["loss"], "quick", 1, tmp_path, None)
    (row,) = json.loads((tmp_path / "loss.json").read_text())
    assert row["psnr_db"] is None and "no longer finite" in row["error"]


# What was recorded ----------------------------------------------------------


@pytest.mark.parametrize("ablation", ablations.VARIANTS)
def test_recorded_rows_are_of_the_programs_recipes(ablation):
    for preset in ablations.BUDGETS:
        for name, rows in results.ablation(ablation, preset).items():
            changes = ablations.VARIANTS[ablation][name]
            assert len({row["seed"] for row in rows}) == len(rows)
            for row in rows:
                config = ablations.recipe(changes, preset, row["seed"])
                assert ablations.find([row], config, row["pictures"])
                assert row["pictures"] == changes.get("pictures", 91)
                assert row["validation_images"] == "BSDS500 val (100)"


def test_recorded_ablations_stay_out_of_the_results():
    """`srcnn results verify` couldn't recompute them: no weights are kept."""
    assert results.ablation("width") and results.ablation("degradation")
    assert all("ablation" not in row for row in results.rows())
    assert results.ablation("no such") == {}


def test_the_recorded_degradation_is_of_the_recorded_results():
    """New weights ask for new rows here, too."""
    rows = results.ablation("degradation")
    own = [f"x{scale} network on x{scale}" for scale in protocol.SCALES]
    for name in ("MATLAB bicubic (the protocol)", *own):
        (row,) = rows[name]
        for dataset, value in row["psnr_db"].items():
            result = results.recorded("srcnn", dataset, row["scale"], model="9-1-5")
            assert value == pytest.approx(result["mean"]["psnr_db"], abs=0.002)


# Figures --------------------------------------------------------------------


def test_a_row_of_rings_per_variant():
    figure = plots.plot_seeds(
        {"as it is": [27.0, 27.002], "other": [26.9], "later": []}, note="small"
    )
    (axes,) = figure.axes
    rings = [line for line in axes.lines if line.get_marker() == "o"]
    assert [len(line.get_xdata()) for line in rings] == [2, 1]
    assert [text.get_text() for text in axes.texts] == ["not yet measured"]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["as it is", "other", "later"]
    assert "small" in axes.get_xlabel()
    band = axes.patches[0].get_extents().transformed(axes.transData.inverted())
    spread = np.std([27.0, 27.002], ddof=1)
    assert band.x0 == pytest.approx(27.001 - spread, abs=1e-6)
    assert band.x1 == pytest.approx(27.001 + spread, abs=1e-6)
    plt.close(figure)


def test_thousandths_of_a_decibel_dont_fill_the_axis():
    figure = plots.plot_seeds({"as it is": [27.0, 27.001]})
    low, high = figure.axes[0].get_xlim()
    assert high - low == pytest.approx(0.1)
    plt.close(figure)


# The command line -----------------------------------------------------------


def test_a_loss_and_residual_learning_from_the_command_line(pictures, tmp_path):
    from srcnn_lib import cli

    for name, image in pictures.items():
        images.write(tmp_path / f"{name}.png", image)
    out = tmp_path / "runs"
    status = cli.main([
        "train", "--scale", "3", "--arch", "3-1-3_4-4", "--images", str(tmp_path),
        "--steps", "3", "--batch", "2", "--loss", "l1", "--residual",
        "--device", "cpu", "--out", str(out),
    ])  # fmt: skip
    assert status == 0
    path = out / "3-1-3_4-4_x3.safetensors"
    assert checkpoints.load(str(path), 3).architecture.residual
    card = checkpoints.read_card(path)
    assert card["config"]["loss"] == "l1" and card["config"]["residual"]
