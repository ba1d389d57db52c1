"""Which site is at which node of a SuperLink: every node is asked who it is."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from flwr.app import Message
from flwr.serverapp import Grid

from ..wire.foreign import shown
from .letters import AWAY, HELLO, Introduction, Study, hello, read_introduction

log = logging.getLogger("flwr")

EVERY: Final = 1.0
"""Seconds between two looks at which nodes there are."""
TTL: Final = 3600.0
NOBODY: Final = -1
"""In place of a node: several say that they are the client."""
GRACE: Final = 30.0
"""Seconds within which those who are there at first should say who they are: two may have one name."""


@dataclass(eq=False, kw_only=True)
class Roster:
    """The nodes of `grid` at which the `clients` of a study are.

    Names are believed: whom the SuperLink lets in, it is for its operator to say. A site that comes back
    at a new node is found by the mark in its folder.

    Guarantees:
      - A node that is no site, has another study, or a name that is not of the study, is not asked.
      - While two sites have one name, neither of them is asked.
    """

    grid: Grid
    study: Study
    clients: Sequence[str] = field(repr=False)
    _asked: dict[str, int] = field(default_factory=dict, repr=False)
    _sites: dict[int, Introduction] = field(default_factory=dict, repr=False)
    _present: list[int] = field(default_factory=list, repr=False)
    _said: set[str] = field(default_factory=set, repr=False)
    _looked: float = -EVERY
    _began: float = field(default_factory=time.monotonic, repr=False)
    _open: bool = False

    def nodes(self, members: Sequence[str]) -> Mapping[str, int]:
        """See `Seats`."""
        if time.monotonic() - self._looked >= EVERY:
            self._look()
        self._hear()
        if not self._is_open():
            return {}
        found: dict[str, int] = {}
        for node in self._present:
            site = self._sites.get(node)
            if site is None or (name := self._name(node, site)) not in members:
                continue
            other = found.get(name)
            if other == NOBODY:
                continue
            if other is not None and self._sites[other].mark != site.mark:
                self._say(
                    f"Nodes {other} and {node} both say to be {name!r}, and neither is asked: give "
                    "each SuperNode a name of its own in --node-config."
                )
                found[name] = NOBODY
            else:
                found[name] = node
        missing = [name for name in members if name not in found]
        if missing and not self._asked:
            self._say(f"Waiting for {', '.join(missing[:5])}{', ...' if missing[5:] else ''}.")
        return {name: node for name, node in found.items() if node != NOBODY}

    def _is_open(self) -> bool:
        """Whether all who were there at first have said who they are, or had the time to."""
        heard = self._sites and not self._asked
        self._open = self._open or bool(heard) or time.monotonic() - self._began > GRACE
        return self._open

    def _look(self) -> None:
        """Asks the nodes that are new, in the order in which they were seen first."""
        self._looked = time.monotonic()
        now = set(self.grid.get_node_ids())
        new = sorted(now - set(self._present))
        self._present = [*(node for node in self._present if node in now), *new]
        self._sites = {node: site for node, site in self._sites.items() if node in now}
        self._ask(new)  # also who comes back: it may be another now

    def _ask(self, nodes: Iterable[int]) -> None:
        content = hello(self.study)
        messages = {node: Message(content, node, HELLO, ttl=TTL) for node in nodes}
        pushed = set(self.grid.push_messages(list(messages.values()))) if messages else set()
        for node, message in messages.items():
            if message.metadata.message_id in pushed:
                self._asked[message.metadata.message_id] = node
            else:
                self._present.remove(node)

    def _hear(self) -> None:
        for reply in self.grid.pull_messages(list(self._asked)) if self._asked else []:
            node = self._asked.pop(reply.metadata.reply_to_message_id)
            if reply.has_error():
                reason = shown(reply.error.reason or "")
                self._say(f"Node {node} does not say who it is: {reason}")
                if reply.error.code in AWAY and node in self._present:
                    self._present.remove(node)  # it is new again when it is seen again
            else:
                self._sites[node] = read_introduction(reply.content)

    def _name(self, node: int, site: Introduction) -> str:
        """The client that `site` is; nobody's name if it is none."""
        name = site.name
        if not name and 0 <= site.partition < len(self.clients):
            name = self.clients[site.partition]
        problem = site.problem
        if not problem and name not in self.clients:
            problem = f"the study has no client {name!r}"
        if problem:
            self._say(f"Node {node} is not asked: {shown(problem)}.")
            return ""
        return name

    def _say(self, text: str) -> None:
        """A warning, once."""
        if text not in self._said:
            self._said.add(text)
            log.warning(text)
