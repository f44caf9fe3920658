"""Steps captured as a CUDA graph."""

import pytest
import torch

from srcnn_lib import graphs
from srcnn_lib.models import SRCNN, initialise

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a CUDA GPU"
)


def test_a_captured_step_is_the_step():
    """Twenty steps of the paper's optimiser, launched one by one and whole."""
    weights = []
    for captured in (False, True):
        generator = torch.Generator().manual_seed(0)
        model = initialise(SRCNN(), "default", generator).cuda()
        optimiser = torch.optim.SGD(model.parameters(), 1e-4, momentum=0.9)

        def step(y, x, model=model, optimiser=optimiser):
            loss = (model(y, "valid") - x).square().sum() / len(x)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            return loss.detach()

        y = torch.rand(20, 8, 1, 33, 33, generator=generator).cuda()
        x = torch.rand(20, 8, 1, 21, 21, generator=generator).cuda()
        step(y[0], x[0])
        if captured:
            parameters = list(model.parameters())
            state = parameters + [
                optimiser.state[p]["momentum_buffer"] for p in parameters
            ]
            step = graphs.capture(step, state, (y[0], x[0]))
        for k in range(1, 20):
            step(y[k], x[k])
        weights.append(torch.cat([p.flatten() for p in model.parameters()]))
    assert torch.allclose(*weights, rtol=1e-3, atol=1e-5)
