"""Runs each page once, for the tests and for the book.

    python book/_ext/srcnn_run.py [PAGE …]    these pages, or all, if not kept yet

MyST-NB runs one page after the other while Sphinx reads them.  This runs them before,
two at a time and the costliest first, and keeps them where MyST-NB looks for them.
`make test` begins with it, and nbval's cells then compare what this run gave.
"""

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
from jupyter_cache.executors.utils import ExecutionResult, single_nb_execution
from sphinx.errors import SphinxError

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from srcnn_lib import datasets, widgets  # noqa: E402

CACHES = ROOT / "_build" / ".jupyter_cache"
COSTS = ROOT / "data" / "studies" / "page_costs.json"
RESTS_ON = ("srcnn_lib", "exercises", "data", "tools", "book/_ext")
AT_ONCE = 2
TIMEOUT_S = 1800


class PageError(SphinxError):
    category = "A page does not run"


@functools.cache
def cache_key() -> str:
    """Hash of all that outputs rest on except a page's own cells."""
    key = hashlib.sha256((ROOT / "requirements.txt").read_bytes())
    for path in sorted(p for folder in RESTS_ON for p in (ROOT / folder).rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            key.update(path.relative_to(ROOT).as_posix().encode())
            key.update(path.read_bytes())
    here = [name for name in datasets.names() if datasets.available(name)]
    torch = importlib.metadata.version("torch")
    key.update(repr((here, torch, sys.version_info[:2])).encode())
    return key.hexdigest()[:16]


def kept(cache: Path, page: Path) -> nbformat.NotebookNode | None:
    """The page as it ran with exactly these cells, or None.

    A page that reads the other pages (with ``tools``) has to be newer than they are.
    """
    notebook = nbformat.read(page, as_version=4)
    try:
        number, ran = get_cache(cache).merge_match_into_notebook(notebook)
    except KeyError:
        return None
    if any("from tools import" in cell.source for cell in notebook.cells):
        record = get_cache(cache).get_cache_record(number)
        file = Path(cache, "executed", record.hashkey, "base.ipynb")
        changed = max(p.stat().st_mtime for p in page.parent.glob("*.ipynb"))
        return ran if file.stat().st_mtime > changed else None
    return ran


def costliest_first(pages: list[Path]) -> list[Path]:
    """Pages in the order of their recorded seconds; unknown ones before them."""
    known = json.loads(COSTS.read_text(encoding="utf-8"))

    def seconds(page: Path) -> float:
        return known.get(page.stem, {}).get("cpu", {}).get("wall_s", float("inf"))

    return sorted(pages, key=seconds, reverse=True)


def run(page: Path, timeout: int) -> ExecutionResult:
    os.environ[widgets.STATIC] = "1"
    notebook = nbformat.read(page, as_version=4)
    return single_nb_execution(notebook, str(page.parent), timeout, allow_errors=False)


def run_once(pages: list[Path], cache: Path, timeout: int = TIMEOUT_S) -> None:
    """Run the pages that are not kept.  PageError at the first that fails."""
    waiting = costliest_first([page for page in pages if not kept(cache, page)])
    if not waiting:
        return
    pool = ProcessPoolExecutor(min(AT_ONCE, len(waiting)))
    try:
        running = {pool.submit(run, page, timeout): page for page in waiting}
        for done in as_completed(running):
            page = running[done]
            if error := done.exception() or done.result().err:
                raise PageError(f"{page}: {error}")
            seconds = done.result().time
            bundle = CacheBundleIn(
                done.result().nb, str(page), data={"execution_seconds": seconds}
            )
            get_cache(cache).cache_notebook_bundle(
                bundle, check_validity=False, overwrite=True
            )
            print(f"ran {page.stem}: {seconds:.0f} s", flush=True)
    except BaseException:
        for worker in multiprocessing.active_children():
            worker.kill()  # its kernel ends when it misses it
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def ahead(app, env, docnames):
    """Run what is to be read and not kept (event env-before-read-docs)."""
    if app.config.nb_execution_mode == "cache":
        found = [Path(env.doc2path(name)) for name in docnames]
        pages = [path for path in found if path.suffix == ".ipynb"]
        run_once(
            pages, app.config.nb_execution_cache_path, app.config.nb_execution_timeout
        )


if __name__ == "__main__":
    book = {page.stem: page for page in (ROOT / "book").glob("*.ipynb")}
    wanted = [book[Path(name).stem] for name in sys.argv[1:]] or list(book.values())
    try:
        run_once(wanted, CACHES / cache_key())
    except PageError as error:
        sys.exit(f"{error.category}: {error}")
