"""Super-resolution methods, all with one call: ``method(lr_y, scale)``.

`lr_y` is a luma picture (h, w), float, 0…1; the result is (h·scale, w·scale),
float, about 0…1.  So a table or a figure is one loop over methods.

A method may also have ``method.bands(lr_y, scale)``, which gives the rows of
the same result from the top, some at a time: for pictures that are too large
to be held as floats.
"""

from ..resize import bicubic
from .pictures import Method, SelfEnsemble, upscale

__all__ = ["LABELS", "NAMES", "Method", "SelfEnsemble", "bicubic", "get", "upscale"]

#: The methods by the name that the command line uses.
NAMES = (
    "bicubic",
    "sc",
    "ksvd",
    "ne-nnls",
    "ne-lle",
    "gr",
    "anr",
    "aplus",
    "kk",
    "srcnn",
)
#: What tables and figures call these, and the others of the paper's tables.
LABELS = {
    "bicubic": "Bicubic",
    "sc": "SC",
    "ksvd": "K-SVD",
    "ne-nnls": "NE+NNLS",
    "ne-lle": "NE+LLE",
    "kk": "KK",
    "gr": "GR",
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
        With a plus behind it, as in ``"9-5-5+"``, it is a `SelfEnsemble`.
        For ``"sc"``: see `sparse_coding.load`; ours where not given.  For the
        other trained methods: a file that was trained for one; the book's
        where not given.
    scale : the magnification that it is for.
    device : of all but ``"bicubic"``: auto, cpu or cuda.

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

        model = model or "9-1-5"
        network = checkpoints.load(model.removesuffix("+"), scale)
        method = SRCNNMethod(network, device)
        return SelfEnsemble(method) if model.endswith("+") else method
    if name in NAMES:
        from . import trained

        return trained.load(name, scale, model=model, device=device)
    raise ValueError(f"method must be one of {', '.join(NAMES)}, not {name!r}")
