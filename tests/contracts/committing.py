"""A process that does nothing but commit, and another that kills it again and again.

After every kill the store must hold a state that was committed, whole: the last one acknowledged, or
the one that was under way.
"""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

import numpy as np
from contracts.bits import bits, nested_bits
from contracts.killing import BEGAN, Say, killed
from tacit.server import Committed, Store
from tacit.strategies import ServerState

SIZE = 30_000
LONGEST = 0.12


def state(round: int) -> ServerState:
    """A state that is a function of its round, so that a mixture of two would show."""
    rng = np.random.default_rng(round)
    return ServerState(
        round=round,
        parameters={"weight": rng.normal(size=SIZE).astype(np.float32)},
        memory={"v": {"weight": rng.normal(size=SIZE)}},
    )


def record(round: int) -> Committed:
    return Committed(round=round, cohort=1, admitted=1, refused=0, training={}, seconds=0.0)


def commit_forever(folder: Path, rows: str | None, say: Say) -> None:
    """Goes on from what the store holds, and says after each commit that it returned."""
    store = Store(folder, rows)
    latest = store.latest()
    round = 0 if latest is None else latest.round + 1
    say(BEGAN)
    while True:
        store.begin(round)
        store.commit(state(round), record(round))
        say(round)
        round += 1


def check(folder: Path, rows: str | None, acknowledged: int) -> int:
    """The round that the store holds, which must be whole, and not older than was acknowledged."""
    store = Store(folder, rows)
    found, history = store.latest(), store.history()
    store.close()
    if found is None:
        assert acknowledged == -1, "a commit that returned was lost"
        return -1
    assert found.round in (acknowledged, acknowledged + 1), (found.round, acknowledged)
    assert bits(found.parameters) == bits(state(found.round).parameters)
    assert nested_bits(found.memory) == nested_bits(state(found.round).memory)
    assert [committed.round for committed, _ in history] == list(range(1, found.round + 1))
    return found.round


def commit(folder: Path, kills: int, seed: int, rows: str | None) -> int:
    """How many rounds there are in the end. Where `rows` is the URL of a database, they are there."""
    chance, latest = random.Random(seed), -1
    for _ in range(kills):
        work, after = partial(commit_forever, folder, rows), chance.uniform(0.0, LONGEST)
        acknowledged = killed(work, after, settled=chance.random() < 0.8)
        latest = check(folder, rows, acknowledged[-1] if acknowledged else latest)
    store = Store(folder, rows)
    store.commit(state(latest + 1), record(latest + 1))
    left = list((folder / "objects").iterdir())
    store.close()
    assert len(left) <= 4, f"files of dead processes are left: {left}"
    return latest
