"""Appendix E read back: which parts of the paper a page of the book rests on."""

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "book" / "E_paper_map.md"
MARK = "<!-- paper map: back -->"
#: A link such as [5 · Counting](05_network.ipynb).
PLACE = re.compile(r"\[(\w+) · ([^\]]+)\]\(([\w.]+)\)")


def rows(text: str) -> list[dict[str, str]]:
    """The rows of the map from the papers to the book."""
    table = text.partition("## From the papers to the book")[2].partition("\n## ")[0]
    lines = [line for line in table.splitlines() if line.startswith("|")]
    names = ("tpami", "eccv", "what", "here", "function")
    cells = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return [dict(zip(names, found, strict=True)) for found in list(cells)[2:]]


def places(text: str) -> list[tuple[str, str]]:
    """All (page, heading) that the text names."""
    return [(page, heading) for _, heading, page in PLACE.findall(text)]


def back(text: str) -> str:
    """The map the other way round: page and section → parts of the paper."""
    found: dict[tuple, list[str]] = {}
    for row in rows(text):
        number, heading, page = PLACE.fullmatch(row["here"]).groups()
        key = (int(number), page, heading)
        found.setdefault(key, []).append(f"{row['tpami']}: {row['what']}")
    table = ["| page | in TPAMI 2016 |", "|:--|:--|"]
    for (number, page, heading), parts in sorted(found.items()):
        table.append(f"| [{number} · {heading}]({page}) | {'; '.join(parts)} |")
    return "\n".join(table)


def fill(app, docname: str, source: list[str]) -> None:
    """For Sphinx, on ``source-read``: put the way back at its mark."""
    if MARK in source[0]:
        source[0] = source[0].replace(MARK, back(source[0]))
