"""A run whose rows are in PostgreSQL: the folder is of one run, the run of one folder and one process."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from contracts.bits import bits
from contracts.committing import record, state
from contracts.postgresql import Server, edit
from contracts.run import Run
from contracts.spending import noised
from tacit.server import Began, Progress, Store
from tacit.wire import StoreError


@pytest.fixture
def store(tmp_path: Path, database: str) -> Iterator[Store]:
    with closing(Store(tmp_path / "run", database)) as found:
        yield found


def names_password(error: pytest.ExceptionInfo[StoreError]) -> bool:
    return "s3cret" in str(error.value)


def test_a_run_ends_in_the_same_bits_wherever_its_rows_are(tmp_path: Path, database: str) -> None:
    here = Run(folder=tmp_path / "here")
    there = replace(here, folder=tmp_path / "there", rows=database)
    assert bits(here.start().parameters) == bits(there.start().parameters)
    assert here.history() == there.history()
    assert not list(there.folder.rglob("*.db"))


def test_a_run_goes_on_though_the_server_restarts_in_every_round(
    tmp_path: Path, database: str, server: Server
) -> None:
    def restart(progress: Progress) -> None:
        if isinstance(progress, Began):
            server.restart()

    run = replace(noised(tmp_path, database), rounds=3, observe=restart)
    assert run.start().round == 3
    with closing(run.ledger()) as ledger:
        assert [entry.round for entry in ledger.verify()] == [1, 2, 3]


def test_a_database_holds_many_runs_that_know_nothing_of_each_other(
    store: Store, database: str, tmp_path: Path
) -> None:
    with closing(Store(tmp_path / "other", database)) as other, store.locked(), other.locked():
        for number in range(2):
            store.commit(state(number), record(number))
        other.begin(1)
        assert other.latest() is None
        other.commit(state(0), record(0))
        other.seal()
        assert [committed for committed, _ in store.history()] == [record(1)]
        assert not store.is_sealed()
        latest = store.latest()
        assert latest is not None
        assert latest.memory
        assert store.run() != other.run()


def test_a_folder_is_not_used_with_an_empty_database_once_it_has_states(
    store: Store, server: Server
) -> None:
    store.commit(state(0), record(0))
    name = server.new()
    for _ in range(2):
        with pytest.raises(StoreError, match="does not hold the run of"):
            Store(store.folder, server.url(name))
    server.drop(name)


def test_a_folder_keeps_its_rows_in_one_place(store: Store, database: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="say the URL"):
        Store(store.folder)
    Store(tmp_path / "file").close()
    with pytest.raises(StoreError, match=r"in store\.db, not in PostgreSQL"):
        Store(tmp_path / "file", database)


def test_a_run_whose_row_was_never_written_begins_with_the_name_in_its_folder(
    store: Store, database: str
) -> None:
    """As if the process had been killed between the file and the row."""
    name = store.run()
    edit(database, "DELETE FROM run")
    with closing(Store(store.folder, database)) as again:
        assert again.run() == name


@pytest.mark.parametrize("content", [b"", b"[]", b'{"run": "x"}', b'{"run": "x", "half": "?"}'])
def test_a_damaged_key_is_reported(store: Store, database: str, content: bytes) -> None:
    (store.folder / "run.key").write_bytes(content)
    with pytest.raises(StoreError, match=r"run\.key is damaged"):
        Store(store.folder, database)


def test_neither_the_folder_nor_the_database_alone_has_the_secret(
    store: Store, database: str, server: Server
) -> None:
    key = store.secret().key
    assert store.secret().key == key
    [(half,)] = server.do("SELECT secret FROM run", database.partition("@/")[2].partition("?")[0])
    assert key not in (half, bytes(32))
    assert key.hex() not in (store.folder / "run.key").read_text()


def test_a_backup_from_before_the_seal_brings_no_secret_back(
    store: Store, database: str, server: Server
) -> None:
    key, name = store.secret().key, database.partition("@/")[2].partition("?")[0]
    [(half,)] = server.do("SELECT secret FROM run", name)
    store.commit(state(0), record(0))
    store.seal()
    edit(database, f"UPDATE run SET secret = '\\x{half.hex()}'")
    with closing(Store(store.folder, database)) as again:
        assert again.is_sealed()
        assert again.secret().key not in (key, half)


def test_a_second_coordinator_is_refused_and_a_reader_is_not(
    store: Store, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a copy of the folder, which no lock on a file could know of."""
    monkeypatch.setattr("tacit.wire.places.NOTICING", 0.3)
    store.commit(state(0), record(0))
    shutil.copytree(store.folder, tmp_path / "copy")
    with closing(Store(tmp_path / "copy", database)) as copy:
        with store.locked():
            with pytest.raises(StoreError, match="in use by another") as error, copy.locked():
                pass
            latest = copy.latest()
        assert latest is not None
        assert not names_password(error)
        with copy.locked():
            copy.commit(state(1), record(1))
