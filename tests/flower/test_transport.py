"""tacit's transport over a Grid keeps the contract of a transport, whatever nodes do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contracts.learning import clients
from contracts.nodes import grid_of
from contracts.transport import Scene, check_transport
from flwr.app import Context, Message
from tacit.flower.letters import Study, attempt, read_letter, reply
from tacit.flower.transport import Anywhere, OverGrid
from tacit.server import Admission
from tacit.server.remote import Patience
from tacit.wire import Transport

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
