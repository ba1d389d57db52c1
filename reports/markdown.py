"""The page: one run for someone who was not there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..privacy.budget import Unit
from ..simulations.config import Config
from ..simulations.run_folder import RunFolder
from .guarantee import is_noised
from .privacy_page import lines_of
from .records import Records
from .summary import Summary
from .tables import comparison, holdings, number, population_line, settings, table
from .unprotected import is_insecure

LARGEST = 20


def render(
    records: Records, summary: Summary, privacy: Mapping[str, Any], figure: str | None
) -> str:
    """The report in Markdown; `figure` is the name of the learning curve's file, if there is one."""
    sections = [
        _head(records, summary),
        _run(records.config),
        _population(records, summary),
        _results(records, summary),
        _curve(summary, figure),
        _clients(records, summary),
        _refusals(summary),
        _privacy(privacy),
        _uncovered(privacy),
        _environment(records),
        _repeat(records, summary),
    ]
    return "\n\n".join("\n".join(section) for section in sections) + "\n"


def _head(records: Records, summary: Summary) -> Iterator[str]:
    yield f"# Run {records.folder.resolve().name}"
    yield ""
    if records.stopped is not None:
        yield (
            f"**Stopped by its privacy budget** after {summary.round} of {summary.rounds} rounds: "
            f"{records.stopped}"
        )
        yield ""
    elif not summary.finished:
        missing = "" if summary.round < summary.rounds else ", but the run was not concluded"
        yield (
            f"**Unfinished:** {summary.round} of {summary.rounds} rounds are done{missing}. "
            f"To go on: `{RunFolder(records.folder).command} --resume {records.folder}`."
        )
        yield ""
    yield _verdict(summary)


def _verdict(summary: Summary) -> str:
    found = summary.federated
    if found.rows is None:
        return "Nothing has been measured yet."
    text = f"After {summary.round} rounds, {summary.rate} is **{number(found.rows)}** over all held-out"
    if summary.pooled_training and summary.pooled_training.rows is not None:
        text += f" rows (pooled training: {number(summary.pooled_training.rows)})"
    else:
        text += " rows"
    return f"{text}. The worst served client, {found.worst_client}, gets **{number(found.worst)}**."


def _run(config: Config) -> Iterator[str]:
    yield "## What was run"
    yield ""
    yield from table(("setting", "value"), settings(config), numbers=False)


def _population(records: Records, summary: Summary) -> Iterator[str]:
    yield "## Data and population"
    yield ""
    if records.population is None:
        yield (
            f"{len(summary.clients)} clients were measured, on {sum(summary.held_out.values())} "
            "held-out rows. What they trained on was not recorded."
        )
        return
    description = records.population
    yield population_line(description)
    yield ""
    if not description.known:
        yield "How many rows a client holds is not known here: they are kept by the sites."
        return
    yield from table(("of a client", "least", "median", "most", "in all"), holdings(description))
    for attribute, sizes in description.groups.items():
        groups = ", ".join(f"{name} {size:,}" for name, size in sizes.items())
        yield f"\nRows by {attribute}: {groups}."


def _results(records: Records, summary: Summary) -> Iterator[str]:
    better = "more is better" if summary.more_is_better else "less is better"
    yield "## Results"
    yield ""
    yield f"In {summary.rate}; {better}. Over clients, each has one vote whatever its size."
    yield ""
    yield from table(*comparison(summary))
    yield from _absent(records, summary)
    if summary.loss is not None:
        yield f"\nFederated loss over all held-out rows: {number(summary.loss)}."


def _absent(records: Records, summary: Summary) -> Iterator[str]:
    """Baselines that were asked for and are not in the table: what is not finite is refused."""
    if records.baselines is None:
        return
    wanted = records.config.baselines
    if "pooled" in wanted and summary.pooled_training is None:
        yield "\nPooled training diverged, so there is nothing to show of it."
    missing = len(summary.clients) - len(summary.alone)
    if "alone" in wanted and missing:
        yield f"\nAlone, {missing} of {len(summary.clients)} clients diverged: they are left out."


def _curve(summary: Summary, figure: str | None) -> Iterator[str]:
    yield "## Learning curve"
    yield ""
    if figure:
        yield f"![{summary.rate} by round]({figure})"
    elif any(point.scores for point in summary.points):
        yield "Not drawn: matplotlib is missing; `pip install tacit[plot]`."
    else:
        yield "Nothing was measured."


def _clients(records: Records, summary: Summary) -> Iterator[str]:
    yield "## Clients"
    yield ""
    train = (
        {k: own.train for k, own in records.population.known.items()} if records.population else {}
    )
    sizes = train or summary.held_out
    largest = sorted(summary.clients, key=lambda name: (-sizes[name], name))[:LARGEST]
    if len(summary.clients) > LARGEST:
        yield f"The {LARGEST} largest of {len(summary.clients)}; all of them are in `report.json`."
        yield ""
    yield from table(
        ("client", "train rows", "held-out rows", summary.rate, "loss", f"{summary.rate} alone"),
        [
            (
                name,
                f"{train[name]:,}" if name in train else "–",
                f"{summary.held_out[name]:,}",
                number(summary.clients[name].get(summary.rate)),
                number(summary.clients[name].get("loss")),
                number(summary.alone.get(name)),
            )
            for name in largest
        ],
    )


def _refusals(summary: Summary) -> Iterator[str]:
    yield "## Refusals"
    yield ""
    if not summary.refused and not summary.refusals:
        yield "None: every update was admitted."
        return
    yield f"{summary.refused} updates were refused and left out of the mean."
    yield ""
    reasons = [(reason, f"{count:,}") for reason, count in summary.refusals.items()]
    yield from table(("reason", "times"), reasons)


def _privacy(privacy: Mapping[str, Any]) -> Iterator[str]:
    yield "## Privacy"
    yield ""
    yield from lines_of(privacy)


def _uncovered(privacy: Mapping[str, Any]) -> Iterator[str]:
    yield "## What is not protected"
    yield ""
    covered = (
        "No ε covers these:" if privacy["unit"]["units"] else "These leave a client as they are:"
    )
    yield covered
    yield ""
    yield from (f"- {what}" for what in privacy["data_accesses"]["unprotected_quantities"])
    yield "\nThis page is made of them: it names clients and says how each of them fares."


def _environment(records: Records) -> Iterator[str]:
    yield "## Environment"
    yield ""
    found = records.environment
    packages: Mapping[str, str] = found.get("packages", {})
    names = ("tacit", "python", "platform", "cores")
    rows = [(name, str(found[name])) for name in names if name in found]
    yield from table(("what", "version"), [*rows, *packages.items()], numbers=False)


def _repeat(records: Records, summary: Summary) -> Iterator[str]:
    yield "## How to repeat it"
    yield ""
    if records.is_deployment:
        yield "With the same sites, which keep the rows, and `tacit serve` in place of `tacit run`:"
        yield ""
    yield "```console"
    command = "serve" if records.is_deployment else "run"
    yield f"$ tacit {command} {records.folder}/config.toml --out a-new-folder"
    yield "```"
    yield ""
    if summary.digest and _is_repeatable(records.config):
        yield (
            "On a CPU, with the versions above, it ends in parameters whose SHA-256 is "
            f"`{summary.digest}`, whatever the number of workers."
        )
    elif summary.digest:
        yield "It ends in other parameters: the noise is drawn anew."
    yield f"Training and evaluation took {summary.seconds:.1f} s."


def _is_repeatable(config: Config) -> bool:
    """Whether nothing is drawn from a secret."""
    noised = any(is_noised(config, unit) for unit in Unit)
    return is_insecure(config) or not noised
