"""Every optimizer on four landscapes: Rosenbrock's valley, Beale's plains, a saddle and a ravine.

    Rosenbrock   (1 - x)^2 + 100 (y - x^2)^2                            lowest at (1, 1)
    Beale        (1.5 - x + x y)^2 + (2.25 - x + x y^2)^2
                 + (2.625 - x + x y^3)^2                                lowest at (3, 1/2)
    saddle       x^2 / 2 - y^2 / 2 + y^4 / 4                            lowest at (0, +-1)
    ravine       (u - 2)^2 / 2 + 100 (v - 1/2)^2 / 2                    (u, v) is (x, y) turned

Guide: SGD with momentum, RMSprop and Adam on Rosenbrock [1071-1225]. Each runs there at one given
rate, and a table calls Adam the fastest and SGD slow; here each has the best rate of a grid, and
momentum arrives before Adam. Its momentum holds the rate inside the velocity: the same path, as
long as the rate stays. An optimizer has arrived when it comes within 0.05 of a minimum for good.

Derivatives by hand and by autograd differ in their last bit, and some paths amplify that until two
correct programs part ways. So the twins are compared twice. Fed with the gradients that scratch
had, torch's optimizer takes the same path to rounding, always. With gradients of its own it may
leave it as far as scratch leaves it when each of its gradients is that of a neighbouring float.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import scratch.optim
import torch_ref.optim
from parity_tests.experiments.landscapes import LANDSCAPES, Landscape, ravine
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, figure
from parity_tests.experiments.twins import apart
from parity_tests.harness.draw import Array
from parity_tests.harness.twin import numpy
from scratch.nn import Parameter
from scratch.nn.sparse import SparseGradient

EPS = float(np.finfo(np.float64).eps)
NEAR = 0.05
COLOURS, WIDTHS = CLASSES[:4], (2.6, 1.9, 1.3, 1.1)  # where paths coincide, all are seen


@dataclass(frozen=True)
class Racer:
    """An optimizer with the rates that it may choose from.

    Attributes:
        label: how it is called here.
        name: its class, in scratch.optim and in torch.optim or torch_ref.optim.
        low: the smallest rate is 10^low.
        high: the largest is 10^high; there are two in each decade.
        options: other than the rate. Decay, which moves the minimum, is off.
    """

    label: str
    name: str
    low: float
    high: float
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rates(self) -> list[float]:
        """The grid."""
        count = round(2 * (self.high - self.low)) + 1
        return [float(f"{10**e:.2g}") for e in np.linspace(self.low, self.high, count)]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the parameter: Muon wants a matrix."""
        return (1, 2) if self.name == "Muon" else (2,)


LINE_SEARCH = {"line_search_fn": "strong_wolfe", "max_iter": 1, "max_eval": 25}
FAMILIES: dict[str, tuple[Racer, ...]] = {
    "along the gradient": (
        Racer("SGD", "SGD", -4, 0.5),
        Racer("momentum 0.9", "SGD", -4, 0, {"momentum": 0.9}),
        Racer("Nesterov 0.9", "SGD", -4, 0, {"momentum": 0.9, "nesterov": True}),
        Racer("ASGD", "ASGD", -4, 0.5),
    ),
    "each coordinate at its own scale": (
        Racer("Rprop", "Rprop", -2, 0),
        Racer("Adagrad", "Adagrad", -1, 1),
        Racer("Adadelta", "Adadelta", -1, 2),
        Racer("RMSprop", "RMSprop", -3, 0),
    ),
    "Adam": (
        Racer("Adam", "Adam", -2, 0),
        Racer("AdamW", "AdamW", -2, 0, {"weight_decay": 0.0}),
        Racer("SparseAdam", "SparseAdam", -2, 0),
        Racer("Adamax", "Adamax", -2, 0.5),
    ),
    "after Adam": (
        Racer("NAdam", "NAdam", -2, 0),
        Racer("RAdam", "RAdam", -3, 0.5),
        Racer("Adafactor", "Adafactor", -2, 0.5),
        Racer("Lion", "Lion", -3, 0),
    ),
    "a vector as a whole": (
        Racer("LAMB", "LAMB", -3, 0),
        Racer("LARS", "LARS", 0, 2),
        Racer("Muon", "Muon", -2.5, 0, {"weight_decay": 0.0}),
        Racer("LBFGS", "LBFGS", 0, 0, LINE_SEARCH),
    ),
}
RACERS = tuple(itertools.chain.from_iterable(FAMILIES.values()))
# What these do does not hang on how the axes lie, and what those do does. Muon and L-BFGS are in
# between: the one by the rounding of bfloat16, the other by a first step that goes by sum |g|.
ROUND = ("SGD", "momentum 0.9", "Nesterov 0.9", "ASGD", "LARS")
SCALED = tuple(r.label for r in RACERS if r.label not in (*ROUND, "Muon", "LBFGS"))


@dataclass(frozen=True)
class Track:
    """Where an optimizer went.

    Attributes:
        points: the start, and where each step ended (n + 1, 2).
        evaluations: gradients that had been asked for by then (n + 1,).
        told: the values and gradients that it got.
    """

    points: Array
    evaluations: Array
    told: list[tuple[Array, Array]] = field(default_factory=list, repr=False)

    def arrival(self, landscape: Landscape) -> float:
        """Gradients needed to come within `NEAR` of a minimum for good; infinity if it never is."""
        away = np.flatnonzero(~(landscape.distance(self.points) <= NEAR))
        first = int(away[-1]) + 1 if len(away) else 0
        return float(self.evaluations[first]) if first < len(self.points) else math.inf

    def merit(self, landscape: Landscape) -> tuple[float, float]:
        """When it arrived, and how far it was at the end."""
        left = float(landscape.distance(self.points[-1:])[0])
        return self.arrival(landscape), left if math.isfinite(left) else math.inf


def walk(
    racer: Racer,
    landscape: Landscape,
    lr: float,
    budget: int,
    rng: np.random.Generator | None = None,
) -> Track:
    """Go down in NumPy, until the gradients are spent or the numbers too large.

    Args:
        racer: what goes.
        landscape: where.
        lr: learning rate.
        budget: gradients.
        rng: if given, gradients are those of a neighbouring float, drawn with it.
    """
    p = Parameter(landscape.start.reshape(racer.shape).copy())
    optimizer = getattr(scratch.optim, racer.name)([p], lr=lr, **racer.options)
    told = []

    def closure() -> Array:
        here = p.data.ravel()
        if rng is not None:
            here = np.nextafter(here, rng.choice([-np.inf, np.inf], 2))
        value, backward = landscape.ours(here)
        gradient = backward()
        told.append((value, gradient))
        gradient = gradient.reshape(racer.shape)
        if racer.name == "SparseAdam":  # both rows were read
            p.grad = SparseGradient(np.arange(2), gradient, p.shape)
        else:
            p.grad = gradient
        return value

    points, evaluations = [p.data.ravel().copy()], [0]
    while len(told) < budget and np.max(np.abs(p.data)) < 1e6:
        optimizer.step(closure)
        points.append(p.data.ravel().copy())
        evaluations.append(len(told))
    return Track(np.array(points), np.array(evaluations), told)


def torch_walk(
    racer: Racer,
    landscape: Landscape,
    lr: float,
    budget: int,
    told: Sequence[tuple[Array, Array]] | None = None,
) -> Track:
    """The same in torch.

    Args:
        racer: what goes.
        landscape: where.
        lr: learning rate.
        budget: gradients.
        told: if given, these values and gradients in turn, in place of autograd's.
    """
    p = torch.tensor(landscape.start.reshape(racer.shape), requires_grad=True)
    package = torch.optim if hasattr(torch.optim, racer.name) else torch_ref.optim
    optimizer = getattr(package, racer.name)([p], lr=lr, **racer.options)
    count = 0

    def closure() -> torch.Tensor:
        nonlocal count
        if told is None:
            value = landscape.theirs(p.reshape(-1))
            (gradient,) = torch.autograd.grad(value, p)
        else:
            value, gradient = (torch.tensor(a) for a in told[count])
            gradient = gradient.reshape(racer.shape)
        count += 1
        if racer.name == "SparseAdam":
            rows = torch.arange(2)[None]
            gradient = torch.sparse_coo_tensor(rows, gradient, check_invariants=True)
        p.grad = gradient
        return value

    points, evaluations = [numpy(p).ravel().copy()], [0]
    while count < budget and p.detach().abs().max().item() < 1e6:
        optimizer.step(closure)
        points.append(numpy(p).ravel().copy())
        evaluations.append(count)
    return Track(np.array(points), np.array(evaluations))


def apart_by_step(ours: Track, theirs: Track) -> Array:
    """How far the tracks are apart after each step, relative to the farthest point of theirs."""
    n = min(len(ours.points), len(theirs.points))  # a line search may ask once more
    differences = np.abs(ours.points[:n] - theirs.points[:n]).max(1)
    relative: Array = differences / np.abs(theirs.points).max()
    return relative


@dataclass(frozen=True)
class Run:
    """What became of one racer on one landscape.

    Attributes:
        racer: who.
        landscape: where.
        lr: the best of its rates, found with scratch.
        ours: the track in NumPy.
        theirs: the track in torch.
        fed: torch's, fed with the gradients that scratch had.
        noisy: scratch's, with the gradients of neighbouring floats.
    """

    racer: Racer
    landscape: Landscape
    lr: float
    ours: Track
    theirs: Track
    fed: Track
    noisy: tuple[Track, ...]

    @property
    def apart(self) -> float:
        """The largest relative distance of the twins, each with gradients of its own."""
        return float(apart_by_step(self.ours, self.theirs).max())

    @property
    def apart_fed(self) -> float:
        """The same where both have scratch's gradients."""
        return float(apart_by_step(self.ours, self.fed).max())

    @property
    def amplified(self) -> float:
        """The same for scratch and scratch with the gradients of neighbours, the worst of them."""
        return max(float(apart_by_step(noisy, self.ours).max()) for noisy in self.noisy)

    @property
    def steady(self) -> bool:
        """Whether roundings stay roundings."""
        return max(self.apart, self.amplified) < 1e-9

    @property
    def arrivals(self) -> tuple[float, float]:
        """Of scratch and torch."""
        return self.ours.arrival(self.landscape), self.theirs.arrival(self.landscape)

    @property
    def merit(self) -> tuple[float, float]:
        """Of scratch: the less, the better."""
        return self.ours.merit(self.landscape)


def race(racer: Racer, landscape: Landscape, budget: int, small: bool, seed: int) -> Run:
    """Find the rate at which scratch arrives first, or ends nearest, and let both twins go."""
    lr = min(racer.rates, key=lambda lr: walk(racer, landscape, lr, budget).merit(landscape))
    ours = walk(racer, landscape, lr, budget)
    return Run(
        racer,
        landscape,
        lr,
        ours,
        torch_walk(racer, landscape, lr, budget),
        torch_walk(racer, landscape, lr, budget, ours.told),
        tuple(
            walk(racer, landscape, lr, budget, np.random.default_rng((seed, draw)))
            for draw in range(1 if small else 3)
        ),
    )


Runs = dict[tuple[str, str], Run]


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Let all optimizers go down all landscapes.

    Args:
        out: folder for the figures.
        small: fewer gradients, two landscapes drawn.
        seed: of the neighbours whose gradients stand in for roundings.

    Returns:
        Rates, arrivals and differences, with the claims about them.
    """
    outcome = Outcome("optimizer_race")
    budget = 70 if small else 600
    runs = {
        (racer.label, landscape.name): race(racer, landscape, budget, small, seed)
        for racer in RACERS
        for landscape in LANDSCAPES
    }
    _twins(outcome, runs)
    _arrivals(outcome, runs, budget)
    _relatives(outcome, runs, budget)
    _turned(outcome, runs, budget)
    shown = LANDSCAPES[:2] if small else LANDSCAPES
    paths = [out / f"optimizer_race_{name}.png" for name in ("paths", "loss", "twins")]
    _draw_paths(paths[0], runs, shown)
    _draw_loss(paths[1], runs, shown)
    _draw_twins(paths[2], runs)
    outcome.figures += paths
    return outcome


def _twins(outcome: Outcome, runs: Runs) -> None:
    """Whether both packages take the same paths."""
    every = {
        name
        for name, value in vars(scratch.optim).items()
        if isinstance(value, type) and value is not scratch.optim.Optimizer
    }
    outcome.claim(
        "every optimizer of scratch.optim races",
        f"{len({racer.name for racer in RACERS})} of {len(every)}",
        {racer.name for racer in RACERS} == every,
    )
    fed = max(runs.values(), key=lambda r: r.apart_fed)
    outcome.claim(
        f"fed with the same gradients both packages take the same path, in all {len(runs)} runs",
        f"largest relative difference {fed.apart_fed:.0e}, {fed.racer.label} on "
        f"{fed.landscape.name}; in {sum(r.apart_fed <= 16 * EPS for r in runs.values())} runs "
        "within 16 eps",
        fed.apart_fed <= 1e-9,
    )
    steady = [r for r in runs.values() if r.steady]
    worst = max(steady, key=lambda r: r.apart)
    outcome.claim(
        "with gradients of their own, by hand and by autograd, the paths agree wherever the path "
        "itself does not amplify roundings",
        f"{len(steady)} of {len(runs)} runs, at most {worst.apart:.0e} apart ({worst.racer.label} "
        f"on {worst.landscape.name})",
        len(steady) > len(runs) / 2
        and all(r.arrivals[0] == r.arrivals[1] for r in steady)
        and all(r.apart <= 100 * max(r.amplified, 8 * EPS) for r in steady),
    )
    wild = [r for r in runs.values() if not r.steady]
    outcome.claim(
        "where the twins part, scratch parts from itself as far if its gradients are those of "
        "neighbouring floats",
        "; ".join(
            f"{r.racer.label} on {r.landscape.name} {r.apart:.0e} ({r.amplified:.0e})"
            for r in wild
            if r.apart > 1e-9
        ),
        all(r.apart <= 100 * r.amplified for r in wild),
    )
    signs = {
        name: max(runs[name, land.name].apart for land in LANDSCAPES) for name in ("Rprop", "Lion")
    }
    outcome.claim(
        "Rprop and Lion, whose steps know the signs of gradients only, lose no bit",
        ", ".join(f"{name} {value / EPS:.1f} eps" for name, value in signs.items()),
        max(signs.values()) <= 2 * EPS,
    )


def _arrivals(outcome: Outcome, runs: Runs, budget: int) -> None:
    """Who arrives, and after how many gradients."""
    lines = [
        f"gradients until within {NEAR:g} of a minimum for good, of {budget} (rate); torch's too "
        "where it differs",
        f"{'':14}" + "".join(f"{land.name:>22}" for land in LANDSCAPES),
    ]
    for racer in RACERS:
        cells = []
        for land in LANDSCAPES:
            r = runs[racer.label, land.name]
            counts = ["-" if math.isinf(count) else f"{count:.0f}" for count in r.arrivals]
            cell = "/".join(counts[: 1 if counts[0] == counts[1] else 2])
            cells.append(f"{f'{cell} ({r.lr:g})':>22}")
        lines.append(f"{racer.label:14}" + "".join(cells))
    outcome.text = "\n".join(lines)
    outcome.numbers["gradients"] = budget
    outcome.numbers["runs"] = {
        f"{racer} on {land}": {
            "lr": r.lr,
            "arrival": [None if math.isinf(count) else count for count in r.arrivals],
            "distance at the end": float(r.landscape.distance(r.ours.points[-1:])[0]),
            "twins apart": r.apart,
            "fed with the same gradients": r.apart_fed,
            "scratch with the gradients of neighbours": r.amplified,
        }
        for (racer, land), r in runs.items()
    }

    def shown(land: str, *labels: str) -> str:
        return ", ".join(
            f"{label} {f'{left:.2f} away' if math.isinf(count) else f'{count:.0f}'}"
            for label in labels
            for count, left in [runs[label, land].merit]
        )

    names = [land.name for land in LANDSCAPES if land.name != "saddle"]
    outcome.claim(
        "momentum arrives before SGD in the valley, on the plains and in the ravine, or ends "
        "nearer",
        "; ".join(f"{n}: {shown(n, 'momentum 0.9', 'SGD')}" for n in names),
        all(runs["momentum 0.9", n].merit < runs["SGD", n].merit for n in names),
    )
    rivals = ("Adam", "RMSprop", "Adagrad")
    outcome.claim(
        "on Rosenbrock momentum arrives before Adam, RMSprop and Adagrad, each at its best rate, "
        "or ends nearer",
        shown("Rosenbrock", "momentum 0.9", *rivals),
        all(
            runs["momentum 0.9", "Rosenbrock"].merit < runs[label, "Rosenbrock"].merit
            for label in rivals
        ),
    )
    first = {
        n: min((r.merit[0], label) for (label, land), r in runs.items() if land == n) for n in names
    }
    outcome.claim(
        "L-BFGS, which gathers the curvature, needs the fewest gradients there",
        "; ".join(f"{n}: {label} {count:.0f}" for n, (count, label) in first.items()),
        all(label == "LBFGS" for _, label in first.values()),
    )
    low = {
        racer.label: float(r.landscape.ours(r.ours.points[-1])[0])
        for racer in RACERS
        for r in [runs[racer.label, "saddle"]]
    }
    highest = max(low, key=lambda label: low[label])
    outcome.claim(
        f"from 0.0001 beside the ridge all {len(low)} leave the saddle",
        f"the highest end, {highest}'s, is at {low[highest]:.3f}; the saddle at 0, minima at -0.25",
        low[highest] < -0.2,
    )


def _relatives(outcome: Outcome, runs: Runs, budget: int) -> None:
    """Optimizers that are one and the same where their difference has no say."""
    plain = FAMILIES["Adam"][0]
    gaps = {}
    for racer in FAMILIES["Adam"][1:3]:
        tiny = {"eps": 1e-30} if racer.name == "SparseAdam" else {}  # it stands at another place
        pair = [replace(r, options={**r.options, **tiny}) for r in (plain, racer)]
        gaps[racer.label] = max(
            apart_by_step(*(walk(r, land, runs["Adam", land.name].lr, budget) for r in pair)).max()
            for land in LANDSCAPES
        )
    outcome.claim(
        "without decay AdamW is Adam, bit for bit; with all rows and no eps so is SparseAdam, to "
        "rounding",
        f"{gaps['AdamW']:g} and {gaps['SparseAdam']:.0e} apart at the same rates",
        gaps["AdamW"] == 0 and gaps["SparseAdam"] < 1e-11,
    )
    momentum = runs["momentum 0.9", "Rosenbrock"]
    form = Racer("rate in the velocity", "SGD", 0, 0, {"momentum": 0.9, "lr_in_velocity": True})
    other = walk(form, momentum.landscape, momentum.lr, budget)
    off = float(apart_by_step(other, momentum.ours).max())
    outcome.claim(
        "momentum with the rate inside the velocity takes the same path while the rate is constant",
        f"{off:.0e} apart on Rosenbrock, where roundings amount to {momentum.amplified:.0e}",
        off <= 100 * max(momentum.amplified, EPS),
    )


def _turned(outcome: Outcome, runs: Runs, budget: int) -> None:
    """The ravine along the axes against the ravine that lies askew."""
    straight = ravine(0)
    changes = {}
    for racer in RACERS:
        r = runs[racer.label, "ravine"]
        heights = [
            land.above(track.points)
            for land, track in (
                (r.landscape, r.ours),
                (straight, walk(racer, straight, r.lr, budget)),
            )
        ]
        n = min(map(len, heights))
        changes[racer.label] = apart(heights[0][:n], heights[1][:n])
    outcome.numbers["change of the heights in the ravine when it is turned"] = changes
    least = min(SCALED, key=lambda label: changes[label])
    outcome.claim(
        "methods that go by lengths and inner products do the same in a ravine along the axes; "
        "those that scale each coordinate do not",
        f"heights differ by at most {max(changes[label] for label in ROUND):.0e} of the start's; "
        f"by {changes[least]:.0e} and more ({least})",
        # Far apart: LARS amplifies the roundings of the turn to 1e-6, scaling changes 1e-2.
        max(changes[label] for label in ROUND) < 1e-4 and changes[least] > 1e-3,
    )


def _sparse_steps(n: int) -> Array:
    """Steps to mark, of n: many early, few late."""
    return np.unique(np.geomspace(1, n, 30).astype(int)) - 1


def _draw_paths(path: Path, runs: Runs, shown: Sequence[Landscape]) -> None:
    with figure(path, len(shown), len(FAMILIES), (19, 15)) as (fig, axes):
        for row, land in zip(axes, shown, strict=True):
            left, right, bottom, top = land.window
            xs, ys = np.linspace(left, right, 70), np.linspace(bottom, top, 70)
            heights = land.above(np.array([(x, y) for y in ys for x in xs])).reshape(70, 70)
            levels = np.geomspace(max(heights.min(), 1e-3 * heights.max()), heights.max(), 14)
            for ax, (family, racers) in zip(row, FAMILIES.items(), strict=True):
                ax.contour(xs, ys, heights, levels, cmap="Greys_r", linewidths=0.6, alpha=0.6)
                for racer, colour, width in zip(racers, COLOURS, WIDTHS, strict=True):
                    r = runs[racer.label, land.name]
                    marked = r.theirs.points[_sparse_steps(len(r.theirs.points))]
                    label = f"{racer.label}, {r.lr:g}"
                    ax.plot(*r.ours.points.T, color=colour, lw=width, alpha=0.9, label=label)
                    ax.plot(*marked.T, "o", mfc="none", mec=colour, ms=4.5, mew=0.9)
                ax.plot(*land.start, "k*", ms=12, zorder=5)
                ax.plot(*land.minima.T, "kP", ms=9, mec="white", zorder=5)
                ax.set(xlim=(left, right), ylim=(bottom, top))
                ax.grid(visible=False)
                ax.legend(fontsize=7, loc="best", frameon=True, framealpha=0.85, handlelength=1.2)
                if land is shown[0]:
                    ax.set_title(family)
                if land is shown[-1]:
                    ax.set_xlabel("x")
            row[0].set_ylabel(f"{land.name}\ny")
        fig.suptitle(
            "All optimizers at their best rates: lines scratch, rings torch; "
            "star start, plus minimum",
            fontsize=14,
        )


def _draw_loss(path: Path, runs: Runs, shown: Sequence[Landscape]) -> None:
    shape = (len(shown), len(FAMILIES))
    with figure(path, *shape, (19, 13), sharex=True, sharey="row") as (fig, axes):
        for row, land in zip(axes, shown, strict=True):
            for ax, (family, racers) in zip(row, FAMILIES.items(), strict=True):
                for racer, colour, width in zip(racers, COLOURS, WIDTHS, strict=True):
                    r = runs[racer.label, land.name]
                    height, reference = (
                        np.maximum(land.above(t.points), 1e-16) for t in (r.ours, r.theirs)
                    )
                    arrival = r.arrivals[0]
                    when = "not within" if math.isinf(arrival) else f"arrives at {arrival:.0f}"
                    label = f"{racer.label}: {when}"
                    marked = _sparse_steps(len(reference))
                    ax.semilogy(r.ours.evaluations, height, color=colour, lw=width, label=label)
                    ax.semilogy(
                        r.theirs.evaluations[marked],
                        reference[marked],
                        "o",
                        mfc="none",
                        mec=colour,
                        ms=4.5,
                        mew=0.9,
                    )
                ax.legend(fontsize=7.5, loc="lower left", frameon=True, framealpha=0.85)
                if land is shown[0]:
                    ax.set_title(family)
                if land is shown[-1]:
                    ax.set_xlabel("gradients asked for")
            row[0].set_ylabel(f"{land.name}\nheight above the minimum")
            row[0].set_ylim(1e-22, 1e4)
            row[0].set_yticks([1e-16, 1e-12, 1e-8, 1e-4, 1])
        fig.suptitle("Who arrives when: lines scratch, rings torch", fontsize=14)


def _draw_twins(path: Path, runs: Runs) -> None:
    tiny = EPS / 4
    with figure(path, 1, 3, (17, 5)) as (fig, (against, fed, growth)):
        for (family, racers), colour in zip(FAMILIES.items(), CLASSES, strict=True):
            chosen = [runs[racer.label, land.name] for racer in racers for land in LANDSCAPES]
            x = np.maximum([r.amplified for r in chosen], tiny)
            against.loglog(
                x, np.maximum([r.apart for r in chosen], tiny), "o", color=colour, alpha=0.8
            )
            fed.loglog(
                x,
                np.maximum([r.apart_fed for r in chosen], tiny),
                "o",
                color=colour,
                label=family,
                alpha=0.8,
            )
        for ax in (against, fed):
            ax.plot([tiny, 1], [tiny, 1], color="0.6", lw=0.8)
            ax.set(xlim=(tiny / 2, 3), ylim=(tiny / 2, 3))
            ax.set_xlabel("scratch against scratch with gradients of neighbouring floats")
            ax.set_ylabel("scratch against torch")
        against.set_title("Each with its own gradients: apart where roundings grow")
        fed.set_title("Both with the same gradients: never apart")
        fed.legend(fontsize=8)
        examples = (
            ("Adam", "Rosenbrock"),
            ("LARS", "Rosenbrock"),
            ("RMSprop", "Beale"),
            ("LAMB", "ravine"),
        )
        for (label, land), colour in zip(examples, CLASSES, strict=False):
            r = runs[label, land]
            steps = np.maximum.accumulate(apart_by_step(r.ours, r.theirs))
            growth.semilogy(np.maximum(steps, tiny), color=colour, label=f"{label} on {land}")
            for noisy in r.noisy:
                steps = np.maximum.accumulate(apart_by_step(noisy, r.ours))
                growth.semilogy(np.maximum(steps, tiny), color=colour, lw=0.6, alpha=0.6)
        growth.plot([], [], color="0.5", lw=0.6, label="scratch with gradients of neighbours")
        growth.axhline(EPS, color="0.5", lw=0.8, ls=":")
        growth.legend(fontsize=8, loc="upper left")
        growth.set(xlabel="step", ylabel="relative distance, largest so far")
        growth.set_title("Growth: none, steady, or at a turn")
        fig.suptitle("How far two correct programs part, in 80 runs", fontsize=13)
