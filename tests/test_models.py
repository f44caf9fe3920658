"""The network: its sizes, its padding, its arithmetic, its three starts."""

import numpy as np
import pytest
import torch

from srcnn_lib import results
from srcnn_lib.chapters.successors import ESPCN, FSRCNN, VDSR
from srcnn_lib.models import SRCNN, Architecture, choose_device, initialise
from srcnn_lib.muon import Muon


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def random_network(*shape, seed=0):
    return initialise(SRCNN(*shape), "default", seeded(seed)).double()


# Sizes ---------------------------------------------------------------------


@pytest.mark.parametrize("name", results.WEIGHTS)
def test_number_of_weights_equals_the_papers(name):
    model = SRCNN(*Architecture.parse(name))
    assert model.count_weights() == results.WEIGHTS[name]
    assert model.count_weights(biases=True) == results.WEIGHTS[name] + 64 + 32 + 1
    fields = {"9-1-5": 13, "9-3-5": 15, "9-5-5": 17}
    assert model.architecture.receptive_field == fields[name]
    lost = fields[name] - 1
    assert model(torch.zeros(1, 1, 33, 33), "valid").shape[-1] == 33 - lost


@pytest.mark.parametrize("f", [(9, 1, 5), (9, 5, 5), (3, 3), (9, 1, 1, 5)])
def test_receptive_field_is_what_one_output_pixel_sees(f):
    """By the gradient: which input pixels move the middle output pixel?"""
    n = (4, 3, 2)[: len(f) - 1]
    model = random_network(f, n)
    for parameter in model.parameters():
        parameter.data.abs_()  # no ReLU is off, nothing cancels
    a = model.architecture
    assert a.receptive_field == 1 + sum(size - 1 for size in f)
    y = torch.rand(1, 1, 31, 31, dtype=torch.float64, requires_grad=True)
    model(y)[0, 0, 15, 15].backward()
    rows, columns = np.nonzero(y.grad[0, 0].numpy())
    reach = a.receptive_field // 2
    assert (rows.min(), rows.max()) == (15 - reach, 15 + reach)
    assert (columns.min(), columns.max()) == (15 - reach, 15 + reach)


# Names ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, f, n",
    [
        ("9-1-5", (9, 1, 5), (64, 32)),
        ("9-5-5", (9, 5, 5), (64, 32)),
        ("9-1-5_128-64", (9, 1, 5), (128, 64)),
        ("9-1-1-5_64-32-16", (9, 1, 1, 5), (64, 32, 16)),
        ("9-5_64", (9, 5), (64,)),
    ],
)
def test_names_of_architectures_and_back(name, f, n):
    a = Architecture.parse(name)
    assert (a.f, a.n, a.channels) == (f, n, 1)
    assert a.name == name
    assert Architecture.parse("9-1-5_64-32").name == "9-1-5"
    y = torch.rand(1, 1, 20, 24)
    model = SRCNN(*a)
    assert len(model.convs) == len(f)
    assert model(y).shape == y.shape
    assert model.architecture == a


@pytest.mark.parametrize(
    "name, said",
    [
        ("9-1-", "must look like 9-1-5"),
        ("9x1x5", "must look like 9-1-5"),
        ("9-1-5_64", "3 layers need 2 numbers of filters, not 1"),
        ("9-1-1-5", "4 layers need 3 numbers of filters, not 2"),
        ("9-0-5", "odd"),
        ("9-1-5_0-32", "begin at 1"),
    ],
)
def test_bad_names_of_architectures(name, said):
    with pytest.raises(ValueError, match=said):
        Architecture.parse(name)


def test_bad_numbers():
    with pytest.raises(ValueError, match="odd"):
        SRCNN((9, 4, 5))
    with pytest.raises(ValueError, match="numbers of filters, not 1"):
        SRCNN((9, 1, 5), (64,))
    with pytest.raises(ValueError, match="begin at 1"):
        SRCNN(channels=0)
    with pytest.raises(ValueError, match="same or valid"):
        SRCNN()(torch.zeros(1, 1, 20, 20), "full")
    with pytest.raises(ValueError, match="auto, cpu, cuda or mps"):
        choose_device("tpu")


# What it computes ----------------------------------------------------------


def convolve(maps, weight, bias):
    """Equation 1 with loops: maps (C, H, W) → (n, H - f + 1, W - f + 1)."""
    n, _, f, _ = weight.shape
    height, width = maps.shape[1] - f + 1, maps.shape[2] - f + 1
    out = np.empty((n, height, width))
    for k in range(n):
        for i in range(height):
            for j in range(width):
                window = maps[:, i : i + f, j : j + f]
                out[k, i, j] = (weight[k] * window).sum() + bias[k]
    return out


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("channels", [1, 3])
def test_forward_pass_against_loops(padding, channels):
    model = random_network((5, 1, 3), (4, 3), channels)
    y = np.random.default_rng(0).random((channels, 9, 11))
    maps = y
    for i, conv in enumerate(model.convs):
        if padding == "same":
            m = conv.kernel_size[0] // 2
            maps = np.pad(maps, ((0, 0), (m, m), (m, m)), mode="edge")
        maps = convolve(maps, conv.weight.detach().numpy(), conv.bias.detach().numpy())
        if i < 2:
            maps = np.maximum(maps, 0)
    out = model(torch.from_numpy(y)[None], padding)[0].detach().numpy()
    assert out.shape == maps.shape
    assert np.allclose(out, maps, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", [*results.WEIGHTS, "9-1-1-5_8-6-4"])
def test_valid_and_same_agree_inside_the_border(name):
    model = random_network(*Architecture.parse(name))
    border = model.architecture.border
    y = torch.rand(2, 1, 27, 22, dtype=torch.float64, generator=seeded(2))
    same, valid = model(y), model(y, "valid")
    assert same.shape == y.shape
    assert valid.shape == (2, 1, 27 - 2 * border, 22 - 2 * border)
    inner = same[..., border:-border, border:-border]
    assert torch.allclose(inner, valid, rtol=0, atol=1e-12)


# How it starts -------------------------------------------------------------


def test_start_of_the_paper_is_gaussian_with_sigma_0_001():
    model = initialise(SRCNN((9, 5, 5)), "paper", seeded())
    for conv in model.convs:
        assert conv.bias.abs().max() == 0
        w = conv.weight.detach().flatten().double()
        tolerance = 5 / w.numel() ** 0.5  # five standard errors
        assert abs(w.mean()) < tolerance * 0.001
        assert abs(w.std() / 0.001 - 1) < tolerance
    w = model.convs[1].weight.detach().double() / 0.001
    assert abs((w.abs() < 1).double().mean() - 0.6827) < 0.01  # a bell, not a box


def test_default_start_is_pytorchs_own():
    """Uniform within 1/√fan-in, as nn.Conv2d starts by itself."""
    for conv in initialise(SRCNN((9, 5, 5)), "default", seeded()).convs:
        bound = conv.weight[0].numel() ** -0.5
        for values in (conv.weight, conv.bias):
            assert values.abs().max() <= bound
        spread = conv.weight.std() * 3**0.5 / bound
        assert abs(spread - 1) < 5 / conv.weight.numel() ** 0.5


@pytest.mark.parametrize(
    "name, channels",
    [("9-1-5", 1), ("9-5-5", 1), ("9-1-1-5_8-6-4", 1), ("5-1-3_4-3", 3)],
)
def test_identity_start_changes_nothing(name, channels):
    shape = Architecture.parse(name)._replace(channels=channels)
    model = initialise(SRCNN(*shape), "identity", seeded())
    y = torch.rand(2, channels, 17, 19, generator=seeded(3))
    assert torch.equal(model(y), y)
    border = model.architecture.border
    inner = y[..., border:-border, border:-border]
    assert torch.equal(model(y, "valid"), inner)
    # The other filters are there to be trained.
    first = model.convs[0].weight[channels:]
    assert (first != 0).all()


def test_bad_starts():
    with pytest.raises(ValueError, match="paper, default or identity"):
        initialise(SRCNN(), "zero")
    with pytest.raises(ValueError, match="3 channels can't pass through 2"):
        initialise(SRCNN((3, 1, 3), (4, 2), 3), "identity")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_on_the_gpu():
    model = random_network((9, 1, 5)).float()
    y = torch.rand(1, 1, 40, 50)
    with torch.no_grad():
        cpu, gpu = model(y), model.cuda()(y.cuda()).cpu()
    assert torch.allclose(cpu, gpu, atol=1e-3)  # TF32 has 10 bits


def test_without_a_gpu_cuda_is_refused_and_auto_is_the_cpu():
    if torch.cuda.is_available():
        assert choose_device("auto").type == "cuda"
        assert choose_device("cuda").type == "cuda"
    else:
        assert choose_device("auto").type == "cpu"
        with pytest.raises(ValueError, match="no CUDA GPU here"):
            choose_device("cuda")
    assert choose_device("cpu").type == "cpu"


# Devices -------------------------------------------------------------------


@pytest.mark.parametrize("network", [SRCNN, VDSR, FSRCNN, ESPCN])
def test_no_tensor_stays_on_another_device(network):
    """`meta` stands in for a GPU: an operation that mixes it with the CPU raises."""
    model = network().to("meta")
    made = model(torch.empty(2, 1, 33, 33, device="meta"))
    made.square().mean().backward()
    assert {t.device.type for t in (made, *(p.grad for p in model.parameters()))} == {
        "meta"
    }
    filters = [p for p in model.parameters() if p.ndim == 4]
    Muon(filters).step()
    assert {p.device.type for p in filters} == {"meta"}
