"""Training: recipes, the loop, and what it takes to go on after a stop."""

import contextlib
import copy
import dataclasses
import hashlib
import io
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from . import checkpoints, datasets, graphs, products, streaming
from .augmentation import copies
from .images import COLOURS
from .models import (
    INITIALISATIONS,
    SRCNN,
    Architecture,
    Network,
    choose_device,
    describe,
    initialise,
)
from .muon import Muon
from .parallel import World
from .streaming import Pictures, StreamError
from .subimages import SubImages, TrainingError, Validation

#: Seconds between two writes of the state, and steps between two looks at
#: the loss, for which a GPU has to be waited for.
SAVE_EVERY_S, LOOK_EVERY = 60, 50
#: Step sizes that suit the optimisers; see `usual_learning_rate`.
STEP_SIZES = {"muon": 0.02, "adam": 0.002, "sgd": 1e-4}

#: Errors below this the Charbonnier loss sees as quadratic, in 0…1.
CHARBONNIER = 1e-3


def usual_learning_rate(optimiser: str, arch: str) -> float:
    """The step size that validation pictures favoured.

    Filters between the first layer and the last that are larger than 1×1
    make rows of more weights, and Muon's steps long; they get half.
    """
    wide = max(Architecture.parse(arch).f[1:-1], default=1) > 1
    return STEP_SIZES[optimiser] * (0.5 if wide and optimiser == "muon" else 1)


@dataclasses.dataclass(frozen=True)
class Config:
    """A recipe.  Lengths in pixels; one step is one batch.

    Parameters
    ----------
    arch, scale : what to train, such as ``"9-1-5"`` for x3; of a network that
        `train` is given, its name.
    steps, batch, size : how many batches of how many sub-images of which
        width.
    sampling : ``"random"``: anywhere, in all eight symmetries;
        ``"importance"``: the same, but more often where the input is wrong,
        see `SubImages.draw_important`; ``"grid"``: the paper's, every
        `stride` pixels, shuffled anew each epoch.
    zoom : the pictures are trained on as they are and also shrunk to 0.9,
        0.8, … of their width, down to this; where they stream, each time in
        one of these sizes.
    optimiser : ``"muon"``: orthogonalised momentum for all filters but the
        last layer's, Adam for the rest; ``"adam"``; or ``"sgd"`` with
        momentum 0.9, where the last layer (see `last_rate`) and all biases
        learn at a tenth of the step size, as in the authors' released
        SRCNN_net.prototxt.
    learning_rate : of Muon and Adam on the mean squared error per pixel (beside
        Muon, Adam takes a tenth); of SGD on half the squared error summed
        over a sub-image, the authors' loss.
    schedule : after `warmup` steps ``"linear"`` or ``"cosine"`` down to
        zero, or ``"constant"``.
    ema_decay : decay per step of the exponential moving average of the
        weights, which is what is kept; 0 keeps the last weights.
    init : see `models.initialise`; or our weights to start from, by name
        and scale, such as ``"9-5-5_x3"``, or a .safetensors file; ``"given"``
        where `train` is given a network.
    revive : steps from one look for filters that have fallen silent to the
        next, while steps are large; Muon starts such anew. 0: never.
    seed : of the initial weights and of every batch.
    validate_every : steps between validations, 0 for the end only.
    loss : ``"mse"``: the paper's; ``"l1"``: the mean absolute error; or
        ``"charbonnier"``: the mean of √(e² + 10⁻⁶), which is smooth at 0.
    last_rate : of SGD: the last layer's share of the step size.
    colour : what the network works on: ``"y"``, ``"ycbcr"`` or ``"rgb"``; see
        `images.planes`.
    residual : whether it learns what bicubic interpolation lacks, rather
        than the whole picture.
    balance : with importance sampling, how far the loss goes from the mean
        of all pixels (0) towards that of the pictures' PSNRs (1); see
        `SubImages.draw_important`.
    augment : so many copies of each picture are made sharper, and so many are
        turned, sheared and stretched; see `augmentation.copies`.  All are
        kept in memory.
    """

    arch: str = "9-1-5"
    scale: int = 3
    steps: int = 30_000
    batch: int = 16
    size: int = 33
    sampling: str = "random"
    stride: int = 14
    zoom: float = 1.0
    optimiser: str = "muon"
    learning_rate: float = 0.02
    schedule: str = "linear"
    warmup: int = 200
    ema_decay: float = 0.999
    init: str = "identity"
    revive: int = 0
    seed: int = 0
    validate_every: int = 1_000
    loss: str = "mse"
    last_rate: float = 0.1
    colour: str = "y"
    residual: bool = False
    balance: float = 0.0
    augment: int = 0

    def architecture(self) -> Architecture:
        """Of the network that is trained."""
        return Architecture.parse(self.arch)._replace(
            channels=COLOURS[self.colour], residual=self.residual
        )

    def check(self, network: Network | None = None) -> None:
        """Raise ValueError, in one line, when no run can have these."""
        if network is None:
            border = Architecture.parse(self.arch).border
        else:
            border = network.border
            self._check_given(network)
        choices = {
            "sampling": ("random", "importance", "grid"),
            "optimiser": ("muon", "adam", "sgd"),
            "schedule": ("linear", "cosine", "constant"),
            "loss": ("mse", "l1", "charbonnier"),
            "colour": tuple(COLOURS),
        }
        for field, allowed in choices.items():
            if getattr(self, field) not in allowed:
                raise ValueError(f"{field} must be {' or '.join(allowed)}")
        if self.scale not in (2, 3, 4):
            raise ValueError(f"scale must be 2, 3 or 4, not {self.scale}")
        if self.steps < 1 or self.batch < 1:
            raise ValueError("steps and batch must be at least 1")
        if not self.learning_rate > 0:
            raise ValueError(
                f"step size must be above 0, not {self.learning_rate}"
            )
        if not self.last_rate > 0:
            raise ValueError(f"last rate must be above 0, not {self.last_rate}")
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"seed must be 0 to 2147483647, not {self.seed}")
        if (
            network is None
            and self.init not in INITIALISATIONS
            and not re.fullmatch(r".+(_x[234]|\.safetensors)", self.init)
        ):
            raise ValueError(
                f"init must be {', '.join(INITIALISATIONS)}, weights such as "
                f"9-5-5_x3 or a .safetensors file, not {self.init!r}"
            )
        if self.balance and self.sampling != "importance":
            raise ValueError("balance needs importance sampling")
        if not 0 <= self.balance <= 1:
            raise ValueError(f"balance must be 0 to 1, not {self.balance}")
        if self.augment < 0:
            raise ValueError(f"vary must be at least 0, not {self.augment}")
        if not 0.1 <= self.zoom <= 1:
            raise ValueError(f"zoom must be 0.1 to 1, not {self.zoom}")
        if self.size <= 2 * border:
            raise ValueError(
                f"{self.arch} without padding needs sub-images wider than "
                f"{2 * border} pixels, not {self.size}"
            )


    def _check_given(self, network: Network) -> None:
        if network.factor not in (1, self.scale):
            raise ValueError(
                f"{network.name} enlarges {network.factor} times; it can't be "
                f"trained for x{self.scale}"
            )
        if self.size % network.factor:
            raise ValueError(
                f"{network.name} reads the small picture; sub-images must be "
                f"a multiple of {network.factor} pixels wide, not {self.size}"
            )
        if self.revive and not isinstance(network, SRCNN):
            raise ValueError(
                f"revive is for SRCNN's filters, not for those of "
                f"{network.name}; leave it 0"
            )
        if self.colour != "y" or self.residual:
            raise ValueError(
                f"{network.name} is given as it is and for luma; leave colour "
                "and residual as they are"
            )


def same(config: Config, recorded: Mapping) -> bool:
    """Whether `recorded`, from ``dataclasses.asdict``, is this recipe.

    A field that it lacks came after it was recorded: it had its default.
    """
    defaults = {f.name: f.default for f in dataclasses.fields(Config)}
    return defaults | dict(recorded) == dataclasses.asdict(config)


#: Recipes by name.  `paper` is the authors' solver, whose 8·10⁸ sub-images
#: are 6,250,000 batches; `quick` takes seconds on two cores, `full` made the
#: weights of this book, some in fewer steps: see their cards.
PRESETS = {
    "quick": Config(
        steps=2_000,
        sampling="importance",
        warmup=100,
        ema_decay=0.995,
        revive=500,
        validate_every=100,
    ),
    "full": Config(
        steps=60_000,
        sampling="importance",
        zoom=0.6,
        warmup=500,
        revive=500,
        validate_every=5_000,
    ),
    "paper": Config(
        steps=6_250_000,
        batch=128,
        size=33,
        sampling="grid",
        optimiser="sgd",
        learning_rate=1e-4,
        schedule="constant",
        warmup=0,
        ema_decay=0.0,
        init="paper",
        validate_every=10_000,
    ),
}


def split(
    images: Mapping[str, np.ndarray],
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], str]:
    """Training and validation pictures; never a test set.

    BSDS500 `val` validates where it is present, but for what is trained on;
    otherwise every tenth training picture is held out.

    Returns
    -------
    training, validation : name → picture.
    origin : where the validation pictures are from, in words.
    """
    if datasets.available("BSDS500-val"):
        trained_on = {hash(image.tobytes()) for image in images.values()}
        validation = {
            key: image
            for key, image in datasets.load("BSDS500-val").items()
            if hash(image.tobytes()) not in trained_on
        }
        if validation:
            return dict(images), validation, "BSDS500 val"
    held_out = list(images)[::10]
    training = {k: v for k, v in images.items() if k not in held_out}
    validation = {k: images[k] for k in held_out}
    if not training:
        raise TrainingError("training needs at least two pictures")
    return training, validation, f"{len(held_out)} held-out training pictures"


@dataclasses.dataclass
class Run:
    """What training gives back.

    `history` has a row per validation: step, sub_images (seen so far),
    seconds (of training, validations left out), psnr_db (validation).
    """

    model: Network
    config: Config
    history: list[dict]
    card: dict


class _Supply:
    """Sub-images to draw from at each step, and the pictures to measure on.

    Attributes
    ----------
    count : number of training pictures.
    reading : "in memory", or how they stream.
    fingerprint : hash of the training pictures.
    validated_on : the validation pictures, in words.
    """

    def __init__(
        self,
        images: Mapping[str, np.ndarray] | Pictures,
        config: Config,
        device: torch.device,
        network: Network,
    ):
        self.config, self.device, self.network = config, device, network
        self.rounds: streaming.Rounds | None = None
        self.current: tuple[int, SubImages] | None = None
        if isinstance(images, Pictures):
            images.leave_out_small(config.size, config.scale)
            numbers = images.usable()
            if not images.fit_in_memory(config.zoom):
                self._stream(images, numbers)
                return
            read = dict(images.load(numbers))
            if not read:
                path, reason = next(images.left_out())
                raise TrainingError(f"{path}: {reason}; there is no other")
            images = read
        training, validation, self.validated_on = split(images)
        self.validated_on += f" ({len(validation)})"
        self.count, self.reading = len(training), "in memory"
        self.fingerprint = _fingerprint(training)
        shown = copies(
            training.values(), config.zoom, config.augment, config.seed
        )
        self.current = 0, self._sub_images(shown)
        self.measure = self._validation(validation.values())

    def _stream(self, pictures: Pictures, numbers: np.ndarray) -> None:
        c = self.config
        if c.colour != "y":
            raise TrainingError(
                f"{c.colour} needs pictures that fit in memory; take fewer"
            )
        if c.augment:
            raise TrainingError(
                "varied copies need pictures that fit in memory; take fewer, "
                "or leave vary 0"
            )
        chosen = []
        if datasets.available("BSDS500-val"):
            found = datasets.load("BSDS500-val")
            chosen = [k for k in found if not pictures.hold(found.paths[k])]
        if chosen:
            validation = (found[k] for k in chosen)
            self.validated_on = f"BSDS500 val ({len(chosen)})"
        else:
            numbers, held_out = pictures.hold_out(numbers)
            if not len(numbers):
                raise TrainingError("training needs at least two pictures")
            validation = (image for _, image in pictures.load(held_out))
            self.validated_on = (
                f"{len(held_out)} held-out training pictures"
            )
        self.measure = self._validation(validation)
        self.count = len(numbers)
        self.fingerprint = pictures.fingerprint(numbers)
        self.per_round = max(
            1, streaming.ROUND * streaming.PER_PICTURE // c.batch
        )
        self.reading = (
            f"streamed, {streaming.ROUND} pictures for {self.per_round} steps"
        )
        self.rounds = streaming.Rounds(
            pictures,
            numbers,
            c.scale,
            c.size,
            c.seed,
            zoom=c.zoom,
            last=(c.steps - 1) // self.per_round,
        )

    def _sub_images(self, images) -> SubImages:
        c = self.config
        border, factor = self.network.border, self.network.factor
        return SubImages(
            images,
            c.scale,
            c.size,
            border,
            c.stride,
            self.device,
            factor,
            c.colour,
            c.balance,
        )

    def _validation(self, images) -> Validation:
        return Validation(
            images,
            self.config.scale,
            device=self.device,
            factor=self.network.factor,
            colour=self.config.colour,
        )

    def at(self, step: int) -> SubImages:
        """What batch `step` is drawn from."""
        if self.rounds is None:
            return self.current[1]
        number = step // self.per_round
        if self.current is None or self.current[0] != number:
            self.current = None  # frees its memory
            self.current = number, self._sub_images(self.rounds.get(number))
        return self.current[1]

    def close(self) -> None:
        if self.rounds is not None:
            self.rounds.close()


def _fingerprint(images: Mapping[str, np.ndarray]) -> str:
    """sha256 of pictures and their order."""
    digest = hashlib.sha256()
    for image in images.values():
        digest.update(repr(image.shape).encode())
        digest.update(np.ascontiguousarray(image).tobytes())
    return digest.hexdigest()


def train(
    config: Config,
    images: Mapping[str, np.ndarray] | Pictures,
    *,
    network: Network | None = None,
    device: str = "auto",
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool = True,
    name: str = "given pictures",
    on_validate: Callable[[dict, Network], None] | None = None,
    world: World | None = None,
) -> Run:
    """Train a network.

    Parameters
    ----------
    images : name → uint8 picture, grey or RGB; or pictures on disk, which
        are read into memory where they fit, and otherwise streamed.  See
        `split`.
    network : to train in place of the SRCNN that `config` describes, from
        the weights that it has; it is left as it was.
    device : auto, cpu or cuda.
    out : folder for the weights, their card, and the state to resume from,
        which is written about every minute; the state before it is kept.
    resume : go on from the state in `out`, if there is one; without it, a
        state that is there is refused rather than overwritten.
    progress : show a bar with the validation PSNR.
    name : of the training pictures, for the card.
    on_validate : called with each new row of the history and the network as
        it would be kept; the time this takes is not counted.
    world : the processes that train as one; see `parallel.join`.  The first
        alone validates and writes, and has the history.

    Raises
    ------
    ValueError : for an impossible recipe or device.
    TrainingError : for unfit pictures, a state that does not fit the recipe
        or the pictures, or a loss that is no longer finite.
    OSError : when the state or the weights can't be written; those that were
        there are kept.
    KeyboardInterrupt : after the state has been written to `out`.
    """
    world = world or World()
    with world.together():
        if network is not None:
            config = dataclasses.replace(
                config, arch=network.name, init="given"
            )
        config.check(network)
        world.part(config.batch)
        torch_device = choose_device(device)
        paths = None
        if out is not None and world.rank == 0:
            paths = _Paths(Path(out), config)
        state = _begin(config, torch_device, network)
        supply = _Supply(images, config, torch_device, state.model)
        state.fingerprint = supply.fingerprint
        if isinstance(images, Pictures):
            state.skipped = images.skipped
    with world.together():
        _go_on(state, paths, resume, world)
    on_validate = on_validate if world.rank == 0 else None
    loop = _Loop(state, supply, config, on_validate, world)
    # What these are is the same in every process.
    alike = (TrainingError, StreamError, KeyboardInterrupt)
    try:
        with world.speaking(alike):
            loop.run(paths, progress and world.rank == 0)
    finally:
        supply.close()
    measure = supply.measure
    left_out = []
    if isinstance(images, Pictures):
        left_out = [f"{path}: {why}\n" for path, why in images.left_out()]
    card = {
        "scale": config.scale,
        "arch": config.arch,
        "training_images": f"{name} ({supply.count})",
        "reading": supply.reading,
        "skipped": len(left_out),
        "validation_images": supply.validated_on,
        "sub_images": config.steps * config.batch,
        "minutes": round(state.seconds / 60, 2),
        "processor_seconds": round(state.processor_seconds, 2),
        "device": describe(torch_device),
        "processes": world.size,
        "torch": torch.__version__,
        "commit": _commit(),
        "config": dataclasses.asdict(config),
        "history": state.history,
    }
    if state.began_with is not None:
        card["began_with"] = state.began_with
    if world.rank == 0:
        card["validation_bicubic_db"] = round(measure.bicubic_db(), 3)
        card["validation_psnr_db"] = round(state.history[-1]["psnr_db"], 3)
    if paths is not None:
        kept = state.kept()
        if isinstance(kept, SRCNN):
            checkpoints.write(kept, paths.weights, card)
        else:
            checkpoints.write_tensors(kept.state_dict(), paths.weights, card)
        if left_out:
            listed = "".join(left_out).encode(errors="surrogateescape")
            checkpoints.write_atomically(paths.skipped, listed)
        else:
            paths.skipped.unlink(missing_ok=True)
        paths.state.unlink(missing_ok=True)
        paths.previous.unlink(missing_ok=True)
    return Run(state.kept().eval(), config, state.history, card)


def _start(
    architecture: Architecture, init: str, generator
) -> tuple[SRCNN, dict | None]:
    """New weights; or those of another training, and their card.

    The card's history is left out; where its weights too began with others,
    it has their card in turn, so that no step of a chain goes uncounted.
    """
    if init in INITIALISATIONS:
        return initialise(SRCNN(*architecture), init, generator), None
    name, _, scale = init.rpartition("_x")
    if init.endswith(".safetensors"):
        name, scale = init, None
    model = checkpoints.load(name, scale and int(scale))
    path = checkpoints.locate(name, scale and int(scale))
    if model.architecture != architecture:
        raise TrainingError(
            f"{init} is {_in_words(model.architecture)}, not "
            f"{_in_words(architecture)}"
        )
    if path.suffix != ".safetensors":
        return model, None
    card = checkpoints.read_card(path)
    card.pop("history", None)
    card["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    return model, card


def _in_words(a: Architecture) -> str:
    words = a.name + (f" for {a.channels} channels" if a.channels > 1 else "")
    return words + (", residual" if a.residual else "")


def _begin(
    config: Config, device: torch.device, network: Network | None
) -> "_State":
    if network is not None:
        model, card = copy.deepcopy(network), None
    else:
        generator = torch.Generator().manual_seed(config.seed)
        model, card = _start(config.architecture(), config.init, generator)
    state = _State(model.to(device), config)
    state.began_with = card
    return state


def _go_on(
    state: "_State", paths: "_Paths | None", resume: bool, world: World
) -> None:
    """Load the state that process 0 finds, in every process."""
    blob = None
    if paths is not None and (paths.state.exists() or paths.previous.exists()):
        if not resume:
            there = paths.state if paths.state.exists() else paths.previous
            raise TrainingError(
                f"{there}: a run was stopped here; --resume goes on, or "
                "delete it to start anew"
            )
        blob = paths.read()
    blob = world.share(blob)
    if blob is not None:
        state.load(blob, paths.state if paths else Path("the state"))


class _Paths:
    """Where a run writes.

    A state is a line with the sha256 of what follows, and what follows.
    """

    def __init__(self, folder: Path, config: Config):
        stem = f"{config.arch}_x{config.scale}"
        self.weights = folder / f"{stem}.safetensors"
        self.state = folder / f"{stem}.state"
        self.previous = folder / f"{stem}.state.previous"
        self.skipped = folder / f"{stem}_skipped.txt"
        try:  # now rather than after hours
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
            for left in folder.glob(f".{stem}.*.tmp"):  # by a killed run
                left.unlink(missing_ok=True)
        except OSError as e:
            reason = "not a folder" if folder.exists() else e.strerror
            if folder.is_dir():
                reason = f"no file can be written there ({e.strerror})"
            raise TrainingError(f"{folder}: {reason}") from None

    def write(self, blob: bytes) -> None:
        """Write a state; the one before becomes the previous."""
        line = hashlib.sha256(blob).hexdigest().encode() + b"\n"
        checkpoints.write_atomically(self.state, line + blob, self.previous)

    def read(self) -> bytes:
        """The last state that is whole.

        A damaged one is replaced by the one before it, which is said.
        """
        good = self._read(self.state)
        if good is None:
            good = self._read(self.previous)
            if good is None:
                raise TrainingError(
                    f"{self.state}: damaged state, and there is no whole one "
                    "before it; delete it to start anew"
                )
            if self.state.exists():
                print(
                    f"{self.state}: damaged state; going on from the one "
                    "before it",
                    file=sys.stderr,
                )
            os.replace(self.previous, self.state)
        return good

    @staticmethod
    def _read(path: Path) -> bytes | None:
        try:
            line, _, blob = path.read_bytes().partition(b"\n")
        except OSError:
            return None
        whole = hashlib.sha256(blob).hexdigest().encode() == line
        return blob if whole else None


class _State:
    """Everything that a resumed run needs to go on as if never stopped."""

    def __init__(self, model: Network, config: Config):
        self.model, self.config = model, config
        self.fingerprint = ""
        self.average = copy.deepcopy(model)
        self.average.requires_grad_(False)
        self.optimiser = _optimiser(model, config)
        self.step = 0
        self.seconds = 0.0
        self.processor_seconds = 0.0
        self.history: list[dict] = []
        self.skipped: dict[str, str] = {}
        self.began_with: dict | None = None

    def kept(self) -> Network:
        """The network to keep: averaged weights, or the last ones."""
        return self.average if self.config.ema_decay else self.model

    @torch.no_grad()
    def update_average(self) -> None:
        # The first steps weigh little, or the start would linger.
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(
            list(self.average.parameters()),
            list(self.model.parameters()),
            1 - decay,
        )

    def is_finite(self) -> bool:
        return all(
            bool(torch.isfinite(p).all())
            for network in (self.model, self.average)
            for p in network.parameters()
        )

    def blob(self) -> bytes:
        buffer = io.BytesIO()
        content = {
            "config": dataclasses.asdict(self.config),
            "pictures": self.fingerprint,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "processor_seconds": self.processor_seconds,
            "history": self.history,
            "skipped": self.skipped,
            "began_with": self.began_with,
        }
        torch.save(content, buffer)
        return buffer.getvalue()

    def load(self, blob: bytes, path: Path) -> None:
        """Take over what `blob` gave; `path` is for the messages."""
        try:
            content = torch.load(
                io.BytesIO(blob), weights_only=True, map_location="cpu"
            )
            if not same(self.config, content["config"]):
                raise TrainingError(
                    f"{path}: is of another recipe; delete it to start anew"
                )
            if content["pictures"] != self.fingerprint:
                raise TrainingError(
                    f"{path}: is of other training pictures; give those, or "
                    "delete it to start anew"
                )
            self.model.load_state_dict(content["model"])
            self.average.load_state_dict(content["average"])
            self.optimiser.load_state_dict(content["optimiser"])
            self.step = content["step"]
            self.seconds = content["seconds"]
            self.processor_seconds = content.get("processor_seconds", 0.0)
            self.history = content["history"]
            self.skipped.update(content["skipped"])
            self.began_with = content["began_with"]
        except TrainingError:
            raise
        except Exception as e:  # torch raises many kinds
            raise TrainingError(
                f"{path}: damaged state; delete it to start anew "
                f"({(str(e) or type(e).__name__).splitlines()[0]})"
            ) from None


def _optimiser(model: Network, config: Config):
    if config.optimiser == "muon":
        return Muon(model, config.learning_rate)
    if config.optimiser == "adam":
        return torch.optim.Adam(
            model.parameters(), lr=config.learning_rate, fused=True
        )
    groups = []
    for conv in model.convs:
        size = config.learning_rate
        if conv is model.convs[-1]:
            size *= config.last_rate
        groups.append({"params": [conv.weight], "lr": size})
        groups.append({"params": [conv.bias], "lr": config.learning_rate * 0.1})
    taken = {id(p) for group in groups for p in group["params"]}
    rest = [p for p in model.parameters() if id(p) not in taken]
    if rest:  # such as the slopes of PReLUs
        groups.append({"params": rest, "lr": config.learning_rate * 0.1})
    return torch.optim.SGD(groups, momentum=0.9)


def _loss(out, label, weight: torch.Tensor | None, config: Config):
    """Mean over the batch; `weight` (B,) evens out importance sampling."""
    error = out - label
    if config.loss == "mse":
        error = error.square()
    elif config.loss == "l1":
        error = error.abs()
    else:
        error = (error.square() + CHARBONNIER**2).sqrt()
    if config.optimiser == "sgd":
        each = error.sum((1, 2, 3)) / 2  # of squares: Caffe's EuclideanLoss
    else:
        each = error.mean((1, 2, 3))
    return each.mean() if weight is None else (weight * each).mean()


def _forward_on(device: torch.device, model: Network) -> Callable:
    """The fastest way through a network without padding."""
    known = isinstance(model, SRCNN) and len(model.convs) > 1
    if device.type == "cpu" and known:
        return products.forward
    return lambda model, y: model(y, "valid")


@contextlib.contextmanager
def _ctrl_c_waits() -> Iterator[Callable[[], bool]]:
    """Ctrl-C only sets a flag, so that no step is left half done.

    Yields a function that says whether it was pressed.
    """
    usual = signal.getsignal(signal.SIGINT)
    if (
        usual is not signal.default_int_handler
        or threading.current_thread() is not threading.main_thread()
    ):
        yield lambda: False
        return
    pressed = []
    signal.signal(signal.SIGINT, lambda *_: pressed.append(True))
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, usual)


class _Loop:
    def __init__(self, state, supply, config, on_validate, world):
        self.state, self.supply, self.world = state, supply, world
        self.config, self.on_validate = config, on_validate
        self.paths: _Paths | None = None
        self.saved: int | None = None
        self.batches = (
            self._random_batches()
            if config.sampling != "grid"
            else self._grid_batches()
        )
        self.sizes = [g["lr"] for g in _optimiser(state.model, config).param_groups]
        self.forward = _forward_on(supply.device, state.model)
        self.replay: Callable[..., torch.Tensor] | None = None

    def _random_batches(self):
        """Batch k depends on the seed and k alone: resuming is exact."""
        generator = torch.Generator()
        while True:
            generator.manual_seed(self.config.seed * 2**32 + self.state.step)
            sub_images = self.supply.at(self.state.step)
            arguments = self.config.batch, generator, self.world.part
            if self.config.sampling == "importance":
                yield sub_images.draw_important(*arguments)
            else:
                yield *sub_images.draw(*arguments), None

    def _grid_batches(self):
        generator = torch.Generator()
        epoch = sub_images = None
        while True:
            if sub_images is not self.supply.at(self.state.step):
                sub_images, epoch = self.supply.at(self.state.step), None
                starts, widths = sub_images.grid()
                batch = min(self.config.batch, len(starts))
                per_epoch = len(starts) // batch
            now, k = divmod(self.state.step, per_epoch)
            if now != epoch:
                epoch = now
                generator.manual_seed(self.config.seed * 2**32 + epoch)
                order = torch.randperm(len(starts), generator=generator)
            chosen = order[k * batch : (k + 1) * batch]
            chosen = chosen[self.world.part(batch)]
            yield *sub_images.cut(starts[chosen], widths[chosen]), None

    def _factor(self) -> float:
        """Of the step size: linear warm-up, then as scheduled."""
        step, c = self.state.step, self.config
        if step < c.warmup:
            return (step + 1) / c.warmup
        if c.schedule == "constant":
            return 1.0
        done = (step - c.warmup) / max(1, c.steps - c.warmup)
        if c.schedule == "linear":
            return 1 - done
        return 0.5 * (1 + math.cos(math.pi * done))

    def run(self, paths: _Paths | None, progress: bool) -> None:
        state, c = self.state, self.config
        self.paths = paths
        with (
            _ctrl_c_waits() as pressed,  # before there is a bar to interrupt
            tqdm(
                total=c.steps,
                initial=state.step,
                disable=not progress,
                unit="step",
                desc=f"{c.arch} x{c.scale}",
                mininterval=0.5,
            ) as bar,
        ):
            try:
                self._steps(bar, pressed)
            except KeyboardInterrupt:
                self._save()
                raise

    def _steps(self, bar, pressed: Callable[[], bool]) -> None:
        state, c = self.state, self.config
        saved = time.monotonic()
        loss = torch.zeros(())
        while True:
            done = state.step == c.steps
            if self.world.rank == 0 and self._validation_is_due():
                self._validate(bar, loss)
            elif done or state.step % LOOK_EVERY == 0:
                self._look(loss)
            if self._is_stopped(pressed()):
                raise KeyboardInterrupt
            if done:
                break
            began, worked = time.monotonic(), time.process_time()
            loss = self._step_within_memory()
            state.seconds += time.monotonic() - began
            state.processor_seconds += time.process_time() - worked
            bar.update()
            if self.paths and time.monotonic() - saved > SAVE_EVERY_S:
                self._look(loss)
                self._save()
                saved = time.monotonic()

    def _is_stopped(self, pressed: bool) -> bool:
        """Ctrl-C in any process; several ask each other now and then."""
        step, end = self.state.step, self.config.steps
        if self.world.size > 1 and step % 16 and step != end:
            return False
        return self.world.any(pressed)

    def _save(self) -> None:
        """Write the state, but never one that is no longer finite."""
        if self.paths is not None and self.state.is_finite():
            self.paths.write(self.state.blob())
            self.saved = self.state.step

    def _look(self, loss: torch.Tensor) -> None:
        """Stop when the loss or a weight is no longer finite.

        Raises
        ------
        TrainingError : it names the step and the last state.
        """
        if not (torch.isfinite(loss) and self.state.is_finite()):
            self._give_up()

    def _give_up(self) -> None:
        last = "no state was written"
        if self.paths is not None and self.paths.state.exists():
            last = f"the last good state is {self.paths.state}"
            if self.saved is not None:
                last += f", of step {self.saved}"
        raise TrainingError(
            f"the loss is no longer finite at step {self.state.step}; take a "
            f"smaller step size; {last}"
        )

    def _validation_is_due(self) -> bool:
        """Also true where a run was stopped between a step and its row."""
        step, every = self.state.step, self.config.validate_every
        history = self.state.history
        if step == (history[-1]["step"] if history else 0):
            return False
        return step == self.config.steps or bool(every and step % every == 0)

    def _revival_is_due(self, factor: float) -> bool:
        """Early enough that new filters still have time to learn."""
        step, every = self.state.step, self.config.revive
        late = factor < 0.3
        muon = self.config.optimiser == "muon"
        return bool(every and muon and step and step % every == 0 and not late)

    def _step_within_memory(self) -> torch.Tensor:
        try:
            return self._step()
        except (RuntimeError, MemoryError) as e:
            # On a CPU torch has no error of its own for it.
            known = isinstance(e, (MemoryError, torch.OutOfMemoryError))
            if not known and "allocate memory" not in str(e):
                raise
            c = self.config
            raise TrainingError(
                f"a batch of {c.batch} sub-images of {c.size}×{c.size} "
                "pixels doesn't fit in memory; take a smaller batch"
            ) from None

    def _step(self) -> torch.Tensor:
        state = self.state
        inputs, labels, weights = next(self.batches)
        factor = self._factor()
        for group, size in zip(state.optimiser.param_groups, self.sizes):
            group["lr"] = size * factor
        if self._is_the_same_each_time():
            loss = self._update_by_graph(inputs, labels)
        else:
            loss = self._update(inputs, labels, weights)
        if self._revival_is_due(factor):
            generator = torch.Generator().manual_seed(state.step)
            state.optimiser.revive(generator)
        if self.config.ema_decay:
            state.update_average()
        state.step += 1
        return loss

    def _update(self, inputs, labels, weights=None) -> torch.Tensor:
        model, optimiser = self.state.model, self.state.optimiser
        loss = _loss(self.forward(model, inputs), labels, weights, self.config)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.world.average([p.grad for p in model.parameters()])
        optimiser.step()
        return loss.detach()

    def _is_the_same_each_time(self) -> bool:
        """On a GPU, with step sizes that never change: the paper's recipe."""
        c = self.config
        return (
            self.supply.device.type == "cuda"
            and self.world.size == 1
            and (c.optimiser, c.schedule, c.warmup) == ("sgd", "constant", 0)
            and c.sampling != "importance"
        )

    def _update_by_graph(self, inputs, labels) -> torch.Tensor:
        if self.replay is None:
            loss = self._update(inputs, labels)  # makes the momentum
            held = self.state.optimiser.state
            tensors = list(self.state.model.parameters())
            tensors += [held[p]["momentum_buffer"] for p in list(tensors)]
            try:
                self.replay = graphs.capture(
                    self._update, tensors, (inputs, labels)
                )
            except RuntimeError:  # slower, but right
                self.replay = self._update
            return loss
        return self.replay(inputs, labels)

    def _validate(self, bar, loss: torch.Tensor) -> None:
        state = self.state
        self._look(loss)
        psnr_db = self.supply.measure.psnr_db(state.kept())
        if math.isnan(psnr_db):
            self._give_up()
        row = {
            "step": state.step,
            "sub_images": state.step * self.config.batch,
            "seconds": round(state.seconds, 2),
            "psnr_db": round(psnr_db, 4),
        }
        state.history.append(row)
        bar.set_postfix_str(f"validation {row['psnr_db']:.2f} dB")
        if self.on_validate is not None:
            self.on_validate(row, state.kept())


def _commit() -> str | None:
    """The commit of the code, for the card; None outside a checkout."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=5,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
