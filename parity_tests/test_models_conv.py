"""Convolutional networks in full size, their names, their start, their first steps."""

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import scratch.models
import scratch.optim
import torch_ref.models
from parity_tests.catalog.models_conv import NETWORKS
from parity_tests.harness import torch_trace, twin
from parity_tests.harness.check import build_twins, strict_warnings
from parity_tests.harness.compare import close
from parity_tests.harness.draw import Array, Draw
from parity_tests.harness.entry import Layer
from scratch import nn
from scratch.gradcheck import gradcheck
from scratch.models import mobilenet_v2
from scratch.nn import functional as F
from scratch.random import Generator
from torch_ref.models import mobilenet_v2 as torch_mobilenet_v2


class Blank(Generator):
    """Draws zeros at once: a full-size network whose weights come from elsewhere."""

    def uniform(self, low: float, high: float, size: Any, dtype: Any = np.float32) -> Array:
        """Zeros."""
        return np.broadcast_to(np.zeros((), dtype), size)

    def normal(
        self, mean: float, std: float, size: Any, dtype: Any = np.float32, **_: Any
    ) -> Array:
        """Zeros."""
        return self.uniform(mean, std, size, dtype)


@dataclasses.dataclass(frozen=True)
class Full:
    """A network as it is published.

    Attributes:
        make: builds it from `scratch.models` or `torch_ref.models` and options.
        parameters: their number.
        names: number of entries of the state_dict.
        digest: SHA-256 of its lines 'name shape' in alphabetical order.
        image: height and width of an image that it takes quickly.
    """

    make: Callable[..., Any]
    parameters: int
    names: int
    digest: str
    image: int = 64


# Of torchvision 0.29.1, whose networks the twins' were compared with: equal names, shapes and, at
# the same seed, equal starts and outputs in both modes, bit for bit.
FULL = {
    "alexnet": Full(
        lambda m, **o: m.AlexNet(**o),
        61_100_840,
        16,
        "935c1ea73a7869eef424454bd79f9a16fdcb7a6342ab404d13f9ead2466d1092",
    ),
    "vgg11": Full(
        lambda m, **o: m.VGG(11, **o),
        132_863_336,
        22,
        "b11acd4f90d9643fb47e4326d0f40d1ae7ee580b0509f272826300b0996358c2",
    ),
    "vgg13": Full(
        lambda m, **o: m.VGG(13, **o),
        133_047_848,
        26,
        "79ca8fd7a1480aa7c17b8cdc8d302bc34640bccfe080031fa21b40f7b70edc21",
    ),
    "vgg16_bn": Full(
        lambda m, **o: m.VGG(16, True, **o),
        138_365_992,
        97,
        "86bad13b66635552f31b1a53eaf739fc05bf6111f696e97fd006755355d50d26",
    ),
    "vgg19": Full(
        lambda m, **o: m.VGG(19, **o),
        143_667_240,
        38,
        "393fac8b08b63fbee1e3ef721e98f1710adc57be373a2067ea1af78fc5ccb504",
    ),
    "resnet18": Full(
        lambda m, **o: m.resnet18(**o),
        11_689_512,
        122,
        "5191d63ec398959223d67ef37376f9061e6965b859fc2d4e40e23d037147a0d7",
    ),
    "resnet34": Full(
        lambda m, **o: m.resnet34(**o),
        21_797_672,
        218,
        "f8de2a1812ef85e46b3f60c61589921afee0c2a6d4165e27508ad215f101671b",
    ),
    "resnet50": Full(
        lambda m, **o: m.resnet50(**o),
        25_557_032,
        320,
        "a87e91cd6bd1f939e0b723852e567a7205d33b0ac984ac02dd1a5f225d37c036",
    ),
    "mobilenet_v2": Full(
        lambda m, **o: m.MobileNetV2(**o),
        3_504_872,
        314,
        "e3eb10f890f74c6ee65e79c53b1a3c9ee5dd5c8d8eb4ec3185d92cbea9d47b89",
    ),
    "mobilenet_v2, 0.35": Full(
        lambda m, **o: m.MobileNetV2(width_mult=0.35, **o),
        1_677_128,
        314,
        "26bdeaa50edc6960dbe5c227f163ecfaedfbe5a780a9c36823a07b11c8b95e5a",
    ),
    "efficientnet_b0": Full(
        lambda m, **o: m.EfficientNet(**o),
        5_288_548,
        360,
        "98a6d92c040c4bca9b0daea5616d2df84c1cbc4d570afdfbdd5e6ede87f9a700",
    ),
    "efficientnet_b2": Full(
        lambda m, **o: m.EfficientNet(1.1, 1.2, 0.3, **o),
        9_109_994,
        508,
        "35d7528e6debccfedbc24f4f6e6aa705d32367f567c870ea3e757b2eb8e7655f",
    ),
    "efficientnet_b4": Full(
        lambda m, **o: m.EfficientNet(1.4, 1.8, 0.4, **o),
        19_341_616,
        706,
        "f55c08c98724c9597eee88e01f9ecee2bea1654f0e47f89c30ae570ad807a510",
    ),
    "deeplabv3_resnet50": Full(
        lambda m, **o: m.DeepLabV3(aux_loss=True, **o),
        42_004_074,
        370,
        "52394066aeb32367cda3c5e81e797377f383cb5edd3737c438c47e47980421af",
    ),
}
# Of the papers; nobody else's names to keep to.
COUNTS: dict[str, tuple[Callable[[Any], Any], int]] = {
    "LeNet-5": (lambda m: m.LeNet5(), 61_706),
    "U-Net": (lambda m: m.UNet(), 31_030_658),
    "SimpleCNN": (lambda m: m.SimpleCNN(), 473),
}


def digest(shapes: dict[str, tuple[int, ...]]) -> str:
    """SHA-256 of the lines 'name shape' in alphabetical order."""
    lines = sorted(f"{name} {shape}" for name, shape in shapes.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


BIG = {"vgg13", "vgg16_bn", "vgg19"}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in BIG else []) for n in FULL]
)
def test_names_and_shapes_are_torchvisions(name: str) -> None:
    full = FULL[name]
    with torch.device("meta"):
        theirs = full.make(torch_ref.models)
    ours = full.make(scratch.models, generator=Blank(0))
    for shapes in (
        {key: tuple(value.shape) for key, value in theirs.state_dict().items()},
        {key: value.shape for key, value in ours.state_dict().items()},
    ):
        assert (len(shapes), digest(shapes)) == (full.names, full.digest)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert sum(p.numel() for p in theirs.parameters()) == full.parameters
    assert sum(p.size for p in ours.parameters()) == full.parameters


@pytest.mark.parametrize("name", COUNTS)
def test_numbers_of_parameters(name: str) -> None:
    make, count = COUNTS[name]
    assert sum(p.numel() for p in make(torch_ref.models).parameters()) == count
    assert sum(p.size for p in make(scratch.models).parameters()) == count


def test_lenet_has_the_papers_connections() -> None:
    """Table I: 60 of the 96 pairs, so 1,516 trainable numbers in C3."""
    layers: Any = scratch.models.LeNet5(connections="table").layers
    assert [layers[i].weight.size + layers[i].bias.size for i in (0, 6, 9)] == [156, 48_120, 10_164]
    assert int(layers[3].table.sum()) == 60
    assert 25 * int(layers[3].table.sum()) + 16 == 1_516
    assert [int(n) for n in layers[3].table.sum((1, 2, 3))] == [3] * 6 + [4] * 9 + [6]
    assert [int(n) for n in layers[3].table.sum((0, 2, 3))] == [10] * 6


def test_unet_has_the_papers_sizes() -> None:
    ours = scratch.models.UNet(width=1)
    assert ours(np.zeros((1, 1, 572, 572), np.float32))[0].shape == (1, 2, 388, 388)
    same = scratch.models.UNet(width=1, padding=1)
    assert same(np.zeros((1, 1, 48, 32), np.float32))[0].shape == (1, 2, 48, 32)


def test_an_atrous_backbone_keeps_an_eighth_of_the_size() -> None:
    ours = scratch.models.DeepLabV3(3, True, (1, 1, 1, 1), width=1).eval()
    (third, fourth), _ = ours.backbone(np.zeros((1, 3, 64, 40), np.float32))
    assert third.shape == (1, 16, 8, 5)
    assert fourth.shape == (1, 32, 8, 5)


@pytest.mark.parametrize("divisor", [1, 4, 8])
def test_channels_are_rounded_to_multiples(divisor: int) -> None:
    for v in np.arange(1, 200, 0.7).tolist():
        n = mobilenet_v2.make_divisible(v, divisor)
        assert n == torch_mobilenet_v2.make_divisible(v, divisor)
        assert n % divisor == 0
        assert n >= max(divisor, 0.9 * v)
        assert n <= max(divisor, v + divisor)


# Forward and backward in full size

SLOW = {"vgg11", "alexnet", "deeplabv3_resnet50", "efficientnet_b2", "efficientnet_b4"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else [])
        for n in FULL
        if n not in BIG  # a VGG11 with more of the same layers, and gigabytes in float64
    ],
)
def test_full_size(name: str) -> None:
    """Float32, one image, evaluation mode: output and gradients against the truth in float64."""
    full = FULL[name]
    torch.manual_seed(0)
    theirs = full.make(torch_ref.models).eval()
    ours = full.make(scratch.models, generator=Blank(0)).eval()
    ours.load_state_dict(twin.arrays(theirs.state_dict()))
    draw = Draw(name, np.float32)
    x = draw.normal(1, 3, full.image, full.image)
    output, backward = ours(x)
    dys = twin.cotangents(draw, twin.as_tuple(output))
    dx = backward(*dys)

    found = []
    for dtype in (torch.float32, torch.float64):
        leaf = torch.from_numpy(x.copy()).to(dtype).requires_grad_()
        ys = twin.as_tuple(theirs.to(dtype)(leaf))
        leaves = [leaf, *theirs.parameters()]
        found.append(([twin.numpy(y) for y in ys], twin.torch_gradients(ys, leaves, dys)))
    (outputs, gs), (true_outputs, true_gs) = found
    for y, expected, truth in zip(twin.as_tuple(output), outputs, true_outputs, strict=True):
        compared = close("output", y, expected, c=0, truth=truth)
        assert compared.passed, str(compared)
    names, mine = zip(*ours.named_parameters(), strict=True)
    gradients = [dx, *(p.grad for p in mine)]
    for key, g, expected, truth in zip(["input", *names], gradients, gs, true_gs, strict=True):
        relative = np.linalg.norm(g - truth) / np.linalg.norm(truth)
        theirs_relative = np.linalg.norm(expected - truth) / np.linalg.norm(truth)
        # A ReLU whose float32 input has the other sign moves a gradient as a whole.
        assert relative <= 4 * theirs_relative + 3e-4, (key, relative, theirs_relative)


# Start, steps, traces of the narrow ones

CASES = [(entry, case) for entry in NETWORKS for case in entry.cases if not case.seeded]
EACH = pytest.mark.parametrize(("entry", "case"), CASES, ids=lambda item: item.name)


def twins(entry: Layer, case: Any, seed: int = 0) -> tuple[Any, Any, Array]:
    """Both networks at torch's start, in float64, and their input."""
    torch.manual_seed(seed)
    theirs: Any = entry.torch(*case.init.args, **case.init.kwargs).double()
    ours: Any = entry.scratch(*case.init.args, **case.init.kwargs).to(np.float64)
    ours.load_state_dict(twin.arrays(theirs.state_dict()))
    return ours, theirs, case.make(Draw(f"{entry.name}/{case.name}", np.float64)).args[0]


@EACH
def test_the_same_seed_gives_the_same_start(entry: Layer, case: Any) -> None:
    torch.manual_seed(5)
    theirs = entry.torch(*case.init.args, **case.init.kwargs)
    ours = entry.scratch(*case.init.args, **case.init.kwargs, generator=Generator(5))
    for name, value in theirs.state_dict().items():
        mine = ours.state_dict()[name]
        np.testing.assert_allclose(mine, twin.numpy(value), rtol=0, atol=1e-6, err_msg=name)


@EACH
@pytest.mark.parametrize("method", ["SGD", "Adam", "AdamW"])
def test_ten_steps(entry: Layer, case: Any, method: str) -> None:
    """From torch's start down a squared error: the losses, and the parameters that matter."""
    ours, theirs, x = twins(entry, case)
    options: dict[str, Any] = {"lr": 0.002, "weight_decay": 0.01}
    if method == "SGD":
        options["momentum"] = 0.9
    optimizer = getattr(scratch.optim, method)(ours.parameters(), **options)
    reference = getattr(torch.optim, method)(theirs.parameters(), **options)
    images = torch.from_numpy(x.copy())
    rng = np.random.default_rng(0)
    ours.train("eval" not in case.modes or "train" in case.modes)
    theirs.train(ours.training)
    targets: list[Array] = []
    largest: dict[str, float] = {}  # gradients met
    c = 1000 if method == "SGD" else 10_000  # Adam divides by sqrt(v): where g is small, it counts
    for _ in range(10):
        outputs, backward = ours(x)
        ys = twin.as_tuple(outputs)
        targets = targets or [rng.standard_normal(y.shape) for y in ys]
        losses, backs = zip(
            *(F.mse_loss(y, t) for y, t in zip(ys, targets, strict=True)), strict=True
        )
        ours.zero_grad()
        backward(*(back()[0] for back in backs), needs_input_grad=False)
        optimizer.step()

        found = twin.as_tuple(theirs(images))
        pairs = zip(found, targets, strict=True)
        total = sum(torch.nn.functional.mse_loss(y, torch.from_numpy(t)) for y, t in pairs)
        reference.zero_grad()
        total.backward()  # type: ignore[union-attr]
        reference.step()
        compared = close("loss", np.asarray(sum(losses)), twin.numpy(total), c=c)  # type: ignore[arg-type]
        assert compared.passed, str(compared)
        for name, p in theirs.named_parameters():
            size = float(p.grad.abs().max())
            largest[name] = max(largest.get(name, 0.0), size)
    for name, p in ours.named_parameters():
        # A bias before a batch norm has no gradient but what rounding leaves, and Adam enlarges it.
        if largest[name] > 1e-12:
            expected = twin.numpy(dict(theirs.named_parameters())[name])
            compared = close(name, p.data, expected, c=c)
            assert compared.passed, str(compared)


@EACH
def test_traces_are_those_of_torchs_hooks(entry: Layer, case: Any) -> None:
    ours, theirs, x = twins(entry, case)
    ours.eval()
    theirs.eval()
    output, _ = ours(x)
    dys = twin.cotangents(Draw("trace", np.float64), twin.as_tuple(output))
    with nn.trace(ours) as record:
        _, back = ours(x)
        back(*dys)
    with torch_trace.trace(theirs) as reference:
        ys = twin.as_tuple(theirs(torch.from_numpy(x.copy()).requires_grad_()))
        torch.autograd.backward(ys, [torch.from_numpy(np.array(dy)) for dy in dys])
    assert [name for name, _ in record.outputs] == [name for name, _ in reference.outputs]
    # Where branches meet either may come first.
    sides = [sorted(r.gradients, key=lambda item: item[0]) for r in (record, reference)]
    assert [name for name, _ in sides[0]] == [name for name, _ in sides[1]]
    for mine, other in ((record.outputs, reference.outputs), sides):
        for (name, value), (_, expected) in zip(mine, other, strict=True):
            pairs = zip(twin.as_tuple(value), twin.as_tuple(expected), strict=True)
            for a, b in pairs:
                assert close(name, a, b, c=1000).passed, name


@EACH
def test_without_the_gradient_of_the_image(entry: Layer, case: Any) -> None:
    ours, _, x = twins(entry, case)
    ours.eval()
    output, back = ours(x)
    dys = twin.cotangents(Draw("image", np.float64), twin.as_tuple(output))
    assert back(*dys).shape == x.shape
    full = {name: p.grad for name, p in ours.named_parameters()}
    ours.zero_grad()
    assert back(*dys, needs_input_grad=False) is None
    for name, p in ours.named_parameters():
        np.testing.assert_array_equal(p.grad, full[name], err_msg=name)


@pytest.mark.slow
@EACH
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_finite_differences(entry: Layer, case: Any, mode: str) -> None:
    """Every array along a random direction, of the networks too deep for the catalog to do so.

    Without resnet34 and resnet50, which are resnet18 and a ResNet of bottlenecks, both here, with
    more of the same blocks.
    """
    if mode not in case.modes or entry.differences or entry.name in ("resnet34", "resnet50"):
        return
    draw = Draw(f"{entry.name}/{case.name}/{mode}", np.dtype(np.float64))
    ours, _ = build_twins(entry, case, np.dtype(np.float64), "cpu", draw)
    ours.train(mode == "train")
    report = gradcheck(ours, *case.make(draw).args, entries=0)
    assert report, str(report)


def test_a_classifier_without_a_gradient_is_left_out() -> None:
    entry = next(e for e in NETWORKS if e.name == "DeepLabV3")
    ours, theirs, x = twins(entry, entry.cases[0])
    ours.eval()
    theirs.eval()
    for chosen in (0, 1):
        ours.zero_grad()
        theirs.zero_grad()
        outputs, back = ours(x)
        dy = Draw("one", np.float64).normal(*outputs[chosen].shape)
        dx = back(*(dy if i == chosen else None for i in (0, 1)))
        leaf = torch.from_numpy(x.copy()).requires_grad_()
        theirs(leaf)[chosen].backward(torch.from_numpy(dy))
        assert leaf.grad is not None
        assert close("input", dx, twin.numpy(leaf.grad), c=1000).passed
        for name, p in theirs.named_parameters():
            mine = dict(ours.named_parameters())[name].grad
            assert (mine is None) == (p.grad is None), name
            if mine is not None:
                assert close(name, mine, twin.numpy(p.grad), c=1000).passed, name


@strict_warnings()
def test_simple_cnn_learns_in_every_layer() -> None:
    """Dark against bright images: the filters move with the dense layer."""
    ours = scratch.models.SimpleCNN(8, 4, dtype=np.float64, generator=Generator(0))
    start = {name: p.data.copy() for name, p in ours.named_parameters()}
    optimizer = scratch.optim.Adam(ours.parameters(), lr=0.02)
    target = np.repeat([[0.0], [1.0]], 8, axis=0)
    noise = np.random.default_rng(0).standard_normal((16, 1, 8, 8))
    x = 0.3 * noise + target[:, :, None, None]
    for _ in range(60):
        logits, model_back = ours(x)
        _, loss_back = F.binary_cross_entropy_with_logits(logits, target)
        optimizer.zero_grad()
        model_back(loss_back()[0], needs_input_grad=False)
        optimizer.step()
    assert np.array_equal(ours(x)[0] > 0, target > 0.5)
    assert all(np.all(p.data != start[name]) for name, p in ours.named_parameters())
