"""What a hostile client sends in place of a reply is malformed, or a reply; nothing else happens."""

from __future__ import annotations

import io
import pickle
from contextlib import suppress

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.supercore.task_identity import TaskIdentity
from hypothesis import given
from hypothesis import strategies as st
from tacit.flower.codec import read_message, read_reply, read_state, write_message, write_state
from tacit.wire.errors import CodecError

TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1
ASKED = Message(RecordDict(), 7, "train", group_id="3")
ASKED.metadata.__dict__["_message_id"] = "asked"


def content(array: Array | None = None) -> RecordDict:
    arrays = {"w": Array(np.arange(6.0).reshape(2, 3)), "none": Array(np.zeros((0, 3)))}
    if array is not None:
        arrays["w"] = array
    return RecordDict(
        {
            "arrays": ArrayRecord(arrays),
            "metrics": MetricRecord({"loss": 0.5, "counts": [1, 2**63], "none": []}),
            "config": ConfigRecord({"on": True, "what": b"\0", "names": ["a", ""]}),
        }
    )


def reply(array: Array | None = None) -> bytes:
    return write_message(Message(content(array), reply_to=ASKED))


def saved(array: np.ndarray, *, pickled: bool = False) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=pickled)
    return file.getvalue()


def test_a_message_comes_as_it_went() -> None:
    message = Message(content(), 7, "evaluate.deeply", group_id="3", ttl=5.0)
    found = read_message(write_message(message))
    assert found.content == message.content
    assert vars(found.metadata) == vars(message.metadata)
    assert read_state(write_state(content())) == content()
    assert read_state(b"") == RecordDict()


def test_a_reply_is_to_what_was_asked_whatever_it_says_of_itself() -> None:
    other = Message(RecordDict(), 99, "query", group_id="4")
    other.metadata.__dict__["_message_id"] = "other"
    for forged in (Message(content(), reply_to=other), Message(Error(2, "no"), reply_to=other)):
        found = read_reply(write_message(forged), ASKED)
        about = found.metadata
        assert (about.reply_to_message_id, about.src_node_id, about.group_id) == ("asked", 7, "3")
        assert about.message_type == "train"
        assert found.has_error() == forged.has_error()


VALUES = np.arange(6.0).reshape(2, 3)
FALSE = [
    (saved(np.array([{}]), pickled=True), "other bytes"),
    (pickle.dumps(VALUES), "malformed"),
    (saved(VALUES)[:-1], "other bytes"),
    (saved(VALUES) + b"\0", "other bytes"),
    (saved(VALUES.astype(np.float32)), "float64, and is float32"),
    (saved(VALUES.T), "is said to be"),
    (saved(VALUES).replace(b"(2, 3)", b"(2,-3)"), "malformed"),
    (saved(VALUES).replace(b"(2, 3), }   ", b"(10**99,), }"), "malformed"),
    (saved(VALUES).replace(b"(2, 3), }      ", b"(999999999,), }"), "other bytes"),
    (saved(VALUES).replace(b"\x01\x00", b"\x09\x00", 1), "malformed"),
    (b"", "malformed"),
    (b"PK\x03\x04", "malformed"),
]


@pytest.mark.parametrize(("data", "why"), FALSE)
def test_an_array_that_is_not_what_it_says_is_malformed(data: bytes, why: str) -> None:
    with pytest.raises(CodecError, match=why):
        read_reply(reply(Array("float64", (2, 3), "numpy.ndarray", data)), ASKED)


def test_neither_records_nor_an_error_or_both_are_malformed() -> None:
    error = write_message(Message(Error(2, "no"), reply_to=ASKED))
    for data in (b"", b"\xff", reply() + error):
        with pytest.raises(CodecError, match="The reply is malformed"):
            read_reply(data, ASKED)


WHOLE = reply()


@given(
    st.lists(
        st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=6
    ),
    st.integers(0, len(WHOLE)),
)
def test_bytes_that_are_changed_are_malformed_or_a_reply(
    changes: list[tuple[int, int]], end: int
) -> None:
    data = bytearray(WHOLE)
    for place, value in changes:
        data[place] = value
    for hostile in (bytes(data), bytes(data[:end]), WHOLE[:end]):
        with suppress(CodecError):
            found = read_reply(hostile, ASKED)
            assert found.metadata.reply_to_message_id == "asked"
            records = found.content.values() if found.has_content() else ()
            for record in records:
                for array in record.values() if isinstance(record, ArrayRecord) else ():
                    assert array.stype != "numpy.ndarray" or array.numpy() is not None
