"""Pictures under a slider: what the page holds, and what a browser does."""

import base64
import io
import re

import numpy as np
import pytest
from matplotlib import pyplot as plt
from nbformat.v4 import new_output
from PIL import Image
from playwright.sync_api import sync_playwright

from srcnn_lib import widgets
from tools import notebooks
from tools.browser import FLAGS, NEEDED, PROGRAM

ADDRESS = r"data:image/png;base64,([A-Za-z0-9+/=]+)"


@pytest.fixture
def pictures():
    grey = np.random.default_rng(0).random((3, 8, 12))
    return {f"step {k} <now>": picture for k, picture in enumerate(grey)}


def three(pictures, **options):
    texts = {"caption": "Noise & more.", "alt": "Grey noise."}
    return widgets.frames(pictures, **texts, name="Moment", **options)


def test_every_frame_is_in_the_page_pixel_for_pixel(pictures):
    page = three(pictures).page
    found = re.findall(ADDRESS, page)
    assert len(found) == 1 + len(pictures)  # one is shown, all are held
    assert found[0] == found[-1]  # it starts at the last
    for text, picture in zip(found[1:], pictures.values()):
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))
        assert np.array_equal(shown, (255 * picture + 0.5).astype(int))


def test_it_asks_no_server_and_escapes_what_it_is_given(pictures):
    page = three(pictures).page
    assert "http" not in page
    assert "Noise &amp; more." in page and "step 2 &lt;now&gt;" in page
    assert "<now>" not in page
    assert repr(three(pictures)) == "<3 frames, step 0 <now> … step 2 <now>>"


def test_figures_may_be_frames():
    figures = {}
    for k in range(2):
        figures[k], axes = plt.subplots(figsize=(2, 1))
        axes.plot([0, k])
    assert len(re.findall(ADDRESS, three(figures, start=0).page)) == 3
    plt.close("all")


def test_wrong_pictures_are_refused(pictures):
    with pytest.raises(ValueError, match="at least one"):
        three({})
    with pytest.raises(ValueError, match="one size"):
        three(pictures | {"another": np.zeros((9, 9))})


def test_two_alike_on_a_page_have_different_names(pictures):
    names = {re.search(r'id="([^"]+)"', three(pictures).page)[1] for _ in range(2)}
    assert len(names) == 2


def test_a_stored_page_keeps_its_text_but_not_its_pictures(pictures):
    shown = three(pictures)
    data = {"text/html": shown.page, "text/plain": repr(shown)}
    (kept,) = notebooks.stored([new_output("display_data", data)])
    assert kept.data == {"text/plain": repr(shown)}


@pytest.fixture(scope="module")
def browser():
    if PROGRAM is None:
        pytest.skip(NEEDED)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=FLAGS)
        yield browser
        browser.close()


def test_in_a_browser(browser, pictures):
    page = browser.new_page()
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.set_content(three(pictures, start=0).page)
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

    page.emulate_media(media="print")
    assert not slider.is_visible() and not page.is_visible("button")
    assert page.is_visible("img") and page.is_visible("figcaption")
    page.emulate_media(media="screen", reduced_motion="reduce")
    assert slider.is_visible() and not page.is_visible("button")
    assert not complaints
    page.close()


def test_without_scripts_it_is_a_figure(browser, pictures):
    page = browser.new_page(java_script_enabled=False)
    page.set_content(three(pictures, start=0).page)
    assert page.is_visible("img") and page.is_visible("figcaption")
    assert not page.is_visible("input") and not page.is_visible("button")
    page.close()
