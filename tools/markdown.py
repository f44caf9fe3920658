"""The book's Markdown (MyST) as Jupyter, Colab and slides show it."""

import codecs
import re
from functools import cache
from pathlib import Path

import latexcodec  # noqa: F401 - registers a codec
from pybtex.database import parse_file

BIBLIOGRAPHY = "%%BIBLIOGRAPHY%%"
FILE = Path(__file__).resolve().parents[1] / "book" / "references.bib"
BOX = re.compile(
    r"^(?P<fence>`{3,}|:{3,})\{(?P<kind>[\w-]+)\}[ ]*(?P<title>[^\n]*)\n"
    r"(?P<options>(?::[\w-]+:[^\n]*\n)*)\n*(?P<body>.*?)\n(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)
CITE = re.compile(r"\{cite(?::(?P<form>[pt]))?\}`(?P<keys>[^`]+)`")


@cache
def references(path: Path = FILE) -> dict[str, tuple[str, str, str]]:
    """Key → (authors in short, year, the whole reference in one line)."""
    found = {}
    for key, entry in parse_file(str(path)).entries.items():
        people = entry.persons.get("author", [])
        last = [_name(" ".join(person.last_names)) for person in people]
        if len(last) > 2:
            short = f"{last[0]} et al."
        else:
            short = " and ".join(last) or _name(entry.fields["title"])
        fields = {k.lower(): _name(v) for k, v in entry.fields.items()}
        year = fields.get("year", "no year")
        where = next(
            (
                fields[name]
                for name in ("journal", "booktitle", "publisher", "howpublished")
                if name in fields
            ),
            "",
        )
        names = ", ".join(
            _name(" ".join([*p.first_names, *p.middle_names, *p.last_names]))
            for p in people
        )
        address = f"https://doi.org/{fields['doi']}" if "doi" in fields else ""
        address = address or fields.get("url", "")
        parts = [names, fields["title"], where, year, address]
        found[key] = (short, year, ". ".join(part for part in parts if part))
    labels = [entry[:2] for entry in found.values()]
    for key, (short, year, whole) in found.items():
        if labels.count((short, year)) > 1:  # Dong et al., 2016a and 2016b
            alike = [k for k, v in found.items() if v[0] == short and v[1][:4] == year]
            letter = "abcdefgh"[alike.index(key)]
            told = whole.replace(f". {year}", f". {year}{letter}")
            found[key] = (short, year + letter, told)
    return found


def _name(text: str) -> str:
    """Without TeX's braces and accents' commands."""
    decoded = codecs.decode(text, "ulatex")
    return re.sub(r"[{}]", "", decoded).replace("\n", " ").strip()


def plain(text: str, known: dict, *, folded: bool) -> str:
    """MyST → Markdown that every notebook program shows.

    folded : whether dropdown boxes become a <details> or stand open.
    """

    def box(match) -> str:
        kind, title = match["kind"], match["title"].strip()
        body = plain(match["body"], known, folded=folded).strip("\n")
        if kind == "bibliography":
            return BIBLIOGRAPHY
        title = title or kind.capitalize()
        if ":class: dropdown" in match["options"] and folded:
            return (
                f"<details><summary><strong>{title}</strong></summary>\n\n"
                f"{body}\n\n</details>"
            )
        quoted = "\n".join(f"> {line}".rstrip() for line in body.splitlines())
        return f"> **{title}**\n>\n{quoted}"

    def cite(match) -> str:
        told = [known[key.strip()][:2] for key in match["keys"].split(",")]
        if match["form"] == "t":
            return ", ".join(f"{who} ({year})" for who, year in told)
        return "(" + "; ".join(f"{who}, {year}" for who, year in told) + ")"

    # A reference with a title of its own, then one without, then roles.
    text = BOX.sub(box, text)
    text = CITE.sub(cite, text)
    text = re.sub(r"^\([\w-]+\)=\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"\{(?:ref|numref|doc|term)\}`([^`<]+?)\s*<[^`>]+>`", r"\1", text)
    text = re.sub(r"\{numref\}`[^`]+`", "the figure", text)
    text = re.sub(r"\{(?:ref|doc|term|kbd|abbr)\}`([^`]+)`", r"\1", text)
    return re.sub(r"\]\(index\.md\)", "](01_super_resolution.ipynb)", text)


def cited(text: str, known: dict) -> str:
    """A list of the works that a text cites, before `plain`."""
    keys = {k.strip() for m in CITE.finditer(text) for k in m["keys"].split(",")}
    return "\n".join(f"- {whole}" for whole in sorted(known[key][2] for key in keys))
