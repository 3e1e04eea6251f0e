"""A thousand steps of every optimizer, under every schedule, down three tasks, in float64.

Both sides start from the same values and then go their own way: gradients come from scratch's
backward and from autograd. On the way happens what makes conventions show:

    from step  150   for 30 steps the loss is multiplied by 1e-7
               300   for 10 steps by 0: the gradients are zeros
               400   for 30 steps the second parameter has no gradient
               500   the user halves every learning rate
               800   for 6 steps the loss is multiplied by 1e6

Every task has matrices, vectors, a 0-d and an empty parameter. They stand in two groups, of which
the second has half the rate and no weight decay. SGD and ASGD, whose steps grow with the gradient,
clip its norm.

Recorded is the drift: the largest difference of a parameter, in eps of its largest magnitude, then
or at the start. Rounding grows smoothly; a convention that differs jumps.

Gradients need noise, as minibatches have it. At the bottom of a smooth valley they are nothing but
the rounding of what cancelled there, which the huge factor then makes steps of: without noise a
torch run that starts one float higher is as far from torch as scratch is. Two optimizers multiply
rounding even so, and are compared piece by piece (see `Runner.parts`).
"""

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

import numpy as np
import torch

import scratch
import torch_ref.models
import torch_ref.optim
from datasets.split import batch_stream
from datasets.tasks import TASKS as DATA
from parity_tests.harness import twin
from parity_tests.harness.check import strict_warnings
from parity_tests.harness.compare import Comparison, same
from parity_tests.harness.draw import Array
from parity_tests.harness.trajectory import watch_points
from scratch.nn import Parameter
from scratch.nn import functional as F
from scratch.nn.sparse import SparseGradient

EPS = float(np.finfo(np.float64).eps)
STEPS = 1000
FACTORS = ((range(150, 180), 1e-7), (range(300, 310), 0.0), (range(800, 806), 1e6))
MISSING = range(400, 430)
HALVED = 500
CLIP = 10.0  # norm of the gradient where it is clipped
NOISE = 0.3  # standard deviation of a gradient's entry
LIMIT = 1000.0  # eps: a rounding error a step
GROWTH = 16.0  # of the drift from one watch point to the next, from 4 eps on
PARTED = 32.0  # eps: where the drift leaves the rounding level at times, scratch then starts anew

Evaluate = Callable[[int, float], float]


# Tasks


@dataclass(frozen=True)
class Task:
    """Something to descend.

    Attributes:
        start: values of the parameters.
        ours: from scratch's parameters to evaluate(step, factor), which leaves the gradients of
            factor times the loss in them and returns the loss.
        theirs: the same of torch's.
    """

    start: tuple[Array, ...]
    ours: Callable[[list[Parameter]], Evaluate]
    theirs: Callable[[list[torch.nn.Parameter]], Evaluate]


def _of_a_vector(
    seed: int,
    loss: Callable[[Array], tuple[Any, Array]],
    reference: Callable[[torch.Tensor], torch.Tensor],
    noise: float,
) -> Task:
    """A task in all parameters as one vector: the loss with its gradient, and torch's loss."""
    rng = np.random.default_rng(seed)
    start = tuple(np.asarray(rng.standard_normal(shape)) for shape in SHAPES)
    slopes = noise * rng.standard_normal((STEPS, SIZE))
    tensors = torch.from_numpy(slopes)

    def ours(parameters: list[Parameter]) -> Evaluate:
        def evaluate(step: int, factor: float) -> float:
            x = np.concatenate([p.data.ravel() for p in parameters])
            value, dx = loss(x)
            dx = factor * (dx + slopes[step])
            ends = np.cumsum([p.size for p in parameters])
            for p, piece in zip(parameters, np.split(dx, ends[:-1]), strict=True):
                p.grad = piece.reshape(p.shape)
            return float(value + slopes[step] @ x)

        return evaluate

    def theirs(parameters: list[torch.nn.Parameter]) -> Evaluate:
        def evaluate(step: int, factor: float) -> float:
            for p in parameters:
                p.grad = None
            x = torch.cat([p.reshape(-1) for p in parameters])
            value = reference(x) + tensors[step] @ x
            torch.autograd.backward(factor * value)
            return value.item()

        return evaluate

    return Task(start, ours, theirs)


SHAPES: tuple[tuple[int, ...], ...] = ((3, 4), (5,), (4, 2), (), (0, 2))
SIZE = 26


@cache
def quadratic(noise: float = NOISE) -> Task:
    """f(x) = (x - 1)^T H (x - 1) / 2, curvatures from 1e-2 to 1e2 along oblique directions."""
    q, _ = np.linalg.qr(np.random.default_rng(1).standard_normal((SIZE, SIZE)))
    h = (q * np.geomspace(1e-2, 1e2, SIZE)) @ q.T
    h = (h + h.T) / 2
    tensor = torch.from_numpy(h)

    def loss(x: Array) -> tuple[Any, Array]:
        dx = h @ (x - 1)
        return dx @ (x - 1) / 2, dx

    return _of_a_vector(2, loss, lambda x: (x - 1) @ tensor @ (x - 1) / 2, noise)


@cache
def rosenbrock(noise: float = NOISE) -> Task:
    """f(x) = sum_i (x_{i+1} - x_i^2)^2 + (1 - x_i)^2 / 100: a bent valley through all entries."""

    def loss(x: Array) -> tuple[Any, Array]:
        d, e = x[1:] - x[:-1] ** 2, 1 - x[:-1]
        dx = np.zeros_like(x)
        dx[1:] += 2 * d
        dx[:-1] -= 4 * d * x[:-1] + e / 50
        return np.sum(d**2 + e**2 / 100), dx

    def reference(x: torch.Tensor) -> torch.Tensor:
        return ((x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2 / 100).sum()

    return _of_a_vector(3, loss, reference, noise)


@cache
def digits() -> Task:
    """Cross-entropy of s times an MLP's logits on batches of 32; s is the 0-d parameter."""
    split = DATA["digits"].load(0)
    # Weights of pixels that are blank in all images have no gradient but their decay, and no noise.
    x, t = split.train_x[:, np.ptp(split.train_x, axis=0) > 0], split.train_y
    # A third of the labels are anyone's: where the network is sure, 1 - p is rounding and no more.
    rng = np.random.default_rng(4)
    t = np.where(rng.random(len(t)) < 1 / 3, rng.integers(0, 10, len(t)), t)
    batches = list(batch_stream(len(x), 32, STEPS, 0))
    tensors = [(torch.from_numpy(x[rows]), torch.from_numpy(t[rows])) for rows in batches]
    sizes = [x.shape[1], 16, 10]
    torch.manual_seed(0)
    values = torch_ref.models.MLP(sizes, "Tanh", dtype=torch.float64).state_dict().values()
    start = (*(twin.numpy(v).copy() for v in values), np.array(1.5), np.ones((0, 2)))

    def hold(model: Any, parameters: list[Any], linear: type[Any]) -> Any:
        """The model, with the first parameters as its own."""
        layers = [layer for layer in model.modules() if isinstance(layer, linear)]
        for i, layer in enumerate(layers):
            layer.weight, layer.bias = parameters[2 * i], parameters[2 * i + 1]
        return model

    def ours(parameters: list[Parameter]) -> Evaluate:
        model = scratch.models.MLP(sizes, "Tanh", dtype=np.float64)
        model, (s, empty) = hold(model, parameters, scratch.nn.Linear), parameters[4:]

        def evaluate(step: int, factor: float) -> float:
            for p in parameters:
                p.grad = None
            y, model_back = model(x[batches[step]])
            loss, loss_back = F.cross_entropy(s.data * y, t[batches[step]])
            dlogits = loss_back(np.asarray(factor))
            model_back(s.data * dlogits)
            s.grad, empty.grad = np.asarray(np.sum(dlogits * y)), np.zeros_like(empty.data)
            return float(loss)

        return evaluate

    def theirs(parameters: list[torch.nn.Parameter]) -> Evaluate:
        model = torch_ref.models.MLP(sizes, "Tanh", dtype=torch.float64)
        model, (s, empty) = hold(model, parameters, torch.nn.Linear), parameters[4:]

        def evaluate(step: int, factor: float) -> float:
            for p in parameters:
                p.grad = None
            loss = torch.nn.functional.cross_entropy(s * model(tensors[step][0]), tensors[step][1])
            torch.autograd.backward(factor * (loss + empty.sum()))
            return loss.item()

        return evaluate

    return Task(start, ours, theirs)


TASKS: Mapping[str, Callable[..., Task]] = {
    "quadratic": quadratic,
    "rosenbrock": rosenbrock,
    "digits": digits,
}


# Schedules


def _one_cycle(schedules: Any, optimizer: Any) -> Any:
    rates = [group["lr"] for group in optimizer.param_groups]
    return schedules.OneCycleLR(optimizer, max_lr=rates, total_steps=STEPS)


SCHEDULES: Mapping[str, Callable[[Any, Any], Any]] = {
    "constant": lambda schedules, optimizer: None,
    "StepLR": lambda schedules, optimizer: schedules.StepLR(optimizer, 150, 0.6),
    # Down for 700 epochs, and up again for the rest.
    "CosineAnnealingLR": lambda schedules, optimizer: schedules.CosineAnnealingLR(
        optimizer, 700, 1e-4
    ),
    "OneCycleLR": _one_cycle,
    "ReduceLROnPlateau": lambda schedules, optimizer: schedules.ReduceLROnPlateau(
        optimizer, factor=0.7, patience=20, cooldown=5
    ),
}


# Optimizers


@dataclass(frozen=True)
class Runner:
    """An optimizer and what it needs.

    Attributes:
        name: of the class.
        options: of the first group.
        clip: whether the norm of the gradient is clipped.
        takes: 'all' parameters; those with 'elements', 'matrices' or 'rows' (of which every second
            one is in the gradient, which is sparse).
        closure: whether a step evaluates the loss as often as it likes.
        parts: why the drift leaves the rounding level, if it does. After a step in which it does,
            scratch goes on from torch's parameters and state.
            'ties': Muon rounds to 8 bits, again and again. A sum that is added in another order
            falls on the other side of a tie now and then, and the update differs in the third
            digit.
            'magnifies': L-BFGS makes its curvature of differences of gradients, and what is lost in
            them it multiplies. From the same state a step of scratch is as far from torch's as a
            step of torch whose losses and gradients, sums of some 30 terms, are off by up to 16
            eps. Where the loss falls along a straight line, the sign of a difference that is lost
            in rounding decides how far the line search goes.
    """

    name: str
    options: Mapping[str, Any]
    clip: bool = False
    takes: str = "all"
    closure: bool = False
    parts: Literal["", "ties", "magnifies"] = ""

    def made(self, package: Any, parameters: Sequence[Any]) -> Any:
        """The optimizer over those of the parameters that it takes."""
        taken = [p for p in parameters if self.taken(tuple(p.shape))]
        optimizer = getattr(package, self.name)
        if self.closure:  # of one group
            return optimizer(taken, **self.options)
        plain = {"weight_decay": 0.0} if "weight_decay" in self.options else {}
        second = {"params": taken[1:], "lr": self.options["lr"] / 2, **plain}
        return optimizer([{"params": taken[:1]}, second], **self.options)

    def taken(self, shape: tuple[int, ...]) -> bool:
        """Whether there is an update for a parameter of this shape."""
        answers = {"elements": 0 not in shape, "matrices": len(shape) == 2, "rows": len(shape) > 0}
        return answers.get(self.takes, True)

    @property
    def has_momentum(self) -> bool:
        """Whether OneCycleLR finds a momentum or betas to cycle."""
        defaults = self.made(scratch.optim, [Parameter(np.ones((2, 2)))]).defaults
        return bool({"momentum", "betas"} & defaults.keys())


WOLFE = {"lr": 0.5, "max_iter": 2, "history_size": 10, "line_search_fn": "strong_wolfe"}
RUNNERS: Mapping[str, Runner] = {
    "SGD": Runner("SGD", {"lr": 0.01, "momentum": 0.9, "weight_decay": 1e-3}, clip=True),
    "ASGD": Runner("ASGD", {"lr": 0.01, "lambd": 1e-3, "t0": 200, "weight_decay": 1e-3}, clip=True),
    "Rprop": Runner("Rprop", {"lr": 0.01}),
    "Adagrad": Runner("Adagrad", {"lr": 0.1, "lr_decay": 1e-3, "weight_decay": 1e-3}),
    "Adadelta": Runner("Adadelta", {"lr": 1.0, "weight_decay": 1e-3}),
    "RMSprop": Runner("RMSprop", {"lr": 1e-3, "momentum": 0.5, "weight_decay": 1e-3}),
    "Adam": Runner("Adam", {"lr": 5e-3, "weight_decay": 1e-3}),
    "AdamW": Runner("AdamW", {"lr": 5e-3, "weight_decay": 0.1}),
    "Adamax": Runner("Adamax", {"lr": 0.01, "weight_decay": 1e-3}),
    "NAdam": Runner("NAdam", {"lr": 5e-3, "weight_decay": 1e-3}),
    "RAdam": Runner("RAdam", {"lr": 5e-3, "weight_decay": 1e-3}),
    "Adafactor": Runner("Adafactor", {"lr": 0.01, "weight_decay": 0.01}, takes="elements"),
    "Muon": Runner("Muon", {"lr": 0.01, "weight_decay": 0.1}, takes="matrices", parts="ties"),
    "LBFGS": Runner("LBFGS", WOLFE, closure=True, parts="magnifies"),
    "SparseAdam": Runner("SparseAdam", {"lr": 5e-3}, takes="rows"),
    "Lion": Runner("Lion", {"lr": 1e-3, "weight_decay": 0.1}),
    "LAMB": Runner("LAMB", {"lr": 5e-3, "weight_decay": 0.01}),
    "LARS": Runner("LARS", {"lr": 1.0, "weight_decay": 1e-3, "trust_coefficient": 1e-3}),
}
# Further options, for a run down each task.
VARIANTS: Mapping[str, Runner] = {
    "SGD, nesterov": Runner("SGD", {"lr": 0.01, "momentum": 0.9, "nesterov": True}, clip=True),
    "SGD, dampening": Runner("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.5}, clip=True),
    "RMSprop, centered": Runner("RMSprop", {"lr": 1e-3, "centered": True, "alpha": 0.9}),
    "Adam, amsgrad": Runner("Adam", {"lr": 5e-3, "amsgrad": True}),
    "AdamW, amsgrad": Runner("AdamW", {"lr": 5e-3, "amsgrad": True, "weight_decay": 0.1}),
    "NAdam, decoupled": Runner(
        "NAdam", {"lr": 5e-3, "decoupled_weight_decay": True, "weight_decay": 0.1}
    ),
    "RAdam, decoupled": Runner(
        "RAdam", {"lr": 5e-3, "decoupled_weight_decay": True, "weight_decay": 0.1}
    ),
    "Muon, match_rms_adamw": Runner(
        "Muon", {"lr": 0.01, "adjust_lr_fn": "match_rms_adamw"}, takes="matrices", parts="ties"
    ),
    "LBFGS, no line search": Runner(
        "LBFGS", {"lr": 0.1, "max_iter": 2, "history_size": 10}, closure=True, parts="magnifies"
    ),
}


def pairs(every: bool) -> list[tuple[str, str, str]]:
    """Optimizer, schedule and task: each down the digits or one of the others, under a schedule.

    With `every` each optimizer down each task under each schedule, and the variants down each task.
    """
    found = []
    for i, (name, runner) in enumerate({**RUNNERS, **(VARIANTS if every else {})}.items()):
        schedules = [s for s in SCHEDULES if s != "OneCycleLR" or runner.has_momentum]
        smooth = ("quadratic", "rosenbrock")
        for j, task in enumerate(TASKS if every else (("digits", smooth[i // 2 % 2])[i % 2],)):
            turn = [schedules[(i + 2 * j) % len(schedules)]]
            found += [(name, s, task) for s in (schedules if every and name in RUNNERS else turn)]
    return found


# The run


@dataclass(frozen=True)
class Parting:
    """A step after which the two were not at the rounding level, or in which they counted apart.

    Attributes:
        step: its number.
        drift: in eps.
        alone: 'magnifies': drift of this step of scratch from torch's state. 'ties': drift of the
            momentum, of which the update is made.
        torch: 'magnifies': drift of this step of torch with rounding errors in its losses and
            gradients, the largest of a few draws.
        update: difference of the updates as a share of the update.
        counted: whether torch's step, or one of those draws, evaluates the loss as often.
    """

    step: int
    drift: float
    alone: float
    torch: float
    update: float
    counted: bool

    def explained(self, parts: str) -> bool:
        """Whether rounding is the cause."""
        if parts == "ties":  # a few units of 2^-8 on the way, and torch's own step is that coarse
            return self.alone < PARTED and self.update < 2**-4
        return self.alone < 4 * self.torch + PARTED and self.counted


@dataclass
class Marathon:
    """What a run recorded.

    Attributes:
        optimizer: name of the runner.
        schedule: name of the schedule.
        task: name of the task.
        watched: numbers of steps after which the parameters were compared.
        drift: their largest difference then, in eps of a parameter's largest magnitude.
        path: length of the way, in units of the parameters' size.
        evaluations: of the loss, by torch.
        partings: where the optimizer has them.
        state: largest difference in the end of an array that the optimizer keeps for a parameter,
            as `drift`; of optimizers without partings.
        seconds: time.
    """

    optimizer: str
    schedule: str
    task: str
    watched: list[int] = field(default_factory=list)
    drift: list[float] = field(default_factory=list)
    path: float = 0.0
    evaluations: int = 0
    partings: list[Parting] = field(default_factory=list)
    state: float = 0.0
    seconds: float = 0.0

    @property
    def worst(self) -> float:
        """The largest drift at the watch points."""
        return max(self.drift)

    @property
    def growth(self) -> float:
        """The largest factor from one watch point to the next, from 4 eps on."""
        steps = zip(self.drift[:-1], self.drift[1:], strict=True)
        return max(after / max(before, 4.0) for before, after in steps)

    def comparisons(self) -> list[Comparison]:
        """What must hold: drift and growth, nothing unexplained, and that it went somewhere."""
        parts = {**RUNNERS, **VARIANTS}[self.optimizer].parts
        strange = [p for p in self.partings if not p.explained(parts)]
        label = f"[{self.task}, {self.schedule}]"
        return [
            Comparison(f"{label} parameters over {STEPS} steps", self.worst, LIMIT),
            Comparison(f"{label} state in the end", self.state, LIMIT),
            same(f"{label} jumps of the drift", self.growth > GROWTH, False),
            same(f"{label} steps that rounding does not explain", strange, []),
            same(f"{label} more of them than a few", len(self.partings) > STEPS / 5, False),
            same(f"{label} goes nowhere", self.path < 0.1, False),
        ]


Snapshot = tuple[list[Array], dict[str, Any]]


class _Side:
    """An optimizer and its schedule on one side, and where its gradients come from."""

    def __init__(self, runner: Runner, schedule: str, task: Task, ours: bool) -> None:
        self.runner, self.task, self.ours = runner, task, ours
        self.parameters: list[Any]
        if ours:
            self.parameters = [Parameter(p.copy()) for p in task.start]
            self.evaluate = task.ours(self.parameters)
            package: Any = scratch.optim
        else:
            self.parameters = [torch.nn.Parameter(torch.from_numpy(p.copy())) for p in task.start]
            self.evaluate = task.theirs(self.parameters)
            package = torch.optim if hasattr(torch.optim, runner.name) else torch_ref.optim
        self.optimizer = runner.made(package, self.parameters)
        schedules: Any = (scratch.optim if ours else torch.optim).lr_scheduler
        self.schedule = SCHEDULES[schedule](schedules, self.optimizer)
        self.evaluations = 0
        self.noise: np.random.Generator | None = None

    def gradients(self, step: int) -> float:
        """Leave them in the parameters; the loss without its factor."""
        self.evaluations += 1
        loss = self.evaluate(step, factor(step))
        if step in MISSING:
            self.parameters[1].grad = None
        for p in self.parameters:
            if p.grad is None:
                continue
            if self.noise is not None:
                p.grad *= torch.from_numpy(off(self.noise, tuple(p.shape)))
            if self.runner.takes == "rows":
                p.grad = some_rows(p.grad, step) if p.shape else None
        if self.runner.clip:
            clip: Any = scratch.nn.utils if self.ours else torch.nn.utils
            clip.clip_grad_norm_(self.parameters, CLIP)
        return loss if self.noise is None else loss * float(off(self.noise, ()))

    def step(self, step: int) -> None:
        """One step of the optimizer, one of the schedule."""
        if step == HALVED:
            for group in self.optimizer.param_groups:
                group["lr"] *= 0.5
        loss = self.gradients(step)
        if self.runner.closure:
            self.optimizer.step(lambda: factor(step) * self.gradients(step))
        else:
            self.optimizer.step()
        if self.schedule is not None:
            wants = type(self.schedule).__name__ == "ReduceLROnPlateau"
            self.schedule.step(*([loss] if wants else []))

    def values(self) -> list[Array]:
        """Copies of the parameters."""
        return [p.data.copy() if self.ours else twin.numpy(p).copy() for p in self.parameters]

    def kept(self) -> list[Array]:
        """The arrays that the optimizer keeps for the parameters (L-BFGS keeps lists)."""
        found = []
        for p in self.parameters:
            state = twin.to_arrays(self.optimizer.state.get(p, {}))
            arrays = [v for _, v in sorted(state.items()) if isinstance(v, np.ndarray)]
            found += [v for v in arrays if v.ndim]
        return found

    def snapshot(self) -> Snapshot:
        """Parameters and state, as arrays."""
        return self.values(), copy.deepcopy(twin.to_arrays(self.optimizer.state_dict()))

    def go_on_from(self, snapshot: Snapshot) -> None:
        """Take parameters and state."""
        values, state = copy.deepcopy(snapshot)
        for p, new in zip(self.parameters, values, strict=True):
            p.data = new if self.ours else torch.from_numpy(new)
        self.optimizer.load_state_dict(state if self.ours else twin.to_tensors(state))

    def replay(
        self, step: int, before: Snapshot, seed: int | None = None
    ) -> tuple[list[Array], int]:
        """The parameters after this one step, with rounding errors in it if there is a seed.

        And how often it evaluated the loss.
        """
        side = _Side(self.runner, "constant", self.task, self.ours)
        if seed is not None:
            side.noise = np.random.default_rng(seed)
            before = [np.asarray(p * off(side.noise, p.shape)) for p in before[0]], before[1]
        side.go_on_from(before)
        side.step(step)
        return side.values(), side.evaluations


def off(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Factors that differ from 1 by up to 16 eps."""
    return np.asarray(1 + 16 * EPS * rng.uniform(-1, 1, shape))


def factor(step: int) -> float:
    """What the loss is multiplied by."""
    return next((by for steps, by in FACTORS if step in steps), 1.0)


def some_rows(gradient: Any, step: int) -> Any:
    """Every second row as a sparse gradient; the next step has the others."""
    rows = np.arange(step % 2, gradient.shape[0], 2)
    if not isinstance(gradient, torch.Tensor):
        return SparseGradient(rows, gradient[rows], gradient.shape)
    index = torch.from_numpy(rows)
    return torch.sparse_coo_tensor(
        index[None], gradient[index], gradient.shape, check_invariants=True
    )


@strict_warnings()
def run(
    optimizer: str,
    schedule: str,
    task: str,
    *,
    nudge: bool = False,
    noise: float = NOISE,
    watch: Callable[[int, Any, Any], None] | None = None,
) -> Marathon:
    """Run both sides.

    Args:
        optimizer: name in RUNNERS or VARIANTS.
        schedule: name in SCHEDULES.
        task: name in TASKS.
        nudge: compare torch with a torch run that starts one float off, instead of scratch.
        noise: of the gradients, quadratic and Rosenbrock.
        watch: called with the number of a step in which the two parted, and both sides.
    """
    runner = {**RUNNERS, **VARIANTS}[optimizer]
    chosen = TASKS[task]() if task == "digits" else TASKS[task](noise)
    started = time.perf_counter()
    one = _Side(runner, schedule, chosen, ours=not nudge)
    two = _Side(runner, schedule, chosen, ours=False)
    if nudge:
        values, state = one.snapshot()
        one.go_on_from(([np.asarray(np.nextafter(p, np.inf)) for p in values], state))
    result = Marathon(optimizer, schedule, task)
    points = watch_points(STEPS, 20)
    sizes = [float(np.max(np.abs(p), initial=0)) for p in chosen.start]
    last = two.values()

    def apart(a: list[Array], b: list[Array]) -> float:
        """The largest difference of parameters relative to their sizes, in eps."""
        return max(_drift(p, q, size) for p, q, size in zip(a, b, sizes, strict=True))

    for step in range(STEPS):
        checked = bool(runner.parts) and not nudge
        before = two.snapshot() if checked else None
        counts = [-one.evaluations, -two.evaluations]
        one.step(step)
        two.step(step)
        counts = [counts[0] + one.evaluations, counts[1] + two.evaluations]
        if before is not None:
            now = two.values()
            drift = apart(one.values(), now)
            if drift > PARTED or counts[0] != counts[1]:
                update = drift / max(apart(before[0], now), drift)
                if runner.parts == "ties":
                    alone = _kept_apart(one, two)
                    parting = Parting(step + 1, drift, alone, 0.0, update, counts[0] == counts[1])
                else:
                    alone, other = apart(one.replay(step, before)[0], now), 0.0
                    for seed in range(64):
                        if other >= alone / 2 and counts[0] in counts[1:]:
                            break
                        values, count = two.replay(step, before, seed)
                        other = max(other, apart(values, now))
                        counts.append(count)
                    counted = counts[0] in counts[1:]
                    parting = Parting(step + 1, drift, alone, other, update, counted)
                result.partings.append(parting)
                if watch is not None:
                    watch(step + 1, one, two)
                one.go_on_from(two.snapshot())
        if step + 1 in points:
            now = two.values()
            result.watched.append(step + 1)
            result.drift.append(apart(one.values(), now))
            result.path += apart(now, last) * EPS
            last = now
    result.evaluations = two.evaluations
    result.state = 0.0 if runner.parts else _kept_apart(one, two)
    result.seconds = time.perf_counter() - started
    return result


def _drift(a: Array, b: Array, size: float = 0.0) -> float:
    """The largest difference in eps of the largest magnitude in b, or of `size` if that is more."""
    scale = max(size, float(np.max(np.abs(b), initial=0)), 1e-300)
    return float(np.max(np.abs(a - b), initial=0)) / scale / EPS


def _kept_apart(one: _Side, two: _Side) -> float:
    ours, theirs = one.kept(), two.kept()
    if len(ours) != len(theirs):
        return float("inf")
    return max((_drift(a, b) for a, b in zip(ours, theirs, strict=True)), default=0.0)
