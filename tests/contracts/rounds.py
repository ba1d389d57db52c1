"""Rounds without a store: real clients, a real transport, and one strategy between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from contracts.learning import in_memory, linear_task
from tacit.client import Data, Task, Training
from tacit.privacy import Mean, Mechanism, Sampling, Secret
from tacit.strategies import Released, ServerState, Strategy
from tacit.wire import Arrays, Instruction, Purpose

Choose = Callable[[int], Sequence[str]]


def rounds_of(
    strategy: Strategy,
    *,
    data: Mapping[str, Data],
    task: Task,
    training: Training,
    initial: Arrays,
    folder: Path,
    mechanism: Mechanism | None = None,
    choose: Choose | None = None,
) -> Iterator[ServerState]:
    """The states after round 1, 2, ... with everyone, or whom `choose` says, taking part."""
    mechanism = mechanism or Mean(weighting="uniform")
    transport = in_memory(data, task, strategy, mechanism, folder, rounds=1)
    state = strategy.init(initial)
    while True:
        number = state.round + 1
        cohort = list(data) if choose is None else choose(number)
        instruction = Instruction(
            round=number,
            purpose=Purpose.FIT,
            seed=0,
            parameters=strategy.start(state),
            extras=strategy.extras(state),
            settings=training.settings(),
        )
        fold = transport.gather(instruction, cohort)
        assert (fold.refusals, fold.failures) == ([], [])
        sampling = Sampling(
            scheme="fixed", clients=len(data), participation=len(cohort) / len(data)
        )
        mean, _ = mechanism.release(fold.total(), sampling, {}, Secret.fresh().stream())
        assert mean is not None
        released = Released(mean=mean, participation=len(cohort) / len(data))
        state = computed(strategy.step(state, released))
        yield state


def computed(state: ServerState) -> ServerState:
    """`state` with its arrays in memory: a store would have read them all."""
    memory = {name: dict(arrays) for name, arrays in state.memory.items()}
    return replace(state, parameters=dict(state.parameters), memory=memory)


def after(count: int, states: Iterator[ServerState]) -> ServerState:
    """The state after round `count`."""
    for state in states:
        if state.round == count:
            return state
    raise LookupError("There are not so many rounds.")


def parabola(curvature: float, minimum: float, rows: int = 1) -> Data:
    """Rows whose mean loss is curvature/2 (w - minimum)², whatever batch is drawn from them."""
    slope = np.sqrt(curvature)
    return Data(features=np.full((rows, 1), slope), targets=np.full(rows, slope * minimum))


def settled(
    strategy: Strategy,
    folder: Path,
    *,
    rounds: int = 25,
    rate: float = 0.9,
    mechanism: Mechanism | None = None,
) -> float:
    """Where a client with three rows that wants -1, and one with one row that wants 1, leave w."""
    states = rounds_of(
        strategy,
        data={"many": parabola(1.0, -1.0, rows=3), "lone": parabola(1.0, 1.0)},
        task=linear_task(1),
        training=Training(learning_rate=rate, steps=1),
        initial={"weight": np.full((1, 1), -0.9)},
        folder=folder,
        mechanism=mechanism or Mean(weighting="examples"),
    )
    return float(after(rounds, states).parameters["weight"][0, 0])
