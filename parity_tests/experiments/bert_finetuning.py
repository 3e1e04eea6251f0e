"""BERT learns to guess hidden words, and then with few labels what a text is about.

    texts        what Python's standard library says of its modules, classes and functions
    pretraining  30% of the pieces are to be guessed; no second segment, as Liu et al. 2019 found
                 best; a trunk of two layers, byte-level pieces, AdamW, one cycle of the rate
    topics       of which of eight packages does a text speak?  20 labelled texts of each, or all
    against      the same network from a random start by the same recipe, and logistic regression
                 on weighted word counts (tf-idf), which reads whole texts and not their first 46
                 pieces alone

The test texts are in no training set, of words or of topics. Counting words beats all: 1.5 million
characters are little to learn a language from. Pretraining is worth three points where all labels
are given, and from twenty a topic it costs three: these steps do not undo what the first token, at
which no word is guessed, has learned to look at. A next-sentence task, tried in torch alone, taught
it the text (77% of pairs right) and made that worse (29% against 48%). Lengths and rates were
chosen with other splits of the same texts.

Sources: Devlin et al. 2019, arXiv:1810.04805; Liu et al. 2019, arXiv:1907.11692, table 2; the rate
of the hidden: Wettig et al. 2023, arXiv:2202.08005.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

import scratch.models
import torch_ref.models
from datasets.docstrings import TOPICS, library_docstrings
from datasets.masking import masked_words
from datasets.split import batch_stream
from datasets.tokenizer import Tokenizer, train_bpe
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, SCRATCH, THIRD, TORCH, figure
from parity_tests.experiments.twins import Twins, alike, apart
from parity_tests.harness.draw import Array
from parity_tests.harness.threads import equal_threads
from scratch.nn import functional as F

PAD, CLS, SEP, MASK = range(4)
SPECIAL = ("[PAD]", "[CLS]", "[SEP]", "[MASK]")
RATE = 0.3
HIDDEN = -100  # label of what is not to be guessed


@dataclass(frozen=True)
class Size:
    """How large everything is.

    Attributes:
        packages: whose texts are read; None for all.
        pieces: of the vocabulary.
        length: pieces of a window, [CLS] and [SEP] among them.
        width: of the trunk.
        layers: of the trunk.
        steps: of pretraining, of 32 windows each.
        rate: highest of pretraining.
        tests: texts to be judged on.
        epochs: of finetuning from few labels, and from all.
        starts: of finetuning.
    """

    packages: tuple[str, ...] | None
    pieces: int
    length: int
    width: int
    layers: int
    steps: int
    rate: float
    tests: int
    epochs: tuple[int, int]
    starts: int


FULL = Size(None, 1000, 48, 128, 2, 6000, 1.5e-3, 500, (30, 8), 3)
SMALL = Size(("http", "logging", "xml"), 300, 16, 32, 1, 60, 3e-3, 60, (3, 1), 1)
WINDOWS, ROWS, FEW = 32, 16, 20
FINE_RATE = 5e-4


class Corpus(NamedTuple):
    """Texts as numbers.

    Attributes:
        tokenizer: text to numbers.
        windows: to pretrain on (n, T), padded.
        held: windows of the test texts (m, T).
        texts: of the topics, training texts and then the test texts.
        ids: their first pieces (k, T).
        topics: their labels (k,).
        tests: how many of the texts are test texts.
    """

    tokenizer: Tokenizer
    windows: Array
    held: Array
    texts: list[str]
    ids: Array
    topics: Array
    tests: int


def corpus(size: Size, seed: int) -> Corpus:
    """All texts, parted: the words of the test texts are not learned either."""
    found = library_docstrings(size.packages)
    names = [t for t in TOPICS if size.packages is None or t in size.packages]
    rng = np.random.default_rng(seed)
    about = [found[i] for i in rng.permutation(len(found)) if found[i].package in names]
    about = [*about[size.tests :], *about[: size.tests]]
    tests = {text for _, text in about[-size.tests :]}
    seen = [text for _, text in found if text not in tests]
    tokenizer = train_bpe(seen, size.pieces, SPECIAL)
    windows = [window for text in seen for window in _windows(tokenizer.encode(text), size.length)]
    held = [window for text in tests for window in _windows(tokenizer.encode(text), size.length)]
    firsts = [next(_windows(tokenizer.encode(text), size.length)) for _, text in about]
    topics = np.array([names.index(package) for package, _ in about])
    texts = [text for _, text in about]
    return Corpus(
        tokenizer, np.stack(windows), np.stack(held), texts, np.stack(firsts), topics, size.tests
    )


def _windows(ids: Array, length: int) -> Iterator[Array]:
    """A text in pieces, each between [CLS] and [SEP]; a rest of less than nine is left out."""
    inner = length - 2
    for start in range(0, max(1, len(ids) - 8), inner):
        part = ids[start : start + inner]
        row = np.full(length, PAD)
        row[: len(part) + 2] = [CLS, *part, SEP]
        yield row


def config(packages: Any, size: Size, labels: int) -> Any:
    """The same network in the models of either package."""
    return packages.BertConfig(
        vocab_size=size.pieces,
        hidden_size=size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=4,
        intermediate_size=4 * size.width,
        max_position_embeddings=size.length,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        num_labels=labels,
    )


def berts(kind: str, size: Size, labels: int, seed: int) -> Twins:
    """Two networks with torch's start at `seed`, in float32."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        theirs = getattr(torch_ref.models, kind)(config(torch_ref.models, size, labels))
    pair = alike(getattr(scratch.models, kind)(config(scratch.models, size, labels)), theirs)
    pair.ours.to(np.float32)
    pair.theirs.float()
    return pair


# What is learned


def guess(model: Any, ids: Array, labels: Array) -> tuple[Array, Callable[..., None]]:
    """Cross-entropy of the hidden pieces, and its backward."""
    (logits, _), back = model(ids, ids != PAD)
    loss, loss_back = F.cross_entropy(logits.reshape(labels.size, -1), labels.ravel())
    return loss, lambda **_: back(loss_back().reshape(logits.shape), None)


def torch_guess(model: Any, ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The same in torch."""
    logits, _ = model(ids, ids != PAD)
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())


def name(model: Any, ids: Array, topics: Array) -> tuple[Array, Callable[..., None]]:
    """Cross-entropy of the topics, and its backward."""
    logits, back = model(ids, ids != PAD)
    loss, loss_back = F.cross_entropy(logits, topics)
    return loss, lambda **_: back(loss_back())


def torch_name(model: Any, ids: torch.Tensor, topics: torch.Tensor) -> torch.Tensor:
    """The same in torch."""
    return torch.nn.functional.cross_entropy(model(ids, ids != PAD), topics)


def cycle(rate: float, steps: int) -> Callable[[Any, Any], Any]:
    """One cycle of the rate, in either package."""
    return lambda package, adam: package.OneCycleLR(adam, rate, steps)


def pretrained(data: Corpus, size: Size, seed: int) -> tuple[Twins, Array]:
    """Guess hidden pieces; the networks, and nats a piece at each step (steps, 2)."""
    rng = np.random.default_rng(seed)
    hide = partial(hidden, size=size, rng=rng)
    rows = batch_stream(len(data.windows), WINDOWS, size.steps, seed)
    pair = berts("BERT", size, 2, seed)
    losses = pair.steps(
        "AdamW",
        {"lr": size.rate},
        (guess, torch_guess),
        (hide(data.windows[i]) for i in rows),
        schedule=cycle(size.rate, size.steps),
        clip=1.0,
    )
    return pair, np.array(list(losses))[..., 0]


def hidden(windows: Array, size: Size, rng: np.random.Generator) -> tuple[Array, Array]:
    """Windows to read and what is to be guessed of them."""
    special = (PAD, CLS, SEP)
    return masked_words(windows, size.pieces, MASK, rng, rate=RATE, special=special)


def bits(pair: Twins, data: Corpus, size: Size) -> tuple[float, float, float]:
    """Bits of a hidden piece of the test texts: ours, torch's, by the frequency of each piece."""
    ids, labels = hidden(data.held, size, np.random.default_rng(0))
    totals = np.zeros(2)
    models: tuple[Any, Any] = pair.ours.eval(), pair.theirs.eval()
    with torch.no_grad():
        for some in np.array_split(np.arange(len(ids)), max(1, len(ids) // 100)):
            mine, _ = guess(models[0], ids[some], labels[some])
            theirs = torch_guess(models[1], *map(torch.from_numpy, (ids[some], labels[some])))
            totals += np.array([mine, theirs]) * np.sum(labels[some] != HIDDEN)
    counts = np.bincount(data.windows.ravel(), minlength=size.pieces) + 1.0
    counts[[PAD, CLS, SEP, MASK]] = 0
    asked = labels[labels != HIDDEN]
    unigram = -np.log2(counts[asked] / counts.sum()).mean()
    ours, theirs = totals / len(asked) / math.log(2)
    return float(ours), float(theirs), float(unigram)


@dataclass(frozen=True)
class Fine:
    """One finetuning.

    Attributes:
        labels: how many labelled texts.
        known: whether from the pretrained trunk.
        start: its number.
        losses: of both at each step (steps, 2).
        right: share of the test texts (ours, theirs).
    """

    labels: int
    known: bool
    start: int
    losses: Array
    right: tuple[float, float]


def labelled(data: Corpus, few: bool, seed: int) -> Array:
    """Rows of training texts: of each topic as many, or all."""
    order = np.random.default_rng(seed).permutation(len(data.ids) - data.tests)
    if not few:
        return order
    return np.concatenate([order[data.topics[order] == k][:FEW] for k in np.unique(data.topics)])


def finetuned(
    data: Corpus, size: Size, trunk: Twins | None, few: bool, start: int, seed: int
) -> Fine:
    """Learn the topics from some labels; without a trunk from a random start."""
    seed = 1000 * seed + start
    rows = labelled(data, few, seed)
    classes = int(data.topics.max()) + 1
    pair = berts("BertClassifier", size, classes, seed)
    if trunk is not None:
        for target, source in ((pair.ours, trunk.ours), (pair.theirs, trunk.theirs)):
            learned: Any = source.state_dict()
            kept = {k: v for k, v in learned.items() if k.startswith("bert.") and "pool" not in k}
            module: Any = target
            module.load_state_dict({**module.state_dict(), **kept})
    steps = size.epochs[not few] * (len(rows) // ROWS)
    batches = (rows[i] for i in batch_stream(len(rows), ROWS, steps, seed))
    losses = pair.steps(
        "AdamW",
        {"lr": FINE_RATE},
        (name, torch_name),
        ((data.ids[i], data.topics[i]) for i in batches),
        schedule=cycle(FINE_RATE, steps),
        clip=1.0,
    )
    curve = np.array(list(losses))[..., 0]
    ids, topics = data.ids[-data.tests :], data.topics[-data.tests :]
    ours, _ = pair.ours.eval()(ids, ids != PAD)
    with torch.no_grad():
        read = torch.from_numpy(ids)
        theirs = pair.theirs.eval()(read, read != PAD).numpy()
    right = tuple(float(np.mean(z.argmax(1) == topics)) for z in (ours, theirs))
    return Fine(len(rows), trunk is not None, start, curve, (right[0], right[1]))


def counted(data: Corpus, few: bool, seed: int) -> float:
    """What logistic regression on tf-idf gets right of the test texts."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    rows = labelled(data, few, seed)
    weights = TfidfVectorizer(sublinear_tf=True)
    x = weights.fit_transform([data.texts[i] for i in rows])
    model = LogisticRegression(C=10, max_iter=1000).fit(x, data.topics[rows])
    unseen = weights.transform(data.texts[-data.tests :])
    return float(model.score(unseen, data.topics[-data.tests :]))


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Pretrain once, finetune from few and from all labels, from it and from random starts.

    Args:
        out: folder for the figure.
        small: three packages, a narrow layer, few steps: agreement only.
        seed: of texts, starts and batches.

    Returns:
        Bits of a hidden piece, shares of test texts, agreement.
    """
    outcome, size = Outcome("bert_finetuning"), SMALL if small else FULL
    with equal_threads(1):
        data = corpus(size, seed)
        trunk, losses = pretrained(data, size, seed)
        cost = bits(trunk, data, size)
        found = [
            finetuned(data, size, trunk if known else None, few, start, seed)
            for few in (True, False)
            for known in (True, False)
            for start in range(size.starts)
        ]
        words = [
            float(np.mean([counted(data, few, 1000 * seed + k) for k in range(size.starts)]))
            for few in (True, False)
        ]
    _claims(outcome, losses, cost, found, small)
    _table(outcome, data, size, losses, cost, found, words)
    outcome.figures = [_draw(out / "bert_finetuning.png", losses, cost, found, words)]
    return outcome


def shares(found: list[Fine], labels: int, known: bool) -> Array:
    """Of the test texts, by start and side (starts, 2)."""
    return np.array([f.right for f in found if f.labels == labels and f.known == known])


def _claims(
    outcome: Outcome,
    losses: Array,
    cost: tuple[float, float, float],
    found: list[Fine],
    small: bool,
) -> None:
    # What is finetuned from the pretrained networks starts as far apart as they ended.
    curves = [losses, *(f.losses for f in found if not f.known)]
    early = max(apart(*curve[:20].T) for curve in curves)
    outcome.claim(
        "from one start the losses of the twins in float32 agree to its rounding in the first 20 "
        "steps",
        f"{early:.0e} apart at most",
        early < 1e-4,
    )
    outcome.claim(
        "a hidden piece of an unseen text costs 3 bits less than by the frequencies of pieces, in "
        "both packages"
        if not small
        else "a hidden piece costs a bit less than if all pieces were alike, in both packages",
        f"{cost[0]:.2f} in scratch, {cost[1]:.2f} in torch; {cost[2]:.2f} by frequency",
        max(cost[:2]) < (math.log2(SMALL.pieces) - 1 if small else cost[2] - 3),
    )
    if small:
        return
    most = max(f.labels for f in found)
    known, random = (shares(found, most, k).mean(0) for k in (True, False))
    outcome.claim(
        f"from {most:,} labels the pretrained network gets more of the unseen texts right than the "
        "one from a random start, on average of the starts, in both packages",
        f"{known[0]:.1%} against {random[0]:.1%} in scratch, {known[1]:.1%} against "
        f"{random[1]:.1%} in torch",
        bool(np.all(known > random + 0.01)),
    )
    counts = sorted({f.labels for f in found})
    means = [shares(found, n, known).mean(0) for n in counts for known in (True, False)]
    ends = [abs(float(a - b)) for a, b in means]
    outcome.claim(
        "rounding leads the twins apart on their paths, not in what they reach on average",
        f"{max(ends):.1%} apart at most",
        max(ends) < 0.04,
    )


def _table(
    outcome: Outcome,
    data: Corpus,
    size: Size,
    losses: Array,
    cost: tuple[float, float, float],
    found: list[Fine],
    words: list[float],
) -> None:
    counts = sorted({f.labels for f in found})
    outcome.numbers = {
        "windows": len(data.windows),
        "pretraining steps": len(losses),
        "bits of a hidden piece: scratch, torch, by frequency": cost,
        "right": [
            {"labels": f.labels, "pretrained": f.known, "start": f.start, "right": f.right}
            for f in found
        ],
        "right by tf-idf": dict(zip(map(str, counts), words, strict=True)),
    }
    rows = [
        f"{len(data.windows):,} windows of {size.length} pieces; a hidden piece of an unseen text "
        f"costs {cost[0]:.2f} bits (torch {cost[1]:.2f}), {cost[2]:.2f} by frequency",
        f"right of {data.tests} unseen texts, mean of {size.starts}, scratch / torch",
    ]
    for n, counting in zip(counts, words, strict=True):
        known, random = (shares(found, n, k).mean(0) for k in (True, False))
        rows.append(
            f"{n:5} labels: pretrained {known[0]:.1%} / {known[1]:.1%}, random start "
            f"{random[0]:.1%} / {random[1]:.1%}, tf-idf {counting:.1%}"
        )
    outcome.text = "\n".join(rows)


def _draw(
    path: Path,
    losses: Array,
    cost: tuple[float, float, float],
    found: list[Fine],
    words: list[float],
) -> Path:
    counts = sorted({f.labels for f in found})
    with figure(path, 1, 2, (13, 4.8)) as (_, (curve, bars)):
        width = max(len(losses) // 100, 1)
        means = losses[: len(losses) // width * width].reshape(-1, width, 2).mean(1) / math.log(2)
        at = (np.arange(len(means)) + 0.5) * width
        curve.plot(at, means[:, 0], color=SCRATCH, label="scratch")
        curve.plot(at[::2], means[::2, 1], "o", mfc="none", mec=TORCH, ms=4, mew=0.7, label="torch")
        curve.axhline(cost[2], color="0.4", lw=0.9, ls=":", label="by the frequency of pieces")
        curve.set(xlabel="step", ylabel="bits of a hidden piece", title="Pretraining")
        curve.legend(fontsize=9)
        kinds = (("pretrained", True, CLASSES[0]), ("random start", False, CLASSES[2]))
        for i, n in enumerate(counts):
            for j, (label, known, colour) in enumerate(kinds):
                right = 100 * shares(found, n, known)
                where = i + 0.28 * (j - 1)
                bars.bar(where, right.mean(), 0.25, color=colour, label=None if i else label)
                bars.plot([where] * len(right), right[:, 0], ".", color=SCRATCH, ms=6)
                bars.plot(
                    [where] * len(right), right[:, 1], "o", mfc="none", mec="k", ms=6, mew=0.7
                )
            named = None if i else "tf-idf, logistic regression"
            bars.bar(i + 0.28, 100 * words[i], 0.25, color=THIRD, label=named)
        bars.plot([], [], ".", color=SCRATCH, label="a start in scratch")
        bars.plot([], [], "o", mfc="none", mec="k", ms=6, label="and in torch")
        bars.set_xticks(range(len(counts)), [f"{n:,} labelled texts" for n in counts])
        bars.set(ylabel="unseen texts right, %", title="Which package does a text speak of?")
        bars.legend(fontsize=9, loc="upper left")
        bars.set_ylim(0, 109)
    return path
