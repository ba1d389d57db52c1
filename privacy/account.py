"""One run's account in a ledger: the budget of its population, and who is charged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from ..wire.errors import StoreError
from .budget import Budget, Unit
from .event import Event
from .ledger import Key, Ledger

MODEL: Final = "model"
"""What a round releases about clients: the name of its charge."""
FIT: Final = "fit"
"""What a client's training releases about its rows."""
EVALUATION: Final = "evaluation"
"""What the counts of an evaluation release."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """Charges the releases of `run` to `population`, within `budget`.

    Guarantees:
      - Nothing is charged beyond the budget, and what is refused leaves no entry.
    """

    ledger: Ledger = field(repr=False)
    population: str
    unit: Unit
    run: str
    budget: Budget

    def check(self, round: int, release: str, event: Event) -> None:
        """Raises `BudgetSpent` unless the release was charged before, or could be now."""
        if not self.ledger.is_charged(self.population, self.unit, self.run, round, release):
            self.ledger.check(self.population, self.unit, event, self.budget)

    def charge(
        self, round: int, release: str, event: Event, fingerprint: str, times: int = 1
    ) -> str:
        """Charges `times` times `event`, durably, and returns the head of the ledger that has it.

        Raises `BudgetSpent`.
        """
        key = Key(
            population=self.population,
            unit=self.unit,
            run=self.run,
            round=round,
            release=release,
            fingerprint=fingerprint,
        )
        return self.ledger.charge(key, event, self.budget, times).hash

    def recognise(self, head: str) -> None:
        """Raises `StoreError` unless the ledger is whole and has the entry `head`, once seen in it."""
        self.ledger.verify()
        if head and not self.ledger.knows(head):
            raise StoreError(
                f"{self.ledger.name} is older than this run: entry {head[:16]} is missing. Bring the "
                "ledger back; what was spent stays spent."
            )
