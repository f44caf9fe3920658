"""The library's reference, made of its docstrings when the book is built.

Each function names the first page, in reading order, whose code uses it.
Docstrings are shown as they were written: their form is the same everywhere.
"""

import ast
import functools
import html
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import nbformat

from tools import notebooks

LIBRARY = notebooks.ROOT / "srcnn_lib"
MARK = "<!-- reference -->"
#: Not for use from a page.
LEFT_OUT = {"__main__", "cli", "exercises"}
#: Modules that no page calls itself → the page that tells what they do.
TOLD = {
    "graphs": "06_training",
    "methods.kernel_regression": "04_neighbours_and_anchors",
    "parallel": "06_training",
    "streaming": "06_training",
}


class Entry(NamedTuple):
    """A public function or class; `page` is None where no page calls it."""

    module: str
    name: str
    signature: str
    doc: str
    page: Path | None

    @property
    def full_name(self) -> str:
        return f"{self.module}.{self.name}"


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Name without ``srcnn_lib.`` and source of the library's modules."""
    for path in sorted(LIBRARY.rglob("*.py")):
        parts = path.relative_to(LIBRARY).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        if parts and parts[0] not in LEFT_OUT:
            yield ".".join(parts), ast.parse(path.read_text(encoding="utf-8"))


def names_used(page: Path) -> set[str]:
    """What a page uses of the library, as ``module.name``."""
    cells = nbformat.read(page, as_version=4).cells
    trees = [ast.parse(_python(c.source)) for c in cells if c.cell_type == "code"]
    known, used = {}, set()  # a page's name for it → full name
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
            "srcnn_lib"
        ):
            inside = node.module.removeprefix("srcnn_lib").lstrip(".")
            for alias in node.names:
                full = f"{inside}.{alias.name}".lstrip(".")
                known[alias.asname or alias.name] = full
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Name | ast.Attribute):
            first, _, rest = ast.unparse(node).partition(".")
            if first in known and re.fullmatch(r"[\w.]*", rest):
                used.add(defined(f"{known[first]}.{rest}".rstrip(".")))
    return used


@functools.cache
def defined(name: str) -> str:
    """Where what a page calls ``module.name`` is defined, if that is known.

    Packages hand on names of their modules; and a class's own is the class.
    """
    found = importlib.import_module("srcnn_lib")
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            try:
                found = importlib.import_module(f"{found.__name__}.{part}")
            except (AttributeError, ImportError):
                return name
        if inspect.isclass(found) or inspect.isfunction(found):
            module = found.__module__.removeprefix("srcnn_lib").lstrip(".")
            return f"{module}.{found.__name__}"
    return name


def _python(source: str) -> str:
    """A cell without IPython's commands."""
    return re.sub(r"^[ \t]*[%!].*$", "", source, flags=re.MULTILINE)


def introduced(pages: list[Path]) -> dict[str, Path]:
    """``module.name`` → the first of the pages that uses it."""
    first: dict[str, Path] = {}
    for page in pages:
        for name in names_used(page):
            first.setdefault(name, page)
    return first


@functools.cache
def entries() -> list[Entry]:
    """All public functions and classes of the library."""
    first = introduced(notebooks.pages())
    found = []
    for module, tree in modules():
        for node in tree.body:
            if not isinstance(node, ast.FunctionDef | ast.ClassDef):
                continue
            doc = ast.get_docstring(node)
            if node.name.startswith("_") or not doc:
                continue
            page = first.get(f"{module}.{node.name}")
            found.append(Entry(module, node.name, _signature(node), doc, page))
    return found


def _signature(node) -> str:
    if isinstance(node, ast.FunctionDef):
        returns = f" → {ast.unparse(node.returns)}" if node.returns else ""
        return f"{node.name}({ast.unparse(node.args)}){returns}"
    for part in node.body:
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            inner = ast.unparse(part.args).removeprefix("self").lstrip(", ")
            return f"{node.name}({inner})"
    return node.name


def title(page: Path) -> str:
    """The first line of a page, without its mark."""
    cells = nbformat.read(page, as_version=4).cells
    return cells[0].source.partition("\n")[0].removeprefix("# ")


def markdown() -> str:
    """The reference, a section for each module, for Sphinx."""
    found = entries()
    parts, order = [], notebooks.pages()
    titles = {page: title(page) for page in order}
    for module, tree in modules():
        here = [entry for entry in found if entry.module == module]
        if not here:
            continue
        summary = (ast.get_docstring(tree) or "").partition("\n")[0]
        parts.append(f"## `{module}`\n\n{html.escape(summary, quote=False)}")
        if module in TOLD:
            home = notebooks.BOOK / f"{TOLD[module]}.ipynb"
        else:
            home = min((e.page for e in here if e.page), key=order.index)
        parts += [_entry(entry, titles, home) for entry in here]
    return "\n\n".join(parts)


def target(full_name: str) -> str:
    """The label of an entry, for links from other pages."""
    kind = "class" if full_name.rpartition(".")[2][0].isupper() else "function"
    return f"{kind}-{full_name.lower()}"  # as labels are


def _entry(entry: Entry, titles: dict, home: Path) -> str:
    said = "First used in" if entry.page else "Not called by a page; belongs to"
    page = entry.page or home
    where = f"*{said}* [{titles[page]}]({page.name})"
    body = html.escape(entry.doc, quote=False)
    signature = html.escape(entry.signature, quote=False)
    # One block of HTML: a blank line would end it, so none is left.
    text = f"<strong>{signature}</strong>\n\n{body}".replace("\n", "&#10;")
    return (
        f"({target(entry.full_name)})=\n### `{entry.name}`\n\n{where}\n\n"
        f'<pre class="srcnn-reference" tabindex="0">{text}</pre>'
    )


def fill(app, docname: str, source: list[str]) -> None:
    """For Sphinx, on ``source-read``: put the reference at its mark."""
    if MARK in source[0]:
        source[0] = source[0].replace(MARK, markdown())
