"""The models: their shapes, that no row sees another, and that every parameter learns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch
from contracts.learning import CPU
from tacit.models import CNN, MLP, CharacterCNN
from torch import Tensor, nn

ROWS = 5


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model, what it takes and what it must give."""

    build: Callable[[], nn.Module] = field(repr=False)
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    codes: int = 0

    def rows(self, seed: int) -> Tensor:
        generator = torch.Generator(CPU).manual_seed(seed)
        if self.codes:
            return torch.randint(self.codes, (ROWS, *self.inputs), generator=generator)
        return torch.randn((ROWS, *self.inputs), generator=generator)


CASES = {
    "linear": Case(build=lambda: MLP(inputs=6, outputs=1, hidden=()), inputs=(6,), outputs=(1,)),
    "mlp": Case(
        build=lambda: MLP(inputs=12, outputs=3, hidden=(7, 5)), inputs=(3, 4), outputs=(3,)
    ),
    "mlp with dropout": Case(
        build=lambda: MLP(inputs=6, outputs=2, hidden=[8], dropout=0.5), inputs=(6,), outputs=(2,)
    ),
    "cnn": Case(build=lambda: CNN(shape=(1, 8, 8), outputs=10), inputs=(1, 8, 8), outputs=(10,)),
    "cnn in colour": Case(
        build=lambda: CNN(shape=(3, 9, 13), outputs=2, channels=(12, 6, 1), hidden=4),
        inputs=(3, 9, 13),
        outputs=(2,),
    ),
    "cnn at its smallest": Case(
        build=lambda: CNN(shape=(2, 4, 4), outputs=1), inputs=(2, 4, 4), outputs=(1,)
    ),
    "characters": Case(
        build=lambda: CharacterCNN(characters=11, width=6, layers=3),
        inputs=(9,),
        outputs=(11, 9),
        codes=11,
    ),
    "one character": Case(
        build=lambda: CharacterCNN(characters=11, width=6), inputs=(1,), outputs=(11, 1), codes=11
    ),
}
every_model = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def made(case: Case) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return case.build()


@every_model
def test_a_model_gives_the_shape_that_it_says(case: Case) -> None:
    model = made(case).eval()
    for rows in (case.rows(0), case.rows(0)[:1]):
        assert model(rows).shape == (len(rows), *case.outputs)


@every_model
def test_no_row_of_a_batch_sees_another(case: Case) -> None:
    """While training as well: every other row is replaced, and the row's output keeps its bits."""
    model, rows = made(case).train(), case.rows(0)
    for row in range(ROWS):
        others = case.rows(1)
        others[row] = rows[row]
        found = [output(model, batch)[row] for batch in (rows, others)]
        assert torch.equal(*found)


@every_model
def test_a_row_of_nonsense_spoils_no_other(case: Case) -> None:
    if case.codes:
        pytest.skip("codes are never NaN")
    model, rows = made(case).train(), case.rows(0)
    wanted = output(model, rows)
    rows[2] = torch.nan
    found = output(model, rows)
    keep = [0, 1, 3, 4]
    assert torch.equal(found[keep], wanted[keep])
    assert torch.isnan(found[2]).all()


def output(model: nn.Module, rows: Tensor) -> Tensor:
    """With the same dropout each time."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(1)
        found: Tensor = model(rows)
    return found


@every_model
def test_every_parameter_gets_a_gradient(case: Case) -> None:
    model = made(case).eval()
    model(case.rows(0)).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), name


@every_model
def test_a_model_has_nothing_to_federate_but_its_parameters(case: Case) -> None:
    """No buffers: no statistic of a batch outlives the batch."""
    model = made(case)
    assert list(model.buffers()) == []
    assert model.state_dict().keys() == dict(model.named_parameters()).keys()


@every_model
def test_every_layer_has_gradients_for_each_example(case: Case) -> None:
    validators = pytest.importorskip("opacus.validators")
    assert validators.ModuleValidator.validate(made(case).train()) == []


@every_model
def test_the_first_weights_depend_on_the_seed_alone(case: Case) -> None:
    one, other = made(case).state_dict(), made(case).state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_character_sees_only_those_before_it() -> None:
    """And as far back as 2 (1 + 2 + 4) of them, for 3 layers."""
    model = CharacterCNN(characters=11, width=6, layers=3).eval()
    rows = torch.randint(11, (1, 40), generator=torch.Generator().manual_seed(0))
    wanted = model(rows)
    for place in (0, 17, 39):
        other = rows.clone()
        other[0, place] = (other[0, place] + 1) % 11
        moved = (model(other) != wanted).any(1)[0].nonzero()[:, 0].tolist()
        assert moved[0] == place
        assert moved[-1] <= place + 14


@pytest.mark.parametrize(
    ("shape", "channels"), [((1, 3, 8), (4, 4)), ((1, 8, 1), (4,)), ((3, 7, 7), (2, 2, 2))]
)
def test_an_image_too_small_for_its_poolings_is_refused(
    shape: tuple[int, int, int], channels: tuple[int, ...]
) -> None:
    least = 2 ** len(channels)
    with pytest.raises(ValueError, match=f"at least {least} pixels a side for {len(channels)}"):
        CNN(shape=shape, outputs=2, channels=channels)
