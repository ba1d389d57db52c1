"""What a privacy report says of how much of a unit's privacy is spent: accounting, numbers, budget."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from ..privacy.accountants import COARSE, INTERVAL, LARGE, PRV_COARSE, PRV_ERROR, rdp_epsilon
from ..privacy.budget import Unit
from ..privacy.event import Event, Unaccountable, to_json
from .assumptions import assumptions
from .charges import Charges
from .guarantee import (
    UNSEEN,
    cycle,
    is_noised,
    number,
    of_an_example,
    rounds_left,
)
from .ledgers import counts_of, run_lengths, together
from .numbers import numbers, of, stated
from .privacy_how import Table, absent, inapplicable, units_of


def by_unit(found: Charges, say: Callable[[Charges, Unit], Table]) -> Table:
    """What `say` says of each unit that noise protects, and why nothing is said of the other."""
    why = {
        Unit.CLIENT: 'the mechanism is "mean": no noise protects a client as a whole, ε = ∞',
        Unit.EXAMPLE: "there is no [dpsgd]: no noise protects single rows; a client's bound, if "
        "there is one, holds for its rows as well",
    }
    return {
        str(unit): say(found, unit) if is_noised(found.config, unit) else inapplicable(why[unit])
        for unit in Unit
    }


def if_seen(say: Callable[[Charges, Unit], Table]) -> Callable[[Charges, Unit], Table]:
    """What `say` says, unless ledgers that are not here have it."""

    def said(found: Charges, unit: Unit) -> Table:
        if unit is Unit.EXAMPLE and found.unseen:
            return absent(f"each site's own ledger has it: {UNSEEN}")
        return say(found, unit)

    return said


def accounting(found: Charges, unit: Unit) -> Table:
    """Section H."""
    return {
        "accountants": _accountants(),
        "conversion": "PLD: the privacy profile itself, rounded up. RDP: the orders of dp_accounting, "
        "converted by Canonne, Kamath, Steinke 2020, proposition 12",
        "events": _events(found, unit),
        "composition": "sequential over all releases of all runs in the ledger; a Rényi filter "
        "(Feldman and Zrnic 2021) decides before each release whether it may happen. "
        + ("" if unit is Unit.CLIENT else "Parallel over clients whose rows are disjoint."),
        "assumptions": [asdict(each) for each in assumptions(unit, found)],
    }


def figures(found: Charges, unit: Unit) -> Table:
    """Section I."""
    budget = found.config.budget_of(unit)
    units = units_of(found, unit)
    whose = "clients" if unit is Unit.CLIENT else "rows of the smallest client"
    named = found.config.budget is not None and found.config.budget.unit is unit
    rationale = (
        f"{'named in the configuration' if named else 'the default'}; "
        f"1/n is {1 / units:.3g} for {units} {whose}"
        if units
        else "the size of the population is not known"
    )
    counts = counts_for(found, unit)
    table = numbers(counts, budget.delta, budget.adjacency, rationale)
    table["this_run_alone"] = _this_run(found, unit)
    table["over_clients"] = (
        _over_clients(found) if unit is Unit.EXAMPLE else inapplicable(ONE_LEDGER)
    )
    return table


def budget(found: Charges, unit: Unit) -> Table:
    """Section J."""
    limit, counts = found.config.budget_of(unit), counts_for(found, unit)
    spent, left = _filtered(found, unit), _rounds_left(found, unit, counts)
    none = "no budget was set for this unit"
    declined = [c.refused for c in found.committed]
    return {
        "epsilon": of(limit.epsilon, none) if limit.finite else inapplicable(none),
        "delta": limit.delta,
        "spent": of(spent, "no Rényi bound is known"),
        "remaining": of(limit.epsilon - spent, none)
        if limit.finite and spent is not None
        else inapplicable(none),
        "rounds_left": inapplicable(none) if left is None else left,
        "caps_per_client": inapplicable(
            "a client may take part in every round for which it is drawn"
        )
        if unit is Unit.CLIENT
        else "each client's own ledger holds it to the same budget",
        "refused_updates": sum(declined),
        "reset_policy": "never: a ledger only grows, and belongs to the population, not to the run",
        "resets": 0,
        "ledger": found.ledger if unit is Unit.CLIENT else f"{len(found.clients)} ledgers",
    }


def counts_for(found: Charges, unit: Unit) -> dict[Event, int]:
    """The events that the number of `unit` is about: for rows, those of the client with the most."""
    if unit is Unit.CLIENT:
        return found.of_clients()
    most = found.of_example_spread()
    return found.of_examples()[most.client] if most else {}


ONE_LEDGER = "every client has the same ε: what the ledger of the coordinator says"


def _accountants() -> list[Table]:
    dp = version("dp-accounting")
    return [
        {
            "name": "PLD",
            "library": "dp_accounting",
            "version": dp,
            "gives": "an upper bound; the number that is stated",
            "discretisation": f"{INTERVAL:g}; {COARSE:g} where ε is above {LARGE:g}, and for the "
            "privacy profile and the unamplified reading",
        },
        {
            "name": "RDP",
            "library": "dp_accounting",
            "version": dp,
            "gives": "an upper bound; decides when to stop",
            "discretisation": "none",
        },
        {
            "name": "PRV",
            "library": "opacus",
            "version": version("opacus"),
            "gives": "an upper bound; must agree with PLD",
            "discretisation": f"error {PRV_ERROR:g} in ε ({PRV_COARSE:g} above ε = {LARGE:g}), "
            "δ/1000 in δ",
        },
    ]


def _events(found: Charges, unit: Unit) -> list[Table]:
    """In order, by run; what is charged from the configuration comes last, without a run."""
    if unit is Unit.CLIENT:
        entries = found.population
    else:
        most = found.of_example_spread()
        entries = list(found.clients.get(most.client, ())) if most else []
    known, listed = counts_of(entries), run_lengths(entries)
    for event, times in counts_for(found, unit).items():
        if more := times - known.get(event, 0):
            listed.append({"event": json.loads(to_json(event)), "times": more, "run": None})
    return listed


def _this_run(found: Charges, unit: Unit) -> Any:  # noqa: ANN401 - JSON
    limit = found.config.budget_of(unit)
    if unit is Unit.EXAMPLE:
        return absent("each client's ledger is about all runs together; see over_clients")
    if found.missing:
        return absent("rounds of this run are missing from the ledger")
    epsilon = stated(counts_of(found.own), limit.delta, limit.adjacency)
    return of(epsilon, "not known")


def _over_clients(found: Charges) -> Any:  # noqa: ANN401 - JSON
    spread = found.of_example_spread()
    if spread is None:
        return absent("no client has trained yet")
    values = {"least": spread.least, "median": spread.median, "most": spread.most}
    note = (
        f"The ε of a row is that of its own client, at most {number(spread.most)}: clients whose rows "
        "are disjoint compose in parallel. A row that several clients hold is charged by each."
    )
    table: Table = {name: of(value, "") for name, value in values.items()}
    return {**table, "clients": len(found.of_examples()), "parallel_composition": note}


def _filtered(found: Charges, unit: Unit) -> float | None:
    """What the filter has counted: the most of all clients, for rows."""
    limit = found.config.budget_of(unit)
    many: Mapping[str, Mapping[Event, int]] = (
        {"": found.of_clients()} if unit is Unit.CLIENT else found.of_examples()
    )
    try:
        return max(
            (rdp_epsilon(c, limit.delta, limit.adjacency) for c in many.values()), default=0.0
        )
    except Unaccountable:
        return None


def _rounds_left(found: Charges, unit: Unit, counts: Mapping[Event, int]) -> int | None:
    config, limit = found.config, found.config.budget_of(unit)
    if unit is Unit.CLIENT:
        return rounds_left(counts, cycle(config, max(units_of(found, unit), 1)), limit)
    if not limit.finite:
        return None
    spent, left = found.of_examples(), []
    for name, rows in found.rows.items():
        ((event, steps),) = of_an_example(config, name, rows, 1).items()
        fits = rounds_left(together(spent.get(name, {})), [event], limit) or 0
        left.append(fits // steps)
    return min(left, default=0)


def is_finite(value: object) -> bool:
    """Whether a number of the report is one.

    >>> is_finite(3.0), is_finite("infinite"), is_finite({"value": None, "reason": "…"})
    (True, False, False)
    """
    return isinstance(value, int | float) and math.isfinite(value)
