"""SRCNN as a method: enlarge by bicubic interpolation, then the network.

The picture flows through the network in bands of rows: each layer is a
generator that takes bands of its input and gives bands of its output, and
keeps of the past only the rows that its filters still need.  So a picture of
any size needs little memory, nothing is computed twice, and what a layer
writes is still in the processor's cache when the next one reads it.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
import torch
from torch.nn import functional as F

from ..models import SRCNN, choose_device
from .bands import bicubic_bands

#: Pixels worked on at a time, and in columns of at most how many.  On a CPU
#: the 81 shifted pictures and the 64 feature maps of these fit in its cache.
TILE_PIXELS = {"cpu": 2**13, "cuda": 2**20}
TILE_COLUMNS = {"cpu": 2**9, "cuda": 2**20}
#: A layer with more numbers than these per pixel is left to F.conv2d, which
#: reads them from where they are.
MOST_SHIFTED = 256
#: …and there, on a CPU, adds up its input channels in so many parts.
PARTS = 4

Bands = Iterator[torch.Tensor]


class SRCNNMethod:
    """A network as a method; call it with ``(lr_y, scale)``.

    Parameters
    ----------
    model : trained for the scale it will be called with.
    device : auto, cpu or cuda.
    dtype : of the weights and the feature maps; the last layer's sums are
        float32 whichever.

    Raises
    ------
    ValueError : for a network that is not for luma alone.
    """

    def __init__(
        self, model: SRCNN, device: str = "auto", dtype=torch.float32
    ):
        channels = model.architecture.channels
        if channels != 1:
            raise ValueError(
                f"the network has {channels} channels; a method enhances luma, "
                "which has 1"
            )
        self.device = choose_device(device)
        self.dtype = dtype
        self.model = model.to(self.device).eval()

    def __call__(self, lr_y: np.ndarray, scale: int) -> np.ndarray:
        """(h, w) in 0…1 → (h·scale, w·scale), float32, about 0…1."""
        return np.concatenate(list(self.bands(lr_y, scale)))

    def bands(self, lr_y: np.ndarray, scale: int) -> Iterator[np.ndarray]:
        """The rows of ``self(lr_y, scale)`` from the top, some at a time."""
        width = lr_y.shape[1] * scale
        rows = self._rows(width)
        return self._enhanced(bicubic_bands(lr_y, scale, rows), width)

    def enhance(self, y: np.ndarray) -> np.ndarray:
        """The network alone: (H, W) in 0…1 → (H, W), float32."""
        height, width = y.shape
        rows = self._rows(width)
        bands = (y[top : top + rows] for top in range(0, height, rows))
        return np.concatenate(list(self._enhanced(bands, width)))

    def _enhanced(
        self, bands: Iterable[np.ndarray], width: int
    ) -> Iterator[np.ndarray]:
        """The network's answer; a residual network's, added to its input."""
        if not self.model.architecture.residual:
            yield from self._flow(bands, width)
            return
        bands, given = _copies(bands, 2)
        waiting = np.empty((0, width), np.float32)
        for band in self._flow(bands, width):
            while len(waiting) < len(band):
                waiting = np.concatenate([waiting, next(given)], dtype=np.float32)
            yield band + waiting[: len(band)]
            waiting = waiting[len(band) :]

    def _columns(self, width: int) -> int:
        """Columns of a stripe; all stripes are about equally wide."""
        return math.ceil(width / math.ceil(width / TILE_COLUMNS[self.device.type]))

    def _rows(self, width: int) -> int:
        return max(1, TILE_PIXELS[self.device.type] // self._columns(width))

    @torch.inference_mode()
    def _flow(
        self, bands: Iterable[np.ndarray], width: int
    ) -> Iterator[np.ndarray]:
        """Bands (h, W) of bicubic luma → bands (h', W), float32.

        A wide picture is cut into stripes, each with as many columns more as
        the network reaches; so the result is that of the whole picture.
        """
        edges = [*range(0, width, self._columns(width)), width]
        copies = _copies(bands, len(edges) - 1)
        stripes = [
            self._stripe(copy, left, right)
            for copy, (left, right) in zip(copies, pairwise(edges))
        ]
        for parts in zip(*stripes, strict=True):
            yield np.concatenate(parts, axis=1)

    def _stripe(
        self, bands: Iterable[np.ndarray], left: int, right: int
    ) -> Iterator[np.ndarray]:
        """Columns left…right of the result."""
        first = max(0, left - self.model.architecture.border)
        last = right + self.model.architecture.border
        flow = (
            torch.from_numpy(band[None, :, first:last].astype(np.float32))
            .to(self.device, self.dtype)
            for band in bands
        )  # (1, h, columns)
        for i, conv in enumerate(self.model.convs):
            if i:
                flow = map(torch.relu_, flow)
            flow = _layer(flow, conv.weight.to(self.dtype), conv.bias)
        for band in flow:
            yield band[0, :, left - first : right - first].float().cpu().numpy()


def _copies(items: Iterable, count: int) -> list[Iterator]:
    """Iterators over the same items; itertools.tee would hold 57 of them."""
    items = iter(items)
    waiting = [deque() for _ in range(count)]

    def copy(mine):
        while True:
            if not mine:
                try:
                    item = next(items)
                except StopIteration:
                    return
                for queue in waiting:
                    queue.append(item)
            yield mine.popleft()

    return [copy(queue) for queue in waiting]


def _layer(bands: Bands, weight: torch.Tensor, bias: torch.Tensor) -> Bands:
    """A convolution with the edges repeated, (c, h, W) → (o, h', W).

    A matrix product does it fastest on a CPU where the matrix is not too
    large: weights (o, c·f·f) times the c·f·f shifted inputs; or, where the
    inputs are more than the outputs, weights (o·f·f, c) times the inputs,
    which are shifted and added up afterwards.
    """
    o, c, f, _ = weight.shape
    if weight.device.type != "cpu" or f * f * min(o, c) > MOST_SHIFTED:
        convolve = _convolve_directly
    elif f == 1:
        convolve = _mix
    elif c <= o:
        convolve = _shift_and_mix
    else:
        bands = (_taps(band, weight) for band in bands)
        convolve = _shift_and_add
    for band in _padded(bands, f // 2):
        yield convolve(band, weight, bias)


def _convolve_directly(band, weight, bias):
    band, bias = band[None], bias.to(weight.dtype)
    if band.device.type != "cpu":
        return F.conv2d(band, weight, bias)[0]
    # Faster with channels last; in parts, as one long sum rounds too much,
    # but not in bfloat16, which would round each part.
    count = PARTS if band.dtype == torch.float32 else 1
    layout = {"memory_format": torch.channels_last}
    inputs = [part.contiguous(**layout) for part in band.chunk(count, 1)]
    filters = [part.contiguous(**layout) for part in weight.chunk(count, 1)]
    out = F.conv2d(inputs[0], filters[0], bias)
    for part in zip(inputs[1:], filters[1:]):
        out += F.conv2d(*part)
    return out[0]


def _mix(band, weight, bias):
    """A filter of one pixel: a product of matrices as it is."""
    o, c, _, _ = weight.shape
    bias = bias.to(weight.dtype)[:, None]
    out = torch.addmm(bias, weight.view(o, c), band.flatten(1))
    return out.view(o, *band.shape[1:])


def _shift_and_mix(band, weight, bias):
    o, c, f, _ = weight.shape
    windows = _windows(band, f)  # (c, f, f, h, w)
    # The bias is one weight more, for an input that is 1 everywhere.
    inputs = band.new_empty(c * f * f + 1, *windows.shape[-2:])
    inputs[:-1].view(windows.shape).copy_(windows)
    inputs[-1] = 1
    weight = torch.cat([weight.view(o, -1), bias.to(weight.dtype)[:, None]], 1)
    return (weight @ inputs.flatten(1)).view(o, *windows.shape[-2:])


def _taps(band, weight):
    """What each pixel adds to its f·f neighbours: (c, h, w) → (o·f·f, h, w)."""
    o, c, f, _ = weight.shape
    weight = weight.permute(0, 2, 3, 1).reshape(o * f * f, c)
    return (weight @ band.flatten(1)).view(o * f * f, *band.shape[1:])


def _shift_and_add(taps, weight, bias):
    o, _, f, _ = weight.shape
    windows = _windows(taps.view(o, f, f, *taps.shape[1:]), f)
    # Of tap (i, j) the picture that is shifted by (i, j).
    taps = torch.einsum("oijijyx->oijyx", windows).flatten(1, 2)
    return taps.sum(1, dtype=bias.dtype).add_(bias[:, None, None])


def _windows(band: torch.Tensor, f: int) -> torch.Tensor:
    """View (…, f, f, h', w'): entry [i, j] is the picture from (i, j) on."""
    windows = band.unfold(-2, f, 1).unfold(-2, f, 1)  # (…, h', w', f, f)
    return windows.movedim((-2, -1), (-4, -3))


def _padded(bands: Bands, margin: int) -> Bands:
    """Bands that overlap by 2·margin rows; the picture's edges repeated."""
    if margin == 0:
        yield from bands
        return

    def extended(above, band):
        """Append a band to the rows above, with both its sides repeated."""
        c, h, w = band.shape
        wide = band.new_empty(c, above.shape[1] + h, w + 2 * margin)
        old, new = wide.split([above.shape[1], h], dim=1)
        old.copy_(above)
        new[..., margin:-margin] = band
        new[..., :margin] = band[..., :1]
        new[..., -margin:] = band[..., -1:]
        return wide

    wide = None
    for band in bands:
        if wide is None:
            nothing = band.new_empty(len(band), 0, band.shape[2] + 2 * margin)
            wide = extended(nothing, band[:, :1].expand(-1, margin, -1))
        wide = extended(wide[:, -2 * margin :], band)
        if wide.shape[1] > 2 * margin:
            yield wide
    yield extended(
        wide[:, -2 * margin :], band[:, -1:].expand(-1, margin, -1)
    )
