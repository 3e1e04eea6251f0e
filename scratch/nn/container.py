"""Containers: modules that hold modules, and the two that only change a shape.

Sequential   y = fn(...f2(f1(x)))       dx = f1'(f2'(...fn'(dy)))
Flatten, Unflatten, Identity            the backward is the inverse reshape
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Self, overload

from scratch import check
from scratch.check import Array
from scratch.nn.module import Module
from scratch.nn.op import Backward, op


@op
def flatten(input: Array, start_dim: int = 0, end_dim: int = -1) -> tuple[Array, Backward]:
    """Merge the axes from `start_dim` to `end_dim` (inclusive) into one, as `torch.flatten`.

    Args:
        input: array of any shape; a 0-d one becomes (1,).
        start_dim: first axis to merge.
        end_dim: last axis to merge.

    Returns:
        The reshaped array, and its backward.

    Raises:
        ValueError: if an axis does not exist or they are out of order.
        TypeError: if `input` is not floating.
    """
    x = check.floating("flatten", "input", input)
    start = check.axis("flatten", "start_dim", start_dim, x.ndim)
    end = check.axis("flatten", "end_dim", end_dim, x.ndim)
    if start > end:
        check.refuse("flatten", "start_dim not after end_dim", f"{start_dim} and {end_dim}")
    merged = 1
    for n in x.shape[start : end + 1]:
        merged *= n
    y = x.reshape(*x.shape[:start], merged, *x.shape[end + 1 :])
    return y, lambda dy: dy.reshape(x.shape)


@op
def unflatten(input: Array, dim: int, sizes: Sequence[int]) -> tuple[Array, Backward]:
    """Split axis `dim` into `sizes`, one of which may be -1, as `torch.unflatten`.

    Args:
        input: array of any shape but ().
        dim: axis to split.
        sizes: the sizes that replace it.

    Returns:
        The reshaped array, and its backward.

    Raises:
        ValueError: if the axis does not exist or the sizes do not multiply to it.
        TypeError: if `input` is not floating or `sizes` not a sequence of integers.
    """
    x = check.floating("unflatten", "input", input)
    axis = check.axis("unflatten", "dim", dim, x.ndim)
    if isinstance(sizes, int):
        check.refuse("unflatten", "sizes to be a sequence of integers", sizes, TypeError)
    new = [check.size("unflatten", "sizes", n, low=-1) for n in sizes]
    known = 1
    for n in new:
        known *= n if n != -1 else 1
    if -1 in new and known:
        new = [x.shape[axis] // known if n == -1 else n for n in new]
    product = 1
    for n in new:
        product *= n
    if x.ndim == 0 or not new or product != x.shape[axis] or min(new) < 0:
        expected = f"sizes that multiply to the {x.shape[axis] if x.ndim else 0} of axis {dim}"
        check.refuse("unflatten", expected, tuple(sizes))
    y = x.reshape(*x.shape[:axis], *new, *x.shape[axis + 1 :])
    return y, lambda dy: dy.reshape(x.shape)


class Identity(Module):
    """Returns its input; ignores all arguments, so that it can stand in for any module."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """The input and its gradient, unchanged."""
        return input, lambda dy: dy


class Flatten(Module):
    """`flatten` as a module; by default everything but the batch axis is merged."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim = check.size("Flatten", "start_dim", start_dim, low=-64)
        self.end_dim = check.size("Flatten", "end_dim", end_dim, low=-64)

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """Merge the axes."""
        return flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """`unflatten` as a module."""

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        self.dim = check.size("Unflatten", "dim", dim, low=-64)
        sizes: object = unflattened_size
        if isinstance(sizes, str) or not isinstance(sizes, Sequence):
            expected = "unflattened_size to be a sequence of integers"
            check.refuse("Unflatten", expected, check.describe(sizes), TypeError)
        for n in unflattened_size:
            check.size("Unflatten", "every unflattened_size", n, low=-1)
        self.unflattened_size = unflattened_size

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """Split the axis."""
        return unflatten(input, self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


def _name(container: Module, name: object) -> str:
    """`name` if a module can be held under it."""
    held = dict(container._own(Module))
    bad = not isinstance(name, str) or not name or "." in name or name == "forward"
    if bad or (name not in held and hasattr(container, str(name))):
        expected = "a name without dots that no attribute has"
        check.refuse(type(container).__name__, expected, repr(name))
    return str(name)


def _module(function: str, module: object) -> Module:
    if not isinstance(module, Module):
        check.refuse(function, "a Module", check.describe(module), TypeError)
    return module


class ModuleList(Module):
    """A list of modules under the names '0', '1', ...; it has no forward of its own."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        self.extend(modules or ())

    def append(self, module: Module) -> "ModuleList":
        """Add one at the end."""
        setattr(self, str(len(self)), _module(f"{type(self).__name__}.append", module))
        return self

    def extend(self, modules: Iterable[Module]) -> "ModuleList":
        """Add several at the end."""
        for module in modules:
            self.append(module)
        return self

    def __len__(self) -> int:
        return len(self._own(Module))

    def __iter__(self) -> Iterator[Module]:
        return (module for _, module in self._own(Module))

    @overload
    def __getitem__(self, index: int) -> Module: ...

    @overload
    def __getitem__(self, index: slice) -> Self: ...

    def __getitem__(self, index: int | slice) -> Module | Self:
        if isinstance(index, slice):
            return self._part(self._own(Module)[index])
        children = list(self)
        if not -len(children) <= index < len(children):
            expected = f"an index below {len(children)}"
            check.refuse(type(self).__name__, expected, index, IndexError)
        return children[index]

    def _part(self, named: list[tuple[str, Module]]) -> Self:
        """The container that a slice gives: a list numbers its modules anew."""
        return type(self)(module for _, module in named)

    def __repr__(self) -> str:
        """As torch's: neighbours that look alike on one line."""
        lines: list[str] = []
        texts = [repr(module) for module in self]
        for text, group in groupby(range(len(texts)), key=texts.__getitem__):
            first, *rest = group
            several = f"({first}-{rest[-1]}): {len(rest) + 1} x {text}" if rest else ""
            lines.append((several or f"({first}): {text}").replace("\n", "\n  "))
        return (
            f"{type(self).__name__}("
            + "".join(f"\n  {line}" for line in lines)
            + ("\n)" if lines else ")")
        )


class ModuleDict(Module):
    """Modules by name, in insertion order; it has no forward of its own."""

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        for name, module in (modules or {}).items():
            self[name] = module

    def __setitem__(self, name: str, module: Module) -> None:
        setattr(self, _name(self, name), _module("ModuleDict", module))

    def __getitem__(self, name: str) -> Module:
        held: dict[str, Module] = dict(self._own(Module))
        if name not in held:
            check.refuse("ModuleDict", f"one of {', '.join(held)}", repr(name), KeyError)
        return held[name]

    def __contains__(self, name: str) -> bool:
        return name in dict(self._own(Module))

    def __len__(self) -> int:
        return len(self._own(Module))

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._own(Module))

    def keys(self) -> list[str]:
        """The names."""
        return [name for name, _ in self._own(Module)]

    def values(self) -> list[Module]:
        """The modules."""
        return [module for _, module in self._own(Module)]

    def items(self) -> list[tuple[str, Module]]:
        """Names and modules."""
        return self._own(Module)


class Sequential(ModuleList):
    """Each module's output is the next one's input; the backward runs through them in reverse.

    Args:
        modules: modules in order, or one mapping from names to modules.
    """

    _skips_input_grad = True

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                setattr(self, _name(self, name), _module("Sequential", module))
        else:
            for item in modules:
                self.append(_module("Sequential", item))

    def _part(self, named: list[tuple[str, Module]]) -> Self:
        return type(self)(dict(named))

    def __repr__(self) -> str:
        return Module.__repr__(self)

    def forward(self, input: Any) -> tuple[Any, Backward]:
        """Apply the modules in turn."""
        backs = []
        for module in self:
            input, back = module(input)
            backs.append(back)

        def backward(dy: Any, needs_input_grad: bool = True) -> Any:
            for back in reversed(backs[1:]):
                dy = back(dy)
            return backs[0](dy, needs_input_grad=needs_input_grad) if backs else dy

        return input, backward
