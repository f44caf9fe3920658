"""Other ways to make an LR picture: aligned, rounded, and what they say."""

import numpy as np
import pytest

from srcnn_lib import datasets, images, protocol
from srcnn_lib.chapters import degradations


@pytest.fixture(scope="module")
def hr_y():
    return images.luma(datasets.load("demo-test")["coffee"])[:120, 24:156]


@pytest.mark.parametrize("name", degradations.ALL)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_they_give_aligned_lr_pictures(name, scale, hr_y):
    degrade = degradations.ALL[name]
    lr_y = degrade(hr_y, scale)
    assert lr_y.shape == (120 // scale, 132 // scale)
    assert np.array_equal(lr_y, degrade(hr_y, scale))  # noise too
    if not name.startswith(("noise", "JPEG")):
        turned = degrade(np.ascontiguousarray(hr_y[::-1, ::-1]), scale)
        assert np.abs(turned[::-1, ::-1] - lr_y).max() < 1.5 / 255
    is_rounded = np.allclose(255 * lr_y, np.round(255 * lr_y), atol=1e-6)
    assert is_rounded == ("protocol" not in name)


def test_they_are_what_they_say(hr_y):
    smooth = degradations.matlab(hr_y, 3)
    assert np.array_equal(smooth, protocol.degrade(hr_y, 3)[1])
    assert np.array_equal(degradations.not_antialiased(hr_y, 3), hr_y[1::3, 1::3] / 255)
    close = degradations.pillow(hr_y, 3) - degradations.rounded(hr_y, 3)
    assert np.abs(close)[2:-2, 2:-2].max() <= 1.001 / 255  # at edges it repeats nothing
    noise = degradations.noisy(5)(np.full((300, 300), 128, np.uint8), 3)
    assert noise.std() * 255 == pytest.approx(5, rel=0.03)
    flat = degradations.camera(np.full((30, 30), 77, np.uint8), 2)
    assert (flat == 77 / 255).all()
    errors = [np.abs(degradations.jpeg(q)(hr_y, 3) - smooth).mean() for q in (90, 50)]
    assert 0 < errors[0] < errors[1]
