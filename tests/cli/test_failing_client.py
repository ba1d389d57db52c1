"""A client that raises stops the run: its own traceback is shown once, with client and round."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from contracts.processes import Tacit

TASK = """
from pathlib import Path
from torch import nn
from torch.nn import functional

class Fragile:
    def model(self):
        return nn.Linear(13, 3)
    def loss(self, outputs, targets):
        if len(targets) > 4 and Path("broken").exists():
            raise RuntimeError("the sensor is unplugged")
        return functional.cross_entropy(outputs, targets, reduction="none")
    def statistics(self, outputs, targets):
        return {"correct": (outputs.argmax(1) == targets).sum()}
"""


@pytest.fixture
def fragile(wine: Path) -> Path:
    (wine.parent / "fragile.py").write_text(TASK)
    (wine.parent / "broken").touch()
    wine.write_text('task = "fragile:Fragile"\n' + wine.read_text())
    return wine


def test_the_traceback_is_shown_once_with_client_and_round(tacit: Tacit, fragile: Path) -> None:
    done = tacit("run", fragile, "--out", "out")
    assert done.returncode == 5
    assert done.stdout == ""
    assert done.stderr.count("Traceback (most recent call last)") == 1
    assert "client-000 (and 2 more), round 1:\n" in done.stderr
    assert 'fragile.py", line 11' in done.stderr
    *_, error, note = done.stderr.splitlines()
    assert error.startswith("error: 3 of 3 clients failed in round 1; the first is 'client-000'")
    assert "RuntimeError: the sensor is unplugged" in error
    assert note == "note: no round is complete yet; to go on: tacit run --resume out"


def test_once_it_is_mended_the_run_goes_on(tacit: Tacit, fragile: Path) -> None:
    assert tacit("run", fragile, "--out", "out").returncode == 5
    (fragile.parent / "broken").unlink()
    done = tacit("run", "--resume", "out")
    assert done.returncode == 0, done.stderr


def test_with_json_the_failure_is_an_event_too(tacit: Tacit, fragile: Path) -> None:
    done = tacit("run", fragile, "--out", "out", "--format", "json")
    assert done.returncode == 5
    events = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds == ["round_began", *["client_failed"] * 3, "error"]
    assert {event["client"] for event in events[1:4]} == {f"client-00{n}" for n in range(3)}
    assert "fragile.py" in events[1]["traceback"]
    assert events[-1]["code"] == 5
