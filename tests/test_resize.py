"""imresize against MATLAB's own output, and what a resize must do."""

import numpy as np
import pytest
import torch

from srcnn_lib import datasets, images
from srcnn_lib.resize import KERNELS, imresize, resize_matrix

needs_matlab = pytest.mark.skipif(
    not (datasets.available("matlab-lr") and datasets.available("Set14")),
    reason="needs matlab-lr, Set5, Set14: srcnn data fetch",
)


@needs_matlab
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", ["Set5", "Set14"])
def test_every_pixel_equals_matlab(name, scale):
    hr_images = datasets.load(name)
    folder = datasets.path("matlab-lr") / name / f"x{scale}"
    assert len(list(folder.glob("*.png"))) == len(hr_images)
    for key, image in hr_images.items():
        matlab = images.read(folder / f"{key}.png")
        ours = imresize(images.modcrop(image, scale), 1 / scale)
        if ours.ndim == 2 and matlab.ndim == 3:  # grey, stored as RGB
            ours = np.repeat(ours[..., None], 3, axis=2)
        assert np.array_equal(ours, matlab), (key, scale)


@pytest.mark.parametrize("method", KERNELS)
@pytest.mark.parametrize("border", ["clamp", "mirror"])
@pytest.mark.parametrize("n_in, n_out", [(12, 4), (5, 13), (7, 7), (1, 3)])
def test_rows_sum_to_one_and_flat_stays_flat(method, border, n_in, n_out):
    matrix = resize_matrix(n_in, n_out, method=method, border=border)
    assert matrix.shape == (n_out, n_in) and np.allclose(matrix.sum(axis=1), 1)
    flat = np.full((n_in, n_in), 0.25)
    out = imresize(flat, shape=(n_out, n_out), method=method, border=border)
    assert np.allclose(out, 0.25)


def test_known_weights_of_bicubic_x2():
    # Keys' kernel at distances 1.75, 0.75, 0.25, 1.25 from the output pixel.
    row = resize_matrix(10, 20).toarray()[9]
    expected = [-0.0234375, 0.2265625, 0.8671875, -0.0703125]
    assert np.allclose(sorted(row[row != 0]), sorted(expected))


def test_clamp_repeats_and_mirror_reflects():
    ramp = np.arange(8.0)[None].repeat(8, 0)
    clamp, mirror = (imresize(ramp, 0.5, border=b) for b in ("clamp", "mirror"))
    assert np.allclose(clamp[:, 1:-1], mirror[:, 1:-1])
    assert not np.allclose(clamp[:, 0], mirror[:, 0])
    # The reflected edge is as a picture twice as wide, folded open.
    double = np.hstack([ramp[:, ::-1], ramp])
    assert np.allclose(imresize(double, 0.5)[:, 4], mirror[0, 0])


def test_size_rounds_up_and_the_same_size_changes_nothing():
    image = np.zeros((10, 7, 3))
    assert imresize(image, 1 / 3).shape == (4, 3, 3)
    assert imresize(np.zeros((99, 99)), 1 / 3).shape == (33, 33)
    image = np.random.default_rng(0).random((9, 11))
    assert np.allclose(imresize(image, 1.0), image)


def test_uint8_rounds_half_up_between_the_passes():
    image = np.array([[0, 1], [0, 1]], dtype=np.uint8)
    assert imresize(image, shape=(2, 1)).tolist() == [[1], [1]]
    image = np.random.default_rng(2).integers(0, 256, (12, 12), np.uint8)
    rows = np.floor(imresize(image.astype(float), shape=(4, 12)) + 0.5).clip(0, 255)
    both = np.floor(imresize(rows, shape=(4, 4)) + 0.5).clip(0, 255)
    assert np.array_equal(imresize(image, 1 / 3), both)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.uint8])
@pytest.mark.parametrize("device", ["cpu"] + ["cuda"] * torch.cuda.is_available())
def test_tensors_equal_arrays(dtype, device):
    values = np.random.default_rng(3).integers(0, 256, (2, 3, 18, 24))
    tensor = torch.from_numpy(values).to(dtype)
    for arguments in ({"scale": 1 / 3}, {"shape": (40, 11)}):
        out = imresize(tensor.to(device), **arguments).cpu()
        assert out.dtype == dtype
        expected = imresize(tensor[1, 2].numpy(), **arguments)
        assert np.allclose(out[1, 2].numpy(), expected, atol=1e-3)


@pytest.mark.parametrize("arguments, said", [
    ({}, "either"), ({"scale": 2, "shape": (3, 3)}, "either"),
    ({"scale": 0}, "positive"), ({"scale": float("nan")}, "positive"),
    ({"shape": (0, 3)}, "shape"), ({"scale": 2, "method": "cubic"}, "bicubic"),
    ({"scale": 2, "border": "wrap"}, "clamp or mirror"),
])  # fmt: skip
def test_bad_arguments(arguments, said):
    with pytest.raises(ValueError, match=said):
        imresize(np.zeros((4, 4)), **arguments)
