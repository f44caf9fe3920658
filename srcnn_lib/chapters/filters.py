"""What the filters of a network are like and what they do, measured.

Filters are arrays (n, f, f), as `first_layer` gives them.  Pictures are luma (H, W)
in 0…1 that bicubic interpolation has enlarged, as the network gets them.  Nothing
here draws; `drawings` does.
"""

import copy
import functools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch.nn import functional as F

from ..images import patches
from ..models import SRCNN

#: What `kinds` tells apart.
KINDS = ("Gaussian", "first derivative", "second derivative", "texture", "nearly dead")
#: Standard deviations, in pixels, of the Gaussians that `kinds` compares with.
SIGMAS = (0.6, 0.8, 1.0, 1.3, 1.6, 2.0, 2.5, 3.0, 4.0)
#: Share of a filter's energy that one family of templates must hold.
HOLDS = 0.5
#: A filter is nearly dead if its norm is below this share of the median norm.
DEAD = 0.1
_TINY = np.finfo(float).tiny


def first_layer(model: SRCNN) -> np.ndarray:
    """The filters of the first layer, (n1, f1, f1), for luma.

    Raises ValueError for a network of several channels.
    """
    weight = model.convs[0].weight.detach().cpu()
    if weight.shape[1] != 1:
        raise ValueError(f"{weight.shape[1]} channels; measure one at a time")
    return weight[:, 0].double().numpy()


def by_variance(filters: np.ndarray) -> np.ndarray:
    """Order of filters (n, f, f) in the paper's figures: largest variance first."""
    return np.argsort(-filters.var(axis=(1, 2)), kind="stable")


def nearly_dead(filters: np.ndarray, share: float = DEAD) -> np.ndarray:
    """Which filters (n, f, f) have a norm below `share` of the median norm, (n,)."""
    norm = np.linalg.norm(filters, axis=(1, 2))
    return norm < share * np.median(norm)


def patch_covariance(pictures: Iterable[np.ndarray], size: int, stride=4) -> np.ndarray:
    """Covariance C (size², size²) of the windows of pictures (H, W).

    The response of a filter w varies over these pictures with the variance wᵀCw.
    """
    count, total, products = 0, 0.0, 0.0
    for picture in pictures:
        windows = patches(picture, size, stride).reshape(-1, size * size)
        count += len(windows)
        total = total + windows.sum(axis=0)
        products = products + windows.T @ windows
    mean = total / count
    return products / count - np.outer(mean, mean)


def as_seen(filters: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Filters (n, f, f) as they act on pictures: w ↦ C^½ w, with C (f², f²).

    The norm of the result is the standard deviation of the response over the pictures
    that C was measured on, so directions that pictures hardly have become faint.
    """
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    return (filters.reshape(len(filters), -1) @ root).reshape(filters.shape)


def kinds(
    filters: np.ndarray, dead: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Name each filter after the templates that it is most similar to.

    A filter is projected on a Gaussian, on its two first derivatives and on its three
    second derivatives (so edges in every direction, and the Laplacian), of widths
    `SIGMAS` and with the centre up to two pixels off.  The family that holds most of
    the filter's energy names it, where that is at least `HOLDS`; otherwise it is a
    texture.

    Parameters
    ----------
    filters : (n, f, f).
    dead : booleans (n,); None: `nearly_dead` of these filters.

    Returns
    -------
    kind : of each filter, an index into `KINDS` (n,).
    share : of its energy that the three families hold, (n, 3) in 0…1.
    """
    dead = nearly_dead(filters) if dead is None else dead
    flat = filters.reshape(len(filters), -1)
    norm = np.linalg.norm(flat, axis=1, keepdims=True)
    unit = flat / np.maximum(norm, _TINY)
    families = _templates(filters.shape[-1])
    share = [((family @ unit.T) ** 2).sum(axis=1).max(axis=0) for family in families]
    share = np.stack(share, axis=1)
    kind = np.where(share.max(axis=1) < HOLDS, 3, share.argmax(axis=1))
    return np.where(dead, 4, kind), share


@functools.cache
def _templates(f: int) -> list[np.ndarray]:
    """Three families, each (places and widths, dimensions, f²), orthonormal."""
    middle = np.arange(f) - f // 2
    reach = range(-min(2, f // 2), min(2, f // 2) + 1)
    families: list[list] = [[], [], []]
    for sigma in SIGMAS:
        for dy in reach:
            for dx in reach:
                x, y = (middle[None] - dx) / sigma, (middle[:, None] - dy) / sigma
                g = np.exp(-(x * x + y * y) / 2)
                second = [(x * x - 1) * g, (y * y - 1) * g, x * y * g]
                for family, basis in zip(families, ([g], [x * g, y * g], second)):
                    rows = np.array(basis).reshape(len(basis), -1)
                    _, norm, across = np.linalg.svd(rows, full_matrices=False)
                    across[norm < 1e-9] = 0  # a filter too small for it
                    family.append(across)
    return [np.array(family) for family in families]


def frequency_response(filters: np.ndarray, size: int = 32) -> np.ndarray:
    """Magnitude of each filter's response to a wave, (n, size, size).

    Frequencies −½…½ cycles per pixel along both axes, zero at [size/2, size/2].
    """
    spectrum = np.abs(np.fft.fft2(filters, s=(size, size)))
    return np.fft.fftshift(spectrum, axes=(1, 2))


def _power(filters: np.ndarray) -> np.ndarray:
    """Power at each frequency, (n, 32, 32); it sums to one for each filter."""
    power = frequency_response(filters) ** 2
    return power / np.maximum(power.sum(axis=(1, 2), keepdims=True), _TINY)


def centre_frequency(filters: np.ndarray) -> np.ndarray:
    """Mean frequency of each filter, weighted by power, in cycles per pixel (n,).

    The finest grid of one pixel on, one off is at ½; white noise at 0.38.
    """
    power = _power(filters)
    f = np.fft.fftshift(np.fft.fftfreq(power.shape[-1]))
    return (power * np.hypot(f[:, None], f)).sum(axis=(1, 2))


def spectral_spread(filters: np.ndarray) -> np.ndarray:
    """Share of the plane of frequencies that each filter takes up, in 0…1 (n,).

    The exponential of the entropy of its power, over the number of frequencies: small
    for one wave or one smooth blob, about 0.65 for white noise, 1 for a single pixel.
    """
    power = _power(filters)
    entropy = -(power * np.log(np.maximum(power, _TINY))).sum(axis=(1, 2))
    return np.exp(entropy) / power[0].size


def similarity(a: np.ndarray, b: np.ndarray, reach: int = 0) -> np.ndarray:
    """Cosine of each filter of `a` (n, f, f) with each of `b` (m, f, f), (n, m).

    The largest of all shifts by up to `reach` pixels, since a later layer with filters
    that large can undo a shift.

    Raises ValueError for filters of different sizes.
    """
    if a.shape[1:] != b.shape[1:]:
        raise ValueError(f"filters of {a.shape[1]} and {b.shape[1]} pixels differ")
    a, b = (x / np.maximum(np.linalg.norm(x, axis=(1, 2), keepdims=True), _TINY)
            for x in (a, b))  # fmt: skip
    f, shifts = a.shape[-1], range(2 * reach + 1)
    wide = np.pad(a, ((0, 0), (reach, reach), (reach, reach)))
    moved = [wide[:, i : i + f, j : j + f] for i in shifts for j in shifts]
    return np.max([np.tensordot(x, b, axes=((1, 2), (1, 2))) for x in moved], axis=0)


def best_matching(
    a: np.ndarray, b: np.ndarray, reach: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pair filters of two sets, each used once, for the largest sum of cosines.

    The filters of a network have no order, so two networks can be compared only after
    such a matching (the Hungarian method finds it).

    Returns
    -------
    i, j : indices into `a` and `b`, as many as the smaller set has.
    cosine : of each pair.
    """
    cosines = similarity(a, b, reach)
    i, j = linear_sum_assignment(cosines, maximize=True)
    return i, j, cosines[i, j]


def feature_maps(model: SRCNN, y: np.ndarray, padding="same") -> list[np.ndarray]:
    """What each layer gives for a picture (H, W), after its ReLU.

    A list with (n1, H, W), (n2, H, W), …, (1, H, W); the last is the result.  With
    ``padding="valid"`` the maps shrink from layer to layer.
    """
    device = model.convs[0].weight.device
    batch = torch.as_tensor(y, dtype=torch.float32, device=device)[None, None]
    with torch.no_grad():
        return [m[0].cpu().numpy() for m in model.layers(batch, padding)]


class Contributions(NamedTuple):
    """What one output pixel consists of; see `contributions`.

    Attributes
    ----------
    maps : the window, then what each layer except the last makes of it: (1, R, R),
        (n1, …), (n2, f3, f3) for three layers.
    parts : arrays of the same shapes: what each number adds to the output.
    rest : for each of these, what the biases of the layers behind it add.
    output : the pixel; ``parts[i].sum() + rest[i]`` for every i.
    filter : (R, R), the one filter that the network is at this pixel.
    """

    maps: list[np.ndarray]
    parts: list[np.ndarray]
    rest: list[float]
    output: float
    filter: np.ndarray


def contributions(model: SRCNN, window: np.ndarray) -> Contributions:
    """Take one output pixel apart, exactly.

    A ReLU passes a number or it does not.  With these decisions fixed as this window
    makes them, the network is linear.  So its output is a sum over the input's pixels,
    or over the numbers of any layer: each times its gradient, plus the biases behind
    it times theirs.

    Raises ValueError for a window of another size, or a network not for luma.

    Parameters
    ----------
    window : (R, R) in 0…1, where R is `Architecture.receptive_field`.
    """
    a = model.architecture
    wide = a.receptive_field
    if a.channels != 1 or np.shape(window) != (wide, wide):
        raise ValueError(
            f"{a.name} for luma needs a window of {wide}×{wide} pixels; given: "
            f"{a.channels} channels, {np.shape(window)}"
        )
    exact = copy.deepcopy(model).cpu().double()
    y = torch.tensor(np.array(window, dtype=float))[None, None].requires_grad_()
    *maps, out = [y, *exact.layers(y, "valid")]
    biases = [conv.bias for conv in exact.convs]
    found = torch.autograd.grad(out.sum(), maps + biases)
    gradients, of_bias = found[: len(maps)], found[len(maps) :]
    added = [(b * g).sum().item() for b, g in zip(biases, of_bias)]
    return Contributions(
        maps=[m[0].detach().numpy() for m in maps],
        parts=[(m * g)[0].detach().numpy() for m, g in zip(maps, gradients)],
        rest=[sum(added[i:]) for i in range(len(maps))],
        output=out.item(),
        filter=gradients[0][0, 0].numpy(),
    )


def silence(
    model: SRCNN, removed: Sequence[int], levels: Sequence[float] | None = None
) -> SRCNN:
    """A copy of a network without the filters `removed` of its first layer.

    Raises ValueError for a filter that is not there.

    Parameters
    ----------
    levels : the constant, at least 0, that the map of each filter of the layer becomes
        if it is removed; None: 0.  The map's mean over pictures keeps the mean
        brightness that the later layers expect.
    """
    n1, new = model.architecture.n[0], copy.deepcopy(model)
    if any(not 0 <= k < n1 for k in removed):
        raise ValueError(f"filters are numbered 0 to {n1 - 1}, not {removed}")
    first = new.convs[0]
    with torch.no_grad():
        for k in removed:
            first.weight[k] = 0
            first.bias[k] = 0 if levels is None else float(levels[k])
    return new


def top_patches(
    filters: np.ndarray, pictures: Iterable[np.ndarray], count: int = 8
) -> tuple[np.ndarray, np.ndarray]:
    """The windows that excite each filter (n, f, f) most, one of a picture at most.

    Pictures (H, W) in 0…1 that are smaller than a filter are left out; the others must
    be `count` or more.

    Returns
    -------
    windows : (n, count, f, f), the strongest first.
    responses : Σ w·y at each, without the bias, (n, count).
    """
    f = filters.shape[-1]
    weight = torch.from_numpy(filters).float()[:, None]
    best, windows = [], []
    for picture in pictures:
        if min(picture.shape) < f:
            continue
        y = torch.from_numpy(np.asarray(picture, dtype=np.float32))
        response, place = F.conv2d(y[None, None], weight)[0].flatten(1).max(dim=1)
        rows, columns = np.divmod(place.numpy(), picture.shape[1] - f + 1)
        best.append(response.numpy())
        windows.append(patches(np.asarray(picture), f)[rows, columns])
    if len(best) < count:
        raise ValueError(f"{count} windows need as many pictures, not {len(best)}")
    strength = np.stack(best, axis=1)  # (n, pictures)
    chosen = np.argsort(-strength, axis=1, kind="stable")[:, :count]
    here = np.arange(len(filters))[:, None]
    return np.stack(windows, axis=1)[here, chosen], strength[here, chosen]
