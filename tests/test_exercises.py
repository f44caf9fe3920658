"""Every check: passes the right answer, and names what a wrong one got wrong."""

import importlib
import pkgutil
import re

import numpy as np
import pytest

import exercises
from tests import answers


def modules(package):
    return sorted(m.name for m in pkgutil.iter_modules(package.__path__))


CHECKED = {
    number: exercise
    for name in modules(exercises)
    for number, exercise in importlib.import_module(
        f"{exercises.__name__}.{name}"
    ).EXERCISES.items()
}
ANSWERS = {
    number: answer
    for name in modules(answers)
    for number, answer in importlib.import_module(
        f"{answers.__name__}.{name}"
    ).ANSWERS.items()
}
WRONG = [(n, part) for n, (_, wrong) in ANSWERS.items() for part in wrong]


def is_value(number):
    return isinstance(CHECKED[number], exercises.Value)


def test_every_check_has_its_answers():
    assert set(CHECKED) == set(ANSWERS)


@pytest.mark.parametrize("number", CHECKED)
def test_right_answer(number, capsys):
    right, _ = ANSWERS[number]
    for _ in range(3):  # the arguments are random
        exercises.check(number, right)
    said = capsys.readouterr().out
    assert said == f"Exercise {number}: right.\n" * 3


@pytest.mark.parametrize("number, part", WRONG)
def test_wrong_answer_is_named(number, part):
    wrong = ANSWERS[number][1][part]
    for _ in range(3):
        message = exercises.fault(number, wrong)
        assert message and part in message, message


@pytest.mark.parametrize("number", CHECKED)
def test_three_mistakes_are_told_apart(number):
    wrong = ANSWERS[number][1].values()
    messages = {exercises.fault(number, answer) for answer in wrong}
    assert len(messages) >= 3, messages


@pytest.mark.parametrize("number", CHECKED)
def test_untouched_stub(number, capsys):
    def stub(*arguments):
        """What is wanted."""

    def raising(*arguments):
        raise NotImplementedError

    for untouched in (..., None) if is_value(number) else (..., None, stub, raising):
        exercises.check(number, untouched)
        assert capsys.readouterr().out == f"Exercise {number}: not done yet.\n"


def test_marking_raises(monkeypatch):
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    with pytest.raises(AssertionError, match="Exercise 1.1: not done yet"):
        exercises.check("1.1", ...)
    exercises.check("1.1", ANSWERS["1.1"][0])


@pytest.mark.parametrize("number", ["1.99", "99.1", "", "answers", "../1.1"])
def test_unknown_number(number):
    with pytest.raises(ValueError, match="no exercise"):
        exercises.check(number, 1)


def test_what_no_listed_mistake_explains_is_described():
    def shown(answer):
        return exercises.fault("1.1", answer)

    assert "shape" in shown(lambda hr, sr, crop: hr - sr)
    assert "it raised TypeError" in shown(lambda hr, sr: 1.0)
    assert "not the answer" in shown(lambda hr, sr, crop: 12.5)
    assert "not finite" in shown(lambda hr, sr, crop: np.nan)
    assert "a function to be called" in shown(3.0)
    assert "of type dict" in shown(lambda hr, sr, crop: {"psnr": 3})
    assert "raised SystemExit" in shown(lambda hr, sr, crop: exit())
    step, right = CHECKED["3.4"], ANSWERS["3.4"][0]
    assert step.right is not right

    def told(change):
        message = exercises.fault("3.4", lambda *given: change(right(*given)))
        assert "np." not in message
        return message

    assert "times what it should be" in told(lambda code: 3 * code)
    assert "-1 times" in told(lambda code: -code)
    assert "too large by 0.25, everywhere" in told(lambda code: code + 0.25)
    assert "compute in float64" in told(lambda code: np.round(code, 5))
    assert "of the values differ" in told(lambda code: code[::-1])
    turned = exercises.fault("1.2", lambda rgb: ANSWERS["1.2"][0](rgb).T)
    assert "transposed" in turned


@pytest.mark.parametrize("number", [n for n in CHECKED if is_value(n)])
def test_a_wrong_number_does_not_tell_the_right_one(number):
    """Or the check would give its answer away."""
    right = np.asarray(ANSWERS[number][0], dtype=float)
    for at in range(right.size):
        wrong = right.copy()
        wrong.flat[at] = wrong.flat[at] * 1.37 + 0.71
        said = {exercises.fault(number, answer) for answer in (wrong, 3.77 * wrong)}
        forms = r"none of the \d|only no\. [\d and]+ of|nearly|\S+ is not the answer"
        assert all(re.match(forms, message) for message in said), said


def test_of_several_results_the_wrong_one_is_named():
    right = ANSWERS["3.5"][0]

    def told(change):
        return exercises.fault("3.5", lambda X, C: change(*right(X, C)))

    assert "of the 2 results, no. 1: the result is 3 times" in told(
        lambda D, C: (3 * D, C)
    )
    assert "of the 2 results, no. 2: the result is 0.3 times" in told(
        lambda D, C: [D, 0.3 * C]
    )
    assert "2 results are asked for, in a tuple; this gave 1" in told(lambda D, C: D)
    assert "this gave 3" in told(lambda D, C: (D, C, C))


def test_changed_input_is_noticed():
    def in_place(hr_255, sr_255, crop):
        hr_255 -= sr_255

    assert "changes its input" in exercises.fault("1.1", in_place)
