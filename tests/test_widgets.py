"""What readers move and choose: in a notebook, on a page, in a browser."""

import base64
import datetime
import io
import re
import sys
import types
from functools import partial

import ipywidgets
import nbformat
import numpy as np
import pytest
from matplotlib import pyplot as plt
from nbclient import NotebookClient
from PIL import Image
from playwright.sync_api import sync_playwright

from srcnn_lib import images, widgets
from tools import notebooks
from tools.browser import FLAGS, NEEDED, PROGRAM

PICTURE = r'data:image/png;base64,([^"]+)"'
three_greys = {f"step {k} <now>": np.full((8, 12), k / 3) for k in range(3)}
frames = partial(widgets.frames, caption="Noise & more.", alt='a "wing"', name="Moment")


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (2, 30, 40, 3)).astype(np.uint8)


def opened(content):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


# On a page ------------------------------------------------------------------


@pytest.mark.parametrize("grey", [False, True])
def test_all_pictures_are_in_the_page_pixel_for_pixel(pair, grey):
    pictures = dict(zip("ab", pair[..., 0] if grey else pair))
    expected = [pictures[name][3:23, 5:25] for name in "aba"]
    pictures["c"] = pictures["a"] / 255  # 0…1 is as good
    shown = widgets.overlay(pictures, (3, 5, 20))
    found = [opened(content) for content in re.findall(PICTURE, shown.page)]
    assert np.array_equal(found, expected)
    assert not re.search(r"https?://|<script", shown.page)
    assert repr(shown) == "<a | b | c: 20×20 pixels>"
    moving = frames(dict(zip("ab", pictures.values())))
    found = [opened(content) for content in re.findall(PICTURE, moving.page)]
    first, second = list(pictures.values())[:2]
    assert np.array_equal(found, [second, first, second])  # one is shown, all are held
    assert "http" not in moving.page


def test_texts_are_text_and_no_markup(pair):
    options = {"caption": "1 < 2", "alt": 'a "wing"'}
    shown = widgets.overlay(dict(zip(('<b>"A"', "B & C"), pair)), **options)
    assert "<b>" not in shown.page and "1 &lt; 2" in shown.page
    assert 'alt="B &amp; C: a &quot;wing&quot;"' in shown.page
    shown = frames(three_greys)
    assert "<now>" not in shown.page and "Noise &amp; more." in shown.page
    assert repr(shown) == "<3 frames, step 0 <now> … step 2 <now>>"


def test_frames_of_figures_and_of_a_function():
    figures = {}
    for k in range(2):
        figures[k], axes = plt.subplots(figsize=(2, 1))
        axes.plot([0, k])
    assert len(re.findall(PICTURE, frames(figures, start=0).page)) == 3
    assert not plt.get_fignums()
    shown = frames(lambda k: (np.full((5, 7), k / 10), f"{k / 10:.1f} white"), (1, 9))
    assert repr(shown) == "<2 frames, 1, 0.1 white … 9, 0.9 white>"


@pytest.mark.parametrize(
    "make, said",
    [
        (lambda a, b: widgets.overlay({"a": a, "b": b[1:]}), "one shape"),
        (lambda a, b: widgets.overlay({"a": a[..., :2]}), "grey or RGB"),
        (lambda a, b: widgets.overlay({"a": a}), "two pictures"),
        (lambda a, b: widgets.overlay({"a": a, "b": b * 1.0}), "0…1"),
        (lambda a, b: widgets.overlay({"a": a, "b": b}, (20, 0, 11)), "not inside"),
        (lambda a, b: widgets.overlay({"a": a, "b": b}, (0, -1, 11)), "not inside"),
        (lambda a, b: frames({"a": a, "b": b[1:]}), "one size"),
        (lambda a, b: frames({}), "one size"),
    ],
)
def test_unfit_pictures(pair, make, said):
    with pytest.raises(ValueError, match=said):
        make(*pair)


# In a running notebook -------------------------------------------------------


def test_a_running_notebook_has_sliders_and_the_book_frames(monkeypatch):
    """As the pages use it; the kernel answers a moved slider by computing."""
    monkeypatch.delenv(widgets.STATIC, raising=False)
    source = (
        "import sys; sys.path.insert(0, '..')\nimport numpy as np\n"
        "from ipywidgets import interact\nfrom srcnn_lib import widgets\nseen = []\n"
        "def draw(k):\n    seen.append(k)\n    return np.full((3, 4), k / 10)\n"
        "steps = widgets.frames(draw, at=(1, 9), caption='C', alt='')\n"
        "if widgets.live():\n    slider = interact(steps.draw, k=(1, 9)).widget\n"
        "    slider.children[0].value = 7\n    print(seen)\n"
        "steps"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    static = notebooks.execute(notebook, {}).cells[0].outputs
    assert notebooks.WIDGET not in static[-1].data
    assert "srcnn-frames" in static[-1].data["text/html"]
    assert notebooks.stored(static[-1:])[0].data == {"text/plain": "<2 frames, 1 … 9>"}
    here = {"metadata": {"path": str(notebooks.BOOK)}}
    NotebookClient(notebook, timeout=300, resources=here).execute()
    found = notebook.cells[0].outputs
    assert [1 for output in found if notebooks.WIDGET in output.get("data", {})]
    text = "".join(output.get("text", "") for output in found)
    assert text == "[1, 9, 5, 7]\nC\n"


def test_the_window_moves_over_the_whole_pictures(pair, monkeypatch):
    made, seen = {}, []
    monkeypatch.setattr(widgets, "live", lambda: True)
    monkeypatch.setattr(widgets, "display", lambda image: seen.append(image))
    monkeypatch.setattr(
        ipywidgets, "interact", lambda show, **options: made.update(options, show=show)
    )
    widgets.overlay(dict(zip("ab", pair)), (3, 5, 20), zoom=2)._ipython_display_()
    assert made["left"] == made["right"] == ["a", "b"]
    assert (made["row"], made["column"]) == ((0, 10), (0, 20))
    made["show"](divider=25, row=4, right="b")
    halves = pair[0][4:24, 5:10], pair[1][4:24, 10:25]
    expected = np.hstack(halves).repeat(2, 0).repeat(2, 1)
    assert np.array_equal(np.asarray(seen[0]), expected)


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
    opened, errors = [], []

    def show(*figures, **options):
        page = chromium.new_page(viewport={"width": 400, "height": 400}, **options)
        opened.append(page)
        page.on("pageerror", lambda error: errors.append(str(error)))
        static = notebooks.BOOK / "_static"
        page.set_content(
            f"<style>{(static / 'widgets.css').read_text()}</style>"
            f"<script>{(static / 'widgets.js').read_text()}</script>"
            f"<body style='margin:20px'>{''.join(f.page for f in figures)}"
        )
        return page

    yield show
    assert not errors
    for page in opened:
        page.close()


white_black = widgets.overlay(
    {k: np.full((60, 150), k == "white", float) for k in ("white", "black")},
    zoom=2, caption="Two.",
)  # fmt: skip


def row_of_pixels(page):
    """Of the first pair of pictures, below the names, as on the screen."""
    box = page.locator(".pair").first.bounding_box()
    screen = Image.open(io.BytesIO(page.screenshot(animations="allow"))).convert("L")
    row = np.asarray(screen).astype(int)[int(box["y"] + 0.8 * box["height"])]
    return row[round(box["x"]) :][: round(box["width"])]


def share_of_black(page):
    return (row_of_pixels(page) < 60).mean()


def test_the_divider_moves_by_keyboard_and_mouse(show):
    page = show(white_black, white_black)
    assert abs(share_of_black(page) - 0.5) < 0.03
    page.keyboard.press("Tab")
    slider, other = page.get_by_role("slider", name="Divider").all()
    assert slider.evaluate("input => input === document.activeElement")
    page.keyboard.press("Home")
    assert share_of_black(page) > 0.97
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "3 % white"
    assert other.get_attribute("aria-valuetext") == "50 % white"
    box = page.locator(".pair").first.bounding_box()
    assert box["width"] == 300
    page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 20)
    assert abs(share_of_black(page) - 0.25) < 0.03


def test_menus_choose_what_stands_on_each_side(show):
    grey = {f"grey {k}": np.full((60, 150), k, np.uint8) for k in (250, 150, 20)}
    page = show(widgets.overlay(grey, zoom=2))

    def sides():
        row = row_of_pixels(page)
        return row[5], row[-5]

    left, right = (page.get_by_role("combobox", name=k) for k in ("Left", "Right"))
    assert sides() == (250, 150)
    right.select_option("grey 20")
    assert sides() == (250, 20)
    left.select_option("grey 20")  # which stands right: they change places
    assert sides() == (20, 250) and right.input_value() == "0"
    assert page.get_by_role("slider").get_attribute("aria-valuetext") == "50 % grey 20"
    page.emulate_media(media="print")
    assert not left.is_visible()
    assert all(picture.is_visible() for picture in page.locator(".picture").all())


def test_frames_move_by_keyboard_and_button(show):
    page = show(frames(three_greys, start=0))
    slider = page.get_by_label("Moment")  # it has a name for a screen reader
    first = page.get_attribute("img", "src")
    assert page.text_content("output") == "step 0 <now>"
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert page.text_content("output") == "step 1 <now>"
    assert slider.get_attribute("aria-valuetext") == "step 1 <now>"
    assert page.get_attribute("img", "src") != first
    page.keyboard.press("Home")
    assert page.get_attribute("img", "src") == first
    page.click("button")
    assert page.text_content("button") == "Stop"
    page.wait_for_function("document.querySelector('input').value == '1'")
    page.click("button")
    assert page.text_content("button") == "Play"
    page.emulate_media(reduced_motion="reduce")
    assert slider.is_visible() and not page.is_visible("button")


def test_print_and_pages_without_scripts_have_figures(show):
    figures = white_black, frames(three_greys)
    printed, plain = show(*figures), show(*figures, java_script_enabled=False)
    printed.emulate_media(media="print")
    for page in printed, plain:
        left, right = (i.bounding_box() for i in page.locator(".picture img").all())
        assert right["x"] >= left["x"] + left["width"] and right["y"] == left["y"]
        assert page.is_visible(".srcnn-frames img")
        assert all(text.is_visible() for text in page.locator("figcaption").all())
        controls = page.locator("input, button, .how").all()
        assert not any(control.is_visible() for control in controls)


# choose_picture ------------------------------------------------------------


def png_of(picture) -> bytes:
    Image.fromarray(picture).save(file := io.BytesIO(), "png")
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
    with pytest.raises(ValueError, match="no picture is chosen"):
        chosen.read()


def test_choosing_in_jupyter(pair, monkeypatch):
    made = []
    monkeypatch.setattr(widgets, "display", made.append)
    chosen = widgets.choose_picture()
    with pytest.raises(ValueError, match="no picture is chosen"):
        chosen.read()
    (button,) = made
    file = {"name": "a.png", "type": "image/png", "size": 1}
    file["last_modified"] = datetime.datetime.now()
    button.value = [file | {"content": memoryview(png_of(pair[1]))}]
    assert np.array_equal(chosen.read(), pair[1])
    button.value = [file | {"content": memoryview(b"hello")}]
    with pytest.raises(images.ImageError, match="a.png"):
        chosen.read()
