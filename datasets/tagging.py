"""Synthetic sentences with tagged entities: made up from a small grammar, no real text.

tagged_sentences  drawn from the grammar below, each word with its tag
Lexicon           words by number: 0 <pad>, 1 <unk>, then the words of a training set
tagging_arrays    padded ids, tags and lengths
tags     IOB2: B-X begins an entity of type X, I-X goes on with it, O is outside; X is PER
         (persons), LOC (places), ORG (firms) or DATE
names    of persons, places and firms are of one pool: what `varden` is, only its neighbours say
             in varden (LOC)     varden group (B-ORG I-ORG)     mr varden (PER)
left     new varden (B-LOC I-LOC), but a new shop; bank of varden (ORG), but the bank of the river
right    5 may (DATE), but 5 people; varden met (PER), varden announced (ORG), varden lies (LOC);
         varden and sons (one ORG), but varden and tolmar (two)
both     may, march, april, june are months, verbs or first names; and, of are in entities or not
guess    In some sentences ("nobody remembers varden tolmar") nothing decides: the first name leans
         to a type of its own, which has probability LEANING there. Of a name never seen before
         nobody can know it, so that no tagger reaches an F1 of 1.
unseen   Names are drawn by p(rank) ~ 1 / rank from KNOWN, or with probability `unseen` uniformly
         from NEW, of which a training set drawn with unseen = 0 has none.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from datasets import check
from datasets.check import Array

TYPES = ("PER", "LOC", "ORG", "DATE")
TAGS = ("O", *(f"{prefix}-{kind}" for kind in TYPES for prefix in "BI"))
NO_TAG = -100  # of padding: cross entropy's ignore_index
PAD, UNK = 0, 1
SPECIAL = ("<pad>", "<unk>")
LEANING = 0.8


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FRONTS = _words("var tol bren kas mel dor fen gal hol jas kor lun mor nar ost pel quin ros sel tur")
BACKS = _words(
    "den mar wick ton by ham ford dale stad berg gate mond vik nau lin sk ora ell ix ard"
)
_ALL = [front + middle + back for middle in ("", "a", "i") for front in FRONTS for back in BACKS]
NAMES: tuple[str, ...] = tuple(_ALL[i] for i in np.random.default_rng(0).permutation(len(_ALL)))
KNOWN, NEW = NAMES[:800], NAMES[800:]
FIRST = _words("anna ben clara david emma felix greta hugo ida jan lena max nora otto april june")
MONTHS = _words("january february march april may june july august september october november")
WEEKDAYS = _words("monday tuesday wednesday thursday friday saturday sunday")
FORMS = {
    "PER": ("{first}", "{name}", "{first} {name}", "{first} {name}", "{first} {name} {name}"),
    "LOC": ("{name}", "{name}", "new {name}", "port {name}", "{name} upon {name}"),
    "ORG": (
        *("{name}", "{name} group", "{name} {name} group", "{name} and sons"),
        *("bank of {name}", "bank of new {name}", "university of {name}"),
    ),
    "DATE": ("{month}", "{day} {month}", "{month} {day}", "{weekday}", "{weekday} {day} {month}"),
}
UNDECIDED = ("{name} {name}", "{name} {name}", "{name} {name} {name}", "{name}")
CLAUSES = (
    *("{PER} met {PER}", "{PER} works for {ORG}", "{PER} may visit {LOC}", "mr {name:PER} slept"),
    *("{PER} and {PER} march to {LOC}", "{PER} saw a new shop in {LOC}", "{PER} left {ORG}"),
    *("{ORG} announced {day} new shops", "{ORG} and {ORG} may merge", "{ORG} opened in {LOC}"),
    *("shares of {ORG} fell by {day} percent", "the bank of the river {name:LOC} may flood"),
    *("{LOC} lies north of {LOC}", "{day} people left {LOC} for {LOC}", "{LOC} and {LOC} grew"),
    *("the mayor of {LOC} may thank {PER}", "{PER} of {ORG} left for {LOC}"),
    *("nobody remembers {?}", "everyone talks about {?}", "{?} came up again"),
)
BEFORE = ("", "", "", "on {DATE} ,", "in {LOC} ,", "people say that")
AFTER = ("", "", "on {DATE}", "in {month:DATE}", "near {LOC}", ", {PER} said", ", {ORG} said")


@dataclass(frozen=True)
class TaggedSentences:
    """Sentences, word by word.

    Attributes:
        words: of each sentence.
        tags: of each word, places in TAGS.
    """

    words: tuple[tuple[str, ...], ...]
    tags: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        return len(self.words)


def tagged_sentences(n: int, seed: int = 0, unseen: float = 0.0) -> TaggedSentences:
    """Draw sentences from the grammar.

    Args:
        n: how many.
        seed: of the draw; the grammar itself is always the same.
        unseen: probability that a name is one of NEW, in [0, 1].

    Returns:
        n sentences of 2 words or more.

    Raises:
        ValueError: if an argument is out of range.
        TypeError: if an argument is not a number.
    """
    name = "tagged_sentences"
    n = check.size(name, "n", n)
    seed = check.seed(name, seed)
    writer = _Writer(np.random.default_rng(seed), check.number(name, "unseen", unseen, 0, 1))
    drawn = [writer.sentence() for _ in range(n)]
    return TaggedSentences(
        tuple(tuple(word for word, _ in sentence) for sentence in drawn),
        tuple(tuple(TAGS.index(tag) for _, tag in sentence) for sentence in drawn),
    )


class _Writer:
    """The grammar, and the random numbers that it is run with."""

    def __init__(self, rng: np.random.Generator, unseen: float) -> None:
        self.rng, self.unseen = rng, unseen
        weights = 1 / (1.0 + np.arange(len(KNOWN)))
        self.popularity = weights / weights.sum()

    def sentence(self) -> list[tuple[str, str]]:
        """Words with their tags."""
        parts = (self.one(BEFORE), self.one(CLAUSES), self.one(AFTER))
        return [pair for part in parts for slot in part.split() for pair in self.filled(slot)]

    def filled(self, slot: str) -> list[tuple[str, str]]:
        """The words that stand for one word of a clause."""
        if slot == "{?}":
            return self.undecided()
        form, _, kind = slot.strip("{}").rpartition(":")
        if slot[0] != "{" or kind == "day":
            return [(self.word(slot), "O")]
        form = f"{{{form}}}" if form else self.one(FORMS[kind])
        return self.entity([self.word(w) for w in form.split()], kind)

    def undecided(self) -> list[tuple[str, str]]:
        """An entity of the type that its first name leans to, or of another one."""
        words = [self.word(w) for w in self.one(UNDECIDED).split()]
        kind = NAMES.index(words[0]) % 3
        if self.rng.random() >= LEANING:
            kind = (kind + int(self.rng.integers(1, 3))) % 3
        return self.entity(words, TYPES[kind])

    @staticmethod
    def entity(words: list[str], kind: str) -> list[tuple[str, str]]:
        """B-X, then I-X."""
        return [(word, f"{'I' if i else 'B'}-{kind}") for i, word in enumerate(words)]

    def word(self, slot: str) -> str:
        """A word for its slot; what is none stands for itself."""
        if slot == "{name}":
            if self.rng.random() < self.unseen:
                return self.one(NEW)
            return KNOWN[int(self.rng.choice(len(KNOWN), p=self.popularity))]
        if slot == "{day}":
            return str(self.rng.integers(1, 29))
        pools = {"{first}": FIRST, "{month}": MONTHS, "{weekday}": WEEKDAYS}
        return self.one(pools[slot]) if slot in pools else slot

    def one(self, choices: Sequence[str]) -> str:
        """Any of them, all alike."""
        return choices[int(self.rng.integers(len(choices)))]


@dataclass(frozen=True)
class Lexicon:
    """Words by number, behind <pad> and <unk>.

    Args:
        words: all of them, each once.
    """

    words: tuple[str, ...]

    def __len__(self) -> int:
        return len(SPECIAL) + len(self.words)

    @classmethod
    def of(cls, sentences: TaggedSentences, min_count: int = 2) -> "Lexicon":
        """The words of a training set that are there often enough, in the order of the alphabet.

        Args:
            sentences: the training set.
            min_count: rarer words are <unk>, so that <unk> is learned.

        Returns:
            A lexicon.

        Raises:
            ValueError: if `min_count` is below 1.
            TypeError: if an argument is of another kind.
        """
        _kind("Lexicon.of", "sentences", sentences, TaggedSentences)
        least = check.size("Lexicon.of", "min_count", min_count, 1)
        counts = Counter(word for words in sentences.words for word in words)
        return cls(tuple(sorted(word for word, count in counts.items() if count >= least)))

    def encode(self, words: Sequence[str]) -> list[int]:
        """The number of each word, UNK for what is not here.

        Args:
            words: any.

        Returns:
            As many numbers.
        """
        numbers = {word: len(SPECIAL) + i for i, word in enumerate(self.words)}
        return [numbers.get(word, UNK) for word in words]


def tagging_arrays(sentences: TaggedSentences, lexicon: Lexicon) -> tuple[Array, Array, Array]:
    """Sentences as padded arrays.

    Args:
        sentences: N, the longest of T words.
        lexicon: numbers of the words.

    Returns:
        ids (N, T) int64, PAD behind the ends; tags (N, T) int64, NO_TAG behind the ends; lengths
        (N,) int64.

    Raises:
        ValueError: if there is no sentence.
        TypeError: if an argument is of another kind.
    """
    name = "tagging_arrays"
    _kind(name, "sentences", sentences, TaggedSentences)
    _kind(name, "lexicon", lexicon, Lexicon)
    if not len(sentences):
        check.refuse(name, "at least one sentence", 0)
    lengths = np.array([len(words) for words in sentences.words])
    on = np.arange(lengths.max()) < lengths[:, None]
    ids, tags = np.full(on.shape, PAD), np.full(on.shape, NO_TAG)
    ids[on] = lexicon.encode([word for words in sentences.words for word in words])
    tags[on] = [tag for row in sentences.tags for tag in row]
    return ids, tags, lengths


def _kind(function: str, name: str, value: object, kind: type) -> None:
    if not isinstance(value, kind):
        expected = f"{name} to be a {kind.__name__}"
        check.refuse(function, expected, check.describe(value), TypeError)
