"""What a coordinator says as it works: public facts, one value for each thing that happened."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Self

import numpy as np

from ..fairness.tables import Tables
from ..wire.messages import Failure, Refusal, Settings, Statistics


@dataclass(frozen=True, kw_only=True)
class Began:
    """A round began; `cohort` clients were asked."""

    round: int
    rounds: int
    cohort: int


@dataclass(frozen=True, kw_only=True)
class Refused:
    """An update was refused."""

    round: int
    refusal: Refusal


@dataclass(frozen=True, kw_only=True)
class Failed:
    """A client raised."""

    round: int
    failure: Failure


@dataclass(frozen=True, kw_only=True)
class Committed:
    """A round is durable: how many were asked, admitted, refused; sums over the admitted; seconds.

    `ledger` is the head of the ledger once the round was charged, `terms` what the mechanism said.
    """

    round: int
    cohort: int
    admitted: int
    refused: int
    training: Statistics
    seconds: float
    ledger: str = ""
    terms: Settings = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """The model of `round` was measured by each client that holds rows out, and on the pooled rows.

    `answers` is how many clients did, and `everyone` has the statistics over all their rows. `tables` are
    what each client counted by group, and `total` is their sum. Where noise protects them, `total` and
    what follows from it is all there is: `deviation` is that of the noise on each of its entries, and
    `ledger` the head of the ledger once it was charged.
    """

    round: int
    clients: Mapping[str, Statistics] = field(default_factory=dict, repr=False)
    pooled: Statistics = field(default_factory=dict)
    seconds: float = 0.0
    everyone: Statistics = field(default_factory=dict)
    tables: Mapping[str, Tables] = field(default_factory=dict, repr=False)
    pooled_tables: Tables = field(default_factory=dict, repr=False)
    total: Tables = field(default_factory=dict, repr=False)
    deviation: float = 0.0
    answers: int = 0
    ledger: str = ""

    def to_json(self) -> str:
        """What `from_json` reads."""
        return json.dumps(asdict(self), default=np.ndarray.tolist)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The evaluation that `to_json` wrote. Raises ValueError or TypeError for anything else."""
        table = json.loads(text)
        if not isinstance(table, dict) or table.keys() != {field.name for field in fields(cls)}:
            raise ValueError(f"{text[:40]!r}... does not have the parts of an evaluation")
        found = cls(**table)
        tables = {client: _arrays(own) for client, own in found.tables.items()}
        pooled, total = _arrays(found.pooled_tables), _arrays(found.total)
        return replace(found, tables=tables, pooled_tables=pooled, total=total)


def _arrays(tables: Mapping[str, Any]) -> Tables:
    return {name: np.asarray(table, np.float64) for name, table in tables.items()}


Progress = Began | Refused | Failed | Committed | Evaluated
Observe = Callable[[Progress], None]
