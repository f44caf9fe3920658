"""K-SVD: sparse codes, dictionary learning, Zeyde's own dictionary."""

import numpy as np
import pytest
import torch

from srcnn_lib import datasets, protocol
from srcnn_lib.methods import patches, zeyde

needs_zeyde = pytest.mark.skipif(
    not (datasets.available("zeyde-official") and datasets.available("Set5")),
    reason="needs zeyde-official, Set5: srcnn data fetch",
)


def atoms_of(k, d, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(k, d, generator=generator))


def planted(atoms, n, nonzeros=3, seed=1):
    """Signals that are sums of few atoms."""
    rng = np.random.default_rng(seed)
    codes = np.zeros((n, len(atoms)), np.float32)
    for row in codes:
        at = rng.choice(len(atoms), nonzeros, replace=False)
        row[at] = rng.choice([-1, 1], nonzeros) * rng.uniform(0.5, 2, nonzeros)
    return torch.from_numpy(codes) @ atoms


def dense(support, weights, k):
    return torch.zeros(len(support), k).scatter_(1, support, weights)


@pytest.mark.parametrize("nonzeros", [1, 2, 3, 5])
def test_omp_is_scikit_learns(nonzeros):
    linear_model = pytest.importorskip(
        "sklearn.linear_model", reason="needs scikit-learn"
    )
    atoms = atoms_of(60, 12)
    signals = torch.randn(50, 12, generator=torch.Generator().manual_seed(3))
    expected = linear_model.orthogonal_mp(
        atoms.T.double().numpy(), signals.T.double().numpy(), n_nonzero_coefs=nonzeros
    )
    found = dense(*zeyde.omp(signals, atoms, nonzeros), 60)
    assert np.allclose(found, expected.T, atol=1e-4)


def test_omp_in_chunks_equals_the_whole(monkeypatch):
    atoms = atoms_of(30, 10)
    signals = torch.randn(25, 10)
    support, weights = zeyde.omp(signals, atoms)
    monkeypatch.setitem(patches.CHUNK, "cpu", 4)
    in_chunks = zeyde.omp(signals, atoms)
    assert torch.equal(support, in_chunks[0])
    assert torch.allclose(weights, in_chunks[1], atol=1e-6)


def test_omp_of_what_needs_no_further_atom():
    """Zero, one atom alone, and more atoms than dimensions: all finite."""
    atoms = atoms_of(8, 2)
    signals = torch.stack([torch.zeros(2), 3 * atoms[5], torch.ones(2)])
    support, weights = zeyde.omp(signals, atoms, 4)
    assert torch.isfinite(weights).all()
    assert torch.allclose(dense(support, weights, 8) @ atoms, signals, atol=1e-4)
    assert weights[0].abs().max() == 0 and support[1, 0] == 5


def test_the_dictionary_that_made_the_data_is_found():
    atoms = atoms_of(30, 20)
    signals = planted(atoms, 2000)
    found = zeyde.ksvd(signals, atoms=30, iterations=40, progress=False)
    assert torch.allclose(found.norm(dim=1), torch.ones(30), atol=1e-5)
    likeness = (atoms @ found.T).abs().amax(1)
    assert (likeness > 0.99).float().mean() > 0.9


def test_iterations_lower_the_error():
    signals = planted(atoms_of(40, 16), 800) + 0.05 * torch.randn(800, 16)

    def error(iterations):
        d = zeyde.ksvd(signals, atoms=32, iterations=iterations, progress=False)
        return (dense(*zeyde.omp(signals, d), 32) @ d - signals).square().mean()

    assert error(8) < 0.9 * error(0)


def test_too_few_signals():
    with pytest.raises(ValueError, match="3 patches.*too few to learn 4 atoms"):
        zeyde.ksvd(torch.eye(3), atoms=4)
    with pytest.raises(ValueError, match="no picture is large enough"):
        zeyde.learn([np.zeros((9, 9), np.uint8)], 3)


def test_hr_atoms_by_least_squares():
    atoms, wanted = atoms_of(12, 8), torch.randn(200, 5)
    codes = zeyde.omp(torch.randn(200, 8), atoms)
    expected = torch.linalg.lstsq(dense(*codes, 12), wanted).solution
    assert torch.allclose(zeyde.fit_hr(codes, wanted, 12), expected, atol=1e-3)


@pytest.mark.parametrize("scale", [2, 3])
def test_a_small_dictionary_beats_bicubic(scale):
    school, test = datasets.load("demo-train"), datasets.load("demo-test")
    images = [school[name][50:200, 50:250] for name in list(school)[:4]]
    d = zeyde.learn(images, scale, atoms=128, iterations=3, progress=False)
    assert d.lr.shape == (128, len(d.basis)) and d.hr.shape == (128, 9 * scale**2)
    assert d.basis.shape[1] == 36 * scale**2
    picture = test["coffee"][100:220, 200:350]
    bicubic = protocol.score(lambda y, s: protocol.imresize(y, s), picture, scale)
    method = zeyde.method(d, scale, "cpu")
    assert protocol.score(method, picture, scale).psnr_db > bicubic.psnr_db + 0.3


def official():
    """Zeyde's dictionary of 1,000 atoms; its patches are column-major."""
    from scipy.io import loadmat

    file = datasets.path("zeyde-official") / "conf.mat"
    conf = loadmat(file, simplify_cells=True)["conf"]

    def rows(columns):
        squares = columns.T.reshape(columns.shape[1], -1, 9, 9).swapaxes(2, 3)
        return torch.from_numpy(squares.reshape(len(squares), -1)).float()

    lr = torch.from_numpy(conf["dict_lores"].T).float()
    return zeyde.Dictionary(rows(conf["V_pca"]), lr, rows(conf["dict_hires"]))


@needs_zeyde
def test_zeydes_dictionary_gives_its_number():
    method = zeyde.method(official(), 3, "cpu")
    scores = protocol.evaluate(method, datasets.load("Set5"), 3)
    assert protocol.mean(scores)[0] == pytest.approx(31.905, abs=0.002)


@needs_zeyde
def test_with_zeydes_dictionary_anr_gives_its_number():
    from srcnn_lib.methods import anchored

    method = anchored.anr(official(), 3, "cpu")
    scores = protocol.evaluate(method, datasets.load("Set5"), 3)
    assert protocol.mean(scores)[0] == pytest.approx(31.880, abs=0.002)
