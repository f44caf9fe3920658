"""Filters measured and drawn, on filters and networks whose answer is known."""

import json

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from torch import nn

from srcnn_lib import checkpoints, datasets, images, models, plots
from srcnn_lib.chapters import filters

ARCHITECTURES = [
    ((9, 1, 5), (64, 32)),
    ((9, 5, 5), (8, 6)),
    ((5, 3), (4,)),
    ((9, 1, 1, 5), (8, 6, 4)),
]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(autouse=True)
def no_open_figures():
    yield
    plt.close("all")


def network(f=(9, 1, 5), n=(64, 32), channels=1):
    seed = torch.Generator().manual_seed(0)
    model = models.SRCNN(f, n, channels)
    return models.initialise(model, "default", seed)


def gaussian(sigma, f=9):
    at = np.arange(f) - f // 2
    return np.exp(-(at[None] ** 2 + at[:, None] ** 2) / (2 * sigma**2))


# Kinds ----------------------------------------------------------------------


def test_sorted_by_variance_not_by_length(rng):
    noise = rng.normal(size=(9, 9))
    bank = np.stack([0.1 * noise, np.full((9, 9), 5.0), noise])
    assert filters.by_variance(bank).tolist() == [2, 0, 1]


def test_nearly_dead_are_those_far_below_the_median(rng):
    bank = rng.normal(size=(10, 9, 9))
    bank[3] *= 0.01
    bank[7] *= 0.5
    assert np.flatnonzero(filters.nearly_dead(bank)).tolist() == [3]


def test_pure_templates_are_named():
    g = gaussian(1.3)
    at = np.arange(9) - 4
    x, y = at[None] / 1.3, at[:, None] / 1.3
    slanted = 0.6 * x * g + 0.8 * y * g
    laplacian = (x**2 + y**2 - 2) * g
    corner = np.roll(g, (2, -1), (0, 1))
    chequered = np.indices((9, 9)).sum(0) % 2 - 0.5
    bank = np.stack([g, -3 * corner, slanted, laplacian, x * y * g, chequered])
    kind, share = filters.kinds(bank)
    names = [filters.KINDS[k] for k in kind]
    assert names == [
        "Gaussian",
        "Gaussian",
        "first derivative",
        "second derivative",
        "second derivative",
        "texture",
    ]
    assert np.allclose(share[[0, 2, 3], [0, 1, 2]], 1)
    assert share.max() <= 1 + 1e-9


def test_noise_is_texture_and_the_dead_are_dead(rng):
    bank = rng.normal(size=(200, 9, 9))
    bank[5] = 1e-9 * gaussian(2)
    kind, _ = filters.kinds(bank)
    assert filters.KINDS[kind[5]] == "nearly dead"
    assert (np.delete(kind, 5) == filters.KINDS.index("texture")).all()
    nobody = np.zeros(200, dtype=bool)
    assert filters.KINDS[filters.kinds(bank, nobody)[0][5]] == "Gaussian"


@pytest.mark.parametrize("f", [1, 3, 5, 11])
def test_kinds_of_filters_of_any_size(f, rng):
    kind, share = filters.kinds(rng.normal(size=(4, f, f)))
    assert kind.shape == (4,) and share.shape == (4, 3)
    assert np.isfinite(share).all() and share.max() <= 1 + 1e-9


def test_as_seen_has_the_spread_of_the_response(rng):
    smooth = [np.cumsum(rng.normal(size=(40, 50)), axis=1) for _ in range(3)]
    bank = rng.normal(size=(4, 5, 5))
    C = filters.patch_covariance(smooth, 5, stride=1)
    windows = np.concatenate([images.patches(p, 5).reshape(-1, 25) for p in smooth])
    spread = (windows @ bank.reshape(4, 25).T).std(axis=0)
    seen = filters.as_seen(bank, C)
    assert np.allclose(np.linalg.norm(seen.reshape(4, 25), axis=1), spread)


# Spectra --------------------------------------------------------------------


def test_response_to_a_wave_is_what_the_convolution_makes_of_it(rng):
    bank = rng.normal(size=(2, 9, 9))
    v, u = 5 / 32, -3 / 32  # cycles per pixel
    at = np.arange(9)
    wave = np.exp(2j * np.pi * (v * at[:, None] + u * at))
    expected = np.abs((bank * wave.conj()).sum(axis=(1, 2)))
    response = filters.frequency_response(bank)
    assert np.allclose(response[:, 16 + 5, 16 - 3], expected)
    assert np.allclose(response[:, 16, 16], np.abs(bank.sum(axis=(1, 2))))


def test_centre_and_spread_of_known_filters(rng):
    pixel = np.zeros((9, 9))
    pixel[4, 4] = 1
    finest = (-1.0) ** np.arange(9) * np.ones((9, 1))
    bank = np.stack([pixel, gaussian(3), gaussian(1), finest])
    centre, spread = filters.centre_frequency(bank), filters.spectral_spread(bank)
    assert spread[0] == pytest.approx(1)
    assert spread[1] < spread[2] < spread[0]
    assert centre[1] < centre[2] < centre[0] < centre[3]
    assert centre[3] == pytest.approx(0.5, abs=0.05)
    noise = rng.normal(size=(300, 9, 9))
    assert filters.spectral_spread(noise).mean() == pytest.approx(0.65, abs=0.03)
    assert filters.centre_frequency(noise).mean() == pytest.approx(0.38, abs=0.01)


# Comparing networks ---------------------------------------------------------


def test_matching_finds_a_permutation_and_tells_signs_apart(rng):
    bank = rng.normal(size=(12, 9, 9))
    order = rng.permutation(12)
    i, j, cosine = filters.best_matching(bank, 3 * bank[order])
    assert np.array_equal(order[j], i) and np.allclose(cosine, 1)
    assert filters.best_matching(bank[:1], -bank[:1])[2][0] == pytest.approx(-1)


def test_matching_of_sets_of_different_numbers(rng):
    bank = rng.normal(size=(12, 9, 9))
    i, j, cosine = filters.best_matching(bank, bank[5:8])
    assert i.tolist() == [5, 6, 7] and j.tolist() == [0, 1, 2]


def test_reach_undoes_a_shift():
    blob = gaussian(0.6)
    moved = np.roll(blob, (2, 1), (0, 1))
    near, far = (filters.similarity(blob[None], moved[None], r)[0, 0] for r in (1, 2))
    assert near < 0.6 and far == pytest.approx(1, abs=1e-6)


def test_sizes_that_differ_are_refused(rng):
    with pytest.raises(ValueError, match="9 and 5 pixels"):
        filters.similarity(rng.normal(size=(2, 9, 9)), rng.normal(size=(2, 5, 5)))


# What a network does --------------------------------------------------------


@pytest.mark.parametrize("f, n", ARCHITECTURES)
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_feature_maps_end_in_the_result(f, n, padding, rng):
    model = network(f, n)
    y = rng.random((30, 25)).astype(np.float32)
    maps = filters.feature_maps(model, y, padding)
    with torch.no_grad():
        result = model(torch.from_numpy(y)[None, None], padding)[0]
    assert np.array_equal(maps[-1], result.numpy())
    assert [len(m) for m in maps] == [*n, 1]
    assert all(m.min() >= 0 for m in maps[:-1])


@pytest.mark.parametrize("f, n", ARCHITECTURES)
def test_contributions_of_a_pixel_sum_to_its_output(f, n, rng):
    model = network(f, n)
    wide = model.architecture.receptive_field
    window = rng.random((wide, wide))
    path = filters.contributions(model, window)
    assert len(path.parts) == len(path.rest) == len(f)
    for part, rest in zip(path.parts, path.rest):
        assert part.sum() + rest == pytest.approx(path.output, abs=1e-12)
    assert (path.filter * window).sum() + path.rest[0] == pytest.approx(path.output)
    with torch.no_grad():
        y = torch.from_numpy(window)[None, None].float()
        assert path.output == pytest.approx(model(y, "valid").item(), abs=1e-5)
    # The last layer's, as anyone would list them: maps times weights.
    last = model.convs[-1].weight[0].detach().double().numpy()
    assert np.allclose(path.parts[-1], path.maps[-1] * last)
    assert path.rest[-1] == pytest.approx(model.convs[-1].bias.item())
    assert model.convs[0].weight.dtype == torch.float32  # it is left as it was


def test_the_filter_at_a_pixel_foretells_a_small_change(rng):
    model = network()
    window = rng.random((13, 13))
    path = filters.contributions(model, window)
    nudge = 1e-7 * rng.normal(size=(13, 13))
    moved = filters.contributions(model, window + nudge).output
    assert moved - path.output == pytest.approx((path.filter * nudge).sum(), rel=1e-4)


@pytest.mark.parametrize(
    "channels, shape", [(1, (13, 12)), (1, (15, 15)), (3, (13, 13))]
)
def test_a_window_that_does_not_fit_is_refused(channels, shape):
    with pytest.raises(ValueError, match="needs a window of 13×13"):
        filters.contributions(network(channels=channels), np.zeros(shape))


def test_a_silenced_filter_is_a_constant_and_the_rest_stays(rng):
    model = network()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    y = rng.random((20, 20)).astype(np.float32)
    levels = rng.random(64)
    for given, expected in ((None, 0.0), (levels, levels[7])):
        maps = filters.feature_maps(filters.silence(model, [7, 9], given), y)[0]
        assert np.allclose(maps[7], expected)
        others = [k for k in range(64) if k not in (7, 9)]
        assert np.array_equal(maps[others], filters.feature_maps(model, y)[0][others])
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_a_filter_that_answers_nowhere_is_worth_nothing(rng):
    model = network()
    with torch.no_grad():
        model.convs[0].bias[3] = -1e6
    y = torch.rand(1, 1, 20, 20)
    assert torch.equal(model(y), filters.silence(model, [3])(y))


@pytest.mark.parametrize("number", [-1, 64])
def test_silencing_what_is_not_there(number):
    with pytest.raises(ValueError, match="numbered 0 to 63"):
        filters.silence(network(), [number])


def test_top_patches_are_found_where_they_were_planted(rng):
    bank = rng.normal(size=(3, 9, 9))
    pictures = [0.01 * rng.random((40, 30 + k)) for k in range(6)]
    planted = 1 + np.arange(6)  # strengths
    for picture, strength in zip(pictures, planted):
        top, left = rng.integers(0, 20, 2)
        picture[top : top + 9, left : left + 9] = strength * bank[1]
    pictures.append(np.ones((5, 50)))  # too small for a filter
    windows, responses = filters.top_patches(bank, pictures, count=4)
    assert windows.shape == (3, 4, 9, 9) and responses.shape == (3, 4)
    assert np.allclose(windows[1], bank[1] * planted[::-1][:4, None, None])
    for k in range(3):
        sums = (windows[k] * bank[k]).sum(axis=(1, 2))
        assert np.allclose(sums, responses[k], atol=1e-3)
        assert (np.diff(responses[k]) <= 0).all()
    with pytest.raises(ValueError, match="not 6"):
        filters.top_patches(bank, pictures, count=7)


def test_filters_of_colour_are_not_measured():
    with pytest.raises(ValueError, match="3 channels"):
        filters.first_layer(network(channels=3))


# Drawn ----------------------------------------------------------------------


def pixels(figure):
    return figure.axes[0].images[0].get_array()


@pytest.mark.parametrize("f, n", ARCHITECTURES)
@pytest.mark.parametrize("channels", [1, 3])
def test_filters_of_any_network_are_drawn(f, n, channels):
    model = network(f, n, channels)
    sheet = pixels(plots.show_filters(model, columns=4, zoom=2, groups=None))
    rows = -(-n[0] // 4)
    assert sheet.shape[0] == rows * (2 * f[0] + 4) - 4
    assert 0 <= sheet.min() and sheet.max() <= 1
    if channels == 1:
        last = pixels(plots.show_filters(model, layer=len(f), zoom=1))
        assert last.shape[0] % (f[-1] + 4) == f[-1]


def test_the_first_filter_drawn_has_the_largest_variance(rng):
    bank = rng.normal(size=(5, 3, 3)) * np.array([1, 2, 9, 3, 4])[:, None, None]
    first = pixels(plots.show_filters(bank, zoom=1))[:3, :3, 0]
    assert np.allclose(first, plots.filter_cells(bank)[2])


def test_zero_is_grey_and_the_dead_look_it(rng):
    bank = rng.normal(size=(10, 9, 9))
    bank[4] *= 1e-3
    bank[5, 0, 0] = 0
    cells = plots.filter_cells(bank)
    assert cells[5, 0, 0] == 0.5
    assert np.abs(cells[4] - 0.5).max() < 0.05
    assert np.allclose(np.abs(np.delete(cells, 4, 0) - 0.5).max(axis=(1, 2)), 0.5)


def test_groups_are_drawn_under_their_headings(rng):
    bank = rng.normal(size=(6, 5, 5))
    groups = {"edges": [4, 1], "none": [], "rest": np.array([0, 2, 3, 5])}
    figure = plots.show_filters(bank, groups=groups, columns=2)
    assert [axes.get_title() for axes in figure.axes] == ["edges", "rest"]
    tops = [axes.get_position().y1 for axes in figure.axes]
    assert tops[0] > tops[1] and figure.axes[1].get_position().y0 >= -1e-6


@pytest.mark.parametrize(
    "model, options, message",
    [
        (nn.Conv2d(1, 4, 9), {}, "Conv2d is no models.SRCNN"),
        (network(), {"layer": 2}, "layer 2 have one pixel"),
        (network((9, 3, 5)), {"layer": 2}, "64×32 filters"),
        (network(), {"layer": 4}, "layer must be 1 to 3, not 4"),
        (network((1, 5), (4,)), {}, "one pixel"),
        (network(channels=2), {}, "2×64 filters"),
        (np.zeros((9, 9)), {}, "filters must be"),
        (network(), {"groups": {"none": []}}, "no filter to show"),
    ],
)
def test_what_cannot_be_drawn_is_said(model, options, message):
    with pytest.raises(ValueError, match=message):
        plots.show_filters(model, **options)


def test_spectra_are_bright_where_the_filter_listens():
    at = np.arange(9)
    stripes = np.cos(2 * np.pi * at / 4) * np.ones((9, 1))  # ¼ cycle per pixel
    sheet = pixels(plots.show_spectra(stripes[None], columns=1, size=32))[..., 0]
    assert sheet.shape == (32, 32)
    peak = np.unravel_index(sheet.argmax(), sheet.shape)
    assert peak[0] == 16 and abs(peak[1] - 16) == 8
    with pytest.raises(ValueError, match="one channel"):
        plots.show_spectra(network(channels=3))


def test_maps_are_stretched_each_for_itself(rng):
    maps = rng.random((3, 6, 7)) * np.array([1, 10, 0])[:, None, None]
    sheet = pixels(plots.show_maps(maps, columns=3))[..., 0]
    assert sheet.shape == (6, 3 * 7 + 2 * 4)
    for left in (0, 11):
        part = sheet[:, left : left + 7]
        assert part.min() == 0 and part.max() == pytest.approx(1)
    named = plots.show_maps(maps, ["a", "b", "c"], zoom=2)
    assert [axes.get_title() for axes in named.axes] == ["a", "b", "c"]


def test_receptive_field_is_framed_or_refused(rng):
    picture = rng.random((40, 50))
    figure = plots.show_receptive_field(picture, (20, 25), 13)
    box = figure.axes[0].patches[0]
    assert (box.get_x(), box.get_y(), box.get_width()) == (18.5, 13.5, 13)
    with pytest.raises(ValueError, match="leave the picture of 40×50"):
        plots.show_receptive_field(picture, (5, 25), 13)


# Recorded -------------------------------------------------------------------


def test_snapshots_begin_at_the_start_and_are_small():
    file = datasets.data_folder() / "studies" / "filter_snapshots.safetensors"
    tensors, card = checkpoints.read_tensors(file)
    moments = tensors["filters"]
    assert file.stat().st_size < 300_000
    assert moments.shape == (len(card["steps"]), 64, 9, 9)
    assert card["steps"][0] == 0 and card["steps"] == sorted(card["steps"])
    assert [row["step"] for row in card["history"]] == card["steps"][1:]
    seed = torch.Generator().manual_seed(card["config"]["seed"])
    start = models.initialise(models.SRCNN(), card["config"]["init"], seed)
    expected = start.convs[0].weight[:, 0].detach()
    assert torch.allclose(moments[0].float(), expected, atol=1e-3)
    beside = json.loads(file.with_suffix(".json").read_text("utf-8"))
    assert {k: v for k, v in beside.items() if k != "sha256"} == card
