"""Decoders with public checkpoints: GPT-2 and Llama."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

import scratch.models
import torch_ref.models
from parity_tests.harness.draw import Array, Draw, same_draws
from parity_tests.harness.entry import Call, Case, Entry, Layer, Refusal, Routine, unchecked

RADFORD = "Radford et al. 2019, Language Models are Unsupervised Multitask Learners"
TOUVRON = "Touvron et al. 2023, arXiv:2302.13971"

NO_DROPOUT = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
GPT2: dict[str, Any] = {
    "vocab_size": 11,
    "n_positions": 7,
    "n_embd": 6,
    "n_layer": 2,
    "n_head": 3,
    **NO_DROPOUT,
}
LLAMA: dict[str, Any] = {
    "vocab_size": 11,
    "hidden_size": 8,
    "intermediate_size": 5,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 4,
}


def built(package: Any, name: str, **options: Any) -> Any:
    """A model from the options of its configuration."""
    models = package.models
    return getattr(models, name)(getattr(models, f"{name}Config")(**options))


def tokens(*shape: int, **more: Callable[[Draw], Array]) -> Callable[[Draw], Call]:
    """Ids among eleven."""

    def call(d: Draw) -> Call:
        ids = d.integers(0, 11, *shape)
        ids[0, -2:] = ids[0, 0]  # one of them several times
        return Call(ids, **{name: make(d) for name, make in more.items()})

    return call


def left(d: Draw) -> Array:
    """Two rows of five tokens, the first of them padding."""
    return np.array([[1, 1, 1, 1, 1], [0, 0, 1, 1, 1]])


def right(d: Draw) -> Array:
    """Two rows of five tokens, the last of them padding; a bool mask."""
    return np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 0]], bool)


def places(*rows: list[int]) -> Callable[[Draw], Array]:
    """Positions."""
    return lambda d: np.array(rows)


def gpt2(name: str, make: Callable[[Draw], Call], **more: Any) -> Case:
    """A small one with some options of its own; training and evaluation are the same."""
    return Case(name, make, init=Call(**{**GPT2, **more}), modes=("train",))


def llama(name: str, make: Callable[[Draw], Call], **more: Any) -> Case:
    """A small one with some options of its own; training and evaluation are the same."""
    return Case(name, make, init=Call(**{**LLAMA, **more}), modes=("train",))


def decoded(padded: bool, *pieces: int) -> Callable[..., dict[str, Any]]:
    """A script that gives a text in pieces: logits after each, keys and values at the end."""

    def script(make: Any, side: Any, d: Draw) -> dict[str, Any]:
        model = make()
        state = {n: d.normal(*a.shape, scale=0.5) for n, a in model.state_dict().items()}
        state |= {name: state[source] for name, source in model.tied().items()}
        model = side.set(model, state).eval()
        ids, end = d.integers(0, 11, 2, sum(pieces)), 0
        mask = (np.arange(pieces[0]) >= np.array([[0], [2]])).astype(int)
        cache: Any = model.padded(side.array(mask)) if padded else None
        found = {}
        for n in pieces:
            piece, end = ids[:, end : end + n], end + n
            found[f"logits after {end}"], cache = model.step(side.array(piece), cache)
        for i, (k, v) in enumerate(cache.layers):
            found |= {f"keys of {i}": k, f"values of {i}": v}
        return found

    return script


SCRIPTS = {
    "one at a time": decoded(False, 3, 1, 1, 1),
    "several": decoded(False, 1, 4, 2),
    "padding on the left": decoded(True, 4, 1, 2),
}

# Without ten steps each: what is added to all keys alike changes nothing, so that the gradient of
# a key's bias is rounding, which Adam divides by itself; and down a linear function Llama's weights
# grow until rounding does too. test_gpt trains both for hundreds of steps.
ENTRIES: list[Entry] = [
    Layer(
        "GPT2",
        functools.partial(built, scratch, "GPT2"),
        functools.partial(built, torch_ref, "GPT2"),
        source=RADFORD,
        c=1000,
        steps=False,
        cases=(
            gpt2("padding on the left", tokens(2, 5, attention_mask=left)),
            gpt2(
                "positions and types",
                tokens(
                    2,
                    4,
                    token_type_ids=lambda d: d.integers(0, 11, 2, 4),
                    position_ids=places([0, 0, 1, 6], [3, 2, 2, 5]),
                ),
                n_layer=1,
            ),
        ),
    ),
    Layer(
        "GPT2 options",
        functools.partial(built, scratch, "GPT2"),
        functools.partial(built, torch_ref, "GPT2"),
        source=RADFORD,
        c=1000,
        steps=False,
        differences=False,
        cases=(
            gpt2("all positions", tokens(1, 7)),
            gpt2("one token", tokens(3, 1)),
            gpt2("padding on the right", tokens(2, 5, attention_mask=right)),
            gpt2("the same positions", tokens(3, 4, position_ids=places([2, 3, 4, 6])), n_layer=1),
            gpt2("head of its own", tokens(2, 4), tie_word_embeddings=False, n_layer=1),
            gpt2("exact gelu", tokens(2, 4), activation_function="gelu", n_inner=5, n_layer=1),
            *(
                gpt2(name, tokens(2, 4), activation_function=name, n_layer=1)
                for name in ("gelu_pytorch_tanh", "silu", "tanh", "sigmoid", "linear", "mish")
            ),
            gpt2(
                "scores of each layer",
                tokens(2, 4),
                scale_attn_by_inverse_layer_idx=True,
                reorder_and_upcast_attn=True,
                layer_norm_epsilon=0.1,
            ),
            gpt2("scores as they are", tokens(2, 4), scale_attn_weights=False, n_layer=1),
            *(
                Case(
                    name,
                    tokens(2, 5, **more),
                    init=Call(**{**GPT2, "resid_pdrop": 0.2, "embd_pdrop": 0.3, "attn_pdrop": 0.4}),
                    modes=modes,
                    seeded=True,
                )
                for name, more, modes in (
                    ("dropout", {}, ("train", "eval")),
                    ("dropout, padding", {"attention_mask": right}, ("train",)),
                )
                if same_draws()
            ),
        ),
    ),
    Routine(
        "GPT2.step",
        functools.partial(built, scratch, "GPT2", **GPT2),
        functools.partial(built, torch_ref, "GPT2", **GPT2),
        SCRIPTS,
        source=RADFORD,
        c=1000,
    ),
    Layer(
        "Llama",
        functools.partial(built, scratch, "Llama"),
        functools.partial(built, torch_ref, "Llama"),
        source=f"{TOUVRON}; groups: Ainslie et al. 2023, arXiv:2305.13245",
        c=1000,
        steps=False,
        cases=(
            llama("padding on the left", tokens(2, 5, attention_mask=left)),
            llama(
                "positions, biases, tied",
                tokens(2, 3, position_ids=places([0, 7, 8], [900, 3, 2])),
                num_hidden_layers=1,
                attention_bias=True,
                mlp_bias=True,
                tie_word_embeddings=True,
            ),
        ),
    ),
    Layer(
        "Llama options",
        functools.partial(built, scratch, "Llama"),
        functools.partial(built, torch_ref, "Llama"),
        source=f"{TOUVRON}; stretched: Chen et al. 2023, arXiv:2306.15595",
        c=1000,
        steps=False,
        differences=False,
        cases=(
            llama("groups", tokens(2, 5)),
            llama("a single group", tokens(2, 4), num_key_value_heads=1, num_hidden_layers=1),
            llama(
                "a head each",
                tokens(2, 4),
                num_key_value_heads=None,
                head_dim=None,
                num_hidden_layers=1,
            ),
            llama("padding on the right", tokens(2, 5, attention_mask=right)),
            llama("the same positions", tokens(3, 4, position_ids=places([2, 3, 4, 6]))),
            llama(
                "gelu", tokens(2, 4), hidden_act="gelu_new", rms_norm_eps=0.1, num_hidden_layers=1
            ),
            llama("a base", tokens(2, 4), rope_theta=100.0, num_hidden_layers=1),
            llama(
                "stretched, old names",
                tokens(2, 4),
                rope_theta=50.0,
                rope_scaling={"type": "linear", "factor": 3.0},
                num_hidden_layers=1,
            ),
            llama(
                "stretched, new names",
                tokens(2, 4),
                rope_parameters={"rope_type": "linear", "factor": 3.0, "rope_theta": 50.0},
                num_hidden_layers=1,
            ),
            llama(
                "padding token", lambda d: Call(np.array([[3, 5, 4], [3, 3, 1]])), pad_token_id=3
            ),
            *(
                Case(
                    "dropout",
                    tokens(2, 5),
                    init=Call(**{**LLAMA, "attention_dropout": 0.4}),
                    seeded=True,
                )
                for _ in range(same_draws())
            ),
        ),
    ),
    Routine(
        "Llama.step",
        functools.partial(built, scratch, "Llama", **LLAMA),
        functools.partial(built, torch_ref, "Llama", **LLAMA),
        SCRIPTS,
        source=TOUVRON,
        c=1000,
    ),
]

GPT2_MODEL = built(scratch, "GPT2", **GPT2)
LLAMA_MODEL = built(scratch, "Llama", **LLAMA)
IDS = np.array([[0, 4, 2], [3, 1, 10]])


def config(name: str, **options: Any) -> Callable[[], Any]:
    """A configuration that cannot be."""
    known = {"GPT2Config": GPT2, "LlamaConfig": LLAMA}[name]
    return functools.partial(getattr(scratch.models, name), **{**known, **options})


WRONG: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "GPT2Config": [
        ("no tokens", {"vocab_size": 0}),
        ("no positions", {"n_positions": 0}),
        ("no features", {"n_embd": 0}),
        ("no layers", {"n_layer": 0}),
        ("no heads", {"n_head": 0}),
        ("heads that do not divide", {"n_head": 4}),
        ("nothing inside", {"n_inner": 0}),
        ("an activation", {"activation_function": "quick_gelu"}),
        ("a probability", {"resid_pdrop": 1.5}),
        ("another", {"embd_pdrop": -0.5}),
        ("a third", {"attn_pdrop": "much"}),
        ("an epsilon", {"layer_norm_epsilon": 0.0}),
        ("a start", {"initializer_range": float("inf")}),
        ("a switch", {"scale_attn_weights": "yes"}),
        ("cross attention", {"add_cross_attention": True}),
    ],
    "LlamaConfig": [
        ("no tokens", {"vocab_size": 0}),
        ("no layers", {"num_hidden_layers": 0}),
        ("heads that do not divide", {"num_attention_heads": 3}),
        ("groups that do not divide", {"num_key_value_heads": 3}),
        ("no groups", {"num_key_value_heads": 0}),
        ("odd heads", {"head_dim": 3}),
        ("an activation", {"hidden_act": "tanh"}),
        ("a probability", {"attention_dropout": 1.5}),
        ("an epsilon", {"rms_norm_eps": -1e-6}),
        ("a start", {"initializer_range": 0.0}),
        ("a switch", {"mlp_bias": 2}),
        ("padding", {"pad_token_id": 11}),
        ("a type of angles", {"rope_parameters": {"rope_type": "llama3", "factor": 8.0}}),
        ("an old one", {"rope_scaling": {"type": "dynamic", "factor": 2.0}}),
        ("no factor", {"rope_scaling": {"type": "linear"}}),
        ("a factor", {"rope_scaling": {"type": "linear", "factor": 0.0}}),
        ("a base", {"rope_theta": 0.0}),
        ("a word", {"rope_scaling": "linear"}),
    ],
}
REFUSALS = [
    Refusal(f"{name}: {what}", config(name, **options), name)
    for name, cases in WRONG.items()
    for what, options in cases
]


def forwards(name: str, model: Any) -> list[Refusal]:
    """Calls that both refuse."""
    cache = model.step(IDS)[1]
    half = model.padded(np.array([[0, 1, 1], [1, 1, 1]]))
    calls: list[tuple[str, Callable[[], Any]]] = [
        ("token too high", lambda: model(IDS + 1)),
        ("negative token", lambda: model(IDS - 1)),
        ("floating tokens", lambda: model(IDS.astype(np.float32))),
        ("a list", lambda: model(unchecked(IDS.tolist()))),
        ("one axis", lambda: model(IDS[0])),
        ("no tokens", lambda: model(IDS[:, :0])),
        ("shape of the mask", lambda: model(IDS, IDS[:, :2] > 0)),
        ("floating mask", lambda: model(IDS, np.ones(IDS.shape))),
        ("mask of numbers", lambda: model(IDS, IDS)),
        ("negative position", lambda: model(IDS, position_ids=IDS - 1)),
        ("shape of the positions", lambda: model(IDS, position_ids=IDS[0])),
        ("floating positions", lambda: model(IDS, position_ids=np.zeros(IDS.shape))),
        ("step: token too high", lambda: model.step(IDS + 1)),
        ("step: one axis", lambda: model.step(IDS[0])),
        ("step: no tokens", lambda: model.step(IDS[:, :0])),
        ("step: rows", lambda: model.step(IDS[:1, :1], cache)),
        ("step: rows of the mask", lambda: model.step(IDS[:1], half)),
        ("step: shorter than the mask", lambda: model.step(IDS[:, :2], half)),
        ("padded: on the right", lambda: model.padded(np.array([[1, 1, 0]]))),
        ("padded: one axis", lambda: model.padded(np.array([1, 1]))),
        ("padded: floating", lambda: model.padded(np.ones((2, 3)))),
    ]
    return [Refusal(f"{name}: {what}", call, name) for what, call in calls]


REFUSALS += [
    *forwards("GPT2", GPT2_MODEL),
    *forwards("Llama", LLAMA_MODEL),
    Refusal("GPT2: too long", lambda: GPT2_MODEL(np.zeros((1, 8), int)), "GPT2"),
    Refusal("GPT2: step: too long", lambda: GPT2_MODEL.step(np.zeros((1, 8), int)), "GPT2"),
    Refusal("GPT2: position too high", lambda: GPT2_MODEL(IDS, position_ids=IDS), "GPT2"),
    Refusal("GPT2: type too high", lambda: GPT2_MODEL(IDS, token_type_ids=IDS + 1), "GPT2"),
    Refusal("GPT2: shape of the types", lambda: GPT2_MODEL(IDS, token_type_ids=IDS[:, :2]), "GPT2"),
]
