"""Sentences changed in ways that mostly leave their meaning alone.

    random_deletion       each word goes with probability p; one is always left
    random_swap           two words change places, n times
    synonym_replacement   n words become one of their synonyms
    random_insertion      a synonym of some word comes in anywhere, n times
    character_noise       typing errors: a letter is lost, doubled by another, mistaken, or swapped

Synonyms come from a table that is given. Each draws from the generator that it is given.

Source: Wei & Zou 2019, arXiv:1901.11196 (EDA), section 2.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from datasets import check

Synonyms = Mapping[str, Sequence[str]]
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def random_deletion(words: Sequence[str], p: float, rng: np.random.Generator) -> list[str]:
    """Leave each word out with probability p.

    Args:
        words: of a sentence.
        p: probability.
        rng: what the choices are drawn from.

    Returns:
        The words that are left; where none were, one of them, drawn at random.

    Raises:
        ValueError: if p is no probability.
        TypeError: if an argument is of another type.
    """
    given = _words("random_deletion", words, rng)
    p = check.number("random_deletion", "p", p, 0, 1)
    keep = rng.random(len(given)) >= p
    if given and not keep.any():
        keep[rng.integers(len(given))] = True
    return [word for word, kept in zip(given, keep, strict=True) if kept]


def random_swap(words: Sequence[str], n: int, rng: np.random.Generator) -> list[str]:
    """Let two words change places, n times.

    Args:
        words: of a sentence.
        n: how often.
        rng: what the places are drawn from.

    Returns:
        The same words in another order; as they were where there are fewer than two.

    Raises:
        ValueError: if n is negative.
        TypeError: if an argument is of another type.
    """
    given = _words("random_swap", words, rng)
    n = check.size("random_swap", "n", n)
    for _ in range(n if len(given) > 1 else 0):
        i, j = rng.choice(len(given), 2, replace=False)
        given[i], given[j] = given[j], given[i]
    return given


def synonym_replacement(
    words: Sequence[str], n: int, synonyms: Synonyms, rng: np.random.Generator
) -> list[str]:
    """Put one of its synonyms for each of n words.

    Args:
        words: of a sentence.
        n: how many to replace; all that have synonyms, where those are fewer.
        synonyms: words that may stand for a word.
        rng: what the places and synonyms are drawn from.

    Returns:
        As many words.

    Raises:
        ValueError: if n is negative.
        TypeError: if an argument is of another type.
    """
    given = _words("synonym_replacement", words, rng)
    n = check.size("synonym_replacement", "n", n)
    table = _table("synonym_replacement", synonyms)
    places = [i for i, word in enumerate(given) if table.get(word)]
    for i in rng.permutation(places)[:n].astype(int):
        choices = table[given[i]]
        given[i] = choices[int(rng.integers(len(choices)))]
    return given


def random_insertion(
    words: Sequence[str], n: int, synonyms: Synonyms, rng: np.random.Generator
) -> list[str]:
    """Insert a synonym of one of the words at any place, n times.

    Args:
        words: of a sentence.
        n: how often.
        synonyms: words that may stand for a word.
        rng: what the words and places are drawn from.

    Returns:
        n words more; as they were where none has a synonym.

    Raises:
        ValueError: if n is negative.
        TypeError: if an argument is of another type.
    """
    given = _words("random_insertion", words, rng)
    n = check.size("random_insertion", "n", n)
    table = _table("random_insertion", synonyms)
    sources = [table[word] for word in given if table.get(word)]
    for _ in range(n if sources else 0):
        choices = sources[rng.integers(len(sources))]
        given.insert(int(rng.integers(len(given) + 1)), choices[int(rng.integers(len(choices)))])
    return given


def character_noise(
    text: str, p: float, rng: np.random.Generator, *, alphabet: str = LETTERS
) -> str:
    """Make typing errors.

    Args:
        text: what is typed.
        p: probability of an error at each character: that it is lost, that another comes before
            it, that another stands for it, or that it changes places with the next; each as
            likely.
        rng: what the errors are drawn from.
        alphabet: characters that come in.

    Returns:
        The text with errors.

    Raises:
        ValueError: if p is no probability or the alphabet is empty.
        TypeError: if an argument is of another type.
    """
    name = "character_noise"
    for label, value in (("text", text), ("alphabet", alphabet)):
        if not isinstance(value, str):
            check.refuse(name, f"{label} to be a string", check.describe(value), TypeError)
    p = check.number(name, "p", p, 0, 1)
    rng = check.generator(name, rng)
    if not alphabet:
        check.refuse(name, "an alphabet", "none")
    wrong = rng.random(len(text)) < p
    kinds = rng.integers(4, size=len(text))
    others = rng.integers(len(alphabet), size=len(text))
    typed, i = [], 0
    while i < len(text):
        letter, other = text[i], alphabet[others[i]]
        kind = ("lost", "inserted", "mistaken", "swapped")[kinds[i]] if wrong[i] else "right"
        if kind == "inserted":
            typed.append(other + letter)
        elif kind == "mistaken":
            typed.append(other)
        elif kind == "swapped" and i + 1 < len(text):
            typed.append(text[i + 1] + letter)
            i += 1
        elif kind != "lost":
            typed.append(letter)
        i += 1
    return "".join(typed)


def _words(function: str, words: Sequence[str], rng: np.random.Generator) -> list[str]:
    if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
        check.refuse(function, "a list of words", check.describe(words), TypeError)
    check.generator(function, rng)
    return list(words)


def _table(function: str, synonyms: Synonyms) -> Synonyms:
    if not isinstance(synonyms, Mapping) or not all(
        isinstance(word, str) and isinstance(others, list | tuple)
        for word, others in synonyms.items()
    ):
        expected = "synonyms to be lists of words by word"
        check.refuse(function, expected, check.describe(synonyms), TypeError)
    return synonyms
