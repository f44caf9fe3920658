"""Folders of any size: crops that PyTorch's `DataLoader` reads during training."""

import contextlib
import math
import os
from collections.abc import Mapping

import numpy as np
import torch
from PIL import Image

from .protocol import pair
from .subimages import TrainingError, Windows, important, likely, read_usable

#: Bytes of pictures, at 8 a pixel and plane, that are still kept in memory.
MEMORY = 600_000_000
#: A stream holds at least POOL crops of CROP × CROP pixels, and draws PER_CROP
#: sub-images from each before the next one takes its place.
POOL, CROP, PER_CROP = 256, 192, 64


def is_large(images: Mapping, planes: int = 1, augment: int = 0) -> bool:
    """Whether pictures on disk, with their copies, exceed `MEMORY`."""
    room = MEMORY / (8 * planes * (1 + 2 * augment))
    for path in getattr(images, "paths", {}).values():
        # A damaged one is named when it is read.
        with contextlib.suppress(Exception), Image.open(path) as opened:
            room -= math.prod(opened.size)
        if room < 0:
            return True
    return False


class Crops(torch.utils.data.Dataset):
    """An endless, shuffled sequence; crop n depends on `seed` and n alone.

    `images`, name → uint8 picture, are read when they are asked for.
    """

    def __init__(self, images, size: int, scale: int, seed: int, colour: str = "y"):
        self.images, self.names, self.seed = images, list(images), seed
        self.size, self.scale, self.colour = size, scale, colour
        self.width, self.epoch = max(CROP, size + scale), -1

    def __getitem__(self, n: int):
        """A pair from `protocol.pair`, and name → reason of pictures passed over."""
        skipped = {}
        for k in range(n, n + 20):
            epoch, place = divmod(k, len(self.names))
            if self.epoch != epoch:
                shuffle = np.random.default_rng([self.seed, epoch]).permutation
                self.epoch, self.order = epoch, shuffle(len(self.names))
            name = self.names[self.order[place]]
            image = read_usable(self.images, name, self.size, self.scale, skipped)
            if image is not None:
                corner = np.random.default_rng([self.seed, n]).random(2)
                room = np.maximum(1, np.subtract(image.shape[:2], self.width) + 1)
                top, left = (corner * room).astype(int)
                part = image[top : top + self.width, left : left + self.width]
                return pair(part, self.scale, self.colour), skipped
        return None, skipped


class Stream(Windows):
    """Sub-images from a pool of crops, whose oldest is replaced again and again.

    Crop n lies in slot n modulo the number of slots, and sub-image j of a mini-batch
    comes from the slots that are j modulo `count`.  So mini-batch k is the same for any
    number of workers and processes, each process reads only its share, and a run can
    go on at any step.

    Mini-batches number `first` to `steps` have `count` sub-images, of which this
    process takes `part`; pictures that can't be used are added to `skipped`, name →
    reason.  `border`, `stride` and `device` are as of `SubImages`.
    """

    def __init__(
        self, crops, border, stride, device, *, count, steps, first, part, skipped
    ):
        super().__init__(crops.size, border, stride, device, 1)
        self.count, self.skipped = count, skipped
        slots = count * -(-POOL // count)
        self.pictures, self.likely = [None] * slots, [None] * slots
        self.mine = mine = {s for s in range(slots) if s % count in range(count)[part]}
        self.read = self._newest(first) - slots
        wanted = range(self.read, self._newest(steps))
        cores = (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", 1))
        self.loader = iter(torch.utils.data.DataLoader(
            crops, batch_size=None, sampler=(n for n in wanted if n % slots in mine),
            num_workers=min(max(1, cores // 2), 4), prefetch_factor=8,
        ))  # fmt: skip

    def _newest(self, step: int) -> int:
        """How many crops have been needed up to a step."""
        return len(self.pictures) + step * self.count // PER_CROP

    def _renew(self, step: int) -> None:
        for n in range(self.read, self._newest(step)):
            slot = n % len(self.pictures)
            if slot in self.mine:
                both, skipped = next(self.loader)
                self.skipped.update(skipped)
                if both is None:
                    name, reason = next(iter(skipped.items()))
                    raise TrainingError(f"{name}: {reason}; nor do the next 19 serve")
                own = [part.numpy().copy() for part in both]  # frees shared memory
                self.pictures[slot] = wide, hr = np.atleast_3d(*own)
                self.likely[slot] = likely(self.errors(wide, hr))
        self.read = max(self.read, self._newest(step))

    def batch(self, step: int, count: int, sampling: str, seed: int, part=slice(None)):
        """As `SubImages.batch`, but every crop is as likely as any other."""
        self._renew(step)
        generator = torch.Generator().manual_seed(seed * 2**32 + step)
        chances = torch.rand(count, generator=generator, dtype=torch.float64)[part]
        symmetry = torch.randint(8, (count,), generator=generator)[part]
        slots = ((step * count + torch.arange(count)) % len(self.pictures))[part]
        windows, weights = [], []
        for slot, chance in zip(slots.tolist(), chances):
            rows, columns = self.room(slot)
            place, weight = int(chance * rows * columns), torch.ones(())
            if sampling == "importance":
                place, weight = important(self.likely[slot], chance)
            windows.append((slot, *divmod(int(place), columns)))
            weights.append(weight)
        windows = torch.tensor(windows)
        if sampling == "grid":
            windows[:, 1:] -= windows[:, 1:] % self.stride
            symmetry = 0
        return *self.cut(windows, symmetry), torch.stack(weights).to(self.device)
