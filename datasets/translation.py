"""From one string to another: dates in many hands to ISO 8601, and strings to be read backwards.

dates      3 march 1998, TUE, 03-MAR-98, March 3rd, 1998, 03/03/98, ... -> 1998-03-03
reversal   qkzfa -> afzkq
ids        0 <pad>, 1 <bos>, 2 <eos>, then the characters; a source is its characters alone, a
           target <bos> ... <eos>; <pad> fills both up behind their ends
parts      dates: a day is in one part only, so neither part has a source or a target of the other;
           reversal: no string is in both

Both are made up here from a seed, and stand for translation in nothing but form. Every string of
`dates` has exactly one meaning: slashes have the month first and dots the day, and a year of two
digits is one of 1930 to 2029.
"""

import datetime
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from datasets import check
from datasets.check import Array

PAD, BOS, EOS = 0, 1, 2
SPECIAL = ("<pad>", "<bos>", "<eos>")
FIRST, LAST = datetime.date(1930, 1, 1), datetime.date(2029, 12, 31)
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
FORMATS = (
    *("{d} {month} {year}", "{dd} {mon} {year}", "{d} {mon} {yy}", "{d}-{mon}-{year}"),
    *("{month} {d}, {year}", "{mon} {d} {year}", "{month} {nth}, {year}", "{mon} {nth} '{yy}"),
    *("{nth} of {month} {year}", "the {nth} of {month}, {year}", "{year} {month} {d}"),
    *("{day}, {dd}-{mon}-{yy}", "{weekday}, {month} {d}, {year}", "{day} {d} {mon} {year}"),
    *("{mm}/{dd}/{year}", "{m}/{d}/{yy}", "{dd}.{mm}.{year}", "{d}.{m}.{yy}"),
    *("{year}/{mm}/{dd}", "{year}{mm}{dd}"),
)
CASES: tuple[Callable[[str], str], ...] = (str, str.lower, str.upper)
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Vocabulary:
    """Characters by number, behind <pad>, <bos> and <eos>.

    Args:
        characters: all of them, each once.
    """

    characters: str

    def __len__(self) -> int:
        return len(SPECIAL) + len(self.characters)

    def encode(self, text: str) -> list[int]:
        """The number of each character.

        Args:
            text: of these characters.

        Returns:
            As many numbers.

        Raises:
            ValueError: if a character is none of them.
        """
        for character in text:
            if character not in self.characters:
                expected = f"characters among {self.characters!r}"
                check.refuse("Vocabulary.encode", expected, repr(character))
        return [len(SPECIAL) + self.characters.index(character) for character in text]

    def decode(self, ids: Iterable[int]) -> str:
        """The characters up to <eos>, <bos> and <pad> left out.

        Args:
            ids: numbers below the size of the vocabulary.

        Returns:
            The text.

        Raises:
            ValueError: if a number is out of range.
        """
        text = []
        for i in ids:
            i = check.size("Vocabulary.decode", "an id", i, 0, len(self) - 1)
            if i == EOS:
                break
            if i >= len(SPECIAL):
                text.append(self.characters[i - len(SPECIAL)])
        return "".join(text)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of strings as padded arrays of ids.

    Attributes:
        source: (n, S) int64, <pad> behind each end.
        source_lengths: (n,) int64.
        target: (n, T) int64, each <bos> ... <eos>, <pad> behind.
        target_lengths: (n,) int64, <bos> and <eos> among them.
        source_vocabulary: of the sources.
        target_vocabulary: of the targets.
    """

    source: Array
    source_lengths: Array
    target: Array
    target_lengths: Array
    source_vocabulary: Vocabulary
    target_vocabulary: Vocabulary

    @classmethod
    def of(
        cls,
        sources: list[str],
        targets: list[str],
        source_vocabulary: Vocabulary,
        target_vocabulary: Vocabulary,
    ) -> "Pairs":
        """The pairs of two lists of strings.

        Args:
            sources: n strings, none of them empty.
            targets: as many.
            source_vocabulary: of the sources.
            target_vocabulary: of the targets.

        Raises:
            ValueError: if the lists differ in length, or a source is empty or of other characters.
        """
        if len(sources) != len(targets):
            check.refuse("Pairs.of", f"{len(sources)} targets", len(targets))
        if not all(sources):
            check.refuse("Pairs.of", "sources of at least one character", "an empty one")
        source = [source_vocabulary.encode(text) for text in sources]
        target = [[BOS, *target_vocabulary.encode(text), EOS] for text in targets]
        return cls(*_padded(source), *_padded(target), source_vocabulary, target_vocabulary)

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, rows: Array | slice) -> "Pairs":
        """Those rows, padded no further than the longest among them."""
        lengths, target_lengths = self.source_lengths[rows], self.target_lengths[rows]
        longest = max(int(lengths.max(initial=0)), 1), max(int(target_lengths.max(initial=0)), 2)
        return Pairs(
            self.source[rows, : longest[0]],
            lengths,
            self.target[rows, : longest[1]],
            target_lengths,
            self.source_vocabulary,
            self.target_vocabulary,
        )

    @property
    def target_in(self) -> Array:
        """What a decoder is given (n, T - 1): <bos> and the target without its end."""
        return self.target[:, :-1]

    @property
    def target_out(self) -> Array:
        """What it should answer (n, T - 1): the target and <eos>; <pad> does not count."""
        return self.target[:, 1:]

    def sources(self) -> list[str]:
        """The source strings."""
        return [self.source_vocabulary.decode(row) for row in self.source.tolist()]

    def targets(self) -> list[str]:
        """The target strings."""
        return [self.target_vocabulary.decode(row) for row in self.target.tolist()]


def dates(n: int = 8000, n_test: int = 1000, seed: int = 0) -> tuple[Pairs, Pairs]:
    """Dates of 1930 to 2029, written in 20 ways and three cases, and in ISO 8601.

    Args:
        n: training pairs.
        n_test: test pairs, of days that no training pair is about.
        seed: of the draw.

    Returns:
        Training and test pairs, no source twice in either.

    Raises:
        ValueError: if a number is out of range.
        TypeError: if a number is no integer.
    """
    most = 4 * ((LAST - FIRST).days // 2)
    n = check.size("dates", "n", n, 1, most)
    n_test = check.size("dates", "n_test", n_test, 1, most // 8)
    rng = np.random.default_rng(check.seed("dates", seed))
    order = rng.permutation((LAST - FIRST).days + 1)
    held = order[: len(order) // 8]
    source = Vocabulary(" ',-./0123456789" + LETTERS.upper() + LETTERS)
    target = Vocabulary("-0123456789")
    parts = []
    for days, count in ((order[len(held) :], n), (held, n_test)):
        found: dict[str, str] = {}
        while len(found) < count:
            date = FIRST + datetime.timedelta(int(rng.choice(days)))
            form, case = FORMATS[rng.integers(len(FORMATS))], CASES[rng.integers(len(CASES))]
            found[case(written(date, form))] = date.isoformat()
        parts.append(Pairs.of(list(found), list(found.values()), source, target))
    return parts[0], parts[1]


def written(date: datetime.date, form: str) -> str:
    """A date in one of `FORMATS`.

    Args:
        date: the day.
        form: with any of {d} {dd} {nth} {m} {mm} {mon} {month} {yy} {year} {day} {weekday}.

    Returns:
        The text; names begin with a capital letter.
    """
    d, month, weekday = date.day, MONTHS[date.month - 1], DAYS[date.weekday()]
    teen = 10 < d < 14
    ending = "th" if teen else {1: "st", 2: "nd", 3: "rd"}.get(d % 10, "th")
    return form.format(
        d=d,
        dd=f"{d:02}",
        nth=f"{d}{ending}",
        m=date.month,
        mm=f"{date.month:02}",
        mon=month[:3],
        month=month,
        yy=f"{date.year % 100:02}",
        year=date.year,
        day=weekday[:3],
        weekday=weekday,
    )


def reversal(
    n: int = 4000,
    n_test: int = 500,
    shortest: int = 1,
    longest: int = 12,
    characters: str = LETTERS,
    seed: int = 0,
) -> tuple[Pairs, Pairs]:
    """Random strings, and the same read backwards.

    Args:
        n: training pairs.
        n_test: test pairs.
        shortest: characters of a string at least.
        longest: characters at most; each length is drawn as often, but for those that run out.
        characters: of which the strings are made, each as probable.
        seed: of the draw.

    Returns:
        Training and test pairs; no string is in both, or twice.

    Raises:
        ValueError: if a number is out of range, or there are not twice as many strings as wanted.
        TypeError: if a number is no integer.
    """
    name = "reversal"
    n = check.size(name, "n", n, 1)
    n_test = check.size(name, "n_test", n_test, 1)
    shortest = check.size(name, "shortest", shortest, 1)
    longest = check.size(name, "longest", longest, shortest)
    if not isinstance(characters, str) or not characters:
        check.refuse(name, "characters to be a string that is not empty", repr(characters))
    if len(set(characters)) < len(characters):
        check.refuse(name, "each of the characters once", repr(characters))
    possible = sum(len(characters) ** k for k in range(shortest, longest + 1))
    if possible < 2 * (n + n_test):
        check.refuse(name, f"at least {2 * (n + n_test)} different strings", possible)
    rng = np.random.default_rng(check.seed(name, seed))
    found: dict[str, None] = {}
    while len(found) < n + n_test:
        length = rng.integers(shortest, longest + 1)
        found["".join(characters[i] for i in rng.integers(0, len(characters), length))] = None
    texts, vocabulary = list(found), Vocabulary(characters)
    parts = [
        Pairs.of(part, [text[::-1] for text in part], vocabulary, vocabulary)
        for part in (texts[:n], texts[n:])
    ]
    return parts[0], parts[1]


def _padded(rows: list[list[int]]) -> tuple[Array, Array]:
    """Rows of ids side by side, and how long each is."""
    lengths = np.array([len(row) for row in rows], np.int64)
    padded = np.full((len(rows), int(lengths.max(initial=0))), PAD, np.int64)
    for place, row in zip(padded, rows, strict=True):
        place[: len(row)] = row
    return padded, lengths
