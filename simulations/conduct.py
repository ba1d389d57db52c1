"""A run, whoever its clients are: from the lock on its folder to the sealed store. It needs no torch."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from typing import Protocol

from ..fairness.statistics import rates
from ..privacy.account import Account
from ..privacy.budget import Unit
from ..privacy.ledger import Ledger
from ..privacy.secret import Secret
from ..server.coordinator import POOLED, Coordinator
from ..server.progress import Committed, Evaluated, Observe, Progress
from ..server.store import Store
from ..strategies.strategy import ServerState
from ..wire.arrays import encode
from ..wire.database import name_of
from ..wire.errors import BudgetSpent, ClientsSpent
from ..wire.messages import Arrays
from ..wire.transport import Transport
from .baselines import Baselines, load_baselines, save_baselines, train_baselines
from .config import Config
from .description import Description
from .measuring import measuring_of
from .rows import ledger_of
from .run_folder import RunFolder

Reach = Callable[[Store], AbstractContextManager[Transport]]
"""Connects to the clients of the run that a store is of, until it is left."""


class Plan(Protocol):
    """What a coordinator must know of a run that is ready to start."""

    @property
    def config(self) -> Config:
        """It has been checked, and leaves nothing open."""
        ...

    @property
    def clients(self) -> Sequence[str]:
        """Those who may take part in a round."""
        ...

    @property
    def measured(self) -> Sequence[str]:
        """Those who hold rows to evaluate on."""
        ...

    @property
    def initial(self) -> Arrays:
        """The parameters before the first round."""
        ...

    @property
    def description(self) -> Description:
        """The population in numbers, as far as they are known."""
        ...


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a run ended with.

    `history` has an entry for each round: what was committed, and the evaluation if there was one.
    """

    config: Config
    parameters: Arrays = field(repr=False)
    history: list[tuple[Committed, Evaluated | None]] = field(repr=False)
    baselines: Baselines | None = field(default=None, repr=False)

    @property
    def clients(self) -> dict[str, dict[str, float]]:
        """Each client's rates on its own held-out rows, at the last evaluation."""
        last = self._last()
        return {name: rates(counts) for name, counts in last.clients.items()} if last else {}

    @property
    def metrics(self) -> dict[str, float]:
        """The rates over all clients' held-out rows, at the last evaluation."""
        last = self._last()
        return rates(last.everyone) if last else {}

    @property
    def pooled(self) -> dict[str, float]:
        """The rates on the pooled test rows, where there are any beside the clients' own."""
        last = self._last()
        return rates(last.pooled) if last else {}

    @property
    def digest(self) -> str:
        """SHA-256 of the parameters: equal for equal bits."""
        return parameter_digest(self.parameters)

    def _last(self) -> Evaluated | None:
        return next((evaluated for _, evaluated in reversed(self.history) if evaluated), None)


def parameter_digest(parameters: Arrays) -> str:
    """SHA-256 of the encoded parameters."""
    return hashlib.sha256(encode(parameters)).hexdigest()


def conduct(
    plan: Plan,
    folder: RunFolder,
    reach: Reach,
    *,
    resume: bool = False,
    observe: Observe = lambda progress: None,
    database: str | None = None,
) -> Result:
    """Runs `plan` in `folder` with the clients that `reach` connects to; or goes on, with `resume`.

    `database` is the URL of a PostgreSQL database for the run's rows and a shared ledger.
    """
    config = plan.config
    with folder.locked():
        (folder.check if resume else folder.create)(config, plan.description)
        place = {"database": name_of(database)} if database else {}
        folder.log("resumed" if resume else "started", fingerprint=config.fingerprint(), **place)
        with (
            closing(Store(folder.path, database)) as store,
            store.locked(),
            closing(Ledger(ledger_of(config, folder, database))) as ledger,
        ):
            if store.is_sealed() and not _is_complete(store, config):
                raise BudgetSpent(
                    f"{folder.path} ended when its budget was spent; start a new run."
                )
            with reach(store) as carrier:
                coordinator = _coordinator(plan, folder, store, ledger, carrier, observe)
                state = _until_spent(coordinator, plan, folder)
                baselines = _baselines(plan, folder, carrier)
                digest = folder.save_model(state.parameters)  # before clients hear that it is over
                folder.log("finished", round=state.round, parameters=digest)
                _seal(config, folder, store)
            return Result(
                config=config,
                parameters=dict(state.parameters),  # the folder may be a temporary one
                history=store.history(),
                baselines=baselines,
            )


def run_name(config: Config, store: Store) -> str:
    """What the run is called. Under a test seed its name is not its own: clients' noise rests on it."""
    seed = config.insecure_noise_seed
    return store.run() if seed is None else f"insecure-{seed}"


def _is_complete(store: Store, config: Config) -> bool:
    latest = store.latest()
    return latest is not None and latest.round >= config.rounds


def _seal(config: Config, folder: RunFolder, store: Store) -> None:
    """Ends the run: what no noise has covered is forgotten, also what clients remember."""
    store.seal()
    if config.mechanism_kind != "mean":
        shutil.rmtree(folder.memory, ignore_errors=True)


def _until_spent(coordinator: Coordinator, plan: Plan, folder: RunFolder) -> ServerState:
    """Runs to the end. A spent budget keeps the last model that was paid for, and is raised again."""
    try:
        return coordinator.run(plan.initial)
    except BudgetSpent as spent:
        if (state := coordinator.store.latest()) is not None:
            folder.save_model(state.parameters)
            folder.log("budget_spent", round=state.round, reason=str(spent))
        if not isinstance(spent, ClientsSpent):  # no run ends for good on its clients' word
            _seal(plan.config, folder, coordinator.store)
        raise


def _coordinator(
    plan: Plan,
    folder: RunFolder,
    store: Store,
    ledger: Ledger,
    carrier: Transport,
    observe: Observe,
) -> Coordinator:
    def both(progress: Progress) -> None:
        folder.observe(progress)
        observe(progress)

    config, seed = plan.config, plan.config.insecure_noise_seed
    account = Account(
        ledger=ledger,
        population=config.population_name,
        unit=Unit.CLIENT,
        run=run_name(config, store),
        budget=config.budget_of(Unit.CLIENT),
    )
    return Coordinator(
        strategy=config.strategy,
        mechanism=config.mechanism,
        sampler=config.sampler,
        transport=carrier,
        store=store,
        account=account,
        secret=store.secret() if seed is None else Secret.from_test_seed(seed),
        clients=plan.clients,
        measured=plan.measured,
        measuring=measuring_of(config, schema) if (schema := plan.description.schema) else None,
        rounds=config.rounds,
        seed=config.seed,
        settings=config.train.settings(),
        evaluate_every=config.evaluate.every,
        may_miss=config.deployment.may_miss,
        observe=both,
    )


def _baselines(plan: Plan, folder: RunFolder, carrier: Transport) -> Baselines | None:
    if not plan.config.baselines:
        return None
    if (found := load_baselines(folder.baselines)) is not None:
        return found
    baselines = train_baselines(
        carrier,
        plan.config.baselines,
        [name for name in plan.measured if name != POOLED],
        seed=plan.config.seed,
        parameters=plan.initial,
        settings=plan.config.train.settings(),
    )
    save_baselines(folder.baselines, baselines)
    return baselines
