"""The study: what a coordinator and its clients must agree on, and what each makes of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..client.data import Data
from ..client.task import Task
from ..server.coordinator import POOLED
from ..simulations.config import RUN, SHARED, Config, ConfigError, read_config
from ..simulations.dataset import Dataset
from ..simulations.description import Description, describe
from ..simulations.partition import Natural
from ..simulations.run_folder import RunFolder
from ..simulations.setup import Setup, prepare
from ..wire.durable import write_durably

OWN: dict[str, Any] = {"run": True, "data": {"path": True}}
"""What is nobody else's business: where a party computes, and where its rows are."""
FILE = "study.toml"
"""In the run folder: the study as it was written, and not as the run resolved it."""
FEW = 4
"""Rows that stand in for those which a coordinator has not."""


def agreed(config: Config) -> dict[str, Any]:
    """Everything in `config` on which the parties must agree, as JSON values."""
    found: dict[str, Any] = json.loads(config.model_dump_json(exclude=OWN))
    if config.budget is not None and config.budget.ledger not in (SHARED, RUN):
        found["budget"]["ledger"] = "a file"  # which one is the coordinator's business
    return found


def fingerprint(config: Config) -> str:
    """A digest of what `agreed` says."""
    return hashlib.sha256(json.dumps(agreed(config), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Study(Setup):
    """A run whose clients are elsewhere: the coordinator knows their names, and not their rows.

    `agreed` is the configuration as it was written, which all parties have alike.
    """

    agreed: Config

    @property
    def measured(self) -> list[str]:
        """All of them; a client without rows to measure on says so by counting none."""
        return self.clients

    @cached_property
    def description(self) -> Description:
        """The population as far as it is known: nobody's rows are."""
        known = describe(self.population)
        return replace(known, official=0, groups={}, clients=dict.fromkeys(known.clients))


def keep_study(study: Study, folder: RunFolder) -> None:
    """Keeps in `folder` what was agreed when the run began there."""
    if not (folder.path / FILE).exists():
        write_durably(folder.path / FILE, study.agreed.to_toml().encode())


def kept_study(folder: RunFolder) -> Config | None:
    """What was agreed when the run in `folder` began; None if none did."""
    return read_config(folder.path / FILE) if (folder.path / FILE).exists() else None


def prepare_study(
    config: Config, agreed: Config | None = None, *, task: Task | None = None
) -> Study:
    """The study that `config` describes, checked as far as one can without the clients' rows.

    `agreed` is what the parties have; it differs from `config` in what a run resolves when it begins,
    such as the noise that fits a budget. `task` goes before the one that `config` names.

    Raises `ConfigError` or `DataError`.
    """
    check(config)
    setup = prepare(config, task, _stand_in(config) if config.deployment.shape else None)
    named, found = set(config.deployment.clients), setup.population.clients.keys()
    if named and named != found:
        odd = sorted(named ^ found)[0]
        raise ConfigError(
            f"deployment.clients: {odd!r} is not both there and a client of the partition; leave the "
            "list out to have all clients of the partition."
        )
    return Study(
        agreed=agreed or config,
        config=setup.config,
        population=setup.population,
        task=setup.task,
        initial=setup.initial,
    )


def check(config: Config) -> None:
    """Raises `ConfigError` for what cannot be done when every client keeps its rows to itself."""
    if config.baselines:
        raise ConfigError("baselines: they need everybody's rows; leave them out of a deployment.")
    if config.deployment.shape and not config.deployment.clients:
        raise ConfigError("deployment.clients: name them; without rows they are not known.")
    if config.deployment.shape and not isinstance(config.partition, Natural):
        raise ConfigError('partition.kind: every site is a client of its own; use "natural".')
    if config.deployment.shape and config.data.standardise == "pooled":
        raise ConfigError(
            'data.standardise: "pooled" needs everybody\'s rows; use "client" or "none".'
        )
    if config.deployment.shape and config.data.classes is None:
        raise ConfigError(
            "data.classes: say how many there are (0 to regress); sites cannot agree."
        )
    if POOLED in config.deployment.clients:
        raise ConfigError(f"deployment.clients: {POOLED!r} is not a name for a client.")


def _stand_in(config: Config) -> Dataset:
    """Rows of zeros, as many for each client: they have the shape, and say nothing."""
    shape, clients = config.deployment.shape or (), tuple(sorted(config.deployment.clients))
    classes, count = config.data.classes or 0, FEW * len(clients)
    targets = np.arange(count) % classes if classes else np.zeros(count, np.float32)
    return Dataset(
        name=config.population_name,
        data=Data(features=np.zeros((count, *shape), np.float32), targets=targets),
        classes=classes,
        test=np.zeros(count, bool),
        owner=np.repeat(np.arange(len(clients)), FEW),
        owners=clients,
        group_names={},
        tabular=len(shape) == 1,
    )
