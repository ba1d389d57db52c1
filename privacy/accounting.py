"""From events to ε, by accountants that others wrote and that do not share code.

The stated number is that of privacy loss distributions (PLD); a Rényi (RDP) filter decides when to
stop; Opacus' upper bound (PRV) must agree before anything is stated. See `verdict`.

dp_accounting and Opacus are imported where they are used: both take seconds.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..wire.errors import TacitError
from .budget import Adjacency, Budget
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
SLACK: Final = 10.0
"""Two accountants may differ by their errors, by this many intervals, and by one part in `PRECISION`."""
PRECISION: Final = 1e4


class AccountantsDisagree(TacitError):
    """Two independent accountants contradict each other: no number is stated."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """ε at `delta`, by each accountant that can judge the events; None if one cannot.

    `stated` is the number to print: PLD's, or RDP's where PLD has no answer. `mu` is that of Gaussian
    DP where the whole is one Gaussian mechanism.
    """

    delta: float
    adjacency: Adjacency
    rdp: float
    pld: float | None
    prv: float | None
    mu: float | None
    interval: float

    @property
    def stated(self) -> float:
        """The number to print."""
        return self.rdp if self.pld is None else self.pld


def verdict(counts: Counts, delta: float, adjacency: Adjacency) -> Verdict:
    """What the events reveal. Raises `AccountantsDisagree`, and `Unaccountable` if nobody can say.

    Guarantees:
      - PLD <= RDP + 1e-6, and PLD within Opacus' bounds up to the stated discretisation.

    >>> events = {Gaussian(noise_multiplier=1.0): 1}
    >>> found = verdict(events, 1e-5, Adjacency.ADD_REMOVE)
    >>> round(found.pld, 3), round(found.rdp, 3), round(found.prv, 3)
    (4.377, 4.729, 4.387)
    """
    rdp = rdp_epsilon(counts, delta, adjacency)
    if not math.isfinite(rdp):
        return Verdict(
            delta=delta,
            adjacency=adjacency,
            rdp=rdp,
            pld=None,
            prv=None,
            mu=None,
            interval=INTERVAL,
        )
    interval, error = (INTERVAL, PRV_ERROR) if rdp <= LARGE else (COARSE, PRV_COARSE)
    found = Verdict(
        delta=delta,
        adjacency=adjacency,
        rdp=rdp,
        pld=pld_epsilon(counts, delta, adjacency, interval),
        prv=prv_epsilon(counts, delta, adjacency, error),
        mu=gaussian_mu(counts, adjacency),
        interval=interval,
    )
    _agree(found, error)
    return found


def _agree(found: Verdict, error: float) -> None:
    if found.pld is None:
        return
    if found.pld > found.rdp + 1e-6:
        raise AccountantsDisagree(
            f"PLD states ε = {found.pld:.6f}, above RDP's {found.rdp:.6f}: one of them is wrong."
        )
    if found.prv is not None:
        off = found.prv - error - found.pld
        allowed = error + SLACK * found.interval + found.pld / PRECISION
        if abs(off) > allowed:
            raise AccountantsDisagree(
                f"PLD states ε = {found.pld:.6f}, Opacus' PRV at most {found.prv:.6f}: they differ "
                f"by more than their errors ({allowed:.4g} in all)."
            )


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
    from dp_accounting import UnsupportedEventError
    from dp_accounting.pld import PLDAccountant

    accountant = PLDAccountant(
        neighboring_relation=_relation(adjacency), value_discretization_interval=interval
    )
    try:
        with _quiet():
            for event, times in counts.items():
                accountant.compose(_dp_event(event), times)
            return max(float(accountant.get_epsilon(delta)), 0.0)
    except UnsupportedEventError:
        return None


def prv_epsilon(
    counts: Counts, delta: float, adjacency: Adjacency, error: float = PRV_ERROR
) -> float | None:
    """The upper bound of Opacus' PRV accountant; None for events that it does not know."""
    from opacus.accountants import PRVAccountant

    history = []
    for event, times in counts.items():
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


def affordable(counts: Counts, event: Event, budget: Budget, times: int = 1) -> float | None:
    """The RDP ε after `times` times `event` as well; None if that would exceed `budget`.

    A Rényi filter (Feldman and Zrnic 2021, arXiv 2008.11193): it may be asked before every release,
    whatever led to the question.
    """
    after = {**counts, event: counts.get(event, 0) + times}
    spent = rdp_epsilon(after, budget.delta, budget.adjacency)
    return spent if spent <= budget.epsilon else None


def releases_left(counts: Counts, event: Event, budget: Budget, most: int = 1 << 24) -> int:
    """How many more times `event` fits into `budget`, `most` at most."""

    def fits(times: int) -> bool:
        after = {**counts, event: counts.get(event, 0) + times}
        return rdp_epsilon(after, budget.delta, budget.adjacency) <= budget.epsilon

    if fits(most):
        return most
    low, high = 0, 1
    while fits(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def calibrate(event_of: Callable[[float], Event], times: int, budget: Budget) -> float:
    """The least noise multiplier, up to 4 digits, with which `times` events fit into `budget`.

    Guarantees:
      - With the multiplier returned, the RDP filter allows all of them.

    Raises ValueError if no multiplier up to 10^6 is enough.

    >>> calibrate(lambda z: Gaussian(noise_multiplier=z), 10, Budget(epsilon=2.0, delta=1e-5))
    6.797
    """

    def fits(z: float) -> bool:
        return rdp_epsilon({event_of(z): times}, budget.delta, budget.adjacency) <= budget.epsilon

    low, high = 0.01, 1.0
    while not fits(high):
        low, high = high, 2 * high
        if high > 1e6:
            raise ValueError(f"No noise makes {times} releases fit into {budget}.")
    while high / low > 1 + 1e-5:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if fits(middle) else (middle, high)
    digits = 3 - math.floor(math.log10(high))
    rounded = math.ceil(high * 10**digits) / 10**digits
    return rounded if fits(rounded) else high


@lru_cache(maxsize=4096)
def rdp_of(event: Event, adjacency: Adjacency) -> NDArray[np.float64]:
    """The Rényi divergences of one event, at each of the orders."""
    from dp_accounting import NeighboringRelation as Relation
    from dp_accounting import UnsupportedEventError
    from dp_accounting.rdp import RdpAccountant

    match event:
        case NonPrivate():
            return np.full(len(orders()), np.inf)
        case Poisson() | Selected(of=Poisson()) if adjacency is Adjacency.REPLACE_ONE:
            raise Unaccountable(
                "No Rényi bound is known for Poisson samples when one member is replaced; use "
                'adjacency = "add_remove".'
            )
        case WithoutReplacement() if adjacency is not Adjacency.REPLACE_ONE:
            raise Unaccountable(
                "A sample of fixed size without replacement is accountable when one member is "
                'replaced, not added or removed; use adjacency = "replace_one", or a Poisson sampler.'
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


def _scaled(event: Event, sensitivity: int) -> Event:
    match event:
        case Gaussian(noise_multiplier=z):
            return Gaussian(noise_multiplier=z / sensitivity)
        case WithoutReplacement(population=n, sample=k, of=Gaussian(noise_multiplier=z)):
            of = Gaussian(noise_multiplier=z / sensitivity)
            return WithoutReplacement(population=n, sample=k, of=of)
        case Selected(trials=trials, times=times, of=Gaussian(noise_multiplier=z)):
            of = Gaussian(noise_multiplier=z / sensitivity)
            return Selected(trials=trials, times=times, of=of)
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
