"""SRCNN as a method: enlarge by bicubic interpolation, then the network.

The network runs over square tiles, each with a halo of the pixels that its filters see:
little memory is needed, the maps stay in the cache, and each thread has its own tiles.
"""

import numpy as np
import torch
from torch.nn import functional as F
from tqdm import tqdm

from ..models import SRCNN, choose_device
from ..resize import bicubic
from ..threads import spread
from .tiles import tiles

#: Pixels a side of a tile.
TILE = {"cpu": 128, "cuda": 1024, "mps": 512}
#: A layer with at most so many input or output maps is a product of matrices.
FEW = 3
#: Longer sums are added up in parts of so many maps, because one long sum rounds more.
PART = 16


class SRCNNMethod:
    """A network as a method, for its scale; `device` is auto, cpu, cuda or mps."""

    def __init__(self, model: SRCNN, device: str = "auto"):
        self.device = choose_device(device)
        self.model = model.to(self.device).eval()

    def __call__(self, lr_y: np.ndarray, scale: int) -> np.ndarray:
        """(h, w) in 0…1 → (h·scale, w·scale), float32, about 0…1."""
        return self.enhance(bicubic(lr_y, scale))

    def enhance(self, y: np.ndarray) -> np.ndarray:
        """The network alone, (H, W) or (H, W, channels) in 0…1 → the same, float32.
        Raises ValueError for other channels than the network's."""
        x = torch.from_numpy(np.atleast_3d(y).astype(np.float32)).permute(2, 0, 1)
        a = self.model.architecture
        if len(x) != a.channels:
            raise ValueError(f"the network has {a.channels} channels, not {len(x)}")
        out = torch.empty(x.shape)
        cover = list(tiles(y.shape[:2], TILE[self.device.type], a.border))
        parts = spread(lambda tile: self._tile(x[:, *tile.outer]), cover)
        bar = {"total": len(cover), "leave": False, "delay": 2, "disable": None}
        for part, tile in tqdm(zip(parts, cover), "SRCNN", **bar):
            out[:, *tile.place] = part[:, *tile.inner]
        return out.permute(1, 2, 0).numpy().reshape(y.shape)

    @torch.inference_mode()
    def _tile(self, given: torch.Tensor) -> torch.Tensor:
        """(c, h, w) → the same; all layers repeat the edges, as in `SRCNN.forward`."""
        convolve = _convolve if self.device.type == "cpu" else F.conv2d
        x = given = given[None].to(self.device)
        for i, conv in enumerate(self.model.convs):
            margin = conv.kernel_size[0] // 2
            x = F.pad(x.relu_() if i else x, [margin] * 4, mode="replicate")
            x = convolve(x, conv.weight, conv.bias)
        return (x + given if self.model.architecture.residual else x)[0].cpu()


def _convolve(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor):
    """``F.conv2d`` (1, c, H, W) → (1, o, h, w) for the shapes of SRCNN, but faster."""
    o, c, f, _ = weight.shape
    H, W = x.shape[2:]
    h, w = H - f + 1, W - f + 1
    if c <= FEW or f == 1:  # filters (o, c·f·f) times all patches (c·f·f, h·w)
        windows = x[0].unfold(1, f, 1).unfold(2, f, 1)  # (c, h, w, f, f)
        patches = windows.permute(0, 3, 4, 1, 2).reshape(c * f * f, h * w)
        return torch.addmm(bias[:, None], weight.flatten(1), patches).view(1, o, h, w)
    if o <= FEW:  # weights (o·f·f, c) times the maps (c, H·W), shifted and added up
        taps = weight.permute(0, 2, 3, 1).reshape(-1, c) @ x[0].flatten(1)
        taps = taps.view(o, f, f, H, W)
        out = bias[:, None, None].expand(o, h, w).clone()
        for i, j in np.ndindex(f, f):
            out += taps[:, i, j, i : i + h, j : j + w]
        return out[None]
    last = {"memory_format": torch.channels_last}
    out = bias[:, None, None]
    for maps, filters in zip(x.split(PART, 1), weight.split(PART, 1)):
        out = out + F.conv2d(maps.contiguous(**last), filters.contiguous(**last))
    return out
