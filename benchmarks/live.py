"""How fast the network in the page is, beside the command line.

    make book && python benchmarks/live.py [--rounds 5] [--size 256] [--record]

A colour picture of 256×256 pixels is enlarged to three times its size: by the first
page of the built book in Chromium, from the choice of the file to the picture on the
screen, with its WebAssembly and with plain JavaScript, and by `srcnn upscale`, from
file to file.  The ways take turns; a row has the median, and its ratio within this run.
--record: the rows go to data/studies/live.json.
"""

import contextlib
import io
import re
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from playwright.sync_api import sync_playwright

from benchmarks.rows import SCALE, Rows, facts, options
from srcnn_lib import cli, datasets, images
from tools import browser
from tools.notebooks import ROOT

PAGE = ROOT / "_build" / "html" / "book" / "index.html"
IDLE = """() => {
    const root = document.querySelector('.srcnn-live')
    return root.srcnn?.state.picture && !root.hasAttribute('data-busy') }"""


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
    began, large = time.perf_counter(), str(file.with_name("large.png"))
    command = ["upscale", str(file), large, "--scale", str(SCALE), "--model", model]
    with contextlib.redirect_stdout(io.StringIO()):
        if cli.main([*command, "--device", "cpu"]):
            sys.exit("srcnn upscale did not succeed")
    return time.perf_counter() - began


def main() -> None:
    args = options(__doc__, rounds=5, size=256, threads=2, record=False)
    if browser.PROGRAM is None or not PAGE.exists():
        sys.exit(f"This {browser.NEEDED}; and the book: make book")
    rows, common = [], {"size": args.size, "scale": SCALE} | facts()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder, "small.png")
        picture = datasets.load("demo-test")["chelsea"][: args.size, : args.size]
        images.write(file, picture)
        how = {"executable_path": browser.PROGRAM, "args": browser.FLAGS}
        profile = Path(folder, "profile")
        context = playwright.chromium.launch_persistent_context(profile, **how)
        pages = {"page, WebAssembly": True, "page, plain JavaScript": False}
        ways = {k: partial(in_page, opened(context, wasm)) for k, wasm in pages.items()}
        ways = {"srcnn upscale": by_command} | ways
        for model in ("9-1-5", "9-5-5"):
            if model == "9-5-5":
                ways.pop("page, plain JavaScript")  # minutes
            spent = {way: [] for way in ways}
            for _ in range(args.rounds):
                for way, run in ways.items():
                    spent[way].append(run(model, file))
            medians = {way: statistics.median(taken) for way, taken in spent.items()}
            for way, seconds in medians.items():
                row = {"model": model, "way": way, "seconds": round(seconds, 2)}
                row["ratio"] = round(seconds / medians["srcnn upscale"], 1)
                print(row, flush=True)
                rows.append(row | common)
        context.close()
    if args.record:
        Rows("live").replace(rows)


if __name__ == "__main__":
    main()
