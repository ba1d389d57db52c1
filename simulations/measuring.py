"""From a configuration and its data to what is counted about a model. Imports torch only for clients."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from ..fairness.gaps import criteria
from ..fairness.measures import measure as rates_of
from ..fairness.measures import of_attribute
from ..fairness.measuring import Measuring
from ..fairness.tables import EVERYONE, Attribute, Schema, overall
from ..privacy.counts import ClientCounts, RowCounts
from ..wire.messages import PERSONAL
from .config import Config, ConfigError
from .importing import imported, line_of
from .population import Population

if TYPE_CHECKING:
    from torch import Tensor

    from ..client.measure import Measure, Metric
    from ..client.task import Task

MOST_CLASSES = 128
"""Of more classes, such as the words of a language, only the losses are counted."""
KINDS: Final = (
    Schema(classes=2),
    Schema(classes=3),
    Schema(classes=0),
    Schema(classes=None, survival=True),
)
"""A schema of every kind of task."""


def measure_of(
    config: Config, task: Task, population: Population, attributes: tuple[Attribute, ...]
) -> Measure:
    """What every client counts. Raises `ConfigError` for a metric that cannot be had, and for a name."""
    from ..client.measure import Measure, Telling, share_right
    from ..client.survival import Cox
    from ..client.task import Classification

    _check_names(config)
    metrics: dict[str, Metric] = {
        name: imported(path, f"evaluate.metrics.{name}")
        for name, path in config.evaluate.metrics.items()
    }
    flat = population.data.targets.ndim == 1
    if isinstance(task, Classification) and not flat:
        metrics["correct"] = share_right
    tells = isinstance(task, Telling) and flat and population.classes <= MOST_CLASSES
    try:
        schema = Schema(
            attributes=attributes,
            classes=population.classes if tells else None,
            bins=config.evaluate.bins,
            most=config.evaluate.most,
            scale=config.evaluate.scale,
            metrics=tuple(metrics),
            survival=isinstance(task, Cox),
            clipping=config.evaluate.clipping,
        )
    except ValueError as error:
        raise ConfigError(f"evaluate: {error}") from None
    return Measure(schema=schema, metrics=metrics)


def check_metrics(measure: Measure, outputs: Tensor, targets: Tensor) -> None:
    """Raises `ConfigError` for a metric that gives a row another value among other rows."""
    import torch

    half = len(targets) // 2
    for name, metric in measure.metrics.items():
        where = f"evaluate.metrics.{name}"
        try:
            whole = metric(outputs, targets)
            parts = [
                metric(outputs[part], targets[part]) for part in (slice(half), slice(half, None))
            ]
        except Exception as error:
            raise ConfigError(f"{where}: of fewer rows it raised {line_of(error)}") from error
        if not torch.allclose(whole, torch.cat(parts), atol=1e-5, equal_nan=True):
            raise ConfigError(
                f"{where}: it gives a row another value among other rows, which evaluate.noise does "
                "not cover: judge each row by itself."
            )


def _check_names(config: Config) -> None:
    built_in = {name for schema in KINDS for name in _names(schema)}
    for name in config.evaluate.metrics:
        if name.split(".")[0] in built_in or name.startswith(PERSONAL):
            raise ConfigError(
                f"evaluate.metrics: {name!r} is the name of something that tacit measures: rename it."
            )


def _names(schema: Schema) -> set[str]:
    """What is counted, every rate, and what a gap is called without `_parity`."""
    tables = schema.zeros()
    gaps = {each.name.removesuffix("_parity") for each in criteria(schema)}
    return {*rates_of(schema, of_attribute(tables, EVERYONE)), *overall(schema, tables)} | gaps


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
