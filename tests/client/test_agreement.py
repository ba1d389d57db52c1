"""A site answers what its study says, once for each round of one run, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tacit.client.agreement import Agreement
from tacit.client.outbox import Outbox, blob_of
from tacit.wire import Instruction, Purpose
from tacit.wire import federation_pb2 as pb
from tacit.wire.errors import Declined, Disagreement
from tacit.wire.protocol import digest, read_instruction, write_instruction

MODEL = {"w": np.zeros(3, np.float32)}
ASKED = Instruction(
    run="r", round=2, purpose=Purpose.FIT, seed=1, parameters=MODEL, settings={"epochs": 1}
)
AGREEMENT = Agreement(
    study={"rounds": 5},
    seed=1,
    rounds=5,
    every=2,
    settings={"epochs": 1},
    terms=frozenset(),
    model=MODEL,
    extras={},
)


def message(asked: Instruction) -> pb.Instruction:
    parameters, extras = (blob_of(arrays)[0] for arrays in (asked.parameters, {"": np.zeros(0)}))
    extras.size = 16  # of no arrays
    return read_instruction(write_instruction(asked, parameters, extras))


def consider(asked: Instruction, last: int = -1) -> None:
    AGREEMENT.consider(message(asked), "r", last)


def test_what_was_agreed_is_considered() -> None:
    consider(ASKED, last=1)
    consider(replace(ASKED, round=4, purpose=Purpose.EVALUATE), last=2)
    consider(replace(ASKED, round=5, purpose=Purpose.EVALUATE))
    AGREEMENT.check(ASKED)


@pytest.mark.parametrize(
    ("asked", "last", "said"),
    [
        (replace(ASKED, run="s"), -1, "another run"),
        (replace(ASKED, round=0), -1, "round 0 of 5"),
        (replace(ASKED, round=6), -1, "round 6 of 5"),
        (replace(ASKED, purpose=Purpose.ALONE), -1, "with the others only"),
        (ASKED, 2, "answered another question about round 2"),
        (ASKED, 3, "answered another question about round 3"),
        (replace(ASKED, round=3, purpose=Purpose.EVALUATE), -1, "no evaluation is due"),
        (replace(ASKED, parameters={"w": np.zeros(10**6)}), -1, "another model"),
    ],
)
def test_what_was_not_agreed_is_declined_before_anything_is_fetched(
    asked: Instruction, last: int, said: str
) -> None:
    with pytest.raises(Declined, match=said):
        consider(asked, last)


@pytest.mark.parametrize(
    "asked",
    [
        replace(ASKED, seed=2),
        replace(ASKED, settings={"epochs": 2}),
        replace(ASKED, terms={"clip": 1.0}),
        replace(ASKED, parameters={"v": MODEL["w"]}),
        replace(ASKED, parameters={"w": np.full(3, np.nan, np.float32)}),
        replace(ASKED, extras=MODEL),
    ],
)
def test_other_settings_terms_models_and_extras_are_declined(asked: Instruction) -> None:
    with pytest.raises(Declined):
        AGREEMENT.check(asked)


def test_an_evaluation_brings_what_a_fit_brings_only_if_it_asks_what_a_fit_would_do() -> None:
    sends = replace(AGREEMENT, extras=MODEL)
    bare = replace(ASKED, round=4, purpose=Purpose.EVALUATE)
    for agreement, asked, other in (
        (sends, bare, replace(bare, extras=MODEL)),
        (replace(sends, clipping=True), replace(bare, extras=MODEL), bare),
    ):
        agreement.check(asked)
        with pytest.raises(Declined, match="another model"):
            agreement.check(other)


def test_a_site_keeps_to_one_run_until_somebody_there_says_otherwise(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    outbox.bind("r")
    answer = pb.Answer(instruction=digest(b"i"), update=pb.Update(round=3))
    outbox.keep("fit", answer, b"")
    Outbox(tmp_path).bind("r")
    assert (outbox.last("fit"), outbox.last("evaluate")) == (3, -1)
    with pytest.raises(Disagreement, match=r"takes part in run r, .* remove .*run"):
        outbox.bind("another")
    (tmp_path / "run").unlink()
    outbox.bind("another")
    assert outbox.last("fit") == -1
