"""Sub-images, data augmentation, validation, recipes and the loop.

All runs here are small, on the CPU with one thread, from the embedded photographs; a
fixture hides the real data from them, so that they are the same everywhere.
"""

import dataclasses
import hashlib
import json
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

from srcnn_lib import checkpoints, datasets, images, muon, protocol, subimages, training
from srcnn_lib.methods.srcnn import SRCNNMethod
from srcnn_lib.models import SRCNN, initialise
from srcnn_lib.protocol import pair
from srcnn_lib.resize import bicubic
from srcnn_lib.training import PRESETS, Config, SubImages, TrainingError, Validation

#: A run of a second or less.
TINY = Config(
    arch="3-1-3_4-4", steps=20, batch=2, size=17, optimiser="adam", learning_rate=2e-3,
    schedule="cosine", warmup=0, validate_every=10,
)  # fmt: skip
MUON = dataclasses.replace(
    TINY, optimiser="muon", learning_rate=0.02, schedule="linear"
)

pytestmark = pytest.mark.usefixtures("one_thread")

needs = {
    name: pytest.mark.skipif(
        not datasets.available(name), reason=f"needs {name}: srcnn data fetch"
    )
    for name in ("T91", "BSDS500-val")
}


def train(config, pictures, **more):
    return training.train(config, pictures, device="cpu", progress=False, **more)


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


# Sub-images ----------------------------------------------------------------


def turned(square):
    """The eight symmetries of a square."""
    for k in range(4):
        yield np.rot90(square, k)
        yield np.rot90(square, k).T


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_grid_is_every_window_of_every_picture(pictures, scale):
    chosen = [pictures["astronaut"], pictures["brick"][:100, :77]]
    sub_images = SubImages(chosen, scale, 33, 6, stride=14)
    inputs, labels = sub_images.cut(sub_images.grid())
    expected_inputs, expected_labels = [], []
    for image in chosen:
        lr_wide, hr_y = pair(image, scale)
        expected_inputs.append(images.patches(lr_wide, 33, 14).reshape(-1, 33, 33))
        windows = images.patches(hr_y, 33, 14).reshape(-1, 33, 33)
        expected_labels.append(windows[:, 6:-6, 6:-6])
    assert np.array_equal(inputs[:, 0], np.concatenate(expected_inputs))
    assert np.array_equal(labels[:, 0], np.concatenate(expected_labels))


@needs["T91"]
@pytest.mark.parametrize("scale, count", [(2, 21_910), (3, 21_884), (4, 21_772)])
def test_number_of_the_papers_sub_images(scale, count):
    """The paper says "roughly 24,800"; 33×33 at stride 14 gives fewer."""
    sub_images = SubImages(datasets.load("T91").values(), scale, 33, 6, 14)
    windows = sub_images.grid()
    assert len(windows) == len(windows.unique(dim=0)) == count


def test_draw_takes_every_place_and_symmetry_equally(pictures):
    """2 + 6 = 8 places in two pictures, each in 8 symmetries."""
    chosen = [pictures["astronaut"][:18, :19], pictures["flower"][:20, :19]]
    sub_images = SubImages(chosen, 2, 17, 4)
    places = {}
    for image in chosen:
        lr_wide, hr_y = pair(image, 2)
        windows = images.patches(lr_wide, 17), images.patches(hr_y, 17)
        for i, j in np.ndindex(windows[0].shape[:2]):
            for x, z in zip(*(turned(w[i, j]) for w in windows), strict=True):
                places[x.tobytes()] = z[4:-4, 4:-4].tobytes()
    assert len(places) == 8 * ((2 * 2) + (4 * 2))
    inputs, labels = sub_images.draw(9_600, seeded())
    count = dict.fromkeys(places, 0)
    for x, z in zip(inputs[:, 0].numpy(), labels[:, 0].numpy(), strict=True):
        assert places[x.tobytes()] == z.tobytes()
        count[x.tobytes()] += 1
    mean = 9_600 / len(places)
    assert all(abs(n - mean) < 5 * mean**0.5 for n in count.values())


def test_importance_sampling_is_fair_and_steadier(pictures):
    """Its weighted mean error is that of all places, with less spread."""
    sub_images = SubImages(list(pictures.values())[:3], 3, 17, 4)

    def errors(inputs, labels):
        inside = inputs[:, :, 4:-4, 4:-4]
        return (inside - labels).square().mean((1, 2, 3))

    plain = errors(*sub_images.draw(20_000, seeded()))
    inputs, labels, weights = sub_images.draw_important(20_000, seeded())
    fair = weights * errors(inputs, labels)
    assert weights.mean().item() == pytest.approx(1, abs=0.02)
    assert weights.max().item() <= 1 / (1 - subimages.IMPORTANT) + 1e-4
    error = fair.std() / len(fair) ** 0.5 + plain.std() / len(plain) ** 0.5
    assert abs(fair.mean() - plain.mean()) < 4 * error
    assert fair.std() < 0.7 * plain.std()
    for draw in (sub_images.draw, sub_images.draw_important):
        first, again, other = (draw(8, seeded(s))[0] for s in (1, 1, 2))
        assert torch.equal(first, again) and not torch.equal(first, other)


def test_pictures_smaller_than_a_sub_image_are_left_out(pictures):
    large, small = pictures["coins"], pictures["coins"][:32]
    both = SubImages([small, large, small], 3, 33, 6)
    alone = SubImages([large], 3, 33, 6)
    assert torch.equal(both.grid(), alone.grid())
    with pytest.raises(TrainingError, match="33×33"):
        SubImages([small], 3, 33, 6)
    small = {name: picture[:10, :10] for name, picture in pictures.items()}
    with pytest.raises(TrainingError, match="17×17"):
        train(TINY, small)


# Data augmentation -----------------------------------------------------------


@pytest.mark.parametrize("grey", [False, True])
def test_copies_are_sharper_and_warped_and_depend_on_the_seed(pictures, grey):
    picture = pictures["astronaut"][..., 1] if grey else pictures["astronaut"]
    shown, again, other = (
        list(subimages.copies([picture] * 2, augment=3, seed=s)) for s in (4, 4, 5)
    )
    assert len(shown) == 2 * (1 + 3 + 3) and shown[0] is picture
    assert all(map(np.array_equal, shown, again))
    made = [part[k] for part in (shown, other) for k in range(14) if k % 7]
    assert len({copy.tobytes() for copy in made}) == 24
    for copy in made[1::2]:  # the warped ones
        assert copy.dtype == np.uint8 and copy.ndim == picture.ndim
        ratio = np.divide(copy.shape[:2], picture.shape[:2])
        assert (ratio > 0.59).all() and (ratio < 1.06).all()


def test_sharper_adds_what_a_blur_takes_away(pictures):
    grey = pictures["astronaut"][..., 1] // 2 + 60  # nothing is clipped
    expected = grey + 0.5 * (grey - gaussian_filter(grey.astype(float), 1))
    assert np.abs(subimages.sharper(grey, 0.5) - expected).max() <= 0.5
    assert np.array_equal(subimages.sharper(grey, 0), grey)


# Validation ----------------------------------------------------------------


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_validation_measures_by_the_protocol(pictures, scale):
    """Pictures of several sizes; the middle 168 pixels of the large ones."""
    photographs = datasets.load("demo-train")
    chosen = [pictures["sail"][:99, :70], photographs["coins"], photographs["rocket"]]
    scraps = [pictures["grass"][:2, :2], pictures["grass"][: 2 * scale, :50]]
    measure = Validation([*chosen, *scraps], scale)  # too small: left out
    with pytest.raises(TrainingError, match="no validation picture"):
        Validation(scraps, scale)
    crops = []
    for image in chosen:
        height, width = (n - n % scale for n in image.shape[:2])
        top, left = max(0, (height - 168) // 2), max(0, (width - 168) // 2)
        crops.append(image[top:height, left:width][:168, :168])
    scores = [protocol.score(bicubic, crop, scale).psnr_db for crop in crops]
    assert measure.bicubic_db() == pytest.approx(np.mean(scores), abs=2e-3)
    model = initialise(SRCNN((3, 1, 3), (4, 3)), "default", seeded())
    method = SRCNNMethod(model, "cpu")
    scores = [protocol.score(method, crop, scale).psnr_db for crop in crops]
    assert measure.psnr_db(model) == pytest.approx(np.mean(scores), abs=2e-3)
    identity = initialise(SRCNN(), "identity", seeded())
    assert measure.psnr_db(identity) == measure.bicubic_db()


def test_held_out_pictures_are_not_trained_on(pictures, embedded_only):
    fitting, held_out, origin = training.split(pictures)
    assert list(held_out) == [list(pictures)[0], list(pictures)[10]]
    assert fitting.keys() | held_out.keys() == pictures.keys()
    assert not fitting.keys() & held_out.keys()
    assert "held-out" in origin and "2" in origin
    one = dict(list(pictures.items())[:1])
    with pytest.raises(TrainingError, match="at least two pictures"):
        training.split(one)


@needs["BSDS500-val"]
def test_bsds500_val_validates_but_for_what_is_trained_on(pictures):
    fitting, validation, origin = training.split(pictures)
    assert fitting.keys() == pictures.keys()
    assert len(validation) == 100 and origin == "BSDS500 val"
    name, image = next(iter(validation.items()))
    fitting, rest, _ = training.split(pictures | {"mine": image.copy()})
    assert "mine" in fitting
    assert rest.keys() == validation.keys() - {name}
    # All of them trained on: some are held out after all.
    fitting, rest, origin = training.split(validation)
    assert "held-out" in origin and not fitting.keys() & rest.keys()


# Recipes -------------------------------------------------------------------


@pytest.mark.parametrize(
    "change, said",
    [
        ({"arch": "9-2-5"}, "odd"),
        ({"arch": "nine"}, "9-1-5"),
        ({"scale": 5}, "scale must be"),
        ({"steps": 0}, "steps must be"),
        ({"batch": 0}, "batch must be"),
        ({"size": 12, "arch": "9-1-5"}, "size must be above 12"),
        ({"sampling": "all"}, "sampling must be random or importance or grid"),
        ({"optimiser": "rmsprop"}, "optimiser must be .*adam or sgd"),
        ({"schedule": "step"}, "schedule must be .*cosine or constant"),
        ({"init": "zero"}, "identity"),
        ({"seed": 2**40}, "seed must be"),
        ({"seed": -1}, "seed must be"),
        ({"augment": -1}, "augment must be at least 0"),
    ],
)
def test_impossible_recipes(change, said, pictures, tmp_path, embedded_only):
    config = dataclasses.replace(TINY, **change)
    with pytest.raises(ValueError, match=said) as caught:
        train(config, pictures, out=tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_step_sizes_of_the_papers_solver():
    """lr_mult of the authors' SRCNN_net.prototxt, base rate 1e-4."""
    model = SRCNN()
    paper = PRESETS["paper"]
    assert paper.steps * paper.batch == 800_000_000
    (optimiser,) = training._optimisers(model, paper)
    assert isinstance(optimiser, torch.optim.SGD)
    names = {id(p): name for name, p in model.named_parameters()}
    rates = {names[id(group["params"][0])]: group["lr"]
             for group in optimiser.param_groups}  # fmt: skip
    large = {"convs.0.weight", "convs.1.weight"}
    assert rates == pytest.approx(
        {name: 1e-4 if name in large else 1e-5 for name in names.values()}
    )
    for group in optimiser.param_groups:
        assert (group["momentum"], group["weight_decay"]) == (0.9, 0)
        assert not group["nesterov"] and group["dampening"] == 0


def test_two_updates_of_the_papers_recipe_by_hand(pictures, embedded_only):
    """Caffe: half the squared error summed over a sub-image, mean of the batch."""
    chosen = {k: pictures[k][:47, :47] for k in list(pictures)[:3]}
    config = dataclasses.replace(
        PRESETS["paper"], arch="9-1-5_6-4", init="default", steps=2
    )
    run = train(config, chosen)

    fitting, _, _ = training.split(chosen)
    grid = SubImages(fitting.values(), 3, 33, 6, 14)
    inputs, labels = grid.cut(grid.grid())  # fewer than 128: one batch has all
    assert len(inputs) == 2
    model = initialise(SRCNN((9, 1, 5), (6, 4)), "default", seeded()).double()
    before = weights(model)
    speed = [torch.zeros_like(p) for p in model.parameters()]
    for _ in range(2):
        error = model(inputs.double(), "valid") - labels
        loss = 0.5 * (error**2).sum() / len(inputs)
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        with torch.no_grad():
            for (name, p), v, g in zip(
                model.named_parameters(), speed, gradients, strict=True
            ):
                last = name.startswith("convs.2")
                rate = 1e-5 if last or name.endswith("bias") else 1e-4
                v.mul_(0.9).add_(g)
                p.sub_(rate * v)
    update = weights(run.model).double() - before
    expected = weights(model) - before
    assert expected.abs().max() > 1e-3
    assert torch.allclose(update, expected, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize(
    "schedule, expected",
    [
        ("linear", 1 - np.arange(16) / 16),
        ("cosine", 0.5 + 0.5 * np.cos(np.pi * np.arange(16) / 16)),
        ("constant", np.ones(16)),
    ],
)
@pytest.mark.parametrize("config", [TINY, MUON], ids=["adam", "muon"])
def test_schedules_after_four_steps_of_warming_up(config, schedule, expected):
    config = dataclasses.replace(config, schedule=schedule, warmup=4)
    state = training._State(config, None, torch.device("cpu"))
    rates = []
    for _ in range(20):
        rates.append([o.param_groups[0]["lr"] for o in state.optimisers])
        for part in (*state.optimisers, *state.schedules):
            part.step()
    factors = np.array(rates) / rates[3]
    assert factors[:, 0] == pytest.approx([0.25, 0.5, 0.75, 1, *expected])
    assert np.allclose(factors, factors[:, :1])


def test_averaged_weights_are_an_exponential_average(pictures, embedded_only):
    """Against the weights after 1, …, 6 steps, each from a run of its own."""
    config = dataclasses.replace(TINY, schedule="constant", validate_every=0)
    expected = 0
    for k in range(6):
        now = train(dataclasses.replace(config, steps=k + 1, ema_decay=0), pictures)
        # The first step's weights begin it, and fade first.
        decay = min(0.3, (1 + k) / (10 + k)) if k else 0
        expected = decay * expected + (1 - decay) * weights(now.model).double()
    run = train(dataclasses.replace(config, steps=6, ema_decay=0.3), pictures)
    assert torch.allclose(weights(run.model).double(), expected, atol=1e-7)
    assert not torch.allclose(weights(run.model), weights(now.model), atol=1e-5)


def test_the_papers_grid_is_gone_through_once_an_epoch(pictures):
    chosen = [next(iter(pictures.values()))[:63, :63]]  # 3 × 3
    grid = SubImages(chosen, 3, 33, 6)
    batches = [grid.batch(k, 3, "grid", 0)[0] for k in range(6)]
    first, second = (
        [window.numpy().tobytes() for batch in epoch for window in batch]
        for epoch in (batches[:3], batches[3:])
    )
    assert len(first) == len(set(first)) == 9
    assert sorted(first) == sorted(second) and first != second


# Runs ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def short_run(pictures, tmp_path_factory):
    """A few seconds of training, with its files."""
    out = tmp_path_factory.mktemp("short")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SRCNN_DATA", raising=False)
        patch.setenv("SRCNN_CACHE", str(out / "no cache"))
        patch.setenv("SRCNN_OFFLINE", "1")
        config = Config(
            arch="9-1-5_32-16", steps=300, batch=8, warmup=20, ema_decay=0.98,
            validate_every=100,
        )  # fmt: skip
        rows, more = [], {"out": out / "runs", "name": "demo"}
        more["on_validate"] = lambda row, _: rows.append(row)
        run = train(config, pictures, **more)
    return run, rows, out / "runs"


def test_a_short_run_climbs_past_bicubic(short_run):
    run, rows, _ = short_run
    before = run.card["validation_bicubic_db"]
    assert run.history[-1]["psnr_db"] > before + 0.5
    assert run.history[0]["psnr_db"] > before
    assert [row["step"] for row in run.history] == [100, 200, 300]
    assert [row["sub_images"] for row in run.history] == [800, 1600, 2400]
    assert rows == run.history


def test_the_kept_model_loads_back_with_its_card(short_run):
    run, _, folder = short_run
    names = ["9-1-5_32-16_x3.json", "9-1-5_32-16_x3.safetensors"]
    assert sorted(p.name for p in folder.iterdir()) == names  # no state
    path = folder / names[1]
    again = checkpoints.load(str(path), 3)
    assert torch.equal(weights(again), weights(run.model))
    card = json.loads((folder / names[0]).read_text("utf-8"))
    assert card["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert card["config"] == dataclasses.asdict(run.config)
    assert card["training_images"] == "demo (9)"
    assert "held-out" in card["validation_images"]
    assert card["validation_psnr_db"] == round(run.history[-1]["psnr_db"], 3)
    assert card["sub_images"] == 2400 and card["torch"] == torch.__version__
    assert "CPU thread" in card["device"] and card["minutes"] > 0


def test_a_batch_too_large_for_memory_is_one_line(pictures, embedded_only, monkeypatch):
    full = RuntimeError("DefaultCPUAllocator: can't allocate memory"), MemoryError()
    for error in full:
        monkeypatch.setattr(training, "_loss", Mock(side_effect=error))
        with pytest.raises(TrainingError, match="memory; take a smaller batch or size"):
            train(TINY, pictures)
    broken = Mock(side_effect=RuntimeError("CUDA error: an illegal memory access"))
    monkeypatch.setattr(training, "_loss", broken)
    with pytest.raises(RuntimeError, match="illegal") as caught:
        train(TINY, pictures)
    assert not isinstance(caught.value, TrainingError)


def test_weights_and_averages_that_are_not_finite_stop_the_run():
    for which in ("model", "average"):
        state = training._State(TINY, None, torch.device("cpu"))
        loop = training._Loop(state, Mock(), slice(None), 0, None)
        loop._look(torch.zeros(()))
        next(getattr(state, which).parameters()).data[0] = torch.inf
        with pytest.raises(TrainingError, match="no longer finite"):
            loop._look(torch.zeros(()))


def test_weights_that_begin_with_others_count_their_training_too(
    pictures, tmp_path, embedded_only
):
    def run(init, seed):
        config = dataclasses.replace(TINY, init=init, seed=seed)
        train(config, pictures, out=tmp_path / str(seed))
        return tmp_path / str(seed) / "3-1-3_4-4_x3.safetensors"

    first = run(TINY.init, 1)
    second = run(str(first), 2)
    third = checkpoints.read_card(run(str(second), 3))
    chain = third["began_with"], third["began_with"]["began_with"]
    assert [card["config"]["seed"] for card in chain] == [2, 1]
    files = [second.read_bytes(), first.read_bytes()]
    sums = [hashlib.sha256(blob).hexdigest() for blob in files]
    assert [card["sha256"] for card in chain] == sums
    assert "began_with" not in chain[1]
    other = dataclasses.replace(TINY, arch="5-1-3_4-4", init=str(first))
    with pytest.raises(TrainingError, match="3, 1, 3.* not .*5, 1, 3"):
        train(other, pictures)


@pytest.mark.parametrize("config", [TINY, MUON], ids=["adam", "muon"])
def test_same_seed_same_weights(pictures, embedded_only, config):
    first, again = (weights(train(config, pictures).model) for _ in range(2))
    other = weights(train(dataclasses.replace(config, seed=1), pictures).model)
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=1e-3)


@pytest.mark.parametrize("average", [0.999, 0.0])
def test_an_absurd_step_size_stops_and_names_the_step(
    pictures, tmp_path, embedded_only, average
):
    config = dataclasses.replace(TINY, learning_rate=1e30, ema_decay=average)
    with pytest.raises(TrainingError, match="at step 10; .*learning_rate") as e:
        train(config, pictures, out=tmp_path)
    assert "\n" not in str(e.value)
    assert list(tmp_path.glob("3-1*")) == []


# Networks of one's own, frozen layers, dead filters ----------------------------


class WithNorm(SRCNN):
    """SRCNN with BatchNorm after its first layer: it has buffers."""

    def __init__(self):
        super().__init__((3, 1, 3), (4, 4))
        self.norm = nn.BatchNorm2d(1)

    def forward(self, y, padding="same"):
        return super().forward(self.norm(y), padding)


def test_a_given_network_is_validated_as_it_is_kept(pictures, embedded_only):
    """In evaluation mode, with averaged buffers too."""
    config = dataclasses.replace(TINY, steps=40, learning_rate=1e-3, validate_every=0)
    given = WithNorm()
    before = weights(given)
    run = train(config, pictures, network=given)
    assert torch.equal(weights(given), before)
    assert not run.model.training
    _, held_out, _ = training.split(pictures)
    measure = Validation(held_out.values(), 3)
    recorded = run.history[-1]["psnr_db"]
    assert measure.psnr_db(run.model) == pytest.approx(recorded, abs=1e-4)
    assert run.model.norm.running_mean.abs() > 0.05


@pytest.mark.parametrize("optimiser", ["muon", "adam", "sgd"])
def test_frozen_layers_stay(pictures, embedded_only, optimiser):
    network = initialise(SRCNN((3, 1, 3), (4, 4)), "identity", seeded())
    network.convs[0].requires_grad_(False)
    config = dataclasses.replace(TINY, optimiser=optimiser, revive=5, ema_decay=0)
    run = train(config, pictures, network=network)
    same = [torch.equal(*(net.convs[k].weight for net in (network, run.model)))
            for k in range(3)]  # fmt: skip
    assert same == [True, False, False]


@pytest.mark.parametrize("kind", ["muon", "adam"])
def test_revived_filters_leave_the_answers_as_they_are(pictures, kind):
    """Those of the network, and those of its average."""
    network = initialise(SRCNN((3, 1, 3), (6, 4)), "default", seeded())
    with torch.no_grad():
        for conv in network.convs[:-1]:
            conv.bias[:] = 1  # alive
        network.convs[0].bias[2] = -100  # dead
    y = torch.rand(4, 1, 17, 17, generator=seeded(1))
    optimiser = muon.Muon([conv.weight for conv in network.convs[:-1]])
    if kind == "adam":
        optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(2):
        optimiser.zero_grad()
        network(y).square().mean().backward()
        optimiser.step()
    average = initialise(SRCNN((3, 1, 3), (6, 4)), "default", seeded(2))
    with torch.no_grad():
        average.convs[0].bias[2] = -100
    before = [net(y) for net in (network, average)]
    args = network.convs, optimiser, seeded(3), average.convs
    assert muon.revive(*args) == 1
    for net, answer in zip((network, average), before):
        assert torch.allclose(net(y), answer, atol=1e-6)
        assert net.convs[0].bias[2] == 0 and (net.convs[1].weight[:, 2] == 0).all()
    fresh = [net.convs[0].weight[2] for net in (network, average)]
    assert torch.equal(*fresh) and fresh[0].abs().max() > 0


def test_muons_update_has_singular_values_of_about_one():
    matrix = torch.randn(8, 20, generator=seeded())
    values = torch.linalg.svdvals(muon.orthogonalise(matrix))
    assert values.min() > 0.6 and values.max() < 1.3
    tall = muon.orthogonalise(matrix.T)
    assert torch.allclose(tall, muon.orthogonalise(matrix).T, atol=1e-5)
    assert not muon.orthogonalise(torch.zeros(3, 4)).any()
