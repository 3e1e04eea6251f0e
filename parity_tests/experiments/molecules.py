"""Boiling points of alkanes: graph networks against counting carbons and Wiener's formula of 1947.

    mean         of the molecules trained on
    carbons      a + b n^(2/3): a surface grows so with a volume
    Wiener       a + b log10(n + 4.4) + c (W_n - W) / n^2 + d (p_n - p), see `datasets.alkanes`
    networks     three kinds of convolution on the carbon skeleton, summed over the atoms

The guide [6975-7090] types in numbers for eight names and says that graph networks predict such.
Here they are trained, in both packages, on what is bonded to what and nothing else, and every
baseline is fitted on the same molecules. From the hexanes on each molecule is held out once; ethane
to the pentanes are in every training set, as a fold without them would ask for what lies beyond.

Two more things that must hold of any such network are measured: its output does not depend on how
atoms are numbered, and message passing over atoms that begin all alike tells apart what colour
refinement (Weisfeiler & Leman 1968) does in as many rounds as it has layers, and nothing else.

Sources: Wiener 1947, J. Am. Chem. Soc. 69(1); Kipf & Welling 2017; Velickovic et al. 2018; Gilmer
et al. 2017; Xu et al. 2019, arXiv:1810.00826.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import scratch.models
import torch_ref.models
from datasets.alkanes import Alkane, GraphBatch, alkanes, graph_batch, wiener_terms
from datasets.folds import k_fold
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, SCRATCH, THIRD, figure
from parity_tests.experiments.twins import Twins, alike, apart
from parity_tests.harness.draw import Array
from scratch.nn import functional as F

SMALLEST = 6  # carbons of what is held out
NAMES = {"gcn": "GCN", "gat": "GAT", "mpnn": "message passing"}


@dataclass(frozen=True)
class Plan:
    """How a network is built and trained.

    Attributes:
        conv: kind of convolution.
        layers: how many.
        width: features of an atom.
        steps: of Adam on all training molecules.
        rate: at the top of the cycle.
    """

    conv: str
    layers: int
    width: int
    steps: int
    rate: float


FULL = (
    Plan("gcn", 3, 32, 300, 0.01),
    Plan("gat", 2, 16, 300, 0.01),
    Plan("mpnn", 2, 16, 300, 0.01),
)
SMALL = (Plan("gcn", 3, 16, 200, 0.015),)


@dataclass(frozen=True, eq=False)
class Task:
    """Molecules, their boiling points, and the rows (train, test) of each fold.

    Attributes:
        molecules: by number of carbons.
        celsius: boiling points (n,).
        folds: rows to train on and rows to test on.
        held: rows that are tested on, in rising order.
    """

    molecules: list[Alkane]
    celsius: Array
    folds: list[tuple[Array, Array]]
    held: Array

    def of(self, rows: Array) -> GraphBatch:
        """These molecules as one graph."""
        return graph_batch([self.molecules[i] for i in rows])

    def errors(self, predicted: Array) -> tuple[float, float]:
        """Root of the mean square and mean of the errors' sizes where held out, in degrees."""
        error = (predicted - self.celsius)[self.held]
        return float(np.sqrt(np.mean(error**2))), float(np.mean(np.abs(error)))


def task(k: int, used: int, seed: int) -> Task:
    """Parts of those with six carbons and more.

    Args:
        k: number of folds.
        used: how many of them are held out in turn.
        seed: of how they are dealt.
    """
    molecules = alkanes()
    always = sum(m.carbons < SMALLEST for m in molecules)
    rest = k_fold(len(molecules) - always, k, seed)
    folds = [(np.concatenate([np.arange(always), always + a]), always + b) for a, b in rest][:used]
    celsius = np.array([m.celsius for m in molecules])
    held = np.sort(np.concatenate([test for _, test in folds]))
    return Task(molecules, celsius, folds, held)


def baselines(data: Task) -> dict[str, Array]:
    """Least squares on each fold's training molecules: predictions where held out."""
    n = np.array([m.carbons for m in data.molecules], np.float64)
    terms = {
        "mean": np.ones((len(n), 1)),
        "carbons": np.stack([np.ones_like(n), n ** (2 / 3)], axis=1),
        "Wiener": wiener_terms(data.molecules),
    }
    found = {}
    for name, x in terms.items():
        predicted = data.celsius.copy()
        for train, test in data.folds:
            solved = np.linalg.lstsq(x[train], data.celsius[train], rcond=None)[0]
            predicted[test] = x[test] @ solved
        found[name] = predicted
    return found


def twins(plan: Plan, seed: int) -> Twins:
    """Two networks from one start."""
    arguments: dict[str, Any] = {"conv": plan.conv, "heads": 2 if plan.conv == "gat" else 1}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        theirs = torch_ref.models.GraphRegressor(4, plan.width, plan.layers, **arguments)
    return alike(scratch.models.GraphRegressor(4, plan.width, plan.layers, **arguments), theirs)


def predictions(pair: Twins, data: GraphBatch) -> tuple[Array, Array]:
    """Of both networks, one number of each graph."""
    arguments = data.x, data.edge_index, data.batch
    mine, _ = pair.ours(*arguments)
    with torch.no_grad():
        yours = pair.theirs(*map(torch.from_numpy, arguments))
    return mine[:, 0], yours.numpy()[:, 0]


@dataclass(frozen=True, eq=False)
class Trained:
    """Twins after all folds; pairs are scratch's and torch's.

    Attributes:
        losses: of all steps (folds, steps, 2).
        predicted: degrees where held out, the truth elsewhere.
        pair: the networks of the last fold.
    """

    losses: Array
    predicted: tuple[Array, Array]
    pair: Twins

    @property
    def drift(self) -> float:
        """How far losses and predictions are apart, relative to the largest."""
        return max(apart(self.losses[..., 0], self.losses[..., 1]), apart(*self.predicted))


def trained(data: Task, plan: Plan, seed: int) -> Trained:
    """Train anew for each fold, and predict what it holds out.

    Args:
        data: the molecules.
        plan: how.
        seed: of the first fold's start.
    """
    predicted = data.celsius.copy(), data.celsius.copy()
    losses = []
    for fold, (train, test) in enumerate(data.folds):
        pair = twins(plan, seed + fold)
        batch = data.of(train)
        middle, spread = data.celsius[train].mean(), data.celsius[train].std()
        target = ((data.celsius[train] - middle) / spread)[:, None]
        arguments = batch.x, batch.edge_index, batch.batch, target
        losses.append([np.ravel(pair_of) for pair_of in _steps(pair, plan, arguments)])
        for values, found in zip(predicted, predictions(pair, data.of(test)), strict=True):
            values[test] = middle + spread * found
    return Trained(np.array(losses), predicted, pair)


def _steps(pair: Twins, plan: Plan, arguments: Sequence[Array]) -> Iterator[tuple[Array, Array]]:
    """The losses of each step, all molecules at once."""

    def loss(model: Any, x: Array, edges: Array, batch: Array, target: Array) -> tuple[Any, Any]:
        y, model_back = model(x, edges, batch)
        value, loss_back = F.mse_loss(y, target)
        return value, lambda **skip: model_back(loss_back()[0], **skip)

    def torch_loss(model: Any, x: Any, edges: Any, batch: Any, target: Any) -> Any:
        return torch.nn.functional.mse_loss(model(x, edges, batch), target)

    return pair.steps(
        "Adam",
        {"lr": plan.rate},
        (loss, torch_loss),
        (tuple(arguments) for _ in range(plan.steps)),
        schedule=lambda package, stepper: package.OneCycleLR(stepper, plan.rate, plan.steps),
    )


def relabelled(data: GraphBatch, seed: int) -> GraphBatch:
    """The same graphs: atoms of all molecules numbered anew, bonds in another order."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(data.x))
    place = np.argsort(order)
    bonds = rng.permutation(data.edge_index.shape[1])
    return GraphBatch(data.x[order], place[data.edge_index][:, bonds], data.batch[order])


def colours(molecules: Sequence[Alkane], rounds: int) -> list[tuple[Any, ...]]:
    """What colour refinement knows of each molecule: its atoms' colours, sorted.

    Args:
        molecules: what to colour; their atoms begin all alike.
        rounds: how often each atom looks at its neighbours' colours.
    """
    found = []
    for m in molecules:
        near: list[list[int]] = [[] for _ in range(m.carbons)]
        for a, b in m.bonds.tolist():
            near[a].append(b)
            near[b].append(a)
        colour: list[Any] = [()] * m.carbons
        for _ in range(rounds):
            colour = [(colour[i], tuple(sorted(colour[j] for j in n))) for i, n in enumerate(near)]
        found.append(tuple(sorted(colour)))
    return found


def told_apart(molecules: Sequence[Alkane], layers: int, seed: int) -> tuple[int, int]:
    """Pairs that look alike to refinement, and how many of all pairs networks see otherwise.

    Args:
        molecules: what to compare, two by two.
        layers: rounds of refinement, and convolutions of networks that nobody trained.
        seed: of their start.
    """
    known = colours(molecules, layers)
    pair = twins(Plan("mpnn", layers, 16, 0, 0.0), seed)
    data = graph_batch(molecules)
    outputs = predictions(pair, GraphBatch(np.ones_like(data.x), data.edge_index, data.batch))
    above = np.triu_indices(len(molecules), 1)
    same = np.array([[one == other for other in known] for one in known])[above]
    wrong = np.zeros(same.shape, bool)
    for y in outputs:
        wrong |= same != (np.abs(y[:, None] - y)[above] < 1e-12 * np.abs(y).max())
    return int(same.sum()), int(wrong.sum())


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Predict boiling points of molecules that were held out.

    Args:
        out: folder for the figures.
        small: one network, fewer steps, one third held out once.
        seed: of the folds and the starts.

    Returns:
        Errors in degrees, with the claims about them.
    """
    outcome = Outcome("molecules")
    data = task(3, 1, seed) if small else task(5, 5, seed)
    plans = SMALL if small else FULL
    fitted = baselines(data)
    found = {plan: trained(data, plan, seed) for plan in plans}
    _agree(outcome, data, found, seed)
    _errors(outcome, data, found, fitted)
    _refinement(outcome, data, 2 if small else 3, seed)
    path = out / "molecules.png"
    _draw(path, data, found, fitted)
    outcome.figures.append(path)
    return outcome


def _agree(outcome: Outcome, data: Task, found: dict[Plan, Trained], seed: int) -> None:
    """Both packages; and of each, atoms numbered otherwise."""
    drift = max(t.drift for t in found.values())
    steps = sum(t.losses.shape[0] * t.losses.shape[1] for t in found.values())
    outcome.claim(
        "losses and held-out predictions of both twins agree",
        f"{len(found)} networks, {steps} steps: {drift:.0e} apart",
        drift < 1e-6,
    )
    batch = data.of(np.arange(len(data.molecules)))
    moved = relabelled(batch, seed + 1)
    turned = max(
        apart(after, before)
        for t in found.values()
        for before, after in zip(
            predictions(t.pair, batch), predictions(t.pair, moved), strict=True
        )
    )
    outcome.claim(
        "atoms numbered otherwise change the predictions of trained networks by rounding only",
        f"{turned:.0e} of the largest, in both packages",
        turned < 1e-13,
    )


def _errors(
    outcome: Outcome, data: Task, found: dict[Plan, Trained], fitted: dict[str, Array]
) -> None:
    """Degrees, of everyone."""
    counted = {name: data.errors(p) for name, p in fitted.items()}
    learned = {plan.conv: [data.errors(p) for p in t.predicted] for plan, t in found.items()}
    worst = {conv: max(rms for rms, _ in both) for conv, both in learned.items()}
    listed = ", ".join(f"{NAMES[conv]} {rms:.1f}" for conv, rms in worst.items())
    outcome.claim(
        "what is bonded to what says more than the number of carbons: every network is closer",
        f"RMS error of {listed}; from n^(2/3) {counted['carbons'][0]:.1f}, from the mean "
        f"{counted['mean'][0]:.1f} degrees",
        max(worst.values()) < 0.85 * counted["carbons"][0],
    )
    outcome.claim(
        "Wiener's formula, four numbers fitted on the same molecules, is closer than any network",
        f"RMS error {counted['Wiener'][0]:.1f}, the best network's {min(worst.values()):.1f}",
        counted["Wiener"][0] < min(worst.values()),
    )
    rows = [(name, *errors) for name, errors in counted.items()]
    rows += [(NAMES[conv], *both[0]) for conv, both in learned.items()]
    lines = [f"{'held out, degrees C':24}{'RMS':>8}{'mean':>8}"]
    outcome.text = "\n".join(
        lines + [f"{name:24}{rms:8.2f}{mean:8.2f}" for name, rms, mean in rows]
    )
    outcome.numbers |= {
        "errors": {name: {"rms": rms, "mean": mean} for name, rms, mean in rows},
        "torch's errors": {conv: both[1] for conv, both in learned.items()},
        "drift": {plan.conv: t.drift for plan, t in found.items()},
        "held out": len(data.held),
    }


def _refinement(outcome: Outcome, data: Task, most: int, seed: int) -> None:
    """Which pairs a network can tell apart at all."""
    counts = {n: told_apart(data.molecules, n, seed) for n in range(1, most + 1)}
    pairs = len(data.molecules) * (len(data.molecules) - 1) // 2
    outcome.claim(
        "of atoms that begin all alike message passing that nobody trained makes one output of two "
        "molecules exactly where colour refinement, a round for each layer, sees no difference",
        f"of {pairs} pairs alike with 1 to {most} layers: "
        + ", ".join(str(alike_to_all) for alike_to_all, _ in counts.values())
        + f"; exceptions {sum(wrong for _, wrong in counts.values())}",
        not any(wrong for _, wrong in counts.values()),
    )
    outcome.numbers["pairs alike by layers"] = {n: a for n, (a, _) in counts.items()}


def _draw(path: Path, data: Task, found: dict[Plan, Trained], fitted: dict[str, Array]) -> None:
    """Predicted against measured; errors against branching; all errors."""
    plan, best = min(found.items(), key=lambda item: data.errors(item[1].predicted[0])[0])
    network = best.predicted[0]
    t, held = data.celsius, data.held
    branching = -wiener_terms(data.molecules)[:, 2]
    shown = {
        "carbons": (fitted["carbons"], "0.6"),
        NAMES[plan.conv]: (network, SCRATCH),
        "Wiener": (fitted["Wiener"], CLASSES[0]),
    }
    with figure(path, 1, 3, size=(13, 4.2)) as (_, (left, middle, right)):
        span = [t[held].min() - 5, t[held].max() + 5]
        left.plot(span, span, color="0.3", lw=0.8)
        for name, (p, color) in shown.items():
            left.scatter(t[held], p[held], s=14, color=color, label=name)
            middle.scatter(-branching[held], (p - t)[held], s=14, color=color, label=name)
        left.set_xlabel("measured boiling point, °C")
        left.set_ylabel("predicted, held out, °C")
        left.legend()
        left.set_title("carbons alone give one number\nto all isomers")
        middle.axhline(0, color="0.3", lw=0.8)
        middle.set_xlabel("branching, (W$_n$ - W) / n²")
        middle.set_ylabel("predicted - measured, °C")
        middle.set_title("what counting misses is branching")
        bars = {name: (data.errors(p)[0], "0.6") for name, p in fitted.items() if name != "mean"}
        bars |= {
            NAMES[p.conv]: (data.errors(f.predicted[0])[0], SCRATCH if p is plan else THIRD)
            for p, f in found.items()
        }
        bars["Wiener"] = (bars["Wiener"][0], CLASSES[0])
        order = sorted(bars, key=lambda name: -bars[name][0])
        right.barh(order, [bars[n][0] for n in order], color=[bars[n][1] for n in order])
        for y, name in enumerate(order):
            right.text(bars[name][0] + 0.1, y, f"{bars[name][0]:.1f}", va="center")
        right.set_xlim(0, 1.15 * max(b for b, _ in bars.values()))
        right.grid(axis="y", visible=False)
        right.set_xlabel("RMS error, held out, °C")
        right.set_title("72 molecules are few for a network;\nWiener put in what matters")
