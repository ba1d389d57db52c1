"""What crosses a boundary: messages, the array codec, exact folds, and the transport between."""

from .arrays import Stored, decode, encode, layout, write_arrays
from .errors import ClientsFailed, CodecError, StoreError, TacitError, WorkerLost
from .fold import Fold
from .header import Limits
from .lazy import Lazy, each
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
    "Lazy",
    "Limits",
    "Purpose",
    "Receipt",
    "Receive",
    "Refusal",
    "Settings",
    "Statistics",
    "StoreError",
    "Stored",
    "TacitError",
    "Transport",
    "Update",
    "WorkerLost",
    "decode",
    "each",
    "encode",
    "layout",
    "write_arrays",
]
