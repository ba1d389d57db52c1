"""How many bytes a run moves and keeps, worked out from its configuration and its model."""

from __future__ import annotations

from dataclasses import dataclass

from ..server.admission import Admission
from ..simulations.setup import Setup
from ..strategies.strategy import ServerState, still
from ..wire.arrays import encode
from ..wire.messages import Arrays, Instruction, Purpose, named

STATES = 4
"""Stored states: two that are kept, one being written, and room for the journal."""
STATISTICS = 120
"""Bytes of one client's statistics in the history, about."""
ENTRY = 5
"""Bytes of one number of its tables there, about."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Bytes: `down` and `up` for each client in a round, `measure` and `counts` in an evaluation,
    `state` of the server, `disk` for the whole run folder, about.
    """

    down: int
    up: int
    measure: int
    counts: int
    state: int
    disk: int


def sizes(setup: Setup) -> Sizes:
    """The sizes of a run of `setup`, as this program encodes what it sends."""
    config = setup.config
    state = config.strategy.init(setup.initial)
    instruction = first_instruction(setup, state)
    parameters = named("parameters", state.parameters)
    sent = len(encode(parameters | named("extras", instruction.extras)))
    up = Admission(strategy=config.strategy, mechanism=config.mechanism).expected(instruction)
    kept = _bytes(state.parameters) + sum(_bytes(arrays) for arrays in state.memory.values())
    tables = setup.measure.schema.zeros()
    entries = sum(table.size for table in tables.values())
    return Sizes(
        down=sent,
        up=len(encode(up)),
        measure=sent if config.evaluate.clipping else len(encode(parameters)),
        counts=len(encode(tables)),
        state=kept,
        disk=STATES * kept
        + 2 * len(setup.clients) * _client_memory(setup, instruction)
        + config.evaluate.times(config.rounds)
        * len(setup.measured)
        * (STATISTICS + entries * ENTRY),
    )


def first_instruction(setup: Setup, state: ServerState, **settings: object) -> Instruction:
    """What the coordinator would send in round 1, with some settings changed."""
    training: dict[str, str | int | float | bool | None] = {
        **setup.config.train.settings(),
        **settings,  # type: ignore[dict-item]
    }
    return Instruction(
        round=1,
        purpose=Purpose.FIT,
        seed=setup.config.seed,
        parameters=state.parameters,
        extras=setup.config.strategy.extras(state),
        settings=training,
        terms=setup.config.mechanism.terms(setup.config.mechanism.begin()),
    )


def readable(count: float) -> str:
    """A number of bytes for people.

    >>> readable(999), readable(12_345), readable(3.2e9)
    ('999 B', '12.3 kB', '3.2 GB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _client_memory(setup: Setup, instruction: Instruction) -> int:
    """What one client remembers between rounds, as with SCAFFOLD."""
    fitted = still(instruction.parameters)
    _, memory = setup.config.strategy.contribute(fitted, instruction.extras, {})
    return _bytes(memory)


def _bytes(arrays: Arrays) -> int:
    return sum(array.nbytes for array in arrays.values())
