"""Random numbers as torch's CPU generator draws them.   Matsumoto & Nishimura 1998 (MT19937)

A `Generator` is passed to whatever draws; there is no global one. The same seed gives the same
numbers as `torch.manual_seed(seed)`, draw after draw, because each draw takes the same 32-bit
words w from the Mersenne twister.

    unit       float32: (w mod 2^24) / 2^24     float64: ((2^32 w1 + w2) mod 2^53) / 2^53
    uniform    u (high - low) + low, rounded once; `high` itself becomes `low`
    normal     from 16 numbers on, units u in blocks of 16 (Box & Muller 1958), j = 0 ... 7:
                   r = sqrt(-2 log(1 - u[j]))   a = 2 pi u[j+8]   z[j], z[j+8] = r cos a, r sin a
               and where 16 does not divide their number, the last 16 are drawn anew;
               below 16, float64 pairs: r = sqrt(-2 log(1 - u2)), a = 2 pi u1, then r cos a,
               r sin a; if only the first is needed, the second waits for the next such draw
    bernoulli  u < p, u in float64 if p is a number, in p's dtype if it is an array
    exponential    -log(1 - u), u in float64, rounded once
    randint    w mod (high - low) + low, w of 64 bits where the range is 2^28 or more
    randperm   Fisher-Yates: position i swaps with i + w mod (n - i)
    torch      equal bit for bit but for `normal` and `exponential`, which differ by the rounding of
               log, cos and sin. Builds with MKL on Intel processors draw `bernoulli_(p)` with a
               number p, and so dropout, and `exponential_`, and so `multinomial`, from another
               generator that this one seeds; `bernoulli_(tensor)` is as here on all of them.
               CUDA has another generator.
"""

import math
from collections.abc import Mapping, Sequence
from secrets import randbits
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike

from scratch import check
from scratch.check import Array

Size = int | Sequence[int]

_STATE = {"seed", "key", "position", "next_normal"}
_WORDS = 624  # of the Mersenne twister's state


class Generator:
    """A stream of random numbers.

    Args:
        seed: in [-2^63, 2^64); a negative one counts from 2^64, and only the low 32 bits matter,
            as in torch. None takes one from the operating system; the attribute tells which.

    Raises:
        TypeError: if the seed is not an integer.
        ValueError: if it is out of range.
    """

    seed: int

    def __init__(self, seed: int | None = None) -> None:
        self.manual_seed(randbits(64) if seed is None else seed)

    def __repr__(self) -> str:
        return f"Generator(seed={self.seed})"

    # State

    def manual_seed(self, seed: int) -> Self:
        """Start again from `seed`."""
        self.seed = _integer("Generator.manual_seed", "seed", seed, -(2**63), 2**64) % 2**64
        self._twister = np.random.RandomState(self.seed % 2**32)
        self._next_normal: float | None = None
        return self

    def get_state(self) -> dict[str, Any]:
        """Everything that later draws depend on, as a dict that JSON can hold."""
        state: Any = self._twister.get_state(legacy=False)
        return {
            "seed": self.seed,
            "key": state["state"]["key"].tolist(),
            "position": int(state["state"]["pos"]),
            "next_normal": self._next_normal,
        }

    def set_state(self, state: Mapping[str, Any]) -> Self:
        """Go on from what `get_state` returned; it is checked before anything changes.

        Raises:
            TypeError: if an entry has the wrong type.
            ValueError: if a name is missing or unknown, or an entry is out of range.
        """
        name = "Generator.set_state"
        if not isinstance(state, Mapping):
            check.refuse(name, "a mapping", check.describe(state), TypeError)
        if set(state) != _STATE:
            check.refuse(name, f"the entries {sorted(_STATE)}", sorted(map(str, state)))
        seed = _integer(name, "seed", state["seed"], 0, 2**64)
        position = _integer(name, "position", state["position"], 0, _WORDS + 1)
        key = state["key"]
        if not isinstance(key, list | tuple) or len(key) != _WORDS:
            check.refuse(name, f"key to be a list of {_WORDS} words", check.describe(key))
        words = key
        if set(map(type, key)) != {int} or min(key) < 0 or max(key) >= 2**32:  # which one?
            words = [_integer(name, "every word of key", word, 0, 2**32) for word in key]
        if not any(words):
            check.refuse(name, "a key that is not all zero, which would yield only zeros", "zeros")
        next_normal = state["next_normal"]
        if next_normal is not None:
            bound = float(np.finfo(np.float64).max)
            next_normal = check.number(name, "next_normal", next_normal, -bound, bound)
        twister = {"key": np.array(words, np.uint32), "pos": position}
        self._twister.set_state(
            {"bit_generator": "MT19937", "state": twister, "has_gauss": 0, "gauss": 0.0}
        )
        self.seed = seed
        self._next_normal = next_normal
        return self

    # Words

    def _words(self, n: int) -> Array:
        """The next n words of 32 bits."""
        return self._twister.randint(0, 2**32, n, np.uint32)

    def _long_words(self, n: int) -> Array:
        """The next n words of 64 bits, the high half first."""
        high, low = self._words(2 * n).astype(np.uint64).reshape(n, 2).T
        return high << np.uint64(32) | low

    def _units(self, n: int, dtype: np.dtype[Any]) -> Array:
        """n numbers in [0, 1)."""
        if dtype == np.float32:
            return (self._words(n) & np.uint32(2**24 - 1)).astype(dtype) * 2.0**-24
        return (self._long_words(n) & np.uint64(2**53 - 1)).astype(dtype) * 2.0**-53

    # Draws

    def rand(self, *size: Size, dtype: DTypeLike = np.float32) -> Array:
        """Uniform numbers in [0, 1).

        Args:
            size: the sizes of the axes, or one tuple of them.
            dtype: float32 or float64.

        Returns:
            Array of shape `size`.
        """
        shape = _shape("Generator.rand", size)
        return self._units(math.prod(shape), _floating("Generator.rand", dtype)).reshape(shape)

    def uniform(self, low: float, high: float, size: Size, dtype: DTypeLike = np.float32) -> Array:
        """Uniform numbers in [low, high).

        Args:
            low: finite in `dtype`.
            high: not below `low`.
            size: shape of the result.
            dtype: float32 or float64.

        Returns:
            Array of shape `size`.

        Raises:
            ValueError: if high < low, or a bound or their distance is not finite in `dtype`.
        """
        shape = _shape("Generator.uniform", size)
        dtype = _floating("Generator.uniform", dtype)
        bound = float(np.finfo(dtype).max)
        low = check.number("Generator.uniform", "low", low, -bound, bound)
        high = check.number("Generator.uniform", "high", high, low, min(bound, low + bound))
        low, high = dtype.type(low), dtype.type(high)
        value = _fma(self._units(math.prod(shape), dtype), high - low, low).reshape(shape)
        return np.where(value == high, low, value)  # it can round up to the excluded end

    def randn(self, *size: Size, dtype: DTypeLike = np.float32) -> Array:
        """Normal numbers of mean 0 and variance 1.

        Args:
            size: the sizes of the axes, or one tuple of them.
            dtype: float32 or float64.

        Returns:
            Array of shape `size`.
        """
        shape = _shape("Generator.randn", size)
        return self.normal(0.0, 1.0, shape, _floating("Generator.randn", dtype))

    def normal(
        self,
        mean: float,
        std: float,
        size: Size,
        dtype: DTypeLike = np.float32,
        *,
        contiguous: bool = True,
    ) -> Array:
        """Normal numbers.

        Args:
            mean: their mean.
            std: their standard deviation, >= 0.
            size: shape of the result.
            dtype: float32 or float64.
            contiguous: False draws pairs at any size, as torch fills a non-contiguous tensor.

        Returns:
            Array of shape `size`.

        Raises:
            ValueError: if a number is not finite in `dtype` or `std` is negative.
        """
        shape = _shape("Generator.normal", size)
        dtype = _floating("Generator.normal", dtype)
        bound = float(np.finfo(dtype).max)
        mean = check.number("Generator.normal", "mean", mean, -bound, bound)
        std = check.number("Generator.normal", "std", std, 0.0, bound)
        n = math.prod(shape)
        if contiguous and n >= 16:
            value = _fma(self._normal_blocks(n, dtype), dtype.type(std), dtype.type(mean))
        else:
            value = _fma(self._normal_pairs(n), np.float64(std), np.float64(mean))
        return value.astype(dtype, copy=False).reshape(shape)

    def _normal_blocks(self, n: int, dtype: np.dtype[Any]) -> Array:
        whole = n - n % 16
        u = self._units(n, dtype)
        z = np.empty_like(u)
        z[:whole] = _box_muller(u[:whole])
        if whole < n:
            z[-16:] = _box_muller(self._units(16, dtype))
        return z

    def _normal_pairs(self, n: int) -> Array:
        if n == 0:
            return np.empty(0)
        waiting = [] if self._next_normal is None else [self._next_normal]
        pairs = (n - len(waiting) + 1) // 2
        u1, u2 = self._units(2 * pairs, np.dtype(np.float64)).reshape(pairs, 2).T
        r = np.sqrt(-2 * np.log1p(-u2))
        angle = 2 * math.pi * u1
        drawn = np.stack([r * np.cos(angle), r * np.sin(angle)], axis=1).ravel()
        z = np.concatenate([waiting, drawn])
        self._next_normal = float(z[n]) if len(z) > n else None
        return z[:n]

    def exponential(self, *size: Size, dtype: DTypeLike = np.float32) -> Array:
        """Numbers of density e^-x: torch's `exponential_()`.

        Args:
            size: the sizes of the axes, or one tuple of them.
            dtype: float32 or float64.

        Returns:
            Array of shape `size`.
        """
        shape = _shape("Generator.exponential", size)
        kind = _floating("Generator.exponential", dtype)
        waits = -np.log1p(-self._units(math.prod(shape), np.dtype(np.float64)))
        return waits.astype(kind, copy=False).reshape(shape)

    def bernoulli(
        self, p: float | Array, size: Size | None = None, dtype: DTypeLike | None = None
    ) -> Array:
        """Ones with probability p, else zeros: torch's `bernoulli(p)` and `bernoulli_(p)`.

        Args:
            p: in [0, 1]; a number, or a float32 or float64 array that broadcasts to `size`.
            size: shape of the result; the shape of `p` where it is left out.
            dtype: float32, float64 or bool; an array p's dtype, or float32, where it is left out.

        Returns:
            Array of shape `size`.

        Raises:
            ValueError: if a probability is outside [0, 1] or `p` does not broadcast to `size`.
        """
        name = "Generator.bernoulli"
        if not isinstance(p, np.ndarray):
            p = np.asarray(check.number(name, "p", p, 0, 1))
            dtype = np.float32 if dtype is None else dtype
        p = check.floating(name, "p", p)
        if not ((p >= 0) & (p <= 1)).all():
            check.refuse(name, "every p in [0, 1]", check.describe(p))
        kind = p.dtype if dtype is None else np.dtype(dtype)
        check.option(name, "dtype", kind, [np.dtype(t) for t in (np.float32, np.float64, np.bool_)])
        shape = p.shape if size is None else _shape(name, size)
        if p.ndim > len(shape) or any(
            n not in (1, m) for n, m in zip(p.shape[::-1], shape[::-1], strict=False)
        ):
            check.refuse(name, f"p to broadcast to {shape}", p.shape)
        ones = self._units(math.prod(shape), p.dtype).reshape(shape) < p
        return np.asarray(ones, kind)

    def randint(self, low: int, high: int, size: Size) -> Array:
        """Integers in [low, high): `torch.randint(low, high, size)`.

        Args:
            low: at least -2^63.
            high: above `low`, at most 2^63; (0, 2^63) is torch's `random_()` of an int64 tensor.
                The whole of int64 is refused: torch draws it by another rule.
            size: shape of the result.

        Returns:
            int64 array of shape `size`.

        Raises:
            ValueError: if the range is empty or does not fit.
        """
        shape = _shape("Generator.randint", size)
        low = _integer("Generator.randint", "low", low, -(2**63), 2**63)
        end = min(2**63 + 1, low + 2**64)
        high = _integer("Generator.randint", "high", high, low + 1, end)
        words = self._long_words if high - low >= 2**28 else self._words
        offset = words(math.prod(shape)).astype(np.uint64) % np.uint64(high - low)
        return (offset + np.uint64(low % 2**64)).view(np.int64).reshape(shape)  # wraps, as it must

    def randperm(self, n: int) -> Array:
        """A random order of 0 ... n - 1.

        Args:
            n: below 2^32 / 20, from where on torch draws otherwise.

        Returns:
            int64 array of shape (n,).
        """
        n = _integer("Generator.randperm", "n", n, 0, (2**32 - 1) // 20)
        left = np.arange(n, 1, -1, dtype=np.uint32)
        partners = (self._words(len(left)) % left + np.arange(len(left), dtype=np.uint32)).tolist()
        order = list(range(n))
        for i, j in enumerate(partners):
            order[i], order[j] = order[j], order[i]
        return np.array(order, np.int64)


def _box_muller(u: Array) -> Array:
    u1, u2 = u.reshape(-1, 2, 8).swapaxes(0, 1)
    r = np.sqrt(-2 * np.log(1 - u1))  # 1 - u is never 0
    angle = 2 * math.pi * u2
    return np.stack([r * np.cos(angle), r * np.sin(angle)], axis=1).ravel()


def _fma(x: Array, y: Any, z: Any) -> Array:
    """x y + z rounded once, as by the fused multiply-add in torch's kernels; all of x's dtype."""
    if x.dtype == np.float32:
        return (x.astype(np.float64) * float(y) + float(z)).astype(np.float32)  # x y is exact
    # float64: the rounding errors of product (Dekker 1971) and sum (Knuth) are added last
    product = x * y
    x_high, y_high = _high(x), _high(y)
    x_low, y_low = x - x_high, y - y_high
    error = ((x_high * y_high - product) + x_high * y_low + x_low * y_high) + x_low * y_low
    total = product + z
    kept = total - product
    fused: Array = total + (error + ((product - (total - kept)) + (z - kept)))
    return fused


def _high(x: Any) -> Any:
    """The leading 26 bits of float64 numbers, so that products of halves are exact."""
    return (np.asarray(x).view(np.uint64) & np.uint64(2**64 - 2**27)).view(np.float64)


def _shape(function: str, size: Any) -> tuple[int, ...]:
    """A shape from an int, a sequence of them, or such a sequence alone in a tuple."""
    if isinstance(size, tuple) and len(size) == 1 and isinstance(size[0], tuple | list):
        size = size[0]
    sizes = size if isinstance(size, tuple | list) else (size,)
    return tuple(check.size(function, "size", n) for n in sizes)


def _floating(function: str, dtype: DTypeLike) -> np.dtype[Any]:
    kind = np.dtype(dtype)
    if kind not in (np.float32, np.float64):
        check.refuse(function, "dtype float32 or float64", kind, TypeError)
    return kind


def _integer(function: str, name: str, value: object, low: int, high: int) -> int:
    """`value` as an int if it is an integer in [low, high)."""
    n = check.size(function, name, value, low=low)
    if n >= high:
        check.refuse(function, f"{name} in [{low}, {high})", n)
    return n


def check_generator(function: str, generator: object) -> None:
    """Refuse what is neither a Generator nor None."""
    if not isinstance(generator, Generator | None):
        expected = "generator to be a scratch.random.Generator or None"
        check.refuse(function, expected, check.describe(generator), TypeError)
