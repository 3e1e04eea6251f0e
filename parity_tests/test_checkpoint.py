"""Files of weights: both packages write and read the same, and refuse before anything changes."""

import io
import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

import scratch
import scratch.models
import torch_ref.models
from parity_tests.harness import twin
from parity_tests.harness.entry import unchecked
from scratch import nn
from scratch.training import load_weights, read_weights, save_weights
from torch_ref import training as torch_training
from torch_ref.training.convert import convert, read_pth

Array = NDArray[Any]
MLPs = tuple[nn.Module, torch.nn.Module]


def mlps(seed: int = 0, dtype: torch.dtype = torch.float32) -> MLPs:
    """Twins with weights of their own each."""
    torch.manual_seed(seed)
    theirs = torch_ref.models.MLP([4, 3, 2]).to(dtype)
    ours = scratch.models.MLP([4, 3, 2], generator=scratch.random.Generator(seed + 1))
    return ours.to(np.float64 if dtype is torch.float64 else np.float32), theirs


def values(module: nn.Module | torch.nn.Module) -> dict[str, Array]:
    if isinstance(module, nn.Module):
        return module.state_dict()
    return {name: tensor.numpy().copy() for name, tensor in module.state_dict().items()}


def same(a: Mapping[str, Array], b: Mapping[str, Array]) -> bool:
    return list(a) == list(b) and all(
        a[name].dtype == b[name].dtype and np.array_equal(a[name], b[name]) for name in a
    )


def load(module: Any, path: Path) -> dict[str, str]:
    """By the package that the module is of."""
    if isinstance(module, nn.Module):
        return load_weights(module, path)
    return torch_training.load_weights(module, path)


def save(module: Any, path: Path, metadata: dict[str, str] | None = None) -> Path:
    if isinstance(module, nn.Module):
        return save_weights(module, path, metadata)
    return torch_training.save_weights(module, path, metadata)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("writer", "reader"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_there_and_back(writer: int, reader: int, dtype: torch.dtype, tmp_path: Path) -> None:
    source, target = mlps(0, dtype)[writer], mlps(5, dtype)[reader]
    assert not same(values(source), values(target))
    path = tmp_path / "w.safetensors"
    assert save(source, path, {"steps": "3", "note": "é"}) == path
    assert load(target, path) == {"steps": "3", "note": "é"}
    assert same(values(source), values(target))
    assert save(source, path) == path and load(target, path) == {}
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]


def test_buffers_counters_and_empty_arrays(tmp_path: Path) -> None:
    class Odd(nn.Module):
        count: Array

        def __init__(self) -> None:
            self.weight = nn.Parameter(np.arange(3, dtype=np.float32))
            self.register_buffer("count", np.array(4))
            self.register_buffer("none", np.zeros((0, 2), np.float32))
            self.register_buffer("flags", np.array([True, False]))
            self.register_buffer("passing", np.ones(2), persistent=False)

    source, target = Odd(), Odd()
    save_weights(source, tmp_path / "w")
    target.weight.data[:], target.count[...] = 0, 0
    load_weights(target, tmp_path / "w")
    assert same(source.state_dict(), target.state_dict()) and target.count == 4
    assert set(load_file(tmp_path / "w")) == {"weight", "count", "none", "flags"}


def test_tied_weights_are_under_both_names(tmp_path: Path) -> None:
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = first.weight
    ours = nn.Sequential(first, second)
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3))
    theirs[1].weight = theirs[0].weight
    for module in (ours, theirs):
        path = save(module, tmp_path / type(module).__module__)
        stored = load_file(path)
        assert torch.equal(stored["0.weight"], stored["1.weight"]) and len(stored) == 4
        load(ours, path)
        load(theirs, path)
        assert first.weight is second.weight and theirs[0].weight is theirs[1].weight
    assert same(values(ours), values(theirs))


# Types


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("held", [torch.float32, torch.float64])
def test_numbers_are_widened_and_never_narrowed(
    dtype: torch.dtype, held: torch.dtype, side: int, tmp_path: Path
) -> None:
    path = tmp_path / "w"
    stored = {name: t.to(dtype) for name, t in mlps(3, torch.float64)[1].state_dict().items()}
    stored["layers.0.bias"] = torch.tensor([float("inf"), -0.0, 1e-40], dtype=dtype)
    save_file(stored, path)
    module = mlps(0, held)[side]
    before = values(module)
    if dtype is torch.float64 and held is torch.float32:
        with pytest.raises(ValueError, match=r"^load_weights: expected .*float64 for .*float32"):
            load(module, path)
        assert same(values(module), before)
        return
    load(module, path)
    after = values(module)
    assert same(after, {name: stored[name].to(held).numpy() for name in after})
    assert np.signbit(after["layers.0.bias"][1])


def test_every_type_that_numpy_has(tmp_path: Path) -> None:
    stored = {
        str(t): torch.tensor([1, 0, 100]).to(t)
        for t in (
            *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.bool),
            *(torch.int64, torch.int32, torch.int16, torch.int8),
            *(torch.uint64, torch.uint32, torch.uint16, torch.uint8),
        )
    }
    save_file(stored, tmp_path / "w", {"a": "b"})
    arrays, metadata = read_weights(tmp_path / "w")
    assert metadata == {"a": "b"} and set(arrays) == set(stored)
    for name, tensor in stored.items():
        short = tensor.dtype in (torch.float16, torch.bfloat16)
        expected = tensor.float().numpy() if short else tensor.numpy()
        assert arrays[name].dtype == expected.dtype and np.array_equal(arrays[name], expected)


def test_all_of_bfloat16(tmp_path: Path) -> None:
    stored = torch.arange(-(2**15), 2**15, dtype=torch.int16).view(torch.bfloat16)
    save_file({"w": stored}, tmp_path / "w")
    found = read_weights(tmp_path / "w")[0]["w"]
    assert np.array_equal(found.view(np.int32), stored.float().view(torch.int32).numpy())


def test_a_type_without_numpy_is_refused(tmp_path: Path) -> None:
    save_file({"w": torch.ones(2).to(torch.float8_e4m3fn)}, tmp_path / "w")
    with pytest.raises(ValueError, match=r"^read_weights: expected w in .*, got F8_E4M3$"):
        read_weights(tmp_path / "w")


def test_integers_are_no_weights(tmp_path: Path) -> None:
    for module in mlps():
        path = tmp_path / "w"
        save_file({n: torch.zeros(a.shape).int() for n, a in values(module).items()}, path)
        before = values(module)
        with pytest.raises(ValueError, match=r"^load_weights: expected .*int32 for .*float32"):
            load(module, path)
        assert same(values(module), before)


# Refusals


def changed(state: dict[str, Tensor], how: str) -> dict[str, Tensor]:
    if how == "missing":
        del state["layers.2.bias"]
    elif how == "unexpected":
        state["layers.9.bias"] = torch.ones(2)
    elif how == "shape":
        state["layers.2.weight"] = torch.ones(3, 2)  # as many numbers
    return state


@pytest.mark.parametrize("how", ["missing", "unexpected", "shape"])
@pytest.mark.parametrize("side", [0, 1])
def test_what_does_not_fit_changes_nothing(how: str, side: int, tmp_path: Path) -> None:
    module = mlps()[side]
    save_file(changed(dict(mlps(7)[1].state_dict()), how), tmp_path / "w")
    before = values(module)
    with pytest.raises(ValueError) as error:
        load(module, tmp_path / "w")
    named = {
        "missing": "missing layers.2.bias",
        "unexpected": "unexpected layers.9.bias",
        "shape": "layers.2.weight of shape (3, 2) for (2, 3)",
    }
    assert ": expected " in str(error.value) and f"got {named[how]}" in str(error.value)
    assert same(values(module), before)


@pytest.mark.parametrize("side", [0, 1])
def test_no_safetensors_file_is_refused(side: int, tmp_path: Path) -> None:
    module = mlps()[side]
    whole = save(module, tmp_path / "whole").read_bytes()
    before = values(module)
    for content in (b"", b"junk" * 9, whole[:5], whole[:60], whole[:-1], whole + b"\0"):
        (tmp_path / "w").write_bytes(content)
        with pytest.raises(
            ValueError, match=r"^read_weights: expected .* a whole safetensors file"
        ):
            load(module, tmp_path / "w")
    with pytest.raises(FileNotFoundError):
        load(module, tmp_path / "absent")
    assert same(values(module), before)


def test_the_wrong_things_are_refused(tmp_path: Path) -> None:
    ours, _ = mlps()
    for call, text in (
        (lambda: save_weights(unchecked({}), tmp_path / "w"), "save_weights: expected module"),
        (lambda: load_weights(unchecked({}), tmp_path / "w"), "load_weights: expected module"),
        (lambda: save_weights(ours, tmp_path / "w", unchecked({"a": 1})), "metadata to be text"),
    ):
        with pytest.raises(TypeError, match=text):
            call()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("side", [0, 1])
def test_an_interrupted_write_leaves_the_old_file(
    side: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(mlps()[side], tmp_path / "w")
    before = path.read_bytes()
    synced = []

    def fail(handle: int) -> None:
        synced.append(handle)
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="disk full"):
            save(mlps(9)[side], path)
    assert synced and path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["w"]
    with pytest.raises(FileNotFoundError):
        save(mlps()[side], tmp_path / "nowhere" / "w")


def test_without_safetensors(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['safetensors'] = None\n"
        "import scratch.models\n"
        "from scratch.training import load_weights, save_weights\n"
        "m = scratch.models.MLP([2, 2])\n"
        "for call in (save_weights, load_weights):\n"
        "    try: call(m, 'w')\n"
        "    except ModuleNotFoundError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    sentence = "needs safetensors: pip install safetensors"
    assert done.stdout.splitlines() == [f"save_weights: {sentence}", f"read_weights: {sentence}"]


# From .pth


def network(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.Flatten(), torch.nn.Linear(3, 2)
    )


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_convert(wrapper: str | None, legacy: bool, tmp_path: Path) -> None:
    state = network().state_dict()
    held = {wrapper: state, "epoch": 3} if wrapper else state
    torch.save(held, tmp_path / "m.pth", _use_new_zipfile_serialization=not legacy)
    target = convert(tmp_path / "m.pth", tmp_path / "m.safetensors")
    stored = load_file(target)
    assert set(stored) == set(state)
    assert all(torch.equal(stored[name], tensor) for name, tensor in state.items())
    assert read_weights(target)[1] == {"converted_from": "m.pth"}


def test_convert_copies_what_is_shared_and_straightens_what_is_not(tmp_path: Path) -> None:
    large = torch.arange(60.0).reshape(3, 4, 5)
    held = {
        "tied": large,
        "too": large,
        "part": large[1:, ::2],
        "turned": large.permute(2, 0, 1),
        "spread": large[0, 0, :1].expand(7),
        "channels_last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "learned": torch.nn.Parameter(torch.ones(2)),
        "number": torch.tensor(3),
        "none": torch.ones(0, 3),
    }
    torch.save(held, tmp_path / "m.pth")
    arrays, _ = read_weights(convert(tmp_path / "m.pth", tmp_path / "m"))
    assert set(arrays) == set(held)
    for name, tensor in held.items():
        assert np.array_equal(arrays[name], tensor.detach().numpy()), name
        assert arrays[name].flags.c_contiguous


class Hostile:
    """Unpickled without care it would leave a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("way", ["torch.save", "legacy", "pickle", "in a state_dict"])
def test_a_hostile_pickle_is_refused_and_not_run(way: str, tmp_path: Path) -> None:
    mark, path, target = tmp_path / "mark", tmp_path / "m.pth", tmp_path / "m.safetensors"
    hostile: Any = Hostile(mark)
    if way == "in a state_dict":
        hostile = {"w": torch.ones(2), "x": hostile}
    if way == "pickle":
        path.write_bytes(pickle.dumps(hostile, protocol=2))
    else:
        torch.save(hostile, path, _use_new_zipfile_serialization=way != "legacy")
    with pytest.raises(
        ValueError, match=r"^convert: expected .*, got one that asks for posix.mkdir"
    ):
        convert(path, target)
    assert not mark.exists() and not target.exists()
    if way == "pickle":  # it would have
        pickle.loads(path.read_bytes())
        assert mark.exists()
    elif way == "torch.save":
        torch.load(path, weights_only=False)
        assert mark.exists()


@pytest.mark.parametrize(
    ("held", "text"),
    [
        (network(), "asks for torch.nn.modules.container.Sequential"),
        ([torch.ones(2)], "got a list"),
        (torch.ones(2), "tensor of torch.float32"),
        ({}, "got an empty dict"),
        ({"state_dict": {}}, "got an empty dict"),
        ({"a": torch.ones(2), "b": 3}, "got a int under 'b'"),
        ({"a": {"b": torch.ones(2)}}, "got a dict under 'a'"),
        ({3: torch.ones(2)}, "under 3"),
        ({"a": torch.ones(2).to_sparse()}, "sparse_coo tensor"),
        ({"a": torch.ones(2, dtype=torch.complex64)}, "complex64"),
    ],
)
def test_convert_refuses(held: Any, text: str, tmp_path: Path) -> None:
    torch.save(held, tmp_path / "m.pth")
    with pytest.raises(ValueError, match=r"^convert: expected ") as error:
        convert(tmp_path / "m.pth", tmp_path / "m.safetensors")
    assert text in str(error.value) and "weights_only" not in str(error.value)
    assert not (tmp_path / "m.safetensors").exists()


def test_convert_refuses_what_is_no_pth(tmp_path: Path) -> None:
    stream = io.BytesIO()
    torch.save(network().state_dict(), stream)
    whole = stream.getvalue()
    for content in (b"", b"hello" * 9, whole[:-100], whole[: len(whole) // 2], b"\x80\x02."):
        (tmp_path / "m.pth").write_bytes(content)
        with pytest.raises(
            ValueError, match=r"^convert: expected .*, got one that torch cannot read"
        ):
            convert(tmp_path / "m.pth", tmp_path / "m.safetensors")
    with pytest.raises(FileNotFoundError):
        convert(tmp_path / "absent.pth", tmp_path / "m.safetensors")
    assert [p.name for p in tmp_path.iterdir()] == ["m.pth"]


def test_convert_does_not_overwrite_unless_told(tmp_path: Path) -> None:
    source, target = tmp_path / "m.pth", tmp_path / "m.safetensors"
    torch.save(network().state_dict(), source)
    target.write_bytes(b"precious")
    with pytest.raises(FileExistsError, match=r"is there already; --force replaces it"):
        convert(source, target)
    assert target.read_bytes() == b"precious"
    convert(source, target, force=True)
    assert len(load_file(target)) == 9
    with pytest.raises(ValueError, match=r"a target other than the source"):
        convert(source, source, force=True)
    assert set(read_pth(source)) == set(load_file(target))


# Files in torchvision's layout, of random weights


@pytest.mark.parametrize("counted", [True, False], ids=["now", "before batch counters"])
@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_a_pth_of_torchvision_loads_into_numpy(name: str, counted: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = getattr(torch_ref.models, name)(num_classes=7, width=4).eval()
    for value in theirs.state_dict().values():  # off the start, where slips hide
        if value.is_floating_point():
            value.add_(torch.rand_like(value) * 0.1)
        else:
            value.fill_(5)
    state = {k: v for k, v in theirs.state_dict().items() if counted or v.is_floating_point()}
    assert {"conv1.weight", "bn1.running_var", "layer4.1.bn2.weight", "fc.bias"} <= set(state)
    torch.save(state, tmp_path / "m.pth")
    path = convert(tmp_path / "m.pth", tmp_path / "m.safetensors")
    ours = getattr(scratch.models, name)(num_classes=7, width=4)
    load_weights(ours, path)
    again = getattr(torch_ref.models, name)(num_classes=7, width=4)
    torch_training.load_weights(again, path)
    expected = twin.arrays(theirs.state_dict())
    if not counted:
        expected = {k: np.zeros_like(v) if "num_b" in k else v for k, v in expected.items()}
    assert same(ours.state_dict(), expected) and same(values(again), expected)
    x = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        logits = theirs.double()(x).numpy()
    found, _ = ours.to(np.float64).eval()(x.numpy())
    np.testing.assert_allclose(found, logits, rtol=0, atol=1e-11 * np.abs(logits).max())
