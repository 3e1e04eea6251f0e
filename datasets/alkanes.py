"""Boiling points of alkanes and their carbon skeletons, from ethane to the nonanes.

    names      IUPAC names of a chain with methyl and ethyl groups say what is bonded to what
    W          path number (Wiener index): sum of the distances between all pairs of carbons
    p          polarity number: pairs of carbons three bonds apart
    Wiener     t - t_n = k (W_n - W) / n^2 + b (p_n - p)    n carbons; t_n, W_n, p_n of the straight
               chain with as many                           k = 98, b = 5.5 in his paper
    values     degrees Celsius at 1 atm

All isomers from C2 to C8 are here, 39, and 33 of the 35 nonanes. A value stands here only if two
compilations have it within 0.3 degrees: of 2,5-dimethylheptane and 3-ethyl-2,3-dimethylpentane
they have 134.9 to 136.0 and 141.6 to 144.7, so these two are left out.

Sources: CRC Handbook of Chemistry and Physics, enthalpy of vaporization and physical constants of
organic compounds; Yaws 2014, Thermophysical Properties of Chemicals and Hydrocarbons; NIST
Chemistry WebBook; CAS Common Chemistry. The task and the formula: Wiener 1947, Structural
determination of paraffin boiling points, J. Am. Chem. Soc. 69(1), 17-20.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets import check
from datasets.check import Array

FILE = Path(__file__).with_name("csv") / "alkanes.csv"
STEMS = ("meth", "eth", "prop", "but", "pent", "hex", "hept", "oct", "non", "dec")
GROUPS = {"methyl": 1, "ethyl": 2}
TIMES = {"": 1, "di": 2, "tri": 3, "tetra": 4}
WIENER_1947 = (-689.4, 745.42, -98.0, -5.5)  # of `wiener_terms`
GROUP = re.compile(r"([1-9](?:,[1-9])*)-(di|tri|tetra|)(methyl|ethyl)-?")


@dataclass(frozen=True, eq=False)
class Alkane:
    """A carbon skeleton: a tree of single bonds.

    Attributes:
        name: IUPAC.
        bonds: pairs of carbons (n - 1, 2), the longest chain first.
        celsius: boiling point at 1 atm, NaN where none is known.
    """

    name: str
    bonds: Array
    celsius: float = float("nan")

    @property
    def carbons(self) -> int:
        """n."""
        return len(self.bonds) + 1

    @property
    def neighbours(self) -> Array:
        """Number of carbons that each is bonded to, 1 for CH3 to 4 for C, (n,)."""
        return np.bincount(self.bonds.ravel(), minlength=self.carbons)

    @property
    def distances(self) -> Array:
        """Bonds between each two carbons, (n, n)."""
        n = self.carbons
        reached = np.eye(n, dtype=bool)
        step = reached.copy()
        step[tuple(self.bonds.T)] = step[tuple(self.bonds.T[::-1])] = True
        distances = np.zeros((n, n), np.int64)
        while not reached.all():
            distances += ~reached
            reached = reached @ step
        return distances

    @property
    def wiener(self) -> int:
        """W."""
        return int(self.distances.sum()) // 2

    @property
    def polarity(self) -> int:
        """p."""
        return int((self.distances == 3).sum()) // 2


@dataclass(frozen=True, eq=False)
class GraphBatch:
    """Several graphs in one that is not connected.

    Attributes:
        x: features of the nodes (N, F).
        edge_index: (2, E), row 0 sources, row 1 targets; each bond in both directions.
        batch: graph of each node (N,).
    """

    x: Array
    edge_index: Array
    batch: Array


def alkane(name: str, celsius: float = float("nan")) -> Alkane:
    """The skeleton that a name describes.

    Args:
        name: IUPAC name of an alkane of up to ten carbons in its chain, with methyl and ethyl
            groups, such as "3-ethyl-2,2-dimethylpentane".
        celsius: its boiling point.

    Returns:
        The carbons of the chain first, the groups' behind them in the name's order.

    Raises:
        TypeError: if the name is no string.
        ValueError: if it is none of an alkane, or a carbon would have more than four bonds.
    """
    if not isinstance(name, str):
        check.refuse("alkane", "name to be a string", check.describe(name), TypeError)
    groups, end = [], 0
    while found := GROUP.match(name, end):
        places, times, group = found.groups()
        at = [int(place) for place in places.split(",")]
        if len(at) != TIMES[times]:
            check.refuse("alkane", f"{TIMES[times]} places of {times}{group}", repr(name))
        groups += [(place, GROUPS[group]) for place in at]
        end = found.end()
    stem = name[end:].removesuffix("ane")
    if not name.endswith("ane") or stem not in STEMS:
        check.refuse("alkane", "the name of an alkane with methyl and ethyl groups", repr(name))
    n = STEMS.index(stem) + 1
    if any(place > n for place, _ in groups):
        check.refuse("alkane", f"places on a chain of {n}", repr(name))
    bonds = [(i, i + 1) for i in range(n - 1)]
    for place, size in groups:
        first = len(bonds) + 1
        bonds += [(place - 1, first), *((i, i + 1) for i in range(first, first + size - 1))]
    made = Alkane(name, np.array(bonds, np.int64).reshape(-1, 2), celsius)
    if made.neighbours.max() > 4:
        check.refuse("alkane", "at most four bonds at each carbon", repr(name))
    return made


def alkanes() -> list[Alkane]:
    """72 alkanes with their boiling points, by number of carbons and then by boiling point.

    Returns:
        From ethane, -88.6 degrees Celsius, to nonane, 150.8.
    """
    with FILE.open(newline="", encoding="utf-8") as file:
        return [alkane(row["name"], float(row["celsius"])) for row in csv.DictReader(file)]


def graph_batch(molecules: Sequence[Alkane]) -> GraphBatch:
    """Several skeletons as one graph.

    Args:
        molecules: one or more.

    Returns:
        x (N, 4) float64, one-hot: CH3, CH2, CH, C by the carbons that each is bonded to, with
        edge_index and batch.

    Raises:
        TypeError: if they are no alkanes.
        ValueError: if there is none.
    """
    _check("graph_batch", molecules)
    sizes = np.array([m.carbons for m in molecules])
    starts = np.cumsum(sizes) - sizes
    bonds = np.concatenate([m.bonds + start for m, start in zip(molecules, starts, strict=True)])
    neighbours = np.concatenate([m.neighbours for m in molecules])
    return GraphBatch(
        (neighbours[:, None] == np.arange(1, 5)).astype(np.float64),
        np.concatenate([bonds, bonds[:, ::-1]]).T.copy(),
        np.repeat(np.arange(len(molecules)), sizes),
    )


def wiener_terms(molecules: Sequence[Alkane]) -> Array:
    """What Wiener's formula is linear in, with Egloff's logarithm for the straight chain.

    Args:
        molecules: one or more.

    Returns:
        (n, 4): 1, log10(carbons + 4.4), (W_n - W) / n^2, p_n - p. With the coefficients
        (-689.4, 745.42, -98, -5.5) it is the formula of 1947.

    Raises:
        TypeError: if they are no alkanes.
        ValueError: if there is none.

    Source: Wiener 1947, equation 4; Egloff, Sherman & Dull 1940, J. Phys. Chem. 44(6), 730-745.
    """
    _check("wiener_terms", molecules)
    n = np.array([m.carbons for m in molecules], np.float64)
    w, p = (np.array([getattr(m, name) for m in molecules]) for name in ("wiener", "polarity"))
    straight_w, straight_p = n * (n * n - 1) / 6, np.maximum(n - 3, 0)
    terms = [np.ones_like(n), np.log10(n + 4.4), (straight_w - w) / n**2, straight_p - p]
    return np.stack(terms, axis=1)


def _check(function: str, molecules: object) -> None:
    if not isinstance(molecules, Sequence) or not all(isinstance(m, Alkane) for m in molecules):
        expected = "molecules to be a sequence of Alkane"
        check.refuse(function, expected, check.describe(molecules), TypeError)
    if not molecules:
        check.refuse(function, "at least one molecule", "none")
