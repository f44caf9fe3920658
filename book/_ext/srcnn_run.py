"""Runs each page once, for the tests and for the book.

    python book/_ext/srcnn_run.py [PAGE …]    these pages, or all, if not kept yet

Pages run two at a time and the costliest first, before Sphinx reads them, and are kept
where MyST-NB looks for them, as does nbval: `make test` begins with it."""

import functools
import hashlib
import importlib.metadata
import json
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.executors.utils import single_nb_execution
from sphinx.errors import SphinxError

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
# Two pages or tests run at once.  PyTorch's threads wait for each other busily: with
# more threads than free cores, a training step takes up to twenty times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")
if "SRCNN_DATA" in os.environ:  # pages run in book/, not here
    os.environ["SRCNN_DATA"] = os.path.abspath(os.environ["SRCNN_DATA"])

from srcnn_lib import datasets, widgets  # noqa: E402

CACHES = ROOT / "_build" / ".jupyter_cache"
COSTS = ROOT / "data" / "studies" / "page_costs.json"
RESTS_ON = ("srcnn_lib", "exercises", "data", "tools", "book/_ext")
CELL_S, ALL_S = 300, 1200  # limits for a cell and for all pages together


class PageError(SphinxError):
    category = "A page does not run"


@functools.cache
def cache_key() -> str:
    """Hash of all that outputs rest on except a page's own cells."""
    here = [name for name in datasets.names() if datasets.available(name)]
    facts = here, importlib.metadata.version("torch"), sys.version_info[:2]
    pins = [(ROOT / f"requirements.{end}").read_bytes() for end in ("txt", "lock")]
    key = hashlib.sha256(repr((facts, pins)).encode())
    for path in sorted(p for folder in RESTS_ON for p in (ROOT / folder).rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            key.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return key.hexdigest()[:16]


def others(page: Path) -> str:
    """A hash of all pages beside one that reads them (with ``tools``); else ""."""
    if "from tools import" not in page.read_text(encoding="utf-8"):
        return ""
    files = sorted(page.parent.glob("*.ipynb"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def kept(cache, page: Path) -> nbformat.NotebookNode | None:
    """The page as it ran with exactly these cells and what it reads; or None."""
    try:
        number, ran = cache.merge_match_into_notebook(nbformat.read(page, as_version=4))
    except KeyError:
        return None
    said = cache.get_cache_record(number).data or {}
    return ran if said.get("others", "") == others(page) else None


def run_once(pages, folder: Path, cell_s: float = CELL_S, all_s: float = ALL_S) -> None:
    """Run the pages that `folder` does not keep.  PageError at the first that fails."""
    cache, costs = get_cache(folder), json.loads(COSTS.read_text(encoding="utf-8"))
    waiting = [page for page in pages if not kept(cache, page)]
    waiting.sort(key=lambda p: -costs.get(p.stem, {}).get("cpu", {}).get("wall_s", 1e9))
    # Sphinx has threads by now, which a forked worker would miss.
    pool, running = ProcessPoolExecutor(2, multiprocessing.get_context("spawn")), {}
    try:
        for page in waiting:
            task = nbformat.read(page, as_version=4), str(page.parent), cell_s, False
            running[pool.submit(single_nb_execution, *task)] = page
        for done in as_completed(running, all_s):
            page = running[done]
            if error := done.exception() or done.result().err:
                raise PageError(f"{page}: {error}")
            ran, took = done.result().nb, done.result().time
            about = {"execution_seconds": took, "others": others(page)}
            bundle = CacheBundleIn(ran, str(page), data=about)
            cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
            print(f"ran {page.stem}: {took:.0f} s", flush=True)
    except TimeoutError:
        late = ", ".join(running[task].name for task in running if not task.done())
        raise PageError(f"{late}: not done after {all_s} s") from None
    finally:
        for worker in multiprocessing.active_children():  # those that are left hang
            worker.kill()  # its kernel ends when it misses it
        pool.shutdown(cancel_futures=True)


def ahead(app, env, docnames):
    """On ``env-before-read-docs``: run what is to be read and not kept."""
    if app.config.nb_execution_mode == "cache":
        found = (Path(env.doc2path(name)) for name in docnames)
        pages = [path for path in found if path.suffix == ".ipynb"]
        run_once(pages, app.config.nb_execution_cache_path)


if __name__ == "__main__":
    book = {page.stem: page for page in (ROOT / "book").glob("*.ipynb")}
    os.environ[widgets.STATIC] = "1"  # as the book has them
    try:
        run_once([book[n] for n in sys.argv[1:] or book], CACHES / cache_key())
    except PageError as error:
        sys.exit(f"{error.category}: {error}")
