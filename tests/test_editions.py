"""The course's editions: made from the pages alone, and fit for a class."""

import re
import types
import zipfile
from unittest import mock

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from benchmarks import page_costs
from tools import course, editions, notebooks

PAGES = notebooks.pages()
GUIDE = next(page for page in PAGES if page.stem == editions.GUIDE)
LONG = 20  # characters of a line that give a solution away
BOX = "```{{admonition}} {}\n:class: dropdown\n\n{}\n```"
CELLS = [
    (new_markdown_cell, "# Small\n\n**You will be able to**\n\n- measure.\n\nSee "
     "{cite:p}`dong2014learning`.", ()),
    (new_code_cell, "import exercises", ()),
    (new_markdown_cell, "### 1.1 PSNR\n\n*code · 10 minutes · 3 points · goals 1*\n\n"
     "Write it.", ("exercise",)),
    (new_code_cell, "def psnr(hr_255, sr_255, crop):\n    ...  # yours", ("stub",)),
    (new_code_cell, 'exercises.check("1.1", psnr)', ("check",)),
    (new_markdown_cell, BOX.format("Hint", "Crop first, then take means."), ("hint",)),
    (new_code_cell, "def psnr(hr_255, sr_255, crop):\n    return the_right_one()",
     ("hide-cell", "solution")),
    (new_markdown_cell, "### 1.2 Try\n\n*experiment · 5 minutes · 2 points · goals 1*"
     "\n\nDo.", ("exercise",)),
    (new_markdown_cell, BOX.format("Solution", "It depends on the border."),
     ("solution",)),
    (new_markdown_cell, "### Quiz\n\n**1.** Why?\n\n<details><summary>So</summary>"
     "Right: it is the reason.</details>", ("quiz",)),
    (new_markdown_cell, "Stress the crop.\n\n- **1.1** (3 points): 3.\n- **1.2** (2 "
     "points): 2.", ("remove-cell", "teaching")),
    (new_markdown_cell, "## References\n\n```{bibliography}\n:filter: x\n```", ()),
]  # fmt: skip


def small_page() -> nbformat.NotebookNode:
    return new_notebook(cells=[
        make(text, id=f"cell-{k}", metadata={"tags": list(tags)})
        for k, (make, text, tags) in enumerate(CELLS)
    ])  # fmt: skip


@pytest.fixture(params=["small", *PAGES], ids=lambda p: getattr(p, "stem", p))
def master(request):
    """A page with exercises of both kinds, then each page of the book."""
    return small_page() if request.param == "small" else notebooks.read(request.param)


def test_students_get_the_page_without_its_hidden_cells(master):
    hidden = [cell for cell in master.cells if editions.HIDDEN & course.tags(cell)]
    wanted = [cell for cell in master.cells if cell not in hidden]
    shown = "\n".join(cell.source for cell in wanted)
    given = editions.student(master)
    flat = "\n".join(cell.source for cell in given.cells)
    for line in (ln.strip() for cell in hidden for ln in cell.source.splitlines()):
        if len(line) > LONG and line not in shown and line[0] not in "`:":
            assert line not in flat
    assert not any(cell.get("outputs") for cell in given.cells)
    found = re.findall(r"colab\.research\.google\.com\S+?/blob/([^/]+)/", flat)
    assert set(found) <= {editions.BRANCH}, "leads to the solutions"
    setup = [c.source for c in given.cells if c.id == notebooks.SETUP]
    assert all(f"-b {editions.BRANCH} " in source for source in setup)
    assert not re.search(r"solutions\s+fold\s+out", flat)
    cells = {cell.id: cell for cell in given.cells}
    order = [cell.id for cell in wanted]
    assert [key for key in cells if key in order] == order
    for cell in wanted:
        same = cell.cell_type != "code" or cells[cell.id].source == cell.source
        assert same or cell.id == notebooks.SETUP
    names = {page.name for page in PAGES if page != GUIDE}
    for target in re.findall(r"\]\(([\w-]+\.(?:ipynb|md))[)#]", flat):
        assert target in names | {"F_reference.md", "E_paper_map.md"}, target


def test_points_add_up(master):  # whether nbgrader accepts it: test_autograder.py
    given = editions.student(master)
    entries = [c.metadata.nbgrader for c in given.cells if "nbgrader" in c.metadata]
    found = course.exercises(master)
    points = dict.fromkeys((e.number for e in found), 0)
    for entry in entries:
        assert not (entry.locked and entry.solution), entry.grade_id
        if entry.grade:
            points[".".join(entry.grade_id.split("-")[1:3])] += entry.points
    assert points == {e.number: e.points for e in found}
    assert len({entry.grade_id for entry in entries}) == len(entries)


def test_solutions_stand_open_and_instructors_get_everything(master):
    solved, whole = editions.solutions(master), editions.instructor(master)
    assert not any("teaching" in course.tags(cell) for cell in solved.cells)
    assert {cell.id for cell in master.cells} <= {cell.id for cell in whole.cells}
    for cell in solved.cells:
        assert not {"jupyter", "cellView", "slideshow", "mystnb"} & set(cell.metadata)
        assert course.part(cell) != "solution" or "<details>" not in cell.source
    top = whole.cells[1].source
    for e in course.exercises(master):
        assert f"| {e.number} {e.title} | {e.kind} | {e.minutes} | {e.points} |" in top
        assert f"**{e.number}**" in top or not editions.marking(master)
    for cell in solved.cells + whole.cells + editions.student(master).cells:
        if cell.cell_type == "markdown":  # nothing that only the book's build can show
            bare = re.sub(r"`[^`{]+`|```\n.*?```", "", cell.source, flags=re.S)
            assert not re.search(r"\{[a-z:-]+\}`|^[`:]{3,}\{|%%", bare, re.M)


def files(folder) -> dict:
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@pytest.mark.parametrize("name", editions.EDITION)
def test_an_edition_is_made_whole_or_not_at_all(name, tmp_path, monkeypatch):
    pages = [PAGES[0], GUIDE]
    folder = editions.build(name, pages, tmp_path)
    made = files(folder)
    assert (f"book/{GUIDE.name}" in made) == (name != "student")
    (folder / "stale.txt").touch()
    assert files(editions.build(name, pages, tmp_path)) == made, "the same bytes"
    broken = mock.Mock(side_effect=ValueError("an exercise without a number"))
    monkeypatch.setitem(editions.EDITION, name, broken)
    with pytest.raises(ValueError, match=f"{PAGES[0].name}: an exercise without"):
        editions.build(name, pages, tmp_path)
    assert files(folder) == made
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_zip_runs_alone_and_nbgrader_keeps_its_stubs(tmp_path, monkeypatch):
    page = next(page for page in PAGES if page.stem.startswith("05"))
    folder = editions.build("student", [page], tmp_path)
    config = mock.MagicMock()
    text = (folder / editions.NBGRADER).read_text()
    exec(text, types.SimpleNamespace(get_config=lambda: config).__dict__)
    assert config.ClearSolutions.enabled is False and config.Execute.timeout > 600
    with zipfile.ZipFile(folder / editions.ZIP) as packed:
        packed.extractall(tmp_path / "unpacked")
    inside = tmp_path / "unpacked" / "srcnn-student"
    assert not (inside / editions.NBGRADER).exists()
    nb = nbformat.read(inside / "book" / page.name, as_version=4)
    where = new_code_cell("import exercises, srcnn_lib as s; print(s.__file__)")
    where.metadata["tags"] = ["check"]
    nb.cells.append(where)
    monkeypatch.setenv("PYTHONPATH", str(inside))
    resources = {"metadata": {"path": str(inside / "book")}}
    NotebookClient(nb, timeout=300, resources=resources).execute()
    checks = [cell for cell in nb.cells if course.part(cell) == "check"]
    *said, where = ["".join(o.get("text", "") for o in c.outputs) for c in checks]
    assert where.startswith(str(inside.resolve()))
    assert said and all("not done yet." in text for text in said)


def test_the_site_has_the_course_and_its_solutions_apart(tmp_path):
    pages = [PAGES[0], GUIDE]
    for name in ("student", "solutions"):
        editions.build(name, pages, tmp_path)
    (tmp_path / "slides").mkdir()
    (tmp_path / "slides" / "index.html").touch()
    for _ in range(2):
        editions.publish(tmp_path / "html", pages, tmp_path)
    made = files(tmp_path / "html" / "course")
    assert set(made) == {"index.html", "slides/index.html", editions.ZIP,
                         "srcnn-solutions.zip"}  # fmt: skip
    shown = made["index.html"].decode()
    assert shown.count("/blob/students/book/") == 1 and GUIDE.name not in shown
    with zipfile.ZipFile(tmp_path / "html" / "course" / editions.ZIP) as packed:
        texts = [packed.read(n).decode() for n in packed.namelist() if n[-3:] == ".py"]
    assert texts and not any("EXERCISES = " in text for text in texts)


def test_what_a_page_needs_is_told_or_said_to_be_unmeasured(tmp_path):
    file = tmp_path / "costs.json"
    assert page_costs.table(file).count(page_costs.NOT_YET) >= 3 * len(PAGES)
    entry = {"wall_s": 15.3, "processor_s": 130.0, "peak_gb": 0.44}
    page_costs.record(PAGES[0].stem, "cpu", entry, file)
    told = page_costs.table(file)
    assert told.count(" min | 15 s | 2.2 min | 0.4 GB |") == 1
    assert len(told.splitlines()) == 2 + len(PAGES)
    assert "{{ costs }}" in (notebooks.BOOK / "G_costs.md").read_text(encoding="utf-8")
