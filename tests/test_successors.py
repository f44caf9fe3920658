"""VDSR, FSRCNN, ESPCN: their shapes and counts, and training them."""

import dataclasses

import numpy as np
import pytest
import torch
from srcnn_lib.successors import ESPCN, FSRCNN, VDSR, NetworkMethod
from torch import nn

from srcnn_lib import datasets, images, protocol, results, training
from srcnn_lib.chapters import successors
from srcnn_lib.models import SRCNN, initialise
from srcnn_lib.resize import bicubic, imresize
from srcnn_lib.subimages import SubImages, Validation

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = {
    "VDSR": lambda scale: VDSR(4, 8),
    "FSRCNN": lambda scale: FSRCNN(scale, 8, 4, 1),
    "ESPCN": lambda scale: ESPCN(scale, (8, 4)),
}
TINY = training.Config(
    steps=40, batch=4, warmup=5, ema_decay=0.0, validate_every=0, seed=1
)


@pytest.fixture(scope="module")
def pictures():
    photographs = datasets.load("demo-train")
    return {k: photographs[k][80:220, 100:250] for k in photographs}


@pytest.fixture(autouse=True)
def embedded_only(monkeypatch, tmp_path_factory):
    monkeypatch.delenv("SRCNN_DATA", raising=False)
    monkeypatch.setenv("SRCNN_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("SRCNN_OFFLINE", "1")


def made(name, scale, seed=0):
    torch.manual_seed(seed)
    return SMALL[name](scale)


def randomised(network, seed=0):
    """So that no layer is zero, as VDSR's last is at first."""
    generator = torch.Generator().manual_seed(seed)
    for p in network.parameters():
        with torch.no_grad():
            p.uniform_(-0.3, 0.3, generator=generator)
    return network


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", SMALL)
def test_without_padding_the_inner_pixels_are_those_with_padding(name, scale):
    network = randomised(made(name, scale)).double()
    f, b = network.factor, network.border
    generator = torch.Generator().manual_seed(1)
    y = torch.rand(2, 1, 23, 18, generator=generator, dtype=torch.float64)
    same, valid = network(y), network(y, "valid")
    assert same.shape == (2, 1, 23 * f, 18 * f)
    assert valid.shape == (2, 1, 23 * f - 2 * b, 18 * f - 2 * b)
    assert torch.allclose(same[:, :, b:-b, b:-b], valid, atol=1e-12)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", SMALL)
def test_what_lies_beyond_the_border_is_not_seen(name, scale):
    """The border is enough; so labels never rest on what a picture lacks."""
    network = randomised(made(name, scale)).double()
    f, lost = network.factor, network.border // network.factor
    size = 2 * lost + 1
    y = torch.rand(1, 1, size, size, dtype=torch.float64)
    padded = torch.nn.functional.pad(y, (3,) * 4, value=0.9)
    inner = network(padded, "valid")
    s = slice(3 * f, 4 * f)
    assert torch.allclose(inner[:, :, s, s], network(y, "valid"), atol=1e-12)


@pytest.mark.parametrize("size", [(1, 1), (7, 4), (5, 11)])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_any_picture_of_any_size(size, scale):
    lr_y = np.random.default_rng(0).random(size)
    for name in SMALL:
        sr_y = NetworkMethod(made(name, scale), "cpu")(lr_y, scale)
        assert sr_y.shape == (size[0] * scale, size[1] * scale)
        assert np.isfinite(sr_y).all()


def test_a_network_for_another_scale_is_refused():
    with pytest.raises(ValueError, match="FSRCNN-8-4-1 enlarges 3 times, not 2"):
        NetworkMethod(made("FSRCNN", 3), "cpu")(np.zeros((9, 9)), 2)
    with pytest.raises(ValueError, match="same or valid"):
        made("ESPCN", 2)(torch.zeros(1, 1, 20, 20), "full")
    with pytest.raises(ValueError, match="at least two layers"):
        VDSR(1)


def test_pixel_shuffle_written_out():
    """Pixel (x, y) of the large picture is of map C·r·mod(y, r) + C·mod(x, r).

    Shi et al., equation 4, with one channel.
    """
    scale = 3
    network = randomised(made("ESPCN", scale))
    y = torch.rand(1, 1, 12, 13)
    maps = []
    network.convs[-1].register_forward_hook(lambda *a: maps.append(a[2]))
    out = network(y)[0, 0]
    for row in range(36):
        for column in range(39):
            k = scale * (row % scale) + column % scale
            expected = maps[0][0, k, row // scale, column // scale]
            assert out[row, column] == expected


def test_counts_are_the_papers():
    """FSRCNN's 12,464 and VDSR's 665 thousand weights, biases left out."""
    def weights(network):
        return sum(conv.weight.numel() for conv in network.convs)

    assert weights(FSRCNN(3)) == 12_464
    assert weights(VDSR()) == 664_704
    assert successors.multiplications(SRCNN((9, 5, 5))) == 57_184
    ratio = 57_184 / successors.multiplications(FSRCNN(3))
    assert round(ratio, 1) == 41.3  # their Table 1
    biases = 56 + 12 + 4 * 12 + 56 + 1
    slopes = 56 + 12 + 4 * 12 + 56
    assert successors.parameters(FSRCNN(3)) == 12_464 + biases + slopes
    per_lr_pixel = 25 * 64 + 9 * 64 * 32 + 9 * 32 * 9
    assert successors.multiplications(ESPCN(3)) == per_lr_pixel / 9


def test_vdsr_begins_as_bicubic_interpolation():
    lr_y = np.random.default_rng(0).random((9, 8))
    sr_y = NetworkMethod(VDSR(5, 4), "cpu")(lr_y, 3)
    assert np.allclose(sr_y, bicubic(lr_y, 3), atol=1e-6)


# Both grids line up --------------------------------------------------------


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_sub_images_of_both_grids_line_up(pictures, scale):
    """In all symmetries the label is the block that the input stands for."""
    chosen = [pictures["astronaut"], pictures["brick"][:100, :77]]
    b = 2 * scale
    sub_images = SubImages(chosen, scale, 10 * scale, b, 4 * scale, factor=scale)
    starts, widths = sub_images.grid()
    for symmetry in range(8):
        which = torch.full_like(starts, symmetry)
        inputs, labels = sub_images.cut(starts, widths, which)
        means = torch.nn.functional.avg_pool2d(labels, scale)
        inside = inputs[:, :, 2:-2, 2:-2]
        error = (means - inside).square().mean()
        for elsewhere in (
            means[:, :, 1:] - inside[:, :, :-1],
            means[:, :, :, 1:] - inside[:, :, :, :-1],
            means - inside.transpose(2, 3),
        ):
            assert error < elsewhere.square().mean() / 4


def test_sub_images_are_cut_from_the_small_picture(pictures):
    scale, image = 3, pictures["astronaut"]
    hr_y = images.modcrop(images.luma(image), scale) / 255
    lr_y = imresize(hr_y, 1 / scale)
    sub_images = SubImages([image], scale, 18, 6, 18, factor=scale)
    inputs, labels = sub_images.cut(*sub_images.grid())
    columns = (lr_y.shape[1] - 6) // 6 + 1
    for k in (0, 1, columns + 2):
        top, left = k // columns * 6, k % columns * 6
        expected = lr_y[top : top + 6, left : left + 6]
        assert np.allclose(inputs[k, 0], expected, atol=1e-6)
        rows = slice(scale * top + 6, scale * top + 12)
        across = slice(scale * left + 6, scale * left + 12)
        assert np.allclose(labels[k, 0], hr_y[rows, across], atol=1e-6)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_importance_is_the_same_whatever_the_network_reads(pictures, scale):
    """Weights make the mean over draws the mean over all positions."""
    chosen = list(pictures.values())[:2]
    sub_images = SubImages(chosen, scale, 10 * scale, 2 * scale, factor=scale)
    generator = torch.Generator().manual_seed(0)
    inputs, labels, weight = sub_images.draw_important(4_000, generator)
    spread = weight * labels.var((1, 2, 3))
    plain = sub_images.draw(4_000, generator)[1].var((1, 2, 3))
    assert abs(spread.mean() / plain.mean() - 1) < 0.15
    assert inputs.shape == (4_000, 1, 10, 10)


def test_sizes_that_do_not_line_up_are_refused(pictures):
    with pytest.raises(ValueError, match="20 pixels with a border of 6"):
        SubImages(pictures.values(), 3, 20, 6, factor=3)


class Interpolation(nn.Module):
    """The small picture by bicubic interpolation, as a network."""

    def __init__(self, scale):
        super().__init__()
        self.factor, self.border, self.name = scale, 0, "bicubic"
        self.convs = nn.ModuleList()

    def forward(self, y, padding="same"):
        wide = [bicubic(picture[0].numpy(), self.factor) for picture in y]
        return torch.from_numpy(np.stack(wide)[:, None]).to(y)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_validation_gives_the_small_picture_of_the_protocol(pictures, scale):
    """Interpolating it again gives bicubic's PSNR: no half pixel is lost."""
    judge = Validation(pictures.values(), scale, factor=scale)
    again = judge.psnr_db(Interpolation(scale))
    assert abs(again - judge.bicubic_db()) < 0.005
    assert judge.bicubic_db() == Validation(pictures.values(), scale).bicubic_db()
    image = next(iter(pictures.values()))
    scored = protocol.score(NetworkMethod(Interpolation(scale), "cpu"), image, scale)
    expected = protocol.score(bicubic, image, scale)
    assert abs(scored.psnr_db - expected.psnr_db) < 0.001


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_deconvolution_is_one(scale):
    """As PyTorch's, but for the crop that centres it."""
    network = randomised(FSRCNN(scale, 6, 4, 1))
    features = torch.rand(2, 6, 9, 8)
    whole = network.convs[-1](features)
    r = network.reach
    first = (9 - scale) // 2 + scale * r
    height, width = scale * (9 - 2 * r), scale * (8 - 2 * r)
    inside = whole[:, :, first : first + height, first : first + width]
    assert torch.allclose(network.enlarge(features), inside, atol=1e-5)


def test_fsrcnns_deconvolution_is_centred():
    """At x3 a symmetric filter keeps a symmetric picture symmetric."""
    network = made("FSRCNN", 3)
    for conv in network.convs:
        with torch.no_grad():
            weight = conv.weight.abs()
            conv.weight.copy_(weight + weight.flip(2) + weight.flip(3)
                              + weight.flip(2, 3))  # fmt: skip
    y = torch.rand(1, 1, 17, 16)
    y = y + y.flip(2) + y.flip(3) + y.flip(2, 3)
    out = network(y)
    assert torch.allclose(out, out.flip(2), rtol=1e-4)
    assert torch.allclose(out, out.flip(3), rtol=1e-4)


# Training ------------------------------------------------------------------


@pytest.mark.parametrize("optimiser", ["muon", "adam"])
@pytest.mark.parametrize("name", SMALL)
def test_training_lowers_the_error(pictures, name, optimiser):
    network = made(name, 3)
    config = dataclasses.replace(
        TINY,
        size=12 + 2 * network.border,
        optimiser=optimiser,
        learning_rate={"muon": 0.02, "adam": 0.005}[optimiser],
        sampling="importance",
    )
    before = [p.clone() for p in network.parameters()]
    run = training.train(
        config, pictures, network=network, device="cpu", progress=False
    )
    _, held_out, _ = training.split(pictures)
    judge = Validation(held_out.values(), 3, factor=network.factor)
    assert judge.psnr_db(run.model) > judge.psnr_db(network) + 0.1
    assert all(map(torch.equal, before, network.parameters()))  # left as it was
    assert run.card["arch"] == run.config.arch == network.name
    assert not any(map(torch.equal, before, run.model.parameters()))


@pytest.mark.parametrize("sampling", ["random", "grid"])
def test_a_stopped_run_goes_on_exactly(pictures, tmp_path, sampling):
    config = dataclasses.replace(
        TINY, steps=12, size=48, sampling=sampling, ema_decay=0.9, validate_every=6
    )

    def train(**more):
        return training.train(
            config, pictures, network=made("FSRCNN", 3), device="cpu",
            progress=False, **more,
        )  # fmt: skip

    def stop(row, network):
        raise KeyboardInterrupt

    whole = train(out=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(out=tmp_path / "parts", on_validate=stop)
    assert (tmp_path / "parts" / "FSRCNN-8-4-1_x3.state").exists()
    parts = train(out=tmp_path / "parts", resume=True)
    for a, b in zip(whole.model.parameters(), parts.model.parameters()):
        assert torch.equal(a, b)
    assert (tmp_path / "parts" / "FSRCNN-8-4-1_x3.safetensors").exists()


def test_a_given_srcnn_trains_as_the_one_of_the_recipe(pictures):
    config = dataclasses.replace(TINY, arch="3-1-3_4-4", steps=5, size=17, seed=3)
    seed = torch.Generator().manual_seed(3)
    network = initialise(SRCNN((3, 1, 3), (4, 4)), "identity", seed)
    given, own = (
        training.train(config, pictures, device="cpu", progress=False, **more)
        for more in ({"network": network}, {})
    )
    for a, b in zip(given.model.parameters(), own.model.parameters()):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"scale": 2}, "FSRCNN-8-4-1 enlarges 3 times; it can't be"),
        ({"size": 50}, "a multiple of 3 pixels wide, not 50"),
        ({"size": 24}, "needs sub-images wider than 24 pixels, not 24"),
        ({"revive": 10}, "revive is for SRCNN's filters"),
        ({"colour": "rgb"}, "given as it is and for luma"),
    ],
)
def test_recipes_that_do_not_suit_the_network(pictures, change, message):
    config = dataclasses.replace(TINY, **{"size": 48} | change)
    network = made("FSRCNN", 3)
    assert network.border == 12
    with pytest.raises(ValueError, match=message):
        training.train(config, pictures, network=network, device="cpu")


def test_the_recorded_study_is_of_these_networks_at_one_budget():
    study = results.study("successors")
    runs = [row for row in study if row["kind"] == "run"]
    names = {row["name"] for row in runs}
    assert {(r["name"], r["seed"]) for r in runs} == {
        (name, seed) for name in names for seed in range(3)
    }
    assert len(runs) == 15 and len({row["budget_s"] for row in runs}) == 1
    for row in runs:  # what it was given, but for how busy the machine was
        assert abs(row["processor_seconds"] / row["budget_s"] - 1) < 0.25
    timed = {row["name"]: row for row in study if row["kind"] == "time"}
    assert names < set(timed)
    assert timed["FSRCNN"]["parameters"] == successors.parameters(FSRCNN(3))
    assert timed["VDSR, 20 layers of 64"]["multiplications"] == 664_704
