"""Containers: modules that hold modules, and the two that only change a shape.

Sequential   y = fn(...f2(f1(x)))       dx = f1'(f2'(...fn'(dy)))
Flatten, Unflatten, Identity            the backward is the inverse reshape
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

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
    """Returns its input; takes and ignores any arguments, so that it can stand in for any module."""

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
        if isinstance(unflattened_size, str) or not isinstance(unflattened_size, Sequence):
            expected = "unflattened_size to be a sequence of integers"
            check.refuse("Unflatten", expected, check.describe(unflattened_size), TypeError)
        for n in unflattened_size:
            check.size("Unflatten", "every unflattened_size", n, low=-1)
        self.unflattened_size = unflattened_size

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """Split the axis."""
        return unflatten(input, self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


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
        return self.children()

    def __getitem__(self, index: int) -> Module:
        children = list(self.children())
        if not -len(children) <= index < len(children):
            expected = f"an index below {len(children)}"
            check.refuse(type(self).__name__, expected, index, IndexError)
        return children[index]


class ModuleDict(Module):
    """Modules by name, in insertion order; it has no forward of its own."""

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        for name, module in (modules or {}).items():
            self[name] = module

    def __setitem__(self, name: str, module: Module) -> None:
        if not isinstance(name, str) or "." in name or not name or hasattr(Module, name):
            check.refuse("ModuleDict", "a name without dots that no Module attribute has", name)
        setattr(self, name, _module("ModuleDict", module))

    def __getitem__(self, name: str) -> Module:
        held = dict(self.named_children())
        if name not in held:
            check.refuse("ModuleDict", f"one of {', '.join(held)}", repr(name), KeyError)
        return held[name]

    def __contains__(self, name: str) -> bool:
        return name in dict(self.named_children())

    def __len__(self) -> int:
        return len(self._own(Module))

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.named_children())

    def keys(self) -> list[str]:
        """The names."""
        return [name for name, _ in self.named_children()]

    def values(self) -> list[Module]:
        """The modules."""
        return list(self.children())

    def items(self) -> list[tuple[str, Module]]:
        """Names and modules."""
        return list(self.named_children())


class Sequential(ModuleList):
    """Each module's output is the next one's input; the backward runs through them in reverse.

    Args:
        modules: modules in order, or one mapping from names to modules.
    """

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                setattr(self, name, _module("Sequential", module))
        else:
            for module in modules:
                self.append(_module("Sequential", module))

    def forward(self, input: Any) -> tuple[Any, Backward]:
        """Apply the modules in turn."""
        backs = []
        for module in self:
            input, back = module(input)
            backs.append(back)

        def backward(dy: Any) -> Any:
            for back in reversed(backs):
                dy = back(dy)
            return dy

        return input, backward
