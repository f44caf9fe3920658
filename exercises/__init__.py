"""Checks that tell a student at once whether an answer is right, and why not.

    import exercises
    exercises.check("2.1", my_function)

`check` calls an answer with random arguments and compares its result with the right
one.  If they differ, it looks among the results of typical wrong answers; the message
then names that mistake.  Each chapter has a module, ``chapter_02`` and so on, and
appendices A and B have `appendix_a` and `appendix_b`.  A module's table ``EXERCISES``
holds a `Function` or a `Value` for each number.
"""

import copy
import importlib
import numbers
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

#: Sets of random arguments that an answer must get right.
ROUNDS = 4
APPENDICES = {"A": "appendix_a", "B": "appendix_b"}


class Fault(NamedTuple):
    """What is wrong with an answer.

    id : a short name, such as ``"uncropped"``; unlike the message it never changes.
        It begins with ``result-`` if no listed mistake explains the result.
    message : what the student reads.
    """

    id: str
    message: str


NOT_DONE = Fault("not-done", "not done yet.")


@dataclass(frozen=True)
class Function:
    """An exercise whose answer is a function.

    right : the right function.
    arguments : makes a tuple of arguments from a random generator; its arrays are
        float64, and their shapes differ from call to call.
    faults : id of a mistake → (message, function that makes the mistake); the
        function takes the same arguments.  More specific mistakes come first.
    property : checks what no single result shows.  It is called with the student's
        function, and returns (id, message) if the function fails, else None.
    atol, rtol : as for `numpy.allclose`.
    """

    right: Callable
    arguments: Callable[[np.random.Generator], tuple]
    faults: dict[str, tuple[str, Callable]] = field(default_factory=dict)
    property: Callable | None = None
    atol: float = 1e-9
    rtol: float = 1e-6


@dataclass(frozen=True)
class Value:
    """An exercise whose answer is a number, or several, or a word.

    right : the value, or a function without arguments that computes it.
    faults : id of a mistake → (message, the wrong value or a function for it).
    """

    right: object
    faults: dict[str, tuple[str, object]] = field(default_factory=dict)
    atol: float = 1e-9
    rtol: float = 1e-6


def check(number: str, answer) -> None:
    """Print whether `answer` solves exercise `number`, or what is wrong with it.

    number : chapter and exercise, such as ``"2.1"``.
    answer : a function or a value, as the exercise asks.

    A wrong answer raises nothing, except while nbgrader marks the page (it sets
    NBGRADER_EXECUTION).

    Raises
    ------
    ValueError : if no exercise has this number.
    AssertionError : in nbgrader, with the message, if the answer is wrong.
    """
    found = fault(number, answer)
    if found and os.environ.get("NBGRADER_EXECUTION"):
        raise AssertionError(f"Exercise {number}: {found.message}")
    print(f"Exercise {number}: {found.message if found else 'right.'}")


def fault(
    number: str, answer, generator: np.random.Generator | None = None
) -> Fault | None:
    """What is wrong with an answer, or None if it is right.

    generator : draws the arguments; without one they differ in every call.
    """
    exercise = find(number)
    if _missing(answer):
        return NOT_DONE
    if isinstance(exercise, Value):
        return _fault_of_value(exercise, answer)
    if not callable(answer):
        kind = type(answer).__name__
        return Fault(
            "no-function",
            f"the answer is a function to be called; this is of type {kind}.",
        )
    return _fault_of_function(exercise, answer, generator or np.random.default_rng())


def find(number: str) -> Function | Value:
    """The exercise of this number.  ValueError if there is none."""
    chapter = number.partition(".")[0]
    name = APPENDICES.get(chapter, f"chapter_{chapter.zfill(2)}")
    try:
        return importlib.import_module(f"{__name__}.{name}").EXERCISES[number]
    except (ModuleNotFoundError, KeyError):
        raise ValueError(
            f"no exercise {number!r} has a check; they are numbered by chapter, "
            "as in '2.1'"
        ) from None


def _fault_of_value(exercise: Value, answer) -> Fault | None:
    def value(of):
        return of() if callable(of) else of

    right = value(exercise.right)
    if _same(answer, right, exercise):
        return None
    for name, (message, wrong) in exercise.faults.items():
        if _same(answer, value(wrong), exercise):
            return Fault(name, message)
    return _difference_of_value(answer, right, exercise)


def _fault_of_function(exercise: Function, answer, generator) -> Fault | None:
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
            told = f"with {_shapes(arguments)} it raised {_said(error)}"
            return Fault("raised", told)
        if not all(map(_unchanged, arguments, given)):
            return Fault("in-place", "it changes its input in place; work on a copy.")
        if _missing(got):
            return NOT_DONE
        if _same(got, right, exercise):
            # A mistake that doesn't show with these arguments is still possible.
            continue
        if seen is None:
            name, message = _difference(got, right)
            seen = Fault(name, f"with {_shapes(arguments)}, {message}")
        suspects = {
            name: (message, wrong)
            for name, (message, wrong) in suspects.items()
            if _same(got, wrong(*copy.deepcopy(arguments)), exercise)
        }
    if seen:
        return next((Fault(k, said) for k, (said, _) in suspects.items()), seen)
    try:
        failed = exercise.property and exercise.property(answer)
    except (Exception, SystemExit) as error:
        return Fault("raised", f"with other arguments it raised {_said(error)}")
    return Fault(*failed) if failed else None


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


def _missing(answer) -> bool:
    return answer is None or answer is Ellipsis


def _array(value) -> np.ndarray:
    """An array, also of a tensor or of a tuple with parts of several shapes."""
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


def _difference_of_value(got, wanted, exercise) -> Fault:
    """What is wrong with a number or several, without telling the right ones."""
    given, right = _array(got), _array(wanted)
    numbers = given.dtype.kind in "fc" and right.dtype.kind in "fc"
    if not numbers or given.shape != right.shape:
        return _difference(got, wanted)
    close = np.isclose(given, right, atol=exercise.atol, rtol=exercise.rtol)
    if given.size and np.allclose(given, right, rtol=0.01, atol=0):
        return Fault("result-nearly", "nearly: compute it with more digits.")
    if given.ndim == 0:
        return Fault("result-other", f"{given:.6g} is not the answer.")
    if not close.any():
        return Fault("result-none", f"none of the {given.size} numbers is right.")
    places = [str(k + 1) for k in np.flatnonzero(close)]
    return Fault(
        f"result-only-{'-'.join(places)}",
        f"only no. {' and '.join(places)} of the {given.size} numbers is right.",
    )


def _difference(got, wanted) -> Fault:
    """In which way a result that no listed mistake explains is wrong."""
    kind = type(got).__name__
    if isinstance(wanted, tuple) and not isinstance(got, str):
        return _difference_of_several(got, wanted)
    got, wanted = _array(got), _array(wanted)
    if got.dtype.kind == "O":
        told = f"the result is of type {kind}; that can't be compared."
        return Fault("result-type", told)
    if got.dtype.kind in "US" and wanted.dtype.kind in "fc":
        return Fault("result-text", "that is text; numbers are asked for.")
    if got.dtype.kind not in "fc" or wanted.dtype.kind not in "fc":
        return Fault("result-other", "that is not the answer.")
    if got.ndim == 2 and got.T.shape == wanted.shape and np.allclose(got.T, wanted):
        told = "the result is transposed: its rows should be its columns."
        return Fault("result-transposed", told)
    if got.shape != wanted.shape:
        told = f"the result has shape {got.shape}; it should be {wanted.shape}."
        return Fault("result-shape", told)
    if not np.isfinite(got).all():
        return Fault("result-not-finite", "the result has values that are not finite.")
    return _difference_of_numbers(got, wanted)


def _difference_of_numbers(got: np.ndarray, wanted: np.ndarray) -> Fault:
    """As `_difference`, of finite arrays of one shape."""
    told = "almost right: compute in float64, and round nothing."
    rough = Fault("result-digits", told)
    if got.ndim == 0:
        if np.isclose(got, wanted, rtol=1e-3):
            return rough
        return Fault("result-other", f"{got:.6g} is not the answer.")
    if got.size > 1 and wanted.any():
        if np.allclose(got, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max()):
            return rough
        factor = np.vdot(wanted, got) / np.vdot(wanted, wanted)
        if factor and np.allclose(got, factor * wanted):
            told = f"the result is {factor:.6g} times what it should be."
            return Fault("result-factor", told)
        more = np.mean(got - wanted)
        if np.allclose(got - more, wanted):
            told = f"the result is too large by {more:.6g}, everywhere."
            return Fault("result-offset", told)
    apart = np.abs(got - wanted)
    place = np.unravel_index(int(apart.argmax()), apart.shape)
    where = ", ".join(map(str, place))
    return Fault(
        "result-values",
        f"{np.mean(apart > 1e-9):.0%} of the values differ, most at [{where}]: "
        f"{got[place]:.6g} instead of {wanted[place]:.6g}.",
    )


def _difference_of_several(got, wanted: tuple) -> Fault:
    """The first of several results, returned together, that differs."""
    stacked = _array(got).shape == _array(wanted).shape
    parts = list(got) if stacked or isinstance(got, tuple | list) else [got]
    count = len(wanted)
    if len(parts) != count:
        told = f"{count} results are asked for, in a tuple; this gave {len(parts)}."
        return Fault("result-count", told)
    for k, (part, right) in enumerate(zip(parts, wanted, strict=True), 1):
        if not _same(part, right, Value(right)):
            name, message = _difference(part, right)
            told = f"of the {count} results, no. {k}: {message}"
            return Fault(f"{name}-of-{k}", told)
    return Fault("result-other", "that is not the answer.")


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
