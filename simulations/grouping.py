"""Groups by which rows are counted: columns of the data, attributes of clients, labels, functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import reduce
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..client.data import Data
from ..fairness.tables import EVERYONE, Attribute
from .config import Config, ConfigError
from .evaluation import EvaluateSection, GroupFunction
from .importing import imported
from .population import Population
from .suggest import unknown

LABEL: Final = "label"
CROSS: Final = " & "
NOBODY: Final = "(no client)"
"""The group of test rows that no client holds, of an attribute of clients."""
MOST: Final = 256
"""Groups of one attribute: a vocabulary is small, or its groups are."""

Codes = NDArray[np.int64]
Grouping = tuple[Attribute, Codes]


def grouped(population: Population, config: Config) -> tuple[Population, tuple[Attribute, ...]]:
    """The population with the codes of every attribute that is counted, and these attributes.

    Raises `ConfigError` for a group that nothing declares, or a function that does not code each row.
    """
    evaluate = config.evaluate
    declared = {**_columns(population), **_clients(population, evaluate)}
    declared |= _functions(population, evaluate)
    names = list(declared) if evaluate.groups is None else list(evaluate.groups)
    if population.classes and population.data.targets.ndim == 1:
        declared[LABEL] = _labels(population)
    found = [_crossing(name, declared) for name in names] or [_everyone(population)]
    codes = {attribute.name: codes for attribute, codes in found}
    data = replace(population.data, groups={**population.data.groups, **codes})
    return replace(population, data=data), tuple(attribute for attribute, _ in found)


def _crossing(name: str, declared: Mapping[str, Grouping]) -> Grouping:
    """The attribute `name`, or the crossing of those that it names."""
    for each in (parts := name.split(CROSS)):
        if each not in declared:
            raise ConfigError(f"evaluate.groups: {unknown('attribute', each, [*declared])}")
    attribute, codes = reduce(_crossed, (declared[each] for each in parts))
    if len(attribute.groups) > MOST:
        raise ConfigError(
            f"evaluate.groups: {name!r} has {len(attribute.groups)} groups; at most {MOST} are counted."
        )
    return attribute, codes


def _crossed(one: Grouping, other: Grouping) -> Grouping:
    (left, first), (right, second) = one, other
    groups = tuple(f"{a}{CROSS}{b}" for a in left.groups for b in right.groups)
    name = f"{left.name}{CROSS}{right.name}"
    return Attribute(name=name, groups=groups), first * len(right.groups) + second


def _everyone(population: Population) -> Grouping:
    return Attribute(name=EVERYONE, groups=(EVERYONE,)), np.zeros(len(population.data), np.int64)


def _columns(population: Population) -> dict[str, Grouping]:
    return {
        name: (Attribute(name=name, groups=groups), population.data.groups[name])
        for name, groups in population.group_names.items()
    }


def _labels(population: Population) -> Grouping:
    groups = tuple(str(label) for label in range(population.classes))
    return Attribute(name=LABEL, groups=groups), population.data.targets.astype(np.int64)


def _clients(population: Population, evaluate: EvaluateSection) -> dict[str, Grouping]:
    return {
        name: _of_clients(name, population, members) for name, members in evaluate.clients.items()
    }


def _of_clients(
    name: str, population: Population, members: Mapping[str, tuple[str, ...]]
) -> Grouping:
    """Every client's rows in the client's group."""
    group_of = {client: group for group, clients in members.items() for client in clients}
    groups = (*members, NOBODY)
    codes = np.full(len(population.data), len(members), np.int64)
    for client, split in population.clients.items():
        if client not in group_of:
            raise ConfigError(f"evaluate.clients.{name}: it has no group for client {client!r}.")
        for rows in (split.train, split.test):
            codes[rows] = groups.index(group_of[client])
    return Attribute(name=name, groups=groups), codes


def _functions(population: Population, evaluate: EvaluateSection) -> dict[str, Grouping]:
    return {
        name: (
            Attribute(name=name, groups=function.groups),
            _called(name, function, population.data),
        )
        for name, function in evaluate.functions.items()
    }


def _called(name: str, function: GroupFunction, data: Data) -> Codes:
    where = f"evaluate.functions.{name}"
    call: Callable[[Data], Any] = imported(function.call, where)
    try:
        codes = np.asarray(call(data))
    except Exception as error:
        raise ConfigError(f"{where}: it raised {type(error).__name__}: {error}") from error
    if codes.shape != (len(data),) or codes.dtype.kind not in "iub":
        raise ConfigError(
            f"{where}: expected whole numbers of shape ({len(data)},), got {codes.dtype} of shape "
            f"{codes.shape}."
        )
    if len(codes) and not 0 <= codes.min() <= codes.max() < len(function.groups):
        raise ConfigError(
            f"{where}: expected codes of {len(function.groups)} groups, got {codes.max()}."
        )
    return codes.astype(np.int64)
