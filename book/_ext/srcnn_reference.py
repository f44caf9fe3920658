"""Appendix F: a section for each module of the library, by Sphinx's autodoc.  Names in
code cells lead to it by sphinx-codeautolink, which also tells the page of first use."""

import pkgutil
import re

from docutils import nodes
from sphinx import addnodes

import srcnn_lib

MARK = "<!-- reference -->"
LEFT_OUT = {f"srcnn_lib.{n}" for n in ("__main__", "cli", "options")}  # have own help
SECTIONS = ("Parameters", "Attributes", "Raises", "Environment")
#: Docstrings are read in a terminal too: |x| is no substitution there, and `n`² ends.
PLAIN = ((r"(?<![`\w])\|(?=\S)", r"\\|"), (r"((?<!`)`[^`]+`)(?=[^\W_])", r"\1\\ "))


def modules() -> list[str]:
    """The library's modules in alphabetical order."""
    found = pkgutil.walk_packages(srcnn_lib.__path__, "srcnn_lib.")
    return sorted(m.name for m in found if m.name not in LEFT_OUT)


def fill(app, docname: str, source: list[str]) -> None:
    """On ``source-read``: put the reference at its mark."""
    section = "## `{}`\n\n```{{eval-rst}}\n.. automodule:: srcnn_lib.{}\n```\n"
    names = (name.removeprefix("srcnn_lib.") for name in modules())
    sections = (section.format(name, name) for name in names)
    source[0] = source[0].replace(MARK, "\n".join(sections))


def numpy_form(app, what, name, obj, options, lines: list[str]) -> None:
    """On ``autodoc-process-docstring``: write ``name : meaning`` in two lines, as NumPy
    has a type after the colon.  A line "Source: …" ends its section."""
    here, wanted = "", []
    for line, after in zip(lines, [*lines[1:], ""]):
        if line and set(after) == {"-"}:
            here = line
        for pattern, replacement in PLAIN:
            line = re.sub(pattern, replacement, line)
        found = re.match(r"(\S.*?) : (.*)", line)
        if found and here in SECTIONS:
            wanted += [found[1], f"    {found[2]}"]
        else:
            wanted += ["", line] if line.startswith("Source: ") else [line]
    lines[:] = wanted


def annotate(app, doctree, docname: str) -> None:
    """On ``doctree-resolved``: name the page that uses a function first."""
    read = getattr(app.env, "sphinx_codeautolink_transforms", {})
    first = {}
    for page in sorted(read):
        for name in (name for cell in read[page] for name in cell.names):
            first.setdefault(name.resolved_location, page)
    for node in doctree.findall(addnodes.desc):
        for value in list(node[0].findall(addnodes.desc_annotation)):
            if value.astext().startswith(" = ") and len(value.astext()) > 60:
                value.parent.remove(value)  # a constant's, too long to be shown
        if page := first.get((node[0].get("ids") or [""])[0]):
            uri = app.builder.get_relative_uri(docname, page)
            title = app.env.titles[page].astext()
            link = nodes.reference("", title, internal=True, refuri=uri)
            node[-1] += nodes.paragraph("", "", nodes.Text("First used in "), link)


def setup(app):
    app.connect("source-read", fill)
    app.connect("autodoc-process-docstring", numpy_form, priority=400)
    app.connect("doctree-resolved", annotate)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
