"""The decks in a browser, from a disk, with no network: nothing is cut off.

Needs the decks (``make slides``) and Chromium; run by ``make site``.
"""

import os
import shutil

import pytest
from playwright.sync_api import sync_playwright

from tools import editions, slides
from tools.browser import FLAGS, NEEDED, PROGRAM

FOLDER = editions.OUT / "slides"
SMALLEST = 0.7  # of the type's size, where a slide holds much

if PROGRAM is None:
    pytest.skip(NEEDED, allow_module_level=True)
if not (FOLDER / "index.html").exists():
    pytest.skip("the decks are not built; run: make slides", allow_module_level=True)

DECKS = sorted(FOLDER.glob("[0-9]*.html"))
MEASURE = """() => {
  const slide = document.querySelector(".slides > section.present");
  const body = slide.querySelector(".body");
  const box = body.getBoundingClientRect();
  const outside = [...body.querySelectorAll("*")].filter((e) => {
    const b = e.getBoundingClientRect();
    return b.width && (b.bottom > box.bottom + 2 || b.right > box.right + 2);
  });
  return {
    size: parseFloat(body.style.fontSize),
    over: Math.max(body.scrollHeight - body.clientHeight,
                   body.scrollWidth - body.clientWidth),
    outside: outside.filter((e) => !e.closest("mjx-assistive-mml")).length,
    wrong: body.querySelectorAll("mjx-merror, [data-mjx-error]").length,
    raw: /\\\\\\(|\\\\\\[|\\$\\$/.test(body.innerText),
    pictures: [...body.querySelectorAll("img")].every((i) => i.naturalWidth > 0),
    wide: box.width, high: box.height,
  };
}"""


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=PROGRAM, args=FLAGS)
        yield found
        found.close()


@pytest.mark.parametrize("deck", DECKS, ids=lambda path: path.stem)
def test_each_slide_fits_and_shows_its_mathematics(deck, browser):
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    asked, errors = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("requestfailed", lambda request: errors.append(request.url[:200]))
    page.goto(deck.as_uri())
    page.wait_for_function("document.body.classList.contains('ready')")
    count = page.locator(".slides > section").count()
    assert count >= 5
    if page.evaluate("!window.Reveal"):
        pytest.skip("built without reveal.js, which npm fetches")
    for k in range(count):
        page.evaluate(f"Reveal.slide({k})")
        seen = page.evaluate(MEASURE)
        told = f"slide {k + 1}: {seen}"
        assert seen["over"] <= 1 and not seen["outside"], told
        assert seen["size"] >= SMALLEST and seen["pictures"], told
        assert not seen["wrong"] and not seen["raw"], told
    assert page.locator("aside.notes").count() == count
    assert not errors
    assert all(url.startswith(("file:", "data:", "blob:")) for url in asked)
    page.close()


def test_every_chapter_has_its_deck():
    chapters = [p.stem for p in editions.pages_of_the_book() if p.stem[0].isdigit()]
    assert [deck.stem for deck in DECKS] == chapters
    assert (FOLDER / "assets" / "mathjax" / "tex-svg.js").exists()
    if os.environ.get("SRCNN_SITE") == "required" and shutil.which("npm"):
        assert (FOLDER / "assets" / "reveal" / "reveal.js").exists(), slides.REVEAL
