"""What every optimizer is: parameters in groups with options, a state for each, and a step.

    step       for each parameter with a gradient g:  p, state <- update(p, g, state, options)
    layout     param_groups = [{"params": [...], "lr": ..., ...}, ...]
               state = {parameter: {"name": array, ...}, ...}
    torch      the same, so a run that began there continues here from its state_dict, and back.
               What picks an engine and changes no result (foreach, fused, capturable,
               differentiable) is no argument here; in a state_dict it is carried along.

A parameter whose `grad` is None is skipped: no decay, no coasting. A zero gradient is a gradient.
"""

import copy
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from threading import get_ident
from typing import Any, ClassVar, Literal

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.module import Parameter
from scratch.nn.sparse import SparseGradient
from scratch.threads import for_each

Group = dict[str, Any]
State = dict[str, Any]
Params = Iterable[Parameter] | Iterable[Mapping[str, Any]] | Iterable[tuple[str, Parameter]]

BLOCK = 131_072  # elements: few enough to stay in the cache, and enough that threads seldom meet


class Optimizer:
    """Base class: a subclass names its state, checks its options and updates one parameter.

    Args:
        params: parameters, or (name, parameter) pairs, or dicts that hold either under "params"
            beside the options in which that group differs.
        defaults: options of the groups that do not say otherwise.

    Raises:
        TypeError: if `params` is no ordered collection of parameters, or an option is no number.
        ValueError: if there is no parameter, one comes twice, some have no name, or an option is
            out of range.
    """

    # The arrays of a state by name, and whether it must have them; the scalars among them. All
    # others have the parameter's shape and dtype.
    _state_names: ClassVar[Mapping[str, bool]] = {}
    _scalar_names: ClassVar[tuple[str, ...]] = ("step",)

    # Whether a step was taken since a schedule began to watch the order of calls; None if none did.
    _opt_called: bool | None = None
    # Whether gradients must be sparse (True), must not be, or may be (None).
    _sparse: ClassVar[bool | None] = False

    def __init__(self, params: Params, defaults: Mapping[str, Any]) -> None:
        name = type(self).__name__
        if isinstance(params, Parameter | set | str) or not isinstance(params, Iterable):
            expected = "params to be an ordered collection of Parameters or of dicts"
            check.refuse(name, expected, check.describe(params), TypeError)
        self.defaults = dict(defaults)
        check.number(name, "lr", self.defaults["lr"], low=0)
        self._check_options(name, self.defaults)
        self.state: defaultdict[Parameter, State] = defaultdict(dict)
        self.param_groups: list[Group] = []
        self._scratch: dict[tuple[np.dtype[Any], int], tuple[Array, Array]] = {}
        given: list[Any] = list(params)
        for group in given if given and isinstance(given[0], Mapping) else [{"params": given}]:
            self._add_group(name, group)
        if not any(group["params"] for group in self.param_groups):
            check.refuse(name, "at least one parameter", "none")

    # What a subclass defines

    def _check_options(self, function: str, group: Group) -> None:
        """Refuse options that are out of range; `lr` has been checked."""

    def _check_parameter(self, function: str, parameter: Parameter) -> None:
        """Refuse a parameter that is none for this optimizer."""

    def _check_sparse(self, function: str, group: Group) -> None:
        """Refuse options that do not go with a sparse gradient."""

    def _state_shape(self, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of a state array by its name and the parameter's shape."""
        return () if name in self._scalar_names else shape

    def _start(self, values: Array) -> State:
        """The state before the first sparse gradient."""
        return {}

    def _update(self, values: Array, gradient: Array, state: State, group: Group) -> None:
        """Change a parameter's values and its state in place; the state starts empty."""
        raise TypeError(f"{type(self).__name__}: expected a class that defines _update, got none")

    # Groups

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Optimize further parameters too, with the given options and the defaults for the rest.

        Args:
            param_group: options, and under "params" a parameter, or a list of parameters or of
                (name, parameter) pairs.

        Raises:
            TypeError: if it is no such dict, or an option has a wrong type.
            ValueError: if a parameter is there already, or an option is out of range.
        """
        self._add_group(f"{type(self).__name__}.add_param_group", param_group)

    def _add_group(self, function: str, given: Mapping[str, Any]) -> None:
        if not isinstance(given, Mapping) or "params" not in given:
            expected = 'a parameter group: a dict with "params"'
            check.refuse(function, expected, check.describe(given), TypeError)
        params = given["params"]
        if isinstance(params, set | str) or not isinstance(params, Parameter | Iterable):
            expected = "params to be an ordered collection of Parameters"
            check.refuse(function, expected, check.describe(params), TypeError)
        entries = [params] if isinstance(params, Parameter) else list(params)
        named = [entry for entry in entries if isinstance(entry, tuple) and len(entry) == 2]
        parameters = [p for _, p in named] if len(named) == len(entries) else entries
        if named and len(named) < len(entries):
            check.refuse(function, "all parameters with a name, or all without", "both")
        for parameter in parameters:
            if not isinstance(parameter, Parameter):
                check.refuse(function, "Parameters", check.describe(parameter), TypeError)
            self._check_parameter(function, parameter)
        if any(("param_names" in group) != bool(named) for group in self.param_groups):
            check.refuse(function, "all groups with names, or all without", "both")
        held = {p for group in self.param_groups for p in group["params"]}
        if len(held.union(parameters)) < len(held) + len(parameters):
            check.refuse(function, "each parameter once", "one of them again")
        names = {"param_names": [name for name, _ in named]} if named else {}
        group = {**self.defaults, **given, **names, "params": parameters}
        check.number(function, "lr", group["lr"], low=0)
        self._check_options(function, group)
        self.param_groups.append(group)

    # Stepping

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or fill them with zeros: a step skips None but not zero."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.zero_grad(set_to_none)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient, in place, once everything is checked.

        Args:
            closure: computes the loss and the gradients anew; it is called first.

        Returns:
            What `closure` returned, or None.

        Raises:
            TypeError: if a gradient is no array of the parameter's dtype, or an option has a wrong
                type.
            ValueError: if a shape differs, a parameter is read-only, or an option is out of range.
        """
        self._opt_called = None if self._opt_called is None else True
        loss = None if closure is None else closure()
        function = f"{type(self).__name__}.step"
        work = []
        for group in self.param_groups:
            # Of any sign: the rounding of a schedule that ends at zero may end just below it.
            check.number(function, "lr", group["lr"])
            self._check_options(function, group)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    state = self.state.get(parameter, {})
                    self._check_ready(function, parameter.data, parameter.grad, state)
                    if isinstance(parameter.grad, SparseGradient):
                        self._check_sparse(function, group)
                    work.append((parameter, parameter.grad, state, group))

        def update(task: tuple[Parameter, Any, State, Group]) -> None:
            parameter, gradient, state, group = task
            if isinstance(gradient, SparseGradient):
                self._update_rows(parameter.data, gradient, state, group)
            else:
                self._update(parameter.data, gradient, state, group)
            parameter.version += 1

        if sum(parameter.size for parameter, *_ in work) < 2 * BLOCK:
            for task in work:
                update(task)
        else:
            for_each(update, work)
        for parameter, _, state, _ in work:
            if state:
                self.state[parameter] = state
        return loss

    def _check_ready(self, function: str, values: Array, gradient: object, state: State) -> None:
        shape, dtype = values.shape, values.dtype
        dense = isinstance(gradient, np.ndarray | np.generic)
        wanted = not dense if self._sparse is None else self._sparse
        if not isinstance(gradient, SparseGradient if wanted else np.ndarray | np.generic) or (
            gradient.dtype != dtype
        ):
            expected = f"a {'sparse' if wanted else 'dense'} {dtype} gradient"
            check.refuse(function, expected, check.describe(gradient), TypeError)
        if gradient.shape != shape:
            check.refuse(function, f"a gradient of shape {shape}", gradient.shape)
        if not values.flags.writeable:
            check.refuse(function, "a parameter that can be written", "a read-only array")
        for name, array in state.items():
            if name in self._scalar_names:
                continue  # float32 at first, whatever the parameter is
            due = self._state_shape(name, shape)
            if array.shape != due or array.dtype != dtype:
                expected = f"state {name!r} to be a {dtype} array of shape {due}"
                check.refuse(function, expected, check.describe(array))

    def _update_rows(
        self, values: Array, gradient: SparseGradient, state: State, group: Group
    ) -> None:
        """`_update` of the rows that have a gradient; all others, their state too, stay."""
        rows = gradient.indices
        if not state:
            state.update(self._start(values))
        scalars = {name: array for name, array in state.items() if name in self._scalar_names}
        arrays = {name: array for name, array in state.items() if name not in scalars}
        few = {**scalars, **{name: array[rows] for name, array in arrays.items()}}
        few_values = values[rows]
        self._update(few_values, gradient.values, few, group)
        values[rows] = few_values
        for name, array in arrays.items():
            array[rows] = few[name]
        state.update({name: few[name] for name in scalars})

    def _blocks(self, values: Array, gradient: Array, *state: Array) -> Iterator[tuple[Array, ...]]:
        """Matching 1-d pieces of the arrays and two of scratch; all but the gradient's are written.

        A chain of elementwise operations on such pieces passes once through memory and needs no
        larger temporary. Memory layouts may differ: pieces that are no views are written back.
        """
        key = values.dtype, get_ident()  # updates run side by side
        size = min(BLOCK, values.size)
        scratch = self._scratch.get(key)
        if scratch is None or scratch[0].size < size:
            scratch = np.empty(size, values.dtype), np.empty(size, values.dtype)
            self._scratch[key] = scratch
        a, b = scratch
        arrays = values, gradient, *state
        if all(x.flags.c_contiguous for x in arrays):  # views cost less of the lock than nditer
            flat = [x.reshape(-1) for x in arrays]
            if size == values.size:
                yield *flat, a[:size], b[:size]
                return
            for i in range(0, values.size, BLOCK):
                n = min(BLOCK, values.size - i)
                yield *[x[i : i + n] for x in flat], a[:n], b[:n]
            return
        written: list[Literal["readonly", "readwrite"]] = ["readwrite"]
        iterator = np.nditer(
            arrays,
            flags=["external_loop", "buffered", "zerosize_ok"],
            op_flags=[written, ["readonly"], *[written] * len(state)],
            buffersize=BLOCK,
        )
        with iterator:
            for piece in iterator:
                n = piece[0].size
                yield *piece, a[:n], b[:n]

    # Saving and loading

    def state_dict(self) -> dict[str, Any]:
        """Copies of the state by index of its parameter, and the groups with such indices."""
        index = {p: i for i, p in enumerate(p for g in self.param_groups for p in g["params"])}
        groups = [{**g, "params": [index[p] for p in g["params"]]} for g in self.param_groups]
        state = {index[p]: copy.deepcopy(values) for p, values in self.state.items()}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a `state_dict`, of this class or of torch's, once everything is checked.

        Args:
            state_dict: with arrays where torch has tensors. Options are taken from it; state is
                copied and cast to the parameters' dtype ("step" keeps its own).

        Raises:
            TypeError: if it is no dict with "state" and "param_groups", or an option is no number.
            ValueError: if it belongs to another optimizer, or to other groups or shapes.
        """
        function = f"{type(self).__name__}.load_state_dict"
        if (
            not isinstance(state_dict, Mapping)
            or not isinstance(state_dict.get("state"), Mapping)
            or not isinstance(state_dict.get("param_groups"), list | tuple)
        ):
            expected = 'a dict with "state" and "param_groups"'
            check.refuse(function, expected, check.describe(state_dict), TypeError)
        held, saved = self.param_groups, state_dict["param_groups"]
        expected = f"groups of {[len(group['params']) for group in held]} parameters"
        if not all(isinstance(group, Mapping) and "params" in group for group in saved):
            check.refuse(function, expected, check.describe(saved), TypeError)
        sizes = [len(group["params"]) for group in saved]
        if sizes != [len(group["params"]) for group in held]:
            check.refuse(function, expected, f"groups of {sizes}")
        groups = [self._loaded_group(function, *pair) for pair in zip(held, saved, strict=True)]
        parameters = {
            index: parameter
            for old, new in zip(held, saved, strict=True)
            for index, parameter in zip(new["params"], old["params"], strict=True)
        }
        state = {}
        for index, values in state_dict["state"].items():
            if index not in parameters or not isinstance(values, Mapping):
                expected = "a dict of state for each index that is in the groups"
                check.refuse(function, expected, f"{check.describe(values)} for {index!r}")
            state[parameters[index]] = self._loaded_state(function, parameters[index], values)
        self.param_groups = groups
        self.state = defaultdict(dict, state)

    def _loaded_group(self, function: str, held: Group, saved: Mapping[str, Any]) -> Group:
        """The held parameters with the saved options; a switch that is not among them is off."""
        switches = {name for name, default in self.defaults.items() if isinstance(default, bool)}
        missing = self.defaults.keys() - switches - saved.keys()
        if missing:
            expected = f"groups with the options of {type(self).__name__}"
            check.refuse(function, expected, f"one without {', '.join(sorted(missing))}")
        names = {"param_names": held["param_names"]} if "param_names" in held else {}
        options = {name: _plain(value) for name, value in saved.items()}
        group = {**dict.fromkeys(switches, False), **names, **options, "params": held["params"]}
        check.number(function, "lr", group["lr"])  # of any sign, as in `step`
        self._check_options(function, group)
        return group

    def _loaded_state(self, function: str, parameter: Parameter, saved: Mapping[str, Any]) -> State:
        values = {name: np.asarray(v) for name, v in saved.items() if v is not None}
        missing = [n for n, needed in self._state_names.items() if needed and n not in values]
        if values.keys() - self._state_names.keys() or (values and missing):
            expected = f"state named {', '.join(self._state_names)}"
            check.refuse(function, expected, ", ".join(values))
        state = {}
        for name, value in values.items():
            shape = self._state_shape(name, parameter.shape)
            if value.dtype.kind not in "fiu" or value.shape != shape:
                expected = f"state {name!r} to be a numeric array of shape {shape}"
                check.refuse(function, expected, check.describe(value))
            state[name] = value.astype(value.dtype if name == "step" else parameter.dtype)
        return state

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join(lines) + "\n)"


def _plain(value: Any) -> Any:
    """An option that torch kept in a tensor comes as an array of one element: the number in it."""
    if isinstance(value, tuple | list):
        return type(value)(_plain(part) for part in value)
    return value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
