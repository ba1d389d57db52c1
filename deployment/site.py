"""A site: its rows, and the client that answers for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch

from .. import __version__
from ..client.agent import Agent
from ..client.agreement import Agreement
from ..client.answering import Answering
from ..client.client import Client
from ..client.dialler import Connect, Observe
from ..client.memory import Memory
from ..client.outbox import Cache, Outbox
from ..client.task import Task
from ..client.trainer import Plain, choose_device
from ..simulations.config import Config, ConfigError
from ..simulations.custody import Custody
from ..simulations.dataset import DataError, Dataset
from ..simulations.files import read_file
from ..simulations.measuring import measuring_of
from ..simulations.setup import Setup, prepare
from ..simulations.worker import Job
from ..wire.arrays import layout
from ..wire.durable import own_folder, write_durably
from ..wire.errors import StoreError
from .study import agreed, check, fingerprint

POPULATION: Final = "site"
"""Whom a site's ledger charges: its own rows, whatever a study calls them."""

CAP_DELTA: Final = 1e-5
"""The largest δ at which a cap may be stated: a study could choose one at which ε means little."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """What one party brings: its `name`, its rows, a folder that outlives runs, and its own cap.

    `data` is a file of rows; without one, the site plays the client of its name in a simulation, with
    the rows that the study's partition deals to it. `cap` is the most ε that training on its rows may
    cost, over all runs, at δ = 1e-5 or the study's δ if that is smaller. The study's budget is kept in
    any case. Both count all that this site was ever charged in `folder`, whatever a study calls the
    population. Raises ValueError unless the cap is more than 0.
    """

    config: Config
    name: str
    folder: Path
    data: Path | None = None
    cap: float | None = None
    task: Task | None = None
    dataset: Dataset | None = None

    def __post_init__(self) -> None:
        if self.cap is not None and not self.cap > 0:
            raise ValueError(f"Expected cap > 0, got {self.cap}.")

    def agent(self, connect: Connect, observe: Observe = lambda news: None) -> Agent:
        """The agent that answers for this site, through channels that `connect` opens.

        Raises `ConfigError` or `DataError` if its rows and the study do not go together.
        """
        return Agent(
            connect=connect,
            answering=self.answering(observe),
            fingerprint=fingerprint(self.config),
            version=__version__,
            cache=Cache(self.folder / "cache"),
            observe=observe,
        )

    def answering(self, observe: Observe = lambda news: None) -> Answering:
        """What answers for this site, whoever brings the orders. Raises like `agent`."""
        answers, agreement = self._prepared()
        outbox = Outbox(self.folder / "outbox")
        return Answering(answers=answers, agreement=agreement, outbox=outbox, observe=observe)

    def _prepared(self) -> tuple[Client, Agreement]:
        """The client, and what it agrees to."""
        check(self.config)
        self._expect_cap_to_count()
        self._expect_others()
        setup = prepare(self.config, self.task, self._dataset())
        population = setup.population
        if self.name not in population.clients:
            raise ConfigError(
                f"The study's partition has no client {self.name!r}; it has "
                f"{', '.join(sorted(population.clients)[:5])}. A site with rows of its own names "
                "their file with --data."
            )
        self._expect_same_rows(setup.description.digest)
        torch.set_num_threads(1)  # the same bits as in a simulation
        trainer = Plain(setup.task, choose_device(self.config.run.device))
        return self._job(setup).client(self.name, trainer), self._agreement(setup)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Within it no other process answers from this folder. Raises `StoreError` if one does."""
        with own_folder(self.folder):
            yield

    def _expect_same_rows(self, digest: str) -> None:
        """Raises `StoreError` if this folder's answers so far were about other rows."""
        path = self.folder / "rows.sha256"
        if not path.exists() or not (self.folder / "outbox" / "run").exists():
            write_durably(path, digest.encode())
        elif path.read_text() != digest:
            raise StoreError(
                f"The rows, or how they are split, are others than those that {self.folder} has "
                f"answered for: bring them back, or remove {path} if that is meant."
            )

    def _expect_cap_to_count(self) -> None:
        """Raises `ConfigError` if there is a cap, and noise that it does not know of, or none at all."""
        if self.cap is None:
            return
        if self.config.dpsgd is None:
            raise ConfigError(
                "A cap has nothing to limit: the study has no [dpsgd], so training states no ε for rows. "
                "Join without --cap, or agree on a study with [dpsgd]."
            )
        noise = self.config.evaluate.noise
        if noise is not None and noise.by == "coordinator":
            raise ConfigError(
                "A cap counts noise that this site adds itself, and in the study the coordinator adds "
                'that of evaluations: agree on evaluate.noise.by = "clients", or join without --cap.'
            )

    def _expect_others(self) -> None:
        """Raises `ConfigError` if the strategy counts clients, and this site cannot know of them."""
        alone = self.data is not None or self.dataset is not None
        if alone and "clients" in vars(self.config.strategy) and not self.config.deployment.clients:
            raise ConfigError(
                "deployment.clients: name them; the strategy has a place for each of them."
            )

    def _dataset(self) -> Dataset | None:
        """The rows of the site's own file, all of them its own; None if the study names the rows."""
        if self.dataset is None and self.data is None:
            return None
        data = self.config.data
        found = self.dataset or read_file(
            Path(str(self.data)), target=data.target, groups=data.groups, classes=data.classes
        )
        shape = self.config.deployment.shape
        if shape is not None and shape != found.shape:
            raise DataError(
                f"{self.data or found.name}: a row has the shape {found.shape}, and in the study "
                f"{shape}; bring its columns in line."
            )
        return replace(found, owner=np.zeros(len(found.data), np.int64), owners=(self.name,))

    def _job(self, setup: Setup) -> Job:
        """What the client is made of, as in a simulation; its ledger and its budget are its own."""
        config = setup.config
        return Job(
            population=setup.population,
            task=setup.task,
            strategy=config.strategy,
            mechanism=config.mechanism,
            rounds=config.rounds,
            measure=setup.measure,
            measuring=measuring_of(config, setup.measure.schema),
            memory=Memory(self.folder / "memory"),
            custody=self._custody(config),
            clients=setup.members,
        )

    def _custody(self, config: Config) -> Custody:
        """The study's custody, charged to a population that no study names, and within the cap."""
        found = Custody.of(config, self.folder / "budget" / "ledger.db")
        budget = found.budget
        if self.cap is not None:
            epsilon, delta = min(self.cap, budget.epsilon), min(CAP_DELTA, budget.delta)
            budget = replace(budget, epsilon=epsilon, delta=delta)
        return replace(found, population=POPULATION, budget=budget)

    def _agreement(self, setup: Setup) -> Agreement:
        config = setup.config
        return Agreement(
            study=agreed(self.config),
            seed=config.seed,
            rounds=config.rounds,
            every=config.evaluate.every,
            settings=config.train.settings(),
            terms=frozenset(config.mechanism.terms(config.mechanism.begin())),
            model=layout(setup.initial),
            extras=layout(config.strategy.extras(config.strategy.init(setup.initial))),
            clipping=config.evaluate.clipping,
        )
