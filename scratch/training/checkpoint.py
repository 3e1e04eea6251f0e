"""Weights in safetensors files, which hold arrays by name and nothing that could run.

    save_weights   state_dict -> a file beside the target -> fsync -> renamed to the target
    read_weights   file -> arrays by name, float16 and bfloat16 widened to float32
    load_weights   read_weights -> every name, shape and type checked -> copied in

The names are torch's: a file that the twin in `torch_ref.training` wrote loads here and the other
way round. A number may be widened on its way in, exactly, and is never narrowed: float32 weights
load into a float64 model, float64 weights are refused by a float32 one. As in torch, a file from
before batch norm counted its batches may lack `num_batches_tracked`, which then stays as it is.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scratch import check
from scratch.check import Array
from scratch.nn.module import Module

DTYPES = {
    **{"F64": "<f8", "F32": "<f4", "F16": "<f2", "BOOL": "?"},
    **{"I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1"},
    **{"U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1"},
}


def save_weights(
    module: Module, path: str | Path, metadata: Mapping[str, str] | None = None
) -> Path:
    """Write the parameters and persistent buffers of a module.

    Args:
        module: whose `state_dict` is written; tied weights under each of their names.
        path: of the file; one that is there is replaced when the new one is whole.
        metadata: text to keep with them.

    Returns:
        The path.

    Raises:
        TypeError: if `module` is none, or the metadata are not text.
        OSError: if the file cannot be written; what was there is left as it was.
        ModuleNotFoundError: if safetensors is absent.
    """
    if not isinstance(module, Module):
        check.refuse("save_weights", "module to be a Module", check.describe(module), TypeError)
    kept = _text("save_weights", metadata)
    return write_weights("save_weights", module.state_dict(), path, kept)


def write_weights(
    function: str, arrays: Mapping[str, Array], path: str | Path, metadata: Mapping[str, str]
) -> Path:
    """As `save_weights`, of arrays by name."""
    return write_beside(Path(path), serialize(function, arrays, metadata))


def serialize(
    function: str, arrays: Mapping[str, Array], metadata: Mapping[str, str] | None = None
) -> bytes:
    """Arrays by name as the content of a safetensors file."""
    content: bytes = _safetensors(function).numpy.save(dict(arrays), dict(metadata or {}) or None)
    return content


def read_weights(path: str | Path) -> tuple[dict[str, Array], dict[str, str]]:
    """Read the arrays of a file.

    Args:
        path: of a safetensors file.

    Returns:
        Arrays by name, float16 and bfloat16 as float32; the metadata, empty if there are none.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is no safetensors file, is cut short, or holds a type that NumPy lacks.
        ModuleNotFoundError: if safetensors is absent.
    """
    _safetensors("read_weights")
    content = Path(path).read_bytes()
    arrays = parse("read_weights", content, str(path))
    end = 8 + int.from_bytes(content[:8], "little")
    metadata: dict[str, str] = json.loads(content[8:end]).get("__metadata__", {})
    return arrays, metadata


def parse(function: str, content: bytes, source: str) -> dict[str, Array]:
    """Arrays by name from the content of a safetensors file; errors name function and source."""
    library = _safetensors(function)
    try:
        entries = library.deserialize(content)
    except library.SafetensorError as error:
        raise ValueError(
            f"{function}: expected {source} to be a whole safetensors file, got {error}"
        ) from error
    return {name: _array(source, name, **entry) for name, entry in entries}


def load_weights(module: Module, path: str | Path) -> dict[str, str]:
    """Copy the arrays of a file into a module, once everything is checked.

    Args:
        module: into whose parameters and persistent buffers they go.
        path: of a safetensors file with torch's names.

    Returns:
        The file's metadata.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is no safetensors file, or naming every type that is wrong, or else every
            missing or unexpected key and every wrong shape; the module is as it was.
        TypeError: if `module` is none.
        ModuleNotFoundError: if safetensors is absent.
    """
    if not isinstance(module, Module):
        check.refuse("load_weights", "module to be a Module", check.describe(module), TypeError)
    arrays, metadata = read_weights(path)
    copy_weights("load_weights", module, arrays, str(path))
    return metadata


def copy_weights(function: str, module: Module, arrays: Mapping[str, Array], source: str) -> None:
    """As `load_weights`, of arrays by name; errors name `function` and `source`."""
    held = module.state_dict()
    problems = [
        f"{name} of dtype {arrays[name].dtype} for {held[name].dtype}"
        for name in held
        if name in arrays and not _widens(arrays[name].dtype, held[name].dtype)
    ]
    if problems:
        expected = f"{source} to hold no type wider than the module's"
        check.refuse(function, expected, "; ".join(problems))
    counters = {n: a for n, a in held.items() if n.split(".")[-1] == "num_batches_tracked"}
    module.load_state_dict({**counters, **arrays})


def _widens(dtype: np.dtype[Any], held: np.dtype[Any]) -> bool:
    return dtype.kind == held.kind and np.can_cast(dtype, held, "safe")


def _array(path: str | Path, name: str, dtype: str, shape: list[int], data: bytearray) -> Array:
    if dtype == "BF16":  # the upper half of a float32
        upper = np.frombuffer(data, "<u2").astype(np.uint32)
        return (upper << 16).view(np.float32).reshape(shape)
    if dtype not in DTYPES:
        check.refuse("read_weights", f"{name} in {path} to be of a type NumPy has", dtype)
    array = np.frombuffer(data, DTYPES[dtype]).reshape(shape)
    if dtype == "F16":
        return array.astype(np.float32)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _text(function: str, metadata: Mapping[str, str] | None) -> dict[str, str]:
    kept = dict(metadata or {})
    if not all(isinstance(item, str) for pair in kept.items() for item in pair):
        expected = "metadata to be text by names"
        check.refuse(function, expected, check.describe(kept), TypeError)
    return kept


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


def _safetensors(function: str) -> Any:
    """The library, or one sentence that says how to get it."""
    try:
        import safetensors.numpy
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("safetensors"):
            raise  # it is there, and what it misses is another matter
        raise ModuleNotFoundError(
            f"{function}: needs safetensors: pip install safetensors", name="safetensors"
        ) from None
    return safetensors
