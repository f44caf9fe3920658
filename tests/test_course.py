"""Every chapter's exercises and quiz have the form that the editions rely on."""

import re

import pytest

from srcnn_lib import exercises
from tests.test_exercises import ANSWERS, CHECKED
from tools import course, notebooks

CHAPTERS = [page for page in notebooks.pages() if page.stem[0].isdigit()]


@pytest.fixture(scope="module", params=CHAPTERS, ids=lambda page: page.stem)
def chapter(request):
    return request.param.stem, notebooks.read(request.param)


def test_four_to_seven_exercises_of_known_kinds(chapter):
    name, notebook = chapter
    found = course.exercises(notebook)
    assert 4 <= len(found) <= 7
    expected = [f"{int(name[:2])}.{i}" for i in range(1, len(found) + 1)]
    assert [exercise.number for exercise in found] == expected
    for exercise in found:
        assert exercise.kind in course.KINDS
        assert 1 <= exercise.minutes <= 60 and 1 <= exercise.points <= 10
    assert any(exercise.kind == "code" for exercise in found)


def test_parts_come_in_order_and_each_has_a_solution(chapter):
    for exercise in course.exercises(chapter[1]):
        order = [course.PARTS.index(part) for part in exercise.parts]
        assert order == sorted(order), exercise.number
        assert {"hint", "solution"} <= set(exercise.parts), exercise.number
        if exercise.kind == "code":
            assert set(exercise.parts) == set(course.PARTS), exercise.number


def test_stub_is_undone_and_solution_passes_its_check(chapter):
    for exercise in course.exercises(chapter[1]):
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


def test_solutions_are_folded(chapter):
    for exercise in course.exercises(chapter[1]):
        for part, cell in zip(exercise.parts, exercise.cells, strict=True):
            if part == "solution" and cell.cell_type == "code":
                assert "hide-cell" in cell.metadata.tags, exercise.number
            elif part in ("hint", "solution"):
                assert ":class: dropdown" in cell.source, exercise.number


def test_every_goal_has_an_exercise(chapter):
    count = len(course.goals(chapter[1]))
    touched = {goal for e in course.exercises(chapter[1]) for goal in e.goals}
    assert count and touched == set(range(1, count + 1))


def test_five_questions_with_one_right_answer_and_reasons(chapter):
    questions = course.quiz(chapter[1])
    assert len(questions) == 5
    for question in questions:
        assert 3 <= len(question.options) <= 5, question.text
        reasons = [reason for _, reason in question.options]
        assert sum(reason.startswith("Right") for reason in reasons) == 1
        assert all(len(reason) >= 25 for reason in reasons), question.text


def test_right_answers_are_not_always_at_one_place(chapter):
    places = {
        [reason.startswith("Right") for _, reason in q.options].index(True)
        for q in course.quiz(chapter[1])
    }
    assert len(places) >= 3


def test_instructors_have_notes(chapter):
    notes = [
        cell
        for cell in chapter[1].cells
        if "teaching" in cell.metadata.get("tags", [])
    ]
    assert notes and all("remove-cell" in cell.metadata.tags for cell in notes)
    text = "\n".join(cell.source for cell in notes)
    for exercise in course.exercises(chapter[1]):
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
