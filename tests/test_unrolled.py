"""Sparse coding as a network: the same picture, and parts that learn.

Chapter 9 asserts that its codes are those of other solvers.
"""

import copy
from functools import partial

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from srcnn_lib import datasets, images, protocol
from srcnn_lib.chapters import unrolled
from srcnn_lib.chapters.unrolled import FREEDOMS, UnrolledMethod, UnrolledSC
from srcnn_lib.methods import sparse_coding
from srcnn_lib.methods.sparse_codes import ista
from srcnn_lib.methods.sparse_coding import FEATURES, Dictionaries, SparseCoding
from srcnn_lib.methods.srcnn import SRCNNMethod
from srcnn_lib.models import SRCNN
from srcnn_lib.resize import bicubic, imresize

pytestmark = pytest.mark.usefixtures("one_thread")


def random_pair(scale, atoms=40):
    seeded, sizes = torch.Generator().manual_seed(1), (FEATURES, (3 * scale) ** 2)
    lr, hr = (F.normalize(torch.randn(atoms, n, generator=seeded)) for n in sizes)
    return Dictionaries(lr, hr - hr.mean(1, keepdim=True), 0.05)


@pytest.fixture(scope="module")
def photograph():
    """Luma (60, 70), 0…1."""
    return images.luma(datasets.load("demo-test")["coffee"])[100:160, 200:270] / 255


@pytest.fixture(scope="module")
def school():
    photographs = datasets.load("demo-train")
    cut = [photographs[name][100:220, 100:230] for name in photographs]
    return cut, [protocol.pair(image, 3) for image in cut]


@pytest.fixture(scope="module")
def learnt(school):
    """64 atoms at x3."""
    return sparse_coding.learn_sc(school[0], 3, atoms=64, samples=6000, passes=1)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("shape, steps", [((40, 50), 4), ((5, 13), 1), ((17, 5), 4)])
def test_the_network_is_the_classic_pipeline(photograph, scale, shape, steps):
    """Every pixel of the picture, within 1e-4 grey levels."""
    lr_y, pair = photograph[: shape[0], : shape[1]], random_pair(scale)
    solve = partial(ista, steps=steps)
    classic = SparseCoding(pair, device="cpu", dtype=torch.float64, solve=solve)
    expected = classic(lr_y, scale)
    ours = UnrolledMethod(UnrolledSC(pair, steps, dtype=torch.float64))(lr_y, scale)
    assert ours.shape == expected.shape == tuple(scale * n for n in shape)
    assert 255 * np.abs(ours - expected).max() < 1e-4
    assert np.abs(ours - bicubic(lr_y, scale)).max() > 1e-3
    single = UnrolledMethod(UnrolledSC(pair, steps))(lr_y, scale)
    assert 255 * np.abs(single - expected).max() < 1e-2


def test_small_pictures_are_bicubic_and_unfit_requests_refused(photograph, learnt):
    method = UnrolledMethod(UnrolledSC(random_pair(3), 1))
    lr_y = photograph[:4, :9]
    assert np.array_equal(method(lr_y, 3), bicubic(lr_y, 3))
    for call, said in (
        (lambda: method(lr_y, 2), "x3, not x2"),
        (lambda: UnrolledSC(random_pair(3), 0), "at least 1"),
        (lambda: UnrolledSC(random_pair(3), 1).let_go("bias"), "'bias'"),
        (lambda: unrolled.fine_tune(UnrolledSC(learnt, 1), None, 1), "let go"),
        (lambda: unrolled.zoomed(torch.zeros(1, 1, 8, 8), 2), "odd scales"),
        (lambda: unrolled.start_srcnn(random_pair(2), []), "63"),
    ):
        with pytest.raises(ValueError, match=said):
            call()


def test_brightness_passes_contrast_scales_and_all_directions_change_nothing():
    seen = torch.rand(1, 1, 24, 24, generator=torch.Generator().manual_seed(0)).double()
    model = UnrolledSC(random_pair(3, atoms=100), 3, dtype=torch.float64)
    assert (model.contrast(seen) > 1.5).all()
    before = model(seen)
    assert torch.allclose(model(seen + 0.2), before + 0.2, atol=1e-12)
    assert torch.allclose(model(0.7 * seen), 0.7 * before, atol=1e-12)
    assert torch.allclose(model.narrow(81)(seen), before, atol=1e-10)
    model.without_contrast(1.0)
    assert not torch.allclose(model(0.7 * seen), 0.7 * model(seen), atol=1e-3)


def test_windows_and_the_method_show_what_whole_pictures_do(learnt, school):
    """Nothing of a window's edge is in what `fine_tune` compares."""
    whole, hr_y = (torch.from_numpy(a)[None, None] for a in school[1][0])
    subs = unrolled.training_windows(school[0][:1], 3)
    cut, label = subs.cut(subs.grid()[30:31])
    _, row, column = subs.grid()[30]
    there = np.s_[..., row + 15 : row + 45, column + 15 : column + 45]
    assert torch.equal(label, hr_y[there])
    network = UnrolledSC(learnt, 2)
    with torch.no_grad():
        for model, call in (network, network.enhance), (srcnn := SRCNN(), srcnn):
            ours = unrolled._inside(model, cut, subs.border)
            assert torch.allclose(ours, call(whole)[there], atol=1e-5)
        lr_y = protocol.degrade(school[0][0], 3)[1]
        ours = network.enhance(whole)[0, 0].numpy()
    assert np.allclose(ours, UnrolledMethod(network)(lr_y, 3), atol=1e-5)
    twice = unrolled.zoomed(torch.from_numpy(bicubic(lr_y, 3))[None, None], 3)
    assert np.allclose(twice[0, 0], imresize(lr_y, 2), atol=1e-12)


@pytest.mark.parametrize("two_sided", [False, True])
@pytest.mark.parametrize("free", [*((f,) for f in FREEDOMS), tuple(FREEDOMS)])
def test_what_is_let_go_learns_and_nothing_else(learnt, school, free, two_sided):
    """LISTA from the dictionary: what few steps lack, learning makes up."""
    y, hr_y = (torch.from_numpy(a)[None, None] for a in school[1][0])
    model = UnrolledSC(learnt, 2, two_sided=two_sided).let_go(*free)
    before, steps = copy.deepcopy(model), 60 if len(free) > 1 else 5
    windows = unrolled.training_windows(school[0], 3)
    losses = unrolled.fine_tune(model, windows, steps, learning_rate=3e-3)
    names = {name for freedom in free for name in FREEDOMS[freedom]}
    for name, value in before.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]) == (name not in names), name
    assert len(losses) == steps and np.isfinite(losses).all()
    with torch.no_grad():
        first, last = (F.mse_loss(m.enhance(y), hr_y) for m in (before, model))
    assert steps == 5 or last < 0.9 * first


def test_srcnn_begins_as_sparse_coding(learnt, school):
    """Better than bicubic interpolation before any training."""
    model = unrolled.start_srcnn(learnt, school[1])
    assert model.architecture.name == "9-1-5"
    errors, inner = [], np.s_[9:-9, 9:-9]
    for y, hr_y in school[1]:
        sr_y = SRCNNMethod(model, "cpu").enhance(y)
        errors.append([np.square(a - hr_y)[inner].mean() for a in (sr_y, y)])
    ours, theirs = np.mean(errors, axis=0)
    assert ours < theirs
    flat = torch.full((1, 1, 20, 20), 0.4)
    assert torch.allclose(model(flat), flat, atol=0.02)
