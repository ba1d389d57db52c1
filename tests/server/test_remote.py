"""The transport over gRPC keeps the contract that every transport keeps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from contracts.learning import clients
from contracts.network import attending, network
from contracts.transport import Scene, check_transport
from tacit.client.agent import _submit
from tacit.client.outbox import blob_of
from tacit.privacy import Mean
from tacit.server import Admission
from tacit.strategies import FedAvg
from tacit.wire import Instruction, Purpose, Transport
from tacit.wire import federation_pb2 as pb
from tacit.wire import federation_pb2_grpc as rpc
from tacit.wire.dial import dial_insecurely
from tacit.wire.identity import Role
from tacit.wire.protocol import PROTOCOL, digest


@contextmanager
def connect(scene: Scene) -> Iterator[Transport]:
    admission = Admission(strategy=scene.strategy, mechanism=scene.mechanism)
    own = clients(
        scene.data, scene.task, scene.strategy, scene.mechanism, scene.folder, scene.rounds
    )
    with network(admission, own, scene.folder / "net") as net, attending(own, net):
        yield net.remote


def ask(address: str, client: str) -> tuple[rpc.FederationStub, bytes]:
    """The calls of `client`, and what it is asked first."""
    stub = rpc.FederationStub(dial_insecurely(address, Role.CLIENT, client))
    orders = stub.Attend(pb.Attendance(protocol=PROTOCOL, study="f"))
    return stub, next(order.instruction for order in orders if order.instruction)


def test_an_answer_that_is_handed_in_twice_is_noted_as_submitted_once(tmp_path: Path) -> None:
    admission = Admission(strategy=FedAvg(), mechanism=Mean())
    asked = Instruction(
        round=1, purpose=Purpose.EVALUATE, seed=0, parameters={}, extras={}, settings={}, run="r"
    )
    with network(admission, ["ann", "bob"], tmp_path) as net, ThreadPoolExecutor() as pool:
        gathered = pool.submit(net.remote.gather, asked, ["ann", "bob"])
        for client, times in (("ann", 3), ("bob", 1)):
            stub, order = ask(net.address, client)
            update = pb.Update(round=1, contribution=blob_of({})[0])
            answer = pb.Answer(instruction=digest(order), update=update)
            statuses = {_submit(stub, answer, b"").status for _ in range(times)}
            assert statuses == {pb.STATUS_ACCEPTED}
        assert len(gathered.result().receipts) == 2
    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    events = [line["event"] for line in lines if line["client"] == "ann" and "round" in line]
    assert events == ["submitted", "repeated", "repeated"]


def test_grpc_keeps_the_transport_contract(tmp_path: Path) -> None:
    check_transport(connect, tmp_path)
