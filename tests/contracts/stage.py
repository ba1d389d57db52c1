"""One run over the network, through a proxy, while faults happen to its processes and connections."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

from contracts.ending import check_ledgers, end_audit
from contracts.faults import KINDS, Fault
from contracts.parties import Scene, coordinate, take_part
from contracts.party import Party
from contracts.proxy import Proxy
from contracts.studies import CLIENTS
from tacit.client.outbox import Outbox
from tacit.wire import federation_pb2 as pb

DEADLINE = 120.0
"""Seconds within which a run ends, or hangs: then every process says where it is."""
PATIENCE = 3.0
"""Seconds in which clients hear that the run is complete, before an operator starts it once more."""


@dataclass(eq=False)
class Stage:
    """`done` says how often each kind of fault happened; `archive` what clients have answered."""

    scene: Scene
    proxy: Proxy
    faults: list[Fault]
    done: Counter[str] = field(default_factory=Counter)
    archive: dict[str, dict[bytes, tuple[pb.Answer, bytes]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.looking = asyncio.Lock()
        self.coordinator = Party(name="coordinator", work=coordinate, given=(self.scene,))
        self.sites = {
            name: Party(name=name, work=take_part, given=(self.scene, name)) for name in CLIENTS
        }

    async def play(self) -> None:
        """Returns when all parties have ended by themselves."""
        parties = [self.coordinator, *self.sites.values()]
        try:
            async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
                for party in parties:
                    group.create_task(self._keep(party))
                for fault in self.faults:
                    group.create_task(self._do(fault))
        except TimeoutError:
            for party in parties:
                party.signal(signal.SIGUSR1)
            await asyncio.sleep(1.0)
            raise
        finally:
            for party in parties:
                party.kill()

    async def _keep(self, party: Party) -> None:
        """Starts `party`, and again after each of its ends but the last."""
        while True:
            party.start()
            await party.ended()
            party.check_end()
            async with self.looking:
                if party is self.coordinator:
                    end_audit(self.scene)
                # In a thread: a party that is frozen within a transaction is thawed by this loop.
                await asyncio.to_thread(check_ledgers, self.scene)
            if party.is_complete and await self._all_have_heard(party):
                return
            await asyncio.sleep(party.away)

    async def _all_have_heard(self, party: Party) -> bool:
        until = time.monotonic() + PATIENCE
        while party is self.coordinator and not self._is_over():
            if time.monotonic() > until:
                return False
            await asyncio.sleep(0.02)
        return True

    def _is_over(self) -> bool:
        return all(site.is_complete for site in self.sites.values())

    async def _do(self, fault: Fault) -> None:
        while self._round() < fault.round:
            await asyncio.sleep(0.02)
        await asyncio.sleep(fault.after)
        if not self._is_over() and not self.coordinator.is_complete:
            print(f"round {self._round()}: {fault}", flush=True)  # noqa: T201
            await KINDS[fault.kind](self, Random(fault.seed))
            self.done[fault.kind] += 1

    def _round(self) -> int:
        """The round that is open."""
        events = self.scene.run.events
        lines = events.read_text(errors="replace").splitlines() if events.exists() else []
        began = [line for line in lines if '"round_began"' in line and line.endswith("}")]
        return int(json.loads(began[-1])["round"]) if began else 0

    def written(self, party: Party) -> set[tuple[str, int]]:
        """What `party` has written down by now."""
        folder = self.scene.folder / ("run" if party is self.coordinator else party.name)
        found = set()
        for path in folder.rglob("*.[ads]*"):  # answers, databases and arrays
            with suppress(OSError):
                found.add((path.name, path.stat().st_mtime_ns))
        return found

    def somebody(self, chance: Random) -> Party:
        return self.sites[chance.choice(CLIENTS)]

    def answers(self, name: str) -> list[tuple[pb.Answer, bytes]]:
        """What `name` has answered, as far as it was ever looked for; the newest last."""
        found = self.archive.setdefault(name, {})
        outbox = Outbox(self.scene.folder / name / "outbox")
        for path in sorted(outbox.folder.glob("*.answer")):
            kept = outbox.find(pb.Answer.FromString(path.read_bytes()).instruction)
            if kept is not None:
                found[kept[0].instruction] = kept
        return list(found.values())
