"""Checks of appendix B: the mistakes that rebuilt SRCNNs make, repaired."""

import numpy as np

from exercises import Function
from srcnn_lib.images import RGB_TO_GRAY, RGB_TO_YCBCR
from srcnn_lib.protocol import psnr
from srcnn_lib.resize import imresize


def _large(generator):
    # Not 3: there kernels without antialiasing all take the middle pixel.
    scale = int(generator.choice([2, 4]))
    rows, columns = generator.choice(np.arange(8, 15), 2, replace=False)
    return generator.uniform(0, 1, (rows * scale, columns * scale)), scale


def _torch_shrink(y_01, scale, **options):
    import torch

    shape = tuple(n // scale for n in y_01.shape)
    tensor = torch.from_numpy(y_01)[None, None]
    resize = torch.nn.functional.interpolate
    return resize(tensor, shape, mode="bicubic", **options)[0, 0].numpy()


def _block_mean(y_01, scale):
    h, w = (n // scale for n in y_01.shape)
    return y_01.reshape(h, scale, w, scale).mean((1, 3))


def _colours(generator):
    rows, columns = generator.choice(np.arange(6, 15), 2, replace=False)
    return (generator.uniform(0, 255, (rows, columns, 3)),)


def _weighed(rgb_255, weights, offset=16.0):
    return offset + rgb_255 @ (np.array(weights) / 255)


_Y = tuple(RGB_TO_YCBCR[0])


def _three(generator):
    rows, columns = generator.choice(np.arange(16, 28), 2, replace=False)
    hr = generator.integers(0, 256, (rows, columns))
    more = [hr + generator.normal(0, sigma, hr.shape) for sigma in (12, 7)]
    bicubic, sr = (np.clip(x.round(), 0, 255) for x in more)
    return hr.astype(float), bicubic, sr, int(generator.integers(2, 5))


def _gain(hr, bicubic, sr, crop):
    return psnr(hr, sr, crop=crop) - psnr(hr, bicubic, crop=crop)


def _two_in_colour(generator):
    rows, columns = generator.choice(np.arange(16, 28), 2, replace=False)
    hr = generator.uniform(0, 255, (rows, columns, 3))
    sr = hr + generator.normal(0, 9, hr.shape)
    return hr, sr, int(generator.integers(2, 5))


def _luma_psnr(hr, sr, crop, weights=_Y, peak=255.0):
    return psnr(_weighed(hr, weights), _weighed(sr, weights), crop=crop, peak=peak)


def _to_pad(generator):
    rows, columns = generator.choice(np.arange(7, 15), 2, replace=False)
    return generator.uniform(0.1, 1, (rows, columns)), int(generator.integers(1, 5))


def _to_cut(generator):
    rows, columns = generator.choice(np.arange(30, 44), 2, replace=False)
    f = generator.choice([3, 5, 7, 9, 11], 2, replace=False)
    f2 = int(generator.choice([1, 3, 5]))
    return generator.uniform(0, 255, (rows, columns)), int(f[0]), f2, int(f[1])


def _window(hr, f1, f2, f3, start=None, border=None):
    lost = (f1 + f2 + f3 - 3) // 2 if border is None else border
    h, w = (n - 2 * lost for n in hr.shape)
    start = lost if start is None else start
    return hr[start : start + h, start : start + w]


def _row(generator):
    return int(generator.integers(5, 12)), int(generator.integers(2, 5))


def _network(generator):
    import torch

    torch_generator = torch.Generator().manual_seed(int(generator.integers(2**31)))
    size = (6, 9) if generator.integers(2) else (8, 5)
    conv = torch.nn.Conv2d(1, 1, 3, padding=1).double()
    with torch.no_grad():
        for p in conv.parameters():
            p.copy_(torch.rand(p.shape, generator=torch_generator) - 0.5)
    conv.requires_grad_(False)
    y = 255 * torch.rand((1, 1, *size), generator=torch_generator).double()

    def network(x):
        return conv(x).relu() + x

    return network, y


def _losses(generator):
    return float(generator.uniform(1e-5, 1e-3)), int(generator.integers(5, 40))


def _epochs(generator):
    count = int(generator.integers(8, 20))
    valid, test = generator.normal(30, 0.2, (2, count))
    # The four numbers that one could report differ.
    valid[1], test[1] = valid.max() + 0.1, 29.0 + 0.1 * generator.uniform()
    test[3] = 32.0 + generator.uniform()
    test[-1] = 28.5
    return valid, test


EXERCISES = {}

EXERCISES["B.1"] = Function(lambda y, s: imresize(y, 1 / s), _large, faults={
    "antialias": ("no antialiasing: the kernel has to be as many times wider as the "
        "picture gets smaller.", lambda y, s: imresize(y, 1 / s, antialias=False)),
    "torch": ("this is PyTorch's and OpenCV's bicubic: no antialiasing, and a kernel "
        "with a = −0.75.", _torch_shrink),
    "every-nth": ("every scale-th pixel is taken and the others are thrown away.",
        lambda y, s: y[::s, ::s]),
    "mean": ("this is the mean of each block; the protocol is bicubic.", _block_mean),
    "border": ("at the borders the weights are summed anew; MATLAB repeats the edge "
        "pixels.", lambda y, s: _torch_shrink(y, s, antialias=True)),
})  # fmt: skip

EXERCISES["B.2"] = Function(
    lambda rgb: _weighed(rgb, _Y), _colours, atol=0.03, rtol=0, faults={
    "red": ("the red weight is still 64.738: white gets 234.",
        lambda rgb: 16 + rgb @ (np.array([64.738, 129.057, 25.064]) / 256)),
    "offset": ("the 16 of black is missing.", lambda rgb: _weighed(rgb, _Y, 0.0)),
    "full-range": ("this is full-range grey, 0…255; studio range is 16…235.",
        lambda rgb: rgb @ RGB_TO_GRAY),
    "bgr": ("the colours are taken in the order blue, green, red.",
        lambda rgb: _weighed(rgb[..., ::-1], _Y)),
    "mixed": ("these weights are for division by 255, or those for 256: don't mix.",
        lambda rgb: 16 + rgb @ (np.array(_Y) / 256)),
})  # fmt: skip

EXERCISES["B.3"] = Function(_gain, _three, faults={
    "bicubic": ("you compared with the bicubic input; the reference is the original.",
        lambda h, b, s, c: psnr(b, s, crop=c)),
    "sign": ("the sign: what is better has the larger PSNR, and the gain is then "
        "positive.", lambda h, b, s, c: -_gain(h, b, s, c)),
    "uncropped": ("you forgot the border crop: your value equals the uncropped one.",
        lambda h, b, s, c: _gain(h, b, s, 0)),
    "psnr": ("this is the PSNR, not what it is above bicubic's.",
        lambda h, b, s, c: psnr(h, s, crop=c)),
})  # fmt: skip

EXERCISES["B.4"] = Function(_luma_psnr, _two_in_colour, atol=2e-3, rtol=0, faults={
    "colours": ("you measured all three colours, not luma.",
        lambda h, s, c: psnr(h, s, crop=c)),
    "full-range": ("you measured full-range grey, or took 219 as the peak: Y goes from "
        "16 to 235, and the peak stays 255.",
        lambda h, s, c: _luma_psnr(h, s, c, 255 * RGB_TO_GRAY)),
    "uncropped": ("you forgot the border crop: your value equals the uncropped one.",
        lambda h, s, c: _luma_psnr(h, s, 0)),
    "peak-235": ("the peak is 255; 235 is the white of Y.",
        lambda h, s, c: _luma_psnr(h, s, c, peak=235.0)),
})  # fmt: skip

EXERCISES["B.5"] = Function(
    lambda y, half: np.pad(y, half, mode="edge"), _to_pad, faults={
    "black": ("the frame is black: zeros are not what lies beyond a picture.",
        lambda y, half: np.pad(y, half)),
    "mirror": ("this mirrors the picture; the authors repeat the edge pixel.",
        lambda y, half: np.pad(y, half, mode="reflect")),
    "mirror-edge": ("this mirrors the picture, edge pixel included; the authors repeat "
        "the edge pixel.", lambda y, half: np.pad(y, half, mode="symmetric")),
    "wrap": ("this takes the pixels of the opposite side.",
        lambda y, half: np.pad(y, half, mode="wrap")),
    "twice": ("the frame is as wide as the filter; half of it is needed on each side.",
        lambda y, half: np.pad(y, 2 * half + 1, mode="edge")),
})  # fmt: skip

EXERCISES["B.6"] = Function(_window, _to_cut, faults={
    "top-left": ("the window begins at the top left: everything is shifted.",
        lambda h, *f: _window(h, *f, start=0)),
    "all-before": ("all of the loss is taken from the top and the left.",
        lambda h, *f: _window(h, *f, start=sum(f) - 3)),
    "twice": ("the window is too small: a filter loses half of f − 1 on each side.",
        lambda h, *f: _window(h, *f, border=sum(f) - 3)),
    "first-layer": ("only the first layer is counted; every layer loses pixels.",
        lambda h, *f: _window(h, *f, border=f[0] // 2)),
})  # fmt: skip

EXERCISES["B.7"] = Function(
    lambda n, s: (np.arange(n * s) + 0.5) / s - 0.5, _row, faults={
    "left-edges": ("the middles of the first pixels coincide here; it is their left "
        "edges that do. Your picture is shifted.", lambda n, s: np.arange(n * s) / s),
    "corners": ("the corners are aligned: the picture is stretched.",
        lambda n, s: np.linspace(0, n - 1, n * s)),
    "from-edge": ("these are the places from the left edge; the first pixel's middle, "
        "half a pixel to the right of it, is 0.",
        lambda n, s: (np.arange(n * s) + 0.5) / s),
    "large": ("these are the positions counted in large pixels.",
        lambda n, s: np.arange(n * s)),
})  # fmt: skip

EXERCISES["B.8"] = Function(
    lambda network, y: network(y / 255) * 255, _network, faults={
    "undivided": ("the network is still fed with 0…255.",
        lambda network, y: network(y)),
    "unscaled": ("what comes out is in 0…1; bring it back to 0…255.",
        lambda network, y: network(y / 255)),
    "divided": ("what comes out is divided by 255, what goes in isn't.",
        lambda network, y: network(y) / 255),
    "multiplied": ("the input is multiplied by 255; it has to be divided.",
        lambda network, y: network(y * 255) / 255),
})  # fmt: skip

EXERCISES["B.9"] = Function(
    lambda rate, width: rate * width**2 / 2, _losses, atol=0, faults={
    "same": ("the same number for both losses: the gradients differ.",
        lambda rate, width: rate),
    "half": ("the half in Caffe's loss is missing.",
        lambda rate, width: rate * width**2),
    "inverse": ("the wrong way round: the mean's gradient is smaller, so its learning "
        "rate is larger.", lambda rate, width: rate / (width**2 / 2)),
    "width": ("a label has width² pixels, not width.",
        lambda rate, width: rate * width / 2),
})  # fmt: skip

EXERCISES["B.10"] = Function(
    lambda valid, test: test[np.argmax(valid)], _epochs, faults={
    "test": ("you chose by the test pictures: the largest test score is not to be had "
        "without them.", lambda valid, test: test.max()),
    "validation": ("this is a validation score; the result is the test score of the "
        "same weights.", lambda valid, test: valid.max()),
    "last": ("this is the last epoch; you may choose the best by validation.",
        lambda valid, test: test[-1]),
    "index": ("this is the epoch's number, not its score.",
        lambda valid, test: np.argmax(valid)),
})  # fmt: skip
