"""Terms and symbols of appendix E, linked where a page first uses them."""

import re
from pathlib import Path

from docutils import nodes
from sphinx import addnodes

GLOSSARY = Path(__file__).resolve().parents[1] / "E_paper_map.md"
#: Words with a second, everyday meaning: what has to stand before them.
ONLY_AFTER = {"scale": r"(?:(?<=the )|(?<=each )|(?<=every )|(?<=any )|(?<=their ))"}
#: Where a word is not a use of it, or can't be a link.
APART = (
    nodes.title, nodes.rubric, nodes.caption, nodes.literal, nodes.literal_block,
    nodes.math, nodes.math_block, nodes.raw, nodes.reference, addnodes.pending_xref,
)  # fmt: skip


def terms() -> list[str]:
    """The terms that the glossary explains, as it writes them."""
    text = GLOSSARY.read_text(encoding="utf-8").partition("```{glossary}\n")[2]
    return re.findall(r"^(\w.*)\n  ", text.partition("```")[0], re.MULTILINE)


def symbols() -> set[str]:
    """The symbols of the notation, in TeX."""
    text = GLOSSARY.read_text(encoding="utf-8").partition("## Notation\n")[2]
    cells = re.findall(r"^\| \$(.*?)\$ \|", text.partition("\n## ")[0], re.MULTILINE)
    return {symbol for cell in cells for symbol in cell.split(", ")}


def pattern(term: str) -> re.Pattern:
    """What finds a term in a text: its plural too, and at a sentence's start."""
    words = re.escape(term).replace(r"\ ", r"\s+")
    if term.islower():
        words = f"[{term[0]}{term[0].upper()}]{words[1:]}"
    words = f"{words[:-1]}(?:y|ies)" if term.endswith("y") else f"{words}s?"
    return re.compile(rf"(?<![\w-]){ONLY_AFTER.get(term, '')}{words}(?![\w-])")


def link(app, doctree) -> None:
    """On ``doctree-read``: link terms, then symbols."""
    document = app.env.docname
    app.env.note_dependency(str(GLOSSARY))
    if Path(app.env.doc2path(document)) == GLOSSARY:
        return
    waiting, unknown = {term: pattern(term) for term in terms()}, symbols()
    for node in filter(_is_prose, list(doctree.findall(nodes.Text))):
        _link_in(node, waiting, document)
    page = app.env.path2doc(str(GLOSSARY))
    notation = app.builder.get_relative_uri(document, page) + "#notation"
    for node in filter(_is_prose, list(doctree.findall(nodes.math))):
        symbol = node.astext().replace(r"\mathbf{Y}", "Y").partition(" = ")[0]
        if symbol in unknown:
            unknown.remove(symbol)
            # Not a pending_xref: what resolves these keeps the text alone.
            # Screen readers find no text in the picture of a formula.
            title = f"{symbol.lstrip(chr(92))}, in the notation"
            about = {"refuri": notation, "reftitle": title, "internal": True}
            reference = nodes.reference("", "", classes=["srcnn-symbol"], **about)
            node.replace_self(reference)
            reference += node


def _is_prose(node: nodes.Node) -> bool:
    paragraph = False
    while (node := node.parent) is not None:
        if isinstance(node, APART) or node.get("nb_element") == "cell_code":
            return False
        paragraph = paragraph or isinstance(node, nodes.paragraph)
    return paragraph


def _link_in(node: nodes.Text, waiting: dict[str, re.Pattern], document: str) -> None:
    """Replace the first use of each waiting term, and wait for it no more."""
    text, at, parts = str(node), 0, []
    found = ((words.search(text), term) for term, words in waiting.items())
    for start, end, term in sorted((*use.span(), term) for use, term in found if use):
        if start < at:
            continue  # inside another term
        waiting.pop(term)
        shown = nodes.inline("", text[start:end], classes=["std", "std-term"])
        to = dict(refdomain="std", reftype="term", reftarget=term, refdoc=document)
        target = addnodes.pending_xref("", shown, refexplicit=True, refwarn=True, **to)
        parts += [nodes.Text(text[at:start]), target]
        at = end
    if parts:
        node.parent.replace(node, [*parts, nodes.Text(text[at:])])


def setup(app):
    app.connect("doctree-read", link)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
