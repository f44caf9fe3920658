"""What every rendered page says about itself: a description and a picture for
those who link to it, and when its cells were last run, with which versions.
Beside the pages: sitemap.xml, and 404.html for addresses that lead nowhere.
And what of a figure turns to light on dark with the page: all but pictures."""

import datetime
import html
import importlib.metadata
import json
import platform
import re
import urllib.parse
from pathlib import Path

import numpy as np
from docutils import nodes
from PIL import Image, ImageDraw

from srcnn_lib import datasets, images, methods, plots, protocol

PREVIEW = "_static/preview.png"
VERSIONS = {"PyTorch": "torch", "NumPy": "numpy", "scikit-image": "scikit-image"}
NOT_FOUND = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>No such page · {title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1.1rem/1.6 sans-serif; max-width: 40rem; margin: 4rem auto;
  padding: 0 1rem; }}
</style>
<h1>There is no such page</h1>
<p>It may have been renamed. These are the pages of <a href="{base}">{title}</a>:</p>
<ul>
{items}
</ul>
"""


# Not one that has its shade from an earlier build.
FIGURE = re.compile(
    r'(?<!<span class="srcnn-figure">)'
    r'<img [^>]*src="([^"]*_images/[^"]*\.png)"[^>]*>'
)


def with_shades(text: str, page: Path) -> str:
    """A page's HTML, each of its figures with a shade over all but the pictures
    that it says it has; the style sheet makes it act in the dark."""

    def shaded(found: re.Match) -> str:
        with Image.open(page.parent / found[1]) as figure:
            about = getattr(figure, "text", {}).get(plots.PICTURES)
        if about is None:
            return found[0]
        corners = "0 0, 100% 0, 100% 100%, 0 100%, 0 0"
        for left, top, right, bottom in json.loads(about):
            around = [(left, top), (left, bottom), (right, bottom), (right, top)]
            for x, y in [*around, around[0]]:
                corners += f", {100 * x:.2f}% {100 * y:.2f}%"
            corners += ", 0 0"
        shade = f'<span style="clip-path: polygon(evenodd, {corners})"></span>'
        return f'<span class="srcnn-figure">{found[0]}{shade}</span>'

    return FIGURE.sub(shaded, text)


def address(config) -> str:
    """Where GitHub Pages shows the repository that _config.yml names."""
    url = config.html_theme_options["repository_url"]
    owner, name = urllib.parse.urlsplit(url).path.strip("/").split("/")
    return f"https://{owner.lower()}.github.io/{name}/"


def describe(app, pagename, templatename, context, doctree) -> None:
    """Add the description, the preview and the date to a page."""
    if doctree is None:
        return
    title = re.sub("<[^>]*>", "", context.get("title", ""))
    text = html.escape(_description(doctree) or html.unescape(title))
    preview = html.escape(app.config.html_baseurl + PREVIEW)
    context["metatags"] = context.get("metatags", "") + (
        f'\n<meta name="description" content="{text}">'
        f'\n<meta property="og:type" content="article">'
        f'\n<meta property="og:title" content="{title}">'
        f'\n<meta property="og:description" content="{text}">'
        f'\n<meta property="og:image" content="{preview}">'
        f'\n<meta name="twitter:card" content="summary_large_image">'
    )
    context["body"] += f'\n<p class="verified">{_verified(app, pagename)}</p>'


def _description(doctree) -> str:
    """The first paragraph that says something, cut at a sentence."""
    for node in doctree.findall(nodes.paragraph):
        text = " ".join(node.astext().split())
        if len(text) >= 80 and not text.startswith("Cost"):
            cut = text[:300].rsplit(". ", 1)[0] if len(text) > 300 else text
            return cut.rstrip(".") + "."
    return ""


def _verified(app, pagename: str) -> str:
    """Date and versions; of a page with code, those of its last run."""
    found = getattr(app.env, "nb_metadata", {}).get(pagename, {}).get("exec_data")
    now = datetime.datetime.now(datetime.UTC)
    when = datetime.datetime.fromtimestamp(found["mtime"], now.tzinfo) if found else now
    versions = [f"Python {platform.python_version()}"]
    versions += [f"{n} {importlib.metadata.version(p)}" for n, p in VERSIONS.items()]
    what = "Last verified: every cell ran on" if found else "Built on"
    return f"{what} {when:%Y-%m-%d} with {', '.join(versions)}."


def write(app) -> None:
    """Write sitemap.xml, 404.html and the preview."""
    folder, base = Path(app.outdir), app.config.html_baseurl
    root = app.config.root_doc
    docs = sorted(app.env.found_docs, key=lambda name: (name != root, name))
    pages = [name for name in docs if (folder / f"{name}.html").exists()]
    places = "".join(
        f"  <url><loc>{html.escape(base + name)}.html</loc></url>\n" for name in pages
    )
    (folder / "sitemap.xml").write_text(
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
        f"{places}</urlset>\n",
        encoding="utf-8",
    )
    items = "\n".join(
        f'<li><a href="{html.escape(base + name)}.html">'
        f"{html.escape(app.env.titles[name].astext())}</a></li>"
        for name in pages
        if name in app.env.titles
    )
    title = html.escape(app.config.html_title)
    (folder / "404.html").write_text(
        NOT_FOUND.format(title=title, base=base, items=items), encoding="utf-8"
    )
    _preview().save(folder / PREVIEW, optimize=True)


def _preview() -> Image.Image:
    """1200×630 pixels: a photograph, its left half by bicubic interpolation, its
    right by SRCNN."""
    image = datasets.load("demo-train")["astronaut"][60:270, 80:280]
    hr_y, lr_y = protocol.degrade(image, 3)
    srcnn = methods.get("srcnn", model="9-5-5", scale=3, device="cpu")
    halves = [method(lr_y, 3) for method in (methods.get("bicubic"), srcnn)]
    middle = hr_y.shape[1] // 2
    y = np.concatenate([halves[0][:, :middle], halves[1][:, middle:]], axis=1)
    picture = Image.fromarray(images.to_uint8(255 * np.clip(y, 0, 1)))
    picture = picture.resize((630, 630), Image.NEAREST).convert("RGB")
    card = Image.new("RGB", (1200, 630), "white")
    card.paste(picture, (570, 0))
    draw = ImageDraw.Draw(card)
    draw.line((885, 0, 885, 630), fill="#d55e00", width=4)
    for text, size, top in (
        ("SRCNN,", 84, 150),
        ("reproduced", 84, 245),
        ("to the last printed digit", 40, 370),
        ("bicubic | SRCNN", 32, 560),
    ):
        draw.text((50, top), text, fill="#222222", font_size=size)
    return card
