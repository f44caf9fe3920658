"""nbgrader's own autograder marks one page of the students' edition."""

import csv
import json
import os
import shutil
import subprocess
import sys

import pytest

from tools import course, editions, notebooks

PAGE = next(page for page in notebooks.pages() if page.stem.startswith("05"))
SOURCE = f"source/chapter/{PAGE.name}"


@pytest.fixture
def nbgrader(tmp_path):
    """Run nbgrader in a course's folder; cells run in this Python, not in its own."""
    if not (program := shutil.which("nbgrader")):
        pytest.skip("nbgrader is not installed (pip install nbgrader==0.9.6)")
    made = editions.build("student", [PAGE], tmp_path / "editions")
    spec = tmp_path / "jupyter" / "kernels" / "python3" / "kernel.json"
    spec.parent.mkdir(parents=True)
    start = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    about = {"argv": start, "display_name": "Python 3", "language": "python"}
    spec.write_text(json.dumps(about))
    here = {"JUPYTER_PATH": str(spec.parents[2]), "PYTHONPATH": str(made),
            "OMP_NUM_THREADS": "1"}  # fmt: skip
    (tmp_path / SOURCE).parent.mkdir(parents=True)
    shutil.copy(made / editions.NBGRADER, tmp_path)
    shutil.copy(made / "book" / PAGE.name, tmp_path / SOURCE)

    def run(*command):
        done = subprocess.run(
            [program, *command], cwd=tmp_path, env=os.environ | here,
            capture_output=True, text=True, timeout=800,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    return run


def hand_in(folder, name, change):
    nb = notebooks.read(folder / "release" / "chapter" / PAGE.name)
    change({cell.id: cell for cell in nb.cells}, nb)
    target = folder / "submitted" / name / "chapter" / PAGE.name
    target.parent.mkdir(parents=True)
    target.write_text(notebooks.text_of(nb), encoding="utf-8")


@pytest.mark.slow
def test_untouched_right_and_wrong_answers_get_their_marks(nbgrader, tmp_path):
    found = course.exercises(notebooks.read(PAGE))
    checked = [(dict(zip(e.parts, e.cells)), e.points) for e in found]
    checked = [(parts, points) for parts, points in checked if "check" in parts]

    def right(cells, nb):
        for parts, _ in checked:
            cells[parts["stub"].id].source = parts["solution"].source

    def wrong(cells, nb):
        for parts, _ in checked:
            stub = cells[parts["stub"].id]
            stub.source = stub.source.replace("...  # yours", "return 7")
            stub.source = stub.source.replace("= return 7", "= 7")

    def copied(cells, nb):
        right(cells, nb)
        copy = cells[checked[0][0]["check"].id].copy()
        copy.id = "copied"
        nb.cells.append(copy)

    assert nbgrader("generate_assignment", "chapter")[0] == 0
    for name, change in (("untouched", lambda *_: None), ("right", right),
                         ("wrong", wrong)):  # fmt: skip
        hand_in(tmp_path, name, change)
    status, said = nbgrader("autograde", "chapter")
    assert status == 0, said
    assert nbgrader("export")[0] == 0
    with open(tmp_path / "grades.csv", newline="") as file:
        marks = {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}
    most = sum(points for _, points in checked)
    assert marks == {"untouched": 0, "right": most, "wrong": 0}
    hand_in(tmp_path, "copied", copied)
    status, said = nbgrader("autograde", "chapter", "--student", "copied")
    assert status and "old version of" in said, said
