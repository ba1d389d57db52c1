"""A comparison as a document: a page of HTML and the same as Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..wire.durable import write_durably
from . import comparison_tables as tables
from .comparison import Comparison
from .comparison_plot import differences_plot
from .document import Block, Bullets, Document, Grid, Picture, Section, Status, say
from .markdown import markdown
from .page import page
from .targets import Verdict

NAME = "comparison"


def write_comparison(found: Comparison, judged: Sequence[Verdict], out: Path) -> list[Path]:
    """Writes comparison.html, .md and .json and the figures into `out`, and says where they are."""
    document = comparison_document(found, judged)
    table = tables.as_json(found, judged)
    contents = {
        f"{NAME}.html": page(document),
        f"{NAME}.md": markdown(document),
        f"{NAME}.json": json.dumps(table, indent=2, allow_nan=False, ensure_ascii=False) + "\n",
        **{f"{figure.name}.svg": figure.file() for figure in document.figures},
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, text in contents.items():
        write_durably(out / name, text.encode())
    return [out / name for name in contents]


def comparison_document(found: Comparison, judged: Sequence[Verdict]) -> Document:
    """All of it: what differs first, then each run beside the first, then the targets."""
    others = range(1, len(found.sides))
    return Document(
        title="Runs compared",
        sections=[
            Section("What differs", list(_differs(found))),
            *(Section(_title(found, n), list(_difference(found, n))) for n in others),
            *([Section("Targets", [_targets(judged)])] if judged else []),
            *(
                Section(f"Every measure of A and {tables.letter(n)}", [_every(found, n)])
                for n in others
            ),
        ],
    )


def _title(found: Comparison, index: int) -> str:
    what = "What privacy cost" if found.sides[index].cost else "The difference"
    return f"{what}: {tables.letter(index)} beside A"


def _differs(found: Comparison) -> Iterator[Block]:
    head, rows = tables.sides(found)
    yield Grid(caption="The runs", status=Status.MEASURED, head=head, rows=rows, numbers=False)
    if found.settings:
        head, rows = tables.settings(found)
        caption = "Settings that are not the same in all of them"
        yield Grid(caption=caption, status=Status.DECLARED, head=head, rows=rows)
    elif len(found.sides) > 1:
        yield say("Nothing differs in their configurations.")


def _difference(found: Comparison, index: int) -> Iterator[Block]:
    text = tables.title(found, index)
    yield say(f"{text[0].upper()}{text[1:]}.")
    head, rows = tables.differences(found, index, brief=True)
    yield Grid(caption="The main measures", status=Status.MEASURED, head=head, rows=rows)
    if figure := differences_plot(found, index):
        yield Picture(figure)
    yield Bullets(tuple(tables.remarks(found, index)))


def _targets(judged: Sequence[Verdict]) -> Grid:
    head, rows = tables.verdicts(judged)
    sources = [verdict.target.source for verdict in judged]
    return Grid(
        caption="Each target, and what the runs came to; of several runs, their mean",
        status=Status.MEASURED,
        head=[*head, "source"],
        rows=[[*row, source] for row, source in zip(rows, sources, strict=True)],
        numbers=False,
    )


def _every(found: Comparison, index: int) -> Grid:
    head, rows = tables.differences(found, index, brief=False)
    return Grid(caption="In full", status=Status.MEASURED, head=head, rows=rows)
