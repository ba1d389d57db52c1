"""What tacit's coordinator and its clients write to each other, in Flower's records.

The bytes are those of tacit's own wire: instructions and answers are messages of federation.proto, and
arrays travel beside them as safetensors, named by their SHA-256. Flower cuts an array into chunks, and
sends to the SuperLink once what is equal for all nodes.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final

from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.common.constant import ErrorCode
from google.protobuf.message import DecodeError

from ..client.outbox import blob_of
from ..wire import federation_pb2 as pb
from ..wire.arrays import decode, encode
from ..wire.errors import CodecError, Declined
from ..wire.messages import Arrays, Instruction, Purpose
from ..wire.protocol import (
    digest,
    instruction_of,
    read_instruction,
    write_instruction,
    write_update,
)
from ..wire.transport import Answers

TYPES: Final = {
    Purpose.FIT: "train",
    Purpose.EVALUATE: "evaluate",
    Purpose.ALONE: "train.alone",
}
"""How Flower calls a message with an instruction of each purpose."""
HELLO: Final = "query"
AWAY: Final = (
    ErrorCode.NODE_UNAVAILABLE,
    ErrorCode.MESSAGE_UNAVAILABLE,
    ErrorCode.REPLY_MESSAGE_UNAVAILABLE,
)
"""With these Flower says that a node has not answered and will not: its client is asked again."""
SAFETENSORS: Final = "safetensors"
"""The serialisation type of an array that is not numpy's."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """What a client is told of the run beside an instruction.

    `config` is the text of the configuration and `run` the run's name. `folder` is where a simulated
    client keeps what it has to; a site has a folder of its own.
    """

    config: str = field(repr=False)
    run: str
    folder: str = ""


@dataclass(frozen=True, kw_only=True)
class Letter:
    """An order to `client`: the bytes of an instruction, whose arrays are the blobs beside it."""

    client: str
    study: Study
    order: bytes = field(repr=False)
    parameters: bytes = field(repr=False)
    extras: bytes = field(repr=False)

    def arrays(self, message: pb.Instruction) -> tuple[Arrays, Arrays]:
        """The parameters and the extras that `message` names. Raises `CodecError` for any others."""
        return unpacked(self.parameters, message.parameters), unpacked(self.extras, message.extras)


def letters(study: Study, instruction: Instruction, members: Sequence[str]) -> Iterator[RecordDict]:
    """The letter to each of `members`; all but the name in it is one object."""
    parameters, extras = encode(instruction.parameters), encode(instruction.extras)
    order = write_instruction(instruction, _blob(parameters), _blob(extras))
    shared: dict[str, ArrayRecord | MetricRecord | ConfigRecord] = {
        "study": ConfigRecord(asdict(study)),
        "order": ConfigRecord({"order": order}),
        "parameters": _packed(parameters),
        "extras": _packed(extras),
    }
    for member in members:
        yield RecordDict({**shared, "client": ConfigRecord({"name": member})})


def read_letter(content: RecordDict) -> Letter:
    """The letter in `content`. Raises `CodecError` if there is none."""
    try:
        return Letter(
            client=str(content.config_records["client"]["name"]),
            study=read_study(content),
            order=_bytes(content.config_records["order"]["order"]),
            parameters=_data(content.array_records["parameters"]),
            extras=_data(content.array_records["extras"]),
        )
    except KeyError as error:
        raise CodecError(f"No instruction of tacit's: {error} is missing.") from error


def hello(study: Study) -> RecordDict:
    """Asks a node who it is."""
    return RecordDict({"study": ConfigRecord(asdict(study))})


def read_study(content: RecordDict) -> Study:
    """What `content` says of the run."""
    record = content.config_records["study"]
    return Study(**{name: str(record[name]) for name in ("config", "run", "folder")})


@dataclass(frozen=True, kw_only=True)
class Introduction:
    """Who a node says that it is: its name, or the number of a partition; -1 if it has none.

    `mark` names the site's folder, and is the same wherever the site comes back. `problem` is why it
    cannot take part.
    """

    name: str = ""
    partition: int = -1
    mark: str = ""
    problem: str = ""


def introduce(message: Message, who: Introduction) -> Message:
    """The reply to `hello`."""
    return Message(RecordDict({"who": ConfigRecord(asdict(who))}), reply_to=message)


def read_introduction(content: RecordDict) -> Introduction:
    """What `introduce` wrote; a node that answers anything else has a problem."""
    try:
        record = content.config_records["who"]
        return Introduction(
            name=str(record["name"]),
            partition=int(str(record["partition"])),
            mark=str(record["mark"]),
            problem=str(record["problem"]),
        )
    except (KeyError, ValueError):
        return Introduction(problem="it does not answer as tacit does")


def reply(message: Message, answer: pb.Answer, contribution: bytes) -> Message:
    """The reply to `message` with `answer` and what it contributes."""
    content = RecordDict(
        {
            "answer": ConfigRecord({"answer": answer.SerializeToString()}),
            "contribution": _packed(contribution),
        }
    )
    return Message(content, reply_to=message)


def read_reply(content: RecordDict) -> tuple[pb.Answer, bytes]:
    """The answer in a reply and its contribution. Raises `CodecError`."""
    try:
        answer = pb.Answer.FromString(_bytes(content.config_records["answer"]["answer"]))
        return answer, _data(content.array_records["contribution"])
    except (KeyError, DecodeError) as error:
        raise CodecError(f"No answer of tacit's: {error!r}.") from error


def attempt(answers: Answers, letter: Letter) -> tuple[pb.Answer, bytes]:
    """What a simulated client has to say to `letter`; an error says all that it has to say."""
    try:
        message = read_instruction(letter.order)
        update = answers.answer(instruction_of(message, *letter.arrays(message)))
    except Declined as declined:
        return pb.Answer(declined=str(declined)), b""
    except Exception as error:  # noqa: BLE001 - a client runs code we did not write
        return pb.Answer(failed=failed(error)), b""
    blob, contribution = blob_of(update.contribution)
    return pb.Answer(update=write_update(update, blob)), contribution


def failed(error: Exception) -> pb.Failed:
    """All that there is to say of `error`."""
    where = "".join(traceback.format_exception(error))
    return pb.Failed(error=f"{type(error).__name__}: {error}", traceback=where)


def unpacked(data: bytes, blob: pb.Blob) -> Arrays:
    """The arrays in `data`, which `blob` announced. Raises `CodecError` if they are others."""
    if (len(data), digest(data)) != (blob.size, blob.sha256):
        raise CodecError("other bytes than announced: their SHA-256 differs")
    return decode(data) if data else {}


def _blob(data: bytes) -> pb.Blob:
    return pb.Blob(sha256=digest(data), size=len(data))


def _packed(data: bytes) -> ArrayRecord:
    return ArrayRecord({"bytes": Array("uint8", (len(data),), SAFETENSORS, data)})


def _data(record: ArrayRecord) -> bytes:
    return record["bytes"].data


def _bytes(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise CodecError(f"Expected bytes, got {type(value).__name__}.")
    return value
