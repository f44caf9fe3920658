"""The course's editions, made from the book's pages: ``make editions``.

    python tools/editions.py student       for students: stubs, no solutions
    python tools/editions.py solutions     as the book, solutions in the open
    python tools/editions.py instructor    everything, with a marking scheme
    python tools/editions.py slides        a deck per chapter (tools/slides.py)
    python tools/editions.py               all four

Each goes to ``_build/editions/NAME``, written whole beside it and then renamed.
Nothing is run, and nothing is kept from before: an edition follows from the
pages alone, byte for byte.  Cells are told apart by the tags of tools/course.py.
The student edition carries nbgrader's metadata, and the configuration that it
needs lies beside the zip.
"""

import argparse
import copy
import os
import re
import shutil
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import nbformat

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools import course, markdown, notebooks

ROOT = notebooks.ROOT
OUT = ROOT / "_build" / "editions"
NAMES = ("student", "solutions", "instructor", "slides")
HIDDEN = ("solution", "teaching")  # from students
GUIDE = "C_teaching"  # plans, project and exam: no page of the student edition
SCHEMA = 3  # of nbgrader's metadata
ZIP = "srcnn-student.zip"
EPOCH = (1980, 1, 1, 0, 0, 0)  # zip's first day: the same bytes every time

README = """\
Needs Python 3.11 or newer: python -m pip install jupyterlab scikit-learn sporco -e .
Then: jupyter lab book/01_super_resolution.ipynb (or one page in a course's platform).
Answer in the cells that say "yours", run them, then run the check below each.
"""
NBGRADER = "nbgrader_config.py"
BADGE = "_static/open-in-colab.svg"
CONFIG = """\
# For a course's folder: nbgrader leaves the stubs, and waits for long cells.
c = get_config()
c.CourseDirectory.course_id = "srcnn"
c.ClearSolutions.enabled = False
c.Execute.timeout = 1800  # seconds a cell may take; nbgrader's own 30 are too few
"""
ANSWER = "*Your answer to {number}:*\n\n"
LAB = "# Your code for {number}, if you need any.\n"
FOLDED = "Hints and solutions fold out."  # students fold out hints
QUIZ = "Each answer says, on a click, whether it is right and why."


def pages_of_the_book() -> list[Path]:
    """The pages of every edition but the slides: chapters and appendices."""
    return notebooks.pages()


def tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def is_hidden(cell) -> bool:
    """Whether students don't get this cell."""
    return bool(set(HIDDEN) & set(tags(cell)))


def readable(nb, folded: bool) -> None:
    """Turn the book's Markdown into what Jupyter and Colab show, in place."""
    references = markdown.references()
    texts = [cell for cell in nb.cells if cell.cell_type == "markdown"]
    cited = markdown.cited("\n".join(cell.source for cell in texts), references)
    for cell in texts:
        cell.source = markdown.plain(cell.source, references, folded=folded)
        cell.source = cell.source.replace(markdown.BIBLIOGRAPHY, cited)


def clean(nb) -> None:
    """Drop what only the book's own build and tests read, in place."""
    for cell in nb.cells:
        cell.metadata.pop("mystnb", None)
        cell.metadata.pop("cellView", None)
        cell.metadata.pop("jupyter", None)
        kept = [t for t in tags(cell) if t in course.PARTS or t in ("quiz", "teaching")]
        if "raises-exception" in tags(cell):
            kept.append("raises-exception")
        cell.metadata["tags"] = kept
        if not kept:
            del cell.metadata["tags"]


def figures(nb) -> None:
    """Give each figure's caption a place below its cell, in place.

    The book takes captions from metadata that Jupyter doesn't show.
    """
    cells = []
    for cell in nb.cells:
        cells.append(cell)
        figure = cell.metadata.get("mystnb", {}).get("figure", {})
        if figure.get("caption"):
            caption = nbformat.v4.new_markdown_cell(f"*Figure: {figure['caption']}*")
            caption.id = f"{cell.id[:50]}-caption"
            caption.metadata["tags"] = ["caption"]
            cells.append(caption)
    nb.cells = cells


def student(notebook) -> nbformat.NotebookNode:
    """A page without solutions, outputs and teaching notes, for nbgrader too."""
    nb = copy.deepcopy(notebook)
    by_cell = {}
    for exercise in course.exercises(nb):
        for cell in exercise.cells:
            by_cell[cell.id] = exercise
    figures(nb)
    kept = []
    for cell in nb.cells:
        if is_hidden(cell):
            continue
        kept.append(cell)
        cell.source = cell.source.replace(FOLDED, "Hints fold out.")
        part, exercise = course.part(cell), by_cell.get(cell.id)
        if part == "exercise" and "check" not in exercise.parts:
            kept += answer_cells(exercise)
        elif "quiz" in tags(cell):
            cell.source = f"{cell.source.rstrip()}\n\n{QUIZ}"
    nb.cells = kept
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            if cell.id == notebooks.SETUP:
                cell.metadata["editable"] = False
    title, _, rest = nb.cells[0].source.partition("\n")
    rest = re.sub(r"^\[!\[Open in Colab\].*\n*", "", rest, flags=re.MULTILINE)
    nb.cells[0].source = f"{title}\n{rest}"  # the badge leads to the solutions
    nbgrader(nb, by_cell)
    clean(nb)
    readable(nb, folded=True)
    return nb


def answer_cells(exercise) -> list:
    """Where a student answers what no check marks."""
    number = exercise.number
    answer = nbformat.v4.new_markdown_cell(ANSWER.format(number=number))
    answer.id = identity("answer", number)
    if exercise.kind != "experiment":
        return [answer]
    lab = nbformat.v4.new_code_cell(LAB.format(number=number))
    lab.id = identity("code", number)
    return [lab, answer]


def identity(part: str, number: str) -> str:
    return f"{part}-{number.replace('.', '-')}"


def nbgrader(nb, by_cell) -> None:
    """Mark the cells that nbgrader locks, collects and grades, in place."""
    count = {}
    checks = {}
    for cell in nb.cells:
        if course.part(cell) == "check":
            number = by_cell[cell.id].number
            checks[number] = checks.get(number, 0) + 1
    points = {e.number: e.points for e in by_cell.values()}
    for cell in nb.cells:
        part, number = course.part(cell), None
        if part in ("exercise", "stub", "check"):
            number = by_cell[cell.id].number
        elif match := re.fullmatch(rf"answer-({course.PAGE})-(\d+)", cell.id):
            part, number = "answer", ".".join(match.groups())
        if number is None:
            continue
        count[part, number] = count.get((part, number), 0) + 1
        which = count[part, number]
        name = identity(part, number) + (f"-{which}" if which > 1 else "")
        entry = {
            "schema_version": SCHEMA,
            "grade_id": name,
            "grade": part in ("check", "answer"),
            "solution": part in ("stub", "answer"),
            "locked": part in ("exercise", "check"),
            "task": False,
        }
        if part == "answer":
            entry["points"] = points[number]
        elif part == "check":
            share, rest = divmod(points[number], checks[number])
            entry["points"] = share + (rest if which == checks[number] else 0)
        if entry["locked"]:
            cell.metadata["deletable"] = False
            cell.metadata["editable"] = False
        cell.metadata["nbgrader"] = entry


def solutions(notebook) -> nbformat.NotebookNode:
    """A page with its solutions in the open; no teaching notes."""
    nb = copy.deepcopy(notebook)
    nb.cells = [cell for cell in nb.cells if "teaching" not in tags(cell)]
    figures(nb)
    clean(nb)
    readable(nb, folded=False)
    return nb


def instructor(notebook) -> nbformat.NotebookNode:
    """A page with everything, and what it asks and gives at its top."""
    nb = copy.deepcopy(notebook)
    table = scheme(nb)
    figures(nb)
    clean(nb)
    if table:
        cell = nbformat.v4.new_markdown_cell(table)
        cell.id = "instructor-overview"
        cell.metadata["tags"] = ["teaching"]
        nb.cells.insert(1, cell)
    readable(nb, folded=False)
    return nb


def scheme(nb) -> str:
    """Markdown: a page's exercises with kind, minutes, points, goals, marking."""
    found = course.exercises(nb)
    if not found:
        return ""
    lines = [
        "## Exercises and marking",
        "",
        "| exercise | kind | minutes | points | goals | marked |",
        "|:--|:--|--:|--:|:--|:--|",
    ]
    for e in found:
        marked = "by its check" if "check" in e.parts else "by hand"
        goals = ", ".join(map(str, e.goals))
        lines.append(
            f"| {e.number} {e.title} | {e.kind} | {e.minutes} | {e.points} | "
            f"{goals} | {marked} |"
        )
    total = (sum(e.minutes for e in found), sum(e.points for e in found))
    lines += [f"| together | | {total[0]} | {total[1]} | | |", ""]
    goals = course.goals(nb)
    lines += [f"Goal {k}: {goal}" + "  " for k, goal in enumerate(goals, 1)]
    said = marking(nb)
    if said:
        lines += ["", "Marking:", "", *said]
    return "\n".join(lines)


def marking(nb) -> list[str]:
    """The lines ``- **2.1** (3 points): …`` of a page's teaching notes."""
    text = "\n".join(c.source for c in nb.cells if "teaching" in tags(c))
    line = rf"^- \*\*{course.PAGE}\.\d+\*\* .+(?:\n  .+)*"
    return re.findall(line, text, re.MULTILINE)


EDITION = {"student": student, "solutions": solutions, "instructor": instructor}


def build(name: str, pages: list[Path] | None = None, out: Path = OUT) -> Path:
    """Make one edition; its folder.

    Raises
    ------
    ValueError : when a page's exercises have not the form of tools/course.py.
    RuntimeError : when slides are asked for and the book is not built.
    """
    pages = pages_of_the_book() if pages is None else pages
    if name == "student":
        pages = [page for page in pages if page.stem != GUIDE]
    out.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=out))
    try:
        if name == "slides":
            from tools import slides

            slides.build(pages, folder)
        else:
            write_notebooks(name, pages, folder)
        folder.chmod(0o755)
        if (out / name).exists():
            aside = folder.with_name(folder.name + "-old")
            os.replace(out / name, aside)
            os.replace(folder, out / name)
            shutil.rmtree(aside)
        else:
            os.replace(folder, out / name)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
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
    if name == "student":
        (folder / "README.txt").write_text(README, encoding="utf-8")
        (folder / "pyproject.toml").write_text(project(), encoding="utf-8")
        for source in ("srcnn_lib", "data"):
            for path in sorted((ROOT / source).rglob("*")):
                if path.is_file() and wanted(path):
                    target = folder / path.relative_to(ROOT)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, target)
        for licence in ("LICENSE", "LICENSE-text"):
            shutil.copyfile(ROOT / licence, folder / licence)
        pack(folder)
        (folder / NBGRADER).write_text(CONFIG, encoding="utf-8")
    else:  # students' pages have no badge
        (folder / "book" / BADGE).parent.mkdir()
        shutil.copyfile(notebooks.BOOK / BADGE, folder / "book" / BADGE)


def wanted(path: Path) -> bool:
    """Whether a file of the library or the data is needed to run the pages."""
    return path.suffix != ".pyc" and not path.name.startswith(".")


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


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="make editions", description="Make the course's editions."
    )
    parser.add_argument("names", nargs="*", metavar="EDITION", help=" ".join(NAMES))
    args = parser.parse_args()
    if unknown := set(args.names) - set(NAMES):
        parser.error(f"no edition {unknown.pop()}; there are: {' '.join(NAMES)}")
    for name in args.names or NAMES:
        start = time.monotonic()
        try:
            folder = build(name)
        except (ValueError, RuntimeError) as error:
            print(f"{name}: {error}")
            return 1
        print(f"{name}: {folder} ({time.monotonic() - start:.0f} s)", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
