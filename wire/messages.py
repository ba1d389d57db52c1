"""What travels between the coordinator and a client: frozen values whose private fields never print."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any

from numpy.typing import NDArray

from .lazy import Lazy, renamed

Arrays = Mapping[str, NDArray[Any]]
"""Named arrays: the only tensor type outside `client/` and `models/`."""

Settings = Mapping[str, str | int | float | bool | None]
"""Public scalars that say how to train. They are JSON, so that any client can read them."""

Statistics = Mapping[str, float]
"""Counts and sums over rows. They add: a rate is a quotient of two sums."""

EXAMPLES = "examples"
"""The statistic that counts rows: what every other one is divided by."""

PERSONAL = "personal_"
"""So begin the names of statistics of the clients' own models, among them a count of their rows."""


class Purpose(StrEnum):
    """What an instruction asks for."""

    FIT = "fit"
    """Train from `parameters` and contribute what the strategy wants summed."""
    EVALUATE = "evaluate"
    """Report the statistics of `parameters` on the held-out rows."""
    ALONE = "alone"
    """Train from `parameters` without anyone else for as long as a whole run would, then evaluate."""


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """What the coordinator sends: the same for every member of a cohort.

    `run` names the run, and `round` counts from 1. `seed` is the run's; a client derives its own
    generator from it, the round and its name. `extras` are whatever else the strategy sends, such
    as control variates. `terms` are what the mechanism says about this round, such as its clip norm.
    """

    round: int
    purpose: Purpose
    seed: int
    parameters: Arrays = field(repr=False)
    extras: Arrays = field(default_factory=dict, repr=False)
    settings: Settings = field(default_factory=dict)
    terms: Settings = field(default_factory=dict)
    run: str = ""


@dataclass(frozen=True, kw_only=True)
class Update:
    """What a client answers. Its arrays are differences, never weights, and private: they never print."""

    client: str
    round: int
    examples: int = field(repr=False)
    contribution: Arrays = field(default_factory=dict, repr=False)
    statistics: Statistics = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What remains of an update once it is folded in: who, how many rows, and counts that add.

    `tables` are those of an evaluation that nothing protects.
    """

    client: str
    examples: int = field(repr=False)
    statistics: Statistics = field(default_factory=dict, repr=False)
    tables: Arrays = field(default_factory=dict, repr=False)


SPENT = "its own privacy budget is spent"
"""How the reason begins with which a client declines to take part ever again."""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """An answer that was not let in, and why. The reason holds no private value."""

    client: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A client that raised instead of answering."""

    client: str
    error: str
    traceback: str = field(repr=False)


def named(part: str, arrays: Arrays) -> Lazy:
    """The arrays under `part`, as they are called in a contribution that has several parts.

    >>> import numpy as np
    >>> sorted(named("delta", {"weight": np.zeros(2), "bias": np.zeros(1)}))
    ['delta/bias', 'delta/weight']
    """
    return renamed(arrays, lambda name: f"{part}/{name}")


def part(name: str, arrays: Arrays) -> Lazy:
    """The arrays that `named` put under `name`: its inverse.

    >>> import numpy as np
    >>> dict(part("delta", {"delta/weight": np.zeros(2), "steps": np.ones(())}))
    {'weight': array([0., 0.])}
    """
    own = [key for key in arrays if key.startswith(f"{name}/")]
    return Lazy({key.removeprefix(f"{name}/"): partial(arrays.__getitem__, key) for key in own})
