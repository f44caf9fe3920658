"""Appendix E, for Sphinx: its links lead to cells, and it is read back.

A place `[5 · Counting](05_network.ipynb#05-18)`, that is chapter, section, page and the
id of a code cell, becomes "5 · Counting, [11]" with the cell's number in Jupyter.
"""

import re
from collections import defaultdict, namedtuple
from pathlib import Path

import nbformat
from docutils import nodes

PAGE = Path(__file__).resolve().parents[1] / "book" / "E_paper_map.md"
MARK = "<!-- paper map: back -->"
BREAK = "\u200b"  # zero width space: a long name may go on in the next line
Place = namedtuple("Place", "chapter heading page cell")  # where it is in the book
PLACE = re.compile(r"\[(\w+) · ([^\]]+)\]\(([\w.]+)#([\w-]+)\)")


def rows(text: str) -> list[dict[str, str]]:
    """The rows of the map from the papers to the book."""
    table = text.partition("## From the papers to the book")[2].partition("\n## ")[0]
    lines = [line.strip("|") for line in table.splitlines() if line.startswith("|")]
    names = ("tpami", "eccv", "what", "here", "function")
    cells = (map(str.strip, line.split("|")) for line in lines[2:])
    return [dict(zip(names, found, strict=True)) for found in cells]


def places(text: str) -> list[Place]:
    """All places that the text names."""
    return [Place(*found) for found in PLACE.findall(text)]


def code_cells(page: str) -> dict[str, tuple[int, int]]:
    """Id of each code cell → its index among all cells, its number from 1."""
    cells = nbformat.read(PAGE.parent / page, as_version=4).cells
    code = [k for k, cell in enumerate(cells) if cell.cell_type == "code"]
    return {cells[k].id: (k, number) for number, k in enumerate(code, 1)}


def function(name: str) -> str:
    """To what the reference says of it; the name may break after a dot."""
    name = name.strip("`")
    return f"{{py:obj}}`{name.replace('.', '.' + BREAK)} <srcnn_lib.{name}>`"


def link(place: Place) -> str:
    number = code_cells(place.page)[place.cell][1]
    return f"{{ref}}`{place.chapter} · {place.heading}, [{number}] <cell-{place.cell}>`"


def back(text: str) -> str:
    """The map the other way round: place → parts of the paper."""
    found = defaultdict(list)
    for row in rows(text):
        (place,) = places(row["here"])
        key = int(place.chapter), code_cells(place.page)[place.cell][1], place
        found[key] += [f"{row['tpami']}: {row['what']} ({function(row['function'])})"]
    table = ["| place | in TPAMI 2016 (function) |", "|:--|:--|"]
    table += (f"| {link(key[-1])} | {'; '.join(found[key])} |" for key in sorted(found))
    return "\n".join(table)


def fill(app, docname: str, source: list[str]) -> None:
    """On ``source-read``: links to cells, and the way back at its mark."""
    if MARK in source[0]:
        way_back = back(source[0])
        text = PLACE.sub(lambda found: link(Place(*found.groups())), source[0])
        for name in {row["function"] for row in rows(text)}:
            text = text.replace(f"| {name} |", f"| {function(name)} |")
        source[0] = text.replace(MARK, way_back)


def anchor(app, doctree) -> None:
    """On ``doctree-read``: the cells that the map names can be linked."""
    docname, labels = app.env.docname, app.env.get_domain("std").anonlabels
    page = Path(app.env.doc2path(docname)).name
    named = {p.cell for p in places(PAGE.read_text("utf-8")) if p.page == page}
    ids = {k: cell for cell, (k, _) in code_cells(page).items()} if named else {}
    for node in doctree.findall(nodes.container):
        cell = ids.get(node.get("cell_index"))
        if cell in named and node.get("nb_element") == "cell_code":
            node["ids"].append(f"cell-{cell}")
            labels[f"cell-{cell}"] = docname, f"cell-{cell}"
