"""The course's editions, made from the book's pages: ``make editions``.

    python tools/editions.py student       for students: stubs, no solutions
    python tools/editions.py solutions     as the book, solutions in the open
    python tools/editions.py instructor    everything, with a marking scheme
    python tools/editions.py slides        a deck per chapter (tools/slides.py)
    python tools/editions.py               all four

Each goes to ``_build/editions/NAME``.  Nothing is run: an edition follows from the
pages alone, byte for byte.  Cells are told apart by the tags of tools/course.py.  The
student edition carries nbgrader's metadata; its configuration lies beside the zip.
"""

import copy
import re
import shutil
import sys
import tempfile
import zipfile
from collections import Counter
from pathlib import Path

import nbformat

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools import course, markdown, notebooks, slides

ROOT = notebooks.ROOT
OUT = ROOT / "_build" / "editions"
HIDDEN = {"solution", "teaching"}  # from students
KEPT = {*course.PARTS, "quiz", "teaching", "raises-exception"}  # of a cell's tags
GUIDE = "C_teaching"  # plans, project and exam: no page of the student edition
PACKED = ("srcnn_lib", "exercises", "data")  # what students' pages run on
SCHEMA = 3  # of nbgrader's metadata
ZIP = "srcnn-student.zip"
EPOCH = (1980, 1, 1, 0, 0, 0)  # zip's first day: the same bytes every time
STUDENT = Path(__file__).with_name("student")  # what lies beside the pages
NBGRADER = "nbgrader_config.py"
BADGE = "_static/open-in-colab.svg"
FOLDED = "Hints and solutions fold out."  # students fold out hints
QUIZ = "Each answer says, on a click, whether it is right and why."


def tags(cell) -> set[str]:
    return set(cell.metadata.get("tags", []))


def finished(nb, folded: bool) -> nbformat.NotebookNode:
    """A page as Jupyter and Colab show it, without what only our build reads."""
    markdown.captions(nb)
    for cell in nb.cells:
        for name in ("mystnb", "slideshow", "cellView", "jupyter"):
            cell.metadata.pop(name, None)
        kept = [tag for tag in cell.metadata.pop("tags", []) if tag in KEPT]
        if kept:
            cell.metadata["tags"] = kept
    markdown.readable(nb, folded=folded)
    return nb


def student(notebook) -> nbformat.NotebookNode:
    """A page without solutions, outputs and teaching notes, for nbgrader too."""
    nb = copy.deepcopy(notebook)
    found = course.exercises(nb)
    asks = {e.cells[0].id: e for e in found if "check" not in e.parts}
    kept = []
    for cell in nb.cells:
        if HIDDEN & tags(cell):
            continue
        kept.append(cell)
        cell.source = cell.source.replace(FOLDED, "Hints fold out.")
        if cell.id in asks:
            kept += answer_cells(asks[cell.id])
        elif "quiz" in tags(cell):
            cell.source = f"{cell.source.rstrip()}\n\n{QUIZ}"
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            if cell.id == notebooks.SETUP:
                cell.metadata["editable"] = False
    nb.cells = kept
    markdown.drop_badge(nb)  # it leads to the solutions
    nbgrader(nb, found)
    return finished(nb, folded=True)


def answer_cells(exercise) -> list:
    """Where a student answers what no check marks."""
    number = exercise.number
    answer = nbformat.v4.new_markdown_cell(f"*Your answer to {number}:*\n\n")
    lab = nbformat.v4.new_code_cell(f"# Your code for {number}, if you need any.\n")
    answer.id, lab.id = identity("answer", number), identity("code", number)
    return [lab, answer] if exercise.kind == "experiment" else [answer]


def identity(part: str, number: str) -> str:
    return f"{part}-{number.replace('.', '-')}"


def nbgrader(nb, exercises: list) -> None:
    """Mark the cells that nbgrader locks, collects and grades, in place."""
    cells = {cell.id: cell for cell in nb.cells}
    for exercise in exercises:
        number, points = exercise.number, exercise.points
        own = zip(exercise.parts, (cell.id for cell in exercise.cells), strict=True)
        own = [*own, ("answer", identity("answer", number))]
        shown = [(part, cells[key]) for part, key in own if key in cells]
        share, rest = divmod(points, max(1, exercise.parts.count("check")))
        count = Counter()
        for part, cell in shown:
            if part == "hint":
                continue
            count[part] += 1
            name = identity(part, number)
            entry = cell.metadata["nbgrader"] = nbformat.from_dict({
                "schema_version": SCHEMA,
                "grade_id": name + (f"-{count[part]}" if count[part] > 1 else ""),
                "grade": part in ("check", "answer"),
                "solution": part in ("stub", "answer"),
                "locked": part in ("exercise", "check"),
                "task": False,
            })  # fmt: skip
            if entry.grade:  # the last of several checks gives the rest
                last = count[part] == exercise.parts.count(part) or part == "answer"
                entry["points"] = share + (rest if last else 0)
            if entry.locked:
                cell.metadata["deletable"] = cell.metadata["editable"] = False


def solutions(notebook) -> nbformat.NotebookNode:
    """A page with its solutions in the open; no teaching notes."""
    nb = copy.deepcopy(notebook)
    nb.cells = [cell for cell in nb.cells if "teaching" not in tags(cell)]
    return finished(nb, folded=False)


def instructor(notebook) -> nbformat.NotebookNode:
    """A page with everything, and what it asks and gives at its top."""
    nb = copy.deepcopy(notebook)
    if table := scheme(nb):
        cell = nbformat.v4.new_markdown_cell(table, id="instructor-overview")
        cell.metadata["tags"] = ["teaching"]
        nb.cells.insert(1, cell)
    return finished(nb, folded=False)


def scheme(nb) -> str:
    """Markdown: a page's exercises with kind, minutes, points, goals, marking."""
    found = course.exercises(nb)
    if not found:
        return ""
    rows = ["| exercise | kind | minutes | points | goals | marked |"]
    rows += ["|:--|:--|--:|--:|:--|:--|"]
    for e in found:
        marked = "by its check" if "check" in e.parts else "by hand"
        row = (f"{e.number} {e.title}", e.kind, e.minutes, e.points)
        goals = ", ".join(map(str, e.goals))
        rows += [f"| {' | '.join(map(str, row))} | {goals} | {marked} |"]
    minutes, points = sum(e.minutes for e in found), sum(e.points for e in found)
    rows += [f"| together | | {minutes} | {points} | | |"]
    aims = [f"Goal {k}: {goal}  " for k, goal in enumerate(course.goals(nb), 1)]
    said = ["", "Marking:", "", *marking(nb)] if marking(nb) else []
    return "\n".join(["## Exercises and marking", "", *rows, "", *aims, *said])


def marking(nb) -> list[str]:
    """The lines ``- **2.1** (3 points): …`` of a page's teaching notes."""
    text = "\n".join(c.source for c in nb.cells if "teaching" in tags(c))
    line = rf"^- \*\*{course.PAGE}\.\d+\*\* .+(?:\n  .+)*"
    return re.findall(line, text, re.MULTILINE)


EDITION = {"student": student, "solutions": solutions, "instructor": instructor}
NAMES = (*EDITION, "slides")


def build(name: str, pages: list[Path] | None = None, out: Path = OUT) -> Path:
    """Make one edition; its folder.

    Raises
    ------
    ValueError : when a page's exercises have not the form of tools/course.py.
    RuntimeError : when slides are asked for and the book is not built.
    """
    pages = notebooks.pages() if pages is None else pages
    if name == "student":
        pages = [page for page in pages if page.stem != GUIDE]
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=out) as scratch:
        folder, aside = Path(scratch, "new"), Path(scratch, "old")
        folder.mkdir()
        if name == "slides":
            slides.build(pages, folder)
        else:
            write_notebooks(name, pages, folder)
        if (out / name).exists():
            (out / name).rename(aside)
        folder.rename(out / name)
    return out / name


def write_notebooks(name: str, pages: list[Path], folder: Path) -> None:
    (folder / "book").mkdir()
    for page in pages:
        try:
            nb = EDITION[name](notebooks.read(page))
        except ValueError as error:
            raise ValueError(f"{page.name}: {error}") from None
        text = notebooks.text_of(nb)
        (folder / "book" / page.name).write_text(text, encoding="utf-8")
    if name != "student":  # whose pages have no badge
        (folder / "book" / BADGE).parent.mkdir()
        shutil.copyfile(notebooks.BOOK / BADGE, folder / "book" / BADGE)
        return
    shutil.copyfile(STUDENT / "README.txt", folder / "README.txt")
    (folder / "pyproject.toml").write_text(project(), encoding="utf-8")
    apart = shutil.ignore_patterns("*.pyc", "__pycache__", ".*")
    for source in PACKED:
        shutil.copytree(ROOT / source, folder / source, ignore=apart)
    for licence in ("LICENSE", "LICENSE-text"):
        shutil.copyfile(ROOT / licence, folder / licence)
    pack(folder)
    shutil.copyfile(STUDENT / NBGRADER, folder / NBGRADER)


def project() -> str:
    """The library's pyproject.toml, less what the zip does not hold."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    text = text.partition("[tool.hatch.build.targets.sdist]")[0]
    return text.replace('readme = "README.md"\n', 'readme = "README.txt"\n')


def pack(folder: Path) -> None:
    """Put all of `folder` into one zip in it, the same bytes every time."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    with zipfile.ZipFile(folder / ZIP, "w", zipfile.ZIP_DEFLATED) as target:
        for path in files:
            inside = f"srcnn-student/{path.relative_to(folder).as_posix()}"
            entry = zipfile.ZipInfo(inside, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            target.writestr(entry, path.read_bytes())


def main() -> None:
    names = sys.argv[1:] or NAMES
    if unknown := set(names) - set(NAMES):
        sys.exit(f"no edition {unknown.pop()}; there are: {' '.join(NAMES)}")
    for name in names:
        try:
            print(f"{name}: {build(name)}", flush=True)
        except (ValueError, RuntimeError) as error:
            sys.exit(f"{name}: {error}")


if __name__ == "__main__":
    main()
