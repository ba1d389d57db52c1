"""The changelog keeps up with the version."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import tacit

CHANGELOG = Path(__file__).parents[1] / "CHANGELOG.md"


@pytest.mark.skipif(
    not (CHANGELOG.parent / "__init__.py").exists(),
    reason="about the checkout; this is the installed package",
)
def test_the_top_version_of_the_changelog_is_the_version_of_the_package() -> None:
    headings = re.findall(r"^## \[(\d\S*)\] - \S+", CHANGELOG.read_text(), re.MULTILINE)
    assert headings[0] == tacit.__version__
