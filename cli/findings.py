"""What `tacit check` finds: problems, cautions, and who would take part."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from ..client.trainer import choose_device
from ..deployment.study import prepare_study
from ..reports.tables import holdings, population_line
from ..simulations.config import Config
from ..simulations.description import Description
from ..simulations.setup import Setup, cautions, make_population, prepare
from ..wire.errors import TacitError
from . import console
from .options import Format
from .sizes import readable, sizes
from .table import side_by_side


@dataclass(frozen=True, kw_only=True)
class Findings:
    """`problems` would stop a run, `cautions` would not; sites' own rows are no known `population`."""

    problems: tuple[str, ...]
    cautions: tuple[str, ...] = ()
    population: Description | None = None


def inspect(config: Config, out: Path) -> Findings:
    """Tries everything that a run of `config` in `out` needs; nothing is written."""
    try:
        if config.deployment.shape is not None:
            study = prepare_study(config)
            return Findings(problems=tuple(_folder(out)), cautions=study.cautions)
        setup = prepare(config)
    except TacitError as error:
        problems = [*str(error).splitlines(), *_sampler(config), *_device(config), *_folder(out)]
        return Findings(problems=tuple(dict.fromkeys(problems)))
    problems = [*_folder(out), *_space(setup, out)]
    return Findings(
        problems=tuple(problems),
        cautions=tuple(cautions(setup)),
        population=setup.description,
    )


def show(found: Findings, form: Format) -> None:
    """The findings where there is no problem."""
    described = found.population
    if form is Format.JSON:
        population = asdict(described) if described else None
        console.emit({"ok": True, "cautions": found.cautions, "population": population})
        return
    if described:
        console.say(population_line(described))
        head = ("a client has", "least", "median", "most", "in all")
        console.out().print(side_by_side(head, holdings(described)))
        for attribute, groups in described.groups.items():
            sizes = ", ".join(f"{name} {size:,}" for name, size in groups.items())
            console.say(f"rows by {attribute}: {sizes}")
    else:
        console.say("the rows are at the sites: each checks its own when it joins.")
    for text in found.cautions:
        console.caution(text)
    console.say("ok: nothing here would stop a run.")


def _sampler(config: Config) -> Iterator[str]:
    """Whether a cohort can be drawn, where something else is wrong as well."""
    try:
        config.sampler.sampling(len(make_population(config).clients))
    except TacitError:
        return
    except ValueError as error:
        yield f"sampler: {error}"


def _device(config: Config) -> Iterator[str]:
    try:
        choose_device(config.run.device)
    except ValueError as error:
        yield f"run.device: {error}"


def _folder(out: Path) -> Iterator[str]:
    """Whether `out` could be made and written to."""
    if (out / "config.toml").exists():
        yield f"{out} holds a run already; choose another folder with --out."
    there = _nearest(out)
    if not there.is_dir():
        yield f"{there} is not a folder; choose another with --out."
    elif not os.access(there, os.W_OK | os.X_OK):
        yield f"{there} cannot be written to; choose another folder with --out."


def _space(setup: Setup, out: Path) -> Iterator[str]:
    needed, free = sizes(setup).disk, shutil.disk_usage(_nearest(out)).free
    if needed > free:
        yield (
            f"{out} has {readable(free)} free, and a run needs about {readable(needed)}: free some "
            "space, or choose another folder with --out."
        )


def _nearest(path: Path) -> Path:
    """`path`, or what is there of the way to it."""
    path = path.absolute()
    return next(there for there in (path, *path.parents) if there.exists())
