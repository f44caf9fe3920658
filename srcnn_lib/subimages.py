"""What training sees: sub-images to learn from, and pictures to validate on."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from skimage.transform import AffineTransform, warp

from . import datasets
from .images import to_uint8
from .protocol import degrade, pair, psnr
from .resize import bicubic, imresize

#: Share of the sub-images that importance sampling draws by their error.
IMPORTANT = 0.7
#: Ranges for augmentation: sharpening amount, relative width and height, rotation and
#: shear in degrees.
SHARPER, SIZES, TURN, SHEAR = (0.1, 0.7), (0.6, 1.05), 45, 20


class TrainingError(RuntimeError):
    """Training can't start or go on; the message says why, in one line."""


class Windows:
    """Pictures, and how to cut sub-images from them.

    `pictures` are [(input, label)], float32 (h, w, c) and (h·factor, w·factor, c), 0…1.
    A window is the number of its picture, and row and column of its upper left pixel in
    the input.
    """

    def __init__(self, size, border, stride, device, factor):
        if size % factor or border % factor:
            raise ValueError(
                f"sub-images of {size} pixels with a border of {border} don't line up "
                f"with an input that is {factor} times smaller"
            )
        self.device, self.factor, self.pictures = torch.device(device), factor, []
        # In pixels of the input.
        self.size, self.border = size // factor, border // factor
        self.stride, self.loader = max(1, stride // factor), None

    def close(self) -> None:
        """End the processes that read pictures, where there are any."""
        self.loader = None

    def cut(self, windows: torch.Tensor, symmetry: torch.Tensor | int = 0):
        """Cut sub-images: inputs (B, c, size / factor, …) and labels (B, c, size -
        2·border, …), 0…1.

        `windows` are (B, 3), as from `SubImages.grid`.  `symmetry`, (B,) or one number,
        is 0…3 quarter turns, and from 4 on also a flip.
        """
        f, b, inputs, labels = self.factor, self.border, [], []
        symmetry = torch.as_tensor(symmetry).expand(len(windows)).tolist()
        for (k, row, column), turns in zip(windows.tolist(), symmetry):
            bottom, right = row + self.size, column + self.size
            given, label = self.pictures[k]
            inner = slice((row + b) * f, (bottom - b) * f)
            label = label[inner, (column + b) * f : (right - b) * f]
            inputs.append(_turned(given[row:bottom, column:right], turns))
            labels.append(_turned(label, turns))
        both = (torch.from_numpy(np.stack(part)) for part in (inputs, labels))
        return tuple(part.to(self.device).movedim(3, 1) for part in both)

    def room(self, picture: int) -> tuple[int, int]:
        """Number of rows and of columns in which a window can begin."""
        height, width = self.pictures[picture][0].shape[:2]
        return height - self.size + 1, width - self.size + 1

    def errors(self, wide: np.ndarray, hr: np.ndarray) -> np.ndarray:
        """Root of the bicubic image's summed squared error in every window."""
        inner, b, f = self.size - 2 * self.border, self.border, self.factor
        error = np.square(np.subtract(wide, hr, dtype=np.float64)).mean(2)
        error = error.reshape(len(error) // f, f, -1, f).mean((1, 3))
        error = error[b : len(error) - b, b : error.shape[1] - b]
        # Sums over all windows, as differences of sums from the corner.
        total = np.pad(error.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
        window = total[inner:] - total[:-inner]
        window = window[:, inner:] - window[:, :-inner]
        return np.sqrt(window.clip(0)).ravel()


class SubImages(Windows):
    """Training pictures in memory, ready to be cut into sub-images.

    Parameters
    ----------
    images : uint8 pictures, grey or RGB.
    size : width of a sub-image in pixels; smaller pictures are left out, and it is a
        TrainingError if none is large enough.
    border : pixels that the network loses on each side: the label is that much smaller.
    stride : of the paper's grid, in pixels.
    device : of the mini-batches.
    factor : 1 if the network reads the bicubic image; the scale if it reads the LR
        image, and then `size` and `border` must be multiples of it (ValueError).
    scale, colour : see `protocol.pair`.
    """

    def __init__(
        self, images, scale, size, border, stride=14, device="cpu", factor=1, colour="y"
    ):
        super().__init__(size, border, stride, device, factor)
        self.wide = []  # the bicubic images
        for wide, hr in (pair(image, scale, colour) for image in images):
            if min(hr.shape[:2]) >= size:
                wide, hr = np.atleast_3d(wide), np.atleast_3d(hr)
                given = wide if factor == 1 else imresize(hr, 1 / factor)
                self.pictures.append((given.astype(np.float32, copy=False), hr))
                self.wide.append(wide)
        if not self.pictures:
            raise TrainingError(f"no training picture has {size}×{size} pixels")
        self.rooms = torch.tensor([self.room(k) for k in range(len(self.pictures))])
        self.ends = self.rooms.prod(1).cumsum(0)

    def grid(self) -> torch.Tensor:
        """Windows of the paper's grid, int64 (N, 3).

        They are 21,884 for the 91 images at x3, 33×33 pixels and stride 14, where the
        paper says "roughly 24,800".
        """
        return torch.cat([
            torch.cartesian_prod(
                torch.tensor([k]), *(torch.arange(0, n, self.stride) for n in room)
            )
            for k, room in enumerate(self.rooms.tolist())
        ])  # fmt: skip

    def batch(self, step: int, count: int, sampling: str, seed: int, part=slice(None)):
        """Mini-batch number `step`, which depends on `seed` and `step` alone.

        `sampling` is random, importance or grid; this process takes `part` of `count`
        sub-images.  Returns inputs, labels, and weights (B,) or None if all are equal.
        """
        generator = torch.Generator().manual_seed(seed * 2**32 + step)
        if sampling == "importance":
            return self.draw_important(count, generator, part)
        if sampling == "random":
            return *self.draw(count, generator, part), None
        count = min(count, len(self._grid))
        epoch, k = divmod(step, len(self._grid) // count)
        generator.manual_seed(seed * 2**32 + epoch)
        order = torch.randperm(len(self._grid), generator=generator)
        return *self.cut(self._grid[order[k * count : (k + 1) * count][part]]), None

    _grid = cached_property(grid)

    def draw(self, count: int, generator: torch.Generator, part=slice(None)):
        """Sub-images from anywhere, each in one of the eight symmetries.

        Every position in every picture is equally likely.  Returns input and label.
        """
        place = torch.randint(int(self.ends[-1]), (count,), generator=generator)
        symmetry = torch.randint(8, (count,), generator=generator)
        return self.cut(self._windows(place[part]), symmetry[part])

    def draw_important(self, count: int, generator: torch.Generator, part=slice(None)):
        """Sub-images, more often from where bicubic interpolation is wrong.

        With probability `IMPORTANT` a position is drawn in proportion to the input's
        root mean squared error there, otherwise all are equally likely.  Returns input,
        label and weights (B,): the weighted mean over many draws is the mean over all
        positions, but fewer draws come near it.
        """
        chance = torch.rand(count, generator=generator, dtype=torch.float64)[part]
        symmetry = torch.randint(8, (count,), generator=generator)[part]
        place, weight = important(self._likely, chance)
        return *self.cut(self._windows(place), symmetry), weight.to(self.device)

    @cached_property
    def _likely(self) -> torch.Tensor:
        both = zip(self.wide, (label for _, label in self.pictures))
        return likely(np.concatenate([self.errors(*pair) for pair in both]))

    def _windows(self, place: torch.Tensor) -> torch.Tensor:
        """Windows at positions counted through all pictures."""
        picture = torch.searchsorted(self.ends, place, right=True)
        rows, columns = self.rooms[picture].unbind(1)
        place = place - (self.ends[picture] - rows * columns)
        return torch.stack([picture, place // columns, place % columns], 1)


def likely(errors: np.ndarray) -> torch.Tensor:
    """Probability of each position or one before it, float64: by error, or uniform."""
    share = errors + 1e-12
    share = IMPORTANT * share / share.sum() + (1 - IMPORTANT) / len(share)
    return torch.from_numpy(share.cumsum())


def important(likely: torch.Tensor, chance: torch.Tensor):
    """The positions for random numbers in 0…1, and the weights that make up for it."""
    place = torch.searchsorted(likely, chance, right=True)
    place.clamp_(max=len(likely) - 1)
    before = torch.where(place > 0, likely[place - 1], 0)
    return place, (1 / (len(likely) * (likely[place] - before))).float()


def _turned(square: np.ndarray, symmetry: int) -> np.ndarray:
    """(s, s, c) in one of its eight symmetries: as ``np.rot90``, but a faster view."""
    square = square.swapaxes(0, 1) if symmetry % 2 else square
    down, right = (symmetry in turned for turned in ((1, 2, 5, 6), (2, 3, 4, 5)))
    return square[:: -1 if down else 1, :: -1 if right else 1]


# Data augmentation -----------------------------------------------------------


def copies(images: Iterable, augment: int = 0, seed: int = 0) -> Iterator[np.ndarray]:
    """Each picture, then `augment` sharper and as many warped copies of it (uint8)."""
    for number, image in enumerate(images):
        yield image
        generator = np.random.default_rng([seed, number])
        for _ in range(augment):
            yield sharper(image, generator.uniform(*SHARPER))
            yield warped(image, generator)


def sharper(image: np.ndarray, amount: float) -> np.ndarray:
    """Unsharp masking, uint8: add `amount` times what a Gaussian of σ = 1 removes."""
    blurred = gaussian_filter(image.astype(float), (1, 1, 0)[: image.ndim])
    return to_uint8(image + amount * (image - blurred))


def warped(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Rotate, shear and stretch a uint8 picture at random; its mirror fills the rest.

    The result has between 0.6 and 1.05 times the height, and the width.
    """
    height, width = image.shape[:2]
    across, down = generator.uniform(*SIZES, 2)
    turn, shear = np.deg2rad(generator.uniform(-1, 1, 2) * (TURN, SHEAR))
    shape = max(1, int(height * down)), max(1, int(width * across))
    onto = (
        AffineTransform(translation=(-width / 2, -height / 2))
        + AffineTransform(scale=(across, down), rotation=turn, shear=shear)
        + AffineTransform(translation=(shape[1] / 2, shape[0] / 2))
    )
    how = {"output_shape": shape, "order": 3, "mode": "reflect"}
    return to_uint8(warp(image.astype(float), onto.inverse, **how))


def read_usable(images, name: str, size: int, scale: int, skipped: dict):
    """A picture that training can use; otherwise None, and `skipped` says why."""
    try:
        image = images[name]
        if image.dtype != np.uint8:
            raise ValueError("more than 8 bits per channel; save it with 8")
        if image.shape[2:] == (4,):
            if image[..., 3].min() < 255:
                raise ValueError("has transparency; save it without")
            image = image[..., :3]
        if min(n - n % scale for n in image.shape[:2]) < size:
            raise ValueError(f"smaller than a sub-image of {size}×{size} pixels")
        return image
    except Exception as error:  # whatever is wrong with a file
        skipped[name] = " ".join(str(error).split())


def read_all_usable(images: Mapping, size: int, scale: int, skipped: dict) -> dict:
    """All pictures that training can use; TrainingError if there are none."""
    read = {name: read_usable(images, name, size, scale, skipped) for name in images}
    found = {name: image for name, image in read.items() if image is not None}
    if read and not found:
        name, reason = next(iter(skipped.items()))
        raise TrainingError(f"{name}: {reason}; there is no other picture to use")
    return found


def fingerprint(images: Mapping, of_files: bool = False) -> str:
    """The sha256 of pictures, or of the names and sizes of their files."""
    digest = hashlib.sha256()
    for name in images:
        if of_files:
            size = images.paths[name].stat().st_size
            digest.update(os.fsencode(f"{name}/{size}/"))
        else:
            digest.update(repr(images[name].shape).encode() + images[name].tobytes())
    return digest.hexdigest()


# Validation ------------------------------------------------------------------


def split(images: Mapping[str, np.ndarray]):
    """Training pictures, validation pictures, and in words where the latter are from.

    BSDS500 `val` validates where it is present, except what is trained on; otherwise
    every tenth training picture is held out, at most a hundred.  Never a test set.
    """
    if datasets.available("BSDS500-val"):
        found = datasets.load("BSDS500-val")

        def content(pictures, name):  # of files, the size will do
            if isinstance(images, datasets.Dataset):
                return pictures.paths[name].stat().st_size
            return pictures[name].tobytes()

        known = {content(images, name) for name in images}
        if kept := [name for name in found if content(found, name) not in known]:
            return images, _part(found, kept), "BSDS500 val"
    names = list(images)
    if len(names) < 2:
        raise TrainingError("training needs at least two pictures")
    held_out = names[:: max(10, -(-len(names) // 100))]
    rest = _part(images, [name for name in names if name not in held_out])
    origin = f"{len(held_out)} held-out training pictures"
    return rest, _part(images, held_out), origin


def _part(images: Mapping, names: list[str]) -> Mapping:
    """Some of the pictures; those of a data set are still to be read."""
    if not isinstance(images, datasets.Dataset):
        return {name: images[name] for name in names}
    return replace(images, paths={name: images.paths[name] for name in names})


class Validation:
    """Mean PSNR on pictures that are neither trained on nor test pictures.

    The middle `size` pixels of uint8 pictures are used, by the protocol for `scale`; it
    is a TrainingError if none is larger than two borders.  `factor` is as of
    `SubImages`.  With three planes, see `images.planes`, the error is that of all.
    """

    def __init__(self, images, scale, size=168, device="cpu", factor=1, colour="y"):
        self.scale, self.pictures, size = scale, [], size - size % scale
        for image in images:
            height, width = (n - n % scale for n in image.shape[:2])
            top, left = (max(0, (n - size) // 2) for n in (height, width))
            middle = image[top:height, left:width][:size, :size]
            if min(middle.shape[:2]) > 2 * scale:
                hr, lr = degrade(middle, scale, colour=colour)
                wide = bicubic(lr, scale).astype(np.float32)
                given = np.atleast_3d(wide if factor == 1 else lr.astype(np.float32))
                given = torch.from_numpy(given).permute(2, 0, 1)[None]
                self.pictures.append((given.to(device), wide, hr))
        if not self.pictures:
            raise TrainingError(f"no validation picture exceeds {2 * scale} pixels")

    def bicubic_db(self) -> float:
        """PSNR of the bicubic image itself."""
        return self._mean_db(wide for _, wide, _ in self.pictures)

    @torch.no_grad()
    def psnr_db(self, network: Callable) -> float:
        """Mean PSNR in dB, by the protocol's clip, rounding and border."""
        answers = (network(given)[0] for given, _, _ in self.pictures)
        return self._mean_db(y.permute(1, 2, 0).cpu().numpy() for y in answers)

    def _mean_db(self, answers: Iterable[np.ndarray]) -> float:
        hrs = [hr for _, _, hr in self.pictures]
        srs = [to_uint8(255.0 * sr).reshape(hr.shape) for sr, hr in zip(answers, hrs)]
        return float(np.mean([psnr(*p, crop=self.scale) for p in zip(hrs, srs)]))
