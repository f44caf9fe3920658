"""The book on one page, printed by Chromium to one PDF: ``make pdf``.

    python -m tools.pdf _build/singlehtml book.pdf

Contents with page numbers come first, bookmarks at the side.  What folds is unfolded
and what moves stands still (tools/print).  It is printed twice, because the first time
tells on which page each heading falls.
"""

import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright
from pypdf import PdfReader

from tools import browser

PRINT = Path(__file__).with_name("print")
NUMBER = """pages => document.querySelectorAll('nav.pdf-contents a').forEach(
  (link, k) => link.lastChild.textContent = pages[k] ?? '')"""
FOOTER = """<div style="font: 8px sans-serif; width: 100%; text-align: center">
  <span class="pageNumber"></span></div>"""
OPTIONS = {
    "format": "A4", "outline": True, "tagged": True, "print_background": True,
    "prefer_css_page_size": True, "display_header_footer": True,
    "header_template": "<span></span>", "footer_template": FOOTER,
}  # fmt: skip


def pages_of(anchors: list[str], pdf: Path) -> list[int | None]:
    """The page, from 1, that each anchor fell on."""
    reader = PdfReader(pdf)
    found = (reader.named_destinations.get(f"/{anchor}") for anchor in anchors)
    return [d and reader.get_destination_page_number(d) + 1 for d in found]


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    folder, pdf = map(Path, sys.argv[1:])
    source = folder / "book" / "index.html"
    if not source.exists():
        sys.exit(f"{source} is not there; run: make pdf")
    if browser.PROGRAM is None:
        sys.exit(f"A PDF {browser.NEEDED}")
    # The builder's links are relative to the top, whatever folder the page is in.
    at_the_top = shutil.copyfile(source, folder / "whole.html").resolve().as_uri()
    pdf.parent.mkdir(parents=True, exist_ok=True)
    made = pdf.with_suffix(".part")
    program = {"executable_path": browser.PROGRAM, "args": browser.FLAGS}
    with sync_playwright() as playwright:
        page = playwright.chromium.launch(**program).new_page()
        page.emulate_media(media="print", color_scheme="light", reduced_motion="reduce")
        page.goto(at_the_top, wait_until="load", timeout=120_000)
        page.add_style_tag(path=PRINT / "print.css")
        anchors = page.evaluate((PRINT / "contents.js").read_text(encoding="utf-8"))
        page.pdf(path=made, **OPTIONS)
        page.evaluate(NUMBER, pages_of(anchors, made))
        page.pdf(path=made, **OPTIONS)
    os.replace(made, pdf)
    count, size = len(PdfReader(pdf).pages), pdf.stat().st_size / 1e6
    print(f"{pdf}: {count} pages, {len(anchors)} headings, {size:.1f} MB")


if __name__ == "__main__":
    main()
