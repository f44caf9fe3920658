"""Everything one does with this book, in one place; needs Python alone.

    python3 make.py book         set up, fetch data, run every page, render
    python3 make.py test         set up, fetch data, run all pages and tests
    python3 make.py serve        build, then show the book on this machine
    python3 make.py train …      train a network     (as: srcnn train …)
    python3 make.py results …    check the results   (as: srcnn results …)
    python3 make.py editions     or one: student, solutions, instructor, slides
    python3 make.py notebooks …  run pages and store their text outputs
    python3 make.py data         fetch the data sets, trying anew
    python3 make.py site         test the rendered book in a browser
    python3 make.py pdf          the whole book as one PDF (needs Chromium)
    python3 make.py links        look whether the book's links to other sites work
    python3 make.py set-repository URL   name this repository on every page
    python3 make.py lab          the pages in JupyterLab; release VERSION: tag it
    python3 make.py lint         look for mistakes in the code
    python3 make.py clean        remove what was built; keeps .venv and data

With make: `make book`; arguments as in `make train ARGS="--scale 3"`.
"""

import sys

if sys.version_info < (3, 11):
    sys.exit("The book needs Python 3.11, 3.12 or 3.13. Try: python3.12 make.py")

import hashlib
import inspect
import os
import shutil
import subprocess
import time
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV, BUILD = ROOT / ".venv", ROOT / "_build"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
READY = VENV / "srcnn-book-ready"
COMPLETE = BUILD / "html" / ".complete"  # its time: when a good build began
# Sphinx has told the cause by then; jupyter-book would add its own traceback.
RENDER = "import sys, jupyter_book.cli.main as b; sys.tracebacklimit = 0; b.main()"


def run(*command):
    """Run a command in the book's folder; its exit status."""
    process = subprocess.Popen(list(map(str, command)), cwd=ROOT)
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.wait()  # it got the Ctrl-C too
        raise


def need(message, *command):
    """Run a command of the environment's Python, which must succeed."""
    if run(PYTHON, *command):
        sys.exit(message)


def environment():
    """Make .venv hold what requirements.lock says (by hashes), torch, the library."""
    names = "requirements.lock", "requirements.txt", "pyproject.toml"
    files = [(ROOT / name).read_text(encoding="utf-8") for name in names]
    torch = next(line for line in files[1].split() if line.startswith("torch=="))
    lock = "--require-hashes --no-deps -r requirements.lock"
    wanted = hashlib.sha256(f"{ROOT}{sys.version}{files}".encode()).hexdigest()
    if PYTHON.exists() and READY.exists() and READY.read_text() == wanted:
        return
    READY.unlink(missing_ok=True)
    ours = f"import sys, pip; sys.exit(sys.version != {sys.version!r})"
    starts = PYTHON.exists() and run(PYTHON, "-c", ours) == 0
    works = "import torch, skimage, matplotlib, jupyter_book, srcnn_lib.datasets"
    for fresh in [False, True] if starts else [True]:
        print("Making .venv hold what requirements.lock names …", flush=True)
        if fresh and run(sys.executable, "-m", "venv", "--clear", VENV):
            sys.exit("No environment was made. Debian: apt install python3-venv")
        for what in (lock, torch, "-q --no-deps --no-build-isolation -e ."):
            command = f"-m pip --disable-pip-version-check install --no-compile {what}"
            need("Installing failed: pip says why.", *command.split())
        if run(PYTHON, "-c", works) == 0 and run(PYTHON, "-m", "pip", "check") == 0:
            READY.write_text(wanted)
            return  # else it was left broken by an interrupted set-up
    sys.exit("The environment does not work: see the message above.")


def with_data():
    """What pages and tests need: one thread each, and data or the embedded ones."""
    environment()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # why: book/_ext/srcnn_run.py
    if folder := os.environ.get("SRCNN_DATA"):  # pages run in book/, not here
        os.environ["SRCNN_DATA"] = folder = os.path.abspath(os.path.expanduser(folder))
        if not os.path.isdir(folder):
            sys.exit(f"SRCNN_DATA names {folder}, which is not a folder.")
    required = os.environ.get("SRCNN_REQUIRE_DATA", "0") not in ("", "0")
    offline = "SRCNN_OFFLINE" in os.environ and not required
    if not offline and run(PYTHON, "-m", "srcnn_lib", "data", "fetch"):
        if required:  # of a book that is to be published
            sys.exit(1)
        print("Going on with the photographs of installed packages; again: make data")
        os.environ["SRCNN_OFFLINE"] = "1"


def jupyter_book(*options):
    with_data()
    need("The book: the cause stands above.", "-c", RENDER, "build", ".", *options)


def module(name, *arguments):
    environment()
    need(f"{name} failed: see above.", "-m", name, *arguments)


def srcnn(name, usual, *arguments):
    module("srcnn_lib", name, *(arguments or usual.split()))


def book():
    start = time.time()
    COMPLETE.unlink(missing_ok=True)
    jupyter_book("-W", "-n", "--keep-going")
    COMPLETE.touch()
    os.utime(COMPLETE, (start, start))
    page = (BUILD / "html" / "index.html").as_uri()
    print(f"The book is built in {time.time() - start:.0f} s. Open {page}")


def test(*arguments):
    with_data()
    failed = not arguments and run(PYTHON, "book/_ext/srcnn_run.py")
    module("pytest", "-n", "2", "--dist", "loadscope", *arguments)
    if failed:
        sys.exit("A page failed when it ran first: see above the tests.")


def site():
    with_data()
    os.environ["SRCNN_SITE"] = "required"
    files = (f"tests/test_{name}.py" for name in ("site", "live", "slides"))
    module("pytest", "-n", "2", "--dist", "loadgroup", *files)  # a page's go together


def pdf():
    jupyter_book("--builder", "singlehtml")
    module("tools.pdf", BUILD / "singlehtml", BUILD / "srcnn.pdf")


def serve():
    book()
    print("Serving at http://127.0.0.1:8000/ until Ctrl-C", flush=True)
    module("http.server", "--bind=127.0.0.1", f"--directory={BUILD / 'html'}", "8000")


def notebooks(*arguments):
    with_data()
    module("tools.notebooks", *arguments)


def editions(*names):
    if not names or "slides" in names:
        book()  # slides show its pictures; nothing runs where nothing changed
    module("tools.editions", *names)
    print(f"The editions are in {BUILD / 'editions'}.")


def lint():
    module("ruff", "check", ".")
    module("tools.notebooks", "--check")


def release(*version):
    bump = ("--new-version", *version)  # its rules: pyproject.toml
    module("bumpversion", "bump", "--dry-run", *bump)  # tells at once what is wrong
    lint(), test(), module("bumpversion", "bump", *bump)


def clean():
    for name in ("_build", "build", "dist", ".pytest_cache", ".ruff_cache"):
        shutil.rmtree(ROOT / name, ignore_errors=True)
    print("Removed what was built; .venv and the data are kept.")


FUNCTIONS = (book, test, serve, notebooks, editions, site, pdf, lint)
COMMANDS = {
    **{f.__name__: f for f in (*FUNCTIONS, release, clean)},
    **{n: partial(editions, n) for n in "student solutions instructor slides".split()},
    "train": partial(srcnn, "train", "--scale 3"),
    "results": partial(srcnn, "results", "verify"),
    "data": partial(srcnn, "data", "fetch"),
    "links": partial(jupyter_book, "--builder", "linkcheck"),
    "lab": partial(module, "jupyterlab", "--notebook-dir=book"),
    "set-repository": partial(module, "tools.notebooks", "--set-repository"),
    "help": lambda: print(__doc__.strip()),
}


def main(name="help", *arguments):
    if name not in COMMANDS:
        sys.exit(f"make.py: no command {name}; there are: {' '.join(COMMANDS)}")
    if arguments and not inspect.signature(COMMANDS[name]).parameters:
        sys.exit(f"make.py: {name} takes no arguments")
    try:
        COMMANDS[name](*arguments)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main(*sys.argv[1:])
