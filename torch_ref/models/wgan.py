"""Wasserstein GAN: a critic with bounded slopes.       Arjovsky, Chintala & Bottou 2017, 1701.07875

critic      D(x), a score without bounds
clipping    w <- min(max(w, -c), c) after each of the critic's steps
penalty     P = mean_i (|g_i| - 1)^2    g_i = dD(x_i)/dx         (Gulrajani et al. 2017, 1704.00028)
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from torch_ref.models.dcgan import SLOPE, widths
from torch_ref.models.gan import dense
from torch_ref.nn.adversarial_loss import unit_gradient_loss


class Critic(nn.Module):
    """Data to a score, through dense layers.

    Args:
        in_features: size of a sample.
        hidden: widths of the hidden layers.
        activation: name of a class of `torch.nn` that needs no arguments.
        dtype: of the parameters.

    Shape:
        (N, in_features) to (N, 1).
    """

    def __init__(
        self,
        in_features: int,
        hidden: Sequence[int],
        activation: str = "LeakyReLU",
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        last = nn.Linear([in_features, *hidden][-1], 1, dtype=dtype)
        self.layers = nn.Sequential(*dense(in_features, hidden, activation, dtype), last)

    def forward(self, input: Tensor) -> Tensor:
        """D(x)."""
        y: Tensor = self.layers(input)
        return y


class ConvCritic(nn.Module):
    """Images to a score: the discriminator of DCGAN with biases and without BatchNorm.

    Args:
        width: channels after the first layer.
        img_size: S, a power of two, at least 8.
        channels: of an image.
        dtype: of the parameters.

    Shape:
        (N, channels, img_size, img_size) to (N, 1).
    """

    def __init__(
        self,
        width: int = 64,
        img_size: int = 64,
        channels: int = 3,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = channels
        for n in widths(width, img_size):
            layers += [nn.Conv2d(inputs, n, 4, 2, 1, dtype=dtype), nn.LeakyReLU(SLOPE)]
            inputs = n
        layers += [nn.Flatten(), nn.Linear(16 * inputs, 1, dtype=dtype)]
        self.layers = nn.Sequential(*layers)

    def forward(self, input: Tensor) -> Tensor:
        """D(x)."""
        y: Tensor = self.layers(input)
        return y


def gradient_penalty(critic: nn.Module, input: Tensor) -> Tensor:
    """P = mean (|dD/dx| - 1)^2, over rows.

    Args:
        critic: maps rows of x to scores, each row by itself.
        input: x (N, ...), points between real and generated data.

    Returns:
        P (), to be differentiated by the critic's parameters.
    """
    x = input if input.requires_grad else input.detach().requires_grad_()
    (g,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return unit_gradient_loss(g)


@torch.no_grad()
def clip_weights(parameters: Iterable[nn.Parameter], clip_value: float) -> None:
    """Bring every entry of the parameters into [-c, c].

    Args:
        parameters: the critic's.
        clip_value: c > 0.
    """
    for parameter in parameters:
        parameter.clamp_(-clip_value, clip_value)
