"""A run in Flower's log: one line for each round, and what went wrong with whom."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field

from ..fairness.statistics import rates
from ..privacy.accountants import rdp_epsilon
from ..privacy.budget import Unit
from ..privacy.event import Unaccountable
from ..privacy.ledger import Ledger
from ..server.progress import Committed, Evaluated, Failed, Progress, Refused
from ..simulations.conduct import Plan, Result
from ..simulations.rows import ledger_of
from ..simulations.run_folder import RunFolder

log = logging.getLogger("flwr")


@dataclass(kw_only=True)
class Narrator:
    """Tells of the run of `plan` in `folder` as it goes; nothing private is said."""

    plan: Plan
    folder: RunFolder
    database: str | None = None
    _committed: Committed | None = field(default=None, repr=False)

    def resumes(self) -> None:
        """A run that is there goes on."""
        log.info("Going on with the run that is there.")

    def observe(self, progress: Progress) -> None:
        """A line when a round is complete, with its evaluation if one is due."""
        match progress:
            case Committed(round=number):
                self._committed = progress
                if not self._is_due(number):
                    self._say(number, progress.training)
            case Evaluated(round=number):
                self._say(number, progress.everyone)
            case Failed(round=number, failure=failure):
                log.error(
                    "Round %d: client %s failed: %s\n%s",
                    number,
                    failure.client,
                    failure.error,
                    failure.traceback,
                )
            case Refused(round=number, refusal=refusal):
                log.warning(
                    "Round %d: client %s does not count: %s", number, refusal.client, refusal.reason
                )
            case _:
                pass

    def ended(self, result: Result) -> None:
        """The run is complete."""
        log.info(
            "All %d rounds are complete: parameters %s", self.plan.config.rounds, result.digest
        )
        log.info("Pages and figures about it: tacit report %s", self.folder.path)

    def _is_due(self, round: int) -> bool:
        every, rounds = self.plan.config.evaluate.every, self.plan.config.rounds
        return bool(self.plan.measured) and (round % every == 0 or round == rounds)

    def _say(self, round: int, counted: Mapping[str, float]) -> None:
        found = [f"{name} {rate:.4f}" for name, rate in rates(counted).items()]
        parts = [*found, *self._spent(), *self._answered()]
        log.info("Round %d/%d: %s", round, self.plan.config.rounds, ", ".join(parts))

    def _answered(self) -> list[str]:
        """How many counted, and how long it took, if this process saw it."""
        if (committed := self._committed) is None:
            return []
        return [f"{committed.admitted} of {committed.cohort} clients", f"{committed.seconds:.2f} s"]

    def _spent(self) -> list[str]:
        """The ε that the ledger has of each client, where the mechanism noises what clients give."""
        config = self.plan.config
        if config.mechanism_kind == "mean":
            return []
        budget = config.budget_of(Unit.CLIENT)
        with closing(Ledger(ledger_of(config, self.folder, self.database))) as ledger:
            counts = ledger.counts(config.population_name, Unit.CLIENT)
        try:
            epsilon = rdp_epsilon(counts, budget.delta, budget.adjacency)
        except Unaccountable:
            return []
        most = f" of {budget.epsilon:g}" if math.isfinite(budget.epsilon) else ""
        return [f"ε {epsilon:.3g}{most} spent of each client at δ = {budget.delta:g}"]
