"""`tacit serve --flower` and `tacit join --flower`: an app of Flower, each party in a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from contracts.apps import write_app
from contracts.certificates import make_authority
from contracts.processes import Shell, Started, Tacit

QUICKSTART = Path(__file__).parents[2] / "examples" / "flower_quickstart"
SITES = ("oslo", "bergen")
APP = """
    from flwr.app import ConfigRecord, Message, MetricRecord, RecordDict
    from flwr.clientapp import ClientApp
    from flwr.serverapp import ServerApp

    client, server = ClientApp(), ServerApp()

    @client.query()
    def query(message, context):
        print("a client speaks", flush=True)
        if context.node_config["partition-id"] < context.run_config["failing"]:
            raise LookupError(f"row {6 * 7} is too long")
        beds = context.node_config.get("beds", 0)
        return Message(RecordDict({"m": MetricRecord({"beds": beds})}), reply_to=message)

    @server.main()
    def main(grid, context):
        while len(nodes := list(grid.get_node_ids())) < 2:
            pass
        about = RecordDict({"config": ConfigRecord({"server-round": 1})})
        replies = grid.send_and_receive([Message(about, node, "query") for node in nodes])
        answers = [reply.content["m"]["beds"] for reply in replies if reply.has_content()]
        print("beds", answers, flush=True)
        if context.run_config["raise"]:
            raise ZeroDivisionError("the server divides")
"""
CONFIG = """
failing = 0
raise = false
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return write_app(tmp_path, "spoken", APP, CONFIG)


@dataclass
class Parties:
    """The commands of one deployment, without TLS unless there are `certs`."""

    shell: Shell
    app: Path
    certs: Path | None = None
    port: str = "0"

    def serve(self, *words: object) -> Started:
        clients = [word for site in SITES for word in ("--client", site)]
        keys = ["--insecure"] if self.certs is None else ["--certs", self.certs / "coordinator"]
        where = f"127.0.0.1:{self.port}"
        started = self.shell.start(
            "serve", "--flower", self.app, *clients, "--listen", where, *keys, *words
        )
        said = started.says("listening")
        self.port = said.partition(";")[0].strip('"}').rpartition(":")[2]
        return started

    def join(self, name: str, *words: object, app: Path | None = None) -> Started:
        keys = ["--insecure", name] if self.certs is None else ["--certs", self.certs / name]
        where = f"localhost:{self.port}" if self.certs else f"127.0.0.1:{self.port}"
        return self.shell.start("join", where, "--flower", app or self.app, *keys, *words)


def test_an_app_runs_over_tls_and_everybody_ends_with_zero(shell: Shell, app: Path) -> None:
    parties = Parties(shell, app, make_authority(shell.folder / "certs", *SITES).folder)
    coordinator = parties.serve("--format", "json", "--out", "records")
    sites = [
        parties.join("oslo", "--state", "kept", "--node-config", "beds=7", "--format", "json"),
        parties.join("bergen"),
    ]
    done = coordinator.end()
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["event"] for event in events] == ["listening", "batch", "result"]
    assert (events[1]["kind"], events[1]["round"]) == ("query", "1")
    assert (events[2]["replies"], events[2]["errors"], events[2]["nodes"]) == (2, 0, 2)
    assert "beds [7, 0]" in done.stderr
    audit = (shell.folder / "records" / "audit.jsonl").read_text()
    assert [json.loads(line)["event"] for line in audit.splitlines()].count("answered") == 2
    oslo, bergen = (site.end() for site in sites)
    assert (oslo.returncode, bergen.returncode) == (0, 0)
    told = [json.loads(line)["event"] for line in oslo.stdout.splitlines()]
    assert [one for one in told if one != "lost"] == ["ready", "joined", "asked", "done", "over"]
    assert "a client speaks" in oslo.stderr
    assert (shell.folder / "kept" / "flower" / "answered").exists()
    assert bergen.stdout.splitlines()[-1].endswith("bergen: the run is complete")


def test_an_error_of_a_client_is_told_without_its_message(shell: Shell, app: Path) -> None:
    parties = Parties(shell, app)
    coordinator = parties.serve("--run-config", "failing=1")
    sites = [parties.join(site) for site in SITES]
    done = coordinator.end()
    assert (done.returncode, "1 errors" in done.stdout) == (0, True)
    assert "client oslo, query, round 1:" in done.stderr
    assert "LookupError (see the client's log)" in done.stderr
    assert "row 42" not in done.stderr + done.stdout
    oslo, bergen = (site.end() for site in sites)
    assert "LookupError: row 42 is too long" in oslo.stderr
    assert "LookupError" not in bergen.stderr + bergen.stdout


def test_clients_wait_when_the_server_app_raised(shell: Shell, app: Path) -> None:
    parties = Parties(shell, app)
    coordinator = parties.serve("--run-config", "raise=true", "--quiet", "--format", "json")
    sites = [parties.join(site) for site in SITES]
    done = coordinator.end()
    assert done.returncode == 3
    assert 'raise ZeroDivisionError("the server divides")' in done.stderr
    for site in sites:
        site.says("the coordinator stops for now")
    again = parties.serve("--format", "json")
    assert again.end().returncode == 0
    assert [site.end().returncode for site in sites] == [0, 0]


def test_another_copy_of_the_app_is_refused_in_one_line(shell: Shell, app: Path) -> None:
    other = shell.folder / "other"
    other.mkdir()
    for file in ("pyproject.toml", "spoken.py"):
        (other / file).write_text((app / file).read_text() + "\n# mine\n")
    parties = Parties(shell, app)
    coordinator = parties.serve()
    done = parties.join("oslo", app=other).end()
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1
    assert "its copy of the app is another one" in done.stderr
    unknown = parties.join("tromsø").end()
    assert (unknown.returncode, len(unknown.stderr.splitlines())) == (3, 1)
    assert "--client" in unknown.stderr
    coordinator.send(signal.SIGINT)
    assert coordinator.end().returncode == 130


@pytest.mark.skipif(not QUICKSTART.exists(), reason="there are no examples beside the package")
def test_the_quickstart_has_the_history_that_it_has_on_the_simulator(
    shell: Shell, tacit: Tacit
) -> None:
    parties = Parties(shell, QUICKSTART)
    short = "num-server-rounds=2 batch-size=128"
    change = ("--run-config", f"{short} out='deployed.json'")
    coordinator = parties.serve(*change, "--quiet", "--format", "json")
    sites = [parties.join(site) for site in SITES]
    assert coordinator.end().returncode == 0
    assert [site.end().returncode for site in sites] == [0, 0]
    own = ("--nodes", 2, "--workers", 0, "--run-config", f"{short} out='simulated.json'")
    assert tacit("run", "--flower", QUICKSTART, *own).returncode == 0
    deployed, simulated = (
        metrics(json.loads((shell.folder / f"{name}.json").read_text()))
        for name in ("deployed", "simulated")
    )
    # To the bit with OMP_NUM_THREADS=1: a simulation gives a client one thread, a site all there are.
    assert deployed == {name: pytest.approx(value, rel=1e-5) for name, value in simulated.items()}
    assert len(deployed) == 6


def metrics(history: dict[str, dict[str, dict[str, float]]]) -> dict[tuple[str, str, str], float]:
    return {
        (kind, number, name): value
        for kind, rounds in history.items()
        for number, found in rounds.items()
        for name, value in found.items()
    }


SERVE, JOIN = ("serve", "--insecure", "--listen", "127.0.0.1:0"), ("join", "127.0.0.1:1")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((*SERVE, "--flower", "nowhere", "--client", "a"), 3, "nowhere: no Flower app"),
        ((*SERVE, "--flower", "spoken"), 2, "--client NAME"),
        ((*SERVE, "--flower", "spoken", "--client", "a", "--client", "a"), 2, "once each"),
        ((*SERVE, "--flower", "spoken", "--client", "a", "study.toml"), 2, "without STUDY"),
        ((*SERVE, "--flower", "spoken", "--client", "a", "--resume", "run"), 2, "--resume"),
        ((*SERVE, "study.toml", "--client", "a"), 2, "go with --flower"),
        (
            ("serve", "--insecure", "--flower", "spoken", "--client", "a", "--listen", "0.0.0.0:0"),
            3,
            "only 127.0.0.1 is listened on",
        ),
        ((*JOIN, "--insecure", "a"), 2, "--study STUDY, what was agreed, or --flower APP"),
        ((*JOIN, "--insecure", "a", "--flower", "spoken", "--study", "s.toml"), 2, "either"),
        ((*JOIN, "--insecure", "a", "--flower", "spoken", "--cap", "1"), 2, "--cap"),
        ((*JOIN, "--insecure", "a", "--study", "s.toml", "--node-config", "a=1"), 2, "--flower"),
        ((*JOIN, "--insecure", "a", "--flower", "nowhere"), 3, "nowhere: no Flower app"),
        (
            (*JOIN, "--insecure", "a", "--flower", "spoken", "--node-config", "x"),
            3,
            "--node-config",
        ),
        ((*JOIN, "--flower", "spoken"), 3, "see `tacit certs`"),
    ],
)
@pytest.mark.usefixtures("app")
def test_what_cannot_be_done_is_one_line(
    tacit: Tacit, arguments: tuple[object, ...], code: int, said: str
) -> None:
    done = tacit(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert said in line


@pytest.mark.parametrize("command", [(*SERVE, "--client", "a"), (*JOIN, "--insecure", "a")])
def test_without_flower_one_line_says_what_to_install(
    command: tuple[str, ...], app: Path, without_flower: Callable[..., object]
) -> None:
    done = without_flower(*command, "--flower", app)
    assert isinstance(done, subprocess.CompletedProcess)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "error: Flower is not installed: pip install 'tacit[flower]'\n"


@pytest.fixture
def without_flower() -> Callable[..., subprocess.CompletedProcess[str]]:
    program = (
        "import sys; sys.modules['flwr'] = None; from tacit.cli.main import main; "
        "sys.argv = ['tacit', *sys.argv[1:]]; main()"
    )

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-c", program, *map(str, arguments)]
        return subprocess.run(words, capture_output=True, text=True, check=False, env=os.environ)

    return run
