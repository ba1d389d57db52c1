"""Apps of Flower as people have them run on tacit's simulator, and as on Flower's own engine."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from contracts.apps import write_app
from tacit.flower.app import read_app
from tacit.flower.hosting import new_run, run_server_app
from tacit.flower.nodes import contexts
from tacit.flower.workers import simulated
from tacit.wire.errors import AppError

QUICKSTART = Path(__file__).parents[2] / "examples" / "flower_quickstart"
SERVER_ONLY = """
    from flwr.clientapp import ClientApp
    from flwr.serverapp import ServerApp

    client, server = ClientApp(), ServerApp()

    @server.main()
    def main(grid, context):
"""
LEGACY = """
    import numpy as np
    from flwr.client import NumPyClient
    from flwr.clientapp import ClientApp
    from flwr.server import ServerAppComponents, ServerConfig
    from flwr.server.strategy import FedAvg
    from flwr.serverapp import ServerApp

    class Client(NumPyClient):
        def __init__(self, context):
            self.context = context

        def get_parameters(self, config):
            return [np.zeros(3)]

        def fit(self, parameters, config):
            return [parameters[0] + 1.0 + self.context.node_config["partition-id"]], 1, {}

        def evaluate(self, parameters, config):
            return float(parameters[0].sum()), 1, {"where": float(parameters[0][0])}

    def client_fn(context):
        return Client(context).to_client()

    class Kept(FedAvg):
        def aggregate_evaluate(self, round, results, failures):
            assert not failures
            with open(CONTEXT.run_config["out"], "a") as file:
                print(round, sum(found.metrics["where"] for _, found in results), file=file)
            return super().aggregate_evaluate(round, results, failures)

    def server_fn(context):
        global CONTEXT
        CONTEXT = context
        config = ServerConfig(num_rounds=context.run_config["rounds"])
        return ServerAppComponents(strategy=Kept(min_available_clients=2), config=config)

    client = ClientApp(client_fn=client_fn)
    server = ServerApp(server_fn=server_fn)
"""


def run_here(folder: Path, nodes: int, *changes: str, workers: int = 0) -> None:
    app = read_app(folder, changes)
    run = new_run(app)
    with simulated(app, contexts(run.run_id, nodes, app.run_config), workers) as carrier:
        run_server_app(app, run, carrier)


def test_an_app_with_client_fn_and_server_fn_runs(tmp_path: Path) -> None:
    out = tmp_path / "out.txt"
    folder = write_app(tmp_path, "legacy_app", LEGACY, 'rounds = 1\nout = ""')
    run_here(folder, 2, f"rounds=2 out='{out}'")
    assert out.read_text().split() == ["1", "3.0", "2", "6.0"]  # +1.5 a round, seen by two clients


def test_the_quickstart_has_the_same_history_whoever_runs_its_clients(tmp_path: Path) -> None:
    here, there = tmp_path / "here.json", tmp_path / "there.json"
    run_here(QUICKSTART, 3, f"num-server-rounds=2 out='{here}'")
    run_here(QUICKSTART, 3, f"num-server-rounds=2 out='{there}'", workers=2)
    history = json.loads(here.read_text())
    assert history == json.loads(there.read_text())
    assert list(history["train"]) == list(history["evaluate"]) == ["1", "2"]
    assert history["evaluate"]["2"]["eval_acc"] > 0.8


@pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning")  # by Flower's bundler
def test_the_code_makes_an_app_and_what_is_written_beside_it_does_not(tmp_path: Path) -> None:
    folder = write_app(tmp_path, "noted", LEGACY)
    (code,) = folder.rglob("*.py")
    before = read_app(folder).fingerprint()
    for name in ("NOTES.md", "result.json", "runs/app/audit.jsonl"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    assert read_app(folder).fingerprint() == before
    code.write_text(f"{code.read_text()}# changed")
    assert read_app(folder).fingerprint() != before


def test_a_server_app_that_raises_is_an_app_error_with_its_traceback(tmp_path: Path) -> None:
    source = SERVER_ONLY + "        raise LookupError('no model')"
    with pytest.raises(AppError, match=r"the ServerApp raised LookupError: no model") as caught:
        run_here(write_app(tmp_path, "server_that_raises", source), 1)
    assert "raise LookupError('no model')" in caught.value.traceback


def test_the_overrides_reach_both_apps_and_no_other_key_is_taken(tmp_path: Path) -> None:
    source = SERVER_ONLY + "        assert context.run_config == {'a.b': 2, 'c': 'x y'}"
    folder = write_app(tmp_path, "app_with_config", source, "c = 'z'\na.b = 1")
    run_here(folder, 1, "a.b=2 c='x y'")
    assert read_app(folder).run_config == {"c": "z", "a.b": 1}
    with pytest.raises(AppError, match=r"no key 'd'; it has: c, a\.b"):
        read_app(folder, ["d=1"])
    with pytest.raises(AppError, match=r"expected KEY=VALUE or a TOML file, got 'rounds'"):
        read_app(folder, ["rounds"])
    with pytest.raises(AppError, match="no Flower app"):
        read_app(tmp_path)


@pytest.mark.skipif(
    not os.environ.get("TACIT_FLOWER_ENGINES"), reason="starts Ray; TACIT_FLOWER_ENGINES=1 runs it"
)
def test_the_quickstart_has_the_same_history_as_on_flower(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours.json", tmp_path / "theirs.json"
    run_here(QUICKSTART, 3, f"out='{ours}'")
    on_flower(QUICKSTART, 3, [f"out='{theirs}'"], tmp_path / "home", theirs)
    assert flat(json.loads(ours.read_text())) == pytest.approx(
        flat(json.loads(theirs.read_text())), abs=1e-6
    )


def on_flower(
    folder: Path, nodes: int, changes: Sequence[str], home: Path, until: Path, seconds: float = 180
) -> None:
    """`flwr run` of the app on a SuperLink of its own that simulates; nothing is left running."""
    home.mkdir()
    port, other = free_port(), free_port()
    (home / "config.toml").write_text(
        '[superlink]\ndefault = "here"\n[superlink.here]\ninsecure = true\n'
        f'address = "127.0.0.1:{port}"\n'
    )
    off = {"FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1", "FLWR_TELEMETRY_ENABLED": "0"}
    bin = Path(sys.executable).parent
    path = f"{bin}:{os.environ['PATH']}"
    env = {**os.environ, **off, "FLWR_HOME": str(home), "PATH": path}
    link: list[str | Path] = [
        bin / "flower-superlink",
        "--insecure",
        "--simulation",
        "--host",
        "127.0.0.1",
    ]
    link += ["--port", str(port), "--control-api-address", f"127.0.0.1:{other}"]
    command: list[str | Path] = [
        bin / "flwr",
        "run",
        folder,
        "--federation-config",
        f"num-supernodes={nodes}",
    ]
    command += [word for change in changes for word in ("--run-config", change)]
    with (
        (home / "log").open("w") as log,
        subprocess.Popen(link, env=env, stdout=log, stderr=log),
    ):
        try:
            await_port(port, seconds)
            subprocess.run(command, env=env, check=True, capture_output=True, text=True)
            await_file(until, seconds)
        finally:
            for process in with_home(home):
                os.kill(process, signal.SIGKILL)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def await_port(port: int, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with socket.socket() as dialled:
            if dialled.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise TimeoutError("the SuperLink did not come up")


def await_file(path: Path, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if path.exists() and path.read_text():
            return
        time.sleep(0.5)
    raise TimeoutError("Flower did not finish; see the log in its home")


def with_home(home: Path) -> list[int]:
    """The processes with that FLWR_HOME: the SuperLink that `flwr run` starts outlives it."""
    mark, found = f"FLWR_HOME={home}".encode(), list[int]()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def flat(history: dict[str, Any]) -> dict[str, float]:
    """Each metric of each round by one name."""
    return {
        f"{part}/{round}/{name}": value
        for part, rounds in history.items()
        for round, metrics in rounds.items()
        for name, value in metrics.items()
    }
