"""Layers with a weight that is not learned itself but computed from what is.

    w, rule_back = rule(layer)            from the layer's own parameters
    y, layer_back = layer with w (x)      the layer as it was, on a stand-in of this call
    dx = layer_back(dy)                   leaves dw with the stand-in
    rule_back(dw)                         adds to the parameters that w was computed from

As each call has a stand-in of its own, two calls whose weights differ (a power iteration between
them, say) keep their backwards apart.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from scratch import check
from scratch.check import Array
from scratch.nn.module import Module, Parameter
from scratch.nn.op import Backward
from scratch.nn.sparse import SparseGradient

# layer -> the weight, and the map that takes its gradient and adds to parameters.
Rule = Callable[[Any], tuple[Array, Callable[[Array], Any]]]


class Computed(Module):
    """Put in front of a layer's class by `compute`; reading the weight computes it."""

    _plain: ClassVar[type[Module]]
    _rules: Mapping[str, Rule]

    def forward(self, *args: Any, **kwargs: Any) -> tuple[Any, Backward]:
        """That of the layer, with the weights of now."""
        layer: Any = copy.copy(self)
        layer.__class__ = self._plain
        backs = []
        before = [(buffer, buffer.copy()) for buffer in self.buffers()]
        try:
            for name, rule in self._rules.items():
                w, rule_back = rule(self)
                stand_in = Parameter(w)
                setattr(layer, name, stand_in)
                backs.append((stand_in, rule_back))
            y, layer_back = layer.forward(*args, **kwargs)
        except (TypeError, ValueError):  # a refused input leaves no trace in what a rule updates
            for buffer, values in before:
                buffer[...] = values
            raise

        def backward(*dy: Any, **options: Any) -> Any:
            dx = layer_back(*dy, **options)
            for stand_in, rule_back in backs:
                dw, stand_in.grad = stand_in.grad, None
                if dw is not None:
                    rule_back(dw.dense() if isinstance(dw, SparseGradient) else dw)
            return dx

        return y, backward


def compute(module: Module, name: str, rule: Rule, prefix: str = "") -> None:
    """From now on the module's parameter `name` is what a rule computes.

    Args:
        module: changed in place: its class becomes a subclass of what it was.
        name: of a parameter, which the caller has taken out.
        rule: see above.
        prefix: of the new class's name.
    """
    _dress(module, {**getattr(module, "_rules", {}), name: rule}, prefix)


def stop(module: Module, name: str, parameter: Parameter) -> None:
    """Back to a parameter of its own."""
    rules = getattr(module, "_rules", {})
    prefix = type(module).__name__.removesuffix(_plain(module).__name__)
    _dress(module, {other: rule for other, rule in rules.items() if other != name}, prefix)
    setattr(module, name, parameter)


def parameter_of(function: str, module: object, name: str) -> Parameter:
    """The module's parameter of a name, if it has one of its own."""
    parameter = vars(module).get(name) if isinstance(module, Module) else None
    if not isinstance(parameter, Parameter):
        expected = f"a module with a parameter {name!r} of its own"
        check.refuse(function, expected, type(module).__name__)
    return parameter


def _plain(module: Module) -> type[Module]:
    return module._plain if isinstance(module, Computed) else type(module)


def _dress(module: Any, rules: Mapping[str, Rule], prefix: str) -> None:
    """Give the module the class that goes with its rules: a property for each weight."""
    plain = _plain(module)
    members: dict[str, Any] = {name: _read(name) for name in rules}
    members |= {"_plain": plain, "__doc__": plain.__doc__, "__module__": plain.__module__}
    if rules:
        module.__class__ = type(prefix + plain.__name__, (Computed, plain), members)
        module._rules = rules
    else:
        module.__class__ = plain
        del module._rules


def _read(name: str) -> property:
    return property(lambda module: Parameter(module._rules[name](module)[0]))
