"""What training sees: sub-images to learn from, and pictures to validate on."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache, cached_property

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from skimage.transform import AffineTransform, warp

from . import datasets
from .images import planes, to_uint8
from .protocol import pair, psnr
from .resize import imresize

#: Share of the sub-images that importance sampling draws by their error.
IMPORTANT = 0.7
#: Ranges for augmentation: sharpening amount, relative width and height, rotation and
#: shear in degrees.
SHARPER, SIZES, TURN, SHEAR = (0.1, 0.7), (0.6, 1.05), 45, 20


class TrainingError(RuntimeError):
    """Training can't start or go on; the message says why, in one line."""


class Windows:
    """Pictures, and how to cut sub-images from them.

    A window is the number of its picture, and row and column of its upper left pixel in
    the input.

    Attributes
    ----------
    pictures : [(input, label)], float32 (h, w, c) and (h·factor, w·factor, c), 0…1.
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
        """Cut sub-images.

        Parameters
        ----------
        windows : (B, 3), as from `SubImages.grid`.
        symmetry : (B,) in 0…7, or one number; 0 leaves the sub-image as it is.

        Returns
        -------
        Input (B, c, size / factor, …) and label (B, c, size - 2·border, …), 0…1.
        """
        f, b, inputs, labels = self.factor, self.border, [], []
        for k, row, column in windows.tolist():
            bottom, right = row + self.size, column + self.size
            given, label = self.pictures[k]
            inputs.append(given[row:bottom, column:right])
            inner = slice((row + b) * f, (bottom - b) * f)
            labels.append(label[inner, (column + b) * f : (right - b) * f])
        turned = (_turn(np.stack(part), symmetry) for part in (inputs, labels))
        return tuple(torch.from_numpy(t).to(self.device).movedim(3, 1) for t in turned)

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
    images : uint8 pictures, grey or RGB; or pairs from `protocol.pair`.
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
        self.wide = []
        for image in images:
            both = image if isinstance(image, tuple) else pair(image, scale, colour)
            if min(both[1].shape[:2]) >= size:
                given, label, wide = as_input(*both, factor)
                self.pictures.append((given, label))
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

        `sampling` is random, importance or grid; this process takes `part` of the
        `count` sub-images.  Returns input and label as from `cut`, and weights (B,), or
        None where all count alike.
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
        label and weights (B,) that make up for it: the weighted mean over many draws is
        the mean over all positions, but fewer draws come near it.
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


def as_input(wide: np.ndarray, hr: np.ndarray, factor: int):
    """Input, label and bicubic image, (H, W, c), from a pair."""
    wide, hr = np.atleast_3d(wide), np.atleast_3d(hr)
    if factor == 1:
        return wide, hr, wide
    return imresize(hr, 1 / factor).astype(np.float32), hr, wide


@cache
def _symmetries(size: int) -> np.ndarray:
    """(8, size²): the pixels of a square in the order of its turns and flips."""
    square = np.arange(size**2).reshape(size, size)
    turned = [np.rot90(square, k) for k in range(4)]
    return np.stack([*turned, *(t[:, ::-1] for t in turned)]).reshape(8, -1)


def _turn(squares: np.ndarray, symmetry) -> np.ndarray:
    """(B, s, s, c), each square in its symmetry."""
    count, size, _, channels = squares.shape
    pixels = _symmetries(size)[symmetry]
    flat = squares.reshape(count, -1, channels)
    return flat[np.arange(count)[:, None], pixels].reshape(squares.shape)


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


def usable(image: np.ndarray, size: int, scale: int) -> np.ndarray:
    """The picture, if training can use it.  ValueError: why it can't."""
    if image.dtype != np.uint8:
        raise ValueError("more than 8 bits per channel; save it with 8")
    if image.ndim == 3 and image.shape[2] == 4:
        if image[..., 3].min() < 255:
            raise ValueError("has transparency; save it without")
        image = image[..., :3]
    if min(n - n % scale for n in image.shape[:2]) < size:
        raise ValueError(f"smaller than a sub-image of {size}×{size} pixels")
    return image


# Validation ------------------------------------------------------------------


def split(images: Mapping[str, np.ndarray]):
    """Training pictures, validation pictures, and in words where the latter are from.

    BSDS500 `val` validates where it is present, except what is trained on; otherwise
    every tenth training picture is held out, at most a hundred.  Never a test set.
    """
    if datasets.available("BSDS500-val"):
        found = datasets.load("BSDS500-val")
        if isinstance(images, datasets.Dataset):  # a copy of a file has its size
            known = {path.stat().st_size for path in images.paths.values()}
            kept = [k for k, p in found.paths.items() if p.stat().st_size not in known]
        else:
            known = {image.tobytes() for image in images.values()}
            kept = [k for k, image in found.items() if image.tobytes() not in known]
        if kept:
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

    Parameters
    ----------
    images : uint8 pictures; the middle `size` pixels of each are used.
    scale : magnification, and the border left out; it is a TrainingError if no picture
        is larger than two borders.
    factor : 1 if networks read the bicubic image; the scale if they read the LR image.
    colour : see `images.planes`; the error is that of all planes together.
    """

    def __init__(self, images, scale, size=168, device="cpu", factor=1, colour="y"):
        self.scale, self.pictures, size = scale, [], size - size % scale
        for image in images:
            hr = planes(image, colour)
            height, width = (n - n % scale for n in hr.shape[:2])
            top, left = (max(0, (n - size) // 2) for n in (height, width))
            hr = hr[top:height, left:width][:size, :size]
            if min(hr.shape[:2]) <= 2 * scale:
                continue
            wide, _ = pair(hr, scale, "y" if hr.ndim == 2 else "rgb")
            given = wide
            if factor > 1:
                given = imresize(hr / 255.0, 1 / scale).astype(np.float32)
            given = torch.from_numpy(np.atleast_3d(given)).permute(2, 0, 1)[None]
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
