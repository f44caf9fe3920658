"""nbgrader's own validator, without the server that nbgrader installs with.

The package asks for all of JupyterLab; what judges a notebook's metadata needs
nbformat, jsonschema and traitlets alone, which the book has.  So its wheel is
fetched by pip, by its hash, and only that part of it is loaded.
"""

import importlib
import subprocess
import sys
import types
import zipfile

import pytest

from tools.notebooks import ROOT

VERSION = "0.9.6"
SHA256 = "8a185fe53cab78363102862e3d845c48b26823f349482ea9209426bdae5bd75f"
FOLDER = ROOT / "_build" / "nbgrader" / VERSION


def validator():
    """A new nbgrader MetadataValidator, of the newest schema; skips where pip can't get
    the wheel, which is unpacked in FOLDER."""
    if not (FOLDER / "nbgrader" / "nbgraderformat").is_dir():
        FOLDER.mkdir(parents=True, exist_ok=True)
        wanted = FOLDER / "wanted.txt"
        wanted.write_text(f"nbgrader=={VERSION} --hash=sha256:{SHA256}\n")
        pip = "-m pip download --no-deps --only-binary :all: --require-hashes".split()
        command = [sys.executable, *pip, "--dest", str(FOLDER), "-r", str(wanted)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        if done.returncode:
            pytest.skip(f"pip could not fetch nbgrader {VERSION}: {done.stderr[-200:]}")
        with zipfile.ZipFile(next(FOLDER.glob("*.whl"))) as wheel:
            names = [n for n in wheel.namelist() if "/nbgraderformat/" in n]
            wheel.extractall(FOLDER, names)
    if "nbgrader" not in sys.modules:
        package = sys.modules["nbgrader"] = types.ModuleType("nbgrader")
        package.__path__ = [str(FOLDER / "nbgrader")]
    return importlib.import_module("nbgrader.nbgraderformat").MetadataValidator()
