"""Fine-tuning: what a network that knows the digits 0 to 4 is worth for learning 5 to 9.

    head       the convolutions frozen, in evaluation mode; only a new dense layer is trained
    whole      everything is trained on from there, the dense layer new
    fresh      the whole from a random start

The guide names transfer learning among its insights [2787, 5647] and never does it. Here a small
network with batch normalisation learns 0 to 4 from hundreds of digits, and then 5 to 9 from one to
twenty of each. The classic mistake is measured too: a frozen layer whose batch normalisation is
left in training mode has frozen parameters, but its running statistics move.

Source: Yosinski, Clune, Bengio & Lipson 2014, arXiv:1411.1792.
"""

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import scratch.optim
from datasets.images import digit_images
from datasets.split import Standardizer, batch_stream, train_test_split
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, figure
from parity_tests.experiments.twins import Twins, apart, built
from parity_tests.harness.draw import Array
from parity_tests.harness.twin import arrays
from scratch.nn import functional as F

SPLIT = 5  # classes below it are learned first
SHOTS = (1, 2, 5, 10, 20)
WAYS = {"head": CLASSES[0], "whole": CLASSES[1], "fresh": "0.35"}
LR, BATCH = 0.005, 25
HEAD = "1."  # parameter names of the dense layer begin with it


@dataclass(frozen=True, eq=False)
class Part:
    """Digits of five classes, counted from 0.

    Attributes:
        x: training pictures (n, 1, 8, 8).
        t: their classes.
        test_x: (m, 1, 8, 8).
        test_y: their classes.
    """

    x: Array
    t: Array
    test_x: Array
    test_y: Array


def load(seed: int) -> tuple[Part, Part]:
    """The digits 0 to 4, and 5 to 9, standardised with the training rows of the first."""
    whole = digit_images()
    x, test_x, t, test_y = train_test_split(whole.x.astype(np.float64), whole.y, 0.3, seed)
    scale = Standardizer.fit(x[t < SPLIT])
    first = Part(
        scale(x[t < SPLIT]), t[t < SPLIT], scale(test_x[test_y < SPLIT]), test_y[test_y < SPLIT]
    )
    rest, test = t >= SPLIT, test_y >= SPLIT
    return first, Part(scale(x[rest]), t[rest] - SPLIT, scale(test_x[test]), test_y[test] - SPLIT)


def negative(part: Part) -> Part:
    """The same with ink and paper swapped: values from low to high become high to low."""
    ends = part.x.min() + part.x.max()
    return Part(ends - part.x, part.t, ends - part.test_x, part.test_y)


def few(part: Part, shots: int) -> tuple[Array, Array]:
    """The first `shots` training pictures of each class, and their classes."""
    rows = np.concatenate([np.flatnonzero(part.t == k)[:shots] for k in range(SPLIT)])
    return part.x[rows], part.t[rows]


def network(lib: Any) -> Any:
    """A body of three normalised convolutions, which ends in 64 features, and a dense layer."""
    layers, channels = [], 1
    for width, stride in ((16, 1), (16, 2), (16, 2)):
        layers += [lib.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)]
        layers += [lib.BatchNorm2d(width), lib.ReLU()]
        channels = width
    return lib.Sequential(lib.Sequential(*layers, lib.Flatten()), lib.Linear(64, SPLIT))


@dataclass
class Taught:
    """Twins after training; each pair is scratch's and torch's.

    Attributes:
        twins: the models.
        losses: of each batch.
    """

    twins: Twins
    losses: list[tuple[float, float]]

    @property
    def drift(self) -> float:
        """How far the losses are apart, relative to the largest."""
        return apart(*zip(*self.losses, strict=True))


def trained(
    pair: Twins, x: Array, t: Array, steps: int, seed: int, *, frozen: bool, evaluation: bool
) -> Taught:
    """Train both by Adam, all or only the dense layer.

    Args:
        pair: the models, which are changed.
        x: inputs.
        t: classes.
        steps: number of batches.
        seed: of the batches.
        frozen: whether only the dense layer is trained.
        evaluation: whether the body is in evaluation mode meanwhile.
    """
    mine, yours = pair.ours.named_parameters(), pair.theirs.named_parameters()
    learnt = [p for name, p in mine if not frozen or name.startswith(HEAD)]
    for name, q in yours:
        q.requires_grad_(not frozen or name.startswith(HEAD))
    ours = scratch.optim.Adam(learnt, lr=LR)
    theirs = torch.optim.Adam([q for q in pair.theirs.parameters() if q.requires_grad], lr=LR)
    body: Any = next(pair.ours.children())
    body_t = next(pair.theirs.children())
    losses = []
    for rows in batch_stream(len(x), min(BATCH, len(x)), steps, seed):
        pair.ours.train()
        pair.theirs.train()
        if evaluation:
            body.eval()
            body_t.eval()
        ours.zero_grad()
        theirs.zero_grad()
        y, model_back = pair.ours(x[rows])
        loss, loss_back = F.cross_entropy(y, t[rows])
        model_back(loss_back(), needs_input_grad=False)
        ours.step()
        output = pair.theirs(torch.from_numpy(x[rows]))
        value = torch.nn.functional.cross_entropy(output, torch.from_numpy(t[rows]))
        value.backward()  # type: ignore[no-untyped-call]  # torch has no annotation there
        theirs.step()
        losses.append((float(loss), value.item()))
    return Taught(pair, losses)


def with_head(pair: Twins, other: Twins) -> Twins:
    """Copies of both with the dense layer that `other` has."""
    theirs, ours = deepcopy(pair.theirs), deepcopy(pair.ours)
    head_t = {n: v for n, v in other.theirs.state_dict().items() if n.startswith(HEAD)}
    head = {n: v for n, v in other.ours.state_dict().items() if n.startswith(HEAD)}
    theirs.load_state_dict({**theirs.state_dict(), **head_t})
    ours.load_state_dict({**ours.state_dict(), **head})
    return Twins(ours, theirs)


def right(pair: Twins, part: Part) -> tuple[float, float]:
    """Share of test pictures that each names correctly, in evaluation mode."""
    ours, theirs = (float(np.mean(z.argmax(1) == part.test_y)) for z in pair(part.test_x))
    return ours, theirs


@dataclass(frozen=True)
class Result:
    """One way to learn 5 to 9; each pair is scratch's and torch's.

    Attributes:
        new: share of the test pictures of 5 to 9 that are named correctly.
        old: share of those of 0 to 4, with the dense layer that knew them.
        shifted: how far the outputs of that dense layer for 0 to 4 have moved, in their spread.
        drift: how far the twins' losses are apart.
        same_parameters: whether the body's parameters are bit for bit those from before.
        same_statistics: whether its running statistics are.
        moved: how far its running means have moved, in standard deviations: mean of each layer.
        statistics_apart: how far the twins' running statistics are apart.
    """

    new: tuple[float, float]
    old: tuple[float, float]
    shifted: tuple[float, float]
    drift: float
    same_parameters: tuple[bool, bool]
    same_statistics: tuple[bool, bool]
    moved: list[float]
    statistics_apart: float


def compared(taught: Taught, before: Twins, first: Part, new: Part) -> Result:
    """What training made of twins that were `before`."""
    pair = taught.twins
    ours, theirs = pair.ours.state_dict(), arrays(pair.theirs.state_dict())
    known, known_t = before.ours.state_dict(), arrays(before.theirs.state_dict())
    body = [n for n in ours if not n.startswith(HEAD)]
    statistics = [n for n in body if "running" in n or "tracked" in n]
    parameters = [n for n in body if n not in statistics]

    def same(names: list[str]) -> tuple[bool, bool]:
        return (
            all(np.array_equal(ours[n], known[n]) for n in names),
            all(np.array_equal(theirs[n], known_t[n]) for n in names),
        )

    with_old = with_head(pair, before)
    outputs = zip(with_old(first.test_x), before(first.test_x), strict=True)
    shifts = [float(np.sqrt(np.mean((a - b) ** 2)) / b.std()) for a, b in outputs]
    means = [n for n in statistics if n.endswith("running_mean")]
    return Result(
        right(pair, new),
        right(with_old, first),
        (shifts[0], shifts[1]),
        taught.drift,
        same(parameters),
        same(statistics),
        [
            float(np.mean(np.abs(ours[n] - known[n]) / np.sqrt(known[n.replace("mean", "var")])))
            for n in means
        ],
        max(apart(ours[n], theirs[n]) for n in statistics),
    )


@dataclass(frozen=True)
class Start:
    """All that is learned from one start.

    Attributes:
        first: accuracy on 0 to 4 once they are learned.
        drift: how far the twins' losses are apart until then.
        ways: of each way and number of digits a class.
        frozen: of the body frozen, in either mode, on 5 to 9 as they are and as negatives.
    """

    first: tuple[float, float]
    drift: float
    ways: dict[tuple[str, int], Result]
    frozen: dict[tuple[str, str], Result]


MODES = ("evaluation mode", "training mode")
PICTURES = ("as they are", "negatives")


def learn(shots: tuple[int, ...], before: int, steps: int, seed: int) -> Start:
    """Learn 0 to 4, then 5 to 9 in all ways.

    Args:
        shots: digits of each class.
        before: steps for 0 to 4.
        steps: steps for 5 to 9.
        seed: of data, starts and batches.
    """
    first, second = load(seed)
    pair = built(network, seed)
    taught = trained(pair, first.x, first.t, before, seed, frozen=False, evaluation=False)

    def one(way: str, part: Part, k: int, evaluation: bool) -> Result:
        start = built(network, seed + 1000)
        model = start if way == "fresh" else with_head(pair, start)
        x, t = few(part, k)
        frozen = way == "head"
        done = trained(model, x, t, steps, seed, frozen=frozen, evaluation=evaluation)
        return compared(done, pair, first, part)

    ways = {(way, k): one(way, second, k, evaluation=way == "head") for way in WAYS for k in shots}
    parts = dict(zip(PICTURES, (second, negative(second)), strict=True))
    frozen = {
        (mode, name): one("head", part, shots[-1], evaluation=mode == MODES[0])
        for name, part in parts.items()
        for mode in MODES
    }
    return Start(right(pair, first), taught.drift, ways, frozen)


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Pretrain, fine-tune in each way from each number of digits, and make the classic mistake.

    Args:
        out: folder for the figures.
        small: fewer numbers of digits and steps, from one start.
        seed: of the first start.

    Returns:
        Accuracies and differences, with the claims about them.
    """
    outcome = Outcome("fine_tuning")
    shots, starts, before, steps = ((5, 20), 1, 120, 50) if small else (SHOTS, 6, 200, 100)
    found = [learn(shots, before, steps, s) for s in range(seed, seed + starts)]
    _twins(outcome, found)
    _ways(outcome, found, shots)
    _frozen(outcome, found)
    paths = [out / f"fine_tuning_{name}.png" for name in ("ways", "frozen")]
    _draw_ways(paths[0], found, shots)
    _draw_frozen(paths[1], found, shots[-1])
    outcome.figures += paths
    return outcome


def _twins(outcome: Outcome, found: list[Start]) -> None:
    """Agreement of the two."""
    every = [r for s in found for r in (*s.ways.values(), *s.frozen.values())]
    drift = max(*(s.drift for s in found), *(r.drift for r in every))
    statistics = max(r.statistics_apart for r in every)
    outcome.claim(
        "losses and running statistics of both twins agree in all runs",
        f"{len(every) + len(found)} runs: losses {drift:.0e}, statistics {statistics:.0e} apart",
        max(drift, statistics) < 1e-9,
    )


def _ways(outcome: Outcome, found: list[Start], shots: tuple[int, ...]) -> None:
    """What is learned of 5 to 9, and forgotten of 0 to 4."""
    first = np.array([s.first for s in found])
    new = {way: np.array([[s.ways[way, k].new for k in shots] for s in found]) for way in WAYS}
    old = {way: np.array([[s.ways[way, k].old for k in shots] for s in found]) for way in WAYS}
    lines = [
        f"accuracy on 5 to 9, mean of {len(found)} start(s); 0 to 4 before: {first.mean():.1%}",
        f"{'digits of each':16}" + "".join(f"{way:>9}" for way in WAYS) + "    0 to 4 after",
    ]
    for i, k in enumerate(shots):
        lines.append(
            f"{k:<16}"
            + "".join(f"{new[way][:, i].mean():9.1%}" for way in WAYS)
            + "    "
            + ", ".join(f"{way} {old[way][:, i].mean():.1%}" for way in WAYS)
        )
    outcome.text = "\n".join(lines)
    outcome.numbers |= {
        "digits of each class": list(shots),
        "accuracy on 0 to 4": first.tolist(),
        "accuracy on 5 to 9": {way: v.tolist() for way, v in new.items()},
        "accuracy on 0 to 4 afterwards": {way: v.tolist() for way, v in old.items()},
    }
    low = [i for i, k in enumerate(shots) if k <= 5]
    ahead = new["whole"][:, low].mean(1) - new["fresh"][:, low].mean(1)
    outcome.claim(
        "from at most five digits of each, fine-tuning the whole beats a random start, in the mean "
        "over the numbers of digits and in every start",
        f"{100 * ahead.min():.1f} to {100 * ahead.max():.1f} points; with {shots[-1]} of each "
        f"{100 * (new['whole'][:, -1] - new['fresh'][:, -1]).mean():.1f} in the mean",
        bool(ahead.min() > 0),
    )
    best_other = np.minimum(new["whole"][:, -1], new["fresh"][:, -1])
    outcome.claim(
        f"with {shots[-1]} of each the frozen body is the worst choice in every start: what it saw "
        "in 0 to 4 is not all that tells 5 to 9 apart",
        ", ".join(f"{way} {new[way][:, -1].mean():.1%}" for way in WAYS) + " in the mean",
        bool(np.all(new["head"][:, -1] < best_other)),
    )
    outcome.claim(
        "with the dense layer of before, the frozen body still knows 0 to 4 exactly as it did; the "
        "fine-tuned one has forgotten some, and one that never knew them guesses",
        f"{first.mean():.1%} before, then "
        + ", ".join(f"{way} {v.min():.1%} to {v.max():.1%}" for way, v in old.items()),
        bool(np.all(old["head"] == first[:, None]))
        and bool(np.all(old["whole"] < first[:, None]))
        and bool(old["fresh"].mean() < 0.4),
    )


def _frozen(outcome: Outcome, found: list[Start]) -> None:
    """A frozen body in either mode."""
    heads = [r for s in found for (way, _), r in s.ways.items() if way == "head"]
    every = heads + [r for s in found for r in s.frozen.values()]
    outcome.claim(
        "the parameters of a frozen body are bit for bit those from before, in both twins and in "
        "either mode",
        f"{len(every)} runs",
        all(all(r.same_parameters) for r in every),
    )
    kinds = [(mode, name) for name in PICTURES for mode in MODES]
    by = {kind: [s.frozen[kind] for s in found] for kind in kinds}
    outcome.numbers["frozen"] = {
        f"{mode}, {name}": {
            "running means moved by, in standard deviations": [r.moved for r in some],
            "outputs for 0 to 4 moved by, in their spread": [r.shifted for r in some],
            "accuracy on 0 to 4": [r.old for r in some],
            "accuracy on 5 to 9": [r.new for r in some],
        }
        for (mode, name), some in by.items()
    }
    kept = [r for (mode, _), some in by.items() if mode == MODES[0] for r in some]
    lost = [r for (mode, _), some in by.items() if mode == MODES[1] for r in some]
    outcome.claim(
        "its running statistics stay bit for bit in evaluation mode; in training mode they move",
        f"the first layer's mean by {min(r.moved[0] for r in lost):.2f} to "
        f"{max(r.moved[0] for r in lost):.2f} standard deviations",
        all(all(r.same_statistics) for r in kept) and not any(any(r.same_statistics) for r in lost),
    )
    shifts = {name: [v for r in by[MODES[1], name] for v in r.shifted] for name in PICTURES}
    outcome.claim(
        "so, with nothing trained but a new dense layer, the old network's outputs for 0 to 4 "
        "change",
        "; ".join(f"new pictures {n}: by {min(v):.2f} to {max(v):.2f}" for n, v in shifts.items())
        + f" of their spread, by {max(v for r in kept for v in r.shifted):g} in evaluation mode",
        all(v == 0 for r in kept for v in r.shifted) and min(map(min, shifts.values())) > 0.1,
    )
    first = np.array([s.first for s in found])
    lost_points = {
        name: 100 * (first - np.array([r.old for r in by[MODES[1], name]])) for name in PICTURES
    }
    means = {name: float(v.mean()) for name, v in lost_points.items()}
    outcome.claim(
        "which costs less accuracy than the outputs' move would let one fear",
        "; ".join(
            f"new pictures {n}: {means[n]:.1f} points in the mean, {v.max():.1f} at most"
            for n, v in lost_points.items()
        ),
        max(v.max() for v in lost_points.values()) < 10
        and (len(found) == 1 or 0 < means[PICTURES[0]] < means[PICTURES[1]]),
    )


def _draw_ways(path: Path, found: list[Start], shots: tuple[int, ...]) -> None:
    with figure(path, 1, 2, (12, 4.8)) as (fig, axes):
        for ax, what in zip(axes, ("new", "old"), strict=True):
            for j, (way, colour) in enumerate(WAYS.items()):
                values = 100 * np.array(
                    [[getattr(s.ways[way, k], what) for k in shots] for s in found]
                )
                at = np.array(shots) * 1.05 ** (j - 1)
                ax.plot(at, values[..., 0].mean(0), color=colour, lw=1.8, label=way)
                for row in values:
                    ax.plot(at, row[:, 0], "x", color=colour, ms=4)
                    ax.plot(at, row[:, 1], "o", mfc="none", mec=colour, ms=6, lw=0.5)
            ax.set_xscale("log")
            ax.set_xticks(shots, [str(k) for k in shots])
            ax.minorticks_off()
            ax.set_xlabel("digits of each of the classes 5 to 9")
        first = 100 * np.mean([s.first for s in found])
        axes[1].axhline(first, color="0.6", lw=1, ls=":", label="before")
        axes[1].legend(fontsize=8, loc="center right")
        axes[0].set(
            ylabel="test accuracy on 5 to 9, %",
            title="Fine-tuning the whole is ahead while digits are few",
        )
        axes[1].set(
            ylabel="test accuracy on 0 to 4, %",
            title="What the body still knows, with the dense layer of before",
            ylim=(0, 105),
        )
        axes[0].plot([], [], "kx", ms=4, label="scratch, each start")
        axes[0].plot([], [], "ko", mfc="none", label="torch")
        axes[0].legend(fontsize=8, loc="lower right")
        fig.suptitle(
            "A network that knows 0 to 4 learns 5 to 9: a new head, all of it, or a fresh one",
            fontsize=13,
        )


def _draw_frozen(path: Path, found: list[Start], shots: int) -> None:
    kinds = [(mode, name) for name in PICTURES for mode in MODES]
    labels = [f"{mode}\n{name}" for mode, name in kinds]
    colours = ("0.35", CLASSES[1], "0.35", CLASSES[1])
    with figure(path, 1, 3, (15, 4.8)) as (fig, (layers, outputs, accuracy)):
        for (mode, name), colour, style in zip(kinds, colours, ("-", "-", "--", "--"), strict=True):
            for i, s in enumerate(found):
                layers.plot(
                    (1, 2, 3),
                    s.frozen[mode, name].moved,
                    "o" + style,
                    color=colour,
                    lw=1,
                    ms=4,
                    label=None if i else f"{mode}, {name}",
                )
        layers.set(
            xlabel="layer",
            xticks=(1, 2, 3),
            ylabel="move of the running means, in standard deviations",
            title="The statistics move in training mode",
        )
        layers.legend(fontsize=8)
        for ax, what, scale in ((outputs, "shifted", 1), (accuracy, "old", 100)):
            for at, (kind, colour) in enumerate(zip(kinds, colours, strict=True)):
                values = scale * np.array([getattr(s.frozen[kind], what) for s in found])
                spread = at + np.linspace(-0.15, 0.15, len(values))
                ax.plot(spread, values[:, 0], "x", color=colour, ms=7)
                ax.plot(spread, values[:, 1], "o", mfc="none", mec=colour, ms=8)
            ax.set_xticks(range(len(kinds)), labels, fontsize=8)
        outputs.set(
            ylabel="move of the outputs for 0 to 4, in their spread",
            title="And so do the outputs for 0 to 4",
        )
        accuracy.set(ylabel="test accuracy on 0 to 4, %", title="Which costs some accuracy")
        accuracy.plot([], [], "kx", label="scratch, each start")
        accuracy.plot([], [], "ko", mfc="none", label="torch")
        accuracy.legend(fontsize=8, loc="lower left")
        fig.suptitle(
            f"No parameter of the body has moved: a new head learned 5 to 9 from {shots} of each",
            fontsize=13,
        )
