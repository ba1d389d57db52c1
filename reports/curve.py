"""The learning curve: how the model fared from round to round, beside what training alone reached."""

from __future__ import annotations

from .lines import Line, drawn
from .plot import SHOWN, Figure, Frame, around, margin, thinned
from .summary import Summary
from .tables import number

TOP, RIGHT, HEIGHT = 34.0, 296.0, 190.0
SHORT = {
    "federated": "all rows",
    "federated, pooled rows": "pooled rows",
    "federated, worst client": "worst client",
    "pooled training": "pooled training",
    "each client alone, mean": "each alone, mean",
}


def learning_curve(summary: Summary) -> Figure | None:
    """The figure, or None where nothing was measured."""
    moving = curves(summary)
    if not moving:
        return None
    lines = [*moving, *levels(summary)]
    within = (0.0, 1.0) if summary.rate == "accuracy" else (0.0, float("inf"))
    y = around((y for each in lines for y in each.y), within=within)
    left = margin(y)
    frame = Frame(
        left=left,
        top=TOP,
        width=RIGHT - left,
        height=HEIGHT,
        x=(0, summary.points[-1].round),
        y=y,
    )
    body = [frame.values_beside(summary.rate), frame.rounds_below(), drawn(frame, lines)]
    said = "; ".join(f"{each.name} {number(each.y[-1])}" for each in lines)
    return Figure(
        name="learning_curve",
        title=f"Learning curve: {summary.rate} by round",
        description=f"After round {int(moving[0].x[-1])}: {said}.",
        height=frame.bottom + 40,
        body="\n".join(body),
        head=["round", *(each.name for each in lines)],
        rows=thinned(_rows(lines), SHOWN),
    )


def curves(summary: Summary) -> list[Line]:
    """What changed from round to round: all held-out rows, the pooled rows, the worst client."""
    measured = [(point.round, point.scores) for point in summary.points if point.scores]
    wanted = (
        ("federated", [(x, s.rows) for x, s in measured], "blue bold"),
        ("federated, pooled rows", [(x, s.pooled) for x, s in measured], "green dashed"),
        ("federated, worst client", [(x, s.worst) for x, s in measured], "orange"),
    )
    lines = []
    for name, pairs, style in wanted:
        known = [(x, y) for x, y in pairs if y is not None]
        if known:
            x, y = zip(*known, strict=True)
            lines.append(Line(name=name, label=_label(name, y[-1]), x=x, y=y, style=style))
    return lines


def levels(summary: Summary) -> list[Line]:
    """What training without federation reached."""
    found: list[tuple[str, float | None, str]] = []
    if (pooled := summary.pooled_training) is not None:
        level = pooled.pooled if pooled.rows is None else pooled.rows
        found.append(("pooled training", level, "grey dotted"))
    if (alone := summary.each_alone) is not None:
        found.append(("each client alone, mean", alone.mean, "purple mixed"))
    return [
        Line(name=name, label=_label(name, level), x=(), y=(level,), style=style)
        for name, level, style in found
        if level is not None
    ]


def _label(name: str, value: float) -> str:
    return f"{SHORT[name]} {number(value)}"


def _rows(lines: list[Line]) -> list[list[str]]:
    rounds = sorted({x for each in lines for x in each.x})
    by_round = [dict(zip(each.x, each.y, strict=True)) if each.x else None for each in lines]
    return [
        [
            str(int(at)),
            *(
                number(line.y[0] if known is None else known.get(at))
                for line, known in zip(lines, by_round, strict=True)
            ),
        ]
        for at in rounds
    ]
