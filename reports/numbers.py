"""ε in every form in which a reader may want it, from the events alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np

from ..privacy.accountants import (
    COARSE,
    Counts,
    gaussian_mu,
    orders,
    pld_epsilon,
    rdp_epsilon,
    rdp_of,
)
from ..privacy.accounting import Verdict, verdict
from ..privacy.budget import Adjacency
from ..privacy.event import Event, Poisson, Unaccountable, WithoutReplacement

PROFILE = (1e-2, 1e-3, 1e-4, 1e-6, 1e-8)
"""The δ of a privacy profile, beside the one that is asked for."""
Frozen = tuple[tuple[Event, int], ...]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """ε under one adjacency: `value` and `by` whom, or None and why there is none."""

    value: float | None
    by: str
    verdict: Verdict | None = None


def reading(counts: Counts, delta: float, adjacency: Adjacency) -> Reading:
    """ε of `counts`. Raises `AccountantsDisagree`.

    Where no Rényi bound is known PLD answers alone, without anybody to contradict it.
    """
    return _reading(_frozen(counts), delta, adjacency)


def stated(counts: Counts, delta: float, adjacency: Adjacency) -> float:
    """ε to print: infinite where nobody can say."""
    found = reading(counts, delta, adjacency).value
    return math.inf if found is None else found


def unamplified(counts: Counts) -> dict[Event, int]:
    """The same events if everybody knew who was in each sample."""
    found: dict[Event, int] = {}
    for event, times in counts.items():
        bare = event.of if isinstance(event, Poisson | WithoutReplacement) else event
        found[bare] = found.get(bare, 0) + times
    return found


def other(adjacency: Adjacency) -> Adjacency:
    """The adjacency that a reader will ask for next."""
    replace_one = adjacency is Adjacency.REPLACE_ONE
    return Adjacency.ADD_REMOVE if replace_one else Adjacency.REPLACE_ONE


def numbers(counts: Counts, delta: float, adjacency: Adjacency, rationale: str) -> dict[str, Any]:
    """Everything of section I of a privacy report."""
    found = reading(counts, delta, adjacency)
    judged = found.verdict
    second = reading(counts, delta, other(adjacency))
    bare = quick(unamplified(counts), delta, adjacency)
    profile = _profile(counts, delta, adjacency, found)
    mu = gaussian_mu(counts, adjacency)
    return {
        "adjacency": str(adjacency),
        "delta": delta,
        "delta_rationale": rationale,
        "epsilon": of(found.value, found.by),
        "epsilon_by": found.by,
        "epsilon_pld": of(judged.pld if judged else None, "PLD does not know these events"),
        "epsilon_rdp": of(_rdp(counts, delta, adjacency), "no Rényi bound is known"),
        "epsilon_prv_upper": of(
            judged.prv if judged else None,
            "PRV does not know these events, or its grid is full",
        ),
        "epsilon_at_further_delta": [row for row in profile if row["delta"] != delta][1:4],
        "rho_zcdp": NOT_ONE_GAUSSIAN if mu is None else of(mu * mu / 2, ""),
        "mu_gdp": NOT_ONE_GAUSSIAN if mu is None else of(mu, ""),
        "mu_gdp_fit_error": NOT_ONE_GAUSSIAN if mu is None else 0.0,
        "rdp_curve": _curve(counts, adjacency),
        "privacy_profile": profile,
        "second_adjacency": {
            "adjacency": str(other(adjacency)),
            "epsilon": of(second.value, second.by),
            "by": second.by,
        },
        "epsilon_unamplified": of(bare.value, bare.by),
        "trade_off": _trade_off(profile, mu, found.value),
    }


NOT_ONE_GAUSSIAN = {
    "value": None,
    "reason": "the events together are not one Gaussian mechanism",
    "status": "NOT APPLICABLE",
}


def of(value: float | None, reason: str) -> Any:  # noqa: ANN401 - JSON
    """A number as JSON has it, or null and why there is none."""
    if value is None:
        return {"value": None, "reason": reason}
    return value if math.isfinite(value) else "infinite"


def max_true_positives(
    false_positives: float, profile: Sequence[tuple[float, float]], mu: float | None
) -> float:
    """The most that any test can detect at this rate of false alarms, given (ε, δ) pairs.

    >>> round(max_true_positives(0.01, [(1.0, 1e-5)], None), 4)
    0.0272
    """
    normal = NormalDist()
    if mu is not None:
        return normal.cdf(normal.inv_cdf(false_positives) + mu)
    found = 1.0
    for epsilon, delta in profile:
        found = min(
            found,
            math.exp(min(epsilon, 700.0)) * false_positives + delta,
            1 - math.exp(-epsilon) * max(1 - false_positives - delta, 0.0),
        )
    return found


def posterior(epsilon: float) -> float:
    """What a belief of 50 % can become, but for δ: e^ε / (1 + e^ε)."""
    return 1 / (1 + math.exp(-epsilon))


def _frozen(counts: Counts) -> Frozen:
    return tuple(sorted(counts.items(), key=repr))


@lru_cache(maxsize=4096)
def _reading(frozen: Frozen, delta: float, adjacency: Adjacency) -> Reading:
    counts = dict(frozen)
    try:
        found = verdict(counts, delta, adjacency)
    except Unaccountable as error:
        alone = pld_epsilon(counts, delta, adjacency)
        by = str(error) if alone is None else "PLD alone: no other accountant knows these events"
        return Reading(value=alone, by=by)
    by = "RDP" if found.pld is None else "PLD"
    return Reading(value=found.stated, by=by, verdict=found)


def quick(counts: Counts, delta: float, adjacency: Adjacency) -> Reading:
    """ε without a second opinion, and by a coarse PLD: still an upper bound, ten times as fast."""
    return _quick(_frozen(counts), delta, adjacency)


@lru_cache(maxsize=4096)
def _quick(frozen: Frozen, delta: float, adjacency: Adjacency) -> Reading:
    counts = dict(frozen)
    rdp = _rdp(counts, delta, adjacency)
    if rdp is not None and not math.isfinite(rdp):
        return Reading(value=rdp, by="RDP")
    pld = pld_epsilon(counts, delta, adjacency, COARSE)
    if pld is not None:
        return Reading(value=pld if rdp is None else min(pld, rdp), by="PLD")
    return Reading(value=rdp, by="no accountant knows these events" if rdp is None else "RDP")


def _rdp(counts: Counts, delta: float, adjacency: Adjacency) -> float | None:
    try:
        return rdp_epsilon(counts, delta, adjacency)
    except Unaccountable:
        return None


def _profile(
    counts: Counts, delta: float, adjacency: Adjacency, found: Reading
) -> list[dict[str, Any]]:
    rows = {d: quick(counts, d, adjacency) for d in PROFILE} | {delta: found}
    return [
        {"delta": d, "epsilon": of(rows[d].value, rows[d].by)} for d in sorted(rows, reverse=True)
    ]


def _curve(counts: Counts, adjacency: Adjacency) -> Any:  # noqa: ANN401 - JSON
    try:
        curve = sum(
            (times * rdp_of(event, adjacency) for event, times in counts.items()),
            np.zeros(len(orders())),
        )
    except Unaccountable as error:
        return of(None, str(error))
    pairs = [(a, float(r)) for a, r in zip(orders(), curve, strict=True) if math.isfinite(r)]
    if not pairs:
        return of(None, "infinite at every order")
    return {"orders": [a for a, _ in pairs], "values": [r for _, r in pairs]}


def _trade_off(
    profile: Sequence[dict[str, Any]], mu: float | None, epsilon: float | None
) -> dict[str, Any]:
    pairs = [(row["epsilon"], row["delta"]) for row in profile if type(row["epsilon"]) is float]
    return {
        "max_tpr_at_fpr_1_percent": max_true_positives(0.01, pairs, mu),
        "max_tpr_at_fpr_0.1_percent": max_true_positives(0.001, pairs, mu),
        "posterior_from_prior_50_percent": of(
            None if epsilon is None else posterior(epsilon), "no ε is known"
        ),
    }
