"""The accountants: each turns events into ε, by a library that others wrote.

dp_accounting and Opacus are imported where they are used: both take seconds.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .budget import Adjacency
from .event import (
    Covered,
    Event,
    Gaussian,
    NonPrivate,
    Poisson,
    Selected,
    Unaccountable,
    WithoutReplacement,
)

Counts = Mapping[Event, int]
"""How often each event happened."""

INTERVAL: Final = 1e-4
"""The discretisation of privacy losses. PLD rounds up, by at most this much for each event."""
COARSE: Final = 1e-3
"""The same where ε is above `LARGE`, for speed."""
LARGE: Final = 20.0
PRV_ERROR: Final = 0.01
"""Opacus' own error in ε: its upper bound lies about this much above the truth."""
PRV_COARSE: Final = 0.1
"""The same where ε is above `LARGE`: the finer one would take a minute at ε = 500."""


def rdp_epsilon(counts: Counts, delta: float, adjacency: Adjacency) -> float:
    """ε by Rényi DP; infinite if anything was released without protection.

    Raises `Unaccountable` for Poisson samples under replace-one.
    """
    from dp_accounting import rdp

    curve = sum(
        (times * rdp_of(event, adjacency) for event, times in counts.items() if times),
        np.zeros(len(orders())),
    )
    if not curve.any():
        return 0.0
    if not np.any(np.isfinite(curve)):
        return math.inf
    with _quiet():
        return max(float(rdp.compute_epsilon(orders(), curve, delta)[0]), 0.0)


def pld_epsilon(
    counts: Counts, delta: float, adjacency: Adjacency, interval: float = INTERVAL
) -> float | None:
    """ε by privacy loss distributions, rounded up; None for events that it does not know."""
    at = _pld_of(tuple(counts.items()), adjacency, interval)
    if at is None:
        return None
    with _quiet():
        return max(float(at(delta)), 0.0)


def prv_epsilon(
    counts: Counts, delta: float, adjacency: Adjacency, error: float = PRV_ERROR
) -> float | None:
    """The upper bound of Opacus' PRV accountant; None for events that it does not know."""
    from opacus.accountants import PRVAccountant

    history = []
    for event, times in counts.items():
        if not happened_under(event, adjacency):
            return None
        match event:
            case Covered():
                continue
            case Gaussian(noise_multiplier=z):
                history.append((z / adjacency.sensitivity, 1.0, times))
            case Poisson(rate=rate, of=Gaussian(noise_multiplier=z)) if adjacency.sensitivity == 1:
                history.append((z, rate, times))
            case _:
                return None
    if not history:
        return 0.0
    accountant = PRVAccountant()
    accountant.history = history
    try:
        with _quiet():
            return float(accountant.get_epsilon(delta, eps_error=error, delta_error=delta / 1000))
    except (ValueError, RuntimeError, OverflowError, MemoryError):  # its grid has limits
        return None


def gaussian_mu(counts: Counts, adjacency: Adjacency) -> float | None:
    """μ of Gaussian DP (Dong, Roth, Su 2019), if everything together is one Gaussian mechanism."""
    total = 0.0
    for event, times in counts.items():
        match event:
            case Covered():
                continue
            case Gaussian(noise_multiplier=z):
                total += times * (adjacency.sensitivity / z) ** 2
            case _:
                return None
    return math.sqrt(total)


def happened_under(event: Event, adjacency: Adjacency) -> bool:
    """Whether `event` is what happened, if neighbours are those of `adjacency`."""
    match event:
        case WithoutReplacement() | Gaussian(neighbours="replaced"):
            return adjacency is Adjacency.REPLACE_ONE
        case Gaussian(neighbours="counted"):
            return adjacency is not Adjacency.ADD_REMOVE
        case Poisson(of=of) | Selected(of=of):
            return happened_under(of, adjacency)
        case _:
            return True


@lru_cache(maxsize=4096)
def rdp_of(event: Event, adjacency: Adjacency) -> NDArray[np.float64]:
    """The Rényi divergences of one event, at each of the orders."""
    from dp_accounting import NeighboringRelation as Relation
    from dp_accounting import UnsupportedEventError
    from dp_accounting.rdp import RdpAccountant

    if not happened_under(event, adjacency):
        raise Unaccountable(
            f'adjacency = "{adjacency}" does not go with how clients took part: those that take turns '
            'need "zero_out" or "replace_one", cohorts of fixed size and those that add their noise '
            'themselves "replace_one".'
        )
    match event:
        case NonPrivate():
            return np.full(len(orders()), np.inf)
        case Poisson() | Selected(of=Poisson()) if adjacency is Adjacency.REPLACE_ONE:
            raise Unaccountable(
                "No Rényi bound is known for Poisson samples when one member is replaced; use "
                'adjacency = "add_remove".'
            )
        case WithoutReplacement():
            relation = Relation.REPLACE_ONE
        case _:
            relation = Relation.ADD_OR_REMOVE_ONE
    # dp_accounting 0.6 does not double the sensitivity of a Gaussian for REPLACE_ONE here
    # (google/differential-privacy#378), so that it is doubled by hand.
    accountant = RdpAccountant(orders=list(orders()), neighboring_relation=relation)
    try:
        with _quiet():
            accountant.compose(_dp_event(_scaled(event, adjacency.sensitivity)))
    except UnsupportedEventError as error:
        raise Unaccountable(f"RDP cannot account for this: {error}") from None
    return np.asarray(accountant.rdp, dtype=np.float64)


@lru_cache(maxsize=16)  # each is slow to make, asked for many δ, and takes megabytes
def _pld_of(
    counts: tuple[tuple[Event, int], ...], adjacency: Adjacency, interval: float
) -> Callable[[float], float] | None:
    """ε at any δ."""
    from dp_accounting import UnsupportedEventError
    from dp_accounting.pld import PLDAccountant

    if not all(happened_under(event, adjacency) for event, _ in counts):
        return None
    accountant = PLDAccountant(
        neighboring_relation=_relation(adjacency), value_discretization_interval=interval
    )
    try:
        with _quiet():
            for event, times in counts:
                accountant.compose(_dp_event(event), times)
    except UnsupportedEventError:
        return None
    epsilon: Callable[[float], float] = accountant.get_epsilon
    return epsilon


def _scaled(event: Event, sensitivity: int) -> Event:
    match event:
        case Gaussian(noise_multiplier=z):
            return replace(event, noise_multiplier=z / sensitivity)
        case WithoutReplacement(of=Gaussian(noise_multiplier=z)):
            return replace(event, of=Gaussian(noise_multiplier=z / sensitivity))
        case Selected(of=Gaussian(noise_multiplier=z)):
            return replace(event, of=Gaussian(noise_multiplier=z / sensitivity))
        case _:
            return event


def _dp_event(event: Event) -> Any:  # noqa: ANN401 - dp_accounting has no types
    """The event of dp_accounting that `event` is."""
    import dp_accounting as dp

    match event:
        case Gaussian(noise_multiplier=z):
            return dp.GaussianDpEvent(z)
        case Poisson(rate=rate, of=of):
            return dp.PoissonSampledDpEvent(rate, _dp_event(of))
        case WithoutReplacement(population=n, sample=k, of=of):
            return dp.SampledWithoutReplacementDpEvent(n, k, _dp_event(of))
        case Selected(trials=trials, times=times, of=of):
            whole = dp.SelfComposedDpEvent(_dp_event(of), times)
            return dp.dp_event.RepeatAndSelectDpEvent(whole, trials, 1.0)  # shape 1: geometric
        case Covered():
            return dp.NoOpDpEvent()
        case NonPrivate():
            return dp.NonPrivateDpEvent()


def _relation(adjacency: Adjacency) -> Any:  # noqa: ANN401 - dp_accounting has no types
    from dp_accounting import NeighboringRelation

    return {
        Adjacency.ADD_REMOVE: NeighboringRelation.ADD_OR_REMOVE_ONE,
        Adjacency.ZERO_OUT: NeighboringRelation.REPLACE_SPECIAL,
        Adjacency.REPLACE_ONE: NeighboringRelation.REPLACE_ONE,
    }[adjacency]


@lru_cache(maxsize=1)
def orders() -> tuple[float, ...]:
    """The orders at which Rényi divergences are taken."""
    from dp_accounting.rdp import rdp_privacy_accountant

    return tuple(map(float, rdp_privacy_accountant.DEFAULT_RDP_ORDERS))


@contextmanager
def _quiet() -> Iterator[None]:
    """Orders at which a series does not converge are left out, which is safe, and are not spoken of."""
    logger = logging.getLogger("absl")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
