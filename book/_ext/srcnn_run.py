"""Runs the pages whose cells are not in the cache, two at a time.

MyST-NB runs one page after the other while Sphinx reads them; this runs them before,
each in a kernel of its own, and keeps them where MyST-NB looks for them.
"""

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.executors.utils import ExecutionResult, single_nb_execution
from sphinx.errors import SphinxError
from sphinx.util import logging

from benchmarks import page_costs

AT_ONCE = 2


class PageError(SphinxError):
    category = "A page does not run"


def costliest_first(pages: list[Path]) -> list[Path]:
    """Pages in the order of their recorded seconds; unknown ones before them."""
    known = json.loads(page_costs.FILE.read_text(encoding="utf-8"))

    def seconds(page: Path) -> float:
        return known.get(page.stem, {}).get("cpu", {}).get("wall_s", float("inf"))

    return sorted(pages, key=seconds, reverse=True)


def run(page: Path, timeout: int) -> ExecutionResult:
    notebook = nbformat.read(page, as_version=4)
    return single_nb_execution(notebook, str(page.parent), timeout, allow_errors=False)


def ahead(app, env, docnames):
    """Run what is to be read and not in the cache (event env-before-read-docs)."""
    cache = get_cache(app.config.nb_execution_cache_path)
    found = [Path(env.doc2path(name)) for name in docnames]
    waiting = [p for p in found if p.suffix == ".ipynb" and not kept(cache, p)]
    if not waiting:
        return
    logger = logging.getLogger(__name__)
    timeout = app.config.nb_execution_timeout
    pool = ProcessPoolExecutor(min(AT_ONCE, len(waiting)))
    try:
        running = {pool.submit(run, p, timeout): p for p in costliest_first(waiting)}
        for done in as_completed(running):
            page = running[done]
            if error := done.exception() or done.result().err:
                raise PageError(f"{page}: {error}")
            result = done.result()
            seconds = {"execution_seconds": result.time}
            bundle = CacheBundleIn(result.nb, str(page), data=seconds)
            cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
            logger.info("running %s: %.0f s", page.stem, result.time)
    except BaseException:
        for worker in multiprocessing.active_children():
            worker.kill()  # its kernel ends when it misses it
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def kept(cache, page: Path) -> bool:
    try:
        cache.match_cache_notebook(nbformat.read(page, as_version=4))
    except KeyError:
        return False
    return True
