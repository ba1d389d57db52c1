"""What every transport promises: each member ends in one place, and only arithmetic decides the sum.

The battery asks for a transport over the clients of a `Scene`, and misbehaves only through rows and
a task, so that it can be run over processes and networks as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from contracts.bits import assert_same_bits, bits
from contracts.learning import clients, shards, wine, wine_task
from tacit.client import Data, Task, Training, initial_parameters
from tacit.privacy import Mean, Mechanism
from tacit.strategies import Scaffold, Strategy
from tacit.wire import Arrays, Fold, Instruction, Purpose, Transport
from torch import Tensor, nn

MINE = -7
"""A target on which the task raises."""
SIZES = {"ann": 40, "bob": 1, "cyd": 25, "dan": 30, "eve": 10}


@dataclass(frozen=True, kw_only=True)
class Mined:
    """A user's task with an error in it, which some rows run into."""

    task: Task = field(default_factory=partial(wine_task, 0.2))

    def model(self) -> nn.Module:
        return self.task.model()

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        if bool((targets == MINE).any()):
            raise LookupError("these rows are mined")
        return self.task.loss(outputs, targets)

    def statistics(self, outputs: Tensor, targets: Tensor) -> Mapping[str, Tensor]:
        return self.task.statistics(outputs, targets)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """The clients that a transport must reach: each trains on its rows, and tests on them."""

    data: Mapping[str, Data]
    task: Task
    strategy: Strategy
    mechanism: Mechanism
    rounds: int
    folder: Path
    """Where the clients' memories go."""


Connect = Callable[[Scene], AbstractContextManager[Transport]]


def check_transport(connect: Connect, folder: Path) -> None:
    """Runs every check below over one connection; `folder` is an empty one to write into."""
    scene = make_scene(folder / "there")
    with connect(scene) as transport:
        _the_sum_is_the_exact_sum_of_the_parts(transport, scene, folder / "here")
        _the_order_of_members_does_not_matter(transport)
        _parts_of_a_cohort_merge_into_the_whole(transport)
        _every_member_ends_in_one_place(transport)
        _one_failure_does_not_stop_the_others(transport)
        _nobody_is_asked_for_nothing(transport)
        _evaluation_brings_statistics_only(transport, scene, folder / "here")
        _what_was_sent_is_not_changed(transport)
        _a_later_round_remembers_and_can_be_repeated(transport, scene, folder / "again")


def make_scene(folder: Path) -> Scene:
    data = shards(wine(), {**SIZES, "mined": 20, "wild": 20})
    mined, wild = data["mined"], data["wild"]
    return Scene(
        data={
            **data,
            "mined": replace(mined, targets=np.full_like(mined.targets, MINE)),
            "wild": replace(wild, features=np.full_like(wild.features, np.nan)),
        },
        task=Mined(),
        strategy=Scaffold(),
        mechanism=Mean(weighting="examples"),
        rounds=4,
        folder=folder,
    )


def instruction(purpose: Purpose = Purpose.FIT, round: int = 1) -> Instruction:
    """The same model in every round; the control variate is zero, and clients remember theirs."""
    parameters = initial_parameters(Mined(), seed=2)
    still = {name: np.zeros_like(array) for name, array in parameters.items()}
    return Instruction(
        round=round,
        purpose=purpose,
        seed=11,
        parameters=parameters,
        extras=still if purpose is Purpose.FIT else {},
        settings=Training(learning_rate=0.1, batch_size=8, epochs=2).settings(),
    )


def expected_sums(scene: Scene, members: Sequence[str], folder: Path, round: int = 1) -> Arrays:
    """The sum in Python's integers: each value is rounded once, to a multiple of 2^-32."""
    sums: dict[str, list[int]] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    own = clients(scene.data, scene.task, scene.strategy, scene.mechanism, folder, scene.rounds)
    for member in members:
        update = own[member].answer(instruction(round=round))
        for name, array in scene.mechanism.bound(update.contribution, update.examples, {}).items():
            shapes[name] = np.shape(array)
            values = [round_(float(value)) for value in np.ravel(array)]
            sums[name] = [
                a + b for a, b in zip(sums.get(name, [0] * len(values)), values, strict=True)
            ]
    return {name: np.array(v, np.int64).reshape(shapes[name]) for name, v in sums.items()}


def round_(value: float) -> int:
    """To the nearest multiple of 2^-32, ties to even: multiplying by a power of two is exact."""
    return round(value * 2**32)


def _the_sum_is_the_exact_sum_of_the_parts(
    transport: Transport, scene: Scene, folder: Path
) -> None:
    fold = transport.gather(instruction(), list(SIZES))
    assert_same_bits(fold.sums, expected_sums(scene, list(SIZES), folder))
    assert {receipt.client: receipt.examples for receipt in fold.receipts} == SIZES


def _the_order_of_members_does_not_matter(transport: Transport) -> None:
    members = list(SIZES)
    first = transport.gather(instruction(), members)
    for order in (members[::-1], members[2:] + members[:2]):
        again = transport.gather(instruction(), order)
        assert_same_bits(again.total(), first.total())
        assert again.receipts == first.receipts


def _parts_of_a_cohort_merge_into_the_whole(transport: Transport) -> None:
    members = list(SIZES)
    whole, fold = transport.gather(instruction(), members), Fold()
    for member in members[::-1]:
        fold.merge(transport.gather(instruction(), [member]))
    assert_same_bits(fold.total(), whole.total())
    assert fold.receipts == whole.receipts


def _every_member_ends_in_one_place(transport: Transport) -> None:
    fold = transport.gather(instruction(), ["wild", "ann", "mined", "bob"])
    assert [receipt.client for receipt in fold.receipts] == ["ann", "bob"]
    assert [failure.client for failure in fold.failures] == ["mined"]
    assert [refusal.client for refusal in fold.refusals] == ["wild"]
    assert "not finite" in fold.refusals[0].reason
    assert fold.failures[0].error.startswith("LookupError")  # a network leaves the message at home
    assert "in loss" in fold.failures[0].traceback


def _one_failure_does_not_stop_the_others(transport: Transport) -> None:
    alone = transport.gather(instruction(), ["ann", "bob"])
    mixed = transport.gather(instruction(), ["mined", "bob", "wild", "ann"])
    assert_same_bits(mixed.total(), alone.total())
    lost = transport.gather(instruction(), ["mined", "wild"])
    assert (lost.receipts, lost.total()) == ([], {})
    assert_same_bits(transport.gather(instruction(), ["bob", "ann"]).total(), alone.total())


def _nobody_is_asked_for_nothing(transport: Transport) -> None:
    fold = transport.gather(instruction(), [])
    assert (fold.receipts, fold.refusals, fold.failures, fold.total()) == ([], [], [], {})


def _evaluation_brings_statistics_only(transport: Transport, scene: Scene, folder: Path) -> None:
    asked = instruction(Purpose.EVALUATE)
    fold = transport.gather(asked, list(SIZES))
    own = clients(scene.data, scene.task, scene.strategy, scene.mechanism, folder, scene.rounds)
    assert fold.total() == {}
    for receipt in fold.receipts:
        update = own[receipt.client].answer(asked)
        assert (receipt.examples, receipt.statistics) == (update.examples, update.statistics)
    assert [receipt.client for receipt in fold.receipts] == sorted(SIZES)


def _what_was_sent_is_not_changed(transport: Transport) -> None:
    sent, members = instruction(), list(SIZES)
    before = bits(sent.parameters), bits(sent.extras)
    transport.gather(sent, members)
    assert (bits(sent.parameters), bits(sent.extras)) == before
    assert members == list(SIZES)


def _a_later_round_remembers_and_can_be_repeated(
    transport: Transport, scene: Scene, folder: Path
) -> None:
    """Round 2 builds on what the clients remember of round 1, however often it is repeated."""
    expected_sums(scene, list(SIZES), folder)
    wanted = expected_sums(scene, list(SIZES), folder, round=2)
    forgetful = expected_sums(scene, list(SIZES), folder / "forgetful", round=2)
    assert bits(wanted) != bits(forgetful)
    for _ in range(2):
        assert_same_bits(transport.gather(instruction(round=2), list(SIZES)).sums, wanted)
    assert_same_bits(
        transport.gather(instruction(), ["ann"]).sums, expected_sums(scene, ["ann"], folder / "new")
    )
