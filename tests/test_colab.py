"""Every page's first cell, as Colab runs it: with stand-ins for Colab, pip and
the repository's server."""

import os
import shutil
import subprocess
import sys

import pytest

from srcnn_lib import colab
from tools.notebooks import ROOT, pages, repository

# Runs a page's first cell in a fresh IPython, twice, and says what it did.
DRIVER = """
import os, sys
if sys.argv[2] == "colab":
    import google.colab
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
source = open(sys.argv[1]).read()
for _ in range(2):
    shell.run_cell(source).raise_error()
print("cwd", os.path.realpath(os.getcwd()))
print("heavy", sorted({"torch", "numpy"} & set(sys.modules)))
import srcnn_lib
print("from", os.path.realpath(srcnn_lib.__file__))
"""

STANDIN_PIP = """
import os, sys
with open(os.environ["PIP_LOG"], "a") as log:
    log.write(" ".join(sys.argv[1:]) + "\\n")
"""

# Makes one requirement look as if it were not installed.
HIDE = """
import importlib.metadata as metadata
real = metadata.version
def version(name):
    if name == "pooch":
        raise metadata.PackageNotFoundError(name)
    return real(name)
metadata.version = version
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A bare repository with the working tree as its only commit."""
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("needs git and a checkout")
    bare = tmp_path_factory.mktemp("server") / "book.git"
    git = ["git", "--git-dir", str(bare), "--work-tree", str(ROOT)]
    branch = repository()["branch"]
    subprocess.run(["git", "init", "-q", "--bare", "-b", branch, bare], check=True)
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run([*git, "add", "-A"], check=True, cwd=ROOT)
    subprocess.run([*git, *who, "commit", "-q", "-m", "tree"], check=True, cwd=ROOT)
    return bare


@pytest.fixture
def run_cell(tmp_path, server):
    """Runs a cell in an empty folder; the page's address leads to `server`."""
    stand_ins = tmp_path / "stand-ins"
    for name in ("google/colab", "pip"):
        (stand_ins / name).mkdir(parents=True)
        (stand_ins / name / "__init__.py").touch()
    (stand_ins / "pip" / "__main__.py").write_text(STANDIN_PIP)
    (stand_ins / "sitecustomize.py").write_text(HIDE)
    content = tmp_path / "content"
    content.mkdir()
    (tmp_path / "driver.py").write_text(DRIVER)
    environment = dict(
        os.environ,
        PYTHONPATH=str(stand_ins),
        PIP_LOG=str(tmp_path / "pip.log"),
        IPYTHONDIR=str(tmp_path / "ipython"),
        GIT_CONFIG_COUNT="1",
        GIT_CONFIG_KEY_0=f"url.{server.as_uri()}.insteadOf",
        GIT_CONFIG_VALUE_0=repository()["url"],
    )

    def run(source: str, where: str) -> str:
        (tmp_path / "cell.py").write_text(source)
        done = subprocess.run(
            [sys.executable, tmp_path / "driver.py", tmp_path / "cell.py", where],
            cwd=content,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run.content, run.pip_log = content, tmp_path / "pip.log"
    return run


def first_cell(notebook) -> str:
    return next(c.source for c in notebook.cells if c.cell_type == "code")


def test_there_are_pages():
    assert pages()


def test_in_colab_the_cell_fetches_the_book(notebook, run_cell):
    clone = run_cell.content / repository()["name"]
    said = run_cell(first_cell(notebook), "colab")
    assert f"cwd {clone / 'book'}\n" in said
    assert f"from {clone / 'srcnn_lib'}" in said
    assert "heavy []" in said
    assert "GPU" in said
    asked = run_cell.pip_log.read_text()
    assert asked.count("install") == 1
    requested = asked.split("--constraint")[1].split()[1:]
    assert [r.partition(">=")[0] for r in requested] == ["pooch"]

    # After a restart of the kernel the clone is used again, as it is.
    (clone / "mine.txt").write_text("kept")
    run_cell(first_cell(notebook), "colab")
    assert (clone / "mine.txt").exists()


def test_elsewhere_the_cell_does_nothing(notebook, run_cell):
    said = run_cell(first_cell(notebook), "here")
    assert f"cwd {run_cell.content}\n" in said
    assert not list(run_cell.content.iterdir())
    assert not run_cell.pip_log.exists()


def test_nothing_is_installed_where_nothing_is_missing(monkeypatch, capsys):
    monkeypatch.setattr(colab, "_version", lambda name: "1.0")
    monkeypatch.setattr(colab, "_install", lambda *_: pytest.fail("installs"))
    monkeypatch.setattr(colab, "gpu", lambda: "GPU: Tesla T4")
    colab.prepare()
    assert capsys.readouterr().out == "GPU: Tesla T4\n"


@pytest.mark.parametrize("name", colab.COLABS_OWN)
def test_without_torch_or_numpy_it_says_what_to_do(monkeypatch, name):
    monkeypatch.setattr(colab, "_version", lambda n: None if n == name else "1.0")
    with pytest.raises(RuntimeError, match=f"^{name} is not installed.*runtime"):
        colab.prepare()


def test_torch_and_numpy_are_held(monkeypatch):
    seen = {}

    def standin(command, **_):
        held = command[command.index("--constraint") + 1]
        seen["held"], seen["asked"] = open(held).read(), command[6:]
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(colab.subprocess, "run", standin)
    colab._install(["pooch>=1.8"], {"torch": "2.9.0+cu126", "numpy": "2.0.2"})
    assert seen["held"] == "torch==2.9.0+cu126\nnumpy==2.0.2\n"
    assert not [part for part in seen["asked"] if "torch" in part or "numpy" in part]


def test_a_failing_pip_is_one_line(monkeypatch):
    monkeypatch.setattr(
        colab.subprocess, "run", lambda c, **_: subprocess.CompletedProcess(c, 1)
    )
    with pytest.raises(RuntimeError, match="^pip could not install pooch$"):
        colab._install(["pooch"], {})
