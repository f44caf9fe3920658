"""How fast the network in the page is, beside the command line.

    make book && python benchmarks/live.py [--repeats 5] [--size 256]

A colour picture of 256×256 pixels is enlarged to three times its size: by the first
page of the built book in Chromium, from the choice of the file to the picture on the
screen, with its WebAssembly and with plain JavaScript, and by `srcnn upscale`, from
file to file.  The ways take turns; medians are shown, and ratios within this run.
"""

import argparse
import contextlib
import io
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from playwright.sync_api import sync_playwright

from benchmarks.upscale import machine
from srcnn_lib import cli, datasets, images
from tools import browser
from tools.notebooks import ROOT

PAGE = ROOT / "_build" / "html" / "book" / "index.html"
SCALE = 3
IDLE = """() => {
    const root = document.querySelector('.srcnn-live')
    return root.srcnn && root.srcnn.picture && !root.hasAttribute('data-busy') }"""


def opened(context, with_wasm: bool):
    page = context.new_page()
    if not with_wasm:  # no module that compiles: then it is plain JavaScript
        catalogue = PAGE.parents[1] / "_static" / "live" / "packed" / "catalogue.js"
        body = re.sub(r'("wasm": ")[^"]*', r"\1AAAA", catalogue.read_text())
        page.route("**/catalogue.js", lambda route: route.fulfill(body=body))
    page.goto(PAGE.as_uri())
    page.locator(".srcnn-live").scroll_into_view_if_needed()
    page.wait_for_function(IDLE, timeout=120_000)
    for name, value in (("task", "enlarge"), ("scale", str(SCALE))):
        page.locator(f".srcnn-live [name={name}]").select_option(value)
        page.wait_for_function(IDLE, timeout=120_000)
    return page


def in_page(page, model: str, file: Path) -> float:
    page.locator(".srcnn-live [name=model]").select_option(model)
    page.wait_for_function(IDLE, timeout=120_000)
    page.locator(".srcnn-live [name=file]").set_input_files([])
    page.locator(".srcnn-live [name=file]").set_input_files(file)
    page.wait_for_timeout(100)
    page.wait_for_function(IDLE, timeout=120_000)
    said = page.locator(".srcnn-live [role=status]").first.text_content()
    return float(re.search(r"in ([\d.]+) s", said)[1])


def by_command(model: str, file: Path) -> float:
    began = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        large = str(file.with_name("large.png"))
        names = ["upscale", str(file), large, "--scale", str(SCALE)]
        if cli.main([*names, "--model", model, "--device", "cpu"]):
            sys.exit("srcnn upscale did not succeed")
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--size", type=int, default=256, help="pixels a side")
    args = parser.parse_args()
    if browser.PROGRAM is None or not PAGE.exists():
        sys.exit(f"This {browser.NEEDED}; and the book: make book")
    print(machine())
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder, "small.png")
        picture = datasets.load("demo-test")["chelsea"]
        images.write(file, picture[: args.size, : args.size])
        context = playwright.chromium.launch_persistent_context(
            Path(folder, "profile"),
            executable_path=browser.PROGRAM,
            args=browser.FLAGS,
        )
        fast, plain = (opened(context, with_wasm) for with_wasm in (True, False))
        ways = {
            "srcnn upscale": by_command,
            "page, WebAssembly": lambda *what: in_page(fast, *what),
            "page, plain JavaScript": lambda *what: in_page(plain, *what),
        }
        for model in ("9-1-5", "9-5-5"):
            if model == "9-5-5":
                ways.pop("page, plain JavaScript")  # minutes
            spent = {way: [] for way in ways}
            for _ in range(args.repeats):
                for way, run in ways.items():
                    spent[way].append(run(model, file))
            print(f"\n{model}, {args.size}×{args.size} pixels, x{SCALE}")
            base = statistics.median(spent["srcnn upscale"])
            for way, seconds in spent.items():
                middle = statistics.median(seconds)
                print(f"  {way:24} {middle:6.2f} s  {middle / base:5.1f}")
        context.close()


if __name__ == "__main__":
    main()
