"""Folders of any size: crops that PyTorch's `DataLoader` reads during training."""

import hashlib
import math
import os
from collections.abc import Mapping

import numpy as np
import torch
from PIL import Image

from .images import COLOURS
from .protocol import pair
from .subimages import (
    SubImages,
    TrainingError,
    Validation,
    Windows,
    copies,
    important,
    likely,
    split,
    usable,
)

#: Bytes of pictures, at 8 a pixel and plane, that are still kept in memory.
MEMORY = 600_000_000
#: A stream holds at least POOL crops of CROP × CROP pixels, and draws PER_CROP
#: sub-images from each before the next one takes its place.
POOL, CROP, PER_CROP = 256, 192, 64


def is_large(images: Mapping, planes: int = 1, augment: int = 0) -> bool:
    """Whether pictures on disk, with their copies, exceed `MEMORY`."""
    room = MEMORY / (8 * planes * (1 + 2 * augment))
    for path in getattr(images, "paths", {}).values():
        try:
            with Image.open(path) as opened:
                room -= math.prod(opened.size)
        except Exception:  # a damaged one is named when it is read
            continue
        if room < 0:
            return True
    return False


class Crops(torch.utils.data.Dataset):
    """An endless, shuffled sequence; crop n depends on `seed` and n alone.

    `images`, name → uint8 picture, are read when they are asked for; the rest is as of
    `SubImages`.
    """

    def __init__(self, images, size: int, scale: int, seed: int, colour: str = "y"):
        self.images, self.names, self.seed = images, list(images), seed
        self.size, self.scale, self.colour = size, scale, colour
        self.width, self.order = max(CROP, size + scale), (-1, None)

    def __getitem__(self, n: int):
        """A pair from `protocol.pair`, and name → reason of pictures passed over."""
        skipped = {}
        for k in range(n, n + 20):
            epoch, place = divmod(k, len(self.names))
            if self.order[0] != epoch:
                shuffle = np.random.default_rng([self.seed, epoch]).permutation
                self.order = epoch, shuffle(len(self.names))
            name = self.names[self.order[1][place]]
            try:
                image = usable(self.images[name], self.size, self.scale)
            except Exception as error:  # whatever is wrong with a file
                skipped[name] = " ".join(str(error).split())
                continue
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
        here = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
        self.loader = iter(torch.utils.data.DataLoader(
            crops,
            batch_size=None,
            sampler=(n for n in wanted if n % slots in mine),
            num_workers=max(1, min(4, (os.cpu_count() or 1) // 2 // here)),
            prefetch_factor=8,
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
                wide, hr = np.atleast_3d(*own)
                self.pictures[slot] = wide, hr
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
        weights = torch.stack(weights).to(self.device)
        return *self.cut(windows, symmetry), weights


class TrainingData:
    """Mini-batches to learn from, in memory or streamed, and pictures to validate on.

    `images`, `config` and `network` are those of `training.train`.

    Attributes
    ----------
    skipped : name → reason of the pictures that could not be used.
    fingerprint : sha256 of the training pictures, or of the names and sizes of files.
    """

    def __init__(self, images, config, network, device):
        c, self.skipped = config, {}
        digest = hashlib.sha256()
        self.large = is_large(images, COLOURS[c.colour], c.augment)
        if self.large and (c.augment or network.factor > 1):
            raise TrainingError(
                "data augmentation and networks that read the LR image need pictures "
                "that fit in memory; give fewer"
            )
        if not self.large:
            images = self._usable(images, c.size, c.scale)
        training, validation, origin = split(images)
        if self.large:
            validation = self._usable(validation, 1, c.scale)
        for name in training:
            if self.large:
                size = os.stat(training.paths[name]).st_size
                digest.update(os.fsencode(f"{name}/{size}/"))
            else:
                image = np.ascontiguousarray(training[name])
                digest.update(repr(image.shape).encode() + image.tobytes())
        self.fingerprint, self.count = digest.hexdigest(), len(training)
        self.validated_on = f"{origin} ({len(validation)})"
        more = {"device": device, "factor": network.factor, "colour": c.colour}
        self.measure = Validation(validation.values(), c.scale, **more)
        if self.large:
            crops = Crops(training, c.size, c.scale, c.seed, c.colour)
            self.batches = lambda first, part: Stream(
                crops, network.border, c.stride, device,
                count=c.batch, steps=c.steps, first=first, part=part,
                skipped=self.skipped,
            )  # fmt: skip
        else:
            shown = copies(training.values(), c.augment, c.seed)
            held = SubImages(shown, c.scale, c.size, network.border, c.stride, **more)
            self.batches = lambda first, part: held

    def _usable(self, images: Mapping, size: int, scale: int) -> dict:
        """Those that training can use."""
        found, skipped = {}, {}
        for name in images:
            try:
                found[name] = usable(images[name], size, scale)
            except Exception as error:  # whatever is wrong with a file
                skipped[name] = " ".join(str(error).split())
        self.skipped |= skipped
        if images and not found:
            name, reason = next(iter(skipped.items()))
            raise TrainingError(f"{name}: {reason}; there is no other picture to use")
        return found
