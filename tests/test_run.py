"""Pages run before the book is read, several at once (book/_ext/srcnn_run.py)."""

from types import SimpleNamespace

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tools.notebooks import BOOK


@pytest.fixture
def build(tmp_path, monkeypatch):
    """Run pages, given as the code of their one cell, as a build does."""
    monkeypatch.syspath_prepend(BOOK / "_ext")
    import srcnn_run

    config = SimpleNamespace(
        nb_execution_cache_path=str(tmp_path / "cache"), nb_execution_timeout=60
    )

    def build(**pages):
        for name, code in pages.items():
            page = new_notebook(cells=[new_code_cell(code)])
            nbformat.write(page, tmp_path / f"{name}.ipynb")
        env = SimpleNamespace(doc2path=lambda name: tmp_path / f"{name}.ipynb")
        srcnn_run.ahead(SimpleNamespace(config=config), env, list(pages))

    return build


def test_a_page_runs_once_until_its_code_changes(build, tmp_path):
    one, two = "open('ran', 'a').write('a')", "open('ran', 'a').write('b')"
    build(one=one, two=two)
    assert sorted((tmp_path / "ran").read_text()) == ["a", "b"]
    build(one=one, two=two + "  # changed")
    assert sorted((tmp_path / "ran").read_text()) == ["a", "b", "b"]


@pytest.mark.parametrize(
    "code, why", [("1 / 0", "ZeroDivisionError"), ("import os; os._exit(1)", "died")]
)
def test_a_page_that_fails_is_named_at_once(build, code, why):
    with pytest.raises(Exception, match=f"bad.ipynb: (.|\n)*{why}") as caught:
        build(bad=code, slow="import time; time.sleep(300)")
    assert caught.value.category == "A page does not run"
