"""Exercises and quizzes have the form that the editions rely on, and every page's
objectives their exercises."""


import nbformat
import pytest
import yaml

import exercises
from tools import course, notebooks

PAGES = {page.stem: notebooks.read(page) for page in notebooks.pages()}
CHAPTERS = {name: nb for name, nb in PAGES.items() if name[0].isdigit()}
each_page = pytest.mark.parametrize("name", PAGES)
each_chapter = pytest.mark.parametrize("name", CHAPTERS)


def text_pages() -> dict[str, nbformat.NotebookNode]:
    """What the table of contents names in Markdown, as notebooks of one cell."""
    toc = yaml.safe_load((notebooks.ROOT / "_toc.yml").read_text(encoding="utf-8"))
    names = [toc["root"], *(c["file"] for p in toc["parts"] for c in p["chapters"])]
    paths = [notebooks.ROOT / f"{name}.md" for name in names]
    cell, new = nbformat.v4.new_markdown_cell, nbformat.v4.new_notebook
    return {p.name: new(cells=[cell(p.read_text())]) for p in paths if p.exists()}


@pytest.mark.parametrize("name, nb", (PAGES | text_pages()).items())
def test_every_objective_has_an_exercise(name, nb):
    count = len(course.goals(nb))
    promised = any("You will be able to" in cell.source for cell in nb.cells)
    assert bool(count) == promised, "objectives that are not read as such"
    assert count or name.endswith(".md"), "a notebook without objectives"
    touched = {goal for e in course.exercises(nb) for goal in e.goals}
    assert touched == set(range(1, count + 1))


@each_page
def test_exercises_are_numbered_and_their_parts_come_in_order(name):
    begin = str(int(name[:2])) if name[0].isdigit() else name[0]
    for k, e in enumerate(course.exercises(PAGES[name]), 1):
        assert e.number == f"{begin}.{k}"
        assert 1 <= e.minutes <= 60 and 1 <= e.points <= 10, e.number
        assert e.parts == sorted(e.parts, key=course.PARTS.index), e.number
        assert {"hint", "solution"} <= set(e.parts), e.number
        assert e.kind != "code" or set(e.parts) == set(course.PARTS), e.number
        assert max(e.parts.count(part) for part in ("exercise", "stub", "check")) == 1


@each_page
def test_stub_is_undone_and_the_folded_solution_passes_its_check(name):
    for e in course.exercises(PAGES[name]):
        shown = {"check": "", "solution": ""}
        for part, cell in zip(e.parts, e.cells, strict=True):
            if cell.cell_type == "code":
                said = "".join(output.get("text", "") for output in cell.outputs)
                shown[part] = shown.get(part, "") + said
                assert part != "solution" or "hide-cell" in course.tags(cell), e.number
            elif part in ("hint", "solution"):
                assert ":class: dropdown" in cell.source, e.number
        if "check" in e.parts:
            exercises.find(e.number)
            for part, said in (("check", "not done yet."), ("solution", "right.")):
                assert f"Exercise {e.number}: {said}\n" in shown[part], part


@each_chapter
def test_a_chapter_has_exercises_and_questions(name):
    kinds = [exercise.kind for exercise in course.exercises(CHAPTERS[name])]
    assert len(kinds) >= 4 and "code" in kinds
    questions, places = course.quiz(CHAPTERS[name]), set()
    assert len(questions) >= 3
    for text, options in questions:
        assert 3 <= len(options) <= 5, text
        right = [reason.startswith("Right") for _, reason in options]
        assert sum(right) == 1 and all(len(reason) >= 25 for _, reason in options), text
        places.add(right.index(True))
    assert len(places) >= 2, "right answers always stand at one place"


@each_page
def test_instructors_have_notes(name):
    notes = [cell for cell in PAGES[name].cells if "teaching" in course.tags(cell)]
    assert notes and all("remove-cell" in course.tags(cell) for cell in notes)
    text = "\n".join(cell.source for cell in notes)
    for exercise in course.exercises(PAGES[name]):
        assert f"**{exercise.number}**" in text, "its marking scheme"
