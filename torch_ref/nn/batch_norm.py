"""Batch normalisation whose running statistics may be kept as Keras does.

    torch           r <- (1 - momentum) r + momentum s      s the batch's mean, and v m / (m - 1)
    momentum_keeps  r <- momentum r + (1 - momentum) s
    biased          s = v, of m values a channel, for the variance

The output and its gradients in training are the same: they have the batch's own biased v in all
forms. Evaluation is not. momentum None is the mean of all batches so far in all forms.
"""

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm


class KeptStatistics(_BatchNorm):
    """What the three classes below share.

    Args:
        num_features: C, the number of channels.
        eps: added to the variance.
        momentum: share of the new value in the running statistics; None for a mean of all.
        affine: learn weight and bias.
        track_running_stats: keep running statistics and use them in evaluation.
        bias: learn a bias.
        momentum_keeps: momentum is the share of the old value instead.
        biased_running_var: running_var gathers v and not v m / (m - 1).
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
        momentum_keeps: bool = False,
        biased_running_var: bool = False,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, bias=bias)
        self.momentum_keeps = momentum_keeps
        self.biased_running_var = biased_running_var

    def forward(self, input: Tensor) -> Tensor:
        """y of x's shape."""
        mean, var, batches = self.running_mean, self.running_var, self.num_batches_tracked
        if not self.training or mean is None or var is None or batches is None:
            return super().forward(input)
        self._check_input_dim(input)  # type: ignore[no-untyped-call]
        y = F.batch_norm(input, None, None, self.weight, self.bias, True, 0.0, self.eps)
        with torch.no_grad():
            batches += 1
            if input.numel():
                if self.momentum is None:
                    new = 1 / float(batches)
                else:
                    new = 1 - self.momentum if self.momentum_keeps else self.momentum
                axes = [axis for axis in range(input.dim()) if axis != 1]
                correction = 0 if self.biased_running_var else 1
                batch_var, batch_mean = torch.var_mean(input, axes, correction=correction)
                mean.lerp_(batch_mean, new)
                var.lerp_(batch_var, new)
        return y

    def extra_repr(self) -> str:
        text: str = super().extra_repr()  # type: ignore[no-untyped-call]
        for name in ("momentum_keeps", "biased_running_var"):
            text += f", {name}=True" if getattr(self, name) else ""
        return text


class BatchNorm1d(KeptStatistics, torch.nn.BatchNorm1d):
    """torch.nn.BatchNorm1d, and with the two options Keras'."""


class BatchNorm2d(KeptStatistics, torch.nn.BatchNorm2d):
    """torch.nn.BatchNorm2d, and with the two options Keras'."""


class BatchNorm3d(KeptStatistics, torch.nn.BatchNorm3d):
    """torch.nn.BatchNorm3d, and with the two options Keras'."""
