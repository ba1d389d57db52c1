"""What two ledgers of the same run have alike."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tacit.privacy.ledger import Ledger

OWN = {"time", "previous", "hash"}
"""When an entry was made, and the chain, which seals that as well."""


def charges(path: Path, *without: str) -> list[dict[str, Any]]:
    """The entries of the ledger at `path`, but for when they were made."""
    with closing(Ledger(path)) as ledger:
        entries = [asdict(entry) for entry in ledger.verify()]
    left_out = {*OWN, *without}
    return [{k: v for k, v in entry.items() if k not in left_out} for entry in entries]
