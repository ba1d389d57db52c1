"""Decoding what an adversary sends: arrays within the limits, or `CodecError`, and nothing else."""

from __future__ import annotations

import json
import os
import random
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from contracts.bits import assert_same_bits
from tacit.wire import CodecError, Limits, Stored, decode, encode
from tacit.wire.header import DTYPES

LIMITS = Limits(count=20, dimensions=4, bytes=1 << 16, header=1 << 14)
INPUTS = int(os.environ.get("TACIT_FUZZ_INPUTS", "10000"))
HUGE = [0, 1, -1, 2**31, 2**32, 2**53, 2**62, 2**63, 2**64 - 1, 2**64, 2**70, 10**30]


def packed(header: object, body: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, str) else json.dumps(header)
    data = text.encode("utf-8", "surrogatepass")
    return (len(data) if length is None else length).to_bytes(8, "little") + data + body


def entry(
    dtype: object = "F32", shape: object = (2,), offsets: object = (0, 8)
) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


EIGHT = bytes(8)
HAND_MADE: dict[str, bytes] = {
    "nothing": b"",
    "less than a length": b"\0" * 7,
    "only a length": bytes(8),
    "a length of 2^64 - 1": b"\xff" * 8 + b"{}",
    "a length beyond the end": packed({}, length=3),
    "a length within the header": packed({"a": entry()}, EIGHT, length=10),
    "petabytes": packed({"a": entry(shape=[2**50], offsets=[0, 2**52])}, EIGHT),
    "a product that overflows": packed({"a": entry(shape=[2**32, 2**32], offsets=[0, 8])}, EIGHT),
    "a product that wraps to fit": packed({"a": entry(shape=[2**62 + 2], offsets=[0, 8])}, EIGHT),
    "nothing, of great width": packed({"a": entry(shape=[0, 2**62], offsets=[0, 0])}),
    "nothing, beyond 64 bits": packed({"a": entry(shape=[0, 2**64], offsets=[0, 0])}),
    "a negative size": packed({"a": entry(shape=[-2])}, EIGHT),
    "a negative offset": packed({"a": entry(offsets=[-8, 0])}, EIGHT),
    "offsets the wrong way round": packed({"a": entry(offsets=[8, 0])}, EIGHT),
    "offsets that overlap": packed({"a": entry(), "b": entry(offsets=[4, 12])}, bytes(12)),
    "offsets that agree": packed({"a": entry(), "b": entry()}, EIGHT),
    "offsets with a gap": packed({"a": entry(), "b": entry(offsets=[16, 24])}, bytes(24)),
    "bytes left over": packed({"a": entry()}, bytes(9)),
    "bytes missing": packed({"a": entry()}, bytes(7)),
    "a shape that does not fill the offsets": packed({"a": entry(shape=[1])}, EIGHT),
    "a dtype that may not travel": packed({"a": entry("BOOL", [8])}, EIGHT),
    "a dtype nobody knows": packed({"a": entry("F" * 10_000)}, EIGHT),
    "a dtype that is no text": packed({"a": entry(["F32"])}, EIGHT),
    "a shape that is no list": packed({"a": entry(shape=2)}, EIGHT),
    "a size that is no integer": packed({"a": entry(shape=[2.0])}, EIGHT),
    "a size that is true": packed({"a": entry(shape=[True, 2])}, EIGHT),
    "a size that is null": packed({"a": entry(shape=[None])}, EIGHT),
    "NaN": packed('{"a": NaN}'),
    "a size that is infinite": packed('{"a": ' + json.dumps(entry(shape=[float("inf")])) + "}"),
    "an offset of 5000 digits": packed('{"a": {"data_offsets": [0, ' + "9" * 5000 + "]}}"),
    "too many dimensions": packed({"a": entry(shape=[1] * 5)}, EIGHT),
    "too many arrays": packed({str(i): entry(shape=[0], offsets=[0, 0]) for i in range(21)}),
    "metadata": packed({"__metadata__": {"a": "b"}}),
    "metadata that is an array": packed({"__metadata__": entry()}, EIGHT),
    "a list": packed([entry()], EIGHT),
    "a number": packed("1"),
    "deep lists": packed("[" * 8000 + "]" * 8000),
    "deep tables": packed('{"a":' * 2000 + "1" + "}" * 2000),
    "no JSON": packed("{'a': 1}"),
    "two headers": packed("{}{}"),
    "half a surrogate": packed('{"\\ud800": ' + json.dumps(entry()) + "}", EIGHT),
    "a name that is not UTF-8": packed('{"\ud800": ' + json.dumps(entry()) + "}", EIGHT),
    "UTF-16": (32).to_bytes(8, "little") + '{"a": {"b": 1} }'.encode("utf-16-le"),
    "a key twice inside": packed(
        '{"a": {"dtype": "BOOL", "dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}', EIGHT
    ),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "arrays.safetensors"


@pytest.mark.parametrize("data", HAND_MADE.values(), ids=HAND_MADE.keys())
def test_a_lie_in_the_header_is_refused(data: bytes, path: Path) -> None:
    path.write_bytes(data)
    with pytest.raises(CodecError):
        decode(data, LIMITS)
    with pytest.raises(CodecError):
        Stored(path, LIMITS)


def test_of_two_arrays_of_one_name_the_checked_one_is_used(path: Path) -> None:
    """A reader that kept the first and a check that saw the last would let any dtype through."""
    good, bad = json.dumps(entry()), json.dumps(entry("BOOL", [8]))
    with pytest.raises(CodecError):
        decode(packed(f'{{"a": {good}, "a": {bad}}}', EIGHT), LIMITS)
    survived(packed(f'{{"a": {bad}, "a": {good}}}', EIGHT), path)


def survived(data: bytes, path: Path) -> bool:
    """Whether `data` decodes. Fails for anything but arrays within `LIMITS` or `CodecError`.

    From a file (at `path`) it must decode to the same arrays, or not at all as well.
    """
    path.unlink(missing_ok=True)  # writing over a file waits for the disk on some systems
    path.write_bytes(data)
    try:
        arrays = decode(data, LIMITS)
    except CodecError:
        with pytest.raises(CodecError):
            Stored(path, LIMITS)
        return False
    assert_same_bits(Stored(path, LIMITS), arrays)
    assert len(arrays) <= LIMITS.count
    for array in arrays.values():
        assert array.dtype in DTYPES.values()
        assert array.ndim <= LIMITS.dimensions
    assert sum(array.nbytes for array in arrays.values()) <= len(data)
    return True


def seeds() -> list[bytes]:
    rng = np.random.default_rng(0)
    return [
        encode({}),
        encode({"a": np.ones((2, 3), np.float32)}),
        encode({"weight": rng.normal(size=(3, 2)), "b": np.arange(4), "é": np.zeros(())}),
        encode({f"layer.{i}": np.zeros((i, 2), np.float16) for i in range(6)}),
    ]


def damaged(chance: random.Random) -> Iterator[bytes]:
    """One round of every kind of damage."""
    data = bytearray(chance.choice(seeds()))
    header = int.from_bytes(data[:8], "little")
    for _ in range(chance.randint(1, 4)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    yield bytes(data)
    whole = chance.choice(seeds())
    yield whole[: chance.randrange(len(whole))] + chance.randbytes(chance.randrange(4))
    start, end = sorted(chance.choices(range(8, 8 + header + 1), k=2))
    yield bytes(data[:start] + data[end:])
    yield chance.randbytes(chance.randrange(64))
    table = {chance.choice("abc"): lie(chance) for _ in range(chance.randrange(4))}
    yield packed(table, bytes(chance.choice([0, 4, 8, 16])))
    text = whole[8:].decode("utf-8", "replace")
    yield packed(text.replace(*chance.choice(SWAPS), 1))
    cut = 8 + int.from_bytes(whole[:8], "little")
    text = whole[8:cut].decode().replace(*chance.choice(SWAPS), 1)
    yield packed(text, whole[cut:])


SWAPS = [("[", "[["), ("0", "-1"), ("2", "1e99"), ('"', ""), ("F", "I"), (":", ","), ("}", "}}")]


def lie(chance: random.Random) -> object:
    odd: list[object] = [None, True, "x", -0.0, [], {}, "F32", [1, 2]]
    size = chance.choice([chance.choice(HUGE), chance.choice(odd), 2])
    return chance.choice(
        [
            entry(shape=[size], offsets=[0, chance.choice(HUGE)]),
            entry(shape=[size, chance.choice(HUGE)], offsets=[0, 8]),
            entry(dtype=chance.choice([*DTYPES, "BOOL", "F8_E4M3", 3]), shape=[1]),
            {**entry(), chance.choice(["dtype", "shape", "data_offsets", "more"]): size},
            chance.choice(odd),
        ]
    )


def test_no_damage_gets_anything_but_arrays_or_a_codec_error(path: Path) -> None:
    chance, tried, decoded = random.Random(1), 0, 0
    while tried < INPUTS:
        for data in damaged(chance):
            tried += 1
            decoded += survived(data, path)
    assert 0 < decoded < tried / 2


def test_hostile_bytes_cost_no_more_memory_than_their_length_warrants(path: Path) -> None:
    """Under the default limits, whose 8 GiB a header could otherwise claim."""
    claims = [*HAND_MADE.values(), packed({"a": entry(shape=[2**31], offsets=[0, 2**33])}, EIGHT)]
    for data in claims:
        tracemalloc.start()
        with suppress(CodecError):
            decode(data)
        path.write_bytes(data)
        with suppress(CodecError):
            dict(Stored(path))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 64 * len(data) + 200_000
