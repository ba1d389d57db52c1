"""What a report ends with: where it was computed, and how to compute it again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..privacy.budget import Unit
from ..simulations.config import Config
from .document import Block, Code, Console, Fact, Facts, Section, measured, say, unknown
from .guarantee import is_noised
from .records import Records
from .summary import Summary
from .unprotected import is_insecure


def environment(records: Records) -> Section:
    """On what the run was computed."""
    return Section("Environment", [Facts(tuple(_environment(records)))])


def repetition(records: Records, summary: Summary) -> Section:
    """How to repeat it, and whether it ends in the same bits."""
    return Section("How to repeat it", list(_repeat(records, summary)))


def _environment(records: Records) -> Iterator[Fact]:
    found = records.environment
    if not found:
        yield unknown("environment", "environment.json is not in the run folder")
    packages: Mapping[str, str] = found.get("packages", {})
    names = ("tacit", "python", "platform", "cores")
    yield from (measured(name, str(found[name])) for name in names if name in found)
    yield from (measured(name, version) for name, version in packages.items())


def _repeat(records: Records, summary: Summary) -> Iterator[Block]:
    if records.is_deployment:
        yield say(
            "With the same sites, which keep the rows, and ",
            Code("tacit serve"),
            " in place of ",
            Code("tacit run"),
            ":",
        )
    command = "serve" if records.is_deployment else "run"
    yield Console(f"$ tacit {command} {records.folder}/config.toml --out a-new-folder")
    if summary.digest and _is_repeatable(records.config):
        yield say(
            "On a CPU, with the versions above, it ends in parameters whose SHA-256 is ",
            Code(summary.digest),
            ", whatever the number of workers.",
        )
    elif summary.digest:
        yield say("It ends in other parameters: the noise is drawn anew.")
    yield say(f"Training and evaluation took {summary.seconds:.1f} s.")


def _is_repeatable(config: Config) -> bool:
    """Whether nothing is drawn from a secret."""
    noised = any(is_noised(config, unit) for unit in Unit)
    return is_insecure(config) or not noised
