"""Checkpoints of a run: folders that are whole or not there.

    folder/step-00000200/state.json          everything but arrays, and what belongs to it
    folder/step-00000200/<name>.safetensors  arrays by name
    write    into a hidden folder beside -> fsync -> renamed -> those beyond `keep` removed
    read     format, sizes and sha256 of all files first; nothing in them can run

A process that is killed at any moment leaves at worst hidden folders, which `clean` removes.
"""

import hashlib
import json
import math
import os
import re
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from datasets import check

FORMAT, VERSION = "parity checkpoint", 1
STATE = "state.json"
ENTRIES = frozenset(
    {"step", "settings", "sampler", "param_groups", "schedule", "scaler", "generator"}
    | {"cuda_generator", "early_stopping", "files"}
)


class Checkpoint(NamedTuple):
    """What stands in one.

    Attributes:
        path: its folder.
        state: the entries of its state.json.
        files: contents by name, without the suffix .safetensors.
    """

    path: Path
    state: dict[str, Any]
    files: dict[str, bytes]


def write(
    folder: Path, step: int, files: Mapping[str, bytes], state: Mapping[str, Any], keep: int
) -> Path:
    """Write a checkpoint, and remove the oldest beyond `keep`.

    Args:
        folder: of the run's checkpoints; it is made if need be.
        step: how many steps were taken.
        files: contents of safetensors files by name.
        state: what JSON can hold; "format", "version", "step", "files" and "sha256" are added.
        keep: how many checkpoints stay, at least this one.

    Returns:
        The checkpoint's path. One of that step that is there stays as it is.

    Raises:
        OSError: if it cannot be written; the earlier ones are as they were.
    """
    path = path_of(folder, step)
    if path.exists():
        return path
    contents = {f"{name}.safetensors": content for name, content in files.items()}
    sums = {name: {"bytes": len(c), "sha256": _sum(c)} for name, c in contents.items()}
    whole = {"format": FORMAT, "version": VERSION, "step": step, **state, "files": sums}
    text = json.dumps({**whole, "sha256": _state_sum(whole)}, indent=1, sort_keys=True)
    contents[STATE] = text.encode()
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f".{path.name}.{os.getpid()}.new"
    try:
        beside.mkdir()
        for name, content in contents.items():
            with (beside / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        _sync(beside)
        beside.rename(path)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    _sync(folder)
    for old in _all(folder)[: -max(keep, 1)]:
        hidden = folder / f".{old.name}.old"
        old.rename(hidden)  # in one go: what is half removed is no checkpoint
        shutil.rmtree(hidden)
    return path


def path_of(folder: Path, step: int) -> Path:
    """Where the checkpoint after `step` steps is, or would be."""
    return folder / f"step-{step:08d}"


def latest(folder: Path) -> Path | None:
    """The checkpoint of the most steps, or None."""
    return next(reversed(_all(folder)), None)


def clean(folder: Path) -> None:
    """Remove what a killed process left unfinished; no other process may be writing there."""
    for path in folder.glob(".step-*"):
        shutil.rmtree(path)


def read(path: Path) -> Checkpoint:
    """Read a checkpoint and check that it is whole.

    Args:
        path: its folder.

    Returns:
        The checkpoint.

    Raises:
        OSError: if a file cannot be read.
        ValueError: if it is none of this format, or a file is absent, cut short or changed.
    """
    expected = f"{path} to be a whole checkpoint"
    text = _content(path, STATE, expected)
    try:
        state = json.loads(text)
    except ValueError as error:
        check.refuse("checkpoints.read", expected, f"{STATE} that is no JSON: {error}")
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        check.refuse("checkpoints.read", expected, f"{STATE} of another format")
    if state.get("version") != VERSION:
        check.refuse("checkpoints.read", f"{expected} of version {VERSION}", state.get("version"))
    found = state.pop("sha256", None)
    if found != _state_sum(state):
        check.refuse(
            "checkpoints.read", expected, f"{STATE} that was changed: its sha256 is not {found}"
        )
    if lacking := sorted(ENTRIES - state.keys()):
        check.refuse("checkpoints.read", expected, f"{STATE} without {', '.join(lacking)}")
    files = {}
    for name, kept in state["files"].items():
        if not re.fullmatch(r"\w+\.safetensors", name):
            check.refuse("checkpoints.read", expected, f"a file {name!r} in {STATE}")
        content = _content(path, name, expected)
        if len(content) != kept["bytes"]:
            check.refuse(
                "checkpoints.read", expected, f"{name} of {len(content)} bytes for {kept['bytes']}"
            )
        if _sum(content) != kept["sha256"]:
            check.refuse(
                "checkpoints.read", expected, f"{name} with another sha256 than {kept['sha256']}"
            )
        files[name.removesuffix(".safetensors")] = content
    return Checkpoint(path, state, files)


def like(held: Any, saved: Any) -> Any:
    """`saved`, which JSON gave back, in the containers that `held` is made of.

    Args:
        held: a value of the same meaning.
        saved: its successor, read from JSON.

    Returns:
        The same with tuples, Counters, and infinities for null, where `held` has them.
    """
    if isinstance(held, Counter):
        return Counter({int(key): count for key, count in saved.items()})
    if isinstance(held, Mapping):
        return {key: like(held.get(key), value) for key, value in saved.items()}
    if isinstance(held, list) and isinstance(saved, list) and len(held) == len(saved):
        return [like(*pair) for pair in zip(held, saved, strict=True)]
    if isinstance(held, tuple):
        return tuple(saved)
    if saved is None and isinstance(held, float) and math.isinf(held):
        return held
    return saved


def _content(path: Path, name: str, expected: str) -> bytes:
    try:
        return (path / name).read_bytes()
    except FileNotFoundError:
        check.refuse("checkpoints.read", expected, f"one without {name}")


def _all(folder: Path) -> list[Path]:
    found = [p for p in folder.glob("step-*") if re.fullmatch(r"step-\d{8,}", p.name)]
    return sorted(found, key=lambda path: int(path.name.removeprefix("step-")))


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _state_sum(state: Mapping[str, Any]) -> str:
    """Of everything but itself, however it is laid out."""
    return _sum(json.dumps(json.loads(json.dumps(state)), sort_keys=True).encode())


def _sync(folder: Path) -> None:
    """The names in a folder, to the disk."""
    if os.name == "nt":  # which has no handle for that
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
