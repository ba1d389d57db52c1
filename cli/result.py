"""What a run ended with, on a terminal and as the last JSON object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from ..reports.charges import charges
from ..reports.guarantee import INSECURE, UNSEEN
from ..reports.numbers import of
from ..reports.privacy_how import absent
from ..reports.records import Records
from ..reports.summary import Summary
from ..reports.tables import models, number
from ..reports.unprotected import is_insecure
from . import console
from .groups import group_tables, left_out
from .options import Format
from .table import side_by_side

LEFT_OUT = ("points", "clients", "held_out", "alone")


def show_result(records: Records, summary: Summary, form: Format, *, quiet: bool) -> None:
    """The federated model beside the baselines, the worst client, and where everything is."""
    if form is Format.JSON:
        console.emit(as_event(records, summary))
    elif quiet:
        console.say(one_line(records.folder, summary))
    else:
        console.out().print(comparison_table(summary))
        for table in group_tables(records.assessment):
            console.out().print(table)
        for name, value in facts(records, summary):
            console.say(f"{name:<12}{value}")


def as_event(records: Records, summary: Summary) -> dict[str, object]:
    """The result as an object; `report.json` has every client and every round."""
    numbers = {name: value for name, value in asdict(summary).items() if name not in LEFT_OUT}
    bounds = [
        {
            "unit": bound.unit,
            "epsilon": absent(UNSEEN) if bound.unseen else of(bound.epsilon, ""),
            "delta": bound.budget.delta,
        }
        for bound in charges(records).bounds()
    ]
    facts = {"stopped": records.stopped, "privacy": bounds}
    return {"event": "result", "folder": str(records.folder), **facts, **numbers}


def privacy(records: Records) -> str:
    """What all that was released says at most about whom, in one line."""
    bounds = charges(records).bounds()
    said = "; ".join(map(str, bounds)) or "none: no ε bounds what was released"
    return f"{INSECURE} ({said})" if is_insecure(records.config) else said


def one_line(folder: Path, summary: Summary) -> str:
    """The result in one line."""
    found = summary.federated
    parts = [f"{summary.rate} {number(found.rows)}"]
    if found.worst_client:
        parts.append(f"worst {number(found.worst)} ({found.worst_client})")
    return "  ".join([*parts, f"parameters {(summary.digest or '')[:16]}", str(folder)])


def comparison_table(summary: Summary) -> Table:
    """The models side by side; the report has more columns."""
    compared = models(summary)
    pooled = any(scores.pooled is not None for _, scores in compared)
    head = [
        summary.rate,
        "held out",
        *(["pooled"] if pooled else []),
        "client mean",
        "worst client",
    ]
    rows = [
        [
            name,
            number(scores.rows),
            *([number(scores.pooled)] if pooled else []),
            number(scores.mean),
            f"{number(scores.worst)}  {scores.worst_client or ''}".rstrip(),
        ]
        for name, scores in compared
    ]
    return side_by_side(head, rows)


def facts(records: Records, summary: Summary) -> list[tuple[str, str]]:
    """What is not a rate."""
    found = [("rounds", f"{summary.round} in {summary.seconds:.1f} s")]
    if records.stopped:
        found = [("rounds", f"{summary.round} of {summary.rounds}, then the budget was spent")]
    if summary.refused:
        found.append(("refused", f"{summary.refused} updates"))
    if own := [rates["personal_accuracy"] for rates in _personal(summary)]:
        worst, mean = min(own), sum(own) / len(own)
        found.append(("own models", f"accuracy {number(mean)} mean, {number(worst)} worst"))
    if more := left_out(records.assessment):
        found.append(("more groups", f"by {', by '.join(more)}: in the report"))
    return [
        *found,
        ("privacy", privacy(records)),
        ("parameters", summary.digest or "not final"),
        ("folder", str(records.folder)),
        ("report", f"tacit report {records.folder}"),
    ]


def _personal(summary: Summary) -> list[Mapping[str, float]]:
    """The rates of clients that have a model of their own beside the shared one."""
    return [rates for rates in summary.clients.values() if "personal_accuracy" in rates]
