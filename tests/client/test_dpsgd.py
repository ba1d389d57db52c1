"""The terms of DP-SGD: what they refuse, and what they say that one step releases."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from tacit.client.dpsgd import DPSGD
from tacit.privacy.event import Gaussian, Poisson


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clip": 0.0}, "clip > 0, got 0.0"),
        ({"clip": math.nan}, "clip > 0, got nan"),
        ({"clip": math.inf}, "clip > 0, got inf"),
        ({"noise_multiplier": 0.0}, "noise_multiplier > 0, got 0.0"),
        ({"noise_multiplier": math.nan}, "noise_multiplier > 0, got nan"),
        ({"noise_multiplier": {}}, "a noise_multiplier for each client, got none"),
        ({"noise_multiplier": {"a": 1.0, "b": -1.0}}, "> 0 for client 'b', got -1.0"),
        ({"clipping": "automatic"}, "clipping in .*, got 'automatic'"),
        ({"engine": "functorch"}, "engine in .*, got 'functorch'"),
        ({"engine": "ghost", "clipping": "per_layer"}, 'Use engine = "hooks"'),
        ({"engine": "ghost", "clipping": "adaptive"}, 'Use engine = "hooks"'),
        ({"physical_batch": 0}, "physical_batch >= 1, got 0"),
    ],
)
def test_terms_that_cannot_be_kept_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DPSGD(**{"noise_multiplier": 1.0, **options})


def test_each_client_may_have_a_noise_multiplier_of_its_own() -> None:
    terms = DPSGD(clip=3.0, noise_multiplier={"a": 1.0, "b": 2.0})
    assert terms.for_client("b") == DPSGD(clip=3.0, noise_multiplier=2.0)
    with pytest.raises(ValueError, match=r"client 'c', got those of \['a', 'b'\]"):
        terms.for_client("c")
    with pytest.raises(ValueError, match="use for_client"):
        terms.event(10, 2)


def test_one_noise_multiplier_is_that_of_every_client() -> None:
    terms = DPSGD(noise_multiplier=1.5)
    assert terms.for_client("anyone") == terms


@pytest.mark.parametrize(
    ("rows", "batch", "rate"), [(100, 64, 0.64), (20, 1, 0.05), (10, 3, 0.3), (5, 64, 1), (1, 1, 1)]
)
def test_the_rate_is_the_batch_by_the_rows_and_not_one_by_the_number_of_batches(
    rows: int, batch: int, rate: float
) -> None:
    terms = DPSGD(noise_multiplier=0.7)
    assert terms.rate(rows, batch) == rate
    of = Gaussian(noise_multiplier=0.7)
    assert terms.event(rows, batch) == (of if rate == 1 else Poisson(rate=rate, of=of))


@pytest.mark.parametrize("sizes", [(0, 1), (1, 0), (-1, 4)])
def test_no_rows_have_no_rate(sizes: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="Expected rows >= 1"):
        DPSGD(noise_multiplier=1.0).rate(*sizes)


@given(z=st.floats(1e-3, 1e3), expected=st.integers(1, 10_000))
def test_gradients_and_count_together_are_as_private_as_one_release(
    z: float, expected: int
) -> None:
    """Gaussians of multipliers a and b at once are one of multiplier (a^-2 + b^-2)^-1/2."""
    multiplier, deviation = DPSGD(noise_multiplier=z, clipping="adaptive").split(expected)
    count = deviation / 0.5  # a row moves the count by a half
    assert (multiplier**-2 + count**-2) ** -0.5 == pytest.approx(z)
    assert z <= multiplier <= 1.16 * z
    assert deviation >= expected / 20


def test_without_a_count_the_gradients_have_the_whole_multiplier() -> None:
    assert DPSGD(noise_multiplier=1.3, clipping="per_layer").split(10) == (1.3, 0.0)


def test_terms_are_read_from_a_table_as_a_configuration_is() -> None:
    reader = TypeAdapter(DPSGD)
    table = {"noise_multiplier": {"a": 1.0}, "clipping": "adaptive", "physical_batch": 16}
    read = reader.validate_python(table)
    assert read == DPSGD(noise_multiplier={"a": 1.0}, clipping="adaptive", physical_batch=16)
    with pytest.raises(ValidationError, match="noise_multiplier"):
        reader.validate_python({"clip": 1.0})
