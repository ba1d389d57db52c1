"""What `tacit audit mechanism` finds: whether canaries tell more than the mechanism's ε allows."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import console
from .failing import failing_as
from .options import Changes, ConfigFile, Format, FormatOption

if TYPE_CHECKING:
    from ..privacy.audit import Audit

TRIALS = 100_000


def mechanism(
    config: ConfigFile,
    changes: Changes = [],  # noqa: B006 - typer reads it, nobody writes to it
    trials: Annotated[
        int, typer.Option(min=100, help="How often with a canary; as often without.")
    ] = TRIALS,
    rounds: Annotated[
        int, typer.Option(min=1, help="How many rounds, of which one may be a cycle of turns.")
    ] = 1,
    form: FormatOption = Format.TEXT,
) -> None:
    """Try to tell, from what the mechanism of CONFIG releases, whether a canary took part.

    A bound above the claimed ε is a bug, and ends with exit code 3. One below it is no proof.
    """
    with failing_as(form):
        found = _audit(config, changes, trials, rounds)
        if form is Format.JSON:
            console.emit({**asdict(found), "ok": found.ok})
        if not found.ok:
            from .outcome import Invalid

            raise Invalid(str(found))
        if form is Format.TEXT:
            console.say(str(found))


def _audit(path: Path, changes: list[str], trials: int, rounds: int) -> Audit:
    from ..privacy.audit import audit
    from ..privacy.budget import Unit
    from ..simulations.config import ConfigError, read_config
    from ..simulations.private import affordable_config
    from ..simulations.setup import make_population

    config = read_config(path, changes)
    try:
        sampling = config.sampler.sampling(len(make_population(config).clients))
    except ValueError as error:
        raise ConfigError(f"sampler: {error}") from None
    config = affordable_config(config, sampling)
    budget = config.budget_of(Unit.CLIENT)
    try:
        return audit(
            config.mechanism,
            sampling,
            adjacency=budget.adjacency,
            delta=budget.delta,
            rounds=rounds,
            trials=trials,
        )
    except ValueError as error:
        raise ConfigError(f"mechanism: {error}") from None
