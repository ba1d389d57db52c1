"""Whether what a run recorded agrees with itself: store, events, ledger, model and population.

What is recorded once, and sealed by nothing, cannot be checked this way: `UNSEALED` says what that is.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..fairness.statistics import add
from ..fairness.tables import add_tables
from ..privacy.ledger import GENESIS
from ..server.progress import Evaluated
from ..wire.messages import EXAMPLES
from .charges import Charges
from .records import ENDS, Records

UNSEALED = (
    "what a client counted at an evaluation, and the sums of a training round: in store.db alone",
    "the baselines and the environment: in baselines.json and environment.json alone",
    "an end of the ledger that is missing together with the rounds that it charged",
    "anybody who rewrites the records and the report together",
)
"""What nothing here can notice; running again with the same seed gives the same bits, and shows it."""


def contradictions(records: Records, charged: Charges) -> Iterator[str]:
    """Where two records of the same run disagree, a sentence each."""
    yield from _of_the_configuration(records)
    yield from _of_the_model(records)
    yield from _of_the_ledger(records, charged)
    yield from _of_the_rounds(records)
    yield from _of_the_evaluations(records)


def _of_the_configuration(records: Records) -> Iterator[str]:
    began = [event["fingerprint"] for event in records.events if event["event"] == "started"]
    if began and began[0] != records.config.fingerprint():
        yield "config.toml is not the configuration with which events.jsonl says that the run began"


def _of_the_model(records: Records) -> Iterator[str]:
    """The digest of the final parameters is in three places, unless the run went on from there."""
    steps = [e for e in records.events if e["event"] in ("round_committed", *ENDS)]
    if records.digest is None or not steps or steps[-1]["event"] not in ENDS:
        return
    if steps[-1].get("parameters", records.digest) != records.digest:
        yield "model.safetensors is not the model with which events.jsonl says that the run ended"
    if records.state not in (None, records.digest):
        yield "model.safetensors is not the state of the last round in the store"


def _of_the_ledger(records: Records, charged: Charges) -> Iterator[str]:
    """The chain is whole, and has every committed round, in the order in which they were committed."""
    if charged.broken:
        yield charged.broken
    places = {entry.hash: entry.sequence for entry in charged.entries} | {GENESIS: 0}
    heads = [committed.ledger for committed, _ in records.history]
    lost = [c.round for c, _ in records.history if c.ledger not in places]
    if lost and not charged.broken:
        yield (
            f"{charged.ledger}: {len(lost)} of {len(heads)} committed rounds are not in it, the first "
            f"is round {lost[0]}"
        )
    for _, found in records.history:
        if found and found.ledger and found.ledger not in places and not charged.broken:
            yield f"{charged.ledger}: the evaluation after round {found.round} is not in it"
    known = [places[head] for head in heads if head in places]
    if known != sorted(known):
        yield f"{charged.ledger} has the rounds of the store in another order"


def _of_the_rounds(records: Records) -> Iterator[str]:
    """What events.jsonl says of a round is what the store says of it; a crash may have lost an event."""
    numbers = [committed.round for committed, _ in records.history]
    if numbers != [*range(1, len(numbers) + 1)]:
        yield f"the store has {len(numbers)} rounds, which are not those from 1 to {len(numbers)}"
    known: dict[tuple[str, int], dict[str, float]] = {}
    for committed, evaluated in records.history:
        counts = {"admitted": committed.admitted, "refused": committed.refused}
        seconds = {"seconds": round(committed.seconds, 4)}
        known["round_committed", committed.round] = {**counts, **seconds}
        if evaluated:
            known["evaluated", evaluated.round] = {"seconds": round(evaluated.seconds, 4)}
    for event in records.events:
        name, number = event["event"], event.get("round", 0)
        if name not in ("round_committed", "evaluated") or not number:
            continue
        stored = known.get((name, number))
        said = {key: event.get(key) for key in stored or ()}
        if stored is None:
            yield f"round {number}: events.jsonl has {name}, and the store has not"
        elif stored != said:
            yield f"round {number}: {name} has {said} in events.jsonl, and {stored} in the store"


def _of_the_evaluations(records: Records) -> Iterator[str]:
    """Sums are those of what each client said, on the rows that population.json says it holds out."""
    for _, evaluated in records.history:
        if evaluated is None:
            continue
        number, clients = evaluated.round, evaluated.clients
        yield from (f"round {number}: {text}" for text in _of_the_clients(records, evaluated))
        if clients and evaluated.everyone != add(clients.values()):
            yield f"round {number}: the statistics over all rows are not the sum of those of clients"
        summed = add_tables(evaluated.tables.values())
        if any(not np.array_equal(table, evaluated.total[n]) for n, table in summed.items()):
            yield f"round {number}: the tables over all rows are not the sum of those of clients"


def _of_the_clients(records: Records, evaluated: Evaluated) -> Iterator[str]:
    population = records.population
    for name, counts in evaluated.clients.items():
        rows = counts.get(EXAMPLES, 0.0)
        if population and name not in population.clients:
            yield f"{name!r} was measured, and is not in population.json"
        held_out = (
            population.known[name].held_out if population and name in population.known else rows
        )
        if rows != held_out:
            yield (
                f"{name!r} was measured on {rows:g} rows, and holds out {held_out} in population.json"
            )
        for kind, table in evaluated.tables.get(name, {}).items():
            if kind.endswith("/loss") and table[..., 0].sum() != rows:
                yield f"{name!r} was measured on {rows:g} rows, and {kind} counts others"
