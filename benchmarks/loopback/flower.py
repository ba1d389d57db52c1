"""The same rounds as a Flower app: on a SuperLink with two SuperNodes, and on tacit's coordinator."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

PROJECT = """
[project]
name = "rounds"
version = "1.0.0"
description = "Rounds without training"
license = "Apache-2.0"
dependencies = []
[tool.flwr.app]
publisher = "tacit"
[tool.flwr.app.components]
serverapp = "rounds.app:server"
clientapp = "rounds.app:client"
[tool.flwr.app.config]
"""
APP = """
import json, time
import numpy as np
from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedAvg

client = ClientApp()
server = ServerApp()

@client.train()
def train(message, context):
    arrays, metrics = message.content["arrays"], MetricRecord({{"num-examples": 1}})
    return Message(content=RecordDict({{"arrays": arrays, "metrics": metrics}}), reply_to=message)

@server.main()
def main(grid, context):
    rng, moments = np.random.default_rng(0), []
    arrays = ArrayRecord([rng.random({size} // 64, dtype=np.float32) for _ in range(16)])
    strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=2, min_available_nodes=2)
    strategy.start(
        grid, arrays, num_rounds={rounds}, evaluate_fn=lambda n, a: moments.append(time.time())
    )
    open({out!r}, "w").write(json.dumps(moments))
"""
PATIENCE = 600.0


def flower_rounds(
    python: Path, folder: Path, rounds: int, size: int, port: int = 18000
) -> list[float]:
    """The seconds of each round; `python` is the interpreter of an environment with Flower 1.41."""
    app, out = _written(folder, rounds, size)
    home = folder / "home"
    home.mkdir()
    (home / "config.toml").write_text(
        '[superlink]\ndefault = "here"\n[superlink.here]\ninsecure = true\n'
        f'address = "127.0.0.1:{port}"\n'
    )
    bin = str(python.parent)
    off = "--disable-runtime-dependency-installation"
    link = [f"{bin}/flower-superlink", "--insecure", "--port", str(port), off]
    with ExitStack() as running:
        running.enter_context(_started(link, home))
        time.sleep(5.0)
        for number in (1, 2):
            node = [f"{bin}/flower-supernode", "--insecure", "--superlink", f"127.0.0.1:{port}"]
            running.enter_context(_started([*node, "--port", str(port + number)], home))
        command = [f"{bin}/flwr", "run", str(app), "here"]
        subprocess.run(command, check=True, env=_environment(bin, home), capture_output=True)
        moments = _read(out, PATIENCE + 20.0 * rounds)
    return [after - before for before, after in pairwise(moments)]


def app_rounds(
    folder: Path, certs: Path, clients: Sequence[str], rounds: int, size: int, port: int = 18100
) -> list[float]:
    """The seconds of each round on tacit's coordinator, with mutual TLS; see `flower_rounds`."""
    app, out = _written(folder, rounds, size)
    tacit = [sys.executable, "-m", "tacit"]
    with ExitStack() as running:
        named = [word for client in clients for word in ("--client", client)]
        where = ["--listen", f"127.0.0.1:{port}", "--out", str(folder / "run")]
        own = ["--flower", str(app), "--certs", str(certs / "coordinator")]
        running.enter_context(_started([*tacit, "serve", *own, *named, *where], folder))
        for client in clients:
            own = ["--flower", str(app), "--certs", str(certs / client)]
            where = [f"localhost:{port}", "--state", str(folder / client)]
            running.enter_context(_started([*tacit, "join", *where, *own], folder))
        moments = _read(out, PATIENCE)
    return [after - before for before, after in pairwise(moments)]


def _written(folder: Path, rounds: int, size: int) -> tuple[Path, Path]:
    """The app, and the file in which it leaves the moments of its rounds."""
    out = folder / "moments.json"
    package = folder / "app" / "rounds"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "app.py").write_text(APP.format(size=size, rounds=rounds, out=str(out)))
    (package.parent / "pyproject.toml").write_text(PROJECT)
    return package.parent, out


def _environment(bin: str, home: Path) -> dict[str, str]:
    """Flower finds its other programs on the path; nothing is told to anybody."""
    path = f"{bin}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "FLWR_HOME": str(home), "FLWR_TELEMETRY_ENABLED": "0"}


@contextmanager
def _started(command: Sequence[str], home: Path) -> Iterator[None]:
    log = (home / f"{Path(command[0]).name}-{time.monotonic_ns()}.log").open("w")
    env = _environment(str(Path(command[0]).parent), home)
    process = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
    try:
        yield
    finally:
        if process.poll() is None:
            os.killpg(process.pid, 15)
        process.wait()
        log.close()


def _read(path: Path, seconds: float) -> list[float]:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(1.0)
        if path.exists() and (text := path.read_text()):
            return [float(moment) for moment in json.loads(text)]
    raise TimeoutError("the app did not finish; see the logs in its folder")
