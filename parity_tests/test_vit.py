"""The Vision Transformer against Hugging Face's, over files in both directions."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import scratch.models
import torch_ref.models
from parity_tests.harness import twin
from parity_tests.harness.draw import Array
from parity_tests.test_bert import agree, ours, read_back, same_weights, theirs
from scratch.random import Generator

SIZES: dict[str, Any] = {
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "image_size": 6,
    "patch_size": 2,
    "num_labels": 5,
}
# Options, and the size of the pictures.
OPTIONS: tuple[tuple[dict[str, Any], tuple[int, int]], ...] = (
    ({}, (6, 6)),
    ({"qkv_bias": False, "num_channels": 1, "hidden_act": "gelu_new"}, (6, 6)),
    ({"image_size": [4, 9], "patch_size": [2, 3], "id2label": {0: "a", 1: "b"}}, (4, 9)),
    ({"image_size": 7, "layer_norm_eps": 1e-2}, (7, 7)),
    ({}, (8, 10)),
    ({}, (4, 4)),
)


def published(directory: Path, **options: Any) -> Any:
    """A model of Hugging Face's with weights of its own, and its files."""
    torch.manual_seed(3)
    config = transformers.ViTConfig(**SIZES | options)
    model: Any = transformers.ViTForImageClassification(config)
    model = model.double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    model.save_pretrained(directory)
    return model


def of_files(name: str) -> str:
    """The name in files of an array that transformers 5 holds under another one."""
    for new, old in (
        ("vit.layers.", "vit.encoder.layer."),
        ("attention.q_proj", "attention.attention.query"),
        ("attention.k_proj", "attention.attention.key"),
        ("attention.v_proj", "attention.attention.value"),
        ("attention.o_proj", "attention.output.dense"),
        ("mlp.fc1", "intermediate.dense"),
        ("mlp.fc2", "output.dense"),
    ):
        name = name.replace(new, old)
    return name


def pictures(channels: int, size: tuple[int, int]) -> Array:
    return np.random.default_rng(0).standard_normal((3, channels, *size))


@pytest.mark.parametrize(("options", "size"), OPTIONS)
def test_outputs_and_gradients_are_hugging_faces(
    options: dict[str, Any], size: tuple[int, int], tmp_path: Path
) -> None:
    reference = published(tmp_path, **options)
    model, twins = ours("ViT", tmp_path), theirs("ViT", tmp_path)
    image = options.get("image_size", SIZES["image_size"])
    other = size != (tuple(image) if isinstance(image, list) else (image, image))
    x = pictures(options.get("num_channels", 3), size)
    xs = [torch.from_numpy(x).requires_grad_() for _ in range(2)]
    expected = reference(xs[0], interpolate_pos_encoding=other).logits
    again = twins(xs[1], other)
    y, backward = model(x, other)
    dy = np.random.default_rng(1).standard_normal(y.shape)
    for z in (expected, again):
        z.backward(torch.from_numpy(dy))
    dx = backward(dy)
    agree("output", y, twin.numpy(expected))
    agree("torch_ref's output", twin.numpy(again), twin.numpy(expected))
    dpixels, again_dpixels = (np.asarray(x.grad) for x in xs)
    agree("pixels", dx, dpixels)
    agree("torch_ref's pixels", again_dpixels, dpixels)
    gradients = {of_files(n): twin.numpy(p.grad) for n, p in reference.named_parameters()}
    found = {n: p.grad for n, p in model.named_parameters()}
    others = {n: p.grad for n, p in twins.named_parameters()}
    assert found.keys() == gradients.keys() and list(found) == list(others)
    for n, g in gradients.items():
        agree(n, found[n], g)
        agree(f"torch_ref's {n}", twin.numpy(others[n]), g)


@pytest.mark.parametrize("options", [o for o, _ in OPTIONS[1:3]])
@pytest.mark.parametrize("side", [ours, theirs])
def test_hugging_face_reads_ours(side: Any, options: dict[str, Any], tmp_path: Path) -> None:
    reference = published(tmp_path / "a", **options)
    side("ViT", tmp_path / "a").save_pretrained(tmp_path / "b")
    read = read_back(transformers.ViTForImageClassification, tmp_path / "b")
    image = options.get("image_size", [6, 6])
    x = torch.from_numpy(pictures(options.get("num_channels", 3), (image[0], image[1])))
    same_weights(reference, read)
    agree("logits", twin.numpy(read(x).logits), twin.numpy(reference(x).logits))


@pytest.mark.parametrize("side", [ours, theirs])
def test_a_trunk_without_its_prefix(side: Any, tmp_path: Path) -> None:
    """As the checkpoints of the trunk alone are, with a pooler that no classifier has."""
    reference = published(tmp_path)
    path = tmp_path / "model.safetensors"
    bare = {n.removeprefix("vit."): t for n, t in load_file(path).items() if n.startswith("vit.")}
    save_file(bare | {"pooler.dense.weight": torch.ones(8, 8)}, path)
    with pytest.raises(ValueError, match=r"classifier"):
        side("ViT", tmp_path)
    found = side("ViT", tmp_path, strict=False).state_dict()
    for name, value in reference.state_dict().items():
        same = np.array_equal(np.asarray(found[of_files(name)]), twin.numpy(value))
        assert same == name.startswith("vit."), name


def test_the_pictures_gradient_is_left_out_where_nobody_asks() -> None:
    model = scratch.models.ViT(scratch.models.ViTConfig(**SIZES), generator=Generator(0))
    x = pictures(3, (6, 6)).astype(np.float32)
    y, backward = model(x)
    dx = backward(np.ones_like(y))
    whole = {n: p.grad for n, p in model.named_parameters()}
    model.zero_grad()
    assert dx.shape == x.shape and backward(np.ones_like(y), needs_input_grad=False) is None
    for name, parameter in model.named_parameters():
        assert np.array_equal(np.asarray(parameter.grad), np.asarray(whole[name])), name


def test_the_start_is_hugging_faces() -> None:
    options = SIZES | {"hidden_size": 64, "initializer_range": 0.1}
    config = transformers.ViTConfig(**options)
    reference = transformers.ViTForImageClassification(config)
    mine = scratch.models.ViT(scratch.models.ViTConfig(**options), generator=Generator(1))
    other = torch_ref.models.ViT(torch_ref.models.ViTConfig(**options))
    starts = [mine.state_dict(), twin.arrays(other.state_dict())]
    for name, value in twin.arrays(reference.state_dict()).items():
        for start in starts:
            found = start[of_files(name)]
            if value.std() == 0:
                assert np.array_equal(found, value), name
            else:
                spread = 4 / np.sqrt(2 * value.size)
                assert abs(found.std() / 0.1 - 1) < spread, name


def test_pictures_of_another_size_are_refused() -> None:
    model = torch_ref.models.ViT(torch_ref.models.ViTConfig(**SIZES))
    with pytest.raises(ValueError, match=r"^ViT: expected pictures of \(6, 6\), got \(4, 6\)"):
        model(torch.zeros(1, 3, 4, 6))
