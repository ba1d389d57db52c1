"""In what the configurations of several runs differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..simulations.config import Config


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A dotted key, and its value in each run, as TOML and JSON write it; None where it is not set."""

    key: str
    values: tuple[str | None, ...]


def differing(configs: Sequence[Config]) -> list[Setting]:
    """Every key that does not have the same value in all of `configs`, in the order of the file.

    >>> from ..simulations.config import make_config
    >>> table = {"rounds": 3, "data": {"name": "wine"}, "partition": {"kind": "iid", "clients": 2}}
    >>> found = differing([make_config(table), make_config(table, ["rounds=5", "seed=1"])])
    >>> [(each.key, each.values) for each in found]
    [('seed', ('42', '1')), ('rounds', ('3', '5'))]
    """
    tables = [dict(_dotted(config.model_dump(mode="json"))) for config in configs]
    keys = list(dict.fromkeys(key for table in tables for key in table))
    rows = [Setting(key=key, values=tuple(table.get(key) for table in tables)) for key in keys]
    return [row for row in rows if len(set(row.values)) > 1]


def _dotted(table: Mapping[str, Any], start: str = "") -> Iterator[tuple[str, str]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _dotted(value, f"{start}{name}.")
        elif value is not None:
            yield f"{start}{name}", json.dumps(value, ensure_ascii=False)
