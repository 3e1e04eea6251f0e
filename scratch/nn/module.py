"""Parameter and Module: an op with parameters, named as in torch.nn.

A module is its attributes: each Parameter, each Module and each registered buffer among them is
found by name, in the order in which it was set, so `state_dict` has torch's keys in torch's order.
Calling a module returns its value and its backward; the backward adds to `parameter.grad` and
returns the gradients of the inputs. What a call needs later lives in that closure and not on the
module, so one module may run many times before any backward.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import DTypeLike

from scratch import check
from scratch.check import Array
from scratch.nn.op import Backward
from scratch.nn.sparse import SparseGradient

ForwardHook = Callable[["Module", tuple[Any, ...], Any], None]
BackwardHook = Callable[["Module", Any, tuple[Any, ...]], None]


class Parameter:
    """An array that is learned, with the gradient that backward passes add to it.

    `version` counts the changes of `data`: a backward refuses to run over a parameter that changed
    since its forward. Assigning `data` (`p.data -= lr * p.grad` does) counts by itself; whoever
    writes into the array (`p.data[...] = 0`) raises `version` too.

    Args:
        data: float32 or float64 array of any shape; it is held, not copied.

    Raises:
        TypeError: if `data` is not a float32 or float64 array.
    """

    def __init__(self, data: Array) -> None:
        self._data = check.floating("Parameter", "data", data)
        self.grad: Array | Any | None = None  # Any: a SparseGradient, of a sparse embedding
        self.version = 0

    @property
    def data(self) -> Array:
        """The values."""
        return self._data

    @data.setter
    def data(self, value: Array) -> None:
        self._data = check.floating("Parameter.data", "the value", value)
        self.version += 1

    def accumulate(self, gradient: Array | SparseGradient) -> None:
        """Add `gradient` to `grad`, in a new array: the old one may be shared."""
        if gradient.shape != self.shape or gradient.dtype != self.dtype:
            expected = f"a {self.dtype} gradient of shape {self.shape}"
            check.refuse("Parameter.accumulate", expected, check.describe(gradient))
        self.grad = gradient if self.grad is None else self.grad + gradient

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradient, or make it zeros if there is one."""
        if self.grad is None or set_to_none:
            self.grad = None
        elif isinstance(self.grad, SparseGradient):
            self.grad = self.grad.zero()
        else:
            self.grad = np.zeros_like(self.data)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the values."""
        return self._data.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the values."""
        return self._data.dtype

    @property
    def size(self) -> int:
        """Number of values."""
        return self._data.size

    def __repr__(self) -> str:
        return f"Parameter containing:\n{self._data!r}"


def value(parameter: Parameter | None) -> Array | None:
    """The array of an optional parameter."""
    return None if parameter is None else parameter.data


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict(..., strict=False)` left out, on either side."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
    """Base class of all networks: implement `forward(*inputs) -> (output, backward)`.

    The backward of a call takes `needs_input_grad=False` where the input is data: what it then
    returns is None, and a first layer that can leave out the product that nobody reads does.
    """

    training: bool = True
    _buffer_names: Mapping[str, bool] = {}  # name -> persistent
    _forward_hooks: tuple[ForwardHook, ...] = ()
    _backward_hooks: tuple[BackwardHook, ...] = ()
    # Parameters whose values no backward of the class reads, so that they may change before it.
    _unread: ClassVar[frozenset[str]] = frozenset()
    # Whether the backward that `forward` returns takes needs_input_grad.
    _skips_input_grad: ClassVar[bool] = False
    forward: ClassVar[Callable[..., tuple[Any, Backward]]]

    def __call__(self, *args: Any, **kwargs: Any) -> tuple[Any, Backward]:
        """Run `forward`; the backward refuses to run over parameters changed since."""
        output, backward = self.forward(*args, **kwargs)
        versions = [(n, p, p.version) for n, p in self._reads() if n not in self._unread]
        hooks = self._backward_hooks
        for forward_hook in self._forward_hooks:
            forward_hook(self, args, output)
        expected = len(output) if isinstance(output, tuple) else 1  # `output` itself is not held

        def guarded(*doutput: Any, needs_input_grad: bool = True) -> Any:
            if doutput and len(doutput) != expected:
                name = f"{type(self).__name__} backward"
                check.refuse(name, f"{expected} gradient(s)", len(doutput), TypeError)
            for name, parameter, version in versions:
                if parameter.version != version:
                    raise RuntimeError(
                        f"{type(self).__name__} backward: expected parameter {name!r} as it was in "
                        f"the forward (version {version}), got version {parameter.version}; "
                        f"run the forward again"
                    )
            skip = not needs_input_grad and self._skips_input_grad
            dinputs = backward(*doutput, needs_input_grad=False) if skip else backward(*doutput)
            dinputs = dinputs if needs_input_grad else None
            for backward_hook in hooks:
                if backward_hook in self._backward_hooks:  # not removed since
                    backward_hook(self, dinputs, doutput)
            return dinputs

        return output, guarded

    # What the module holds

    def _reads(self) -> list[tuple[str, Parameter]]:
        """Parameters that its backward reads: its own; also a child's, if it does not call that."""
        return self._own(Parameter)

    def _own(self, kind: type[Any]) -> list[tuple[str, Any]]:
        return [(name, item) for name, item in vars(self).items() if isinstance(item, kind)]

    def __setattr__(self, name: str, new: Any) -> None:
        held = vars(self).get(name)
        if isinstance(held, Parameter | Module) and not isinstance(
            new, type(None) | Parameter | Module
        ):
            expected = f"a {'Parameter' if isinstance(held, Parameter) else 'Module'} or None"
            check.refuse(f"{type(self).__name__}.{name}", expected, check.describe(new), TypeError)
        if name in self._buffer_names:
            new = self._buffer(name, new)
        object.__setattr__(self, name, new)

    def register_buffer(self, name: str, array: Array | None, persistent: bool = True) -> None:
        """Hold `array` as `self.<name>`: not learned, but saved if `persistent`."""
        new = name not in self._buffer_names
        if not isinstance(name, str) or not name or "." in name or (new and hasattr(self, name)):
            expected = "a name without dots that no attribute has"
            check.refuse(f"{type(self).__name__}.register_buffer", expected, repr(name))
        held = self._buffer(name, array)
        self._buffer_names = {**self._buffer_names, name: persistent}
        setattr(self, name, held)

    def _buffer(self, name: str, new: object) -> Array | None:
        if not isinstance(new, np.ndarray | np.generic | None):
            expected = "an array or None"
            check.refuse(f"{type(self).__name__}.{name}", expected, check.describe(new), TypeError)
        return None if new is None else np.asarray(new)  # arithmetic makes scalars of 0-d arrays

    def named_children(self) -> Iterator[tuple[str, "Module"]]:
        """Direct submodules by name; one that is held twice under its first."""
        seen: set[int] = set()
        for name, child in self._own(Module):
            if id(child) not in seen:
                seen.add(id(child))
                yield name, child

    def children(self) -> Iterator["Module"]:
        """Direct submodules."""
        return (child for _, child in self.named_children())

    def named_modules(
        self, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, "Module"]]:
        """This module and all below it by dotted name, parents first."""
        seen: set[int] = set()

        def walk(prefix: str, module: "Module") -> Iterator[tuple[str, "Module"]]:
            if remove_duplicate and id(module) in seen:
                return
            seen.add(id(module))
            yield prefix, module
            for name, child in module._own(Module):
                yield from walk(f"{prefix}.{name}" if prefix else name, child)

        return walk(prefix, self)

    def modules(self) -> Iterator["Module"]:
        """This module and all below it."""
        return (module for _, module in self.named_modules())

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Parameters by dotted name; a tied one once, under its first, if `remove_duplicate`."""
        seen: set[int] = set()
        for name, parameter in self._named(prefix, recurse, lambda m: m._own(Parameter)):
            if not (remove_duplicate and id(parameter) in seen):
                seen.add(id(parameter))
                yield name, parameter

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Parameters, tied ones once."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Array]]:
        """Buffers that hold an array, by dotted name; duplicates as in `named_parameters`."""
        seen: set[int] = set()
        for name, buffer in self._named(prefix, recurse, lambda m: m._own_buffers()):
            if not (remove_duplicate and id(buffer) in seen):
                seen.add(id(buffer))
                yield name, buffer

    def buffers(self, recurse: bool = True) -> Iterator[Array]:
        """Buffers that hold an array."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def _own_buffers(self, persistent: bool = False) -> list[tuple[str, Any]]:
        return [
            (name, getattr(self, name))
            for name, kept in self._buffer_names.items()
            if getattr(self, name) is not None and (kept or not persistent)
        ]

    def _named(
        self, prefix: str, recurse: bool, own: Callable[["Module"], list[tuple[str, Any]]]
    ) -> Iterator[tuple[str, Any]]:
        # Duplicates are kept: a module held under two names has its parameters under both.
        modules = self.named_modules(prefix, False) if recurse else iter([(prefix, self)])
        for path, module in modules:
            for name, item in own(module):
                yield (f"{path}.{name}" if path else name), item

    # Moving values in and out

    def state_dict(self) -> dict[str, Array]:
        """Copies of all parameters and persistent buffers under torch's keys, in torch's order."""
        return {name: item.copy() for name, item in self._state().items()}

    def _state(self) -> dict[str, Array]:
        def own(module: Module) -> list[tuple[str, Any]]:
            parameters = [(name, p.data) for name, p in module._own(Parameter)]
            return parameters + module._own_buffers(persistent=True)

        return dict(self._named("", True, own))

    def load_state_dict(
        self, state_dict: Mapping[str, Array], strict: bool = True
    ) -> IncompatibleKeys:
        """Copy values in by name, cast to the dtype that is held, once everything is checked.

        Args:
            state_dict: arrays by dotted name, as `state_dict` or torch's (with `.numpy()`) gives
                them.
            strict: whether the keys must match exactly.

        Returns:
            The keys that were missing and those that were unexpected, both empty if `strict`.

        Raises:
            TypeError: if it is not a mapping to real numeric arrays.
            ValueError: naming every missing or unexpected key and every wrong shape.
        """
        function = f"{type(self).__name__}.load_state_dict"
        if not isinstance(state_dict, Mapping):
            check.refuse(
                function, "a mapping from names to arrays", check.describe(state_dict), TypeError
            )
        state = self._state()
        missing = [name for name in state if name not in state_dict]
        unexpected = [name for name in state_dict if name not in state]
        problems = []
        if strict and missing:
            problems.append(f"missing {', '.join(missing)}")
        if strict and unexpected:
            problems.append(f"unexpected {', '.join(unexpected)}")
        for name in state:
            if name in state_dict:
                new = state_dict[name]
                if not isinstance(new, np.ndarray | np.generic) or new.dtype.kind not in "fiub":
                    expected = f"{name!r} to be a numeric array"
                    check.refuse(function, expected, check.describe(new), TypeError)
                if new.shape != state[name].shape:
                    problems.append(f"{name} of shape {new.shape} for {state[name].shape}")
                if not state[name].flags.writeable:
                    problems.append(f"{name} for an array that is read-only")
        if problems:
            check.refuse(function, "the keys and shapes of this module", "; ".join(problems))
        for name, held in state.items():
            if name in state_dict:
                held[...] = state_dict[name]
        for parameter in self.parameters():
            parameter.version += 1
        return IncompatibleKeys(missing, unexpected)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or fill them with zeros: an optimizer skips None but not zero."""
        for parameter in self.parameters():
            parameter.zero_grad(set_to_none)

    def to(self, dtype: DTypeLike) -> Self:
        """Cast all floating parameters, gradients and buffers to float32 or float64, in place."""
        if np.dtype(dtype) not in (np.float32, np.float64):
            check.refuse(f"{type(self).__name__}.to", "dtype float32 or float64", np.dtype(dtype))
        for parameter in self.parameters():
            parameter.data = parameter.data.astype(dtype)
            if parameter.grad is not None:
                parameter.grad = parameter.grad.astype(dtype)
        for module in self.modules():
            for name, buffer in module._own_buffers():
                if buffer.dtype.kind == "f":
                    setattr(module, name, buffer.astype(dtype))
        return self

    def train(self, mode: bool = True) -> Self:
        """Set training mode here and below."""
        if not isinstance(mode, bool):
            check.refuse(
                f"{type(self).__name__}.train", "mode to be a bool", check.describe(mode), TypeError
            )
        self.training = mode
        for child in self.children():  # one by one, as a child may have a `train` of its own
            child.train(mode)
        return self

    def eval(self) -> Self:
        """Set evaluation mode here and below."""
        return self.train(False)

    def apply(self, function: Callable[["Module"], None]) -> Self:
        """Call `function` on every module, children first, as torch does (used to initialise)."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    # Looking on, and looking at it

    def register_forward_hook(self, hook: ForwardHook) -> Callable[[], None]:
        """Call `hook(module, args, output)` after each forward; returns what removes it."""
        self._forward_hooks = (*self._forward_hooks, hook)
        return lambda: setattr(
            self, "_forward_hooks", tuple(h for h in self._forward_hooks if h is not hook)
        )

    def register_full_backward_hook(self, hook: BackwardHook) -> Callable[[], None]:
        """Call `hook(module, dinputs, doutputs)` after each backward; returns what removes it."""
        self._backward_hooks = (*self._backward_hooks, hook)
        return lambda: setattr(
            self, "_backward_hooks", tuple(h for h in self._backward_hooks if h is not hook)
        )

    def extra_repr(self) -> str:
        """The arguments that `repr` shows."""
        return ""

    def __repr__(self) -> str:
        children = [f"({n}): {c!r}".replace("\n", "\n  ") for n, c in self._own(Module)]
        name, extra = type(self).__name__, self.extra_repr()
        if not children:
            return f"{name}({extra})"
        lines = [extra, *children] if extra else children
        return f"{name}(\n  " + "\n  ".join(lines) + "\n)"

    def summary(self) -> str:
        """A table of the modules with their numbers of parameters, tied ones counted once."""
        seen: set[int] = set()
        rows = []
        for name, module in self.named_modules():
            own = [p for _, p in module._own(Parameter) if id(p) not in seen]
            seen.update(map(id, own))
            if own or not any(module.children()):
                shapes = " + ".join(str(p.shape).replace(" ", "") for p in own)
                rows.append((name, type(module).__name__, shapes, f"{sum(p.size for p in own):,}"))
        parameters = list(self.parameters())
        total = sum(p.size for p in parameters)
        size = sum(p.data.nbytes for p in parameters)
        head = ("module", "type", "shapes", "parameters")
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        left, right = widths[:3], widths[3]
        lines = [
            "  ".join(cell.ljust(w) for cell, w in zip(row[:3], left, strict=True))
            + "  "
            + row[3].rjust(right)
            for row in (head, *rows)
        ]
        rule = "-" * max(map(len, lines))
        return "\n".join(
            [lines[0], rule, *lines[1:], rule, f"{total:,} parameters, {size / 1e6:.3g} MB"]
        )
