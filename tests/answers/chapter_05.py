import numpy as np
import torch
from torch.nn import functional as F


def cost_of(layer=lambda before, after, f: before * after * f * f, late=False):
    """An answer from a layer's weights; `late` : counted at the size of its input."""

    def cost(f, n, channels, height, width):
        weights, work, maps = 0, 0, [channels, n[0], n[1], channels]
        for k in range(3):
            here = layer(maps[k], maps[k + 1], f[k])
            weights += here
            work += here * height * width if late else 0
            height -= f[k] - 1
            width -= f[k] - 1
            work += 0 if late else here * height * width
        return weights, work

    return cost


cost = cost_of()


def cost_with_biases(f, n, channels, height, width):
    weights, work = cost(f, n, channels, height, width)
    return weights + n[0] + n[1] + channels, work


def conv_same(maps, weight, bias):
    half = weight.shape[-1] // 2
    wide = F.pad(torch.from_numpy(maps)[None], (half,) * 4, mode="replicate")
    return F.conv2d(wide, torch.from_numpy(weight), torch.from_numpy(bias))[0]


def conv_torch(maps, weight, bias, padding="valid"):
    arrays = (torch.from_numpy(a) for a in (maps[None], weight, bias))
    return F.conv2d(*arrays, padding=padding)[0].numpy()


def conv_loops(maps, weight, bias, mode="edge"):
    n, c, f, _ = weight.shape
    p = f // 2
    wide = np.pad(maps, [(0, 0), (p, p), (p, p)], mode=mode)
    out = np.zeros((n, *maps.shape[1:]))
    for k, i, j in np.ndindex(out.shape):
        out[k, i, j] = np.sum(wide[:, i : i + f, j : j + f] * weight[k]) + bias[k]
    return out


def conv_first_map(maps, weight, bias):
    out = np.array([conv_loops(maps[:1], w[None, :1], np.zeros(1))[0] for w in weight])
    return out + bias[:, None, None]


def collapse(first, second):
    """By an impulse."""
    f1, f2 = first.shape[-1], second.shape[-1]
    wide = f1 + f2 - 1
    impulse = torch.zeros(1, 1, 2 * wide - 1, 2 * wide - 1, dtype=torch.float64)
    impulse[0, 0, wide - 1, wide - 1] = 1
    maps = F.conv2d(impulse, torch.from_numpy(first)[:, None])
    answer = F.conv2d(maps, torch.from_numpy(second)[None])
    return answer[0, 0].flip(0, 1)


def collapse_loops(first, second):
    f1, f2 = first.shape[-1], second.shape[-1]
    out = np.zeros((f1 + f2 - 1,) * 2)
    for k, i, j in np.ndindex(first.shape):
        for p, q in np.ndindex(f2, f2):
            out[i + p, j + q] += first[k, i, j] * second[k, p, q]
    return out


def load(stored):
    c, ff, n = stored.shape
    f = int(np.sqrt(ff))
    out = np.zeros((n, c, f, f))
    for k, m in np.ndindex(n, c):
        out[k, m] = stored[m, :, k].reshape(f, f, order="F")
    return out


def load_reshape(stored):
    c, ff, n = stored.shape
    return stored.reshape(n, c, int(np.sqrt(ff)), -1)


ANSWERS = {
    "5.1": ((11360, 17), {
        "widths": (11360, 11 + 1 + 7), "deeper": (11360, 16), "shared": (11360, 11 + 7),
        "one-side": (11360, 8), "result-only-2": (8192, 17), "result-none": (17, 11360),
        "biases": (11457, 17), "9-1-5": (8032, 13),
        "one-map": (64 * 121 + 32 * 1 + 1 * 49, 17),
    }),
    "5.2": (cost, {
        "exchanged": lambda *a: cost(*a)[::-1], "biases": cost_with_biases,
        "padded": lambda *a: (cost(*a)[0], cost(*a)[0] * a[3] * a[4]),
        "squares": cost_of(lambda before, after, f: before * after * f),
        "one-map": cost_of(lambda before, after, f: after * f * f),
        "input-size": cost_of(late=True),
    }),
    "5.3": (conv_same, {
        "no-bias": lambda m, w, b: conv_loops(m, w, 0 * b),
        "flipped": lambda m, w, b: conv_loops(m, np.flip(w, (2, 3)), b),
        "transposed": lambda m, w, b: conv_loops(m, w.transpose(0, 1, 3, 2), b),
        "zeros": lambda m, w, b: conv_torch(m, w, b, "same"), "valid": conv_torch,
        "mirror": lambda m, w, b: conv_loops(m, w, b, "reflect"),
        "first-map": conv_first_map,
    }),
    "5.4": (collapse, {
        "flipped": lambda a, b: collapse(a, b).flip(0, 1),
        "one-flipped": lambda a, b: collapse_loops(a, np.flip(b, (1, 2))),
        "first-map": lambda a, b: collapse_loops(a[:1], b[:1]),
        "mean": lambda a, b: collapse_loops(a, b) / a.shape[0],
        "mixed": lambda a, b: collapse_loops(a.sum(0)[None], b.sum(0)[None]),
    }),
    "5.5": (load, {
        "transposed": lambda s: load(s).swapaxes(2, 3), "reshaped": load_reshape,
        "flipped": lambda s: load(s)[..., ::-1, ::-1],
        "exchanged": lambda s: load(s).transpose(1, 0, 2, 3),
    }),
}  # fmt: skip
