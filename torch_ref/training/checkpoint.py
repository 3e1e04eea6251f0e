"""Weights in safetensors files, which hold tensors by name and nothing that could run.

    save_weights   state_dict -> a file beside the target -> fsync -> renamed to the target
    read_weights   file -> tensors by name, in the types that the file has
    load_weights   read_weights -> every name, shape and type checked -> copied in

What `load_state_dict` of torch would do on top is not done: it copies what fits before it says what
does not, and it narrows float64 to float32 without a word.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

COUNTER = "num_batches_tracked"


def save_weights(
    module: nn.Module, path: str | Path, metadata: Mapping[str, str] | None = None
) -> Path:
    """Write the parameters and persistent buffers of a module.

    Args:
        module: whose `state_dict` is written; tied weights under each of their names.
        path: of the file; one that is there is replaced when the new one is whole.
        metadata: text to keep with them.

    Returns:
        The path.

    Raises:
        OSError: if the file cannot be written; what was there is left as it was.
    """
    return write_tensors(module.state_dict(), path, metadata)


def write_tensors(
    tensors: Mapping[str, Tensor], path: str | Path, metadata: Mapping[str, str] | None = None
) -> Path:
    """As `save_weights`, of tensors by name; those that share memory are written in full each."""
    return write_beside(Path(path), serialize(tensors, metadata))


def serialize(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """Tensors by name as the content of a safetensors file, as `write_tensors` has it."""
    from safetensors.torch import save

    whole = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    return save(whole, dict(metadata) if metadata else None)


def parse(function: str, content: bytes, source: str) -> dict[str, Tensor]:
    """Tensors by name from the content of a safetensors file; errors name function and source."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(content)
    except SafetensorError as error:
        raise ValueError(
            f"{function}: expected {source} to be a whole safetensors file, got {error}"
        ) from error


def write_beside(path: Path, content: bytes) -> Path:
    """All of it or nothing, even where the power fails."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return path


def read_weights(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors of a file.

    Args:
        path: of a safetensors file.

    Returns:
        Tensors by name, on the CPU; the metadata, empty if there are none.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is no safetensors file or is cut short.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, dict(file.metadata() or {})
    except SafetensorError as error:
        raise ValueError(
            f"read_weights: expected {path} to be a whole safetensors file, got {error}"
        ) from error


def load_weights(module: nn.Module, path: str | Path) -> dict[str, str]:
    """Copy the tensors of a file into a module, once everything is checked.

    Args:
        module: into whose parameters and persistent buffers they go.
        path: of a safetensors file.

    Returns:
        The file's metadata.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is no safetensors file, or naming every missing or unexpected key and
            every wrong shape and type; the module is as it was.
    """
    tensors, metadata = read_weights(path)
    copy_weights("load_weights", module, tensors, str(path))
    return metadata


def copy_weights(
    function: str, module: nn.Module, tensors: Mapping[str, Tensor], source: str
) -> None:
    """As `load_weights`, of tensors by name; errors name `function` and `source`."""
    check_weights(function, module, tensors, source)
    module.load_state_dict({**module.state_dict(), **tensors})


def check_weights(
    function: str, module: nn.Module, tensors: Mapping[str, Tensor], source: str
) -> None:
    """What `copy_weights` refuses."""
    held = module.state_dict()
    missing = [n for n in held if n not in tensors and n.split(".")[-1] != COUNTER]
    unexpected = [n for n in tensors if n not in held]
    problems = [f"missing {', '.join(missing)}"] if missing else []
    problems += [f"unexpected {', '.join(unexpected)}"] if unexpected else []
    for name, new in tensors.items():
        old = held.get(name, new)
        if new.shape != old.shape:
            problems.append(f"{name} of shape {tuple(new.shape)} for {tuple(old.shape)}")
        if not _widens(new.dtype, old.dtype):
            problems.append(f"{name} of dtype {new.dtype} for {old.dtype}")
    if problems:
        raise ValueError(
            f"{function}: expected {source} to hold the keys and shapes of the module and no type "
            f"wider than its own, got {'; '.join(problems)}"
        )


def _widens(dtype: torch.dtype, held: torch.dtype) -> bool:
    """Whether every value of the one is exact in the other, of the same kind."""
    alike = dtype.is_floating_point == held.is_floating_point
    return alike and torch.promote_types(dtype, held) == held
