"""Muon: an optimiser whose update moves every direction of a filter bank equally.

Source: K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks",
2024.  ``torch.optim.Muon`` is the same for matrices; filters have four dimensions.
"""

from itertools import pairwise

import torch


def orthogonalise(matrix: torch.Tensor, iterations: int = 5) -> torch.Tensor:
    """U S Vᵀ, (rows, columns) ↦ about U Vᵀ: singular values between 0.7 and 1.2.

    Newton–Schulz: each iteration applies the odd polynomial 3.4445 s - 4.775 s³ +
    2.0315 s⁵ to the singular values s, with matrix products only.  Five iterations
    multiply small values by about 500, so those below a thousandth of the norm stay
    smaller.  A matrix of zeros stays one.
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.t()
    x = wide / (wide.norm() + 1e-12)
    # Powers of smaller numbers are denormal, which are slow on a CPU.
    x = x.masked_fill(x.abs() < 1e-9, 0)
    for _ in range(iterations):
        gram = x @ x.t()
        x = 3.4445 * x + (2.0315 * gram @ gram - 4.775 * gram) @ x
    return x if wide is matrix else x.t()


class Muon(torch.optim.Optimizer):
    """Orthogonalised momentum for filter banks.

    A filter bank (n, c, f, f) is the matrix (n, c·f²) of the convolution.  The update
    is the momentum of its gradient with all singular values set to about one, so that
    no direction is left behind.  The last layer of SRCNN is a single filter and has
    only one direction: it and the biases belong to another optimiser, such as Adam.

    `lr` is the learning rate, in weights, and `momentum` the decay of the mean of the
    gradients; the update looks ahead (Nesterov).
    """

    def __init__(self, filters, lr: float = 0.02, momentum: float = 0.95):
        super().__init__(filters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure=None) -> None:
        """Update every filter bank that has a gradient; frozen ones have none."""
        for group in self.param_groups:
            lr, momentum = group["lr"], group["momentum"]
            for weight in (w for w in group["params"] if w.grad is not None):
                mean = self.state[weight].setdefault("mean", torch.zeros_like(weight))
                mean.lerp_(weight.grad, 1 - momentum)
                ahead = weight.grad.lerp(mean, momentum)
                matrix = orthogonalise(ahead.flatten(1))
                taller = max(1, matrix.shape[0] / matrix.shape[1]) ** 0.5
                weight.sub_(lr * taller * matrix.view_as(weight))


@torch.no_grad()
def revive(convs, optimiser, generator: torch.Generator, average=None) -> int:
    """Re-initialise dead filters; returns how many.

    The ReLU of a dead filter outputs zero for every sub-image, so the filter gets no
    gradient and stays dead.  Once its momentum has faded it gets new weights, and the
    next layer's weights for it become zero, so that the network's output is as before.
    `convs` are the network's convolutions in order; `optimiser`, Muon or Adam, updates
    all but the last, or all.  `average`, the convolutions of an averaged copy, are
    changed in the same way: a mean of old and new weights would be neither.

    Source: G. Sokar et al., "The dormant neuron phenomenon in deep reinforcement
    learning", ICML 2023.
    """
    count = 0
    for k, (conv, after) in enumerate(pairwise(convs)):
        frozen = not (conv.weight.requires_grad and after.weight.requires_grad)
        state = optimiser.state.get(conv.weight, {})
        mean = state.get("mean", state.get("exp_avg"))  # Muon's, Adam's
        if frozen or mean is None:
            continue
        momentum = mean.flatten(1).norm(dim=1)
        dead = (momentum < 1e-5 * momentum.max()).nonzero().flatten()
        for filter_ in dead.tolist():
            fresh = torch.rand(conv.weight[0].shape, generator=generator)
            fresh = (fresh - fresh.mean()) * 2 * fresh.numel() ** -0.5
            both = [convs] + ([average] if average else [])
            for layer, following in ((layers[k], layers[k + 1]) for layers in both):
                layer.weight[filter_] = fresh
                layer.bias[filter_] = 0
                following.weight[:, filter_] = 0
        count += len(dead)
    return count
