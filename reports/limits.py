"""What a report cannot say, however complete it is, and which duties to document it may serve."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

from .document import Block, Bullets, Grid, Section, Status, say
from .records import Records
from .unprotected import is_insecure

LIMITS = (
    "ε bounds what the releases in the ledger say, and nothing else that leaves a client.",
    "ε is about the unit that is named beside it, and rests on the trust and assumptions named there.",
    "Trials of other settings on the same rows count only as far as they are in the same ledger.",
    "Parameters are released with their floating-point buffers, such as those of BatchNorm.",
    "Groups are what the data or the configuration says they are; nobody checked who is in them.",
    "Intervals are about the rows and the clients that were measured, and not about training once more: "
    "one run is one training.",
    "Nothing here is about people whose clients did not take part, or about rows that nobody held.",
    "What the rows are worth, and how they came about, is known to those who hold them.",
    "Whether a model is anonymous, lawful or fit for its use is for people to judge: this is evidence.",
)


def limits(records: Records) -> Section:
    """The section on what the report cannot say."""
    seeded = is_insecure(records.config)
    own = ("Noise came from a test seed: it protects nobody.",) if seeded else ()
    return Section("What this report cannot say", [Bullets((*own, *LIMITS))])


def duties() -> Section:
    """The section on duties: what they ask for, where it is, and what people must add."""
    return Section("Duties to document", list(_duties(_table())))


def _duties(table: dict[str, Any]) -> Iterator[Block]:
    yield say(
        f"Some of this may serve where these ask for documents. As of {table['as_of']}; {table['note']} "
        "Nothing here says that a duty is met."
    )
    yield Grid(
        caption="What is asked for, where this report has it, and what it cannot have",
        status=Status.DECLARED,
        head=("asked for by", "about", "in this report", "people must add", "cannot be known here"),
        rows=[
            (each["source"], each["about"], each["here"], each["people"], each["unknown"])
            for each in table["duty"]
        ],
        numbers=False,
    )


def _table() -> dict[str, Any]:
    return tomllib.loads((files(__package__) / "duties.toml").read_text(encoding="utf-8"))
