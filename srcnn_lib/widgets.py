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
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

from . import images


def _png(picture: Image.Image) -> str:
    """A picture as the address of itself."""
    file = io.BytesIO()
    picture.save(file, "png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


#: Set where pages are run to be rendered: there no kernel will answer.
STATIC = "SRCNN_STATIC"
_VIEW = "application/vnd.jupyter.widget-view+json"


class Moving:
    """What moves on a page; where a kernel runs, it computes anew.

    A rendered page shows the HTML.  Front ends that know widgets (Jupyter,
    Colab, VS Code) prefer the widget, if there is one to show and ipywidgets is
    installed.
    """

    def __init__(self, text: str, page: str, live: Callable | None = None):
        self.text, self.page, self._live = text, page, live

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        bundle = {"text/plain": self.text, "text/html": self.page}
        if self._live is not None and STATIC not in os.environ:
            try:
                import ipywidgets
            except ImportError:
                return bundle
            widget = self._live(ipywidgets)
            bundle[_VIEW] = {
                "version_major": 2,
                "version_minor": 0,
                "model_id": widget.model_id,
            }
        return bundle


def _steered(ipywidgets, sliders: Sequence, draw: Callable[..., str]):
    """Sliders, and below them the HTML that `draw` makes of their values.

    What it raises is said in one line in place of the picture.
    """
    shown = ipywidgets.HTML()

    def update(_=None):
        try:
            shown.value = draw(*(slider.value for slider in sliders))
        except Exception as error:  # whatever the reader's values led to
            said = f"{type(error).__name__}: {error}".splitlines()[0]
            shown.value = f"<p>{html.escape(said)}</p>"

    for slider in sliders:
        slider.observe(update, "value")
    update()
    return ipywidgets.VBox([*sliders, shown])


def _slider(ipywidgets, name: str, values: Sequence, start):
    """Every whole number between the values, or the values."""
    options = {
        "description": name,
        "continuous_update": False,
        "style": {"description_width": "initial"},
        "layout": {"width": "26rem", "max_width": "100%"},
    }
    if all(isinstance(value, (int, np.integer)) for value in values):
        low, high = int(min(values)), int(max(values))
        return ipywidgets.IntSlider(int(start), low, high, **options)
    return ipywidgets.SelectionSlider(options=values, value=start, **options)


# Pictures with a divider between them ----------------------------------------

_COMPARE_STYLE = """
.srcnn-compare { margin: 1.5rem auto; max-width: 100%; }
.srcnn-compare .pair { position: relative; line-height: 0; overflow: hidden; }
.srcnn-compare img { width: 100%; max-width: none; height: auto; margin: 0;
  image-rendering: pixelated; }
.srcnn-compare .picture { visibility: hidden; position: absolute; inset: 0; }
.srcnn-compare .picture:first-child { position: relative; }
.srcnn-compare [data-side] { visibility: visible; }
.srcnn-compare .picture[data-side="left"] {
  clip-path: inset(0 calc(100% - var(--at)) 0 0); }
.srcnn-compare .picture[data-side="right"] { clip-path: inset(0 0 0 var(--at)); }
.srcnn-compare .name { position: absolute; top: .5rem; left: .5rem;
  max-width: calc(50% - 1rem); padding: .2em .6em; border-radius: .3em;
  background: rgba(0, 0, 0, .72); color: #fff; font: 600 .8rem/1.4 sans-serif; }
.srcnn-compare [data-side="right"] .name { left: auto; right: .5rem; }
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
.srcnn-compare .menus { display: flex; flex-wrap: wrap; gap: .3rem 1.5rem;
  justify-content: space-between; margin: .5rem 0; }
.srcnn-compare select { font: inherit; max-width: 14rem; padding: .1rem .3rem; }
@media print, (scripting: none) {
  .srcnn-compare { width: 100% !important; }
  .srcnn-compare .pair { display: grid; gap: 8px;
    grid-template-columns: repeat(auto-fit, minmax(30%, 1fr)); }
  .srcnn-compare .picture, .srcnn-compare .picture:first-child {
    visibility: visible; position: relative; clip-path: none !important; }
  .srcnn-compare .picture .name { right: auto !important; left: .5rem !important; }
  .srcnn-compare input, .srcnn-compare .line, .srcnn-compare .how,
  .srcnn-compare .menus { display: none; }
}
"""
_COMPARE_BODY = """
<figure class="srcnn-compare" style="--at: 50%; width: {width}px">
<style>{style}</style>
<div class="pair">
{pictures}
<input type="range" min="0" max="100" value="50" \
aria-label="Divider between the left and the right picture" \
aria-valuetext="50 % {left}" \
oninput="const f = this.closest('figure'); \
f.style.setProperty('--at', this.value + '%'); \
this.setAttribute('aria-valuetext', this.value + ' % ' + \
f.querySelector('.picture[data-side=left] .name').textContent)">
<div class="line"></div>
</div>
{menus}<figcaption>{caption}<span class="how"> Drag the line, or press Tab and the \
arrow keys.</span></figcaption>
</figure>
"""
_PICTURE = """<div class="picture"{side}><img alt="{name}{alt}" src="{png}">\
<span class="name" aria-hidden="true">{name}</span></div>"""
#: Who chooses what stands on the other side gets the two exchanged.
_MENU = """<label>{title} <select data-menu="{side}" onchange="\
const f = this.closest('figure'), side = this.dataset.menu, \
all = [...f.querySelectorAll('.picture')], chosen = all[this.value], \
former = all.find(e => e.dataset.side === side); \
if (chosen === former) return; \
if (chosen.dataset.side) {{ former.dataset.side = chosen.dataset.side; \
f.querySelector('[data-menu=' + former.dataset.side + ']').value = \
all.indexOf(former); }} else delete former.dataset.side; \
chosen.dataset.side = side; \
f.querySelector('input').dispatchEvent(new Event('input'))">{options}</select>\
</label>"""


def compare(
    pictures: Mapping[str, np.ndarray],
    window: tuple[int, int, int] | None = None,
    *,
    zoom: int = 1,
    caption: str = "",
    alt: str = "",
) -> Moving:
    """Pictures in one place, two at a time, with a divider that the reader moves.

    The first stands left and the second right; with more than two, menus choose.
    The divider is moved by mouse, finger or keyboard and never by itself.  In
    print, and where scripts are off, all stand side by side.  In a running
    notebook sliders move the window over the whole pictures.

    Parameters
    ----------
    pictures : name → (H, W) or (H, W, 3), two or more of one shape; float in
        0…1 or uint8.
    window : top, left and size of the square that is shown, in pixels; without
        it, the whole.  What is shown is in the page as PNG: give small windows.
    zoom : screen pixels per picture pixel, by nearest neighbour; less where the
        screen is narrower.
    caption : stands below.
    alt : what one would see, for those who don't.

    Raises
    ------
    ValueError : for fewer than two, for other arrays, or a window that is not
        inside.
    """
    arrays = {str(name): _as_uint8(picture) for name, picture in pictures.items()}
    shapes = {array.shape for array in arrays.values()}
    if len(arrays) < 2:
        raise ValueError(f"compare needs two pictures or more, not {len(arrays)}")
    if len(shapes) > 1:
        raise ValueError(f"pictures must be of one shape, not {sorted(shapes)}")
    height, width = shapes.pop()[:2]

    def markup(top, left, size):
        if not (0 <= top <= height - size and 0 <= left <= width - size and size > 0):
            raise ValueError(
                f"a window of {size} pixels at {top}, {left} is not inside of "
                f"{height}×{width} pixels"
            )
        inside = slice(top, top + size), slice(left, left + size)
        shown = {name: array[inside] for name, array in arrays.items()}
        return _compared(shown, zoom, caption, alt)

    names = " | ".join(arrays)
    if window is None:
        page = _compared(arrays, zoom, caption, alt)
        return Moving(f"<{names}: {width}×{height} pixels>", page)

    def live(ipywidgets):
        size = window[2]
        values = (0, height - size), (0, width - size), (8, min(height, width))
        names = "top", "left", "size"
        sliders = [_slider(ipywidgets, *what) for what in zip(names, values, window)]
        return _steered(ipywidgets, sliders, markup)

    size = window[2]
    return Moving(f"<{names}: {size}×{size} pixels>", markup(*window), live)


def _compared(shown: Mapping[str, np.ndarray], zoom: int, caption: str, alt: str):
    names = [html.escape(name) for name in shown]
    sides = [' data-side="left"', ' data-side="right"'] + [""] * (len(names) - 2)
    pngs = [_png(Image.fromarray(array)) for array in shown.values()]
    about = html.escape(f": {alt}" if alt else "")
    menus = ""
    if len(names) > 2:
        for number, side in enumerate(("left", "right")):
            options = "".join(
                f"<option value={k}{' selected' * (k == number)}>{name}</option>"
                for k, name in enumerate(names)
            )
            menus += _MENU.format(title=side.title(), side=side, options=options)
        menus = f'<div class="menus">{menus}</div>\n'
    return _COMPARE_BODY.format(
        style=_COMPARE_STYLE,
        width=zoom * next(iter(shown.values())).shape[1],
        pictures="\n".join(
            _PICTURE.format(side=side, name=name, alt=about, png=png)
            for side, name, png in zip(sides, names, pngs)
        ),
        left=names[0],
        menus=menus,
        caption=html.escape(caption),
    )


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


def frames(
    pictures: Mapping[str, np.ndarray | Figure] | Callable,
    at: Sequence | None = None,
    *,
    caption: str,
    alt: str,
    name: str = "frame",
    start: int = -1,
) -> Moving:
    """Pictures that a reader steps through, in a page without a kernel.

    A slider moves them, by mouse, finger or arrow keys; a button plays them,
    unless the reader's system asks for less motion.  On paper, and where no
    script runs, it is the picture it starts with and its label.  Given a function,
    a running notebook calls it at every move of the slider.

    Parameters
    ----------
    pictures : label → (H, W) or (H, W, 3), float in 0…1 or uint8, shown pixel
        for pixel; or a Figure. All of the same size.  Or a function that gives
        such a picture for a value, or the picture and what to say of it.
    at : the values that the page has pictures of, for a function.  If they are
        whole numbers, a running notebook offers those between them too.
    caption, alt : under the pictures, and in place of them.
    name : of what the slider changes.
    start : the frame to begin with.

    Raises
    ------
    ValueError : for no pictures, pictures of different sizes, or a function
        without values.
    """
    live = None
    if callable(pictures):
        if at is None or not len(at):
            raise ValueError("frames of a function needs values: at=(1, 2, 5)")
        draw, first = pictures, at[start]

        def live(ipywidgets):
            slider = _slider(ipywidgets, name, at, first)
            return _steered(ipywidgets, [slider], still)

        def still(value):
            label, image = _labelled(draw, value)
            return (
                f'<figure><img src="{_png(image)}" alt="{html.escape(alt)}" '
                f'style="max-width: 100%"><p>{html.escape(f"{name}: {label}")}</p>'
                f"<figcaption>{html.escape(caption)}</figcaption></figure>"
            )

        drawn = dict(_labelled(draw, value) for value in at)
    else:
        drawn = {str(label): _drawn(picture) for label, picture in pictures.items()}
    if not drawn:
        raise ValueError("frames needs at least one picture")
    sizes = {image.size for image in drawn.values()}
    if len(sizes) > 1:
        raise ValueError(f"frames must be of one size, not {sorted(sizes)}")
    labels = list(drawn)
    addresses = [_png(image) for image in drawn.values()]
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
        width=next(iter(drawn.values())).width,
        last=len(labels) - 1,
        start=start,
    )
    return Moving(f"<{len(labels)} frames, {labels[0]} … {labels[-1]}>", page, live)


def _labelled(draw: Callable, value) -> tuple[str, Image.Image]:
    """What a function draws for a value, with its label."""
    found = draw(value)
    if isinstance(found, tuple):
        return f"{value}, {found[1]}", _drawn(found[0])
    return str(value), _drawn(found)


def _drawn(picture: np.ndarray | Figure) -> Image.Image:
    if isinstance(picture, Figure):
        buffer = io.BytesIO()
        picture.savefig(buffer, format="png")
        plt.close(picture)
        return Image.open(buffer)
    return Image.fromarray(_as_uint8(picture))


def _as_uint8(picture: np.ndarray) -> np.ndarray:
    array = np.asarray(picture)
    if array.ndim != 2 and array.shape[2:] != (3,):
        raise ValueError(f"pictures must be grey or RGB, not {array.shape}")
    if array.dtype != np.uint8:
        if array.max() > 2:  # methods overshoot a little, and no more
            raise ValueError("pictures of floats must be in 0…1")
        array = images.to_uint8(255 * np.clip(array, 0, 1))
    return array


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
