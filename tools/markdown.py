"""The book's Markdown (MyST) as Jupyter, Colab and slides show it."""

import re
from functools import cache

import nbformat
from pybtex.database import parse_file
from pybtex.plugin import find_plugin

from tools import notebooks

BIBLIOGRAPHY = "%%BIBLIOGRAPHY%%"
BOX = re.compile(
    r"^(?P<fence>`{3,}|:{3,})\{(?P<kind>[\w-]+)\}[ ]*(?P<title>[^\n]*)\n"
    r"(?P<options>(?::[\w-]+:[^\n]*\n)*)\n*(?P<body>.*?)\n(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)
CITE = re.compile(r"\{cite(?::(?P<form>[pt]))?\}`(?P<keys>[^`]+)`")


def readable(nb, *, folded: bool, badge: bool = True) -> None:
    """Turn a page's MyST into what Jupyter and Colab show, in place: dropdown boxes
    become a <details> (folded) or stand open, the link to Colab stays (badge) or goes,
    and captions, which are metadata, get cells below their figures."""
    if not badge:
        nb.cells[0].source = notebooks.BADGE.sub("", nb.cells[0].source)
    cells, nb.cells = nb.cells, []
    for cell in cells:
        nb.cells.append(cell)
        if caption := cell.metadata.get("mystnb", {}).get("figure", {}).get("caption"):
            text, name = f"*Figure: {caption}*", f"{cell.id[:50]}-caption"
            nb.cells.append(nbformat.v4.new_markdown_cell(text, id=name))
    texts = [cell for cell in nb.cells if cell.cell_type == "markdown"]
    cited = {key for cell in texts for key in cited_in(cell.source)}
    listed = "\n".join(sorted(f"- {references()[key][2]}" for key in cited))
    for cell in texts:
        cell.source = plain(cell.source, folded=folded).replace(BIBLIOGRAPHY, listed)


def cited_in(text: str) -> list[str]:
    return [k.strip() for m in CITE.finditer(text) for k in m["keys"].split(",")]


@cache
def references() -> dict[str, tuple[str, str, str]]:
    """Key → (authors in short, year, the whole reference in one line)."""
    data = parse_file(str(notebooks.BOOK / "references.bib"))
    style = find_plugin("pybtex.style.formatting", "plain")()
    backend = find_plugin("pybtex.backends", "markdown")()
    short = {key: _short(entry) for key, entry in data.entries.items()}
    found = {}
    for entry in style.format_bibliography(data):
        who, year = short[entry.key]
        whole = entry.text.render(backend).replace("\n", " ").replace("\\", "")
        same = [key for key, label in short.items() if label == (who, year)]
        letter = "abcdefgh"[same.index(entry.key)] if len(same) > 1 else ""  # as 2016a
        whole = whole.replace(year, year + letter, 1)
        found[entry.key] = (who, year + letter, whole)
    return found


def _short(entry) -> tuple[str, str]:
    """Authors, or else the title, and year as the text cites them."""
    people = entry.persons.get("author", [])
    names = [" ".join(map(str, person.rich_last_names)) for person in people]
    who = f"{names[0]} et al." if len(names) > 2 else " and ".join(names)
    return who or str(entry.rich_fields["title"]), entry.fields.get("year", "no year")


def plain(text: str, *, folded: bool) -> str:
    """MyST → Markdown that every notebook program shows."""

    def box(match) -> str:
        kind, title = match["kind"], match["title"].strip()
        body = plain(match["body"], folded=folded).strip("\n")
        if kind == "bibliography":
            return BIBLIOGRAPHY
        title = title or kind.capitalize()
        if folded and ":class: dropdown" in match["options"]:
            summary = f"<summary><strong>{title}</strong></summary>"
            return f"<details>{summary}\n\n{body}\n\n</details>"
        quoted = "\n".join(f"> {line}".rstrip() for line in body.splitlines())
        return f"> **{title}**\n>\n{quoted}"

    def cite(match) -> str:
        told = [references()[key][:2] for key in cited_in(match[0])]
        if match["form"] == "t":
            return ", ".join(f"{who} ({year})" for who, year in told)
        return "(" + "; ".join(f"{who}, {year}" for who, year in told) + ")"

    text = CITE.sub(cite, BOX.sub(box, text))
    text = re.sub(r"^\([\w-]+\)=\n", "", text, flags=re.MULTILINE)
    # A reference with a title of its own, then one without, then roles.
    text = re.sub(r"\{(?:ref|numref|doc|term)\}`([^`<]+?)\s*<[^`>]+>`", r"\1", text)
    text = re.sub(r"\{numref\}`[^`]+`", "the figure", text)
    text = re.sub(r"\{(?:ref|doc|term|kbd|abbr)\}`([^`]+)`", r"\1", text)
    return re.sub(r"\]\(index\.md\)", "](01_super_resolution.ipynb)", text)
