"""The projection onto the simplex, against a search of all its faces."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from tacit.privacy.simplex import onto_simplex


def nearest_by_search(point: NDArray[np.float64]) -> float:
    """The squared distance to the simplex: that of the best face, on each of which it is a formula."""
    best = np.inf
    places = range(len(point))
    for size in range(1, len(point) + 1):
        for face in map(list, combinations(places, size)):
            found = np.zeros(len(point))
            found[face] = point[face] - (point[face].sum() - 1) / size
            if (found >= 0).all():
                best = min(best, float(np.sum((found - point) ** 2)))
    return best


@given(arrays(float, st.integers(1, 6), elements=st.floats(-5, 5, width=32)))
def test_the_projection_is_the_nearest_point_of_the_simplex(point: NDArray[np.float64]) -> None:
    found = onto_simplex(point)
    assert (found >= 0).all()
    assert found.sum() == pytest.approx(1, abs=1e-12)
    assert np.sum((found - point) ** 2) == pytest.approx(nearest_by_search(point), abs=1e-9)
    np.testing.assert_allclose(onto_simplex(found), found, rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-300, 1e8, 1e300])
def test_the_projection_keeps_its_digits_however_large_the_losses_are(scale: float) -> None:
    found = onto_simplex(np.array([scale, scale, 0.0]))
    assert found.sum() == pytest.approx(1, abs=1e-12)
    assert found[0] == found[1]


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=12), st.floats(0, 100))
def test_the_projection_is_the_closest_that_is_not_negative_and_adds_up(
    values: list[float], total: float
) -> None:
    """By the conditions of Karush, Kuhn and Tucker: what is positive has one shift, the rest less."""
    given_, found = np.array(values), onto_simplex(np.array(values), np.array(total))
    assert found.sum() == pytest.approx(total, abs=1e-9)
    assert (found >= 0).all()
    shift, positive = given_ - found, found > 1e-9
    if positive.any():
        assert np.ptp(shift[positive]) < 1e-9
        assert (shift[~positive] <= shift[positive].max() + 1e-9).all()
