"""What every strategy promises: two pure halves, and contributions that may be summed."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from contracts.bits import assert_same_bits, backwards, bits, check_value, nested_bits, read_only
from numpy.typing import NDArray
from tacit.client import Memory
from tacit.privacy import Mean, Sampling, Secret
from tacit.server import Committed, Store
from tacit.strategies import Fitted, Local, Received, Released, ServerState, Strategy
from tacit.strategies.strategy import still
from tacit.wire import Arrays, Fold, Receipt, decode, encode

SHAPES: Mapping[str, tuple[type[np.generic], tuple[int, ...]]] = {
    "weight": (np.float32, (3, 2)),
    "bias": (np.float64, (2,)),
    "scale": (np.float32, ()),
    "half": (np.float16, (4,)),
    "nothing": (np.float32, (0, 2)),
    "m/v": (np.float32, (1,)),
    "": (np.float32, (1,)),
}
"""Every dtype a model may have, and names that a careless prefix would trip over."""


def check_strategy(strategy: Strategy, folder: Path) -> None:
    """Runs every check below; `folder` is an empty one to write into."""
    check_value(strategy)
    _init_changes_nothing(strategy)
    _both_halves_are_pure(strategy)
    _the_order_of_names_does_not_matter(strategy)
    _the_layout_of_contributions_never_changes(strategy)
    _contributions_may_be_averaged(strategy)
    _contributions_of_clients_large_and_small_fit_into_a_sum(strategy)
    _a_still_round_moves_nothing(strategy)
    _training_starts_at_a_model(strategy)
    _a_round_moves_towards_the_change(strategy)
    _a_state_survives_the_store(strategy, folder / "store")
    _a_memory_survives_the_disk(strategy, folder / "memory")


def dyadic(seed: int) -> dict[str, NDArray[Any]]:
    """Multiples of 1/8 up to 2: sums, means and quotients by 2 and 4 of them are exact in float16."""
    rng = np.random.default_rng(seed)
    return {
        name: (rng.choice([-1, 1], shape) * rng.integers(1, 17, shape) / 8).astype(dtype)
        for name, (dtype, shape) in SHAPES.items()
    }


ROWS = 6
"""How many rows a client of the battery trains on."""


def fitted(delta: Arrays, client: int = 0, losses: float = 1.0) -> Fitted:
    return Fitted(
        delta=delta,
        steps=4,
        learning_rate=0.5,
        loss=1.0,
        local=local(client),
        received=Received(losses=np.full(ROWS, losses), guesses=np.zeros(ROWS, np.int64)),
        personal=delta,
    )


def local(client: int = 0) -> Local:
    """One of two clients, with rows of two classes and two groups."""
    codes = np.arange(ROWS) % 2
    return Local(position=client, clients=2, labels=codes, groups={"sex": codes[::-1]})


def mean_of(one: Arrays, other: Arrays) -> dict[str, NDArray[Any]]:
    """The mean, as a mechanism releases it: in float64."""
    return {name: (one[name].astype(float) + other[name]) / 2 for name in one}


def released(mean: Arrays) -> Released:
    return Released(
        mean={name: np.asarray(array, np.float64) for name, array in mean.items()},
        participation=0.5,
    )


def play(strategy: Strategy, rounds: int) -> tuple[ServerState, Arrays]:
    """A state that remembers, and the memory of one of its two clients."""
    state = strategy.init(dyadic(0))
    memories: list[Arrays] = [{}, {}]
    for number in range(rounds):
        parts = []
        for client in range(2):
            extras = strategy.extras(state)
            change = fitted(dyadic(100 * number + client), client, losses=1.0 + client)
            part, memories[client] = strategy.contribute(change, extras, memories[client])
            parts.append(part)
        state = strategy.step(state, released(mean_of(*parts)))
    return state, memories[0]


def _init_changes_nothing(strategy: Strategy) -> None:
    parameters = read_only(dyadic(0))
    state = strategy.init(parameters)
    assert state.round == 0
    assert_same_bits(state.parameters, parameters)
    for arrays in state.memory.values():
        assert all(array.dtype == np.float64 for array in arrays.values())


def _both_halves_are_pure(strategy: Strategy) -> None:
    """Equal arguments give equal bits, and writing to an argument raises."""
    state, memory = play(strategy, 2)
    guarded = ServerState(
        round=state.round,
        parameters=read_only(state.parameters),
        memory={name: read_only(arrays) for name, arrays in state.memory.items()},
    )
    extras, memory = read_only(strategy.extras(guarded)), read_only(memory)
    change = fitted(read_only(dyadic(7)))
    assert_same_bits(extras, strategy.extras(state))
    one, other = (strategy.correct(extras, memory, local()) for _ in range(2))
    assert_same_bits(one.gradient, other.gradient)
    assert (one.proximal, one.transform) == (other.proximal, other.transform)
    np.testing.assert_array_equal(one.weights, other.weights)
    part, remembered = strategy.contribute(change, extras, memory)
    assert all(
        map(
            operator.eq,
            *(
                map(bits, strategy.contribute(change, extras, memory)),
                map(bits, (part, remembered)),
            ),
        )
    )
    mean = Released(mean=read_only(released(part).mean), participation=0.5)
    after, again = strategy.step(guarded, mean), strategy.step(guarded, mean)
    assert after.round == again.round == state.round + 1
    assert_same_bits(after.parameters, again.parameters)
    assert nested_bits(after.memory) == nested_bits(again.memory)
    assert nested_bits(guarded.memory) == nested_bits(state.memory)


def _the_order_of_names_does_not_matter(strategy: Strategy) -> None:
    state, memory = play(strategy, 2)
    turned = ServerState(
        round=state.round,
        parameters=backwards(state.parameters),
        memory={name: backwards(arrays) for name, arrays in state.memory.items()},
    )
    extras, change = strategy.extras(state), fitted(dyadic(7))
    part, _ = strategy.contribute(change, extras, memory)
    other, _ = strategy.contribute(
        fitted(backwards(change.delta)), backwards(extras), backwards(memory)
    )
    assert_same_bits(part, other)
    one, two = (
        strategy.step(state, released(part)),
        strategy.step(turned, released(backwards(part))),
    )
    assert_same_bits(one.parameters, two.parameters)
    assert nested_bits(one.memory) == nested_bits(two.memory)


def _the_layout_of_contributions_never_changes(strategy: Strategy) -> None:
    """Admission compares each contribution with one made from zeros, without a memory."""
    state, memory = play(strategy, 2)
    blank = still(dyadic(0))
    first, _ = strategy.contribute(blank, strategy.extras(strategy.init(blank.delta)), {})
    later, _ = strategy.contribute(fitted(dyadic(7)), strategy.extras(state), memory)
    for name in first.keys() | later.keys():
        assert (first[name].shape, first[name].dtype) == (later[name].shape, later[name].dtype)
        assert np.all(np.isfinite(later[name]))


def _contributions_may_be_averaged(strategy: Strategy) -> None:
    """Two clients with the same steps and losses count as one that moved by their mean.

    But for `h` of q-FedAvg, in which a move is squared. A strategy that weighs clients rounds.
    """
    state, memory = play(strategy, 1)
    one, other, extras = dyadic(7), dyadic(8), strategy.extras(state)
    both = {name: ((one[name] + other[name]) / 2).astype(one[name].dtype) for name in one}
    parts = [strategy.contribute(fitted(each), extras, memory)[0] for each in (one, other, both)]
    mean, of_both = mean_of(parts[0], parts[1]), released(parts[2]).mean
    if not strategy.asks:
        assert_same_bits(mean, of_both)
    for name in mean.keys() - {"h"}:
        near = 8 * float(np.finfo(parts[2][name].dtype).eps)
        np.testing.assert_allclose(mean[name], of_both[name], rtol=near, atol=near)


def _contributions_of_clients_large_and_small_fit_into_a_sum(strategy: Strategy) -> None:
    """For two clients and a hundred, weighted by their rows, of which the large one has large losses."""
    for clients in (2, 100):
        sized: Any = strategy
        if hasattr(strategy, "clients"):
            sized = replace(sized, clients=clients)
        state = sized.init(dyadic(0))
        extras, mean, fold = sized.extras(state), Mean(weighting="examples"), Fold()
        parts, sizes = list[Arrays](), list[int]()
        for client in range(clients):
            part, _ = sized.contribute(realistic(client, clients), extras, {})
            rows = REALISTIC[client % 2]
            receipt = Receipt(client=str(client), examples=rows)
            fold.add(mean.bound(part, examples=rows, terms={}), receipt, members=clients)
            parts.append(part)
            sizes.append(rows)
        everyone = Sampling(scheme="everyone", clients=clients, participation=1.0)
        found, _ = mean.release(fold.total(), everyone, {}, Secret.fresh().stream())
        assert found is not None
        for name in parts[0]:
            wanted = np.average([part[name] for part in parts], axis=0, weights=sizes)
            np.testing.assert_allclose(found[name], wanted, rtol=1e-5, atol=2.0**-32)
        after = sized.step(state, Released(mean=found, participation=1.0))
        assert all(np.all(np.isfinite(array)) for array in after.parameters.values())


REALISTIC = (100, 30_000)
"""How many rows clients have in turn."""


def realistic(client: int, clients: int) -> Fitted:
    """What a client with that many rows does at a small learning rate: a change of norm about 0.6."""
    rows, loss = REALISTIC[client % 2], (0.1, 2.3)[client % 2]
    codes = np.arange(rows) % 2
    return Fitted(
        delta={name: array / np.array(8, array.dtype) for name, array in dyadic(client).items()},
        steps=4,
        learning_rate=0.01,
        loss=loss,
        local=Local(position=client, clients=clients, labels=codes, groups={"sex": codes}),
        received=Received(losses=np.full(rows, loss), guesses=np.zeros(rows, np.int64)),
    )


def _a_still_round_moves_nothing(strategy: Strategy) -> None:
    state = strategy.init(dyadic(0))
    zero = {name: np.zeros_like(array) for name, array in state.parameters.items()}
    part, _ = strategy.contribute(fitted(zero), strategy.extras(state), {})
    after = strategy.step(state, released(part))
    assert_same_bits(after.parameters, state.parameters)
    assert_same_bits(after.unmoved().parameters, state.parameters)
    assert (after.round, after.unmoved().round) == (1, 2)


def _training_starts_at_a_model(strategy: Strategy) -> None:
    """In the first round at the first model, and always at one of its layout."""
    assert_same_bits(strategy.start(strategy.init(dyadic(0))), dyadic(0))
    state, _ = play(strategy, 2)
    for name, array in strategy.start(state).items():
        assert (array.dtype, array.shape) == (dyadic(0)[name].dtype, dyadic(0)[name].shape)


def _a_round_moves_towards_the_change(strategy: Strategy) -> None:
    state, delta = strategy.init(dyadic(0)), dyadic(7)
    part, _ = strategy.contribute(fitted(delta), strategy.extras(state), {})
    after = strategy.step(state, released(part))
    for name, array in after.parameters.items():
        before = state.parameters[name]
        assert (array.dtype, array.shape) == (before.dtype, before.shape)
        np.testing.assert_array_equal(np.sign(array - before), np.sign(delta[name]))


def _a_state_survives_the_store(strategy: Strategy, folder: Path) -> None:
    """Going on from the disk is going on from memory, bit for bit."""
    for rounds in range(3):
        state, memory = play(strategy, rounds)
        store = Store(folder / str(rounds))
        store.commit(state, record(state.round))
        store.close()
        store = Store(folder / str(rounds))
        found = store.latest()
        store.close()
        assert found is not None
        assert found.round == state.round
        assert_same_bits(found.parameters, state.parameters)
        assert nested_bits(found.memory) == nested_bits(state.memory)
        part, _ = strategy.contribute(fitted(dyadic(7)), strategy.extras(found), memory)
        assert_same_bits(
            strategy.step(found, released(part)).parameters,
            strategy.step(state, released(part)).parameters,
        )


def _a_memory_survives_the_disk(strategy: Strategy, folder: Path) -> None:
    state, memory = play(strategy, 2)
    assert_same_bits(decode(encode(memory)), memory)
    Memory(folder).write("a", 2, memory)
    found, extras = Memory(folder).read("a", 3), strategy.extras(state)
    assert_same_bits(found, memory)
    assert_same_bits(
        strategy.correct(extras, found, local()).gradient,
        strategy.correct(extras, memory, local()).gradient,
    )
    part, _ = strategy.contribute(fitted(dyadic(7)), extras, found)
    assert_same_bits(part, strategy.contribute(fitted(dyadic(7)), extras, memory)[0])


def record(round: int) -> Committed:
    return Committed(round=round, cohort=2, admitted=2, refused=0, training={}, seconds=0.0)
