"""The pages of book/ are tests too: nbval runs them cell by cell.

With the real data every stored output must come out again.  With the embedded
photographs alone the pages run whole, and those outputs are compared that do
not depend on the data (tagged by ``make notebooks``).
"""

import os

import nbval.plugin
import pytest

from srcnn_lib import datasets
from tools.notebooks import REAL_DATA, stored

compare = nbval.plugin.IPyNbCell.compare_outputs
STRICT = "with the real data: every stored output is compared"
LAX = (
    "with the embedded photographs: they run whole, and only outputs that do not "
    "depend on the data are compared"
)
EXIT = pytest.StashKey[int]()


def pytest_configure(config):
    if "SRCNN_DATA" in os.environ:  # pages run in book/
        os.environ["SRCNN_DATA"] = os.path.abspath(os.environ["SRCNN_DATA"])
    if not (config.option.nbval or config.option.nbval_lax):
        try:
            config.option.nbval = all(map(datasets.available, REAL_DATA))
        except datasets.DataError as error:
            raise pytest.UsageError(str(error)) from None
        config.option.nbval_lax = not config.option.nbval

    nbval.plugin.IPyNbCell.compare_outputs = compare_stored
    nbval.plugin.RunningKernel.execute_cell_input = execute_with_history


def compare_stored(cell, test, ref, skip_compare=None):
    """Compare what a page would store of a run with what it stores."""
    return compare(cell, stored(test), stored(ref), skip_compare)


def execute_with_history(kernel, source, allow_stdin=None):
    """As in Jupyter: with the history, so that a last `;` silences a cell."""
    return kernel.kc.execute(source, allow_stdin=allow_stdin, stop_on_error=False)


def pytest_report_header(config):
    return f"pages: {STRICT if config.option.nbval else LAX}"


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session, exitstatus):
    session.config.stash[EXIT] = exitstatus


def pytest_unconfigure(config):
    """After pytest's own closing line: what passed."""
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is None or config.stash.get(EXIT, None) != 0:
        return
    passed = [report.nodeid for report in terminal.stats.get("passed", [])]
    cells = [name for name in passed if ".ipynb::" in name]
    count = len({name.split("::")[0] for name in cells})
    skipped = len(terminal.stats.get("skipped", []))
    how = "all outputs compared" if config.option.nbval else "embedded photographs"
    run = f" and {count} pages ({len(cells)} cells, {how})" if cells else ""
    tests = len(passed) - len(cells)
    terminal.write_line(f"Passed: {tests} tests{run}; {skipped} skipped.")
