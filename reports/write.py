"""The report of a run as files: one page as HTML and as Markdown, its figures, and everything in JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..fairness import Assessment
from ..simulations.run_folder import RunFolder
from ..wire.durable import write_durably
from .card import card_document, parts
from .charges import Charges, charges
from .epsilon import epsilon_plot, spending
from .groups import why_not
from .markdown import markdown
from .page import page
from .pages import privacy_document, run_document
from .privacy import privacy_report
from .privacy_how import absent
from .records import Records, read
from .registry import registry_entry
from .summary import Summary, summarise

PAGE, MARKDOWN, TABLE, CARD = "report.html", "report.md", "report.json", "model_card.md"
PRIVACY_PAGE, PRIVACY_TABLE, REGISTRY = "privacy.md", "privacy.json", "privacy.registry.yaml"


@dataclass(frozen=True, kw_only=True)
class Written:
    """What was written where: `headline` is about privacy, `stopped` why the run ended early."""

    summary: Summary
    assessment: Assessment | None
    headline: str
    stopped: str | None
    table: Mapping[str, Any]
    files: tuple[Path, ...]


def write_report(folder: RunFolder, out: Path | None = None) -> Written:
    """Reports on the run in `folder`, there or in `out`; the run itself is only read.

    Raises `StoreError` if no run is there, and `AccountantsDisagree` where no ε may be stated.
    """
    records = read(folder)
    summary, charged = summarise(records), charges(records)
    privacy = privacy_report(records, summary, charged)
    table = as_table(records, summary, privacy, charged)
    spent = spending(charged)
    figure = epsilon_plot(spent) if spent else None
    document = run_document(records, summary, privacy, figure)
    contents = {
        PAGE: page(document),
        MARKDOWN: markdown(document),
        TABLE: _json(table),
        CARD: markdown(card_document(records, summary, privacy)),
        PRIVACY_PAGE: markdown(privacy_document(privacy, figure)),
        PRIVACY_TABLE: _json(privacy),
        REGISTRY: _json(registry_entry(privacy)),  # YAML, of which JSON is a part
        **{f"{figure.name}.svg": figure.file() for figure in document.figures},
    }
    out = out or folder.path
    for name, text in contents.items():
        write_durably(out / name, text.encode())
    return Written(
        summary=summary,
        assessment=records.assessment,
        headline=privacy["headline"],
        stopped=records.stopped,
        table=table,
        files=tuple(out / name for name in contents),
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
        "assessment": asdict(records.assessment)
        if records.assessment
        else absent(why_not(records)),
        "card": {
            title: [asdict(fact) for fact in facts]
            for title, facts in parts(records, summary, privacy).items()
        },
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


def _json(table: Mapping[str, Any]) -> str:
    return json.dumps(table, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
