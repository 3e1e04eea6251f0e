"""From a .pth file, which torch.save pickled, to a safetensors file of the same tensors.

Unpickling runs what a file asks for. `weights_only` lets it ask for tensors and plain containers;
whatever else it asks for is refused before it runs.
"""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from torch_ref.training.checkpoint import write_tensors

WRAPPERS = ("state_dict", "model")


def convert(source: str | Path, target: str | Path, *, force: bool = False) -> Path:
    """Write the tensors of a .pth file as safetensors, under the names that they have.

    Args:
        source: a state_dict that torch.save wrote, by itself or under the key 'state_dict' or
            'model' of a dict.
        target: where to; tensors that share memory are written in full each.
        force: whether to replace a file that is there.

    Returns:
        The target's path.

    Raises:
        FileExistsError: if the target is there and `force` is not given.
        OSError: if a file cannot be read or written.
        ValueError: if the source asks for anything but tensors, or is no state_dict.
    """
    source, target = Path(source), Path(target)
    if target.exists() and target.samefile(source):
        raise ValueError(f"convert: expected a target other than the source, got {target} twice")
    if target.exists() and not force:
        raise FileExistsError(f"convert: {target} is there already; --force replaces it")
    return write_tensors(read_pth(source), target, {"converted_from": source.name})


def read_pth(path: str | Path) -> dict[str, Tensor]:
    """The state_dict in a .pth file.

    Args:
        path: of the file.

    Returns:
        Tensors by name, on the CPU.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it asks for anything but tensors, or holds no state_dict.
    """
    with Path(path).open("rb") as file:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of pickles that torch.save did not write
                held = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # what a damaged or hostile pickle raises has no end of kinds
            asked = re.search(r"GLOBAL (\S+)", str(error))
            got = f"one that asks for {asked[1]}" if asked else "one that torch cannot read"
            raise ValueError(
                f"convert: expected {path} to hold tensors that torch.save wrote and nothing else, "
                f"got {got}"
            ) from error
    wrapped = [key for key in WRAPPERS if isinstance(held, Mapping) and key in held]
    state = held[wrapped[0]] if wrapped and isinstance(held[wrapped[0]], Mapping) else held
    if not isinstance(state, Mapping) or not state:
        raise ValueError(
            f"convert: expected {path} to hold a state_dict, by itself or under "
            f"{' or '.join(map(repr, WRAPPERS))}, got {_kind(state)}"
        )
    for name, tensor in state.items():
        plain = isinstance(tensor, Tensor) and tensor.layout is torch.strided
        if not isinstance(name, str) or not plain or tensor.is_quantized or tensor.is_complex():
            raise ValueError(
                f"convert: expected {path} to hold plain tensors by name, got {_kind(tensor)} "
                f"under {name!r}"
            )
    return dict(state)


def _kind(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a {value.layout} tensor of {value.dtype}"
    return f"an empty {type(value).__name__}" if value == {} else f"a {type(value).__name__}"
