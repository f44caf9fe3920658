"""The rendered book in a browser, opened from the disk, with no network.

Needs the book (``make book``) and Chromium; run by ``make site``.
"""

import base64
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

from srcnn_lib import checkpoints, cli, datasets, images, methods, protocol
from srcnn_lib.methods.srcnn import SRCNNMethod
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
    compare = seen.locator(".srcnn-compare:visible").all()
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
    total = sum(path.stat().st_size for path in HTML.rglob("*") if path.is_file())
    assert total <= 40e6
    page, asked = browser.new_page(), set()
    page.on("request", lambda request: asked.add(request.url.partition("?")[0]))
    page.goto((HTML / "index.html").as_uri())
    page.wait_for_url("**/book/index.html", wait_until="load")
    page.close()
    files = [Path(unquote(url[7:])) for url in asked if url.startswith("file:")]
    assert len(files) > 10
    # What a server sends: all compressed; pictures are so already.
    assert sum(len(gzip.compress(file.read_bytes())) for file in files) <= 2e6


# The network in the page ------------------------------------------------------

BUTTERFLY = {"picture": "butterfly", "task": "restore", "scale": "3", "model": "9-1-5"}
WINDOWS = {
    "chelsea": np.s_[10:131, 60:191],  # odd sides
    "camera": np.s_[100:180, 200:320],  # grey
    "monarch": np.s_[100:290, 300:500],
    "butterfly": np.s_[90:390, 270:570],  # the page's own
}


def photograph(name: str) -> np.ndarray:
    dataset = datasets.load("demo-test")
    return dataset["monarch" if name == "butterfly" else name][WINDOWS[name]]


@pytest.fixture(scope="module")
def live(browser):
    """The first page, its application at rest after its first picture."""
    page = opened(browser, "book/index")
    unfold(page)
    yield page
    assert not page.complaints
    page.close()


def choose(page, **choices):
    """Set the application's lists and wait for the result."""
    for name, value in choices.items():
        page.locator(f".srcnn-live [name={name}]").select_option(value)
        page.wait_for_function("site.idle()")


def give(page, path) -> str:
    """Hand over a file; what the page says of it."""
    page.evaluate("site.app().say('')")
    page.locator(".srcnn-live [name=file]").set_input_files(path)
    page.wait_for_function("site.said() && site.idle()")
    return page.evaluate("site.said()")


def result(page) -> np.ndarray:
    """The pixels of the application's result, uint8 (H, W, 4)."""
    width, text = page.evaluate("site.pixels()")
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(-1, width, 4)


def save(page, folder) -> tuple[str, np.ndarray]:
    """Name and pixels, uint8 (H, W, 4), of the file that the page saves."""
    with page.expect_download() as download:
        page.locator(".srcnn-live [name=save]").click()
    download.value.save_as(folder / "saved.png")
    saved = Image.open(folder / "saved.png").convert("RGBA")
    return download.value.suggested_filename, np.asarray(saved)


def by_command(image, folder, model: str, scale: int) -> np.ndarray:
    """What `srcnn upscale` makes of `image`, which goes to folder/small.png."""
    small, large = folder / "small.png", folder / "large.png"
    images.write(small, image)
    command = ["upscale", str(small), str(large), "--scale", str(scale)]
    assert cli.main([*command, "--model", model, "--device", "cpu"]) == 0
    return np.asarray(Image.open(large).convert("RGBA"))


ENLARGED = [("chelsea", "9-1-5", 2), ("camera", "9-1-5", 3), ("monarch", "9-5-5", 4)]


@pytest.mark.parametrize("name, model, scale", ENLARGED)
def test_the_page_enlarges_and_measures_as_the_book_does(
    live, tmp_path, name, model, scale
):
    image = photograph(name)
    expected = by_command(image, tmp_path, model, scale)
    choose(live, task="enlarge", scale=str(scale), model=model)
    give(live, tmp_path / "small.png")
    assert np.abs(result(live).astype(int) - expected).max() <= 1
    choose(live, task="restore")
    found = live.evaluate("site.app().psnr")
    srcnn = methods.get("srcnn", model=model, scale=scale, device="cpu")
    for key, method in (("plain", methods.get("bicubic")), ("sr", srcnn)):
        expected = protocol.score(method, image, scale).psnr_db
        assert found[key] == pytest.approx(expected, abs=1e-3)


def test_a_transparent_picture_keeps_its_colours(live, tmp_path):
    """Which a canvas loses: once saved, the result is that of the command."""
    picture = photograph("chelsea")
    alpha = np.linspace(-40, 300, picture[..., 0].size).clip(0, 255).astype(np.uint8)
    picture = np.dstack([picture, alpha.reshape(picture.shape[:2])])
    expected = by_command(picture, tmp_path, "9-1-5", 3)
    choose(live, task="enlarge", scale="3", model="9-1-5")
    if "keeps no exact colours" in give(live, tmp_path / "small.png"):
        pytest.skip("this browser has no WebGL")
    assert np.abs(save(live, tmp_path)[1].astype(int) - expected).max() <= 1


@pytest.mark.parametrize("model", ["9-1-5", "9-5-5"])
def test_a_pixel_is_the_sum_of_its_contributions(live, model):
    choose(live, **BUTTERFLY | {"model": model})
    for spot in ([130, 120], [0, 0], [299, 1]):  # inside; where edges repeat
        trace = live.evaluate("spot => site.trace(spot)", spot)
        assert trace["sizes"] == [64, 32]
        assert trace["sum"] == pytest.approx(trace["output"], abs=1e-6)
    # The definition, written out in the page, and the fast way agree.
    _, lr_y = protocol.degrade(photograph("butterfly"), 3)
    sr_y = methods.get("srcnn", model=model, scale=3, device="cpu")(lr_y, 3)
    assert trace["output"] == pytest.approx(sr_y[1, 299], abs=1e-5)


def test_the_arithmetic_of_each_layer_adds_up(live):
    choose(live, **BUTTERFLY)
    live.locator(".live-stage").click(position={"x": 130, "y": 120})
    for layer, units in (("1", 64), ("2", 32), ("3", 1)):
        live.locator(".srcnn-live [name=layer]").select_option(layer)
        live.locator(".srcnn-live [name=unit]").fill(str(units))
        rows = live.evaluate("site.arithmetic()")
        last = [row[1] for row in rows].index("sum")
        weight, value, product = np.array(rows[:6], float).T
        assert weight * value == pytest.approx(product, abs=1e-3)
        total = sum(float(row[2]) for row in rows[:last])  # the last is: all others
        assert total == pytest.approx(float(rows[last][2]), abs=1e-3)
        if layer != "3":
            assert float(rows[-1][2]) == max(0, float(rows[last][2]))
    said_there = live.locator(".live-where").text_content().replace("−", "-")
    assert f"the network {rows[last][2]}" in said_there
    live.locator(".live-inside summary").click()


def test_a_filter_switched_off_changes_the_picture(live):
    choose(live, **BUTTERFLY)
    before = result(live)
    live.locator(".live-inside summary").click()
    button = live.locator(".live-filters button").nth(0)
    button.click()
    live.wait_for_function("site.idle()")
    assert button.get_attribute("aria-pressed") == "true"
    model = checkpoints.load("9-1-5", 3)
    model.convs[1].weight.data[:, 0] = 0
    score = protocol.score(SRCNNMethod(model, "cpu"), photograph("butterfly"), 3)
    assert live.evaluate("site.app().psnr.sr") == pytest.approx(score.psnr_db, abs=1e-3)
    live.locator(".srcnn-live [name=all]").click()
    live.wait_for_function("site.idle()")
    assert (result(live) == before).all()
    live.locator(".live-inside summary").click()


def test_the_application_by_keyboard_alone(live):
    choose(live, **BUTTERFLY)
    live.locator(".srcnn-live [name=model]").focus()
    for _ in range(3):  # the stage is next but for what is hidden
        live.keyboard.press("Tab")
        if live.evaluate("() => document.activeElement.className") == "live-stage":
            break
    live.evaluate("site.app().look(50, 60)")
    live.keyboard.press("ArrowRight")
    live.keyboard.press("Shift+ArrowDown")
    assert live.evaluate("site.app().spot") == [51, 70]
    live.keyboard.press("Enter")
    assert live.locator(".live-where").is_visible()
    live.keyboard.press("Tab")
    clip = "() => document.querySelector('.live-sr').style.clipPath"
    before = live.evaluate(clip)
    live.keyboard.press("ArrowRight")
    assert live.evaluate(clip) != before


REFUSED = [
    ("restore", None, "file: not a picture"),
    ("restore", (9, 9), "too small to be shrunk"),
    ("enlarge", (3000, 4000), "192 million pixels"),
]


@pytest.mark.parametrize("task, shape, said", REFUSED)
def test_what_is_no_picture_is_said(live, tmp_path, task, shape, said):
    path = tmp_path / "file.png"
    path.write_text("no picture")
    if shape:
        images.write(path, np.zeros(shape, np.uint8))
    choose(live, task=task, scale="4")
    assert said in give(live, path)


@pytest.mark.parametrize("task", ["restore", "enlarge"])
def test_a_large_picture_can_be_stopped_and_the_page_stays_awake(live, tmp_path, task):
    path = tmp_path / "large.jpg"
    large = Image.fromarray(datasets.load("demo-test")["chelsea"]).resize((4000, 3000))
    large.save(path)
    choose(live, picture="butterfly", task=task, scale="2", model="9-1-5")
    live.evaluate("site.watch()")
    live.locator(".srcnn-live [name=file]").set_input_files(path)
    live.wait_for_function("site.said() === 'Enlarging …' && site.progress() > 0.02")
    assert live.evaluate("site.longest()") < 2000
    live.locator(".srcnn-live [name=cancel]").click()
    live.wait_for_function("site.idle()")
    assert live.evaluate("site.said()") == "Stopped."
    assert not live.locator(".live-result").is_visible()


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_a_picture_can_be_dropped_and_pasted(live, tmp_path, way):
    path = tmp_path / "small.png"
    images.write(path, np.full((20, 30), 7, np.uint8))
    choose(live, picture="butterfly", task="enlarge", scale="2", model="9-1-5")
    text = base64.b64encode(path.read_bytes()).decode()
    live.evaluate("given => site.hand(given)", [way, text])
    live.wait_for_function("document.querySelector('.live-sr').width === 60")
    live.wait_for_function("site.idle()")
    assert live.evaluate("site.said()").startswith("30 × 20 pixels enlarged to 60 × 40")


def test_the_last_choice_is_shown_and_saved(live, tmp_path):
    choose(live, **BUTTERFLY)
    before = result(live)
    for model in ("9-5-5", "9-1-5"):  # without waiting
        live.locator(".srcnn-live [name=model]").select_option(model)
    live.wait_for_function("site.idle()")
    name, found = save(live, tmp_path)
    assert name == "butterfly_x3.png"
    assert (found == before).all() and (result(live) == before).all()
