"""The coordinator of a Flower app: its port, and the carrier to whoever dials in there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from flwr.supercore.run import Run

from ..deployment.serve import LINGER, Listening, exposed
from ..server.journal import Journal, Metrics
from ..server.mail import Mail
from ..server.post import Post
from ..server.serving import Port, event_loop, serving
from .app import App
from .clients import Clients, place_of
from .nodes import Raised


@contextmanager
def reached(
    app: App,
    run: Run,
    roster: Sequence[str],
    listening: Listening,
    audit: Path,
    *,
    listens: Callable[[int], None] = lambda port: None,
    raised: Callable[[Raised], None] = lambda raised: None,
    linger: float = LINGER,
) -> Iterator[Clients]:
    """The carrier to those of `roster` who dial in with their copy of `app`.

    `listens` is told the port, `raised` of each ClientApp that raised; what happens at the door is
    appended to `audit`. When it is left, clients are told that the run is complete; those who are away
    may come for `linger` seconds. When it is left by an exception, they are to dial again.
    """
    metrics = Metrics.fresh()
    journal = Journal(audit, metrics)
    mail = Mail(loop=event_loop())
    post = Post(
        mail=mail,
        door=listening.door(roster, journal),
        journal=journal,
        run=str(run.run_id),
        fingerprint=app.fingerprint(),
        place_of=lambda client: place_of(client, roster, app),
    )
    port = Port(address=listening.address, credentials=listening.credentials(), service=post)
    with exposed(listening.metrics, metrics), serving(mail.loop, port) as number:
        listens(number)
        yield Clients(roster=roster, mail=mail, raised=raised)
        mail.finish(mail.ever, linger)
