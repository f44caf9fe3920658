"""What the site tells beyond its pages' text: when cells ran last, with which versions;
sitemap.xml; 404.html.  And what of a figure turns to light on dark with the page: all
except pictures."""

import html
import importlib.metadata
import json
import platform
import re
import time
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image

from srcnn_lib import plots

VERSIONS = {"PyTorch": "torch", "NumPy": "numpy", "scikit-image": "scikit-image"}
SITEMAP = """<?xml version="1.0" encoding="utf-8"?>
<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">
{}
</urlset>
"""
#: A figure that has no shade from an earlier build.
IMAGE = r'_images/(?!open-in-colab)[^"]*'
FIGURE = rf'(?<!class="srcnn-figure">)<img [^>]*src="([^"]*{IMAGE})"[^>]*>'


def with_shades(text: str, page: Path) -> str:
    """A page's HTML with a shade over each figure, except over its pictures, which the
    figure names.  The style sheet makes the shade act in the dark."""
    def shaded(found: re.Match) -> str:
        file = page.parent / found[1]
        about = "[]"  # a drawing
        if file.suffix != ".svg":
            about = getattr(Image.open(file), "text", {}).get(plots.PICTURES)
        if about is None:
            return found[0]
        corners = "0 0, 100% 0, 100% 100%, 0 100%, 0 0"
        for box in json.loads(about):
            left, top, right, bottom = (f"{100 * place:.2f}%" for place in box)
            corners += f", {left} {top}, {left} {bottom}, {right} {bottom}"
            corners += f", {right} {top}, {left} {top}, 0 0"
        shade = f'<span style="clip-path: polygon(evenodd, {corners})"></span>'
        return f'<span class="srcnn-figure">{found[0]}{shade}</span>'

    return re.sub(FIGURE, shaded, text)


def address(config) -> str:
    """The site's own (``html: baseurl`` in _config.yml), or where GitHub Pages shows
    the repository that _config.yml names."""
    url = config.html_theme_options["repository_url"].rstrip("/")
    owner, name = url.split("/")[-2:]
    own = config.html_baseurl or f"https://{owner}.github.io/{name}"
    return f"{own.rstrip('/')}/"


def describe(app, pagename, templatename, context, doctree) -> None:
    """On ``html-page-context``, last: the date and the versions below a page."""
    if doctree is None:
        return
    found = getattr(app.env, "nb_metadata", {}).get(pagename, {}).get("exec_data")
    when = datetime.fromtimestamp(found["mtime"] if found else time.time(), UTC)
    versions = [f"Python {platform.python_version()}"]
    versions += [f"{n} {importlib.metadata.version(p)}" for n, p in VERSIONS.items()]
    what = "Last verified: every cell ran on" if found else "Built on"
    said = f"{what} {when:%Y-%m-%d} with {', '.join(versions)}."
    context["body"] += f'\n<p class="verified">{said}</p>'
    # sphinxext-opengraph begins with the badge's text and ends each item by a comma.
    for there, wanted in (('"Open in Colab ', '"'), (";,", ";")):
        context["metatags"] = context["metatags"].replace(there, wanted)


def write(app) -> None:
    """Write 404.html and the sitemap: sphinx-sitemap 2.9 lists only the pages that this
    build wrote anew."""
    folder, base, root = Path(app.outdir), app.config.html_baseurl, app.config.root_doc
    places, items = [], []
    for name in sorted(app.env.titles, key=lambda name: (name != root, name)):
        place = f"{html.escape(base + name)}.html"
        title = html.escape(app.env.titles[name].astext())
        places.append(f"  <url><loc>{place}</loc></url>")
        items.append(f'<li><a href="{place}">{title}</a></li>')
    sitemap = SITEMAP.format("\n".join(places))
    (folder / "sitemap.xml").write_text(sitemap, encoding="utf-8")
    about = {"title": html.escape(app.config.html_title), "items": "\n".join(items)}
    lost = Path(__file__).with_name("404.html").read_text(encoding="utf-8")
    (folder / "404.html").write_text(lost.format(base=base, **about), encoding="utf-8")
