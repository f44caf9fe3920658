"""The network in the page, in a browser, beside the library's own.

Needs the book (``make book``) and Chromium; run by ``make site``.  What needs neither
is tested in Node: tests/live.
"""

import base64
import io
import random
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from srcnn_lib import checkpoints, cli, datasets, images, methods, protocol
from srcnn_lib.methods import pictures
from srcnn_lib.methods.srcnn import SRCNNMethod
from tests import test_site
from tests.test_site import opened, unfold
from tools.notebooks import ROOT

pytestmark = pytest.mark.timeout(120)  # a page may hang
browser = test_site.browser  # the fixture

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
    turn = page.evaluate("site.state().turn")
    page.locator(".srcnn-live [name=file]").set_input_files(path)
    page.wait_for_function(f"site.state().turn > {turn} && site.idle()")
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
    found = live.evaluate("site.state().result.psnr")
    srcnn = methods.get("srcnn", model=model, scale=scale, device="cpu")
    for key, method in (("plain", methods.get("bicubic")), ("sr", srcnn)):
        expected = protocol.score(method, image, scale).psnr_db
        assert found[key] == pytest.approx(expected, abs=1e-3)


def test_a_transparent_picture_keeps_its_colours(live, tmp_path):
    """Which a canvas loses: once saved, the result is that of the command."""
    picture = photograph("chelsea")
    alpha = np.linspace(4, 300, picture[..., 0].size).clip(0, 255).astype(np.uint8)
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
    assert live.evaluate("site.state().result.psnr.sr") == pytest.approx(
        score.psnr_db, abs=1e-3
    )
    live.locator(".srcnn-live [name=all]").click()
    live.wait_for_function("site.idle()")
    assert (result(live) == before).all()
    live.locator(".live-inside summary").click()


def test_the_application_by_keyboard_alone(live):
    choose(live, **BUTTERFLY)
    live.locator(".srcnn-live [name=divider]").focus()
    live.keyboard.press("Shift+Tab")
    assert live.evaluate("() => document.activeElement.className") == "live-stage"
    live.evaluate("site.look([50, 60])")
    live.keyboard.press("ArrowRight")
    live.keyboard.press("Shift+ArrowDown")
    assert live.evaluate("site.state().spot") == [51, 70]
    live.keyboard.press("Enter")
    assert live.locator(".live-where").is_visible()
    live.keyboard.press("Tab")
    clip = "() => getComputedStyle(document.querySelector('.live-sr')).clipPath"
    before = live.evaluate(clip)
    live.keyboard.press("ArrowRight")
    assert live.evaluate(clip) != before


def encoded(kind: str, image: Image.Image, **options) -> bytes:
    image.save(buffer := io.BytesIO(), kind, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG whose header is right and whose pixels are missing."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    crc = struct.pack(">I", zlib.crc32(head))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + crc


TEXT = '<img src=x onerror="document.title = 1"> &amp; "x'.replace("/", "")
SVG = (
    b"<svg xmlns='http://www.w3.org/2000/svg'><script>document.title = 1</script></svg>"
)
GREEN = Image.new("RGB", (40, 30), "green")
FRAMES = {"save_all": True, "append_images": [Image.new("RGB", (40, 30), "red")]}
DEEP = Image.fromarray(np.full((30, 40), 40_000, np.uint16))
#: Name → bytes and what the page says of them (at x4; 40×30 pixels can be read).
HOSTILE = {
    f"{TEXT}.txt": (b"no picture", f"{TEXT}.txt: not a picture that this browser"),
    f"{TEXT}.png": (encoded("PNG", GREEN), "40 × 30 pixels enlarged"),
    "empty.png": (b"", "empty.png is empty: it has no bytes"),
    "script.svg": (SVG, "script.svg is a drawing without pixels"),
    "huge.png": (png_header(30_000, 30_000), "huge.png has 900 million pixels"),
    "bomb.gif": (b"GIF89a" + b"\xff" * 40, "bomb.gif has 4295 million pixels"),
    "cut.png": (png_header(40, 30), "cut.png: not a picture"),
    "cut.jpg": (encoded("JPEG", GREEN)[:200], "cut.jpg: not a picture"),
    "moving.gif": (
        encoded("GIF", GREEN, **FRAMES),
        "Of an animation this is the first",
    ),
    "moving.png": (
        encoded("PNG", GREEN, **FRAMES),
        "Of an animation this is the first",
    ),
    "moving.webp": (
        encoded("WEBP", GREEN, **FRAMES),
        "Of an animation this is the fir",
    ),
    "inks.jpg": (
        encoded("JPEG", GREEN.convert("CMYK")),
        "Its four inks (CMYK) were tu",
    ),
    "deep.png": (encoded("PNG", DEEP), "Its 16 bits a channel were read as 8"),
    "wide.png": (
        encoded("PNG", Image.new("L", (20_000, 1))),
        "80000 × 4; this page stops",
    ),
    "large.png": (
        encoded("PNG", Image.new("L", (4000, 3000))),
        "have 192 million pixels",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_file_is_given_the_page_says_a_line_and_lives(live, name):
    content, said = HOSTILE[name]
    choose(live, task="restore", scale="4", model="9-1-5")
    title = live.title()
    file = {"name": name, "mimeType": "application/octet-stream", "buffer": content}
    give(live, file)
    choose(live, task="enlarge")
    assert said in live.evaluate("site.said()")
    shown = live.locator(".live-picture").is_visible()
    assert shown == ("enlarged to" in live.evaluate("site.said()"))
    assert live.locator("[name=picture] option:checked").text_content() == name
    injected = live.locator(".srcnn-live img:not(.live-still *)")
    assert live.title() == title and not injected.count()
    choose(live, task="restore", picture="cat")  # and it works on
    assert live.evaluate("site.said()").startswith("75 × 75 pixels enlarged")


def test_a_picture_too_small_to_be_shrunk_is_refused(live):
    choose(live, task="restore", scale="4")
    file = {
        "name": "tiny.png",
        "mimeType": "",
        "buffer": encoded("PNG", GREEN.crop((0, 0, 9, 9))),
    }
    assert "too small to be shrunk" in give(live, file)
    assert not live.locator(".live-result").is_visible()
    choose(live, task="enlarge")
    assert live.evaluate("site.said()").startswith("9 × 9 pixels enlarged to 36 × 36")


def test_no_halo_round_a_transparent_picture(live, tmp_path):
    """A white disk; what hides around it, black, is nowhere seen on white."""
    rows, columns = np.mgrid[:60, :60]
    disk = np.hypot(rows - 30, columns - 30) < 20
    choose(live, task="enlarge", scale="3", model="9-1-5")
    picture = Image.fromarray(np.dstack([255 * disk] * 4).astype(np.uint8))
    content = encoded("PNG", picture)
    give(live, {"name": "disk.png", "mimeType": "", "buffer": content})
    if "keeps no exact colours" in live.evaluate("site.said()"):
        pytest.skip("this browser has no WebGL")
    saved = save(live, tmp_path)[1] / 255
    on_white = 255 * (saved[..., :3] * saved[..., 3:] + 1 - saved[..., 3:])
    assert on_white.min() > 250 and np.ptp(saved[..., 3]) == 1


def test_the_truth_of_a_narrow_picture_is_its_own(live):
    noise = np.random.default_rng(0).integers(0, 256, (40, 20, 3), np.uint8)
    choose(live, task="restore", scale="2", model="9-1-5")
    buffer = encoded("PNG", Image.fromarray(noise))
    give(live, {"name": "narrow.png", "mimeType": "", "buffer": buffer})
    live.evaluate("site.look([0, 0])")
    width, text = live.evaluate("site.pixels('live-view-2')")
    truth = np.frombuffer(base64.b64decode(text), np.uint8).reshape(-1, width, 4)
    assert (truth[:, :20, :3] == noise[:32]).all() and not truth[:, 20:].any()


def test_what_stands_in_its_place_stays_until_the_first_result(live):
    """A page's own picture, until the network has one; also where that fails."""
    page = live.context.new_page()
    page.add_init_script(path=ROOT / "tests" / "site.js")
    page.add_init_script(
        "addEventListener('DOMContentLoaded', () => document.querySelector("
        "'.srcnn-live').innerHTML = '<b>still</b>')"
    )
    page.route("**/packed/butterfly.js", lambda route: route.abort())
    page.goto(live.url)
    page.locator(".srcnn-live").scroll_into_view_if_needed()
    page.wait_for_function("site.idle()")
    assert page.evaluate("site.said()") == "packed/butterfly.js is missing here"
    assert page.locator(".live-still b").is_visible()
    choose(page, picture="cat")
    assert not page.locator(".live-still b").is_visible()
    assert page.locator(".live-picture").is_visible()
    page.close()


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
    for part in (".live-picture", ".live-result"):
        assert not live.locator(part).is_visible()


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_a_picture_can_be_dropped_and_pasted(live, tmp_path, way):
    path = tmp_path / "small.png"
    images.write(path, np.full((20, 30), 7, np.uint8))
    choose(live, picture="butterfly", task="enlarge", scale="2", model="9-1-5")
    text = base64.b64encode(path.read_bytes()).decode()
    live.evaluate("given => site.hand(given)", [way, text])
    live.wait_for_function("document.querySelector('.live-sr')?.width === 60")
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


# Any order of actions -----------------------------------------------------------


class Reader:
    """Does things at random on a page, and knows what should be seen then."""

    FILES = {"narrow.png": (40, 20), "grey.png": (33, 50), "wide.png": (47, 90)}
    PACKED = {"butterfly": (100, 90), "cat": (50, 60)}  # small, to be fast

    def __init__(self, page, seed: int):
        self.page, self.random, self.done = page, random.Random(seed), []
        self.choice = page.evaluate("site.state().choice")
        self.own, self.offs, self.stopped = None, [()], False
        for name in self.PACKED:
            png = encoded("PNG", Image.fromarray(self.picture(name)))
            text = base64.b64encode(png).decode()
            page.evaluate("given => site.pack(given)", [f"packed/{name}", text])
        self.choose("picture", "cat")

    def click(self, name: str):
        """A button, at once, as it is; what was seen then."""
        return self.page.evaluate("name => site.click(name)", name)

    def choose(self, name: str, value):
        self.page.locator(f".srcnn-live [name={name}]").select_option(str(value))
        self.choice[name] = value
        self.offs, self.stopped = [()], False

    def give(self):
        self.own = self.random.choice([*self.FILES, "broken.png"])
        content = b"broken"
        if self.own in self.FILES:
            content = encoded("PNG", Image.fromarray(self.picture(self.own)))
        file = {"name": self.own, "mimeType": "", "buffer": content}
        self.page.locator(".srcnn-live [name=file]").set_input_files(file)
        self.choice["picture"], self.offs, self.stopped = "own", [()], False

    def toggle(self):
        filter = self.random.randrange(64)
        if self.click(f".live-filters button:nth-child({filter + 1})")["result"]:
            self.offs.append(tuple({*self.offs[-1]} ^ {filter}))

    def all_on(self):
        if self.click("[name=all]")["result"]:
            self.offs.append(())

    def cancel(self):
        seen = self.click("[name=cancel]")
        self.stopped |= seen["busy"] and not seen["result"]
        if seen["busy"] and seen["result"]:
            off = self.page.evaluate("site.seen().off")
            assert tuple(off) in [tuple(sorted(o)) for o in self.offs]
            self.offs.append(tuple(off))

    def start(self):
        self.click("[name=start]")
        self.stopped = False

    def press(self):
        spot = [self.random.randrange(18), self.random.randrange(18)]
        self.page.evaluate("spot => site.press(spot)", spot)

    def fold(self):
        self.click(".live-inside summary")

    def act(self):
        options = {
            "picture": ["butterfly", "cat"] + ["own"] * 2 * (self.own is not None),
            "scale": [2, 3, 4],
            "task": ["restore", "enlarge"],
            "model": ["9-1-5", "9-1-5", "9-5-5"],
        }
        do = [self.give, self.toggle, self.toggle, self.all_on, self.cancel, self.press]
        do += [self.fold, *options, *([self.start] if self.stopped else [])]
        one = self.random.choice(do)
        what = () if callable(one) else (one, self.random.choice(options[one]))
        self.done.append(what or one.__name__)
        self.choose(*what) if what else one()

    def picture(self, name: str) -> np.ndarray:
        height, width = (self.FILES | self.PACKED)[name]
        crop = datasets.load("demo-test")["chelsea"][100:, 100:][:height, :width]
        return np.repeat(crop[..., :1], 3, 2) if name == "grey.png" else crop

    def expected(self) -> dict:
        """What should be seen now that nothing runs; see seen() of site.js."""
        name = self.own if self.choice["picture"] == "own" else self.choice["picture"]
        image = None if name == "broken.png" else self.picture(name)
        scale, restore = self.choice["scale"], self.choice["task"] == "restore"
        lost = image is None or restore and min(image.shape[:2]) < 12 + 3 * scale
        chosen = self.choice | {"picture": name, "scale": str(scale)}
        if lost or self.stopped:
            return chosen | {"result": False, "start": self.stopped}
        off = tuple(sorted(self.offs[-1]))
        key = (name, scale, restore, self.choice["model"], off)
        if key not in KNOWN:
            KNOWN[key] = computed(image, *key[1:])
        return chosen | {"result": True, "start": False, "off": list(off)} | KNOWN[key]


KNOWN = {}  # by the library: what the page should show


def computed(image, scale: int, restore: bool, model: str, off) -> dict:
    network = checkpoints.load(model, scale)
    filters = network.convs[0].weight.detach().numpy()[:, 0].copy()
    network.convs[1].weight.data[:, list(off)] = 0
    method = SRCNNMethod(network, "cpu")
    height, width = image.shape[:2]
    if not restore:
        sr = pictures.upscale(method, image, scale)
        return {"size": [width * scale, height * scale], "sr": sr, "filters": filters}
    grey = (image == image[..., :1]).all()
    score = protocol.score(method, image[..., 0] if grey else image, scale)
    size = [width - width % scale, height - height % scale]
    return {"size": size, "psnr": score.psnr_db, "filters": filters}


def compare(page, reader: Reader) -> None:
    seen, expected = page.evaluate("site.seen()"), reader.expected()
    result, filters = expected.pop("sr", None), expected.pop("filters", None)
    psnr, inside = expected.pop("psnr", None), seen.pop("filters", None)
    measured = seen.pop("psnr", None)
    assert {k: seen.get(k) for k in expected} == expected, reader.done
    if filters is None:
        return
    assert (psnr is None) == (measured is None)
    if psnr is not None:
        assert measured == pytest.approx(psnr, abs=2e-3), reader.done
        assert seen["views"] == 3
    else:
        shown = globals()["result"](page)[..., :3]
        assert np.abs(shown.astype(int) - result).max() <= 1, reader.done
        assert seen["views"] == 2
    if inside:
        most = np.abs(filters[0]).max()
        grey = np.clip(255 * (filters[0] + most) / (2 * most), 0, 255)
        assert np.abs(np.array(inside[::4]) - grey.ravel()).max() < 1, reader.done


SHORT, LONG = range(20), range(20, 200)
SLOW = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("seeds", [SHORT, pytest.param(LONG, marks=SLOW)])
def test_whatever_a_reader_does_the_page_shows_what_is_chosen(browser, seeds):
    page = opened(browser, "book/index")
    unfold(page)
    for seed in seeds:
        reader = Reader(page, seed)
        for _ in range(8):
            reader.act()
            if reader.random.random() < 0.4:
                page.wait_for_function("site.idle()")
                compare(page, reader)
        page.wait_for_function("site.idle()")
        compare(page, reader)
        assert not page.complaints, reader.done
    page.close()
