"""The course's editions: made from the pages alone, and fit for a class."""

import copy
import hashlib
import re
import shutil
import subprocess
import zipfile

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from srcnn_lib import datasets, widgets
from tools import course, editions, markdown, notebooks, slides

CHAPTERS = editions.pages_of_the_book()
LONG = 20  # characters of a line that give a solution away


def tagged(cell, *tags):
    cell.metadata["tags"] = list(tags)
    return cell


def small_page() -> nbformat.NotebookNode:
    """A page with one exercise that has a check, one of each other kind, a quiz."""
    title = "# Small\n\n**You will be able to**\n\n- measure;\n- explain.\n"
    right = (
        "def psnr(hr_255, sr_255, crop):\n"
        "    inner = slice(crop, -crop)\n"
        "    gap = hr_255[inner, inner] - sr_255[inner, inner]\n"
        "    return 10 * np.log10(255**2 / np.mean(gap**2))\n\n"
        'exercises.check("1.1", psnr)'
    )
    stub = (
        "def psnr(hr_255, sr_255, crop):\n"
        '    """PSNR in dB of two pictures (H, W)."""\n'
        "    ...  # yours"
    )
    check = 'exercises.check("1.1", psnr)'
    first = "*code · 10 minutes · 3 points · goals 1*"
    scheme = (
        "## For instructors\n\nStress the crop.\n\n- **1.1** (3 points): 1 for the "
        "crop, 2 for the rest.\n- **1.2** (2 points): 2 for the reason.\n"
        "- **1.3** (2 points): 2 for the number.\n- **1.4** (2 points): 2 for it.\n"
    )
    cells = [
        new_markdown_cell(title + "\nSee {cite:p}`dong2014learning`."),
        new_code_cell("import numpy as np\n\nimport exercises"),
        new_markdown_cell("## Exercises\n\nWrite in the stub."),
        tagged(new_markdown_cell(f"### 1.1 PSNR\n\n{first}\n\nWrite it."), "exercise"),
        tagged(new_code_cell(stub), "stub"),
        tagged(new_code_cell(check), "check"),
        tagged(box("Hint", "Crop first, then take the mean."), "hint"),
        tagged(new_code_cell(right), "hide-cell", "solution"),
        tagged(box("Solution", "The border is cropped before the mean."), "solution"),
    ]
    for k, kind in enumerate(("predict", "experiment", "think"), 2):
        text = f"### 1.{k} A {kind}\n\n*{kind} · 5 minutes · 2 points · goals 2*\n\nDo."
        cells.append(tagged(new_markdown_cell(text), "exercise"))
        told = f"What the {kind} shows is that all depends on the border."
        cells.append(tagged(box("Solution", told), "solution"))
    quiz = (
        "### Quiz\n\n**1.** Why?\n\n<details><summary>So</summary>Right: for "
        "this reason.</details>\n"
    )
    cells += [
        tagged(new_markdown_cell(quiz), "quiz"),
        tagged(new_markdown_cell(scheme), "remove-cell", "teaching"),
        new_markdown_cell("## References\n\n```{bibliography}\n:filter: x\n```"),
    ]
    notebook = new_notebook(cells=cells)
    for k, cell in enumerate(notebook.cells):
        cell.id = f"cell-{k}"
    return notebook


def box(title, body):
    return new_markdown_cell(
        f"```{{admonition}} {title}\n:class: dropdown\n\n{body}\n```"
    )


@pytest.fixture(params=["small", *CHAPTERS], ids=lambda p: getattr(p, "stem", p))
def master(request):
    if request.param == "small":
        return small_page()
    return notebooks.read(request.param)


def test_nothing_of_a_solution_is_in_the_student_edition(master):
    hidden = [cell for cell in master.cells if editions.is_hidden(cell)]
    shown = "\n".join(
        cell.source for cell in master.cells if not editions.is_hidden(cell)
    )
    given = editions.student(master)
    text = nbformat.writes(given, ensure_ascii=False)
    flat = "\n".join(cell.source for cell in given.cells)
    for cell in hidden:
        assert cell.id not in [c.id for c in given.cells]
        for line in map(str.strip, cell.source.splitlines()):
            if len(line) > LONG and line not in shown and line[0] not in "`:":
                assert line not in flat, line
    assert not any(cell.get("outputs") for cell in given.cells)
    assert '"solution"' not in re.findall(r'"tags": \[[^\]]*\]', text)
    assert "colab.research.google.com" not in flat, "leads to the solutions"
    assert not re.search(r"solutions\s+fold\s+out", text)


def test_student_edition_is_the_page_minus_its_hidden_cells(master):
    """Every other cell is there, in order, code letter for letter."""
    given = {cell.id: cell for cell in editions.student(master).cells}
    wanted = [cell for cell in master.cells if not editions.is_hidden(cell)]
    ours = [key for key in given if key in {cell.id for cell in wanted}]
    assert ours == [cell.id for cell in wanted]
    for cell in wanted:
        if cell.cell_type == "code":
            assert given[cell.id].source == cell.source
    own = [key for key in given if key not in ours]
    assert all(re.match(r"(answer|code)-|.*-caption$", key) for key in own)


def test_texts_have_nothing_that_only_the_book_shows(master):
    for name in ("student", "solutions", "instructor"):
        for cell in editions.EDITION[name](master).cells:
            if cell.cell_type == "markdown":
                bare = re.sub(r"`[^`{]+`|```\n.*?```", "", cell.source, flags=re.S)
                assert not re.search(r"\{[a-z:-]+\}`|^[`:]{3,}\{", bare, re.M), bare
                assert markdown.BIBLIOGRAPHY not in cell.source


def test_links_lead_to_pages_of_the_edition(master):
    names = {page.name for page in CHAPTERS if page.stem != editions.GUIDE}
    for cell in editions.student(master).cells:
        for target in re.findall(r"\]\(([\w-]+\.(?:ipynb|md))[)#]", cell.source):
            assert target in names, target


def test_points_add_up_and_every_exercise_has_a_place_for_its_answer(master):
    given = editions.student(master)
    entries = [c.metadata.nbgrader for c in given.cells if "nbgrader" in c.metadata]
    by_number = {}
    for entry in entries:
        if entry.grade:
            number = ".".join(entry.grade_id.split("-")[1:3])
            by_number[number] = by_number.get(number, 0) + entry.points
    found = course.exercises(master)
    assert by_number == {e.number: e.points for e in found}
    for entry in entries:
        assert not (entry.locked and entry.solution), entry.grade_id
    assert len({entry.grade_id for entry in entries}) == len(entries)


def test_nbgrader_accepts_the_student_edition(master):
    import nbgrader_format

    try:
        validator = nbgrader_format.validator()
    except OSError as error:
        pytest.skip(str(error))
    given = editions.student(master)
    validator.validate_nb(given)
    assert validator.schema_version == editions.SCHEMA


def test_nbgrader_is_told_to_keep_the_stubs(tmp_path):
    """Else it writes its own in their place, without the names that checks use."""

    class Part:
        def __getattr__(self, name):
            self.__dict__[name] = Part()
            return self.__dict__[name]

    folder = editions.build("student", CHAPTERS[:1], tmp_path)
    config = Part()
    text = (folder / editions.NBGRADER).read_text()
    exec(text, {"get_config": lambda: config})
    assert config.ClearSolutions.enabled is False
    assert config.Execute.timeout > 600
    with zipfile.ZipFile(folder / editions.ZIP) as packed:
        assert not any(editions.NBGRADER in name for name in packed.namelist())


def test_nbgrader_would_notice_an_error():
    import nbgrader_format

    try:
        validator = nbgrader_format.validator()
    except OSError as error:
        pytest.skip(str(error))
    given = editions.student(small_page())
    cells = [cell for cell in given.cells if "nbgrader" in cell.metadata]
    cells[1].metadata.nbgrader.grade_id = cells[0].metadata.nbgrader.grade_id
    with pytest.raises(Exception, match="Duplicate grade id"):
        validator.validate_nb(given)


def test_solutions_stand_open_and_instructors_get_everything(master):
    solved = editions.solutions(master)
    assert not any("teaching" in editions.tags(cell) for cell in solved.cells)
    kept = {cell.id for cell in solved.cells}
    for cell in master.cells:
        assert cell.id in kept or "teaching" in editions.tags(cell)
    for cell in solved.cells:
        assert "jupyter" not in cell.metadata and "cellView" not in cell.metadata
        if course.part(cell) == "solution":
            assert "<details>" not in cell.source
    whole = editions.instructor(master)
    assert {cell.id for cell in master.cells} <= {cell.id for cell in whole.cells}
    found = course.exercises(master)
    if found:
        top = whole.cells[1].source
        assert "## Exercises and marking" in top
        for exercise in found:
            row = f"| {exercise.number} {exercise.title} | {exercise.kind} | "
            assert f"{row}{exercise.minutes} | {exercise.points} |" in top
            assert f"**{exercise.number}**" in top or not editions.marking(master)
        assert f"| {sum(e.points for e in found)} | | |" in top


def digests(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("name", ["student", "solutions", "instructor"])
def test_an_edition_is_the_same_each_time(name, tmp_path):
    first, second = (
        {key: value.hexdigest() for key, value in digests(folder).items()}
        for folder in (
            editions.build(name, CHAPTERS[:2], tmp_path / "a"),
            editions.build(name, CHAPTERS[:2], tmp_path / "b"),
        )
    )
    assert first and first == second


def test_the_instructors_guide_is_not_for_students(tmp_path):
    pages = [CHAPTERS[0], next(p for p in CHAPTERS if p.stem == editions.GUIDE)]
    for name, count in (("student", 1), ("instructor", 2)):
        folder = editions.build(name, pages, tmp_path)
        assert len(list((folder / "book").glob("*.ipynb"))) == count


def test_an_edition_replaces_the_former_and_a_failure_leaves_it(tmp_path, monkeypatch):
    folder = editions.build("solutions", CHAPTERS[:1], tmp_path)
    (folder / "stale.txt").touch()
    assert editions.build("solutions", CHAPTERS[:1], tmp_path) == folder
    assert not (folder / "stale.txt").exists()
    before = digests(folder).keys()

    def fails(notebook):
        raise ValueError("an exercise without a number")

    monkeypatch.setitem(editions.EDITION, "solutions", fails)
    with pytest.raises(ValueError, match=f"{CHAPTERS[0].name}: an exercise without"):
        editions.build("solutions", CHAPTERS[:1], tmp_path)
    assert digests(folder).keys() == before
    assert [path.name for path in tmp_path.iterdir()] == ["solutions"]


def run(notebook, folder) -> list[str]:
    """Run a student's notebook in `folder`; what each check said."""
    done = copy.deepcopy(notebook)
    NotebookClient(
        done, timeout=300, resources={"metadata": {"path": str(folder)}}
    ).execute()
    return [
        "".join(output.get("text", "") for output in cell.outputs)
        for cell in done.cells
        if course.part(cell) == "check"
    ]


def test_a_student_fails_a_check_follows_its_message_and_passes(tmp_path):
    page = editions.student(small_page())
    assert run(page, tmp_path) == ["Exercise 1.1: not done yet.\n"]
    stub = next(cell for cell in page.cells if course.part(cell) == "stub")
    wrong = "    mse = ((hr_255 - sr_255) ** 2).mean()"
    answer = "    return 20 * np.log10(255 / mse**0.5)"
    stub.source = stub.source.replace("    ...  # yours", f"{wrong}\n{answer}")
    said = run(page, tmp_path)
    assert said == [
        "Exercise 1.1: you forgot the border crop: your value equals the uncropped "
        "one.\n"
    ]
    crop = "    hr_255 = hr_255[crop:-crop, crop:-crop]\n"
    crop += "    sr_255 = sr_255[crop:-crop, crop:-crop]\n"
    stub.source = stub.source.replace(wrong, crop + wrong)
    assert run(page, tmp_path) == ["Exercise 1.1: right.\n"]


def test_the_zip_is_enough_to_run_a_page(tmp_path, monkeypatch):
    """Its own library and data, found without an installation."""
    page = next(page for page in CHAPTERS if page.stem.startswith("05"))
    folder = editions.build("student", [page], tmp_path / "out")
    with zipfile.ZipFile(folder / editions.ZIP) as packed:
        packed.extractall(tmp_path / "unpacked")
    inside = tmp_path / "unpacked" / "srcnn-student"
    shutil.rmtree(folder)
    lines = (inside / "README.txt").read_text().splitlines()
    assert len(lines) == 3
    nb = nbformat.read(inside / "book" / page.name, as_version=4)
    where = "import srcnn_lib; print(srcnn_lib.__file__)"
    nb.cells.append(tagged(new_code_cell(where), "check"))
    monkeypatch.setenv("PYTHONPATH", str(inside))
    said = run(nb, inside / "book")
    assert said[-1].startswith(str(inside.resolve()))
    assert all("not done yet." in text for text in said[:-1])


def executed_page():
    """The small page with what a build of the book adds: a picture, a table."""
    page = small_page()
    text = (
        "## A section\n\nA *border* of a picture is what a method knows least of.\n\n"
        "$$ y = x^2 $$\n\nwhere the square is what a sentence goes on with.\n\n"
        "It leans on the last. Measured, it costs 0.5 dB of PSNR.\n"
    )
    drawn = new_code_cell("plot()")
    drawn.metadata["mystnb"] = {
        "figure": {"caption": "What is drawn, of $x$."},
        "image": {"alt": "A line that goes up."},
    }
    png = {"image/png": "iVBORw0KGgo=\n", "text/plain": "<Figure>"}
    drawn.outputs = [nbformat.v4.new_output("display_data", png)]
    told = new_code_cell("table")
    rows = {"text/markdown": "| a | b |\n|:--|--:|\n| one | 2.5 |"}
    told.outputs = [nbformat.v4.new_output("execute_result", rows, execution_count=1)]
    said = new_markdown_cell("What follows the figure is in its notes.")
    end = new_markdown_cell("## Summary\n\n- All is well.\n")
    page.cells[2:2] = [new_markdown_cell(text), drawn, said, told, end]
    return page


def test_a_deck_has_each_part_and_the_whole_text_in_its_notes():
    page = notebooks.BOOK / "01_small.ipynb"
    made = slides.of_page(page, executed_page())
    kinds = [slide.kind for slide in made]
    assert kinds == ["title", "goals", "text", "figure", "figure", "quiz", "list"]
    _, goals, text, figure, table, quiz, summary = made
    assert "<li>measure;</li>" in goals.body
    assert "<em>border</em>" in text.body and "\\[y = x^2\\]" in text.body
    assert "where the square" not in text.body
    assert "It leans" not in text.body and "It leans" in text.notes[0]
    assert 'alt="A line that goes up."' in figure.body and "\\(x\\)" in figure.body
    assert "What follows" in figure.notes[0]
    assert ">one</td>" in table.body
    assert quiz.body.index("fragment answer") > quiz.body.index("<ol")
    assert "All is well." in summary.body
    whole = slides.document("Small", made, "")
    assert not re.search(r'(src|href)="(https?:)?//', whole), "needs the network"
    assert "all depends on the border" not in whole, "a solution"


def test_what_moves_on_a_page_stands_on_a_slide():
    grey = {f"no. {k}": np.full((4, 4), k / 9) for k in range(6)}
    compared = slides.standing(widgets.overlay(grey, caption="A & B").page)
    assert re.findall("<small>(.*?)</small>", compared) == [
        "no. 0", "no. 1", "no. 2", "no. 5"
    ]  # fmt: skip
    assert compared.count("data:image/png") == slides.ABREAST
    assert "<figcaption>A &amp; B</figcaption>" in compared
    moved = slides.standing(widgets.frames(grey, caption="C", alt="d").page)
    assert moved.count("data:image/png") == 1 and "<script" not in moved
    assert slides.standing("<p>else</p>") == ""


def test_a_deck_of_demo_pictures_says_so():
    page = executed_page()
    made = slides.of_page(notebooks.BOOK / "01_small.ipynb", page)
    assert not any("Demo pictures" in slide.body for slide in made)
    box = {"text/html": datasets.Notice("Resting on a < b.")._repr_html_()}
    drawn = next(cell for cell in page.cells if cell.source == "plot()")
    drawn.outputs.insert(0, nbformat.v4.new_output("display_data", box))
    title, *others = slides.of_page(notebooks.BOOK / "01_small.ipynb", page)
    assert "Demo pictures.</strong> Resting on a &lt; b." in title.body
    assert [slide.kind for slide in others] == [slide.kind for slide in made[1:]]


def test_a_deck_without_npm_scrolls_and_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(slides, "executed", lambda page: executed_page())
    monkeypatch.setattr(slides.shutil, "which", lambda name: None)
    monkeypatch.setattr(slides, "REVEAL_FOLDER", tmp_path / "none")
    monkeypatch.setattr(slides.reveal, "__defaults__", (tmp_path / "none",))
    slides.build([notebooks.BOOK / "01_small.ipynb"], tmp_path / "decks")
    assert "npm, which fetches reveal.js" in capsys.readouterr().out
    text = (tmp_path / "decks" / "01_small.html").read_text()
    assert "is not installed: this deck scrolls." in text
    assert "assets/reveal" not in text and "<summary>Notes</summary>" in text
    assert not (tmp_path / "decks" / "assets" / "reveal").exists()


def test_what_npm_gives_is_checked(tmp_path, monkeypatch):
    def standin(command, cwd, **_):
        (cwd / f"reveal.js-{slides.REVEAL}.tgz").write_bytes(b"something else")
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(slides.shutil, "which", lambda name: "npm")
    monkeypatch.setattr(slides.subprocess, "run", standin)
    with pytest.raises(OSError, match="another hash"):
        slides.reveal(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_page_newer_than_the_book_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(slides, "CACHES", tmp_path)
    with pytest.raises(RuntimeError, match=f"{CHAPTERS[0].name} is not built"):
        slides.executed(CHAPTERS[0])


def test_what_a_page_needs_is_told_or_said_to_be_unmeasured(tmp_path):
    from benchmarks import page_costs

    file = tmp_path / "costs.json"
    empty = page_costs.table(file)
    assert empty.count(page_costs.NOT_YET) >= 3 * len(CHAPTERS)
    entry = {"wall_s": 15.3, "processor_s": 130.0, "peak_gb": 0.44}
    page_costs.record(CHAPTERS[0].stem, "cpu", entry, file)
    page_costs.record(CHAPTERS[1].stem, "cpu", entry, file)
    told = page_costs.table(file)
    assert told.count(" min | 15 s | 2.2 min | 0.4 GB |") == 2
    assert len(told.splitlines()) == 2 + len(notebooks.pages())
    assert "{{ costs }}" in (notebooks.BOOK / "index.md").read_text(encoding="utf-8")
