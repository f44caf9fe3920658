"""The exercises and quizzes of a page, read from the tags of its cells.

An exercise is a text cell tagged ``exercise``, which begins "### 2.1 The weights by
hand" and, after an empty line, "*code · 10 minutes · 3 points · goals 1, 3*",
and the cells after it: ``stub`` and ``check`` (code, for those with a check),
``hint`` and ``solution``, in this order.  Goals count the points of the page's
"You will be able to".  A quiz is a text cell tagged ``quiz``; what is for
instructors only stands in cells tagged ``teaching``.
"""

import re
from collections import namedtuple
from dataclasses import dataclass, field

PARTS = ("exercise", "stub", "check", "hint", "solution")
PAGE = r"(?:\d+|[A-Z])"  # what an exercise's number begins with
HEADING = re.compile(
    rf"^### ({PAGE}\.\d+) (.+)\n+\*(predict|code|experiment|think)"
    r" · (\d+) minutes · (\d+) points? · goals? (\d+(?:, \d+)*)\*\n"
)
OPTION = re.compile(r"^<details><summary>(.+)</summary>(.+)</details>$", re.MULTILINE)
#: Of a quiz; `options` are (text, explanation), and one explanation begins "Right".
Question = namedtuple("Question", "text options")


@dataclass
class Exercise:
    """What an exercise's first cell says, and its cells with the part each is."""

    number: str
    title: str
    kind: str
    minutes: int
    points: int
    goals: tuple[int, ...]
    parts: list[str] = field(default_factory=list)
    cells: list = field(default_factory=list)


def tags(cell) -> set[str]:
    return set(cell.metadata.get("tags", []))


def part(cell) -> str | None:
    """Which part of an exercise a cell is, or None."""
    return next((name for name in PARTS if name in tags(cell)), None)


def exercises(notebook) -> list[Exercise]:
    """All exercises of a page, in order.  Raises ValueError for first lines unlike
    those above, and for parts without an exercise."""
    found: list[Exercise] = []
    for cell in notebook.cells:
        name = part(cell)
        if name == "exercise":
            if not (match := HEADING.match(cell.source)):
                raise ValueError(f"no exercise begins so:\n{cell.source[:200]}")
            number, title, kind, minutes, points, aims = match.groups()
            aims = tuple(map(int, aims.split(", ")))
            found.append(Exercise(number, title, kind, int(minutes), int(points), aims))
        elif name and not found:
            raise ValueError(f"a {name} before the first exercise")
        if name:
            found[-1].parts.append(name)
            found[-1].cells.append(cell)
    return found


def goals(notebook) -> list[str]:
    """The points under "You will be able to"."""
    text = notebook.cells[0].source.partition("You will be able to")[2]
    items = re.findall(r"^- (.+(?:\n  .+)*)", text, flags=re.MULTILINE)
    return [re.sub(r"\s+", " ", item) for item in items]


def reading_minutes(notebook) -> int:
    """200 words a minute, five seconds a line of code; exercises and quizzes apart."""
    apart = {*PARTS, "quiz", "teaching", "remove-cell"}
    own = [cell for cell in notebook.cells if not apart & tags(cell)]
    words = sum(len(c.source.split()) for c in own if c.cell_type == "markdown")
    lines = sum(len(c.source.splitlines()) for c in own if c.cell_type == "code")
    return round(words / 200 + lines * 5 / 60)


def quiz(notebook) -> list[Question]:
    """The questions of a page's quiz cells, each of which begins "**1.** "."""
    cells = [cell.source for cell in notebook.cells if "quiz" in tags(cell)]
    pieces = [re.split(r"^(?=\*\*\d+\.\*\* )", cell, flags=re.M)[1:] for cell in cells]
    return [
        Question(piece.partition("<details>")[0].strip(), OPTION.findall(piece))
        for piece in sum(pieces, [])
    ]
