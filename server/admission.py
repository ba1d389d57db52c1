"""Which updates are let in. What is not is refused with a reason and counted, never averaged in."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np

from ..fairness.measuring import Measuring
from ..fairness.tables import Schema
from ..privacy.mechanism import Mechanism
from ..strategies.strategy import Strategy, still
from ..wire.arrays import Stored, layout
from ..wire.fold import Fold
from ..wire.messages import EXAMPLES, Arrays, Instruction, Purpose, Receipt, Refusal, Update
from ..wire.transport import Receive

MOST = 2**53
"""The most rows that a client may claim; exact in float64."""
MOST_STATISTICS = 64
LONGEST = 200
"""Characters in the name of a statistic, which is shown and kept."""
MOST_STATISTIC = 1e300
"""The largest statistic let in, so that a sum of them is finite."""


@dataclass(frozen=True, kw_only=True)
class Admission:
    """Opens a gate for the answers to one instruction; see `Gate`."""

    strategy: Strategy
    mechanism: Mechanism
    measuring: Measuring | None = None

    def open(self, instruction: Instruction, members: Collection[str]) -> Receive:
        """The gate through which the answers of `members` to `instruction` come."""
        gate = Gate(
            mechanism=self._mechanism(instruction),
            instruction=instruction,
            members=frozenset(members),
            expected=self.expected(instruction),
            schema=self.measuring.schema if self.measuring is not None else None,
        )
        return gate.receive

    def blank(self, instruction: Instruction) -> Arrays:
        """A fold's sums if nobody contributes: zeros."""
        expected = self.expected(instruction)
        mechanism = self._mechanism(instruction)
        if not expected or mechanism is None:
            return {}
        bounded = mechanism.bound(expected, 0, instruction.terms)
        return {name: np.zeros(bounded[name].shape, np.int64) for name in sorted(bounded)}

    def expected(self, instruction: Instruction) -> Arrays:
        """The layout of what the client half of the strategy contributes, or of what is counted."""
        if instruction.purpose is Purpose.EVALUATE and self.measuring is not None:
            return self.measuring.schema.zeros()
        if instruction.purpose is not Purpose.FIT:
            return {}
        fitted = still(instruction.parameters)
        return layout(self.strategy.contribute(fitted, instruction.extras, {})[0])

    def _mechanism(self, instruction: Instruction) -> Mechanism | None:
        """What bounds an answer; None where it is kept as it is."""
        if instruction.purpose is Purpose.FIT:
            return self.mechanism
        return self.measuring.noise if self.measuring is not None else None


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Admits an update, has it bounded by the mechanism, and folds it in.

    Without a mechanism nothing is added up: what was expected are the tables of an evaluation that
    nothing protects, and each client's are kept with its receipt.

    Guarantees:
      - Whatever an update holds, it either adds exactly its bounded contribution, once, or leaves
        the fold's sum untouched and adds one `Refusal`.
      - The sum over all members fits into int64.
    """

    mechanism: Mechanism | None = field(repr=False)
    instruction: Instruction
    members: frozenset[str] = field(repr=False)
    expected: Arrays = field(repr=False)
    schema: Schema | None = field(default=None, repr=False)

    def receive(self, fold: Fold, update: Update) -> None:
        """Folds `update` in, or notes why not."""
        if reason := self._objection(fold, update):
            fold.refusals.append(Refusal(client=update.client, reason=reason))
            return
        receipt = Receipt(
            client=update.client,
            examples=update.examples,
            statistics=update.statistics,
            tables=dict(update.contribution) if self.mechanism is None else {},
        )
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # what comes of it is refused
                fold.add(self._bounded(update), receipt, len(self.members))
        except ValueError:
            reason = _spoiled(update.contribution) or "too large to be summed exactly"
            fold.refusals.append(Refusal(client=update.client, reason=reason))

    def _bounded(self, update: Update) -> Arrays:
        """What is added of it: nothing of an answer that is kept as it is."""
        if not self.expected or self.mechanism is None:
            return {}
        terms = self.instruction.terms
        return self.mechanism.bound(update.contribution, update.examples, terms)

    def _objection(self, fold: Fold, update: Update) -> str | None:
        if update.client not in self.members:
            return "unknown client: not a member of this round's cohort"
        if update.client in fold:
            return "duplicate: this client has answered already"
        if update.round != self.instruction.round:
            return f"wrong round: answers {update.round} in round {self.instruction.round}"
        if not update.examples <= MOST:  # also refuses NaN
            return "too many rows: more than anyone has"
        if update.examples < (1 if self.instruction.purpose is Purpose.FIT else 0):
            return "no rows: an update must rest on at least one"
        if len(update.statistics) > MOST_STATISTICS:
            return f"too many statistics: more than {MOST_STATISTICS}"
        if not all(len(name) <= LONGEST and name.isprintable() for name in update.statistics):
            return f"a statistic without a name of at most {LONGEST} printable characters"
        if update.statistics.get(EXAMPLES, update.examples) != update.examples:
            return "statistics of other rows: they count more or fewer than the update"
        if not all(abs(value) <= MOST_STATISTIC for value in update.statistics.values()):
            return "not finite: the statistics hold NaN or infinity"
        return self._array_objection(update.contribution) or self._table_objection(update)

    def _table_objection(self, update: Update) -> str | None:
        """Tables that are kept are added up later, and have to be numbers that can be."""
        if self.mechanism is not None or self.schema is None or not self.expected:
            return None
        odd = self.schema.odd(update.contribution, update.examples)
        return f"not countable: {odd[:80]!r} holds what no such rows can count" if odd else None

    def _array_objection(self, contribution: Arrays) -> str | None:
        if odd := sorted(contribution.keys() ^ self.expected.keys()):
            return f"wrong arrays: {odd[0][:80]!r} is missing or not expected"
        found = contribution.layout if isinstance(contribution, Stored) else contribution
        for name, like in self.expected.items():
            array = found[name]
            if array.shape != like.shape:
                return f"wrong shape: {name!r} is {array.shape}, expected {like.shape}"
            if array.dtype != like.dtype:
                return f"wrong dtype: {name!r} is {array.dtype}, expected {like.dtype}"
        return None


def _spoiled(contribution: Arrays) -> str | None:
    """Asked only of what could not be added: looking for NaN in every update takes long."""
    for name, array in contribution.items():
        if not np.all(np.isfinite(array)):
            return f"not finite: {name!r} holds NaN or infinity"
    return None
