"""Flower's own engines on loopback: a SuperLink, which simulates or has SuperNodes, and `flwr run`."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from contracts.proxy import free_port

PATIENCE = 60.0
"""Seconds within which a server should listen."""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A SuperLink at `port`; what it and its nodes have, they have below `home`."""

    home: Path
    port: int
    processes: ExitStack = field(default_factory=ExitStack, repr=False)

    def run(self, app: Path, *, seconds: float = 300.0, **config: str) -> str:
        """What the log says of a run of `app`, from its start to its end."""
        asked = " ".join(f'{key}="{value}"' for key, value in config.items())
        words = [_program("flwr"), "run", str(app), "here", "--stream", "--run-config", asked]
        done = subprocess.run(
            words,
            env=self.environment(),
            check=False,
            timeout=seconds,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.stdout

    def node(self, **config: str) -> None:
        """Starts a SuperNode with that node-config."""
        port, said = free_port(), " ".join(f'{key}="{value}"' for key, value in config.items())
        link = ["--insecure", "--superlink", f"127.0.0.1:{self.port}", "--port", str(port)]
        words = [_program("flower-supernode"), *link, "--node-config", said]
        self.processes.enter_context(_started(words, self, f"node-{port}.log"))

    def environment(self) -> dict[str, str]:
        """Flower finds its other programs on the path, and tells nothing to anybody."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        own = {"FLWR_HOME": str(self.home), "FLWR_TELEMETRY_ENABLED": "0", "PATH": path}
        return {**os.environ, **own, "FLWR_DISABLE_UPDATE_CHECK": "1"}


@contextmanager
def superlink(home: Path, *, simulation: bool) -> Iterator[Engine]:
    """A SuperLink, which is gone afterwards with all that it started."""
    home.mkdir(parents=True)
    engine = Engine(home=home, port=free_port())
    (home / "config.toml").write_text(
        '[superlink]\ndefault = "here"\n[superlink.here]\ninsecure = true\n'
        f'address = "127.0.0.1:{engine.port}"\n'
    )
    words = [_program("flower-superlink"), "--insecure", "--host", "127.0.0.1"]
    words += ["--port", str(engine.port), "--control-api-address", f"127.0.0.1:{free_port()}"]
    words += ["--disable-runtime-dependency-installation"]
    with engine.processes, _started(words + ["--simulation"] * simulation, engine, "link.log"):
        _listens(engine.port)
        yield engine


@contextmanager
def _started(words: list[str], engine: Engine, name: str) -> Iterator[None]:
    with (engine.home / name).open("w") as log:
        process = subprocess.Popen(
            words, env=engine.environment(), stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _listens(port: int) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        time.sleep(0.1)
    raise TimeoutError(f"nothing listens on {port}")


def _program(name: str) -> str:
    return str(Path(sys.executable).parent / name)
