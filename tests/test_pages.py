"""Every page has the book's shape, and stores text outputs only."""

import re
import shutil
import statistics

import nbformat
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


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def prose(notebook) -> str:
    return "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")


def test_pages_and_table_of_contents_agree():
    toc = yaml.safe_load((notebooks.ROOT / "_toc.yml").read_text())
    names = {toc["root"], *(c["file"] for p in toc["parts"] for c in p["chapters"])}
    on_disk = {f"book/{path.stem}" for path in notebooks.BOOK.glob("*.ipynb")}
    assert on_disk and on_disk <= names
    assert all((notebooks.ROOT / f"{n}.md").exists() for n in names - on_disk)


def test_skeleton_and_normal_form(page, notebook):
    """So also with the configured address in the badge and in the first cell."""
    text, stored = prose(notebook), page.read_text(encoding="utf-8")
    assert text.startswith("# "), "a page starts with its title"
    assert len(re.findall("^# ", text, flags=re.MULTILINE)) == 1, "one title"
    if page.stem[0].isdigit():  # appendices need no exercises
        for part, pattern in SKELETON.items():
            assert re.search(pattern, text, flags=re.MULTILINE), f"lacks {part}"
    remedy = "run: make notebooks"
    assert stored == notebooks.text_of(notebooks.normal(page, notebook)), remedy
    assert len(notebook.cells[1].source.splitlines()) <= 6
    rest = "".join(cell.source for cell in notebook.cells[2:])
    assert notebooks.repository()["url"] not in rest


def test_code_cells_are_short_and_their_outputs_compared_text(notebook):
    code = code_cells(notebook)
    lengths = [len(cell.source.splitlines()) for cell in code[1:]]
    assert max(lengths) <= 25 and statistics.median(lengths) <= 8
    for cell in code:
        wide = [line for line in cell.source.splitlines() if len(line) > 79]
        assert cell.id == notebooks.SETUP or not wide, "over 79 columns"
        tags = set(cell.metadata.get("tags", []))
        assert not {"nbval-ignore-output", "nbval-skip"} & tags
        assert "NBVAL_" not in cell.source
        assert cell.execution_count or not cell.source, f"never run: {cell.source}"
        for output in cell.outputs:
            kinds = set(output.get("data", {}))
            assert kinds <= set(notebooks.TEXT), f"{kinds}: {cell.source}"
            assert output.get("name") != "stderr", cell.source
            assert output.output_type != "error" or "raises-exception" in tags


def test_figures_have_caption_and_alternative_text(notebook):
    for cell in code_cells(notebook):
        shown = [o.get("data", {}).get("text/plain", "") for o in cell.outputs]
        if any("<Figure" in text or "SVG object" in text for text in shown):
            options = cell.metadata.get("mystnb", {})
            caption = options.get("figure", {}).get("caption", "")
            alt = options.get("image", {}).get("alt", "")
            assert min(len(caption), len(alt)) >= 20, cell.source
            assert alt != caption, "the alternative text says what one would see"
            assert "remove-output" not in cell.metadata.get("tags", [])


@pytest.mark.parametrize("tagged", [True, False])
def test_a_page_says_which_outputs_need_no_data_times_of_timed_cells_apart(tagged):
    def page(shown):
        output = nbformat.v4.new_output("stream", text=shown)
        cell = nbformat.v4.new_code_cell("print()", outputs=[output])
        cell.metadata["tags"] = ["timing"] * tagged
        return nbformat.v4.new_notebook(cells=[cell])

    real = page("2.5 s, 31 dB")
    for other, same in (("8 s, 31 dB", tagged), ("8 s, 32 dB", False)):
        notebooks.mark_same(real, page(other))
        tags = real.cells[0].metadata.get("tags", [])
        assert tags == ["timing"] * tagged + [notebooks.SAME_EVERYWHERE] * same


def test_pages_that_train_ask_colab_for_a_gpu(notebook):
    source = "\n".join(cell.source for cell in code_cells(notebook))
    if re.search(r"\btrain(ing\.train)?\(", source):
        assert notebook.metadata.get("accelerator") == "GPU"


DECIBELS = r"\b\d\d\.\d\d(?= ?(?:dB|/ \d\d\.))"


@pytest.fixture(scope="module")
def known_numbers() -> set[str]:
    known = {f"{r['mean']['psnr_db']:.2f}" for r in results.rows()}
    return known | {f"{p.value:.2f}" for p in results.printed_rows()}


@pytest.mark.parametrize("name", ["README.md", "book/index.md"])
def test_numbers_in_the_readme_are_results(name, known_numbers):
    text = (notebooks.ROOT / name).read_text(encoding="utf-8")
    assert set(re.findall(DECIBELS, text)) <= known_numbers


def test_decibels_in_the_text_are_known(notebook, known_numbers):
    """By a result or an output; solutions, which no page runs, are left out."""
    boxes = r"(`{3,})\{admonition\}.*?\n\1"
    text = re.sub(boxes, "", prose(notebook), flags=re.DOTALL)
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    shown = " ".join(str(o.get("text", "")) + str(o.get("data", "")) for o in outputs)
    unknown = set(re.findall(DECIBELS, text)) - known_numbers
    assert not {number for number in unknown if number not in shown}


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
