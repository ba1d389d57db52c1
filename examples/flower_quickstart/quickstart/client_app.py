"""What a client does: trains the model that it gets on its rows, or evaluates it."""

import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from torch.utils.data import DataLoader

from quickstart.task import Net, load_data
from quickstart.task import test as test_net
from quickstart.task import train as train_net

app = ClientApp()


@app.train()
def train(msg: Message, context: Context) -> Message:
    """Trains on the client's rows; the same round of the same client has the same randomness."""
    config, run = msg.content["config"], context.run_config
    torch.manual_seed(1000 * config["server-round"] + context.node_config["partition-id"])
    net, (rows, _) = received(msg), data(context)
    loss = train_net(net, rows, run["local-epochs"], run["learning-rate"])
    metrics = MetricRecord({"train_loss": loss, "num-examples": len(rows.dataset)})
    content = RecordDict({"arrays": ArrayRecord(net.state_dict()), "metrics": metrics})
    return Message(content=content, reply_to=msg)


@app.evaluate()
def evaluate(msg: Message, context: Context) -> Message:
    """Evaluates on the client's rows that it does not train on."""
    net, (_, rows) = received(msg), data(context)
    loss, accuracy = test_net(net, rows)
    metrics = {"eval_loss": loss, "eval_acc": accuracy, "num-examples": len(rows.dataset)}
    return Message(content=RecordDict({"metrics": MetricRecord(metrics)}), reply_to=msg)


def received(msg: Message) -> Net:
    net = Net()
    net.load_state_dict(msg.content["arrays"].to_torch_state_dict())
    return net


def data(context: Context) -> tuple[DataLoader, DataLoader]:
    node = context.node_config
    return load_data(node["partition-id"], node["num-partitions"], context.run_config["batch-size"])
