"""Every catalog entry agrees with torch, and every mutant of a pitfall is caught."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from parity_tests.catalog import ENTRIES
from parity_tests.harness.check import check, first_difference
from parity_tests.harness.entry import Entry
from parity_tests.pitfalls import PITFALLS
from parity_tests.pitfalls.entry import Pitfall


def label(entry: Entry) -> str:
    return f"{entry.kind}:{entry.name}"


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("entry", ENTRIES, ids=label)
def test_twins_agree(entry: Entry, dtype: Any, device: str) -> None:
    failed = [str(c) for c in check(entry, dtype, device) if not c.passed]
    assert not failed, "\n".join(failed)


def test_names_are_unique() -> None:
    names = [label(entry) for entry in ENTRIES]
    assert len(names) == len(set(names))
    assert len(PITFALLS) == len({p.name for p in PITFALLS})


@pytest.mark.parametrize("pitfall", PITFALLS, ids=lambda p: p.name)
def test_mutant_is_caught(pitfall: Pitfall) -> None:
    """The entry passes as it is (test_twins_agree); with the mutant, a number must differ."""
    entry = next(e for e in ENTRIES if e.name == pitfall.entry)
    assert first_difference(dataclasses.replace(entry, scratch=pitfall.mutant)) is not None
