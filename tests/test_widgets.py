"""What readers move and choose: real pictures in, one line for mistakes."""

import base64
import datetime
import io
import json
import re
import sys
import types

import ipywidgets
import nbformat
import numpy as np
import pytest
from matplotlib import pyplot as plt
from nbclient import NotebookClient
from PIL import Image
from playwright.sync_api import sync_playwright

from srcnn_lib import images, plots, widgets
from tools import notebooks
from tools.browser import FLAGS, NEEDED, PROGRAM


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (2, 30, 40, 3)).astype(np.uint8)


# Figures -------------------------------------------------------------------


def test_a_figure_says_where_its_pictures_are():
    red, blue = np.zeros((2, 30, 40, 3))
    red[..., 0] = blue[..., 2] = 1
    figure, axes = plt.subplots(1, 3, constrained_layout=True)
    for axis, picture in zip(axes, (red, blue)):
        axis.imshow(picture)
        axis.set(title="a title", xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    axes[1].set(xlim=(5, 20))  # a part of the picture is cut off
    axes[2].plot([1, 2], color="black")
    with Image.open(io.BytesIO(plots.to_png(figure))) as png:
        found = json.loads(png.text[plots.PICTURES])
        pixels = np.asarray(png.convert("RGB")).astype(int)
    plt.close(figure)
    height, width = pixels.shape[:2]
    for where, channel in zip(found, (0, 2), strict=True):
        others = pixels.sum(axis=2) - pixels[..., channel]
        rows, columns = np.nonzero((pixels[..., channel] > 200) & (others < 50))
        seen = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        told = np.array(where) * (width, height, width, height)
        assert told == pytest.approx(np.array(seen), abs=1.5)


def test_a_page_draws_its_figures_so():
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(text) for text in (
        "import matplotlib.pyplot as plt\n"
        "from srcnn_lib import plots\n"
        "plots.use_style()",
        "plt.imshow([[0, 1]])\nplt.show()",
    )]  # fmt: skip
    NotebookClient(notebook, timeout=300).execute()
    drawn = base64.b64decode(notebook.cells[1].outputs[0].data["image/png"])
    with Image.open(io.BytesIO(drawn)) as png:
        assert len(json.loads(png.text[plots.PICTURES])) == 1


# compare -------------------------------------------------------------------


@pytest.mark.parametrize("grey", [False, True])
def test_all_pictures_are_in_the_markup_pixel_for_pixel(pair, grey):
    pictures = dict(zip("ab", pair[..., 0] if grey else pair))
    pictures["c"] = pictures["a"] / 255  # 0…1 is as good
    shown = widgets.overlay(pictures, (3, 5, 20))
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', shown.page)
    for content, picture in zip(found, [*pair, pair[0]], strict=True):
        opened = np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))
        picture = picture[..., 0] if grey else picture
        assert np.array_equal(opened, picture[3:23, 5:25])
    assert not re.search(r"https?://|<script", shown.page)
    assert repr(shown) == "<a | b | c: 20×20 pixels>"


def test_labels_caption_and_alt_are_text_not_markup(pair):
    pictures = dict(zip(('<b>"A"', "B & C"), pair))
    shown = widgets.overlay(pictures, caption="1 < 2", alt='a "wing"')
    assert "<b>" not in shown.page and "1 &lt; 2" in shown.page
    assert 'alt="B &amp; C: a &quot;wing&quot;"' in shown.page
    assert repr(shown) == '<<b>"A" | B & C: 40×30 pixels>'


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda a, b: ({"a": a, "b": b[1:]},), "one shape"),
        (lambda a, b: ({"a": a[..., :2], "b": b[..., :2]},), "grey or RGB"),
        (lambda a, b: ({"a": a},), "two pictures or more"),
        (lambda a, b: ({"a": a, "b": b * 1.0},), "in 0…1"),
        (lambda a, b: ({"a": a, "b": b}, (20, 0, 11)), "not inside of 30×40"),
        (lambda a, b: ({"a": a, "b": b}, (0, -1, 11)), "not inside"),
    ],
)
def test_unfit_pictures(pair, change, said):
    with pytest.raises(ValueError, match=said):
        widgets.overlay(*change(*pair))


# In a running notebook -------------------------------------------------------


def widget_of(shown):
    """The widget that a front end would show."""
    view = shown._repr_mimebundle_()["application/vnd.jupyter.widget-view+json"]
    return ipywidgets.Widget.get_manager_state()["state"] and next(
        found
        for key, found in ipywidgets.widgets.widget._instances.items()
        if key == view["model_id"]
    )


@pytest.fixture
def running(monkeypatch):
    monkeypatch.delenv(widgets.STATIC, raising=False)


def test_the_window_moves_over_the_whole_pictures(pair, running):
    shown = widgets.overlay(dict(zip("ab", pair)), (3, 5, 20))
    top, left, size, picture = widget_of(shown).children
    assert picture.value == shown.page
    assert (top.max, left.max, size.max) == (10, 20, 30)
    top.value = 4
    moved = widgets.overlay(dict(zip("ab", pair)), (4, 5, 20))
    assert picture.value == moved.page != shown.page
    size.value = 30
    assert "a window of 30 pixels at 4, 5 is not inside" in picture.value
    top.value = 0
    assert "not inside" not in picture.value


def test_the_slider_computes_what_the_page_has_no_picture_of(running):
    seen = []

    def draw(k):
        seen.append(k)
        if k == 4:
            raise ZeroDivisionError("division by <four>\nand more")
        return np.full((5, 7), k / 10), f"{k / 10:.1f} white"

    shown = widgets.frames(draw, (1, 3, 9), caption="Grey.", alt="grey", name="K")
    assert seen == [1, 3, 9]
    assert repr(shown) == "<3 frames, 1, 0.1 white … 9, 0.9 white>"
    slider, picture = widget_of(shown).children
    assert (slider.min, slider.value, slider.max) == (1, 9, 9)
    slider.value = 5
    assert seen[-1] == 5 and "K: 5, 0.5 white" in picture.value
    assert 'alt="grey"' in picture.value and "Grey." in picture.value
    slider.value = 4
    assert picture.value == "<p>ZeroDivisionError: division by &lt;four&gt;</p>"


def test_values_that_are_no_whole_numbers_are_a_choice(running):
    shown = widgets.frames(
        lambda x: np.full((5, 7), x), (0.1, 0.5), caption="", alt="", start=0
    )
    slider, picture = widget_of(shown).children
    assert slider.options == (0.1, 0.5) and slider.value == 0.1
    with pytest.raises(ValueError, match="needs values"):
        widgets.frames(np.zeros, caption="", alt="")


def test_without_a_kernel_or_ipywidgets_there_is_the_page_alone(pair, monkeypatch):
    shown = widgets.overlay(dict(zip("ab", pair)), (3, 5, 20))
    expected = {"text/plain": repr(shown), "text/html": shown.page}
    monkeypatch.setenv(widgets.STATIC, "1")
    assert shown._repr_mimebundle_() == expected
    monkeypatch.delenv(widgets.STATIC)
    assert len(shown._repr_mimebundle_()) == 3
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    assert shown._repr_mimebundle_() == expected


def test_in_a_kernel_a_cell_gives_the_page_and_the_widget(tmp_path, running):
    source = (
        "import numpy as np\nfrom srcnn_lib import widgets\n"
        "widgets.frames(lambda k: np.eye(k), at=(4,), caption='', alt='')"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    NotebookClient(notebook).execute()
    (output,) = notebook.cells[0].outputs
    assert {"text/html", notebooks.WIDGET} <= set(output.data)
    assert notebook.metadata.pop("widgets")
    (kept,) = notebooks.stored([output])
    assert kept.data == {"text/plain": "<1 frames, 4 … 4>"}
    static = notebooks.execute(notebook, {})
    assert notebooks.WIDGET not in static.cells[0].outputs[0].data
    assert "widgets" not in static.metadata


# In a browser -----------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    if PROGRAM is None:
        pytest.skip(NEEDED)
    with sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=PROGRAM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def shown(browser):
    """A white left and a black right picture on a page 400 pixels wide."""
    white = np.full((60, 150, 3), 255, dtype=np.uint8)
    figure = widgets.overlay({"white": white, "black": 0 * white}, zoom=2)
    page = browser.new_page(viewport={"width": 400, "height": 400})
    page.set_content(f"<body style='margin:20px'>{figure.page}")
    yield page
    page.close()


def pixels(page):
    png = page.screenshot(animations="allow")
    return np.asarray(Image.open(io.BytesIO(png)).convert("L")).astype(int)


def share_of_black(page):
    """Of the picture's width, read off the screen."""
    box = page.locator(".pair").bounding_box()
    row = pixels(page)[int(box["y"] + 0.8 * box["height"])]
    left = round(box["x"])
    return (row[left : left + round(box["width"])] < 60).mean()


def test_the_divider_moves_by_keyboard_and_mouse(shown):
    assert abs(share_of_black(shown) - 0.5) < 0.03
    shown.keyboard.press("Tab")
    slider = shown.get_by_role("slider", name="Divider")
    assert slider.evaluate("input => input === document.activeElement")
    shown.keyboard.press("Home")
    assert share_of_black(shown) > 0.97
    assert slider.get_attribute("aria-valuetext") == "0 % white"
    for _ in range(3):
        shown.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "3 % white"
    box = shown.locator(".pair").bounding_box()
    assert box["width"] == 300
    shown.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 20)
    assert abs(share_of_black(shown) - 0.25) < 0.03


def test_menus_choose_what_stands_on_each_side(browser):
    grey = {f"grey {k}": np.full((60, 150), k, np.uint8) for k in (250, 150, 20)}
    page = browser.new_page(viewport={"width": 400, "height": 400})
    page.set_content(f"<body>{widgets.overlay(grey, zoom=2).page}")

    def sides():
        box = page.locator(".pair").bounding_box()
        row = pixels(page)[int(box["y"] + 0.8 * box["height"])]
        return row[int(box["x"]) + 5], row[int(box["x"] + box["width"]) - 5]

    left, right = (
        page.get_by_role("combobox", name=side) for side in ("Left", "Right")
    )
    assert sides() == (250, 150)
    right.select_option("grey 20")
    assert sides() == (250, 20)
    left.select_option("grey 20")  # which stands right: they change places
    assert sides() == (20, 250) and right.input_value() == "0"
    slider = page.get_by_role("slider")
    assert slider.get_attribute("aria-valuetext") == "50 % grey 20"
    left.focus()
    page.keyboard.press("ArrowUp")
    assert sides() == (150, 250)
    page.emulate_media(media="print")
    assert not left.is_visible()
    assert all(picture.is_visible() for picture in page.locator(".picture").all())
    page.close()


def test_nothing_moves_by_itself(shown):
    before = pixels(shown)
    shown.wait_for_timeout(400)
    assert np.array_equal(pixels(shown), before)
    moving = "() => document.getAnimations({subtree: true}).length"
    shown.keyboard.press("Tab")
    shown.keyboard.press("End")
    assert shown.evaluate(moving) == 0


def test_print_has_both_pictures_side_by_side(shown):
    shown.emulate_media(media="print")
    left, right = (img.bounding_box() for img in shown.locator("img").all())
    assert right["x"] >= left["x"] + left["width"] and right["y"] == left["y"]
    assert not shown.locator("input").is_visible()
    assert not shown.get_by_text("Drag the line").is_visible()
    assert all(name.is_visible() for name in shown.locator(".name").all())


def test_two_dividers_are_independent(shown):
    shown.evaluate(
        "() => document.body.append(document.querySelector('figure').cloneNode(true))"
    )
    first, second = shown.get_by_role("slider").all()
    second.press("Home")
    assert first.get_attribute("aria-valuetext") == "50 % white"
    assert second.get_attribute("aria-valuetext") == "0 % white"


# choose_picture ------------------------------------------------------------


def png_of(picture) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "png")
    return file.getvalue()


def test_choosing_in_colab(pair, monkeypatch):
    uploaded = {"photo (1).png": png_of(pair[0])}
    colab = types.ModuleType("google.colab")
    colab.files = types.SimpleNamespace(upload=lambda: uploaded)
    monkeypatch.setitem(sys.modules, "google", types.ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    chosen = widgets.choose_picture()
    assert np.array_equal(chosen.read(), pair[0])
    uploaded.clear()
    with pytest.raises(ValueError, match="no picture is chosen yet"):
        chosen.read()


def test_choosing_in_jupyter(pair, monkeypatch):
    ipywidgets = pytest.importorskip("ipywidgets")
    made = []

    class Upload(ipywidgets.FileUpload):
        def __init__(self, **options):
            super().__init__(**options)
            made.append(self)

    monkeypatch.setattr(ipywidgets, "FileUpload", Upload)
    chosen = widgets.choose_picture()
    with pytest.raises(ValueError, match="no picture is chosen yet"):
        chosen.read()
    (button,) = made
    file = {"name": "a.png", "type": "image/png", "size": 1}
    file["last_modified"] = datetime.datetime.now()
    button.value = [file | {"content": memoryview(png_of(pair[1]))}]
    assert np.array_equal(chosen.read(), pair[1])
    button.value = [file | {"content": memoryview(b"hello")}]
    with pytest.raises(images.ImageError, match="a.png: not a picture"):
        chosen.read()


def test_choosing_without_ipywidgets(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(ValueError, match="path of a file"):
        widgets.choose_picture()
