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

A linear regression on the same windows, with a little ridge, is there too: on series this short it
is hard to beat.

All networks have 16 units and are trained by AdamW at a rate of 0.01 with a decay of 1, in batches
of 32; that and the number of steps were chosen on the last part of the training data alone.

Sources: Hyndman & Athanasopoulos 2021, Forecasting: Principles and Practice, chapter 5; Bai, Kolter
& Koltun 2018, arXiv:1803.01271; Makridakis, Spiliotis & Assimakopoulos 2018, PLOS ONE 13(3).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from matplotlib.ticker import LogLocator, NullFormatter

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
OPTIONS = {"lr": 0.01, "weight_decay": 1.0}
RIDGE = 10.0
KINDS = ("LSTM", "GRU", "TCN")
COLOURS = dict(zip(KINDS, (CLASSES[1], CLASSES[2], CLASSES[0]), strict=True))
SEEN = {
    "sunspots": "the networks know the cycle, but not how high it will go",
    "CO2": "season and growth are met, by networks and the last year's growth alike",
    "airline": "60 windows teach the networks no more than last year says",
}
LINEAR, RAW = "linear regression", "LSTM on CO2 as it is"
STYLES = {"naive": ":", "seasonal naive": "--", "seasonal drift": "-.", LINEAR: "-"}


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
        batches: that the networks learn from.
    """

    load: Callable[[], Series]
    transform: str
    lags: tuple[int, ...]
    context: int
    horizon: int
    test: int
    batches: int


SETUPS = {
    "sunspots": Setup(sunspots, "sqrt", (), 33, 11, 80, 100),
    "CO2": Setup(co2, "none", (12, 1), 24, 12, 240, 200),
    "airline": Setup(airline, "log", (12, 1), 24, 12, 36, 50),
}
AS_IT_IS = Setup(co2, "none", (), 24, 12, 240, 200)


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
        plain: forecasts of the four baselines.
        linear: those of the linear regression.
        runs: of each kind of network, start by start.
    """

    series: Series
    task: Forecasting
    plain: dict[str, Array]
    linear: Array
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


def regress(task: Forecasting) -> Array:
    """What a linear map from window to horizon forecasts: min |X W - T|^2 + ridge |W|^2."""
    x, test_x = (a.reshape(len(a), -1) for a in (task.x, task.test_x))
    w = np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ task.t[..., 0])
    return task.values((test_x @ w)[..., None])


def cut(setup: Setup) -> tuple[Series, Forecasting]:
    """A series and its windows."""
    series = setup.load()
    args = setup.context, setup.horizon, setup.test, setup.transform, setup.lags
    return series, forecasting(series, *args)


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Train, forecast, compare.

    Args:
        out: folder for the figures.
        small: one start, at most a hundred batches, and less of them on CO2 as it is.
        seed: of the first start.

    Returns:
        Errors of networks and baselines, with the claims about them.
    """
    outcome = Outcome("forecasting")
    starts = range(seed, seed + (1 if small else 3))
    found: dict[str, Found] = {}
    for name, setup in SETUPS.items():
        series, task = cut(setup)
        plain = baselines(series, task.origins, setup.horizon)
        batches = min(setup.batches, 100) if small else setup.batches
        runs = {kind: [learn(kind, task, batches, s) for s in starts] for kind in KINDS}
        found[name] = Found(series, task, plain, regress(task), runs)
    batches = 40 if small else AS_IT_IS.batches
    raw = [learn("LSTM", cut(AS_IT_IS)[1], batches, s) for s in starts]
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
        plain = f.plain | {LINEAR: f.linear}
        every: dict[str, list[Array]] = {kind: [forecast] for kind, forecast in plain.items()}
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
                f"  {kind:<44}{a:8.2f}{b:8.2f}{c:8.2%}{'':20}{d:8.2f}{e:8.2f}{g:8.2%}".rstrip()
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
    spots, gas, flights = (found[name] for name in SETUPS)
    for f, ahead in ((spots, "11 years"), (flights, "12 months")):
        naive = f.rmse(f.plain["naive"])
        outcome.claim(
            f"{'sunspots' if f is spots else 'airline'}, up to {ahead} ahead: every network from "
            "every start beats the last value",
            f"RMSE {_shown(f)}; naive {naive:.3g}",
            _worst(f) < naive,
        )
    ago = spots.rmse(spots.plain["seasonal naive"])
    outcome.claim(
        "sunspots: but none beats the value 11 years ago, nor does the linear regression: the sun "
        "was more active than in the training part",
        f"{_shown(spots)}; {LINEAR} {spots.rmse(spots.linear):.3g}, seasonal naive {ago:.3g}; up "
        f"to {spots.task.truth.max():.0f} spots, {_before(spots):.0f} before",
        min(spots.rmse(spots.linear), *(float(spots.errors(kind).min()) for kind in KINDS)) > ago,
    )
    name, best = spots.best(0)
    linear = spots.rmse(spots.linear, 0)
    outcome.claim(
        "sunspots, a year ahead: the GRU beats all four baselines from every start, and the linear "
        "regression beats the GRU",
        f"{_shown(spots, 0)}; {name} {best:.3g}, {LINEAR} {linear:.3g}",
        bool(linear < spots.errors("GRU", 0).min() and spots.errors("GRU", 0).max() < best),
    )
    ago, (name, best) = gas.rmse(gas.plain["seasonal naive"]), gas.best()
    outcome.claim(
        "CO2, up to 12 months ahead: every network has less than half the error of the value a "
        "year ago, and less than that plus the last year's growth",
        f"RMSE {_shown(gas)} ppm; seasonal naive {ago:.3g}, {name} {best:.3g}",
        _worst(gas) < min(ago / 2, best),
    )
    linear = gas.rmse(gas.linear)
    outcome.claim(
        "CO2: but none beats the linear regression",
        f"{_shown(gas)}; {LINEAR} {linear:.3g}",
        bool(min(gas.errors(kind).min() for kind in KINDS) > linear),
    )
    ours = np.array([[gas.rmse(f) for f in r.forecasts] for r in raw])
    outcome.numbers[RAW] = {"RMSE": float(ours.mean())}
    outcome.claim(
        "the same LSTM on CO2 as it is, only standardised, is worse than the value a year ago: "
        "what it is to forecast lies beyond all that it has seen",
        f"RMSE {_range(ours)} ppm; seasonal naive {ago:.3g}; up to {gas.task.truth.max():.0f} ppm, "
        f"{_before(gas):.0f} before",
        bool(ours.min() > ago),
    )
    _, best = flights.best()
    linear = flights.rmse(flights.linear)
    mean = float(np.mean([flights.errors(kind) for kind in KINDS]))
    outcome.claim(
        "airline: the networks together are worse than the value a year ago plus the last year's "
        f"growth, and the linear regression is better: {len(flights.task.x)} windows are few",
        f"RMSE {_shown(flights)} thousand, mean {mean:.3g}; seasonal drift {best:.3g}, {LINEAR} "
        f"{linear:.3g}",
        linear < best < mean,
    )


def _shown(f: Found, step: int | None = None) -> str:
    return ", ".join(f"{kind} {_range(f.errors(kind, step))}" for kind in KINDS)


def _range(values: Array) -> str:
    low, high = f"{values.min():.3g}", f"{values.max():.3g}"
    return low if low == high else f"{low} to {high}"


def _worst(f: Found) -> float:
    return max(float(f.errors(kind).max()) for kind in KINDS)


def _before(f: Found) -> float:
    """The largest value of the training part."""
    return float(f.series.values[: f.task.origins[0]].max())


def _draw_forecasts(path: Path, found: dict[str, Found]) -> None:
    with figure(path, len(found), 1, (11, 10)) as (_, axes):
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
            corner = "lower right" if name == "CO2" else "upper left"
            ax.legend(fontsize=8, ncols=5, loc=corner)
            low, high = ax.get_ylim()
            ax.set_ylim(low, high + 0.15 * (high - low))
            ax.set_title(f"{name}, {horizon} steps ahead: {SEEN[name]}")
        axes[-1].set_xlabel("year (the line: the test part begins)")


def _draw_horizon(path: Path, found: dict[str, Found]) -> None:
    with figure(path, 1, len(found), (14, 4.6)) as (fig, axes):
        for ax, (name, f) in zip(axes, found.items(), strict=True):
            horizon = f.task.truth.shape[1]
            steps = np.arange(horizon)
            plain = f.plain | {LINEAR: f.linear}
            for kind, style in STYLES.items():
                of = np.array([f.rmse(plain[kind], i) for i in range(horizon)])
                ax.plot(steps + 1, of, style, color="0.5", lw=1.3, label=kind)
            for kind in KINDS:
                each = np.array(
                    [f.errors(kind, i) for i in range(horizon)]
                )  # (steps, starts, twins)
                ours, theirs = each[..., 0], each[..., 1]
                ax.plot(steps + 1, ours.mean(1), color=COLOURS[kind], label=kind)
                ax.fill_between(
                    steps + 1, ours.min(1), ours.max(1), color=COLOURS[kind], alpha=0.2, lw=0
                )
                ax.plot(steps + 1, theirs.mean(1), "o", mfc="none", mec=COLOURS[kind], ms=4)
            ax.set_yscale("log")
            ax.set_xlabel("years ahead" if f.series.per_year == 1 else "months ahead")
            ax.set_ylabel(f"RMSE, {f.series.unit}")
            ax.yaxis.set_major_locator(LogLocator(10, (1, 2, 5)))
            ax.yaxis.set_major_formatter("{x:g}")
            ax.yaxis.set_minor_formatter(NullFormatter())
            ax.set_title(name)
        axes[0].plot([], [], "ko", mfc="none", ms=4, label="the same in torch")
        fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=8)
        starts = len(next(iter(found.values())).runs["LSTM"])
        band = f"mean and range of {starts} starts" if starts > 1 else "one start"
        fig.suptitle(f"Error against horizon on the test part ({band})", fontsize=13)
