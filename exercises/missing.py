"""What a notebook's Python still needs for the book: its pages' first cell asks."""

import importlib
import importlib.metadata
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

KEPT = ("torch", "numpy")  # a machine's own, made for its GPU


def requirements(file: Path) -> list[Requirement]:
    """What pyproject.toml and its extra ``book`` name."""
    project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
    listed = project["dependencies"] + project["optional-dependencies"]["book"]
    return [Requirement(line) for line in listed]


def installed(name: str) -> str | None:
    """The version of a distribution here, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def install(file: Path = Path(__file__).parents[1] / "pyproject.toml") -> None:
    """Install by pip what pyproject.toml names and this Python lacks.  A torch or numpy
    that is there stays.  CalledProcessError where pip fails, which says why."""
    there = {wanted: installed(wanted.name) for wanted in requirements(file)}
    lacking = [
        str(wanted)
        for wanted, version in there.items()
        if not (version and wanted.specifier.contains(version, prereleases=True))
        and not (version and wanted.name in KEPT)
    ]
    own = [f"{name}=={version}" for name in KEPT if (version := installed(name))]
    if lacking:
        pip = [sys.executable, "-m", "pip", "install", "-q", *own, *lacking]
        subprocess.run(pip, check=True)
        importlib.invalidate_caches()
