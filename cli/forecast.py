"""What a run would cost, without running it: rounds, steps and bytes are exact, time is measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median

from ..simulations.setup import Setup
from . import console
from .options import Format
from .promise import Promise
from .promised import as_table, privacy_lines
from .sizes import Sizes, readable, sizes
from .timing import Seconds, estimate


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """`cohort` is the expected one; `steps` are the least, the median and the most of a client."""

    clients: int
    measured: int
    rounds: int
    evaluations: int
    cohort: float
    steps: tuple[int, float, int]
    sizes: Sizes
    seconds: Seconds

    @property
    def down(self) -> float:
        """Bytes to clients over the whole run, evaluations included."""
        training = self.rounds * self.cohort * self.sizes.down
        return training + self.evaluations * self.measured * self.sizes.measure

    @property
    def up(self) -> float:
        """Bytes from clients over the whole run, evaluations included."""
        training = self.rounds * self.cohort * self.sizes.up
        return training + self.evaluations * self.measured * self.sizes.counts


def forecast(setup: Setup, *, start: float) -> Forecast:
    """The cost of a run of `setup`, whose processes take `start` seconds to start."""
    config = setup.config
    steps = steps_of(setup)
    clients, measured = len(setup.clients), len(setup.measured)
    cohort = config.sampler.sampling(clients).expected
    evaluations = config.evaluate.times(config.rounds) if measured else 0
    return Forecast(
        clients=clients,
        measured=measured,
        rounds=config.rounds,
        evaluations=evaluations,
        cohort=cohort,
        steps=(min(steps), median(steps), max(steps)),
        sizes=sizes(setup),
        seconds=estimate(setup, cohort=cohort, evaluations=evaluations, steps=steps, start=start),
    )


def steps_of(setup: Setup) -> list[int]:
    """The optimizer steps of each client in a round."""
    training = setup.config.train
    splits = setup.population.clients.values()
    return [training.steps_of(rows=split.train.stop - split.train.start) for split in splits]


def show(found: Forecast, promised: Promise, form: Format) -> None:
    """The forecast, what is promised about privacy, and what is not."""
    if form is Format.JSON:
        totals = {"bytes_down": round(found.down), "bytes_up": round(found.up)}
        console.emit({**asdict(found), **totals, "privacy": as_table(promised)})
        return
    for name, value in _facts(found):
        console.say(f"{name:<18}{value}")
    for name, value in privacy_lines(promised):
        console.say(f"{name:<18}{value}" if name else f"\n{value}")
    console.say(f"\n{promised.statement}")
    noised = promised.for_clients or promised.for_rows
    console.say("No ε covers these:" if noised else "These leave a client as they are:")
    for what in promised.unprotected:
        console.say(f"  - {what}")
    for text in promised.cautions:
        console.caution(text)


def _facts(found: Forecast) -> list[tuple[str, str]]:
    least, middle, most = found.steps
    each, seconds = found.sizes, found.seconds
    return [
        ("rounds", f"{found.rounds}, evaluated {found.evaluations} times"),
        ("cohort", f"{found.cohort:.4g} of {found.clients} clients, expected"),
        ("steps a client", f"{least} least, {middle:g} median, {most} most, in each round"),
        ("to a client", f"{readable(each.down)} a round, {readable(each.measure)} an evaluation"),
        ("from a client", f"{readable(each.up)} a round, {readable(each.counts)} an evaluation"),
        ("in all", f"{readable(found.down)} to clients, {readable(found.up)} from them"),
        ("disk", f"about {readable(each.disk)}"),
        ("time", f"about {_duration(seconds.total)} on this machine, with {seconds.processes}"),
        ("", ", ".join(f"{name} {_duration(value)}" for name, value in seconds.parts())),
    ]


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
