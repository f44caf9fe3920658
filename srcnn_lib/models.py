"""The network of the paper and three ways to start its weights."""

import platform
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import nn
from torch.nn import functional as F

#: Ways to start; see `initialise`.
INITIALISATIONS = ("paper", "default", "identity")


class Architecture(NamedTuple):
    """What fixes a network's layers.

    `f` are filter sizes in pixels, odd, one a layer; in the paper also (9, 3, 5) and
    (9, 5, 5).  `n` are numbers of filters, of all layers but the last.  `channels` are
    those of input and output, 1 for luma.  The layers of a `residual` network give what
    is to be added to the input.
    """

    f: tuple[int, ...] = (9, 1, 5)
    n: tuple[int, ...] = (64, 32)
    channels: int = 1
    residual: bool = False

    @classmethod
    def parse(cls, name: str) -> "Architecture":
        """From ``9-1-5``, or ``9-1-5_128-64`` for other numbers of filters, else
        ValueError."""
        match = re.fullmatch(r"(\d+(?:-\d+)+)(?:_(\d+(?:-\d+)*))?", name)
        if match is None:
            raise ValueError(f"architecture must look like 9-1-5, not {name!r}")
        f, n = (tuple(map(int, re.findall(r"\d+", g or ""))) for g in match.groups())
        architecture = cls(f, n or cls._field_defaults["n"])
        architecture.check()
        return architecture

    def check(self) -> None:
        """Raise ValueError when no network has these numbers."""
        layers, numbers = len(self.f), len(self.n)
        if numbers != layers - 1:
            wanted = f"{layers - 1} numbers of filters"
            raise ValueError(f"{layers} layers need {wanted}, not {numbers}")
        if any(size < 1 or size % 2 == 0 for size in self.f):
            raise ValueError(f"filter sizes must be odd, not {self.f}")
        if min((*self.n, self.channels)) < 1:
            raise ValueError("numbers of filters and channels begin at 1")

    @property
    def name(self) -> str:
        """The inverse of `parse` for one channel, not residual."""
        name = "-".join(map(str, self.f))
        usual = self.n == self._field_defaults["n"]
        return name if usual else name + "_" + "-".join(map(str, self.n))

    @property
    def border(self) -> int:
        """Pixels that a network without padding loses on each side."""
        return sum(size // 2 for size in self.f)

    @property
    def receptive_field(self) -> int:
        """Width in pixels of what one output pixel depends on: 13 for 9-1-5."""
        return 2 * self.border + 1


class Network(Protocol):
    """What `training.train` asks of a network, besides being an nn.Module."""

    #: For files and cards.
    name: str
    #: 1 if it reads the bicubic image, the scale if it reads the LR image.
    factor: int
    #: Pixels of the output that it loses on each side without padding; a multiple of
    #: `factor`.
    border: int
    #: In order.  Muon updates all but the last.
    convs: nn.ModuleList

    def __call__(self, y: torch.Tensor, padding: str = "same") -> torch.Tensor:
        """(B, 1, h, w) → (B, 1, h·factor, w·factor), 0…1; see `SRCNN.forward`."""


class SRCNN(nn.Module):
    """Y ↦ F(Y): three convolutions, a ReLU after each but the last.

    Source: Dong et al., TPAMI 2016, section 3.1, equations 1–3; the paper's network is
    not residual.  For the parameters see `Architecture`.
    """

    factor = 1  # it reads an image that bicubic interpolation has enlarged already

    def __init__(self, f=(9, 1, 5), n=(64, 32), channels: int = 1, residual=False):
        super().__init__()
        self.architecture = Architecture(tuple(f), tuple(n), channels, residual)
        self.architecture.check()
        widths = (channels, *n, channels)
        self.convs = nn.ModuleList(
            nn.Conv2d(before, after, size)
            for before, after, size in zip(widths, widths[1:], f)
        )

    @property
    def name(self) -> str:
        """Of the architecture, such as 9-1-5."""
        return self.architecture.name

    @property
    def border(self) -> int:
        """Pixels that it loses on each side without padding."""
        return self.architecture.border

    def forward(self, y: torch.Tensor, padding: str = "same") -> torch.Tensor:
        """Enhance an image that was enlarged by bicubic interpolation: (B, channels, H,
        W) in 0…1 → (B, channels, H', W'), about 0…1, not clipped.

        The padding ``same`` repeats the edge pixels before every layer, as the authors'
        test code does; the output is as large as the input.  ``valid`` pads nothing, as
        in their training; the output loses `border` pixels on each side.  ValueError
        for another.
        """
        # Only the last is kept: the maps of a large image are many times its size.
        out = deque(self.layers(y, padding), maxlen=1).pop()
        return self.finish(out, y)

    def layers(self, y: torch.Tensor, padding: str = "same") -> Iterator[torch.Tensor]:
        """The output of each layer, after its ReLU; parameters as in `forward`."""
        if padding not in ("same", "valid"):
            raise ValueError(f"padding must be same or valid, not {padding!r}")
        for conv in self.convs:
            margin = conv.kernel_size[0] // 2
            if padding == "same" and margin:
                y = F.pad(y, (margin,) * 4, mode="replicate")
            y = conv(y) if conv is self.convs[-1] else F.relu(conv(y))
            yield y

    def finish(self, out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The last layer's output; a residual network adds its input `y` to it."""
        if not self.architecture.residual:
            return out
        margin = (y.shape[-1] - out.shape[-1]) // 2
        return out + F.pad(y, (-margin,) * 4)

    def count_weights(self, biases: bool = False) -> int:
        """Number of weights; the paper counts them without biases."""
        return sum(p.numel() for p in self.parameters() if biases or p.dim() > 1)


def initialise(model: SRCNN, how: str = "identity", generator=None) -> SRCNN:
    """Set the weights at which training starts, in place; returns the model.

    ``paper``: Gaussian of σ = 0.001, biases zero (TPAMI section 3.3).
    ``default``: PyTorch's own, uniform within ±1/√fan-in.
    ``identity``: one filter of each layer passes the input on and the last layer reads
    only that one, so that the network starts as the bicubic image that it is given.
    The other filters are as default, but sum to zero: they respond to detail, not to
    brightness, which would leave many of them dead.  The last layer of a residual
    network starts with zeros.

    ValueError for another start, or if more channels than filters should pass.
    """
    if how not in INITIALISATIONS:
        raise ValueError(f"init must be paper, default or identity, not {how!r}")
    a = model.architecture
    if how == "identity" and not a.residual and min(a.n, default=9) < a.channels:
        raise ValueError(f"{a.channels} channels can't pass through {min(a.n)} filters")
    with torch.no_grad():
        for conv in model.convs:
            if how == "paper":
                conv.weight.normal_(0, 0.001, generator=generator)
                conv.bias.zero_()
            else:
                bound = conv.weight[0].numel() ** -0.5
                conv.weight.uniform_(-bound, bound, generator=generator)
                conv.bias.uniform_(-bound, bound, generator=generator)
        if how == "identity":
            _make_identity(model)
    return model


def _make_identity(model: SRCNN) -> None:
    *hidden, last = model.convs
    for conv in hidden:
        conv.weight -= conv.weight.mean((1, 2, 3), keepdim=True)
        conv.bias.zero_()
    if model.architecture.residual:
        last.weight.zero_()
        last.bias.zero_()
        return
    for conv in model.convs:
        centre = conv.kernel_size[0] // 2
        for c in range(model.architecture.channels):
            conv.weight[c], conv.bias[c] = 0, 0
            conv.weight[c, c, centre, centre] = 1


def choose_device(name: str = "auto") -> torch.device:
    """``auto`` takes a CUDA GPU where there is one.  ValueError for one that is not."""
    if name not in ("auto", "cpu", "cuda", "mps"):
        raise ValueError(f"device must be auto, cpu, cuda or mps, not {name!r}")
    gpu = {"cuda": torch.cuda, "mps": torch.backends.mps}.get(name)
    if gpu and not gpu.is_available():
        raise ValueError(f"no {name.upper()} GPU here; use --device cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def describe(device: torch.device) -> str:
    """The device in words, for cards and results."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", info.read_text() if info.exists() else "")
    name = found[1] if found else platform.processor() or platform.machine()
    threads = torch.get_num_threads()
    return f"{threads} CPU thread{'s' * (threads > 1)} ({name})"
