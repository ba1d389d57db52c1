"""Every strategy of Flower comes to the same on tacit's Grid as where Flower runs it."""

from __future__ import annotations

import gc
import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flwr.serverapp.strategy
import pytest
from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity
from tacit.flower.app import App, read_app
from tacit.flower.grid import Reply, TacitGrid

APP = Path(__file__).parent / "every_strategy"
NODES = 7
AGREED = 1e-6


@dataclass
class Nodes:
    """Nodes in this process: each has a partition, and a context that it keeps."""

    app: ClientApp
    contexts: dict[int, Context]

    def answer(self, message: Message) -> Message:
        return self.app(message, self.contexts[message.metadata.dst_node_id])


def nodes_of(app: App) -> Nodes:
    contexts = {
        1000 - place: Context(
            run_id=1,
            node_id=1000 - place,
            node_config={"partition-id": place, "num-partitions": NODES},
            state=RecordDict(),
            run_config=app.run_config,
        )
        for place in range(NODES)
    }
    return Nodes(app=app.client_app(), contexts=contexts)


@dataclass
class Threads:
    """A carrier whose replies come from threads, in whatever order they are ready."""

    at: Nodes
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(3))

    def nodes(self) -> Sequence[int]:
        return list(self.at.contexts)

    def send(self, message: Message, reply: Reply) -> None:
        self.pool.submit(lambda: reply(self.at.answer(message)))


class Plain(Grid):
    """The least that a Grid can be: it calls the ClientApp, node by node."""

    def __init__(self, at: Nodes) -> None:
        self.at = at

    def set_run(self, run: Run) -> None:
        raise NotImplementedError

    @property
    def run(self) -> Run:
        raise NotImplementedError

    def create_message(self, *args: object, **kwargs: object) -> Message:
        raise NotImplementedError

    def get_node_ids(self) -> Iterable[int]:
        return list(self.at.contexts)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        raise NotImplementedError

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        raise NotImplementedError

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        return [self.at.answer(message) for message in messages]


def results_on(grid: Callable[[Nodes], Grid], folder: Path) -> dict[str, Any]:
    """What the app wrote, after it ran on a Grid over nodes that have just begun."""
    app = read_app(APP, [f"results='{folder / 'results.json'}'"])
    TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1
    context = Context(
        run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config=app.run_config
    )
    gc.freeze()  # some strategies collect garbage again and again, each time among all of torch
    try:
        app.server_app()(grid(nodes_of(app)), context)
    finally:
        gc.unfreeze()
    return dict(json.loads((folder / "results.json").read_text()))


def tacit_grid(at: Nodes) -> Grid:
    return TacitGrid(carrier=Threads(at), _run=Run.create_empty(run_id=1))


def distance(one: Any, other: Any) -> float:  # noqa: ANN401 - JSON
    """The largest difference between two trees of numbers, relative to the largest of each list."""
    match one, other:
        case dict(), dict():
            assert list(one) == list(other)
            return max((distance(one[name], other[name]) for name in one), default=0.0)
        case list(), list() if any(isinstance(entry, list) for entry in one):
            return max(distance(*pair) for pair in zip(one, other, strict=True))
        case list(), list():
            flat, straight = list(numbers(one)), list(numbers(other))
            assert len(flat) == len(straight)
            scale = max([abs(number) for number in straight], default=0.0) or 1.0
            return max((abs(a - b) for a, b in zip(flat, straight, strict=True)), default=0) / scale
        case _:
            return distance([one], [other])


def numbers(tree: Any) -> Iterator[float]:  # noqa: ANN401 - JSON
    if isinstance(tree, dict | list):
        for entry in tree.values() if isinstance(tree, dict) else tree:
            yield from numbers(entry)
    else:
        yield float(tree)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return results_on(tacit_grid, tmp_path_factory.mktemp("tacit"))


def test_none_of_flowers_strategies_is_missing(ours: dict[str, Any]) -> None:
    assert set(ours) == set(flwr.serverapp.strategy.__all__) - {"Result", "Strategy"}


def test_every_strategy_trains_for_three_rounds(ours: dict[str, Any]) -> None:
    for name, found in ours.items():
        assert list(found["train"]) == list(found["evaluate"]) == ["1", "2", "3"], name
        values = list(numbers(found["arrays"]))
        assert values, name
        assert all(math.isfinite(value) for value in values), name


def test_clients_keep_their_context_from_message_to_message(ours: dict[str, Any]) -> None:
    """Each was asked three times by each strategy before, of which FedXgbCyclic asks one a round."""
    asked = [found["train"]["3"]["trained"] for found in ours.values()]
    assert asked[:4] == pytest.approx([3, 6, 9, 12])


def test_every_strategy_equals_a_plain_call_of_the_clients(
    ours: dict[str, Any], tmp_path: Path
) -> None:
    for name, found in results_on(Plain, tmp_path).items():
        assert distance(ours[name], found) <= AGREED, name


ENGINES = pytest.mark.skipif(
    not os.environ.get("TACIT_FLOWER_ENGINES"),
    reason="starts Flower's own engine; set TACIT_FLOWER_ENGINES=1",
)


@ENGINES
def test_every_strategy_equals_flowers_own_simulation(ours: dict[str, Any], tmp_path: Path) -> None:
    """`flwr run` on Ray, where replies come in any order."""
    theirs = flower_simulation(tmp_path)
    assert set(theirs) == set(ours)
    for name, found in theirs.items():
        apart = distance(ours[name], found)
        print(f"{name}: {apart:.1e}")  # noqa: T201 - `pytest -rP` shows how far apart they are
        assert apart <= AGREED, name


def flower_simulation(folder: Path) -> dict[str, Any]:
    """The results of `flwr run`, on a SuperLink of its own that is stopped afterwards."""
    port, results = free_port(), folder / "results.json"
    (folder / "config.toml").write_text(
        '[superlink]\ndefault = "here"\n[superlink.here]\ninsecure = true\n'
        f'address = "127.0.0.1:{port}"\n'
    )
    bin = str(Path(sys.executable).parent)
    env = {
        **os.environ,
        "PATH": f"{bin}:{os.environ['PATH']}",
        "FLWR_HOME": str(folder),
        "FLWR_TELEMETRY_ENABLED": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    link = [f"{bin}/flower-superlink", "--insecure", "--simulation", "--isolation", "subprocess"]
    with (folder / "superlink.log").open("w") as log:
        process = subprocess.Popen(
            [*link, "--host", "127.0.0.1", "--port", str(port)],
            env=env,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_for(port, process)
        overrides = ["--run-config", f"results='{results}'"]
        nodes = ["--federation-config", f"num-supernodes={NODES}"]
        command = [f"{bin}/flwr", "run", str(APP), "here", "--stream", *overrides, *nodes]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return dict(json.loads(results.read_text()))
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def answers(port: int) -> bool:
    with socket.socket() as found:
        return found.connect_ex(("127.0.0.1", port)) == 0


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while not answers(port):
        assert process.poll() is None, "the SuperLink ended"
        assert time.monotonic() < until, "the SuperLink does not answer"
        time.sleep(0.2)
