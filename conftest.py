"""The pages of book/ are tests too: nbval compares them cell by cell.

What `make test` has just run is compared as it ran; other pages run now, in a kernel.
With the real data every stored output must come out again; with the embedded
photographs only those of cells tagged ``nbval-check-output``.  Only times are masked
(tests/nbval-sanitize.cfg), in cells tagged ``timing``.
"""

import pytest
import srcnn_run
from nbval.plugin import IPyNbCell, IPyNbFile, RunningKernel, coalesce_streams

from srcnn_lib import datasets, widgets
from tools.course import tags
from tools.notebooks import REAL_DATA, TIMING, stored

start, runtest = IPyNbFile.setup, IPyNbCell.runtest
compare, sanitize = IPyNbCell.compare_outputs, IPyNbCell.sanitize


def pytest_configure(config):
    if not (config.option.nbval or config.option.nbval_lax):
        try:
            config.option.nbval = all(map(datasets.available, REAL_DATA))
        except datasets.DataError as error:
            raise pytest.UsageError(str(error)) from None
        config.option.nbval_lax = not config.option.nbval
    IPyNbFile.setup, IPyNbCell.runtest = take_or_start, compare_or_run
    IPyNbCell.compare_outputs, IPyNbCell.sanitize = compare_stored, mask_times
    RunningKernel.execute_cell_input = execute_with_history


def take_or_start(file):
    """Take the page as it ran already; else start a kernel."""
    cache = srcnn_run.CACHES / srcnn_run.cache_key()
    ran = cache.exists() and srcnn_run.kept(srcnn_run.get_cache(cache), file.path)
    file.ran = [cell for cell in ran.cells if cell.cell_type == "code"] if ran else []
    if ran:
        return file.setup_sanitize_files()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(widgets.STATIC, "1")
        start(file)


def compare_or_run(cell):
    if not cell.parent.ran:
        return runtest(cell)
    both = cell.parent.ran[cell.cell_num].outputs, cell.cell.outputs
    if cell.options["check"] and not cell.compare_outputs(*map(coalesce_streams, both)):
        cell.raise_cell_error("Outputs differ", "\n".join(cell.comparison_traceback))


def compare_stored(cell, test, ref, skip_compare=None):
    """Compare what a page would store of a run with what it stores."""
    return compare(cell, stored(test), stored(ref), skip_compare)


def mask_times(cell, text):
    return sanitize(cell, text) if TIMING in tags(cell.cell) else text


def execute_with_history(kernel, source, allow_stdin=None):
    """As in Jupyter: with the history, so that a last `;` silences a cell."""
    return kernel.kc.execute(source, allow_stdin=allow_stdin, stop_on_error=False)


def pytest_report_header(config):
    return f"pages: {'all' if config.option.nbval else 'some'} outputs are compared"
