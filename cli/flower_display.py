"""How a run of a Flower app is shown: its own logs and prints, and beside them how far it is."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, TextIO

from ..flower.app import App
from ..flower.logs import log_to
from ..flower.nodes import Raised
from ..flower.progress import Batch
from . import console
from .options import Format

if TYPE_CHECKING:
    from rich.live import Live
    from rich.spinner import Spinner


@dataclass(kw_only=True)
class Display:
    """Shows batches of messages and clients that raised, and adds up what there was."""

    app: App
    quiet: bool = False
    events: TextIO | None = None
    """Where JSON goes, if that is the format."""
    live: Live | None = None
    """What is going on, on a terminal."""
    rounds: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    totals: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(
            ("messages", "replies", "errors", "sent", "received"), 0
        )
    )

    def watch(self, batch: Batch) -> None:
        """Shows how far `batch` is."""
        if batch.done:
            self._add(batch)
        if self.live:
            about = _named(batch.kind, batch.round)
            self.live.update(_spinner(f"{about}: {batch.replies} replies of {batch.messages}"))

    def raised(self, raised: Raised) -> None:
        """Shows why a client failed: once, however many fail alike."""
        if self.events:
            console.emit({"event": "client_raised", **asdict(raised)}, self.events)
        elif raised.traceback not in self.seen:
            self.seen.add(raised.traceback)
            who = f"client {raised.client}, {_named(raised.kind, raised.round)}:"
            console.err().print(f"{who}\n{raised.traceback}", markup=False, soft_wrap=True)

    def listening(self, address: str, clients: int) -> None:
        """Says where a coordinator is, and for how many it waits."""
        if self.events:
            console.emit({"event": "listening", "address": address}, self.events)
        elif not self.quiet:
            console.say(f"listening on {address}; waiting for {clients} clients")

    def finished(self, seconds: float, nodes: int, **facts: int) -> None:
        """The last line, in place of that which is live; with JSON there are `facts` in it."""
        if self.live:
            self.live.stop()
        rounds, totals = len(self.rounds), self.totals
        if self.events:
            about = {"app": self.app.name, "version": self.app.version, "rounds": rounds}
            last = {"nodes": nodes, **facts, "seconds": round(seconds, 4)}
            console.emit({"event": "result", **about, **totals, **last}, self.events)
            return
        from rich.filesize import decimal

        console.say(
            f"{self.app.name} {self.app.version}: {rounds} rounds with {nodes} nodes, "
            f"{totals['messages']} messages, {totals['replies']} replies, {totals['errors']} errors, "
            f"{decimal(totals['sent'])} sent, {decimal(totals['received'])} received, "
            f"{seconds:.1f} s"
        )

    def _add(self, batch: Batch) -> None:
        facts = asdict(batch)
        for name in self.totals:
            self.totals[name] += facts[name]
        self.rounds |= {batch.round} - {""}
        if self.events:
            del facts["began"], facts["whole"]
            facts["seconds"] = round(batch.seconds, 4)
            console.emit({"event": "batch", **facts}, self.events)


@contextmanager
def showing(app: App, form: Format, *, quiet: bool) -> Iterator[Display]:
    """A display for stdout and stderr as they are. With JSON, the app's own prints go to stderr."""
    with ExitStack() as stack:
        display = Display(app=app, quiet=quiet)
        if form is Format.JSON:
            display.events = stack.enter_context(stdout_for_events())
        elif not quiet and console.err().is_terminal and not console.err().is_dumb_terminal:
            display.live = stack.enter_context(_live())
        log_to(sys.stderr, coloured=sys.stderr.isatty())
        yield display


@contextmanager
def stdout_for_events() -> Iterator[TextIO]:
    """Until it is left, what this process and its children print goes to stderr."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with os.fdopen(kept, "w", closefd=False) as events:
            yield events
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def _live() -> Live:
    """A line at the end of stderr; what the app writes to a terminal goes above it."""
    from rich.live import Live

    return Live(
        _spinner("starting"),
        console=console.err(),
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
    )


def _spinner(text: str) -> Spinner:
    from rich.spinner import Spinner

    return Spinner("dots", text)


def _named(kind: str, round: str) -> str:
    return f"{kind}, round {round}" if round else kind
