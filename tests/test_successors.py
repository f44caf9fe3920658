"""VDSR, FSRCNN, ESPCN: their shapes and counts, and training them."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from srcnn_lib.chapters import successors
from srcnn_lib.chapters.successors import ESPCN, FSRCNN, VDSR, super_resolve
from srcnn_lib.resize import bicubic
from srcnn_lib.subimages import SubImages, Validation

pytestmark = pytest.mark.usefixtures("one_thread")
scales = pytest.mark.parametrize("scale", [2, 3, 4])
SMALL = {
    "VDSR": lambda scale: VDSR(4, 8),
    "FSRCNN": lambda scale: FSRCNN(scale, 8, 4, 1),
    "ESPCN": lambda scale: ESPCN(scale, (8, 4)),
}


def made(name, scale):
    torch.manual_seed(0)
    return SMALL[name](scale)


def randomised(network):
    """So that no layer is zero, as VDSR's last is at first."""
    for p in network.parameters():
        nn.init.uniform_(p, -0.3, 0.3)
    return network.double().requires_grad_(False)


@scales
@pytest.mark.parametrize("name", SMALL)
def test_the_border_is_what_padding_changes(name, scale):
    """Labels never rest on what lies beyond a sub-image."""
    network = randomised(made(name, scale))
    f, b = network.factor, network.border
    y = torch.rand(2, 1, 23, 18).double()
    same, valid = network(y), network(y, "valid")
    assert same.shape == (2, 1, 23 * f, 18 * f)
    assert torch.allclose(same[..., b:-b, b:-b], valid, atol=1e-12)
    y = torch.rand(1, 1, 2 * b // f + 1, 2 * b // f + 1).double()
    inner, s = network(F.pad(y, (3,) * 4, value=0.9), "valid"), slice(3 * f, 4 * f)
    assert torch.allclose(inner[..., s, s], network(y, "valid"), atol=1e-12)
    assert network(y[..., :1, :1]).isfinite().all()  # any picture, however small


def test_bicubic_is_where_vdsr_begins_and_what_does_not_fit_is_refused(pictures):
    assert successors.multiplications(VDSR()) == 664_704  # the paper's "665k"
    lr_y = np.random.default_rng(0).random((9, 8))
    assert np.allclose(super_resolve(VDSR(5, 4), lr_y, 3), bicubic(lr_y, 3), atol=1e-6)
    for call, message in (
        (lambda: super_resolve(made("FSRCNN", 3), lr_y, 2), "3 times, not 2"),
        (lambda: made("ESPCN", 2)(torch.zeros(1, 1, 20, 20), "full"), "same or valid"),
        (lambda: VDSR(1), "two layers"),
        (lambda: SubImages(pictures.values(), 3, 20, 6, factor=3), "20 pixels"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


@scales
def test_the_transposed_convolution_is_the_middle_of_pytorchs(scale):
    network = randomised(FSRCNN(scale, 6, 4, 1))
    features, r = torch.rand(2, 6, 9, 8).double(), network.reach
    ours, whole = network.enlarge(features), network.convs[-1](features)
    height, width = scale * (9 - 2 * r), scale * (8 - 2 * r)
    first = (9 - scale) // 2 + scale * r
    inside = whole[..., first : first + height, first : first + width]
    assert ours.shape == (2, 1, height, width)
    assert torch.allclose(ours, inside, atol=1e-12)


@scales
def test_sub_images_and_validation_on_both_grids_line_up(pictures, scale):
    """In all symmetries the label is the block that the input stands for."""
    chosen, b = [pictures["astronaut"], pictures["brick"][:100, :77]], 2 * scale
    sub_images = SubImages(chosen, scale, 5 * b, b, 2 * b, factor=scale)
    for symmetry in range(8):
        inputs, labels = sub_images.cut(sub_images.grid(), symmetry)
        means, inside = F.avg_pool2d(labels, scale), inputs[..., 2:-2, 2:-2]
        elsewhere = (inside.roll(1, 2), inside.roll(1, 3), inside.mT)
        errors = [(means - t)[..., 1:, 1:].square().mean() for t in elsewhere]
        assert (means - inside).square().mean() < min(errors) / 4
    judge = Validation(pictures.values(), scale, factor=scale)

    def interpolate(y):  # the LR picture again: no half pixel is lost
        return torch.from_numpy(bicubic(y[0, 0].numpy(), scale))[None, None]

    assert abs(judge.psnr_db(interpolate) - judge.bicubic_db()) < 0.005
