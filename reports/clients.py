"""How each client fares: a dot for the model that all of them trained, a ghost for its own."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median, quantiles

from ..fairness import ClientFairness
from .document import (
    Block,
    Fact,
    Facts,
    Grid,
    Picture,
    Section,
    Status,
    inapplicable,
    measured,
    unknown,
)
from .plot import SHOWN, Figure, Frame, area, around, dot, line, shortened, words
from .records import Records
from .summary import Summary
from .tables import number

ROW = 16.0
LEFT, RIGHT = 134.0, 464.0


def clients(records: Records, summary: Summary) -> Section:
    """The section on clients."""
    return Section("Clients", list(_clients(records, summary)))


def ranked(summary: Summary) -> list[str]:
    """The clients that were measured, the worst served first."""
    sign = 1 if summary.more_is_better else -1
    known = {
        name: rates[summary.rate]
        for name, rates in summary.clients.items()
        if summary.rate in rates
    }
    return sorted(known, key=lambda name: (sign * known[name], name))


def dot_plot(records: Records, summary: Summary) -> Figure | None:
    """The figure, or None where no client was measured; of many clients it shows the worst served."""
    order = ranked(summary)
    if not order:
        return None
    shown = order[:SHOWN]
    found = [summary.clients[name][summary.rate] for name in order]
    alone = [summary.alone[name] for name in order if name in summary.alone]
    above = ROW if len(order) > len(shown) else 0.0
    within = (0.0, 1.0) if summary.rate == "accuracy" else (0.0, float("inf"))
    frame = Frame(
        left=LEFT,
        top=26 + above,
        width=RIGHT - LEFT,
        height=ROW * len(shown),
        x=around([*found, *alone], within=within),
        y=(0, len(shown)),
    )
    everyone = [_box(frame, found, len(order))] if above else []
    body = [
        _key(bool(alone)),
        frame.values_below(summary.rate),
        *everyone,
        *(_row(frame, summary, name, index) for index, name in enumerate(shown)),
    ]
    return Figure(
        name="clients",
        title=f"{summary.rate} of each client" + (f": the {SHOWN} worst served" if above else ""),
        description=_description(summary, order, found),
        height=frame.bottom + 36,
        body="\n".join(body),
        head=(
            "client",
            "train rows",
            "held-out rows",
            summary.rate,
            "loss",
            f"{summary.rate} alone",
        ),
        rows=[_cells(records, summary, name) for name in shown],
    )


def _cells(records: Records, summary: Summary, name: str) -> list[str]:
    train = records.train_rows
    return [
        name,
        f"{train[name]:,}" if name in train else "–",
        f"{summary.held_out[name]:,}",
        number(summary.clients[name].get(summary.rate)),
        number(summary.clients[name].get("loss")),
        number(summary.alone.get(name)),
    ]


def _key(ghosts: bool) -> str:
    found = [dot(LEFT + 5, 10, "dot blue"), words("the federated model", LEFT + 13, 14, "blue")]
    if ghosts:
        found += [
            dot(LEFT + 160, 10, "ghost purple"),
            words("its own, trained alone", LEFT + 168, 14, "purple"),
        ]
    return "\n".join(found)


def _row(frame: Frame, summary: Summary, name: str, index: int) -> str:
    y = frame.top + ROW * (index + 0.5)
    x = frame.across(summary.clients[name][summary.rate])
    found = [words(shortened(name, 16), LEFT - 8, y + 4, "end")]
    if name in summary.alone:
        ghost = frame.across(summary.alone[name])
        found += [line([(ghost, y), (x, y)], "line fine grey"), dot(ghost, y, "ghost purple", 4.6)]
    return "\n".join([*found, dot(x, y, "dot blue", 3.4)])


def _box(frame: Frame, values: list[float], clients: int) -> str:
    """All clients in one row: from the least to the most, the middle half as a bar, the median in it."""
    y = frame.top - ROW * 0.6
    low, middle, high = _quarters(values)
    left, right, at = frame.across(low), frame.across(high), frame.across(middle)
    ends = [(frame.across(min(values)), y), (frame.across(max(values)), y)]
    bar = [(left, y - 4), (right, y - 4), (right, y + 4), (left, y + 4)]
    return "\n".join(
        [
            words(f"all {clients:,}", LEFT - 8, y + 4, "end strong"),
            line(ends, "line fine blue"),
            area(bar, "area blue"),
            line([(at, y - 5), (at, y + 5)], "line blue bold"),
        ]
    )


def _description(summary: Summary, order: list[str], found: list[float]) -> str:
    gained = sum(
        (summary.clients[name][summary.rate] > value) == summary.more_is_better
        for name, value in summary.alone.items()
        if summary.clients.get(name, {}).get(summary.rate, value) != value
    )
    text = (
        f"{len(order):,} clients, sorted; the worst served is {order[0]} with {number(found[0])}, "
        f"the median {number(median(found))}, the best served {order[-1]} with {number(found[-1])}."
    )
    if summary.alone:
        text += (
            f" The federated model is better than its own for {gained:,} of {len(summary.alone):,}."
        )
    return text


def _clients(records: Records, summary: Summary) -> Iterator[Block]:
    figure = dot_plot(records, summary)
    if figure is None:
        noised = summary.federated.rows is not None
        reason = "noise protects what single clients counted" if noised else "nothing was measured"
        yield Facts((unknown("rates of clients", reason),))
        return
    yield Picture(figure)
    if not summary.alone:
        yield Facts((_no_ghosts(records),))
    yield _distribution(summary)
    if (found := records.assessment) and found.clients:
        yield Facts(tuple(_evenness(found.clients)))


def _evenness(found: ClientFairness) -> Iterator[Fact]:
    """How even it is, in single numbers."""
    even, several = found.evenness, "all clients have 0"
    yield measured("worst tenth of clients, mean", number(even.worst_tenth))
    yield measured("best tenth of clients, mean", number(even.best_tenth))
    yield measured("standard deviation over clients", number(even.deviation))
    for name, value in (
        ("Gini coefficient (0: all alike)", even.gini),
        ("Jain's index (1: all alike)", even.jain),
        ("entropy (1: all alike)", even.entropy),
    ):
        yield unknown(name, several) if value is None else measured(name, number(value))
    if found.mean_gain is not None:
        yield measured("gain over each client alone, mean", number(found.mean_gain))
        yield measured("gain over each client alone, least", number(found.worst_gain))
        harmed = f"{found.harmed:,} of {len(found.gain):,}"
        yield measured("clients that are better served by their own model", harmed)


def _no_ghosts(records: Records) -> Fact:
    name = "each client alone"
    if records.is_deployment:
        return inapplicable(
            name, "a coordinator has no rows on which it could train a client's model"
        )
    asked = "alone" in records.config.baselines
    return unknown(name, "not trained yet" if asked else 'not asked for: baselines = ["alone"]')


def _distribution(summary: Summary) -> Grid:
    """How a rate is spread over clients, of both kinds of model."""
    own = [rates[summary.rate] for rates in summary.clients.values() if summary.rate in rates]
    models = [("federated", own), ("each client alone", list(summary.alone.values()))]
    return Grid(
        caption=f"{summary.rate} over clients, each with one vote",
        status=Status.MEASURED,
        head=("model", "clients", "least", "lower quarter", "median", "upper quarter", "most"),
        rows=[
            (name, f"{len(values):,}", *map(number, (min(values), *_quarters(values), max(values))))
            for name, values in models
            if values
        ],
    )


def _quarters(values: list[float]) -> list[float]:
    return quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
