"""Every page's first cell, which test_pages.py compares on all pages: as Colab runs
it, with stand-ins for Colab, pip and the repository's server."""

import os
import shutil
import subprocess
import sys

import pytest

from tools.notebooks import ROOT, SETUP_SOURCE, repository

# Runs the cell in a fresh IPython, twice, and says where that led.
DRIVER = """
import os, sys
if sys.argv[1] == "colab":
    import google.colab
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
for _ in range(2):
    shell.run_cell(os.environ["CELL"]).raise_error()
import srcnn_lib
print("in", os.path.realpath("."), "from", os.path.realpath(srcnn_lib.__file__))
"""
PIP = "import os, sys; print(*sys.argv, file=open(os.environ['PIP_LOG'], 'a'))"
NAME = repository()["name"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A repository: the library as its only commit, on the branch and a tag."""
    if not shutil.which("git"):
        pytest.skip("needs git")
    tree = tmp_path_factory.mktemp("server") / "book"
    shutil.copytree(ROOT / "srcnn_lib", tree / "srcnn_lib")
    (tree / "book").mkdir()
    (tree / "book" / "a_page").touch()
    for command in (f"init -q -b {repository()['branch']}", "add -A",
                    "commit -q -m tree", "tag -a -m first v1.0"):  # fmt: skip
        who = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        subprocess.run(["git", *who, *command.split()], check=True, cwd=tree)
    return tree.as_uri()


@pytest.fixture
def run_cell(tmp_path, server):
    """Run the cell in a folder; the repository's address leads to `server`."""
    for name, code in (("google/colab/__init__", ""), ("pip/__main__", PIP)):
        file = tmp_path / "stand-ins" / f"{name}.py"
        file.parent.mkdir(parents=True)
        file.write_text(code)

    def run(where, folder=tmp_path, branch=repository()["branch"], replace=()):
        source = SETUP_SOURCE.format(**repository() | {"branch": branch})
        for old, new in replace:
            source = source.replace(old, new)
        paths = {"PYTHONPATH": "stand-ins", "PIP_LOG": "pip.log", "IPYTHONDIR": "mine"}
        more = {name: str(tmp_path / path) for name, path in paths.items()}
        more |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.{server}.insteadOf",
                 "GIT_CONFIG_VALUE_0": repository()["url"], "CELL": source}  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", DRIVER, where], cwd=folder, env=os.environ | more,
            capture_output=True, text=True, timeout=100,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.mark.parametrize("branch", [repository()["branch"], "v1.0"])
def test_in_colab_it_fetches_the_book_once(run_cell, tmp_path, branch):
    clone, log = tmp_path / NAME, tmp_path / "pip.log"
    there = f"in {clone / 'book'} from {clone / 'srcnn_lib'}"
    assert there in run_cell("colab", branch=branch)
    (clone / "mine.txt").touch()
    for after_a_restart in (tmp_path, clone / "book"):
        assert there in run_cell("colab", after_a_restart, branch)
    assert (clone / "mine.txt").exists() and not (clone / "book" / NAME).exists()
    asked = log.read_text().split() if log.exists() else []
    assert not {"torch", "numpy"} & set(asked)  # Colab's own


def test_elsewhere_it_finds_the_library_beside_it_and_does_nothing(run_cell, tmp_path):
    book = tmp_path / "srcnn-student" / "book"
    shutil.copytree(ROOT / "srcnn_lib", book.parent / "srcnn_lib")
    book.mkdir()
    assert f"in {book} from {book.parent / 'srcnn_lib'}" in run_cell("here", book)
    assert not list(book.iterdir()) and not (tmp_path / "pip.log").exists()


def test_a_folder_that_cannot_be_written_is_left(run_cell, tmp_path):
    """Such as a mounted Drive without permission; root may write everywhere."""
    drive = tmp_path / "drive"
    drive.mkdir()
    refused = [("os.access(", "print("), ('"/tmp"', repr(str(tmp_path)))]
    said = run_cell("colab", drive, replace=refused)
    assert f"in {tmp_path / NAME / 'book'}" in said and not list(drive.iterdir())


def test_an_unreachable_repository_is_an_error(run_cell):
    with pytest.raises(AssertionError, match="Error"):
        run_cell("colab", branch="no-such-tag")
