"""The algorithm in NumPy, file by file beside `passes/`: oracle, fallback, documentation and benchmark rival."""

from fastmlp.reference.engine import Engine
from fastmlp.reference.random import permutation

__all__ = ["Engine", "permutation"]
