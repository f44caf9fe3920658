"""Run the book's pages and store them in their normal form: ``make notebooks``.

A stored page holds text outputs only: no pictures, no progress bars, no widget
state, so that a diff shows what changed and nbval can compare it.  A cell whose
text comes out the same with the embedded photographs as with the real data is
tagged ``nbval-check-output``; that is what a machine without the data compares.

    python tools/notebooks.py [PAGE …]    run and store these pages, or all
    python tools/notebooks.py --check     run nothing; exit 1 where a stored page
                                          is not in its normal form
    python tools/notebooks.py --set-repository https://github.com/OWNER/NAME
                                          run nothing; let everything that names
                                          the repository name this one
"""

import argparse
import copy
import os
import re
import sys
import tempfile
from pathlib import Path

import nbformat
import yaml
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"
SANITIZE = ROOT / "tests" / "nbval-sanitize.cfg"

# What the stored numbers were made with.
REAL_DATA = (
    "T91",
    "Set5",
    "Set14",
    "BSD200",
    "BSDS500-val",
    "matlab-lr",
    "srcnn-official",
)
SAME_EVERYWHERE = "nbval-check-output"
TIMING = "timing"  # seconds of this machine are masked
SETUP = "colab-setup"
SOLUTION = "solution"
TEXT = ("text/plain", "text/html", "text/latex", "text/markdown")
PICTURE = "data:image/"  # in HTML: drawn anew by whoever runs the page
WIDGET = "application/vnd.jupyter.widget-view+json"

SETUP_SOURCE = """\
import os, subprocess as sp, sys  # In Colab: fetch the book. Else: nothing.
what = ["--depth=1", "-b", "{branch}", "{url}"]
if "google.colab" in sys.modules and not os.path.exists("../srcnn_lib"):
    os.chdir("." if os.access(".", os.W_OK) else "/tmp")  # a read-only Drive
    os.path.exists("{name}/srcnn_lib") or sp.check_call(["git", "clone", *what])
    os.chdir("{name}/book")
sys.path.insert(0, os.path.abspath(".."))
from srcnn_lib import colab; colab.prepare()"""


def pages() -> list[Path]:
    """The book's notebooks in the order of the table of contents."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    files = [toc["root"]]
    for part in toc["parts"]:
        files += [chapter["file"] for chapter in part["chapters"]]
    found = [ROOT / f"{file}.ipynb" for file in files]
    return [path for path in found if path.exists()]


def repository() -> dict[str, str]:
    """Address, name and branch of the repository, from _config.yml."""
    entry = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]
    url = entry["url"]
    return {"url": url, "name": url.rsplit("/", 1)[1], "branch": entry["branch"]}


def badge(page: Path) -> str:
    """The line under a page's title that opens it in Colab."""
    repo = repository()
    address = repo["url"].replace("://", "://colab.research.google.com/", 1)
    address = address.replace("google.com/github.com/", "google.com/github/")
    return (
        "[![Open in Colab](_static/open-in-colab.svg)]"
        f"({address}/blob/{repo['branch']}/book/{page.name})"
    )


def setup_cell() -> nbformat.NotebookNode:
    cell = nbformat.v4.new_code_cell(SETUP_SOURCE.format(**repository()))
    cell.id = SETUP
    cell.metadata["tags"] = ["remove-cell"]
    return cell


def stored(outputs: list) -> list:
    """A cell's outputs as a page stores them: text, and nothing that varies."""
    kept = []
    for output in copy.deepcopy(outputs):
        if output.output_type == "stream":
            if output.name == "stderr":
                continue
            # What a terminal would show after carriage returns.
            output.text = re.sub(r"[^\n]*\r(?!\n)", "", output.text)
            if kept and kept[-1].output_type == "stream":
                kept[-1].text += output.text
                continue
        elif output.output_type == "error":
            output.traceback = [f"{output.ename}: {output.evalue}"]
        else:
            if WIDGET in output.data and "text/html" not in output.data:
                continue  # nothing but the widget
            output.metadata = {}
            output.data = {
                kind: re.sub(r" at 0x[0-9a-f]+", "", text)
                for kind, text in output.data.items()
                if kind in TEXT and PICTURE not in text
            }
            if not output.data:
                continue
        kept.append(output)
    return kept


def normal(page: Path, notebook) -> nbformat.NotebookNode:
    """The normal form of a page; runs nothing."""
    nb = copy.deepcopy(notebook)
    nb.nbformat, nb.nbformat_minor = 4, 5
    declared = {k: v for k, v in nb.metadata.items() if k in ("accelerator", "mystnb")}
    nb.metadata = {
        **declared,
        "kernelspec": {
            "display_name": "Python 3",
            "language": "python",
            "name": "python3",
        },
        "language_info": {"name": "python"},
    }
    if "accelerator" in declared:
        nb.metadata["colab"] = {"gpuType": "T4", "provenance": []}

    title, _, rest = nb.cells[0].source.partition("\n")
    rest = re.sub(r"^\[!\[Open in Colab\].*\n?", "", rest, flags=re.MULTILINE)
    nb.cells[0].source = f"{title}\n\n{badge(page)}\n\n{rest.strip()}".rstrip()
    body = [cell for cell in nb.cells[1:] if cell.get("id") != SETUP]
    nb.cells = [nb.cells[0], setup_cell(), *body]

    count = 0
    for index, cell in enumerate(nb.cells):
        cell.setdefault("id", f"cell-{index}")
        cell.metadata = {
            key: value
            for key, value in sorted(cell.metadata.items())
            if key in ("mystnb", "tags") and value
        }
        if cell.cell_type == "code":
            if SOLUTION in cell.metadata.get("tags", []):
                # Folded in Colab and in Jupyter; "hide-cell" folds it in the book.
                cell.metadata["cellView"] = "form"
                cell.metadata["jupyter"] = {"source_hidden": True}
            count += 1
            cell.execution_count = count
            cell.outputs = stored(cell.outputs)
            for output in cell.outputs:
                if output.output_type == "execute_result":
                    output.execution_count = count
    return nb


def execute(notebook, environment: dict[str, str]) -> nbformat.NotebookNode:
    """Run a page in book/, in a fresh kernel of this Python."""
    from srcnn_lib import widgets

    nb = copy.deepcopy(notebook)
    client = NotebookClient(
        nb,
        timeout=1800,
        kernel_name="python3",
        resources={"metadata": {"path": str(BOOK)}},
    )
    client.execute(env=environment | {widgets.STATIC: "1"})
    return nb


def mark_same(nb, other) -> None:
    """Tag the cells of `nb` that print something, and the same as in `other`."""
    for cell, twin in zip(nb.cells, other.cells, strict=True):
        if cell.cell_type != "code":
            continue
        tags = [tag for tag in cell.metadata.get("tags", []) if tag != SAME_EVERYWHERE]
        if cell.outputs and comparable(cell) == comparable(twin):
            tags.append(SAME_EVERYWHERE)
        if tags:
            cell.metadata["tags"] = tags
        else:
            cell.metadata.pop("tags", None)


def comparable(cell) -> list:
    """Outputs as nbval compares them: times masked where the cell is tagged so."""
    timed = TIMING in cell.metadata.get("tags", [])
    patterns = timed * re.findall(
        r"^regex: (.*)$\n^replace: (.*)$", SANITIZE.read_text(), flags=re.MULTILINE
    )
    result = []
    for output in cell.outputs:
        text = [output.get("text", ""), *output.get("data", {}).values()]
        for pattern, replacement in patterns:
            text = [re.sub(pattern, replacement, part) for part in text]
        result.append((output.output_type, text, output.get("evalue")))
    return result


def read(page: Path) -> nbformat.NotebookNode:
    nb = nbformat.read(page, as_version=4)
    if not nb.cells or nb.cells[0].cell_type != "markdown":
        sys.exit(f"{page.name}: the first cell must be text that starts with the title")
    return nb


def text_of(nb) -> str:
    nbformat.validate(nb)
    return nbformat.writes(nb, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def write(page: Path, nb) -> None:
    write_text(page, text_of(nb))


def write_text(path: Path, text: str) -> None:
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=f".{path.stem}-", delete=False, encoding="utf-8"
    ) as file:
        try:
            file.write(text)
        except BaseException:
            os.unlink(file.name)
            raise
    os.chmod(file.name, path.stat().st_mode)
    os.replace(file.name, path)


def rerun(page: Path) -> None:
    """Execute one page in both worlds and store it."""
    nb = normal(page, read(page))
    real = dict(os.environ)
    if "SRCNN_DATA" in real:
        real["SRCNN_DATA"] = os.path.abspath(real["SRCNN_DATA"])
    done = normal(page, execute(nb, real))
    with tempfile.TemporaryDirectory() as empty:
        demo = dict(os.environ, SRCNN_OFFLINE="1", SRCNN_CACHE=empty)
        demo.pop("SRCNN_DATA", None)
        other = normal(page, execute(nb, demo))
    mark_same(done, other)
    write(page, done)


def check(selected: list[Path]) -> int:
    wrong = []
    for page in selected:
        nb = read(page)
        if text_of(normal(page, nb)) != page.read_text(encoding="utf-8"):
            wrong.append(page.name)
            print(f"{page.name}: not in its normal form; run: make notebooks")
    if not wrong:
        print(f"{len(selected)} pages are in their normal form.")
    return bool(wrong)


def set_repository(url: str) -> None:
    """Write the address where it stands: settings, citation, every page."""
    url = url.strip().removesuffix("/").removesuffix(".git")
    if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", url):
        sys.exit(
            f"{url}: not of the form https://github.com/OWNER/NAME, which Colab opens"
        )
    old = repository()["url"]
    for name in ("_config.yml", "CITATION.cff"):
        path = ROOT / name
        write_text(path, path.read_text(encoding="utf-8").replace(old, url))
    for page in pages():
        write(page, normal(page, read(page)))
    print(f"{len(pages())} pages, _config.yml and CITATION.cff name {url}.")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="make notebooks", description="Run the pages and store their text outputs."
    )
    parser.add_argument("pages", nargs="*", metavar="PAGE", help="such as 02_bicubic")
    parser.add_argument(
        "--check", action="store_true", help="run nothing; only look at the stored form"
    )
    parser.add_argument("--set-repository", metavar="URL")
    args = parser.parse_args()
    if args.set_repository is not None:
        set_repository(args.set_repository)
        return 0
    known = {page.stem: page for page in pages()}
    names = [Path(name).stem for name in args.pages] or list(known)
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(f"no page {unknown[0]}; there are: {' '.join(known)}")
    selected = [known[name] for name in names]
    if args.check:
        return check(selected)

    from srcnn_lib import datasets

    missing = [name for name in REAL_DATA if not datasets.available(name)]
    if missing:
        print(
            f"Stored outputs come from the real data; not here: {' '.join(missing)}. "
            "Set SRCNN_DATA, or run: make data"
        )
        return 1
    failed = []
    for page in selected:
        print(f"{page.name} …", flush=True)
        try:
            rerun(page)
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            failed.append(page.name)
            print(f"{error}\n{page.name}: raised, so it was left as it was", flush=True)
    done = len(selected) - len(failed)
    print(f"{done} pages stored; not stored: {' '.join(failed) or 'none'}.")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
