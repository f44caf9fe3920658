"""A deck of slides for each chapter, from the executed book; see tools/editions.py.

What is on a slide is said in the pages, as Jupyter stores it (``slideshow`` in a cell's
metadata: slide, subslide, fragment, notes).  Outputs are those of the book's last
build.  nbconvert makes the decks, with the template tools/deck, for use offline.
"""

import re
import shutil
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from nbconvert.exporters import SlidesExporter
from pygments.formatters import HtmlFormatter

from tools import browser, course, markdown, notebooks

CACHES = notebooks.ROOT / "_build" / ".jupyter_cache"
DECK = Path(__file__).with_name("deck")
WIDGETS = notebooks.BOOK / "_static" / "widgets.css"
#: Files of reveal.js in an installed package, which decks have in one folder.
REVEAL = ("LICENSE", "dist/reveal.js", "dist/reveal.css", "plugin/notes/notes.js")


def build(pages: list[Path], folder: Path) -> None:
    """Write a deck for each chapter, an index and their assets to `folder`.  Raises
    RuntimeError when the book was not built since a page changed."""
    assets(folder / "assets")
    items = ""
    for page in (page for page in pages if page.stem[0].isdigit()):
        nb = executed(page)
        (folder / f"{page.stem}.html").write_text(deck(nb), encoding="utf-8")
        items += f'<li><a href="{page.stem}.html">{title_of(nb)}</a></li>\n'
    index = (DECK / "contents.html").read_text(encoding="utf-8")
    (folder / "index.html").write_text(index.format(items=items), encoding="utf-8")


def executed(page: Path) -> nbformat.NotebookNode:
    """A page with the outputs of the book's last build."""
    nb = notebooks.read(page)
    for cache in sorted(CACHES.glob("*"), key=lambda folder: -folder.stat().st_mtime):
        try:
            return get_cache(cache).merge_match_into_notebook(nb, cell_meta=())[1]
        except KeyError:
            continue
    raise RuntimeError(f"{page.name} is not built as it stands now; make book")


def title_of(nb) -> str:
    return nb.cells[0].source.partition("\n")[0].removeprefix("# ").strip()


def deck(nb) -> str:
    """A page's slides, as HTML."""
    nb.cells = [part for cell in nb.cells for part in split(cell)]
    for cell in filter(shows, nb.cells):
        cell.metadata["transient"] = {"remove_source": True}
    markdown.readable(nb, folded=False, badge=False)
    exporter = SlidesExporter(
        extra_template_basedirs=[str(DECK.parent)], template_name=DECK.name,
        reveal_url_prefix="assets/reveal", mathjax_url="assets/mathjax/tex-svg.js",
        exclude_input_prompt=True, exclude_output_prompt=True,
        exclude_anchor_links=True,
    )  # fmt: skip
    return exporter.from_notebook_node(nb, {"metadata": {"name": title_of(nb)}})[0]


def split(cell) -> list:
    """A cell's parts on slides: a heading inside a text begins a slide of its own."""
    kind = cell.metadata.get("slideshow", {}).get("slide_type")
    if kind in (None, "notes") or cell.cell_type == "code":
        return [cell] if kind else []
    texts = [""]
    for text in re.split(r"\n(?=##+ )", cell.source):
        if "\n" in texts[-1].strip():
            texts.append("")
        texts[-1] += f"{text}\n"  # below a heading that has no text of its own
    cell.source = texts[0]
    about = {"metadata": {"slideshow": {"slide_type": "subslide"}}}
    return [cell, *(nbformat.v4.new_markdown_cell(t, **about) for t in texts[1:])]


def shows(cell) -> bool:
    """Whether a cell gives a picture or a table, so that its code is left out."""
    kinds = {kind for out in cell.get("outputs", []) for kind in out.get("data", {})}
    hidden = {"remove-input", "hide-input"} & course.tags(cell)
    return bool(hidden or kinds & {"image/png", "text/html", "text/markdown"})


def assets(folder: Path) -> None:
    """Put into `folder` what decks share: MathJax, reveal.js and styles."""
    browser.copy_mathjax(folder / "mathjax")
    (folder / "reveal").mkdir()
    for source in REVEAL:
        path = browser.package("sphinx_revealjs") / "_static" / "revealjs" / source
        shutil.copy(path, folder / "reveal")
    styles = [p.read_text("utf-8") for p in (WIDGETS, DECK / "deck.css")]
    styles += [HtmlFormatter(style="default").get_style_defs(".highlight"), ""]
    (folder / "deck.css").write_text("\n".join(styles), encoding="utf-8")
