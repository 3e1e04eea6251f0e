"""The perceptron on every two-input gate.                            guide 36-75

Of the 16 boolean functions of two inputs one neuron learns 14. Which two does it not, and how do we
know that it is not a matter of patience? The guide shows AND, prints its answers and says the rest.

There is no line: a neuron needs w.x + b > 0 at the inputs with output 1 and w.x + b <= 0 at the
others. For XOR these four are

    w1 + b > 0      w2 + b > 0      b <= 0      w1 + w2 + b <= 0

and the first two sum to w1 + w2 + 2b > 0, the other two to w1 + w2 + 2b <= 0. In general (Motzkin
1936) either there are such w and b, or multiples u >= 0 of the inequalities, a strict one among
them, that sum to 0 > 0. Both are found in whole numbers, so that nothing is rounded: w and b by the
rule from zero, u by trying. A linear program for the widest margin must agree.

The learner goes round: from zero with whole steps its weights are whole numbers, and what follows a
state is always the same. An epoch with mistakes that ends as an earlier one did repeats for ever.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from scipy.optimize import linprog

import scratch.models
import torch_ref.models
from datasets import toy
from datasets.check import Array
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import SCRATCH, THIRD, TORCH, figure
from parity_tests.experiments.twins import alike
from parity_tests.harness.twin import arrays

EPOCHS, SHOWN = 100, 20


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Teach all 16 gates to both twins, prove which can be learned, and draw what was.

    Args:
        out: folder for the figure.
        small: fewer random starts.
        seed: the first of the seeds of the starts.

    Returns:
        Mistakes by epoch, weights and proofs, with the claims about them.
    """
    outcome = Outcome("gates")
    seeds = range(seed, seed + (3 if small else 20))
    lessons = {gate: [teach(gate, s) for s in seeds] for gate in toy.GATES}
    proofs = {gate: prove(gate) for gate in toy.GATES}

    learned = {gate: sum(lesson.learned for lesson in rows) for gate, rows in lessons.items()}
    always = [gate for gate, n in learned.items() if n == len(seeds)]
    never = [gate for gate, n in learned.items() if n == 0]
    outcome.claim(
        f"14 gates are learned without a mistake from each of {len(seeds)} starts",
        f"{len(always)}",
        len(always) == 14,
    )
    outcome.claim(
        f"XOR and XNOR are learned from none, in {EPOCHS} epochs",
        ", ".join(never),
        never == ["XOR", "XNOR"],
    )
    every = [lesson for rows in lessons.values() for lesson in rows]
    same = all(lesson.mistakes[0] == lesson.mistakes[1] for lesson in every)
    outcome.claim("both twins make the same mistakes in every epoch", f"{same}", same)
    difference = max(float(np.abs(a - b).max()) for a, b in (lesson.lines for lesson in every))
    outcome.claim(
        "both twins end with the same weights", f"{difference:.1e} apart", difference < 1e-13
    )

    separated = [gate for gate, proof in proofs.items() if proof["line"]]
    outcome.claim(
        "whole numbers w1, w2, b separate exactly those 14",
        f"{len(separated)}",
        separated == always,
    )
    refuted = [gate for gate, proof in proofs.items() if proof["contradiction"]]
    outcome.claim(
        "for the other two the four inequalities add up to a contradiction",
        ", ".join(f"{gate} {proofs[gate]['contradiction']}" for gate in refuted),
        refuted == never,
    )
    wide = {gate: proof["margin"] for gate, proof in proofs.items()}
    narrowest = min(wide[gate] for gate in always)
    widest = max(wide[gate] for gate in never)
    outcome.claim(
        "a linear program agrees: a margin for the 14, none for the two",
        f"at least {narrowest:.3f} against {widest:.1e}",
        narrowest > 0.1 and widest < 1e-9,
    )
    over = [g for g in always if proofs[g]["mistakes"] > proofs[g]["bound"]]
    most = max(always, key=lambda g: proofs[g]["mistakes"])
    outcome.claim(
        "from zero no gate takes more mistakes than Novikoff's bound (R / margin)^2",
        f"{most}: {proofs[most]['mistakes']} of at most {proofs[most]['bound']:.0f}",
        not over,
    )
    cycles = {gate: proofs[gate]["cycle"] for gate in never}
    outcome.claim(
        "XOR and XNOR return to a state they had, so they make mistakes for ever",
        "; ".join(
            f"{g}: epoch {end} ends as epoch {start} did" for g, (start, end) in cycles.items()
        ),
        all(cycles.values()),
    )
    outcome.numbers = {
        "starts": len(seeds),
        "learned from": learned,
        "mistakes by epoch": {
            gate: [r.mistakes[0] for r in rows] for gate, rows in lessons.items()
        },
        "proofs": proofs,
    }
    outcome.text = _table(lessons, proofs)
    path = out / "gates.png"
    _draw(path, {gate: rows[0] for gate, rows in lessons.items()})
    outcome.figures.append(path)
    return outcome


@dataclass(frozen=True)
class Lesson:
    """What the rule made of one gate from one start, in (scratch, torch).

    Attributes:
        lines: w1, w2, b at the end.
        mistakes: in each epoch.
    """

    lines: tuple[Array, Array]
    mistakes: tuple[list[int], list[int]]

    @property
    def learned(self) -> bool:
        """Whether both ended in an epoch without a mistake."""
        return all(epochs[-1] == 0 for epochs in self.mistakes)


def teach(gate: str, seed: int) -> Lesson:
    """Apply the rule to both perceptrons, from torch's start with this seed."""
    x, y = toy.gate(gate)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        theirs = torch_ref.models.Perceptron(2)
    ours = scratch.models.Perceptron(2)
    alike(ours, theirs)
    mistakes = (
        ours.learn(x, y, lr=0.1, epochs=EPOCHS),
        theirs.learn(torch.from_numpy(x), torch.from_numpy(y), lr=0.1, epochs=EPOCHS),
    )
    return Lesson((_line(ours.state_dict()), _line(arrays(theirs.state_dict()))), mistakes)


def _line(state: Mapping[str, Array]) -> Array:
    """w1, w2, b in a row."""
    return np.append(state["weight"], state["bias"])


def prove(gate: str) -> dict[str, Any]:
    """What is certain about a gate, apart from `margin` and `bound` in whole numbers.

    Args:
        gate: its name in `toy.GATES`.

    Returns:
        line: w1, w2, b that compute the gate, or None;
        contradiction: how often to add each inequality for the sum to be absurd, or None;
        cycle: the two epochs that end in the same weights after a mistake, or None;
        mistakes: of the rule from zero until it ended or went round;
        margin: the widest, of weights up to 1;
        bound: Novikoff's on the mistakes, or None.
    """
    x, y = toy.gate(gate)
    signed = np.where(y == 1, 1, -1)[:, None] * np.column_stack([x, np.ones(4)]).astype(int)
    perceptron = scratch.models.Perceptron(2, dtype=np.float64)
    perceptron.load_state_dict({"weight": np.zeros((1, 2)), "bias": np.zeros(1)})
    states: list[tuple[int, ...]] = [(0, 0, 0)]
    mistakes, cycle = [1], None
    while mistakes[-1] and cycle is None:
        mistakes += perceptron.learn(x, y, lr=1.0, epochs=1)
        state = tuple(_line(perceptron.state_dict()).astype(int).tolist())
        if mistakes[-1] and state in states:
            cycle = states.index(state), len(states)
        states.append(state)
    line = None if cycle else states[-1]
    if line is not None:
        z = x.astype(int) @ line[:2] + line[2]
        assert np.array_equal(z > 0, y == 1), f"{gate}: {line} does not compute it"

    multiples = (u for u in itertools.product(range(3), repeat=4) if np.array(u) @ y > 0)
    contradiction = next((u for u in multiples if not (np.array(u) @ signed).any()), None)
    margin, bound = _margin(signed)
    return {
        "line": line,
        "contradiction": contradiction,
        "cycle": cycle,
        "mistakes": sum(mistakes[1:]),
        "margin": margin,
        "bound": bound,
    }


def _margin(signed: Array) -> tuple[float, float | None]:
    """The largest m with signed @ (w1, w2, b) >= m and weights in [-1, 1], and its bound."""
    constraints = np.column_stack([-signed, np.ones(4)])
    limits = [(-1, 1)] * 3 + [(None, None)]
    result = linprog([0, 0, 0, -1], constraints, np.zeros(4), bounds=limits)
    margin = float(-result.fun)
    if margin < 1e-9:
        return margin, None
    longest = (signed**2).sum(1).max()
    return margin, float(longest * (result.x[:3] ** 2).sum() / margin**2)


def _table(lessons: dict[str, list[Lesson]], proofs: dict[str, dict[str, Any]]) -> str:
    """A line for each gate."""
    head = f"{'gate':<12} {'00 01 10 11':<12} {'learned':>9}  {'epochs':>6}  what proves it"
    lines = [head, "-" * 78]
    for gate, rows in lessons.items():
        outputs = "  ".join(map(str, toy.gate(gate)[1]))
        learned = f"{sum(r.learned for r in rows)} of {len(rows)}"
        epochs = float(np.median([len(r.mistakes[0]) for r in rows]))
        proof = proofs[gate]
        if proof["line"]:
            w1, w2, b = proof["line"]
            evidence = f"{w1:+d} A {w2:+d} B {b:+d} > 0, {proof['mistakes']} mistakes from zero"
        else:
            start, end = proof["cycle"]
            evidence = f"four inequalities sum to 0 > 0; epoch {end} ends as epoch {start} did"
        shown = f"{epochs:.0f}" if proof["line"] else "-"
        lines.append(f"{gate:<12} {outputs:<12} {learned:>9}  {shown:>6}  {evidence}")
    return "\n".join(lines)


def _draw(path: Path, lessons: dict[str, Lesson]) -> None:
    """The line that both twins ended with for each gate, above the mistakes on the way there."""
    heights = {"height_ratios": (3.2, 1) * 4}
    with figure(path, 8, 4, (10.5, 14), gridspec_kw=heights) as (fig, axes):
        ticks = np.linspace(-0.45, 1.45, 200)
        a, b = np.meshgrid(ticks, ticks)
        for i, (gate, lesson) in enumerate(lessons.items()):
            ax, below = axes[2 * (i // 4), i % 4], axes[2 * (i // 4) + 1, i % 4]
            x, y = toy.gate(gate)
            for (w1, w2, bias), colour, style in zip(
                lesson.lines, (SCRATCH, TORCH), ("-", "--"), strict=True
            ):
                z = w1 * a + w2 * b + bias
                ax.contour(a, b, z, [0], colors=colour, linestyles=style, linewidths=2)
            ax.contourf(a, b, z > 0, (0.5, 1.5), colors=[THIRD], alpha=0.25)
            for k, name in enumerate(("0", "1")):
                face = ("white", "black")[k]
                ax.scatter(*x[y == k].T, s=70, c=face, edgecolors="black", zorder=3, label=name)
            ax.set(xlim=ticks[[0, -1]], ylim=ticks[[0, -1]], xticks=(0, 1), yticks=(0, 1))
            ax.set_title(gate, color="black" if lesson.learned else SCRATCH)
            ax.set_xlabel("A", labelpad=-8)
            ax.set_ylabel("B", labelpad=-4)
            for epochs, width, colour in zip(
                lesson.mistakes, (0.8, 0.35), (SCRATCH, TORCH), strict=True
            ):
                shown = epochs[:SHOWN]
                below.bar(range(1, len(shown) + 1), shown, width, color=colour)
            n = len(lesson.mistakes[0])
            end = f"none in epoch {n}" if lesson.learned else f"... never none in {n} epochs"
            below.text(0.98, 0.97, end, transform=below.transAxes, ha="right", va="top", fontsize=7)
            below.set(xlim=(0.4, SHOWN + 0.6), ylim=(0, 5.4), yticks=(0, 2, 4))
            below.tick_params(labelsize=7)
            below.set_xlabel("epoch", fontsize=8)
            below.set_ylabel("mistakes", fontsize=8)
        legend = [
            Line2D([], [], color=SCRATCH, lw=2, label="scratch"),
            Line2D([], [], color=TORCH, lw=2, ls="--", label="torch"),
            Line2D([], [], marker="o", ls="", mec="black", mfc="white", ms=8, label="output 0"),
            Line2D([], [], marker="o", ls="", mec="black", mfc="black", ms=8, label="output 1"),
            Patch(color=THIRD, alpha=0.25, label="perceptron says 1"),
        ]
        fig.legend(handles=legend, loc="outside lower center", ncols=5)
        fig.suptitle("A line for 14 of the 16 gates; XOR and XNOR have none", fontsize=12)
