"""Checkpoint directories as Hugging Face's: config.json and model.safetensors.

from_pretrained   config.json -> config -> model; weights by name, all checked, then copied in
save_pretrained   both files, each written beside its target and renamed
names             those of the public class that `architecture` names. Files differ from it: they
                  hold a tied array once; some lack the base's prefix (gpt2's do); some hold masks
                  (attn.bias), which are no weights; in old ones gamma and beta are the weight and
                  bias of a norm. Large ones are in shards, with an index.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import DTypeLike

from scratch import check
from scratch.check import Array
from scratch.nn.module import Module
from scratch.random import Generator, Size, check_generator
from scratch.training.checkpoint import copy_weights, read_weights, write_beside, write_weights

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
OLD_NAMES = {"gamma": "weight", "beta": "bias"}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Base class of configurations: dataclasses with the public names of their fields."""

    model_type: ClassVar[str]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Those of the values that are fields; a config.json says more, which changes no number.

        Args:
            values: by name.

        Returns:
            The configuration.

        Raises:
            TypeError, ValueError: as the class itself.
        """
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})

    def to_dict(self) -> dict[str, Any]:
        """All fields, and the type of the model, as config.json has them."""
        return {"model_type": self.model_type, **asdict(self)}


class Pretrained(Module):
    """Base class of models that read and write public checkpoints.

    A subclass sets the class variables: its configuration's class; the public class that has its
    names; the attribute under which all but the heads stands, if there is one; names in files that
    are no weights, as a regular expression.
    """

    config_class: ClassVar[type[Config]]
    architecture: ClassVar[str]
    base_model_prefix: ClassVar[str]
    _ignored: ClassVar[str] = r"(?!)"  # nothing

    def __init__(
        self, config: Any, *, dtype: DTypeLike = np.float32, generator: Generator | None = None
    ) -> None:
        self.config = config

    def tied(self) -> dict[str, str]:
        """Names of arrays that are another one's: files hold the other one only."""
        return {}

    @classmethod
    def from_pretrained(
        cls,
        directory: str | Path,
        *,
        config: Config | None = None,
        strict: bool = True,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> Self:
        """A model with the configuration and the weights of a checkpoint, in evaluation mode.

        Args:
            directory: with config.json and model.safetensors, or its shards and their index.
            config: in place of the file's, whose type must be the same; of another number of
                classes, say.
            strict: whether the file must have the heads of this class and no others; if not, those
                it lacks keep their start, and others are left out. The base must always be there.
            dtype: float32 or float64. Narrower weights are widened.
            generator: where the start of missing heads and the dropout masks come from; None draws
                a fresh one.

        Returns:
            The model.

        Raises:
            OSError: if a file is not there or cannot be read.
            TypeError, ValueError: if the configuration is of another type of model or out of range,
                or names, shapes or types do not fit.
        """
        name = f"{cls.__name__}.from_pretrained"
        check_generator(name, generator)
        source = generator or Generator()
        found = cls.config_class.from_dict(read_config(name, directory, cls.config_class))
        model = cls(config or found, dtype=dtype, generator=Undrawn() if strict else source)
        arrays = model._renamed(read_arrays(name, directory), strict)
        copy_weights(name, model, arrays, str(directory))
        for module in model.modules():
            if isinstance(getattr(module, "generator", None), Undrawn):
                vars(module)["generator"] = source
        return model.eval()

    def save_pretrained(self, directory: str | Path) -> Path:
        """Write config.json and model.safetensors, which the public class reads too.

        Args:
            directory: is made if it is not there; files in it are replaced.

        Returns:
            The directory.

        Raises:
            OSError: if a file cannot be written; what was there is left as it was.
        """
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        kept = {n: a for n, a in self.state_dict().items() if n not in self.tied()}
        write_weights("save_pretrained", kept, directory / WEIGHTS, {"format": "pt"})
        content = {"architectures": [self.architecture], **self.config.to_dict()}
        write_beside(directory / CONFIG, (json.dumps(content, indent=2) + "\n").encode())
        return directory

    def _renamed(self, arrays: Mapping[str, Array], strict: bool) -> dict[str, Array]:
        """The file's arrays under the model's names; with the model's own heads, if not strict."""
        held = self.state_dict()
        base = self.base_model_prefix and f"{self.base_model_prefix}."
        bare = not any(name.startswith(base) for name in arrays)
        found: dict[str, Array] = {}
        for name, array in arrays.items():
            if re.search(self._ignored, name):
                continue
            stem, dot, last = name.rpartition(".")
            if name not in held and last in OLD_NAMES:
                name = stem + dot + OLD_NAMES[last]
            found[base + name if bare and base + name in held else name] = array
        for name, source in self.tied().items():
            for there, absent in ((source, name), (name, source)):
                if there in found and absent in held:
                    found.setdefault(absent, found[there])
        if not strict:
            found = {n: a for n, a in found.items() if n in held or n.startswith(base)}
            found = {n: a for n, a in held.items() if not n.startswith(base)} | found
        return found


class Undrawn(Generator):
    """Zeros, for a start that is overwritten: a hundred million normal numbers take their time."""

    def uniform(self, low: float, high: float, size: Size, dtype: DTypeLike = np.float32) -> Array:
        """As many zeros."""
        return np.zeros(size, dtype)

    def normal(
        self,
        mean: float,
        std: float,
        size: Size,
        dtype: DTypeLike = np.float32,
        *,
        contiguous: bool = True,
    ) -> Array:
        """As many zeros."""
        return np.zeros(size, dtype)


def read_config(function: str, directory: str | Path, kind: type[Config]) -> dict[str, Any]:
    """What config.json says, if it is of that kind of model."""
    path = Path(directory) / CONFIG
    values = read_json(function, path)
    found = values.get("model_type") if isinstance(values, dict) else None
    if found != kind.model_type:
        check.refuse(function, f"{path} of a {kind.model_type!r} model", repr(found))
    return dict(values)


def read_arrays(function: str, directory: str | Path) -> dict[str, Array]:
    """All arrays of model.safetensors, or of the shards that its index names."""
    directory = Path(directory)
    path, index = directory / WEIGHTS, directory / INDEX
    if path.exists():
        return read_weights(path)[0]
    if not index.exists():
        names = sorted(os.listdir(directory))
        raise FileNotFoundError(
            f"{function}: expected {WEIGHTS} or {INDEX} in {directory}, got {names}; "
            f"`parity convert` makes the one of a pytorch_model.bin"
        )
    arrays: dict[str, Array] = {}
    for shard in read_index(function, index):
        arrays |= read_weights(directory / shard)[0]
    return arrays


def read_index(function: str, index: Path) -> list[str]:
    """The names of the shards, which are files beside it."""
    values = read_json(function, index)
    names = values.get("weight_map") if isinstance(values, dict) else None
    if not isinstance(names, dict):
        check.refuse(function, f"{index} to have a weight_map", check.describe(values))
    for shard in names.values():
        if not isinstance(shard, str) or Path(shard).name != shard:
            check.refuse(function, f"{index} to name files beside it", repr(shard))
    return sorted(set(names.values()))


def read_json(function: str, path: Path) -> Any:
    """What a file says."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{function}: expected {path} to be JSON, got {error}") from error
