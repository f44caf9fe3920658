"""MATLAB's ``imresize``, the resize that every number in the paper rests on.

A resize along one axis is a matrix: each output pixel is a weighted sum of input
pixels, and the weights depend on positions only.  So the whole of ``imresize`` is two
matrix products, ``R @ image @ C.T``.
"""

import math
from collections import namedtuple
from functools import partial

import numpy as np
import torch
from scipy import sparse

#: An interpolation kernel, a function of positions, and its support's width in pixels.
Kernel = namedtuple("Kernel", "weight width")


def cubic(x: np.ndarray) -> np.ndarray:
    """Keys' cubic convolution kernel with a = -0.5, support [-2, 2].
    Source: R. Keys, IEEE Trans. ASSP 29(6), 1981, equation 15."""
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))


def box(x: np.ndarray) -> np.ndarray:
    """The kernel of the nearest neighbour, support [-1/2, 1/2)."""
    return ((-0.5 <= x) & (x < 0.5)).astype(float)


def lanczos(x: np.ndarray, lobes: int) -> np.ndarray:
    """A sinc in the window of a wider sinc, support (-lobes, lobes)."""
    return np.where(np.abs(x) < lobes, np.sinc(x) * np.sinc(x / lobes), 0.0)


KERNELS = {
    "nearest": Kernel(box, 1),
    "box": Kernel(box, 1),
    "bilinear": Kernel(lambda x: np.maximum(1 - np.abs(x), 0.0), 2),  # a triangle
    "bicubic": Kernel(cubic, 4),
    "lanczos2": Kernel(partial(lanczos, lobes=2), 4),
    "lanczos3": Kernel(partial(lanczos, lobes=3), 6),
}


def resize_matrix(
    n_in: int, n_out: int, scale: float | None = None, *,
    method: str = "bicubic", antialias: bool = True, border: str = "clamp",
) -> sparse.csr_array:  # fmt: skip
    """The matrix (n_out, n_in), float64, that resizes one axis; its rows sum to one.

    Parameters
    ----------
    n_in, n_out : number of pixels before and after.
    scale : magnification; ``n_out / n_in`` where not given.  (MATLAB uses the factor as
        asked for, although ``n_out`` is rounded up.)
    method : a name in `KERNELS`.  All bad values are ValueErrors.
    antialias : widen the kernel by ``1 / scale`` when shrinking, but not ``"nearest"``.
    border : ``"clamp"`` repeats the edge pixel beyond the edge (MATLAB at the time of
        the paper), ``"mirror"`` reflects (today's).
    """
    if method not in KERNELS:
        raise ValueError(f"method must be one of {', '.join(KERNELS)}, not {method!r}")
    if border not in ("clamp", "mirror"):
        raise ValueError(f"border must be clamp or mirror, not {border!r}")
    if n_in < 1 or n_out < 1:
        raise ValueError(f"can't resize {n_in} pixels to {n_out}")
    scale = n_out / n_in if scale is None else scale
    weight, width = KERNELS[method]
    stretch = scale if antialias and scale < 1 and method != "nearest" else 1.0
    # Pixel i has its centre at i + 1/2, in the output and in the input.
    centre = (np.arange(n_out) + 0.5) / scale - 0.5  # (n_out,)
    first = np.floor(centre - width / stretch / 2)
    taps = first[:, None] + np.arange(math.ceil(width / stretch) + 2)  # (n_out, taps)
    weights = weight(stretch * (centre[:, None] - taps))
    weights /= weights.sum(axis=1, keepdims=True)
    taps = taps.astype(int)
    if border == "clamp":
        taps = taps.clip(0, n_in - 1)
    else:
        taps = np.minimum(taps % (2 * n_in), (-1 - taps) % (2 * n_in))
    rows = np.repeat(np.arange(n_out), taps.shape[1])
    entries = weights.ravel(), (rows, taps.ravel())  # equal places are added up
    matrix = sparse.coo_array(entries, shape=(n_out, n_in)).tocsr()
    matrix.eliminate_zeros()
    return matrix


def imresize(
    image, scale: float | None = None, *, shape: tuple[int, int] | None = None,
    method: str = "bicubic", antialias: bool = True, border: str = "clamp",
):  # fmt: skip
    """Resize an image as MATLAB's ``imresize`` does; the result has the image's type.

    `image` is an array (H, W) or (H, W, C), or a torch tensor (..., H, W), on any
    device and without gradient.  Floats of any range stay unrounded; integers are
    rounded and clipped to their type's range, as MATLAB does with uint8.  These and
    float16 are worked on in float64.  The output has ceil(`scale` · size) pixels, or
    the `shape` (height, width).  For the other choices see `resize_matrix`.

    It works first along the axis that shrinks most, or along the rows axis where both
    are equal.  The order matters only to integers: each of the two passes rounds them.
    """
    is_tensor = isinstance(image, torch.Tensor)
    pixels = image.cpu().numpy() if is_tensor else np.asarray(image)
    if not is_tensor and pixels.ndim not in (2, 3):
        raise ValueError(f"image must be (H, W) or (H, W, C), not {pixels.shape}")
    axes = (-2, -1) if is_tensor else (0, 1)
    size = [pixels.shape[axis] for axis in axes]
    if (scale is None) == (shape is None):
        raise ValueError("give either scale or shape")
    if shape is None:
        if not (math.isfinite(scale) and scale > 0):
            raise ValueError(f"scale must be positive, not {scale}")
        scales = [float(scale)] * 2
        # 1e-9 keeps 3 * (1/3 of 99 pixels) from becoming 100 pixels.
        shape = [math.ceil(n * scale - 1e-9) for n in size]
    else:
        if len(shape) != 2 or min(shape) < 1:
            raise ValueError(f"shape must be (height, width), not {shape}")
        scales = [after / before for after, before in zip(shape, size)]
    how = {"method": method, "antialias": antialias, "border": border}
    # Sorting keeps the order, rows first, where both scales are equal.
    for s, axis, *counts in sorted(zip(scales, axes, size, shape), key=lambda p: p[0]):
        pixels = _times(resize_matrix(*counts, s, **how), pixels, axis)
    return torch.from_numpy(pixels).to(image.device) if is_tensor else pixels


def bicubic(lr_y: np.ndarray, scale: int) -> np.ndarray:
    """Enlarge luma of any float range, (h, w) → (h·scale, w·scale), as MATLAB does."""
    return imresize(lr_y, scale)


def _times(matrix, image: np.ndarray, axis: int) -> np.ndarray:
    """Multiply along one axis: (n_out, n_in) times the n_in pixels there."""
    work = image.dtype if image.dtype in (np.float32, np.float64) else np.float64
    front = np.moveaxis(image, axis, 0)
    out = matrix.astype(work) @ front.reshape(len(front), -1).astype(work, copy=False)
    out = np.moveaxis(out.reshape(-1, *front.shape[1:]), 0, axis)
    if np.issubdtype(image.dtype, np.integer):
        limits = np.iinfo(image.dtype)
        out = np.floor(out + 0.5).clip(limits.min, limits.max)
    return np.ascontiguousarray(out, image.dtype)
