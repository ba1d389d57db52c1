"""The gate of an evaluation: tables that can be added later are kept, or added now under the noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from tacit.fairness.measuring import Counts, Measuring
from tacit.fairness.tables import Attribute, Judged, Schema
from tacit.privacy import Mean
from tacit.privacy.clipping import norm
from tacit.privacy.counts import ClientCounts, RowCounts
from tacit.server import Admission
from tacit.strategies import FedAvg
from tacit.wire import Fold, Instruction, Purpose, Update
from tacit.wire.fold import from_fixed

SCHEMA = Schema(attributes=(Attribute(name="sex", groups=("f", "m")),), classes=2, bins=4)
ASKED = Instruction(round=2, purpose=Purpose.EVALUATE, seed=0, parameters={"w": np.ones(3)})
NOISES: dict[str, Counts] = {
    "of clients": ClientCounts(clip=5.0, noise_multiplier=1.0),
    "of rows": RowCounts(sensitivity=SCHEMA.sensitivity, noise_multiplier=1.0),
}


def answered(update: Update, noise: Counts | None = None) -> Fold:
    admission = Admission(
        strategy=FedAvg(), mechanism=Mean(), measuring=Measuring(schema=SCHEMA, noise=noise)
    )
    fold = Fold()
    admission.open(ASKED, ["ann", "bob"])(fold, update)
    return fold


def honest() -> Update:
    """What a client with 9 rows counts."""
    rng = np.random.default_rng(0)
    judged = Judged(
        targets=rng.integers(0, 2, 9),
        guesses=rng.integers(0, 2, 9),
        scores=rng.random(9),
        losses=rng.exponential(1, 9),
        groups={"sex": rng.integers(0, 2, 9)},
    )
    tables = SCHEMA.count(judged)
    return Update(
        client="ann", round=2, examples=9, contribution=tables, statistics={"correct": 4.0}
    )


def test_in_the_clear_a_clients_tables_are_kept_with_its_receipt_and_nothing_is_added() -> None:
    fold = answered(honest())
    assert fold.sums == {}
    for name, table in honest().contribution.items():
        assert np.array_equal(fold.receipts[0].tables[name], table)


@pytest.mark.parametrize("kind", NOISES)
def test_under_noise_they_are_added_and_none_is_kept(kind: str) -> None:
    fold = answered(replace(honest(), examples=0, statistics={}), NOISES[kind])
    assert sorted(fold.sums) == [f"sum/{name}" for name in sorted(SCHEMA.zeros())]
    assert fold.receipts[0].tables == {}


def changed(entry: float) -> NDArray[np.float64]:
    table = np.array(honest().contribution["sex/loss"])
    table[0, 1] = entry
    return table


def noise_unit(noise: ClientCounts) -> float:
    """The norm to which a client's part of the sum is clipped, in the steps of its grid."""
    grid, unit = noise._grid()
    return noise.clip / grid * unit * (1 + 1e-9)


IMPOSSIBLE = {
    "fewer than none of a group": ("sex/confusion", np.full((2, 2, 2), -1.0)),
    "more rows than are claimed": ("sex/confusion", np.full((2, 2, 2), 7.0)),
    "scores of other rows": ("sex/scores", np.zeros((2, 2, 4))),
    "losses of other rows": ("sex/loss", np.full((2, 3), 2.0)),
}


@pytest.mark.parametrize("kind", IMPOSSIBLE)
def test_tables_that_no_such_rows_can_have_are_refused(kind: str) -> None:
    name, table = IMPOSSIBLE[kind]
    fold = answered(replace(honest(), contribution={**honest().contribution, name: table}))
    assert fold.receipts == []
    assert "no such rows" in fold.refusals[0].reason


HOSTILE: dict[str, tuple[str, NDArray[np.generic]]] = {
    "NaN": ("sex/loss", changed(np.nan)),
    "infinity": ("sex/loss", changed(np.inf)),
    "more than anyone can count": ("sex/loss", changed(-1e300)),
    "another shape": ("sex/loss", np.zeros((3, 3))),
    "another type": ("sex/loss", np.zeros((2, 3), np.float32)),
    "a table too many": ("sex/secret", np.zeros(2)),
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("noise", [None, *NOISES.values()], ids=repr)
def test_tables_that_spoil_a_sum_leave_a_reason_and_nothing_else(
    kind: str, noise: Counts | None
) -> None:
    name, table = HOSTILE[kind]
    update = replace(honest(), contribution={**honest().contribution, name: table})
    fold = answered(update, noise)
    if isinstance(noise, ClientCounts) and np.all(np.isfinite(np.asarray(table))) and fold.receipts:
        assert norm({k: from_fixed(a) for k, a in fold.sums.items()}) <= noise_unit(noise)
        return
    assert fold.receipts == []
    assert len(fold.refusals) == 1
    assert not any(array.any() for array in fold.sums.values())
