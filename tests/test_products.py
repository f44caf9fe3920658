"""The network as matrix products, and Muon."""

import pytest
import torch

from srcnn_lib import datasets, products
from srcnn_lib.models import SRCNN, initialise
from srcnn_lib.muon import Muon, orthogonalise
from srcnn_lib.training import SubImages


@pytest.mark.parametrize(
    "f, n",
    [
        ((9, 1, 5), (64, 32)),
        ((9, 5, 5), (7, 5)),
        ((5, 3, 1, 3), (4, 6, 3)),
        ((3, 1), (4,)),
    ],
    ids=lambda x: "-".join(map(str, x)),
)
def test_products_are_the_network(f, n):
    """Values and gradients, against the convolutions in float64."""
    generator = torch.Generator().manual_seed(1)
    model = SRCNN(f, n).double()
    y = torch.rand(3, 1, 21, 24, generator=generator, dtype=torch.float64)
    expected = model(y, "valid")
    weight = torch.randn(expected.shape, generator=generator).double()
    wanted = torch.autograd.grad((weight * expected).sum(), model.parameters())
    out = products.forward(model, y)
    got = torch.autograd.grad((weight * out).sum(), model.parameters())
    assert out.shape == expected.shape
    assert torch.allclose(out, expected, atol=1e-12)
    for a, b in zip(got, wanted):
        assert torch.allclose(a, b, atol=1e-10)


def test_columns_are_patches():
    y = torch.arange(2 * 5 * 6.0).view(2, 5, 6)
    patches = products.columns(y, 3)
    assert patches.shape == (9, 2, 3, 4)
    assert torch.equal(patches[:, 1, 2, 3].view(3, 3), y[1, 2:5, 3:6])


@pytest.mark.parametrize("shape", [(64, 81), (81, 64), (1, 9)])
def test_orthogonalise(shape):
    """The singular vectors stay, the values come near one."""
    generator = torch.Generator().manual_seed(2)
    rank = min(shape)
    u, _ = torch.linalg.qr(torch.randn(shape[0], rank, generator=generator))
    v, _ = torch.linalg.qr(torch.randn(shape[1], rank, generator=generator))
    values = torch.logspace(0, -1.5, rank) * 37
    out = orthogonalise(u * values @ v.t())
    middle = u.t() @ out @ v
    assert torch.allclose(
        middle - middle.diagonal().diag(), torch.zeros(()), atol=1e-4
    )
    assert middle.diagonal().min() > 0.5 and middle.diagonal().max() < 1.3
    assert torch.equal(orthogonalise(torch.zeros(shape)), torch.zeros(shape))


@pytest.mark.skipif(
    not hasattr(torch.optim, "Muon"), reason="needs PyTorch 2.9's Muon"
)
def test_muon_is_pytorchs_for_the_filters_and_adam_for_the_rest():
    """PyTorch's multiplies in bfloat16, hence the tolerance."""
    torch.manual_seed(3)
    ours, theirs = SRCNN((5, 1, 3), (9, 6)), SRCNN((5, 1, 3), (9, 6))
    theirs.load_state_dict(ours.state_dict())
    optimiser = Muon(ours, 0.02)
    matrices = [
        torch.nn.Parameter(conv.weight.detach().flatten(1))
        for conv in theirs.convs[:-1]
    ]
    rest = [c.bias for c in theirs.convs] + [theirs.convs[-1].weight]
    muon = torch.optim.Muon(matrices, lr=0.02, weight_decay=0)
    adam = torch.optim.Adam(rest, lr=0.002)
    for _ in range(3):
        for mine, other in zip(ours.parameters(), theirs.parameters()):
            mine.grad = torch.randn(mine.shape) ** 3
            other.grad = mine.grad.clone()
        for matrix, conv in zip(matrices, theirs.convs):
            matrix.grad = conv.weight.grad.flatten(1)
        optimiser.step(), muon.step(), adam.step()
    for matrix, conv in zip(matrices, ours.convs):
        step = (matrix - conv.weight.flatten(1)).abs().max()
        assert step < 0.02 * 3 * 0.1
    for mine, other in zip(ours.convs, theirs.convs):
        assert torch.allclose(mine.bias, other.bias, atol=1e-6)
    assert torch.allclose(
        ours.convs[-1].weight, theirs.convs[-1].weight, atol=1e-6
    )


def test_a_silent_filter_is_revived_and_the_answer_kept():
    generator = torch.Generator().manual_seed(4)
    model = initialise(SRCNN((5, 1, 3), (6, 5)), "identity", generator)
    optimiser = Muon(model, 0.0)
    with torch.no_grad():  # all are read, but two are behind their ReLU
        for conv in model.convs[1:]:
            conv.weight.normal_(0, 0.1, generator=generator)
        model.convs[0].bias[3] = -100
        model.convs[1].bias[2] = -100
    y = torch.rand(8, 1, 15, 15, generator=generator)
    for _ in range(3):
        optimiser.zero_grad()
        (model(y, "valid") ** 2).mean().backward()
        optimiser.step()
    before = model(y, "valid")
    assert optimiser.revive(generator) == 2
    assert torch.allclose(model(y, "valid"), before, atol=1e-6)
    maps = torch.relu(model.convs[0](y))
    assert (maps.amax((0, 2, 3)) > 0).all()
    assert (torch.relu(model.convs[1](maps)).amax((0, 2, 3)) > 0).all()
    with torch.no_grad():
        for conv in model.convs[1:]:
            conv.weight.add_(0.01)  # the new ones are read again
    (model(y, "valid") ** 2).mean().backward()
    optimiser.step()
    assert optimiser.revive(generator) == 0


def test_the_usual_start_leaves_no_filter_silent():
    """Sub-images of a photograph; PyTorch's start silences many."""
    picture = next(iter(datasets.load("demo-train").values()))
    y = SubImages([picture], 3, 33, 6).draw(64, torch.Generator())[0]
    silent = {}
    for how in ("default", "identity"):
        model = initialise(SRCNN(), how, torch.Generator().manual_seed(0))
        maps = torch.relu(model.convs[0](y))
        silent[how] = int((maps.amax((0, 2, 3)) == 0).sum())
    assert silent["default"] > silent["identity"] == 0
