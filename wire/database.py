"""Tables whose commits are on the disk before they return: in a SQLite file, or in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sql

from .errors import StoreError
from .places import PostgreSQL, SQLite, shown

Where = Path | str
"""The path of a file, or a `postgresql://` URL, which may hold a password: show `name_of` it."""


def name_of(where: Where) -> str:
    """For people: without the password that a URL may hold."""
    return str(where) if isinstance(where, Path) else shown(where)


class Database:
    """The tables of `metadata` at `where`: the path of a file, or a `postgresql://` URL.

    `close` it when done. In PostgreSQL they are in the first schema of the search path.

    Guarantees:
      - A transaction that returned survives a crash; one that raised or was cut short left nothing,
        unless the server was lost while it committed: then it left all or nothing.
      - Transactions of several processes happen one after the other.
      - `name`, which is in every message, says where this is without a URL's password.

    Raises `StoreError` if something else is there, the disk is full, or no server can be reached.
    """

    def __init__(self, where: Where, metadata: sql.MetaData) -> None:
        self._place = SQLite(where) if isinstance(where, Path) else PostgreSQL(where, metadata)
        self.name = self._place.name
        self._engine = self._place.engine()
        sql.event.listen(self._engine, "connect", self._place.connected)
        sql.event.listen(self._engine, "begin", self._place.begun)
        try:
            with self.transaction() as connection:
                inspector = sql.inspect(connection)
                tables = set(inspector.get_table_names())
                self.is_new = not tables & metadata.tables.keys()
                strange = tables - metadata.tables.keys() - self._place.neighbours(inspector)
                if strange:
                    raise StoreError(f"{self.name} is not a store: it holds {min(strange)!r}.")
                metadata.create_all(connection)
        except BaseException:
            self.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[sql.Connection]:
        """All of it or nothing; no other process writes meanwhile."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except (sql.exc.DBAPIError, sql.exc.TimeoutError) as error:
            raise StoreError(
                f"{self.name}: {self._place.reason(error)}. What was committed before is kept; "
                f"{self._place.ADVICE}, then resume."
            ) from error

    def forget(self) -> None:
        """Empties the log too of what was deleted, where it is a file of ours.

        Raises `StoreError` if somebody reads from it for too long.
        """
        self._place.forget(self._engine)

    @contextmanager
    def locked(self, what: str = "all") -> Iterator[None]:
        """Within it nobody else can be within that of `what`, or in a file within that of anything.

        The lock goes when the process does.

        Raises `StoreError` if somebody is. If a server was lost on the way, so was the lock: then the
        next transaction gets it again, or raises.
        """
        with self._place.locked(self._engine, what):
            with self.transaction():
                pass  # what connects takes the lock
            yield

    def close(self) -> None:
        """Lets go of the file or the server."""
        self._engine.dispose()
