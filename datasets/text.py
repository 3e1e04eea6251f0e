"""Text, a character at a time.

    SENTENCE           42 characters to learn by heart, those of the guide
    python_reference   373,103 in Python 3.11: what its `help` says of the language; no network
    tiny_shakespeare   1,115,394 from his plays, by download
    Vocabulary         characters to numbers and back
    parts              train, validation and test, in the order of the text
    streams            batches of which each goes on where the one before it stopped

The Python reference depends on the version of Python that runs. Its topics quote each other, whole
chapters at a time: a paragraph is kept where it comes first, as otherwise the end of the text, on
which models are tested, would stand in the beginning, which they have learned.
"""

import pydoc_data.topics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from datasets import check
from datasets.check import Array
from datasets.download import File, fetch

SENTENCE = "hello world hello there world is beautiful"
SHAKESPEARE_URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/"
FILES: dict[str, tuple[File, ...]] = {
    "tiny_shakespeare": (
        File(
            "input.txt",
            SHAKESPEARE_URL + "input.txt",
            "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        ),
    )
}


def python_reference(length: int | None = None) -> str:
    """The reference of the Python language: the topics of `help`, sorted, no paragraph twice.

    Args:
        length: characters from the start; None for all.

    Returns:
        The text, the same in each run of one version of Python.

    Raises:
        TypeError: if `length` is no integer.
        ValueError: if it is below 1 or above what there is.

    Source: Python Software Foundation, The Python Language Reference; `pydoc_data.topics`.
    """
    name = "python_reference"
    topics: dict[str, str] = pydoc_data.topics.topics
    seen: set[str] = set()
    chapters = []
    for topic in sorted(topics):
        kept = []
        for paragraph in topics[topic].split("\n\n"):
            words = " ".join(paragraph.split())
            if words and words not in seen:
                kept.append(paragraph.strip("\n"))
            seen.add(words)
        if kept:
            chapters.append("\n\n".join(kept))
    text = "\n\n".join(chapters) + "\n"
    return text if length is None else text[: check.size(name, "length", length, 1, len(text))]


def tiny_shakespeare() -> str:
    """Pieces of Shakespeare's plays, 40,000 lines; downloads 1.1 MB once.

    Returns:
        The text, ASCII.

    Raises:
        ConnectionError: if it cannot be downloaded; the message says what to place where.
        ValueError: if what comes is another file.
        ModuleNotFoundError: if it must be downloaded and pooch is absent.

    Source: Karpathy 2015, char-rnn, data/tinyshakespeare.
    """
    (path,) = fetch("tiny_shakespeare", FILES["tiny_shakespeare"])
    return path.read_bytes().decode("ascii")


@dataclass(frozen=True)
class Vocabulary:
    """The characters that there are, each with its number.

    Args:
        characters: sorted, none twice; `Vocabulary.of` takes those of a text.

    Raises:
        TypeError: if `characters` is no string.
        ValueError: if they are none, not sorted, or one is there twice.
    """

    characters: str

    def __post_init__(self) -> None:
        _text("Vocabulary", "characters", self.characters)
        if not self.characters or "".join(sorted(set(self.characters))) != self.characters:
            expected = "characters sorted, none twice"
            check.refuse("Vocabulary", expected, check.describe(self.characters))

    @classmethod
    def of(cls, text: str) -> "Vocabulary":
        """The characters of a text."""
        return cls("".join(sorted(set(_text("Vocabulary.of", "text", text)))))

    def __len__(self) -> int:
        return len(self.characters)

    def encode(self, text: str) -> Array:
        """The numbers of characters.

        Args:
            text: of known characters only.

        Returns:
            (len(text),) int64.

        Raises:
            TypeError: if `text` is no string.
            ValueError: naming the first character that is unknown.
        """
        points = _points(_text("Vocabulary.encode", "text", text))
        known = _points(self.characters)
        ids = np.minimum(np.searchsorted(known, points), len(known) - 1)
        unknown = np.flatnonzero(known[ids] != points)
        if unknown.size:
            got = f"{text[unknown[0]]!r} at {unknown[0]}"
            check.refuse("Vocabulary.encode", f"one of the {len(self)} characters", got)
        return ids.astype(np.int64)

    def decode(self, ids: Array) -> str:
        """The characters of numbers.

        Args:
            ids: integers (n,) from 0 to len - 1.

        Returns:
            A string of length n.

        Raises:
            TypeError: if `ids` is no array of integers.
            ValueError: if it is not 1-d, or a number is out of range.
        """
        ids = check.ids("Vocabulary.decode", "ids", ids, len(self))
        return "".join(self.characters[i] for i in ids.tolist())


class Parts(NamedTuple):
    """A text in three, one after the other."""

    train: Array
    validation: Array
    test: Array


def parts(ids: Array, validation: float = 0.1, test: float = 0.1) -> Parts:
    """Cut a sequence in its own order: learn from the past, be judged on what comes after.

    Args:
        ids: integers (n,).
        validation: share of the part before the last.
        test: share of the last part.

    Returns:
        Views of `ids`; each end is rounded down.

    Raises:
        TypeError: if `ids` is no array of integers or a share no number.
        ValueError: if a share is outside (0, 1) or one of the parts is empty.
    """
    ids = check.ids("parts", "ids", ids)
    for what, share in (("validation", validation), ("test", test)):
        check.number("parts", what, share, 0, 1, open_low=True, open_high=True)
    last = int(len(ids) * (1 - test))
    first = int(len(ids) * (1 - test - validation))
    if not 0 < first < last < len(ids):
        sizes = (first, last - first, len(ids) - last)
        check.refuse("parts", "three parts of one character or more", sizes)
    return Parts(ids[:first], ids[first:last], ids[last:])


def streams(ids: Array, batch_size: int, steps: int) -> Iterator[tuple[Array, Array]]:
    """Batches for truncated backpropagation through time, once through the text.

    The text is cut into `batch_size` columns side by side; each batch is the next `steps` rows of
    all of them, so that the state that a model ends with is the one to start the next batch from.

    Args:
        ids: integers (n,).
        batch_size: B, columns; n - 1 is cut to a multiple of it.
        steps: T, rows of a batch; the last one has what is left.

    Returns:
        Pairs of inputs and targets (T, B): the target is the character after the input.

    Raises:
        TypeError: if `ids` is no array of integers or a size no integer.
        ValueError: if a size is below 1 or there is less than one row.
    """
    ids = check.ids("streams", "ids", ids)
    check.size("streams", "batch_size", batch_size, 1)
    check.size("streams", "steps", steps, 1)
    rows = (len(ids) - 1) // batch_size
    if rows < 1:
        check.refuse("streams", f"more than {batch_size} characters", len(ids))
    return _streams(ids, batch_size, steps, rows)


def _streams(ids: Array, batch_size: int, steps: int, rows: int) -> Iterator[tuple[Array, Array]]:
    used = rows * batch_size
    x, t = (ids[k : k + used].reshape(batch_size, rows).T for k in (0, 1))
    for start in range(0, rows, steps):
        yield x[start : start + steps], t[start : start + steps]


def _points(text: str) -> Array:
    """The code points of a string."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def _text(function: str, name: str, value: object) -> str:
    if not isinstance(value, str):
        check.refuse(function, f"{name} to be a string", check.describe(value), TypeError)
    return value
