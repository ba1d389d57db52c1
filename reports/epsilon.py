"""ε over the rounds of a run, and what each kind of release adds to it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..privacy.account import EVALUATION, FIT, MODEL
from ..privacy.accountants import Counts, rdp_epsilon
from ..privacy.budget import Budget, Unit
from ..privacy.event import Event, Unaccountable, from_json
from ..privacy.ledger import Entry
from .charges import Charges
from .guarantee import is_noised, number
from .ledgers import together
from .lines import Line, labels, path
from .numbers import quick, stated
from .plot import SHOWN, Figure, Frame, area, margin, thinned

POINTS = 10
"""At how many rounds PLD is asked, which takes long, most of them early, where ε grows fastest."""
AREA = 60
"""At how many rounds the areas of the figure are computed."""
OTHERS = "other runs"
KINDS = {MODEL: "models", FIT: "training", EVALUATION: "evaluations"}
"""What each release of a run is called; another one is called what the ledger calls it."""
COLOURS = ("purple", "green", "gold", "grey")
Step = tuple[int, dict[str, Counts]]


@dataclass(frozen=True, kw_only=True)
class Spending:
    """ε of `unit` before the first round of a run and after each of them, as far as it was charged.

    `rdp` has (round, ε) of the filter that decides when to stop, `pld` of what is stated. `parts` has,
    for each kind of release, (round, ε by RDP) of it and of all kinds before it.
    """

    unit: Unit
    rdp: Sequence[tuple[int, float]]
    pld: Sequence[tuple[int, float]]
    parts: Mapping[str, Sequence[tuple[int, float]]]
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


def epsilon_plot(spent: Spending) -> Figure:
    """The figure: an area for each kind of release, the two accountants, and the budget as a level."""
    drawn = lines(spent)
    y = (0.0, 1.06 * max(max(line.y) for line in drawn))
    left = margin(y)
    frame = Frame(
        left=left,
        top=34,
        width=322 - left,
        height=190,
        x=(0, spent.rdp[-1][0]),
        y=y,
    )
    whose = f"ε of a {_whose(spent.unit)} at δ = {spent.budget.delta:.3g}"
    areas = list(_areas(frame, spent))
    ends = [(frame.down(each.y[-1]), each.label, each.style) for each in drawn]
    body = [
        frame.values_beside(whose),
        *(shape for shape, _, _, _ in areas),
        frame.rounds_below(),
        *(path(frame, each) for each in drawn),
        labels(frame, [*ends, *((middle, name, colour) for _, middle, name, colour in areas)]),
    ]
    return Figure(
        name="epsilon",
        title=f"{whose} by round, stacked by release",
        description=_description(spent),
        height=frame.bottom + 40,
        body="\n".join(body),
        head=("round", *(f"{name} adds" for name in spent.parts), "filter (RDP)", "stated (PLD)"),
        rows=thinned(_rows(spent), SHOWN),
    )


def lines(spent: Spending) -> list[Line]:
    """What is drawn as lines: both accountants, and the budget as a level."""
    found = [
        _line("filter (RDP)", spent.rdp, "orange dashed"),
        _line("stated (PLD)", spent.pld, "blue bold"),
    ]
    if spent.budget.finite:
        level, label = (spent.budget.epsilon,), f"budget {spent.budget.epsilon:g}"
        found.append(Line(name="budget", label=label, x=(), y=level, style="grey dotted"))
    return found


def _line(name: str, pairs: Sequence[tuple[int, float]], style: str) -> Line:
    x, y = zip(*pairs, strict=True)
    return Line(name=name, label=f"{name} {number(y[-1])}", x=x, y=y, style=style)


def _areas(frame: Frame, spent: Spending) -> Iterator[tuple[str, float, str, str]]:
    """For each kind of release its area, the middle of its end, its name and its colour."""
    floor = [(round, 0.0) for round, _ in next(iter(spent.parts.values()))]
    for (name, top), colour in zip(spent.parts.items(), COLOURS, strict=False):
        if all(high == low for (_, high), (_, low) in zip(top, floor, strict=True)):
            continue
        points = [(frame.across(x), frame.down(y)) for x, y in [*top, *reversed(floor)]]
        middle = frame.down((top[-1][1] + floor[-1][1]) / 2)
        yield area(points, f"area {colour}"), middle, name, colour
        floor = list(top)


def _description(spent: Spending) -> str:
    reached = f"ε is {number(spent.pld[-1][1])} after round {spent.pld[-1][0]}"
    limit = f" of a budget of {spent.budget.epsilon:g}" if spent.budget.finite else ""
    before = f"; before the first round it was {number(spent.pld[0][1])}" if spent.pld[0][1] else ""
    return (
        f"{reached}{limit}{before}. ε does not add up over releases: each area is what its releases add, "
        "by the filter's count, to those below it."
    )


def _rows(spent: Spending) -> list[list[str]]:
    rdp, pld = dict(spent.rdp), dict(spent.pld)
    rows = []
    for index, (round, _) in enumerate(next(iter(spent.parts.values()))):
        tops = [0.0, *(top[index][1] for top in spent.parts.values())]
        added = (number(max(high - low, 0.0)) for low, high in pairwise(tops))
        stated = number(pld[round]) if round in pld else "–"
        rows.append([str(round), *added, number(rdp[round]), stated])
    return rows


def _spending(unit: Unit, entries: Sequence[Entry], found: Charges) -> Spending | None:
    steps, budget = _steps(entries, found.run), found.config.budget_of(unit)
    if len(steps) < 2:
        return None
    last = len(steps) - 1
    squares = {math.ceil(last * (k / (POINTS - 1)) ** 2) for k in range(POINTS)}
    asked = [steps[index] for index in sorted(squares)]
    try:
        rdp = [(n, _filtered(parts.values(), budget)) for n, parts in steps]
        pld = [(n, _quick(parts, budget)) for n, parts in asked[:-1]]
        counts = together(*asked[-1][1].values())
        pld.append((asked[-1][0], stated(counts, budget.delta, budget.adjacency)))
        stacked = _stacked(thinned(steps, AREA), budget)
    except Unaccountable:
        return None
    if not all(math.isfinite(epsilon) for _, epsilon in [*rdp, *pld]):
        return None
    return Spending(unit=unit, rdp=rdp, pld=pld, parts=stacked, budget=budget)


def _filtered(parts: Iterable[Counts], budget: Budget) -> float:
    return rdp_epsilon(together(*parts), budget.delta, budget.adjacency)


def _quick(parts: Mapping[str, Counts], budget: Budget) -> float:
    return quick(together(*parts.values()), budget.delta, budget.adjacency).value or 0.0


def _stacked(steps: Sequence[Step], budget: Budget) -> dict[str, list[tuple[int, float]]]:
    """ε of the first kind of release, of the first two and so on, at each of `steps`."""
    kinds = list(steps[-1][1])
    return {
        kind: [
            (n, _filtered([parts.get(k, {}) for k in kinds[: index + 1]], budget))
            for n, parts in steps
        ]
        for index, kind in enumerate(kinds)
    }


def _steps(entries: Sequence[Entry], run: str | None) -> list[Step]:
    """The events of each kind up to each round of `run`; those before its first round are round 0."""
    counts: dict[str, dict[Event, int]] = {OTHERS: {}} if any(e.run != run for e in entries) else {}
    steps: dict[int, dict[str, Counts]] = {}
    for entry in entries:
        if entry.run == run and not steps:
            steps[0] = dict(counts)
        kind = KINDS.get(entry.release, entry.release) if entry.run == run else OTHERS
        counts[kind] = together(counts.get(kind, {}), {from_json(entry.event): entry.times})
        if entry.run == run:
            steps[entry.round] = dict(counts)
    return list(steps.items())


def _whose(unit: Unit) -> str:
    return "client" if unit is Unit.CLIENT else "row"
