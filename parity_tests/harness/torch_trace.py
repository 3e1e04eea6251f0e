"""Tracing the torch side: the record that `scratch.nn.trace` makes, from torch's own hooks.

Names and order are those of the scratch side, if the input of the traced module requires a
gradient: otherwise torch runs the backward hook of a module as soon as the gradient of its output
is known, the root's before all others.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from parity_tests.harness import twin
from scratch.nn import Trace


def _arrays(value: Any) -> Any:
    """Copies as arrays, nested as the tensors are; a single gradient comes bare."""
    if isinstance(value, tuple | list):
        return tuple(_arrays(part) for part in value)
    return None if value is None else twin.numpy(value).copy()


def _record_output(
    record: Trace, name: str, module: torch.nn.Module, args: Any, output: Any
) -> None:
    record.outputs.append((name, _arrays(output)))


def _record_gradient(
    record: Trace, name: str, module: torch.nn.Module, dinputs: Any, doutput: Any
) -> None:
    gradients = _arrays(doutput)
    record.gradients.append((name, gradients[0] if len(gradients) == 1 else gradients))


@contextmanager
def trace(module: torch.nn.Module) -> Iterator[Trace]:
    """Record every forward that runs inside the block and every backward of those forwards.

    Args:
        module: the torch module to watch, with all below it.

    Yields:
        The `Trace`, filled with arrays as the block runs.
    """
    record = Trace()
    handles = []
    for name, part in module.named_modules():
        handles.append(part.register_forward_hook(partial(_record_output, record, name)))
        handles.append(part.register_full_backward_hook(partial(_record_gradient, record, name)))
    try:
        yield record
    finally:
        for handle in handles:
            handle.remove()
