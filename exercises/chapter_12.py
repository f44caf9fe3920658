"""Checks of chapter 12, on the networks that followed SRCNN."""

import torch
from torch.nn import functional as F

from exercises import Function, Value


def _large(generator):
    r, h, w = 3, int(generator.integers(5, 8)), int(generator.integers(8, 11))
    shape = int(generator.integers(1, 4)), 1, r * h, r * w
    return torch.from_numpy(generator.normal(size=shape)), r


def _columns_first(large, r):
    maps = F.pixel_unshuffle(large, r)
    return maps.unflatten(1, (r, r)).transpose(1, 2).flatten(1, 2)


def _cut(large, r):
    """Blocks side by side in place of pixels that take turns."""
    rows = torch.chunk(large[:, 0], r, dim=1)
    return torch.stack([part for row in rows for part in row.chunk(r, dim=2)], dim=1)


def _means(large, r):
    return F.avg_pool2d(large, r).repeat(1, r * r, 1, 1)


def _features(generator):
    r, f = (int(size) for size in generator.integers([2, 4], [5, 8]))
    shape = int(generator.integers(5, 8)), int(generator.integers(8, 11))
    features, stamp = generator.normal(size=shape), generator.normal(size=(f, f))
    return torch.from_numpy(features), torch.from_numpy(stamp), r


def _stamped(features, stamp, r):
    return F.conv_transpose2d(features[None, None], stamp[None, None], stride=r)[0, 0]


def _trailing(features, stamp, r):
    return F.pad(_stamped(features, stamp, r), (0, r - 1, 0, r - 1))


def _valid(features, stamp, r):
    cut = len(stamp) - 1
    return _stamped(features, stamp, r)[cut:-cut, cut:-cut]


EXERCISES = {}

EXERCISES["12.1"] = Function(F.pixel_unshuffle, _large, faults={
    "columns": ("the maps are ordered by columns; map 1 has the pixel to the right of "
        "map 0's, not the one below.", _columns_first),
    "blocks": ("the picture is cut into s·s parts; its pixels have to take turns, as "
        "in [i::s].", _cut),
    "reversed": ("the maps are the right ones, in reverse order.",
        lambda x, r: F.pixel_unshuffle(x, r).flip(1)),
    "transposed": ("each map is transposed: h rows and w columns, as in the picture.",
        lambda x, r: F.pixel_unshuffle(x, r).transpose(2, 3)),
    "means": ("all maps are means of blocks; each has one pixel of a block.", _means),
    "axis": ("the maps have to be the second axis, after the batch.",
        lambda x, r: F.pixel_unshuffle(x, r).movedim(1, -1)),
})  # fmt: skip

EXERCISES["12.2"] = Function(_stamped, _features, faults={
    "turned": ("the stamp has to be turned by 180°, as conv2d correlates.",
        lambda x, s, r: _stamped(x, s.flip(0, 1), r)),
    "zeros": ("s zeros between the pixels are one too many: there are s pixels from "
        "one to the next.", lambda x, s, r: _stamped(x, s, r + 1)),
    "trailing": ("there are zeros after the last pixel too, so that the result is s - "
        "1 too large.", _trailing),
    "valid": ("without padding, only places count where the stamp lies inside.",
        _valid),
    "transposed": ("the stamp is transposed; turned by 180° it is flipped along both "
        "axes.", lambda x, s, r: _stamped(x, s.T, r)),
    "one-axis": ("the stamp is flipped along one axis only; turn it by 180°.",
        lambda x, s, r: _stamped(x, s.flip(0), r)),
})  # fmt: skip

EXERCISES["12.3"] = Value((12_464 / 4, 12_464 / 16), atol=0.6, rtol=0, faults={
    "factor": ("a small pixel becomes s·s large ones, not s.",
        (12_464 / 2, 12_464 / 4)),
    "times": ("a filter on the small picture is paid once for s·s large pixels: "
        "divide.", (12_464 * 4, 12_464 * 16)),
    "unshared": ("that is the count for a small pixel; for a large one it is shared.",
        (12_464, 12_464)),
    "x3": ("that is x3: 12,464 / 9 at both.", (12_464 / 9, 12_464 / 9)),
    "exchanged": ("the two numbers are the other way round: x2 first.",
        (12_464 / 16, 12_464 / 4)),
})  # fmt: skip
