"""Handwritten digits, trained with federated averaging."""
