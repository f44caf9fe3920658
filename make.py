"""Everything one does with this book, in one place; needs Python alone.

    python3 make.py book         set up, fetch data, run every page, render
    python3 make.py test         set up, fetch data, run all tests and pages
    python3 make.py serve        build, then show the book on this machine
    python3 make.py train …      train a network     (as: srcnn train …)
    python3 make.py results …    check the results   (as: srcnn results …)
    python3 make.py editions     make the course's four editions from the pages;
                                 one alone: student solutions instructor slides
    python3 make.py notebooks …  run pages and store their text outputs
    python3 make.py data         fetch the data sets, trying anew
    python3 make.py site         test the rendered book in a browser
    python3 make.py pdf          the whole book as one PDF (needs Chromium)
    python3 make.py links        look whether the book's links to other sites work
    python3 make.py set-repository URL   name this repository on every page
    python3 make.py lint         look for mistakes in the code
    python3 make.py clean        remove what was built; keeps .venv and data
    python3 make.py help         this text

With make: `make book`; arguments as in `make train ARGS="--scale 3"`.
"""

import sys

if sys.version_info < (3, 11):
    sys.exit(
        "The book needs Python 3.11, 3.12 or 3.13; this is %d.%d. "
        "Try: python3.12 make.py"
        % sys.version_info[:2]
    )

import hashlib
import os
import shutil
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
READY = VENV / "srcnn-book-ready"
HTML = ROOT / "_build" / "html"
SINGLE = ROOT / "_build" / "singlehtml"
PDF = ROOT / "_build" / "srcnn.pdf"
BUILT = HTML / ".complete"  # written when a build succeeded; its time: the start

DATA = """
import sys
from srcnn_lib import datasets
try:
    missing = [n for n in datasets.names() if not datasets.available(n)]
except datasets.DataError as error:
    sys.exit(f"Data: {error}")
failed = None
for name in missing:
    try:
        datasets.path(name)
    except datasets.DataError as error:
        failed = failed or error
if failed:
    print(f"Data: {failed}")
    sys.exit(3)
"""


# Sphinx has told the cause by then; jupyter-book would add its own traceback.
BUILD = """
import sys
from jupyter_book.cli.main import main
try:
    main()
except RuntimeError as error:
    sys.exit(str(error))
"""


class Stop(Exception):
    """Ends the run; the message is the last line."""


def run(*command, **options):
    """Run a command in the book's folder; its exit status."""
    process = subprocess.Popen([str(part) for part in command], cwd=ROOT, **options)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.wait()  # it got the Ctrl-C too
            raise


def environment():
    """Make .venv hold exactly what requirements.txt says, and the library."""
    wanted = hashlib.sha256(str(ROOT).encode() + sys.version.encode())
    for name in ("requirements.txt", "pyproject.toml"):
        wanted.update((ROOT / name).read_bytes())
    wanted = wanted.hexdigest()
    if PYTHON.exists() and READY.exists() and READY.read_text() == wanted:
        return
    READY.unlink(missing_ok=True)
    if not starts():
        fresh_environment()
        install()
    else:
        install()
        if not works():  # left broken by an interrupted set-up
            fresh_environment()
            install()
    if not works():
        raise Stop("The environment does not work: see the message above.")
    READY.write_text(wanted)


def starts():
    """Whether .venv has this very Python, and pip."""
    if not PYTHON.exists():
        return False
    version = f"import sys, pip; sys.exit(sys.version != {sys.version!r})"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return run(PYTHON, "-c", version, **quiet) == 0


def works():
    needed = "torch, skimage, sklearn, matplotlib, jupyter_book, srcnn_lib.datasets"
    pip_check = (PYTHON, "-m", "pip", "check")
    return run(PYTHON, "-c", f"import {needed}") == 0 and run(*pip_check) == 0


def install():
    print("Installing what requirements.txt names into .venv …", flush=True)
    pip = (PYTHON, "-m", "pip", "--disable-pip-version-check", "install")
    library = ("-q", "--no-deps", "--no-build-isolation", "-e", ".")
    if run(*pip, "-r", "requirements.txt") or run(*pip, *library):
        raise Stop("Installing did not succeed: pip says why above.")


def fresh_environment():
    print("Making the environment .venv …", flush=True)
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        raise Stop(
            "This Python has no venv module; install it (on Debian and Ubuntu: "
            "apt install python3-venv), then run this again."
        ) from None
    if run(sys.executable, "-m", "venv", "--clear", VENV):
        raise Stop(f"The environment {VENV} could not be made: see the message above.")


def data():
    """Fetch what is missing; offline, go on with the embedded photographs."""
    if os.environ.get("SRCNN_DATA"):  # pages run in book/, not here
        os.environ["SRCNN_DATA"] = os.path.abspath(
            os.path.expanduser(os.environ["SRCNN_DATA"])
        )
    status = run(PYTHON, "-c", DATA)
    if status == 3:
        print(
            "Going on with what is here and the photographs in installed packages; "
            "to try again: make data",
            flush=True,
        )
        os.environ["SRCNN_OFFLINE"] = "1"
    elif status:
        raise Stop("The data could not be looked at: see the message above.")


def jupyter_book(*options):
    return run(PYTHON, "-c", BUILD, "build", ".", *options)


def book():
    environment()
    data()
    start = time.time()
    BUILT.unlink(missing_ok=True)
    if jupyter_book("-W", "-n", "--keep-going"):
        raise Stop("The book was not built: the message above names the page and why.")
    BUILT.touch()
    os.utime(BUILT, (start, start))
    index = HTML / "index.html"
    print(f"The book is built in {time.time() - start:.0f} s. Open {index.as_uri()}")


def test(*arguments):
    environment()
    data()
    pytest("--dist", "loadscope", *arguments)


def site():
    environment()
    os.environ["SRCNN_SITE"] = "required"
    # Tests of the same page go together.
    pytest("--dist", "loadgroup", "tests/test_site.py", "tests/test_slides.py")


def pytest(*arguments):
    status = run(PYTHON, "-m", "pytest", "-n", "2", *arguments)
    if status:
        raise Stop(f"The tests did not pass (pytest ended with {status}).")


def pdf():
    environment()
    data()
    if jupyter_book("--builder", "singlehtml"):
        raise Stop("The book was not built: the message above names the page and why.")
    if run(PYTHON, "tools/pdf.py", SINGLE, PDF):
        raise Stop("The PDF was not made: see the message above.")


def serve():
    book()
    print("Serving at http://127.0.0.1:8000/ until Ctrl-C", flush=True)
    local = ("--bind", "127.0.0.1", "--directory", HTML, "8000")
    if run(PYTHON, "-m", "http.server", *local):
        raise Stop("The book could not be served: see the message above.")


def library(*arguments):
    environment()
    if run(PYTHON, "-m", "srcnn_lib", *arguments):
        raise Stop(f"srcnn {' '.join(arguments)} did not succeed.")


def train(*arguments):
    library("train", *(arguments or ("--scale", "3")))


def results(*arguments):
    library("results", *(arguments or ("verify",)))


def fetch():
    library("data", "fetch")
    library("data", "status")


def notebooks(*arguments):
    environment()
    if "--check" not in arguments:
        data()
    if run(PYTHON, "tools/notebooks.py", *arguments):
        raise Stop("Not all pages are as they should be: see above.")


def editions(*names):
    if names:
        environment()
    else:
        book()  # slides show its pictures; nothing runs where nothing changed
    if run(PYTHON, "tools/editions.py", *names):
        raise Stop("Not all editions were made: see above.")
    print(f"The editions are in {ROOT / '_build' / 'editions'}.")


def student():
    editions("student")


def solutions():
    editions("solutions")


def instructor():
    editions("instructor")


def slides():
    book()
    editions("slides")


def set_repository(*arguments):
    if len(arguments) != 1:
        raise Stop("Give one address: make set-repository URL=https://github.com/…")
    environment()
    if run(PYTHON, "tools/notebooks.py", "--set-repository", *arguments):
        raise Stop("Nothing was changed: see above.")


def links():
    environment()
    data()
    if jupyter_book("--builder", "linkcheck"):
        raise Stop("A link does not work: see above.")


def lint():
    environment()
    if run(PYTHON, "-m", "ruff", "check", "."):
        raise Stop("There is something to mend: see above.")
    notebooks("--check")


def clean():
    for name in ("_build", "build", "dist", ".pytest_cache", ".ruff_cache"):
        shutil.rmtree(ROOT / name, ignore_errors=True)
    print("Removed what was built; .venv and the data are kept.")


def usage():
    print(__doc__.strip())


COMMANDS = {
    "book": book,
    "test": test,
    "serve": serve,
    "train": train,
    "results": results,
    "notebooks": notebooks,
    "editions": editions,
    "student": student,
    "solutions": solutions,
    "instructor": instructor,
    "slides": slides,
    "data": fetch,
    "site": site,
    "set-repository": set_repository,
    "pdf": pdf,
    "links": links,
    "lint": lint,
    "clean": clean,
    "help": usage,
}


def main(arguments):
    name, *rest = arguments or ["help"]
    if name in ("-h", "--help"):
        name = "help"
    if name not in COMMANDS:
        sys.exit(f"make.py: no command {name}; there are: {' '.join(COMMANDS)}")
    if rest and name not in (
        "test", "train", "results", "notebooks", "set-repository"
    ):  # fmt: skip
        sys.exit(f"make.py: {name} takes no arguments")
    # PyTorch's threads wait for each other busily: with all cores, and anything
    # else running, a training step takes many times as long as with half.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 2) // 2)))
    try:
        COMMANDS[name](*rest)
    except Stop as stop:
        sys.exit(str(stop))
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        sys.exit(130)


if __name__ == "__main__":
    main(sys.argv[1:])
