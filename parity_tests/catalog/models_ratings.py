"""Recommendation from ratings: matrix factorisation, a hybrid, NeuMF, AutoRec."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

import scratch.models
import torch_ref.models
from parity_tests.harness.draw import Array, Draw
from parity_tests.harness.entry import Call, Case, Entry, Layer, Refusal, unchecked
from scratch import nn
from scratch.nn.op import Backward

KOREN = "Koren, Bell & Volinsky 2009, IEEE Computer 42(8), equations 4 and 5"
KULA = "Kula 2015, arXiv:1507.08439, equation 1; Koren, Bell & Volinsky 2009"
HE = "He, Liao, Zhang, Nie, Hu & Chua 2017, arXiv:1708.05031, sections 3.2 to 3.4"
SEDHAIN = "Sedhain, Menon, Sanner & Xie 2015, WWW, section 2"

USERS, ITEMS = 5, 6


class ModelLoss(nn.Module):
    """A model's loss as a module, so that the catalog can compare it."""

    def __init__(self, kind: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self.model = kind(*args, **kwargs)

    def forward(self, *args: Any, **options: Any) -> tuple[Array, Backward]:
        """As the model's `loss`."""
        loss: tuple[Array, Backward] = self.model.loss(*args, **options)
        return loss


class TorchModelLoss(torch.nn.Module):
    """The same of the twin."""

    def __init__(self, kind: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.model = kind(*args, **kwargs)

    def forward(self, *args: Any, **options: Any) -> Any:
        """As the model's `loss`."""
        return self.model.loss(*args, **options)


TorchModelLoss.__name__ = "ModelLoss"  # the name is part of what is printed


def loss_of(name: str) -> dict[str, Any]:
    """Both sides of an entry about a model's loss."""
    return {
        "scratch": functools.partial(ModelLoss, getattr(scratch.models, name)),
        "torch": functools.partial(TorchModelLoss, getattr(torch_ref.models, name)),
        "c": 1000,
    }


def pairs(d: Draw, *shape: int) -> tuple[Array, Array]:
    """Users and items, some of them more than once."""
    return d.integers(0, USERS, *shape), d.integers(0, ITEMS, *shape)


def asked(*shape: int, features: int = 0) -> Callable[[Draw], Call]:
    """What is a model to predict?"""

    def call(d: Draw) -> Call:
        ids = pairs(d, *shape)
        return Call(*ids, d.normal(*shape, features)) if features else Call(*ids)

    return call


def told(*shape: int, features: int = 0, **options: Any) -> Callable[[Draw], Call]:
    """The same with the answers."""

    def call(d: Draw) -> Call:
        args = asked(*shape, features=features)(d).args
        return Call(*args, d.normal(*shape), **options)

    return call


def one_user(d: Draw) -> Call:
    """All ratings are of one user, of two items."""
    return Call(np.full(4, 2), np.array([1, 5, 5, 1]))


def table(*shape: int, share: float = 0.6, gap: float = 0.0, **options: Any) -> Any:
    """A row of ratings each, and where they are; elsewhere stands `gap` more."""

    def call(d: Draw) -> Call:
        on = d.mask(share, *shape)
        on[0], on[1] = True, False
        return Call(d.array(d.normal(*shape) + gap * ~on), on, **options)

    return call


ENTRIES: list[Entry] = [
    Layer(
        "MatrixFactorization",
        scratch.models.MatrixFactorization,
        torch_ref.models.MatrixFactorization,
        source=KOREN,
        cases=(
            Case("pairs", asked(7), init=Call(USERS, ITEMS, 3, 3.6)),
            Case("one user", one_user, init=Call(USERS, ITEMS, 2, mean=-1.5), modes=("train",)),
            Case("a grid", asked(2, 3), init=Call(USERS, ITEMS, 1, 0.5), modes=("eval",)),
            Case(
                "no pairs",
                asked(0),
                init=Call(USERS, ITEMS, 3),
                modes=("eval",),
                zero=(
                    "user_factors.weight",
                    "item_factors.weight",
                    "user_bias.weight",
                    "item_bias.weight",
                ),
            ),
        ),
    ),
    Layer(
        "MatrixFactorization.loss",
        source=KOREN,
        **loss_of("MatrixFactorization"),
        cases=(
            Case("squared error", told(7), init=Call(USERS, ITEMS, 3, 3.6)),
            Case(
                "regularised",
                told(9, regularization=0.3),
                init=Call(USERS, ITEMS, 2, 1.2),
                modes=("train",),
            ),
            Case(
                "a grid",
                told(3, 2, regularization=2.0),
                init=Call(USERS, ITEMS, 2),
                modes=("eval",),
            ),
        ),
    ),
    Layer(
        "HybridMatrixFactorization",
        scratch.models.HybridMatrixFactorization,
        torch_ref.models.HybridMatrixFactorization,
        source=KULA,
        cases=(
            Case("pairs", asked(7, features=4), init=Call(USERS, ITEMS, 4, 3, 3.6)),
            Case(
                "one feature, a grid",
                asked(2, 3, features=1),
                init=Call(USERS, ITEMS, 1, 2, mean=-0.5),
                modes=("eval",),
            ),
        ),
    ),
    Layer(
        "HybridMatrixFactorization.loss",
        source=KULA,
        **loss_of("HybridMatrixFactorization"),
        cases=(
            Case(
                "regularised",
                told(8, features=4, regularization=0.3),
                init=Call(USERS, ITEMS, 4, 3, 3.6),
            ),
        ),
    ),
    Layer(
        "NeuMF",
        scratch.models.NeuMF,
        torch_ref.models.NeuMF,
        source=HE,
        c=1000,
        cases=(
            Case("both", asked(7), init=Call(USERS, ITEMS, 3, (8, 5, 4))),
            Case("GMF", asked(7), init=Call(USERS, ITEMS, 3, None), modes=("train",)),
            Case("MLP", asked(7), init=Call(USERS, ITEMS, None, [6, 5]), modes=("train",)),
            Case(
                "no hidden layer, a grid",
                asked(3, 2),
                init=Call(USERS, ITEMS, 2, layers=(4,)),
                modes=("eval",),
            ),
        ),
    ),
    Layer(
        "AutoRec",
        scratch.models.AutoRec,
        torch_ref.models.AutoRec,
        source=SEDHAIN,
        c=1000,
        cases=(
            Case("some observed", table(4, 6, gap=5.0), init=Call(6, 3)),
            Case("all observed", lambda d: Call(d.normal(3, 5)), init=Call(5, 4, "Identity")),
        ),
    ),
    Layer(
        "AutoRec.loss",
        source=SEDHAIN,
        **loss_of("AutoRec"),
        cases=(
            Case("some observed", table(4, 6, gap=5.0), init=Call(6, 3)),
            Case(
                "regularised",
                table(5, 4, share=0.3, gap=-2.0, regularization=0.4),
                init=Call(4, 3),
                modes=("train",),
            ),
            Case("all", lambda d: Call(d.normal(3, 5)), init=Call(5, 4, "ReLU"), modes=("eval",)),
        ),
    ),
]

U, J, T = np.array([0, 4, 2]), np.array([5, 0, 1]), np.full(3, 0.5, np.float32)
X, ROWS, ON = np.full((3, 4), 0.5, np.float32), np.full((3, 5), 0.5, np.float32), np.eye(3, 5) > 0
KINDS = scratch.models
MF = KINDS.MatrixFactorization(USERS, ITEMS, 3)
HYBRID = KINDS.HybridMatrixFactorization(USERS, ITEMS, 4, 3)
NEUMF = KINDS.NeuMF(USERS, ITEMS)
AUTOREC = KINDS.AutoRec(5, 3)
WORD = unchecked("much")


def refusals(
    name: str,
    make: Callable[..., Any],
    right: Mapping[str, Any],
    wrong: Mapping[str, Mapping[str, Any]],
) -> list[Refusal]:
    """Calls of `make` with one argument that it does not take."""
    return [
        Refusal(f"{name}: {what}", functools.partial(make, **{**right, **options}), name)
        for what, options in wrong.items()
    ]


SIZES: dict[str, dict[str, Any]] = {
    "no users": {"num_users": 0},
    "no items": {"num_items": 0},
    "half an item": {"num_items": 2.5},
}
TABLES: dict[str, dict[str, Any]] = {
    **SIZES,
    "no factors": {"embedding_dim": 0},
    "mean a word": {"mean": WORD},
}
IDS: dict[str, dict[str, Any]] = {
    "user too high": {"user": U + 1},
    "item too high": {"item": J + 1},
    "negative user": {"user": U - 1},
    "negative item": {"item": J - 1},
    "floating items": {"item": J.astype(np.float32)},
    "list of users": {"user": U.tolist()},
    "an item more": {"item": np.append(J, 0)},
}
LOSS: dict[str, dict[str, Any]] = {
    "rating missing": {"rating": T[:2]},
    "dtype of ratings": {"rating": T.astype(np.float64)},
    "integer ratings": {"rating": T.astype(int)},
    "negative regularisation": {"regularization": -0.1},
    "infinite regularisation": {"regularization": np.inf},
    "regularisation a word": {"regularization": WORD},
    "loss of an item too high": {"item": J + 1},
}
FEATURES: dict[str, dict[str, Any]] = {
    "a feature missing": {"features": X[:, :3]},
    "a row of features missing": {"features": X[:2]},
    "dtype of features": {"features": X.astype(np.float64)},
    "list of features": {"features": X.tolist()},
}
PAIRS = {"user": U, "item": J}
SIZED = {"num_users": USERS, "num_items": ITEMS}
REFUSALS: list[Refusal] = [
    *refusals("MatrixFactorization", KINDS.MatrixFactorization, SIZED, TABLES),
    *refusals("MatrixFactorization", MF, PAIRS, IDS),
    *refusals("MatrixFactorization", MF.loss, {**PAIRS, "rating": T}, LOSS),
    *refusals(
        "HybridMatrixFactorization",
        KINDS.HybridMatrixFactorization,
        {**SIZED, "num_features": 4},
        {**TABLES, "no features": {"num_features": 0}},
    ),
    *refusals("HybridMatrixFactorization", HYBRID, {**PAIRS, "features": X}, {**IDS, **FEATURES}),
    *refusals(
        "HybridMatrixFactorization", HYBRID.loss, {**PAIRS, "features": X, "rating": T}, LOSS
    ),
    *refusals(
        "NeuMF",
        KINDS.NeuMF,
        SIZED,
        {
            **SIZES,
            "nothing": {"mf_dim": None, "layers": None},
            "no factors": {"mf_dim": 0},
            "odd layer": {"layers": (7, 4)},
            "no layers": {"layers": ()},
            "a number of layers": {"layers": 8},
            "layer of 0": {"layers": (8, 0)},
        },
    ),
    *refusals("NeuMF", NEUMF, PAIRS, IDS),
    *refusals(
        "AutoRec",
        KINDS.AutoRec,
        {"num_inputs": 5},
        {
            "no inputs": {"num_inputs": 0},
            "no code": {"hidden_size": 0},
            "activation": {"activation": "sigmoid"},
        },
    ),
    *(
        refusal
        for what, call in (("", AUTOREC), ("loss of ", AUTOREC.loss))
        for refusal in refusals(
            "AutoRec",
            call,
            {"input": ROWS, "observed": ON},
            {
                f"{what}a row too short": {"input": ROWS[:, :4]},
                f"{what}one row": {"input": ROWS[0]},
                f"{what}a list": {"input": ROWS.tolist()},
                f"{what}integers": {"input": ROWS.astype(int)},
                f"{what}observed a row": {"observed": ON[0]},
                f"{what}observed as numbers": {"observed": ON.astype(np.float32)},
            },
        )
    ),
    *refusals(
        "AutoRec",
        AUTOREC.loss,
        {"input": ROWS},
        {
            "negative regularisation": {"regularization": -1.0},
            "regularisation a word": {"regularization": WORD},
        },
    ),
]
