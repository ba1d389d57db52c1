"""Letters come out as they went in, and nothing else comes out, whatever comes in."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tacit.wire import federation_pb2 as pb
from tacit.wire.errors import CodecError
from tacit.wire.parcels import LARGEST, Assembly, Letter, parcels
from tacit.wire.protocol import CHUNK, MESSAGE

PARCELS = st.one_of(
    st.builds(
        lambda name, size: pb.Parcel(envelope=pb.Envelope(name=name, size=size)),
        st.text("ab", max_size=201),
        st.sampled_from([0, 1, 5, LARGEST + 1]),
    ),
    st.builds(lambda data: pb.Parcel(data=data), st.binary(max_size=6)),
    st.just(pb.Parcel()),
    st.just(pb.Parcel(over=pb.Over())),
)


@given(st.lists(st.builds(Letter, st.text("abc", min_size=1), st.binary(max_size=50)), max_size=4))
def test_letters_come_out_as_they_went_in(letters: list[Letter]) -> None:
    assembly = Assembly()
    added = [assembly.add(parcel) for letter in letters for parcel in parcels(letter)]
    assert [letter for letter in added if letter] == letters


def test_of_a_letter_that_nobody_wants_nothing_is_held() -> None:
    assembly = Assembly(lambda name: name == "wanted")
    for name, data in [("late", bytes(5 * CHUNK)), ("wanted", b"abc")]:
        *most, last = parcels(Letter(name, data))
        assert [assembly.add(parcel) for parcel in most] == [None] * len(most)
        assert len(assembly._data) <= 3
        assert assembly.add(last) == Letter(name, data if name == "wanted" else b"")


def test_no_parcel_is_larger_than_a_message_may_be() -> None:
    cut = list(parcels(Letter("n" * 200, bytes(3 * CHUNK + 1))))
    assert len(cut) == 5
    assert max(parcel.ByteSize() for parcel in cut) <= MESSAGE


@given(st.lists(PARCELS, max_size=8))
def test_what_is_no_letter_is_refused_and_what_is_one_has_its_size(found: list[pb.Parcel]) -> None:
    assembly, size = Assembly(), -1
    with suppress(CodecError):
        for parcel in found:
            letter = assembly.add(parcel)
            if parcel.WhichOneof("parcel") == "envelope":
                size = parcel.envelope.size
            assert letter is None or (len(letter.data) == size and letter.name)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ([pb.Parcel()], "nothing known came"),
        ([pb.Parcel(welcome=pb.Welcome())], "welcome came"),
        ([pb.Parcel(data=b"x")], "before it began"),
        ([pb.Parcel(envelope=pb.Envelope(size=1))], "name has 0 characters"),
        ([pb.Parcel(envelope=pb.Envelope(name="n", size=LARGEST + 1))], "more than"),
        ([pb.Parcel(envelope=pb.Envelope(name="n", size=2))] * 2, "before the last"),
        (
            [pb.Parcel(envelope=pb.Envelope(name="n", size=2)), pb.Parcel(data=b"xyz")],
            "other bytes",
        ),
        ([pb.Parcel(envelope=pb.Envelope(name="n", size=2)), pb.Parcel(data=b"")], "other bytes"),
    ],
)
def test_a_parcel_that_has_no_place_is_refused_and_why_is_said(
    found: list[pb.Parcel], why: str
) -> None:
    assembly = Assembly()
    for parcel in found[:-1]:
        assert assembly.add(parcel) is None
    with pytest.raises(CodecError, match=why):
        assembly.add(found[-1])
