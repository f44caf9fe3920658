"""Muon: a step that moves all directions of a layer's filters alike.

Source: K. Jordan et al., "Muon: an optimizer for hidden layers in neural
networks", 2024; ``torch.optim.Muon`` is the same for matrices.
"""

from itertools import pairwise

import torch

from .models import Network


def orthogonalise(matrix: torch.Tensor, iterations: int = 5) -> torch.Tensor:
    """U S Vᵀ ↦ about U Vᵀ: singular values between 0.7 and 1.2.

    Newton–Schulz: each iteration applies the odd polynomial 3.4445 s -
    4.775 s³ + 2.0315 s⁵ to the singular values s, which needs products of
    matrices only.  Values below some thousandth of the norm are not lifted
    all the way: five iterations multiply them by about 500.  A matrix of
    zeros stays one.

    Parameters
    ----------
    matrix : (rows, columns).
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
    """Orthogonalised momentum for filters, Adam for all else.

    A filter bank (n, c, f, f) is the matrix (n, c·f²) of the convolution.
    The step is the momentum of its gradient with all singular values set to
    about one, so that no direction is left behind.  The last layer, a single
    filter, has only one direction; it and the biases get Adam.

    Parameters
    ----------
    model : to be trained.
    learning_rate : of the filters; Adam takes a tenth.
    """

    def __init__(self, model: Network, learning_rate: float, momentum: float = 0.95):
        filters = [conv.weight for conv in model.convs[:-1]]
        taken = {id(weight) for weight in filters}
        rest = [p for p in model.parameters() if id(p) not in taken]
        groups = [
            {"params": filters, "lr": learning_rate, "momentum": momentum},
            {"params": rest, "lr": 0.1 * learning_rate},
        ]
        super().__init__(groups, {})
        self.convs = model.convs

    @torch.no_grad()
    def step(self) -> None:
        filters, rest = self.param_groups
        for weight in filters["params"]:
            self._muon(weight, filters["lr"], filters["momentum"])
        for parameter in rest["params"]:
            self._adam(parameter, rest["lr"])

    def _muon(self, weight, lr, momentum) -> None:
        state = self.state[weight]
        if not state:
            state["mean"] = torch.zeros_like(weight)
        mean = state["mean"].lerp_(weight.grad, 1 - momentum)
        ahead = weight.grad.lerp(mean, momentum)  # Nesterov's
        matrix = orthogonalise(ahead.flatten(1))
        taller = max(1, matrix.shape[0] / matrix.shape[1]) ** 0.5
        weight.sub_(lr * taller * matrix.view_as(weight))

    def _adam(self, parameter, lr, beta=0.9, beta2=0.999, epsilon=1e-8) -> None:
        state, grad = self.state[parameter], parameter.grad
        if not state:
            state["step"] = torch.zeros((), device=grad.device)
            state["mean"] = torch.zeros_like(grad)
            state["square"] = torch.zeros_like(grad)
        step = state["step"].add_(1)
        mean = state["mean"].lerp_(grad, 1 - beta)
        square = state["square"].lerp_(grad * grad, 1 - beta2)
        scale = (square / (1 - beta2**step)).sqrt_() + epsilon
        parameter.sub_(lr / (1 - beta**step) * (mean / scale))

    @torch.no_grad()
    def revive(self, generator: torch.Generator) -> int:
        """Start silent filters anew; returns how many.

        A filter that its ReLU silences for every sub-image gets no gradient
        and stays as it is for ever. Once its momentum has faded it gets new
        weights, and the next layer begins by ignoring it, so that the
        network's answer is as before.

        Source: G. Sokar et al., "The dormant neuron phenomenon in deep
        reinforcement learning", ICML 2023.
        """
        count = 0
        for conv, after in pairwise(self.convs):
            momentum = self.state[conv.weight]["mean"].flatten(1).norm(dim=1)
            silent = (momentum < 1e-5 * momentum.max()).nonzero().flatten()
            for filter_ in silent.tolist():
                fresh = torch.rand(conv.weight[0].shape, generator=generator)
                fresh = (fresh - fresh.mean()) * 2 * fresh.numel() ** -0.5
                conv.weight[filter_] = fresh
                conv.bias[filter_] = 0
                after.weight[:, filter_] = 0
            count += len(silent)
        return count
