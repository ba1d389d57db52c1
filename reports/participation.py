"""Participation: how many were asked in each round, and admitted, refused, or gave no answer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from ..server.progress import Committed
from .document import Block, Facts, Grid, Picture, Section, Status, measured, unknown
from .lines import labels
from .plot import SHOWN, Figure, Frame, area, margin, thinned
from .records import Records
from .summary import Summary
from .tables import number

MANY = 150
"""Of more rounds than this, each step of the figure is the mean of several."""
BANDS = (("admitted", "blue"), ("refused", "orange"), ("no answer", "grey"))
Counts = tuple[float, float, float]


def participation(records: Records, summary: Summary) -> Section:
    """The section on who took part, and who was refused why."""
    return Section("Participation and refusals", list(_participation(records, summary)))


def of_round(committed: Committed) -> tuple[int, int, int]:
    """How many were admitted, refused, and gave no answer.

    >>> of_round(Committed(round=1, cohort=9, admitted=6, refused=1, training={}, seconds=0.1))
    (6, 1, 2)
    """
    silent = committed.cohort - committed.admitted - committed.refused
    return committed.admitted, committed.refused, max(silent, 0)


def steps(history: Sequence[Committed]) -> list[tuple[float, float, Counts]]:
    """(first round, last round, mean counts) of rounds put together, so that there are not too many."""
    size = math.ceil(len(history) / MANY)
    found = []
    for start in range(0, len(history), size):
        part = history[start : start + size]
        admitted, refused, silent = (
            sum(column) / len(part) for column in zip(*map(of_round, part), strict=True)
        )
        found.append((float(part[0].round), float(part[-1].round), (admitted, refused, silent)))
    return found


def participation_plot(records: Records) -> Figure | None:
    """The figure, or None if no round was committed."""
    history = [committed for committed, _ in records.history]
    if not history:
        return None
    found = steps(history)
    most = max(committed.cohort for committed in history)
    y = (0.0, max(most, 1) * 1.05)
    left = margin(y)
    frame = Frame(
        left=left,
        top=34,
        width=368 - left,
        height=150,
        x=(history[0].round - 0.5, history[-1].round + 0.5),
        y=y,
    )
    bands = [_band(frame, found, index) for index, _ in enumerate(BANDS) if _occurs(found, index)]
    body = [frame.values_beside("clients"), *bands, frame.rounds_below(), _names(frame, found)]
    return Figure(
        name="participation",
        title="Participation by round",
        description=_description(history),
        height=frame.bottom + 36,
        body="\n".join(body),
        head=("round", "asked", *(name for name, _ in BANDS), "seconds"),
        rows=[
            (str(c.round), f"{c.cohort:,}", *(f"{n:,}" for n in of_round(c)), number(c.seconds))
            for c in thinned(history, SHOWN)
        ],
    )


def _occurs(found: Sequence[tuple[float, float, Counts]], index: int) -> bool:
    return any(counts[index] for _, _, counts in found)


def _band(frame: Frame, found: Sequence[tuple[float, float, Counts]], index: int) -> str:
    above, below = [], []
    for first, last, counts in found:
        left, right = frame.across(first - 0.5), frame.across(last + 0.5)
        low, high = sum(counts[:index]), sum(counts[: index + 1])
        above += [(left, frame.down(high)), (right, frame.down(high))]
        below += [(left, frame.down(low)), (right, frame.down(low))]
    return area([*above, *reversed(below)], f"area {BANDS[index][1]}")


def _names(frame: Frame, found: Sequence[tuple[float, float, Counts]]) -> str:
    """Each band's name where the band ends."""
    counts = found[-1][2]
    ends = [
        (frame.down(sum(counts[:index]) + counts[index] / 2), name, colour)
        for index, (name, colour) in enumerate(BANDS)
        if _occurs(found, index)
    ]
    return labels(frame, ends)


def _description(history: Sequence[Committed]) -> str:
    asked = sum(committed.cohort for committed in history)
    admitted, refused, silent = (
        sum(column) for column in zip(*map(of_round, history), strict=True)
    )
    return (
        f"In {len(history):,} rounds {asked:,} updates were asked for; {admitted:,} were admitted, "
        f"{refused:,} refused, and {silent:,} never came."
    )


def _participation(records: Records, summary: Summary) -> Iterator[Block]:
    if figure := participation_plot(records):
        yield Picture(figure)
    else:
        yield Facts((unknown("participation", "no round is done"),))
    who = unknown("who took part in which round", "not recorded: cohorts are nobody's business")
    if summary.refusals:
        yield Facts(
            (measured("refused updates", f"{summary.refused:,}, left out of the mean"), who)
        )
        yield Grid(
            caption="Why updates were refused",
            status=Status.MEASURED,
            head=("reason", "times"),
            rows=[(reason, f"{count:,}") for reason, count in summary.refusals.items()],
        )
    elif summary.refused:
        yield Facts(
            (
                measured("refused updates", f"{summary.refused:,}, left out of the mean"),
                unknown("why they were refused", "events.jsonl does not say"),
                who,
            )
        )
    else:
        yield Facts((measured("refused updates", "none: every update that came was admitted"), who))
