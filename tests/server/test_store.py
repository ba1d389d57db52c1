"""The store: what was committed is found again bit for bit, and what is not a store is refused."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from contracts.bits import assert_same_bits, nested_bits
from contracts.postgresql import edit
from tacit.server import Committed, Evaluated, Store
from tacit.strategies import ServerState
from tacit.wire import Stored, StoreError, places


def state(round: int, size: int = 3) -> ServerState:
    """A state that is a function of its round, with NaN and -0.0 in it."""
    rng = np.random.default_rng(round)
    odd = np.array([np.nan, -0.0, np.inf], np.float32)
    return ServerState(
        round=round,
        parameters={"weight": rng.normal(size=(size, 2)).astype(np.float32), "odd": odd},
        memory={"m": {"weight": rng.normal(size=(size, 2))}, "v": {"a/b": rng.normal(size=1)}},
    )


def record(round: int) -> Committed:
    return Committed(
        round=round,
        cohort=5,
        admitted=4,
        refused=1,
        training={"examples": 40.0, "loss": 0.1 * round},
        seconds=0.25,
    )


def measured(round: int) -> Evaluated:
    clients = {"é/1": {"examples": 3.0, "correct": 2.0}, "b": {"examples": 1.0, "correct": 0.0}}
    return Evaluated(round=round, clients=clients, pooled={"examples": 9.0}, seconds=0.5)


def assert_same(found: ServerState | None, wanted: ServerState) -> None:
    assert found is not None
    assert found.round == wanted.round
    assert_same_bits(found.parameters, wanted.parameters)
    assert nested_bits(found.memory) == nested_bits(wanted.memory)


@pytest.fixture
def store(tmp_path: Path, rows: str | None) -> Iterator[Store]:
    found = Store(tmp_path / "run", rows)
    yield found
    found.close()


def objects(store: Store) -> list[Path]:
    return sorted((store.folder / "objects").iterdir())


@pytest.fixture
def where(store: Store, rows: str | None) -> Path | str:
    return rows or store.folder / "store.db"


@pytest.fixture
def file_store(tmp_path: Path) -> Iterator[Store]:
    """In SQLite: for what only a file can suffer."""
    with closing(Store(tmp_path / "run")) as found:
        yield found


def test_an_empty_store_has_neither_a_state_nor_a_history(store: Store) -> None:
    assert store.latest() is None
    assert store.history() == []
    assert not store.is_measured(0)


def test_what_was_committed_is_found_again_by_another_process(
    store: Store, rows: str | None
) -> None:
    for round in range(4):
        store.commit(state(round), record(round))
        store.close()
        again = Store(store.folder, rows)
        assert_same(again.latest(), state(round))
        assert again.history() == [(record(r), None) for r in range(1, round + 1)]
        again.close()


def test_what_a_commit_returns_lies_in_the_files_of_the_store(store: Store) -> None:
    found = store.commit(state(1), record(1))
    assert_same(found, state(1))
    assert isinstance(found.parameters, Stored)
    data = found.parameters.path.read_bytes()
    assert store.object(hashlib.sha256(data).hexdigest()) == found.parameters.path


def test_the_history_holds_evaluations_where_there_are_some(store: Store) -> None:
    for round in range(4):
        store.commit(state(round), record(round))
    store.measure(measured(3))
    store.measure(measured(1))
    wanted = [(record(1), measured(1)), (record(2), None), (record(3), measured(3))]
    assert store.history() == wanted
    assert [store.is_measured(round) for round in range(5)] == [False, True, False, True, False]


def test_a_round_that_was_begun_and_not_committed_leaves_the_state_before(
    store: Store, rows: str | None
) -> None:
    store.commit(state(1), record(1))
    store.measure(measured(1))
    for _ in range(2):
        store.begin(2)
        store.close()
        again = Store(store.folder, rows)
        assert_same(again.latest(), state(1))
        assert again.history() == [(record(1), measured(1))]
        again.close()
    store.commit(state(2), record(2))
    assert_same(store.latest(), state(2))


def test_a_round_that_is_committed_again_is_the_later_one(store: Store) -> None:
    store.commit(state(1), record(1))
    later = replace(state(9), round=1)
    store.commit(later, replace(record(1), admitted=2))
    assert_same(store.latest(), later)
    assert [found.admitted for found, _ in store.history()] == [2]


def test_states_of_the_last_two_rounds_are_kept_and_no_others(store: Store) -> None:
    for round in range(10):
        store.begin(round)
        store.commit(state(round), record(round))
        assert len(objects(store)) == min(round + 1, 2) * 2
    assert len(store.history()) == 9


def test_states_that_share_bytes_share_files_and_keep_them(store: Store) -> None:
    """Rounds to which nobody contributed: the sweep must not take what the latest still needs."""
    for round in range(5):
        store.commit(replace(state(7), round=round), record(round))
        assert_same(store.latest(), replace(state(7), round=round))
    assert len(objects(store)) == 2


@pytest.mark.parametrize("damage", ["flipped", "shortened", "emptied", "removed", "swapped"])
def test_an_altered_state_is_reported_and_not_used(store: Store, damage: str) -> None:
    store.commit(state(0), record(0))
    for path in objects(store):
        data = path.read_bytes()
        match damage:
            case "flipped":
                path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
            case "shortened":
                path.write_bytes(data[:-4])
            case "emptied":
                path.write_bytes(b"")
            case "removed":
                path.unlink()
            case "swapped":
                path.write_bytes(next(p for p in objects(store) if p != path).read_bytes())
        with pytest.raises(StoreError, match=r"altered|missing"):
            store.latest()
        path.write_bytes(data)
    assert_same(store.latest(), state(0))


def damaged_databases() -> dict[str, bytes]:
    return {
        "text": b"this is not a database " * 200,
        "a magic number": b"SQLite format 3\0" + b"\xff" * 4080,
    }


@pytest.mark.parametrize("content", damaged_databases().values(), ids=damaged_databases().keys())
def test_a_file_that_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "store.db").write_bytes(content)
    with pytest.raises(StoreError, match=r"store\.db"):
        Store(tmp_path)
    assert (tmp_path / "store.db").read_bytes() == content


@pytest.mark.parametrize("content", [None, b"", b"x"])
def test_states_without_their_database_are_not_started_over(
    file_store: Store, content: bytes | None
) -> None:
    """SQLite takes a file of no bytes, or of a few, for a new database."""
    file_store.commit(state(3), record(3))
    file_store.close()
    for path in file_store.folder.glob("store.db*"):
        path.unlink()
    if content is not None:
        (file_store.folder / "store.db").write_bytes(content)
    with pytest.raises(StoreError, match="missing or empty"):
        Store(file_store.folder)


@pytest.mark.parametrize(
    "table",
    ["other (x int)", "rounds (x int)", "rounds (round INTEGER PRIMARY KEY, committed TEXT)"],
)
def test_the_database_of_something_else_is_refused(
    tmp_path: Path, rows: str | None, table: str
) -> None:
    edit(rows or tmp_path / "store.db", f"CREATE TABLE {table}")
    with pytest.raises(StoreError, match=r"store\.db|postgresql://tacit@/"):
        use(tmp_path, rows)


def use(folder: Path, rows: str | None) -> None:
    with closing(Store(folder, rows)) as store:
        store.latest()
        store.commit(state(0), record(0))


def test_a_database_with_a_page_overwritten_is_reported(file_store: Store) -> None:
    for round in range(30):
        file_store.commit(state(round), record(round))
    file_store.close()
    path = file_store.folder / "store.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xee" * (len(data) - 4096)
    path.write_bytes(bytes(data))
    for read in (Store.latest, Store.history):
        with pytest.raises(StoreError, match="malformed"):
            read(Store(file_store.folder))


@pytest.mark.parametrize("column", ["committed", "evaluated"])
@pytest.mark.parametrize("text", ["{", "[]", "7", '{"round": 1}', '{"unknown": 1}', "null"])
def test_an_altered_row_is_reported_and_not_used(
    store: Store, where: Path | str, column: str, text: str
) -> None:
    store.commit(state(0), record(0))
    store.commit(state(1), record(1))
    store.measure(measured(1))
    edit(where, f"UPDATE rounds SET {column} = '{text}' WHERE round = 1")
    with pytest.raises(StoreError, match="altered"):
        store.history()


def test_a_row_that_names_a_file_elsewhere_is_not_followed(
    store: Store, where: Path | str, tmp_path: Path
) -> None:
    store.commit(state(0), record(0))
    (tmp_path / "elsewhere.safetensors").write_bytes(objects(store)[0].read_bytes())
    edit(where, "UPDATE rounds SET parameters = '../../elsewhere'")
    with pytest.raises(StoreError, match="altered"):
        store.latest()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("taken")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreError, match="file"):
            Store(folder)


FULL_DISK = """
import resource, sys
from pathlib import Path
import numpy as np
from tacit.server import Committed, Store
from tacit.strategies import ServerState
from tacit.wire import StoreError
store = Store(Path(sys.argv[1]), *sys.argv[2:])
big = ServerState(round=1, parameters={"w": np.zeros(100_000)})
record = Committed(round=1, cohort=1, admitted=1, refused=0, training={}, seconds=0.0)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    store.commit(big, record)
except StoreError as error:
    sys.exit(0)
sys.exit("nothing was raised")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no limit to the size of a file")
def test_a_full_disk_keeps_what_was_committed(store: Store, rows: str | None) -> None:
    """The limit on the size of a file stands for it: the write fails half way."""
    store.commit(state(0), record(0))
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(store.folder), *filter(None, [rows])],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert_same(store.latest(), state(0))
    assert len(objects(store)) == 2


def test_what_could_not_be_read_again_is_not_committed(store: Store) -> None:
    """More arrays than decoding accepts: better no commit than one that cannot be resumed."""
    store.commit(state(0), record(0))
    many = {str(i): np.zeros(1) for i in range(10_001)}
    with pytest.raises(Exception, match="at most 10000 arrays"):
        store.commit(ServerState(round=1, parameters=many), record(1))
    assert_same(store.latest(), state(0))


def test_a_copied_folder_is_the_same_store(store: Store, rows: str | None, tmp_path: Path) -> None:
    for round in range(3):
        store.commit(state(round), record(round))
    store.close()
    shutil.copytree(store.folder, tmp_path / "copy")
    copy = Store(tmp_path / "copy", rows)
    assert_same(copy.latest(), state(2))
    copy.close()


def test_a_seal_that_a_reader_keeps_from_the_log_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader still sees the secret; when it is gone, sealing again removes it."""
    monkeypatch.setattr(places, "PATIENCE", 0.1)
    store = Store(tmp_path)
    secret = store.secret().key
    with closing(sqlite3.connect(tmp_path / "store.db")) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM run").fetchall()
        with pytest.raises(StoreError, match="still holds what was deleted"):
            store.seal()
    store.seal()
    store.close()
    assert not [path for path in tmp_path.glob("*.db*") if secret in path.read_bytes()]


def test_a_committed_round_cannot_begin_again(store: Store) -> None:
    store.commit(state(1), record(1))
    with pytest.raises(StoreError, match="Round 1 is committed already"):
        store.begin(1)
    assert_same(store.latest(), state(1))
