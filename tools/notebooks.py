"""Run the book's pages and store them in their normal form: ``make notebooks``.

A stored page holds text outputs only, so that a diff shows what changed and nbval can
compare it.  A cell whose text comes out the same with the embedded photographs as with
the real data is tagged ``nbval-check-output``: without the data these are compared."""

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

from srcnn_lib.files import write_atomically
from tools.course import tags

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"
SANITIZE = ROOT / "tests" / "nbval-sanitize.cfg"
#: What the stored numbers were made with.
REAL_DATA = "T91 Set5 Set14 BSD200 BSDS500-val matlab-lr srcnn-official".split()
SAME_EVERYWHERE = "nbval-check-output"
TIMING = "timing"  # seconds of this machine are masked
SETUP = "colab-setup"
KEPT = ("mystnb", "slideshow", "tags")  # of a cell's metadata
TEXT = ("text/plain", "text/html", "text/latex", "text/markdown")
PICTURE = "data:image/"  # in HTML: drawn anew by whoever runs the page
WIDGET = "application/vnd.jupyter.widget-view+json"
KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
BADGE = re.compile(r"^\[!\[Open in Colab\].*\n*", re.MULTILINE)

SETUP_SOURCE = Path(__file__).with_name("setup_cell.txt").read_text("utf-8").strip()


def pages() -> list[Path]:
    """The book's notebooks in the order of the table of contents."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    names = [toc["root"], *(c["file"] for p in toc["parts"] for c in p["chapters"])]
    return [path for name in names if (path := ROOT / f"{name}.ipynb").exists()]


def repository() -> dict[str, str]:
    """Address, name, branch and release of the repository; where it is rendered."""
    entry = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]
    owner, name = entry["url"].split("/")[-2:]
    return {**entry, "name": name, "site": f"https://{owner.lower()}.github.io/{name}/"}


def colab(page: Path, branch: str) -> str:
    """Where Colab opens a page of a branch."""
    address = f"{repository()['url']}/blob/{branch}/book/{page.name}"
    return address.replace("github.com", "colab.research.google.com/github", 1)


def badge(page: Path) -> str:
    """The line under a page's title that opens its release in Colab."""
    address = colab(page, repository()["tag"])
    return f"[![Open in Colab](_static/open-in-colab.svg)]({address})"


def stored(outputs: list) -> list:
    """A cell's outputs as a page stores them: text, and nothing that varies."""
    kept = []
    for output in copy.deepcopy(outputs):
        if output.get("name") == "stderr":
            continue
        if output.output_type == "stream":
            # What a terminal would show after carriage returns.
            output.text = re.sub(r"[^\n]*\r(?!\n)", "", output.text)
            if kept and kept[-1].output_type == "stream":
                kept[-1].text += output.text
                continue
        elif output.output_type == "error":
            output.traceback = [f"{output.ename}: {output.evalue}"]
        else:
            kinds = [k for k in TEXT if PICTURE not in output.data.get(k, PICTURE)]
            if not kinds or WIDGET in output.data and "text/html" not in output.data:
                continue  # nothing but a picture or a widget
            same = {k: re.sub(r" at 0x[0-9a-f]+", "", output.data[k]) for k in kinds}
            output.metadata, output.data = {}, same
        kept.append(output)
    return kept


def normal(page: Path, notebook) -> nbformat.NotebookNode:
    """The normal form of a page; runs nothing."""
    nb = copy.deepcopy(notebook)
    nb.nbformat, nb.nbformat_minor = 4, 5
    declared = {k: v for k, v in nb.metadata.items() if k in ("accelerator", "mystnb")}
    nb.metadata = declared | KERNEL
    if "accelerator" in declared:
        nb.metadata["colab"] = {"gpuType": "T4", "provenance": []}
    title, _, rest = BADGE.sub("", nb.cells[0].source).partition("\n")
    nb.cells[0].source = f"{title}\n\n{badge(page)}\n\n{rest.strip()}".rstrip()
    text = SETUP_SOURCE.format(**repository(), page=page.stem)
    own = nbformat.v4.new_code_cell(text, id=SETUP, metadata={"tags": ["remove-cell"]})
    body = [cell for cell in nb.cells[1:] if cell.get("id") != SETUP]
    nb.cells = [nb.cells[0], own, *body]
    for index, cell in enumerate(nb.cells):
        cell.setdefault("id", f"cell-{index}")
        cell.metadata = {k: v for k, v in cell.metadata.items() if k in KEPT and v}
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    for count, cell in enumerate(code, 1):
        if "solution" in tags(cell):
            # Folded in Colab and in Jupyter; "hide-cell" folds it in the book.
            cell.metadata["cellView"] = "form"
            cell.metadata["jupyter"] = {"source_hidden": True}
        cell.execution_count, cell.outputs = count, stored(cell.outputs)
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = count
    return nb


def execute(notebook, environment: dict[str, str]) -> nbformat.NotebookNode:
    """Run a page in book/, in a fresh kernel of this Python."""
    from srcnn_lib import widgets

    where = {"metadata": {"path": str(BOOK)}}
    client = NotebookClient(copy.deepcopy(notebook), timeout=1800, resources=where)
    return client.execute(env=os.environ | environment | {widgets.STATIC: "1"})


def mark_same(nb, other) -> None:
    """Tag the cells of `nb` that print something, and the same as in `other`."""
    for cell, twin in zip(nb.cells, other.cells, strict=True):
        if cell.cell_type != "code":
            continue
        same = cell.outputs and comparable(cell) == comparable(twin)
        own = [tag for tag in cell.metadata.pop("tags", []) if tag != SAME_EVERYWHERE]
        if own or same:
            cell.metadata["tags"] = [*own, SAME_EVERYWHERE] if same else own


def comparable(cell) -> list:
    """Outputs as nbval compares them: times masked where the cell is tagged so."""
    masks = re.findall(r"^regex: (.*)$\n^replace: (.*)$", SANITIZE.read_text(), re.M)
    found = []
    for output in cell.outputs:
        text = [output.get("text", ""), *output.get("data", {}).values()]
        for mask in masks if TIMING in tags(cell) else []:
            text = [re.sub(*mask, part) for part in text]
        found.append((output.output_type, text, output.get("evalue")))
    return found


def read(page: Path) -> nbformat.NotebookNode:
    nb = nbformat.read(page, as_version=4)
    if not nb.cells or nb.cells[0].cell_type != "markdown":
        sys.exit(f"{page.name}: the first cell must be text that starts with the title")
    return nb


def text_of(nb) -> str:
    nbformat.validate(nb)
    return nbformat.writes(nb, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def rerun(page: Path) -> None:
    """Execute one page with the real data and with the embedded, and store it."""
    nb = normal(page, read(page))
    with tempfile.TemporaryDirectory() as empty:
        demo = {"SRCNN_DATA": "", "SRCNN_CACHE": empty, "SRCNN_OFFLINE": "1"}
        other = normal(page, execute(nb, demo))
    done = normal(page, execute(nb, {}))
    mark_same(done, other)
    write_atomically(page, text_of(done).encode())


def rerun_all(selected: list[Path]) -> bool:
    """Run pages, one after the other; whether one raised, and was left as it was."""
    from srcnn_lib import datasets

    if missing := [name for name in REAL_DATA if not datasets.available(name)]:
        sys.exit(f"Not here: {' '.join(missing)}. Set SRCNN_DATA, or run: make data")
    failed = []
    for page in selected:
        print(f"{page.name} …", flush=True)
        try:
            rerun(page)
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            failed.append(page.name)
            print(error, flush=True)
    print(f"Not stored, as they raised: {' '.join(failed) or 'none'}.")
    return bool(failed)


def check(selected: list[Path]) -> bool:
    """Say which pages are not in their normal form; whether there are any."""
    wrong = [p for p in selected if text_of(normal(p, read(p))) != p.read_text("utf-8")]
    for page in wrong:
        print(f"{page.name}: not in its normal form; run: make notebooks")
    return bool(wrong)


def set_repository(url: str) -> None:
    """Write the address where it stands: settings, citation, every page."""
    url = url.strip().removesuffix("/").removesuffix(".git")
    if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", url):
        sys.exit(f"{url}: not of the form https://github.com/OWNER/NAME")
    old = repository()["url"]
    for path in (ROOT / "_config.yml", ROOT / "CITATION.cff"):
        write_atomically(path, path.read_text("utf-8").replace(old, url).encode())
    for page in pages():
        write_atomically(page, text_of(normal(page, read(page))).encode())
    print(f"{len(pages())} pages, _config.yml and CITATION.cff name {url}.")


def main() -> bool | None:
    parser = argparse.ArgumentParser(prog="make notebooks", description=__doc__)
    parser.add_argument("pages", nargs="*", metavar="PAGE", help="such as 02_bicubic")
    parser.add_argument("--check", action="store_true", help="run nothing; only look")
    parser.add_argument("--set-repository", metavar="URL")
    args = parser.parse_args()
    if args.set_repository is not None:
        return set_repository(args.set_repository)
    known = {page.stem: page for page in pages()}
    names = [Path(name).stem for name in args.pages] or list(known)
    if unknown := set(names) - set(known):
        parser.error(f"no page {unknown.pop()}; there are: {' '.join(known)}")
    selected = [known[name] for name in names]
    return check(selected) if args.check else rerun_all(selected)


if __name__ == "__main__":
    sys.exit(main())
