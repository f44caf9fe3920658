"""Every page has the book's shape, and stores text outputs only."""

import re
import shutil
import statistics

import pytest
import yaml

from srcnn_lib import results
from tools import notebooks

SKELETON = {
    "what one learns": r"\*?You will be able to",
    "the cost": r"\bCost\b",
    "a summary": r"^## .*Summary",
    "exercises": r"^## .*Exercises",
    "what comes next": r"^(## |\*\*)?.*Next\b",
}
REMEDY = "run: make notebooks"


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def prose(notebook) -> str:
    return "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")


def test_pages_and_table_of_contents_agree():
    toc = yaml.safe_load((notebooks.ROOT / "_toc.yml").read_text())
    named = [toc["root"]]
    named += [c["file"] for part in toc["parts"] for c in part["chapters"]]
    for name in named:
        file = notebooks.ROOT / name
        assert file.with_suffix(".ipynb").exists() or file.with_suffix(".md").exists()
    on_disk = {f"book/{path.stem}" for path in notebooks.BOOK.glob("*.ipynb")}
    assert on_disk and on_disk <= set(named)


def test_skeleton(page, notebook):
    text = prose(notebook)
    assert text.startswith("# "), "a page starts with its title"
    assert len(re.findall("^# ", text, flags=re.MULTILINE)) == 1, "one title"
    if page.stem[0].isdigit():  # appendices need no exercises
        for part, pattern in SKELETON.items():
            assert re.search(pattern, text, flags=re.MULTILINE), f"lacks {part}"


def test_address_is_that_of_the_configuration(page, notebook):
    assert notebooks.badge(page) in notebook.cells[0].source, REMEDY
    setup = notebooks.setup_cell()
    assert notebook.cells[1].id == notebooks.SETUP, REMEDY
    assert notebook.cells[1].source == setup.source, REMEDY
    assert len(setup.source.splitlines()) <= 8
    rest = "".join(cell.source for cell in notebook.cells[2:])
    assert notebooks.repository()["url"] not in rest


def test_stored_in_normal_form(page, notebook):
    stored = page.read_text(encoding="utf-8")
    assert stored == notebooks.text_of(notebooks.normal(page, notebook)), REMEDY


def test_code_cells_are_short(notebook):
    lengths = []
    for cell in code_cells(notebook)[1:]:
        lines = cell.source.splitlines()
        lengths.append(len(lines))
        assert len(lines) <= 25, f"{len(lines)} lines: {lines[0]}"
        wide = [line for line in lines if len(line) > 79]
        assert not wide, f"over 79 columns: {wide[0]}"
    assert statistics.median(lengths) <= 8


def test_outputs_are_text_from_a_run_without_errors(notebook):
    for cell in code_cells(notebook):
        assert cell.execution_count or not cell.source, f"never run: {cell.source}"
        for output in cell.outputs:
            kinds = set(output.get("data", {}))
            assert kinds <= set(notebooks.TEXT), f"{kinds}: {cell.source}"
            assert output.get("name") != "stderr", cell.source
            if output.output_type == "error":
                assert "raises-exception" in cell.metadata.get("tags", [])


def test_figures_have_caption_and_alternative_text(notebook):
    for cell in code_cells(notebook):
        shown = [o.get("data", {}).get("text/plain", "") for o in cell.outputs]
        if not any("<Figure" in text for text in shown):
            continue
        options = cell.metadata.get("mystnb", {})
        caption = options.get("figure", {}).get("caption", "")
        alt = options.get("image", {}).get("alt", "")
        assert len(caption) >= 20, f"figure without caption: {cell.source}"
        assert len(alt) >= 20, f"figure without alternative text: {cell.source}"
        assert alt != caption, "the alternative text says what one would see"
        assert "remove-output" not in cell.metadata.get("tags", [])


def test_pages_that_train_ask_colab_for_a_gpu(notebook):
    source = "\n".join(cell.source for cell in code_cells(notebook))
    if re.search(r"\btrain(ing\.train)?\(", source):
        assert notebook.metadata.get("accelerator") == "GPU"


def test_nothing_is_exempt_from_comparison(notebook):
    for cell in code_cells(notebook):
        banned = {"nbval-ignore-output", "nbval-skip"} & set(
            cell.metadata.get("tags", [])
        )
        assert not banned
        assert "NBVAL_" not in cell.source


DECIBELS = r"\b\d\d\.\d\d(?= ?(?:dB|/ \d\d\.))"


@pytest.fixture(scope="module")
def known_numbers() -> set[str]:
    known = {f"{r['mean']['psnr_db']:.2f}" for r in results.rows()}
    return known | {f"{p.value:.2f}" for p in results.printed_rows()}


@pytest.mark.parametrize("name", ["README.md", "book/index.md"])
def test_numbers_in_the_readme_are_results(name, known_numbers):
    text = (notebooks.ROOT / name).read_text(encoding="utf-8")
    for number in re.findall(DECIBELS, text):
        assert number in known_numbers, f"{name} says {number} dB; no result does"


def test_decibels_in_the_text_are_known(notebook, known_numbers):
    """By a result or an output; solutions, which no page runs, are left out."""
    boxes = r"(`{3,})\{admonition\}.*?\n\1"
    text = re.sub(boxes, "", prose(notebook), flags=re.DOTALL)
    shown = "".join(
        output.get("text", "") + "".join(output.get("data", {}).values())
        for cell in code_cells(notebook)
        for output in cell.outputs
    )
    for number in re.findall(DECIBELS, text):
        assert number in known_numbers or number in shown, f"nothing gives {number} dB"


@pytest.mark.parametrize("name", ["LICENSE", "LICENSE-text", "CITATION.cff"])
def test_licences_are_there(name):
    assert (notebooks.ROOT / name).read_text(encoding="utf-8").strip()


def test_citation_has_the_address_of_the_configuration():
    text = (notebooks.ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert yaml.safe_load(text)["repository-code"] == notebooks.repository()["url"]


def test_set_repository_reaches_every_place(tmp_path, monkeypatch, capsys):
    for name in ("_config.yml", "_toc.yml", "CITATION.cff"):
        shutil.copy(notebooks.ROOT / name, tmp_path)
    shutil.copytree(notebooks.BOOK, tmp_path / "book")
    old = notebooks.repository()["url"]
    monkeypatch.setattr(notebooks, "ROOT", tmp_path)
    with pytest.raises(SystemExit, match="not of the form https://github.com/OWNER"):
        notebooks.set_repository("https://example.org/book")
    notebooks.set_repository("https://github.com/someone/their-book.git/")
    assert notebooks.repository()["url"] == "https://github.com/someone/their-book"
    for path in (*tmp_path.glob("*.*"), *(tmp_path / "book").glob("*.ipynb")):
        text = path.read_text(encoding="utf-8")
        assert old not in text, path
        if path.name != "_toc.yml":
            assert "github.com/someone/their-book" in text, path
    nb = notebooks.read(tmp_path / "book" / "02_bicubic.ipynb")
    assert "google.com/github/someone/their-book/" in nb.cells[0].source
