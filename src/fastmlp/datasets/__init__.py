"""Data to learn from: the digits that ship with the package, and readers for MNIST-format files."""

from .digits import Digits, load_digits
from .fashion_mnist import load_fashion_mnist
from .idx import load_idx
from .split import Split

__all__ = ["Digits", "Split", "load_digits", "load_fashion_mnist", "load_idx"]
