"""The rendered book in a browser, opened from the disk, with no network.

Needs the book (``make book``) and Chromium; run by ``make site``.
"""

import gzip
import io
import os
import re
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import sync_playwright

from tools.browser import FLAGS, NEEDED, PROGRAM
from tools.notebooks import BOOK, ROOT, repository

HTML = ROOT / "_build" / "html"
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}
THEME = "theme => document.documentElement.dataset.theme = theme"
#: A page may hang; nothing in a browser takes this long.
pytestmark = pytest.mark.timeout(120)


def why_not() -> str | None:
    """Why the rendered book can't be tested as it is."""
    complete = HTML / ".complete"
    sources = [*ROOT.glob("_*.yml"), *BOOK.glob("*.*"), *BOOK.glob("_static/**/*.*")]
    if PROGRAM is None:
        return NEEDED
    if not complete.exists():
        return "the book is not built; run: make book"
    newer = [s for s in sources if s.stat().st_mtime > complete.stat().st_mtime]
    return f"the book is older than {newer[0].name}; run: make book" if newer else None


if reason := why_not():
    if os.environ.get("SRCNN_SITE") == "required" and PROGRAM:
        raise RuntimeError(reason)
    pytest.skip(reason, allow_module_level=True)
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())
PAGES = [TOC["root"], *(c["file"] for part in TOC["parts"] for c in part["chapters"])]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    profile = tmp_path_factory.mktemp("profile")
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=PROGRAM, headless=True, args=FLAGS, viewport=DESK
        )
        context.set_default_timeout(60_000)
        yield context
        context.close()


def opened(browser, name: str):
    """A page, loaded, with what it asked of the network and complained of."""
    page = browser.new_page()
    page.foreign, page.complaints = [], []

    def refuse(route):
        page.foreign.append(route.request.url)
        route.abort()

    page.route(re.compile("^(?!file:|data:|blob:)"), refuse)
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("console", lambda m: m.type == "error" and page.complaints.append(m.text))
    page.add_init_script(path=Path(__file__).with_name("site.js"))
    page.goto((HTML / f"{name}.html").as_uri(), wait_until="load")
    return page


TOGETHER = [pytest.param(page, marks=pytest.mark.xdist_group(page)) for page in PAGES]


@pytest.fixture(scope="module", params=TOGETHER)
def seen(request, browser):
    page = opened(browser, request.param)
    yield page
    page.close()


def unfold(page) -> None:
    """Open what folds, the application's inside too."""
    if page.locator(".srcnn-live").count():
        page.locator(".srcnn-live").scroll_into_view_if_needed()
        page.wait_for_function("site.idle()")
    page.evaluate("site.unfold()")


def bars(page, *rules: str) -> list[tuple[str, str]]:
    """What keeps readers with impairments out, by these rules of axe, or by all."""
    page.evaluate("site.thin()")
    only = {"runOnly": {"type": "rule", "values": rules}} if rules else {}
    found = Axe().run(page, options={"resultTypes": ["violations"], **only}).response
    grave = [v for v in found["violations"] if v["impact"] in ("serious", "critical")]
    return [(v["id"], v["nodes"][0]["html"][:200]) for v in grave]


def test_a_page_is_whole_and_asks_no_other_host(seen):
    place = repository()["url"].partition("github.com/")[2]
    assert not seen.evaluate("place => site.faults(place)", place)
    assert not seen.foreign and not seen.complaints


def test_what_moves_follows_its_controls(seen):
    frames = seen.locator(".srcnn-frames:visible").all()
    compare = seen.locator(".srcnn-compare:not(.srcnn-live *):visible").all()
    for figure in frames:
        shown, slider = figure.locator("img"), figure.locator("input")
        slider.press("Home")
        slider.press("ArrowRight")
        first = shown.get_attribute("src")
        slider.press("End")
        assert len({first, shown.get_attribute("src")}) == 2
    for figure in compare:
        slider = figure.get_by_role("slider")
        slider.press("ArrowRight")
        assert slider.get_attribute("aria-valuetext").startswith("51 %")
        if menus := figure.get_by_role("combobox").all():
            right = menus[1].input_value()
            menus[0].select_option(right)
            name = menus[0].locator("option").nth(int(right)).text_content()
            side = figure.locator('.picture[data-side="left"] .name')
            assert side.text_content() == name
    if not frames + compare:
        pytest.skip("nothing moves on this page")


def test_links_inside_the_book_lead_somewhere(seen):
    links = seen.evaluate("() => [...document.links].map(a => a.href)")
    for link in (unquote(link) for link in set(links) if link.startswith("file:")):
        path, _, place = link.removeprefix("file://").partition("#")
        target = Path(path.partition("?")[0])
        assert target.exists(), f"leads nowhere: {target}"
        if place and target.suffix == ".html":
            assert f'id="{place}"' in target.read_text(encoding="utf-8"), link


PHONE_RULES = ("scrollable-region-focusable", "target-size")


@pytest.mark.parametrize("size, rules", [(PHONE, PHONE_RULES), (DESK, ())])
def test_a_phone_shows_all_and_readers_with_impairments_get_in(seen, size, rules):
    seen.set_viewport_size(size)
    unfold(seen)
    seen.wait_for_timeout(500)  # the theme waits before it marks what scrolls now
    try:
        assert not seen.evaluate("site.wide()")
        assert not bars(seen, *rules)
    finally:
        seen.set_viewport_size(DESK)


def test_in_the_dark_text_can_be_read_and_nothing_is_white(seen):
    seen.evaluate(THEME, "dark")
    seen.wait_for_timeout(300)  # colours change slowly
    unfold(seen)
    try:
        for figure in seen.locator("article .srcnn-figure:visible").all():
            grey = np.asarray(Image.open(io.BytesIO(figure.screenshot())).convert("L"))
            assert grey[np.ix_([1, -2], [1, -2])].max() < 64, "at its corners"
        assert not seen.evaluate("site.white()")
        assert not bars(seen, "color-contrast")
    finally:
        seen.evaluate(THEME, "light")


def test_no_page_is_missing_from_the_sitemap():
    places = re.findall("<loc>(.*?)</loc>", (HTML / "sitemap.xml").read_text())
    owner, name = repository()["url"].split("/")[-2:]
    wanted = {f"https://{owner}.github.io/{name}/{page}.html" for page in PAGES}
    lost = (HTML / "404.html").read_text(encoding="utf-8")
    assert wanted <= set(places) and all(f'href="{place}"' in lost for place in wanted)
    assert Image.open(HTML / "_static" / "preview.png").size == (1200, 630)


def test_first_page_leads_to_the_book_which_is_small_to_carry_and_to_load(browser):
    files = [path for path in HTML.rglob("*") if path.is_file()]
    book = [path for path in files if HTML / "course" not in path.parents]
    assert sum(path.stat().st_size for path in book) <= 40e6
    page, asked = browser.new_page(), set()
    page.on("request", lambda request: asked.add(request.url.partition("?")[0]))
    page.goto((HTML / "index.html").as_uri())
    page.wait_for_url("**/book/index.html", wait_until="load")
    page.close()
    files = [Path(unquote(url[7:])) for url in asked if url.startswith("file:")]
    assert len(files) > 10
    # What a server sends: all compressed; pictures are so already.
    assert sum(len(gzip.compress(file.read_bytes())) for file in files) <= 2e6
