"""How a coordinator runs from the command line: prepared, shown, and its report for operators."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from ..deployment.serve import Listening, serve
from ..deployment.study import Study, fingerprint, kept_study, prepare_study
from ..reports.write import PRIVACY_TABLE, write_report
from ..simulations.config import Config, read_config
from ..simulations.custody import is_shared
from ..simulations.rows import database_for
from ..simulations.run_folder import RunFolder
from ..wire.database import name_of
from ..wire.errors import StoreError
from . import console
from .display import choose
from .logs import logging_to
from .options import Format
from .outcome import UsageError
from .run import check_usage, default_folder
from .running import Attempt, Train, introduce, patience

COMMAND = "tacit serve"


def attempt_of(
    config: Path | None, changes: list[str], out: Path | None, resume: Path | None
) -> Attempt:
    """What `tacit serve` was asked for: a run that is new, resumed, or with both whichever it is."""
    if config is None or resume is None:
        check_usage(config, changes, out, resume)
    elif out is not None:
        raise UsageError("with --resume the run has its folder; leave out --out.")
    folder = RunFolder(resume or out or default_folder(config or Path()))
    if config is not None and (resume is None or not folder.config.exists()):
        return Attempt.fresh(config, changes, folder, COMMAND)
    kept = kept_study(folder)
    if config is not None and kept is not None:
        _expect_same(config, changes, kept, folder)
    return Attempt.resumed(folder, changes if config is None else [], COMMAND)


def _expect_same(config: Path, changes: list[str], kept: Config, folder: RunFolder) -> None:
    if fingerprint(read_config(config, changes)) != fingerprint(kept):
        raise StoreError(
            f"{config} is not the study that began in {folder.path}, which is {folder.study.name} "
            "there: go on with that one, or name another folder."
        )


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

        database = database_for(attempt.folder)
        if database is not None and form is Format.TEXT and not quiet:
            what = "rows and ledger" if is_shared(attempt.config) else "rows"
            console.say(f"{what} in {name_of(database)}")
        with patience():
            study = prepare_study(attempt.config, kept_study(attempt.folder))
        introduce(attempt, study.cautions, form, quiet=quiet)
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
                database=database,
            )

    return train


def report(folder: RunFolder, wants_json: bool) -> bytes:
    """The files of the report on the run in `folder` as a ZIP archive, or its privacy.json alone."""
    with tempfile.TemporaryDirectory(prefix="tacit-") as temporary:
        written = write_report(folder, Path(temporary))
        if wants_json:
            return Path(temporary, PRIVACY_TABLE).read_bytes()
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as pages:
            for path in written.files:
                pages.write(path, path.name)
        return archive.getvalue()
