"""The report of a run, as three files: a page, its figure, and everything in JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..simulations.run_folder import RunFolder
from ..wire.durable import write_durably
from .curve import draw
from .markdown import render
from .records import Records, read
from .summary import Summary, summarise
from .unprotected import STATEMENT, UNPROTECTED

PAGE, FIGURE, TABLE = "report.md", "learning_curve.svg", "report.json"


@dataclass(frozen=True, kw_only=True)
class Written:
    """What was written where, and `missing`: why there is no figure, if there is none."""

    summary: Summary
    table: Mapping[str, Any]
    files: tuple[Path, ...]
    missing: str | None


def write_report(folder: RunFolder, out: Path | None = None) -> Written:
    """Reports on the run in `folder`, there or in `out`; the run itself is only read.

    Raises `StoreError` if no run is there.
    """
    records = read(folder)
    summary = summarise(records)
    figure, missing = _figure(summary)
    table = as_table(records, summary)
    contents = {
        PAGE: render(records, summary, FIGURE if figure else None),
        TABLE: json.dumps(table, indent=2) + "\n",
        **({FIGURE: figure} if figure else {}),
    }
    out = out or folder.path
    for name, text in contents.items():
        write_durably(out / name, text.encode())
    return Written(
        summary=summary,
        table=table,
        files=tuple(out / name for name in contents),
        missing=missing,
    )


def as_table(records: Records, summary: Summary) -> dict[str, Any]:
    """The report as JSON: everything on the page, for every client and every round."""
    return {
        "run": str(records.folder),
        "config": records.config.model_dump(mode="json"),
        "fingerprint": records.config.fingerprint(),
        "population": asdict(records.population) if records.population else None,
        "summary": asdict(summary),
        "refusals": [
            {"round": number, "client": refusal.client, "reason": refusal.reason}
            for number, refusal in records.refusals
        ],
        "privacy": {"guarantee": None, "statement": STATEMENT, "unprotected": UNPROTECTED},
        "environment": records.environment,
    }


def _figure(summary: Summary) -> tuple[str | None, str | None]:
    try:
        figure = draw(summary)
    except ImportError:
        return None, "The learning curve needs matplotlib: pip install tacit[plot]"
    return figure, None if figure else "There is no learning curve: nothing was measured."
