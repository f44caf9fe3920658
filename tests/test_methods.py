"""Every method by one call; whole pictures of every kind; bands."""

import tracemalloc
from importlib import import_module

import numpy as np
import pytest
import torch

from srcnn_lib import checkpoints, datasets, images, methods
from srcnn_lib.methods import srcnn
from srcnn_lib.methods.srcnn import SRCNNMethod
from srcnn_lib.models import SRCNN, initialise
from srcnn_lib.resize import bicubic, imresize


def network(*shape, seed=0, init="default"):
    return initialise(SRCNN(*shape), init, torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def photograph():
    """RGB (60, 80, 3)."""
    return datasets.load("demo-test")["coffee"][100:160, 200:280]


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    """Weights for x3 of a network that changes pictures."""
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    return checkpoints.write(network((5, 1, 3), (4, 3)), path, {"scale": 3})


# get -----------------------------------------------------------------------


def test_every_method_has_a_label_and_the_same_call(model_file, photograph):
    assert set(methods.NAMES) <= set(methods.LABELS)
    lr_y = images.luma(photograph) / 255
    for name in methods.NAMES:
        model = str(model_file) if name == "srcnn" else None
        method = methods.get(name, model=model, scale=3, device="cpu")
        sr_y = method(lr_y, 3)
        assert sr_y.shape == (180, 240) and sr_y.dtype.kind == "f"
        assert np.isfinite(sr_y).all() and sr_y.std() > 0


def test_unfit_requests():
    for request, said in [
        ({"name": "nearest"}, "method must be one of bicubic.*srcnn.*not 'nearest'"),
        ({"name": "bicubic", "model": "9-1-5"}, "bicubic has no models"),
        ({"name": "srcnn", "model": "9-9-9", "scale": 3}, "'9-9-9' is not known"),
    ]:
        with pytest.raises(ValueError, match=said):
            methods.get(**request)


def test_unfit_weights_and_devices(model_file, tmp_path):
    with pytest.raises(ValueError, match="is for x3, not x4"):
        methods.get("srcnn", model=str(model_file), scale=4)
    with pytest.raises(ValueError, match="auto, cpu or cuda"):
        methods.get("srcnn", model=str(model_file), scale=3, device="tpu")
    colour = checkpoints.write(
        network((3, 1, 3), (4, 4), 3), tmp_path / "c.safetensors", {}
    )
    with pytest.raises(ValueError, match="3 channels"):
        methods.get("srcnn", model=str(colour), scale=3, device="cpu")


# The network as a method ----------------------------------------------------


def test_srcnn_is_bicubic_then_the_network(photograph):
    model = network((9, 1, 5), (8, 4))
    lr_y = images.luma(photograph) / 255
    wide = torch.from_numpy(bicubic(lr_y, 3)).float()[None, None]
    with torch.no_grad():
        expected = model(wide)[0, 0].numpy()
    sr_y = SRCNNMethod(model, "cpu")(lr_y, 3)
    assert sr_y.dtype == np.float32
    assert np.allclose(sr_y, expected, rtol=0, atol=1e-6)
    identity = SRCNNMethod(network((9, 1, 5), init="identity"), "cpu")
    assert np.array_equal(identity.enhance(lr_y), lr_y.astype(np.float32))


ARCHITECTURES = [
    ((9, 1, 5), (8, 4)),
    ((9, 5, 5), (24, 16)),  # the middle layer is too large for a matrix
    ((1, 1), (3,)),
    ((5,), ()),
    ((3, 5, 1, 3, 7), (4, 6, 2, 5)),
]


@pytest.mark.parametrize("f, n", ARCHITECTURES)
@pytest.mark.parametrize("most", [0, srcnn.MOST_SHIFTED])
@pytest.mark.parametrize(
    "pixels, columns", [(1, 512), (1, 1), (90, 9), (7 * 80, 80), (2**13, 50)]
)
def test_bands_and_stripes_equal_the_whole_picture(
    monkeypatch, photograph, f, n, most, pixels, columns
):
    """Every kind of layer; edges repeated before each, as in SRCNN.forward."""
    monkeypatch.setitem(srcnn.TILE_PIXELS, "cpu", pixels)
    monkeypatch.setitem(srcnn.TILE_COLUMNS, "cpu", columns)
    monkeypatch.setattr(srcnn, "MOST_SHIFTED", most)
    seen = []
    layer = srcnn._layer

    def spy(bands, weight, bias):
        for band in layer(bands, weight, bias):
            seen.append(band.shape)
            yield band

    monkeypatch.setattr(srcnn, "_layer", spy)
    method = SRCNNMethod(network(f, n), "cpu")
    y = (images.luma(photograph) / 255).astype(np.float32)
    for part in (y[:21], y[:13, :11], y[:1, :20], y[:20, :1], y[:2, :3]):
        seen.clear()
        with torch.no_grad():
            whole = method.model(torch.from_numpy(part)[None, None])[0, 0]
        out = method.enhance(part)
        assert out.dtype == np.float32 and out.shape == part.shape
        assert np.abs(out - whole.numpy()).max() < 2e-6
        width = min(columns, part.shape[1]) + 2 * method.model.architecture.border
        assert max(w for _, _, w in seen) <= width
        rows = max(1, pixels // max(1, min(columns, part.shape[1]) // 2))
        assert max(h for _, h, _ in seen) <= max(rows, max(f) // 2)


def test_the_layers_are_done_as_matrices(monkeypatch, photograph):
    """Of 9-1-5 none is left to the convolution; of 9-5-5 the middle one."""
    seen = []

    def spy(band, weight, bias):
        seen.append(tuple(weight.shape))
        return convolve(band, weight, bias)

    convolve = srcnn._convolve_directly
    monkeypatch.setattr(srcnn, "_convolve_directly", spy)
    y = images.luma(photograph) / 255
    SRCNNMethod(network((9, 1, 5)), "cpu").enhance(y)
    assert not seen
    SRCNNMethod(network((9, 5, 5)), "cpu").enhance(y)
    assert set(seen) == {(32, 64, 5, 5)}


@pytest.mark.parametrize("scale", (2, 3, 4))
@pytest.mark.parametrize("name", ("9-1-5", "9-5-5"))
def test_trained_networks_answer_as_by_the_usual_call(name, scale):
    model = checkpoints.load(name, scale)
    whole = datasets.load("demo-test")["coffee"]
    y = (images.luma(whole) / 255).astype(np.float32)
    with torch.no_grad():
        usual = model(torch.from_numpy(y)[None, None])[0, 0].numpy()
    assert np.abs(SRCNNMethod(model, "cpu").enhance(y) - usual).max() < 5e-6


def test_half_precision_costs_little_and_sums_in_float32(photograph):
    model = network((9, 1, 5), init="identity")
    y = images.luma(photograph) / 255
    exact = SRCNNMethod(model, "cpu").enhance(y)
    half = SRCNNMethod(model, "cpu", torch.bfloat16).enhance(y)
    assert half.dtype == np.float32
    error = np.abs(half - exact)
    assert 0 < error.max() < 2**-7  # 8 bits of significand
    assert next(model.parameters()).dtype == torch.float32


def test_bands_of_a_method_are_its_rows(monkeypatch, photograph):
    lr_y = images.luma(photograph) / 255
    monkeypatch.setitem(srcnn.TILE_PIXELS, "cpu", 900)
    for method in (bicubic, SRCNNMethod(network((9, 1, 5), (8, 4)), "cpu")):
        bands = list(method.bands(lr_y, 3))
        assert np.array_equal(np.concatenate(bands), method(lr_y, 3))
    assert len(bands) > 20


def test_bands_leave_the_callers_mode_alone(photograph):
    lr_y = images.luma(photograph) / 255
    for _ in SRCNNMethod(network((3, 1, 3), (2, 2)), "cpu").bands(lr_y, 2):
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()


def test_a_picture_smaller_than_the_receptive_field():
    method = SRCNNMethod(network((9, 5, 5), init="identity"), "cpu")
    y = np.random.default_rng(0).random((2, 3))
    sr_y = method(y, 3)
    assert sr_y.shape == (6, 9)
    assert np.allclose(sr_y, np.maximum(bicubic(y, 3), 0), atol=1e-6)
    assert method(y[:1, :1], 2).shape == (2, 2)


def test_weights_are_not_trained_by_use(photograph):
    method = SRCNNMethod(network((3, 1, 3), (2, 2)), "cpu")
    before = [p.clone() for p in method.model.parameters()]
    method(images.luma(photograph) / 255, 2)
    assert not method.model.training
    after = list(method.model.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert all(p.grad is None for p in after)


# Whole pictures -------------------------------------------------------------


def kinds(photograph):
    """Grey, RGB and RGBA, with 8 and with 16 bits."""
    alpha = np.linspace(0, 255, photograph[..., 0].size).astype(np.uint8)
    alpha = alpha.reshape(photograph.shape[:2])
    for image in (
        photograph[..., 1],
        photograph,
        np.dstack([photograph, alpha]),
    ):
        yield image
        yield image.astype(np.uint16) * 257


def set_bands(monkeypatch, pixels):
    """The pixels of a band, in both modules that read them."""
    for name in ("srcnn_lib.methods", "srcnn_lib.methods.bicubic"):
        monkeypatch.setattr(import_module(name), "BAND_PIXELS", pixels)


def whole_picture(method, image, scale):
    """What `upscale` is to give, at once and for RGB alone."""
    ycbcr = images.rgb_to_ycbcr(image / 255)
    sr_y = np.asarray(method(ycbcr[..., 0] / 255, scale), dtype=float)
    sr = np.dstack([sr_y * 255, imresize(ycbcr[..., 1:], scale)])
    return np.floor(images.ycbcr_to_rgb(sr).clip(0, 1) * 255 + 0.5)


@pytest.mark.parametrize("height, width", [(60, 80), (1, 80), (60, 1), (2, 3)])
def test_bands_equal_the_whole_picture_exactly(
    monkeypatch, photograph, height, width
):
    network_method = SRCNNMethod(network((9, 1, 5), (8, 4)), "cpu")
    monkeypatch.setitem(srcnn.TILE_PIXELS, "cpu", 900)
    monkeypatch.setitem(srcnn.TILE_COLUMNS, "cpu", 100)

    def without_bands(lr_y, scale):
        return network_method(lr_y, scale)

    for image in kinds(photograph[:height, :width]):
        for method in (bicubic, network_method, without_bands):
            with monkeypatch.context() as context:
                set_bands(context, 2**40)
                whole = methods.upscale(method, image, 3)
                if image.ndim == 3 and image.dtype == np.uint8:
                    expected = whole_picture(method, image[..., :3], 3)
                    assert np.array_equal(whole[..., :3], expected)
            with monkeypatch.context() as context:
                set_bands(context, 500)
                bands = methods.upscale(method, image, 3)
            assert np.array_equal(bands, whole)


def test_no_large_picture_is_held_in_float(monkeypatch):
    set_bands(monkeypatch, 2**14)
    image = np.random.default_rng(0).integers(0, 256, (400, 300, 3), np.uint8)
    for method in (bicubic, SRCNNMethod(network((3, 1, 3), (2, 2)), "cpu")):
        method(np.zeros((9, 9)), 3)  # what is imported and kept
        tracemalloc.start()
        out = methods.upscale(method, image, 3)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        lr_y = image[..., 0].size * 8
        assert peak < out.nbytes + lr_y + 4e6 < out.size * 4


def test_what_does_not_fit_in_memory():
    endless = np.broadcast_to(np.uint8(0), (2**26, 2**26))
    with pytest.raises(ValueError, match="134217728×134217728 pixels.*memory"):
        methods.upscale(bicubic, endless, 2)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_pictures_keep_their_kind_and_type(photograph, scale):
    for image in kinds(photograph):
        out = methods.upscale(bicubic, image, scale)
        height, width = image.shape[:2]
        assert out.shape == (height * scale, width * scale, *image.shape[2:])
        assert out.dtype == image.dtype
        # All channels, alpha too, are the bicubic ones but for rounding.
        peak = np.iinfo(image.dtype).max
        expected = np.clip(imresize(image / peak, scale), 0, 1) * peak
        assert np.abs(out - expected).max() <= 0.5 + 1e-6 * peak


def test_16_bits_are_not_lost_on_the_way(photograph):
    deep = np.arange(48 * 48, dtype=np.uint16).reshape(48, 48) + 30_000
    out = methods.upscale(bicubic, deep, 2)
    assert len(np.unique(out)) > 2_000
    colour = np.dstack([deep, deep[::-1], deep.T])
    out = methods.upscale(bicubic, colour, 2)
    expected = np.floor(imresize(colour / 65535, 2) * 65535 + 0.5)
    assert np.abs(out - expected).max() <= 1


def test_luma_by_the_method_the_rest_by_bicubic(photograph):
    def brighter(lr_y, scale):
        return bicubic(lr_y, scale) + 10 / 255

    wide = np.clip(imresize(photograph / 255, 3), 0, 1)
    ycbcr = images.rgb_to_ycbcr(imresize(photograph / 255, 3))
    ycbcr[..., 0] += 10
    inside = images.ycbcr_to_rgb(ycbcr)
    out = methods.upscale(brighter, photograph, 3)
    expected = np.clip(inside, 0, 1) * 255
    assert np.abs(out - expected).max() <= 0.5 + 1e-6
    assert np.abs(expected - wide * 255).max() > 5
    rgba = np.dstack([photograph, photograph[..., 2]])
    alpha = methods.upscale(brighter, rgba, 3)[..., 3]
    assert np.array_equal(alpha, methods.upscale(bicubic, photograph[..., 2], 3))


def test_grey_equals_its_colour_twin(photograph):
    grey = photograph[..., 1]
    out = methods.upscale(bicubic, grey, 3)
    twin = methods.upscale(bicubic, np.dstack([grey] * 3), 3)
    assert np.abs(twin.astype(int) - out[..., None]).max() <= 1


def test_a_network_sees_grey_as_its_colour_twin(photograph):
    """In luma's range: black beyond it would come out as dark grey."""
    grey = photograph[..., 1].copy()
    grey[:20] //= 20
    network = methods.get("srcnn", scale=3, device="cpu")
    out = methods.upscale(network, grey, 3)
    twin = methods.upscale(network, np.dstack([grey] * 3), 3)
    assert np.abs(twin.astype(int) - out[..., None]).max() <= 1
    black = np.zeros((30, 30), dtype=np.uint8)
    assert methods.upscale(network, black, 3).max() < 8


@pytest.mark.parametrize("value", [0, 1, 128, 255])
def test_flat_pictures_stay_flat(value):
    for shape in [(5, 4), (5, 4, 3), (5, 4, 4)]:
        for dtype, factor in [(np.uint8, 1), (np.uint16, 257)]:
            flat = np.full(shape, value * factor, dtype=dtype)
            out = methods.upscale(bicubic, flat, 4)
            assert (out == value * factor).all() and out.shape[:2] == (20, 16)


def test_values_beyond_the_range_are_clipped_not_wrapped(photograph):
    for shift, value in [(-2.0, 0), (2.0, 255)]:
        out = methods.upscale(
            lambda y, s, shift=shift: bicubic(y, s) + shift, photograph[..., 0], 2
        )
        assert (out == value).all()


def test_self_ensemble_is_the_mean_of_eight():
    """Of a method that shifts by a row: the shifts go to all four sides."""

    def shift(lr_y, scale):
        return np.roll(bicubic(lr_y, scale), 1, axis=0)

    lr_y = np.random.default_rng(5).random((6, 9))
    still = bicubic(lr_y, 2)
    sides = [np.roll(still, n, axis) for n in (1, -1) for axis in (0, 1)]
    ensemble = methods.SelfEnsemble(shift)(lr_y, 2)
    assert ensemble.shape == (12, 18)
    assert np.allclose(ensemble, np.mean(sides, axis=0), atol=1e-9)


def test_a_plus_behind_the_model_is_a_self_ensemble():
    plus = methods.get("srcnn", model="9-1-5+", scale=3, device="cpu")
    assert isinstance(plus, methods.SelfEnsemble)
    lr_y = np.random.default_rng(6).random((8, 8))
    turned = plus(np.rot90(lr_y), 3)
    assert np.allclose(turned, np.rot90(plus(lr_y, 3)), atol=1e-6)
    alone = plus.method(lr_y, 3)
    assert np.abs(plus(lr_y, 3) - alone).max() > 1e-4
