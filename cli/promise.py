"""What a run would say at most about whom, before it says anything: nothing is charged or written."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..fairness.noise import rows_needed
from ..privacy.accountants import Counts
from ..privacy.budget import Budget, Unit
from ..reports.charges import of_each_client
from ..reports.guarantee import (
    Bound,
    Spread,
    cycle,
    is_noised,
    of_a_client,
    of_an_example,
    rounds_left,
    spread,
)
from ..reports.ledgers import about, counts_of, read_whole, together
from ..reports.numbers import Reading, other, quick, reading, unamplified
from ..reports.unprotected import is_insecure, statement, unprotected
from ..simulations.config import Config
from ..simulations.custody import lasting_ledger
from ..simulations.measuring import measuring_of
from ..simulations.setup import Setup


@dataclass(frozen=True, kw_only=True)
class ForClients:
    """What all rounds together say about a client, `evaluations` alone, and `total` with what was `spent`
    before."""

    alone: Reading
    evaluations: Reading | None
    second: Reading
    bare: Reading
    total: Reading
    spent: Reading
    left: int | None
    calibrated: bool
    budget: Budget


@dataclass(frozen=True, kw_only=True)
class ForRows:
    """The same about a row, over clients that take part in every round; pairs are least and most."""

    alone: Spread
    evaluations: Reading | None
    total: Spread
    spent: float
    q: tuple[float, float]
    multiplier: tuple[float, float]
    steps: tuple[int, int]
    left: tuple[int, int] | None
    budget: Budget


@dataclass(frozen=True, kw_only=True)
class Promise:
    """Both, as far as there is noise; `cautions` are what should be looked at before it runs."""

    config: Config
    clients: int
    ledger: Path | None
    for_clients: ForClients | None
    for_rows: ForRows | None
    statement: str
    unprotected: tuple[str, ...]
    cautions: tuple[str, ...]


def promise(setup: Setup, asked: Config) -> Promise:
    """The promise of `setup`, whose configuration was `asked` for before anything was calibrated."""
    config = setup.config
    kept = lasting_ledger(config)
    clients = _for_clients(setup, asked, kept) if is_noised(config, Unit.CLIENT) else None
    rows = _for_rows(setup, kept) if is_noised(config, Unit.EXAMPLE) else None
    return Promise(
        config=config,
        clients=len(setup.clients),
        ledger=kept,
        for_clients=clients,
        for_rows=rows,
        statement=statement(config, _bounds(config, clients, rows)),
        unprotected=unprotected(config, setup.population.shape),
        cautions=tuple(_cautions(setup, clients, rows)),
    )


def _for_clients(setup: Setup, asked: Config, ledger: Path | None) -> ForClients:
    config, clients = setup.config, len(setup.clients)
    budget = config.budget_of(Unit.CLIENT)
    delta, adjacency = budget.delta, budget.adjacency
    counted = _evaluations(config)
    planned = together(of_a_client(config, clients, config.rounds), counted)
    entries = read_whole(ledger) if ledger else []
    spent = counts_of(about(entries, config.population_name, Unit.CLIENT))
    return ForClients(
        alone=reading(planned, delta, adjacency),
        evaluations=quick(counted, delta, adjacency) if counted else None,
        second=reading(planned, delta, other(adjacency)),
        bare=quick(unamplified(planned), delta, adjacency),
        total=reading(together(spent, planned), delta, adjacency),
        spent=reading(spent, delta, adjacency),
        left=rounds_left(together(spent, counted), cycle(config, clients), budget),
        calibrated=asked.mechanism != config.mechanism,
        budget=budget,
    )


def _for_rows(setup: Setup, ledger: Path | None) -> ForRows:
    config, budget = setup.config, setup.config.budget_of(Unit.EXAMPLE)
    splits = setup.population.clients
    rows = {name: split.train.stop - split.train.start for name, split in splits.items()}
    evaluations = _evaluations(config)
    planned = {
        name: together(of_an_example(config, name, n, config.rounds), evaluations)
        for name, n in rows.items()
    }
    kept = of_each_client(config, ledger) if ledger else {}
    spent: dict[str, Counts] = {name: counts_of(entries) for name, entries in kept.items()}
    steps = [config.train.steps_of(rows=n) for n in rows.values()]
    rates = [min(1.0, config.train.batch_size / n) for n in rows.values()]
    noise = [_multiplier(config, name) for name in rows]
    left = []
    for name, n in rows.items():
        ((event, each),) = of_an_example(config, name, n, 1).items()
        fits = rounds_left(together(spent.get(name, {}), evaluations), [event], budget)
        left += [] if fits is None else [fits // each]
    return ForRows(
        alone=spread(planned, budget),
        evaluations=quick(evaluations, budget.delta, budget.adjacency) if evaluations else None,
        total=spread({k: together(spent.get(k, {}), planned[k]) for k in rows}, budget),
        spent=spread(spent, budget).most if spent else 0.0,
        q=(min(rates), max(rates)),
        multiplier=(min(noise), max(noise)),
        steps=(min(steps), max(steps)),
        left=(min(left), max(left)) if left else None,
        budget=budget,
    )


def _evaluations(config: Config) -> Counts:
    """What all evaluations of the run reveal, where noise bounds it."""
    return config.evaluate.releases(config.evaluate.times(config.rounds))


def _multiplier(config: Config, client: str) -> float:
    return config.dpsgd.for_client(client).multiplier if config.dpsgd else 0.0


def _bounds(config: Config, clients: ForClients | None, rows: ForRows | None) -> list[Bound]:
    """What a run can come to at most: its budget, where that ends it."""
    found: list[tuple[Unit, float, int | None, Budget]] = []
    if clients:
        total = math.inf if clients.total.value is None else clients.total.value
        found.append((Unit.CLIENT, total, clients.left, clients.budget))
    if rows:
        found.append((Unit.EXAMPLE, rows.total.most, rows.left and rows.left[0], rows.budget))
    return [
        Bound(unit=unit, epsilon=min(epsilon, most), budget=budget)
        for unit, epsilon, left, budget in found
        for most in [math.inf if left is None or left >= config.rounds else budget.epsilon]
    ]


def _cautions(setup: Setup, clients: ForClients | None, rows: ForRows | None) -> Iterator[str]:
    splits = setup.population.clients.values()
    sizes = {
        "clients": (clients, len(splits)),
        "rows of the smallest client": (rows, min(s.train.stop - s.train.start for s in splits)),
    }
    for what, (found, size) in sizes.items():
        if found is None:
            continue
        if found.budget.delta >= 1 / size:
            yield (
                f"δ = {found.budget.delta:.3g} is not below 1/{size}, the number of {what}: a "
                "mechanism that gives one of them away would pass; set a smaller budget.delta."
            )
    rounds = setup.config.rounds
    if clients and clients.left is not None and clients.left < rounds:
        yield (
            f"The budget is enough for {clients.left} of {rounds} rounds: the run would stop there, "
            "and keep the model of the last round that was paid for."
        )
    if rows and rows.left is not None and rows.left[0] < rounds:
        yield (
            f"The budget is enough for {rows.left[0]} rounds of the first client to drop out, for "
            f"{rows.left[1]} of the last, and {rounds} are planned."
        )
    yield from _drowned(setup)
    if (clients or rows) and is_insecure(setup.config):
        yield "insecure_noise_seed is set: noise from a test seed protects nobody."


def _drowned(setup: Setup) -> Iterator[str]:
    """Whether the noise on counts is louder than all rows that are held out."""
    measuring = measuring_of(setup.config, setup.measure.schema)
    if measuring.noise is None:
        return
    splits = setup.population.clients.values()
    rows = sum(split.test.stop - split.test.start for split in splits)
    needed = rows_needed(measuring.schema, measuring.noise.deviation(len(setup.measured)))
    if rows < needed:
        yield (
            f"evaluate.noise: {rows} rows are held out, and {needed:,.0f} would be needed for a rate "
            "over all of them to stand out: evaluate less often with less noise, or by fewer groups."
        )
