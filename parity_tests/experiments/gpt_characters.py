"""A small GPT reads a real text, beside an LSTM and beside counting.

    GPT        GPT-2's layers, 4 of width 128 with 4 heads, 64 characters of context, windows drawn
               at random; AdamW through one cycle of the rate, gradients clipped at 1, float32
    LSTM       192 units over the same number of characters a step, its state carried on, by the
               recipe of `characters`
    counting   how often each character followed the n before it
    races      equal steps: both see as many characters; equal time: the LSTM goes on, under a
               longer cycle, for as long as the GPT took on this machine, in NumPy
    judged     in bits per character of the last tenth of the Python reference; the GPT's windows
               overlap, so that each character has half a window before it at least; the LSTM has
               all that came before

Guide: GPT, which it names [5527-5630]; it trains none. Rates and sizes were chosen on the
validation part. Which one wins is measured, not claimed.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

import scratch.models
import torch_ref.generation
import torch_ref.models
from datasets.markov import Markov
from datasets.text import Parts, Vocabulary, parts, python_reference
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.reading import Recipe, char_rnns, read
from parity_tests.experiments.reading import bits as rnn_bits
from parity_tests.experiments.style import CLASSES, TORCH, figure
from parity_tests.experiments.twins import Twins, alike
from parity_tests.harness.draw import Array
from parity_tests.harness.twin import to_tensors
from scratch import generation
from scratch.nn import functional as F
from scratch.random import Generator

BATCH = 16
TEMPERATURE = 0.8


@dataclass(frozen=True)
class Size:
    """How large everything is.

    Attributes:
        context: characters of a window, and of a chunk of the LSTM.
        layers: of the GPT.
        width: of the GPT.
        heads: of the GPT.
        hidden: units of the LSTM.
        steps: of the GPT, and of the LSTM at equal steps.
        text: characters of the reference; None for all.
        rate: the GPT's highest; the LSTM's is 0.01.
    """

    context: int
    layers: int
    width: int
    heads: int
    hidden: int
    steps: int
    text: int | None
    rate: float


FULL = Size(64, 4, 128, 4, 192, 1500, None, 0.003)
SMALL = Size(32, 2, 32, 4, 32, 80, 20_000, 0.008)


@dataclass
class Reader:
    """One model after its run.

    Attributes:
        twins: both.
        losses: nats per character of each step, (steps, 2).
        validation: bits per character of both.
        test: the same.
    """

    twins: Twins
    losses: Array
    validation: tuple[float, float]
    test: tuple[float, float]

    @property
    def parameters(self) -> int:
        """How many numbers are learned."""
        return sum(p.size for p in self.twins.ours.parameters())


def gpts(seed: int, vocabulary: int, size: Size) -> Twins:
    """Two GPTs with torch's start at `seed`, in float32."""
    options: dict[str, Any] = {
        **{"vocab_size": vocabulary, "n_positions": size.context, "n_embd": size.width},
        **{"n_layer": size.layers, "n_head": size.heads},
        **{"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0},
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        theirs = torch_ref.models.GPT2(torch_ref.models.gpt2.GPT2Config(**options))
    ours = scratch.models.GPT2(scratch.models.gpt2.GPT2Config(**options))
    twins = alike(ours, theirs)
    twins.ours.to(np.float32)
    twins.theirs.float()
    return twins


def windows(ids: Array, size: Size, seed: int) -> Iterator[tuple[Array, Array]]:
    """Windows drawn at random, and the character after each of theirs; (B, T)."""
    rng = np.random.default_rng(seed)
    while True:
        at = rng.integers(0, len(ids) - size.context, (BATCH, 1)) + np.arange(size.context)
        yield ids[at], ids[at + 1]


def read_gpt(twins: Twins, ids: Array, size: Size, seed: int) -> Iterator[tuple[float, float]]:
    """Take one step in each, whenever the next pair of losses is asked for."""

    def torch_loss(model: Any, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(model(x).flatten(0, 1), t.flatten())

    pairs = twins.steps(
        "AdamW",
        {"lr": size.rate},
        (loss, torch_loss),
        islice(windows(ids, size, seed), size.steps),
        schedule=lambda package, adam: package.OneCycleLR(
            adam, size.rate, size.steps, pct_start=0.15
        ),
        clip=1.0,
    )
    return ((float(a[0]), float(b[0])) for a, b in pairs)


def loss(model: Any, x: Array, t: Array) -> tuple[Array, Callable[..., Any]]:
    """The loss of a batch, and its backward."""
    output, back = model(x)
    recurrent = isinstance(output, tuple)
    logits = output[0] if recurrent else output
    value, loss_back = F.cross_entropy(logits.reshape(t.size, -1), t.ravel())

    def backward(needs_input_grad: bool = True) -> Any:
        dlogits = loss_back().reshape(logits.shape)
        dy = (dlogits, None) if recurrent else (dlogits,)
        return back(*dy, needs_input_grad=needs_input_grad)

    return value, backward


def cost(models: Sequence[Any], ids: Array, size: Size) -> list[float]:
    """Seconds of a forward and backward of each model in NumPy: medians of alternate runs."""
    x, t = next(windows(ids, size, 0))
    found: list[list[float]] = [[] for _ in models]
    for _ in range(12):
        for model, times in zip(models, found, strict=True):
            batch_first = not hasattr(model, "rnn")
            began = time.perf_counter()
            _, back = loss(model, *(a if batch_first else a.T.copy() for a in (x, t)))
            back(needs_input_grad=False)
            times.append(time.perf_counter() - began)
    return [float(np.median(times[2:])) for times in found]


def bits(twins: Twins, ids: Array, context: int) -> tuple[float, float]:
    """Bits per character of a text for both GPTs, all but the first.

    Windows overlap by half, and are judged on what the window before has not been judged on.
    """
    half = context // 2

    def total(score: Callable[[Array, Array, int], float]) -> float:
        nats = score(ids[None, :context], ids[None, 1 : context + 1], 0)
        starts = np.arange(half, len(ids) - context, half)
        for some in np.array_split(starts, max(1, len(starts) // 64)):
            at = some[:, None] + np.arange(context)
            nats += score(ids[at], ids[at + 1], context - half)
        judged = context + len(starts) * half
        return nats / judged / math.log(2)

    def ours(x: Array, t: Array, first: int) -> float:
        logits, _ = twins.ours(x)
        kept = logits[:, first:].reshape(-1, logits.shape[-1])
        return float(F.cross_entropy(kept, t[:, first:].ravel(), reduction="sum")[0])

    def theirs(x: Array, t: Array, first: int) -> float:
        logits = twins.theirs(torch.from_numpy(x))[:, first:]
        targets = torch.from_numpy(t[:, first:]).flatten()
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets, reduction="sum")
        return float(loss)

    twins.ours.eval()
    twins.theirs.eval()
    with torch.no_grad():
        return total(ours), total(theirs)


def write(twins: Twins, prompt: Array, length: int, context: int, seed: int) -> tuple[Array, Array]:
    """What both go on with from scratch's weights, in float64, with the same draws.

    They see the last `context` characters only.
    """
    weights = twins.ours.eval().to(np.float64).state_dict()
    twins.theirs.eval().double().load_state_dict(to_tensors(weights))

    def step(ids: Array, cache: Any) -> tuple[Array, Any]:
        seen = ids if cache is None else np.concatenate([cache, ids], 1)[:, -context:]
        return twins.ours(seen)[0][:, -1], seen

    def torch_step(ids: torch.Tensor, cache: Any) -> tuple[torch.Tensor, Any]:
        seen = ids if cache is None else torch.cat([cache, ids], 1)[:, -context:]
        return twins.theirs(seen)[:, -1], seen

    draw = partial(generation.sample, temperature=TEMPERATURE, generator=Generator(seed))
    source = torch.Generator().manual_seed(seed)
    torch_draw = partial(torch_ref.generation.sample, temperature=TEMPERATURE, generator=source)
    ours = generation.generate(step, prompt[None], length, draw)
    with torch.no_grad():
        theirs = torch_ref.generation.generate(
            torch_step, torch.from_numpy(prompt[None]), length, torch_draw
        )
    return ours[0, len(prompt) :], theirs.numpy()[0, len(prompt) :]


def lstm(vocabulary: int, split: Parts, size: Size, steps: int, seed: int) -> Reader:
    """The recipe of `characters`, for so many steps."""
    twins = char_rnns(seed, np.float32, vocabulary, size.hidden, cell="LSTM")
    recipe = Recipe(
        passes=-(-steps * BATCH * size.context // len(split.train)) + 1,
        columns=BATCH,
        steps=size.context,
        optimizer="Adam",
        options={"lr": 0.01},
        clip=("clip_grad_norm_", 1.0),
        cycle=0.01,
        limit=steps,
    )
    losses = np.array(list(read(twins, split.train, recipe)))
    return Reader(twins, losses, rnn_bits(twins, split.validation), rnn_bits(twins, split.test))


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Train the GPT and two LSTMs, in both packages.

    Args:
        out: folder for the figures.
        small: an eighteenth of the text, narrower models, fewer steps.
        seed: of the starts and of the windows.

    Returns:
        Bits per character at equal steps and at equal time, agreement, a sample.
    """
    outcome, size = Outcome("gpt_characters"), SMALL if small else FULL
    text = python_reference(size.text)
    vocabulary = Vocabulary.of(text)
    split = parts(vocabulary.encode(text))
    orders = range(3) if small else range(6)
    counted = [
        Markov.fit(split.train, split.validation, len(vocabulary), n).bits(split.test)
        for n in orders
    ]
    twins = gpts(seed, len(vocabulary), size)
    fresh = char_rnns(seed, np.float32, len(vocabulary), size.hidden, cell="LSTM")
    costs = cost([twins.ours, fresh.ours], split.train, size)
    losses = np.array(list(read_gpt(twins, split.train, size, seed)))
    judged = [bits(twins, part, size.context) for part in (split.validation, split.test)]
    longer = round(size.steps * (1.5 if small else costs[0] / costs[1]))  # tests ask for no time
    readers = {
        "GPT": Reader(twins, losses, *judged),
        "LSTM, equal steps": lstm(len(vocabulary), split, size, size.steps, seed),
        "LSTM, equal time": lstm(len(vocabulary), split, size, longer, seed),
    }
    prompt = vocabulary.encode("\n\nThe ")
    written = write(twins, prompt, 100 if small else 600, size.context, seed)

    _claims(outcome, readers, counted, written, small)
    _text(outcome, readers, counted, costs, vocabulary.decode(written[0]), split)
    outcome.figures = [_draw(out / "gpt_characters.png", readers, counted, costs)]
    return outcome


def _claims(
    outcome: Outcome,
    readers: dict[str, Reader],
    counted: list[float],
    written: tuple[Array, Array],
    small: bool,
) -> None:
    rival = 0 if small else 3
    gpt = readers["GPT"]
    outcome.claim(
        f"the GPT needs fewer bits for a character of the held-out text than counting after "
        f"{rival} character{'s' * (rival > 1)} does, in both packages",
        f"{gpt.test[0]:.3f} in scratch, {gpt.test[1]:.3f} in torch; {counted[rival]:.3f}",
        max(gpt.test) < counted[rival] - 0.05,
    )
    early = float(np.max(np.abs(np.subtract(*gpt.losses[:20].T)) / gpt.losses[:20, 1]))
    outcome.claim(
        "the losses of the twins in float32 agree to its rounding in the first 20 steps",
        f"{early:.0e} apart at most",
        early < 1e-4,
    )
    ends = abs(gpt.test[0] - gpt.test[1])
    outcome.claim(
        "rounding then leads them apart on their paths, not in what they reach",
        f"{ends:.3f} bits per character apart",
        ends < 0.06,
    )
    outcome.claim(
        "from the same weights and the same seed both packages write the same text",
        f"{len(written[0])} characters",
        np.array_equal(*written),
    )


def _text(
    outcome: Outcome,
    readers: dict[str, Reader],
    counted: list[float],
    costs: list[float],
    sample: str,
    split: Parts,
) -> None:
    outcome.numbers = {
        "bits per character": {
            **{f"counted after {n}": b for n, b in enumerate(counted)},
            **{n: {"validation": r.validation, "test": r.test} for n, r in readers.items()},
        },
        "milliseconds of a forward and backward, GPT and LSTM": [1e3 * c for c in costs],
        "steps": {name: len(r.losses) for name, r in readers.items()},
    }
    lines = [
        f"{len(split.train):,} characters of the Python reference to learn, {len(split.test):,} "
        f"to test on; a step is {1e3 * costs[0]:.0f} ms for the GPT, {1e3 * costs[1]:.0f} ms for "
        f"the LSTM",
        "bits per character of the test part:",
        *(f"  counted after {n:<5}{'':22}{b:.3f}" for n, b in enumerate(counted)),
        *(
            f"  {name:18} {len(r.losses):6,} steps, {r.parameters:9,} parameters  "
            f"{r.test[0]:.3f}, torch {r.test[1]:.3f}"
            for name, r in readers.items()
        ),
        "",
        f"--- the GPT at temperature {TEMPERATURE:g}",
        sample,
    ]
    outcome.text = "\n".join(lines)


def _draw(path: Path, readers: dict[str, Reader], counted: list[float], costs: list[float]) -> Path:
    colours = dict(zip(readers, (CLASSES[0], CLASSES[1], CLASSES[3]), strict=True))
    with figure(path, 1, 2, (13, 4.8)) as (fig, (loss, bars)):
        for name, r in readers.items():
            seconds = costs[name != "GPT"]
            width = max(len(r.losses) // 60, 1)
            whole = len(r.losses) // width * width
            means = r.losses[:whole].reshape(-1, width, 2).mean(1) / np.log(2)
            at = (np.arange(len(means)) + 0.5) * width * seconds
            loss.plot(at, means[:, 0], color=colours[name], label=f"{name}, scratch")
            loss.plot(at[::2], means[::2, 1], "o", mfc="none", mec=TORCH, ms=4, mew=0.7)
        loss.plot([], [], "o", mfc="none", mec=TORCH, ms=4, label="torch, at the same step")
        loss.set(
            xlabel="seconds of forward and backward in NumPy",
            ylabel="training loss, bits per character",
            title="The GPT, and the LSTM for as many steps and for as long",
        )
        loss.legend(fontsize=9)
        names = [str(n) for n in range(len(counted))]
        names += [name.replace(", equal ", "\nequal\n") for name in readers]
        bars.bar(range(len(counted)), counted, color="0.75")
        for k, (name, r) in enumerate(readers.items(), len(counted)):
            bars.bar(k - 0.2, r.test[0], 0.38, color=colours[name])
            label = "torch" if name == "GPT" else None
            bars.bar(k + 0.2, r.test[1], 0.38, color="w", edgecolor=TORCH, label=label)
        values = [*counted, *(max(r.test) for r in readers.values())]
        for k, value in enumerate(values):
            bars.text(k, value + 0.03, f"{value:.2f}", ha="center", fontsize=9)
        bars.set_xticks(range(len(names)), names, fontsize=9)
        bars.grid(axis="x", visible=False)
        bars.set_ylim(0, max(counted) * 1.08)
        bars.set(
            xlabel="counting after so many characters, and the networks",
            ylabel="bits per character",
            title="Held-out text",
        )
        bars.legend(fontsize=9)
        fig.suptitle("The Python reference, a character at a time")
    return path
