"""Simulated nodes keep the contract of a carrier; a lost worker and a broken app end the run."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from contracts.apps import write_app
from contracts.carrier import FOLDER, check_carrier, weights
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.common.constant import ErrorCode
from flwr.supercore.run import Run
from tacit.flower.app import App, read_app
from tacit.flower.grid import TacitGrid
from tacit.flower.hosting import new_run
from tacit.flower.nodes import Nodes, Raised, contexts
from tacit.flower.progress import Batch, Watch
from tacit.flower.workers import simulated
from tacit.wire.errors import AppError, WorkerLost


@contextmanager
def in_workers(app: App, run: Run, nodes: int) -> Iterator[Nodes]:
    with simulated(app, contexts(run.run_id, nodes, app.run_config), 2) as found:
        yield found


@contextmanager
def in_process(app: App, run: Run, nodes: int) -> Iterator[Nodes]:
    with simulated(app, contexts(run.run_id, nodes, app.run_config), 0) as found:
        yield found


def test_nodes_in_worker_processes_keep_the_contract_of_a_carrier() -> None:
    check_carrier(in_workers)
    assert not multiprocessing.active_children()


def test_nodes_in_this_process_keep_the_contract_of_a_carrier() -> None:
    check_carrier(in_process)


def test_what_many_messages_share_goes_to_each_worker_once() -> None:
    app = read_app(FOLDER)
    run = new_run(app)
    large = ArrayRecord({"weights": Array(np.zeros(2**17)), "small": Array(np.zeros(1))})  # 1 MiB
    wait = ConfigRecord({"seconds": 0.01})
    with in_workers(app, run, 20) as nodes:
        grid = TacitGrid(nodes, run)
        for _ in range(2):  # the second time, the workers have forgotten nothing that is the same
            content = RecordDict({"arrays": large, "config": wait})
            before = written()
            replies = grid.send_and_receive(
                [Message(content, node, "evaluate") for node in nodes.nodes()]
            )
            assert [reply.has_content() for reply in replies] == [True] * 20
            assert written() - before < 2.5 * 2**20, "20 messages of 1 MiB to 2 workers"


def written() -> int:
    """Bytes that this process has written to files and pipes."""
    for line in Path("/proc/self/io").read_text().splitlines():
        if line.startswith("wchar:"):
            return int(line.split()[1])
    raise AssertionError("no wchar")


def test_a_killed_worker_ends_the_run_with_a_line_that_says_so() -> None:
    with pytest.raises(WorkerLost, match=r"was killed by SIGKILL.*fewer workers"):
        lose_a_worker(read_app(FOLDER))
    assert not multiprocessing.active_children()


def lose_a_worker(app: App) -> None:
    """The app gets no further, even if it goes on all the same."""
    run = new_run(app)
    with in_workers(app, run, 4) as nodes:
        grid = TacitGrid(nodes, run)
        first, *others = nodes.nodes()
        messages = [Message(weights(0.0), first, "train.die")]
        messages += [Message(weights(0.0), node, "train") for node in others]
        with pytest.raises(WorkerLost):
            grid.send_and_receive(messages)
        with pytest.raises(WorkerLost):
            grid.push_messages([Message(weights(0.0), first, "train")])


def test_nobody_waits_for_a_client_that_is_still_at_work() -> None:
    app = read_app(FOLDER)
    run = new_run(app)
    wait = RecordDict({"config": ConfigRecord({"seconds": 60.0})})
    with in_workers(app, run, 1) as nodes:
        began = time.monotonic()
        message = Message(wait, nodes.nodes()[0], "evaluate")
        assert TacitGrid(nodes, run).send_and_receive([message], timeout=0.1) == []
    assert time.monotonic() - began < 30.0


@pytest.mark.parametrize("workers", [0, 2])
def test_an_app_that_cannot_be_loaded_says_why_before_the_run(tmp_path: Path, workers: int) -> None:
    name = f"app_that_cannot_be_loaded_{workers}"
    app = read_app(write_app(tmp_path, name, "colour = {}['blue']"))
    with pytest.raises(AppError, match=r"cannot be imported: KeyError: 'blue'") as caught:
        simulated(app, contexts(1, 2, {}), workers).__enter__()
    assert "colour = {}['blue']" in caught.value.traceback
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("workers", [0, 1])
def test_what_cannot_be_kept_of_a_node_is_an_error_of_its_app(tmp_path: Path, workers: int) -> None:
    code = """
        from flwr.app import Message, RecordDict
        from flwr.clientapp import ClientApp

        client = ClientApp()

        @client.query()
        def query(message, context):
            context.opened = lambda: None
            return Message(RecordDict(), reply_to=message)
    """
    app = read_app(write_app(tmp_path, f"app_that_keeps_a_function_{workers}", code))
    run = new_run(app)
    with simulated(app, contexts(run.run_id, 1, app.run_config), workers) as nodes:
        message = Message(RecordDict(), nodes.nodes()[0], "query")
        (reply,) = TacitGrid(nodes, run).send_and_receive([message], timeout=30.0)
    assert reply.error.code == ErrorCode.CLIENT_APP_RAISED_EXCEPTION
    assert "pickle" in str(reply.error.reason)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_app_that_exits_ends_neither_its_worker_nor_the_run(
    tmp_path: Path, workers: int
) -> None:
    code = """
        from flwr.clientapp import ClientApp

        client = ClientApp()

        @client.query()
        def query(message, context):
            raise SystemExit(3)
    """
    app = read_app(write_app(tmp_path, f"app_that_exits_{workers}", code))
    run = new_run(app)
    with simulated(app, contexts(run.run_id, 1, app.run_config), workers) as nodes:
        for _ in range(2):
            message = Message(RecordDict(), nodes.nodes()[0], "query")
            (reply,) = TacitGrid(nodes, run).send_and_receive([message], timeout=30.0)
            assert reply.error.code == ErrorCode.CLIENT_APP_RAISED_EXCEPTION
            assert "SystemExit: 3" in str(reply.error.reason)


def test_a_run_that_cannot_be_shown_ends_and_nobody_waits() -> None:
    """Where its lines go is closed, say."""
    app = read_app(FOLDER)
    run = new_run(app)

    def shut(told: Batch | Raised) -> None:
        raise BrokenPipeError("nobody reads this")

    def ask(nodes: Nodes, kind: str, watch: Watch) -> None:
        message = Message(weights(0.0), nodes.nodes()[0], kind)
        TacitGrid(nodes, run, watch).send_and_receive([message], timeout=30.0)

    with pytest.raises(BrokenPipeError), in_process(app, run, 1) as nodes:
        ask(nodes, "train", shut)
    with (
        pytest.raises(BrokenPipeError),
        simulated(app, contexts(run.run_id, 1, app.run_config), 0, shut) as nodes,
    ):
        ask(nodes, "train.fail", lambda batch: None)


def test_whoever_raised_is_told_with_the_traceback_of_the_app() -> None:
    app = read_app(FOLDER)
    run = new_run(app)
    told: list[Raised] = []
    with simulated(app, contexts(run.run_id, 2, app.run_config), 0, told.append) as nodes:
        second = nodes.nodes()[1]
        message = Message(weights(0.0, **{"server-round": 4}), second, "train.fail")
        TacitGrid(nodes, run).send_and_receive([message])
    (one,) = told
    assert (one.client, one.node, one.kind, one.round) == (1, second, "train.fail", "4")
    assert one.error == "LookupError: this client has no data"
    assert 'raise LookupError("this client has no data")' in one.traceback
