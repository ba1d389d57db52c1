"""What a privacy report says of how a unit is protected: its mechanism, and how samples are drawn."""

from __future__ import annotations

from statistics import median
from typing import Any

from ..privacy.budget import Unit
from .charges import Charges
from .guarantee import UNSEEN, noise_multiplier, noise_std
from .numbers import of
from .unprotected import is_insecure

Table = dict[str, Any]
RNG = "AES-256 in counter mode, Box-Muller in float64"
WHERE = {
    "gaussian": "by the coordinator, on the exact sum",
    "adaptive": "by the coordinator, on the exact sum and on the count of clipped clients",
    "banded": "by the coordinator, on the exact sum, correlated over rounds",
    "local": "by each client, before it sends",
}
VARIES = "not the same in every round: it follows the clip norm, or is correlated over rounds"


def absent(reason: str) -> Table:
    """What is not known, and why."""
    return {"value": None, "reason": reason}


def inapplicable(reason: str) -> Table:
    """What there is none of in this run, and why."""
    return {**absent(reason), "status": "NOT APPLICABLE"}


def mechanism(found: Charges, unit: Unit) -> Table:
    """Section F."""
    return _of_the_sum(found) if unit is Unit.CLIENT else _of_gradients(found)


def sampling(found: Charges, unit: Unit) -> Table:
    """Section G."""
    return _cohorts(found) if unit is Unit.CLIENT else _batches(found)


def units_of(found: Charges, unit: Unit) -> int:
    """n: clients, or the rows of the smallest client."""
    if unit is Unit.EXAMPLE:
        return min(found.rows.values(), default=0)
    return found.size


def _of_the_sum(found: Charges) -> Table:
    config, clients = found.config, max(units_of(found, Unit.CLIENT), 1)
    parameters = config.model_dump(mode="json")["mechanism"]
    expected = config.sampler.sampling(clients).expected
    std = noise_std(config, clients)
    schedule = [c.terms["clip"] for c in found.committed if "clip" in c.terms]
    hardened = bool(parameters.get("hardened"))
    return {
        "name": "discrete Gaussian" if hardened else f"Gaussian ({config.mechanism_kind})",
        "clip": float(parameters["clip"]),
        "clip_schedule": schedule or inapplicable("the clip norm is the same in every round"),
        "parameters": parameters,
        "noise_multiplier": noise_multiplier(config),
        "noise_std_of_sum": of(std, VARIES),
        "noise_std_of_mean": of(std and std / expected, VARIES),
        "applied": WHERE[config.mechanism_kind],
        "denominator": expected,
        "weights": "none: every client counts the same",
        "rng": "AES-256 in counter mode, exact discrete Gaussian" if hardened else RNG,
        "seed_policy": _seed_policy(found),
        "numeric_domain": "integers on a grid of 2^-16 deviations"
        if hardened
        else "contributions as multiples of 2^-32, summed exactly in int64; noise in float64",
    }


def _of_gradients(found: Charges) -> Table:
    config, terms = found.config, found.config.dpsgd
    if terms is None:
        return inapplicable("there is no [dpsgd]")
    given = terms.noise_multiplier
    z = sorted(given.values()) if isinstance(given, dict) else [given]
    denominators = [min(config.train.batch_size, rows) for rows in found.rows.values()]
    return {
        "name": "Gaussian (DP-SGD)",
        "clip": terms.clip,
        "clip_schedule": inapplicable("adapts within a fit, from noised counts")
        if terms.clipping == "adaptive"
        else inapplicable("the clip norm is the same in every step"),
        "parameters": config.model_dump(mode="json")["dpsgd"],
        "noise_multiplier": z[0] if len(set(z)) == 1 else {"least": z[0], "most": z[-1]},
        "noise_std_of_sum": z[0] * terms.clip if len(set(z)) == 1 else absent("differs by client"),
        "noise_std_of_mean": absent("differs by client: the deviation of the sum over q N"),
        "applied": "by each client, on the sum of the clipped gradients of every step",
        "denominator": _least_and_most(denominators, found),
        "weights": "none: every row counts the same",
        "rng": "AES-256 in counter mode, Box-Muller in float32",
        "seed_policy": _seed_policy(found),
        "numeric_domain": "float32 gradients, summed in float32",
    }


def _seed_policy(found: Charges) -> str:
    if is_insecure(found.config):
        return "INSECURE: a test seed of the configuration"
    if found.config.dpsgd is not None or found.config.mechanism_kind == "local":
        return "drawn from the operating system by each client, which keeps it; never reported"
    return "drawn from the operating system; forgotten when the run ends, never reported"


def _cohorts(found: Charges) -> Table:
    how = found.config.sampler.sampling(max(units_of(found, Unit.CLIENT), 1))
    return {
        "requested": how.scheme,
        "executed": how.scheme,
        "rate": how.participation,
        "population": how.clients,
        "population_source": "the clients of the study: population.json"
        if found.unseen
        else "the partition of the run: population.json",
        "population_verified": "by their names, when a run is resumed"
        if found.unseen
        else "by the digest of rows and owners, when a run is resumed",
        "cohort_minimum": inapplicable(
            "there is none: a cohort may be empty, and releases noise then"
        ),
        "rounds": [
            {
                "round": c.round,
                "planned": how.expected,
                "sampled": c.cohort,
                "received": c.admitted,
                "refused": c.refused,
                "dropped": c.cohort - c.admitted - c.refused,
            }
            for c in found.committed
        ],
    }


def _batches(found: Charges) -> Table:
    training = found.config.train
    rates = [min(1.0, training.batch_size / rows) for rows in found.rows.values()]
    return {
        "requested": "poisson",
        "executed": "poisson",
        "rate": _least_and_most(rates, found),
        "population": _least_and_most(list(found.rows.values()), found),
        "population_source": f"each client's train rows: {UNSEEN}"
        if found.unseen
        else "each client's train rows: population.json",
        "population_verified": "not here: each site charges for the rows that it holds"
        if found.unseen
        else "by the digest of rows and owners, when a run is resumed",
        "cohort_minimum": inapplicable(
            "there is none: a batch may be empty, and releases noise then"
        ),
        "rounds": absent("batch sizes are private; steps are in the events"),
    }


def _least_and_most(values: list[Any], found: Charges) -> Any:  # noqa: ANN401 - JSON
    if not values:
        why = f"rows are {UNSEEN}" if found.unseen else "the run folder does not describe them"
        return absent(why)
    least, most = min(values), max(values)
    return least if least == most else {"least": least, "median": median(values), "most": most}
