"""Means, standard errors and errors of regression are those that numpy, scipy and scikit-learn find."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import sem  # type: ignore[import-untyped]
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from tacit.fairness.moments import mean_rate, regression_rates
from tacit.fairness.tables import Attribute, Judged, Schema

SEX = Attribute(name="sex", groups=("female", "male"))


@pytest.mark.parametrize("scale", [None, 8.0])
def test_the_errors_of_a_regression_by_group_are_those_of_scikit_learn(scale: float | None) -> None:
    """With values that are counted exactly: multiples of 1/16."""
    rng = np.random.default_rng(2)
    targets, guesses = np.rint(rng.normal(0, 1, (2, 200)) * 16) / 16
    codes, zeros = rng.integers(0, 2, 200), np.zeros(200)
    schema = Schema(attributes=(SEX,), classes=0, scale=scale)
    judged = Judged(
        targets=targets, guesses=guesses, scores=zeros, losses=zeros, groups={"sex": codes}
    )
    found = regression_rates(schema.count(judged)["sex/errors"], scale)
    for group in (0, 1):
        pair = targets[codes == group], guesses[codes == group]
        residual = pair[1] - pair[0]
        for name, wanted in (
            ("mae", mean_absolute_error(*pair)),
            ("rmse", root_mean_squared_error(*pair)),
            ("r2", r2_score(*pair)),
            ("bias", residual.mean()),
        ):
            assert found[name].value[group] == pytest.approx(wanted, abs=1e-12)
        for name, values in (("mae", np.abs(residual)), ("bias", residual)):
            error = found[name].error
            assert error is not None
            assert error[group] == pytest.approx(sem(values), abs=1e-12)


def test_the_mean_of_losses_and_its_error_are_those_of_numpy_and_scipy() -> None:
    losses = np.array([0.5, 1.0, 4.0, 0.25])
    table = np.array([4.0, (losses / 16).sum(), ((losses / 16) ** 2).sum()])
    rate = mean_rate(table, most=16.0)
    assert rate.value == pytest.approx(losses.mean(), abs=1e-12)
    assert rate.error == pytest.approx(sem(losses), abs=1e-12)


def test_one_row_has_a_mean_and_no_standard_error() -> None:
    rate = mean_rate(np.array([1.0, 0.25, 0.0625]))
    assert rate.value == 0.25
    assert rate.error is not None
    assert np.isnan(rate.error)


def test_no_rows_have_no_mean_and_one_target_has_no_r2() -> None:
    assert np.isnan(mean_rate(np.zeros(3)).value)
    assert all(np.isnan(rate.value) for rate in regression_rates(np.zeros(6)).values())
    alike = regression_rates(np.array([2.0, 0.0, 1.0, 0.5, 2.0, 2.0]))
    assert np.isnan(alike["r2"].value)
    assert alike["mae"].value == 0.5


def test_errors_that_are_small_beside_the_scale_are_not_lost() -> None:
    """Of 0.1 % of the scale: each square is 1e-6, of which rounding keeps 5 %."""
    rng = np.random.default_rng(1)
    targets, zeros = rng.random(500), np.zeros(500)
    guesses = targets + rng.normal(0, 1e-3, 500)
    judged = Judged(targets=targets, guesses=guesses, scores=zeros, losses=zeros + 1e-3)
    tables = Schema(classes=0).count(judged)
    found = regression_rates(tables["everyone/errors"])["rmse"].value[0]
    assert found == pytest.approx(root_mean_squared_error(targets, guesses), rel=0.01)
    assert mean_rate(tables["everyone/loss"], 16.0).value[0] == pytest.approx(1e-3, rel=0.01)
