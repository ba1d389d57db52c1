"""tacit: federated learning that says exactly what privacy it cost and whom it serves."""

__version__ = "0.1.0"
