"""Chromium, which opens the rendered book: for the PDF, benchmarks and tests."""

import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
#: Where it is, or None.
PROGRAM = next(filter(None, map(shutil.which, NAMES)), None)
NEEDED = f"needs one of: {', '.join(NAMES)}"
