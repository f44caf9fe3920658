"""SRCNN as a method: enlarge by bicubic interpolation, then the network.

The network runs over square tiles, each with a halo: the pixels around it that its
filters see too.  So a picture of any size needs little memory, the feature maps of a
tile stay in the processor's cache, and several tiles can be computed at a time.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch.nn import functional as F
from tqdm import tqdm

from ..models import SRCNN, choose_device
from ..resize import bicubic
from .tiles import Tile, tiles

#: Pixels a side of a tile.
TILE = {"cpu": 128, "cuda": 1024}
#: Longer sums than over the windows of so many feature maps are computed in parts,
#: as rounding errors grow with the length of a sum.
PART = 16


class SRCNNMethod:
    """A network as a method; call it with ``(lr_y, scale)``.

    Parameters
    ----------
    model : trained for the scale it will be called with.
    device : auto, cpu or cuda.

    Raises
    ------
    ValueError : for a network that is not for luma alone.
    """

    def __init__(self, model: SRCNN, device: str = "auto"):
        channels = model.architecture.channels
        if channels != 1:
            raise ValueError(f"a network of {channels} channels can't enhance luma")
        self.device = choose_device(device)
        self.model = model.to(self.device).eval()

    def __call__(self, lr_y: np.ndarray, scale: int) -> np.ndarray:
        """(h, w) in 0…1 → (h·scale, w·scale), float32, about 0…1."""
        return self.enhance(bicubic(lr_y, scale))

    def enhance(self, y: np.ndarray) -> np.ndarray:
        """The network alone: (H, W) in 0…1 → (H, W), float32."""
        y = y.astype(np.float32)
        out = np.empty_like(y)
        halo = self.model.architecture.border
        cover = list(tiles(y.shape, max(TILE[self.device.type], halo + 1), halo))

        def fill(tile):
            out[tile.place] = self._tile(y, tile)

        # Each tile has one thread.  Several threads for one tile would have to wait
        # for each other after every layer, long if another program needs a core.
        count = torch.get_num_threads()
        try:
            with ThreadPoolExecutor(count, "tile", torch.set_num_threads, (1,)) as pool:
                done = pool.map(fill, cover)
                list(tqdm(done, "SRCNN", len(cover), False, delay=2, disable=None))
        finally:
            torch.set_num_threads(count)
        return out

    @torch.inference_mode()
    def _tile(self, y: np.ndarray, tile: Tile) -> np.ndarray:
        """The network's answer for `tile.place`.

        At the picture's edges each layer repeats the edge pixels, as in
        `SRCNN.forward`; at the others it uses up a part of the halo.
        """
        rows, columns = ((s.start == 0, s.stop == n) for s, n in zip(tile.outer, y.shape))
        x = torch.from_numpy(y[tile.outer])[None, None].to(self.device)
        for i, conv in enumerate(self.model.convs):
            x = x.relu_() if i else x
            margins = [conv.kernel_size[0] // 2 * edge for edge in (*columns, *rows)]
            x = F.pad(x, margins, mode="replicate") if any(margins) else x
            convolve = _convolve if self.device.type == "cpu" else F.conv2d
            x = convolve(x, conv.weight, conv.bias)
        given = y[tile.place]
        height, width = given.shape
        answer = x[0, 0, :height, :width].cpu().numpy()
        return answer + given if self.model.architecture.residual else answer


def _convolve(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor):
    """``F.conv2d`` for the layers of SRCNN, (1, c, H, W) → (1, o, h, w), but faster.

    With one input map: filters (o, f·f) times the f·f shifted inputs.  With one
    output map: weights (f·f, c) times the inputs, then shifted and added up.
    """
    o, c, f, _ = weight.shape
    H, W = x.shape[2:]
    h, w = H - f + 1, W - f + 1
    if c == 1 or f == 1:
        windows = x[0].unfold(1, f, 1).unfold(2, f, 1)  # (c, h, w, f, f)
        inputs = windows.permute(0, 3, 4, 1, 2).reshape(c * f * f, h * w)
        out = torch.addmm(bias[:, None], weight.reshape(o, -1), inputs)
        return out.view(1, o, h, w)
    if o == 1:
        taps = (weight.reshape(c, f * f).T @ x.reshape(c, H * W)).view(f, f, H, W)
        out = bias.expand(h, w).clone()
        for i in range(f):
            for j in range(f):
                out += taps[i, j, i : i + h, j : j + w]
        return out[None, None]
    last = {"memory_format": torch.channels_last}
    out = bias[:, None, None]
    for maps, filters in zip(x.split(PART, 1), weight.split(PART, 1)):
        out = out + F.conv2d(maps.contiguous(**last), filters.contiguous(**last))
    return out
