"""A comparison as tables of words and as JSON: the same on a page and on a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from ..fairness.assessing import DRAWS
from ..fairness.assessment import Estimate
from ..fairness.intervals import CONFIDENCE
from .changes import Difference
from .comparison import FEW, Comparison, Row
from .guarantee import number as epsilon_number
from .numbers import of
from .readings import ALL_ROWS, CLIENT, EPSILON, MEAN
from .tables import number
from .targets import Mark, Verdict

Table = tuple[list[str], list[list[str]]]
"""The head and the rows."""
UNDEFINED = "UNDEFINED"


def letter(index: int) -> str:
    """What a table calls a run.

    >>> letter(0), letter(25), letter(26)
    ('A', 'Z', '27')
    """
    return chr(ord("A") + index) if index < 26 else str(index + 1)


def sides(found: Comparison) -> Table:
    """The runs, and the privacy of each."""
    rows = [
        [f"{letter(n)}  {side.name}", f"{side.round} of {side.rounds}", side.privacy]
        for n, side in enumerate(found.sides)
    ]
    return ["run", "rounds", "privacy"], rows


def settings(found: Comparison) -> Table:
    """What differs between the configurations."""
    head = ["setting", *map(letter, range(len(found.sides)))]
    return head, [[each.key, *(value or "–" for value in each.values)] for each in found.settings]


def title(found: Comparison, index: int) -> str:
    """What the differences of a run are, in words."""
    what = f"the difference to the first run, with its {100 * CONFIDENCE:g} % interval"
    if found.sides[index].cost:
        more = ", and whatever else differs," if found.sides[index].more else ""
        return f"what privacy{more} cost in {letter(index)}: per group, {what}"
    return f"{letter(index)}: {what}"


def main_rows(found: Comparison, index: int) -> list[Row]:
    """What a reader asks first: ε, the headline rate and the loss over whomever, gaps between groups."""
    rate = next((row.measure.metric for row in found.rows if row.measure.group == MEAN), "")
    return [row for row in _rows(found, index) if _is_main(row, rate)]


def differences(found: Comparison, index: int, *, brief: bool) -> Table:
    """The first run, run `index` and their difference, in every measure; if `brief`, in the main ones."""
    chosen = main_rows(found, index) if brief else _rows(found, index)
    rows = [
        [str(row.measure), _value(row, 0), _value(row, index), _difference(row.differences[index])]
        for row in chosen
    ]
    return ["", "A", letter(index), f"{letter(index)} - A"], rows


def remarks(found: Comparison, index: int) -> Iterator[str]:
    """How the intervals came about, and what they do not say."""
    side = found.sides[index]
    if side.unpaired:
        yield f"not paired: {side.unpaired}; intervals are those of independent runs."
        return
    yield f"paired: the same {side.paired} clients are drawn anew for both, {DRAWS:,} times."
    if side.paired < FEW:
        yield f"{side.paired} clients are few: drawing them anew says little about others."
    yield "an interval is about other clients, not about another seed; a single client has none."


def verdicts(found: Sequence[Verdict]) -> Table:
    """What came of each target."""
    rows = [
        [
            str(verdict.target.measure),
            _runs(verdict),
            str(verdict.target),
            "–" if verdict.value is None else number(verdict.value),
            verdict.mark.value,
            _off(verdict),
        ]
        for verdict in found
    ]
    return ["", "runs", "target", "found", "", "off by"], rows


def as_json(found: Comparison, judged: Sequence[Verdict]) -> dict[str, Any]:
    """All of it; a value that does not exist is null beside the reason, ∞ is "infinite"."""
    return {
        "runs": [
            {
                "name": side.name,
                "folder": side.folder,
                "finished": side.finished,
                "round": side.round,
                "rounds": side.rounds,
                "measured_after_round": side.measured,
                "privacy": side.privacy,
                "differs_in_privacy": side.cost,
                "paired_clients": side.paired,
                "unpaired_because": side.unpaired,
            }
            for side in found.sides
        ],
        "settings": {each.key: list(each.values) for each in found.settings},
        "confidence": CONFIDENCE,
        "rows": [
            {
                "metric": row.measure.metric,
                "group": row.measure.group,
                "readings": [_reading_json(reading) for reading in row.readings],
                "differences": [_difference_json(each) for each in row.differences],
            }
            for row in found.rows
        ],
        "targets": [_verdict_json(verdict) for verdict in judged],
    }


def _rows(found: Comparison, index: int) -> list[Row]:
    """What both the first run and run `index` have, but for an ε that is infinite in both."""
    pairs = [(row, row.readings[0], row.readings[index]) for row in found.rows]
    return [
        row
        for row, first, other in pairs
        if first and other and {first.value, other.value} != {math.inf}
    ]


def _is_main(row: Row, rate: str) -> bool:
    metric, group = row.measure
    if metric == EPSILON:
        return True
    if metric == rate:
        return not group.startswith(CLIENT)
    return (metric, group) == ("loss", ALL_ROWS) or metric.endswith(" difference")


def _value(row: Row, index: int) -> str:
    reading = row.readings[index]
    if reading is None:
        return "–"
    if reading.value is None:
        return UNDEFINED
    return epsilon_number(reading.value) if row.measure.metric == EPSILON else number(reading.value)


def _difference(found: Difference | None) -> str:
    if found is None:
        return "–"
    if found.low is None or found.high is None:
        return _signed(found.value)
    return f"{_signed(found.value)} [{_signed(found.low)}, {_signed(found.high)}]"


def _signed(value: float) -> str:
    """With its sign, and 0 with a plus."""
    if abs(value) >= 100:
        return f"{'+' if value > 0 else ''}{number(value)}"
    return f"{round(value, 3) + 0.0:+.3f}"


def _runs(verdict: Verdict) -> str:
    if len(verdict.runs) == 1:
        return verdict.runs[0]
    count = f" ({len(verdict.runs)} runs)" if verdict.runs else ""
    return f"{verdict.target.run}{count}"


def _off(verdict: Verdict) -> str:
    if verdict.mark is Mark.NOT_RUN:
        return verdict.reason or ""
    return "–" if verdict.off is None else _signed(verdict.off)


def _reading_json(found: Estimate | None) -> dict[str, Any] | None:
    if found is None:
        return None
    value, bar = of(found.value, found.undefined or ""), found.interval
    return {"value": value, "low": bar and bar.low, "high": bar and bar.high}


def _difference_json(found: Difference | None) -> dict[str, Any] | None:
    return {"value": found.value, "low": found.low, "high": found.high} if found else None


def _verdict_json(found: Verdict) -> dict[str, Any]:
    target = found.target
    return {
        "line": target.line,
        "metric": target.measure.metric,
        "group": target.measure.group,
        "target": target.target,
        "tolerance": target.tolerance,
        "bound": target.direction.value,
        "source": target.source,
        "mark": found.mark.value,
        "runs": list(found.runs),
        "value": None if found.value is None else of(found.value, ""),
        "off": None if found.off is None else of(found.off, ""),
        "reason": found.reason,
    }
