"""The reference names every public function, and where it is introduced."""

import importlib
import re

import pytest

from tools import notebooks, reference

ENTRIES = reference.entries()
PAGES = {entry.full_name: entry.page for entry in ENTRIES}


def test_entries_can_be_imported():
    assert len(ENTRIES) > 100
    for entry in ENTRIES:
        module = importlib.import_module(f"srcnn_lib.{entry.module}")
        assert hasattr(module, entry.name), entry.full_name


@pytest.mark.parametrize(
    "name, start",
    [
        ("protocol.psnr", "01"),
        ("resize.imresize", "01"),
        ("methods.bicubic.bicubic", "01"),
        ("models.SRCNN", "05"),
    ],
)
def test_first_page_that_uses_it(name, start):
    assert PAGES[name].name.startswith(start)


def test_each_function_names_a_chapter():
    entry = re.compile(r"^### `\w+`\n\n\*.*\[.+\]\((\w+)\.ipynb\)$", re.M)
    named = entry.findall(reference.markdown())
    assert len(named) == len(ENTRIES)
    assert set(named) <= {page.stem for page in notebooks.pages()}
    unused = {e.module for e in ENTRIES} - {e.module for e in ENTRIES if e.page}
    assert unused == set(reference.TOLD)


def test_most_functions_are_used_on_a_page():
    assert sum(page is not None for page in PAGES.values()) > len(PAGES) / 3


def test_aliases_and_attributes_are_followed(tmp_path):
    import nbformat

    source = "%matplotlib inline\nfrom srcnn_lib import metrics as m\nm.psnr(1, 2)"
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    page = tmp_path / "page.ipynb"
    nbformat.write(nb, page)
    assert "protocol.psnr" in reference.names_used(page)


def test_page_is_filled():
    text = (notebooks.BOOK / "F_reference.md").read_text(encoding="utf-8")
    source = [text]
    reference.fill(None, "book/F_reference", source)
    assert reference.MARK not in source[0]
    for entry in ENTRIES:
        assert f"### `{entry.name}`" in source[0]
    assert "\n\n\n\n" not in source[0]
