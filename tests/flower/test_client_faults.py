"""Connections and processes break: each message is answered all the same, and trained for once."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import pytest
from contracts.certificates import make_authority
from contracts.flower_network import Line, Place, coordinator, lone_site
from contracts.processes import eventually
from contracts.proxy import Link
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.common.constant import SUPERLINK_NODE_ID, ErrorCode
from flwr.supercore.task_identity import TaskIdentity
from tacit.flower.app import App, read_app
from tacit.flower.clients import Clients, node_of
from tacit.flower.grid import TacitGrid
from tacit.flower.hosting import new_run
from tacit.wire.errors import Refused

pytestmark = pytest.mark.filterwarnings(  # Flower's own, when it lists an app's files
    "ignore:GitWildMatchPattern:DeprecationWarning"
)
FOLDER = Path(__file__).parents[1] / "contracts" / "flower_app"
LARGE = 20 << 20
CONTEXT = get_context("forkserver")
Replies = SimpleQueue[Message | Exception]


@pytest.fixture(scope="module")
def app() -> App:
    return read_app(FOLDER)


@pytest.fixture(autouse=True)
def server_app() -> None:
    """This process is one in which a ServerApp could be."""
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, SUPERLINK_NODE_ID, 1


@pytest.fixture
def place(app: App, tmp_path: Path) -> Place:
    return Place(app=app, folder=tmp_path)


def weights(size: int = 8, value: float = 0.0) -> RecordDict:
    arrays = {"weights": Array(np.full(size // 8, value))}
    return RecordDict({"arrays": ArrayRecord(arrays)})


def waiting(seconds: float) -> RecordDict:
    return RecordDict({"config": ConfigRecord({"seconds": seconds})})


def ask(
    carrier: Clients, client: str, content: RecordDict, kind: str = "train", ttl: float = 60.0
) -> Replies:
    """Sends it; where the reply will be."""
    message = Message(content, node_of(client), kind, ttl=ttl, group_id="3")
    message.metadata.__dict__["_message_id"] = os.urandom(8).hex()
    replies: Replies = SimpleQueue()
    carrier.send(message, replies.put)
    return replies


def calls(replies: Replies) -> int:
    """The number of the call that this is the reply to."""
    reply = replies.get(timeout=60)
    assert isinstance(reply, Message), reply
    assert reply.has_content(), reply.error
    return int(reply.content.metric_records["metrics"]["calls"])  # type: ignore[arg-type]


def present(carrier: Clients, count: int = 1) -> Callable[[], bool]:
    return lambda: len(carrier.nodes()) == count


def test_a_client_killed_before_its_reply_left_hands_it_in_when_it_is_back(place: Place) -> None:
    place.linger = 0.1  # the line is gone before the run is over
    with coordinator(place, new_run(place.app), ["oslo"], []) as carrier:
        line = Line(place.port)
        with line.open() as port:
            site = place.folder / "site"
            given = (FOLDER, site, "oslo", port)
            first = CONTEXT.Process(target=lone_site, args=given, daemon=True)
            first.start()
            eventually(present(carrier), lambda: "the client")
            assert calls(ask(carrier, "oslo", weights())) == 1
            before = answered(site)
            replies = ask(carrier, "oslo", waiting(0.3), "evaluate")
            eventually(lambda: news(site).count("asked") == 2, lambda: f"{news(site)}")
            line.block()
            eventually(lambda: answered(site) != before, lambda: "the reply on disk")
            os.kill(first.pid or 0, signal.SIGKILL)
            first.join()
            assert replies.empty()
            line.reset()  # what left and did not arrive is lost
            line.unblock()
            again = CONTEXT.Process(target=lone_site, args=given, daemon=True)
            again.start()
            assert calls(replies) == 2
            assert calls(ask(carrier, "oslo", weights())) == 3
        assert (news(site).count("asked"), news(site).count("kept")) == (3, 1)
        again.kill()
        again.join()


def news(site: Path) -> Sequence[str]:
    path = site / "news"
    return path.read_text().split() if path.exists() else []


def answered(site: Path) -> bytes:
    """The line that says which letter was answered last."""
    return (site / "oslo" / "flower" / "answered").read_bytes().partition(b"\n")[0]


def test_a_connection_lost_within_a_large_message_costs_no_training(place: Place) -> None:
    place.linger = 0.1  # the line is gone before the run is over
    with coordinator(place, new_run(place.app), ["oslo"], []) as carrier:
        line = Line(place.port)
        line.proxy.pace = 0.0
        with line.open() as port:
            place.join("oslo", port)
            eventually(present(carrier), lambda: "the client")
            size = LARGE // 10
            on_the_way_there, on_the_way_back = size // 2, size + size // 2
            for number, bytes_before in enumerate([on_the_way_there, on_the_way_back], 1):
                cut_after(bytes_before, line)
                assert calls(ask(carrier, "oslo", weights(size, 0.5))) == number
                assert not line.proxy.armed
                assert len(place.told("lost")) == number
            assert (len(place.told("asked")), len(place.told("kept"))) == (2, 1)


def cut_after(size: int, line: Line) -> None:
    """Ends the connection once so many bytes have passed, whichever way."""

    def count(data: bytes, link: Link) -> bytes:
        nonlocal size
        size -= len(data)
        if size < 0:
            link.reset(0, 1)
            return b""
        line.proxy.armed.append(count)
        return data

    line.proxy.armed.append(count)


def test_large_arrays_come_and_go_over_tls(app: App, tmp_path: Path) -> None:
    certs = make_authority(tmp_path / "certs", "oslo", "bergen").folder
    place = Place(app=app, folder=tmp_path, certs=certs)
    run = new_run(app)
    with coordinator(place, run, ["oslo", "bergen"]) as carrier:
        grid = TacitGrid(carrier, run)
        eventually(present(carrier, 2), lambda: "the clients")
        messages = [Message(weights(LARGE, 0.5), node, "train") for node in carrier.nodes()]
        for reply in grid.send_and_receive(messages):
            found = reply.content.array_records["arrays"]["weights"].numpy()
            np.testing.assert_array_equal(found, np.full(LARGE // 8, 1.5))


def test_a_message_waits_for_a_client_who_is_away_until_its_time_is_over(place: Place) -> None:
    with coordinator(place, new_run(place.app), ["oslo", "bergen"], []) as carrier:
        for_later, too_short = (
            ask(carrier, "oslo", weights()),
            ask(carrier, "bergen", weights(), ttl=0.1),
        )
        reply = too_short.get(timeout=20)
        assert isinstance(reply, Message)
        assert reply.error.code == ErrorCode.MESSAGE_UNAVAILABLE
        assert reply.metadata.group_id == "3"
        place.join("oslo")
        place.join("bergen")
        assert calls(for_later) == 1
        assert calls(ask(carrier, "bergen", weights())) == 1, "what is over is not trained for"


def test_one_whose_time_ends_while_it_is_answered_does_not_hold_up_the_next(place: Place) -> None:
    with coordinator(place, new_run(place.app), ["oslo"]) as carrier:
        eventually(present(carrier), lambda: "the client")
        slow = ask(carrier, "oslo", waiting(0.4), "evaluate", ttl=0.2)
        after = ask(carrier, "oslo", weights())
        reply = slow.get(timeout=20)
        assert isinstance(reply, Message)
        assert reply.error.code == ErrorCode.MESSAGE_UNAVAILABLE
        assert calls(after) == 2, "the late one was answered too, and its context is kept"
        assert slow.empty()


def test_state_outlives_a_restart_and_not_the_run(place: Place) -> None:
    run = new_run(place.app)
    for expected in (1, 2):
        with coordinator(place, run, ["oslo"]) as carrier:
            assert calls(ask(carrier, "oslo", weights())) == expected
        place.over.clear()
    with coordinator(place, new_run(place.app), ["oslo"]) as carrier:
        assert calls(ask(carrier, "oslo", weights())) == 1


class Broken(Exception):
    """What a ServerApp raised."""


def test_clients_wait_for_the_next_coordinator_when_one_broke_off(place: Place) -> None:
    with (
        suppress(Broken),
        coordinator(place, new_run(place.app), ["oslo"], another=True) as carrier,
    ):
        eventually(present(carrier), lambda: "the client")
        raise Broken
    assert not place.ended
    with coordinator(place, new_run(place.app), ["oslo"], []) as carrier:
        assert calls(ask(carrier, "oslo", weights())) == 1
    assert place.ended == {"oslo": "the run is complete"}


def test_an_app_that_raises_says_what_kind_and_where_and_quotes_nothing(place: Place) -> None:
    with coordinator(place, new_run(place.app), ["oslo"]) as carrier:
        replies = ask(carrier, "oslo", weights(), "train.unheard_of")
        reply = replies.get(timeout=20)
        assert isinstance(reply, Message)
        assert reply.error.code == ErrorCode.CLIENT_APP_RAISED_EXCEPTION
        reason = reply.error.reason or ""
        assert reason.startswith("ValueError (see the client's log)\n")
        assert 'client_app.py", line' in reason
        assert "unheard_of" not in reason, "the message may quote rows"
        (raised,) = place.raised
        assert (raised.client, raised.kind, raised.round) == ("oslo", "train.unheard_of", "3")
        assert raised.error == "ValueError (see the client's log)"
        assert "unheard_of" not in raised.traceback


@pytest.fixture
def other(app: App, tmp_path: Path) -> App:
    """The same app, but for a comment."""
    folder = tmp_path / "other"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    with (folder / "carried" / "app.py").open("a") as file:
        file.write("# mine\n")
    return replace(app, folder=folder)


def test_another_app_and_another_client_are_refused_for_good(place: Place, other: App) -> None:
    with coordinator(place, new_run(place.app), ["oslo"], []) as carrier:
        stranger = Place(app=other, folder=place.folder / "other", port=place.port)
        stranger.join("oslo")
        place.join("bergen")
        for thread in (*stranger.threads, *place.threads):
            thread.join(20)
        assert not carrier.nodes()
    for found, why in (
        (stranger.ended["oslo"], "copy of the app"),
        (place.ended["bergen"], "list"),
    ):
        assert isinstance(found, Refused)
        assert why in str(found)
        assert "\n" not in str(found)
