"""What readers move and choose: real pictures in, one line for mistakes."""

import base64
import datetime
import io
import re
import shutil
import sys
import types

import numpy as np
import pytest
from PIL import Image

from srcnn_lib import images, widgets
from tools import notebooks


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (2, 30, 40, 3)).astype(np.uint8)


# compare -------------------------------------------------------------------


@pytest.mark.parametrize("grey", [False, True])
def test_both_pictures_are_in_the_markup_pixel_for_pixel(pair, grey):
    before, after = pair[..., 0] if grey else pair
    markup = widgets.compare(before, after)._repr_html_()
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', markup)
    for content, picture in zip(found, (before, after), strict=True):
        opened = Image.open(io.BytesIO(base64.b64decode(content)))
        assert np.array_equal(np.asarray(opened), picture)
    assert not re.search(r"https?://|<script", markup)


def test_labels_caption_and_alt_are_text_not_markup(pair):
    shown = widgets.compare(
        *pair, ('<b>"A"', "B & C"), caption="1 < 2", alt='a "wing"'
    )
    markup = shown._repr_html_()
    assert "<b>" not in markup and "1 &lt; 2" in markup
    assert 'alt="B &amp; C: a &quot;wing&quot;"' in markup
    assert repr(shown) == '<<b>"A" | B & C: 40×30 pixels>'


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda a, b: (a, b[1:]), "shapes differ"),
        (lambda a, b: (a, b / 255), "uint8"),
        (lambda a, b: (a[..., :2], b[..., :2]), "grey or RGB"),
        (lambda a, b: (a, b, ("one",)), "two labels"),
    ],
)
def test_unfit_pairs(pair, change, said):
    with pytest.raises(ValueError, match=said):
        widgets.compare(*change(*pair))


def test_a_page_stores_its_text_alone(pair):
    shown = widgets.compare(*pair)
    data = {"text/plain": repr(shown), "text/html": shown._repr_html_()}
    output = notebooks.nbformat.v4.new_output("display_data", data)
    (kept,) = notebooks.stored([output])
    assert kept.data == {"text/plain": repr(shown)}


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip(f"needs one of: {', '.join(names)}")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu"]
        )
        yield chromium
        chromium.close()


@pytest.fixture
def shown(browser):
    """A white left and a black right picture on a page 400 pixels wide."""
    white = np.full((60, 150, 3), 255, dtype=np.uint8)
    figure = widgets.compare(white, 0 * white, ("white", "black"), zoom=2)
    page = browser.new_page(viewport={"width": 400, "height": 400})
    page.set_content(f"<body style='margin:20px'>{figure._repr_html_()}")
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
    slider = shown.get_by_role("slider", name="Divider between white")
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
