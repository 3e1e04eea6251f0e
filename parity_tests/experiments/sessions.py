"""Session recommendation: GRU4Rec against what forgets, and against the best there can be.

    negatives     in the batch    the other slots' targets, as popular as they are drawn
                  log_q           the same, log of their popularity taken off the scores
                  uniform         drawn anew for each step, all items alike
                  all             every item: no sampling

The guide [6851-6970] names GRU4Rec and trains no recommender: the ratings that it "predicts" are
typed in. Here sessions come from a made-up source (`datasets.sessions`, synthetic and stated as
such) of which the best possible recall is known, and the best of whoever sees one item at a time.
GRU4Rec is trained in both packages on session-parallel batches, by five losses and four kinds of
negatives; once more with its state reset at every step, which leaves it one item to see; and once
with its state never reset.

Sources: Hidasi et al. 2016, arXiv:1511.06939; Hidasi & Karatzoglou 2018, arXiv:1706.03847.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import scratch.models
import scratch.optim
import torch_ref.models
from datasets.sessions import Sessions, SessionSource, session_parallel
from datasets.split import epoch_order
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, SCRATCH, TORCH, figure
from parity_tests.experiments.twins import Twins, alike, apart
from parity_tests.harness.draw import Array
from scratch.nn import functional as F
from scratch.training import metrics
from torch_ref.nn import session_loss
from torch_ref.training import metrics as torch_metrics

SLOTS, STEPS, WIDTH, DRAWN, K = 32, 8, 64, 32, 20
LOSSES = {
    "cross entropy": "sampled_cross_entropy",
    "BPR": "bpr_loss",
    "TOP1": "top1_loss",
    "TOP1-max": "top1_max_loss",
    "BPR-max": "bpr_max_loss",
}
IN_BATCH, LOG_Q, UNIFORM, ALL = "in the batch", "log_q", "uniform", "all"
KEPT, NONE, NEVER = "reset where a session ends", "reset at every step", "never reset"


@dataclass(frozen=True)
class Way:
    """How a model is trained: by which loss, against which negatives, with which memory."""

    loss: str = "cross entropy"
    negatives: str = ALL
    memory: str = KEPT


PLAIN, FORGETS, MIXES = Way(), Way(memory=NONE), Way(memory=NEVER)
CORRECTED = Way(negatives=LOG_Q)


@dataclass(frozen=True)
class Plan:
    """Passes over the sessions, Adam's rate, and the seed of start, order and negatives."""

    epochs: int
    rate: float
    seed: int


@dataclass(frozen=True, eq=False)
class Events:
    """Held-out sessions, padded, and their events in a row.

    Attributes:
        ids: items (T, sessions).
        on: bool (T, sessions), where there is a next item.
        target: what comes next, (events,).
        place: position in the session, from 1, (events,).
        best: p(next) given the whole past, (events, V).
        order_one: given the current item alone.
        now: current items, (events,).
    """

    ids: Array
    on: Array
    target: Array
    place: Array
    best: Array
    order_one: Array
    now: Array


def events(source: SessionSource, sessions: Sessions) -> Events:
    """What the models are to say about `sessions`, and what can be said about them."""
    lengths = np.diff(sessions.offsets)
    t = np.arange(lengths.max() - 1)[:, None]
    on = t < lengths - 1
    at = np.where(on, sessions.offsets[:-1] + t, 0)
    ids, target = sessions.items[at], sessions.items[at + 1][on]
    first, now = np.broadcast_to(ids[0], ids.shape)[on], ids[on]
    best, order_one = source.probabilities(first, now), source.order_one()[now]
    return Events(ids, on, target, (t + on)[on], best, order_one, now)


@dataclass(frozen=True, eq=False)
class Chunk:
    """A few steps of all slots: what is read, what comes next, and what that is ranked among.

    Attributes:
        ids: (T, B).
        start: bool (T, B).
        target: (T, B).
        candidates: items (T, C), or None for all.
        column: of the target among the candidates, (T B,).
        marked: bool (T B, C), the negatives, or None.
        log_q: (T B, C), or None.
    """

    ids: Array
    start: Array
    target: Array
    candidates: Array | None
    column: Array
    marked: Array | None
    log_q: Array | None


def chunks(sessions: Sessions, way: Way, plan: Plan) -> Iterator[tuple[int, Chunk]]:
    """The epochs in pieces of a few steps, each with the number of its epoch."""
    rng = np.random.default_rng(plan.seed)
    _, _, after = sessions.transitions()
    items = int(sessions.items.max()) + 1
    counts = np.bincount(after, minlength=items) + 1.0
    log_q = np.log(counts / counts.sum())
    for epoch in range(plan.epochs):
        order = epoch_order(len(sessions), plan.seed, epoch)
        whole, targets, starts = session_parallel(sessions, SLOTS, order)
        if way.memory == NONE:
            starts = np.ones_like(starts)
        elif way.memory == NEVER:
            starts = np.zeros_like(starts)
        for first in range(0, len(whole), STEPS):
            part = slice(first, first + STEPS)
            ids, start, target = whole[part], starts[part], targets[part]
            n = target.size
            if way.negatives == ALL:
                yield epoch, Chunk(ids, start, target, None, target.ravel(), None, None)
                continue
            candidates = target
            if way.negatives == UNIFORM:
                drawn = rng.integers(0, items, (len(ids), DRAWN))
                candidates = np.concatenate([target, drawn], axis=1)
            marked = target[:, :, None] != candidates[:, None]  # an item is no negative to itself
            if way.negatives == UNIFORM:
                marked[:, :, :SLOTS] = False  # the other slots' targets are none here
            shift = None
            if way.negatives == LOG_Q:
                marked[:] = True  # weighed by 1 / q, all that was sampled counts
                shift = np.broadcast_to(log_q[candidates][:, None], marked.shape).reshape(n, -1)
            column = np.tile(np.arange(SLOTS), len(ids))
            yield (
                epoch,
                Chunk(ids, start, target, candidates, column, marked.reshape(n, -1), shift),
            )


def twins(items: int, seed: int) -> Twins:
    """Two models from one start: embeddings of the items tied to the output."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        theirs = torch_ref.models.GRU4Rec(items, WIDTH, WIDTH, tied=True)
    return alike(scratch.models.GRU4Rec(items, WIDTH, WIDTH, tied=True), theirs)


def loss_of(way: Way, chunk: Chunk) -> tuple[Any, Any]:
    """The loss of (scores, column) in both packages."""
    if way.negatives == ALL:
        return F.cross_entropy, torch.nn.functional.cross_entropy
    name, options = LOSSES[way.loss], {"negatives": chunk.marked}
    if chunk.log_q is not None:
        options["log_q"] = chunk.log_q
    tensors = {key: torch.from_numpy(np.array(value)) for key, value in options.items()}
    return partial(getattr(F, name), **options), partial(getattr(session_loss, name), **tensors)


@dataclass
class Trained:
    """Twins after training; each pair is scratch's and torch's.

    Attributes:
        losses: of each batch.
        scores: of all items after each held-out event.
        recall: share of the events whose next item is among the first K.
        mrr: mean reciprocal rank, 0 beyond K.
    """

    losses: list[tuple[float, float]]
    scores: tuple[Array, Array]
    recall: tuple[float, float]
    mrr: tuple[float, float]

    @property
    def drift(self) -> float:
        """How far losses and scores are apart, relative to the largest."""
        return max(apart(*zip(*self.losses, strict=True)), apart(*self.scores))


def trained(sessions: Sessions, held: Events, way: Way, plan: Plan, v: int) -> Trained:
    """Train both by Adam, and look at sessions that neither has seen.

    Args:
        sessions: to learn from.
        held: to be tested with.
        way: how.
        plan: how long and fast.
        v: number of items.
    """
    pair = twins(v, plan.seed)
    ours = scratch.optim.Adam(pair.ours.parameters(), lr=plan.rate)
    theirs = torch.optim.Adam(pair.theirs.parameters(), lr=plan.rate)
    zeros = np.zeros((1, SLOTS, WIDTH))
    h, state, now = zeros, torch.from_numpy(zeros), 0
    losses = []
    for epoch, chunk in chunks(sessions, way, plan):
        if epoch != now:  # other sessions are in the slots
            h, state, now = zeros, torch.from_numpy(zeros), epoch
        loss, torch_loss = loss_of(way, chunk)
        (scores, h), model_back = pair.ours(chunk.ids, h, chunk.start, chunk.candidates)
        value, loss_back = loss(scores.reshape(len(chunk.column), -1), chunk.column)
        ours.zero_grad()
        model_back(loss_back().reshape(scores.shape), None)  # cut at the chunk's edge
        ours.step()
        tensors = [
            None if a is None else torch.from_numpy(a)
            for a in (chunk.ids, chunk.start, chunk.candidates)
        ]
        output, state = pair.theirs(tensors[0], state.detach(), *tensors[1:])
        torch_value = torch_loss(output.flatten(0, 1), torch.from_numpy(chunk.column))
        theirs.zero_grad()
        torch_value.backward()
        theirs.step()
        losses.append((float(value), torch_value.item()))
    start = np.full(held.ids.shape, way.memory == NONE)
    start[0] = True
    (mine, _), _ = pair.ours.eval()(held.ids, None, start)
    with torch.no_grad():
        args = torch.from_numpy(held.ids), None, torch.from_numpy(start)
        yours = pair.theirs.eval()(*args)[0][torch.from_numpy(held.on)]
    mine, target = mine[held.on], torch.from_numpy(held.target)
    return Trained(
        losses,
        (mine, yours.numpy()),
        (metrics.recall_at_k(mine, held.target, K), torch_metrics.recall_at_k(yours, target, K)),
        (metrics.mrr(mine, held.target, K), torch_metrics.mrr(yours, target, K)),
    )


def baselines(sessions: Sessions, held: Events, v: int) -> dict[str, Array]:
    """Scores (events, V) of what is counted: popularity, similar items, what came next."""
    _, now, after = sessions.transitions()
    popularity = np.bincount(after, minlength=v) / len(after)
    follows = np.zeros((v, v))
    np.add.at(follows, (now, after), 1)
    seen = np.zeros((len(sessions), v))
    seen[np.repeat(np.arange(len(sessions)), np.diff(sessions.offsets)), sessions.items] = 1
    together = seen.T @ seen
    np.fill_diagonal(together, 0)
    alone = np.sqrt(seen.sum(0) + 20)  # 20 as in the paper: few sessions make no similar item
    return {
        "popularity": np.broadcast_to(popularity, (len(held.now), v)),
        "item-kNN": (together / alone / alone[:, None])[held.now],
        "order-1 Markov": (follows + popularity)[held.now],
    }


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Train in all ways, compare with counting and with what is possible.

    Args:
        out: folder for the figures.
        small: fewer sessions and ways.
        seed: of the source, the sessions, the start and the order.

    Returns:
        Recall and mean reciprocal rank, with the claims about them.
    """
    outcome = Outcome("sessions")
    source = SessionSource(seed=seed)
    n, tests = (1800, 200) if small else (10000, 1000)
    plan = Plan(2, 0.015, seed) if small else Plan(3, 0.005, seed)  # at 0.01 rounding errors grow
    sessions = source.draw(n, 2 * seed + 1)
    held = events(source, source.draw(tests, 2 * seed + 2))
    ways = [PLAIN, FORGETS, CORRECTED, *(Way("BPR", s) for s in (IN_BATCH, UNIFORM))]
    if not small:
        pairs = [(loss, s) for s in (IN_BATCH, UNIFORM) for loss in LOSSES]
        ways = [PLAIN, FORGETS, MIXES, CORRECTED, *(Way(loss, s) for loss, s in pairs)]
    found = {way: trained(sessions, held, way, plan, source.num_items) for way in ways}
    counted = baselines(sessions, held, source.num_items)
    counted |= {"best of order 1": held.order_one, "best possible": held.best}
    reached = {
        name: (metrics.recall_at_k(p, held.target, K), metrics.mrr(p, held.target, K))
        for name, p in counted.items()
    }
    _agree(outcome, found)
    _against(outcome, found, reached, held, 0.8 if small else 0.9)
    _sampling(outcome, found, reached)
    _table(outcome, found, reached)
    path = out / "sessions.png"
    _draw(path, found, reached)
    outcome.figures.append(path)
    path = out / "sessions_where.png"
    _draw_where(path, found, counted, held)
    outcome.figures.append(path)
    return outcome


def _agree(outcome: Outcome, found: dict[Way, Trained]) -> None:
    """Both packages."""
    drift = max(t.drift for t in found.values())
    steps = len(found[PLAIN].losses)
    same = [t.recall[0] == t.recall[1] for t in found.values()]
    outcome.claim(
        "losses and held-out scores of both twins agree in all ways of training",
        f"{len(found)} ways, {steps} steps each: {drift:.0e} apart; recall equal in {sum(same)}",
        drift < 1e-10,
    )


def _against(
    outcome: Outcome,
    found: dict[Way, Trained],
    reached: dict[str, tuple[float, float]],
    held: Events,
    near: float,
) -> None:
    """GRU4Rec, counting, and what is possible."""
    recall, mrr = (np.array(v) for v in (found[PLAIN].recall, found[PLAIN].mrr))
    counted = [reached[name] for name in ("popularity", "item-kNN", "order-1 Markov")]
    order_one, best = reached["best of order 1"], reached["best possible"]
    top = np.sort(held.best, axis=1)[:, -K:]
    outcome.numbers["best possible recall, expected of these events"] = float(top.sum(1).mean())
    outcome.claim(
        "GRU4Rec recommends better than popularity, item-kNN and order-1 Markov, and than anything "
        "that sees the current item alone possibly could",
        f"recall@{K} {recall.min():.3f}, MRR@{K} {mrr.min():.3f}; counting "
        f"{max(r for r, _ in counted):.3f}, {max(m for _, m in counted):.3f}; best of order 1 "
        f"{order_one[0]:.3f}, {order_one[1]:.3f}",
        bool(recall.min() > max(order_one[0], *(r for r, _ in counted)) + 0.1)
        and bool(mrr.min() > max(order_one[1], *(m for _, m in counted)) + 0.05),
    )
    share = recall.min() / best[0]
    outcome.claim(
        f"it reaches {near:.0%} of the best recall that is possible, which nothing exceeds",
        f"{share:.1%} of recall@{K} {best[0]:.3f}, {mrr.min() / best[1]:.1%} of MRR {best[1]:.3f}",
        bool(share > near) and all(max(t.recall) < best[0] for t in found.values()),
    )
    forgets = found[FORGETS].recall
    outcome.claim(
        "with its state reset at every step the same network gets no further than order 1 can",
        f"recall@{K} {max(forgets):.3f}; best of order 1 {order_one[0]:.3f}",
        max(forgets) < order_one[0] + 0.02,
    )
    if MIXES in found:
        outcome.claim(
            "with its state never reset in training, it is worse",
            f"recall@{K} {max(found[MIXES].recall):.3f} in place of {recall.min():.3f}",
            max(found[MIXES].recall) < recall.min(),
        )


def _sampling(
    outcome: Outcome, found: dict[Way, Trained], reached: dict[str, tuple[float, float]]
) -> None:
    """What the negatives do to each loss."""
    losses = [loss for loss in LOSSES if Way(loss, UNIFORM) in found]
    gains = {
        loss: min(found[Way(loss, UNIFORM)].recall) - max(found[Way(loss, IN_BATCH)].recall)
        for loss in losses
    }
    outcome.claim(
        "negatives from the batch alone come up as often as they are popular, and teach every loss "
        "how much likelier than usual an item is; drawn uniformly they teach how likely it is",
        f"recall@{K} in the batch to uniform: "
        + ", ".join(
            f"{loss} {found[Way(loss, IN_BATCH)].recall[0]:.3f} to "
            f"{found[Way(loss, UNIFORM)].recall[0]:.3f}"
            for loss in losses
        ),
        min(gains.values()) > 0.03,
    )
    corrected, plain = found[CORRECTED].recall, found[PLAIN].recall
    outcome.claim(
        "cross entropy over the batch with log_q taken off is as good as over all items",
        f"recall@{K} {corrected[0]:.3f}, over all {plain[0]:.3f}",
        min(corrected) > max(plain) - 0.04,
    )
    outcome.numbers["gain of uniform negatives in recall"] = gains


def _table(
    outcome: Outcome, found: dict[Way, Trained], reached: dict[str, tuple[float, float]]
) -> None:
    """All numbers."""
    lines = [f"{'':54}{'recall@' + str(K):>10}{'MRR@' + str(K):>8}"]
    lines += [f"{name:54}{r:10.3f}{m:8.3f}" for name, (r, m) in reached.items()]
    for way, t in found.items():
        name = f"GRU4Rec, {way.loss}, {way.negatives}, {way.memory}"
        lines.append(f"{name:54}{t.recall[0]:10.3f}{t.mrr[0]:8.3f}")
    outcome.text = "\n".join(lines)
    outcome.numbers |= {
        "recall": {name: r for name, (r, _) in reached.items()},
        "mrr": {name: m for name, (_, m) in reached.items()},
        "GRU4Rec": [
            {**vars(way), "recall": t.recall, "mrr": t.mrr, "drift": t.drift}
            for way, t in found.items()
        ],
    }


GREY = "0.6"


def _draw(path: Path, found: dict[Way, Trained], reached: dict[str, tuple[float, float]]) -> None:
    """Recall of all: what is counted and what is learned; the losses by their negatives."""
    bars = [(name, r, GREY) for name, (r, _) in reached.items()]
    bars[-2:] = [(name, r, "0.35") for name, r, _ in bars[-2:]]
    learned = [("GRU4Rec", PLAIN), ("GRU4Rec,\nno memory", FORGETS), ("GRU4Rec,\nno reset", MIXES)]
    bars += [(name, found[way].recall[0], SCRATCH) for name, way in learned if way in found]
    bars.sort(key=lambda bar: bar[1])
    with figure(path, 1, 2, size=(12, 4.6)) as (_, (left, right)):
        places = np.arange(len(bars))
        left.barh(places, [r for _, r, _ in bars], color=[c for _, _, c in bars])
        left.set_yticks(places, [name for name, _, _ in bars])
        for y, (_, r, _) in zip(places, bars, strict=True):
            left.text(r + 0.01, y, f"{r:.3f}", va="center")
        left.set_xlim(0, 0.95)
        left.grid(axis="y", visible=False)
        left.set_xlabel(f"recall@{K} on held-out sessions")
        left.set_title("GRU4Rec comes near what is possible;\nwithout memory it cannot")
        losses = [loss for loss in LOSSES if Way(loss, UNIFORM) in found]
        at = np.arange(len(losses))
        for shift, kind, color in ((-0.2, IN_BATCH, CLASSES[2]), (0.2, UNIFORM, TORCH)):
            heights = [found[Way(loss, kind)].recall[0] for loss in losses]
            right.bar(at + shift, heights, 0.38, color=color, label=f"negatives: {kind}")
        right.axhline(reached["best possible"][0], color="0.2", ls="--", label="best possible")
        right.axhline(found[PLAIN].recall[0], color=SCRATCH, label="cross entropy, all items")
        right.axhline(found[CORRECTED].recall[0], color=SCRATCH, ls=":", label="in batch, log_q")
        right.set_xticks(at, losses)
        right.set_ylim(0, 1.12)
        right.set_yticks(np.arange(0, 0.9, 0.2))
        right.grid(axis="x", visible=False)
        right.set_ylabel(f"recall@{K}")
        right.legend(loc="upper center", ncols=2, fontsize=8)
        right.set_title("which negatives matters more than which loss")


def _draw_where(
    path: Path, found: dict[Way, Trained], counted: dict[str, Array], held: Events
) -> None:
    """Recall by place in the session, and by how popular the next item is."""
    lines = {
        "best possible": (counted["best possible"], "0.2", "--"),
        "GRU4Rec, all items": (found[PLAIN].scores[0], SCRATCH, "-"),
        "best of order 1": (counted["best of order 1"], "0.5", "--"),
        "order-1 Markov": (counted["order-1 Markov"], "0.5", ":"),
    }
    batch = found[Way("BPR", IN_BATCH)].scores[0]
    share = counted["popularity"][0][held.target]
    edges = np.quantile(share, np.linspace(0, 1, 6))
    fifth = np.clip(np.searchsorted(edges, share, "right") - 1, 0, 4)
    with figure(path, 1, 2, size=(12, 4.2)) as (_, (left, right)):
        last = min(12, int(held.place.max()))
        places = [p for p in range(1, last + 1) if np.sum(held.place == p) >= 30]
        for name, (scores, color, style) in lines.items():
            by_place = [
                metrics.recall_at_k(scores[held.place == p], held.target[held.place == p], K)
                for p in places
            ]
            left.plot(places, by_place, style, color=color, marker="o", ms=3, label=name)
        left.set_ylim(0.2, 1.1)
        left.set_yticks(np.arange(0.2, 1.0, 0.2))
        left.set_xlabel("items seen of the session")
        left.set_ylabel(f"recall@{K}")
        left.legend(ncols=2, loc="upper center", fontsize=8)
        left.set_title("as near the best late in a session as early")
        more = {k: lines[k] for k in ("best possible", "GRU4Rec, all items")}
        more["BPR, uniform"] = (found[Way("BPR", UNIFORM)].scores[0], TORCH, "-")
        more["BPR, in the batch"] = (batch, CLASSES[2], "-")
        for name, (scores, color, style) in more.items():
            by_share = [
                metrics.recall_at_k(scores[fifth == f], held.target[fifth == f], K)
                for f in range(5)
            ]
            right.plot(range(1, 6), by_share, style, color=color, marker="o", ms=4, label=name)
        right.set_xticks(range(1, 6), ["rarest", "2", "3", "4", "most\npopular"])
        right.set_xlabel("fifth of the events, by popularity of the next item")
        right.set_ylabel(f"recall@{K}")
        right.set_ylim(-0.05, 1.25)
        right.set_yticks(np.arange(0, 1.1, 0.2))
        right.legend(ncols=2, loc="upper center", fontsize=8)
        right.set_title("ranked among the batch, popular items are held back")
