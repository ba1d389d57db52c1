"""What the commands that run apps of Flower share: that it is there, and how it speaks."""

from __future__ import annotations

import importlib.util
import os

from ..wire.errors import AppError


def need_flower(*, quiet: bool) -> None:
    """To be called before Flower is imported: if `quiet`, it logs nothing below a warning.

    Raises `AppError` if it is not installed.
    """
    if importlib.util.find_spec("flwr") is None:
        raise AppError("Flower is not installed: pip install 'tacit[flower]'")
    os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
    if quiet:
        os.environ["FLWR_LOG_LEVEL"] = "WARNING"  # the worker processes read it too
