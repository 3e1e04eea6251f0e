"""Run one twin on one set of arguments and hand back arrays by name."""

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from parity_tests.harness.draw import Array, Draw
from parity_tests.harness.entry import Call, Const
from scratch.nn.sparse import SparseGradient


def named_arguments(function: Callable[..., Any], call: Call) -> dict[str, Any]:
    """The arguments of a call by parameter name, in signature order."""
    try:
        bound = inspect.signature(function).bind(*call.args, **call.kwargs)
    except (TypeError, ValueError):
        positional = {f"input{i}": a for i, a in enumerate(call.args)}
        return {**positional, **call.kwargs}
    named: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        kind = inspect.signature(function).parameters[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            named.update({f"{name}{i}": v for i, v in enumerate(value)})
        elif kind is inspect.Parameter.VAR_KEYWORD:
            named.update(value)
        else:
            named[name] = value
    return named


def is_floating(value: object) -> bool:
    """Whether a value is an array that gradients flow to."""
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def map_call(function: Callable[[Any], Any], call: Call) -> Call:
    """Apply `function` to each argument, and inside tuples and lists of arguments."""

    def apply(value: Any) -> Any:
        if isinstance(value, tuple | list) and any(
            isinstance(v, np.ndarray | Const | torch.Tensor) for v in value
        ):
            return type(value)(apply(v) for v in value)
        return function(value)

    # A list, not the lazy map: Python would evaluate the keyword arguments first.
    return Call(*[apply(v) for v in call.args], **{k: apply(v) for k, v in call.kwargs.items()})


def plain(call: Call) -> Call:
    """Constants unwrapped, arrays read-only: a side that writes into its inputs fails."""

    def unwrap(value: Any) -> Any:
        value = value.array if isinstance(value, Const) else value
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
        return value

    return map_call(unwrap, call)


def strided(array: Array) -> Array:
    """The same values, neither C- nor Fortran-contiguous where the shape allows it."""
    wide = np.zeros((*array.shape, 2), array.dtype)
    wide[..., 0] = array
    view: Array = wide[..., 0]
    view.flags.writeable = False
    return view


def in_signature_order(function: Callable[..., Any], call: Call) -> Call:
    """The same call, keyword arguments in the signature's order, which is the gradients' too."""
    order = list(named_arguments(function, call))
    return Call(*call.args, **dict(sorted(call.kwargs.items(), key=lambda kv: order.index(kv[0]))))


def leaf_names(function: Callable[..., Any], call: Call) -> list[str]:
    """Names of the differentiated arrays, in signature order."""
    names = []
    for name, value in named_arguments(function, call).items():
        if is_floating(value):
            names.append(name)
        elif isinstance(value, tuple | list):
            names += [f"{name}{i}" for i, part in enumerate(value) if is_floating(part)]
    return names


def to_torch(
    call: Call, device: str, dtype: torch.dtype | None, leaves: list[torch.Tensor]
) -> Call:
    """The arguments as tensors (copied); floating ones require gradients and join `leaves`."""

    def convert(value: Any) -> Any:
        constant = isinstance(value, Const)
        value = value.array if isinstance(value, Const) else value
        if dataclasses.is_dataclass(value) and hasattr(torch.nn, type(value).__name__):  # options
            arguments = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
            return getattr(torch.nn, type(value).__name__)(**arguments)
        if not isinstance(value, np.ndarray):
            return value
        tensor = torch.from_numpy(np.array(value, order="C").reshape(value.shape)).to(device)
        if tensor.is_floating_point():
            tensor = tensor.to(dtype or tensor.dtype)
            if not constant:
                leaves.append(tensor.requires_grad_())
        return tensor

    return map_call(convert, call)


def nudge(tensors: Iterable[torch.Tensor], seed: int) -> None:
    """Move each number to the next one above or below, or leave it, by chance."""
    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in tensors:
            way = torch.randint(-1, 2, tensor.shape, generator=source).to(tensor.device)
            end = torch.where(way > 0, torch.inf, -torch.inf).to(tensor)
            tensor.copy_(torch.where(way == 0, tensor, torch.nextafter(tensor, end)))


def as_tuple(value: Any) -> tuple[Any, ...]:
    """Several outputs or gradients as a flat tuple."""
    if isinstance(value, tuple | list):
        return tuple(part for item in value for part in as_tuple(item))
    return (value,)


def numpy(tensor: torch.Tensor) -> Array:
    """A tensor's values, a sparse gradient's as a dense array."""
    tensor = tensor.detach().cpu()
    return (tensor.to_dense() if tensor.is_sparse else tensor).numpy()


def torch_gradients(
    outputs: tuple[Any, ...], leaves: Iterable[torch.Tensor], cotangents: Iterable[Array | None]
) -> list[Array]:
    """Gradients of `leaves` under the cotangents; a leaf that is not reached has gradient zero."""
    pairs = [
        (y, torch.from_numpy(np.array(dy)).to(y))
        for y, dy in zip(outputs, cotangents, strict=True)
        if isinstance(y, torch.Tensor) and y.requires_grad and dy is not None
    ]
    leaves = list(leaves)
    if not pairs or not leaves:
        return [numpy(torch.zeros_like(leaf)) for leaf in leaves]
    ys, dys = zip(*pairs, strict=True)
    found = torch.autograd.grad(ys, leaves, dys, allow_unused=True)
    return [
        numpy(torch.zeros_like(leaf) if g is None else g)
        for g, leaf in zip(found, leaves, strict=True)
    ]


def cotangents(draw: Draw, outputs: tuple[Any, ...]) -> list[Array | None]:
    """A random gradient for each floating output: with ones, many wrong backwards look right."""
    result: list[Array | None] = []
    for y in outputs:
        dtype = np.asarray(y).dtype
        dy = draw.normal(*np.shape(y)).astype(dtype) if dtype.kind == "f" else None
        if dy is not None:
            dy.flags.writeable = False
        result.append(dy)
    return result


def rebuild(like: Any, flat: Iterator[Any]) -> Any:
    """Nest flat values as `like` is nested."""
    if isinstance(like, tuple | list):
        return tuple(rebuild(part, flat) for part in like)
    return next(flat)


def scratch_backward(output: Any, backward: Callable[..., Any], dys: list[Array | None]) -> Any:
    """Call a backward with one gradient for each output, nested as they are."""
    nested = rebuild(output, iter(dys)) if isinstance(output, tuple) else (dys[0],)
    found = backward(*nested)
    return rebuild(found, map(dense, as_tuple(found)))


def dense(gradient: Any) -> Any:
    """A sparse gradient as an array, as `numpy` has torch's."""
    return gradient.dense() if isinstance(gradient, SparseGradient) else gradient


def move_off_start(module: torch.nn.Module, draw: Draw) -> None:
    """Move all parameters and floating buffers off their start: a bias of 0 hides mistakes."""
    with torch.no_grad():
        for parameter in module.parameters():
            noise = draw.normal(*parameter.shape, scale=0.3)
            parameter.add_(torch.from_numpy(np.array(noise)).to(parameter))
        for name, buffer in module.named_buffers():
            if buffer.is_floating_point() and "weight" not in name:
                noise = draw.uniform(0.1, 0.5, *buffer.shape)
                buffer += torch.from_numpy(np.array(noise)).to(buffer)


def arrays(state: Mapping[str, torch.Tensor]) -> dict[str, Array]:
    """A torch state_dict as arrays."""
    return {name: numpy(tensor).copy() for name, tensor in state.items()}


def to_arrays(value: Any) -> Any:
    """Tensors as arrays, inside options and state dicts too."""
    if isinstance(value, torch.Tensor):
        return numpy(value).copy()
    if isinstance(value, Mapping):
        return {k: to_arrays(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(to_arrays(v) for v in value)
    return value


def to_tensors(value: Any) -> Any:
    """The way back."""
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    if isinstance(value, Mapping):
        return {k: to_tensors(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(to_tensors(v) for v in value)
    return value
