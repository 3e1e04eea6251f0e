"""Text, a character at a time: a sentence by heart, then a language model of a real text.

    by heart   the guide's sentence: RNN of 64 units, AdaGrad, gradients clipped at 5, chunks of 10
    models     the Python reference: LSTM and GRU of 192 units, Adam through one cycle of the rate,
               chunks of 50 in 16 columns, four passes, float32; judged on the last tenth
    baseline   how often each character followed the n before it in the same text, discounts chosen
               on the same validation part
    long       an LSTM in float64, 500 steps on the same text: the twins stay together
    samples    what the LSTM writes at four temperatures

Guide: SimpleRNN and CharRNN [1796-1855, 2800-3120]. It draws each chunk's place at random yet goes
on from the state of another place, and its range of places leaves the sentence's last letter out
of the targets; here a chunk follows the one before. It calls sqrt(2 / n) Xavier, which is He's, and
prints "learned" with a look at the loss alone; here the sentence must come back from its first
letter, each time the likeliest next. AdaGrad's rate is a fifth of the guide's, under which the loss
jumps so far that rounding grows (the table shows it). Rates, sizes and passes for the real text
were chosen on its validation part, and for the time they take.
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from datasets.markov import Markov
from datasets.text import SENTENCE, Parts, Vocabulary, parts, python_reference
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.reading import Recipe, bits, char_rnns, read, write
from parity_tests.experiments.style import CLASSES, TORCH, figure
from parity_tests.experiments.twins import Twins, apart
from parity_tests.harness import twin
from parity_tests.harness.draw import Array
from parity_tests.harness.twin import to_tensors

HEART = Recipe(120, 1, 10, "Adagrad", {"lr": 0.02, "eps": 1e-8}, ("clip_grad_value_", 5.0), "sum")
TEXT = Recipe(4, 16, 50, "Adam", {"lr": 0.01}, ("clip_grad_norm_", 1.0), cycle=0.01)
LONG = Recipe(9, 8, 25, "Adam", {"lr": 0.003}, ("clip_grad_norm_", 1.0), limit=500)
TEMPERATURES = (0.5, 0.8, 1.0, 1.2)
COLOURS = {"LSTM": CLASSES[1], "GRU": CLASSES[3]}


@dataclass
class Heart:
    """One run on the sentence.

    Attributes:
        losses: nats per character of each pass, (passes, 2).
        learnt: the pass after which the sentence comes back and stays, in either package; None if
            it does not.
        apart: the most that a parameter differs in the end, relative to the tensor's largest.
    """

    losses: Array
    learnt: tuple[int | None, int | None]
    apart: float


@dataclass
class Reader:
    """One model of the text.

    Attributes:
        twins: both.
        losses: of each chunk, nats per character, (steps, 2).
        validation: bits per character of both.
        test: the same.
    """

    twins: Twins
    losses: Array
    validation: tuple[float, float]
    test: tuple[float, float]


def recite(twins: Twins, ids: Array) -> tuple[bool, bool]:
    """Whether the likeliest continuations of the first letter are the rest, in either package."""
    ours, theirs = write(twins, ids[:1], len(ids) - 1, 0.0)
    return np.array_equal(ours, ids[1:]), np.array_equal(theirs, ids[1:])


def by_heart(recipe: Recipe, hidden: int, seed: int) -> Heart:
    """Learn the sentence, and recite it after each pass."""
    vocabulary = Vocabulary.of(SENTENCE)
    ids = vocabulary.encode(SENTENCE)
    twins = char_rnns(seed, np.float64, len(vocabulary), hidden)
    chunks = -(-(len(ids) - 1) // recipe.steps)
    losses, right = [], []
    for step, pair in enumerate(read(twins, ids, recipe), 1):
        losses.append(pair)
        if step % chunks == 0:
            right.append(recite(twins, ids))
    per_pass = np.array(losses).reshape(recipe.passes, chunks, 2).sum(1) / (len(ids) - 1)
    since = [
        next((k for k in range(len(right), 0, -1) if not right[k - 1][side]), 0) + 1
        for side in (0, 1)
    ]
    learnt = tuple(k if k <= len(right) else None for k in since)
    return Heart(per_pass, (learnt[0], learnt[1]), parameters_apart(twins))


def parameters_apart(twins: Twins) -> float:
    """The most that a parameter differs, relative to the largest of its tensor."""
    theirs = twin.arrays(twins.theirs.state_dict())
    return max(apart(value, theirs[name]) for name, value in twins.ours.state_dict().items())


def reader(cell: str, size: int, hidden: int, split: Parts, recipe: Recipe, seed: int) -> Reader:
    """Read the training part and be judged on the others."""
    twins = char_rnns(seed, np.float32, size, hidden, cell=cell)
    losses = np.array(list(read(twins, split.train, recipe)))
    return Reader(twins, losses, bits(twins, split.validation), bits(twins, split.test))


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Learn the sentence, then the language.

    Args:
        out: folder for the figures.
        small: one start for the sentence, a twelfth of the text, narrower models, fewer steps.
        seed: of the first start.

    Returns:
        Bits per character, agreement, samples, with the claims about them.
    """
    outcome = Outcome("characters")
    heart = replace(HEART, passes=50) if small else HEART
    hearts = [by_heart(heart, 64, s) for s in range(seed, seed + (1 if small else 3))]
    guides = replace(HEART, options={"lr": 0.1, "eps": 1e-8})
    jumpy = [] if small else [by_heart(guides, 32, s) for s in range(seed, seed + 3)]
    text = python_reference(30_000 if small else None)
    vocabulary = Vocabulary.of(text)
    split = parts(vocabulary.encode(text))
    orders = range(3) if small else range(8)
    markov = [Markov.fit(split.train, split.validation, len(vocabulary), n) for n in orders]
    counted = [m.bits(split.test) for m in markov]
    hidden, recipe = (
        (48, replace(TEXT, columns=8, steps=25, passes=2, cycle=0.02)) if small else (192, TEXT)
    )
    readers = {cell: reader(cell, len(vocabulary), hidden, split, recipe, seed) for cell in COLOURS}
    long = char_rnns(seed, np.float64, len(vocabulary), 64, cell="LSTM")
    limit = 60 if small else LONG.limit
    path = np.array(list(read(long, split.train, replace(LONG, limit=limit))))
    written = samples(readers["LSTM"].twins, vocabulary, split, 200 if small else 3000, seed)
    real = known(vocabulary.decode(split.test), vocabulary.decode(split.train))

    _by_heart(outcome, hearts, jumpy)
    _models(outcome, readers, counted, small)
    _long(outcome, long, path)
    _samples(outcome, written, readers["LSTM"], small)
    _text(outcome, text, split, vocabulary, hearts, jumpy, readers, counted, markov, written)
    outcome.figures = [
        _draw_heart(out / "characters_by_heart.png", hearts, jumpy),
        _draw_models(out / "characters_models.png", readers, counted, hidden),
        _draw_samples(out / "characters_temperatures.png", written, readers["LSTM"].test[0], real),
    ]
    return outcome


@dataclass
class Written:
    """What was drawn at one temperature.

    Attributes:
        temperature: what the logits were divided by.
        text: from scratch.
        same: whether torch drew the same from the same weights and seed.
        surprise: bits per character of the text for the model itself, at temperature 1.
        known: share of its words that stand in the training part.
    """

    temperature: float
    text: str
    same: bool
    surprise: float
    known: float


def known(text: str, before: str) -> float:
    """The share of the words of a text that stand in another one."""
    words, read_words = text.split(), set(before.split())
    return sum(word in read_words for word in words) / len(words)


def samples(
    trained: Twins, vocabulary: Vocabulary, split: Parts, length: int, seed: int
) -> list[Written]:
    """Text at each temperature, from scratch's weights in both packages, in float64."""
    weights = trained.ours.state_dict()
    hidden = weights["head.weight"].shape[1]
    twins = char_rnns(0, np.float64, len(vocabulary), hidden, cell="LSTM")
    twins.ours.load_state_dict(weights)
    twins.theirs.load_state_dict(to_tensors(weights))
    prompt = vocabulary.encode("\n\nThe ")
    read_before = vocabulary.decode(split.train)
    found = []
    for temperature in TEMPERATURES:
        ours, theirs = write(twins, prompt, length, temperature, seed)
        text = vocabulary.decode(ours)
        surprise = bits(twins, np.concatenate([prompt, ours]))[0]
        same = np.array_equal(ours, theirs)
        found.append(Written(temperature, text, same, surprise, known(text, read_before)))
    return found


def _by_heart(outcome: Outcome, hearts: list[Heart], jumpy: list[Heart]) -> None:
    outcome.claim(
        f"the RNN knows the sentence by heart: from its first letter the likeliest next ones are "
        f"the 41 others, in both packages, from every start ({len(hearts)})",
        "from pass "
        + ", ".join(f"{h.learnt[0]}" for h in hearts)
        + f" of {len(hearts[0].losses)} on",
        all(h.learnt[0] is not None and h.learnt[0] == h.learnt[1] for h in hearts),
    )
    worst = max(h.apart for h in hearts)
    steps = len(hearts[0].losses) * 5
    outcome.claim(
        f"after {steps} steps of AdaGrad all parameters of both agree to rounding",
        f"{worst:.0e} apart at most",
        worst < 1e-11,
    )
    outcome.numbers["by heart"] = {
        "from pass": [h.learnt for h in hearts],
        "parameters apart": [h.apart for h in hearts],
        "nats per character in the last pass": [h.losses[-1].tolist() for h in hearts],
        "at the guide's rate": [
            {"from pass": h.learnt, "apart": h.apart, "last": h.losses[-1].tolist()} for h in jumpy
        ],
    }


def _models(
    outcome: Outcome, readers: dict[str, Reader], counted: list[float], small: bool
) -> None:
    rival = 1 if small else 3
    for cell, r in readers.items():
        outcome.claim(
            f"the {cell} needs fewer bits for a character of the held-out text than counting after "
            f"{rival} {'character' if rival == 1 else 'characters'} does, in both packages",
            f"{r.test[0]:.3f} in scratch, {r.test[1]:.3f} in torch; {counted[rival]:.3f}",
            max(r.test) < counted[rival] - 0.05,
        )
    if not small:
        best = int(np.argmin(counted))
        outcome.claim(
            f"and fewer than counting after any number of characters up to {len(counted) - 1}",
            f"best is {best}: {counted[best]:.3f}",
            max(max(r.test) for r in readers.values()) < counted[best] - 0.02,
        )
    early = {
        cell: float(np.max(np.abs(np.subtract(*r.losses[:20].T)) / r.losses[:20, 1]))
        for cell, r in readers.items()
    }
    outcome.claim(
        "the losses of the twins in float32 agree to its rounding in the first 20 steps",
        ", ".join(f"{cell} {e:.0e}" for cell, e in early.items()) + " apart at most",
        max(early.values()) < 1e-4,
    )
    ends = {cell: abs(r.test[0] - r.test[1]) for cell, r in readers.items()}
    outcome.claim(
        "rounding then leads them apart on their paths, not in what they reach",
        ", ".join(f"{cell} {e:.3f}" for cell, e in ends.items()) + " bits per character apart",
        max(ends.values()) < 0.06,
    )
    outcome.numbers["bits per character"] = {
        **{f"counted after {n}": b for n, b in enumerate(counted)},
        **{cell: {"validation": r.validation, "test": r.test} for cell, r in readers.items()},
    }


def _long(outcome: Outcome, twins: Twins, path: Array) -> None:
    drift = float(np.max(np.abs(np.subtract(*path.T)) / path[:, 1]))
    worst = parameters_apart(twins)
    outcome.claim(
        f"in float64 an LSTM's twins stay together for {len(path)} steps on the text",
        f"losses {drift:.0e}, parameters {worst:.0e} apart at most",
        drift < 1e-10 and worst < 1e-9,
    )
    outcome.numbers["float64 path"] = {"steps": len(path), "losses": drift, "parameters": worst}


def _samples(outcome: Outcome, written: list[Written], lstm: Reader, small: bool) -> None:
    outcome.claim(
        "from the same weights and the same seed both packages write the same text",
        f"{sum(len(w.text) for w in written):,} characters at {len(written)} temperatures",
        all(w.same for w in written),
    )
    surprises = [w.surprise for w in written]
    outcome.claim(
        "the hotter, the more surprising to the model itself",
        ", ".join(f"{w.temperature:g}: {w.surprise:.2f}" for w in written) + " bits per character",
        all(a < b for a, b in pairwise(surprises)),
    )
    if not small:
        outcome.claim(
            "and the fewer of its words stand in what it has read",
            ", ".join(f"{w.temperature:g}: {w.known:.0%}" for w in written),
            all(a.known > b.known for a, b in pairwise(written)),
        )
    outcome.numbers["samples"] = {
        f"{w.temperature:g}": {"bits per character": w.surprise, "known words": w.known}
        for w in written
    }


def _text(
    outcome: Outcome,
    text: str,
    split: Parts,
    vocabulary: Vocabulary,
    hearts: list[Heart],
    jumpy: list[Heart],
    readers: dict[str, Reader],
    counted: list[float],
    markov: list[Markov],
    written: list[Written],
) -> None:
    rows = [("64 units, rate 0.02", hearts), ("32 units, the guide's rate 0.1", jumpy)]
    lines = [f"the sentence, {len(hearts[0].losses)} passes:"]
    for name, runs in rows:
        for h in runs:
            known = "never" if h.learnt[0] is None else f"from pass {h.learnt[0]}"
            lines.append(
                f"  {name:31} known {known:14} {h.losses[-1, 0]:.3f} nats per character, "
                f"parameters {h.apart:.0e} apart"
            )
    lines += [
        "",
        f"the Python reference: {len(text):,} characters, {len(vocabulary)} different; "
        f"{len(split.train):,} to learn, {len(split.validation):,} to choose, "
        f"{len(split.test):,} to test on",
        "bits per character of the test part:",
        *(
            f"  counted after {n}  {b:.3f}   (discount {m.discounts[-1]:g})"
            for n, (b, m) in enumerate(zip(counted, markov, strict=True))
        ),
        *(f"  {cell:15}  {r.test[0]:.3f}, torch {r.test[1]:.3f}" for cell, r in readers.items()),
    ]
    for w in written:
        lines += ["", f"--- temperature {w.temperature:g}", w.text[:320]]
    outcome.text = "\n".join(lines)


def _draw_heart(path: Path, hearts: list[Heart], jumpy: list[Heart]) -> Path:
    with figure(path, 1, 1, (8, 4.6)) as (_, ax):
        for runs, colour, name in (
            (jumpy, "0.65", "32 units, the guide's rate 0.1"),
            (hearts, CLASSES[1], "64 units, rate 0.02"),
        ):
            for i, h in enumerate(runs):
                at = np.arange(1, len(h.losses) + 1)
                ax.semilogy(at, h.losses[:, 0], color=colour, lw=1.2, label=None if i else name)
                ax.semilogy(at[::10], h.losses[::10, 1], "o", mfc="none", mec=TORCH, ms=5, mew=0.8)
                if h.learnt[0]:
                    k = h.learnt[0]
                    ax.plot(k, h.losses[k - 1, 0], "*", color=colour, mec="0.2", mew=0.5, ms=12)
        ax.plot([], [], "o", mfc="none", mec=TORCH, ms=5, label="torch, every tenth pass")
        ax.plot(
            [], [], "*", color="w", mec="0.2", ms=12, label="from here on recited without fault"
        )
        ax.set(xlabel="pass through the sentence", ylabel="cross-entropy, nats per character")
        ax.set_title(f'"{SENTENCE}", learnt by heart')
        ax.legend(fontsize=8)
    return path


def _draw_models(path: Path, readers: dict[str, Reader], counted: list[float], hidden: int) -> Path:
    with figure(path, 1, 2, (13, 4.8)) as (fig, (loss, bars)):
        for cell, r in readers.items():
            width = max(len(r.losses) // 60, 1)
            whole = len(r.losses) // width * width
            means = r.losses[:whole].reshape(-1, width, 2).mean(1) / np.log(2)
            at = (np.arange(len(means)) + 0.5) * width
            loss.plot(at, means[:, 0], color=COLOURS[cell], label=f"{cell}, scratch")
            loss.plot(at[::2], means[::2, 1], "o", mfc="none", mec=TORCH, ms=4, mew=0.7)
        loss.plot([], [], "o", mfc="none", mec=TORCH, ms=4, label="torch")
        loss.set(
            xlabel="step",
            ylabel=f"training loss, bits per character, means of {width} steps",
            title=f"{hidden} units read the text {TEXT.passes} times",
        )
        loss.legend(fontsize=9)
        names = [str(n) for n in range(len(counted))] + list(readers)
        bars.bar(range(len(counted)), counted, color="0.75")
        for k, (cell, r) in enumerate(readers.items(), len(counted)):
            bars.bar(k - 0.2, r.test[0], 0.38, color=COLOURS[cell])
            name = "torch" if cell == "GRU" else None
            bars.bar(k + 0.2, r.test[1], 0.38, color="w", edgecolor=TORCH, label=name)
        values = [*counted, *(max(r.test) for r in readers.values())]
        for k, value in enumerate(values):
            bars.text(k, value + 0.03, f"{value:.2f}", ha="center", fontsize=9)
        bars.set_xticks(range(len(names)), names)
        bars.grid(axis="x", visible=False)
        bars.set_ylim(0, max(counted) * 1.08)
        bars.set(
            xlabel="counting after so many characters, and the networks",
            ylabel="bits per character",
            title="Held-out text: the networks beside counting",
        )
        bars.legend(fontsize=9)
        fig.suptitle("The Python reference, a character at a time")
    return path


def _draw_samples(path: Path, written: list[Written], bits_of_test: float, real: float) -> Path:
    at = [w.temperature for w in written]
    with figure(path, 1, 2, (10, 4)) as (fig, (surprise, known)):
        surprise.plot(at, [w.surprise for w in written], "o-", color=CLASSES[1])
        surprise.axhline(bits_of_test, color="0.4", lw=1, ls=":", label="held-out text")
        surprise.set(ylabel="bits per character at temperature 1")
        surprise.set_title("Its own text surprises it more")
        known.plot(at, [100 * w.known for w in written], "o-", color=CLASSES[0])
        known.axhline(100 * real, color="0.4", lw=1, ls=":", label="held-out text")
        known.set(ylabel="words that stand in the training part, %")
        known.set_title("Fewer of its words are real")
        for ax in (surprise, known):
            ax.set(xlabel="temperature", xticks=at, ylim=(0, None))
            ax.legend(fontsize=9)
        fig.suptitle(f"{len(written[0].text):,} characters from the LSTM at each temperature")
    return path
