"""The simulated nodes of a Flower app: their contexts, and whose message is next."""

from __future__ import annotations

import pickle
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from traceback import format_exc
from typing import Protocol

from flwr.app import Context, Message, RecordDict, UserConfig
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode

from .grid import Reply
from .handling import call, failure, node_id, refusal
from .packing import Packed, dumps, pack, unpack
from .progress import round_of


@dataclass(frozen=True, kw_only=True)
class Raised:
    """A ClientApp raised, which its node answers with an `Error`: who, when and why."""

    client: int | str
    """Its partition, or the name of one that dialled in."""
    node: int
    kind: str
    round: str
    error: str
    traceback: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Errand:
    """A message on its way, and whom to tell the reply."""

    message: Message
    packed: Packed
    reply: Reply

    @property
    def node(self) -> int:
        """Where it goes."""
        return self.message.metadata.dst_node_id


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A reply, a context as bytes and, if the app raised, its traceback."""

    reply: Packed
    context: bytes
    traceback: str = field(default="", repr=False)


class Worker(Protocol):
    """Calls the ClientApp for one node after the other."""

    def begin(self, errand: Errand, context: bytes) -> None:
        """Has the ClientApp called with the message of `errand` and a node's context."""
        ...

    def end(self) -> Answer:
        """What came of it. Whatever either of the two raises ends the run."""
        ...


def contexts(run_id: int, nodes: int, run_config: UserConfig) -> dict[int, Context]:
    """The context of each node before the first message, by the node's id."""
    return {
        node: Context(
            run_id=run_id,
            node_id=node,
            node_config={"partition-id": partition, "num-partitions": nodes},
            state=RecordDict(),
            run_config=dict(run_config),
        )
        for partition, node in enumerate(node_id(f"partition {i}") for i in range(nodes))
    }


def answer(app: ClientApp, packed: Packed, context: bytes) -> Answer:
    """Calls `app` with copies of its own of a packed message and of a context."""
    message, own = unpack(packed), pickle.loads(context)  # noqa: S301 - we wrote it
    try:
        return Answer(reply=pack(call(app, message, own)), context=dumps(own))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the app is the user's code
        refused = refusal(error, message, f"{type(error).__name__}: {error}")
        return Answer(reply=pack(refused), context=context, traceback=format_exc())


class Nodes:
    """A `Carrier` over simulated nodes; whoever runs `work` calls the ClientApp for them.

    Guarantees:
      - A node handles one message after the other, in the order in which they were sent, each with
        the context that the one before left. If the app raised, the context is as it was before.
      - What a client does to its message and context reaches no other client.
    """

    def __init__(self, contexts: Mapping[int, Context], raised: Callable[[Raised], None]) -> None:
        self._partitions = {node: i for i, node in enumerate(contexts)}
        self._contexts = {node: dumps(context) for node, context in contexts.items()}
        self._raised = raised
        self._ready: SimpleQueue[Errand | None] = SimpleQueue()
        self._later: dict[int, deque[Errand]] = {}
        """For each node that has something to do: what it has to do after that."""
        self._lock = threading.Lock()
        self.lost: Exception | None = None

    def nodes(self) -> Sequence[int]:
        """All of them, in the order of their partitions."""
        return list(self._contexts)

    def send(self, message: Message, reply: Reply) -> None:
        """See `Carrier`."""
        if self.lost:
            raise self.lost
        if message.metadata.dst_node_id not in self._contexts:
            reply(failure(message, ErrorCode.NODE_UNAVAILABLE, "There is no such node."))
            return
        errand = Errand(message=message, packed=pack(message), reply=reply)
        with self._lock:
            if errand.node in self._later:
                self._later[errand.node].append(errand)
                return
            self._later[errand.node] = deque()
        self._ready.put(errand)

    def work(self, worker: Worker) -> None:
        """Has `worker` do what is next, until `stop`. May run in several threads."""
        errand = self._give(worker, wait=True)
        while errand:
            try:
                answer = worker.end()
                following = self._give(worker, wait=False)  # it goes on while its answer is read
                self._settle(errand, answer)
            except Exception as lost:  # noqa: BLE001 - nobody would answer, and all would wait
                self._lose(errand, lost)
                return
            errand = following or self._give(worker, wait=True)

    def _give(self, worker: Worker, *, wait: bool) -> Errand | None:
        """What `worker` is doing now, if anything."""
        while errand := self._take(wait=wait):
            if _is_over(errand.message):
                self._next(errand)
                reason = "Its time to live was over before a worker was free."
                errand.reply(failure(errand.message, ErrorCode.MESSAGE_UNAVAILABLE, reason))
                continue
            try:
                worker.begin(errand, self._contexts[errand.node])
            except Exception as lost:  # noqa: BLE001 - see `work`
                self._lose(errand, lost)
                return None
            return errand
        return None

    def _take(self, *, wait: bool) -> Errand | None:
        """What is next; None at the end, or if there is nothing and nobody is to `wait`."""
        try:
            errand = self._ready.get(block=wait)
        except Empty:
            return None
        if errand is None and not wait:
            self._ready.put(None)  # the end is for who waits
        return errand

    def _lose(self, errand: Errand, lost: Exception) -> None:
        self.lost = lost
        errand.reply(lost)

    def stop(self, workers: int) -> None:
        """Lets `work` end in so many threads."""
        for _ in range(workers):
            self._ready.put(None)

    def _settle(self, errand: Errand, answer: Answer) -> None:
        self._contexts[errand.node] = answer.context
        self._next(errand)
        reply = unpack(answer.reply)
        if answer.traceback:
            self._raised(self._who(errand, reply, answer.traceback))
        errand.reply(reply)

    def _next(self, done: Errand) -> None:
        """The node of `done` is free for what it has to do later."""
        with self._lock:
            if later := self._later[done.node]:
                self._ready.put(later.popleft())
            else:
                del self._later[done.node]

    def _who(self, errand: Errand, reply: Message, traceback: str) -> Raised:
        return Raised(
            client=self._partitions[errand.node],
            node=errand.node,
            kind=errand.message.metadata.message_type,
            round=round_of(errand.message),
            error=reply.error.reason or "",
            traceback=traceback,
        )


def _is_over(message: Message) -> bool:
    return message.metadata.created_at + message.metadata.ttl <= time.time()
