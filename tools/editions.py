"""The course's editions, made from the book's pages: ``make editions``.

``student`` has stubs and no solutions, ``solutions`` is the book with solutions in the
open, ``instructor`` everything, with a marking scheme, ``slides`` a deck per chapter
(tools/slides.py).  Each goes to ``_build/editions/NAME``.  Nothing is run: an edition
follows from the pages alone, byte for byte.  Cells are told apart by the tags of
tools/course.py.  nbgrader reads the students' edition; its settings lie beside the zip.
All together also make the built book's folder ``course``.
"""

import base64
import copy
import html
import re
import shutil
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path

import nbformat

from tools import course, markdown, notebooks, slides
from tools.course import tags

OUT = notebooks.ROOT / "_build" / "editions"
HIDDEN = {"solution", "teaching"}  # from students
KEPT = {*course.PARTS, "quiz", "teaching", "raises-exception"}  # of a cell's tags
GUIDE = "C_teaching"  # plans, project and exam: no page of the student edition
PACKED = ("srcnn_lib", "exercises", "data", "LICENSE", "LICENSE-text")
SCHEMA = 3  # of nbgrader's metadata
ZIP = "srcnn-student.zip"
BRANCH = "students"  # holds the students' edition, for Colab; .github/workflows/ci.yml
SEALED = "import base64, zlib\n\nexec(zlib.decompress(base64.b85decode({!r})))\n"
STUDENT = Path(__file__).with_name("student")  # what lies beside the pages
NBGRADER = "nbgrader_config.py"
BADGE = "_static/open-in-colab.svg"
QUIZ = "Each answer says, on a click, whether it is right and why."


def finished(nb, *, folded: bool) -> nbformat.NotebookNode:
    """A page as Jupyter and Colab show it, without what only our build reads."""
    markdown.readable(nb, folded=folded)
    for cell in nb.cells:
        for name in ("mystnb", "slideshow", "cellView", "jupyter"):
            cell.metadata.pop(name, None)
        if kept := [tag for tag in cell.metadata.pop("tags", []) if tag in KEPT]:
            cell.metadata["tags"] = kept
    return nb


def student(notebook) -> nbformat.NotebookNode:
    """A page without solutions, outputs and teaching notes, for nbgrader too."""
    nb = copy.deepcopy(notebook)
    found = course.exercises(nb)
    asks = {e.cells[0].id: e for e in found if "check" not in e.parts}
    here, kept = notebooks.repository(), []
    own = f"/blob/{here['tag']}/", f"/blob/{BRANCH}/"  # the badge's
    nb.cells[0].source = nb.cells[0].source.replace(*own)
    for cell in nb.cells:
        if HIDDEN & tags(cell):
            continue
        kept.append(cell)
        cell.source = cell.source.replace("Hints and solutions fold", "Hints fold")
        if cell.id in asks:
            kept += answer_cells(asks[cell.id])
        elif "quiz" in tags(cell):
            cell.source = f"{cell.source.rstrip()}\n\n{QUIZ}"
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            if cell.id == notebooks.SETUP:
                cell.source = cell.source.replace(here["tag"], BRANCH)
                cell.metadata["editable"] = False
    nb.cells = kept
    nbgrader(nb, found)
    return finished(nb, folded=True)


def answer_cells(exercise) -> list:
    """Where a student answers what no check marks."""
    number, new = exercise.number, nbformat.v4
    text = f"*Your answer to {number}:*\n\n"
    code = f"# Your code for {number}, if you need any.\n"
    answer = new.new_markdown_cell(text, id=identity("answer", number))
    lab = new.new_code_cell(code, id=identity("code", number))
    return [lab, answer] if exercise.kind == "experiment" else [answer]


def identity(part: str, number: str) -> str:
    return f"{part}-{number.replace('.', '-')}"


def nbgrader(nb, exercises: list) -> None:
    """Mark the cells that nbgrader locks, collects and grades, in place."""
    cells = {cell.id: cell for cell in nb.cells}
    for exercise in exercises:
        own = {name: cell.id for name, cell in zip(exercise.parts, exercise.cells)}
        own["answer"] = identity("answer", exercise.number)
        for part in ("exercise", "stub", "check", "answer"):
            if own.get(part) not in cells:
                continue
            metadata = cells[own[part]].metadata
            entry = metadata["nbgrader"] = nbformat.from_dict({
                "schema_version": SCHEMA, "task": False,
                "grade_id": identity(part, exercise.number),
                "grade": part in ("check", "answer"),
                "solution": part in ("stub", "answer"),
                "locked": part in ("exercise", "check"),
            })  # fmt: skip
            if entry.grade:
                entry["points"] = exercise.points
            if entry.locked:
                metadata["deletable"] = metadata["editable"] = False


def solutions(notebook) -> nbformat.NotebookNode:
    """A page with its solutions in the open; no teaching notes."""
    nb = copy.deepcopy(notebook)
    nb.cells = [cell for cell in nb.cells if "teaching" not in tags(cell)]
    return finished(nb, folded=False)


def instructor(notebook) -> nbformat.NotebookNode:
    """A page with everything, and what it asks and gives at its top."""
    nb = copy.deepcopy(notebook)
    if table := scheme(nb):
        about = {"id": "instructor-overview", "metadata": {"tags": ["teaching"]}}
        nb.cells.insert(1, nbformat.v4.new_markdown_cell(table, **about))
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
        numbers = f"{e.minutes} | {e.points} | {', '.join(map(str, e.goals))}"
        rows += [f"| {e.number} {e.title} | {e.kind} | {numbers} | {marked} |"]
    minutes, points = sum(e.minutes for e in found), sum(e.points for e in found)
    rows += [f"| together | | {minutes} | {points} | | |", ""]
    rows += [f"Goal {k}: {goal}  " for k, goal in enumerate(course.goals(nb), 1)]
    if said := marking(nb):
        rows += ["", "Marking:", "", *said]
    return "\n".join(["## Exercises and marking", "", *rows])


def marking(nb) -> list[str]:
    """The lines ``- **2.1** (3 points): …`` of a page's teaching notes."""
    text = "\n".join(c.source for c in nb.cells if "teaching" in tags(c))
    line = rf"^- \*\*{course.PAGE}\.\d+\*\* .+(?:\n  .+)*"
    return re.findall(line, text, re.MULTILINE)


EDITION = {"student": student, "solutions": solutions, "instructor": instructor}
NAMES = (*EDITION, "slides")


def build(name: str, pages: list[Path] | None = None, out: Path = OUT) -> Path:
    """Make one edition, whole or not at all; its folder.  ValueError for exercises
    unlike those of tools/course.py, RuntimeError for slides of a book not built."""
    pages = notebooks.pages() if pages is None else pages
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=out) as scratch:
        folder = Path(scratch, name)
        folder.mkdir()
        if name == "slides":
            slides.build(pages, folder)
        else:
            write_notebooks(name, pages, folder / "book")
        if name == "student":
            complete(folder)
        shutil.rmtree(out / name, ignore_errors=True)
        folder.rename(out / name)
    return out / name


def write_notebooks(name: str, pages: list[Path], folder: Path) -> None:
    folder.mkdir()
    for page in pages:
        if name == "student" and page.stem == GUIDE:
            continue
        try:
            nb = EDITION[name](notebooks.read(page))
        except ValueError as error:
            raise ValueError(f"{page.name}: {error}") from None
        (folder / page.name).write_text(notebooks.text_of(nb), encoding="utf-8")
    (folder / BADGE).parent.mkdir()
    shutil.copyfile(notebooks.BOOK / BADGE, folder / BADGE)


def complete(folder: Path) -> None:
    """Put what the students' pages run on beside them, all of it into a zip too."""
    # The library's own settings, less what the zip does not hold.
    text = (notebooks.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    text = text.partition("[tool.hatch.build.targets.sdist]")[0]
    text = text.replace('readme = "README.md"\n', 'readme = "README.txt"\n')
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    apart = shutil.ignore_patterns("*.pyc", "__pycache__", ".*")
    for source in (STUDENT / "README.txt", *(notebooks.ROOT / name for name in PACKED)):
        if source.is_dir():
            shutil.copytree(source, folder / source.name, ignore=apart)
        else:
            shutil.copyfile(source, folder / source.name)
    for module in sorted((folder / "exercises").glob("*_[0-9ab]*.py")):
        packed = base64.b85encode(zlib.compress(module.read_bytes()))
        module.write_text(SEALED.format(packed), encoding="utf-8")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    with zipfile.ZipFile(folder / ZIP, "w") as target:
        for path in files:
            inside = f"srcnn-student/{path.relative_to(folder).as_posix()}"
            entry = zipfile.ZipInfo(inside)  # of 1980: the same bytes every time
            entry.external_attr = 0o644 << 16
            target.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    shutil.copyfile(STUDENT / NBGRADER, folder / NBGRADER)


def publish(site: Path, pages: list[Path], out: Path = OUT) -> None:
    """Put the course, made before, into the built book's folder ``course``."""
    folder = site / "course"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(out / "slides", folder / "slides")
    shutil.copyfile(out / "student" / ZIP, folder / ZIP)
    shutil.make_archive(folder / "srcnn-solutions", "zip", out / "solutions")
    items = ""
    for page in (page for page in pages if page.stem != GUIDE):
        title = html.escape(slides.title_of(notebooks.read(page)))
        items += f'<li><a href="{notebooks.colab(page, BRANCH)}">{title}</a></li>\n'
    text = (STUDENT / "course.html").read_text(encoding="utf-8")
    (folder / "index.html").write_text(text.format(items=items), encoding="utf-8")


def main() -> None:
    for name in sys.argv[1:] or NAMES:
        if name not in NAMES:
            sys.exit(f"no edition {name}; there are: {' '.join(NAMES)}")
        try:
            print(f"{name}: {build(name)}", flush=True)
        except (ValueError, RuntimeError) as error:
            sys.exit(f"{name}: {error}")
    if not sys.argv[1:]:
        publish(notebooks.ROOT / "_build" / "html", notebooks.pages())


if __name__ == "__main__":
    main()
