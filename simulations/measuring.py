"""From a configuration and its data to what is counted about a model. Imports torch only for clients."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..fairness.measuring import Measuring
from ..fairness.tables import Attribute, Schema
from ..privacy.counts import ClientCounts, RowCounts
from .config import Config, ConfigError
from .importing import imported
from .population import Population

if TYPE_CHECKING:
    from ..client.measure import Measure, Metric
    from ..client.task import Task

MOST_CLASSES = 128
"""Of more classes, such as the words of a language, only the losses are counted."""


def measure_of(
    config: Config, task: Task, population: Population, attributes: tuple[Attribute, ...]
) -> Measure:
    """What every client counts. Raises `ConfigError` for a metric that cannot be had."""
    from ..client.measure import Measure, Telling, share_right
    from ..client.survival import Cox
    from ..client.task import Classification

    metrics: dict[str, Metric] = {
        name: imported(path, f"evaluate.metrics.{name}")
        for name, path in config.evaluate.metrics.items()
    }
    flat = population.data.targets.ndim == 1
    if isinstance(task, Classification) and not flat:
        metrics["correct"] = share_right
    tells = isinstance(task, Telling) and flat and population.classes <= MOST_CLASSES
    return Measure(
        schema=Schema(
            attributes=attributes,
            classes=population.classes if tells else None,
            bins=config.evaluate.bins,
            most=config.evaluate.most,
            scale=config.evaluate.scale,
            metrics=tuple(metrics),
            survival=isinstance(task, Cox),
            clipping=config.evaluate.clipping,
        ),
        metrics=metrics,
    )


def measuring_of(config: Config, schema: Schema) -> Measuring:
    """How the tables of `schema` leave, as `config` says. Raises `ConfigError` if they cannot."""
    noise = config.evaluate.noise
    if config.evaluate.clipping and (config.dpsgd is None or noise is None):
        raise ConfigError(
            "evaluate.clipping: it counts rows that [dpsgd] trains on and protects, so the counts need "
            "noise as well: add [dpsgd] and [evaluate.noise], or leave it out."
        )
    if noise is None:
        return Measuring(schema=schema)
    if config.dpsgd is None:
        if noise.clip is None or noise.by == "clients":
            raise ConfigError(
                "evaluate.noise: a client is protected as a whole, by noise of the coordinator: set "
                "clip, and leave out by; or protect rows, with [dpsgd]."
            )
        return Measuring(
            schema=schema, noise=ClientCounts(clip=noise.clip, noise_multiplier=noise.multiplier)
        )
    if noise.clip is not None:
        raise ConfigError(
            "evaluate.noise.clip: with [dpsgd] rows are protected, and one row changes the tables by a "
            "known norm: leave it out."
        )
    if not math.isfinite(schema.sensitivity):
        raise ConfigError(
            "evaluate.scale: noise needs it: what is regressed is divided by it and kept in [-1, 1]."
        )
    return Measuring(
        schema=schema,
        noise=RowCounts(
            sensitivity=schema.sensitivity,
            noise_multiplier=noise.multiplier,
            by=noise.by or "clients",
        ),
    )
