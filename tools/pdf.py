"""The book on one page, printed by Chromium to one PDF: ``make pdf``.

    python tools/pdf.py _build/singlehtml book.pdf

Contents with page numbers come first, bookmarks at the side; what folds is
unfolded and what moves stands still.  It is printed twice: the first time tells
on which page each heading falls.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from playwright.sync_api import sync_playwright
from pypdf import PdfReader

from tools import browser

STYLE = """
@page { size: A4; margin: 18mm 16mm 18mm 16mm; }
html { font-size: 13px; }
.bd-header, .bd-sidebar, .bd-sidebar-secondary, .bd-header-article, footer,
.prev-next-footer, .bd-header-announcement, .headerlink, .copybtn, .skip-link,
#pst-skip-link, #pst-back-to-top, .search-button__wrapper, .bd-search,
#jb-print-docs-body, .onlyprint, .toctree-wrapper.compound > ul, dialog, .srcnn-live,
img[alt="Open in Colab"] { display: none !important; }
.bd-main, .bd-content, .bd-article-container, .bd-container,
.bd-container__inner { display: block !important; max-width: none !important;
  width: auto !important; padding: 0 !important; margin: 0 !important; }
pre { white-space: pre-wrap !important; overflow-wrap: anywhere; }
figure, img, pre, tr, .cell_input, div.highlight, .admonition-title {
  break-inside: avoid; }
h1, h2, h3, h4, p:has(+ pre.srcnn-reference) { break-after: avoid; }
section.pdf-chapter { break-before: page; }
table { font-size: 85%; }
/* The theme keeps tables whole; a long one may begin where there is room. */
.bd-main .bd-content table:has(tr:nth-child(16)) { break-inside: auto; }
nav.pdf-contents { break-after: page; }
nav.pdf-contents a { display: flex; gap: 1rem; color: inherit;
  text-decoration: none; justify-content: space-between; line-height: 1.5; }
nav.pdf-contents a.pdf-section { padding-left: 1.5rem; font-size: 90%; }
nav.pdf-contents a.pdf-page { font-weight: 600; margin-top: 0.5rem; }
"""
# Unfolds what folds; writes the contents; returns the headings in them.
PREPARE = """() => {
  document.documentElement.dataset.theme = 'light';
  document.querySelectorAll('details').forEach(e => e.open = true);
  for (const name of ['toggle-hidden'])
    document.querySelectorAll('.' + name).forEach(e => e.classList.remove(name));
  document.querySelectorAll('img').forEach(e => e.loading = 'eager');
  const plain = h => {
    const copy = h.cloneNode(true);
    copy.querySelectorAll('.headerlink, mjx-assistive-mml').forEach(e => e.remove());
    return copy.textContent.replace(/\\s+/g, ' ').trim(); };
  const contents = document.createElement('nav');
  contents.className = 'pdf-contents';
  contents.innerHTML = '<p style="font-size: 2.6rem; margin: 4rem 0"></p>' +
    '<p style="font-size: 1.8rem">Contents</p>';
  contents.firstChild.textContent = document.title;
  const found = [];
  const add = (section, kind) => {
    const heading = section.querySelector(':scope > h1, :scope > h2, :scope > h3');
    if (!heading || !section.id) return;
    const link = document.createElement('a');
    link.href = '#' + section.id;
    link.className = kind;
    link.append(Object.assign(document.createElement('span'),
      {textContent: plain(heading)}), Object.assign(
      document.createElement('span'), {textContent: '000'}));
    contents.append(link);
    found.push(plain(heading)); };
  const starts = [...document.querySelectorAll('span[id^="document-"]')];
  for (const start of starts) {
    const page = start.nextElementSibling;
    if (!page || page.tagName !== 'SECTION') continue;
    page.classList.add('pdf-chapter');
    add(page, 'pdf-page');
    page.querySelectorAll(':scope > section').forEach(e => add(e, 'pdf-section'));
  }
  const first = document.querySelector('article h1');
  first.closest('section').insertBefore(contents, first.nextSibling);
  return found; }"""
NUMBER = """pages => document.querySelectorAll('nav.pdf-contents a').forEach(
  (link, k) => link.lastChild.textContent = pages[k] ?? '')"""
FOOTER = (
    '<div style="font: 8px sans-serif; width: 100%; text-align: center">'
    '<span class="pageNumber"></span></div>'
)


def pages_of(headings: list[str], pdf: Path) -> list[int | None]:
    """The page of each heading, by the PDF's bookmarks, which are in the same
    order with others between."""
    reader = PdfReader(pdf)

    def flat(items):
        for item in items:
            if isinstance(item, list):
                yield from flat(item)
            else:
                title = " ".join(item.title.rstrip("# ").split())
                yield title, reader.get_destination_page_number(item) + 1

    rest = iter(list(flat(reader.outline)))
    found = []
    for heading in headings:
        kept = list(rest)
        at = next((k for k, (title, _) in enumerate(kept) if title == heading), None)
        found.append(None if at is None else kept[at][1])
        rest = iter(kept if at is None else kept[at + 1 :])
    return found


def write(page_file: Path, pdf: Path) -> list[int | None]:
    """Print a book on one page; the pages of the contents' headings."""
    if browser.PROGRAM is None:
        sys.exit(f"A PDF {browser.NEEDED}")
    pdf.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            Path(folder, "profile"),
            executable_path=browser.PROGRAM,
            args=browser.FLAGS,
        )
        page = context.new_page()
        page.emulate_media(media="print", color_scheme="light", reduced_motion="reduce")
        page.goto(page_file.resolve().as_uri(), wait_until="load", timeout=120_000)
        page.evaluate("async () => { await window.MathJax?.startup?.promise }")
        page.add_style_tag(content=STYLE)
        headings = page.evaluate(PREPARE)
        page.evaluate(
            """() => Promise.all([...document.images].map(
                   e => e.decode().catch(() => null)))"""
        )
        made = Path(folder, "book.pdf")
        options = {
            "path": made,
            "format": "A4",
            "outline": True,
            "tagged": True,
            "print_background": True,
            "display_header_footer": True,
            "header_template": "<span></span>",
            "footer_template": FOOTER,
            "prefer_css_page_size": True,
        }
        page.pdf(**options)
        pages = pages_of(headings, made)
        page.evaluate(NUMBER, pages)
        page.pdf(**options)
        context.close()
        half = pdf.with_suffix(".part")
        shutil.copyfile(made, half)
        os.replace(half, pdf)
    return pages


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    folder, pdf = map(Path, sys.argv[1:])
    source = folder / "book" / "index.html"
    if not source.exists():
        sys.exit(f"{source} is not there; run: make pdf")
    # The builder's links are relative to the top, whatever folder the page is in.
    at_the_top = shutil.copyfile(source, folder / "whole.html")
    found = write(at_the_top, pdf)
    count = len(PdfReader(pdf).pages)
    size = pdf.stat().st_size / 1e6
    print(f"{pdf}: {count} pages, {len(found)} headings in the contents, {size:.1f} MB")


if __name__ == "__main__":
    main()
