"""`tacit budget` says what is spent and left, and `tacit run` stops where nothing is left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from contracts.processes import Tacit

PRIVATE = """
[mechanism]
kind = "gaussian"
clip = 1.0
noise_multiplier = 4.0

[budget]
epsilon = 3.0
ledger = "ledger.db"
"""
ROWS = (
    "--set", "dpsgd={noise_multiplier=4.0}", "--set", 'mechanism={kind="mean"}',
    "--set", "budget.unit=example",
)  # fmt: skip


@pytest.fixture
def private(wine: Path) -> Path:
    """Seven rounds fit into the budget."""
    wine.write_text(wine.read_text() + PRIVATE)
    return wine


def spent(tacit: Tacit, *arguments: object) -> dict[str, Any]:
    done = tacit("budget", *arguments, "--format", "json")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["spent"]
    return dict(row)


def test_looking_at_a_budget_creates_nothing(tacit: Tacit, private: Path) -> None:
    before = spent(tacit, private)
    assert (before["spent"], before["remaining"], before["rounds_left"]) == (0.0, 3.0, 7)
    done = tacit("budget", private)
    assert "there is no ledger yet, so nothing is spent" in done.stdout
    assert tacit("budget", "--ledger", "ledger.db").returncode == 0
    assert sorted(p.name for p in private.parent.iterdir()) == ["wine.toml"]


def test_where_every_run_has_a_ledger_of_its_own_a_new_one_has_spent_nothing(
    tacit: Tacit, private: Path
) -> None:
    private.write_text(private.read_text().replace('ledger = "ledger.db"', 'ledger = "run"'))
    assert tacit("run", private, "--out", "out").returncode == 0
    found = json.loads(tacit("budget", private, "--format", "json").stdout)
    assert (found["ledger"], found["spent"][0]["spent"]) == (None, 0.0)
    assert spent(tacit, "out")["releases"] == 2
    assert "Every run has a ledger of its own" in tacit("budget", private).stdout
    unknown = tacit("budget", private, "--client", "nobody")
    assert "'nobody' keeps no ledger: it was never charged" in unknown.stderr


def test_what_a_run_spends_is_missing_from_the_next(tacit: Tacit, private: Path) -> None:
    assert tacit("run", private, "--out", "out").returncode == 0
    after = spent(tacit, private)
    assert (after["releases"], after["runs"], after["rounds_left"]) == (2, 1, 5)
    assert spent(tacit, "out") == after
    assert spent(tacit, "--ledger", "ledger.db")["spent"] == after["spent"]
    assert spent(tacit, private, "--population", "others")["rounds_left"] == 7
    plan = json.loads(tacit("plan", private, "--format", "json").stdout)["privacy"]
    assert plan["client"]["rounds_left"] == 5
    assert plan["client"]["spent_before"] > 0
    assert plan["client"]["epsilon_after"] > plan["client"]["epsilon"]


def test_a_spent_budget_stops_a_run_with_what_was_paid_for(tacit: Tacit, private: Path) -> None:
    done = tacit("run", private, "--out", "out", "--set", "rounds=9")
    assert done.returncode == 4
    assert "rounds      7 of 9, then the budget was spent" in done.stdout
    assert "privacy     ε = " in done.stdout
    assert "of 3 at δ = 1e-05 (client, add/remove)" in done.stdout
    assert done.stderr.startswith("error: The privacy budget of 'wine' is spent: 7 releases took")
    assert "note: the rounds up to 7 are paid for and safe" in done.stderr
    assert (private.parent / "out" / "model.safetensors").exists()
    again = tacit("run", "--resume", "out", "--format", "json")
    assert again.returncode == 4
    events = [json.loads(line) for line in again.stdout.splitlines()]
    assert [event["event"] for event in events] == ["result", "error"]
    assert events[0]["stopped"].startswith("The privacy budget")
    assert events[0]["round"] == 7
    assert spent(tacit, private)["releases"] == 7
    reported = tacit("report", "out")
    assert "caution: stopped by its budget" in reported.stderr
    page = (private.parent / "out" / "report.md").read_text()
    assert "**Stopped by its privacy budget** after 7 of 9 rounds" in page


def test_a_run_that_cannot_begin_says_so(tacit: Tacit, private: Path) -> None:
    tacit("run", private, "--out", "one", "--set", "rounds=7")
    done = tacit("run", private, "--out", "two")
    assert done.returncode == 4
    assert "note: no round was paid for" in done.stderr


def test_rows_are_charged_by_each_client_in_its_own_ledger(tacit: Tacit, private: Path) -> None:
    assert tacit("run", private, "--out", "out", *ROWS).returncode == 0
    rows = json.loads(tacit("budget", "out", "--format", "json").stdout)["spent"]
    assert [row["unit"] for row in rows] == ["client", "example"]
    one = spent(tacit, "out", "--client", "client-001")
    assert one["population"] == "wine/client-001"
    assert one["releases"] == 4
    assert 0 < one["spent"] < 3
    assert one["rounds_left"] > 0
    assert spent(tacit, "--ledger", "ledger.db", "--client", "client-001")["releases"] == 4
    unknown = tacit("budget", "out", "--client", "nobody")
    assert unknown.returncode == 3
    assert "'nobody' keeps no ledger" in unknown.stderr


def test_a_run_without_noise_says_that_nothing_bounds_it(tacit: Tacit, wine: Path) -> None:
    done = tacit("run", wine, "--out", "out")
    assert "privacy     none: no ε bounds what was released" in done.stdout
    plan = json.loads(tacit("plan", wine, "--format", "json").stdout)["privacy"]
    assert plan["guarantee"] is plan["client"] is plan["example"] is None
