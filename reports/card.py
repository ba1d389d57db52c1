"""The model card: what was measured beside what people declared, and what nobody did.

Its parts are those of M. Mitchell and others, Model Cards for Model Reporting, FAT* 2019
(arXiv:1810.03993).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from ..fairness import Assessment, Estimate
from .document import Block, Document, Fact, Facts, Heading, Section, declared, measured, unknown
from .forest import span, words_of
from .groups import why_not
from .records import Records
from .summary import Summary
from .tables import number, population_line, settings

CROSSED = " & "
"""What the name of an attribute has that is made of two."""


def card_section(records: Records, summary: Summary, privacy: Mapping[str, Any]) -> Section:
    """The card as a section of a report."""
    blocks: list[Block] = []
    for title, facts in parts(records, summary, privacy).items():
        blocks += [Heading(title), Facts(tuple(facts))]
    return Section("Model card", blocks)


def card_document(records: Records, summary: Summary, privacy: Mapping[str, Any]) -> Document:
    """The card by itself."""
    return Document(
        title=f"Model card of run {records.folder.resolve().name}",
        sections=[
            Section(title, [Facts(tuple(facts))])
            for title, facts in parts(records, summary, privacy).items()
        ],
    )


def parts(records: Records, summary: Summary, privacy: Mapping[str, Any]) -> dict[str, list[Fact]]:
    """Every field of the card, by part."""
    found = records.assessment
    return {
        "Model details": list(_details(records)),
        "Intended use": list(_said(records, "intended_use", "intended_users", "out_of_scope")),
        "Factors": list(_factors(records, found)),
        "Metrics": list(_metrics(records, summary, found)),
        "Evaluation data": list(_evaluation(records, summary)),
        "Training data": list(_training(records)),
        "Quantitative analyses": list(_analyses(records, summary, found)),
        "Ethical considerations": [
            *_said(records, "ethical_considerations", "legal_basis"),
            measured("privacy", privacy["headline"]),
        ],
        "Caveats and recommendations": [
            *_said(records, "caveats"),
            declared("what is not known here", '"What this report cannot say", in report.html'),
        ],
    }


def _said(records: Records, *names: str) -> Iterator[Fact]:
    """What people declared, by the names of the table [card]."""
    card: Mapping[str, str | None] = records.config.card.model_dump()
    for name in names:
        said, shown = card[name], name.replace("_", " ")
        yield declared(shown, said) if said else unknown(shown, f"nobody declared it: card.{name}")


def _details(records: Records) -> Iterator[Fact]:
    chosen = dict(settings(records.config))
    when = records.ended or records.started
    yield measured("name", records.folder.resolve().name)
    yield from _said(records, "owner", "contact")
    yield (
        unknown("date", "not in events.jsonl")
        if when is None
        else measured("date", datetime.fromtimestamp(when, UTC).date().isoformat())
    )
    yield (
        unknown("version", "the run has not ended, and its model is not final")
        if records.digest is None
        else measured("version", f"parameters with SHA-256 {records.digest}")
    )
    yield declared("type of model", chosen["task"])
    yield declared("training algorithm", f"{chosen['strategy']}; {chosen['local training']}")
    yield declared(
        "privacy mechanism", "; ".join(chosen[k] for k in ("mechanism", "DP-SGD") if k in chosen)
    )
    yield from _said(records, "licence", "citation")


def _factors(records: Records, found: Assessment | None) -> Iterator[Fact]:
    yield from _said(records, "factors")
    compared = [each for each in found.attributes if len(each.groups) > 1] if found else []
    if compared:
        names = (
            f"{each.name} ({', '.join(group.name for group in each.groups)})" for each in compared
        )
        yield measured("groups that were compared", "; ".join(names))
    else:
        yield unknown(
            "groups that were compared", why_not(records) if found is None else "none was named"
        )
    yield unknown(
        "instruments and environments", "clients keep what they know of how rows came about"
    )


def _metrics(records: Records, summary: Summary, found: Assessment | None) -> Iterator[Fact]:
    yield measured("performance", f"{summary.rate}, over rows, over clients, and by group")
    regresses = records.population is not None and records.population.classes == 0
    threshold = "none: a number is predicted" if regresses else "the guess is the likeliest class"
    yield declared("decision threshold", threshold)
    if found is None:
        yield unknown("variation", why_not(records))
    else:
        share = f"{100 * found.confidence:.0f} %"
        yield measured(
            "variation",
            f"{share} intervals, from {found.draws:,} bootstrap draws of rows and clients",
        )
    yield unknown("variation over trainings", "one run is one training: repeat it with other seeds")
    yield from _said(records, "acceptance")


def _evaluation(records: Records, summary: Summary) -> Iterator[Fact]:
    chosen = dict(settings(records.config))
    rows = records.assessment.rows if records.assessment else sum(summary.held_out.values())
    yield measured("rows", f"{rows:,.0f}") if rows else unknown("rows", "nothing was measured")
    yield declared("chosen how", chosen["held out"])
    yield declared("prepared how", f"standardised: {chosen['standardised']}")


def _training(records: Records) -> Iterator[Fact]:
    if records.population is None:
        yield unknown("rows", "what the clients trained on was not recorded")
    else:
        yield measured("rows", population_line(records.population))
    yield declared("dealt to clients how", dict(settings(records.config))["partition"])
    yield from _said(records, "data_provenance")
    yield unknown("quality of rows", "nobody but their clients has seen them")


def _analyses(records: Records, summary: Summary, found: Assessment | None) -> Iterator[Fact]:
    if found is None:
        yield unknown("unitary results", why_not(records))
        yield unknown("intersectional results", why_not(records))
        return
    if summary.rate in found.overall:
        yield measured(f"{summary.rate}, all rows", _estimate(found.overall[summary.rate]))
    for attribute in found.attributes:
        for gap in attribute.gaps:
            if gap.kind != "difference" or gap.criterion == "loss_parity":
                continue
            name = f"{attribute.name}: {words_of(gap.criterion)} gap"
            value = gap.estimate
            yield (
                unknown(name, f"UNDEFINED: {value.undefined}")
                if value.value is None
                else measured(name, f"{_estimate(value)}, {gap.low} to {gap.high}")
            )
    if not any(CROSSED in attribute.name for attribute in found.attributes):
        reason = 'no crossing was counted: evaluate.groups names one as "sex & race"'
        yield unknown("intersectional results", reason)


def _estimate(found: Estimate) -> str:
    shown = f" ({span(found.interval)})" if found.interval else ""
    return f"{number(found.value)}{shown}"
