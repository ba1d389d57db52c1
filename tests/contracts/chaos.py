"""Runs of a deployment in which everything goes wrong that can, and what must hold all the same.

`python -m contracts.chaos FOLDER FAULTS SEED` fails unless every run ends by itself, with the
parameters of its simulation, and no ledger is ever under the truth. Each study is first run over the
network undisturbed. It says what happens to which run; every draw follows from SEED.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import time
from collections import Counter
from dataclasses import replace
from itertools import count
from pathlib import Path

from contracts.ending import check_run
from contracts.faults import KINDS, SKEW, Fault, draw
from contracts.parties import Scene, certify, rehearse
from contracts.party import Party
from contracts.proxy import Proxy, free_port
from contracts.stage import Stage
from contracts.studies import CLIENTS, ROUNDS, STUDIES

A_RUN = 12
"""Faults in one run."""


def prepared(folder: Path) -> list[Scene]:
    """The simulation of every study, and certificates of an authority whose clock is ahead of ours."""
    keys = folder / "keys"
    _finish(Party(name="authority", work=certify, given=(keys, CLIENTS), skew=SKEW))
    scenes = [
        Scene(config=config, folder=folder / "simulated" / name, keys=keys)
        for name, config in STUDIES.items()
    ]
    for scene in scenes:
        _finish(Party(name="simulation", work=rehearse, given=(scene,)))
    return scenes


def _finish(party: Party) -> None:
    """Waits for a party to which nothing happens."""
    party.start()
    asyncio.run(party.ended())
    party.check_end()


async def perform(simulation: Scene, folder: Path, faults: list[Fault]) -> Counter[str]:
    """A run with `faults`; how often each kind happened before it was over."""
    proxy = Proxy(free_port())
    async with proxy.listening() as front:
        scene = replace(simulation, folder=folder, port=proxy.port, proxy=front)
        stage = Stage(scene, proxy, faults)
        await stage.play()
    check_run(scene, simulation)
    return stage.done


def main(folder: Path, faults: int, seed: int) -> None:
    """At least `faults` of them, and each kind once; those which happened least come first."""
    simulations, done = prepared(folder), Counter[str]()
    for number in count():
        missing = max(faults - done.total(), len(KINDS) - len(done))
        if missing <= 0:
            break
        simulation, own = simulations[number % len(simulations)], folder / f"run-{number}"
        kinds = sorted(KINDS, key=lambda kind: done[kind])[: min(missing, A_RUN)]
        if number < len(simulations):
            kinds = []
        began = time.monotonic()
        print(f"run {number}: {simulation.folder.name}", flush=True)  # noqa: T201
        done += asyncio.run(perform(simulation, own, draw(seed * 1000 + number, kinds, ROUNDS)))
        print(f"run {number} took {time.monotonic() - began:.1f} s", flush=True)  # noqa: T201
        shutil.rmtree(own)
    print(json.dumps({"runs": number, "faults": done}))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
