"""The settings of a training run, which both packages read from one list of options.

settings = resolve("digits", {"ema": 0.99, "epochs": 3})     what is left out is the recipe's
data = load(settings)                                        training, validation, test rows
problems = differences(saved, settings)                      may that run go on with these?

batch      batch_size rows; `accumulate` of them make up one step, whose gradient is that of the
           mean over all their rows
schedule   a class of lr_scheduler, stepped once a step; its length is that of the run. The one that
           waits for a plateau is stepped at evaluations, with their loss
warmup     before it, the rate rises: k / (warmup + 1) of it at the k-th of so many steps
validation cut from the training rows; the test rows are looked at once, at the end
HOW        what may differ between a run and the one that goes on with it: where and how fast it
           computes, what it writes, and how far it goes
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from datasets import check
from datasets.check import Array
from datasets.split import train_test_split
from datasets.tasks import Task, get

Package = Literal["torch", "scratch"]

# Each with the arguments that follow from the run if they are not given.
SCHEDULES: Mapping[str, Mapping[str, str]] = {
    "StepLR": {},
    "MultiStepLR": {},
    "ConstantLR": {},
    "ExponentialLR": {},
    "LinearLR": {"total_iters": "steps"},
    "PolynomialLR": {"total_iters": "steps"},
    "CosineAnnealingLR": {"T_max": "steps"},
    "CosineAnnealingWarmRestarts": {},
    "OneCycleLR": {"total_steps": "steps", "max_lr": "lr"},
    "CyclicLR": {"max_lr": "lr"},
    "ReduceLROnPlateau": {},
}
PLATEAU = "ReduceLROnPlateau"
# They begin with a rise of their own, or wait for evaluations from the first step on.
NO_WARMUP = ("OneCycleLR", "CyclicLR", PLATEAU)
SAMPLES = 64  # pictures of a generative task, unless told otherwise
PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
ENGINES = ("auto", "fused", "foreach", "for-loop")
STRATEGIES = ("ddp", "fsdp")
HOW = frozenset(
    {"steps", "log_every", "checkpoint_every", "keep", "device", "precision", "compile"}
    | {"workers", "pin_memory", "engine", "channels_last", "tensorboard", "strategy", "samples"}
)


@dataclass(frozen=True)
class Settings:
    """Everything that a run depends on; see `OPTIONS` for what each is.

    Raises:
        TypeError, ValueError: if one of them is out of range.
    """

    task: str
    model: str
    hidden: tuple[int, ...]
    activation: str
    dropout: float
    optimizer: str
    optimizer_args: dict[str, Any]
    batch_size: int
    steps: int
    seed: int = 0
    dtype: str = "float32"
    schedule: str | None = None
    schedule_args: dict[str, Any] | None = None
    warmup: int = 0
    clip_norm: float | None = None
    accumulate: int = 1
    ema: float | None = None
    validation: float = 0.0
    evaluate_every: int = 0
    patience: int | None = None
    precision: str = "fp32"
    log_every: int = 50
    checkpoint_every: int = 0
    keep: int = 3
    samples: int = 0
    device: str = "auto"
    compile: bool = False
    workers: int = 0
    pin_memory: bool = False
    engine: str = "auto"
    channels_last: bool = False
    tensorboard: bool = False
    strategy: str = "ddp"
    sync_batch_norm: bool = False

    def __post_init__(self) -> None:
        name = "Settings"
        task = get(self.task)
        for field, low in (
            ("batch_size", 1),
            ("steps", 1),
            ("accumulate", 1),
            ("log_every", 1),
            ("keep", 1),
            ("evaluate_every", 0),
            ("checkpoint_every", 0),
            ("workers", 0),
            ("warmup", 0),
            ("samples", 0),
        ):
            check.size(name, field, getattr(self, field), low)
        check.seed(name, self.seed)
        check.number(name, "dropout", self.dropout, 0, 1, open_high=True)
        check.number(name, "validation", self.validation, 0, 1, open_high=True)
        if self.clip_norm is not None:
            check.number(name, "clip_norm", self.clip_norm, 0, open_low=True)
        if self.ema is not None:
            check.number(name, "ema", self.ema, 0, 1)
        if self.patience is not None:
            check.size(name, "patience", self.patience, 1)
        for field, known in (
            ("dtype", ("float32", "float64")),
            ("precision", PRECISIONS),
            ("engine", ENGINES),
            ("strategy", STRATEGIES),
            ("schedule", (None, *SCHEDULES)),
        ):
            if getattr(self, field) not in known:
                expected = f"{field} to be one of {', '.join(map(str, known))}"
                check.refuse(name, expected, repr(getattr(self, field)))
        if self.dtype == "float64" and self.precision != "fp32":
            check.refuse(name, "float64 at precision fp32", self.precision)
        if self.evaluate_every and not self.validation:
            check.refuse(name, "validation > 0 where evaluate_every is", self.validation)
        if self.patience is not None and not self.evaluate_every:
            check.refuse(name, "evaluate_every > 0 where patience is given", self.evaluate_every)
        if self.schedule == PLATEAU and not self.evaluate_every:
            check.refuse(name, f"evaluate_every > 0 where {PLATEAU} is", self.evaluate_every)
        mode = (self.schedule_args or {}).get("mode", "min")
        if self.schedule == PLATEAU and mode != "min":
            check.refuse(name, f"mode min of {PLATEAU}, which sees the loss", repr(mode))
        if self.warmup and self.schedule in NO_WARMUP:
            expected = f"warmup 0, or a schedule other than {', '.join(NO_WARMUP)}"
            check.refuse(name, expected, f"warmup {self.warmup} before {self.schedule}")
        if self.warmup >= self.steps:
            check.refuse(name, f"warmup below the {self.steps} steps of the run", self.warmup)
        if self.samples and task.kind != "generative":
            check.refuse(name, "samples of a generative task only", f"some of {self.task}")

    @property
    def as_task(self) -> Task:
        """The task with this run's hidden layers and activation."""
        return replace(get(self.task), hidden=self.hidden, activation=self.activation)

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {**asdict(self), "hidden": list(self.hidden)}


class Option(NamedTuple):
    """What the command line offers.

    Attributes:
        name: of the setting, or of a short cut that `resolve` knows.
        kind: of its value; dict is given as JSON.
        help: one sentence.
        default: None where it follows from the task or from other options.
        package: the one that has it, or both.
        choices: where they are few.
    """

    name: str
    kind: type
    help: str
    default: Any = None
    package: Package | None = None
    choices: tuple[str, ...] = ()


OPTIONS = (
    Option("model", str, "The recipe's if left out; Neuron for two classes, by columns."),
    Option("hidden", str, "Widths of the hidden layers, such as 64,32."),
    Option("activation", str, "After each hidden layer, a name in torch.nn."),
    Option("dropout", float, "Share of the hidden units that is dropped.", 0.0),
    Option("optimizer", str, "A class that both packages have."),
    Option("optimizer_args", dict, "Its arguments as JSON, instead of the recipe's."),
    Option("lr", float, "Learning rate, instead of the recipe's."),
    Option("batch_size", int, "Rows in a batch."),
    Option("accumulate", int, "Batches that make up one step.", 1),
    Option("steps", int, "Steps of the optimizer; the recipe's if left out."),
    Option("epochs", int, "Passes over the training rows, instead of steps."),
    Option("seed", int, "Of data, start, batches and dropout.", 0),
    Option("dtype", str, "Of the weights.", "float32", None, ("float32", "float64")),
    Option("schedule", str, "Of the learning rate.", None, None, tuple(SCHEDULES)),
    Option("schedule_args", dict, "Its arguments as JSON; its length follows from steps."),
    Option("warmup", int, "Steps before the schedule, in which the rate rises evenly to lr.", 0),
    Option("clip_norm", float, "Bound on the norm of all gradients together."),
    Option("ema", float, "Decay of an average of the weights, which is evaluated and kept."),
    Option(
        "validation",
        float,
        "Share of the training rows to evaluate on; 0.1 with patience or ReduceLROnPlateau.",
    ),
    Option("evaluate_every", int, "Steps between evaluations; those of an epoch if left out."),
    Option("patience", int, "Evaluations without a better loss after which to stop at the best."),
    Option("checkpoint_every", int, "Steps between checkpoints; 0 for the last only.", 0),
    Option("keep", int, "Checkpoints that are kept.", 3),
    Option(
        "samples",
        int,
        "Pictures that a generative task draws at each evaluation and at the end, from the same "
        f"noise each time; 0 for none, {SAMPLES} if left out.",
    ),
    Option("log_every", int, "Steps between lines of the log.", 50),
    Option("device", str, "auto, cpu, cuda or cuda:1.", "auto", "torch"),
    Option(
        "precision", str, "Of products; bf16 and fp16 by autocast.", "fp32", "torch", PRECISIONS
    ),
    Option("compile", bool, "By torch.compile.", False, "torch"),
    Option("workers", int, "Processes that load data; 0 to index it in memory.", 0, "torch"),
    Option("pin_memory", bool, "With workers, page-locked batches for a GPU.", False, "torch"),
    Option("engine", str, "How the optimizer is run.", "auto", "torch", ENGINES),
    Option("channels_last", bool, "Layout of pictures; pays at low precision.", False, "torch"),
    Option("tensorboard", bool, "Write event files too.", False, "torch"),
    Option("strategy", str, "Of processes that torchrun starts.", "ddp", "torch", STRATEGIES),
    Option("sync_batch_norm", bool, "By the rows of all processes.", False, "torch"),
)


def resolve(task: str, given: Mapping[str, Any] | None = None) -> Settings:
    """The task's recipe, and what is given in its place.

    Args:
        task: a name in `datasets.tasks`.
        given: settings, or the short cuts lr, epochs, and hidden as text, by name; None takes the
            recipe's.

    Returns:
        The settings.

    Raises:
        TypeError, ValueError: if there is no such option or one is out of range.
    """
    recipe = get(task)
    options = {key: value for key, value in (given or {}).items() if value is not None}
    unknown = options.keys() - {field.name for field in fields(Settings)} - {"lr", "epochs"}
    if unknown:
        check.refuse("resolve", "options of a run", ", ".join(sorted(unknown)), TypeError)
    for key in options.keys() & {"optimizer_args", "schedule_args"}:
        if not isinstance(options[key], Mapping):
            check.refuse("resolve", f"{key} by name", check.describe(options[key]), TypeError)
    _network(options, recipe)
    _optimizer(options, recipe)
    _lengths(options, recipe)
    _schedule(options)
    options.setdefault("samples", SAMPLES if recipe.kind == "generative" else 0)
    return Settings(task, **options)


# Each fills in what is left out, and takes the short cuts away.


def _network(options: dict[str, Any], recipe: Task) -> None:
    model = options.setdefault("model", recipe.model)
    mlp = {name: options[name] for name in ("hidden", "activation", "dropout") if name in options}
    if model != "MLP" and any(mlp.values()):
        got = f"{', '.join(f'{k} {v!r}' for k, v in mlp.items())} for {model}"
        check.refuse("resolve", "those for an MLP only", got)
    hidden = mlp.get("hidden", recipe.hidden if model == "MLP" else ())
    if isinstance(hidden, str):
        widths = [width.strip() for width in hidden.split(",")]
        if not all(width.isdecimal() and int(width) for width in widths):
            check.refuse("resolve", "hidden to be positive widths such as 64,32", repr(hidden))
        hidden = map(int, widths)
    options["hidden"] = tuple(hidden)
    options.setdefault("activation", recipe.activation)
    options.setdefault("dropout", 0.0)


def _optimizer(options: dict[str, Any], recipe: Task) -> None:
    arguments = dict(recipe.optimizer_args)
    if options.setdefault("optimizer", recipe.optimizer) != recipe.optimizer:
        arguments = {"lr": arguments.get("lr", 1e-3)}
    arguments = dict(options.get("optimizer_args", arguments))
    lr = options.pop("lr", None)
    options["optimizer_args"] = arguments | ({} if lr is None else {"lr": lr})


def _lengths(options: dict[str, Any], recipe: Task) -> None:
    options.setdefault("batch_size", recipe.batch_size)
    watched = "patience" in options or options.get("schedule") == PLATEAU
    if options.get("evaluate_every") or watched:
        options.setdefault("validation", 0.1)
    epochs = options.pop("epochs", None)
    if epochs is not None and "steps" in options:
        check.refuse("resolve", "steps or epochs", "both")
    evaluated = "evaluate_every" in options or not options.get("validation")
    if epochs is not None or not evaluated:
        uncounted = {"patience": None, "evaluate_every": 0, "schedule": None, "warmup": 0}
        plain = Settings(recipe.name, **{"steps": 1, **options, **uncounted})
        epoch = steps_of_an_epoch(len(load(plain).train_x), plain)
        if epochs is not None:
            options["steps"] = epoch * check.size("resolve", "epochs", epochs, 1)
        if not evaluated:
            options["evaluate_every"] = epoch
    options.setdefault("steps", recipe.steps)


def _schedule(options: dict[str, Any]) -> None:
    schedule, given = options.get("schedule"), options.get("schedule_args")
    if schedule is None and given is not None:
        check.refuse("resolve", "a schedule where schedule_args are given", "none")
    if schedule in SCHEDULES:
        steps = check.size("resolve", "steps", options["steps"], 1)
        steps -= check.size("resolve", "warmup", options.get("warmup", 0), 0)
        run = {"steps": steps, "lr": options["optimizer_args"].get("lr", 1e-3)}
        length = {key: run[value] for key, value in SCHEDULES[str(schedule)].items()}
        options["schedule_args"] = length | dict(given or {})


def steps_of_an_epoch(rows: int, settings: Settings) -> int:
    """How many steps one pass over so many rows takes; its last may be short."""
    return -(-rows // (settings.batch_size * settings.accumulate))


def differences(saved: Mapping[str, Any], settings: Settings) -> list[str]:
    """Why a run with other settings is not the one that `saved` began.

    Args:
        saved: settings of the earlier run, as `Settings.as_dict`.
        settings: of the run that is to go on with it.

    Returns:
        A phrase for each setting that differs though it must not; none where it may go on.
    """
    asked = json.loads(json.dumps(settings.as_dict()))
    return [
        f"{name} {saved.get(name)!r} for {asked.get(name)!r}"
        for name in sorted(saved.keys() | asked.keys())
        if name not in HOW and (name not in saved or saved[name] != asked.get(name))
    ]


class Data(NamedTuple):
    """The rows of a run in its dtype; validation of no rows where there is none."""

    train_x: Array
    train_y: Array
    validation_x: Array
    validation_y: Array
    test_x: Array
    test_y: Array


def load(settings: Settings) -> Data:
    """The data of a run: nobody may write into them.

    Args:
        settings: task, seed, validation and dtype count.

    Returns:
        Training, validation and test rows.

    Raises:
        ConnectionError: if they cannot be downloaded.
        ValueError: if the rows are too few to part.
    """
    return _load(settings.task, settings.seed, settings.validation, settings.dtype)


@lru_cache(maxsize=1)  # asked for by `resolve` and again by the trainer
def _load(task: str, seed: int, validation: float, dtype: str) -> Data:
    split = get(task).load(seed)
    x, y = split.train_x, split.train_y
    parts = x, x[:0], y, y[:0]
    if validation:
        parts = train_test_split(x, y, validation, seed)
    train_x, validation_x, train_y, validation_y = parts
    arrays = (train_x, train_y, validation_x, validation_y, split.test_x, split.test_y)
    return Data(*(a.astype(dtype) if a.dtype.kind == "f" else a for a in arrays))


def parser(package: Package) -> argparse.ArgumentParser:
    """The command line of `python -m <package>.training`."""
    made = argparse.ArgumentParser(
        prog=f"python -m {'torch_ref' if package == 'torch' else package}.training",
        description="Train the network of a task: log, checkpoints and weights go to --out, the "
        "pictures of a generative task to samples/ there.",
    )
    made.add_argument("task", help="A name in datasets.tasks.")
    for option in OPTIONS:
        if option.package in (None, package):
            flag = f"--{option.name.replace('_', '-')}"
            if option.kind is bool:
                made.add_argument(flag, action="store_true", default=None, help=option.help)
            else:
                default = "" if option.default is None else f" Default {option.default}."
                kind = json.loads if option.kind is dict else option.kind
                shown = option.choices or None
                text = option.help + default
                made.add_argument(flag, type=kind, choices=shown, help=text)
    made.add_argument("--out", help="parity-report/train-TASK-MODEL-SEED if left out.")
    made.add_argument("--resume", action="store_true", help="Go on from the last checkpoint there.")
    made.add_argument("--overwrite", action="store_true", help="Remove the run that is there.")
    return made


def parse(package: Package, arguments: Sequence[str] | None = None) -> tuple[Settings, Any]:
    """Settings and out, resume and overwrite from a command line; what is wrong ends the program.

    Args:
        package: whose options there are.
        arguments: the words; those of the program where None.

    Returns:
        The settings; a namespace with the rest.
    """
    made = parser(package)
    found = made.parse_args(arguments)
    given = {option.name: getattr(found, option.name, None) for option in OPTIONS}
    try:
        settings = resolve(found.task, given)
    except (TypeError, ValueError, OSError, ModuleNotFoundError) as error:
        made.exit(2, f"{made.prog}: {error}\n")
    found.out = found.out or default_out(settings)
    return settings, found


def default_out(settings: Settings) -> str:
    """The folder of a run that was given none."""
    return f"parity-report/train-{settings.task}-{settings.model}-{settings.seed}"
