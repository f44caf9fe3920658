"""The protocol gives the paper's numbers; metrics do what they say."""

import numpy as np
import pytest

from srcnn_lib import datasets, methods, protocol, results
from srcnn_lib.resize import bicubic

needs = {
    name: pytest.mark.skipif(
        not datasets.available(name), reason=f"needs {name}: srcnn data fetch"
    )
    for name in ("Set5", "Set14", "BSD200", "srcnn-official")
}

# What later papers print for bicubic on BSD200, with Y (data/SOURCES).
BSD200_Y = {2: 29.70, 3: 27.26, 4: 25.97}


@pytest.mark.parametrize("scale", protocol.SCALES)
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=needs[n]) for n in ("Set5", "Set14")]
)
def test_bicubic_averages(name, scale):
    scores = protocol.evaluate(bicubic, datasets.load(name), scale)
    psnr_db, ssim = protocol.mean(scores)
    printed = results.printed("bicubic", name, scale).value
    assert abs(psnr_db - printed) <= 0.005
    printed = results.printed("bicubic", name, scale, metric="ssim").value
    assert abs(ssim - printed) <= 0.0001
    if name == "Set5":
        assert [s.name for s in scores] == list(results.SET5)
        for s in scores:
            printed = results.printed("bicubic", name, scale, image=s.name).value
            assert round(s.psnr_db, 2) == printed


@needs["BSD200"]
@pytest.mark.parametrize("scale", protocol.SCALES)
def test_bicubic_on_bsd200_in_both_kinds_of_luma(scale):
    """With Y by the protocol; with grey, the paper's LR had 8 bits."""
    images = datasets.load("BSD200")
    assert len(images) == 200
    scores = protocol.evaluate(bicubic, images, scale)
    assert abs(protocol.mean(scores)[0] - BSD200_Y[scale]) <= 0.005
    scores = protocol.evaluate(
        bicubic, images, scale, kind="gray", lr_uint8=True
    )
    printed = results.printed("bicubic", "BSD200", scale).value
    assert abs(protocol.mean(scores)[0] - printed) <= 0.005


_AUTHORS = [
    (name, scale)
    for name in {p.model for p in results.printed_rows() if p.model}
    for scale in (2, 3, 4)
    if results.printed("srcnn", "Set5", scale, model=name)
]


@needs["Set5"]
@needs["srcnn-official"]
@pytest.mark.parametrize("name, scale", sorted(_AUTHORS))
def test_the_authors_models_give_the_authors_numbers(name, scale):
    method = methods.get("srcnn", model=name, scale=scale, device="cpu")
    scores = protocol.evaluate(method, datasets.load("Set5"), scale)
    psnr_db, ssim = protocol.mean(scores)
    printed = results.printed("srcnn", "Set5", scale, model=name)
    assert abs(psnr_db - printed.value) <= 0.005
    printed = results.printed("srcnn", "Set5", scale, model=name, metric="ssim")
    if printed is not None:
        assert abs(ssim - printed.value) <= 0.0001
    for s in scores:
        printed = results.printed(
            "srcnn", "Set5", scale, model=name, image=s.name
        )
        if printed is not None:
            assert round(s.psnr_db, 2) == printed.value


def test_all_eight_of_the_authors_models_are_tested():
    assert len(_AUTHORS) == 8


@needs["Set14"]
@needs["srcnn-official"]
@pytest.mark.parametrize(
    "name, scale",
    [("official/9-1-5-91", 3), ("official/9-5-5-imagenet", 4)],
)
def test_the_authors_models_on_set14(name, scale):
    method = methods.get("srcnn", model=name, scale=scale, device="cpu")
    scores = protocol.evaluate(method, datasets.load("Set14"), scale)
    printed = results.printed("srcnn", "Set14", scale, model=name)
    assert abs(protocol.mean(scores)[0] - printed.value) <= 0.005


def test_the_protocol_feels_each_of_its_steps():
    """A changed step changes the number, on any pictures."""
    images = datasets.load("demo-test")
    image = images[images.showcase]
    reference = protocol.score(bicubic, image, 3).psnr_db

    def uint8_lr(lr_y, scale):
        return bicubic(np.round(lr_y * 255) / 255, scale)

    assert protocol.score(uint8_lr, image, 3).psnr_db != reference
    gray = protocol.score(bicubic, image, 3, kind="gray").psnr_db
    assert gray < reference - 1  # full range: a step is 255/219 as large
    mirrored = protocol.score(bicubic, image, 3, border="mirror").psnr_db
    assert mirrored != reference


def test_psnr_by_hand():
    hr = np.full((4, 4), 100, dtype=np.uint8)
    sr = hr + 5
    assert np.isclose(protocol.psnr(hr, sr), 10 * np.log10(255**2 / 25))
    assert protocol.psnr(hr, hr) == np.inf
    sr = hr.copy()
    sr[0] = 0  # only in the border
    assert protocol.psnr(hr, sr, crop=1) == np.inf
    with pytest.raises(ValueError, match="leaves nothing"):
        protocol.psnr(hr, sr, crop=2)
    with pytest.raises(ValueError, match="shapes differ"):
        protocol.psnr(hr, sr[:2])


def test_ssim_against_the_definition():
    """Wang et al. 2004, equation 13, on one 11×11 window."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (11, 11)).astype(float)
    y = (x + rng.normal(0, 20, x.shape)).clip(0, 255)
    r = np.arange(-5, 6)
    g = np.exp(-(r[:, None] ** 2 + r**2) / (2 * 1.5**2))
    g /= g.sum()
    mx, my = (g * x).sum(), (g * y).sum()
    vx, vy = (g * (x - mx) ** 2).sum(), (g * (y - my) ** 2).sum()
    cov = (g * (x - mx) * (y - my)).sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    expected = (2 * mx * my + c1) * (2 * cov + c2)
    expected /= (mx**2 + my**2 + c1) * (vx + vy + c2)
    assert np.isclose(protocol.ssim(x, y), expected)
    assert np.isclose(protocol.ssim(x, x), 1)
    with pytest.raises(ValueError, match="11×11"):
        protocol.ssim(x, y, crop=1)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="2, 3 or 4, not 5"):
        protocol.evaluate(bicubic, {}, 5)
    tiny = {"tiny": np.zeros((12, 12), dtype=np.uint8)}
    with pytest.raises(ValueError, match="tiny: .*too small"):
        protocol.evaluate(bicubic, tiny, 3)


def test_paper_averages_agree_with_their_rows():
    for method, model, scale in {
        (p.method, p.model, p.scale) for p in results.printed_rows() if p.image
    }:
        rows = [
            results.printed(method, "Set5", scale, model=model, image=image).value
            for image in results.SET5
        ]
        mean = results.printed(method, "Set5", scale, model=model).value
        assert abs(np.mean(rows) - mean) <= 0.0051
