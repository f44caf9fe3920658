"""What a reader can move or choose on a page.

In a running notebook ipywidgets computes at each move of a slider.  In the built book
the same cell gives a figure with pictures, and ``_static/widgets.js`` moves them.

All pictures are (H, W) or (H, W, 3), uint8 or float in 0…1.  `caption` stands below
them, and `alt` is for readers who can't see them.
"""

import base64
import html
import io
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import ipywidgets
import numpy as np
from IPython import get_ipython
from IPython.display import display
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

from . import images

#: Set in the environment where pages run for the built book or for nbval.
STATIC = "SRCNN_STATIC"


def live() -> bool:
    """Whether a kernel runs that can answer a slider."""
    return hasattr(get_ipython(), "kernel") and STATIC not in os.environ


class Moving:
    """What moves: in the built book its `page` (HTML), else what `control` shows."""

    def __init__(self, text: str, page: str, control: Callable, draw=None):
        self.text, self.page, self.control, self.draw = text, page, control, draw

    def __repr__(self) -> str:
        return self.text

    def _ipython_display_(self) -> None:
        if live():
            self.control()
        else:
            display({"text/plain": self.text, "text/html": self.page}, raw=True)


def _address(picture: Image.Image) -> str:
    """A picture as a data URL."""
    picture.save(file := io.BytesIO(), "png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _to_image(picture: np.ndarray | Figure) -> Image.Image:
    if isinstance(picture, Figure):
        picture.savefig(file := io.BytesIO(), format="png")
        plt.close(picture)
        return Image.open(file)
    if picture.ndim != 2 and picture.shape[2:] != (3,):
        raise ValueError(f"pictures must be grey or RGB, not {picture.shape}")
    if picture.dtype != np.uint8:
        if picture.max() > 2:  # methods overshoot a little
            raise ValueError("pictures of floats must be in 0…1")
        picture = images.to_uint8(255 * np.clip(picture, 0, 1))
    return Image.fromarray(picture)


def overlay(
    pictures: Mapping[str, np.ndarray], window: tuple[int, int, int] | None = None, *,
    zoom: int = 1, caption: str = "", alt: str = "",
) -> Moving:  # fmt: skip
    """Two pictures in one place, with a divider that the reader moves.  Menus choose
    among more.  In print and without scripts all stand side by side.  In a running
    notebook sliders move the window too.

    `pictures` is name → picture, all of one shape; `window` is top, left, size in
    pixels of the square to show, small, as the page holds it; None: the whole.  `zoom`
    is screen pixels per picture pixel, at most, by nearest neighbour.
    """
    arrays = {str(k): np.asarray(_to_image(v)) for k, v in pictures.items()}
    names, shapes = list(arrays), {array.shape for array in arrays.values()}
    if len(names) < 2 or len(shapes) > 1:
        raise ValueError(f"give two pictures or more of one shape, not {shapes}")
    rows, columns = shapes.pop()[:2]
    top, left, size = window or (0, 0, 0)
    height, width = size or rows, size or columns
    place = {"row": (0, rows - height), "column": (0, columns - width)}
    if not (0 <= top <= place["row"][1] and 0 <= left <= place["column"][1]):
        raise ValueError(f"window {window} is not inside of {rows}×{columns} pixels")

    def seen(name, row=top, column=left):
        return arrays[name][row : row + height, column : column + width]

    def show(left=names[0], right=names[1], divider=50, row=top, column=left):
        at = divider * width // 100
        both = seen(left, row, column)[:, :at], seen(right, row, column)[:, at:]
        display(Image.fromarray(np.hstack(both).repeat(zoom, 0).repeat(zoom, 1)))
        print(caption)

    ways = {"left": names, "right": names, "divider": (0, 100)} | place
    cells = "\n".join(
        f'<div class="picture"><img alt="{html.escape(f"{name}: {alt}")}" '
        f'src="{_address(Image.fromarray(seen(name)))}">'
        f'<span class="name" aria-hidden="true">{html.escape(name)}</span></div>'
        for name in names
    )
    page = f"""<figure class="srcnn-compare" style="width: {zoom * width}px">
<div class="pair">\n{cells}\n</div>
<figcaption>{html.escape(caption)}</figcaption>\n</figure>\n"""
    text = f"<{' | '.join(names)}: {width}×{height} pixels>"
    return Moving(text, page, lambda: ipywidgets.interact(show, **ways))


def frames(
    pictures: Mapping[str, np.ndarray | Figure] | Callable, at: Sequence = (), *,
    caption: str, alt: str, name: str = "frame", start: int = -1,
) -> Moving:  # fmt: skip
    """Pictures that a reader steps through, with a slider or by a button.  On paper and
    without scripts it is the picture it starts with.  In a running notebook ipywidgets
    call its `draw`: ``interact(steps.draw, k=(1, 5))``.

    `pictures` is label → picture or Figure, all of one size; or a function that gives
    this for a value, or a tuple of it and what to say of it; then the page holds the
    pictures of the values `at`.  The slider is called `name` and begins at `start`.
    """

    def look(value):
        found = pictures(value) if callable(pictures) else pictures[value]
        found, *said = found if isinstance(found, tuple) else (found,)
        return ", ".join([str(value), *said]), _to_image(found)

    def draw(**value):
        label, image = look(*value.values())
        display(image)
        print(label)

    held = [look(value) for value in (at if callable(pictures) else pictures)]
    sizes = sorted({image.size for _, image in held})
    if len(sizes) != 1:
        raise ValueError(f"frames needs pictures of one size, not {sizes}")
    held, first = [[label, _address(im)] for label, im in held], range(len(held))[start]
    data = {"name": name, "first": first, "frames": held}
    data = json.dumps(data).replace("<", r"\u003c")  # no </script>
    page = f"""<figure class="srcnn-frames">
<img src="{held[first][1]}" alt="{html.escape(alt)}" width="{sizes[0][0]}">
<p>{html.escape(f"{name}: {held[first][0]}")}</p>
<figcaption>{html.escape(caption)}</figcaption>
<script type="application/json">{data}</script>\n</figure>\n"""
    text = f"<{len(held)} frames, {held[0][0]} … {held[-1][0]}>"
    return Moving(text, page, lambda: print(caption), draw)


class ChosenPicture:
    """A file that the reader chooses: `read` it afterwards."""

    def __init__(self, files: Callable[[], dict[str, bytes]]):
        self._files = files

    def read(self) -> np.ndarray:
        """The picture, as `images.read` gives it; ValueError when none is chosen."""
        for name, content in self._files().items():
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, Path(name).name)
                path.write_bytes(content)
                return images.read(path)
        raise ValueError("no picture is chosen; choose one, then run this cell again")


def choose_picture() -> ChosenPicture:
    """Let the reader send a picture to the kernel: Colab's dialogue or Jupyter's."""
    if "google.colab" in sys.modules:
        from google.colab import files

        uploaded = files.upload()  # waits for the reader
        return ChosenPicture(lambda: uploaded)
    accept = ",".join(images.SUFFIXES)
    display(button := ipywidgets.FileUpload(accept=accept, description="Choose"))

    def uploads() -> dict[str, bytes]:
        found = button.value
        if isinstance(found, dict):  # ipywidgets 7
            found = [file | {"name": name} for name, file in found.items()]
        return {file["name"]: bytes(file["content"]) for file in found}

    return ChosenPicture(uploads)
