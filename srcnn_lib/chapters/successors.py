"""What came next: VDSR, FSRCNN and ESPCN, for `training.train`.

VDSR is deep and learns only what bicubic interpolation lacks.  FSRCNN and ESPCN read
the LR picture and enlarge it at the very end, so that a filter is applied at fewer
pixels by the square of the scale.  All follow `models.Network`.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ..models import Network
from ..resize import bicubic


class VDSR(nn.Module):
    """Y ↦ Y + R(Y): many layers of 3×3 filters with a ReLU after each.

    It starts as bicubic interpolation, because the last layer's weights are zero.

    Source: Kim et al., "Accurate image super-resolution using very deep convolutional
    networks", CVPR 2016, section 3.  Theirs is trained with zeros around each
    sub-image, for several scales at once, by SGD with clipped gradients.

    Parameters
    ----------
    depth : number of layers, 20 in the paper; each adds two pixels to the width of
        what an output pixel sees.
    width : filters of a layer, 64 in the paper.
    """

    factor = 1

    def __init__(self, depth: int = 20, width: int = 64):
        super().__init__()
        if depth < 2 or width < 1:
            raise ValueError(f"VDSR has at least two layers, not {depth} of {width}")
        widths = [1, *(depth - 1) * [width], 1]
        convs = [nn.Conv2d(n, m, 3) for n, m in zip(widths, widths[1:])]
        self.convs = nn.ModuleList(convs)
        for conv in self.convs[:-1]:
            nn.init.kaiming_normal_(conv.weight)
            nn.init.zeros_(conv.bias)
        nn.init.zeros_(self.convs[-1].weight)
        nn.init.zeros_(self.convs[-1].bias)
        self.name, self.border = f"VDSR-{depth}-{width}", depth

    def forward(self, y: torch.Tensor, padding: str = "same") -> torch.Tensor:
        """(B, 1, H, W) ↦ the same; see `models.Network`."""
        lacking = y
        for conv in self.convs[:-1]:
            lacking = F.relu(_convolve(conv, lacking, padding))
        lacking = _convolve(self.convs[-1], lacking, padding)
        b = 0 if padding == "same" else self.border
        return y[:, :, b : y.shape[2] - b, b : y.shape[3] - b] + lacking


class FSRCNN(nn.Module):
    """Features, shrinking, m mappings, expanding, transposed convolution.

    The transposed convolution ("deconvolution" in the paper) is centred: the middles of
    its filter and of a block of HR pixels coincide, or at even scales, where no odd
    filter can, are half a pixel apart.  It is computed as a sub-pixel convolution,
    which is the same map and several times as fast on a CPU; see `enlarge`.

    Source: Dong et al., "Accelerating the super-resolution convolutional neural
    network", ECCV 2016, section 3.2.

    Parameters
    ----------
    scale : magnification.
    d, s, m : numbers of features, of features after shrinking and of mapping layers;
        the paper's FSRCNN is (56, 12, 4), FSRCNN-s (32, 5, 1).
    """

    #: Of the transposed convolution's filter, in HR pixels.
    WIDTH = 9

    def __init__(self, scale: int = 3, d: int = 56, s: int = 12, m: int = 4):
        super().__init__()
        if min(scale, d, s, m) < 1:
            raise ValueError("scale, d, s and m begin at 1")
        widths, sizes = [1, d, *(m + 1) * [s], d], [5, 1, *m * [3], 1]
        convs = [nn.Conv2d(n, k, f) for n, k, f in zip(widths, widths[1:], sizes)]
        self.convs = nn.ModuleList(convs)
        self.slopes = nn.ModuleList(nn.PReLU(k) for k in widths[1:])
        for conv in self.convs:
            nn.init.kaiming_normal_(conv.weight, a=0.25)
            nn.init.zeros_(conv.bias)
        last = nn.ConvTranspose2d(d, 1, self.WIDTH, stride=scale)
        nn.init.normal_(last.weight, std=0.001)
        nn.init.zeros_(last.bias)
        self.convs.append(last)
        self.factor, self.name = scale, f"FSRCNN-{d}-{s}-{m}"
        # LR pixels to each side that contribute to a block of HR pixels.
        self.reach = -(-(self.WIDTH - scale) // (2 * scale))
        self.border = scale * (2 + m + self.reach)

    def forward(self, y: torch.Tensor, padding: str = "same") -> torch.Tensor:
        """(B, 1, h, w) ↦ (B, 1, h·scale, …); see `models.Network`."""
        r = self.reach
        for conv, slope in zip(self.convs[:-1], self.slopes):
            y = slope(_convolve(conv, y, padding))
        if padding == "same":
            y = F.pad(y, (r,) * 4, mode="replicate")
        return self.enlarge(y)

    def enlarge(self, features: torch.Tensor) -> torch.Tensor:
        """Transposed convolution: (B, d, h, w) ↦ (B, 1, (h - 2·reach)·scale, …).

        The LR pixels up to `reach` to either side contribute to an HR pixel of a block,
        each with one row and column of its filter.  Those in order are a filter on the
        LR picture, one for each HR pixel of the block.
        """
        f, r = self.factor, self.reach
        first = (self.WIDTH - f) // 2 + f * r
        pixel, neighbour = torch.arange(f), torch.arange(2 * r + 1)
        hit = first + pixel[:, None] - f * neighbour  # (f, 2r + 1)
        stamp = F.pad(self.convs[-1].weight[:, 0], (2 * f,) * 4)
        hit = (hit + 2 * f).to(stamp.device)
        filters = stamp[:, hit][:, :, :, hit]  # (d, f, 2r + 1, f, 2r + 1)
        filters = filters.permute(1, 3, 0, 2, 4).flatten(0, 1)
        bias = self.convs[-1].bias.expand(f * f)
        return F.pixel_shuffle(F.conv2d(features, filters, bias), f)


class ESPCN(nn.Module):
    """Three layers on the LR picture: 5×5, tanh, 3×3, tanh, and scale² filters of 3×3.

    Each of the last makes one of the scale × scale pixels of a block ("sub-pixel
    convolution").

    Source: Shi et al., "Real-time single image and video super-resolution using an
    efficient sub-pixel convolutional neural network", CVPR 2016, section 2.

    Parameters
    ----------
    scale : magnification.
    n : numbers of filters, in the paper (64, 32).
    """

    def __init__(self, scale: int = 3, n: tuple[int, int] = (64, 32)):
        super().__init__()
        if min(scale, *n) < 1:
            raise ValueError("scale and numbers of filters begin at 1")
        widths = [1, *n, scale**2]
        convs = [nn.Conv2d(k, m, f) for k, m, f in zip(widths, widths[1:], (5, 3, 3))]
        self.convs = nn.ModuleList(convs)
        for conv in self.convs:
            nn.init.xavier_normal_(conv.weight)
            nn.init.zeros_(conv.bias)
        self.factor, self.border = scale, 4 * scale
        self.name = f"ESPCN-{n[0]}-{n[1]}"

    def forward(self, y: torch.Tensor, padding: str = "same") -> torch.Tensor:
        """(B, 1, h, w) ↦ (B, 1, h·scale, …); see `models.Network`."""
        for conv in self.convs[:-1]:
            y = torch.tanh(_convolve(conv, y, padding))
        y = _convolve(self.convs[-1], y, padding)
        return F.pixel_shuffle(y, self.factor)


def _convolve(conv: nn.Conv2d, y: torch.Tensor, padding: str) -> torch.Tensor:
    margin = conv.kernel_size[0] // 2
    if padding == "same" and margin:
        y = F.pad(y, (margin,) * 4, mode="replicate")
    elif padding not in ("same", "valid"):
        raise ValueError(f"padding must be same or valid, not {padding!r}")
    return conv(y)


def parameters(network: Network) -> int:
    """Number of learnt parameters: weights, biases, slopes."""
    return sum(p.numel() for p in network.parameters())


def multiplications(network: Network) -> float:
    """Multiplications for one HR pixel, without the interpolation.

    A filter is applied at every pixel of the network's input, which has `factor`² times
    fewer pixels than its output.
    """
    return sum(conv.weight.numel() for conv in network.convs) / network.factor**2


@torch.inference_mode()
def super_resolve(network: Network, lr_y: np.ndarray, scale: int) -> np.ndarray:
    """Apply a network: (h, w) in 0…1 → (h·scale, w·scale), float32, about 0…1.

    ``partial(super_resolve, network)`` is a method; it takes the whole picture at once.
    """
    if network.factor not in (1, scale):
        raise ValueError(f"{network.name} enlarges {network.factor} times, not {scale}")
    y = lr_y if network.factor > 1 else bicubic(lr_y, scale)
    y = torch.from_numpy(np.array(y, dtype=np.float32))[None, None]
    return network(y.to(next(network.parameters()).device))[0, 0].cpu().numpy()
