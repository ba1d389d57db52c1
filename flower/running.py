"""A run of tacit's on the nodes of a Grid: what it needs, and how its clients are reached there."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from flwr.serverapp import Grid

from ..deployment.study import Study as Agreed
from ..deployment.study import keep_study, prepare_study
from ..server.admission import Admission
from ..server.coordinator import POOLED
from ..server.remote import Patience
from ..server.store import Store
from ..simulations.conduct import Plan, Reach, Result, conduct, run_name
from ..simulations.config import Config
from ..simulations.rows import database_for
from ..simulations.run_folder import RunFolder
from ..wire.errors import StoreError
from ..wire.fold import Fold
from ..wire.messages import Instruction
from ..wire.transport import Transport
from .letters import Study
from .narrator import Narrator
from .roster import Roster
from .transport import Anywhere, OverGrid

log = logging.getLogger("flwr")


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A run that is ready to start, or to go on; `database` is as in `conduct`."""

    plan: Plan
    reach: Reach
    database: str | None = None


def execute(planned: Planned, folder: RunFolder) -> Result:
    """Runs to the end in `folder`, going on with a run that is there. Raises a `TacitError`."""
    plan, resume = planned.plan, folder.config.exists()
    if resume:
        _expect_same(plan.config, folder)
    narrator = Narrator(plan=plan, folder=folder, database=planned.database)
    if resume:
        narrator.resumes()
    result = conduct(
        plan,
        folder,
        planned.reach,
        resume=resume,
        observe=narrator.observe,
        database=planned.database,
    )
    narrator.ended(result)
    return result


def simulated(grid: Grid, config: Config, folder: RunFolder) -> Planned:
    """A simulation: any node can be any client, and finds what it keeps in or beside `folder`.

    `folder` must be the same on every machine with nodes. The pooled rows are measured and trained on
    here.
    """
    from ..simulations.processes import one_thread
    from ..simulations.run import in_process, make_job
    from ..simulations.setup import cautions, prepare

    setup = prepare(config)
    for text in cautions(setup):
        log.warning(text)

    @contextmanager
    def reach(store: Store) -> Iterator[Transport]:
        job = make_job(setup, folder)
        job.custody.bind(setup.description.digest)
        study = Study(
            config=setup.config.to_toml(),
            run=run_name(setup.config, store),
            folder=str(folder.path.absolute()),
        )
        far = OverGrid(
            grid=grid,
            admission=job.admission,
            patience=_patience(setup.config),
            study=study,
            seats=Anywhere(grid, setup.clients),
        )
        with one_thread():
            yield Beside(far, in_process(job, setup.config.run.device))

    return Planned(plan=setup, reach=reach)


def deployed(grid: Grid, config: Config, folder: RunFolder) -> Planned:
    """A deployment: every client is the site of its name."""
    study = prepare_study(config)
    for text in study.cautions:
        log.warning(text)
    return Planned(
        plan=study, reach=partial(_sites, grid, study, folder), database=database_for(folder)
    )


@contextmanager
def _sites(grid: Grid, study: Agreed, folder: RunFolder, store: Store) -> Iterator[Transport]:
    keep_study(study, folder)
    told = Study(config=study.agreed.to_toml(), run=run_name(study.config, store))
    yield OverGrid(
        grid=grid,
        admission=Admission(
            strategy=study.config.strategy,
            mechanism=study.config.mechanism,
            measuring=study.measuring,
        ),
        patience=_patience(study.config),
        study=told,
        seats=Roster(grid=grid, study=told, clients=study.clients),
    )


@dataclass(frozen=True)
class Beside:
    """Asks `far` for all but the pooled holder, who is in this process: `near`."""

    far: Transport
    near: Transport

    def gather(self, instruction: Instruction, members: Sequence[str]) -> Fold:
        """See `Transport`."""
        own = [name for name in members if name == POOLED]
        fold = self.far.gather(instruction, [name for name in members if name != POOLED])
        if own:
            fold.merge(self.near.gather(instruction, own))
        return fold


def _patience(config: Config) -> Patience:
    asked = config.deployment
    return Patience(deadline=asked.deadline, enough=asked.enough, may_miss=asked.may_miss)


def _expect_same(config: Config, folder: RunFolder) -> None:
    """Raises `StoreError` if the run in `folder` is of another configuration."""
    if folder.began() not in (None, config.fingerprint()):
        raise StoreError(
            f"{folder.path} holds a run of another configuration ({folder.config}): go on with that "
            "one, or name another folder in `out`."
        )
