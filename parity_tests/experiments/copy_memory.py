"""Copy memory: three symbols, a pause of 20 blanks, a signal; then they are to be said again.

    asked      cross entropy on new sequences against the number of training steps, in units of
               that of who knows the task and keeps nothing: log(S) K / (T + 2 K) nats a step;
               and how often a symbol is said right, in which place
    baseline   1, and one in S of the symbols right; solved: 99 of 100
    nets       tanh RNN; GRU; LSTM with a forget bias of 1, and with the chrono start, whose forget
               biases are log U(1, T + K - 1) and input biases the negative

Guide: why simple RNNs struggle [3190-3285], which trains none. The adding problem asks for one
number that is summed up on the way; here everything must be kept, in its order, and the answer is
as long as what is kept. All nets see the same batches, equally often, in both packages.

Where gradients explode, rounding grows as they do. torch's LSTM with a forget bias of 1, started
one rounding away, is 1e-15 away from itself after 30 steps and 0.1 after a hundred; scratch is as
near as that. So claims are about the first 30 steps, and about what each package reaches.

Sources: Hochreiter & Schmidhuber 1997, Neural Computation 9(8); Arjovsky, Shah & Bengio 2016,
arXiv:1511.06464, section 4.1; Tallec & Ollivier 2018, arXiv:1804.11188 (chrono start).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

import scratch.models
import torch_ref.models
from datasets import memory
from parity_tests.experiments.last_step import lstm_start
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, figure
from parity_tests.experiments.twins import Twins, alike
from parity_tests.harness.draw import Array
from scratch.nn import functional as F

SOLVED = 0.99
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
        delay: T.
        symbols: S.
        count: K.
        hidden: units.
        lr: of Adam.
        rows: sequences of a batch.
        steps: of training.
        every: steps between two looks at new sequences.
        tested: how many those are.
        nets: which are trained.
    """

    delay: int
    symbols: int
    count: int
    hidden: int
    lr: float
    rows: int
    steps: int
    every: int
    tested: int
    nets: tuple[str, ...] = tuple(NETS)

    @property
    def guess(self) -> float:
        """The loss without a memory."""
        return memory.copy_memory_baseline(self.delay, self.symbols, self.count)

    def sequences(self, n: int, seed: int) -> tuple[Array, Array]:
        """What is seen and what is to be said (n, T + 2 K)."""
        return memory.copy_memory(n, self.delay, self.symbols, self.count, seed)


SMALL = Size(8, 3, 1, 12, 0.02, 16, 100, 50, 200, ("tanh RNN", "GRU"))
FULL = Size(20, 4, 3, 32, 0.01, 32, 2000, 50, 500)
EARLY = 30


def start(name: str, size: Size, seed: int) -> Twins:
    """Both networks, with torch's start except in the LSTMs' biases."""
    arguments: Any = size.symbols + 2, size.hidden, 1, NETS[name], None, 0.0, True
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        theirs = torch_ref.models.CharRNN(*arguments)
    pair = alike(scratch.models.CharRNN(*arguments), theirs)
    if name.startswith("LSTM"):
        longest = size.delay + size.count if "chrono" in name else 0
        lstm_start(pair, size.hidden, longest, seed)
    return pair


def our_loss(model: Any, x: Array, y: Array) -> tuple[Array, Any]:
    """The mean over all steps, blanks included."""
    (logits, _), model_back = model(x)
    loss, loss_back = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), y.reshape(-1))

    def backward(needs_input_grad: bool = True) -> Any:
        dlogits = loss_back().reshape(logits.shape)
        return model_back(dlogits, None, needs_input_grad=needs_input_grad)

    return loss, backward


def their_loss(model: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The same in torch."""
    logits, _ = model(x)
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten())


@dataclass
class Run:
    """One network from one start; each pair is scratch's and torch's.

    Attributes:
        losses: of all training steps.
        looked: steps after which it was tested.
        errors: losses on new sequences then, in units of that without a memory.
        right: shares of symbols said right then, of each place (K,).
    """

    losses: list[tuple[float, float]] = field(default_factory=list)
    looked: list[int] = field(default_factory=list)
    errors: list[tuple[float, float]] = field(default_factory=list)
    right: list[tuple[Array, Array]] = field(default_factory=list)

    @property
    def solved(self) -> int | None:
        """The first look at which both said nearly all symbols right."""
        for n, pair in zip(self.looked, self.right, strict=True):
            if min(share.mean() for share in pair) >= SOLVED:
                return n
        return None

    @property
    def recall(self) -> float:
        """The share of symbols that scratch's said right in the end."""
        return float(self.right[-1][0].mean())

    def drift(self, steps: int) -> float:
        """How far apart the losses of the first steps are, relative to each."""
        a, b = np.array(self.losses[:steps]).T
        return float(np.max(np.abs(a - b) / b))


def look(pair: Twins, size: Size, x: Array, y: Array, into: Run) -> None:
    """Test both on new sequences."""
    (ours, _), _ = pair.ours.eval()(x)
    with torch.no_grad():
        theirs = pair.theirs.eval()(torch.from_numpy(x))[0].numpy()
    errors, right = [], []
    for logits in (ours, theirs):
        loss, _ = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), y.reshape(-1))
        errors.append(float(loss) / size.guess)
        said = logits[:, -size.count :].argmax(-1)
        right.append((said == y[:, -size.count :]).mean(0))
    into.errors.append((errors[0], errors[1]))
    into.right.append((right[0], right[1]))


def learn(name: str, size: Size, seed: int) -> Run:
    """Train both packages' networks, and test them every few steps."""
    pair = start(name, size, seed)
    x, y = size.sequences(size.tested, seed * 1_000_000 + 999_999)

    def batches() -> Iterator[tuple[Array, Array]]:
        for step in range(size.steps):
            yield size.sequences(size.rows, seed * 1_000_000 + step)

    done = pair.steps("Adam", {"lr": size.lr}, (our_loss, their_loss), batches(), clip=1.0)
    found = Run(looked=[0])
    look(pair, size, x, y, found)
    for k in range(size.every, size.steps + 1, size.every):
        found.losses += [(float(a[0]), float(b[0])) for a, b in islice(done, size.every)]
        found.looked.append(k)
        look(pair, size, x, y, found)
    return found


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Train all networks to say again what they saw, for equal numbers of steps.

    Args:
        out: folder for the figure.
        small: one symbol over a pause of 8, a tanh RNN and a GRU alone.
        seed: of the start and the sequences.

    Returns:
        Losses and shares of all networks, with the claims about them.
    """
    outcome = Outcome("copy_memory")
    size = SMALL if small else FULL
    runs = {name: learn(name, size, seed) for name in size.nets}
    _numbers(outcome, runs, size)
    _claims(outcome, runs, size)
    path = out / "copy_memory.png"
    _draw(path, runs, size)
    outcome.figures.append(path)
    return outcome


def _numbers(outcome: Outcome, runs: dict[str, Run], size: Size) -> None:
    lines = [
        f"{size.count} of {size.symbols} symbols over {size.delay} steps, {size.hidden} units, "
        f"{size.steps} steps of {size.rows} sequences, Adam at {size.lr:g}, clipped to 1",
        f"{'':22}{'solved after':>13}{'loss, scratch':>15}{'torch':>8}{'said right':>12}",
    ]
    for name, r in runs.items():
        ours, theirs = r.errors[-1]
        after = "not" if r.solved is None else str(r.solved)
        lines.append(f"{name:22}{after:>13}{ours:15.3f}{theirs:8.3f}{100 * r.recall:11.1f}%")
        outcome.numbers[name] = {
            "steps": r.looked,
            "errors": r.errors,
            "right in the end, by place": [share.tolist() for share in r.right[-1]],
            "solved after": r.solved,
            "twins apart": {n: r.drift(n) for n in (10, EARLY, 100, size.steps)},
        }
    outcome.numbers |= {"nats without a memory": size.guess}
    lines.append(f"{'without a memory':22}{'':13}{1:15.3f}{1:8.3f}{100 / size.symbols:11.1f}%")
    outcome.text = "\n".join(lines)


def _claims(outcome: Outcome, runs: dict[str, Run], size: Size) -> None:
    rnn, gru = runs["tanh RNN"], runs["GRU"]
    least = min(min(pair) for pair in rnn.errors)
    outcome.claim(
        "the tanh RNN keeps nothing over the pause: it learns when to speak, not what to say",
        f"its least loss is {least:.3f} of that without a memory; {100 * rnn.recall:.0f}% of the "
        f"symbols are right, a guess has {100 / size.symbols:.0f}%",
        least > 0.97 and abs(rnn.recall - 1 / size.symbols) < 0.1,
    )
    kept = f"{100 * gru.recall:.1f}% right, {gru.errors[-1][0]:.3f} of the loss without a memory"
    if size is SMALL:
        outcome.claim("the GRU begins to keep it", kept, gru.recall > 0.55)
    else:
        solved = gru.solved is not None
        outcome.claim("the GRU keeps all of it", f"{kept}, solved after {gru.solved} steps", solved)
    if size is FULL:
        _of_lstms(outcome, runs, size)
    early = {name: r.drift(EARLY) for name, r in runs.items()}
    outcome.claim(
        f"both packages take the same first {EARLY} steps",
        ", ".join(f"{name} {d:.0e}" for name, d in early.items()) + " apart",
        max(early.values()) < 1e-10,
    )


def _of_lstms(outcome: Outcome, runs: dict[str, Run], size: Size) -> None:
    plain, chrono = runs["LSTM, forget bias 1"], runs["LSTM, chrono start"]
    outcome.claim(
        "the LSTM with the chrono start keeps more than the one with a forget bias of 1",
        f"{100 * chrono.recall:.0f} and {100 * plain.recall:.0f}% right in the end",
        chrono.recall > plain.recall,
    )


def _draw(path: Path, runs: dict[str, Run], size: Size) -> None:
    with figure(path, 1, 2, (11, 4.2), width_ratios=(2, 1)) as (_, axes):
        for name, r in runs.items():
            errors = np.array(r.errors)
            axes[0].semilogy(r.looked, errors[:, 0], color=COLOURS[name], label=name)
            axes[0].semilogy(r.looked, errors[:, 1], ".", color=COLOURS[name])
        axes[0].axhline(1, color="0.2", lw=0.8, ls=":")
        axes[0].text(size.steps, 1.25, "without a memory", ha="right", fontsize=8)
        axes[0].set(
            title=f"{size.count} symbols over {size.delay} steps: scratch lines, torch points",
            xlabel="training steps",
            ylabel="loss on new sequences",
        )
        axes[0].legend(loc="lower left")
        width, places = 0.8 / len(runs), np.arange(size.count)
        for k, (name, r) in enumerate(runs.items()):
            at = places + (k - (len(runs) - 1) / 2) * width
            axes[1].bar(at, 100 * r.right[-1][0], width, color=COLOURS[name])
            axes[1].plot(at, 100 * r.right[-1][1], ".", color="0.1", ms=4)
        axes[1].axhline(100 / size.symbols, color="0.2", lw=0.8, ls=":")
        axes[1].set(
            title="In the end: bars scratch, points torch",
            xlabel="place of the symbol",
            ylabel="% said right",
            ylim=(0, 104),
            xticks=places,
            xticklabels=[str(place + 1) for place in places],
        )
