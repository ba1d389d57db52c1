"""A population in numbers: every row is counted once, and the numbers are read back."""

from __future__ import annotations

from typing import Any

import pytest
from tacit.simulations import make_config
from tacit.simulations.description import describe, from_json, to_json
from tacit.simulations.setup import prepare

CONFIG: dict[str, Any] = {
    "rounds": 1,
    "data": {"name": "breast_cancer"},
    "partition": {"kind": "dirichlet", "clients": 25, "alpha": 1.0, "min_rows": 5},
}


@pytest.mark.parametrize("change", ["held_out=0.2", "standardise='client'", "held_out=0.0"])
def test_a_description_counts_every_row_once(change: str) -> None:
    described = describe(prepare(make_config(CONFIG, [f"data.{change}"])).population)
    assert described.official == 0
    assert described.rows == 569


def test_a_description_is_read_back_as_it_was() -> None:
    described = describe(prepare(make_config(CONFIG)).population)
    assert from_json(to_json(described)) == described
