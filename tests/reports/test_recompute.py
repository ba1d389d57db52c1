"""An audit of a report finds any value that was changed, and any record that contradicts another."""

from __future__ import annotations

import json
import math
import shutil
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tacit.fairness import add
from tacit.reports.recompute import NOT_AUDITED, leaves, recompute
from tacit.reports.write import write_report
from tacit.server.store import Store
from tacit.simulations.config import make_config
from tacit.simulations.run import simulate
from tacit.simulations.run_folder import RunFolder
from tacit.wire.errors import StoreError

FILES = list(NOT_AUDITED)


def ran(place: Path, name: str, **changes: object) -> Path:
    table = {
        "rounds": 2,
        "baselines": ["pooled", "alone"],
        "data": {"name": "wine"},
        "partition": {"kind": "iid", "clients": 3},
        "mechanism": {"kind": "gaussian", "clip": 1.0, "noise_multiplier": 4.0},
        "budget": {"epsilon": 9.0, "ledger": str(place / "ledger.db")},
        "run": {"workers": 0},
        **changes,
    }
    simulate(make_config(table), folder=place / name)
    write_report(RunFolder(place / name))
    return place / name


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with a report, its ledger beside it."""
    return ran(tmp_path_factory.mktemp("audited"), "run")


@pytest.fixture(scope="module")
def spare(done: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of its report to change values in."""
    place = tmp_path_factory.mktemp("report")
    for name in FILES:
        shutil.copy(done / name, place / name)
    return place


@pytest.fixture(scope="module")
def skipped(done: Path) -> Collection[str]:
    """The values that are not compared."""
    return recompute(RunFolder(done)).skipped


@pytest.fixture
def folder(done: Path, tmp_path: Path) -> Path:
    """A copy of the run to change records in; they share a ledger."""
    shutil.copytree(done, tmp_path / "run")
    return tmp_path / "run"


def stored(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / "store.db")) as connection:
        connection.execute(statement)
        connection.commit()


def test_an_honest_report_holds_wherever_it_was_moved(done: Path, folder: Path) -> None:
    renamed = folder.rename(folder.with_name("another name"))
    for place in (done, renamed):
        found = recompute(RunFolder(place))
        assert found.holds
        assert (found.later, found.contradictions) == (0, [])
        assert found.values > 500


def test_every_value_is_compared_or_named_as_not_compared(done: Path) -> None:
    found = recompute(RunFolder(done))
    every = sum(len(list(leaves(json.loads((done / name).read_text())))) for name in FILES)
    assert found.values + len(found.skipped) == every
    assert len(found.skipped) < 25
    assert all(found.skipped.values())


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_any_single_value_that_was_changed_is_found(
    done: Path, spare: Path, skipped: Collection[str], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(FILES))
    table = json.loads((done / name).read_text())
    places = zip(leaves(table), slots(table), strict=True)
    compared = [(path, slot) for (path, _), slot in places if f"{name}: {path}" not in skipped]
    path, (holder, step) = data.draw(st.sampled_from(compared))
    old = holder[step]
    holder[step] = data.draw(st.sampled_from(others(old)))
    (spare / name).write_text(json.dumps(table))
    try:
        found = recompute(RunFolder(done), spare)
    finally:
        shutil.copy(done / name, spare / name)
    assert not found.holds, f"{name}: {path} was {old!r}"


def slots(table: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401 - JSON
    """Where each of the `leaves` is kept, in their order."""
    for step in table if isinstance(table, dict) else range(len(table)):
        if isinstance(table[step], dict | list) and table[step]:
            yield from slots(table[step])
        else:
            yield table, step


def others(old: object) -> list[object]:
    """Values that are not `old`; of a number, one that differs in its last bit."""
    match old:
        case bool():
            return [not old, int(old), None]
        case int():
            return [old + 1, old - 1, float(old), str(old)]
        case float():
            return [math.nextafter(old, math.inf), math.nextafter(old, -math.inf), -old - 1, None]
        case str():
            return [old + " ", old[1:] + "x", None]
        case _:
            return [0, "", [0]]


def test_a_value_that_is_missing_or_too_many_is_found(done: Path, spare: Path) -> None:
    table = json.loads((done / "report.json").read_text())
    del table["summary"]["loss"]
    table["summary"]["clients"]["client.9"] = {"accuracy": 1.0}
    (spare / "report.json").write_text(json.dumps(table))
    found = recompute(RunFolder(done), spare)
    shutil.copy(done / "report.json", spare / "report.json")
    assert {(d.path, d.stated == "(absent)") for d in found.differences} == {
        ("summary.loss", True),
        ('summary.clients["client.9"].accuracy', False),
    }


def test_runs_that_were_charged_later_change_nothing(done: Path, tmp_path: Path) -> None:
    budget = {"epsilon": 9.0, "ledger": str(done.parent / "ledger.db")}
    before = (done.parent / "ledger.db").read_bytes()
    try:
        ran(tmp_path, "another", seed=7, budget=budget)
        found = recompute(RunFolder(done))
    finally:
        (done.parent / "ledger.db").write_bytes(before)
    assert found.holds
    assert found.later == 2


RECORDS = {
    "a client's rows": ("evaluated", "'\"examples\": 12.0'", "'\"examples\": 11.0'", "holds out"),
    "who was admitted": ("committed", "'\"admitted\": 3'", "'\"admitted\": 2'", "round_committed"),
    "how long it took": ("evaluated", "'\"seconds\": '", "'\"seconds\": 9'", "evaluated has"),
    "the ledger's head": ("committed", '\'"ledger": "\'', '\'"ledger": "0\'', "are not in it"),
}


@pytest.mark.parametrize("what", list(RECORDS))
def test_a_store_that_contradicts_the_other_records_is_found(folder: Path, what: str) -> None:
    column, old, new, said = RECORDS[what]
    stored(folder, f"UPDATE rounds SET {column} = replace({column}, {old}, {new}) WHERE round = 2")
    assert any(said in text for text in recompute(RunFolder(folder)).contradictions)


def test_a_round_that_was_taken_out_of_the_store_is_found(folder: Path) -> None:
    stored(folder, "DELETE FROM rounds WHERE round = 2")
    write_report(RunFolder(folder))  # by someone who covers it up
    found = recompute(RunFolder(folder)).contradictions
    assert any("the store has not" in text for text in found)
    assert any("not the state of the last round" in text for text in found)


def test_another_model_or_configuration_is_found(folder: Path) -> None:
    with (folder / "model.safetensors").open("ab") as model:
        model.write(b" ")
    config = folder / "config.toml"
    config.write_text(config.read_text().replace("rounds = 2", "rounds = 3"))
    write_report(RunFolder(folder))
    found = recompute(RunFolder(folder)).contradictions
    assert any("config.toml is not" in text for text in found)
    assert any("not the model with which" in text for text in found)


def test_an_altered_count_is_found_unless_all_that_follows_from_it_is_altered_too(
    folder: Path,
) -> None:
    with closing(Store(folder)) as store:
        evaluated = store.history()[-1][1]
        assert evaluated is not None
        first, *others = evaluated.clients
        altered = {first: {**evaluated.clients[first], "correct": 0.0}}
        clients = altered | {name: evaluated.clients[name] for name in others}
        store.measure(replace(evaluated, clients=clients))
        alone = recompute(RunFolder(folder))
        store.measure(replace(evaluated, clients=clients, everyone=add(clients.values())))
        everywhere = recompute(RunFolder(folder))
    assert any("not the sum of those of clients" in text for text in alone.contradictions)
    assert everywhere.contradictions == []
    assert "summary.federated.rows" in {each.path for each in everywhere.differences}
    write_report(RunFolder(folder))
    assert recompute(RunFolder(folder)).holds  # as the help says: nothing seals it


def test_what_is_no_report_is_named(done: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is not there"):
        recompute(RunFolder(done), tmp_path)
    (tmp_path / "report.json").write_text("[")
    with pytest.raises(StoreError, match="cannot be read"):
        recompute(RunFolder(done), tmp_path)
    (tmp_path / "report.json").write_text("[]")
    with pytest.raises(StoreError, match="is no report"):
        recompute(RunFolder(done), tmp_path)
