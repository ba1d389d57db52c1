"""What a client keeps to itself about privacy: its terms, its budget, its own ledger and its secret."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from ..privacy.account import EVALUATION, FIT, Account
from ..privacy.budget import Budget, Unit
from ..privacy.event import Event
from ..privacy.ledger import Ledger
from ..privacy.noise import Noise
from ..privacy.secret import Secret, digest_of
from ..wire.durable import sync_folder, write_durably
from ..wire.errors import BudgetSpent, Declined
from ..wire.messages import SPENT, Instruction
from .data import Data
from .dpsgd import DPSGD
from .training import Training


@dataclass(frozen=True, kw_only=True)
class Guard:
    """Decides whether a client trains, and pays for it first. Its `folder` outlives every run.

    Guarantees:
      - Whatever the coordinator asks, all training together stays within `budget`, over rounds, runs
        and restarts.
      - A ledger that was deleted or rolled back is noticed, and ends all training.
      - The steps are in the client's ledger, durably, before the noise of the first one exists, and an
        evaluation before its counts are noised.
      - The same instruction on the same rows gets the same noise, and is charged once: whoever asks
        again learns nothing new. A different one gets other noise, and is charged.
    """

    folder: Path
    population: str
    terms: DPSGD
    budget: Budget
    secret: Secret

    def admit(
        self, instruction: Instruction, data: Data, training: Training, rest: bytes = b""
    ) -> Noise:
        """The noise for training as `instruction` says. Raises `Declined` if it is not affordable.

        `rest` is whatever else the answer depends on: another value is another question.
        """
        event = self.terms.event(len(data), training.batch_size)
        question = self._question(instruction, data) + rest
        steps = training.steps_of(rows=len(data))
        self._charge(instruction, FIT, event, question, steps)
        return self.secret.stream(question)

    def admit_counts(
        self, instruction: Instruction, data: Sequence[Data], event: Event, rest: bytes = b""
    ) -> Noise:
        """What to draw with where the model of `instruction` is counted on `data`, once that is paid for.

        `event` is what the counts release of a row, wherever in `data` it is. Raises `Declined` if it is
        not affordable. `rest` is as in `admit`.
        """
        question = self._question(instruction, *data) + rest
        self._charge(instruction, EVALUATION, event, question, 1)
        return self.secret.stream(question)

    def _charge(
        self, instruction: Instruction, release: str, event: Event, question: bytes, times: int
    ) -> None:
        with self._account(instruction.run) as account:
            try:
                fingerprint = self.secret.fingerprint(question)
                head = account.charge(instruction.round, release, event, fingerprint, times)
            except BudgetSpent as spent:
                raise Declined(f"{SPENT}: {self.budget}") from spent
        write_durably(self.folder / "head", head.encode())

    @contextmanager
    def _account(self, run: str) -> Iterator[Account]:
        with closing(Ledger(self.folder / "ledger.db")) as ledger:
            account = Account(
                ledger=ledger,
                population=self.population,
                unit=Unit.EXAMPLE,
                run=run,
                budget=self.budget,
            )
            head = self.folder / "head"
            account.recognise(head.read_text() if head.exists() else "")
            yield account

    def _question(self, instruction: Instruction, *data: Data) -> bytes:
        """Everything that the answer depends on, so that equal questions have equal answers."""
        arrays = [instruction.parameters, instruction.extras]
        for rows in data:
            arrays += [{"features": rows.features, "targets": rows.targets}, rows.groups]
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
        folder.mkdir(parents=True, exist_ok=True)
        own = folder / f".{os.getpid()}.key"
        with os.fdopen(os.open(own, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(Secret.fresh().key)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was first: its key is the key
            path.hardlink_to(own)
        own.unlink()
        sync_folder(folder)
    return Secret(path.read_bytes())
