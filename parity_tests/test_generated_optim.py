"""Options, shapes and runs that nobody chose: hypothesis draws them, torch says where they lead.

A run is a list of events: a step with gradients of some scale, zero or missing, for each parameter
its own; a new learning rate; a state dict that goes from scratch to torch and from there to a fresh
optimizer of scratch. Parameters and state are compared after every event.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import scratch
import torch_ref.optim
from parity_tests.harness import twin
from parity_tests.harness.check import strict_warnings
from parity_tests.harness.compare import close
from parity_tests.harness.marathon import off
from scratch.nn import Parameter, SparseGradient
from scratch.optim.muon import orthogonal

Array = np.ndarray[Any, np.dtype[Any]]
BETAS = [(0.9, 0.999), (0.0, 0.5), (0.4, 0.9), (0.6, 0.0)]
EPS = [1e-8, 1e-3, 1.0]
FLAG = [False, True]
DECAY = [0.0, 1e-2, 0.5]
LR = [0.0, 1e-3, 0.3]

OPTIONS: dict[str, dict[str, list[Any]]] = {
    "SGD": {
        "momentum": [0.0, 0.5, 0.9, 1.0],
        "dampening": [0.0, 0.3, 1.0],
        "nesterov": FLAG,
        "weight_decay": DECAY,
        "maximize": FLAG,
    },
    "ASGD": {
        "lambd": [0.0, 1e-4, 0.5],
        "alpha": [0.0, 0.75, 1.0],
        "t0": [0, 2, 1e6],
        "weight_decay": DECAY,
        "maximize": FLAG,
    },
    "Rprop": {
        "etas": [(0.5, 1.2), (0.1, 3.0), (0.99, 1.01)],
        "step_sizes": [(1e-6, 50), (0.0, 0.01), (0.05, 1.0)],
        "maximize": FLAG,
    },
    "Adagrad": {
        "lr_decay": [0, 0.1, 5.0],
        "initial_accumulator_value": [0, 0.1, 1e6],
        "eps": [1e-10, 1e-3, 1.0],
        "weight_decay": DECAY,
        "maximize": FLAG,
    },
    "Adadelta": {
        "rho": [0.0, 0.5, 0.9, 1.0],
        "eps": [1e-6, 1e-3, 1.0],
        "weight_decay": DECAY,
        "maximize": FLAG,
    },
    "RMSprop": {
        "alpha": [0.9, 0.99],  # centered, v - m^2 of similar gradients is alpha^t of v: it cancels
        "eps": EPS,
        "momentum": [0, 0.5, 0.9],
        "centered": FLAG,
        "weight_decay": DECAY,
        "maximize": FLAG,
    },
    "Adam": {
        "betas": BETAS,
        "eps": EPS,
        "amsgrad": FLAG,
        "decoupled_weight_decay": FLAG,
        "weight_decay": DECAY,
        "maximize": FLAG,
    },
    "AdamW": {
        "betas": BETAS,
        "eps": EPS,
        "amsgrad": FLAG,
        "weight_decay": DECAY,
        "maximize": FLAG,
    },
    "Adamax": {"betas": BETAS[:3], "eps": EPS, "weight_decay": DECAY, "maximize": FLAG},
    "NAdam": {
        "betas": BETAS,
        "eps": EPS,
        "momentum_decay": [0.0, 4e-3, 1.0],
        "decoupled_weight_decay": FLAG,
        "weight_decay": DECAY,
        "maximize": FLAG,
    },
    "RAdam": {
        "betas": [(0.9, 0.999), (0.0, 0.8), (0.4, 0.5)],
        "eps": EPS,
        "decoupled_weight_decay": FLAG,
        "weight_decay": DECAY,
        "maximize": FLAG,
    },
    "Adafactor": {
        "beta2_decay": [0.0, -0.8, -1.0, -3.0],
        "eps": [(None, 1e-3), (1e-3, 1.0), (1e-10, 0.0)],
        "d": [1.0, 1.5, 10.0],
        "weight_decay": DECAY,
        "maximize": FLAG,
    },
    "Muon": {
        "momentum": [0.0, 0.3, 0.95],
        "nesterov": FLAG,
        "ns_steps": [0, 1, 5],
        "adjust_lr_fn": [None, "original", "match_rms_adamw"],
        "weight_decay": DECAY,
    },
    "SparseAdam": {"lr": [1e-3, 0.3], "betas": BETAS, "eps": EPS, "maximize": FLAG},
    "Lion": {"betas": BETAS, "weight_decay": DECAY, "maximize": FLAG},
    "LAMB": {"betas": BETAS, "eps": EPS, "weight_decay": DECAY, "maximize": FLAG},
    "LARS": {
        "momentum": [0.0, 0.5, 0.9],
        "trust_coefficient": [1e-3, 0.1],
        "weight_decay": DECAY,
        "maximize": FLAG,
    },
}
SCALES = [1.0, 1e-7, 1e6, 1e-3, 0.0, None]


@dataclass(frozen=True)
class Run:
    """What is drawn: a class and its options, shapes, where the second group begins, and events.

    An event is a list with a scale for each parameter (None: no gradient), a number (by which the
    learning rates are multiplied) or 'move'.
    """

    name: str
    options: dict[str, Any]
    shapes: list[tuple[int, ...]]
    split: int
    events: list[Any]
    seed: int


@st.composite
def runs(draw: Any) -> Run:
    name = draw(st.sampled_from(sorted(OPTIONS)))
    offered = {"lr": LR, **OPTIONS[name]}
    options = {key: draw(st.sampled_from(values)) for key, values in offered.items()}
    if name == "SGD" and options["nesterov"]:
        options["dampening"] = 0.0
        options["nesterov"] = options["momentum"] > 0
    low, high = {"Muon": (2, 2), "SparseAdam": (1, 3)}.get(name, (0, 3))
    smallest = (
        1 if name in ("Adafactor", "Muon") else 0
    )  # torch's Adafactor divides by their number
    sizes = st.integers(smallest, 4)
    one = st.lists(sizes, min_size=low, max_size=high).map(tuple)
    shapes = draw(st.lists(one, min_size=1, max_size=3))
    event = st.one_of(
        st.lists(st.sampled_from(SCALES), min_size=len(shapes), max_size=len(shapes)),
        st.sampled_from([0.1, 3.0, "move"]),
    )
    events = draw(st.lists(event, min_size=1, max_size=12))
    return Run(
        name, options, shapes, draw(st.integers(1, len(shapes))), events, draw(st.integers(0, 99))
    )


def made(package: Any, run: Run, parameters: list[Any], options: dict[str, Any]) -> Any:
    """One group or two, the second with a learning rate of its own."""
    groups: list[dict[str, Any]] = [{"params": parameters[: run.split]}]
    if run.split < len(parameters):
        groups.append({"params": parameters[run.split :], "lr": 0.05})
    return getattr(package, run.name)(groups, **options)


def follow(run: Run) -> None:
    """Run both sides through the events."""
    rng = np.random.default_rng(run.seed)
    start = [np.asarray(rng.standard_normal(shape)) for shape in run.shapes]
    ours = [Parameter(p.copy()) for p in start]
    theirs = [torch.nn.Parameter(torch.from_numpy(p.copy())) for p in start]
    package: Any = torch.optim if hasattr(torch.optim, run.name) else torch_ref.optim
    optimizer = made(scratch.optim, run, ours, run.options)
    reference = made(package, run, theirs, run.options)
    # What comes from far away has the error of there.
    largest: dict[str, float] = {}
    for event in run.events:
        if event == "move":
            optimizer, reference = moved(run, package, ours, optimizer, theirs, reference)
        elif isinstance(event, float):
            for group in (*optimizer.param_groups, *reference.param_groups):
                group["lr"] *= event
        else:
            for p, q, scale in zip(ours, theirs, event, strict=True):
                give(p, q, scale, rng, run.name == "SparseAdam")
            optimizer.step()
            reference.step()
        for i, (p, q) in enumerate(zip(ours, theirs, strict=True)):
            kept = optimizer.state.get(p, {})
            pairs = [
                ("parameter", p.data, q),
                *((k, kept.get(k), v) for k, v in state(reference, q)),
            ]
            for key, found, tensor in pairs:
                what, expected = f"{key} {i}", twin.numpy(tensor)
                size = float(np.max(np.abs(expected), initial=0))
                largest[what] = max(largest.get(what, 0.0), size)
                comparison = close(what, found, expected, c=64, at_least=largest[what])
                assert comparison.passed, f"{comparison} after {event}"


def state(optimizer: Any, parameter: torch.nn.Parameter) -> list[tuple[str, torch.Tensor]]:
    """The tensors that torch keeps for a parameter."""
    kept = optimizer.state.get(parameter, {})
    return [(name, value) for name, value in kept.items() if isinstance(value, torch.Tensor)]


def give(p: Parameter, q: torch.nn.Parameter, scale: float | None, rng: Any, sparse: bool) -> None:
    """The same gradient, or none, to both; a sparse one of some rows, some of them twice."""
    p.grad = q.grad = None
    if scale is None:
        return
    g = np.asarray(scale * rng.standard_normal(p.shape))
    if not sparse:
        p.grad, q.grad = g, torch.from_numpy(g.copy())
        return
    ids = rng.integers(0, p.shape[0], 3 if p.shape[0] else 0)
    p.grad = SparseGradient(ids, g[ids], p.shape)
    index = torch.from_numpy(ids[None])
    values = torch.from_numpy(g[ids])
    q.grad = torch.sparse_coo_tensor(index, values, q.shape, check_invariants=True)


def moved(
    run: Run,
    package: Any,
    ours: list[Parameter],
    optimizer: Any,
    theirs: list[torch.nn.Parameter],
    reference: Any,
) -> tuple[Any, Any]:
    """Fresh optimizers with the state of these: scratch's by way of torch, torch's directly.

    They are made with other options, which the state dict replaces.
    """
    lr = {"lr": 0.7}
    between = made(package, run, theirs, lr)
    between.load_state_dict(twin.to_tensors(optimizer.state_dict()))
    fresh = made(scratch.optim, run, ours, lr)
    fresh.load_state_dict(twin.to_arrays(between.state_dict()))
    other = made(package, run, theirs, lr)
    other.load_state_dict(reference.state_dict())
    assert fresh.state_dict()["state"].keys() == other.state_dict()["state"].keys()
    return fresh, other


@settings(max_examples=1000, deadline=None)
@given(run=runs())
def test_any_run(run: Run) -> None:
    with strict_warnings():
        follow(run)


def test_muon_is_drawn_where_its_bits_are_torchs() -> None:
    """In matrices of up to 4 by 4: larger ones meet ties of bfloat16 (see test_marathon)."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        shape = rng.integers(1, 5, 2)
        x = rng.standard_normal(shape) * 10.0 ** rng.integers(-7, 7)
        theirs = torch.optim._muon._zeropower_via_newtonschulz(
            torch.from_numpy(x), (3.4445, -4.7750, 2.0315), 5, 1e-7
        )
        assert np.array_equal(orthogonal(x), theirs.float().numpy())


# L-BFGS, whose gradients are those of a function


@st.composite
def searches(draw: Any) -> tuple[dict[str, Any], int, int, int]:
    options = {
        # Not 0.1: towards the minimum that leaves 0.9 of the slope, just what the search asks for.
        "lr": draw(st.sampled_from([0.2, 0.5, 1.0])),
        "max_iter": draw(st.integers(1, 4)),
        "max_eval": draw(st.sampled_from([None, 2, 9])),
        "history_size": draw(st.integers(1, 5)),
        "line_search_fn": draw(st.sampled_from([None, "strong_wolfe"])),
    }
    return options, draw(st.integers(1, 6)), draw(st.integers(1, 4)), draw(st.integers(0, 99))


@settings(max_examples=200, deadline=None)
@given(drawn=searches())
def test_any_search(drawn: tuple[dict[str, Any], int, int, int]) -> None:
    """Steps down a bowl, and the same in torch with losses and gradients that are off by roundings.

    L-BFGS divides by differences that cancel: the limit is how far those take torch from itself.
    """
    options, size, steps, seed = drawn
    rng = np.random.default_rng(seed)
    start = rng.standard_normal(size)
    k = np.geomspace(1, 10, size)
    p = Parameter(start.copy())
    tensors = [torch.nn.Parameter(torch.from_numpy(start.copy())) for _ in range(9)]
    optimizer = scratch.optim.LBFGS([p], **options)
    references: list[Any] = [torch.optim.LBFGS([q], **options) for q in tensors]

    def bowl(x: Array) -> tuple[float, Array]:
        return float(np.sum(k * (x - 1) ** 2) / 2), k * (x - 1)

    def closure() -> float:
        value, p.grad = bowl(p.data)
        return value

    for _ in range(steps):
        optimizer.step(closure)
        for q, reference in zip(tensors, references, strict=True):

            def its_closure(q: torch.nn.Parameter = q) -> float:
                value, gradient = bowl(twin.numpy(q))
                exact = q is tensors[0]
                q.grad = torch.from_numpy(gradient * (1.0 if exact else off(rng, (size,))))
                return value * (1.0 if exact else float(off(rng, ())))

            reference.step(its_closure)
        there = twin.numpy(tensors[0])
        apart = max(float(np.max(np.abs(twin.numpy(q) - there))) for q in tensors[1:])
        allowed = 64 * np.finfo(np.float64).eps * max(1.0, float(np.max(np.abs(there)))) + 8 * apart
        assert np.max(np.abs(p.data - there)) <= allowed
