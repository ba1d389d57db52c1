"""ε over the rounds of a run as SVG: the same numbers give the same bytes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..privacy.accountants import rdp_epsilon
from ..privacy.budget import Budget, Unit
from ..privacy.event import Event, Unaccountable, from_json
from ..privacy.ledger import Entry
from .charges import Charges
from .curve import BLUE, GAP, GREY, ORANGE, Line, spread_out
from .guarantee import is_noised, number
from .numbers import quick, stated
from .svg import svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINTS = 10
"""At how many rounds PLD is asked, which takes long, most of them early, where ε grows fastest."""


@dataclass(frozen=True, kw_only=True)
class Spending:
    """ε of `unit` before the first round of a run and after each of them, as far as it was charged.

    `rdp` has (round, ε) of the filter that decides when to stop, `pld` of what is stated.
    """

    unit: Unit
    rdp: Sequence[tuple[int, float]]
    pld: Sequence[tuple[int, float]]
    budget: Budget


def spending(found: Charges) -> Spending | None:
    """How ε grew, from the ledger; None if the run has spent nothing that can be counted.

    It is about clients where noise protects them, else about the rows of the client that spent most.
    """
    if is_noised(found.config, Unit.CLIENT):
        return _spending(Unit.CLIENT, found.population, found)
    most = found.of_example_spread()
    entries = found.clients.get(most.client, ()) if most else ()
    return _spending(Unit.EXAMPLE, entries, found)


def draw_epsilon(spent: Spending) -> str:
    """The figure. Raises ImportError without matplotlib."""
    return svg(lambda axes: _paint(axes, spent), 3.6, (0.08, 0.15, 0.66, 0.79))


def lines(spent: Spending) -> list[Line]:
    """What is drawn: both accountants, and the budget as a level."""
    found = [
        _line("stated (PLD)", spent.pld, BLUE, 2.4, "-"),
        _line("filter (RDP)", spent.rdp, ORANGE, 1.4, (0, (5, 2))),
    ]
    if spent.budget.finite:
        level = (spent.budget.epsilon,)
        found.append(Line(name="budget", x=(), y=level, colour=GREY, dashes=(0, (2, 2)), width=1.4))
    return found


def _line(
    name: str,
    pairs: Sequence[tuple[int, float]],
    colour: str,
    width: float,
    dashes: str | tuple[int, tuple[int, ...]],
) -> Line:
    x, y = zip(*pairs, strict=True)
    return Line(name=name, x=x, y=y, colour=colour, dashes=dashes, width=width)


def _spending(unit: Unit, entries: Sequence[Entry], found: Charges) -> Spending | None:
    steps, budget = _steps(entries, found.run), found.config.budget_of(unit)
    if len(steps) < 2:
        return None
    last = len(steps) - 1
    squares = {math.ceil(last * (k / (POINTS - 1)) ** 2) for k in range(POINTS)}
    asked = [steps[index] for index in sorted(squares)]
    try:
        rdp = [(n, rdp_epsilon(c, budget.delta, budget.adjacency)) for n, c in steps]
        pld = [(n, quick(c, budget.delta, budget.adjacency).value or 0.0) for n, c in asked[:-1]]
        pld.append((asked[-1][0], stated(asked[-1][1], budget.delta, budget.adjacency)))
    except Unaccountable:
        return None
    if not all(math.isfinite(epsilon) for _, epsilon in [*rdp, *pld]):
        return None
    return Spending(unit=unit, rdp=rdp, pld=pld, budget=budget)


def _steps(entries: Sequence[Entry], run: str | None) -> list[tuple[int, dict[Event, int]]]:
    """The events up to each round of `run`, and those before its first round as round 0."""
    counts: dict[Event, int] = {}
    steps: dict[int, dict[Event, int]] = {}
    for entry in entries:
        if entry.run == run and not steps:
            steps[0] = dict(counts)
        event = from_json(entry.event)
        counts[event] = counts.get(event, 0) + entry.times
        if entry.run == run:
            steps[entry.round] = dict(counts)
    return list(steps.items())


def _paint(axes: Axes, spent: Spending) -> None:
    from matplotlib.ticker import MaxNLocator

    end, drawn = spent.rdp[-1][0], lines(spent)
    for line in drawn:
        x, y = (line.x, line.y) if line.x else ((0, end), (line.y[0], line.y[0]))
        marker = "o" if 0 < len(line.x) < 12 and line.dashes == "-" else ""
        axes.plot(
            x, y, color=line.colour, linestyle=line.dashes, linewidth=line.width,
            marker=marker, markersize=4, solid_capstyle="round", clip_on=False, zorder=3,
        )  # fmt: skip
    axes.set_xlim(0, end)
    axes.set_ylim(0, 1.06 * max(max(line.y) for line in drawn))
    axes.set_xlabel("round")
    axes.set_ylabel(f"ε of a {_whose(spent.unit)} at δ = {spent.budget.delta:.3g}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    _label(axes, drawn)


def _whose(unit: Unit) -> str:
    return "client" if unit is Unit.CLIENT else "row"


def _label(axes: Axes, drawn: Sequence[Line]) -> None:
    """Names each line at its right end, with its last value, instead of a legend."""
    _, high = axes.get_ylim()
    for line, height in zip(
        drawn, spread_out([line.y[-1] / high for line in drawn], GAP * 1.2), strict=True
    ):
        value = f"{line.y[-1]:g}" if line.name == "budget" else number(line.y[-1])
        axes.text(
            1.02, height, f"{line.name}  {value}", color=line.colour,
            transform=axes.transAxes, va="center", fontsize=9.5,
        )  # fmt: skip
