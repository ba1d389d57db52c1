"""What every mechanism promises, whatever the contribution is called and however large it is."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from contracts.bits import assert_same_bits, backwards, bits, check_value, read_only
from numpy.typing import NDArray
from tacit.privacy import Mechanism
from tacit.wire import Arrays, Fold, Receipt

ODD_NAMES = [
    "weight",
    "sum",
    "sum/weight",
    "norm",
    "count",
    "examples",
    "delta/weight",
    "",
    "/",
    "é",
]


def check_mechanism(mechanism: Mechanism) -> None:
    """Runs every check below."""
    check_value(mechanism)
    _bound_is_pure(mechanism)
    _the_layout_depends_on_the_layout_alone(mechanism)
    _no_finite_contribution_makes_it_raise_or_warn(mechanism)
    _no_name_is_lost(mechanism)
    _release_is_pure(mechanism)
    _the_order_of_clients_does_not_matter(mechanism)


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


def total_of(mechanism: Mechanism, parts: Sequence[Arrays], examples: Sequence[int]) -> Arrays:
    """The exact sum of bounded contributions, as a coordinator makes it."""
    fold = Fold()
    for index, (part, rows) in enumerate(zip(parts, examples, strict=True)):
        fold.add(mechanism.bound(part, rows), Receipt(client=str(index), examples=rows))
    return fold.total()


def _bound_is_pure(mechanism: Mechanism) -> None:
    part = read_only(contributions(1)[0])
    before = bits(part)
    once = mechanism.bound(part, 7)
    assert_same_bits(once, mechanism.bound(backwards(part), 7))
    for array in once.values():
        assert not any(np.shares_memory(array, given) for given in part.values() if given.size)
    assert bits(part) == before


def _the_layout_depends_on_the_layout_alone(mechanism: Mechanism) -> None:
    one, other = contributions(2)
    still = {name: np.zeros_like(array) for name, array in one.items()}
    layouts = [
        {name: (array.shape, array.dtype) for name, array in mechanism.bound(part, rows).items()}
        for part, rows in [(one, 1), (other, 1000), (still, 0)]
    ]
    assert layouts[0] == layouts[1] == layouts[2]


def _no_finite_contribution_makes_it_raise_or_warn(mechanism: Mechanism) -> None:
    """Warnings are errors here, and a round must not fall over one client's size."""
    extremes = [65504.0, -3e38, 1e-40, 1.7e308, -1.7e308, 5e-324]
    for value, rows in itertools.product(extremes, (1, 10**6)):
        for dtype in (np.float16, np.float32, np.float64):
            if abs(value) > float(np.finfo(dtype).max):
                continue
            bounded = mechanism.bound({"x": np.array([value, 0]).astype(dtype)}, rows)
            assert not any(np.isnan(array).any() for array in bounded.values())


def _no_name_is_lost(mechanism: Mechanism) -> None:
    """`torch.nn.Linear` calls its parameters `weight` and `bias`, and a user anything."""
    own = list(mechanism.bound({}, 1))
    part = {name: np.full(3, float(i)) for i, name in enumerate([*ODD_NAMES, *own])}
    released = mechanism.release(total_of(mechanism, [part, part], [2, 2]))
    assert released.keys() == part.keys()


def _release_is_pure(mechanism: Mechanism) -> None:
    parts = contributions(3)
    total = read_only(total_of(mechanism, parts, [3, 1, 2]))
    before = bits(total)
    released = mechanism.release(total)
    assert bits(total) == before
    assert released.keys() == parts[0].keys()
    for name, array in released.items():
        assert array.shape == parts[0][name].shape
        assert array.dtype == np.float64
        assert np.all(np.isfinite(array))


def _the_order_of_clients_does_not_matter(mechanism: Mechanism) -> None:
    parts, examples = contributions(4), [5, 1, 100, 7]
    totals = [
        total_of(mechanism, [parts[i] for i in order], [examples[i] for i in order])
        for order in itertools.permutations(range(4))
    ]
    for total in totals[1:]:
        assert_same_bits(total, totals[0])
