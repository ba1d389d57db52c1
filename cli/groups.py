"""Groups on a terminal: the rates that people ask for first, and how far the groups are apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.table import Table

from ..fairness import Assessment, ByAttribute, Estimate, Gap
from ..reports.tables import number
from .table import side_by_side

SHOWN: Final = {
    "accuracy": "accuracy_parity",
    "selection_rate": "demographic_parity",
    "recall": "equal_opportunity",
    "mae": "error_parity",
    "clipped_share": "clipped_parity",
}
"""The rates that are shown, where they are there, and the criterion that wants each to be equal."""
MOST: Final = 4
"""Of an attribute with more groups, the report has the table: here is no room for it."""


def group_tables(found: Assessment | None) -> Iterator[Table]:
    """A table for each attribute with a few groups: a column for each of them, and one for the gap."""
    for attribute in found.attributes if found else ():
        if 1 < len(attribute.groups) <= MOST:
            yield _table(attribute)


def left_out(found: Assessment | None) -> list[str]:
    """The attributes of which there is no table for want of room, with the number of their groups."""
    attributes = found.attributes if found else ()
    return [f"{a.name} ({len(a.groups)})" for a in attributes if len(a.groups) > MOST]


def _table(attribute: ByAttribute) -> Table:
    known = attribute.groups[0].rates
    signed = len(attribute.groups) == 2
    kinds = ("difference", "signed") if signed else ("difference",)  # undefined, it has no sign
    gaps = {gap.criterion: gap for kind in kinds for gap in attribute.gaps if gap.kind == kind}
    counts = ["rows", *(f"{group.rows:,.0f}" for group in attribute.groups), ""]
    rates = [
        [
            name.replace("_", " "),
            *(_value(group.rates[name]) for group in attribute.groups),
            _gap(gaps.get(criterion)),
        ]
        for name, criterion in SHOWN.items()
        if name in known
    ]
    names = [group.name for group in attribute.groups]
    of = f"{names[1]} less {names[0]}, 95 %" if signed else "most less least, 95 %"
    return side_by_side([f"by {attribute.name}", *names, of], [counts, *rates])


def _value(found: Estimate) -> str:
    return "UNDEFINED" if found.value is None else number(found.value)


def _gap(found: Gap | None) -> str:
    """The gap and its interval, for rows and for noise where there is any."""
    if found is None:
        return "–"
    estimate = found.estimate
    if estimate.value is None or (interval := estimate.interval) is None:
        return _value(estimate)
    return f"{number(estimate.value)} ({number(interval.low)} to {number(interval.high)})"
