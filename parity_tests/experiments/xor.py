"""XOR from a hundred starts: which ones learn it, which ones do not, and why.

Guide: backpropagation on XOR [936-1070] and the network built around it [1256-1480]. It shows the
mean squared error but descends the gradient of binary cross-entropy, so both are descended here,
each for itself. Its first network starts so close to zero that 1,000 epochs change nothing, yet it
prints that XOR was learned; here nothing counts as learned that was not checked.

A start is solved when all four probabilities are within 0.1 of their targets; then it stops, in
both twins by the same rule. Where k points share a probability, the loss can only fall to

    k H(m) / 4       m the mean of their targets, H(m) = -m log m - (1 - m) log(1 - m)
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice, repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datasets import toy
from datasets.tasks import get
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, SCRATCH, TORCH, figure
from parity_tests.experiments.twins import Loss, Twins, alike, mlps
from parity_tests.harness.draw import Array
from scratch import nn
from scratch.nn import functional as F

ROWS = np.arange(4)
POINTS = ("00", "01", "10", "11")
BCE = "binary_cross_entropy_with_logits"
PLATEAUS = {
    "all four share 1/2": math.log(2),
    "three share 1/3 or 2/3": 0.75 * (math.log(3) - 2 / 3 * math.log(2)),
    "two share 1/2": math.log(2) / 2,
}


def squared_error(z: Array, t: Array) -> tuple[Array, Callable[[], Array]]:
    """Mean squared error of the probabilities, and its backward to the logits."""
    p, sigmoid_back = F.sigmoid(z)
    loss, loss_back = F.mse_loss(p, t)

    def backward() -> Array:
        dz: Array = sigmoid_back(loss_back()[0])
        return dz

    return loss, backward


def torch_squared_error(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """The same in torch."""
    return torch.nn.functional.mse_loss(torch.sigmoid(z), t)


MSE = (squared_error, torch_squared_error)


@dataclass
class Start:
    """What became of one start.

    Attributes:
        seed: of the start.
        twins: the models, as they ended.
        pairs: the training, to go on with.
        loss: before each step, scratch.
        reference_loss: the same, torch.
        step: at which scratch had solved it, None if never.
        reference_step: the same, torch.
    """

    seed: int
    twins: Twins
    pairs: Iterator[tuple[float, float]]
    loss: list[float] = field(default_factory=list)
    reference_loss: list[float] = field(default_factory=list)
    step: int | None = None
    reference_step: int | None = None

    @property
    def drift(self) -> float:
        """The largest relative difference of the twins' losses."""
        return float(np.max(np.abs(np.array(self.loss) / np.array(self.reference_loss) - 1)))


def probabilities(z: Array) -> Array:
    """Logits to probabilities."""
    return F.sigmoid(z)[0]


def attempt(
    seed: int,
    twins: Twins,
    optimizer: str,
    options: dict[str, Any],
    loss: Loss,
    x: Array,
    t: Array,
    steps: int,
    every: int = 5,
) -> Start:
    """Train both twins from one start until both have solved it or the steps are spent."""
    pairs = twins.train(optimizer, options, loss, x, t, repeat(ROWS))
    start = Start(seed, twins, pairs)
    for step, (mine, reference) in enumerate(islice(pairs, steps), 1):
        start.loss.append(mine)
        start.reference_loss.append(reference)
        if step % every == 0:
            ours, theirs = (bool(np.all(np.abs(probabilities(z) - t) < 0.1)) for z in twins(x))
            start.step = start.step or (step if ours else None)
            start.reference_step = start.reference_step or (step if theirs else None)
            if ours and theirs:
                break
    return start


@dataclass(frozen=True)
class Failure:
    """Why a start is stuck.

    Attributes:
        start: the run.
        p: probabilities of the four points.
        hidden: activations (4, units).
        group: the points that share a probability though their targets differ.
        plateau: the loss that this group allows at best.
        gradient: norm of the gradient of all parameters.
        distance: the largest distance in the hidden layer between points of the group.
        saturation: the smallest magnitude of a hidden activation within the group.
    """

    start: Start
    p: Array
    hidden: Array
    group: list[int]
    plateau: float
    gradient: float
    distance: float
    saturation: float

    @property
    def explained(self) -> bool:
        """Whether the group coincides in a saturated hidden layer and accounts for the loss."""
        return (
            len(self.group) > 1
            and abs(self.start.loss[-1] / self.plateau - 1) < 0.02
            and self.distance < 0.1
            and self.saturation > 0.98
            and self.gradient < 0.01
        )


def diagnose(start: Start, x: Array, t: Array) -> Failure:
    """Look into a network that did not learn."""
    model = start.twins.ours
    with nn.trace(model) as record:
        z, model_back = model(x)
    hidden = dict(record.outputs)["layers.1"]
    _, loss_back = F.binary_cross_entropy_with_logits(z, t)
    model.zero_grad()
    model_back(loss_back()[0])
    gradients = [p.grad.ravel() for p in model.parameters() if p.grad is not None]
    p = probabilities(z).ravel()
    groups = [[j for j in range(4) if abs(p[i] - p[j]) < 0.05] for i in range(4)]
    mixed = [g for g in groups if 0 < t[g].mean() < 1]
    group = max(mixed, key=len, default=[])
    m = float(t[group].mean()) if group else 0.5
    entropy = -m * math.log(m) - (1 - m) * math.log(1 - m)
    together = hidden[group]
    distance = max(
        (float(np.linalg.norm(a - b)) for a in together for b in together), default=math.inf
    )
    return Failure(
        start,
        p,
        hidden,
        group,
        len(group) * entropy / 4,
        float(np.linalg.norm(np.concatenate(gradients))),
        distance,
        float(np.abs(together).min()) if group else 0.0,
    )


def guide_twins(seed: int, scale: float | None) -> Twins:
    """The guide's 2-4-1 sigmoids; normal weights of a scale, None for sqrt(1 / inputs)."""
    twins = mlps([2, 4, 1], "Sigmoid", seed)
    rng = np.random.default_rng(seed)
    state = {}
    for name, value in twins.ours.state_dict().items():
        spread = scale or math.sqrt(1 / value.shape[-1])
        state[name] = (
            np.zeros(value.shape)
            if name.endswith("bias")
            else spread * rng.normal(size=value.shape)
        )
    twins.theirs.load_state_dict({name: torch.from_numpy(v) for name, v in state.items()})
    return alike(twins.ours, twins.theirs)


def of_recipe(outcome: Outcome, widths: tuple[int, ...], seeds: int, seed: int) -> dict[Any, Any]:
    """The task's recipe with its loss at several widths, and with MSE at its own."""
    task = get("xor")
    split = task.load(seed)
    x, t = split.train_x, split.train_y
    own = task.hidden[0]
    found = {}
    for width, name, loss in [(w, "BCE", BCE) for w in widths] + [(own, "MSE", MSE)]:
        found[width, name] = [
            attempt(
                s,
                mlps([2, width, 1], task.activation, s),
                task.optimizer,
                task.optimizer_args,
                loss,
                x,
                t,
                task.steps,
            )
            for s in range(seed, seed + seeds)
        ]
    for (width, name), starts in found.items():
        solved = [s.seed for s in starts if s.step is not None]
        reference = [s.seed for s in starts if s.reference_step is not None]
        same_step = all(s.step == s.reference_step for s in starts)
        drift = max(s.drift for s in starts)
        label = f"2-{width}-1, {name}"
        outcome.numbers[label] = {
            "solved": len(solved),
            "of": seeds,
            "failing seeds": [s.seed for s in starts if s.step is None],
            "steps": [s.step for s in starts],
            "twins apart": drift,
        }
        outcome.claim(
            f"{label}: both twins solve exactly the same seeds, at the same step",
            f"{len(solved)} and {len(reference)} of {seeds}; largest relative difference of a loss "
            f"{drift:.1e}",
            solved == reference and same_step and drift < 1e-8,
        )
    for name in ("BCE", "MSE"):
        solved = [s.step for s in found[own, name] if s.step is not None]
        outcome.claim(
            f"the recipe (2-{own}-1, Adam) with {name} solves at least 95% of the seeds",
            f"{len(solved)} of {seeds}, half of them within {int(np.median(solved))} steps",
            len(solved) >= 0.95 * seeds,
        )
    return found


def failures(
    outcome: Outcome, found: dict[Any, Any], more: int, seed: int
) -> dict[int, list[Failure]]:
    """Every failing start with the reason for it."""
    split = get("xor").load(seed)
    x, t = split.train_x, split.train_y
    stuck = {
        width: [diagnose(s, x, t) for s in starts if s.step is None]
        for (width, name), starts in found.items()
        if name == "BCE"
    }
    every = [f for group in stuck.values() for f in group]
    explained = [f for f in every if f.explained]
    twos = sum(len(f.group) == 2 for f in every)
    away = max((1 - f.saturation for f in every), default=0.0)
    distance = max((f.distance for f in every), default=0.0)
    gradient = max((f.gradient for f in every), default=0.0)
    outcome.claim(
        "every failing start has the same reason: points of both classes coincide in the hidden "
        "layer, where all units are saturated for them, so they share the mean of their targets "
        "and no gradient parts them",
        f"{len(explained)} of {len(every)}; {twos} times two points share, {len(every) - twos} "
        f"times three; 1 - |h| at most {away:.0e}, hidden distance {distance:.0e}, gradient "
        f"{gradient:.1e}",
        len(explained) == len(every),
    )
    lines = ["width  seed    loss  plateau  gradient  points that share  p     hidden units there"]
    for width, group in stuck.items():
        for f in group:
            where = ", ".join(POINTS[i] for i in f.group)
            there = " ".join(f"{h:+.3f}" for h in f.hidden[f.group[0]]) if f.group else ""
            shared = f"{f.p[f.group].mean():.3f}" if f.group else ""
            lines.append(
                f"{width:5}  {f.start.seed:4}  {f.start.loss[-1]:.4f}   {f.plateau:.4f}   "
                f"{f.gradient:.1e}  {where:17}  {shared:5} {there}"
            )
    outcome.text = "Starts that do not learn XOR (recipe's optimizer and steps, BCE)\n\n"
    outcome.text += "\n".join(lines) if every else "none"
    longest = [f.start for f in stuck[min(stuck)][:3]]
    before = [s.loss[-1] for s in longest]
    after = []
    for s in longest:
        losses = list(islice(s.pairs, more))
        after.append(losses[-1][0])
        s.loss += [a for a, _ in losses]
        s.reference_loss += [b for _, b in losses]
    outcome.numbers["more steps"] = {"steps": more, "before": before, "after": after}
    outcome.claim(
        f"{more:,} more steps free none of the first {len(longest)} of them",
        ", ".join(f"{a:.4f} to {b:.4f}" for a, b in zip(before, after, strict=True)),
        all(b > 0.99 * math.log(2) / 2 for b in after),
    )
    return stuck


def of_guide(outcome: Outcome, seeds: int, seed: int) -> dict[str, Any]:
    """The guide's own network, plain gradient descent: both losses, and the start near zero."""
    x, y = toy.xor()
    t = y.reshape(-1, 1).astype(np.float64)
    options = {"lr": 0.5}
    runs: dict[str, Any] = {}
    for name, loss in (("BCE", BCE), ("MSE", MSE)):
        runs[name] = [
            attempt(s, guide_twins(s, None), "SGD", options, loss, x, t, 10_000, 10)
            for s in range(seed, seed + seeds)
        ]
    ours = {name: [s.step for s in starts] for name, starts in runs.items()}
    theirs = {name: [s.reference_step for s in starts] for name, starts in runs.items()}
    drift = max(s.drift for starts in runs.values() for s in starts)
    both = all(step is not None for steps in ours.values() for step in steps)
    ratio = np.array(ours["MSE"], float) / np.array(ours["BCE"], float)
    outcome.numbers["guide's network"] = {
        **ours,
        "twins apart": drift,
        "MSE over BCE": ratio.tolist(),
    }
    outcome.claim(
        "the guide's 2-4-1 sigmoids, SGD at 0.5: both losses solve XOR, the MSE it names takes "
        "longer than the cross-entropy it descends; twins at the same step",
        f"BCE {min(ours['BCE'])} to {max(ours['BCE'])} epochs, MSE {min(ours['MSE'])} to "
        f"{max(ours['MSE'])}, {ratio.min():.1f} to {ratio.max():.1f} times as many; losses within "
        f"{drift:.1e}",
        both and ours == theirs and bool(np.all(ratio > 1.2)) and drift < 1e-8,
    )
    near = {"scale 0.01": 0.01, "scale sqrt(1/n)": None}
    paths = {}
    for label, scale in near.items():
        twins = guide_twins(seed, scale)
        path = [probabilities(twins.ours(x)[0]).ravel()]
        for _ in islice(twins.train("SGD", options, BCE, x, t, repeat(ROWS)), 1000):
            path.append(probabilities(twins.ours(x)[0]).ravel())
        paths[label] = (np.array(path), probabilities(twins(x)[1]).ravel())
    end, reference = paths["scale 0.01"][0][-1], paths["scale 0.01"][1]
    outcome.numbers["start near zero"] = {label: p[-1].tolist() for label, (p, _) in paths.items()}
    outcome.claim(
        "from the guide's first start (normal, scale 0.01) 1,000 epochs teach nothing, though it "
        "says that they did",
        f"outputs 0.5 within {np.max(np.abs(end - 0.5)):.0e}, torch's the same to "
        f"{np.max(np.abs(end - reference)):.0e}",
        bool(np.all(np.abs(end - 0.5) < 0.01)) and bool(np.max(np.abs(end - reference)) < 1e-12),
    )
    return {**runs, "paths": paths}


def draw_losses(out: Path, found: dict[Any, Any], seeds: int, steps: int) -> Path:
    """All loss curves by width; those that fail stand out."""
    shown = {width: starts for (width, name), starts in found.items() if name == "BCE"}
    path = out / "xor_losses.png"
    with figure(path, 1, len(shown), (4.2 * len(shown) + 0.6, 4.4), sharey=True) as (fig, axes):
        for ax, (width, starts) in zip(np.atleast_1d(axes), shown.items(), strict=True):
            failing = [s for s in starts if s.step is None]
            for s in starts:
                if s.step is not None:
                    ax.semilogy(s.loss, color=TORCH, lw=0.6, alpha=0.5)
            for s in failing:
                ax.semilogy(s.loss[:steps], color=SCRATCH, lw=1.0, alpha=0.8)
            for label, level in PLATEAUS.items():
                ax.axhline(level, color="0.35", lw=0.8, ls=":", zorder=0)
                if ax is np.atleast_1d(axes)[0]:
                    ax.text(steps, level * 1.03, label, fontsize=7.5, ha="right", color="0.25")
            title = f"{width} hidden: {seeds - len(failing)} of {seeds} solved"
            ax.set(xlabel="step", title=title, xlim=(0, steps), ylim=(0.03, 1.2))
        first = np.atleast_1d(axes)[0]
        first.plot([], [], color=TORCH, label="solved (ends there)")
        first.plot([], [], color=SCRATCH, label="stuck")
        first.legend(loc="lower left", fontsize=8)
        first.set_ylabel("binary cross-entropy (scratch)")
        fig.suptitle(
            "XOR, a line for each start: with two hidden units many end where points share "
            "a probability",
            fontsize=12,
        )
    return path


def draw_stuck(
    out: Path, found: dict[Any, Any], stuck: dict[int, list[Failure]], seed: int
) -> Path:
    """The plane as a solved and as stuck networks with the fewest units see it."""
    x, y = toy.xor()
    split = get("xor").load(seed)
    width = min(stuck)
    solved = next(s for s in found[width, "BCE"] if s.step is not None)
    kinds: dict[int, Failure] = {}
    for f in stuck[width]:
        kinds.setdefault(len(f.group), f)
    panels = [(solved, "solved")]
    words = {2: "two", 3: "three", 4: "all four"}
    panels += [
        (kinds[k].start, f"{words[k]} points share p = {kinds[k].p[kinds[k].group].mean():.2f}")
        for k in sorted(kinds)
    ]
    path = out / "xor_stuck.png"
    with figure(path, 1, len(panels), (4.6 * len(panels), 4.4)) as (fig, axes):
        side = np.linspace(-0.5, 1.5, 161)
        plane = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
        for ax, (start, what) in zip(np.atleast_1d(axes), panels, strict=True):
            model = start.twins.ours
            p = probabilities(model(split.standardizer(plane))[0]).reshape(161, 161)
            image = ax.pcolormesh(side, side, p, cmap="RdYlBu_r", vmin=0, vmax=1, shading="nearest")
            image.set_rasterized(True)
            state = model.state_dict()
            z = split.standardizer(plane) @ state["layers.0.weight"].T + state["layers.0.bias"]
            for unit in range(width):
                ax.contour(
                    side, side, z[:, unit].reshape(161, 161), [0.0], colors="k", linestyles="--"
                )
            here = probabilities(model(split.standardizer(x))[0]).ravel()
            for (a, b), target, value in zip(x, y, here, strict=True):
                ax.plot(a, b, "os"[target], ms=12, mfc="white", mec="k", mew=1.5)
                box = {"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.8}
                ax.text(a, b - 0.13, f"{value:.3f}", ha="center", va="top", fontsize=9, bbox=box)
            ax.set(xlabel="x1", ylabel="x2", title=f"seed {start.seed}: {what}", aspect="equal")
            ax.grid(False)
        fig.colorbar(image, ax=axes, label="probability of 1", shrink=0.85)
        fig.suptitle(
            f"{width} hidden units: where no unit's line (dashed) runs between points, they stay "
            "together (circle: target 0, square: 1)",
            fontsize=11,
        )
    return path


def draw_both_losses(out: Path, found: dict[Any, Any], guide: dict[str, Any]) -> Path:
    """BCE against MSE, and the start near zero."""
    own = get("xor").hidden[0]
    path = out / "xor_bce_mse.png"
    with figure(path, 1, 3, (14.5, 4.4)) as (_, (recipe, plain, zero)):
        bins = np.arange(0, 101, 5)
        for name, colour in (("BCE", TORCH), ("MSE", SCRATCH)):
            steps = [s.step for s in found[own, name] if s.step is not None]
            label = f"{name}, median {int(np.median(steps))}"
            recipe.hist(
                np.minimum(steps, 99),
                bins,
                color=colour,
                alpha=0.6,
                label=label,
                edgecolor="white",
            )
            for i, s in enumerate(guide[name]):
                p = {"label": f"descends {name}"} if i == 0 else {}
                epochs = np.arange(1, len(s.loss) + 1)
                plain.loglog(epochs, s.loss, color=colour, lw=1, alpha=0.8, **p)
                plain.plot(len(s.loss), s.loss[-1], "o", color=colour, ms=4)
        recipe.legend()
        recipe.set(
            xlabel="steps until solved (Adam)",
            ylabel="starts",
            title=f"Recipe, 2-{own}-1 tanh: both losses learn",
        )
        plain.legend(loc="lower left")
        plain.set(
            xlabel="epoch (SGD, 0.5)",
            ylabel="the loss that is descended",
            title="Guide's sigmoids: MSE needs longer (dots: solved)",
        )
        for (label, (path_of_p, _)), style in zip(guide["paths"].items(), ("-", "--"), strict=True):
            for i in range(4):
                zero.plot(path_of_p[:, i], style, color=CLASSES[i], lw=1.6)
            zero.plot([], [], style, color="0.3", label=f"start of {label}")
        for i, point in enumerate(POINTS):
            zero.plot([], [], color=CLASSES[i], label=point)
        zero.legend(fontsize=8, loc="upper left", ncols=2)
        zero.set(
            xlabel="epoch (SGD, 0.5, BCE)",
            ylabel="probability of 1",
            title="From weights near zero nothing is learned",
            ylim=(-0.02, 1.3),
            yticks=(0, 0.25, 0.5, 0.75, 1),
        )
    return path


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Train both twins on XOR from many starts, under both losses, and explain every failure."""
    outcome = Outcome("xor")
    task = get("xor")
    seeds, widths = (6, (2, 4)) if small else (100, (2, 3, 4, 8))
    found = of_recipe(outcome, widths, seeds, seed)
    stuck = failures(outcome, found, 300 if small else 5000, seed)
    guide = of_guide(outcome, 1 if small else 10, seed)
    outcome.figures += [
        draw_losses(out, found, seeds, task.steps // 2),
        draw_stuck(out, found, stuck, seed),
        draw_both_losses(out, found, guide),
    ]
    return outcome
