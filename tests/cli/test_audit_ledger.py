"""`tacit audit ledger` finds what was altered or is missing, and computes ε from the entries alone."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from contracts.processes import Tacit

PRIVATE = """
[mechanism]
kind = "gaussian"
clip = 1.0
noise_multiplier = 4.0
"""
LEDGER = "out/ledger/ledger.db"


@pytest.fixture
def out(tacit: Tacit, wine: Path) -> Path:
    """A run folder with a ledger of two entries."""
    wine.write_text(wine.read_text() + PRIVATE)
    assert tacit("run", wine, "--out", "out").returncode == 0
    return wine.parent / "out"


def audited(tacit: Tacit, *arguments: object) -> dict[str, Any]:
    done = tacit("audit", "ledger", *arguments, "--format", "json")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def alter(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / "ledger" / "ledger.db")) as connection:
        connection.execute(statement)
        connection.commit()


def test_every_accountant_is_asked_again(tacit: Tacit, out: Path) -> None:
    found = audited(tacit, "out")
    (row,) = found["populations"]
    assert (row["population"], row["unit"], row["releases"]) == ("wine", "client", 2)
    assert row["pld"] <= row["rdp"]
    assert row["pld"] <= row["prv"] == pytest.approx(row["pld"], abs=0.02)
    assert audited(tacit, LEDGER)["head"] == found["head"]
    strict = audited(tacit, LEDGER, "--delta", "1e-9")["populations"][0]
    assert strict["epsilon"] > row["epsilon"]
    replaced = audited(tacit, LEDGER, "--adjacency", "replace_one")["populations"][0]
    assert replaced["epsilon"] > row["epsilon"]
    text = tacit("audit", "ledger", "out").stdout
    assert "ε at δ = 1e-05 (add/remove)" in text
    assert "ok: all 2 committed rounds are in it." in text


def test_looking_leaves_no_trace(tacit: Tacit, out: Path) -> None:
    before = sorted(path.name for path in out.rglob("*"))
    bytes_before = (out / "ledger" / "ledger.db").read_bytes()
    audited(tacit, "out")
    assert sorted(path.name for path in out.rglob("*")) == before
    assert (out / "ledger" / "ledger.db").read_bytes() == bytes_before
    done = tacit("audit", "ledger", "nothing.db")
    assert done.returncode == 3
    assert "there is no ledger" in done.stderr
    assert not (out.parent / "nothing.db").exists()


def test_an_altered_entry_is_found(tacit: Tacit, out: Path) -> None:
    alter(out, "UPDATE ledger SET times = 0 WHERE sequence = 1")
    done = tacit("audit", "ledger", "out")
    assert done.returncode == 3
    assert "entry 1 was altered after it was written" in done.stderr
    assert tacit("budget", "out").returncode == 3
    report = tacit("report", "out", "--out", "page")
    assert report.returncode == 0
    assert "privacy: THE LEDGER WAS ALTERED" in report.stdout
    assert (
        "| the ledger is whole and unaltered | does not hold |"
        in (out.parent / "page" / "privacy.md").read_text()
    )


def test_a_ledger_that_was_rolled_back_is_found_by_a_head_that_was_kept(
    tacit: Tacit, out: Path
) -> None:
    head = audited(tacit, "out")["head"]
    assert f"ok: {head[:16]} is in it." in tacit("audit", "ledger", LEDGER, "--head", head).stdout
    alter(out, "DELETE FROM ledger WHERE sequence = 2")
    assert tacit("audit", "ledger", LEDGER).returncode == 0  # a chain does not show a lost end
    kept = tacit("audit", "ledger", LEDGER, "--head", head)
    assert kept.returncode == 3
    assert f"{head[:16]} is not in the chain" in kept.stderr
    done = tacit("audit", "ledger", "out")
    assert done.returncode == 3
    assert "1 of 2 committed rounds are not in it, the first is round 2" in done.stderr


def test_what_is_no_ledger_is_refused_and_not_touched(tacit: Tacit, out: Path) -> None:
    shutil.copy(out / "store.db", out.parent / "store.db")
    before = (out.parent / "store.db").read_bytes()
    done = tacit("audit", "ledger", "store.db")
    assert done.returncode == 3
    assert "error: store.db is not a store" in done.stderr
    assert (out.parent / "store.db").read_bytes() == before
    (out.parent / "text.db").write_text("no database at all, by any measure" * 99)
    assert tacit("audit", "ledger", "text.db").returncode == 3


def test_wrong_usage_is_named(tacit: Tacit, out: Path) -> None:
    done = tacit("audit", "ledger", LEDGER, "--delta", "2")
    assert done.returncode == 2
    assert "expected 0 < delta < 1, got 2.0" in done.stderr
