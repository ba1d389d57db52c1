"""The header of the safetensors format: written as the library does, and read without trust."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .errors import CodecError
from .messages import Arrays

DTYPES: dict[str, np.dtype[Any]] = {
    "F16": np.dtype(np.float16),
    "F32": np.dtype(np.float32),
    "F64": np.dtype(np.float64),
    "I64": np.dtype(np.int64),
}
"""What may travel, by its safetensors name. In a file the last of these comes first."""

METADATA = "__metadata__"  # means something else to safetensors, so no array is called that


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The most that decoding accepts.

    >>> Limits(count=0)
    Traceback (most recent call last):
    ...
    ValueError: Expected count >= 1, got 0.
    """

    count: int = 10_000
    dimensions: int = 8
    bytes: int = 8 << 30
    header: int = field(default=4 << 20)

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value >= 1:  # also refuses NaN
                raise ValueError(f"Expected {name} >= 1, got {value}.")


def write_header(layout: Arrays) -> tuple[bytes, list[str]]:
    """What goes before the arrays of `layout`, and the order in which they follow.

    Raises `CodecError` for what `read_header` would not accept, such as a dtype that may not travel.
    """
    spelled = {dtype: name for name, dtype in DTYPES.items()}
    for name, array in layout.items():
        if array.dtype not in spelled:
            raise CodecError(f"Array {name!r} has dtype {array.dtype}; expected {_dtypes()}.")
    rank = {dtype: place for place, dtype in enumerate(reversed(DTYPES.values()))}
    names = sorted(layout, key=lambda name: (rank[layout[name].dtype], name))
    table, end = {}, 0
    for name in names:
        array, start = layout[name], end
        end += array.nbytes
        table[name] = {
            "dtype": spelled[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [start, end],
        }
    try:
        text = json.dumps(table, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as error:
        raise CodecError(f"The arrays cannot be encoded: {error}.") from error
    text += b" " * (-len(text) % 8)
    head = len(text).to_bytes(8, "little") + text
    read_header(head, len(head) + end, Limits())  # what can be written can be read
    return head, names


def read_header(data: bytes, size: int, limits: Limits) -> dict[str, Any]:
    """The table with which a message of `size` bytes begins; `data` is at least that of it.

    Raises `CodecError` for a header that is not within `limits`. Whether the offsets are true is left
    to safetensors.
    """
    if size > limits.bytes:
        raise CodecError(f"The message has {size} bytes; at most {limits.bytes} are accepted.")
    length = int.from_bytes(data[:8], "little")
    if size < 8 or length > min(size - 8, limits.header):
        raise CodecError(f"The header claims {length} bytes in a message of {size}.")
    try:
        header = json.loads(data[8 : 8 + length])
    except (ValueError, RecursionError) as error:
        raise CodecError(f"The header is not JSON: {error}.") from error
    if not isinstance(header, dict) or len(header) > limits.count:
        raise CodecError(f"Expected a table of at most {limits.count} arrays.")
    for name, entry in header.items():
        _check(name, entry, limits)
    return header


def _check(name: str, entry: object, limits: Limits) -> None:
    match entry:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [int(), int()]} if (
            name != METADATA
        ):
            pass
        case _:
            raise CodecError(f"Array {name[:80]!r} is not described by dtype, shape and offsets.")
    if dtype not in DTYPES:
        raise CodecError(f"Array {name[:80]!r} has dtype {dtype[:20]!r}; expected {_dtypes()}.")
    if len(shape) > limits.dimensions or not all(_is_size(size) for size in shape):
        raise CodecError(f"Array {name[:80]!r} has an unacceptable shape.")
    if math.prod(shape) * DTYPES[dtype].itemsize > limits.bytes:
        raise CodecError(f"Array {name[:80]!r} is larger than {limits.bytes} bytes.")


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _dtypes() -> str:
    return ", ".join(str(dtype) for dtype in DTYPES.values())
