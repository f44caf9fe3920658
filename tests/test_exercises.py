"""Every check: passes the right answer, and names what a wrong one got wrong."""

import importlib
import pkgutil

import numpy as np
import pytest

import exercises
from exercises import Value, check, fault
from tests import answers
from tools import course, notebooks


def gather(package, table):
    """The entries of a table of the modules of a package, one for each page."""
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    names = [n for n in names if n.startswith(("chapter_", "appendix_"))]
    modules = (importlib.import_module(f"{package.__name__}.{name}") for name in names)
    return {k: v for module in modules for k, v in getattr(module, table).items()}


CHECKED = gather(exercises, "EXERCISES")
ANSWERS = gather(answers, "ANSWERS")
VALUES = [n for n, exercise in CHECKED.items() if isinstance(exercise, Value)]
WRONG = [(n, name) for n, (_, wrong) in ANSWERS.items() for name in wrong]


def found(number, answer, seed=0):
    return fault(number, answer, np.random.default_rng(seed))


def id_of(number, answer, seed=0):
    return found(number, answer, seed).id


def test_every_check_has_its_answers():
    assert set(CHECKED) == set(ANSWERS)


@pytest.mark.parametrize("number", CHECKED)
def test_right_answer(number, capsys):
    right, _ = ANSWERS[number]
    assert [found(number, right, seed) for seed in range(3)] == [None] * 3
    check(number, right)
    assert capsys.readouterr().out == f"Exercise {number}: right.\n"


@pytest.mark.parametrize("number, name", WRONG)
def test_wrong_answer_is_named(number, name):
    wrong = ANSWERS[number][1][name]
    named = [id_of(number, wrong, seed) for seed in range(3)]
    assert named == [name.partition("/")[0]] * 3


@pytest.mark.parametrize("number", CHECKED)
def test_three_mistakes_are_told_apart(number):
    assert len({name.partition("/")[0] for name in ANSWERS[number][1]}) >= 3
    faults = CHECKED[number].faults
    assert len({message for message, _ in faults.values()}) == len(faults)
    assert not any(name.startswith("result-") for name in faults)


def test_the_bug_museum_shows_every_exhibit_and_its_cost():
    museum = notebooks.read(notebooks.BOOK / "B_bug_museum.ipynb")
    numbers = [number for number in CHECKED if number.startswith("B")]
    assert [exercise.number for exercise in course.exercises(museum)] == numbers
    table = next(c for c in museum.cells if "museum.items()" in c.source)
    assert all(f"{n} " in table.outputs[0].data["text/plain"] for n in numbers)


@pytest.mark.parametrize("number", CHECKED)
def test_untouched_stub(number, capsys):
    def stub(*arguments):
        """What is wanted."""

    def raising(*arguments):
        raise NotImplementedError

    for untouched in (..., None) if number in VALUES else (..., None, stub, raising):
        check(number, untouched)
        assert capsys.readouterr().out == f"Exercise {number}: not done yet.\n"


def test_marking_raises(monkeypatch):
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    with pytest.raises(AssertionError, match="Exercise 1.1: not done yet"):
        check("1.1", ...)
    check("1.1", ANSWERS["1.1"][0])


def test_unknown_number():
    for number in ("1.99", "99.1", "", "answers", "../1.1"):
        with pytest.raises(ValueError, match="no exercise"):
            check(number, 1)


@pytest.mark.parametrize("name, answer", {
    "result-shape": lambda hr, sr, crop: hr - sr,
    "raised": lambda hr, sr: 1.0,
    "raised/exit": lambda hr, sr, crop: exit(),
    "result-other": lambda hr, sr, crop: 12.5,
    "result-not-finite": lambda hr, sr, crop: np.nan,
    "no-function": 3.0,
    "result-type": lambda hr, sr, crop: {"psnr": 3},
}.items())  # fmt: skip
def test_what_no_listed_mistake_explains_is_described(name, answer):
    assert id_of("1.1", answer) == name.partition("/")[0]


@pytest.mark.parametrize("name, number, change", [
    ("result-factor", "3 ", lambda code: 3 * code),
    ("result-factor", "-1 ", lambda code: -code),
    ("result-offset", "0.25", lambda code: code + 0.25),
    ("result-digits", "float64", lambda code: np.round(code, 5)),
    ("result-values", "%", lambda code: code[::-1]),
])  # fmt: skip
def test_how_a_result_differs_is_told(name, number, change):
    right = ANSWERS["3.4"][0]
    assert CHECKED["3.4"].right is not right
    told = found("3.4", lambda *given: change(right(*given)))
    assert told.id == name and number in told.message and "np." not in told.message


@pytest.mark.parametrize("number", VALUES)
def test_a_wrong_number_does_not_tell_the_right_one(number):
    """Or the check would give its answer away."""
    right = np.asarray(ANSWERS[number][0], dtype=float)
    for at in range(right.size):
        wrong = right.copy()
        wrong.flat[at] = wrong.flat[at] * 1.37 + 0.71
        for answer in (wrong, 3.77 * wrong):
            told = found(number, answer)
            kind = told.id.removeprefix("result-").partition("-")[0]
            assert kind in ("none", "only", "nearly", "other"), told
            counts = range(right.size + 1)  # may be told: "no. 2 of the 3 numbers"
            secret = {f"{value:.6g}" for value in right.flat if value not in counts}
            assert not secret & set(told.message.rstrip(".").split()), told


@pytest.mark.parametrize("name, number, change", [
    ("result-factor-of-1", "3 times", lambda D, C: (3 * D, C)),
    ("result-factor-of-2", "0.3 times", lambda D, C: [D, 0.3 * C]),
    ("result-count", "1", lambda D, C: D),
    ("result-count", "3", lambda D, C: (D, C, C)),
])  # fmt: skip
def test_of_several_results_the_wrong_one_is_named(name, number, change):
    told = found("3.5", lambda X, C: change(*ANSWERS["3.5"][0](X, C)))
    assert told.id == name and number in told.message


def test_a_transposed_picture_and_a_changed_input_are_noticed():
    def in_place(hr_255, sr_255, crop):
        hr_255 -= sr_255

    assert id_of("1.1", in_place) == "in-place"
    assert id_of("1.2", lambda rgb: ANSWERS["1.2"][0](rgb).T) == "result-transposed"
