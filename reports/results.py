"""What a report says first: the result in brief, what was trained on whom, and how it learned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..simulations.config import Config
from ..simulations.run_folder import RunFolder
from .curve import learning_curve
from .document import (
    MEANINGS,
    Block,
    Bullets,
    Code,
    Fact,
    Facts,
    Grid,
    Heading,
    Paragraph,
    Picture,
    Section,
    Status,
    Strong,
    Words,
    declared,
    measured,
    say,
    unknown,
)
from .privacy_page import not_held
from .records import Records
from .summary import Summary
from .tables import comparison, holdings, number, population_line, settings


def brief(records: Records, summary: Summary, privacy: Mapping[str, Any]) -> Section:
    """The result on one screen."""
    return Section("In brief", list(_brief(records, summary, privacy)))


def trained(records: Records, summary: Summary) -> Section:
    """What was trained, and on what population."""
    blocks: list[Block] = [
        Heading("Configuration"),
        Facts(tuple(declared(name, value) for name, value in settings(records.config))),
        Heading("Data and population"),
        *_population(records, summary),
    ]
    return Section("What was trained, and on whom", blocks)


def learning(records: Records, summary: Summary) -> Section:
    """The models side by side, and the learning curve."""
    return Section("Results", list(_learning(records, summary)))


def _brief(records: Records, summary: Summary, privacy: Mapping[str, Any]) -> Iterator[Block]:
    if notice := _notice(records, summary):
        yield Paragraph(notice, notice=True)
    yield Facts(tuple(_headline(records, summary, privacy)), large=True)
    yield say(*_verdict(summary, _noise(records, summary.rate)))
    yield say(privacy["statement"]["plain"])
    if broken := not_held(privacy):
        yield say("It rests on what does not hold here:")
        yield Bullets(broken)
    yield say("Each field of this report is marked with how it is known:")
    yield Facts(
        tuple(
            Fact(name=status.lower(), value=meaning, status=status)
            for status, meaning in MEANINGS.items()
        )
    )


def _notice(records: Records, summary: Summary) -> tuple[Words, ...]:
    if records.stopped is not None:
        done = f" after {summary.round} of {summary.rounds} rounds: {records.stopped}"
        return (Strong("Stopped by its privacy budget"), done)
    if summary.finished:
        return ()
    missing = "" if summary.round < summary.rounds else ", but the run was not concluded"
    return (
        Strong("Unfinished:"),
        f" {summary.round} of {summary.rounds} rounds are done{missing}. To go on: ",
        Code(f"{RunFolder(records.folder).command} --resume {records.folder}"),
    )


def _headline(records: Records, summary: Summary, privacy: Mapping[str, Any]) -> Iterator[Fact]:
    found, nothing = summary.federated, "nothing was measured"
    name = f"{summary.rate}, all held-out rows"
    yield unknown(name, nothing) if found.rows is None else measured(name, number(found.rows))
    name = f"{summary.rate}, worst served client"
    hidden = "noise protects what single clients counted"
    yield (
        unknown(name, nothing if found.rows is None else hidden)
        if found.worst is None
        else measured(name, f"{number(found.worst)} ({found.worst_client})")
    )
    clients = len(records.population.clients) if records.population else len(summary.clients)
    yield measured("clients", f"{clients:,}")
    yield measured("rounds", f"{summary.round:,} of {summary.rounds:,}")
    yield measured("privacy", privacy["headline"])


def _noise(records: Records, rate: str) -> str | None:
    """What the noise on the counts leaves open about the rate over all rows, if there is noise."""
    found = records.assessment
    if found is None or not found.deviation:
        return None
    estimate = found.overall.get(rate)
    if estimate is None or estimate.both is None:
        return "of noised counts, with an error that is not known"
    low, high = number(estimate.both.low), number(estimate.both.high)
    return f"of noised counts: {low} to {high} with other noise and other rows"


def _verdict(summary: Summary, noise: str | None) -> Iterator[Words]:
    found = summary.federated
    if found.rows is None:
        yield "Nothing has been measured yet."
        return
    yield f"After {summary.round} rounds, {summary.rate} is "
    yield Strong(number(found.rows))
    yield " over all held-out rows"
    if noise:
        yield f", {noise}"
    if summary.pooled_training and summary.pooled_training.rows is not None:
        yield f" (pooled training: {number(summary.pooled_training.rows)})"
    if found.worst_client is not None:
        yield f". The worst served client, {found.worst_client}, gets "
        yield Strong(number(found.worst))
    yield "."


def _population(records: Records, summary: Summary) -> Iterator[Block]:
    description = records.population
    if description is None:
        clients, rows = len(summary.clients), sum(summary.held_out.values())
        yield Facts(
            (
                measured("clients that were measured", f"{clients:,}, on {rows:,} held-out rows"),
                unknown("train rows", "what the clients trained on was not recorded"),
            )
        )
        return
    yield say(population_line(description))
    if not description.known:
        yield Facts((unknown("rows of each client", "they are kept by the sites, not seen here"),))
        return
    yield Grid(
        caption="What the clients hold",
        status=Status.MEASURED,
        head=("of a client", "least", "median", "most", "in all"),
        rows=holdings(description),
    )
    for attribute, sizes in description.groups.items():
        rows = sum(sizes.values())
        yield Grid(
            caption=f"Rows by {attribute}, as the data says",
            status=Status.MEASURED,
            head=(attribute, "rows", "share"),
            rows=[(name, f"{size:,}", _percent(size, rows)) for name, size in sizes.items()],
        )


def _percent(size: int, rows: int) -> str:
    return f"{100 * size / rows:.1f} %" if rows else "–"


def _learning(records: Records, summary: Summary) -> Iterator[Block]:
    better = "more is better" if summary.more_is_better else "less is better"
    head, rows = comparison(summary)
    yield Grid(
        caption=f"{summary.rate}; {better}. Over clients, each has one vote whatever its size",
        status=Status.MEASURED,
        head=head,
        rows=rows,
    )
    yield Facts(tuple(_absent(records.config, records, summary)))
    if figure := learning_curve(summary):
        yield Picture(figure)
    else:
        yield Facts((unknown("learning curve", "nothing was measured"),))


def _absent(config: Config, records: Records, summary: Summary) -> Iterator[Fact]:
    """The loss, and why a baseline is not in the table: what is not finite is refused."""
    name = "federated loss, all held-out rows"
    yield (
        unknown(name, "nothing was measured")
        if summary.loss is None
        else measured(name, number(summary.loss))
    )
    if summary.pooled_training is None:
        asked = "pooled" in config.baselines
        yield unknown("pooled training", _why(records, asked, "pooled"))
    missing = len(summary.clients) - len(summary.alone)
    if missing and summary.clients:
        why = _why(records, "alone" in config.baselines, "alone")
        which = (
            "each client alone"
            if not summary.alone
            else f"alone, {missing} of {len(summary.clients)} clients"
        )
        yield unknown(which, why)


def _why(records: Records, asked: bool, name: str) -> str:
    if not asked:
        return f'not asked for: baselines = ["{name}"]'
    return (
        "not trained yet"
        if records.baselines is None
        else "it diverged: what is not finite is left out"
    )
