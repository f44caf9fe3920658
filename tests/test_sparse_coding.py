"""SC: lasso codes, dictionary learning, the method, Yang's number."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from srcnn_lib import datasets, images, methods, protocol
from srcnn_lib.methods import sparse_coding
from srcnn_lib.methods.sparse_codes import lasso
from srcnn_lib.methods.sparse_coding import Dictionaries, SparseCoding
from srcnn_lib.resize import imresize


def rows(count, size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(count, size, generator=generator).double())


@pytest.mark.parametrize("penalty", [0.5, 0.1, 0.02])
@pytest.mark.parametrize("atoms, solver", [(60, "LassoLars"), (15, "Lasso")])
def test_exact_codes_are_scikit_learns(penalty, atoms, solver):
    """Its LARS stops early where there are fewer atoms than numbers."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    dictionary, vectors = rows(atoms, 20), rows(40, 20, seed=1)
    codes = lasso(vectors, dictionary, penalty, exact=True)
    settings = {"tol": 1e-10} if solver == "Lasso" else {}
    settings |= {"positive": True, "fit_intercept": False}
    # It divides the squared error by the length.
    model = getattr(linear_model, solver)(alpha=penalty / 20, **settings)
    theirs = [model.fit(dictionary.T.numpy(), v.numpy()).coef_ for v in vectors]
    assert np.allclose(codes, theirs, rtol=0, atol=1e-6)
    assert (codes > 0).any()
    single = lasso(vectors.float(), dictionary.float(), penalty, exact=True)
    assert torch.allclose(single.double(), codes, rtol=0, atol=1e-3)


def test_parallel_atoms_cost_nothing():
    """Twins have many best codes; each is as good as without the twin."""
    vectors, dictionary = rows(50, 10, seed=1), rows(30, 10)

    def objective(dictionary):
        codes = lasso(vectors, dictionary, 0.05, exact=True)
        error = vectors - codes @ dictionary
        return error.square().sum(1) / 2 + 0.05 * codes.sum(1)

    twins = torch.cat([dictionary, dictionary[:10]])
    assert torch.allclose(objective(twins), objective(dictionary), atol=1e-6)


def test_the_originals_rule_goes_one_step_beyond():
    """The level where it ends is a corner of the path below the penalty."""
    dictionary, vectors = rows(50, 20), rows(30, 20, seed=1)
    codes = lasso(vectors, dictionary, 0.2)
    for vector, code in zip(vectors, codes):
        level = (dictionary @ (vector - code @ dictionary)).max()
        assert 0 <= level < 0.2
        exact = lasso(vector[None], dictionary, level.item(), exact=True)[0]
        assert torch.allclose(code, exact, atol=1e-4)
        alone = lasso(vector[None], dictionary, 0.2)[0]
        assert torch.allclose(code, alone, rtol=0, atol=1e-9)
    for exact in (False, True):
        assert not lasso(vectors * 0.19, dictionary, 0.2, exact=exact).any()
    assert lasso(vectors[:0], dictionary, 0.1).shape == (0, 50)


@pytest.mark.skipif(
    not (datasets.available("scsr-official") and datasets.available("Set5")),
    reason="needs scsr-official and Set5: srcnn data fetch",
)
def test_yangs_dictionaries_give_the_published_number():
    """Table 1: butterfly at x3; back-projection adds half a decibel."""
    method = methods.get("sc", model="official/yang", scale=3, device="cpu")
    for method.back_projections, psnr_db in [(0, 25.58), (20, 26.06)]:
        found = protocol.score(method, datasets.load("Set5")["butterfly"], 3).psnr_db
        assert found == pytest.approx(psnr_db, abs=0.02)


def test_back_projection_makes_it_shrink_to_the_input():
    lr_y = images.luma(datasets.load("demo-test")["coffee"][100:140, 200:250]) / 255
    pair = Dictionaries(rows(40, 144, 1).float(), rows(40, 81, 2).float(), 0.05)
    method = SparseCoding(pair, device="cpu")
    sr_y = method(lr_y, 3)
    results = [sparse_coding.back_project(sr_y, lr_y, n) for n in (0, 5, 20)]
    errors = [np.abs(imresize(result, 1 / 3) - lr_y).mean() for result in results]
    assert errors[1] < 0.3 * errors[0] and errors[2] < 0.5 * errors[1]
    method.back_projections = 5
    assert np.allclose(method(lr_y, 3), results[1], rtol=0, atol=1e-12)
