"""A run folder: the resolved configuration, the environment, the event log, the store, the model."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from .. import __version__
from ..server.progress import Began, Committed, Evaluated, Failed, Progress, Refused
from ..wire.arrays import write_arrays
from ..wire.durable import append_line, stream_durably, write_durably
from ..wire.errors import StoreError
from ..wire.messages import Arrays
from .config import Config, read_config
from .description import Description, from_json, to_json


@dataclass(frozen=True)
class RunFolder:
    """Where a run keeps everything but its data: `path` can be moved and copied, and resumed there."""

    path: Path

    @property
    def config(self) -> Path:
        """The configuration with every default spelled out."""
        return self.path / "config.toml"

    @property
    def population(self) -> Path:
        """Who took part: rows and classes of each client, in numbers."""
        return self.path / "population.json"

    @property
    def rows(self) -> Path:
        """The database of the run, unless it is elsewhere."""
        return self.path / "store.db"

    @property
    def key(self) -> Path:
        """What names the run in a database elsewhere."""
        return self.path / "run.key"

    @property
    def study(self) -> Path:
        """What the parties of a deployment agreed on, as it was written; a simulation has none."""
        return self.path / "study.toml"

    @property
    def command(self) -> str:
        """What goes on with the run."""
        return "tacit serve" if self.study.exists() else "tacit run"

    @property
    def events(self) -> Path:
        """What happened, one JSON object a line, only ever appended to."""
        return self.path / "events.jsonl"

    @property
    def memory(self) -> Path:
        """What simulated clients remember."""
        return self.path / "clients"

    @property
    def model(self) -> Path:
        """The final parameters."""
        return self.path / "model.safetensors"

    @property
    def baselines(self) -> Path:
        """What pooled and lone training reached."""
        return self.path / "baselines.json"

    def create(self, config: Config, population: Description) -> None:
        """Starts a new run here. Raises `StoreError` if one is here already."""
        if self.config.exists():
            raise StoreError(
                f"{self.path} holds a run already; resume it with --resume {self.path}, or choose "
                "another folder with --out."
            )
        write_durably(self.path / "environment.json", json.dumps(environment(), indent=2).encode())
        write_durably(self.population, to_json(population).encode())
        write_durably(self.config, config.to_toml().encode())

    def check(self, config: Config, population: Description) -> None:
        """Raises `StoreError` unless the run here began with this configuration and these rows."""
        if self.began() not in (None, config.fingerprint()):
            raise StoreError(
                f"{self.config} was changed since the run began, and would make it another run; bring it "
                "back, or start a new run."
            )
        if self.population.exists():
            began = from_json(self.population.read_text())
            if began.digest != population.digest:
                raise StoreError(
                    f"{self.path} began with other rows: the data has changed since; bring it back, "
                    "or start a new run."
                )

    def began(self) -> str | None:
        """The fingerprint of the configuration with which the run began; None before."""
        lines = self.events.read_text(errors="replace").splitlines() if self.events.exists() else []
        for line in lines:
            with suppress(ValueError):
                event = json.loads(line)
                if event["event"] == "started":
                    return str(event["fingerprint"])
        return None

    def read_config(self) -> Config:
        """The configuration of the run that is here. Raises `StoreError` if there is none."""
        if not self.config.exists():
            raise StoreError(f"{self.path} holds no run: there is no {self.config.name} in it.")
        return read_config(self.config)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Within it no other process can run in this folder. The lock goes when the process does."""
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise StoreError(f"{self.path} is in use by another process; wait for it.") from None
        try:
            yield
        finally:
            lock.release()

    def log(self, event: str, **facts: object) -> None:
        """Appends one event."""
        facts = {"time": round(time.time(), 3), "event": event, **facts}
        append_line(self.events, json.dumps(facts))

    def observe(self, progress: Progress) -> None:
        """Logs what a coordinator says: who and when, but no client's statistics and no traceback."""
        match progress:
            case Began(round=number, cohort=cohort):
                self.log("round_began", round=number, cohort=cohort)
            case Refused(round=number, refusal=refusal):
                self.log("refused", round=number, client=refusal.client, reason=refusal.reason)
            case Failed(round=number, failure=failure):
                kind = failure.error.partition(":")[0]
                self.log("client_failed", round=number, client=failure.client, error=kind)
            case Committed(round=number, admitted=admitted, refused=refused, seconds=seconds):
                self.log(
                    "round_committed",
                    round=number,
                    admitted=admitted,
                    refused=refused,
                    seconds=round(seconds, 4),
                )
            case Evaluated(round=number, clients=clients, seconds=seconds):
                self.log("evaluated", round=number, clients=len(clients), seconds=round(seconds, 4))

    def save_model(self, parameters: Arrays) -> str:
        """Writes the final parameters, and returns the SHA-256 of their encoding."""
        digests = []

        def write(file: BinaryIO) -> str:
            digests.append(write_arrays(file, parameters))
            return self.model.name

        stream_durably(self.path, write)
        return digests[0]


def environment() -> dict[str, object]:
    """What ran this: versions, platform and cores."""
    packages = ("numpy", "torch", "safetensors", "sqlalchemy", "scikit-learn", "pydantic")
    return {
        "tacit": __version__,
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "packages": {name: metadata.version(name) for name in packages},
    }
