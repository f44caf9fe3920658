"""The reference: types and links both ways between code cells and docstrings."""

import re

import nbformat
import pytest
import srcnn_book
import srcnn_reference
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

from tools import notebooks

OURS = re.compile("auto|napoleon|codeautolink|default_role|add_module|nitpick_ignore")
CELLS = (
    "%matplotlib inline\nfrom srcnn_lib import protocol as p, datasets",
    "score = p.psnr(1, 2)\nfound: datasets.Dataset",
)


@pytest.fixture
def book(tmp_path, monkeypatch):
    """Build one page and some of the reference, with the book's own settings."""
    some = ["srcnn_lib.protocol", "srcnn_lib.datasets"]
    monkeypatch.setattr(srcnn_reference, "modules", lambda: some)
    config = yaml.safe_load((notebooks.ROOT / "_config.yml").read_text("utf-8"))
    config = {k: v for k, v in config["sphinx"]["config"].items() if OURS.search(k)}
    sphinx = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_codeautolink"]
    config |= {"extensions": ["myst_nb", *sphinx, "srcnn_reference"], "nitpicky": True,
               "nb_execution_mode": "off", "root_doc": "page",
               "exclude_patterns": ["_build"]}  # fmt: skip
    cells = [new_markdown_cell("# A page"), *map(new_code_cell, CELLS)]
    ran = {"language_info": {"name": "python", "pygments_lexer": "ipython3"}}
    nbformat.write(new_notebook(cells=cells, metadata=ran), tmp_path / "page.ipynb")
    text = (notebooks.BOOK / "F_reference.md").read_text(encoding="utf-8")
    (tmp_path / "reference.md").write_text(f"---\norphan: true\n---\n{text}", "utf-8")

    def build(builder):
        out, trees = tmp_path / "_build" / builder, tmp_path / "_build" / "trees"
        strict = {"status": None, "warningiserror": True}
        with docutils_namespace():
            app = Sphinx(tmp_path, None, out, trees, builder, config, **strict)
            app.connect("env-get-outdated", srcnn_book.all_pages)
            app.build()
        return {path.stem: path.read_text("utf-8") for path in out.glob("*.html")}

    return build


def test_code_leads_to_docstrings_and_back_in_every_build(book, tmp_path):
    book("singlehtml")
    for _ in range(2):
        pages = book("html")
        for name in ("protocol.psnr", "datasets.Dataset"):
            link = f'href="reference.html#srcnn_lib.{name}"'
            assert link in pages["page"], name
            entry = pages["reference"].partition(f'id="srcnn_lib.{name}"')[2]
            entry = entry.partition('<dl class="py function">')[0]
            assert re.search('First used in <a [^>]*href="page.html">', entry)
    assert (tmp_path / "_build/html/objects.inv").exists()
    load = pages["reference"].partition('id="srcnn_lib.datasets.load"')[2][:3000]
    assert 'href="#srcnn_lib.datasets.Dataset"' in load.partition("</dt>")[0], "a type"


def test_each_module_has_its_section():
    found = srcnn_reference.modules()
    assert {"srcnn_lib.resize", "srcnn_lib.methods.srcnn"} < set(found)
    assert "srcnn_lib.cli" not in found
    source = ["# Reference\n\n<!-- reference -->\n"]
    srcnn_reference.fill(None, "F_reference", source)
    assert source[0].count("automodule:: srcnn_lib") == len(found)


def test_a_docstring_as_we_write_it_is_turned_into_numpys_form():
    lines = ["Codes of |x|, `factor`² of them.", "", "Parameters", "----------",
             "scale : 2, 3 or 4.", "Source: section 3."]  # fmt: skip
    srcnn_reference.numpy_form(None, "", "", None, None, lines)
    assert lines[0] == r"Codes of \|x|, `factor`\ ² of them."
    assert lines[4:] == ["scale", "    2, 3 or 4.", "", "Source: section 3."]
