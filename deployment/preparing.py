"""What a coordinator needs torch for: the initial parameters, after the model was tried once."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..client.data import Data
from ..client.task import Task
from ..simulations.config import Config, ConfigError, read_config
from ..simulations.dataset import DataError, Dataset
from ..simulations.description import to_json
from ..simulations.setup import cautions, prepare
from ..wire.arrays import write_arrays

FEW = 4
"""Rows that stand in for those which a coordinator has not."""


def write_plan(config: Config, task: Task | None, folder: Path) -> None:
    """Writes into `folder` what `config` leaves open and what comes of it: see `Study`.

    Raises `ConfigError` or `DataError`.
    """
    setup = prepare(config, task, stand_in(config) if config.deployment.shape else None)
    _expect(config.deployment.clients, setup.clients)
    known = setup.description
    unseen = replace(known, official=0, groups={}, clients=dict.fromkeys(known.clients))
    (folder / "config.toml").write_text(setup.config.to_toml())
    (folder / "population.json").write_text(to_json(unseen))
    (folder / "cautions.json").write_text(json.dumps(list(cautions(setup))))
    with (folder / "initial.safetensors").open("wb") as file:
        write_arrays(file, setup.initial)


def stand_in(config: Config) -> Dataset:
    """Rows of zeros, as many for each client: they have the shape, and say nothing."""
    shape, clients = config.deployment.shape or (), tuple(sorted(config.deployment.clients))
    classes, count = config.data.classes or 0, FEW * len(clients)
    targets = np.arange(count) % classes if classes else np.zeros(count, np.float32)
    return Dataset(
        name=config.population_name,
        data=Data(
            features=np.zeros((count, *shape), np.float32),
            targets=targets,
            groups={name: np.zeros(count, np.int64) for name in config.data.vocabulary},
        ),
        classes=classes,
        test=np.zeros(count, bool),
        owner=np.repeat(np.arange(len(clients)), FEW),
        owners=clients,
        group_names=config.data.vocabulary,
        tabular=len(shape) == 1,
    )


def _expect(named: tuple[str, ...], found: list[str]) -> None:
    if named and set(named) != set(found):
        odd = sorted(set(named) ^ set(found))[0]
        raise ConfigError(
            f"deployment.clients: {odd!r} is not both there and a client of the partition; leave the "
            "list out to have all clients of the partition."
        )


def main(folder: Path) -> int:
    """Does it for `agreed.toml` in `folder`; what is wrong with that goes into a file as well."""
    try:
        write_plan(read_config(folder / "agreed.toml"), None, folder)
    except (ConfigError, DataError) as error:
        (folder / "refused.json").write_text(json.dumps([type(error).__name__, str(error)]))
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
