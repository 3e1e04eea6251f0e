"""Speed, measured the way a user would: `parity bench` in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

LIMIT = 1.15


def bench(name: str, threads: int, out: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "parity_tests.cli", "bench", "-k", name, "--out", str(out)]
    subprocess.run([*command, "--threads", str(threads)], check=True, capture_output=True)
    found: list[dict[str, Any]] = json.loads((out / "bench.json").read_text())["results"]
    return found[0]


@pytest.mark.slow
@pytest.mark.timing
@pytest.mark.parametrize("threads", [1, 2])
def test_a_training_step_keeps_up_with_torchs(threads: int, tmp_path: Path) -> None:
    """784-256-128-10, batch 128, Adam, float32, beside torch's eager step on the CPU.

    The median of the ratios of interleaved pairs, at one thread: 0.67 on an AMD EPYC; 1.03 on an
    Intel Xeon, where torch's MKL multiplies faster than NumPy's OpenBLAS. So the limit is above 1.
    Another process may take a core away meanwhile, so the best of three runs counts.
    """
    runs: list[dict[str, Any]] = []
    while not runs or (runs[-1]["ratio"] > LIMIT and len(runs) < 3):
        runs.append(bench("mlp", threads, tmp_path))
    assert min(run["ratio"] for run in runs) <= LIMIT, [run["ratio"] for run in runs]
    assert runs[-1]["ours_mb"] <= 2.5 * runs[-1]["theirs_mb"]
