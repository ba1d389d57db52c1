"""What a client remembers: a round that is repeated finds what it found before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from contracts.bits import assert_same_bits
from numpy.typing import NDArray
from tacit.client import Memory
from tacit.wire import CodecError

NAMES = [
    "a",
    "A",
    "",
    ".",
    "..",
    "../..",
    "/etc",
    "a/b",
    "a\\b",
    "a b",
    "%2F",
    "é",
    "界" * 200,
    "x\0y",
]


def c(value: float) -> dict[str, NDArray[np.float64]]:
    return {"c": np.array([value])}


def test_a_round_reads_what_the_last_round_before_it_wrote(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    assert memory.read("a", 1) == {}
    memory.write("a", 1, c(1))
    memory.write("a", 4, c(4))
    assert memory.read("a", 1) == {}
    assert_same_bits(memory.read("a", 2), c(1))
    assert_same_bits(memory.read("a", 4), c(1))
    assert_same_bits(memory.read("a", 5), c(4))
    assert_same_bits(memory.read("a", 99), c(4))


def test_a_round_can_be_repeated_from_the_same_memory(tmp_path: Path) -> None:
    """The coordinator may die after clients wrote round 7 and before it committed it."""
    memory = Memory(tmp_path)
    for round in (3, 5, 7):
        memory.write("a", round, c(round))
    for _ in range(3):
        assert_same_bits(memory.read("a", 7), c(5))
        memory.write("a", 7, c(70))
    assert_same_bits(memory.read("a", 8), c(70))


def test_what_no_repetition_can_need_is_forgotten(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    for round in range(1, 30):
        memory.write("a", round, c(round))
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2


def test_memories_outlive_the_process(tmp_path: Path) -> None:
    Memory(tmp_path).write("a", 1, c(1))
    assert_same_bits(Memory(tmp_path).read("a", 2), c(1))


def test_nothing_to_remember_is_not_written(tmp_path: Path) -> None:
    Memory(tmp_path).write("a", 1, {})
    assert list(tmp_path.iterdir()) == []


def test_whatever_clients_are_called_their_memories_are_apart_and_inside(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "in" / "side")
    for value, name in enumerate(NAMES):
        memory.write(name, 1, c(value))
        memory.write(name, 2, c(value + 0.5))
    for value, name in enumerate(NAMES):
        assert_same_bits(memory.read(name, 2), c(value))
    written = set(tmp_path.rglob("*.safetensors"))
    assert len(written) == 2 * len(NAMES)
    assert written == set((tmp_path / "in" / "side").rglob("*.safetensors"))


def test_a_memory_that_was_damaged_is_not_used(tmp_path: Path) -> None:
    Memory(tmp_path).write("a", 1, c(1))
    (path,) = tmp_path.rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(CodecError):
        Memory(tmp_path).read("a", 2)


def test_a_half_written_file_is_never_read(tmp_path: Path) -> None:
    """What a process leaves that dies while it writes."""
    Memory(tmp_path).write("a", 1, c(1))
    (path,) = tmp_path.rglob("*.safetensors")
    (path.parent / ".2.safetensors.4711.tmp").write_bytes(b"half")
    assert_same_bits(Memory(tmp_path).read("a", 3), c(1))
    Memory(tmp_path).write("a", 2, c(2))
    assert_same_bits(Memory(tmp_path).read("a", 3), c(2))
