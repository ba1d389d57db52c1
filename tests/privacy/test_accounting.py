"""ε as published and as other libraries compute it: reference.json has 16 settings, and anchors."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tacit.privacy import Adjacency, Budget, Unaccountable, Verdict, calibrate, verdict
from tacit.privacy.accountants import gaussian_mu, pld_epsilon, prv_epsilon, rdp_epsilon
from tacit.privacy.accounting import affordable, releases_left
from tacit.privacy.event import (
    Covered,
    Event,
    Gaussian,
    NonPrivate,
    Poisson,
    Selected,
    WithoutReplacement,
    from_json,
    to_json,
)

REFERENCE: dict[str, Any] = json.loads((Path(__file__).parent / "reference.json").read_text())
TOLERANCES = REFERENCE["tolerances"]
CASES = {case["id"]: case for case in REFERENCE["cases"]}
ANCHORS = {anchor["id"]: anchor for anchor in REFERENCE["anchors"]}
ADD, REPLACE, ZERO = Adjacency.ADD_REMOVE, Adjacency.REPLACE_ONE, Adjacency.ZERO_OUT


def gaussian(multiplier: float, rate: float = 1.0) -> Event:
    released = Gaussian(noise_multiplier=multiplier)
    return released if rate == 1 else Poisson(rate=rate, of=released)


@cache
def judged(case: str) -> Verdict:
    found = CASES[case]
    event = gaussian(found["sigma"], found["q"])
    return verdict({event: found["steps"]}, found["delta"], ADD)


@pytest.mark.parametrize("case", CASES)
def test_every_reference_setting_is_reproduced_by_all_three_accountants(case: str) -> None:
    wanted, found = CASES[case], judged(case)
    same = TOLERANCES["recompute_same_library_version_abs"]
    assert found.rdp == pytest.approx(wanted["rdp"], abs=same)
    assert found.rdp == pytest.approx(wanted["rdp_opacus"], rel=TOLERANCES["rdp_vs_rdp_opacus_rel"])
    assert found.pld == pytest.approx(wanted["pld_interval_1e_4"], abs=same)
    assert found.prv == pytest.approx(
        wanted["prv_upper_opacus"], abs=TOLERANCES["prv_upper_vs_prv_upper_opacus_abs"]
    )
    if wanted["exact"] is not None:
        assert found.pld == pytest.approx(
            wanted["exact"], abs=TOLERANCES["exact_vs_pld_interval_1e_4_abs"]
        )


@pytest.mark.parametrize("case", CASES)
def test_the_accountants_are_in_order(case: str) -> None:
    wanted, found = CASES[case], judged(case)
    assert found.pld is not None
    assert found.prv is not None
    gap = TOLERANCES["pld_interval_1e_4_minus_prv_estimate"]
    assert gap["min"] <= found.pld - wanted["prv_estimate"] <= gap["max"]
    assert wanted["prv_lower"] <= found.pld <= found.prv <= found.rdp
    assert found.stated == found.pld


def test_composed_rounds_are_not_each_for_itself() -> None:
    """Three rounds of 10 steps cost 3.44, 4.22 and 4.85 by RDP, not 3.44 three times."""
    anchor = ANCHORS["fl_rounds_on_one_ledger"]
    event = gaussian(anchor["sigma"], anchor["q"])
    for round, wanted in enumerate(anchor["values"].values(), start=1):
        counts = {event: round * anchor["steps_per_round"]}
        assert rdp_epsilon(counts, 1e-5, ADD) == pytest.approx(wanted["rdp_opacus"], rel=5e-3)
        assert prv_epsilon(counts, 1e-5, ADD) == pytest.approx(wanted["prv_upper_opacus"], abs=1e-6)


@pytest.mark.parametrize(
    "name", [name for name, anchor in ANCHORS.items() if name.startswith("gaussian_full_part")]
)
def test_replacing_one_doubles_the_sensitivity_in_every_accountant(name: str) -> None:
    anchor = ANCHORS[name]
    counts = {gaussian(anchor["sigma_over_C"]): anchor["steps"]}
    for adjacency, key in ((ADD, "rdp"), (REPLACE, "rdp_with_multiplier_sigma_over_2C")):
        wanted = anchor["values"]["add_remove" if adjacency is ADD else "replace_one"]
        found = verdict(counts, anchor["delta"], adjacency)
        assert found.rdp == pytest.approx(wanted[key], abs=1e-6)
        assert found.pld == pytest.approx(wanted["exact"], abs=1e-5)
        assert found.prv is not None
        assert 0 < found.prv - wanted["exact"] < 0.011


def test_a_known_defect_of_the_library_is_worked_around() -> None:
    """dp_accounting 0.6 returns 3.617 for every relation (google/differential-privacy#378)."""
    counts, anchor = {gaussian(4.0): 10}, ANCHORS["gaussian4x10_by_relation"]["values"]
    assert rdp_epsilon(counts, 1e-5, REPLACE) > pld_epsilon(counts, 1e-5, REPLACE)  # type: ignore[operator]
    assert pld_epsilon(counts, 1e-5, REPLACE) == pytest.approx(
        anchor["replace_one"]["pld"], abs=1e-6
    )
    assert pld_epsilon(counts, 1e-5, ZERO) == pytest.approx(
        anchor["replace_special"]["pld"], abs=1e-6
    )


def test_poisson_samples_by_adjacency() -> None:
    counts, values = {gaussian(1.0, 0.01): 100}, ANCHORS["poisson_q01_by_relation"]["values"]
    for adjacency, name in (
        (ADD, "add_or_remove_one"),
        (REPLACE, "replace_one"),
        (ZERO, "replace_special"),
    ):
        wanted = values[name]["pld"]
        assert pld_epsilon(counts, 1e-5, adjacency) == pytest.approx(wanted, abs=1e-6)
    with pytest.raises(Unaccountable, match="Poisson"):
        rdp_epsilon(counts, 1e-5, REPLACE)


@pytest.mark.parametrize("multiplier", [1.0, 2.0])
def test_samples_without_replacement_pass_the_doubled_sensitivity(multiplier: float) -> None:
    """6.467 in place of 34.264 is what a caller gets who forgets it."""
    anchor = ANCHORS[f"without_replacement_50_of_1000_z{multiplier:g}"]
    event = WithoutReplacement(population=1000, sample=50, of=Gaussian(noise_multiplier=multiplier))
    found = verdict({event: 100}, 1e-5, REPLACE)
    assert found.rdp == pytest.approx(anchor["values"]["rdp_correct_multiplier_sigma_over_2C"])
    assert (found.pld, found.prv) == (None, None)
    assert found.stated == found.rdp
    with pytest.raises(Unaccountable, match="replace_one"):
        rdp_epsilon({event: 100}, 1e-5, ADD)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, anchor in ANCHORS.items()
        if anchor["group"] == "published_runs" and "q" in anchor
    ],
)
def test_published_runs_are_recomputed(name: str) -> None:
    anchor = ANCHORS[name]
    counts = {gaussian(anchor["sigma"], anchor["q"]): anchor["steps"]}
    assert rdp_epsilon(counts, anchor["delta"], ADD) == pytest.approx(
        anchor["values"]["rdp"], abs=1e-6
    )
    pld = anchor["values"].get("pld_interval_1e_4", anchor["values"].get("pld"))
    assert pld_epsilon(counts, anchor["delta"], ADD) == pytest.approx(pld, abs=1e-6)


def test_the_number_of_participations_is_what_matrix_factorisation_is_charged_for() -> None:
    """pt-BR: k = 2 participations at z = 8.35 are ρ = 0.0143, that is μ² / 2."""
    anchor = ANCHORS["banded_mf_pt_BR"]
    counts = {gaussian(anchor["noise_multiplier"]): 2, Covered(): 1426}
    mu = gaussian_mu(counts, ADD)
    assert mu is not None
    assert mu**2 / 2 == pytest.approx(anchor["values"]["rho"], rel=1e-9)
    zcdp = ANCHORS["zcdp_rho0.0144_delta1e-10"]["values"]["exact_gaussian"]
    assert pld_epsilon(counts, 1e-10, ADD) == pytest.approx(zcdp, abs=5e-3)


@pytest.mark.parametrize(("times", "wanted"), [(2250, 1.41602), (2000, 1.35620)])
def test_calibration_agrees_with_opacus_and_lands_on_the_safe_side(
    times: int, wanted: float
) -> None:
    budget = Budget(epsilon=8.0, delta=1e-5)
    found = calibrate(lambda z: gaussian(z, 0.04), times, budget)
    assert found == pytest.approx(wanted, rel=2e-3)
    assert rdp_epsilon({gaussian(found, 0.04): times}, 1e-5, ADD) <= 8.0
    assert rdp_epsilon({gaussian(found - 0.002, 0.04): times}, 1e-5, ADD) > 8.0


@settings(max_examples=6, deadline=None)
@given(
    epsilon=st.floats(0.1, 50),
    delta=st.floats(1e-9, 1e-3),
    times=st.integers(1, 3000),
    rate=st.sampled_from([0.003, 0.04, 0.5, 1.0]),
)
def test_calibrated_noise_pays_for_what_it_was_calibrated_to(
    epsilon: float, delta: float, times: int, rate: float
) -> None:
    budget = Budget(epsilon=epsilon, delta=delta)
    event = gaussian(calibrate(lambda z: gaussian(z, rate), times, budget), rate)
    assert releases_left({}, event, budget) >= times


def test_what_was_not_protected_costs_everything() -> None:
    found = verdict({NonPrivate(): 1, gaussian(5.0): 3}, 1e-5, ADD)
    assert (found.stated, found.pld) == (math.inf, None)
    assert not affordable({NonPrivate(): 1}, gaussian(5.0), Budget(epsilon=1e6))


def test_nothing_costs_nothing() -> None:
    nothing: list[dict[Event, int]] = [{}, {Covered(): 100}]
    for counts in nothing:
        found = verdict(counts, 1e-5, ADD)
        assert (found.rdp, found.pld, found.prv) == (0.0, 0.0, 0.0)


def test_tuning_is_composed_like_any_release() -> None:
    single = gaussian(2.0, 0.01)
    tuned = Selected(
        trials=3.0, times=100, of=Poisson(rate=0.01, of=Gaussian(noise_multiplier=2.0))
    )
    alone = rdp_epsilon({single: 100}, 1e-5, ADD)
    with_tuning = rdp_epsilon({tuned: 1}, 1e-5, ADD)
    assert alone < with_tuning < 4 * alone
    assert rdp_epsilon({tuned: 1, single: 100}, 1e-5, ADD) > with_tuning


@settings(max_examples=50, deadline=None)
@given(st.floats(0.3, 100), st.floats(1e-4, 1.0), st.integers(1, 100), st.booleans())
def test_every_event_survives_its_text(z: float, rate: float, n: int, discrete: bool) -> None:
    released = Gaussian(noise_multiplier=z, discrete=discrete)
    events: list[Event] = [
        released,
        Poisson(rate=rate, of=released),
        WithoutReplacement(population=100, sample=n, of=released),
        Selected(trials=1 + z, times=n, of=released),
        Covered(),
        NonPrivate(),
    ]
    for event in events:
        assert from_json(to_json(event)) == event


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        "3",
        '{"kind":"magic"}',
        '{"kind":"gaussian"}',
        '{"kind":"poisson","rate":2,"of":{}}',
    ],
)
def test_what_is_no_event_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"event|Expected"):
        from_json(text)
