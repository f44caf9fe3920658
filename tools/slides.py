"""A deck of slides for each chapter, from the executed book; see tools/editions.py.

Nothing is run: pictures and tables are those of the book's last build.  A section
gives a slide with its key sentences, then one for each figure and short table; the
section's whole text is in the speaker notes (press S).  A cell tagged ``slide`` is
shown as code.  reveal.js comes from npm, by its hash; without npm a deck is one
page that scrolls.  Decks and their folder ``assets`` work from a disk, offline.
"""

import base64
import functools
import hashlib
import html
import importlib.util
import re
import shutil
import subprocess
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import yaml
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from tools import course, markdown, notebooks

CACHES = notebooks.ROOT / "_build" / ".jupyter_cache"
REVEAL = "6.0.2"
REVEAL_SHA512 = (
    "JYIg5D9aoxoaLeb84O+OvAwsKWdIavVgEDScxtYEXFCT6t6TQrhNtSgogcjdCpdLsWglhJn3zyE3"
    "fUOwiH5KEg=="
)
REVEAL_FOLDER = notebooks.ROOT / "_build" / "reveal"
REVEAL_FILES = ("LICENSE", "dist/reveal.js", "dist/reveal.css", "dist/plugin/notes.js")

LONGEST_CODE = 10  # lines
ABREAST = 4  # pictures of a comparison on a slide
LONGEST_TABLE = (14, 8)  # rows, columns
CHARACTERS = {"alone": 400, "beside": 230, "lead": 170}  # of sentences on one slide
SKIPPED = ("Summary", "Exercises", "Next", "References")
#: Sentences that begin so lean on the one before.
LEANING = re.compile(
    r"(It|Its|This|That|These|Those|They|Their|So|And|But|Or|Both|Here|There|Then|"
    r"Hence|Thus|He|She|Another|Such|The (first|second|last|latter|former|same)|"
    r"Now|Nor|Yet|One|Two|Three|Let|In it|Compared|Read|Run|Look|Take|Write)\b"
)


@dataclass
class Slide:
    """HTML of a slide, and Markdown for whoever speaks."""

    body: str
    kind: str = ""
    notes: list[str] = field(default_factory=list)


def build(pages: list[Path], folder: Path) -> None:
    """Write a deck for each chapter, an index and their assets to `folder`.

    Raises
    ------
    RuntimeError : when the book was not built since a page changed.
    """
    pages = [page for page in pages if page.stem[0].isdigit()]
    decks = [(page, executed(page)) for page in pages]
    missing = assets(folder / "assets")
    if missing:
        print(f"slides: {missing}; the decks scroll and have no speaker view.")
    made = []
    for page, notebook in decks:
        slides = of_page(page, notebook)
        title = title_of(notebook)
        text = document(title, slides, missing)
        name = f"{page.stem}.html"
        (folder / name).write_text(text, encoding="utf-8")
        made.append((name, title, len(slides)))
    items = "".join(
        f'<li><a href="{name}">{html.escape(title)}</a> ({count} slides)</li>\n'
        for name, title, count in made
    )
    (folder / "index.html").write_text(
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8">\n'
        f"<title>Slides: SRCNN, reproduced</title>\n"
        f"<body style='font: 1.2rem/1.6 sans-serif; margin: 3rem'>\n"
        f"<h1>Slides: SRCNN, reproduced</h1>\n<ol>\n{items}</ol>\n"
        f"<p>In a deck: arrows or space, S for the speaker's view, F for the full "
        f"screen, E or ?print-pdf for printing.</p>\n",
        encoding="utf-8",
    )


def executed(page: Path) -> nbformat.NotebookNode:
    """A page with the outputs of the book's last build."""
    nb = notebooks.read(page)
    ours = [cell for cell in nb.cells if cell.cell_type == "code"]
    outputs = runs(CACHES).get(tuple(cell.source for cell in ours))
    if outputs is None:
        raise RuntimeError(f"{page.name} is not built as it stands now; make book")
    for cell, twin in zip(ours, outputs, strict=True):
        cell.outputs = twin
    return nb


@functools.cache
def runs(caches: Path) -> dict[tuple[str, ...], list]:
    """All runs that the book's builds keep: sources of cells → their outputs."""
    found = {}
    kept = caches.iterdir() if caches.exists() else []
    for cache in sorted(kept, key=lambda folder: folder.stat().st_mtime):  # newest last
        for path in sorted(cache.glob("executed/*/base.ipynb")):
            done = nbformat.read(path, as_version=4)
            cells = [cell for cell in done.cells if cell.cell_type == "code"]
            found[tuple(c.source for c in cells)] = [c.outputs for c in cells]
    return found


def assets(folder: Path) -> str:
    """Put what decks share into `folder`; what is missing, or nothing."""
    folder.mkdir(parents=True)
    package = importlib.util.find_spec("sphinx-mathjax-offline").origin
    mathjax = Path(package).parent / "static" / "mathjax"
    extensions = "input/tex/extensions"
    (folder / "mathjax").mkdir()
    shutil.copyfile(mathjax / "tex-svg.js", folder / "mathjax" / "tex-svg.js")
    shutil.copytree(mathjax / extensions, folder / "mathjax" / extensions)
    source = Path(__file__).with_name("slides.css")
    code = HtmlFormatter(style="default").get_style_defs(".highlight")
    text = f"{source.read_text(encoding='utf-8')}\n{code}\n"
    (folder / "deck.css").write_text(text, encoding="utf-8")
    try:
        archive = reveal()
    except OSError as error:
        return str(error)
    with tarfile.open(archive) as packed:
        for name in REVEAL_FILES:
            target = folder / "reveal" / Path(name).name
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(packed.extractfile(f"package/{name}").read())
    return ""


def reveal(folder: Path = REVEAL_FOLDER) -> Path:
    """reveal.js as npm packs it, fetched once.  OSError where it can't be had."""
    archive = folder / f"reveal.js-{REVEAL}.tgz"
    if not archive.exists() or digest(archive) != REVEAL_SHA512:
        npm = shutil.which("npm")
        if npm is None:
            raise OSError(f"npm, which fetches reveal.js {REVEAL}, is not installed")
        folder.mkdir(parents=True, exist_ok=True)
        pack = [npm, "pack", "--silent", f"reveal.js@{REVEAL}"]
        try:
            done = subprocess.run(
                pack, cwd=folder, capture_output=True, text=True, timeout=120
            )
        except subprocess.TimeoutExpired:
            raise OSError("npm did not answer within two minutes") from None
        if done.returncode or not archive.exists():
            raise OSError(f"npm could not fetch reveal.js {REVEAL}")
        if digest(archive) != REVEAL_SHA512:
            archive.unlink()
            raise OSError(f"what npm gave as reveal.js {REVEAL} has another hash")
    return archive


def digest(path: Path) -> str:
    return base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()


def of_page(page: Path, nb) -> list[Slide]:
    """A page's slides, in order."""
    chapter = int(page.stem[:2])
    title = title_of(nb)
    book = yaml.safe_load((notebooks.ROOT / "_config.yml").read_text())["title"]
    goals = "".join(f"<li>{inline(goal)}</li>" for goal in course.goals(nb))
    first = f'<p class="over">{book} · chapter {chapter}</p><h1>{inline(title)}</h1>'
    first += demo_note(nb)
    opening = nb.cells[0].source.partition("\n")[2]
    opening = re.sub(r"^\[!\[Open in Colab\].*$", "", opening, flags=re.MULTILINE)
    slides = [Slide(first, "title"), Slide(f"<h2>You will be able to</h2>"
              f"<ul>{goals}</ul>", "goals", [opening.strip()])]  # fmt: skip
    summary = []
    for heading, cells in sections(nb):
        if heading == "Summary":
            summary = [Slide(f"<h2>Summary</h2>{bullets(cells[0].source)}", "list")]
        elif heading.split()[0] not in SKIPPED:
            slides += of_section(heading, cells)
    slides += [
        question_slide(k, question) for k, question in enumerate(course.quiz(nb), 1)
    ]
    return slides + summary


def demo_note(nb) -> str:
    """What the page says where its numbers rest on the demo photographs."""
    boxes = [
        output.get("data", {}).get("text/html", "")
        for cell in nb.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    ]
    said = re.search(r'class="srcnn-demo-note"[^>]*>(.*?)</div>', "".join(boxes), re.S)
    return f'<p class="over">{said[1]}</p>' if said else ""


def title_of(nb) -> str:
    return nb.cells[0].source.partition("\n")[0].removeprefix("# ").strip()


def sections(nb) -> list[tuple[str, list]]:
    """(heading, cells) of each section; a cell with several headings is split."""
    found: list[tuple[str, list]] = []
    for cell in nb.cells[1:]:
        tags = cell.metadata.get("tags", [])
        hidden = course.part(cell) or {"quiz", "teaching", "remove-cell"} & set(tags)
        if hidden:
            continue
        if cell.cell_type == "code":
            if found:
                found[-1][1].append(cell)
            continue
        for piece in re.split(r"^(?=#{2,3} )", cell.source, flags=re.MULTILINE):
            match = re.match(r"#{2,3} (.+)\n*", piece)
            body = piece[match.end() :] if match else piece
            text = nbformat.v4.new_markdown_cell(body)
            if match:
                found.append((match[1].strip(), [text]))
            elif found and piece.strip():
                found[-1][1].append(text)
    return found


def of_section(heading: str, cells: list) -> list[Slide]:
    text = "\n\n".join(c.source for c in cells if c.cell_type == "markdown")
    slides = [Slide("", "text")]
    for cell in cells:
        if cell.cell_type == "markdown":
            slides[-1].notes.append(cell.source)
            continue
        if "slide" in cell.metadata.get("tags", []):
            slides.append(code_slide(heading, cell))
        picture = figure(cell) or table(cell)
        if picture:
            slides.append(Slide(picture, "figure"))
    extra = formula(text)
    if not extra and len(slides) == 1:
        short = [
            c
            for c in cells
            if c.cell_type == "code"
            and 2 <= len(c.source.splitlines()) <= LONGEST_CODE
            and not re.search(r"^(import|from|assert) |datasets\.load", c.source, re.M)
            and "remove-input" not in c.metadata.get("tags", [])
        ]
        extra = code(short[0]) if short else ""
    room = CHARACTERS["beside" if extra else "alone"]
    title = f"<h2>{inline(heading)}</h2>"
    said = key_sentences("\n\n".join(slides[0].notes), room)
    if sum(map(len, said)) < 80:
        said = key_sentences(text, room)
    listed = [] if extra or len(said) > 1 else items(text)
    for slide in slides[1:]:
        if slide.kind == "figure":
            own = key_sentences("\n\n".join(slide.notes), CHARACTERS["lead"])
            lead = [sentence for sentence in own if sentence not in said][:1]
            slide.body = f"{title}{paragraphs(lead)}{slide.body}"
    shown = paragraphs(said) + (render("\n".join(listed)) if listed else "")
    slides[0].body = f"{title}{shown}{extra}"
    if listed:
        slides[0].kind = "list"
    if not shown and not extra and len(slides) > 1:
        slides[1].notes = slides[0].notes + slides[1].notes
        slides.pop(0)
    return slides


def paragraphs(sentences: list[str]) -> str:
    return "".join(f"<p>{inline(sentence)}</p>" for sentence in sentences)


def items(text: str) -> list[str]:
    """The first sentences of a section's list, where it has one of 2 to 6."""
    found = re.findall(r"^(?:-|\d+\.) (.+(?:\n {2,}\S.*)*)", text, flags=re.MULTILINE)
    if not 2 <= len(found) <= 6:
        return []
    flat = [re.sub(r"\s+", " ", item) for item in found]
    first = [re.split(r"(?<=[.?!*])\s+(?=[A-Z*`$“])", item) for item in flat]
    kept = []
    for parts in first:
        item = parts[0] if len(parts[0]) > 40 else " ".join(parts[:2])
        if len(item) > 200:
            return []
        kept.append(f"- {item}")
    return kept


def key_sentences(text: str, room: int) -> list[str]:
    """The sentences of a section that say most, in their order.

    Those which open it, define a term (in italics), follow a figure or name a
    measured number come before others; those which lean on another sentence,
    or end in a colon, are left to the notes.
    """
    text = re.sub(r"^(`{3,}|:{3,}).*?^\1", "", text, flags=re.M | re.S)
    text = re.sub(r"^\$\$.*?\$\$", "", text, flags=re.M | re.S)
    text = re.sub(r",?\s*\{cite(?::[pt])?\}`[^`]*`(?=\))", "", text)
    text = re.sub(r"\s*\{cite(?::[pt])?\}`[^`]*`", "", text)
    ranked = []
    order = 0
    for nth, paragraph in enumerate(re.split(r"\n\s*\n", text)):
        flat = re.sub(r"\s+", " ", paragraph).strip()
        listed = re.match(r"[-*|>#<]\s|\d+\.\s|\|", flat)
        if not flat or listed:
            continue
        sentences = re.split(r"(?<=[.?!])\s+(?=[A-Z*`$“])", flat)
        for k, sentence in enumerate(sentences):
            order += 1
            if not 35 <= len(sentence) <= 240 or sentence[-1] not in ".?!":
                continue
            if sentence[0].islower():  # the end of one that began with a formula
                continue
            if sentence.count("$") % 2 or sentence.count("(") != sentence.count(")"):
                continue
            if re.search(r"\b(above|below|following|next cell|this cell)\b", sentence):
                continue
            score = 2.0 * (nth == 0 and k == 0) + (k == 0)
            score += 2.0 * bool(re.search(r"(?<!\*)\*[^*]+\*(?!\*)", sentence))
            score += 1.0 * bool(re.search(r"\d dB|\d %|times", sentence))
            score -= 4.0 * bool(LEANING.match(sentence))
            score -= 1.0 * sentence.endswith("?")
            ranked.append((-score, order, sentence))
    chosen, used = [], 0
    for _, place, sentence in sorted(ranked):
        if used + len(sentence) <= room and len(chosen) < 4:
            chosen.append((place, sentence))
            used += len(sentence) + 40
    return [sentence for _, sentence in sorted(chosen)]


def formula(text: str) -> str:
    match = re.search(r"^\$\$(.*?)\$\$", text, flags=re.M | re.S)
    if not match or match[1].count("\\\\") > 4:
        return ""
    return f'<div class="formula">{render(match[0])}</div>'


def figure(cell) -> str:
    """The pictures of a cell with its caption, or nothing."""
    options = cell.metadata.get("mystnb", {})
    caption = options.get("figure", {}).get("caption", "")
    for output in cell.outputs:
        png = output.get("data", {}).get("image/png")
        if png:
            alt = html.escape(options.get("image", {}).get("alt", caption))
            source = f"data:image/png;base64,{''.join(png.split())}"
            return (
                f'<figure><img src="{source}" alt="{alt}">'
                f"<figcaption>{inline(caption)}</figcaption></figure>"
            )
        still = standing(output.get("data", {}).get("text/html", ""))
        if still:
            return still
    return ""


def standing(moving: str) -> str:
    """A moving figure as a still: the first pictures of a comparison and the
    last, side by side; of frames, the one it starts with."""
    if 'class="srcnn-' not in moving or "<figcaption>" not in moving:
        return ""
    names = re.findall('<span class="name"[^>]*>(.*?)</span>', moving)
    pictures = [tag for tag in re.findall("<img [^>]*>", moving) if "data:" in tag]
    caption = re.search(r"<figcaption>(.*?)(<span|</figcaption>)", moving, re.S)[1]
    pairs = list(zip(pictures, names or [""]))
    shown = [*pairs[: ABREAST - 1], pairs[-1]] if len(pairs) > ABREAST else pairs
    row = "".join(f"<span>{tag}<small>{name}</small></span>" for tag, name in shown)
    return (
        f'<figure><div class="abreast">{row}</div>'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def table(cell) -> str:
    """A short table among a cell's outputs, or nothing."""
    for output in cell.outputs:
        text = output.get("data", {}).get("text/markdown", "")
        rows = text.strip().splitlines()
        if rows and rows[0].startswith("|") and len(rows) <= LONGEST_TABLE[0] + 2:
            if rows[0].count("|") <= LONGEST_TABLE[1] + 1:
                return f'<div class="table">{render(text)}</div>'
    return ""


def code(cell) -> str:
    return highlight(cell.source, PythonLexer(), HtmlFormatter())


def code_slide(heading: str, cell) -> Slide:
    shown = "".join(o.get("text", "") for o in cell.outputs).strip()
    lines = shown.splitlines()[:6]
    printed = f"<pre class='out'>{html.escape(chr(10).join(lines))}</pre>"
    body = f"<h2>{inline(heading)}</h2>{code(cell)}{printed if lines else ''}"
    return Slide(body, "code")


def question_slide(number: int, question) -> Slide:
    """A question of the quiz; its answer comes as the next fragment."""
    text = re.sub(r"^\*\*\d+\.\*\*\s*", "", question.text)
    options, notes = "", []
    for option, reason in question.options:
        right = reason.startswith("Right")
        mark = ' class="right"' if right else ""
        options += f"<li{mark}>{option}</li>"
        notes.append(f"- {option}: {reason}")
        if right:
            why = reason.partition(":")[2].strip() or reason
            answer = f'<p class="fragment answer"><b>{option}.</b> {why}</p>'
    body = (
        f"<h2>Question {number}</h2><p>{inline(text)}</p>"
        f'<ol type="a">{options}</ol>{answer}'
    )
    return Slide(body, "quiz", ["\n".join(notes)])


def bullets(text: str) -> str:
    """The list of a summary, as short as it stands there."""
    match = re.search(r"^- .*?(?=\n\n(?!  )|\Z)", text, flags=re.M | re.S)
    return render(match[0] if match else text)


def _math(content: str, options: dict) -> str:
    escaped = html.escape(content.strip(), quote=False)
    return f"\\[{escaped}\\]" if options["display_mode"] else f"\\({escaped}\\)"


PARSER = MarkdownIt("commonmark", {"html": True}).enable("table")
PARSER.use(dollarmath_plugin, renderer=_math, allow_digits=True, allow_space=True)


def _simple(text: str) -> str:
    """Without links to pages, which a deck has not."""
    text = markdown.plain(text, markdown.references(), folded=False)
    text = text.replace(markdown.BIBLIOGRAPHY, "")
    text = re.sub(r"^!\[[^\]]*\]\([^)]*\)$", "", text, flags=re.MULTILINE)
    return re.sub(r"(?<!!)\[([^\]\[]+)\]\((?!https?:)[\w./#-]+\)", r"\1", text)


def render(text: str) -> str:
    return PARSER.render(_simple(text))


def inline(text: str) -> str:
    return PARSER.renderInline(_simple(text))


PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
{style}<link rel="stylesheet" href="assets/deck.css">
</head>
<body class="{mode}">
{notice}<div class="reveal"><div class="slides">
{slides}
</div></div>
<script>
window.MathJax = {{
  tex: {{inlineMath: [["\\\\(", "\\\\)"]], displayMath: [["\\\\[", "\\\\]"]]}},
  options: {{enableMenu: false, enableExplorer: false, enableSpeech: false,
            enableBraille: false, enableAssistiveMml: true,
            ignoreHtmlClass: "notes"}},
}};
// Text that a browser's fonts make longer than a slide is set a little smaller.
function fit(slide) {{
  const body = slide.querySelector(".body");
  for (let size = 1; size > 0.6; size -= 0.04) {{
    body.style.fontSize = `${{size}}em`;
    if (body.scrollHeight <= body.clientHeight + 1 &&
        body.scrollWidth <= body.clientWidth + 1) break;
  }}
}}
window.addEventListener("load", async () => {{
  await MathJax.startup.promise;
  document.querySelectorAll(".slides > section").forEach(fit);
  document.body.classList.add("fitted");
  if (window.Reveal) await Reveal.initialize({{
    width: 1280, height: 720, margin: 0.02, center: false, hash: true,
    transition: "none", slideNumber: "c/t", plugins: [RevealNotes],
  }});
  document.body.classList.add("ready");
}});
</script>
<script src="assets/mathjax/tex-svg.js" defer></script>
{scripts}</body>
</html>
"""


def document(title: str, slides: list[Slide], missing: str) -> str:
    parts = []
    for slide in slides:
        told = "\n\n".join(note for note in slide.notes if note.strip())
        notes = render(told) if told else ""
        if missing:
            notes = notes and f"<details><summary>Notes</summary>{notes}</details>"
            after = f'</section>\n<div class="notes">{notes}</div>'
        else:
            after = f'<aside class="notes">{notes}</aside></section>'
        parts.append(
            f'<section class="{slide.kind}"><div class="body">{slide.body}</div>{after}'
        )
    reveal = 'assets/reveal/{}'
    return PAGE.format(
        title=html.escape(title),
        style=""
        if missing
        else f'<link rel="stylesheet" href="{reveal.format("reveal.css")}">\n',
        mode="scrolls" if missing else "deck",
        notice=f'<p class="missing">{html.escape(missing)}: this deck scrolls.</p>\n'
        if missing
        else "",
        slides="\n".join(parts),
        scripts=""
        if missing
        else "".join(
            f'<script src="{reveal.format(name)}"></script>\n'
            for name in ("reveal.js", "notes.js")
        ),
    )
