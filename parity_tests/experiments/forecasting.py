"""Real series forecast by LSTM, GRU and TCN, against forecasts that need no learning.

    sunspots   sqrt, 11 years ahead                                the last 80 years for the test
    CO2        differences over a year and a month, 12 months ahead           the last 240 months
    airline    the same of the logarithm, 12 months ahead                      the last 36 months

Guide: time series forecasting [6761-6850]. There nothing is forecast: what is called the LSTM's
forecast is the test data with noise added, so its errors are those of the noise, and with nothing
beside them they would say little anyway. Here both twins are trained on the first part of three
real series and forecast the rest from every month or year in it, given what came before. Whether
that is any good is seen against the last value, the value a season ago, and that plus the growth
since. Where a network does not beat these, the claims say so.

One recipe for all, chosen on the last part of the training data: 16 units, AdamW at 0.003 with a
decay of 1, 200 batches of 32.

Sources: Hyndman & Athanasopoulos 2021, Forecasting: Principles and Practice, chapter 5; Bai, Kolter
& Koltun 2018, arXiv:1803.01271.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

import scratch.models
import torch_ref.models
from datasets.forecast import Forecasting, baselines, forecasting
from datasets.series import Series, airline, co2, sunspots
from datasets.split import batch_stream
from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, figure
from parity_tests.experiments.twins import Twins, alike, apart
from parity_tests.harness.draw import Array
from scratch.training import metrics
from torch_ref.training import metrics as torch_metrics

UNITS, BATCH, LEVELS, TAPS = 16, 32, 4, 3
OPTIONS = {"lr": 0.003, "weight_decay": 1.0}
KINDS = ("LSTM", "GRU", "TCN")
COLOURS = dict(zip(KINDS, (CLASSES[1], CLASSES[2], CLASSES[0]), strict=True))
STYLES = {"naive": ":", "drift": "", "seasonal naive": "--", "seasonal drift": "-."}
RAW = "LSTM on CO2 as it is"


@dataclass(frozen=True)
class Setup:
    """How a series is cut and what is done to it.

    Attributes:
        load: reads it.
        transform: as `forecasting` takes it.
        lags: likewise.
        context: steps that a network sees.
        horizon: steps ahead.
        test: steps at the end.
    """

    load: Callable[[], Series]
    transform: str
    lags: tuple[int, ...]
    context: int
    horizon: int
    test: int


SETUPS = {
    "sunspots": Setup(sunspots, "sqrt", (), 33, 11, 80),
    "CO2": Setup(co2, "none", (12, 1), 24, 12, 240),
    "airline": Setup(airline, "log", (12, 1), 24, 12, 36),
}
AS_IT_IS = Setup(co2, "none", (), 24, 12, 240)


@dataclass
class Run:
    """One network from one start; pairs are scratch's and torch's.

    Attributes:
        forecasts: (m, horizon) each, in the series' unit.
        losses: of each batch.
    """

    forecasts: tuple[Array, Array]
    losses: list[tuple[float, float]] = field(default_factory=list)


@dataclass
class Found:
    """Everything about one series.

    Attributes:
        series: itself.
        task: its windows.
        plain: forecasts of the baselines.
        runs: of each kind of network, start by start.
    """

    series: Series
    task: Forecasting
    plain: dict[str, Array]
    runs: dict[str, list[Run]]

    def rmse(self, forecast: Array, step: int | None = None) -> float:
        """Of all steps ahead, or of one."""
        chosen = np.s_[:] if step is None else np.s_[:, step]
        return metrics.rmse(forecast[chosen], self.task.truth[chosen])

    def errors(self, kind: str, step: int | None = None) -> Array:
        """RMSE of a kind of network, one for each start and twin."""
        return np.array([[self.rmse(f, step) for f in r.forecasts] for r in self.runs[kind]])

    def best(self, step: int | None = None) -> tuple[str, float]:
        """The best of the baselines, and its RMSE."""
        of = {name: self.rmse(forecast, step) for name, forecast in self.plain.items()}
        name = min(of, key=of.__getitem__)
        return name, of[name]


def twins(kind: str, features: int, horizon: int, seed: int) -> Twins:
    """Both networks from torch's start."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if kind == "TCN":
            sizes = features, horizon, (UNITS,) * LEVELS, TAPS
            return alike(scratch.models.TCN(*sizes), torch_ref.models.TCN(*sizes))
        args = features, UNITS, 1, horizon, 0.0, 1, kind
        theirs = torch_ref.models.LSTMForecaster(*args)
        return alike(scratch.models.LSTMForecaster(*args), theirs)


def learn(kind: str, task: Forecasting, steps: int, seed: int) -> Run:
    """Train both twins on the windows of the training part, and forecast from all of the test's."""
    pair = twins(kind, task.x.shape[-1], task.t.shape[1], seed)
    x, t, test_x = task.x, task.t, task.test_x
    if kind == "TCN":  # (n, channels, steps) to (n, horizon)
        x, test_x = (np.ascontiguousarray(a.swapaxes(1, 2)) for a in (x, test_x))
        t = t[..., 0]
    stream = batch_stream(len(x), BATCH, steps, seed)
    losses = list(pair.train("AdamW", OPTIONS, "mse_loss", x, t, stream))
    ours, theirs = (task.values(y.reshape(*task.truth.shape, 1)) for y in pair(test_x))
    return Run((ours, theirs), losses)


def cut(setup: Setup) -> tuple[Series, Forecasting]:
    """A series and its windows."""
    series = setup.load()
    args = setup.context, setup.horizon, setup.test, setup.transform, setup.lags
    return series, forecasting(series, *args)


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Train, forecast, compare.

    Args:
        out: folder for the figures.
        small: one start.
        seed: of the first start.

    Returns:
        Errors of networks and baselines, with the claims about them.
    """
    outcome = Outcome("forecasting")
    starts = range(seed, seed + (1 if small else 3))
    steps = 120 if small else 200
    found: dict[str, Found] = {}
    for name, setup in SETUPS.items():
        series, task = cut(setup)
        plain = baselines(series, task.origins, setup.horizon)
        runs = {kind: [learn(kind, task, steps, s) for s in starts] for kind in KINDS}
        found[name] = Found(series, task, plain, runs)
    raw = [learn("LSTM", cut(AS_IT_IS)[1], steps, s) for s in starts]
    _table(outcome, found)
    _agreement(outcome, found, raw)
    _claims(outcome, found, raw)
    paths = [out / f"forecasting_{name}.png" for name in ("forecasts", "horizon")]
    _draw_forecasts(paths[0], found)
    _draw_horizon(paths[1], found)
    outcome.figures += paths
    return outcome


def _table(outcome: Outcome, found: dict[str, Found]) -> None:
    """MAE, RMSE and MAPE one step ahead and over the whole horizon; networks: mean over starts."""
    lines = []
    for name, f in found.items():
        horizon = f.task.truth.shape[1]
        lines.append(
            f"{name}, {f.series.unit}: {len(f.task.truth)} forecasts      "
            f"1 ahead: MAE    RMSE    MAPE    1 to {horizon} ahead: MAE    RMSE    MAPE"
        )
        every: dict[str, list[Array]] = {kind: [forecast] for kind, forecast in f.plain.items()}
        every |= {kind: [r.forecasts[0] for r in runs] for kind, runs in f.runs.items()}
        for kind, forecasts in every.items():
            row = {}
            for ahead, chosen in (("1", np.s_[:, 0]), (f"1 to {horizon}", np.s_[:])):
                for measure in (metrics.mae, metrics.rmse, metrics.mape):
                    values = [measure(y[chosen], f.task.truth[chosen]) for y in forecasts]
                    row[f"{measure.__name__}, {ahead} ahead"] = float(np.mean(values))
            outcome.numbers.setdefault(name, {})[kind] = row
            a, b, c, d, e, g = row.values()
            lines.append(
                f"  {kind:<44}{a:8.2f}{b:8.2f}{c:8.1%}{'':20}{d:8.2f}{e:8.2f}{g:8.1%}".rstrip()
            )
    outcome.text = "\n".join(lines)


def _agreement(outcome: Outcome, found: dict[str, Found], raw: Sequence[Run]) -> None:
    """The twins' losses, forecasts and metrics."""
    runs = [r for f in found.values() for kind in KINDS for r in f.runs[kind]] + list(raw)
    losses = max(apart(*zip(*r.losses, strict=True)) for r in runs)
    forecasts = max(apart(*r.forecasts) for r in runs)
    measured = []
    for f in found.values():
        truth = torch.from_numpy(f.task.truth)
        for r in (r for kind in KINDS for r in f.runs[kind]):
            for name in ("mae", "rmse", "mape"):
                ours = getattr(metrics, name)(r.forecasts[0], f.task.truth)
                theirs = getattr(torch_metrics, name)(torch.from_numpy(r.forecasts[1]), truth)
                measured.append(abs(ours - theirs) / theirs)
    outcome.numbers["twins apart"] = {"losses": losses, "forecasts": forecasts}
    outcome.claim(
        f"both twins learn the same in all {len(runs)} runs",
        f"losses {losses:.0e}, forecasts {forecasts:.0e}, errors {max(measured):.0e} apart at most",
        max(losses, forecasts, *measured) < 1e-9,
    )


def _claims(outcome: Outcome, found: dict[str, Found], raw: Sequence[Run]) -> None:
    def range_of(values: Array) -> str:
        low, high = f"{values.min():.3g}", f"{values.max():.3g}"
        return low if low == high else f"{low} to {high}"

    def shown(f: Found, step: int | None = None) -> str:
        return ", ".join(f"{kind} {range_of(f.errors(kind, step))}" for kind in KINDS)

    def worst(f: Found, step: int | None = None) -> float:
        return max(float(f.errors(kind, step).max()) for kind in KINDS)

    spots, gas, flights = (found[name] for name in SETUPS)
    for step, ahead in ((0, "a year ahead"), (None, "over 11 years")):
        name, best = spots.best(step)
        outcome.claim(
            f"sunspots, {ahead}: every network from every start beats all four baselines",
            f"RMSE {shown(spots, step)}; the best baseline, {name}, {best:.3g}",
            worst(spots, step) < best,
        )
    plain = gas.rmse(gas.plain["seasonal naive"])
    name, best = gas.best()
    outcome.claim(
        "CO2, over 12 months: every network has less than half the error of the value a year ago",
        f"RMSE {shown(gas)} ppm; seasonal naive {plain:.3g}, naive "
        f"{gas.rmse(gas.plain['naive']):.3g}",
        worst(gas) < plain / 2,
    )
    outcome.claim(
        "and less than that of the best baseline, which adds the last year's growth",
        f"{shown(gas)}; {name} {best:.3g}",
        worst(gas) < best,
    )
    ours = np.array([[gas.rmse(f) for f in r.forecasts] for r in raw])
    outcome.numbers[RAW] = {"rmse": ours.mean()}
    outcome.claim(
        "the same LSTM on CO2 as it is, only standardised, is worse than the value a year ago: "
        "what it is to forecast lies beyond all that it has seen",
        f"RMSE {range_of(ours)} ppm; seasonal naive {plain:.3g}; {gas.task.truth.min():.0f} to "
        f"{gas.task.truth.max():.0f} ppm, {gas.series.values[: gas.task.origins[0]].max():.0f} "
        "before",
        bool(ours.min() > plain),
    )
    plain = flights.rmse(flights.plain["seasonal naive"])
    name, best = flights.best()
    outcome.claim(
        "airline, over 12 months: every network beats the value a year ago",
        f"RMSE {shown(flights)} thousand; seasonal naive {plain:.3g}",
        worst(flights) < plain,
    )
    lowest = {kind: flights.errors(kind).min() for kind in KINDS}
    outcome.claim(
        "but no network beats that plus the last year's growth: "
        f"{len(flights.task.x)} windows teach too little",
        f"{shown(flights)}; {name} {best:.3g}",
        min(lowest.values()) > best,
    )


def _draw_forecasts(path: Path, found: dict[str, Found]) -> None:
    with figure(path, len(found), 1, (11, 10)) as (fig, axes):
        for ax, (name, f) in zip(axes, found.items(), strict=True):
            horizon, first = f.task.truth.shape[1], f.task.origins[0]
            since = first - 3 * horizon
            if name == "CO2":  # of 20 years the first 8 are enough to see
                since, until = first - horizon, first + 8 * horizon
            else:
                until = len(f.series)
            ax.plot(f.series.year[since:until], f.series.values[since:until], color="0.2", lw=1.5)
            ax.axvline(f.series.year[first], color="0.6", lw=1)
            better, _ = f.best()
            drawn = {better: (f.plain[better], "0.55")}
            drawn |= {kind: (f.runs[kind][0].forecasts[0], COLOURS[kind]) for kind in KINDS}
            for kind, (forecast, colour) in drawn.items():
                for k in range(0, len(forecast), horizon):
                    o = f.task.origins[k]
                    if o + horizon > until:
                        break
                    at = f.series.year[o : o + horizon]
                    style = "--" if kind == better else "-"
                    ax.plot(at, forecast[k], style, color=colour, lw=1.3, label=None if k else kind)
            ax.plot([], [], color="0.2", lw=1.5, label="measured")
            ax.set_ylabel(f.series.unit)
            ax.legend(fontsize=8, ncols=5, loc="upper left")
            low, high = ax.get_ylim()
            ax.set_ylim(low, high + 0.15 * (high - low))
            ax.set_title(f"{name}: forecasts of {horizon} steps, one after the other")
        axes[-1].set_xlabel("year (the line: the test part begins)")


def _draw_horizon(path: Path, found: dict[str, Found]) -> None:
    with figure(path, 1, len(found), (14, 4.6)) as (fig, axes):
        for ax, (name, f) in zip(axes, found.items(), strict=True):
            steps = np.arange(f.task.truth.shape[1])
            for kind, forecast in f.plain.items():
                if STYLES[kind]:
                    of = [f.rmse(forecast, i) for i in steps]
                    ax.plot(steps + 1, of, STYLES[kind], color="0.5", lw=1.3, label=kind)
            for kind in KINDS:
                of = np.array([f.errors(kind, i) for i in steps])  # (steps, starts, twins)
                ax.plot(steps + 1, of[:, :, 0].mean(1), color=COLOURS[kind], label=kind)
                low, high = of[:, :, 0].min(1), of[:, :, 0].max(1)
                ax.fill_between(steps + 1, low, high, color=COLOURS[kind], alpha=0.2, lw=0)
                ax.plot(steps + 1, of[:, :, 1].mean(1), "o", mfc="none", mec=COLOURS[kind], ms=4)
            ax.set_ylim(0, 1.15 * max(f.rmse(f.plain["naive"], i) for i in steps))
            ax.set_xlabel("years ahead" if f.series.per_year == 1 else "months ahead")
            ax.set_ylabel(f"RMSE, {f.series.unit}")
            ax.set_title(name)
        axes[0].plot([], [], "ko", mfc="none", ms=4, label="the same in torch")
        axes[0].legend(fontsize=8, ncols=2, loc="upper left")
        starts = len(next(iter(found.values())).runs["LSTM"])
        band = f"mean and range of {starts} starts" if starts > 1 else "one start"
        fig.suptitle(f"Error against horizon on the test part ({band})", fontsize=13)
