"""Whoever waits for replies waits for those that can come, and no longer."""

from __future__ import annotations

import time
from dataclasses import dataclass
from threading import Timer

from contracts.carrier import weights
from flwr.app import Message
from flwr.common.constant import ErrorCode
from flwr.supercore.run import Run
from tacit.flower.grid import Reply, TacitGrid

SILENT = 3


@dataclass
class Slow:
    """Its nodes answer with what they were sent after `seconds`; one of them never does."""

    seconds: float

    def nodes(self) -> list[int]:
        return [2, SILENT, 4]

    def send(self, message: Message, reply: Reply) -> None:
        if message.metadata.dst_node_id != SILENT:
            answer = Message(message.content, reply_to=message)
            Timer(self.seconds, reply, [answer]).start()


def test_one_that_never_answers_keeps_back_no_reply_of_the_others() -> None:
    for position in range(3):
        grid = TacitGrid(Slow(0.3), Run.create_empty(run_id=1))
        order = [2, 4]
        order.insert(position, SILENT)
        messages = [
            Message(weights(1.0), node, "train", ttl=0.1 if node == SILENT else 60.0)
            for node in order
        ]
        began = time.monotonic()
        replies = list(grid.send_and_receive(messages))
        assert 0.3 <= time.monotonic() - began < 30.0
        codes = [reply.error.code if reply.has_error() else None for reply in replies]
        assert codes == [
            ErrorCode.MESSAGE_UNAVAILABLE if node == SILENT else None for node in order
        ]


def test_a_reply_that_came_in_time_is_not_lost_with_one_that_did_not() -> None:
    for order in ([2, 4, SILENT], [SILENT, 2, 4]):
        grid = TacitGrid(Slow(0.1), Run.create_empty(run_id=1))
        messages = [Message(weights(1.0), node, "train", ttl=1.0) for node in order]
        replies = list(grid.send_and_receive(messages))
        assert [reply.has_error() for reply in replies] == [node == SILENT for node in order]


def test_a_reply_that_came_too_late_is_an_error_though_it_came() -> None:
    grid = TacitGrid(Slow(0.3), Run.create_empty(run_id=1))
    names = list(grid.push_messages([Message(weights(1.0), 2, "train", ttl=0.1)]))
    time.sleep(0.6)
    (reply,) = grid.pull_messages(names)
    assert reply.error.code == ErrorCode.MESSAGE_UNAVAILABLE


def test_no_two_messages_have_one_name_whatever_grid_they_are_on() -> None:
    names = []
    for _ in range(2):
        grid = TacitGrid(Slow(0.0), Run.create_empty(run_id=1))
        messages = [Message(weights(1.0), node, "train") for node in [2, 4] * 50]
        replies = grid.send_and_receive(messages)
        names += [message.metadata.message_id for message in messages]
        names += [reply.metadata.message_id for reply in replies]
    assert len(names) == len(set(names)) == 400
