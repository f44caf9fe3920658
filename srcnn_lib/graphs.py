"""A step on a GPU as a CUDA graph: one launch in place of some forty.

A small network keeps a large GPU waiting for Python.  A graph holds the
kernels of one step with the memory they work on; it is launched whole, and
new numbers are copied into the memory of the first step's input.
"""

from collections.abc import Callable, Sequence

import torch


def capture(
    step: Callable[..., torch.Tensor],
    state: Sequence[torch.Tensor],
    inputs: Sequence[torch.Tensor],
) -> Callable[..., torch.Tensor]:
    """The same step, to be called with other inputs of the same shapes.

    Parameters
    ----------
    step : takes tensors on the GPU, changes `state` in place and returns a
        loss; nothing in it may depend on a value on the CPU.
    state : all tensors that a step changes; left as they are now.

    Raises
    ------
    RuntimeError : when the step can't be captured, or does something else
        once it is.
    """
    memory = [tensor.clone() for tensor in inputs]
    before = [tensor.clone() for tensor in state]

    def restore() -> None:
        with torch.no_grad():
            for tensor, value in zip(state, before):
                tensor.copy_(value)

    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):  # so that kernels are chosen
        for _ in range(3):
            step(*memory)
    torch.cuda.current_stream().wait_stream(beside)
    restore()
    step(*memory)
    expected = [tensor.clone() for tensor in state]
    restore()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = step(*memory)
    restore()
    graph.replay()
    same = all(
        torch.allclose(tensor, value, rtol=1e-3, atol=1e-6)
        for tensor, value in zip(state, expected)
    )
    restore()
    if not same:
        raise RuntimeError("the captured step differs from the step")

    def replay(*given: torch.Tensor) -> torch.Tensor:
        for tensor, value in zip(memory, given):
            tensor.copy_(value)
        graph.replay()
        return loss

    return replay
