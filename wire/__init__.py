"""What crosses a boundary: messages, the array codec, exact folds, and the transport between."""

from .arrays import Limits, decode, encode
from .errors import ClientsFailed, CodecError, StoreError, TacitError, WorkerLost
from .fold import Fold
from .messages import (
    Arrays,
    Failure,
    Instruction,
    Purpose,
    Receipt,
    Refusal,
    Settings,
    Statistics,
    Update,
)
from .transport import Admit, Answers, InMemory, Receive, Transport

__all__ = [
    "Admit",
    "Answers",
    "Arrays",
    "ClientsFailed",
    "CodecError",
    "Failure",
    "Fold",
    "InMemory",
    "Instruction",
    "Limits",
    "Purpose",
    "Receipt",
    "Receive",
    "Refusal",
    "Settings",
    "Statistics",
    "StoreError",
    "TacitError",
    "Transport",
    "Update",
    "WorkerLost",
    "decode",
    "encode",
]
