"""Generative adversarial networks of dense layers.     Goodfellow et al. 2014, arXiv:1406.2661

    generator       G(z) = o(W_K h_{K-1} + b_K)     h_k = f(W_k h_{k-1} + b_k), h_0 = z ~ N(0, I)
    discriminator   D(x) = w . h + b, a logit       h = f(... f(W_1 x + b_1)), perhaps with the
                    closeness to the rest of the batch beside it (Salimans et al. 2016)
    conditional     G(z, l) = G((z, c_l))           D(x, l) = D((x, c_l))
                    c_l one-hot, or a learned embedding (Mirza & Osindero 2014)

backward   the layers' own, last to first; d(x, c_l) is x's part, then the embedding's
game       min over G, max over D of E log s(D(x)) + E log(1 - s(D(G(z))))      s = 1 / (1 + e^-x)
           losses: `scratch.nn.adversarial_loss`; the loop: `scratch.training.adversarial`
shapes     z (N, Z)   x (N, in)   l (N,)   D (N, 1)   h (N, hidden[-1])
torch      has none; the layers start as torch's
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check, nn, random
from scratch.check import Array
from scratch.models.neuron import make_activation
from scratch.nn.module import Module
from scratch.nn.op import Backward


class Generator(Module):
    """Noise to data, through dense layers.

    Args:
        latent_size: Z, of the noise.
        hidden: widths of the hidden layers.
        out_features: size of a sample.
        activation: name of a class of `scratch.nn` that needs no arguments.
        output: name of the last layer's activation, 'Identity' for data of any range.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (N, latent_size) to (N, out_features).

    Raises:
        TypeError, ValueError: if a size is not a positive integer or there is no such activation.

    Source: Goodfellow et al. 2014, arXiv:1406.2661.
    """

    def __init__(
        self,
        latent_size: int,
        hidden: Sequence[int],
        out_features: int,
        activation: str = "ReLU",
        output: str = "Identity",
        *,
        dtype: DTypeLike = np.float32,
        generator: random.Generator | None = None,
    ) -> None:
        generator = generator or random.Generator()
        options: dict[str, Any] = {"dtype": dtype, "generator": generator}
        check.size("Generator", "latent_size", latent_size, low=1)
        check.size("Generator", "out_features", out_features, low=1)
        layers = dense("Generator", latent_size, hidden, activation, **options)
        layers.append(nn.Linear([latent_size, *hidden][-1], out_features, **options))
        layers.append(make_activation("Generator", output, dtype, generator))
        self.layers = nn.Sequential(*layers)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """G(z)."""
        return self.layers(input)


class Discriminator(Module):
    """Data to a logit: real, or made by the generator.

    Args:
        in_features: size of a sample.
        hidden: widths of the hidden layers, at least one.
        activation: name of a class of `scratch.nn` that needs no arguments.
        num_kernels: B, of minibatch discrimination after the last hidden layer; 0 for none.
        kernel_dim: C, of its kernels.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (N, in_features) to logits (N, 1).

    Raises:
        TypeError, ValueError: if a size is not a positive integer or there is no such activation.

    Source: Goodfellow et al. 2014, arXiv:1406.2661; num_kernels: Salimans et al. 2016,
        arXiv:1606.03498, section 3.2.
    """

    def __init__(
        self,
        in_features: int,
        hidden: Sequence[int],
        activation: str = "LeakyReLU",
        num_kernels: int = 0,
        kernel_dim: int = 5,
        *,
        dtype: DTypeLike = np.float32,
        generator: random.Generator | None = None,
    ) -> None:
        generator = generator or random.Generator()
        options: dict[str, Any] = {"dtype": dtype, "generator": generator}
        check.size("Discriminator", "in_features", in_features, low=1)
        check.size("Discriminator", "num_kernels", num_kernels)
        layers = dense("Discriminator", in_features, hidden, activation, **options)
        if not layers:
            check.refuse("Discriminator", "at least one hidden layer", check.describe(hidden))
        self.body = nn.Sequential(*layers)
        self.minibatch = None
        if num_kernels:
            self.minibatch = nn.MinibatchDiscrimination(
                hidden[-1], num_kernels, kernel_dim, **options
            )
        self.head = nn.Linear(hidden[-1] + num_kernels, 1, **options)

    def features(self, input: Array) -> tuple[Array, Backward]:
        """The last hidden layer, which feature matching compares.

        Args:
            input: x (N, in_features).

        Returns:
            h (N, hidden[-1]), and its backward.
        """
        return self.body(input)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """D(x)."""
        h, body_back = self.body(input)
        minibatch_back = None
        if self.minibatch is not None:
            h, minibatch_back = self.minibatch(h)
        y, head_back = self.head(h)

        def backward(dy: Array) -> Array:
            dh = head_back(dy)
            if minibatch_back is not None:
                dh = minibatch_back(dh)
            dx: Array = body_back(dh)
            return dx

        return y, backward


class _Conditional(Module):
    """A network that sees a label beside its input."""

    net: Generator | Discriminator

    def _code(self, num_classes: int, embedding_dim: int | None, **options: Any) -> int:
        """Set what labels become; its size."""
        name = type(self).__name__
        self.num_classes = check.size(name, "num_classes", num_classes, low=1)
        self.embedding = None
        if embedding_dim is None:
            return num_classes
        size = check.size(name, "embedding_dim", embedding_dim, low=1)
        self.embedding = nn.Embedding(num_classes, size, **options)
        return size

    def _joined(self, x: Array, label: Array) -> tuple[Array, Backward]:
        """(x, c_l)."""
        name = type(self).__name__
        x = check.floating(name, "input", x)
        ids = check.integer(name, "label", label, 0, self.num_classes)
        check.shape(name, "input", x, ("N", "size"))
        check.shape(name, "label", ids, (len(x),))
        size = x.shape[1]
        if self.embedding is None:
            code = (ids[:, None] == np.arange(self.num_classes)).astype(x.dtype)
            return np.concatenate([x, code], 1), lambda djoined: djoined[:, :size]
        rows, rows_back = self.embedding(ids)
        if rows.dtype != x.dtype:
            expected = f"input of dtype {rows.dtype} as the embedding has"
            check.refuse(name, expected, check.describe(x), TypeError)

        def backward(djoined: Array) -> Array:
            rows_back(djoined[:, size:])
            return djoined[:, :size]

        return np.concatenate([x, rows], 1), backward

    def forward(self, input: Array, label: Array) -> tuple[Array, Backward]:
        """The network's output for (input, c_label).

        Args:
            input: z or x (N, size).
            label: classes (N,), integers in [0, num_classes).

        Returns:
            What the network makes of them, and its backward: dy -> dinput.
        """
        joined, join_back = self._joined(input, label)
        y, net_back = self.net(joined)
        return y, lambda dy: join_back(net_back(dy))


class ConditionalGenerator(_Conditional):
    """Noise and a label to data of that class.

    Args:
        latent_size: Z, of the noise.
        hidden: widths of the hidden layers.
        out_features: size of a sample.
        num_classes: how many labels there are.
        embedding_dim: size of a label's embedding; None gives it as one-hot.
        activation: name of a class of `scratch.nn` that needs no arguments.
        output: name of the last layer's activation.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (N, latent_size) and (N,) to (N, out_features).

    Raises:
        TypeError, ValueError: if a size is not a positive integer or there is no such activation;
            in a forward, if a label is none.

    Source: Mirza & Osindero 2014, arXiv:1411.1784.
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
        dtype: DTypeLike = np.float32,
        generator: random.Generator | None = None,
    ) -> None:
        options: dict[str, Any] = {"dtype": dtype, "generator": generator or random.Generator()}
        check.size("ConditionalGenerator", "latent_size", latent_size, low=1)
        size = latent_size + self._code(num_classes, embedding_dim, **options)
        self.net = Generator(size, hidden, out_features, activation, output, **options)


class ConditionalDiscriminator(_Conditional):
    """Data and a label to a logit: a real pair, or one of the generator's.

    Args:
        in_features: size of a sample.
        hidden: widths of the hidden layers, at least one.
        num_classes: how many labels there are.
        embedding_dim: size of a label's embedding; None gives it as one-hot.
        activation: name of a class of `scratch.nn` that needs no arguments.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (N, in_features) and (N,) to logits (N, 1).

    Raises:
        TypeError, ValueError: if a size is not a positive integer or there is no such activation;
            in a forward, if a label is none.

    Source: Mirza & Osindero 2014, arXiv:1411.1784.
    """

    def __init__(
        self,
        in_features: int,
        hidden: Sequence[int],
        num_classes: int,
        embedding_dim: int | None = None,
        activation: str = "LeakyReLU",
        *,
        dtype: DTypeLike = np.float32,
        generator: random.Generator | None = None,
    ) -> None:
        options: dict[str, Any] = {"dtype": dtype, "generator": generator or random.Generator()}
        check.size("ConditionalDiscriminator", "in_features", in_features, low=1)
        size = in_features + self._code(num_classes, embedding_dim, **options)
        self.net = Discriminator(size, hidden, activation, **options)

    def features(self, input: Array, label: Array) -> tuple[Array, Backward]:
        """The last hidden layer.

        Args:
            input: x (N, in_features).
            label: classes (N,).

        Returns:
            h (N, hidden[-1]), and its backward.
        """
        joined, join_back = self._joined(input, label)
        assert isinstance(self.net, Discriminator)
        h, features_back = self.net.features(joined)
        return h, lambda dh: join_back(features_back(dh))


def dense(
    function: str,
    size: int,
    hidden: Sequence[int],
    activation: str,
    dtype: DTypeLike,
    generator: random.Generator,
) -> list[Module]:
    """Hidden layers, each a Linear and an activation.

    Args:
        function: name for messages.
        size: of the input.
        hidden: widths of the layers.
        activation: name of a class of `scratch.nn` that needs no arguments.
        dtype: float32 or float64.
        generator: where the start comes from.

    Returns:
        The layers in order.
    """
    sizes: object = hidden
    if isinstance(sizes, str) or not isinstance(sizes, Sequence):
        check.refuse(function, "hidden to be a sequence of integers", check.describe(hidden))
    widths = [size, *(check.size(function, "every width in hidden", n, low=1) for n in hidden)]
    layers: list[Module] = []
    for n, m in pairwise(widths):
        layers.append(nn.Linear(n, m, dtype=dtype, generator=generator))
        layers.append(make_activation(function, activation, dtype, generator))
    return layers
