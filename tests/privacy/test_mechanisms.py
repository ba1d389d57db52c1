"""Mechanisms against clients that send anything, and their noise against what it should be.

Streams have fixed test seeds, so that no test here fails now and then. Each statistical test says how
often a correct mechanism would fail it under a fresh seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from contracts.bits import assert_same_bits
from contracts.mechanism import (
    blank,
    bounded,
    check_mechanism,
    contributions,
    effect,
    released,
    stream,
    terms_of,
    total_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tacit.privacy import (
    AdaptiveGaussian,
    BandedGaussian,
    Gaussian,
    LocalGaussian,
    Mechanism,
    Sampling,
    Secret,
    Unaccountable,
)
from tacit.privacy import event as events
from tacit.privacy.clipping import norm
from tacit.privacy.gaussian import SIGMA
from tacit.wire import Arrays
from tacit.wire.fold import largest

EVERYONE = Sampling(scheme="everyone", clients=10, participation=1.0)
POISSON = Sampling(scheme="poisson", clients=40, participation=0.25)
CYCLIC = Sampling(scheme="cyclic", clients=40, participation=0.25, separation=4)
GAUSSIAN = Gaussian(clip=0.7, noise_multiplier=1.3)
HARDENED = Gaussian(clip=0.7, noise_multiplier=1.3, hardened=True)
ADAPTIVE = AdaptiveGaussian(clip=0.7, noise_multiplier=0.9, count_noise=0.1)
BANDED = BandedGaussian(clip=0.7, noise_multiplier=1.3, bands=4)
LOCAL = LocalGaussian(clip=0.7, epsilon=3.0)
CENTRAL: dict[str, tuple[Mechanism, Sampling]] = {
    "gaussian": (GAUSSIAN, EVERYONE),
    "gaussian, poisson": (GAUSSIAN, POISSON),
    "hardened": (HARDENED, POISSON),
    "adaptive": (ADAPTIVE, EVERYONE),
    "banded": (BANDED, CYCLIC),
}
ALL: dict[str, tuple[Mechanism, Sampling]] = {**CENTRAL, "local": (LOCAL, EVERYONE)}
over_all = pytest.mark.parametrize("name", ALL)
over_central = pytest.mark.parametrize("name", CENTRAL)


@over_all
def test_every_mechanism_keeps_the_contract(name: str) -> None:
    check_mechanism(*ALL[name])


DTYPES: list[Any] = [np.float16, np.float32, np.float64]
ODD = [0.0, -0.0, 5e-324, 1e-310, 1e-40, 6e-8, 65504.0, 3.4e38, 1.7e308, -1.7e308]
SHAPES: list[tuple[int, ...]] = [(), (1,), (3,), (2, 2), (0,), (0, 4)]


@st.composite
def sent(draw: st.DrawFn) -> dict[str, NDArray[Any]]:
    """Finite arrays of any size, dtype, shape and name, in any order."""
    names = draw(st.permutations(["weight", "bias", "sum/x", ""]))
    found: dict[str, NDArray[Any]] = {}
    for name in names[: draw(st.integers(0, 4))]:
        dtype, shape = draw(st.sampled_from(DTYPES)), draw(st.sampled_from(SHAPES))
        most = float(np.finfo(dtype).max)
        number = st.one_of(st.sampled_from(ODD), st.floats(-10, 10), st.floats(allow_nan=False))
        values = draw(st.lists(number, min_size=math.prod(shape), max_size=math.prod(shape)))
        found[name] = np.clip(np.array(values), -most, most).astype(dtype).reshape(shape)
    return found


@over_central
@settings(derandomize=True, database=None, deadline=None, max_examples=100)
@given(update=sent(), rows=st.sampled_from([0, 1, 10**6, 2**53]))
def test_no_client_moves_the_mean_by_more_than_the_clip_over_the_expected_cohort(
    name: str, update: Arrays, rows: int
) -> None:
    mechanism, sampling = CENTRAL[name]
    assert (
        effect(mechanism, sampling, update, rows) <= 0.7 / sampling.expected * (1 + 1e-12) + 1e-14
    )


@over_central
@settings(derandomize=True, database=None, deadline=None, max_examples=50)
@given(update=sent())
def test_the_number_of_rows_has_no_influence(name: str, update: Arrays) -> None:
    mechanism, _ = CENTRAL[name]
    if math.isfinite(norm(update)):
        assert_same_bits(bounded(mechanism, update, 1), bounded(mechanism, update, 10**6))


@settings(derandomize=True, database=None, deadline=None, max_examples=100)
@given(update=sent())
def test_a_client_that_lies_about_its_local_noise_moves_the_mean_as_far_as_honest_noise(
    update: Arrays,
) -> None:
    size = sum(array.size for array in update.values())
    most = 0.7 * (1 + LOCAL.noise_multiplier * (math.sqrt(size) + 8.5))
    assert effect(LOCAL, EVERYONE, update, 1) <= most / EVERYONE.expected * (1 + 1e-12) + 1e-14


@over_central
def test_a_short_contribution_is_added_as_it_is(name: str) -> None:
    """To within the grid: 2^-32, or 2^-16 of the noise if hardened."""
    mechanism, sampling = CENTRAL[name]
    update = {"x": np.array([0.1, -0.2]), "y": np.array(0.05)}
    one = released(mechanism, sampling, total_of(mechanism, [update], [1]))
    other = released(mechanism, sampling, blank(mechanism, update))
    for key, array in update.items():
        np.testing.assert_allclose((one[key] - other[key]) * 10, array, atol=2e-5, rtol=0)


def deviation(name: str) -> float:
    """Of the released mean, by the formulas of the papers."""
    sampling = CENTRAL[name][1]
    match name:
        case "adaptive":
            return float((0.9**-2 - (2 * 0.1 * 10) ** -2) ** -0.5 * 0.7 / sampling.expected)
        case "banded":
            c = np.array([1, 1 / 2, 3 / 8, 5 / 16])
            return float(1.3 * 0.7 * np.linalg.norm(c)) / sampling.expected
        case _:
            return 1.3 * 0.7 / sampling.expected


NUMBERS = 100_000


def noises(name: str, *context: str | int) -> Arrays:
    """What is released of nothing, in two arrays."""
    mechanism, sampling = CENTRAL[name]
    nothing = blank(mechanism, {"x": np.zeros(NUMBERS), "y": np.zeros(NUMBERS)})
    return released(mechanism, sampling, nothing, stream("noises", *context))


@over_central
def test_nothing_is_noised_like_anything_once_and_exactly(name: str) -> None:
    """An estimated deviation of 10^5 numbers is off by more than 1.3 % once in 10^8 times; noise that
    was added twice would be off by 41 %. A mean 6 standard errors off comes up as rarely."""
    for array in noises(name).values():
        assert abs(float(array.std()) / deviation(name) - 1) < 0.013
        assert abs(float(array.mean())) < 6 * deviation(name) / math.sqrt(NUMBERS)


@over_central
def test_the_noise_is_independent_over_arrays_rounds_and_within_arrays(name: str) -> None:
    """A correlation of 10^5 pairs is above 6 / sqrt(10^5) twice in 10^9 times."""
    first, second = noises(name, 1), noises(name, 2)
    pairs = [
        (first["x"], first["y"]),
        (first["x"], second["x"]),
        (first["x"], second["y"]),
        (first["x"][1:], first["x"][:-1]),
        (first["x"][: NUMBERS // 2], first["x"][NUMBERS // 2 :]),
    ]
    for one, other in pairs:
        assert abs(float(np.corrcoef(one, other)[0, 1])) < 6 / math.sqrt(len(one))


@over_central
def test_equal_streams_give_equal_bits_and_others_do_not(name: str) -> None:
    assert_same_bits(noises(name, "a"), noises(name, "a"))
    one, other = noises(name, "a"), noises(name, "b")
    assert np.mean(one["x"] == other["x"]) < 0.01


@over_central
def test_noise_that_is_not_set_yet_is_an_error(name: str) -> None:
    mechanism, sampling = CENTRAL[name]
    fields = {**vars(mechanism), "noise_multiplier": None}
    unset = type(mechanism)(**fields)
    with pytest.raises(ValueError, match="Expected noise_multiplier, which is to be calibrated"):
        unset.event(sampling, 1)
    total = total_of(mechanism, contributions(1), [1])
    with pytest.raises(ValueError, match="Expected noise_multiplier, which is to be calibrated"):
        unset.release(total, sampling, unset.begin(), stream())


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize(
    "make",
    [
        lambda v: Gaussian(clip=v, noise_multiplier=1.0),
        lambda v: Gaussian(clip=1.0, noise_multiplier=v),
        lambda v: AdaptiveGaussian(clip=v),
        lambda v: AdaptiveGaussian(noise_multiplier=v),
        lambda v: AdaptiveGaussian(quantile=v),
        lambda v: AdaptiveGaussian(rate=v),
        lambda v: AdaptiveGaussian(count_noise=v),
        lambda v: AdaptiveGaussian(floor=v),
        lambda v: BandedGaussian(clip=v),
        lambda v: BandedGaussian(clip=1.0, noise_multiplier=v),
        lambda v: LocalGaussian(clip=v, epsilon=1.0),
        lambda v: LocalGaussian(clip=1.0, epsilon=v),
        lambda v: LocalGaussian(clip=1.0, epsilon=1.0, delta=v),
    ],
)
def test_a_number_out_of_range_is_refused(make: Callable[[float], Mechanism], value: float) -> None:
    with pytest.raises(ValueError, match=r"Expected .* got (0|-1|nan|inf)"):
        make(value)


# Hardened: discrete noise on a grid.


@pytest.mark.parametrize("clip", [0.7, 1e-6, 1e6])
def test_what_is_released_in_hardened_mode_lies_on_the_grid(clip: float) -> None:
    """So do the sums, whole numbers of it, whatever the client sent: no bit tells anything else."""
    mechanism = Gaussian(clip=clip, noise_multiplier=1.3, hardened=True)
    grid = 1.3 * clip / SIGMA
    total = total_of(mechanism, contributions(3), [1, 2, 3])
    for array in total.values():
        np.testing.assert_array_equal(array * SIGMA, np.rint(array * SIGMA))
    for array in released(mechanism, POISSON, total).values():
        steps = np.rint(array / (grid / POISSON.expected))
        np.testing.assert_array_equal(steps * (grid / POISSON.expected), array)


@settings(derandomize=True, database=None, deadline=None, max_examples=100)
@given(update=sent())
def test_rounding_to_the_grid_does_not_lengthen(update: Arrays) -> None:
    grid = 1.3 * 0.7 / SIGMA
    if math.isfinite(norm(update)):
        assert norm(bounded(HARDENED, update)) * SIGMA * grid <= 0.7


def test_a_norm_beyond_float64_is_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        bounded(GAUSSIAN, {"x": np.full(2, 1.7e308)})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("rest", [np.zeros(2), np.ones(2), np.zeros(0)])
def test_what_is_not_finite_is_never_taken_for_short(
    value: float, rest: NDArray[np.float64]
) -> None:
    """Wherever it is: `max(0.0, nan)` is 0.0, and a norm of 0 would not be clipped."""
    spoiled = np.array([value, 1000.0])
    for update in ({"x": spoiled, "y": rest}, {"x": rest, "y": spoiled}):
        assert not norm(update) <= 1e300
        for mechanism in (GAUSSIAN, HARDENED, ADAPTIVE, BANDED, LOCAL):
            with pytest.raises(ValueError, match="not finite"):
                bounded(mechanism, update)


def test_whole_numbers_are_clipped_like_any_other() -> None:
    """The least int64 has no absolute value among int64."""
    update = {"x": np.array([-(2**63), 1]), "y": np.array([7])}
    assert norm(update) == 2.0**63
    assert effect(GAUSSIAN, EVERYONE, update, 1) <= 0.07 * (1 + 1e-12)


# Adaptive clipping.


def following(mechanism: AdaptiveGaussian, sampling: Sampling, total: Arrays, *of: int) -> float:
    """The next clip."""
    _, memory = mechanism.release(total, sampling, mechanism.begin(), stream("clip", *of))
    return float(memory["clip"])


def of_norms(mechanism: AdaptiveGaussian, norms: NDArray[np.float64], clip: float) -> Arrays:
    """The sum of contributions with these norms, clipped to `clip`."""
    parts = [mechanism.bound({"x": np.array([n])}, 1, {"clip": clip}) for n in norms]
    return {name: np.asarray(sum(part[name] for part in parts)) for name in parts[0]}


THOUSAND = Sampling(scheme="poisson", clients=2000, participation=0.5)
PRECISE = AdaptiveGaussian(clip=1.0, noise_multiplier=0.5, count_noise=1e-3)


def test_the_clip_grows_if_all_are_clipped_and_shrinks_if_none_is() -> None:
    """By the factor exp(0.2 x 0.5) at most: the noise of the count moves it by 2 in 10^4."""
    many = of_norms(PRECISE, np.full(1000, 50.0), 1.0)
    few = of_norms(PRECISE, np.full(1000, 0.01), 1.0)
    assert following(PRECISE, THOUSAND, many) == pytest.approx(math.exp(0.1), rel=2e-3)
    assert following(PRECISE, THOUSAND, few) == pytest.approx(math.exp(-0.1), rel=2e-3)


@pytest.mark.parametrize("start", [0.03, 30.0])
@pytest.mark.parametrize("quantile", [0.5, 0.8])
def test_the_clip_comes_to_the_quantile_from_above_and_from_below(
    start: float, quantile: float
) -> None:
    """Norms are lognormal; noise keeps the clip moving by a few per cent around the quantile."""
    mechanism = AdaptiveGaussian(
        clip=start, noise_multiplier=1.0, quantile=quantile, count_noise=0.02
    )
    sampling = Sampling(scheme="everyone", clients=80, participation=1.0)
    norms = np.exp(np.random.default_rng(0).normal(size=80))
    memory: Arrays = mechanism.begin()
    late = []
    for round in range(140):
        total = of_norms(mechanism, norms, float(memory["clip"]))
        _, memory = mechanism.release(total, sampling, memory, stream("rounds", round))
        late.append(float(memory["clip"]))
    share = float(np.mean(norms <= np.exp(np.mean(np.log(late[-40:])))))
    assert abs(share - quantile) < 0.05


def test_the_count_is_divided_by_the_expected_cohort_and_not_by_who_came() -> None:
    """200 of an expected 1000 answer, none of them clipped: the share is 0.5 + 100/1000, not 1."""
    total = of_norms(PRECISE, np.full(200, 0.01), 1.0)
    assert following(PRECISE, THOUSAND, total) == pytest.approx(math.exp(-0.02), rel=2e-3)


def test_the_noise_on_the_count_is_what_is_paid_for() -> None:
    """Of 4000 shares the deviation is off by more than 7 % once in 10^9 times."""
    total = blank(ADAPTIVE, {"x": np.zeros(1)})
    clips = np.array([following(ADAPTIVE, EVERYONE, total, i) for i in range(4000)])
    shares = 0.5 - np.log(clips / 0.7) / 0.2
    assert abs(float(shares.std()) / 0.1 - 1) < 0.07
    assert abs(float(shares.mean()) - 0.5) < 6 * 0.1 / math.sqrt(4000)


def test_the_noise_is_for_the_clip_of_the_round_and_not_for_the_next() -> None:
    """Nobody is clipped, and a rate of 8 makes the next clip 1/55 of this one."""
    mechanism = AdaptiveGaussian(clip=0.7, noise_multiplier=0.9, count_noise=0.1, rate=8.0)
    total = dict(blank(mechanism, {"x": np.zeros(NUMBERS)}))
    total["below"] = np.array(5.0)
    memory = {"clip": np.array(2.0)}
    mean, after = mechanism.release(total, EVERYONE, memory, stream("next"))
    assert mean is not None
    assert float(after["clip"]) < 0.5
    std = deviation("adaptive") / 0.7 * 2.0
    assert abs(float(mean["x"].std()) / std - 1) < 0.013  # off by more once in 10^8 times


def test_both_releases_together_cost_the_noise_multiplier() -> None:
    """1/z² is the sum of 1/z² of both, where the count has sensitivity 1/2."""
    sum_noise = deviation("adaptive") * EVERYONE.expected / 0.7
    count_noise = 0.1 * EVERYONE.expected / 0.5
    assert sum_noise**-2 + count_noise**-2 == pytest.approx(0.9**-2)


def test_the_clip_stays_above_the_floor_and_below_what_all_clients_may_add() -> None:
    small = AdaptiveGaussian(clip=1e-3, floor=1e-3, noise_multiplier=1.0, count_noise=0.2)
    low = {**blank(small, {"x": np.zeros(1)}), "below": np.array(5.0)}
    assert following(small, EVERYONE, low) == 1e-3
    large = AdaptiveGaussian(clip=1e6, noise_multiplier=1.0, count_noise=0.2)
    high = {**blank(large, {"x": np.zeros(1)}), "below": np.array(-500.0)}
    assert following(large, THOUSAND, high) == largest(THOUSAND.clients)


def test_the_share_of_clipped_clients_is_not_in_the_terms_nor_exact_in_the_memory() -> None:
    mechanism, total = PRECISE, of_norms(PRECISE, np.full(1000, 0.01), 1.0)
    assert set(terms_of(mechanism)) == {"clip"}
    exact = math.exp(-0.2 * 0.5)
    half = {**total, "below": np.array(0.0)}
    assert following(mechanism, THOUSAND, half) not in (1.0, exact)
    assert set(mechanism.release(total, THOUSAND, mechanism.begin(), stream())[1]) == {"clip"}


def test_a_count_that_would_cost_more_than_everything_is_refused() -> None:
    mechanism = AdaptiveGaussian(noise_multiplier=1.0, count_noise=0.05)
    mechanism.event(Sampling(scheme="everyone", clients=11, participation=1.0), 1)
    with pytest.raises(Unaccountable, match="larger cohorts, or a larger count_noise"):
        mechanism.event(EVERYONE, 1)


# Correlated noise.


def run_of_noise(mechanism: BandedGaussian, rounds: int, size: int) -> NDArray[np.float64]:
    """What is added in each round, shape (rounds, size)."""
    nothing, memory, found = blank(mechanism, {"x": np.zeros(size)}), mechanism.begin(), []
    for round in range(rounds):
        mean, memory = mechanism.release(nothing, CYCLIC, memory, stream("run", round))
        assert mean is not None
        found.append(mean["x"] * CYCLIC.expected)
    return np.array(found)


def toeplitz(column: NDArray[np.float64], rounds: int) -> NDArray[np.float64]:
    found = np.zeros((rounds, rounds))
    for step, value in enumerate(column[:rounds]):
        found += value * np.eye(rounds, k=-step)
    return found


@pytest.mark.parametrize("bands", [1, 2, 4])
def test_the_noise_of_a_run_times_its_matrix_is_white(bands: int) -> None:
    """With 20,000 columns an entry of the covariance of 20 rounds is 6 standard errors off once in
    5 x 10^8 times; there are 210 of them."""
    mechanism = BandedGaussian(clip=0.7, noise_multiplier=1.3, bands=bands)
    rounds, size = 20, 20_000
    white = toeplitz(mechanism.coefficients(), rounds) @ run_of_noise(mechanism, rounds, size)
    covariance = white @ white.T / size / (1.3 * 0.7) ** 2
    assert np.max(np.abs(covariance - np.eye(rounds))) < 6 * math.sqrt(2 / size)


@pytest.mark.parametrize("bands", [1, 2, 3, 8, 50])
def test_the_columns_of_the_matrix_have_norm_1(bands: int) -> None:
    c = BandedGaussian(clip=1.0, bands=bands).coefficients()
    assert len(c) == bands
    assert float(np.linalg.norm(c)) == pytest.approx(1.0, abs=1e-12)


def test_a_client_that_takes_part_k_times_moves_the_whole_run_by_the_root_of_k() -> None:
    """Its rounds are `bands` apart, so that the columns that it meets do not overlap."""
    c = toeplitz(BANDED.coefficients(), 24)
    for times in (1, 2, 5):
        part = np.zeros(24)
        part[: 4 * times : 4] = 1.0
        assert float(np.linalg.norm(c @ part)) == pytest.approx(math.sqrt(times), abs=1e-12)


def test_the_sum_over_rounds_has_less_noise_than_independent_noise_would_leave() -> None:
    rounds = run_of_noise(BandedGaussian(clip=0.7, noise_multiplier=1.3, bands=8), 32, 5000)
    assert float(rounds.sum(axis=0).std()) < 0.6 * 1.3 * 0.7 * math.sqrt(32)


def test_the_memory_of_a_banded_run_is_its_last_noises_and_no_more() -> None:
    memory: Arrays = BANDED.begin()
    for round in range(6):
        total = total_of(BANDED, contributions(1), [1])
        _, memory = BANDED.release(total, CYCLIC, memory, stream("memory", round))
        assert memory["half"].shape == (min(round + 1, 3), 4)


def test_sampling_that_lets_a_client_back_too_soon_is_refused() -> None:
    for sampling in (EVERYONE, POISSON):
        with pytest.raises(Unaccountable, match="4 bands need 4 rounds between"):
            BANDED.event(sampling, 1)
    cycle = [BANDED.event(CYCLIC, round) for round in range(1, 9)]
    paid = events.Gaussian(noise_multiplier=1.3, neighbours="counted")
    assert cycle == 2 * [paid, events.Covered(), events.Covered(), events.Covered()]


# Local noise.


def sent_by(secret: Secret, update: Arrays) -> Arrays:
    return LOCAL.perturb(update, {}, secret)


def test_what_leaves_a_client_is_its_clipped_contribution_and_noise_of_the_right_deviation() -> (
    None
):
    """An estimated deviation of 10^5 numbers is off by more than 1.3 % once in 10^8 times."""
    secret = Secret.from_test_seed(2)
    update = {"x": np.full(NUMBERS, 1.0)}
    found = sent_by(secret, update)["x"]
    std = LOCAL.noise_multiplier * 0.7
    assert abs(float(found.std()) / std - 1) < 0.013
    assert abs(float(found.mean()) - 0.7 / math.sqrt(NUMBERS)) < 6 * std / math.sqrt(NUMBERS)


def test_a_client_that_is_asked_again_says_the_same_and_what_differs_is_noised_anew() -> None:
    secret, update = Secret.from_test_seed(2), {"x": np.linspace(0, 0.1, 50)}
    assert_same_bits(sent_by(secret, update), sent_by(secret, update))
    other = {"x": update["x"] + 1e-9}
    assert np.all(np.abs(sent_by(secret, other)["x"] - sent_by(secret, update)["x"]) > 1e-6)
    stranger = Secret.from_test_seed(3)
    assert not np.any(sent_by(stranger, update)["x"] == sent_by(secret, update)["x"])


def test_what_an_honest_client_sends_is_never_cut() -> None:
    for seed in range(50):
        found = sent_by(Secret.from_test_seed(seed), {"x": np.full(20, 9.0)})
        total = bounded(LOCAL, found)
        np.testing.assert_allclose(total["sum/x"], found["x"], atol=2**-31)


def test_local_noise_has_the_dtypes_and_names_of_the_contribution() -> None:
    update = contributions(1)[0]
    found = sent_by(Secret.from_test_seed(1), update)
    layout = {name: (array.shape, array.dtype) for name, array in update.items()}
    assert {name: (array.shape, array.dtype) for name, array in found.items()} == layout


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 8.0, 50.0])
def test_local_noise_is_exact_at_every_epsilon_for_two_contributions_2c_apart(
    epsilon: float,
) -> None:
    """By the formula of Balle and Wang, theorem 8, written out: δ(ε) of a Gaussian mechanism."""
    from scipy.stats import norm as normal  # type: ignore[import-untyped]

    mu = 2 / LocalGaussian(clip=1.0, epsilon=epsilon).noise_multiplier
    delta = normal.cdf(mu / 2 - epsilon / mu) - math.exp(epsilon) * normal.cdf(
        -mu / 2 - epsilon / mu
    )
    assert delta == pytest.approx(1e-5, rel=1e-3)


def test_a_secret_sample_does_not_amplify_what_the_coordinator_sees() -> None:
    alone = events.Gaussian(noise_multiplier=LOCAL.noise_multiplier, neighbours="replaced")
    assert LOCAL.event(POISSON, 3) == alone
    assert LOCAL.event(EVERYONE, 3) == alone


# Events.


def test_an_event_says_how_the_cohort_was_drawn() -> None:
    plain = events.Gaussian(noise_multiplier=1.3)
    assert GAUSSIAN.event(EVERYONE, 1) == plain
    assert GAUSSIAN.event(POISSON, 1) == events.Poisson(rate=0.25, of=plain)
    fixed = Sampling(scheme="fixed", clients=40, participation=0.25)
    assert GAUSSIAN.event(fixed, 1) == events.WithoutReplacement(population=40, sample=10, of=plain)
    assert HARDENED.event(EVERYONE, 1) == events.Gaussian(noise_multiplier=1.3, discrete=True)
    assert ADAPTIVE.event(EVERYONE, 1) == events.Gaussian(noise_multiplier=0.9)


def test_local_noise_is_never_shared_between_two_answers() -> None:
    """Or the contribution follows from two answers with the same noise at two deviations."""
    contribution, secret = {"x": np.full(50, 0.1)}, Secret.fresh()

    def noise(epsilon: float, secret: Secret) -> NDArray[Any]:
        local = LocalGaussian(clip=1.0, epsilon=epsilon)
        sent = local.perturb(contribution, {}, secret)["x"] - contribution["x"]
        return np.asarray(sent / local.noise_multiplier)

    one, other = noise(1.0, secret), noise(8.0, secret)
    assert np.min(np.abs(one - other)) > 1e-6
    rounds = [noise(1.0, secret.child("run", round)) for round in (1, 2)]
    assert np.min(np.abs(rounds[0] - rounds[1])) > 1e-6
    assert_same_bits({"x": rounds[0]}, {"x": noise(1.0, secret.child("run", 1))})
