"""The network in the reader's browser gives what Python gives."""

import base64
import json
import shutil

import numpy as np
import pytest

from srcnn_lib import checkpoints, datasets, images, methods
from srcnn_lib.metrics import psnr
from srcnn_lib.resize import resize_matrix
from tools.notebooks import BOOK

playwright = pytest.importorskip("playwright.sync_api")
NAMES = ("chromium", "chromium-browser", "google-chrome")
PROGRAM = next(filter(None, map(shutil.which, NAMES)), None)
if PROGRAM is None:
    pytest.skip(f"needs one of: {', '.join(NAMES)}", allow_module_level=True)

pytestmark = pytest.mark.usefixtures("one_thread")
UPSCALE = """async ([content, width, height, scale, model]) => {
    const data = Uint8ClampedArray.from(atob(content), (c) => c.charCodeAt(0))
    const steps = []
    const out = await SRCNN.upscale({data, width, height}, scale, model,
        {progress: (share) => steps.push(share)})
    let text = ''
    for (let i = 0; i < out.data.length; i += 9999)
        text += String.fromCharCode(...out.data.subarray(i, i + 9999))
    return [btoa(text), out.width, out.height, steps] }"""


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    """A page opened from the disk, with the script."""
    file = tmp_path_factory.mktemp("page") / "page.html"
    script = (BOOK / "_static" / "srcnn.js").as_uri()
    file.write_text(f'<!doctype html><script src="{script}"></script>')
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=PROGRAM, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        page.asked = []
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(file.as_uri())
        yield page
        browser.close()


def weights(name, scale, folder):
    path = checkpoints.export_json(checkpoints.load(name, scale), folder / "m.json")
    return json.loads(path.read_text())


def in_browser(tab, rgba, scale, model):
    height, width = rgba.shape[:2]
    content = base64.b64encode(rgba.tobytes()).decode()
    text, w, h, steps = tab.evaluate(UPSCALE, [content, width, height, scale, model])
    assert steps[-1] == 1 and steps == sorted(steps)
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(h, w, 4)


def opaque(rgb):
    return np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])


@pytest.mark.parametrize("n, scale", [(7, 3), (20, 2), (21, 1 / 3), (9, 0.5), (1, 4)])
def test_resize_has_the_matrix_of_python(tab, n, scale):
    count = max(1, round(n * scale))
    taps, index, weight = tab.evaluate(
        """([n, scale, count]) => {
            const rows = SRCNN.core.resizeRows(n, scale, 0, count)
            return [rows.taps, [...rows.index], [...rows.weight]] }""",
        [n, scale, count],
    )
    matrix = np.zeros((count, n))
    np.add.at(matrix, (np.arange(count).repeat(taps), index), weight)
    expected = resize_matrix(n, count, scale).toarray()
    assert np.abs(matrix - expected).max() < 1e-12


@pytest.mark.parametrize(
    "picture, scale, name",
    [
        ("chelsea", 3, "9-1-5"),
        ("coffee", 2, "9-1-5"),
        ("monarch", 4, "9-1-5"),
        ("monarch", 3, None),
    ],
)
def test_large_pictures_equal_those_of_python(tab, tmp_path, picture, scale, name):
    """Several tiles in both directions, not a multiple of their size."""
    rgb = datasets.load("demo-test")[picture][100:145, 150:205]
    if name:
        call = methods.get("srcnn", model=name, scale=scale, device="cpu")
        model = weights(name, scale, tmp_path)
    else:
        call, model = methods.get("bicubic"), None
    expected = methods.upscale(call, rgb, scale)
    out = in_browser(tab, opaque(rgb), scale, model)
    assert out.shape == (*expected.shape[:2], 4) and (out[..., 3] == 255).all()
    assert np.abs(out[..., :3].astype(int) - expected).max() <= 1
    truth = np.asarray(np.roll(expected, 1, axis=0))
    ours, theirs = (psnr(truth, x) for x in (out[..., :3], expected))
    assert abs(ours - theirs) < 0.001


@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (5, 2), (33, 1), (32, 34)])
def test_small_and_awkward_pictures(tab, tmp_path, shape):
    rgba = np.random.default_rng(0).integers(0, 256, (*shape, 4)).astype(np.uint8)
    call = methods.get("srcnn", scale=3, device="cpu")
    expected = methods.upscale(call, rgba, 3)
    out = in_browser(tab, rgba, 3, weights("9-1-5", 3, tmp_path))
    assert np.abs(out.astype(int) - expected).max() <= 1


def test_filters_wider_than_one_pixel_in_the_middle(tab, tmp_path):
    rgb = datasets.load("demo-test")["chelsea"][120:142, 150:176]
    call = methods.get("srcnn", model="9-5-5", scale=3, device="cpu")
    out = in_browser(tab, opaque(rgb), 3, weights("9-5-5", 3, tmp_path))
    expected = methods.upscale(call, rgb, 3).astype(int)
    assert np.abs(out[..., :3] - expected).max() <= 1


def test_it_can_be_cancelled(tab, tmp_path):
    rgb = np.zeros((200, 200, 3), dtype=np.uint8)
    said = tab.evaluate(
        """async ([side, model]) => {
            const stop = new AbortController()
            const data = new Uint8ClampedArray(4 * side * side)
            const work = SRCNN.upscale({data, width: side, height: side}, 3, model,
                {signal: stop.signal, progress: () => stop.abort()})
            return work.then(() => 'done', (reason) => reason.name) }""",
        [len(rgb), weights("9-1-5", 3, tmp_path)],
    )
    assert said == "AbortError"


def test_nothing_is_asked_of_another_host(tab, tmp_path):
    model = weights("9-1-5", 3, tmp_path)
    in_browser(tab, np.full((5, 5, 4), 9, np.uint8), 3, model)
    assert tab.asked
    assert all(url.startswith(("file:", "blob:")) for url in tab.asked)


def test_luma_is_that_of_python(tab):
    rgb = datasets.load("demo-test")["coffee"][:20, :30]
    content = opaque(rgb).ravel().tolist()
    found = tab.evaluate(
        "(rgba) => SRCNN.core.planes(rgba).map((plane) => [...plane])", content
    )
    expected = images.rgb_to_ycbcr(rgb / 255).reshape(-1, 3).T
    assert np.abs(np.array(found[:3]) - expected).max() < 1e-9
