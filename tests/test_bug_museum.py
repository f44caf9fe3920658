"""The bug museum's exhibits: each has its check and its cost in the last table."""

from exercises import appendix_b
from tools import course, notebooks

MUSEUM = notebooks.read(notebooks.BOOK / "B_bug_museum.ipynb")


def test_every_check_has_its_exhibit():
    numbers = [exercise.number for exercise in course.exercises(MUSEUM)]
    assert numbers == list(appendix_b.EXERCISES)


def test_costs_stand_in_the_last_table():
    shown = next(c for c in MUSEUM.cells if "museum.items()" in c.source)
    table = shown.outputs[0].data["text/plain"]
    for number in appendix_b.EXERCISES:
        assert f"{number} " in table
