"""Whether a model can be trained with DP-SGD: what is found, and that what can be is let through."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from contracts.learning import CPU, digits
from contracts.trainer import global_states
from opacus.grad_sample import GradSampleHooks
from opacus.layers import DPGRU, DPLSTM, DPMultiheadAttention
from opacus.validators import ModuleValidator
from tacit.client import Classification, Data, Plain, Training, initial_parameters
from tacit.client.dpsgd import DPSGD
from tacit.client.fitness import unfit
from tacit.client.private import Private
from tacit.models import CNN, MLP, CharacterCNN
from tacit.privacy.noise import Noise
from tacit.strategies import Correction
from torch import Tensor, nn
from torch.nn import functional

Build = Callable[[], nn.Module]
HOOKS = DPSGD(noise_multiplier=1.0)
GHOST = DPSGD(noise_multiplier=1.0, engine="ghost")
both = pytest.mark.parametrize("terms", [HOOKS, GHOST], ids=["hooks", "ghost"])


def rows(*shape: int) -> Data:
    data = digits().rows(slice(0, 6))
    return Data(features=data.features.reshape(6, *shape), targets=data.targets)


FLAT, IMAGES, SERIES = rows(64), rows(1, 8, 8), rows(8, 8)
CODES = Data(features=(FLAT.features * 16).astype(np.int64)[:, :10], targets=FLAT.targets)
TEXTS = Data(features=CODES.features, targets=CODES.features[:, ::-1].copy())


class Last(nn.Module):
    """A recurrent layer, and a linear one on its last output."""

    def __init__(self, recurrent: Callable[..., nn.Module]) -> None:
        super().__init__()
        self.recurrent, self.head = recurrent(8, 8, batch_first=True), nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.recurrent(x)[0][:, -1])
        return logits


class Attentive(nn.Module):
    def __init__(self, attention: Callable[..., nn.Module]) -> None:
        super().__init__()
        self.attention, self.head = attention(8, 2, batch_first=True), nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.attention(x, x, x)[0].mean(1))
        return logits


class Tied(nn.Module):
    """One tensor as the embedding and as the head."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(17, 8), nn.Linear(8, 17, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.embedding(x))
        return logits.transpose(1, 2)


class UsedTwice(nn.Module):
    """The same, behind the back of the layer that owns it."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(17, 8)

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(self.embedding(x), self.embedding.weight).transpose(1, 2)


class Centred(nn.Module):
    """Subtracts the mean over the batch."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.layer, self.dropout = nn.Linear(64, 10), dropout

    def forward(self, x: Tensor) -> Tensor:
        dropped = functional.dropout(x - x.mean(0), self.dropout, self.training)
        logits: Tensor = self.layer(dropped)
        return logits


class Averaging(nn.Module):
    """A buffer that follows the rows."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(64))
        self.layer = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.mean.lerp_(x.detach().mean(0), 0.1)
        logits: Tensor = self.layer(x)
        return logits


class Spare(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.spare = nn.Linear(64, 10), nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layer(x)
        return logits


class Clashing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.activations = [nn.functional.relu]
        self.layer = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layer(self.activations[0](x))
        return logits


class WideLinear(nn.Linear):
    """Opacus has rules for exact types only: this one goes by functorch."""


def chain(*layers: Callable[[], nn.Module]) -> Build:
    return lambda: nn.Sequential(*(layer() for layer in layers))


def linear(inputs: int, outputs: int) -> Callable[[], nn.Module]:
    return partial(nn.Linear, inputs, outputs)


def convolution(**options: object) -> Callable[[], nn.Module]:
    return partial(nn.Conv2d, 1, 4, 3, padding=1, **options)  # type: ignore[arg-type]


FIT: dict[str, tuple[Build, Data]] = {
    "mlp": (partial(MLP, inputs=64, outputs=10, hidden=(8,), dropout=0.3), FLAT),
    "cnn": (partial(CNN, shape=(1, 8, 8), outputs=10), IMAGES),
    "text": (partial(CharacterCNN, characters=17, width=8, layers=2), TEXTS),
    "dp lstm": (partial(Last, DPLSTM), SERIES),
    "dp gru": (partial(Last, DPGRU), SERIES),
    "dp attention": (partial(Attentive, DPMultiheadAttention), SERIES),
    "subclass": (chain(partial(WideLinear, 64, 10)), FLAT),
    "prelu": (chain(linear(64, 8), nn.PReLU, linear(8, 10)), FLAT),
    "instance norm": (
        chain(
            convolution(), partial(nn.InstanceNorm2d, 4, affine=True), nn.Flatten, linear(256, 10)
        ),
        IMAGES,
    ),
    "dropout by a function": (lambda: Mild(), FLAT),
}


class Mild(Centred):
    """Dropout that no module announces, and nothing else."""

    def __init__(self) -> None:
        super().__init__(0.5)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layer(functional.dropout(x, self.dropout, self.training))
        return logits


UNFIT: dict[str, tuple[Build, Data, str]] = {
    "batch norm": (
        chain(linear(64, 8), partial(nn.BatchNorm1d, 8), linear(8, 10)), FLAT, "use nn.GroupNorm",
    ),
    "frozen batch norm": (
        chain(linear(64, 8), lambda: nn.BatchNorm1d(8).requires_grad_(False), linear(8, 10)), FLAT,
        "1 (BatchNorm1d): it normalises a row by the other rows",
    ),
    "batch norm without weights": (
        chain(linear(64, 8), partial(nn.BatchNorm1d, 8, affine=False), linear(8, 10)), FLAT,
        "use nn.GroupNorm",
    ),
    "lstm": (partial(Last, nn.LSTM), SERIES, "recurrent (LSTM): it has no gradients of single rows"),
    "gru": (partial(Last, nn.GRU), SERIES, "use opacus.layers.DPGRU"),
    "rnn": (partial(Last, nn.RNN), SERIES, "use opacus.layers.DPRNN"),
    "attention": (partial(Attentive, nn.MultiheadAttention), SERIES, "for every client, as its"),
    "instance norm": (
        chain(convolution(), partial(nn.InstanceNorm2d, 4, affine=True, track_running_stats=True),
              nn.Flatten, linear(256, 10)), IMAGES, "set track_running_stats=False",
    ),
    "moving buffer": (Averaging, FLAT, "mean: it moves in a forward pass"),
    "spectral norm": (
        chain(lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(64, 10))), FLAT,
        "it moves in a forward pass",
    ),
    "max norm": (
        chain(partial(nn.Embedding, 17, 4, max_norm=1.0), nn.Flatten, linear(40, 10)), CODES,
        "leave max_norm out",
    ),
    "padding": (
        chain(partial(nn.Embedding, 17, 4, padding_idx=0), nn.Flatten, linear(40, 10)), CODES,
        "leave padding_idx out",
    ),
    "mixing": (partial(Centred, 0.0), FLAT, "the model mixes rows"),
    "mixing under dropout": (partial(Centred, 0.5), FLAT, "the model mixes rows"),
    "used twice": (UsedTwice, TEXTS, "embedding.weight: Opacus' gradients of single rows are not"),
    "circular padding": (
        chain(convolution(padding_mode="circular"), nn.Flatten, linear(256, 10)), IMAGES,
        "0.weight: Opacus' gradients of single rows are not",
    ),
    "in place": (
        chain(linear(64, 8), partial(nn.ReLU, inplace=True), linear(8, 10)), FLAT,
        "1: it writes over the output of a layer, where Opacus has hooks: set inplace=False",
    ),
    "spare layer": (Spare, FLAT, "spare.weight: the loss does not depend on it"),
    "nothing to train": (
        chain(lambda: nn.Linear(64, 10).requires_grad_(False)), FLAT, "no parameter to train",
    ),
    "half precision": (
        chain(lambda: nn.Linear(64, 10).half()), FLAT, "float16 is too coarse to clip and to noise",
    ),
    "clash": (Clashing, FLAT, "Opacus keeps its own 'activations' on a layer"),
    "attention alone": (
        partial(DPMultiheadAttention, 8, 2), SERIES, "under another name or as a copy",
    ),
    "wrong shape": (chain(linear(60, 10)), FLAT, "fails in a private step: RuntimeError: mat1 and"),
}  # fmt: skip


@pytest.mark.parametrize("name", FIT)
@both
def test_a_model_that_can_be_trained_has_nothing_said_against_it(terms: DPSGD, name: str) -> None:
    build, data = FIT[name]
    task = Classification(build=build)
    assert unfit(task, terms, data, Training()) == []
    trainer = Private(Plain(task, CPU), terms, Noise(bytes(32)))
    fitted = trainer.fit(
        initial_parameters(task, 0), data, Training(), 0.1, Correction(), np.random.default_rng(0)
    )
    assert all(np.all(np.isfinite(array)) for array in fitted.delta.values())


@pytest.mark.parametrize("name", UNFIT)
@both
def test_a_model_that_cannot_be_trained_is_told_why_in_one_line(terms: DPSGD, name: str) -> None:
    build, data, why = UNFIT[name]
    found = unfit(Classification(build=build), terms, data)
    assert any(why in reason for reason in found), found
    assert not any("\n" in reason for reason in found)


def test_shared_tensors_are_for_hooks_alone() -> None:
    task = Classification(build=Tied)
    assert unfit(task, HOOKS, TEXTS) == []
    (reason,) = unfit(task, GHOST, TEXTS)
    assert reason.startswith("head.weight: it is the same tensor as embedding.weight")


def test_every_problem_is_named_at_once() -> None:
    build = chain(
        linear(64, 8), partial(nn.BatchNorm1d, 8), linear(8, 8), partial(nn.BatchNorm1d, 8)
    )
    found = unfit(Classification(build=build), HOOKS, FLAT, Training(clip=1.0))
    assert [reason.split(" ")[0] for reason in found] == ["1", "3", "training.clip"]


def test_what_opacus_refuses_is_refused() -> None:
    """Whatever its validator finds among torch's layers, by exact type, in training mode."""
    layers: list[nn.Module] = [
        nn.BatchNorm1d(4), nn.BatchNorm2d(4), nn.BatchNorm3d(4), nn.SyncBatchNorm(4), nn.LSTM(4, 4),
        nn.GRU(4, 4), nn.MultiheadAttention(4, 2),
        nn.InstanceNorm1d(4, affine=True, track_running_stats=True),
    ]  # fmt: skip
    for layer in layers:
        assert ModuleValidator.validate(layer.train())
        task = Classification(build=partial(nn.Sequential, nn.Linear(64, 10), layer))
        assert any(reason.startswith("1 (") for reason in unfit(task, HOOKS, FLAT))


@pytest.mark.parametrize("name", ["mlp", "dp lstm"])
@both
def test_nothing_is_left_on_a_model_that_the_task_keeps(terms: DPSGD, name: str) -> None:
    build, data = FIT[name]
    kept = build()
    before = (
        [sorted(vars(m)) for m in kept.modules()],
        {k: v.clone() for k, v in kept.state_dict().items()},
    )
    unfit(Classification(build=lambda: kept), terms, data)
    unfit(
        Classification(build=lambda: kept),
        terms,
        Data(features=data.features[..., :3], targets=data.targets),
    )
    assert [sorted(vars(m)) for m in kept.modules()] == before[0]
    assert all(torch.equal(v, before[1][k]) for k, v in kept.state_dict().items())
    GradSampleHooks(kept).cleanup()  # raises if there are hooks


def test_the_global_generators_are_as_before() -> None:
    before = global_states()
    for build, data in FIT.values():
        unfit(Classification(build=build), HOOKS, data)
    assert global_states() == before


def test_one_row_is_enough_and_none_is_refused() -> None:
    build, data = FIT["cnn"]
    task = Classification(build=build)
    assert unfit(task, HOOKS, data.rows(slice(0, 1))) == []
    mixing = Classification(build=partial(Centred, 0.0))
    assert unfit(mixing, HOOKS, FLAT.rows(slice(0, 1))) != []
    with pytest.raises(ValueError, match="Expected at least one row"):
        unfit(task, HOOKS, data.rows(slice(0)))
