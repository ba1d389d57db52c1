"""What `tacit compare` shows: runs, what differs, a table for each run but the first, targets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.measure import Measurement

from ..reports import comparison_tables as tables
from ..reports.comparison import Comparison, compare, everything, labels
from ..reports.comparison_page import write_comparison
from ..reports.records import read
from ..reports.targets import Mark, Verdict, judge, read_targets
from ..simulations.run_folder import RunFolder
from . import console
from .options import Format
from .outcome import Missed
from .table import side_by_side


def compare_runs(
    runs: Sequence[Path], targets: Path | None, form: Format, out: Path | None
) -> None:
    """Compares, judges, shows and writes. Raises `Missed` if a target is not met."""
    wanted = read_targets(targets) if targets else []
    records = [read(RunFolder(folder)) for folder in runs]
    found = compare(records)
    names = labels([each.folder for each in records])
    verdicts = judge(wanted, dict(zip(names, everything(records), strict=True)))
    if form is Format.JSON:
        console.emit(tables.as_json(found, verdicts))
    else:
        _show(found, verdicts)
    for path in write_comparison(found, verdicts, out) if out else ():
        if form is Format.TEXT:
            console.say(f"wrote {path}")
    for side in found.sides:
        if not side.finished:
            console.caution(
                f"{side.name} is unfinished: {side.round} of {side.rounds} rounds are done."
            )
    if problems := list(_missed(verdicts)):
        raise Missed("\n".join(problems))


def _show(found: Comparison, verdicts: Sequence[Verdict]) -> None:
    _print(*tables.sides(found))
    if len(found.sides) > 1:
        console.say(
            "what differs" if found.settings else "nothing differs in their configurations."
        )
        if found.settings:
            _print(*tables.settings(found))
    for index in range(1, len(found.sides)):
        console.say(tables.title(found, index))
        _print(*tables.differences(found, index, brief=True))
        for text in tables.remarks(found, index):
            console.say(text)
    if verdicts:
        console.say("targets")
        _print(*tables.verdicts(verdicts))


def _print(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table as wide as it is: cut off it would say something else."""
    table, out = side_by_side(head, rows), console.out()
    width = out.width
    out.width = max(
        width, Measurement.get(out, out.options.update(max_width=10_000), table).maximum
    )
    out.print(table)
    out.width = width


def _missed(verdicts: Sequence[Verdict]) -> Iterator[str]:
    for mark in (Mark.GAP, Mark.NOT_RUN):
        missed = [verdict for verdict in verdicts if verdict.mark is mark]
        if missed:
            first = missed[0].target
            yield (
                f"{len(missed)} of {len(verdicts)} targets: {mark}, the first is that of line "
                f"{first.line}, {first.measure}."
            )
