"""Every page's first cell, as Colab runs it: with stand-ins for Colab, pip and
the repository's server."""

import os
import shutil
import subprocess
import sys

import pytest

from srcnn_lib import colab
from tools.notebooks import ROOT, SETUP_SOURCE, pages, repository

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

    def run(source: str, where: str, folder=content) -> str:
        (tmp_path / "cell.py").write_text(source)
        done = subprocess.run(
            [sys.executable, tmp_path / "driver.py", tmp_path / "cell.py", where],
            cwd=folder,
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
    # Once for each run of the cell, as the stand-in for pip installs nothing.
    asked = run_cell.pip_log.read_text().splitlines()
    assert len(asked) == 2
    for line in asked:
        requested = line.split("--constraint")[1].split()[1:]
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


def in_colab(monkeypatch, versions):
    monkeypatch.setattr(colab, "here", lambda: True)
    monkeypatch.setattr(colab, "_version", lambda name: versions.get(name, "9999"))


def setup(branch=None) -> str:
    """The cell that `make notebooks` writes, for a branch or a tag."""
    told = repository() | ({"branch": branch} if branch else {})
    return SETUP_SOURCE.format(**told)


def test_a_release_tag_in_place_of_the_branch(run_cell, server):
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    git = ["git", "--git-dir", server, *who]
    for kind, tag in (([], "v1.0"), (["-a", "-m", "the first"], "v1.1")):
        subprocess.run([*git, "tag", "-f", *kind, tag], check=True, capture_output=True)
        clone = run_cell.content / repository()["name"]
        shutil.rmtree(clone, ignore_errors=True)
        said = run_cell(setup(tag), "colab")
        assert f"from {clone / 'srcnn_lib'}" in said


def test_after_a_restart_inside_the_clone_the_library_is_found(run_cell):
    """The folder is kept, Python's path is not; nothing is fetched again."""
    run_cell(setup(), "colab")
    clone = run_cell.content / repository()["name"]
    (clone / "mine.txt").write_text("kept")
    said = run_cell(setup(), "colab", clone / "book")
    assert f"cwd {clone / 'book'}\n" in said
    assert f"from {clone / 'srcnn_lib'}" in said
    assert (clone / "mine.txt").exists()
    assert not (clone / "book" / repository()["name"]).exists()


def test_a_folder_that_cannot_be_written_is_left(run_cell, tmp_path):
    """Such as a mounted Drive without permission; Drive itself is never asked."""
    other = tmp_path / "other"
    other.mkdir()
    source = setup().replace('"/tmp"', repr(str(other)))
    refuse = "import os; os.access = lambda *_: False\n"
    said = run_cell(refuse + source, "colab")
    assert f"cwd {other / repository()['name'] / 'book'}\n" in said
    assert not list(run_cell.content.iterdir())
    assert "drive" not in setup().replace("# a read-only Drive", "")


def test_a_student_zip_finds_its_own_library_without_colab(run_cell, tmp_path):
    book = tmp_path / "srcnn-student" / "book"
    book.mkdir(parents=True)
    shutil.copytree(ROOT / "srcnn_lib", book.parent / "srcnn_lib")
    said = run_cell(setup(), "here", book)
    assert f"from {book.parent / 'srcnn_lib'}" in said
    assert "GPU" not in said and not run_cell.pip_log.exists()


def test_an_unreachable_repository_is_an_error_at_once(run_cell):
    with pytest.raises(AssertionError, match="CalledProcessError"):
        run_cell(setup("no-such-tag"), "colab")


def test_no_gpu_is_said_and_no_error(monkeypatch, capsys):
    in_colab(monkeypatch, {})
    monkeypatch.setattr(colab, "gpu", lambda: None)
    colab.prepare()
    assert capsys.readouterr().out == colab.NO_GPU + "\n"


@pytest.mark.parametrize("error", [FileNotFoundError, PermissionError])
def test_a_machine_without_nvidia_smi_has_no_gpu(monkeypatch, error):
    def fails(*_, **__):
        raise error("nvidia-smi")

    monkeypatch.setattr(colab.subprocess, "run", fails)
    assert colab.gpu() is None


def test_other_versions_of_torch_and_numpy_are_kept(monkeypatch, capsys):
    bounds = dict(colab._required())
    for torch, numpy in (("2.4.1+cu121", "1.25.2"), ("3.0.0", "3.1.0")):
        in_colab(monkeypatch, bounds | {"torch": torch, "numpy": numpy})
        monkeypatch.setattr(colab, "_install", lambda *_: pytest.fail("installs"))
        colab.prepare()
        said = capsys.readouterr().out
        assert said.count("is older than") == (2 if torch < "3" else 0)


def test_a_requirement_that_is_too_old_is_renewed(monkeypatch):
    in_colab(monkeypatch, {"scikit-image": "0.19.3", "pooch": "1.10.0"})
    assert [wanted.partition(">=")[0] for wanted in colab.missing()] == ["scikit-image"]


def test_nothing_is_installed_where_nothing_is_missing(monkeypatch, capsys):
    in_colab(monkeypatch, {name: bound for name, bound in colab._required()})
    monkeypatch.setattr(colab, "_install", lambda *_: pytest.fail("installs"))
    monkeypatch.setattr(colab, "gpu", lambda: "GPU: Tesla T4")
    colab.prepare()
    assert capsys.readouterr().out == "GPU: Tesla T4\n"


@pytest.mark.parametrize("name", colab.COLABS_OWN)
def test_without_torch_or_numpy_it_says_what_to_do(monkeypatch, name):
    in_colab(monkeypatch, {n: None if n == name else "99" for n in colab.COLABS_OWN})
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
