"""GR, ANR and A+: the matrices, the choice among them, the file."""

import pytest
import torch
from torch.nn import functional as F

from srcnn_lib import datasets, results
from srcnn_lib.images import luma
from srcnn_lib.methods import anchored, patches, zeyde
from srcnn_lib.methods.anchored import Anchors
from srcnn_lib.resize import imresize


@pytest.fixture(scope="module")
def pair():
    """Random: 50 atoms, 12 features, for x2."""
    generator = torch.Generator().manual_seed(0)
    lr = F.normalize(torch.randn(50, 12, generator=generator))
    hr = torch.randn(50, 36, generator=generator)
    return zeyde.Dictionary(torch.randn(12, 144, generator=generator), lr, hr)


def test_ridge_projection_is_the_formula(pair):
    lr, hr = pair.lr.double(), pair.hr.double()
    gram = lr @ lr.T + 0.1 * torch.eye(50)
    expected = hr.T @ torch.linalg.inv(gram) @ lr
    found = anchored.ridge_projection(lr, hr, 0.1)
    assert torch.allclose(found, expected, atol=1e-9)


def test_anr_with_all_atoms_is_global_regression(pair):
    several, seen = anchored.neighbourhoods(pair, 50, 0.1), torch.randn(30, 12)
    anr = anchored.aplus(Anchors(pair.basis, pair.lr, several), 2).restore(seen)
    assert torch.allclose(anr, anchored.gr(pair, 2).restore(seen), atol=1e-4)


def test_each_patch_takes_the_matrix_of_its_anchor(pair):
    projections, seen = torch.randn(50, 36, 12), torch.randn(200, 12)
    method = anchored.aplus(Anchors(pair.basis, pair.lr, projections), 2)
    best = (seen @ pair.lr.T).abs().argmax(1)
    expected = (projections[best] @ seen[..., None])[..., 0]
    assert torch.allclose(method.restore(seen), expected, atol=1e-4)


@pytest.mark.parametrize("most", [3000, 10**6])
def test_aplus_regresses_on_the_nearest_of_the_first_samples(pair, most):
    found = datasets.load("demo-train")
    pictures = [luma(found[name][40:90, 60:130]) for name in list(found)[:2]]
    learnt = anchored.learn_aplus(pictures, 2, pair, most=most, neighbours=300)
    sizes = [imresize(y, 0.98**n) for n in range(12) for y in pictures]
    seen, wanted = patches.training_patches(
        sizes, lambda y: patches.features(y, 2, pair.basis), 2
    )
    norm = seen.norm(dim=1, keepdim=True)
    wanted = wanted / torch.where(norm < 0.1, 1, norm)
    seen, wanted = (seen / norm)[:most], wanted[:most]
    for k in (0, 31):
        near = (seen - pair.lr[k]).norm(dim=1).topk(300, largest=False).indices
        expected = anchored.ridge_projection(seen[near], wanted[near], 0.1)
        assert torch.allclose(learnt.projections[k], expected, atol=2e-3)


def test_packed_anchors_are_about_the_same(pair):
    smooth = torch.linspace(-1, 1, 36)[:, None] ** torch.arange(6)
    anchors = Anchors(pair.basis, pair.lr, smooth @ torch.randn(50, 6, 12))
    tensors = anchored.pack(anchors, 2)
    assert tensors["levels"].dtype == torch.int8 and len(tensors["axes"]) <= 6
    back = anchored.unpack(**{name: t.float() for name, t in tensors.items()})
    assert torch.allclose(back.lr, anchors.lr, atol=1e-3)
    error = (back.projections - anchors.projections).square().mean()
    assert error < 0.01 * anchors.projections.square().mean()


def test_packing_costs_little_on_pictures_that_taught_nothing():
    rows = results.study("packing")
    assert sorted(row["scale"] for row in rows) == [2, 3, 4]
    for row in rows:
        assert "held-out" in row["judged_by"]
        assert abs(row["psnr_db"] - row["packed_psnr_db"]) < 0.005
