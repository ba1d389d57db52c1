"""The transport over gRPC keeps the contract that every transport keeps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contracts.learning import clients
from contracts.network import attending, network
from contracts.transport import Scene, check_transport
from tacit.server import Admission
from tacit.wire import Transport


@contextmanager
def connect(scene: Scene) -> Iterator[Transport]:
    admission = Admission(strategy=scene.strategy, mechanism=scene.mechanism)
    own = clients(
        scene.data, scene.task, scene.strategy, scene.mechanism, scene.folder, scene.rounds
    )
    with network(admission, own, scene.folder / "net") as net, attending(own, net):
        yield net.remote


def test_grpc_keeps_the_transport_contract(tmp_path: Path) -> None:
    check_transport(connect, tmp_path)
