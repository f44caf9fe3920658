"""Sparse coding as a network: the same picture, and parts that learn."""

from functools import partial

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from srcnn_lib import datasets, images, streaming
from srcnn_lib.chapters import unrolled
from srcnn_lib.chapters.unrolled import UnrolledMethod, UnrolledSC
from srcnn_lib.methods import sparse_coding
from srcnn_lib.methods.sparse_codes import ista, lasso
from srcnn_lib.methods.sparse_coding import Dictionaries, SparseCoding
from srcnn_lib.models import SRCNN
from srcnn_lib.resize import bicubic, imresize

pytestmark = pytest.mark.usefixtures("one_thread")


def random_dictionary(atoms, size, seed):
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(atoms, size, generator=generator, dtype=torch.float64)
    return F.normalize(rows)


def random_pair(scale, atoms=40):
    lr = random_dictionary(atoms, sparse_coding.FEATURES, 1)
    hr = random_dictionary(atoms, (3 * scale) ** 2, 2)
    hr = hr - hr.mean(1, keepdim=True)
    return Dictionaries(lr.float(), hr.float(), 0.05)


@pytest.fixture(scope="module")
def photograph():
    """Luma (60, 70), 0…1."""
    picture = datasets.load("demo-test")["coffee"][100:160, 200:270]
    return images.luma(picture) / 255


@pytest.fixture(scope="module")
def school():
    photographs = datasets.load("demo-train")
    return [photographs[name][100:220, 100:230] for name in photographs]


@pytest.fixture(scope="module")
def learnt(school):
    """64 atoms at x3."""
    return sparse_coding.train(
        dict(enumerate(school)), 3, atoms=64, samples=6000, passes=1,
        device="cpu", progress=False,
    )[0]  # fmt: skip


# The codes ------------------------------------------------------------------


def test_many_steps_give_scikit_learns_codes():
    linear_model = pytest.importorskip("sklearn.linear_model")
    dictionary, vectors = random_dictionary(15, 20, 0), random_dictionary(30, 20, 1)
    codes = ista(vectors, dictionary, 0.05, 3000)
    assert (codes > 0).any() and (codes >= 0).all()
    model = linear_model.Lasso(
        alpha=0.05 / 20, positive=True, fit_intercept=False, tol=1e-10
    )
    theirs = [model.fit(dictionary.T.numpy(), v.numpy()).coef_ for v in vectors]
    assert np.allclose(codes, theirs, rtol=0, atol=1e-7)


def test_many_steps_give_sporcos_codes():
    bpdn = pytest.importorskip("sporco.admm.bpdn")
    dictionary, vectors = random_dictionary(40, 20, 0), random_dictionary(10, 20, 1)
    options = bpdn.BPDN.Options(
        {"NonNegCoef": True, "RelStopTol": 1e-9, "MaxMainIter": 5000}
    )
    solver = bpdn.BPDN(dictionary.T.numpy(), vectors.T.numpy(), 0.05, options)
    theirs = solver.solve().T
    codes = ista(vectors, dictionary, 0.05, 20_000)
    assert np.allclose(codes, theirs, rtol=0, atol=1e-6)
    exact = lasso(vectors, dictionary, 0.05, exact=True)
    assert np.allclose(codes, exact, rtol=0, atol=1e-7)


def test_no_step_goes_up():
    dictionary, vectors = random_dictionary(60, 20, 0), random_dictionary(20, 20, 1)
    before = torch.full((20,), torch.inf, dtype=torch.float64)
    for steps in range(0, 30, 3):
        codes = ista(vectors, dictionary, 0.1, steps)
        error = (vectors - codes @ dictionary).square().sum(1) / 2
        now = error + 0.1 * codes.sum(1)
        assert (now <= before + 1e-12).all()
        before = now


# The same picture -----------------------------------------------------------


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("shape", [(40, 50), (5, 13), (17, 5)])
@pytest.mark.parametrize("steps", [1, 4])
def test_the_network_is_the_classic_pipeline(photograph, scale, shape, steps):
    """Every pixel of the picture, within 1e-4 grey levels."""
    lr_y = photograph[: shape[0], : shape[1]]
    pair = random_pair(scale)
    classic = SparseCoding(
        pair, device="cpu", dtype=torch.float64,
        solve=partial(ista, steps=steps),
    )(lr_y, scale)  # fmt: skip
    network = UnrolledSC(pair, steps, dtype=torch.float64)
    ours = UnrolledMethod(network)(lr_y, scale)
    assert ours.shape == classic.shape == tuple(scale * n for n in shape)
    assert 255 * np.abs(ours - classic).max() < 1e-4
    assert np.abs(ours - bicubic(lr_y, scale)).max() > 1e-3
    single = UnrolledMethod(UnrolledSC(pair, steps))(lr_y, scale)
    assert 255 * np.abs(single - classic).max() < 1e-2


def test_the_book_s_dictionaries_too(photograph):
    pair = sparse_coding.load(None, 3)
    solve = partial(ista, steps=2)
    classic = SparseCoding(pair, device="cpu", dtype=torch.float64, solve=solve)
    ours = UnrolledMethod(UnrolledSC(pair, 2, dtype=torch.float64))
    lr_y = photograph[:30, :30]
    assert 255 * np.abs(ours(lr_y, 3) - classic(lr_y, 3)).max() < 1e-4


def test_many_steps_are_the_exact_search(photograph):
    pair, lr_y = random_pair(3, atoms=20), photograph[:20, :20]
    exact = SparseCoding(
        pair, device="cpu", dtype=torch.float64,
        solve=partial(lasso, exact=True),
    )(lr_y, 3)  # fmt: skip
    ours = UnrolledMethod(UnrolledSC(pair, 2000, dtype=torch.float64))(lr_y, 3)
    assert 255 * np.abs(ours - exact).max() < 1e-4


def test_small_pictures_are_bicubic_and_other_scales_refused(photograph):
    method = UnrolledMethod(UnrolledSC(random_pair(3), 1))
    lr_y = photograph[:4, :9]
    assert np.array_equal(method(lr_y, 3), bicubic(lr_y, 3))
    with pytest.raises(ValueError, match="for x3, not x2"):
        method(lr_y, 2)
    with pytest.raises(ValueError, match="at least 1, not 0"):
        UnrolledSC(random_pair(3), 0)


def test_two_sided_codes_are_pairs_of_relus():
    """Twice the atoms, of both signs, and mixing that couples the pairs."""
    pair = random_pair(3, atoms=12)
    signed = UnrolledSC(pair, 3, two_sided=True, dtype=torch.float64)
    both = Dictionaries(
        torch.cat([pair.lr, -pair.lr]), torch.cat([pair.hr, -pair.hr]), 0.05
    )
    doubled = UnrolledSC(both, 3, dtype=torch.float64)
    with torch.no_grad():
        doubled.log_step.copy_(signed.log_step)
        # ISTA's own c - s·(G c - b), written for c = c⁺ - c⁻: the block that
        # takes c⁻ away from c⁺ is part of it, the 1/s.
        size, eye = signed.log_step[0].exp(), torch.eye(12).double()
        doubled.mixing[:] += torch.cat([
            torch.cat([0 * eye, eye / size], 1),
            torch.cat([eye / size, 0 * eye], 1),
        ])  # fmt: skip
    seen = torch.rand(
        1, 1, 24, 28, dtype=torch.float64,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    codes, pairs = signed.codes(seen), doubled.codes(seen)
    assert (codes < 0).any() and (pairs >= 0).all()
    assert torch.allclose(pairs[:, :12] - pairs[:, 12:], codes, atol=1e-12)
    assert torch.allclose(doubled(seen), signed(seen), atol=1e-12)


def test_brightness_passes_and_contrast_scales():
    """What the patch's mean and the length of its features are for."""
    model = UnrolledSC(random_pair(3), 3, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    seen = torch.rand(1, 1, 24, 24, generator=generator, dtype=torch.float64)
    assert (model.contrast(seen) > 1.5).all()
    before = model(seen)
    assert torch.allclose(model(seen + 0.2), before + 0.2, atol=1e-12)
    assert torch.allclose(model(0.7 * seen), 0.7 * before, atol=1e-12)
    model.without_contrast(1.0)
    assert not torch.allclose(model(0.7 * seen), 0.7 * model(seen), atol=1e-3)


def test_all_directions_kept_change_nothing(photograph):
    pair = random_pair(3, atoms=100)
    seen = torch.from_numpy(imresize(photograph[:20, :20], 2))[None, None]
    model = UnrolledSC(pair, 2, dtype=torch.float64)
    before = model(seen)
    model.narrow(81)
    assert model.reduction.shape == (81, 100)
    assert torch.allclose(model(seen), before, atol=1e-10)
    few = UnrolledSC(pair, 2, dtype=torch.float64).narrow(10)(seen)
    assert (few - before).abs().max() > 1e-3


# Learning -------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(30, 33), (60, 63)])
def test_zoomed_is_the_twofold_enlargement(photograph, shape):
    lr_y = photograph[: shape[0] // 3, : shape[1] // 3]
    y = torch.from_numpy(bicubic(lr_y, 3))[None, None]
    seen = unrolled.zoomed(y, 3)[0, 0].numpy()
    assert np.allclose(seen, imresize(lr_y, 2), atol=1e-12)
    with pytest.raises(ValueError, match="only odd scales"):
        unrolled.zoomed(y, 2)


def test_enhance_is_the_method(photograph):
    model = UnrolledSC(random_pair(3), 2, dtype=torch.float64)
    y = bicubic(photograph, 3)
    with torch.no_grad():
        ours = model.enhance(torch.from_numpy(y)[None, None])[0, 0].numpy()
    assert np.allclose(ours, UnrolledMethod(model)(photograph, 3), atol=1e-12)


def test_windows_show_what_whole_pictures_do(learnt, school):
    """Nothing of a window's edge is in what `fit` compares."""
    y, hr_y = streaming.pair(school[0], 3)
    whole = torch.from_numpy(y)[None, None]
    subs = unrolled.windows([(y, hr_y)], 3)
    starts, widths = subs.grid()
    cut, label = subs.cut(starts[30:31], widths[30:31])
    row, column = divmod(int(starts[30]), int(widths[30]))
    there = np.s_[..., row + 15 : row + 45, column + 15 : column + 45]
    assert torch.equal(label[0, 0], torch.from_numpy(hr_y)[there[1:]])
    for model in (UnrolledSC(learnt, 2), SRCNN()):
        call = model.enhance if isinstance(model, UnrolledSC) else model
        with torch.no_grad():
            ours = unrolled._inside(model, cut, subs.border)
            assert torch.allclose(ours, call(whole)[there], atol=1e-5)


@pytest.mark.parametrize("freedom", unrolled.FREEDOMS)
def test_what_is_let_go_learns_and_nothing_else(learnt, school, freedom):
    model = UnrolledSC(learnt, 3).let_go(freedom)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    losses = unrolled.fit(
        model, unrolled.windows(school, 3), 30, batch=4, learning_rate=3e-3
    )
    for name, value in model.state_dict().items():
        moved = not torch.equal(value, before[name])
        assert moved == (name in unrolled.FREEDOMS[freedom]), name
    assert len(losses) == 30 and np.isfinite(losses).all()


@pytest.mark.parametrize("two_sided", [False, True])
def test_learning_lowers_the_error(learnt, school, two_sided):
    """LISTA from the dictionary: what few steps lack, learning makes up."""
    pairs = [streaming.pair(image, 3) for image in school]
    subs = unrolled.windows(pairs, 3)
    freedoms = ("thresholds", "lr dictionary", "hr dictionary")

    def error(model):
        y, hr_y = (torch.from_numpy(a)[None, None] for a in pairs[0])
        with torch.no_grad():
            return F.mse_loss(model.enhance(y), hr_y).item()

    model = UnrolledSC(learnt, 2, two_sided=two_sided).let_go(*freedoms)
    before = error(model)
    losses = unrolled.fit(model, subs, 60, learning_rate=3e-3)
    assert error(model) < 0.9 * before
    again = UnrolledSC(learnt, 2, two_sided=two_sided).let_go(*freedoms)
    repeated = unrolled.fit(again, subs, 60, learning_rate=3e-3)[:3]
    assert repeated == pytest.approx(losses[:3], rel=1e-4)


def test_nothing_to_learn_and_unknown_freedoms(learnt, school):
    model = UnrolledSC(learnt, 1)
    with pytest.raises(ValueError, match="nothing is let go"):
        unrolled.fit(model, unrolled.windows(school, 3), 1)
    with pytest.raises(ValueError, match="thresholds, averaging.*'bias'"):
        model.let_go("bias")


def test_srcnn_begins_as_sparse_coding(learnt, school):
    """Better than bicubic interpolation before any training."""
    pairs = [streaming.pair(image, 3) for image in school]
    model = unrolled.start_srcnn(learnt, pairs)
    assert model.architecture.name == "9-1-5"
    errors = []
    for y, hr_y in pairs:
        with torch.no_grad():
            sr_y = model(torch.from_numpy(y)[None, None])[0, 0].numpy()
        inner = np.s_[9:-9, 9:-9]
        errors.append([np.square(a - hr_y)[inner].mean() for a in (sr_y, y)])
    ours, theirs = np.mean(errors, axis=0)
    assert ours < theirs
    flat = torch.full((1, 1, 20, 20), 0.4)
    with torch.no_grad():
        assert torch.allclose(model(flat), flat, atol=0.02)
    with pytest.raises(ValueError, match="at least 63 atoms, not 40 for x2"):
        unrolled.start_srcnn(random_pair(2), pairs)
