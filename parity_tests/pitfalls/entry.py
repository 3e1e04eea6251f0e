"""A pitfall: a convention that someone else follows, planted in place of ours."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Pitfall:
    """One convention in which implementations differ.

    Attributes:
        name: what it is about.
        entry: name of the catalog entry that must notice.
        difference: torch's choice and the other one.
        mutant: stands in for the entry's `scratch` side and follows the other convention.
    """

    name: str
    entry: str
    difference: str
    mutant: Callable[..., Any]
