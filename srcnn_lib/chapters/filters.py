"""What the filters of a network are like and what they do, measured.

Filters are arrays (n, f, f), as `first_layer` gives them; pictures are luma
(H, W) in 0…1 that bicubic interpolation has enlarged, as the network gets
them.  Nothing here draws; `plots` does.
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
KINDS = (
    "Gaussian",
    "first derivative",
    "second derivative",
    "texture",
    "nearly dead",
)
#: Standard deviations, in pixels, of the Gaussians that `kinds` compares with.
SIGMAS = (0.6, 0.8, 1.0, 1.3, 1.6, 2.0, 2.5, 3.0, 4.0)
#: Share of a filter's energy that one family of templates must hold.
HOLDS = 0.5
#: A filter is nearly dead below this share of the median filter's length.
DEAD = 0.1


def first_layer(model: SRCNN) -> np.ndarray:
    """The filters of the first layer, (n1, f1, f1), for luma.

    Raises
    ------
    ValueError : for a network of several channels, whose filters are not
        pictures in grey.
    """
    weight = model.convs[0].weight.detach().cpu()
    if weight.shape[1] != 1:
        raise ValueError(
            f"filters of {weight.shape[1]} channels are no (f, f) pictures; "
            "measure one channel at a time"
        )
    return weight[:, 0].double().numpy()


def by_variance(filters: np.ndarray) -> np.ndarray:
    """Order of filters (n, f, f), largest variance of the weights first.

    Source: the paper's figures of filters are organised so (ECCV and TPAMI,
    "first-layer filters").
    """
    return np.argsort(-filters.var(axis=(1, 2)), kind="stable")


def nearly_dead(filters: np.ndarray, share: float = DEAD) -> np.ndarray:
    """Which filters (n, f, f) are shorter than `share` of the median's length.

    The length is the root of the sum of squared weights.  Returns booleans
    (n,).
    """
    length = np.linalg.norm(filters.reshape(len(filters), -1), axis=1)
    return length < share * np.median(length)


def patch_covariance(
    pictures: Iterable[np.ndarray], size: int, stride: int = 4
) -> np.ndarray:
    """Covariance (size², size²) of the windows of pictures (H, W).

    The response of a filter w varies over these pictures with the variance
    wᵀCw.
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
    """Filters (n, f, f) as they act on pictures: w ↦ C^½ w.

    The length of the result is the standard deviation of the response over
    the pictures that C, (f², f²), was measured on: directions which pictures
    hardly have are shown as faint as they are.
    """
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    return (filters.reshape(len(filters), -1) @ root).reshape(filters.shape)


def kinds(
    filters: np.ndarray, dead: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """What each filter is most like.

    A filter is projected on a Gaussian, on its two first derivatives and on
    its three second derivatives (so edges in every direction, and the
    Laplacian), of widths `SIGMAS` and with the centre up to two pixels off in
    each direction.  The family that holds most of the filter's energy names
    it, where that is at least `HOLDS`; otherwise it is a texture.

    Parameters
    ----------
    filters : (n, f, f).
    dead : booleans (n,); `nearly_dead` of these filters where not given.

    Returns
    -------
    kind : of each filter, an index into `KINDS` (n,).
    share : of its energy that the three families hold, (n, 3) in 0…1.
    """
    dead = nearly_dead(filters) if dead is None else dead
    flat = filters.reshape(len(filters), -1)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    unit = flat / np.maximum(length, np.finfo(float).tiny)
    share = np.stack(
        [
            ((family @ unit.T) ** 2).sum(axis=1).max(axis=0)
            for family in _templates(filters.shape[-1])
        ],
        axis=1,
    )
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
                bases = (
                    [g],
                    [x * g, y * g],
                    [(x * x - 1) * g, (y * y - 1) * g, x * y * g],
                )
                for family, basis in zip(families, bases):
                    rows = np.array(basis).reshape(len(basis), -1)
                    _, length, across = np.linalg.svd(rows, full_matrices=False)
                    across[length < 1e-9] = 0  # a filter too small for it
                    family.append(across)
    return [np.array(family) for family in families]


def frequency_response(filters: np.ndarray, size: int = 32) -> np.ndarray:
    """Magnitude of what each filter does to a wave, (n, size, size).

    Frequencies −½…½ cycles per pixel along both axes, zero at [size/2,
    size/2].
    """
    spectrum = np.abs(np.fft.fft2(filters, s=(size, size)))
    return np.fft.fftshift(spectrum, axes=(1, 2))


def centre_frequency(filters: np.ndarray) -> np.ndarray:
    """Mean frequency of each filter, weighted by power, in cycles per pixel.

    The finest grid of one pixel on, one off is at ½; white noise at 0.38.
    """
    power = frequency_response(filters) ** 2
    f = np.fft.fftshift(np.fft.fftfreq(power.shape[-1]))
    radius = np.hypot(f[:, None], f)
    total = np.maximum(power.sum(axis=(1, 2)), np.finfo(float).tiny)
    return (power * radius).sum(axis=(1, 2)) / total


def spectral_spread(filters: np.ndarray) -> np.ndarray:
    """Share of the plane of frequencies that each filter takes up, in 0…1.

    The exponential of the entropy of its power, over the number of
    frequencies: small for one wave or one smooth blob, about 0.65 for white
    noise, 1 for a single pixel.
    """
    power = frequency_response(filters) ** 2
    total = np.maximum(power.sum(axis=(1, 2), keepdims=True), np.finfo(float).tiny)
    p = power / total
    entropy = -(p * np.log(np.maximum(p, np.finfo(float).tiny))).sum(axis=(1, 2))
    return np.exp(entropy) / power[0].size


def similarity(a: np.ndarray, b: np.ndarray, reach: int = 0) -> np.ndarray:
    """Cosine of each filter of one set with each of another, (n, m).

    Parameters
    ----------
    a, b : (n, f, f) and (m, f, f).
    reach : the largest cosine of all shifts by up to so many pixels is taken,
        since a later layer with filters that large can undo a shift.

    Raises
    ------
    ValueError : for filters of different sizes.
    """
    if a.shape[1:] != b.shape[1:]:
        raise ValueError(
            f"filters of {a.shape[1]} and {b.shape[1]} pixels can't be compared"
        )
    tiny = np.finfo(float).tiny
    a = a / np.maximum(np.linalg.norm(a, axis=(1, 2), keepdims=True), tiny)
    b = b / np.maximum(np.linalg.norm(b, axis=(1, 2), keepdims=True), tiny)
    f = a.shape[-1]
    wide = np.pad(a, ((0, 0), (reach, reach), (reach, reach)))
    shifted = [
        wide[:, i : i + f, j : j + f].reshape(len(a), -1)
        for i in range(2 * reach + 1)
        for j in range(2 * reach + 1)
    ]
    return np.max([s @ b.reshape(len(b), -1).T for s in shifted], axis=0)


def best_matching(
    a: np.ndarray, b: np.ndarray, reach: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of filters of two sets, each used once, of largest summed cosine.

    Filters of a network have no order, so two networks can be compared only
    after such a matching (the Hungarian method finds it).

    Returns
    -------
    i, j : indices into `a` and `b`, as many as the smaller set has.
    cosine : of each pair.
    """
    cosines = similarity(a, b, reach)
    i, j = linear_sum_assignment(cosines, maximize=True)
    return i, j, cosines[i, j]


def feature_maps(
    model: SRCNN, y: np.ndarray, padding: str = "same"
) -> list[np.ndarray]:
    """What each layer gives for a picture (H, W), after its ReLU.

    Returns
    -------
    A list with (n1, H, W), (n2, H, W), …, (1, H, W); the last is the result.
    With ``padding="valid"`` the maps shrink from layer to layer.
    """
    device = model.convs[0].weight.device
    batch = torch.as_tensor(y, dtype=torch.float32, device=device)[None, None]
    with torch.no_grad():
        return [m[0].cpu().numpy() for m in model.layers(batch, padding)]


class Contributions(NamedTuple):
    """How one output pixel comes about; see `contributions`.

    Attributes
    ----------
    maps : the window, then what each layer but the last makes of it: (1, R,
        R), (n1, …), (n2, f3, f3) for three layers.
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

    A ReLU passes a number or it does not.  With these decisions as this
    window makes them the network is linear, so that its output is a sum over
    the input's pixels, or over the numbers of any layer: each times its
    gradient, and the biases behind it times theirs.

    Parameters
    ----------
    window : (R, R) in 0…1, where R is `Architecture.receptive_field`.

    Raises
    ------
    ValueError : for a window of another size, or a network not for luma.
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
    """A copy of a network without some filters of its first layer.

    Parameters
    ----------
    removed : their numbers.
    levels : the constant, at least 0, that each filter's map becomes, one for
        each filter of the layer; 0 where not given.  Its mean over pictures
        keeps the brightness that the later layers reckon with.

    Raises
    ------
    ValueError : for a filter that is not there.
    """
    n1 = model.architecture.n[0]
    if any(not 0 <= k < n1 for k in removed):
        raise ValueError(f"filters are numbered 0 to {n1 - 1}, not {removed}")
    new = copy.deepcopy(model)
    first = new.convs[0]
    with torch.no_grad():
        for k in removed:
            first.weight[k] = 0
            first.bias[k] = 0 if levels is None else float(levels[k])
    return new


def top_patches(
    filters: np.ndarray, pictures: Iterable[np.ndarray], count: int = 8
) -> tuple[np.ndarray, np.ndarray]:
    """The windows that excite each filter most, one of a picture at most.

    Parameters
    ----------
    filters : (n, f, f).
    pictures : (H, W) in 0…1; those smaller than a filter are left out.
    count : windows to keep, the strongest first.

    Returns
    -------
    windows : (n, count, f, f).
    responses : Σ w·y at each, without the bias, (n, count).

    Raises
    ------
    ValueError : for fewer pictures than `count`.
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
    every = np.stack(windows, axis=1)
    here = np.arange(len(filters))[:, None]
    return every[here, chosen], strength[here, chosen]
