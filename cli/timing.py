"""How long a run would take here, from a few local steps and one evaluation that are really done."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from statistics import mean

from ..server.coordinator import POOLED
from ..server.progress import Committed
from ..server.store import Store
from ..simulations.config import RunSection
from ..simulations.run import simulated, worker_count
from ..simulations.run_folder import RunFolder
from ..simulations.setup import Setup
from ..wire.messages import Purpose
from ..wire.transport import Transport
from .sizes import first_instruction

MORE_STEPS = 8
SAMPLE = 5
REPEATS = 3


@dataclass(frozen=True, kw_only=True)
class Seconds:
    """Where the time goes."""

    start: float
    training: float
    evaluation: float
    baselines: float
    workers: int

    @property
    def total(self) -> float:
        """All of it."""
        return self.start + self.training + self.evaluation + self.baselines

    @property
    def processes(self) -> str:
        """Who does the work."""
        return f"{self.workers} workers" if self.workers else "everything in one process"

    def parts(self) -> list[tuple[str, float]]:
        """What takes any time at all, and how long."""
        names = ("start", "training", "evaluation", "baselines")
        return [(name, vars(self)[name]) for name in names if vars(self)[name]]


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Seconds of one core: of a client but for its steps, of a step, of evaluating everyone once,
    and of storing a round.
    """

    client: float
    step: float
    evaluation: float
    round: float


def estimate(
    setup: Setup, *, cohort: float, evaluations: int, steps: Sequence[int], start: float
) -> Seconds:
    """The time of a run in which an average client of the cohort takes an average of `steps`."""
    costs = measure(setup)
    workers = worker_count(setup)
    cores = max(1, min(workers, os.cpu_count() or 1))
    rounds = setup.config.rounds
    each = costs.client + mean(steps) * costs.step
    slowest = costs.client + max(steps) * costs.step
    return Seconds(
        start=start * (2 if workers else 1),  # workers are forked from one process beside this
        training=rounds * (max(cohort * each / cores, slowest) + costs.round),
        evaluation=evaluations * costs.evaluation / cores,
        baselines=rounds * _baseline(setup, steps, costs, cores),
        workers=workers,
    )


def measure(setup: Setup) -> Costs:
    """Times this model on this machine, on one core as in a worker process.

    Clients really train, but without a budget they charge ledgers in a folder that is then removed.
    """
    alone = RunSection(workers=0, device=setup.config.run.device)
    config = setup.config.model_copy(update={"run": alone, "budget": None})
    with tempfile.TemporaryDirectory(prefix="tacit-") as folder:
        local = replace(setup, config=config)
        with simulated(local, RunFolder(Path(folder)), lambda taken, members: None) as carrier:
            client, step = _fit(setup, carrier)
            return Costs(
                client=client,
                step=step,
                evaluation=_evaluation(setup, carrier),
                round=_commit(setup, Path(folder)),
            )


def _fit(setup: Setup, carrier: Transport) -> tuple[float, float]:
    """A client but for its steps, and one step: from one client of median size, twice."""
    state = setup.config.strategy.init(setup.initial)
    splits = setup.population.clients
    by_size = sorted(splits, key=lambda name: splits[name].train.stop - splits[name].train.start)
    members = [by_size[len(by_size) // 2]]

    def seconds(steps: int) -> float:
        instruction = first_instruction(setup, state, steps=steps, epochs=None)
        return _best(lambda: carrier.gather(instruction, members))

    one, more = seconds(1), seconds(1 + MORE_STEPS)
    step = max(more - one, 0.0) / MORE_STEPS
    return max(one - step, 0.0), step


def _evaluation(setup: Setup, carrier: Transport) -> float:
    """One evaluation by everyone, from that of a few."""
    state = setup.config.strategy.init(setup.initial)
    instruction = replace(first_instruction(setup, state), purpose=Purpose.EVALUATE)
    own = [name for name in setup.measured if name != POOLED]
    some = own[:: max(1, len(own) // SAMPLE)]
    seconds = _best(lambda: carrier.gather(instruction, some)) * len(own) / max(len(some), 1)
    if POOLED in setup.measured:
        seconds += _best(lambda: carrier.gather(instruction, [POOLED]))
    return seconds


def _commit(setup: Setup, folder: Path) -> float:
    """Storing one round on disk."""
    state = setup.config.strategy.init(setup.initial)
    numbers = count(1)
    with closing(Store(folder)) as store:

        def commit() -> None:
            round = next(numbers)
            store.begin(round)
            record = Committed(
                round=round, cohort=0, admitted=0, refused=0, training={}, seconds=0.0
            )
            store.commit(replace(state, round=round), record)

        return _best(commit)


def _baseline(setup: Setup, steps: Sequence[int], costs: Costs, cores: int) -> float:
    """Of one round's worth of training without federation."""
    wanted, pooled = setup.config.baselines, setup.population.pooled.train
    longest = setup.config.train.steps_of(rows=pooled.stop - pooled.start) * costs.step
    alone = len(steps) * (costs.client + mean(steps) * costs.step) if "alone" in wanted else 0.0
    together = longest if "pooled" in wanted else 0.0
    return max(together, (together + alone) / cores)


def _best(work: Callable[[], object]) -> float:
    """The least seconds of a few tries, the first of which warms up."""
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)
