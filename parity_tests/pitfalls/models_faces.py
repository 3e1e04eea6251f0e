"""Conventions of embeddings: what the margin is added to, which triplets are taken."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from parity_tests.pitfalls.entry import Pitfall
from parity_tests.pitfalls.loss import instead, mutant
from scratch import nn
from scratch.check import Array
from scratch.models import EmbeddingNet
from scratch.nn import functional as F
from scratch.nn import triplet_mining as mining
from scratch.nn.angular_margin import scaled
from scratch.nn.op import Backward
from scratch.nn.reduction import reduced

Parts = tuple[Any, Backward]


def own(a: dict[str, Any]) -> tuple[Array, Array]:
    """Where the targets' cosines are."""
    return np.arange(len(a["input"])), a["target"]


@mutant(F.arc_face)
def margin_off_the_cosine(**a: Any) -> Parts:
    """As CosFace."""
    return F.cos_face(a["input"], a["target"], a["margin"], a["scale"])


@mutant(F.arc_face)
def margin_on_all(**a: Any) -> Parts:
    """Every class has it: each column in turn as the target."""
    c = a["input"]
    columns = [F.arc_face(**{**a, "target": np.full(len(c), j)}) for j in range(c.shape[1])]

    def backward(dy: Array) -> Array:
        return np.stack([back(dy)[:, j] for j, (_, back) in enumerate(columns)], axis=1)

    return np.stack([y[:, j] for j, (y, _) in enumerate(columns)], axis=1), backward


@mutant(F.arc_face)
def rises_again(**a: Any) -> Parts:
    """cos(theta + m) also beyond pi."""
    c, at = a["input"], own(a)
    cos_m, sin_m = math.cos(a["margin"]), math.sin(a["margin"])
    square = np.maximum((1 - c[at]) * (1 + c[at]), 0)
    sine = np.sqrt(square)
    y, y_back = scaled(c, a["scale"])
    y[at] = a["scale"] * (c[at] * cos_m - sine * sin_m)

    def backward(dy: Array) -> Array:
        dc: Array = y_back(dy)
        dc[at] *= cos_m + sin_m * np.where(square > 0, c[at] / sine, 0)
        return dc

    return y, backward


@mutant(F.arc_face)
def passes_straight_through(**a: Any) -> Parts:
    """The slope of the margin is left out."""
    y, _ = F.arc_face(**a)
    return y, lambda dy: a["scale"] * dy


@mutant(F.arc_face)
def scale_before_margin(**a: Any) -> Parts:
    """s c cos m - sin m sqrt(1 - c^2): the sine lacks the scale."""
    c, at = a["input"], own(a)
    full, full_back = F.arc_face(**a)
    plain, plain_back = F.arc_face(**{**a, "scale": 1.0})
    cos_m = math.cos(a["margin"])
    y = full.copy()
    y[at] = plain[at] + (a["scale"] - 1) * cos_m * c[at]

    def backward(dy: Array) -> Array:
        dc: Array = full_back(dy)
        dc[at] = plain_back(dy)[at] + (a["scale"] - 1) * cos_m * dy[at]
        return dc

    return y, backward


@mutant(F.cos_face)
def margin_not_scaled(**a: Any) -> Parts:
    """s c - m."""
    return F.cos_face(**{**a, "margin": a["margin"] / a["scale"]})


def bare(normalised: str) -> Callable[..., Any]:
    """A head that normalises one of the two only."""

    class OneSide(nn.CosFace):
        """Products in place of cosines."""

        def forward(self, input: Array, target: Array | None = None) -> tuple[Array, Backward]:
            """As CosFace's."""
            u, w = input, self.weight.data
            input_back: Backward = np.asarray
            weight_back: Backward = np.asarray
            if normalised == "weight":
                w, weight_back = F.normalize(w)
            else:
                u, input_back = F.normalize(u)
            c, product_back = F.linear(u, w)
            y, scaled_back = scaled(c, self.scale)
            if target is not None:
                y[np.arange(len(y)), target] -= self.scale * self.margin

            def backward(dy: Array) -> Any:
                du, dw = product_back(scaled_back(dy))
                self.weight.accumulate(weight_back(dw))
                return input_back(du)

            return y, backward

        __repr__ = nn.CosFace.__repr__

    OneSide.__name__ = "CosFace"
    return OneSide


class MarginToPredict(nn.ArcFace):
    """A margin is there without a target, on the class that is named."""

    def forward(self, input: Array, target: Array | None = None) -> tuple[Array, Backward]:
        """As ArcFace's."""
        if target is None:
            logits, _ = super().forward(input)
            target = logits.argmax(1)
        return super().forward(input, target)


def choosing(loss: Callable[..., Parts], choose: Callable[[Array, Array], Any]) -> Any:
    """The loss of other triplets."""

    @mutant(loss)
    def other(**a: Any) -> Parts:
        triplets = choose(a["input"], a["target"])
        return mining._loss(a["input"], triplets, a["margin"], a["squared"], a["reduction"])

    return other


def itself(x: Array, t: Array) -> Any:
    """Pairs of a row with itself, too."""
    d, same, _ = mining._pairs(x, t)
    a, p = np.nonzero(same & ~same.all(1, keepdims=True))
    farther = np.where(same[a] | (d[a] <= d[a, p][:, None]), np.inf, d[a])
    farthest = np.where(same[a], -np.inf, d[a]).argmax(1)
    return a, p, np.where(np.isfinite(farther).any(1), farther.argmin(1), farthest)


def itself_hard(x: Array, t: Array) -> Any:
    """A row that is alone in its class is its own positive."""
    d, same, _ = mining._pairs(x, t)
    a = np.flatnonzero(~same.all(1))
    p, n = np.where(same, d, -np.inf)[a].argmax(1), np.where(same, np.inf, d)[a].argmin(1)
    return a, p, n


def hardest(x: Array, t: Array) -> Any:
    """The nearest negative of each pair, be it nearer than the positive."""
    a, p, _ = mining.semi_hard_triplets(x, t)
    d, same, _ = mining._pairs(x, t)
    return a, p, np.where(same, np.inf, d)[a].argmin(1)


def only_farther(x: Array, t: Array) -> Any:
    """Pairs of which every negative is nearer are left out."""
    a, p, n = mining.semi_hard_triplets(x, t)
    d, _, _ = mining._pairs(x, t)
    kept = d[a, n] > d[a, p]
    return a[kept], p[kept], n[kept]


def each_pair_once(x: Array, t: Array) -> Any:
    """The first of a pair is the anchor, the second never."""
    a, p, n = mining.semi_hard_triplets(x, t)
    return a[a < p], p[a < p], n[a < p]


def nearest_positive(x: Array, t: Array) -> Any:
    """The easiest positive of each row."""
    a, _, n = mining.batch_hard_triplets(x, t)
    d, _, positive = mining._pairs(x, t)
    return a, np.where(positive, d, np.inf)[a].argmin(1), n


def over_active(loss: Callable[..., Parts]) -> Any:
    """A mean over the triplets that lack something of the margin."""

    @mutant(loss)
    def other(**a: Any) -> Parts:
        losses, loss_back = loss(**{**a, "reduction": "none"})
        active = max(int((losses > 0).sum()), 1)
        y, reduced_back = reduced(losses, a["reduction"], active)
        return y, lambda dy: loss_back(np.array(reduced_back(dy)))

    return other


def unsquared(x1: Array, x2: Array) -> Parts:
    """The root of the squares' sum."""
    return F.pairwise_distance(x1, x2, eps=0.0)


class SphereInside(EmbeddingNet):
    """The features are normalised, not what the last layer makes of them."""

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """As EmbeddingNet's."""
        normalize, fc = self.normalize, self.fc.forward
        if not normalize:
            return super().forward(input)

        def inside(flat: Array) -> tuple[Array, Backward]:
            u, sphere_back = F.normalize(flat)
            z, fc_back = fc(u)
            return z, lambda dz: sphere_back(fc_back(dz))

        self.normalize = False
        object.__setattr__(self.fc, "forward", inside)
        try:
            return super().forward(input)
        finally:
            self.normalize = True
            object.__delattr__(self.fc, "forward")

    __repr__ = EmbeddingNet.__repr__


PITFALLS = [
    Pitfall(
        "arcface: margin off the cosine",
        entry="arc_face",
        difference="ArcFace: added to the angle; CosFace: taken off the cosine",
        mutant=margin_off_the_cosine,
    ),
    Pitfall(
        "arcface: margin on all classes",
        entry="arc_face",
        difference="the paper: on the target's class; a slip: on every column",
        mutant=margin_on_all,
    ),
    Pitfall(
        "arcface: beyond pi",
        entry="arc_face",
        difference="here and the authors' MXNet code: linear in the cosine, falling on; their "
        "PyTorch code: cos(theta + m), which rises again",
        mutant=rises_again,
    ),
    Pitfall(
        "arcface: easy margin",
        entry="arc_face",
        difference="here: the margin is kept up to pi - m; easy_margin: only below a right angle",
        mutant=instead(F.arc_face, easy_margin=True),
    ),
    Pitfall(
        "arcface: slope of the margin",
        entry="arc_face",
        difference="here: differentiated; the authors' PyTorch code: passed straight through",
        mutant=passes_straight_through,
    ),
    Pitfall(
        "arcface: scale before the margin",
        entry="arc_face",
        difference="the paper: s cos(theta + m); a slip: the scaled cosine in the sum formula",
        mutant=scale_before_margin,
    ),
    Pitfall(
        "cosface: scale before the margin",
        entry="cos_face",
        difference="the paper: s (c - m); a slip: s c - m",
        mutant=margin_not_scaled,
    ),
    *(
        Pitfall(
            f"cosface: {one} not normalised",
            entry="CosFace",
            difference="here: both are normalised; others leave that to the caller",
            mutant=bare(other),
        )
        for one, other in (("weight", "input"), ("input", "weight"))
    ),
    Pitfall(
        "arcface: margin where one predicts",
        entry="ArcFace",
        difference="here: without a target there is no margin; a slip: one on the named class",
        mutant=MarginToPredict,
    ),
    Pitfall(
        "semi-hard: distance not squared",
        entry="semi_hard_triplet_loss",
        difference="FaceNet: squared distances; torch's triplet loss: their roots",
        mutant=instead(F.semi_hard_triplet_loss, squared=False),
    ),
    Pitfall(
        "batch-hard: distance squared",
        entry="batch_hard_triplet_loss",
        difference="Hermans et al.: not squared, for squared ones collapse; FaceNet: squared",
        mutant=instead(F.batch_hard_triplet_loss, squared=True),
    ),
    Pitfall(
        "semi-hard: the anchor as its own positive",
        entry="semi_hard_triplet_loss",
        difference="here: pairs of two rows; a slip: labels equal, the row itself too",
        mutant=choosing(F.semi_hard_triplet_loss, itself),
    ),
    Pitfall(
        "batch-hard: the anchor as its own positive",
        entry="batch_hard_triplet_loss",
        difference="here: a row alone in its class is no anchor; a slip: it has distance 0",
        mutant=choosing(F.batch_hard_triplet_loss, itself_hard),
    ),
    Pitfall(
        "semi-hard: hardest negative",
        entry="semi_hard_triplet_loss",
        difference="FaceNet: farther than the positive, for the hardest collapse; others: nearest",
        mutant=choosing(F.semi_hard_triplet_loss, hardest),
    ),
    Pitfall(
        "semi-hard: no negative is farther",
        entry="semi_hard_triplet_loss",
        difference="TensorFlow Addons: the farthest there is; others leave the pair out",
        mutant=choosing(F.semi_hard_triplet_loss, only_farther),
    ),
    Pitfall(
        "semi-hard: each pair once",
        entry="semi_hard_triplet_loss",
        difference="here: both of a pair are anchors; others: the first",
        mutant=choosing(F.semi_hard_triplet_loss, each_pair_once),
    ),
    Pitfall(
        "batch-hard: nearest positive",
        entry="batch_hard_triplet_loss",
        difference="Hermans et al.: the farthest; a slip: minimum for both",
        mutant=choosing(F.batch_hard_triplet_loss, nearest_positive),
    ),
    *(
        Pitfall(
            f"{name}: mean over active triplets",
            entry=name,
            difference="here: over all that were chosen; others: over those with a loss",
            mutant=over_active(getattr(F, name)),
        )
        for name in ("semi_hard_triplet_loss", "batch_hard_triplet_loss")
    ),
    Pitfall(
        "squared distance: root",
        entry="squared_distance",
        difference="FaceNet: squared; pairwise_distance: its root",
        mutant=unsquared,
    ),
    Pitfall(
        "embedding net: where the sphere is",
        entry="EmbeddingNet",
        difference="FaceNet: after the last layer; others: before it",
        mutant=SphereInside,
    ),
]
