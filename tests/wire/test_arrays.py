"""The codec: what goes in comes out, bit for bit, or is refused by name."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from contracts.bits import assert_same_bits, backwards, bits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from safetensors.numpy import save
from tacit.wire import Arrays, CodecError, Limits, Stored, decode, encode, write_arrays
from tacit.wire.header import DTYPES

NAMES = st.text(st.characters(codec="utf-8"), max_size=12).filter(
    lambda name: name != "__metadata__"
)
PLAIN = [dtype.str for dtype in DTYPES.values()]
REFUSED = ["?", "i1", "u1", "i2", "i4", "u4", "u8", "c8", "c16", "U3", "S3", "M8[s]", "g", "V4"]


@st.composite
def views(draw: st.DrawFn) -> NDArray[Any]:
    """Arrays of any shape as they may lie in memory: 0-d, empty, strided, reversed, in Fortran order."""
    dtype = np.dtype(draw(st.sampled_from(PLAIN)))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    size = int(np.prod(shape)) * dtype.itemsize
    array = np.frombuffer(draw(st.binary(min_size=size, max_size=size)), dtype).reshape(shape)
    match draw(
        st.sampled_from(["as is", "fortran", "strided", "reversed", "transposed", "broadcast"])
    ):
        case "fortran":
            return np.asfortranarray(array).reshape(shape, order="A")
        case "strided" if shape:
            return np.repeat(array, 2, axis=-1)[..., ::2]
        case "reversed" if shape:
            return array[::-1]
        case "transposed":
            return array.T
        case "broadcast":
            return np.broadcast_to(array, (2, *shape))
    return array


@settings(derandomize=True, database=None, deadline=None, max_examples=300)
@given(st.dictionaries(NAMES, views(), max_size=5))
def test_arrays_of_any_layout_survive_bit_for_bit(arrays: dict[str, NDArray[Any]]) -> None:
    """NaN payloads, infinities and negative zeros included: the values are random bytes."""
    data = encode(arrays)
    assert data == save({name: np.array(array, order="C") for name, array in arrays.items()})
    assert_same_bits(decode(data), arrays)
    assert encode(backwards(arrays)) == data
    assert encode(decode(data)) == data


@settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.dictionaries(NAMES, views(), max_size=5))
def test_a_file_that_is_written_array_by_array_is_the_encoding(
    tmp_path: Path, arrays: dict[str, NDArray[Any]]
) -> None:
    path, data = tmp_path / "arrays", encode(arrays)
    with path.open("wb") as file:
        assert write_arrays(file, arrays) == hashlib.sha256(data).hexdigest()
    assert path.read_bytes() == data
    found = Stored(path)
    assert_same_bits(found, arrays)
    assert {k: (a.shape, a.dtype) for k, a in found.layout.items()} == {
        k: (a.shape, a.dtype) for k, a in arrays.items()
    }


def test_a_file_that_became_shorter_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "arrays"
    path.write_bytes(encode({"a": np.ones(3), "b": np.ones(3)}))
    found = Stored(path)
    path.write_bytes(path.read_bytes()[:-1])
    assert_same_bits({"a": found["a"]}, {"a": np.ones(3)})
    with pytest.raises(CodecError, match="shorter than it was"):
        found["b"]


def test_what_is_read_from_a_file_is_its_own(tmp_path: Path) -> None:
    (tmp_path / "arrays").write_bytes(encode({"a": np.zeros(3)}))
    found = Stored(tmp_path / "arrays")
    found["a"][:] = 1
    np.testing.assert_array_equal(found["a"], np.zeros(3))


def test_what_is_decoded_is_its_own() -> None:
    data = encode({"a": np.zeros(3)})
    decode(data)["a"][:] = 1
    np.testing.assert_array_equal(decode(data)["a"], np.zeros(3))


@pytest.mark.parametrize("dtype", PLAIN)
def test_the_other_byte_order_is_refused_rather_than_misread(dtype: str) -> None:
    swapped = np.arange(4).astype(np.dtype(dtype).newbyteorder(">"))
    with pytest.raises(CodecError, match=r"'a' has dtype >.*expected float16, float32"):
        encode({"a": swapped})
    native = swapped.astype(dtype)
    assert_same_bits(decode(encode({"a": native})), {"a": native})


@pytest.mark.parametrize("dtype", REFUSED)
def test_a_dtype_that_may_not_travel_is_refused(dtype: str) -> None:
    with pytest.raises(CodecError, match="'a' has dtype"):
        encode({"a": np.zeros(2, dtype)})


class Bomb:
    """Unpickling it does what an attacker likes."""

    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("something was unpickled",)


def test_objects_are_refused_and_nothing_is_ever_unpickled() -> None:
    with pytest.raises(CodecError, match="has dtype object"):
        encode({"a": np.array([Bomb()], dtype=object)})
    pickled = pickle.dumps({"a": Bomb()})
    for data in (pickled, len(pickled).to_bytes(8, "little") + pickled):
        with pytest.raises(CodecError):
            decode(data)


def test_a_checkpoint_of_torch_is_refused() -> None:
    with pytest.raises(CodecError):
        decode(pickle.dumps(torch.zeros(2)))


@pytest.mark.parametrize(
    "arrays",
    [
        {f"{i}": np.zeros(1, np.float32) for i in range(10_001)},
        {"a": np.zeros((1,) * 9)},
        {"__metadata__": np.zeros(1)},
        {"\ud800": np.zeros(1)},
    ],
    ids=["too many", "too many dimensions", "a reserved name", "a name that is not text"],
)
def test_what_could_not_be_read_again_is_not_written(arrays: dict[str, NDArray[Any]]) -> None:
    with pytest.raises(CodecError):
        encode(arrays)


def test_limits_are_honoured_to_the_last_unit() -> None:
    arrays: Arrays = {"a": np.zeros((2, 3), np.float32), "b": np.zeros(5)}
    data = encode(arrays)
    header = int.from_bytes(data[:8], "little")
    exact = Limits(count=2, dimensions=2, bytes=len(data), header=header)
    assert bits(decode(data, exact)) == bits(arrays)
    for less in (
        Limits(count=1),
        Limits(dimensions=1),
        Limits(bytes=len(data) - 1),
        Limits(header=header - 1),
    ):
        with pytest.raises(CodecError):
            decode(data, less)


@pytest.mark.parametrize("name", ["count", "dimensions", "bytes", "header"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_a_limit_that_is_not_positive_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"Expected {name} >= 1"):
        Limits(**{name: value})  # type: ignore[arg-type]
