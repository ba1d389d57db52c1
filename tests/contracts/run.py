"""Whole runs of a coordinator over real clients, in one process, on a real store."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from contracts.learning import in_memory, shards, wine, wine_task
from tacit.client import Data, Training, initial_parameters
from tacit.privacy import Account, Budget, Ledger, Mean, Mechanism, Unit
from tacit.server import (
    Committed,
    Coordinator,
    Evaluated,
    FixedSize,
    Observe,
    Progress,
    Sampler,
    Store,
)
from tacit.strategies import Scaffold, ServerState, Strategy
from tacit.wire import Arrays, Fold, InMemory, Instruction, Transport

SIZES = {"ann": 30, "bob": 12, "cyd": 25, "dan": 40}
Wrap = Callable[[InMemory], Transport]
History = list[tuple[Committed, Evaluated | None]]


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run that can be started again: by default SCAFFOLD, dropout and two clients of four.

    `rows` is the URL of a PostgreSQL database for its rows and its ledger; None is for SQLite.
    """

    folder: Path
    rows: str | None = None
    rounds: int = 4
    seed: int = 7
    strategy: Strategy = field(default_factory=Scaffold)
    mechanism: Mechanism = field(default_factory=lambda: Mean(weighting="examples"))
    budget: Budget = field(default_factory=lambda: Budget(epsilon=math.inf))
    sampler: Sampler = field(default_factory=lambda: FixedSize(size=2))
    training: Training = field(default_factory=lambda: Training(batch_size=8))
    data: Mapping[str, Data] = field(default_factory=lambda: shards(wine(), SIZES))
    measured: Sequence[str] = ("ann", "bob", "cyd", "dan")
    evaluate_every: int = 2
    wrap: Wrap = lambda transport: transport
    observe: Observe = lambda progress: None

    def start(self) -> ServerState:
        """Runs until the end, or until something raises; the store is closed either way."""
        store, ledger = self.store(), self.ledger()
        task = wine_task(dropout=0.2)
        transport = in_memory(
            self.data,
            task,
            self.strategy,
            self.mechanism,
            self.folder / "memory",
            self.rounds,
        )
        coordinator = Coordinator(
            strategy=self.strategy,
            mechanism=self.mechanism,
            sampler=self.sampler,
            transport=self.wrap(transport),
            store=store,
            account=Account(
                ledger=ledger,
                population="wine",
                unit=Unit.CLIENT,
                run=store.run(),
                budget=self.budget,
            ),
            secret=store.secret(),
            clients=list(self.data),
            measured=self.measured,
            rounds=self.rounds,
            seed=self.seed,
            settings=self.training.settings(),
            evaluate_every=self.evaluate_every,
            observe=self.observe,
        )
        try:
            return kept(coordinator.run(self.initial()))
        finally:
            store.close()
            ledger.close()

    def store(self) -> Store:
        return Store(self.folder / "store", self.rows)

    def ledger(self) -> Ledger:
        return Ledger(self.rows or self.folder / "ledger.db")

    def initial(self) -> Arrays:
        return initial_parameters(wine_task(dropout=0.2), self.seed)

    def watched(self) -> tuple[ServerState, list[Progress]]:
        """The final state, and everything that was observed."""
        seen: list[Progress] = []
        return replace(self, observe=seen.append).start(), seen

    def history(self) -> History:
        """What the store says happened, but for how long it took."""
        store = self.store()
        found = [
            (
                replace(committed, seconds=0.0, ledger=""),
                evaluated and replace(evaluated, seconds=0.0),
            )
            for committed, evaluated in store.history()
        ]
        store.close()
        return found

    def stored(self) -> ServerState:
        store = self.store()
        found = store.latest()
        assert found is not None
        found = kept(found)
        store.close()
        return found


def kept(state: ServerState) -> ServerState:
    """`state` in memory, to be read after its files are gone."""
    memory = {name: dict(arrays) for name, arrays in state.memory.items()}
    return replace(state, parameters=dict(state.parameters), memory=memory)


@dataclass(frozen=True, kw_only=True)
class Backwards:
    """A transport in which everyone arrives in the opposite order, each in a fold of its own."""

    inner: Transport

    def gather(self, instruction: Instruction, members: Sequence[str]) -> Fold:
        fold = Fold()
        for member in reversed(members):
            one = Fold()
            one.merge(self.inner.gather(instruction, [member]))
            one.merge(fold)
            fold = one
        return fold
