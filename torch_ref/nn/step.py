"""The step function: torch.heaviside, but part of the graph, with gradient zero."""

import torch


def step(input: torch.Tensor, at_zero: float = 0.0) -> torch.Tensor:
    """y = 1 where x > 0, else 0, and `at_zero` at 0.

    Args:
        input: x of any shape.
        at_zero: y at x = 0.

    Returns:
        y of x's shape; its gradient by x is zero.
    """
    values = torch.tensor(at_zero, dtype=input.dtype, device=input.device)
    # The derivative of the sign is zero for autograd, while heaviside has none at all.
    return torch.heaviside(input.detach(), values) + 0 * input.sign()


class Step(torch.nn.Module):
    """`step` as a module.

    Args:
        at_zero: y at x = 0.
    """

    def __init__(self, at_zero: float = 0.0) -> None:
        super().__init__()
        self.at_zero = at_zero

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """y = 1 where x > 0, else 0."""
        return step(input, self.at_zero)

    def extra_repr(self) -> str:
        return f"at_zero={self.at_zero}"
