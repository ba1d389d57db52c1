"""Events: what was released, in public facts. They say what happened; accountants judge it.

The names and their meaning follow dp_accounting. A noise multiplier is the standard deviation of the
noise divided by the clip norm, whatever the adjacency: an accountant doubles the sensitivity where the
adjacency asks for it, and nobody else does.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from ..wire.errors import TacitError


class Unaccountable(TacitError):
    """No accountant can say what this combination reveals, so it is refused, not approximated."""


Neighbours = Literal["any", "counted", "replaced"]


@dataclass(frozen=True, kw_only=True)
class Gaussian:
    """A sum, each member's part of norm at most C, and normal noise of deviation `noise_multiplier` C.

    `discrete` noise is on an integer grid: as private as the continuous one of the same deviation in
    terms of zCDP (Canonne, Kamath, Steinke 2020, arXiv 2004.00010, theorem 4).

    `neighbours` says under which adjacencies that is what happened: "any"; "counted", if one member
    more or less would change who takes part when; "replaced", if the noise comes and goes with the
    member.
    """

    noise_multiplier: float
    discrete: bool = False
    neighbours: Neighbours = "any"

    def __post_init__(self) -> None:
        if not (self.noise_multiplier > 0 and math.isfinite(self.noise_multiplier)):
            raise ValueError(f"Expected noise_multiplier > 0, got {self.noise_multiplier}.")
        if self.neighbours not in get_args(Neighbours):
            raise ValueError(f"Expected neighbours in {get_args(Neighbours)}.")


@dataclass(frozen=True, kw_only=True)
class Poisson:
    """`of` on a sample into which each member came by a coin of probability `rate`, unseen by others."""

    rate: float
    of: Gaussian

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 1:
            raise ValueError(f"Expected 0 < rate <= 1, got {self.rate}.")


@dataclass(frozen=True, kw_only=True)
class WithoutReplacement:
    """`of` on `sample` of `population` members, drawn without replacement and unseen by others."""

    population: int
    sample: int
    of: Gaussian

    def __post_init__(self) -> None:
        if not 0 < self.sample <= self.population:
            raise ValueError(
                f"Expected 0 < sample <= population, got {self.sample} of {self.population}."
            )


@dataclass(frozen=True, kw_only=True)
class Selected:
    """The best of a geometric number of runs, `trials` on average, each of which is `times` x `of`.

    Liu and Talwar 2019; Papernot and Steinke 2022 (arXiv 2110.03620): the tuning of hyper-parameters
    on private data, if the number of trials was drawn so.
    """

    trials: float
    times: int
    of: Gaussian | Poisson

    def __post_init__(self) -> None:
        if not self.trials > 1:
            raise ValueError(f"Expected trials > 1, got {self.trials}.")


@dataclass(frozen=True, kw_only=True)
class Covered:
    """Nothing beyond what an earlier entry was charged for, as in matrix factorisation."""


@dataclass(frozen=True, kw_only=True)
class NonPrivate:
    """A release that nothing bounds."""


Event = Gaussian | Poisson | WithoutReplacement | Selected | Covered | NonPrivate
KINDS: dict[str, type[Event]] = {
    "gaussian": Gaussian,
    "poisson": Poisson,
    "without_replacement": WithoutReplacement,
    "selected": Selected,
    "covered": Covered,
    "non_private": NonPrivate,
}
_NAMES = {cls: name for name, cls in KINDS.items()}


def to_json(event: Event) -> str:
    """Canonical JSON: equal events give equal text.

    >>> to_json(Gaussian(noise_multiplier=1.0))
    '{"discrete":false,"kind":"gaussian","neighbours":"any","noise_multiplier":1.0}'
    """
    return json.dumps(_table(event), sort_keys=True, separators=(",", ":"))


def from_json(text: str) -> Event:
    """The event that `to_json` wrote. Raises ValueError for anything else."""
    return _event(json.loads(text))


def _table(event: Event) -> dict[str, Any]:
    table: dict[str, Any] = {"kind": _NAMES[type(event)]}
    for field in fields(event):
        value = getattr(event, field.name)
        table[field.name] = value if isinstance(value, int | float | str) else _table(value)
    return table


def _event(table: Any) -> Event:  # noqa: ANN401 - JSON
    try:
        cls = KINDS[table["kind"]]
        rest = {name: value for name, value in table.items() if name != "kind"}
        if "of" in rest:
            rest["of"] = _event(rest["of"])
        return cls(**rest)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{table!r} is not an event.") from error
