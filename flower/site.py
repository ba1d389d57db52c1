"""A site of a Flower app: its copy of the app, which answers the coordinator's messages."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flwr.app import Context, Message, UserConfig
from flwr.clientapp import ClientApp

from .. import __version__
from ..client.answered import Kept
from ..client.courier import Answer, Courier, Respond
from ..client.dialler import Connect, Lost, News, Observe
from ..client.failure import kind_of, may_pass, places_of
from ..wire import federation_pb2 as pb
from ..wire.errors import Disagreement
from ..wire.foreign import shown
from .app import App
from .codec import read_message, read_state, write_message, write_state
from .handling import call, refusal
from .progress import round_of

Scalar = bool | float | int | str
log = logging.getLogger("tacit.client")


@dataclass(frozen=True, kw_only=True)
class AppSite:
    """What one party brings: its copy of the app, a folder, and its own `node_config`.

    Guarantees:
      - `context.state` is kept in `folder` from message to message of a run, and begins empty in the
        next. If the app raised, it is as it was before.
      - Of an error in the app the coordinator learns the kind and the places in the code, and not the
        message, which may quote rows.
    """

    app: App
    folder: Path
    node_config: UserConfig = field(default_factory=dict)
    observe: Observe = field(default=lambda news: None, repr=False)

    def courier(self, connect: Connect) -> Courier:
        """Answers through channels that `connect` opens. Raises `AppError` if the app cannot be."""
        client_app = self.app.client_app()

        def meet(welcome: pb.Welcome) -> Respond:
            return _Place.of(welcome, self).responding(client_app)

        return Courier(
            connect=connect,
            observe=self.observe,
            meet=meet,
            fingerprint=self.app.fingerprint(),
            version=__version__,
            kept=Kept(self.folder / "flower"),
        )


@dataclass(frozen=True, kw_only=True)
class _Place:
    """A site's place in a run."""

    site: AppSite
    run_id: int
    node_id: int
    node_config: UserConfig
    run_config: UserConfig

    @classmethod
    def of(cls, welcome: pb.Welcome, site: AppSite) -> _Place:
        """What the coordinator says. Raises `Disagreement` if that is not about this app."""
        try:
            said: dict[str, Any] = json.loads(welcome.study)
            partition = {"partition-id": int(said["partition-id"])}
            partition["num-partitions"] = int(said["num-partitions"])
            place = cls(
                site=site,
                run_id=int(welcome.run),
                node_id=int(said["node-id"]),
                node_config={**partition, **site.node_config},
                run_config=dict(said["run-config"]),
            )
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise Disagreement("The coordinator does not say what a Flower app needs.") from error
        scalars = all(isinstance(value, Scalar) for value in place.run_config.values())
        if not scalars or place.run_config.keys() != site.app.run_config.keys():
            raise Disagreement("The coordinator's run config has other keys than that of the app.")
        return place

    def responding(self, client_app: ClientApp) -> Respond:
        """Who answers here."""

        def respond(data: bytes, memory: bytes) -> Answer:
            message = read_message(data)
            kind, which = message.metadata.message_type, round_of(message)
            where = f"{kind}, round {which}" if which else kind
            facts = {"kind": kind, "round": which}
            self._tell("asked", where, **facts)
            began = time.monotonic()
            answer = self._answer(client_app, message, memory)
            spent = time.monotonic() - began
            self._tell("done", f"{where} took {spent:.1f} s", **facts, seconds=round(spent, 3))
            return answer

        return respond

    def _answer(self, client_app: ClientApp, message: Message, memory: bytes) -> Answer:
        context = Context(
            run_id=self.run_id,
            node_id=self.node_id,
            node_config=dict(self.node_config),
            state=read_state(memory),
            run_config=dict(self.run_config),
        )
        try:
            reply = call(client_app, message, context)
            return Answer(write_message(reply), write_state(context.state))
        except (Exception, SystemExit) as error:  # nothing that an app does ends its site
            if may_pass(error):
                raise Lost(f"this site cannot write: {error}") from error
            log.exception("the client's own code failed")
            kind = type(error).__name__
            self._tell("failed", f"this site's own code failed: {kind}", error=kind)
            failed = refusal(error, message, f"{kind_of(error)}\n{places_of(error)}")
            return Answer(write_message(failed), memory)

    def _tell(self, event: str, text: str, **facts: object) -> None:
        facts = {
            name: shown(fact) if isinstance(fact, str) else fact for name, fact in facts.items()
        }
        self.site.observe(News(event=event, text=shown(text), facts=facts))
