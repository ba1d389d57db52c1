"""The learning curve as SVG: the same numbers give the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .summary import Summary
from .svg import svg
from .tables import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# After Okabe and Ito: told apart by every kind of colour vision. Widths and dashes differ too.
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#8E4585", "#5A5A5A"
GAP = 0.052
"""The least distance between two labels, as a share of the height."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the figure. With a single `y`, it is a level over all rounds."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str
    dashes: str | tuple[int, tuple[int, ...]] = "-"
    width: float = 2.0


def draw(summary: Summary) -> str | None:
    """The figure, or None where nothing was measured. Raises ImportError without matplotlib."""
    lines = curves(summary)
    if not lines:
        return None
    drawn = [*lines, *levels(summary)]
    return svg(lambda axes: _paint(axes, summary, drawn), 4.2, (0.08, 0.13, 0.63, 0.82))


def curves(summary: Summary) -> list[Line]:
    """What changed from round to round: all held-out rows, the pooled rows, the worst client."""
    measured = [(point.round, point.scores) for point in summary.points if point.scores]
    wanted = (
        ("federated", [(x, s.rows) for x, s in measured], BLUE, "-", 2.4),
        ("federated, pooled rows", [(x, s.pooled) for x, s in measured], GREEN, (0, (6, 2)), 2.0),
        ("federated, worst client", [(x, s.worst) for x, s in measured], ORANGE, "-", 1.4),
    )
    lines = []
    for name, pairs, colour, dashes, width in wanted:
        known = [(x, y) for x, y in pairs if y is not None]
        if known:
            x, y = zip(*known, strict=True)
            lines.append(Line(name=name, x=x, y=y, colour=colour, dashes=dashes, width=width))
    return lines


def levels(summary: Summary) -> list[Line]:
    """What training without federation reached."""
    lines = []
    if summary.pooled_training:
        found = summary.pooled_training
        level = found.pooled if found.rows is None else found.rows
        if level is not None:
            lines.append(_level("pooled training", level, GREY, (0, (2, 2))))
    if summary.each_alone and summary.each_alone.mean is not None:
        lines.append(
            _level("each client alone, mean", summary.each_alone.mean, PURPLE, (0, (5, 2, 1, 2)))
        )
    return lines


def spread_out(wanted: Sequence[float], gap: float) -> list[float]:
    """Heights in [0, 1] near those wanted, in the same order, and `gap` apart where there is room.

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
    heights = [0.0] * len(wanted)
    for index, height in zip(order, placed, strict=True):
        heights[index] = height
    return heights


def _low(group: Sequence[float], gap: float) -> float:
    middle = sum(group) / len(group)
    return middle - gap * (len(group) - 1) / 2


def _high(group: Sequence[float], gap: float) -> float:
    return _low(group, gap) + gap * (len(group) - 1)


def _level(name: str, y: float, colour: str, dashes: tuple[int, tuple[int, ...]]) -> Line:
    return Line(name=name, x=(), y=(y,), colour=colour, dashes=dashes, width=1.4)


def _paint(axes: Axes, summary: Summary, lines: Sequence[Line]) -> None:
    from matplotlib.ticker import MaxNLocator

    end = summary.points[-1].round
    for line in lines:
        marker = "o" if 0 < len(line.x) < 12 else ""
        x, y = (line.x, line.y) if line.x else ((0, end), (line.y[0], line.y[0]))
        axes.plot(
            x, y, color=line.colour, linestyle=line.dashes, linewidth=line.width,
            marker=marker, markersize=4, solid_capstyle="round", clip_on=False, zorder=3,
        )  # fmt: skip
    axes.set_xlim(0, end)
    if summary.rate == "accuracy":
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, 0), min(high, 1))
    axes.set_xlabel("round")
    axes.set_ylabel(summary.rate)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    _label(axes, lines)


def _label(axes: Axes, lines: Sequence[Line]) -> None:
    """Names each line at its right end, with its last value, instead of a legend."""
    low, high = axes.get_ylim()
    heights = spread_out([(line.y[-1] - low) / (high - low) for line in lines], GAP)
    for line, height in zip(lines, heights, strict=True):
        axes.text(
            1.02, height, f"{line.name}  {number(line.y[-1])}", color=line.colour,
            transform=axes.transAxes, va="center", fontsize=9.5,
        )  # fmt: skip
