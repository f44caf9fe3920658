"""SRCNN as a method: enlarge by bicubic interpolation, then the network."""

import numpy as np
import torch

from ..models import SRCNN, choose_device
from .bicubic import bicubic

#: Pixels worked on at a time: 64 feature maps of these are 268 MB.
STRIP_PIXELS = 2**20


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
            raise ValueError(
                f"the network has {channels} channels; a method enhances luma, "
                "which has 1"
            )
        self.device = choose_device(device)
        self.model = model.to(self.device).eval()

    def __call__(self, lr_y: np.ndarray, scale: int) -> np.ndarray:
        """(h, w) in 0…1 → (h·scale, w·scale), float32, about 0…1."""
        return self.enhance(bicubic(lr_y, scale))

    def enhance(self, y: np.ndarray) -> np.ndarray:
        """The network alone: (H, W) in 0…1 → (H, W), float32.

        Works in strips of rows, so that a large photograph fits in memory.
        Each strip sees as many rows more as the network reaches, so the
        result is that of the whole picture.
        """
        y = np.ascontiguousarray(y, dtype=np.float32)
        height, width = y.shape
        reach = self.model.architecture.border
        rows = max(1, STRIP_PIXELS // width)
        out = np.empty_like(y)
        for top in range(0, height, rows):
            bottom = min(top + rows, height)
            first = max(0, top - reach)
            strip = torch.from_numpy(y[first : bottom + reach])
            with torch.inference_mode():
                sr = self.model(strip[None, None].to(self.device))[0, 0]
            out[top:bottom] = sr[top - first : bottom - first].cpu().numpy()
        return out
