"""A forest plot: how far groups are apart by each criterion, and what chance and noise do to it."""

from __future__ import annotations

from collections.abc import Sequence

from ..fairness import ByAttribute, Estimate, Gap, Interval
from .plot import Figure, Frame, around, dot, line, shortened, words
from .tables import number

ROW = 62.0
LEFT, RIGHT, TOP = 8.0, 410.0, 24.0
KINDS = (("other rows", "blue"), ("other clients", "green"), ("other noise", "orange"))
"""What could have been otherwise, and the colour of what it could have done."""


def forest_plot(found: ByAttribute, name: str) -> Figure | None:
    """The figure `name` of differences between the groups of an attribute; None if there are none.

    Losses are in the table only where there are rates: they are in other units.
    """
    shown = [gap for gap in found.gaps if gap.kind == "difference"]
    rates = [gap for gap in shown if gap.criterion != "loss_parity"]
    shown = rates or shown
    if not shown:
        return None
    reached = [0.0, *(end for gap in shown for end in _ends(gap.estimate))]
    frame = Frame(
        left=LEFT,
        top=TOP,
        width=RIGHT - LEFT,
        height=ROW * len(shown),
        x=around(reached, within=(0.0, float("inf"))),
    )
    body = [
        _key(shown),
        frame.values_below("highest group less lowest"),
        *(_row(frame, gap, index) for index, gap in enumerate(shown)),
    ]
    return Figure(
        name=name,
        title=f"Gaps by {found.name}",
        description=_description(found, shown),
        height=frame.bottom + 36,
        body="\n".join(body),
        head=(
            "criterion, compared how",
            "widest in",
            "lowest",
            "highest",
            "rows",
            "gap",
            "other rows, 95 %",
            "other clients, 95 %",
            "other noise, 95 %",
            "bootstrap median less gap",
        ),
        rows=[_cells(gap) for gap in found.gaps],
    )


def words_of(name: str) -> str:
    """A name of the library as words.

    >>> words_of("equal_opportunity"), words_of("recall.3"), words_of("auc")
    ('equal opportunity', 'recall of class 3', 'AUC')
    """
    rate, _, label = name.replace("_", " ").partition(".")
    rate = {"auc": "AUC", "auc parity": "AUC parity"}.get(rate, rate)
    return f"{rate} of class {label}" if label else rate


def span(interval: Interval | None) -> str:
    """An interval in a cell.

    >>> span(Interval(low=0.1, high=0.25, median=0.2, defined=1.0)), span(None)
    ('0.100 to 0.250', '–')
    """
    return f"{number(interval.low)} to {number(interval.high)}" if interval else "–"


def _key(shown: Sequence[Gap]) -> str:
    """Which bar is what, of those that there are."""
    found = [dot(LEFT + 4, 9, "dot blue"), words("gap", LEFT + 12, 13, "blue")]
    x = LEFT + 48
    there = {label for gap in shown for _, label, _ in bars(gap.estimate)}
    for label, colour in KINDS:
        if label in there:
            found += [
                line([(x, 9), (x + 16, 9)], f"line {colour} bold"),
                words(label, x + 21, 13, colour),
            ]
            x += 28 + 6.9 * len(label)
    found += [
        line([(x + 4, 4), (x + 4, 14)], "line purple bold"),
        words("median", x + 10, 13, "purple"),
    ]
    return "\n".join(found)


def _row(frame: Frame, gap: Gap, index: int) -> str:
    top, found = frame.top + ROW * index, gap.estimate
    parts = [
        words(f"{words_of(gap.criterion)}: {words_of(gap.rate)}", LEFT, top + 16, "strong"),
        words(shortened(_groups(gap), 66), LEFT, top + 31, "tick"),
    ]
    if found.value is None:
        text = shortened(f"UNDEFINED: {found.undefined}", 62)
        return "\n".join([*parts, words(text, LEFT, top + 47, "orange")])
    y, x = top + 43, frame.across(found.value)
    for lower, (bar, _, colour) in enumerate(bars(found)):
        low, high = frame.across(max(bar.low, frame.x[0])), frame.across(bar.high)
        parts.append(line([(low, y + 5 * lower), (high, y + 5 * lower)], f"line {colour} bold"))
    if interval := found.interval:
        at = frame.across(interval.median)
        parts.append(line([(at, y - 5), (at, y + 5)], "line purple bold"))
    value = words(number(found.value), RIGHT + 12, y + 4, "blue strong")
    return "\n".join([*parts, dot(x, y, "dot blue", 4), value])


def _groups(gap: Gap) -> str:
    """The two groups that are furthest apart, and how many rows each has; without a gap, all groups."""
    if gap.low is None or gap.high is None:
        return "n: " + (
            ", ".join(f"{name} {rows:,.0f}" for name, rows in gap.rows.items()) or "none"
        )
    return " to ".join(f"{name} (n {gap.rows[name]:,.0f})" for name in (gap.low, gap.high))


def bars(found: Estimate) -> list[tuple[Interval, str, str]]:
    """The intervals that are known, each with what could have been otherwise and its colour."""
    every = (found.sampling, found.clients, found.noise)
    return [(bar, *kind) for bar, kind in zip(every, KINDS, strict=True) if bar]


def _ends(found: Estimate) -> list[float]:
    ends = [bar.high for bar, _, _ in bars(found)]
    return [] if found.value is None else [found.value, *ends]


def _cells(gap: Gap) -> list[str]:
    found = gap.estimate
    value = number(found.value) if found.value is not None else f"UNDEFINED: {found.undefined}"
    return [
        f"{words_of(gap.criterion)}, {gap.kind}",
        words_of(gap.rate),
        gap.low or "–",
        gap.high or "–",
        ", ".join(f"{group} {count:,.0f}" for group, count in gap.rows.items()) or "–",
        value,
        span(found.sampling),
        span(found.clients),
        span(found.noise),
        number(gap.bias),
    ]


def _description(found: ByAttribute, shown: Sequence[Gap]) -> str:
    known = [gap for gap in shown if gap.estimate.value is not None]
    undefined = len(shown) - len(known)
    text = "Each gap is the rate of the group that has most of it less that of the group that has least. "
    if known:
        widest = max(known, key=lambda gap: gap.estimate.value or 0.0)
        interval = widest.estimate.interval or widest.estimate.noise
        known_to = f" ({span(interval)})" if interval else ""
        text += (
            f"The widest is in {words_of(widest.criterion)}: {words_of(widest.rate)} is "
            f"{number(widest.estimate.value)} lower for {widest.low} than for "
            f"{widest.high}{known_to}. "
        )
    if undefined:
        text += f"{undefined} of {len(shown)} are undefined. "
    return text + (
        "Such a gap is never below 0, so chance alone makes it too wide: by about as much as the "
        "bootstrap median is to the right of the dot."
    )
