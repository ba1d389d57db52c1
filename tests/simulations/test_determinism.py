"""One seed, one model: for any number of workers, any order of arrival, and any number of crashes."""

from __future__ import annotations

import math
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from tacit.privacy import Account, Budget, Ledger, Unit
from tacit.server import Coordinator, Store
from tacit.simulations.conduct import parameter_digest
from tacit.simulations.config import Config, make_config
from tacit.simulations.run import in_process, make_job, run, simulate
from tacit.simulations.run_folder import RunFolder
from tacit.simulations.setup import Setup, prepare
from tacit.wire import Fold, Instruction, Transport

KILLS = int(os.environ.get("TACIT_KILLS", "8"))

torch.set_num_threads(1)  # processes are forked below, which threads would not survive


def config(*changes: str, rounds: int = 6) -> Config:
    """SCAFFOLD and dropout, because they have the most to forget: clients remember, and draw."""
    table = {
        "seed": 3,
        "rounds": rounds,
        "data": {"name": "digits"},
        "partition": {"kind": "dirichlet", "clients": 12, "alpha": 0.5},
        "model": {"kind": "mlp", "hidden": [16], "dropout": 0.2},
        "train": {"learning_rate": 0.1, "batch_size": 16},
        "strategy": {"kind": "scaffold"},
        "sampler": {"kind": "poisson", "rate": 0.6},
        "run": {"workers": 0, "device": "cpu"},
    }
    return make_config(table, changes)


@pytest.fixture(scope="module")
def undisturbed() -> str:
    return simulate(config()).digest


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_the_number_of_workers_does_not_change_a_bit(workers: int, undisturbed: str) -> None:
    assert simulate(config(f"run.workers={workers}")).digest == undisturbed


def test_another_seed_gives_another_model(undisturbed: str) -> None:
    assert simulate(config("seed=4")).digest != undisturbed


@dataclass(frozen=True)
class Shuffled:
    """A transport whose answers arrive in another order every time, in parts that merge anyhow."""

    inner: Transport
    rng: random.Random

    def gather(self, instruction: Instruction, members: Sequence[str]) -> Fold:
        order, fold = list(members), Fold()
        self.rng.shuffle(order)
        while order:
            size = self.rng.randint(1, len(order))
            part, order = self.inner.gather(instruction, order[:size]), order[size:]
            part.merge(fold)
            fold = part
        return fold


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_arrival_does_not_change_a_bit(
    seed: int, tmp_path: Path, undisturbed: str
) -> None:
    setup = prepare(config())
    job = make_job(setup, RunFolder(tmp_path))
    store = Store(tmp_path)
    account = Account(
        ledger=Ledger(tmp_path / "ledger.db"),
        population="digits",
        unit=Unit.CLIENT,
        run=store.run(),
        budget=Budget(epsilon=math.inf),
    )
    coordinator = Coordinator(
        strategy=setup.config.strategy,
        mechanism=setup.config.mechanism,
        sampler=setup.config.sampler,
        transport=Shuffled(in_process(job, "cpu"), random.Random(seed)),
        store=store,
        account=account,
        secret=store.secret(),
        clients=setup.clients,
        measured=setup.measured,
        rounds=setup.config.rounds,
        seed=setup.config.seed,
        settings=setup.config.train.settings(),
    )
    assert parameter_digest(coordinator.run(setup.initial).parameters) == undisturbed


@pytest.mark.usefixtures("undisturbed")  # what is imported for it is not timed
def test_random_kills_and_resumes_end_in_the_same_bits(tmp_path: Path) -> None:
    """Real SIGKILLs of real processes, at moments drawn at random from the whole course of a round."""
    wanted = config(rounds=2 * KILLS)
    began = time.monotonic()
    digest = simulate(wanted).digest
    course = time.monotonic() - began
    rng, folder, setup = random.Random(20), RunFolder(tmp_path / "run"), prepare(wanted)
    longest = 1.5 * course / wanted.rounds
    kills = [killed_after(setup, folder, rng.uniform(0, longest)) for _ in range(KILLS)]
    result = run(setup, folder, resume=folder.config.exists())
    assert all(kills), "the run was over before it had been killed so often"
    assert result.digest == digest
    assert [committed.round for committed, _ in result.history] == list(range(1, 2 * KILLS + 1))
    assert all(evaluated for _, evaluated in result.history)


def killed_after(setup: Setup, folder: RunFolder, delay: float) -> bool:
    """Starts or resumes a run in a child process and kills it; False if it was done before."""
    child = os.fork()
    if not child:
        run(setup, folder, resume=folder.config.exists())
        os._exit(0)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def test_torchrun_starts_the_workers_as_well(tmp_path: Path, undisturbed: str) -> None:
    file, folder = tmp_path / "run.toml", tmp_path / "run"
    file.write_text(config().to_toml())
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--no-python",
    ]
    command += [sys.executable, "-m", "tacit", "run", str(file), "--out", str(folder), "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stderr
    state = Store(folder).latest()
    assert state is not None
    assert parameter_digest(state.parameters) == undisturbed
