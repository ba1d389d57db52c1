"""A report computed again from what the run recorded, and compared with what was written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from ..privacy.ledger import GENESIS
from ..simulations.run_folder import RunFolder
from ..wire.errors import StoreError
from .charges import Charges, charges
from .evidence import contradictions
from .privacy import privacy_report
from .privacy_how import Table
from .records import Records, read
from .registry import registry_entry
from .summary import summarise
from .write import PRIVACY_TABLE, REGISTRY, TABLE, as_table

NOT_AUDITED: Final = {
    TABLE: {
        "run": "where the run folder was",
        'card["Model details"][0].value': "what the run folder was called",
    },
    PRIVACY_TABLE: {
        "identity.folder": "what the run folder was called",
        "identity.ledger": "where the ledger was",
        "budget.*.ledger": "where the ledger was",
        "identity.libraries.*": "what was installed where the report was written",
        "accounting.*.accountants[*].version": "what was installed where the report was written",
    },
    REGISTRY: {
        "name": "what the run folder was called",
        "implementation.mechanisms[*].platform.*": "what was installed where the report was written",
    },
}
"""What depends on where, and with what, a report is written: by file and path, and why. * is one step."""

Value = str | float | bool | None
ABSENT: Final = "(absent)"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What `file` states at `path`, and what the records give. One that only one side has is `ABSENT`."""

    file: str
    path: str
    stated: Value
    recomputed: Value


@dataclass(frozen=True, kw_only=True)
class Recomputed:
    """What an audit of a report found. `values` is how many were compared.

    `contradictions` are between the records themselves. `later` entries of the ledger were charged
    after the report was written, and are left out. `skipped` is what was not compared, and why.
    """

    values: int
    differences: Sequence[Difference]
    contradictions: Sequence[str]
    later: int
    skipped: Mapping[str, str] = field(repr=False)

    @property
    def holds(self) -> bool:
        """Whether nothing was found."""
        return not self.differences and not self.contradictions


def recompute(folder: RunFolder, report: Path | None = None) -> Recomputed:
    """The report in `report`, by default in `folder`, compared with what the run in `folder` recorded.

    The ledger is read up to the head that the report states: other runs may have been charged since.

    Guarantees:
      - Every value of report.json, privacy.json and privacy.registry.yaml is compared exactly, or is in
        `skipped`: text, numbers to the last bit, and whether a value is there at all.

    Raises `StoreError` if there is no run or no report, or one that cannot be read, and
    `AccountantsDisagree` where no ε may be stated.
    """
    stated = {name: _read(report or folder.path, name) for name in (TABLE, PRIVACY_TABLE, REGISTRY)}
    records = read(folder)
    charged = charges(records)
    then, later = _as_of(charged, stated[PRIVACY_TABLE])
    pairs = {
        (name, path): pair
        for name, table in _tables(records, then).items()
        for path, pair in _side_by_side(stated[name], table)
    }
    skipped = {place: why for place in pairs if (why := _excused(*place))}
    return Recomputed(
        values=len(pairs) - len(skipped),
        differences=[
            Difference(file=name, path=path, stated=one, recomputed=two)
            for (name, path), (one, two) in pairs.items()
            if (name, path) not in skipped and not (type(one) is type(two) and one == two)
        ],
        contradictions=list(contradictions(records, charged)),
        later=later,
        skipped={f"{name}: {path}": why for (name, path), why in skipped.items()},
    )


def leaves(table: object, path: str = "") -> Iterator[tuple[str, Value]]:
    """Every value of a JSON document and the path to it; what is empty is a value as well.

    >>> dict(leaves({"a": [1, {"b.c": None}], "d": {}}))
    {'a[0]': 1, 'a[1]["b.c"]': None, 'd': '{}'}
    """
    match table:
        case dict() if table:
            for name, value in table.items():
                plain = re.fullmatch(r"[\w-]+", name)
                step = (f".{name}" if path else name) if plain else f"[{json.dumps(name)}]"
                yield from leaves(value, path + step)
        case list() if table:
            for index, value in enumerate(table):
                yield from leaves(value, f"{path}[{index}]")
        case dict() | list():
            yield path, json.dumps(table)
        case _:
            yield path, table  # type: ignore[misc]


def _tables(records: Records, charged: Charges) -> dict[str, Table]:
    summary = summarise(records)
    privacy = privacy_report(records, summary, charged)
    return {
        TABLE: as_table(records, summary, privacy, charged),
        PRIVACY_TABLE: privacy,
        REGISTRY: registry_entry(privacy),
    }


def _side_by_side(stated: Table, recomputed: Table) -> Iterator[tuple[str, tuple[Value, Value]]]:
    """Every value that is in either, with its path."""
    theirs, ours = dict(leaves(stated)), dict(leaves(json.loads(json.dumps(recomputed))))
    for path in {**ours, **theirs}:
        yield path, (theirs.get(path, ABSENT), ours.get(path, ABSENT))


def _read(folder: Path, name: str) -> Table:
    try:
        found: Table = json.loads((folder / name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StoreError(
            f"{folder / name} is not there: `tacit report` writes it, and then it can be audited."
        ) from None
    except (ValueError, OSError) as error:
        raise StoreError(f"{folder / name} cannot be read: {error}.") from error
    if not isinstance(found, dict):
        raise StoreError(f"{folder / name} is no report: expected an object.")
    return found


def _as_of(charged: Charges, privacy: Table) -> tuple[Charges, int]:
    """The charges up to the head that `privacy` states, if it is in the ledger, and how many follow."""
    identity = privacy.get("identity")
    head = identity.get("ledger_head") if isinstance(identity, dict) else None
    hashes = [GENESIS, *(entry.hash for entry in charged.entries)]
    if head not in hashes:
        return charged, 0
    size = hashes.index(head)
    return replace(charged, entries=charged.entries[:size]), len(charged.entries) - size


def _excused(name: str, path: str) -> str | None:
    """Why this value is not compared, if it is not."""
    for pattern, why in NOT_AUDITED[name].items():
        steps = (
            re.escape(pattern).replace(r"\[\*\]", r"\[\d+\]").replace(r"\*", r'(\w|-|\["[^"]*"\])+')
        )
        if re.fullmatch(steps, path):
            return why
    return None
