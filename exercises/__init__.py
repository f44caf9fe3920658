"""Checks that tell a student at once whether an answer is right, and why not.

    import exercises
    exercises.check("2.1", my_function)

An answer is called with random arguments and compared with the right one; when
it differs, it is compared with typical wrong ones, and the message names the
mistake whose results it has.  One module for each chapter, ``chapter_02`` and
so on, and `appendix_a` and `appendix_b` for appendices A and B, has a table
``EXERCISES`` from number to `Function` or `Value`.
"""

import copy
import importlib
import numbers
import os
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

ROUNDS = 4
NOT_DONE = "not done yet."
APPENDICES = {"A": "appendix_a", "B": "appendix_b"}


@dataclass(frozen=True)
class Function:
    """An exercise whose answer is a function.

    right : the function wanted.
    arguments : makes a tuple of arguments for it from a random generator;
        arrays in float64, and shapes that differ from call to call.
    faults : what to tell the student → the function that makes that mistake,
        with the same arguments; the more specific first.
    property : called with the student's function, for what no single right
        result shows; a message where it does not hold, else None.
    atol, rtol : of `numpy.allclose`.
    """

    right: Callable
    arguments: Callable[[np.random.Generator], tuple]
    faults: dict[str, Callable] = field(default_factory=dict)
    property: Callable | None = None
    atol: float = 1e-9
    rtol: float = 1e-6


@dataclass(frozen=True)
class Value:
    """An exercise whose answer is a number, or several, or a word.

    right : the value, or a function without arguments that computes it.
    faults : what to tell the student → the wrong value, or a function for it.
    """

    right: object
    faults: dict[str, object] = field(default_factory=dict)
    atol: float = 1e-9
    rtol: float = 1e-6


def check(number: str, answer) -> None:
    """Say whether `answer` solves exercise `number`, or what is wrong with it.

    number : chapter and exercise, such as ``"2.1"``.
    answer : a function or a value, as the exercise asks.

    Prints one line and raises nothing, whatever the answer does; only when
    nbgrader marks the page (it sets NBGRADER_EXECUTION) does a wrong answer raise.

    Raises
    ------
    ValueError : when no exercise has this number.
    AssertionError : in nbgrader, with the message, when the answer is not right.
    """
    message = fault(number, answer)
    if message and os.environ.get("NBGRADER_EXECUTION"):
        raise AssertionError(f"Exercise {number}: {message}")
    print(f"Exercise {number}: {message or 'right.'}")


def fault(number: str, answer) -> str | None:
    """What is wrong with an answer; None when it is right.  As for `check`."""
    exercise = find(number)
    if _missing(answer):
        return NOT_DONE
    if isinstance(exercise, Value):
        return _fault_of_value(exercise, answer)
    if not callable(answer):
        kind = type(answer).__name__
        return f"the answer is a function to be called; this is of type {kind}."
    return _fault_of_function(exercise, answer)


def find(number: str) -> Function | Value:
    """The exercise of this number.  ValueError when there is none."""
    chapter = number.partition(".")[0]
    name = APPENDICES.get(chapter, f"chapter_{chapter.zfill(2)}")
    try:
        module = importlib.import_module(f"{__name__}.{name}")
        return module.EXERCISES[number]
    except (ModuleNotFoundError, KeyError):
        raise ValueError(
            f"no exercise {number!r} has a check; they are numbered by chapter, "
            "as in '2.1'"
        ) from None


def _fault_of_value(exercise: Value, answer) -> str | None:
    def value(of):
        return of() if callable(of) else of

    right = value(exercise.right)
    if _same(answer, right, exercise):
        return None
    for message, wrong in exercise.faults.items():
        if _same(answer, value(wrong), exercise):
            return message
    return _difference_of_value(answer, right, exercise)


def _fault_of_function(exercise: Function, answer: Callable) -> str | None:
    generator = np.random.default_rng()
    suspects = dict(exercise.faults)
    seen = None
    for _ in range(ROUNDS):
        arguments = exercise.arguments(generator)
        right = exercise.right(*copy.deepcopy(arguments))
        given = copy.deepcopy(arguments)
        try:
            got = answer(*given)
        except NotImplementedError:
            return NOT_DONE
        except (Exception, SystemExit) as error:
            return f"with {_shapes(arguments)} it raised {_said(error)}"
        if not all(map(_unchanged, arguments, given)):
            return "it changes its input in place; work on a copy."
        if _missing(got):
            return NOT_DONE
        if _same(got, right, exercise):
            # A mistake that doesn't show with these arguments is still possible.
            continue
        seen = seen or f"with {_shapes(arguments)}, {_difference(got, right)}"
        suspects = {
            message: wrong
            for message, wrong in suspects.items()
            if _same(got, wrong(*copy.deepcopy(arguments)), exercise)
        }
    if seen:
        return next(iter(suspects), seen)
    try:
        return exercise.property(answer) if exercise.property else None
    except (Exception, SystemExit) as error:
        return f"with other arguments it raised {_said(error)}"


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


def _missing(answer) -> bool:
    return answer is None or answer is Ellipsis


def _array(value) -> np.ndarray:
    """As an array, also where torch made it or a tuple has several shapes."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().double().numpy()
    if isinstance(value, tuple | list) and value:
        parts = [_array(part) for part in value]
        if any(part.shape != parts[0].shape for part in parts):
            value = np.concatenate([part.ravel() for part in parts])
        else:
            value = np.stack(parts)
    array = np.asarray(value)
    return array.astype(np.float64) if array.dtype.kind in "buif" else array


def _same(got, wanted, exercise) -> bool:
    got, wanted = _array(got), _array(wanted)
    if got.shape != wanted.shape or got.dtype.kind != wanted.dtype.kind:
        return False
    if wanted.dtype.kind not in "fc":
        return bool(np.all(got == wanted))
    close = {"atol": exercise.atol, "rtol": exercise.rtol, "equal_nan": True}
    return bool(np.allclose(got, wanted, **close))


def _unchanged(before, after) -> bool:
    if isinstance(before, np.ndarray) or hasattr(before, "detach"):
        return bool(np.array_equal(_array(before), _array(after), equal_nan=True))
    return True


def _difference_of_value(got, wanted, exercise) -> str:
    """What is wrong with a number or several, without telling the right ones."""
    given, right = _array(got), _array(wanted)
    numbers = given.dtype.kind in "fc" and right.dtype.kind in "fc"
    if not numbers or given.shape != right.shape:
        return _difference(got, wanted)
    close = np.isclose(given, right, atol=exercise.atol, rtol=exercise.rtol)
    if given.size and np.allclose(given, right, rtol=0.01, atol=0):
        return "nearly: compute it with more digits."
    if given.ndim == 0:
        return f"{given:.6g} is not the answer."
    if not close.any():
        return f"none of the {given.size} numbers is right."
    places = [str(k + 1) for k in np.flatnonzero(close)]
    return f"only no. {' and '.join(places)} of the {given.size} numbers is right."


def _difference(got, wanted) -> str:
    kind = type(got).__name__
    if isinstance(wanted, tuple) and not isinstance(got, str):
        return _difference_of_several(got, wanted)
    got, wanted = _array(got), _array(wanted)
    if got.dtype.kind == "O":
        return f"the result is of type {kind}; that can't be compared."
    if got.dtype.kind in "US" and wanted.dtype.kind in "fc":
        return "that is text; numbers are asked for."
    if got.dtype.kind not in "fc" or wanted.dtype.kind not in "fc":
        return "that is not the answer."
    if got.ndim == 2 and got.T.shape == wanted.shape and np.allclose(got.T, wanted):
        return "the result is transposed: its rows should be its columns."
    if got.shape != wanted.shape:
        return f"the result has shape {got.shape}; it should be {wanted.shape}."
    if not np.isfinite(got).all():
        return "the result has values that are not finite."
    if got.ndim == 0:
        if np.isclose(got, wanted, rtol=1e-3):
            return "all but right: compute in float64, and round nothing."
        return f"{got:.6g} is not the answer."
    if got.size > 1 and wanted.any():
        if np.allclose(got, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max()):
            return "all but right: compute in float64, and round nothing."
        factor = np.vdot(wanted, got) / np.vdot(wanted, wanted)
        if factor and np.allclose(got, factor * wanted):
            return f"the result is {factor:.6g} times what it should be."
        more = np.mean(got - wanted)
        if np.allclose(got - more, wanted):
            return f"the result is too large by {more:.6g}, everywhere."
    apart = np.abs(got - wanted)
    place = np.unravel_index(int(apart.argmax()), apart.shape)
    where = ", ".join(map(str, place))
    return (
        f"{np.mean(apart > 1e-9):.0%} of the values differ, most at [{where}]: "
        f"{got[place]:.6g} instead of {wanted[place]:.6g}."
    )


def _difference_of_several(got, wanted: tuple) -> str:
    """Of the results that a function returns together, the first that differs."""
    stacked = _array(got).shape == _array(wanted).shape
    parts = list(got) if stacked or isinstance(got, tuple | list) else [got]
    count = len(wanted)
    if len(parts) != count:
        return f"{count} results are asked for, in a tuple; this gave {len(parts)}."
    for k, (part, right) in enumerate(zip(parts, wanted, strict=True), 1):
        if not _same(part, right, Value(right)):
            return f"of the {count} results, no. {k}: {_difference(part, right)}"
    return "that is not the answer."


def _shapes(arguments: tuple) -> str:
    """The arguments in words: shapes of arrays, values of numbers."""
    shown = []
    for argument in arguments:
        shape = getattr(argument, "shape", None)
        if shape:
            shown.append("an array of shape (" + ", ".join(map(str, shape)) + ")")
        elif isinstance(argument, numbers.Real):
            shown.append(f"{argument:.6g}")
        elif isinstance(argument, str):
            shown.append(repr(argument))
    return " and ".join(shown) or "its arguments"
