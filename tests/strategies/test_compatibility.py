"""What a strategy goes with is said once: by its class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tacit.simulations.config import STRATEGIES
from tacit.strategies.compatibility import No, matrix

PAGE = Path(__file__).parents[2] / "docs" / "fairness.md"


@pytest.mark.skipif(not PAGE.exists(), reason="about the checkout; this is the installed package")
def test_the_documentation_prints_the_matrix() -> None:
    """To print it anew: `print(matrix(STRATEGIES))`."""
    assert matrix(STRATEGIES) in PAGE.read_text()


@pytest.mark.parametrize("kind", STRATEGIES)
def test_what_dpsgd_does_not_cover_is_refused_with_it(kind: str) -> None:
    strategy: Any = STRATEGIES[kind]
    if strategy.asks:
        assert isinstance(strategy.composes.row_dp, No)
