"""Real series, as measured, in small files beside this one: nothing is downloaded.

    sunspots   (309,) yearly mean sunspot number, 1700 to 2008       about 11 years a cycle
    co2        (802,) ppm of CO2 at Mauna Loa, monthly, 3/1958 to 12/2024    12 months a season
    airline    (144,) thousands of airline passengers, monthly, 1949 to 1960    12 months

`forecast` beside this file makes windows to learn from of them.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets import check
from datasets.check import Array

FILES = Path(__file__).with_name("csv")


@dataclass(frozen=True, eq=False)
class Series:
    """Values at equal distances in time.

    Args:
        values: (n,) float64, in `unit`.
        year: (n,) float64, when each step begins: March 1958 is 1958 + 2 / 12.
        per_year: steps in a year.
        period: steps after which the series comes round again, exactly or about.
        unit: of the values.
        source: where the data comes from.
    """

    values: Array
    year: Array
    per_year: int
    period: int
    unit: str
    source: str

    def __post_init__(self) -> None:
        values: object = self.values
        if not isinstance(values, np.ndarray) or values.dtype != np.float64:
            got = check.describe(values)
            check.refuse("Series", "values to be a float64 array", got, TypeError)
        if values.ndim != 1 or not np.isfinite(values).all():
            check.refuse("Series", "finite values of shape (n,)", check.describe(values))
        if np.shape(self.year) != values.shape:
            check.refuse("Series", f"year of shape {values.shape}", np.shape(self.year))
        check.size("Series", "per_year", self.per_year, 1)
        check.size("Series", "period", self.period, 1)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def season(self) -> Array:
        """Where in the year each step lies, as a point on a circle.

        Returns:
            (n, 2): sine and cosine of the angle, 0 at the year's start; (n, 0) of a yearly series.
        """
        if self.per_year == 1:
            return np.empty((len(self), 0))
        step = np.rint(self.year * self.per_year) % self.per_year
        angle = 2 * np.pi * step / self.per_year
        return np.stack([np.sin(angle), np.cos(angle)], axis=1)


def sunspots() -> Series:
    """Yearly mean of the international sunspot number, its first version, 1700 to 2008.

    Returns:
        309 values from 0 to 190.2, a cycle of about 11 years. (Since 2015 there is a second
        version, in which most years have about 1.5 times as many.)

    Source: SILSO, Royal Observatory of Belgium, by way of NOAA's National Geophysical Data Center;
    the file is statsmodels', where it is in the public domain.
    """
    return _read("sunspots", 11, "sunspot number", "SILSO, by way of NOAA and statsmodels")


def co2() -> Series:
    """Monthly mean of CO2 in dry air at Mauna Loa, March 1958 to December 2024.

    Returns:
        802 values from 312.42 to 426.91 ppm that rise, faster and faster, and go up and down
        with the seasons. In months without measurements NOAA has interpolated.

    Source: Keeling, Scripps Institution of Oceanography, and Tans & Lan, NOAA Global Monitoring
    Laboratory, gml.noaa.gov/ccgg/trends, scale X2019; the file is datahub.io's "co2-ppm", which
    is in the public domain.
    """
    return _read("co2", 12, "ppm", "NOAA GML and Scripps, by way of datahub.io")


def airline() -> Series:
    """Passengers of international airlines, monthly totals, January 1949 to December 1960.

    Returns:
        144 values from 104 to 622 thousand: a rise, and seasons that grow with it.

    Source: Brown 1963, Smoothing, Forecasting and Prediction; series G of Box & Jenkins 1970, Time
    Series Analysis; R's AirPassengers.
    """
    return _read("airline", 12, "thousand passengers", "Box & Jenkins 1970, series G")


def _read(name: str, period: int, unit: str, source: str) -> Series:
    """A file with a header and, in each row, the time, YYYY or YYYY-MM, and the value."""
    rows = np.loadtxt(FILES / f"{name}.csv", str, delimiter=",", skiprows=1)
    monthly = "-" in rows[0, 0]
    dates = [time.split("-") for time in rows[:, 0].tolist()]
    year = np.array([int(y) + sum((int(m) - 1) / 12 for m in month) for y, *month in dates])
    values = rows[:, 1].astype(np.float64)
    return Series(values, year.astype(np.float64), 12 if monthly else 1, period, unit, source)
