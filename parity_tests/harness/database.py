"""PyTorch's own test databases, driven against `scratch`.

The torch wheel ships the samples that PyTorch tests itself with: `module_db` (constructor and
forward arguments of torch.nn's modules, and arguments that must be refused), `op_db` (arguments
of torch.nn.functional's functions) and `optim_db` (options of torch.optim's optimizers, and inputs
that must be refused). They are private and move between releases; this file is the only one that
touches them.
"""

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

import scratch
from parity_tests.catalog import ENTRIES, ctc
from parity_tests.harness import twin
from parity_tests.harness.check import (
    TORCH_DTYPE,
    check_layer,
    check_op,
    check_optimizer,
    strict_warnings,
)
from parity_tests.harness.compare import Comparison
from parity_tests.harness.draw import Draw, same_draws
from parity_tests.harness.entry import Call, Case, Const, Layer, Op, Optim
from scratch.nn import functional as F
from scratch.random import Generator

try:
    from torch.testing._internal.common_methods_invocations import op_db
    from torch.testing._internal.common_modules import ModuleErrorEnum, module_db
    from torch.testing._internal.common_optimizers import optim_db
except ImportError as error:  # pragma: no cover
    raise ImportError(
        f"PyTorch's test databases are not where torch 2.13 keeps them "
        f"(this is torch {torch.__version__}): {error}"
    ) from error

# Functions of op_db without the prefix nn.functional. that scratch.nn.functional has too.
PLAIN_NAMES = ("flatten", "log_softmax", "sigmoid", "softmax", "tanh", "unflatten")
# Gradients whose terms cancel in some samples, and how large the terms are.
CANCELS = {
    "nn.Tanh": 1.0,  # 1 - y^2 of a single saturated value
    "tanh": 1.0,
    "nn.RNN": 1.0,  # W_hh^T (dy h') of relu, where few units are open
    "nn.GRU": 9.0,  # dh (h - n) z (1 - z) with h_0 up to 9, summed over the steps
    # dn - mean dn - n mean(dn n), over sqrt(v + eps), of few values
    "nn.GroupNorm": 10.0,
    "nn.functional.batch_norm": 1.0,
    "nn.functional.group_norm": 1.0,
    "nn.functional.layer_norm": 300.0,  # of one value: v is 0 and eps is 1e-5
    "nn.functional.rms_norm": 1.0,
    # a k p (dp - sum p dp) of keys that have all the weight, dp = dy . v; k and v up to 9
    **dict.fromkeys(
        (
            "nn.MultiheadAttention",
            "nn.TransformerEncoderLayer",
            "nn.TransformerDecoderLayer",
            "nn.TransformerEncoder",
            "nn.Transformer",
        ),
        100.0,
    ),
    "nn.functional.scaled_dot_product_attention": 100.0,
    "nn.functional.multi_head_attention_forward": 100.0,
    "nn.functional.normalize": 100.0,  # (dy - y (y . dy)) / n where y has one entry and n is 0.01
}
# float64 tolerances other than 64 eps, each with its reason.
ROUNDS: dict[str, tuple[float | None, str]] = {
    "nn.CTCLoss": ctc.CTC,
    "nn.functional.ctc_loss": ctc.CTC,
}
# op_db seeds torch with this before every call of an op that draws.
DATABASE_SEED = 42
# Options by which torch picks an engine; they change no result and are no arguments here.
ENGINE = {"foreach", "fused", "capturable", "differentiable"}
OPTIMIZERS: dict[str, Any] = {vars(info)["optim_cls"].__name__: info for info in optim_db}


@dataclass
class Tally:
    """What ran of one module class or function.

    Attributes:
        name: torch's name.
        ran: samples that ran.
        failures: what failed, with the sample's number.
    """

    name: str
    ran: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def passed(self) -> int:
        """Samples without a failure."""
        return self.ran - len(self.failures)


def _apply(function: Callable[..., Any], call: Call) -> Any:
    return function(*call.args, **call.kwargs)


def _given(call: Call, draw: Draw) -> Call:
    """A case's arguments where the sample, not the draw, brings them."""
    return call


def _differentiable(call: Call, run: Callable[[Call], Any]) -> Call:
    """The call as arrays, with those that torch does not differentiate marked constant.

    Torch is asked one floating argument at a time: an error or a missing gradient says no.
    """

    def differentiates(position: int) -> bool:
        seen: list[torch.Tensor] = []

        def leaf(value: Any) -> Any:
            if isinstance(value, torch.Tensor) and value.is_floating_point():
                value = value.detach().clone()
                seen.append(value)
                if len(seen) == position + 1:
                    value.requires_grad_()
            return value

        try:
            ys = [y for y in twin.as_tuple(run(twin.map_call(leaf, call))) if y.requires_grad]
            ones = [torch.ones_like(y) for y in ys]
            found = torch.autograd.grad(ys, seen[position], ones, allow_unused=True) if ys else ()
        except (RuntimeError, ValueError):
            return False
        return any(gradient is not None for gradient in found)

    count = 0

    def convert(value: Any) -> Any:
        nonlocal count
        if not isinstance(value, torch.Tensor):
            return _twin_of(value)
        array = twin.numpy(value).copy()
        if not value.is_floating_point():
            return array
        count += 1
        return array if differentiates(count - 1) else Const(array)

    return twin.map_call(convert, call)


def _twin_of(value: Any) -> Any:
    """A torch dtype, module, function or options among the arguments, as scratch has it."""
    if isinstance(value, torch.dtype):
        return {torch.float32: np.dtype(np.float32), torch.float64: np.dtype(np.float64)}.get(
            value, value
        )
    if isinstance(value, torch.nn.TransformerEncoderLayer):
        attention, norm = value.self_attn, value.norm1
        return scratch.nn.TransformerEncoderLayer(
            attention.embed_dim,
            attention.num_heads,
            value.linear1.out_features,
            attention.dropout,
            _twin_of(value.activation),
            norm.eps,
            attention.batch_first,
            value.norm_first,
            norm.bias is not None,
        )
    if isinstance(value, torch.nn.Module):
        # Modules as arguments (distances) have plain attributes only, named like their arguments.
        known = inspect.signature(getattr(scratch.nn, type(value).__name__)).parameters
        return getattr(scratch.nn, type(value).__name__)(
            **{k: v for k, v in vars(value).items() if k in known}
        )
    if callable(value) and hasattr(F, getattr(value, "__name__", "")):
        return getattr(F, value.__name__)
    if is_dataclass(value) and hasattr(scratch.nn, type(value).__name__):  # options
        arguments = {f.name: _twin_of(getattr(value, f.name)) for f in fields(value)}
        return getattr(scratch.nn, type(value).__name__)(**arguments)
    return value


def _drop_place(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in kwargs.items() if k not in ("device", "dtype")}


def absent_modules() -> list[str]:
    """Classes of module_db that scratch.nn does not have yet."""
    return [info.name for info in module_db if not hasattr(scratch.nn, info.name.split(".")[-1])]


def present_modules() -> list[str]:
    """Classes of module_db that scratch.nn has."""
    return [info.name for info in module_db if hasattr(scratch.nn, info.name.split(".")[-1])]


def present_functions() -> list[str]:
    """Functions of op_db that scratch.nn.functional has."""
    return sorted({info.name for info in _functions() if hasattr(F, info.name.split(".")[-1])})


def absent_functions() -> list[str]:
    """Functions of op_db under nn.functional that scratch.nn.functional does not have yet."""
    return sorted({info.name for info in _functions() if not hasattr(F, info.name.split(".")[-1])})


def _functions() -> Iterator[Any]:
    masks_agree = same_draws()
    for info in op_db:
        if "dropout" in info.name and not masks_agree:
            continue  # its samples bring a seed and no mask; the catalog gives both sides one mask
        if info.name.startswith("nn.functional.") or info.name in PLAIN_NAMES:
            yield info


@strict_warnings()
def run_module(name: str, dtype: Any, training: bool, every: int = 1) -> Tally:
    """Every sample of one module class, or one in so many: keys, outputs, gradients, buffers."""
    info = next(info for info in module_db if info.name == name)
    ours = getattr(scratch.nn, name.split(".")[-1])
    tally = Tally(name)
    torch.manual_seed(0)
    samples = info.module_inputs_func(
        info,
        device="cpu",
        dtype=TORCH_DTYPE[np.dtype(dtype)],
        requires_grad=True,
        training=training,
    )
    for number, sample in list(enumerate(samples))[::every]:
        arguments, forward = sample.constructor_input, sample.forward_input
        init_kwargs = _drop_place(arguments.kwargs)
        init = twin.map_call(
            lambda v: Const(twin.numpy(v).copy()) if isinstance(v, torch.Tensor) else v,
            Call(*arguments.args, **init_kwargs),
        )
        module = info.module_cls(*arguments.args, **init_kwargs)
        module = module.to(TORCH_DTYPE[np.dtype(dtype)]).train(training)
        call = Call(*forward.args, **forward.kwargs)
        call = _differentiable(call, partial(_apply, module))
        # Functions among the constructor's arguments (distances) have a twin each.
        entry = Layer(
            name,
            lambda *a, **k: ours(*map(_twin_of, a), **{n: _twin_of(v) for n, v in k.items()}),
            info.module_cls,
            (),
            "torch.testing",
        )
        label = sample.desc or str(number)
        c, reason = ROUNDS.get(name, (None, ""))
        cancels = CANCELS.get(name, 0.0)
        case = Case(label, partial(_given, call), init=init, cancels=cancels, c=c, reason=reason)
        mode = "train" if training else "eval"
        run = partial(check_layer, entry, case, mode, np.dtype(dtype), "cpu", thorough=False)
        _count(tally, number, run)
    return tally


@strict_warnings()
def run_module_errors(name: str) -> Tally:
    """Every input that torch refuses must be refused with ValueError or TypeError."""
    info = next(info for info in module_db if info.name == name)
    ours = getattr(scratch.nn, name.split(".")[-1])
    tally = Tally(name)
    if info.module_error_inputs_func is None:
        return tally
    for training in (True, False):
        samples = info.module_error_inputs_func(
            info, device="cpu", dtype=torch.float64, requires_grad=False, training=training
        )
        for number, sample in enumerate(samples):
            arguments = sample.module_error_input.constructor_input
            forward = sample.module_error_input.forward_input
            if training is False and "eps must be positive" in sample.error_regex:
                continue  # torch refuses eps = 0 in training only
            tally.ran += 1

            def convert(value: Any) -> Any:
                return twin.numpy(value).copy() if isinstance(value, torch.Tensor) else value

            init = twin.map_call(convert, Call(*arguments.args, **_drop_place(arguments.kwargs)))
            refused = False
            try:
                module = ours(*init.args, **init.kwargs).train(training)
                if any(module.parameters()):
                    module.to(np.float64)
            except (ValueError, TypeError):
                refused = True  # earlier than torch is as good
            else:
                if sample.error_on != ModuleErrorEnum.CONSTRUCTION_ERROR:
                    call = twin.map_call(convert, Call(*forward.args, **forward.kwargs))
                    try:
                        module(*call.args, **call.kwargs)
                    except (ValueError, TypeError):
                        refused = True
            if not refused:
                tally.failures.append(f"error input {number}: accepted ({sample.error_regex})")
    return tally


@strict_warnings()
def run_function(name: str, dtype: Any, every: int = 1) -> Tally:
    """Every sample of one function, or one in so many, all variants: outputs and gradients."""
    function = getattr(F, name.split(".")[-1])
    draws = "generator" in inspect.signature(function).parameters
    tally = Tally(name)
    masks_agree = same_draws()
    torch.manual_seed(0)

    def ours(*args: Any, **kwargs: Any) -> Any:
        if name.endswith(("embedding", "embedding_bag")):  # op_db gives the weight first
            args = (args[1], args[0], *args[2:])
        args, kwargs = _own_statistics(function, args, kwargs)
        return function(
            *args, **kwargs, **({"generator": Generator(DATABASE_SEED)} if draws else {})
        )

    for info in _functions():
        if info.name != name:
            continue
        indices = info.dtypes == {torch.int64}
        kind = torch.int64 if indices else TORCH_DTYPE[np.dtype(dtype)]
        try:
            samples = list(info.sample_inputs("cpu", kind, requires_grad=not indices))
        except RuntimeError:  # a variant for other dtypes (complex)
            continue
        for sample in samples[::every]:
            call = Call(sample.input, *sample.args, **sample.kwargs)
            if not masks_agree and twin.named_arguments(function, call).get("dropout_p"):
                continue  # of attention
            theirs = _on_torch(info.op)
            call = _differentiable(call, partial(_apply, theirs))
            c, reason = ROUNDS.get(name, (None, ""))
            cancels = CANCELS.get(name, 0.0)
            case = Case(str(tally.ran), partial(_given, call), cancels=cancels, c=c, reason=reason)
            entry = Op(name, ours, theirs, (case,), "torch.testing")
            run = partial(check_op, entry, case, np.dtype(dtype), "cpu", thorough=False)
            _count(tally, tally.ran, run)
    return tally


def _own_statistics(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments with copies of running statistics, which a function updates in place."""
    bound = inspect.signature(function).bind(*args, **kwargs)
    for name in ("running_mean", "running_var"):
        if bound.arguments.get(name) is not None:
            bound.arguments[name] = bound.arguments[name].copy()
    return bound.args, bound.kwargs


def optimizer_options(name: str) -> list[dict[str, Any]]:
    """Every configuration of one optimizer that is about numbers: on the CPU all of them are.

    A learning rate in a tensor is given in float64: torch multiplies in its dtype.
    """
    inputs = [config.kwargs for config in OPTIMIZERS[name].optim_inputs_func(device="cpu")]
    return [
        {k: v.double() if isinstance(v, torch.Tensor) else v for k, v in options.items()}
        for options in inputs
        if not ENGINE & options.keys()
    ]


def _with_numbers(optimizer: Callable[..., Any]) -> Callable[..., Any]:
    """Scratch's class, given a number where torch was given a tensor."""

    def make(parameters: Any, **options: Any) -> Any:
        plain = {k: v.item() if isinstance(v, torch.Tensor) else v for k, v in options.items()}
        return optimizer(parameters, **plain)

    return make


@strict_warnings()
def run_optimizer(name: str, dtype: Any) -> Tally:
    """Every configuration of one optimizer, as the catalog runs its own: parameters and state."""
    entry = next(e for e in ENTRIES if isinstance(e, Optim) and e.name == name)
    entry = dataclasses.replace(entry, scratch=_with_numbers(entry.scratch))
    tally = Tally(name)
    for number, options in enumerate(optimizer_options(name)):
        run = partial(check_optimizer, entry, options, np.dtype(dtype), "cpu")
        _count(tally, number, run)
    return tally


def optimizer_errors(name: str) -> tuple[list[Any], dict[str, str]]:
    """The inputs that torch refuses, and by description those left out with the reason."""
    kept, left_out = [], {}
    for error in OPTIMIZERS[name].optim_error_inputs_func("cpu", torch.float64):
        sample = error.optimizer_error_input
        engines = ENGINE & sample.kwargs.keys()
        if engines:
            left_out[sample.desc] = f"{', '.join(engines)} is no argument here"
        elif any(p.is_sparse for p in _tensors_in(sample.params)):
            left_out[sample.desc] = "a parameter is a NumPy array, which is never sparse"
        else:
            kept.append(sample)
    return kept, left_out


def _tensors_in(params: Any) -> list[torch.Tensor]:
    if isinstance(params, torch.Tensor):
        return [params]
    if isinstance(params, Mapping):
        return _tensors_in(params["params"])
    if isinstance(params, tuple | list):
        return [tensor for part in params for tensor in _tensors_in(part)]
    return []


def run_optimizer_errors(name: str) -> Tally:
    """Every input that torch refuses must be refused with ValueError or TypeError.

    Whatever the reason, before anything changes: what torch refuses in the first step (complex
    parameters) is refused when the parameter is made, and what it only warns of (one twice) too.
    """
    tally = Tally(name)
    for number, sample in enumerate(optimizer_errors(name)[0]):
        made: dict[int, scratch.nn.Parameter] = {}

        def ours(params: Any, made: dict[int, scratch.nn.Parameter] = made) -> Any:
            """The same tensor becomes the same parameter."""
            if isinstance(params, torch.Tensor):
                if id(params) not in made:
                    made[id(params)] = scratch.nn.Parameter(twin.numpy(params).copy())
                return made[id(params)]
            if isinstance(params, Mapping):
                return {k: ours(v) for k, v in params.items()}
            return type(params)(map(ours, params)) if isinstance(params, tuple | list) else params

        tally.ran += 1
        try:
            params = sample.params
            given = [scratch.nn.Parameter(np.zeros((2, 2)))] if params is None else ours(params)
            getattr(scratch.optim, name)(given, **twin.to_arrays(sample.kwargs))
        except (ValueError, TypeError) as error:
            message = str(error)
            if not message.startswith((f"{name}: expected ", "Parameter: expected ")):
                tally.failures.append(f"error input {number} ({sample.desc}): {message}")
        else:
            tally.failures.append(f"error input {number} ({sample.desc}): accepted")
    return tally


def _on_torch(function: Callable[..., Any]) -> Callable[..., Any]:
    """The torch function under arguments whose dtypes, modules and functions are scratch's."""

    def back(value: Any) -> Any:
        if isinstance(value, np.dtype):
            return TORCH_DTYPE[value]
        if isinstance(value, scratch.nn.Module):
            known = inspect.signature(type(value)).parameters
            arguments = {k: v for k, v in vars(value).items() if k in known}
            return getattr(torch.nn, type(value).__name__)(**arguments)
        if callable(value) and getattr(value, "__module__", "").startswith("scratch"):
            return getattr(torch.nn.functional, value.__name__)
        return value

    def run(*args: Any, **kwargs: Any) -> Any:
        return function(*map(back, args), **{k: back(v) for k, v in kwargs.items()})

    return run


def _count(tally: Tally, number: int, run: Callable[[], list[Comparison]]) -> None:
    tally.ran += 1
    try:
        failed = [str(c) for c in run() if not c.passed]
    except Exception as error:
        failed = [f"{type(error).__name__}: {error}"]
    if failed:
        tally.failures.append(f"sample {number}: " + "; ".join(failed))
