"""The model, the data, and what a client does with them."""

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset, random_split


class Net(nn.Module):
    """A small convolutional network for images of 8 x 8."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()
        )
        self.classifier = nn.Linear(8 * 4 * 4, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.features(images))


def load_data(
    partition_id: int, num_partitions: int, batch_size: int
) -> tuple[DataLoader, DataLoader]:
    """A client's batches to train on, four fifths of its rows, and to evaluate on."""
    digits = load_digits()
    images = torch.tensor(digits.images[partition_id::num_partitions], dtype=torch.float32) / 16
    labels = torch.tensor(digits.target[partition_id::num_partitions])
    rows = TensorDataset(images.unsqueeze(1), labels)
    seeded = torch.Generator().manual_seed(partition_id)
    train, test = random_split(rows, [0.8, 0.2], generator=seeded)
    return DataLoader(train, batch_size=batch_size, shuffle=True), DataLoader(test, batch_size=256)


def train(net: Net, batches: DataLoader, epochs: int, rate: float) -> float:
    """Trains `net`; returns the mean loss."""
    optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)
    net.train()
    total = 0.0
    for _ in range(epochs):
        for images, labels in batches:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(images), labels)
            loss.backward()
            optimizer.step()
            total += loss.item()
    return total / (epochs * len(batches))


def test(net: Net, batches: DataLoader) -> tuple[float, float]:
    """The mean loss, and the share of images that `net` knows."""
    net.eval()
    loss, right, rows = 0.0, 0, 0
    with torch.no_grad():
        for images, labels in batches:
            outputs = net(images)
            loss += nn.functional.cross_entropy(outputs, labels, reduction="sum").item()
            right += int((outputs.argmax(1) == labels).sum())
            rows += len(labels)
    return loss / rows, right / rows
