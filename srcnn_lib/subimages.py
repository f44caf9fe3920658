"""What training sees: sub-images to learn from, and pictures to validate on.

Pictures lie on the device as two long vectors, the input and the ground truth.  A
sub-image is a set of positions in them, so that cutting, turning and flipping a whole
mini-batch is one indexing operation.  Where the input is smaller than the ground truth
by a factor, the ground truth lies in blocks of factor × factor pixels, one for each
pixel of the input, so that both line up.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from skimage.transform import AffineTransform, warp
from torch.nn import functional as F

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
    """Pictures as two long vectors on the device, from which windows are cut."""

    def __init__(self, size, border, stride, device, factor):
        if size % factor or border % factor:
            raise ValueError(
                f"sub-images of {size} pixels with a border of {border} don't line up "
                f"with an input that is {factor} times smaller"
            )
        self.device, self.factor = torch.device(device), factor
        # In pixels of the input.
        self.size, self.border = size // factor, border // factor
        self.stride = max(1, stride // factor)
        self.windows = _symmetries(self.size).to(device)  # (8, size, size, 2)
        inner = slice(border, size - border)
        answers = _symmetries(size)[:, inner, inner].to(device)
        self.blocks, (row, column) = answers // factor, (answers % factor).unbind(-1)
        self.within = row * factor + column

    def cut(self, start: torch.Tensor, width: torch.Tensor, symmetry=0):
        """Cut sub-images.

        Parameters
        ----------
        start, width : (B,) first pixel and picture width, as from `SubImages.grid`.
        symmetry : (B,) in 0…7, or one number; 0 leaves the sub-image as it is.

        Returns
        -------
        Input (B, c, size / factor, …) and label (B, c, size - 2·border, …), 0…1.
        """
        start, width = (t.to(self.device)[:, None, None] for t in (start, width))
        if isinstance(symmetry, torch.Tensor):
            symmetry = symmetry.to(self.device)

        def position(pixel):  # (B, h, w, 2) rows and columns → (B, h, w)
            return start + pixel[..., 0] * width + pixel[..., 1]

        index = position(self.windows[symmetry])
        place = position(self.blocks[symmetry]) * self.factor**2
        label = self.label[place + self.within[symmetry]]
        # (B, …, …, c) ↦ (B, c, …, …), for one channel without a copy.
        return self.input[index].movedim(3, 1), label.movedim(3, 1)

    def errors(self, start: int, height: int, width: int) -> torch.Tensor:
        """Root of the bicubic image's summed squared error in every window."""
        inner, b, f2 = self.size - 2 * self.border, self.border, self.factor**2
        here = slice(start * f2, (start + height * width) * f2)
        error = (self.wide[here] - self.label[here]).cpu().double()
        error = error.square().mean(1).view(height, width, f2).mean(2)
        error = error[b : height - b, b : width - b]
        # Sums over all windows, as differences of sums from the corner.
        total = F.pad(error.cumsum(0).cumsum(1), (1, 0, 1, 0))
        window = total[inner:] - total[:-inner]
        window = window[:, inner:] - window[:, :-inner]
        return window.clamp_min(0).sqrt().flatten()


class SubImages(Windows):
    """Training pictures in memory, ready to be cut into sub-images.

    Parameters
    ----------
    images : uint8 pictures of any size, grey or RGB; or pairs from `protocol.pair`.
    scale : magnification, for `protocol.pair`.
    size : width of a sub-image in pixels; smaller pictures are left out.
    border : pixels that the network loses on each side: the label is that much smaller.
    stride : of the paper's grid, in pixels.
    factor : 1 if the network reads the bicubic image; the scale if it reads the LR
        image, and then `size` and `border` must be multiples of it (ValueError).
    colour : "y", "ycbcr" or "rgb", see `images.planes`.

    Raises
    ------
    TrainingError : when no picture is large enough.
    """

    def __init__(
        self, images, scale, size, border, stride=14, device="cpu", factor=1, colour="y"
    ):
        super().__init__(size, border, stride, device, factor)
        parts, shapes = [], []
        for image in images:
            both = image if isinstance(image, tuple) else pair(image, scale, colour)
            if min(both[1].shape[:2]) >= size:
                *vectors, shape = as_vectors(both, factor)
                parts.append(vectors)
                shapes.append(shape)
        if not shapes:
            raise TrainingError(f"no training picture has {size}×{size} pixels")
        whole = (torch.from_numpy(np.concatenate(vectors)) for vectors in zip(*parts))
        self.input, self.label, self.wide = (vector.to(device) for vector in whole)
        self.heights, self.widths = torch.tensor(shapes).T
        pixels = self.heights * self.widths
        self.offsets = pixels.cumsum(0) - pixels
        places = (self.heights - self.size + 1) * (self.widths - self.size + 1)
        self.ends = places.cumsum(0)
        self.places = int(self.ends[-1])

    def grid(self) -> tuple[torch.Tensor, torch.Tensor]:
        """First pixel and picture width of every sub-image of the paper's grid.

        Two int64 tensors (N,): 21,884 for the 91 images at x3, 33×33 pixels and stride
        14, where the paper says "roughly 24,800".
        """
        starts, widths = [], []
        for offset, height, width in zip(self.offsets, self.heights, self.widths):
            rows = torch.arange(0, height - self.size + 1, self.stride)
            columns = torch.arange(0, width - self.size + 1, self.stride)
            starts.append((offset + rows[:, None] * width + columns).flatten())
            widths.append(width.expand(len(starts[-1])))
        return torch.cat(starts), torch.cat(widths)

    def batch(self, step: int, count: int, sampling: str, seed: int, part=slice(None)):
        """Mini-batch number `step`, which depends on `seed` and `step` alone.

        `sampling` is "random", "importance" or "grid"; `part` are those of the `count`
        sub-images that this process takes.  Returns input and label as from `cut`, and
        weights (B,), or None where all count alike.
        """
        generator = torch.Generator().manual_seed(seed * 2**32 + step)
        if sampling == "importance":
            return self.draw_important(count, generator, part)
        if sampling == "random":
            return *self.draw(count, generator, part), None
        starts, widths = self._grid
        count = min(count, len(starts))
        epoch, k = divmod(step, len(starts) // count)
        generator.manual_seed(seed * 2**32 + epoch)
        order = torch.randperm(len(starts), generator=generator)
        chosen = order[k * count : (k + 1) * count][part]
        return *self.cut(starts[chosen], widths[chosen]), None

    _grid = cached_property(grid)

    def draw(self, count: int, generator: torch.Generator, part=slice(None)):
        """Sub-images from anywhere, each in one of the eight symmetries.

        Every position in every picture is equally likely.  Returns input and label.
        """
        place = torch.randint(self.places, (count,), generator=generator)
        symmetry = torch.randint(8, (count,), generator=generator)
        return self._cut_at(place[part], symmetry[part])

    def draw_important(self, count: int, generator: torch.Generator, part=slice(None)):
        """Sub-images, more often from where bicubic interpolation is wrong.

        With probability `IMPORTANT` a position is drawn in proportion to the input's
        root mean squared error there, otherwise all are equally likely.  Returns input,
        label and weights (B,) that make up for it: the weighted mean over many draws is
        the mean over all positions, but fewer draws come near it.
        """
        chance = torch.rand(count, generator=generator, dtype=torch.float64)[part]
        symmetry = torch.randint(8, (count,), generator=generator)[part]
        place = torch.searchsorted(self._likely, chance, right=True)
        place.clamp_(max=self.places - 1)
        before = torch.where(place > 0, self._likely[place - 1], 0)
        weight = 1 / (self.places * (self._likely[place] - before))
        return *self._cut_at(place, symmetry), weight.float().to(self.device)

    @cached_property
    def _likely(self) -> torch.Tensor:
        """Probability of each position or one before it, float64 (places,)."""
        pictures = zip(self.offsets.tolist(), self.heights, self.widths)
        return cumulative(torch.cat([self.errors(*where) for where in pictures]))

    def _cut_at(self, place: torch.Tensor, symmetry: torch.Tensor):
        """Cut at positions counted through all pictures."""
        picture = torch.searchsorted(self.ends, place, right=True)
        width = self.widths[picture]
        columns, rows = width - self.size + 1, self.heights[picture] - self.size + 1
        place = place - (self.ends[picture] - rows * columns)
        start = self.offsets[picture] + place // columns * width + place % columns
        return self.cut(start, width, symmetry)


def cumulative(errors: torch.Tensor) -> torch.Tensor:
    """Mixture of draws by error and uniform ones, summed up along the last axis."""
    share = errors.add_(1e-12)
    share *= IMPORTANT / share.sum()
    share += (1 - IMPORTANT) / len(share)
    return share.cumsum_(0)


def as_vectors(both: tuple[np.ndarray, np.ndarray], factor: int):
    """Input (n, c), label and bicubic image in blocks, and the input's shape."""
    wide, hr = both
    label = _blocks(hr, factor)
    if factor == 1:
        return (given := _blocks(wide, 1)), label, given, wide.shape[:2]
    lr = imresize(hr, 1 / factor).astype(np.float32)
    return _blocks(lr, 1), label, _blocks(wide, factor), lr.shape[:2]


def _blocks(image: np.ndarray, f: int) -> np.ndarray:
    """(H, W) or (H, W, c) ↦ (H·W, c): f × f blocks, each in turn by rows."""
    height, width = image.shape[:2]
    blocks = image.reshape(height // f, f, width // f, f, -1)
    return blocks.swapaxes(1, 2).reshape(height * width, -1)


def _symmetries(size: int) -> torch.Tensor:
    """Row and column of each pixel in the 8 turns and flips of a square."""
    pixels = torch.arange(size)
    square = torch.stack(torch.meshgrid(pixels, pixels, indexing="ij"), dim=-1)
    turned = [torch.rot90(square, k) for k in range(4)]
    return torch.stack([*turned, *(t.flip(1) for t in turned)])


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
    """Unsharp masking: add `amount` times what a Gaussian of σ = 1 pixel removes.

    `image` and the result are uint8, (H, W) or (H, W, 3).
    """
    blurred = gaussian_filter(image.astype(float), (1, 1, 0)[: image.ndim])
    return to_uint8(image + amount * (image - blurred))


def warped(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Rotate, shear and stretch a picture at random; its mirror image fills the rest.

    `image` and the result are uint8, (H, W) or (H, W, 3); the result has `SIZES` times
    the height and width.
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
    """Training and validation pictures; never a test set.

    BSDS500 `val` validates where it is present, except what is trained on; otherwise
    every tenth training picture is held out, at most a hundred.

    Returns
    -------
    training, validation : name → picture.
    origin : where the validation pictures are from, in words.
    """
    names = list(images)
    if datasets.available("BSDS500-val"):
        found = datasets.load("BSDS500-val")
        if isinstance(images, datasets.Dataset):  # a copy of a file has its size
            known = {path.stat().st_size for path in images.paths.values()}
            kept = [k for k, p in found.paths.items() if p.stat().st_size not in known]
        else:
            known = {image.tobytes() for image in images.values()}
            kept = [k for k, image in found.items() if image.tobytes() not in known]
        if kept:
            return images, {name: found[name] for name in kept}, "BSDS500 val"
    if len(names) < 2:
        raise TrainingError("training needs at least two pictures")
    held_out = names[:: max(10, -(-len(names) // 100))]
    validation = {name: images[name] for name in held_out}
    training = [name for name in names if name not in validation]
    origin = f"{len(held_out)} held-out training pictures"
    if isinstance(images, datasets.Dataset):
        paths = {name: images.paths[name] for name in training}
        about = {"origin": images.origin, "licence": images.licence}
        return datasets.Dataset(images.name, paths, **about), validation, origin
    return {name: images[name] for name in training}, validation, origin


class Validation:
    """Mean PSNR on pictures that are neither trained on nor test pictures.

    Parameters
    ----------
    images : uint8 pictures; the middle `size` pixels of each are used.
    scale : magnification, and the border left out.
    factor : 1 if networks read the bicubic image; the scale if they read the LR image.
    colour : see `images.planes`; the error is that of all planes together.

    Raises
    ------
    TrainingError : when no picture is larger than its two borders.
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
