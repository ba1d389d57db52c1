"""A run that is interrupted anywhere ends as if nothing had happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from contracts.bits import bits, nested_bits
from contracts.run import History, Run
from tacit.server import Committed, Evaluated, Observe, Progress
from tacit.strategies import ServerState
from tacit.wire import Fold, InMemory, Instruction, Transport

EVENTS = 10
"""Four rounds that begin and are committed, and two evaluations."""


class PowerCut(BaseException):
    """Not an error that anything may handle."""


def cut_at(event: int) -> Observe:
    seen: list[Progress] = []

    def observe(progress: Progress) -> None:
        seen.append(progress)
        if len(seen) == event:
            raise PowerCut

    return observe


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[ServerState, History]:
    """The run that nothing interrupts."""
    run = Run(folder=tmp_path_factory.mktemp("whole"))
    state, seen = run.watched()
    assert len(seen) == EVENTS
    return state, run.history()


def assert_whole(run: Run, state: ServerState, whole: tuple[ServerState, History]) -> None:
    assert bits(state.parameters) == bits(whole[0].parameters)
    assert nested_bits(state.memory) == nested_bits(whole[0].memory)
    assert run.history() == whole[1]


@pytest.mark.parametrize("event", range(1, EVENTS + 1))
def test_a_run_cut_off_at_any_event_goes_on_to_the_same_bits(
    event: int, whole: tuple[ServerState, History], tmp_path: Path
) -> None:
    run = Run(folder=tmp_path)
    with pytest.raises(PowerCut):
        replace(run, observe=cut_at(event)).start()
    assert_whole(run, run.start(), whole)


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A transport that dies after some of the members have answered, and written their memories."""

    inner: Transport
    round: int
    after: int
    asked: list[str] = field(default_factory=list)

    def gather(self, instruction: Instruction, members: Sequence[str]) -> Fold:
        if instruction.round == self.round:
            self.inner.gather(instruction, members[: self.after])
            raise PowerCut
        return self.inner.gather(instruction, members)


@pytest.mark.parametrize("after", [0, 1, 2])
@pytest.mark.parametrize("round", [1, 2, 4])
def test_a_run_cut_off_in_the_middle_of_a_round_repeats_it(
    round: int, after: int, whole: tuple[ServerState, History], tmp_path: Path
) -> None:
    """Clients that had answered already remember what they remembered before."""
    run = Run(folder=tmp_path)

    def wrap(transport: InMemory) -> Transport:
        return Cut(inner=transport, round=round, after=after)

    for _ in range(2):
        with pytest.raises(PowerCut):
            replace(run, wrap=wrap).start()
    assert run.stored().round == round - 1
    assert_whole(run, run.start(), whole)


def test_an_evaluation_lost_between_commit_and_measure_is_made_up_for(tmp_path: Path) -> None:
    run = Run(folder=tmp_path)
    with pytest.raises(PowerCut):
        replace(run, observe=cut_at(4)).start()
    assert [evaluated is None for _, evaluated in run.history()] == [True, True]
    _, seen = run.watched()
    assert isinstance(seen[0], Evaluated)
    assert seen[0].round == 2
    measured = [evaluated is not None for _, evaluated in run.history()]
    assert measured == [False, True, False, True]


def test_what_was_observed_before_the_cut_is_not_observed_again(tmp_path: Path) -> None:
    """But for the beginning of the round that must be repeated."""
    run = Run(folder=tmp_path)
    seen: list[Progress] = []
    for event in (3, 2, 4, 99):
        cut = cut_at(event)

        def observe(progress: Progress, cut: Observe = cut) -> None:
            seen.append(progress)
            cut(progress)

        try:
            replace(run, observe=observe).start()
        except PowerCut:
            continue
    assert [each.round for each in seen if isinstance(each, Committed)] == [1, 2, 3, 4]
    assert [each.round for each in seen if isinstance(each, Evaluated)] == [2, 4]
