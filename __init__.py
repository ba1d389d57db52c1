"""tacit: one model across many parties whose data stays with them."""

__version__ = "0.1.0"
