"""The kernel regression that stands in for Kim & Kwon's; see also test_trained."""

import pytest
import torch

from srcnn_lib.methods import kernel_regression as kk


def test_bumps_are_gaussian():
    x, centres = torch.randn(7, 4), torch.randn(5, 4)
    expected = torch.exp(-torch.cdist(x, centres).square() / (2 * 0.7**2))
    assert torch.allclose(kk.kernel(x, centres, torch.tensor(0.7)), expected, atol=1e-5)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_laplacian_lies_around_the_patches(scale):
    """A point of light at a patch's middle is in the middle of its window."""
    y = torch.zeros(9 * scale, 8 * scale)
    y[3 * scale + scale // 2, 2 * scale + scale // 2] = 1
    # In LR pixel (3, 2): of the patch in row 1, column 0.
    seen = kk.laplacian_patches(y, scale).view(5, 4, 5 * scale - 2, -1)[1, 0]
    assert seen[2 * scale - 1 + scale // 2, 2 * scale - 1 + scale // 2] == -4
    assert seen.abs().sum() == 8
