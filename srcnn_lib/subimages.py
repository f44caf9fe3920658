"""What training sees: sub-images to learn from, pictures to judge by.

The pictures lie on the device as two long vectors, the input and the ground
truth.  A sub-image is a set of positions in them, so that cutting, turning and
flipping a whole batch is one indexing operation.  Where the input is smaller
than the ground truth by a factor, the ground truth lies in blocks of
factor × factor pixels, one for each pixel of the input, so that both line up.
"""

import functools
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch.nn import functional as F

from .images import modcrop, planes
from .resize import bicubic, imresize
from .streaming import pair


class TrainingError(RuntimeError):
    """Training can't start or go on; the message says why."""


#: Share of the sub-images that importance sampling draws by their error.
IMPORTANT = 0.7


class SubImages:
    """Training pictures on the device, ready to be cut into sub-images.

    Parameters
    ----------
    images : uint8 pictures of any sizes, grey or RGB; or what
        `streaming.pair` has made of them.
    scale : magnification; each luma is mod-cropped, shrunk and enlarged by
        the protocol's ``imresize``.
    size : width of a sub-image; smaller pictures are left out.
    border : pixels that the network loses on each side: the label is that
        much smaller than the input.
    stride : of the paper's grid.
    factor : 1: the input is the bicubic picture; the scale: it is the small
        picture, and then `size` and `border` must be multiples of it.
    colour : see `images.planes`; what is cut has so many channels.
    balance : see `draw_important`.

    Raises
    ------
    ValueError : for a size or a border that is not a multiple of `factor`.
    TrainingError : when no picture is large enough.
    """

    def __init__(
        self,
        images: Iterable[np.ndarray],
        scale: int,
        size: int,
        border: int,
        stride: int = 14,
        device: torch.device | str = "cpu",
        factor: int = 1,
        colour: str = "y",
        balance: float = 0.0,
    ):
        if size % factor or border % factor:
            raise ValueError(
                f"sub-images of {size} pixels with a border of {border} don't "
                f"line up with an input that is {factor} times smaller"
            )
        pairs = (
            image if isinstance(image, tuple) else pair(image, scale, colour)
            for image in images
        )
        inputs, labels, wides, offsets, shapes = [], [], [], [], []
        total = 0
        for lr_wide, hr_y in pairs:
            height, width = hr_y.shape[:2]
            if min(height, width) < size:
                continue
            lr_y = lr_wide
            if factor > 1:
                lr_y = imresize(hr_y, 1 / scale).astype(np.float32)
                wides.append(_blocks(lr_wide, factor))
            height, width = lr_y.shape[:2]
            inputs.append(lr_y.reshape(height * width, -1))
            labels.append(_blocks(hr_y, factor))
            offsets.append(total)
            shapes.append((height, width))
            total += height * width
        if not shapes:
            raise TrainingError(
                f"no training picture is as large as {size}×{size} pixels"
            )

        def on_device(arrays):
            return torch.from_numpy(np.concatenate(arrays)).to(device)

        self.input, self.label = on_device(inputs), on_device(labels)
        # The bicubic picture, which importance sampling compares.
        self.wide = on_device(wides) if factor > 1 else self.input
        self.factor, self.stride = factor, max(1, stride // factor)
        self.balance = balance
        # From here on in pixels of the input.
        size, border = size // factor, border // factor
        self.size, self.border = size, border
        self.device = torch.device(device)
        self.offsets = torch.tensor(offsets)
        self.heights, self.widths = torch.tensor(shapes).T
        self.ends = torch.cumsum(
            (self.heights - size + 1) * (self.widths - size + 1), 0
        )
        self.places = int(self.ends[-1])
        self.windows = _symmetries(size).to(device)  # (8, size, size, 2)
        inner = slice(border * factor, (size - border) * factor)
        answers = _symmetries(size * factor)[:, inner, inner].to(device)
        self.blocks, (row, column) = answers // factor, (answers % factor).unbind(-1)
        self.within = row * factor + column

    def grid(self) -> tuple[torch.Tensor, torch.Tensor]:
        """First pixel and picture width of every sub-image of the grid.

        Two int64 tensors (N,): 21,884 for the 91 images at x3, 33×33 pixels
        and stride 14, where the paper says "roughly 24,800".
        """
        starts, widths = [], []
        for offset, height, width in zip(
            self.offsets.tolist(), self.heights.tolist(), self.widths.tolist()
        ):
            rows = torch.arange(0, height - self.size + 1, self.stride)
            columns = torch.arange(0, width - self.size + 1, self.stride)
            start = offset + rows[:, None] * width + columns
            starts.append(start.flatten())
            widths.append(torch.full((start.numel(),), width))
        return torch.cat(starts), torch.cat(widths)

    def draw(
        self,
        batch: int,
        generator: torch.Generator,
        part: Callable[[int], slice] = slice,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Sub-images from anywhere, each in one of the eight symmetries.

        Every position in every picture is equally likely.  Returns what
        `cut` returns, of that part of the batch.
        """
        place = torch.randint(self.places, (batch,), generator=generator)
        symmetry = torch.randint(8, (batch,), generator=generator)
        return self._cut_at(place[part(batch)], symmetry[part(batch)])

    def draw_important(
        self,
        batch: int,
        generator: torch.Generator,
        part: Callable[[int], slice] = slice,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Sub-images, those more often that bicubic interpolation gets wrong.

        With `IMPORTANT` the probability of a position is in proportion to
        the input's root mean squared error there, else all are equally
        likely.  Returns input and label as `cut` does, and weights (B,) that
        make up for it: the weighted mean over many draws is the mean over
        all positions, but fewer draws come near it.

        With a `balance` above 0 each picture counts, in all of this, by the
        input's mean squared error in it to the power of -`balance`: with 1
        pictures count about as they do in a mean of PSNRs, smooth ones no
        less than detailed ones.
        """
        chance = torch.rand(batch, generator=generator, dtype=torch.float64)
        symmetry = torch.randint(8, (batch,), generator=generator)
        chance, symmetry = chance[part(batch)], symmetry[part(batch)]
        likely, counts = self._likely
        place = torch.searchsorted(likely, chance, right=True)
        place.clamp_(max=self.places - 1)
        before = torch.where(place > 0, likely[place - 1], 0)
        picture = torch.searchsorted(self.ends, place, right=True)
        weight = counts[picture] / (self.places * (likely[place] - before))
        weight = weight.float().to(self.device)
        return *self._cut_at(place, symmetry), weight

    @functools.cached_property
    def _likely(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Two of float64: (places,) probability of a position or one before
        it; (pictures,) by how much each counts, 1 in the mean of positions.
        """
        inner, f = self.size - 2 * self.border, self.factor
        errors, counts = [], []
        for offset, height, width in zip(
            self.offsets.tolist(), self.heights.tolist(), self.widths.tolist()
        ):
            here = slice(offset, offset + height * width)
            blocks = slice(here.start * f * f, here.stop * f * f)
            error = (self.wide[blocks] - self.label[blocks]).cpu().double()
            error = error.square().mean(1).view(height, width, f * f).mean(2)
            error = error[
                self.border : height - self.border,
                self.border : width - self.border,
            ]
            # No picture counts as if it had more than 50 dB.
            counts.append((error.mean() + 1e-5) ** -self.balance)
            # Sums of all windows, as differences of sums from the corner.
            total = F.pad(error.cumsum(0).cumsum(1), (1, 0, 1, 0))
            window = total[inner:] - total[:-inner]
            window = window[:, inner:] - window[:, :-inner]
            errors.append(window.clamp_min(0).sqrt().flatten())
        counts = torch.stack(counts)
        numbers = torch.tensor([len(error) for error in errors])
        counts *= self.places / (counts * numbers).sum()
        share = torch.cat(errors).add_(1e-12)
        parts = share.split(numbers.tolist())  # in place: it is large
        for part, count in zip(parts, counts):
            part *= count
        share *= IMPORTANT / share.sum()
        for part, count in zip(parts, counts):
            part += count * (1 - IMPORTANT) / self.places
        return share.cumsum_(0), counts

    def _cut_at(self, place: torch.Tensor, symmetry: torch.Tensor):
        """Cut at positions counted through all pictures."""
        picture = torch.searchsorted(self.ends, place, right=True)
        columns = self.widths[picture] - self.size + 1
        rows = self.heights[picture] - self.size + 1
        place = place - (self.ends[picture] - rows * columns)
        width = self.widths[picture]
        start = place // columns * width + place % columns
        return self.cut(self.offsets[picture] + start, width, symmetry)

    def cut(
        self,
        start: torch.Tensor,
        width: torch.Tensor,
        symmetry: torch.Tensor | int = 0,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Cut sub-images.

        Parameters
        ----------
        start, width : (B,) first pixel and picture width, as from `grid`.
        symmetry : (B,) in 0…7; 0 leaves the sub-image as it is.

        Returns
        -------
        input (B, c, size / factor, …) and label (B, c, size - 2·border, …),
        0…1.
        """
        start, width = start.to(self.device), width.to(self.device)
        if not isinstance(symmetry, int):
            symmetry = symmetry.to(self.device)
        start, width = start[:, None, None], width[:, None, None]

        def position(pixel):  # (B, h, w, 2) rows and columns → (B, h, w)
            return start + pixel[..., 0] * width + pixel[..., 1]

        index = position(self.windows[symmetry])
        place = position(self.blocks[symmetry]) * self.factor**2
        label = self.label[place + self.within[symmetry]]
        # (B, …, …, c) ↦ (B, c, …, …), for one channel without a copy
        return self.input[index].movedim(3, 1), label.movedim(3, 1)


def _blocks(image: np.ndarray, f: int) -> np.ndarray:
    """(H, W) or (H, W, c) ↦ (H·W, c): f × f blocks, each in turn by rows."""
    height, width = image.shape[:2]
    blocks = image.reshape(height // f, f, width // f, f, -1)
    return blocks.swapaxes(1, 2).reshape(height * width, -1)


def _symmetries(size: int) -> torch.Tensor:
    """Row and column of each pixel in the 8 turns and flips of a square."""
    rows, columns = torch.meshgrid(
        torch.arange(size), torch.arange(size), indexing="ij"
    )
    square = torch.stack([rows, columns], dim=-1)
    turned = [torch.rot90(square, k) for k in range(4)]
    return torch.stack([*turned, *(t.flip(1) for t in turned)])


class Validation:
    """Mean PSNR on pictures that are neither trained on nor test pictures.

    Parameters
    ----------
    images : uint8 pictures; of each the middle `size` pixels are used, so
        that those of one size are measured in one batch.
    scale : magnification, and the border left out.
    factor : 1: networks are given the bicubic picture; the scale: the small
        picture.
    colour : see `images.planes`; the error is that of all channels together.

    Raises
    ------
    TrainingError : when no picture is larger than its two borders.
    """

    def __init__(
        self,
        images,
        scale: int,
        size: int = 168,
        device="cpu",
        factor: int = 1,
        colour: str = "y",
    ):
        self.scale, self.factor = scale, factor
        groups: dict[tuple[int, int], list] = {}
        for image in images:
            hr_y = modcrop(planes(image, colour), scale)
            hr_y = np.atleast_3d(_middle(hr_y, size - size % scale))
            if min(hr_y.shape[:2]) <= 2 * scale:
                continue
            lr_y = imresize(hr_y / 255.0, 1 / scale)
            pair = np.stack([bicubic(lr_y, scale), hr_y])
            groups.setdefault(hr_y.shape, []).append(np.moveaxis(pair, 3, 1))
        self.groups = [
            torch.from_numpy(np.stack(g).astype(np.float32)).to(device)
            for g in groups.values()
        ]  # each (B, 2, c, H, W): bicubic in 0…1, ground truth in 0…255
        if not self.groups:
            raise TrainingError(
                f"no validation picture is larger than {2 * scale} pixels"
            )

    def bicubic_db(self) -> float:
        """PSNR of the bicubic picture itself."""
        return self._psnr_db(lambda pair: pair[:, 0])

    @torch.no_grad()
    def psnr_db(self, network: Callable) -> float:
        """Mean PSNR in dB, by the protocol's clip, rounding and border."""
        if self.factor == 1:
            return self._psnr_db(lambda pair: network(pair[:, 0]))
        return self._psnr_db(lambda pair: network(self._shrunk(pair[:, 1])))

    def _shrunk(self, hr_y: torch.Tensor) -> torch.Tensor:
        """(B, 1, H, W) in 0…255 → the small pictures, in 0…1."""
        pictures = [
            imresize(y[0].cpu().numpy() / 255.0, 1 / self.scale) for y in hr_y
        ]
        small = torch.from_numpy(np.stack(pictures)[:, None])
        return small.to(hr_y)

    @torch.no_grad()
    def _psnr_db(self, enlarge: Callable) -> float:
        values = []
        for group in self.groups:
            # In slices: 64 feature maps of a whole group would be large.
            for part in group.split(8):
                sr = enlarge(part).clamp(0, 1)
                error = torch.floor(sr * 255 + 0.5) - part[:, 1]
                s = self.scale
                mse = (error[..., s:-s, s:-s] ** 2).mean(dim=(1, 2, 3))
                values.append(10 * torch.log10(255**2 / mse))
        return torch.cat(values).mean().item()


def _middle(image: np.ndarray, size: int) -> np.ndarray:
    top = max(0, (image.shape[0] - size) // 2)
    left = max(0, (image.shape[1] - size) // 2)
    return image[top : top + size, left : left + size]
