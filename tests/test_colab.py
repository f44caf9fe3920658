"""Every page's first cell, as Colab runs it: with stand-ins for Colab, pip and the
repository's server.  That all pages have this cell: test_pages.py."""

import os
import shutil
import subprocess
import sys

import pytest

from tools.notebooks import ROOT, SETUP_SOURCE, repository

# Runs a cell in a fresh IPython, twice, and says what it did.
DRIVER = """
import os, sys
if sys.argv[2] == "colab":
    import google.colab
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
for _ in range(2):
    shell.run_cell(open(sys.argv[1]).read()).raise_error()
print("cwd", os.path.realpath(os.getcwd()))
print("heavy", sorted({"torch", "numpy"} & set(sys.modules)))
import exercises, srcnn_lib
print("from", os.path.realpath(srcnn_lib.__file__))
"""
PIP = """
import os, sys
with open(os.environ["PIP_LOG"], "a") as log:
    log.write(" ".join(sys.argv[1:]) + "\\n")
"""
NAME = repository()["name"]
SETUP = SETUP_SOURCE.format(**repository())


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A bare repository with the working tree as its only commit, and a tag."""
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("needs git and a checkout")
    bare = tmp_path_factory.mktemp("server") / "book.git"
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    git += ["--git-dir", bare, "--work-tree", ROOT]
    branch = repository()["branch"]
    subprocess.run(["git", "init", "-q", "--bare", "-b", branch, bare], check=True)
    for command in (["add", "-A"], ["commit", "-qm", "tree"], ["tag", "v1.0"]):
        subprocess.run([*git, *command], check=True, cwd=ROOT)
    return bare


@pytest.fixture
def run_cell(tmp_path, server):
    """Runs a cell in an empty folder; the page's address leads to `server`."""
    for name, content in {"google/colab/__init__": "", "pip/__main__": PIP}.items():
        file = tmp_path / "stand-ins" / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    (tmp_path / "content").mkdir()
    (tmp_path / "driver.py").write_text(DRIVER)
    environment = dict(
        os.environ,
        PYTHONPATH=str(tmp_path / "stand-ins"),
        PIP_LOG=str(tmp_path / "pip.log"),
        IPYTHONDIR=str(tmp_path / "ipython"),
        GIT_CONFIG_COUNT="1",
        GIT_CONFIG_KEY_0=f"url.{server.as_uri()}.insteadOf",
        GIT_CONFIG_VALUE_0=repository()["url"],
    )

    def run(source: str, where: str, folder=tmp_path / "content") -> str:
        (tmp_path / "cell.py").write_text(source)
        command = [sys.executable, tmp_path / "driver.py", tmp_path / "cell.py", where]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.mark.parametrize("version", [repository()["branch"], "v1.0"])
def test_in_colab_the_cell_fetches_the_book_once(run_cell, tmp_path, version):
    clone = tmp_path / "content" / NAME
    source = SETUP_SOURCE.format(**repository() | {"branch": version})
    said = run_cell(source, "colab")
    assert f"cwd {clone / 'book'}\n" in said and "heavy []" in said
    assert f"from {clone / 'srcnn_lib'}" in said
    asked = (tmp_path / "pip.log").read_text().split()
    assert "--no-deps" in asked and "pooch" in asked
    assert not {"torch", "numpy", "-r"} & set(asked)
    # After a restart the clone is used as it is, from above it and from inside it.
    (clone / "mine.txt").write_text("kept")
    for folder in (clone.parent, clone / "book"):
        assert f"cwd {clone / 'book'}\n" in run_cell(source, "colab", folder)
    assert (clone / "mine.txt").exists() and not (clone / "book" / NAME).exists()


def test_elsewhere_the_cell_does_nothing(run_cell, tmp_path):
    """A student's zip has its own library, an installed book the installed one."""
    book = tmp_path / "srcnn-student" / "book"
    book.mkdir(parents=True)
    for name in ("srcnn_lib", "exercises"):
        shutil.copytree(ROOT / name, book.parent / name)
    assert f"from {book.parent / 'srcnn_lib'}" in run_cell(SETUP, "here", book)
    assert not list(book.iterdir()) and not (tmp_path / "pip.log").exists()


def test_a_folder_that_cannot_be_written_is_left(run_cell, tmp_path):
    """Such as a mounted Drive without permission; Drive itself is never asked."""
    other = tmp_path / "other"
    other.mkdir()
    refuse = "import os; may = os.access\n"
    refuse += "os.access = lambda path, mode: mode != os.W_OK and may(path, mode)\n"
    said = run_cell(refuse + SETUP.replace('"/tmp"', repr(str(other))), "colab")
    assert f"cwd {other / NAME / 'book'}\n" in said
    assert not list((tmp_path / "content").iterdir())


def test_an_unreachable_repository_is_an_error_at_once(run_cell):
    with pytest.raises(AssertionError, match="FileNotFoundError"):
        run_cell(SETUP.replace("-b ", "-b no-such-"), "colab")
