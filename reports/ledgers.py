"""Ledgers as they are found: read from a copy, so that looking leaves no trace and waits for nobody."""

from __future__ import annotations

import json
import shutil
import tempfile
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from ..privacy.accountants import Counts
from ..privacy.budget import Unit
from ..privacy.event import Event, from_json
from ..privacy.ledger import Entry, Ledger, verify_chain
from ..wire.database import Where, name_of
from ..wire.errors import StoreError

ATTEMPTS = 5
"""How often to copy a file that is written to meanwhile."""


def read_ledger(where: Where) -> list[Entry]:
    """All entries of the ledger at `where` in order, none if there is no such file.

    The chain is not verified; see `verify_chain`. Raises `StoreError` if no ledger is there.
    """
    if isinstance(where, Path):
        return _read_file(where)
    with closing(Ledger(where)) as ledger:
        return ledger.entries()


def is_there(where: Where) -> bool:
    """Whether a ledger was ever begun there; a database has one."""
    return not isinstance(where, Path) or where.is_file()


def _read_file(path: Path) -> list[Entry]:
    if not path.is_file():
        return []
    with tempfile.TemporaryDirectory(prefix="tacit-") as place:
        copy = _copied(path, Path(place))
        try:
            with closing(Ledger(copy)) as ledger:
                return ledger.entries()
        except StoreError as error:
            raise StoreError(str(error).replace(str(copy), str(path))) from error


def read_whole(where: Where) -> list[Entry]:
    """The same, verified. Raises `StoreError` as well if an entry was altered."""
    entries = read_ledger(where)
    verify_chain(entries, name_of(where))
    return entries


def client_ledgers(folder: Path) -> Iterator[list[Entry]]:
    """The entries of each client that keeps a ledger of its own below `folder`, verified."""
    for path in sorted(folder.glob("*/ledger.db")):
        if entries := read_whole(path):
            yield entries


def whole_part(entries: Sequence[Entry], where: str) -> tuple[Sequence[Entry], str | None]:
    """The entries up to the first that was altered or does not follow, and what is wrong with it."""
    try:
        verify_chain(entries, where)
    except StoreError as error:
        whole = bisect_left(range(len(entries)), True, key=lambda n: _breaks(entries[: n + 1]))
        return entries[:whole], str(error)
    return entries, None


def about(entries: Iterable[Entry], population: str, unit: Unit) -> list[Entry]:
    """Those that charge `unit` of `population`."""
    return [e for e in entries if e.population == population and e.unit == unit]


def counts_of(entries: Iterable[Entry]) -> dict[Event, int]:
    """How often each event was charged."""
    counts: dict[Event, int] = {}
    for entry in entries:
        event = from_json(entry.event)
        counts[event] = counts.get(event, 0) + entry.times
    return counts


def together(*parts: Counts) -> dict[Event, int]:
    """The sum of several counts."""
    found: dict[Event, int] = {}
    for part in parts:
        for event, times in part.items():
            found[event] = found.get(event, 0) + times
    return found


def run_lengths(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """The events in order, those that repeat in one run put together: enough to recompute ε."""
    found: list[dict[str, Any]] = []
    for entry in entries:
        event = json.loads(entry.event)
        if found and found[-1]["event"] == event and found[-1]["run"] == entry.run:
            found[-1]["times"] += entry.times
        else:
            found.append({"event": event, "times": entry.times, "run": entry.run})
    return found


def _breaks(entries: Sequence[Entry]) -> bool:
    try:
        verify_chain(entries, "")
    except StoreError:
        return True
    return False


def _copied(path: Path, place: Path) -> Path:
    """A copy of the database and its log, of one moment: neither changed while it was copied."""
    for _ in range(ATTEMPTS):
        before = _state(path)
        for file in place.iterdir():
            file.unlink()
        for file in _files(path):
            if file.exists():
                shutil.copy(file, place / file.name)
        if _state(path) == before:
            return place / path.name
    raise StoreError(f"{path} is being written to without a pause; try again.")


def _files(path: Path) -> tuple[Path, Path]:
    return path, path.with_name(f"{path.name}-wal")


def _state(path: Path) -> list[tuple[int, int] | None]:
    stats = [file.stat() if file.exists() else None for file in _files(path)]
    return [(stat.st_mtime_ns, stat.st_size) if stat else None for stat in stats]
