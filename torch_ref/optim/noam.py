"""The schedule of the Transformer.             Vaswani et al. 2017, arXiv:1706.03762, equation 3

lr(n) = factor d_model^-1/2 min(n^-1/2, n warmup_steps^-3/2), n = 1 for the first step
"""

from collections.abc import Callable


def noam(d_model: int, warmup_steps: int = 4000, factor: float = 1.0) -> Callable[[int], float]:
    """The learning rate as a function of the epoch, for `torch.optim.lr_scheduler.LambdaLR`.

    Args:
        d_model: size of the model's vectors.
        warmup_steps: steps in which the rate rises.
        factor: of all rates.

    Returns:
        Function of e = 0, 1, ... that returns lr(e + 1).
    """

    def rate(epoch: int) -> float:
        n = epoch + 1
        return factor * float(d_model**-0.5 * min(n**-0.5, n * warmup_steps**-1.5))

    return rate
