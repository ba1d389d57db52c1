"""A client on the list that speaks nonsense loses its call, hears why, and that is all that happens."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import grpc
import pytest
from contracts.flower_network import Place, coordinator
from contracts.processes import eventually
from flwr.app import Array, ArrayRecord, Message, RecordDict
from flwr.common.constant import SUPERLINK_NODE_ID
from flwr.supercore.task_identity import TaskIdentity
from tacit.flower.app import read_app
from tacit.flower.clients import Clients, node_of
from tacit.flower.codec import write_message
from tacit.flower.hosting import new_run
from tacit.wire import federation_pb2 as pb
from tacit.wire.parcels import LARGEST, Letter, parcels
from tacit.wire.protocol import PROTOCOL

pytestmark = pytest.mark.filterwarnings(  # Flower's own, when it lists an app's files
    "ignore:GitWildMatchPattern:DeprecationWarning"
)
FOLDER = Path(__file__).parents[1] / "contracts" / "flower_app"
CARRY = "/tacit.wire.v1.Post/Carry"
MALFORMED, FOR_GOOD = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(app=read_app(FOLDER), folder=tmp_path_factory.mktemp("run"), linger=0.1)


@pytest.fixture(scope="module")
def carrier(place: Place) -> Iterator[Clients]:
    with coordinator(place, new_run(place.app), ["mallory"], []) as found:
        yield found


class Peer:
    """Says what it is told to, byte by byte, and hears what comes."""

    def __init__(self, place: Place, name: str = "mallory") -> None:
        self.saying: SimpleQueue[bytes | None] = SimpleQueue()
        self.channel = place.dial(name)
        carry: Any = self.channel.stream_stream(CARRY)  # without a serializer: bytes
        self.hearing: Iterator[bytes] = carry(iter(self.saying.get, None))

    def say(self, *said: pb.Parcel | bytes) -> None:
        for one in said:
            self.saying.put(one if isinstance(one, bytes) else one.SerializeToString())

    def hear(self) -> pb.Parcel:
        return pb.Parcel.FromString(next(self.hearing))

    def hear_letter(self) -> str:
        """The name of the next letter, which was heard to its end."""
        envelope, size = self.hear().envelope, 0
        while size < envelope.size:
            size += len(self.hear().data)
        return str(envelope.name)

    def end(self) -> tuple[grpc.StatusCode, str]:
        """With what the call ended, which is not by this peer."""
        with pytest.raises(grpc.RpcError) as caught:
            for _ in self.hearing:
                pass
        self.saying.put(None)
        self.channel.close()
        return caught.value.code(), str(caught.value.details())


@pytest.fixture
def attendance(place: Place) -> pb.Parcel:
    study = place.app.fingerprint()
    return pb.Parcel(
        attendance=pb.Attendance(protocol=PROTOCOL, study=study, process=os.urandom(16))
    )


@pytest.fixture
def peer(place: Place, carrier: Clients, attendance: pb.Parcel) -> Peer:
    """One that has a seat."""
    eventually(lambda: not carrier.nodes(), lambda: "the end of the one before")
    found = Peer(place)
    found.say(attendance)
    assert found.hear().WhichOneof("parcel") == "welcome"
    eventually(carrier.nodes, lambda: "its seat")
    return found


def ask(carrier: Clients) -> SimpleQueue[Message | Exception]:
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, SUPERLINK_NODE_ID, 1
    message = Message(RecordDict(), node_of("mallory"), "query", ttl=30.0)
    message.metadata.__dict__["_message_id"] = os.urandom(8).hex()
    replies: SimpleQueue[Message | Exception] = SimpleQueue()
    carrier.send(message, replies.put)
    return replies


ENVELOPE = pb.Parcel(envelope=pb.Envelope(name="n", size=2))
NONSENSE: Sequence[tuple[Sequence[pb.Parcel | bytes], str]] = [
    ([b"\xff\xff\xff"], "nothing known came"),
    ([pb.Parcel(data=b"x")], "before it began"),
    ([ENVELOPE, ENVELOPE], "before the last"),
    ([ENVELOPE, pb.Parcel(data=b"xyz")], "other bytes"),
    ([pb.Parcel(envelope=pb.Envelope(name="n", size=LARGEST + 1))], "more than"),
    ([pb.Parcel(envelope=pb.Envelope(name="n" * 1000))], "1000 characters"),
    ([pb.Parcel(over=pb.Over(complete=True))], "over came"),
    ([pb.Parcel(welcome=pb.Welcome())], "welcome came"),
]


@pytest.mark.parametrize(("said", "why"), NONSENSE)
def test_nonsense_ends_the_call_and_says_why(
    peer: Peer, said: Sequence[pb.Parcel | bytes], why: str
) -> None:
    peer.say(*said)
    code, reason = peer.end()
    assert code is MALFORMED
    assert why in reason


@pytest.mark.parametrize("first", [pb.Parcel(), pb.Parcel(data=b"x"), b"\xff", ENVELOPE])
def test_who_does_not_say_who_it_is_gets_no_seat(
    place: Place, carrier: Clients, first: pb.Parcel | bytes
) -> None:
    peer = Peer(place)
    peer.say(first)
    assert peer.end() == (MALFORMED, "an Attendance was expected first")
    assert not carrier.nodes()


def test_another_protocol_is_refused_for_good(place: Place, carrier: Clients) -> None:
    peer = Peer(place)
    peer.say(pb.Parcel(attendance=pb.Attendance(protocol=PROTOCOL + 1)))
    code, reason = peer.end()
    assert (code, f"speaks {PROTOCOL}" in reason) == (FOR_GOOD, True)


def test_another_process_of_the_same_client_is_refused_while_one_is_here(
    peer: Peer, place: Place, attendance: pb.Parcel
) -> None:
    other = Peer(place)
    attendance.attendance.process = b"another"
    other.say(attendance)
    assert other.hear().WhichOneof("parcel") == "welcome"
    code, reason = other.end()
    assert code is grpc.StatusCode.ALREADY_EXISTS
    assert "another process" in reason
    peer.channel.close()


def broken() -> bytes:
    array = Array("float64", (2,), "numpy.ndarray", b"\x93NUMPY")
    asked = Message(RecordDict(), 7, "query")
    content = RecordDict({"arrays": ArrayRecord({"w": array})})
    return write_message(Message(content, reply_to=asked))


@pytest.mark.parametrize("kind", ["nothing", "noise", "array"])
def test_a_malformed_reply_ends_the_call_and_the_message_is_open_still(
    peer: Peer, place: Place, carrier: Clients, attendance: pb.Parcel, kind: str
) -> None:
    replies = ask(carrier)
    name = peer.hear_letter()
    data = {"nothing": b"", "noise": os.urandom(1000), "array": broken()}[kind]
    peer.say(*parcels(Letter(name, data)))
    code, reason = peer.end()
    assert code is MALFORMED
    assert "The reply is malformed" in reason
    assert replies.empty()
    again = Peer(place)
    again.say(attendance)
    again.hear()
    assert again.hear_letter() == name
    fine = write_message(Message(RecordDict(), reply_to=Message(RecordDict(), 7, "query")))
    again.say(*parcels(Letter(name, fine)))
    reply = replies.get(timeout=20)
    assert isinstance(reply, Message)
    assert reply.has_content()
    again.channel.close()


def answer_what_was_asked_and_more(peer: Peer, carrier: Clients) -> None:
    replies = ask(carrier)
    name = peer.hear_letter()
    fine = write_message(Message(RecordDict(), reply_to=Message(RecordDict(), 7, "query")))
    peer.say(*parcels(Letter("mine", fine)), *parcels(Letter(name, fine)))
    assert isinstance(replies.get(timeout=20), Message)
    peer.say(*parcels(Letter(name, fine)))
    assert replies.empty()
    peer.channel.close()


def test_an_answer_to_what_was_not_asked_changes_nothing(peer: Peer, carrier: Clients) -> None:
    answer_what_was_asked_and_more(peer, carrier)


def test_what_happened_at_the_door_is_on_record(
    peer: Peer, place: Place, carrier: Clients, attendance: pb.Parcel
) -> None:
    test_another_process_of_the_same_client_is_refused_while_one_is_here(peer, place, attendance)
    eventually(lambda: not carrier.nodes(), lambda: "the end of the one before")
    again = Peer(place)
    again.say(attendance)
    assert again.hear().WhichOneof("parcel") == "welcome"
    answer_what_was_asked_and_more(again, carrier)
    expected = {(event, "mallory") for event in ("joined", "refused", "answered", "late", "left")}

    def recorded() -> set[tuple[str, str]]:
        lines = (place.folder / "audit.jsonl").read_text().splitlines()
        return {(one["event"], one["client"]) for one in map(json.loads, lines)}

    eventually(lambda: recorded() >= expected, lambda: str(recorded()))
