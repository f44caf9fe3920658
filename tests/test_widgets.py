"""What readers move and choose: in a notebook, on a page, in a browser."""

import base64
import datetime
import io
import json
import re
import sys
from functools import partial
from types import SimpleNamespace

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

three_greys = {f"step {k} <now>": np.full((8, 12), k / 3) for k in range(3)}
frames = partial(widgets.frames, caption="Noise & more.", alt='a "wing"', name="Moment")


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (2, 30, 40, 3)).astype(np.uint8)


def pictures_of(shown):
    """All pictures that a page holds."""
    found = re.findall(r'data:image/png;base64,([^"]+)"', shown.page)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(x)))) for x in found]


@pytest.mark.parametrize("grey", [False, True])
def test_pages_hold_all_pictures_pixel_for_pixel_and_no_markup_of_texts(pair, grey):
    a, b = pair[..., 0] if grey else pair
    shown = widgets.overlay({"<b>": a, "B": b, "c": a / 255}, (3, 5, 20), alt='a "x"')
    cut = [picture[3:23, 5:25] for picture in (a, b, a)]
    assert np.array_equal(pictures_of(shown), cut)
    assert not re.search(r"https?://|<script|<b>", shown.page)
    assert 'alt="B: a &quot;x&quot;"' in shown.page
    assert repr(shown) == "<<b> | B | c: 20×20 pixels>"
    moving = frames({"a": a, "<b>": b})
    assert np.array_equal(pictures_of(moving), [b, a, b])  # one is shown, all are held
    assert not re.search("http|<b>", moving.page) and "Noise &amp; more." in moving.page
    figures = {name: plt.figure(figsize=(2, 1)) for name in "ab"}
    assert len(pictures_of(frames(figures, start=0))) == 3 and not plt.get_fignums()


def test_unfit_pictures(pair):
    a, b = pair
    for said, make, *given in (
        ("one shape", widgets.overlay, {"a": a, "b": b[1:]}),
        ("grey or RGB", widgets.overlay, {"a": a[..., :2]}),
        ("two pictures", widgets.overlay, {"a": a}),
        ("0…1", widgets.overlay, {"a": a, "b": b * 1.0}),
        ("not inside", widgets.overlay, {"a": a, "b": b}, (20, 0, 11)),
        ("one size", frames, {"a": a, "b": b[1:]}),
    ):
        with pytest.raises(ValueError, match=said):
            make(*given)


# In a running notebook -------------------------------------------------------

START = """import sys; sys.path.insert(0, '..')
import numpy as np; from srcnn_lib import plots; plots.use_style()"""
SLIDER = """
from ipywidgets import interact
from srcnn_lib import widgets
seen = []
def draw(k):
    seen.append(k)
    return np.full((3, 4), k / 10), "grey"
steps = widgets.frames(draw, at=(1, 9), caption="C", alt="")
if widgets.live():
    slider = interact(steps.draw, k=(1, 9)).widget
    slider.children[0].value = 7
    print(seen)
steps"""


def test_a_running_notebook_has_sliders_and_the_book_frames(monkeypatch):
    """As the pages use it; the kernel answers a moved slider by computing."""
    monkeypatch.delenv(widgets.STATIC, raising=False)
    draw = "from matplotlib import pyplot as plt\nplt.imshow([[0, 1]])\nplt.show()"
    cells = [nbformat.v4.new_code_cell(text) for text in (START, SLIDER, draw)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    cells = notebooks.execute(notebook, {}).cells
    (static,) = cells[1].outputs
    assert notebooks.WIDGET not in static.data
    assert "srcnn-frames" in static.data["text/html"]
    (kept,) = notebooks.stored([static])
    assert kept.data == {"text/plain": "<2 frames, 1, grey … 9, grey>"}
    drawn = base64.b64decode(cells[2].outputs[0].data["image/png"])
    with Image.open(io.BytesIO(drawn)) as png:  # as `plots.to_png` has it
        assert len(json.loads(png.text[plots.PICTURES])) == 1
    here = {"metadata": {"path": str(notebooks.BOOK)}}
    NotebookClient(notebook, timeout=300, resources=here).execute()
    found = notebook.cells[1].outputs
    assert [1 for output in found if notebooks.WIDGET in output.get("data", {})]
    assert "".join(output.get("text", "") for output in found) == "[1, 9, 5, 7]\nC\n"


def test_the_window_moves_over_the_whole_pictures(pair, monkeypatch):
    made, seen = {}, []
    monkeypatch.setattr(widgets, "live", lambda: True)
    monkeypatch.setattr(widgets, "display", seen.append)
    monkeypatch.setattr(ipywidgets, "interact", lambda f, **k: made.update(k, show=f))
    widgets.overlay(dict(zip("ab", pair)), (3, 5, 20), zoom=2)._ipython_display_()
    assert made["left"] == made["right"] == ["a", "b"]
    assert (made["row"], made["column"]) == ((0, 10), (0, 20))
    made["show"](divider=25, row=4, right="b")
    halves = pair[0][4:24, 5:10], pair[1][4:24, 10:25]
    assert np.array_equal(seen[0], np.hstack(halves).repeat(2, 0).repeat(2, 1))


# In a browser -----------------------------------------------------------------


@pytest.fixture(scope="module")
def chromium():
    if PROGRAM is None:
        pytest.skip(NEEDED)
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=PROGRAM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def show(chromium):
    """Open figures with the book's files; no script may fail."""
    errors, static = [], notebooks.BOOK / "_static"
    style, script = ((static / f"widgets.{kind}").read_text() for kind in ("css", "js"))

    def show(*figures, **options):
        page = chromium.new_page(viewport={"width": 400, "height": 400}, **options)
        page.on("pageerror", lambda error: errors.append(str(error)))
        body = f"<body style='margin:20px'>{''.join(f.page for f in figures)}"
        page.set_content(f"<style>{style}</style><script>{script}</script>{body}")
        return page

    yield show
    assert not errors


def greys(*values):
    pictures = {f"grey {k}": np.full((60, 150), k, np.uint8) for k in values}
    return widgets.overlay(pictures, zoom=2, caption="Greys.")


def row_of_pixels(page):
    """Of the first pair of pictures, below the names, as on the screen."""
    box = page.locator(".pair").first.bounding_box()
    assert box["width"] == 300
    screen = Image.open(io.BytesIO(page.screenshot(animations="allow"))).convert("L")
    row = np.asarray(screen).astype(int)[int(box["y"] + 0.8 * box["height"])]
    return row[round(box["x"]) :][:300]


def test_the_divider_moves_by_keyboard_and_mouse(show):
    page = show(greys(255, 0), greys(255, 0))
    assert abs((row_of_pixels(page) < 60).mean() - 0.5) < 0.03
    page.keyboard.press("Tab")
    slider, other = page.get_by_role("slider", name="Divider").all()
    assert slider.evaluate("input => input === document.activeElement")
    page.keyboard.press("Home")
    assert (row_of_pixels(page) < 60).mean() > 0.97
    page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "1 % grey 255"
    assert other.get_attribute("aria-valuetext") == "50 % grey 255"
    box = page.locator(".pair").first.bounding_box()
    page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 20)
    assert abs((row_of_pixels(page) < 60).mean() - 0.25) < 0.03


def test_frames_move_by_a_button(show):  # by the keyboard: tests/test_site.py
    page = show(frames(three_greys, start=0))
    slider = page.get_by_label("Moment")  # it has a name for a screen reader
    first = page.get_attribute("img", "src")
    assert page.text_content("output") == "step 0 <now>"
    page.click("button")
    assert page.text_content("button") == "Stop"
    page.wait_for_function("document.querySelector('input').value == '1'")
    assert slider.get_attribute("aria-valuetext") == "step 1 <now>"
    assert page.get_attribute("img", "src") != first
    page.click("button")
    assert page.text_content("button") == "Play"
    page.emulate_media(reduced_motion="reduce")
    assert slider.is_visible() and not page.is_visible("button")


def test_print_and_pages_without_scripts_have_figures(show):
    figures = greys(255, 0, 9), frames(three_greys)
    printed, plain = show(*figures), show(*figures, java_script_enabled=False)
    printed.emulate_media(media="print")
    for page in printed, plain:
        left, right, _ = (i.bounding_box() for i in page.locator(".picture img").all())
        assert right["x"] >= left["x"] + left["width"] and right["y"] == left["y"]
        seen = page.locator("img, figcaption").all()
        assert all(element.is_visible() for element in seen)
        hidden = page.locator("input, button, select, .how").all()
        assert not any(control.is_visible() for control in hidden)


# choose_picture ------------------------------------------------------------


@pytest.mark.parametrize("colab", [False, True])
def test_choosing_a_picture(pair, monkeypatch, colab):
    Image.fromarray(pair[0]).save(file := io.BytesIO(), "png")
    uploaded, buttons = {}, []
    monkeypatch.setattr(widgets, "display", buttons.append)
    if colab:
        module = SimpleNamespace(files=SimpleNamespace(upload=lambda: uploaded))
        monkeypatch.setitem(sys.modules, "google.colab", module)
    chosen = widgets.choose_picture()
    with pytest.raises(ValueError, match="no picture is chosen"):
        chosen.read()
    now = datetime.datetime.now()
    about = {"name": "a (1).png", "type": "", "size": 1, "last_modified": now}
    for content in file.getvalue(), b"hello":
        uploaded["a (1).png"] = content
        for button in buttons:
            button.value = [about | {"content": memoryview(content)}]
        if content != b"hello":
            assert np.array_equal(chosen.read(), pair[0])
    with pytest.raises(images.ImageError, match="png"):
        chosen.read()
