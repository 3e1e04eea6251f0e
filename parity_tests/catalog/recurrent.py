"""Recurrent layers and cells, and packed sequences."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn.utils import rnn as torch_packing

from parity_tests.harness.draw import Draw
from parity_tests.harness.entry import Call, Case, Layer, Op, Refusal, unchecked
from scratch import nn
from scratch.check import Array
from scratch.nn.op import Backward
from scratch.nn.utils import rnn as packing
from scratch.random import Generator
from torch_ref.nn.gru import GRU as PaperGRU
from torch_ref.nn.gru import GRUCell as PaperGRUCell

ELMAN = "Elman 1990, Cognitive Science 14, 'Finding structure in time'"
LSTM = "Hochreiter & Schmidhuber 1997, Neural Computation 9(8); Gers et al. 2000, 12(10)"
GRU = "Cho et al. 2014, arXiv:1406.1078, equations 5 to 8"
PACKED = "Appleyard, Kocisky & Barber 2016, arXiv:1604.01946 (batches of falling size)"

LENGTHS = {
    "sorted": ([5, 3, 3, 1], True),
    "unsorted": ([2, 5, 1, 3], False),
    "equal": ([4, 4, 4, 4], True),
    "sorted anew": ([5, 5, 2, 1], False),
}


class Packed(nn.Module):
    """A layer of scratch over padded sequences of the given lengths."""

    def __init__(
        self, layer: str, lengths: list[int], enforce_sorted: bool, *args: Any, **kwargs: Any
    ) -> None:
        self.lengths, self.enforce_sorted = lengths, enforce_sorted
        self.layer = getattr(nn, layer)(*args, **kwargs)

    def forward(self, input: Array, hx: Any = None) -> tuple[Any, Backward]:
        """Padded output, and the last states."""
        first = self.layer.batch_first
        packed, pack_back = packing.pack_padded_sequence(
            input, self.lengths, first, self.enforce_sorted
        )
        (output, last), layer_back = self.layer(packed, hx)
        (padded, _), pad_back = packing.pad_packed_sequence(output, first, total_length=6)

        def backward(dpadded: Array | None, dlast: Any) -> Any:
            dinputs = layer_back(pad_back(dpadded, None), dlast)
            if hx is None:
                return pack_back(dinputs)
            return (pack_back(dinputs[0]), *dinputs[1:])

        return (padded, last), backward


class TorchPacked(torch.nn.Module):
    """The same in torch."""

    def __init__(
        self, layer: str, lengths: list[int], enforce_sorted: bool, *args: Any, **kwargs: Any
    ) -> None:
        super().__init__()
        self.lengths, self.enforce_sorted = lengths, enforce_sorted
        own = kwargs.get("reset_after", True)
        self.layer = (getattr(torch.nn, layer) if own else PaperGRU)(*args, **kwargs)

    def forward(self, input: torch.Tensor, hx: Any = None) -> Any:
        """Padded output, and the last states."""
        first = self.layer.batch_first
        packed = torch_packing.pack_padded_sequence(input, self.lengths, first, self.enforce_sorted)
        output, last = self.layer(packed, hx)
        return torch_packing.pad_packed_sequence(output, first, total_length=6)[0], last


Packed.__name__ = TorchPacked.__name__ = "Packed"


class Truncated(nn.Module):
    """Two chunks of a sequence, the state carried over and its gradient dropped at the edge."""

    def __init__(self, layer: str, *args: Any) -> None:
        self.layer = getattr(nn, layer)(*args)

    def forward(self, input: Array, hx: Any) -> tuple[Any, Backward]:
        """The outputs of both chunks and the last state."""
        (y1, carried), back1 = self.layer(input[:3], hx)
        (y2, last), back2 = self.layer(input[3:], carried)

        def backward(dy: Array | None, dlast: Any) -> Any:
            dy1, dy2 = (None, None) if dy is None else (dy[:3], dy[3:])
            dinput2 = back2(dy2, dlast)[0]
            dinput1, *dhx = back1(dy1, None)
            return (np.concatenate([dinput1, dinput2]), *dhx)

        return (np.concatenate([y1, y2]), last), backward


class TorchTruncated(torch.nn.Module):
    """The same in torch: the carried state is detached."""

    def __init__(self, layer: str, *args: Any) -> None:
        super().__init__()
        self.layer = getattr(torch.nn, layer)(*args)

    def forward(self, input: torch.Tensor, hx: Any) -> Any:
        """The outputs of both chunks and the last state."""
        y1, carried = self.layer(input[:3], hx)
        cut = tuple(c.detach() for c in carried) if isinstance(hx, tuple) else carried.detach()
        y2, last = self.layer(input[3:], cut)
        return torch.cat([y1, y2]), last


Truncated.__name__ = TorchTruncated.__name__ = "Truncated"


class Stepwise(nn.Module):
    """A cell run three times before any backward."""

    def __init__(self, cell: str, *args: Any, **kwargs: Any) -> None:
        self.cell = getattr(nn, cell)(*args, **kwargs)

    def forward(self, input: Array, hx: Array) -> tuple[Array, Backward]:
        """The state after three steps."""
        backs = []
        for x in input:
            hx, back = self.cell(x, hx)
            backs.append(back)

        def backward(dhx: Array) -> tuple[Array, Array]:
            dinput = np.empty_like(input)
            for t in reversed(range(len(input))):
                dinput[t], dhx = backs[t](dhx)
            return dinput, dhx

        return hx, backward


class TorchStepwise(torch.nn.Module):
    """The same in torch."""

    def __init__(self, cell: str, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.cell = getattr(torch.nn, cell)(*args, **kwargs)

    def forward(self, input: torch.Tensor, hx: torch.Tensor) -> torch.Tensor:
        """The state after three steps."""
        for x in input:
            hx = self.cell(x, hx)
        return hx


Stepwise.__name__ = TorchStepwise.__name__ = "Stepwise"


def states(d: Draw, count: int, out: int, hidden: int, batch: int | None, cell: bool) -> Any:
    """h_0, or (h_0, c_0)."""
    middle = () if batch is None else (batch,)
    h = d.normal(count, *middle, out)
    return (h, d.normal(count, *middle, hidden)) if cell else h


def cases(cell: bool, extra: tuple[tuple[str, dict[str, Any]], ...]) -> tuple[Case, ...]:
    """Each option at least once; sizes 3 in, 4 hidden, 5 steps, 2 sequences."""

    def make(
        options: dict[str, Any], batch: int | None = 2, steps: int = 5, given: bool = True
    ) -> Callable[[Draw], Call]:
        def call(d: Draw) -> Call:
            shape = (steps, 3) if batch is None else (steps, batch, 3)
            if options.get("batch_first") and batch is not None:
                shape = (batch, steps, 3)
            count = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)
            hx = states(d, count, options.get("proj_size") or 4, 4, batch, cell)
            return Call(d.normal(*shape), *((hx,) if given else ()))

        return call

    variants: tuple[tuple[str, dict[str, Any]], ...] = (
        ("plain", {}),
        ("two layers", {"num_layers": 2}),
        ("both directions", {"bidirectional": True}),
        ("without bias", {"bias": False}),
        ("batch first", {"batch_first": True}),
        (
            "all at once",
            {"num_layers": 3, "bidirectional": True, "batch_first": True, "bias": False},
        ),
        *extra,
    )
    found = [Case(name, make(options), init=Call(3, 4, **options)) for name, options in variants]
    deep = {"num_layers": 2, "bidirectional": True}
    dropping = {"num_layers": 3, "bidirectional": True, "dropout": 0.4}
    return (
        *found,
        Case("no first state", make({}, given=False), init=Call(3, 4)),
        Case("unbatched", make(deep, None), init=Call(3, 4, **deep)),
        Case(
            "unbatched, batch_first ignored",
            make({"batch_first": True}, None),
            init=Call(3, 4, batch_first=True),
        ),
        Case("one step", make(deep, steps=1), init=Call(3, 4, **deep)),
        Case("one sequence", make({}, 1), init=Call(3, 4)),
        Case("dropout", make(dropping), init=Call(3, 4, **dropping), seeded=True),
        Case(
            "dropout, batch first",
            make({**dropping, "batch_first": True}),
            init=Call(3, 4, **dropping, batch_first=True),
            seeded=True,
        ),
        Case(
            "dropout of everything",
            make({"num_layers": 2}),
            init=Call(3, 4, num_layers=2, dropout=1.0),
            seeded=True,
            modes=("eval",),
        ),
        Case("longer", make({}, steps=12), init=Call(3, 4)),
    )


def packed_cases(layer: str, cell: bool, **options: Any) -> tuple[Case, ...]:
    """Lengths in all orders, with first states and without."""
    deep = {"num_layers": 2, "bidirectional": True, **options}

    def make(out: int, first: bool, given: bool) -> Callable[[Draw], Call]:
        def call(d: Draw) -> Call:
            x = d.normal(4, 5, 3) if first else d.normal(5, 4, 3)
            return Call(x, *((states(d, 4, out, 4, 4, cell),) if given else ()))

        return call

    found = [
        Case(
            lengths,
            make(4, False, True),
            init=Call(layer, *LENGTHS[lengths], 3, 4, **deep),
        )
        for lengths in LENGTHS
    ]
    if cell:
        found.append(
            Case(
                "projection",
                make(2, False, True),
                init=Call(layer, *LENGTHS["unsorted"], 3, 4, **deep, proj_size=2),
            )
        )
    return (
        *found,
        Case(
            "batch first, no first state",
            make(4, True, False),
            init=Call(layer, *LENGTHS["unsorted"], 3, 4, **deep, batch_first=True),
        ),
        Case(
            "dropout",
            make(4, False, True),
            init=Call(layer, *LENGTHS["unsorted"], 3, 4, **deep, dropout=0.5),
            seeded=True,
        ),
    )


def cell_cases(cell: bool, extra: tuple[tuple[str, dict[str, Any]], ...] = ()) -> tuple[Case, ...]:
    """One step."""

    def make(batch: int | None, given: bool = True) -> Callable[[Draw], Call]:
        def call(d: Draw) -> Call:
            lead = () if batch is None else (batch,)
            hx = (d.normal(*lead, 4), d.normal(*lead, 4)) if cell else d.normal(*lead, 4)
            return Call(d.normal(*lead, 3), *((hx,) if given else ()))

        return call

    return (
        Case("plain", make(2), init=Call(3, 4)),
        Case("without bias", make(2), init=Call(3, 4, bias=False)),
        Case("unbatched", make(None), init=Call(3, 4)),
        Case("one row", make(1), init=Call(3, 4)),
        Case("no state", make(2, given=False), init=Call(3, 4), zero=("weight_hh",)),
        *(Case(name, make(5), init=Call(3, 4, **options)) for name, options in extra),
    )


def saturated(d: Draw) -> Call:
    """Gates at their limits: e^-x overflows in float32."""
    return Call(d.normal(5, 2, 3, scale=300.0))


def start_of(layer: str, *sizes: int, **options: Any) -> Callable[[Array], tuple[Array, Backward]]:
    """The parameters that a seed starts from, scaled."""

    def start(scale: Array) -> tuple[Array, Backward]:
        module = getattr(nn, layer)(*sizes, **options, dtype=scale.dtype, generator=Generator(0))
        flat = np.concatenate([p.data.ravel() for p in module.parameters()])
        return flat * scale, lambda dy: dy * flat

    return start


def torch_start_of(
    layer: str, *sizes: int, **options: Any
) -> Callable[[torch.Tensor], torch.Tensor]:
    """The same in torch."""

    def start(scale: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(0)
        module = getattr(torch.nn, layer)(*sizes, **options, dtype=scale.dtype)
        flat = torch.cat([p.detach().ravel() for p in module.parameters()])
        return flat.to(scale.device) * scale

    return start


DEEP = {"num_layers": 2, "bidirectional": True}
STARTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("RNN", DEEP),
    ("LSTM", {**DEEP, "proj_size": 2}),
    ("GRU", DEEP),
    ("RNNCell", {}),
    ("LSTMCell", {}),
    ("GRUCell", {"bias": False}),
)


def scales(layer: str, sizes: tuple[int, ...], options: dict[str, Any], d: Draw) -> Call:
    """One for each number that a layer starts from."""
    return Call(d.normal(sum(p.size for p in getattr(nn, layer)(*sizes, **options).parameters())))


def chunks(cell: bool, d: Draw) -> Call:
    """Seven steps and a first state."""
    return Call(d.normal(7, 2, 3), states(d, 1, 4, 4, 2, cell))


def batch(batch_first: bool, rest: tuple[int, ...], d: Draw, steps: int = 5, size: int = 4) -> Call:
    """A padded batch."""
    return Call(d.normal(*((size, steps) if batch_first else (steps, size)), *rest))


def pack(lengths: str, batch_first: bool) -> Callable[[Array], tuple[Array, Backward]]:
    """The data of the packed sequence."""
    sizes, enforce_sorted = LENGTHS[lengths]

    def packed(input: Array) -> tuple[Array, Backward]:
        found, backward = packing.pack_padded_sequence(input, sizes, batch_first, enforce_sorted)
        return found.data, backward

    return packed


def torch_pack(lengths: str, batch_first: bool) -> Callable[[torch.Tensor], torch.Tensor]:
    """The same in torch."""
    sizes, enforce_sorted = LENGTHS[lengths]
    return lambda input: (
        torch_packing.pack_padded_sequence(input, sizes, batch_first, enforce_sorted).data
    )


def pad(batch_first: bool, value: float, total: int | None) -> Callable[..., Any]:
    """Packed from an unsorted batch, and padded again."""
    sizes, _ = LENGTHS["unsorted"]

    def padded(input: Array) -> tuple[Array, Backward]:
        packed, pack_back = packing.pack_padded_sequence(input, sizes, False, False)
        (y, _), pad_back = packing.pad_packed_sequence(packed, batch_first, value, total)
        return y, lambda dy: pack_back(pad_back(dy, None))

    return padded


def torch_pad(batch_first: bool, value: float, total: int | None) -> Callable[..., Any]:
    """The same in torch."""
    sizes, _ = LENGTHS["unsorted"]

    def padded(input: torch.Tensor) -> torch.Tensor:
        packed = torch_packing.pack_padded_sequence(input, sizes, False, False)
        return torch_packing.pad_packed_sequence(packed, batch_first, value, total)[0]

    return padded


def listed(name: str, *options: Any) -> Callable[..., Any]:
    """A function of a list, as one of several arrays."""

    def function(a: Array, b: Array, c: Array) -> tuple[Any, Backward]:
        y, backward = getattr(packing, name)([a, b, c], *options)
        return (y.data if name == "pack_sequence" else y), backward

    return function


def torch_listed(name: str, *options: Any) -> Callable[..., Any]:
    """The same in torch."""

    def function(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> Any:
        y = getattr(torch_packing, name)([a, b, c], *options)
        return y.data if name == "pack_sequence" else y

    return function


def unpacked(a: Array, b: Array, c: Array) -> tuple[Any, Backward]:
    """A list packed and unpacked."""
    packed, pack_back = packing.pack_sequence([a, b, c], False)
    ys, unpack_back = packing.unpack_sequence(packed)
    return ys, lambda *dys: pack_back(unpack_back(*dys))


def torch_unpacked(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> Any:
    """The same in torch."""
    return tuple(torch_packing.unpack_sequence(torch_packing.pack_sequence([a, b, c], False)))


def lists(*lengths: int) -> Callable[[Draw], Call]:
    """Arrays of these lengths."""
    return lambda d: Call(*(d.normal(n, 2) for n in lengths))


def torch_unpad(padded_sequences: torch.Tensor, lengths: Any, batch_first: bool) -> Any:
    """torch's, on a copy where it would transpose in place."""
    x = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return tuple(torch_packing.unpad_sequence(x, torch.as_tensor(lengths), True))


RELU = ("relu", {"nonlinearity": "relu"})

ENTRIES = [
    Layer("RNN", nn.RNN, torch.nn.RNN, cases(False, (RELU,)), ELMAN),
    Layer(
        "LSTM",
        nn.LSTM,
        torch.nn.LSTM,
        cases(
            True,
            (
                ("projection", {"proj_size": 2}),
                ("projection without bias", {"proj_size": 2, "bias": False}),
                ("projection, all", {"proj_size": 3, "num_layers": 2, "bidirectional": True}),
            ),
        ),
        LSTM,
    ),
    Layer(
        "GRU",
        nn.GRU,
        torch.nn.GRU,
        cases(False, ()),
        GRU,
    ),
    *(
        Layer(
            f"{layer} saturated",
            getattr(nn, layer),
            getattr(torch.nn, layer),
            # x of size 100 times what is left of the slopes
            (Case("e^-x overflows", saturated, init=Call(3, 4), cancels=100.0),),
            source,
            steps=False,
            differences=False,
        )
        for layer, source in (("LSTM", LSTM), ("GRU", GRU))
    ),
    Layer(
        "GRU with the reset gate before",
        nn.GRU,
        PaperGRU,
        tuple(
            Case(
                case.name,
                case.make,
                init=Call(*case.init.args, **case.init.kwargs, reset_after=False),
                seeded=case.seeded,
                modes=case.modes,
            )
            for case in cases(False, ())
        ),
        GRU,
    ),
    Layer("RNNCell", nn.RNNCell, torch.nn.RNNCell, cell_cases(False, (RELU,)), ELMAN),
    Layer("LSTMCell", nn.LSTMCell, torch.nn.LSTMCell, cell_cases(True), LSTM),
    Layer("GRUCell", nn.GRUCell, torch.nn.GRUCell, cell_cases(False), GRU),
    Layer(
        "GRUCell with the reset gate before",
        nn.GRUCell,
        PaperGRUCell,
        tuple(
            Case(
                case.name,
                case.make,
                init=Call(*case.init.args, **case.init.kwargs, reset_after=False),
                zero=case.zero,
            )
            for case in cell_cases(False)
        ),
        GRU,
    ),
    *(
        Layer(
            f"{layer} packed",
            Packed,
            TorchPacked,
            packed_cases(layer, layer == "LSTM"),
            f"{source}; {PACKED}",
        )
        for layer, source in (("RNN", ELMAN), ("LSTM", LSTM), ("GRU", GRU))
    ),
    Layer(
        "GRU packed, the reset gate before",
        Packed,
        TorchPacked,
        packed_cases("GRU", False, reset_after=False),
        f"{GRU}; {PACKED}",
    ),
    *(
        Layer(
            f"{layer} over two chunks",
            Truncated,
            TorchTruncated,
            (
                Case(
                    "carried state",
                    partial(chunks, layer == "LSTM"),
                    init=Call(layer, 3, 4),
                    surrogate="the gradient of the carried state is dropped",
                ),
            ),
            "Williams & Peng 1990, Neural Computation 2(4) (truncated in time)",
        )
        for layer in ("RNN", "LSTM", "GRU")
    ),
    *(
        Layer(
            f"{cell} three times",
            Stepwise,
            TorchStepwise,
            (
                Case(
                    "shared weights",
                    lambda d: Call(d.normal(3, 2, 3), d.normal(2, 4)),
                    init=Call(cell, 3, 4),
                ),
            ),
            source,
        )
        for cell, source in (("RNNCell", ELMAN), ("GRUCell", GRU))
    ),
    *(
        Op(
            f"{layer} start",
            start_of(layer, 3, 4, **options),
            torch_start_of(layer, 3, 4, **options),
            (
                Case(
                    "seed 0",
                    partial(scales, layer, (3, 4), options),
                ),
            ),
            "torch's uniform start",
        )
        for layer, options in STARTS
    ),
    *(
        Op(
            f"pack_padded_sequence, {lengths}, batch_first={first}",
            pack(lengths, first),
            torch_pack(lengths, first),
            (
                Case("matrix", partial(batch, first, (2,))),
                Case("numbers", partial(batch, first, ())),
            ),
            PACKED,
        )
        for lengths in LENGTHS
        for first in (False, True)
    ),
    *(
        Op(
            f"pad_packed_sequence, {options}",
            pad(*options),
            torch_pad(*options),
            (Case("matrix", lambda d: Call(d.normal(5, 4, 2))),),
            PACKED,
        )
        for options in ((False, 0.0, None), (True, -1.5, None), (False, 2.0, 7))
    ),
    *(
        Op(
            f"pad_sequence, {options}",
            listed("pad_sequence", *options),
            torch_listed("pad_sequence", *options),
            (Case("lengths 2, 4, 1", lists(2, 4, 1)),),
            PACKED,
        )
        for options in ((), (True, 0.5), (False, -1.0, "left"))
    ),
    *(
        Op(
            f"pack_sequence, {options}",
            listed("pack_sequence", *options),
            torch_listed("pack_sequence", *options),
            (Case(f"lengths {lengths}", lists(*lengths)),),
            PACKED,
        )
        for options, lengths in (((True,), (4, 2, 2)), ((False,), (2, 4, 1)))
    ),
    Op(
        "unpack_sequence",
        unpacked,
        torch_unpacked,
        (Case("lengths 2, 4, 1", lists(2, 4, 1)),),
        PACKED,
    ),
    *(
        Op(
            f"unpad_sequence, batch_first={first}",
            partial(packing.unpad_sequence, lengths=[2, 4, 1], batch_first=first),
            partial(torch_unpad, lengths=[2, 4, 1], batch_first=first),
            (Case("matrix", partial(batch, first, (2,), steps=4, size=3)),),
            PACKED,
        )
        for first in (False, True)
    ),
]


def _x(*shape: int) -> Array:
    return np.zeros(shape, np.float32)


def _packed(*shape: int) -> packing.PackedSequence:
    return packing.PackedSequence(_x(*shape), np.array([2, 1]))


def build(layer: str, *args: Any, **options: Any) -> Callable[[], Any]:
    """Make a layer."""
    return lambda: getattr(nn, layer)(*(args or (3, 4)), **options)


def run(layer: str, *inputs: Any, **options: Any) -> Callable[[], Any]:
    """Make a layer and call it."""
    return lambda: getattr(nn, layer)(3, 4, **options)(*inputs)


def back(layer: str, input: Array, *gradients: Any) -> Callable[[], Any]:
    """Make a layer, call it, and its backward."""
    return lambda: getattr(nn, layer)(3, 4)(input)[1](*gradients)


CALLS: dict[str, tuple[str, Callable[[], Any]]] = {
    **{
        f"{layer}: {what}": (layer, call)
        for layer in ("RNN", "LSTM", "GRU")
        for what, call in {
            "input size": build(layer, 0, 4),
            "hidden size": build(layer, 3, -1),
            "layers": build(layer, 3, 4, 0),
            "layers type": build(layer, 3, 4, 1.5),
            "bias": build(layer, bias=1),
            "batch_first": build(layer, batch_first=0),
            "bidirectional": build(layer, bidirectional="yes"),
            "dropout": build(layer, dropout=1.5),
            "dropout type": build(layer, dropout=True),
            "generator": build(layer, generator=0),
            "input shape": run(layer, _x(5, 2, 2)),
            "input axes": run(layer, _x(3)),
            "no step": run(layer, _x(0, 2, 3)),
            "no step, batch first": run(layer, _x(2, 0, 3), batch_first=True),
            "input dtype": run(layer, np.zeros((5, 2, 3))),
            "input list": run(layer, [[1.0, 2.0, 3.0]]),
            "packed input": run(layer, _packed(3, 2)),
            "gradient shape": back(layer, _x(5, 2, 3), _x(5, 2, 1), None),
            "gradient dtype": back(layer, _x(5, 2, 3), np.zeros((5, 2, 4)), None),
            "one gradient": back(layer, _x(5, 2, 3), _x(5, 2, 4)),
        }.items()
    },
    **{
        f"{cell}: {what}": (cell, call)
        for cell in ("RNNCell", "LSTMCell", "GRUCell")
        for what, call in {
            "input shape": run(cell, _x(2, 2)),
            "input dtype": run(cell, np.zeros((2, 3))),
            "bias": build(cell, bias="relu"),
            "hidden size": build(cell, 3, -4),
        }.items()
    },
    **{
        f"{layer}: {what}": (layer, call)
        for layer in ("RNN", "GRU")
        for what, call in {
            "hx shape": run(layer, _x(5, 2, 3), _x(1, 3, 4)),
            "hx dtype": run(layer, _x(5, 2, 3), np.zeros((1, 2, 4))),
            "hx of an unbatched input": run(layer, _x(5, 3), _x(1, 1, 4)),
        }.items()
    },
    **{
        f"{cell}: {what}": (cell, call)
        for cell in ("RNNCell", "GRUCell")
        for what, call in {
            "hx shape": run(cell, _x(2, 3), _x(3, 4)),
            "gradient shape": back(cell, _x(2, 3), _x(3, 4)),
            "no gradient": back(cell, _x(2, 3), None),
        }.items()
    },
}
PADDED: tuple[tuple[str, Array, Any], ...] = (
    ("order", _x(5, 2), [3, 4]),
    ("too long", _x(5, 2), [6, 4]),
    ("length 0", _x(5, 2), [3, 0]),
    ("number of lengths", _x(5, 2), [3]),
    ("float lengths", _x(5, 2), [3.0, 2.0]),
    ("one axis", _x(5), [3]),
    ("no sequence", _x(5, 0), np.zeros(0, np.int64)),
)

REFUSALS = [
    *(Refusal(what, call, name) for what, (name, call) in CALLS.items()),
    Refusal("RNN: nonlinearity", lambda: nn.RNN(3, 4, nonlinearity="gelu"), "RNN"),
    Refusal("RNNCell: nonlinearity", lambda: nn.RNNCell(3, 4, nonlinearity="gelu"), "RNNCell"),
    Refusal("GRU: reset_after", lambda: nn.GRU(3, 4, reset_after=unchecked("no")), "GRU"),
    Refusal("GRUCell: reset_after", lambda: nn.GRUCell(3, 4, reset_after=unchecked(2)), "GRUCell"),
    Refusal("LSTM: proj_size", lambda: nn.LSTM(3, 4, proj_size=4), "LSTM"),
    Refusal("LSTM: negative proj_size", lambda: nn.LSTM(3, 4, proj_size=-1), "LSTM"),
    Refusal("LSTM: hx alone", lambda: nn.LSTM(3, 4)(_x(5, 2, 3), _x(1, 2, 4)), "LSTM"),
    Refusal("LSTM: c_0", lambda: nn.LSTM(3, 4)(_x(5, 2, 3), (_x(1, 2, 4), _x(1, 2, 3))), "LSTM"),
    Refusal(
        "LSTM: h_0 of a projection",
        lambda: nn.LSTM(3, 4, proj_size=2)(_x(5, 2, 3), (_x(1, 2, 4), _x(1, 2, 4))),
        "LSTM",
    ),
    Refusal(
        "LSTM: three state gradients",
        lambda: nn.LSTM(3, 4)(_x(5, 2, 3))[1](None, (None, None, None)),
        "LSTM",
    ),
    Refusal("LSTMCell: hx alone", lambda: nn.LSTMCell(3, 4)(_x(2, 3), _x(2, 4)), "LSTMCell"),
    Refusal(
        "LSTMCell: hx shape", lambda: nn.LSTMCell(3, 4)(_x(2, 3), (_x(2, 4), _x(3, 4))), "LSTMCell"
    ),
    Refusal("LSTMCell: one gradient", lambda: nn.LSTMCell(3, 4)(_x(2, 3))[1](_x(2, 4)), "LSTMCell"),
    Refusal(
        "PackedSequence: rising sizes",
        lambda: packing.PackedSequence(_x(3, 2), np.array([1, 2])),
        "PackedSequence",
    ),
    Refusal(
        "PackedSequence: rows",
        lambda: packing.PackedSequence(_x(4, 2), np.array([2, 1])),
        "PackedSequence",
    ),
    Refusal(
        "PackedSequence: order",
        lambda: packing.PackedSequence(_x(3, 2), np.array([2, 1]), np.array([1, 1])),
        "PackedSequence",
    ),
    Refusal(
        "PackedSequence: data",
        lambda: packing.PackedSequence(unchecked([1.0]), np.array([1])),
        "PackedSequence",
    ),
    Refusal(
        "PackedSequence: float sizes",
        lambda: packing.PackedSequence(_x(1, 2), np.array([1.0])),
        "PackedSequence",
    ),
    *(
        Refusal(
            f"pack_padded_sequence: {what}",
            partial(packing.pack_padded_sequence, x, lengths),
            "pack_padded_sequence",
        )
        for what, x, lengths in PADDED
    ),
    Refusal(
        "pack_padded_sequence: gradient",
        lambda: packing.pack_padded_sequence(_x(5, 2), [3, 2])[1](_x(4)),
        "pack_padded_sequence",
    ),
    Refusal(
        "pad_packed_sequence: array",
        lambda: packing.pad_packed_sequence(unchecked(_x(3, 2))),
        "pad_packed_sequence",
    ),
    Refusal(
        "pad_packed_sequence: total_length",
        lambda: packing.pad_packed_sequence(_packed(3, 2), total_length=1),
        "pad_packed_sequence",
    ),
    Refusal("pad_sequence: empty", lambda: packing.pad_sequence([]), "pad_sequence"),
    Refusal(
        "pad_sequence: shapes", lambda: packing.pad_sequence([_x(2, 3), _x(2, 4)]), "pad_sequence"
    ),
    Refusal(
        "pad_sequence: side",
        lambda: packing.pad_sequence([_x(2, 3)], padding_side="top"),
        "pad_sequence",
    ),
    Refusal(
        "unpad_sequence: lengths",
        lambda: packing.unpad_sequence(_x(3, 2), [4, 1]),
        "unpad_sequence",
    ),
    Refusal(
        "pack_sequence: array", lambda: packing.pack_sequence(unchecked(_x(3, 2))), "pack_sequence"
    ),
    Refusal(
        "unpack_sequence: array",
        lambda: packing.unpack_sequence(unchecked(_x(3))),
        "unpack_sequence",
    ),
]
