"""What a reader can move or press on a page, without a kernel where possible.

A rendered page has no kernel, so what moves there is plain HTML with a line of
JavaScript in it, and asks nothing of any other host.
"""

import base64
import hashlib
import html
import io
import itertools
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from . import images


def _png(picture: Image.Image) -> str:
    """A picture as the address of itself."""
    file = io.BytesIO()
    picture.save(file, "png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


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
        before_png=_png(Image.fromarray(before)),
        after_png=_png(Image.fromarray(after)),
        alt=html.escape(f": {alt}" if alt else ""),
        caption=html.escape(caption),
    )
    return Comparison(f"<{left} | {right}: {width}×{height} pixels>", markup)


# Pictures under a slider ---------------------------------------------------

_numbers = itertools.count()  # two equal sliders on a page differ by it

_FRAMES_BODY = """\
<figure class="srcnn-frames" id="{id}">
<style>
.srcnn-frames img {{ max-width: 100%; height: auto; }}
.srcnn-frames .controls {{ display: flex; flex-wrap: wrap; gap: 0.3rem 1rem;
  align-items: center; margin: 0.5rem 0; }}
.srcnn-frames label {{ flex: 1 1 100%; font-variant-numeric: tabular-nums; }}
.srcnn-frames input {{ flex: 1 1 12rem; min-width: 8rem; height: 1.6rem; }}
.srcnn-frames [hidden] {{ display: none; }}
@media print, (prefers-reduced-motion: reduce) {{
  .srcnn-frames button {{ display: none; }} }}
@media print {{ .srcnn-frames input {{ display: none; }} }}
</style>
<img src="{first}" alt="{alt}" width="{width}">
<div class="controls">
<label for="{id}-at">{name}: <output for="{id}-at">{label}</output></label>
<input type="range" id="{id}-at" min="0" max="{last}" step="1" value="{start}"
  aria-valuetext="{label}" hidden>
<button type="button" hidden>Play</button>
</div>
<figcaption>{caption}</figcaption>
<script>
(() => {{
  const box = document.getElementById("{id}");
  const frames = {frames};
  const labels = {labels};
  const [image, output, input, button] =
    ["img", "output", "input", "button"].map(e => box.querySelector(e));
  let timer = null;
  const show = k => {{
    input.value = k;
    image.src = frames[k];
    output.textContent = labels[k];
    input.setAttribute("aria-valuetext", labels[k]);
  }};
  const stop = () => {{
    clearInterval(timer);
    timer = null;
    button.textContent = "Play";
  }};
  input.addEventListener("input", () => {{ stop(); show(+input.value); }});
  button.addEventListener("click", () => {{
    if (timer) return stop();
    button.textContent = "Stop";
    if (+input.value === frames.length - 1) show(0);
    timer = setInterval(() => {{
      if (+input.value === frames.length - 1) return stop();
      show(+input.value + 1);
    }}, 700);
  }});
  input.hidden = button.hidden = false;
}})();
</script>
</figure>
"""


class Frames:
    """Pictures under a slider; see `frames`."""

    def __init__(self, labels: list[str], page: str):
        self.labels, self.page = labels, page

    def __repr__(self) -> str:
        first, last = self.labels[0], self.labels[-1]
        return f"<{len(self.labels)} frames, {first} … {last}>"

    def _repr_html_(self) -> str:
        return self.page


def frames(
    pictures: Mapping[str, np.ndarray | Figure],
    *,
    caption: str,
    alt: str,
    name: str = "frame",
    start: int = -1,
) -> Frames:
    """Pictures that a reader steps through, in a page without a kernel.

    A slider moves them, by mouse, finger or arrow keys; a button plays them,
    unless the reader's system asks for less motion.  On paper, and where no
    script runs, it is the picture it starts with and its label.

    Parameters
    ----------
    pictures : label → (H, W) or (H, W, 3), float in 0…1 or uint8, shown pixel
        for pixel; or a Figure. All of the same size.
    caption, alt : under the pictures, and in place of them.
    name : of what the slider changes.
    start : the frame to begin with.

    Raises
    ------
    ValueError : for no pictures, or pictures of different sizes.
    """
    if not pictures:
        raise ValueError("frames needs at least one picture")
    drawn = [_drawn(picture) for picture in pictures.values()]
    sizes = {image.size for image in drawn}
    if len(sizes) > 1:
        raise ValueError(f"frames must be of one size, not {sorted(sizes)}")
    labels = [str(label) for label in pictures]
    addresses = [_png(image) for image in drawn]
    start = range(len(labels))[start]
    key = hashlib.sha256("".join(addresses).encode()).hexdigest()[:8]
    page = _FRAMES_BODY.format(
        id=f"frames-{key}-{next(_numbers)}",
        first=addresses[start],
        frames=json.dumps(addresses),
        labels=json.dumps(labels).replace("<", "\\u003c"),
        label=html.escape(labels[start]),
        alt=html.escape(alt),
        caption=html.escape(caption),
        name=html.escape(name),
        width=drawn[0].width,
        last=len(labels) - 1,
        start=start,
    )
    return Frames(labels, page)


def _drawn(picture: np.ndarray | Figure) -> Image.Image:
    if isinstance(picture, Figure):
        buffer = io.BytesIO()
        picture.savefig(buffer, format="png")
        return Image.open(buffer)
    array = np.asarray(picture)
    if array.dtype != np.uint8:
        array = (np.clip(array, 0, 1) * 255).round().astype(np.uint8)
    return Image.fromarray(array)


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
