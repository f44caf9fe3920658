"""The house stays small, and its arrows point one way (contracts: pyproject.toml)."""

import ast

import pytest
from importlinter.cli import lint_imports

from tools.notebooks import ROOT

#: At most so many lines, docstrings included, in the files of these patterns.
LINES = {
    "shared core": (4300, "srcnn_lib/*.py", "srcnn_lib/methods/*.py"),
    "one sitting": (1050, *(f"srcnn_lib/{name}.py" for name in (
        "resize", "protocol", "models", "training"))),
    "chapters": (1150, "srcnn_lib/chapters/*.py"),
    "exercises": (2900, "exercises/*.py"),
    "tools": (1700, "tools/*.py", "book/_ext/*.py", "make.py", "conftest.py"),
    "benchmarks": (1400, "benchmarks/*.py"),
    "tests": (8000, "tests/**/*.py"),
}  # fmt: skip
LONGEST = {"function": 60, "class": 120}


@pytest.mark.parametrize("part", LINES)
def test_each_part_keeps_its_budget(part):
    most, *patterns = LINES[part]
    files = [path for pattern in patterns for path in ROOT.glob(pattern)]
    counts = {str(f.relative_to(ROOT)): len(f.read_text().splitlines()) for f in files}
    assert 0 < sum(counts.values()) <= most, counts


def test_no_function_or_class_is_long():
    long = []
    for path in sorted((ROOT / "srcnn_lib").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            kind = "class" if isinstance(node, ast.ClassDef) else "function"
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                lines = node.end_lineno - node.lineno + 1
                if lines > LONGEST[kind]:
                    long.append(f"{path.name}: {node.name} has {lines} lines")
    assert not long


def test_imports_keep_the_contracts(capsys):
    broken = lint_imports(str(ROOT / "pyproject.toml"), no_cache=True)
    assert not broken, capsys.readouterr().out
