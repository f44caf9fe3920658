"""Figures and tables that more than one page shows, of what they are given."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from IPython import get_ipython
from IPython.display import SVG
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.transforms import Bbox

#: Colours with a meaning, the same on every page.
COLOURS = {"paper": "#000000", "bicubic": "#E69F00", "srcnn": "#0072B2",
           "gain": "#009E73", "loss": "#D55E00"}  # fmt: skip
GREY = "#8a8a8a"
PICTURES = "Pictures"  # the list of them in a figure's PNG
_DPI = 100  # of pictures: one figure pixel per screen pixel
_NEAR = {"textcoords": "offset points", "fontsize": 8}  # text beside a point


def use_style() -> None:
    """Draw everything that follows in the book's style."""
    plt.style.use(Path(__file__).with_name("book.mplstyle"))
    if shell := get_ipython():
        # The backend sets its own way when it comes, at the end of a cell.
        plt.switch_backend(plt.get_backend())
        png = shell.display_formatter.formatters["image/png"]
        shell.events.register("pre_run_cell", lambda _: png.for_type(Figure, to_png))


def to_png(figure: Figure) -> bytes:
    """A figure as PNG that says where in it pictures are: a dark page inverts all else.
    The file's text PICTURES is a JSON list with left, top, right, bottom of each
    picture, in 0…1 of the figure."""
    figure.canvas.draw()
    whole = figure.get_tightbbox().padded(plt.rcParams["savefig.pad_inches"])
    to_share = np.array([[1, 0], [0, -1]]) / (whole.width, whole.height)
    found = []
    for image in figure.findobj(AxesImage):
        seen = Bbox.intersection(image.get_window_extent(), image.axes.bbox)
        if seen is not None and image.get_visible():
            corners = np.array([(seen.x0, seen.y1), (seen.x1, seen.y0)])
            inches = corners / figure.dpi - (whole.x0, whole.y1)
            found.append((inches @ to_share).round(4).ravel().tolist())
    file, about = io.BytesIO(), {PICTURES: json.dumps(found)}
    figure.savefig(file, format="png", bbox_inches=whole, metadata=about)
    return file.getvalue()


def drawing(name: str) -> SVG:
    """A drawing of the folder ``drawings``."""
    return SVG(filename=Path(__file__).parent / "drawings" / f"{name}.svg")


class Table:
    """A table that notebooks show as Markdown and terminals as text.  Numbers should
    come formatted; where all cells begin with a digit or sign they go to the right."""

    def __init__(self, header: Sequence[str], rows: Sequence[Sequence]):
        self.header = [str(cell) for cell in header]
        self.rows = [[str(cell) for cell in row] for row in rows]
        self._right = [
            all(row[k][:1] in "0123456789+-−—x" for row in self.rows if row[k])
            for k in range(len(self.header))
        ]

    def __repr__(self) -> str:
        table = [self.header, *self.rows]
        widths = [max(map(len, column)) for column in zip(*table)]
        how = [f"{'>' if r else '<'}{w}" for r, w in zip(self._right, widths)]
        lines = ["  ".join(map(format, line, how)).rstrip() for line in table]
        return "\n".join(lines)

    def _repr_markdown_(self) -> str:
        rule = ["--:" if right else ":--" for right in self._right]
        lines = [self.header, rule, *self.rows]
        cells = [[cell.replace("|", r"\|") for cell in line] for line in lines]
        return "\n".join("| " + " | ".join(line) + " |" for line in cells)


def show_images(
    images: Mapping[str, np.ndarray], *, zoom: int = 1, columns: int = 4, peak=255
) -> Figure:
    """Pictures side by side at the same contrast and integer `zoom`: figure pixels per
    picture pixel, by nearest neighbour.  `images` is caption, of one or more lines →
    (H, W) or (H, W, 3), in 0…`peak`."""
    cells = [np.repeat(np.repeat(x, zoom, 0), zoom, 1) for x in images.values()]
    gap, columns = 8, min(columns, len(cells))
    width = max(cell.shape[1] for cell in cells)
    lines = max(len(caption.splitlines()) for caption in images)
    text = 15 * lines + 4 * bool(lines)  # above each picture
    rows = [cells[k : k + columns] for k in range(0, len(cells), columns)]
    tops = np.cumsum([0, *(max(map(len, row)) + text + gap for row in rows)])
    size = np.array([columns * (width + gap) - gap, tops[-1] - gap])
    figure = plt.figure(figsize=size / _DPI, dpi=_DPI, layout="none")
    for k, (caption, cell) in enumerate(zip(images, cells)):
        i, j = divmod(k, columns)
        h, w = cell.shape[:2]
        corner = j * (width + gap), size[1] - tops[i] - text - h
        axes = figure.add_axes((*(corner / size), *((w, h) / size)))
        axes.imshow(np.clip(cell / peak, 0, 1), vmin=0, vmax=1, aspect="auto")
        axes.set_title(caption, pad=4, fontsize=8.5)
        axes.axis("off")
    return figure


def crop_images(
    images: Mapping[str, np.ndarray], window: tuple[int, int, int], zoom=4, **options
) -> Figure:
    """The same window (top, left, size) of several pictures; see `show_images`."""
    top, left, size = window
    cut = {k: x[top : top + size, left : left + size] for k, x in images.items()}
    return show_images(cut, zoom=zoom, **options)


def plot_steps(
    labels: Sequence[str], values_db: Sequence[float], *,
    target_db: float | None = None, target_label: str = "",
) -> Figure:  # fmt: skip
    """A waterfall: what each change of one choice adds or takes, in dB.  The states
    stand from the first to the last, with their PSNR; a dashed line shows the target,
    such as the paper's number."""
    figure, axes = plt.subplots(figsize=(7.2, 0.42 * len(labels) + 0.9))
    low = min(values_db) - 0.6
    before = [low, *values_db[:-1]]
    for y, (start, value) in enumerate(zip(before, values_db)):
        step, text = value - start, f"{value:.2f} dB"
        if y:  # never −0.00
            text += f" ({round(step, 2) + 0.0:+.2f})".replace("-", "−")
        if 0 < y < len(labels) - 1:
            colour = COLOURS["gain" if step >= 0 else "loss"]
            axes.barh(y, step, left=start, color=colour, height=0.6)
            axes.plot([value, value], [y - 0.3, y + 0.3], color=colour)
        else:
            axes.barh(y, value - low, left=low, color=GREY, height=0.6)
        end = max(start, value), y
        axes.annotate(text, end, xytext=(4, 0), va="center", **_NEAR)
    if target_db is not None:
        axes.axvline(target_db, color="black", linestyle="--", linewidth=1)
        axes.annotate(target_label, (target_db, -0.6), xytext=(3, 0), **_NEAR)
    axes.set_xlim(low, max(values_db) + 1.1)
    finish_rows(axes, labels, "mean PSNR (dB)")
    return figure


def finish_rows(axes: Axes, labels: Sequence[str], title: str) -> None:
    """Name the rows of a figure, the first on top, and its horizontal axis."""
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.9)
    axes.set_xlabel(title)
    axes.grid(axis="y", visible=False)


def plot_training(
    histories: Mapping[str, Sequence[Mapping]], *, against: str = "sub_images",
    levels_db: Mapping[str, float] | None = None, axes: Axes | None = None,
) -> Figure:  # fmt: skip
    """Validation PSNR during training, into `axes` or a new figure.  `histories` is
    label → rows of `training.Run.history`; `against` is "sub_images", "step" or
    "seconds"; `levels_db` is label → a horizontal line."""
    titles = {"sub_images": "sub-images seen", "seconds": "seconds of training"}
    axes = axes or plt.figure().add_subplot()
    for label, history in histories.items():
        x, y = ([row[key] for row in history] for key in (against, "psnr_db"))
        axes.plot(x, y, marker="o", markersize=3, label=label)
    for label, level in (levels_db or {}).items():
        colour = COLOURS.get(label.split()[0].lower(), "black")
        axes.axhline(level, linestyle="--", linewidth=1.2, color=colour)
        where = {"xycoords": ("axes fraction", "data"), "xytext": (0, 3), "ha": "right"}
        axes.annotate(label, (0.995, level), color=colour, **where, **_NEAR)
    axes.set_xlabel(titles.get(against, against))
    axes.set_ylabel("validation PSNR (dB)")
    if len(histories) > 1:
        axes.legend(loc="center right")
    return axes.figure
