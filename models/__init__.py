"""Models: one architecture per file, none of which mixes the rows of a batch."""

from .cnn import CNN
from .mlp import MLP
from .text import CharacterCNN

__all__ = ["CNN", "MLP", "CharacterCNN"]
