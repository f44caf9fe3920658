"""Super-resolution methods, all with one call: ``method(lr_y, scale)``.

`lr_y` is a luma picture (h, w), float, 0…1; the result is (h·scale, w·scale),
float, about 0…1.  So a table or a figure is one loop over methods.
"""

from collections.abc import Callable

import numpy as np

from ..images import rgb_to_ycbcr, ycbcr_to_rgb
from .bicubic import bicubic

Method = Callable[[np.ndarray, int], np.ndarray]

#: The methods by the name that the command line uses.
NAMES = ("bicubic", "srcnn")
#: What tables and figures call these, and the others of the paper's tables.
LABELS = {
    "bicubic": "Bicubic",
    "sc": "SC",
    "ksvd": "K-SVD",
    "ne-nnls": "NE+NNLS",
    "ne-lle": "NE+LLE",
    "kk": "KK",
    "anr": "ANR",
    "aplus": "A+",
    "srcnn": "SRCNN",
}


def get(
    name: str,
    *,
    model: str | None = None,
    scale: int | None = None,
    device: str = "auto",
) -> Method:
    """The method of that name, ready to be called.

    Parameters
    ----------
    name : one of `NAMES`.
    model : for ``"srcnn"``: see `checkpoints.load`; 9-1-5 where not given.
    scale : the magnification that `model` is for.
    device : for ``"srcnn"``: auto, cpu or cuda.

    Raises
    ------
    ValueError : for an unknown name, or a model where there is no choice.
    """
    if name == "bicubic":
        if model is not None:
            raise ValueError("bicubic has no models; leave --model out")
        return bicubic
    if name == "srcnn":
        from .. import checkpoints
        from .srcnn import SRCNNMethod

        network = checkpoints.load(model or "9-1-5", scale)
        return SRCNNMethod(network, device)
    raise ValueError(f"method must be one of {', '.join(NAMES)}, not {name!r}")


def upscale(method: Method, image: np.ndarray, scale: int) -> np.ndarray:
    """Enlarge a whole picture: luma by `method`, the rest by bicubic.

    The paper does so with colour pictures, as the eye sees fine detail in
    luma only (TPAMI section 4.5).

    Parameters
    ----------
    image : uint8 or uint16, grey (H, W), RGB (H, W, 3) or RGBA (H, W, 4).

    Returns
    -------
    The same type and kind, (H·scale, W·scale, …); alpha is enlarged too.
    """
    peak = np.iinfo(image.dtype).max

    def to_integer(values_01):
        values = np.clip(values_01, 0, 1) * peak + 0.5
        return np.floor(values).astype(image.dtype)

    image_01 = image / peak
    if image.ndim == 2:
        return to_integer(method(image_01, scale))
    ycbcr = rgb_to_ycbcr(image_01[..., :3])
    sr_y = method(ycbcr[..., 0] / 255, scale)
    chroma = bicubic(ycbcr[..., 1:], scale)
    sr = np.dstack([np.asarray(sr_y, dtype=float) * 255, chroma])
    sr = ycbcr_to_rgb(sr)
    if image.shape[2] == 4:
        sr = np.dstack([sr, bicubic(image_01[..., 3], scale)])
    return to_integer(sr)
