"""What moves in a page without a kernel: pictures with a slider.

Plain HTML with its own few lines of JavaScript and the pictures inside; it
asks no server for anything.
"""

import base64
import hashlib
import html
import io
import itertools
import json
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

_numbers = itertools.count()  # two equal sliders on a page differ by it

_PAGE = """\
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
    encoded = [_png(picture) for picture in pictures.values()]
    sizes = {size for _, size in encoded}
    if len(sizes) > 1:
        raise ValueError(f"frames must be of one size, not {sorted(sizes)}")
    labels = [str(label) for label in pictures]
    addresses = [address for address, _ in encoded]
    start = range(len(labels))[start]
    key = hashlib.sha256("".join(addresses).encode()).hexdigest()[:8]
    page = _PAGE.format(
        id=f"frames-{key}-{next(_numbers)}",
        first=addresses[start],
        frames=json.dumps(addresses),
        labels=json.dumps(labels).replace("<", "\\u003c"),
        label=html.escape(labels[start]),
        alt=html.escape(alt),
        caption=html.escape(caption),
        name=html.escape(name),
        width=encoded[0][1][0],
        last=len(labels) - 1,
        start=start,
    )
    return Frames(labels, page)


def _png(picture: np.ndarray | Figure) -> tuple[str, tuple[int, int]]:
    """As an address that holds the picture, and its width and height."""
    buffer = io.BytesIO()
    if isinstance(picture, Figure):
        picture.savefig(buffer, format="png")
        buffer.seek(0)
        size = Image.open(buffer).size
    else:
        array = np.asarray(picture)
        if array.dtype != np.uint8:
            array = (np.clip(array, 0, 1) * 255).round().astype(np.uint8)
        image = Image.fromarray(array)
        image.save(buffer, format="png", optimize=True)
        size = image.size
    text = base64.b64encode(buffer.getvalue()).decode()
    return f"data:image/png;base64,{text}", size
