"""Every method by one call; whole pictures of every kind; strips."""

import numpy as np
import pytest
import torch

from srcnn_lib import checkpoints, datasets, images, methods
from srcnn_lib.methods import srcnn
from srcnn_lib.methods.bicubic import bicubic
from srcnn_lib.methods.srcnn import SRCNNMethod
from srcnn_lib.models import SRCNN, initialise
from srcnn_lib.resize import imresize


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


@pytest.mark.parametrize(
    "f, n", [((9, 1, 5), (8, 4)), ((9, 5, 5), (6, 4)), ((1, 1), (3,))]
)
@pytest.mark.parametrize("rows", [1, 2, 7, 8, 59])
def test_strips_equal_the_whole_picture(monkeypatch, photograph, f, n, rows):
    """Fewer rows than the network reaches, about as many, all but one."""
    method = SRCNNMethod(network(f, n), "cpu")
    y = images.luma(photograph) / 255
    whole = method.enhance(y)
    seen = []
    method.model.register_forward_pre_hook(lambda _, x: seen.append(x[0].shape[2]))
    monkeypatch.setattr(srcnn, "STRIP_PIXELS", rows * y.shape[1] + 1)
    strips = method.enhance(y)
    assert len(seen) == -(-60 // rows) and max(seen) <= rows + 2 * (sum(f) // 2)
    assert np.allclose(strips, whole, rtol=0, atol=1e-6)


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
