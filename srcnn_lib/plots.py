"""Figures and tables that more than one page shows.

Everything here draws what it is given; nothing is measured or loaded.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

STYLE = Path(__file__).with_name("book.mplstyle")
#: Colours with a meaning, the same on every page.
COLOURS = {
    "paper": "#000000",
    "bicubic": "#E69F00",
    "srcnn": "#0072B2",
    "gain": "#009E73",
    "loss": "#D55E00",
}
_DPI = 100  # of pictures: one figure pixel per screen pixel


def use_style() -> None:
    """Draw everything that follows in the book's style."""
    plt.style.use(STYLE)


class Table:
    """A table that notebooks show as Markdown and terminals as text.

    Parameters
    ----------
    header : column titles.
    rows : of cells; numbers should come formatted. A column whose cells all
        begin with a digit or sign is set to the right.
    """

    def __init__(self, header: Sequence[str], rows: Sequence[Sequence]):
        self.header = [str(cell) for cell in header]
        self.rows = [[str(cell) for cell in row] for row in rows]

    def _right(self) -> list[bool]:
        columns = list(zip(*self.rows)) or [()] * len(self.header)
        return [
            all(c[:1] in "0123456789+-−—x" for c in column if c)
            for column in columns
        ]

    def __repr__(self) -> str:
        columns = list(zip(self.header, *self.rows))
        widths = [max(map(len, column)) for column in columns]
        lines = []
        for row in (self.header, *self.rows):
            cells = [
                cell.rjust(width) if right else cell.ljust(width)
                for cell, width, right in zip(row, widths, self._right())
            ]
            lines.append("  ".join(cells).rstrip())
        return "\n".join(lines)

    def _repr_markdown_(self) -> str:
        rule = ["--:" if right else ":--" for right in self._right()]
        lines = [self.header, rule, *self.rows]
        return "\n".join(
            "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |"
            for line in lines
        )


def show_images(
    images: Mapping[str, np.ndarray],
    *,
    zoom: int = 1,
    columns: int = 4,
    peak: float = 255,
) -> Figure:
    """Pictures side by side at the same integer zoom and contrast.

    Parameters
    ----------
    images : caption → array (H, W) or (H, W, 3), in 0…`peak`; float or
        uint8. A caption may have several lines.
    zoom : figure pixels per picture pixel, by nearest neighbour.
    columns : pictures in a row.
    """
    cells = [_as_rgb(image, peak, zoom) for image in images.values()]
    return _mosaic(list(images), cells, columns)


def crop_images(
    images: Mapping[str, np.ndarray],
    window: tuple[int, int, int],
    *,
    zoom: int = 4,
    columns: int = 4,
    peak: float = 255,
) -> Figure:
    """The same window of several pictures, enlarged by nearest neighbour.

    Parameters
    ----------
    window : (top, left, size) in pixels.

    Other parameters as in `show_images`.
    """
    top, left, size = window
    cut = {
        caption: image[top : top + size, left : left + size]
        for caption, image in images.items()
    }
    return show_images(cut, zoom=zoom, columns=columns, peak=peak)


def _as_rgb(image: np.ndarray, peak: float, zoom: int) -> np.ndarray:
    image = np.clip(np.asarray(image, dtype=float) / peak, 0, 1)
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=2)
    return image.repeat(zoom, axis=0).repeat(zoom, axis=1)


def _mosaic(
    captions: Sequence[str], cells: Sequence[np.ndarray], columns: int
) -> Figure:
    """Place pictures so that each of their pixels is one figure pixel."""
    gap, line = 8, 15
    columns = min(columns, len(cells))
    rows = -(-len(cells) // columns)
    width = max(cell.shape[1] for cell in cells)
    height = max(cell.shape[0] for cell in cells)
    text = line * max(c.count("\n") + 1 if c else 0 for c in captions)
    text += 4 if text else 0
    total_width = columns * width + (columns - 1) * gap
    total_height = rows * (height + text) + (rows - 1) * gap
    figure = plt.figure(
        figsize=(total_width / _DPI, total_height / _DPI),
        dpi=_DPI,
        layout="none",
    )
    for k, (caption, cell) in enumerate(zip(captions, cells)):
        i, j = divmod(k, columns)
        h, w = cell.shape[:2]
        left = j * (width + gap)
        bottom = total_height - i * (height + text + gap) - text - h
        axes = figure.add_axes(
            (
                left / total_width,
                bottom / total_height,
                w / total_width,
                h / total_height,
            )
        )
        axes.imshow(cell, interpolation="nearest", aspect="auto")
        axes.axis("off")
        axes.set_title(caption, pad=4, fontsize=8.5)
    return figure


def plot_steps(
    labels: Sequence[str],
    values_db: Sequence[float],
    *,
    target_db: float | None = None,
    target_label: str = "",
) -> Figure:
    """A waterfall: what each change of one choice adds or takes, in dB.

    Parameters
    ----------
    labels : of the states, from the first to the last.
    values_db : PSNR of each state, the same length.
    target_db : a dashed line, such as the paper's number.
    """
    figure, axes = plt.subplots(figsize=(7.2, 0.42 * len(labels) + 0.9))
    previous = None
    low = min(values_db) - 0.6
    for y, value in enumerate(values_db):
        if previous is None or y == len(values_db) - 1:
            axes.barh(y, value - low, left=low, color="#8a8a8a", height=0.6)
            text = f"{value:.2f} dB"
            if previous is not None:
                text += f" ({_signed(value - previous)})"
        else:
            step = value - previous
            colour = COLOURS["gain"] if step >= 0 else COLOURS["loss"]
            axes.barh(y, step, left=previous, color=colour, height=0.6)
            axes.plot([value, value], [y - 0.3, y + 0.3], color=colour)
            text = f"{value:.2f} dB ({_signed(step)})"
        right = max(value, previous if previous is not None else value)
        axes.annotate(
            text,
            (right, y),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
        previous = value
    if target_db is not None:
        axes.axvline(target_db, color="black", linestyle="--", linewidth=1)
        axes.annotate(
            target_label,
            (target_db, -0.6),
            xytext=(3, 0),
            textcoords="offset points",
            fontsize=8,
        )
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -1)  # the first on top
    axes.set_xlim(low, max(values_db) + 1.1)
    axes.set_xlabel("mean PSNR (dB)")
    axes.grid(axis="y", visible=False)
    return figure


def _signed(db: float) -> str:
    """Two digits with a sign, never −0.00."""
    return f"{round(db, 2) + 0.0:+.2f}".replace("-", "−")


def plot_training(
    histories: Mapping[str, Sequence[Mapping]],
    *,
    against: str = "sub_images",
    levels_db: Mapping[str, float] | None = None,
    axes: Axes | None = None,
) -> Figure:
    """Validation PSNR during training.

    Parameters
    ----------
    histories : label → rows of `training.Run.history`.
    against : ``"sub_images"``, ``"step"`` or ``"seconds"``.
    levels_db : label → a horizontal line.
    axes : to draw into; a new figure where not given.
    """
    titles = {
        "sub_images": "sub-images seen",
        "step": "step",
        "seconds": "seconds of training",
    }
    if axes is None:
        axes = plt.figure().add_subplot()
    for label, history in histories.items():
        x = [row[against] for row in history]
        y = [row["psnr_db"] for row in history]
        axes.plot(x, y, marker="o", markersize=3, label=label)
    for label, level in (levels_db or {}).items():
        colour = COLOURS.get(label.split()[0].lower(), "black")
        axes.axhline(level, linestyle="--", linewidth=1.2, color=colour)
        axes.annotate(
            label,
            (0.995, level),
            xycoords=("axes fraction", "data"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="right",
            fontsize=8,
            color=colour,
        )
    axes.set_xlabel(titles[against])
    axes.set_ylabel("validation PSNR (dB)")
    if len(histories) > 1:
        axes.legend(loc="center right")
    return axes.figure


def plot_seeds(
    variants: Mapping[str, Sequence[float]],
    *,
    note: str = "",
    axes: Axes | None = None,
) -> Figure:
    """A row per variant: a ring for each seed, a bar at their mean.

    Parameters
    ----------
    variants : label → PSNR in dB, one number a seed; none: not yet measured.
        The first is what the others are compared with: a line at its mean,
        and around it a band as wide as its seeds spread (± one standard
        deviation).
    note : under the figure, such as the budget.
    axes : to draw into; a new figure where not given.
    """
    if axes is None:
        size = (6.4, 0.36 * len(variants) + 1.1)
        axes = plt.figure(figsize=size).add_subplot()
    first = np.asarray(next(iter(variants.values())), dtype=float)
    if len(first):
        spread = first.std(ddof=1) if len(first) > 1 else 0.0
        axes.axvspan(
            first.mean() - spread, first.mean() + spread, color="#dddddd"
        )
        axes.axvline(first.mean(), color="#8a8a8a", linewidth=1)
    for y, values in enumerate(variants.values()):
        if not len(values):
            axes.annotate(
                "not yet measured",
                (0.02, y),
                xycoords=("axes fraction", "data"),
                va="center",
                fontsize=8,
                color="#555555",
            )
            continue
        colour = COLOURS["srcnn"]
        rows = np.full(len(values), y)
        axes.plot(values, rows, "o", mfc="none", color=colour, markersize=6)
        mean = np.mean(values)
        axes.plot([mean, mean], [y - 0.3, y + 0.3], color=colour, linewidth=2)
    low, high = axes.get_xlim()
    if high - low < 0.1:  # or a thousandth would look like much
        middle = (low + high) / 2
        axes.set_xlim(middle - 0.05, middle + 0.05)
    axes.ticklabel_format(axis="x", useOffset=False)
    axes.locator_params(axis="x", nbins=5)
    axes.set_yticks(range(len(variants)), list(variants))
    axes.set_ylim(len(variants) - 0.5, -0.5)  # the first on top
    axes.set_xlabel("validation PSNR (dB)" + (f"\n{note}" if note else ""))
    axes.grid(axis="y", visible=False)
    return axes.figure
