"""What an experiment hands back: claims that the run proved or did not, numbers, figures."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from parity_tests.harness.report import write_atomically


@dataclass(frozen=True)
class Claim:
    """One outcome that the experiment asserts, with what was measured."""

    text: str
    measured: str
    holds: bool


@dataclass
class Outcome:
    """Everything that one run of an experiment found.

    Attributes:
        name: the experiment.
        claims: what it asserts.
        numbers: what was measured, ready for JSON.
        figures: paths of the pictures.
        text: a table or trace to print, if the experiment has one.
    """

    name: str
    claims: list[Claim] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)
    figures: list[Path] = field(default_factory=list)
    text: str = ""

    def claim(self, text: str, measured: str, holds: bool) -> None:
        """Record one claim."""
        self.claims.append(Claim(text, measured, bool(holds)))

    @property
    def failed(self) -> list[Claim]:
        """Claims that did not hold."""
        return [claim for claim in self.claims if not claim.holds]

    def save(self, out: Path) -> Path:
        """Write the numbers and claims beside the figures."""
        path = out / f"{self.name}.json"
        claims = [vars(claim) for claim in self.claims]
        write_atomically(path, json.dumps({"claims": claims, "numbers": self.numbers}, indent=1))
        return path
