"""What a client agreed to, and whether an instruction keeps to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..wire import federation_pb2 as pb
from ..wire.arrays import encoded_size
from ..wire.errors import Declined, Disagreement
from ..wire.foreign import shown
from ..wire.messages import Arrays, Instruction, Purpose, Settings

MOST = 100
"""Differences that are shown."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """The study as this client knows it: what it trains, how, for how long, under which terms.

    `study` is everything that coordinator and clients must agree on, as JSON values; `model` and
    `extras` are arrays of the shapes and types that parameters, and what a strategy sends beside them,
    must have. `every` is how many rounds lie between two evaluations; if they count `clipping`, they are
    sent what a fit is.

    Guarantees:
      - An instruction that passes `consider` and `check` asks for nothing but what is written in
        `study`, once for each round.
    """

    study: Mapping[str, Any]
    seed: int
    rounds: int
    every: int
    settings: Settings
    terms: frozenset[str]
    model: Arrays = field(repr=False)
    extras: Arrays = field(repr=False)
    clipping: bool = False

    def meet(self, welcome: pb.Welcome) -> None:
        """Raises `Disagreement`, a line for each difference, if the coordinator's study is another."""
        try:
            theirs = json.loads(welcome.study)
        except (ValueError, RecursionError):
            raise Disagreement("The coordinator's study is not JSON.") from None
        expect_same(self.study, theirs)

    def consider(self, message: pb.Instruction, run: str, last: int) -> None:
        """Raises `Declined` for what need not even be fetched. `last` is the round answered last.

        Who could ask twice about one round could take noise off, or learn of models of its choice.
        """
        if message.run != run:
            raise Declined("not agreed: another run than the one that was joined")
        if message.purpose == pb.PURPOSE_ALONE:
            raise Declined("not agreed: it trains with the others only")
        if not 1 <= message.round <= self.rounds:
            raise Declined(f"not agreed: round {message.round} of {self.rounds}")
        if message.purpose == pb.PURPOSE_EVALUATE and not self._is_due(message.round):
            raise Declined(f"not agreed: no evaluation is due after round {message.round}")
        if message.round <= last:
            raise Declined(f"it has answered another question about round {last} already")
        extras = self._sent(message.purpose == pb.PURPOSE_FIT)
        if (message.parameters.size, message.extras.size) != (
            encoded_size(self.model),
            encoded_size(extras),
        ):
            raise Declined("not agreed: another model than the study's")

    def _sent(self, fit: bool) -> Arrays:
        """What comes beside the parameters, to fit or to evaluate."""
        return self.extras if fit or self.clipping else {}

    def _is_due(self, round: int) -> bool:
        return round % self.every == 0 or round == self.rounds

    def check(self, instruction: Instruction) -> None:
        """Raises `Declined` for an instruction that asks for anything else."""
        extras = self._sent(instruction.purpose is Purpose.FIT)
        if instruction.seed != self.seed or dict(instruction.settings) != dict(self.settings):
            raise Declined("not agreed: other settings than the study's")
        if instruction.terms.keys() != self.terms:
            raise Declined("not agreed: other privacy terms than the study's")
        for arrays, agreed in ((instruction.parameters, self.model), (instruction.extras, extras)):
            if _layout(arrays) != _layout(agreed):
                raise Declined("not agreed: another model than the study's")
            if not all(np.all(np.isfinite(array)) for array in arrays.values()):
                raise Declined("what was sent is not finite")


def expect_same(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    """Raises `Disagreement`, a line for each difference, if the coordinator's study is another."""
    try:
        here, there = _flat(mine), _flat(theirs)
    except RecursionError:
        raise Disagreement("The coordinator's study is not JSON.") from None
    lines = [
        shown(f"{key} is {there.get(key)!r} at the coordinator, and {here.get(key)!r} here")
        for key in sorted(here.keys() | there.keys())
        if here.get(key) != there.get(key)
    ]
    if lines:
        raise Disagreement(
            "\n".join(lines[:MOST])
            + "\nThe coordinator runs another study: agree on one file first."
        )


def _layout(arrays: Arrays) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {name: (str(array.dtype), array.shape) for name, array in arrays.items()}


def _flat(value: object, key: str = "") -> dict[str, object]:
    """The leaves of nested tables, by dotted name."""
    if not isinstance(value, Mapping) or not value:
        return {key: value}
    return {
        name: leaf
        for part, inner in value.items()
        for name, leaf in _flat(inner, f"{key}.{part}" if key else str(part)).items()
    }
