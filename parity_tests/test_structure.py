"""Imports point one way, every public name has an entry, every file its neighbour."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import scratch
import torch_ref
from parity_tests.catalog import ENTRIES
from scratch.models.pretrained import Config
from scratch.nn import functional

SCRATCH = Path(scratch.__file__).parent
TORCH_REF = Path(torch_ref.__file__).parent
ROOT = SCRATCH.parent
ALLOWED = {
    "datasets": {"PIL", "numpy", "optuna", "sklearn", "pooch", "requests", "tqdm"},
    "scratch": {"numpy", "threadpoolctl"},
    "torch_ref": {"numpy", "torch", "safetensors"},
}


def imports(path: Path) -> set[str]:
    """Top-level packages that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names)


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_point_one_way(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        allowed = ALLOWED[package] | {package}
        if "training" in path.parts:
            allowed |= {"datasets", "safetensors"}
        assert imports(path) <= allowed, path


def test_scratch_imports_where_torch_is_absent() -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'sklearn', 'scipy', 'matplotlib'): sys.modules[name] = None\n"
        "import numpy as np, scratch, scratch.training.__main__\n"
        "y, back = scratch.nn.Linear(3, 2)(np.ones((4, 3), np.float32))\n"
        "assert back(np.ones_like(y)).shape == (4, 3)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def public(module: object) -> set[str]:
    """Names of functions and classes that a namespace exports from scratch."""
    return {
        name
        for name, item in vars(module).items()
        if not name.startswith("_")
        and callable(item)
        and getattr(item, "__module__", "").startswith("scratch.")
        and not (isinstance(item, type) and issubclass(item, Config))  # values, not computations
    }


# Machinery: tested in its own files, and nothing that torch computes with numbers.
MACHINERY = {"Module", "Parameter", "Trace", "trace", "Optimizer", "IncompatibleKeys"}
MACHINERY |= {"LinearCrossEntropyOptions", "SparseGradient"}
MACHINERY |= {"BertConfig", "ViTConfig"}


@pytest.mark.parametrize("where", ["nn.functional", "nn", "optim", "models"])
def test_every_public_name_has_an_entry(where: str) -> None:
    module = functional if where == "nn.functional" else getattr(scratch, where)
    names = public(module) - MACHINERY
    assert names
    assert not names - {entry.name for entry in ENTRIES}


def test_every_entry_names_its_source() -> None:
    assert not [entry.name for entry in ENTRIES if not entry.source.strip()]


@pytest.mark.parametrize("folder", ["models", "training"])
def test_every_file_has_its_neighbour(folder: str) -> None:
    ours = {path.name for path in (SCRATCH / folder).glob("*.py")}
    theirs = {path.name for path in (TORCH_REF / folder).glob("*.py")}
    assert ours <= theirs


def test_top_level_is_what_it_should_be() -> None:
    if not (ROOT / "pyproject.toml").exists():  # an installed copy, not a checkout
        return
    listing = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    top = {line.split("/")[0] for line in listing.stdout.splitlines()}
    expected = {"pyproject.toml", "README.md", "scratch", "torch_ref", "parity_tests", "datasets"}
    assert {name for name in top if not name.startswith(".")} == expected
