"""Filters measured and drawn, on filters and networks whose answer is known.

Chapter 8 itself asserts what it computes a second time by hand.
"""

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from torch import nn

from srcnn_lib import models
from srcnn_lib.chapters import drawings, filters


@pytest.fixture
def rng():
    yield np.random.default_rng(0)
    plt.close("all")


def network(f=(9, 1, 5), n=(64, 32), channels=1):
    seed = torch.Generator().manual_seed(0)
    return models.initialise(models.SRCNN(f, n, channels), "default", seed)


def gaussian(sigma, f=9):
    return np.exp(-((np.indices((f, f)) - f // 2) ** 2).sum(0) / (2 * sigma**2))


def test_pure_templates_are_named():
    g, (y, x) = gaussian(1.3), (np.indices((9, 9)) - 4) / 1.3
    corner, chequered = np.roll(g, (2, -1), (0, 1)), np.indices((9, 9)).sum(0) % 2 - 0.5
    slanted, laplacian = (0.6 * x + 0.8 * y) * g, (x**2 + y**2 - 2) * g
    bank = np.stack([g, -3 * corner, slanted, laplacian, x * y * g, chequered])
    kind, share = filters.kinds(bank)
    assert kind.tolist() == [0, 0, 1, 2, 2, filters.KINDS.index("texture")]
    assert np.allclose(share[[0, 2, 3], [0, 1, 2]], 1)


@pytest.mark.parametrize("f", [1, 3, 9, 11])
def test_kinds_of_noise_and_of_the_dead(f, rng):
    bank = rng.normal(size=(200, f, f))
    bank[5] = 1e-9 * gaussian(2, f)
    kind, share = filters.kinds(bank)
    assert np.isfinite(share).all() and share.max() <= 1 + 1e-9
    assert filters.KINDS[kind[5]] == "nearly dead"
    if f >= 9:
        assert (np.delete(kind, 5) == filters.KINDS.index("texture")).all()
    kind, _ = filters.kinds(bank, dead=np.zeros(200, dtype=bool))
    assert filters.KINDS[kind[5]] == "Gaussian"


def test_matching_tells_signs_apart_and_undoes_a_shift(rng):
    bank = rng.normal(size=(12, 9, 9))
    assert filters.best_matching(bank[:1], -bank[:1])[2][0] == pytest.approx(-1)
    assert filters.best_matching(bank, bank[5:8])[0].tolist() == [5, 6, 7]
    both = gaussian(0.6)[None], np.roll(gaussian(0.6), (2, 1), (0, 1))[None]
    near, far = (filters.similarity(*both, reach)[0, 0] for reach in (1, 2))
    assert near < 0.6 and far == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("f, n", [((9, 1, 5), (64, 32)), ((5, 3), (4,))])
def test_contributions_of_a_pixel_sum_to_its_output(f, n, rng):
    model = network(f, n)
    window = rng.random(2 * (model.architecture.receptive_field,))
    path = filters.contributions(model, window)
    for part, rest in zip(path.parts, path.rest, strict=True):
        assert part.sum() + rest == pytest.approx(path.output, abs=1e-12)
    maps = filters.feature_maps(model, window, "valid")
    assert [len(m) for m in maps] == [*n, 1] and all(m.min() >= 0 for m in maps[:-1])
    assert path.output == pytest.approx(maps[-1].item(), abs=1e-5)
    # The filter at this pixel foretells what a small change does.
    nudge = 1e-7 * rng.normal(size=window.shape)
    moved = filters.contributions(model, window + nudge).output
    assert moved - path.output == pytest.approx((path.filter * nudge).sum(), rel=1e-4)


def test_top_patches_are_found_where_they_were_planted(rng):
    bank = rng.normal(size=(3, 9, 9))
    pictures = [0.01 * rng.random((40, 30 + k)) for k in range(6)]
    for strength, picture in enumerate(pictures, 1):
        top, left = rng.integers(0, 20, 2)
        picture[top : top + 9, left : left + 9] = strength * bank[1]
    pictures.append(np.ones((5, 50)))  # too small for a filter
    windows, _ = filters.top_patches(bank, pictures, count=4)
    assert np.allclose(windows[1], bank[1] * np.array([6, 5, 4, 3])[:, None, None])
    with pytest.raises(ValueError, match="not 6"):
        filters.top_patches(bank, pictures, count=7)


def pixels(figure):
    return figure.axes[0].images[0].get_array()


def test_zero_is_grey_the_dead_look_it_and_the_largest_variance_is_first(rng):
    bank = rng.normal(size=(10, 9, 9))
    bank[4], bank[5, 0, 0], bank[2] = bank[4] * 1e-3, 0, 3 * bank[2]
    cells = drawings.filter_cells(bank)
    assert cells[5, 0, 0] == 0.5 and np.abs(cells[4] - 0.5).max() < 0.05
    assert np.allclose(np.abs(np.delete(cells, 4, 0) - 0.5).max(axis=(1, 2)), 0.5)
    assert np.allclose(pixels(drawings.show_filters(bank, zoom=1))[:9, :9], cells[2])
    sheet = pixels(drawings.show_filters(network(channels=3), columns=4, zoom=2))
    assert sheet.shape == (16 * (2 * 9 + 4) - 4, 4 * (2 * 9 + 4) - 4, 3)
    assert pixels(drawings.show_filters(network(), layer=3, zoom=1)).shape[0] == 14
    groups = {"edges": [4, 1], "none": [], "rest": np.array([0, 2, 3, 5])}
    figure = drawings.show_filters(bank, groups=groups, columns=2)
    assert [axes.get_title() for axes in figure.axes] == ["edges", "rest"]


@pytest.mark.parametrize("message, call", {
    "Conv2d": lambda: drawings.show_filters(nn.Conv2d(1, 4, 9)),
    "64×32 filters": lambda: drawings.show_filters(network(), layer=2),
    "must be": lambda: drawings.show_filters(np.zeros((9, 9))),
    "no filter": lambda: drawings.show_filters(network(), groups={"none": []}),
    "one channel": lambda: drawings.show_spectra(network(channels=3)),
    "3 channels": lambda: filters.first_layer(network(channels=3)),
    "0 to 63": lambda: filters.silence(network(), [64]),
    "13×13": lambda: filters.contributions(network(), np.zeros((13, 12))),
    "9 and 5": lambda: filters.similarity(np.ones((2, 9, 9)), np.ones((2, 5, 5))),
}.items())  # fmt: skip
def test_what_cannot_be_measured_or_drawn_is_said(call, message):
    with pytest.raises(ValueError, match=message):
        call()
