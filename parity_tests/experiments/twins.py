"""Two models with one start, trained side by side on the same batches."""

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import tee
from typing import Any

import numpy as np
import torch

import scratch.models
import scratch.optim
import scratch.optim.clip
import scratch.optim.swa_utils
import torch_ref.models
from parity_tests.harness import twin
from parity_tests.harness.draw import Array
from scratch import nn
from scratch.training import train
from torch_ref.training import train as torch_train

Loss = str | tuple[Callable[..., Any], Callable[..., Any]]


@dataclass(frozen=True)
class Twins:
    """A scratch model and its torch twin, in float64.

    Attributes:
        ours: the NumPy one.
        theirs: the torch one.
    """

    ours: nn.Module
    theirs: torch.nn.Module

    def train(
        self,
        optimizer: str,
        options: Mapping[str, Any],
        loss: Loss,
        x: Array,
        t: Array,
        batches: Iterable[Array],
    ) -> Iterator[tuple[float, float]]:
        """Take one step in each, whenever the next pair of losses is asked for.

        Args:
            optimizer: class name in both optim packages.
            options: its keyword arguments.
            loss: name in both functional modules, or the two functions.
            x: inputs (n, ...).
            t: targets (n, ...).
            batches: the rows of each step.

        Returns:
            The losses (ours, theirs) of each step's batch, before the step.
        """
        our_loss, their_loss = (loss, loss) if isinstance(loss, str) else loss
        mine, yours = tee(batches)
        ours = getattr(scratch.optim, optimizer)(self.ours.parameters(), **options)
        theirs = getattr(torch.optim, optimizer)(self.theirs.parameters(), **options)
        xs, ts = torch.from_numpy(x), torch.from_numpy(t)
        records = zip(
            train(self.ours, ours, our_loss, x, t, mine),
            torch_train(self.theirs, theirs, their_loss, xs, ts, yours),
            strict=True,
        )
        return ((a.loss, b.loss) for a, b in records)

    def descend(
        self,
        optimizer: str,
        options: Mapping[str, Any],
        arguments: Iterable[tuple[Any, ...]],
        cycle: int = 0,
    ) -> Iterator[tuple[Array, Array]]:
        """Take one step in each down the models' own `loss`, whenever the next pair is asked for.

        Args:
            optimizer: class name in both optim packages.
            options: its keyword arguments.
            arguments: of `loss` at each step; arrays become tensors for torch.
            cycle: steps of one cycle of the rate, options["lr"] at its top; 0 keeps the rate.

        Returns:
            What `loss` gave (ours, theirs) before each step, as arrays: its terms, of which the
            first is minimised.
        """

        def cycled(package: Any, stepper: Any) -> Any:
            return package.OneCycleLR(stepper, options["lr"], cycle)

        def loss(model: Any, *args: Any) -> Any:
            return model.loss(*args)

        schedule = cycled if cycle else None
        return self.steps(optimizer, options, (loss, loss), arguments, schedule=schedule)

    def steps(
        self,
        optimizer: str,
        options: Mapping[str, Any],
        losses: tuple[Callable[..., Any], Callable[..., Any]],
        arguments: Iterable[tuple[Any, ...]],
        *,
        schedule: Callable[[Any, Any], Any] | None = None,
        clip: float | None = None,
    ) -> Iterator[tuple[Array, Array]]:
        """Take one step in each, whenever the next pair is asked for.

        Args:
            optimizer: class name in both optim packages.
            options: its keyword arguments.
            losses: scratch's (model, *arguments) -> terms, backward; torch's, of tensors -> terms.
                One term or several, of which the first is minimised.
            arguments: of the losses at each step; arrays become tensors for torch.
            schedule: (lr_scheduler, optimizer) -> a schedule, stepped after each step.
            clip: the gradients' largest norm.

        Returns:
            The terms (ours, theirs) before each step, as arrays.
        """
        optims: tuple[Any, Any] = scratch.optim, torch.optim
        models: tuple[Any, Any] = self.ours, self.theirs
        ours, theirs = (
            getattr(package, optimizer)(model.parameters(), **options)
            for package, model in zip(optims, models, strict=True)
        )
        schedules = [
            schedule(package.lr_scheduler, stepper)
            for package, stepper in zip(optims, (ours, theirs), strict=True)
            if schedule
        ]
        for args in arguments:
            terms, back = losses[0](self.ours.train(), *args)
            ours.zero_grad()
            back(needs_input_grad=False)
            if clip is not None:
                scratch.optim.clip.clip_grad_norm_(self.ours.parameters(), clip)
            ours.step()
            tensors = (torch.from_numpy(a) if isinstance(a, np.ndarray) else a for a in args)
            torch_terms = twin.as_tuple(losses[1](self.theirs.train(), *tensors))
            theirs.zero_grad()
            torch_terms[0].backward()
            if clip is not None:
                torch.nn.utils.clip_grad_norm_(self.theirs.parameters(), clip)
            theirs.step()
            for scheduler in schedules:
                scheduler.step()
            yield np.array(twin.as_tuple(terms)), np.array([float(t.detach()) for t in torch_terms])

    def averages(self, decay: float) -> tuple[Any, Any]:
        """Moving averages of the weights of both, to be updated after each step."""
        mean = scratch.optim.swa_utils.get_ema_multi_avg_fn(decay)
        swa: Any = torch.optim.swa_utils
        return (
            scratch.optim.swa_utils.AveragedModel(self.ours, multi_avg_fn=mean),
            swa.AveragedModel(self.theirs, multi_avg_fn=swa.get_ema_multi_avg_fn(decay)),
        )

    def __call__(self, x: Array) -> tuple[Array, Array]:
        """Both outputs for x, in evaluation mode."""
        y, _ = self.ours.eval()(x)
        with torch.no_grad():
            return y, twin.numpy(self.theirs.eval()(torch.from_numpy(x)))


def alike(ours: nn.Module, theirs: torch.nn.Module) -> Twins:
    """Both in float64, ours with the values that theirs has."""
    theirs.double()
    ours.to(np.float64).load_state_dict(twin.arrays(theirs.state_dict()))
    return Twins(ours, theirs)


def nudged(model: torch.nn.Module) -> torch.nn.Module:
    """A copy with every parameter one floating-point number higher.

    Zeros stay: beside a kink, as that of a leaky ReLU over a first bias, they are no rounding.
    """
    copied = copy.deepcopy(model)
    with torch.no_grad():
        for p in copied.parameters():
            higher = torch.nextafter(p, torch.full_like(p, math.inf))
            p.copy_(torch.where(p == 0, p, higher))
    return copied


def built(make: Callable[[Any], Any], seed: int) -> Twins:
    """Two models with torch's start at `seed`; the global generator is left as it was.

    Args:
        make: builds a model of the layers in the package that it is given, scratch.nn or torch.nn.
        seed: of the start.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        theirs = make(torch.nn)
    return alike(make(nn), theirs)


def mlps(sizes: Sequence[int], activation: str, seed: int) -> Twins:
    """Two MLPs with torch's start at `seed`; the global generator is left as it was.

    Args:
        sizes: widths of input, hidden layers and output.
        activation: a class of both nn packages.
        seed: of the start.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        theirs = torch_ref.models.MLP(sizes, activation)
    return alike(scratch.models.MLP(sizes, activation), theirs)


def apart(ours: Any, theirs: Any) -> float:
    """The largest difference relative to the largest magnitude of theirs."""
    a, b = np.asarray(ours), np.asarray(theirs)
    return float(np.max(np.abs(a - b)) / max(np.max(np.abs(b)), np.finfo(np.float64).tiny))
