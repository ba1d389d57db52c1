"""A SQLite database whose commits are on the disk before they return."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import sqlalchemy as sql
from sqlalchemy.pool import NullPool

from .errors import StoreError

PATIENCE = 60.0
"""Seconds to wait for another process that is writing."""


class Database:
    """The tables of `metadata` in the file `path`. `close` it when done.

    Guarantees:
      - A transaction that returned survives a crash; one that raised or was cut short left nothing.
      - Transactions of several processes happen one after the other.

    Raises `StoreError` if the file holds something else, or the disk is full.
    """

    def __init__(self, path: Path, metadata: sql.MetaData) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{path.parent} cannot be made: {error}.") from error
        self._engine = sql.create_engine(
            sql.URL.create("sqlite", database=str(path)),
            poolclass=NullPool,
            connect_args={"timeout": PATIENCE},
        )
        sql.event.listen(self._engine, "connect", _make_durable)
        sql.event.listen(self._engine, "begin", _begin)
        with self.transaction() as connection:
            tables = set(sql.inspect(connection).get_table_names())
            if foreign := tables - metadata.tables.keys():
                raise StoreError(f"{path} is not a store: it holds {min(foreign)!r}.")
            self.is_new = not tables
            metadata.create_all(connection)

    @contextmanager
    def transaction(self) -> Iterator[sql.Connection]:
        """All of it or nothing; no other process writes meanwhile."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except sql.exc.DatabaseError as error:
            raise StoreError(
                f"{self.path}: {error.orig}. What was committed before is kept; "
                "free some space or check the folder, then resume."
            ) from error

    def forget(self) -> None:
        """Empties the log too of what was deleted; waits for whoever still reads from it.

        Raises `StoreError` if somebody reads for too long.
        """
        try:
            with closing(self._engine.raw_connection()) as connection:
                (found,) = connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            raise StoreError(f"{self.path} still holds what was deleted: {error}.") from error
        if found[0]:
            raise StoreError(
                f"{self.path} still holds what was deleted, because another process is reading it; "
                "end that process, then resume the run."
            )

    def close(self) -> None:
        """Lets go of the file."""
        self._engine.dispose()


def _make_durable(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None  # transactions begin where SQLAlchemy says
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten


def _begin(connection: sql.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
