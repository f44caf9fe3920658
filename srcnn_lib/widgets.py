"""What a reader can move or press on a page, without a kernel where possible.

A rendered page has no kernel, so what moves there is plain HTML with a line of
JavaScript in it, and asks nothing of any other host.
"""

import base64
import html
import io
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from . import images

# A picture divided into before and after ----------------------------------

_COMPARE_STYLE = """
.srcnn-compare { margin: 1.5rem auto; max-width: 100%; }
.srcnn-compare .pair { position: relative; line-height: 0; overflow: hidden; }
.srcnn-compare img { width: 100%; max-width: none; height: auto; margin: 0;
  image-rendering: pixelated; }
.srcnn-compare .before { clip-path: inset(0 calc(100% - var(--at)) 0 0); }
.srcnn-compare .after { position: absolute; inset: 0;
  clip-path: inset(0 0 0 var(--at)); }
.srcnn-compare .name { position: absolute; top: .5rem; left: .5rem;
  padding: .2em .6em; border-radius: .3em; background: rgba(0, 0, 0, .72);
  color: #fff; font: 600 .8rem/1.4 sans-serif; }
.srcnn-compare .after .name { left: auto; right: .5rem; }
.srcnn-compare input { position: absolute; inset: 0; width: 100%; height: 100%;
  margin: 0; opacity: 0; cursor: ew-resize; touch-action: pan-y; }
.srcnn-compare .line { position: absolute; inset: 0 auto 0 var(--at); width: 2px;
  margin-left: -1px; background: #fff; box-shadow: 0 0 3px #000;
  pointer-events: none; }
.srcnn-compare .line::after { content: "\\25C2\\2009\\25B8"; position: absolute;
  top: 50%; left: -1.1rem; width: 2.2rem; margin-top: -1rem; border-radius: 1rem;
  background: #fff; color: #222; font: 1rem/2rem sans-serif; text-align: center;
  box-shadow: 0 0 3px #000; }
.srcnn-compare input:focus-visible + .line { outline: 3px solid #0072b2; }
.srcnn-compare input:focus-visible + .line::after { background: #0072b2;
  color: #fff; }
@media print, (scripting: none) {
  .srcnn-compare { width: 100% !important; }
  .srcnn-compare .pair { display: flex; gap: 8px; }
  .srcnn-compare .before, .srcnn-compare .after { position: relative; flex: 1;
    clip-path: none; }
  .srcnn-compare .after .name { right: auto; left: .5rem; }
  .srcnn-compare input, .srcnn-compare .line, .srcnn-compare .how {
    display: none; }
}
"""
_COMPARE_BODY = """
<figure class="srcnn-compare" style="--at: 50%; width: {width}px">
<style>{style}</style>
<div class="pair">
<div class="before"><img alt="{before}{alt}" src="{before_png}">\
<span class="name" aria-hidden="true">{before}</span></div>
<div class="after"><img alt="{after}{alt}" src="{after_png}">\
<span class="name" aria-hidden="true">{after}</span></div>
<input type="range" min="0" max="100" value="50" \
aria-label="Divider between {before}, left, and {after}, right" \
aria-valuetext="50 % {before}" data-of=" % {before}" \
oninput="this.closest('figure').style.setProperty('--at', this.value + '%');\
this.setAttribute('aria-valuetext', this.value + this.dataset.of)">
<div class="line"></div>
</div>
<figcaption>{caption}<span class="how"> Drag the line, or press Tab and the \
arrow keys.</span></figcaption>
</figure>
"""


class Comparison:
    """Two pictures behind a divider; see `compare`."""

    def __init__(self, text: str, markup: str):
        self._text, self._markup = text, markup

    def __repr__(self) -> str:
        return self._text

    def _repr_html_(self) -> str:
        return self._markup


def compare(
    before: np.ndarray,
    after: np.ndarray,
    labels: Sequence[str] = ("before", "after"),
    *,
    zoom: int = 1,
    caption: str = "",
    alt: str = "",
) -> Comparison:
    """Two pictures in one place, with a divider that the reader moves.

    It is moved by mouse, finger or keyboard and never by itself.  In print, and
    where scripts are off, the pictures stand side by side.  Both are in the
    page as PNG: give crops.

    Parameters
    ----------
    before, after : uint8 arrays of one shape, (H, W) or (H, W, 3); `before` is
        on the left.
    labels : their names.
    zoom : screen pixels per picture pixel, by nearest neighbour; less where the
        screen is narrower.
    caption : stands below.
    alt : what one would see, for those who don't.

    Raises
    ------
    ValueError : for other arrays, or other than two labels.
    """
    before, after = np.asarray(before), np.asarray(after)
    if before.shape != after.shape:
        raise ValueError(f"shapes differ: {before.shape} and {after.shape}")
    if before.dtype != np.uint8 or after.dtype != np.uint8:
        raise ValueError(f"pictures must be uint8, not {before.dtype}, {after.dtype}")
    if before.ndim != 2 and before.shape[2:] != (3,):
        raise ValueError(f"pictures must be grey or RGB, not {before.shape}")
    if len(labels) != 2:
        raise ValueError(f"there are two labels, not {len(labels)}")
    height, width = before.shape[:2]
    left, right = labels
    markup = _COMPARE_BODY.format(
        style=_COMPARE_STYLE,
        width=zoom * width,
        before=html.escape(left),
        after=html.escape(right),
        before_png=_png(before),
        after_png=_png(after),
        alt=html.escape(f": {alt}" if alt else ""),
        caption=html.escape(caption),
    )
    return Comparison(f"<{left} | {right}: {width}×{height} pixels>", markup)


def _png(image: np.ndarray) -> str:
    """A uint8 picture as the address of itself."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


# A picture of the reader's own ---------------------------------------------


class ChosenPicture:
    """A file that the reader chooses; `read` it when that is done."""

    def __init__(self, files):
        self._files = files  # () → {name: bytes}

    def read(self) -> np.ndarray:
        """The picture, as `images.read` gives it.

        Raises
        ------
        ValueError : when none was chosen yet, or it is no picture.
        """
        chosen = self._files()
        if not chosen:
            raise ValueError(
                "no picture is chosen yet; choose one, then run this cell again"
            )
        name, content = next(iter(chosen.items()))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, Path(name).name)
            path.write_bytes(content)
            return images.read(path)


def choose_picture() -> ChosenPicture:
    """Let the reader choose a picture: Colab's dialogue, or Jupyter's button.

    The file goes from the browser to the machine that runs the kernel, which is
    the reader's own, or in Colab a borrowed one that is wiped afterwards; this
    library sends it nowhere.

    Raises
    ------
    ValueError : outside of Colab, when ipywidgets is not installed.
    """
    if "google.colab" in sys.modules:
        from google.colab import files

        uploaded = files.upload()  # waits for the reader
        return ChosenPicture(lambda: uploaded)
    try:
        from ipywidgets import FileUpload
    except ImportError:
        raise ValueError(
            "choosing needs ipywidgets; give the path of a file instead"
        ) from None
    from IPython.display import display

    button = FileUpload(
        accept=",".join(images.SUFFIXES),
        multiple=False,
        description="Choose a picture",
        layout={"width": "auto"},
    )
    display(button)
    return ChosenPicture(
        lambda: {file["name"]: bytes(file["content"]) for file in button.value}
    )
