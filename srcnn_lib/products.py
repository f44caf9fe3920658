"""The network as matrix products, for training; on some processors faster.

Batches of small sub-images, with gradients; a whole picture goes through
`methods.srcnn` in bands.

Feature maps lie as rows, one per pixel, with a column per filter: a layer is
a matrix of rows times the matrix of its filters.

- The first layer's rows are the patches of the picture, 81 numbers each:
  sparse coding's patch extraction.  A library's convolution is made for many
  input channels and is slow with one.
- A layer of 1×1 filters has its rows already.
- The last layer has one filter, or one for each colour, a product with few
  results; so each pixel is multiplied by all 25 positions of the filter, and
  25 shifted pictures are added.
- In between, filters larger than 1×1 are left to the library, for which such
  rows are maps in the layout "channels last": nothing is copied.
"""

import torch
from torch.nn import functional as F

from .models import SRCNN


def columns(y: torch.Tensor, f: int) -> torch.Tensor:
    """Every f × f patch of pictures: (B, H, W) → (f², B, H-f+1, W-f+1)."""
    b, height, width = y.shape
    of_picture, of_row, of_pixel = y.stride()
    patches = y.as_strided(
        (f, f, b, height - f + 1, width - f + 1),
        (of_row, of_pixel, of_picture, of_row, of_pixel),
    )
    return patches.flatten(0, 1)  # a copy, as the memory overlaps


class ShiftAndAdd(torch.autograd.Function):
    """(f², B, H, W) → (B, H-f+1, W-f+1): plane (i, j) moved by (i, j)."""

    @staticmethod
    def forward(ctx, planes, f):
        ctx.f, ctx.shape = f, planes.shape
        _, b, height, width = planes.shape
        out = planes.new_zeros(b, height - f + 1, width - f + 1)
        for plane, window in zip(planes, _windows(f, height, width)):
            out += plane[window]
        return out

    @staticmethod
    def backward(ctx, grad):
        planes = grad.new_zeros(ctx.shape)
        for plane, window in zip(planes, _windows(ctx.f, *ctx.shape[2:])):
            plane[window] = grad
        return planes, None


def _windows(f: int, height: int, width: int) -> list[tuple]:
    return [
        (..., slice(i, height - f + 1 + i), slice(j, width - f + 1 + j))
        for i in range(f)
        for j in range(f)
    ]


def forward(model: SRCNN, y: torch.Tensor) -> torch.Tensor:
    """What ``model(y, "valid")`` gives, to rounding.

    Parameters
    ----------
    model : with at least two layers.
    y : (B, channels, H, W), in 0…1; no gradient goes back to it.
    """
    first, *middle, last = model.convs
    planes = y.detach().unbind(1)
    patches = [columns(plane, first.kernel_size[0]) for plane in planes]
    patches = torch.cat(patches) if len(patches) > 1 else patches[0]
    shape = patches.shape[1:]
    rows = F.relu_(_product(first, patches.flatten(1).t()))
    for conv in middle:
        if conv.kernel_size[0] == 1:
            rows = F.relu_(_product(conv, rows))
        else:
            maps = rows.unflatten(0, shape).permute(0, 3, 1, 2)
            maps = F.relu_(conv(maps)).permute(0, 2, 3, 1)
            shape, rows = maps.shape[:3], maps.flatten(0, 2)
    out = []
    for weight, bias in zip(last.weight, last.bias):
        positions = weight.flatten(1).t()  # (f², filters)
        planes = (positions @ rows.t()).unflatten(1, shape)
        out.append(ShiftAndAdd.apply(planes, last.kernel_size[0]) + bias)
    return model.finish(torch.stack(out, 1), y)


def _product(conv: torch.nn.Conv2d, rows: torch.Tensor) -> torch.Tensor:
    """(pixels, weights of a filter) → (pixels, filters)."""
    return torch.addmm(conv.bias, rows, conv.weight.flatten(1).t())
