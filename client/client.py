"""One client: its rows, its trainer and its memory, answering one instruction at a time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from ..fairness.measuring import Counts
from ..fairness.tables import Tables, Trained
from ..privacy.counts import RowCounts
from ..privacy.mechanism import Mechanism
from ..privacy.noise import Noise
from ..privacy.secret import Secret, digest_of
from ..strategies.strategy import Correction, Local, Received, Strategy
from ..wire.errors import Declined
from ..wire.messages import EXAMPLES, PERSONAL, Arrays, Instruction, Purpose, Update
from .data import Data
from .guard import Guard
from .measure import Measure
from .memory import Memory
from .trainer import Plain, Trainer
from .training import Training


@dataclass(frozen=True, kw_only=True)
class Client:
    """Answers instructions. It is the same object in a simulation and behind a network.

    `position` says which of the run's `clients` it is, for strategies that treat them by name.

    Guarantees:
      - The answer depends on the instruction, the rows, the memory and the secret of the guard
        alone, so a round that is repeated gives the same bits.
      - With a `guard`, nothing that was fitted leaves before it is paid for, and the training loss,
        which no noise covers, does not leave at all.
    """

    name: str
    train: Data
    test: Data
    trainer: Plain
    strategy: Strategy
    mechanism: Mechanism
    secret: Secret
    memory: Memory
    rounds: int
    measure: Measure | None = None
    noise: Counts | None = None
    guard: Guard | None = None
    position: int = 0
    clients: int = 1

    def answer(self, instruction: Instruction) -> Update:
        """What this client has to say to `instruction`."""
        match instruction.purpose:
            case Purpose.FIT:
                return self._fit(instruction)
            case Purpose.EVALUATE:
                return self._evaluate(instruction)
            case Purpose.ALONE:
                return self._alone(instruction)

    def _fit(self, instruction: Instruction) -> Update:
        training = Training.read(instruction.settings)
        memory = self.memory.read(self.name, instruction.round)
        local, received = self._local(), self._received(instruction)
        own = self.strategy.personal(instruction.parameters, memory)
        if own is not None and self.guard is not None:
            raise Declined("it trains with privacy only, and a model of its own would have none")
        rate = training.rate(round=instruction.round, rounds=self.rounds)
        correction = self.strategy.correct(instruction.extras, memory, local)
        trainer, rng = self._trainer(instruction, training, memory), self._rng(instruction)
        fitted = trainer.fit(instruction.parameters, self.train, training, rate, correction, rng)
        if own is not None:
            start, pull = own.parameters, own.correction
            found = trainer.fit(start, self.train, training, rate, pull, rng)
            fitted = replace(fitted, personal={k: start[k] + d for k, d in found.delta.items()})
        fitted = replace(fitted, local=local, received=received)
        contribution, remembered = self.strategy.contribute(fitted, instruction.extras, memory)
        if all(np.all(np.isfinite(array)) for array in remembered.values()):
            self.memory.write(self.name, instruction.round, remembered)  # NaN would stay for good
        secret = self.secret.child(instruction.run, instruction.round)
        statistics: dict[str, float] = {EXAMPLES: len(self.train)}
        if self.guard is None:
            statistics["loss"] = fitted.loss * len(self.train)
        return Update(
            client=self.name,
            round=instruction.round,
            examples=len(self.train),
            contribution=self.mechanism.perturb(contribution, instruction.terms, secret),
            statistics=statistics,
        )

    def _local(self) -> Local:
        return Local(
            position=self.position,
            clients=self.clients,
            labels=self.train.targets,
            groups=self.train.groups,
        )

    def _received(self, instruction: Instruction) -> Received | None:
        """What the model that was sent does here, if the strategy asks. No noise would cover it."""
        if not self.strategy.asks:
            return None
        if self.guard is not None:
            raise Declined("it trains with privacy only, and what it was asked for has none")
        return self.trainer.received(instruction.parameters, self.train)

    def _trainer(self, instruction: Instruction, training: Training, memory: Arrays) -> Trainer:
        if self.guard is None:
            return self.trainer
        from .private import Private  # opacus takes seconds to import

        noise = self.guard.admit(instruction, self.train, training, self._rest(memory))
        return Private(self.trainer, self.guard.terms, noise)

    def _rest(self, memory: Arrays) -> bytes:
        """What the answer to a question about train rows depends on, beside them and the instruction."""
        return repr((self.strategy, self.rounds, self.trainer.device)).encode() + digest_of(memory)

    def _evaluate(self, instruction: Instruction) -> Update:
        """Exact statistics and tables; or, where noise protects the tables, those alone."""
        if self.measure is None:
            return self._with_personal(instruction, self._judge(instruction))
        parameters = instruction.parameters
        statistics, tables = self.trainer.measure(parameters, self.test, self.measure)
        if self.noise is None:
            update = Update(
                client=self.name,
                round=instruction.round,
                examples=len(self.test),
                contribution=tables,
                statistics=statistics,
            )
            return self._with_personal(instruction, update)
        if self.guard is not None and isinstance(self.noise, RowCounts):
            paid = self._paid(instruction, self.measure, self.noise, self.guard, tables)
            tables = {**tables, **paid}
        return self._noised(instruction, tables, self.noise)

    def _paid(
        self,
        instruction: Instruction,
        measure: Measure,
        noise: RowCounts,
        guard: Guard,
        tables: Tables,
    ) -> Tables:
        """Pays for the counts of all rows, of which `tables` are those of the held-out ones.

        Returns the tables of the train rows, if they are counted.
        """
        event, rest = noise.row_event, repr((measure.schema, noise)).encode() + digest_of(tables)
        if not measure.schema.clipping:
            guard.admit_counts(instruction, [self.test], event, rest)
            return {}
        memory = self.memory.read(self.name, instruction.round + 1)  # as the next fit reads it
        rest += self._rest(memory)
        drawn = guard.admit_counts(instruction, [self.test, self.train], event, rest)
        return self._of_train_rows(instruction, measure, memory, guard, drawn)

    def _of_train_rows(
        self, instruction: Instruction, measure: Measure, memory: Arrays, guard: Guard, drawn: Noise
    ) -> Tables:
        """What DP-SGD would make of them at the model that was received."""
        from .private import Private

        clipped = Private(self.trainer, guard.terms, drawn).clipped(
            instruction.parameters,
            self.train,
            Training.read(instruction.settings),
            self.strategy.correct(instruction.extras, memory, self._local()),
            self._rng(instruction),
        )
        losses = self.trainer.received(instruction.parameters, self.train).losses
        return measure.schema.count_trained(
            Trained(losses=losses, clipped=clipped, groups=self.train.groups)
        )

    def _noised(self, instruction: Instruction, tables: Tables, noise: Counts) -> Update:
        """The tables alone."""
        secret = self.secret.child(instruction.run, instruction.round)
        contribution = noise.perturb(tables, instruction.terms, secret)
        return Update(
            client=self.name, round=instruction.round, examples=0, contribution=contribution
        )

    def _with_personal(self, instruction: Instruction, update: Update) -> Update:
        """`update` with the statistics of the client's own model, where it has one beside the shared."""
        memory = self.memory.read(self.name, instruction.round + 1)
        own = self.strategy.personal(instruction.parameters, memory)
        if own is None or not memory:  # before its first round, its model is the shared one
            return update
        counts = self.trainer.evaluate(own.parameters, self.test)
        personal = {f"{PERSONAL}{name}": value for name, value in counts.items()}
        return replace(update, statistics={**update.statistics, **personal})

    def _judge(self, instruction: Instruction) -> Update:
        """How many held-out rows there are, and the statistics of a model on them."""
        return Update(
            client=self.name,
            round=instruction.round,
            examples=len(self.test),
            statistics=self.trainer.evaluate(instruction.parameters, self.test),
        )

    def _alone(self, instruction: Instruction) -> Update:
        if self.guard is not None:
            raise Declined("it trains with privacy only, and a baseline has none")
        training, parameters, rng = (
            Training.read(instruction.settings),
            instruction.parameters,
            self._rng(instruction),
        )
        for round in range(1, self.rounds + 1):
            rate = training.rate(round=round, rounds=self.rounds)
            fitted = self.trainer.fit(parameters, self.train, training, rate, Correction(), rng)
            parameters = {k: parameters[k] + d for k, d in fitted.delta.items()}
        return self._judge(replace(instruction, parameters=parameters))

    def _rng(self, instruction: Instruction) -> np.random.Generator:
        """Its own stream for this round: the name is hashed, so it does not matter who else is there."""
        digest = hashlib.sha256(self.name.encode()).digest()
        words = np.frombuffer(digest, np.uint32).tolist()
        return np.random.default_rng([instruction.seed, instruction.round, *words])
