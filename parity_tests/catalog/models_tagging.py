"""Sequence tagging: BiLSTM-CRF and the softmax tagger, their emissions, losses and best tags.

A `Layer` compares what `forward` returns, so a module whose forward is the loss stands around the
model where the loss is compared.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

import scratch.models
import torch_ref.models
from parity_tests.harness.draw import Array, Draw, same_draws
from parity_tests.harness.entry import Call, Case, Entry, Layer, Refusal, Routine, unchecked
from scratch import nn
from scratch.nn.op import Backward

HUANG = "Huang, Xu & Yu 2015, arXiv:1508.01991; Lample et al. 2016, arXiv:1603.01360"
VITERBI = "Viterbi 1967; Rabiner 1989, A tutorial on hidden Markov models (forward-backward)"
LENGTHS = np.array([3, 5, 1, 4])  # neither sorted nor all the longest
WORDS, TAGS = 8, 4


class TaggerLoss(nn.Module):
    """A tagger whose forward is its loss."""

    def __init__(self, *args: Any, make: Any = scratch.models.BiLSTMCRF, **kwargs: Any) -> None:
        self.model = make(*args, **kwargs)

    def forward(
        self,
        input: Array,
        target: Array,
        lengths: Array | None = None,
        reduction: str = "mean",
    ) -> tuple[Array, Backward]:
        """Negative log likelihood."""
        loss: tuple[Array, Backward] = self.model.loss(input, target, lengths, reduction)
        return loss


class TorchTaggerLoss(torch.nn.Module):
    """The same in torch."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.model = torch_ref.models.BiLSTMCRF(*args, **kwargs)

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        lengths: Tensor | None = None,
        reduction: str = "mean",
    ) -> Tensor:
        """Negative log likelihood."""
        return self.model.loss(input, target, lengths, reduction)

    def _get_name(self) -> str:
        return "TaggerLoss"


def sentences(d: Draw) -> tuple[Array, Array]:
    """Four sentences with their tags; behind their ends stand words and tags that do not exist."""
    on = np.arange(5) < LENGTHS[:, None]
    ids, tags = d.integers(0, WORDS, 4, 5), d.integers(0, TAGS, 4, 5)
    return np.where(on, ids, WORDS + 90), np.where(on, tags, -100)


def whole(d: Draw) -> Call:
    """Two sentences of three words."""
    return Call(d.integers(0, WORDS, 2, 3))


def padded(d: Draw) -> Call:
    """The four sentences."""
    return Call(sentences(d)[0], LENGTHS)


def wide(d: Draw) -> Call:
    """One word, and padding that no sentence needs."""
    ids = np.full((2, 4), -7)
    ids[:, :2] = d.integers(0, WORDS, 2, 2)
    return Call(ids, np.array([1, 2], np.int32))


def tagged(d: Draw, **options: Any) -> Call:
    """The four sentences, to be learned."""
    return Call(*sentences(d), LENGTHS, **options)


def tagger(*more: Any, **options: Any) -> Call:
    """Arguments of a small one without dropout."""
    return Call(WORDS, TAGS, 3, 4, *more, **{"dropout": 0.0, **options})


def drive(make: Any, side: Any, d: Draw, crf: bool) -> tuple[Any, dict[str, tuple[Any, ...]]]:
    """A tagger with weights of its own in evaluation mode, and two batches."""
    made = make(WORDS, TAGS, 3, 4, crf=crf)
    shapes = {name: tuple(value.shape) for name, value in made.state_dict().items()}
    made = side.set(made, {name: d.normal(*shape) for name, shape in shapes.items()}).eval()
    ids, _ = sentences(d)
    batches = {"whole": (d.integers(0, WORDS, 40, 4),), "padded": (ids, LENGTHS)}
    return made, {name: tuple(map(side.array, b)) for name, b in batches.items()}


def decoded(make: Any, side: Any, d: Draw) -> dict[str, Any]:
    """Of both taggers, sentence after sentence."""
    found = {}
    for crf in (True, False):
        made, batches = drive(make, side, d, crf)
        for name, batch in batches.items():
            rows = made.decode(*batch)
            found[f"{name}, {crf}"] = np.array([tag for row in rows for tag in row])
            found[f"{name}, {crf}, lengths"] = np.array(list(map(len, rows)))
    return found


def marginals(make: Any, side: Any, d: Draw) -> dict[str, Any]:
    """Of both taggers."""
    found = {}
    for crf in (True, False):
        made, batches = drive(make, side, d, crf)
        for name, batch in batches.items():
            found[f"{name}, {crf}"] = made.marginals(*batch)
    return found


ENTRIES: list[Entry] = [
    Layer(
        "BiLSTMCRF",
        scratch.models.BiLSTMCRF,
        torch_ref.models.BiLSTMCRF,
        source=HUANG,
        c=1000,
        cases=(
            Case("softmax tagger", whole, init=tagger(crf=False)),
            Case("padded", padded, init=tagger(crf=False)),
            Case("wide, two layers", wide, init=tagger(2, crf=False)),
            *(
                Case(
                    "dropout",
                    padded,
                    init=tagger(2, crf=False, dropout=0.4),
                    modes=("train",),
                    seeded=True,
                )
                for _ in range(same_draws())
            ),
        ),
    ),
    Layer(
        "BiLSTMCRF.loss",
        TaggerLoss,
        TorchTaggerLoss,
        source=HUANG,
        c=1000,
        cases=(
            *(
                Case(
                    f"{reduction}, {'CRF' if crf else 'softmax'}",
                    functools.partial(tagged, reduction=reduction),
                    init=tagger(crf=crf),
                    modes=("train", "eval") if reduction == "mean" else ("train",),
                )
                for reduction in ("sum", "mean", "token_mean")
                for crf in (True, False)
            ),
            *(
                Case(
                    f"whole, {'CRF' if crf else 'softmax'}",
                    lambda d: Call(*whole(d).args, d.integers(0, TAGS, 2, 3)),
                    init=tagger(crf=crf),
                    modes=("train",),
                )
                for crf in (True, False)
            ),
            *(
                Case(
                    "dropout",
                    tagged,
                    init=tagger(2, dropout=0.4),
                    modes=("train",),
                    seeded=True,
                )
                for _ in range(same_draws())
            ),
        ),
    ),
    Routine(
        "BiLSTMCRF.decode",
        scratch.models.BiLSTMCRF,
        torch_ref.models.BiLSTMCRF,
        {"decode": decoded},
        source=VITERBI,
        c=1000,
    ),
    Routine(
        "BiLSTMCRF.marginals",
        scratch.models.BiLSTMCRF,
        torch_ref.models.BiLSTMCRF,
        {"marginals": marginals},
        source=VITERBI,
        c=1000,
    ),
]

Model: Any = scratch.models.BiLSTMCRF
MODEL = Model(5, 3, 2, 2)
IDS = np.array([[0, 4, 1], [3, 1, 9]])
RIGHT: dict[str, Any] = {"input": IDS, "lengths": np.array([3, 2])}
WRONG: dict[str, dict[str, Any]] = {
    "floating words": {"input": IDS / 2},
    "list of words": {"input": IDS.tolist()},
    "one sentence without its axis": {"input": IDS[0]},
    "no words": {"input": IDS[:, :0]},
    "no sentences": {"input": IDS[:0]},
    "number of lengths": {"lengths": np.array([3])},
    "list of lengths": {"lengths": [3, 2]},
    "floating lengths": {"lengths": np.array([3.0, 2.0])},
    "a length of 0": {"lengths": np.array([3, 0])},
    "a length beyond": {"lengths": np.array([4, 2])},
}
Z = np.array([[0, 2, 1], [1, 1, -100]])
METHODS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "BiLSTMCRF": (MODEL, {}),
    "BiLSTMCRF.loss": (MODEL.loss, {"target": Z}),
    "BiLSTMCRF.decode": (MODEL.decode, {}),
    "BiLSTMCRF.marginals": (MODEL.marginals, {}),
}
REFUSALS = [
    Refusal(f"{name}: {what}", functools.partial(method, **{**RIGHT, **more, **wrong}), name)
    for name, (method, more) in METHODS.items()
    for what, wrong in WRONG.items()
]
LABELS: dict[str, dict[str, Any]] = {
    "floating tags": {"target": Z / 2},
    "list of tags": {"target": Z.tolist()},
    "shape of tags": {"target": Z[:, :2]},
    "tag too high": {"target": Z + 1},
    "tag of padding inside": {"lengths": np.array([3, 3]), "input": IDS % 5},
    "unknown reduction": {"reduction": "none"},
}
REFUSALS += [
    Refusal(
        f"BiLSTMCRF.loss: {what}",
        functools.partial(MODEL.loss, **{**RIGHT, "target": Z, **wrong}),
        "BiLSTMCRF.loss",
    )
    for what, wrong in LABELS.items()
]
REFUSALS += [
    Refusal("BiLSTMCRF: word too high", lambda: MODEL(IDS), "BiLSTMCRF"),
    Refusal("BiLSTMCRF: negative word", lambda: MODEL(IDS - 1), "BiLSTMCRF"),
    Refusal("BiLSTMCRF: no vocabulary", lambda: Model(0, 3), "BiLSTMCRF"),
    Refusal("BiLSTMCRF: no tags", lambda: Model(5, 0), "BiLSTMCRF"),
    Refusal("BiLSTMCRF: no embedding", lambda: Model(5, 3, 0), "BiLSTMCRF"),
    Refusal("BiLSTMCRF: half a state", lambda: Model(5, 3, 2, 2.5), "BiLSTMCRF"),
    Refusal("BiLSTMCRF: no layers", lambda: Model(5, 3, 2, 2, 0), "BiLSTMCRF"),
    Refusal("BiLSTMCRF: dropout", lambda: Model(5, 3, dropout=1.5), "BiLSTMCRF"),
    Refusal("BiLSTMCRF: crf a word", lambda: Model(5, 3, crf=unchecked("yes")), "BiLSTMCRF"),
]
