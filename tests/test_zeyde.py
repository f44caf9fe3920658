"""K-SVD: sparse codes, dictionary learning, Zeyde's own dictionary."""

import numpy as np
import pytest
import torch
from scipy.io import loadmat
from torch.nn import functional as F

from srcnn_lib import datasets, protocol
from srcnn_lib.methods import anchored, patches, zeyde


def atoms_of(k, d, seed=0):
    return F.normalize(torch.randn(k, d, generator=torch.Generator().manual_seed(seed)))


def planted(atoms, n):
    """Signals that are sums of three atoms."""
    generator = torch.Generator().manual_seed(1)
    taken = torch.rand(n, len(atoms), generator=generator).topk(3).indices
    weights = torch.rand(n, 3, generator=generator) + 0.5
    weights *= torch.randint(2, (n, 3), generator=generator) * 2 - 1
    return dense(taken, weights, len(atoms)) @ atoms


def dense(support, weights, k):
    return torch.zeros(len(support), k).scatter_(1, support, weights)


@pytest.mark.parametrize("nonzeros", [1, 2, 3, 5])
def test_omp_is_scikit_learns(monkeypatch, nonzeros):
    linear_model = pytest.importorskip("sklearn.linear_model")
    monkeypatch.setitem(patches.CHUNK, "cpu", 20)
    atoms, signals = atoms_of(60, 12), atoms_of(50, 12, seed=3)
    expected = linear_model.orthogonal_mp(
        atoms.T.double().numpy(), signals.T.double().numpy(), n_nonzero_coefs=nonzeros
    )
    found = dense(*zeyde.omp(signals, atoms, nonzeros), 60)
    assert np.allclose(found, expected.T, atol=1e-4)


def test_omp_of_what_needs_no_further_atom():
    """Zero, one atom alone, and more atoms than dimensions: none taken twice."""
    atoms = atoms_of(8, 2)
    signals = torch.stack([torch.zeros(2), 3 * atoms[0], torch.ones(2)])
    support, weights = zeyde.omp(signals, atoms, 4)
    assert torch.isfinite(weights).all()
    assert torch.allclose(dense(support, weights, 8) @ atoms, signals, atol=1e-4)
    assert weights[0].abs().max() == 0 and support[1, 0] == 0
    assert all(len(set(row)) == 4 for row in support.tolist())


@pytest.mark.parametrize("power_steps", [1, 50])
def test_an_update_of_the_atoms_never_raises_the_error(power_steps):
    """Also where few signals use an atom: the weights returned are the atoms' own."""
    signals = planted(atoms_of(40, 16), 60) + 0.1 * torch.randn(60, 16)
    atoms = atoms_of(64, 16, seed=7)
    support, weights = zeyde.omp(signals, atoms)
    uses = torch.bincount(support.flatten(), minlength=64)
    assert ((uses > 0) & (uses < zeyde.LEAST_USES)).any()

    def error(atoms, weights):
        return (dense(support, weights, 64) @ atoms - signals).square().sum()

    before = error(atoms, weights)
    new = zeyde.update_atoms(signals, atoms, support, weights, power_steps=power_steps)
    assert error(*new) < before


def test_the_dictionary_that_made_the_data_is_found():
    atoms = atoms_of(30, 20)
    signals = planted(atoms, 2000)
    found = zeyde.ksvd(signals, atoms=30, iterations=40)
    assert torch.allclose(found.norm(dim=1), torch.ones(30), atol=1e-5)
    likeness = (atoms @ found.T).abs().amax(1)
    assert (likeness > 0.99).float().mean() > 0.8


def test_atoms_that_few_use_become_the_signals_coded_worst():
    signals = planted(atoms_of(40, 16), 100) + 0.1 * torch.randn(100, 16)
    start, found = (zeyde.ksvd(signals, atoms=64, iterations=n) for n in (0, 1))
    likeness = (found @ F.normalize(signals).T).amax(1)
    changed = (found * start).sum(1) < 0.99
    assert (changed & (likeness > 1 - 1e-5)).sum() >= 5
    support, weights = zeyde.omp(signals, start)
    few = torch.bincount(support[weights != 0], minlength=64) < 4
    _, weights = zeyde.update_atoms(signals, start, support, weights, least_uses=4)
    assert ((weights == 0) == few[support]).all()  # the old atom's weights are gone


@pytest.fixture(scope="module")
def official():
    """Zeyde's dictionary of 1,000 atoms; its patches are column-major."""
    file = datasets.path("zeyde-official") / "conf.mat"
    conf = loadmat(file, simplify_cells=True)["conf"]

    def rows(columns):
        squares = columns.T.reshape(columns.shape[1], -1, 9, 9).swapaxes(2, 3)
        return torch.from_numpy(squares.reshape(len(squares), -1)).float()

    lr = torch.from_numpy(conf["dict_lores"].T).float()
    return zeyde.Dictionary(rows(conf["V_pca"]), lr, rows(conf["dict_hires"]))


@pytest.mark.skipif(
    not (datasets.available("zeyde-official") and datasets.available("Set5")),
    reason="needs zeyde-official, Set5: srcnn data fetch",
)
@pytest.mark.parametrize(
    "make, psnr_db", [(zeyde.ksvd_method, 31.905), (anchored.anr, 31.880)]
)
def test_zeydes_dictionary_gives_the_published_number(official, make, psnr_db):
    scores = protocol.evaluate(make(official, 3), datasets.load("Set5"), 3)
    assert protocol.mean(scores)[0] == pytest.approx(psnr_db, abs=0.002)
