"""What this book asks of Sphinx beyond jupyter-book.

- Executed pages are kept in a cache whose name is a hash of all that a page's outputs
  rest on; only a page's own cells are jupyter-cache's business.  What isn't there is
  run before Sphinx reads it (srcnn_run.py).
- The table of G_costs.md comes from the recorded costs, as a substitution.
- MathJax comes with the book, so that it reads offline, and so do the networks."""

import os
import re
import shutil
import time
from pathlib import Path

import srcnn_live
import srcnn_pages
import srcnn_run  # by which those below are found
from srcnn_run import CACHES, cache_key

from benchmarks import page_costs
from srcnn_lib import widgets
from tools import browser, paper_map

#: What themes and translators write, and what pages have instead.
MENDED = {
    # Fonts are preloaded in a way that fails for a page on a disk.
    r'<link rel="preload" as="font"[^>]*>\n?': "",
    # Roles that screen readers can't use: a list without list items.
    r'<div [^>]*"citation-list"[^>]*>': '<div class="citation-list">',
    r' role="doc-biblioentry"': "",
    # What scrolls has to be reached by keyboard.
    r'(<div class="pst-scrollable-table-container")>': r'\1 tabindex="0">',
}
#: Two megabytes that a page without mathematics needn't load.
MATHJAX = r'<script[^>]*tex-svg\.js[^>]*></script>\n?'


def configure(app, config):
    os.environ[widgets.STATIC] = "1"  # pages without a kernel
    cache = CACHES / cache_key()
    cache.mkdir(parents=True, exist_ok=True)
    cache.touch()
    newest = sorted(CACHES.iterdir(), key=lambda path: path.stat().st_mtime)
    for old in newest[:-3]:
        if time.time() - old.stat().st_mtime > 24 * 3600:  # else perhaps in use
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    config.nb_execution_cache_path = str(cache)
    config.myst_substitutions = {"costs": page_costs.table()}
    config.html_baseurl = config.ogp_site_url = srcnn_pages.address(config)
    # SVG, because Firefox gives a page opened from a disk no web fonts.
    config.mathjax_path = "mathjax/tex-svg.js"


def all_pages(app, env, added, changed, removed) -> set[str]:
    """On ``env-get-outdated``: each build reads each page, as other pages, results and
    `make pdf` change it, and sphinx-codeautolink 0.20 forgets what it read before."""
    return env.found_docs


def finish(app, exception):
    if exception or app.builder.format != "html":
        return
    static, for_screens = Path(app.outdir) / "_static", app.builder.name == "html"
    if for_screens:
        srcnn_pages.write(app)
    browser.copy_mathjax(static / "mathjax")
    srcnn_live.write(static / "live")
    out = Path(app.outdir)
    for page in {*out.rglob("*.html")} - {*(out / "course").rglob("*.html")}:
        text = mended = page.read_text(encoding="utf-8")
        unused = {} if 'class="math' in text else {MATHJAX: ""}
        for pattern, replacement in (MENDED | unused).items():
            mended = re.sub(pattern, replacement, mended)
        if for_screens:  # paper is never dark
            mended = srcnn_pages.with_shades(mended, page)
        if mended != text:
            page.write_text(mended, encoding="utf-8")


def setup(app):
    app.connect("config-inited", configure)
    app.connect("env-before-read-docs", srcnn_run.ahead)
    app.connect("env-get-outdated", all_pages)
    app.connect("source-read", paper_map.fill)
    app.connect("doctree-read", paper_map.anchor)
    app.connect("html-page-context", srcnn_live.add_scripts)
    app.connect("html-page-context", srcnn_pages.describe, priority=900)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
