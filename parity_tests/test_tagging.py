"""Tagged sentences, entities counted by definition, and taggers that must not read padding.

The sentences are synthetic: what the grammar promises (types told by neighbours, names that are
new) is looked for in what it draws. Entities are held against every span that there could be, and a
batch of sentences against each of them by itself.
"""

from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import scratch.training.metrics
import torch_ref.models
import torch_ref.training.metrics
from datasets.tagging import (
    KNOWN,
    NEW,
    NO_TAG,
    PAD,
    TAGS,
    UNK,
    Lexicon,
    TaggedSentences,
    tagged_sentences,
    tagging_arrays,
)
from scratch.check import Array
from scratch.models import BiLSTMCRF
from scratch.optim import SGD
from scratch.random import Generator

DRAWN = tagged_sentences(3000, 1, 0.2)
CRF_OR_NOT = pytest.mark.parametrize("crf", [True, False], ids=["CRF", "softmax"])


def tags_of(sentences: TaggedSentences) -> dict[str, set[str]]:
    """Every word with all its tags."""
    found: dict[str, set[str]] = {}
    for words, tags in zip(sentences.words, sentences.tags, strict=True):
        for word, tag in zip(words, tags, strict=True):
            found.setdefault(word, set()).add(TAGS[tag])
    return found


# The sentences


def test_tags_are_iob2() -> None:
    """I-X comes behind B-X or I-X only; every tag is there, and entities of up to four words."""
    assert len(DRAWN) == 3000
    longest = 0
    for words, tags in zip(DRAWN.words, DRAWN.tags, strict=True):
        assert len(words) == len(tags) >= 2
        run, names = 0, [TAGS[tag] for tag in tags]
        for before, tag in pairwise(["O", *names]):
            if tag[0] == "I":
                assert before[2:] == tag[2:]
            run = run + 1 if tag[0] == "I" else int(tag[0] == "B")
            longest = max(longest, run)
    assert {tag for tags in DRAWN.tags for tag in tags} == set(range(len(TAGS)))
    assert longest >= 4
    assert len({len(words) for words in DRAWN.words}) > 10


def test_words_have_the_tags_that_the_grammar_gives_them() -> None:
    tags = tags_of(DRAWN)
    assert tags["may"] >= {"O", "B-DATE", "I-DATE"}
    assert tags["march"] >= {"O", "B-DATE", "I-DATE"}
    assert tags["april"] >= {"B-PER", "B-DATE"}
    assert tags["and"] == {"O", "I-ORG"}
    assert tags["new"] >= {"O", "B-LOC", "I-ORG"}
    assert tags["bank"] == {"O", "B-ORG"}
    assert tags["of"] == {"O", "I-ORG"}
    assert tags["5"] == {"O", "B-DATE", "I-DATE"}
    assert tags["met"] == tags["people"] == {"O"}
    names = {f"{p}-{kind}" for p in "BI" for kind in ("PER", "LOC", "ORG")}
    assert tags[KNOWN[0]] == names  # the most frequent one is everything


def test_what_decides_stands_on_both_sides() -> None:
    """The same name with one word before it, or behind it, is of several types."""
    left: dict[tuple[str, str], set[str]] = {}
    right: dict[tuple[str, str], set[str]] = {}
    for words, tags in zip(DRAWN.words, DRAWN.tags, strict=True):
        for t, word in enumerate(words):
            if word in KNOWN[:5]:
                tag = TAGS[tags[t]]
                left.setdefault((words[t - 1] if t else "", word), set()).add(tag)
                right.setdefault((word, (*words, "")[t + 1]), set()).add(tag)
    assert left["", KNOWN[0]] >= {"B-PER", "B-LOC", "B-ORG"}
    assert right[KNOWN[0], ","] >= {"I-PER", "B-LOC", "I-LOC", "I-ORG"}
    assert left["mr", KNOWN[0]] == {"B-PER"}
    assert left["port", KNOWN[0]] == {"I-LOC"}
    assert right[KNOWN[0], "group"] <= {"B-ORG", "I-ORG"}


def test_new_names_are_new() -> None:
    train = {word for words in tagged_sentences(2000, 3).words for word in words}
    assert not train & set(NEW)
    assert len(set(KNOWN) & train) > 300
    names = [w for words in DRAWN.words for w in words if w in {*KNOWN, *NEW}]
    share = np.mean([w in set(NEW) for w in names])
    assert abs(share - 0.2) < 5 * np.sqrt(0.16 / len(names))
    assert len(set(KNOWN) | set(NEW)) == len(KNOWN) + len(NEW)
    everything = tagged_sentences(50, 3, 1.0)
    assert not {w for words in everything.words for w in words} & set(KNOWN)


def test_seeds() -> None:
    first, again, other = (tagged_sentences(20, seed) for seed in (4, 4, 5))
    assert first == again
    assert first != other
    assert tagged_sentences(8, 4).words == first.words[:8]
    assert len(tagged_sentences(0)) == 0


def test_lexicon_and_arrays() -> None:
    words = (("in", "varden", "met"), ("varden", "in"))
    sentences = TaggedSentences(words, ((0, 3, 0), (1, 0)))
    assert Lexicon.of(sentences).words == ("in", "varden")
    lexicon = Lexicon.of(sentences, 1)
    assert lexicon.words == ("in", "met", "varden") and len(lexicon) == 5
    assert lexicon.encode(["met", "nobody"]) == [3, UNK]
    ids, tags, lengths = tagging_arrays(sentences, Lexicon.of(sentences))
    assert ids.tolist() == [[2, 3, UNK], [3, 2, PAD]]
    assert tags.tolist() == [[0, 3, 0], [1, 0, NO_TAG]]
    assert lengths.tolist() == [3, 2]
    assert ids.dtype == tags.dtype == lengths.dtype == np.int64


# Entities


def spans(tags: list[str]) -> set[tuple[int, int, str]]:
    """Every span that is an entity, by the definition."""
    n = len(tags)
    found = set()
    for i, j, kind in product(range(n), range(1, n + 1), ("A", "B-A")):
        inner = i < j and all(tag == f"I-{kind}" for tag in tags[i + 1 : j])
        before = i and tags[i - 1] in (f"B-{kind}", f"I-{kind}")
        begins = tags[i] == f"B-{kind}" or (tags[i] == f"I-{kind}" and not before)
        if inner and begins and (j == n or tags[j] != f"I-{kind}"):
            found.add((i, j, kind))
    return found


ROWS = st.lists(
    st.lists(st.tuples(*[st.sampled_from(["O", "B-A", "I-A", "B-B-A", "I-B-A"])] * 2), max_size=8),
    max_size=4,
)


@given(ROWS)
def test_entities_are_the_spans_of_the_definition(rows: list[list[tuple[str, str]]]) -> None:
    """Both packages; one type's name has a hyphen."""
    output, target = ([[pair[side] for pair in row] for row in rows] for side in (0, 1))
    found = [spans(row) for row in output]
    wanted = [spans(row) for row in target]
    right = sum(len(a & b) for a, b in zip(found, wanted, strict=True))
    p = right / max(sum(map(len, found)), 1)
    r = right / max(sum(map(len, wanted)), 1)
    f = 2 * p * r / (p + r) if right else 0.0
    for module in (scratch.training.metrics, torch_ref.training.metrics):
        made: Any = module
        assert made.entity_scores(output, target) == pytest.approx((p, r, f), abs=1e-15)


def test_entities_are_no_words() -> None:
    """Half of an entity, or one of the wrong type, is wrong, however many words are right."""
    target = [["B-PER", "I-PER", "I-PER", "O", "B-LOC", "B-LOC", "I-LOC"]]
    for output, expected in (
        (["B-PER", "I-PER", "O", "O", "B-LOC", "B-LOC", "I-LOC"], (2 / 3, 2 / 3, 2 / 3)),
        (["B-ORG", "I-ORG", "I-ORG", "O", "B-LOC", "B-LOC", "I-LOC"], (2 / 3, 2 / 3, 2 / 3)),
        (["B-PER", "I-PER", "I-PER", "O", "B-LOC", "I-LOC", "I-LOC"], (1 / 2, 1 / 3, 0.4)),
        (["I-PER", "I-PER", "I-PER", "O", "I-LOC", "B-LOC", "I-LOC"], (1.0, 1.0, 1.0)),
        (["O"] * 7, (0.0, 0.0, 0.0)),
    ):
        for module in (scratch.training.metrics, torch_ref.training.metrics):
            made: Any = module
            assert made.entity_scores([output], target) == pytest.approx(expected)


@pytest.mark.parametrize(
    "arguments",
    [
        ([["O"]], [["O", "O"]]),
        ([["O"]], []),
        ([["O"]], ["O"]),
        (["O"], [["O"]]),
        ([["B"]], [["O"]]),
        ([["O"]], [["I-"]]),
        ([["o"]], [["O"]]),
        ([[0]], [["O"]]),
        (np.zeros((1, 1), int), [["O"]]),
    ],
)
def test_entities_refuse(arguments: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=r"^entity_scores: expected .*, got "):
        scratch.training.metrics.entity_scores(*arguments)


# The tagger


def tagger(crf: bool, **options: Any) -> BiLSTMCRF:
    """Nine tags, float64, no dropout."""
    sizes: dict[str, Any] = {"embedding_dim": 5, "hidden_size": 4, "dropout": 0.0}
    options = {**sizes, "dtype": np.float64, "generator": Generator(0), **options}
    return BiLSTMCRF(40, 9, crf=crf, **options)


def batch() -> tuple[Array, Array, Array]:
    """Six sentences of 1 to 7 words; behind their ends words and tags that do not exist."""
    rng = np.random.default_rng(0)
    lengths = np.array([3, 7, 1, 4, 7, 2])
    on = np.arange(7) < lengths[:, None]
    ids, tags = rng.integers(0, 40, on.shape), rng.integers(0, 9, on.shape)
    return np.where(on, ids, 1000), np.where(on, tags, NO_TAG), lengths


@CRF_OR_NOT
@pytest.mark.parametrize("layers", [1, 2])
def test_a_batch_is_its_sentences_one_by_one(crf: bool, layers: int) -> None:
    """Emissions, loss, gradients, best tags and marginals."""
    model = tagger(crf, num_layers=layers)
    ids, tags, lengths = batch()
    x, _ = model(ids, lengths)
    p = model.marginals(ids, lengths)
    paths = model.decode(ids, lengths)
    total, back = model.loss(ids, tags, lengths, "sum")
    back()
    together = {name: parameter.grad for name, parameter in model.named_parameters()}
    model.zero_grad()
    alone = 0.0
    for row, n in enumerate(lengths):
        one, truth = ids[row : row + 1, :n], tags[row : row + 1, :n]
        np.testing.assert_allclose(x[row, :n], model(one)[0][0], rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(p[row, :n], model.marginals(one)[0], rtol=1e-11, atol=1e-14)
        assert paths[row] == model.decode(one)[0] and len(paths[row]) == n
        assert not x[row, n:].any() and not p[row, n:].any()
        loss, loss_back = model.loss(one, truth, reduction="sum")
        loss_back()
        alone += float(loss)
    assert float(total) == pytest.approx(alone, rel=1e-13)
    np.testing.assert_allclose(p.sum(2), np.arange(7) < lengths[:, None], atol=1e-13)
    for name, parameter in model.named_parameters():
        gradient: Any = parameter.grad
        expected: Any = together[name]
        np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-13, err_msg=name)
    for reduction, count in (("mean", 6), ("token_mean", lengths.sum())):
        part, _ = model.loss(ids, tags, lengths, reduction)
        assert float(part) == pytest.approx(alone / count, rel=1e-13)


@CRF_OR_NOT
def test_padding_is_not_read(crf: bool) -> None:
    """Any words behind the ends, and more of them, in both packages."""
    model = tagger(crf)
    theirs = torch_ref.models.BiLSTMCRF(40, 9, 5, 4, dropout=0.0, crf=crf, dtype=torch.float64)
    theirs.load_state_dict({k: torch.from_numpy(v) for k, v in model.state_dict().items()})
    ids, tags, lengths = batch()
    wider = np.concatenate([np.where(ids == 1000, 7, ids), np.full((6, 2), -1)], axis=1)
    more = np.concatenate([tags, np.full((6, 2), 99)], axis=1)
    loss, back = model.loss(ids, tags, lengths)
    wide, wide_back = model.loss(wider, more, lengths)
    assert float(loss) == pytest.approx(float(wide), rel=1e-14)
    back()
    first = [p.grad.copy() for p in model.parameters() if isinstance(p.grad, np.ndarray)]
    model.zero_grad()
    wide_back()
    for parameter, gradient in zip(model.parameters(), first, strict=True):
        np.testing.assert_allclose(np.asarray(parameter.grad), gradient, rtol=1e-10, atol=1e-14)
    assert model.decode(ids, lengths) == model.decode(wider, lengths)
    words, truths, ends = (torch.from_numpy(a) for a in (wider, more, lengths))
    assert theirs.loss(words, truths, ends).item() == pytest.approx(float(loss), rel=1e-13)
    assert theirs.decode(words, ends) == model.decode(ids, lengths)


def test_softmax_is_a_crf_whose_scores_are_0() -> None:
    """Loss, best tags and marginals."""
    plain, field = tagger(False), tagger(True)
    zeros = {k: 0 * v for k, v in field.state_dict().items() if k.startswith("crf.")}
    field.load_state_dict({**plain.state_dict(), **zeros})
    ids, tags, lengths = batch()
    for reduction in ("sum", "mean", "token_mean"):
        losses = [float(m.loss(ids, tags, lengths, reduction)[0]) for m in (plain, field)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-13)
    assert plain.decode(ids, lengths) == field.decode(ids, lengths)
    p, q = (m.marginals(ids, lengths) for m in (plain, field))
    np.testing.assert_allclose(p, q, atol=1e-14)


def test_loss_and_best_tags_by_enumeration() -> None:
    """All 3^4 ways to tag a sentence."""
    rng = np.random.default_rng(1)
    model = BiLSTMCRF(9, 3, 4, 3, dropout=0.0, dtype=np.float64, generator=Generator(1))
    state = model.state_dict()
    model.load_state_dict({k: rng.normal(size=v.shape) for k, v in state.items()})
    ids = np.array([[3, 8, 0, 3]])
    x, _ = model(ids)
    start, end, between = (
        model.state_dict()[f"crf.{name}"]
        for name in ("start_transitions", "end_transitions", "transitions")
    )
    score = {
        z: start[z[0]]
        + end[z[-1]]
        + sum(x[0, t, k] for t, k in enumerate(z))
        + sum(between[a, b] for a, b in pairwise(z))
        for z in product(range(3), repeat=4)
    }
    total = np.log(np.sum(np.exp(list(score.values()))))
    best = max(score, key=lambda z: score[z])
    assert model.decode(ids) == [list(best)]
    loss, _ = model.loss(ids, np.array([best]))
    assert float(loss) == pytest.approx(total - score[best], rel=1e-12)
    p = model.marginals(ids)[0]
    for t, k in product(range(4), range(3)):
        share = sum(np.exp(s - total) for z, s in score.items() if z[t] == k)
        assert p[t, k] == pytest.approx(share, rel=1e-12)


@CRF_OR_NOT
def test_backward_refuses_weights_that_changed(crf: bool) -> None:
    model = tagger(crf)
    ids, tags, lengths = batch()
    _, backward = model.loss(ids, tags, lengths)
    backward()
    SGD(model.parameters(), lr=0.1).step()
    with pytest.raises(RuntimeError, match="run the forward again"):
        backward()


@CRF_OR_NOT
def test_float32_stays(crf: bool) -> None:
    model = tagger(crf, dtype=np.float32)
    ids, tags, lengths = batch()
    for reduction in ("sum", "mean", "token_mean"):
        loss, backward = model.loss(ids, tags, lengths, reduction)
        assert loss.dtype == np.float32 and loss.shape == ()
        backward(0.5)
    assert all(np.asarray(p.grad).dtype == np.float32 for p in model.parameters())
    assert model.marginals(ids, lengths).dtype == np.float32


def test_dropout_is_for_training_alone() -> None:
    model = tagger(True, dropout=0.5)
    ids, _, lengths = batch()
    assert np.any(model(ids, lengths)[0] != model(ids, lengths)[0])
    model.eval()
    assert np.array_equal(model(ids, lengths)[0], model(ids, lengths)[0])
