"""What every mechanism promises, whatever the contribution is called and however large it is.

Written as an adversary would: one client sends what it likes, and the released mean must not follow.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from contracts.bits import assert_same_bits, backwards, bits, check_value, read_only
from numpy.typing import NDArray
from tacit.privacy import Mechanism, Noise, Sampling, Secret
from tacit.privacy.event import Covered
from tacit.wire import Arrays, Fold, Receipt, Settings, decode, encode

ODD_NAMES = [
    "weight",
    "sum",
    "sum/weight",
    "norm",
    "count",
    "examples",
    "clip",
    "below",
    "delta/weight",
    "",
    "/",
    "é",
]
SECRET = Secret.from_test_seed(0)


def check_mechanism(mechanism: Mechanism, sampling: Sampling) -> None:
    """Runs every check below."""
    check_value(mechanism)
    _bound_is_pure(mechanism)
    _the_layout_depends_on_the_layout_alone(mechanism)
    _no_finite_contribution_makes_it_raise_or_warn(mechanism)
    _what_is_not_finite_is_refused_here_or_by_the_fold(mechanism)
    _no_name_is_lost(mechanism, sampling)
    _release_is_pure(mechanism, sampling)
    _the_order_of_clients_does_not_matter(mechanism)
    _the_noise_is_that_of_the_stream(mechanism, sampling)
    _terms_and_memory_survive_the_wire(mechanism, sampling)
    _every_round_has_an_event(mechanism, sampling)


def contributions(clients: int) -> list[dict[str, NDArray[Any]]]:
    rng = np.random.default_rng(clients)
    return [
        {
            "matrix": rng.normal(size=(2, 3)).astype(np.float32),
            "scalar": np.array(rng.normal()),
            "empty": np.zeros((0, 4), np.float32),
            "half": rng.normal(size=4).astype(np.float16),
        }
        for _ in range(clients)
    ]


def terms_of(mechanism: Mechanism) -> Settings:
    """The terms of the first round."""
    return mechanism.terms(mechanism.begin())


def bounded(mechanism: Mechanism, contribution: Arrays, examples: int = 1) -> Arrays:
    """What is added to the sum in the first round."""
    return mechanism.bound(contribution, examples, terms_of(mechanism))


def total_of(mechanism: Mechanism, parts: Sequence[Arrays], examples: Sequence[int]) -> Arrays:
    """The exact sum of bounded contributions, as a coordinator makes it."""
    fold = Fold()
    for index, (sent, rows) in enumerate(zip(parts, examples, strict=True)):
        fold.add(bounded(mechanism, sent, rows), Receipt(client=str(index), examples=rows))
    return fold.total()


def blank(mechanism: Mechanism, like: Arrays) -> Arrays:
    """The total if nobody contributed."""
    still = {name: np.zeros_like(array) for name, array in like.items()}
    return {name: np.zeros_like(array) for name, array in bounded(mechanism, still, 0).items()}


def stream(*context: str | int) -> Noise:
    return SECRET.stream(*context)


def released(
    mechanism: Mechanism, sampling: Sampling, total: Arrays, noise: Noise | None = None
) -> Arrays:
    """The mean of a first round."""
    mean, _ = mechanism.release(total, sampling, mechanism.begin(), noise or stream("first"))
    assert mean is not None
    return mean


def effect(mechanism: Mechanism, sampling: Sampling, sent: Arrays, examples: int) -> float:
    """How far one client moves the released mean, in L2 norm: with it, and with nobody.

    Not at all, if it is refused.
    """
    rest = blank(mechanism, sent)
    try:
        total = total_of(mechanism, [sent], [examples])
    except ValueError:
        total = rest
    one, other = (released(mechanism, sampling, each) for each in (total, rest))
    squares = (float(np.sum(np.square(one[name] - other[name]))) for name in one)
    return float(np.sqrt(sum(squares)))


def _bound_is_pure(mechanism: Mechanism) -> None:
    sent = read_only(contributions(1)[0])
    before = bits(sent)
    once = bounded(mechanism, sent, 7)
    assert_same_bits(once, bounded(mechanism, backwards(sent), 7))
    for array in once.values():
        assert not any(np.shares_memory(array, given) for given in sent.values() if given.size)
    assert bits(sent) == before


def _the_layout_depends_on_the_layout_alone(mechanism: Mechanism) -> None:
    one, other = contributions(2)
    still = {name: np.zeros_like(array) for name, array in one.items()}
    layouts = [
        {k: (np.shape(a), np.asarray(a).dtype) for k, a in bounded(mechanism, sent, rows).items()}
        for sent, rows in [(one, 1), (other, 1000), (still, 0)]
    ]
    assert layouts[0] == layouts[1] == layouts[2]


def _no_finite_contribution_makes_it_raise_or_warn(mechanism: Mechanism) -> None:
    """Warnings are errors here, and a round must not fall over one client's size."""
    extremes = [65504.0, -3e38, 1e-40, 1.7e308, -1.7e308, 5e-324]
    for value, rows in itertools.product(extremes, (1, 10**6)):
        for dtype in (np.float16, np.float32, np.float64):
            if abs(value) > float(np.finfo(dtype).max):
                continue
            found = bounded(mechanism, {"x": np.array([value, 0]).astype(dtype)}, rows)
            assert not any(np.isnan(array).any() for array in found.values())


def _what_is_not_finite_is_refused_here_or_by_the_fold(mechanism: Mechanism) -> None:
    for value in (np.nan, np.inf, -np.inf):
        spoiled = np.array([value, 1e3])
        for others in (np.zeros(2), np.ones(2), np.zeros(0)):
            for sent in ({"x": spoiled, "y": others}, {"x": others, "y": spoiled}):
                fold = Fold()
                try:
                    fold.add(bounded(mechanism, sent), Receipt(client="a", examples=1))
                except ValueError:
                    assert fold.total() == {}
                else:
                    raise AssertionError(f"{value} was added to a sum")


def _no_name_is_lost(mechanism: Mechanism, sampling: Sampling) -> None:
    """`torch.nn.Linear` calls its parameters `weight` and `bias`, and a user anything."""
    own = list(bounded(mechanism, {}))
    sent = {name: np.full(3, float(i)) for i, name in enumerate([*ODD_NAMES, *own])}
    mean, _ = mechanism.release(
        total_of(mechanism, [sent, sent], [2, 2]), sampling, mechanism.begin(), stream("names")
    )
    assert mean is not None
    assert mean.keys() == sent.keys()


def _release_is_pure(mechanism: Mechanism, sampling: Sampling) -> None:
    parts = contributions(3)
    total = read_only(total_of(mechanism, parts, [3, 1, 2]))
    memory = read_only(mechanism.begin())
    before, kept = bits(total), bits(memory)
    mean, following = mechanism.release(total, sampling, memory, stream("pure"))
    assert mean is not None
    assert (bits(total), bits(memory)) == (before, kept)
    assert mean.keys() == parts[0].keys()
    for name, array in mean.items():
        assert np.shape(array) == parts[0][name].shape
        assert array.dtype == np.float64
        assert np.all(np.isfinite(array))
        assert not any(np.shares_memory(array, given) for given in total.values() if given.size)
    again, same = mechanism.release(total, sampling, memory, stream("pure"))
    assert again is not None
    assert_same_bits(mean, again)
    assert_same_bits(following, same)


def _the_order_of_clients_does_not_matter(mechanism: Mechanism) -> None:
    parts, examples = contributions(4), [5, 1, 100, 7]
    totals = [
        total_of(mechanism, [parts[i] for i in order], [examples[i] for i in order])
        for order in itertools.permutations(range(4))
    ]
    for total in totals[1:]:
        assert_same_bits(total, totals[0])


def _the_noise_is_that_of_the_stream(mechanism: Mechanism, sampling: Sampling) -> None:
    """Not that of numpy's global seed, nor of the order in which arrays are named."""
    total = total_of(mechanism, contributions(3), [3, 1, 2])
    before = np.random.get_state()  # noqa: NPY002 - to see that it is left alone
    found = []
    for seed in (0, 1):
        np.random.seed(seed)  # noqa: NPY002
        found.append(released(mechanism, sampling, total, stream("seeded")))
    np.random.set_state(before)  # noqa: NPY002
    assert_same_bits(*found)
    assert_same_bits(found[0], released(mechanism, sampling, backwards(total), stream("seeded")))


def _terms_and_memory_survive_the_wire(mechanism: Mechanism, sampling: Sampling) -> None:
    memory: Mapping[str, Any] = mechanism.begin()
    for round in range(1, 5):
        terms = mechanism.terms(memory)
        assert json.loads(json.dumps(dict(terms), allow_nan=False)) == dict(terms)
        total = total_of(mechanism, contributions(3), [3, 1, 2])
        stored = decode(encode(memory))
        mean, memory = mechanism.release(total, sampling, memory, stream("wire", round))
        other, kept = mechanism.release(total, sampling, stored, stream("wire", round))
        assert mean is not None
        assert other is not None
        assert_same_bits(mean, other)
        assert_same_bits(memory, kept)


def _every_round_has_an_event(mechanism: Mechanism, sampling: Sampling) -> None:
    """Rounds that an earlier one paid for are only those in which no client can be again."""
    found = [mechanism.event(sampling, round) for round in range(1, 9)]
    for number, event in enumerate(found):
        assert hash(event) == hash(mechanism.event(sampling, number + 1))
        if event == Covered():
            assert sampling.scheme == "cyclic"
            assert number % sampling.separation
