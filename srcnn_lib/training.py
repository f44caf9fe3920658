"""Training: recipes, the loop, and what a stopped run needs to go on."""

import contextlib
import copy
import dataclasses
import functools
import hashlib
import math
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from . import checkpoints, streams, subimages
from .images import COLOURS
from .models import INITIALISATIONS, SRCNN, Network, choose_device, initialise
from .muon import Muon, revive
from .recipes import PRESETS, Config, same, usual_learning_rate
from .runs import RunFiles, describe_run
from .subimages import SubImages, TrainingError, Validation, split
from .threads import Threads

__all__ = [
    "PRESETS", "Config", "Run", "SubImages", "TrainingError", "Validation", "same",
    "split", "train", "usual_learning_rate",
]  # fmt: skip

#: Seconds between two writes of the state; steps between two looks at the loss, for
#: which a GPU has to be waited for.
SAVE_EVERY_S, LOOK_EVERY = 60, 50
#: Errors below this are quadratic to the Charbonnier loss, in 0…1.
CHARBONNIER = 1e-3


@dataclasses.dataclass
class Run:
    """What training gives back.

    `history` has a row per validation: step, sub_images (seen so far), seconds (of
    training, validations left out), psnr_db (validation).
    """

    model: Network
    config: Config
    history: list[dict]
    card: dict


def train(
    config: Config, images: Mapping[str, np.ndarray], *, network: Network | None = None,
    device: str = "auto", out: str | Path | None = None, resume: bool = False,
    overwrite: bool = False, threads: int | None = None, progress: bool = True,
    name: str = "given pictures",
    on_validate: Callable[[dict, Network], None] | None = None,
) -> Run:  # fmt: skip
    """Train a network; under ``torchrun`` several processes train as one.

    Parameters
    ----------
    images : name → uint8 picture, grey or RGB; see `split`.  A `datasets.Dataset` that
        is too large for memory is streamed.
    network : to train in place of the SRCNN that `config` describes, from the weights
        that it has; it is left as it was.
    device : auto, cpu, cuda or mps.
    out : folder for the weights, their card, and the state, written about every minute.
    resume, overwrite : go on from the state in `out`; or replace what is there.
    threads : of the CPU; found by trial where not given.
    progress : show a bar with the validation PSNR.
    name : of the training pictures, for the card.
    on_validate : called with each new row of the history and the network as it would be
        kept; the time this takes is not counted.

    Raises ValueError for an impossible recipe or device; TrainingError for unfit
    pictures, a state of another run, a folder in use, or a loss that is no longer
    finite; OSError when files can't be written; KeyboardInterrupt after the state was.
    """
    if network is not None:
        config = dataclasses.replace(config, arch=network.name, init="given")
    config.check(network)
    stem, target = f"{config.arch}_x{config.scale}", choose_device(device)
    with contextlib.ExitStack() as stack:
        rank, part, target = stack.enter_context(_processes(config.batch, target))
        files = None
        if out is not None and rank == 0:
            files = RunFiles(Path(out), stem, resume, overwrite)
            stack.callback(files.close)
        state = _State(config, network, target)
        data = _Data(images, config, state.model, target)
        recipe = {"recipe": dataclasses.asdict(config), "pictures": data.fingerprint}
        content = _from_first(files and files.read(recipe))
        if content is not None:
            state.load(content)
        loop = _Loop(state, data, part, rank, on_validate)
        loop.save = files and (lambda: files.write(state.content() | recipe))
        loop.run(Threads(threads), progress and rank == 0)
        card = describe_run(state, data, name, target) if rank == 0 else {}
        if files is not None:
            files.finish(state.kept(), card)
    return Run(state.kept(), config, state.history, card)


@contextlib.contextmanager
def _processes(batch: int, device: torch.device):
    """Join the processes that torchrun started: rank, share of a batch, own device."""
    size = int(os.environ.get("WORLD_SIZE", 1))
    if size == 1:
        yield 0, slice(None), device
        return
    if batch % size:
        raise ValueError(f"batch must be a multiple of {size} processes, not {batch}")
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    rank = dist.get_rank()
    try:
        yield rank, slice(rank * batch // size, (rank + 1) * batch // size), device
    finally:
        dist.destroy_process_group()


def _from_first(value):
    """Process 0's value, in every process."""
    box = [value]
    if dist.is_initialized():
        dist.broadcast_object_list(box)
    return box[0]


class _Data:
    """Mini-batches to learn from, in memory or streamed, and pictures to validate on.

    `skipped` is name → reason of the pictures that could not be used.
    """

    def __init__(self, images, config: Config, network: Network, device: torch.device):
        c, self.skipped = config, {}
        self.large = streams.is_large(images, COLOURS[c.colour], c.augment)
        if self.large and (c.augment or network.factor > 1):
            raise TrainingError(
                "data augmentation and networks that read the LR image need pictures "
                "that fit in memory; give fewer"
            )
        if not self.large:
            images = subimages.read_all_usable(images, c.size, c.scale, self.skipped)
        training, validation, origin = split(images)
        if self.large:
            validation = subimages.read_all_usable(validation, 1, c.scale, self.skipped)
        self.count, self.validated_on = len(training), f"{origin} ({len(validation)})"
        self.fingerprint = subimages.fingerprint(training, self.large)
        kind = {"device": device, "factor": network.factor, "colour": c.colour}
        self.measure = Validation(validation.values(), c.scale, **kind)
        if self.large:
            crops = streams.Crops(training, c.size, c.scale, c.seed, c.colour)
            self.batches = functools.partial(
                streams.Stream, crops, network.border, c.stride, device, count=c.batch,
                steps=c.steps, skipped=self.skipped,
            )  # fmt: skip
        else:
            shown = subimages.copies(training.values(), c.augment, c.seed)
            held = SubImages(shown, c.scale, c.size, network.border, c.stride, **kind)
            self.batches = lambda first, part: held


class _State:
    """Everything that a stopped run needs to go on as if it had never stopped."""

    def __init__(self, config: Config, network: Network | None, device: torch.device):
        self.config, self.began_with = config, None
        if network is not None:
            model = copy.deepcopy(network)
        else:
            model, self.began_with = _start(config)
        self.model = model.to(device)
        self.average = AveragedModel(model, multi_avg_fn=self._decay, use_buffers=True)
        self.optimisers = _optimisers(self.model, config)
        self.schedules = [
            torch.optim.lr_scheduler.LambdaLR(optimiser, self._factor)
            for optimiser in self.optimisers
        ]
        self.step, self.seconds, self.history = 0, 0.0, []

    def _decay(self, kept, new, _) -> None:
        """The first steps weigh little, or the start would linger."""
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        for old, now in zip(kept, new):
            old.lerp_(now, 1 - decay) if now.is_floating_point() else old.copy_(now)

    def _factor(self, step: int) -> float:
        """Of the learning rate: linear warm-up, then as scheduled."""
        c = self.config
        if step < c.warmup:
            return (step + 1) / c.warmup
        done = (step - c.warmup) / max(1, c.steps - c.warmup)
        ways = {"constant": 1.0, "linear": 1 - done}
        return ways.get(c.schedule, 0.5 * (1 + math.cos(math.pi * done)))

    def kept(self) -> Network:
        """The network to keep, ready to be used: averaged weights, or the last ones."""
        return (self.average.module if self.config.ema_decay else self.model).eval()

    def content(self) -> dict:
        """What is written; `load` takes it over."""
        parts = {"model": self.model.state_dict(), "average": self.average.state_dict()}
        for name in ("optimisers", "schedules"):
            parts[name] = [part.state_dict() for part in getattr(self, name)]
        plain = ("step", "seconds", "history", "began_with")
        return parts | {name: getattr(self, name) for name in plain}

    def load(self, content: dict) -> None:
        """Go on from what `content` gave."""
        for name, value in content.items():
            mine = getattr(self, name)
            if name in ("optimisers", "schedules"):
                for part, saved in zip(mine, value, strict=True):
                    part.load_state_dict(saved)
            elif name in ("model", "average"):
                mine.load_state_dict(value)
            else:
                setattr(self, name, value)


def _start(config: Config) -> tuple[SRCNN, dict | None]:
    """New weights; or those of another run, and their card without its history."""
    wanted, init = config.architecture(), config.init
    if init in INITIALISATIONS:
        generator = torch.Generator().manual_seed(config.seed)
        return initialise(SRCNN(*wanted), init, generator), None
    name, scale = init, None
    if not init.endswith(".safetensors"):
        name, _, scale = init.rpartition("_x")
        scale = int(scale)
    model, path = checkpoints.load(name, scale), checkpoints.locate(name, scale)
    if model.architecture != wanted:
        raise TrainingError(f"{init} is {model.architecture}, not {wanted}")
    if path.suffix != ".safetensors":
        return model, None
    card = checkpoints.read_card(path)
    card.pop("history", None)
    return model, card | {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def _optimisers(model: Network, c: Config) -> list[torch.optim.Optimizer]:
    rate, learnt = c.learning_rate, [p for p in model.parameters() if p.requires_grad]
    if c.optimiser == "adam":
        return [torch.optim.Adam(learnt, lr=rate, fused=True)]
    filters = {conv.weight for conv in model.convs[:-1]} & set(learnt)
    if c.optimiser == "muon":
        rest = [p for p in learnt if p not in filters]
        adam = torch.optim.Adam(rest, lr=rate / 10, fused=True)
        filters = [p for p in learnt if p in filters]
        return [Muon(filters, rate), adam] if filters else [adam]
    last = model.convs[-1].weight
    shares = (1 if p in filters else c.last_rate if p is last else 0.1 for p in learnt)
    groups = [{"params": [p], "lr": rate * s} for p, s in zip(learnt, shares)]
    return [torch.optim.SGD(groups, momentum=0.9)]


def _loss(out, label, weight: torch.Tensor | None, c: Config) -> torch.Tensor:
    """Mean over the mini-batch; `weight` (B,) makes up for importance sampling."""
    error = out - label
    if c.loss == "mse":
        error = error.square()
    elif c.loss == "l1":
        error = error.abs()
    else:
        error = (error.square() + CHARBONNIER**2).sqrt()
    # SGD's is Caffe's EuclideanLoss.
    each = error.sum((1, 2, 3)) / 2 if c.optimiser == "sgd" else error.mean((1, 2, 3))
    return each.mean() if weight is None else (weight * each).mean()


class _Loop:
    """Steps; process 0 also validates and saves the state."""

    def __init__(self, state: _State, data: _Data, part: slice, rank: int, on_validate):
        self.state, self.data, self.part, self.rank = state, data, part, rank
        self.save, self.on_validate, self.net = None, on_validate, state.model
        if dist.is_initialized():
            self.net = DistributedDataParallel(state.model)
        self.stopped = False

    def run(self, threads: Threads, progress: bool) -> None:
        state, c = self.state, self.state.config
        batches = self.data.batches(first=state.step, part=self.part)
        saved, loss = time.monotonic(), torch.zeros(())
        with contextlib.closing(batches), self._ctrl_c(), tqdm(
            total=c.steps, initial=state.step, disable=not progress, unit="step",
            desc=f"{c.arch} x{c.scale}", mininterval=0.5,
        ) as bar:  # fmt: skip
            while True:
                done, due = state.step == c.steps, self._validation_is_due()
                if done or due or state.step % LOOK_EVERY == 0:
                    self._look(loss)
                if due and self.rank == 0:
                    self._validate(bar)
                late = time.monotonic() - saved > SAVE_EVERY_S
                if self.save and (self.stopped or late and not done):
                    self._look(loss)
                    self.save()
                    saved = time.monotonic()
                if self.stopped:
                    raise KeyboardInterrupt
                if done:
                    return
                began = time.monotonic()
                loss = threads(lambda: self._step(batches))
                state.seconds += time.monotonic() - began
                bar.update()

    @contextlib.contextmanager
    def _ctrl_c(self):
        """Ctrl-C only sets `stopped`, so that no step is left half done."""
        main = threading.current_thread() is threading.main_thread()
        usual = signal.getsignal(signal.SIGINT)
        if main and usual is signal.default_int_handler:
            signal.signal(signal.SIGINT, lambda *_: setattr(self, "stopped", True))
        try:
            yield
        finally:
            if main:
                signal.signal(signal.SIGINT, usual)

    def _step(self, batches) -> torch.Tensor:
        state, c = self.state, self.state.config
        count = c.batch, c.sampling, c.seed, self.part
        self.net.train()
        for optimiser in state.optimisers:
            optimiser.zero_grad()
        try:
            inputs, labels, weights = batches.batch(state.step, *count)
            loss = _loss(self.net(inputs, "valid"), labels, weights, c)
            loss.backward()
        except (RuntimeError, MemoryError) as error:
            full = isinstance(error, MemoryError)  # Python's, which may say nothing
            if not (full or re.search("out of memory|allocate memory", str(error))):
                raise
            raise TrainingError(
                f"a mini-batch of {c.batch} sub-images of {c.size}×{c.size} pixels "
                "doesn't fit in memory; take a smaller batch or size"
            ) from None
        for part in (*state.optimisers, *state.schedules):
            part.step()
        self._revive()
        if c.ema_decay:
            state.average.update_parameters(state.model)
        state.step += 1
        return loss.detach()

    def _revive(self) -> None:
        """Early enough that new filters still have time to learn."""
        state, c = self.state, self.state.config
        due = c.revive and state.step and state.step % c.revive == 0
        if due and c.optimiser != "sgd" and state._factor(state.step) >= 0.3:
            generator = torch.Generator().manual_seed(state.step)
            average = state.average.module.convs if c.ema_decay else None
            revive(state.model.convs, state.optimisers[0], generator, average)

    def _look(self, loss: torch.Tensor) -> None:
        """Stop when the loss, a weight or an averaged one is no longer finite."""
        networks = self.state.model, self.state.average
        values = [v for net in networks for v in net.state_dict().values()]
        if not all(torch.isfinite(v).all() for v in (loss, *values)):
            raise TrainingError(
                f"the loss is no longer finite at step {self.state.step}; take a lower "
                "learning_rate (a state on disk is of an earlier step, and good)"
            )

    def _validation_is_due(self) -> bool:
        """Also true where a run was stopped between a step and its row."""
        step, c, history = self.state.step, self.state.config, self.state.history
        if step == (history[-1]["step"] if history else 0):
            return False
        return step == c.steps or (c.validate_every and step % c.validate_every == 0)

    def _validate(self, bar) -> None:
        state, kept = self.state, self.state.kept()
        row = {
            "step": state.step,
            "sub_images": state.step * state.config.batch,
            "seconds": round(state.seconds, 2),
            "psnr_db": round(self.data.measure.psnr_db(kept), 4),
        }
        state.history.append(row)
        bar.set_postfix_str(f"validation {row['psnr_db']:.2f} dB")
        if self.on_validate is not None:
            self.on_validate(row, kept)
