"""Every method by one call; whole pictures of every kind."""

import tracemalloc

import numpy as np
import pytest
import torch

from srcnn_lib import checkpoints, datasets, images, methods
from srcnn_lib.methods import pictures, srcnn
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


def test_every_method_has_a_label_and_the_same_call(model_file, photograph):
    assert set(methods.NAMES) <= set(methods.LABELS)
    lr_y = images.luma(photograph) / 255
    for name in methods.NAMES:
        model = str(model_file) if name == "srcnn" else None
        method = methods.get(name, model=model, scale=3, device="cpu")
        sr_y = method(lr_y, 3)
        assert sr_y.shape == (180, 240) and sr_y.dtype.kind == "f"
        assert np.isfinite(sr_y).all() and sr_y.std() > 0


def test_unfit_requests(model_file):
    for name, request, said in [
        ("nearest", {}, "one of bicubic.*srcnn.*not 'nearest'"),
        ("bicubic", {"model": "9-1-5"}, "bicubic has no models"),
        ("srcnn", {"model": "9-9-9", "scale": 3}, "'9-9-9' is not known"),
        ("srcnn", {"model": str(model_file), "scale": 4}, "is for x3, not x4"),
        ("srcnn", {"scale": 3, "device": "tpu"}, "auto, cpu, cuda or mps"),
    ]:
        with pytest.raises(ValueError, match=said):
            methods.get(name, **request)


@pytest.mark.parametrize("size", [7, 16, 100])
@pytest.mark.parametrize(
    "shape",
    # Sums in two parts; few and many layers; colour; residual.
    [((9, 1, 5), (8, 4)), ((9, 5, 5), (24, 18)), ((5,), ()), ((1, 1), (3,)),
     ((3, 5, 1, 3, 7), (4, 6, 2, 5)), ((9, 1, 5), (8, 4), 3), ((3, 3), (4,), 1, True),
     ((3, 5, 3), (6, 5), 3, True)],
)  # fmt: skip
def test_tiles_equal_the_whole_picture(monkeypatch, photograph, shape, size):
    """Every kind of layer; edges repeated before each, as in SRCNN.forward."""
    monkeypatch.setitem(srcnn.TILE, "cpu", size)
    method = SRCNNMethod(network(*shape), "cpu")
    image = (photograph if shape[2:3] == (3,) else images.luma(photograph)) / 255
    for part in (image[:21, :32], image[:13, :11], image[:1, :20], image[:20, :1]):
        x = torch.from_numpy(np.atleast_3d(part)).float().permute(2, 0, 1)
        with torch.no_grad():
            whole = method.model(x[None])[0].permute(1, 2, 0).numpy()
        out = method.enhance(part)
        assert out.dtype == np.float32 and out.shape == part.shape
        assert np.abs(out - whole.reshape(out.shape)).max() < 2e-6
    assert not method.model.training and torch.is_grad_enabled()


@pytest.mark.parametrize("device", ["cpu"] + ["cuda"] * torch.cuda.is_available())
@pytest.mark.parametrize("scale", (2, 3, 4))
@pytest.mark.parametrize("name", ("9-1-5", "9-5-5"))
def test_trained_networks_answer_as_by_the_usual_call(name, scale, device):
    model = checkpoints.load(name, scale)
    lr_y = images.luma(datasets.load("demo-test")["coffee"])[:150, :150] / 255
    with torch.no_grad():
        usual = model(torch.from_numpy(bicubic(lr_y, scale)).float()[None, None])
    change = np.abs(SRCNNMethod(model, device)(lr_y, scale) - usual[0, 0].numpy())
    assert change.max() < (5e-6 if device == "cpu" else 2e-3)  # a GPU rounds to TF32


def test_channels_must_fit_and_a_large_picture_has_a_bar(photograph, monkeypatch):
    with pytest.raises(ValueError, match="1 channels, not 3"):
        SRCNNMethod(network((3, 1, 3), (2, 2)), "cpu").enhance(photograph)
    seen = []
    monkeypatch.setattr(srcnn, "tqdm", lambda items, *args, **options: (
        seen.append((options["total"], options["delay"])) or items
    ))  # fmt: skip
    SRCNNMethod(network((1, 1), (1,)), "cpu").enhance(np.zeros((300, 100)))
    assert seen == [(3, 2)]  # after two seconds


def kinds(photograph):
    """Grey, RGB and RGBA that is nowhere clear, with 8 and with 16 bits."""
    alpha = np.linspace(8, 255, photograph[..., 0].size).astype(np.uint8)
    rgba = np.dstack([photograph, alpha.reshape(photograph.shape[:2])])
    for image in (photograph[..., 1], photograph, rgba):
        yield from (image, image.astype(np.uint16) * 257)


@pytest.mark.parametrize("height, width", [(60, 80), (1, 80), (60, 1), (2, 3)])
@pytest.mark.parametrize("shift, scale", [(0, 2), (0, 3), (10 / 219, 3), (0, 4)])
def test_luma_is_by_the_method(monkeypatch, photograph, shift, height, width, scale):
    """Luma has 219 steps; a step more is 1 / 219 of each channel, but not of alpha."""
    monkeypatch.setattr(pictures, "PIXELS", 500)

    def method(lr_y, scale):
        return bicubic(lr_y, scale) + shift * 219 / 255

    for image in kinds(photograph[:height, :width]):
        out, peak = methods.upscale(method, image, scale), np.iinfo(image.dtype).max
        assert out.shape == (height * scale, width * scale, *image.shape[2:])
        assert out.dtype == image.dtype
        large = imresize(image / peak, scale)
        (large if image.ndim == 2 else large[..., :3])[:] += shift
        assert np.abs(out - large.clip(0, 1) * peak).max() <= 0.5 + 1e-6 * peak


def test_a_network_sees_grey_as_its_colour_twin(photograph):
    """In luma's range: black beyond it would come out as dark grey."""
    grey = photograph[..., 1].copy()
    grey[:20] //= 20
    network = methods.get("srcnn", scale=3, device="cpu")
    out, twin = (methods.upscale(network, i, 3) for i in (grey, np.dstack([grey] * 3)))
    assert np.abs(twin.astype(int) - out[..., None]).max() <= 1
    assert methods.upscale(network, np.zeros((30, 30), np.uint8), 3).max() < 8


def test_what_does_not_fit_in_memory():
    endless = np.broadcast_to(np.uint8(0), (2**26, 2**26))
    with pytest.raises(ValueError, match="134217728×134217728 pixels"):
        methods.upscale(bicubic, endless, 2)


def test_24_megapixels_need_less_than_1_5_gb(monkeypatch):
    image = np.random.default_rng(0).integers(0, 256, (400, 300, 4), np.uint8)
    monkeypatch.setattr(pictures, "PIXELS", 2**14)
    method = SRCNNMethod(network((1, 1), (1,)), "cpu")
    method(np.zeros((9, 9)), 2)  # what is imported and kept
    tracemalloc.start()
    out = methods.upscale(method, image, 2)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.1e9 / 24e6 * out.size / 4  # PyTorch and a network need 0.4 GB


def test_self_ensemble_is_the_mean_of_eight():
    """Of a method that shifts by a row: the shifts go to all four sides."""
    lr_y = np.random.default_rng(5).random((6, 9))
    still = bicubic(lr_y, 2)
    sides = [np.roll(still, n, axis) for n in (1, -1) for axis in (0, 1)]
    ensemble = methods.SelfEnsemble(lambda y, s: np.roll(bicubic(y, s), 1, axis=0))
    assert np.allclose(ensemble(lr_y, 2), np.mean(sides, axis=0), atol=1e-9)
    plus = methods.get("srcnn", model="9-1-5+", scale=3, device="cpu")
    assert isinstance(plus, methods.SelfEnsemble)
