"""Generative tasks: both trainers take the same steps by the model's loss, and draw pictures."""

import dataclasses
import itertools
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from datasets.images import digit_images
from datasets.pictures import grid, write_png
from datasets.settings import load
from datasets.tabular import Dataset
from datasets.tasks import TASKS, get
from parity_tests.harness.runs import (
    OTHER,
    SIDES,
    TRAINERS,
    drift,
    everything,
    log,
    losses,
    settings,
    train,
)
from scratch.training import generative
from torch_ref.training import generative as torch_generative

ROUNDING = 1000 * np.finfo(np.float64).eps
SMALL: dict[str, dict[str, Any]] = {
    "digits_vae": {"img_size": 8, "channels": (4, 6), "latent_size": 3, "activation": "GELU"},
    # Two channels a group: where a norm is of one, the bias before it has no gradient but rounding.
    "digits_ddpm": {"width": 8, "noising": 21, "multipliers": (1,), "groups": 4},
}
ALL_ON: dict[str, Any] = {
    "steps": 6,
    "batch_size": 10,
    "accumulate": 2,
    "clip_norm": 1.0,
    "ema": 0.8,
    "evaluate_every": 3,
    "patience": 3,
    "warmup": 3,
    "schedule": "CosineAnnealingLR",
    "samples": 5,
}


def few(seed: int) -> Dataset:
    """Two hundred digits."""
    data = digit_images()
    return dataclasses.replace(data, x=data.x[:200], y=data.y[:200])


@pytest.fixture(params=SMALL)
def small(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A task whose network is small."""
    name: str = request.param
    task = dataclasses.replace(get(name), data=few, model_args=SMALL[name])
    monkeypatch.setitem(TASKS, f"small_{name}", dataclasses.replace(task, name=f"small_{name}"))
    return f"small_{name}"


def pictures(out: Path) -> dict[str, Any]:
    """By name, as numbers."""
    return {p.name: np.asarray(Image.open(p)) for p in sorted((out / "samples").iterdir())}


# Both packages


def test_both_packages_learn_and_draw_the_same(small: str, tmp_path: Path) -> None:
    of = settings(small, dtype="float64", **ALL_ON)
    for side in SIDES:
        train(side, of, tmp_path / side)
    ours, theirs = log(tmp_path / "scratch"), log(tmp_path / "torch")
    assert [(r["event"], r["step"], r.keys()) for r in ours] == [
        (r["event"], r["step"], r.keys()) for r in theirs
    ]
    for event in ("step", "evaluation", "end"):
        found, expected = (losses(tmp_path / side, event) for side in SIDES)
        np.testing.assert_allclose(found, expected, rtol=ROUNDING)
        assert len(set(found)) == len(found) > 0
    assert drift(tmp_path / "scratch", tmp_path / "torch") < 1e-11
    mine, other = pictures(tmp_path / "scratch"), pictures(tmp_path / "torch")
    assert mine.keys() == other.keys()
    for name, picture in mine.items():  # a shade of grey may be rounded to either side
        assert np.abs(picture.astype(int) - other[name]).max() <= 1


@pytest.mark.parametrize("side", SIDES)
def test_neither_cuts_nor_pictures_change_a_bit(side: str, small: str, tmp_path: Path) -> None:
    """Of the run, of the pictures, and of the caller's random numbers."""
    of = settings(small, **ALL_ON)
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    train(side, of, tmp_path / "whole")
    assert torch.equal(torch.rand(2), expected)
    for at in (1, 4):
        train(side, of, tmp_path / "cut", until=at)
    train(side, of, tmp_path / "cut")
    train(side, settings(small, **{**ALL_ON, "samples": 0}), tmp_path / "without")
    for other in ("cut", "without"):
        assert everything(tmp_path / other) == everything(tmp_path / "whole")
        assert log(tmp_path / other)[1:] == log(tmp_path / "whole")[1:]
    assert drawn(tmp_path / "cut") == drawn(tmp_path / "whole")
    assert not (tmp_path / "without" / "samples").exists()


def drawn(out: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in (out / "samples").iterdir()}


@pytest.mark.parametrize("small", ["digits_vae"], indirect=True)
@pytest.mark.parametrize("side", SIDES)
def test_the_other_package_goes_on(side: str, small: str, tmp_path: Path) -> None:
    of = settings(small, dtype="float64", **ALL_ON)
    train(side, of, tmp_path / "whole")
    train(OTHER[side], of, tmp_path / "moved", until=4)
    train(side, of, tmp_path / "moved")
    assert drift(tmp_path / "moved", tmp_path / "whole") < 1e-11


# What is drawn


@pytest.mark.parametrize("side", SIDES)
def test_pictures_are_drawn_from_the_same_noise(side: str, small: str, tmp_path: Path) -> None:
    """Of five, 3 x 2 of 32 pixels each, two between; they change as the network does."""
    of = settings(small, **{**ALL_ON, "lr": 0.01})
    trainer = train(side, of, tmp_path)
    found = pictures(tmp_path)
    assert list(found) == ["end.png", *(f"step-0000000{k}.png" for k in (3, 6))]
    for picture in found.values():
        assert picture.shape == (2 * 34 + 2, 3 * 34 + 2) and picture.dtype == np.uint8
        places = [(y, x) for y in (2, 36) for x in (2, 36, 70)]
        each = [picture[y : y + 32, x : x + 32] for y, x in places]
        assert all(len(np.unique(one)) > 1 for one in each[:5])
        assert (each[5] == 128).all() and (picture[:2] == 128).all()
        assert not any(np.array_equal(a, b) for a, b in itertools.pairwise(each))
    assert not np.array_equal(found["step-00000003.png"], found["step-00000006.png"])
    trainer._draw(*(("end", "again") if side == "torch" else ("again",)))
    assert np.array_equal(pictures(tmp_path)["again.png"], found["end.png"])
    data = load(of)
    assert trainer.evaluate(data.test_x, data.test_y) == {"loss": losses(tmp_path, "end")[0]}
    type(trainer)(of, tmp_path, overwrite=True)
    assert not (tmp_path / "samples").exists()


@pytest.mark.parametrize("small", ["digits_vae"], indirect=True)
@pytest.mark.parametrize("side", SIDES)
def test_the_last_pictures_are_of_the_best_weights(side: str, small: str, tmp_path: Path) -> None:
    rising: dict[str, Any] = {"optimizer": "SGD", "lr": 0.02, "evaluate_every": 1, "patience": 2}
    grows = {"schedule": "ExponentialLR", "schedule_args": {"gamma": 1.8}}
    of = settings(small, steps=30, samples=4, batch_size=40, **rising, **grows)
    train(side, of, tmp_path)
    stop, found = log(tmp_path)[-2], drawn(tmp_path)
    assert stop["event"] == "early stop" and 0 < stop["best_step"] == stop["step"] - 2
    last = f"step-{stop['step']:08d}.png"
    assert found["end.png"] == found[f"step-{stop['best_step']:08d}.png"] != found[last]


def test_noise_of_an_evaluation_is_that_of_the_other_package(small: str, tmp_path: Path) -> None:
    """And its times are all those of the chain."""
    models = [
        train(side, settings(small, steps=1, samples=0), tmp_path / side).model for side in SIDES
    ]
    x = np.zeros((200, 1, 8, 8), np.float32)
    ours, theirs = generative.draws(models[0], x), torch_generative.draws(models[1], x)
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[k], theirs[k]) and len(ours[k]) == 200 for k in ours)
    assert ours["noise"].dtype == np.float32 and abs(ours["noise"].std() - 1) < 0.1
    assert set(ours.get("t", range(21))) == set(range(21))


def test_a_rank_without_rows_has_gradients(small: str, tmp_path: Path) -> None:
    model = train("torch", settings(small, steps=1, samples=0), tmp_path).model
    model.zero_grad()
    loss = torch_generative.OwnLoss(model)(torch.zeros(0, 1, 8, 8))
    loss.backward()
    assert loss.item() == 0
    assert all(torch.count_nonzero(p.grad) == 0 for p in model.parameters())


@pytest.mark.parametrize("small", ["digits_vae"], indirect=True)
@pytest.mark.parametrize("side", SIDES)
def test_a_run_that_diverges_says_so_though_there_are_pictures(
    side: str, small: str, tmp_path: Path
) -> None:
    wild: dict[str, Any] = {"optimizer": "SGD", "lr": 1e30, "evaluate_every": 2, "samples": 2}
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match="the loss is nan"):
        train(side, settings(small, log_every=9, **wild), tmp_path)
    assert (tmp_path / "samples" / "step-00000002.png").exists()


# Files


@pytest.mark.parametrize("small", ["digits_vae"], indirect=True)
@pytest.mark.parametrize("side", SIDES)
def test_no_run_begins_where_pillow_is_absent(
    side: str, small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ModuleNotFoundError, match=r"^Trainer: needs Pillow; .*'\.\[data\]'"):
        TRAINERS[side](settings(small), tmp_path)
    TRAINERS[side](settings(small, samples=0), tmp_path)
    assert not any(tmp_path.iterdir())


def test_a_grid_by_hand() -> None:
    colours = np.zeros((2, 3, 32, 40))
    colours[0, 0], colours[1, 2] = 2.0, 0.5  # red, beyond what there is; half of blue
    page = grid(colours)
    assert page.shape == (36, 86, 3)
    assert page[2, 2].tolist() == [255, 0, 0] and page[33, 83].tolist() == [0, 0, 128]
    assert page[2, 42].tolist() == page[1, 1].tolist() == [128, 128, 128]
    steps = np.array([0.0, 0.2, np.nan, np.inf]).reshape(1, 1, 2, 2)
    assert np.array_equal(grid(steps)[2:-2:16, 2:-2:16], [[0, 51], [128, 255]])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (np.zeros((0, 1, 2, 2)), "one or more pictures"),
        (np.zeros((1, 2, 2, 2)), "of 1 or 3 channels"),
        (np.zeros((1, 2, 2)), r"shape \(n, channels, height, width\)"),
    ],
)
def test_no_pictures_are_refused(given: Any, words: str) -> None:
    with pytest.raises(ValueError, match=rf"^grid: expected .*{words}.*, got "):
        grid(given)


def test_a_file_that_cannot_be_written_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a" / "b.png"
    write_png(path, np.zeros((3, 4), np.uint8))
    before = path.read_bytes()

    def full(self: Any, file: Path, form: str) -> None:
        file.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="no space"):
        write_png(path, np.ones((3, 4), np.uint8))
    assert path.read_bytes() == before and [p.name for p in path.parent.iterdir()] == ["b.png"]


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_every_recipe_is_learned_alike(name: str, tmp_path: Path) -> None:
    """At a fifth of its length; the denoising model, whose steps are slow, at a twentieth."""
    share = 20 if get(name).model == "DDPM" else 5
    of = settings(name, steps=get(name).steps // share, dtype="float64", samples=4)
    for side in SIDES:
        train(side, of, tmp_path / side)
    found, expected = (losses(tmp_path / side) for side in SIDES)
    np.testing.assert_allclose(found, expected, rtol=1e-11)
    assert drift(tmp_path / "scratch", tmp_path / "torch") < 1e-11
    assert found[-1] < 0.6 * found[0]


@pytest.mark.slow
def test_event_files_have_pictures(small: str, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train("torch", settings(small, tensorboard=True, **ALL_ON), tmp_path)
    found = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert set(found.Tags()["images"]) == {"evaluation/samples", "end/samples"}
    assert [image.step for image in found.Images("evaluation/samples")] == [3, 6]
    assert {(i.width, i.height) for i in found.Images("end/samples")} == {(104, 70)}
