"""Messages: nothing private prints, and parts of a contribution keep apart."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from contracts.bits import assert_same_bits
from hypothesis import given, settings
from hypothesis import strategies as st
from tacit.wire import ClientsFailed, Failure, Instruction, Purpose, Receipt, Update
from tacit.wire.messages import named, part

SECRET = 8642.13579
ARRAYS = {"weight": np.array([SECRET])}
PRIVATE = [
    Update(client="a", round=1, examples=97531, contribution=ARRAYS, statistics={"loss": SECRET}),
    Receipt(client="a", examples=97531, statistics={"loss": SECRET}),
    Failure(client="a", error="ValueError: no", traceback=f"{SECRET} 97531"),
    Instruction(round=1, purpose=Purpose.FIT, seed=2, parameters=ARRAYS, extras=ARRAYS),
]


@pytest.mark.parametrize("message", PRIVATE, ids=lambda message: type(message).__name__)
def test_what_is_private_does_not_print(message: object) -> None:
    for text in (repr(message), str(message), f"{message}", repr([message])):
        assert "8642" not in text
        assert "97531" not in text


@settings(derandomize=True, database=None, deadline=None, max_examples=100)
@given(st.lists(st.text(max_size=6), max_size=4, unique=True))
def test_a_part_gives_back_exactly_what_was_named(names: list[str]) -> None:
    """Whatever the arrays are called, also like another part."""
    arrays = {name: np.array([float(i)]) for i, name in enumerate(names)}
    mixed = {**named("delta", arrays), **named("delta/x", {"y": np.ones(1)}), "norm": np.ones(1)}
    if "x/y" not in arrays:
        expected = {**arrays, "x/y": np.ones(1)}
        assert_same_bits(part("delta", mixed), expected)
    assert_same_bits(part("control", named("control", arrays)), arrays)


def test_an_error_keeps_the_round_and_the_failures() -> None:
    failure = Failure(client="a", error="ValueError: no", traceback="there")
    error = ClientsFailed(3, "1 of 2 clients failed", [failure])
    assert (str(error), error.round, error.failures) == ("1 of 2 clients failed", 3, (failure,))


def test_an_instruction_survives_the_way_to_another_process() -> None:
    sent = Instruction(round=1, purpose=Purpose.ALONE, seed=2, parameters={}, settings={"a": 1})
    assert pickle.loads(pickle.dumps(sent)) == sent  # noqa: S301 - our own bytes
