"""Parametrisations: a parameter as a function of others, which are what is learned.

forward    w = f_k(... f_1(original))     each f a module
backward   through the f in reverse, into the originals
torch      the originals are parametrizations.<name>.original, or original0, original1, ... where
           the inverse of f_1 gives several; reading layer.<name> computes it, which in training
           may change buffers of an f
"""

from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.container import ModuleDict, ModuleList
from scratch.nn.module import Module, Parameter
from scratch.nn.op import Backward
from scratch.nn.utils.computed import Computed, compute, parameter_of, stop

M = TypeVar("M", bound=Module)


class ParametrizationList(ModuleList):
    """The functions of one parameter, in the order in which they are applied, and its originals.

    Args:
        modules: functions; the right_inverse of each, where it has one, finds the originals.
        original: what the parameter was.
        unsafe: allow values of another shape or dtype.

    Raises:
        ValueError: if the value has another shape or dtype than `original` had.
    """

    def __init__(
        self, modules: Iterable[Module], original: Parameter, unsafe: bool = False
    ) -> None:
        super().__init__(modules)
        found: Any = original.data
        for function in reversed(list(self)):
            if hasattr(function, "right_inverse"):
                found = function.right_inverse(found)
        if isinstance(found, tuple):
            for i, part in enumerate(found):
                setattr(self, f"original{i}", Parameter(np.array(part)))
        else:
            self.original = Parameter(found)
        if not unsafe:
            same_kind("ParametrizationList", self()[0], original.data)
        if not isinstance(found, tuple):  # the very parameter, which an optimizer may hold
            if found is not original.data:
                original.data = found
            self.original = original

    def forward(self) -> tuple[Array, Backward]:
        """The parameter's value; the backward adds to the originals."""
        originals = [parameter for _, parameter in self._own(Parameter)]
        values: tuple[Array, ...] = tuple(parameter.data for parameter in originals)
        backs = []
        for function in self:
            w, back = function(*values)
            values = (w,)
            backs.append(back)

        def backward(dw: Array) -> None:
            dvalues: Any = (dw,)
            for back in reversed(backs):
                found = back(*dvalues)
                dvalues = found if isinstance(found, tuple) else (found,)
            for parameter, gradient in zip(originals, dvalues, strict=True):
                parameter.accumulate(gradient)

        return values[0], backward


class _Parametrized:
    """The rule that computes a layer's weight by its ParametrizationList."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, module: Any) -> tuple[Array, Backward]:
        found: tuple[Array, Backward] = module.parametrizations[self.name]()
        return found


def register_parametrization(
    module: M, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> M:
    """Make a parameter the value of a function, applied after those that it has already.

    Args:
        module: any layer; it is changed in place, and its class becomes Parametrized<class>.
        tensor_name: of the parameter.
        parametrization: module from the originals to the value; its `right_inverse(value)`, if it
            has one, gives the array or the tuple of arrays to start from.
        unsafe: allow values of another shape.

    Returns:
        The module.

    Raises:
        ValueError: if there is no such parameter, or the value has another shape. Nothing has
            changed then.
        TypeError: if the parametrisation is no module.
    """
    function = "register_parametrization"
    if not isinstance(parametrization, Module):
        check.refuse(function, "a Module", check.describe(parametrization), TypeError)
    if is_parametrized(module, tensor_name):
        value, _ = module.parametrizations[tensor_name]()  # type: ignore[attr-defined]
        parametrization.train(module.training)
        if not unsafe:
            same_kind(function, parametrization(value)[0], value)
        module.parametrizations[tensor_name].append(parametrization)  # type: ignore[attr-defined]
        return module
    parameter = parameter_of(function, module, tensor_name)
    parametrization.train(module.training)
    functions = ParametrizationList([parametrization], parameter, unsafe)
    delattr(module, tensor_name)
    if not is_parametrized(module):
        module.parametrizations = ModuleDict()
    setattr(module.parametrizations, tensor_name, functions)  # type: ignore[attr-defined]
    module.parametrizations.train(module.training)  # type: ignore[attr-defined]
    compute(module, tensor_name, _Parametrized(tensor_name), "Parametrized")
    return module


def same_kind(function: str, new: Array, old: Array) -> None:
    """Refuse values of another shape or dtype."""
    if (new.shape, new.dtype) != (old.shape, old.dtype):
        expected = f"a parametrization with values like {check.describe(old)}"
        check.refuse(function, expected, check.describe(new))


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether a module has parametrisations, of a parameter if one is named.

    Args:
        module: any.
        tensor_name: name of the parameter, or None for any.
    """
    held = vars(module).get("parametrizations")
    if not isinstance(held, ModuleDict) or not isinstance(module, Computed):
        return False
    return len(held) > 0 if tensor_name is None else tensor_name in held


def remove_parametrizations(module: M, tensor_name: str, leave_parametrized: bool = True) -> M:
    """Make a parameter one of the module's own again.

    Args:
        module: that has parametrisations.
        tensor_name: of the parameter.
        leave_parametrized: keep the value that it has now, not that of its original.

    Returns:
        The module.

    Raises:
        ValueError: if it is not parametrised, or several originals are all there is to go back to.
    """
    function = "remove_parametrizations"
    if not is_parametrized(module, tensor_name):
        check.refuse(function, f"a module with a parametrized {tensor_name!r}", repr(tensor_name))
    held: Any = module.parametrizations  # type: ignore[attr-defined]
    functions = held[tensor_name]
    original = vars(functions).get("original")
    if leave_parametrized:
        value, _ = functions()
        if isinstance(original, Parameter):
            original.data = value
        else:
            original = Parameter(value)
    elif original is None:
        check.refuse(function, "one original to go back to", "several")
    delattr(held, tensor_name)
    if not len(held):
        del module.parametrizations  # type: ignore[attr-defined]
    stop(module, tensor_name, original)
    return module
