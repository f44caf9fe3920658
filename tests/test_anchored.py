"""GR, ANR and A+: the matrices, the choice among them, the file."""

import numpy as np
import pytest
import torch

from srcnn_lib import datasets
from srcnn_lib.methods import anchored, patches, zeyde
from srcnn_lib.methods.anchored import Anchors


@pytest.fixture(scope="module")
def dictionary():
    """Random: 50 atoms, 12 features, for x2."""
    generator = torch.Generator().manual_seed(0)
    lr = torch.nn.functional.normalize(torch.randn(50, 12, generator=generator))
    hr = torch.randn(50, 36, generator=generator)
    return zeyde.Dictionary(torch.randn(12, 144, generator=generator), lr, hr)


@pytest.fixture(scope="module")
def pictures():
    found = datasets.load("demo-train")
    return [found[name][40:140, 60:180] for name in list(found)[:2]]


def test_ridge_projection_is_the_formula(dictionary):
    lr, hr = dictionary.lr.double(), dictionary.hr.double()
    gram = lr @ lr.T + 0.1 * torch.eye(50)
    expected = hr.T @ torch.linalg.inv(gram) @ lr
    found = anchored.ridge_projection(lr, hr, 0.1)
    assert torch.allclose(found, expected, atol=1e-9)


def test_anr_with_all_atoms_is_global_regression(dictionary):
    several = anchored.neighbourhoods(dictionary, 50, anchored.GR_RIDGE)
    seen = torch.randn(30, 12)
    gr = anchored.gr(dictionary, 2, "cpu").restore(seen)
    anr = anchored.anchored(dictionary.lr, several, dictionary.basis, 2, "cpu")
    assert several.shape == (50, 36, 12)
    assert torch.allclose(anr.restore(seen), gr, atol=1e-4)


def test_each_patch_takes_the_matrix_of_its_anchor(dictionary):
    projections = torch.randn(50, 36, 12)
    method = anchored.anchored(
        dictionary.lr, projections, dictionary.basis, 2, "cpu"
    )
    seen = torch.randn(200, 12)
    found = method.restore(seen)
    for x, patch in zip(seen, found):
        best = (dictionary.lr @ x).abs().argmax()
        assert torch.allclose(patch, projections[best] @ x, atol=1e-4)


def test_the_nearest_samples_are_found_chunk_by_chunk(monkeypatch, dictionary):
    generator = torch.Generator().manual_seed(1)
    seen = torch.nn.functional.normalize(torch.randn(500, 12, generator=generator))
    monkeypatch.setattr(anchored, "SEARCH_CHUNK", 64)
    found = anchored._nearest_samples(seen, dictionary.lr, 9, progress=False)
    distance = torch.cdist(dictionary.lr, seen)
    expected = distance.topk(9, largest=False).indices
    assert torch.equal(found.sort().values, expected.sort().values)


def test_aplus_recovers_a_linear_relation(monkeypatch, dictionary):
    """Where HR is a matrix times LR, every anchor finds that matrix."""
    true = torch.randn(36, 12)
    seen = torch.nn.functional.normalize(torch.randn(4000, 12))
    wanted = (seen @ true.T).half()
    monkeypatch.setattr(anchored, "_samples", lambda *a: (seen, wanted))
    learnt = anchored.learn_aplus([], 2, dictionary, neighbours=1000, progress=False)
    assert learnt.projections.shape == (50, 36, 12)
    assert torch.allclose(learnt.projections, true.expand(50, 36, 12), atol=0.05)


def test_samples_have_unit_norm_and_stop_where_told(dictionary, pictures):
    seen, wanted = anchored._samples(
        pictures, 2, dictionary.basis, 3000, progress=False
    )
    assert seen.shape == (3000, 12) and wanted.shape == (3000, 36)
    assert torch.allclose(seen.norm(dim=1), torch.ones(3000), atol=1e-4)
    (y, missing), *_ = patches.examples(pictures, 2)
    x = patches.features(y, 2, dictionary.basis)
    norm = x.norm(dim=1, keepdim=True)
    strong = norm[:, 0] > 0.1
    expected = patches.residual_patches(missing, 2) / norm
    found = wanted[: len(x)][strong[:3000]].float()
    assert torch.allclose(found, expected[:3000][strong[:3000]], atol=1e-3)


def test_too_few_samples(dictionary, pictures):
    with pytest.raises(ValueError, match="patches are too few for 2048"):
        anchored.learn_aplus(
            [pictures[0][:30, :30]], 2, dictionary, progress=False
        )
    with pytest.raises(ValueError, match="no picture is large enough"):
        anchored.learn_aplus([np.zeros((5, 5), np.uint8)], 2, dictionary)


def test_packed_anchors_are_about_the_same():
    generator = torch.Generator().manual_seed(2)
    smooth = torch.linspace(-1, 1, 36)[:, None] ** torch.arange(6)
    mixed = torch.randn(50, 6, 12, generator=generator)
    lr = torch.nn.functional.normalize(torch.randn(50, 12, generator=generator))
    anchors = Anchors(torch.randn(12, 144, generator=generator), lr, smooth @ mixed)
    tensors = anchored.pack(anchors, 2)
    assert tensors["levels"].dtype == torch.int8
    assert tensors["axes"].shape[0] <= 6
    back = anchored.unpack(tensors)
    assert torch.allclose(back.lr, anchors.lr, atol=1e-3)
    error = (back.projections - anchors.projections).square().mean()
    assert error < 0.01 * anchors.projections.square().mean()
