"""What the paper map names exists: pages, sections, cells, functions, symbols."""

import importlib
import re

import pytest
import srcnn_glossary

from tools import notebooks, paper_map

TEXT = paper_map.PAGE.read_text(encoding="utf-8")


def headings_above(page: str, cell_id: str) -> list[str]:
    """The headings that a cell of code stands under, from the title down."""
    above: dict[int, str] = {}
    for cell in notebooks.read(notebooks.BOOK / page).cells:
        if cell.id == cell_id:
            assert cell.cell_type == "code"
            return list(above.values())
        if cell.cell_type == "markdown":
            for marks, name in re.findall(r"^(#+) (.+)$", cell.source, re.MULTILINE):
                above = {k: v for k, v in above.items() if k < len(marks)}
                above[len(marks)] = name
    raise AssertionError(f"{page} has no cell {cell_id}")


@pytest.mark.parametrize("place", sorted(set(paper_map.places(TEXT))))
def test_cell_stands_in_its_section_of_the_chapter(place):
    assert int(place.chapter) == int(place.page[:2])
    assert place.heading in headings_above(place.page, place.cell)


@pytest.mark.parametrize("row", paper_map.rows(TEXT), ids=lambda row: row["function"])
def test_function_is_in_the_reference(row):
    module, _, name = f"srcnn_lib.{row['function'].strip('`')}".rpartition(".")
    found = getattr(importlib.import_module(module), name)
    assert found.__module__ == module and found.__doc__, "defined here and explained"


def test_it_is_read_back():
    assert paper_map.MARK in TEXT
    table = paper_map.back(TEXT)
    assert re.search(r"\{ref\}`5 · The whole network, \[\d+\] <cell-05-14>`", table)
    assert all(row["what"] in table for row in paper_map.rows(TEXT))


def test_each_symbol_and_term_has_one_meaning():
    terms = srcnn_glossary.terms()
    assert terms == sorted(set(terms), key=str.lower) and len(terms) >= 20
    symbols = re.findall(r"^\| (\$.*?\$) \|", TEXT.partition("## Notation")[2], re.M)
    assert len(symbols) == len(set(symbols))
