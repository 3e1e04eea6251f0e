"""Strings with one meaning each, parts that share none, ids that lead back to the strings."""

import datetime
from typing import Any

import numpy as np
import pytest

from datasets.translation import (
    BOS,
    CASES,
    EOS,
    FIRST,
    FORMATS,
    LAST,
    PAD,
    Pairs,
    Vocabulary,
    dates,
    reversal,
    written,
)

DAY = datetime.date(1998, 3, 3)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("{d} {month} {year}", "3 March 1998"),
        ("{day}, {dd}-{mon}-{yy}", "Tue, 03-Mar-98"),
        ("{month} {nth}, {year}", "March 3rd, 1998"),
        ("{weekday}, {month} {d}, {year}", "Tuesday, March 3, 1998"),
        ("{m}/{dd}/{yy}", "3/03/98"),
        ("{year}{mm}{dd}", "19980303"),
    ],
)
def test_written(form: str, text: str) -> None:
    assert written(DAY, form) == text


def test_ordinals() -> None:
    days = {1: "1st", 2: "2nd", 3: "3rd", 4: "4th", 11: "11th", 12: "12th", 13: "13th"}
    days |= {20: "20th", 21: "21st", 22: "22nd", 23: "23rd", 30: "30th", 31: "31st"}
    assert {d: written(datetime.date(2001, 1, d), "{nth}") for d in days} == days


def test_every_way_to_write_has_one_meaning() -> None:
    """Over all days of a month of each kind of year, and all years of a day."""
    days = [FIRST + datetime.timedelta(n) for n in range(800)]
    days += [datetime.date(year, 2, 11) for year in range(FIRST.year, LAST.year + 1)]
    found: dict[str, datetime.date] = {}
    for day in days:
        for form in FORMATS:
            for case in CASES:
                assert found.setdefault(case(written(day, form)), day) == day


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("make", [dates, reversal])
def test_parts_share_nothing(make: Any, seed: int) -> None:
    train, test = make(600, 200, seed=seed)
    assert (len(train), len(test)) == (600, 200)
    for part in (train, test):
        assert len(set(part.sources())) == len(part)
    assert not set(train.sources()) & set(test.sources())
    if make is dates:
        assert not set(train.targets()) & set(test.targets())
        for source, target in zip(test.sources(), test.targets(), strict=True):
            day = datetime.date.fromisoformat(target)
            assert source in {case(written(day, form)) for form in FORMATS for case in CASES}
    else:
        assert all(s == t[::-1] for s, t in zip(train.sources(), train.targets(), strict=True))
    again, _ = make(600, 200, seed=seed)
    np.testing.assert_array_equal(again.source, train.source)
    other, _ = make(600, 200, seed=seed + 2)
    assert not set(train.sources()) >= set(other.sources())


def test_ids_and_padding() -> None:
    letters = Vocabulary("ab")
    pairs = Pairs.of(["a", "bab"], ["b", ""], letters, Vocabulary("b"))
    np.testing.assert_array_equal(pairs.source, [[3, PAD, PAD], [4, 3, 4]])
    np.testing.assert_array_equal(pairs.source_lengths, [1, 3])
    np.testing.assert_array_equal(pairs.target, [[BOS, 3, EOS], [BOS, EOS, PAD]])
    np.testing.assert_array_equal(pairs.target_lengths, [3, 2])
    np.testing.assert_array_equal(pairs.target_in, [[BOS, 3], [BOS, EOS]])
    np.testing.assert_array_equal(pairs.target_out, [[3, EOS], [EOS, PAD]])
    assert pairs.sources() == ["a", "bab"]
    assert pairs.targets() == ["b", ""]
    first = pairs[np.array([0])]
    assert first.source.shape == (1, 1)
    assert first.target.shape == (1, 3)
    assert pairs[1:].target.shape == (1, 2)
    assert len(letters) == 5
    assert letters.decode([BOS, 4, 3, PAD, EOS, 4]) == "ba"


def test_lengths_are_drawn_alike() -> None:
    train, _ = reversal(4000, 100, 3, 6)
    counts = np.bincount(train.source_lengths)
    assert counts[:3].sum() == 0
    assert counts[3:].min() > 900


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: dates(0), "dates"),
        (lambda: dates(10, 10**6), "dates"),
        (lambda: dates(10, 10, seed=-1), "dates"),
        (lambda: reversal(0), "reversal"),
        (lambda: reversal(10, 10, 4, 3), "reversal"),
        (lambda: reversal(10, 10, 1, 3, ""), "reversal"),
        (lambda: reversal(10, 10, 1, 3, "aba"), "reversal"),
        (lambda: reversal(10, 10, 1, 3, "ab"), "reversal"),
        (lambda: Vocabulary("ab").encode("abc"), "Vocabulary.encode"),
        (lambda: Vocabulary("ab").decode([5]), "Vocabulary.decode"),
        (lambda: Pairs.of(["a"], [], Vocabulary("a"), Vocabulary("a")), "Pairs.of"),
        (lambda: Pairs.of([""], ["a"], Vocabulary("a"), Vocabulary("a")), "Pairs.of"),
    ],
)
def test_bad_input_is_refused(call: Any, name: str) -> None:
    with pytest.raises((ValueError, TypeError), match=rf"^{name}: expected .+, got .+"):
        call()
