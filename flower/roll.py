"""A Grid for strategies that are only asked what they would send."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn

from flwr.app import Message
from flwr.serverapp import Grid
from flwr.supercore.run import Run

from ..wire.errors import TacitError

PATIENCE = 10
"""How often a strategy may ask who is there before it is taken to wait for more."""


class StrategyError(TacitError):
    """Something that a strategy of Flower did, and that tacit cannot go on with."""


class Roll(Grid):
    """Lists `clients` nodes, whose ids count from 1, and carries nothing.

    Raises `StrategyError` to whoever waits for more of them, or sends a message.
    """

    def __init__(self, clients: int) -> None:
        self.clients, self.asked = clients, 0

    def get_node_ids(self) -> Iterable[int]:
        """See Flower's Grid."""
        self.asked += 1
        if self.asked > PATIENCE:
            raise StrategyError(
                f"strategy: it waits for more than the {self.clients} clients that there are."
            )
        return range(1, self.clients + 1)

    @property
    def run(self) -> Run:
        """See Flower's Grid."""
        return Run.create_empty(run_id=1)

    def set_run(self, run: Run) -> None:
        """See Flower's Grid."""
        _no_carrier()

    def create_message(self, *args: object, **kwargs: object) -> Message:
        """See Flower's Grid."""
        _no_carrier()

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """See Flower's Grid."""
        _no_carrier()

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """See Flower's Grid."""
        _no_carrier()

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """See Flower's Grid."""
        _no_carrier()


def _no_carrier() -> NoReturn:
    raise StrategyError("strategy: it sends messages by itself; tacit carries them.")
