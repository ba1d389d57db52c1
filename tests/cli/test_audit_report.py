"""`tacit audit report` says whether every value of a report follows from the records of its run."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Tacit = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def out(tacit: Tacit, wine: Path) -> Path:
    """A run folder with a report."""
    assert tacit("run", wine, "--out", "out").returncode == 0
    assert tacit("report", "out").returncode == 0
    return wine.parent / "out"


def test_an_honest_report_is_confirmed_and_nothing_is_written(tacit: Tacit, out: Path) -> None:
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    done = tacit("audit", "report", "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert "ok: the records agree with each other" in done.stdout
    assert "cannot be noticed: the baselines" in done.stdout
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == before


def test_a_changed_number_is_shown_with_what_it_should_be(tacit: Tacit, out: Path) -> None:
    table = json.loads((out / "report.json").read_text())
    table["summary"]["points"][0]["loss"] += 1e-12
    elsewhere = out.parent / "published"
    elsewhere.mkdir()
    for name in ("privacy.json", "privacy.registry.yaml"):
        (elsewhere / name).write_bytes((out / name).read_bytes())
    (elsewhere / "report.json").write_text(json.dumps(table))
    done = tacit("audit", "report", "out", "--report", "published")
    assert done.returncode == 3
    assert "differs: report.json, summary.points[0].loss: stated" in done.stdout
    assert "1 of" in done.stderr
    assert tacit("audit", "report", "out").returncode == 0
    found = tacit("audit", "report", "out", "--report", "published", "--format", "json")
    first, event = map(json.loads, found.stdout.splitlines())
    assert first["holds"] is False
    assert first["differences"][0]["path"] == "summary.points[0].loss"
    assert event["code"] == 3


def test_records_that_contradict_each_other_are_named(tacit: Tacit, out: Path) -> None:
    (out / "model.safetensors").write_bytes(b"another")
    tacit("report", "out")
    done = tacit("audit", "report", "out")
    assert done.returncode == 3
    assert "error: out: model.safetensors is not the model with which" in done.stderr


def test_a_run_without_a_report_is_told_how_to_get_one(tacit: Tacit, wine: Path) -> None:
    tacit("run", wine, "--out", "out")
    done = tacit("audit", "report", "out")
    assert done.returncode == 3
    assert "out/report.json is not there: `tacit report` writes it" in done.stderr
