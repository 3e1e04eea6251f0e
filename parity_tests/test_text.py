"""Text: the corpora, their numbers and batches, counting as a baseline, drawing from a model."""

import hashlib
import http.server
import inspect
import json
import logging
import math
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import scratch.models
import torch_ref.models
from datasets import docstrings, download, markov, text
from datasets.download import File
from datasets.markov import Markov
from datasets.text import Parts, Vocabulary
from parity_tests.experiments.reading import char_rnns
from parity_tests.harness.draw import Array
from parity_tests.harness.entry import unchecked
from scratch.models.char_rnn import draw, generate
from scratch.random import Generator
from torch_ref.models.char_rnn import draw as torch_draw
from torch_ref.models.char_rnn import generate as torch_generate

RNG = np.random.default_rng(0)


# Corpora


def test_the_sentence() -> None:
    assert len(text.SENTENCE) == 42 and len(set(text.SENTENCE)) == 15


def test_the_reference_is_long_and_the_same_each_time() -> None:
    found = text.python_reference()
    assert len(found) > 250_000 and found == text.python_reference()
    assert text.python_reference(1000) == found[:1000]
    assert '"assert"' in found[:200]  # topics come sorted
    assert "\n\n\n\n" not in found and found.endswith("\n") and not found.endswith("\n\n")


def test_no_paragraph_of_the_reference_is_there_twice() -> None:
    """What the last tenth shares with the rest is the rulings of tables."""
    paragraphs = text.python_reference().split("\n\n")
    counts = Counter(" ".join(p.split()) for p in paragraphs if p.strip())
    assert max(counts.values()) == 1
    found = text.python_reference()
    cut, run = int(0.9 * len(found)), 40
    before = {found[i : i + run] for i in range(cut - run)}
    late = [found[i : i + run] for i in range(cut, len(found) - run)]
    words = [w for w in late if sum(c.isalpha() for c in w) > run // 2]
    assert sum(w in before for w in words) < 0.01 * len(words)


def test_docstrings_are_those_of_the_objects() -> None:
    found = docstrings.library_docstrings(["json", "logging"])
    assert found == docstrings.library_docstrings(["logging", "json"])
    texts = [words for _, words in found]
    assert len(set(texts)) == len(texts) and {package for package, _ in found} == {
        "json",
        "logging",
    }
    for thing in (json, json.dumps, json.JSONDecoder, logging.Logger.setLevel):
        (there,) = [d for d in found if d.text == " ".join((inspect.getdoc(thing) or "").split())]
        assert there.package == (inspect.getmodule(thing) or json).__name__.partition(".")[0]


def test_every_topic_has_texts() -> None:
    counts = Counter(package for package, _ in docstrings.library_docstrings(docstrings.TOPICS))
    assert counts.keys() == set(docstrings.TOPICS) and min(counts.values()) > 100


def test_paragraphs_are_kept_where_they_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    topics = {
        "b": "Two\n\n   one  more\n\nthree\n",
        "a": "\nOne\n\none more\n",
        "c": "one\nmore\n\n",
    }
    monkeypatch.setattr("pydoc_data.topics.topics", topics)
    assert text.python_reference() == "One\n\none more\n\nTwo\n\nthree\n"


def test_shakespeare_is_downloaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pooch")
    play = b"First Citizen:\nSpeak, speak.\n"

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(play)

        def log_message(self, *args: Any) -> None:
            pass

    asked: list[str] = []
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv(download.VARIABLE, str(tmp_path))
    url = f"http://127.0.0.1:{server.server_port}/input.txt"
    try:
        monkeypatch.setitem(text.FILES, "tiny_shakespeare", (File("input.txt", url, "0" * 64),))
        with pytest.raises(ValueError, match=r"^tiny_shakespeare: expected .* SHA-256"):
            text.tiny_shakespeare()
        right = File("input.txt", url, hashlib.sha256(play).hexdigest())
        monkeypatch.setitem(text.FILES, "tiny_shakespeare", (right,))
        assert text.tiny_shakespeare() == text.tiny_shakespeare() == play.decode()
        assert len(asked) == 2
    finally:
        server.shutdown()
        server.server_close()


# Numbers, parts, batches


def test_vocabulary() -> None:
    vocabulary = Vocabulary.of("hello\n…é𝄞")
    assert vocabulary.characters == "\nehloé…𝄞" and len(vocabulary) == 8
    ids = vocabulary.encode("hole\n𝄞…")
    assert ids.dtype == np.int64 and ids.tolist() == [2, 4, 3, 1, 0, 7, 6]
    assert vocabulary.decode(ids) == "hole\n𝄞…"
    assert vocabulary.encode("").shape == (0,) and vocabulary.decode(ids[:0]) == ""
    found = text.python_reference(20_000)
    assert Vocabulary.of(found).decode(Vocabulary.of(found).encode(found)) == found


def test_parts_keep_the_order() -> None:
    ids = np.arange(101)
    split = text.parts(ids, 0.2, 0.3)
    assert np.array_equal(np.concatenate(split), ids)
    assert [len(part) for part in split] == [50, 20, 31]
    assert [len(part) for part in text.parts(ids)] == [80, 10, 11]


@pytest.mark.parametrize(
    ("n", "batch", "steps"), [(101, 4, 7), (50, 1, 10), (23, 5, 100), (3, 2, 1)]
)
def test_batches_go_on_where_the_last_one_stopped(n: int, batch: int, steps: int) -> None:
    pairs = list(text.streams(np.arange(n), batch, steps))
    rows = (n - 1) // batch
    assert [len(x) for x, _ in pairs] == [
        *[steps] * (rows // steps),
        *[rows % steps] * (rows % steps > 0),
    ]
    x, t = (np.concatenate(side) for side in zip(*pairs, strict=True))
    assert x.shape == t.shape == (rows, batch)
    assert np.array_equal(t, x + 1)  # the text counts up
    assert (np.diff(x, axis=0) == 1).all()
    assert np.array_equal(x.T.ravel(), np.arange(rows * batch))  # columns follow each other


REFUSED: dict[str, Callable[[], Any]] = {
    "python_reference": lambda: text.python_reference(0),
    "python_reference ": lambda: text.python_reference(10**9),
    "python_reference  ": lambda: text.python_reference(unchecked(2.5)),
    "Vocabulary": lambda: Vocabulary("ba"),
    "Vocabulary ": lambda: Vocabulary("aa"),
    "Vocabulary  ": lambda: Vocabulary(""),
    "Vocabulary   ": lambda: Vocabulary(unchecked(["a"])),
    "Vocabulary.of": lambda: Vocabulary.of(unchecked(b"a")),
    "Vocabulary.encode": lambda: Vocabulary("ab").encode("abcd"),
    "Vocabulary.encode ": lambda: Vocabulary("ab").encode(unchecked(3)),
    "Vocabulary.decode": lambda: Vocabulary("ab").decode(np.array([0, 2])),
    "Vocabulary.decode ": lambda: Vocabulary("ab").decode(np.array([-1])),
    "Vocabulary.decode  ": lambda: Vocabulary("ab").decode(np.zeros((1, 1), int)),
    "Vocabulary.decode   ": lambda: Vocabulary("ab").decode(np.zeros(1)),
    "parts": lambda: text.parts(np.arange(9), 0.5, 0.5),
    "parts ": lambda: text.parts(np.arange(2)),
    "parts  ": lambda: text.parts(np.arange(9), 0.0, 0.5),
    "parts   ": lambda: text.parts(unchecked([1, 2, 3])),
    "streams": lambda: text.streams(np.arange(9), 9, 1),
    "streams ": lambda: text.streams(np.arange(9), 0, 1),
    "streams  ": lambda: text.streams(np.arange(9), 1, 0),
    "streams   ": lambda: text.streams(np.ones(9), 1, 1),
    "Markov.fit": lambda: Markov.fit(np.arange(9), np.arange(9), 8, 1),
    "Markov.fit ": lambda: Markov.fit(np.arange(9), np.arange(9), 9, -1),
    "Markov.fit  ": lambda: Markov.fit(np.arange(9), np.arange(1), 9, 1),
    "Markov.fit   ": lambda: Markov.fit(np.arange(9), np.arange(9), 103, 9),
    "Markov.probabilities": lambda: fitted(1).probabilities(np.array([3])),
    "Markov.bits": lambda: fitted(1).bits(np.array([0])),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    with pytest.raises((ValueError, TypeError)) as refusal:
        REFUSED[name]()
    message = str(refusal.value)
    assert message.startswith(f"{name.strip()}: expected ") and ", got " in message


def test_an_unknown_character_is_named() -> None:
    with pytest.raises(ValueError, match=r"got 'c' at 2$"):
        Vocabulary("ab").encode("abca")


# Counting


def three(n: int) -> Array:
    """A text of three characters in which each leans on the two before it."""
    ids = [0, 1]
    for u in RNG.random(n - 2):
        ids.append((ids[-1] + 2 * ids[-2]) % 3 if u < 0.7 else int(u * 1000) % 3)
    return np.array(ids)


TRAIN, VALIDATION, TEST = three(300), three(200), three(100)


def fitted(order: int) -> Markov:
    return Markov.fit(TRAIN, VALIDATION, 3, order)


def by_hand(model: Markov, before: list[int], c: int, k: int) -> float:
    """p_k(c) by the formula, from counts in a dictionary."""
    if k < 0:
        return 1 / model.size
    shorter = by_hand(model, before, c, k - 1)
    if len(before) < k:
        return shorter
    followers: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
    train = TRAIN.tolist()
    for i in range(k, len(train)):
        followers[tuple(train[i - k : i])][train[i]] += 1
    seen = followers[tuple(before[len(before) - k :])]
    if not seen:
        return shorter
    d = model.discounts[k]
    return (max(seen[c] - d, 0) + d * len(seen) * shorter) / seen.total()


@pytest.mark.parametrize("order", [0, 1, 2, 4])
def test_probabilities_are_those_of_the_formula(order: int) -> None:
    model = fitted(order)
    p = model.probabilities(TEST[:30])
    expected = [by_hand(model, TEST[:i].tolist(), int(TEST[i]), order) for i in range(30)]
    np.testing.assert_allclose(p, expected, rtol=1e-13)
    assert model.bits(TEST[:30]) == pytest.approx(-np.mean(np.log2(expected[1:])), rel=1e-13)


@pytest.mark.parametrize("order", [0, 1, 3, 6])
def test_probabilities_sum_to_one(order: int) -> None:
    """After every context, those that were never seen too, and with characters never seen."""
    model = Markov.fit(TRAIN, VALIDATION, 5, order)
    contexts = [*([*c] for c in np.ndindex(3, 3)), [4, 4, 4], [0, 4, 1, 2, 0, 0], []]
    for context in contexts:
        ends = [model.probabilities(np.array([*context, c]))[-1] for c in range(5)]
        assert min(ends) > 0 and sum(ends) == pytest.approx(1, abs=1e-12)


def test_discounts_are_the_best_on_the_validation_text_only() -> None:
    model = fitted(2)
    for k in range(3):
        costs = []
        for d in markov.DISCOUNTS:
            tables, discounts = model.tables[: k + 1], (*model.discounts[:k], d)
            costs.append(Markov(3, tables, discounts).bits(VALIDATION))
        assert model.discounts[k] == markov.DISCOUNTS[int(np.argmin(costs))]
    assert fitted(2).tables[1].counts.sum() == len(TRAIN) - 1  # nothing of it is counted


def test_longer_contexts_pay_until_they_are_rare() -> None:
    costs = [fitted(order).bits(TEST) for order in range(8)]
    assert costs[2] < costs[1] - 0.1 and costs[7] > costs[2]
    assert costs[2] > 0.7 * -math.log2(0.8)  # the text's own entropy is above this


# Reading and drawing


@pytest.mark.parametrize("cell", ["RNN", "LSTM", "GRU"])
def test_a_text_in_chunks_is_the_text_in_one(cell: str) -> None:
    twins = char_rnns(3, np.float64, 7, 5, 2, cell)
    ids = RNG.integers(0, 7, (12, 3))
    (whole, last), _ = twins.ours(ids)
    pieces = []
    state: Any = None
    for start in range(0, 12, 5):
        (logits, state), _ = twins.ours(ids[start : start + 5], state)
        pieces.append(logits)
    np.testing.assert_allclose(np.concatenate(pieces), whole, rtol=1e-13)
    for a, b in zip(np.atleast_1d(state), np.atleast_1d(last), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)


def test_a_start_is_torchs() -> None:
    for name, args in (("CharRNN", (7, 5, 2, "GRU", 3)), ("SimpleRNN", (4, 5, 6))):
        torch.manual_seed(5)
        theirs = getattr(torch_ref.models, name)(*args).state_dict()
        ours = getattr(scratch.models, name)(*args, generator=Generator(5)).state_dict()
        for key, value in theirs.items():
            np.testing.assert_allclose(ours[key], value.numpy(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.0, 1.5])
def test_the_same_draws_give_the_same_text(temperature: float) -> None:
    twins = char_rnns(1, np.float64, 9, 6, cell="LSTM")
    ours: Any = twins.ours
    theirs: Any = twins.theirs
    prompt = np.array([3, 1, 4])
    first = generate(ours, prompt, 200, temperature, Generator(8))
    source = torch.Generator().manual_seed(8)
    again = torch_generate(theirs, torch.from_numpy(prompt), 200, temperature, source)
    assert first.tolist() == again.tolist()
    assert len(set(first.tolist())) > 2 or temperature == 0


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_draws_follow_the_probabilities(temperature: float) -> None:
    logits = np.array([0.5, -1.0, 2.0, -np.inf, 0.0], np.float32)
    p = np.exp(logits / temperature) / np.exp(logits / temperature).sum()
    source = Generator(2)
    n = 20_000
    counts = np.bincount([draw(logits, temperature, source) for _ in range(n)], minlength=5)
    assert counts[3] == 0
    assert (abs(counts - n * p) < 4.5 * np.sqrt(n * p * (1 - p)) + 1e-9).all()


@pytest.mark.parametrize(
    ("u", "logits", "expected"),
    [(0.0, [-math.inf, 0, 0], 1), (0.5, [0, 0], 1), (0.25, [0, -math.inf, 0], 0)],
)
def test_an_end_belongs_to_the_next_character(
    u: float, logits: list[float], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A character that cannot come does not come, even where the number drawn is 0."""
    monkeypatch.setattr(Generator, "rand", lambda *_, dtype: np.full(1, u, dtype))
    monkeypatch.setattr(
        torch, "rand", lambda *_, dtype, generator: torch.full((1,), u, dtype=dtype)
    )
    z = np.array(logits)
    assert draw(z, 1.0, Generator(0)) == torch_draw(torch.from_numpy(z), 1.0, None) == expected


def test_extreme_temperatures() -> None:
    logits = np.array([1.0, 3.0, 2.0, 3.0])
    assert {draw(logits, 0.0, Generator(i)) for i in range(20)} == {1}  # the first of the likeliest
    assert {draw(logits, 1e-300, Generator(i)) for i in range(50)} == {1, 3}
    assert {draw(logits, 1e300, Generator(i)) for i in range(50)} == {0, 1, 2, 3}


def test_what_was_drawn_is_read_next() -> None:
    """A text of each character and the next is made by always taking the likeliest."""
    twins = char_rnns(0, np.float64, 5, 8)
    model: Any = twins.ours
    model.head.bias.data[:] = 0
    drawn = generate(model, np.array([2, 0]), 12, 0.0)
    read = np.concatenate([[2, 0], drawn])
    (logits, _), _ = model(read[:-1])
    assert np.array_equal(logits.argmax(1)[1:], drawn)


def test_the_parts_have_names() -> None:
    split = text.parts(np.arange(100))
    assert isinstance(split, Parts) and split.test is split[2]
