"""Who took part: how many rows and classes each client holds, in numbers that fit into a run folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from ..fairness.tables import Schema, schema_from
from .population import Population, Split


@dataclass(frozen=True, kw_only=True)
class Holdings:
    """What one client holds. `classes` counts those among its train rows; 0 for regression."""

    train: int
    held_out: int
    classes: int


@dataclass(frozen=True, kw_only=True)
class Description:
    """A population in numbers. `official` counts test rows that belong to no client.

    In a deployment nobody else knows what a client holds: then `clients` has None for it. `groups`
    gives the number of rows of each group of each sensitive attribute. `digest` is SHA-256 over all rows
    and who holds them. `schema` says what is counted at an evaluation.
    """

    name: str
    shape: tuple[int, ...]
    classes: int
    official: int
    groups: Mapping[str, Mapping[str, int]]
    clients: Mapping[str, Holdings | None]
    digest: str
    schema: Schema | None = None

    @property
    def known(self) -> dict[str, Holdings]:
        """The clients of which it is known what they hold: all, or none."""
        return {name: own for name, own in self.clients.items() if own is not None}

    @property
    def rows(self) -> int:
        """All rows that are known of, whoever holds them."""
        return self.official + sum(own.train + own.held_out for own in self.known.values())


def describe(population: Population, schema: Schema | None = None) -> Description:
    """The description of `population`, of which `schema` is counted."""
    clients = population.clients
    last = max(split.test.stop for split in clients.values())
    return Description(
        name=population.name,
        shape=population.shape,
        classes=population.classes,
        official=_official(population, last),
        groups={name: _group_sizes(population, name, last) for name in population.group_names},
        clients={name: _holdings(population, split) for name, split in clients.items()},
        digest=_digest(population),
        schema=schema,
    )


def to_json(description: Description) -> str:
    """What `from_json` reads."""
    return json.dumps(asdict(description))


def from_json(text: str) -> Description:
    """The description that `to_json` wrote."""
    table = json.loads(text)
    clients = {name: Holdings(**own) if own else None for name, own in table["clients"].items()}
    schema = schema_from(table["schema"]) if table.get("schema") else None
    changed = {"shape": tuple(table["shape"]), "clients": clients, "schema": schema}
    return Description(**{**table, **changed})


def _digest(population: Population) -> str:
    found = hashlib.sha256(repr((population.clients, population.pooled)).encode())
    for array in (population.data.features, population.data.targets):
        found.update(f"{array.dtype}{array.shape}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def _holdings(population: Population, split: Split) -> Holdings:
    targets = population.data.targets[split.train]
    return Holdings(
        train=_size(split.train),
        held_out=_size(split.test),
        classes=len(np.unique(targets)) if population.classes else 0,
    )


def _official(population: Population, last: int) -> int:
    """The size of the pooled test rows, unless they are everybody's held-out rows (or copies)."""
    pooled, clients = population.pooled.test, population.clients.values()
    if pooled.start == last:  # they follow the last client's rows
        return _size(pooled)
    theirs = any(pooled.start == split.test.start for split in clients)
    copied = _size(pooled) == sum(_size(split.test) for split in clients)
    return 0 if theirs or copied else _size(pooled)


def _group_sizes(population: Population, attribute: str, last: int) -> dict[str, int]:
    names = population.group_names[attribute]
    counts = np.bincount(population.data.groups[attribute][:last], minlength=len(names))
    return dict(zip(names, counts.tolist(), strict=True))


def _size(rows: slice) -> int:
    return int(rows.stop - rows.start)
