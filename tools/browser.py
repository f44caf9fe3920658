"""What shows the rendered book: Chromium (PDF, benchmarks, tests) and MathJax."""

import importlib.util
import shutil
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-sync"]  # and Playwright's own
PROGRAM = next(filter(None, map(shutil.which, NAMES)), None)  # its path, or None
NEEDED = f"needs one of: {', '.join(NAMES)}"


def package(name: str) -> Path:
    """The folder of an installed package."""
    return Path(importlib.util.find_spec(name).origin).parent


def copy_mathjax(folder: Path) -> None:
    """Put MathJax into `folder`: what draws SVG, with all its TeX extensions."""
    source = package("sphinx-mathjax-offline") / "static" / "mathjax"
    extensions = "input/tex/extensions"
    shutil.copytree(source / extensions, folder / extensions, dirs_exist_ok=True)
    shutil.copy(source / "tex-svg.js", folder)
