"""What the paper map names exists: pages, their sections, the functions."""

import importlib
import re

import pytest

from tools import notebooks, paper_map

TEXT = paper_map.PAGE.read_text(encoding="utf-8")


def headings(page: str) -> set[str]:
    cells = notebooks.read(notebooks.BOOK / page).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return set(re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE))


@pytest.mark.parametrize("file, heading", sorted(set(paper_map.places(TEXT))))
def test_section_exists(file, heading):
    assert heading in headings(file)


@pytest.mark.parametrize("row", paper_map.rows(TEXT), ids=lambda row: row["function"])
def test_function_exists(row):
    module, _, name = row["function"].strip("`").rpartition(".")
    assert hasattr(importlib.import_module(f"srcnn_lib.{module}"), name)


def test_chapter_numbers_are_those_of_the_pages():
    for number, _, page in paper_map.PLACE.findall(TEXT):
        assert int(number) == int(page[:2])


def test_every_linked_page_exists():
    for page in re.findall(r"\]\(([\w.]+)\)", TEXT):
        assert (notebooks.BOOK / page).exists(), page


def test_it_is_read_back():
    assert paper_map.MARK in TEXT
    table = paper_map.back(TEXT)
    assert all(f"]({page})" in table for page in {"05_network.ipynb"})
    assert table.count("\n") >= 15


def test_each_symbol_and_term_has_one_meaning():
    terms = re.findall(r"^(\w.*)\n  ", TEXT.partition("```{glossary}")[2], re.M)
    assert len(terms) == len(set(terms)) >= 20
    assert terms == sorted(terms, key=str.lower)
    table = TEXT.partition("## Notation")[2].partition("\n## ")[0]
    symbols = re.findall(r"^\| (\$.*?\$) \|", table, re.M)
    assert len(symbols) == len(set(symbols))
