"""The house stays small, its arrows point one way, and a name means one thing."""

import ast
import importlib
import os
import subprocess
import sys
from collections import defaultdict

import pytest
from importlinter.cli import lint_imports

from tools.notebooks import ROOT

#: At most so many lines, docstrings included, in the files of these patterns.
LINES = {
    "shared core": (4830, "srcnn_lib/*.py", "srcnn_lib/methods/*.py"),
    "one sitting": (1050, "srcnn_lib/resize.py", "srcnn_lib/protocol.py",
                    "srcnn_lib/models.py", "srcnn_lib/training.py"),
    "training": (400, "srcnn_lib/training.py"),
    "chapters": (1150, "srcnn_lib/chapters/*.py"),
    "exercises": (2900, "exercises/*.py"),
    "tools": (1747, "tools/*.py", "book/_ext/*.py", "make.py", "conftest.py"),
    "benchmarks": (1570, "benchmarks/*.py"),
    "tests": (9250, "tests/**/*.py", "tests/**/*.js"),
}  # fmt: skip
#: Imports modules, and prints which data and addresses they opened meanwhile.
IMPORT = """
import importlib, os, sys
*folders, names = sys.argv[1:]
def note(event, arguments):
    path = str(arguments[0]) if event == "open" else ""
    code = ".py" in path or ".venv" in path
    ours = any(path.startswith(folder + os.sep) for folder in folders)
    if ours and not code or event in ("socket.connect", "socket.getaddrinfo"):
        print(event, arguments[0])
sys.addaudithook(note)
for name in names.split():
    importlib.import_module(name)
"""


def trees():
    """The library's and the exercises' modules: dotted name, syntax tree."""
    for folder in ("srcnn_lib", "exercises"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            yield name.removesuffix(".__init__"), ast.parse(path.read_text("utf-8"))


@pytest.mark.parametrize("part", LINES)
def test_each_part_keeps_its_budget(part):
    most, *patterns = LINES[part]
    files = [path for pattern in patterns for path in ROOT.glob(pattern)]
    counts = {path: len(path.read_text("utf-8").splitlines()) for path in files}
    assert 0 < sum(counts.values()) <= most, counts


def test_no_function_or_class_is_long():
    for name, tree in trees():
        for node in ast.walk(tree):
            most = {ast.ClassDef: 120, ast.FunctionDef: 60}.get(type(node), 10**6)
            lines = getattr(node, "end_lineno", 0) - getattr(node, "lineno", 0) + 1
            assert lines <= most, f"{name}.{node.name}: {lines} lines"


def test_imports_keep_the_contracts_of_pyproject(capsys):
    broken = lint_imports(str(ROOT / "pyproject.toml"), no_cache=True)
    assert not broken, capsys.readouterr().out


def test_no_two_modules_and_no_two_functions_have_one_name():
    places = defaultdict(list)
    for name, tree in trees():
        for node in tree.body if name.startswith("srcnn_lib") else []:
            if isinstance(node, ast.FunctionDef) and node.name[0] != "_":
                places[f"{node.name}()"].append(name)
    for folder in ("srcnn_lib", "exercises", "tools", "book/_ext"):
        for path in (ROOT / folder).rglob("[!_]*.py"):
            places[path.stem].append(folder)
    with_module = {"main()", "load()", "names()", "write()"}  # as in images.write
    twice = {n: found for n, found in places.items() if len(found) > 1}
    assert not twice.keys() - with_module, twice


def test_no_function_shadows_its_module():
    for name, _ in trees():
        package, _, last = name.rpartition(".")
        if package and last != "__main__":
            module = importlib.import_module(name)
            assert getattr(importlib.import_module(package), last) is module


def test_imports_read_no_data_and_no_network():
    names = " ".join(name for name, _ in trees() if not name.endswith("__main__"))
    folders = ROOT, os.environ.get("SRCNN_DATA", ROOT)
    command = [sys.executable, "-c", IMPORT, *folders, names]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=99)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
