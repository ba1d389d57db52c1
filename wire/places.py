"""Where tables live, and all in which SQLite and PostgreSQL differ."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sql
from filelock import FileLock, Timeout

from .errors import StoreError

if TYPE_CHECKING:
    import psycopg

PATIENCE: Final = 60.0
"""Seconds to wait for another process that is writing."""
OURS: Final = "tacit"
"""The comment of our tables in PostgreSQL, where tables of several kinds share a schema."""
NOTICING: Final = 5.0
"""Seconds in which a server should notice that a process died, which then holds no lock any more."""
EXPECTED: Final = "the path of a file, or a URL: postgresql://user:password@host:port/database"
DRIVERS: Final = ("postgresql", "postgres", "postgresql+psycopg")


class SQLite:
    """A file, which holds the tables of one kind."""

    ADVICE: Final = "free some space or check the folder"

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{path.parent} cannot be made: {error}.") from error

    def engine(self) -> sql.Engine:
        """A connection is kept open: whoever closes last waits until the log is in the file."""
        return sql.create_engine(
            sql.URL.create("sqlite", database=self.name),
            pool_size=1,
            connect_args={"timeout": PATIENCE},
            hide_parameters=True,
        )

    def connected(self, connection: sqlite3.Connection, _: object) -> None:
        """Makes what it commits durable, and what it deletes overwritten."""
        connection.isolation_level = None  # transactions begin where SQLAlchemy says
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")

    def begun(self, connection: sql.Connection) -> None:
        """Waits for other writers."""
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def neighbours(self, inspector: sql.Inspector) -> set[str]:
        """There are none."""
        return set()

    def reason(self, error: sql.exc.SQLAlchemyError) -> str:
        """What SQLite says."""
        return str(getattr(error, "orig", error))

    def forget(self, engine: sql.Engine) -> None:
        """Empties the log; waits for whoever still reads from it."""
        try:
            with closing(engine.raw_connection()) as connection:
                (found,) = connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            raise StoreError(f"{self.name} still holds what was deleted: {error}.") from error
        if found[0]:
            raise StoreError(
                f"{self.name} still holds what was deleted, because another process is reading it; "
                "end that process, then resume the run."
            )

    @contextmanager
    def locked(self, engine: sql.Engine, what: str) -> Iterator[None]:
        """By a lock on a file beside it."""
        lock = FileLock(f"{self.name}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise _taken(self.name) from None
        try:
            yield
        finally:
            lock.release()


class PostgreSQL:
    """The first schema of the search path of a database, which may hold tables of all our kinds.

    There is one connection, so that who holds the lock is who writes: when it is lost, so is the lock,
    and the next connection must get it before anything is written.
    """

    ADVICE: Final = "check the server and the URL"
    FIXED: Final = """
        SELECT current_setting('fsync') = 'on', current_schema() IS NOT NULL,
            set_config('search_path', quote_ident(current_schema()), false),
            set_config('synchronous_commit', CASE current_setting('synchronous_commit')
                WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false),
            set_config('lock_timeout', %s, false),
            set_config('tcp_keepalives_idle', '30', false),
            set_config('tcp_keepalives_interval', '10', false),
            set_config('tcp_keepalives_count', '3', false)"""
    LOCK: Final = """
        (%s, (SELECT oid::int4 FROM pg_namespace WHERE nspname = current_schema()))"""

    def __init__(self, url: str, metadata: sql.MetaData) -> None:
        self._url = _parsed(url)
        self.name = _shown(self._url)
        self._tables = " ".join(sorted(metadata.tables))
        self._holding = ""

    def engine(self) -> sql.Engine:
        """A connection that broke is replaced between two transactions, and never within one."""
        defaults = {"connect_timeout": "10", "application_name": "tacit"}
        url = self._url.update_query_dict({**defaults, **self._url.query})
        try:
            return sql.create_engine(
                url,
                isolation_level="READ COMMITTED",  # it sees all that was committed before the lock
                pool_size=1,
                max_overflow=0,
                pool_timeout=PATIENCE,
                pool_pre_ping=True,
                hide_parameters=True,
            )
        except ImportError as error:
            raise StoreError(
                f"{self.name} needs a driver that is not installed: pip install tacit[postgresql]"
            ) from error
        except (sql.exc.ArgumentError, ValueError):
            raise StoreError(f"{self.name}: its URL names a port that is none.") from None

    def connected(self, connection: psycopg.Connection[Any], _: object) -> None:
        """Makes what it commits durable, keeps to one schema, and takes the lock if it is held."""
        try:
            [found] = connection.execute(self.FIXED, [f"{PATIENCE:.0f}s"]).fetchall()
            if not found[0]:
                raise StoreError(
                    f"{self.name} has fsync = off: a crash could undo what it commits."
                )
            if not found[1]:
                raise StoreError(f"{self.name} has no schema that the search path names.")
            if self._holding:
                self._lock(connection)
            connection.commit()
        except BaseException:
            connection.close()
            raise

    def begun(self, connection: sql.Connection) -> None:
        """Waits for other writers of the same tables."""
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock{self.LOCK}", (self._number(""),))

    def neighbours(self, inspector: sql.Inspector) -> set[str]:
        """The tables with our comment."""
        comments = inspector.get_multi_table_comment()
        return {name for (_, name), comment in comments.items() if comment["text"] == OURS}

    def reason(self, error: sql.exc.SQLAlchemyError) -> str:
        """The first line of what the server says: the next ones may hold values."""
        first = str(getattr(error, "orig", error)).partition("\n")[0].rstrip(".")
        for password in filter(None, (self._url.password, self._url.query.get("password"))):
            first = first.replace(str(password), "***")
        return first

    def forget(self, engine: sql.Engine) -> None:
        """A server keeps logs and backups of its own: see `run.key`, without which they say nothing."""

    @contextmanager
    def locked(self, engine: sql.Engine, what: str) -> Iterator[None]:
        """By an advisory lock, which every connection that is made within it takes first."""
        self._holding = what
        engine.dispose()
        try:
            yield
        finally:
            self._holding = ""
            engine.dispose()

    def _lock(self, connection: psycopg.Connection[Any]) -> None:
        deadline = time.monotonic() + NOTICING
        query = f"SELECT pg_try_advisory_lock{self.LOCK}"
        while connection.execute(query, [self._number(self._holding)]).fetchall() == [(False,)]:
            if time.monotonic() > deadline:
                raise _taken(self.name)
            time.sleep(0.1)

    def _number(self, purpose: str) -> int:
        """Of a lock: another one for other tables."""
        digest = hashlib.sha256(f"{OURS} {purpose} {self._tables}".encode()).digest()
        return int.from_bytes(digest[:4], "big", signed=True)


def shown(url: str) -> str:
    """A URL without the password. Raises `StoreError` if it is none of PostgreSQL."""
    return _shown(_parsed(url))


def _taken(name: str) -> StoreError:
    return StoreError(f"{name} is in use by another coordinator; wait for it, or end it.")


def _parsed(url: str) -> sql.URL:
    """Never shows what it refuses: a part of it may be a part of a password."""
    try:
        found = sql.make_url(url)
    except (sql.exc.ArgumentError, ValueError):
        raise StoreError(f"A database is {EXPECTED}; this one cannot be read.") from None
    if found.drivername not in DRIVERS:
        raise StoreError(f"A database is {EXPECTED}, not {found.drivername}://.")
    if "@" in (found.host or "") or not found.database:
        raise StoreError(f"A database is {EXPECTED}; in a password, write @ as %40 and / as %2F.")
    return found.set(drivername="postgresql+psycopg")


def _shown(url: sql.URL) -> str:
    """Without the password, and without what may hold one."""
    query = {key: url.query[key] for key in ("host", "port") if key in url.query}
    return sql.URL.create(
        "postgresql",
        username=url.username,
        host=url.host,
        port=url.port,
        database=url.database,
        query=query,
    ).render_as_string()
