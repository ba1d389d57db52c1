"""A promise as lines for people, and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from ..privacy.budget import Budget
from ..reports.guarantee import noise_multiplier, noise_std, number
from ..reports.numbers import Reading, other
from ..simulations.config import Config
from .promise import ForClients, ForRows, Promise


def privacy_lines(found: Promise) -> Iterator[tuple[str, str]]:
    """The promise as names and values; an empty name starts a section."""
    if found.for_clients:
        yield "", "privacy of a client"
        yield from _client_lines(found, found.for_clients)
    if found.for_rows:
        yield "", "privacy of a row, over clients that take part in every round"
        yield from _row_lines(found, found.for_rows)


def as_table(found: Promise) -> dict[str, Any]:
    """The promise as JSON."""
    clients, rows = found.for_clients, found.for_rows
    return {
        "guarantee": found.statement if clients or rows else None,
        "statement": found.statement,
        "unprotected": found.unprotected,
        "cautions": found.cautions,
        "ledger": str(found.ledger) if found.ledger else None,
        "client": _client_table(found, clients) if clients else None,
        "example": _row_table(rows) if rows else None,
    }


def _client_lines(found: Promise, own: ForClients) -> Iterator[tuple[str, str]]:
    config, sampling = found.config, found.config.sampler.sampling(found.clients)
    clip = float(config.model_dump(mode="json")["mechanism"]["clip"])
    how = "calibrated to the budget" if own.calibrated else "given"
    z = noise_multiplier(config)
    yield "mechanism", f"{config.mechanism_kind}, clip {clip:g}, noise multiplier {z:g} ({how})"
    std = noise_std(config, found.clients)
    if std is None:
        yield "noise", f"deviation {z * clip:g} on the sum of the first round, then as it follows"
    else:
        yield "noise", f"deviation {std:g} on the sum, {std / sampling.expected:g} on the mean"
    yield "sampling", _scheme(found)
    meaning = f"at δ = {own.budget.delta:.3g} ({own.budget.adjacency.label})"
    yield f"{config.rounds} rounds", f"{_readings(own.alone)} {meaning}"
    if own.evaluations is not None:
        yield "evaluations", f"{_epsilon(own.evaluations)} of it alone, {_counted(config)}"
    yield other(own.budget.adjacency).label, _epsilon(own.second)
    yield "unamplified", f"{_epsilon(own.bare)}, if everybody knew who takes part"
    left = None if own.left is None else f"{own.left:,}"
    yield from _account(own.spent.value or 0.0, own.total.value, left, own.budget)


def _row_lines(found: Promise, own: ForRows) -> Iterator[tuple[str, str]]:
    terms, spread_ = found.config.dpsgd, own.alone
    if terms is None:
        return
    yield (
        "mechanism",
        f"DP-SGD, clip {terms.clip:g} ({terms.clipping}), noise multiplier {_range(own.multiplier)}",
    )
    yield "batches", f"each row with probability {_range(own.q)}, {_range(own.steps)} steps a round"
    yield (
        f"{found.config.rounds} rounds",
        f"ε = {number(spread_.least)} least, {number(spread_.median)} median, "
        f"{number(spread_.most)} most, at δ = {own.budget.delta:.3g} "
        f"({own.budget.adjacency.label})",
    )
    if own.evaluations is not None:
        yield "evaluations", f"{_epsilon(own.evaluations)} of it alone, {_counted(found.config)}"
    left = None if own.left is None else _range(own.left)
    yield from _account(own.spent, own.total.most, left, own.budget)


def _counted(config: Config) -> str:
    return f"for the noised counts of {config.evaluate.times(config.rounds)} evaluations"


def _account(
    spent: float, total: float | None, left: str | None, budget: Budget
) -> Iterator[tuple[str, str]]:
    if spent:
        after = "∞" if total is None else number(total)
        yield "spent before", f"ε = {number(spent)}, in all ε = {after} after this run"
    else:
        yield "spent before", "nothing"
    if left is None:
        yield "budget", "none: everything is charged, and nothing refused"
    else:
        yield "budget", f"{budget}, enough for {left} rounds by RDP"


def _scheme(found: Promise) -> str:
    sampling = found.config.sampler.sampling(found.clients)
    match sampling.scheme:
        case "poisson":
            return f"poisson: each of {sampling.clients} by a secret coin, q = {sampling.participation:g}"
        case "fixed":
            return f"fixed: {sampling.expected:g} of {sampling.clients}, drawn in secret"
        case "cyclic":
            return f"cyclic: each of {sampling.clients} once in {sampling.separation} rounds"
        case _:
            return f"everyone: all {sampling.clients}, in every round"


def _readings(found: Reading) -> str:
    judged = found.verdict
    if judged is None:
        return _epsilon(found)
    parts = [("PLD", judged.pld, ""), ("RDP", judged.rdp, ""), ("PRV", judged.prv, "at most ")]
    said = [f"{most}{number(value)} by {name}" for name, value, most in parts if value is not None]
    return f"ε = {', '.join(said)},"


def _epsilon(found: Reading) -> str:
    return f"not known: {found.by}" if found.value is None else f"ε = {number(found.value)}"


def _range(pair: tuple[float, float]) -> str:
    low, high = pair
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"


def _client_table(found: Promise, own: ForClients) -> dict[str, Any]:
    config, sampling = found.config, found.config.sampler.sampling(found.clients)
    std = noise_std(config, found.clients)
    return {
        "mechanism": config.model_dump(mode="json")["mechanism"],
        "noise_multiplier": noise_multiplier(config),
        "calibrated": own.calibrated,
        "noise_std_of_sum": std,
        "noise_std_of_mean": std and std / sampling.expected,
        "sampling": asdict(sampling),
        **_budget_table(own.budget),
        "epsilon": _finite(own.alone.value),
        "epsilon_by": own.alone.by,
        "epsilon_evaluations": own.evaluations and _finite(own.evaluations.value),
        "epsilon_pld": own.alone.verdict and own.alone.verdict.pld,
        "epsilon_rdp": own.alone.verdict and own.alone.verdict.rdp,
        "epsilon_prv_upper": own.alone.verdict and own.alone.verdict.prv,
        "second_adjacency": other(own.budget.adjacency),
        "second_epsilon": _finite(own.second.value),
        "unamplified_epsilon": _finite(own.bare.value),
        "spent_before": _finite(own.spent.value),
        "epsilon_after": _finite(own.total.value),
        "rounds_left": own.left,
    }


def _row_table(own: ForRows) -> dict[str, Any]:
    return {
        **_budget_table(own.budget),
        "epsilon": asdict(own.alone),
        "epsilon_evaluations": own.evaluations and _finite(own.evaluations.value),
        "epsilon_after": asdict(own.total),
        "spent_before": own.spent,
        "sampling_rate": own.q,
        "noise_multiplier": own.multiplier,
        "steps": own.steps,
        "rounds_left": own.left,
    }


def _budget_table(budget: Budget) -> dict[str, Any]:
    epsilon = _finite(budget.epsilon)
    return {"budget": epsilon, "delta": budget.delta, "adjacency": budget.adjacency}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
