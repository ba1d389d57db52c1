"""A coordinator of a Flower app on loopback, and sites that dial it, each in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import grpc
from contracts.proxy import Proxy
from flwr.supercore.run import Run
from tacit.client.courier import Courier
from tacit.client.dialler import News, Observe
from tacit.deployment.serve import Listening
from tacit.flower.app import App, read_app
from tacit.flower.clients import Clients
from tacit.flower.nodes import Raised
from tacit.flower.serving import reached
from tacit.flower.site import AppSite
from tacit.wire.dial import dial, dial_insecurely
from tacit.wire.durable import append_line
from tacit.wire.errors import TacitError
from tacit.wire.identity import Role
from tacit.wire.keys import Keys

T = TypeVar("T")


class NobodyThere(Exception):
    """The test is over."""


@dataclass(eq=False, kw_only=True)
class Place:
    """Where a run has its files, and what was seen of it. Without `certs` names are believed."""

    app: App
    folder: Path
    certs: Path | None = None
    port: int = 0
    linger: float = 5.0
    over: threading.Event = field(default_factory=threading.Event)
    raised: list[Raised] = field(default_factory=list)
    news: list[tuple[str, News]] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)
    ended: dict[str, object] = field(default_factory=dict)

    def dial(self, name: str, port: int = 0) -> grpc.Channel:
        if self.over.is_set():
            raise NobodyThere
        address = f"localhost:{port or self.port}"
        if self.certs is None:
            return dial_insecurely(address, Role.CLIENT, name)
        return dial(address, Keys(self.certs / name), Role.CLIENT)

    def courier(self, name: str, port: int = 0, observe: Observe | None = None) -> Courier:
        """That of the site `name`, which does not wait long for anything."""

        def noted(news: News) -> None:
            self.news.append((name, news))

        site = AppSite(app=self.app, folder=self.folder / name, observe=observe or noted)
        found = site.courier(partial(self.dial, name, port))
        found.shortest, found.longest = 0.05, 0.2
        return found

    def join(self, name: str, port: int = 0) -> None:
        """The site takes part in a thread of its own, until it is told that it is over."""
        courier = self.courier(name, port)

        def run() -> None:
            try:
                with suppress(NobodyThere):
                    self.ended[name] = courier.run()
            except TacitError as error:
                self.ended[name] = error

        self.threads.append(threading.Thread(target=run, name=name, daemon=True))
        self.threads[-1].start()

    def told(self, event: str) -> list[str]:
        """What sites said of `event`."""
        return [f"{name}: {news.text}" for name, news in self.news if news.event == event]


@contextmanager
def coordinator(
    place: Place,
    run: Run,
    roster: Sequence[str],
    joining: Collection[str] | None = None,
    *,
    another: bool = False,
) -> Iterator[Clients]:
    """The carrier of a coordinator that `joining` dial, by default all of `roster`.

    Unless there will be `another`, sites give up when it has gone.
    """
    keys = place.certs and place.certs / "coordinator"

    def listens(port: int) -> None:
        place.port = port
        for name in roster if joining is None else joining:
            place.join(name)

    place.folder.mkdir(parents=True, exist_ok=True)
    try:
        with reached(
            place.app,
            run,
            roster,
            Listening(address=f"127.0.0.1:{place.port}", certs=keys),
            place.folder / "audit.jsonl",
            listens=listens,
            raised=place.raised.append,
            linger=place.linger,
        ) as carrier:
            yield carrier
    finally:
        if not another:
            place.over.set()
            for thread in place.threads:
                thread.join(20)


def lone_site(app: Path, folder: Path, name: str, port: int) -> None:
    """A site in a process of its own, which writes down what it is told, event by event."""
    place = Place(app=read_app(app), folder=folder, port=port)
    folder.mkdir(parents=True, exist_ok=True)
    place.courier(name, observe=lambda news: append_line(folder / "news", news.event)).run()


class Line:
    """A proxy in a thread of its own, for who does not live on an event loop."""

    def __init__(self, port: int) -> None:
        self.proxy = Proxy(port)
        self.loop = asyncio.new_event_loop()

    @contextmanager
    def open(self) -> Iterator[int]:
        """The port to dial."""
        thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        thread.start()
        listening = self.proxy.listening()
        yield self._do(listening.__aenter__())
        self._do(listening.__aexit__(None, None, None))
        self.loop.call_soon_threadsafe(self.loop.stop)
        thread.join()
        self.loop.close()

    def block(self) -> None:
        """From here on nothing passes."""
        self.loop.call_soon_threadsafe(self.proxy.lit.clear)

    def unblock(self) -> None:
        self.loop.call_soon_threadsafe(self.proxy.lit.set)

    def reset(self) -> None:
        """Ends all connections, both ways."""

        def now() -> None:
            for link in list(self.proxy.links):
                link.reset(0, 1)

        self.loop.call_soon_threadsafe(now)

    def _do(self, what: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(what, self.loop).result()
