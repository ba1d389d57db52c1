"""A ClientApp that does what the contract of carriers asks for; its ServerApp has nothing to do."""

import os
import signal
import time
from collections.abc import Iterator

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.clientapp.typing import ClientAppCallable
from flwr.serverapp import Grid, ServerApp


def counts_bytes(message: Message, context: Context, call: ClientAppCallable) -> Message:
    """A mod: adds to the reply how many bytes came."""
    came = sum(record.count_bytes() for record in message.content.values())
    reply = call(message, context)
    reply.content["mod"] = ConfigRecord({"bytes": came})
    return reply


client = ClientApp(mods=[counts_bytes])
server = ServerApp()


@server.main()
def main(grid: Grid, context: Context) -> None:
    assert grid.get_node_ids()


@client.lifespan()
def alive(context: Context) -> Iterator[None]:
    context.state["lifespan"] = ConfigRecord({"open": True})
    yield
    context.state["lifespan"] = ConfigRecord({"open": False})


def calls(context: Context) -> int:
    """How often this node was called, this time included."""
    before = context.state.metric_records.get("calls", MetricRecord({"n": 0}))
    n = before["n"]
    assert isinstance(n, int)
    context.state["calls"] = MetricRecord({"n": n + 1})
    return n + 1


def said(message: Message, **values: float) -> Message:
    return Message(RecordDict({"metrics": MetricRecord({**values})}), reply_to=message)


@client.train()
def train(message: Message, context: Context) -> Message:
    """Each array and `step`, and how often this node was called."""
    step = context.run_config["step"]
    arrays = message.content.array_records["arrays"]
    moved = ArrayRecord({name: Array(each.numpy() + step) for name, each in arrays.items()})
    assert moved.object_id  # for which Flower keeps more in an Array than its bytes
    metrics = MetricRecord({"calls": calls(context), "num-examples": 1})
    return Message(RecordDict({"arrays": moved, "metrics": metrics}), reply_to=message)


@client.train("spoil")
def spoil(message: Message, context: Context) -> Message:
    """Changes all that came, and says what it was."""
    arrays, config = message.content.array_records["arrays"], message.content["config"]
    assert isinstance(config, ConfigRecord)
    first, value = float(arrays["weights"].numpy().ravel()[0]), config["value"]
    assert isinstance(value, int)
    arrays["weights"] = Array(np.full(4000, -1.0))
    config["value"] = -1
    context.node_config["num-partitions"] = -1
    return said(message, first=first, value=value)


@client.train("fail")
def fail(message: Message, context: Context) -> Message:
    calls(context)
    raise LookupError("this client has no data")


@client.train("meddle")
def meddle(message: Message, context: Context) -> Message:
    calls(context)
    context.run_config["step"] = 2.0
    return said(message)


@client.train("nothing")
def nothing(message: Message, context: Context) -> Message:
    calls(context)
    return None  # type: ignore[return-value]


@client.train("die")
def die(message: Message, context: Context) -> Message:
    os.kill(os.getpid(), signal.SIGKILL)
    return said(message)


@client.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Takes the seconds that the message says."""
    config = message.content["config"]
    assert isinstance(config, ConfigRecord)
    seconds = config["seconds"]
    assert isinstance(seconds, float)
    time.sleep(seconds)
    return said(message, calls=calls(context))


@client.query()
def query(message: Message, context: Context) -> Message:
    """Who this is."""
    numbers = {name: int(value) for name, value in context.node_config.items()}
    opened = context.state["lifespan"]
    assert isinstance(opened, ConfigRecord)
    return said(message, opened=int(bool(opened["open"])), process=os.getpid(), **numbers)
