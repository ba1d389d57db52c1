"""Whether the privacy that a configuration asks for can be given, before anyone trains."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from ..client.data import Data
from ..privacy.accountants import rdp_epsilon
from ..privacy.accounting import affordable, calibrate
from ..privacy.budget import Adjacency, Budget, Unit
from ..privacy.event import (
    Covered,
    Event,
    Gaussian,
    NonPrivate,
    Poisson,
    Unaccountable,
    WithoutReplacement,
)
from ..privacy.mechanism import Mechanism
from ..privacy.sampling import Sampling
from ..wire.fold import largest
from .config import Config, ConfigError

if TYPE_CHECKING:
    from ..client.task import Task

LITTLE = 1e-3
"""A noise multiplier with which every mechanism can say what its event looks like."""


def affordable_config(config: Config, sampling: Sampling) -> Config:
    """`config` with a noise multiplier that fits its budget, if it leaves that open.

    Raises `ConfigError` for what no accountant can judge, or the budget does not allow even once.
    """
    _check_rows(config)
    try:
        _check_sum(config, sampling)
        _check_evaluations(config)
        config = _calibrated(config, sampling)
        event = config.mechanism.event(sampling, 1)
        _check_release(config, event)
    except (Unaccountable, ValueError) as error:
        raise ConfigError(f"mechanism: {error}") from None
    return config


def release_counts(mechanism: Mechanism, sampling: Sampling, rounds: int) -> dict[Event, int]:
    """How often each event happens in `rounds` rounds."""
    found: dict[Event, int] = {}
    for round in range(1, rounds + 1):
        event = mechanism.event(sampling, round)
        found[event] = found.get(event, 0) + 1
    return found


def check_private_training(
    config: Config, task: Task, clients: Iterable[str], sample: Data
) -> None:
    """Raises `ConfigError` with a line for each reason why DP-SGD cannot train the model."""
    if config.dpsgd is None:
        return
    from ..client.fitness import unfit  # opacus takes seconds to import

    try:
        terms = [config.dpsgd.for_client(name) for name in clients]
    except ValueError as error:
        raise ConfigError(f"dpsgd: {error}") from None
    if problems := unfit(task, terms[0], sample, config.train, config.seed):
        raise ConfigError("\n".join(f"dpsgd: {problem}" for problem in problems))


def _check_evaluations(config: Config) -> None:
    """Raises ValueError if the noised counts of all evaluations cannot be paid for."""
    unit = Unit.CLIENT if config.dpsgd is None else Unit.EXAMPLE
    budget, times = config.budget_of(unit), config.evaluate.times(config.rounds)
    event = config.evaluate.event
    if event is not None and unit is Unit.EXAMPLE and config.budget_of(Unit.CLIENT).finite:
        raise ConfigError(
            "evaluate.noise: with [dpsgd] it hides rows, and no budget of clients can pay for that; set "
            'budget.unit = "example".'
        )
    if event is not None and budget.finite and not affordable({}, event, budget, times):
        raise ConfigError(
            f"evaluate.noise: {times} evaluations alone take more than the budget, {budget}; evaluate "
            "less often, or with more noise."
        )


def _calibrated(config: Config, sampling: Sampling) -> Config:
    """The least noise with which all rounds and evaluations fit into the budget, if none is named."""
    mechanism = config.mechanism
    if vars(mechanism).get("noise_multiplier", 0.0) is not None:
        return config
    budget = config.budget_of(Unit.CLIENT)
    if not budget.finite:
        raise ValueError(
            "it has no noise_multiplier and there is no budget to calibrate one to; set one of them."
        )

    def with_noise(multiplier: float) -> Mechanism:
        return replace(mechanism, noise_multiplier=multiplier)  # type: ignore[type-var]

    counts = release_counts(with_noise(LITTLE), sampling, config.rounds)
    ((event, times),) = ((e, times) for e, times in counts.items() if not isinstance(e, Covered))
    beside = config.evaluate.releases(config.evaluate.times(config.rounds))
    found = calibrate(lambda z: _with_multiplier(event, z), times, budget, beside)
    return config.model_copy(update={"mechanism": with_noise(found)})


def _with_multiplier(event: Event, multiplier: float) -> Event:
    """The same event with other noise."""
    match event:
        case Gaussian():
            return replace(event, noise_multiplier=multiplier)
        case Poisson() | WithoutReplacement():
            return replace(event, of=replace(event.of, noise_multiplier=multiplier))
        case _:
            return event


def _check_rows(config: Config) -> None:
    if config.dpsgd is not None and "alone" in config.baselines:
        raise ConfigError(
            'baselines: with [dpsgd] clients train with privacy only; leave out "alone".'
        )
    if config.budget is None or config.budget.unit is not Unit.EXAMPLE:
        return
    if config.dpsgd is None:
        raise ConfigError('budget.unit: "example" is what [dpsgd] protects; add that table.')
    if config.budget_of(Unit.EXAMPLE).adjacency is Adjacency.REPLACE_ONE:
        raise ConfigError(
            'budget.adjacency: rows come into a batch by coins, for which "replace_one" has no Rényi '
            'bound; use "add_remove" or "zero_out".'
        )


def _check_sum(config: Config, sampling: Sampling) -> None:
    """Raises ValueError if whether an update fits into a sum could depend on how many others came."""
    clip = vars(config.mechanism).get("clip", 0.0)
    if clip > largest(sampling.clients):
        raise ValueError(
            f"clip = {clip:g} is too large for {sampling.clients} clients to be summed exactly; use at "
            f"most {largest(sampling.clients):.6g}."
        )


def _check_release(config: Config, event: Event) -> None:
    budget: Budget = config.budget_of(Unit.CLIENT)
    if budget.adjacency not in config.adjacencies:
        allowed = " or ".join(f'"{adjacency}"' for adjacency in config.adjacencies)
        raise Unaccountable(
            f'adjacency = "{budget.adjacency}" does not go with kind = "{config.mechanism_kind}" and '
            f"this sampler: use {allowed}."
        )
    if not budget.finite:
        return
    if event == NonPrivate():
        raise Unaccountable(
            f'kind = "{config.mechanism_kind}" releases the mean without noise, which no budget can '
            'pay for; use kind = "gaussian", or set budget.unit = "example" with [dpsgd].'
        )
    if not affordable({}, event, budget):
        alone = rdp_epsilon({event: 1}, budget.delta, budget.adjacency)
        raise ValueError(
            f"one round alone takes ε = {alone:.4g}, and the budget is {budget}; use more noise."
        )
