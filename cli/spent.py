"""What `tacit budget` shows: ε that was spent and is left, and how many more rounds it allows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from ..privacy.accountants import rdp_epsilon
from ..privacy.budget import Adjacency, Budget, Unit
from ..privacy.event import Event, Unaccountable
from ..privacy.ledger import Entry
from ..reports.charges import of_each_client
from ..reports.guarantee import (
    UNSEEN,
    cycle,
    is_noised,
    number,
    of_an_example,
    rounds_left,
)
from ..reports.ledgers import about, client_ledgers, counts_of, is_there, read_whole
from ..reports.records import read
from ..simulations.config import Config, read_config
from ..simulations.custody import clients_folder, lasting_ledger, shared_ledger
from ..simulations.rows import VARIABLE, database_of, ledger_of, named_database
from ..simulations.run_folder import RunFolder
from ..simulations.setup import prepare
from ..wire.database import Where, name_of
from ..wire.errors import StoreError
from . import console
from .options import Format
from .table import side_by_side


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Whose budget: a configuration, its ledger unless each run has one, each client's train rows.

    There are `clients`, whose rows are not known if they are those of a deployment.
    """

    config: Config
    ledger: Where | None
    clients: int
    rows: Mapping[str, int] = field(repr=False)

    @property
    def unseen(self) -> bool:
        """Whether each site has a ledger of its own about its rows, and none is here."""
        return self.config.dpsgd is not None and self.clients > 0 and not self.rows

    @classmethod
    def about(cls, source: Path, ledger: Path | None) -> Self:
        """What the TOML file or the run folder `source` says."""
        if source.is_dir():
            folder = RunFolder(source)
            records = read(folder)
            return cls(
                config=records.config,
                ledger=ledger or ledger_of(records.config, folder, database_of(folder)),
                clients=len(records.population.clients) if records.population else 0,
                rows=records.train_rows,
            )
        setup = prepare(read_config(source))
        splits = setup.population.clients
        rows = {name: split.train.stop - split.train.start for name, split in splits.items()}
        kept = ledger or lasting_ledger(setup.config)
        return cls(config=setup.config, ledger=kept, clients=len(rows), rows=rows)


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What the filter that decides (RDP) has counted; None is for what is not known, or has no bound.

    `rounds_left` is how often the configuration's own release still fits.
    """

    population: str
    unit: str
    runs: int
    releases: int
    spent: float | None
    budget: float | None
    remaining: float | None
    rounds_left: int | None
    delta: float
    adjacency: str


def show_spent(
    source: Path | None,
    ledger: Path | None,
    population: str | None,
    client: str | None,
    form: Format,
) -> None:
    """Shows it; nothing is created. Raises `StoreError` for a client that has no ledger."""
    where: Where | None
    unseen = False
    if source is not None:
        asked = Asked.about(source, ledger)
        where, unseen = asked.ledger, asked.unseen
        rows = list(_of_config(asked, population, client))
    else:
        where = path = ledger or shared_ledger()
        rows = list(_of_ledger(path, population, client))
    name = None if where is None else name_of(where)
    if client is not None and not rows:
        beside = f" beside {name}" if name else ""
        raise StoreError(
            f"The ledger of {client!r} is {UNSEEN}: ask that site for `tacit budget`."
            if unseen
            else f"{client!r} keeps no ledger{beside}: it was never charged."
        )
    if form is Format.JSON:
        console.emit({"ledger": name, "spent": [asdict(row) for row in rows]})
        return
    console.say(_where(where))
    if named_database() and not (source and source.is_dir()):
        console.note(
            f"{VARIABLE} is set: what `tacit serve` is charged is there; name a run folder to see it."
        )
    if unseen:
        console.say(f"The ledgers about single rows are {UNSEEN}.")
    for meaning in sorted({_meaning(row) for row in rows}):
        console.say(f"\nε {meaning}, as the filter counts it")
        head = ("population", "unit", "releases", "ε spent", "ε left", "rounds left")
        cells = [_cells(row) for row in rows if _meaning(row) == meaning]
        console.out().print(side_by_side(head, cells))


def _of_config(asked: Asked, population: str | None, client: str | None) -> Iterator[Spent]:
    """Clients, and the rows of the client that spent most (or of `client`), by the budgets of a run."""
    config, name = asked.config, population or asked.config.population_name
    if population is not None:
        section = config.budget and config.budget.model_copy(update={"population": population})
        config = config.model_copy(update={"budget": section})
    if client is None:
        budget = config.budget_of(Unit.CLIENT)
        own = about(read_whole(asked.ledger) if asked.ledger else [], name, Unit.CLIENT)
        noised = is_noised(config, Unit.CLIENT)
        releases = cycle(config, max(asked.clients, 1)) if noised else []
        yield _spent(name, Unit.CLIENT, own, budget, releases, 1)
    if config.dpsgd is None:
        return
    kept = of_each_client(config, asked.ledger) if asked.ledger else {}
    every = [
        _spent(f"{name}/{holder}", Unit.EXAMPLE, kept.get(holder, ()), *_fit(config, holder, rows))
        for holder, rows in asked.rows.items()
        if client is None or (client == holder and holder in kept)
    ]
    if every:
        yield max(every, key=lambda row: math.inf if row.spent is None else row.spent)


def _fit(config: Config, client: str, rows: int) -> tuple[Budget, list[Event], int]:
    """The budget of a row, the event of a step, and how many of them a round has."""
    ((event, steps),) = of_an_example(config, client, rows, 1).items()
    return config.budget_of(Unit.EXAMPLE), [event], steps


def _of_ledger(path: Path, population: str | None, client: str | None) -> Iterator[Spent]:
    """All that a ledger holds; it knows no budgets."""
    entries = read_whole(path)
    if client is not None:
        every = [entry for own in client_ledgers(clients_folder(path)) for entry in own]
        entries = [entry for entry in every if entry.population.endswith(f"/{client}")]
    for name, unit in sorted({(entry.population, entry.unit) for entry in entries}):
        if population is None or name == population or name.startswith(f"{population}/"):
            own = about(entries, name, Unit(unit))
            yield _spent(name, Unit(unit), own, Budget(epsilon=math.inf), [], 1)


def _spent(
    population: str,
    unit: Unit,
    entries: Sequence[Entry],
    budget: Budget,
    releases: Sequence[Event],
    each: int,
) -> Spent:
    counts = counts_of(entries)
    try:
        spent: float | None = rdp_epsilon(counts, budget.delta, budget.adjacency)
    except Unaccountable:
        spent = None
    left = rounds_left(counts, releases, budget) if releases else None
    known = spent is not None and math.isfinite(spent)
    return Spent(
        population=population,
        unit=unit,
        runs=len({entry.run for entry in entries}),
        releases=sum(entry.times for entry in entries),
        spent=spent if known else None,
        budget=budget.epsilon if budget.finite else None,
        remaining=budget.epsilon - spent if spent is not None and known and budget.finite else None,
        rounds_left=None if left is None else left // each,
        delta=budget.delta,
        adjacency=str(budget.adjacency),
    )


def _where(ledger: Where | None) -> str:
    if ledger is None:
        return "Every run has a ledger of its own: in a new one nothing is spent."
    if not is_there(ledger):
        return f"{name_of(ledger)}: there is no ledger yet, so nothing is spent."
    return f"ledger {name_of(ledger)}"


def _meaning(row: Spent) -> str:
    return f"at δ = {row.delta:.3g} ({Adjacency(row.adjacency).label})"


def _cells(row: Spent) -> list[str]:
    of = "" if row.budget is None else f" of {row.budget:g}"
    return [
        row.population,
        row.unit,
        f"{row.releases:,}",
        ("∞" if row.spent is None else number(row.spent)) + of,
        "–" if row.remaining is None else f"{max(row.remaining, 0.0):.3g}",
        "–" if row.rounds_left is None else f"{row.rounds_left:,}",
    ]
