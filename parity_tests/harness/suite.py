"""The whole suite as a list of jobs: catalog entries, mutants, PyTorch's databases."""

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from parity_tests.catalog import ENTRIES, FAMILIES
from parity_tests.harness import database
from parity_tests.harness.check import check, first_difference
from parity_tests.harness.compare import Comparison
from parity_tests.harness.entry import Entry
from parity_tests.harness.report import Row
from parity_tests.pitfalls import PITFALLS
from parity_tests.pitfalls.entry import Pitfall


@dataclass(frozen=True)
class Job:
    """Something to run that ends in one row."""

    family: str
    kind: str
    name: str
    dtype: str
    source: str
    compare: Callable[[], list[Comparison]]

    def run(self) -> Row:
        """Run it."""
        started = time.perf_counter()
        found = self.compare()
        seconds = time.perf_counter() - started
        return Row(self.family, self.kind, self.name, self.dtype, found, seconds, self.source)


def plan(device: str, dtypes: list[str]) -> list[Job]:
    """Everything that `parity run` runs, in the order of the table."""
    jobs = []
    for family in FAMILIES:
        name = family.__name__.split(".")[-1]
        jobs += [
            entry_job(name, entry, dtype, device) for entry in family.ENTRIES for dtype in dtypes
        ]
    jobs += [pitfall_job(pitfall) for pitfall in PITFALLS]
    for dtype in dtypes:
        jobs += [
            database_job(name, dtype, samples=_module_samples)
            for name in database.present_modules()
        ]
        jobs += [
            database_job(name, dtype, samples=_function_samples)
            for name in database.present_functions()
        ]
    return jobs


def entry_job(family: str, entry: Entry, dtype: str, device: str) -> Job:
    """A catalog entry in one dtype."""
    return Job(
        family,
        entry.kind,
        entry.name,
        dtype,
        entry.source,
        lambda: check(entry, np.dtype(dtype), device),
    )


def pitfall_job(pitfall: Pitfall) -> Job:
    """A mutant: one comparison, which holds if the suite notices it."""

    def compare() -> list[Comparison]:
        entry = next(e for e in ENTRIES if e.name == pitfall.entry)
        difference = first_difference(dataclasses.replace(entry, scratch=pitfall.mutant))
        note = "" if difference else "the other convention passes unnoticed"
        return [Comparison("mutant caught", 0, 0, note=note)]

    return Job(
        "mutants, to be caught",
        "pitfall",
        pitfall.name,
        "float64",
        pitfall.difference,
        compare,
    )


def database_job(name: str, dtype: str, samples: Callable[[str, str], list[Comparison]]) -> Job:
    """All of PyTorch's samples of one class or function."""
    kind = "module" if samples is _module_samples else "function"
    short = name.removeprefix("nn.").removeprefix("functional.")
    family = f"PyTorch's {kind} database"
    return Job(family, "samples", short, dtype, "torch.testing", lambda: samples(name, dtype))


def _module_samples(name: str, dtype: str) -> list[Comparison]:
    """All samples of a module class in both modes, and its error inputs."""
    tallies = [database.run_module(name, np.dtype(dtype), training) for training in (True, False)]
    return [c for tally in (*tallies, database.run_module_errors(name)) for c in _tally(tally)]


def _function_samples(name: str, dtype: str) -> list[Comparison]:
    return _tally(database.run_function(name, np.dtype(dtype)))


def _tally(tally: database.Tally) -> list[Comparison]:
    passed = [Comparison("sample", 0, 0)] * tally.passed
    return passed + [Comparison("sample", 0, 0, note=failure) for failure in tally.failures]
