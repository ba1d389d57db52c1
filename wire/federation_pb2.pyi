from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Purpose(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PURPOSE_UNSPECIFIED: _ClassVar[Purpose]
    PURPOSE_FIT: _ClassVar[Purpose]
    PURPOSE_EVALUATE: _ClassVar[Purpose]
    PURPOSE_ALONE: _ClassVar[Purpose]

class Status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STATUS_UNSPECIFIED: _ClassVar[Status]
    STATUS_HELD: _ClassVar[Status]
    STATUS_ACCEPTED: _ClassVar[Status]
    STATUS_REFUSED: _ClassVar[Status]
    STATUS_LATE: _ClassVar[Status]
    STATUS_RETRY: _ClassVar[Status]
PURPOSE_UNSPECIFIED: Purpose
PURPOSE_FIT: Purpose
PURPOSE_EVALUATE: Purpose
PURPOSE_ALONE: Purpose
STATUS_UNSPECIFIED: Status
STATUS_HELD: Status
STATUS_ACCEPTED: Status
STATUS_REFUSED: Status
STATUS_LATE: Status
STATUS_RETRY: Status

class Attendance(_message.Message):
    __slots__ = ("protocol", "study", "version", "process")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    STUDY_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    study: str
    version: str
    process: bytes
    def __init__(self, protocol: _Optional[int] = ..., study: _Optional[str] = ..., version: _Optional[str] = ..., process: _Optional[bytes] = ...) -> None: ...

class Order(_message.Message):
    __slots__ = ("welcome", "instruction", "over")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    INSTRUCTION_FIELD_NUMBER: _ClassVar[int]
    OVER_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    instruction: bytes
    over: Over
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., instruction: _Optional[bytes] = ..., over: _Optional[_Union[Over, _Mapping]] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("protocol", "run", "study")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    STUDY_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    run: str
    study: str
    def __init__(self, protocol: _Optional[int] = ..., run: _Optional[str] = ..., study: _Optional[str] = ...) -> None: ...

class Over(_message.Message):
    __slots__ = ("reason", "complete")
    REASON_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    reason: str
    complete: bool
    def __init__(self, reason: _Optional[str] = ..., complete: _Optional[bool] = ...) -> None: ...

class Instruction(_message.Message):
    __slots__ = ("run", "round", "purpose", "seed", "settings", "terms", "parameters", "extras")
    RUN_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    TERMS_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    EXTRAS_FIELD_NUMBER: _ClassVar[int]
    run: str
    round: int
    purpose: Purpose
    seed: int
    settings: str
    terms: str
    parameters: Blob
    extras: Blob
    def __init__(self, run: _Optional[str] = ..., round: _Optional[int] = ..., purpose: _Optional[_Union[Purpose, str]] = ..., seed: _Optional[int] = ..., settings: _Optional[str] = ..., terms: _Optional[str] = ..., parameters: _Optional[_Union[Blob, _Mapping]] = ..., extras: _Optional[_Union[Blob, _Mapping]] = ...) -> None: ...

class Blob(_message.Message):
    __slots__ = ("sha256", "size")
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    sha256: bytes
    size: int
    def __init__(self, sha256: _Optional[bytes] = ..., size: _Optional[int] = ...) -> None: ...

class Wanted(_message.Message):
    __slots__ = ("sha256", "offset")
    SHA256_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    sha256: bytes
    offset: int
    def __init__(self, sha256: _Optional[bytes] = ..., offset: _Optional[int] = ...) -> None: ...

class Chunk(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class Answer(_message.Message):
    __slots__ = ("instruction", "update", "declined", "failed")
    INSTRUCTION_FIELD_NUMBER: _ClassVar[int]
    UPDATE_FIELD_NUMBER: _ClassVar[int]
    DECLINED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    instruction: bytes
    update: Update
    declined: str
    failed: Failed
    def __init__(self, instruction: _Optional[bytes] = ..., update: _Optional[_Union[Update, _Mapping]] = ..., declined: _Optional[str] = ..., failed: _Optional[_Union[Failed, _Mapping]] = ...) -> None: ...

class Update(_message.Message):
    __slots__ = ("round", "examples", "statistics", "contribution")
    class StatisticsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    ROUND_FIELD_NUMBER: _ClassVar[int]
    EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    STATISTICS_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    round: int
    examples: int
    statistics: _containers.ScalarMap[str, float]
    contribution: Blob
    def __init__(self, round: _Optional[int] = ..., examples: _Optional[int] = ..., statistics: _Optional[_Mapping[str, float]] = ..., contribution: _Optional[_Union[Blob, _Mapping]] = ...) -> None: ...

class Failed(_message.Message):
    __slots__ = ("error", "traceback")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    TRACEBACK_FIELD_NUMBER: _ClassVar[int]
    error: str
    traceback: str
    def __init__(self, error: _Optional[str] = ..., traceback: _Optional[str] = ...) -> None: ...

class Piece(_message.Message):
    __slots__ = ("answer", "data")
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    answer: Answer
    data: bytes
    def __init__(self, answer: _Optional[_Union[Answer, _Mapping]] = ..., data: _Optional[bytes] = ...) -> None: ...

class Verdict(_message.Message):
    __slots__ = ("status", "reason", "held")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    status: Status
    reason: str
    held: int
    def __init__(self, status: _Optional[_Union[Status, str]] = ..., reason: _Optional[str] = ..., held: _Optional[int] = ...) -> None: ...

class Parcel(_message.Message):
    __slots__ = ("attendance", "welcome", "envelope", "data", "over")
    ATTENDANCE_FIELD_NUMBER: _ClassVar[int]
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    ENVELOPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    OVER_FIELD_NUMBER: _ClassVar[int]
    attendance: Attendance
    welcome: Welcome
    envelope: Envelope
    data: bytes
    over: Over
    def __init__(self, attendance: _Optional[_Union[Attendance, _Mapping]] = ..., welcome: _Optional[_Union[Welcome, _Mapping]] = ..., envelope: _Optional[_Union[Envelope, _Mapping]] = ..., data: _Optional[bytes] = ..., over: _Optional[_Union[Over, _Mapping]] = ...) -> None: ...

class Envelope(_message.Message):
    __slots__ = ("name", "size")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    name: str
    size: int
    def __init__(self, name: _Optional[str] = ..., size: _Optional[int] = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RunStatus(_message.Message):
    __slots__ = ("run", "round", "rounds", "phase", "clients", "late", "refused", "seconds", "open", "left")
    RUN_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    ROUNDS_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    CLIENTS_FIELD_NUMBER: _ClassVar[int]
    LATE_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    run: str
    round: int
    rounds: int
    phase: str
    clients: _containers.RepeatedCompositeFieldContainer[ClientStatus]
    late: int
    refused: int
    seconds: float
    open: int
    left: float
    def __init__(self, run: _Optional[str] = ..., round: _Optional[int] = ..., rounds: _Optional[int] = ..., phase: _Optional[str] = ..., clients: _Optional[_Iterable[_Union[ClientStatus, _Mapping]]] = ..., late: _Optional[int] = ..., refused: _Optional[int] = ..., seconds: _Optional[float] = ..., open: _Optional[int] = ..., left: _Optional[float] = ...) -> None: ...

class ClientStatus(_message.Message):
    __slots__ = ("name", "connected", "state", "seconds")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    connected: bool
    state: str
    seconds: float
    def __init__(self, name: _Optional[str] = ..., connected: _Optional[bool] = ..., state: _Optional[str] = ..., seconds: _Optional[float] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("after",)
    AFTER_FIELD_NUMBER: _ClassVar[int]
    after: int
    def __init__(self, after: _Optional[int] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("json",)
    JSON_FIELD_NUMBER: _ClassVar[int]
    json: str
    def __init__(self, json: _Optional[str] = ...) -> None: ...

class StopRequest(_message.Message):
    __slots__ = ("now",)
    NOW_FIELD_NUMBER: _ClassVar[int]
    now: bool
    def __init__(self, now: _Optional[bool] = ...) -> None: ...

class Stopping(_message.Message):
    __slots__ = ("round",)
    ROUND_FIELD_NUMBER: _ClassVar[int]
    round: int
    def __init__(self, round: _Optional[int] = ...) -> None: ...

class ReportRequest(_message.Message):
    __slots__ = ("json",)
    JSON_FIELD_NUMBER: _ClassVar[int]
    json: bool
    def __init__(self, json: _Optional[bool] = ...) -> None: ...
