"""The messages of the protocol: what is written is read back, and the generated code is current."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import grpc_tools
import numpy as np
import pytest
from google.protobuf import descriptor_pb2
from grpc_tools import protoc
from hypothesis import given
from hypothesis import strategies as st
from tacit.wire import CodecError, Instruction, Purpose
from tacit.wire import federation_pb2 as pb
from tacit.wire.protocol import (
    CHUNK,
    chunks,
    digest,
    instruction_of,
    read_instruction,
    write_instruction,
)

ROOT = Path(__file__).parents[2]
SOURCE = "tacit/wire/federation.proto"
GENERATED = ["federation_pb2.py", "federation_pb2.pyi", "federation_pb2_grpc.py"]

RELEASED = {
    "Attendance.protocol": (1, 13, 1),
    "Attendance.study": (2, 9, 1),
    "Attendance.version": (3, 9, 1),
    "Attendance.process": (4, 12, 1),
    "Order.welcome": (1, 11, 1),
    "Order.instruction": (2, 12, 1),
    "Order.over": (3, 11, 1),
    "Welcome.protocol": (1, 13, 1),
    "Welcome.run": (2, 9, 1),
    "Welcome.study": (3, 9, 1),
    "Over.reason": (1, 9, 1),
    "Over.complete": (2, 8, 1),
    "Instruction.run": (1, 9, 1),
    "Instruction.round": (2, 13, 1),
    "Instruction.purpose": (3, 14, 1),
    "Instruction.seed": (4, 4, 1),
    "Instruction.settings": (5, 9, 1),
    "Instruction.terms": (6, 9, 1),
    "Instruction.parameters": (7, 11, 1),
    "Instruction.extras": (8, 11, 1),
    "Blob.sha256": (1, 12, 1),
    "Blob.size": (2, 4, 1),
    "Wanted.sha256": (1, 12, 1),
    "Wanted.offset": (2, 4, 1),
    "Chunk.data": (1, 12, 1),
    "Answer.instruction": (1, 12, 1),
    "Answer.update": (2, 11, 1),
    "Answer.declined": (3, 9, 1),
    "Answer.failed": (4, 11, 1),
    "Update.round": (1, 13, 1),
    "Update.examples": (2, 4, 1),
    "Update.statistics": (3, 11, 3),
    "Update.contribution": (4, 11, 1),
    "Failed.error": (1, 9, 1),
    "Failed.traceback": (2, 9, 1),
    "Piece.answer": (1, 11, 1),
    "Piece.data": (2, 12, 1),
    "Verdict.status": (1, 14, 1),
    "Verdict.reason": (2, 9, 1),
    "Verdict.held": (3, 4, 1),
    "RunStatus.run": (1, 9, 1),
    "RunStatus.round": (2, 13, 1),
    "RunStatus.rounds": (3, 13, 1),
    "RunStatus.phase": (4, 9, 1),
    "RunStatus.clients": (5, 11, 3),
    "RunStatus.late": (6, 4, 1),
    "RunStatus.refused": (7, 4, 1),
    "RunStatus.seconds": (8, 1, 1),
    "RunStatus.open": (9, 13, 1),
    "RunStatus.left": (10, 1, 1),
    "ClientStatus.name": (1, 9, 1),
    "ClientStatus.connected": (2, 8, 1),
    "ClientStatus.state": (3, 9, 1),
    "ClientStatus.seconds": (4, 1, 1),
    "WatchRequest.after": (1, 4, 1),
    "Event.json": (1, 9, 1),
    "StopRequest.now": (1, 8, 1),
    "Stopping.round": (1, 13, 1),
    "ReportRequest.json": (1, 8, 1),
}
"""Number, type and label of every field that was ever released."""

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False)
)
settings_ = st.dictionaries(st.text(), scalars, max_size=5)


@pytest.mark.skipif(not (ROOT / "proto").exists(), reason="about the checkout")
def test_the_generated_code_is_that_of_the_proto_file(tmp_path: Path) -> None:
    includes = [f"-I{ROOT / 'proto'}", f"-I{Path(grpc_tools.__file__).parent / '_proto'}"]
    outs = [f"--{kind}_out={tmp_path}" for kind in ("python", "pyi", "grpc_python")]
    assert protoc.main(["", *includes, *outs, SOURCE]) == 0
    for name in GENERATED:
        wanted = (tmp_path / "tacit" / "wire" / name).read_text()
        wanted = wanted.replace("from tacit.wire import", "from . import")
        assert (ROOT / "wire" / name).read_text() == wanted, f"{name} is out of date: make proto"


def test_the_protocol_is_the_one_that_was_released() -> None:
    """Numbers and types of fields are for ever: `RELEASED` only ever grows."""
    file = descriptor_pb2.FileDescriptorProto.FromString(pb.DESCRIPTOR.serialized_pb)
    fields = {
        f"{message.name}.{field.name}": (field.number, field.type, field.label)
        for message in file.message_type
        for field in message.field
    }
    for name, wanted in RELEASED.items():
        assert fields[name] == wanted, f"{name} may not change"


@given(settings_, settings_, st.sampled_from(Purpose), st.integers(0, 2**31), st.integers(0, 2**63))
def test_an_instruction_reads_back_as_it_was_written(
    settings: dict[str, object], terms: dict[str, object], purpose: Purpose, round: int, seed: int
) -> None:
    arrays = {"w": np.ones(2, np.float32)}
    blob = pb.Blob(sha256=digest(b"w"), size=1)
    written = Instruction(
        run="r",
        round=round,
        purpose=purpose,
        seed=seed,
        parameters=arrays,
        settings=settings,  # type: ignore[arg-type]
        terms=terms,  # type: ignore[arg-type]
    )
    read = instruction_of(read_instruction(write_instruction(written, blob, blob)), arrays, {})
    assert read == written


@given(st.binary(max_size=200))
def test_hostile_bytes_are_an_instruction_or_a_codec_error(data: bytes) -> None:
    with suppress(CodecError):  # and nothing else
        read_instruction(data)


@given(st.integers(0, 3 * CHUNK), st.integers(0, 3 * CHUNK))
def test_chunks_are_the_rest_of_a_blob(size: int, offset: int) -> None:
    data = bytes(size)
    pieces = list(chunks(data, offset))
    assert b"".join(pieces) == data[offset:]
    assert all(0 < len(piece) <= CHUNK for piece in pieces)
