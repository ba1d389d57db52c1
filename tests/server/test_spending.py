"""Whatever happens to a run, the ledger knows at least what was released, and nothing twice."""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from contracts.bits import bits
from contracts.killing import run_killer
from contracts.run import Run
from contracts.spending import MECHANISM, STEPS, check, cut, noised, spend
from tacit.privacy import Budget, Ledger, Unit
from tacit.server import Everyone, Poisson
from tacit.wire.errors import BudgetSpent, ClientsFailed, StoreError

KILLS = int(os.environ.get("TACIT_KILLS", "12"))
"""A quarter of them where the rows are in PostgreSQL: a server cleans up after the dead more slowly."""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9")
def test_after_many_random_kills_every_release_was_charged_and_none_twice(
    tmp_path: Path, rows: str | None
) -> None:
    kills = KILLS // 4 if rows else KILLS
    rounds = run_killer(spend, tmp_path / "run", kills, seed=3, rows=rows)
    assert rounds >= max(1, kills // 10), "it was killed before it did anything"


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
@pytest.mark.parametrize("step", STEPS)
def test_a_round_cut_at_any_step_is_charged_once_and_releases_the_same_bytes(
    step: str, tmp_path: Path, rows: str | None
) -> None:
    run = noised(tmp_path, rows)
    replace(run, rounds=2, evaluate_every=1000).start()
    cut(run, step, 3)
    before, entries = check(run)
    paid = step in ("charged", "released", "committing", "committed", "measured")
    assert len(entries) == 2 + paid
    assert before == (3 if step in ("committed", "measured") else 2)
    state = replace(run, rounds=3).start()
    rounds, after = check(run)
    assert (rounds, len(after)) == (3, 3)
    assert after[: len(entries)] == entries
    assert bits(state.parameters) == bits(run.stored().parameters)


def test_equal_runs_release_different_bytes(tmp_path: Path) -> None:
    """Their seeds are equal, their secrets are not."""
    run = replace(noised(tmp_path), rounds=1, sampler=Everyone(), measured=())
    other = replace(run, folder=tmp_path / "other")
    assert bits(run.start().parameters) != bits(other.start().parameters)


def test_a_repeated_round_with_another_sum_is_another_charge(tmp_path: Path) -> None:
    """A client dropped out meanwhile: the sum is another, so is the noise, and so is the price."""
    run = replace(noised(tmp_path), sampler=Everyone(), rounds=2, measured=())
    cut(run, "charged", 1)
    fewer = dict(list(run.data.items())[:3])
    fold_of_three = replace(run, data=fewer).start()
    ledger = Ledger(tmp_path / "ledger.db")
    entries = ledger.verify()
    ledger.close()
    assert fold_of_three.round == 2
    assert [entry.round for entry in entries] == [1, 1, 2]
    assert entries[0].fingerprint != entries[1].fingerprint


def test_a_spent_budget_stops_before_anyone_trains_and_keeps_the_last_model(
    tmp_path: Path,
) -> None:
    run = replace(noised(tmp_path), budget=Budget(epsilon=3.0, delta=1e-5))
    with pytest.raises(BudgetSpent, match="'wine'"):
        run.start()
    rounds, entries = check(run)
    assert len(entries) == rounds == run.stored().round > 2
    with pytest.raises(BudgetSpent):
        run.start()
    assert check(run) == (rounds, entries)


def test_another_run_of_the_same_population_finds_the_budget_as_it_was_left(
    tmp_path: Path,
) -> None:
    """A new run folder with the old ledger: nothing is reset."""
    run = replace(noised(tmp_path / "a"), budget=Budget(epsilon=3.0, delta=1e-5))
    with pytest.raises(BudgetSpent):
        run.start()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "ledger.db").rename(tmp_path / "b" / "ledger.db")
    with pytest.raises(BudgetSpent):
        replace(run, folder=tmp_path / "b").start()
    assert replace(run, folder=tmp_path / "b").stored().round == 0


def test_an_empty_cohort_releases_noise_and_is_charged_like_any_other(tmp_path: Path) -> None:
    run = Run(
        folder=tmp_path, rounds=3, mechanism=MECHANISM, sampler=Poisson(rate=1e-9), measured=()
    )
    before = run.initial()
    state = run.start()
    ledger = Ledger(tmp_path / "ledger.db")
    assert sum(ledger.counts("wine", Unit.CLIENT).values()) == 3
    ledger.close()
    for name, array in state.parameters.items():
        assert (array != before[name]).all(), "noise reaches every coordinate"


def test_without_noise_a_round_of_refusals_stops_the_run_and_with_noise_it_does_not(
    tmp_path: Path,
) -> None:
    """What one client sends must not decide whether the others' round happens."""
    wild = replace(noised(tmp_path).training, learning_rate=1e30)
    run = replace(noised(tmp_path / "noised"), rounds=2, training=wild, measured=())
    assert run.start().round == 2
    assert all(committed.admitted == 0 for committed, _ in run.history())
    with pytest.raises(ClientsFailed):
        Run(folder=tmp_path / "plain", rounds=2, training=wild).start()


def test_the_cohort_is_drawn_from_a_secret_and_not_from_the_seed(tmp_path: Path) -> None:
    """Two runs with the same seed and the same rows ask other clients."""
    asked: list[list[int]] = [[], []]
    for number in (0, 1):
        folder = tmp_path / str(number)
        replace(noised(folder), rounds=12, evaluate_every=1000).start()
        store = replace(noised(folder)).history()
        asked[number] = [committed.cohort for committed, _ in store]
    assert asked[0] != asked[1]


def test_a_missing_ledger_is_noticed_when_the_run_goes_on(tmp_path: Path) -> None:
    run = replace(noised(tmp_path), rounds=2)
    run.start()
    for path in tmp_path.glob("ledger.db*"):
        path.unlink()
    with pytest.raises(StoreError, match="is missing"):
        replace(run, rounds=3).start()


def test_an_altered_ledger_is_noticed_before_a_round_is_run_on_it(tmp_path: Path) -> None:
    """Raising the noise of what was charged would buy budget."""
    run = replace(noised(tmp_path), rounds=3)
    run.start()
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as database:
        database.execute("UPDATE ledger SET event = replace(event, '5.0', '9.0') WHERE round = 2")
        database.commit()
    with pytest.raises(StoreError, match="entry 2 was altered"):
        replace(run, rounds=4).start()
    fresh = replace(run, folder=tmp_path / "new")
    fresh.folder.mkdir()
    for path in tmp_path.glob("ledger.db*"):
        path.rename(fresh.folder / path.name)
    with pytest.raises(StoreError, match="entry 2 was altered"):
        fresh.start()
