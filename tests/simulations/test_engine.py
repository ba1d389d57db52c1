"""The engine keeps the contract of a transport, and a lost worker is noticed."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from contracts.transport import Scene, check_transport, instruction, make_scene
from tacit.client import Data, Memory
from tacit.privacy import Budget
from tacit.server import POOLED
from tacit.simulations.custody import Custody
from tacit.simulations.engine import Engine, spawned
from tacit.simulations.population import Population, Split
from tacit.simulations.worker import Job
from tacit.wire import Purpose, WorkerLost


def job(scene: Scene) -> Job:
    """The scene's clients, laid end to end; each tests on the rows that it trains on."""
    parts = list(scene.data.values())
    ends = np.cumsum([len(part) for part in parts]).tolist()
    slices = [slice(end - len(part), end) for end, part in zip(ends, parts, strict=True)]
    population = Population(
        name="scene",
        data=Data(
            features=np.concatenate([part.features for part in parts]),
            targets=np.concatenate([part.targets for part in parts]),
        ),
        clients={n: Split(train=s, test=s) for n, s in zip(scene.data, slices, strict=True)},
        pooled=Split(train=slice(0, ends[-1]), test=slice(0, ends[-1])),
        classes=3,
        shape=(13,),
    )
    return Job(
        population=population,
        task=scene.task,
        strategy=scene.strategy,
        mechanism=scene.mechanism,
        rounds=scene.rounds,
        memory=Memory(scene.folder),
        custody=Custody(
            folder=scene.folder / "custody",
            population="scene",
            budget=Budget(epsilon=math.inf),
            terms=None,
            keeps_secrets=False,
            test_seed=None,
        ),
        clients=tuple(scene.data),
    )


@contextmanager
def connect(scene: Scene) -> Iterator[Engine]:
    with spawned(job(scene), 2, "cpu") as engine:
        yield engine


def test_the_engine_keeps_the_transport_contract(tmp_path: Path) -> None:
    check_transport(connect, tmp_path)


def test_a_killed_worker_ends_the_round_with_a_line_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(WorkerLost, match=r"was killed by SIGKILL.*fewer workers.*Resume"):
        lose_a_worker(job(make_scene(tmp_path)))
    assert not multiprocessing.active_children()


def lose_a_worker(job: Job) -> None:
    with spawned(job, 2, "cpu") as engine:
        victim = engine.processes[0].pid
        assert victim is not None
        threading.Timer(0.2, os.kill, (victim, signal.SIGKILL)).start()
        until = time.monotonic() + 60
        while time.monotonic() < until:
            engine.gather(instruction(), ["ann", "bob", "cyd", "dan"])


def test_progress_within_a_round_is_told_and_never_exceeds_the_cohort(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    with spawned(job(make_scene(tmp_path)), 1, "cpu") as engine:
        engine.watch = lambda taken, members: seen.append((taken, members))
        for _ in range(20):
            engine.gather(instruction(), ["ann", "bob", "cyd", "dan", "eve"])
    assert seen
    assert all(0 <= taken <= members == 5 for taken, members in seen)


def test_the_pooled_holder_is_measured_by_a_worker_like_any_client(tmp_path: Path) -> None:
    scene = make_scene(tmp_path)
    kind = {name: data for name, data in scene.data.items() if name not in ("mined", "wild")}
    with spawned(job(replace(scene, data=kind)), 1, "cpu") as engine:
        fold = engine.gather(instruction(Purpose.EVALUATE), [POOLED])
    assert [receipt.examples for receipt in fold.receipts] == [sum(map(len, kind.values()))]
