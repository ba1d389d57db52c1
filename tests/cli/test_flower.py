"""`tacit run --flower` runs an app of Flower, and says how it ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from contracts.apps import write_app
from contracts.processes import Shell, Tacit

APP = """
    import time
    from flwr.app import ConfigRecord, Message, MetricRecord, RecordDict
    from flwr.clientapp import ClientApp
    from flwr.serverapp import ServerApp

    client, server = ClientApp(), ServerApp()

    @client.query()
    def query(message, context):
        print("a client speaks", flush=True)
        if context.run_config["sleep"]:
            time.sleep(60)
        if context.node_config["partition-id"] < context.run_config["failing"]:
            raise LookupError("no rows here")
        return Message(RecordDict({"m": MetricRecord({"n": 1})}), reply_to=message)

    @server.main()
    def main(grid, context):
        for number in (1, 2):
            print("round", number, flush=True)
            about = RecordDict({"config": ConfigRecord({"server-round": number})})
            messages = [Message(about, node, "query") for node in grid.get_node_ids()]
            replies = list(grid.send_and_receive(messages))
        if context.run_config["raise"]:
            raise ZeroDivisionError("the server divides")
"""
CONFIG = """
failing = 0
sleep = false
raise = false
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return write_app(tmp_path, "spoken", APP, CONFIG)


def test_an_app_runs_and_the_last_line_counts_what_there_was(tacit: Tacit, app: Path) -> None:
    done = tacit("run", "--flower", app, "--nodes", 3, "--workers", 0)
    assert done.returncode == 0, done.stderr
    *said, last = done.stdout.splitlines()
    assert said.count("round 1") == said.count("round 2") == 1
    assert said.count("a client speaks") == 6
    assert last.startswith("spoken 1.0.0: 2 rounds with 3 nodes, 6 messages, 6 replies, 0 errors")


def test_json_is_one_object_a_batch_and_what_the_app_prints_is_on_stderr(
    tacit: Tacit, app: Path
) -> None:
    done = tacit("run", "--flower", app, "--format", "json", "--workers", 1)
    assert done.returncode == 0, done.stderr
    *batches, result = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["event"] for each in batches] == ["batch", "batch"]
    assert [(each["kind"], each["round"]) for each in batches] == [("query", "1"), ("query", "2")]
    assert {(each["messages"], each["replies"], each["errors"]) for each in batches} == {(2, 2, 0)}
    assert (result["event"], result["nodes"], result["workers"]) == ("result", 2, 1)
    assert (result["rounds"], result["messages"]) == (2, 4)
    assert result["sent"] == sum(each["sent"] for each in batches) > 0
    assert done.stderr.count("a client speaks") == 4
    assert done.stderr.count("round 1") == 1


def test_clients_that_raise_are_shown_once_and_counted(tacit: Tacit, app: Path) -> None:
    change = ("--run-config", "failing=2", "--workers", 0)
    done = tacit("run", "--flower", app, "--nodes", 3, *change, "--quiet")
    assert done.returncode == 0
    assert "2 errors" not in done.stdout
    assert "6 replies, 4 errors" in done.stdout
    assert done.stderr.count("LookupError: no rows here") == 1
    assert 'raise LookupError("no rows here")' in done.stderr
    assert "client 0, query, round 1:" in done.stderr
    done = tacit("run", "--flower", app, *change, "--format", "json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    raised = [each for each in events if each["event"] == "client_raised"]
    assert [(each["client"], each["round"]) for each in raised] == [
        (0, "1"),
        (1, "1"),
        (0, "2"),
        (1, "2"),
    ]


def test_a_server_app_that_raises_is_shown_with_its_traceback(tacit: Tacit, app: Path) -> None:
    done = tacit("run", "--flower", app, "--run-config", "raise=true", "--workers", 0, "--quiet")
    assert done.returncode == 3
    assert 'raise ZeroDivisionError("the server divides")' in done.stderr
    assert done.stderr.splitlines()[-1] == (
        "error: spoken: the ServerApp raised ZeroDivisionError: the server divides"
    )


def test_ctrl_c_ends_the_command_at_once(shell: Shell, app: Path) -> None:
    under_way = shell.start("run", "--flower", app, "--run-config", "sleep=true", "--workers", 1)
    under_way.says("a client speaks")
    under_way.send_to_all(signal.SIGINT)
    done = under_way.end()
    assert done.returncode == 130
    assert done.stderr.splitlines()[-1] == "error: interrupted."
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--flower", "nowhere"), 3, "nowhere: no Flower app"),
        (("--flower", "spoken", "--run-config", "speed=3"), 3, "speed"),
        (("--flower", "spoken", "--run-config", "failing"), 3, "--run-config"),
        (("--flower", "spoken", "--nodes", 0), 2, "--nodes"),
        (("--flower", "spoken", "config.toml"), 2, "--flower goes without CONFIG"),
        (("--flower", "spoken", "--set", "a=1"), 2, "--flower goes without CONFIG"),
        (("--flower", "spoken", "--resume", "run"), 2, "--flower goes without CONFIG"),
        (("--flower", "spoken", "--out", "run"), 2, "--flower goes without CONFIG"),
        (("config.toml", "--nodes", 2), 2, "go with --flower"),
        (("config.toml", "--run-config", "a=1"), 2, "go with --flower"),
    ],
)
@pytest.mark.usefixtures("app")
def test_what_cannot_be_run_is_one_line(
    tacit: Tacit, arguments: tuple[object, ...], code: int, said: str
) -> None:
    done = tacit("run", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert said in line


def test_without_flower_one_line_says_what_to_install_and_all_else_works(app: Path) -> None:
    program = (
        "import sys; sys.modules['flwr'] = None; from tacit.cli.main import main; "
        "sys.argv = ['tacit', *sys.argv[1:]]; main()"
    )

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-c", program, *map(str, arguments)]
        return subprocess.run(words, capture_output=True, text=True, check=False, env=os.environ)

    done = run("run", "--flower", app)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "error: Flower is not installed: pip install 'tacit[flower]'\n"
    assert run("run", "--help").returncode == 0
