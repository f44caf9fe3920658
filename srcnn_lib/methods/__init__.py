"""Super-resolution methods, all with one call: ``method(lr_y, scale)``.

`lr_y` is a luma picture (h, w), float, 0…1; the result is (h·scale, w·scale),
float, about 0…1.  So a table or a figure is one loop over methods.

Your own method joins them, in `get`, in ``srcnn evaluate`` and in tables::

    @methods.register("nearest", label="Nearest neighbour")
    def make(scale, model=None, device="auto"):
        return lambda lr_y, scale: lr_y.repeat(scale, 0).repeat(scale, 1)
"""

from collections.abc import Callable
from importlib import import_module

from ..resize import bicubic
from .pictures import Method, SelfEnsemble, upscale

__all__ = ["LABELS", "NAMES", "PARTS", "Method", "SelfEnsemble", "bicubic", "get",
           "register", "upscale"]  # fmt: skip

#: What tables and figures call a method, by the name that the command line uses.
LABELS: dict[str, str] = {}
#: All methods' names; one that is registered later shows up too.
NAMES = LABELS.keys()
#: The kind of file that holds what a method learnt; see `trained`.
PARTS: dict[str, str] = {}
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
    """The method of that name, one of `NAMES`, for one scale, on auto, cpu or cuda.

    `model` is for ``"srcnn"`` one of `checkpoints.load`, 9-1-5 where not given, or with
    a plus, as in ``"9-5-5+"``, its `SelfEnsemble`; else see `trained.parts`.  Raises
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


def _register_learnt(name: str, label: str, kind: str, module: str, maker: str):
    """A method that ``module.maker(parts, scale)`` makes of what was learnt."""
    PARTS[name] = kind

    @register(name, label=label)
    def make(scale, model=None, device="auto"):
        from . import trained  # PyTorch and the files are for those who call

        make_of = getattr(import_module(f"{__name__}.{module}"), maker)
        return make_of(trained.parts(name, scale, model, device), scale)


_register_learnt("sc", "SC", "sc", "sparse_coding", "sc")
_register_learnt("ksvd", "K-SVD", "ksvd", "zeyde", "ksvd_method")
_register_learnt("ne-nnls", "NE+NNLS", "ksvd", "neighbor_embedding", "nnls")
_register_learnt("ne-lle", "NE+LLE", "ksvd", "neighbor_embedding", "lle")
_register_learnt("gr", "GR", "ksvd", "anchored", "gr")
_register_learnt("anr", "ANR", "ksvd", "anchored", "anr")
_register_learnt("aplus", "A+", "aplus", "anchored", "aplus")
_register_learnt("kk", "KK", "kk", "kernel_regression", "kk")


@register("srcnn", label="SRCNN")
def _srcnn(scale, model=None, device="auto"):
    from .. import checkpoints
    from .srcnn import SRCNNMethod

    model = model or "9-1-5"
    method = SRCNNMethod(checkpoints.load(model.removesuffix("+"), scale), device)
    return SelfEnsemble(method) if model.endswith("+") else method
