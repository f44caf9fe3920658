"""Patches: the filters, the projection, what to learn from, the way back."""

from functools import partial

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d

from srcnn_lib import datasets, images
from srcnn_lib.methods import kernel_regression as kk
from srcnn_lib.methods import patches
from srcnn_lib.methods.patches import PatchMethod
from srcnn_lib.resize import bicubic, imresize


@pytest.fixture(scope="module")
def photograph():
    """Luma (72, 96), 0…255."""
    return images.luma(datasets.load("demo-test")["coffee"][100:172, 200:296])


@pytest.fixture
def lr_y(photograph):
    return photograph[:23, :31] / 255


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_gradients_are_matlabs_conv2(lr_y, scale):
    """conv2(y, kernel, 'same') begins at ceil((k - 1) / 2) of the full one."""
    y = bicubic(lr_y, scale)
    first, second = np.zeros((1, scale + 1)), np.zeros((1, 2 * scale + 1))
    first[0, [0, -1]] = 1, -1
    second[0, [0, scale, -1]] = 0.5, -1, 0.5
    found = patches.gradients(torch.from_numpy(y), scale).numpy()
    for maps, kernel in zip(found, [first, first.T, second, second.T]):
        top, left = (scale - (-(n - 1) // 2) for n in kernel.shape)
        expected = convolve2d(y, kernel)[top:, left:][: maps.shape[0], : maps.shape[1]]
        assert np.allclose(maps, expected, atol=1e-12)


def flat_gradients(y, scale):
    maps = patches.gradients(y, scale)
    return patches.extract_patches(maps, 3 * scale, scale)


def test_principal_axes_keep_the_energy(lr_y):
    flat = flat_gradients(torch.from_numpy(bicubic(lr_y, 2)).float(), 2)
    basis = patches.principal_axes(flat, 1e-3)
    assert torch.allclose(basis @ basis.T, torch.eye(len(basis)), atol=1e-5)
    energy = (flat @ basis.T).double().square().sum(0)
    kept = energy.cumsum(0) / flat.double().square().sum()
    assert kept[-2] < 1 - 1e-3 <= kept[-1] + 1e-6


@pytest.mark.parametrize("scale, zoom", [(2, None), (3, None), (4, None), (3, 2)])
def test_the_right_patches_give_the_right_picture(photograph, scale, zoom):
    """Patches to learn from, put back into the picture they come from."""

    def see(wide):  # a number for each patch
        inside = slice(2 * (zoom or scale), -2 * (zoom or scale), zoom or scale)
        return wide[inside, inside].reshape(-1)

    tiny = photograph[: 5 * scale - 1]  # left out
    seen, wanted = patches.training_patches([tiny, photograph], see, scale, zoom=zoom)
    assert len(seen) == len(wanted) == (72 // scale - 4) * (96 // scale - 4)
    hr_y = photograph / 255
    lr_y = imresize(hr_y, 1 / scale)
    order = iter(wanted)

    def restore(seen):
        return torch.stack([next(order) for _ in seen])

    sr_y = PatchMethod(see, restore, scale, "cpu", zoom)(lr_y, scale)
    expected = bicubic(lr_y, scale)
    inside = np.s_[scale:-scale, scale:-scale]
    expected[inside] = hr_y[inside]
    assert np.allclose(sr_y, expected, atol=1e-6)


def test_patches_are_drawn_from_all_pictures(photograph):
    def draw(count):
        generator = torch.Generator().manual_seed(5)
        return patches.training_patches(
            [photograph, photograph[:36]], lambda y: flat_gradients(y, 3), 3,
            count=count, random=partial(torch.rand, generator=generator),
        )  # fmt: skip

    every, (seen, wanted) = draw(None), draw(120)
    at = (seen[:, None] == every[0]).all(2).int().argmax(1)
    assert torch.equal(wanted, every[1][at]) and 60 < len(seen) < 180
    assert 0.5 < (at < 20 * 28).float().mean() < 0.9  # of the first picture


@pytest.mark.parametrize("scale, chunk", [(2, 1), (3, 100), (2, 200)])
def test_some_rows_at_a_time_equal_the_whole(monkeypatch, lr_y, scale, chunk):
    basis, back = torch.randn(5, 36 * scale**2), torch.randn(5, 9 * scale**2)
    seen = []

    def restore(x):
        seen.append(len(x))
        return x @ back

    method = PatchMethod.of_gradients(basis, restore, scale)
    whole = method(lr_y, scale)
    monkeypatch.setitem(patches.CHUNK, "cpu", chunk)
    assert np.allclose(method(lr_y, scale), whole, atol=1e-4)
    first, *rest = seen
    assert first == sum(rest) == 19 * 27 and max(rest) <= max(chunk, 27)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_laplacian_lies_around_the_patches(scale):
    """A point of light at a patch's middle is in the middle of its window."""
    y = torch.zeros(9 * scale, 8 * scale)
    y[3 * scale + scale // 2, 2 * scale + scale // 2] = 1
    # In LR pixel (3, 2): of the patch in row 1, column 0.
    seen = kk.laplacian_patches(y, scale).view(5, 4, 5 * scale - 2, -1)[1, 0]
    assert seen[2 * scale - 1 + scale // 2, 2 * scale - 1 + scale // 2] == -4
    assert seen.abs().sum() == 8


@pytest.mark.parametrize("shape", [(1, 1), (4, 30), (30, 4)])
def test_too_small_for_a_patch_is_bicubic(shape):
    method = PatchMethod(None, None, 3, "cpu")
    lr_y = np.random.default_rng(0).random(shape)
    assert np.allclose(method(lr_y, 3), bicubic(lr_y, 3), atol=1e-6)
    with pytest.raises(ValueError, match="x3, not x2"):
        method(lr_y, 2)
