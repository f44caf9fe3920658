"""The network of the paper and three ways to start its weights."""

import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

#: Ways to start; see `initialise`.
INITIALISATIONS = ("paper", "default", "identity")


class Architecture(NamedTuple):
    """Filter sizes f1, f2, f3; numbers of filters n1, n2; channels c.

    Parameters
    ----------
    f : odd numbers of pixels, one for each layer; the paper's are (9, 1, 5),
        (9, 3, 5) and (9, 5, 5).
    n : numbers of filters, one fewer than there are layers.
    channels : of the input and the output; 1 for luma.
    """

    f: tuple[int, ...] = (9, 1, 5)
    n: tuple[int, ...] = (64, 32)
    channels: int = 1

    @classmethod
    def parse(cls, name: str) -> "Architecture":
        """``"9-1-5"``, or ``"9-1-5_128-64"`` for other numbers of filters.

        Raises
        ------
        ValueError : when the name is not of this form.
        """
        match = re.fullmatch(r"(\d+(?:-\d+)+)(?:_(\d+(?:-\d+)*))?", name)
        if match is None:
            raise ValueError(f"architecture must look like 9-1-5, not {name!r}")
        f = tuple(int(x) for x in match[1].split("-"))
        n = tuple(int(x) for x in match[2].split("-")) if match[2] else None
        architecture = cls(f, n or cls._field_defaults["n"])
        architecture.check()
        return architecture

    def check(self) -> None:
        """Raise ValueError when no network has these numbers."""
        if len(self.n) != len(self.f) - 1:
            raise ValueError(
                f"{len(self.f)} layers need {len(self.f) - 1} numbers of "
                f"filters, not {len(self.n)}"
            )
        if any(size < 1 or size % 2 == 0 for size in self.f):
            raise ValueError(f"filter sizes must be odd, not {self.f}")
        if min((*self.n, self.channels)) < 1:
            raise ValueError("numbers of filters and channels begin at 1")

    @property
    def name(self) -> str:
        """The inverse of `parse` for one channel."""
        name = "-".join(map(str, self.f))
        if self.n != self._field_defaults["n"]:
            name += "_" + "-".join(map(str, self.n))
        return name

    @property
    def border(self) -> int:
        """Pixels that a network without padding loses on each side."""
        return sum(size // 2 for size in self.f)

    @property
    def receptive_field(self) -> int:
        """Width in pixels of what one output pixel sees: 13 for 9-1-5."""
        return 2 * self.border + 1


class SRCNN(nn.Module):
    """Y ↦ F(Y): three convolutions, a ReLU after each but the last.

    Parameters
    ----------
    f, n, channels : see `Architecture`.

    Source: Dong et al., TPAMI 2016, section 3.1, equations 1–3.
    """

    def __init__(self, f=(9, 1, 5), n=(64, 32), channels: int = 1):
        super().__init__()
        self.architecture = Architecture(tuple(f), tuple(n), channels)
        self.architecture.check()
        widths = (channels, *n, channels)
        self.convs = nn.ModuleList(
            nn.Conv2d(widths[i], widths[i + 1], size)
            for i, size in enumerate(f)
        )

    def forward(self, y: torch.Tensor, padding: str = "same") -> torch.Tensor:
        """Enhance a picture that was enlarged by bicubic interpolation.

        Parameters
        ----------
        y : (B, channels, H, W), in 0…1.
        padding : ``"same"`` repeats the edge pixels before every layer, as
            the authors' test code does; the output is as large as the input.
            ``"valid"`` pads nothing, as in their training; the output is
            `Architecture.border` pixels smaller on each side.

        Returns
        -------
        (B, channels, H', W'), about 0…1, not clipped.

        Raises
        ------
        ValueError : for another `padding`.
        """
        # The last alone is kept: maps of a large picture are many times it.
        return deque(self.layers(y, padding), maxlen=1).pop()

    def layers(
        self, y: torch.Tensor, padding: str = "same"
    ) -> Iterator[torch.Tensor]:
        """What each layer gives, after its ReLU; the last is the result.

        Parameters and errors as in `forward`.
        """
        if padding not in ("same", "valid"):
            raise ValueError(f"padding must be same or valid, not {padding!r}")
        for i, conv in enumerate(self.convs):
            margin = conv.kernel_size[0] // 2
            if padding == "same" and margin:
                y = F.pad(y, (margin,) * 4, mode="replicate")
            y = conv(y)
            if i < len(self.convs) - 1:
                y = F.relu(y)
            yield y

    def count_weights(self, biases: bool = False) -> int:
        """Number of weights; the paper counts them without biases."""
        return sum(
            p.numel() for p in self.parameters() if biases or p.dim() > 1
        )


def initialise(
    model: SRCNN, how: str = "identity", generator=None
) -> SRCNN:
    """Set the weights at which training starts, in place.

    Parameters
    ----------
    how : ``"paper"``: Gaussian of σ = 0.001, biases zero (TPAMI section 3.3);
        ``"default"``: PyTorch's own (uniform within ±1/√fan-in);
        ``"identity"``: one filter of each layer passes the input on and the
        last layer reads that one only, so that the network starts as bicubic
        interpolation, which its input already is. The other filters are as
        default, but sum to zero: they answer detail, not brightness, which
        would leave many of them silent, behind their ReLU, for good.
    generator : a torch.Generator, for reproducible weights.

    Returns
    -------
    The same model.

    Raises
    ------
    ValueError : for another `how`, and for an identity through fewer filters
        than there are channels.
    """
    if how not in INITIALISATIONS:
        raise ValueError(
            f"init must be paper, default or identity, not {how!r}"
        )
    a = model.architecture
    if how == "identity" and min(a.n, default=a.channels) < a.channels:
        raise ValueError(
            f"{a.channels} channels can't pass through {min(a.n)} filters"
        )
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
            _start_as_identity(model)
    return model


def _start_as_identity(model: SRCNN) -> None:
    for conv in model.convs[:-1]:
        conv.weight -= conv.weight.mean((1, 2, 3), keepdim=True)
        conv.bias.zero_()
    channels = range(model.architecture.channels)
    for conv in model.convs:
        centre = conv.kernel_size[0] // 2
        for c in channels:
            conv.weight[c] = 0
            conv.weight[c, c, centre, centre] = 1
            conv.bias[c] = 0


def choose_device(name: str = "auto") -> torch.device:
    """``auto`` takes a CUDA GPU where there is one.

    Raises
    ------
    ValueError : for cuda on a machine without, or another name.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda"):
        raise ValueError(f"device must be auto, cpu or cuda, not {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("no CUDA GPU here; use --device cpu")
    return torch.device(name)


def describe(device: torch.device) -> str:
    """The device in words, for cards and results."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    plural = "s" if threads > 1 else ""
    return f"{threads} CPU thread{plural} ({_cpu_name()})"


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    import platform

    return platform.processor() or platform.machine()
