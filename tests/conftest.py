"""Fixtures that tests of several packages share."""

pytest_plugins = ["contracts.postgresql"]
