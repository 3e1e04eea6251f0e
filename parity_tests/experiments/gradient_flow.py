"""What comes back through time: measured gradients of RNN, LSTM and GRU, and of one exploding step.

    loss       L = v . h_T, v random of norm 1
    asked      |dL/ds_t| against the distance T - t, s = h, or (h, c) of the LSTM
    at rest    h = 0 throughout: dL/dh_t = (W^T)^(T - t) v, which grows as r^(T - t), r the spectral
               radius of W
    driven     inputs x ~ N(0, 1): each step multiplies by W^T diag(1 - h^2), where h is not 0; for
               independent entries by about r rms(1 - h^2) (Poole et al. 2016, arXiv:1606.05340)

Guide: vanishing gradients [3121-3285]. There no network is differentiated: powers of a number and
products of one random matrix stand for it. It calls W_h = 2 with a derivative of 0.25 exploding
though 0.5^T vanishes, and takes 0.25, the logistic's largest slope, for tanh's typical one. Here
all numbers are gradients of real backward passes, in both packages.

Sources: Hochreiter 1991; Bengio, Simard & Frasconi 1994, IEEE TNN 5(2); Pascanu, Mikolov & Bengio
2013, arXiv:1211.5063; Jozefowicz, Zaremba & Sutskever 2015 (forget bias); Saxe et al. 2014,
arXiv:1312.6120 (orthogonal start).
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datasets.memory import adding_problem
from parity_tests.experiments.last_step import assign, network, train
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, SCRATCH, TORCH, figure
from parity_tests.experiments.twins import Twins, alike, apart
from parity_tests.harness.draw import Array
from scratch import nn

RADII = (0.5, 0.9, 1.0, 1.1, 1.5, 2.0)
GATES = {"RNN": 1, "relu": 1, "LSTM": 4, "GRU": 3}
BLUES = ("#9db4c0", "#6f93a8", "#28536b", "#e0a458", "#c8553d", "#7a2e1f")
COLOURS = dict(zip(RADII, BLUES, strict=True))


@dataclass(frozen=True)
class Net:
    """A cell and how it starts.

    Attributes:
        kind: of GATES.
        radius: spectral radius of each square block of the recurrent weights.
        start: "normal", "orthogonal", or "positive", the magnitudes of a normal one.
        bias: of the forget gate, or of the GRU's update gate z; all other biases are 0.
        drive: standard deviation of the inputs.
    """

    kind: str = "RNN"
    radius: float = 1.0
    start: str = "normal"
    bias: float = 0.0
    drive: float = 1.0


def block(net: Net, hidden: int, rng: np.random.Generator) -> Array:
    """One square block of the recurrent weights."""
    w = rng.normal(size=(hidden, hidden))
    if net.start == "orthogonal":
        q, r = np.linalg.qr(w)
        return net.radius * q * np.sign(np.diag(r))
    w = np.abs(w) if net.start == "positive" else w
    radius = float(np.max(np.abs(np.linalg.eigvals(w))))
    return np.asarray(w * (net.radius / radius))


def cells(net: Net, hidden: int, seed: int) -> tuple[Any, Any]:
    """The cell in both packages, with the same values, one input for each hidden unit."""
    rng = np.random.default_rng((seed, GATES[net.kind], round(net.radius * 10)))
    name = net.kind.replace("relu", "RNN") + "Cell"
    options = {"nonlinearity": "relu"} if net.kind == "relu" else {}
    theirs = getattr(torch.nn, name)(hidden, hidden, **options).double()
    gates = GATES[net.kind]
    w_ih = rng.normal(size=(gates * hidden, hidden)) / math.sqrt(hidden)
    if net.start == "positive":
        w_ih = np.abs(w_ih)
    w_hh = np.concatenate([block(net, hidden, rng) for _ in range(gates)])
    b_ih = np.zeros(gates * hidden)
    if gates > 1:
        b_ih[hidden : 2 * hidden] = net.bias  # f of i f g o, z of r z n
    values = {"weight_ih": w_ih, "weight_hh": w_hh, "bias_ih": b_ih, "bias_hh": 0 * b_ih}
    theirs.load_state_dict({name: torch.from_numpy(value) for name, value in values.items()})
    pair = alike(getattr(nn, name)(hidden, hidden, **options), theirs)
    return pair.ours, pair.theirs


def ours_through_time(cell: Any, x: Array, v: Array) -> tuple[Array, Array]:
    """dL/ds_t of scratch at each distance (T, B, S), by one backward a step; h_t (T, B, H)."""
    double = isinstance(cell, nn.LSTMCell)
    zero = np.zeros_like(v)
    state: Any = (zero, zero) if double else zero
    backs, hs = [], []
    for x_t in x:
        state, back = cell(x_t, state)
        backs.append(back)
        hs.append(state[0] if double else state)
    ds: Any = (v, zero) if double else v
    grads = []
    for back in reversed(backs):
        grads.append(np.concatenate(ds, axis=1) if double else ds)
        _, *rest = back(*ds) if double else back(ds)
        ds = tuple(rest) if double else rest[0]
    return np.stack(grads), np.stack(hs)


def theirs_through_time(cell: Any, x: Array, v: Array) -> tuple[Array, Array]:
    """The same of torch: each state is taken out by a clone, that only later steps use."""
    double = isinstance(cell, torch.nn.LSTMCell)
    zero = torch.zeros(v.shape, dtype=torch.float64)
    state: Any = (zero, zero) if double else zero
    probes: list[Any] = []
    for x_t in torch.from_numpy(x):
        state = cell(x_t, state)
        state = tuple(s.clone() for s in state) if double else state.clone()
        probes.append(state if double else (state,))
    loss = (torch.from_numpy(v) * probes[-1][0]).sum()
    flat = [s for probe in probes for s in probe]
    grads = torch.autograd.grad(loss, flat, allow_unused=True, materialize_grads=True)
    width = len(probes[0])
    by_step = [torch.cat(grads[k : k + width], 1) for k in range(0, len(grads), width)]
    hs = torch.stack([probe[0] for probe in probes])
    return torch.stack(by_step[::-1]).numpy(), hs.detach().numpy()


@dataclass
class Flow:
    """What was measured of one net.

    Attributes:
        norms: |dL/ds_t| in each package at each distance, geometric mean of the batch (2, T).
        drift: the largest difference of any distance's gradients, relative to them.
        slope: root mean square of 1 - h^2, tanh's slope, over all steps and units.
    """

    norms: Array
    drift: float
    slope: float

    def rate(self, start: int = 20) -> float:
        """log |dL/ds| gained with each step of distance, by least squares beyond `start`."""
        at = np.arange(start, self.norms.shape[1])
        return float(np.polyfit(at, np.log(self.norms[0, start:]), 1)[0])

    def reach(self, level: float = 0.1) -> int:
        """The first distance at which the norm is below `level`, or the last one."""
        below = np.flatnonzero(self.norms[0] < level)
        return int(below[0]) if below.size else self.norms.shape[1]


def measure(net: Net, steps: int, hidden: int, batch: int, seed: int) -> Flow:
    """Run both packages forward and backward over `batch` sequences."""
    ours, theirs = cells(net, hidden, seed)
    rng = np.random.default_rng((seed, 7))
    x = net.drive * rng.normal(size=(steps, batch, hidden))
    v = rng.normal(size=(batch, hidden))
    if net.start == "positive":
        x, v = np.abs(x), np.abs(v)
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    a, h = ours_through_time(ours, x, v)
    b, _ = theirs_through_time(theirs, x, v)
    sizes = np.linalg.norm(np.stack([a, b]), axis=3)
    with np.errstate(divide="ignore"):
        norms = np.exp(np.log(sizes).mean(2))
    scale = np.maximum(np.abs(b).max((1, 2)), np.finfo(float).tiny)
    drift = float(np.max(np.abs(a - b).max((1, 2)) / scale))
    return Flow(norms, drift, float(np.sqrt(np.mean((1 - h**2) ** 2))))


def guide_example(steps: int) -> tuple[Array, Array]:
    """dL/dh in both packages of one tanh unit with W = 2, held where its slope is 0.25."""
    h = math.sqrt(0.75)
    values = {"weight_ih": [[1.0]], "weight_hh": [[2.0]], "bias_ih": [0.0], "bias_hh": [0.0]}
    theirs: Any = torch.nn.RNNCell(1, 1).double()
    theirs.load_state_dict({k: torch.tensor(v, dtype=torch.float64) for k, v in values.items()})
    pair = alike(nn.RNNCell(1, 1), theirs)
    x = np.full((steps, 1, 1), math.atanh(h) - 2 * h)
    x[0] = math.atanh(h)  # from 0 to there
    one = np.ones((1, 1))
    ours, _ = ours_through_time(pair.ours, x, one)
    others, _ = theirs_through_time(pair.theirs, x, one)
    return ours[:, 0, 0], others[:, 0, 0]


# The exploding step


def exploding(seed: int, hidden: int) -> Twins:
    """A relu network on the adding problem whose recurrent weights are 1.05 times the identity.

    Three quarters of the last layer's are positive, so that units do not happen to cancel others.
    """
    pair = network("RNN", 2, hidden, 1, seed, nonlinearity="relu")
    assign(pair, "rnn.weight_hh_l0", 1.05 * np.eye(hidden))
    signs = np.where(np.arange(hidden) < 3 * hidden // 4, 1.0, -1.0)
    assign(pair, "head.weight", signs * np.abs(pair.ours.state_dict()["head.weight"]))
    return pair


@dataclass
class Descent:
    """Steps of plain gradient descent on one batch.

    Attributes:
        losses: before each step, of both packages (steps, 2).
        norms: of all gradients together, before clipping (steps, 2).
    """

    losses: Array
    norms: Array


def descend(seed: int, clip: float, steps: int, hidden: int = 32) -> Descent:
    """Take steps at a rate of 0.003, the norm of the gradients bound to `clip`."""
    pair = exploding(seed, hidden)
    x, t = adding_problem(32, 50, seed)
    with np.errstate(all="ignore"):  # infinity and NaN are what is asked for
        done = list(train(pair, "SGD", 0.003, clip, ((x, t) for _ in range(steps))))
    return Descent(np.array([s.loss for s in done]), np.array([s.norm for s in done]))


Flows = dict[Net, list[Flow]]
REST = [Net(radius=r, drive=0.0) for r in RADII]
DRIVEN = [Net(radius=r) for r in RADII]
RELU = [Net("relu", r) for r in RADII]
POSITIVE = [Net("relu", r, "positive") for r in RADII]
BIASES = (0.0, 1.0, 3.0, 5.0)
LSTM = [Net("LSTM", bias=b) for b in BIASES]
GRU = [Net("GRU", bias=b) for b in BIASES]
SCALED = [Net(kind, r, bias=b) for kind, b in (("LSTM", 1.0), ("GRU", 1.0)) for r in RADII]
DRIVES = (0.0, 0.03, 0.1, 0.3, 1.0)
STARTS = [Net(start=s, drive=d) for d in DRIVES for s in ("normal", "orthogonal")]


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Measure the gradients of all nets at each distance, and take an exploding step.

    Args:
        out: folder for the figures.
        small: narrower nets, from one start.
        seed: of the first start.

    Returns:
        Norms, rates and the descent with and without clipping, with the claims about them.
    """
    outcome = Outcome("gradient_flow")
    steps, hidden, batch, starts = (100, 48, 4, 1) if small else (150, 96, 16, 3)
    nets = dict.fromkeys([*REST, *DRIVEN, *RELU, *POSITIVE, *LSTM, *GRU, *SCALED, *STARTS])
    flows: Flows = {
        net: [measure(net, steps, hidden, batch, s) for s in range(seed, seed + starts)]
        for net in nets
    }
    _numbers(outcome, flows, hidden, steps)
    _claims(outcome, flows)
    _gated(outcome, flows)
    descents = {
        clip: [descend(s, clip, 40) for s in range(seed, seed + starts)] for clip in (1.0, math.inf)
    }
    _clipping(outcome, descents)
    paths = [out / f"gradient_flow_{name}.png" for name in ("plain", "gates", "clipping")]
    _draw_plain(paths[0], flows)
    _draw_gates(paths[1], flows)
    _draw_clipping(paths[2], descents)
    outcome.figures += paths
    return outcome


def factor(flows: list[Flow]) -> float:
    """What a step of distance multiplies the gradient by, mean of the starts."""
    return math.exp(float(np.mean([flow.rate() for flow in flows])))


def shown(net: Net) -> str:
    """A net in a few words."""
    name = {"RNN": "tanh RNN", "relu": "relu RNN"}.get(net.kind, net.kind)
    extra = "" if GATES[net.kind] == 1 else f", bias {net.bias:g}"
    start = "" if net.start == "normal" else f", {net.start}"
    drive = "" if net.drive == 1 else ", at rest" if net.drive == 0 else f", inputs {net.drive:g}"
    return f"{name}, radius {net.radius:g}{start}{extra}{drive}"


def _numbers(outcome: Outcome, flows: Flows, hidden: int, steps: int) -> None:
    lines = [
        f"{hidden} units, {steps} steps, mean of {len(flows[REST[0]])} start(s)",
        f"{'':44}{'a step':>8}{'at 50':>10}{'at end':>10}",
    ]
    table: dict[str, Any] = {}
    for net, done in flows.items():
        middle, end = (
            float(np.exp(np.mean([np.log(f.norms[0, k]) for f in done]))) for k in (50, -1)
        )
        table[shown(net)] = {
            "a step": factor(done),
            "at 50": middle,
            "at end": end,
            "below 0.1 from": [f.reach() for f in done],
        }
        lines.append(f"{shown(net):44}{factor(done):8.3f}{middle:10.1e}{end:10.1e}")
    outcome.numbers |= {"hidden": hidden, "steps": steps, "gradients": table}
    drift = max(flow.drift for done in flows.values() for flow in done)
    outcome.numbers["twins apart"] = drift
    outcome.claim(
        f"both packages' gradients agree at every distance, in all {len(flows)} nets",
        f"{drift:.0e} apart at most, relative to those of that distance",
        drift < 1e-10,
    )
    outcome.text = "\n".join(lines)


def _claims(outcome: Outcome, flows: Flows) -> None:
    off = max(abs(f.rate() - math.log(net.radius)) for net in REST for f in flows[net])
    outcome.claim(
        "at rest a step of distance multiplies the gradient by the spectral radius, 0.5 to 2",
        f"log of the factor within {off:.3f} of log r",
        off < 0.04,
    )
    off = max(abs(f.rate() - math.log(net.radius)) for net in POSITIVE for f in flows[net])
    outcome.claim(
        "and in a relu network of positive weights, where no unit is ever off, exactly so",
        f"within {off:.0e}",
        off < 1e-6,
    )
    low = [math.exp(f.rate()) for net in DRIVEN if net.radius <= 1.5 for f in flows[net]]
    outcome.claim(
        "driven by inputs the tanh network's gradients vanish at every radius from 0.5 to 1.5",
        f"times {min(low):.2f} to {max(low):.2f} a step",
        max(low) < 0.9,
    )
    off = max(abs(f.rate() - math.log(net.radius * f.slope)) for net in DRIVEN for f in flows[net])
    outcome.claim(
        "there the factor is about the radius times the root mean square of tanh's slope",
        f"log within {off:.2f}",
        off < 0.25,
    )
    ours, theirs = guide_example(60)
    outcome.claim(
        "the guide's 'exploding' W = 2 with a slope of 0.25 vanishes as 0.5^T",
        f"{ours[50]:.2e} after 50 steps in scratch, {theirs[50]:.2e} in torch",
        apart(ours, 0.5 ** np.arange(60)) < 1e-12 and apart(theirs, 0.5 ** np.arange(60)) < 1e-12,
    )
    mixed = {net.radius: [math.exp(f.rate()) for f in flows[net]] for net in RELU}
    outcome.claim(
        "a relu network of weights of both signs vanishes at radius 1, half of its units being "
        "off, and explodes at 2",
        f"times {max(mixed[1.0]):.2f} at most and {min(mixed[2.0]):.2f} at least",
        max(mixed[1.0]) < 0.95 and min(mixed[2.0]) > 1.05,
    )
    at = {(net.start, net.drive): flows[net] for net in STARTS}
    still = max(float(np.max(np.abs(f.norms - 1))) for f in at["orthogonal", 0.0])
    outcome.claim(
        "an orthogonal start at rest keeps the norm at every distance",
        f"within {still:.0e} of 1",
        still < 1e-12,
    )
    pairs = zip(at["normal", 0.03], at["orthogonal", 0.03], strict=True)
    weak = [(a.reach(0.5), b.reach(0.5)) for a, b in pairs]
    outcome.claim(
        "and with weak inputs, of 0.03, for longer than a normal start of radius 1",
        "above half for " + ", ".join(f"{b} steps and not {a}" for a, b in weak),
        all(b >= 2 * a for a, b in weak),
    )
    strong = [math.exp(f.rate()) for f in at["orthogonal", 1.0]]
    outcome.claim(
        "but not with inputs of 1: tanh's slope is no matter of the start",
        f"times {max(strong):.2f} a step",
        max(strong) < 0.75,
    )


_KINDS = ("normal", "orthogonal")


def _gated(outcome: Outcome, flows: Flows) -> None:
    def each(net: Net) -> list[float]:
        return [math.exp(f.rate()) for f in flows[net]]

    plain = each(DRIVEN[2])
    zero = each(LSTM[0])
    outcome.claim(
        "an LSTM whose forget gates start at one half vanishes about as the tanh network does",
        f"times {min(zero):.2f} to {max(zero):.2f} a step, {min(plain):.2f} to {max(plain):.2f}",
        max(zero) < 0.75 and max(plain) < 0.75,
    )
    for nets, gate, least in ((LSTM, "forget", 0.95), (GRU, "update", 0.93)):
        rows = np.array([each(net) for net in nets])
        far = min(f.norms[0, -1] for f in flows[nets[-1]])
        outcome.claim(
            f"the {nets[0].kind} keeps the more, the larger the bias of its {gate} gate",
            "; ".join(f"{b:g}: {r.mean():.3f}" for b, r in zip(BIASES, rows, strict=True))
            + f" a step; {far:.2g} of 1 is left at the end with {BIASES[-1]:g}",
            bool((np.diff(rows[:3], axis=0) > 0).all() and rows[2:].min() > least and far > 0.02),
        )
    end = [flows[net][0].norms[0, -1] for net in (LSTM[2], DRIVEN[2])]
    outcome.claim(
        "with a forget bias of 3 it keeps more than 10^15 times what the tanh network does",
        f"{end[0]:.1e} against {end[1]:.1e}",
        end[0] > 1e15 * end[1],
    )


def _clipping(outcome: Outcome, descents: dict[float, list[Descent]]) -> None:
    free, bound = descents[math.inf], descents[1.0]
    outcome.numbers["clipping"] = {
        "norm of the first gradient": [d.norms[0].tolist() for d in bound],
        "first losses, clipped": [d.losses[:2, 0].tolist() for d in bound],
        "log10 of the second loss, not clipped": [_exponent(d.losses[1, 0]) for d in free],
        "last loss, clipped": [d.losses[-1].tolist() for d in bound],
    }
    drift = max(apart(*d.losses.T) for d in bound)
    outcome.claim(
        "both packages go the same way with clipping",
        f"losses {drift:.0e} apart",
        drift < 1e-9,
    )
    outcome.claim(
        "one step along an exploded gradient ruins a relu network (1.05 times the identity)",
        ", ".join(
            f"norm {d.norms[0, 0]:.0e}: loss {d.losses[0, 0]:.0f} to {_size(d.losses[1, 0])}"
            for d in free
        ),
        all(not d.losses[1].max() < 1e50 for d in free),
    )
    outcome.claim(
        "clipped to a norm of 1 the same step lowers the loss, and those after it",
        ", ".join(
            f"{d.losses[0, 0]:.0f}, {d.losses[1, 0]:.0f}, ... least {d.losses[:, 0].min():.2f}"
            for d in bound
        ),
        all(
            (d.losses[1] < d.losses[0]).all() and (d.losses.min(0) < d.losses[0] / 20).all()
            for d in bound
        ),
    )


def _exponent(loss: float) -> float | None:
    return math.log10(loss) if math.isfinite(loss) else None


def _size(loss: float) -> str:
    return f"{loss:.0e}" if math.isfinite(loss) else "more than float64 holds"


# Figures


def _curves(axis: Any, nets: list[Net], flows: Flows, labels: list[str], colours: Any) -> None:
    """Scratch as lines, torch as points, of the first start."""
    for net, label, colour in zip(nets, labels, colours, strict=True):
        ours, theirs = flows[net][0].norms
        at = np.arange(len(ours))
        axis.semilogy(at, ours, color=colour, lw=1.4, label=label)
        axis.semilogy(at[::10], theirs[::10], ".", color=colour, ms=5)


def _draw_plain(path: Path, flows: Flows) -> None:
    labels = [f"r = {r:g}" for r in RADII]
    panels = {
        "tanh at rest: r each step": REST,
        "tanh with inputs: r times a slope < 1": DRIVEN,
        "relu, both signs: half is off": RELU,
        "relu, positive weights: r each step": POSITIVE,
    }
    with figure(path, 1, 4, (14, 4.2), sharey=True) as (fig, axes):
        for axis, (title, nets) in zip(axes, panels.items(), strict=True):
            _curves(axis, nets, flows, labels, BLUES)
            axis.axhline(1, color="0.5", lw=0.8)
            axis.set(title=title, xlabel="distance T - t, steps", ylim=(1e-30, 1e30))
        at = np.arange(flows[REST[0]][0].norms.shape[1])
        for r in RADII:
            axes[0].semilogy(at, r**at, ":", color="0.3", lw=0.9)
        axes[0].set_ylabel("|dL/dh_t|")
        axes[0].text(2, 1e-29, "dotted: r^(T - t)", fontsize=8)
        handles, names = axes[0].get_legend_handles_labels()
        fig.legend(handles, names, loc="outside lower center", ncols=len(RADII))
        fig.suptitle(
            "Measured gradients through time: scratch lines, torch points; r spectral radius"
        )


def _draw_gates(path: Path, flows: Flows) -> None:
    with figure(path, 1, 3, (14, 4.4)) as (_, axes):
        warm, cool = (
            ("#f0c9a0", "#e0a458", "#c8553d", "#7a2e1f"),
            (
                "#b8cfc4",
                "#6b9080",
                "#3f6b5b",
                "#1d3d33",
            ),
        )
        _curves(axes[0], [DRIVEN[2]], flows, ["tanh RNN"], ["0.3"])
        _curves(axes[0], LSTM, flows, [f"LSTM, forget bias {b:g}" for b in BIASES], warm)
        _curves(axes[0], GRU, flows, [f"GRU, update bias {b:g}" for b in BIASES], cool)
        axes[0].set(
            title="Radius 1, with inputs: what the gates' bias keeps",
            xlabel="distance T - t, steps",
            ylabel="|dL/dh_t|, of the LSTM |dL/d(h_t, c_t)|",
            ylim=(1e-20, 10),
        )
        axes[0].legend(fontsize=7.5, loc="lower left")
        series = {
            "tanh RNN at rest": (REST, "0.6", "--"),
            "tanh RNN": (DRIVEN, "0.3", "-"),
            "relu RNN": (RELU, CLASSES[4], "-"),
            "LSTM, forget bias 1": (SCALED[: len(RADII)], CLASSES[1], "-"),
            "GRU, update bias 1": (SCALED[len(RADII) :], CLASSES[3], "-"),
        }
        for label, (nets, colour, line) in series.items():
            axes[1].plot(RADII, [factor(flows[n]) for n in nets], line, color=colour, label=label)
            for k, net in enumerate(nets):
                spread = [math.exp(f.rate()) for f in flows[net]]
                axes[1].plot([RADII[k]] * len(spread), spread, "o", color=colour, ms=3.5)
        axes[1].axhline(1, color="0.5", lw=0.8)
        axes[1].set(
            title="Only at rest is it the radius that decides",
            xlabel="spectral radius of the recurrent blocks",
            ylabel="factor that a step of distance brings",
            ylim=(0.25, 2.05),
        )
        axes[1].legend(fontsize=8)
        shades = ("#28536b", "#6f93a8", "#e0a458", "#c8553d")
        for drive, colour in zip(DRIVES[1:], shades, strict=True):
            for start, line in zip(_KINDS, ("--", "-"), strict=True):
                norms = flows[Net(start=start, drive=drive)][0].norms[0]
                label = f"inputs {drive:g}" if start == "orthogonal" else ""
                axes[2].semilogy(norms, line, color=colour, label=label)
        axes[2].plot([], [], "--", color="0.4", label="normal, radius 1")
        axes[2].plot([], [], "-", color="0.4", label="orthogonal")
        axes[2].set(
            title="Orthogonal start: near 1 while inputs are weak",
            xlabel="distance T - t, steps",
            ylabel="|dL/dh_t|, tanh RNN",
            ylim=(1e-20, 10),
        )
        axes[2].legend(fontsize=8, loc="lower right")


def _draw_clipping(path: Path, descents: dict[float, list[Descent]]) -> None:
    with figure(path, 1, 2, (10, 4)) as (_, axes):
        free, bound = descents[math.inf][0], descents[1.0][0]
        for k, (name, colour) in enumerate((("scratch", SCRATCH), ("torch", TORCH))):
            points = {"ls": "none", "marker": "."} if k else {}
            style: dict[str, Any] = {"color": colour, **points}
            axes[0].semilogy(bound.losses[:, k], label=f"clipped to 1, {name}", **style)
            axes[1].semilogy(bound.norms[:, k], label=name, **style)
        first = free.losses[:2, 0]
        top = first[1] if math.isfinite(first[1]) else 1e300
        axes[0].semilogy([0, 1], [first[0], top], "k--", label="not clipped")
        axes[0].annotate(f" loss {_size(first[1])}", (1, 1e13), fontsize=9)
        axes[0].set(
            title="One step too far, or forty short ones",
            xlabel="steps",
            ylabel="loss before the step",
            ylim=(1e-2, 1e15),
        )
        axes[0].legend()
        axes[1].axhline(1, color="0.5", lw=0.8)
        axes[1].set(
            title="The gradients' norm before it is clipped to 1",
            xlabel="steps",
            ylabel="norm of all gradients",
        )
        axes[1].legend()
