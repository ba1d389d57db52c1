"""Lines over rounds, each with its name at its end instead of a legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .plot import Frame, dot, line, thinned, words

GAP = 15.0
"""The least distance between the base lines of two labels."""
FEW = 12
"""So many points are dots as well."""
MANY = 300
"""No line has more points than this: of more, some are left out."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a figure: what `style` it has, and the `label` at its end. A single `y` is a level."""

    name: str
    label: str
    x: Sequence[float]
    y: Sequence[float]
    style: str


def drawn(frame: Frame, lines: Sequence[Line]) -> str:
    """All of `lines`, and their names to the right of the frame."""
    ends = [(frame.down(each.y[-1]), each.label, each.style) for each in lines]
    return "\n".join([*(path(frame, each) for each in lines), labels(frame, ends)])


def spread_out(wanted: Sequence[float], gap: float) -> list[float]:
    """Places near those wanted, in the same order, and `gap` apart.

    >>> [round(y, 2) for y in spread_out([0.5, 0.5, 0.9], gap=0.1)]
    [0.45, 0.55, 0.9]
    """
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    groups: list[list[float]] = []  # of neighbours that touch, each centred on what they wanted
    for index in order:
        groups.append([wanted[index]])
        while len(groups) > 1 and _low(groups[-1], gap) - _high(groups[-2], gap) < gap:
            groups[-2:] = [groups[-2] + groups[-1]]
    placed = [_low(group, gap) + gap * rank for group in groups for rank in range(len(group))]
    places = [0.0] * len(wanted)
    for index, place in zip(order, placed, strict=True):
        places[index] = place
    return places


def path(frame: Frame, each: Line) -> str:
    """A line, with a dot at each of its points if they are few."""
    x, y = (each.x, each.y) if each.x else (frame.x, (each.y[0], each.y[0]))
    points = [(frame.across(a), frame.down(b)) for a, b in zip(x, y, strict=True)]
    drawn = [line(thinned(points, MANY), f"line {each.style}")]
    if 0 < len(each.x) <= FEW:
        drawn += [dot(a, b, f"dot {each.style}", 2.6) for a, b in points]
    return "\n".join(drawn)


def labels(frame: Frame, ends: Sequence[tuple[float, str, str]]) -> str:
    """Words to the right of the frame, for things that end at these heights, each in its style.

    Where words would overlap they give way, and a leader goes to them.
    """
    found = []
    places = spread_out([end for end, _, _ in ends], GAP)
    for (end, text, style), place in zip(ends, places, strict=True):
        if abs(end - place) > 3:
            found.append(line([(frame.right + 2, end), (frame.right + 9, place)], "leader"))
        found.append(words(text, frame.right + 12, place + 4, style))
    return "\n".join(found)


def _low(group: Sequence[float], gap: float) -> float:
    middle = sum(group) / len(group)
    return middle - gap * (len(group) - 1) / 2


def _high(group: Sequence[float], gap: float) -> float:
    return _low(group, gap) + gap * (len(group) - 1)
