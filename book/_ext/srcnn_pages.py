"""What the site tells beyond its pages' text.

When a page's cells ran last, with which versions; sitemap.xml; 404.html for addresses
that lead nowhere; the picture that a link to the book shows.  And what of a figure
turns to light on dark with the page: all except pictures.
"""

import datetime
import html
import importlib.metadata
import json
import platform
import re
import urllib.parse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from srcnn_lib import datasets, images, methods, plots, protocol

VERSIONS = {"PyTorch": "torch", "NumPy": "numpy", "scikit-image": "scikit-image"}
SITEMAP = (
    '<?xml version="1.0" encoding="utf-8"?>\n'
    '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{}\n</urlset>\n'
)
#: A figure that has no shade from an earlier build.
FIGURE = re.compile(
    r'(?<!<span class="srcnn-figure">)'
    r'<img [^>]*src="([^"]*_images/[^"]*\.png)"[^>]*>'
)


def with_shades(text: str, page: Path) -> str:
    """A page's HTML with a shade over each figure, except over its pictures.

    The figure says where these are; the style sheet makes the shade act in the dark.
    """

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
    """On ``html-page-context``, last: the date and the versions below a page."""
    if doctree is None:
        return
    found = getattr(app.env, "nb_metadata", {}).get(pagename, {}).get("exec_data")
    now = datetime.datetime.now(datetime.UTC)
    when = datetime.datetime.fromtimestamp(found["mtime"], now.tzinfo) if found else now
    versions = [f"Python {platform.python_version()}"]
    versions += [f"{n} {importlib.metadata.version(p)}" for n, p in VERSIONS.items()]
    what = "Last verified: every cell ran on" if found else "Built on"
    said = f"{what} {when:%Y-%m-%d} with {', '.join(versions)}."
    context["body"] += f'\n<p class="verified">{said}</p>'
    # sphinxext-opengraph begins with the badge's text and ends each item by a comma.
    told = context["metatags"].replace('"Open in Colab ', '"').replace(";,", ";")
    context["metatags"] = told


def write(app) -> None:
    """Write sitemap.xml, 404.html and the preview.

    sphinx-sitemap 2.9 lists only the pages that this build wrote anew.
    """
    folder, base, root = Path(app.outdir), app.config.html_baseurl, app.config.root_doc
    docs = sorted(app.env.titles, key=lambda name: (name != root, name))
    pages = {f"{html.escape(base + n)}.html": app.env.titles[n].astext() for n in docs}
    places = "\n".join(f"  <url><loc>{place}</loc></url>" for place in pages)
    (folder / "sitemap.xml").write_text(SITEMAP.format(places), encoding="utf-8")
    items = "\n".join(
        f'<li><a href="{place}">{html.escape(title)}</a></li>'
        for place, title in pages.items()
    )
    title = html.escape(app.config.html_title)
    lost = Path(__file__).with_name("404.html").read_text(encoding="utf-8")
    lost = lost.format(title=title, base=base, items=items)
    (folder / "404.html").write_text(lost, encoding="utf-8")
    preview().save(folder / app.config.ogp_image, optimize=True)


def preview() -> Image.Image:
    """1200×630 pixels: a photograph enlarged by bicubic interpolation and by SRCNN."""
    image = datasets.load("demo-train")["astronaut"][60:270, 80:280]
    _, lr_y = protocol.degrade(image, 3)
    srcnn = methods.get("srcnn", model="9-5-5", scale=3, device="cpu")
    left, right = (method(lr_y, 3) for method in (methods.get("bicubic"), srcnn))
    middle = left.shape[1] // 2
    y_01 = np.concatenate([left[:, :middle], right[:, middle:]], axis=1).clip(0, 1)
    card = Image.new("RGB", (1200, 630), "white")
    picture = Image.fromarray(images.to_uint8(255 * y_01))
    card.paste(picture.resize((630, 630), Image.NEAREST), (570, 0))
    draw = ImageDraw.Draw(card)
    draw.line((885, 0, 885, 630), fill="#d55e00", width=4)
    draw.text((50, 150), "SRCNN,\nreproduced", fill="#222222", font_size=84)
    draw.text((50, 370), "to the last printed digit", fill="#222222", font_size=40)
    draw.text((50, 560), "bicubic | SRCNN", fill="#222222", font_size=32)
    return card
