"""What can go wrong with a deployment, each in a few lines, done to real processes and connections."""

from __future__ import annotations

import asyncio
import resource
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Final

import grpc
from contracts import proxy
from tacit.client.agent import _submit
from tacit.client.dialler import Lost
from tacit.wire import federation_pb2 as pb
from tacit.wire import federation_pb2_grpc as rpc
from tacit.wire.dial import dial
from tacit.wire.identity import Role
from tacit.wire.keys import Keys

if TYPE_CHECKING:
    from contracts.party import Party
    from contracts.stage import Stage

SKEW: Final = 300.0
SETTLED: Final = {pb.STATUS_ACCEPTED, pb.STATUS_LATE, pb.STATUS_RETRY}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """`kind` happens `after` seconds in `round`; what else is left to chance follows `seed`."""

    kind: str
    round: int
    after: float
    seed: int


Happen = Callable[["Stage", Random], Awaitable[None]]


async def _kill(stage: Stage, party: Party, chance: Random, skew: float = 0.0) -> None:
    party.skew, party.away = skew, chance.uniform(0.0, 0.4)
    party.kill()


async def _kill_at_work(stage: Stage, party: Party, chance: Random) -> None:
    """As it writes down what it did: its memory, its ledger, its answer, or a round."""
    before, until = stage.written(party), time.monotonic() + 2.0
    while stage.written(party) == before and time.monotonic() < until:
        await asyncio.sleep(0.001)
    await asyncio.sleep(chance.choice((0.0, 0.003, 0.01)))
    await _kill(stage, party, chance)


async def _freeze(stage: Stage, party: Party, chance: Random) -> None:
    """Longer than a peer waits for a sign of life, at times."""
    if party.signal(signal.SIGSTOP):
        await asyncio.sleep(chance.choice((0.05, 0.5, 3.0)))
        party.signal(signal.SIGCONT)


async def _fill_disk(stage: Stage, party: Party, chance: Random) -> None:
    """No file grows beyond a size; the system says so as if the disk were full."""
    size = chance.choice((0, int(10 ** chance.uniform(2.5, 6.5))))
    process = party.process
    party.limit(size)
    await asyncio.sleep(chance.uniform(0.2, 2.0))
    if party.process is process:
        party.limit(resource.RLIM_INFINITY)


async def _interrupt(stage: Stage, chance: Random) -> None:
    stage.coordinator.interrupted = stage.coordinator.signal(signal.SIGINT)


async def _cut(stage: Stage, chance: Random, *sides: int) -> None:
    for link in list(stage.proxy.links):
        if chance.random() < 0.6:
            link.reset(*sides)


async def _darken(stage: Stage, chance: Random) -> None:
    """Nothing passes, and nobody is told."""
    stage.proxy.lit.clear()
    await asyncio.sleep(chance.choice((0.1, 0.5, 3.0)))
    stage.proxy.lit.set()


async def _slow(stage: Stage, chance: Random) -> None:
    stage.proxy.pace = chance.choice((0.01, 0.05))
    await asyncio.sleep(chance.uniform(0.2, 1.0))
    stage.proxy.pace = proxy.PACE


async def _refuse(stage: Stage, chance: Random) -> None:
    stage.proxy.refusing = True
    await _cut(stage, chance, 0, 1)
    await asyncio.sleep(chance.uniform(0.1, 1.0))
    stage.proxy.refusing = False


async def _mangle(stage: Stage, chance: Random, how: proxy.Mangle) -> None:
    stage.proxy.armed.append(how)


async def _replay(stage: Stage, chance: Random) -> None:
    """Answers of a client, old ones and the newest, once more: out of order, and each twice at once."""
    name = chance.choice(sorted(stage.sites))
    found = stage.answers(name)
    again = chance.sample(found, min(len(found), 4)) * 2
    chance.shuffle(again)
    verdicts = await asyncio.to_thread(_hand_in, stage, name, again)
    assert set(verdicts) <= SETTLED, verdicts


def _hand_in(stage: Stage, name: str, answers: list[tuple[pb.Answer, bytes]]) -> list[int]:
    """What the coordinator says to `answers`, where it says anything."""
    keys = Keys(stage.scene.certs(name))
    with (
        dial(f"127.0.0.1:{stage.scene.port}", keys, Role.CLIENT) as channel,
        ThreadPoolExecutor(8) as calls,
    ):
        stub = rpc.FederationStub(channel)

        def submit(answer: tuple[pb.Answer, bytes]) -> int | None:
            try:
                return _submit(stub, *answer).status
            except (grpc.RpcError, Lost):
                return None  # it broke off

        return [status for status in calls.map(submit, answers) if status is not None]


def _at_coordinator(do: Callable[..., Awaitable[None]], **given: float) -> Happen:
    return lambda stage, chance: do(stage, stage.coordinator, chance, **given)


def _at_client(do: Callable[..., Awaitable[None]], **given: float) -> Happen:
    return lambda stage, chance: do(stage, stage.somebody(chance), chance, **given)


KINDS: Final[dict[str, Happen]] = {
    "kill the coordinator": _at_coordinator(_kill),
    "kill a client": _at_client(_kill),
    "kill the coordinator at work": _at_coordinator(_kill_at_work),
    "kill a client at work": _at_client(_kill_at_work),
    "freeze the coordinator": _at_coordinator(_freeze),
    "freeze a client": _at_client(_freeze),
    "interrupt the coordinator": _interrupt,
    "fill the coordinator's disk": _at_coordinator(_fill_disk),
    "fill a client's disk": _at_client(_fill_disk),
    "set the coordinator's clock ahead": _at_coordinator(_kill, skew=SKEW),
    "set the coordinator's clock back": _at_coordinator(_kill, skew=-SKEW),
    "set a client's clock ahead": _at_client(_kill, skew=SKEW),
    "set a client's clock back": _at_client(_kill, skew=-SKEW),
    "cut connections": lambda stage, chance: _cut(stage, chance, 0, 1),
    "cut connections at the client's side": lambda stage, chance: _cut(stage, chance, 0),
    "cut connections at the coordinator's side": lambda stage, chance: _cut(stage, chance, 1),
    "let nothing pass": _darken,
    "slow everything down": _slow,
    "refuse connections": _refuse,
    "corrupt a block": partial(_mangle, how=proxy.corrupt),
    "duplicate a block": partial(_mangle, how=proxy.duplicate),
    "drop a block": partial(_mangle, how=proxy.drop),
    "reorder two blocks": partial(_mangle, how=proxy.reorder),
    "replay answers": _replay,
}


def draw(seed: int, kinds: Sequence[str], rounds: int) -> list[Fault]:
    """A fault of each of `kinds`, at some time in one of `rounds` rounds."""
    chance = Random(seed)
    found = [
        Fault(
            kind=kind,
            round=chance.randint(1, rounds),
            after=chance.uniform(0.0, 0.4),
            seed=chance.getrandbits(32),
        )
        for kind in kinds
    ]
    return sorted(found, key=lambda fault: (fault.round, fault.after))
