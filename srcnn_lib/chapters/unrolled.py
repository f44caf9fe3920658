"""SC as a network: convolution, thresholds, convolution.

The search for codes stops after k steps of ISTA, each a 1×1 convolution and a
threshold.  The linear steps before and after become one convolution each.  With the
weights of the dictionaries the network is SC, pixel for pixel; then any part of it can
be learnt.

Source: Dong et al., TPAMI 2016, section 3.2; Gregor and LeCun, Learning fast
approximations of sparse coding, ICML 2010.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ..methods.sparse_codes import safe_step
from ..methods.sparse_coding import PATCH, ZOOM, Dictionaries, derivatives
from ..models import SRCNN, initialise
from ..resize import bicubic, imresize, resize_matrix
from ..subimages import SubImages

#: LR pixels of a training window, and of its border on each side.
WINDOW, BORDER = 20, 5
#: What can be learnt, by the name that `UnrolledSC.let_go` takes.
FREEDOMS = {
    "thresholds": ("log_step", "log_threshold"),
    "averaging": ("log_share",),
    "hr dictionary": ("synthesis", "reduction"),
    "lr dictionary": ("analysis", "mixing"),
}


class UnrolledSC(nn.Module):
    """SC with k steps of ISTA, as three stages; nothing is learnt at first.

    1. `analysis`: one convolution by the LR dictionary, one place per LR pixel.  The
       derivatives that SC takes are part of its filters.
    2. k steps: `mixing`, a 1×1 convolution, then a threshold.  SC divides a patch by
       its norm, codes it and multiplies again.  Multiplying the thresholds by the
       norm instead gives the same.
    3. `synthesis`: one transposed convolution by the HR dictionary.  Patches overlap
       and their weighted mean is taken, with equal shares at first.  The mean luma of
       a patch takes no part in stage 2 and is added here.

    Parameters
    ----------
    dictionaries : of SC.
    steps : k, at least 1.
    two_sided : whether codes may be negative: each threshold is then a pair of ReLUs.
    """

    def __init__(
        self, dictionaries: Dictionaries, steps: int, *, two_sided=False,
        dtype=torch.float32,
    ):  # fmt: skip
        super().__init__()
        if steps < 1:
            raise ValueError(f"steps must be at least 1, not {steps}")
        self.scale, self.two_sided = dictionaries.scale, two_sided
        lr, hr = dictionaries.lr.double(), dictionaries.hr.double()
        atoms, side = len(lr), PATCH * self.scale
        gram = lr @ lr.T
        kernels = derivatives()
        maps = lr.view(atoms, len(kernels), ZOOM * PATCH, ZOOM * PATCH)
        self.analysis = nn.Parameter(F.conv_transpose2d(maps, kernels.double()))
        self.mixing = nn.Parameter(gram.repeat(steps - 1, 1, 1))
        size = torch.full((steps,), safe_step(gram), dtype=torch.float64)
        self.log_step = nn.Parameter(size.log())
        threshold = torch.full((steps, atoms), dictionaries.penalty).double()
        self.log_threshold = nn.Parameter(threshold.log())
        self.synthesis = nn.Parameter(hr.view(atoms, 1, side, side).clone())
        self.log_share = nn.Parameter(torch.zeros(1, 1, side, side))
        self.register_parameter("reduction", None)
        self.register_buffer("kernels", kernels, persistent=False)
        self.register_buffer("fixed_contrast", None)
        self.to(dtype)
        self.let_go()

    def let_go(self, *freedoms: str) -> "UnrolledSC":
        """Let training change these of `FREEDOMS` and nothing else."""
        if unknown := set(freedoms) - set(FREEDOMS):
            raise ValueError(f"{unknown.pop()!r} is none of {', '.join(FREEDOMS)}")
        free = {name for freedom in freedoms for name in FREEDOMS[freedom]}
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(name in free)
        return self

    def without_contrast(self, typical: float) -> "UnrolledSC":
        """Make the thresholds biases, right for features of the norm `typical`."""
        self.fixed_contrast = self.analysis.new_tensor(typical)
        return self

    @torch.no_grad()
    def narrow(self, n2: int) -> "UnrolledSC":
        """Put the best linear 1×1 convolution to `n2` maps before stage 3, by SVD."""
        flat = self.synthesis.flatten(1)
        u, s, v = torch.linalg.svd(flat.double(), full_matrices=False)
        root = s[:n2].sqrt()
        self.reduction = nn.Parameter((u[:, :n2] * root).T.to(flat))
        rows = (root[:, None] * v[:n2]).to(flat)
        self.synthesis = nn.Parameter(rows.view(-1, *self.synthesis.shape[1:]))
        return self

    def codes(self, seen: torch.Tensor) -> torch.Tensor:
        """Stages 1 and 2: SC's codes times the patches' norms, (B, atoms, h-4, w-4)."""
        heard = F.conv2d(seen, self.analysis, stride=ZOOM)
        contrast = self.contrast(seen)
        sizes, thresholds = self.log_step.exp(), self.log_threshold.exp()
        codes = mixed = 0
        for step, (size, threshold) in enumerate(zip(sizes, thresholds)):
            if step:
                mixed = F.conv2d(codes, self.mixing[step - 1, :, :, None, None])
            ahead = codes - size * (mixed - heard)
            level = size * threshold[:, None, None] * contrast
            codes = F.relu(ahead - level)
            if self.two_sided:
                codes = codes - F.relu(-ahead - level)
        return codes

    def contrast(self, seen: torch.Tensor) -> torch.Tensor:
        """Norms of the patches' features, at least 1, (B, 1, h-4, w-4)."""
        if self.fixed_contrast is not None:
            return self.fixed_contrast
        maps = F.conv2d(seen, self.kernels)
        energy = maps.square().sum(dim=1, keepdim=True)
        mean = F.avg_pool2d(energy, ZOOM * PATCH, stride=ZOOM)
        return (mean * (ZOOM * PATCH) ** 2).clamp(min=1).sqrt()

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        """Enhance a picture that was enlarged by `ZOOM`: (B, 1, 2·h, 2·w), in 0…1.

        Returns (B, 1, (h - 2)·scale, (w - 2)·scale): no patch covers the outermost LR
        pixel on each side.
        """
        codes = self.codes(seen)
        if self.reduction is not None:
            codes = F.conv2d(codes, self.reduction[..., None, None])
        means = F.avg_pool2d(seen[..., ZOOM:-ZOOM, ZOOM:-ZOOM], ZOOM * PATCH, ZOOM)
        shares = self.log_share.exp()

        def overlap(maps, filters):
            return F.conv_transpose2d(maps, filters, stride=self.scale)

        total = overlap(codes, self.synthesis * shares) + overlap(means, shares)
        return total / overlap(torch.ones_like(means[:1]), shares)

    def enhance(self, y: torch.Tensor) -> torch.Tensor:
        """Enhance a bicubic picture (B, 1, H, W), as an SRCNN does; see `zoomed`."""
        s = self.scale
        out = y.clone()
        out[..., s:-s, s:-s] = self(zoomed(y, s))
        return out


class UnrolledMethod:
    """An `UnrolledSC` as a method; the outermost LR pixel on each side is bicubic."""

    def __init__(self, model: UnrolledSC):
        self.model = model

    @torch.inference_mode()
    def __call__(self, lr_y: np.ndarray, scale: int) -> np.ndarray:
        """(h, w) in 0…1 → (h·scale, w·scale), float64, about 0…1."""
        if scale != self.model.scale:
            raise ValueError(f"the network is for x{self.model.scale}, not x{scale}")
        sr_y = bicubic(lr_y, scale)
        if min(lr_y.shape) <= PATCH + 1:
            return sr_y
        seen = torch.from_numpy(imresize(lr_y, ZOOM))[None, None]
        inside = self.model(seen.to(self.model.analysis))[0, 0]
        sr_y[scale:-scale, scale:-scale] = inside.cpu().numpy()
        return sr_y


def zoomed(y: torch.Tensor, scale: int) -> torch.Tensor:
    """SC's input (B, 1, 2·h, 2·w) from the bicubic picture (B, 1, h·scale, …).

    At odd scales only, the middle of each block of pixels is the LR pixel itself.
    """
    if scale % 2 == 0:
        raise ValueError(f"x{scale} keeps no LR pixel; only odd scales do")
    lr_y = y[..., scale // 2 :: scale, scale // 2 :: scale]
    down, across = (torch.from_numpy(resize_matrix(n, ZOOM * n).toarray()).to(y)
                    for n in lr_y.shape[-2:])  # fmt: skip
    return down @ lr_y @ across.T


def start_srcnn(dictionaries: Dictionaries, pictures, *, seed: int = 0) -> SRCNN:
    """SRCNN 9-1-5 that begins as sparse coding, cut down to its shape.

    Layer 1: the 63 atoms' responses, fitted by least squares to windows of the bicubic
    picture, one step of ISTA with the thresholds as biases; and the patch's mean.
    Layer 2: the 15 first directions of the HR dictionary, each as a pair of ReLUs, and
    the mean.  Layer 3: the middle of the HR patches and their overlap, all at equal
    shares.  One number is fitted, the size of the step.

    Parameters
    ----------
    dictionaries : for x3, of at least 63 atoms; the first 63 are used.
    pictures : pairs of bicubic picture and ground truth, each (H, W) float32 in 0…1,
        as from `protocol.pair`.
    seed : of the one filter of layer 2 that is left over.
    """
    model = SRCNN()
    (f1, _, f3), (n1, n2) = model.architecture.f, model.architecture.n
    side = PATCH * dictionaries.scale
    if side != f1 or len(dictionaries.lr) < n1 - 1:
        raise ValueError(
            f"SRCNN 9-1-5 begins as dictionaries for x3 of at least {n1 - 1} "
            f"atoms, not {len(dictionaries.lr)} for x{dictionaries.scale}"
        )
    initialise(model, "default", torch.Generator().manual_seed(seed))
    lr, hr = (d[: n1 - 1].double() for d in dictionaries[:2])
    one_step = UnrolledSC(dictionaries._replace(lr=lr, hr=hr), 1, dtype=lr.dtype)
    filters, contrast = _fit_filters(one_step, pictures)
    pairs, margin = (n2 - 1) // 2, (side - f3) // 2
    middle = hr.view(-1, side, side)[:, margin:-margin, margin:-margin]
    u, s, v = torch.linalg.svd(middle.flatten(1), full_matrices=False)
    layer1, layer2, layer3 = model.convs
    with torch.no_grad():
        layer1.weight[0] = 1 / f1**2
        layer1.weight[1:] = filters.view(-1, 1, f1, f1)
        layer1.bias[0] = 0
        layer1.bias[1:] = -dictionaries.penalty * contrast
        layer2.weight[: 2 * pairs + 1] = 0
        layer2.bias[: 2 * pairs + 1] = 0
        layer2.weight[0, 0] = 1
        layer2.weight[1 : pairs + 1, 1:, 0, 0] = u[:, :pairs].T.float()
        layer2.weight[pairs + 1 : 2 * pairs + 1] = -layer2.weight[1 : pairs + 1]
        layer3.weight.zero_()
        layer3.bias.zero_()
        # A transposed convolution turns its filter by half a turn.
        back = (s[:pairs, None] * v[:pairs]).flip(1).view(-1, f3, f3) / f3**2
        layer3.weight[0, 0] = 1 / f3**2
        layer3.weight[0, 1 : pairs + 1] = back
        layer3.weight[0, pairs + 1 : 2 * pairs + 1] = -back
        layer3.weight[0, 1:] *= _best_step(model, pictures)
    return model


def _fit_filters(one_step: UnrolledSC, pictures):
    """Filters (atoms, f1²) on the bicubic picture, and the mean contrast."""
    side = PATCH * one_step.scale
    seen_seen = seen_heard = contrast = count = 0
    for y, _ in pictures:
        y = torch.from_numpy(y)[None, None].double()
        seen = zoomed(y, one_step.scale)
        heard = F.conv2d(seen, one_step.analysis, stride=ZOOM)[0].flatten(1)
        s = one_step.scale
        windows = F.unfold(y[..., s:-s, s:-s], side, stride=s)[0]
        seen_seen = seen_seen + windows @ windows.T
        seen_heard = seen_heard + windows @ heard.T
        contrast = contrast + one_step.contrast(seen).sum()
        count += windows.shape[1]
    ridge = 1e-6 * seen_seen.trace() * torch.eye(side**2)
    filters = torch.linalg.solve(seen_seen + ridge, seen_heard).T
    return filters.detach().float(), (contrast / count).item()


def _best_step(model: SRCNN, pictures) -> float:
    """The factor of the detail that minimises the squared error."""
    detail = model.convs[2].weight.clone()
    model.convs[2].weight[0, 1:] = 0
    products = squares = 0.0
    for y, hr_y in pictures:
        y, hr_y = (torch.from_numpy(a)[None, None] for a in (y, hr_y))
        light = model(y)
        model.convs[2].weight.copy_(detail)
        change = model(y) - light
        model.convs[2].weight[0, 1:] = 0
        products += (change * (hr_y - light)).sum().item()
        squares += change.square().sum().item()
    model.convs[2].weight.copy_(detail)
    return products / squares


def fine_tune(
    model: UnrolledSC | SRCNN, sub_images: SubImages, steps: int, *,
    learning_rate: float = 1e-3, batch: int = 8, seed: int = 0,
) -> list[float]:  # fmt: skip
    """Train what may change, in place, on `sub_images` as from `training_windows`.

    Adam on the mean squared error, with a learning rate that falls linearly to zero;
    it is ten times as large for the logarithms of an `UnrolledSC`.  The mini-batches
    depend on the seed alone.

    Returns the loss of each step.
    """
    free = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    if not free:
        raise ValueError("nothing is let go, so there is nothing to train")
    optimiser = torch.optim.Adam(
        {"params": [p], "lr": learning_rate * (10 if name.startswith("log_") else 1)}
        for name, p in free
    )
    falling = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda k: 1 - k / steps)
    generator = torch.Generator().manual_seed(seed)
    windows = sub_images.grid()
    losses = []
    for _ in range(steps):
        drawn = torch.randint(len(windows), (batch,), generator=generator)
        symmetry = torch.randint(8, (batch,), generator=generator)
        y, hr_y = sub_images.cut(windows[drawn], symmetry)
        loss = F.mse_loss(_inside(model, y, sub_images.border), hr_y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        falling.step()
        losses.append(loss.item())
    return losses


def training_windows(pictures, scale: int) -> SubImages:
    """Training windows at LR pixels, with a border as wide as an edge has an effect."""
    return SubImages(pictures, scale, WINDOW * scale, BORDER * scale, stride=scale)


def _inside(model, y, border):
    """The model's output for a window `y`, where it sees no edge."""
    if isinstance(model, SRCNN):
        spare = border - model.architecture.border
        return model(y[..., spare:-spare, spare:-spare], padding="valid")
    reach = 2  # LR pixels, of the twofold enlargement
    cut = reach * ZOOM
    seen = zoomed(y, model.scale)[..., cut:-cut, cut:-cut]
    cut = border - (reach + 1) * model.scale
    return model(seen)[..., cut:-cut, cut:-cut]
