"""Pages run once (book/_ext/srcnn_run.py): nbval compares that run (conftest.py), and
the book is written anew when what it rests on has changed (srcnn_book.py)."""

import os
import re
import subprocess
import sys
import types

import nbformat
import pytest
import srcnn_pages
import srcnn_run
from nbformat.v4 import new_code_cell, new_notebook, new_output
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

from tools.notebooks import ROOT, repository
from tools.notebooks import SAME_EVERYWHERE as CHECK


def write(path, *cells):
    nbformat.write(new_notebook(cells=list(cells)), path)
    return path


@pytest.fixture
def build(tmp_path):
    """Run pages, given as the code of their one cell, as a build does."""

    def build(*limits, **pages):
        code = {tmp_path / f"{name}.ipynb": code for name, code in pages.items()}
        paths = [write(path, new_code_cell(code[path])) for path in code]
        srcnn_run.run_once(paths, tmp_path / "cache", *limits)

    return build


def test_a_page_runs_once_until_its_code_changes(build, tmp_path):
    one, two = "open('ran', 'a').write('a')", "open('ran', 'a').write('b')"
    build(one=one, two=two)
    assert sorted((tmp_path / "ran").read_text()) == ["a", "b"]
    build(one=one, two=two + "  # changed")
    assert sorted((tmp_path / "ran").read_text()) == ["a", "b", "b"]


def test_a_page_that_reads_the_others_runs_after_their_changes(build, tmp_path):
    reads = "from tools import course\nopen('ran', 'a').write('a')"
    build(reads=reads, other="1")
    for code in ("1", "2"):  # written anew as it was; changed, with an old date
        os.utime(write(tmp_path / "other.ipynb", new_code_cell(code, id="o")), (0, 0))
        for _ in range(2):
            srcnn_run.run_once([tmp_path / "reads.ipynb"], tmp_path / "cache")
        assert (tmp_path / "ran").read_text() == {"1": "aa", "2": "aaa"}[code]


ENDLESS, DIES = "while True: pass", "import os; os._exit(1)"
FAULTS = [("1 / 0", (), "ZeroDivisionError"), (DIES, (), "died"),
          (ENDLESS, (2, 60), "timed out"), (ENDLESS, (60, 3), "not done")]  # fmt: skip


@pytest.mark.parametrize("code, limits, why", FAULTS)
def test_a_page_that_fails_is_named_at_once_and_none_runs_for_ever(
    build, code, limits, why
):
    beside = {} if limits else {"slow": "import time; time.sleep(300)"}
    with pytest.raises(srcnn_run.PageError, match=f"(?s)bad.ipynb: .*{why}"):
        build(*limits, bad=code, **beside)


def test_nbval_compares_the_run_and_masks_times_of_timed_cells_alone(tmp_path):
    def cell(code, shown, *tags):
        outputs, tags = [new_output("stream", text=f"{shown}\n")], [*tags, CHECK]
        about = {"execution_count": 1, "metadata": {"tags": tags}}
        return new_code_cell(code, outputs=outputs, **about)

    took = "open('ran', 'a').write('a'); print('2.5 s, 31 dB')"
    shown = ("8 s, 31 dB", "timing"), ("8 s, 31 dB",), ("8 s, 32 dB", "timing")
    kept = write(tmp_path / "kept.ipynb", *(cell(took, *texts) for texts in shown))
    alive = write(tmp_path / "alive.ipynb", cell("print(6)", "6"), cell("1 / 0", ""))
    srcnn_run.run_once([kept], tmp_path / "caches" / "key")
    (tmp_path / "there.py").write_text(
        "import pathlib, srcnn_run\nsrcnn_run.cache_key = lambda: 'key'\n"
        f"srcnn_run.CACHES = pathlib.Path({str(tmp_path / 'caches')!r})\n"
    )
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "book" / "_ext", tmp_path)))
    there = os.environ | {"PYTHONPATH": paths}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", ROOT / "pyproject.toml", "--color=no",
         "--rootdir", tmp_path, "-p", "there", "-p", "conftest", kept, alive],
        cwd=ROOT, capture_output=True, text=True, env=there,
    )  # fmt: skip
    failed = re.findall(r"^FAILED .*?(\w+\.ipynb::Cell \d)", done.stdout, re.MULTILINE)
    expected = ["kept.ipynb::Cell 1", "kept.ipynb::Cell 2", "alive.ipynb::Cell 1"]
    assert failed == expected, done.stdout
    assert "ZeroDivisionError" in done.stdout and "2 passed" in done.stdout
    assert (tmp_path / "ran").read_text() == "aaa"  # once for each cell


@pytest.mark.parametrize("own, there", [
    ("", "https://AnOwner.github.io/a-book/"), ("https://a.org/b", "https://a.org/b/"),
])  # fmt: skip
def test_the_site_keeps_its_own_address_and_owners_their_capitals(own, there):
    about = {"repository_url": "https://github.com/AnOwner/a-book/"}
    config = types.SimpleNamespace(html_baseurl=own, html_theme_options=about)
    assert srcnn_pages.address(config) == there


def test_the_lock_pins_by_hash_all_that_is_wanted_and_names_no_registry():
    wanted = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins = re.findall(r"^[^#\s]+==\S+", wanted, re.MULTILINE)
    names = [re.sub("[._-]+", "-", pin).lower() for pin in pins]
    there = re.findall(r"^(\S+==\S+).*\\\n +--hash=sha256:", lock, re.MULTILINE)
    found = {re.sub("[._-]+", "-", pin).lower() for pin in there}
    apart = [pin for pin in names if pin not in found]
    assert [pin.partition("==")[0] for pin in apart] == ["torch"]
    assert len(there) == len(re.findall(r"^[^#\s]", lock, re.MULTILINE))
    assert "nvidia" not in lock and not re.search(r"https?:|index-url|file:", lock)


def test_workflows_pin_actions_by_commit_and_leave_no_credentials():
    for file in (ROOT / ".github" / "workflows").glob("*.yml"):
        text = file.read_text(encoding="utf-8")
        for use in re.findall(r"uses: (.*)", text):
            assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v[\d.]+.*", use), use
        assert text.count("actions/checkout@") == text.count("persist-credentials: f")


def test_a_page_that_the_pdf_read_is_written_into_the_book_too(tmp_path, monkeypatch):
    """Both keep what they read in one place; data came between them and before."""
    import srcnn_book

    monkeypatch.setenv(srcnn_book.widgets.STATIC, "1")  # set by a build; undone here
    monkeypatch.setattr(srcnn_book, "CACHES", tmp_path / "caches")
    monkeypatch.setattr(srcnn_book, "finish", lambda *_: None)
    (tmp_path / "index.md").write_text("# Page\n\nwith {{ costs }}")
    for builder, costs in (("html", "demo"), ("singlehtml", "data"), ("html", "data")):
        monkeypatch.setattr(srcnn_book, "cache_key", lambda key=costs: key)
        monkeypatch.setattr(srcnn_book.page_costs, "table", lambda now=costs: now)
        config = {
            "extensions": ["myst_nb", "srcnn_book"],
            "templates_path": [],
            "myst_enable_extensions": ["substitution"],
            "html_theme": "sphinx_book_theme",
            "html_theme_options": {"repository_url": repository()["url"]},
        }
        out, read = tmp_path / builder, tmp_path / "read"
        with docutils_namespace():
            Sphinx(tmp_path, None, out, read, builder, config, None, None).build()
        assert f"with {costs}" in (out / "index.html").read_text()
