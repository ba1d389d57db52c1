"""Configurations round-trip, and every mistake in one is named with what to try."""

from __future__ import annotations

import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tacit.simulations.config import ConfigError, make_config, read_config

LEAST: dict[str, Any] = {
    "rounds": 3,
    "data": {"name": "wine"},
    "partition": {"kind": "dirichlet", "clients": 5, "alpha": 0.5},
}

PARTITIONS = st.one_of(
    st.builds(lambda n: {"kind": "iid", "clients": n}, st.integers(1, 9)),
    st.builds(
        lambda n, a: {"kind": "dirichlet", "clients": n, "alpha": a},
        st.integers(1, 9),
        st.floats(0.01, 100),
    ),
    st.just({"kind": "natural"}),
)
STRATEGIES = st.one_of(
    st.builds(lambda mu: {"kind": "fedprox", "mu": mu}, st.floats(0, 10)),
    st.builds(lambda beta: {"kind": "fedadam", "beta2": beta}, st.floats(0, 0.999)),
    st.just({"kind": "scaffold"}),
)
SAMPLERS = st.one_of(
    st.just({"kind": "everyone"}),
    st.builds(lambda size: {"kind": "fixed", "size": size}, st.integers(1, 9)),
    st.builds(lambda rate: {"kind": "poisson", "rate": rate}, st.floats(0.01, 1)),
)


@given(seed=st.integers(0, 2**63 - 1), partition=PARTITIONS, strategy=STRATEGIES, sampler=SAMPLERS)
def test_what_is_written_reads_back_the_same(
    seed: int, partition: dict[str, Any], strategy: dict[str, Any], sampler: dict[str, Any]
) -> None:
    table = LEAST | {"seed": seed, "partition": partition, "strategy": strategy}
    config = make_config(table | {"sampler": sampler})
    again = make_config(tomllib.loads(config.to_toml()))
    assert again == config
    assert again.fingerprint() == config.fingerprint()


def test_where_it_runs_does_not_change_the_fingerprint_and_all_else_does() -> None:
    config = make_config(LEAST)
    assert make_config(LEAST, ["run.workers=7"]).fingerprint() == config.fingerprint()
    for change in ("seed=1", "rounds=4", "train.momentum=0.1", "partition.alpha=0.6"):
        assert make_config(LEAST, [change]).fingerprint() != config.fingerprint()


MISTAKES = [
    ("roundss=3", "the file: Unknown key 'roundss': did you mean 'rounds'?"),
    ("data.nam=wine", "data: Unknown key 'nam': did you mean 'name'?"),
    ("data.name=wien", "Unknown data set 'wien': did you mean 'wine'?"),
    ("data.path=x.csv", "data: Expected exactly one of name and path."),
    ("data.held_out=1.0", "data.held_out: Input should be less than 1, got 1.0."),
    ("train.learning_rat=3", "train: Unknown key 'learning_rat': did you mean 'learning_rate'?"),
    ("train.learning_rate=-1", "train: Expected learning_rate > 0, got -1.0."),
    ("train.learning_rate=nan", "train: Expected learning_rate > 0, got nan."),
    ("train.optimizer=sdg", "train.optimizer: Input should be 'sgd', 'adam'"),
    (
        "partition.kind=dirichle",
        "partition.kind: Unknown kind 'dirichle': did you mean 'dirichlet'?",
    ),
    ("partition.alph=1", "partition: Unknown key 'alph': did you mean 'alpha'?"),
    ("partition.alpha=-1", "alpha > 0, got -1"),
    ("partition.clients=1.5", "partition.clients: Input should be a valid integer"),
    ("partition=3", "partition: expected a table with kind = one of iid, dirichlet,"),
    ("strategy.mu=3", "strategy: expected a table with kind = one of fedavg,"),
    ("sampler.kind=fixed", "sampler.size: required, but missing."),
    ("rounds=ten", "rounds: Input should be a valid integer"),
    ("rounds=0", "rounds: Input should be greater than or equal to 1, got 0."),
    ("run.workers=-2", "run.workers: Input should be greater than or equal to 0, got -2."),
    ("run.device=gpu", "run.device: Input should be 'auto', 'cpu', 'cuda' or 'mps', got 'gpu'."),
    ('baselines=["poold"]', "baselines.0: Input should be 'pooled' or 'alone', got 'poold'."),
    ("rounds", "--set 'rounds': expected KEY=VALUE, such as train.epochs=2."),
    ("rounds.x=3", "--set 'rounds.x=3': 'rounds' is not a table."),
]


@pytest.mark.parametrize(("change", "message"), MISTAKES)
def test_a_mistake_is_named_in_one_line(change: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_config(LEAST, [change])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        make_config(LEAST, ["roundss=3", "train.epoch=2", "partition.alpha=0"])
    assert len(str(caught.value).splitlines()) == 3


def test_epochs_and_steps_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="Expected epochs or steps, got both"):
        make_config(LEAST, ["train.epochs=1", "train.steps=2"])


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"rounds = ", "not TOML"), (b"\xff\xfe\x00", "cannot be read"), (None, "no such file")],
)
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "run.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        read_config(path)
    assert str(path) in str(caught.value)


@given(
    st.recursive(
        st.integers() | st.text(max_size=5),
        lambda x: st.dictionaries(
            st.sampled_from(["data", "partition", "kind", "name", "train", "rounds", "x"]), x
        ),
    )
)
def test_no_table_whatever_ends_in_anything_but_a_config_or_a_config_error(
    table: Any,  # noqa: ANN401 - anything at all
) -> None:
    with suppress(ConfigError):
        make_config(table if isinstance(table, dict) else {"rounds": table})


def test_every_example_configuration_is_valid() -> None:
    examples = sorted((Path(__file__).parents[2] / "examples").glob("*.toml"))
    assert examples
    for path in examples:
        read_config(path)


@pytest.mark.parametrize("table", ["budget", "dpsgd"])
def test_a_key_unknown_to_an_optional_table_is_named_with_those_it_has(table: str) -> None:
    needed = {"budget": {"epsilon": 1.0}, "dpsgd": {"noise_multiplier": 1.0}}[table]
    with pytest.raises(ConfigError, match=f"{table}: Unknown key 'foo'. Known: .*(epsilon|clip)"):
        make_config({**LEAST, table: {**needed, "foo": 1}})
