"""The decks: from the pages' slideshow metadata; in a browser nothing is cut off.

The second half needs the decks (``make slides``) and Chromium; ``make site`` runs it.
"""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from playwright.sync_api import sync_playwright

from tools import editions, notebooks, slides
from tools.browser import FLAGS, NEEDED, PROGRAM

CHAPTERS = [page for page in notebooks.pages() if page.stem[0].isdigit()]
DECKS = sorted((editions.OUT / "slides").glob("[0-9]*.html"))
SMALLEST = 0.55  # of the type's size, where a slide holds much
MEASURE = """() => {
  const body = document.querySelector(".slides > section.present .body");
  const box = body.getBoundingClientRect();
  const all = query => [...body.querySelectorAll(query)];
  const outside = all("*:not(mjx-assistive-mml, mjx-assistive-mml *)").filter((e) => {
    const b = e.getBoundingClientRect();
    return b.width && (b.bottom > box.bottom + 2 || b.right > box.right + 2);
  });
  const over = Math.max(body.scrollHeight - body.clientHeight,
                        body.scrollWidth - body.clientWidth);
  return {over, outside: outside.length, size: parseFloat(body.style.fontSize),
    wrong: all("mjx-merror, [data-mjx-error]").length,
    raw: /\\\\\\(|\\\\\\[|\\$\\$/.test(body.innerText),
    broken: all("img").filter((i) => !i.naturalWidth).length};
}"""


def small_page():
    png = {"image/png": "iVBORw0KGgo=\n", "text/plain": "<Figure>"}
    about = {"figure": {"caption": "A line, $x$."}, "image": {"alt": "It goes up."}}
    outputs = {"print(6)": new_output("stream", text="six"),
               "plot()": new_output("display_data", png)}  # fmt: skip

    def slide(kind, text):
        metadata = {"slideshow": {"slide_type": kind}, "mystnb": about}
        if text in outputs:
            return new_code_cell(text, metadata=metadata, outputs=[outputs[text]])
        return new_markdown_cell(text, metadata={"slideshow": metadata["slideshow"]})

    return nbformat.v4.new_notebook(cells=[
        slide("slide", f"# Small\n\n{notebooks.badge(CHAPTERS[0])}\n\nGoals."),
        new_markdown_cell("On no slide."),
        slide("slide", "## A\n\nText {cite:p}`dong2014learning`.\n\n"
                       "## B\n\n### C\n\nMore."),
        slide("fragment", "print(6)"),
        slide("subslide", "plot()"),
        slide("notes", "Said aloud."),
    ])  # fmt: skip


def test_a_deck_has_the_marked_cells_and_needs_no_network():
    made = slides.deck(small_page())
    assert "<title>Small</title>" in made and made.count('<div class="body">') == 4
    assert "On no slide." not in made and "Open in Colab" not in made
    assert "(Dong et al., 2014)" in made and "{cite" not in made
    assert made.index("More.") < made.index("six") < made.index("A line, ")
    assert "print" in made and "plot" not in made, "what draws a figure is left out"
    assert 'alt="It goes up."' in made
    assert "Said aloud." in made.partition('<aside class="notes">')[2]
    assert 'src="http' not in made and 'href="http' not in made


def test_every_chapter_has_slides(tmp_path, monkeypatch):
    monkeypatch.setattr(slides, "executed", notebooks.read)
    folder = editions.build("slides", out=tmp_path)
    made = [path.stem for path in sorted(folder.glob("[0-9]*.html"))]
    assert made == [page.stem for page in CHAPTERS]
    for page in CHAPTERS:
        text = (folder / f"{page.stem}.html").read_text(encoding="utf-8")
        assert text.count('<div class="body">') >= 5, page.stem
        assert f'href="{page.stem}.html"' in (folder / "index.html").read_text("utf-8")
    for name in ("mathjax/tex-svg.js", "reveal/reveal.js", "deck.css"):
        assert (folder / "assets" / name).stat().st_size > 1000, name


def test_a_page_newer_than_the_book_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(slides, "CACHES", tmp_path)
    with pytest.raises(RuntimeError, match=f"{CHAPTERS[0].name} is not built"):
        slides.executed(CHAPTERS[0])


@pytest.fixture(scope="module")
def browser():
    if PROGRAM is None:
        pytest.skip(NEEDED)
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=PROGRAM, args=FLAGS)


@pytest.mark.skipif(not DECKS, reason="the decks are not built; run: make slides")
@pytest.mark.parametrize("deck", DECKS, ids=lambda path: path.stem)
def test_each_slide_fits_and_shows_its_mathematics(deck, browser):
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    asked, errors = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("requestfailed", lambda request: errors.append(request.url[:200]))
    page.goto(deck.as_uri())
    page.wait_for_function("document.body.classList.contains('ready')")
    for k in range(page.locator(".slides > section").count()):
        page.evaluate(f"Reveal.slide({k}, 0, 99)")
        seen = page.evaluate(MEASURE)
        assert seen.pop("over") <= 1 and seen.pop("size") >= SMALLEST, f"slide {k + 1}"
        assert not any(seen.values()), f"slide {k + 1}: {seen}"
    assert not errors
    assert all(url.startswith(("file:", "data:", "blob:")) for url in asked)
    page.close()
