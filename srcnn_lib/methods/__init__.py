"""Super-resolution methods, all with one call: ``method(lr_y, scale)``.

`lr_y` is a luma picture (h, w), float, 0…1; the result is (h·scale, w·scale),
float, about 0…1.  So a table or a figure is one loop over methods.

Your own method joins them, in `get`, in ``srcnn evaluate`` and in tables::

    @methods.register("nearest", label="Nearest neighbour")
    def make(scale, model=None, device="auto"):
        return lambda lr_y, scale: lr_y.repeat(scale, 0).repeat(scale, 1)
"""

from collections.abc import Callable

from .. import checkpoints
from ..protocol import Method
from ..resize import bicubic
from . import anchored, kernel_regression, neighbor_embedding, sparse_coding, trained
from .pictures import SelfEnsemble, upscale
from .srcnn import SRCNNMethod
from .zeyde import ksvd_method

__all__ = ["LABELS", "NAMES", "Method", "SelfEnsemble", "bicubic", "get", "register",
           "upscale"]  # fmt: skip

#: What tables and figures call a method, by the name that the command line uses.
LABELS: dict[str, str] = {}
#: All methods' names; one that is registered later shows up too.
NAMES = LABELS.keys()
_MAKERS: dict[str, Callable[..., Method]] = {}


def register(name: str, *, label: str) -> Callable:
    """Decorate a function ``make(scale, model=…, device=…)`` of a method, so that `get`
    knows it by `name`.  A name that is registered again gets the new function."""

    def keep(make: Callable[..., Method]) -> Callable[..., Method]:
        LABELS[name], _MAKERS[name] = label, make
        return make

    return keep


def get(
    name: str, *, model: str | None = None, scale: int | None = None, device="auto"
) -> Method:
    """The method of that name, one of `NAMES`, for one scale, on auto, cpu, cuda or mps.

    `model` is for "srcnn" one of `checkpoints.load`, 9-1-5 where not given, or with a
    plus, as in "9-5-5+", its `SelfEnsemble`; else see `trained.parts`.  Raises
    ValueError for an unknown name, or a model where there is no choice.
    """
    if name not in NAMES:
        raise ValueError(f"method must be one of {', '.join(NAMES)}, not {name!r}")
    return _MAKERS[name](scale, model=model, device=device)


@register("bicubic", label="Bicubic")
def _bicubic(scale, model=None, device="auto"):
    if model is not None:
        raise ValueError("bicubic has no models; leave --model out")
    return bicubic


def _register_learnt(name: str, label: str, make_of: Callable) -> None:
    """A method that ``make_of(parts, scale)`` makes of what was learnt."""

    @register(name, label=label)
    def make(scale, model=None, device="auto"):
        return make_of(trained.parts(name, scale, model, device), scale)


_register_learnt("sc", "SC", lambda parts, scale: sparse_coding.SparseCoding(parts))
_register_learnt("ksvd", "K-SVD", ksvd_method)
_register_learnt("ne-nnls", "NE+NNLS", neighbor_embedding.nnls)
_register_learnt("ne-lle", "NE+LLE", neighbor_embedding.lle)
_register_learnt("gr", "GR", anchored.gr)
_register_learnt("anr", "ANR", anchored.anr)
_register_learnt("aplus", "A+", anchored.aplus)
_register_learnt("kk", "KK", kernel_regression.kk)


@register("srcnn", label="SRCNN")
def _srcnn(scale, model=None, device="auto"):
    model = model or "9-1-5"
    method = SRCNNMethod(checkpoints.load(model.removesuffix("+"), scale), device)
    return SelfEnsemble(method) if model.endswith("+") else method
