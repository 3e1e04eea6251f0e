"""Positions: what sinusoids, rotation, linear biases and relative buckets tell attention.

Attention without them gives a shuffled sequence the same answers, shuffled: the guide says so
[5331-5341]; here it is measured, with each of five encodings and without. The guide's formula
[5341-5362] is drawn, together with what it says about it: that values lie in [-1, 1], that each
position is unlike the others, and that P(t + k) is a linear function of P(t). Its code breaks where
the width is odd, for it has one sine more than cosines; that is shown too. That sinusoids
generalise to longer sequences than seen in training, which it says as well, is not shown here.

Sources: Vaswani et al. 2017, arXiv:1706.03762; Su et al. 2021, arXiv:2104.09864; Press et al. 2022,
arXiv:2108.12409; Raffel et al. 2020, arXiv:1910.10683.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from parity_tests.experiments.outcome import Outcome
from parity_tests.experiments.style import CLASSES, figure
from parity_tests.experiments.twins import apart
from parity_tests.harness.draw import Array
from scratch.nn import functional as F
from scratch.nn.alibi import alibi_bias, alibi_slopes
from scratch.nn.positional_encoding import sinusoidal_table
from scratch.nn.relative_position import relative_position_bucket
from torch_ref.nn.alibi import alibi as torch_alibi
from torch_ref.nn.positional_encoding import learned_encoding as torch_learned
from torch_ref.nn.positional_encoding import sinusoidal_encoding as torch_sinusoidal
from torch_ref.nn.relative_position import relative_position_bias as torch_relative
from torch_ref.nn.rotary import rotary_embedding as torch_rotary

EPS = float(np.finfo(np.float64).eps)
HEADS, WIDTH = 4, 16  # of the attention whose input is shuffled


# Attention that is told of positions in one way or another, on either side


def attention(side: Any, way: str, x: Any, weights: dict[str, Any]) -> Any:
    """softmax(Q K^T / sqrt d) V of x (T, D) with several heads, by one way of `WAYS`."""
    if way == "sinusoidal":
        x = side["sinusoidal"](x)
    elif way == "learned":
        x = side["learned"](x, weights["positions"])
    length, d = x.shape[0], WIDTH // HEADS
    q, k, v = (
        (x @ weights[name]).reshape(length, HEADS, d).swapaxes(0, 1) for name in ("q", "k", "v")
    )
    if way == "rotary":
        q, k = side["rotary"](q), side["rotary"](k)
    scores = q @ k.swapaxes(1, 2) / math.sqrt(d)
    if way == "ALiBi":
        scores = side["alibi"](scores)
    elif way == "T5 buckets":
        scores = scores + side["relative"](weights["buckets"], length, length, max_distance=20)
    return (side["softmax"](scores) @ v).swapaxes(0, 1).reshape(length, WIDTH)


WAYS = ("none", "sinusoidal", "learned", "rotary", "ALiBi", "T5 buckets")
SCRATCH: dict[str, Callable[..., Any]] = {
    "sinusoidal": lambda *a: F.sinusoidal_encoding(*a)[0],
    "learned": lambda *a: F.learned_encoding(*a)[0],
    "rotary": lambda *a: F.rotary_embedding(*a)[0],
    "alibi": lambda *a: F.alibi(*a)[0],
    "relative": lambda *a, **k: F.relative_position_bias(*a, **k)[0],
    "softmax": lambda z: F.softmax(z, -1)[0],
}
TORCH: dict[str, Callable[..., Any]] = {
    "sinusoidal": torch_sinusoidal,
    "learned": torch_learned,
    "rotary": torch_rotary,
    "alibi": torch_alibi,
    "relative": torch_relative,
    "softmax": lambda z: z.softmax(-1),
}


def shuffled(rng: np.random.Generator, length: int) -> dict[str, tuple[float, float, float]]:
    """How far attention is from not seeing the order, by way: scratch, torch; and their difference.

    The largest |attention(x in another order) - attention(x) in that order|, relative.
    """
    x = rng.normal(size=(length, WIDTH))
    shapes = {"q": (WIDTH, WIDTH), "k": (WIDTH, WIDTH), "v": (WIDTH, WIDTH)}
    weights = {name: rng.normal(size=shape) / 4 for name, shape in shapes.items()}
    weights["positions"] = rng.normal(size=(length, WIDTH))
    weights["buckets"] = rng.normal(size=(16, HEADS))
    tensors = {name: torch.from_numpy(w) for name, w in weights.items()}
    order = rng.permutation(length)
    found = {}
    for way in WAYS:
        y, z = (attention(SCRATCH, way, a, weights) for a in (x, x[order]))
        y_t, z_t = (
            attention(TORCH, way, torch.from_numpy(a), tensors).numpy() for a in (x, x[order])
        )
        found[way] = apart(z, y[order]), apart(z_t, y_t[order]), apart(y, y_t)
    return found


# What the encodings have in common: inner products against distance


def products(encode: Callable[[Array], Array], q: Array, k: Array, length: int) -> Array:
    """q at t times k at s, (T, T), when each is encoded at its position."""
    queries = encode(np.tile(q, (length, 1)))
    keys = encode(np.tile(k, (length, 1)))
    return queries @ keys.T


def spread_along_diagonals(values: Array) -> float:
    """The largest range of values (T, T) that share a distance s - t."""
    n = len(values)
    return float(max(np.ptp(np.diagonal(values, k)) for k in range(1 - n, n)))


def guide_table(length: int, dim: int) -> Array:
    """The guide's way: as many cosines as sines."""
    table = np.zeros((length, dim))
    t = np.arange(length)[:, None]
    turns = t * np.exp(-math.log(10000.0) / dim * np.arange(0, dim, 2))
    table[:, 0::2] = np.sin(turns)
    table[:, 1::2] = np.cos(turns)
    return table


def run(out: Path, *, small: bool = False, seed: int = 0) -> Outcome:
    """Measure and draw all of them.

    Args:
        out: folder for the figures.
        small: shorter sequences.
        seed: of vectors, weights and orders.

    Returns:
        What was measured, with the claims about it.
    """
    outcome = Outcome("positional_encodings")
    rng = np.random.default_rng(seed)
    length = 100 if small else 400
    _order(outcome, rng)
    _sinusoidal(outcome, length)
    _rotary(outcome, rng, length)
    _alibi(outcome)
    _buckets(outcome)
    _draw_sinusoidal(out / "positional_encodings_sinusoidal.png")
    _draw_distance(out / "positional_encodings_distance.png", rng)
    _draw_biases(out / "positional_encodings_biases.png")
    outcome.figures += sorted(out.glob("positional_encodings_*.png"))
    return outcome


def _order(outcome: Outcome, rng: np.random.Generator) -> None:
    found = shuffled(rng, 30)
    outcome.numbers["change under a shuffle: scratch, torch; the two apart"] = found
    outcome.text = "\n".join(
        [
            "how far attention to a shuffled sequence is from the shuffled attention",
            *(f"{way:12} {ours:9.2e} {theirs:9.2e}" for way, (ours, theirs, _) in found.items()),
        ]
    )
    blind = max(found["none"][:2])
    seeing = min(min(found[way][:2]) for way in WAYS[1:])
    outcome.claim(
        "attention without positions gives a shuffled sequence the same answers, shuffled; with "
        "each of the five encodings it does not",
        f"change {blind:.0e} without, at least {seeing:.2f} with",
        blind < 1e-13 and seeing > 0.05,
    )
    difference = max(d for *_, d in found.values())
    outcome.claim(
        "both packages agree on attention with each of them",
        f"at most {difference / EPS:.0f} eps apart",
        difference < 1e-13,
    )


def _sinusoidal(outcome: Outcome, length: int) -> None:
    table = sinusoidal_table(length, 64, dtype=np.float64)
    tables = {dim: sinusoidal_table(length, dim, dtype=np.float64) for dim in (1, 63, 127)}
    theirs = {d: torch_sinusoidal(torch.zeros(length, d).double()).numpy() for d in tables}
    odd = max(apart(tables[d], theirs[d]) for d in tables)
    try:
        guide_table(length, 127)
        broken = ""
    except ValueError as error:
        broken = str(error).splitlines()[0]
    outcome.claim(
        "odd widths work in both packages; the guide's assignment of as many cosines as sines does "
        "not",
        f"{odd / EPS:.0f} eps apart; the guide's: {broken or 'works'}",
        odd < 1e-12 and bool(broken),
    )
    even = float(
        np.abs(guide_table(length, 128) - sinusoidal_table(length, 128, dtype=float)).max()
    )
    outcome.claim(
        "at an even width the table is the guide's, whose frequencies go through a logarithm",
        f"{even:.0e} apart",
        even < length * 20 * EPS,
    )
    inner = table @ table.T
    along = spread_along_diagonals(inner)
    k = np.arange(length)
    frequencies = 10000.0 ** (-np.arange(0, 64, 2) / 64)
    formula = np.cos(k[:, None] * frequencies).sum(1)
    off = float(np.abs(inner[0] - formula).max())
    rises = int(np.argmax(np.diff(inner[0]) > 0))
    outcome.numbers |= {"product by distance": inner[0].tolist(), "first rise at": rises}
    outcome.claim(
        "P(t) . P(s) depends on t - s alone: the sum of cos(w_i (t - s)). It is largest at 0, but "
        "does not fall all the way",
        f"{along:.0e} apart along diagonals of products up to 32, {off:.0e} from the formula; "
        f"first rise from distance {rises} to {rises + 1}",
        along < 32 * length * EPS
        and off < 32 * length * EPS
        and bool(np.all(inner[0, 1:] < inner[0, 0]))
        and 0 < rises < length - 2,
    )
    shift = 10
    cos, sin = np.cos(shift * frequencies), np.sin(shift * frequencies)
    turned = np.empty_like(table[:-shift])
    turned[:, 0::2] = table[:-shift, 0::2] * cos + table[:-shift, 1::2] * sin
    turned[:, 1::2] = table[:-shift, 1::2] * cos - table[:-shift, 0::2] * sin
    residual = float(np.abs(turned - table[shift:]).max())
    outcome.claim(
        f"P(t + {shift}) is the same rotation of P(t) for all t, so a linear function of it",
        f"{residual:.0e} apart",
        residual < length * 4 * EPS,
    )
    squared = np.maximum(32 + 32 - 2 * inner, 0)
    np.fill_diagonal(squared, np.inf)
    nearest = float(np.sqrt(squared.min()))
    outcome.claim(
        "all values lie in [-1, 1], and no two positions are alike",
        f"[{table.min():.4f}, {table.max():.4f}]; of {length} positions the two nearest are "
        f"{nearest:.2f} apart, of a length of {math.sqrt(32):.2f} each",
        bool(np.abs(table).max() <= 1) and nearest > 1,
    )


def _rotary(outcome: Outcome, rng: np.random.Generator, length: int) -> None:
    q, k = rng.normal(size=(2, 64))
    size = float(np.linalg.norm(q) * np.linalg.norm(k))
    spreads, differences = {}, []
    for interleaved in (True, False):

        def turn(x: Array, interleaved: bool = interleaved) -> Array:
            y, _ = F.rotary_embedding(x, interleaved=interleaved)
            theirs = torch_rotary(torch.from_numpy(x), interleaved=interleaved).numpy()
            differences.append(apart(y, theirs))
            return y

        name = "pairs (2 i, 2 i + 1)" if interleaved else "pairs (i, i + d/2)"
        spreads[name] = spread_along_diagonals(products(turn, q, k, length)) / size
    summed = products(lambda x: F.sinusoidal_encoding(x)[0], q, k, length)
    spread_of_sum = spread_along_diagonals(summed) / size
    outcome.numbers["spread of products at one distance"] = {**spreads, "sinusoidal": spread_of_sum}
    outcome.claim(
        "the product of a turned query and a turned key depends on the difference of their "
        "positions alone, with either pairing; where sinusoids are added it does not",
        f"spread at one distance, relative to |q| |k|: at most {max(spreads.values()) / EPS:.0f} "
        f"eps for {length} positions (an angle up to {length} is rounded by about {length // 2} "
        f"eps); {spread_of_sum:.2f} with sinusoids",
        max(spreads.values()) < 4 * length * EPS and spread_of_sum > 0.1,
    )
    outcome.claim(
        "both packages turn alike",
        f"at most {max(differences) / EPS:.0f} eps apart",
        max(differences) < length * 2 * EPS,
    )


def _alibi(outcome: Outcome) -> None:
    eight, twelve = alibi_slopes(8, np.float64), alibi_slopes(12, np.float64)
    bias = alibi_bias(12, 20, 20, dtype=np.float64)
    scores = np.zeros((12, 20, 20))
    difference = apart(bias, torch_alibi(torch.from_numpy(scores)).numpy())
    outcome.numbers["slopes of 12 heads"] = twelve.tolist()
    outcome.claim(
        "ALiBi's 8 heads see less far by half each: at slope m a score falls by log 2, and a "
        "weight by half, in log 2 / m positions; 12 heads have the same 8 and then 4 that lie "
        "between the first of them; both packages agree",
        f"{math.log(2) / eight[0]:.1f} positions for the first, {math.log(2) / eight[-1]:.0f} for "
        f"the last; {difference / EPS:.0f} eps apart",
        bool(np.allclose(eight[1:] / eight[:-1], 0.5, rtol=1e-15))
        and bool(np.array_equal(twelve[:8], eight))
        and bool(np.allclose(-np.log2(twelve[8:]), (0.5, 1.5, 2.5, 3.5), rtol=1e-15))
        and difference < 4 * EPS,
    )


def _buckets(outcome: Outcome) -> None:
    distances = np.arange(0, 400)
    causal = relative_position_bucket(-distances, False)
    both = relative_position_bucket(np.arange(-399, 400), True)
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(32, HEADS))
    ours, _ = F.relative_position_bias(weight, 150, 150)
    theirs = torch_relative(torch.from_numpy(weight), 150, 150).numpy()
    alone = int(np.argmax(causal[1:] == causal[:-1]))
    last = int(np.argmax(causal == 31))
    outcome.numbers |= {"buckets by distance, causal": causal.tolist()}
    outcome.claim(
        "T5's 32 buckets: looking back only, the 16 nearest distances have one each, and all from "
        "113 on share the last; looking both ways, 16 are for keys before the query or at it and "
        "16 for those behind; both packages have the same bias to the last bit",
        f"distances 0 to {alone - 1} alone, the last from {last}; "
        f"{len(set(both[:400]))} before, {len(set(both[400:]))} of 16 behind (distance 0 is none)",
        alone == 16
        and last == 113
        and len(set(both[:400])) == 16
        and len(set(both[400:])) == 15
        and bool(np.array_equal(ours, theirs)),
    )


# Figures


def _draw_sinusoidal(path: Path) -> None:
    table = sinusoidal_table(100, 64, dtype=np.float64)
    with figure(path, 1, 3, (15, 4.6)) as (fig, (heat, waves, inner)):
        image = heat.imshow(
            table.T, aspect="auto", cmap="RdBu", origin="lower", interpolation="none"
        )
        heat.set(xlabel="position t", ylabel="feature j", title="P[t, j]: a wave for each pair")
        heat.grid(False)
        fig.colorbar(image, ax=heat, shrink=0.9)
        for colour, j in zip(CLASSES, (0, 1, 12, 24, 40), strict=True):
            kind = "cos" if j % 2 else "sin"
            waves.plot(table[:, j], color=colour, lw=1.5, label=f"j = {j}, {kind}")
        waves.set(xlabel="position t", ylabel="P[t, j]", ylim=(-1.05, 1.6))
        waves.set_title("Fast waves tell neighbours apart, slow ones regions")
        waves.legend(fontsize=8, ncols=3, loc="upper center")
        product = table @ table.T
        for colour, t in zip(CLASSES, (20, 50, 80), strict=False):
            at = np.arange(100) - t
            style = {20: "-", 50: "--", 80: ":"}[t]
            inner.plot(at, product[t], style, color=colour, lw=2, label=f"t = {t}")
        inner.set(xlabel="distance s - t", ylabel="P[t] . P[s]", ylim=(0, 35))
        inner.set_title("One curve for all t: only the distance counts")
        inner.legend(fontsize=8)
        fig.suptitle("Sinusoidal positions, 64 features", fontsize=13)


def _draw_distance(path: Path, rng: np.random.Generator) -> None:
    q, k = rng.normal(size=(2, 32))
    length, near = 60, 30
    size = np.linalg.norm(q) * np.linalg.norm(k)

    def turned(x: Array) -> Array:
        return F.rotary_embedding(x)[0]

    def summed(x: Array) -> Array:
        return F.sinusoidal_encoding(x)[0]

    at = np.arange(length)
    with figure(path, 1, 3, (15, 4.6)) as (fig, axes):
        for ax, (encode, title) in zip(
            axes[:2],
            ((turned, "Turned: all on one curve"), (summed, "Sinusoids added: no curve")),
            strict=True,
        ):
            values = products(encode, q, k, length) / size
            distance = at[:, None] - at
            means = [np.diagonal(values, -k).mean() for k in range(1 - length, length)]
            ax.plot(range(1 - length, length), means, color="0.7", lw=1, zorder=0)
            points = ax.scatter(
                distance, values, c=np.broadcast_to(at, values.shape), s=4, cmap="viridis"
            )
            ax.set(xlabel="distance t - s (line: mean at each)")
            ax.set_ylabel("q at t . k at s, relative to |q| |k|")
            ax.set_title(title)
            fig.colorbar(points, ax=ax, label="position s of the key", shrink=0.9)
        turns = np.arange(near)[:, None] * 10000.0 ** (-np.arange(0, 32, 2) / 32)
        for i, colour in zip((0, 3, 6), CLASSES, strict=False):
            x = np.zeros((near, 32))
            x[:, 2 * i] = 1
            y, _ = F.rotary_embedding(x)
            a, b = y[:, 2 * i], y[:, 2 * i + 1]
            radius = 1 + 0.12 * i
            axes[2].plot(radius * a, radius * b, "o-", color=colour, ms=4, lw=0.6)
            axes[2].plot([], [], "o", color=colour, label=f"pair {i}: {turns[1, i]:.3f} a step")
        axes[2].set(
            xlabel="first feature", ylabel="second feature", xlim=(-2.6, 2.6), ylim=(-2.1, 2.9)
        )
        axes[2].set_title("Each pair turns at its own speed\n(rings drawn apart)")
        axes[2].set_aspect("equal")
        axes[2].legend(fontsize=8, loc="upper center", ncols=1)
        fig.suptitle("Rotary positions: inner products know the difference alone", fontsize=13)


def _draw_biases(path: Path) -> None:
    with figure(path, 1, 3, (15, 4.6)) as (fig, (alibi, both, causal)):
        levels = np.linspace(0.15, 0.95, 12)
        shades = [(0.78 * s, 0.33 * s + 0.1, 0.24 * s + 0.3) for s in levels]
        slopes = alibi_slopes(12, np.float64)
        bias = alibi_bias(12, 1, 60, 59, np.float64)[:, 0]
        for h, shade in enumerate(shades):
            alibi.plot(
                59 - np.arange(60),
                bias[h],
                "-" if h < 8 else "--",
                color=shade,
                lw=1.4,
                label=f"{h}: {slopes[h]:.4f}",
            )
        alibi.set(xlabel="distance i - j to an earlier key", ylabel="bias", ylim=(-12, 0.4))
        alibi.set(xlim=(-2, 98), xticks=range(0, 61, 10))
        alibi.set_title("ALiBi: each of 12 heads looks back\nas far as its slope lets it")
        alibi.legend(fontsize=7, title="head: slope", title_fontsize=8, loc="center right")
        i, j = np.arange(80)[:, None], np.arange(80)
        image = both.imshow(
            relative_position_bucket(j - i, True, 32, 64), cmap="viridis", interpolation="none"
        )
        both.set(xlabel="key j", ylabel="query i")
        both.set_title("T5, both ways: bucket of each pair\n(32 buckets, largest distance 64)")
        both.grid(False)
        fig.colorbar(image, ax=both, label="bucket", shrink=0.9)
        distances = np.arange(1, 300)
        for colour, largest in zip(CLASSES, (64, 128, 256), strict=False):
            bucket = relative_position_bucket(-distances, False, 32, largest)
            causal.step(
                distances, bucket, where="mid", color=colour, label=f"largest distance {largest}"
            )
        causal.set_xscale("log")
        causal.set_xticks((1, 4, 16, 64, 256), ("1", "4", "16", "64", "256"))
        causal.minorticks_off()
        causal.set(xlabel="distance i - j to an earlier key", ylabel="bucket")
        causal.set_title("T5, looking back: one bucket a distance,\nthen a straight line in log")
        causal.legend(fontsize=8, loc="lower right")
        fig.suptitle("Biases of the scores", fontsize=13)
