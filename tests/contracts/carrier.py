"""What every carrier promises to Flower's Grid: a message ends in one reply, and nodes keep state.

The battery asks for a carrier over the nodes of the app in `flower_app/`, and speaks to them by a
`TacitGrid` as a ServerApp does. Its checks can be run in any order over one carrier.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.common.constant import ErrorCode
from flwr.serverapp.strategy import FedAvg
from flwr.supercore.run import Run
from tacit.flower.app import App, read_app
from tacit.flower.grid import Carrier, TacitGrid
from tacit.flower.hosting import new_run
from tacit.flower.progress import Batch

FOLDER = Path(__file__).parent / "flower_app"
NODES = 3
SIZE = 4000
Connect = Callable[[App, Run, int], AbstractContextManager[Carrier]]
"""A carrier for a run over so many nodes with partitions 0, 1, ..., each with the app."""


def check_carrier(connect: Connect) -> None:
    """Runs every check below over one connection to three nodes."""
    app = read_app(FOLDER)
    run = new_run(app)
    with connect(app, run, NODES) as carrier:
        grid = TacitGrid(carrier, run)
        for check in CHECKS:
            check(grid)


def every_node_knows_who_it_is(grid: TacitGrid) -> None:
    nodes = list(grid.get_node_ids())
    assert len(set(nodes)) == NODES
    assert all(1 < node < 2**64 for node in nodes)
    found = [numbers(reply) for reply in ask(grid, "query", RecordDict())]
    assert sorted(each["partition-id"] for each in found) == list(range(NODES))
    assert {each["num-partitions"] for each in found} == {NODES}
    assert {each["opened"] for each in found} == {1}, "the lifespan is open while the app runs"


def replies_say_what_they_answer(grid: TacitGrid) -> None:
    node = next(iter(grid.get_node_ids()))
    (reply,) = grid.send_and_receive([Message(weights(0.0), node, "train", group_id="seven")])
    about = reply.metadata
    assert (about.src_node_id, about.message_type, about.group_id) == (node, "train", "seven")
    assert about.run_id == grid.run.run_id
    assert about.message_id
    assert 0 < about.ttl <= 43_200


def arrays_come_and_go_unchanged(grid: TacitGrid) -> None:
    for reply in ask(grid, "train", weights(0.25)):
        arrays = reply.content.array_records["arrays"]
        np.testing.assert_array_equal(arrays["weights"].numpy(), np.full(SIZE, 1.25))
        assert arrays["small"].numpy().dtype == np.float16
        assert arrays["none"].numpy().shape == (0, 3)


def mods_are_called(grid: TacitGrid) -> None:
    (size, *_) = [record.count_bytes() for record in weights(0.0).values()]
    for reply in ask(grid, "train", weights(0.0)):
        assert numbers(reply, "mod")["bytes"] >= size


def a_node_remembers_what_it_did(grid: TacitGrid) -> None:
    before = [numbers(reply)["calls"] for reply in ask(grid, "train", weights(0.0))]
    after = [numbers(reply)["calls"] for reply in ask(grid, "train", weights(0.0))]
    assert after == [calls + 1 for calls in before]


def messages_of_a_node_are_handled_one_after_the_other(grid: TacitGrid) -> None:
    node = next(iter(grid.get_node_ids()))
    replies = list(grid.send_and_receive([Message(weights(0.0), node, "train") for _ in range(5)]))
    calls = [numbers(reply)["calls"] for reply in replies]
    assert calls == [calls[0] + later for later in range(5)]


def one_that_raises_is_an_error_and_its_context_is_as_before(grid: TacitGrid) -> None:
    before = [numbers(reply)["calls"] for reply in ask(grid, "train", weights(0.0))]
    for kind in ("train.fail", "train.meddle", "train.nothing", "train.unheard_of"):
        for reply in ask(grid, kind, weights(0.0)):
            assert reply.has_error()
            assert not reply.has_content()
            assert reply.error.code == ErrorCode.CLIENT_APP_RAISED_EXCEPTION
            assert reply.error.reason
    after = [numbers(reply)["calls"] for reply in ask(grid, "train", weights(0.0))]
    assert after == [calls + 1 for calls in before]


def one_that_raises_does_not_stop_the_others(grid: TacitGrid) -> None:
    first, *others = grid.get_node_ids()
    messages = [Message(weights(0.0), first, "train.fail")]
    messages += [Message(weights(0.0), node, "train") for node in others]
    assert [reply.has_error() for reply in grid.send_and_receive(messages)] == [True, False, False]


def what_a_client_does_to_its_message_reaches_nobody_else(grid: TacitGrid) -> None:
    sent = weights(0.5, value=7)
    assert sent.object_id  # for which Flower keeps more in an Array than its bytes
    for _ in range(2):
        found = [numbers(reply) for reply in ask(grid, "train.spoil", sent)]
        assert [(each["first"], each["value"]) for each in found] == [(0.5, 7)] * NODES
    assert sent == weights(0.5, value=7)


def a_message_is_what_it_was_when_it_was_pushed(grid: TacitGrid) -> None:
    sent, names = weights(0.0, value=0), list[str]()
    config = sent["config"]
    assert isinstance(config, ConfigRecord)
    for value, node in enumerate(grid.get_node_ids()):
        config["value"] = value
        sent["arrays"] = weights(float(value))["arrays"]
        names += grid.push_messages([Message(sent, node, "train.spoil")])
    found = [numbers(reply) for reply in pulled(grid, names)]
    assert [(each["first"], each["value"]) for each in found] == [(n, n) for n in range(NODES)]


def replies_come_in_the_order_of_their_messages(grid: TacitGrid) -> None:
    nodes = list(grid.get_node_ids())
    waits = [RecordDict({"config": ConfigRecord({"seconds": s})}) for s in (0.3, 0.0, 0.1)]
    messages = [Message(wait, node, "evaluate") for wait, node in zip(waits, nodes, strict=True)]
    replies = grid.send_and_receive(messages)
    assert [reply.metadata.src_node_id for reply in replies] == nodes


def a_reply_is_pulled_once_and_then_it_is_not_there(grid: TacitGrid) -> None:
    node = next(iter(grid.get_node_ids()))
    names = list(grid.push_messages([Message(weights(0.0), node, "train")]))
    (reply,) = pulled(grid, names)
    assert reply.has_content()
    (again,) = grid.pull_messages(names)
    assert again.error.code == ErrorCode.MESSAGE_UNAVAILABLE
    assert again.metadata.reply_to_message_id == names[0]


def one_that_is_late_is_left_out_and_can_be_pulled(grid: TacitGrid) -> None:
    slow, *others = grid.get_node_ids()
    wait = RecordDict({"config": ConfigRecord({"seconds": 1.0})})
    messages = [Message(wait, slow, "evaluate")]
    messages += [Message(weights(0.0), node, "train") for node in others]
    began = time.monotonic()
    replies = list(grid.send_and_receive(messages, timeout=0.5))
    assert time.monotonic() - began < 1.0
    assert [reply.metadata.src_node_id for reply in replies] == [
        node for node in others if node in {reply.metadata.src_node_id for reply in replies}
    ]
    (late,) = pulled(grid, [messages[0].metadata.message_id])
    assert late.metadata.src_node_id == slow
    assert late.has_content()


def a_time_to_live_ends(grid: TacitGrid) -> None:
    node = next(iter(grid.get_node_ids()))
    wait = RecordDict({"config": ConfigRecord({"seconds": 0.4})})
    messages = [Message(wait, node, "evaluate", ttl=0.2) for _ in range(2)]
    replies = list(grid.send_and_receive(messages))
    assert [reply.error.code for reply in replies] == [ErrorCode.MESSAGE_UNAVAILABLE] * 2
    assert [reply.metadata.reply_to_message_id for reply in replies] == [
        message.metadata.message_id for message in messages
    ]
    with pytest.raises(ValueError, match="Invalid message"):
        grid.push_messages([Message(wait, node, "evaluate", ttl=-1.0)])


def a_message_to_nobody_is_an_error(grid: TacitGrid) -> None:
    (reply,) = grid.send_and_receive([Message(weights(0.0), 12345, "train")])
    assert reply.error.code == ErrorCode.NODE_UNAVAILABLE


def the_same_message_can_be_pushed_again(grid: TacitGrid) -> None:
    node = next(iter(grid.get_node_ids()))
    message = Message(weights(0.0), node, "train")
    names = [*grid.push_messages([message]), *grid.push_messages([message])]
    assert len(set(names)) == 2
    assert [reply.metadata.reply_to_message_id for reply in pulled(grid, names)] == names


def progress_is_told_and_ends(grid: TacitGrid) -> None:
    seen: list[tuple[int, int, int, bool]] = []
    about: set[tuple[str, str]] = set()

    def watch(batch: Batch) -> None:
        seen.append((batch.messages, batch.replies, batch.errors, batch.done))
        about.add((batch.kind, batch.round))

    other = TacitGrid(grid.carrier, grid.run, watch)
    assert len(ask(other, "train.fail", weights(0.0, **{"server-round": 3}))) == NODES
    assert about == {("train.fail", "3")}
    assert seen[-1] == (NODES, NODES, NODES, True)
    assert sum(done for *_, done in seen) == 1
    assert all(errors <= replies <= messages for messages, replies, errors, _ in seen)


def a_strategy_of_flower_runs(grid: TacitGrid) -> None:
    arrays = weights(0.0).array_records["arrays"]
    strategy = FedAvg(fraction_evaluate=0.0, min_available_nodes=NODES)
    result = strategy.start(grid, arrays, num_rounds=2)
    np.testing.assert_array_equal(result.arrays["weights"].numpy(), np.full(SIZE, 2.0))
    assert set(result.train_metrics_clientapp) == {1, 2}


CHECKS: Sequence[Callable[[TacitGrid], None]] = (
    every_node_knows_who_it_is,
    replies_say_what_they_answer,
    arrays_come_and_go_unchanged,
    mods_are_called,
    a_node_remembers_what_it_did,
    messages_of_a_node_are_handled_one_after_the_other,
    one_that_raises_is_an_error_and_its_context_is_as_before,
    one_that_raises_does_not_stop_the_others,
    what_a_client_does_to_its_message_reaches_nobody_else,
    a_message_is_what_it_was_when_it_was_pushed,
    replies_come_in_the_order_of_their_messages,
    a_reply_is_pulled_once_and_then_it_is_not_there,
    one_that_is_late_is_left_out_and_can_be_pulled,
    a_time_to_live_ends,
    a_message_to_nobody_is_an_error,
    the_same_message_can_be_pushed_again,
    progress_is_told_and_ends,
    a_strategy_of_flower_runs,
)


def weights(value: float, /, **config: int) -> RecordDict:
    """Arrays large, small and without elements, and a config."""
    small = np.full(1, value, dtype=np.float16)
    arrays = {"weights": np.full(SIZE, value), "small": small, "none": np.zeros((0, 3))}
    record = ArrayRecord({name: Array(array) for name, array in arrays.items()})
    return RecordDict({"arrays": record, "config": ConfigRecord({**config})})


def ask(grid: TacitGrid, kind: str, content: RecordDict) -> list[Message]:
    """What every node replies to `content`, in the order of the nodes."""
    messages = [Message(content, node, kind) for node in grid.get_node_ids()]
    return list(grid.send_and_receive(messages))


def pulled(grid: TacitGrid, names: Iterable[str]) -> list[Message]:
    """The replies to all of `names`, in their order, as an app polls for them."""
    names, found = list(names), dict[str, Message]()
    until = time.monotonic() + 30
    while len(found) < len(names):
        assert time.monotonic() < until, "waited in vain for a reply"
        open_ = [name for name in names if name not in found]
        found |= {reply.metadata.reply_to_message_id: reply for reply in grid.pull_messages(open_)}
        time.sleep(0.01)
    return [found[name] for name in names]


def numbers(reply: Message, record: str = "metrics") -> dict[str, float]:
    """The metrics of a reply, which must not be an error."""
    assert reply.has_content(), reply
    found = reply.content[record]
    assert isinstance(found, MetricRecord | ConfigRecord)
    return {name: value for name, value in found.items() if isinstance(value, int | float)}
