"""AutoRec: ratings through an autoencoder.                       Sedhain et al. 2015, WWW, AutoRec

forward    x = r where observed, else 0     h = g(V x + mu)     y = W h + b           f is linear
loss       L = mean over what is observed of (y - x)^2 + lambda / 2 (|V|^2 + |W|^2)
backward   dy = 2 (y - x) / n where observed, else 0; the layers' own, and lambda V, lambda W
rows       of items, each with the ratings of all users: I-AutoRec, the paper's better one; of
           users, each with its ratings of all items: U-AutoRec. The network is the same
shapes     r, x, y, observed (B, n)   h (B, k)   V (k, n)   W (n, k)   mu (k,)   b (n,)
observed   entries alone are learned from, and predicted are the others: y of an entry that was not
           observed gets no gradient, so that V's columns and W's rows of it stay
mean       the paper sums over what is observed: that is n times the mean, and lambda n times ours
"""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch import check, nn
from scratch.check import Array
from scratch.models.neuron import make_activation
from scratch.nn import functional as F
from scratch.nn.module import Module, Parameter
from scratch.nn.op import Backward
from scratch.random import Generator


class AutoRec(Module):
    """A row of ratings with gaps, to a row without.

    Args:
        num_inputs: n, width of a row: number of users, where rows are items.
        hidden_size: k.
        activation: g, a class of `scratch.nn` that needs no arguments.
        dtype: float32 or float64.
        generator: where the start comes from; None draws a fresh one.

    Shape:
        (B, num_inputs) to the same.

    Raises:
        TypeError, ValueError: if a size is not a positive integer or there is no such activation;
            in a forward, if an array does not fit.

    Source: Sedhain, Menon, Sanner & Xie 2015, section 2.
    """

    _skips_input_grad = True

    def __init__(
        self,
        num_inputs: int,
        hidden_size: int = 500,
        activation: str = "Sigmoid",
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        check.size("AutoRec", "num_inputs", num_inputs, low=1)
        check.size("AutoRec", "hidden_size", hidden_size, low=1)
        options: dict[str, Any] = {"dtype": dtype, "generator": generator or Generator()}
        self.encoder = nn.Linear(num_inputs, hidden_size, **options)
        self.activation = make_activation("AutoRec", activation, **options)
        self.decoder = nn.Linear(hidden_size, num_inputs, **options)

    def forward(self, input: Array, observed: Array | None = None) -> tuple[Array, Backward]:
        """What every entry is expected to be.

        Args:
            input: r (B, num_inputs); what stands where nothing was observed does not matter.
            observed: bool (B, num_inputs), where there is a rating; None for everywhere.

        Returns:
            y (B, num_inputs), and its backward: dy -> dr, 0 where nothing was observed.
        """
        x, on = self._filled(input, observed)
        a, encoder_back = self.encoder(x)
        h, activation_back = self.activation(a)
        y, decoder_back = self.decoder(h)

        def backward(dy: Array, needs_input_grad: bool = True) -> Array | None:
            da = activation_back(decoder_back(dy))
            dx = encoder_back(da, needs_input_grad=needs_input_grad)
            return np.where(on, dx, 0) if needs_input_grad else None

        return y, backward

    def loss(
        self, input: Array, observed: Array | None = None, regularization: float = 0.0
    ) -> tuple[Array, Backward]:
        """Mean squared error over what was observed, and what the weights cost.

        Args:
            input: r (B, num_inputs).
            observed: bool (B, num_inputs); None for everywhere.
            regularization: lambda, not negative; the biases are free.

        Returns:
            The loss, (), and its backward: dloss -> dr. NaN where nothing was observed at all.

        Raises:
            TypeError, ValueError: if an array or the number does not fit.
        """
        x, on = self._filled(input, observed)
        a = check.number("AutoRec", "regularization", regularization, 0, np.inf, open_high=True)
        y, model_back = self(x, on)
        error, error_back = F.mse_loss(y, x, weight=on.astype(x.dtype))
        weights = self.encoder.weight, self.decoder.weight
        penalty = a / 2 * sum(np.vdot(w.data, w.data) for w in weights)
        loss = np.asarray(error + penalty, x.dtype)

        def backward(dloss: Array | float = 1.0, needs_input_grad: bool = True) -> Array | None:
            dy, dtarget, _ = error_back(dloss)
            dx = model_back(dy, needs_input_grad=needs_input_grad)
            scale = np.asarray(a * dloss, x.dtype)
            for w in weights:
                w.accumulate(scale * w.data)
            return dx + dtarget if needs_input_grad else None

        return loss, backward

    def _filled(self, input: Array, observed: Array | None) -> tuple[Array, Array]:
        """x, and where there are ratings."""
        r = check.floating("AutoRec", "input", input)
        check.shape("AutoRec", "input", r, ("B", self.encoder.in_features))
        if observed is None:
            return r, np.ones(r.shape, bool)
        if not isinstance(observed, np.ndarray) or observed.dtype != bool:
            expected = "observed to be a bool array"
            check.refuse("AutoRec", expected, check.describe(observed), TypeError)
        check.shape("AutoRec", "observed", observed, r.shape)
        return np.where(observed, r, 0).astype(r.dtype, copy=False), observed

    def _reads(self) -> list[tuple[str, Parameter]]:
        return [("encoder.weight", self.encoder.weight), ("decoder.weight", self.decoder.weight)]
