import numpy as np
import torch
from torch.nn import functional as F


def gathered(place):
    """Maps pixel by pixel; `place` says where a map's pixel is in the picture."""

    def maps_of(large, r):
        batch, _, height, width = large.shape
        h, w = height // r, width // r
        maps = torch.zeros(batch, r * r, h, w, dtype=large.dtype)
        for k, row, column in np.ndindex(r * r, h, w):
            i, j = place(k, row, column, r, h, w)
            maps[:, k, row, column] = large[:, 0, i, j]
        return maps

    return maps_of


right_maps = gathered(lambda k, i, j, r, h, w: (r * i + k // r, r * j + k % r))


def stamps(turn=lambda stamp: stamp, zeros=-1, after=0):
    """Zeros between the pixels, then each place of the result by itself."""

    def deconvolve(features, stamp, r):
        h, w = features.shape
        f = stamp.shape[0]
        gap = r + 1 + zeros
        height, width = ((n - 1) * gap + 1 + after * (r - 1) for n in (h, w))
        spread = torch.zeros(height, width, dtype=features.dtype)
        spread[: gap * h : gap, : gap * w : gap] = features
        out = torch.zeros(height + f - 1, width + f - 1, dtype=features.dtype)
        for i, j in np.ndindex(f, f):
            part = out[i : i + height, j : j + width]
            part += turn(stamp)[i, j] * spread
        return out

    return deconvolve


def inside_only(features, stamp, r):
    f = stamp.shape[0]
    return stamps()(features, stamp, r)[f - 1 : 1 - f, f - 1 : 1 - f]


ANSWERS = {
    "12.1": (right_maps, {
        "columns": gathered(lambda k, i, j, r, h, w: (r * i + k % r, r * j + k // r)),
        "blocks": gathered(lambda k, i, j, r, h, w: (k // r * h + i, k % r * w + j)),
        "reversed": lambda x, r: torch.flip(right_maps(x, r), [1]),
        "transposed": lambda x, r: right_maps(x, r).permute(0, 1, 3, 2),
        "means": lambda x, r: torch.cat([F.avg_pool2d(x, r)] * r ** 2, dim=1),
        "axis": lambda x, r: right_maps(x, r).permute(0, 2, 3, 1),
    }),
    "12.2": (stamps(), {
        "turned": stamps(lambda s: torch.rot90(s, 2)), "zeros": stamps(zeros=0),
        "trailing": stamps(after=1), "valid": inside_only,
        "transposed": stamps(lambda s: s.T),
        "one-axis": stamps(lambda s: torch.flip(s, [0])),
    }),
    "12.3": ([3116, 779], {
        "factor": (6232, 3116), "unshared": (12_464, 12_464),
        "x3": (12_464 / 9, 12_464 / 9), "times": (49_856, 199_424),
        "exchanged": (779, 3116),
    }),
}  # fmt: skip
