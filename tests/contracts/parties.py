"""The processes of a deployment: real ones, forked from a warm server so that they start at once."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

import grpc
from contracts.certificates import make_authority
from tacit.deployment.serve import Listening, serve
from tacit.deployment.site import Site
from tacit.deployment.study import prepare_study
from tacit.server import Store
from tacit.simulations import Config, simulate
from tacit.simulations.run_folder import RunFolder
from tacit.wire.dial import OPTIONS
from tacit.wire.errors import TacitError
from tacit.wire.keys import Keys

LAZY = ["sklearn.datasets", "sklearn.model_selection"]
CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["contracts.studies", "contracts.parties", "tacit.client.private", "torch._dynamo", *LAZY]
)

COMPLETE, FAILED, INTERRUPTED = 0, 3, 4
"""How a party ends by itself."""
KEEPALIVE = {"grpc.keepalive_time_ms": 1000, "grpc.http2.ping_timeout_ms": 1500}
LINGER = 2.0
"""Seconds: clients that were told before their coordinator was killed do not come again."""
RUN = "f" * 32
"""The name of every run here: noise depends on it, and so that of a simulation is the same."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Where a run has its files; the coordinator listens on `port`, and clients dial `proxy`."""

    config: Config
    folder: Path
    keys: Path
    port: int = 0
    proxy: int = 0

    @property
    def run(self) -> RunFolder:
        return RunFolder(self.folder / "run")

    def certs(self, party: str) -> Path:
        return self.keys / party


def coordinate(scene: Scene) -> None:
    _name(scene.run.path)
    listening = Listening(address=f"127.0.0.1:{scene.port}", certs=scene.certs("coordinator"))
    study = prepare_study(scene.config)
    serve(study, scene.run, listening, resume=scene.run.config.exists(), linger=LINGER)


def take_part(scene: Scene, name: str) -> None:
    def connect() -> grpc.Channel:
        own = Keys(scene.certs(name)).channel_credentials()
        options = list({**dict(OPTIONS), **KEEPALIVE}.items())
        return grpc.secure_channel(f"127.0.0.1:{scene.proxy}", own, options)

    site = Site(config=scene.config, name=name, folder=scene.folder / name)
    with site.locked():
        agent = site.agent(connect, lambda line: say(f"{name}: {line}"))
        agent.shortest, agent.longest = 0.05, 0.5
        agent.run()


def rehearse(scene: Scene) -> None:
    """The undisturbed run, in a simulation."""
    _name(scene.run.path)
    simulate(scene.config, folder=scene.run.path)


def certify(folder: Path, clients: list[str]) -> None:
    make_authority(folder, *clients)


def live(work: Callable[..., None], name: str, skew: float, *given: Any) -> None:  # noqa: ANN401
    """The life of a party; SIGUSR1 asks where it is."""
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_outlive_nobody, daemon=True).start()
    _shift_clock(skew)
    try:
        work(*given)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except (TacitError, OSError) as error:
        say(f"{name} ends: {type(error).__name__}: {error}")
        traceback.print_exc()
        sys.exit(FAILED)


def _outlive_nobody() -> None:
    """Ends this process when whoever disturbs it is gone."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(FAILED)


def say(line: str) -> None:
    print(f"{time.monotonic():.2f} {line}", file=sys.stderr, flush=True)  # noqa: T201


def _name(folder: Path) -> None:
    """Gives the run in `folder` its name, unless it has it."""
    if folder.exists():
        return
    draft = folder.with_name(f"{folder.name}.{os.getpid()}")
    store = Store(draft)
    store.run()
    with store._database.transaction() as connection:
        connection.exec_driver_sql("UPDATE run SET name = ?", (RUN,))
    store.close()
    draft.rename(folder)


def _shift_clock(seconds: float) -> None:
    """From now on this process is so much in the future, as far as Python tells the time."""
    true = time.time

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(seconds=seconds)

    time.time = lambda: true() + seconds
    for name, module in list(sys.modules.items()):
        if name.startswith("tacit.") and vars(module).get("datetime") is datetime:
            vars(module)["datetime"] = Shifted
