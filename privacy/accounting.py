"""From events to ε, by accountants that others wrote and that do not share code.

The stated number is that of privacy loss distributions (PLD); a Rényi (RDP) filter decides when to
stop; Opacus' upper bound (PRV) must agree before anything is stated. See `verdict`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from ..wire.errors import TacitError
from .accountants import (
    COARSE,
    INTERVAL,
    LARGE,
    PRV_COARSE,
    PRV_ERROR,
    Counts,
    gaussian_mu,
    pld_epsilon,
    prv_epsilon,
    rdp_epsilon,
)
from .budget import Adjacency, Budget
from .event import Event

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

    >>> from tacit.privacy.event import Gaussian
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


def affordable(counts: Counts, event: Event, budget: Budget, times: int = 1) -> bool:
    """Whether `times` times `event` fit into `budget` as well, by RDP.

    A Rényi filter (Feldman and Zrnic 2021, arXiv 2008.11193): it may be asked before every release,
    whatever led to the question.
    """
    after = {**counts, event: counts.get(event, 0) + times}
    return rdp_epsilon(after, budget.delta, budget.adjacency) <= budget.epsilon


def releases_left(counts: Counts, event: Event, budget: Budget, most: int = 1 << 24) -> int:
    """How many more times `event` fits into `budget`, `most` at most."""

    def fits(times: int) -> bool:
        return affordable(counts, event, budget, times)

    if fits(most):
        return most
    low, high = 0, 1
    while fits(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def calibrate(
    event_of: Callable[[float], Event],
    times: int,
    budget: Budget,
    beside: Counts = MappingProxyType({}),
) -> float:
    """The least noise multiplier, up to 4 digits, with which `times` events fit into `budget`.

    They share it with the events in `beside`.

    Guarantees:
      - With the multiplier returned, the RDP filter allows all of them.

    Raises ValueError if no multiplier up to 10^6 is enough.

    >>> from tacit.privacy.event import Gaussian
    >>> calibrate(lambda z: Gaussian(noise_multiplier=z), 10, Budget(epsilon=2.0, delta=1e-5))
    6.797
    """

    def fits(z: float) -> bool:
        return affordable(beside, event_of(z), budget, times)

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
