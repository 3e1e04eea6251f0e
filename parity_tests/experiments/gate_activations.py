"""What the gates of a trained LSTM and GRU do: they open where a number is marked.

    both       a = W_ih x + b_ih                   q = W_hh h + b_hh       z = a + q
    LSTM       i, f, o = s(z_i), s(z_f), s(z_o)    g = tanh(z_g)
               c' = f c + i g                      h' = o tanh(c')
    GRU        r, u = s(z_r), s(z_u)               n = tanh(a_n + r q_n)   h' = (1 - u) n + u h
    task       the adding problem: two numbers of a sequence are marked and are to be added

Gates are recomputed here by these equations from the layers' own outputs h and their parameters, in
both packages, and must give the next outputs back.

Guide: LSTM and GRU cells [3290-3460]. Both have no backward there, so the gates that it prints are
those of weights drawn at random, all near one half. Its table counts one bias for each gate, as
Keras does for the LSTM; torch has two, and so has `scratch`.

Sources: Hochreiter & Schmidhuber 1997; Gers et al. 2000; Cho et al. 2014, arXiv:1406.1078;
Karpathy, Johnson & Fei-Fei 2015, arXiv:1506.02078 (looking at gates).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datasets.memory import adding_problem
from parity_tests.experiments.adding_problem import Size, batches, start, tested
from parity_tests.experiments.last_step import train
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, figure
from parity_tests.experiments.twins import Twins, apart
from parity_tests.harness import twin
from parity_tests.harness.draw import Array
from scratch import nn

NETS = {"LSTM": "LSTM, chrono start", "GRU": "GRU"}
SMALL, FULL = Size(10, 10, 0.03, 250, 250), Size(30, 16, 0.02, 1000, 1000)
PROBES, AROUND = 1000, 5
# torch's order is i f g o and r z n; its z is u here, where z is what gates are made of.
SHOWN = {
    "LSTM": {"i": "input i", "f": "forget f", "o": "output o", "c": "cell c"},
    "GRU": {"r": "reset r", "1 - u": "new share 1 - u", "n": "candidate n", "h": "state h"},
}
COUNTED = ((3, 5), (100, 128), (28, 256))


def gates(kind: str, lib: Any, layer: Any, x: Any) -> dict[str, Any]:
    """All gates and states over sequences, from a layer's outputs and parameters.

    Args:
        kind: "LSTM" or "GRU".
        lib: numpy or torch.
        layer: scratch's or torch's, of one layer, batch first.
        x: (B, T, inputs), an array or a tensor.

    Returns:
        By name (B, T, H); "y" is what the layer gave, and "h" what the equations give.
    """
    y = layer(x)[0][0] if lib is np else layer(x)[0]
    before = lib.zeros_like(y)
    before[:, 1:] = y[:, :-1]
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    w_ih, w_hh, b_ih, b_hh = (
        getattr(layer, name).data if lib is np else getattr(layer, name) for name in names
    )
    a, q, size = x @ w_ih.T + b_ih, before @ w_hh.T + b_hh, y.shape[-1]

    def part(z: Any, k: int) -> Any:
        return z[..., k * size : (k + 1) * size]

    def logistic(z: Any) -> Any:
        return 1 / (1 + lib.exp(-z))

    if kind == "GRU":
        r, u = (logistic(part(a, k) + part(q, k)) for k in range(2))
        n = lib.tanh(part(a, 2) + r * part(q, 2))
        h = (1 - u) * n + u * before
        return {"y": y, "r": r, "u": u, "1 - u": 1 - u, "n": n, "h": h, "memory": h}
    i, f, o = (logistic(part(a, k) + part(q, k)) for k in (0, 1, 3))
    g = lib.tanh(part(a, 2) + part(q, 2))
    cells, c = [], 0 * y[:, 0]
    for t in range(y.shape[1]):
        c = f[:, t] * c + i[:, t] * g[:, t]
        cells.append(c)
    c = lib.stack(cells, 1)
    return {"y": y, "i": i, "f": f, "g": g, "o": o, "c": c, "h": o * lib.tanh(c), "memory": c}


def of_both(kind: str, pair: Twins, x: Array) -> tuple[dict[str, Array], dict[str, Array]]:
    """The gates of scratch's layer and of torch's."""
    scratch_model: Any = pair.ours
    ours = gates(kind, np, scratch_model.rnn, x)
    with torch.no_grad():
        theirs = gates(kind, torch, pair.theirs.rnn, torch.from_numpy(x))
    return ours, {name: value.numpy() for name, value in theirs.items()}


def slopes(pair: Twins, x: Array) -> tuple[Array, Array]:
    """How the answer changes with each of the numbers (B, T), in both packages."""
    y, back = pair.ours(x)
    given = torch.from_numpy(x).requires_grad_()
    (dx,) = torch.autograd.grad(pair.theirs(given).sum(), given)
    return np.asarray(back(np.ones_like(y))[..., 0]), dx[..., 0].numpy()


@dataclass
class Seen:
    """A trained network's gates over new sequences.

    Attributes:
        x: (PROBES, T, 2).
        ours: scratch's gates.
        theirs: torch's.
        slopes: of the answer by each number, in both packages (PROBES, T).
        error: squared errors of both on these sequences.
        back: how far the recomputed outputs are from the layers', in both packages.
        same: how far both packages' gates are apart where scratch is given torch's weights.
    """

    x: Array
    ours: dict[str, Array]
    theirs: dict[str, Array]
    slopes: tuple[Array, Array]
    error: tuple[float, float]
    back: tuple[float, float]
    same: float

    @property
    def marked(self) -> Array:
        """(PROBES, T) bool; a first step is left out of what is compared, since all is 0 before."""
        return np.asarray(self.x[..., 1] == 1)

    def change(self, which: str = "ours") -> Array:
        """Mean of the units' |m_t - m_{t-1}| (PROBES, T), m the LSTM's cell or the GRU's state."""
        memory = getattr(self, which)["memory"]
        return np.asarray(np.abs(np.diff(memory, axis=1, prepend=0)).mean(2))

    def ratio(self, values: Array) -> float:
        """The mean at marked steps relative to that at all others, first steps left out."""
        marked, inner = self.marked[:, 1:], values[:, 1:]
        return float(inner[marked].mean() / inner[~marked].mean())

    def held(self, step: int, value: Array, which: str = "ours") -> float:
        """R^2 of a value's linear regression on the memory after a step."""
        memory = getattr(self, which)["memory"][:, step]
        design = np.concatenate([memory, np.ones((len(memory), 1))], axis=1)
        fit = design @ np.linalg.lstsq(design, value, rcond=None)[0]
        return float(1 - np.var(value - fit) / np.var(value))


def look(kind: str, size: Size, seed: int) -> Seen:
    """Train both packages' network, and look at its gates over new sequences."""
    pair = start(NETS[kind], size, seed)
    for _ in train(pair, "Adam", size.lr, 1.0, batches(size, seed)):
        pass
    x, t = adding_problem(PROBES, size.length, seed * 1_000_000 + 999_998)
    error, slope = tested(pair, x, t), slopes(pair, x)
    ours, theirs = of_both(kind, pair, x)
    back = apart(ours["h"], ours["y"]), apart(theirs["h"], theirs["y"])
    pair.ours.load_state_dict(twin.arrays(pair.theirs.state_dict()))
    given, _ = of_both(kind, pair, x)
    same = max(float(np.max(np.abs(given[name] - theirs[name]))) for name in given)
    return Seen(x, ours, theirs, slope, error, back, same)


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Train an LSTM and a GRU to add marked numbers, and look at their gates.

    Args:
        out: folder for the figures.
        small: shorter sequences, fewer units and steps.
        seed: of the start and the sequences.

    Returns:
        What gates and memory do at marked steps, with the claims about it; counts of parameters.
    """
    outcome = Outcome("gate_activations")
    size = SMALL if small else FULL
    seen = {kind: look(kind, size, seed) for kind in NETS}
    _count(outcome)
    _claims(outcome, seen, size)
    paths = [out / f"gate_activations_{name}.png" for name in ("maps", "marks")]
    _draw_maps(paths[0], seen)
    _draw_marks(paths[1], seen)
    outcome.figures += paths
    return outcome


def _count(outcome: Outcome) -> None:
    """The table of parameters, and whether formula and layers agree."""
    lines = [
        f"{'in, units':>10}{'':2}{'layer':6}{'G(IH + HH + 2H)':>17}{'scratch':>10}{'torch':>10}"
        f"{'one bias':>10}"
    ]
    same = True
    for inputs, hidden in COUNTED:
        for kind, g in (("RNN", 1), ("GRU", 3), ("LSTM", 4)):
            formula = g * (inputs * hidden + hidden**2 + 2 * hidden)
            guide = g * ((inputs + hidden) * hidden + hidden)
            ours = sum(p.data.size for p in getattr(nn, kind)(inputs, hidden).parameters())
            layer: torch.nn.Module = getattr(torch.nn, kind)(inputs, hidden)
            theirs = sum(p.numel() for p in layer.parameters())
            same &= formula == ours == theirs == guide + g * hidden
            sizes = f"{inputs}, {hidden}"
            lines.append(f"{sizes:>10}  {kind:6}{formula:17,}{ours:10,}{theirs:10,}{guide:10,}")
    outcome.text = "\n".join(lines)
    outcome.claim(
        "layers have G (I H + H H + 2 H) parameters, G = 1, 3, 4 for RNN, GRU, LSTM: the GRU 3/4 "
        "of the LSTM's, and each gate H more than the guide counts, for its second bias",
        f"{3 * len(COUNTED)} layers in both packages",
        same,
    )


def _claims(outcome: Outcome, seen: dict[str, Seen], size: Size) -> None:
    errors = {kind: s.error for kind, s in seen.items()}
    outcome.claim(
        f"both networks have learned to add the marked two of {size.length} numbers",
        ", ".join(f"{kind} squared error {max(e):.5f}" for kind, e in errors.items()) + "; 1/6",
        all(max(e) < 0.01 for e in errors.values()),
    )
    back = max(d for s in seen.values() for d in s.back)
    same = max(s.same for s in seen.values())
    outcome.claim(
        "gates recomputed from parameters and outputs give the next outputs back, and are the same "
        "in both packages",
        f"within {back:.0e}; {same:.0e}",
        back < 1e-12 and same < 1e-12,
    )
    numbers: dict[str, Any] = {}
    for kind, s in seen.items():
        changes = [s.ratio(s.change(which)) for which in ("ours", "theirs")]
        gate = "i" if kind == "LSTM" else "1 - u"
        opened = [s.ratio(g[gate].mean(2)) for g in (s.ours, s.theirs)]
        best = [_best(s, g[gate]) for g in (s.ours, s.theirs)]
        middle, rows = size.length // 2 - 1, np.arange(PROBES)
        first = s.x[rows, s.marked.argmax(1), 0]
        kept = [s.held(middle, first, which) for which in ("ours", "theirs")]
        at_marks = [float(d[s.marked].mean()) for d in s.slopes]
        elsewhere = [float(np.abs(d[~s.marked]).mean()) for d in s.slopes]
        numbers[kind] = {
            "squared error": s.error,
            "change at marks, relative": changes,
            f"mean {gate} at marks, relative": opened,
            f"largest such ratio of a unit's {gate}": best,
            "R^2 of the first marked number": kept,
            "slope of the answer at marks": at_marks,
            "mean magnitude of it elsewhere": elsewhere,
        }
        outcome.claim(
            f"the {kind}'s {'cell' if kind == 'LSTM' else 'state'} moves at marked steps",
            f"{changes[0]:.1f} times as far as at others",
            min(changes) > 2,
        )
        outcome.claim(
            f"its {'input gates open' if kind == 'LSTM' else 'update gates let values in'} there",
            f"{opened[0]:.2f} times as wide as at others, the most selective unit {best[0]:.1f}",
            min(opened) > 1.2,
        )
        outcome.claim(
            "what it holds before the second half tells the first marked number",
            f"R^2 {kept[0]:.3f} of a linear regression on the {len(s.ours['h'][0, 0])} units",
            min(kept) > 0.9,
        )
        outcome.claim(
            "its answer follows the marked numbers one to one and hardly any other",
            f"slope {at_marks[0]:.3f} at marks, {elsewhere[0]:.3f} elsewhere in the mean",
            all(abs(d - 1) < 0.2 for d in at_marks) and max(elsewhere) < 0.1,
        )
    outcome.numbers |= {"T": size.length, "hidden": size.hidden} | numbers


def _best(seen: Seen, gate: Array) -> float:
    """The largest ratio of marked to other steps that any unit has."""
    return max(seen.ratio(gate[..., k]) for k in range(gate.shape[2]))


# Figures


def _draw_maps(path: Path, seen: dict[str, Seen]) -> None:
    """One sequence: numbers and marks above, units below."""
    with figure(path, 5, 2, (11, 10), sharex="col", height_ratios=(1, 1.5, 1.5, 1.5, 1.5)) as (
        fig,
        axes,
    ):
        for column, (kind, s) in enumerate(seen.items()):
            marks = s.marked
            k = int(np.argmin(np.abs(marks.argmax(1) - 3) + np.abs(marks[:, ::-1].argmax(1) - 4)))
            at, marked = np.arange(s.x.shape[1]), marks[k]
            order = np.argsort(s.ours["memory"][k, -1])
            axes[0, column].bar(at, s.x[k, :, 0], color="0.8")
            axes[0, column].bar(at[marked], s.x[k, marked, 0], color=CLASSES[1], label="marked")
            axes[0, column].set(title=f"{kind}: the sequence", ylim=(0, 1.05))
            axes[0, column].legend(loc="upper right", fontsize=8)
            for row, (name, title) in enumerate(SHOWN[kind].items(), 1):
                axis = axes[row, column]
                share = name in ("i", "f", "o", "r", "1 - u")
                bound = 1.0 if share else float(np.abs(s.ours[name][k]).max())
                image = axis.imshow(
                    s.ours[name][k][:, order].T,
                    aspect="auto",
                    cmap="viridis" if share else "RdBu_r",
                    vmin=0 if share else -bound,
                    vmax=bound,
                    interpolation="nearest",
                )
                axis.set(title=title)
                axis.grid(False)
                for t in at[marked]:
                    axis.axvline(t - 0.5, color="0.1", lw=0.7)
                    axis.axvline(t + 0.5, color="0.1", lw=0.7)
                fig.colorbar(image, ax=axis, pad=0.01)
            axes[4, column].set_xlabel("step")
        axes[0, 0].set_ylabel("number")
        for axis in axes[1:, 0]:
            axis.set_ylabel("unit")
        fig.suptitle("Gates of trained networks over a sequence; lines enclose the marked steps")


def _draw_marks(path: Path, seen: dict[str, Seen]) -> None:
    """Averages around a mark, over all sequences."""
    with figure(path, 1, 2, (10, 4)) as (_, axes):
        offsets = np.arange(-AROUND, AROUND + 1)
        for column, (kind, s) in enumerate(seen.items()):
            gate = "i" if kind == "LSTM" else "1 - u"
            memory = "|change of c|" if kind == "LSTM" else "|change of h|"
            series = {
                f"{'input gate i' if kind == 'LSTM' else 'new share 1 - u'}": [
                    g[gate].mean(2) for g in (s.ours, s.theirs)
                ],
                memory: [s.change("ours"), s.change("theirs")],
            }
            for (label, values), colour in zip(series.items(), CLASSES, strict=False):
                ours, theirs = (_around(s, v, offsets) for v in values)
                axes[column].plot(offsets, ours, color=colour, label=label)
                axes[column].plot(offsets, theirs, ".", color=colour)
            axes[column].set(
                title=f"{kind} around a mark: scratch lines, torch points",
                xlabel="steps after a mark",
                ylabel="mean of units and sequences",
                ylim=(0, None),
            )
            axes[column].legend(loc="upper left")


def _around(seen: Seen, values: Array, offsets: Array) -> list[float]:
    """Means at each offset from a mark, of steps within the sequence, the first left out."""
    row, step = np.nonzero(seen.marked)
    means = []
    for offset in offsets:
        at = step + offset
        inside = (at >= 1) & (at < values.shape[1])
        means.append(float(values[row[inside], at[inside]].mean()))
    return means
