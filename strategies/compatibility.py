"""What a strategy goes with: one value behind the runs that are refused and the table of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Yes:
    """It goes with that; `note` says what to mind."""

    note: str = ""

    def __str__(self) -> str:
        return f"yes: {self.note}" if self.note else "yes"


@dataclass(frozen=True)
class No:
    """It does not go with that, and why.

    With `unless`, it does if its field of that name is set; with `when`, it does if that is not set.
    """

    why: str
    unless: str = ""
    when: str = ""

    def __str__(self) -> str:
        unless = f", unless `{self.unless}` is set" if self.unless else ""
        when = f", when `{self.when}` is set" if self.when else ""
        return f"no{unless}{when}: {self.why}"

    def holds(self, fields: Mapping[str, Any]) -> bool:
        """Whether it is so for a strategy with such `fields`.

        >>> No("the losses leave", when="loss").holds({"loss": None})
        False
        """
        if self.when and fields.get(self.when) is None:
            return False
        return fields.get(self.unless) is None


Answer = Yes | No


@dataclass(frozen=True, kw_only=True)
class Composes:
    """What a strategy goes with.

    `client_dp`: a mechanism that clips and noises what clients contribute. `row_dp`: DP-SGD in the
    clients. `secure_aggregation`: a server that learns nothing but sums. `sampling`: cohorts of some of
    the clients. `weighting`: a mean weighted by rows. `optimizers` and `momentum`: local steps other
    than those of plain SGD. `reveals` is what a plain mean tells about clients beside a model's change.
    """

    client_dp: Answer
    row_dp: Answer
    secure_aggregation: Answer
    sampling: Answer
    weighting: Answer = Yes()
    optimizers: Answer = Yes()
    momentum: Answer = Yes()
    reveals: str = "nothing"


WITH_ANY = Composes(client_dp=Yes(), row_dp=Yes(), secure_aggregation=Yes(), sampling=Yes())
"""A mean of changes, whatever becomes of it."""

UNCOVERED = No("the losses that it asks for would leave without noise")
"""Of a strategy that `asks`: DP-SGD noises steps, and nothing else."""

LIFTED = No("a clip cuts back whom a weight lifts, and a noised sum of weights divides the step")
"""Of a strategy that sends a client's change times its weight, and the weight."""

COLUMNS = {
    "client_dp": "noise on clients' sums",
    "row_dp": "`[dpsgd]`",
    "secure_aggregation": "secure aggregation",
    "sampling": "sampling",
}
LOCAL = {
    "weighting": '`weighting = "uniform"`',
    "optimizers": "SGD only",
    "momentum": "no momentum",
}


def matrix(strategies: Mapping[str, Any]) -> str:
    """The table of docs/fairness.md: a row for each kind of strategy, a column for what it goes with."""
    head = ["strategy", *COLUMNS.values(), "needs", "a plain mean reveals"]
    lines = [head, ["---"] * len(head)]
    for kind, strategy in strategies.items():
        found: Composes = strategy.composes
        answers = [str(vars(found)[name]) for name in COLUMNS]
        lines.append([f"`{kind}`", *answers, _needs(found), found.reveals])
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _needs(composes: Composes) -> str:
    """What local training and weights must be, and why."""
    needs: dict[str, list[str]] = {}
    for name, need in LOCAL.items():
        if isinstance(answer := vars(composes)[name], No):
            needs.setdefault(answer.why, []).append(need)
    return "; ".join(f"{', '.join(found)}: {why}" for why, found in needs.items()) or "nothing"
