"""The in-memory transport, and clients that lie about who they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from contracts.bits import assert_same_bits
from contracts.learning import in_memory
from contracts.transport import Scene, check_transport, instruction, make_scene
from tacit.client import Client
from tacit.server import Admission
from tacit.wire import InMemory, Instruction, Transport, Update


@contextmanager
def connect(scene: Scene) -> Iterator[Transport]:
    yield in_memory(
        scene.data, scene.task, scene.strategy, scene.mechanism, scene.folder, scene.rounds
    )


def test_the_in_memory_transport_keeps_the_contract(tmp_path: Path) -> None:
    check_transport(connect, tmp_path)


@dataclass(frozen=True, kw_only=True)
class Liar:
    """A client that answers in another's name."""

    honest: Client
    claims: str

    def answer(self, instruction: Instruction) -> Update:
        return replace(self.honest.answer(instruction), client=self.claims)


@pytest.mark.parametrize("claims", ["bob", "nobody", ""])
def test_a_client_cannot_answer_in_the_name_of_another(claims: str, tmp_path: Path) -> None:
    """Neither is counted for the other, and neither locks the other out."""
    scene = make_scene(tmp_path)
    with connect(scene) as honest:
        assert isinstance(honest, InMemory)
        ann = honest.clients["ann"]
        assert isinstance(ann, Client)
        lying = InMemory(
            clients={**honest.clients, "ann": Liar(honest=ann, claims=claims)},
            admit=Admission(strategy=scene.strategy, mechanism=scene.mechanism).open,
        )
        fold = lying.gather(instruction(), ["ann", "bob"])
        wanted = honest.gather(instruction(), ["ann", "bob"])
    assert [receipt.client for receipt in fold.receipts] == ["ann", "bob"]
    assert_same_bits(fold.total(), wanted.total())
    assert (fold.refusals, fold.failures) == ([], [])


@dataclass(frozen=True, kw_only=True)
class Interrupted:
    """A client in whose midst the user presses Ctrl-C."""

    def answer(self, instruction: Instruction) -> Update:
        raise KeyboardInterrupt


def test_an_interrupt_is_not_a_failure_of_the_client(tmp_path: Path) -> None:
    scene = make_scene(tmp_path)
    admit = Admission(strategy=scene.strategy, mechanism=scene.mechanism).open
    transport = InMemory(clients={"ann": Interrupted()}, admit=admit)
    with pytest.raises(KeyboardInterrupt):
        transport.gather(instruction(), ["ann"])
