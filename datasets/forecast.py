"""From a series to windows that a network learns to forecast from, and what it has to beat.

    u   = y, log y or sqrt y
    w   = (1 - B^l) (1 - B^m) ... u            B u_t = u_{t-1}: differences at the given lags
    b   = the u that would follow from o on if w were 0 from there: the forecast to improve on
    x   = rows o - context to o - 1 of [(w - mean) / std, season]          (context, features)
    t   = (u_{o+i} - b_{o+i} - mean_i) / std_i     i = 0 ... horizon - 1   (horizon, 1)

With the lag 1, b is the last value; with a season's lag, the value a season ago; with both, that
and the growth since; without, nothing. All means and deviations are those of the training part,
which ends where the first window of the test part begins to forecast. A test window's context may
reach into the training part, and does: that is known by then.

    naive            y_{o-1}
    drift            y_{o-1} + (i + 1) (y_{o-1} - y_0) / (o - 1)
    seasonal naive   y at the last time that was whole seasons before o + i
    seasonal drift   that + y_{o-1} - y_{o-1-season}

Source of the four: Hyndman & Athanasopoulos 2021, Forecasting: Principles and Practice, section
5.2; of the differences: Box & Jenkins 1970, Time Series Analysis, chapter 9.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from datasets import check
from datasets.check import Array
from datasets.series import Series

Map = Callable[[Array], Array]
TRANSFORMS: dict[str, tuple[Map, Map]] = {
    "none": (lambda y: y, lambda u: u),
    "log": (np.log, np.exp),
    "sqrt": (np.sqrt, lambda u: np.square(np.maximum(u, 0.0))),
}


def windows(rows: Array, context: int, horizon: int) -> tuple[Array, Array]:
    """Every stretch of rows, and what comes after it.

    Args:
        rows: (n, features), in order of time.
        context: length of a stretch.
        horizon: how many rows come after.

    Returns:
        (m, context, features) and (m, horizon, features), m = n - context - horizon + 1: window k
        holds rows k to k + context - 1, and the horizon rows from k + context on. Both are views.

    Raises:
        ValueError: if there are fewer than context + horizon rows, or a size is below 1.
        TypeError: if rows are no array.
    """
    name = "windows"
    if not isinstance(rows, np.ndarray):
        check.refuse(name, "rows to be an array", check.describe(rows), TypeError)
    context = check.size(name, "context", context, 1)
    horizon = check.size(name, "horizon", horizon, 1)
    if rows.ndim != 2 or len(rows) < context + horizon:
        expected = f"rows of shape (n >= {context} + {horizon}, features)"
        check.refuse(name, expected, rows.shape)
    whole = np.lib.stride_tricks.sliding_window_view(rows, context + horizon, axis=0)
    whole = whole.transpose(0, 2, 1)  # (m, context + horizon, features)
    return whole[:, :context], whole[:, context:]


@dataclass(frozen=True, eq=False)
class Forecasting:
    """Windows of one series: to learn from, and later ones to be judged by.

    Args:
        x: training inputs (n, context, features).
        t: training targets (n, horizon, 1).
        test_x: inputs (m, context, features), one for each origin.
        truth: what came, (m, horizon), in the series' unit.
        origins: (m,) int64, the first step that each test window forecasts.
        base: (m, horizon), b of the test windows.
        mean: (horizon,), of what is left of the training targets.
        std: (horizon,).
        transform: that makes u of y.
    """

    x: Array
    t: Array
    test_x: Array
    truth: Array
    origins: Array
    base: Array
    mean: Array
    std: Array
    transform: str

    def values(self, output: Array) -> Array:
        """What a network's outputs for `test_x` say, in the series' unit.

        Args:
            output: (m, horizon, 1), as t.

        Returns:
            (m, horizon) float64.

        Raises:
            ValueError: if the output has another shape.
        """
        if np.shape(output) != (*self.base.shape, 1):
            expected = f"output of shape {(*self.base.shape, 1)}"
            check.refuse("Forecasting.values", expected, np.shape(output))
        _, back = TRANSFORMS[self.transform]
        found: Array = back(self.base + self.mean + self.std * output[..., 0])
        return found


def forecasting(
    series: Series,
    context: int,
    horizon: int,
    test: int,
    transform: str = "none",
    lags: Sequence[int] = (),
) -> Forecasting:
    """Cut a series into windows, the last `test` steps for the test.

    Args:
        series: with n values.
        context: steps that the network sees.
        horizon: steps that it forecasts.
        test: steps of the test part: every origin from n - test on with all its horizon within.
        transform: 'none', 'log' (of values above 0) or 'sqrt' (of values from 0 on).
        lags: of the differences that are taken.

    Returns:
        The windows, float64, with features w, and of a series with seasons in the year the sine
        and the cosine of the month.

    Raises:
        ValueError: if there are not enough steps in either part, an option is unknown, or the
            transform is not defined for a value.
        TypeError: if an argument is of the wrong type.
    """
    name = "forecasting"
    context = check.size(name, "context", context, 1)
    horizon = check.size(name, "horizon", horizon, 1)
    steps = [check.size(name, "every lag", lag, 1) for lag in lags]
    if transform not in TRANSFORMS:
        check.refuse(name, f"transform to be one of {', '.join(TRANSFORMS)}", repr(transform))
    lowest = float(series.values.min())
    if (transform == "log" and lowest <= 0) or (transform == "sqrt" and lowest < 0):
        check.refuse(name, f"values that {transform} is defined for", lowest)
    lost = sum(steps)  # values without a difference, at the start
    test = check.size(name, "test", test, horizon)
    cut = len(series) - test
    if cut < lost + context + horizon:
        expected = f"{lost + context + horizon} steps or more before the test part"
        check.refuse(name, expected, f"{cut} of {len(series)}")

    forth, _ = TRANSFORMS[transform]
    u = forth(series.values)
    weights = _operator(steps)
    w = np.convolve(u, weights, "valid")[:, None]  # w[k] belongs to step lost + k
    known = w[: cut - lost]
    rows = np.concatenate([(w - known.mean()) / known.std(), series.season[lost:]], axis=1)

    inputs, _ = windows(rows, context, horizon)
    _, later = windows(u[lost:, None], context, horizon)
    origins = lost + context + np.arange(len(inputs))
    base = _continued(u, weights, origins, horizon)
    left = later[..., 0] - base
    train = origins + horizon <= cut
    test_rows = origins >= cut
    mean, std = left[train].mean(0), left[train].std(0)
    _, truth = windows(series.values[lost:, None], context, horizon)
    return Forecasting(
        np.ascontiguousarray(inputs[train]),
        ((left[train] - mean) / std)[..., None],
        np.ascontiguousarray(inputs[test_rows]),
        truth[test_rows, :, 0].copy(),
        origins[test_rows],
        base[test_rows],
        mean,
        std,
        transform,
    )


def _operator(lags: Sequence[int]) -> Array:
    """c with w_t = sum_k c_k u_{t-k}: the product of 1 - B^lag, as a polynomial in B."""
    c = np.ones(1)
    for lag in lags:
        c = np.convolve(c, np.concatenate([[1.0], np.zeros(lag - 1), [-1.0]]))
    return c


def _continued(u: Array, c: Array, origins: Array, horizon: int) -> Array:
    """b (m, horizon): from each origin on the u with sum_k c_k u_{t-k} = 0."""
    past = len(c) - 1
    known = u[origins[:, None] + np.arange(-past, 0)]  # (m, past), the last one just before
    b = np.concatenate([known, np.zeros((len(origins), horizon))], axis=1)
    for i in range(past, past + horizon):
        b[:, i] = -b[:, i - past : i] @ c[:0:-1]
    return b[:, past:]


def baselines(series: Series, origins: Array, horizon: int) -> dict[str, Array]:
    """Forecasts that need no learning, from the values before each origin.

    Args:
        series: with n values.
        origins: (m,) integers, the first step that each forecasts; after the first season.
        horizon: steps to forecast.

    Returns:
        (m, horizon) each, in the series' unit: 'naive', 'drift', 'seasonal naive', 'seasonal
        drift'.

    Raises:
        ValueError: if an origin has no season before it or lies beyond the end.
        TypeError: if the origins are not integers.
    """
    name, y, season = "baselines", series.values, series.period
    horizon = check.size(name, "horizon", horizon, 1)
    if not isinstance(origins, np.ndarray) or origins.dtype.kind not in "iu" or origins.ndim != 1:
        expected = "origins to be an integer array of shape (m,)"
        check.refuse(name, expected, check.describe(origins), TypeError)
    if origins.size and not season < origins.min() <= origins.max() <= len(y):
        expected = f"origins in [{season + 1}, {len(y)}]"
        check.refuse(name, expected, f"{origins.min()} to {origins.max()}")
    steps = np.arange(horizon)
    last = y[origins - 1][:, None]
    ago = y[origins[:, None] - season + steps % season]
    return {
        "naive": np.repeat(last, horizon, axis=1),
        "drift": last + (steps + 1) * (last - y[0]) / (origins - 1)[:, None],
        "seasonal naive": ago,
        "seasonal drift": ago + (1 + steps // season) * (last - y[origins - 1 - season][:, None]),
    }
