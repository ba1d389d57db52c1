"""The coordinator: one round, and the loop over rounds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..fairness.statistics import add
from ..privacy.mechanism import Mechanism
from ..strategies.strategy import Released, ServerState, Strategy
from ..wire.errors import ClientsFailed
from ..wire.fold import Fold
from ..wire.messages import Arrays, Instruction, Purpose, Settings
from ..wire.transport import Transport
from .progress import Began, Committed, Evaluated, Failed, Observe, Refused
from .sampler import Sampler
from .store import Store

POOLED = "(pooled)"
"""The holder of the pooled rows in a simulation: it is measured, and never takes part in a round."""


@dataclass(frozen=True, kw_only=True)
class Coordinator:
    """Runs rounds until there are `rounds` of them, going on from what the store holds.

    `clients` may take part; `measured` (a part of them, and `POOLED` in a simulation) hold rows to
    evaluate on, which happens every `evaluate_every` rounds and after the last.

    Guarantees:
      - The final state depends on the arguments alone: not on crashes, nor on the order of arrival.
      - What happened is durable before it is observed, and a failure keeps every committed round.

    Raises `ClientsFailed` if a client raised, or every update of a round was refused.
    """

    strategy: Strategy
    mechanism: Mechanism
    sampler: Sampler
    transport: Transport
    store: Store
    clients: Sequence[str] = field(repr=False)
    measured: Sequence[str] = field(repr=False)
    rounds: int
    seed: int
    settings: Settings
    evaluate_every: int = 1
    observe: Observe = field(default=lambda progress: None, repr=False)

    def run(self, initial: Arrays) -> ServerState:
        """The state after the last round, starting at `initial` unless the store is further."""
        state = self.store.latest() or self._start(initial)
        while True:
            if self._is_due(state.round):
                self.evaluate(state)
            if state.round >= self.rounds:
                return state
            state = self.round(state)

    def round(self, state: ServerState) -> ServerState:
        """One round."""
        number, began = state.round + 1, time.monotonic()
        self.store.begin(number)
        cohort = self.sampler.sample(self.clients, np.random.default_rng([self.seed, number]))
        self.observe(Began(round=number, rounds=self.rounds, cohort=len(cohort.members)))
        instruction = self._instruction(Purpose.FIT, number, state)
        fold = self._gather(instruction, cohort.members)
        if fold.receipts:
            released = self.mechanism.release(fold.total())
            state = self.strategy.step(
                state, Released(mean=released, participation=cohort.participation)
            )
        else:
            state = state.unmoved()
        record = Committed(
            round=number,
            cohort=len(cohort.members),
            admitted=len(fold.receipts),
            refused=len(fold.refusals),
            training=add(receipt.statistics for receipt in fold.receipts),
            seconds=time.monotonic() - began,
        )
        self.store.commit(state, record)
        self.observe(record)
        return state

    def evaluate(self, state: ServerState) -> None:
        """Measures `state` on the rows that were held out."""
        began = time.monotonic()
        instruction = self._instruction(Purpose.EVALUATE, state.round, state)
        fold = self._gather(instruction, self.measured)
        clients = {receipt.client: receipt.statistics for receipt in fold.receipts}
        evaluated = Evaluated(
            round=state.round,
            pooled=clients.pop(POOLED, {}),
            clients=clients,
            seconds=time.monotonic() - began,
        )
        self.store.measure(evaluated)
        self.observe(evaluated)

    def _start(self, initial: Arrays) -> ServerState:
        state = self.strategy.init(initial)
        nothing = Committed(round=0, cohort=0, admitted=0, refused=0, training={}, seconds=0.0)
        self.store.commit(state, nothing)
        return state

    def _is_due(self, round: int) -> bool:
        wanted = round > 0 and (round % self.evaluate_every == 0 or round == self.rounds)
        return bool(self.measured) and wanted and not self.store.is_measured(round)

    def _instruction(self, purpose: Purpose, round: int, state: ServerState) -> Instruction:
        return Instruction(
            round=round,
            purpose=purpose,
            seed=self.seed,
            parameters=state.parameters,
            extras=self.strategy.extras(state) if purpose is Purpose.FIT else {},
            settings=self.settings,
        )

    def _gather(self, instruction: Instruction, members: Sequence[str]) -> Fold:
        fold = self.transport.gather(instruction, members)
        for refusal in fold.refusals:
            self.observe(Refused(round=instruction.round, refusal=refusal))
        for failure in fold.failures:
            self.observe(Failed(round=instruction.round, failure=failure))
        if fold.failures:
            first = min(fold.failures, key=lambda failure: failure.client)
            raise ClientsFailed(
                instruction.round,
                f"{len(fold.failures)} of {len(members)} clients failed in round "
                f"{instruction.round}; the first is {first.client!r}: "
                f"{' '.join(first.error.split())}",
                fold.failures,
            )
        if members and not fold.receipts:
            raise ClientsFailed(
                instruction.round,
                f"All {len(members)} updates of round {instruction.round} were refused, for "
                f"{fold.refusals[0].reason!r}; if training diverges, lower train.learning_rate.",
            )
        return fold
