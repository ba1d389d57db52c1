"""A comparison as a figure: for each measure a dot with its interval, and zero where nothing differs."""

from __future__ import annotations

from collections.abc import Sequence

from ..fairness.intervals import CONFIDENCE
from .comparison import Comparison, Row
from .comparison_tables import differences, letter, main_rows
from .plot import SHOWN, Figure, Frame, around, dot, line, shortened, words
from .readings import EPSILON

ROW = 18.0
LEFT, RIGHT = 206.0, 466.0
LETTERS = 28


def differences_plot(found: Comparison, index: int) -> Figure | None:
    """How far run `index` is from the first, in each main measure; None if in none.

    Losses are in the table only where there are rates: they are in other units.
    """
    known = [
        row
        for row in main_rows(found, index)
        if row.differences[index] is not None and row.measure.metric != EPSILON
    ]
    rates = [row for row in known if not row.measure.metric.startswith("loss")]
    rows = (rates or known)[:SHOWN]
    if not rows:
        return None
    frame = Frame(
        left=LEFT,
        top=8,
        width=RIGHT - LEFT,
        height=ROW * len(rows),
        x=around([0.0, *(end for row in rows for end in _ends(row, index))]),
        y=(0, len(rows)),
    )
    zero = frame.across(0.0)
    name = letter(index)
    head, cells = differences(found, index, brief=True)
    return Figure(
        name=f"difference-{index}",
        title=f"{name} less A",
        description=_description(rows, index),
        height=frame.bottom + 36,
        body="\n".join(
            [
                frame.values_below(f"{name} less A"),
                line([(zero, frame.top), (zero, frame.bottom)], "line grey"),
                *(_row(frame, row, index, place) for place, row in enumerate(rows)),
            ]
        ),
        head=head,
        rows=cells,
    )


def _ends(row: Row, index: int) -> Sequence[float]:
    found = row.differences[index]
    known = (found.value, found.low, found.high) if found else ()
    return [value for value in known if value is not None]


def _row(frame: Frame, row: Row, index: int, place: int) -> str:
    """A ghost, where there is no interval."""
    y = frame.top + ROW * (place + 0.5)
    value, *bar = (frame.across(value) for value in _ends(row, index))
    label = str(row.measure).replace(" difference,", ",")  # of the gaps, these alone are drawn
    parts = [words(shortened(label, LETTERS), LEFT - 8, y + 4, "end")]
    if bar:
        parts += [line([(end, y) for end in bar], "line blue bold"), dot(value, y, "dot blue", 4)]
    else:
        parts.append(dot(value, y, "ghost blue"))
    return "\n".join(parts)


def _description(rows: Sequence[Row], index: int) -> str:
    known = [found for row in rows if (found := row.differences[index])]
    barred = [found for found in known if found.low is not None and found.high is not None]
    apart = sum(not (found.low or 0.0) <= 0.0 <= (found.high or 0.0) for found in barred)
    return (
        f"Dots are differences to A and lines their {100 * CONFIDENCE:g} % intervals; a circle has none. "
        f"{apart} of {len(barred)} intervals leave out zero."
    )
