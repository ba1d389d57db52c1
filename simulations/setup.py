"""From a configuration to everything a run needs, or to what is wrong with it before anything runs."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from ..client.data import Data
from ..client.measure import Measure
from ..client.survival import Cox
from ..client.task import Classification, Regression, Task
from ..client.trainer import choose_device, floating, initial_parameters
from ..server.coordinator import POOLED
from ..wire.arrays import encode
from ..wire.errors import CodecError
from ..wire.messages import Arrays
from .compatibility import check_strategy
from .config import Config, ConfigError
from .dataset import DataError, Dataset
from .datasets import load
from .description import Description, describe
from .files import read_file
from .grouping import grouped
from .importing import imported, line_of
from .measuring import check_metrics, measure_of, measuring_of
from .members import members, sized
from .population import Population, populate
from .private import affordable_config, check_private_training
from .vocabulary import recoded

PROBE_ROWS = 4


@dataclass(frozen=True, kw_only=True)
class Setup:
    """A run that is ready to start: its configuration has been checked against its data."""

    config: Config
    population: Population
    task: Task = field(repr=False)
    measure: Measure
    initial: Arrays = field(repr=False)

    @property
    def clients(self) -> list[str]:
        """Those who may take part in a round."""
        return list(self.population.clients)

    @property
    def members(self) -> tuple[str, ...]:
        """The run's clients in their order, also those whose rows are elsewhere."""
        return members(self.config, self.population)

    @cached_property
    def description(self) -> Description:
        """The population in numbers."""
        return describe(self.population, self.measure.schema)

    @property
    def measured(self) -> list[str]:
        """Those who hold rows to evaluate on; the pooled holder if its rows are not just theirs.

        With noise on the counts, the pooled holder, whom no ledger knows, is not asked.
        """
        population = self.population
        clients = [name for name, split in population.clients.items() if _size(split.test)]
        starts = {population.clients[name].test.start for name in clients}
        apart = population.pooled.test.start not in starts
        if _size(population.pooled.test) and apart and self.config.evaluate.noise is None:
            return [*clients, POOLED]
        return clients


def prepare(config: Config, task: Task | None = None, dataset: Dataset | None = None) -> Setup:
    """Loads and checks everything; `task` and `dataset` go before those that `config` names.

    Raises `ConfigError` or `DataError` for whatever would make the run fail.
    """
    population = make_population(config, dataset)
    config = sized(config, population)
    check_strategy(config)
    task = task or make_task(config, population)
    _try_machine(config)
    population, attributes = grouped(population, config)
    measure = measure_of(config, task, population, attributes)
    rows = _probe(population)
    initial = _try_task(config, task, measure, rows)
    config.strategy.init(initial)
    try:
        sampling = config.sampler.sampling(
            len(config.deployment.clients) or len(population.clients)
        )
    except ValueError as error:
        raise ConfigError(f"sampler: {error}") from None
    measuring_of(config, measure.schema)  # says what is wrong with it
    config = affordable_config(config, sampling)
    check_private_training(config, task, population.clients, rows)
    return Setup(config=config, population=population, task=task, measure=measure, initial=initial)


def make_population(config: Config, dataset: Dataset | None = None) -> Population:
    """The rows that `config` names, dealt out as it says."""
    data = config.data
    if dataset is None and data.path is not None:
        dataset = read_file(
            data.path,
            target=data.target,
            owner=data.owner,
            groups=data.groups,
            classes=data.classes,
        )
    return populate(
        recoded(dataset or load(str(data.name)), data.vocabulary),
        config.partition,
        held_out=data.held_out,
        standardise=data.standardise,
        seed=config.seed,
        split_seed=data.split_seed,
    )


def make_task(config: Config, population: Population) -> Task:
    """The user's task if `config` names one, else classification, regression or survival by its model."""
    smoothing = config.train.label_smoothing
    if smoothing and (config.task or not population.classes):
        raise ConfigError("train.label_smoothing: it is for the built-in classification only.")
    if config.task:
        return made_task(config.task)
    build = config.model.fit_to(population)
    if population.classes:
        return Classification(build=build, label_smoothing=smoothing)
    followed = population.data.targets.shape[1:] == (2,)
    return Cox(build=build) if followed else Regression(build=build)


def made_task(name: str) -> Task:
    """The task that "package.module:name" names; a class or function is called to make it."""
    found = imported(name, "task")
    try:
        task: Task = found() if callable(found) else found
    except Exception as error:
        raise ConfigError(f"task: {name!r} cannot be made: {line_of(error)}") from error
    return task


def cautions(setup: Setup) -> Iterator[str]:
    """What will run, but may not be meant: one line each."""
    population = setup.population
    if population.classes:
        lone = [
            name
            for name, split in population.clients.items()
            if len(np.unique(population.data.targets[split.train])) == 1
        ]
        if lone:
            yield (
                f"{len(lone)} of {len(population.clients)} clients hold rows of one class only "
                f"(the first is {lone[0]!r}): what they learn alone says little; fewer clients or "
                "a larger alpha would mix them."
            )
    if not setup.measured:
        yield "No rows are held out, so nothing will be measured; set data.held_out above 0."
    model = setup.task.model()
    if any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in model.modules()):
        yield (
            "The model has BatchNorm: its statistics are averaged like weights, which hurts when "
            "clients differ, and no differential privacy covers them; GroupNorm has neither fault."
        )


def _try_machine(config: Config) -> None:
    cores = os.cpu_count() or 1
    most = max(16, 4 * cores)
    if (config.run.workers or 0) > most:
        raise ConfigError(
            f"run.workers: {config.run.workers} processes on {cores} cores would wait for each "
            f"other and fill the memory; use at most {most}."
        )
    try:
        choose_device(config.run.device)
    except ValueError as error:
        raise ConfigError(f"run.device: {error}") from None


def _probe(population: Population) -> Data:
    """A few rows to try a model on: the first ones, and one of the largest target."""
    train = population.data.rows(population.pooled.train)
    largest = int(train.targets.reshape(len(train), -1).max(1).argmax())
    return train.rows(np.array([*range(min(PROBE_ROWS - 1, len(train))), largest]))


def _try_task(config: Config, task: Task, measure: Measure, rows: Data) -> Arrays:
    """The initial parameters, after `rows` have been through the model, the loss and back."""
    shape, targets = rows.features.shape[1:], torch.tensor(rows.targets)
    try:
        initial = initial_parameters(task, config.seed)
        model = task.model().eval()
        outputs = model(torch.tensor(rows.features))
        loss = task.loss(outputs, targets)
        counts = task.statistics(outputs.detach(), targets)
        statistics = {name: float(value) for name, value in counts.items()}
        if loss.shape == (len(rows),):
            loss.mean().backward()
    except Exception as error:
        raise ConfigError(
            f"The model does not fit the data: rows of shape {tuple(shape)}, targets of dtype "
            f"{rows.targets.dtype}: {line_of(error)} Check model and task."
        ) from error
    if loss.shape != (len(rows),):
        raise ConfigError(
            f"The task's loss has shape {tuple(loss.shape)} for {len(rows)} rows; it must be one "
            'loss for each row, shape (B,): use reduction="none".'
        )
    if not all(
        math.isfinite(value) for value in [*statistics.values(), float(loss.detach().sum())]
    ):
        raise DataError("The untrained model's loss is not finite: check the scale of the data.")
    _try_parameters(model, initial)
    _try_metrics(task, measure, outputs.detach(), rows)
    if config.evaluate.noise is not None:
        check_metrics(measure, outputs.detach(), targets)
    return initial


def _try_metrics(task: Task, measure: Measure, outputs: Tensor, rows: Data) -> None:
    """Raises `ConfigError` for a metric that is not a value in [0, 1] for each row."""
    targets = torch.tensor(rows.targets)
    try:
        judged = measure.judge(task, outputs, targets, rows.groups)
        measure.schema.count(judged)
    except Exception as error:
        raise ConfigError(f"evaluate: what is counted cannot be: {line_of(error)}") from error
    for name, values in judged.metrics.items():
        if not np.all((values >= 0) & (values <= 1)):
            raise ConfigError(
                f"evaluate.metrics.{name}: it is {values.max():g} for a row; it must stay in [0, 1]."
            )


def _try_parameters(model: nn.Module, initial: Arrays) -> None:
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ConfigError("The model has nothing to train: every parameter is frozen.")
    if any(t.dtype is torch.bfloat16 for t in floating(model).values()):
        raise ConfigError("The model has bfloat16 parameters; make it float32: model.float().")
    try:
        encode(initial)
    except CodecError as error:
        raise ConfigError(f"The model cannot travel: {error}") from error


def _size(rows: slice) -> int:
    return int(rows.stop - rows.start)
