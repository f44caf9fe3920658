"""Recipes: what a training run is asked to do, checked before it begins."""

import dataclasses
import re
from collections.abc import Mapping

from .images import COLOURS
from .models import INITIALISATIONS, SRCNN, Architecture, Network


def usual_learning_rate(optimiser: str, arch: str) -> float:
    """The learning rate that validation favoured.

    Muon's updates of middle layers with filters larger than 1×1 are large; half of its
    usual rate suits these.
    """
    wide = max(Architecture.parse(arch).f[1:-1], default=1) > 1
    return {"muon": 0.01 if wide else 0.02, "adam": 0.002, "sgd": 1e-4}[optimiser]


def _option(default, text: str, *choices: str):
    about = {"help": text, "choices": choices or None}
    return dataclasses.field(default=default, metadata=about)


@dataclasses.dataclass(frozen=True)
class Config:
    """A recipe.  Lengths are in pixels; one step is one mini-batch.

    SGD is the authors' (SRCNN_net.prototxt): momentum 0.9 on half the squared error
    summed over a sub-image; the last layer learns at `last_rate` times the learning
    rate, biases at a tenth.  Muon and Adam minimise the mean error per pixel; Muon
    updates all filters but the last layer's, Adam the rest at a tenth of the rate.
    """

    arch: str = _option("9-1-5", "filter sizes f1-f2-f3, optionally _n1-n2")
    scale: int = _option(3, "magnification: 2, 3 or 4")
    steps: int = _option(30_000, "number of mini-batches")
    batch: int = _option(16, "sub-images in a mini-batch")
    size: int = _option(33, "width of a sub-image")
    sampling: str = _option(
        "random", "random: anywhere, in all eight symmetries; importance: the same, "
        "but more often where bicubic is wrong; grid: the paper's, in shuffled epochs",
        "random", "importance", "grid",
    )  # fmt: skip
    stride: int = _option(14, "of the grid")
    optimiser: str = _option("muon", "how weights are updated", "muon", "adam", "sgd")
    learning_rate: float = _option(0.02, "the default fits the optimiser")
    schedule: str = _option(
        "linear", "of the learning rate after the warm-up: down to zero, or constant",
        "linear", "cosine", "constant",
    )  # fmt: skip
    warmup: int = _option(200, "steps in which the learning rate rises")
    ema_decay: float = _option(0.999, "of the averaged weights; 0 keeps the last")
    init: str = _option("identity", "identity, default, paper; or weights, a FILE")
    revive: int = _option(0, "steps between searches for dead filters; not with SGD")
    seed: int = _option(0, "of the initial weights and of every mini-batch")
    validate_every: int = _option(1_000, "steps between validations; 0: one at the end")
    loss: str = _option("mse", "mse is the paper's", "mse", "l1", "charbonnier")
    last_rate: float = _option(0.1, "of SGD: the last layer's share of the rate")
    colour: str = _option("y", "planes that the network works on", *COLOURS)
    residual: bool = _option(False, "learn what bicubic interpolation lacks")
    augment: int = _option(0, "sharper copies of each picture, and as many warped ones")

    def architecture(self) -> Architecture:
        """Of the network that is trained."""
        parsed = Architecture.parse(self.arch)
        return parsed._replace(channels=COLOURS[self.colour], residual=self.residual)

    def check(self, network: Network | None = None) -> None:
        """Raise ValueError, in one line, when no run can have these settings."""
        for field in dataclasses.fields(self):
            allowed, value = field.metadata["choices"], getattr(self, field.name)
            if allowed and value not in allowed:
                raise ValueError(f"{field.name} must be {' or '.join(allowed)}")
        weights = re.fullmatch(r".+(_x[234]|\.safetensors)", self.init)
        for name, right, wanted in (
            ("scale", self.scale in (2, 3, 4), "2, 3 or 4"),
            ("steps", self.steps >= 1, "at least 1"),
            ("batch", self.batch >= 1, "at least 1"),
            ("learning_rate", self.learning_rate > 0, "above 0"),
            ("last_rate", self.last_rate > 0, "above 0"),
            ("ema_decay", 0 <= self.ema_decay < 1, "0 or more and below 1"),
            ("augment", self.augment >= 0, "at least 0"),
            ("seed", 0 <= self.seed < 2**31, "0 to 2147483647"),
            ("init", network or self.init in INITIALISATIONS or weights,
             f"{', '.join(INITIALISATIONS)}, weights such as 9-5-5_x3, or a file"),
        ):  # fmt: skip
            if not right:
                raise ValueError(f"{name} must be {wanted}, not {getattr(self, name)}")
        border = (network or Architecture.parse(self.arch)).border
        if self.size <= 2 * border:
            raise ValueError(f"size must be above {2 * border} for {self.arch}")
        if network is None:
            return
        name, factor = network.name, network.factor
        if factor not in (1, self.scale):
            raise ValueError(f"{name} enlarges {factor} times, not {self.scale}")
        if self.size % factor:
            raise ValueError(f"size must be a multiple of {factor} for {name}")
        if self.revive and not isinstance(network, SRCNN):
            raise ValueError(f"revive is for SRCNN, not for {name}; leave it 0")
        if self.colour != "y" or self.residual:
            raise ValueError(f"colour and residual do not apply to {name}, as given")


def same(config: Config, recorded: Mapping) -> bool:
    """Whether `recorded` is this recipe; fields that it lacks had their defaults."""
    then = dataclasses.asdict(Config()) | dict(recorded)
    return all(then[name] == now for name, now in dataclasses.asdict(config).items())


#: Recipes by name.  `paper` is the authors' solver: its 8·10⁸ sub-images are 6,250,000
#: mini-batches.  `quick` takes seconds on two cores, `full` half an hour.  `book` makes
#: the weights of the book, whatever the architecture and scale; trials on validation
#: pictures fixed it (data/studies/recipe.json).
PRESETS = {
    "quick": Config(
        steps=2_000, sampling="importance", warmup=100, ema_decay=0.995, revive=500,
        validate_every=100,
    ),
    "full": Config(
        steps=60_000, sampling="importance", warmup=500, revive=500,
        validate_every=5_000,
    ),
    "book": Config(
        steps=80_000, sampling="importance", learning_rate=0.01, warmup=500, revive=500,
        validate_every=5_000, augment=4,
    ),
    "paper": Config(
        steps=6_250_000, batch=128, sampling="grid", optimiser="sgd",
        learning_rate=1e-4, schedule="constant", warmup=0, ema_decay=0.0, init="paper",
        validate_every=10_000,
    ),
}  # fmt: skip
