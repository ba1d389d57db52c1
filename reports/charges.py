"""What a run has charged, and everything else that its population was charged: ledgers and records."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ..privacy.account import EVALUATION, FIT
from ..privacy.accountants import Counts
from ..privacy.budget import Unit
from ..privacy.event import Event
from ..privacy.ledger import GENESIS, Entry
from ..server.progress import Committed, Evaluated
from ..simulations.config import Config
from ..simulations.custody import clients_folder
from ..simulations.rows import database_of, ledger_of
from ..simulations.run_folder import RunFolder
from ..wire.database import Where, name_of
from .guarantee import Bound, Spread, is_noised, of_an_example, spread
from .ledgers import about, client_ledgers, counts_of, read_ledger, together, whole_part
from .numbers import stated
from .records import Records


@dataclass(frozen=True, kw_only=True)
class Charges:
    """The ledger called `ledger` as a run left it, and those of its clients.

    In a deployment the clients keep theirs, and know alone how many `rows` they have: both are empty.
    `evaluated` are the evaluations whose counts were noised. `missing` are committed rounds that the
    ledger does not have: they are charged again from the configuration, and so are evaluations, so that a
    ledger that was lost makes no number smaller. `broken` says what is wrong
    with the chain, if anything is, and then `entries` end before it.
    """

    config: Config
    ledger: str
    entries: Sequence[Entry] = field(repr=False)
    clients: Mapping[str, Sequence[Entry]] = field(repr=False)
    names: Sequence[str] = field(repr=False)
    rows: Mapping[str, int] = field(repr=False)
    committed: Sequence[Committed] = field(repr=False)
    broken: str | None
    evaluated: Sequence[Evaluated] = field(default=(), repr=False)

    @property
    def size(self) -> int:
        """How many clients there are, at least; 0 if that is not known."""
        return len(self.names) or max((c.cohort for c in self.committed), default=0)

    @property
    def unseen(self) -> bool:
        """Whether what each client was charged is known to that client alone."""
        return bool(self.names) and not self.rows

    @cached_property
    def population(self) -> list[Entry]:
        """What was ever charged for whole clients of this population."""
        return about(self.entries, self.config.population_name, Unit.CLIENT)

    @cached_property
    def run(self) -> str | None:
        """The name of this run in the ledger."""
        by_hash = {entry.hash: entry.run for entry in self.population}
        found = (by_hash[c.ledger] for c in reversed(self.committed) if c.ledger in by_hash)
        return next(found, None)

    @property
    def own(self) -> list[Entry]:
        """What this run was charged."""
        return [entry for entry in self.population if entry.run == self.run]

    @cached_property
    def missing(self) -> list[int]:
        """Committed rounds without an entry."""
        known = {entry.hash for entry in self.population}
        return [c.round for c in self.committed if c.ledger not in known]

    @cached_property
    def missing_evaluations(self) -> list[int]:
        """The rounds after which what was counted about clients was released without an entry."""
        if self.config.dpsgd is not None:
            return []
        known = {entry.hash for entry in self.population}
        return [e.round for e in self.evaluated if e.ledger not in known]

    @property
    def head(self) -> str:
        """The hash that stands for the whole ledger."""
        return self.entries[-1].hash if self.entries else GENESIS

    def of_clients(self) -> dict[Event, int]:
        """Every event that a client was ever subject to, as the coordinator knows it."""
        return together(counts_of(self.population), self._recomputed())

    def of_examples(self) -> dict[str, dict[Event, int]]:
        """The same for the rows of each client, as its own ledger has it.

        Whoever has not charged an `unpaid` round is taken to have been in it.
        """
        if self.config.dpsgd is None:
            return {}
        found: dict[str, dict[Event, int]]
        found = {name: counts_of(entries) for name, entries in self.clients.items()}
        for name, rows in self.rows.items():
            if lacking := set(self.unpaid) - self.paid.get(name, set()):
                again = of_an_example(self.config, name, rows, len(lacking))
                found[name] = together(found.get(name, {}), again)
            unpaid = self.unpaid_evaluations - self.paid_evaluations.get(name, set())
            found[name] = together(found.get(name, {}), self.config.evaluate.releases(len(unpaid)))
        return found

    @cached_property
    def paid(self) -> dict[str, set[int]]:
        """The rounds of this run that each client has charged to itself."""
        return self._paid(FIT)

    @cached_property
    def paid_evaluations(self) -> dict[str, set[int]]:
        """The rounds of this run after which each client has charged an evaluation to itself."""
        return self._paid(EVALUATION)

    def _paid(self, release: str) -> dict[str, set[int]]:
        return {
            name: {e.round for e in entries if e.run == self.run and e.release == release}
            for name, entries in self.clients.items()
        }

    @cached_property
    def unpaid_evaluations(self) -> set[int]:
        """The rounds after which fewer clients have charged themselves than answered."""
        if self.config.dpsgd is None:
            return set()
        paid = [number for rounds in self.paid_evaluations.values() for number in rounds]
        return {e.round for e in self.evaluated if paid.count(e.round) < e.answers}

    @cached_property
    def unpaid(self) -> list[int]:
        """Committed rounds that fewer clients have charged to themselves than sent an update."""
        return [c.round for c in self.committed if self._payers(c.round) < c.admitted]

    @property
    def partly_paid(self) -> list[int]:
        """Committed rounds that fewer clients have charged to themselves than were asked."""
        return [c.round for c in self.committed if self._payers(c.round) < c.cohort]

    def _payers(self, round: int) -> int:
        return sum(round in rounds for rounds in self.paid.values())

    def of_client_epsilon(self) -> float:
        """ε of a client, infinite if nothing bounds it."""
        budget = self.config.budget_of(Unit.CLIENT)
        return stated(self.of_clients(), budget.delta, budget.adjacency)

    def of_example_spread(self) -> Spread | None:
        """ε of a row over clients; None if no row has been used."""
        found = self.of_examples()
        return spread(found, self.config.budget_of(Unit.EXAMPLE)) if found else None

    def bounds(self) -> list[Bound]:
        """What is known of each unit that the configuration protects; perhaps that nothing bounds it."""
        found = []
        if is_noised(self.config, Unit.CLIENT):
            budget = self.config.budget_of(Unit.CLIENT)
            epsilon = self.of_client_epsilon()
            found.append(Bound(unit=Unit.CLIENT, epsilon=epsilon, budget=budget))
        if is_noised(self.config, Unit.EXAMPLE):
            found.append(self._of_rows())
        return found

    def _of_rows(self) -> Bound:
        budget, most = self.config.budget_of(Unit.EXAMPLE), self.of_example_spread()
        if self.unseen:
            return Bound(unit=Unit.EXAMPLE, epsilon=math.inf, budget=budget, unseen=True)
        return Bound(unit=Unit.EXAMPLE, epsilon=most.most if most else 0.0, budget=budget)

    def _recomputed(self) -> Counts:
        sampling = self.config.sampler.sampling(self.size) if self.missing else None
        events = [self.config.mechanism.event(sampling, n) for n in self.missing if sampling]
        evaluations = self.config.evaluate.releases(len(self.missing_evaluations))
        return together(*({event: 1} for event in events), evaluations)


def charges(records: Records) -> Charges:
    """What the run of `records` was charged. Raises `StoreError` if a ledger is no ledger."""
    config = records.config
    folder = RunFolder(records.folder)
    where = ledger_of(config, folder, database_of(folder))
    entries, broken = whole_part(read_ledger(where), name_of(where))
    return Charges(
        config=config,
        ledger=name_of(where),
        entries=entries,
        clients={} if records.is_deployment else of_each_client(config, where),
        names=list(records.population.clients) if records.population else [],
        rows=records.train_rows,
        committed=[committed for committed, _ in records.history],
        evaluated=[found for _, found in records.history if found and found.deviation],
        broken=broken,
    )


def of_each_client(config: Config, ledger: Where) -> dict[str, list[Entry]]:
    """What the clients' own ledgers, beside the one at `ledger`, hold about their rows, by client."""
    if config.dpsgd is None or not isinstance(ledger, Path):
        return {}
    found: dict[str, list[Entry]] = {}
    start = f"{config.population_name}/"
    for entries in client_ledgers(clients_folder(ledger)):
        for entry in entries:
            if entry.unit == Unit.EXAMPLE and entry.population.startswith(start):
                found.setdefault(entry.population.removeprefix(start), []).append(entry)
    return found
