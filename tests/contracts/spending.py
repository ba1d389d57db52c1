"""A process that runs noised rounds for ever, and another that kills it again and again.

After every kill the ledger must account for everything that was released, and for nothing twice.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from contracts.killing import BEGAN, Say, killed
from contracts.run import Run
from tacit.privacy import Account, Gaussian, Sampling, Unit
from tacit.privacy.accountants import rdp_epsilon
from tacit.privacy.budget import Adjacency
from tacit.privacy.ledger import Entry
from tacit.server import Began, Committed, Poisson, Progress, Store
from tacit.wire import Fold, InMemory, Instruction

FOR_EVER = 10**6
LONGEST = 6
"""A process is killed within the time of so many rounds."""
DELTA = 1e-5
STEPS = (
    "begun",
    "checked",
    "gathered",
    "charging",
    "charged",
    "released",
    "committing",
    "committed",
    "measured",
)
"""Where a round can be cut, in order."""

MECHANISM = Gaussian(clip=0.5, noise_multiplier=5.0)


def noised(folder: Path, rows: str | None = None) -> Run:
    return Run(
        folder=folder,
        rows=rows,
        rounds=FOR_EVER,
        mechanism=MECHANISM,
        sampler=Poisson(rate=0.5),
        measured=("ann",),
        evaluate_every=3,
    )


def start(run: Run, say: Say) -> None:
    """Says which rounds it began and committed."""

    def observe(progress: Progress) -> None:
        match progress:
            case Began():
                say(BEGAN)
            case Committed(round=round):
                say(round)

    replace(run, observe=observe).start()


def check(run: Run) -> tuple[int, list[Entry]]:
    """The rounds that were released, and the entries, which must account for them: each once."""
    store, ledger = run.store(), run.ledger()
    rounds = [committed.round for committed, _ in store.history()]
    heads = [committed.ledger for committed, _ in store.history()]
    entries = ledger.verify()
    assert all(ledger.knows(head) for head in heads)
    counts = ledger.counts("wine", Unit.CLIENT)
    store.close()
    ledger.close()
    charged = [entry.round for entry in entries]
    assert len(set(charged)) == len(charged), "the same bytes were charged twice"
    assert set(rounds) <= set(charged), "a release was not charged"
    assert len(charged) <= len(rounds) + 1, "more than the open round was charged in advance"
    event = MECHANISM.event(Sampling(scheme="poisson", clients=4, participation=0.5), 1)
    released = rdp_epsilon({event: len(rounds)}, DELTA, Adjacency.ADD_REMOVE)
    assert rdp_epsilon(counts, DELTA, Adjacency.ADD_REMOVE) >= released
    return len(rounds), entries


@dataclass
class Fuse:
    """Ends the process, as a power cut would, when `step` of round `round` is reached."""

    step: str
    round: int

    def reached(self, step: str, round: int) -> None:
        if (step, round) == (self.step, self.round):
            os.kill(os.getpid(), signal.SIGKILL)


def cut(run: Run, step: str, round: int) -> None:
    """A new process that is killed exactly there. What is called is real; it is only interrupted."""
    child = os.fork()
    if not child:
        _arm(Fuse(step, round))
        replace(run, wrap=partial(_Gathering, fuse=Fuse(step, round))).start()
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)


def _arm(fuse: Fuse) -> None:
    """Interrupts the methods of this process, which is about to die."""

    def around(owner: type, name: str, before: str | None, after: str | None, which: int) -> None:
        inner = getattr(owner, name)

        def outer(*given: object, **named: object) -> object:
            found = given[which] if len(given) > which else 0
            number = found if isinstance(found, int) else getattr(found, "round", 0)
            if before:
                fuse.reached(before, number)
            result = inner(*given, **named)
            if after:
                fuse.reached(after, number)
            return result

        setattr(owner, name, outer)

    around(Store, "begin", None, "begun", 1)
    around(Account, "check", None, "checked", 1)
    around(Account, "charge", "charging", "charged", 1)
    around(Store, "commit", "committing", "committed", 1)
    around(Store, "measure", None, "measured", 1)
    release: Callable[..., object] = Gaussian.release

    def releasing(own: Gaussian, *given: object, **named: object) -> object:
        result = release(own, *given, **named)
        if fuse.step == "released":
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    Gaussian.release = releasing  # type: ignore[assignment, method-assign]


@dataclass(frozen=True)
class _Gathering:
    inner: InMemory
    fuse: Fuse

    def gather(self, instruction: Instruction, members: Sequence[str]) -> Fold:
        fold = self.inner.gather(instruction, members)
        if instruction.purpose == "fit":
            self.fuse.reached("gathered", instruction.round)
        return fold


def seconds_of_a_round(run: Run) -> float:
    """As long as one takes here and now; what is imported for it, processes that fork then share."""
    replace(run, rounds=1).start()
    began = time.monotonic()
    replace(run, rounds=1 + LONGEST).start()
    return (time.monotonic() - began) / LONGEST


def spend(folder: Path, kills: int, seed: int, rows: str | None) -> int:
    """How many rounds there are in the end. Where `rows` is the URL of a database, they are there."""
    torch.set_num_threads(1)
    chance, run, acknowledged = random.Random(seed), noised(folder, rows), 0
    longest = LONGEST * seconds_of_a_round(noised(folder / "warm"))
    for _ in range(kills):
        work, after = partial(start, run), chance.uniform(0.0, longest)
        acknowledged += len(killed(work, after, settled=chance.random() < 0.8))
        rounds, _ = check(run)
        assert rounds >= acknowledged, "a round that was said to be committed is lost"
    return rounds
