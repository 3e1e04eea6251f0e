"""Tracing: what every named module returned, and the gradient that reached it.

The names and the order are those that `torch.nn.Module.register_forward_hook` and
`register_full_backward_hook` give on the twin, so that two traces can be laid side by side and the
first tensor that differs has a name.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from scratch.nn.module import Module


@dataclass
class Trace:
    """What a traced run recorded.

    Attributes:
        outputs: (dotted name, output) of each module call, in order of completion; the root's name
            is ''.
        gradients: (dotted name, gradient of the output) of each backward, in order of completion.
    """

    outputs: list[tuple[str, Any]] = field(default_factory=list)
    gradients: list[tuple[str, Any]] = field(default_factory=list)

    def _record_output(self, name: str, module: Module, args: Any, output: Any) -> None:
        self.outputs.append((name, output))

    def _record_gradient(self, name: str, module: Module, dinputs: Any, doutput: Any) -> None:
        self.gradients.append((name, doutput[0] if len(doutput) == 1 else doutput))


@contextmanager
def trace(module: Module) -> Iterator[Trace]:
    """Record every forward that runs inside the block and every backward of those forwards.

    Args:
        module: the module to watch, with all below it.

    Yields:
        The `Trace`, filled as the block runs; backwards are recorded inside the block only.
    """
    record = Trace()
    removers = []
    for name, part in module.named_modules():
        removers.append(part.register_forward_hook(partial(record._record_output, name)))
        removers.append(part.register_full_backward_hook(partial(record._record_gradient, name)))
    try:
        yield record
    finally:
        for remove in removers:
            remove()
