"""By which groups rows are counted: what is declared, in a fixed vocabulary, and what is refused."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from tacit.client import Data
from tacit.simulations import Config, ConfigError
from tacit.simulations.dataset import DataError, Dataset
from tacit.simulations.grouping import NOBODY
from tacit.simulations.setup import Setup, prepare

BASE: dict[str, Any] = {
    "rounds": 1,
    "data": {"name": "wine", "standardise": "client"},
    "partition": {"kind": "natural"},
    "model": {"kind": "mlp", "hidden": []},
    "run": {"workers": 0},
}


def dataset() -> Dataset:
    """40 rows of two clients, with two attributes."""
    rng = np.random.default_rng(0)
    return Dataset(
        name="people",
        data=Data(
            features=rng.normal(size=(40, 3)).astype(np.float32),
            targets=np.arange(40) % 2,
            groups={"sex": np.arange(40) // 2 % 2, "race": np.arange(40) // 4 % 3},
        ),
        classes=2,
        test=np.zeros(40, bool),
        owner=np.arange(40) // 20,
        owners=("ann", "bob"),
        group_names={"sex": ("f", "m"), "race": ("a", "b", "c")},
    )


def grouped(**evaluate: object) -> Setup:
    return prepare(Config.model_validate({**BASE, "evaluate": evaluate}), dataset=dataset())


def names(setup: Setup) -> list[str]:
    return [attribute.name for attribute in setup.measure.schema.attributes]


def test_by_default_every_attribute_of_the_data_is_counted() -> None:
    assert names(grouped()) == ["sex", "race"]


def test_data_without_attributes_is_counted_as_a_whole() -> None:
    setup = prepare(Config.model_validate({**BASE, "partition": {"kind": "iid", "clients": 2}}))
    assert names(setup) == ["everyone"]


def test_a_crossing_has_a_group_for_every_pair_and_codes_that_say_which() -> None:
    setup = grouped(groups=["race & sex"])
    groups, data = setup.measure.schema.attributes[0].groups, setup.population.data
    assert groups == ("a & f", "a & m", "b & f", "b & m", "c & f", "c & m")
    for sex, race, both in zip(
        *(data.groups[n] for n in ("sex", "race", "race & sex")), strict=True
    ):
        assert groups[both] == f"{'abc'[race]} & {'fm'[sex]}"


def test_labels_are_groups_if_asked_for() -> None:
    setup = grouped(groups=["label"])
    assert np.array_equal(setup.population.data.groups["label"], setup.population.data.targets)


def test_a_client_brings_all_its_rows_into_its_group() -> None:
    setup = grouped(groups=["region"], clients={"region": {"north": ["bob"], "south": ["ann"]}})
    schema, population = setup.measure.schema, setup.population
    assert schema.attributes[0].groups == ("north", "south")
    for client, group in (("ann", 1), ("bob", 0)):
        for rows in (population.clients[client].train, population.clients[client].test):
            assert set(population.data.groups["region"][rows]) == {group}
    copies = population.data.rows(population.pooled.test).groups["region"]
    held = sum(split.test.stop - split.test.start for split in population.clients.values())
    assert np.bincount(copies).tolist() == [held // 2] * 2


@pytest.mark.parametrize("standardise", ["client", "pooled"])
def test_test_rows_that_no_client_holds_are_in_a_group_of_their_own(standardise: str) -> None:
    data = replace(dataset(), test=np.arange(40) % 5 == 0)
    evaluate = {"clients": {"region": {"north": ["bob"], "south": ["ann"]}}}
    table = {**BASE, "data": {**BASE["data"], "standardise": standardise}, "evaluate": evaluate}
    setup = prepare(Config.model_validate(table), dataset=data)
    assert setup.measure.schema.attribute("region").groups == ("north", "south", NOBODY)
    groups, pooled = setup.population.data.groups["region"], setup.population.pooled
    assert set(groups[pooled.test]) == {2}
    assert set(groups[pooled.train]) == {0, 1}


def tall(data: Data) -> Any:  # noqa: ANN401 - a user's own
    return (data.features[:, 0] > 0).astype(int)


def median(data: Data) -> Any:  # noqa: ANN401 - a user's own
    return (data.features[:, 0] > np.median(data.features[:, 0])).astype(int)


def wrong(data: Data) -> Any:  # noqa: ANN401 - a user's own
    return np.full(len(data), 7)


def test_a_function_of_ones_own_codes_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    mine(monkeypatch)
    setup = grouped(functions={"height": {"call": "my_groups:tall", "groups": ["low", "high"]}})
    data = setup.population.data
    assert np.array_equal(data.groups["height"], data.features[:, 0] > 0)
    assert names(setup) == ["sex", "race", "height"]


def mine(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("my_groups")
    vars(module).update(tall=tall, median=median, wrong=wrong)
    monkeypatch.setitem(sys.modules, "my_groups", module)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "an attribute that is not there": ({"groups": ["sexx"]}, "'sexx'.*sex"),
    "a crossing with one": ({"groups": ["sex & age"]}, "'age'"),
    "a client without a group": ({"clients": {"region": {"north": ["ann"]}}}, "no group for .*bob"),
    "a function that is not there": (
        {"functions": {"height": {"call": "my_groups:short", "groups": ["a"]}}},
        "has no 'short'",
    ),
    "a code outside": (
        {"functions": {"height": {"call": "my_groups:wrong", "groups": ["a", "b"]}}},
        "codes of 2 groups, got 7",
    ),
    "a client attribute of the name of the class": (
        {"clients": {"label": {"a": ["ann", "bob"]}}},
        "'label' is the class",
    ),
    "a function of the name of a column": (
        {"functions": {"sex": {"call": "my_groups:tall", "groups": ["a", "b"]}}},
        "'sex' is an attribute",
    ),
    "a slash": (
        {"functions": {"a/b": {"call": "my_groups:tall", "groups": ["a", "b"]}}},
        "without a slash",
    ),
    "two groups of one name": (
        {"functions": {"height": {"call": "my_groups:tall", "groups": ["a", "a"]}}},
        "a name each",
    ),
    "an attribute that is asked for twice": ({"groups": ["sex", "race", "sex"]}, "each name once"),
    "codes that depend on other rows, under noise": (
        {
            "functions": {"height": {"call": "my_groups:median", "groups": ["a", "b"]}},
            "noise": {"multiplier": 1.0, "clip": 1.0},
        },
        "another code among other rows",
    ),
    "one name twice": (
        {
            "clients": {"x": {"a": ["ann", "bob"]}},
            "functions": {"x": {"call": "a:b", "groups": ["a"]}},
        },
        "rename one",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_counted_is_said_before_it_runs(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine(monkeypatch)
    evaluate, message = REFUSED[kind]
    with pytest.raises((ConfigError, ValidationError), match=message):
        grouped(**evaluate)


def test_a_column_of_the_name_of_the_class_is_refused() -> None:
    data = dataset()
    named = replace(
        data,
        data=replace(data.data, groups={"label": data.data.groups["sex"]}),
        group_names={"label": ("f", "m")},
    )
    with pytest.raises(ConfigError, match="'label' is the class"):
        prepare(Config.model_validate(BASE), dataset=named)


def test_a_vocabulary_that_names_a_group_twice_is_refused() -> None:
    changed = {**BASE, "data": {**BASE["data"], "vocabulary": {"sex": ["f", "m", "f"]}}}
    with pytest.raises(ConfigError, match="a name each"):
        prepare(Config.model_validate(changed), dataset=dataset())


def test_a_vocabulary_gives_every_party_the_same_codes(tmp_path: Path) -> None:
    """A site with men alone counts them where the others do."""
    (tmp_path / "site.csv").write_text("age,sex,target\n1,m,0\n2,m,1\n3,m,0\n4,m,1\n")
    data = {"path": tmp_path / "site.csv", "groups": ["sex"], "vocabulary": {"sex": ["f", "m"]}}
    partition = {"kind": "iid", "clients": 1}
    setup = prepare(Config.model_validate({**BASE, "data": data, "partition": partition}))
    assert setup.measure.schema.attributes[0].groups == ("f", "m")
    assert set(setup.population.data.groups["sex"]) == {1}


@pytest.mark.parametrize(
    ("vocabulary", "message"), [({"sex": ["f"]}, "rows of 'm'"), ({"size": ["s"]}, "'size'")]
)
def test_rows_outside_the_vocabulary_are_refused(
    vocabulary: dict[str, list[str]], message: str
) -> None:
    changed = {**BASE, "data": {**BASE["data"], "vocabulary": vocabulary}}
    with pytest.raises(DataError, match=message):
        prepare(Config.model_validate(changed), dataset=dataset())
