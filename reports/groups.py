"""Whom the model serves: rates by group, gaps between groups, and the gaps within each client."""

from __future__ import annotations

from collections.abc import Iterator

from ..fairness import Assessment, ByAttribute, Estimate, Group, LocalGap
from ..fairness.rate import Floor
from .document import (
    Block,
    Fact,
    Facts,
    Grid,
    Heading,
    Picture,
    Section,
    Status,
    measured,
    say,
    unknown,
)
from .forest import forest_plot, span, words_of
from .records import Records
from .tables import number

RATES = (
    "accuracy",
    "selection_rate",
    "recall",
    "false_positive_rate",
    "precision",
    "auc",
    "calibration_error",
    "rmse",
    "mae",
    "bias",
    "loss",
    "clipped_share",
    "fit_loss",
)
"""What a page shows of a group beside the user's own metrics; the JSON file has every rate."""


def groups(records: Records, found: Assessment | None) -> Section:
    """The section on groups; `found` is None where nothing was counted by group."""
    return Section("Groups", list(_groups(records, found)))


def _groups(records: Records, found: Assessment | None) -> Iterator[Block]:
    if found is None:
        yield Facts((unknown("rates and gaps by group", why_not(records)),))
        return
    compared = [each for each in found.attributes if len(each.groups) > 1]
    if not compared:
        reason = "no attribute has groups: data.groups and evaluate.groups name none"
        yield Facts((unknown("rates and gaps by group", reason),))
        return
    yield Facts(tuple(_terms(found)))
    for place, attribute in enumerate(compared, start=1):
        yield Heading(f"By {attribute.name}")
        if figure := forest_plot(attribute, f"gaps_{place}"):
            yield Picture(figure)
        yield _rates(attribute)
        yield from _withheld(attribute)
        yield from _within(attribute)
    if "clipped_share" in found.overall:
        yield say(
            "Clipped share and fit loss are of train rows: of how many DP-SGD would clip the gradient at "
            "this model, and what it loses on them. What is clipped is learned less."
        )
    yield say(
        "Groups are those that the data names: nobody checked who is in them. The intervals are about "
        "the rows on which the model was measured, not about training it again, and nothing here is "
        "about people whose clients did not take part."
    )


def why_not(records: Records) -> str:
    """Why nothing is known of groups."""
    if not any(evaluated for _, evaluated in records.history):
        return "nothing was measured"
    if records.population is None or records.population.schema is None:
        return "the run folder does not say what was counted: an older tacit wrote it"
    return "at the last evaluation nothing was counted by group"


def _terms(found: Assessment) -> Iterator[Fact]:
    yield measured("rows that were counted", f"{found.rows:,.0f}")
    yield measured("noise on every count", _noise(found))
    yield measured("fewest rows of a group behind a rate", _fewest(found))
    yield measured(
        "intervals", f"{100 * found.confidence:.0f} %, from {found.draws:,} bootstrap draws"
    )


def _fewest(found: Assessment) -> str:
    least = Floor(rows=found.floor, deviation=found.deviation).least()
    return (
        f"{least:,}, or √n times that where n counts add up to them"
        if found.deviation
        else f"{least:,}"
    )


def _noise(found: Assessment) -> str:
    if not found.deviation:
        return "none: the counts are exact, and no ε covers them"
    return f"Gaussian, with a deviation of {found.deviation:.3g} rows"


def _rates(attribute: ByAttribute) -> Grid:
    known, compared = attribute.groups[0].rates, {gap.criterion for gap in attribute.gaps}
    own = [name for name in known if name not in RATES and f"{name}_parity" in compared]
    names = [*(name for name in RATES if name in known), *own]
    return Grid(
        caption=f"Rates by {attribute.name}, and what other rows{_and_noise(attribute)} could have given",
        status=Status.MEASURED,
        head=("rate", *(each.name for each in attribute.groups)),
        rows=[
            ["rows", *(f"{each.rows:,.0f}" for each in attribute.groups)],
            *([words_of(name), *(_shown(own, name) for own in attribute.groups)] for name in names),
        ],
    )


def _and_noise(attribute: ByAttribute) -> str:
    noised = any(found.both for each in attribute.groups for found in each.rates.values())
    return " and noise" if noised else ""


def _shown(group: Group, name: str) -> str:
    found: Estimate = group.rates[name]
    if found.value is None:
        return f"UNDEFINED: {found.undefined}"
    if of_rows := found.both or found.sampling:
        return f"{number(found.value)} ({span(of_rows)})"
    if found.clients:
        return f"{number(found.value)} (other clients: {span(found.clients)})"
    return number(found.value)


def _withheld(attribute: ByAttribute) -> Iterator[Block]:
    """Groups that some gaps leave out, and why."""
    gaps = [gap for gap in attribute.gaps if gap.kind == "difference"]
    names = [each.name for each in attribute.groups]
    rows = [(name, [gap for gap in gaps if name in gap.withheld]) for name in names]
    if any(left_out for _, left_out in rows):
        yield Grid(
            caption=f"Groups by {attribute.name} that gaps leave out",
            status=Status.NOT_MEASURED,
            head=("group", "left out of", "because"),
            rows=[
                (
                    name,
                    ", ".join(words_of(gap.criterion) for gap in left_out),
                    "; ".join(dict.fromkeys(gap.withheld[name] for gap in left_out)),
                )
                for name, left_out in rows
                if left_out
            ],
            numbers=False,
        )


def _within(attribute: ByAttribute) -> Iterator[Block]:
    local = [each for each in attribute.local if each.clients]
    if not attribute.local:
        return
    if not local:
        reason = "no client holds enough rows of two groups"
        yield Facts((unknown(f"gaps by {attribute.name} within clients", reason),))
        return
    yield Grid(
        caption=f"The same gaps by {attribute.name} within each client; the gap over all rows is neither "
        "their mean nor bounded by them",
        status=Status.MEASURED,
        head=("criterion", "over all rows", "mean of clients", "widest", "clients compared"),
        rows=[_of_clients(each) for each in local],
    )


def _of_clients(found: LocalGap) -> list[str]:
    everyone = len(found.clients) + len(found.undefined)
    return [
        words_of(found.criterion),
        number(found.overall),
        number(found.mean),
        f"{number(found.worst)} ({found.worst_client})",
        f"{len(found.clients):,} of {everyone:,}",
    ]
