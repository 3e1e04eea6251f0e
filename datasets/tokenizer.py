"""Text as numbers of word pieces, by the `tokenizers` library.

    train_bpe   byte-level pairs learned from a text: starts with the 256 bytes, again and again
                joins the pair that is most frequent; no text is unknown, and decoding gives it back
    load_bpe    the same from GPT-2's files, vocab.json and merges.txt
    load_bert   the longest pieces from the left, from BERT's vocab.txt; lower case and accents are
                lost with an uncased vocabulary, and what it cannot spell is [UNK]

Sources: Sennrich, Haddow & Birch 2016, arXiv:1508.07909; bytes: Radford et al. 2019, GPT-2, section
2.2; word pieces: Schuster & Nakajima 2012, Devlin et al. 2019, arXiv:1810.04805.
"""

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datasets import check
from datasets.check import Array

END_OF_TEXT = "<|endoftext|>"
BPE_FILES = ("vocab.json", "merges.txt")
BYTES = 256


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """Text to ids and back.

    Attributes:
        library: the `tokenizers` object that does it.
    """

    library: Any

    def __len__(self) -> int:
        """How many tokens there are."""
        return int(self.library.get_vocab_size())

    def encode(self, text: str, special_tokens: bool = True) -> Array:
        """The ids of a text.

        Args:
            text: anything, also none.
            special_tokens: whether to add what the model wants around it: BERT's [CLS] and [SEP].

        Returns:
            int64 array (n,).

        Raises:
            TypeError: if `text` is no string.
        """
        given = _text("Tokenizer.encode", text)
        found = self.library.encode(given, add_special_tokens=bool(special_tokens))
        return np.array(found.ids, np.int64)

    def encode_pair(self, first: str, second: str) -> tuple[Array, Array]:
        """The ids of two texts as BERT reads them, and which text each is of.

        Args:
            first: stands between [CLS] and [SEP].
            second: stands before another [SEP].

        Returns:
            int64 arrays (n,): ids, and token_type_ids 0 or 1.

        Raises:
            TypeError: if one is no string.
        """
        texts = (_text("Tokenizer.encode_pair", text) for text in (first, second))
        found = self.library.encode(*texts)
        return np.array(found.ids, np.int64), np.array(found.type_ids, np.int64)

    def decode(self, ids: Array, skip_special_tokens: bool = False) -> str:
        """The text of ids.

        Args:
            ids: integers (n,).
            skip_special_tokens: whether to leave out such as [CLS] or the end of the text.

        Raises:
            TypeError: if `ids` is no array of integers.
            ValueError: if it is not 1-d, or one is none of the vocabulary.
        """
        row = check.ids("Tokenizer.decode", "ids", ids, len(self))
        text: str = self.library.decode(row.tolist(), skip_special_tokens=skip_special_tokens)
        return text

    def id_of(self, token: str) -> int:
        """The id of a token, such as the end of the text.

        Raises:
            ValueError: if it is not in the vocabulary.
        """
        found = self.library.token_to_id(_text("Tokenizer.id_of", token))
        if found is None:
            check.refuse("Tokenizer.id_of", "a token of the vocabulary", repr(token))
        return int(found)

    def save(self, directory: Path | str) -> None:
        """Write the vocabulary's files, in the layout that the loaders here read.

        Args:
            directory: made if it does not exist.
        """
        path = Path(directory)
        path.mkdir(parents=True, exist_ok=True)
        self.library.save_model(str(path))


def train_bpe(
    text: str | Iterable[str],
    vocab_size: int,
    special_tokens: tuple[str, ...] = (END_OF_TEXT,),
    min_frequency: int = 2,
) -> Tokenizer:
    """Byte-level pairs learned from a text.

    Args:
        text: what to learn from, whole or in parts.
        vocab_size: how many tokens, the 256 bytes and special ones included; fewer where no pair is
            frequent enough any more.
        special_tokens: they come first, and are read as wholes.
        min_frequency: how often a pair that is joined occurs at least.

    Returns:
        The tokenizer, the same for the same text.

    Raises:
        TypeError: if a text is no string, or a number no integer.
        ValueError: if `vocab_size` has no room for bytes and special tokens.

    Source: Sennrich et al. 2016, arXiv:1508.07909; Radford et al. 2019, section 2.2.
    """
    name = "train_bpe"
    least = BYTES + len(special_tokens)
    check.size(name, "vocab_size", vocab_size, least)
    check.size(name, "min_frequency", min_frequency, 1)
    parts = [text] if isinstance(text, str) else [_text(name, part) for part in text]
    tokenizer = _library(name).ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(
        parts,
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        show_progress=False,
        special_tokens=list(special_tokens),
    )
    return Tokenizer(tokenizer)


def load_bpe(directory: Path | str, special_tokens: tuple[str, ...] = (END_OF_TEXT,)) -> Tokenizer:
    """GPT-2's tokenizer, or one that `Tokenizer.save` wrote.

    Args:
        directory: where vocab.json and merges.txt are.
        special_tokens: those that are read as wholes; they must be in the vocabulary.

    Raises:
        FileNotFoundError: naming the file that is not there.
        ValueError: if a special token is not in the vocabulary.

    Source: Radford et al. 2019, section 2.2.
    """
    vocab, merges = (_file("load_bpe", directory, name) for name in BPE_FILES)
    tokenizer = _library("load_bpe").ByteLevelBPETokenizer.from_file(vocab, merges)
    for token in special_tokens:
        if tokenizer.token_to_id(token) is None:
            check.refuse("load_bpe", "special_tokens of the vocabulary", repr(token))
    tokenizer.add_special_tokens(list(special_tokens))
    return Tokenizer(tokenizer)


def load_bert(directory: Path | str, lowercase: bool = True) -> Tokenizer:
    """BERT's tokenizer.

    Args:
        directory: where vocab.txt is.
        lowercase: whether the vocabulary is of an uncased model, which knows no accents either.

    Raises:
        FileNotFoundError: if there is no vocab.txt.

    Source: Devlin et al. 2019, arXiv:1810.04805, section 3.
    """
    vocab = _file("load_bert", directory, "vocab.txt")
    library = _library("load_bert").BertWordPieceTokenizer
    return Tokenizer(library.from_file(vocab, lowercase=bool(lowercase)))


def _text(function: str, value: object) -> str:
    if not isinstance(value, str):
        check.refuse(function, "a string", check.describe(value), TypeError)
    return value


def _file(function: str, directory: Path | str, name: str) -> str:
    path = Path(directory) / name
    if not path.is_file():
        raise FileNotFoundError(f"{function}: expected a file {name} in {directory}, got none")
    return str(path)


def _library(function: str) -> Any:
    """The library, or one sentence that says how to get it."""
    try:
        return importlib.import_module("tokenizers")
    except ModuleNotFoundError as error:
        if error.name != "tokenizers":
            raise
        raise ModuleNotFoundError(
            f"{function}: needs tokenizers; in the project's folder: pip install '.[data]'",
            name="tokenizers",
        ) from None
