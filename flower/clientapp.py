"""tacit's ClientApp: `clientapp = "tacit.flower.clientapp:app"` in an app's pyproject.toml.

A node of a simulation is whichever client an instruction is for. A SuperNode is a site, with what its
`--node-config` says: `state`, a folder that outlives runs; `study`, its own copy of what was agreed;
`name`, or else `partition-id`; `data`, a file of its own rows; and `cap`, the most ε that training on
them may cost.
"""

from __future__ import annotations

import json
import os
import secrets
import tomllib
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from flwr.app import Context, Message, UserConfig
from flwr.app.user_config import UserConfigValue
from flwr.clientapp import ClientApp

from ..client.agreement import expect_same
from ..client.answering import Answering, failing
from ..client.trainer import Plain, choose_device
from ..deployment.site import Site
from ..deployment.study import agreed
from ..simulations.config import Config, ConfigError, make_config, read_config
from ..simulations.processes import one_thread
from ..simulations.run import make_job
from ..simulations.run_folder import RunFolder
from ..simulations.setup import prepare
from ..simulations.worker import Job
from ..wire import federation_pb2 as pb
from ..wire.durable import write_durably
from ..wire.errors import Declined, Disagreement
from .letters import (
    Introduction,
    Letter,
    Study,
    attempt,
    failed,
    introduce,
    read_letter,
    read_study,
    reply,
)

SITES = 16
"""Sites that one process plays at most; a SuperNode is one."""
SIMULATED = {"partition-id", "num-partitions"}
"""All that the node-config of a simulated node says."""

app = ClientApp()


@app.train()
@app.train("alone")
@app.evaluate()
def answer(message: Message, context: Context) -> Message:
    """The answer of the client that `message` is for."""
    letter, own = read_letter(message.content), context.node_config
    if not letter.study.folder:
        return reply(message, *_at_site(letter, own))
    if own.keys() != SIMULATED:  # else who sends it could choose the folder, and go by the ledger
        return reply(message, pb.Answer(declined="a site takes part in no simulation"), b"")
    with one_thread():
        return reply(message, *_simulated(letter))


@app.query()
def say_who(message: Message, context: Context) -> Message:
    """Who this node is, and whether it can take part in the study that the message is about."""
    own = context.node_config
    try:
        mark = _mark(_state(own))
        study = read_study(message.content)
        expect_same(agreed(_own_config(own)), agreed(_config_in(study)))
    except (ConfigError, Disagreement, Declined) as error:
        return introduce(message, Introduction(problem=str(error)))
    name, partition = str(own.get("name", "")), int(str(own.get("partition-id", -1)))
    return introduce(message, Introduction(name=name, partition=partition, mark=mark))


def _simulated(letter: Letter) -> tuple[pb.Answer, bytes]:
    try:
        job, trainer = _resident(letter.study)
        client = job.client(letter.client, trainer)
    except Exception as error:  # noqa: BLE001 - the task is someone else's
        return pb.Answer(failed=failed(error)), b""
    return attempt(client, letter)


@lru_cache(maxsize=1)
def _resident(study: Study) -> tuple[Job, Plain]:
    """All clients of a simulation, and one model that becomes each of them: kept between messages."""
    setup = prepare(_config_in(study))
    device = choose_device(setup.config.run.device)
    return make_job(setup, RunFolder(Path(study.folder))), Plain(setup.task, device)


def _at_site(letter: Letter, own: UserConfig) -> tuple[pb.Answer, bytes]:
    """The answer of this SuperNode's site, which is computed once and paid for in its own ledger."""
    umask = os.umask(0o077)  # secrets are among what it writes
    try:
        hosted = _hosted(letter.study, letter.client, tuple(sorted(own.items())))
        with hosted.site.locked():
            found = hosted.answering.finished(letter.order)
            return found or hosted.answering.answer(letter.order, letter.arrays)
    except (Declined, Disagreement) as error:
        return pb.Answer(declined=str(error)), b""
    except Exception as error:  # noqa: BLE001 - what it says may quote rows, and stays here
        return pb.Answer(failed=failing(error)), b""
    finally:
        os.umask(umask)


@dataclass(frozen=True, eq=False)
class Hosted:
    """A site that this process plays in `study`."""

    site: Site
    study: Study

    @cached_property
    def answering(self) -> Answering:
        """What answers for it, once it has agreed to the study and has its rows."""
        answering, theirs = self.site.answering(), agreed(_config_in(self.study))
        answering.join(pb.Welcome(run=self.study.run, study=json.dumps(theirs)))
        return answering


@lru_cache(maxsize=SITES)
def _hosted(study: Study, name: str, own: tuple[tuple[str, UserConfigValue], ...]) -> Hosted:
    """The site of the client `name`, as the node-config `own` has it; kept while the process is there."""
    table = dict(own)
    if str(table.get("name", name)) != name:
        raise Declined(f"this node is {table['name']!r}, and was asked as {name!r}")
    site = Site(
        config=_own_config(table),
        name=name,
        folder=_state(table),
        data=Path(str(table["data"])) if "data" in table else None,
        cap=float(table["cap"]) if "cap" in table else None,
    )
    return Hosted(site, study)


def _state(own: UserConfig) -> Path:
    """The folder of this site."""
    if not own.get("state"):
        raise Declined(
            "its node-config has no state: name a folder that outlives runs, for its ledger and its "
            'secret, as in --node-config \'name="bergen" state="/var/lib/tacit"\''
        )
    return Path(str(own["state"])).absolute()


def _mark(state: Path) -> str:
    """What tells this site's folder from that of another site of the same name."""
    path = state / "mark"
    if not path.exists():
        write_durably(path, secrets.token_hex(16).encode())
    return path.read_text()


def _config_in(study: Study) -> Config:
    return make_config(tomllib.loads(study.config), source="the study that was sent")


def _own_config(own: UserConfig) -> Config:
    """This site's own copy of the study: what may be asked of its rows is not for the sender to say."""
    if not own.get("study"):
        raise Declined(
            "its node-config has no study: name this site's own copy of the tacit.toml that was agreed "
            "on, as in --node-config 'study=\"/etc/tacit/study.toml\"'"
        )
    return read_config(Path(str(own["study"])))
