"""Options of the suite."""

import os
import random

import pytest
import torch
from hypothesis import settings
from threadpoolctl import threadpool_limits

import scratch.random
from scratch.threads import set_num_threads


def pytest_configure() -> None:
    """One thread on either side: two pools that wait by spinning slow each other down.

    transformers, which is imported later, never looks for anything on a network. hypothesis draws
    the same examples in every run; `--hypothesis-profile=default` draws others.
    """
    settings.register_profile("same examples", derandomize=True, database=None)
    settings.load_profile("same examples")
    os.environ["HF_HUB_OFFLINE"] = "1"
    torch.set_num_threads(1)
    threadpool_limits(1, user_api="blas")
    set_num_threads(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    """--device cuda runs the torch side of the catalog on a GPU."""
    parser.addoption("--device", default="cpu", choices=("cpu", "cuda"), help="torch's side")


@pytest.fixture(autouse=True)
def _same_draws(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test draws without a seed of its own is the same in every run, whatever ran before."""
    draws = random.Random(request.node.nodeid)
    monkeypatch.setattr(scratch.random, "randbits", draws.getrandbits)
    torch.manual_seed(draws.getrandbits(63))


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> str:
    """Where torch's side runs; cuda skips with a reason where there is none."""
    chosen: str = request.config.getoption("--device")
    if chosen == "cuda":
        if not torch.cuda.is_available():
            pytest.skip("--device cuda: torch finds no CUDA device on this machine")
        from torch_ref.training.precision import set_precision

        set_precision("fp32")
    return chosen
