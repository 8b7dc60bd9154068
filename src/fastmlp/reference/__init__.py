"""The algorithm in NumPy, file by file beside `passes/`: oracle, fallback, documentation and benchmark rival."""

from .engine import Engine
from .random import permutation

__all__ = ["Engine", "permutation"]
