"""Several processes that train as one, as ``torchrun`` starts them.

Each process has the same weights and cuts its part of the same batch; the
mean of their gradients is the gradient of the whole batch, but for rounding.
(That grows as training goes on, just as it does where the sub-images of a
batch come in another order.)  Process 0 alone prints, validates and writes.
"""

import contextlib
import datetime
import os
import sys
from collections.abc import Iterator

import torch
import torch.distributed as dist

#: How long the others wait for one that validates or makes an index.
PATIENCE = datetime.timedelta(hours=2)


class World:
    """All processes of a run; `rank` is this one's number of `size`.

    What they tell each other goes by `talk`, a group that needs no GPU.
    """

    def __init__(self, rank: int = 0, size: int = 1, talk=None):
        self.rank, self.size, self.talk = rank, size, talk

    def part(self, batch: int) -> slice:
        """This process's part of a batch of so many sub-images.

        Raises
        ------
        ValueError : when the parts would not be equal.
        """
        if batch % self.size:
            below = batch - batch % self.size
            near = f"{below} or " if below else ""
            raise ValueError(
                f"a batch of {batch} can't be shared by {self.size} "
                f"processes; take --batch {near}{below + self.size}"
            )
        share = batch // self.size
        return slice(self.rank * share, (self.rank + 1) * share)

    def average(self, tensors: list[torch.Tensor]) -> None:
        """Set each tensor to its mean over all processes, in place."""
        if self.size == 1:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        with _lost_is_silent():
            dist.all_reduce(flat)
        flat /= self.size
        parts = flat.split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts):
            tensor.copy_(part.view_as(tensor))

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        if self.size == 1:
            return flag
        votes = torch.tensor(float(flag))
        with _lost_is_silent():
            dist.all_reduce(votes, group=self.talk)
        return bool(votes)

    def share(self, value):
        """Process 0's value, in every process."""
        if self.size == 1:
            return value
        box = [value]
        with _lost_is_silent():
            dist.broadcast_object_list(box, src=0, group=self.talk)
        return box[0]

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """What fails in one process fails in all, and is said once.

        Process 0 raises its own error, or else that of the first that has
        one; the others leave with status 2.
        """
        if self.size == 1:
            yield
            return
        error = None
        try:
            yield
        except Exception as e:
            error = e
        errors: list = [None] * self.size
        with _lost_is_silent():
            said = None if error is None else str(error)
            dist.all_gather_object(errors, said, group=self.talk)
        if not any(message is not None for message in errors):
            return
        if self.rank:
            raise SystemExit(2)
        if error is not None:
            raise error
        rank = next(k for k, e in enumerate(errors) if e is not None)
        raise ValueError(f"process {rank}: {errors[rank]}")

    @contextlib.contextmanager
    def speaking(
        self, silent: tuple[type[BaseException], ...]
    ) -> Iterator[None]:
        """An error of this process alone is said by it.

        Parameters
        ----------
        silent : the errors that all have alike, and process 0 says.
        """
        try:
            yield
        except silent:
            raise
        except Exception:
            if self.rank:
                sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
            raise


@contextlib.contextmanager
def _lost_is_silent() -> Iterator[None]:
    """Another process has ended: it is the one to say why."""
    try:
        yield
    except RuntimeError:
        raise SystemExit(2) from None


@contextlib.contextmanager
def join() -> Iterator[World]:
    """The processes that torchrun started, or this one alone.

    Each gets a GPU of its own where there are enough, and then NCCL adds up
    the gradients; otherwise Gloo does.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World()
        return
    backend = "gloo"
    here = int(os.environ.get("LOCAL_WORLD_SIZE", size))
    if torch.cuda.is_available() and torch.cuda.device_count() >= here:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        backend = "cpu:gloo,cuda:nccl"  # with --device cpu Gloo all the same
    with _lost_is_silent():
        dist.init_process_group(backend, timeout=PATIENCE)
        talk = dist.new_group(backend="gloo", timeout=PATIENCE)
    try:
        yield World(dist.get_rank(), size, talk)
    finally:
        with contextlib.suppress(RuntimeError):
            dist.destroy_process_group()
