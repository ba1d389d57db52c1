"""The ledger: what was released about whom, in an order that nobody can change unseen.

It belongs to populations, not to runs: a new run, another process or a deleted run folder finds every
entry of the same population still there. Each entry carries the hash of the one before it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import sqlalchemy as sql

from ..wire.database import Database, Where
from ..wire.errors import BudgetSpent, StoreError
from ..wire.places import OURS
from .accountants import rdp_epsilon
from .accounting import affordable
from .budget import Budget, Unit
from .event import Event, from_json, to_json

GENESIS: Final = "0" * 64
"""What the first entry follows."""

_metadata = sql.MetaData()
_entries = sql.Table(
    "ledger",
    _metadata,
    sql.Column("sequence", sql.Integer, primary_key=True, autoincrement=False),
    sql.Column("population", sql.Text, nullable=False),
    sql.Column("unit", sql.String(16), nullable=False),
    sql.Column("run", sql.Text, nullable=False),
    sql.Column("round", sql.Integer, nullable=False),
    sql.Column("release", sql.Text, nullable=False),
    sql.Column("fingerprint", sql.String(64), nullable=False),
    sql.Column("event", sql.Text, nullable=False),
    sql.Column("times", sql.Integer, nullable=False),
    sql.Column("time", sql.Text, nullable=False),
    sql.Column("previous", sql.String(64), nullable=False),
    sql.Column("hash", sql.String(64), nullable=False, unique=True),
    sql.UniqueConstraint("population", "unit", "run", "round", "release", "fingerprint"),
    sql.Index("by_population", "population", "unit", "event"),
    comment=OURS,
)


@dataclass(frozen=True, kw_only=True)
class Key:
    """Who is charged for what: an entry with the same key and fingerprint is charged once.

    `fingerprint` names the bytes that are released, without revealing them; see `Secret`.
    """

    population: str
    unit: Unit
    run: str
    round: int
    release: str
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of the ledger. `previous` is the hash of the line before, `hash` that of this one."""

    sequence: int
    population: str
    unit: str
    run: str
    round: int
    release: str
    fingerprint: str
    event: str
    times: int
    time: str
    previous: str
    hash: str = ""

    def sealed(self) -> str:
        """SHA-256 over everything but `hash`, as canonical JSON."""
        table = {name: value for name, value in asdict(self).items() if name != "hash"}
        return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()


class Ledger:
    """The ledger at `where`: the path of a file, or a `postgresql://` URL. `close` it when done.

    Guarantees:
      - An entry is on the disk before `charge` returns, and then stays for good: there is no way to
        delete or alter one that `verify` does not notice.
      - Two charges that do not both fit into a budget never both succeed, whoever makes them.
      - A charge that was made before, by its key, is made once.

    Raises `StoreError` if something else is there, the disk is full, or no server can be reached.
    """

    def __init__(self, where: Where) -> None:
        self._where = where
        self._database = Database(where, _metadata)

    @property
    def name(self) -> str:
        """Where it is, for a message: without the password that a URL may hold."""
        return self._database.name

    @property
    def path(self) -> Path:
        """The file. Raises `StoreError` if it is in PostgreSQL."""
        if isinstance(self._where, Path):
            return self._where
        raise StoreError(f"{self.name} is no file, which is needed here.")

    def charge(self, key: Key, event: Event, budget: Budget, times: int = 1) -> Entry:
        """Writes `times` times `event` down, durably; what follows may then be released.

        Raises `BudgetSpent`, and writes nothing, if `budget` does not allow it.
        """
        with self._database.transaction() as connection:
            if found := connection.execute(sql.select(_entries).where(*_same(key))).first():
                return Entry(**found._mapping)
            _check(
                _counts(connection, key.population, key.unit), event, budget, times, key.population
            )
            last = connection.execute(_latest()).first()
            entry = Entry(
                sequence=last.sequence + 1 if last else 1,
                **asdict(key),
                event=to_json(event),
                times=times,
                time=datetime.now(UTC).isoformat(timespec="milliseconds"),
                previous=last.hash if last else GENESIS,
            )
            entry = replace(entry, hash=entry.sealed())
            connection.execute(_entries.insert().values(**asdict(entry)))
        return entry

    def check(self, population: str, unit: Unit, event: Event, budget: Budget) -> None:
        """Raises `BudgetSpent` unless `event` could be charged now."""
        _check(self.counts(population, unit), event, budget, 1, population)

    def is_charged(self, population: str, unit: Unit, run: str, round: int, release: str) -> bool:
        """Whether this release of this round was charged before, whatever its bytes were."""
        query = sql.select(_entries.c.sequence).where(
            _entries.c.population == population,
            _entries.c.unit == unit,
            _entries.c.run == run,
            _entries.c.round == round,
            _entries.c.release == release,
        )
        with self._database.transaction() as connection:
            return connection.execute(query).first() is not None

    def counts(self, population: str, unit: Unit) -> dict[Event, int]:
        """How often each event was charged to this population."""
        with self._database.transaction() as connection:
            return _counts(connection, population, unit)

    def entries(self, population: str | None = None, unit: Unit | None = None) -> list[Entry]:
        """All entries in order, or those of one population and unit."""
        query = sql.select(_entries).order_by(_entries.c.sequence)
        if population is not None:
            query = query.where(_entries.c.population == population)
        if unit is not None:
            query = query.where(_entries.c.unit == unit)
        with self._database.transaction() as connection:
            return [Entry(**row._mapping) for row in connection.execute(query)]

    def head(self) -> str:
        """The hash of the last entry: it stands for the whole ledger."""
        with self._database.transaction() as connection:
            last = connection.execute(_latest()).first()
        return str(last.hash) if last else GENESIS

    def knows(self, head: str) -> bool:
        """Whether `head` was ever the head: if not, entries are missing that were there once."""
        query = sql.select(_entries.c.sequence).where(_entries.c.hash == head)
        with self._database.transaction() as connection:
            return head == GENESIS or connection.execute(query).first() is not None

    def verify(self) -> list[Entry]:
        """All entries, if the chain is whole. Raises `StoreError` that names the first broken one."""
        entries = self.entries()
        verify_chain(entries, self.name)
        return entries

    def close(self) -> None:
        """Lets go of the file or the server."""
        self._database.close()


def verify_chain(entries: Sequence[Entry], where: str) -> None:
    """Raises `StoreError` unless each entry follows the one before, unaltered."""
    previous = GENESIS
    for number, entry in enumerate(entries, start=1):
        if entry.sequence != number or entry.previous != previous:
            raise StoreError(f"{where}: entry {number} does not follow the one before it.")
        if entry.hash != entry.sealed():
            raise StoreError(f"{where}: entry {number} was altered after it was written.")
        previous = entry.hash


def _check(
    counts: dict[Event, int], event: Event, budget: Budget, times: int, population: str
) -> None:
    if not budget.finite or affordable(counts, event, budget, times):
        return
    spent = rdp_epsilon(counts, budget.delta, budget.adjacency)
    raise BudgetSpent(
        f"The privacy budget of {population!r} is spent: {sum(counts.values())} releases took "
        f"ε = {spent:.4g}, and another would exceed {budget}."
    )


def _counts(connection: sql.Connection, population: str, unit: Unit) -> dict[Event, int]:
    query = (
        sql.select(_entries.c.event, sql.func.sum(_entries.c.times))
        .where(_entries.c.population == population, _entries.c.unit == unit)
        .group_by(_entries.c.event)
    )
    return {from_json(text): int(times) for text, times in connection.execute(query)}


def _same(key: Key) -> list[sql.ColumnElement[bool]]:
    return [_entries.c[name] == value for name, value in asdict(key).items()]


def _latest() -> sql.Select[tuple[int, str]]:
    columns = sql.select(_entries.c.sequence, _entries.c.hash)
    return columns.order_by(_entries.c.sequence.desc()).limit(1)
