"""What `tacit audit report` finds: whether every value of a report follows from what its run recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from ..reports.evidence import UNSEALED
from ..reports.recompute import Recomputed, Value, recompute
from ..simulations.run_folder import RunFolder
from ..wire.errors import StoreError
from . import console
from .options import Format

SHOWN = 20
"""How many differences a terminal shows."""


def audit_report(folder: Path, report: Path | None, form: Format) -> None:
    """Shows what is found. Raises `StoreError` if a value is not what the records give."""
    found = recompute(RunFolder(folder), report)
    if form is Format.JSON:
        console.emit(asdict(found) | {"holds": found.holds, "cannot_notice": UNSEALED})
    else:
        _show(found, report or folder)
    if not found.holds:
        raise StoreError("\n".join(_problems(found, folder, report or folder)))


def _show(found: Recomputed, report: Path) -> None:
    console.say(f"{report}: {found.values:,} values, computed again from the records of the run")
    if found.later:
        console.say(f"as of the ledger's head in the report; {found.later:,} entries came later")
    for each in found.differences[:SHOWN]:
        stated, ours = _short(each.stated), _short(each.recomputed)
        console.say(f"differs: {each.file}, {each.path}: stated {stated}, recomputed {ours}")
    if (more := len(found.differences) - SHOWN) > 0:
        console.say(f"and {more:,} more; --format json lists them all")
    console.say(f"not compared: {len(found.skipped)} values, {_reasons(found)}")
    for text in UNSEALED:
        console.say(f"cannot be noticed: {text}")
    if found.holds:
        console.say("ok: the records agree with each other, and every value follows from them.")


def _problems(found: Recomputed, folder: Path, report: Path) -> Iterator[str]:
    yield from (f"{folder}: {text}." for text in found.contradictions)
    if found.differences:
        first = found.differences[0]
        yield (
            f"{report}: {len(found.differences):,} of {found.values:,} values are not what the records "
            f"give, the first is {first.file}, {first.path}: write the report again, or ask who "
            "changed it."
        )


def _reasons(found: Recomputed) -> str:
    """Why they were not, each reason once, with the steps that have it."""
    reasons: dict[str, None] = dict.fromkeys(found.skipped.values())
    return "; ".join(reasons) or "none"


def _short(value: Value) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:59]}…"
