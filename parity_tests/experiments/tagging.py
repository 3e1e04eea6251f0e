"""Named entities: BiLSTM-CRF against the softmax tagger, and against each word's commonest tag.

    CRF       one score for the whole sentence of tags, by Viterbi: what follows what is learned
    softmax   the same network, the best tag of each word by itself
    lookup    the tag that a word had most often in training; that of rare words for new ones

The guide [6655-6755] names BiLSTM-CRF with "F1 scores >95% on news articles" and trains no tagger:
the sentiments that it shows are typed in. Here sentences come from a small grammar (made up,
`datasets.tagging`) in which names say nothing of their type, their neighbours do, and sometimes
nothing does; three names in ten of the held-out sentences were never seen. Both taggers are trained
in both packages, from the same start and on the same batches. F1 is over whole entities.

Sources: Huang, Xu & Yu 2015, arXiv:1508.01991; Lample et al. 2016, arXiv:1603.01360.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import scratch.models
import scratch.optim
import torch_ref.models
from datasets.split import batches, epoch_order
from datasets.tagging import (
    NAMES,
    TAGS,
    Lexicon,
    TaggedSentences,
    tagged_sentences,
    tagging_arrays,
)
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import SCRATCH, THIRD, TORCH, figure
from parity_tests.experiments.twins import Twins, alike, apart
from parity_tests.harness.draw import Array
from scratch.training.metrics import entity_scores
from torch_ref.training.metrics import entity_scores as torch_entity_scores

WIDTH, BATCH, RATE, UNSEEN = 32, 32, 0.01, 0.3
CRF, SOFTMAX = "CRF", "softmax"
SEVERAL = ("may", "march", "april", "june")
SCORES = entity_scores, torch_entity_scores
Rows = list[list[int]]


def allowed() -> Array:
    """Which tag may follow which, (K + 1, K); the last row is the start of a sentence."""
    before = [*TAGS, "O"]
    return np.array([[b[0] != "I" or b[2:] == a[2:] for b in TAGS] for a in before])


def violations(rows: Sequence[Sequence[int]]) -> int:
    """How often an I-X follows neither B-X nor I-X."""
    may = allowed()
    steps = (pair for row in rows for pair in zip([-1, *row], row, strict=False))
    return sum(not may[pair] for pair in steps)


def named(rows: Sequence[Sequence[int]]) -> list[list[str]]:
    """Tags by name."""
    return [[TAGS[tag] for tag in row] for row in rows]


@dataclass(frozen=True, eq=False)
class Text:
    """Sentences to learn from and held-out ones, as arrays and as they are.

    Attributes:
        lexicon: words of the training set.
        train: sentences.
        test: sentences, with names that are not in the training set.
        arrays: ids, tags and lengths of both.
    """

    lexicon: Lexicon
    train: TaggedSentences
    test: TaggedSentences
    arrays: tuple[tuple[Array, Array, Array], tuple[Array, Array, Array]]


def text(n: int, tests: int, seed: int) -> Text:
    """Draw both parts."""
    train = tagged_sentences(n, 2 * seed + 1)
    test = tagged_sentences(tests, 2 * seed + 2, UNSEEN)
    lexicon = Lexicon.of(train)
    parts = tagging_arrays(train, lexicon), tagging_arrays(test, lexicon)
    return Text(lexicon, train, test, parts)


@dataclass
class Trained:
    """Twins after training; each pair is scratch's and torch's.

    Attributes:
        twins: the models.
        losses: of each batch.
        f1: of the held-out entities, after each epoch.
        broken: forbidden steps in the held-out tags, after each epoch.
        tags: decoded at the end.
        scores: precision, recall and F1 at the end.
        marginals: probabilities of the held-out words' tags.
    """

    twins: Twins
    losses: list[tuple[float, float]]
    f1: list[tuple[float, float]]
    broken: list[tuple[int, int]]
    tags: tuple[Rows, Rows]
    scores: tuple[tuple[float, float, float], tuple[float, float, float]]
    marginals: tuple[Array, Array]

    @property
    def drift(self) -> float:
        """How far losses and marginals are apart, relative to the largest."""
        return max(apart(*zip(*self.losses, strict=True)), apart(*self.marginals))


def trained(data: Text, crf: bool, epochs: int, seed: int) -> Trained:
    """Train both by Adam, and tag sentences that neither has seen.

    Args:
        data: sentences.
        crf: which tagger.
        epochs: passes over the training set.
        seed: of start and order.
    """
    sizes: dict[str, Any] = {"embedding_dim": WIDTH, "hidden_size": WIDTH, "dropout": 0.0}
    sizes |= {"vocabulary": len(data.lexicon), "num_tags": len(TAGS), "crf": crf}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = torch_ref.models.BiLSTMCRF(**sizes)
    pair = alike(scratch.models.BiLSTMCRF(**sizes), made)
    mine: Any = pair.ours
    yours: Any = pair.theirs
    ours = scratch.optim.Adam(mine.parameters(), lr=RATE)
    theirs = torch.optim.Adam(yours.parameters(), lr=RATE)
    (ids, tags, lengths), (words, _, ends) = data.arrays
    gold = named(data.test.tags)
    held = torch.from_numpy(words), torch.from_numpy(ends)
    losses, f1, broken = [], [], []
    for epoch in range(epochs):
        for rows in batches(epoch_order(len(ids), seed, epoch), BATCH):
            steps = lengths[rows].max()
            batch = ids[rows, :steps], tags[rows, :steps], lengths[rows]
            loss, back = mine.loss(*batch)
            ours.zero_grad()
            back()
            ours.step()
            torch_loss = yours.loss(*map(torch.from_numpy, batch))
            theirs.zero_grad()
            torch_loss.backward()
            theirs.step()
            losses.append((float(loss), torch_loss.item()))
        found = mine.decode(words, ends), yours.decode(*held)
        scores = (
            entity_scores(named(found[0]), gold),
            torch_entity_scores(named(found[1]), gold),
        )
        f1.append((scores[0][2], scores[1][2]))
        broken.append((violations(found[0]), violations(found[1])))
    p = mine.marginals(words, ends), yours.marginals(*held).numpy()
    return Trained(pair, losses, f1, broken, found, scores, p)


def lookup(data: Text) -> Rows:
    """Each word's commonest tag in training; of new words that of the rare ones."""
    (ids, tags, _), (words, _, ends) = data.arrays
    counts = np.zeros((len(data.lexicon), len(TAGS)), int)
    on = tags >= 0
    np.add.at(counts, (ids[on], tags[on]), 1)
    best = counts.argmax(1)
    return [best[row[:n]].tolist() for row, n in zip(words, ends, strict=True)]


def forbidding(twins: Twins, data: Text) -> tuple[Rows, Rows]:
    """Decoded again with what may not follow at -inf; the models are left as they were."""
    _, (words, _, ends) = data.arrays
    mine: Any = twins.ours
    yours: Any = twins.theirs
    may = allowed()
    state = mine.state_dict()
    barred = {
        "crf.transitions": np.where(may[:-1], state["crf.transitions"], -np.inf),
        "crf.start_transitions": np.where(may[-1], state["crf.start_transitions"], -np.inf),
    }
    for values in ({**state, **barred}, state):
        mine.load_state_dict(values)
        yours.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in values.items()})
        if values is not state:
            held = torch.from_numpy(words), torch.from_numpy(ends)
            found = mine.decode(words, ends), yours.decode(*held)
    return found


def hits(rows: Rows, data: Text) -> float:
    """Share of the words of SEVERAL that are tagged right."""
    right = [
        tag == truth
        for words, tags, truths in zip(data.test.words, rows, data.test.tags, strict=True)
        for word, tag, truth in zip(words, tags, truths, strict=True)
        if word in SEVERAL
    ]
    return float(np.mean(right))


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Train both taggers in both packages, compare them with each other and with a lookup.

    Args:
        out: folder for the figures.
        small: fewer sentences and epochs.
        seed: of the sentences, the start and the order.

    Returns:
        F1 and forbidden steps, with the claims about them.
    """
    outcome = Outcome("tagging")
    data = text(800, 200, seed) if small else text(1500, 1000, seed)
    epochs = 5 if small else 10
    found = {
        CRF: trained(data, True, epochs, seed),
        SOFTMAX: trained(data, False, epochs, seed),
    }
    table = lookup(data)
    base = entity_scores(named(table), named(data.test.tags))
    _agree(outcome, found)
    _against(outcome, found, base, table, data)
    _steps(outcome, found, data)
    _table(outcome, found, base, data)
    for name, draw in (("", _draw), ("_transitions", _draw_transitions)):
        path = out / f"tagging{name}.png"
        draw(path, found, base[2])
        outcome.figures.append(path)
    path = out / "tagging_sentence.png"
    _draw_sentence(path, found, data)
    outcome.figures.append(path)
    return outcome


def _agree(outcome: Outcome, found: dict[str, Trained]) -> None:
    """Both packages."""
    drift = max(t.drift for t in found.values())
    same = sum(t.tags[0] == t.tags[1] for t in found.values())
    steps = len(found[CRF].losses)
    outcome.claim(
        "losses and held-out marginals of both twins agree for both taggers, and so do all tags",
        f"{steps} steps each: {drift:.0e} apart; the same tags in {same} of {len(found)}",
        drift < 1e-10 and same == len(found),
    )


def _against(
    outcome: Outcome,
    found: dict[str, Trained],
    base: tuple[float, float, float],
    table: Rows,
    data: Text,
) -> None:
    """Both taggers and the lookup."""
    f1 = {name: [s[2] for s in t.scores] for name, t in found.items()}
    outcome.claim(
        "BiLSTM-CRF finds over nine in ten of the entities, where the commonest tag of each word "
        "finds less than one in two",
        f"F1 {min(f1[CRF]):.3f}, lookup {base[2]:.3f}; of the names {unknown(data):.0%} are <unk>",
        min(f1[CRF]) > 0.9 and max(base) < 0.5,
    )
    late = {name: float(np.mean([pair[0] for pair in t.f1])) for name, t in found.items()}
    outcome.claim(
        "it learns faster than the softmax tagger, and is no worse at the end",
        f"F1 {f1[CRF][0]:.3f} and {f1[SOFTMAX][0]:.3f}, {late[CRF]:.3f} and {late[SOFTMAX]:.3f} in "
        "the mean over the epochs",
        late[CRF] > late[SOFTMAX] + 0.01 and min(f1[CRF]) > max(f1[SOFTMAX]) - 0.005,
    )
    right = {name: hits(t.tags[0], data) for name, t in found.items()}
    looked = hits(table, data)
    outcome.claim(
        f"{', '.join(SEVERAL)}: months, verbs or first names are told from what is around them",
        f"{right[CRF]:.1%} right; by the commonest tag of each {looked:.1%}",
        right[CRF] > 0.95 and looked < 0.8,
    )


def _steps(outcome: Outcome, found: dict[str, Trained], data: Text) -> None:
    """What may not follow what."""
    late = {name: t.broken[len(t.broken) // 2 :] for name, t in found.items()}
    broken = {name: np.sum(pairs, axis=0).tolist() for name, pairs in late.items()}
    outcome.claim(
        "the softmax tagger begins entities with I-X, or goes on with another type; the CRF does "
        "so less than half as often, counted after each epoch of the second half",
        f"{broken[SOFTMAX][0]} times and {broken[CRF][0]} in {len(late[CRF])} x {len(data.test)} "
        "sentences",
        2 * max(broken[CRF]) < min(broken[SOFTMAX]),
    )
    strict = forbidding(found[CRF].twins, data)
    f1 = [s(named(r), named(data.test.tags))[2] for s, r in zip(SCORES, strict, strict=True)]
    outcome.claim(
        "with such steps at -inf in the decoding the CRF takes none, at no cost",
        f"{violations(strict[0])} times, F1 {f1[0]:.3f}, before {found[CRF].scores[0][2]:.3f}",
        strict[0] == strict[1]
        and violations(strict[0]) == 0
        and f1[0] > found[CRF].scores[0][2] - 0.003,
    )
    outcome.numbers |= {"forbidden steps": broken, "F1 with them at -inf": f1}
    between = found[CRF].twins.ours.state_dict()["crf.transitions"]
    may = allowed()[:-1]
    best = all(
        set(between[:, i].argsort()[-2:]) == set(np.flatnonzero(may[:, i]))
        for i in np.flatnonzero([tag[0] == "I" for tag in TAGS])
    )
    outcome.claim(
        "nobody told it: B-X and I-X score highest before I-X, for each of the four types",
        f"forbidden steps score {between[~may].mean():.2f}, allowed ones into I-X "
        f"{between[:, 2::2][may[:, 2::2]].mean():.2f}, in the mean",
        best,
    )


def _table(
    outcome: Outcome, found: dict[str, Trained], base: tuple[float, float, float], data: Text
) -> None:
    """All numbers."""
    rows = {"lookup": base} | {f"BiLSTM, {name}": t.scores[0] for name, t in found.items()}
    head = f"{'':16}{'precision':>10}{'recall':>10}{'F1':>10}"
    body = [f"{name:16}" + "".join(f"{v:10.3f}" for v in s) for name, s in rows.items()]
    outcome.text = "\n".join([head, *body])
    outcome.numbers |= {
        "scores": rows,
        "f1": {name: t.f1 for name, t in found.items()},
        "broken": {name: t.broken for name, t in found.items()},
        "drift": {name: t.drift for name, t in found.items()},
        "sentences": [len(data.train), len(data.test)],
    }


def unknown(data: Text) -> float:
    """Share of the held-out names that the lexicon does not have, new ones and rare ones."""
    held, listed = set(NAMES), set(data.lexicon.words)
    found = [word not in listed for words in data.test.words for word in words if word in held]
    return float(np.mean(found))


def _draw(path: Path, found: dict[str, Trained], base: float) -> None:
    """F1 and forbidden steps over the epochs."""
    with figure(path, 1, 2, size=(10, 3.8)) as (_, (left, right)):
        for name, color in ((CRF, SCRATCH), (SOFTMAX, TORCH)):
            for axes, pairs in ((left, found[name].f1), (right, found[name].broken)):
                ours, theirs = np.array(pairs).T
                epochs = np.arange(1, len(ours) + 1)
                axes.plot(epochs, ours, color=color, label=f"BiLSTM, {name}")
                axes.plot(epochs, theirs, "o", color=color, mfc="none", label="the same in torch")
        left.axhline(base, color=THIRD, ls="--", label="commonest tag of each word")
        left.set_ylim(0, 1)
        left.set_xlabel("epoch")
        left.set_ylabel("F1 of held-out entities")
        left.legend(fontsize=8, loc="lower right", bbox_to_anchor=(1, 0.28))
        left.set_title("who sees the neighbours finds the entities")
        right.set_yscale("symlog", linthresh=10)
        right.set_ylim(bottom=0)
        right.set_xlabel("epoch")
        right.set_ylabel("forbidden steps")
        right.legend(fontsize=8)
        right.set_title("the CRF seldom does what IOB2 forbids")


def _draw_transitions(path: Path, found: dict[str, Trained], _: float) -> None:
    """Scores that the CRF learned."""
    state = found[CRF].twins.ours.state_dict()
    scores = np.concatenate([state["crf.start_transitions"][None], state["crf.transitions"]])
    may = np.concatenate([allowed()[-1:], allowed()[:-1]])
    with figure(path, size=(7, 5.6)) as (fig, axes):
        top = np.abs(scores).max()
        image = axes.imshow(scores, cmap="RdBu_r", vmin=-top, vmax=top)
        for i, j in np.argwhere(~may):
            axes.text(j, i, "x", ha="center", va="center", color="0.2")
        axes.set_xticks(range(len(TAGS)), TAGS, rotation=45)
        axes.set_yticks(range(len(TAGS) + 1), ["start", *TAGS])
        axes.grid(visible=False)
        axes.set_xlabel("to")
        axes.set_ylabel("from")
        fig.colorbar(image, ax=axes, label="learned score (log of a weight)")
        axes.set_title("learned transitions; x: forbidden in IOB2")


def _draw_sentence(path: Path, found: dict[str, Trained], data: Text) -> None:
    """A sentence in which the softmax tagger breaks the rules and the CRF does not."""
    wrong = [
        i
        for i, (a, b) in enumerate(zip(found[CRF].tags[0], found[SOFTMAX].tags[0], strict=True))
        if violations([b]) and not violations([a])
    ]
    row = min(wrong, key=lambda i: abs(len(data.test.words[i]) - 10), default=0)
    words, truth = data.test.words[row], data.test.tags[row]
    shown = [w if w in data.lexicon.words else f"{w} (unk)" for w in words]
    with figure(path, 1, 2, size=(11, 4.4), sharey=True) as (fig, panels):
        for axes, name in zip(panels, (CRF, SOFTMAX), strict=True):
            p = found[name].marginals[0][row, : len(words)]
            image = axes.imshow(p.T, cmap="Greys", vmin=0, vmax=1, aspect="auto")
            axes.plot(truth, "s", ms=15, mfc="none", mec=THIRD, mew=2, label="true")
            axes.plot(found[name].tags[0][row], "o", color=SCRATCH, ms=6, label="decoded")
            axes.set_xticks(range(len(words)), shown, rotation=45, ha="right")
            axes.set_yticks(range(len(TAGS)), TAGS)
            axes.grid(visible=False)
            axes.set_title(f"BiLSTM, {name}: {violations([found[name].tags[0][row]])} forbidden")
            axes.set_xlabel("word")
        panels[0].set_ylabel("tag")
        handles, labels = panels[0].get_legend_handles_labels()
        fig.legend(handles, labels, loc="outside lower center", ncols=2, markerscale=0.6)
        fig.colorbar(image, ax=panels, label="probability of the tag, given the sentence")
