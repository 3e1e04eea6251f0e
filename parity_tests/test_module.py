"""The machinery of modules against torch's, on twins of one network that has everything."""

import copy
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

import scratch
from parity_tests.harness import torch_trace, twin
from parity_tests.harness.entry import unchecked
from scratch import nn
from scratch.check import Array
from scratch.nn import functional as F
from scratch.nn.op import Backward
from scratch.random import Generator


class Net(nn.Module):
    """Tied weights, a module under two names, containers in containers, buffers of every kind."""

    steps: Array
    cache: Array
    absent: Array | None
    mean: Array | None

    def __init__(self) -> None:
        self.register_buffer("steps", np.array(3))
        self.embedding = nn.Embedding(7, 4, padding_idx=0)
        self.body = nn.Sequential(
            nn.Linear(4, 5, bias=False),
            nn.Sequential(nn.Identity(), nn.Linear(5, 4)),
            nn.Identity(),
        )
        self.scale = nn.Parameter(np.full(4, 2.0, np.float32))
        self.register_buffer("cache", np.arange(4, dtype=np.float32), persistent=False)
        self.register_buffer("absent", None)
        self.branches = nn.ModuleDict({"b": nn.Linear(4, 3), "a": nn.ModuleList([self.body[0]])})
        self.again = self.body
        self.head = nn.Linear(4, 7)
        self.head.weight = self.embedding.weight
        self.offset = nn.Parameter(np.array(0.5, np.float32))
        self.register_buffer("mean", np.array([0.25], np.float32))

    def forward(self, input: Array) -> tuple[Array, Backward]:
        """Through the body twice, and out through the tied head."""
        e, embedding_back = self.embedding(input)
        first, first_back = self.body(e)
        second, second_back = self.again(first)
        s = second * self.scale.data + self.offset.data
        y, head_back = self.head(s)

        def backward(dy: Array) -> None:
            ds = head_back(dy)
            self.offset.accumulate(np.asarray(ds.sum()))
            self.scale.accumulate((ds * second).reshape(-1, 4).sum(0))
            embedding_back(first_back(second_back(ds * self.scale.data)))

        return y, backward

    def extra_repr(self) -> str:
        return "tied=True"


class TorchNet(torch.nn.Module):
    """The same in torch."""

    absent: torch.Tensor | None
    mean: torch.Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("steps", torch.tensor(3))
        self.embedding = torch.nn.Embedding(7, 4, padding_idx=0)
        inner = torch.nn.Sequential(torch.nn.Identity(), torch.nn.Linear(5, 4))
        self.body = torch.nn.Sequential(
            torch.nn.Linear(4, 5, bias=False), inner, torch.nn.Identity()
        )
        self.scale = torch.nn.Parameter(torch.full((4,), 2.0))
        self.register_buffer("cache", torch.arange(4.0), persistent=False)
        self.register_buffer("absent", None)
        shared = torch.nn.ModuleList([self.body[0]])
        self.branches = torch.nn.ModuleDict({"b": torch.nn.Linear(4, 3), "a": shared})
        self.again = self.body
        self.head = torch.nn.Linear(4, 7)
        self.head.weight = self.embedding.weight
        self.offset = torch.nn.Parameter(torch.tensor(0.5))
        self.register_buffer("mean", torch.tensor([0.25]))

    def _get_name(self) -> str:
        return "Net"

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Through the body twice, and out through the tied head."""
        s = self.again(self.body(self.embedding(input))) * self.scale + self.offset
        y: torch.Tensor = self.head(s)
        return y

    def extra_repr(self) -> str:
        return "tied=True"


IDS = np.array([[1, 0, 3], [3, 6, 1]])


def twins(dtype: Any = np.float64) -> tuple[Net, TorchNet]:
    torch.manual_seed(0)
    theirs = TorchNet().to(torch.float64 if dtype == np.float64 else torch.float32)
    ours = Net().to(dtype)
    ours.load_state_dict(twin.arrays(theirs.state_dict()))
    return ours, theirs


def frozen(module: nn.Module) -> dict[str, Any]:
    """Everything that a module holds, copied."""
    return {
        **{f"{n} data": p.data.copy() for n, p in module.named_parameters()},
        **{f"{n} version": p.version for n, p in module.named_parameters()},
        **{f"{n} grad": copy.copy(p.grad) for n, p in module.named_parameters()},
        **{f"{n} buffer": b.copy() for n, b in module.named_buffers()},
    }


def assert_unchanged(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert list(before) == list(after)
    for name, value in before.items():
        np.testing.assert_array_equal(value, after[name], err_msg=name)


def cotangent(shape: tuple[int, ...], dtype: Any = np.float64) -> Array:
    return np.random.default_rng(1).standard_normal(shape).astype(dtype)


def close(ours: Any, theirs: torch.Tensor | None, tolerance: float = 1e-13) -> None:
    assert (ours is None) == (theirs is None)
    if theirs is not None:
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=tolerance, atol=tolerance)


# Names


def test_names_and_order_are_torchs() -> None:
    ours, theirs = twins()
    assert [n for n, _ in ours.named_modules()] == [n for n, _ in theirs.named_modules()]
    assert [n for n, _ in ours.named_children()] == [n for n, _ in theirs.named_children()]
    assert [n for n, _ in ours.named_buffers()] == [n for n, _ in theirs.named_buffers()]
    assert len(list(ours.buffers())) == len(list(theirs.buffers()))
    assert len(list(ours.modules())) == len(list(theirs.modules()))
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for name, value in theirs.state_dict().items():
        assert ours.state_dict()[name].shape == tuple(value.shape)
        assert ours.state_dict()[name].dtype == value.numpy().dtype
    for duplicates in (True, False):
        mine = [n for n, _ in ours.named_parameters(remove_duplicate=duplicates)]
        assert mine == [n for n, _ in theirs.named_parameters(remove_duplicate=duplicates)]
        mine = [n for n, _ in ours.named_modules(remove_duplicate=duplicates)]
        assert mine == [n for n, _ in theirs.named_modules(remove_duplicate=duplicates)]
        mine = [n for n, _ in ours.named_buffers(remove_duplicate=duplicates)]
        assert mine == [n for n, _ in theirs.named_buffers(remove_duplicate=duplicates)]
    for recurse in (True, False):
        mine = [n for n, _ in ours.named_parameters("net", recurse)]
        assert mine == [n for n, _ in theirs.named_parameters("net", recurse)]
        mine = [n for n, _ in ours.named_buffers("net", recurse)]
        assert mine == [n for n, _ in theirs.named_buffers("net", recurse)]
        assert len(list(ours.parameters(recurse))) == len(list(theirs.parameters(recurse)))


def test_tied_parameters_are_one() -> None:
    ours, _ = twins()
    assert ours.head.weight is ours.embedding.weight
    assert {"head.weight", "embedding.weight"} <= set(ours.state_dict())
    assert "head.weight" not in dict(ours.named_parameters())
    ours.embedding.weight.data[...] = 1
    np.testing.assert_array_equal(ours.state_dict()["head.weight"], 1)


def test_attributes_set_later_keep_their_place() -> None:
    ours, theirs = nn.Linear(3, 2), torch.nn.Linear(3, 2)
    ours.weight, theirs.weight = (
        nn.Parameter(np.ones((4, 3), np.float32)),
        torch.nn.Parameter(torch.ones(4, 3)),
    )
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.bias = None
    theirs.register_parameter("bias", None)
    assert list(ours.state_dict()) == list(theirs.state_dict()) == ["weight"]
    ours.bias = nn.Parameter(np.ones(4, np.float32))
    theirs.bias = torch.nn.Parameter(torch.ones(4))
    assert list(ours.state_dict()) == list(theirs.state_dict())
    y, back = ours(np.ones((2, 3), np.float32))
    np.testing.assert_array_equal(y, 4)
    assert back(np.ones_like(y)).shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "value"),
    [("scale", np.ones(4)), ("head", 3), ("body", np.tanh), ("mean", 0.5), ("mean", [0.5])],
)
def test_attributes_do_not_change_their_kind(name: str, value: object) -> None:
    ours = Net()
    before = frozen(ours)
    with pytest.raises(TypeError, match=f"Net.{name}: expected .*, got "):
        setattr(ours, name, value)
    assert_unchanged(before, frozen(ours))


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("a.b", np.zeros(2), ValueError),
        ("", np.zeros(2), ValueError),
        ("scale", np.zeros(2), ValueError),
        ("train", np.zeros(2), ValueError),
        ("fresh", [0.0], TypeError),
    ],
)
def test_buffers_that_are_refused(name: str, value: Any, error: type[Exception]) -> None:
    ours = Net()
    names = list(ours.state_dict())
    with pytest.raises(error, match=r"Net\..*: expected .*, got "):
        ours.register_buffer(name, value)
    assert list(ours.state_dict()) == names
    assert not hasattr(ours, "fresh")


def test_buffers_stay_arrays_and_move_in_and_out_of_the_state() -> None:
    ours, theirs = Net(), TorchNet()
    ours.steps = ours.steps + 1  # NumPy makes a scalar of it
    assert isinstance(ours.steps, np.ndarray)
    ours.load_state_dict({**ours.state_dict(), "steps": np.array(9)})
    assert ours.steps == 9
    ours.absent, theirs.absent = np.zeros(2, np.float32), torch.zeros(2)
    ours.register_buffer("cache", np.zeros(1, np.float32))
    theirs.register_buffer("cache", torch.zeros(1))
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.mean = None
    theirs.mean = None
    assert list(ours.state_dict()) == list(theirs.state_dict())


# Values in and out


def test_state_dict_is_a_copy() -> None:
    ours, _ = twins()
    for array in ours.state_dict().values():
        array[...] = 77
    assert not any(np.any(array == 77) for array in ours.state_dict().values())


def test_load_state_dict_moves_values_and_raises_versions() -> None:
    ours, theirs = twins(np.float32)
    versions = [p.version for p in ours.parameters()]
    state = {n: np.asarray(v, np.float64) + 1 for n, v in ours.state_dict().items()}
    keys = ours.load_state_dict(state)
    assert keys.missing_keys == keys.unexpected_keys == []
    theirs.load_state_dict({n: torch.from_numpy(np.array(v)) for n, v in state.items()})
    for name, value in theirs.state_dict().items():
        assert ours.state_dict()[name].dtype == value.numpy().dtype
        np.testing.assert_array_equal(ours.state_dict()[name], value.numpy())
    assert all(p.version > v for p, v in zip(ours.parameters(), versions, strict=True))


def test_load_state_dict_that_is_not_strict_reports_as_torch_does() -> None:
    ours, theirs = twins()
    state = {n: v + 1 for n, v in ours.state_dict().items() if "body" not in n}
    state |= {"extra": np.zeros(3), "body.7.weight": np.zeros(2)}
    keys = ours.load_state_dict(state, strict=False)
    reference = theirs.load_state_dict(
        {n: torch.from_numpy(np.array(v)) for n, v in state.items()}, strict=False
    )
    assert keys.missing_keys == reference.missing_keys
    assert keys.unexpected_keys == reference.unexpected_keys
    for name, value in theirs.state_dict().items():
        np.testing.assert_array_equal(ours.state_dict()[name], value.numpy())


BROKEN: dict[str, tuple[Callable[[dict[str, Any]], Any], bool]] = {
    "missing key": (lambda s: s.pop("offset"), True),
    "unexpected key": (lambda s: s.update(more=np.zeros(2)), True),
    "non-persistent buffer": (lambda s: s.update(cache=np.zeros(4)), True),
    "shape of the last entry": (lambda s: s.update({"mean": np.zeros(2)}), True),
    "shape that would broadcast": (lambda s: s.update({"head.bias": np.zeros(1)}), True),
    "transposed": (lambda s: s.update({"head.weight": np.zeros((4, 7))}), True),
    "shape, not strict": (lambda s: s.update({"mean": np.zeros(2)}), False),
    "a tensor": (lambda s: s.update({"mean": torch.zeros(1)}), True),
    "a list": (lambda s: s.update({"mean": [0.0]}), True),
    "complex": (lambda s: s.update({"mean": np.zeros(1, complex)}), True),
    "text": (lambda s: s.update({"mean": np.array(["0"])}), True),
    "objects, not strict": (lambda s: s.update({"mean": np.array([None])}), False),
}


@pytest.mark.parametrize("what", BROKEN)
def test_load_state_dict_that_fails_changes_nothing(what: str) -> None:
    ours, _ = twins()
    y, back = ours(IDS)
    back(cotangent(y.shape))
    before = frozen(ours)
    state = {n: v + 1 for n, v in ours.state_dict().items()}
    breaks, strict = BROKEN[what]
    breaks(state)
    with pytest.raises((ValueError, TypeError), match=r"Net\.load_state_dict: expected .*, got "):
        ours.load_state_dict(state, strict)
    assert_unchanged(before, frozen(ours))
    back(cotangent(y.shape))  # no version was raised either


def test_load_state_dict_refuses_what_it_cannot_write_to() -> None:
    ours, _ = twins()
    dict(ours.named_buffers())["mean"].flags.writeable = False
    before = frozen(ours)
    with pytest.raises(ValueError, match="mean for an array that is read-only"):
        ours.load_state_dict({n: v + 1 for n, v in ours.state_dict().items()})
    assert_unchanged(before, frozen(ours))
    with pytest.raises(TypeError, match=r"Net\.load_state_dict: expected a mapping"):
        ours.load_state_dict(unchecked([("mean", np.zeros(1))]))


def test_load_state_dict_names_every_problem() -> None:
    ours = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    state = {"0.weight": np.zeros((2, 2)), "1.weight": np.zeros((1, 2)), "2.weight": np.zeros(1)}
    with pytest.raises(ValueError) as caught:
        ours.load_state_dict(state)
    for part in ("0.bias", "1.bias", "2.weight", "(2, 2)", "(2, 3)"):
        assert part in str(caught.value)


def test_to_casts_everything_that_is_floating() -> None:
    ours, theirs = twins(np.float32)
    y, back = ours(IDS)
    back(cotangent(y.shape, np.float32))
    assert ours.to(np.float64) is ours
    theirs.to(torch.float64)
    assert all(p.dtype == np.float64 for p in ours.parameters())
    assert all(p.grad is None or p.grad.dtype == np.float64 for p in ours.parameters())
    assert ours.head.weight is ours.embedding.weight
    for (_, mine), (_, other) in zip(ours.named_buffers(), theirs.named_buffers(), strict=True):
        assert mine.dtype == other.numpy().dtype
    assert ours(IDS)[0].dtype == np.float64
    with pytest.raises(RuntimeError, match="run the forward again"):
        back(cotangent(y.shape, np.float32))
    for dtype in (np.float16, np.int64, bool):
        with pytest.raises(ValueError, match=r"Net\.to: expected dtype float32 or float64, got "):
            ours.to(dtype)


# Training


def test_gradients_are_torchs_and_add_up() -> None:
    ours, theirs = twins()
    y, back = ours(IDS)
    reference = theirs(torch.from_numpy(IDS))
    close(y, reference)
    dy = cotangent(y.shape)
    for _ in range(2):  # backward twice accumulates twice
        back(dy)
        reference.backward(torch.from_numpy(dy), retain_graph=True)
        for name, parameter in theirs.named_parameters():
            close(dict(ours.named_parameters())[name].grad, parameter.grad)
    assert dict(ours.named_parameters())["branches.b.weight"].grad is None  # not used


def test_two_calls_before_any_backward() -> None:
    ours, theirs = twins()
    other = np.array([[5, 5], [2, 0]])
    (y, back), (z, other_back) = ours(IDS), ours(other)
    back(cotangent(y.shape))
    other_back(cotangent(z.shape))
    for ids, dy in ((IDS, cotangent(y.shape)), (other, cotangent(z.shape))):
        theirs(torch.from_numpy(ids)).backward(torch.from_numpy(dy))
    for name, parameter in theirs.named_parameters():
        close(dict(ours.named_parameters())[name].grad, parameter.grad)


def test_backward_never_writes_into_a_gradient_that_others_hold() -> None:
    ours, _ = twins()
    y, back = ours(IDS)
    back(cotangent(y.shape))
    held = {n: (p.grad, copy.copy(p.grad)) for n, p in ours.named_parameters()}
    back(cotangent(y.shape))
    ours.zero_grad(set_to_none=False)
    for now, then in held.values():
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("to_none", [True, False])
def test_zero_grad(to_none: bool) -> None:
    ours, theirs = twins()
    ours.zero_grad(to_none)
    theirs.zero_grad(to_none)
    assert all(p.grad is None for p in ours.parameters())
    y, back = ours(IDS)
    back(cotangent(y.shape))
    theirs(torch.from_numpy(IDS)).backward(torch.from_numpy(cotangent(y.shape)))
    ours.zero_grad(to_none)
    theirs.zero_grad(to_none)
    for name, parameter in theirs.named_parameters():
        close(dict(ours.named_parameters())[name].grad, parameter.grad, 0)


def _by_assignment(p: nn.Parameter) -> None:
    p.data = p.data - 0.1


def _in_place(p: nn.Parameter) -> None:
    p.data -= 0.1


def _by_hand(p: nn.Parameter) -> None:
    p.data[...] = 0
    p.version += 1


@pytest.mark.parametrize("change", [_by_assignment, _in_place, _by_hand])
def test_a_changed_parameter_makes_old_backwards_refuse(
    change: Callable[[nn.Parameter], None],
) -> None:
    ours, theirs = twins()
    y, back = ours(IDS)
    weight = dict(ours.named_parameters())["body.0.weight"]
    change(weight)
    with pytest.raises(RuntimeError, match=r"Linear backward: expected parameter 'weight' as it"):
        back(cotangent(y.shape))
    assert weight.grad is None
    reference = theirs(torch.from_numpy(IDS))
    with torch.no_grad():
        theirs.get_parameter("body.0.weight").sub_(0.1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        reference.sum().backward()
    y, back = ours(IDS)
    back(cotangent(y.shape))


def test_a_table_may_change_before_its_backward() -> None:
    """The gradient of an embedding does not depend on the table, in torch neither."""
    ours = nn.Embedding(5, 3, max_norm=0.5, dtype=np.float64, generator=Generator(0))
    theirs = torch.nn.Embedding(5, 3, max_norm=0.5, dtype=torch.float64)
    theirs.load_state_dict({"weight": torch.from_numpy(ours.state_dict()["weight"])})
    version = ours.weight.version
    backs, references = [], []
    for ids in (np.array([0, 1]), np.array([1, 2]), np.array([3, 3])):
        y, back = ours(ids)
        backs.append(back)
        references.append(theirs(torch.from_numpy(ids)))
        close(y, references[-1])
        close(ours.weight.data, theirs.weight)  # the rows that were read have shrunk, no other
    assert ours.weight.version > version
    ours.weight.data -= 0.1
    with torch.no_grad():
        theirs.weight -= 0.1
    dy = cotangent((2, 3))
    for back, reference in zip(backs, references, strict=True):
        assert back(dy) is None
        reference.backward(torch.from_numpy(dy))
    close(ours.weight.grad, theirs.weight.grad)


def test_max_norm_in_a_tied_head_makes_its_backward_refuse() -> None:
    table = nn.Parameter(np.random.default_rng(0).standard_normal((4, 3)))
    embedding = nn.Embedding(4, 3, max_norm=0.1, dtype=np.float64)
    head = nn.Linear(3, 4, bias=False, dtype=np.float64)
    embedding.weight = head.weight = table
    _, head_back = head(np.ones((2, 3)))
    embedding(np.array([1]))
    with pytest.raises(RuntimeError, match="run the forward again"):
        head_back(np.ones((2, 4)))


@pytest.mark.parametrize("name", ["Embedding", "EmbeddingBag"])
def test_a_pretrained_table_is_frozen_unless_told(name: str) -> None:
    table = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    for freeze in (True, False):
        ours = getattr(nn, name).from_pretrained(table.copy(), freeze, padding_idx=-1)
        theirs = getattr(torch.nn, name).from_pretrained(
            torch.from_numpy(table.copy()), freeze, padding_idx=-1
        )
        assert repr(ours) == repr(theirs)
        np.testing.assert_array_equal(ours.weight.data, table)  # its padding row too
        ids = np.array([[1, 2], [4, 1]])
        y, back = ours(ids)
        close(y, theirs(torch.from_numpy(ids)))
        assert back(np.ones_like(y)) is None
        assert (ours.weight.grad is None) == (not theirs.weight.requires_grad) == freeze
        assert len(list(ours.parameters())) == 1


def test_train_and_eval_reach_everything() -> None:
    class Stubborn(nn.Module):
        def train(self, mode: bool = True) -> "Stubborn":
            self.training = False
            return self

    ours, theirs = twins()
    assert all(m.training for m in ours.modules())
    assert ours.eval() is ours
    theirs.eval()
    assert [m.training for m in ours.modules()] == [m.training for m in theirs.modules()]
    ours.body[1].train()
    theirs.body[1].train()
    assert [m.training for m in ours.modules()] == [m.training for m in theirs.modules()]
    network = nn.Sequential(nn.Identity(), Stubborn()).train()
    assert [m.training for m in network] == [True, False]
    with pytest.raises(TypeError, match=r"Net\.train: expected mode to be a bool, got 1 "):
        ours.train(unchecked(1))


def test_apply_goes_children_first_and_meets_a_shared_child_as_torch_does() -> None:
    ours, theirs = twins()
    mine: list[str] = []
    reference: list[str] = []
    assert ours.apply(lambda m: mine.append(type(m).__name__)) is ours
    theirs.apply(lambda m: reference.append(str(m).split("(")[0]))
    assert mine == reference


# What is shown


def test_repr_is_torchs() -> None:
    ours, theirs = twins()
    assert repr(ours) == repr(theirs)


def containers(m: Any) -> Iterator[Any]:
    yield m.Sequential()
    yield m.ModuleList()
    yield m.ModuleDict()
    yield m.ModuleList([m.Linear(2, 2), m.Linear(2, 2), m.Identity(), m.Linear(2, 2)])
    yield m.ModuleList([m.Sequential(m.Identity(), m.Linear(1, 2)) for _ in range(3)])
    yield m.ModuleList(m.ModuleList([m.Identity()]) for _ in range(2)).append(m.ModuleDict())
    yield m.Sequential(
        m.Identity(), m.Identity(), m.Sequential(m.Flatten(), m.Unflatten(1, (2, 3)))
    )
    yield m.ModuleDict({"x": m.ModuleDict({"y": m.Identity()})})
    yield m.Sequential(m.Linear(2, 3), m.Identity(), m.Linear(3, 4))[1:]
    yield m.ModuleList([m.Linear(2, 3), m.Identity(), m.Linear(3, 4)])[-2:]


@pytest.mark.parametrize("number", range(10))
def test_repr_and_keys_of_containers_are_torchs(number: int) -> None:
    ours, theirs = (list(containers(m))[number] for m in (nn, torch.nn))
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert len(ours) == len(theirs)
    if hasattr(ours, "keys"):
        assert list(ours) == list(ours.keys()) == list(theirs.keys())
        assert [n for n, _ in ours.items()] == list(theirs)


def test_containers_hold_one_module_several_times() -> None:
    layer = nn.Linear(2, 2, dtype=np.float64)
    network = nn.Sequential(layer, nn.Identity(), layer)
    assert len(network) == 3
    assert network[0] is network[-1] is list(network)[2] is layer
    assert len(list(network.parameters())) == 2
    assert list(network.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    x = np.random.default_rng(0).standard_normal((3, 2))
    y, back = network(x)
    assert layer.bias is not None
    weight, bias = layer.weight.data, layer.bias.data
    expected = (x @ weight.T + bias) @ weight.T + bias
    np.testing.assert_allclose(y, expected, rtol=1e-14)
    assert back(y).shape == x.shape
    held = nn.ModuleDict({"a": layer, "b": layer})
    assert held.values() == [layer, layer]
    assert len(held) == 2
    assert "b" in held
    with pytest.raises(KeyError, match="expected one of a, b"):
        held["c"]
    with pytest.raises(IndexError, match="expected an index below 3"):
        network[3]


@pytest.mark.parametrize("name", ["", "a.b", "forward", "train", "keys", "training", 3])
def test_names_that_containers_refuse(name: Any) -> None:
    with pytest.raises(ValueError, match="ModuleDict: expected a name"):
        nn.ModuleDict({name: nn.Identity()})
    if name != "keys":
        with pytest.raises(ValueError, match="Sequential: expected a name"):
            nn.Sequential({name: nn.Identity()})


def test_summary_counts_every_parameter_once() -> None:
    ours, theirs = twins(np.float32)
    total = sum(p.numel() for p in theirs.parameters())
    text = ours.summary()
    assert f"{total:,} parameters, {total * 4 / 1e6:.3g} MB" in text
    rows = {line.split()[0]: line.split() for line in text.splitlines()[2:-2]}
    assert rows["embedding"][-1] == "28"
    assert rows["head"][-1] == "7"  # its weight is the embedding's
    assert rows["body.0"][1:] == ["Linear", "(5,4)", "20"]
    assert sum(int(row[-1]) for row in rows.values()) == total
    assert "0 parameters" in nn.Sequential().summary()
    large = nn.Linear(1000, 1000, dtype=np.float64)
    assert "1,001,000 parameters, 8.01 MB" in large.summary()


# Tracing


def nested(m: Any) -> Any:
    return m.Sequential(
        m.Linear(3, 4),
        m.Sequential(m.Linear(4, 5), m.Identity(), m.Sequential(m.Linear(5, 6, bias=False))),
        m.Identity(),
        m.Unflatten(1, (2, 3)),
        m.Flatten(),
        m.Linear(6, 2),
    )


def test_traces_are_those_of_torchs_hooks() -> None:
    theirs = nested(torch.nn).double()
    ours = nested(nn).to(np.float64)
    ours.load_state_dict(twin.arrays(theirs.state_dict()))
    x = np.random.default_rng(0).standard_normal((7, 3))
    dy = cotangent((7, 2))
    with nn.trace(ours) as record:
        for _ in range(2):
            _, back = ours(x)
            back(dy)
    with torch_trace.trace(theirs) as reference:
        for _ in range(2):
            theirs(torch.from_numpy(x).requires_grad_()).backward(torch.from_numpy(dy))
    for mine, other in (
        (record.outputs, reference.outputs),
        (record.gradients, reference.gradients),
    ):
        assert [name for name, _ in mine] == [name for name, _ in other]
        assert len(mine) == 2 * len(list(ours.modules()))
        for (name, value), (_, expected) in zip(mine, other, strict=True):
            np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-14, err_msg=name)


def test_a_trace_ends_with_its_block_and_changes_nothing() -> None:
    ours = nested(nn).to(np.float64)
    x = np.random.default_rng(0).standard_normal((7, 3))
    plain, plain_back = ours(x)
    with nn.trace(ours) as record:
        traced, traced_back = ours(x)
        plain_back(cotangent((7, 2)))  # of a forward outside
    np.testing.assert_array_equal(plain, traced)
    gradients = [p.grad for p in ours.parameters()]
    ours.zero_grad()
    traced_back(cotangent((7, 2)))  # outside the block
    ours(x)
    assert len(record.outputs) == len(list(ours.modules()))
    assert record.gradients == []
    for parameter, expected in zip(ours.parameters(), gradients, strict=True):
        np.testing.assert_array_equal(parameter.grad, expected)


def test_hooks_see_arguments_outputs_and_gradients_until_removed() -> None:
    layer = nn.Bilinear(2, 3, 4, dtype=np.float64)
    seen: list[Any] = []
    remove = layer.register_forward_hook(lambda m, args, y: seen.append((m, args, y)))
    remove_backward = layer.register_full_backward_hook(lambda m, dx, dy: seen.append((m, dx, dy)))
    a, b = np.ones((5, 2)), np.ones((5, 3))
    y, back = layer(a, b)
    gradients = back(y)
    assert seen[0][0] is layer
    assert seen[0][1][0] is a
    assert seen[0][2] is y
    assert seen[1][1] is gradients
    assert seen[1][2][0] is y
    remove()
    remove_backward()
    layer(a, b)[1](y)
    assert len(seen) == 2


# Same seed, same masks


def test_dropout_draws_go_on_from_call_to_call() -> None:
    layer = nn.Dropout(0.5, generator=Generator(3))
    x = np.ones((40, 50), np.float32)
    first, second = layer(x)[0], layer(x)[0]
    assert not np.array_equal(first, second)
    layer.eval()
    assert layer(x)[0] is x  # draws nothing
    layer.train()
    third = layer(x)[0]
    generator = Generator(3)
    for y in (first, second, third):
        np.testing.assert_array_equal(y, F.dropout(x, generator=generator)[0])
    assert abs(first.mean() - 1) < 0.1


def test_dropout_takes_a_mask() -> None:
    layer = nn.Dropout2d(0.25)
    x, mask = np.ones((2, 3, 4, 5)), np.random.default_rng(0).random((2, 3, 1, 1)) < 0.5
    y, back = layer(x, mask=mask)
    np.testing.assert_array_equal(y, x * mask / 0.75)
    np.testing.assert_array_equal(back(y), y * mask / 0.75)


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    x = np.random.default_rng(0).standard_normal(400_000)
    for p in (0.1, 0.5, 0.9):
        y = F.alpha_dropout(x, p, True, generator=Generator(0))[0]
        assert abs(y.mean()) < 0.01
        assert abs(y.var() - 1) < 0.02


def test_nothing_to_compute() -> None:
    with pytest.warns(UserWarning, match="nothing to fill"):
        layer = nn.Linear(0, 2)
    y, back = layer(np.zeros((3, 0), np.float32))
    assert y.shape == (3, 2)
    assert back(y).shape == (3, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert nn.Embedding(3, 0, max_norm=1.0)(np.array([1]))[0].shape == (1, 0)
        assert nn.EmbeddingBag(3, 2, mode="max")(np.zeros((0, 4), int))[0].shape == (0, 2)
        assert nn.EmbeddingBag(3, 2)(np.zeros((4, 0), int))[0].shape == (4, 2)


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Linear(4, 3),
        lambda: nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)),
        lambda: nn.Sequential(nn.Tanh(), nn.Linear(4, 2)),
        lambda: nn.Tanh(),
        lambda: scratch.models.MLP([4, 5, 2]),
        lambda: scratch.models.Neuron(4),
    ],
)
def test_backward_without_the_gradient_of_the_input(make: Any) -> None:
    """None comes back, and the parameters' gradients are the same numbers."""
    model = make()
    x = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    y, backward = model(x)
    dy = np.random.default_rng(1).standard_normal(y.shape).astype(np.float32)
    assert backward(dy) is not None
    expected = [p.grad for p in model.parameters()]
    model.zero_grad()
    assert backward(dy, needs_input_grad=False) is None
    assert all(np.array_equal(p.grad, g) for p, g in zip(model.parameters(), expected, strict=True))
