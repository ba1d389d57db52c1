"""Arrays to bytes and back, in the safetensors format: no pickle, and nothing unbounded on decode.

The header is checked against `Limits` before any array is made, so hostile bytes can cost no more
memory than their own length.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from .errors import CodecError
from .messages import Arrays

DTYPES: dict[str, np.dtype[Any]] = {
    "F16": np.dtype(np.float16),
    "F32": np.dtype(np.float32),
    "F64": np.dtype(np.float64),
    "I64": np.dtype(np.int64),
}
"""What may travel, by its safetensors name."""

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


def encode(arrays: Arrays) -> bytes:
    """The bytes of `arrays`: equal arrays give equal bytes, whatever order they were named in.

    Raises `CodecError` for what `decode` would not accept, such as a dtype that may not travel.

    >>> decode(encode({"weight": np.ones(2, np.float32)}))
    {'weight': array([1., 1.], dtype=float32)}
    """
    for name, array in arrays.items():
        if array.dtype not in DTYPES.values():
            raise CodecError(f"Array {name!r} has dtype {array.dtype}; expected {_names()}.")
    # safetensors reads memory as it lies, so an array that is a view must be laid out first.
    laid_out = {name: np.array(arrays[name], order="C") for name in sorted(arrays)}
    try:
        data = save(laid_out)
    except (SafetensorError, ValueError) as error:
        raise CodecError(f"The arrays cannot be encoded: {error}.") from error
    _check(_header(data, Limits()), Limits())  # what can be written can be read
    return data


def decode(data: bytes, limits: Limits | None = None) -> dict[str, NDArray[Any]]:
    """The arrays in `data`. Raises `CodecError` for anything but a well-formed encoding in bounds.

    Guarantees:
      - Never runs code from the data, and allocates no more than a small multiple of its length.
      - Every array has a dtype of `DTYPES`, and its shape, count and size are within `limits`.
    """
    limits = limits or Limits()
    _check(_header(data, limits), limits)
    try:
        return load(data)
    except (SafetensorError, ValueError, OverflowError) as error:
        raise CodecError(f"The arrays are malformed: {error}.") from error


def _header(data: bytes, limits: Limits) -> dict[str, Any]:
    if len(data) > limits.bytes:
        raise CodecError(f"The message has {len(data)} bytes; at most {limits.bytes} are accepted.")
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(len(data) - 8, limits.header):
        raise CodecError(f"The header claims {length} bytes in a message of {len(data)}.")
    try:
        header = json.loads(data[8 : 8 + length])
    except (ValueError, RecursionError) as error:
        raise CodecError(f"The header is not JSON: {error}.") from error
    if not isinstance(header, dict) or len(header) > limits.count:
        raise CodecError(f"Expected a table of at most {limits.count} arrays.")
    return header


def _check(header: dict[str, Any], limits: Limits) -> None:
    for name, entry in header.items():
        match entry:
            case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [int(), int()]} if (
                name != METADATA
            ):
                pass
            case _:
                raise CodecError(
                    f"Array {name[:80]!r} is not described by dtype, shape and offsets."
                )
        if dtype not in DTYPES:
            raise CodecError(f"Array {name[:80]!r} has dtype {dtype[:20]!r}; expected {_names()}.")
        if len(shape) > limits.dimensions or not all(_is_size(size) for size in shape):
            raise CodecError(f"Array {name[:80]!r} has an unacceptable shape.")
        if math.prod(shape) * DTYPES[dtype].itemsize > limits.bytes:
            raise CodecError(f"Array {name[:80]!r} is larger than {limits.bytes} bytes.")


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _names() -> str:
    return ", ".join(str(dtype) for dtype in DTYPES.values())
