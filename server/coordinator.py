"""The coordinator: one round, and the loop over rounds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..fairness.measuring import WHOLE, Counts, Measuring
from ..fairness.noise import audible
from ..fairness.statistics import add
from ..fairness.tables import Schema, add_tables
from ..privacy.account import EVALUATION, MODEL, Account
from ..privacy.event import Event, NonPrivate
from ..privacy.mechanism import Mechanism
from ..privacy.noise import Noise, Uniform
from ..privacy.secret import Secret, digest_of
from ..strategies.strategy import Released, ServerState, Strategy
from ..wire.errors import ClientsFailed, ClientsSpent
from ..wire.fold import Fold, from_fixed
from ..wire.lazy import each
from ..wire.messages import SPENT, Arrays, Instruction, Purpose, Settings
from ..wire.transport import Transport
from .admission import Admission
from .progress import Began, Committed, Evaluated, Failed, Observe, Refused
from .sampler import Cohort, Sampler
from .store import Store

POOLED = "(pooled)"
"""The holder of the pooled rows in a simulation: it is measured, and never takes part in a round."""

MECHANISM = "mechanism"
"""Under this name the state's memory holds the mechanism's."""


@dataclass(frozen=True, kw_only=True)
class Coordinator:
    """Runs rounds until there are `rounds` of them, going on from what the store holds.

    `clients` may take part; `measured` (a part of them, and `POOLED` in a simulation) hold rows to
    evaluate on, which happens every `evaluate_every` rounds and after the last; `measuring` says what is
    counted then. Of a cohort, `may_miss`
    members may fail before the run ends.

    Guarantees:
      - The final state depends on the arguments alone: not on crashes, nor on the order of arrival.
      - What happened is durable before it is observed, and a failure keeps every committed round.
      - A release is in the ledger, durably, before its noise is drawn. A round that is repeated after
        a crash releases the same bytes and is charged once, or other bytes and is charged again.

    Raises `BudgetSpent` before a round that the budget does not allow, `StoreError` if the ledger was
    altered or lacks what the store says was charged, and `ClientsFailed` if more clients raised than may
    miss, or every update of a round without noise was refused.
    """

    strategy: Strategy
    mechanism: Mechanism
    sampler: Sampler
    transport: Transport
    store: Store
    account: Account
    secret: Secret
    clients: Sequence[str] = field(repr=False)
    measured: Sequence[str] = field(repr=False)
    measuring: Measuring | None = None
    rounds: int
    seed: int
    settings: Settings
    evaluate_every: int = 1
    may_miss: int = 0
    observe: Observe = field(default=lambda progress: None, repr=False)

    def run(self, initial: Arrays) -> ServerState:
        """The state after the last round, starting at `initial` unless the store is further."""
        for head in _heads(self.store.history()):
            self.account.recognise(head)
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
        event = self.mechanism.event(self.sampler.sampling(len(self.clients)), number)
        self.store.begin(number)
        self.account.check(number, MODEL, event)
        cohort = self.sampler.sample(self.clients, number, self._coins(event, number))
        self.observe(Began(round=number, rounds=self.rounds, cohort=len(cohort.members)))
        instruction = self._instruction(Purpose.FIT, number, state)
        fold = self._gather(instruction, cohort.members, noised=event != NonPrivate())
        fold.sums = fold.sums or dict(self._blank(instruction))
        digest = digest_of(each(from_fixed, fold.sums))
        context = (MODEL, number, repr((self.mechanism, cohort.sampling)), digest)
        head = self.account.charge(number, MODEL, event, self.secret.fingerprint(*context))
        state = self._step(state, cohort, fold.take_total(), self.secret.stream(*context))
        record = Committed(
            round=number,
            cohort=len(cohort.members),
            admitted=len(fold.receipts),
            refused=len(fold.refusals),
            training=add(receipt.statistics for receipt in fold.receipts),
            seconds=time.monotonic() - began,
            ledger=head,
            terms=instruction.terms,
        )
        state = self.store.commit(state, record)
        self.observe(record)
        return state

    def evaluate(self, state: ServerState) -> None:
        """Measures `state` on the rows that were held out."""
        began = time.monotonic()
        instruction = self._instruction(Purpose.EVALUATE, state.round, state)
        if self.measuring is None or self.measuring.noise is None:
            evaluated = _as_counted(state.round, self._gather(instruction, self.measured))
        else:
            evaluated = self._noised(instruction, self.measuring.schema, self.measuring.noise)
        evaluated = replace(evaluated, seconds=time.monotonic() - began)
        self.store.measure(evaluated)
        self.observe(evaluated)

    def _noised(self, instruction: Instruction, schema: Schema, noise: Counts) -> Evaluated:
        """The noised sum of the tables, once it is charged; nothing is known of a single client."""
        number, event = instruction.round, noise.event(WHOLE, instruction.round)
        self.account.check(number, EVALUATION, event)
        fold = self._gather(instruction, self.measured, noised=True)
        fold.sums = fold.sums or dict(self._blank(instruction))
        context = (EVALUATION, number, repr(noise), digest_of(each(from_fixed, fold.sums)))
        head = self.account.charge(number, EVALUATION, event, self.secret.fingerprint(*context))
        released, _ = noise.release(fold.take_total(), WHOLE, {}, self.secret.stream(*context))
        total = dict(released or {})
        deviation = noise.deviation(len(fold.receipts))
        return Evaluated(
            round=number,
            everyone=audible(schema, total, deviation),
            total=total,
            deviation=deviation,
            answers=len(fold.receipts),
            ledger=head,
        )

    def _start(self, initial: Arrays) -> ServerState:
        state = _with_memory(self.strategy.init(initial), self.mechanism.begin())
        nothing = Committed(round=0, cohort=0, admitted=0, refused=0, training={}, seconds=0.0)
        return self.store.commit(state, nothing)

    def _step(self, state: ServerState, cohort: Cohort, total: Arrays, noise: Noise) -> ServerState:
        """The state after the release of `total`; what the mechanism remembers goes with it."""
        memory = state.memory.get(MECHANISM, {})
        mean, memory = self.mechanism.release(total, cohort.sampling, memory, noise)
        if mean is None:
            return state.unmoved()
        released = Released(mean=mean, participation=cohort.sampling.participation)
        state = self.strategy.step(state, released)
        return _with_memory(state, memory)

    def _coins(self, event: Event, round: int) -> Uniform:
        """What the cohort is drawn with: secret where privacy rests on it, else from the seed."""
        if event == NonPrivate():
            return np.random.default_rng([self.seed, round])
        return self.secret.stream("cohort", round)

    def _blank(self, instruction: Instruction) -> Arrays:
        admission = Admission(
            strategy=self.strategy, mechanism=self.mechanism, measuring=self.measuring
        )
        return admission.blank(instruction)

    def _is_due(self, round: int) -> bool:
        wanted = round > 0 and (round % self.evaluate_every == 0 or round == self.rounds)
        return bool(self.measured) and wanted and not self.store.is_measured(round)

    def _instruction(self, purpose: Purpose, round: int, state: ServerState) -> Instruction:
        fits = purpose is Purpose.FIT
        asks_for_fit = self.measuring is not None and self.measuring.schema.clipping
        return Instruction(
            round=round,
            purpose=purpose,
            seed=self.seed,
            parameters=self.strategy.start(state) if fits else state.parameters,
            extras=self.strategy.extras(state) if fits or asks_for_fit else {},
            settings=self.settings,
            terms=self.mechanism.terms(state.memory.get(MECHANISM, {})),
            run=self.account.run,
        )

    def _gather(
        self, instruction: Instruction, members: Sequence[str], *, noised: bool = False
    ) -> Fold:
        fold = self.transport.gather(instruction, members)
        for refusal in fold.refusals:
            self.observe(Refused(round=instruction.round, refusal=refusal))
        for failure in fold.failures:
            self.observe(Failed(round=instruction.round, failure=failure))
        if len(fold.failures) > self.may_miss:
            first = min(fold.failures, key=lambda failure: failure.client)
            raise ClientsFailed(
                instruction.round,
                f"{len(fold.failures)} of {len(members)} clients failed in round "
                f"{instruction.round}; the first is {first.client!r}: "
                f"{' '.join(first.error.split())}",
                fold.failures,
            )
        spent = [refusal for refusal in fold.refusals if refusal.reason.startswith(SPENT)]
        if members and len(spent) == len(members):
            raise ClientsSpent(
                f"All {len(members)} clients decline, the first for: {spent[0].reason}"
            )
        if members and not fold.receipts and not noised:
            reason = fold.refusals[0].reason if fold.refusals else fold.failures[0].error
            raise ClientsFailed(
                instruction.round,
                f"All {len(members)} updates of round {instruction.round} were refused, for "
                f"{reason!r}; if training diverges, lower train.learning_rate.",
            )
        return fold


def _heads(history: Sequence[tuple[Committed, Evaluated | None]]) -> list[str]:
    """The heads of the ledger once the last round, and the last evaluation with noise, were charged."""
    rounds = [committed.ledger for committed, _ in history]
    evaluations = [found.ledger for _, found in history if found and found.ledger]
    return [*rounds[-1:], *evaluations[-1:]] or [""]


def _as_counted(round: int, fold: Fold) -> Evaluated:
    """What each client said, as it said it."""
    clients = {receipt.client: receipt.statistics for receipt in fold.receipts}
    tables = {receipt.client: receipt.tables for receipt in fold.receipts if receipt.tables}
    return Evaluated(
        round=round,
        pooled=clients.pop(POOLED, {}),
        pooled_tables=tables.pop(POOLED, {}),
        clients=clients,
        answers=len(clients),
        everyone=add(clients.values()),
        tables=tables,
        total=add_tables(tables.values()),
    )


def _with_memory(state: ServerState, memory: Arrays) -> ServerState:
    """`state` with what the mechanism remembers beside what the strategy does."""
    return replace(state, memory={**state.memory, MECHANISM: memory}) if memory else state
