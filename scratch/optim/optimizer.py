"""What every optimizer is: parameters in groups with options, a state for each parameter, and a step.

    step       for each parameter with a gradient g:  p, state <- update(p, g, state, options)
    layout     param_groups = [{"params": [...], "lr": ..., ...}, ...]      state = {parameter: {"name": array}}
    torch      the same; its state_dict (tensors made arrays) continues here, and back. What chooses an engine and
               changes no result (foreach, fused, capturable, differentiable) is no argument, but loaded it is kept.

A parameter whose `grad` is None is skipped: no decay, no momentum. A zero gradient is a gradient.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.module import Parameter

Group = dict[str, Any]
Params = Iterable[Parameter] | Iterable[Mapping[str, Any]] | Iterable[tuple[str, Parameter]]

BLOCK = 16_384  # elements: a block of every array of an update stays in the cache at once


class Optimizer:
    """Base class: a subclass names its state, checks its options and updates one parameter.

    Args:
        params: parameters, (name, parameter) pairs, or dicts with a list of either under "params" and the options in
            which that group differs.
        defaults: options of the groups that do not say otherwise.

    Raises:
        TypeError: if `params` is not an ordered collection of parameters, or an option has the wrong type.
        ValueError: if there are no parameters, one is given twice, only some are named, or an option is out of range.
    """

    # Arrays of the parameter's shape (and "step", a scalar) by name, and whether a state must have them.
    _state_names: ClassVar[Mapping[str, bool]] = {}

    def __init__(self, params: Params, defaults: Mapping[str, Any]) -> None:
        name = type(self).__name__
        if isinstance(params, Parameter | set | frozenset | str) or not isinstance(
            params, Iterable
        ):
            expected = "params to be an ordered collection of Parameters or of dicts"
            check.refuse(name, expected, check.describe(params), TypeError)
        self.defaults = dict(defaults)
        self._check_lr(name, self.defaults)
        self._check_options(name, self.defaults)
        self.state: defaultdict[Parameter, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[Group] = []
        self._scratch: dict[np.dtype[Any], tuple[Array, Array]] = {}
        given: list[Any] = list(params)
        groups = given if given and isinstance(given[0], Mapping) else [{"params": given}]
        for group in groups:
            self._add_group(name, group)
        if not any(group["params"] for group in self.param_groups):
            check.refuse(name, "at least one parameter", "none")

    # What a subclass defines

    def _check_options(self, function: str, group: Group) -> None:
        """Refuse options out of range; `lr` is checked already."""

    def _update(self, parameter: Parameter, group: Group) -> None:
        """Change `parameter.data` and its state in place, in the direction that `parameter.grad` tells."""
        raise TypeError(f"{type(self).__name__}: expected a class that defines _update, got none")

    # Groups

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Optimize further parameters too, with the options given and the defaults for the rest.

        Args:
            param_group: a dict with "params" (a parameter, a list of them, or of (name, parameter) pairs) and options.

        Raises:
            TypeError: if it is not such a dict.
            ValueError: if a parameter is there already, or an option is out of range.
        """
        self._add_group(f"{type(self).__name__}.add_param_group", param_group)

    def _add_group(self, function: str, given: Mapping[str, Any]) -> None:
        if not isinstance(given, Mapping) or "params" not in given:
            expected = 'a parameter group: a dict with "params"'
            check.refuse(function, expected, check.describe(given), TypeError)
        params = given["params"]
        if isinstance(params, set | frozenset) or not isinstance(params, Iterable | Parameter):
            expected = "params to be an ordered collection of Parameters"
            check.refuse(function, expected, check.describe(params), TypeError)
        entries = [params] if isinstance(params, Parameter) else list(params)
        names = [entry[0] for entry in entries if isinstance(entry, tuple) and len(entry) == 2]
        parameters = [
            entry[1] if isinstance(entry, tuple) and len(entry) == 2 else entry for entry in entries
        ]
        for parameter in parameters:
            if not isinstance(parameter, Parameter):
                check.refuse(function, "Parameters", check.describe(parameter), TypeError)
        if len(names) not in (0, len(entries)) or any(
            bool(names) != ("param_names" in group) for group in self.param_groups
        ):
            check.refuse(function, "all parameters with a name, or all without", "both")
        held = {id(p) for group in self.param_groups for p in group["params"]}
        if len(held | {id(p) for p in parameters}) != len(held) + len(parameters):
            check.refuse(function, "each parameter once", "one a second time")
        group = {**given, "params": parameters}
        if names:
            group["param_names"] = names
        for option, default in self.defaults.items():
            group.setdefault(option, default)
        self._check_lr(function, group)
        self._check_options(function, group)
        self.param_groups.append(group)

    @staticmethod
    def _check_lr(function: str, group: Group) -> None:
        check.number(function, "lr", group["lr"], low=0)

    # Stepping

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or fill them with zeros: a step skips None but not zero."""
        for group in self.param_groups:
            for parameter in group["params"]:
                keep = parameter.grad is not None and not set_to_none
                parameter.grad = np.zeros_like(parameter.data) if keep else None

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient, in place; all is checked before anything changes.

        Args:
            closure: computes loss and gradients anew; called first.

        Returns:
            What `closure` returned, or None.

        Raises:
            TypeError: if a gradient is not an array of the parameter's dtype, or an option has the wrong type.
            ValueError: if a shape differs, an option is out of range, or a parameter is read-only.
        """
        loss = None if closure is None else closure()
        function = f"{type(self).__name__}.step"
        work = []
        for group in self.param_groups:
            # Any sign: the rounding of a schedule that ends at zero may end just below it.
            check.number(function, "lr", group["lr"])
            self._check_options(function, group)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._check_ready(function, parameter)
                    work.append((parameter, group))
        for parameter, group in work:
            self._update(parameter, group)
            parameter.version += 1
        return loss

    def _check_ready(self, function: str, parameter: Parameter) -> None:
        p, g = parameter.data, parameter.grad
        if not isinstance(g, np.ndarray | np.generic) or g.dtype != p.dtype:
            check.refuse(function, f"a {p.dtype} gradient", check.describe(g), TypeError)
        if g.shape != p.shape:
            check.refuse(function, f"a gradient of shape {p.shape}", g.shape)
        if not p.flags.writeable:
            check.refuse(function, "a parameter whose data can be written", "read-only data")
        for name, array in self.state.get(parameter, {}).items():
            if name != "step" and (array.shape != p.shape or array.dtype != p.dtype):
                expected = f"state {name!r} to be a {p.dtype} array of shape {p.shape}"
                check.refuse(function, expected, check.describe(array))

    def _blocks(self, p: Array, g: Array, *state: Array) -> Iterator[tuple[Array, ...]]:
        """Matching 1-d pieces of p, g and the state, then two scratch pieces.

        All but g may be written. A chain of elementwise operations over such pieces costs one pass through memory
        and no temporary larger than a piece. Any memory layout will do; pieces that are not views are written back.
        """
        if p.dtype not in self._scratch:
            self._scratch[p.dtype] = np.empty(BLOCK, p.dtype), np.empty(BLOCK, p.dtype)
        a, b = self._scratch[p.dtype]
        pieces = np.nditer(
            [p, g, *state],
            flags=["external_loop", "buffered", "zerosize_ok"],
            op_flags=[["readwrite"], ["readonly"], *[["readwrite"]] * len(state)],
            buffersize=BLOCK,
        )
        with pieces:
            for piece in pieces:
                n = piece[0].size
                yield *piece, a[:n], b[:n]

    # Saving and loading

    def state_dict(self) -> dict[str, Any]:
        """Copies of the state by index of the parameter, and the groups with indices for parameters, as torch has them."""
        parameters = [p for group in self.param_groups for p in group["params"]]
        index = {id(p): i for i, p in enumerate(parameters)}
        groups = [
            {**{k: v for k, v in group.items() if k != "params"}, "params": indices}
            for group in self.param_groups
            for indices in [[index[id(p)] for p in group["params"]]]
        ]
        state = {
            index[id(p)]: {name: np.array(value) for name, value in values.items()}
            for p, values in self.state.items()
        }
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a `state_dict`, this class's or torch's with its tensors made arrays; checked before anything changes.

        Args:
            state_dict: options are taken as they come, state is copied and cast to the parameters' dtype ("step" is not).

        Raises:
            TypeError: if it is not a mapping with "state" and "param_groups", or a value has the wrong type.
            ValueError: if it was written by another optimizer, or for other groups or shapes.
        """
        function = f"{type(self).__name__}.load_state_dict"
        if not isinstance(state_dict, Mapping) or not {"state", "param_groups"} <= set(state_dict):
            expected = 'a dict with "state" and "param_groups"'
            check.refuse(function, expected, check.describe(state_dict), TypeError)
        saved = [dict(group) for group in state_dict["param_groups"]]
        sizes, expected_sizes = (
            [len(group["params"]) for group in groups] for groups in (saved, self.param_groups)
        )
        if sizes != expected_sizes:
            check.refuse(function, f"groups of {expected_sizes} parameters", f"groups of {sizes}")
        groups = [
            self._loaded_group(function, *pair) for pair in zip(self.param_groups, saved, strict=True)
        ]
        parameters = {
            index: parameter
            for group, new in zip(self.param_groups, saved, strict=True)
            for index, parameter in zip(new["params"], group["params"], strict=True)
        }
        state = {}
        for index, values in state_dict["state"].items():
            if index not in parameters:
                check.refuse(function, "state for the parameters of the groups", f"index {index!r}")
            state[parameters[index]] = self._loaded_state(function, parameters[index], values)
        self.param_groups = groups
        self.state = defaultdict(dict, state)

    def _loaded_group(self, function: str, held: Group, saved: Group) -> Group:
        """The saved options over the held parameters; a switch that is missing there is younger than the file."""
        missing = [
            name
            for name, default in self.defaults.items()
            if name not in saved and not isinstance(default, bool)
        ]
        if missing:
            expected = f"groups with the options of {type(self).__name__}"
            check.refuse(function, expected, f"one without {', '.join(missing)}")
        names = {"param_names": held["param_names"]} if "param_names" in held else {}
        switches = {k: held[k] for k, default in self.defaults.items() if isinstance(default, bool)}
        options = {name: _plain(value) for name, value in saved.items()}
        group = {**names, **switches, **options, "params": held["params"]}
        check.number(function, "lr", group["lr"])  # any sign, as in `step`
        self._check_options(function, group)
        return group

    def _loaded_state(
        self, function: str, parameter: Parameter, saved: Mapping[str, Any]
    ) -> dict[str, Any]:
        values = {name: value for name, value in saved.items() if value is not None}
        missing = [n for n, needed in self._state_names.items() if needed and n not in values]
        foreign = [name for name in values if name not in self._state_names]
        if foreign or (values and missing):
            expected = f"state named {', '.join(self._state_names)}"
            check.refuse(function, expected, ", ".join(values) or "nothing")
        state = {}
        for name, value in values.items():
            shape = () if name == "step" else parameter.shape
            array = np.asarray(value)
            if array.dtype.kind not in "fiu" or array.shape != shape:
                expected = f"state {name!r} to be a numeric array of shape {shape}"
                check.refuse(function, expected, check.describe(value))
            kept = isinstance(value, np.ndarray | np.generic) and name == "step"
            dtype = array.dtype if kept else np.float32 if name == "step" else parameter.dtype
            state[name] = array.astype(dtype)
        return state

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join(lines) + "\n)"


def _plain(value: Any) -> Any:
    """An option that was saved as a tensor is a 0-d array by now, and a number here."""
    if isinstance(value, tuple | list):
        return type(value)(_plain(part) for part in value)
    if isinstance(value, np.ndarray | np.generic) and value.size == 1:
        return value.item()
    return value
