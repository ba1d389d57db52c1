"""`tacit compare` puts runs side by side, and its exit code says whether targets are met."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Tacit = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def place(tacit: Tacit, wine: Path) -> Path:
    """Two runs, one of them slower to learn."""
    assert tacit("run", wine, "--out", "one").returncode == 0
    done = tacit("run", wine, "--out", "two", "--set", "train.learning_rate=0.001")
    assert done.returncode == 0
    return wine.parent


def test_what_differs_comes_first_and_then_how_far_they_are_apart(
    tacit: Tacit, place: Path
) -> None:
    done = tacit("compare", "one", "two")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.index("train.learning_rate") < done.stdout.index("B - A")
    assert "paired: the same 3 clients are drawn anew for both" in done.stdout
    assert "3 clients are few" in done.stdout
    assert "…" not in done.stdout
    found = json.loads(tacit("compare", "one", "two", "--format", "json").stdout)
    report = json.loads(tacit("report", "one", "--format", "json").stdout)
    row = next(r for r in found["rows"] if r["group"] == "all held-out rows")
    assert row["readings"][0]["value"] == report["summary"]["federated"]["rows"]
    assert row["differences"][1]["low"] <= row["differences"][1]["high"]


def test_a_comparison_goes_where_it_is_told_and_leaves_the_runs_alone(
    tacit: Tacit, place: Path
) -> None:
    before = sorted(path.name for path in place.rglob("*"))
    done = tacit("compare", "one", "two", "--out", "page")
    assert done.returncode == 0
    names = sorted(path.name for path in (place / "page").iterdir())
    assert names == ["comparison.html", "comparison.json", "comparison.md", "difference-1.svg"]
    assert all(f"wrote page/{name}" in done.stdout for name in names)
    assert sorted(path.name for path in place.rglob("*")) == sorted([*before, "page", *names])
    again = tacit("compare", "one", "two", "--format", "json").stdout
    assert json.loads(again) == json.loads((place / "page" / "comparison.json").read_text())


def test_a_target_that_is_missed_has_an_exit_code_of_its_own(tacit: Tacit, place: Path) -> None:
    targets = place / "targets.csv"
    targets.write_text("metric,group,target,tolerance,bound\naccuracy,,0,0,at_least\n")
    done = tacit("compare", "one", "--targets", targets)
    assert (done.returncode, done.stderr) == (0, "")
    assert "OK" in done.stdout
    with targets.open("a") as file:
        file.write("accuracy,worst client,2,0,at_least\nrecall,sex=f,0,1,\n")
    done = tacit("compare", "one", "two", "--targets", targets)
    assert done.returncode == 6
    assert done.stderr.splitlines() == [
        "error: 1 of 3 targets: GAP, the first is that of line 3, accuracy, worst client.",
        "error: 1 of 3 targets: NOT RUN, the first is that of line 4, recall, sex=f.",
    ]
    assert "one did not measure it" in done.stdout
    done = tacit("compare", "one", "two", "--targets", targets, "--format", "json")
    found, error = map(json.loads, done.stdout.splitlines())
    assert [each["mark"] for each in found["targets"]] == ["OK", "GAP", "NOT RUN"]
    assert error["code"] == 6


def test_bad_input_is_one_clear_line(tacit: Tacit, place: Path) -> None:
    alone = tacit("compare", "one")
    assert alone.returncode == 2
    assert "expected two runs or more, or --targets FILE" in alone.stderr
    absent = tacit("compare", "one", "nowhere")
    assert absent.returncode == 3
    assert len(absent.stderr.splitlines()) == 1
    (place / "targets.csv").write_text("metric,target,tolerance\naccuracy,high,0\n")
    wrong = tacit("compare", "one", "--targets", "targets.csv")
    assert wrong.returncode == 3
    assert wrong.stderr == ("error: targets.csv, line 2: target: expected a number, got 'high'.\n")


def test_an_unfinished_run_is_compared_and_named(tacit: Tacit, place: Path) -> None:
    (place / "two" / "model.safetensors").unlink()
    done = tacit("compare", "one", "two")
    assert done.returncode == 0
    assert done.stderr == "caution: two is unfinished: 2 of 2 rounds are done.\n"
