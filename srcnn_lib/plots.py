"""Figures and tables that more than one page shows.

Everything here draws what it is given; nothing is judged or loaded.  Drawings
of filters take their order and their spectra from `filters`.
"""

import io
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.transforms import Bbox

from .chapters import filters as measures

STYLE = Path(__file__).with_name("book.mplstyle")
#: Colours with a meaning, the same on every page.
COLOURS = {
    "paper": "#000000",
    "bicubic": "#E69F00",
    "srcnn": "#0072B2",
    "gain": "#009E73",
    "loss": "#D55E00",
}
#: What the list of pictures is called in a figure's file.
PICTURES = "Pictures"
_DPI = 100  # of pictures: one figure pixel per screen pixel


def use_style() -> None:
    """Draw everything that follows in the book's style."""
    plt.style.use(STYLE)
    shell = "IPython" in sys.modules and sys.modules["IPython"].get_ipython()
    if shell:
        # The backend sets its own way when it comes, at the end of a cell.
        plt.switch_backend(plt.get_backend())
        png = shell.display_formatter.formatters["image/png"]
        shell.events.register("pre_run_cell", lambda _: png.for_type(Figure, to_png))


def to_png(figure: Figure) -> bytes:
    """A figure as PNG that says where in it pictures are: a page in the dark
    turns all else to light on dark.

    They are the text PICTURES in the file, as JSON: left, top, right and bottom
    of each, in shares of the width and the height.
    """
    figure.canvas.draw()
    whole = figure.get_tightbbox().padded(plt.rcParams["savefig.pad_inches"])
    found = []
    for image in figure.findobj(AxesImage):
        seen = Bbox.intersection(image.get_window_extent(), image.axes.bbox)
        if seen is not None and image.get_visible():
            at = Bbox(seen.get_points() / figure.dpi)
            found.append([
                round(float(share), 4)
                for share in (
                    (at.x0 - whole.x0) / whole.width,
                    (whole.y1 - at.y1) / whole.height,
                    (at.x1 - whole.x0) / whole.width,
                    (whole.y1 - at.y0) / whole.height,
                )
            ])  # fmt: skip
    file = io.BytesIO()
    about = {PICTURES: json.dumps(found)}
    figure.savefig(file, format="png", bbox_inches=whole, metadata=about)
    return file.getvalue()


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
    width = max(cell.shape[1] for cell in cells)
    heights = [
        max(cell.shape[0] for cell in cells[k : k + columns])
        for k in range(0, len(cells), columns)
    ]
    text = line * max(c.count("\n") + 1 if c else 0 for c in captions)
    text += 4 if text else 0
    total_width = columns * width + (columns - 1) * gap
    tops = np.cumsum([0, *(height + text + gap for height in heights)])
    total_height = int(tops[-1]) - gap
    figure = plt.figure(
        figsize=(total_width / _DPI, total_height / _DPI),
        dpi=_DPI,
        layout="none",
    )
    for k, (caption, cell) in enumerate(zip(captions, cells)):
        i, j = divmod(k, columns)
        h, w = cell.shape[:2]
        left = j * (width + gap)
        bottom = total_height - int(tops[i]) - text - h
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


def tile(
    cells: np.ndarray, *, columns: int = 16, zoom: int = 4, gap: int = 4
) -> np.ndarray:
    """Small pictures of one size as one picture, on white.

    Parameters
    ----------
    cells : (n, h, w) or (n, h, w, 3), in 0…1.
    columns : in a row; the last row is filled up with white.
    zoom, gap : figure pixels per picture pixel, and between two pictures.

    Returns
    -------
    (H, W) or (H, W, 3), in 0…1.
    """
    cells = np.asarray(cells).repeat(zoom, axis=1).repeat(zoom, axis=2)
    n, h, w = cells.shape[:3]
    rows = -(-n // columns)
    shape = rows * (h + gap) - gap, columns * (w + gap) - gap
    sheet = np.ones((*shape, *cells.shape[3:]))
    for k, cell in enumerate(cells):
        top, left = (h + gap) * (k // columns), (w + gap) * (k % columns)
        sheet[top : top + h, left : left + w] = cell
    return sheet


def filter_cells(weights: np.ndarray) -> np.ndarray:
    """Filters in grey: zero is the middle, white positive, black negative.

    Each is stretched to its own largest weight, or to a twentieth of the
    median filter's where that is more, so that the nearly dead look it.

    Parameters
    ----------
    weights : (n, f, f) or (n, f, f, channels).

    Returns
    -------
    The same shape, in 0…1.
    """
    weights = np.asarray(weights, dtype=float)
    axes = tuple(range(1, weights.ndim))
    largest = np.abs(weights).max(axis=axes, keepdims=True)
    largest = np.maximum(largest, np.median(largest) / 20)
    return 0.5 + weights / np.maximum(largest, np.finfo(float).tiny) / 2


def show_filters(
    model,
    *,
    layer: int = 1,
    groups: Mapping[str, Sequence[int]] | None = None,
    columns: int = 16,
    zoom: int = 4,
) -> Figure:
    """The filters of a network as pictures; see `filter_cells`.

    Parameters
    ----------
    model : any `models.SRCNN`; or filters (n, f, f).
    layer : 1, for the filters of the first; or the number of the last, whose
        filter has an f × f picture for each map that it reads.
    groups : heading → numbers of the filters below it; all in the order of
        their variance, without a heading, where not given.

    Raises
    ------
    ValueError : for something that isn't a network, or a layer whose filters
        are no pictures.
    """
    weights = _filter_pictures(model, layer)
    return _sheets(filter_cells(weights), weights, groups, columns, zoom)


def show_spectra(
    model,
    *,
    groups: Mapping[str, Sequence[int]] | None = None,
    columns: int = 16,
    size: int = 36,
) -> Figure:
    """Magnitude of the frequency responses of a network's first filters.

    White is each filter's strongest; the middle of a picture is frequency
    zero, its edges half a cycle per pixel.

    Parameters
    ----------
    model, groups, columns : as in `show_filters`, for one channel.
    size : of each picture in figure pixels, even.
    """
    weights = _filter_pictures(model, 1)
    if weights.ndim != 3:
        raise ValueError("spectra are shown of filters of one channel")
    response = measures.frequency_response(weights, size)
    peak = response.max(axis=(1, 2), keepdims=True)
    cells = response / np.maximum(peak, np.finfo(float).tiny)
    return _sheets(cells, weights, groups, columns, 1)


def _sheets(cells, weights, groups, columns, zoom) -> Figure:
    if groups is None:
        order = measures.by_variance(weights.reshape(*weights.shape[:2], -1))
        groups = {"": order}
    groups = {heading: list(k) for heading, k in groups.items() if len(k)}
    if not groups:
        raise ValueError("there is no filter to show in these groups")
    sheets = [
        _as_rgb(tile(cells[k], columns=columns, zoom=zoom), 1, 1)
        for k in groups.values()
    ]
    return _mosaic(list(groups), sheets, 1)


def _filter_pictures(model, layer: int) -> np.ndarray:
    """(n, f, f), or (n, f, f, 3) for colour."""
    if isinstance(model, np.ndarray):
        if model.ndim != 3:
            raise ValueError(f"filters must be (n, f, f), not {model.shape}")
        return model
    convs = getattr(model, "convs", None)
    if convs is None:
        raise ValueError(
            f"{type(model).__name__} is no models.SRCNN; give its filters as "
            "an array (n, f, f)"
        )
    if not 1 <= layer <= len(convs):
        raise ValueError(f"layer must be 1 to {len(convs)}, not {layer}")
    weight = convs[layer - 1].weight.detach().cpu().numpy()
    after, before, f, _ = weight.shape
    if f == 1:
        raise ValueError(
            f"the filters of layer {layer} have one pixel; there is no picture "
            "to show"
        )
    if before == 1:
        return weight[:, 0]
    if after == 1:
        return weight[0]
    if layer == 1 and before == 3:
        return np.moveaxis(weight, 1, -1)
    raise ValueError(
        f"layer {layer} has {before}×{after} filters, one from each of its "
        f"{before} inputs to each map; show its maps instead"
    )


def show_maps(
    maps: np.ndarray,
    labels: Sequence[str] | None = None,
    *,
    columns: int = 8,
    zoom: int = 1,
) -> Figure:
    """Feature maps, each stretched to its own range.

    Parameters
    ----------
    maps : (n, H, W).
    labels : a caption for each.
    """
    low = maps.min(axis=(1, 2), keepdims=True)
    span = maps.max(axis=(1, 2), keepdims=True) - low
    cells = (maps - low) / np.maximum(span, 1e-12)
    if labels is None:
        sheet = tile(cells, columns=columns, zoom=zoom)
        return _mosaic([""], [_as_rgb(sheet, 1, 1)], 1)
    named = [_as_rgb(cell, 1, zoom) for cell in cells]
    return _mosaic(list(labels), named, columns)


def show_receptive_field(
    picture: np.ndarray,
    pixel: tuple[int, int],
    size: int,
    *,
    around: int = 60,
) -> Figure:
    """Where a pixel of the output looks: its place, and its window enlarged.

    Parameters
    ----------
    picture : (H, W), in 0…1.
    pixel : row and column.
    size : width of the receptive field, odd.
    around : width of the surroundings that are shown.

    Raises
    ------
    ValueError : when the field would leave the picture.
    """
    row, column = pixel
    top, left = row - size // 2, column - size // 2
    height, width = picture.shape
    if min(top, left) < 0 or top + size > height or left + size > width:
        raise ValueError(
            f"the {size}×{size} pixels around {pixel} leave the picture of "
            f"{height}×{width}"
        )
    figure, (whole, window) = plt.subplots(1, 2, figsize=(6, 3))
    reach = around // 2
    for axes, half in ((whole, reach), (window, size // 2)):
        axes.imshow(picture, vmin=0, vmax=1)
        axes.set_xlim(column - half - 0.5, column + half + 0.5)
        axes.set_ylim(row + half + 0.5, row - half - 0.5)
        axes.set(xticks=[], yticks=[])
        axes.grid(visible=False)
    box = {"fill": False, "edgecolor": COLOURS["loss"], "linewidth": 2}
    whole.add_patch(Rectangle((left - 0.5, top - 0.5), size, size, **box))
    window.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, **box))
    whole.set_title(f"around row {row}, column {column}")
    window.set_title(f"the {size}×{size} pixels it sees")
    return figure


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
