"""Arrays that came in a message are Flower's in every respect but the time they take."""

from __future__ import annotations

import pickle
from copy import deepcopy
from io import BytesIO

import numpy as np
import pytest
from flwr import app
from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tacit.flower.arrays import Array
from tacit.flower.packing import pack, unpack

KINDS = st.one_of(hnp.scalar_dtypes(), hnp.unicode_string_dtypes(), hnp.byte_string_dtypes())
ARRAYS = hnp.arrays(KINDS, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))


def received(plain: app.Array) -> Array:
    return Array(plain.dtype, plain.shape, plain.stype, plain.data)


@given(ARRAYS, st.booleans())
def test_an_array_is_read_as_numpy_reads_it(values: np.ndarray, transposed: bool) -> None:
    plain = app.Array(values.T if transposed else values)
    ours, theirs = received(plain).numpy(), plain.numpy()
    assert (ours.dtype, ours.shape, ours.tobytes()) == (
        theirs.dtype,
        theirs.shape,
        theirs.tobytes(),
    )
    assert ours.flags.f_contiguous == theirs.flags.f_contiguous
    assert ours.flags.writeable
    assert ours.flags.aligned


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_of_the_format_is_read(version: tuple[int, int]) -> None:
    file = BytesIO()
    np.lib.format.write_array(file, np.arange(6.0).reshape(2, 3), version)
    array = Array("float64", (2, 3), "numpy.ndarray", file.getvalue())
    assert array.numpy().tolist() == [[0, 1, 2], [3, 4, 5]]


@given(st.binary(max_size=200), st.integers(0, 400))
def test_what_is_no_array_is_refused_as_by_flower(noise: bytes, cut: int) -> None:
    whole = app.Array(np.arange(30.0)).data
    for data in (noise, whole[:cut] + noise, whole[:8] + noise):
        plain = app.Array("float64", (30,), "numpy.ndarray", data)
        try:
            expected = plain.numpy().tobytes()
        except Exception:  # noqa: BLE001 - whatever numpy says to it
            with pytest.raises(Exception):  # noqa: B017, PT011
                received(plain).numpy()
        else:
            assert received(plain).numpy().tobytes() == expected


def test_an_array_of_objects_and_one_that_is_not_numpys_are_refused() -> None:
    file = BytesIO()
    np.save(file, np.array([{}]), allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle"):
        Array("object", (1,), "numpy.ndarray", file.getvalue()).numpy()
    with pytest.raises(TypeError, match="Unsupported serialization type"):
        Array("float32", (1,), "torch.Tensor", b"").numpy()


@pytest.mark.parametrize("shape", ["(-1,)", "(-2, -15)", "(9223372036854775807, 9)", "(31,)"])
def test_a_shape_that_the_bytes_do_not_have_is_refused_as_by_flower(shape: str) -> None:
    whole = app.Array(np.arange(30.0)).data
    about = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(118)
    broken = whole[:8] + len(about).to_bytes(2, "little") + about.encode() + whole[-240:]
    for kind in (app.Array, Array):
        with pytest.raises(ValueError, match=r"\w"):
            kind("float64", (30,), "numpy.ndarray", broken).numpy()


def test_a_name_that_an_app_changes_in_one_array_changes_in_no_other() -> None:
    array = received(app.Array(np.zeros(3, [("a", "f4"), ("b", "f4")])))
    array.numpy().dtype.names = ("q", "r")
    assert array.numpy().dtype.names == ("a", "b")


def test_an_array_that_an_app_pickles_or_copies_is_flowers() -> None:
    array = received(app.Array(np.arange(400.0)))
    assert array.object_id
    for again in (pickle.loads(pickle.dumps(array)), deepcopy(array)):  # noqa: S301
        assert type(again) is app.Array
        assert again == array


def test_a_large_setting_is_a_part_that_messages_share() -> None:
    TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1
    settings = ConfigRecord({"trees": bytes(5000), "depth": 3, "name": "x"})
    messages = [Message(RecordDict({"settings": settings}), node, "train") for node in (2, 3)]
    one, other = map(pack, messages)
    assert one.parts[0] is other.parts[0]
    assert len(one.frame) < 1500
    assert unpack(one).content == messages[0].content
    assert isinstance(unpack(one).content["settings"], ConfigRecord)


def test_what_is_written_into_an_array_changes_no_other() -> None:
    array = received(app.Array(np.zeros(400)))
    array.numpy()[:] = 1
    assert not array.numpy().any()


def test_an_array_that_was_asked_for_its_id_can_be_packed_again_and_again() -> None:
    TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1
    record = ArrayRecord({"large": app.Array(np.arange(400.0)), "small": app.Array(np.zeros(2))})
    for array in record.values():
        assert array.object_id
        assert array.slice_array()
    message = Message(RecordDict({"arrays": record}), 2, "train")
    again = unpack(pack(unpack(pack(message))))
    assert again.content == message.content
    assert again.content.object_id == message.content.object_id


def test_bytes_that_an_app_can_change_are_packed_as_they_are_then() -> None:
    TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1
    array = app.Array(np.zeros(400))
    array.data = changed = bytearray(array.data)  # type: ignore[assignment]  # nothing stops an app
    record = ArrayRecord()
    record["large"] = array
    packed = pack(Message(RecordDict({"arrays": record}), 2, "train"))
    changed[-8:] = bytes(range(8))
    assert not unpack(packed).content.array_records["arrays"]["large"].numpy().any()


def test_equal_arrays_are_equal_whoever_made_them() -> None:
    plain = app.Array(np.arange(3.0))
    assert received(plain) == plain == received(plain)
    assert received(plain) != app.Array(np.arange(4.0))
    assert received(plain) != 3
