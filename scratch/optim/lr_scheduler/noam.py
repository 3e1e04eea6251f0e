"""The schedule of the Transformer: up along a line, down with the root of the step.

    lr(n) = factor d_model^-1/2 min(n^-1/2, n warmup_steps^-3/2)        n = 1 for the first step

    top    at n = warmup_steps: factor / sqrt(d_model warmup_steps)
    use    LambdaLR(optimizer, noam(512)), the optimizer's own lr being 1
    torch  has none. LambdaLR asks for epoch e = 0 before the first step, so n = e + 1; code that
           takes n = e, or max(e, 1), lags by a step.

Source: Vaswani et al. 2017, arXiv:1706.03762, equation 3.
"""

from collections.abc import Callable

from scratch import check


def noam(d_model: int, warmup_steps: int = 4000, factor: float = 1.0) -> Callable[[int], float]:
    """The learning rate as a function of the epoch, for `LambdaLR`.

    Args:
        d_model: size of the model's vectors.
        warmup_steps: steps in which the rate rises.
        factor: of all rates, > 0.

    Returns:
        Function of e = 0, 1, ... that returns lr(e + 1).

    Raises:
        TypeError: if a number of steps or size is no integer.
        ValueError: if it is not positive, or `factor` is not.

    Source: Vaswani et al. 2017, arXiv:1706.03762, equation 3.
    """
    d = check.size("noam", "d_model", d_model, low=1)
    warmup = check.size("noam", "warmup_steps", warmup_steps, low=1)
    c = check.number("noam", "factor", factor, low=0, open_low=True)

    def rate(epoch: int) -> float:
        n = epoch + 1
        return c * float(d**-0.5 * min(n**-0.5, n * warmup**-1.5))

    return rate
