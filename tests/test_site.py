"""The rendered book in a browser, opened from the disk, with no network.

Needs the book (``make book``) and Chromium; run by ``make site``.
"""

import base64
import gzip
import io
import os
import re
import urllib.parse
from pathlib import Path

import numpy as np
import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import sync_playwright

from srcnn_lib import checkpoints, cli, datasets, images, methods, protocol
from srcnn_lib.methods.srcnn import SRCNNMethod
from tools.browser import FLAGS, NEEDED, PROGRAM
from tools.notebooks import BOOK, ROOT, repository

HTML = ROOT / "_build" / "html"
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}


def why_not() -> str | None:
    """Why the rendered book can't be tested as it is."""
    complete = HTML / ".complete"
    if not complete.exists():
        return "the book is not built; run: make book"
    sources = [ROOT / "_config.yml", ROOT / "_toc.yml"]
    sources += [*BOOK.glob("*.*"), *BOOK.glob("_static/**/*.*")]
    for source in sources:
        if source.stat().st_mtime > complete.stat().st_mtime:
            return f"the book is older than {source.relative_to(ROOT)}; run: make book"
    return None


def pages() -> list[str]:
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    chapters = [c["file"] for part in toc["parts"] for c in part["chapters"]]
    return [toc["root"], *chapters]


if PROGRAM is None:
    pytest.skip(NEEDED, allow_module_level=True)
if reason := why_not():
    if os.environ.get("SRCNN_SITE") == "required":
        raise RuntimeError(reason)
    pytest.skip(reason, allow_module_level=True)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    profile = tmp_path_factory.mktemp("profile")
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=PROGRAM, headless=True, args=FLAGS, viewport=DESK
        )
        yield context
        context.close()


@pytest.fixture(
    scope="module",
    params=[pytest.param(p, marks=pytest.mark.xdist_group(p)) for p in pages()],
)
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


def unfold(page) -> None:
    """Open what folds, the application's inside too."""
    if page.locator(".srcnn-live").count():
        page.locator(".srcnn-live").scroll_into_view_if_needed()
        page.wait_for_function(IDLE, timeout=120_000)
    page.evaluate(
        """() => {
            document.querySelectorAll('details').forEach(e => e.open = true)
            document.querySelectorAll('.toggle-hidden').forEach(
                e => e.classList.remove('toggle-hidden')) }"""
    )


def test_asks_no_other_host_and_has_no_errors(seen):
    assert not seen.foreign
    assert not seen.complaints


def test_nothing_waits_for_a_kernel(seen):
    assert not re.search(r"jupyter\.widget-(view|state)", seen.content())


def test_no_row_of_a_table_is_mostly_empty(seen):
    tallest = seen.evaluate(
        """() => Math.max(0, ...[...document.querySelectorAll('article tr')]
            .map(row => row.getBoundingClientRect().height))"""
    )
    assert tallest <= 160


def test_what_moves_follows_its_controls(seen):
    figures = seen.locator(".srcnn-frames, .srcnn-compare").all()
    if not any(figure.is_visible() for figure in figures):
        pytest.skip("nothing moves on this page")
    for figure in seen.locator(".srcnn-frames:visible").all():
        shown, slider = figure.locator("img"), figure.locator("input")
        before = shown.get_attribute("src")
        slider.press("Home")
        slider.press("ArrowRight")
        first = shown.get_attribute("src")
        slider.press("End")
        assert len({first, shown.get_attribute("src")}) == 2 and before
    for figure in seen.locator(".srcnn-compare:visible").all():
        slider = figure.get_by_role("slider")
        slider.press("ArrowRight")
        assert slider.get_attribute("aria-valuetext").startswith("51 %")
        menus = figure.get_by_role("combobox").all()
        if menus:
            right = menus[1].input_value()
            menus[0].select_option(right)
            side = figure.locator('.picture[data-side="left"] .name')
            assert side.text_content() == menus[0].locator("option").nth(
                int(right)
            ).text_content()


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


def test_no_white_boxes_in_the_dark(seen):
    set_theme = "theme => document.documentElement.dataset.theme = theme"
    drawn = seen.locator("article figure img[src*='_images/']")
    assert drawn.count() == seen.locator("article .srcnn-figure img").count()
    assert seen.locator(".srcnn-figure .srcnn-figure").count() == 0
    seen.evaluate(set_theme, "dark")
    unfold(seen)
    try:
        for figure in seen.locator("article .srcnn-figure:visible").all():
            png = Image.open(io.BytesIO(figure.screenshot())).convert("L")
            corners = [png.getpixel((x, y)) for x in (1, png.width - 2)
                       for y in (1, png.height - 2)]  # fmt: skip
            assert max(corners) < 64
        boxes = seen.evaluate(
            """() => [...document.querySelectorAll('article *')].filter(e => {
                const [r, g, b, a] = getComputedStyle(e).backgroundColor
                    .match(/[\\d.]+/g).map(Number)
                const { width, height } = e.getBoundingClientRect()
                return Math.min(r, g, b) > 160 && (a ?? 1) > 0.5
                    && width * height > 3000 && !e.closest('select, button, input')
            }).map(e => e.outerHTML.slice(0, 120))"""
        )
        assert not boxes
    finally:
        seen.evaluate(set_theme, "light")


def test_fits_a_phone(seen):
    seen.set_viewport_size(PHONE)
    unfold(seen)
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


@pytest.mark.parametrize(
    "theme, size", [("light", DESK), ("dark", DESK), ("light", PHONE)]
)
def test_nothing_bars_readers_with_impairments(seen, theme, size):
    set_theme = "theme => document.documentElement.dataset.theme = theme"
    seen.set_viewport_size(size)
    seen.evaluate(set_theme, theme)
    unfold(seen)
    seen.wait_for_timeout(500)  # the theme waits before it marks what scrolls now
    try:
        found = Axe().run(seen).response["violations"]
    finally:
        seen.set_viewport_size(DESK)
        seen.evaluate(set_theme, "light")
    grave = [v for v in found if v["impact"] in ("serious", "critical")]
    assert not [(v["id"], v["nodes"][0]["html"][:200]) for v in grave]


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


# The network in the page ------------------------------------------------------

IDLE = """() => {
    const root = document.querySelector('.srcnn-live')
    return root.srcnn && root.srcnn.picture && !root.hasAttribute('data-busy') }"""


def test_page_says_what_it_is_and_when_it_ran(seen):
    def content(selector):
        return seen.locator(f"head meta[{selector}]").get_attribute("content")

    assert len(content("name=description")) > 40
    assert content("property='og:title'")
    assert content("property='og:image'").endswith("_static/preview.png")
    assert seen.evaluate("document.documentElement.lang") == "en"
    owner_and_name = repository()["url"].partition("github.com/")[2]
    buttons = seen.locator(".dropdown-launch-buttons a").evaluate_all(
        "found => found.map(a => a.href)"
    )
    if seen.locator("div.cell").count():  # a page with code
        for host in ("colab.research.google.com", "mybinder.org"):
            assert any(host in b and f"/{owner_and_name}/" in b for b in buttons)
    said = seen.locator(".verified").inner_text()
    assert re.search(r"on 20\d\d-\d\d-\d\d with Python 3\.\d+\.\d+, PyTorch \d", said)


def test_terms_are_linked_where_they_are_first_used(seen):
    links = seen.locator("article a:has(> .std-term)").evaluate_all(
        "found => found.map(a => [a.hash, a.textContent])"
    )
    if seen.url.endswith("E_paper_map.html"):  # there by hand
        return
    assert len({place for place, _ in links}) == len(links)
    assert len(links) >= 3, "a page uses some of the field's terms"
    for place, text in links:
        term = place.removeprefix("#term-").replace("-", " ").lower()
        assert text.replace("-", " ").lower()[:-3] in term


def test_symbols_are_linked_where_they_are_first_used(browser):
    page = browser.new_page()
    page.goto((HTML / "book" / "05_network.html").as_uri())
    links = page.locator("a.srcnn-symbol").evaluate_all(
        "found => found.map(a => [a.title.split(',')[0], a.getAttribute('href')])"
    )
    page.close()
    assert {place for _, place in links} == {"E_paper_map.html#notation"}
    linked = [symbol for symbol, _ in links]
    assert len(linked) == len(set(linked))
    assert {"Y", "W_1", "n_1", "f_3", "c"} <= set(linked)


def test_no_page_is_missing_from_the_sitemap():
    places = re.findall("<loc>(.*?)</loc>", (HTML / "sitemap.xml").read_text())
    base = places[0].removesuffix("book/index.html")
    owner, name = repository()["url"].split("/")[-2:]
    assert base == f"https://{owner}.github.io/{name}/"
    missing = [page for page in pages() if f"{base}{page}.html" not in places]
    assert not missing
    lost = (HTML / "404.html").read_text(encoding="utf-8")
    assert all(f'href="{base}{page}.html"' in lost for page in pages())
    assert Image.open(HTML / "_static" / "preview.png").size == (1200, 630)


def test_small_enough_to_carry_and_to_load(browser):
    total = sum(path.stat().st_size for path in HTML.rglob("*") if path.is_file())
    assert total <= 40e6
    page, asked = browser.new_page(), set()
    page.on("request", lambda request: asked.add(request.url.partition("?")[0]))
    page.goto((HTML / "book" / "index.html").as_uri(), wait_until="load")
    page.close()
    files = [Path(urllib.parse.unquote(url[7:])) for url in asked if url[:5] == "file:"]
    assert len(files) > 10
    # What a server sends: text compressed, the rest is compressed already.
    text = {".html", ".js", ".css", ".svg"}
    content = [(file.suffix in text, file.read_bytes()) for file in files]
    assert sum(len(gzip.compress(c) if is_text else c) for is_text, c in content) <= 2e6


@pytest.fixture(scope="module")
def live(browser):
    """The first page, its application at rest after its first picture."""
    page = browser.new_page()
    page.complaints = []
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.goto((HTML / "book" / "index.html").as_uri())
    page.locator(".srcnn-live").scroll_into_view_if_needed()
    page.wait_for_function(IDLE, timeout=60_000)
    yield page
    assert not page.complaints
    page.close()


def choose(page, **choices):
    """Set the application's lists and wait for the result."""
    for name, value in choices.items():
        page.locator(f".srcnn-live [name={name}]").select_option(value)
        page.wait_for_function(IDLE, timeout=60_000)


def give(page, path):
    page.evaluate("() => document.querySelector('.srcnn-live').srcnn.say('')")
    page.locator(".srcnn-live [name=file]").set_input_files(path)
    answered = "document.querySelector('.srcnn-live [role=status]').textContent"
    page.wait_for_function(f"() => {answered} && ({IDLE})()", timeout=60_000)


def said(page) -> str:
    return page.locator(".srcnn-live [role=status]").first.text_content()


def result(page) -> np.ndarray:
    """The pixels of the application's result, uint8 (H, W, 4)."""
    width, text = page.evaluate(
        """() => {
            const canvas = document.querySelector('.live-sr')
            const context = canvas.getContext('2d')
            const { data } = context.getImageData(0, 0, canvas.width, canvas.height)
            let text = ''
            for (let k = 0; k < data.length; k += 8192)
                text += String.fromCharCode(...data.subarray(k, k + 8192))
            return [canvas.width, btoa(text)] }"""
    )
    pixels = np.frombuffer(base64.b64decode(text), np.uint8)
    return pixels.reshape(-1, width, 4)


def save(page, folder) -> tuple[str, np.ndarray]:
    """Name and pixels, uint8 (H, W, 4), of the file that the page saves."""
    with page.expect_download() as download:
        page.locator(".srcnn-live [name=save]").click()
    download.value.save_as(folder / "saved.png")
    saved = Image.open(folder / "saved.png").convert("RGBA")
    return download.value.suggested_filename, np.asarray(saved)


PICTURES = {
    "chelsea": np.s_[10:131, 60:191],  # odd sides
    "camera": np.s_[100:180, 200:320],  # grey
    "monarch": np.s_[100:290, 300:500],
}


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("model, scale", [("9-1-5", 2), ("9-1-5", 3), ("9-5-5", 4)])
def test_the_page_enlarges_as_the_command_does(live, tmp_path, name, model, scale):
    small, large = tmp_path / "small.png", tmp_path / "large.png"
    images.write(small, datasets.load("demo-test")[name][PICTURES[name]])
    command = ["upscale", str(small), str(large), "--scale", str(scale)]
    assert cli.main([*command, "--model", model, "--device", "cpu"]) == 0
    choose(live, task="enlarge", scale=str(scale), model=model)
    give(live, small)
    expected = np.asarray(Image.open(large).convert("RGBA")).astype(int)
    found = result(live)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1


def test_a_transparent_picture_keeps_its_colours(live, tmp_path):
    """Which a canvas loses: once saved, the result is that of the command."""
    small, large = tmp_path / "small.png", tmp_path / "large.png"
    picture = datasets.load("demo-test")["chelsea"][PICTURES["chelsea"]]
    alpha = np.linspace(-40, 300, picture[..., 0].size).clip(0, 255)
    alpha = alpha.astype(np.uint8).reshape(picture.shape[:2])
    images.write(small, np.dstack([picture, alpha]))
    command = ["upscale", str(small), str(large), "--scale", "3"]
    assert cli.main([*command, "--model", "9-1-5", "--device", "cpu"]) == 0
    choose(live, task="enlarge", scale="3", model="9-1-5")
    give(live, small)
    if "keeps no exact colours" in said(live):
        pytest.skip("this browser has no WebGL")
    _, found = save(live, tmp_path)
    assert np.abs(found.astype(int) - np.asarray(Image.open(large))).max() <= 1


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_page_measures_as_the_book_does(live, tmp_path, name, scale):
    path = tmp_path / "large.png"
    image = datasets.load("demo-test")[name][PICTURES[name]]
    images.write(path, image)
    choose(live, task="restore", scale=str(scale), model="9-1-5")
    give(live, path)
    found = live.evaluate("() => document.querySelector('.srcnn-live').srcnn.psnr")
    for key, method in (
        ("plain", methods.get("bicubic")),
        ("sr", methods.get("srcnn", scale=scale, device="cpu")),
    ):
        expected = protocol.score(method, image, scale).psnr_db
        assert found[key] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("model", ["9-1-5", "9-5-5"])
def test_a_pixel_is_the_sum_of_its_contributions(live, model):
    choose(live, picture="butterfly", task="restore", scale="3", model=model)
    # Inside, and in a corner, where edges repeat.
    for spot in ([130, 120], [0, 0], [299, 1]):
        trace = live.evaluate(
            """(spot) => {
                const app = document.querySelector('.srcnn-live').srcnn
                app.look(...spot)
                const trace = app.trace()
                return { output: trace.output,
                         sizes: trace.values.map(v => v.length),
                         sum: trace.contributions.reduce((a, b) => a + b, 0),
                         bias: app.layers[2].biases[0] } }""",
            spot,
        )
        assert trace["sizes"] == [64, 32]
        assert trace["sum"] + trace["bias"] == pytest.approx(trace["output"], abs=1e-6)
    # The definition, written out in the page, and the fast way agree.
    picture = datasets.load("demo-test")["monarch"][90:390, 270:570]
    _, lr_y = protocol.degrade(picture, 3)
    sr_y = methods.get("srcnn", model=model, scale=3, device="cpu")(lr_y, 3)
    assert trace["output"] == pytest.approx(sr_y[1, 299], abs=1e-5)


def test_the_arithmetic_of_each_layer_adds_up(live):
    choose(live, picture="butterfly", task="restore", scale="3", model="9-1-5")
    live.locator(".live-stage").click(position={"x": 130, "y": 120})
    table = live.locator(".live-arithmetic")
    for layer, units in (("1", 64), ("2", 32), ("3", 1)):
        live.locator(".srcnn-live [name=layer]").select_option(layer)
        live.locator(".srcnn-live [name=unit]").fill(str(units))
        rows = table.locator("tbody tr").evaluate_all(
            """rows => rows.map(row => [...row.children]
                .map(cell => cell.textContent.replace('−', '-')))"""
        )
        last = [row[1] for row in rows].index("sum")
        products = [float(row[2]) for row in rows[:last]]
        assert sum(products) == pytest.approx(float(rows[last][2]), abs=1e-3)
        for weight, value, product in rows[:6]:
            assert float(weight) * float(value) == pytest.approx(
                float(product), abs=1e-3
            )
        if layer != "3":
            assert float(rows[-1][2]) == max(0, float(rows[last][2]))
    said_there = live.locator(".live-where").text_content().replace("−", "-")
    assert f"the network {rows[last][2]}" in said_there
    frame = live.locator(".live-field").first.bounding_box()
    window = live.locator(".live-zoom canvas").first.bounding_box()
    assert frame["width"] / window["width"] == pytest.approx(13 / 32, abs=0.03)
    live.locator(".live-inside summary").click()


def test_a_filter_switched_off_changes_the_picture(live):
    choose(live, picture="butterfly", task="restore", scale="3", model="9-1-5")
    before = result(live)
    live.locator(".live-inside summary").click()
    button = live.locator(".live-filters button").nth(0)
    button.click()
    live.wait_for_function(IDLE)
    assert button.get_attribute("aria-pressed") == "true"
    model = checkpoints.load("9-1-5", 3)
    model.convs[1].weight.data[:, 0] = 0
    picture = datasets.load("demo-test")["monarch"][90:390, 270:570]
    method = SRCNNMethod(model, "cpu")
    expected = protocol.score(method, picture, 3).psnr_db
    found = live.evaluate("() => document.querySelector('.srcnn-live').srcnn.psnr.sr")
    assert found == pytest.approx(expected, abs=1e-3)
    live.locator(".srcnn-live [name=all]").click()
    live.wait_for_function(IDLE)
    assert (result(live) == before).all()
    live.locator(".live-inside summary").click()


def test_the_application_by_keyboard_alone(live):
    choose(live, picture="butterfly", task="restore", scale="3", model="9-1-5")
    live.locator(".srcnn-live [name=model]").focus()
    for _ in range(3):  # the stage is next but for what is hidden
        live.keyboard.press("Tab")
        if live.evaluate("() => document.activeElement.className") == "live-stage":
            break
    spot = "() => document.querySelector('.srcnn-live').srcnn.spot"
    live.evaluate("() => document.querySelector('.srcnn-live').srcnn.look(50, 60)")
    live.keyboard.press("ArrowRight")
    live.keyboard.press("Shift+ArrowDown")
    assert live.evaluate(spot) == [51, 70]
    live.keyboard.press("Enter")
    assert live.locator(".live-where").is_visible()
    live.keyboard.press("Tab")
    clip = "() => document.querySelector('.live-sr').style.clipPath"
    before = live.evaluate(clip)
    live.keyboard.press("ArrowRight")
    assert live.evaluate(clip) != before


def test_what_is_no_picture_is_said(live, tmp_path):
    path = tmp_path / "notes.png"
    path.write_text("no picture")
    give(live, path)
    assert "notes: not a picture" in said(live)
    tiny = tmp_path / "tiny.png"
    images.write(tiny, np.zeros((9, 9), np.uint8))
    choose(live, task="restore", scale="3")
    give(live, tiny)
    assert "too small to be shrunk" in said(live)
    huge = tmp_path / "huge.png"
    images.write(huge, np.zeros((3000, 4000), np.uint8))
    choose(live, task="enlarge", scale="4")
    give(live, huge)
    assert "192 million pixels" in said(live)


@pytest.mark.parametrize("task", ["restore", "enlarge"])
def test_twelve_megapixels_can_be_stopped_and_the_page_stays_awake(
    live, tmp_path, task
):
    path = tmp_path / "large.jpg"
    photograph = Image.fromarray(datasets.load("demo-test")["chelsea"])
    photograph.resize((4000, 3000)).save(path)
    choose(live, picture="butterfly", task=task, scale="2", model="9-1-5")
    live.evaluate(
        """() => {
            window.tasks = []
            window.seen = new PerformanceObserver(list => window.tasks.push(
                ...list.getEntries().map(entry => entry.duration)))
            window.seen.observe({ type: 'longtask' }) }"""
    )
    live.locator(".srcnn-live [name=file]").set_input_files(path)
    live.wait_for_function(
        """() => {
            const root = document.querySelector('.srcnn-live')
            return root.querySelector('[role=status]').textContent === 'Enlarging …'
                && root.querySelector('progress').value > 0.02
                && root.querySelector('progress').value < 1 }""",
        timeout=120_000,
    )
    longest = live.evaluate(
        """() => {
            const tasks = [...window.tasks, ...window.seen.takeRecords()
                .map(entry => entry.duration)]
            window.seen.disconnect()
            return Math.max(0, ...tasks) }"""
    )
    assert longest < 2000
    live.locator(".srcnn-live [name=cancel]").click()
    live.wait_for_function(IDLE)
    assert said(live) == "Stopped."
    assert not live.locator(".live-result").is_visible()


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_a_picture_can_be_dropped_and_pasted(live, tmp_path, way):
    path = tmp_path / "small.png"
    images.write(path, np.full((20, 30), 7, np.uint8))
    choose(live, picture="butterfly", task="enlarge", scale="2", model="9-1-5")
    live.evaluate(
        """([way, text]) => {
            const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0))
            const data = new DataTransfer()
            data.items.add(new File([bytes], way + '.png', { type: 'image/png' }))
            const options = { bubbles: true, cancelable: true }
            if (way === 'drop')
                document.querySelector('.srcnn-live').dispatchEvent(
                    new DragEvent('drop', { ...options, dataTransfer: data }))
            else
                document.dispatchEvent(
                    new ClipboardEvent('paste', { ...options, clipboardData: data }))
        }""",
        [way, base64.b64encode(path.read_bytes()).decode()],
    )
    live.wait_for_function(
        "() => document.querySelector('.live-sr').width === 60", timeout=60_000
    )
    live.wait_for_function(IDLE)
    assert said(live).startswith("30 × 20 pixels enlarged to 60 × 40")


def test_the_last_choice_is_what_is_shown(live):
    choose(live, picture="butterfly", task="restore", scale="3", model="9-1-5")
    before = result(live)
    for model in ("9-5-5", "9-1-5"):  # without waiting
        live.locator(".srcnn-live [name=model]").select_option(model)
    live.wait_for_function(IDLE, timeout=60_000)
    assert (result(live) == before).all()


def test_the_result_can_be_saved(live, tmp_path):
    choose(live, picture="butterfly", task="restore", scale="3", model="9-1-5")
    name, found = save(live, tmp_path)
    assert name == "butterfly_x3.png"
    assert (found == result(live)).all()
