"""Patches: the filters, the projection, the way back, and bands."""

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d

from srcnn_lib import datasets, images
from srcnn_lib.methods import patches
from srcnn_lib.methods.patches import PatchMethod
from srcnn_lib.resize import bicubic, imresize

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def lr_y():
    """(23, 31) in 0…1."""
    photograph = datasets.load("demo-test")["coffee"]
    return images.luma(photograph[100:123, 200:231]) / 255


def matlab_same(y, kernel):
    """conv2(y, kernel, 'same'), which begins at ceil((k - 1) / 2)."""
    full = convolve2d(y, kernel)
    top, left = (-(-(n - 1) // 2) for n in kernel.shape)
    return full[top : top + y.shape[0], left : left + y.shape[1]]


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_gradients_are_matlabs_conv2(lr_y, scale):
    y = bicubic(lr_y, scale)
    first = np.zeros((1, scale + 1))
    first[0, 0], first[0, -1] = 1, -1
    second = np.zeros((1, 2 * scale + 1))
    second[0, [0, scale, -1]] = 0.5, -1, 0.5
    found = patches.gradients(torch.from_numpy(y), scale).numpy()
    for maps, kernel in zip(found, [first, first.T, second, second.T]):
        inside = matlab_same(y, kernel)[scale:-scale, scale:-scale]
        assert np.allclose(maps, inside, atol=1e-12)


@pytest.mark.parametrize("scale, stride", [(2, 1), (3, 2), (4, 1)])
def test_features_are_projected_windows(lr_y, scale, stride):
    y = torch.from_numpy(bicubic(lr_y, scale))
    basis = torch.randn(7, 36 * scale**2, dtype=y.dtype)
    flat = patches.windows_of(patches.gradients(y, scale), scale, stride)
    found = patches.features(y, scale, basis, stride)
    assert torch.allclose(found, flat @ basis.T, atol=1e-9)
    assert len(flat) == len(range(0, 19, stride)) * len(range(0, 27, stride))


def test_principal_axes_keep_the_energy(lr_y):
    y = torch.from_numpy(bicubic(lr_y, 2)).float()
    basis = patches.principal_axes([y, y.flip(0)], 2)
    d = len(basis)
    assert torch.allclose(basis @ basis.T, torch.eye(d), atol=1e-5)
    both = [patches.windows_of(patches.gradients(p, 2), 2) for p in (y, y.flip(0))]
    flat = torch.cat(both).double()
    energy = flat.square().sum()
    kept = (flat @ basis.double().T).square().sum() / energy
    fewer = (flat @ basis[:-1].double().T).square().sum() / energy
    assert fewer < 1 - patches.DROPPED_ENERGY <= kept + 1e-6


@pytest.mark.parametrize("shape", [(3, 3), (3, 4), (5, 9), (4, 4)])
def test_overlap_sum_undoes_windows_up_to_the_count(shape):
    scale = 3
    picture = torch.rand(shape[0] * scale, shape[1] * scale)
    windows = patches.windows_of(picture[None], scale)
    added = patches.overlap_sum(windows, tuple(picture.shape), scale)
    down, across = (patches.overlaps(n, scale) for n in picture.shape)
    assert torch.allclose(added / (down[:, None] * across), picture, atol=1e-6)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_right_patches_give_the_right_picture(scale):
    image = datasets.load("demo-test")["coffee"][100:172, 200:296]
    (y, missing), = patches.examples([image], scale)
    hr_y = images.luma(image) / 255
    lr_y = imresize(hr_y, 1 / scale)
    wanted = patches.residual_patches(missing, scale)
    method = PatchMethod(
        lambda y: torch.arange(len(wanted)), lambda i: wanted[i], scale, CPU
    )
    sr_y = method(lr_y, scale)
    inside = np.s_[scale:-scale, scale:-scale]
    assert np.allclose(sr_y[inside], hr_y[inside], atol=1e-6)
    edge = np.ones(sr_y.shape, bool)
    edge[inside] = False
    assert np.allclose(sr_y[edge], bicubic(lr_y, scale)[edge], atol=1e-6)


@pytest.mark.parametrize("chunk", [1, 40, 100])
@pytest.mark.parametrize("scale", [2, 3])
def test_bands_equal_the_whole(monkeypatch, lr_y, scale, chunk):
    basis = torch.randn(5, 36 * scale**2)
    back = torch.randn(5, 9 * scale**2)
    seen = []

    def restore(x):
        seen.append(len(x))
        return x @ back

    method = PatchMethod.of_gradients(basis, restore, scale, CPU)
    whole = method(lr_y, scale)
    assert whole.dtype == np.float32 and seen == [19 * 27]
    monkeypatch.setitem(patches.CHUNK, "cpu", chunk)
    seen.clear()
    bands = list(method.bands(lr_y, scale))
    assert max(seen) <= chunk and sum(seen) == 19 * 27
    assert len(bands) == -(-19 // max(1, chunk // 31))
    assert np.allclose(np.concatenate(bands), whole, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 1), (4, 30), (30, 4)])
def test_too_small_for_a_patch_is_bicubic(shape):
    method = PatchMethod(None, None, 3, CPU)
    lr_y = np.random.default_rng(0).random(shape)
    assert np.allclose(method(lr_y, 3), bicubic(lr_y, 3), atol=1e-6)


def test_another_scale_is_refused(lr_y):
    with pytest.raises(ValueError, match="trained for x3, not x2"):
        PatchMethod(None, None, 3, CPU)(lr_y, 2)
