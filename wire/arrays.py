"""Arrays to bytes and back, in the safetensors format: no pickle, and nothing unbounded on decode.

The header is checked against `Limits` before any array is made, so hostile bytes can cost no more
memory than their own length. A file is written and read array by array.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load

from .errors import CodecError
from .header import DTYPES, Limits, read_header, write_header
from .messages import Arrays


def encode(arrays: Arrays) -> bytes:
    """The bytes of `arrays`: equal arrays give equal bytes, whatever order they were named in.

    Raises `CodecError` for what `decode` would not accept, such as a dtype that may not travel.

    >>> decode(encode({"weight": np.ones(2, np.float32)}))
    {'weight': array([1., 1.], dtype=float32)}
    """
    file = io.BytesIO()
    write_arrays(file, arrays)
    return file.getvalue()


def decode(data: bytes, limits: Limits | None = None) -> dict[str, NDArray[Any]]:
    """The arrays in `data`. Raises `CodecError` for anything but a well-formed encoding in bounds.

    Guarantees:
      - Never runs code from the data, and allocates no more than a small multiple of its length.
      - Every array has a dtype of `DTYPES`, and its shape, count and size are within `limits`.
    """
    read_header(data, len(data), limits or Limits())
    try:
        return load(data)
    except (SafetensorError, ValueError, OverflowError) as error:
        raise CodecError(f"The arrays are malformed: {error}.") from error


def encoded_size(arrays: Arrays) -> int:
    """How many bytes `encode(arrays)` has.

    >>> encoded_size({"x": np.ones(2)}) == len(encode({"x": np.ones(2)}))
    True
    """
    found = layout(arrays)
    return len(write_header(found)[0]) + sum(array.nbytes for array in found.values())


def write_arrays(file: BinaryIO, arrays: Arrays) -> str:
    """Writes `encode(arrays)` to `file`, and returns its SHA-256.

    One array is in memory at a time. Each is read twice, as the header comes first and knows their
    shapes.
    """
    head, names = write_header(layout(arrays))
    digest = hashlib.sha256(head)
    file.write(head)
    for name in names:
        data = np.ravel(arrays[name]).data  # in C order, however it lies in memory
        digest.update(data)
        file.write(data)
        del data  # before the next one is read
    return digest.hexdigest()


class Stored(Mapping[str, NDArray[Any]]):
    """The arrays of a file that `write_arrays` wrote, each read anew whenever it is asked for.

    Guarantees:
      - A file is accepted if and only if `decode` accepts its bytes, and its arrays are the same.
      - No more is in memory than the header. The file is not kept open.

    Raises `CodecError` like `decode`, and when an array is read for which the file became too short.
    """

    def __init__(self, path: Path, limits: Limits | None = None) -> None:
        limits, size = limits or Limits(), path.stat().st_size
        with path.open("rb") as file:
            head = file.read(8)
            length = int.from_bytes(head, "little")
            head += file.read(min(length, size, limits.header))
        self.path = path
        self._table = read_header(head, size, limits)
        self._start = 8 + length
        try:
            with safe_open(str(path), framework="np"):  # checks offsets and lengths as `load` does
                self.layout = {
                    name: _still(entry["shape"], DTYPES[entry["dtype"]])
                    for name, entry in self._table.items()
                }
        except (SafetensorError, ValueError, OverflowError) as error:
            raise CodecError(f"The arrays are malformed: {error}.") from error

    def __getitem__(self, name: str) -> NDArray[Any]:
        like, offset = self.layout[name], self._start + self._table[name]["data_offsets"][0]
        array = np.fromfile(self.path, like.dtype, like.size, offset=offset)
        if array.size != like.size:
            raise CodecError(f"{self.path} is shorter than it was.")
        return array.reshape(like.shape)

    def __contains__(self, name: object) -> bool:
        return name in self.layout

    def __iter__(self) -> Iterator[str]:
        return iter(self.layout)

    def __len__(self) -> int:
        return len(self.layout)


def layout(arrays: Arrays) -> dict[str, NDArray[Any]]:
    """Zeros in the shapes and dtypes of `arrays`, which take no memory.

    >>> layout({"x": np.ones(10**6)})["x"].strides
    (0,)
    """
    if isinstance(arrays, Stored):
        return arrays.layout
    return {name: _still(array.shape, array.dtype) for name, array in arrays.items()}


def _still(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.broadcast_to(np.zeros((), dtype), shape)
