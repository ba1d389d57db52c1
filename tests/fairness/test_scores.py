"""Discrimination and calibration from histograms are those of the binned scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, roc_auc_score
from tacit.fairness.rate import Array
from tacit.fairness.scores import auc, brier, calibration_error, midpoints, reliability
from tacit.fairness.tables import Judged, Schema

BINS = 20


def some_scores(seed: int, rows: int = 300) -> tuple[NDArray[np.int64], Array]:
    """Classes, and scores that know something of them."""
    rng = np.random.default_rng(seed)
    targets = (rng.random(rows) < 0.3).astype(np.int64)
    targets[:2] = 0, 1
    return targets, rng.beta(1 + targets, 2 - targets * 0.5)


def histogram(targets: NDArray[np.int64], scores: Array, bins: int = BINS) -> Array:
    schema = Schema(classes=2, bins=bins)
    zeros = np.zeros(len(targets))
    judged = Judged(targets=targets, guesses=zeros, scores=scores, losses=zeros)
    table: Array = schema.count(judged)["everyone/scores"][0]
    return table


def binned(scores: Array) -> Array:
    found: Array = midpoints(BINS)[np.minimum((scores * BINS).astype(int), BINS - 1)]
    return found


@pytest.mark.parametrize("seed", range(20))
def test_auc_and_brier_are_those_that_scikit_learn_finds_from_binned_scores(seed: int) -> None:
    targets, scores = some_scores(seed)
    table = histogram(targets, scores)
    assert auc(table).value == pytest.approx(roc_auc_score(targets, binned(scores)), abs=1e-12)
    wanted = brier_score_loss(targets, binned(scores))
    assert brier(table).value == pytest.approx(wanted, abs=1e-12)


@settings(derandomize=True, database=None, deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(3, 200))
def test_bins_move_no_score_by_more_than_is_said(seed: int, bins: int, rows: int) -> None:
    targets, scores = some_scores(seed, rows)
    table = histogram(targets, scores, bins)
    for rate, exact in (
        (auc(table), roc_auc_score(targets, scores)),
        (brier(table), brier_score_loss(targets, scores)),
    ):
        assert rate.binning is not None
        assert abs(float(rate.value) - exact) <= float(rate.binning) + 1e-12


def test_the_reliability_curve_is_that_of_scikit_learn_up_to_half_a_bin_of_score() -> None:
    targets, scores = some_scores(3)
    share, rows = reliability(histogram(targets, scores))
    theirs, means = calibration_curve(targets, scores, n_bins=BINS)
    np.testing.assert_allclose(share[rows > 0], theirs, rtol=0, atol=1e-12)
    assert np.abs(midpoints(BINS)[rows > 0] - means).max() <= 0.5 / BINS


def test_the_calibration_error_is_half_a_bin_from_that_of_all_scores_at_most() -> None:
    targets, scores = some_scores(4, 2000)
    bins = np.minimum((scores * BINS).astype(int), BINS - 1)
    exact = sum(abs((targets - scores)[bins == one].sum()) / len(targets) for one in range(BINS))
    found = calibration_error(histogram(targets, scores))
    assert found.binning == 0.5 / BINS
    assert abs(found.value - exact) <= found.binning


def test_scores_that_tell_classes_apart_have_an_auc_of_one_and_those_that_do_not_of_a_half() -> (
    None
):
    apart = np.array([[5.0, 0, 0], [0, 0, 3]])
    assert auc(apart).value == 1
    assert auc(apart).error == 0
    assert auc(np.array([[5.0], [3.0]])).value == 0.5
    assert np.isnan(auc(np.array([[5.0, 0], [0, 0]])).value)
    assert np.isnan(brier(np.zeros((2, 4))).value)
    assert np.isnan(calibration_error(np.zeros((2, 4))).value)


def test_the_standard_error_of_auc_is_that_of_many_samples() -> None:
    """The variance over 4,000 samples, within 4.9 standard errors of it: a correct program fails this
    about once in a million seeds, if a variance estimated from 4,000 values is normal.
    """
    rng, draws = np.random.default_rng(7), 4000
    shape = np.linspace(1, 4, 25)
    negatives = rng.multinomial(400, shape[::-1] / shape.sum(), size=draws)
    positives = rng.multinomial(250, shape / shape.sum(), size=draws)
    found = auc(np.stack([negatives, positives], 1).astype(float))
    assert found.error is not None
    ratio = np.mean(found.error**2) / np.var(found.value)
    assert abs(ratio - 1) < 4.9 * np.sqrt(2 / draws) + 1 / 250
