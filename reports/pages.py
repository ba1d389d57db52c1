"""Which sections a report has, and in which order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .card import card_section
from .clients import clients
from .closing import environment, repetition
from .document import Document
from .groups import groups
from .limits import duties, limits
from .participation import participation
from .plot import Figure
from .privacy_page import privacy_details, privacy_sections
from .records import Records
from .results import brief, learning, trained
from .summary import Summary


def run_document(
    records: Records, summary: Summary, privacy: Mapping[str, Any], spent: Figure | None
) -> Document:
    """All that is known of a run, for someone who was not there; `spent` is the figure of ε."""
    return Document(
        title=f"Run {records.folder.resolve().name}",
        sections=[
            brief(records, summary, privacy),
            trained(records, summary),
            learning(records, summary),
            clients(records, summary),
            groups(records, records.assessment),
            *privacy_sections(privacy, spent),
            participation(records, summary),
            card_section(records, summary, privacy),
            limits(records),
            duties(),
            privacy_details(privacy),
            environment(records),
            repetition(records, summary),
        ],
    )


def privacy_document(privacy: Mapping[str, Any], spent: Figure | None) -> Document:
    """What it says of privacy alone."""
    return Document(
        title=f"Privacy of run {privacy['identity']['folder']}",
        sections=[*privacy_sections(privacy, spent), privacy_details(privacy)],
    )
