"""The book on paper: contents with the pages that the headings are on."""

import pytest
from pypdf import PdfReader

from tools import browser, pdf

CHAPTER = (
    '<span id="document-{0}"></span><section id="{0}"><h1>Chapter {0}'
    '<a class="headerlink">#</a></h1>{1}<section id="in-{0}"><h2>Inside {0}</h2>'
    "<details><summary>Fold</summary><p>unfolded {0}</p></details></section></section>"
)


@pytest.mark.skipif(browser.PROGRAM is None, reason=browser.NEEDED)
def test_contents_name_the_pages_and_folds_are_open(tmp_path, monkeypatch, capsys):
    source, target = tmp_path / "book" / "index.html", tmp_path / "out" / "book.pdf"
    monkeypatch.setattr("sys.argv", ["pdf.py", str(tmp_path), str(target)])
    with pytest.raises(SystemExit, match="make pdf"):
        pdf.main()
    source.parent.mkdir()
    chapters = CHAPTER.format("one", "<p>text</p>" * 90) + CHAPTER.format("two", "")
    source.write_text(
        "<!doctype html><title>A book</title><article><section id='book'>"
        f"<h1>A book</h1>{chapters}</section></article>"
    )
    pdf.main()
    pages = [page.extract_text() for page in PdfReader(target).pages]
    assert f"{len(pages)} pages, 4 headings" in capsys.readouterr().out
    for name in ("Chapter one", "Inside one", "Chapter two", "Inside two"):
        on = next(k for k, text in enumerate(pages[1:], 2) if name in text)
        line = next(line for line in pages[0].splitlines() if name in line)
        assert line.split()[-1] == str(on), line
    assert "unfolded two" in pages[-1] and len(pages) >= 4
    assert [path.name for path in target.parent.iterdir()] == ["book.pdf"]
