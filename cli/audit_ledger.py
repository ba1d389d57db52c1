"""What `tacit audit ledger` finds: whether the chain is whole, and ε from the entries alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ..privacy.accounting import Verdict
from ..privacy.budget import Adjacency, Unit
from ..privacy.ledger import GENESIS, Entry
from ..reports.guarantee import number
from ..reports.ledgers import about, counts_of, is_there, read_whole
from ..reports.numbers import Reading, reading
from ..reports.records import read
from ..simulations.rows import database_of, ledger_of
from ..simulations.run_folder import RunFolder
from ..wire.database import Where, name_of
from ..wire.errors import StoreError
from . import console
from .options import AdjacencyName, Format
from .table import side_by_side


@dataclass(frozen=True, kw_only=True)
class Audited:
    """One population and unit, computed again: `epsilon` is None where nobody can say."""

    population: str
    unit: str
    runs: int
    releases: int
    epsilon: float | None
    by: str
    rdp: float | None
    pld: float | None
    prv: float | None
    delta: float
    adjacency: str


def audit_ledger(
    path: Path, head: str | None, delta: float, adjacency: AdjacencyName | None, form: Format
) -> None:
    """Shows what is found. Raises `StoreError` if anything is missing or altered."""
    ledger, kept = _named(path)
    name = name_of(ledger)
    if not is_there(ledger):
        raise StoreError(f"{name}: there is no ledger.")
    entries = read_whole(ledger)
    wanted = Adjacency(adjacency.value) if adjacency else None
    found = list(audited(entries, delta, wanted))
    _show(name, entries, found, form)
    _check_heads(name, entries, head, kept)
    if form is Format.TEXT:
        for text in _confirmed(head, kept):
            console.say(text)


def audited(
    entries: Sequence[Entry], delta: float, adjacency: Adjacency | None
) -> Iterator[Audited]:
    """ε of each population and unit, by every accountant that knows its events."""
    for population, unit in sorted({(entry.population, entry.unit) for entry in entries}):
        own = about(entries, population, Unit(unit))
        chosen, found = _read(own, delta, adjacency)
        judged: Verdict | None = found.verdict
        yield Audited(
            population=population,
            unit=unit,
            runs=len({entry.run for entry in own}),
            releases=sum(entry.times for entry in own),
            epsilon=found.value,
            by=found.by,
            rdp=judged.rdp if judged else None,
            pld=judged.pld if judged else found.value,
            prv=judged.prv if judged else None,
            delta=delta,
            adjacency=str(chosen),
        )


def _read(
    own: Sequence[Entry], delta: float, adjacency: Adjacency | None
) -> tuple[Adjacency, Reading]:
    """By the adjacency that was asked for, or the first under which all of it can be read."""
    counts = counts_of(own)
    wanted = [adjacency] if adjacency else list(Adjacency)
    for one in wanted:
        found = reading(counts, delta, one)
        if found.value is not None:
            break
    return one, found


def _named(path: Path) -> tuple[Where, dict[int, str]]:
    """The ledger, and the head after each committed round if `path` is a run folder."""
    if not path.is_dir():
        return path, {}
    folder = RunFolder(path)
    records = read(folder)
    heads = {committed.round: committed.ledger for committed, _ in records.history}
    return ledger_of(records.config, folder, database_of(folder)), heads


def _check_heads(
    ledger: str, entries: Sequence[Entry], head: str | None, kept: dict[int, str]
) -> None:
    known = {GENESIS, *(entry.hash for entry in entries)}
    if head is not None and head not in known:
        raise StoreError(
            f"{ledger}: {head[:16]} is not in the chain, which is whole: entries that were there "
            "once are missing. Bring the ledger back; what was spent stays spent."
        )
    if missing := [round for round, own in kept.items() if own not in known]:
        raise StoreError(
            f"{ledger}: {len(missing)} of {len(kept)} committed rounds are not in it, the first is "
            f"round {missing[0]}: the ledger is older than the run, or not the one it was charged in."
        )


def _confirmed(head: str | None, kept: dict[int, str]) -> Iterator[str]:
    yield "ok: the chain is whole."
    if head is not None:
        yield f"ok: {head[:16]} is in it."
    if kept:
        yield f"ok: all {len(kept)} committed rounds are in it."


def _show(ledger: str, entries: Sequence[Entry], found: Sequence[Audited], form: Format) -> None:
    last = entries[-1].hash if entries else GENESIS
    if form is Format.JSON:
        rows = [{**asdict(row), **_numbers(row)} for row in found]
        facts = {"ledger": ledger, "entries": len(entries), "head": last}
        console.emit({**facts, "chain": "whole", "populations": rows})
        return
    console.say(f"{ledger}: {len(entries):,} entries")
    console.say(f"head {last}")
    for meaning in sorted({_meaning(row) for row in found}):
        console.say(f"\nε {meaning}")
        head = ("population", "unit", "runs", "releases", "stated", "PLD", "RDP", "PRV")
        cells = [_cells(row) for row in found if _meaning(row) == meaning]
        console.out().print(side_by_side(head, cells))
    for row in found:
        if row.epsilon is None:
            console.caution(f"{row.population}, {row.unit}: {row.by}")


def _numbers(row: Audited) -> dict[str, float | str | None]:
    """Infinity as JSON has it."""
    values = {"epsilon": row.epsilon, "rdp": row.rdp, "pld": row.pld, "prv": row.prv}
    return {name: "infinite" if value == math.inf else value for name, value in values.items()}


def _meaning(row: Audited) -> str:
    return f"at δ = {row.delta:.3g} ({Adjacency(row.adjacency).label})"


def _cells(row: Audited) -> list[str]:
    numbers = (row.epsilon, row.pld, row.rdp, row.prv)
    return [
        row.population,
        row.unit,
        f"{row.runs:,}",
        f"{row.releases:,}",
        *("–" if value is None else number(value) for value in numbers),
    ]
