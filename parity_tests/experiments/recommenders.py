"""Recommenders on ratings of known structure: what is recovered, and how far the best is.

    ratings     global mean, biases by ridge regression, AutoRec on items' and on users' rows,
                matrix factorisation; alternating least squares, which solves for its minimum
    new items   the same factorisation, and the hybrid that sees what an item is like
    clicks      popularity, GMF, MLP and NeuMF, against the best ranking there is

The guide [6851-6970] types its predicted ratings in and trains no recommender. Here users and
items are made up too (`datasets.ratings`, synthetic and stated as such), but by rules: a rating is
a mean, two biases, a product of few factors and noise, so that the least possible error is known,
as is the space that the items' factors lie in. Both packages train from one start.

Sources: Koren, Bell & Volinsky 2009, IEEE Computer 42(8); Sedhain et al. 2015, WWW; Kula 2015,
arXiv:1507.08439; He et al. 2017, arXiv:1708.05031; that a product is hard to learn: Rendle et al.
2020, arXiv:2005.09683.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import scratch.models
import torch_ref.models
from datasets.ratings import Ratings, RatingSource
from datasets.split import batch_stream
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, SCRATCH, THIRD, TORCH, figure
from parity_tests.experiments.twins import Twins, alike, apart
from parity_tests.harness import twin
from parity_tests.harness.draw import Array
from scratch.nn import functional as F
from scratch.training import metrics
from torch_ref.training import metrics as torch_metrics

K, NEGATIVES, SHARPNESS = 10, 4, 2.0
COST, COST_NEW = 0.02, 0.05  # lambda; more of it leaves more of an item to its features
MF, HYBRID, ITEMS, USERS = "matrix factorisation", "hybrid", "AutoRec, items", "AutoRec, users"
GAPS, MEAN, BIASES, BEST = "AutoRec, gaps as ratings", "global mean", "biases", "best possible"
BRANCHES: dict[str, tuple[int | None, tuple[int, ...] | None]] = {
    "GMF": (8, None),
    "MLP": (None, (32, 16, 8)),
    "NeuMF": (8, (32, 16, 8)),
}


@dataclass(frozen=True)
class Plan:
    """How much of everything, and how near to the best it has to come.

    Attributes:
        users: number of users.
        items: number of items.
        rank: of the ratings.
        features: of an item.
        ratings: how many are drawn; a sixth is held out.
        epochs: over the ratings, by batches of `batch`.
        batch: ratings.
        rows: on which AutoRec is trained.
        passes: over them, in `pieces` batches each.
        hidden: of AutoRec.
        clicks: of each user; the last one is to be predicted.
        rounds: over the clicks.
        branches: which of NeuMF's forms are trained.
        quicker: factor of all rates.
        near: how far above the floor matrix factorisation may err, as a share.
        near_new: the same of the hybrid on new items.
        near_minimum: how far above the least loss it may end.
    """

    users: int = 500
    items: int = 300
    rank: int = 4
    features: int = 8
    ratings: int = 36000
    epochs: int = 30
    batch: int = 500
    rows: tuple[str, ...] = (ITEMS, USERS, GAPS)
    passes: int = 100
    pieces: int = 10
    hidden: int = 50
    clicks: int = 41
    rounds: int = 15
    branches: tuple[str, ...] = tuple(BRANCHES)
    quicker: float = 1.0
    near: float = 0.1
    near_new: float = 0.1
    near_minimum: float = 0.005


SMALL = Plan(
    users=120,
    items=80,
    rank=2,
    features=4,
    ratings=6000,
    epochs=13,
    batch=350,
    rows=(ITEMS,),
    passes=20,
    pieces=4,
    hidden=16,
    clicks=21,
    rounds=5,
    branches=("NeuMF",),
    quicker=4.0,
    near=0.15,
    near_new=0.2,
    near_minimum=0.025,
)


@dataclass
class Trained:
    """Twins after training; each pair is scratch's and torch's.

    Attributes:
        losses: of each step.
        scores: of every user for every item (users, items).
        pair: the models.
    """

    losses: list[tuple[float, float]]
    scores: tuple[Array, Array]
    pair: Twins

    @property
    def drift(self) -> float:
        """How far losses and scores are apart, relative to the largest."""
        return max(apart(*zip(*self.losses, strict=True)), apart(*self.scores))


def built(name: str, seed: int, *args: Any) -> Twins:
    """Two models with torch's start."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        theirs = getattr(torch_ref.models, name)(*args)
    return alike(getattr(scratch.models, name)(*args), theirs)


def everyone(pair: Twins, users: int, items: int, features: Array | None = None) -> Any:
    """What both say of each user and item, (users, items)."""
    user, item = np.divmod(np.arange(users * items), items)
    args = [user, item] if features is None else [user, item, features[item]]
    mine, _ = pair.ours.eval()(*args)
    with torch.no_grad():
        yours = twin.numpy(pair.theirs.eval()(*map(torch.from_numpy, args)))
    return mine.reshape(users, items), yours.reshape(users, items)


def factorised(
    train: Ratings, plan: Plan, seed: int, cost: float, features: Array | None = None
) -> Trained:
    """Matrix factorisation, or the hybrid where there are features, by Adam in cycles of one.

    Args:
        train: what to learn from.
        plan: how long.
        seed: of the start and the order.
        cost: lambda.
        features: of all items.
    """
    more = () if features is None else (plan.features,)
    name = "MatrixFactorization" if features is None else "HybridMatrixFactorization"
    pair = built(name, seed, plan.users, plan.items, *more, plan.rank, float(train.rating.mean()))
    steps = plan.epochs * -(-len(train) // plan.batch)

    def arguments() -> Iterator[tuple[Any, ...]]:
        for rows in batch_stream(len(train), plan.batch, steps, seed):
            part = train[rows]
            seen = () if features is None else (features[part.item],)
            yield part.user, part.item, *seen, part.rating, cost

    terms = pair.descend("Adam", {"lr": 0.02 * plan.quicker}, arguments(), cycle=steps)
    losses = [(float(a[0]), float(b[0])) for a, b in terms]
    return Trained(losses, everyone(pair, plan.users, plan.items, features), pair)


def autorec(train: Ratings, plan: Plan, seed: int, kind: str) -> Trained:
    """AutoRec on rows of items or of users, its ratings less their mean.

    Args:
        train: what to learn from.
        plan: how long.
        seed: of the start and the order.
        kind: ITEMS, USERS, or GAPS: of items, its loss over all entries.
    """
    table, observed = train.table(plan.users, plan.items)
    mean = train.rating.mean()
    x = np.where(observed, table - mean, 0)
    if kind != USERS:
        x, observed = np.ascontiguousarray(x.T), np.ascontiguousarray(observed.T)
    pair = built("AutoRec", seed, x.shape[1], plan.hidden)
    size = -(-len(x) // plan.pieces)
    steps = plan.passes * -(-len(x) // size)

    def arguments() -> Iterator[tuple[Any, ...]]:
        for rows in batch_stream(len(x), size, steps, seed):
            yield x[rows], (np.ones_like(observed[rows]) if kind == GAPS else observed[rows]), 1e-3

    terms = pair.descend("Adam", {"lr": 0.01 * plan.quicker}, arguments(), cycle=steps)
    losses = [(float(a[0]), float(b[0])) for a, b in terms]
    mine, yours = pair(x)
    scores = (mean + mine, mean + yours) if kind == USERS else (mean + mine.T, mean + yours.T)
    return Trained(losses, scores, pair)


def clicked(seen: Array, plan: Plan, seed: int, name: str) -> Trained:
    """NeuMF or a part of it, on what was taken and on items that were not, drawn anew each time.

    Args:
        seen: items (users, n).
        plan: how long.
        seed: of the start, the order and the negatives.
        name: which form.
    """
    pair = built("NeuMF", seed, plan.users, plan.items, *BRANCHES[name])
    taken = np.zeros((plan.users, plan.items), bool)
    np.put_along_axis(taken, seen, True, 1)
    users = np.repeat(np.arange(plan.users), seen.shape[1])
    n = len(users) * (1 + NEGATIVES)
    size, rate = 2 * plan.batch, 0.01 * plan.quicker
    epoch = -(-n // size)

    def arguments() -> Iterator[tuple[Array, ...]]:
        rng = np.random.default_rng(seed)
        for _ in range(plan.rounds):
            left = np.where(taken, np.inf, 0)[users]  # (clicks, items): never what was taken
            others = np.argpartition(left + rng.random(left.shape), NEGATIVES, 1)[:, :NEGATIVES]
            user = np.concatenate([users, np.repeat(users, NEGATIVES)])
            item = np.concatenate([seen.ravel(), others.ravel()])
            target = (np.arange(n) < len(users)).astype(np.float64)
            order = rng.permutation(n)
            for first in range(0, n, size):
                rows = order[first : first + size]
                yield user[rows], item[rows], target[rows]

    def loss(model: Any, user: Array, item: Array, target: Array) -> tuple[Any, Any]:
        x, model_back = model(user, item)
        value, loss_back = F.binary_cross_entropy_with_logits(x, target)
        return value, lambda needs_input_grad: model_back(loss_back()[0])

    def torch_loss(model: Any, user: Any, item: Any, target: Any) -> Any:
        return torch.nn.functional.binary_cross_entropy_with_logits(model(user, item), target)

    def cycle(package: Any, stepper: Any) -> Any:
        return package.OneCycleLR(stepper, rate, plan.rounds * epoch)

    terms = pair.steps("Adam", {"lr": rate}, (loss, torch_loss), arguments(), schedule=cycle)
    losses = [(float(a[0]), float(b[0])) for a, b in terms]
    return Trained(losses, everyone(pair, plan.users, plan.items), pair)


def biases(train: Ratings, plan: Plan, ridge: float = 3.0) -> Array:
    """Mean and biases alone, exactly: the minimum of squared error and ridge (|b|^2 + |c|^2)."""
    n, mean = plan.users, train.rating.mean()
    _, observed = train.table(plan.users, plan.items)
    design = np.block(
        [
            [np.diag(observed.sum(1) + ridge), observed.astype(float)],
            [observed.T.astype(float), np.diag(observed.sum(0) + ridge)],
        ]
    )
    left = train.rating - mean
    sums = np.bincount(train.user, left, n), np.bincount(train.item, left, plan.items)
    b = np.linalg.solve(design, np.concatenate(sums))
    together: Array = mean + b[:n, None] + b[n:]
    return together


def alternating(train: Ratings, plan: Plan, seed: int, cost: float) -> tuple[Array, float]:
    """The minimum of the same loss, solved for the users' rows and the items' rows in turn.

    Args:
        train: what to learn from.
        plan: of what size.
        seed: of the start.
        cost: lambda.

    Returns:
        Predictions (users, items), and the loss over all of `train`.
    """
    table, observed = train.table(plan.users, plan.items)
    mean = train.rating.mean()
    left = np.where(observed, table - mean, 0)
    rng, k = np.random.default_rng(seed), plan.rank
    rows = [np.c_[0.1 * rng.normal(size=(n, k)), np.zeros(n)] for n in left.shape]  # [p, b], [q, c]

    def solved(other: Array, on: Array, left: Array) -> Array:
        z = np.c_[other[:, :-1], np.ones(len(other))]
        squares = on @ (z[:, :, None] * z[:, None]).reshape(len(z), -1)
        squares = squares.reshape(-1, k + 1, k + 1)
        squares += cost * on.sum(1)[:, None, None] * np.eye(k + 1)
        sums = np.where(on, left - other[:, -1], 0) @ z
        found: Array = np.linalg.solve(squares, sums[..., None])[..., 0]
        return found

    for _ in range(200):
        rows[0] = solved(rows[1], observed, left)
        rows[1] = solved(rows[0], observed.T, left.T)
    (p, b), (q, c) = ((r[:, :-1], r[:, -1:]) for r in rows)
    predicted = mean + b + c.T + p @ q.T
    squares = np.square(rows[0]).sum(1)[train.user] + np.square(rows[1]).sum(1)[train.item]
    error = np.square(predicted[train.user, train.item] - train.rating)
    return predicted, float(np.mean(error + cost * squares))


def correlations(learned: Array, true: Array) -> Array:
    """Canonical correlations of two sets of columns, each less its mean: 1 where a space is one.

    Factors are defined up to an invertible map, and up to a shift that the other side's biases make
    good; neither changes these.
    """
    bases = [np.linalg.qr(columns - columns.mean(0))[0] for columns in (learned, true)]
    found: Array = np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)
    return found


def error(scores: Array, held: Ratings) -> float:
    """RMSE on ratings that were not learned from."""
    return metrics.rmse(scores[held.user, held.item], held.rating)


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Train all, compare with counting and with what is possible.

    Args:
        out: folder for the figures.
        small: fewer users, items and ratings, and less time.
        seed: of the source, the ratings, the starts and the orders.

    Returns:
        Errors and recall, with the claims about them.
    """
    outcome = Outcome("recommenders")
    plan = SMALL if small else Plan()
    source = RatingSource(plan.users, plan.items, plan.rank, plan.features, seed=seed)
    drawn = source.draw(plan.ratings, 4 * seed + 1)
    found = _ratings(outcome, source, drawn, plan, seed)
    fresh = _new_items(outcome, source, drawn, plan, seed)
    hits, trained = _clicks(outcome, source, plan, seed)
    trained |= {f"ratings, {k}": t for k, t in found.items()}
    trained |= {f"new items, {k}": t for k, t in fresh.items()}
    _agree(outcome, trained)
    path = out / "recommenders.png"
    _draw(path, outcome, hits)
    outcome.figures.append(path)
    path = out / "recommenders_seen.png"
    train, _ = drawn.held_out(1 / 6, 4 * seed + 2)
    _draw_seen(path, source, train, found[MF], plan)
    outcome.figures.append(path)
    return outcome


def _ratings(
    outcome: Outcome, source: RatingSource, drawn: Ratings, plan: Plan, seed: int
) -> dict[str, Trained]:
    """Ratings held out of those of known users and items."""
    train, held = drawn.held_out(1 / 6, 4 * seed + 2)
    found = {MF: factorised(train, plan, seed, COST)}
    found |= {kind: autorec(train, plan, seed, kind) for kind in plan.rows}
    exact, minimum = alternating(train, plan, seed, COST)
    errors = {
        MEAN: error(np.full(exact.shape, train.rating.mean()), held),
        BIASES: error(biases(train, plan), held),
        **{name: max(error(s, held) for s in t.scores) for name, t in found.items()},
        "alternating least squares": error(exact, held),
        BEST: error(source.means(), held),
    }
    outcome.numbers["held-out RMSE"] = errors
    above = errors[MF] / errors[BEST] - 1
    outcome.claim(
        f"matrix factorisation errs by at most {plan.near:.0%} more than the least possible, and "
        "by a third less than mean and biases",
        f"RMSE {errors[MF]:.4f}; {above:.1%} above the least possible {errors[BEST]:.4f}; biases "
        f"{errors[BIASES]:.4f}; mean {errors[MEAN]:.4f}",
        0 < above < plan.near and errors[MF] < 2 / 3 * errors[BIASES] < errors[MEAN],
    )
    ours: Any = found[MF].pair.ours
    theirs: Any = found[MF].pair.theirs
    loss, _ = ours.loss(train.user, train.item, train.rating, COST)
    outcome.claim(
        f"it ends within {plan.near_minimum:.1%} of the least loss, for which alternating least "
        "squares solves",
        f"loss over all ratings {loss:.5f} and {minimum:.5f}, {loss / minimum - 1:.2%} more; RMSE "
        f"{errors[MF]:.4f} and {errors['alternating least squares']:.4f}",
        abs(loss / minimum - 1) < plan.near_minimum,
    )
    tables = [ours.item_factors.weight.data, twin.numpy(theirs.item_factors.weight)]
    recovered = [correlations(table, source.item_factors) for table in tables]
    outcome.numbers["canonical correlations of the items' factors"] = recovered[0].tolist()
    outcome.claim(
        "it recovers the space of the items' factors: every canonical correlation is above 0.9",
        ", ".join(f"{r:.3f}" for r in recovered[0]),
        min(r.min() for r in recovered) > 0.9,
    )
    rows = [name for name in plan.rows if name != GAPS]
    outcome.claim(
        "AutoRec errs less than mean and biases, and more than the model that the ratings are of",
        ", ".join(f"{name} {errors[name]:.4f}" for name in rows) + f"; biases {errors[BIASES]:.4f}",
        errors[MF] < min(errors[name] for name in rows)
        and max(errors[name] for name in rows) < 0.8 * errors[BIASES],
    )
    if GAPS in found:
        outcome.claim(
            "with its loss over all entries, gaps taken for ratings, it errs more than biases",
            f"{errors[GAPS]:.4f} in place of {errors[ITEMS]:.4f}; biases {errors[BIASES]:.4f}",
            errors[GAPS] > errors[BIASES],
        )
    return found


def _new_items(
    outcome: Outcome, source: RatingSource, drawn: Ratings, plan: Plan, seed: int
) -> dict[str, Trained]:
    """A fifth of the items have no ratings at all before the test."""
    rng = np.random.default_rng(4 * seed + 3)
    known, new = drawn.cold(rng.permutation(plan.items)[: plan.items // 5])
    train, held = known.held_out(1 / 6, 4 * seed + 2)
    found = {
        MF: factorised(train, plan, seed, COST_NEW),
        HYBRID: factorised(train, plan, seed, COST_NEW, source.item_features),
    }
    scores = {
        MEAN: (np.full((plan.users, plan.items), train.rating.mean()),),
        BIASES: (biases(train, plan),),
        **{name: t.scores for name, t in found.items()},
    }
    errors = {name: max(error(s, new) for s in pair) for name, pair in scores.items()}
    errors[BEST] = error(source.cold_means(), new)
    rated = {name: max(error(s, held) for s in pair) for name, pair in scores.items()}
    outcome.numbers |= {
        "RMSE on new items": errors,
        "RMSE on known items beside": rated,
        "expected least RMSE on new items": source.cold_floor(),
    }
    above = errors[HYBRID] / errors[BEST] - 1
    outcome.claim(
        "on items without ratings matrix factorisation is no better than the users' biases",
        f"RMSE {errors[MF]:.4f}; biases {errors[BIASES]:.4f}; mean {errors[MEAN]:.4f}",
        errors[MF] > 0.98 * errors[BIASES],
    )
    outcome.claim(
        "the hybrid errs by a quarter less than those there, and by at most "
        f"{plan.near_new:.0%} more than is possible for what the features tell",
        f"RMSE {errors[HYBRID]:.4f}; {above:.1%} above the least possible {errors[BEST]:.4f}",
        errors[HYBRID] < 0.75 * min(errors[MF], errors[BIASES], errors[MEAN])
        and 0 < above < plan.near_new,
    )
    outcome.claim(
        "on items with ratings it is as good as matrix factorisation",
        f"RMSE {rated[HYBRID]:.4f} and {rated[MF]:.4f}",
        rated[HYBRID] < 1.02 * rated[MF],
    )
    return found


def _clicks(
    outcome: Outcome, source: RatingSource, plan: Plan, seed: int
) -> tuple[dict[str, float], dict[str, Trained]]:
    """What is taken next, given what was."""
    clicks = source.clicks(plan.clicks, SHARPNESS, 4 * seed + 4)
    seen, after = np.ascontiguousarray(clicks[:, :-1]), clicks[:, -1]
    p = source.next_click(seen, SHARPNESS)
    counts = np.bincount(seen.ravel(), minlength=plan.items).astype(float)
    trained = {name: clicked(seen, plan, seed, name) for name in plan.branches}

    def ranked(scores: Array) -> Array:
        left = scores.copy()
        np.put_along_axis(left, seen, -np.inf, 1)
        return left

    def hit(scores: Array) -> float:
        """Expected recall: the probability that what comes next is among the first K."""
        first = np.argsort(-ranked(scores), 1)[:, :K]
        return float(np.take_along_axis(p, first, 1).sum(1).mean())

    hits = {
        "random": K / (plan.items - seen.shape[1]),
        "popularity": hit(np.broadcast_to(counts, p.shape)),
        **{name: min(map(hit, t.scores)) for name, t in trained.items()},
        BEST: hit(p),
    }
    drawn = {
        name: (
            metrics.recall_at_k(ranked(t.scores[0]), after, K),
            torch_metrics.recall_at_k(
                torch.from_numpy(ranked(t.scores[1])), torch.from_numpy(after), K
            ),
        )
        for name, t in trained.items()
    }
    outcome.numbers |= {f"expected recall@{K}": hits, f"recall@{K} of one click a user": drawn}
    worst, common = min(hits[name] for name in plan.branches), hits["popularity"]
    outcome.claim(
        "on clicks every form of NeuMF gets more than half of the way from popularity to the best",
        f"expected recall@{K}: "
        + ", ".join(f"{name} {hits[name]:.3f}" for name in plan.branches)
        + f"; popularity {common:.3f}, best possible {hits[BEST]:.3f}",
        (common + hits[BEST]) / 2 < worst < hits[BEST],
    )
    if "GMF" in trained:
        outcome.claim(
            "the product alone is best: tastes are products here, which a network has to learn",
            ", ".join(f"{name} {hits[name]:.3f}" for name in plan.branches),
            hits["GMF"] == max(hits[name] for name in plan.branches),
        )
    return hits, trained


def _agree(outcome: Outcome, trained: dict[str, Trained]) -> None:
    """Both packages."""
    drifts = {name: t.drift for name, t in trained.items()}
    outcome.numbers["drift"] = drifts
    steps = sum(len(t.losses) for t in trained.values())
    outcome.claim(
        "losses and predictions of both twins agree in all models",
        f"{len(drifts)} models, {steps} steps: {max(drifts.values()):.0e} apart",
        max(drifts.values()) < 1e-11,
    )


GREY = "0.6"
COLORS = {MF: SCRATCH, HYBRID: THIRD, ITEMS: TORCH, USERS: TORCH, BEST: "0.25"}


def _bars(ax: Any, values: dict[str, float], colors: dict[str, str]) -> None:
    """One bar each, its value behind it."""
    places = np.arange(len(values))[::-1]
    ax.barh(places, list(values.values()), color=[colors.get(name, GREY) for name in values])
    ax.set_yticks(places, list(values))
    top = max(values.values())
    for y, value in zip(places, values.values(), strict=True):
        text = ax.text(value + 0.01 * top, y, f"{value:.3f}", va="center", fontsize=9)
        text.set_bbox({"fc": "w", "ec": "none", "pad": 1})
    ax.set_xlim(0, 1.15 * top)
    ax.grid(axis="y", visible=False)


def _draw(path: Path, outcome: Outcome, hits: dict[str, float]) -> None:
    """Errors and recall of all."""
    rated, new = outcome.numbers["held-out RMSE"], outcome.numbers["RMSE on new items"]
    with figure(path, 1, 3, size=(14, 3.8)) as (_, (left, middle, right)):
        _bars(left, dict(sorted(rated.items(), key=lambda bar: -bar[1])), COLORS)
        left.axvline(rated[BEST], color="0.25", ls="--", lw=1)
        left.set_xlabel("RMSE of held-out ratings")
        left.set_title("known users and items:\nthe model that made the ratings wins")
        _bars(middle, dict(sorted(new.items(), key=lambda bar: -bar[1])), COLORS)
        middle.axvline(new[BEST], color="0.25", ls="--", lw=1)
        middle.set_xlabel("RMSE on items without ratings")
        middle.set_title("new items:\nonly what they are like can tell")
        colors = dict(zip(BRANCHES, (SCRATCH, CLASSES[2], THIRD), strict=True)) | {BEST: "0.25"}
        _bars(right, dict(sorted(hits.items(), key=lambda bar: bar[1])), colors)
        right.axvline(hits[BEST], color="0.25", ls="--", lw=1)
        right.set_xlabel(f"expected recall@{K} of the next click")
        right.set_title("clicks: the product beats the network\nwhere tastes are products")


def _draw_seen(
    path: Path, source: RatingSource, train: Ratings, model: Trained, plan: Plan
) -> None:
    """What was seen, what is made of it, and what is true; the best items for one user."""
    table, observed = train.table(plan.users, plan.items)
    rows, columns = slice(0, 14), slice(0, 36)
    shown = {
        "what is learned from": np.where(observed, table, np.nan)[rows, columns],
        "what matrix factorisation predicts": model.scores[0][rows, columns],
        "what is true, without noise": source.means()[rows, columns],
    }
    low, high = np.quantile(source.means(), [0.01, 0.99])
    with figure(path, 2, 2, size=(12, 6.4)) as (fig, axes):
        images = axes.ravel()[:3]
        for ax, (title, values) in zip(images, shown.items(), strict=True):
            drawn = ax.imshow(values, cmap="RdYlBu_r", vmin=low, vmax=high, aspect="auto")
            ax.set_facecolor("0.93")
            ax.grid(False)
            ax.set_title(title)
            ax.set_xlabel("item")
            ax.set_ylabel("user")
        fig.colorbar(drawn, ax=images[1], label="rating")
        ax, user = axes[1, 1], 0
        expected, true = model.scores[0][user], source.means()[user]
        order = np.argsort(-np.where(observed[user], -np.inf, expected))[:8]
        places = np.arange(len(order))[::-1]
        ax.barh(places + 0.2, expected[order], 0.38, color=SCRATCH, label="predicted")
        ax.barh(places - 0.2, true[order], 0.38, color="0.35", label="true")
        ax.axvline(true.mean(), color="0.35", ls=":", label="this user's mean")
        ax.set_yticks(places, [f"item {i}" for i in order])
        ax.set_xlim(0, 1.35 * max(expected[order].max(), true[order].max()))
        ax.grid(axis="y", visible=False)
        ax.set_xlabel("rating")
        ax.legend(loc="center right", fontsize=8)
        ax.set_title(f"user {user}: the best of what was not rated yet")
