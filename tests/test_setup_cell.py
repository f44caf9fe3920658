"""Every page's first cell, which test_pages.py compares on all pages: run in a fresh
IPython, with stand-ins for pip and for the repository's server."""

import os
import shutil
import subprocess
import sys

import pytest

from exercises import missing
from tools.notebooks import ROOT, SETUP_SOURCE, repository

# Runs the cell in a fresh IPython, twice, and says where that led.
DRIVER = """
import os
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
for _ in range(2):
    shell.run_cell(os.environ["CELL"]).raise_error()
import srcnn_lib
print("in", os.path.realpath("."), "from", os.path.realpath(srcnn_lib.__file__))
"""
PIP = "import os, sys; print(*sys.argv, file=open(os.environ['PIP_LOG'], 'a'))"
TAG = repository()["tag"]
NAME = f"{repository()['name']}-{TAG}"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A repository: a release of the library, and a later main without it."""
    if not shutil.which("git"):
        pytest.skip("needs git")
    tree = tmp_path_factory.mktemp("server") / "book"
    for name in ("srcnn_lib", "exercises"):
        shutil.copytree(ROOT / name, tree / name)
    shutil.copy(ROOT / "pyproject.toml", tree)
    (tree / "book").mkdir()
    (tree / "book" / "a_page").touch()
    for command in ("init -q -b main", "add -A", "commit -q -m tree",
                    f"tag -a -m first {TAG}", "rm -rq srcnn_lib",
                    "commit -q -m later"):  # fmt: skip
        who = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        subprocess.run(["git", *who, *command.split()], check=True, cwd=tree)
    return tree.as_uri()


@pytest.fixture
def run_cell(tmp_path, server):
    """Run the cell in a folder; the repository's address leads to `server`."""
    stub = tmp_path / "stand-ins" / "pip" / "__main__.py"
    stub.parent.mkdir(parents=True)
    stub.write_text(PIP)
    (tmp_path / "user").mkdir()

    def run(folder, tag=TAG):
        source = SETUP_SOURCE.format(**repository() | {"tag": tag}, page="a_page")
        paths = {"PYTHONPATH": "stand-ins", "PIP_LOG": "pip.log", "IPYTHONDIR": "mine",
                 "HOME": "user", "USERPROFILE": "user"}  # fmt: skip
        more = {name: str(tmp_path / path) for name, path in paths.items()}
        more |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.{server}.insteadOf",
                 "GIT_CONFIG_VALUE_0": repository()["url"], "CELL": source}  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", DRIVER], cwd=folder, env=os.environ | more,
            capture_output=True, text=True, timeout=100,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_alone_it_fetches_the_release_once_and_writes_nothing_beside_it(
    run_cell, tmp_path
):
    clone, alone = tmp_path / "user" / NAME, tmp_path / "alone"
    alone.mkdir()
    alone.chmod(0o555)  # a read-only Drive
    (tmp_path / "user" / "tmp_killed").mkdir()  # what a killed clone leaves
    there = f"in {clone / 'book'} from {clone / 'srcnn_lib'}"
    assert there in run_cell(alone)
    (clone / "mine.txt").touch()
    for after_a_restart in (alone, clone / "book"):
        assert there in run_cell(after_a_restart)
    assert (clone / "mine.txt").exists() and not list(alone.iterdir())
    assert len(list((tmp_path / "user").iterdir())) == 2
    assert not (tmp_path / "pip.log").exists()  # all is there


def test_in_a_clone_it_finds_the_library_beside_it(run_cell, tmp_path):
    book = tmp_path / "srcnn-student" / "book"
    for name in ("srcnn_lib", "exercises"):
        shutil.copytree(ROOT / name, book.parent / name)
    shutil.copy(ROOT / "pyproject.toml", book.parent)
    book.mkdir()
    assert f"in {book} from {book.parent / 'srcnn_lib'}" in run_cell(book)
    assert not list(book.iterdir()) and not list((tmp_path / "user").iterdir())


def test_an_unreachable_release_is_an_error_and_leaves_no_half_of_it(
    run_cell, tmp_path
):
    with pytest.raises(AssertionError, match="not found"):
        run_cell(tmp_path, tag="v0.0.0")
    assert not list((tmp_path / "user").glob("srcnn-book*"))


def test_what_is_missing_is_installed_and_torch_and_numpy_stay(monkeypatch, tmp_path):
    file = tmp_path / "pyproject.toml"
    file.write_text(
        '[project]\ndependencies = ["torch>=99", "numpy>=1", "scipy>=99", "pooch"]\n'
        '[project.optional-dependencies]\nbook = ["sporco>=0.2.1"]\n'
    )
    here = {"torch": "2.11.0+cu128", "numpy": "2.0.2", "scipy": "1.0", "pooch": "1.8"}
    monkeypatch.setattr(missing, "installed", here.get)
    asked = []
    monkeypatch.setattr(subprocess, "run", lambda command, check: asked.append(command))
    missing.install(file)
    own = ["torch==2.11.0+cu128", "numpy==2.0.2"]
    assert [line[5:] for line in asked] == [[*own, "scipy>=99", "sporco>=0.2.1"]]
    asked.clear()
    monkeypatch.setattr(missing, "installed", lambda name: "99.0")
    missing.install(file)
    assert not asked
