"""`tacit check` and `tacit plan` say what would happen, and leave nothing behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from contracts.processes import Tacit


def test_check_shows_who_would_take_part(tacit: Tacit, wine: Path) -> None:
    done = tacit("check", wine)
    assert (done.returncode, done.stderr) == (0, "")
    rows = {line.split("  ")[0].strip(): line.split()[-4:] for line in done.stdout.splitlines()}
    assert rows["train rows"] == ["47", "47", "48", "142"]
    assert rows["held-out rows"] == ["12", "12", "12", "36"]
    assert rows["classes"] == ["3", "3", "3", "3"]
    assert "wine: 178 rows of 13, 3 classes, 3 clients." in done.stdout
    assert not (wine.parent / "runs").exists()


def test_check_counts_the_rows_of_groups(tacit: Tacit, wine: Path) -> None:
    done = tacit("check", wine, "--set", "data.name=diabetes", "--format", "json")
    found = json.loads(done.stdout)
    assert found["ok"] is True
    assert sum(found["population"]["groups"]["sex"].values()) == 442


def test_check_reports_what_is_wrong_beside_the_data(tacit: Tacit, wine: Path) -> None:
    (wine.parent / "file").touch()
    sampler = "sampler={kind='fixed', size=9}"
    done = tacit("check", wine, "--set", sampler, "--set", "model.kind=cnn", "--out", "file/x")
    assert done.returncode == 3
    lines = done.stderr.splitlines()
    assert len(lines) == 3
    for said in ("A CNN takes", "sampler: A cohort of 9", "file is not a folder"):
        assert len([line for line in lines if said in line]) == 1, done.stderr


def test_check_asks_for_the_space_that_a_run_needs(tacit: Tacit, wine: Path) -> None:
    """The history of a trillion rounds would take some 360 TB."""
    big = ("--set", "rounds=1000000000000", "--set", "evaluate.every=1")
    done = tacit("check", wine, *big)
    assert done.returncode == 3
    assert "free, and a run needs about" in done.stderr
    assert "--out" in done.stderr


def test_plan_says_what_a_run_costs_and_what_it_leaves_unprotected(
    tacit: Tacit, wine: Path
) -> None:
    done = tacit("plan", wine)
    assert (done.returncode, done.stderr) == (0, "")
    for said in (
        "2, evaluated 2 times",
        "3 of 3 clients",
        "2 least, 2 median, 2 most",
        "everything in one process",
        "No privacy guarantee: the mean is not noised",
        "  - each client's update",
    ):
        assert said in done.stdout, done.stdout


def test_plan_counts_the_bytes_of_control_variates(tacit: Tacit, wine: Path) -> None:
    def cost(*changes: str) -> dict[str, float]:
        done = tacit("plan", wine, "--format", "json", *changes)
        found: dict[str, float] = json.loads(done.stdout)
        return found

    plain, scaffold = cost(), cost("--set", "strategy.kind=scaffold")
    parameters = 13 * 64 + 64 + 64 * 3 + 3
    assert plain["sizes"]["up"] > 4 * parameters  # type: ignore[index]
    assert scaffold["sizes"]["up"] > 2 * 4 * parameters  # type: ignore[index]
    counted = 2 * 3 * plain["sizes"]["counts"]  # type: ignore[index]
    assert plain["bytes_up"] == 2 * 3 * plain["sizes"]["up"] + counted  # type: ignore[index]
    assert plain["privacy"]["guarantee"] is None  # type: ignore[index]
    assert plain["seconds"]["training"] > 0  # type: ignore[index]


NOISED = ("--set", 'mechanism={kind="gaussian", clip=0.5}', "--set", "budget.epsilon=4.0")
ROWS = ("--set", "dpsgd={noise_multiplier=2.0}", "--set", "budget={epsilon=2.0, unit='example'}")


def test_plan_states_the_guarantee_before_anything_trains(tacit: Tacit, wine: Path) -> None:
    done = tacit("plan", wine, *NOISED, "--set", "budget.ledger=shared.db")
    assert (done.returncode, done.stderr) == (0, "")
    for said in (
        "privacy of a client",
        "gaussian, clip 0.5, noise multiplier 1.638 (calibrated to the budget)",
        "deviation 0.819 on the sum, 0.273 on the mean",
        "everyone: all 3, in every round",
        "ε = 3.70 by PLD, 4.00 by RDP, at most 3.71 by PRV, at δ = 1e-05 (add/remove)",
        "replace-one       ε = 8.36",
        "enough for 2 rounds",
        "About any one client",
        "before it adds the noise",
    ):
        assert said in done.stdout, done.stdout
    assert not (wine.parent / "shared.db").exists()


def test_plan_charges_no_client_though_it_measures_training(tacit: Tacit, wine: Path) -> None:
    done = tacit("plan", wine, *ROWS, "--set", "budget.ledger=shared.db", "--format", "json")
    found = json.loads(done.stdout)["privacy"]["example"]
    assert 0 <= found["rounds_left"][0] <= found["rounds_left"][1]
    assert found["epsilon"]["least"] <= found["epsilon"]["median"] <= found["epsilon"]["most"]
    assert sorted(path.name for path in wine.parent.iterdir()) == [
        "wine.toml",
    ]


def test_plan_warns_of_what_the_budget_or_delta_cannot_bear(tacit: Tacit, wine: Path) -> None:
    given = ("--set", "mechanism.noise_multiplier=3.5", "--set", "rounds=50")
    done = tacit("plan", wine, *NOISED, *given, "--set", "budget.delta=0.4")
    assert "δ = 0.4 is not below 1/3, the number of clients" in done.stderr
    done = tacit("plan", wine, *NOISED, *given)
    assert "of 50 rounds: the run would stop there" in done.stderr
    assert "at most ε = 4.00 at δ = 1e-05" in done.stdout


@pytest.mark.parametrize(
    "mechanism",
    [
        '{kind="adaptive", noise_multiplier=0.4, count_noise=0.5}',
        '{kind="local", clip=1.0, epsilon=3.0}',
    ],
)
def test_plan_knows_every_mechanism(tacit: Tacit, wine: Path, mechanism: str) -> None:
    done = tacit("plan", wine, "--set", f"mechanism={mechanism}", "--set", "insecure_noise_seed=1")
    assert done.returncode == 0, done.stderr
    assert "INSECURE: noise from a test seed protects nobody" in done.stdout
    assert "caution: insecure_noise_seed is set" in done.stderr
