"""A database, whatever it is: one writer at a time, one holder of the lock, nothing of others' touched.

What PostgreSQL adds: servers that are away, restart or refuse, schemas, and passwords that stay unseen.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sql
from contracts.postgresql import PASSWORD, QUOTED, Server, edit
from tacit.wire.database import Database
from tacit.wire.errors import StoreError
from tacit.wire.places import OURS

METADATA = sql.MetaData()
LINES = sql.Table("lines", METADATA, sql.Column("text", sql.Text), comment=OURS)
OTHER = sql.MetaData()
sql.Table("others", OTHER, sql.Column("text", sql.Text), comment=OURS)


@pytest.fixture
def where(tmp_path: Path, rows: str | None) -> Path | str:
    return rows or tmp_path / "lines.db"


@pytest.fixture
def opened(where: Path | str) -> Iterator[Database]:
    with closing(Database(where, METADATA)) as found:
        yield found


def write(database: Database, text: str) -> None:
    with database.transaction() as connection:
        connection.execute(LINES.insert().values(text=text))


def write_half(database: Database, meanwhile: Callable[[], None]) -> None:
    with database.transaction() as connection:
        connection.execute(LINES.insert().values(text="half"))
        meanwhile()
        connection.execute(LINES.insert().values(text="the other half"))


def texts(database: Database) -> list[str]:
    with database.transaction() as connection:
        return list(connection.scalars(sql.select(LINES.c.text)))


def refusal(where: Path | str) -> str:
    """Why it cannot be opened: one line, and nowhere in what is printed is there a password."""
    with pytest.raises(StoreError) as caught:
        Database(where, METADATA)
    printed = "".join(traceback.format_exception(caught.value)).replace(str(where), "")
    for password in (PASSWORD, QUOTED, "s3cret", "odd%40", "odd@"):
        assert password not in printed
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_was_written_is_there_and_what_was_cut_short_is_not(
    opened: Database, where: Path | str
) -> None:
    write(opened, "é\n'")
    with pytest.raises(KeyError):
        write_half(opened, lambda: os.environ.__delitem__("NOT_THERE"))
    with closing(Database(where, METADATA)) as again:
        assert texts(again) == ["é\n'"]
        assert (opened.is_new, again.is_new) == (True, False)


def test_a_transaction_sees_all_that_was_committed_before_it_and_none_runs_beside_it(
    where: Path | str, opened: Database
) -> None:
    """Eight writers read how many lines there are and write the next number: each exactly once."""

    def count_up() -> None:
        with closing(Database(where, METADATA)) as own:
            for _ in range(10):
                with own.transaction() as connection:
                    number = connection.scalar(sql.select(sql.func.count()).select_from(LINES))
                    connection.execute(LINES.insert().values(text=str(number)))

    threads = [threading.Thread(target=count_up) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(int, texts(opened))) == list(range(80))


def test_the_threads_of_a_process_may_share_a_database(opened: Database) -> None:
    threads = [threading.Thread(target=write, args=(opened, str(n))) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(int, texts(opened))) == list(range(20))


def test_only_one_holds_the_lock_and_others_may_read(
    opened: Database, where: Path | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tacit.wire.places.NOTICING", 0.3)
    with closing(Database(where, METADATA)) as second:
        with opened.locked():
            write(opened, "first")
            with pytest.raises(StoreError, match="in use by another"), second.locked():
                pass
            assert texts(second) == ["first"]
        with second.locked():
            write(second, "second")
    assert texts(opened) == ["first", "second"]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9")
def test_the_lock_and_a_transaction_go_with_the_process_that_is_killed(
    opened: Database, where: Path | str
) -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        own = Database(where, METADATA)
        with own.locked(), own.transaction() as connection:
            connection.execute(LINES.insert().values(text="half"))
            os.write(writer, b"!")
            signal.pause()
    os.read(reader, 1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reader)
    os.close(writer)
    with opened.locked():
        write(opened, "whole")
    assert texts(opened) == ["whole"]


def test_the_tables_of_our_other_kinds_may_be_beside_them_and_nobody_elses(
    database: str, server: Server
) -> None:
    with closing(Database(database, OTHER)), closing(Database(database, METADATA)) as found:
        assert found.is_new
    edit(database, "CREATE TABLE patients (name text)")
    assert "holds 'patients'" in refusal(database)


def test_a_file_holds_tables_of_one_kind(tmp_path: Path) -> None:
    Database(tmp_path / "lines.db", OTHER).close()
    assert "holds 'others'" in refusal(tmp_path / "lines.db")


def test_schemas_of_one_database_are_places_of_their_own(database: str) -> None:
    edit(database, 'CREATE SCHEMA "Study 1"', "CREATE SCHEMA two")
    first = f"{database}&options=-csearch_path%3D%22Study%5C%201%22%2Cpublic"
    second = f"{database}&options=-csearch_path%3Dtwo%2Cpublic"
    for where in (database, first, second):
        with closing(Database(where, METADATA)) as own:
            assert own.is_new
            write(own, where)
            assert texts(own) == [where]
    with (
        closing(Database(first, METADATA)) as one,
        closing(Database(second, METADATA)) as two,
        one.locked(),
        two.locked(),
    ):
        write(one, "both")


def test_a_schema_that_is_not_there_is_refused(database: str) -> None:
    assert "no schema" in refusal(f"{database}&options=-csearch_path%3Dnowhere")


def test_a_server_that_restarts_between_transactions_is_found_again(
    database: str, server: Server
) -> None:
    with closing(Database(database, METADATA)) as found:
        write(found, "before")
        server.restart()
        write(found, "after")
        assert texts(found) == ["before", "after"]


def test_a_server_that_dies_in_a_transaction_leaves_nothing_of_it(
    database: str, server: Server
) -> None:
    with closing(Database(database, METADATA)) as found:
        with pytest.raises(StoreError, match="then resume"):
            write_half(found, server.restart)
        assert texts(found) == []


def test_a_lock_that_was_lost_with_the_server_is_taken_again_or_nothing_is_written(
    database: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tacit.wire.places.NOTICING", 0.3)
    with (
        closing(Database(database, METADATA)) as first,
        closing(Database(database, METADATA)) as second,
    ):
        with first.locked():
            server.restart()
            write(first, "still the holder")
            with pytest.raises(StoreError, match="in use by another"), second.locked():
                pass
            server.restart()
            with second.locked():
                with pytest.raises(StoreError, match="in use by another"):
                    write(first, "too late")
                write(second, "the new holder")
        assert texts(first) == ["still the holder", "the new holder"]


def test_commits_are_durable_whatever_the_user_or_the_database_says(
    database: str, server: Server
) -> None:
    server.do("ALTER ROLE tacit SET synchronous_commit = off")
    server.do("ALTER ROLE tacit SET default_transaction_isolation = 'serializable'")
    try:
        with closing(Database(database, METADATA)) as found, found.transaction() as connection:
            for setting, value in (("synchronous_commit", "on"), ("lock_timeout", "1min")):
                assert connection.exec_driver_sql(f"SHOW {setting}").scalar() == value
            shown = connection.exec_driver_sql("SHOW transaction_isolation").scalar()
            assert shown == "read committed"
    finally:
        server.do("ALTER ROLE tacit RESET ALL")


def test_a_server_that_does_not_wait_for_its_disk_is_refused(database: str, server: Server) -> None:
    server.do("ALTER SYSTEM SET fsync = off")
    server.restart()
    try:
        assert "fsync = off" in refusal(database)
    finally:
        server.do("ALTER SYSTEM RESET fsync")
        server.restart()


def test_a_wrong_password_a_missing_database_and_no_server_are_one_line_each(
    database: str, server: Server, tmp_path: Path
) -> None:
    assert "password authentication failed" in refusal(server.url("postgres", f"{QUOTED}x"))
    assert '"nowhere" does not exist' in refusal(server.url("nowhere"))
    assert "refused" in refusal(f"postgresql://tacit:{QUOTED}@127.0.0.1:1/study")
    assert "No such file" in refusal(f"postgresql://tacit:{QUOTED}@/study?host={tmp_path}")


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://tacit:{QUOTED}@host/study",
        f"postgresql+asyncpg://tacit:{QUOTED}@host/study",
        "postgresql://tacit:s3cret/with@odd@characters@host/study",
        f"postgresql://tacit:{QUOTED}@host",
        f"postgresql://tacit:{QUOTED}@host:port/study",
        f"postgresql://tacit@host/study?password={QUOTED}&port=x",
        f"postgresql://tacit@host/study?passwort={QUOTED}",
        QUOTED,
        "",
    ],
)
def test_a_url_that_is_none_is_refused_without_showing_its_password(url: str) -> None:
    assert re.match("A database is the path of a file|postgresql://tacit@host/", refusal(url))


def test_a_name_says_which_place_it_is_without_the_password(database: str) -> None:
    with closing(Database(database, METADATA)) as found:
        assert found.name.startswith("postgresql://tacit@/study")
        assert "s3cret" not in found.name + repr(found) + repr(vars(found))


def test_a_missing_driver_is_named_with_what_installs_it(tmp_path: Path) -> None:
    """In a process in which psycopg cannot be imported; SQLite works there as ever."""
    code = """
import sys
from pathlib import Path
sys.modules["psycopg"] = None
from tacit.privacy import Ledger
from tacit.wire import StoreError
Ledger(Path(sys.argv[1])).close()
try:
    Ledger("postgresql://tacit:s3cret@host/study")
except StoreError as error:
    sys.exit(str(error))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "ledger.db")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.strip() == (
        "postgresql://tacit@host/study needs a driver that is not installed: "
        "pip install tacit[postgresql]"
    )
