"""The study: what a coordinator and its clients must agree on, and what a coordinator knows of it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..fairness.measuring import Measuring
from ..server.coordinator import POOLED
from ..simulations.config import RUN, SHARED, Config, ConfigError, read_config
from ..simulations.dataset import DataError
from ..simulations.description import Description, from_json
from ..simulations.measuring import measuring_of
from ..simulations.partition import Natural
from ..simulations.run_folder import RunFolder
from ..wire.arrays import Stored
from ..wire.durable import write_durably
from ..wire.messages import Arrays

if TYPE_CHECKING:
    from ..client.task import Task

OWN: dict[str, Any] = {"run": True, "card": True, "data": {"path": True}}
"""What need not be agreed on: where a party computes and has its rows, and what it says of the model."""


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
class Study:
    """A run whose clients are elsewhere: the coordinator knows their names, and not their rows.

    `agreed` is the configuration as it was written, which all parties have alike, and `config` the same
    with nothing left open. `cautions` are what will run, but may not be meant.
    """

    agreed: Config
    config: Config
    description: Description
    initial: Arrays = field(repr=False)
    cautions: tuple[str, ...] = ()

    @property
    def clients(self) -> list[str]:
        """Those who may take part in a round."""
        return list(self.description.clients)

    @property
    def measuring(self) -> Measuring | None:
        """What is counted at an evaluation, and how the counts leave."""
        schema = self.description.schema
        return measuring_of(self.config, schema) if schema else None

    @property
    def measured(self) -> list[str]:
        """All of them; a client without rows to measure on says so by counting none."""
        return self.clients


def keep_study(study: Study, folder: RunFolder) -> None:
    """Keeps in `folder` what was agreed when the run began there."""
    if not (folder.study).exists():
        write_durably(folder.study, study.agreed.to_toml().encode())


def kept_study(folder: RunFolder) -> Config | None:
    """What was agreed when the run in `folder` began; None if none did."""
    return read_config(folder.study) if (folder.study).exists() else None


def prepare_study(
    config: Config, agreed: Config | None = None, *, task: Task | None = None
) -> Study:
    """The study that `config` describes, checked as far as one can without the clients' rows.

    `agreed` is what the parties have; it differs from `config` in what a run resolves when it begins,
    such as the noise that fits a budget. `task` goes before the one that `config` names.

    The model is made and tried by a process that is gone afterwards, and torch with it, unless this one
    has torch anyway. Raises `ConfigError` or `DataError`.
    """
    check(config)
    folder = Path(tempfile.mkdtemp(prefix="tacit-"))
    try:
        if task is not None or "torch" in sys.modules:
            from .preparing import write_plan

            write_plan(config, task, folder)
        else:
            _write_elsewhere(config, folder)
        study = Study(
            agreed=agreed or config,
            config=read_config(folder / "config.toml"),
            description=from_json((folder / "population.json").read_text()),
            initial=Stored(folder / "initial.safetensors"),
            cautions=tuple(json.loads((folder / "cautions.json").read_text())),
        )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(study, shutil.rmtree, folder, ignore_errors=True)
    return study


def _write_elsewhere(config: Config, folder: Path) -> None:
    """`write_plan` in a process of its own."""
    (folder / "agreed.toml").write_text(config.to_toml())
    done = subprocess.run(
        [sys.executable, "-m", "tacit.deployment.preparing", folder],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    refused = folder / "refused.json"
    if refused.exists():
        kind, message = json.loads(refused.read_text())
        raise (ConfigError if kind == "ConfigError" else DataError)(message)
    if done.returncode:
        raise ConfigError(f"The model cannot be made: its process ended with {done.returncode}.")


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
    if missing := sorted({*config.data.groups} - config.data.vocabulary.keys()):
        raise ConfigError(
            f"data.vocabulary: name the groups of {missing[0]!r} in an order that all sites have; none "
            "is asked which groups it holds rows of."
        )
    if POOLED in config.deployment.clients:
        raise ConfigError(f"deployment.clients: {POOLED!r} is not a name for a client.")
