"""The rendered book in a browser, opened from the disk, with no network.

Needs the book (``make book``) and Chromium; run by ``make site``.
"""

import os
import re
import shutil
import urllib.parse
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import sync_playwright

from tools.notebooks import BOOK, ROOT

HTML = ROOT / "_build" / "html"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


def why_not() -> str | None:
    """Why the rendered book can't be tested as it is."""
    complete = HTML / ".complete"
    if not complete.exists():
        return "the book is not built; run: make book"
    sources = [ROOT / "_config.yml", ROOT / "_toc.yml"]
    sources += [*BOOK.glob("*.*"), *BOOK.glob("_static/*")]
    for source in sources:
        if source.stat().st_mtime > complete.stat().st_mtime:
            return f"the book is older than {source.relative_to(ROOT)}; run: make book"
    return None


def pages() -> list[str]:
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    chapters = [c["file"] for part in toc["parts"] for c in part["chapters"]]
    return [toc["root"], *chapters]


if BROWSER is None:
    pytest.skip(f"needs one of: {', '.join(BROWSERS)}", allow_module_level=True)
if reason := why_not():
    if os.environ.get("SRCNN_SITE") == "required":
        raise RuntimeError(reason)
    pytest.skip(reason, allow_module_level=True)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    profile = tmp_path_factory.mktemp("profile")
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=BROWSER, headless=True, args=FLAGS, viewport=DESK
        )
        yield context
        context.close()


@pytest.fixture(scope="module", params=pages())
def seen(request, browser):
    """A page, opened, with what it asked of the network and complained of."""
    page = browser.new_page()
    page.foreign, page.complaints = [], []

    def gate(route):
        if route.request.url.startswith(("file:", "data:", "blob:")):
            route.continue_()
        else:
            page.foreign.append(route.request.url)
            route.abort()

    page.route("**/*", gate)
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on(
        "console",
        lambda m: page.complaints.append(m.text) if m.type == "error" else None,
    )
    page.goto((HTML / f"{request.param}.html").as_uri(), wait_until="load")
    page.evaluate("async () => { await window.MathJax?.startup?.promise }")
    yield page
    page.close()


def test_asks_no_other_host_and_has_no_errors(seen):
    assert not seen.foreign
    assert not seen.complaints


def test_mathematics_is_set(seen):
    wanted, got, wrong = seen.evaluate(
        """() => [
            document.querySelectorAll('.math').length,
            document.querySelectorAll('.math mjx-container').length,
            [...document.querySelectorAll('mjx-merror, [data-mjx-error]')]
                .map(e => e.textContent)]"""
    )
    assert not wrong
    assert got >= wanted


def test_no_tex_or_markup_is_left_in_the_text(seen):
    text = seen.evaluate(
        """() => {
            const walker = document.createTreeWalker(
                document.querySelector('article'), NodeFilter.SHOW_TEXT)
            const apart = 'pre, code, script, style, mjx-container, kbd'
            const found = []
            while (walker.nextNode())
                if (!walker.currentNode.parentElement.closest(apart))
                    found.push(walker.currentNode.data)
            return found }"""
    )
    raw = re.compile(r"\$|\\[(\[]|\\[a-zA-Z]{2,}|\{(ref|cite|numref)|^:::|\{\{")
    assert not [part for part in text if raw.search(part)]


def test_no_message_from_the_build_or_the_theme(seen):
    boxes = seen.locator(
        ".system-message, .problematic, "
        ".bd-header-announcement, .bd-header-version-warning"
    )
    assert not [b for b in boxes.all() if b.is_visible()]


def test_pictures_load_and_are_described(seen):
    pictures = seen.evaluate(
        """async () => {
            const all = [...document.querySelectorAll('article img')]
            all.forEach(img => img.loading = 'eager')
            await Promise.all(all.map(img => img.decode().catch(() => null)))
            return all.map(img => [img.src, img.naturalWidth, img.alt]) }"""
    )
    for address, width, alt in pictures:
        assert width > 0, f"does not load: {address}"
        assert len(alt) > 5, f"no alternative text: {address}"
        assert not re.search(r"\.(png|svg|jpe?g)$|/", alt), f"a file name: {alt}"
    figures = seen.locator("article figure")
    assert figures.count() == seen.locator("article figure figcaption").count()
    plots = seen.locator("article .cell_output img:not(figure img)")
    assert plots.count() == 0, "a picture without a caption"


def test_fits_a_phone(seen):
    seen.set_viewport_size(PHONE)
    try:
        wide = seen.evaluate(
            """() => {
                const width = document.documentElement.clientWidth
                const scrolls = e => e && (
                    /auto|scroll|hidden/.test(getComputedStyle(e).overflowX)
                    || scrolls(e.parentElement))
                const out = [...document.querySelectorAll('article *')].filter(e =>
                    e.getBoundingClientRect().right > width + 1
                    && e.getBoundingClientRect().width > 0
                    && !scrolls(e.parentElement))
                const total = document.documentElement.scrollWidth
                if (total > width + 1) out.push(document.body)
                return out.slice(0, 5).map(e => e.outerHTML.slice(0, 120)) }"""
        )
    finally:
        seen.set_viewport_size(DESK)
    assert not wide


def test_links_inside_the_book_lead_somewhere(seen):
    links = seen.evaluate(
        "() => [...document.querySelectorAll('a[href]')].map(a => a.href)"
    )
    for link in set(links):
        parts = urllib.parse.urlsplit(link)
        if parts.scheme != "file":
            continue
        target = urllib.parse.unquote(parts.path)
        assert os.path.exists(target), f"leads nowhere: {link}"
        if parts.fragment and target.endswith(".html"):
            anchor = re.escape(urllib.parse.unquote(parts.fragment))
            text = Path(target).read_text(encoding="utf-8")
            assert re.search(f'id="{anchor}"', text), f"no such place: {link}"


def test_first_page_leads_to_the_book(browser):
    page = browser.new_page()
    page.goto((HTML / "index.html").as_uri())
    page.wait_for_url("**/book/index.html")
    page.close()
