"""What a client keeps to itself about privacy: its terms, its budget, its own ledger and its secret."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from ..privacy.account import Account
from ..privacy.budget import Budget, Unit
from ..privacy.ledger import Ledger
from ..privacy.noise import Noise
from ..privacy.secret import Secret, digest_of
from ..wire.durable import write_durably
from ..wire.errors import BudgetSpent, Declined
from ..wire.messages import SPENT, Instruction
from .data import Data
from .dpsgd import DPSGD
from .training import Training

RELEASE = "fit"


@dataclass(frozen=True, kw_only=True)
class Guard:
    """Decides whether a client trains, and pays for it first. Its `folder` outlives every run.

    Guarantees:
      - Whatever the coordinator asks, all training together stays within `budget`, over rounds, runs
        and restarts.
      - The steps are in the client's ledger, durably, before the noise of the first one exists.
      - The same instruction on the same rows gets the same noise, and is charged once: whoever asks
        again learns nothing new. A different one gets other noise, and is charged.
    """

    folder: Path
    population: str
    terms: DPSGD
    budget: Budget
    secret: Secret

    def admit(self, instruction: Instruction, data: Data, training: Training) -> Noise:
        """The noise for training as `instruction` says. Raises `Declined` if it is not affordable."""
        event = self.terms.event(len(data), training.batch_size)
        steps = training.steps_of(rows=len(data))
        question = self._question(instruction, data)
        with self._account(instruction.run) as account:
            try:
                fingerprint = self.secret.fingerprint(question)
                account.charge(instruction.round, RELEASE, event, fingerprint, steps)
            except BudgetSpent as spent:
                raise Declined(f"{SPENT}: {self.budget}") from spent
        return self.secret.stream(question)

    def spent(self) -> float:
        """The ε of all training so far, by RDP."""
        with self._account("") as account:
            return account.spent()

    @contextmanager
    def _account(self, run: str) -> Iterator[Account]:
        with closing(Ledger(self.folder / "ledger.db")) as ledger:
            yield Account(
                ledger=ledger,
                population=self.population,
                unit=Unit.EXAMPLE,
                run=run,
                budget=self.budget,
            )

    def _question(self, instruction: Instruction, data: Data) -> bytes:
        """Everything that the answer depends on, so that equal questions have equal answers."""
        rows = {"features": data.features, "targets": data.targets}
        arrays = [instruction.parameters, instruction.extras, rows]
        public = {
            "run": instruction.run,
            "round": instruction.round,
            "seed": instruction.seed,
            "settings": dict(instruction.settings),
            "terms": asdict(self.terms),
        }
        return json.dumps(public, sort_keys=True).encode() + b"".join(map(digest_of, arrays))


def own_secret(folder: Path, test_seed: int | None = None) -> Secret:
    """The secret of the client whose `folder` this is: made once, and never sent."""
    if test_seed is not None:
        return Secret.from_test_seed(test_seed)
    path = folder / "secret.key"
    if not path.exists():
        write_durably(path, Secret.fresh().key)
        path.chmod(0o600)
    return Secret(path.read_bytes())
