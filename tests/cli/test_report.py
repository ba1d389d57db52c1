"""`tacit report` writes about a run and its privacy, whether it is finished or not."""

from __future__ import annotations

import json
from pathlib import Path

from contracts.processes import Tacit


def test_a_report_goes_where_it_is_told_and_leaves_the_run_alone(tacit: Tacit, wine: Path) -> None:
    tacit("run", wine, "--out", "out")
    before = sorted(path.name for path in (wine.parent / "out").iterdir())
    done = tacit("report", "out", "--out", "page")
    assert (done.returncode, done.stderr) == (0, "")
    names = sorted(path.name for path in (wine.parent / "page").iterdir())
    assert names == [
        "clients.svg",
        "learning_curve.svg",
        "model_card.md",
        "participation.svg",
        "privacy.json",
        "privacy.md",
        "privacy.registry.yaml",
        "report.html",
        "report.json",
        "report.md",
    ]
    assert sorted(path.name for path in (wine.parent / "out").iterdir()) == before
    again = tacit("report", "out", "--format", "json")
    assert json.loads(again.stdout) == json.loads((wine.parent / "out/report.json").read_text())


def test_an_unfinished_run_is_reported_as_such(tacit: Tacit, wine: Path) -> None:
    tacit("run", wine, "--out", "out")
    (wine.parent / "out" / "model.safetensors").unlink()
    done = tacit("report", "out")
    assert done.returncode == 0
    assert done.stderr == "caution: unfinished: 2 of 2 rounds are done.\n"
    assert "**Unfinished:** 2 of 2 rounds" in (wine.parent / "out/report.md").read_text()
