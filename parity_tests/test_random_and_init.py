"""Same seed, same numbers: `scratch.random` and `scratch.nn.init` against torch's CPU generator.

Whatever only takes, masks, scales or orders the generator's words must be equal bit for bit. Normal
numbers go through log, cos and sin, which every library rounds its own way: within 8 units of the
dtype's eps times the standard deviation. The tests at the end do not know torch.
"""

import inspect
import json
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from scratch.nn import Parameter, init
from scratch.random import Generator, _fma

DTYPES = [np.float32, np.float64]
TORCH: dict[Any, torch.dtype] = {np.float32: torch.float32, np.float64: torch.float64}
SHAPES: list[tuple[int, ...]] = [
    (), (0,), (1,), (2,), (15,), (16,), (17,), (31,), (32,), (33,), (5, 7), (3, 0, 2), (101, 103)
]  # fmt: skip


def pair(seed: int) -> tuple[Generator, torch.Generator]:
    return Generator(seed), torch.Generator().manual_seed(seed)


def assert_equal(ours: Any, theirs: torch.Tensor) -> None:
    other = theirs.detach().numpy()
    assert isinstance(ours, np.ndarray)
    assert (ours.dtype, ours.shape) == (other.dtype, other.shape)
    np.testing.assert_array_equal(ours, other)


def assert_normal(ours: Any, theirs: torch.Tensor, std: float = 1.0, mean: float = 0.0) -> None:
    other = theirs.detach().numpy()
    assert isinstance(ours, np.ndarray)
    assert (ours.dtype, ours.shape) == (other.dtype, other.shape)
    tolerance = float(np.finfo(ours.dtype).eps) * (8 * std + abs(mean))
    np.testing.assert_allclose(ours, other, rtol=0, atol=tolerance)


def assert_in_step(ours: Generator, theirs: torch.Generator) -> None:
    """Neither generator is a word ahead, and both keep or do not keep half a normal pair."""
    assert_equal(ours.rand(3), torch.rand(3, generator=theirs))
    assert_normal(ours.randn(1), torch.randn(1, generator=theirs))
    assert_equal(ours.rand(3), torch.rand(3, generator=theirs))


# Draws


@pytest.mark.parametrize(
    "seed", [0, 1, 2**31, 2**32 - 1, 2**32, 2**32 + 5, 2**63, 2**64 - 1, -1, -5, -(2**63)]
)
def test_seeds(seed: int) -> None:
    ours = Generator(seed)
    theirs = torch.Generator().manual_seed(seed)
    assert ours.seed == theirs.initial_seed()
    assert_equal(ours.rand(1300), torch.rand(1300, generator=theirs))  # past two refills of 624
    assert_normal(ours.randn(1), torch.randn(1, generator=theirs))
    ours.manual_seed(7)  # drops the half pair that waits
    theirs.manual_seed(7)
    assert_in_step(ours, theirs)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_rand_and_randn(shape: tuple[int, ...], dtype: Any) -> None:
    ours, theirs = pair(11)
    for _ in range(3):  # an odd number below 16 leaves half a pair for the next
        assert_equal(
            ours.rand(*shape, dtype=dtype), torch.rand(shape, dtype=TORCH[dtype], generator=theirs)
        )
        assert_normal(
            ours.randn(*shape, dtype=dtype),
            torch.randn(shape, dtype=TORCH[dtype], generator=theirs),
        )
    assert_in_step(ours, theirs)
    assert ours.rand(shape).shape == ours.randn(shape).shape == shape  # one tuple does as well


BOUNDS = [(0, 1), (-0.3, 1.71), (5.1, 9.77), (-1e-3, 1e5), (2.5, 2.5), (-1e-30, 1e-38), (-1e30, 3)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("low", "high"), BOUNDS)
def test_uniform(low: float, high: float, dtype: Any) -> None:
    ours, theirs = pair(5)
    for shape in [*SHAPES, (100_000,)]:
        empty = torch.empty(shape, dtype=TORCH[dtype])
        assert_equal(
            ours.uniform(low, high, shape, dtype), empty.uniform_(low, high, generator=theirs)
        )
    assert_in_step(ours, theirs)


def test_uniform_excludes_its_upper_end() -> None:
    """Between 1 and the next float32 lies nothing, so half of all draws round up."""
    high = float(np.nextafter(np.float32(1), np.float32(2)))
    ours, theirs = pair(5)
    assert_equal(ours.uniform(1, high, 1000), torch.empty(1000).uniform_(1, high, generator=theirs))
    assert (Generator(5).uniform(1, high, 1000) == 1).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("mean", "std"), [(0.0, 0.02), (3.7, 1.3), (-1e3, 1e-3), (0.1, 0.0)])
def test_normal(mean: float, std: float, dtype: Any) -> None:
    ours, theirs = pair(9)
    for shape in SHAPES:
        empty = torch.empty(shape, dtype=TORCH[dtype])
        assert_normal(
            ours.normal(mean, std, shape, dtype),
            empty.normal_(mean, std, generator=theirs),
            std,
            mean,
        )
    assert_in_step(ours, theirs)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.bool_])
@pytest.mark.parametrize("p", [0.0, 0.3, 0.5, 1 - 1e-9, 1.0])
def test_bernoulli(p: float, dtype: Any) -> None:
    """A tensor of probabilities, since for a number some builds use another generator (below)."""
    ours, theirs = pair(21)
    for shape in SHAPES:
        empty = torch.empty(shape, dtype={**TORCH, np.bool_: torch.bool}[dtype])
        probability = torch.tensor(p, dtype=torch.float64)
        assert_equal(
            ours.bernoulli(p, shape, dtype), empty.bernoulli_(probability, generator=theirs)
        )
    assert_in_step(ours, theirs)


@pytest.mark.parametrize("dtype", DTYPES)
def test_bernoulli_of_an_array(dtype: Any) -> None:
    p = np.random.default_rng(0).random((5, 301)).astype(dtype)
    p[0, :2] = 0, 1
    ours, theirs = pair(4)
    assert_equal(ours.bernoulli(p), torch.bernoulli(torch.from_numpy(p), generator=theirs))
    row = p[0]
    assert_equal(
        ours.bernoulli(row, (7, 301), dtype),
        torch.empty(7, 301, dtype=TORCH[dtype]).bernoulli_(torch.from_numpy(row), generator=theirs),
    )
    assert_in_step(ours, theirs)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [5, 16, 1001, 100_001])
def test_bernoulli_as_dropout_draws_it(n: int, dtype: Any) -> None:
    """Where the mask is not ours, torch must have taken no more than a 64-bit seed for MKL's."""
    keep = 0.7
    ours = Generator(3)
    mask = ours.bernoulli(keep, n, dtype)
    torch.manual_seed(3)
    theirs = F.dropout(torch.ones(n, dtype=TORCH[dtype]), 1 - keep)
    after = torch.rand(1)
    if after.item() not in Generator(3).rand(3)[1:]:
        assert_equal(mask, (theirs != 0).to(TORCH[dtype]))
        assert_equal(ours.rand(1), after)


RANGES = [
    (0, 1), (0, 10), (-7, 9), (0, 2**28 - 1), (0, 2**28), (-5, 2**31), (0, 2**32), (3, 2**40),
    (-(2**63), 0), (0, 2**63 - 1), (-(2**63), 2**63 - 1), (2**62, 2**63 - 1),
]  # fmt: skip


@pytest.mark.parametrize(("low", "high"), RANGES)
def test_randint(low: int, high: int) -> None:
    ours, theirs = pair(13)
    for shape in SHAPES:
        drawn = ours.randint(low, high, shape)
        assert_equal(drawn, torch.randint(low, high, shape, generator=theirs))
        assert ((low <= drawn) & (drawn < high)).all()
    assert_in_step(ours, theirs)


def test_randint_draws_the_seeds_of_a_data_loader() -> None:
    ours, theirs = pair(2)
    for _ in range(20):
        assert_equal(
            ours.randint(0, 2**63, ()), torch.empty((), dtype=torch.int64).random_(generator=theirs)
        )


@pytest.mark.parametrize("n", [0, 1, 2, 3, 16, 1000, 20_011])
def test_randperm(n: int) -> None:
    ours, theirs = pair(17)
    for _ in range(2):
        assert_equal(ours.randperm(n), torch.randperm(n, generator=theirs))
    assert_in_step(ours, theirs)


@pytest.mark.parametrize("seed", range(8))
def test_mixed_sequences(seed: int) -> None:
    """Sixty draws of random kinds, sizes and dtypes on one stream."""
    choose = np.random.default_rng(seed)
    ours, theirs = pair(seed)
    for _ in range(60):
        n = int(choose.choice([0, 1, 3, 7, 15, 16, 17, 40, 333]))
        dtype = DTYPES[choose.integers(2)]
        empty = torch.empty(n, dtype=TORCH[dtype])
        match choose.integers(6):
            case 0:
                assert_equal(ours.rand(n, dtype=dtype), empty.copy_(_rand(n, TORCH[dtype], theirs)))
            case 1:
                assert_equal(
                    ours.uniform(-2, 0.1, n, dtype), empty.uniform_(-2, 0.1, generator=theirs)
                )
            case 2:
                assert_normal(
                    ours.normal(0.5, 2, n, dtype), empty.normal_(0.5, 2, generator=theirs), 2, 0.5
                )
            case 3:
                p = torch.tensor(0.4, dtype=torch.float64)
                assert_equal(ours.bernoulli(0.4, n, dtype), empty.bernoulli_(p, generator=theirs))
            case 4:
                high = int(choose.choice([5, 2**30, 2**50]))
                assert_equal(
                    ours.randint(-3, high, n), torch.randint(-3, high, (n,), generator=theirs)
                )
            case _:
                assert_equal(ours.randperm(n), torch.randperm(n, generator=theirs))
    assert_in_step(ours, theirs)


def _rand(n: int, dtype: torch.dtype, generator: torch.Generator) -> torch.Tensor:
    return torch.rand(n, dtype=dtype, generator=generator)


# State


def test_state_goes_through_json_and_keeps_half_a_pair() -> None:
    ours, theirs = pair(6)
    ours.randn(3), torch.randn(3, generator=theirs)
    ours.rand(700), torch.rand(700, generator=theirs)
    saved = json.loads(json.dumps(ours.get_state()))
    assert saved["next_normal"] is not None
    other = Generator(99).set_state(saved)
    assert other.seed == 6
    assert_normal(other.randn(5), torch.randn(5, generator=theirs))
    np.testing.assert_array_equal(ours.randn(5), Generator(0).set_state(saved).randn(5))
    assert_in_step(other, theirs)


def test_fresh_generators_differ_and_say_their_seed() -> None:
    one, two = Generator(), Generator()
    assert one.seed != two.seed
    np.testing.assert_array_equal(one.rand(9), Generator(one.seed).rand(9))
    assert repr(Generator(-1)) == f"Generator(seed={2**64 - 1})"


GOOD = Generator(1).get_state()


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        (3, TypeError, "a mapping"),
        ({}, ValueError, "the entries"),
        ({**GOOD, "more": 1}, ValueError, "the entries"),
        ({**GOOD, "seed": -1}, ValueError, "seed >= 0"),
        ({**GOOD, "seed": 2**64}, ValueError, "seed in"),
        ({**GOOD, "seed": 1.5}, TypeError, "seed to be an integer"),
        ({**GOOD, "position": 625}, ValueError, "position in"),
        ({**GOOD, "position": None}, TypeError, "position to be an integer"),
        ({**GOOD, "key": GOOD["key"][1:]}, ValueError, "a list of 624 words"),
        ({**GOOD, "key": "x" * 624}, ValueError, "a list of 624 words"),
        ({**GOOD, "key": [2**32, *GOOD["key"][1:]]}, ValueError, "every word"),
        ({**GOOD, "key": [0.5, *GOOD["key"][1:]]}, TypeError, "every word"),
        ({**GOOD, "key": [0] * 624}, ValueError, "not all zero"),
        ({**GOOD, "next_normal": "1"}, TypeError, "next_normal to be a number"),
        ({**GOOD, "next_normal": math.nan}, ValueError, "next_normal in"),
        ({**GOOD, "next_normal": math.inf}, ValueError, "next_normal in"),
    ],
)
def test_a_bad_state_is_refused_and_changes_nothing(
    state: Any, error: type[Exception], message: str
) -> None:
    generator = Generator(8)
    generator.randn(3)
    before = generator.get_state()
    with pytest.raises(error, match=f"Generator.set_state: expected .*{message}"):
        generator.set_state(state)
    assert generator.get_state() == before


@pytest.mark.parametrize(
    ("draw", "error", "message"),
    [
        (lambda g: g.manual_seed(2**64), ValueError, "seed in"),
        (lambda g: g.manual_seed(-(2**63) - 1), ValueError, "seed >="),
        (lambda g: g.manual_seed(0.0), TypeError, "seed to be an integer"),
        (lambda g: g.rand(-1), ValueError, "size >= 0"),
        (lambda g: g.rand(2, 3.0), TypeError, "size to be an integer"),
        (lambda g: g.rand(2, dtype=np.float16), TypeError, "dtype float32 or float64"),
        (lambda g: g.randn(2, dtype=np.int64), TypeError, "dtype float32 or float64"),
        (lambda g: g.uniform(1, 0, 3), ValueError, "high in"),
        (lambda g: g.uniform(0, math.inf, 3), ValueError, "high in"),
        (lambda g: g.uniform(math.nan, 1, 3), ValueError, "low in"),
        (lambda g: g.uniform(0, 1e39, 3), ValueError, "high in"),
        (lambda g: g.uniform(-3e38, 3e38, 3), ValueError, "high in"),
        (lambda g: g.uniform("0", 1, 3), TypeError, "low to be a number"),
        (lambda g: g.normal(0, -1, 3), ValueError, "std in"),
        (lambda g: g.normal(math.inf, 1, 3), ValueError, "mean in"),
        (lambda g: g.bernoulli(1.1, 3), ValueError, "p in"),
        (lambda g: g.bernoulli(-0.1, 3), ValueError, "p in"),
        (lambda g: g.bernoulli(math.nan, 3), ValueError, "p in"),
        (lambda g: g.bernoulli(np.array([0.5, 1.5])), ValueError, "every p in"),
        (lambda g: g.bernoulli(np.array([1, 0])), TypeError, "p to be a float32 or float64"),
        (lambda g: g.bernoulli(np.array([0.5, 0.5]), 3), ValueError, "p to broadcast"),
        (lambda g: g.bernoulli(np.array([[0.5]]), 3), ValueError, "p to broadcast"),
        (lambda g: g.bernoulli(0.5, 3, np.int32), ValueError, "dtype to be one of"),
        (lambda g: g.randint(3, 3, 2), ValueError, "high >= 4"),
        (lambda g: g.randint(0, 2**63 + 1, 2), ValueError, "high in"),
        (lambda g: g.randint(-(2**63), 2**63, 2), ValueError, "high in"),
        (lambda g: g.randint(0, 1.5, 2), TypeError, "high to be an integer"),
        (lambda g: g.randperm(-1), ValueError, "n >= 0"),
        (lambda g: g.randperm(2**32), ValueError, "n in"),
    ],
)
def test_a_bad_draw_is_refused_and_takes_nothing(
    draw: Callable[[Generator], Any], error: type[Exception], message: str
) -> None:
    generator = Generator(8)
    before = generator.get_state()
    with pytest.raises(error, match=rf"^Generator\.\w+: expected .*{message}.*, got "):
        draw(generator)
    assert generator.get_state() == before


# Initialisation

NAMES = [name for name in torch.nn.init.__all__ if name.endswith("_") or name == "calculate_gain"]
MATRICES: list[tuple[int, ...]] = [(3, 5), (5, 3), (16, 16), (1, 7), (40, 30), (6, 4, 3, 3)]


@pytest.mark.parametrize("name", NAMES)
def test_signatures_are_torchs(name: str) -> None:
    ours = inspect.signature(getattr(init, name)).parameters
    theirs = inspect.signature(getattr(torch.nn.init, name)).parameters
    assert [(p.name, p.default) for p in ours.values()] == [
        (p.name, p.default) for p in theirs.values()
    ]


def both(name: str, shape: tuple[int, ...], dtype: Any, **kwargs: Any) -> tuple[Any, torch.Tensor]:
    """What the two functions write, from one seed; torch uses its global generator."""
    parameter = Parameter(np.full(shape, 7, dtype))
    random = {"generator": Generator(31)}
    if name in ("constant_", "ones_", "zeros_", "eye_", "dirac_"):
        random = {}
    array, version = parameter.data, parameter.version
    assert getattr(init, name)(parameter, **kwargs, **random) is parameter
    assert parameter.data is array
    assert parameter.version == version + 1
    bare = np.full(shape, 7, dtype)
    random = {key: Generator(31) for key in random}
    assert getattr(init, name)(bare, **kwargs, **random) is bare
    np.testing.assert_array_equal(bare, array)
    torch.manual_seed(31)
    tensor = torch.full(shape, 7, dtype=TORCH[dtype])
    getattr(torch.nn.init, name)(tensor, **kwargs)
    if random:
        assert_equal(random["generator"].rand(3), torch.rand(3))
    return array, tensor


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [*MATRICES, (2, 0), (4, 3, 2), (2, 3, 2, 1, 2)])
def test_uniform_starts_are_equal(shape: tuple[int, ...], dtype: Any) -> None:
    assert_equal(*both("uniform_", shape, dtype))
    assert_equal(*both("uniform_", shape, dtype, a=-0.13, b=0.4))
    assert_equal(*both("xavier_uniform_", shape, dtype))
    assert_equal(*both("xavier_uniform_", shape, dtype, gain=5 / 3))
    if 0 in shape:
        return
    assert_equal(*both("kaiming_uniform_", shape, dtype))
    assert_equal(*both("kaiming_uniform_", shape, dtype, a=math.sqrt(5)))
    assert_equal(
        *both("kaiming_uniform_", shape, dtype, a=0.2, mode="fan_out", nonlinearity="relu")
    )
    assert_equal(*both("kaiming_uniform_", shape, dtype, mode="FAN_OUT", nonlinearity="selu"))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [*MATRICES, (2, 0)])
def test_normal_starts(shape: tuple[int, ...], dtype: Any) -> None:
    assert_normal(*both("normal_", shape, dtype, mean=0.3, std=0.02), std=0.02, mean=0.3)
    assert_normal(*both("xavier_normal_", shape, dtype, gain=math.sqrt(2)), std=1.2)
    if 0 not in shape:
        assert_normal(*both("kaiming_normal_", shape, dtype))
        assert_normal(*both("kaiming_normal_", shape, dtype, mode="fan_out", nonlinearity="tanh"))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (5,), (0, 3), (101, 103)])
@pytest.mark.parametrize(
    "kwargs",
    [
        {},  # share within the bounds 0.95: rejection of normal numbers
        {"std": 0.02},
        {"mean": 0.5, "std": 2.0, "a": -1.0, "b": 1.5},
        {"a": -math.inf, "b": 0.25},
        {"std": 10.0},  # 0.16: uniform candidates
        {"mean": 1.0, "std": 0.5, "a": 2.0, "b": 2.5},
        {"mean": -3.0, "std": 2.0, "a": 0.5, "b": 0.5},
    ],
)
def test_truncated_normal_start(shape: tuple[int, ...], dtype: Any, kwargs: Any) -> None:
    ours, theirs = both("trunc_normal_", shape, dtype, **kwargs)
    assert_normal(ours, theirs, kwargs.get("std", 1.0), kwargs.get("mean", 0.0))
    assert (ours >= kwargs.get("a", -2.0)).all() and (ours <= kwargs.get("b", 2.0)).all()


@pytest.mark.filterwarnings("ignore:mean is more than 2 std")  # torch's
def test_truncated_normal_far_from_the_mean_warns() -> None:
    with pytest.warns(UserWarning, match="trunc_normal_: the mean lies more than 2 std outside"):
        ours, theirs = both("trunc_normal_", (50, 40), np.float64, mean=-5.0)
    assert_normal(ours, theirs)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", MATRICES)
def test_orthogonal_start(shape: tuple[int, ...], dtype: Any) -> None:
    ours, theirs = both("orthogonal_", shape, dtype, gain=-1.7)
    flat = Generator(31).randn(shape[0], math.prod(shape[1:]), dtype=dtype).astype(np.float64)
    eps = float(np.finfo(dtype).eps)
    error = np.abs(ours - theirs.numpy()).max()
    assert error < 8 * eps * np.linalg.cond(flat)  # how far rounding can move a QR decomposition
    q = ours.reshape(shape[0], -1).astype(np.float64)
    q = q.T if q.shape[0] < q.shape[1] else q
    np.testing.assert_allclose(q.T @ q, 1.7**2 * np.eye(q.shape[1]), atol=32 * eps, rtol=0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(3, 5), (1, 4), (40, 30), (0, 3)])
@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.5, 1.0])
def test_sparse_start(shape: tuple[int, ...], sparsity: float, dtype: Any) -> None:
    ours, theirs = both("sparse_", shape, dtype, sparsity=sparsity, std=0.5)
    assert_normal(ours, theirs, 0.5)
    np.testing.assert_array_equal(ours == 0, theirs.numpy() == 0)
    assert ((ours == 0).sum(0) == math.ceil(sparsity * shape[0])).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_fixed_starts(dtype: Any) -> None:
    for shape in SHAPES:
        assert_equal(*both("constant_", shape, dtype, val=0.3))
        assert_equal(*both("ones_", shape, dtype))
        assert_equal(*both("zeros_", shape, dtype))
    for shape in [(3, 5), (5, 3), (4, 4), (0, 2)]:
        assert_equal(*both("eye_", shape, dtype))
    for shape in [(4, 3, 3), (6, 9, 4), (6, 2, 3, 5), (4, 4, 1, 2), (8, 3, 2, 3, 4), (0, 3, 3)]:
        for groups in (1, 2):
            assert_equal(*both("dirac_", shape, dtype, groups=groups))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("uniform_", {}),
        ("kaiming_uniform_", {}),
        ("xavier_normal_", {}),
        ("trunc_normal_", {}),
        ("trunc_normal_", {"std": 10.0}),
    ],
)
@pytest.mark.parametrize("axes", [(1, 0), (0, 2, 3, 1), (2, 0, 1)])
def test_arrays_are_filled_in_the_order_of_their_memory(
    name: str, kwargs: Any, axes: tuple[int, ...], dtype: Any
) -> None:
    """As torch does, for which `kaiming_uniform_(w.T)` is the way to start a transposed weight."""
    shape = (6, 5, 4, 3)[: len(axes)]
    ours, theirs = np.zeros(shape, dtype), torch.zeros(shape, dtype=TORCH[dtype])
    torch.manual_seed(12)
    getattr(torch.nn.init, name)(theirs.permute(axes), **kwargs)
    getattr(init, name)(ours.transpose(axes), **kwargs, generator=Generator(12))
    assert_normal(ours, theirs)


def test_a_given_torch_generator_is_the_same_stream() -> None:
    ours, theirs = pair(3)
    for name in ("kaiming_uniform_", "xavier_uniform_", "uniform_"):
        weight = np.zeros((9, 4), np.float32)
        getattr(init, name)(weight, generator=ours)
        assert_equal(weight, getattr(torch.nn.init, name)(torch.zeros(9, 4), generator=theirs))


def test_without_a_generator_every_start_is_another() -> None:
    one, two = np.zeros(5), np.zeros(5)
    init.uniform_(one)
    init.uniform_(two)
    assert (one != two).any()


def test_gains_and_fans() -> None:
    convolutions = [f"conv{kind}{n}d" for kind in ("", "_transpose") for n in (1, 2, 3)]
    torch_gain: Callable[..., float] = torch.nn.init.calculate_gain
    for name in ["linear", *convolutions, "sigmoid", "tanh", "relu", "leaky_relu", "selu"]:
        assert init.calculate_gain(name) == torch_gain(name)
    for slope in (0, 0.2, -3.0):
        assert init.calculate_gain("leaky_relu", slope) == torch_gain("leaky_relu", slope)
    for shape in MATRICES:
        theirs = torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(shape))
        assert init.fan_in_and_fan_out(np.empty(shape)) == theirs
        assert init.fan_in_and_fan_out(Parameter(np.empty(shape))) == theirs


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")  # torch's
@pytest.mark.parametrize("name", ["kaiming_uniform_", "kaiming_normal_"])
def test_empty_weights_are_left_alone(name: str) -> None:
    parameter, generator = Parameter(np.empty((3, 0), np.float32)), Generator(0)
    with pytest.warns(UserWarning, match=f"{name}: an empty tensor"):
        getattr(init, name)(parameter, generator=generator)
    init.orthogonal_(parameter, generator=generator)
    assert parameter.version == 0
    assert generator.get_state() == Generator(0).get_state()
    getattr(torch.nn.init, name)(torch.empty(3, 0))


REFUSALS: list[tuple[str, tuple[int, ...], dict[str, Any], str]] = [
    ("xavier_uniform_", (3,), {}, "two or more axes"),
    ("xavier_normal_", (), {}, "two or more axes"),
    ("kaiming_uniform_", (3,), {}, "two or more axes"),
    ("kaiming_normal_", (3,), {}, "two or more axes"),
    ("orthogonal_", (3,), {}, "two or more axes"),
    ("xavier_uniform_", (0, 0), {}, "fan_in \\+ fan_out > 0"),
    ("xavier_uniform_", (3, 2), {"gain": -1.0}, "gain in"),
    ("xavier_normal_", (3, 2), {"gain": -1.0}, "gain in"),
    ("kaiming_uniform_", (3, 2), {"mode": "fan"}, "mode to be one of"),
    ("kaiming_normal_", (3, 2), {"mode": "in"}, "mode to be one of"),
    ("kaiming_normal_", (3, 2), {"nonlinearity": "gelu"}, "nonlinearity to be one of"),
    ("kaiming_uniform_", (3, 2), {"nonlinearity": "elu"}, "nonlinearity to be one of"),
    ("kaiming_uniform_", (3, 2), {"a": "0"}, "param to be a number"),
    ("kaiming_uniform_", (3, 2), {"a": True}, "param to be a number"),
    ("uniform_", (3, 2), {"a": 1.0, "b": 0.0}, "high in"),
    ("normal_", (3, 2), {"std": -1.0}, "std in"),
    ("trunc_normal_", (3, 2), {"std": 0.0}, "std in"),
    ("trunc_normal_", (3, 2), {"a": 2.0, "b": -2.0}, "b in"),
    ("trunc_normal_", (3, 2), {"a": 3.0, "b": math.inf}, "high in"),
    ("eye_", (3,), {}, "shape \\(out, in\\)"),
    ("eye_", (3, 2, 1), {}, "shape \\(out, in\\)"),
    ("sparse_", (3,), {"sparsity": 0.5}, "shape \\(out, in\\)"),
    ("dirac_", (3, 2), {}, "1 to 3 kernel axes"),
    ("dirac_", (3, 2, 1, 1, 1, 1), {}, "1 to 3 kernel axes"),
    ("dirac_", (3, 2, 0), {}, "1 to 3 kernel axes"),
    ("dirac_", (3, 2, 1), {"groups": 2}, "that 2 divides"),
    ("dirac_", (3, 2, 1), {"groups": 0}, "groups >= 1"),
    ("constant_", (3,), {"val": "x"}, "val to be a number"),
]


@pytest.mark.filterwarnings("ignore:mean is more than 2 std")
@pytest.mark.filterwarnings("ignore:trunc_normal_. the mean lies")
@pytest.mark.parametrize(("name", "shape", "kwargs", "message"), REFUSALS)
def test_what_torch_refuses_is_refused_before_anything_changes(
    name: str, shape: tuple[int, ...], kwargs: dict[str, Any], message: str
) -> None:
    with pytest.raises((ValueError, RuntimeError, TypeError, ArithmeticError, IndexError)):
        getattr(torch.nn.init, name)(torch.zeros(shape), **kwargs)
    assert_refused(name, Parameter(np.full(shape, 7, np.float32)), kwargs, message)


@pytest.mark.parametrize("sparsity", [-0.1, 1.1, math.nan])
def test_a_share_outside_0_and_1_is_refused(sparsity: float) -> None:
    weight = Parameter(np.full((3, 2), 7, np.float32))
    assert_refused("sparse_", weight, {"sparsity": sparsity}, "sparsity in")


def assert_refused(name: str, parameter: Parameter, kwargs: dict[str, Any], message: str) -> None:
    generator = Generator(0)
    takes = "generator" in inspect.signature(getattr(init, name)).parameters
    random = {"generator": generator} if takes else {}
    with pytest.raises((ValueError, TypeError), match=f"^[a-zA-Z_.]+: expected .*{message}"):
        getattr(init, name)(parameter, **kwargs, **random)
    assert (parameter.data == 7).all()
    assert parameter.version == 0
    assert generator.get_state() == Generator(0).get_state()


@pytest.mark.parametrize("name", [name for name in NAMES if name != "calculate_gain"])
def test_only_writable_floating_arrays_and_generators_are_taken(name: str) -> None:
    required = {"constant_": {"val": 1.0}, "sparse_": {"sparsity": 0.5}}.get(name, {})
    function = getattr(init, name)
    fixed = np.zeros((4, 2, 3))
    fixed.flags.writeable = False
    for wrong, error, message in [
        ([[1.0]], TypeError, "a Parameter or an array"),
        (np.float32(1), TypeError, "a Parameter or an array"),
        (np.zeros((4, 2, 3), np.int64), TypeError, "a float32 or float64 array"),
        (fixed, ValueError, "can be written to"),
    ]:
        with pytest.raises(error, match=f"^{name}: expected .*{message}"):
            function(wrong, **required)
    if "generator" in inspect.signature(function).parameters:
        with pytest.raises(TypeError, match=f"^{name}: expected generator to be"):
            function(np.zeros((4, 2)), **required, generator=torch.Generator())


# What does not know torch


@pytest.mark.parametrize("dtype", DTYPES)
def test_moments(dtype: Any) -> None:
    """Means and variances lie within five standard errors of what the distribution has."""
    generator = Generator(2024)
    n = 200_000

    def check_moments(x: Any, mean: float, variance: float, fourth: float) -> None:
        """`fourth`: the central fourth moment, which the variance's own error depends on."""
        x = x.astype(np.float64).ravel()
        assert abs(x.mean() - mean) <= 5 * math.sqrt(variance / x.size)
        error = math.sqrt((fourth - variance**2) / x.size)
        assert abs(((x - mean) ** 2).mean() - variance) <= 5 * error
        neighbours = ((x[1:] - mean) * (x[:-1] - mean)).mean()
        assert abs(neighbours) <= 5 * variance / math.sqrt(x.size)

    check_moments(generator.rand(n, dtype=dtype), 1 / 2, 1 / 12, 1 / 80)
    check_moments(generator.uniform(-3, 5, n, dtype), 1, 64 / 12, 4096 / 80)
    normal = generator.normal(0.5, 2, n, dtype)
    check_moments(normal, 0.5, 4, 48)
    check_moments(generator.bernoulli(0.3, n, dtype), 0.3, 0.21, 0.21 * (1 - 3 * 0.21))
    check_moments(generator.randint(0, 2**40, n) / 2**40, 1 / 2, 1 / 12, 1 / 80)
    check_moments((generator.randint(-2, 5, n)).astype(float), 1, 4, 28)
    within = float((np.abs(normal - 0.5) < 2).mean())
    assert abs(within - math.erf(math.sqrt(0.5))) < 5 * math.sqrt(0.22 / n)

    weight = np.zeros((400, 50, 3, 3), dtype)  # fan_in 450, fan_out 3600

    def start(name: str, variance: float, kurtosis: float, **kwargs: Any) -> None:
        getattr(init, name)(weight, **kwargs, generator=generator)
        check_moments(weight, 0, variance, kurtosis * variance**2)

    start("xavier_uniform_", 4 * 2 / 4050, 9 / 5, gain=2.0)
    start("xavier_normal_", 4 * 2 / 4050, 3, gain=2.0)
    start("kaiming_uniform_", 2 / 450, 9 / 5)
    start("kaiming_normal_", 2 / 3600, 3, mode="fan_out", nonlinearity="relu")
    start("kaiming_uniform_", 2 / 1.04 / 450, 9 / 5, a=0.2)
    for bound in (2.0, 0.2):  # either algorithm: moments by quadrature of the density
        grid = (np.arange(20_000) + 0.5) / 10_000 * bound - bound
        density = np.exp(-(grid**2) / 2) / np.exp(-(grid**2) / 2).sum()
        variance, fourth = float((density * grid**2).sum()), float((density * grid**4).sum())
        start("trunc_normal_", variance, fourth / variance**2, a=-bound, b=bound)


def test_a_permutation_puts_everything_everywhere() -> None:
    generator, n, repeats = Generator(1), 6, 6000
    orders = np.stack([generator.randperm(n) for _ in range(repeats)])
    assert (np.sort(orders, axis=1) == np.arange(n)).all()
    counts = (orders[:, :, None] == np.arange(n)).sum(0)
    assert np.abs(counts - repeats / n).max() < 5 * math.sqrt(repeats / n)


def test_fused_multiply_add_is_rounded_once() -> None:
    """Against exact rationals, with sums that cancel and sizes that differ."""
    choose = np.random.default_rng(0)
    for scale in (1.0, 1e-10, 1e10, 1e300):
        x = choose.random(400)
        y, z = np.float64(choose.normal() * scale), np.float64(choose.normal())
        for addend in (z, np.float64(-x[0] * y), np.float64(0)):
            exact = [float(Fraction(v) * Fraction(float(y)) + Fraction(float(addend))) for v in x]
            np.testing.assert_array_equal(_fma(x, y, addend), exact)
