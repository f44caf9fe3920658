"""Copies of training pictures: how many, which, and what is kept in them."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from srcnn_lib import augmentation, datasets, images, streaming, training
from srcnn_lib.resize import imresize


@pytest.fixture(scope="module")
def photograph():
    return next(iter(datasets.load("demo-train").values()))[80:260, 100:300]


def test_a_picture_alone_is_itself(photograph):
    (only,) = augmentation.copies([photograph])
    assert only is photograph


def test_shrunken_copies_are_the_protocols(photograph):
    shown = list(augmentation.copies([photograph], 0.8))
    assert np.array_equal(shown[0], photograph)
    assert len(shown) == 3
    for copy, size in zip(shown[1:], (0.9, 0.8), strict=True):
        assert np.array_equal(copy, imresize(photograph, size))


@pytest.mark.parametrize("grey", [False, True])
def test_varied_copies(photograph, grey):
    picture = photograph[..., 1] if grey else photograph
    shown = list(augmentation.copies([picture] * 2, 0.9, augment=3, seed=4))
    again = list(augmentation.copies([picture] * 2, 0.9, augment=3, seed=4))
    other = list(augmentation.copies([picture] * 2, 0.9, augment=3, seed=5))
    assert len(shown) == 2 * (2 + 3 + 3)
    for copy, same in zip(shown, again, strict=True):
        assert copy.dtype == np.uint8 and copy.ndim == picture.ndim
        assert np.array_equal(copy, same)
    varied, others = shown[2:8] + shown[10:], other[2:8] + other[10:]
    different = {copy.tobytes() for copy in varied + others}
    assert len(different) == 24  # from picture to picture, too
    height, width = picture.shape[:2]
    for copy in varied[1::2]:  # the warped ones
        assert 0.6 * height - 1 <= copy.shape[0] <= 1.05 * height
        assert 0.6 * width - 1 <= copy.shape[1] <= 1.05 * width


def test_sharper_adds_what_a_blur_takes_away(photograph):
    grey = photograph[..., 1] // 2 + 60  # nothing is clipped
    blurred = gaussian_filter(grey.astype(float), 1)
    expected = grey + 0.5 * (grey - blurred)
    sharp = augmentation.sharper(grey, 0.5)
    assert np.abs(sharp - expected).max() <= 0.5
    assert np.array_equal(augmentation.sharper(grey, 0), grey)
    colours = augmentation.sharper(photograph, 0.5)
    for k in range(3):  # each colour by itself
        alone = augmentation.sharper(photograph[..., k], 0.5)
        assert np.array_equal(colours[..., k], alone)


class Fixed:
    """A generator that answers what it was told."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def uniform(self, *_):
        return np.array(self.answers.pop(0))


def test_warped_without_any_change_is_the_picture(photograph):
    still = Fixed([1, 1], [0, 0])
    assert np.array_equal(augmentation.warped(photograph, still), photograph)


def test_warped_follows_a_point(photograph):
    """A bright spot lands where sizes and angle say, about the middle."""
    dark = np.zeros((101, 201), np.uint8)
    dark[40:43, 120:123] = 255  # 9.5 above, 20.5 right of the middle
    turn = 0.5  # of 45 degrees
    seen = augmentation.warped(dark, Fixed([0.8, 1.0], [turn, 0]))
    assert seen.shape == (101, 160)
    rows, columns = np.indices(seen.shape)
    at = np.average([columns, rows], (1, 2), np.stack([seen] * 2))
    angle = np.deg2rad(turn * augmentation.TURN)
    x, y = 0.8 * (121 - 100.5), 41 - 50.5
    expected = [
        80 + np.cos(angle) * x - np.sin(angle) * y,
        50.5 + np.sin(angle) * x + np.cos(angle) * y,
    ]
    assert at == pytest.approx(expected, abs=0.6)


def test_training_sees_them_and_streams_can_not(photograph, monkeypatch, tmp_path):
    pictures = {str(k): photograph for k in range(2)}
    config = training.Config(steps=1, size=33, augment=2, zoom=0.9, batch=2)
    seen = []
    usual = training.copies

    def spy(*arguments):
        seen.extend(usual(*arguments))
        return seen

    monkeypatch.setattr(training, "copies", spy)
    training.train(config, pictures, device="cpu", progress=False)
    trained_on = len(pictures) if datasets.available("BSDS500-val") else 1
    assert len(seen) == trained_on * (2 + 2 + 2)

    for k in range(3):
        images.write(tmp_path / f"{k}.png", photograph)
    monkeypatch.setattr(streaming, "MEMORY", 0)
    on_disk = streaming.Pictures([streaming.index_folder(tmp_path)])
    with pytest.raises(training.TrainingError, match="leave vary 0") as caught:
        training.train(config, on_disk, device="cpu", progress=False)
    assert "\n" not in str(caught.value)
