"""Pages run before the book is read, several at once (book/_ext/srcnn_run.py),
and are written anew when what they rest on has changed (srcnn_book.py)."""

from types import SimpleNamespace

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

from tools.notebooks import BOOK, repository


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


def test_a_page_that_the_pdf_read_is_written_into_the_book_too(tmp_path, monkeypatch):
    """Both keep what they read in one place; data came between them and before."""
    monkeypatch.syspath_prepend(BOOK / "_ext")
    import srcnn_book

    monkeypatch.setenv(srcnn_book.widgets.STATIC, "1")  # set by a build; undone here
    monkeypatch.setattr(srcnn_book, "CACHES", tmp_path / "caches")
    monkeypatch.setattr(srcnn_book, "finish", lambda *_: None)
    (tmp_path / "index.md").write_text("# Page\n\nwith {{ rests_on }}")

    def build(builder, rests_on):
        monkeypatch.setattr(srcnn_book, "cache_key", lambda: rests_on)
        monkeypatch.setattr(srcnn_book.ledger, "glance", lambda: {"rests_on": rests_on})
        config = {
            "extensions": ["myst_nb", "srcnn_book"],
            "myst_enable_extensions": ["substitution"],
            "templates_path": [],  # its own, as the theme adds to the list
            "html_theme": "sphinx_book_theme",
            "html_theme_options": {"repository_url": repository()["url"]},
        }
        out, read = tmp_path / builder, tmp_path / "read"
        with docutils_namespace():
            Sphinx(
                tmp_path, None, out, read, builder, config, status=None, warning=None
            ).build()
        return (out / "index.html").read_text()

    assert "with demo" in build("html", "demo")
    assert "with data" in build("singlehtml", "data")
    assert "with data" in build("html", "data")
