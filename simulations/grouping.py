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

    Raises `ConfigError` for a group that nothing declares, for one name of two things, and for a
    function that does not code each row.
    """
    try:
        return _grouped(population, config)
    except ValueError as error:  # of an Attribute
        raise ConfigError(f"evaluate: {error}") from None


def _grouped(population: Population, config: Config) -> tuple[Population, tuple[Attribute, ...]]:
    evaluate = config.evaluate
    _check_names(population, evaluate)
    declared = {**_columns(population), **_clients(population, config)}
    declared |= _functions(population, evaluate)
    names = list(declared) if evaluate.groups is None else list(evaluate.groups)
    if population.classes and population.data.targets.ndim == 1:
        declared[LABEL] = _labels(population)
    found = [_crossing(name, declared) for name in names] or [_everyone(population)]
    codes = {attribute.name: codes for attribute, codes in found}
    data = replace(population.data, groups={**population.data.groups, **codes})
    return replace(population, data=data), tuple(attribute for attribute, _ in found)


def _check_names(population: Population, evaluate: EvaluateSection) -> None:
    own = [*evaluate.clients, *evaluate.functions]
    if LABEL in (*population.group_names, *own):
        raise ConfigError(
            f"evaluate.groups: {LABEL!r} is the class of a row: rename that attribute."
        )
    if twice := sorted(population.group_names.keys() & set(own)):
        raise ConfigError(
            f"evaluate: {twice[0]!r} is an attribute of the data already: rename one."
        )
    if len(names := evaluate.groups or ()) > len(set(names)):
        raise ConfigError(f"evaluate.groups: expected each name once, got {', '.join(names)}.")


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


def _clients(population: Population, config: Config) -> dict[str, Grouping]:
    # Of sites that bring files of their own nobody counts test rows that are no client's.
    nobody = (NOBODY,) if config.deployment.shape is None and population.official else ()
    return {
        name: _of_clients(name, population, members, nobody)
        for name, members in config.evaluate.clients.items()
    }


def _ends(population: Population) -> tuple[int, int]:
    """Where the clients' train rows end, which come first, and where their held-out rows do."""
    splits = population.clients.values()
    return max(each.train.stop for each in splits), max(each.test.stop for each in splits)


def _of_clients(
    name: str,
    population: Population,
    members: Mapping[str, tuple[str, ...]],
    nobody: tuple[str, ...],
) -> Grouping:
    """Every client's rows in the client's group, and copies of them as well."""
    group_of = {client: group for group, clients in members.items() for client in clients}
    groups = (*members, *nobody)
    codes = np.full(len(population.data), len(groups) - 1, np.int64)
    for client, split in population.clients.items():
        if client not in group_of:
            odd = sorted(group_of.keys() - population.clients.keys())
            known = f" (there is no client {odd[0]!r})" if odd else ""
            raise ConfigError(f"evaluate.clients.{name}: no group for client {client!r}{known}.")
        for rows in (split.train, split.test):
            codes[rows] = groups.index(group_of[client])
    (trains, last), pooled = _ends(population), population.pooled
    codes[pooled.train] = codes[:trains]
    if not population.official:
        codes[pooled.test] = codes[trains:last]
    return Attribute(name=name, groups=groups), codes


def _functions(population: Population, evaluate: EvaluateSection) -> dict[str, Grouping]:
    return {
        name: (
            Attribute(name=name, groups=function.groups),
            _coded(name, function, population.data, by_row=evaluate.noise is not None),
        )
        for name, function in evaluate.functions.items()
    }


def _coded(name: str, function: GroupFunction, data: Data, *, by_row: bool) -> Codes:
    """The codes; if they must be `by_row`, they are asked for of every other row once more.

    Noise hides a row that moves no other: a split at the median of all rows would.
    """
    codes = _called(name, function, data)
    if by_row:
        some = np.arange(0, len(data), 2)
        if not np.array_equal(_called(name, function, data.rows(some)), codes[some]):
            raise ConfigError(
                f"evaluate.functions.{name}: it gives a row another code among other rows, which "
                "evaluate.noise does not cover: code each row by itself, such as by a fixed threshold."
            )
    return codes


def _called(name: str, function: GroupFunction, data: Data) -> Codes:
    where = f"evaluate.functions.{name}"
    call: Callable[[Data], Any] = imported(function.call, where)
    try:
        codes = np.asarray(call(data))
    except Exception as error:
        raise ConfigError(f"{where}: it raised {type(error).__name__}: {error}") from error
    if codes.shape != (len(data),) or codes.dtype.kind not in "iub":
        raise ConfigError(
            f"{where}: expected a whole number for each of the {len(data)} rows of all clients, got "
            f"{codes.dtype} of shape {codes.shape}."
        )
    if len(codes) and not 0 <= codes.min() <= codes.max() < len(function.groups):
        raise ConfigError(
            f"{where}: expected codes of {len(function.groups)} groups, got {codes.max()}."
        )
    return codes.astype(np.int64)
