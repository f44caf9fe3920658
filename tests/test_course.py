"""Exercises and quizzes have the form that the editions rely on, and every page's
objectives their exercises."""

import re

import nbformat
import pytest
import yaml

import exercises
from tests.test_exercises import ANSWERS, CHECKED
from tools import course, notebooks

CHAPTERS = [page for page in notebooks.pages() if page.stem[0].isdigit()]


def every_page() -> list:
    """All that the table of contents names, notebooks and Markdown."""
    toc = yaml.safe_load((notebooks.ROOT / "_toc.yml").read_text(encoding="utf-8"))
    names = [toc["root"]]
    names += [c["file"] for part in toc["parts"] for c in part["chapters"]]
    files = [(notebooks.ROOT / name).with_suffix for name in names]
    return [p for of in files for p in (of(".ipynb"), of(".md")) if p.exists()]


def read(path) -> nbformat.NotebookNode:
    if path.suffix == ".ipynb":
        return notebooks.read(path)
    cell = nbformat.v4.new_markdown_cell(path.read_text(encoding="utf-8"))
    return nbformat.v4.new_notebook(cells=[cell])


@pytest.fixture(scope="module", params=CHAPTERS, ids=lambda page: page.stem)
def chapter(request):
    return notebooks.read(request.param)


@pytest.fixture(scope="module", params=notebooks.pages(), ids=lambda page: page.stem)
def lesson(request):
    """A page with exercises: a chapter or an appendix."""
    return notebooks.read(request.param)


@pytest.mark.parametrize("path", every_page(), ids=lambda path: path.stem)
def test_every_objective_has_an_exercise(path):
    notebook = read(path)
    count = len(course.goals(notebook))
    promised = any("You will be able to" in cell.source for cell in notebook.cells)
    assert bool(count) == promised, "objectives that are not read as such"
    assert count or path.suffix == ".md", "a notebook without objectives"
    touched = {goal for e in course.exercises(notebook) for goal in e.goals}
    assert touched == set(range(1, count + 1))


def test_exercises_are_numbered_by_their_page(lesson, request):
    name = request.node.callspec.id
    begin = str(int(name[:2])) if name[0].isdigit() else name[0]
    numbers = [exercise.number for exercise in course.exercises(lesson)]
    assert numbers == [f"{begin}.{i}" for i in range(1, len(numbers) + 1)]


def test_kinds_minutes_and_points(lesson):
    for exercise in course.exercises(lesson):
        assert exercise.kind in course.KINDS
        assert 1 <= exercise.minutes <= 60 and 1 <= exercise.points <= 10


def test_four_to_seven_exercises_in_a_chapter(chapter):
    found = course.exercises(chapter)
    assert 4 <= len(found) <= 7
    assert any(exercise.kind == "code" for exercise in found)


def test_parts_come_in_order_and_each_has_a_solution(lesson):
    for exercise in course.exercises(lesson):
        order = [course.PARTS.index(part) for part in exercise.parts]
        assert order == sorted(order), exercise.number
        assert {"hint", "solution"} <= set(exercise.parts), exercise.number
        if exercise.kind == "code":
            assert set(exercise.parts) == set(course.PARTS), exercise.number


def test_stub_is_undone_and_solution_passes_its_check(lesson):
    for exercise in course.exercises(lesson):
        if "check" not in exercise.parts:
            continue
        exercises.find(exercise.number)
        for part, said in (("check", "not done yet."), ("solution", "right.")):
            cells = [
                cell
                for name, cell in zip(exercise.parts, exercise.cells, strict=True)
                if name == part and cell.cell_type == "code"
            ]
            shown = "".join(o.get("text", "") for c in cells for o in c.outputs)
            assert f"Exercise {exercise.number}: {said}\n" in shown, part


def test_solutions_are_folded(lesson):
    for exercise in course.exercises(lesson):
        for part, cell in zip(exercise.parts, exercise.cells, strict=True):
            if part == "solution" and cell.cell_type == "code":
                assert "hide-cell" in cell.metadata.tags, exercise.number
            elif part in ("hint", "solution"):
                assert ":class: dropdown" in cell.source, exercise.number


def test_five_questions_with_one_right_answer_and_reasons(chapter):
    questions = course.quiz(chapter)
    assert len(questions) == 5
    for question in questions:
        assert 3 <= len(question.options) <= 5, question.text
        reasons = [reason for _, reason in question.options]
        assert sum(reason.startswith("Right") for reason in reasons) == 1
        assert all(len(reason) >= 25 for reason in reasons), question.text


def test_right_answers_are_not_always_at_one_place(chapter):
    places = {
        [reason.startswith("Right") for _, reason in q.options].index(True)
        for q in course.quiz(chapter)
    }
    assert len(places) >= 3


def test_instructors_have_notes(lesson):
    notes = [
        cell for cell in lesson.cells if "teaching" in cell.metadata.get("tags", [])
    ]
    assert notes and all("remove-cell" in cell.metadata.tags for cell in notes)
    text = "\n".join(cell.source for cell in notes)
    for exercise in course.exercises(lesson):
        assert f"**{exercise.number}**" in text, "its marking scheme"


def test_counts_in_the_readme():
    pages = [notebooks.read(page) for page in notebooks.pages()]
    counts = (
        sum(len(course.exercises(page)) for page in pages),
        len(CHECKED),
        sum(len(wrong) for _, wrong in ANSWERS.values()),
        sum(len(course.quiz(page)) for page in pages),
    )
    readme = (notebooks.ROOT / "README.md").read_text(encoding="utf-8")
    said = re.search(
        r"(\d+) exercises, (\d+) of them with a check, which (\d+) typical wrong "
        r"answers test, and (\d+) quiz questions",
        " ".join(readme.split()),
    )
    assert said and tuple(map(int, said.groups())) == counts, counts
