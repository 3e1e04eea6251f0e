"""Search for hyperparameters: a grid, at random, or led by what was found so far.

    space = {"lr": Range(1e-4, 1, log=True), "width": [16, 32, 64]}
    found = random_search(objective, space, 20, seed=0)
    found.best.parameters, found.best.value

    grid_search      every combination, scikit-learn's ParameterGrid; a Range by `grid(n)`
    random_search    n draws, scikit-learn's ParameterSampler
    bayesian_search  n draws, each where the values so far promise most: Optuna's TPE, two densities
                     l(x) of the better and g(x) of the other trials, and the x of largest l / g

`objective(parameters) -> value` trains whatever it likes; a value that is NaN is the worst of all.
Bayesian search needs Optuna; in the project's folder: pip install '.[search]'.

Sources: Bergstra & Bengio 2012, JMLR 13 (random search); Bergstra et al. 2011, NeurIPS 24 (TPE);
Akiba et al. 2019, arXiv:1907.10902 (Optuna).
"""

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from datasets import check
from datasets.check import Array


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included.

    Args:
        low: the least.
        high: the largest.
        log: whether each factor is as likely, rather than each difference.
        integer: whether only integers count.

    Raises:
        ValueError: if low is not below high, or not above 0 with `log`.
        TypeError: if an argument is of another type.
    """

    low: float
    high: float
    log: bool = False
    integer: bool = False

    def __post_init__(self) -> None:
        if self.integer:
            check.size("Range", "low", self.low, -(2**53))
            check.size("Range", "high", self.high, -(2**53))
        check.number("Range", "low", self.low, 0 if self.log else -math.inf, open_low=self.log)
        check.number("Range", "high", self.high, self.low, open_low=True)

    def grid(self, n: int) -> list[float]:
        """n numbers from low to high, evenly spaced, or by even factors; integers once each."""
        n = check.size("Range.grid", "n", n, 2)
        values = (np.geomspace if self.log else np.linspace)(self.low, self.high, n)
        if self.integer:
            return [int(v) for v in np.unique(np.rint(values))]
        return [float(v) for v in values]

    def rvs(self, size: None = None, random_state: Any = None) -> float:
        """One number, drawn; scikit-learn's ParameterSampler asks for it by this name."""
        half = 0.5 if self.integer else 0.0  # each integer from half below to half above
        low, high = self.low - half, self.high + half
        u = random_state.uniform()
        value = low * (high / low) ** u if self.log else low + (high - low) * u
        value = min(max(value, self.low), self.high)
        return round(value) if self.integer else float(value)


Space = Mapping[str, Range | Sequence[Any]]
Objective = Callable[[dict[str, Any]], float]


class Trial(NamedTuple):
    """One evaluation.

    Attributes:
        parameters: by name.
        value: what the objective gave.
    """

    parameters: dict[str, Any]
    value: float


@dataclass(frozen=True)
class Search:
    """All evaluations.

    Attributes:
        trials: in order.
        mode: "min" or "max", what counts as better.
    """

    trials: list[Trial]
    mode: str

    @property
    def best(self) -> Trial:
        """The first trial with the best value."""
        return min(self.trials, key=lambda trial: _cost(trial.value, self.mode))

    @property
    def best_so_far(self) -> Array:
        """The best value after each trial, (n,)."""
        costs = np.minimum.accumulate([_cost(trial.value, self.mode) for trial in self.trials])
        return costs if self.mode == "min" else -costs


def grid_search(objective: Objective, space: Space, *, mode: str = "min") -> Search:
    """Evaluate every combination.

    Args:
        objective: maps parameters by name to a value.
        space: the choices of each parameter.
        mode: "min" or "max".

    Returns:
        All trials, in ParameterGrid's order.

    Raises:
        TypeError, ValueError: if the space is none, has a Range, or there is no such mode.
        ModuleNotFoundError: if scikit-learn is absent.
    """
    space = _space("grid_search", objective, space, mode)
    for name, choices in space.items():
        if isinstance(choices, Range):
            check.refuse("grid_search", f"choices for {name}, such as its grid(5)", choices)
    grid = check.sklearn("grid_search", "model_selection").ParameterGrid(dict(space))
    return _evaluated(objective, grid, mode)


def random_search(
    objective: Objective, space: Space, n: int, *, seed: int = 0, mode: str = "min"
) -> Search:
    """Evaluate n draws.

    Args:
        objective: maps parameters by name to a value.
        space: a Range or the choices of each parameter, each as likely.
        n: number of draws; where there are choices only, none comes twice.
        seed: of the draws.
        mode: "min" or "max".

    Returns:
        The trials, fewer than n where there are fewer combinations.

    Raises:
        TypeError, ValueError: if the space is none, n is below 1, or there is no such mode.
        ModuleNotFoundError: if scikit-learn is absent.
    """
    space = _space("random_search", objective, space, mode)
    n = check.size("random_search", "n", n, 1)
    seed = check.seed("random_search", seed)
    selection = check.sklearn("random_search", "model_selection")
    finite = [len(choices) for choices in space.values() if not isinstance(choices, Range)]
    if len(finite) == len(space):  # of which it draws without replacement, and warns if n is more
        n = min(n, math.prod(finite))
    sampler = selection.ParameterSampler(dict(space), n_iter=n, random_state=seed)
    return _evaluated(objective, sampler, mode)


def bayesian_search(
    objective: Objective,
    space: Space,
    n: int,
    *,
    seed: int = 0,
    mode: str = "min",
    startup: int = 10,
) -> Search:
    """Evaluate n draws, each chosen by what the ones before it gave.

    Args:
        objective: maps parameters by name to a value.
        space: a Range or the choices of each parameter.
        n: number of draws.
        seed: of the draws.
        mode: "min" or "max".
        startup: how many of them are drawn at random first.

    Returns:
        The trials.

    Raises:
        TypeError, ValueError: if the space is none, a number is below 1, or there is no such mode.
        ModuleNotFoundError: if Optuna is absent.
    """
    space = _space("bayesian_search", objective, space, mode)
    n = check.size("bayesian_search", "n", n, 1)
    seed = check.seed("bayesian_search", seed)
    startup = check.size("bayesian_search", "startup", startup, 1)
    optuna = _optuna()
    spread = {
        name: optuna.distributions.CategoricalDistribution(range(len(over)))
        if not isinstance(over, Range)
        else optuna.distributions.IntDistribution(int(over.low), int(over.high), log=over.log)
        if over.integer
        else optuna.distributions.FloatDistribution(over.low, over.high, log=over.log)
        for name, over in space.items()
    }
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup)
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it announces each study
    try:
        study = optuna.create_study(sampler=sampler)
    finally:
        optuna.logging.set_verbosity(verbosity)
    trials = []
    for _ in range(n):
        asked = study.ask(spread)
        parameters = {
            name: value if isinstance(over := space[name], Range) else over[value]
            for name, value in asked.params.items()
        }
        value = float(objective(dict(parameters)))
        study.tell(asked, _cost(value, mode))
        trials.append(Trial(parameters, value))
    return Search(trials, mode)


def _evaluated(objective: Objective, parameters: Any, mode: str) -> Search:
    return Search([Trial(dict(p), float(objective(dict(p)))) for p in parameters], mode)


def _cost(value: float, mode: str) -> float:
    """What is minimised."""
    return math.inf if math.isnan(value) else value if mode == "min" else -value


def _space(function: str, objective: object, space: object, mode: object) -> Space:
    if not callable(objective):
        check.refuse(function, "objective to be a function", check.describe(objective), TypeError)
    if not isinstance(space, Mapping) or not space:
        expected = "space to have a Range or a list of choices by name"
        check.refuse(function, expected, check.describe(space), TypeError)
    for name, over in space.items():
        if not isinstance(over, Range | list | tuple) or (not isinstance(over, Range) and not over):
            expected = f"a Range or a list of choices for {name}"
            check.refuse(function, expected, check.describe(over), TypeError)
    if mode not in ("min", "max"):
        check.refuse(function, "mode 'min' or 'max'", repr(mode))
    return space


def _optuna() -> Any:
    try:
        return importlib.import_module("optuna")
    except ModuleNotFoundError as error:
        if error.name != "optuna":
            raise  # Optuna is there, and what it misses is another matter
        raise ModuleNotFoundError(
            "bayesian_search: needs Optuna; in the project's folder: pip install '.[search]'",
            name="optuna",
        ) from None
