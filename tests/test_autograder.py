"""nbgrader takes the students' edition, and its autograder marks one page of it."""

import csv
import json
import os
import shutil
import subprocess
import sys

import nbformat
import pytest

from tools import course, editions, notebooks

PAGE = next(page for page in notebooks.pages() if page.stem.startswith("05"))


@pytest.fixture
def nbgrader(tmp_path):
    """Run nbgrader in a course's folder; cells run in this Python, not in its own."""
    if not (program := shutil.which("nbgrader")):
        pytest.skip("nbgrader is not installed (pip install nbgrader==0.9.6)")
    made = editions.build("student", None, tmp_path / "editions")
    spec = tmp_path / "jupyter" / "kernels" / "python3" / "kernel.json"
    spec.parent.mkdir(parents=True)
    start = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    about = {"argv": start, "display_name": "Python 3", "language": "python"}
    spec.write_text(json.dumps(about))
    here = os.environ | {"JUPYTER_PATH": str(tmp_path / "jupyter"),
                         "PYTHONPATH": str(made)}  # fmt: skip
    shutil.copy(made / editions.NBGRADER, tmp_path)
    shutil.copytree(made / "book", tmp_path / "source" / "book")
    (tmp_path / "source" / "chapter").mkdir()
    shutil.copy(made / "book" / PAGE.name, tmp_path / "source" / "chapter")

    def run(*command):
        done = subprocess.run([program, *command], cwd=tmp_path, env=here, text=True,
                              capture_output=True, timeout=800)  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.mark.slow
def test_untouched_right_and_wrong_answers_get_their_marks(nbgrader, tmp_path):
    found = course.exercises(notebooks.read(PAGE))
    checked = [  # of two solutions, the first, which is code
        dict(zip(e.parts[::-1], e.cells[::-1])) for e in found if "check" in e.parts
    ]
    most = sum(e.points for e in found if "check" in e.parts)

    def hand_in(name, answer, copied=False):
        nb = notebooks.read(tmp_path / "release" / "chapter" / PAGE.name)
        cells = {cell.id: cell for cell in nb.cells}
        for parts in checked:
            cells[parts["stub"].id].source = answer(parts)
        if copied:
            twin = cells[checked[0]["check"].id] | {"id": "copied"}
            nb.cells.append(nbformat.from_dict(twin))
        target = tmp_path / "submitted" / name / "chapter" / PAGE.name
        target.parent.mkdir(parents=True)
        target.write_text(notebooks.text_of(nb), encoding="utf-8")

    def wrong(parts):
        text = parts["stub"].source.replace("= ...", "= 7")
        return text.replace("...  # yours", "return 7")

    for name in ("chapter", "book"):  # also reads the metadata of every page
        status, said = nbgrader("generate_assignment", name)
        assert status == 0, said
    hand_in("untouched", lambda parts: parts["stub"].source)
    hand_in("right", lambda parts: parts["solution"].source)
    hand_in("wrong", wrong)
    status, said = nbgrader("autograde", "chapter")
    assert status == 0, said
    assert nbgrader("export")[0] == 0
    with open(tmp_path / "grades.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["assignment"] == "chapter"]
    marks = {row["student_id"]: float(row["score"]) for row in rows}
    assert marks == {"untouched": 0, "right": most, "wrong": 0}
    hand_in("copied", wrong, copied=True)
    status, said = nbgrader("autograde", "chapter", "--student", "copied")
    assert status and "old version" in said and "multiple times" in said, said
