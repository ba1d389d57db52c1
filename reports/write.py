"""The report of a run as files: a page, its figure and everything in JSON, and the same about privacy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..simulations.run_folder import RunFolder
from ..wire.durable import write_durably
from .charges import Charges, charges
from .curve import draw
from .epsilon import draw_epsilon, spending
from .markdown import render
from .privacy import privacy_report
from .privacy_page import render_privacy
from .records import Records, read
from .registry import registry_entry
from .summary import Summary, summarise

PAGE, FIGURE, TABLE = "report.md", "learning_curve.svg", "report.json"
PRIVACY_PAGE, PRIVACY_FIGURE, PRIVACY_TABLE = "privacy.md", "epsilon.svg", "privacy.json"
REGISTRY = "privacy.registry.yaml"


@dataclass(frozen=True, kw_only=True)
class Written:
    """What was written where: `headline` is about privacy, `stopped` why the run ended early.

    `missing` is why there is no learning curve, if there is none.
    """

    summary: Summary
    headline: str
    stopped: str | None
    table: Mapping[str, Any]
    files: tuple[Path, ...]
    missing: str | None


def write_report(folder: RunFolder, out: Path | None = None) -> Written:
    """Reports on the run in `folder`, there or in `out`; the run itself is only read.

    Raises `StoreError` if no run is there, and `AccountantsDisagree` where no ε may be stated.
    """
    records = read(folder)
    summary, charged = summarise(records), charges(records)
    privacy = privacy_report(records, summary, charged)
    figure, missing = _figure(summary)
    table = as_table(records, summary, privacy, charged)
    contents = {
        PAGE: render(records, summary, privacy, FIGURE if figure else None),
        TABLE: _json(table),
        **({FIGURE: figure} if figure else {}),
        **_privacy(privacy, charged),
    }
    out = out or folder.path
    for name, text in contents.items():
        write_durably(out / name, text.encode())
    return Written(
        summary=summary,
        headline=privacy["headline"],
        stopped=records.stopped,
        table=table,
        files=tuple(out / name for name in contents),
        missing=missing,
    )


def as_table(
    records: Records, summary: Summary, privacy: Mapping[str, Any], charged: Charges
) -> dict[str, Any]:
    """The report as JSON: everything on the page, for every client and every round."""
    return {
        "run": str(records.folder),
        "config": json.loads(records.config.model_dump_json()),  # infinity is null
        "fingerprint": records.config.fingerprint(),
        "population": asdict(records.population) if records.population else None,
        "summary": asdict(summary),
        "refusals": [
            {"round": number, "client": refusal.client, "reason": refusal.reason}
            for number, refusal in records.refusals
        ],
        "stopped": records.stopped,
        "privacy": {
            "guarantee": privacy["headline"]
            if any(bound.finite for bound in charged.bounds())
            else None,
            "statement": privacy["statement"]["plain"],
            "unprotected": privacy["data_accesses"]["unprotected_quantities"],
        },
        "environment": records.environment,
    }


def _privacy(privacy: Mapping[str, Any], charged: Charges) -> dict[str, str]:
    """The files about privacy; the registry's is YAML, of which JSON is a part."""
    try:
        spent = spending(charged)
        figure = draw_epsilon(spent) if spent else None
    except ImportError:
        figure = None
    return {
        PRIVACY_PAGE: render_privacy(privacy, PRIVACY_FIGURE if figure else None),
        PRIVACY_TABLE: _json(privacy),
        REGISTRY: _json(registry_entry(privacy)),
        **({PRIVACY_FIGURE: figure} if figure else {}),
    }


def _json(table: Mapping[str, Any]) -> str:
    return json.dumps(table, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def _figure(summary: Summary) -> tuple[str | None, str | None]:
    try:
        figure = draw(summary)
    except ImportError:
        return None, "The learning curve needs matplotlib: pip install tacit[plot]"
    return figure, None if figure else "There is no learning curve: nothing was measured."
