"""The protocol gives the paper's numbers; metrics do what they say."""

import numpy as np
import pytest

from srcnn_lib import datasets, images, methods, protocol, results
from srcnn_lib.protocol import SCALES, degrade, pair, psnr, ssim
from srcnn_lib.resize import bicubic, imresize

# What later papers print for bicubic on BSD200, with Y (data/SOURCES).
BSD200_Y = {2: 29.70, 3: 27.26, 4: 25.97}
MODELS = [(p.model, p.dataset, p.scale) for p in results.printed_rows() if p.model
          and (p.metric, p.image, p.dataset) == ("psnr_db", None, "Set5")]  # fmt: skip
MODELS += [("official/9-1-5-91", "Set14", 3), ("official/9-5-5-imagenet", "Set14", 4)]


def need(name):
    if not datasets.available(name):
        pytest.skip(f"needs {name}: srcnn data fetch")
    return name


def held_to_the_paper(dataset, scale, call, model=None):
    """Means, and single pictures where the paper has them, as printed."""
    method = "srcnn" if model else "bicubic"

    def printed(**about):
        return results.printed(method, dataset, scale, model=model, **about)

    scores = protocol.evaluate(call, datasets.load(need(dataset)), scale)
    psnr_db, ssim = protocol.mean(scores)
    assert abs(psnr_db - printed().value) <= 0.005
    mean = printed(metric="ssim")
    assert mean is None or abs(ssim - mean.value) <= 0.0001
    for score in scores:
        single = printed(image=score.name)
        assert single is None or round(score.psnr_db, 2) == single.value
        assert single or (method, dataset) != ("bicubic", "Set5")


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", ["Set5", "Set14"])
def test_bicubic(name, scale):
    held_to_the_paper(name, scale, bicubic)


@pytest.mark.slow
@pytest.mark.parametrize("scale", SCALES)
def test_bicubic_on_bsd200_in_both_kinds_of_luma(scale):
    """With Y by the protocol; with grey, the paper's LR image had 8 bits."""
    printed = results.printed("bicubic", "BSD200", scale).value
    test, gray = datasets.load(need("BSD200")), {"kind": "gray", "lr_uint8": True}
    for expected, choices in ((BSD200_Y[scale], {}), (printed, gray)):
        scores = protocol.evaluate(bicubic, test, scale, **choices)
        assert len(scores) == 200
        assert abs(protocol.mean(scores)[0] - expected) <= 0.005


@pytest.mark.parametrize("model, dataset, scale", MODELS)
def test_the_authors_models_give_the_authors_numbers(model, dataset, scale):
    need("srcnn-official")
    assert len(MODELS) == 8 + 2
    call = methods.get("srcnn", model=model, scale=scale, device="cpu")
    held_to_the_paper(dataset, scale, call, model)


def test_the_protocol_feels_each_of_its_steps():
    """A changed step changes the number, on any pictures."""
    images = datasets.load("demo-test")
    image = images[images.showcase]
    reference = protocol.score(bicubic, image, 3).psnr_db
    gray = protocol.score(bicubic, image, 3, kind="gray").psnr_db
    assert gray < reference - 1  # full range: a step is 255/219 as large
    for choices in ({"border": "mirror"}, {"lr_uint8": True}):
        assert protocol.score(bicubic, image, 3, **choices).psnr_db != reference


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("colour", images.COLOURS)
def test_a_pair_is_what_the_protocol_degrades_and_bicubic_enlarges(colour, scale):
    image = datasets.load("demo-test")["chelsea"][:101, :95]
    wide, hr = pair(image, scale, colour)
    truth = images.modcrop(images.planes(image, colour), scale)
    assert (wide.dtype, wide.shape) == (hr.dtype, hr.shape) == (np.float32, truth.shape)
    assert np.array_equal(np.round(hr * 255), truth)
    by_hand = imresize(imresize(truth / 255, 1 / scale), scale)
    assert np.allclose(wide, by_hand, rtol=0, atol=1e-7)
    if colour == "y":
        hr_y, lr_y = degrade(image, scale)
        assert np.array_equal(hr_y, truth)
        assert np.array_equal(wide, bicubic(lr_y, scale).astype(np.float32))


def test_psnr_by_hand():
    hr = np.full((4, 4), 100, dtype=np.uint8)
    sr = hr + 5
    assert np.isclose(psnr(hr, sr), 10 * np.log10(255**2 / 25))
    assert psnr(hr, hr) == np.inf
    sr = hr.copy()
    sr[0] = 0  # only in the border
    assert psnr(hr, sr, crop=1) == np.inf
    for unfit, crop, said in ((sr, 2, "leaves nothing"), (sr[:2], 0, "shapes differ")):
        with pytest.raises(ValueError, match=said):
            psnr(hr, unfit, crop=crop)


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
    assert np.isclose(ssim(x, y), expected)
    assert np.isclose(ssim(x, x), 1)
    with pytest.raises(ValueError, match="11×11"):
        ssim(x, y, crop=1)


def test_bad_input_is_named():
    tiny = {"tiny": np.zeros((12, 12), dtype=np.uint8)}
    for scale, said in ((5, "2, 3 or 4, not 5"), (3, "tiny: .*too small")):
        with pytest.raises(ValueError, match=said):
            protocol.evaluate(bicubic, tiny, scale)
