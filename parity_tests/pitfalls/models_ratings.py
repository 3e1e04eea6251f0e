"""Conventions of recommenders: what the mean is counted in, what is averaged, what costs."""

import functools
from typing import Any

import numpy as np

from parity_tests.catalog.models_ratings import ModelLoss
from parity_tests.pitfalls.entry import Pitfall
from scratch import nn
from scratch.check import Array
from scratch.models import AutoRec, HybridMatrixFactorization, MatrixFactorization, NeuMF
from scratch.nn import functional as F
from scratch.nn.op import Backward

Loss = tuple[Array, Backward]


class AddsMeanTwice(MatrixFactorization):
    """Biases that already have the mean in them, and the mean on top."""

    def _rated(self, user: Array, item: Array) -> tuple[Array, tuple[Array, ...], Backward]:
        r, rows, backward = super()._rated(user, item)
        return r + self.mean, rows, backward


class NoBiases(MatrixFactorization):
    """The product of the factors alone."""

    def _rated(self, user: Array, item: Array) -> tuple[Array, tuple[Array, ...], Backward]:
        r, rows, backward = super()._rated(user, item)
        return r - self.mean - rows[2][..., 0] - rows[3][..., 0], rows, backward


class HalfLambda(MatrixFactorization):
    """lambda / 2 times the squares."""

    def loss(
        self, user: Array, item: Array, rating: Array, regularization: float = 0.0
    ) -> tuple[Array, Backward]:
        """As MatrixFactorization's, at half of lambda."""
        return super().loss(user, item, rating, regularization / 2)


class SumOverRatings(MatrixFactorization):
    """Equation 5 as it stands: a sum."""

    def loss(
        self, user: Array, item: Array, rating: Array, regularization: float = 0.0
    ) -> tuple[Array, Backward]:
        """As MatrixFactorization's, times the number of ratings."""
        loss, backward = super().loss(user, item, rating, regularization)
        n = rating.dtype.type(rating.size)
        return loss * n, lambda dloss, **options: backward(dloss * n, **options)


class FreeBiases(MatrixFactorization):
    """The factors alone cost."""

    def loss(
        self, user: Array, item: Array, rating: Array, regularization: float = 0.0
    ) -> tuple[Array, Backward]:
        """As MatrixFactorization's, less what the biases cost there."""
        loss, loss_back = super().loss(user, item, rating, regularization)
        _, (_, _, b, c), rated_back = self._rated(user, item)
        a = regularization / rating.size
        free = loss - np.asarray(a * (np.vdot(b, b) + np.vdot(c, c)), loss.dtype)

        def backward(dloss: Array) -> Any:
            scale = -2 * a * dloss
            rated_back(np.zeros_like(rating), (0, 0, scale * b, scale * c))
            return loss_back(dloss)

        return free, backward


class WholeTables(MatrixFactorization):
    """Every row of the tables costs alike, whether and how often it was read."""

    def loss(
        self, user: Array, item: Array, rating: Array, regularization: float = 0.0
    ) -> tuple[Array, Backward]:
        """The squared error, and lambda times the squares of all parameters."""
        loss, loss_back = super().loss(user, item, rating)
        parameters = list(self.parameters())
        squares = sum(np.vdot(p.data, p.data) for p in parameters)

        def backward(dloss: Array) -> Any:
            scale = np.asarray(2 * regularization * dloss, loss.dtype)
            for p in parameters:
                p.accumulate(scale * p.data)
            return loss_back(dloss)

        return np.asarray(loss + regularization * squares, loss.dtype), backward


class ContentAlone(HybridMatrixFactorization):
    """An item is nothing but its features."""

    def _rows(self, user: Array, item: Array) -> tuple[tuple[Array, ...], Backward]:
        (p, q, b, c), backward = super()._rows(user, item)
        q, c = np.zeros_like(q), np.zeros_like(c)
        return (p, q, b, c), lambda dp, dq, db, dc: backward(dp, q, db, c)


class ContentWithoutBias(HybridMatrixFactorization):
    """Features say what an item is like, not how good it is."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.feature_bias.__class__ = Zero


class Zero(nn.Linear):
    """A linear layer that is not there."""

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """0, whatever the input."""
        y, linear_back = super().forward(input)
        return 0 * y, lambda dy: linear_back(0 * dy)


class ItemFirst(NeuMF):
    """[item, user] into the network."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.mlp is not None:
            self.mlp.__class__ = Swapped


class Swapped(nn.Sequential):
    """Layers that are fed the second half first."""

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """As Sequential's, of [b, a] in place of [a, b]."""
        half = input.shape[-1] // 2
        y, back = super().forward(np.roll(input, half, -1))
        return y, lambda dy, **options: np.roll(back(dy, **options), half, -1)


class NetworkFirst(NeuMF):
    """[z_L, g] into the last layer."""

    def _product(self, user: Array, item: Array) -> tuple[Array, Backward] | None:
        return super()._network(user, item)

    def _network(self, user: Array, item: Array) -> tuple[Array, Backward] | None:
        return super()._product(user, item)


class Probability(NeuMF):
    """The sigmoid inside the model, as in the authors' code."""

    def forward(self, user: Array, item: Array) -> tuple[Array, Backward]:
        """The sigmoid of NeuMF's."""
        x, model_back = super().forward(user, item)
        p, sigmoid_back = F.sigmoid(x)
        return p, lambda dp: model_back(sigmoid_back(dp))


class LinearEnd(NeuMF):
    """No rectifier behind the last hidden layer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.mlp is not None and len(self.mlp):
            self.mlp = nn.Sequential(*list(self.mlp)[:-1])


class AllEntries(AutoRec):
    """The zeros that fill the gaps are ratings to be met."""

    def loss(
        self, input: Array, observed: Array | None = None, regularization: float = 0.0
    ) -> tuple[Array, Backward]:
        """As AutoRec's, of a row that is full."""
        x, on = self._filled(input, observed)
        loss, backward = super().loss(x, None, regularization)
        return loss, lambda dloss: on * backward(dloss)


def divided(what: str) -> type[AutoRec]:
    """AutoRec whose sum over what is observed is divided by something else."""

    class Other(AutoRec):
        def loss(
            self, input: Array, observed: Array | None = None, regularization: float = 0.0
        ) -> tuple[Array, Backward]:
            """As AutoRec's, but for the divisor of the error."""
            loss, loss_back = super().loss(input, observed)
            whole, whole_back = super().loss(input, observed, regularization)
            n = input.size if observed is None else int(observed.sum())
            by = {"rows": len(input), "entries": input.size, "sum": 1}[what]
            more = loss.dtype.type(n / by - 1)

            def backward(dloss: Array) -> Any:
                return whole_back(dloss) + loss_back(more * dloss)

            return whole + more * loss, backward

    return Other


class WholeLambda(AutoRec):
    """lambda times the squares."""

    def loss(
        self, input: Array, observed: Array | None = None, regularization: float = 0.0
    ) -> tuple[Array, Backward]:
        """As AutoRec's, at twice lambda."""
        return super().loss(input, observed, 2 * regularization)


class CostlyBiases(AutoRec):
    """weight_decay: lambda / 2 times the squares of all parameters."""

    def loss(
        self, input: Array, observed: Array | None = None, regularization: float = 0.0
    ) -> tuple[Array, Backward]:
        """As AutoRec's, and what the biases cost."""
        loss, loss_back = super().loss(input, observed, regularization)
        biases = [b for b in (self.encoder.bias, self.decoder.bias) if b is not None]
        a = loss.dtype.type(regularization)

        def backward(dloss: Array) -> Any:
            for b in biases:
                b.accumulate(a * dloss * b.data)
            return loss_back(dloss)

        return loss + a / 2 * sum(np.vdot(b.data, b.data) for b in biases), backward


class SeesGaps(AutoRec):
    """What stands where nothing was observed goes in: a rating that is to be predicted, say."""

    def forward(self, input: Array, observed: Array | None = None) -> tuple[Array, Backward]:
        """As AutoRec's, of the row as it is."""
        return super().forward(input)


class Squashed(AutoRec):
    """The output is a sigmoid too, as of ratings scaled to [0, 1]."""

    def forward(self, input: Array, observed: Array | None = None) -> tuple[Array, Backward]:
        """The sigmoid of AutoRec's."""
        y, model_back = super().forward(input, observed)
        s, sigmoid_back = F.sigmoid(y)
        return s, lambda ds: model_back(sigmoid_back(ds))


def loss(kind: type[nn.Module]) -> Any:
    """Its loss, as the catalog's entries have it."""
    return functools.partial(ModelLoss, kind)


PITFALLS = [
    Pitfall(
        "matrix factorisation: the mean twice",
        entry="MatrixFactorization",
        difference="the paper: m + b_u + c_i, biases of what is left; others: the mean of a user "
        "has m in it already",
        mutant=AddsMeanTwice,
    ),
    Pitfall(
        "matrix factorisation: no biases",
        entry="MatrixFactorization",
        difference="the paper: with m, b and c; others: p . q alone",
        mutant=NoBiases,
    ),
    Pitfall(
        "matrix factorisation: half of lambda",
        entry="MatrixFactorization.loss",
        difference="the paper: lambda |p|^2; others: lambda / 2",
        mutant=loss(HalfLambda),
    ),
    Pitfall(
        "matrix factorisation: a sum",
        entry="MatrixFactorization.loss",
        difference="here: mean over the batch; the paper: sum over all ratings, which scales the "
        "rate",
        mutant=loss(SumOverRatings),
    ),
    Pitfall(
        "matrix factorisation: free biases",
        entry="MatrixFactorization.loss",
        difference="the paper: lambda also holds the biases; others: the factors alone",
        mutant=loss(FreeBiases),
    ),
    Pitfall(
        "matrix factorisation: whole tables",
        entry="MatrixFactorization.loss",
        difference="the paper: a row costs each time it is read; weight_decay: all rows, each step",
        mutant=loss(WholeTables),
    ),
    Pitfall(
        "hybrid: content alone",
        entry="HybridMatrixFactorization",
        difference="here: features and an own row of the item; others: features alone",
        mutant=ContentAlone,
    ),
    Pitfall(
        "hybrid: no bias of the features",
        entry="HybridMatrixFactorization",
        difference="the paper: features also say how good an item is; others: factors alone",
        mutant=ContentWithoutBias,
    ),
    Pitfall(
        "neumf: item first",
        entry="NeuMF",
        difference="the paper: [user, item]; others: [item, user]",
        mutant=ItemFirst,
    ),
    Pitfall(
        "neumf: network first",
        entry="NeuMF",
        difference="the paper: [GMF, MLP]; others: [MLP, GMF]",
        mutant=NetworkFirst,
    ),
    Pitfall(
        "neumf: a probability",
        entry="NeuMF",
        difference="here: logits; the authors' code: their sigmoid, which a loss of logits would "
        "take again",
        mutant=Probability,
    ),
    Pitfall(
        "neumf: linear last layer",
        entry="NeuMF",
        difference="the paper: every hidden layer is rectified; others: the last is not",
        mutant=LinearEnd,
    ),
    Pitfall(
        "autorec: gaps are ratings of 0",
        entry="AutoRec.loss",
        difference="the paper: the loss sees what is observed; an autoencoder's sees all entries",
        mutant=loss(AllEntries),
    ),
    Pitfall(
        "autorec: mean over rows",
        entry="AutoRec.loss",
        difference="here: mean over what is observed; others: sum of a row, mean over the batch",
        mutant=loss(divided("rows")),
    ),
    Pitfall(
        "autorec: mean over all entries",
        entry="AutoRec.loss",
        difference="here: mean over what is observed; others: masked, but divided by all entries",
        mutant=loss(divided("entries")),
    ),
    Pitfall(
        "autorec: a sum",
        entry="AutoRec.loss",
        difference="here: mean over what is observed; the paper: sum, with a lambda for that",
        mutant=loss(divided("sum")),
    ),
    Pitfall(
        "autorec: whole lambda",
        entry="AutoRec.loss",
        difference="the paper: lambda / 2; others: lambda",
        mutant=loss(WholeLambda),
    ),
    Pitfall(
        "autorec: biases cost",
        entry="AutoRec.loss",
        difference="the paper: V and W cost; weight_decay: the biases too",
        mutant=loss(CostlyBiases),
    ),
    Pitfall(
        "autorec: gaps are seen",
        entry="AutoRec",
        difference="the paper: 0 where nothing is observed; others: what a table happens to hold",
        mutant=SeesGaps,
    ),
    Pitfall(
        "autorec: sigmoid output",
        entry="AutoRec",
        difference="the paper's best: a linear output; others: a sigmoid, for ratings in [0, 1]",
        mutant=Squashed,
    ),
]
