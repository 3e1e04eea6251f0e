"""Averages of models."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

import scratch
from parity_tests.harness.draw import Array, Draw
from parity_tests.harness.entry import Refusal, Routine
from parity_tests.harness.routine import Script, Side
from scratch.optim import swa_utils

SWA = "Izmailov et al. 2018, arXiv:1803.05407"


class Counting(scratch.nn.Module):
    """A layer with buffers: a mean, and how many calls it is of."""

    def __init__(self) -> None:
        self.layer = scratch.nn.Linear(3, 2)
        self.register_buffer("mean", np.zeros(2, np.float32))
        self.register_buffer("count", np.zeros((), np.int64))

    def forward(self, x: Array) -> tuple[Array, Callable[..., Any]]:
        y, backward = self.layer(x)
        return y, backward


class TorchCounting(torch.nn.Module):
    """The same in torch."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3, 2)
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("count", torch.zeros((), dtype=torch.long))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.layer(x)
        return y


def averaged(
    make: Callable[[Callable[..., Any], Side, Any], Any], steps: int = 7, loaded: bool = False
) -> Script:
    """Show a model to its average at several places; `make` turns (function, side, model) into it.

    With `loaded`, half way a second average takes over from the state of the first.
    """

    def script(function: Callable[..., Any], side: Side, d: Draw) -> Mapping[str, Any]:
        def show(to: Any = None) -> Any:
            values = {
                "layer.weight": d.normal(2, 3),
                "layer.bias": d.normal(2),
                "mean": d.normal(2),
                "count": d.integers(0, 100),
            }
            return side.set(to or (TorchCounting() if side.is_torch else Counting()), values)

        model = show()
        average = make(function, side, model)
        for step in range(steps):
            if loaded and step == steps // 2:
                state = average.state_dict()
                average = make(function, side, show())
                average.load_state_dict(state)
            show(model)
            average.update_parameters(model)
        y = average(side.array(d.normal(4, 3)))
        return {**average.state_dict(), "output": y if side.is_torch else y[0]}

    return script


def of_model(**options: Any) -> Callable[..., Any]:
    """`function` is AveragedModel; an option that is a tuple calls a function of swa_utils."""

    def make(function: Callable[..., Any], side: Side, model: Any) -> Any:
        given = {
            name: getattr(side.optim.swa_utils, value[0])(*value[1:])
            if isinstance(value, tuple)
            else value
            for name, value in options.items()
        }
        return function(model, **given)

    return make


def by_function(name: str, *arguments: float, use_buffers: bool = False) -> Callable[..., Any]:
    """`function` makes what AveragedModel is given under `name`."""

    def make(function: Callable[..., Any], side: Side, model: Any) -> Any:
        given = {name: function(*arguments), "use_buffers": use_buffers}
        return side.optim.swa_utils.AveragedModel(model, **given)

    return make


def renormalised(
    batches: int = 3, pairs: bool = False, training: bool = True, momentum: float | None = 0.3
) -> Script:
    """The average of three models with batch normalisations, its statistics taken anew."""

    def script(function: Callable[..., Any], side: Side, d: Draw) -> Mapping[str, Any]:
        nn = side.nn
        model = nn.Sequential(
            nn.Linear(4, 3),
            nn.BatchNorm1d(3, momentum=momentum),
            nn.ReLU(),
            nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.BatchNorm1d(2, affine=False)),
        )
        average = None
        for _ in range(3):
            values = {
                name: d.integers(0, 9) if value.ndim == 0 else d.uniform(0.5, 2.0, *value.shape)
                for name, value in model.state_dict().items()
            }
            side.set(model, values)
            average = average or side.optim.swa_utils.AveragedModel(model)
            average.update_parameters(model)
        assert average is not None
        average.train(training)
        inputs = [side.array(d.normal(5 + i, 4)) for i in range(batches)]
        function([(x, None) for x in inputs] if pairs else inputs, average)
        norms = [part for part in average.modules() if isinstance(part, nn.BatchNorm1d)]
        modes = [part.training for part in average.modules()]
        momenta = [-1.0 if norm.momentum is None else norm.momentum for norm in norms]
        y = average.eval()(side.array(d.normal(4, 4)))
        told = {"modes": np.array(modes), "momenta": np.array(momenta)}
        return {**average.state_dict(), **told, "output": y if side.is_torch else y[0]}

    return script


ENTRIES = [
    Routine(
        "AveragedModel",
        swa_utils.AveragedModel,
        torch.optim.swa_utils.AveragedModel,
        {
            "mean": averaged(of_model()),
            "mean, buffers too": averaged(of_model(use_buffers=True)),
            "one model": averaged(of_model(), steps=1),
            "none": averaged(of_model(), steps=0),
            "ema": averaged(of_model(avg_fn=("get_ema_avg_fn", 0.9))),
            "ema of all": averaged(of_model(multi_avg_fn=("get_ema_multi_avg_fn", 0.9))),
            "ema, buffers too": averaged(
                of_model(multi_avg_fn=("get_ema_multi_avg_fn", 0.9), use_buffers=True)
            ),
            "loaded": averaged(of_model(), loaded=True),
        },
        source=SWA,
    ),
    Routine(
        "get_ema_avg_fn",
        swa_utils.get_ema_avg_fn,
        torch.optim.swa_utils.get_ema_avg_fn,
        {
            "0.999": averaged(by_function("avg_fn")),
            "0.3": averaged(by_function("avg_fn", 0.3, use_buffers=True)),
            "0": averaged(by_function("avg_fn", 0)),
            "1": averaged(by_function("avg_fn", 1)),
        },
        source="Polyak & Juditsky 1992, SIAM J. Control Optim. 30(4)",
    ),
    Routine(
        "get_ema_multi_avg_fn",
        swa_utils.get_ema_multi_avg_fn,
        torch.optim.swa_utils.get_ema_multi_avg_fn,
        {
            "0.999": averaged(by_function("multi_avg_fn")),
            "0.3": averaged(by_function("multi_avg_fn", 0.3, use_buffers=True)),
            "0": averaged(by_function("multi_avg_fn", 0)),
            "1": averaged(by_function("multi_avg_fn", 1)),
        },
        source="Polyak & Juditsky 1992, SIAM J. Control Optim. 30(4)",
    ),
    Routine(
        "get_swa_avg_fn",
        swa_utils.get_swa_avg_fn,
        torch.optim.swa_utils.get_swa_avg_fn,
        {
            "mean": averaged(by_function("avg_fn")),
            "buffers too": averaged(by_function("avg_fn", use_buffers=True)),
        },
        source=SWA,
    ),
    Routine(
        "get_swa_multi_avg_fn",
        swa_utils.get_swa_multi_avg_fn,
        torch.optim.swa_utils.get_swa_multi_avg_fn,
        {"mean": averaged(by_function("multi_avg_fn"))},
        source=SWA,
    ),
    Routine(
        "update_bn",
        swa_utils.update_bn,
        torch.optim.swa_utils.update_bn,
        {
            "arrays": renormalised(),
            "pairs": renormalised(pairs=True),
            "in evaluation": renormalised(training=False),
            "no batches": renormalised(batches=0),
            "running mean without momentum": renormalised(momentum=None),
        },
        source=SWA,
    ),
]


def update_with(model: Any, **options: Any) -> Any:
    """Show another model to an average."""
    return swa_utils.AveragedModel(scratch.nn.Linear(3, 2), **options).update_parameters(model)


def not_summable() -> Any:
    model = Counting()
    average = swa_utils.AveragedModel(
        model, multi_avg_fn=swa_utils.get_swa_multi_avg_fn(), use_buffers=True
    )
    average.update_parameters(model)
    average.update_parameters(model)


# Without its annotations, which the refused calls do not keep to.
S: Any = swa_utils

REFUSALS = [
    Refusal("get_ema_avg_fn: decay", lambda: S.get_ema_avg_fn(1.1), "get_ema_avg_fn"),
    Refusal("get_ema_avg_fn: decay below 0", lambda: S.get_ema_avg_fn(-0.1), "get_ema_avg_fn"),
    Refusal(
        "get_ema_multi_avg_fn: decay",
        lambda: S.get_ema_multi_avg_fn(1.1),
        "get_ema_multi_avg_fn",
    ),
    Refusal("update_bn: no module", lambda: S.update_bn([], None), "update_bn"),
    Refusal("get_swa_multi_avg_fn: integers", not_summable, "get_swa_multi_avg_fn"),
    Refusal("AveragedModel: no module", lambda: S.AveragedModel(np.ones(3)), "AveragedModel"),
    Refusal(
        "AveragedModel: both functions",
        lambda: S.AveragedModel(Counting(), S.get_swa_avg_fn(), S.get_swa_multi_avg_fn()),
        "AveragedModel",
    ),
    Refusal(
        "AveragedModel: no function",
        lambda: S.AveragedModel(Counting(), avg_fn=0.9),
        "AveragedModel",
    ),
    Refusal(
        "AveragedModel: use_buffers",
        lambda: S.AveragedModel(Counting(), use_buffers="no"),
        "AveragedModel",
    ),
    Refusal(
        "AveragedModel: another shape",
        lambda: update_with(scratch.nn.Linear(3, 4)),
        "AveragedModel.update_parameters",
    ),
    Refusal(
        "AveragedModel: a buffer more",
        lambda: update_with(Counting()),
        "AveragedModel.update_parameters",
    ),
    Refusal(
        "AveragedModel: no model",
        lambda: update_with(None),
        "AveragedModel.update_parameters",
    ),
]
