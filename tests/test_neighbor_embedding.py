"""Neighbour embedding: the two kinds of weights."""

import numpy as np
import pytest
import torch
from scipy.optimize import nnls

from srcnn_lib.methods import neighbor_embedding


def problem(n, k, d):
    generator = torch.Generator().manual_seed(0)
    signals = torch.randn(n, d, generator=generator, dtype=torch.float64)
    return signals, torch.randn(n, k, d, generator=generator, dtype=torch.float64)


def nnls_weights(signals, neighbours):
    gram = neighbours @ neighbours.mT
    wanted = (neighbours @ signals[..., None])[..., 0]
    return neighbor_embedding.nnls_weights(gram, wanted)


def test_lle_finds_the_weights_that_rebuild():
    _, neighbours = problem(30, 4, 9)
    true = torch.rand(30, 4).double() + 0.1
    true /= true.sum(1, keepdim=True)
    signals = (true[..., None] * neighbours).sum(1)
    weights = neighbor_embedding.lle_weights(signals, neighbours)
    assert torch.allclose(weights, true, atol=2e-3)
    many = neighbor_embedding.lle_weights(*problem(40, 24, 10))
    assert torch.allclose(many.sum(1), torch.ones(40).double(), atol=1e-4)
    same = neighbor_embedding.lle_weights(torch.ones(2, 5), torch.ones(2, 3, 5))
    assert torch.allclose(same, torch.full((2, 3), 1 / 3), atol=1e-5)


@pytest.mark.parametrize("k, d", [(1, 3), (6, 12), (12, 30), (24, 26)])
def test_nnls_is_scipys(k, d):
    signals, neighbours = problem(60, k, d)
    # Neighbours that resemble each other, as those of a patch do.
    neighbours = neighbours + 2 * signals[:, None]
    signals = signals + 0.5 * torch.randn_like(signals)
    weights = nnls_weights(signals, neighbours)
    expected = [nnls(a.T.numpy(), b.numpy())[0] for a, b in zip(neighbours, signals)]
    assert np.allclose(weights, expected, atol=1e-6)
    faint = nnls_weights(signals * 1e-6, neighbours)
    assert torch.allclose(faint * 1e6, weights, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_nnls_of_singular_problems_is_as_good_as_scipys(dtype):
    """More neighbours than dimensions, twins, a signal of zero, rounding."""
    signals, neighbours = problem(200, 10, 4)
    neighbours[:, 5:] = neighbours[:, :5]
    signals[0] = 0
    weights = nnls_weights(signals.to(dtype), neighbours.to(dtype))
    assert weights.dtype == dtype and (weights >= 0).all()
    left = (signals - (weights[..., None] * neighbours).sum(1)).norm(dim=1)
    least = [nnls(a.T.numpy(), b.numpy())[1] for a, b in zip(neighbours, signals)]
    assert np.allclose(left, least, atol=1e-4 if dtype == torch.float64 else 3e-3)
    assert weights[0].abs().max() == 0
