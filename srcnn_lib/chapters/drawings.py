"""Figures that one chapter shows: filters and maps (chapter 8), seeds (chapter 10)."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..plots import COLOURS, GREY, finish_rows, show_images
from . import filters as measures

_TINY = np.finfo(float).tiny


def tile(cells: np.ndarray, columns: int = 16, zoom: int = 4, gap: int = 4):
    """Put small pictures of one size together as one picture, on white.

    Returns (H, W) or (H, W, 3), in 0…1.

    Parameters
    ----------
    cells : (n, h, w) or (n, h, w, 3), in 0…1.
    columns : in a row; the last row is filled up with white.
    zoom, gap : figure pixels per picture pixel, and between two pictures.
    """
    cells = np.asarray(cells).repeat(zoom, axis=1).repeat(zoom, axis=2)
    n, h, w = cells.shape[:3]
    rows = -(-n // columns)
    size = rows * (h + gap) - gap, columns * (w + gap) - gap
    sheet = np.ones((*size, *cells.shape[3:]))
    for k, cell in enumerate(cells):
        top, left = (h + gap) * (k // columns), (w + gap) * (k % columns)
        sheet[top : top + h, left : left + w] = cell
    return sheet


def filter_cells(weights: np.ndarray) -> np.ndarray:
    """Filters in grey: zero is the middle, white positive, black negative.

    Each is stretched to its own largest weight, or to a twentieth of the median
    filter's where that is more, so that nearly dead filters look grey.

    Returns the same shape, in 0…1.

    Parameters
    ----------
    weights : (n, f, f) or (n, f, f, channels).
    """
    weights = np.asarray(weights, dtype=float)
    axes = tuple(range(1, weights.ndim))
    largest = np.abs(weights).max(axis=axes, keepdims=True)
    largest = np.maximum(largest, np.median(largest) / 20)
    return 0.5 + weights / np.maximum(largest, _TINY) / 2


def show_filters(
    model, *, layer: int = 1, groups: Mapping[str, Sequence[int]] | None = None,
    columns: int = 16, zoom: int = 4,
) -> Figure:  # fmt: skip
    """Show the filters of a network as pictures; see `filter_cells`.

    Raises ValueError for a model of another kind, or filters that are no pictures.

    Parameters
    ----------
    model : any `models.SRCNN`; or filters (n, f, f).
    layer : 1, or the number of the last layer, whose filter has an f × f picture
        for each map that it reads.
    groups : heading → numbers of the filters below it; None: all, in the order of
        their variance.
    """
    weights = _filter_pictures(model, layer)
    return _sheets(filter_cells(weights), weights, groups, columns, zoom)


def show_spectra(
    model, *, groups: Mapping[str, Sequence[int]] | None = None, columns: int = 16,
    size: int = 36,
) -> Figure:  # fmt: skip
    """Show the magnitudes of the frequency responses of a network's first filters.

    White is each filter's strongest; the middle of a picture is frequency zero, its
    edges half a cycle per pixel.

    `size` is of each picture in figure pixels, even; the rest as in `show_filters`.
    """
    weights = _filter_pictures(model, 1)
    if weights.ndim != 3:
        raise ValueError("spectra are shown of filters of one channel")
    response = measures.frequency_response(weights, size)
    peak = response.max(axis=(1, 2), keepdims=True)
    return _sheets(response / np.maximum(peak, _TINY), weights, groups, columns, 1)


def _sheets(cells, weights, groups, columns, zoom) -> Figure:
    if groups is None:
        flat = weights.reshape(*weights.shape[:2], -1)
        groups = {"": measures.by_variance(flat)}
    shown = {heading: tile(cells[list(numbers)], columns, zoom)
             for heading, numbers in groups.items() if len(numbers)}  # fmt: skip
    if not shown:
        raise ValueError("there is no filter to show in these groups")
    return show_images(shown, columns=1, peak=1)


def _filter_pictures(model, layer: int) -> np.ndarray:
    """Filters (n, f, f), or (n, f, f, 3) for colour."""
    if isinstance(model, np.ndarray):
        if model.ndim != 3:
            raise ValueError(f"filters must be (n, f, f), not {model.shape}")
        return model
    convs = getattr(model, "convs", None)
    if convs is None:
        raise ValueError(f"{type(model).__name__} is no models.SRCNN nor an array")
    if not 1 <= layer <= len(convs):
        raise ValueError(f"layer must be 1 to {len(convs)}, not {layer}")
    weight = convs[layer - 1].weight.detach().cpu().numpy()
    after, before, f, _ = weight.shape
    if f > 1 and before == 1:
        return weight[:, 0]
    if f > 1 and after == 1:
        return weight[0]
    if f > 1 and layer == 1 and before == 3:
        return np.moveaxis(weight, 1, -1)
    raise ValueError(
        f"the {before}×{after} filters of layer {layer}, of {f}×{f} pixels, are no "
        "pictures; show its maps instead"
    )


def show_maps(maps: np.ndarray, *, columns: int = 8, zoom: int = 1) -> Figure:
    """Show feature maps (n, H, W), each stretched to its own range."""
    low = maps.min(axis=(1, 2), keepdims=True)
    span = maps.max(axis=(1, 2), keepdims=True) - low
    cells = (maps - low) / np.maximum(span, 1e-12)
    return show_images({"": tile(cells, columns, zoom)}, peak=1)


def plot_seeds(
    variants: Mapping[str, Sequence[float]], *, note: str = "", axes: Axes | None = None
) -> Figure:
    """A row per variant: a ring for each seed, a bar at their mean.

    Parameters
    ----------
    variants : label → PSNR in dB, one number a seed; none: not yet measured.  The
        others are compared with the first: a line at its mean, in a band of ± one
        standard deviation.
    note : under the figure, such as the budget.
    axes : to draw into; None: a new figure.
    """
    if axes is None:
        size = (6.4, 0.36 * len(variants) + 1.1)
        axes = plt.figure(figsize=size).add_subplot()
    first = np.array(next(iter(variants.values())), dtype=float)
    if len(first):
        mean, spread = first.mean(), first.std(ddof=1) if len(first) > 1 else 0.0
        axes.axvspan(mean - spread, mean + spread, color="#dddddd")
        axes.axvline(mean, color=GREY, linewidth=1)
    colour = COLOURS["srcnn"]
    for y, values in enumerate(variants.values()):
        if len(values):
            rows, mean = [y] * len(values), np.mean(values)
            axes.plot(values, rows, "o", mfc="none", color=colour, markersize=6)
            axes.plot([mean, mean], [y - 0.3, y + 0.3], color=colour, linewidth=2)
        else:
            where = {"xycoords": ("axes fraction", "data"), "va": "center"}
            axes.annotate("not yet measured", (0.02, y), fontsize=8, **where)
    low, high = axes.get_xlim()
    if high - low < 0.1:  # or a thousandth would look like much
        axes.set_xlim((low + high) / 2 - 0.05, (low + high) / 2 + 0.05)
    axes.ticklabel_format(axis="x", useOffset=False)
    axes.locator_params(axis="x", nbins=5)
    finish_rows(axes, list(variants), "validation PSNR (dB)" + f"\n{note}" * bool(note))
    return axes.figure
