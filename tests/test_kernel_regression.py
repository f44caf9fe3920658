"""The kernel regression that stands in for Kim & Kwon's."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from srcnn_lib import datasets, protocol
from srcnn_lib.methods import kernel_regression as kk
from srcnn_lib.resize import bicubic


def test_bumps_are_gaussian():
    x, centres = torch.randn(7, 4), torch.randn(5, 4)
    expected = torch.exp(-torch.cdist(x, centres).square() / (2 * 0.7**2))
    found = kk.kernel(x, centres, torch.tensor(0.7))
    assert torch.allclose(found, expected, atol=1e-5)


def test_k_means_finds_separate_heaps():
    true = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    noise = torch.randn(60, 3, 2, generator=torch.Generator().manual_seed(0))
    heaps = true + 0.1 * noise
    # Start: one from each heap, then two of the three from one heap.
    for first in ([0, 1, 2], [0, 1, 4]):
        at = np.array(first + [i for i in range(180) if i not in first])
        start = SimpleNamespace(permutation=lambda n, at=at: at)
        found = kk.k_means(heaps.flatten(0, 1), 3, 20, start)
        near = torch.cdist(true, found).amin(1).max()
        assert (near < 0.1) == (first == [0, 1, 2])


def test_a_smooth_function_is_fitted():
    x = torch.linspace(-1, 1, 200)[:, None]
    wanted = torch.cat([torch.sin(3 * x), x**2], 1)
    centres, width = torch.linspace(-1, 1, 15)[:, None], torch.tensor(0.2)
    weights = kk.fit(x, wanted, centres, width, 1e-7, progress=False)
    found = kk.kernel(x, centres, width) @ weights
    assert torch.allclose(found, wanted, atol=0.03)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_windows_lie_around_the_patches(scale):
    """A point of light at a patch's middle is in the middle of its window."""
    y = torch.zeros(9 * scale, 8 * scale)
    row, column = 3 * scale + scale // 2, 2 * scale + scale // 2
    y[row, column] = 1  # in LR pixel (3, 2): of the patch in row 1, column 0
    size = 5 * scale - 2
    seen = kk.windows(y, scale).view(5, 4, size, size)[1, 0]
    middle = 2 * scale - 1 + scale // 2
    assert seen[middle, middle] == -4
    assert seen.abs().sum() == 8


def test_learn_and_enlarge():
    school, test = datasets.load("demo-train"), datasets.load("demo-test")
    pictures = [school[name][50:200, 50:250] for name in list(school)[:4]]
    bumps = kk.learn(pictures, 3, centres=150, samples=4000, progress=False)
    assert bumps.centres.shape == (150, len(bumps.basis))
    assert bumps.weights.shape == (150, 81)
    method = kk.method(bumps, 3, "cpu")
    picture = test["coffee"][100:220, 200:350]
    before = protocol.score(bicubic, picture, 3).psnr_db
    assert protocol.score(method, picture, 3).psnr_db > before + 0.3
    flat = np.full((9, 9), 0.4)
    assert np.allclose(method(flat, 3), 0.4, atol=1e-3)
    with pytest.raises(ValueError, match="patches are too few for 1000 centres"):
        kk.learn([pictures[0][:60, :60]], 3)
