"""BERT reads a library's documentation, then learns from few examples what a text is about.

    texts       the docstrings of Python's standard library, as byte pairs
    pretrained  on hidden tokens and on whether the second half of a text is its own: BERT's two
                tasks, AdamW with warmup and linear decay, clipped at 1
    finetuned   to tell which of eight packages a text belongs to, from a few examples of each and
                from all; and the same network from its random start, with the same steps
    baseline    logistic regression on words weighed by tf-idf, of the same examples

The pretrained network goes to the classifiers by `save_pretrained` and `from_pretrained`, in either
package. Texts that the classifiers are judged on are not in what is read before. Guide: BERT and
sentiment, which it names [5527-5630, 6655]; it trains neither. Rates and sizes were chosen on texts
that are neither trained nor tested on.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

import scratch.models
import scratch.optim.clip
import torch_ref.models
from datasets.docstrings import TOPICS, standard_library, topic_texts
from datasets.masking import masked_words
from datasets.tokenizer import train_bpe
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, TORCH, figure
from parity_tests.experiments.twins import Twins, alike
from parity_tests.harness.draw import Array
from parity_tests.harness.twin import numpy as array_of
from scratch.nn import functional as F
from scratch.optim.lr_scheduler import LambdaLR

T = torch.nn.functional
SPECIAL = ("[PAD]", "[CLS]", "[SEP]", "[MASK]")
PAD, CLS, SEP, MASK = range(len(SPECIAL))
IGNORED = -100
HELD = 400  # texts to test on, and as many to choose by
FOLLOWS, RANDOM = 0, 1


@dataclass(frozen=True)
class Size:
    """How large everything is.

    Attributes:
        vocabulary: tokens.
        length: tokens of a sequence, at most.
        layers: of the network.
        width: of the network.
        heads: of the network.
        steps: of pretraining.
        rows: of its batches.
        rate: its highest learning rate.
        texts: that are read; None for all.
        few: examples of each topic.
        passes: through the few, and through all examples; the second is 0 for none.
        tuned: the highest rate of finetuning.
    """

    vocabulary: int
    length: int
    layers: int
    width: int
    heads: int
    steps: int
    rows: int
    rate: float
    texts: int | None
    few: int
    passes: tuple[int, int]
    tuned: float


FULL = Size(2000, 64, 3, 128, 4, 2000, 32, 1e-3, None, 20, (20, 6), 3e-4)
SMALL = Size(500, 24, 1, 48, 2, 120, 16, 3e-3, 1500, 10, (8, 0), 1e-3)
TUNED_ROWS = 16


@dataclass(frozen=True, eq=False)
class Batch:
    """Sequences of one length.

    Attributes:
        ids: (B, T).
        seen: (B, T), 1 where there is a token.
        segments: (B, T), 0 or 1.
    """

    ids: Array
    seen: Array
    segments: Array


def batch(pairs: list[tuple[list[int], list[int]]]) -> Batch:
    """[CLS] first [SEP] second [SEP] of each, padded; without a second, one [SEP]."""
    rows = [[CLS, *a, SEP, *b, *[SEP] * bool(b)] for a, b in pairs]
    shape = len(rows), max(map(len, rows))
    ids, seen, segments = np.full(shape, PAD), np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for i, (row, (a, _)) in enumerate(zip(rows, pairs, strict=True)):
        ids[i, : len(row)], seen[i, : len(row)] = row, 1
        segments[i, len(a) + 2 : len(row)] = 1
    return Batch(ids, seen, segments)


def halves(texts: list[list[int]], size: Size, rng: np.random.Generator) -> tuple[Batch, Array]:
    """Texts in two parts, the second of half of them another text's; and which."""
    room = (size.length - 3) // 2
    rows = rng.integers(0, len(texts), size.rows)
    others = rng.integers(0, len(texts), size.rows)
    label = rng.integers(0, 2, size.rows)
    pairs = []
    for row, other, kind in zip(rows, others, label, strict=True):
        text, source = texts[row], texts[other if kind == RANDOM else row]
        middle, cut = min(len(text) // 2, room), min(len(source) // 2, room)
        pairs.append((text[:middle], source[cut : cut + room]))
    return batch(pairs), label


def tensors(b: Batch) -> tuple[torch.Tensor, ...]:
    """The arguments of torch's models."""
    return tuple(map(torch.from_numpy, (b.ids, b.seen, b.segments)))


def warmed(optimizer: Any, kind: Any, steps: int) -> Any:
    """The rate rises for a tenth of the steps and falls to 0."""
    warm = max(1, steps // 10)
    return kind(optimizer, lambda k: min((k + 1) / warm, (steps - k) / max(1, steps - warm)))


class Both:
    """Optimizers and schedules of both models, for so many steps."""

    def __init__(self, twins: Twins, rate: float, steps: int) -> None:
        self.twins = twins
        options: dict[str, Any] = {"lr": rate, "weight_decay": 0.01}
        self.ours = scratch.optim.AdamW(twins.ours.parameters(), **options)
        self.theirs = torch.optim.AdamW(twins.theirs.parameters(), **options)
        self.schedules = (
            warmed(self.ours, LambdaLR, steps),
            warmed(self.theirs, torch.optim.lr_scheduler.LambdaLR, steps),
        )
        twins.ours.train()
        twins.theirs.train()

    def step(self) -> None:
        """Clip, step, and set the next rate, in both."""
        scratch.optim.clip.clip_grad_norm_(self.twins.ours.parameters(), 1.0)
        torch.nn.utils.clip_grad_norm_(self.twins.theirs.parameters(), 1.0)
        self.ours.step()
        self.theirs.step()
        for schedule in self.schedules:
            schedule.step()


def pretrain(
    twins: Twins, texts: list[list[int]], size: Size, seed: int
) -> Iterator[tuple[float, float]]:
    """Take one step in each, whenever the next pair of losses is asked for."""
    both, rng = Both(twins, size.rate, size.steps), np.random.default_rng(seed)
    model: Any = twins.ours
    for _ in range(size.steps):
        b, label = halves(texts, size, rng)
        ids, hidden = masked(b, size, rng)
        (words, follows), back = model(ids, b.seen, b.segments)
        words_loss, words_back = F.cross_entropy(words.reshape(hidden.size, -1), hidden.ravel())
        follows_loss, follows_back = F.cross_entropy(follows, label)
        both.ours.zero_grad()
        back(words_back().reshape(words.shape), follows_back())

        torch_words, torch_follows = twins.theirs(torch.from_numpy(ids), *tensors(b)[1:])
        loss = T.cross_entropy(torch_words.flatten(0, 1), torch.from_numpy(hidden).flatten())
        loss = loss + T.cross_entropy(torch_follows, torch.from_numpy(label))
        both.theirs.zero_grad()
        torch.autograd.backward(loss)
        both.step()
        yield float(words_loss + follows_loss), float(loss.detach())


def masked(b: Batch, size: Size, rng: np.random.Generator) -> tuple[Array, Array]:
    """The ids with some hidden, and what they were there, elsewhere what the loss ignores."""
    return masked_words(b.ids, size.vocabulary, MASK, rng, special=range(len(SPECIAL)))


def scores(twins: Twins, texts: list[list[int]], size: Size) -> list[dict[str, float]]:
    """Of each model, on texts not read: bits of a hidden token, guesses, halves told apart."""
    rng = np.random.default_rng(1)
    batches = [
        (b, *masked(b, size, rng), label)
        for b, label in (halves(texts, size, rng) for _ in range(20))
    ]
    found = []
    twins.ours.eval()
    twins.theirs.eval()
    for side in ("ours", "theirs"):
        nats, right, told, hidden_tokens, rows = 0.0, 0, 0, 0, 0
        for b, ids, hidden, label in batches:
            if side == "ours":
                words, follows = twins.ours(ids, b.seen, b.segments)[0]
            else:
                with torch.no_grad():
                    output = twins.theirs(torch.from_numpy(ids), *tensors(b)[1:])
                words, follows = map(array_of, output)
            at = hidden != IGNORED
            log_p, _ = F.log_softmax(words[at].astype(np.float64), -1)
            nats -= log_p[np.arange(len(log_p)), hidden[at]].sum()
            right += int((log_p.argmax(-1) == hidden[at]).sum())
            told += int((follows.argmax(-1) == label).sum())
            hidden_tokens, rows = hidden_tokens + len(log_p), rows + len(label)
        found.append(
            {
                "bits": nats / hidden_tokens / float(np.log(2)),
                "guessed": right / hidden_tokens,
                "told apart": told / rows,
            }
        )
    return found


def unigram(train: list[list[int]], texts: list[list[int]], size: Size) -> float:
    """Bits of a token for whoever knows how frequent each is."""
    counts = np.bincount(np.fromiter(chain(*train), int), minlength=size.vocabulary) + 1.0
    held = np.fromiter(chain(*texts), int)
    return float(-np.log2(counts[held] / counts.sum()).mean())


@dataclass(frozen=True, eq=False)
class Labelled:
    """Texts of known topics.

    Attributes:
        words: as they are.
        tokens: of each.
        topics: of each, (n,).
    """

    words: list[str]
    tokens: list[list[int]]
    topics: Array

    def take(self, rows: Array) -> "Labelled":
        """Some of them."""
        return Labelled(
            [self.words[i] for i in rows], [self.tokens[i] for i in rows], self.topics[rows]
        )


def finetune(
    twins: Twins, data: Labelled, size: Size, passes: int, seed: int
) -> list[tuple[float, float]]:
    """Learn the topics; the losses of each step."""
    rng = np.random.default_rng(seed)
    order = np.concatenate([rng.permutation(len(data.topics)) for _ in range(passes)])
    parts = [order[i : i + TUNED_ROWS] for i in range(0, len(order), TUNED_ROWS)]
    both, losses = Both(twins, size.tuned, len(parts)), []
    for rows in parts:
        b, topics = sequences([data.tokens[i] for i in rows], size), data.topics[rows]
        logits, back = twins.ours(b.ids, b.seen, b.segments)
        loss, loss_back = F.cross_entropy(logits, topics)
        both.ours.zero_grad()
        back(loss_back())
        torch_loss = T.cross_entropy(twins.theirs(*tensors(b)), torch.from_numpy(topics))
        both.theirs.zero_grad()
        torch.autograd.backward(torch_loss)
        both.step()
        losses.append((float(loss), float(torch_loss.detach())))
    return losses


def sequences(tokens: list[list[int]], size: Size) -> Batch:
    """Single texts, cut to fit."""
    return batch([(text[: size.length - 2], []) for text in tokens])


def accuracy(twins: Twins, data: Labelled, size: Size) -> tuple[float, float]:
    """Of both, in evaluation mode."""
    right = [0, 0]
    for start in range(0, len(data.topics), 50):
        b = sequences(data.tokens[start : start + 50], size)
        topics = data.topics[start : start + 50]
        ours, _ = twins.ours.eval()(b.ids, b.seen, b.segments)
        with torch.no_grad():
            theirs = array_of(twins.theirs.eval()(*tensors(b)))
        for side, logits in enumerate((ours, theirs)):
            right[side] += int((logits.argmax(-1) == topics).sum())
    return right[0] / len(data.topics), right[1] / len(data.topics)


def counted_words(train: Labelled, test: Labelled) -> float:
    """Accuracy of logistic regression on tf-idf."""
    words = TfidfVectorizer(sublinear_tf=True)
    model = LogisticRegression(C=30, max_iter=2000).fit(
        words.fit_transform(train.words), train.topics
    )
    return float(model.score(words.transform(test.words), test.topics))


@dataclass
class Tuned:
    """Classifiers from one set of examples.

    Attributes:
        examples: how many.
        pretrained: accuracy of both.
        fresh: the same from the random start.
        words: of the logistic regression.
        losses: of the pretrained ones (steps, 2).
        fresh_losses: of the others.
    """

    examples: int
    pretrained: tuple[float, float]
    fresh: tuple[float, float]
    words: float
    losses: Array
    fresh_losses: Array


def classifiers(directory: Path, fresh: bool, config: dict[str, Any], seed: int) -> Twins:
    """Both, the trunk from each package's file or from a random start; one start for the heads."""
    ours, theirs = scratch.models.BertClassifier, torch_ref.models.BertClassifier
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        start = theirs(torch_ref.models.bert.BertConfig(**config))
    made = alike(ours(scratch.models.bert.BertConfig(**config)), start)
    made.ours.to(np.float32)
    made.theirs.float()
    if fresh:
        return made
    heads = made.ours.state_dict(), made.theirs.state_dict()
    sides: tuple[Any, Any] = made.ours, made.theirs
    mine: Any = ours.from_pretrained(directory / "scratch", config=sides[0].config, strict=False)
    yours: Any = theirs.from_pretrained(directory / "torch", config=sides[1].config, strict=False)
    for model, head in zip((mine, yours), heads, strict=True):
        kept = {n: v for n, v in head.items() if not n.startswith("bert.")}
        model.load_state_dict({**model.state_dict(), **kept})
    return Twins(mine, yours)


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Pretrain, then finetune from few examples and from all, in both packages.

    Args:
        out: folder for the figures.
        small: a narrow network, fewer texts and steps, few examples only.
        seed: of starts, batches and examples.

    Returns:
        What was learned of hidden tokens, accuracies of the topics, with the claims about them.
    """
    outcome, size = Outcome("bert_topics"), SMALL if small else FULL
    words, topics = topic_texts()
    order = np.random.default_rng(0).permutation(len(words))
    judged = {words[i] for i in order[: 2 * HELD]}
    read = [text for text in standard_library().texts if text not in judged][: size.texts]
    tokenizer = train_bpe(read, size.vocabulary, SPECIAL)
    tokens = [tokenizer.encode(text).tolist() for text in words]
    labelled = Labelled(words, tokens, topics)
    test, train = labelled.take(order[:HELD]), labelled.take(order[2 * HELD :])
    texts = [tokenizer.encode(text).tolist() for text in read]

    config: dict[str, Any] = {
        **{"vocab_size": size.vocabulary, "hidden_size": size.width, "layer_norm_eps": 1e-12},
        **{"num_hidden_layers": size.layers, "num_attention_heads": size.heads},
        **{"intermediate_size": 2 * size.width, "max_position_embeddings": size.length},
        **{"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
    }
    twins = berts(config, seed)
    losses = np.array(list(pretrain(twins, texts, size, seed)))
    known = scores(twins, test.tokens, size)
    frequent = unigram(texts, test.tokens, size)
    rng = np.random.default_rng(seed)
    few = np.concatenate(
        [rng.permutation(np.flatnonzero(train.topics == k))[: size.few] for k in range(len(TOPICS))]
    )
    tuned = []
    with TemporaryDirectory() as folder:
        directory = Path(folder)
        for name, model in (("scratch", twins.ours), ("torch", twins.theirs)):
            kept: Any = model
            kept.save_pretrained(directory / name)
        for rows, passes in zip((few, np.arange(len(train.topics))), size.passes, strict=True):
            if passes:
                examples = train.take(rows)
                tuned.append(tell_apart(directory, examples, test, size, config, passes, seed))

    _claims(outcome, losses, known, frequent, tuned, small)
    _text(outcome, losses, known, frequent, tuned, len(texts))
    outcome.figures = [_draw(out / "bert_topics.png", losses, frequent, tuned)]
    return outcome


def berts(config: dict[str, Any], seed: int) -> Twins:
    """Both from torch's start at `seed`, in float32."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        theirs = torch_ref.models.BERT(torch_ref.models.bert.BertConfig(**config))
    twins = alike(scratch.models.BERT(scratch.models.bert.BertConfig(**config)), theirs)
    twins.ours.to(np.float32)
    twins.theirs.float()
    return twins


def tell_apart(
    directory: Path,
    train: Labelled,
    test: Labelled,
    size: Size,
    config: dict[str, Any],
    passes: int,
    seed: int,
) -> Tuned:
    """Classifiers from the pretrained network and from none, and the words alone."""
    config = {**config, "num_labels": len(TOPICS)}
    found = []
    for fresh in (False, True):
        twins = classifiers(directory, fresh, config, seed)
        losses = np.array(finetune(twins, train, size, passes, seed))
        found.append((accuracy(twins, test, size), losses))
    (pretrained, losses), (start, fresh_losses) = found
    words = counted_words(train, test)
    return Tuned(len(train.topics), pretrained, start, words, losses, fresh_losses)


def _claims(
    outcome: Outcome,
    losses: Array,
    known: list[dict[str, float]],
    frequent: float,
    tuned: list[Tuned],
    small: bool,
) -> None:
    early = float(np.max(np.abs(np.subtract(*losses[:20].T)) / losses[:20, 1]))
    outcome.claim(
        "the losses of the twins in float32 agree to its rounding in the first 20 steps",
        f"{early:.0e} apart at most",
        early < 1e-4,
    )
    bits = [k["bits"] for k in known]
    margin = -1.0 if small else 1.0
    outcome.claim(
        "a hidden token of a text not read costs fewer bits than its frequency says"
        if not small
        else "a hidden token of a text not read costs hardly more bits than its frequency says",
        f"{bits[0]:.2f} in scratch, {bits[1]:.2f} in torch; {frequent:.2f}",
        max(bits) < frequent - margin,
    )
    first = tuned[0]
    if not small:
        told = [k["told apart"] for k in known]
        outcome.claim(
            "it tells a text's own second half from another's",
            f"{told[0]:.1%} in scratch, {told[1]:.1%} in torch",
            min(told) > 0.6,
        )
        gains = [100 * (a - b) for a, b in zip(first.pretrained, first.fresh, strict=True)]
        outcome.claim(
            f"from {first.examples} examples the pretrained network learns more than the same from "
            f"a random start, in both packages",
            f"{gains[0]:+.1f} and {gains[1]:+.1f} points",
            min(gains) > 5,
        )
    apart = max(
        float(np.max(np.abs(np.subtract(*pair[:10].T)) / pair[:10, 1]))
        for t in tuned
        for pair in (t.losses, t.fresh_losses)
    )
    outcome.claim(
        "from the files that each package wrote, finetuning starts alike in both",
        f"losses of the first 10 steps {apart:.0e} apart at most",
        apart < 0.05,
    )


def _text(
    outcome: Outcome,
    losses: Array,
    known: list[dict[str, float]],
    frequent: float,
    tuned: list[Tuned],
    texts: int,
) -> None:
    outcome.numbers = {
        "hidden tokens": {
            **dict(zip(("scratch", "torch"), known, strict=True)),
            "unigram": frequent,
        },
        "topics": [
            {
                "examples": t.examples,
                "pretrained": t.pretrained,
                "fresh": t.fresh,
                "words": t.words,
            }
            for t in tuned
        ],
    }
    lines = [
        f"{len(losses):,} steps on {texts:,} docstrings; on texts not read:",
        f"  {'':10}bits of a hidden token   guessed   halves told apart",
        *(
            f"  {name:10}{k['bits']:15.2f}{k['guessed']:17.1%}{k['told apart']:16.1%}"
            for name, k in zip(("scratch", "torch"), known, strict=True)
        ),
        f"  {'frequency':10}{frequent:15.2f}",
        "",
        f"topics of {HELD} texts, accuracy (scratch, torch):",
        f"  {'examples':>8}{'pretrained':>18}{'random start':>18}{'words alone':>14}",
    ]
    for t in tuned:
        pairs = "".join(f"{f'{a:.1%}, {b:.1%}':>18}" for a, b in (t.pretrained, t.fresh))
        lines.append(f"  {t.examples:8}{pairs}{t.words:14.1%}")
    outcome.text = "\n".join(lines)


def _draw(path: Path, losses: Array, frequent: float, tuned: list[Tuned]) -> Path:
    with figure(path, 1, 2, (13, 4.8)) as (fig, (left, right)):
        width = max(len(losses) // 60, 1)
        means = losses[: len(losses) // width * width].reshape(-1, width, 2).mean(1)
        at = (np.arange(len(means)) + 0.5) * width
        left.plot(at, means[:, 0], color=CLASSES[0], label="scratch")
        left.plot(at[::2], means[::2, 1], "o", mfc="none", mec=TORCH, ms=4, mew=0.8, label="torch")
        chance = (frequent + 1) * np.log(2)
        left.axhline(chance, color="0.4", ls=":", lw=1, label="frequencies and a coin")
        left.set(xlabel="step", ylabel="loss, nats", title="Hidden tokens and second halves")
        left.set_ylim(0, None)
        left.legend(fontsize=9)
        for k, t in enumerate(tuned):
            groups = (
                ("pretrained", t.pretrained, CLASSES[0]),
                ("random start", t.fresh, CLASSES[1]),
            )
            for j, (name, pair, colour) in enumerate(groups):
                x = k + (j - 1) * 0.28
                right.bar(x - 0.06, 100 * pair[0], 0.12, color=colour, label=None if k else name)
                right.bar(x + 0.06, 100 * pair[1], 0.12, color="w", edgecolor=TORCH)
                right.text(x, 100 * max(pair) + 1, f"{100 * pair[0]:.0f}", ha="center", fontsize=9)
            right.bar(k + 0.28, 100 * t.words, 0.2, color="0.7", label=None if k else "words alone")
            right.text(k + 0.28, 100 * t.words + 1, f"{100 * t.words:.0f}", ha="center", fontsize=9)
        right.bar([0], [0], color="w", edgecolor=TORCH, label="torch")
        right.axhline(100 / len(TOPICS), color="0.4", ls=":", lw=1)
        right.set_xticks(range(len(tuned)), [f"{t.examples} examples" for t in tuned])
        right.grid(axis="x", visible=False)
        right.set(
            ylabel=f"{HELD} texts put in the right one of {len(TOPICS)} packages, %", ylim=(0, 100)
        )
        right.set_title("What reading before is worth")
        right.legend(fontsize=9)
        fig.suptitle("BERT on the documentation of Python's standard library")
    return path
