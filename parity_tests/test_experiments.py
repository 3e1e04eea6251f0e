"""Every experiment's claims hold at a small but honest size, and its figures are there."""

from pathlib import Path

import pytest

from parity_tests.experiments import EXPERIMENTS, style


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_claims_hold(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Nobody looks at them, and pixels and their layout take a third of the time.
    monkeypatch.setitem(style.RC, "figure.dpi", 50)
    monkeypatch.setitem(style.RC, "figure.constrained_layout.use", False)
    outcome = EXPERIMENTS[name](tmp_path, small=True)
    failed = [f"{c.text}: {c.measured}" for c in outcome.failed]
    assert outcome.claims and not failed, "\n".join(failed)
    assert all(path.stat().st_size > 5000 for path in outcome.figures)
    assert outcome.figures or outcome.text
