"""The ledger charges once, refuses what does not fit, and shows whatever was done to it."""

from __future__ import annotations

import math
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from contracts.postgresql import edit
from tacit.privacy import Account, Budget, Ledger, Unit
from tacit.privacy.accountants import rdp_epsilon
from tacit.privacy.event import Covered, Event, Gaussian, NonPrivate
from tacit.privacy.ledger import GENESIS, Key
from tacit.wire.errors import BudgetSpent, StoreError

EVENT = Gaussian(noise_multiplier=4.0)
KEY = Key(
    population="wine", unit=Unit.CLIENT, run="r", round=1, release="model", fingerprint="f" * 64
)
UNLIMITED, SIX = Budget(epsilon=math.inf), Budget(epsilon=6.0)


@pytest.fixture
def where(tmp_path: Path, rows: str | None) -> Path | str:
    return rows or tmp_path / "ledger.db"


@pytest.fixture
def ledger(where: Path | str) -> Iterator[Ledger]:
    opened = Ledger(where)
    yield opened
    opened.close()


def exhaust(ledger: Ledger) -> None:
    """Charges round after round of one run until the budget refuses."""
    for round in range(1, 1000):
        ledger.charge(replace(KEY, round=round), EVENT, SIX)


def fill(ledger: Ledger, rounds: int, event: Event = EVENT) -> None:
    for round in range(1, rounds + 1):
        ledger.charge(replace(KEY, round=round), event, UNLIMITED)


def test_a_charge_is_on_the_disk_when_it_returns(ledger: Ledger, where: Path | str) -> None:
    entry = ledger.charge(KEY, EVENT, SIX)
    other = Ledger(where)
    assert other.entries() == [entry]
    assert other.head() == entry.hash
    other.close()


def test_the_same_bytes_are_charged_once_and_other_bytes_again(ledger: Ledger) -> None:
    first = ledger.charge(KEY, EVENT, SIX)
    assert ledger.charge(KEY, EVENT, SIX) == first
    assert ledger.charge(replace(KEY, fingerprint="0" * 64), EVENT, SIX) != first
    assert ledger.counts("wine", Unit.CLIENT) == {EVENT: 2}


def test_what_does_not_fit_is_refused_and_leaves_nothing(ledger: Ledger) -> None:
    with pytest.raises(BudgetSpent, match=r"'wine' is spent: \d+ releases took"):
        exhaust(ledger)
    assert (allowed := len(ledger.entries())) > 3
    assert rdp_epsilon({EVENT: allowed}, SIX.delta, SIX.adjacency) <= 6.0
    assert rdp_epsilon({EVENT: allowed + 1}, SIX.delta, SIX.adjacency) > 6.0
    ledger.charge(replace(KEY, round=1), EVENT, SIX)  # paid for already


def test_a_spent_budget_is_spent_for_every_run_and_every_process(
    ledger: Ledger, where: Path | str
) -> None:
    with pytest.raises(BudgetSpent):
        exhaust(ledger)
    later = Ledger(where)
    with pytest.raises(BudgetSpent):
        later.charge(replace(KEY, run="another"), EVENT, SIX)
    later.charge(replace(KEY, population="beer"), EVENT, SIX)
    later.charge(replace(KEY, unit=Unit.EXAMPLE), EVENT, SIX)
    later.close()


def test_several_steps_are_one_entry_and_all_or_none_of_them(ledger: Ledger) -> None:
    ledger.charge(KEY, EVENT, SIX, times=10)
    assert ledger.counts("wine", Unit.CLIENT) == {EVENT: 10}
    with pytest.raises(BudgetSpent):
        ledger.charge(replace(KEY, round=2), EVENT, SIX, times=1000)
    assert ledger.counts("wine", Unit.CLIENT) == {EVENT: 10}


def test_a_release_without_noise_is_never_within_a_budget(ledger: Ledger) -> None:
    ledger.charge(KEY, NonPrivate(), UNLIMITED)
    with pytest.raises(BudgetSpent):
        ledger.charge(replace(KEY, round=2), EVENT, SIX)


def test_what_is_covered_costs_nothing(ledger: Ledger) -> None:
    for round in range(1, 50):
        ledger.charge(replace(KEY, round=round), Covered(), Budget(epsilon=1e-9))
    assert len(ledger.verify()) == 49


def test_racing_runs_never_spend_more_than_there_is(ledger: Ledger, where: Path | str) -> None:
    """Eight threads with connections of their own, one budget."""
    refused: list[int] = []

    def spend(worker: int) -> None:
        own = Ledger(where)
        for round in range(1, 30):
            try:
                own.charge(replace(KEY, run=str(worker), round=round), EVENT, SIX)
            except BudgetSpent:
                refused.append(worker)
        own.close()

    threads = [threading.Thread(target=spend, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = ledger.counts("wine", Unit.CLIENT)
    assert refused
    assert rdp_epsilon(counts, SIX.delta, SIX.adjacency) <= 6.0
    with pytest.raises(BudgetSpent):
        ledger.charge(replace(KEY, run="last"), EVENT, SIX)
    ledger.verify()


def alter(column: str, value: object) -> list[str]:
    return [f"UPDATE ledger SET {column} = {value!r} WHERE sequence = 3"]


TAMPERINGS: dict[str, list[str]] = {
    "an event": alter("event", '{"discrete":false,"kind":"gaussian","noise_multiplier":40.0}'),
    "a count": alter("times", 0),
    "a population": alter("population", "beer"),
    "a round": alter("round", 77),
    "a time": alter("time", "2020-01-01T00:00:00.000+00:00"),
    "a fingerprint": alter("fingerprint", "0" * 64),
    "a hash": alter("hash", "0" * 64),
    "a link": alter("previous", GENESIS),
    "one entry gone": ["DELETE FROM ledger WHERE sequence = 3"],
    "the first gone": ["DELETE FROM ledger WHERE sequence = 1"],
    "an order": [
        "UPDATE ledger SET sequence = 99 WHERE sequence = 3",
        "UPDATE ledger SET sequence = 3 WHERE sequence = 4",
        "UPDATE ledger SET sequence = 4 WHERE sequence = 99",
    ],
}


@pytest.mark.parametrize("what", TAMPERINGS)
def test_whatever_is_altered_is_noticed(what: str, ledger: Ledger, where: Path | str) -> None:
    fill(ledger, 5)
    edit(where, *TAMPERINGS[what])
    with pytest.raises(StoreError, match=r"entry \d (does not follow|was altered)"):
        ledger.verify()


def test_a_ledger_that_was_rolled_back_no_longer_knows_its_head(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    fill(ledger, 3)
    ledger.close()
    copy = (tmp_path / "ledger.db").read_bytes()
    later = Ledger(tmp_path / "ledger.db")
    fill(later, 5)
    head = later.head()
    later.close()
    for name in ("ledger.db-wal", "ledger.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / "ledger.db").write_bytes(copy)
    restored = Ledger(tmp_path / "ledger.db")
    restored.verify()
    account = Account(
        ledger=restored, population="wine", unit=Unit.CLIENT, run="r", budget=UNLIMITED
    )
    account.recognise(restored.head())
    with pytest.raises(StoreError, match="older than this run"):
        account.recognise(head)
    restored.close()


def test_an_empty_ledger_is_whole(ledger: Ledger) -> None:
    assert (ledger.verify(), ledger.head(), ledger.knows(GENESIS)) == ([], GENESIS, True)


def test_a_round_that_was_paid_for_is_not_checked_again(ledger: Ledger) -> None:
    account = Account(ledger=ledger, population="wine", unit=Unit.CLIENT, run="r", budget=SIX)
    with pytest.raises(BudgetSpent):
        exhaust(ledger)
    last = len(ledger.entries())
    account.check(last, "model", EVENT)
    with pytest.raises(BudgetSpent):
        account.check(last + 1, "model", EVENT)
    with pytest.raises(BudgetSpent):
        replace(account, run="another").check(last, "model", EVENT)


def test_a_file_that_is_no_ledger_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE patients (name TEXT)")
    with pytest.raises(StoreError, match="'patients'"):
        Ledger(path)
    (tmp_path / "text.db").write_text("this is not a database, but a text of some length" * 100)
    with pytest.raises(StoreError, match="not a database"):
        Ledger(tmp_path / "text.db")
