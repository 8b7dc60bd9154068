"""Data to learn from: the digits that ship with the package, and readers for MNIST-format files."""

from fastmlp.datasets.digits import Digits, load_digits
from fastmlp.datasets.fashion_mnist import load_fashion_mnist
from fastmlp.datasets.idx import load_idx
from fastmlp.datasets.split import Split

__all__ = ["Digits", "Split", "load_digits", "load_fashion_mnist", "load_idx"]
