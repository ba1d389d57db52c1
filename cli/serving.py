"""How a coordinator runs from the command line: prepared, shown, and its report for operators."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from ..deployment.serve import Listening, serve
from ..deployment.study import Study, prepare_study
from ..reports.write import PAGE, PRIVACY_PAGE, PRIVACY_TABLE, write_report
from ..simulations.run_folder import RunFolder
from . import console
from .display import choose
from .logs import logging_to
from .options import Format
from .running import Attempt, Train, introduce, patience


def over_the_network(
    listening: Listening,
    listens: Callable[[Study, int], None] = lambda study, port: None,
    log: Path | None = None,
) -> Train:
    """The work of a coordinator that listens there; `listens` is told on which port it does.

    What happens at its door is logged to `log`, or to stderr.
    """

    def train(attempt: Attempt, form: Format, quiet: bool) -> None:
        def said(port: int) -> None:
            host = listening.address.rpartition(":")[0]
            if form is Format.JSON:
                console.emit({"event": "listening", "address": f"{host}:{port}"})
            elif not quiet:
                console.say(f"listening on {host}:{port}; waiting for {len(study.clients)} clients")
            listens(study, port)

        with patience():
            study = prepare_study(attempt.config)
        introduce(attempt, study, form, quiet=quiet)
        shown = choose(study, form, quiet=quiet, done=attempt.done)
        with logging_to(log), shown as display:
            serve(
                study,
                attempt.folder,
                listening,
                resume=attempt.resume,
                observe=display.observe,
                listens=said,
                report=lambda wants_json: report(attempt.folder, wants_json),
            )

    return train


def report(folder: RunFolder, wants_json: bool) -> bytes:
    """The report of the run in `folder` as one page, or what it says about privacy as JSON."""
    with tempfile.TemporaryDirectory(prefix="tacit-") as temporary:
        write_report(folder, Path(temporary))
        names = [PRIVACY_TABLE] if wants_json else [PAGE, PRIVACY_PAGE]
        return b"\n".join(Path(temporary, name).read_bytes() for name in names)
