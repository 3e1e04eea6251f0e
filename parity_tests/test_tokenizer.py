"""Tokenizers: round trips, pairs by hand, beside transformers', files, refusals."""

import json
import sys
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.text import python_reference
from datasets.tokenizer import END_OF_TEXT, Tokenizer, load_bert, load_bpe, train_bpe
from parity_tests.harness.entry import unchecked

CORPUS = python_reference(60_000)
SIZE = 500
STRANGE = "naïve Ωmega \u200b 日本語 🙂\ttabs\n\n  spaces \x00 end"
PIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "un", "##aff", "##able", "cafe", ",", "the")


@pytest.fixture(scope="module")
def bpe() -> Tokenizer:
    return train_bpe(CORPUS, SIZE)


def in_bytes(text: str) -> list[str]:
    """The characters that stand for a text's bytes, as in GPT-2's files."""
    kept = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in kept]
    table = {b: chr(b) for b in kept} | {b: chr(256 + i) for i, b in enumerate(others)}
    return [table[b] for b in text.encode()]


def test_size_and_the_special_token(bpe: Tokenizer) -> None:
    assert len(bpe) == SIZE
    assert bpe.id_of(END_OF_TEXT) == 0
    ids = bpe.encode(f"one{END_OF_TEXT}two")
    assert (ids == 0).sum() == 1
    assert bpe.decode(ids) == f"one{END_OF_TEXT}two"
    assert bpe.decode(ids, skip_special_tokens=True) == "onetwo"


def test_it_learns_the_same_again_and_fewer_tokens_are_needed(bpe: Tokenizer) -> None:
    again = train_bpe([CORPUS], SIZE)
    ids = bpe.encode(CORPUS)
    np.testing.assert_array_equal(ids, again.encode(CORPUS))
    assert len(ids) < 0.6 * len(CORPUS.encode())
    assert bpe.decode(ids) == CORPUS


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=60))
def test_any_text_comes_back(bpe: Tokenizer, text: str) -> None:
    assert bpe.decode(bpe.encode(text)) == text


def test_the_first_pair_is_the_most_frequent(bpe: Tokenizer, tmp_path: Path) -> None:
    """Counted by hand over words with the space before them."""
    bpe.save(tmp_path)
    merges = (tmp_path / "merges.txt").read_text(encoding="utf-8").splitlines()
    first = merges[1] if merges[0].startswith("#") else merges[0]
    words = bpe.library.pre_tokenizer.pre_tokenize_str(CORPUS)
    pairs: Counter[Any] = Counter(p for word, _ in words for p in pairwise(word))
    (pair, most), *_ = pairs.most_common(1)
    assert pairs[tuple(first.split())] == most, (pair, first)


def test_words_are_joined_in_the_order_of_the_merges(bpe: Tokenizer, tmp_path: Path) -> None:
    """By hand: of the pairs in a word the one that was learned first, until there is none."""
    bpe.save(tmp_path)
    lines = (tmp_path / "merges.txt").read_text(encoding="utf-8").splitlines()
    rank = {tuple(line.split()): i for i, line in enumerate(lines) if " " in line}
    vocab = json.loads((tmp_path / "vocab.json").read_text(encoding="utf-8"))
    for word in {*CORPUS[:6000].split(), "naïve", "Ω"}:
        parts = in_bytes(word)
        while True:
            ranks = [rank.get(pair, 10**9) for pair in pairwise(parts)]
            if not ranks or min(ranks) == 10**9:
                break
            at = ranks.index(min(ranks))
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        whole = bpe.library.pre_tokenizer.pre_tokenize_str(word)
        if len(whole) == 1:  # punctuation would part it
            assert bpe.encode(word).tolist() == [vocab[part] for part in parts]


def test_files_load_here_and_in_transformers(bpe: Tokenizer, tmp_path: Path) -> None:
    bpe.save(tmp_path)
    loaded = load_bpe(tmp_path)
    theirs: Any = transformers.GPT2Tokenizer(
        vocab=str(tmp_path / "vocab.json"), merges=str(tmp_path / "merges.txt")
    )
    for text in (CORPUS[:5000], STRANGE, f"a{END_OF_TEXT} b", "", " "):
        ids = loaded.encode(text)
        np.testing.assert_array_equal(ids, bpe.encode(text))
        assert ids.tolist() == theirs.encode(text)
        assert loaded.decode(ids) == text


def bert_files(path: Path) -> Path:
    """A vocabulary of a few pieces."""
    (path / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    return path


def test_bert(tmp_path: Path) -> None:
    """The longest pieces from the left; case and accents go; what cannot be spelt is [UNK]."""
    ours = load_bert(bert_files(tmp_path))
    spelt = [PIECES[i] for i in ours.encode("Unaffable, the Café xyz")]
    assert spelt == ["[CLS]", "un", "##aff", "##able", ",", "the", "cafe", "[UNK]", "[SEP]"]
    assert [PIECES[i] for i in ours.encode("the", special_tokens=False)] == ["the"]
    assert ours.decode(ours.encode("Unaffable"), skip_special_tokens=True) == "unaffable"
    ids, types = ours.encode_pair("the", "cafe the")
    assert [PIECES[i] for i in ids] == ["[CLS]", "the", "[SEP]", "cafe", "the", "[SEP]"]
    assert types.tolist() == [0, 0, 0, 1, 1, 1]
    cased = load_bert(tmp_path, lowercase=False)
    assert [PIECES[i] for i in cased.encode("The the")] == ["[CLS]", "[UNK]", "the", "[SEP]"]


@pytest.mark.parametrize("lowercase", [True, False])
def test_bert_is_transformers(tmp_path: Path, lowercase: bool) -> None:
    directory = bert_files(tmp_path)
    ours = load_bert(directory, lowercase)
    theirs: Any = transformers.BertTokenizer(
        vocab=str(directory / "vocab.txt"), do_lower_case=lowercase
    )
    for text in ("Unaffable, the Café xyz", STRANGE, "un[MASK]the", ""):
        assert ours.encode(text).tolist() == theirs.encode(text)
    pair = theirs("the unaffable", "cafe,")
    ids, types = ours.encode_pair("the unaffable", "cafe,")
    assert (ids.tolist(), types.tolist()) == (pair["input_ids"], pair["token_type_ids"])


@pytest.mark.parametrize(
    ("call", "error", "name"),
    [
        (lambda t: t.encode(3), TypeError, "Tokenizer.encode"),
        (lambda t: t.encode_pair("a", None), TypeError, "Tokenizer.encode_pair"),
        (lambda t: t.decode([1, 2]), TypeError, "Tokenizer.decode"),
        (lambda t: t.decode(np.array([[1]])), ValueError, "Tokenizer.decode"),
        (lambda t: t.decode(np.array([SIZE])), ValueError, "Tokenizer.decode"),
        (lambda t: t.id_of("no such token"), ValueError, "Tokenizer.id_of"),
        (lambda t: train_bpe("text", 256), ValueError, "train_bpe"),
        (lambda t: train_bpe([unchecked(b"text")], 300), TypeError, "train_bpe"),
        (lambda t: train_bpe("text", 300, min_frequency=0), ValueError, "train_bpe"),
    ],
)
def test_refusals(bpe: Tokenizer, call: Callable[[Any], Any], error: Any, name: str) -> None:
    with pytest.raises(error, match=rf"^{name}: expected .*, got "):
        call(unchecked(bpe))


def test_files_that_are_not_there(bpe: Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"^load_bpe: .*vocab\.json"):
        load_bpe(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"^load_bert: .*vocab\.txt"):
        load_bert(tmp_path)
    bpe.save(tmp_path)
    with pytest.raises(ValueError, match="load_bpe: expected special_tokens"):
        load_bpe(tmp_path, ("<|none|>",))


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ModuleNotFoundError, match=r"^train_bpe: needs tokenizers"):
        train_bpe("text", 300)
