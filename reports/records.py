"""What a run folder says, read once. A run that is being written may be read as well."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ..fairness import Assessment, assess, headline, rates
from ..server.progress import Committed, Evaluated
from ..server.store import Store
from ..simulations.baselines import Baselines, load_baselines
from ..simulations.config import Config
from ..simulations.description import Description, from_json
from ..simulations.rows import database_of
from ..simulations.run_folder import RunFolder
from ..wire.errors import StoreError
from ..wire.messages import Refusal
from .coins import coins

History = list[tuple[Committed, Evaluated | None]]
ENDS = ("finished", "budget_spent")
"""The events after which nothing follows."""


@dataclass(frozen=True, kw_only=True)
class Records:
    """A run as its folder has it. `digest`, of the last parameters, is None until it has ended.

    `stopped` is why it ended before its last round: its privacy budget was spent. `state` is the digest
    of the parameters after the last safe round, as the store has it.
    """

    folder: Path
    config: Config
    history: Sequence[tuple[Committed, Evaluated | None]] = field(repr=False)
    baselines: Baselines | None
    refusals: Sequence[tuple[int, Refusal]]
    population: Description | None
    environment: dict[str, Any]
    digest: str | None
    started: float | None
    ended: float | None = None
    stopped: str | None = None
    state: str | None = None
    events: Sequence[dict[str, Any]] = field(default=(), repr=False)

    @property
    def finished(self) -> bool:
        """Whether it came to the end that its configuration names."""
        return self.digest is not None and self.stopped is None

    @property
    def train_rows(self) -> dict[str, int]:
        """How many rows each client trains on, as far as that is known here."""
        known = self.population.known if self.population else {}
        return {name: own.train for name, own in known.items()}

    @property
    def is_deployment(self) -> bool:
        """Whether the clients keep their rows and their ledgers elsewhere."""
        return self.population is not None and not self.population.known

    @property
    def rounds(self) -> int:
        """The last round that is safe."""
        return self.history[-1][0].round if self.history else 0

    @cached_property
    def assessment(self) -> Assessment | None:
        """Whom the model served at the last evaluation; None if nothing was counted by group there."""
        population = self.population
        last = next((found for _, found in reversed(self.history) if found), None)
        if population is None or population.schema is None or last is None or not last.total:
            return None
        return assess(
            population.schema,
            last.tables,
            last.total,
            rng=coins(population.digest, "assessment"),
            deviation=last.deviation,
            floor=self.config.evaluate.floor,
            alone=alone(self.baselines),
        )


def alone(baselines: Baselines | None) -> dict[str, float]:
    """The headline rate of the model that each client trained by itself."""
    found = {name: rates(counts) for name, counts in baselines.alone.items()} if baselines else {}
    return {name: own[rate] for name, own in found.items() if (rate := headline(own)[0]) in own}


def read(folder: RunFolder) -> Records:
    """Everything that `folder` holds. Raises `StoreError` if no run is there, or a damaged one."""
    try:
        return _read(folder)
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(f"{folder.path}: a file in it is damaged: {error}; restore it.") from error


def _read(folder: RunFolder) -> Records:
    config = folder.read_config()
    events = list(_events(folder.events))
    history, state = _stored(folder)
    return Records(
        folder=folder.path,
        config=config,
        history=history,
        baselines=load_baselines(folder.baselines),
        refusals=_refusals(events),
        population=_population(folder),
        environment=_environment(folder.path / "environment.json"),
        digest=_digest(folder.model),
        started=next((e["time"] for e in events if e["event"] == "started"), None),
        ended=next((e["time"] for e in reversed(events) if e["event"] in ENDS), None),
        stopped=_stopped(events),
        state=state,
        events=events,
    )


def _stored(folder: RunFolder) -> tuple[History, str | None]:
    if (database := database_of(folder)) is not None:
        with closing(Store(folder.path, database)) as store:
            return store.history(), store.digest()
    if not folder.rows.exists():  # opening it would make one
        return [], None
    with _lockable(folder.path) as place, closing(Store(place)) as store:
        return store.history(), store.digest()


@contextmanager
def _lockable(folder: Path) -> Iterator[Path]:
    """`folder`; where nothing can be written, a copy of the database, for SQLite locks to read."""
    if os.access(folder, os.W_OK):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="tacit-") as copy:
        for name in ("store.db", "store.db-wal"):
            if (folder / name).exists():
                shutil.copy(folder / name, copy)
        yield Path(copy)


def _events(path: Path) -> Iterator[dict[str, Any]]:
    """The lines that are whole: the last one may be half written, one may have been cut short."""
    if not path.exists():
        return
    for line in path.read_text(errors="replace").splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and {"event", "time"} <= event.keys():
            yield event


def _refusals(events: Sequence[dict[str, Any]]) -> list[tuple[int, Refusal]]:
    """Each once, though a round that was begun again refuses again."""
    found = {
        (event["round"], event["client"]): Refusal(client=event["client"], reason=event["reason"])
        for event in events
        if event["event"] == "refused"
    }
    return [(number, refusal) for (number, _), refusal in found.items()]


def _stopped(events: Sequence[dict[str, Any]]) -> str | None:
    """What the last end of the run was, if its budget ended it."""
    last = next((event for event in reversed(events) if event["event"] in ENDS), None)
    return str(last["reason"]) if last and last["event"] == "budget_spent" else None


def _environment(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def _digest(model: Path) -> str | None:
    """The file holds the encoded parameters, so its digest is theirs."""
    return hashlib.sha256(model.read_bytes()).hexdigest() if model.exists() else None


def _population(folder: RunFolder) -> Description | None:
    path = folder.population
    return from_json(path.read_text()) if path.exists() else None
