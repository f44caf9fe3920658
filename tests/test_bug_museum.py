"""The bug museum's exercises have the form of the chapters'."""

import pytest

from srcnn_lib.exercises import bug_museum
from tests import test_course as form
from tools import course, notebooks

MUSEUM = ("B_bug_museum", notebooks.read(notebooks.BOOK / "B_bug_museum.ipynb"))


@pytest.mark.parametrize(
    "has_the_form",
    [
        form.test_parts_come_in_order_and_each_has_a_solution,
        form.test_stub_is_undone_and_solution_passes_its_check,
        form.test_solutions_are_folded,
        form.test_every_goal_has_an_exercise,
        form.test_instructors_have_notes,
    ],
)
def test_form(has_the_form):
    has_the_form(MUSEUM)


def test_every_check_has_its_exhibit():
    numbers = [exercise.number for exercise in course.exercises(MUSEUM[1])]
    assert numbers == list(bug_museum.EXERCISES)


def test_costs_stand_in_the_last_table():
    shown = next(c for c in MUSEUM[1].cells if "museum.items()" in c.source)
    table = shown.outputs[0].data["text/plain"]
    for number in bug_museum.EXERCISES:
        assert f"{number} " in table
