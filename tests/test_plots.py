"""Figures and tables: what they say, and three of them by how they look."""

import io
import json

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image
from scipy.fft import dctn

from srcnn_lib import plots
from srcnn_lib.chapters import drawings

STYLE = plots.__file__.replace("plots.py", "book.mplstyle")


@pytest.fixture(autouse=True)
def books_style():
    with plt.style.context(STYLE):
        yield
    plt.close("all")


def perceptual_hash(figure) -> np.ndarray:
    """Signs of a small grey picture's 255 lowest frequencies, as the eye sees it."""
    with Image.open(io.BytesIO(plots.to_png(figure))) as png:
        small = png.convert("L").resize((64, 64), Image.Resampling.BOX)
    lowest = dctn(np.asarray(small, dtype=float))[:16, :16].ravel()[1:]
    return lowest > np.median(lowest)


def waterfall():
    names = ["Pillow", "luma", "MATLAB's kernel", "paper"]
    return plots.plot_steps(names, [27.1, 28.4, 28.2, 30.39], target_db=30.39)


def curves():
    rows = {name: [{"sub_images": k, "psnr_db": top - 2 / k} for k in range(1, 11)]
            for name, top in (("9-1-5", 32.5), ("9-5-5", 32.9))}  # fmt: skip
    return plots.plot_training(rows, levels_db={"bicubic": 30.4, "paper": 32.75})


def bank_of_filters():
    y, x = np.indices((9, 9)) - 4
    waves = [np.cos(k * y / 2 + j * x / 3) for k, j in np.ndindex(4, 4)]
    blob = np.exp(-(y**2 + x**2) / 8)
    return drawings.show_filters(blob * np.array(waves), columns=8)


LOOKS = {
    waterfall: "3b1b9b95ce0e6f0ec2f171e871f0c2f96e06ce0e9b913f199805cc064b2fc0d3",
    curves: "b58bf7ffccff1d6025d3ab4503900c6345dea98e0b9c5919fa71fa718a471",
    bank_of_filters: "2fef6aaad0119535d000ddcf8315e355c31092220eef1eef5c1ff1117bb87b20",
}


@pytest.mark.parametrize("draw", LOOKS)
def test_how_it_looks(draw):
    """A few bits may differ, as fonts do; a blank figure differs in every second."""
    seen = perceptual_hash(draw())
    expected = np.array([*f"{int(LOOKS[draw], 16):0255b}"]) == "1"
    now = f"{int(''.join(str(int(bit)) for bit in seen), 2):x}"
    assert (seen != expected).mean() < 0.12, f"it looks otherwise now: {now}"
    blank = plt.figure(figsize=plt.gcf().get_size_inches())
    assert (perceptual_hash(blank) != expected).mean() > 0.3


def test_a_figure_says_where_its_pictures_are():
    figure, axes = plt.subplots(1, 3, constrained_layout=True)
    for axis, colour in zip(axes, ((1, 0, 0), (0, 0, 1))):
        axis.imshow(np.ones((30, 40, 1)) * colour)
        axis.set(title="a title", xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    axes[1].set(xlim=(5, 20))  # a part of the picture is cut off
    axes[2].plot([1, 2], color="black")
    with Image.open(io.BytesIO(plots.to_png(figure))) as png:
        found = json.loads(png.text[plots.PICTURES])
        pixels = np.asarray(png.convert("RGB")).astype(int)
    height, width = pixels.shape[:2]
    for where, channel in zip(found, (0, 2), strict=True):
        rows, columns = np.nonzero(2 * pixels[..., channel] - pixels.sum(2) > 150)
        seen = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        told = np.array(where) * (width, height, width, height)
        assert told == pytest.approx(np.array(seen), abs=1.5)


def test_pictures_are_shown_pixel_for_pixel_at_one_zoom():
    rng = np.random.default_rng(0)
    grey, colour = rng.random((6, 9)), rng.random((6, 9, 3))
    pictures = {"a": grey, "b\nc": colour, "d": grey[:4]}
    figure = plots.show_images(pictures, zoom=3, columns=2, peak=1)
    assert [axes.get_title() for axes in figure.axes] == [*pictures]
    figure.canvas.draw()
    screen = np.asarray(figure.canvas.buffer_rgba())[..., :3]
    for axes, picture in zip(figure.axes, pictures.values()):
        box = axes.get_window_extent()
        left, top = round(box.x0), len(screen) - round(box.y1)
        seen = screen[top + 1 : top + 3 * len(picture) : 3, left + 1 : left + 27 : 3]
        picture = picture if picture.ndim == 3 else picture[..., None]
        assert np.abs(seen - 255 * picture).max() < 1.5
    cut = plots.crop_images({"a": grey}, (1, 2, 4), zoom=1, peak=1)
    assert np.allclose(cut.axes[0].images[0].get_array(), grey[1:5, 2:6])


def test_tables_in_notebooks_and_in_terminals():
    table = plots.Table(["method", "dB"], [["a|b", "30.39"], ["SRCNN", "−1.0"]])
    assert repr(table) == "method     dB\na|b     30.39\nSRCNN    −1.0"
    assert table._repr_markdown_().splitlines() == [
        "| method | dB |", "| :-- | --: |", r"| a\|b | 30.39 |", "| SRCNN | −1.0 |",
    ]  # fmt: skip
