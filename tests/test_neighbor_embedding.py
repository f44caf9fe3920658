"""Neighbour embedding: the two kinds of weights."""

import numpy as np
import pytest
import torch
from scipy.optimize import nnls

from srcnn_lib.methods import neighbor_embedding, zeyde


def problem(n, k, d, seed=0):
    generator = torch.Generator().manual_seed(seed)
    signals = torch.randn(n, d, generator=generator)
    neighbours = torch.randn(n, k, d, generator=generator)
    return signals, neighbours


def products(signals, neighbours):
    gram = neighbours @ neighbours.mT
    return gram, (neighbours @ signals[..., None])[..., 0]


@pytest.mark.parametrize("k, d", [(5, 9), (24, 30), (24, 10)])
def test_lle_weights_sum_to_one(k, d):
    signals, neighbours = problem(40, k, d)
    weights = neighbor_embedding.lle_weights(signals, neighbours)
    assert torch.allclose(weights.sum(1), torch.ones(40), atol=1e-4)


def test_lle_finds_the_weights_that_rebuild():
    _, neighbours = problem(30, 4, 9)
    true = torch.rand(30, 4) + 0.1
    true /= true.sum(1, keepdim=True)
    signals = (true[..., None] * neighbours).sum(1)
    weights = neighbor_embedding.lle_weights(signals, neighbours)
    assert torch.allclose(weights, true, atol=2e-3)


def test_lle_where_all_neighbours_are_the_signal():
    weights = neighbor_embedding.lle_weights(torch.ones(2, 5), torch.ones(2, 3, 5))
    assert torch.allclose(weights, torch.full((2, 3), 1 / 3), atol=1e-5)


@pytest.mark.parametrize("k, d", [(1, 3), (6, 12), (12, 30), (24, 30), (24, 26)])
def test_nnls_is_scipys(k, d):
    signals, neighbours = problem(60, k, d)
    signals, neighbours = signals.double(), neighbours.double()
    # Neighbours that resemble each other, as those of a patch do.
    neighbours = neighbours + 2 * signals[:, None]
    signals = signals + 0.5 * torch.randn_like(signals)
    weights = neighbor_embedding.nnls_weights(*products(signals, neighbours))
    expected = [nnls(a.T.numpy(), b.numpy())[0] for a, b in zip(neighbours, signals)]
    assert np.allclose(weights, expected, atol=1e-6)


def test_nnls_of_singular_problems_is_as_good_as_scipys():
    """More neighbours than dimensions, twins, and a signal of zero."""
    signals, neighbours = problem(20, 10, 4)
    neighbours[:, 5:] = neighbours[:, :5]
    signals[0] = 0
    signals, neighbours = signals.double(), neighbours.double()
    weights = neighbor_embedding.nnls_weights(*products(signals, neighbours))
    assert (weights >= 0).all() and torch.isfinite(weights).all()
    left = (signals - (weights[..., None] * neighbours).sum(1)).norm(dim=1)
    least = [nnls(a.T.numpy(), b.numpy())[1] for a, b in zip(neighbours, signals)]
    assert np.allclose(left, least, atol=1e-4)
    assert weights[0].abs().max() == 0


def test_unequal_magnitudes_do_not_matter():
    signals, neighbours = problem(30, 8, 12)
    gram, wanted = products(signals, neighbours)
    weights = neighbor_embedding.nnls_weights(gram, wanted)
    faint = neighbor_embedding.nnls_weights(gram, wanted * 1e-6)
    assert torch.allclose(faint * 1e6, weights, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("make", [neighbor_embedding.lle, neighbor_embedding.nnls])
def test_a_patch_that_is_an_atom_becomes_its_hr_atom(make):
    generator = torch.Generator().manual_seed(4)
    lr = torch.nn.functional.normalize(torch.randn(40, 30, generator=generator))
    hr = torch.randn(40, 36, generator=generator)
    method = make(zeyde.Dictionary(torch.zeros(30, 144), lr, hr), 2, "cpu")
    # LLE's ridge spreads a little of the weight to the other neighbours.
    error = (method.restore(lr) - hr).square().mean().sqrt()
    assert error < 0.1 * hr.square().mean().sqrt()
