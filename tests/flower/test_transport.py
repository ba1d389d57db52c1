"""tacit's transport over a Grid keeps the contract of a transport, whatever nodes do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from contracts.learning import clients
from contracts.nodes import Handle, grid_of
from contracts.transport import Scene, check_transport
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Error, Message, RecordDict
from flwr.common.constant import ErrorCode
from tacit.client.outbox import blob_of
from tacit.flower.letters import Study, attempt, read_letter, reply
from tacit.flower.transport import Anywhere, OverGrid
from tacit.privacy import Mean
from tacit.server import Admission
from tacit.server.remote import Patience
from tacit.strategies import FedAvg
from tacit.wire import Arrays, Fold, Instruction, Purpose, Refusal, Transport
from tacit.wire import federation_pb2 as pb
from tacit.wire.arrays import encode

STUDY = Study(config="", run="r")


@contextmanager
def connect(scene: Scene) -> Iterator[Transport]:
    own = clients(
        scene.data, scene.task, scene.strategy, scene.mechanism, scene.folder, scene.rounds
    )

    def handle(message: Message, context: Context) -> Message:
        letter = read_letter(message.content)
        return reply(message, *attempt(own[letter.client], letter))

    with grid_of(handle, {node: {} for node in (7, 8, 9)}) as (grid, _):
        yield OverGrid(
            grid=grid,
            admission=Admission(strategy=scene.strategy, mechanism=scene.mechanism),
            patience=Patience(),
            study=STUDY,
            seats=Anywhere(grid, list(scene.data)),
        )


def test_the_transport_over_a_grid_keeps_the_contract(tmp_path: Path) -> None:
    check_transport(connect, tmp_path)


ANN, BOB = "ann", "bob"
ASKED = Instruction(round=1, purpose=Purpose.EVALUATE, seed=0, parameters={}, run="r")


def gathered(handle: Handle, patience: Patience | None = None) -> Fold:
    """What an evaluation brings of two clients, each at a node."""
    with grid_of(handle, {1: {}, 2: {}}) as (grid, _):
        transport = OverGrid(
            grid=grid,
            admission=Admission(strategy=FedAvg(), mechanism=Mean()),
            patience=patience or Patience(),
            study=STUDY,
            seats=Anywhere(grid, [ANN, BOB]),
        )
        return transport.gather(ASKED, [ANN, BOB])


def counted(message: Message, data: bytes = b"", announced: Arrays | None = None) -> Message:
    """An answer that counts rows, with a contribution that none was asked for."""
    update = pb.Update(round=1, examples=3, contribution=blob_of(announced or {})[0])
    return reply(message, pb.Answer(update=update), data)


def is_for_ann(message: Message) -> bool:
    return read_letter(message.content).client == ANN


def test_who_does_not_answer_within_the_deadline_has_failed() -> None:
    fold = gathered(lambda message, context: None, Patience(deadline=0.1))
    assert [failure.client for failure in fold.failures] == [ANN, BOB]
    assert all(failure.error.startswith("Late: no answer") for failure in fold.failures)


def test_a_round_closes_as_soon_as_enough_were_let_in() -> None:
    def handle(message: Message, context: Context) -> Message | None:
        return counted(message) if is_for_ann(message) else None

    fold = gathered(handle, Patience(enough=1))
    assert [receipt.client for receipt in fold.receipts] == [ANN]
    assert fold.refusals == [Refusal(client=BOB, reason="late: the round closed with 1 answers")]


def test_what_flower_says_of_a_client_is_a_failure_with_its_reason() -> None:
    def handle(message: Message, context: Context) -> Message:
        if is_for_ann(message):
            return counted(message)
        raise LookupError("these rows are mined")

    fold = gathered(handle)
    (failure,) = fold.failures
    assert failure.client == BOB
    assert failure.error.startswith("CLIENT_APP_RAISED_EXCEPTION")
    assert "these rows are mined" in failure.traceback


def test_a_message_that_flower_lost_is_sent_again() -> None:
    lost = list[str]()

    def handle(message: Message, context: Context) -> Message:
        if is_for_ann(message) and len(lost) < 3:
            lost.append(ANN)
            return Message(Error(ErrorCode.MESSAGE_UNAVAILABLE, "gone"), reply_to=message)
        return counted(message)

    fold = gathered(handle)
    assert [receipt.client for receipt in fold.receipts] == [ANN, BOB]
    assert (len(lost), fold.failures) == (3, [])


def test_a_node_that_is_gone_is_asked_less_and_less_often() -> None:
    asked = list[str]()

    def handle(message: Message, context: Context) -> Message:
        asked.append(read_letter(message.content).client)
        return Message(Error(ErrorCode.NODE_UNAVAILABLE, "gone"), reply_to=message)

    fold = gathered(handle, Patience(deadline=1.0))
    assert [failure.client for failure in fold.failures] == [ANN, BOB]
    assert 2 < len(asked) < 50


HOSTILE: Mapping[str, tuple[Callable[[Message], Message], str]] = {
    "no answer at all": (lambda m: Message(RecordDict(), reply_to=m), "malformed: No answer"),
    "no protobuf": (
        lambda m: Message(
            RecordDict(
                {
                    "answer": ConfigRecord({"answer": b"\xff"}),
                    "contribution": ArrayRecord(
                        {"bytes": Array("uint8", (0,), "safetensors", b"")}
                    ),
                }
            ),
            reply_to=m,
        ),
        "malformed: No answer",
    ),
    "an empty answer": (lambda m: reply(m, pb.Answer(), b""), "malformed: an empty answer"),
    "more than was announced": (lambda m: counted(m, b"more"), "malformed: other bytes"),
    "what nobody asked for": (
        lambda m: counted(m, encode({"x": np.ones(9)}), {"x": np.ones(9)}),
        "malformed: 136 bytes, where a contribution has at most 0",
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_is_no_answer_is_refused_and_the_other_one_counts(kind: str) -> None:
    hostile, reason = HOSTILE[kind]
    fold = gathered(lambda m, context: counted(m) if is_for_ann(m) else hostile(m))
    assert [receipt.client for receipt in fold.receipts] == [ANN]
    (refusal,) = fold.refusals
    assert (refusal.client, refusal.reason.startswith(reason)) == (BOB, True), refusal.reason
