"""tacit's ServerApp: `serverapp = "tacit.flower.serverapp:app"` in an app's pyproject.toml.

Its run config, [tool.flwr.app.config], has `config`, the TOML file of the run beside pyproject.toml;
`set`, changes of it such as "train.epochs=2 rounds=3"; and `out`, the run folder. If there is a run in
it, that run goes on.
"""

from __future__ import annotations

import logging
import shlex
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flwr.app import Context, UserConfig
from flwr.serverapp import Grid, ServerApp
from flwr.supercore.utils import get_flwr_home
from flwr.superlink.grid import HttpGrid

from ..simulations.config import RUN, SHARED, Config, ConfigError, apply, make_config
from ..simulations.run_folder import RunFolder
from ..wire.errors import TacitError
from .clients import Clients
from .grid import TacitGrid
from .running import deployed, execute, simulated

log = logging.getLogger("flwr")

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Runs what the run config names to its end, with the nodes that `grid` reaches.

    Raises a `TacitError`, which is also a line of the log.
    """
    try:
        config, folder = read_run(context.run_config)
        log.info("The run folder is %s", folder.path)
        plan = deployed if is_deployment(grid) else simulated
        execute(plan(grid, config, folder), folder)
    except TacitError as error:
        log.error("%s", error)
        raise


def is_deployment(grid: Grid) -> bool:
    """Whether the nodes are elsewhere: SuperNodes, or sites that dialled in to `tacit serve --flower`."""
    dialled = isinstance(grid, TacitGrid) and isinstance(grid.carrier, Clients)
    return dialled or isinstance(grid, HttpGrid)


def read_run(asked: UserConfig) -> tuple[Config, RunFolder]:
    """The configuration that a run config names, and the folder that its run goes into.

    What Flower runs is a copy of the app, in a process that was started anywhere: so the file is looked
    up where modules are, and a folder that is not absolute is one below Flower's home. Raises
    `ConfigError`.
    """
    path = _found(str(asked.get("config", "tacit.toml")))
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}.") from error
    for change in _changes(str(asked.get("set", ""))):
        apply(table, change)
    _root(table, path.parent)
    config = make_config(table, source=path.name)
    name = str(asked.get("out", "")) or f"{path.stem}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    return config, RunFolder((get_flwr_home() / "tacit" / name).absolute())


def _changes(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:  # a quotation that does not end
        raise ConfigError(f"set: {text!r} cannot be read: {error}.") from error


def _found(name: str) -> Path:
    """The file of that name in the app, which is on the path of modules."""
    for place in sys.path:
        if (path := Path(place, name)).is_file():
            return path.absolute()
    raise ConfigError(f"config: the app has no file {name!r}; `tacit init --flower` writes one.")


def _root(table: dict[str, Any], app: Path) -> None:
    """Makes the data's path one in the `app`, and refuses a ledger's: that folder is another tomorrow."""
    data, budget = table.get("data"), table.get("budget")
    if isinstance(data, dict) and isinstance(data.get("path"), str):
        data["path"] = str(app / data["path"])
    ledger = budget.get("ledger", SHARED) if isinstance(budget, dict) else SHARED
    if ledger not in (SHARED, RUN) and not Path(str(ledger)).is_absolute():
        raise ConfigError(
            f"budget.ledger: {ledger!r} would be in whichever folder Flower was started; name it by an "
            "absolute path."
        )
