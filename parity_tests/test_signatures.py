"""Argument names, order and defaults are torch's: only device and dtype are left out."""

import inspect
from typing import Any

import pytest
import torch

import scratch
from parity_tests.catalog import ENTRIES
from parity_tests.harness.entry import Entry
from scratch.nn import functional

# Arguments that choose among torch's implementations of the same mathematics, or belong to tensors.
ENGINE = {"device", "dtype", "_stacklevel", "foreach", "fused", "capturable", "differentiable"}
ENGINE |= {"requires_grad", "_weight", "_freeze"}

# Classes that are built of modules.
HOLDERS = ("Sequential", "ModuleList", "ModuleDict", "TransformerEncoder", "TransformerDecoder")


def parameters(function: Any) -> list[tuple[str, Any]]:
    """Names and defaults of everything that can be given by position, or by keyword in torch."""
    found = inspect.signature(function).parameters.values()
    kept = [p for p in found if p.name not in ENGINE]
    # A function by its name: each side has its own.
    return [(p.name, getattr(p.default, "__name__", p.default)) for p in kept]


def twins() -> list[tuple[str, Any, Any]]:
    pairs = []
    for ours, theirs in (
        (functional, torch.nn.functional),
        (scratch.nn, torch.nn),
        (scratch.nn.init, torch.nn.init),
        (scratch.optim, torch.optim),
        (scratch.optim.lr_scheduler, torch.optim.lr_scheduler),
        (scratch.optim.swa_utils, torch.optim.swa_utils),
        (scratch.nn.utils, torch.nn.utils),
        (scratch.nn.utils.parametrize, torch.nn.utils.parametrize),
        (scratch.nn.utils.parametrizations, torch.nn.utils.parametrizations),
    ):
        for name, item in vars(ours).items():
            other = getattr(theirs, name, None) or getattr(torch, name, None)
            # torch's Parameter() is an empty tensor; ours wants data.
            if callable(item) and other is not None and name != "Parameter":
                try:
                    inspect.signature(other)
                except ValueError:  # written in C++: no signature to read
                    continue
                pairs.append((f"{ours.__name__}.{name}", item, other))
    return pairs


@pytest.mark.parametrize(("name", "ours", "theirs"), twins(), ids=[n for n, _, _ in twins()])
def test_signature_is_torchs(name: str, ours: Any, theirs: Any) -> None:
    mine, reference = parameters(ours), parameters(theirs)
    extra = {
        p.name
        for p in inspect.signature(ours).parameters.values()
        if p.kind is inspect.Parameter.KEYWORD_ONLY
    }
    kept = [pair for pair in mine if pair in reference or pair[0] not in extra]
    if any(
        p.kind is inspect.Parameter.VAR_POSITIONAL
        for p in inspect.signature(theirs).parameters.values()
    ):
        return  # *args: nothing to compare
    assert kept == reference


def test_catalog_covers_both_sides() -> None:
    """The torch side of an entry is torch's own class where torch has one."""

    def mistaken(entry: Entry) -> bool:
        own = getattr(torch.nn, entry.name, None) or getattr(torch.optim, entry.name, None)
        holds_modules = entry.name in HOLDERS
        own = None if holds_modules else own  # their entries build a network with each side's own
        return inspect.isclass(own) and entry.kind != "op" and entry.torch is not own

    assert not [entry.name for entry in ENTRIES if mistaken(entry)]
