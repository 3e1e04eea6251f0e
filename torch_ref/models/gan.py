"""Generative adversarial networks of dense layers.     Goodfellow et al. 2014, arXiv:1406.2661

generator       G(z) = o(W_K h_{K-1} + b_K)     h_k = f(W_k h_{k-1} + b_k), h_0 = z ~ N(0, I)
discriminator   D(x) = w . h + b, a logit       h = f(... f(W_1 x + b_1)), perhaps with the
                closeness to the rest of the batch beside it (Salimans et al. 2016)
conditional     G(z, l) = G((z, c_l))           D(x, l) = D((x, c_l))
                c_l one-hot, or a learned embedding (Mirza & Osindero 2014)
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from torch_ref.nn.minibatch_discrimination import MinibatchDiscrimination


class Generator(nn.Module):
    """Noise to data, through dense layers.

    Args:
        latent_size: Z, of the noise.
        hidden: widths of the hidden layers.
        out_features: size of a sample.
        activation: name of a class of `torch.nn` that needs no arguments.
        output: name of the last layer's activation, 'Identity' for data of any range.
        dtype: of the parameters.

    Shape:
        (N, latent_size) to (N, out_features).
    """

    def __init__(
        self,
        latent_size: int,
        hidden: Sequence[int],
        out_features: int,
        activation: str = "ReLU",
        output: str = "Identity",
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        last = nn.Linear([latent_size, *hidden][-1], out_features, dtype=dtype)
        layers = dense(latent_size, hidden, activation, dtype)
        self.layers = nn.Sequential(*layers, last, getattr(nn, output)())

    def forward(self, input: Tensor) -> Tensor:
        """G(z)."""
        y: Tensor = self.layers(input)
        return y


class Discriminator(nn.Module):
    """Data to a logit: real, or made by the generator.

    Args:
        in_features: size of a sample.
        hidden: widths of the hidden layers, at least one.
        activation: name of a class of `torch.nn` that needs no arguments.
        num_kernels: B, of minibatch discrimination after the last hidden layer; 0 for none.
        kernel_dim: C, of its kernels.
        dtype: of the parameters.

    Shape:
        (N, in_features) to logits (N, 1).
    """

    def __init__(
        self,
        in_features: int,
        hidden: Sequence[int],
        activation: str = "LeakyReLU",
        num_kernels: int = 0,
        kernel_dim: int = 5,
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.body = nn.Sequential(*dense(in_features, hidden, activation, dtype))
        self.minibatch = None
        if num_kernels:
            self.minibatch = MinibatchDiscrimination(
                hidden[-1], num_kernels, kernel_dim, dtype=dtype
            )
        self.head = nn.Linear(hidden[-1] + num_kernels, 1, dtype=dtype)

    def features(self, input: Tensor) -> Tensor:
        """The last hidden layer, which feature matching compares.

        Args:
            input: x (N, in_features).

        Returns:
            h (N, hidden[-1]).
        """
        h: Tensor = self.body(input)
        return h

    def forward(self, input: Tensor) -> Tensor:
        """D(x)."""
        h = self.body(input)
        if self.minibatch is not None:
            h = self.minibatch(h)
        y: Tensor = self.head(h)
        return y


class _Conditional(nn.Module):
    """A network that sees a label beside its input."""

    net: nn.Module

    def _code(self, num_classes: int, embedding_dim: int | None, dtype: torch.dtype | None) -> int:
        """Set what labels become; its size."""
        self.num_classes = num_classes
        self.embedding = None
        if embedding_dim is None:
            return num_classes
        self.embedding = nn.Embedding(num_classes, embedding_dim, dtype=dtype)
        return embedding_dim

    def _joined(self, x: Tensor, label: Tensor) -> Tensor:
        """(x, c_l)."""
        if self.embedding is None:
            code = F.one_hot(label, self.num_classes).to(x.dtype)
        else:
            code = self.embedding(label)
        return torch.cat([x, code], dim=1)

    def forward(self, input: Tensor, label: Tensor) -> Tensor:
        """The network's output for (input, c_label).

        Args:
            input: z or x (N, size).
            label: classes (N,).
        """
        y: Tensor = self.net(self._joined(input, label))
        return y


class ConditionalGenerator(_Conditional):
    """Noise and a label to data of that class.

    Args:
        latent_size: Z, of the noise.
        hidden: widths of the hidden layers.
        out_features: size of a sample.
        num_classes: how many labels there are.
        embedding_dim: size of a label's embedding; None gives it as one-hot.
        activation: name of a class of `torch.nn` that needs no arguments.
        output: name of the last layer's activation.
        dtype: of the parameters.

    Shape:
        (N, latent_size) and (N,) to (N, out_features).
    """

    def __init__(
        self,
        latent_size: int,
        hidden: Sequence[int],
        out_features: int,
        num_classes: int,
        embedding_dim: int | None = None,
        activation: str = "ReLU",
        output: str = "Identity",
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        size = latent_size + self._code(num_classes, embedding_dim, dtype)
        self.net = Generator(size, hidden, out_features, activation, output, dtype=dtype)


class ConditionalDiscriminator(_Conditional):
    """Data and a label to a logit: a real pair, or one of the generator's.

    Args:
        in_features: size of a sample.
        hidden: widths of the hidden layers, at least one.
        num_classes: how many labels there are.
        embedding_dim: size of a label's embedding; None gives it as one-hot.
        activation: name of a class of `torch.nn` that needs no arguments.
        dtype: of the parameters.

    Shape:
        (N, in_features) and (N,) to logits (N, 1).
    """

    net: Discriminator

    def __init__(
        self,
        in_features: int,
        hidden: Sequence[int],
        num_classes: int,
        embedding_dim: int | None = None,
        activation: str = "LeakyReLU",
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        size = in_features + self._code(num_classes, embedding_dim, dtype)
        self.net = Discriminator(size, hidden, activation, dtype=dtype)

    def features(self, input: Tensor, label: Tensor) -> Tensor:
        """The last hidden layer.

        Args:
            input: x (N, in_features).
            label: classes (N,).

        Returns:
            h (N, hidden[-1]).
        """
        return self.net.features(self._joined(input, label))


def dense(
    size: int, hidden: Sequence[int], activation: str, dtype: torch.dtype | None
) -> list[nn.Module]:
    """Hidden layers, each a Linear and an activation.

    Args:
        size: of the input.
        hidden: widths of the layers.
        activation: name of a class of `torch.nn` that needs no arguments.
        dtype: of the parameters.

    Returns:
        The layers in order.
    """
    layers: list[nn.Module] = []
    for n, m in pairwise([size, *hidden]):
        layers += [nn.Linear(n, m, dtype=dtype), getattr(nn, activation)()]
    return layers
