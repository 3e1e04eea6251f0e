"""The adding problem: two numbers of a hundred are marked, what is their sum?

    asked      squared error on new sequences against the number of training steps
    baseline   1/6, of who answers 1 whatever was seen; solved: below 0.01
    nets       tanh RNN; GRU; LSTM with a forget bias of 1, and with the chrono start, whose forget
               biases are log U(1, T - 1) and input biases the negative: units of all time scales

Guide: why simple RNNs struggle [3190-3285]. It says that RNNs learn from 10 to 20 steps back at
best and that LSTM and GRU do better, and trains none. Here all are trained on the same batches,
for equally many steps, in both packages.

Where gradients explode, rounding grows as they do: the tanh RNN's two runs may end apart, both
unsolved, as torch's does from itself with one weight moved by 1e-16. So claims are about the first
hundred steps, and about what each of the two reaches.

Two biases are added in each gate of torch's layers, so a forget bias of 1 means that their sum is.

Sources: Hochreiter & Schmidhuber 1997, Neural Computation 9(8); Jozefowicz et al. 2015; Tallec &
Ollivier 2018, arXiv:1804.11188 (chrono start).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from datasets.memory import ADDING_BASELINE, adding_problem
from parity_tests.experiments.last_step import Step, lstm_start, network, train
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, figure
from parity_tests.experiments.twins import Twins
from parity_tests.harness.draw import Array

SOLVED, ROWS, TESTED = 0.01, 32, 2000
NETS = {
    "tanh RNN": "RNN",
    "LSTM, forget bias 1": "LSTM",
    "LSTM, chrono start": "LSTM",
    "GRU": "GRU",
}
COLOURS = dict(zip(NETS, ("0.45", CLASSES[2], CLASSES[1], CLASSES[3]), strict=True))


@dataclass(frozen=True)
class Size:
    """How large a run is.

    Attributes:
        length: T.
        hidden: units.
        lr: of Adam.
        steps: of training.
        every: steps between two looks at the test sequences.
    """

    length: int
    hidden: int
    lr: float
    steps: int
    every: int


SMALL = Size(12, 12, 0.03, 250, 50)
FULL = Size(100, 32, 0.01, 1000, 50)


def start(name: str, size: Size, seed: int) -> Twins:
    """Both networks, with torch's start except in the LSTMs' biases."""
    pair = network(NETS[name], 2, size.hidden, 1, seed)
    if name.startswith("LSTM"):
        lstm_start(pair, size.hidden, size.length if "chrono" in name else 0, seed)
    return pair


def batches(size: Size, seed: int) -> Iterator[tuple[Array, Array]]:
    """New sequences for each step, the same ones for all networks of a seed."""
    for step in range(size.steps):
        yield adding_problem(ROWS, size.length, seed * 1_000_000 + step)


@dataclass
class Run:
    """One network from one start; each pair is scratch's and torch's.

    Attributes:
        steps: losses and norms of all training steps.
        looked: steps after which it was tested.
        errors: squared errors on the test sequences then.
    """

    steps: list[Step] = field(default_factory=list)
    looked: list[int] = field(default_factory=list)
    errors: list[tuple[float, float]] = field(default_factory=list)

    @property
    def solved(self) -> int | None:
        """The first look at which both were below SOLVED."""
        good = [n for n, pair in zip(self.looked, self.errors, strict=True) if max(pair) < SOLVED]
        return good[0] if good else None

    def drift(self, steps: int) -> float:
        """How far apart the losses of the first steps are, relative to each."""
        a, b = np.array([s.loss for s in self.steps[:steps]]).T
        return float(np.max(np.abs(a - b) / b))


def tested(pair: Twins, x: Array, t: Array) -> tuple[float, float]:
    """Squared errors of both."""
    ours, theirs = (float(np.mean((y - t) ** 2)) for y in pair(x))
    return ours, theirs


def learn(name: str, size: Size, seed: int) -> Run:
    """Train both packages' networks, and test them every few steps."""
    pair = start(name, size, seed)
    x, t = adding_problem(TESTED, size.length, seed * 1_000_000 + 999_999)
    done = train(pair, "Adam", size.lr, 1.0, batches(size, seed))
    result = Run(looked=[0], errors=[tested(pair, x, t)])
    for k in range(size.every, size.steps + 1, size.every):
        result.steps += islice(done, size.every)
        result.looked.append(k)
        result.errors.append(tested(pair, x, t))
    return result


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Train all networks on the adding problem, for equal numbers of steps.

    Args:
        out: folder for the figure.
        small: sequences of 12 steps, and no claim but that the gates are needed.
        seed: of the start and the sequences.

    Returns:
        Test errors of all networks, with the claims about them.
    """
    outcome = Outcome("adding_problem")
    size = SMALL if small else FULL
    runs = {name: learn(name, size, seed) for name in NETS}
    baseline = float(np.var(adding_problem(TESTED, size.length, seed * 1_000_000 + 999_999)[1]))
    _numbers(outcome, runs, size, baseline)
    _claims(outcome, runs, size)
    path = out / "adding_problem.png"
    _draw(path, runs, size)
    outcome.figures.append(path)
    return outcome


def _numbers(outcome: Outcome, runs: dict[str, Run], size: Size, baseline: float) -> None:
    lines = [
        f"T = {size.length}, {size.hidden} units, {size.steps} steps of {ROWS} sequences, Adam at "
        f"{size.lr:g}, clipped to 1",
        f"{'':22}{'solved after':>13}{'error, scratch':>16}{'torch':>10}",
    ]
    for name, r in runs.items():
        ours, theirs = r.errors[-1]
        after = "not" if r.solved is None else str(r.solved)
        lines.append(f"{name:22}{after:>13}{ours:16.5f}{theirs:10.5f}")
        outcome.numbers[name] = {
            "steps": r.looked,
            "errors": r.errors,
            "solved after": r.solved,
            "twins apart": {n: r.drift(n) for n in (10, 100, size.steps)},
        }
    outcome.numbers |= {"T": size.length, "variance of the test answers": baseline}
    lines.append(f"{'answering 1':22}{'':13}{ADDING_BASELINE:16.5f}")
    outcome.text = "\n".join(lines)


def _claims(outcome: Outcome, runs: dict[str, Run], size: Size) -> None:
    t = size.length
    rnn, best = runs["tanh RNN"], min(min(e) for e in runs["tanh RNN"].errors)
    outcome.claim(
        f"the tanh RNN does not learn to add over {t} steps",
        f"its least error in {size.steps} training steps is {best:.3f}; answering 1 has 1/6",
        best > (0.1 if size is SMALL else 0.14) and rnn.solved is None,
    )
    for name in ("LSTM, chrono start", "GRU"):
        r = runs[name]
        outcome.claim(
            f"the {name.replace(',', ' with')} does",
            f"below {SOLVED} after {r.solved} steps, {max(r.errors[-1]):.5f} in the end",
            r.solved is not None and max(r.errors[-1]) < SOLVED,
        )
    plain, chrono = runs["LSTM, forget bias 1"].solved, runs["LSTM, chrono start"].solved
    outcome.claim(
        "the LSTM whose biases spread over all time scales is not later than the one with 1",
        f"after {chrono} and {plain or 'more than ' + str(size.steps)} steps",
        chrono is not None and (plain is None or chrono <= plain),
    )
    early = {name: r.drift(100) for name, r in runs.items()}
    outcome.claim(
        "both packages take the same first hundred steps",
        ", ".join(f"{name} {d:.0e}" for name, d in early.items()) + " apart",
        max(early.values()) < 1e-10,
    )
    same = all((a < SOLVED) == (b < SOLVED) for r in runs.values() for a, b in r.errors)
    outcome.claim(
        "and are below the threshold at the same looks",
        ", ".join(f"{name} {r.drift(size.steps):.0e}" for name, r in runs.items())
        + " apart over all steps",
        same,
    )


def _draw(path: Path, runs: dict[str, Run], size: Size) -> None:
    with figure(path, 1, 2, (11, 4.2), width_ratios=(2, 1)) as (_, axes):
        for name, r in runs.items():
            errors = np.array(r.errors)
            axes[0].semilogy(r.looked, errors[:, 0], color=COLOURS[name], label=name)
            axes[0].semilogy(r.looked, errors[:, 1], ".", color=COLOURS[name])
        axes[0].axhline(ADDING_BASELINE, color="0.2", lw=0.8, ls=":")
        axes[0].text(size.steps, ADDING_BASELINE * 1.15, "answering 1", ha="right", fontsize=8)
        axes[0].axhline(SOLVED, color="0.2", lw=0.8, ls="--")
        axes[0].text(0, SOLVED * 0.75, "solved", fontsize=8)
        axes[0].set(
            title=f"Adding two of {size.length} numbers: scratch lines, torch points",
            xlabel="training steps",
            ylabel="squared error on new sequences",
            ylim=(1e-4, 1),
        )
        axes[0].legend(loc="lower left")
        x, _ = adding_problem(1, size.length, 1)
        at = np.arange(size.length)
        axes[1].bar(at, x[0, :, 0], width=0.8, color="0.8")
        marked = x[0, :, 1] == 1
        axes[1].bar(at[marked], x[0, marked, 0], width=0.8, color=CLASSES[1])
        total = x[0, marked, 0].sum()
        axes[1].set(
            title=f"A sequence: the marked ones add to {total:.2f}",
            xlabel="step",
            ylabel="number",
            ylim=(0, 1.05),
        )
