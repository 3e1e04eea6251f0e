"""AdamW: Adam with weight decay beside the gradient.    Loshchilov & Hutter 2019, arXiv:1711.05101

    p <- (1 - lr weight_decay) p, then Adam's step without weight decay        (equations: adam.py)

torch      weight_decay is 0.01 by default, is multiplied by lr, and acts before the step.
"""

from collections.abc import Mapping
from typing import Any

from scratch.optim.adam import Adam
from scratch.optim.optimizer import Group, Params


class AdamW(Adam):
    """Adam whose weight decay enters neither of its two means.

    Args:
        params: parameters, pairs with names, or groups.
        lr: learning rate, >= 0.
        betas: shares of the two means that are kept, each in [0, 1).
        eps: added to the root, >= 0.
        weight_decay: each step first takes the share lr weight_decay off p, >= 0.
        amsgrad: divide by the largest mean square so far.
        maximize: climb instead.

    Raises:
        TypeError, ValueError: as `Adam`.

    Source:
        Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            maximize=maximize,
            decoupled_weight_decay=True,
        )

    def _loaded_group(self, function: str, held: Group, saved: Mapping[str, Any]) -> Group:
        # A state dict of Adam with the same options is AdamW's from here on.
        group = super()._loaded_group(function, held, saved)
        return {**group, "decoupled_weight_decay": True}
