"""What people say of a model is theirs to say: it changes no run, and parties need not agree on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tacit.deployment.study import agreed
from tacit.simulations.config import Config, ConfigError, make_config, read_config

TABLE: dict[str, Any] = {
    "rounds": 3,
    "data": {"name": "wine"},
    "partition": {"kind": "iid", "clients": 3},
}


def test_a_card_changes_neither_a_run_nor_what_is_agreed() -> None:
    bare = make_config(TABLE)
    said = make_config({**TABLE, "card": {"owner": "the ward", "intended_use": "triage"}})
    assert said.fingerprint() == bare.fingerprint()
    assert agreed(said) == agreed(bare)
    assert said.card.owner == "the ward"


def test_a_card_is_kept_with_the_run(tmp_path: Path) -> None:
    said = make_config({**TABLE, "card": {"caveats": 'two lines\nand "quotes"'}})
    (tmp_path / "config.toml").write_text(said.to_toml())
    found: Config = read_config(tmp_path / "config.toml")
    assert found == said


def test_a_misspelt_field_is_named() -> None:
    with pytest.raises(
        ConfigError, match=r"card: Unknown key 'intendet_use': did you mean 'intended_use'"
    ):
        make_config({**TABLE, "card": {"intendet_use": "triage"}})
